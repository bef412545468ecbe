//! A rendered stack as a plain compose file: what `docker compose up` of a single host understands,
//! with the data beside it in folders.

use std::collections::BTreeMap;

use matou_i18n::tr;
use serde_yaml::{Mapping, Value};

use super::compose_yaml::write_compose;
use super::lint::{list_references, section_entries};
use super::subset::read_rendered;
use super::{RenderedStack, StackError, labels};

/// First port of the host that is given to a service that the edge served under a domain.
const FIRST_PORT: u32 = 8080;

/// Keys of a service that mean nothing without the place they came from.
const DROPPED_KEYS: [&str; 6] = [
    "build",
    "container_name",
    "credential_spec",
    "isolation",
    "labels",
    "configs",
];

/// A compose file for one host, and what has to lie beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlainComposeFile {
    /// The file's text.
    pub yaml: String,
    /// Names of volumes as the engine knew them; each is the folder `volumes/NAME`.
    pub volumes: Vec<String>,
    /// File below `secrets/`, and the name that Swarm knew it by.
    pub secrets: Vec<(String, String)>,
    /// File below `configs/`, and the name that Swarm knew it by.
    pub configs: Vec<(String, String)>,
    /// Services that answer at a port of this host: name, port of the host, port of the container.
    pub answers: Vec<(String, u32, String)>,
    /// What differs from the swarm; a sentence each.
    pub notes: Vec<String>,
}

/// Turns the rendered stack of an application into a plain compose file.
///
/// # Errors
/// When what was rendered is no compose file.
pub fn render_plain_compose(
    app: &str,
    rendered: &RenderedStack,
) -> Result<PlainComposeFile, StackError> {
    let mut file = read_rendered(&rendered.yaml)?;
    let mut out = PlainComposeFile::default();
    file.remove("version");
    let volumes = volume_names_by_key(app, &file);
    let host_networks = localize_networks(&mut file);
    let kept = |kind: &str, list: &mut Vec<(String, String)>| {
        let mut files = BTreeMap::new();
        for (key, entry) in section_entries(&file, kind) {
            let name = entry.get("name").and_then(Value::as_str).unwrap_or(key);
            let plain = plain_file_name(key);
            list.push((plain.clone(), name.to_owned()));
            files.insert(key.to_owned(), plain);
        }
        files
    };
    let secrets = kept("secrets", &mut out.secrets);
    let configs = kept("configs", &mut out.configs);
    file.remove("volumes");
    file.remove("configs");
    file.remove("secrets");
    if !secrets.is_empty() {
        let entry = |(key, name): (&String, &String)| {
            let at: Value = format!("./secrets/{name}").into();
            let map: Mapping = [(Value::from("file"), at)].into_iter().collect();
            (Value::from(key.as_str()), Value::from(map))
        };
        let all: Mapping = secrets.iter().map(entry).collect();
        file.insert("secrets".into(), all.into());
    }
    let mut comments = Vec::new();
    let services = file.get_mut("services").and_then(Value::as_mapping_mut);
    for (name, service) in services.into_iter().flatten() {
        let name = name.as_str().unwrap_or_default().to_owned();
        let Value::Mapping(service) = service else {
            continue;
        };
        rewrite_mounts(service, &volumes, &configs, &mut out);
        let edge = labels::deploy_labels(service);
        comments.extend(
            edge.iter()
                .filter(|(k, _)| k.starts_with("traefik."))
                .map(|(k, v)| format!("# {name}: {k}={v}")),
        );
        reduce_deploy_section(service);
        rewrite_ports(&name, service, &edge, &mut out);
        rewrite_service_networks(app, &name, service, &host_networks);
        remove_swarm_templates(&name, service, &mut out.notes);
        for key in DROPPED_KEYS {
            service.remove(key);
        }
    }
    out.volumes.sort();
    out.volumes.dedup();
    out.yaml = format!(
        "# {app}, as it ran in a swarm, for `docker compose up` on one host. README.md says more.\n{}",
        write_compose(&Value::Mapping(file))
    );
    add_template_notes(rendered, &mut out.notes);
    if !comments.is_empty() {
        out.yaml += "\n# Labels by which the edge (Traefik 3) knew it:\n";
        // A comment is one line, also when the label has several.
        for comment in comments {
            out.yaml += &comment.replace(['\n', '\r'], " ");
            out.yaml.push('\n');
        }
    }
    Ok(out)
}

/// Notes configs with templates that only Swarm fills in.
fn add_template_notes(rendered: &RenderedStack, notes: &mut Vec<String>) {
    let templates = rendered.configs.iter();
    for config in templates.filter(|c| c.template_driver.is_some()) {
        notes.push(tr!(
            "Swarm filled in the templates of the config {}: write the values into its file",
            config.name
        ));
    }
}

/// Makes a key a file name that is plain on every host.
fn plain_file_name(key: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() || "_-.".contains(c) {
        true => c,
        false => '_',
    };
    let name: String = key.chars().map(plain).collect();
    match name.starts_with('.') || name.is_empty() {
        true => format!("_{name}"),
        false => name,
    }
}

/// Volumes of the file by their keys, as the engine knows them.
fn volume_names_by_key(app: &str, file: &Mapping) -> BTreeMap<String, String> {
    section_entries(file, "volumes")
        .map(|(key, volume)| {
            let named = volume.get("name").and_then(Value::as_str);
            let name = named.map_or_else(|| format!("{app}_{key}"), str::to_owned);
            (key.to_owned(), name)
        })
        .collect()
}

/// Makes every network one of this host. Returns the keys of those that are the host's own network.
fn localize_networks(file: &mut Mapping) -> Vec<String> {
    let mut hosts = Vec::new();
    let Some(Value::Mapping(networks)) = file.get_mut("networks") else {
        return hosts;
    };
    for (key, network) in networks.iter_mut() {
        let named = |v: &Value| v.get("name").and_then(Value::as_str).map(str::to_owned);
        let name = named(network).or_else(|| network.get("external").and_then(named));
        let key = key.as_str().unwrap_or_default();
        if name.as_deref().unwrap_or(key) == "host" && network.get("external").is_some() {
            hosts.push(key.to_owned());
        }
        let mut own = Mapping::new();
        if let Some(internal) = network.get("internal") {
            own.insert("internal".into(), internal.clone());
        }
        *network = own.into();
    }
    networks.retain(|key, _| !hosts.iter().any(|h| key.as_str() == Some(h)));
    hosts
}

/// Replaces volumes by folders and configs by files in the service's mounts.
fn rewrite_mounts(
    service: &mut Mapping,
    volumes: &BTreeMap<String, String>,
    configs: &BTreeMap<String, String>,
    out: &mut PlainComposeFile,
) {
    let mut list: Vec<Value> = Vec::new();
    let old = service.remove("volumes");
    for entry in old.iter().filter_map(Value::as_sequence).flatten() {
        let text = |key: &str| entry.get(key).map(labels::scalar_text);
        let (source, target, read_only) = match entry {
            Value::String(short) => {
                let mut parts = short.splitn(3, ':');
                let (source, target) = (parts.next(), parts.next());
                let options = parts.next().unwrap_or_default();
                let read_only = options.split(',').any(|o| o == "ro");
                (
                    source.map(str::to_owned),
                    target.map(str::to_owned),
                    read_only,
                )
            }
            _ => (
                text("source"),
                text("target"),
                text("read_only").as_deref() == Some("true"),
            ),
        };
        let volume = source.as_ref().and_then(|s| volumes.get(s));
        let (Some(volume), Some(target)) = (volume, target) else {
            if let Some(source) = source.filter(|s| s.starts_with('/')) {
                out.notes.push(tr!(
                    "{source} of the host is mounted: the new host needs it too"
                ));
            }
            list.push(entry.clone());
            continue;
        };
        let end = if read_only { ":ro" } else { "" };
        list.push(format!("./volumes/{volume}:{target}{end}").into());
        out.volumes.push(volume.clone());
    }
    let used = service.get("configs").and_then(Value::as_sequence);
    for entry in used.into_iter().flatten() {
        let source = entry.as_str().or_else(|| entry.get("source")?.as_str());
        let Some((source, file)) = source.and_then(|s| Some((s, configs.get(s)?))) else {
            continue;
        };
        let target = entry.get("target").and_then(Value::as_str);
        let target = target.unwrap_or(source).trim_start_matches('/');
        list.push(format!("./configs/{file}:/{target}:ro").into());
    }
    if !list.is_empty() {
        service.insert("volumes".into(), list.into());
    }
    // A secret that is a plain file keeps the owner and mode of that file.
    if let Some(Value::Sequence(secrets)) = service.get_mut("secrets") {
        for secret in secrets.iter_mut().filter_map(Value::as_mapping_mut) {
            for key in ["uid", "gid", "mode"] {
                secret.remove(key);
            }
        }
    }
}

/// What of `deploy` one host can do.
fn reduce_deploy_section(service: &mut Mapping) {
    let deploy = service.remove("deploy").unwrap_or_default();
    let condition = deploy
        .get("restart_policy")
        .and_then(|p| p.get("condition")?.as_str());
    let restart = match condition {
        Some("none") => "no",
        Some("on-failure") => "on-failure",
        _ => "unless-stopped",
    };
    service.insert("restart".into(), restart.into());
    let mut kept = Mapping::new();
    if deploy.get("replicas").and_then(Value::as_u64) == Some(0) {
        kept.insert("replicas".into(), 0.into());
    }
    let memory = deploy
        .get("resources")
        .and_then(|r| r.get("limits")?.get("memory"));
    if let Some(memory) = memory {
        let limits: Mapping = [("memory".into(), memory.clone())].into_iter().collect();
        let limits: Mapping = [("limits".into(), limits.into())].into_iter().collect();
        kept.insert("resources".into(), limits.into());
    }
    if !kept.is_empty() {
        service.insert("deploy".into(), kept.into());
    }
}

/// Keeps published ports. A service that only the edge reached gets a port on 127.0.0.1.
fn rewrite_ports(
    name: &str,
    service: &mut Mapping,
    edge: &super::Labels,
    out: &mut PlainComposeFile,
) {
    if let Some(Value::Sequence(ports)) = service.get_mut("ports") {
        for port in ports.iter_mut().filter_map(Value::as_mapping_mut) {
            port.remove("mode");
        }
        if !ports.is_empty() {
            return;
        }
    }
    let port = edge.iter().find(|(key, _)| {
        key.starts_with("traefik.http.services.") && key.ends_with(".loadbalancer.server.port")
    });
    let Some((_, port)) = port else { return };
    let nth = u32::try_from(out.answers.len()).unwrap_or_default();
    let variable = match nth {
        0 => "HTTP_PORT".to_owned(),
        n => format!("HTTP_PORT_{}", n + 1),
    };
    let host = FIRST_PORT + nth;
    let published: Value = format!("127.0.0.1:${{{variable}:-{host}}}:{port}").into();
    service.insert("ports".into(), vec![published].into());
    out.answers.push((name.to_owned(), host, port.clone()));
}

/// Gives a service its name in the swarm as an alias, beside its own.
fn rewrite_service_networks(app: &str, name: &str, service: &mut Mapping, hosts: &[String]) {
    if service.contains_key("network_mode") {
        return;
    }
    let old = service.remove("networks");
    let mut names: Vec<String> = list_references(old.as_ref())
        .into_iter()
        .map(|(n, _)| n.to_owned())
        .collect();
    if names.iter().any(|n| hosts.contains(n)) {
        service.insert("network_mode".into(), "host".into());
        service.remove("ports");
        return;
    }
    if names.is_empty() {
        names.push("default".into());
    }
    let alias: Value = format!("{app}_{name}").into();
    let mut joined = Mapping::new();
    for network in names {
        let of = |key: &str| old.as_ref().and_then(|o| o.get(&network)?.get(key));
        let mut aliases: Vec<Value> = of("aliases")
            .and_then(Value::as_sequence)
            .cloned()
            .unwrap_or_default();
        aliases.push(alias.clone());
        let entry: Mapping = [("aliases".into(), aliases.into())].into_iter().collect();
        joined.insert(network.as_str().into(), entry.into());
    }
    service.insert("networks".into(), joined.into());
}

/// Removes or notes values with templates that only Swarm fills in.
fn remove_swarm_templates(name: &str, service: &mut Mapping, notes: &mut Vec<String>) {
    let template = |v: &Value| labels::scalar_text(v).contains("{{");
    if service.get("hostname").is_some_and(template) {
        service.remove("hostname");
    }
    let environment = labels::labels_from_value(service.get("environment"));
    for key in environment
        .iter()
        .filter(|(_, v)| v.contains("{{."))
        .map(|(k, _)| k)
    {
        notes.push(tr!(
            "{key} of {name} was filled in by Swarm: give it a value in compose.yml"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: &str = r"
version: '3.8'
services:
  web:
    image: w
    hostname: '{{.Node.Hostname}}'
    environment: {SLOT: '{{.Task.Slot}}', PRICE: '5$$'}
    networks: {traefik-net: {aliases: [www]}, inner: {}}
    secrets: [key, {source: other, target: o, mode: 256}]
    configs: [{source: conf, target: /etc/w.conf}]
    volumes: ['files:/srv:ro', {type: volume, source: own, target: /own}, '/etc/hosts:/h:ro', /anonymous]
    deploy:
      replicas: 3
      mode: replicated
      placement: {constraints: [node.hostname == n2]}
      update_config: {order: start-first}
      restart_policy: {condition: on-failure}
      resources: {limits: {memory: 64M, cpus: '8'}, reservations: {cpus: '2'}}
      labels: {traefik.enable: 'true', traefik.http.services.a.loadbalancer.server.port: '80'}
  db:
    image: d
    ports: [{target: 5, published: 5, mode: host}]
networks:
  traefik-net: {external: true}
  inner: {driver: overlay, attachable: true, internal: true}
volumes:
  files: {driver: local, driver_opts: {type: none, o: bind, device: /mnt/data/shop_files}}
  own: {name: fixed}
secrets:
  key: {external: true, name: shop_key_v2}
  other: {external: true}
configs:
  conf: {external: true, name: shop_conf_ab}
";

    fn made() -> (PlainComposeFile, Value) {
        let rendered = RenderedStack {
            yaml: STACK.to_owned(),
            ..RenderedStack::default()
        };
        let plain = render_plain_compose("shop", &rendered).unwrap();
        let value = serde_yaml::from_str(&plain.yaml).unwrap();
        (plain, value)
    }

    #[test]
    fn what_is_swarms_becomes_what_one_host_understands() {
        let (plain, value) = made();
        let web = &value["services"]["web"];
        let mounts: Vec<&str> = web["volumes"]
            .as_sequence()
            .unwrap()
            .iter()
            .map(|v| v.as_str().unwrap())
            .collect();
        assert_eq!(
            mounts,
            [
                "./volumes/shop_files:/srv:ro",
                "./volumes/fixed:/own",
                "/etc/hosts:/h:ro",
                "/anonymous",
                "./configs/conf:/etc/w.conf:ro"
            ]
        );
        assert_eq!(web["restart"].as_str(), Some("on-failure"));
        assert_eq!(
            value["services"]["db"]["restart"].as_str(),
            Some("unless-stopped")
        );
        let deploy = serde_yaml::to_string(&web["deploy"]).unwrap();
        assert_eq!(deploy, "resources:\n  limits:\n    memory: 64M\n");
        assert_eq!(
            web["ports"][0].as_str(),
            Some("127.0.0.1:${HTTP_PORT:-8080}:80")
        );
        assert_eq!(plain.answers, [("web".to_owned(), 8080, "80".to_owned())]);
        assert!(value["services"]["db"]["ports"][0].get("mode").is_none());
        assert!(web.get("hostname").is_none() && web.get("configs").is_none());
        // Docker's escape stays one: compose takes it out again.
        assert_eq!(web["environment"]["PRICE"].as_str(), Some("5$$"));
        assert!(plain.notes.iter().any(|n| n.contains("SLOT of web")));
        assert!(plain.notes.iter().any(|n| n.contains("/etc/hosts")));
    }

    #[test]
    fn nothing_of_the_file_is_external_any_more() {
        let (plain, value) = made();
        assert!(!plain.yaml.contains("external") && !plain.yaml.contains("overlay"));
        assert_eq!(value["networks"]["inner"]["internal"].as_bool(), Some(true));
        assert_eq!(
            value["secrets"]["key"]["file"].as_str(),
            Some("./secrets/key")
        );
        assert!(value["services"]["web"]["secrets"][1].get("mode").is_none());
        let aliases = &value["services"]["web"]["networks"]["traefik-net"]["aliases"];
        assert_eq!(aliases[0].as_str(), Some("www"));
        assert_eq!(aliases[1].as_str(), Some("shop_web"));
        let alone = &value["services"]["db"]["networks"]["default"]["aliases"];
        assert_eq!(alone[0].as_str(), Some("shop_db"));
        assert_eq!(plain.volumes, ["fixed", "shop_files"]);
        assert_eq!(plain.secrets[0], ("key".into(), "shop_key_v2".into()));
        assert_eq!(plain.configs, [("conf".into(), "shop_conf_ab".into())]);
        assert!(
            plain.yaml.contains("# web: traefik.enable=true"),
            "{}",
            plain.yaml
        );
        assert!(!plain.yaml.contains("deploy:\n      labels"));
        assert_eq!(plain_file_name("../a b"), "_.._a_b");
    }
}
