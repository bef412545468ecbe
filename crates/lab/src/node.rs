//! A node of a practice fleet, as it is reached and as it is shown.

/// How a node is reached, for configuration and known_hosts.
#[derive(Debug, Clone)]
pub(super) struct LabServer {
    pub name: String,
    pub address: String,
    /// Type and key, as known_hosts has them.
    pub host_key: String,
}

/// A node of a practice fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabNode {
    /// As `n1`.
    pub name: String,
    /// In the practice network.
    pub address: String,
    /// `running`, `exited`, …
    pub state: String,
}
