//! A drill: the fleet rebuilt from its repository on a practice fleet of this machine, shut off from
//! the world, to prove that the backups are good.

use matou_base::text::format_tenths;
use matou_i18n::tr;
use std::path::PathBuf;

use color_eyre::eyre::{Context as _, Result, eyre};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use toml_edit::{Array, DocumentMut, Item, Table, value};

use super::bootstrap::{BootstrapOptions, NewServer, bootstrap_fleet_folder};
use super::report::{RecoveryKind, RecoveryReport, Timeline};
use super::untrusted::overlay_settings;
use matou_backup::FleetId;
use matou_backup::identity::StorageIdentity;
use matou_config::{Config, RepositoryConfig};
use matou_job::{JobEvent, OutputStream};
use matou_lab as lab;
use matou_lab::{Lab, VmOptions};
use matou_ops::{FleetContext, recover};

/// The practice fleet's name.
const LAB_NAME: &str = "drill";

/// Concerns that are of no use on machines which live for minutes. `backup` above all: no timer of a
/// drill may write to the repository.
const CONCERNS_OFF: [&str; 14] = [
    "upgrades", "time", "files", "swap", "kernel", "sshd", "fail2ban", "firewall", "matou",
    "backup", "metrics", "alerts", "jobs", "room",
];

/// Further concerns that are off on containers, which have neither disks nor a kernel of their own.
const CONCERNS_OFF_IN_CONTAINERS: [&str; 5] =
    ["base", "storage", "nfs-server", "nfs-client", "gluster"];

/// How a drill is made.
#[derive(Debug, Clone, Default)]
pub struct DrillOptions {
    /// Virtual machines instead of containers.
    pub vm: bool,
    /// Image archives (`docker save`) to load, where images can't be pulled.
    pub images: Vec<PathBuf>,
    /// Leave the practice fleet there.
    pub keep: bool,
    /// Settings for the practice fleet, as in config.toml: they go over what is taken from the repository. `[dns]`
    /// comes from here alone: the names of the fleet itself stay where they lead.
    pub settings: String,
}

/// Rebuilds the fleet of `config` on a practice fleet, which is removed afterwards unless
/// [`DrillOptions::keep`] is set. Calls `say` with a line for what happens.
///
/// # Errors
/// When the drill could not be begun. What went wrong on the way is in the report.
pub async fn run_drill(
    config: &Config,
    options: &DrillOptions,
    say: &(dyn Fn(&str) + Sync),
) -> Result<RecoveryReport> {
    let lab = Lab::new(LAB_NAME)?.with_shared_folder(&config.storage.path);
    lab.down().await?;
    let made = rebuild_on_lab(config, options, &lab, say).await;
    if !options.keep {
        say(tr!("removing the practice fleet"));
        lab.down().await?;
    }
    made
}

/// Checks what can be checked before there is a practice fleet. Returns the repository that a drill reads.
///
/// # Errors
/// There is no repository; the settings are no TOML, or would lead the fleet's own names to the practice fleet.
pub fn check_drill<'a>(config: &'a Config, options: &DrillOptions) -> Result<&'a RepositoryConfig> {
    let repository = config.backup.primary_repository().ok_or_else(|| {
        eyre!(
            "{}",
            tr!("there is no repository: set [backup] repository in config.toml")
        )
    })?;
    refuse_own_names(config, &options.settings)?;
    Ok(repository)
}

async fn rebuild_on_lab(
    config: &Config,
    options: &DrillOptions,
    lab: &Lab,
    say: &(dyn Fn(&str) + Sync),
) -> Result<RecoveryReport> {
    let repository = check_drill(config, options)?;
    let count = config.nodes.len();
    match options.vm {
        true => lab.up_vms(count, &VmOptions::default(), say).await?,
        false => lab.up(count, lab::LabKind::Docker, say).await?,
    }
    for archive in &options.images {
        say(&tr!("loading {}", archive.display()));
        lab.load_images(archive).await?;
    }
    let path = lab.config_path();
    let beside = |name: &str| path.with_file_name(name).display().to_string();
    let servers = lab.list_nodes().await?.into_iter().zip(&config.nodes);
    let wanted = BootstrapOptions {
        fleet: Some(config.fleet.name.clone()),
        id: query_fleet_id(config).await,
        servers: servers
            .map(|(there, here)| NewServer {
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
        settings: add_settings(&render_operator_settings(config), &options.settings)?,
    };
    // As in the recovery itself, restic runs on the first node of the practice fleet.
    let first = FleetContext::open(Config::read_file(&path)?)?;
    let host = first
        .nodes
        .iter()
        .next()
        .map(|n| n.host.clone())
        .ok_or_else(|| eyre!("{}", tr!("the practice fleet has no node")))?;
    let folder = path.with_file_name("fleet");
    let (config_path, snapshot) = bootstrap_fleet_folder(&wanted, &folder, Some(host), say).await?;
    first.nodes.close().await;
    let text = std::fs::read_to_string(&config_path)?;
    let text = adapt_config_to_lab(&text, options.vm)?;
    matou_base::files::write_atomically(
        &config_path,
        text.as_bytes(),
        matou_base::files::PRIVATE_MODE,
    )?;
    let cx = FleetContext::open(Config::read_file(&config_path)?)?;
    let report = run_drill_recovery(&cx, FleetId::from_snapshot(&snapshot), say).await;
    cx.nodes.close().await;
    report
}

/// Returns those settings of this machine's configuration that are never taken from a repository.
fn render_operator_settings(config: &Config) -> String {
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

/// Puts settings over others.
fn add_settings(below: &str, over: &str) -> Result<String> {
    let mut doc: DocumentMut = below.parse()?;
    overlay_settings(&mut doc, over).wrap_err(tr!("the settings are no TOML"))?;
    Ok(doc.to_string())
}

/// Refuses settings by which the names of the fleet itself would lead to the practice fleet.
fn refuse_own_names(config: &Config, settings: &str) -> Result<()> {
    let given: DocumentMut = settings.parse().wrap_err(tr!("the settings are no TOML"))?;
    let (Some(own), Some(dns)) = (&config.dns, given.get("dns")) else {
        return Ok(());
    };
    // What can be checked before there is a practice fleet.
    let mut doc = DocumentMut::new();
    doc["fleet"]["name"] = value(config.fleet.name.as_str());
    let mut nodes = toml_edit::ArrayOfTables::new();
    for node in &config.nodes {
        let mut table = Table::new();
        table["name"] = value(node.name.as_str());
        table["address"] = value("127.0.0.1");
        table["role"] = value("manager");
        nodes.push(table);
    }
    doc["nodes"] = Item::ArrayOfTables(nodes);
    doc["dns"] = dns.clone();
    let path = config.path.clone().unwrap_or_default();
    let drill = Config::parse(&doc.to_string(), &path)
        .map_err(|e| eyre!("{}", tr!("[dns] of the settings: {}", e.message)))?;
    match drill.dns.as_ref().and_then(|d| d.find_shared_zone(own)) {
        None => Ok(()),
        Some(zone) => Err(eyre!(
            "{}",
            tr!(
                "[dns] of the settings is where the fleet's own names are: visitors of {zone} would be led to the practice fleet; give the drill a name server of its own"
            )
        )),
    }
}

/// Asks the storage node for the fleet's id; `None` when it does not answer.
async fn query_fleet_id(config: &Config) -> Option<FleetId> {
    let cx = FleetContext::open(config.clone()).ok()?;
    let here = StorageIdentity::load(&cx.config, &cx.nodes).await;
    cx.nodes.close().await;
    here.ok()?.id
}

/// Returns the fleet's configuration adapted to the practice fleet.
fn adapt_config_to_lab(text: &str, vm: bool) -> Result<String> {
    let mut doc: DocumentMut = text.parse().wrap_err(tr!("config.toml is damaged"))?;
    doc.remove("scaleway");
    let provision = doc["provision"].or_insert(Item::Table(Table::new()));
    let mut off: Array = CONCERNS_OFF.into_iter().collect();
    if !vm {
        off.extend(CONCERNS_OFF_IN_CONTAINERS);
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

async fn run_drill_recovery(
    cx: &FleetContext,
    id: Option<FleetId>,
    say: &(dyn Fn(&str) + Sync),
) -> Result<RecoveryReport> {
    let findings = recover::RecoveryFindings::default();
    let options = recover::RebuildOptions { isolated: true, id };
    let job = recover::build_recovery_job(cx, &options, &findings)
        .await
        .map_err(|e| eyre!(e))?;
    let plan = cx.runner.plan(&job).await;
    let mut timeline = Timeline::new(&plan);
    let (events, mut arriving) = mpsc::channel(256);
    let running = cx.runner.run(&job, None, events, CancellationToken::new());
    let listening = async {
        while let Some(event) = arriving.recv().await {
            timeline.record_event(&event);
            if let Some(line) = format_drill_event(&event) {
                say(&line);
            }
        }
    };
    let (ended, ()) = tokio::join!(running, listening);
    ended?;
    Ok(timeline.build_report(RecoveryKind::Drill, &cx.config.fleet.name, &findings))
}

fn format_drill_event(event: &JobEvent) -> Option<String> {
    match event {
        JobEvent::Line {
            node,
            text,
            stream: OutputStream::Note,
            ..
        }
        | JobEvent::Answered { node, text, .. } => Some(format!("{node}:   {text}")),
        JobEvent::StepDone {
            node,
            step,
            changed: true,
            took,
        } => Some(tr!(
            "{node}: {step} ({} s)",
            format_tenths(took.as_secs_f64())
        )),
        JobEvent::StepFailed {
            node, step, error, ..
        } => Some(tr!("{node}: {step} FAILED: {error}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_drill_come_from_its_own_settings_alone() {
        let text = "[fleet]\nname = \"f\"\n[[nodes]]\nname = \"a\"\naddress = \"192.0.2.1\"\nrole = \"manager\"\n\
            [dns]\nprovider = \"gandi\"\nzones = [\"example.org\"]\ntoken_file = \"t\"\n\
            [edge]\nca_file = \"ca.pem\"\n";
        let config = Config::parse(text, std::path::Path::new("/f/config.toml")).unwrap();
        let own = render_operator_settings(&config);
        assert!(!own.contains("dns") && own.contains("/f/ca.pem"), "{own}");
        let given = "[dns]\nzones = [\"drill.example.org\"]\n";
        let both = add_settings(&own, given).unwrap();
        assert!(
            both.contains("drill.example.org") && both.contains("/f/ca.pem"),
            "{both}"
        );
        assert!(add_settings(&own, "[dns").is_err());
        let names = |more: &str| {
            let dns = format!(
                "[dns]\nprovider = \"gandi\"\nzones = [\"example.org\"]\ntoken_file = \"t\"\n{more}"
            );
            refuse_own_names(&config, &dns)
        };
        let refused = names("").unwrap_err().to_string();
        assert!(refused.contains("visitors of example.org"), "{refused}");
        names("endpoint = \"http://127.0.0.1:80\"\n").unwrap();
        names("addresses = [\"a\"]\nendpoint = \"http://127.0.0.1:80\"\n").unwrap();
        assert!(names("ttl = 0\n").is_err());
        refuse_own_names(&config, "").unwrap();
    }

    #[test]
    fn a_drill_has_no_timer_no_provider_and_no_disks() {
        let text = "[fleet]\nname = \"f\"\n[[nodes]]\nname = \"a\"\naddress = \"192.0.2.1\"\nrole = \"manager\"\n\
            [storage]\ndriver = \"nfs\"\ndevices = [\"/dev/sdb\"]\n[scaleway]\nzone = \"fr-par-1\"\n\
            security_group = \"11111111-2222-3333-4444-555555555555\"\ntoken_file = \"t\"\n";
        let adapted = adapt_config_to_lab(text, false).unwrap();
        let config = Config::parse(&adapted, std::path::Path::new("/f/config.toml")).unwrap();
        assert!(config.scaleway.is_none());
        assert!(config.storage.devices.is_empty());
        assert_eq!(config.storage.driver, matou_config::StorageDriver::Shared);
        assert!(config.provision.off.contains(&"backup".to_owned()));
        let vm = adapt_config_to_lab(text, true).unwrap();
        let config = Config::parse(&vm, std::path::Path::new("/f/config.toml")).unwrap();
        assert_eq!(config.storage.driver, matou_config::StorageDriver::Nfs);
        assert!(!config.provision.off.contains(&"nfs-server".to_owned()));
    }
}
