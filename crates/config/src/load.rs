//! Finds config.toml, reads it and checks what a type can't say.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::ConfigError;
use super::raw::{self, RawConfig, RawKeys, RawLanguage};
use super::types::*;
use matou_base::files;
use matou_base::text::InvalidInput;
use matou_base::units;
use matou_i18n::{Language, tr};
use matou_model::Role;

/// Least memory a log view works with.
const MIN_LOG_MEMORY: usize = 1 << 20;

/// How long the rehearsal of one application may take in the night.
const REHEARSAL_LIMIT: Duration = Duration::from_secs(3600);

/// Least time between two requests to an application.
const MIN_PROBE_INTERVAL: Duration = Duration::from_secs(5);

impl Config {
    /// Reads `explicit`, or the first of `./config.toml` and `$XDG_CONFIG_HOME/matou/config.toml`
    /// that is there; without any, this machine alone is the fleet.
    ///
    /// # Errors
    /// What is wrong, with file, line and column.
    pub fn load(explicit: Option<&Path>) -> Result<Self, ConfigError> {
        match explicit.map(Path::to_path_buf).or_else(find_config_file) {
            Some(path) => Self::read_file(&path),
            None => Ok(Self::this_machine()),
        }
    }

    /// Reads one file.
    ///
    /// # Errors
    /// What is wrong, with file, line and column.
    pub fn read_file(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |e: std::io::Error| ConfigError {
            path: path.to_owned(),
            place: None,
            message: tr!("can't be read: {e}"),
        };
        let text = files::read_text(path, files::MAX_CONFIG_BYTES).map_err(unreadable)?;
        let path = std::path::absolute(path).map_err(unreadable)?;
        Self::parse(&text, &path)
    }

    /// Parses and checks the text of a configuration; `path` is its file.
    ///
    /// # Errors
    /// What is wrong, with file, line and column.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let raw: RawConfig =
            toml::from_str(text).map_err(|e| ConfigError::from_toml(path, text, &e))?;
        ConfigChecker {
            text,
            path,
            folder: path.parent().unwrap_or(Path::new(".")),
        }
        .check_config(raw)
    }

    /// Returns the configuration without a file: this machine alone is the fleet.
    pub fn this_machine() -> Self {
        let name = nix::unistd::gethostname()
            .ok()
            .and_then(|n| n.into_string().ok())
            .unwrap_or_else(|| "localhost".into());
        let node = NodeConfig {
            name: name.clone(),
            role: Role::Manager,
            reach: NodeConnection::Local,
            advertise: None,
            availability: None,
            labels: BTreeMap::new(),
            docker_socket: local_docker_socket(None),
        };
        // An empty file sets every default. Only the node is missing.
        let nowhere = ConfigChecker {
            text: "",
            path: Path::new(""),
            folder: Path::new("."),
        };
        #[expect(
            clippy::expect_used,
            reason = "an empty file has nothing that is wrong"
        )]
        let config = nowhere
            .build_config(RawConfig::default(), vec![node], name)
            .expect("nothing is wrong with it");
        config
    }
}

/// Returns where the user's own configuration is: `$XDG_CONFIG_HOME/matou/config.toml`; `None` without a home
/// folder.
pub fn user_config_path() -> Option<PathBuf> {
    directories::BaseDirs::new().map(|d| d.config_dir().join("matou/config.toml"))
}

fn find_config_file() -> Option<PathBuf> {
    let here = PathBuf::from("config.toml");
    // Also a link that leads nowhere: were it passed over, this machine alone would be the fleet.
    std::iter::once(here)
        .chain(user_config_path())
        .find(|p| p.symlink_metadata().is_ok())
}

/// Returns the engine's socket on this machine: from config.toml, DOCKER_HOST, or the usual path.
fn local_docker_socket(written: Option<String>) -> PathBuf {
    written
        .or_else(|| {
            let host = std::env::var("DOCKER_HOST").ok()?;
            host.strip_prefix("unix://").map(str::to_owned)
        })
        .map_or_else(|| "/var/run/docker.sock".into(), PathBuf::from)
}

pub(super) struct ConfigChecker<'a> {
    text: &'a str,
    path: &'a Path,
    folder: &'a Path,
}

impl ConfigChecker<'_> {
    fn check_config(&self, mut raw: RawConfig) -> Result<Config, ConfigError> {
        let name = raw.fleet.name.clone().unwrap_or_else(|| "fleet".into());
        let nodes = self.check_nodes(&mut raw)?;
        self.check_alerts(&raw)?;
        if let Some(email) = &raw.edge.email
            && !email.get_ref().contains('@')
        {
            return Err(self.error_at(email.span(), tr!("an e-mail address has an @")));
        }
        if let Some(memory) = &raw.logs.memory {
            let size = self.parse_unit(memory, units::parse_human_size)?;
            if size < MIN_LOG_MEMORY {
                return Err(
                    self.error_at(memory.span(), tr!("a log view needs at least \"1 MiB\""))
                );
            }
        }
        let keyboard = self.take_keyboard(&mut raw.keys)?;
        for (action, keys) in &raw.keys {
            if let raw::OneOrMany::Many(keys) = keys.get_ref()
                && keys.is_empty()
            {
                return Err(self.error_at(action.span(), tr!("an action needs at least one key")));
            }
        }
        let mut config = self.build_config(raw, nodes, name)?;
        config.path = Some(self.path.to_owned());
        config.keyboard = keyboard;
        config.warnings.extend(self.find_exposed_files(&config));
        Ok(config)
    }

    /// Takes `layout` out of `[keys]`, which is no action.
    fn take_keyboard(&self, keys: &mut RawKeys) -> Result<KeyboardLayout, ConfigError> {
        let found = keys.keys().find(|name| name.get_ref() == "layout");
        let Some(name) = found.cloned() else {
            return Ok(KeyboardLayout::default());
        };
        let Some(layout) = keys.remove(&name) else {
            return Ok(KeyboardLayout::default());
        };
        let span = layout.span();
        let words = layout.into_inner().into_vec();
        let parsed = words.join(" ").parse::<KeyboardLayout>();
        parsed.map_err(|e| self.error_at(span, &e.to_string()))
    }

    /// Fills in the defaults.
    fn build_config(
        &self,
        raw: RawConfig,
        nodes: Vec<NodeConfig>,
        name: String,
    ) -> Result<Config, ConfigError> {
        let first_manager = nodes
            .iter()
            .find(|n| n.role == Role::Manager)
            .map_or_else(String::new, |n| n.name.clone());
        let percent = |value: Option<Spanned<u8>>| value.map_or(95, Spanned::into_inner);
        let backup = self.check_backup(raw.backup)?;
        let updates = self.check_updates(&raw.updates, backup.primary_repository().is_some())?;
        Ok(Config {
            fleet: FleetConfig {
                name,
                domain: raw.fleet.domain,
                git: raw.fleet.git,
            },
            storage: self.check_storage(raw.storage, &nodes, first_manager)?,
            provision: self.check_provision(raw.provision)?,
            scaleway: self.check_scaleway(raw.scaleway)?,
            rdap: self.check_rdap(raw.dns.as_ref())?,
            dns: self.check_dns(raw.dns, raw.fleet.name.as_deref(), &nodes)?,
            backup,
            edge: self.build_edge(raw.edge),
            page: self.check_page(raw.page)?,
            updates,
            room: self.check_room(&raw.room)?,
            alerts: AlertsConfig {
                cpu: percent(raw.alerts.cpu),
                memory: percent(raw.alerts.memory),
                disk: percent(raw.alerts.disk),
                certificate_days: raw.alerts.certificate_days.unwrap_or(21),
                disk_full_hours: raw.alerts.disk_full_hours.unwrap_or(24),
                backup_hours: raw.alerts.backup_hours.unwrap_or(36),
                drift: raw.alerts.drift.unwrap_or(true),
                interval: raw
                    .alerts
                    .interval
                    .and_then(|i| units::parse_human_duration(i.get_ref()).ok())
                    .unwrap_or(Duration::from_secs(15)),
                bell: raw.alerts.bell,
                notify: match raw.alerts.notify {
                    raw::RawNotifyMethod::Off => NotifyMethod::Off,
                    raw::RawNotifyMethod::Osc9 => NotifyMethod::Osc9,
                    raw::RawNotifyMethod::Osc777 => NotifyMethod::Osc777,
                },
            },
            receivers: self.check_receivers(raw.receivers)?,
            mail: self.check_mail(raw.mail)?,
            logs: LogsConfig {
                memory: raw
                    .logs
                    .memory
                    .and_then(|m| units::parse_human_size(m.get_ref()).ok())
                    .unwrap_or(64 << 20),
            },
            keys: raw
                .keys
                .into_iter()
                .map(|(action, keys)| (action.into_inner(), keys.into_inner().into_vec()))
                .collect(),
            keyboard: KeyboardLayout::default(),
            commands: self.check_commands(raw.commands)?,
            theme: ThemeConfig {
                colours: match raw.theme.colours {
                    raw::RawColours::Auto => Colours::Auto,
                    raw::RawColours::Always => Colours::Always,
                    raw::RawColours::Never => Colours::Never,
                },
                ascii: raw.theme.ascii,
                light: raw.theme.light,
                mouse: raw.theme.mouse.unwrap_or(true),
                language: raw.theme.language.map(|l| match l {
                    RawLanguage::En => Language::English,
                    RawLanguage::Fr => Language::French,
                }),
            },
            nodes,
            path: None,
            warnings: Vec::new(),
        })
    }

    fn build_edge(&self, raw: raw::RawEdgeConfig) -> EdgeConfig {
        EdgeConfig {
            email: raw.email.map(Spanned::into_inner),
            network: raw.network.unwrap_or_else(|| "traefik-net".into()),
            resolver: raw.resolver.unwrap_or_else(|| "le".into()),
            ca_file: raw.ca_file.map(|p| self.resolve_path(p.get_ref())),
        }
    }

    fn check_page(&self, raw: raw::RawPageConfig) -> Result<PageConfig, ConfigError> {
        let normalize = |network: Spanned<String>| {
            let span = network.span();
            matou_model::normalize_network(network.get_ref())
                .map_err(|e| self.error_at(span, &e.to_string()))
        };
        let allow = raw.allow.into_iter().map(normalize);
        Ok(PageConfig {
            allow: allow.collect::<Result<_, _>>()?,
            automatic: raw.automatic.unwrap_or(true),
        })
    }

    fn check_updates(
        &self,
        raw: &raw::RawUpdatesConfig,
        has_repository: bool,
    ) -> Result<UpdatesConfig, ConfigError> {
        let nightly = raw.rehearse.as_ref();
        let nightly = nightly.filter(|r| *r.get_ref() == raw::RawRehearse::Nightly);
        if let Some(written) = nightly
            && !has_repository
        {
            let message = tr!(
                "a rehearsal restores the newest snapshot: add [backup] with a repository, or leave it \"off\""
            );
            return Err(self.error_at(written.span(), message));
        }
        let limit = match &raw.limit {
            None => REHEARSAL_LIMIT,
            Some(written) => self.parse_unit(written, units::parse_human_duration)?,
        };
        Ok(UpdatesConfig {
            rehearse_nightly: nightly.is_some(),
            limit,
        })
    }

    fn check_room(&self, raw: &raw::RawRoomConfig) -> Result<RoomConfig, ConfigError> {
        let floor = raw.floor.as_ref().map(|floor| {
            DiskFloor::parse(floor.get_ref())
                .map_err(|e| self.error_at(floor.span(), &e.to_string()))
        });
        let floor = floor.transpose()?;
        Ok(RoomConfig { floor })
    }

    fn check_nodes(&self, raw: &mut RawConfig) -> Result<Vec<NodeConfig>, ConfigError> {
        let common = self.check_ssh(&raw.ssh)?;
        let mut nodes: Vec<NodeConfig> = Vec::new();
        let mut first_span = None;
        for spanned in std::mem::take(&mut raw.nodes) {
            let span = spanned.span();
            first_span.get_or_insert(span.clone());
            let node = self.check_node(spanned.into_inner(), span, &common, &nodes)?;
            nodes.push(node);
        }
        if nodes.is_empty() {
            return Err(self.error_at(
                0..0,
                tr!("no node: add a table [[nodes]] with name, address and role = \"manager\""),
            ));
        }
        if !nodes.iter().any(|n| n.role == Role::Manager) {
            return Err(self.error_at(
                first_span.unwrap_or(0..0),
                tr!("no manager: give at least one node role = \"manager\""),
            ));
        }
        Ok(nodes)
    }

    fn check_node(
        &self,
        node: raw::RawNodeConfig,
        span: Range<usize>,
        common: &SshOptions,
        others: &[NodeConfig],
    ) -> Result<NodeConfig, ConfigError> {
        let name = node.name.get_ref();
        if !is_host_name(name) {
            return Err(self.error_at(
                node.name.span(),
                tr!("a node's name has letters, digits and dashes, at most 63, and neither begins nor ends with a dash"),
            ));
        }
        if others.iter().any(|o| o.name == *name) {
            return Err(self.error_at(
                node.name.span(),
                &tr!("two nodes are named {name:?}: names must differ"),
            ));
        }
        let role = match node.role {
            raw::RawRole::Manager => Role::Manager,
            raw::RawRole::Worker => Role::Worker,
        };
        let reach = match (&node.address, role) {
            (None, Role::Manager) => NodeConnection::Local,
            (None, Role::Worker) => {
                return Err(self.error_at(
                    span,
                    &tr!(
                        "the worker {name:?} has no address: add address = \"its host name or IP address\" (only a manager may be this machine)"
                    ),
                ));
            }
            (Some(address), _) => {
                if !is_address(address.get_ref()) {
                    return Err(self.error_at(
                        address.span(),
                        tr!("an address is a host name or an IP address; user and port have keys of their own"),
                    ));
                }
                let mut ssh = common.clone();
                ssh.address = address.get_ref().clone();
                ssh.user = node.user.or(ssh.user);
                ssh.port = node.port.or(ssh.port);
                ssh.identity = node
                    .identity
                    .map(|p| self.resolve_path(&p))
                    .or(ssh.identity);
                if let Some(jump) = &node.jump {
                    ssh.jump = Some(self.check_jump(jump)?);
                }
                NodeConnection::Ssh(ssh)
            }
        };
        let docker_socket = match &reach {
            NodeConnection::Local => local_docker_socket(node.docker_socket),
            NodeConnection::Ssh(_) => node
                .docker_socket
                .map_or_else(|| "/var/run/docker.sock".into(), PathBuf::from),
        };
        Ok(NodeConfig {
            name: node.name.into_inner(),
            role,
            reach,
            advertise: self.check_advertise(node.advertise)?,
            availability: node.availability.map(Into::into),
            labels: node.labels,
            docker_socket,
        })
    }

    fn check_ssh(&self, raw: &raw::RawSshConfig) -> Result<SshOptions, ConfigError> {
        let time = |written: &Option<Spanned<String>>, default| match written {
            Some(text) => self.parse_unit(text, units::parse_human_duration),
            None => Ok(Duration::from_secs(default)),
        };
        Ok(SshOptions {
            address: String::new(),
            port: raw.port,
            user: raw.user.clone(),
            identity: raw.identity.as_deref().map(|p| self.resolve_path(p)),
            jump: raw.jump.as_ref().map(|j| self.check_jump(j)).transpose()?,
            known_hosts: match raw.known_hosts {
                raw::RawKnownHosts::Strict => KnownHosts::Strict,
                raw::RawKnownHosts::AcceptNew => KnownHosts::AcceptNew,
            },
            known_hosts_file: raw
                .known_hosts_file
                .as_deref()
                .map(|p| self.resolve_path(p)),
            config_file: raw.config_file.as_deref().map(|p| self.resolve_path(p)),
            connect_timeout: time(&raw.connect_timeout, 10)?,
            keep_alive: time(&raw.keep_alive, 5)?,
        })
    }

    /// Checks a jump host, `[user@]host[:port]`. It goes into a generated ssh_config, so no other
    /// characters are allowed.
    fn check_jump(&self, jump: &Spanned<String>) -> Result<String, ConfigError> {
        let text = jump.get_ref();
        let fine = !text.is_empty()
            && !text.starts_with('-')
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "@:.-_[]".contains(c));
        if fine {
            Ok(text.clone())
        } else {
            Err(self.error_at(
                jump.span(),
                tr!("a jump host is written \"user@host:port\""),
            ))
        }
    }

    fn check_alerts(&self, raw: &RawConfig) -> Result<(), ConfigError> {
        for value in [&raw.alerts.cpu, &raw.alerts.memory, &raw.alerts.disk]
            .into_iter()
            .flatten()
        {
            if !(1..=100).contains(value.get_ref()) {
                return Err(
                    self.error_at(value.span(), tr!("a threshold is a percentage, 1 to 100"))
                );
            }
        }
        if let Some(interval) = &raw.alerts.interval
            && self.parse_unit(interval, units::parse_human_duration)? < MIN_PROBE_INTERVAL
        {
            return Err(self.error_at(
                interval.span(),
                tr!("applications are asked every \"5 s\" at most"),
            ));
        }
        Ok(())
    }

    /// Finds files with secrets that others can read. Returns warnings with the command that
    /// corrects it.
    fn find_exposed_files(&self, config: &Config) -> Vec<String> {
        use std::os::unix::fs::PermissionsExt;
        let of = |r: &RepositoryConfig| [r.password_file.clone(), r.environment_file.clone()];
        let backup = &config.backup;
        let ping = std::iter::once(backup.ping_file.clone());
        let files = backup.repositories.iter().flat_map(of).chain(ping);
        let mail = config.mail.as_ref().and_then(|m| m.password_file.clone());
        let receivers = config.receivers.secret_files().cloned().chain(mail);
        let dns = config.dns.iter().flat_map(|d| d.provider.secret_files());
        files
            .flatten()
            .chain(receivers)
            .chain(dns.cloned())
            .filter(|file| {
                std::fs::metadata(file).is_ok_and(|m| m.permissions().mode() & 0o077 != 0)
            })
            .map(|file| {
                tr!(
                    "{0} holds a secret and others can read it: run `chmod 600 {0}`",
                    file.display()
                )
            })
            .chain(self.find_exposed_credentials())
            .chain(find_missing_identities(config))
            .collect()
    }

    /// Warns of a password in a repository's address when others can read config.toml.
    fn find_exposed_credentials(&self) -> Option<String> {
        use std::os::unix::fs::PermissionsExt;
        let secret = self.text.lines().any(|l| {
            let l = l.trim_start();
            l.starts_with("repository")
                && l.split_once("://")
                    .and_then(|(_, rest)| rest.split_once('@'))
                    .is_some_and(|(user, _)| user.contains(':'))
        });
        let readable =
            std::fs::metadata(self.path).is_ok_and(|m| m.permissions().mode() & 0o077 != 0);
        (secret && readable).then(|| {
            tr!(
                "{0} holds a password in backup.repository and others can read it: run `chmod 600 {0}`",
                self.path.display()
            )
        })
    }

    /// Resolves a path: `~` is the home folder, other relative paths begin at config.toml's folder.
    pub(super) fn resolve_path(&self, written: &str) -> PathBuf {
        let home = || directories::BaseDirs::new().map(|d| d.home_dir().to_path_buf());
        match written.strip_prefix("~/") {
            Some(rest) => home().map_or_else(|| PathBuf::from(written), |h| h.join(rest)),
            None => self.folder.join(written),
        }
    }

    pub(super) fn parse_unit<T>(
        &self,
        written: &Spanned<String>,
        read: impl Fn(&str) -> Result<T, InvalidInput>,
    ) -> Result<T, ConfigError> {
        read(written.get_ref()).map_err(|e| self.error_at(written.span(), &e.to_string()))
    }

    pub(super) fn error_at(&self, span: Range<usize>, message: &str) -> ConfigError {
        ConfigError::at_span(self.path, self.text, span, message.to_owned())
    }
}

/// A label of a host name (RFC 1123).
fn is_host_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// A host name or an IP address; nothing that ssh could take for an option.
fn is_address(address: &str) -> bool {
    address.parse::<std::net::IpAddr>().is_ok()
        || (!address.is_empty() && address.len() <= 253 && address.split('.').all(is_host_name))
}

/// Warns of keys that are not where config.toml says.
fn find_missing_identities(config: &Config) -> Vec<String> {
    let identity = |node: &NodeConfig| match &node.reach {
        NodeConnection::Ssh(ssh) => ssh.identity.clone(),
        NodeConnection::Local => None,
    };
    let mut missing: Vec<PathBuf> = config.nodes.iter().filter_map(identity).collect();
    missing.retain(|file| !file.exists());
    missing.sort();
    missing.dedup();
    let told = missing.iter().map(|file| {
        tr!(
            "the identity {} of [ssh] or a node is not there: no node can be logged in to with it",
            file.display()
        )
    });
    told.collect()
}
