//! On which nodes the data of a volume is, and what of it no backup can reach. Docker's driver `local` keeps
//! a volume on the node where a task first wanted it: under one name each node may have another one.

use matou_i18n::tr;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::error::BackupError;
use super::volume_folder::{VolumeDriver, VolumeElsewhere, VolumeFolder, volume_copy_folder};
use matou_config::Config;
use matou_docker::Nodes;
use matou_model::{Swarm, TaskState, Volume};

/// What is known of the nodes' volumes.
pub(super) struct VolumePlaces {
    /// Node and its volumes, of those that answer.
    found: Vec<(String, Vec<Volume>)>,
    /// Nodes that don't answer, and why.
    silent: BTreeMap<String, String>,
    swarm: Swarm,
    /// The name that config.toml has for a node of the swarm, by the swarm's id.
    names: BTreeMap<String, String>,
}

/// Where one volume is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PlacedVolume {
    /// One for each node that has it and uses it.
    pub folders: Vec<VolumeFolder>,
    /// What no backup reaches, a sentence each.
    pub left_out: Vec<String>,
    /// It is on no node, and all of them answer.
    pub is_nowhere: bool,
}

impl VolumePlaces {
    /// Asks every node for its volumes, and a manager for what runs where.
    ///
    /// # Errors
    /// No manager answers.
    pub(super) async fn query(nodes: &Nodes) -> Result<Self, BackupError> {
        let failed = |e: matou_docker::DockerError| BackupError::Wrong(e.to_string());
        let manager = nodes.find_manager().await.map_err(failed)?;
        let swarm = manager.docker.query_swarm().await.map_err(failed)?;
        let (mut found, mut silent) = (Vec::new(), BTreeMap::new());
        for node in nodes.iter() {
            let name = node.config.name.clone();
            match node.docker.list_volumes().await {
                Ok(volumes) => found.push((name, volumes)),
                Err(e) => drop(silent.insert(name, e.to_string())),
            }
        }
        let ids = swarm.nodes.iter().map(|n| n.id.clone());
        let names = ids.filter_map(|id| Some((id.clone(), nodes.find_name(&swarm, &id)?)));
        Ok(Self {
            names: names.collect(),
            found,
            silent,
            swarm,
        })
    }

    /// The nodes on which tasks that mount the volume run. Of a node that is down the manager says
    /// what ran there last.
    fn users(&self, volume: &str) -> BTreeSet<String> {
        let mounts = |id: &str| {
            let mut services = self.swarm.services.iter();
            services.any(|s| s.id == id && s.volumes.iter().any(|v| v == volume))
        };
        let tasks = self.swarm.tasks.iter();
        let tasks = tasks.filter(|t| t.state == TaskState::Running && mounts(&t.service_id));
        tasks
            .map(|t| {
                let name = self.names.get(&t.node_id);
                name.cloned().unwrap_or_else(|| t.node_id.clone())
            })
            .collect()
    }

    /// How a volume was made that has its data in `folder`: where several nodes have one, that of this node counts.
    fn find_driver(&self, volume: &str, node: &str, folder: &Path) -> Option<VolumeDriver> {
        let has = self.found.iter().filter_map(|(at, volumes)| {
            let driver = driver_of(volumes.iter().find(|v| v.name == volume)?);
            let is_there = driver.shared_folder(volume).as_deref() == Some(folder);
            Some(((is_there, at == node), driver))
        });
        let (_, driver) = has.max_by_key(|(fits, _)| *fits)?;
        Some(driver)
    }

    /// Notes in folders of a volume that no stack says anything of how it was made. `storage` is the storage node.
    pub(super) fn note_drivers(&self, folders: &mut [VolumeFolder], storage: &str) {
        for folder in folders {
            let node = folder
                .elsewhere
                .as_ref()
                .map_or(storage, |e| e.node.as_str());
            folder.outside = self.find_driver(&folder.name, node, &folder.folder);
        }
    }

    /// Finds another stack that has made a volume and mounts it.
    pub(super) fn find_maker(&self, app: &str, volume: &str) -> Option<&str> {
        let mounts = |stack: &str| {
            let mut services = self.swarm.services.iter();
            services
                .any(|s| s.stack.as_deref() == Some(stack) && s.volumes.iter().any(|v| v == volume))
        };
        let found = self.found.iter().flat_map(|(_, volumes)| volumes);
        let mut makers = found
            .filter(|v| v.name == volume)
            .filter_map(|v| v.stack.as_deref());
        makers.find(|&stack| stack != app && mounts(stack))
    }

    /// Finds the data of a volume: on the nodes where tasks use it, or, when none does, on all that
    /// have it.
    pub(super) fn place(&self, app: &str, name: &str, config: &Config) -> PlacedVolume {
        let kept = config.storage.node.as_str();
        let users = self.users(name);
        let has = self.found.iter().filter_map(|(node, volumes)| {
            let volume = volumes.iter().find(|v| v.name == name)?;
            Some((node.as_str(), volume))
        });
        let has: Vec<(&str, &Volume)> = has.collect();
        let mut out = PlacedVolume::default();
        // The local driver with a device is a folder that somebody else chose, the same everywhere.
        if let Some(folder) = has
            .iter()
            .find_map(|(node, v)| driver_of(v).storage_folder(name, config, *node == kept))
        {
            out.folders.push(VolumeFolder::here(name, folder));
            return out;
        }
        for (node, volume) in &has {
            let used = users.contains(*node);
            if !users.is_empty() && !used {
                continue;
            }
            if let Some(why) = find_unreadable(volume, used) {
                out.left_out.push(tr!("the volume {name} on {node}: {why}"));
            } else if *node == kept {
                let folder = PathBuf::from(&volume.mountpoint);
                out.folders.push(VolumeFolder::here(name, folder));
            } else {
                let copy = volume_copy_folder(config, app, node, name).join("data");
                out.folders.push(VolumeFolder {
                    elsewhere: Some(VolumeElsewhere {
                        node: (*node).to_owned(),
                        folder: volume.mountpoint.clone().into(),
                    }),
                    ..VolumeFolder::here(name, copy)
                });
            }
        }
        for user in users.iter().filter(|u| !has.iter().any(|(n, _)| n == u)) {
            let why = match self.silent.get(user) {
                Some(why) => why.as_str(),
                None => tr!("that node is not in config.toml, or has no such volume"),
            };
            out.left_out.push(tr!("the volume {name} on {user}: {why}"));
        }
        // Without a task nothing says that a silent node has it; where nobody else does it may.
        if has.is_empty() && users.is_empty() {
            match self.silent.first_key_value() {
                None => out.is_nowhere = true,
                Some((node, why)) => out.left_out.push(tr!(
                    "the volume {name}: no node that answers has it, and {node} does not: {why}"
                )),
            }
        }
        out
    }
}

fn driver_of(volume: &Volume) -> VolumeDriver {
    VolumeDriver {
        name: volume.driver.clone(),
        options: volume.options.clone(),
    }
}

/// Why nobody can read a volume where it is.
fn find_unreadable(volume: &Volume, used: bool) -> Option<String> {
    if volume.options.get("type").is_some_and(|t| t == "tmpfs") {
        return Some(tr!("it is in memory (tmpfs), so nothing of it lasts").to_owned());
    }
    let local = volume.driver == "local";
    if local && volume.options.contains_key("device") && !used {
        return Some(
            tr!("it is mounted from elsewhere while a task uses it, and none does").to_owned(),
        );
    }
    (!volume.mountpoint.starts_with('/') || !(local || used)).then(|| {
        tr!(
            "its driver {} has it nowhere where it could be read: back it up by that driver's own means",
            matou_base::text::clean_line(&volume.driver)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_model::{Service, ServiceMode, Task};

    fn volume(driver: &str, options: &[(&str, &str)]) -> Volume {
        Volume {
            name: "shop_files".into(),
            driver: driver.into(),
            mountpoint: "/v/shop_files/_data".into(),
            options: options
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            stack: None,
            users: Vec::new(),
            created_at: None,
        }
    }

    fn swarm(running_on: &[&str]) -> Swarm {
        let service = Service {
            id: "s".into(),
            name: "shop_web".into(),
            stack: Some("shop".into()),
            image: "x".into(),
            mode: ServiceMode::Global,
            wanted: 1,
            running: 1,
            volumes: vec!["shop_files".into()],
            ..Service::default()
        };
        let task = |node: &&str| Task {
            id: format!("t-{node}"),
            service_id: "s".into(),
            slot: None,
            node_id: (*node).to_owned(),
            state: TaskState::Running,
            desired: TaskState::Running,
            message: String::new(),
            error: String::new(),
            container_id: None,
            exit_code: None,
            ended_unasked: false,
            iteration: None,
            image: "x".into(),
            outdated: false,
            since: None,
        };
        Swarm {
            services: vec![service],
            tasks: running_on.iter().map(task).collect(),
            ..Swarm::default()
        }
    }

    /// Where the volume is, in words: `n1` here, `n2=` brought from there, `!` left out.
    fn place(has: &[&str], silent: &[&str], running_on: &[&str], of: &Volume) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let text = "[[nodes]]\nname = \"n1\"\nrole = \"manager\"\n[storage]\nnode = \"n1\"\ndriver = \"local\"\n";
        std::fs::write(&path, text).unwrap();
        let config = Config::read_file(&path).unwrap();
        let all = ["n1", "n2", "n3"];
        let volumes = |n: &&&str| match has.contains(*n) {
            true => vec![of.clone()],
            false => Vec::new(),
        };
        let answering = all.iter().filter(|n| !silent.contains(n));
        let places = VolumePlaces {
            found: answering.map(|n| ((*n).to_owned(), volumes(&n))).collect(),
            silent: silent
                .iter()
                .map(|n| ((*n).to_owned(), "it is down".to_owned()))
                .collect(),
            swarm: swarm(running_on),
            names: all
                .iter()
                .map(|n| ((*n).to_owned(), (*n).to_owned()))
                .collect(),
        };
        let placed = places.place("shop", "shop_files", &config);
        if placed.is_nowhere {
            return "nowhere".to_owned();
        }
        let folders = placed.folders.iter().map(|f| match &f.elsewhere {
            Some(e) => format!("{}=", e.node),
            None => "n1".to_owned(),
        });
        let left = placed.left_out.iter().map(|_| "!".to_owned());
        folders.chain(left).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_volume_is_where_tasks_use_it() {
        let local = volume("local", &[]);
        for (has, silent, running_on, expected) in [
            (&["n1"][..], &[][..], &["n1"][..], "n1"),
            (&["n2"], &[], &["n2"], "n2="),
            // What a move has left behind is none of it.
            (&["n1", "n2"], &[], &["n2"], "n2="),
            (&["n1", "n2", "n3"], &[], &["n1", "n2", "n3"], "n1 n2= n3="),
            (&["n1", "n2"], &["n3"], &["n1", "n2", "n3"], "n1 n2= !"),
            // Stopped: all that there is.
            (&["n1", "n3"], &[], &[], "n1 n3="),
            (&[], &["n3"], &["n3"], "!"),
            (&[], &["n3"], &[], "!"),
            (&[], &[], &[], "nowhere"),
        ] {
            let found = place(has, silent, running_on, &local);
            assert_eq!(found, expected, "{has:?} {silent:?} {running_on:?}");
        }
    }

    #[test]
    fn a_volume_is_of_the_stack_that_made_it_and_mounts_it() {
        let of = |stack: Option<&str>| Volume {
            stack: stack.map(str::to_owned),
            ..volume("local", &[("type", "nfs"), ("device", ":/srv/files")])
        };
        let places = |stack: Option<&str>| VolumePlaces {
            found: vec![
                ("n1".to_owned(), vec![volume("local", &[])]),
                ("n2".to_owned(), vec![of(stack)]),
            ],
            silent: BTreeMap::new(),
            swarm: swarm(&["n1"]),
            names: BTreeMap::new(),
        };
        let maker = |stack, app: &str| {
            let places = places(stack);
            places.find_maker(app, "shop_files").map(str::to_owned)
        };
        assert_eq!(maker(Some("shop"), "blog").as_deref(), Some("shop"));
        assert_eq!(maker(Some("shop"), "shop"), None);
        // It was removed, and its volumes stayed.
        assert_eq!(maker(Some("gone"), "blog"), None);
        assert_eq!(maker(None, "blog"), None);
        let driver = |name: &str, folder: &str| {
            let places = places(None);
            places.find_driver(name, "n1", Path::new(folder))
        };
        assert_eq!(
            driver("shop_files", "/v"),
            Some(VolumeDriver::plain_local())
        );
        let shared = driver("shop_files", "/srv/files").unwrap();
        let folder = shared.shared_folder("shop_files");
        assert_eq!(folder, Some("/srv/files".into()));
        assert_eq!(driver("other", "/v"), None);
    }

    #[test]
    fn what_nobody_can_read_is_said() {
        let of = |v: &Volume, on: &[&str]| place(&["n2"], &[], on, v);
        let memory = volume("local", &[("type", "tmpfs"), ("device", "tmpfs")]);
        assert_eq!(of(&memory, &["n2"]), "!");
        assert_eq!(of(&volume("cloud", &[]), &[]), "!");
        assert_eq!(of(&volume("cloud", &[]), &["n2"]), "n2=");
        let nfs = volume("local", &[("device", ":/srv/shop_files"), ("type", "nfs")]);
        assert_eq!(of(&nfs, &["n2"]), "n1");
        // What is the storage node's by its path alone is somebody else's: it is read where a task has it.
        let nas = [
            ("device", ":/srv/shop_files"),
            ("type", "nfs"),
            ("o", "rw,addr=nas"),
        ];
        for options in [
            &nas[..],
            &[("device", "//nas/shop"), ("type", "cifs")],
            &[("device", "/dev/sdb1"), ("type", "ext4")],
            &[
                ("device", "/srv/shop_files"),
                ("type", "none"),
                ("o", "bind"),
            ],
        ] {
            let foreign = volume("local", options);
            assert_eq!(of(&foreign, &["n2"]), "n2=", "{options:?}");
            assert_eq!(of(&foreign, &[]), "!", "{options:?}");
        }
        let mut nowhere = volume("cloud", &[]);
        nowhere.mountpoint = String::new();
        assert_eq!(of(&nowhere, &["n2"]), "!");
    }
}
