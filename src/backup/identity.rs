//! The fleet's id, in a file among its own on the storage node, and what it makes of a repository.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::error::BackupError;
use super::layout::{FLEET, MANIFEST, data, storage};
use super::listing;
use super::messages::Snapshot;
use super::ownership::{Clocks, FleetId, Identity, View};
use super::restic::Restic;
use crate::config::Config;
use crate::docker::Nodes;
use crate::host::{Command, Host};

/// The id's file, in the fleet's own folder.
pub const ID_FILE: &str = "fleet.id";

/// Prints what the clock says, then the file `$1` where it is there.
const READ: &str = r#"date +%s; [ ! -f "$1" ] || head -c 64 -- "$1""#;

/// Keeps the id `$2` in the folder `$1`, when there is none yet; prints the one that is there then.
/// Whoever comes second gets what the first has written.
const KEEP: &str = r#"set -e; umask 077; d=$1
mkdir -p -m 700 -- "$d"; exec 9<"$d"
flock -w 30 9 || { echo "another one has written here for half a minute" >&2; exit 1; }
if ! grep -qxE '[0-9a-f]{16}' -- "$d/fleet.id" 2>/dev/null; then
    printf '%s\n' "$2" >"$d/fleet.id.new"; sync; mv -f -T -- "$d/fleet.id.new" "$d/fleet.id"
fi
cat -- "$d/fleet.id""#;

/// What the file of a storage node says, and its clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    pub id: Option<FleetId>,
    pub clocks: Clocks,
}

fn folder(config: &Config) -> PathBuf {
    data(config).join(FLEET)
}

impl Here {
    /// Reads the storage node of a fleet: one call.
    ///
    /// # Errors
    /// When it can't be asked.
    pub async fn read(config: &Config, nodes: &Nodes) -> Result<Self, BackupError> {
        let host = &storage(config, nodes)?.host;
        let file = folder(config).join(ID_FILE);
        let read = Command::sh(READ)
            .arg(file.display().to_string())
            .sudo()
            .timeout(Duration::from_secs(20))
            .label("which fleet this is");
        let text = host.run_ok(&read).await?.text();
        let here = Timestamp::now();
        let (clock, id) = text.split_once('\n').unwrap_or((&text, ""));
        let clock = clock.trim().parse().ok();
        let storage = clock.and_then(|s| Timestamp::from_second(s).ok());
        let storage = storage
            .ok_or_else(|| BackupError::Wrong(format!("{} does not tell its time", host.name())))?;
        Ok(Self {
            id: FleetId::read(id),
            clocks: Clocks { here, storage },
        })
    }

    /// What this fleet sees in a repository. Where the file is gone, its id is found there again.
    ///
    /// # Errors
    /// When the repository can't be read.
    pub async fn view(
        self,
        config: &Config,
        nodes: &Nodes,
        restic: &Restic,
        all: &[Snapshot],
    ) -> Result<View, BackupError> {
        let name = config.fleet.name.clone();
        let id = match self.id {
            Some(id) => Some(id),
            None => match namesakes(&name, all).is_empty() {
                true => None,
                false => found(&name, restic, all, &swarm(nodes).await).await?,
            },
        };
        Ok(View::new(Identity { name, id }, all, self.clocks))
    }
}

/// What this fleet sees in a repository, all of whose snapshots are given.
///
/// # Errors
/// When the storage node or the repository can't be asked.
pub async fn view(
    config: &Config,
    nodes: &Nodes,
    restic: &Restic,
    all: &[Snapshot],
) -> Result<View, BackupError> {
    let here = Here::read(config, nodes).await?;
    here.view(config, nodes, restic, all).await
}

/// Keeps an id on the storage node, unless it has one already; answers with the one that it has.
///
/// # Errors
/// When it can't be written.
pub async fn keep(config: &Config, host: &Host, id: &FleetId) -> Result<FleetId, BackupError> {
    let folder = folder(config);
    let keep = Command::sh(KEEP)
        .arg(folder.display().to_string())
        .arg(id.to_string())
        .sudo()
        .timeout(Duration::from_secs(60))
        .label("keep the fleet's id");
    let text = host.run_ok(&keep).await?.text();
    FleetId::read(&text).ok_or_else(|| {
        BackupError::Wrong(format!(
            "{} on {} holds no id of a fleet: remove it, and the next backup finds it again",
            folder.join(ID_FILE).display(),
            host.name()
        ))
    })
}

/// The swarm that the fleet is; nothing when nobody can tell. It goes into the fleet's snapshot: a fleet
/// that finds it there is the same one, not another of its name.
pub async fn swarm(nodes: &Nodes) -> String {
    let Ok(manager) = nodes.manager().await else {
        return String::new();
    };
    let ask = Command::new("docker")
        .args(["info", "--format", "{{with .Swarm.Cluster}}{{.ID}}{{end}}"])
        .sudo()
        .timeout(Duration::from_secs(20));
    let text = manager.host.run_ok(&ask).await.map(|out| out.text());
    text.unwrap_or_default().trim().to_owned()
}

/// The newest snapshot of each fleet of this name that has an id.
pub fn namesakes<'a>(name: &str, all: &'a [Snapshot]) -> Vec<(FleetId, &'a Snapshot)> {
    let mut found: Vec<(FleetId, &Snapshot)> = Vec::new();
    for snapshot in all {
        if snapshot.tag(FLEET) != Some(name) {
            continue;
        }
        let Some(id) = FleetId::of(snapshot) else {
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

/// The id of a fleet that lost its file: of the fleet snapshot that was made by the same swarm. A fleet
/// of the same name and another swarm is another one, until `matou recover` says that it is not.
///
/// # Errors
/// When the repository can't be read.
pub async fn found(
    name: &str,
    restic: &Restic,
    all: &[Snapshot],
    swarm: &str,
) -> Result<Option<FleetId>, BackupError> {
    if swarm.is_empty() {
        return Ok(None);
    }
    for (id, snapshot) in namesakes(name, all) {
        if made_by(restic, snapshot).await?.as_deref() == Some(swarm) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// The swarm that a fleet snapshot says it is of.
async fn made_by(restic: &Restic, snapshot: &Snapshot) -> Result<Option<String>, BackupError> {
    #[derive(serde::Deserialize)]
    struct OfFleet {
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
    let text = listing::small_file(restic, &snapshot.id, &format!("{folder}/{MANIFEST}")).await?;
    let read = text.and_then(|t| serde_json::from_slice::<OfFleet>(&t).ok());
    Ok(read.map(|m| m.swarm))
}
