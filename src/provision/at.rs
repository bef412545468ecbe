//! A node in its fleet, as a concern sees it.

use super::facts::Facts;
use super::survey::Picture;
use crate::config::{Config, NodeConfig};
use crate::job::{Change, ChangeKind, Check};

/// The node that is looked at, and the fleet around it.
pub struct At<'a> {
    pub node: &'a NodeConfig,
    pub facts: &'a Facts,
    pub fleet: &'a Picture<'a>,
    /// Packages that all its concerns need.
    pub packages: &'a [String],
}

impl At<'_> {
    pub fn config(&self) -> &Config {
        self.fleet.config
    }

    /// It holds the fleet's data.
    pub fn is_storage(&self) -> bool {
        self.config().storage.node == self.node.name
    }

    /// Whether the operator accepted what [`At::question`] asked.
    pub fn accepted(&self, what: &str) -> bool {
        self.fleet.accepted.contains(&self.question(what))
    }

    /// What is typed to accept something on this node: `n1:/dev/vdb`.
    pub fn question(&self, what: &str) -> String {
        format!("{}:{what}", self.node.name)
    }
}

/// Done when every line is `=`.
pub fn check(lines: Vec<Change>) -> Check {
    if lines.iter().all(|l| l.kind == ChangeKind::Same) {
        Check::Done(lines)
    } else {
        Check::Change(lines)
    }
}
