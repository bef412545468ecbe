//! Why a node can't be compared with what it should be.

use matou_base::text::InvalidInput;
use matou_docker::DockerError;
use matou_host::HostError;
use matou_job::StepError;

/// Why a node can't be compared with what it should be. Its text is a sentence for the operator; code decides on its variant and on
/// [`ProvisionError::is_unreachable`] alone.
#[expect(missing_docs, reason = "its sentences say it")]
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// What the operator wrote is wrong.
    #[error(transparent)]
    Input(#[from] InvalidInput),
    /// Anything else, in a sentence.
    #[error("{0}")]
    Failed(String),
}

impl ProvisionError {
    /// Returns a failure that is told in one sentence.
    pub fn failed(message: impl std::fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// Returns whether a node or its engine gave no answer.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Host(e) => e.is_unreachable(),
            Self::Docker(e) => e.is_unreachable(),
            Self::Input(_) | Self::Failed(_) => false,
        }
    }
}

impl From<String> for ProvisionError {
    fn from(sentence: String) -> Self {
        Self::Failed(sentence)
    }
}

impl From<&str> for ProvisionError {
    fn from(sentence: &str) -> Self {
        Self::Failed(sentence.to_owned())
    }
}

impl From<ProvisionError> for StepError {
    fn from(error: ProvisionError) -> Self {
        match error {
            ProvisionError::Host(e) => Self::Host(e),
            other if other.is_unreachable() => Self::Unreachable(other.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}
