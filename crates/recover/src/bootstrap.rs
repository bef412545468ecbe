//! The fleet folder out of the fleet's own snapshot: all that is needed is the repository, its
//! password, and servers.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use color_eyre::eyre::{Context as _, Result, bail, ensure, eyre};
use jiff::Timestamp;
use toml_edit::{Array, DocumentMut, Item, Table, value};

use matou_backup::{ClockPair, FleetId, Restic, ResticSnapshot};
use matou_base::files::{MAX_CONFIG_BYTES, read_text};
use matou_base::text::escape_line;
use matou_config::{Config, RepositoryConfig};
use matou_host::{Command, Host};
use matou_job::JobOutcome;
use matou_ops::FleetContext;
use matou_provision as provision;

use super::untrusted;
use matou_base::text::InvalidInput;

/// Most bytes that the fleet's configuration may have, unpacked.
const MAX_UNPACKED_BYTES: u64 = 64 << 20;

/// A new server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewServer {
    /// The node of config.toml whose place it takes; by order when there is none.
    pub name: Option<String>,
    /// Host name or address.
    pub address: String,
}

impl FromStr for NewServer {
    type Err = InvalidInput;

    /// `NAME=ADDRESS`, or an address alone.
    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        let (name, address) = match text.split_once('=') {
            Some((name, address)) => (Some(name.to_owned()), address),
            None => (None, text),
        };
        if address.is_empty() || name.as_deref() == Some("") {
            return Err(tr!("expected NAME=ADDRESS, or an address").into());
        }
        Ok(Self {
            name,
            address: address.to_owned(),
        })
    }
}

/// Which fleet to take out of a repository, and what replaces parts of its configuration.
#[derive(Debug, Clone, Default)]
pub struct BootstrapOptions {
    /// The fleet's name or id, when the repository holds several.
    pub fleet: Option<String>,
    /// The fleet's id, where it is known: it decides between several of one name.
    pub id: Option<FleetId>,
    /// Servers that take the place of those that are lost.
    pub servers: Vec<NewServer>,
    /// Where the fleet is taken from.
    pub repository: RepositoryConfig,
    /// Keys of `[ssh]` that are not as they were.
    pub ssh: Vec<(&'static str, String)>,
    /// The operator's own settings, as in config.toml: what a repository has no say in.
    pub settings: String,
}

/// Writes config.toml, apps/ and stacks/ of the newest fleet snapshot into `folder`. Returns the
/// path of config.toml and the snapshot.
///
/// # Errors
/// When the repository holds no fleet, or several and none is named; when the folder has a
/// config.toml already.
pub async fn bootstrap_fleet_folder(
    wanted: &BootstrapOptions,
    folder: &Path,
    host: Option<Host>,
    say: &(dyn Fn(&str) + Sync),
) -> Result<(PathBuf, ResticSnapshot)> {
    let path = folder.join("config.toml");
    ensure!(
        !path.exists(),
        "{}",
        tr!(
            "{} is there already: run `matou --config {0} recover` to rebuild that fleet, or choose an empty folder with --into",
            path.display()
        )
    );
    let host = match host {
        Some(host) => host,
        None => find_restic_host(wanted, &path, say).await?,
    };
    say(tr!("reading the fleet's configuration from the repository"));
    let restic = Restic::for_repository(&host, &wanted.repository).await?;
    let snapshot = find_newest_fleet_snapshot(&restic, wanted).await?;
    let inside = snapshot
        .paths
        .iter()
        .find(|p| p.ends_with("/.matou/fleet"))
        .ok_or_else(|| {
            eyre!(
                "{}",
                tr!(
                    "the snapshot {} is marked as a fleet's and holds no .matou/fleet",
                    snapshot.short_id
                )
            )
        })?;
    let archive = restic
        .run(&[
            "dump",
            "--no-lock",
            "--archive",
            "tar",
            &snapshot.id,
            inside,
        ])
        .await?
        .stdout;
    let unpacked = tempfile::tempdir()?;
    unpack_fleet_files(&archive, inside, unpacked.path())?;
    let text = read_text(&unpacked.path().join("config.toml"), MAX_CONFIG_BYTES).wrap_err(tr!(
        "the fleet's snapshot holds no config.toml that can be read"
    ))?;
    let (text, mut left_out) = rewrite_fleet_config(&text, wanted)?;
    left_out.extend(remove_untrusted_app_files(&unpacked.path().join("apps")));
    let heading = tr!(
        "not taken, because the repository has no say in what this machine runs, reads and believes; what is yours comes with --settings:"
    );
    say_lines(heading, &left_out, say);
    let doc: DocumentMut = text
        .parse()
        .wrap_err(tr!("the new config.toml is no TOML"))?;
    let heading = tr!("taken, and leaves something of the new servers open; look at it:");
    say_lines(heading, &untrusted::list_open_settings(&doc), say);
    matou_base::files::make_folder(folder)
        .wrap_err_with(|| tr!("{} can't be made", folder.display()))?;
    for part in ["apps", "stacks"] {
        copy_plain_folder(&unpacked.path().join(part), &folder.join(part))?;
    }
    // Last: a folder with a config.toml is whole.
    // The repository's location may hold a password.
    matou_base::files::write_atomically(&path, text.as_bytes(), matou_base::files::PRIVATE_MODE)
        .wrap_err_with(|| tr!("{} can't be written", path.display()))?;
    Ok((path, snapshot))
}

fn say_lines(heading: &str, lines: &[String], say: &(dyn Fn(&str) + Sync)) {
    if !lines.is_empty() {
        say(heading);
    }
    for line in lines {
        say(&format!("  {line}"));
    }
}

/// Finds a host that runs restic while there is no fleet: this machine, or else the first new
/// server, on which restic is installed then.
async fn find_restic_host(
    wanted: &BootstrapOptions,
    path: &Path,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Host> {
    let quoted = |text: &str| toml_edit::Value::from(text).to_string();
    let mut text = String::from("[ssh]\n");
    for (key, setting) in &wanted.ssh {
        text += &format!("{key} = {}\n", quoted(setting));
    }
    let server = wanted.servers.first().map(|s| s.address.as_str());
    let server = server.ok_or_else(|| eyre!("{}", tr!("name the new servers with --nodes")))?;
    let here = "[[nodes]]\nname = \"here\"\nrole = \"manager\"\n";
    let there = format!(
        "[[nodes]]\nname = \"first\"\nrole = \"manager\"\naddress = {}\n",
        quoted(server)
    );
    let open = |nodes: &str| FleetContext::open(Config::parse(&format!("{text}{nodes}"), path)?);
    let local = open(here)?;
    let host = |cx: &FleetContext| cx.nodes.iter().next().map(|n| n.host.clone());
    if let Some(host) = host(&local)
        && host
            .run(&Command::new("restic").arg("version"))
            .await
            .is_ok_and(|o| o.code == 0)
    {
        return Ok(host);
    }
    say(&tr!(
        "restic is not installed here: {server} gets it, and reads the repository"
    ));
    let cx = open(&there)?;
    let options = provision::ProvisionOptions {
        only: vec!["restic".into()],
        ..provision::ProvisionOptions::default()
    };
    let job = provision::provision_job(&cx.config, &cx.nodes, &options).map_err(|e| eyre!(e))?;
    let (events, _) = tokio::sync::mpsc::channel(1);
    match cx
        .runner
        .run(&job, None, events, Default::default())
        .await?
    {
        JobOutcome::Done { .. } => {}
        JobOutcome::Failed { reason } => {
            bail!("{}", tr!("restic can't be installed on {server}: {reason}"))
        }
        JobOutcome::Cancelled => bail!("{}", tr!("cancelled")),
    }
    host(&cx).ok_or_else(|| eyre!("{}", tr!("no server was named")))
}

/// The newest snapshot of the fleet's configuration that is not dated in the future.
async fn find_newest_fleet_snapshot(
    restic: &Restic,
    wanted: &BootstrapOptions,
) -> Result<ResticSnapshot> {
    let clock = Command::new("date").arg("+%s").label(tr!("the clock"));
    let clock = restic.host().run_ok(&clock).await?.stdout_text();
    let storage = Timestamp::from_second(clock.trim().parse().wrap_err(tr!("no time"))?)?;
    let clocks = ClockPair {
        here: Timestamp::now(),
        storage,
    };
    let all = restic.list_snapshots(&[]).await?;
    choose_fleet_snapshot(all, wanted.fleet.as_deref(), wanted.id.as_ref(), clocks)
}

/// Chooses the newest snapshot of a fleet's configuration. `wanted` is the fleet's name or id; the
/// id `own` decides between several of that name. Snapshots without an id belong to the only fleet
/// of their name.
fn choose_fleet_snapshot(
    all: Vec<ResticSnapshot>,
    wanted: Option<&str>,
    own: Option<&FleetId>,
    clocks: ClockPair,
) -> Result<ResticSnapshot> {
    let mut fleets: BTreeMap<(String, Option<FleetId>), Vec<ResticSnapshot>> = BTreeMap::new();
    for snapshot in all {
        let Some(name) = snapshot.tag_value("fleet").map(str::to_owned) else {
            continue;
        };
        let key = (name, FleetId::from_snapshot(&snapshot));
        fleets.entry(key).or_default().push(snapshot);
    }
    let names: Vec<String> = fleets.keys().map(|(name, _)| name.clone()).collect();
    for name in names {
        let with_id = fleets.keys().filter(|(n, id)| *n == name && id.is_some());
        let with_id: Vec<_> = with_id.cloned().collect();
        if let [only] = with_id.as_slice()
            && let Some(older) = fleets.remove(&(name, None))
        {
            fleets.entry(only.clone()).or_default().extend(older);
        }
    }
    fleets.retain(|(name, id), _| {
        wanted.is_none_or(|w| w == name || id.as_ref().is_some_and(|id| w == id.to_string()))
    });
    if own.is_some() && fleets.keys().any(|(_, id)| id.as_ref() == own) {
        fleets.retain(|(_, id), _| id.as_ref() == own);
    }
    let said = |(name, id): &(String, Option<FleetId>)| match id {
        Some(id) => format!("{} ({id})", escape_line(name)),
        None => escape_line(name).into_owned(),
    };
    let known: Vec<String> = fleets.keys().map(said).collect();
    let mut of_fleet = match (fleets.len(), fleets.into_values().next(), wanted) {
        (1, Some(all), _) => all,
        (0, _, Some(fleet)) => bail!(
            "{}",
            tr!("the repository holds no snapshot of a fleet {fleet:?}")
        ),
        (0, _, None) => bail!(
            "{}",
            tr!(
                "the repository holds no snapshot of a fleet's configuration: is it the right one?"
            )
        ),
        _ => bail!(
            "{}",
            tr!(
                "the repository holds several fleets, {}: name one with --fleet, by its name or, where two have the same, by its id",
                known.join(", ")
            )
        ),
    };
    of_fleet.sort_by_key(|s| s.time);
    let latest = of_fleet.iter().rposition(|s| !clocks.is_ahead(s.time));
    match latest {
        Some(at) => Ok(of_fleet.swap_remove(at)),
        None => bail!(
            "{}",
            tr!(
                "every snapshot of the fleet's configuration is dated in the future: correct the clock of this machine, or restore config.toml with restic"
            )
        ),
    }
}

/// Unpacks plain files and folders of an archive below `inside`; nothing leaves `to`.
fn unpack_fleet_files(archive: &[u8], inside: &str, to: &Path) -> Result<()> {
    let prefix = inside.trim_matches('/');
    let mut left = MAX_UNPACKED_BYTES;
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry.wrap_err(tr!("the fleet's configuration is no archive"))?;
        let path = entry.path()?.into_owned();
        let name = path.strip_prefix("/").unwrap_or(&path);
        let name = name.strip_prefix(prefix).unwrap_or(name).to_owned();
        let plain = name.components().all(|c| {
            matches!(
                c,
                std::path::Component::Normal(_) | std::path::Component::CurDir
            )
        });
        if !plain || !entry.header().entry_type().is_file() {
            continue;
        }
        let size = entry.size();
        ensure!(
            size <= left,
            "{}",
            tr!("the fleet's configuration is larger than {MAX_UNPACKED_BYTES} bytes")
        );
        left -= size;
        let target = to.join(name);
        if let Some(parent) = target.parent() {
            matou_base::files::make_folder(parent)?;
        }
        let mut file = std::fs::File::create(&target)?;
        std::io::copy(&mut entry, &mut file)?;
    }
    Ok(())
}

/// Removes files of apps/ that are no application's, or that name a file as their stack. Returns a
/// line for each.
fn remove_untrusted_app_files(apps: &Path) -> Vec<String> {
    let mut told = Vec::new();
    for entry in std::fs::read_dir(apps).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let app = name.strip_suffix(".toml");
        let why = match app.is_some_and(matou_stack::is_app_name) {
            false => Some(tr!("it is no application's name").to_owned()),
            true => match read_text(&entry.path(), MAX_CONFIG_BYTES) {
                Ok(text) => untrusted::explain_refused_app_file(&text),
                Err(e) => Some(e.to_string()),
            },
        };
        if let Some(why) = why {
            told.push(tr!("apps/{}: {why}", escape_line(&name)));
            let _ = match entry.path().is_dir() {
                true => std::fs::remove_dir_all(entry.path()),
                false => std::fs::remove_file(entry.path()),
            };
        }
    }
    told.sort();
    told
}

/// Copies a folder of plain files, if it is there.
fn copy_plain_folder(from: &Path, to: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(from) else {
        return Ok(());
    };
    matou_base::files::make_folder(to)?;
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_plain_folder(&entry.path(), &target)?,
            false => {
                let content = std::fs::read(entry.path())?;
                matou_base::files::write_atomically(
                    &target,
                    &content,
                    matou_base::files::READABLE_MODE,
                )?;
            }
        }
    }
    Ok(())
}

/// Returns the configuration with its servers, its repository and its `[ssh]` keys replaced, and
/// without what a repository has no say in. Also returns a line for each key that was left out;
/// these stand as comments at the end of the configuration too.
///
/// # Errors
/// When it can't be read, or names more servers than there are places for.
fn rewrite_fleet_config(text: &str, wanted: &BootstrapOptions) -> Result<(String, Vec<String>)> {
    let mut doc: DocumentMut = text
        .parse()
        .wrap_err(tr!("config.toml of the fleet's snapshot is damaged"))?;
    let left_out = untrusted::strip_untrusted_keys(&mut doc);
    untrusted::overlay_settings(&mut doc, &wanted.settings)
        .wrap_err(tr!("your settings are no TOML"))?;
    let ssh = doc["ssh"].or_insert(Item::Table(Table::new()));
    for (key, text) in &wanted.ssh {
        ssh[key] = value(text.as_str());
    }
    replace_node_addresses(&mut doc, &wanted.servers)?;
    let backup = doc["backup"].or_insert(Item::Table(Table::new()));
    let repository = &wanted.repository;
    if let Some(table) = backup.as_table_like_mut() {
        table.insert("repository", value(repository.location.as_str()));
        if !repository.password_command.is_empty() {
            let words: Array = repository.password_command.iter().collect();
            table.insert("password_command", value(words));
        }
        for (key, file) in [
            ("password_file", &repository.password_file),
            ("environment_file", &repository.environment_file),
        ] {
            if let Some(file) = file {
                table.insert(key, value(file.display().to_string()));
            }
        }
    }
    let mut text = doc.to_string();
    if !left_out.is_empty() {
        text += "\n# Not taken from the repository:\n";
    }
    for line in &left_out {
        text += &format!("# {line}\n");
    }
    Ok((text, left_out))
}

fn node_table_name(node: &Table) -> Option<&str> {
    node.get("name").and_then(Item::as_str)
}

/// Gives nodes the addresses of servers; nodes for which there is none are left out.
fn replace_node_addresses(doc: &mut DocumentMut, servers: &[NewServer]) -> Result<()> {
    let nodes = doc["nodes"].as_array_of_tables_mut().ok_or_else(|| {
        eyre!(
            "{}",
            tr!("config.toml of the fleet's snapshot has no [[nodes]]")
        )
    })?;
    let names: Vec<String> = nodes
        .iter()
        .map(|n| node_table_name(n).unwrap_or_default().to_owned())
        .collect();
    let mut unnamed = servers.iter().filter(|s| s.name.is_none());
    for server in servers.iter().filter_map(|s| s.name.as_ref()) {
        ensure!(
            names.contains(server),
            "{}",
            tr!(
                "no node of the fleet is named {server:?}, only {}",
                names.join(", ")
            )
        );
    }
    let mut kept = Vec::new();
    for node in nodes.iter_mut() {
        let name = node_table_name(node).unwrap_or_default().to_owned();
        let named = servers.iter().find(|s| s.name.as_deref() == Some(&name));
        if let Some(server) = named.or_else(|| unnamed.next()) {
            node["address"] = value(server.address.as_str());
            kept.push(name);
        }
    }
    if let Some(server) = unnamed.next() {
        bail!(
            "{}",
            tr!(
                "there is no place for {}: the fleet had {} nodes, {}",
                server.address,
                names.len(),
                names.join(", ")
            )
        );
    }
    ensure!(
        !kept.is_empty(),
        "{}",
        tr!("name the new servers with --nodes")
    );
    nodes.retain(|n| kept.iter().any(|k| node_table_name(n) == Some(k)));
    let manager = |n: &Table| n.get("role").and_then(Item::as_str) == Some("manager");
    if !nodes.iter().any(manager)
        && let Some(first) = nodes.get_mut(0)
    {
        first["role"] = value("manager");
    }
    let first = nodes.iter().find(|n| manager(n));
    let first = first.and_then(node_table_name).map(str::to_owned);
    let storage = doc.get("storage").and_then(|s| s.get("node"));
    if let Some(node) = storage.and_then(Item::as_str)
        && !kept.iter().any(|k| k == node)
        && let Some(first) = first
    {
        doc["storage"]["node"] = value(first);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# mine
[fleet]
name = "chaton"

[ssh]
user = "root" # log in so

[[nodes]]
name = "master"
address = "192.0.2.1"
role = "manager"
advertise = "10.0.0.1"

[[nodes]]
name = "store"
address = "192.0.2.2"
port = 2222

[storage]
driver = "nfs"
node = "store"

[backup]
repository = "sftp:old:/backups"
password_command = ["pass", "restic"]
environment_file = "old.env"
"#;

    fn wanted(servers: &[&str]) -> BootstrapOptions {
        BootstrapOptions {
            servers: servers.iter().map(|s| s.parse().unwrap()).collect(),
            repository: RepositoryConfig {
                location: "s3:https://s3.example.org/b".into(),
                password_file: Some("/keys/restic".into()),
                ..RepositoryConfig::default()
            },
            ssh: vec![("identity", "/keys/id".into())],
            ..BootstrapOptions::default()
        }
    }

    #[test]
    fn servers_take_the_places_of_nodes_and_the_rest_stays() {
        let (text, left_out) =
            rewrite_fleet_config(TEXT, &wanted(&["203.0.113.1", "store=203.0.113.2"])).unwrap();
        assert!(left_out.is_empty(), "{left_out:?}");
        for expected in [
            "# mine",
            "user = \"root\" # log in so",
            "identity = \"/keys/id\"",
            "address = \"203.0.113.1\"",
            "address = \"203.0.113.2\"",
            "repository = \"s3:https://s3.example.org/b\"",
            "password_file = \"/keys/restic\"",
            "node = \"store\"",
        ] {
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
        for gone in ["192.0.2.", "advertise", "2222", "pass\"", "old.env"] {
            assert!(!text.contains(gone), "{gone} in\n{text}");
        }
        let config = matou_config::Config::parse(&text, Path::new("/fleet/config.toml")).unwrap();
        assert_eq!(config.nodes.len(), 2);
    }

    #[test]
    fn fewer_servers_are_enough_and_more_are_refused() {
        let (text, _) = rewrite_fleet_config(TEXT, &wanted(&["203.0.113.1"])).unwrap();
        assert!(text.contains("node = \"master\""), "{text}");
        assert!(!text.contains("name = \"store\""), "{text}");
        let (text, _) = rewrite_fleet_config(TEXT, &wanted(&["store=203.0.113.1"])).unwrap();
        let config = matou_config::Config::parse(&text, Path::new("/fleet/config.toml")).unwrap();
        assert_eq!(config.nodes[0].role, matou_model::Role::Manager);
        let error = |servers: &[&str]| {
            rewrite_fleet_config(TEXT, &wanted(servers))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error(&["a", "b", "c"]),
            "there is no place for c: the fleet had 2 nodes, master, store"
        );
        assert_eq!(
            error(&["web=a"]),
            "no node of the fleet is named \"web\", only master, store"
        );
    }

    #[test]
    fn the_newest_of_one_fleet_is_chosen_and_none_from_the_future() {
        let at = |hours: i64| Timestamp::from_second(hours * 3600).unwrap();
        let snapshot = |id: &str, name: &str, fleet: Option<&str>, hours| -> ResticSnapshot {
            let mut tags = vec![format!("fleet={name}")];
            tags.extend(fleet.map(|f| format!("fleet-id={f}")));
            let text = serde_json::json!({"id": id, "tags": tags, "time": at(hours)});
            serde_json::from_value(text).unwrap()
        };
        let (a, b) = ("00000000000000aa", "00000000000000bb");
        let clocks = ClockPair {
            here: at(9),
            storage: at(9),
        };
        let chosen = |all: &[ResticSnapshot], wanted| {
            let chosen = choose_fleet_snapshot(all.to_vec(), wanted, None, clocks);
            chosen.map(|s| s.id).map_err(|e| e.to_string())
        };
        let one = [
            snapshot("1", "f", None, 1),
            snapshot("2", "f", Some(a), 2),
            snapshot("3", "f", Some(a), 500),
        ];
        assert_eq!(chosen(&one, None), Ok("2".into()));
        assert_eq!(chosen(&one[..1], Some("f")), Ok("1".into()));
        assert!(
            chosen(&one[2..], None)
                .unwrap_err()
                .contains("in the future")
        );
        let mut two = one.to_vec();
        two.push(snapshot("4", "f", Some(b), 3));
        for wanted in [None, Some("f")] {
            let refused = chosen(&two, wanted).unwrap_err();
            assert!(
                refused.contains(&format!("f, f ({a}), f ({b})")),
                "{refused}"
            );
        }
        assert_eq!(chosen(&two, Some(a)), Ok("2".into()));
        assert_eq!(chosen(&two, Some(b)), Ok("4".into()));
        let own =
            |id| choose_fleet_snapshot(two.clone(), Some("f"), FleetId::parse(id).as_ref(), clocks);
        assert_eq!(own(a).unwrap().id, "2");
        assert!(own("00000000000000cc").is_err());
        assert!(chosen(&two, Some("g")).is_err() && chosen(&[], None).is_err());
    }

    #[test]
    fn an_archive_leaves_nothing_outside_its_folder() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut add = |path: &str, text: &str| {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o600);
            // A hostile archive's name, which the builder itself would refuse.
            let name = &mut header.as_gnu_mut().unwrap().name;
            name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            builder.append(&header, text.as_bytes()).unwrap();
        };
        add("mnt/data/.matou/fleet/config.toml", "a");
        add("/mnt/data/.matou/fleet/apps/blog.toml", "b");
        add("mnt/data/.matou/fleet/../../../../outside", "c");
        let archive = builder.into_inner().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("to");
        std::fs::create_dir(&to).unwrap();
        unpack_fleet_files(&archive, "/mnt/data/.matou/fleet", &to).unwrap();
        assert_eq!(
            std::fs::read_to_string(to.join("config.toml")).unwrap(),
            "a"
        );
        assert_eq!(
            std::fs::read_to_string(to.join("apps/blog.toml")).unwrap(),
            "b"
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
