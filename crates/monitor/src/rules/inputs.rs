//! What the rules look at.

use jiff::Timestamp;

use crate::backups::BackupAge;
use crate::trend::DiskTrends;
use matou_config::AlertsConfig;
use matou_model::Fleet;

/// A server that is not what config.toml says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDrift {
    /// Its name.
    pub node: String,
    /// How many lines of its plan are to be carried out.
    pub differences: usize,
}

/// What the rules look at.
#[derive(Clone, Copy)]
pub struct AlertInputs<'a> {
    /// All that was read.
    pub fleet: &'a Fleet,
    /// From where on it is too much.
    pub limits: &'a AlertsConfig,
    /// How the nodes' disks fill.
    pub trends: &'a DiskTrends,
    /// Servers that are not what config.toml says.
    pub drift: &'a [NodeDrift],
    /// How old the backups of each application are.
    pub backups: &'a [BackupAge],
    /// The time of the evaluation.
    pub now: Timestamp,
}
