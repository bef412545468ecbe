//! Where a finding leads: to what it is about, and to what cures it.

use serde::Serialize;

/// What a finding is about, as the console can show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertTarget {
    /// The fleet as a whole, or nothing that a pane lists.
    Fleet,
    /// A node by its name.
    Node(String),
    /// An application by its name.
    App(String),
    /// A service by its id in the swarm.
    Service(String),
    /// The certificate of a domain.
    Certificate(String),
    /// A repository of backups by its name.
    Repository(String),
    /// The snapshots of an application.
    Snapshots(String),
}

/// The action of the console that leads to the cure. Serialized as the action's name in `[keys]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// A shell there.
    Shell,
    /// The log there.
    Logs,
    /// Draining, rebooting, striking off a node.
    NodeMenu,
    /// Deploying what is missing.
    Deploy,
    /// Making every server what config.toml says.
    ProvisionAll,
    /// Looking at the services.
    Services,
    /// Looking at the certificates.
    Certificates,
    /// Looking at the backups.
    Backups,
    /// Backing everything up.
    BackupAll,
    /// Resolving a restore that was interrupted.
    RestoreUndo,
    /// Proving that a snapshot can be restored.
    Verify,
}
