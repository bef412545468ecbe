//! Volumes that a restore makes. Those of a stack its deploy would make too; those that an adopted application
//! mounts from outside it would not: an engine makes one for the task that wants it, of the driver `local` and
//! without options, which is another volume where it had some.

use matou_i18n::tr;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretBox;

use crate::FleetContext;
use matou_backup::{Manifest, VolumeDriver, VolumeFolder};
use matou_config::Config;
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

impl NewVolume {
    /// Why what the engine answered is not this volume: it gives one of the same name that is there already.
    pub(super) fn find_difference(&self, answer: &str) -> Option<String> {
        let wanted = self.outside.as_ref()?;
        let made: serde_json::Value = serde_json::from_str(answer).unwrap_or_default();
        let options = match made["Options"].as_object() {
            Some(options) => options
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            None => BTreeMap::new(),
        };
        let is_same = made["Driver"] == wanted.name.as_str() && options == wanted.options;
        (!is_same).then(|| describe_replaced(&self.name))
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
        let mut plain = BTreeSet::new();
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
                        if driver == VolumeDriver::plain_local() {
                            plain.insert(name.clone());
                            there.entry(name.clone()).or_insert(driver);
                        } else {
                            there.insert(name.clone(), driver);
                        }
                    }
                    None => {
                        let nodes = lacking.entry(name.clone()).or_default();
                        nodes.push(node.config.name.clone());
                    }
                }
            }
        }
        let found = Self::sort_by_driver(&fleet.config, names, manifest, &there);
        let replaced = found.shared.keys().filter(|name| plain.contains(*name));
        let why: Vec<String> = replaced.map(|name| describe_replaced(name)).collect();
        let refused = found.refused.iter().cloned().chain(why).collect();
        Self {
            lacking,
            refused,
            ..found
        }
    }

    /// Sorts volumes by how they were made; `there` says it of those that are there.
    fn sort_by_driver(
        config: &Config,
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
                && is_replaced(is, was)
            {
                out.refused.push(describe_replaced(name));
                continue;
            }
            let Some(driver) = there.get(name).cloned().or(former) else {
                out.refused.push(describe_unknown(name));
                continue;
            };
            // The snapshot is of that folder, which the storage node has, not of what somebody has mounted from elsewhere.
            let folder = driver.storage_folder(name, config, true);
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

fn describe_replaced(name: &str) -> String {
    tr!(
        "an engine made the volume {name}, without the options that it had: copy away what was written into it since, `docker volume rm {name}` on each node that has it so, then restore"
    )
}

/// Whether an engine made a volume for a task that wanted one of that name, in the place of one with options.
fn is_replaced(is: &VolumeDriver, was: &VolumeDriver) -> bool {
    *is == VolumeDriver::plain_local() && !was.options.is_empty()
}

/// Says which volumes an engine made in the place of those of a snapshot; nothing is put into these.
pub(super) fn find_replaced(
    volumes: &[VolumeFolder],
    manifest: Option<&Manifest>,
) -> BTreeMap<String, String> {
    let replaced = volumes.iter().filter_map(|volume| {
        let mut all = manifest?.volumes.iter();
        let was = former_driver(all.find(|held| held.name == volume.name)?)?;
        let is = volume.outside.as_ref()?;
        is_replaced(is, &was).then(|| (volume.name.clone(), describe_replaced(&volume.name)))
    });
    replaced.collect()
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
        let text = "[[nodes]]\nname = \"m\"\nrole = \"manager\"\n[storage]\nnode = \"m\"\ndriver = \"local\"\n";
        let config = Config::parse(text, std::path::Path::new("config.toml")).unwrap();
        let found = OutsideVolumes::sort_by_driver(&config, &names, Some(&manifest), &there);
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
        // The engine's own word on what it made.
        let wanted = &all[0];
        let as_wanted = r#"{"Name":"pages","Driver":"local","Options":{"type":"nfs","o":"addr=m","device":":/srv/pages"}}"#;
        assert_eq!(wanted.find_difference(as_wanted), None);
        for other in [r#"{"Name":"pages","Driver":"local","Options":null}"#, ""] {
            assert!(wanted.find_difference(other).is_some());
        }
        // A plain one in the place of one with options gets nothing in place.
        let live = |driver: VolumeDriver| held("pages", "/v/pages/_data", Some(driver));
        let found = find_replaced(&[live(VolumeDriver::plain_local())], Some(&manifest));
        assert_eq!(found.keys().collect::<Vec<_>>(), ["pages"]);
        assert!(find_replaced(&[live(nfs_driver())], Some(&manifest)).is_empty());
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
            let found = OutsideVolumes::sort_by_driver(
                &config,
                &[name.to_owned()],
                Some(&manifest),
                &there,
            );
            assert!(found.describe_refused().is_some(), "{name}");
        }
    }
}
