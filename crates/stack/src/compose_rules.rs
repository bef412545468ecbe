//! What `docker stack deploy` refuses beyond the form of a compose file: when it reads the file, and when
//! it makes services of it.
//!
//! Source: docker/cli, cli/compose/loader and cli/compose/convert.

use std::collections::BTreeSet;

use matou_i18n::tr;
use serde_yaml::{Mapping, Value};

use super::compose_values::{parse_processors, parse_short_mount};
use super::extension::SecretSpec;
use super::lint::{LintSeverity, section_entries};
use super::safety::LocatedMessage;

/// What options a mount of each type may have.
const MOUNT_TYPES: [(&str, &str); 6] = [
    ("volume", "volume"),
    ("bind", "bind"),
    ("tmpfs", "tmpfs"),
    ("npipe", "bind"),
    ("cluster", ""),
    ("image", ""),
];

/// How mounts below a bind mount are shared.
/// Source: moby, api/types/mount.
const PROPAGATIONS: [&str; 6] = [
    "rprivate", "private", "rshared", "shared", "rslave", "slave",
];

/// Findings, each with the keys that lead to its place.
#[derive(Debug, Default)]
pub(super) struct RuleFindings(pub Vec<(LintSeverity, LocatedMessage)>);

impl RuleFindings {
    pub(super) fn add_error(&mut self, path: &[&str], message: String) {
        self.add_finding(LintSeverity::Error, path, message);
    }

    pub(super) fn add_warning(&mut self, path: &[&str], message: String) {
        self.add_finding(LintSeverity::Warning, path, message);
    }

    fn add_finding(&mut self, severity: LintSeverity, path: &[&str], message: String) {
        let path = path.iter().map(|key| (*key).to_owned()).collect();
        self.0.push((severity, (path, message)));
    }
}

/// Returns what stands at a path.
pub(super) fn value_at<'a>(service: &'a Mapping, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let mut value = service.get(*first)?;
    for key in rest {
        value = value.get(*key)?;
    }
    Some(value)
}

/// Returns the text at a path.
pub(super) fn text_at<'a>(service: &'a Mapping, path: &[&str]) -> Option<&'a str> {
    value_at(service, path)?.as_str()
}

/// Checks what is declared at the top of the file.
pub(super) fn check_declarations(compose: &Mapping, made: &[SecretSpec], out: &mut RuleFindings) {
    for kind in ["networks", "volumes", "secrets", "configs"] {
        for (name, entry) in section_entries(compose, kind) {
            check_external(kind, name, entry, out);
        }
    }
    for kind in ["secrets", "configs"] {
        for (name, entry) in section_entries(compose, kind) {
            let Value::Mapping(entry) = entry else {
                continue;
            };
            let has = |key: &str| entry.contains_key(key);
            let path = [kind, name];
            let one = kind.trim_end_matches('s');
            if has("driver") && has("file") {
                out.add_error(
                    &[kind, name, "driver"],
                    tr!("the {one} {name} has a driver and a file: keep one of them"),
                );
            }
            let sources = ["file", "external", "driver", "content", "environment"];
            // Those that matou makes are external when they are deployed.
            let is_made = kind == "secrets" && made.iter().any(|spec| spec.name == name);
            if !is_made && !sources.iter().any(|s| has(s)) {
                out.add_error(
                    &path,
                    tr!("the {one} {name} has no content: give it a `file`, or `external: true`"),
                );
            }
        }
    }
    check_networks(compose, out);
}

fn check_external(kind: &str, name: &str, entry: &Value, out: &mut RuleFindings) {
    let external = entry.get("external");
    let one = kind.trim_end_matches('s');
    let old_name = external.and_then(|e| e.get("name")).is_some();
    if old_name && entry.get("name").is_some() {
        out.add_error(
            &[kind, name, "external"],
            tr!("the {one} {name} has two names: write `external: true` and keep `name`"),
        );
    }
    let is_external = external.is_some_and(|e| e.is_mapping() || *e == Value::Bool(true));
    if kind != "volumes" || !is_external {
        return;
    }
    for key in ["driver", "driver_opts", "labels"] {
        let is_empty = |v: &Value| match v {
            Value::String(text) => text.is_empty(),
            Value::Mapping(map) => map.is_empty(),
            Value::Sequence(items) => items.is_empty(),
            _ => true,
        };
        if entry.get(key).is_some_and(|v| !is_empty(v)) {
            out.add_error(
                &[kind, name, key],
                tr!("the volume {name} is external and has `{key}`: keep one of them"),
            );
        }
    }
}

/// Checks the networks that are made with the stack.
fn check_networks(compose: &Mapping, out: &mut RuleFindings) {
    for (name, network) in section_entries(compose, "networks") {
        if network
            .get("external")
            .is_some_and(|e| *e != Value::Bool(false))
        {
            continue;
        }
        let driver = network.get("driver").and_then(Value::as_str);
        if let Some(driver @ ("bridge" | "host" | "none" | "null" | "macvlan" | "ipvlan")) = driver
        {
            out.add_error(
                &["networks", name, "driver"],
                tr!("a service of Swarm takes no network of the driver {driver}: take the line out, or write `overlay`"),
            );
        }
        let subnets = network.get("ipam").and_then(|i| i.get("config"));
        let subnets = subnets.and_then(Value::as_sequence);
        for (i, entry) in subnets.into_iter().flatten().enumerate() {
            let subnet = entry.get("subnet").and_then(Value::as_str);
            if let Some(subnet) = subnet.filter(|s| !is_subnet(s)) {
                out.add_error(
                    &["networks", name, "ipam", "config", &i.to_string(), "subnet"],
                    tr!("Swarm takes a subnet as `10.10.0.0/24`, and \"{subnet}\" is none"),
                );
            }
        }
    }
}

fn is_subnet(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let most = match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|l| l <= most)
}

/// Checks what the client makes a service of.
pub(super) fn check_conversion(name: &str, service: &Mapping, out: &mut RuleFindings) {
    let disabled = value_at(service, &["healthcheck", "disable"]) == Some(&Value::Bool(true));
    if disabled && value_at(service, &["healthcheck", "test"]).is_some() {
        out.add_error(
            &["services", name, "healthcheck", "disable"],
            tr!("Swarm takes either `disable: true` or a test: keep one of them").into(),
        );
    }
    for kind in ["limits", "reservations"] {
        let path = ["deploy", "resources", kind, "cpus"];
        let Some(text) = text_at(service, &path).filter(|t| !t.is_empty()) else {
            continue;
        };
        let billionths = parse_processors(text);
        let fault = match billionths {
            None => tr!("is none"),
            Some(b) if b != 0.0 && b < 1e6 => tr!("is less than Swarm takes, 0.001"),
            Some(_) => continue,
        };
        let [deploy, resources, kind, cpus] = path;
        out.add_error(
            &["services", name, deploy, resources, kind, cpus],
            tr!("`cpus` is a number of processors as \"0.5\" for Swarm, and \"{text}\" {fault}"),
        );
    }
    check_restart(name, service, out);
    check_credentials(name, service, out);
    check_mounts(name, service, out);
}

/// Checks the restart policy of older files, which holds where there is none under `deploy`.
fn check_restart(name: &str, service: &Mapping, out: &mut RuleFindings) {
    let Some(restart) = text_at(service, &["restart"]) else {
        return;
    };
    if restart.is_empty() || value_at(service, &["deploy", "restart_policy"]).is_some() {
        return;
    }
    let (policy, count) = restart.split_once(':').unwrap_or((restart, ""));
    let known = ["no", "always", "on-failure", "unless-stopped"].contains(&policy);
    if !known || (!count.is_empty() && count.parse::<u32>().is_err()) {
        out.add_error(
            &["services", name, "restart"],
            tr!("Swarm knows no `restart: {restart}`: write deploy.restart_policy with a condition none, on-failure or any"),
        );
    }
}

fn check_credentials(name: &str, service: &Mapping, out: &mut RuleFindings) {
    let given = ["config", "file", "registry"]
        .into_iter()
        .filter(|k| text_at(service, &["credential_spec", k]).is_some_and(|t| !t.is_empty()));
    if given.count() > 1 {
        out.add_error(
            &["services", name, "credential_spec"],
            tr!("Swarm takes one of config, file and registry: keep one of them").into(),
        );
    }
}

fn check_mounts(name: &str, service: &Mapping, out: &mut RuleFindings) {
    let mounts = service.get("volumes").and_then(Value::as_sequence);
    let mut targets = BTreeSet::new();
    for (i, mount) in mounts.into_iter().flatten().enumerate() {
        let index = i.to_string();
        let path = ["services", name, "volumes", &index];
        let target = match mount {
            Value::String(short) => match parse_short_mount(short) {
                Ok(short) => short.target,
                Err(_) => continue,
            },
            Value::Mapping(long) => {
                check_long_mount(long, &path, out);
                let target = long.get("target").and_then(Value::as_str).unwrap_or("");
                if target.is_empty() {
                    out.add_error(
                        &path,
                        tr!("Swarm's mounts have a `target`: give it one").into(),
                    );
                    continue;
                }
                target
            }
            _ => continue,
        };
        let pipe = text_of(mount, "type") == Some("npipe");
        if !target.starts_with('/') && !pipe {
            let letter = mount
                .as_str()
                .is_some_and(|m| m.chars().nth(1) == Some(':'));
            let hint = match letter {
                true => {
                    tr!(
                        "Docker takes one letter before a colon for a Windows drive, give the volume a longer name"
                    )
                }
                false => tr!("write a path that begins with `/`"),
            };
            out.add_error(
                &path,
                tr!("Swarm mounts at whole paths, and \"{target}\" is none: {hint}"),
            );
        }
        if !targets.insert(target) {
            out.add_error(
                &path,
                tr!("Swarm mounts one thing at {target}, and there are two: take one out"),
            );
        }
    }
}

fn text_of<'a>(mount: &'a Value, key: &str) -> Option<&'a str> {
    mount.get(key).and_then(Value::as_str)
}

fn check_long_mount(mount: &Mapping, path: &[&str; 4], out: &mut RuleFindings) {
    let [services, name, volumes, index] = *path;
    let text = |key: &str| mount.get(key).and_then(Value::as_str).unwrap_or("");
    let kind = match text("type") {
        "" => "volume",
        kind => kind,
    };
    let Some((_, options)) = MOUNT_TYPES.iter().find(|(k, _)| *k == kind) else {
        return out.add_error(
            &[services, name, volumes, index, "type"],
            tr!("Swarm has no mounts of type {kind}: write volume, bind or tmpfs"),
        );
    };
    for key in ["volume", "bind", "tmpfs", "cluster", "image"] {
        if key != *options && key != kind && mount.get(key).is_some_and(|v| !v.is_null()) {
            out.add_error(
                &[services, name, volumes, index, key],
                tr!("Swarm takes no `{key}` in a mount of type {kind}: take it out"),
            );
        }
    }
    match kind {
        "tmpfs" if !text("source").is_empty() => out.add_error(
            &[services, name, volumes, index, "source"],
            tr!("Swarm takes no `source` in a mount of type tmpfs: take it out").into(),
        ),
        "bind" if text("source").is_empty() => {
            out.add_error(
                path,
                tr!("a bind mount needs a `source`, the path on the node").into(),
            );
        }
        "npipe" | "cluster" | "image" if text("source").is_empty() => {
            out.add_error(path, tr!("Swarm's mount of type {kind} needs a `source`"));
        }
        _ => {}
    }
    let propagation = mount.get("bind").and_then(|b| text_of(b, "propagation"));
    if let Some(word) = propagation.filter(|p| !p.is_empty() && !PROPAGATIONS.contains(p)) {
        out.add_error(
            &[services, name, volumes, index, "bind", "propagation"],
            tr!(
                "Swarm knows no propagation {word}: it is {}",
                PROPAGATIONS.join(", ")
            ),
        );
    }
}
