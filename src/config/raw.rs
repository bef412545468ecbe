//! config.toml as it is written. Every key is named here once; unknown ones are refused.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Raw {
    pub fleet: Fleet,
    pub ssh: Ssh,
    pub nodes: Vec<Spanned<Node>>,
    pub storage: Storage,
    pub backup: Backup,
    pub edge: Edge,
    pub alerts: Alerts,
    pub logs: Logs,
    pub keys: BTreeMap<Spanned<String>, Spanned<OneOrMany>>,
    pub theme: Theme,
}

/// A string, or a list of strings.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a key such as \"ctrl-r\", or a list of keys"
)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Fleet {
    pub name: Option<String>,
    pub domain: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum KnownHosts {
    #[default]
    Strict,
    AcceptNew,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Ssh {
    pub user: Option<String>,
    pub port: Option<u16>,
    pub identity: Option<String>,
    pub jump: Option<Spanned<String>>,
    pub known_hosts: KnownHosts,
    pub known_hosts_file: Option<String>,
    pub config_file: Option<String>,
    pub connect_timeout: Option<Spanned<String>>,
    pub keep_alive: Option<Spanned<String>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Role {
    Manager,
    #[default]
    Worker,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    pub name: Spanned<String>,
    pub address: Option<Spanned<String>>,
    #[serde(default)]
    pub role: Role,
    pub user: Option<String>,
    pub port: Option<u16>,
    pub identity: Option<String>,
    pub jump: Option<Spanned<String>>,
    pub docker_socket: Option<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Driver {
    Nfs,
    Netshare,
    Shared,
    #[default]
    Local,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Storage {
    pub driver: Driver,
    pub node: Option<Spanned<String>>,
    pub path: Option<String>,
    pub devices: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Backup {
    pub repository: Option<Spanned<String>>,
    pub password_file: Option<Spanned<String>>,
    pub password_command: Option<Spanned<Vec<String>>>,
    pub environment_file: Option<String>,
    pub keep_daily: Option<u32>,
    pub keep_weekly: Option<u32>,
    pub keep_monthly: Option<u32>,
    pub keep_yearly: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Edge {
    pub email: Option<Spanned<String>>,
    pub network: Option<String>,
    pub resolver: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Alerts {
    pub cpu: Option<Spanned<u8>>,
    pub memory: Option<Spanned<u8>>,
    pub disk: Option<Spanned<u8>>,
    pub certificate_days: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Logs {
    pub memory: Option<Spanned<String>>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Colours {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Theme {
    pub colours: Colours,
    pub ascii: bool,
    pub mouse: Option<bool>,
}
