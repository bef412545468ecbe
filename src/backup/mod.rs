//! restic on the storage node: how it is called, what it says, what belongs to an application.

mod error;
mod guard;
pub mod identity;
mod layout;
pub mod listing;
mod messages;
mod ownership;
mod report;
mod restic;
mod restores;
mod retention;
mod secrets;

pub use error::{BackupError, IN_VAIN, Lock};
pub use guard::{Counted, Fewer};
pub use layout::{
    FLEET, Layout, MANIFEST, Manifest, ManifestDump, VolumeFolder, confined, data, names, odd_names,
};
pub use messages::{
    Change, DiffStatistics, ErrorLine, ForgetGroup, LsNode, Message, RestoreStatus, RestoreSummary,
    Snapshot, SnapshotSummary, Stats, Status, Summary, read_message,
};
pub use ownership::{Clocks, FleetId, Identity, Owner, Refused, View, contradicts};
pub use report::{AppReport, Ending, REPORTS, Report, Schedule, TIMER, reports};
pub use restic::{Guard, RAN_WITHOUT, Restic, Trying, Version};
pub use restores::{Phase, RestoreState, Swap};
pub use retention::{Forgotten, Question, forget_args, forgotten, questions};
pub use secrets::password;
