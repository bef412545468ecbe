//! restic on the storage node: how it is called, what it says, what belongs to an application.

mod error;
mod layout;
pub mod listing;
mod messages;
mod restic;
mod restores;

pub use error::{BackupError, Lock};
pub use layout::{FLEET, Layout, MANIFEST, Manifest, ManifestDump, VolumeFolder, data, names};
pub use messages::{
    Change, DiffStatistics, ErrorLine, ForgetGroup, LsNode, Message, RestoreStatus, RestoreSummary,
    Snapshot, SnapshotSummary, Stats, Status, Summary, read_message,
};
pub use restic::{Guard, RAN_WITHOUT, Restic, Version};
pub use restores::{Phase, RestoreState, Swap};
