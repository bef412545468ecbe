//! The states of tasks and nodes, as a manager says them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a task does, or should do. The words are those of swarmkit's `TaskState`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
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
    Other(String),
}

impl TaskState {
    /// The states that have a name here.
    const NAMED: [Self; 15] = [
        Self::New,
        Self::Allocated,
        Self::Pending,
        Self::Assigned,
        Self::Accepted,
        Self::Preparing,
        Self::Ready,
        Self::Starting,
        Self::Running,
        Self::Complete,
        Self::Shutdown,
        Self::Failed,
        Self::Rejected,
        Self::Remove,
        Self::Orphaned,
    ];

    /// The word the Docker API uses.
    pub fn as_str(&self) -> &str {
        match self {
            Self::New => "new",
            Self::Allocated => "allocated",
            Self::Pending => "pending",
            Self::Assigned => "assigned",
            Self::Accepted => "accepted",
            Self::Preparing => "preparing",
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Shutdown => "shutdown",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Remove => "remove",
            Self::Orphaned => "orphaned",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for TaskState {
    fn from(word: String) -> Self {
        let named = Self::NAMED.into_iter().find(|s| s.as_str() == word);
        named.unwrap_or(Self::Other(word))
    }
}

impl From<TaskState> for String {
    fn from(state: TaskState) -> Self {
        state.as_str().to_owned()
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether the managers hear of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
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
    Other(String),
}

impl NodeState {
    /// The states that have a name here.
    const NAMED: [Self; 4] = [Self::Ready, Self::Down, Self::Disconnected, Self::Unknown];

    /// The word the Docker API uses.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Ready => "ready",
            Self::Down => "down",
            Self::Disconnected => "disconnected",
            Self::Unknown => "unknown",
            Self::Other(word) => word,
        }
    }
}

impl Default for NodeState {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

impl From<String> for NodeState {
    fn from(word: String) -> Self {
        let named = Self::NAMED.into_iter().find(|s| s.as_str() == word);
        named.unwrap_or(Self::Other(word))
    }
}

impl From<NodeState> for String {
    fn from(state: NodeState) -> Self {
        state.as_str().to_owned()
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_shown_and_written_as_the_engine_said_it() {
        let task_words = TaskState::NAMED.map(String::from);
        for word in task_words
            .into_iter()
            .chain([String::new(), "Running".into(), "later".into()])
        {
            let state = TaskState::from(word.clone());
            assert_eq!(state.to_string(), word);
            let json = serde_json::to_string(&state).unwrap();
            assert_eq!(json, format!("\"{word}\""));
            assert_eq!(serde_json::from_str::<TaskState>(&json).unwrap(), state);
        }
        let node_words = NodeState::NAMED.map(String::from);
        for word in node_words
            .into_iter()
            .chain([String::new(), "Ready".into(), "later".into()])
        {
            let state = NodeState::from(word.clone());
            assert_eq!(state.to_string(), word);
            let json = serde_json::to_string(&state).unwrap();
            assert_eq!(json, format!("\"{word}\""));
            assert_eq!(serde_json::from_str::<NodeState>(&json).unwrap(), state);
        }
    }

    #[test]
    fn a_word_with_a_name_is_never_another_state() {
        assert_eq!(TaskState::from("running".to_owned()), TaskState::Running);
        assert_eq!(
            TaskState::from("x".to_owned()),
            TaskState::Other("x".into())
        );
        assert_eq!(NodeState::from("ready".to_owned()), NodeState::Ready);
        assert_eq!(NodeState::default().as_str(), "");
    }
}
