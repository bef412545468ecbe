//! A node in its fleet, as a concern sees it.

use super::fact_cache::FleetFacts;
use super::facts::NodeFacts;
use matou_config::{Config, NodeConfig};

/// The node that is looked at, and the fleet around it.
pub struct NodeView<'a> {
    /// What config.toml says of it.
    pub node: &'a NodeConfig,
    /// What was read on it.
    pub facts: &'a NodeFacts,
    /// What was read on all nodes.
    pub fleet: &'a FleetFacts<'a>,
    /// Packages that all its concerns need.
    pub packages: &'a [String],
}

impl NodeView<'_> {
    /// Returns what config.toml says.
    pub fn config(&self) -> &Config {
        self.fleet.config
    }

    /// Returns whether this is the storage node.
    pub fn is_storage_node(&self) -> bool {
        self.config().storage.node == self.node.name
    }

    /// Returns whether the operator typed [`NodeView::accept_phrase`].
    pub fn is_accepted(&self, what: &str) -> bool {
        self.fleet.accepted.contains(&self.accept_phrase(what))
    }

    /// What is typed to accept something on this node: `n1:/dev/vdb`.
    pub fn accept_phrase(&self, what: &str) -> String {
        format!("{}:{what}", self.node.name)
    }
}
