//! The fleet's id, in a file among its own on the storage node, and what it makes of a repository.

use matou_i18n::tr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::app_storage::{FLEET, MANIFEST, backup_storage_node};
use super::error::BackupError;
use super::listing;
use super::messages::ResticSnapshot;
use super::ownership::{ClockPair, FleetId, FleetIdentity, SnapshotView};
use super::restic::Restic;
use super::volume_folder::matou_folder;
use matou_config::Config;
use matou_docker::Nodes;
use matou_host::{Command, Host, shell_script};

/// The id's file, in the fleet's own folder.
pub const ID_FILE: &str = "fleet.id";

/// Prints what the clock says, then the file `$1` where it is there.
const READ: &str = r#"date +%s; [ ! -f "$1" ] || head -c 64 -- "$1""#;

/// Keeps the id `$2` in the folder `$1`, when there is none yet; prints the one that is there then.
/// Whoever comes second gets what the first has written.
const KEEP: &str = shell_script(include_str!("../scripts/keep_identity.sh"));

/// The id in the storage node's file, and what its clock says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageIdentity {
    /// `None` before the first backup with one.
    pub id: Option<FleetId>,
    /// Read in the same call.
    pub clocks: ClockPair,
}

fn fleet_files_folder(config: &Config) -> PathBuf {
    matou_folder(config).join(FLEET)
}

impl StorageIdentity {
    /// Reads the storage node of a fleet: one call.
    ///
    /// # Errors
    /// When it can't be asked.
    pub async fn load(config: &Config, nodes: &Nodes) -> Result<Self, BackupError> {
        let host = &backup_storage_node(config, nodes)?.host;
        let file = fleet_files_folder(config).join(ID_FILE);
        let read = Command::sh(READ)
            .arg(file.display().to_string())
            .sudo()
            .timeout(Duration::from_secs(20))
            .label(tr!("which fleet this is"));
        let text = host.run_ok(&read).await?.stdout_text();
        let here = Timestamp::now();
        let (clock, id) = text.split_once('\n').unwrap_or((&text, ""));
        let clock = clock.trim().parse().ok();
        let storage = clock.and_then(|s| Timestamp::from_second(s).ok());
        let storage = storage
            .ok_or_else(|| BackupError::Wrong(tr!("{} does not tell its time", host.name())))?;
        Ok(Self {
            id: FleetId::parse(id),
            clocks: ClockPair { here, storage },
        })
    }

    /// Makes the view that this fleet has of a repository. When the file is gone, looks for the
    /// fleet's id in the repository.
    ///
    /// # Errors
    /// When the repository can't be read.
    pub async fn into_snapshot_view(
        self,
        config: &Config,
        nodes: &Nodes,
        restic: &Restic,
        all: &[ResticSnapshot],
    ) -> Result<SnapshotView, BackupError> {
        let name = config.fleet.name.clone();
        let id = match self.id {
            Some(id) => Some(id),
            None => match find_namesakes(&name, all).is_empty() {
                true => None,
                false => {
                    find_lost_fleet_id(&name, restic, all, &query_swarm_id(nodes).await).await?
                }
            },
        };
        Ok(SnapshotView::new(
            FleetIdentity { name, id },
            all,
            self.clocks,
        ))
    }
}

/// Reads the storage node's identity and makes the view that this fleet has of a repository, all of
/// whose snapshots are given.
///
/// # Errors
/// When the storage node or the repository can't be asked.
pub async fn load_snapshot_view(
    config: &Config,
    nodes: &Nodes,
    restic: &Restic,
    all: &[ResticSnapshot],
) -> Result<SnapshotView, BackupError> {
    let here = StorageIdentity::load(config, nodes).await?;
    here.into_snapshot_view(config, nodes, restic, all).await
}

/// Writes an id to the storage node, unless it has one already. Returns the one that it has then.
///
/// # Errors
/// When it can't be written.
pub async fn keep_fleet_id(
    config: &Config,
    host: &Host,
    id: &FleetId,
) -> Result<FleetId, BackupError> {
    let folder = fleet_files_folder(config);
    let keep = Command::sh(KEEP)
        .arg(folder.display().to_string())
        .arg(id.to_string())
        .sudo()
        .timeout(Duration::from_secs(60))
        .label(tr!("keep the fleet's id"));
    let text = host.run_ok(&keep).await?.stdout_text();
    FleetId::parse(&text).ok_or_else(|| {
        BackupError::Wrong(tr!(
            "{} on {} holds no id of a fleet: remove it, and the next backup finds it again",
            folder.join(ID_FILE).display(),
            host.name()
        ))
    })
}

/// Asks for the id of the swarm; returns an empty text when no manager answers. The id goes into
/// the fleet's snapshot: a fleet that finds its own swarm there is the same fleet, not another of
/// its name.
pub async fn query_swarm_id(nodes: &Nodes) -> String {
    let Ok(manager) = nodes.find_manager().await else {
        return String::new();
    };
    let ask = Command::new("docker")
        .args(["info", "--format", "{{with .Swarm.Cluster}}{{.ID}}{{end}}"])
        .sudo()
        .timeout(Duration::from_secs(20));
    let text = manager.host.run_ok(&ask).await.map(|out| out.stdout_text());
    text.unwrap_or_default().trim().to_owned()
}

/// Finds the newest snapshot of each fleet of this name that has an id.
pub fn find_namesakes<'a>(
    name: &str,
    all: &'a [ResticSnapshot],
) -> Vec<(FleetId, &'a ResticSnapshot)> {
    let mut found: Vec<(FleetId, &ResticSnapshot)> = Vec::new();
    for snapshot in all {
        if snapshot.tag_value(FLEET) != Some(name) {
            continue;
        }
        let Some(id) = FleetId::from_snapshot(snapshot) else {
            continue;
        };
        match found.iter_mut().find(|(known, _)| *known == id) {
            Some((_, newest)) if newest.time < snapshot.time => *newest = snapshot,
            Some(_) => {}
            None => found.push((id, snapshot)),
        }
    }
    found
}

/// Finds the id of a fleet that lost its file, in the fleet snapshot that the same swarm made. A
/// fleet of the same name with another swarm is another fleet, until `matou recover` says that it
/// is not.
///
/// # Errors
/// When the repository can't be read.
pub async fn find_lost_fleet_id(
    name: &str,
    restic: &Restic,
    all: &[ResticSnapshot],
    swarm: &str,
) -> Result<Option<FleetId>, BackupError> {
    if swarm.is_empty() {
        return Ok(None);
    }
    for (id, snapshot) in find_namesakes(name, all) {
        if read_snapshot_swarm(restic, snapshot).await?.as_deref() == Some(swarm) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// The swarm that a fleet snapshot says it is of.
async fn read_snapshot_swarm(
    restic: &Restic,
    snapshot: &ResticSnapshot,
) -> Result<Option<String>, BackupError> {
    #[derive(serde::Deserialize)]
    struct RawFleetManifest {
        #[serde(default)]
        swarm: String,
    }
    let folder = snapshot
        .paths
        .iter()
        .find(|p| Path::new(p).ends_with(".matou/fleet"));
    let Some(folder) = folder else {
        return Ok(None);
    };
    let text =
        listing::read_small_file(restic, &snapshot.id, &format!("{folder}/{MANIFEST}")).await?;
    let read = text.and_then(|t| serde_json::from_slice::<RawFleetManifest>(&t).ok());
    Ok(read.map(|m| m.swarm))
}
