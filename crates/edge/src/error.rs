//! Why the edge or an application gave no answer.

use matou_docker::DockerError;
use matou_host::HostError;
use matou_job::StepError;

/// Why the edge or an application gave no answer. Its text is a sentence for the operator; code decides on its variant and on
/// [`EdgeError::is_unreachable`] alone.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "its sentences say it")]
pub enum EdgeError {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// Anything else, in a sentence.
    #[error("{0}")]
    Failed(String),
}

impl EdgeError {
    /// Returns a failure that is told in one sentence.
    pub fn failed(message: impl std::fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// Returns whether a node or its engine gave no answer.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Host(e) => e.is_unreachable(),
            Self::Docker(e) => e.is_unreachable(),
            Self::Failed(_) => false,
        }
    }
}

impl From<String> for EdgeError {
    fn from(sentence: String) -> Self {
        Self::Failed(sentence)
    }
}

impl From<&str> for EdgeError {
    fn from(sentence: &str) -> Self {
        Self::Failed(sentence.to_owned())
    }
}

impl From<EdgeError> for StepError {
    fn from(error: EdgeError) -> Self {
        match error {
            EdgeError::Host(e) => Self::Host(e),
            other if other.is_unreachable() => Self::Unreachable(other.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}
