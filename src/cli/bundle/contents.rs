//! The files of an archive.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use color_eyre::eyre::Result;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::config_copy::copy_config;
use super::learned;
use super::scrub::{Kind, Scrubber};
use super::states::FleetStates;
use super::tails::{read_journal, read_tail};
use crate::cli::info::InfoReport;
use matou_base::files::{MAX_CONFIG_BYTES, read_text};
use matou_base::text::escape_line;
use matou_config::{Config, NodeConnection};
use matou_model::Fleet;
use matou_stack::{AppFile, Catalogue, LintSeverity, RenderTarget};

/// Lines of the log that go in, the newest.
const LOG_LINES: usize = 1000;

/// Jobs of the journal that go in, the newest: a beginning and an end each.
const JOB_RECORDS: usize = 400;

/// Characters of a line of the log.
const LONGEST_LINE: usize = 2000;

/// Bytes of a file of secrets: more is none.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// What an archive is made from.
pub(super) struct Sources<'a> {
    pub(super) info: &'a InfoReport,
    /// `None` where it can't be used.
    pub(super) config: Option<&'a Config>,
    /// `None` where nothing could be read.
    pub(super) fleet: Option<&'a Fleet>,
    pub(super) fleet_error: Option<&'a str>,
    /// The state folder.
    pub(super) state: &'a Path,
    /// The program's own log.
    pub(super) log: &'a Path,
    pub(super) anonymous: bool,
    pub(super) now: Timestamp,
}

/// The files by name, cleaned.
pub(super) struct Bundle {
    files: BTreeMap<&'static str, String>,
    left_out: Vec<(String, String)>,
}

impl Bundle {
    /// Gathers and cleans all of it.
    ///
    /// # Errors
    /// There are too many names to look for.
    pub(super) fn gather(sources: Sources<'_>) -> Result<Self> {
        let mut scrubber = Scrubber::new(sources.anonymous)?;
        learn_secrets(&mut scrubber, &sources);
        if sources.anonymous {
            scrubber.add_names(list_names(&sources))?;
            scrubber.add_names(learned::list_past_names(sources.state, sources.log))?;
        }
        let mut bundle = Self {
            files: BTreeMap::new(),
            left_out: Vec::new(),
        };
        bundle.add_json("info.json", sources.info, &mut scrubber)?;
        bundle.add_config(&sources, &mut scrubber);
        match sources.fleet {
            Some(fleet) => {
                bundle.add_json("states.json", &FleetStates::of(fleet), &mut scrubber)?;
            }
            None => {
                let why = sources.fleet_error.unwrap_or(tr!("nothing was read"));
                bundle.leave_out("states.json", scrubber.clean_text(why));
            }
        }
        bundle.add_stacks(&sources, &mut scrubber)?;
        bundle.add_log(sources.log, &mut scrubber);
        bundle.add_jobs(sources.state, &mut scrubber);
        bundle.add_standing_rules(sources.anonymous);
        bundle.add_manifest(&sources);
        Ok(bundle)
    }

    /// Iterates over names and contents.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(name, text)| (*name, text.as_str()))
    }

    /// Iterates over what is not there, and why.
    pub(super) fn left_out(&self) -> impl Iterator<Item = (&str, &str)> {
        self.left_out
            .iter()
            .map(|(what, why)| (what.as_str(), why.as_str()))
    }

    fn leave_out(&mut self, what: &str, why: impl Into<String>) {
        self.left_out.push((what.to_owned(), why.into()));
    }

    fn add_json(
        &mut self,
        name: &'static str,
        value: &impl Serialize,
        scrubber: &mut Scrubber,
    ) -> Result<()> {
        let mut value = serde_json::to_value(value)?;
        scrubber.clean_json(&mut value);
        let text = serde_json::to_string_pretty(&value)?;
        let text = matou_base::text::escape_json(&text).into_owned() + "\n";
        self.files.insert(name, text);
        Ok(())
    }

    fn add_config(&mut self, sources: &Sources<'_>, scrubber: &mut Scrubber) {
        let paths = sources.info.paths.iter();
        let Some(path) = paths
            .filter(|p| p.what == "configuration")
            .map(|p| &p.path)
            .next()
        else {
            return self.leave_out(
                "config.toml",
                tr!("there is none: this machine alone is the fleet"),
            );
        };
        let text = match read_text(path, MAX_CONFIG_BYTES) {
            Ok(text) => text,
            Err(error) => {
                return self.leave_out("config.toml", tr!("it can't be read: {error}"));
            }
        };
        match copy_config(&text, &mut |value| scrubber.clean_text(value)) {
            Ok((copy, left_out)) => {
                self.files.insert("config.toml", copy);
                self.leave_out(tr!("config.toml: comments"), tr!("they may hold anything"));
                if !left_out.is_empty() {
                    // Names of labels and of keys that are none of matou's.
                    let keys = scrubber.clean_text(&left_out.join(", "));
                    self.leave_out(
                        &tr!("config.toml: values of {keys}"),
                        tr!("they may be secret, or are not known to be needed"),
                    );
                }
            }
            // Its message may quote the line.
            Err(_) => self.leave_out(
                "config.toml",
                tr!("it is no TOML; `matou config` shows the place"),
            ),
        }
    }

    /// Adds how the stacks lint that applications are made from, and those of the fleet's own.
    fn add_stacks(&mut self, sources: &Sources<'_>, scrubber: &mut Scrubber) -> Result<()> {
        let Some(config) = sources.config else {
            self.leave_out("stacks.json", tr!("config.toml can't be used"));
            return Ok(());
        };
        let folder = config.folder();
        let catalogue = match Catalogue::load(folder.as_deref()) {
            Ok(catalogue) => catalogue,
            Err(error) => {
                self.leave_out("stacks.json", scrubber.clean_text(&error.to_string()));
                return Ok(());
            }
        };
        let built_in = Catalogue::list_names(None);
        let mut names = Catalogue::list_names(folder.as_deref());
        names.retain(|name| !built_in.contains(name));
        let apps = load_app_files(folder.as_deref());
        names.extend(apps.iter().map(|(_, file)| file.stack.clone()));
        let target = RenderTarget::for_fleet(config);
        let stacks: Vec<Value> = names
            .iter()
            .map(|name| {
                let found = catalogue.lint_stack(name, &target);
                let count = |severity| match &found {
                    Ok(found) => found.iter().filter(|f| f.severity == severity).count(),
                    Err(_) => 0,
                };
                json!({
                    "name": name,
                    "built_in": built_in.contains(name),
                    "readable": found.is_ok(),
                    "errors": count(LintSeverity::Error),
                    "warnings": count(LintSeverity::Warning),
                    "lines": found.as_ref().map(|f| f.iter().map(|f| f.line).collect::<Vec<_>>()).unwrap_or_default(),
                })
            })
            .collect();
        let apps: Vec<Value> = apps
            .iter()
            .map(|(app, file)| {
                json!({
                    "name": app,
                    "stack": file.stack,
                    "variables": file.variables.keys().collect::<Vec<_>>(),
                    "images": file.images.values().collect::<Vec<_>>(),
                })
            })
            .collect();
        self.add_json(
            "stacks.json",
            &json!({ "stacks": stacks, "applications": apps }),
            scrubber,
        )
    }

    fn add_log(&mut self, path: &Path, scrubber: &mut Scrubber) {
        let text = match read_tail(path) {
            Ok(text) => text,
            Err(error) => {
                return self.leave_out(
                    "log.txt",
                    tr!("there is none that can be read ({error}); MATOU_LOG=debug makes one"),
                );
            }
        };
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.len().saturating_sub(LOG_LINES);
        // As one text: a key of several lines is one secret. Lines are cut, and what a terminal obeys is written
        // out, only then: else a part of a secret may be left.
        let cleaned = scrubber.clean_text(&lines[first..].join("\n"));
        let cut = |line: &str| line.chars().take(LONGEST_LINE).collect::<String>();
        let kept = cleaned.lines().map(cut);
        let kept: String = kept.map(|l| format!("{}\n", escape_line(&l))).collect();
        self.files.insert("log.txt", kept);
        if first > 0 {
            self.leave_out(
                tr!("log.txt: older lines"),
                tr!("the last {LOG_LINES} are there"),
            );
        }
    }

    /// Adds which jobs ran and how they ended.
    fn add_jobs(&mut self, state: &Path, scrubber: &mut Scrubber) {
        let Some(text) = read_journal(state) else {
            return self.leave_out("jobs.jsonl", tr!("there is no journal that can be read"));
        };
        let records: Vec<Value> = text.lines().filter_map(pick_job_record).collect();
        let first = records.len().saturating_sub(JOB_RECORDS);
        let mut kept = String::new();
        for mut record in records.into_iter().skip(first) {
            scrubber.clean_json(&mut record);
            let _ = writeln!(
                kept,
                "{}",
                matou_base::text::escape_json(&record.to_string())
            );
        }
        self.files.insert("jobs.jsonl", kept);
        self.leave_out(
            tr!("jobs.jsonl: commands, plans and who ran them"),
            tr!("arguments and plans name files, values and people"),
        );
    }

    fn add_standing_rules(&mut self, anonymous: bool) {
        self.leave_out(
            tr!("values of variables and labels of services"),
            tr!("they may be secret"),
        );
        self.leave_out(
            tr!("files that config.toml names (passwords, tokens, keys), apps/ and stacks/"),
            tr!("they are secret, or yours"),
        );
        self.leave_out(
            tr!("logs of applications, and of nodes"),
            tr!("they hold what visitors and users wrote"),
        );
        if anonymous {
            self.leave_out(
                tr!("names and addresses"),
                tr!("replaced, each by the same word everywhere; images of the catalogue, and sites that everybody uses, stay. A name that stands in a sentence alone, and nowhere where matou looks for names, may be left: read it before you give it away"),
            );
        }
    }

    fn add_manifest(&mut self, sources: &Sources<'_>) {
        let program = &sources.info.program;
        let mut text = tr!(
            "A support archive of matou {}, made at {}.\n",
            program.version,
            sources.now.strftime("%F %R UTC")
        );
        if let Some(commit) = program.commit_line() {
            let _ = writeln!(text, "{commit}");
        }
        text += tr!(
            "matou sent it nowhere. ••• stands for what is, or looks like, a secret.\n\nIn it:\n\n"
        );
        let about = |name: &str| match name {
            "config.toml" => tr!("the configuration, as far as its values may be seen"),
            "info.json" => tr!("versions and paths: `matou info --json`"),
            "jobs.jsonl" => tr!("which jobs ran, how long, how they ended"),
            "log.txt" => tr!("the last lines of matou's own log"),
            "stacks.json" => {
                tr!("applications and their stacks, and how many findings `matou lint` has")
            }
            "states.json" => tr!("nodes, services and tasks as they are"),
            _ => "",
        };
        for (name, content) in self.files() {
            let _ = writeln!(
                text,
                "{}",
                tr!("  {name:<14} {:>8} bytes  {}", content.len(), about(name))
            );
        }
        text += tr!("\nLeft out, and why:\n\n");
        for (what, why) in self.left_out() {
            let _ = writeln!(text, "  {what}\n      {why}");
        }
        self.files.insert("MANIFEST.txt", text);
    }
}

/// Picks what may be seen of a record of the journal; `None` for commands.
fn pick_job_record(line: &str) -> Option<Value> {
    let record: Value = serde_json::from_str(line).ok()?;
    let kind = record["record"].as_str()?;
    if !matches!(kind, "job_started" | "job_finished") {
        return None;
    }
    let fields = ["time", "record", "title", "millis", "outcome", "reason"];
    let picked = fields.iter().filter_map(|field| {
        let value = record.get(*field)?.clone();
        Some(((*field).to_owned(), value))
    });
    Some(Value::Object(picked.collect()))
}

fn load_app_files(folder: Option<&Path>) -> Vec<(String, AppFile)> {
    let Some(folder) = folder else {
        return Vec::new();
    };
    let names = AppFile::list_names(folder).into_iter();
    names
        .filter_map(|app| {
            let file = AppFile::load(folder, &app).ok()??;
            Some((app.as_str().to_owned(), file))
        })
        .collect()
}

/// Learns what is secret: what files of secrets hold, passwords in locations, and values of variables.
fn learn_secrets(scrubber: &mut Scrubber, sources: &Sources<'_>) {
    let services = sources.fleet.and_then(|fleet| fleet.swarm.value());
    for service in services.into_iter().flat_map(|swarm| &swarm.services) {
        // Shorter ones are words as `true` and `info`.
        let values = service.environment.values().chain(service.labels.values());
        for value in values.filter(|value| value.len() >= 12) {
            scrubber.add_secret(value);
        }
    }
    let Some(config) = sources.config else {
        return;
    };
    let mut files: Vec<&PathBuf> = config.receivers.secret_files().collect();
    files.extend(
        config
            .mail
            .iter()
            .filter_map(|mail| mail.password_file.as_ref()),
    );
    files.extend(config.backup.ping_file.as_ref());
    files.extend(config.scaleway.iter().map(|scaleway| &scaleway.token_file));
    for repository in &config.backup.repositories {
        files.extend(&repository.password_file);
        files.extend(&repository.environment_file);
        scrubber.add_secret(&repository.location);
        for word in &repository.password_command {
            scrubber.add_secret(word);
        }
    }
    for text in files
        .iter()
        .filter_map(|file| read_text(file, MAX_SECRET_BYTES).ok())
    {
        scrubber.add_secret(&text);
        for line in text.lines() {
            scrubber.add_secret(line);
            if let Some((_, value)) = line.split_once('=') {
                scrubber.add_secret(value.trim_matches(['"', '\'']));
            }
        }
    }
    scrubber.add_secret(config.receivers.ntfy.as_deref().unwrap_or_default());
}

/// Folders that every machine has: their names tell nothing.
const USUAL_FOLDERS: [&str; 27] = [
    "", "/", ".cache", ".config", ".local", "apps", "cache", "config", "data", "etc", "home",
    "lab", "local", "log", "matou", "mnt", "opt", "private", "root", "run", "share", "srv",
    "state", "tmp", "user", "usr", "var",
];

fn list_config_names(config: &Config) -> Vec<(Kind, String)> {
    let mut names = Vec::new();
    let mut add = |kind: Kind, name: &str| names.push((kind, name.to_owned()));
    if config.fleet.name != "fleet" {
        add(Kind::Fleet, &config.fleet.name);
    }
    for node in &config.nodes {
        let NodeConnection::Ssh(ssh) = &node.reach else {
            continue;
        };
        add(Kind::Host, &ssh.address);
        add(Kind::User, ssh.user.as_deref().unwrap_or_default());
        if let Some((user, _)) = ssh.jump.as_deref().and_then(|jump| jump.split_once('@')) {
            add(Kind::User, user);
        }
    }
    add(
        Kind::User,
        config
            .mail
            .as_ref()
            .and_then(|m| m.user.as_deref())
            .unwrap_or_default(),
    );
    for repository in config.backup.repositories.iter().skip(1) {
        add(Kind::Folder, &repository.name);
    }
    names
}

/// Lists the names that stand for somebody or something of one's own.
fn list_names(sources: &Sources<'_>) -> Vec<(Kind, String)> {
    let mut names = Vec::new();
    let mut add = |kind: Kind, name: &str| names.push((kind, name.to_owned()));
    for node in &sources.info.nodes {
        add(Kind::Node, &node.name);
    }
    names.extend(sources.config.map(list_config_names).unwrap_or_default());
    let mut add = |kind: Kind, name: &str| names.push((kind, name.to_owned()));
    for variable in ["USER", "LOGNAME", "SUDO_USER"] {
        add(Kind::User, &std::env::var(variable).unwrap_or_default());
    }
    let folder = sources.config.and_then(Config::folder);
    for (app, file) in load_app_files(folder.as_deref()) {
        add(Kind::App, &app);
        let images = file.images.values();
        for image in images.filter_map(|image| learned::find_own_image(image)) {
            add(Kind::Image, image);
        }
        for value in file.variables.values().filter(|value| value.contains('.')) {
            add(Kind::Host, value);
        }
    }
    let built_in = Catalogue::list_names(None);
    for stack in Catalogue::list_names(folder.as_deref()).difference(&built_in) {
        add(Kind::Stack, stack);
    }
    if let Some(swarm) = sources.fleet.and_then(|fleet| fleet.swarm.value()) {
        swarm
            .nodes
            .iter()
            .for_each(|node| add(Kind::Node, &node.hostname));
        for service in &swarm.services {
            add(Kind::App, service.stack.as_deref().unwrap_or(&service.name));
            if let Some(image) = learned::find_own_image(&service.image) {
                add(Kind::Image, image);
            }
            service
                .domains
                .iter()
                .for_each(|domain| add(Kind::Host, domain));
            service
                .volumes
                .iter()
                .for_each(|volume| add(Kind::Volume, volume));
        }
    }
    for path in &sources.info.paths {
        for part in path.path.parent().into_iter().flat_map(Path::components) {
            add(Kind::Folder, &part.as_os_str().to_string_lossy());
        }
    }
    names.retain(|(kind, name)| match kind {
        Kind::User => !name.is_empty() && name != "root",
        Kind::Folder => !USUAL_FOLDERS.contains(&name.as_str()) && name.parse::<u32>().is_err(),
        // Addresses have a form of their own.
        Kind::Host => name.parse::<std::net::IpAddr>().is_err(),
        _ => true,
    });
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_model::{Datum, Service, ServiceMode, Swarm, Update};

    fn fleet_with_secrets() -> Fleet {
        let map = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
        let service = Service {
            id: "s1".into(),
            name: "blog_web".into(),
            stack: Some("blog".into()),
            image: "registry.alice.example.org/blog:1".into(),
            mode: ServiceMode::Replicated(1),
            wanted: 1,
            running: 0,
            job: None,
            domains: vec!["blog.example.org".into()],
            ports: Vec::new(),
            labels: map("note", "labelled-hunter22"),
            environment: map("NOTE", "environment-hunter22"),
            volumes: vec!["blog_data".into()],
            created_at: None,
            updated_at: None,
            update: Some((
                matou_model::UpdateState::Paused,
                "it said environment-hunter22".into(),
            )),
            version: 1,
        };
        let mut fleet = Fleet::new("fleet", Vec::new());
        fleet.apply(Update {
            at: Timestamp::UNIX_EPOCH,
            datum: Datum::Swarm(Ok(Swarm {
                services: vec![service],
                ..Swarm::default()
            })),
        });
        fleet
    }

    /// The values of a service's variables and labels are nowhere, not even where the engine repeats them.
    #[tokio::test]
    async fn what_services_hold_is_told_by_name_alone() {
        let config = Config::this_machine();
        let state = tempfile::tempdir().unwrap();
        let info = crate::cli::info::read_info(None, Ok(&config)).await;
        for anonymous in [false, true] {
            let fleet = fleet_with_secrets();
            let bundle = Bundle::gather(Sources {
                info: &info,
                config: Some(&config),
                fleet: Some(&fleet),
                fleet_error: None,
                state: state.path(),
                log: &state.path().join("log"),
                anonymous,
                now: Timestamp::UNIX_EPOCH,
            })
            .unwrap();
            for (name, text) in bundle.files() {
                assert!(!text.contains("hunter22"), "{name}: {text}");
            }
            let (_, states) = bundle
                .files()
                .find(|(name, _)| *name == "states.json")
                .unwrap();
            let states: Value = serde_json::from_str(states).unwrap();
            let service = &states["services"][0];
            assert_eq!(service["environment"], json!(["NOTE"]));
            assert_eq!(service["labels"], json!(["note"]));
            assert_eq!(service["update"], "Paused: it said •••");
            let name = if anonymous { "app-1_web" } else { "blog_web" };
            assert_eq!(service["name"], name);
            assert_eq!(
                service["image"].as_str().unwrap().contains("alice"),
                !anonymous
            );
        }
    }
}
