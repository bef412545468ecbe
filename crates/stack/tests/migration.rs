//! Labels of Traefik 1 after their migration, as a real Traefik 3 takes them. `MATOU_TRAEFIK` names
//! its program, which asks a small server for its services instead of an engine: of an engine it
//! wants no more than labels and addresses. What the old labels say is read by `reading`, from the
//! sources of Traefik 1.7; with `MATOU_TRAEFIK1`, a program of Traefik 1.7, it says so itself.
//!
//! `MATOU_STACK_FILES=FOLDER cargo test -p matou-stack --test migration -- --ignored --nocapture`
//! does the same with all files of a folder, and prints counts.

#![cfg(test)]

#[path = "migration/engine.rs"]
mod engine;
#[path = "migration/reading.rs"]
mod reading;
#[path = "migration/traefik.rs"]
mod traefik;
mod traefik_program;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use engine::Services;
use matou_stack::{interpolate, is_traefik1_label, migrate_file};
use reading::{Frontend, Labels, read_frontends, read_router};
use serde_json::Value;
use traefik::RunningTraefik;
use traefik_program::find_traefik;

/// A file before and after its migration.
struct MigratedFile {
    name: String,
    /// Labels of Traefik 1 by services.
    old: Services,
    new: Services,
    notes: Vec<String>,
}

impl MigratedFile {
    /// Backends of Traefik 1 that services of the file have.
    fn backends(&self) -> BTreeSet<String> {
        let labels = self.old.values();
        labels
            .filter_map(|labels| labels.get("traefik.backend").cloned())
            .collect()
    }
}

/// What became of a file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Same,
    /// Traefik 1 has nothing of it; why.
    RefusedByTraefik1(String),
    NotMigrated(String),
    NotWorking(String),
    Different(String),
}

/// Reads the labels of services that Traefik sees: variables that are not set are their own names.
fn read_services(
    text: &str,
    app: &str,
    only: &dyn Fn(&Labels) -> bool,
) -> Result<Services, String> {
    let mut value: serde_yaml::Value = serde_yaml::from_str(text).map_err(|e| e.to_string())?;
    value.apply_merge().map_err(|e| e.to_string())?;
    let mut services = Services::new();
    let all = value
        .get("services")
        .and_then(serde_yaml::Value::as_mapping);
    for (name, service) in all.into_iter().flatten() {
        for labels in [
            service.get("deploy").and_then(|d| d.get("labels")),
            service.get("labels"),
        ] {
            let found = read_labels(labels)?;
            if only(&found) {
                services.insert(
                    format!("{app}_{}", name.as_str().unwrap_or_default()),
                    found,
                );
                break;
            }
        }
    }
    Ok(services)
}

fn read_labels(labels: Option<&serde_yaml::Value>) -> Result<Labels, String> {
    let scalar = |value: &serde_yaml::Value| match value {
        serde_yaml::Value::String(text) => text.clone(),
        serde_yaml::Value::Null => String::new(),
        other => serde_yaml::to_string(other).unwrap().trim_end().to_owned(),
    };
    let set = |name: &str| {
        Some(match name {
            name if name.contains("PORT") => "80".to_owned(),
            name if name.contains("AUTH") && !name.contains("USER") && !name.contains("PASS") => {
                "user:hash".to_owned()
            }
            name => name.to_lowercase().replace('_', "-"),
        })
    };
    let plain = |text: &str| interpolate(text, &set).map_err(|e| e.to_string());
    match labels {
        Some(serde_yaml::Value::Mapping(map)) => map
            .iter()
            .map(|(name, value)| Ok((scalar(name), plain(&scalar(value))?)))
            .collect(),
        Some(serde_yaml::Value::Sequence(list)) => list
            .iter()
            .map(|item| {
                let item = plain(&scalar(item))?;
                let (name, value) = item.split_once('=').unwrap_or((&item, ""));
                Ok((name.to_owned(), value.to_owned()))
            })
            .collect(),
        _ => Ok(Labels::new()),
    }
}

fn has_old_labels(labels: &Labels) -> bool {
    labels.keys().any(|label| is_traefik1_label(label))
}

fn migrate_text(name: &str, text: &str, app: &str) -> Result<MigratedFile, String> {
    let old = read_services(text, app, &has_old_labels)?;
    let (new, notes) = migrate_file(name, text, app, "le").map_err(|e| e.to_string())?;
    let names: BTreeSet<String> = old.keys().cloned().collect();
    let mut after = read_services(&new, app, &|labels| {
        labels.keys().any(|l| l.starts_with("traefik."))
    })?;
    after.retain(|name, _| names.contains(name));
    if let Some(left) = after.values().find(|labels| has_old_labels(labels)) {
        return Err(format!("labels of Traefik 1 are left: {left:?}"));
    }
    Ok(MigratedFile {
        name: name.to_owned(),
        old,
        new: after,
        notes,
    })
}

/// What Traefik 3 says of everything.
struct Traefik3 {
    routers: BTreeMap<String, Value>,
    middlewares: BTreeMap<String, Value>,
    services: BTreeMap<String, Value>,
}

fn by_name(list: &Value) -> BTreeMap<String, Value> {
    let items = list.as_array().into_iter().flatten();
    items
        .map(|item| {
            (
                item["name"].as_str().unwrap_or_default().to_owned(),
                item.clone(),
            )
        })
        .collect()
}

fn ask_traefik3(program: &str, files: &[MigratedFile]) -> Traefik3 {
    let mut services = Services::new();
    for file in files {
        services.extend(file.new.clone());
    }
    let last = [
        ("traefik.enable", "true"),
        ("traefik.http.routers.last.rule", "Host(`last`)"),
        ("traefik.http.services.last.loadbalancer.server.port", "80"),
    ];
    let last = last.map(|(label, value)| (label.to_owned(), value.to_owned()));
    services.insert("zz_last".to_owned(), last.into());
    let traefik = RunningTraefik::spawn_v3(program, &list_entry_points(&services), services);
    let all = "?per_page=100000";
    let routers = traefik.ask_until(&format!("/api/http/routers{all}"), |routers| {
        by_name(routers).contains_key("last@swarm")
    });
    let routers = by_name(&routers);
    assert!(routers.contains_key("last@swarm"), "{}", traefik.log());
    let ask = |kind: &str| {
        by_name(&traefik.ask_until(&format!("/api/http/{kind}{all}"), Value::is_array))
    };
    if std::env::var_os("MATOU_TRAEFIK_LOG").is_some() {
        println!("{}", traefik.log());
    }
    Traefik3 {
        middlewares: ask("middlewares"),
        services: ask("services"),
        routers,
    }
}

/// Lists the entry points that labels name and the edge does not have: who wrote them had them, and
/// who migrates them is told.
fn list_entry_points(services: &Services) -> BTreeSet<String> {
    let named = services.values().flatten().filter(|(label, _)| {
        let label = label.to_lowercase();
        label.starts_with("traefik.http.routers.") && label.ends_with(".entrypoints")
    });
    named
        .flat_map(|(_, names)| names.split(','))
        .map(|name| name.trim().to_lowercase())
        .filter(|name| !["web", "websecure", "traefik", ""].contains(&name.as_str()))
        .collect()
}

/// Puts files into groups in which no router has the name of another.
fn group_files(files: Vec<MigratedFile>) -> Vec<Vec<MigratedFile>> {
    let mut groups: Vec<(BTreeSet<String>, Vec<MigratedFile>)> = Vec::new();
    for file in files {
        let names: BTreeSet<String> = file
            .new
            .values()
            .flat_map(Labels::keys)
            .filter_map(|label| label.strip_prefix("traefik.http.")?.split('.').nth(1))
            .map(str::to_lowercase)
            .collect();
        match groups
            .iter_mut()
            .find(|(taken, _)| taken.is_disjoint(&names))
        {
            Some((taken, group)) => {
                taken.extend(names);
                group.push(file);
            }
            None => groups.push((names, vec![file])),
        }
    }
    groups.into_iter().map(|(_, files)| files).collect()
}

impl Traefik3 {
    /// Returns the frontends of a service by its labels. Fails with what does not work.
    fn frontends(&self, labels: &Labels) -> Result<Vec<Frontend>, String> {
        let mut frontends = Vec::new();
        for label in labels.keys() {
            let name = label
                .strip_prefix("traefik.http.routers.")
                .and_then(|l| l.strip_suffix(".rule"));
            let Some(name) = name else {
                continue;
            };
            let router = self.routers.get(&format!("{name}@swarm"));
            let router = router.ok_or_else(|| format!("Traefik 3 has no router {name}"))?;
            frontends.push(read_router(router, &self.middlewares)?);
            let service = router["service"].as_str().unwrap_or_default();
            let service = self
                .services
                .get(&format!("{}@swarm", service.trim_end_matches("@swarm")));
            if service.is_none_or(|s| s["status"] != "enabled") {
                return Err(format!("the service of {name} does not work"));
            }
        }
        frontends.sort();
        Ok(frontends)
    }

    fn judge_file(&self, file: &MigratedFile) -> Verdict {
        let mut verdict = None;
        for (name, old) in &file.old {
            let new = file.new.get(name).cloned().unwrap_or_default();
            let wanted = match read_frontends(name, old, &file.backends()) {
                Ok(wanted) => wanted,
                Err(reason) => {
                    verdict.get_or_insert(Verdict::RefusedByTraefik1(reason));
                    continue;
                }
            };
            let found = match self.frontends(&new) {
                Ok(found) => found,
                Err(error) => return Verdict::NotWorking(format!("{name}: {error}")),
            };
            let newer = |label: &&String| {
                label.starts_with("traefik.http.routers.") && label.ends_with(".rule")
            };
            if old.keys().any(|label| newer(&label)) {
                // Those of Traefik 3 stay; the others are not asked twice.
                if let Some((label, _)) = old
                    .iter()
                    .find(|(l, v)| l.starts_with("traefik.http.") && new.get(*l) != Some(v))
                {
                    return Verdict::Different(format!("{name}: {label} is another"));
                }
            } else if found != wanted {
                return Verdict::Different(format!("{name}: {found:#?} for {wanted:#?}"));
            }
            verdict = Some(Verdict::Same);
        }
        verdict.unwrap_or(Verdict::Same)
    }
}

fn list_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        match path.is_dir() {
            true => list_files(&path, found),
            false => found.push(path),
        }
    }
}

fn migrate_folder(folder: &Path) -> (Vec<MigratedFile>, Vec<(String, Verdict)>) {
    let mut paths = Vec::new();
    list_files(folder, &mut paths);
    let (mut files, mut verdicts) = (Vec::new(), Vec::new());
    for (index, path) in paths.iter().enumerate() {
        let Ok(text) = std::fs::read_to_string(path) else {
            continue;
        };
        if !text.contains("traefik.") {
            continue;
        }
        let name = path.strip_prefix(folder).unwrap().display().to_string();
        match migrate_text(&name, &text, &format!("f{index}")) {
            Ok(file) if file.old.is_empty() => {}
            Ok(file) => files.push(file),
            Err(error) => verdicts.push((name, Verdict::NotMigrated(error))),
        }
    }
    (files, verdicts)
}

fn judge_folder(folder: &str, least: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let (files, wrong) = migrate_folder(&folder);
    assert_eq!(wrong, []);
    assert!(files.len() >= least, "{} files", files.len());
    let Some(program) = find_traefik("MATOU_TRAEFIK") else {
        return;
    };
    let traefik = ask_traefik3(&program, &files);
    for file in &files {
        assert_eq!(
            traefik.judge_file(file),
            Verdict::Same,
            "{}\n{:#?}",
            file.name,
            file.notes
        );
    }
}

#[test]
fn traefik_3_does_with_the_new_labels_what_the_old_ones_said() {
    judge_folder("tests/migration/cases", 11);
}

#[test]
fn traefik_3_does_with_the_given_files_what_traefik_1_did() {
    judge_folder("tests/cases/given", 5);
}

#[test]
fn comments_line_ends_and_neighbours_of_the_labels_stay() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/given");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let migrate = |text: &str| migrate_file("own.yml", text, "app", "le").unwrap().0;
    let own = "../../migration/cases";
    for name in [
        "migrate-comments.yml",
        &format!("{own}/comments-in-list.yml"),
        &format!("{own}/comments-in-map.yml"),
    ] {
        let text = read(name);
        let new = migrate(&text);
        for comment in text.lines().filter_map(|l| Some(&l[l.find('#')?..])) {
            assert!(new.contains(comment), "{comment} of\n{new}");
        }
        let windows = migrate(&text.replace('\n', "\r\n"));
        assert_eq!(windows, new.replace('\n', "\r\n"));
    }
    let flow = migrate(&read(&format!("{own}/flow-of-mappings.yml")));
    let flow: serde_yaml::Value = serde_yaml::from_str(&flow).unwrap();
    assert_eq!(flow["services"]["shop"]["deploy"]["replicas"], 3);
    let flow: serde_yaml::Value =
        serde_yaml::from_str(&migrate(&read("migrate-flow.yml"))).unwrap();
    assert_eq!(flow["services"]["web"]["deploy"]["replicas"], 2);
}

#[test]
#[ignore = "it wants a folder of files that are not in the repository"]
fn files_of_a_folder() {
    let (Some(program), Ok(folder)) = (
        find_traefik("MATOU_TRAEFIK"),
        std::env::var("MATOU_STACK_FILES"),
    ) else {
        println!("skipped: MATOU_STACK_FILES names no folder");
        return;
    };
    let (files, mut verdicts) = migrate_folder(Path::new(&folder));
    let migrated = files.len();
    let groups = group_files(files);
    for files in &groups {
        let traefik = ask_traefik3(&program, files);
        verdicts.extend(
            files
                .iter()
                .map(|file| (file.name.clone(), traefik.judge_file(file))),
        );
    }
    verdicts.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
    for (name, verdict) in &verdicts {
        if *verdict != Verdict::Same {
            println!("{name}: {verdict:?}");
        }
    }
    let count = |of: &dyn Fn(&Verdict) -> bool| verdicts.iter().filter(|(_, v)| of(v)).count();
    let refused = count(&|v| matches!(v, Verdict::RefusedByTraefik1(_)));
    let same = count(&|v| *v == Verdict::Same);
    let different = count(&|v| matches!(v, Verdict::Different(_)));
    println!(
        "{} files: {migrated} migrated; Traefik 1 itself has nothing of {refused}; of {} others {} work, {same} are the same",
        verdicts.len(),
        migrated - refused,
        same + different,
    );
    if let Some(program) = find_traefik("MATOU_TRAEFIK1") {
        compare_with_traefik1(&program, groups.iter().flatten());
    }
}

/// The API of Traefik 1 names no users.
fn without_users(frontend: &Frontend) -> String {
    let mut frontend = frontend.clone();
    for middleware in &mut frontend.middlewares {
        if middleware.starts_with("basicAuth ") || middleware.starts_with("digestAuth ") {
            middleware.truncate(middleware.find(' ').unwrap());
        }
    }
    format!("{frontend:?}")
}

/// Compares the reading of labels with what Traefik 1 says. One file at a time: a value that it
/// refuses makes it drop all.
fn compare_with_traefik1<'a>(program: &str, files: impl Iterator<Item = &'a MigratedFile>) {
    let (mut same, mut all) = (0, 0);
    for file in files {
        let read: Result<Vec<Vec<Frontend>>, String> = file
            .old
            .iter()
            .map(|(name, labels)| read_frontends(name, labels, &file.backends()))
            .collect();
        let wanted: BTreeSet<String> = match &read {
            Ok(read) => read.iter().flatten().map(without_users).collect(),
            Err(_) => BTreeSet::new(),
        };
        let Ok(read) = read else {
            continue;
        };
        let traefik = RunningTraefik::spawn_v1(program, file.old.clone());
        let answer = traefik.ask_until("/api/providers/docker", |a| a["frontends"].is_object());
        let found = reading::read_provider(&answer);
        all += 1;
        match found == wanted {
            true => same += 1,
            false => println!(
                "{}: Traefik 1 says {found:#?}, read was {read:#?}",
                file.name
            ),
        }
    }
    println!("Traefik 1 says of {same} of {all} files what was read");
}
