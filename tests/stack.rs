//! The built-in stacks, and stack files of the fleet folder.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use matou::config::Config;
use matou::stack::{Catalogue, HASH_LABEL, RenderTarget, RenderedStack, StackError, interpolate};

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

fn config(more: &str) -> Config {
    let text = format!(
        "[[nodes]]\nname = \"n1\"\naddress = \"n1.example.org\"\nrole = \"manager\"\n{more}"
    );
    Config::parse(&text, std::path::Path::new("/fleet/config.toml")).expect("a configuration")
}

fn render(
    catalogue: &Catalogue,
    stack: &str,
    given: &BTreeMap<String, String>,
    config: &Config,
) -> Result<RenderedStack, StackError> {
    catalogue.render_stack(stack, "app", given, &RenderTarget::for_fleet(config))
}

/// A catalogue with one stack of our own.
fn own(text: &str) -> (tempfile::TempDir, Catalogue) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("stacks")).unwrap();
    std::fs::write(dir.path().join("stacks/own.yml"), text).unwrap();
    let catalogue = Catalogue::load(Some(dir.path())).unwrap();
    (dir, catalogue)
}

#[test]
fn every_built_in_stack_has_its_words_and_nothing_to_be_said_against_it() {
    let catalogue = Catalogue::load(None).unwrap();
    let config = config("");
    let mut names = Vec::new();
    for entry in catalogue.list_entries() {
        let name = &entry.name;
        assert!(!entry.description.is_empty(), "{name}");
        for variable in &entry.variables {
            assert!(!variable.help.is_empty(), "{name}: {}", variable.name);
        }
        let findings = catalogue
            .lint_stack(name, &RenderTarget::for_fleet(&config))
            .unwrap();
        assert!(findings.is_empty(), "{findings:#?}");
        names.push(entry.name);
    }
    for wanted in [
        "traefik",
        "ghost",
        "wordpress",
        "joomla",
        "prestashop",
        "owncloud",
        "nextcloud",
        "rocketchat",
        "invoiceninja",
        "static",
        "vaultwarden",
        "forgejo",
        "matomo",
        "etherpad",
        "whoami",
        "hello",
    ] {
        assert!(names.iter().any(|n| n == wanted), "{wanted}");
    }
}

#[test]
fn the_whole_catalogue_is_looked_through_in_a_tenth_of_a_second() {
    // Of the processor: what else runs here takes none of it.
    let now = || {
        let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
        std::time::Duration::from(nix::time::clock_gettime(clock).expect("a clock"))
    };
    let config = config("");
    let begun = now();
    let catalogue = Catalogue::load(None).unwrap();
    for entry in catalogue.list_entries() {
        catalogue
            .lint_stack(&entry.name, &RenderTarget::for_fleet(&config))
            .unwrap();
    }
    let took = now().saturating_sub(begun);
    eprintln!("lint of the catalogue: {} ms", took.as_millis());
    // A debug build is given ten times as long.
    assert!(took < std::time::Duration::from_secs(1), "{took:?}");
}

#[test]
fn every_built_in_stack_renders_under_every_driver() {
    let catalogue = Catalogue::load(None).unwrap();
    for (driver, wanted) in [
        ("nfs", "addr=n1,rw,hard,nfsvers=4.2"),
        ("shared", "o: bind"),
        ("local", ""),
    ] {
        let config = config(&format!("[storage]\ndriver = {driver:?}\n"));
        for entry in catalogue.list_entries() {
            let given: BTreeMap<String, String> = entry
                .variables
                .iter()
                .filter(|v| v.required)
                .map(|v| {
                    let value = if v.name.ends_with("EMAIL") {
                        "a@b.org"
                    } else {
                        "x.example.org"
                    };
                    (v.name.clone(), value.to_owned())
                })
                .collect();
            let rendered = render(&catalogue, &entry.name, &given, &config).unwrap();
            assert!(!rendered.services.is_empty());
            assert!(!rendered.yaml.contains("x-matou"));
            if !rendered.volumes.named.is_empty() {
                assert!(rendered.yaml.contains(wanted), "{}", rendered.yaml);
            }
            for service in &rendered.services {
                assert!(!service.image.ends_with(":latest") && service.image.contains(':'));
            }
            for secret in &rendered.secrets {
                assert_eq!(secret.swarm_name, format!("app_{}_v1", secret.spec.name));
                assert!(rendered.yaml.contains(&secret.swarm_name));
            }
            engine_reads(&rendered);
        }
    }
}

/// The same with the engine's own client, where it has `stack config`.
fn engine_reads(rendered: &RenderedStack) -> Option<serde_yaml::Value> {
    let mut client = Command::new("docker")
        .args(["stack", "config", "--compose-file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the Docker client is installed");
    let mut stdin = client.stdin.take().unwrap();
    // A client that knows no `stack config` ends without reading.
    let _ = stdin.write_all(rendered.yaml.as_bytes());
    drop(stdin);
    let out = client.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    if said.contains("unknown flag: --compose-file") {
        // A client before 25 has no `stack config`; the deploys on the practice fleet read it.
        return None;
    }
    assert!(out.status.success(), "{said}\n{}", rendered.yaml);
    Some(serde_yaml::from_slice(&out.stdout).unwrap())
}

/// What of the specification the engine's own client knows: it has no `${A+x}`, and cuts nested
/// defaults in two.
#[test]
fn interpolation_is_that_of_dockers_own_client() {
    let cases = [
        "$A/${A}",
        "${X:-d} ${X-d} ${EMPTY:-d} ${EMPTY-d}|",
        "${A:?e} ${A?e} ${EMPTY?e}|",
        "$$A $${A} $$$A",
        "${X:-a}b}",
        "$A$A_ .",
        "${X:-$2y$10$A}",
        "$A-x} y",
        "Host(`${A}`)",
    ];
    let mut text =
        String::from("version: '3.8'\nservices:\n  web:\n    image: x:1\n    environment:\n");
    for (i, case) in cases.iter().enumerate() {
        text.push_str(&format!("      C{i}: '{case}'\n"));
    }
    let mut client = Command::new("docker")
        .args(["stack", "config", "--compose-file", "-"])
        .env("A", "a")
        .env("EMPTY", "")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the Docker client is installed");
    let mut stdin = client.stdin.take().unwrap();
    let _ = stdin.write_all(text.as_bytes());
    drop(stdin);
    let out = client.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    if said.contains("unknown flag: --compose-file") {
        return;
    }
    assert!(out.status.success(), "{said}");
    let read: serde_yaml::Value = serde_yaml::from_slice(&out.stdout).unwrap();
    for (i, case) in cases.iter().enumerate() {
        let ours = interpolate(case, &|name| match name {
            "A" => Some("a".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        });
        // Docker's client escapes what it prints once more.
        let theirs = read["services"]["web"]["environment"][format!("C{i}")]
            .as_str()
            .unwrap();
        assert_eq!(ours.unwrap(), theirs.replace("$$", "$"), "{case}");
    }
}

#[test]
fn the_ghost_of_2019_becomes_one_of_today() {
    let text = include_str!("files/ghost-2019.yml");
    let (_dir, catalogue) = own(text);
    let given = variables(&[("DOMAIN", "blog.example.org")]);
    let config = config("[storage]\ndriver = \"nfs\"\n");
    let rendered = render(&catalogue, "own", &given, &config).unwrap();
    assert_eq!(rendered.domains, ["blog.example.org"]);
    assert_eq!(rendered.networks, ["traefik-net"]);
    assert_eq!(
        rendered.services[0].environment["url"],
        "https://blog.example.org"
    );
    let labels = &rendered.services[0].labels;
    assert_eq!(
        labels["traefik.http.routers.app-web.rule"],
        "Host(`blog.example.org`)"
    );
    assert_eq!(
        labels["traefik.http.services.app-web.loadbalancer.server.port"],
        "2368"
    );
    let yaml: serde_yaml::Value = serde_yaml::from_str(&rendered.yaml).unwrap();
    let volume = &yaml["volumes"]["ghost"];
    assert_eq!(volume["driver"], "local");
    assert_eq!(volume["driver_opts"]["device"], ":/mnt/data/app_ghost");
    assert_eq!(rendered.notes.len(), 2, "{:?}", rendered.notes);
}

#[test]
fn what_is_not_as_it_should_be_is_warned_of_with_its_line() {
    let text = "services:\n  web:\n    image: nginx\n    restart: always\n    depends_on: [db]\n    labels:\n      traefik.enable: 'true'\n    ports: ['80:80', '80:81']\n    volumes: ['data:/data']\n    networks: [gone]\n    enviroment: {}\n    deploy:\n      replica: 2\n      labels:\n        - traefik.http.routers.a.rule=Host(`a.org`)\nnmae: x\n";
    let (_dir, catalogue) = own(text);
    let config = config("");
    let said: Vec<String> = catalogue
        .lint_stack("own", &RenderTarget::for_fleet(&config))
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    for (line, severity, wanted) in [
        (2, "warning", "web has no healthcheck"),
        (3, "warning", "the image nginx has no tag"),
        (4, "warning", "goes by deploy.restart_policy"),
        (5, "warning", "ignores `depends_on`"),
        (6, "warning", "reads labels of web under `deploy:`"),
        (8, "error", "web publishes 80/tcp already"),
        (9, "error", "the volume data is not declared"),
        (10, "error", "gone is not among the networks"),
        (
            11,
            "error",
            "a service has no `enviroment`: did you mean `environment`?",
        ),
        (12, "warning", "web has no limit of memory"),
        (
            13,
            "error",
            "`deploy` has no `replica`: did you mean `replicas`?",
        ),
        (14, "error", "the router a leads to no port"),
        (16, "error", "a stack file has no `nmae`"),
    ] {
        let found = said
            .iter()
            .any(|s| s.contains(&format!("own.yml:{line}: {severity}: ")) && s.contains(wanted));
        assert!(found, "{line} {wanted}: {said:#?}");
    }
}

#[test]
fn configs_and_secrets_of_files_travel_under_names_of_their_content() {
    let text = "services:\n  web:\n    image: x:1\n    env_file: own.env\n    configs: [site]\n    secrets: [token]\nconfigs:\n  site:\n    file: ./site.conf\nsecrets:\n  token:\n    file: token.txt\n";
    let (dir, catalogue) = own(text);
    let stacks = dir.path().join("stacks");
    let config = config("");
    let error = render(&catalogue, "own", &BTreeMap::new(), &config).unwrap_err();
    assert!(
        error.to_string().contains("own.yml:9: site of configs: "),
        "{error}"
    );
    std::fs::write(stacks.join("site.conf"), "server {}\n").unwrap();
    std::fs::write(stacks.join("token.txt"), "s3cret-value").unwrap();
    std::fs::write(stacks.join("own.env"), "# words\nA=1\nB=$x\n").unwrap();
    let rendered = render(&catalogue, "own", &BTreeMap::new(), &config).unwrap();
    assert_eq!(rendered.configs[0].content, b"server {}\n");
    let name = &rendered.configs[0].name;
    assert!(name.starts_with("app_site_") && rendered.yaml.contains(name));
    assert!(
        !rendered.yaml.contains("s3cret-value")
            && !format!("{rendered:?}").contains("s3cret-value")
    );
    assert_eq!(rendered.services[0].environment["B"], "$x");
    std::fs::write(stacks.join("site.conf"), "server { }\n").unwrap();
    let again = render(&catalogue, "own", &BTreeMap::new(), &config).unwrap();
    assert_ne!(again.configs[0].name, *name);
    // The service is another one then, and is deployed.
    assert_ne!(again.services[0].hash, rendered.services[0].hash);
}

#[test]
fn variables_are_of_their_type() {
    let catalogue = Catalogue::load(None).unwrap();
    let given = variables(&[("DOMAIN", "https://blog.example.org/")]);
    let error = render(&catalogue, "ghost", &given, &config("")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("DOMAIN = \"https://blog.example.org/\" is wrong: it must be a domain"),
        "{error}"
    );
}

#[test]
fn what_is_rendered_is_what_dockers_own_client_reads() {
    let text = "services:\n  web:\n    image: nginx:1.29\n    command: echo $$HOME ${WORD:-a$b}\n    environment:\n      PRICE: \"5$$\"\n    deploy:\n      replicas: ${REPLICAS:-3}\n      labels:\n        - a=b\n";
    let (_dir, catalogue) = own(text);
    let rendered = render(&catalogue, "own", &BTreeMap::new(), &config("")).unwrap();
    let Some(read) = engine_reads(&rendered) else {
        return;
    };
    let web = &read["services"]["web"];
    assert_eq!(web["deploy"]["replicas"], 3);
    assert_eq!(web["deploy"]["labels"]["a"], "b");
    assert_eq!(
        web["deploy"]["labels"][HASH_LABEL].as_str().map(str::len),
        Some(16)
    );
    assert_eq!(web["environment"]["PRICE"], "5$");
    assert_eq!(web["command"][1], "$HOME");
    assert_eq!(web["command"][2], "a$b");
}

#[test]
fn the_hash_changes_with_the_service_and_only_then() {
    let catalogue = Catalogue::load(None).unwrap();
    let hash = |vars: &[(&str, &str)]| {
        let rendered = render(&catalogue, "hello", &variables(vars), &config("")).unwrap();
        rendered.services[0].hash.clone()
    };
    assert_eq!(hash(&[]), hash(&[("REPLICAS", "2")]));
    assert_ne!(hash(&[]), hash(&[("IMAGE", "matou/hello:1.1")]));
}

#[test]
fn what_is_wrong_in_a_stack_file_is_told_with_its_line() {
    for (text, expected) in [
        (
            "services:\n  web:\n    image: x:1\n    environment:\n      A: ${DOMAIN:?give a domain}\n",
            "own.yml:5: the variable DOMAIN is required: give a domain",
        ),
        (
            "services:\n  web:\n    image: x:1\n    command: $ 5\n",
            "own.yml:4: `$ ` is no variable",
        ),
        (
            "services:\n  web:\n    image: x:1\n    mem_limit: 1g\n",
            "own.yml:4: Docker Swarm refuses `mem_limit`",
        ),
        (
            "services:\n  web:\n    build: .\n",
            "own.yml:2: the service web has no image",
        ),
        (
            "version: '3'\n",
            "own.yml:1: a stack file has a mapping `services:`",
        ),
    ] {
        let (_dir, catalogue) = own(text);
        let error = render(&catalogue, "own", &BTreeMap::new(), &config(""))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}\n{text}");
    }
    // What is no YAML, or no extension of ours, is told when the catalogue is read.
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("stacks")).unwrap();
    for (text, expected) in [
        ("services:\n  web: [\n", "broken.yml:"),
        (
            "x-matou:\n  titel: x\nservices: {}\n",
            "unknown field `titel`",
        ),
    ] {
        std::fs::write(dir.path().join("stacks/broken.yml"), text).unwrap();
        let error = Catalogue::load(Some(dir.path())).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_stack_of_the_fleet_folder_replaces_a_built_in_one() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("stacks")).unwrap();
    let text = "x-matou: {description: ours}\nservices: {web: {image: 'x:1'}}\n";
    std::fs::write(dir.path().join("stacks/hello.yml"), text).unwrap();
    let catalogue = Catalogue::load(Some(dir.path())).unwrap();
    let rendered = render(&catalogue, "hello", &BTreeMap::new(), &config("")).unwrap();
    assert_eq!(rendered.services[0].image, "x:1");
    assert!(rendered.yaml.contains("version"), "old engines want one");
}
