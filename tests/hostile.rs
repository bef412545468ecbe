//! What comes from outside is hostile: compose files, acme.json, `x-matou`. The same as the fuzz
//! targets in fuzz/, with bounded effort.

use std::collections::BTreeMap;

use matou::config::Config;
use matou::edge::AcmeStore;
use matou::stack::{Catalogue, Target, migrate_file};
use proptest::prelude::*;

/// Pieces that compose files are made of, so that what is tried gets further than the YAML parser.
fn piece() -> impl Strategy<Value = String> {
    let words = [
        "services:",
        "  web:",
        "  db:",
        "    image: x:1",
        "    image: ${I:-x:1}",
        "    image:",
        "    deploy:",
        "      labels:",
        "        - traefik.port=80",
        "        traefik.frontend.rule: Host:a.org",
        "        - traefik.http.routers.a.rule=Host(`${D}`)",
        "      replicas: ${R:-2}",
        "      resources: {limits: {memory: 99999999999g}}",
        "      resources: {reservations: {memory: -1, cpus: 1e400}}",
        "      placement: {constraints: x}",
        "    ports: ['80:80', '1-70000:1', 8080]",
        "    volumes: ['data:/data', /x:/y, {type: bind}]",
        "    networks: [n, default]",
        "    networks: {n: {aliases: [a]}}",
        "volumes:",
        "  data: {driver: nfs}",
        "  data: {driver: nfs, driver_opts: {share: ':', create: true}}",
        "networks:",
        "  n: {external: {name: y}}",
        "  n: {external: true}",
        "secrets:",
        "  s: {external: true}",
        "configs:",
        "  c: {file: ./none}",
        "x-matou:",
        "  variables: [{name: D, required: true}]",
        "  secrets: [{name: s}]",
        "  check: {within: 1}",
        "  backup: {dumps: [{service: db, file: /d}]}",
        "x-a: &a {image: y:1}",
        "    <<: *a",
        "version: 3",
        "- a",
        "? b",
        "--- ",
        "\t",
        "    environment: {A: $$B, C: ${C:?no}}",
        "    env_file: none.env",
    ];
    prop_oneof![
        9 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => "\\PC{0,20}",
    ]
}

fn config() -> Config {
    let text = "[[nodes]]\nname = \"n1\"\naddress = \"n1.example.org\"\nrole = \"manager\"\n[storage]\ndriver = \"nfs\"\n";
    Config::parse(text, std::path::Path::new("/fleet/config.toml")).expect("a configuration")
}

/// Reads, lints, renders and migrates a text as a stack file.
fn all_of(text: &str) {
    let config = config();
    if let Ok(catalogue) = Catalogue::load(None).unwrap().with("own", text) {
        let target = Target {
            place: Some("n1".into()),
            images: [("web".to_owned(), "z:2".to_owned())].into(),
            ..Target::of(&config)
        };
        let _ = catalogue.lint("own", &target);
        let given: BTreeMap<String, String> = [("D".to_owned(), "a.org".to_owned())].into();
        if let Ok(rendered) = catalogue.render("own", "app", &given, &target) {
            // What is rendered is YAML, and in its place.
            let read: serde_yaml::Value = serde_yaml::from_str(&rendered.yaml).unwrap();
            assert!(read.get("x-matou").is_none());
            for service in &rendered.services {
                let hosts = service.needs.constraints.iter();
                assert_eq!(hosts.filter(|c| *c == "node.hostname == n1").count(), 1);
            }
        }
        let _ = catalogue.image_variable("own", "web");
    }
    if let Ok((new, _)) = migrate_file("own.yml", text, "own", "le") {
        // What was migrated is not migrated again.
        if let Ok((again, _)) = migrate_file("own.yml", &new, "own", "le") {
            assert_eq!(again, new);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn stack_files_of_any_kind(lines in proptest::collection::vec(piece(), 0..24)) {
        all_of(&lines.join("\n"));
    }

    #[test]
    fn an_extension_of_any_kind(
        key in "(title|variables|secrets|backup|check|restore|x)",
        value in "[\\[\\]{}:, a-z0-9\"'&*!|>-]{0,60}",
    ) {
        all_of(&format!("x-matou:\n  {key}: {value}\nservices:\n  web: {{image: 'x:1'}}\n"));
    }

    #[test]
    fn a_store_of_any_kind(
        names in proptest::collection::vec("[a-zA-Z.*]{0,12}", 0..4),
        key in "(Certificates|certificates|Account|le|HTTPChallenges)",
        inner in "(Certificates|CERTIFICATES|x)",
        noise in "[\\[\\]{}:,\"a-z0-9 ]{0,60}",
    ) {
        let list: Vec<serde_json::Value> = names
            .iter()
            .map(|n| serde_json::json!({"Domain": {"Main": n, "SANs": names}, "certificate": n, "Key": n}))
            .collect();
        for document in [
            serde_json::json!({ &key: list }),
            serde_json::json!({ &key: { &inner: list } }),
        ] {
            if let Ok(store) = AcmeStore::parse(&document.to_string()) {
                for name in &names {
                    let (text, gone) = store.without(&name.to_ascii_lowercase());
                    let rest = AcmeStore::parse(&text).unwrap();
                    prop_assert_eq!(rest.certificates.len() + gone, store.certificates.len());
                }
            }
        }
        let _ = AcmeStore::parse(&noise);
    }
}
