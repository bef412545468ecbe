//! From a repository to a fleet: the configuration out of the fleet's snapshot, the report of a
//! recovery, and the drill that proves it.

mod bootstrap;
mod drill;
mod foreign;
mod report;

pub use bootstrap::{BootstrapOptions, NewServer, bootstrap_fleet_folder};
pub use drill::{DrillOptions, run_drill};
pub(crate) use foreign::filter_untrusted_config;
pub use report::{RecoveryKind, RecoveryPhase, RecoveryReport, Timeline, list_recovery_reports};
