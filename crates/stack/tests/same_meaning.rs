//! What the engine's client makes of a stack file, and what it makes of the file that matou renders
//! from it, are compared as values.

mod engine_client;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine_client::ask_client;
use matou_config::Config;
use matou_stack::{Catalogue, HASH_LABEL, RenderTarget, RenderedStack, StackError};
use serde_yaml::{Mapping, Value};

/// A fleet whose volumes are what the engine makes of them.
fn new_config() -> Config {
    let text = "[[nodes]]\nname = \"n1\"\naddress = \"n1.example.org\"\nrole = \"manager\"\n[storage]\ndriver = \"local\"\n";
    Config::parse(text, Path::new("/fleet/config.toml")).unwrap()
}

fn render_case(path: &Path, variables: &[(String, String)]) -> Result<RenderedStack, StackError> {
    render_with(&Catalogue::load(None).unwrap(), path, variables, &[])
}

/// Renders with something in the files of these names, which need not be there.
fn render_with(
    catalogue: &Catalogue,
    path: &Path,
    variables: &[(String, String)],
    files: &[String],
) -> Result<RenderedStack, StackError> {
    let config = new_config();
    let mut target = RenderTarget::for_fleet(&config);
    for file in files {
        let name = file.trim_start_matches("./").to_owned();
        target.files.insert(name, "content".to_owned().into());
    }
    let given: BTreeMap<String, String> = variables.iter().cloned().collect();
    catalogue.render_stack(&path.display().to_string(), "app", &given, &target)
}

fn entries_mut<'a>(file: &'a mut Value, section: &str) -> impl Iterator<Item = &'a mut Mapping> {
    let section = file.get_mut(section).and_then(Value::as_mapping_mut);
    let entries = section.into_iter().flat_map(|s| s.values_mut());
    entries.filter_map(Value::as_mapping_mut)
}

fn remove_if_empty(map: &mut Mapping, key: &str) {
    let is_empty = map.get(key).is_some_and(|value| match value {
        Value::Mapping(inner) => inner.is_empty(),
        Value::Null => true,
        _ => false,
    });
    if is_empty {
        map.remove(key);
    }
}

/// Takes out of both files what may differ, with the reason. All else has to be equal.
fn remove_allowed_differences(original: &mut Value, rendered: &mut Value) {
    // Names that the file gives to configs and secrets, by section.
    let mut from_files: Vec<(&str, Value)> = Vec::new();
    for section in ["configs", "secrets"] {
        let entries = original.get(section).and_then(Value::as_mapping);
        for (key, entry) in entries.into_iter().flatten() {
            if entry.get("file").is_some() {
                from_files.push((section, key.clone()));
            }
        }
    }
    let volumes = original.get("volumes").and_then(Value::as_mapping);
    let netshare: Vec<Value> = volumes
        .into_iter()
        .flatten()
        .filter(|(_, v)| v.get("driver").is_some_and(|d| d == "nfs"))
        .map(|(key, _)| key.clone())
        .collect();
    // The network of a file's own Traefik becomes the edge's, which a routed service has to be in.
    let networks = rendered.get("networks").and_then(Value::as_mapping);
    let edge: Vec<Value> = networks
        .into_iter()
        .flatten()
        .filter(|(_, n)| n.get("name").is_some_and(|name| name == "traefik-net"))
        .map(|(key, _)| key.clone())
        .collect();
    for file in [&mut *original, &mut *rendered] {
        for key in &edge {
            if let Some(Value::Mapping(networks)) = file.get_mut("networks") {
                networks.remove(key);
            }
            for service in entries_mut(file, "services") {
                if let Some(Value::Mapping(networks)) = service.get_mut("networks") {
                    networks.remove(key);
                }
                remove_if_empty(service, "networks");
            }
        }
        // A service without networks is in this one.
        let default = Mapping::from_iter([("default".into(), Value::Null)]);
        for service in entries_mut(file, "services") {
            if service.get("networks") == Some(&Value::Mapping(default.clone())) {
                service.remove("networks");
            }
        }
        remove_if_empty(file.as_mapping_mut().unwrap(), "networks");
        let top = file.as_mapping_mut().unwrap();
        // The rendered file states one that the clients of the fleet take.
        top.remove("version");
        // What is for people, or holds what is merged, is in place already.
        top.retain(|key, _| !key.as_str().is_some_and(|k| k.starts_with("x-")));
        // Their content travels by itself: to Swarm they are external, under a name that changes with
        // the content, or under their own.
        for (section, key) in &from_files {
            if let Some(entry) = file.get_mut(*section).and_then(|s| s.get_mut(key)) {
                *entry = "made of a file".into();
            }
        }
        // The plugin netshare is not on every fleet: its volumes get the fleet's driver.
        for key in &netshare {
            if let Some(entry) = file.get_mut("volumes").and_then(|s| s.get_mut(key)) {
                *entry = "of netshare".into();
            }
        }
        for service in entries_mut(file, "services") {
            // Its variables are in `environment`, where matou has read it.
            service.remove("env_file");
            // An item of a list whose variable has no value names nothing.
            if let Some(Value::Mapping(environment)) = service.get_mut("environment") {
                environment.remove("");
            }
            remove_if_empty(service, "environment");
            if let Some(Value::Mapping(deploy)) = service.get_mut("deploy") {
                if let Some(Value::Mapping(labels)) = deploy.get_mut("labels") {
                    // By which a deploy sees whether a service changes.
                    labels.remove(HASH_LABEL);
                    labels.remove("");
                    // Those of Traefik 1 become those of Traefik 3, and the edge's settings are added.
                    labels
                        .retain(|key, _| !key.as_str().is_some_and(|k| k.starts_with("traefik.")));
                }
                remove_if_empty(deploy, "labels");
            }
            // The hash needs `deploy.labels`.
            remove_if_empty(service, "deploy");
        }
    }
}

/// Where a default in braces holds a variable in braces, the client cuts it in two, and leaves `${`
/// behind; matou fills it in, as the Compose specification says.
fn is_cut_default(original: &Value) -> bool {
    original.as_str().is_some_and(|text| text.contains("${"))
}

/// Lists where two values differ.
fn list_differences(path: &str, a: &Value, b: &Value, out: &mut Vec<String>) {
    match (a, b) {
        (Value::Mapping(x), Value::Mapping(y)) => {
            for key in x.keys().chain(y.keys().filter(|k| !x.contains_key(*k))) {
                let at = format!("{path}.{}", key.as_str().unwrap_or("?"));
                match (x.get(key), y.get(key)) {
                    (Some(a), Some(b)) => list_differences(&at, a, b, out),
                    (a, b) => out.push(format!("{at}: {a:?} / {b:?}")),
                }
            }
        }
        (Value::Sequence(x), Value::Sequence(y)) if x.len() == y.len() => {
            for (i, (a, b)) in x.iter().zip(y).enumerate() {
                list_differences(&format!("{path}.{i}"), a, b, out);
            }
        }
        _ if a == b || is_cut_default(a) => {}
        _ => out.push(format!("{path}: {a:?} / {b:?}")),
    }
}

/// Differences between a file and what was rendered from it. `None` without a client.
fn compare_meaning(
    path: &Path,
    text: &str,
    rendered: &RenderedStack,
    variables: &[(String, String)],
) -> Option<Result<Vec<String>, String>> {
    let folder = path.parent().unwrap();
    let mut original = match ask_client(text, folder, variables)? {
        Ok(original) => original,
        Err(said) => return Some(Err(format!("the client refuses the file: {said}"))),
    };
    let mut ours = match ask_client(&rendered.yaml, folder, &[])? {
        Ok(ours) => ours,
        Err(said) => {
            let yaml = &rendered.yaml;
            return Some(Err(format!(
                "the client refuses what is rendered: {said}\n{yaml}"
            )));
        }
    };
    remove_allowed_differences(&mut original, &mut ours);
    let mut differences = Vec::new();
    list_differences("", &original, &ours, &mut differences);
    Some(Ok(differences))
}

fn case_files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yml"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Values in a comment of a case: `# given: A=1 B=`.
fn given_variables(text: &str) -> Vec<(String, String)> {
    let given = text.lines().find_map(|line| line.strip_prefix("# given: "));
    let pairs = given.unwrap_or_default().split_whitespace();
    pairs
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

#[test]
fn what_the_engine_takes_means_the_same_after_rendering() {
    let of_users = case_files("given").into_iter().chain(case_files("reports"));
    let of_users = of_users.filter(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        text.starts_with("# taken: ") || text.starts_with("# warning: ")
    });
    for path in case_files("taken").into_iter().chain(of_users) {
        let text = std::fs::read_to_string(&path).unwrap();
        let given = given_variables(&text);
        let rendered =
            render_case(&path, &given).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let Some(compared) = compare_meaning(&path, &text, &rendered, &given) else {
            return;
        };
        let differences = compared.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(
            differences.is_empty(),
            "{}: {differences:#?}",
            path.display()
        );
    }
}

#[test]
fn what_the_engine_refuses_is_refused_with_a_reason() {
    for path in case_files("refused") {
        let text = std::fs::read_to_string(&path).unwrap();
        let given = given_variables(&text);
        let wanted = text.lines().find_map(|line| line.strip_prefix("# says: "));
        let wanted = wanted.unwrap_or_else(|| panic!("{}", path.display()));
        if let Some(Ok(read)) = ask_client(&text, path.parent().unwrap(), &given) {
            panic!("{}: the client takes it: {read:?}", path.display());
        }
        let said = render_case(&path, &given).expect_err(&path.display().to_string());
        let said = said.to_string();
        assert!(said.contains(wanted), "{}: {said}", path.display());
    }
}

/// Compares every stack file below the folders of `MATOU_STACK_FILES`, separated by colons: without
/// variables, and with a value for each that the file names.
#[test]
#[ignore = "needs stack files in MATOU_STACK_FILES"]
fn stack_files_of_a_folder_mean_the_same_after_rendering() {
    let folders = std::env::var("MATOU_STACK_FILES").unwrap_or_default();
    let mut files = Vec::new();
    for folder in folders.split(':').filter(|f| !f.is_empty()) {
        list_yaml_files(Path::new(folder), &mut files);
    }
    assert!(!files.is_empty(), "MATOU_STACK_FILES has no stack files");
    let catalogue = Catalogue::load(None).unwrap();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for path in files {
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        for given in [Vec::new(), sample_variables(&text)] {
            let with = if given.is_empty() { "without" } else { "with" };
            let theirs = ask_client(&text, path.parent().unwrap(), &given).expect("a client");
            let named = theirs
                .as_ref()
                .map_or(Vec::new(), |file| list_files(file, &path));
            let verdict = match (theirs, render_with(&catalogue, &path, &given, &named)) {
                (Err(_), Err(_)) => "both refuse",
                (Err(said), Ok(_)) => {
                    println!("CLIENT REFUSES {with} {}: {}", path.display(), said.trim());
                    "the client alone refuses"
                }
                (Ok(_), Err(said)) => {
                    println!("MATOU REFUSES {with} {}: {said}", path.display());
                    "matou alone refuses"
                }
                (Ok(_), Ok(rendered)) => {
                    match compare_meaning(&path, &text, &rendered, &given).unwrap() {
                        Ok(differences) if differences.is_empty() => "the same",
                        Ok(differences) => {
                            println!("DIFFERS {with} {}: {differences:#?}", path.display());
                            "differ"
                        }
                        Err(said) => {
                            println!("RENDERED REFUSED {with} {}: {said}", path.display());
                            "what is rendered is refused"
                        }
                    }
                }
            };
            *counts.entry(verdict).or_default() += 1;
        }
    }
    println!("{counts:#?}");
    let bad = ["differ", "what is rendered is refused"];
    assert!(
        !counts.keys().any(|verdict| bad.contains(verdict)),
        "{counts:?}"
    );
}

fn list_yaml_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            list_yaml_files(&path, files);
        } else if path.extension().is_some_and(|e| e == "yml" || e == "yaml") {
            files.push(path);
        }
    }
}

/// Files that configs and secrets are made of, as the file names them.
fn list_files(file: &Value, path: &Path) -> Vec<String> {
    let folder = format!("{}/", path.parent().unwrap().display());
    ["configs", "secrets"]
        .iter()
        .filter_map(|section| file.get(section)?.as_mapping())
        .flat_map(|section| section.values())
        .filter_map(|entry| entry.get("file")?.as_str())
        .map(|file| file.strip_prefix(&folder).unwrap_or(file).to_owned())
        .collect()
}

/// A value for each variable that a file names.
fn sample_variables(text: &str) -> Vec<(String, String)> {
    let mut found = BTreeMap::new();
    for rest in text.split('$').skip(1) {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = &rest[..end.unwrap_or(rest.len())];
        if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            let is_path = ["PATH", "DIR", "DATA", "VOLUME", "FOLDER", "STORAGE", "ROOT"];
            let value = match () {
                () if name.contains("PORT") => "8080",
                () if name.contains("MEM") => "64M",
                () if name.contains("CPU") || name.contains("REPLICAS") => "1",
                () if is_path.iter().any(|word| name.contains(word)) => "/srv/data",
                () => "a.example.org",
            };

            // Not one that the client itself goes by.
            if !["PATH", "HOME"].contains(&name) && !name.starts_with("DOCKER_") {
                found.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    found.into_iter().collect()
}
