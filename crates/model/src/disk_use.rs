//! What fills the disks of a node.

use matou_base::text::SafeText;
use matou_i18n::tr;
use serde::Serialize;

use crate::NodeProblem;

/// What an engine keeps, but volumes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineDisk {
    /// Bytes of all images; what several share is counted once.
    pub images_size: u64,
    /// All but those that only other images are made of.
    pub images: Vec<EngineImage>,
    /// Also those that have ended.
    pub containers: Vec<EngineContainer>,
    /// What builds keep for later ones.
    pub build_cache: Vec<BuildCacheEntry>,
}

/// An image that an engine holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineImage {
    /// As `sha256:…`.
    pub id: String,
    /// As `ghost:6.0.4-alpine`; none for a dangling image.
    pub tags: Vec<String>,
    /// As `ghost@sha256:…`: what registries call it.
    pub digests: Vec<String>,
    /// Bytes.
    pub size: u64,
    /// Bytes of it that other images need too.
    pub shared: u64,
}

impl EngineImage {
    /// Returns the bytes that its removal frees.
    pub fn own_size(&self) -> u64 {
        self.size.saturating_sub(self.shared)
    }

    /// Returns what people call it: its tags, or the name by which it was pulled, or its id.
    pub fn display_name(&self) -> String {
        let id = self.id.strip_prefix("sha256:").unwrap_or(&self.id);
        let id = id.get(..12).unwrap_or(id);
        match (self.tags.as_slice(), self.digests.first()) {
            ([], Some(digest)) => {
                let name = digest.split('@').next().unwrap_or(digest);
                tr!("{name} without a tag ({id})")
            }
            ([], None) => tr!("image without a name ({id})"),
            (tags, _) => tags.join(", "),
        }
    }
}

/// A container that an engine keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineContainer {
    /// The engine's own.
    pub id: String,
    /// Without the slash in front.
    pub name: String,
    /// Id of its image.
    pub image_id: String,
    /// As `running`, `exited`, `created`, `dead`.
    pub state: String,
    /// When it was made: seconds since 1970.
    pub created_at: i64,
    /// Bytes that it wrote over its image.
    pub written: u64,
    /// Stack that it is of.
    pub stack: Option<String>,
    /// The service whose task it is.
    pub service: Option<String>,
    /// The project of docker compose that it is of.
    pub compose_project: Option<String>,
    /// Names of the volumes that it mounts.
    pub volumes: Vec<String>,
}

/// A part of what builds keep.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuildCacheEntry {
    /// The engine's own.
    pub id: String,
    /// Bytes.
    pub size: u64,
    /// A build needs it now.
    pub in_use: bool,
    /// An image has the same layer: its removal frees nothing.
    pub shared: bool,
}

/// What fills the disks of one node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct NodeDiskUse {
    /// Name in config.toml.
    pub node: String,
    /// Those that something measured lies on, and the root's.
    pub file_systems: Vec<FileSystemUse>,
    /// What was measured, the largest of each kind first.
    pub uses: Vec<DiskUse>,
    /// Why nothing could be read, with what to do.
    pub problem: Option<NodeProblem>,
}

/// A file system, as `df` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FileSystemUse {
    /// Where it is mounted.
    pub mount: SafeText,
    /// Bytes.
    pub total: u64,
    /// Bytes.
    pub used: u64,
    /// Bytes that can still be written.
    pub free: u64,
    /// Bytes that are used for nothing that was measured.
    pub rest: u64,
    /// Days until it is full, if it fills as it did in the last weeks.
    pub full_in_days: Option<u32>,
}

/// What is measured, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskUseKind {
    /// A volume: a folder of the data folder, or one that the engine keeps.
    Volume,
    /// An image that a container, a service or an application's file names.
    ImageInUse,
    /// An image that only a rollback needs.
    ImageForRollback,
    /// An image that nothing names.
    ImageUnused,
    /// Layers that several images share.
    ImageShared,
    /// What a container wrote over its image.
    Container,
    /// What the engine keeps of a container's output.
    ContainerLog,
    /// What builds keep for later ones.
    BuildCache,
    /// Dumps of databases for backups.
    Dumps,
    /// What a restore set aside, or wrote beside.
    SetAside,
    /// What else matou keeps on the storage node.
    Matou,
    /// What restic keeps of repositories.
    ResticCache,
    /// The system's journal.
    Journal,
}

impl DiskUseKind {
    /// All of them, in their order.
    pub const ALL: [Self; 13] = [
        Self::Volume,
        Self::ImageInUse,
        Self::ImageForRollback,
        Self::ImageUnused,
        Self::ImageShared,
        Self::Container,
        Self::ContainerLog,
        Self::BuildCache,
        Self::Dumps,
        Self::SetAside,
        Self::Matou,
        Self::ResticCache,
        Self::Journal,
    ];

    /// Returns its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Volume => tr!("volumes"),
            Self::ImageInUse => tr!("images in use"),
            Self::ImageForRollback => tr!("images for a rollback"),
            Self::ImageUnused => tr!("images of nobody"),
            Self::ImageShared => tr!("layers images share"),
            Self::Container => tr!("written by containers"),
            Self::ContainerLog => tr!("logs of containers"),
            Self::BuildCache => tr!("build cache"),
            Self::Dumps => tr!("dumps"),
            Self::SetAside => tr!("set aside by restores"),
            Self::Matou => tr!("kept by matou"),
            Self::ResticCache => tr!("restic's cache"),
            Self::Journal => tr!("journal"),
        }
    }
}

/// One thing that takes room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiskUse {
    /// What it is.
    pub kind: DiskUseKind,
    /// As the engine or its folder names it.
    pub name: SafeText,
    /// The application it belongs to; `None`: to none that is known, or to several.
    pub app: Option<SafeText>,
    /// `None`: it could not be measured in the time there is.
    pub bytes: Option<u64>,
    /// Where its file system is mounted.
    pub mount: SafeText,
    /// Bytes by which a volume grows in a week; `None`: that is not known, or it is no volume.
    pub bytes_a_week: Option<i64>,
}

impl NodeDiskUse {
    /// Returns the uses of a kind on a file system.
    pub fn uses_of(&self, kind: DiskUseKind, mount: &SafeText) -> impl Iterator<Item = &DiskUse> {
        let uses = self.uses.iter();
        uses.filter(move |u| u.kind == kind && u.mount == *mount)
    }

    /// Puts the uses in order, and computes what is left of each file system.
    pub fn settle(&mut self) {
        self.uses.sort_by(|a, b| {
            let by_size = b.bytes.cmp(&a.bytes);
            a.kind.cmp(&b.kind).then(by_size).then(a.name.cmp(&b.name))
        });
        for file_system in &mut self.file_systems {
            let uses = self.uses.iter().filter(|u| u.mount == file_system.mount);
            let measured: u64 = uses.filter_map(|u| u.bytes).sum();
            file_system.rest = file_system.used.saturating_sub(measured);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_what_nothing_measured_takes() {
        let on = |mount: &str, kind, name: &str, bytes| DiskUse {
            kind,
            name: SafeText::from_line(name),
            app: None,
            bytes,
            mount: SafeText::from_line(mount),
            bytes_a_week: None,
        };
        let file_system = |mount: &str, used| FileSystemUse {
            mount: SafeText::from_line(mount),
            total: 1000,
            used,
            free: 1000 - used,
            rest: 0,
            full_in_days: None,
        };
        let mut node = NodeDiskUse {
            node: "n1".into(),
            file_systems: vec![file_system("/", 500), file_system("/data", 10)],
            uses: vec![
                on("/", DiskUseKind::Journal, "journal", Some(100)),
                on("/", DiskUseKind::Volume, "small", Some(1)),
                on("/", DiskUseKind::Volume, "large", Some(200)),
                on("/", DiskUseKind::Volume, "late", None),
                // What is deleted and still open, or was written meanwhile.
                on("/data", DiskUseKind::Volume, "grew", Some(20)),
            ],
            problem: None,
        };
        node.settle();
        let rest: Vec<u64> = node.file_systems.iter().map(|f| f.rest).collect();
        assert_eq!(rest, [199, 0]);
        let names: Vec<&str> = node.uses.iter().map(|u| u.name.as_str()).collect();
        assert_eq!(names, ["large", "grew", "small", "late", "journal"]);
    }

    #[test]
    fn an_image_has_a_name_for_people() {
        let mut image = EngineImage {
            id: "sha256:0123456789abcdef".into(),
            ..Default::default()
        };
        assert_eq!(image.display_name(), "image without a name (0123456789ab)");
        image.digests = vec!["ghost@sha256:77".into()];
        assert_eq!(image.display_name(), "ghost without a tag (0123456789ab)");
        image.tags = vec!["ghost:6".into(), "ghost:latest".into()];
        assert_eq!(image.display_name(), "ghost:6, ghost:latest");
    }
}
