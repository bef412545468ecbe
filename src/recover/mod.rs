//! From a repository to a fleet: the configuration out of the fleet's snapshot, the report of a
//! recovery, and the drill that proves it.

mod bootstrap;
mod drill;
mod foreign;
mod report;

pub use bootstrap::{Bootstrap, Server, bootstrap};
pub use drill::{DrillOptions, drill};
pub(crate) use foreign::taken;
pub use report::{Kind, Phase, Report, Timeline, history};
