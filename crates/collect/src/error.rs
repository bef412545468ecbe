//! Why something of the fleet could not be read.

use matou_backup::BackupError;
use matou_base::text::InvalidInput;
use matou_docker::DockerError;
use matou_edge::EdgeError;
use matou_host::HostError;
use matou_job::StepError;
use matou_model::{NodeProblem, NodeProblemKind};

/// Why something of the fleet could not be read. Its text is a sentence for the operator; code decides on its variant and on
/// [`CollectError::is_unreachable`] alone.
#[expect(missing_docs, reason = "its sentences say it")]
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Docker(#[from] DockerError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Edge(#[from] EdgeError),
    /// Nodes or their engines gave no answer, told in one sentence.
    #[error("{0}")]
    Unreachable(String),
    /// What the operator wrote is wrong.
    #[error(transparent)]
    Input(#[from] InvalidInput),
    /// What is asked for is not installed there.
    #[error("{0}")]
    Absent(String),
    /// Anything else, in a sentence.
    #[error("{0}")]
    Failed(String),
}

impl CollectError {
    /// Returns a failure that is told in one sentence.
    pub fn failed(message: impl std::fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// Returns whether a node or its engine gave no answer.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Host(e) => e.is_unreachable(),
            Self::Docker(e) => e.is_unreachable(),
            Self::Edge(e) => e.is_unreachable(),
            Self::Unreachable(_) => true,
            Self::Backup(e) => e.is_unreachable(),
            Self::Absent(_) | Self::Input(_) | Self::Failed(_) => false,
        }
    }

    /// Returns whether what the operator wrote is wrong.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Input(_) | Self::Backup(BackupError::Input(_)))
    }

    /// Returns the same kind of error with another sentence.
    pub fn with_sentence(&self, sentence: impl std::fmt::Display) -> Self {
        match self.is_unreachable() {
            true => Self::Unreachable(sentence.to_string()),
            false => Self::Failed(sentence.to_string()),
        }
    }
}

impl From<CollectError> for NodeProblem {
    fn from(error: CollectError) -> Self {
        let kind = match &error {
            CollectError::Absent(_) => NodeProblemKind::Absent,
            e if e.is_unreachable() => NodeProblemKind::Unreachable,
            _ => NodeProblemKind::Failed,
        };
        Self::new(kind, error)
    }
}

impl From<String> for CollectError {
    fn from(sentence: String) -> Self {
        Self::Failed(sentence)
    }
}

impl From<&str> for CollectError {
    fn from(sentence: &str) -> Self {
        Self::Failed(sentence.to_owned())
    }
}

impl From<CollectError> for StepError {
    fn from(error: CollectError) -> Self {
        match error {
            CollectError::Host(e) => Self::Host(e),
            other if other.is_unreachable() => Self::Unreachable(other.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}
