//! The states of tasks, nodes, updates and engines, in the words of the Docker API.

use matou_i18n::tr;
use serde::{Deserialize, Serialize};
use strum::{AsRefStr, Display, EnumString};

/// What a task does, or should do. The words are those of swarmkit's `TaskState`.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    AsRefStr,
    Display,
    EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TaskState {
    /// It was made.
    New,
    /// It has its addresses.
    Allocated,
    /// It waits for a node.
    Pending,
    /// It has a node.
    Assigned,
    /// The node took it.
    Accepted,
    /// Its image is pulled.
    Preparing,
    /// It could be started.
    Ready,
    /// Its container is started; where there is a health check, until that passes.
    Starting,
    /// It runs.
    Running,
    /// It ended by itself, with 0.
    Complete,
    /// It was told to end.
    Shutdown,
    /// It ended with an error.
    Failed,
    /// The node could not start it.
    Rejected,
    /// It is to be removed.
    Remove,
    /// Its node was down for too long.
    Orphaned,
    /// What a newer engine says; empty where it says nothing.
    #[serde(untagged)]
    #[strum(default, transparent)]
    Other(String),
}

/// Whether the managers hear of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AsRefStr, Display, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum NodeState {
    /// The managers hear of it.
    Ready,
    /// They do not any more.
    Down,
    /// It said that it goes.
    Disconnected,
    /// It was not heard of since the manager started.
    Unknown,
    /// What a newer engine says; empty where it says nothing.
    #[serde(untagged)]
    #[strum(default, transparent)]
    Other(String),
}

/// Whether the other managers hear of a manager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AsRefStr, Display, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Reachability {
    /// It takes part in what they decide.
    Reachable,
    /// It does not answer them.
    Unreachable,
    /// It is not known yet.
    Unknown,
    /// What a newer engine says; empty where it says nothing.
    #[serde(untagged)]
    #[strum(default, transparent)]
    Other(String),
}

/// Whether an engine takes part in a swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AsRefStr, Display, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SwarmState {
    /// It is in none.
    Inactive,
    /// It joins, and has not reached a manager yet.
    Pending,
    /// It takes part.
    Active,
    /// It failed to take part.
    Error,
    /// It waits for the key that unlocks it.
    Locked,
    /// What a newer engine says; empty where it says nothing.
    #[serde(untagged)]
    #[strum(default, transparent)]
    Other(String),
}

/// How far the last update of a service has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, AsRefStr, Display, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum UpdateState {
    /// Tasks are replaced.
    Updating,
    /// The engine stopped it, after failures.
    Paused,
    /// All tasks are new.
    Completed,
    /// The engine puts the tasks from before back.
    RollbackStarted,
    /// It stopped that, after failures.
    RollbackPaused,
    /// All tasks are as before.
    RollbackCompleted,
    /// What a newer engine says; empty where it says nothing.
    #[serde(untagged)]
    #[strum(default, transparent)]
    Other(String),
}

macro_rules! impl_words {
    ($($state:ident),*) => {$(
        impl $state {
            /// The word the Docker API uses.
            pub fn as_str(&self) -> &str {
                self.as_ref()
            }
        }

        impl Default for $state {
            fn default() -> Self {
                Self::Other(String::new())
            }
        }

        impl From<String> for $state {
            fn from(word: String) -> Self {
                word.parse().unwrap_or(Self::Other(word))
            }
        }
    )*};
}

impl_words!(TaskState, NodeState, Reachability, SwarmState, UpdateState);

impl TaskState {
    /// The word that people read.
    pub fn word(&self) -> &str {
        match self {
            Self::New => tr!("new"),
            Self::Allocated => tr!("allocated"),
            Self::Pending => tr!("pending"),
            Self::Assigned => tr!("assigned"),
            Self::Accepted => tr!("accepted"),
            Self::Preparing => tr!("preparing"),
            Self::Ready => tr!("ready"),
            Self::Starting => tr!("starting"),
            Self::Running => tr!("running"),
            Self::Complete => tr!("complete"),
            Self::Shutdown => tr!("shutdown"),
            Self::Failed => tr!("failed"),
            Self::Rejected => tr!("rejected"),
            Self::Remove => tr!("remove"),
            Self::Orphaned => tr!("orphaned"),
            Self::Other(word) => word,
        }
    }
}

impl NodeState {
    /// The word that people read.
    pub fn word(&self) -> &str {
        match self {
            Self::Ready => tr!("ready"),
            Self::Down => tr!("down"),
            Self::Disconnected => tr!("disconnected"),
            Self::Unknown => tr!("unknown"),
            Self::Other(word) => word,
        }
    }
}

impl Reachability {
    /// The word that people read.
    pub fn word(&self) -> &str {
        match self {
            Self::Reachable => tr!("reachable"),
            Self::Unreachable => tr!("unreachable"),
            Self::Unknown => tr!("unknown"),
            Self::Other(word) => word,
        }
    }
}

impl UpdateState {
    /// The word that people read.
    pub fn word(&self) -> &str {
        match self {
            Self::Updating => tr!("updating"),
            Self::Paused => tr!("paused"),
            Self::Completed => tr!("completed"),
            Self::RollbackStarted => tr!("rollback_started"),
            Self::RollbackPaused => tr!("rollback_paused"),
            Self::RollbackCompleted => tr!("rollback_completed"),
            Self::Other(word) => word,
        }
    }
}

impl SwarmState {
    /// Whether the engine is in no swarm. Some say so with an empty word.
    pub fn is_none(&self) -> bool {
        *self == Self::Inactive || self.as_str().is_empty()
    }
}

impl UpdateState {
    /// Whether the engine replaces tasks now.
    pub fn is_under_way(&self) -> bool {
        matches!(self, Self::Updating | Self::RollbackStarted)
    }

    /// Whether the engine goes no further by itself.
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Paused | Self::RollbackPaused)
    }

    /// Whether the engine puts the tasks from before back, or has.
    pub fn is_rollback(&self) -> bool {
        matches!(
            self,
            Self::RollbackStarted | Self::RollbackPaused | Self::RollbackCompleted
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;

    /// Every word of the API has a state, and it and any other word is shown and written as it came.
    fn check_words<S>(words: &[&str])
    where
        S: From<String> + std::fmt::Display + std::fmt::Debug + PartialEq,
        S: Serialize + DeserializeOwned,
    {
        let with_state = |word: &str| !format!("{:?}", S::from(word.to_owned())).contains('(');
        for word in words {
            assert!(with_state(word), "{word}");
        }
        for word in ["", "later", "Active", "Running"] {
            assert!(!with_state(word), "{word:?}");
        }
        for word in words.iter().chain(&["", "later", "Active", "Running"]) {
            let state = S::from((*word).to_owned());
            assert_eq!(state.to_string(), *word);
            assert_eq!(format!("{state:<20}|"), format!("{word:<20}|"));
            let json = serde_json::to_string(&state).unwrap();
            assert_eq!(json, format!("\"{word}\""));
            assert_eq!(serde_json::from_str::<S>(&json).unwrap(), state);
        }
    }

    /// The words of the Docker API, v1.41 to v1.51 (api/swagger.yaml).
    #[test]
    fn a_state_is_shown_and_written_as_the_engine_said_it() {
        check_words::<TaskState>(&[
            "new",
            "allocated",
            "pending",
            "assigned",
            "accepted",
            "preparing",
            "ready",
            "starting",
            "running",
            "complete",
            "shutdown",
            "failed",
            "rejected",
            "remove",
            "orphaned",
        ]);
        check_words::<NodeState>(&["unknown", "down", "ready", "disconnected"]);
        check_words::<Reachability>(&["unknown", "unreachable", "reachable"]);
        check_words::<SwarmState>(&["inactive", "pending", "active", "error", "locked"]);
        check_words::<UpdateState>(&[
            "updating",
            "paused",
            "completed",
            "rollback_started",
            "rollback_paused",
            "rollback_completed",
        ]);
    }

    #[test]
    fn a_word_with_a_name_is_never_another_state() {
        assert_eq!(TaskState::from("running".to_owned()), TaskState::Running);
        assert_eq!(
            TaskState::from("x".to_owned()),
            TaskState::Other("x".into())
        );
        assert_eq!(NodeState::default().as_str(), "");
        assert!(SwarmState::default().is_none());
    }
}
