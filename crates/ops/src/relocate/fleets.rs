//! The two fleets of a move.

use crate::FleetContext;
use crate::recover::RecoveryFindings;
use matou_config::RepositoryConfig;
use matou_docker::NodeHandle;

/// The two fleets of a move, and the repository between them.
#[derive(Clone)]
pub(super) struct MoveFleets {
    pub old: FleetContext,
    pub new: FleetContext,
    pub old_storage: NodeHandle,
    pub new_storage: NodeHandle,
    pub repository: RepositoryConfig,
    pub findings: RecoveryFindings,
}
