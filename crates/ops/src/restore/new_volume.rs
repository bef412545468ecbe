//! Volumes that a restore makes. Those of a stack its deploy would make too; those that an adopted application
//! mounts from outside it would not: an engine makes one for the task that wants it, of the driver `local` and
//! without options, which is another volume where it had some.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretBox;

use crate::FleetContext;
use matou_backup::{Manifest, VolumeDriver, VolumeFolder};
use matou_host::{Command, shell_script};

const MAKE_VOLUME: &str = shell_script(include_str!("../../scripts/make_volume.sh"));

/// A volume that has to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewVolume {
    /// The node that gets it; `None` is the storage node.
    pub node: Option<String>,
    /// As the engine names it.
    pub name: String,
    /// How it was made outside of the stack; `None` for one of the stack's own, of the driver `local`.
    pub outside: Option<VolumeDriver>,
}

impl NewVolume {
    /// Whether it is another name for a folder, as on every node.
    pub(super) fn is_shared(&self) -> bool {
        let driver = self.outside.as_ref();
        driver.is_some_and(|d| d.shared_folder(&self.name).is_some())
    }

    /// Returns the command that makes it; `app` is its application, `socket` the engine's.
    pub(super) fn creation_command(&self, app: &str, socket: &Path) -> Command {
        let command = match &self.outside {
            None => Command::new("docker")
                .args(["volume", "create", "--label"])
                .arg(format!("com.docker.stack.namespace={app}"))
                .arg(&self.name),
            // Without the label: the stack does not make it.
            Some(driver) => {
                let wanted = serde_json::json!({
                    "Name": self.name,
                    "Driver": driver.name,
                    "DriverOpts": driver.options,
                });
                Command::sh(MAKE_VOLUME)
                    .arg(socket.display().to_string())
                    .secret_stdin(SecretBox::new(Box::new(wanted.to_string().into_bytes())))
                    .label(format!("docker volume create {}", self.name))
            }
        };
        command.sudo().timeout(Duration::from_secs(30))
    }
}

/// Volumes from outside that a snapshot holds, and that may have to be made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OutsideVolumes {
    /// Those that are a node's own, and how each was made.
    pub own: BTreeMap<String, VolumeDriver>,
    /// Those that are another name for a folder, which is the same everywhere.
    pub shared: BTreeMap<String, (PathBuf, VolumeDriver)>,
    /// Nodes that answer and have no volume of that name.
    lacking: BTreeMap<String, Vec<String>>,
    /// Those that can't be put back, and why.
    refused: Vec<String>,
}

impl OutsideVolumes {
    /// Finds out of the nodes and of a snapshot's manifest how these volumes were made. Those of which the snapshot
    /// has nothing are left to the engine.
    pub(super) async fn find_drivers(
        fleet: &FleetContext,
        names: &[String],
        manifest: Option<&Manifest>,
    ) -> Self {
        if names.is_empty() {
            return Self::default();
        }
        let mut there = BTreeMap::new();
        let mut lacking: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for node in fleet.nodes.iter() {
            // One that does not answer gets none.
            let Ok(volumes) = node.docker.list_volumes().await else {
                continue;
            };
            for name in names {
                match volumes.iter().find(|v| v.name == *name) {
                    Some(found) => {
                        let driver = VolumeDriver {
                            name: found.driver.clone(),
                            options: found.options.clone(),
                        };
                        // Where a task came first, its engine made one without options.
                        let known = there.entry(name.clone()).or_insert_with(|| driver.clone());
                        if known.options.is_empty() {
                            *known = driver;
                        }
                    }
                    None => {
                        let nodes = lacking.entry(name.clone()).or_default();
                        nodes.push(node.config.name.clone());
                    }
                }
            }
        }
        Self {
            lacking,
            ..Self::sort_by_driver(names, manifest, &there)
        }
    }

    /// Sorts volumes by how they were made; `there` says it of those that are there.
    fn sort_by_driver(
        names: &[String],
        manifest: Option<&Manifest>,
        there: &BTreeMap<String, VolumeDriver>,
    ) -> Self {
        let mut out = Self::default();
        for name in names {
            let held = manifest.and_then(|m| m.volumes.iter().find(|v| v.name == *name));
            let Some(held) = held else { continue };
            let former = former_driver(held);
            if let (Some(is), Some(was)) = (there.get(name), &former)
                && is.options.is_empty()
                && !was.options.is_empty()
            {
                out.refused.push(tr!(
                    "the volume {name} was made by an engine, without the options that it had: `docker volume rm {name}` where it is, then restore"
                ));
                continue;
            }
            let Some(driver) = there.get(name).cloned().or(former) else {
                out.refused.push(describe_unknown(name));
                continue;
            };
            let folder = driver.shared_folder(name);
            // The snapshot is of that folder, not of what somebody has mounted from elsewhere.
            let is_same = held.elsewhere.is_none() && folder.as_ref() == Some(&held.folder);
            match folder {
                Some(folder) if is_same => {
                    out.shared.insert(name.clone(), (folder, driver));
                }
                _ if driver.options.contains_key("device") => out.refused.push(tr!(
                    "the volume {name} is mounted from elsewhere while a task uses it: restore into a folder and copy"
                )),
                _ if driver.name == "local" => {
                    out.own.insert(name.clone(), driver);
                }
                _ => out.refused.push(describe_unknown(name)),
            }
        }
        out
    }

    /// Why what a snapshot holds can't be put back; `None` when it can.
    pub(super) fn describe_refused(&self) -> Option<String> {
        self.refused.first().cloned()
    }

    /// Returns a volume that is a node's own, to be made there.
    pub(super) fn make_own(&self, node: Option<String>, name: &str) -> NewVolume {
        NewVolume {
            node,
            name: name.to_owned(),
            outside: self.own.get(name).cloned(),
        }
    }

    /// Those that every node has to know: one that a task comes to would make another one under that name.
    pub(super) fn for_all_nodes(&self) -> Vec<NewVolume> {
        let mut all = Vec::new();
        for (name, (_, driver)) in &self.shared {
            let nodes = self.lacking.get(name).into_iter().flatten();
            all.extend(nodes.map(|node| NewVolume {
                node: Some(node.clone()),
                name: name.clone(),
                outside: Some(driver.clone()),
            }));
        }
        all
    }
}

fn describe_unknown(name: &str) -> String {
    tr!(
        "the volume {name} was made outside of the stack, and matou can't make it again: make it as it was (`docker volume create`), then restore"
    )
}

/// How a volume of a snapshot was made; `None` where it does not say that.
fn former_driver(held: &VolumeFolder) -> Option<VolumeDriver> {
    if let Some(driver) = &held.outside {
        return Some(driver.clone());
    }
    // Of before the adoption: it says where the volume was, and an engine's own folder has no options.
    let at = held.elsewhere.as_ref().map_or(&held.folder, |e| &e.folder);
    let is_own = at.ends_with(format!("volumes/{}/_data", held.name));
    is_own.then(VolumeDriver::plain_local)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nfs_driver() -> VolumeDriver {
        let options = [("type", "nfs"), ("o", "addr=m"), ("device", ":/srv/pages")];
        let options = options.map(|(k, v)| (k.to_owned(), v.to_owned()));
        VolumeDriver {
            options: options.into(),
            ..VolumeDriver::plain_local()
        }
    }

    #[test]
    fn a_volume_is_made_as_it_was() {
        let held = |name: &str, folder: &str, outside: Option<VolumeDriver>| VolumeFolder {
            outside,
            ..VolumeFolder::here(name, folder.into())
        };
        let plugin = VolumeDriver {
            name: "cloud".into(),
            ..VolumeDriver::plain_local()
        };
        let before = "/var/lib/docker/volumes/before/_data";
        let manifest = Manifest {
            app: "web".into(),
            fleet: "f".into(),
            time: jiff::Timestamp::UNIX_EPOCH,
            volumes: vec![
                held("plain", "/v/plain/_data", Some(VolumeDriver::plain_local())),
                held("pages", "/srv/pages", Some(nfs_driver())),
                held("before", before, None),
                held("old", "/srv/old", None),
                held("cloud", "/c", Some(plugin)),
                held("there", "/srv/pages", None),
            ],
            left_out: Vec::new(),
            dumps: Vec::new(),
            images: Vec::new(),
            missed: Vec::new(),
            stack: String::new(),
        };
        let names = ["plain", "pages", "before", "there", "not held"].map(str::to_owned);
        let there = [("there".to_owned(), nfs_driver())].into();
        let found = OutsideVolumes::sort_by_driver(&names, Some(&manifest), &there);
        assert_eq!(found.describe_refused(), None);
        let own: Vec<&str> = found.own.keys().map(String::as_str).collect();
        assert_eq!(own, ["before", "plain"]);
        let shared: Vec<&str> = found.shared.keys().map(String::as_str).collect();
        assert_eq!(shared, ["pages", "there"]);
        // A node that has it keeps it.
        let lacking = [("pages".to_owned(), vec!["n2".to_owned()])].into();
        let all = OutsideVolumes { lacking, ..found }.for_all_nodes();
        assert_eq!(all.len(), 1);
        assert_eq!(
            (all[0].node.as_deref(), all[0].outside.clone()),
            (Some("n2"), Some(nfs_driver()))
        );
        // One of a server of somebody else, and one that an engine made in the place of the one that was there.
        let plain = || VolumeDriver::plain_local();
        for (name, there) in [
            ("old", None),
            ("cloud", None),
            ("before", Some(nfs_driver())),
            ("pages", Some(plain())),
        ] {
            let there = there.map(|driver| (name.to_owned(), driver));
            let there = there.into_iter().collect();
            let found = OutsideVolumes::sort_by_driver(&[name.to_owned()], Some(&manifest), &there);
            assert!(found.describe_refused().is_some(), "{name}");
        }
    }
}
