//! The built-in stacks, and stack files of the fleet folder.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use matou::stack::{Catalogue, HASH_LABEL};

fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
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
fn every_built_in_stack_has_its_words_and_renders() {
    let catalogue = Catalogue::load(None).unwrap();
    for entry in catalogue.list() {
        assert!(!entry.description.is_empty(), "{}", entry.name);
        let given: BTreeMap<String, String> = entry
            .variables
            .iter()
            .filter(|v| v.required)
            .map(|v| (v.name.clone(), "x.example.org".to_owned()))
            .collect();
        for variable in &entry.variables {
            assert!(
                !variable.help.is_empty(),
                "{}: {}",
                entry.name,
                variable.name
            );
        }
        let rendered = catalogue.render(&entry.name, "app", &given).unwrap();
        assert!(!rendered.services.is_empty());
        assert!(!rendered.yaml.contains("x-matou"));
        for service in &rendered.services {
            assert!(!service.image.ends_with(":latest") && service.image.contains(':'));
        }
    }
}

#[test]
fn what_is_rendered_is_what_dockers_own_client_reads() {
    let text = "services:\n  web:\n    image: nginx:1.29\n    command: echo $$HOME ${WORD:-a$$b}\n    environment:\n      PRICE: \"5$$\"\n    deploy:\n      replicas: ${REPLICAS:-3}\n      labels:\n        - a=b\n";
    let (_dir, catalogue) = own(text);
    let rendered = catalogue.render("own", "app", &BTreeMap::new()).unwrap();
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
        return;
    }
    assert!(out.status.success(), "{said}\n{}", rendered.yaml);
    let read: serde_yaml::Value = serde_yaml::from_slice(&out.stdout).unwrap();
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
        let rendered = catalogue.render("hello", "site", &variables(vars)).unwrap();
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
        let error = catalogue
            .render("own", "app", &BTreeMap::new())
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
    let rendered = catalogue.render("hello", "site", &BTreeMap::new()).unwrap();
    assert_eq!(rendered.services[0].image, "x:1");
    assert!(rendered.yaml.contains("version"), "old engines want one");
}
