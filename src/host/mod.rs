//! Where commands run: this machine, or a node over one multiplexed SSH connection.

/// A node that commands run on.
#[derive(Clone)]
pub struct Host;

/// Why a command could not be run, or failed.
#[derive(Debug, thiserror::Error)]
pub enum HostError {}
