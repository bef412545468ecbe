//! Finds who uses the folders that a restore swaps: services of the application, services of others
//! that mount the same volume or folder, and containers that belong to no service. Whoever goes on
//! running during a swap writes into the set-aside folder.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;

use crate::FleetContext;
use matou_backup::RestoreState;
use matou_config::StorageDriver;
use matou_docker::NodeHandle;
use matou_host::{Command, shell_script};
use matou_job::{StepContext, StepError};

/// A node that takes longer to say what runs there is told as silent.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// Prints a line of JSON for each service.
const LIST_SERVICES: &str = shell_script(include_str!("../../scripts/list_service_mounts.sh"));

/// Prints a line of JSON for each container that runs. One that has just gone is none.
const LIST_CONTAINERS: &str = shell_script(include_str!("../../scripts/list_container_mounts.sh"));

/// A mount as Docker has it: a service's has a name or a path, a container's has both.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawMount {
    #[serde(rename = "Type")]
    kind: String,
    name: String,
    source: String,
}

#[derive(Debug, Deserialize)]
struct RawFolderUser {
    name: String,
    #[serde(default)]
    service: Option<String>,
    #[serde(default)]
    mounts: Option<Vec<RawMount>>,
}

/// Who uses some folders.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct FolderUsers {
    /// Services, by name.
    pub services: BTreeSet<String>,
    /// Containers that are no service's: name and node.
    pub containers: Vec<(String, String)>,
    /// Nodes that did not tell what runs there.
    pub silent: Vec<String>,
}

/// The folders in question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SwappedFolders {
    /// Names of volumes.
    pub volumes: Vec<String>,
    /// Folders of the storage node.
    pub paths: Vec<PathBuf>,
    /// Other nodes that have some of the volumes.
    pub nodes: BTreeSet<String>,
}

impl SwappedFolders {
    /// Those that a restore exchanges.
    pub(super) fn of_state(state: &RestoreState) -> Self {
        let here = state.swaps.iter().filter(|s| s.node.is_none());
        Self {
            volumes: state.volumes.clone(),
            paths: here.map(|s| s.live.clone()).collect(),
            nodes: state.swaps.iter().filter_map(|s| s.node.clone()).collect(),
        }
    }

    /// Whether a mount is one of the folders, or lies in one. `named` says whether volumes of the
    /// mount's node are those of the storage node, `shared` whether its paths are.
    fn contain_mount(&self, mount: &RawMount, named: bool, shared: bool) -> bool {
        let inside = |path: &PathBuf| Path::new(&mount.source).starts_with(path);
        let volume = match mount.kind.as_str() {
            "volume" if mount.name.is_empty() => &mount.source,
            "volume" => &mount.name,
            _ => "",
        };
        (named && self.volumes.iter().any(|v| v == volume))
            || (shared && mount.source.starts_with('/') && self.paths.iter().any(inside))
    }
}

fn parse_folder_users(text: &str) -> Vec<RawFolderUser> {
    // Lines that can't be parsed are skipped.
    let lines = text.lines();
    lines.filter_map(|l| serde_json::from_str(l).ok()).collect()
}

/// Asks the swarm and every engine. `manager` is the work seen from a manager.
///
/// # Errors
/// When the swarm can't be asked; a node that is silent is told in the answer.
pub(super) async fn find_folder_users(
    fleet: &FleetContext,
    manager: &StepContext,
    folders: &SwappedFolders,
) -> Result<FolderUsers, StepError> {
    let mut users = FolderUsers::default();
    let ask = Command::sh(LIST_SERVICES)
        .sudo()
        .timeout(Duration::from_secs(60))
        .label(tr!("which services mount what"));
    let text = manager.host.run_ok(&ask).await?.stdout_text();
    let local = fleet.config.storage.driver == StorageDriver::Local;
    for user in parse_folder_users(&text) {
        let mounts = user.mounts.unwrap_or_default();
        // The node of its tasks is not known, so any volume or path of that name counts.
        if mounts.iter().any(|m| folders.contain_mount(m, true, true)) {
            users.services.insert(user.name);
        }
    }
    let asked = fleet.nodes.iter().map(|node| async move {
        let ask = Command::sh(LIST_CONTAINERS)
            .sudo()
            .timeout(ANSWER_LIMIT)
            .label(tr!("which containers mount what"));
        (node, node.host.run_ok(&ask).await)
    });
    for (node, said) in join_all(asked).await {
        let Ok(said) = said else {
            users.silent.push(node.config.name.clone());
            continue;
        };
        let storage = is_storage_node(fleet, node);
        let named = storage || !local || folders.nodes.contains(&node.config.name);
        let shared = storage || fleet.config.storage.driver == StorageDriver::Shared;
        for user in parse_folder_users(&said.stdout_text()) {
            let mounts = user.mounts.unwrap_or_default();
            let mut mounts = mounts.iter();
            if !mounts.any(|m| folders.contain_mount(m, named, shared)) {
                continue;
            }
            match user.service.filter(|s| !s.is_empty()) {
                Some(service) => drop(users.services.insert(service)),
                None => {
                    let name = user.name.trim_start_matches('/').to_owned();
                    users.containers.push((name, node.config.name.clone()));
                }
            }
        }
    }
    Ok(users)
}

fn is_storage_node(fleet: &FleetContext, node: &NodeHandle) -> bool {
    node.config.name == fleet.config.storage.node
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines are an engine's own.
    #[test]
    fn a_mount_is_known_by_its_volume_and_by_its_folder() {
        let folders = SwappedFolders {
            volumes: vec!["common".into()],
            paths: vec!["/mnt/data/common".into()],
            nodes: BTreeSet::new(),
        };
        let text = r#"{"name":"shb_web","mounts":[{"Type":"volume","Source":"common","Target":"/data"}]}
{"name":"files_web","mounts":[{"Type":"bind","Source":"/mnt/data/common/sub","Target":"/x","ReadOnly":true}]}
{"name":"other_web","mounts":[{"Type":"bind","Source":"/mnt/data/common2","Target":"/x"}]}
{"name":"plain","mounts":null}
no json
{"name":"/busy_haslett","service":"","mounts":[{"Type":"volume","Name":"common","Source":"/var/lib/docker/volumes/common/_data","Destination":"/data","Driver":"local","Mode":"z","RW":true,"Propagation":""}]}"#;
        let found: Vec<String> = parse_folder_users(text)
            .into_iter()
            .filter(|u| {
                let mut mounts = u.mounts.iter().flatten();
                mounts.any(|m| folders.contain_mount(m, true, true))
            })
            .map(|u| u.name)
            .collect();
        assert_eq!(found, ["shb_web", "files_web", "/busy_haslett"]);
        // The same path on a node that shares nothing is another folder.
        let bind = &parse_folder_users(text)[1];
        let mut mounts = bind.mounts.iter().flatten();
        assert!(!mounts.any(|m| folders.contain_mount(m, true, false)));
    }
}
