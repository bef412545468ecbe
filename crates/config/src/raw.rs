//! config.toml as it is written. Every key is named here once; unknown ones are refused.
//! `expecting` keeps the names of types out of what an operator reads.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::commands::{CommandPlace, CommandRun};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(expecting = "struct Raw")]
pub(super) struct RawConfig {
    pub fleet: RawFleetConfig,
    pub ssh: RawSshConfig,
    pub nodes: Vec<Spanned<RawNodeConfig>>,
    pub storage: RawStorageConfig,
    pub provision: RawProvisionConfig,
    pub backup: RawBackupConfig,
    pub edge: RawEdgeConfig,
    pub page: RawPageConfig,
    pub updates: RawUpdatesConfig,
    pub room: RawRoomConfig,
    pub scaleway: Option<RawScalewayConfig>,
    pub dns: Option<Spanned<RawDnsConfig>>,
    pub alerts: RawAlertsConfig,
    pub receivers: RawReceiversConfig,
    pub mail: Option<Spanned<RawMailConfig>>,
    pub logs: RawLogsConfig,
    pub keys: RawKeys,
    pub commands: Vec<RawCommandConfig>,
    pub theme: RawThemeConfig,
}

/// A command of the operator.
#[derive(Debug, Deserialize)]
#[serde(expecting = "struct Command", deny_unknown_fields)]
pub(super) struct RawCommandConfig {
    pub key: Option<Spanned<String>>,
    pub description: Spanned<String>,
    #[serde(default)]
    pub panes: Vec<CommandPlace>,
    pub command: Spanned<Vec<String>>,
    #[serde(default)]
    pub run: CommandRun,
    #[serde(default)]
    pub confirm: bool,
}

/// `[keys]`.
pub(super) type RawKeys = BTreeMap<Spanned<String>, Spanned<OneOrMany>>;

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
#[serde(expecting = "struct Fleet")]
pub(super) struct RawFleetConfig {
    pub name: Option<String>,
    pub domain: Option<String>,
    pub git: bool,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawKnownHosts {
    #[default]
    Strict,
    AcceptNew,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(expecting = "struct Ssh")]
pub(super) struct RawSshConfig {
    pub user: Option<String>,
    pub port: Option<u16>,
    pub identity: Option<String>,
    pub jump: Option<Spanned<String>>,
    pub known_hosts: RawKnownHosts,
    pub known_hosts_file: Option<String>,
    pub config_file: Option<String>,
    pub connect_timeout: Option<Spanned<String>>,
    pub keep_alive: Option<Spanned<String>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawRole {
    Manager,
    #[default]
    Worker,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "struct Node", deny_unknown_fields)]
pub(super) struct RawNodeConfig {
    pub name: Spanned<String>,
    pub address: Option<Spanned<String>>,
    #[serde(default)]
    pub role: RawRole,
    pub user: Option<String>,
    pub port: Option<u16>,
    pub identity: Option<String>,
    pub jump: Option<Spanned<String>>,
    pub docker_socket: Option<String>,
    pub advertise: Option<Spanned<String>>,
    pub availability: Option<RawAvailability>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawAvailability {
    Active,
    Pause,
    Drain,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawFilesystem {
    #[default]
    Ext4,
    Xfs,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawDockerSource {
    #[default]
    Docker,
    Distribution,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(expecting = "struct Provision")]
pub(super) struct RawProvisionConfig {
    pub off: Vec<Spanned<String>>,
    pub packages: Vec<Spanned<String>>,
    pub programs: Option<String>,
    pub apt_wait: Option<Spanned<String>>,
    pub docker: RawDockerSource,
    pub docker_major: Option<u32>,
    pub docker_repository: Option<Spanned<String>>,
    pub docker_key: Option<Spanned<String>>,
    pub address_pools: Vec<Spanned<String>>,
    pub autolock: bool,
    pub heartbeat: Option<Spanned<String>>,
    pub swap: Option<Spanned<String>>,
    pub swappiness: Option<Spanned<u8>>,
    pub restic_url: Option<Spanned<String>>,
    pub restic_sha256: Option<Spanned<String>>,
    pub ssh_from: Vec<Spanned<String>>,
    pub open_ports: Vec<Spanned<String>>,
    pub suricata: RawSuricataRules,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawSuricataRules {
    #[default]
    Off,
    BuiltIn,
    Update,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "struct Scaleway", deny_unknown_fields)]
pub(super) struct RawScalewayConfig {
    pub zone: Spanned<String>,
    pub security_group: Spanned<String>,
    pub token_file: String,
    pub url: Option<Spanned<String>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawDnsProvider {
    Rfc2136,
    Gandi,
    Scaleway,
    Ovh,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawDnsKeyAlgorithm {
    #[default]
    HmacSha256,
    HmacSha512,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(expecting = "struct Dns")]
pub(super) struct RawDnsConfig {
    pub provider: Option<RawDnsProvider>,
    pub zones: Vec<Spanned<String>>,
    pub addresses: Vec<Spanned<String>>,
    pub ttl: Option<Spanned<u32>>,
    pub server: Option<Spanned<String>>,
    pub key_name: Option<Spanned<String>>,
    pub key_algorithm: RawDnsKeyAlgorithm,
    pub key_file: Option<String>,
    pub token_file: Option<String>,
    pub application_key: Option<Spanned<String>>,
    pub application_secret_file: Option<String>,
    pub consumer_key_file: Option<String>,
    pub endpoint: Option<Spanned<String>>,
    pub rdap: Option<Spanned<String>>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawStorageDriver {
    Nfs,
    Netshare,
    Shared,
    #[default]
    Local,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(expecting = "struct Storage")]
pub(super) struct RawStorageConfig {
    pub driver: RawStorageDriver,
    pub node: Option<Spanned<String>>,
    pub path: Option<Spanned<String>>,
    pub devices: Vec<Spanned<String>>,
    pub filesystem: RawFilesystem,
    pub gluster: Vec<Spanned<String>>,
    pub netshare_url: Option<Spanned<String>>,
    pub netshare_sha256: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(expecting = "struct Backup")]
pub(super) struct RawBackupConfig {
    pub repository: Option<Spanned<String>>,
    pub password_file: Option<Spanned<String>>,
    pub password_command: Option<Spanned<Vec<String>>>,
    pub environment_file: Option<String>,
    pub append_only: bool,
    pub copies: Vec<RawRepositoryCopy>,
    pub schedule: Option<Spanned<String>>,
    pub random_delay: Option<Spanned<String>>,
    pub upload_limit: Option<Spanned<String>>,
    pub cpu_limit: Option<u32>,
    pub check_parts: Option<Spanned<u32>>,
    pub ping_file: Option<String>,
    pub keep_within_days: Option<u32>,
    pub keep_daily: Option<u32>,
    pub keep_weekly: Option<u32>,
    pub keep_monthly: Option<u32>,
    pub keep_yearly: Option<u32>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(expecting = "struct RepositoryCopy", deny_unknown_fields)]
pub(super) struct RawRepositoryCopy {
    pub name: Spanned<String>,
    pub repository: Spanned<String>,
    pub password_file: Option<Spanned<String>>,
    pub password_command: Option<Spanned<Vec<String>>>,
    pub environment_file: Option<String>,
    #[serde(default)]
    pub append_only: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(expecting = "struct Edge")]
pub(super) struct RawEdgeConfig {
    pub email: Option<Spanned<String>>,
    pub network: Option<String>,
    pub resolver: Option<String>,
    pub ca_file: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(expecting = "struct Page")]
pub(super) struct RawPageConfig {
    pub allow: Vec<Spanned<String>>,
    pub automatic: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(expecting = "struct Updates")]
pub(super) struct RawUpdatesConfig {
    pub rehearse: Option<Spanned<RawRehearse>>,
    pub limit: Option<Spanned<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawRehearse {
    Off,
    Nightly,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(expecting = "struct Room")]
pub(super) struct RawRoomConfig {
    pub floor: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(expecting = "struct Alerts")]
pub(super) struct RawAlertsConfig {
    pub cpu: Option<Spanned<u8>>,
    pub memory: Option<Spanned<u8>>,
    pub disk: Option<Spanned<u8>>,
    pub certificate_days: Option<u32>,
    pub disk_full_hours: Option<u32>,
    pub backup_hours: Option<u32>,
    pub drift: Option<bool>,
    pub interval: Option<Spanned<String>>,
    pub bell: bool,
    pub notify: RawNotifyMethod,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawNotifyMethod {
    #[default]
    Off,
    Osc9,
    Osc777,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(expecting = "struct Receivers")]
pub(super) struct RawReceiversConfig {
    pub email: Option<Spanned<String>>,
    pub smtp: Option<Spanned<String>>,
    pub smtp_from: Option<String>,
    pub smtp_user: Option<String>,
    pub smtp_password_file: Option<String>,
    pub webhook_file: Option<String>,
    pub telegram_chat: Option<Spanned<i64>>,
    pub telegram_token_file: Option<String>,
    pub matrix_file: Option<String>,
    pub ntfy: Option<Spanned<String>>,
    pub ntfy_token_file: Option<String>,
    pub gotify: Option<Spanned<String>>,
    pub gotify_token_file: Option<String>,
    pub deadman_file: Option<String>,
    pub quiet: Option<Spanned<String>>,
    pub digest: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(expecting = "struct Mail")]
pub(super) struct RawMailConfig {
    pub server: Option<Spanned<String>>,
    pub port: Option<u16>,
    pub security: RawMailSecurity,
    pub user: Option<Spanned<String>>,
    pub password_file: Option<String>,
    pub sender: Option<Spanned<String>>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawMailSecurity {
    #[default]
    Starttls,
    Tls,
    None,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(expecting = "struct Logs")]
pub(super) struct RawLogsConfig {
    pub memory: Option<Spanned<String>>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawColours {
    #[default]
    Auto,
    Always,
    Never,
}

/// A language, as ISO 639 has it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawLanguage {
    En,
    Fr,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[serde(expecting = "struct Theme")]
pub(super) struct RawThemeConfig {
    pub colours: RawColours,
    pub ascii: Option<bool>,
    pub light: Option<bool>,
    pub mouse: Option<bool>,
    pub language: Option<RawLanguage>,
}
