//! Who uses the folders that a restore exchanges: services of the application, services of others that
//! mount the same volume or folder, and containers that are no service's. Who goes on through an
//! exchange writes into the folder that was set aside.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;

use crate::config::StorageDriver;
use crate::docker::NodeHandle;
use crate::host::Command;
use crate::job::{Cx, StepError};
use crate::ops::Context;

/// A node that takes longer to say what runs there is told as silent.
const ANSWER: Duration = Duration::from_secs(15);

/// Prints a line of JSON for each service.
const SERVICES: &str = r#"ids=$(docker service ls -q) || exit
[ -z "$ids" ] || docker service inspect --format '{"name":{{json .Spec.Name}},"mounts":{{json .Spec.TaskTemplate.ContainerSpec.Mounts}}}' -- $ids"#;

/// Prints a line of JSON for each container that runs. One that has just gone is none.
const CONTAINERS: &str = r#"ids=$(docker ps -q --no-trunc) || exit
for id in $ids; do
    docker inspect --format '{"name":{{json .Name}},"service":{{json (index .Config.Labels "com.docker.swarm.service.name")}},"mounts":{{json .Mounts}}}' -- "$id" 2>/dev/null || :
done"#;

/// A mount as the engine tells it: of a service by its name or path, of a container both.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Mount {
    #[serde(rename = "Type")]
    kind: String,
    name: String,
    source: String,
}

#[derive(Debug, Deserialize)]
struct User {
    name: String,
    #[serde(default)]
    service: Option<String>,
    #[serde(default)]
    mounts: Option<Vec<Mount>>,
}

/// Who uses some folders.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Users {
    /// Services, by name.
    pub services: BTreeSet<String>,
    /// Containers that are no service's: name and node.
    pub containers: Vec<(String, String)>,
    /// Nodes that did not tell what runs there.
    pub silent: Vec<String>,
}

/// The folders in question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folders {
    /// Names of volumes.
    pub volumes: Vec<String>,
    /// Folders of the storage node.
    pub paths: Vec<PathBuf>,
}

impl Folders {
    /// Whether a mount is one of them, or lies in one of them. `named` and `shared` say whether
    /// volumes, and paths, of the node in question are those of the storage node.
    fn hold(&self, mount: &Mount, named: bool, shared: bool) -> bool {
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

fn read(text: &str) -> Vec<User> {
    // A line that can't be understood is of an engine that tells nothing.
    let lines = text.lines();
    lines.filter_map(|l| serde_json::from_str(l).ok()).collect()
}

/// Asks the swarm and every engine. `manager` is the work seen from a manager.
///
/// # Errors
/// When the swarm can't be asked; a node that is silent is told in the answer.
pub(super) async fn find(
    cx: &Context,
    manager: &Cx,
    folders: &Folders,
) -> Result<Users, StepError> {
    let mut users = Users::default();
    let ask = Command::sh(SERVICES)
        .sudo()
        .timeout(Duration::from_secs(60))
        .label("which services mount what");
    let text = manager.host.run_ok(&ask).await?.text();
    let local = cx.config.storage.driver == StorageDriver::Local;
    for user in read(&text) {
        let mounts = user.mounts.unwrap_or_default();
        // Where its tasks run is not known: a volume of that name, or that path, may be the one.
        if mounts.iter().any(|m| folders.hold(m, true, true)) {
            users.services.insert(user.name);
        }
    }
    let asked = cx.nodes.iter().map(|node| async move {
        let ask = Command::sh(CONTAINERS)
            .sudo()
            .timeout(ANSWER)
            .label("which containers mount what");
        (node, node.host.run_ok(&ask).await)
    });
    for (node, said) in join_all(asked).await {
        let Ok(said) = said else {
            users.silent.push(node.config.name.clone());
            continue;
        };
        let storage = is_storage(cx, node);
        let shared = storage || cx.config.storage.driver == StorageDriver::Shared;
        for user in read(&said.text()) {
            let mounts = user.mounts.unwrap_or_default();
            let mut mounts = mounts.iter();
            if !mounts.any(|m| folders.hold(m, storage || !local, shared)) {
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

fn is_storage(cx: &Context, node: &NodeHandle) -> bool {
    node.config.name == cx.config.storage.node
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines are an engine's own.
    #[test]
    fn a_mount_is_known_by_its_volume_and_by_its_folder() {
        let folders = Folders {
            volumes: vec!["common".into()],
            paths: vec!["/mnt/data/common".into()],
        };
        let text = r#"{"name":"shb_web","mounts":[{"Type":"volume","Source":"common","Target":"/data"}]}
{"name":"files_web","mounts":[{"Type":"bind","Source":"/mnt/data/common/sub","Target":"/x","ReadOnly":true}]}
{"name":"other_web","mounts":[{"Type":"bind","Source":"/mnt/data/common2","Target":"/x"}]}
{"name":"plain","mounts":null}
no json
{"name":"/busy_haslett","service":"","mounts":[{"Type":"volume","Name":"common","Source":"/var/lib/docker/volumes/common/_data","Destination":"/data","Driver":"local","Mode":"z","RW":true,"Propagation":""}]}"#;
        let found: Vec<String> = read(text)
            .into_iter()
            .filter(|u| {
                let mut mounts = u.mounts.iter().flatten();
                mounts.any(|m| folders.hold(m, true, true))
            })
            .map(|u| u.name)
            .collect();
        assert_eq!(found, ["shb_web", "files_web", "/busy_haslett"]);
        // The same path on a node that shares nothing is another folder.
        let bind = &read(text)[1];
        let mut mounts = bind.mounts.iter().flatten();
        assert!(!mounts.any(|m| folders.hold(m, true, false)));
    }
}
