//! A drill: the fleet rebuilt from its repository on a practice fleet of this machine, shut off from
//! the world, to prove that the backups are good.

use std::path::PathBuf;

use color_eyre::eyre::{Context as _, Result, eyre};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use toml_edit::{Array, DocumentMut, Item, Table, value};

use super::bootstrap::{Bootstrap, Server, bootstrap};
use super::report::{Kind, Report, Timeline};
use crate::backup::FleetId;
use crate::backup::identity::Here;
use crate::config::Config;
use crate::job::{Event, Stream};
use crate::lab::{self, Lab, VmOptions};
use crate::ops::{Context, recover};

/// The practice fleet's name.
const NAME: &str = "drill";

/// Concerns that are of no use on machines which live for minutes. `backup` above all: no timer of a
/// drill may write to the repository.
const OFF: [&str; 11] = [
    "upgrades", "time", "files", "swap", "kernel", "sshd", "fail2ban", "firewall", "matou",
    "backup", "metrics",
];

/// The same for containers, which have neither disks nor a kernel of their own.
const OFF_IN_CONTAINERS: [&str; 5] = ["base", "storage", "nfs-server", "nfs-client", "gluster"];

/// How a drill is made.
#[derive(Debug, Clone, Default)]
pub struct DrillOptions {
    /// Virtual machines instead of containers.
    pub vm: bool,
    /// Image archives (`docker save`) to load, where images can't be pulled.
    pub images: Vec<PathBuf>,
    /// Leave the practice fleet there.
    pub keep: bool,
}

/// Rebuilds the fleet of `config` on a practice fleet, which is removed afterwards. `say` is told
/// what happens.
///
/// # Errors
/// When the drill could not be begun. What went wrong on the way is in the report.
pub async fn drill(
    config: &Config,
    options: &DrillOptions,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Report> {
    let lab = Lab::new(NAME)?.sharing(&config.storage.path);
    lab.down().await?;
    let made = rebuild(config, options, &lab, say).await;
    if !options.keep {
        say("removing the practice fleet");
        lab.down().await?;
    }
    made
}

async fn rebuild(
    config: &Config,
    options: &DrillOptions,
    lab: &Lab,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Report> {
    let repository = config
        .backup
        .primary()
        .ok_or_else(|| eyre!("there is no repository: set [backup] repository in config.toml"))?;
    let count = config.nodes.len();
    match options.vm {
        true => lab.up_vms(count, &VmOptions::default(), say).await?,
        false => lab.up(count, lab::Kind::Docker, say).await?,
    }
    for archive in &options.images {
        say(&format!("loading {}", archive.display()));
        lab.load(archive).await?;
    }
    let path = lab.config_path();
    let beside = |name: &str| path.with_file_name(name).display().to_string();
    let servers = lab.nodes().await?.into_iter().zip(&config.nodes);
    let wanted = Bootstrap {
        fleet: Some(config.fleet.name.clone()),
        id: own_id(config).await,
        servers: servers
            .map(|(there, here)| Server {
                name: Some(here.name.clone()),
                address: there.address,
            })
            .collect(),
        repository: repository.clone(),
        ssh: vec![
            ("user", "root".into()),
            ("identity", beside("id_ed25519")),
            ("known_hosts_file", beside("known_hosts")),
            ("known_hosts", "strict".into()),
        ],
        settings: settings(config),
    };
    // restic runs where it will run: the practice fleet's first node.
    let first = Context::open(Config::read(&path)?)?;
    let host = first
        .nodes
        .iter()
        .next()
        .map(|n| n.host.clone())
        .ok_or_else(|| eyre!("the practice fleet has no node"))?;
    let folder = path.with_file_name("fleet");
    let (config_path, snapshot) = bootstrap(&wanted, &folder, Some(host), say).await?;
    first.nodes.close().await;
    let text = std::fs::read_to_string(&config_path)?;
    let text = adapt(&text, options.vm)?;
    crate::files::write(&config_path, text.as_bytes(), crate::files::PRIVATE)?;
    let cx = Context::open(Config::read(&config_path)?)?;
    let report = run(&cx, FleetId::of(&snapshot), say).await;
    cx.nodes.close().await;
    report
}

/// What this machine's configuration says, and none out of a repository does.
fn settings(config: &Config) -> String {
    let mut doc = DocumentMut::new();
    let mut set = |table: &str, key: &str, text: String| {
        doc[table].or_insert(Item::Table(Table::new()))[key] = value(text);
    };
    if let Some(file) = &config.edge.ca_file {
        set("edge", "ca_file", file.display().to_string());
    }
    for (table, name, download) in [
        ("storage", "netshare", &config.storage.netshare),
        ("provision", "restic", &config.provision.restic),
    ] {
        if let Some(download) = download {
            set(table, &format!("{name}_url"), download.url.clone());
            set(table, &format!("{name}_sha256"), download.sha256.clone());
        }
    }
    doc.to_string()
}

/// The fleet's id; none when its storage node can't be asked, because it is gone perhaps.
async fn own_id(config: &Config) -> Option<FleetId> {
    let cx = Context::open(config.clone()).ok()?;
    let here = Here::read(&cx.config, &cx.nodes).await;
    cx.nodes.close().await;
    here.ok()?.id
}

/// The configuration of the fleet, for machines of practice.
fn adapt(text: &str, vm: bool) -> Result<String> {
    let mut doc: DocumentMut = text.parse().wrap_err("config.toml is damaged")?;
    doc.remove("scaleway");
    let provision = doc["provision"].or_insert(Item::Table(Table::new()));
    let mut off: Array = OFF.into_iter().collect();
    if !vm {
        off.extend(OFF_IN_CONTAINERS);
    }
    provision["off"] = value(off);
    provision["docker"] = value("distribution");
    if let Some(storage) = doc.get_mut("storage").and_then(Item::as_table_like_mut) {
        storage.remove("devices");
        storage.remove("gluster");
        if !vm {
            // Nodes that are containers share a folder.
            storage.insert("driver", value("shared"));
        }
    }
    Ok(doc.to_string())
}

async fn run(cx: &Context, id: Option<FleetId>, say: &(dyn Fn(&str) + Sync)) -> Result<Report> {
    let findings = recover::Findings::default();
    let options = recover::Options { isolated: true, id };
    let job = recover::job(cx, &options, &findings)
        .await
        .map_err(|e| eyre!(e))?;
    let plan = cx.runner.plan(&job).await;
    let mut timeline = Timeline::new(&plan);
    let (events, mut arriving) = mpsc::channel(256);
    let running = cx.runner.run(&job, None, events, CancellationToken::new());
    let listening = async {
        while let Some(event) = arriving.recv().await {
            timeline.take(&event);
            if let Some(line) = line(&event) {
                say(&line);
            }
        }
    };
    let (ended, ()) = tokio::join!(running, listening);
    ended?;
    Ok(timeline.report(Kind::Drill, &cx.config.fleet.name, &findings))
}

fn line(event: &Event) -> Option<String> {
    match event {
        Event::Line {
            node,
            text,
            stream: Stream::Note,
            ..
        } => Some(format!("{node}:   {text}")),
        Event::StepDone {
            node,
            step,
            changed: true,
            took,
        } => Some(format!("{node}: {step} ({:.1} s)", took.as_secs_f32())),
        Event::StepFailed {
            node, step, error, ..
        } => Some(format!("{node}: {step} FAILED: {error}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_has_no_timer_no_provider_and_no_disks() {
        let text = "[fleet]\nname = \"f\"\n[[nodes]]\nname = \"a\"\naddress = \"192.0.2.1\"\nrole = \"manager\"\n\
            [storage]\ndriver = \"nfs\"\ndevices = [\"/dev/sdb\"]\n[scaleway]\nzone = \"fr-par-1\"\n\
            security_group = \"11111111-2222-3333-4444-555555555555\"\ntoken_file = \"t\"\n";
        let adapted = adapt(text, false).unwrap();
        let config = Config::parse(&adapted, std::path::Path::new("/f/config.toml")).unwrap();
        assert!(config.scaleway.is_none());
        assert!(config.storage.devices.is_empty());
        assert_eq!(config.storage.driver, crate::config::StorageDriver::Shared);
        assert!(config.provision.off.contains(&"backup".to_owned()));
        let vm = adapt(text, true).unwrap();
        let config = Config::parse(&vm, std::path::Path::new("/f/config.toml")).unwrap();
        assert_eq!(config.storage.driver, crate::config::StorageDriver::Nfs);
        assert!(!config.provision.off.contains(&"nfs-server".to_owned()));
    }
}
