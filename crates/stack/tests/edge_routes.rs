//! What a real Traefik makes of rendered labels. `MATOU_TRAEFIK` names its program; without it, the tests
//! that need one say so and end, or fail where `MATOU_REQUIRE_TRAEFIK` or `CI` is set. `MATOU_STACKS` names folders of stack files to measure, with colons between.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use matou_config::Config;
use matou_stack::{Catalogue, LintFinding, LintSeverity, RenderTarget, RenderedStack, StackError};

#[path = "edge_routes/cases.rs"]
mod cases;
#[path = "edge_routes/edge.rs"]
mod edge;
#[path = "edge_routes/engine.rs"]
mod engine;
mod traefik_program;

use edge::Edge;
use engine::EngineService;

fn config() -> Config {
    let text = "[[nodes]]\nname = \"n1\"\naddress = \"n1.example.org\"\nrole = \"manager\"\n";
    Config::parse(text, Path::new("/fleet/config.toml")).expect("a configuration")
}

/// Returns the services of a compose file as the engine would know them, deployed under a name.
fn engine_services(app: &str, yaml: &str) -> Vec<EngineService> {
    let file: serde_yaml::Value = serde_yaml::from_str(yaml).expect("YAML");
    let names = |value: &serde_yaml::Value| -> Vec<String> {
        match value {
            serde_yaml::Value::Sequence(list) => list
                .iter()
                .filter_map(|n| n.as_str().map(str::to_owned))
                .collect(),
            serde_yaml::Value::Mapping(map) => map
                .keys()
                .filter_map(|n| n.as_str().map(str::to_owned))
                .collect(),
            _ => vec!["default".to_owned()],
        }
    };
    let known = |key: String| {
        let network = &file["networks"][key.as_str()];
        let external = &network["external"];
        let name = external["name"].as_str().or(network["name"].as_str());
        match (
            external.as_bool() == Some(true) || external.is_mapping(),
            name,
        ) {
            (_, Some(name)) => name.to_owned(),
            (true, None) => key,
            (false, None) => format!("{app}_{key}"),
        }
    };
    // The engine's client takes an escape of `$` away.
    let plain = |text: &str| text.replace("$$", "$");
    let text = |value: &serde_yaml::Value| match value {
        serde_yaml::Value::String(text) => plain(text),
        other => serde_yaml::to_string(other)
            .expect("YAML")
            .trim_end()
            .to_owned(),
    };
    let services = file["services"].as_mapping().expect("services");
    services
        .iter()
        .map(|(name, service)| EngineService {
            name: format!("{app}_{}", name.as_str().expect("a name")),
            labels: match &service["deploy"]["labels"] {
                serde_yaml::Value::Mapping(map) => map
                    .iter()
                    .map(|(k, v)| (k.as_str().expect("a label").to_owned(), text(v)))
                    .collect(),
                serde_yaml::Value::Sequence(list) => list
                    .iter()
                    .filter_map(|item| item.as_str()?.split_once('='))
                    .map(|(k, v)| (k.to_owned(), plain(v)))
                    .collect(),
                _ => Vec::new(),
            },
            networks: names(&service["networks"]).into_iter().map(known).collect(),
        })
        .collect()
}

/// Returns host and path that a rule asks for.
fn address_of_rule(rule: &str) -> Option<(String, String)> {
    let host = matou_model::parse_rule_hosts(rule).into_iter().next()?;
    let path = ["PathPrefix(`", "Path(`"]
        .iter()
        .find_map(|open| rule.split_once(open)?.1.split('`').next());
    Some((host, path.unwrap_or("/").to_owned()))
}

/// Checks that every router of these services is whole, reached on https, and leads into the edge's
/// network. Returns what is not so, and how many routers there are.
fn try_routers(edge: &mut Edge, services: Vec<EngineService>) -> (Vec<String>, usize) {
    let seen = edge.show(services);
    let mut wrong = seen.complaints();
    for (service, servers) in &seen.servers {
        let outside = servers
            .iter()
            .filter(|s| !s.contains("//127.66.") && !s.starts_with("127.66."));
        wrong.extend(outside.map(|s| format!("{service} is at {s}, out of the edge's network")));
    }
    let http = seen.routers.iter().filter(|r| r.protocol == "http");
    let mut count = 0;
    for router in http {
        count += 1;
        let Some((host, path)) = address_of_rule(&router.rule) else {
            continue;
        };
        let answer = edge.ask_https(&host, &path);
        if answer.contains("404 page not found")
            || !answer.contains('\n')
            || answer.ends_with("000")
        {
            wrong.push(format!("{} ({}): {answer:?}", router.name, router.rule));
        }
    }
    (wrong, count)
}

fn lint(catalogue: &Catalogue, stack: &str, config: &Config) -> Vec<LintFinding> {
    let target = RenderTarget::for_fleet(config);
    catalogue.lint_stack(stack, &target).expect("a stack file")
}

/// Gives values to the variables in labels of a file that has none for them: names of hosts in rules, and
/// names of routers elsewhere.
fn sample_variables(path: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut given = BTreeMap::new();
    for line in text.lines().filter(|l| l.contains("traefik.")) {
        for (before, rest) in line.match_indices('$').map(|(at, _)| line.split_at(at)) {
            let rest = rest[1..].strip_prefix('{').unwrap_or(&rest[1..]);
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let (name, after) = rest.split_at(length.unwrap_or(rest.len()));
            if name.is_empty()
                || after.starts_with(":-")
                || after.starts_with('-')
                || before.ends_with('$')
            {
                continue;
            }
            let is_host = before.matches('`').count() % 2 == 1;
            let value = match (
                is_host,
                before.contains("port=") || before.contains("port:"),
            ) {
                (true, _) => "shop.example.org",
                (_, true) => "80",
                _ => "name1",
            };
            given
                .entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
    }
    given
}

fn render(
    catalogue: &Catalogue,
    stack: &str,
    app: &str,
    config: &Config,
) -> Result<RenderedStack, StackError> {
    let mut given = sample_variables(stack);
    for _ in 0..50 {
        match catalogue.render_stack(stack, app, &given, &RenderTarget::for_fleet(config)) {
            Err(StackError::Required { name, .. }) if !given.contains_key(&name) => {
                given.insert(name, "example.org".to_owned());
            }
            rendered => return rendered,
        }
    }
    Err(StackError::Other("too many variables".into()))
}

#[test]
fn labels_for_another_traefik_are_answered_on_https() {
    let config = config();
    let Some(mut edge) = Edge::start(&config) else {
        return;
    };
    for (name, text) in cases::FITTING {
        let catalogue = Catalogue::load(None)
            .unwrap()
            .with_stack(name, text)
            .unwrap();
        let rendered = render(&catalogue, name, "shop", &config).unwrap();
        let (wrong, routers) = try_routers(&mut edge, engine_services("shop", &rendered.yaml));
        assert_eq!(wrong, Vec::<String>::new(), "{name}: {}", rendered.yaml);
        assert!(routers > 0, "{name}");
    }
}

#[test]
fn cases_of_users_are_answered_on_https() {
    let config = config();
    let Some(mut edge) = Edge::start(&config) else {
        return;
    };
    for name in ["given/edge-no-tls.yml", "reports/traefik-11274.yml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/cases")
            .join(name);
        let catalogue = Catalogue::load(None).unwrap();
        let rendered = render(&catalogue, &path.display().to_string(), "shop", &config).unwrap();
        let (wrong, routers) = try_routers(&mut edge, engine_services("shop", &rendered.yaml));
        assert_eq!(wrong, Vec::<String>::new(), "{name}: {}", rendered.yaml);
        assert_eq!(routers, 1, "{name}");
    }
}

#[test]
fn what_traefik_refuses_is_told_at_its_line() {
    let config = config();
    let mut edge = Edge::start(&config);
    let mut wrong = Vec::new();
    for case in cases::REFUSED {
        for as_list in [true, false] {
            let text = case.file(as_list);
            let catalogue = Catalogue::load(None)
                .unwrap()
                .with_stack("own", &text)
                .unwrap();
            let line = case.line();
            let findings = lint(&catalogue, "own", &config);
            let told = findings
                .iter()
                .any(|f| f.line == line && f.message.contains(case.told));
            if !told {
                wrong.push(format!(
                    "{:?} is not told at {line}: {findings:#?}",
                    case.label
                ));
            }
        }
        // Traefik says that it is so: what it was told without matou's changes.
        if let Some(edge) = &mut edge {
            let seen = edge.show(engine_services("own", &case.file(true)));
            let said = seen.complaints().join("\n");
            let agrees = case.said.is_empty() && said.is_empty()
                || !case.said.is_empty() && said.contains(case.said);
            if !agrees {
                wrong.push(format!("{:?}: Traefik says {said:?}", case.label));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_catalogue_fits_the_edge_as_it_is() {
    let config = config();
    let catalogue = Catalogue::load(None).unwrap();
    let mut edge = Edge::start(&config);
    for entry in catalogue.list_entries() {
        let mut given = BTreeMap::new();
        for variable in &entry.variables {
            if variable.default.is_none() {
                let sample = if variable.name.contains("DOMAIN") {
                    "app.example.org"
                } else {
                    "a:$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC"
                };
                given.insert(variable.name.clone(), sample.to_owned());
            }
        }
        let target = RenderTarget::for_fleet(&config);
        let Ok(rendered) = catalogue.render_stack(&entry.name, "app", &given, &target) else {
            continue;
        };
        let changed: Vec<&String> = rendered
            .notes
            .iter()
            .filter(|n| n.contains(" edge"))
            .collect();
        assert!(changed.is_empty(), "{}: {changed:?}", entry.name);
        if let Some(edge) = &mut edge {
            let (wrong, _) = try_routers(edge, engine_services("app", &rendered.yaml));
            assert_eq!(wrong, Vec::<String>::new(), "{}", entry.name);
        }
    }
}

/// Measures folders of stack files that others wrote: what Traefik says of each, beside what matou said.
#[test]
#[ignore = "needs MATOU_STACKS, folders of stack files"]
fn stack_files_of_others_are_measured() {
    let config = config();
    let Some(mut edge) = Edge::start(&config) else {
        return;
    };
    let folders = std::env::var("MATOU_STACKS").unwrap_or_default();
    let folders: Vec<&str> = folders.split(':').filter(|f| !f.is_empty()).collect();
    assert!(!folders.is_empty(), "MATOU_STACKS names no folder");
    for folder in folders {
        measure_folder(&mut edge, &config, folder);
    }
}

fn measure_folder(edge: &mut Edge, config: &Config, folder: &str) {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "yml" || e == "yaml"))
        .collect();
    files.sort();
    let (mut refused, mut whole, mut routers_whole, mut silent, mut told) = (0, 0, 0, 0, 0);
    for path in &files {
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let path = path.to_string_lossy().into_owned();
        let catalogue = Catalogue::load(None).expect("the catalogue");
        let rendered = match render(&catalogue, &path, "shop", config) {
            Ok(rendered) => rendered,
            Err(error) => {
                refused += 1;
                println!("refused: {error}");
                continue;
            }
        };
        let (wrong, routers) = try_routers(edge, engine_services("shop", &rendered.yaml));
        let of_labels = |f: &&LintFinding| {
            ["Traefik", "edge", "router", "service", "middleware"]
                .iter()
                .any(|w| f.message.contains(w))
        };
        let findings: Vec<&LintFinding> = rendered.findings.iter().filter(of_labels).collect();
        if wrong.is_empty() {
            whole += 1;
            routers_whole += routers;
        } else if findings.is_empty() {
            silent += 1;
            println!("SILENT {name}: {wrong:#?}");
        } else {
            told += 1;
            let errors = findings
                .iter()
                .filter(|f| f.severity == LintSeverity::Error)
                .count();
            println!("told {name} ({errors} errors): {wrong:#?}");
            for finding in findings {
                println!("    {}: {}", finding.line, finding.message);
            }
        }
    }
    println!(
        "{folder}: {} files, {refused} refused by matou, {whole} whole in Traefik with {routers_whole} routers on https, {told} with complaints that matou told, {silent} with complaints that it did not",
        files.len()
    );
}
