//! From a repository to a fleet: the configuration out of the fleet's snapshot, the report of a
//! recovery, and the drill that proves it.

mod bootstrap;
mod drill;
mod report;
mod untrusted;

pub use bootstrap::{BootstrapOptions, NewServer, bootstrap_fleet_folder};
pub use drill::{DrillOptions, run_drill};
pub use report::{RecoveryKind, RecoveryPhase, RecoveryReport, Timeline, list_recovery_reports};
pub(crate) use untrusted::filter_untrusted_config;
