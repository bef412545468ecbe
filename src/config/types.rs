//! The validated configuration, as the rest of the program uses it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::Role;

/// How host keys are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KnownHosts {
    /// An unknown or changed key is an error.
    #[default]
    Strict,
    /// An unknown key is stored, a changed one is an error.
    AcceptNew,
}

/// How a node is reached by SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshOptions {
    /// Host name or address.
    pub address: String,
    pub port: Option<u16>,
    pub user: Option<String>,
    pub identity: Option<PathBuf>,
    /// `[user@]host[:port]` to go through.
    pub jump: Option<String>,
    pub known_hosts: KnownHosts,
    /// Own known_hosts file; ssh's when `None`.
    pub known_hosts_file: Option<PathBuf>,
    /// ssh_config to read; the user's when `None`.
    pub config_file: Option<PathBuf>,
    pub connect_timeout: Duration,
    pub keep_alive: Duration,
}

/// How a node is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// The machine matou runs on.
    Local,
    Ssh(SshOptions),
}

/// A server of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    pub name: String,
    pub role: Role,
    pub reach: Reach,
    /// Node labels in the swarm.
    pub labels: BTreeMap<String, String>,
    /// Path of the engine's socket on the node, `/var/run/docker.sock` by default.
    pub docker_socket: PathBuf,
}
