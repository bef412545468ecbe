//! From a repository to a fleet: the configuration out of the fleet's snapshot, the report of a
//! recovery, and the drill that proves it.

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

mod bootstrap;
mod drill;
mod report;
mod untrusted;

pub use bootstrap::{BootstrapOptions, NewServer, bootstrap_fleet_folder};
pub use drill::{DrillOptions, check_drill, run_drill};
pub use report::{RecoveryKind, RecoveryPhase, RecoveryReport, Timeline, list_recovery_reports};
pub use untrusted::filter_untrusted_config;
