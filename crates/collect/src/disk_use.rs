//! Reads what fills the disks of the nodes: the engines say what they keep, one script measures folders.

use matou_i18n::tr;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use crate::{CollectError, ImageNames, ImageUser};
use matou_backup::{list_app_names, matou_folder};
use matou_base::text::SafeText;
use matou_config::Config;
use matou_docker::{NodeHandle, Nodes};
use matou_host::{Command, Host, shell_script};
use matou_model::{
    DiskUse, DiskUseKind, EngineContainer, EngineDisk, FileSystemUse, NodeDiskUse, Swarm, Volume,
};

/// How long the folders of a node may be measured.
const MEASURE_LIMIT: Duration = Duration::from_secs(120);

/// What the script may take longer: it begins and ends what it measures with.
const SPARE_TIME: Duration = Duration::from_secs(20);

/// Lines of the script that are read: entries of folders.
const MAX_LINES: usize = 100_000;

/// Measures the folders `$2`… in `$1` seconds.
const SCRIPT: &str = shell_script(include_str!("../scripts/measure_folders.sh"));

/// Where restic keeps what it knows of repositories, on the nodes.
const RESTIC_CACHE: &str = "/var/cache/matou/restic";

/// The number under which the engine's folder of volumes is measured.
const ENGINE_VOLUMES: usize = 4;

/// Where journald keeps its files.
const JOURNAL: &str = "/var/log/journal";

/// Reads what fills the disks of a fleet's nodes.
pub struct DiskReader<'a> {
    config: &'a Config,
    nodes: &'a Nodes,
    swarm: Swarm,
    names: Option<ImageNames>,
}

/// What a folder takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderSize {
    /// Place in the list of what was asked for.
    pub number: usize,
    /// The entry of the folder; empty for the folder itself, `None` where its name is not plain.
    pub name: Option<String>,
    /// Bytes; `None`: there was no time left.
    pub bytes: Option<u64>,
}

/// What the script said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Measured {
    /// By the number of what was measured.
    file_systems: HashMap<usize, FileSystemUse>,
    sizes: Vec<FolderSize>,
}

impl<'a> DiskReader<'a> {
    /// Asks a manager what the swarm needs. Without one, images that no container of their node uses are
    /// taken for used.
    pub async fn open(config: &'a Config, nodes: &'a Nodes) -> Self {
        let mut reader = Self {
            config,
            nodes,
            swarm: Swarm::default(),
            names: None,
        };
        if let Ok(manager) = nodes.find_manager().await {
            reader.swarm = manager.docker.query_swarm().await.unwrap_or_default();
            let raw = manager.docker.list_raw_services().await;
            reader.names = raw.ok().map(|raw| ImageNames::from_services(&raw));
        }
        reader
    }

    /// Adds names of images that more than the swarm's services need.
    pub fn add_image(&mut self, image: &str, user: ImageUser) {
        if let Some(names) = &mut self.names {
            names.add(image, user);
        }
    }

    /// What fills the disks of these nodes; of all, in the order of config.toml, when none is named.
    pub async fn read_nodes(&self, wanted: &[String]) -> Vec<NodeDiskUse> {
        let nodes = self
            .nodes
            .iter()
            .filter(|n| wanted.is_empty() || wanted.contains(&n.config.name));
        let reading = nodes.map(|node| async move {
            let mut found = self.read_node(node).await.unwrap_or_else(|e| NodeDiskUse {
                problem: Some(e.into()),
                ..NodeDiskUse::default()
            });
            found.node.clone_from(&node.config.name);
            found
        });
        futures_util::future::join_all(reading).await
    }

    async fn read_node(&self, node: &NodeHandle) -> Result<NodeDiskUse, CollectError> {
        let (disk, root, volumes) = tokio::try_join!(
            node.docker.query_disk(),
            node.docker.query_root_folder(),
            node.docker.list_volumes(),
        )?;
        let of_engine = |folder: &str| Path::new(&root).join(folder).display().to_string();
        let mut places = vec![
            ("one", "/".to_owned(), None),
            (
                "logs",
                of_engine("containers"),
                Some(DiskUseKind::ContainerLog),
            ),
            (
                "one",
                RESTIC_CACHE.to_owned(),
                Some(DiskUseKind::ResticCache),
            ),
            ("one", JOURNAL.to_owned(), Some(DiskUseKind::Journal)),
            ("each", of_engine("volumes"), Some(DiskUseKind::Volume)),
        ];
        if node.config.name == self.config.storage.node {
            let own = matou_folder(self.config).display().to_string();
            places.push((
                "each",
                format!("{own}/restores"),
                Some(DiskUseKind::SetAside),
            ));
            places.push(("each", format!("{own}/dumps"), Some(DiskUseKind::Dumps)));
            places.push(("each", own, Some(DiskUseKind::Matou)));
            let data = self.config.storage.path.display().to_string();
            places.push(("each", data, Some(DiskUseKind::Volume)));
        }
        // The root is only asked for its file system: measuring all of it takes too long.
        let asked = places.iter().map(|(how, path, kind)| match kind {
            Some(_) => format!("{how}:{path}"),
            None => format!("none:{path}"),
        });
        let measured = run_script(&node.host, asked).await?;
        let mut found = NodeDiskUse::default();
        for number in 0..places.len() {
            if let Some(file_system) = measured.file_systems.get(&number)
                && !found
                    .file_systems
                    .iter()
                    .any(|f| f.mount == file_system.mount)
            {
                found.file_systems.push(file_system.clone());
            }
        }
        let mount_of = |number: usize| measured.file_systems.get(&number).map(|f| f.mount.clone());
        let kinds: Vec<Option<DiskUseKind>> = places.iter().map(|(.., kind)| *kind).collect();
        found.uses = self.sort_sizes(&measured, &kinds, &disk.containers, &volumes);
        // The engine's own folder holds images and containers.
        if let Some(mount) = mount_of(1).or_else(|| mount_of(0)) {
            found.uses.extend(self.sort_engine_disk(&disk, &mount));
        }
        found.settle();
        Ok(found)
    }

    /// Says whose each measured folder is.
    fn sort_sizes(
        &self,
        measured: &Measured,
        kinds: &[Option<DiskUseKind>],
        containers: &[EngineContainer],
        volumes: &[Volume],
    ) -> Vec<DiskUse> {
        let apps = list_app_names(self.config, &self.swarm);
        let app_of_volume = |name: &str| {
            let labelled = volumes.iter().find(|v| v.name == name);
            let stack = labelled.and_then(|v| v.stack.as_deref());
            let named = apps.iter().filter(|app| {
                let rest = name.strip_prefix(app.as_str());
                rest.is_some_and(|rest| rest.starts_with('_'))
            });
            let named = named.max_by_key(|app| app.len());
            stack
                .or(named.map(|app| app.as_str()))
                .map(SafeText::from_line)
        };
        let mut uses: Vec<DiskUse> = Vec::new();
        for size in &measured.sizes {
            let kind = kinds.get(size.number).copied().flatten();
            let file_system = measured.file_systems.get(&size.number);
            let (Some(kind), Some(file_system)) = (kind, file_system) else {
                continue;
            };
            let name = size.name.as_deref();
            // The engine keeps more in its folder of volumes than volumes.
            let of_engine = size.number == ENGINE_VOLUMES;
            if of_engine && !volumes.iter().any(|v| Some(v.name.as_str()) == name) {
                continue;
            }
            let (shown, app) = match (kind, name) {
                (DiskUseKind::Volume, Some(name)) => (name.to_owned(), app_of_volume(name)),
                (DiskUseKind::ContainerLog, Some(id)) => {
                    match containers.iter().find(|c| c.id == id) {
                        Some(c) => (c.name.clone(), c.stack.as_ref().map(SafeText::from_line)),
                        None => (tr!("container {}", id.get(..12).unwrap_or(id)), None),
                    }
                }
                // Measured one by one.
                (DiskUseKind::Matou, Some("restores" | "dumps")) => continue,
                (DiskUseKind::SetAside, Some(name)) => {
                    let app = name.strip_suffix(".json").unwrap_or(name);
                    (name.to_owned(), Some(SafeText::from_line(app)))
                }
                (DiskUseKind::Dumps, Some(name)) => {
                    (name.to_owned(), Some(SafeText::from_line(name)))
                }
                (_, Some("")) => (kind.name().to_owned(), None),
                (_, Some(name)) => (name.to_owned(), None),
                (_, None) => (tr!("others").to_owned(), None),
            };
            uses.push(DiskUse {
                kind,
                name: SafeText::from_line(shown),
                app,
                bytes: size.bytes,
                mount: file_system.mount.clone(),
                bytes_a_week: None,
            });
        }
        uses
    }

    /// What the engine itself says it keeps.
    fn sort_engine_disk(&self, disk: &EngineDisk, mount: &SafeText) -> Vec<DiskUse> {
        let one = |kind, name: &str, app: Option<&String>, bytes| DiskUse {
            kind,
            name: SafeText::from_line(name),
            app: app.map(SafeText::from_line),
            bytes: Some(bytes),
            mount: mount.clone(),
            bytes_a_week: None,
        };
        let mut uses = Vec::new();
        for image in &disk.images {
            let mut users = disk.containers.iter().filter(|c| c.image_id == image.id);
            let user = self.names.as_ref().map(|names| names.find_user(image));
            let kind = match user {
                _ if users.next().is_some() => DiskUseKind::ImageInUse,
                Some(Some(ImageUser::Rollback(_))) => DiskUseKind::ImageForRollback,
                Some(None) => DiskUseKind::ImageUnused,
                _ => DiskUseKind::ImageInUse,
            };
            uses.push(one(kind, &image.display_name(), None, image.own_size()));
        }
        let own: u64 = disk.images.iter().map(|image| image.own_size()).sum();
        let shared = disk.images_size.saturating_sub(own);
        if shared > 0 {
            uses.push(one(
                DiskUseKind::ImageShared,
                tr!("shared layers"),
                None,
                shared,
            ));
        }
        let containers = disk.containers.iter().filter(|c| c.written > 0);
        uses.extend(containers.map(|c| {
            let kind = DiskUseKind::Container;
            one(kind, &c.name, c.stack.as_ref(), c.written)
        }));
        let cache = disk.build_cache.iter().filter(|entry| !entry.shared);
        let cache: u64 = cache.map(|entry| entry.size).sum();
        if cache > 0 {
            uses.push(one(
                DiskUseKind::BuildCache,
                tr!("build cache"),
                None,
                cache,
            ));
        }
        uses
    }
}

/// Measures folders of a node, each with what is below it on the same file system.
///
/// # Errors
/// The node does not answer.
pub async fn measure_folders(
    host: &Host,
    folders: &[String],
) -> Result<Vec<FolderSize>, CollectError> {
    let asked = folders.iter().map(|folder| format!("one:{folder}"));
    Ok(run_script(host, asked).await?.sizes)
}

/// Asks for the file system of a node's engine: images and containers are there. Nothing is measured.
///
/// # Errors
/// The node does not answer, or does not say it.
pub async fn read_engine_file_system(node: &NodeHandle) -> Result<FileSystemUse, CollectError> {
    let root = node.docker.query_root_folder().await?;
    let folder = Path::new(&root).join("containers").display().to_string();
    let mut measured = run_script(&node.host, [format!("none:{folder}")].into_iter()).await?;
    measured.file_systems.remove(&0).ok_or_else(|| {
        let name = &node.config.name;
        CollectError::failed(tr!("{name} does not say how much of {root} is free: `df`"))
    })
}

async fn run_script(
    host: &Host,
    asked: impl Iterator<Item = String>,
) -> Result<Measured, CollectError> {
    let command = Command::sh(SCRIPT)
        .arg(MEASURE_LIMIT.as_secs().to_string())
        .args(asked)
        .sudo()
        .timeout(MEASURE_LIMIT + SPARE_TIME)
        .label(tr!("measure the folders"));
    let output = host.run_ok(&command).await?;
    Ok(parse_measured(&output.stdout_text()))
}

fn parse_measured(text: &str) -> Measured {
    let mut measured = Measured::default();
    let kib = |text: &str| Some(text.parse::<u64>().ok()?.saturating_mul(1024));
    for line in text.lines().take(MAX_LINES) {
        let mut words = line.splitn(6, ' ');
        let (what, number) = (words.next(), words.next());
        let Some(number) = number.and_then(|n| n.parse().ok()) else {
            continue;
        };
        let rest: Vec<&str> = words.collect();
        match (what, rest.as_slice()) {
            (Some("fs"), [total, used, free, mount]) => {
                let (Some(total), Some(used), Some(free)) = (kib(total), kib(used), kib(free))
                else {
                    continue;
                };
                let file_system = FileSystemUse {
                    mount: SafeText::from_line(mount),
                    total,
                    used,
                    free,
                    rest: 0,
                    full_in_days: None,
                };
                measured.file_systems.insert(number, file_system);
            }
            (Some("size"), [size, name]) => measured.sizes.push(FolderSize {
                number,
                name: match *name {
                    "?" => None,
                    "." => Some(String::new()),
                    name => Some(name.to_owned()),
                },
                bytes: kib(size),
            }),
            _ => {}
        }
    }
    measured
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn measure(seconds: &str, asked: &[String]) -> Measured {
        let ran = std::process::Command::new("sh")
            .args(["-c", SCRIPT, "sh", seconds])
            .args(asked)
            .output()
            .unwrap();
        assert!(ran.status.success() && ran.stderr.is_empty(), "{ran:?}");
        parse_measured(&String::from_utf8(ran.stdout).unwrap())
    }

    fn du(path: &Path) -> u64 {
        let ran = std::process::Command::new("du")
            .arg("-skx")
            .arg(path)
            .output();
        let text = String::from_utf8(ran.unwrap().stdout).unwrap();
        text.split('\t').next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// The script on this machine, beside `du` and `df`.
    #[test]
    fn folders_are_measured_whatever_they_are_called() {
        let made = tempfile::tempdir().unwrap();
        let data = made.path().join("da ta");
        for name in ["shop_db", "-rf", "size 9 1 x\nsize 0 1 shop_db", "$(id)"] {
            std::fs::create_dir_all(data.join(name)).unwrap();
            std::fs::write(data.join(name).join("file"), vec![1; 300_000]).unwrap();
        }
        // What a link leads to is not counted, nor entered.
        let outside = made.path().join("outside");
        std::fs::write(&outside, vec![1; 5_000_000]).unwrap();
        symlink(&outside, data.join("link")).unwrap();
        symlink(&outside, data.join("shop_db/link")).unwrap();
        let path = |path: &Path| path.display().to_string();
        let asked = [
            format!("each:{}", path(&data)),
            format!("one:{}", path(&data)),
            format!("one:{}", path(&made.path().join("nowhere"))),
            format!("one:{}", path(&data.join("link"))),
        ];
        let measured = measure("60", &asked);
        assert!(measured.sizes.iter().all(|s| s.number < 2), "{measured:?}");
        let of = |number, name: &str| {
            let mut sizes = measured.sizes.iter();
            let found = sizes.find(|s| s.number == number && s.name.as_deref() == Some(name));
            found.and_then(|s| s.bytes)
        };
        assert_eq!(of(0, "shop_db"), Some(du(&data.join("shop_db"))));
        assert_eq!(of(1, ""), Some(du(&data)));
        let odd = measured.sizes.iter().filter(|s| s.name.is_none());
        // `-rf` is made of plain characters alone.
        assert_eq!(odd.count(), 2);
        assert!(of(0, "-rf").is_some());
        let file_system = &measured.file_systems[&0];
        let ran = std::process::Command::new("df")
            .arg("-Pk")
            .arg(&data)
            .output();
        let text = String::from_utf8(ran.unwrap().stdout).unwrap();
        let line = text.lines().nth(1).unwrap();
        let total = (file_system.total / 1024).to_string();
        assert!(line.split_whitespace().any(|word| word == total), "{line}");
        assert!(line.ends_with(file_system.mount.as_str()), "{line}");
    }

    #[test]
    fn logs_of_containers_are_measured_and_nothing_beside_them() {
        let made = tempfile::tempdir().unwrap();
        let one = made.path().join("0a1b");
        std::fs::create_dir_all(one.join("local-logs")).unwrap();
        std::fs::write(one.join("0a1b-json.log"), vec![1; 100_000]).unwrap();
        std::fs::write(one.join("0a1b-json.log.1"), vec![1; 100_000]).unwrap();
        std::fs::write(one.join("config.v2.json"), vec![1; 100_000]).unwrap();
        std::fs::create_dir_all(made.path().join("empty")).unwrap();
        let measured = measure("60", &[format!("logs:{}", made.path().display())]);
        let wanted = du(&one.join("0a1b-json.log"))
            + du(&one.join("0a1b-json.log.1"))
            + du(&one.join("local-logs"));
        let [size] = measured.sizes.as_slice() else {
            panic!("{measured:?}");
        };
        assert_eq!(size.name.as_deref(), Some("0a1b"));
        assert_eq!(size.bytes, Some(wanted));
    }

    #[test]
    fn what_there_is_no_time_for_is_told() {
        let made = tempfile::tempdir().unwrap();
        std::fs::create_dir(made.path().join("a")).unwrap();
        let asked = [format!("each:{}", made.path().display())];
        let measured = measure("0", &asked);
        assert_eq!(measured.sizes[0].bytes, None);
        assert_eq!(measured.sizes[0].name.as_deref(), Some("a"));
        assert_eq!(
            parse_measured("fs x\nsize\nsize 1\nfs 1 a b c /\n"),
            Measured::default()
        );
    }
}
