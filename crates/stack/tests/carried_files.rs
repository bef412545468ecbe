//! Configs and secrets of files keep what the stack file says of them.

use std::collections::BTreeMap;
use std::path::Path;

use matou_config::Config;
use matou_stack::{Catalogue, RenderTarget, RenderedStack};

fn render_case(name: &str, given: &[(&str, &str)]) -> RenderedStack {
    let config = "[[nodes]]\nname = \"n1\"\naddress = \"n1.example.org\"\nrole = \"manager\"\n";
    let config = Config::parse(config, Path::new("/fleet/config.toml")).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(name);
    let given: BTreeMap<String, String> = given
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let catalogue = Catalogue::load(None).unwrap();
    let target = RenderTarget::for_fleet(&config);
    let path = path.display().to_string();
    catalogue
        .render_stack(&path, "app", &given, &target)
        .unwrap()
}

#[test]
fn names_labels_and_template_drivers_survive() {
    let rendered = render_case("taken/files.yml", &[("STACK", "shop")]);
    let [plain, named] = &rendered.configs[..] else {
        panic!("{:?}", rendered.configs)
    };
    assert!(plain.name.starts_with("app_c_"), "{}", plain.name);
    assert_eq!(
        (&plain.template_driver, &plain.content_hash),
        (&None, &None)
    );
    assert_eq!(named.name, "shop_named_v1");
    assert_eq!(named.template_driver.as_deref(), Some("golang"));
    assert_eq!(named.content_hash.as_ref().map(String::len), Some(8));
    let labels = [("kept", "yes"), ("price", "5$")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(named.labels, BTreeMap::from(labels));
    let [secret] = &rendered.file_secrets[..] else {
        panic!("{:?}", rendered.file_secrets)
    };
    assert_eq!(
        (secret.name.as_str(), secret.labels["a"].as_str()),
        ("my_secret", "b")
    );
}

#[test]
fn a_given_template_is_made_as_one() {
    let rendered = render_case("given/template-driver.yml", &[]);
    let [config] = &rendered.configs[..] else {
        panic!("{:?}", rendered.configs)
    };
    assert_eq!(config.name, "my_c_v1");
    assert_eq!(config.template_driver.as_deref(), Some("golang"));
    assert_eq!(config.labels["kept"], "yes");
}

#[test]
fn variables_of_given_env_files_are_those_of_the_client() {
    let rendered = render_case("given/env-file-read.yml", &[("K", "here")]);
    let web = &rendered.services[0].environment;
    let values = ["BOM", "K", "E"].map(|name| web[name].as_str());
    assert_eq!(values, ["1", "here", "x  "]);
    let rendered = render_case("given/env-file-unset.yml", &[]);
    assert!(!rendered.services[0].environment.contains_key("K"));
}

#[test]
fn variables_without_a_value_are_taken_from_the_stack_or_told() {
    let given = [("GIVEN", "here"), ("WANTED", "yes"), ("EMPTY", "filled")];
    let rendered = render_case("taken/env-file.yml", &given);
    let notes = rendered.notes.join("\n");
    assert!(
        notes.contains("UNKNOWN of web has no value, and is not set"),
        "{notes}"
    );
    assert!(
        notes.contains("WITHOUT of web has no value in ./plain.env, and is left out"),
        "{notes}"
    );
    let web = &rendered
        .services
        .iter()
        .find(|s| s.name == "web")
        .unwrap()
        .environment;
    assert_eq!(
        (web["GIVEN"].as_str(), web["WANTED"].as_str()),
        ("here", "yes")
    );
    assert_eq!(
        (web["E"].as_str(), web["DOLLAR"].as_str()),
        ("x  ", "$A ${A} $$")
    );
    assert!(!web.contains_key("WITHOUT") && !web.contains_key("UNKNOWN"));
}

#[test]
fn the_version_is_one_that_takes_what_the_file_uses() {
    for (file, wanted) in [
        ("old-version.yml", Some("version: '3.8'")),
        ("limited-pids.yml", Some("version: '3.9'")),
        ("merge-keys.yml", Some("version: '3.8'")),
        ("newer-keys.yml", None),
    ] {
        let yaml = render_case(
            &format!("taken/{file}"),
            &[("LEVEL", "info")][..usize::from(file.starts_with("merge"))],
        )
        .yaml;
        let is = yaml.lines().find(|line| line.starts_with("version:"));
        assert_eq!(is, wanted, "{file}");
    }
}
