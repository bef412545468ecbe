//! The validated configuration, as the rest of the program uses it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::commands::CommandConfig;
use matou_base::text::InvalidInput;
use matou_base::units;
use matou_i18n::{Language, tr};
use matou_model::{Availability, Role};

use super::digest::DigestSchedule;
use super::quiet::QuietHours;

/// Everything config.toml says, with defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[fleet]`.
    pub fleet: FleetConfig,
    /// In the order of the file; at least one manager.
    pub nodes: Vec<NodeConfig>,
    /// `[storage]`.
    pub storage: StorageConfig,
    /// `[provision]`.
    pub provision: ProvisionConfig,
    /// `[backup]`.
    pub backup: BackupConfig,
    /// `[edge]`.
    pub edge: EdgeConfig,
    /// `[page]`.
    pub page: PageConfig,
    /// `[updates]`.
    pub updates: UpdatesConfig,
    /// `[room]`.
    pub room: RoomConfig,
    /// `[scaleway]`; `None` when it is not there.
    pub scaleway: Option<ScalewayConfig>,
    /// `[dns]`; `None` when it is not there: records are the operator's.
    pub dns: Option<DnsConfig>,
    /// `[dns] rdap`: who is asked when domains expire.
    pub rdap: RdapConfig,
    /// `[alerts]`.
    pub alerts: AlertsConfig,
    /// `[alerts.receivers]`.
    pub receivers: ReceiversConfig,
    /// `[mail]`; `None` when it is not there: applications send no mail.
    pub mail: Option<MailConfig>,
    /// `[logs]`.
    pub logs: LogsConfig,
    /// Action → keys, as written; the console's key map checks the names.
    pub keys: BTreeMap<String, Vec<String>>,
    /// `layout` of `[keys]`.
    pub keyboard: KeyboardLayout,
    /// `[[commands]]`; the console's key map checks their keys.
    pub commands: Vec<CommandConfig>,
    /// `[theme]`.
    pub theme: ThemeConfig,
    /// The file it came from; `None` when this machine alone is the fleet.
    pub path: Option<PathBuf>,
    /// What is not wrong but should be known.
    pub warnings: Vec<String>,
}

/// Which keyboard the default keys are for, where they are not the same on all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyboardLayout {
    /// QWERTY, QWERTZ and AZERTY, whose digits without Shift are no keys of anything else.
    #[default]
    Azerty,
    /// BÉPO, in all its versions.
    Bepo,
}

impl std::str::FromStr for KeyboardLayout {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        match text {
            "azerty" | "qwerty" => Ok(Self::Azerty),
            "bepo" => Ok(Self::Bepo),
            _ => Err(tr!("expected \"qwerty\", \"azerty\" or \"bepo\"").into()),
        }
    }
}

impl Config {
    /// The folder of config.toml: where `stacks/` and `apps/` of the fleet are.
    pub fn folder(&self) -> Option<PathBuf> {
        self.path.as_ref()?.parent().map(Path::to_path_buf)
    }

    /// Returns whether it is in the folder of a practice fleet, which `matou lab up` makes.
    pub fn is_practice_fleet(&self) -> bool {
        let labs = super::state_path().map(|state| state.join("lab"));
        let (Some(path), Ok(labs)) = (&self.path, labs) else {
            return false;
        };
        match (path.canonicalize(), labs.canonicalize()) {
            (Ok(path), Ok(labs)) => path.starts_with(labs),
            _ => false,
        }
    }

    /// An error about an action of `[keys]`, with its place in the file.
    pub fn key_error(&self, action: &str, message: String) -> super::ConfigError {
        let (path, text) = self.read_again();
        let section = text.find("[keys]").unwrap_or(0);
        let at = text[section..]
            .find(action)
            .map_or(section, |i| section + i);
        super::ConfigError::at_span(&path, &text, at..at + action.len(), message)
    }

    /// An error about a command of `[[commands]]`, with its place in the file.
    pub fn command_error(&self, command: &CommandConfig, message: String) -> super::ConfigError {
        let (path, text) = self.read_again();
        super::ConfigError::at_span(&path, &text, command.span.clone(), message)
    }

    fn read_again(&self) -> (PathBuf, String) {
        let path = self.path.clone().unwrap_or_default();
        let text = matou_base::files::read_text(&path, matou_base::files::MAX_CONFIG_BYTES);
        (path, text.unwrap_or_default())
    }
}

/// What the fleet is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetConfig {
    /// Shown in the console's first line.
    pub name: String,
    /// Domain under which applications are offered by default.
    pub domain: Option<String>,
    /// Whether changes of the fleet folder are commits of git.
    pub git: bool,
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
    /// The client's configuration decides when `None`.
    pub port: Option<u16>,
    /// The client's configuration decides when `None`.
    pub user: Option<String>,
    /// File of the private key.
    pub identity: Option<PathBuf>,
    /// `[user@]host[:port]` to go through.
    pub jump: Option<String>,
    /// What is done with an unknown key.
    pub known_hosts: KnownHosts,
    /// Own known_hosts file; ssh's when `None`.
    pub known_hosts_file: Option<PathBuf>,
    /// ssh_config to read; the user's and the system's when `None`.
    pub config_file: Option<PathBuf>,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// A connection is lost after three of these without an answer.
    pub keep_alive: Duration,
}

/// How a node is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeConnection {
    /// The machine matou runs on.
    Local,
    /// Another machine.
    Ssh(SshOptions),
}

/// A server of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// The node's name, by which all else names it.
    pub name: String,
    /// What it is to be in the swarm.
    pub role: Role,
    /// How matou connects to it.
    pub reach: NodeConnection,
    /// Address or interface for the fleet's own traffic (swarm, NFS); that of the default route
    /// when `None`.
    pub advertise: Option<String>,
    /// What the scheduler may do with it; left as it is when `None`.
    pub availability: Option<Availability>,
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

/// Where the data of the applications lies, and how it reaches the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageConfig {
    /// How volumes reach every node.
    pub driver: StorageDriver,
    /// The node that holds the data.
    pub node: String,
    /// Folder of the data on it.
    pub path: PathBuf,
    /// Block devices of the storage node that are joined into one volume.
    pub devices: Vec<PathBuf>,
    /// File system that is made on it.
    pub filesystem: Filesystem,
    /// Nodes that hold a copy of the data each (GlusterFS), for the driver `shared`; empty when
    /// something else mounts the path.
    pub gluster: Vec<String>,
    /// The plugin's program, for the driver `netshare`.
    pub netshare: Option<Download>,
}

/// The file system of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filesystem {
    /// ext4, which all tools know.
    #[default]
    Ext4,
    /// XFS.
    Xfs,
}

impl Filesystem {
    /// As `mkfs -t` and fstab name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }
}

/// A file that a node downloads, checked by its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// http or https.
    pub url: String,
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// The concerns of provisioning, in the order in which they are worked through; each can be
/// switched off in config.toml.
pub const CONCERNS: [&str; 27] = [
    "base",
    "names",
    "time",
    "upgrades",
    "files",
    "swap",
    "kernel",
    "restic",
    "docker",
    "engine",
    "storage",
    "nfs-server",
    "gluster",
    "scaleway",
    "sshd",
    "fail2ban",
    "firewall",
    "suricata",
    "swarm",
    "nfs-client",
    "volumes",
    "matou",
    "backup",
    "metrics",
    "alerts",
    "jobs",
    "room",
];

/// Where Docker is installed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DockerSource {
    /// Docker's own apt repository.
    #[default]
    Docker,
    /// The distribution's `docker.io`.
    Distribution,
}

/// Whether Suricata watches what comes in, and by which rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SuricataRules {
    /// It is left alone.
    #[default]
    Off,
    /// By the rules that come with matou.
    BuiltIn,
    /// By those of Emerging Threats too, which `suricata-update` fetches every night.
    Update,
}

/// What servers are made into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvisionConfig {
    /// Concerns that are left alone.
    pub off: Vec<String>,
    /// Packages that every node gets beside those matou needs.
    pub packages: Vec<String>,
    /// How long a package manager that somebody else uses is waited for.
    pub apt_wait: Duration,
    /// Where packages of Docker come from.
    pub docker: DockerSource,
    /// Major version that Docker's repository is pinned to.
    pub docker_major: u32,
    /// Address of Docker's repository, without distribution.
    pub docker_repository: String,
    /// Fingerprint of the key that signs it, 40 upper-case hexadecimal digits.
    pub docker_key: String,
    /// Networks that overlay networks are cut out of; chosen when empty.
    pub address_pools: Vec<String>,
    /// Managers need a key after each restart.
    pub autolock: bool,
    /// How often nodes report to the managers. Swarm takes a node that misses three for down, and
    /// starts its tasks elsewhere.
    pub heartbeat: Duration,
    /// Size of the swap file, bytes; 0: none.
    pub swap: u64,
    /// Folder of this machine with the programs that managers are given, `matou-x86_64` and
    /// `matou-aarch64`; `None`: the running one, or what lies beside it.
    pub programs: Option<PathBuf>,
    /// `vm.swappiness`, 0 to 100.
    pub swappiness: u8,
    /// An official release of restic (bzip2); the distribution's package when `None`.
    pub restic: Option<Download>,
    /// Addresses and networks that SSH is open to; everybody when empty.
    pub ssh_from: Vec<String>,
    /// Ports that are open to everybody beside SSH, 80 and 443: `8443/tcp`.
    pub open_ports: Vec<String>,
    /// Where Suricata's rules come from.
    pub suricata: SuricataRules,
}

/// A security group of Scaleway that is kept as the fleet needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalewayConfig {
    /// Availability zone: `fr-par-1`.
    pub zone: String,
    /// Id of the security group.
    pub security_group: String,
    /// File with the secret key of an API key.
    pub token_file: PathBuf,
    /// Address of the API.
    pub url: String,
}

/// Where the records of applications' names are, and what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsConfig {
    /// Who is asked.
    pub provider: DnsProviderConfig,
    /// Names of the zones in which records are made; at least one, in lower case.
    pub zones: Vec<String>,
    /// What names lead to; empty: the public addresses of the nodes that take https.
    pub addresses: Vec<DnsAddress>,
    /// How long others may keep a record, seconds.
    pub ttl: u32,
    /// No key of config.toml: the fleet that applications are being moved from, whose records of their names become
    /// this one's.
    pub predecessor: Option<String>,
}

/// Who is asked when domains expire (RDAP, RFC 9082).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RdapConfig {
    /// The registries, whose servers IANA lists (RFC 9224).
    #[default]
    Registries,
    /// This server alone, by its base address without a slash at the end.
    Server(String),
    /// Nobody.
    Off,
}

/// What names lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsAddress {
    /// An address.
    Ip(std::net::IpAddr),
    /// The address of a node.
    Node(String),
}

/// Who has the zones, and by which files it knows matou.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsProviderConfig {
    /// A name server that takes updates (RFC 2136).
    NameServer {
        /// `host:port`.
        server: String,
        /// Name of the key (TSIG).
        key_name: String,
        /// How it signs.
        key_algorithm: DnsKeyAlgorithm,
        /// File with the key, in base64.
        key_file: PathBuf,
    },
    /// Gandi LiveDNS.
    Gandi {
        /// File with a personal access token.
        token_file: PathBuf,
        /// Address of the API; that of the provider when `None`.
        endpoint: Option<String>,
    },
    /// Scaleway Domains and DNS.
    Scaleway {
        /// File with the secret key of an API key.
        token_file: PathBuf,
        /// Address of the API; that of the provider when `None`.
        endpoint: Option<String>,
    },
    /// OVHcloud.
    Ovh {
        /// Names the application.
        application_key: String,
        /// File with the application's secret.
        application_secret_file: PathBuf,
        /// File with the consumer key.
        consumer_key_file: PathBuf,
        /// Address of the API; that for customers in Europe when `None`.
        endpoint: Option<String>,
    },
}

impl DnsConfig {
    /// Returns a zone that two configurations change at the same place.
    pub fn find_shared_zone<'a>(&'a self, other: &Self) -> Option<&'a String> {
        let same = self.provider.place() == other.provider.place();
        let mut zones = self.zones.iter();
        zones.find(|zone| same && other.zones.contains(zone))
    }
}

impl DnsProviderConfig {
    /// Returns what is asked: a server, or an address of an API.
    fn place(&self) -> &str {
        let (usual, endpoint) = match self {
            Self::NameServer { server, .. } => return server,
            Self::Gandi { endpoint, .. } => ("gandi", endpoint),
            Self::Scaleway { endpoint, .. } => ("scaleway", endpoint),
            Self::Ovh { endpoint, .. } => ("ovh", endpoint),
        };
        endpoint.as_deref().unwrap_or(usual)
    }

    /// Lists the files with its secrets.
    pub fn secret_files(&self) -> Vec<&PathBuf> {
        match self {
            Self::NameServer { key_file, .. } => vec![key_file],
            Self::Gandi { token_file, .. } | Self::Scaleway { token_file, .. } => vec![token_file],
            Self::Ovh {
                application_secret_file,
                consumer_key_file,
                ..
            } => vec![application_secret_file, consumer_key_file],
        }
    }
}

/// How messages to a name server are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DnsKeyAlgorithm {
    /// HMAC with SHA-256.
    #[default]
    HmacSha256,
    /// HMAC with SHA-512.
    HmacSha512,
}

/// A place where restic keeps snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepositoryConfig {
    /// `main` for the first one; letters, digits and dashes.
    pub name: String,
    /// As restic names it: a path, `sftp:`, `s3:`, `rest:`, `rclone:`, … It may hold a password.
    pub location: String,
    /// File that holds the password.
    pub password_file: Option<PathBuf>,
    /// Program and arguments that print the password.
    pub password_command: Vec<String>,
    /// `NAME=VALUE` lines with the repository's credentials.
    pub environment_file: Option<PathBuf>,
    /// Its server lets these credentials add, and not delete: nothing is forgotten there by them.
    pub append_only: bool,
}

impl RepositoryConfig {
    /// Returns the location with a password in it replaced by `***`.
    pub fn shown_location(&self) -> String {
        let Some((scheme, rest)) = self.location.split_once("://") else {
            return self.location.clone();
        };
        let end = rest.find('/').unwrap_or(rest.len());
        match rest[..end].rsplit_once('@') {
            Some((user, host)) if user.contains(':') => {
                let user = user.split(':').next().unwrap_or_default();
                format!("{scheme}://{user}:***@{host}{}", &rest[end..])
            }
            _ => self.location.clone(),
        }
    }

    /// Returns the folder of a repository that lies on the storage node itself.
    pub fn local_folder(&self) -> Option<&Path> {
        let path = self.location.strip_prefix("local:");
        let path = Path::new(path.unwrap_or(&self.location));
        path.is_absolute().then_some(path)
    }
}

/// Where to, when and how much is backed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupConfig {
    /// The first one is backed up to, the others are copies; none: no backups.
    pub repositories: Vec<RepositoryConfig>,
    /// Snapshots that are not forgotten.
    pub keep: Retention,
    /// When the manager backs everything up, as systemd's OnCalendar has it.
    pub schedule: String,
    /// It begins at a random time up to this much later.
    pub random_delay: Duration,
    /// KiB a second that restic sends at most; 0: no limit.
    pub upload_limit: u32,
    /// Percent of one core that restic uses at most; 0: no limit.
    pub cpu_limit: u32,
    /// Every night one part of so many of the repository's data is read and checked.
    pub check_parts: u32,
    /// File with an address that is requested after each night without a failure.
    pub ping_file: Option<PathBuf>,
}

impl BackupConfig {
    /// The repository that is backed up to.
    pub fn primary_repository(&self) -> Option<&RepositoryConfig> {
        self.repositories.first()
    }

    /// The repository of a name.
    pub fn find_repository(&self, name: &str) -> Option<&RepositoryConfig> {
        self.repositories.iter().find(|r| r.name == name)
    }
}

/// How many snapshots of each application are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The newest of each of the last so many days that have one.
    pub daily: u32,
    /// The newest of each of the last so many weeks that have one.
    pub weekly: u32,
    /// The newest of each of the last so many months that have one.
    pub monthly: u32,
    /// The newest of each of the last so many years that have one.
    pub yearly: u32,
    /// Every snapshot of the last so many days.
    pub within_days: u32,
}

/// The reverse proxy, and its certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeConfig {
    /// Let's Encrypt writes here before a certificate ends.
    pub email: Option<String>,
    /// The overlay network between Traefik and the applications.
    pub network: String,
    /// Traefik's certificate resolver.
    pub resolver: String,
    /// PEM file of an authority that certificates may come from, beside those of browsers.
    pub ca_file: Option<PathBuf>,
}

/// The page that visitors see instead of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageConfig {
    /// Addresses and networks of the operator, which see the application all the same.
    pub allow: Vec<String>,
    /// Whether jobs show one while they stop an application.
    pub automatic: bool,
}

/// What is found out about updates while nobody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdatesConfig {
    /// Whether the night rehearses newer patch releases after its backup.
    pub rehearse_nightly: bool,
    /// How long the rehearsal of one application may take.
    pub limit: Duration,
}

/// Room on the nodes' disks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoomConfig {
    /// What is to be free of the file system of each node's engine; below it the night cleans.
    pub floor: Option<DiskFloor>,
}

/// What is to be free of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFloor {
    /// Percent of all.
    Percent(u8),
    /// Bytes.
    Bytes(u64),
}

impl DiskFloor {
    /// Parses it: `20%`, `15 GB`.
    ///
    /// # Errors
    /// A sentence that says what is allowed.
    pub fn parse(text: &str) -> Result<Self, InvalidInput> {
        let allowed = || InvalidInput::new(tr!("{text:?} is no floor: write \"20%\" or \"15 GB\""));
        match text.trim().strip_suffix('%') {
            Some(percent) => {
                let percent = percent.trim().parse().map_err(|_| allowed())?;
                match percent {
                    1..=90 => Ok(Self::Percent(percent)),
                    _ => Err(InvalidInput::new(tr!("a floor is from 1 % to 90 %"))),
                }
            }
            None => units::parse_disk_size(text)
                .map(Self::Bytes)
                .map_err(|_| allowed()),
        }
    }

    /// Bytes that are to be free of `total`.
    pub fn bytes_of(self, total: u64) -> u64 {
        match self {
            Self::Percent(percent) => total / 100 * u64::from(percent),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// When the console alerts, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertsConfig {
    /// Percent.
    pub cpu: u8,
    /// Percent of what is there.
    pub memory: u8,
    /// Percent of each file system.
    pub disk: u8,
    /// A certificate that ends within so many days is told.
    pub certificate_days: u32,
    /// A disk that fills is told when it will be full within this many hours.
    pub disk_full_hours: u32,
    /// The newest snapshot of an application may be this old.
    pub backup_hours: u32,
    /// Whether to alert when nodes differ from config.toml.
    pub drift: bool,
    /// How often every application is probed.
    pub interval: Duration,
    /// The terminal's bell rings when an alert begins.
    pub bell: bool,
    /// Whether the terminal shows a notification too.
    pub notify: NotifyMethod,
}

/// Who is notified of alerts by the monitoring stack. Values that are secret are in files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiversConfig {
    /// Mail, by way of an SMTP server.
    pub email: Option<EmailConfig>,
    /// Holds the address that Alertmanager posts to.
    pub webhook_file: Option<PathBuf>,
    /// Number of the chat, file with the bot's token.
    pub telegram: Option<(i64, PathBuf)>,
    /// Holds the address of a webhook of a Matrix bot (matrix-hookshot).
    pub matrix_file: Option<PathBuf>,
    /// Address of a topic.
    pub ntfy: Option<String>,
    /// Holds an access token of the topic.
    pub ntfy_token_file: Option<PathBuf>,
    /// Address of a Gotify server, file with an application's token.
    pub gotify: Option<(String, PathBuf)>,
    /// Holds an address that is asked while the monitoring works.
    pub deadman_file: Option<PathBuf>,
    /// When only what is critical is told.
    pub quiet: Option<QuietHours>,
    /// When digests are sent; `None`: never.
    pub digest: Option<DigestSchedule>,
}

impl ReceiversConfig {
    /// Iterates over all files that are named.
    pub fn secret_files(&self) -> impl Iterator<Item = &PathBuf> {
        let password = self.email.as_ref().and_then(|e| e.password_file.as_ref());
        let named = [
            &self.webhook_file,
            &self.matrix_file,
            &self.ntfy_token_file,
            &self.deadman_file,
        ];
        let telegram = self.telegram.as_ref().map(|(_, token)| token);
        let gotify = self.gotify.as_ref().map(|(_, token)| token);
        let tokens = telegram.into_iter().chain(gotify);
        named.into_iter().flatten().chain(password).chain(tokens)
    }
}

/// How alerts are mailed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailConfig {
    /// Address that gets it.
    pub to: String,
    /// Address that it comes from.
    pub from: String,
    /// `host:port`.
    pub smtp: String,
    /// Name to log in with; `None`: no log-in.
    pub user: Option<String>,
    /// Holds the password of that name.
    pub password_file: Option<PathBuf>,
}

/// The mail server that applications send through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailConfig {
    /// Host name.
    pub server: String,
    /// TCP port.
    pub port: u16,
    /// How the connection is encrypted.
    pub security: MailSecurity,
    /// Name to log in with; `None`: no log-in.
    pub user: Option<String>,
    /// Holds the password of that name.
    pub password_file: Option<PathBuf>,
    /// Address that mail comes from.
    pub sender: String,
}

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MailSecurity {
    /// By STARTTLS (RFC 3207).
    #[default]
    Starttls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// Not at all.
    None,
}

impl MailSecurity {
    /// Returns the word of config.toml.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starttls => "starttls",
            Self::Tls => "tls",
            Self::None => "none",
        }
    }
}

/// How the terminal is asked to show a notification on the desktop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NotifyMethod {
    /// None is shown.
    #[default]
    Off,
    /// As iTerm2, kitty, Windows Terminal and Ghostty know it.
    Osc9,
    /// As rxvt-unicode, foot, WezTerm and VTE's terminals know it.
    Osc777,
}

/// What log views keep.
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
    /// Colours, whatever the terminal says of itself.
    Always,
    /// No colours.
    Never,
}

/// How the console is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThemeConfig {
    /// Which colours are drawn.
    pub colours: Colours,
    /// Draw nothing outside ASCII; `None`: where the locale or the terminal has no more.
    pub ascii: Option<bool>,
    /// Use colours for a light background; `None`: the terminal is asked for its own.
    pub light: Option<bool>,
    /// Take turns of the wheel and clicks; text is selected with Shift then.
    pub mouse: bool,
    /// The language that matou speaks; `None`: that of the environment.
    pub language: Option<Language>,
}

impl Default for ThemeConfig {
    fn default() -> Self {
        Self {
            colours: Colours::Auto,
            ascii: None,
            light: None,
            mouse: true,
            language: None,
        }
    }
}
