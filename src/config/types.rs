//! The validated configuration, as the rest of the program uses it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::Role;

/// Everything config.toml says, with defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub fleet: FleetConfig,
    /// In the order of the file; at least one manager.
    pub nodes: Vec<NodeConfig>,
    pub storage: StorageConfig,
    pub backup: BackupConfig,
    pub edge: EdgeConfig,
    pub alerts: AlertsConfig,
    pub logs: LogsConfig,
    /// Action → keys, as written; the console's key map checks the names.
    pub keys: BTreeMap<String, Vec<String>>,
    pub theme: ThemeConfig,
    /// The file it came from; `None` when this machine alone is the fleet.
    pub path: Option<PathBuf>,
    /// What is not wrong but should be known.
    pub warnings: Vec<String>,
}

impl Config {
    /// The folder of config.toml: where `stacks/` and `apps/` of the fleet are.
    pub fn folder(&self) -> Option<PathBuf> {
        self.path.as_ref()?.parent().map(Path::to_path_buf)
    }

    /// An error about an action of `[keys]`, with its place in the file.
    pub fn key_error(&self, action: &str, message: String) -> super::ConfigError {
        let path = self.path.clone().unwrap_or_default();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let section = text.find("[keys]").unwrap_or(0);
        let at = text[section..]
            .find(action)
            .map_or(section, |i| section + i);
        super::ConfigError::at(&path, &text, at..at + action.len(), message)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetConfig {
    /// Shown in the console's first line.
    pub name: String,
    /// Domain under which applications are offered by default.
    pub domain: Option<String>,
}

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
    /// ssh_config to read; the user's and the system's when `None`.
    pub config_file: Option<PathBuf>,
    pub connect_timeout: Duration,
    /// A connection is lost after three of these without an answer.
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
    /// Path of the engine's socket on the node.
    pub docker_socket: PathBuf,
}

/// How volumes reach every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StorageDriver {
    /// Docker's local driver with NFS options.
    Nfs,
    /// The docker-volume-netshare plugin.
    Netshare,
    /// A distributed file system mounted at the same path on all nodes.
    Shared,
    /// Each volume on one server only.
    #[default]
    Local,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageConfig {
    pub driver: StorageDriver,
    /// The node that holds the data.
    pub node: String,
    /// Folder of the data on it.
    pub path: PathBuf,
    /// Block devices of the storage node that are joined into one volume.
    pub devices: Vec<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupConfig {
    /// restic's name of the repository; `None`: no backups.
    pub repository: Option<String>,
    pub password_file: Option<PathBuf>,
    /// Program and arguments that print the password.
    pub password_command: Vec<String>,
    /// `NAME=VALUE` lines with the repository's credentials.
    pub environment_file: Option<PathBuf>,
    pub keep: Retention,
}

/// How many snapshots of each application are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
    pub yearly: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeConfig {
    /// Let's Encrypt writes here before a certificate ends.
    pub email: Option<String>,
    /// The overlay network between Traefik and the applications.
    pub network: String,
    /// Traefik's certificate resolver.
    pub resolver: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertsConfig {
    /// Percent.
    pub cpu: u8,
    pub memory: u8,
    pub disk: u8,
    pub certificate_days: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogsConfig {
    /// Bytes of log lines that one log view keeps.
    pub memory: usize,
}

/// Which colours are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colours {
    /// None when NO_COLOR is set or the terminal is dumb, else the terminal's sixteen.
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThemeConfig {
    pub colours: Colours,
    /// Draw nothing outside ASCII.
    pub ascii: bool,
    pub mouse: bool,
}

impl Default for ThemeConfig {
    fn default() -> Self {
        Self {
            colours: Colours::Auto,
            ascii: false,
            mouse: true,
        }
    }
}
