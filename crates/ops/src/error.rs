//! Why an operation can't be planned or carried out.

use matou_backup::BackupError;
use matou_base::text::InvalidInput;
use matou_collect::CollectError;
use matou_dns::DnsError;
use matou_docker::DockerError;
use matou_edge::EdgeError;
use matou_history::HistoryError;
use matou_host::HostError;
use matou_job::{LockError, StepError};
use matou_provision::ProvisionError;
use matou_registry::RegistryError;
use matou_stack::StackError;

/// Why an operation can't be planned or carried out. Its text is a sentence for the operator: what,
/// where, and what to do; code decides on its variant and on [`OpsError::is_unreachable`] alone.
#[expect(missing_docs, reason = "its sentences say it")]
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// Something that was read of the fleet.
    #[error(transparent)]
    Collect(#[from] CollectError),
    #[error(transparent)]
    Edge(#[from] EdgeError),
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Stack(#[from] StackError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Records of names.
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// A file of the fleet folder, or its history.
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error(transparent)]
    Input(#[from] InvalidInput),
    /// A lock could not be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A step that was run on the way failed or was cancelled.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Anything else, in a sentence.
    #[error("{0}")]
    Failed(String),
}

impl OpsError {
    /// Returns a failure that is told in one sentence.
    pub fn failed(message: impl std::fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// Returns whether what the operator wrote is wrong, so that the same request fails again.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Input(_)
                | Self::Provision(ProvisionError::Input(_))
                | Self::Backup(BackupError::Input(_))
        ) || matches!(self, Self::Collect(e) if e.is_usage())
            || matches!(self, Self::Stack(e) if e.is_usage())
    }

    /// Returns whether a node, its engine or the swarm gave no answer, so that nothing is known of
    /// the fleet.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Host(e) => e.is_unreachable(),
            Self::Step(e) => e.is_unreachable(),
            Self::Docker(e) => e.is_unreachable(),
            Self::Collect(e) => e.is_unreachable(),
            Self::Edge(e) => e.is_unreachable(),
            Self::Provision(e) => e.is_unreachable(),
            Self::Backup(e) => e.is_unreachable(),
            Self::Stack(_)
            | Self::History(_)
            | Self::Registry(_)
            // Nothing of the fleet itself.
            | Self::Dns(_)
            | Self::Input(_)
            | Self::Lock(_)
            | Self::Failed(_) => false,
        }
    }
}

impl From<String> for OpsError {
    fn from(sentence: String) -> Self {
        Self::Failed(sentence)
    }
}

impl From<&str> for OpsError {
    fn from(sentence: &str) -> Self {
        Self::Failed(sentence.to_owned())
    }
}

impl From<OpsError> for StepError {
    fn from(error: OpsError) -> Self {
        match error {
            OpsError::Host(e) => Self::Host(e),
            OpsError::Step(e) => e,
            other if other.is_unreachable() => Self::Unreachable(other.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}
