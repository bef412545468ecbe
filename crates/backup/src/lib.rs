//! restic on the storage node: how it is called, what it says, what belongs to an application.

// Stricter than Cargo.toml is with tests, benches and examples.
#![cfg_attr(
    not(test),
    deny(
        clippy::disallowed_macros,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

matou_i18n::catalogue!();

mod app_storage;
mod check;
mod error;
pub mod identity;
pub mod listing;
mod messages;
mod ownership;
mod report;
mod restic;
mod restore_state;
mod retention;
mod secrets;
mod snapshot_counts;
mod volume_folder;
mod volume_places;

pub use app_storage::{
    AppStorage, FLEET, MANIFEST, Manifest, ManifestDump, UnreachedVolume, confined_data_folder,
    list_app_names, list_odd_app_names,
};
pub use check::CheckSummary;
pub use error::{BackupError, GAVE_UP, ResticLock};
pub use messages::{
    DiffChange, DiffStatistics, ForgetGroup, LsNode, PARTIAL_TAG, RepositoryStats, ResticErrorLine,
    ResticMessage, ResticSnapshot, ResticStatus, ResticSummary, RestoreStatus, RestoreSummary,
    SnapshotSummary, parse_restic_message,
};
pub use ownership::{
    ClockPair, FleetId, FleetIdentity, SnapshotOwner, SnapshotRefusal, SnapshotView,
    contradicts_manifest,
};
pub use report::{
    AppBackupReport, BACKUP_TIMER, BackupReport, BackupResult, NightlyBackup, REPORTS_FOLDER,
    read_backup_reports,
};
pub use restic::{INCOMPLETE, RepositoryAccess, Restic, ResticVersion, RetryWatch};
pub use restore_state::{FolderSwap, RestorePhase, RestoreState};
pub use retention::{
    ForgetQuery, ForgottenSnapshots, collect_forgotten, forget_args, forget_queries,
};
pub use secrets::read_repository_password;
pub use snapshot_counts::{SnapshotCounts, SnapshotLoss};
pub use volume_folder::{
    VolumeDriver, VolumeElsewhere, VolumeFolder, matou_folder, volume_copy_folder,
};
