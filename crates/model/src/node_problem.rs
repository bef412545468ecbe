//! Why something of a node could not be read.

use serde::{Serialize, Serializer};

/// Why something of a node could not be read, with what to do. Printed and serialized as its sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeProblem {
    /// What code decides on.
    pub kind: NodeProblemKind,
    sentence: String,
}

/// The kinds of [`NodeProblem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeProblemKind {
    /// The program that is asked is not installed, which is no failure.
    Absent,
    /// The node gave no answer.
    Unreachable,
    /// It answered, and not with what was asked for.
    Failed,
}

impl NodeProblem {
    /// Returns a problem of this kind.
    pub fn new(kind: NodeProblemKind, sentence: impl std::fmt::Display) -> Self {
        Self {
            kind,
            sentence: sentence.to_string(),
        }
    }

    /// Returns the sentence.
    pub fn as_str(&self) -> &str {
        &self.sentence
    }
}

impl std::fmt::Display for NodeProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl Serialize for NodeProblem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.sentence)
    }
}
