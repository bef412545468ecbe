//! What is said of a stack file when something in it is missing or unreadable: all of it.

use std::collections::BTreeMap;
use std::path::Path;

use matou_config::Config;
use matou_stack::{Catalogue, RenderTarget};

fn new_config() -> Config {
    let text = "[[nodes]]\nname = \"n1\"\naddress = \"n1.example.org\"\nrole = \"manager\"\n";
    Config::parse(text, Path::new("/fleet/config.toml")).unwrap()
}

fn lint_text(text: &str) -> Vec<String> {
    let catalogue = Catalogue::load(None).unwrap();
    let catalogue = catalogue.with_stack("own", text).unwrap();
    let config = new_config();
    let found = catalogue.lint_stack("own", &RenderTarget::for_fleet(&config));
    found.unwrap().iter().map(ToString::to_string).collect()
}

fn deploy_error(text: &str) -> String {
    let catalogue = Catalogue::load(None).unwrap();
    let catalogue = catalogue.with_stack("own", text).unwrap();
    let config = new_config();
    let target = RenderTarget::for_fleet(&config);
    let rendered = catalogue.render_stack("own", "app", &BTreeMap::new(), &target);
    rendered.unwrap_err().to_string()
}

fn assert_said(said: &[String], wanted: &str) {
    assert!(
        said.iter().any(|s| s.contains(wanted)),
        "{wanted}: {said:#?}"
    );
}

const MISSING: &str = "\
# ${DOMAIN:?} is named here first.
services:
  web:
    image: ${REGISTRY:?}/nginx:1.27
    restart: always
    networks: [nowhere]
    configs: [gone]
    ports: ['${PORT:?a port}:80', '8443:443']
    deploy:
      replicas: ${COUNT:?}
      labels:
        traefik.http.routers.w.rule: Host(`${DOMAIN:?err}`)
        traefik.http.routers.v.rule: Host(`${DOMAIN:?err}`)
configs:
  gone: {file: ./gone.conf}
";

#[test]
fn a_secret_that_matou_makes_wants_no_source() {
    let text = "x-matou: {secrets: [{name: key}]}\nservices: {web: {image: 'a:1', secrets: [key]}}\nsecrets: {key: {}}\n";
    let said = lint_text(text);
    assert!(!said.iter().any(|s| s.contains("error")), "{said:#?}");
    let said = lint_text(&text.replace("name: key", "name: other"));
    assert_said(&said, "the secret key has no content");
}

#[test]
fn missing_variables_are_told_and_hide_nothing() {
    let said = lint_text(MISSING);
    for wanted in [
        "own.yml:4: error: the variable REGISTRY is required",
        "own.yml:5: warning: Docker Swarm goes by deploy.restart_policy",
        "own.yml:6: error: nowhere is not among the networks",
        "own.yml:8: error: the variable PORT is required: a port",
        "own.yml:10: error: the variable COUNT is required",
        "own.yml:12: error: the variable DOMAIN is required: err",
        "leads to no port",
    ] {
        assert_said(&said, wanted);
    }
    // Each once, and nothing about what stands in their places.
    let required = said.iter().filter(|s| s.contains("is required")).count();
    assert_eq!(required, 4, "{said:#?}");
    for strange in ["is no port", "has no tag", "whole number"] {
        assert!(!said.iter().any(|s| s.contains(strange)), "{said:#?}");
    }
    let error = deploy_error(MISSING);
    let wanted = "the variables REGISTRY (own.yml:4), PORT (own.yml:8: a port), COUNT (own.yml:10), DOMAIN (own.yml:12: err) are required (add REGISTRY=… PORT=… COUNT=… DOMAIN=…)";
    assert_eq!(error, wanted);
}

#[test]
fn a_file_that_is_not_there_hides_nothing() {
    let text = MISSING.replace(":?", ":-1");
    let said = lint_text(&text);
    assert_said(&said, "own.yml:15: error: gone of configs: ");
    assert_said(&said, "own.yml:6: error: nowhere is not among the networks");
}

#[test]
fn a_port_without_a_value_is_named_by_its_variable() {
    let text = "services:\n  web:\n    image: nginx:1.27\n    ports:\n      - \"${PORT}:80\"\n      - $OTHER\n";
    let said = lint_text(text);
    assert_said(
        &said,
        "own.yml:5: warning: PORT has no value: the engine chooses",
    );
    assert_said(&said, "own.yml:6: warning: OTHER has no value");
    assert_said(&said, "own.yml:6: error: `` is no port");
    assert!(
        !said.iter().any(|s| s.contains("own.yml:5: error")),
        "{said:#?}"
    );
}

#[test]
fn what_the_client_refuses_in_the_yaml_is_told_beside_the_rest() {
    let text = "services:\n  web:\n    image: nginx:1.27\n    image: nginx:1.26\n    labels: {80: x}\n    restart: always\n---\nservices: {}\n";
    let said = lint_text(text);
    assert_said(&said, "own.yml:4: error: the key image stands here twice");
    assert_said(&said, "own.yml:5: error: the key 80 is no text");
    assert_said(&said, "own.yml:6: warning: Docker Swarm goes by");
    assert_said(
        &said,
        "own.yml:7: warning: the engine reads the first document alone",
    );
}

#[test]
fn a_name_that_stands_nowhere_is_refused_when_it_is_given() {
    let render = |given: &str| {
        let text = "services: {web: {image: 'a:1', environment: [WANTED, FIXED=1]}}\n";
        let catalogue = Catalogue::load(None).unwrap();
        let catalogue = catalogue.with_stack("own", text).unwrap();
        let config = new_config();
        let target = RenderTarget::for_fleet(&config);
        let given = BTreeMap::from([(given.to_owned(), "x".to_owned())]);
        catalogue.render_stack("own", "app", &given, &target)
    };
    let rendered = render("WANTED").unwrap();
    assert_eq!(rendered.services[0].environment["WANTED"], "x");
    // `FIXED` has a value of its own.
    for wrong in ["WANTEDX", "FIXED"] {
        let error = render(wrong).unwrap_err().to_string();
        assert_eq!(error, format!("the stack own has no variable {wrong}"));
    }
}

#[test]
fn a_rename_names_a_service_and_its_command_or_says_why_not() {
    let lint = |rename: &str| {
        let text = format!(
            "x-matou:\n  rename: {rename}\nservices: {{web: {{image: 'a:1', healthcheck: {{disable: true}}}}}}\n"
        );
        let mut said = lint_text(&text);
        said.retain(|s| s.contains("x-matou"));
        said
    };
    for fine in ["{service: web, command: 'true'}", "{never: it is known}"] {
        assert_eq!(lint(fine), [""; 0], "{fine}");
    }
    for little in [
        "{}",
        "{service: web}",
        "{service: web, command: 'true', never: no}",
    ] {
        let said = lint(little);
        assert_said(&said, ":2: error: x-matou: rename: says either a service");
    }
    let said = lint("{service: wbe, command: 'true'}");
    assert_said(
        &said,
        "names the service \"wbe\", which the stack does not have; there are web",
    );
    assert_said(&lint("{command: 'true'}"), "names the service \"\"");
}
