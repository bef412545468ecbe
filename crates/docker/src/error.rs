//! Why an engine gave no answer, or refused.

use matou_host::HostError;
use matou_i18n::tr;

/// Why an engine could not be asked, or refused.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "its sentences say it")]
pub enum DockerError {
    #[error(transparent)]
    Host(#[from] HostError),
    /// The socket is there and nobody answers, or it is not there.
    #[error(
        "{}", tr!("no Docker engine answers on {node} ({reason}): is it installed and running? try `systemctl status docker` there"
    ))]
    NoEngine { node: String, reason: String },
    #[error(
        "{}", tr!("the Docker engine of {node} is too old ({version}, API {api}): matou needs Docker 20.10 (API 1.41) or newer; upgrade it with its package manager"
    ))]
    TooOld {
        node: String,
        version: String,
        api: String,
    },
    /// The engine's own words.
    #[error("{}", tr!("Docker on {node} says: {message}"))]
    Api {
        node: String,
        status: u16,
        message: String,
    },
    /// A program that was run in a container failed.
    #[error("{}", tr!("Docker on {node}: {program} in the container ended with exit code {code}: {said}"))]
    ExecFailed {
        node: String,
        program: String,
        code: i64,
        /// What it wrote to its standard error.
        said: String,
    },
    #[error("{}", tr!("Docker on {node}: {program} printed too much"))]
    ExecTooMuch { node: String, program: String },
    #[error("{}", tr!("Docker on {node}: {reason}"))]
    Other { node: String, reason: String },
}

impl DockerError {
    /// Returns whether the node or its engine gives no answer.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Host(e) => e.is_unreachable(),
            Self::NoEngine { .. } => true,
            _ => false,
        }
    }

    /// The engine is not a manager of an active swarm.
    pub fn is_not_manager(&self) -> bool {
        matches!(self, Self::Api { status: 503, .. })
    }

    /// Somebody else changed the object meanwhile: read it again and try once more.
    pub fn is_out_of_sequence(&self) -> bool {
        matches!(self, Self::Api { message, .. } if message.contains("update out of sequence"))
    }

    /// Whether the managers are choosing their leader: one was restarted, or lost for a moment. The
    /// words are swarmkit's (manager/state/raft) and the engine's.
    pub fn is_without_leader(&self) -> bool {
        let words = [
            "lost leader status",
            "no elected cluster leader",
            "does not have a leader",
        ];
        matches!(self, Self::Api { message, .. } if words.iter().any(|w| message.contains(w)))
    }

    /// The object is in use.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api { status: 409, .. })
    }

    /// The object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { status: 404, .. })
    }
}
