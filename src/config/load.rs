//! Finds config.toml, reads it and checks what a type can't say.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::ConfigError;
use super::raw::{self, Raw};
use super::types::*;
use crate::model::Role;
use crate::{files, units};

/// Least memory a log view works with.
const LEAST_LOG_MEMORY: usize = 1 << 20;

/// Least time between two requests to an application.
const LEAST_INTERVAL: Duration = Duration::from_secs(5);

impl Config {
    /// Reads `explicit`, or the first of `./config.toml` and `$XDG_CONFIG_HOME/matou/config.toml`
    /// that is there; without any, this machine alone is the fleet.
    ///
    /// # Errors
    /// What is wrong, with file, line and column.
    pub fn load(explicit: Option<&Path>) -> Result<Self, ConfigError> {
        match explicit.map(Path::to_path_buf).or_else(find) {
            Some(path) => Self::read(&path),
            None => Ok(Self::this_machine()),
        }
    }

    /// Reads one file.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |e: std::io::Error| ConfigError {
            path: path.to_owned(),
            place: None,
            message: format!("can't be read: {e}"),
        };
        let text = files::read_text(path, files::LARGEST).map_err(unreadable)?;
        let path = std::path::absolute(path).map_err(unreadable)?;
        Self::parse(&text, &path)
    }

    /// Checks the text of a configuration that stands in `path`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let raw: Raw = toml::from_str(text).map_err(|e| ConfigError::from_toml(path, text, &e))?;
        Checker {
            text,
            path,
            folder: path.parent().unwrap_or(Path::new(".")),
        }
        .check(raw)
    }

    /// The fleet of somebody who has written no configuration: this machine.
    pub fn this_machine() -> Self {
        let name = nix::unistd::gethostname()
            .ok()
            .and_then(|n| n.into_string().ok())
            .unwrap_or_else(|| "localhost".into());
        let node = NodeConfig {
            name: name.clone(),
            role: Role::Manager,
            reach: Reach::Local,
            advertise: None,
            availability: None,
            labels: BTreeMap::new(),
            docker_socket: docker_socket(None),
        };
        // An empty file has every default, and lacks only the node.
        let nowhere = Checker {
            text: "",
            path: Path::new(""),
            folder: Path::new("."),
        };
        nowhere
            .with_nodes(Raw::default(), vec![node], name)
            .expect("nothing was written that could be wrong")
    }
}

fn find() -> Option<PathBuf> {
    let here = PathBuf::from("config.toml");
    let home = directories::BaseDirs::new().map(|d| d.config_dir().join("matou/config.toml"));
    std::iter::once(here).chain(home).find(|p| p.is_file())
}

/// The engine's socket: what the node says, DOCKER_HOST for this machine, or the usual place.
fn docker_socket(written: Option<String>) -> PathBuf {
    written
        .or_else(|| {
            let host = std::env::var("DOCKER_HOST").ok()?;
            host.strip_prefix("unix://").map(str::to_owned)
        })
        .map_or_else(|| "/var/run/docker.sock".into(), PathBuf::from)
}

pub(super) struct Checker<'a> {
    text: &'a str,
    path: &'a Path,
    folder: &'a Path,
}

impl Checker<'_> {
    fn check(&self, mut raw: Raw) -> Result<Config, ConfigError> {
        let name = raw.fleet.name.clone().unwrap_or_else(|| "fleet".into());
        let nodes = self.nodes(&mut raw)?;
        self.alerts(&raw)?;
        if let Some(email) = &raw.edge.email
            && !email.get_ref().contains('@')
        {
            return Err(self.error(email.span(), "an e-mail address has an @"));
        }
        if let Some(memory) = &raw.logs.memory {
            let size = self.unit(memory, units::size)?;
            if size < LEAST_LOG_MEMORY {
                return Err(self.error(memory.span(), "a log view needs at least \"1 MiB\""));
            }
        }
        for (action, keys) in &raw.keys {
            if let raw::OneOrMany::Many(keys) = keys.get_ref()
                && keys.is_empty()
            {
                return Err(self.error(action.span(), "an action needs at least one key"));
            }
        }
        let mut config = self.with_nodes(raw, nodes, name)?;
        config.path = Some(self.path.to_owned());
        config.warnings.extend(self.exposed_files(&config));
        Ok(config)
    }

    /// Fills in the defaults.
    fn with_nodes(
        &self,
        raw: Raw,
        nodes: Vec<NodeConfig>,
        name: String,
    ) -> Result<Config, ConfigError> {
        let first_manager = nodes
            .iter()
            .find(|n| n.role == Role::Manager)
            .map_or_else(String::new, |n| n.name.clone());
        let file = |written: Option<String>| written.map(|p| self.resolve(&p));
        let spanned = |written: Option<Spanned<String>>| written.map(Spanned::into_inner);
        let percent = |value: Option<Spanned<u8>>| value.map_or(95, Spanned::into_inner);
        Ok(Config {
            fleet: FleetConfig {
                name,
                domain: raw.fleet.domain,
            },
            storage: self.storage(raw.storage, &nodes, first_manager)?,
            provision: self.provision(raw.provision)?,
            scaleway: self.scaleway(raw.scaleway)?,
            backup: self.backup(raw.backup)?,
            edge: EdgeConfig {
                email: spanned(raw.edge.email),
                network: raw.edge.network.unwrap_or_else(|| "traefik-net".into()),
                resolver: raw.edge.resolver.unwrap_or_else(|| "le".into()),
                ca_file: file(spanned(raw.edge.ca_file)),
            },
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
                    .and_then(|i| units::duration(i.get_ref()).ok())
                    .unwrap_or(Duration::from_secs(15)),
                bell: raw.alerts.bell,
                notify: match raw.alerts.notify {
                    raw::Notify::Off => Notify::Off,
                    raw::Notify::Osc9 => Notify::Osc9,
                    raw::Notify::Osc777 => Notify::Osc777,
                },
            },
            receivers: self.receivers(raw.receivers)?,
            logs: LogsConfig {
                memory: raw
                    .logs
                    .memory
                    .and_then(|m| units::size(m.get_ref()).ok())
                    .unwrap_or(64 << 20),
            },
            keys: raw
                .keys
                .into_iter()
                .map(|(action, keys)| (action.into_inner(), keys.into_inner().into_vec()))
                .collect(),
            theme: ThemeConfig {
                colours: match raw.theme.colours {
                    raw::Colours::Auto => Colours::Auto,
                    raw::Colours::Always => Colours::Always,
                    raw::Colours::Never => Colours::Never,
                },
                ascii: raw.theme.ascii,
                mouse: raw.theme.mouse.unwrap_or(true),
            },
            nodes,
            path: None,
            warnings: Vec::new(),
        })
    }

    fn nodes(&self, raw: &mut Raw) -> Result<Vec<NodeConfig>, ConfigError> {
        let common = self.ssh(&raw.ssh)?;
        let mut nodes: Vec<NodeConfig> = Vec::new();
        let mut first_span = None;
        for spanned in std::mem::take(&mut raw.nodes) {
            let span = spanned.span();
            first_span.get_or_insert(span.clone());
            let node = self.node(spanned.into_inner(), span, &common, &nodes)?;
            nodes.push(node);
        }
        if nodes.is_empty() {
            return Err(self.error(
                0..0,
                "no node: add a table [[nodes]] with name, address and role = \"manager\"",
            ));
        }
        if !nodes.iter().any(|n| n.role == Role::Manager) {
            return Err(self.error(
                first_span.unwrap_or(0..0),
                "no manager: give at least one node role = \"manager\"",
            ));
        }
        Ok(nodes)
    }

    fn node(
        &self,
        node: raw::Node,
        span: Range<usize>,
        common: &SshOptions,
        others: &[NodeConfig],
    ) -> Result<NodeConfig, ConfigError> {
        let name = node.name.get_ref();
        if !is_host_name(name) {
            return Err(self.error(
                node.name.span(),
                "a node's name has letters, digits and dashes, at most 63, and neither begins nor ends with a dash",
            ));
        }
        if others.iter().any(|o| o.name == *name) {
            return Err(self.error(
                node.name.span(),
                &format!("two nodes are named {name:?}: names must differ"),
            ));
        }
        let role = match node.role {
            raw::Role::Manager => Role::Manager,
            raw::Role::Worker => Role::Worker,
        };
        let reach = match (&node.address, role) {
            (None, Role::Manager) => Reach::Local,
            (None, Role::Worker) => {
                return Err(self.error(
                    span,
                    &format!(
                        "the worker {name:?} has no address: add address = \"its host name or IP address\" (only a manager may be this machine)"
                    ),
                ));
            }
            (Some(address), _) => {
                if !is_address(address.get_ref()) {
                    return Err(self.error(
                        address.span(),
                        "an address is a host name or an IP address; user and port have keys of their own",
                    ));
                }
                let mut ssh = common.clone();
                ssh.address = address.get_ref().clone();
                ssh.user = node.user.or(ssh.user);
                ssh.port = node.port.or(ssh.port);
                ssh.identity = node.identity.map(|p| self.resolve(&p)).or(ssh.identity);
                if let Some(jump) = &node.jump {
                    ssh.jump = Some(self.jump(jump)?);
                }
                Reach::Ssh(ssh)
            }
        };
        let docker_socket = match &reach {
            Reach::Local => docker_socket(node.docker_socket),
            Reach::Ssh(_) => node
                .docker_socket
                .map_or_else(|| "/var/run/docker.sock".into(), PathBuf::from),
        };
        Ok(NodeConfig {
            name: node.name.into_inner(),
            role,
            reach,
            advertise: self.advertise(node.advertise)?,
            availability: node.availability.map(Into::into),
            labels: node.labels,
            docker_socket,
        })
    }

    fn ssh(&self, raw: &raw::Ssh) -> Result<SshOptions, ConfigError> {
        let time = |written: &Option<Spanned<String>>, default| match written {
            Some(text) => self.unit(text, units::duration),
            None => Ok(Duration::from_secs(default)),
        };
        Ok(SshOptions {
            address: String::new(),
            port: raw.port,
            user: raw.user.clone(),
            identity: raw.identity.as_deref().map(|p| self.resolve(p)),
            jump: raw.jump.as_ref().map(|j| self.jump(j)).transpose()?,
            known_hosts: match raw.known_hosts {
                raw::KnownHosts::Strict => KnownHosts::Strict,
                raw::KnownHosts::AcceptNew => KnownHosts::AcceptNew,
            },
            known_hosts_file: raw.known_hosts_file.as_deref().map(|p| self.resolve(p)),
            config_file: raw.config_file.as_deref().map(|p| self.resolve(p)),
            connect_timeout: time(&raw.connect_timeout, 10)?,
            keep_alive: time(&raw.keep_alive, 5)?,
        })
    }

    /// `[user@]host[:port]`; goes into a generated ssh_config, so nothing else may be in it.
    fn jump(&self, jump: &Spanned<String>) -> Result<String, ConfigError> {
        let text = jump.get_ref();
        let fine = !text.is_empty()
            && !text.starts_with('-')
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "@:.-_[]".contains(c));
        if fine {
            Ok(text.clone())
        } else {
            Err(self.error(jump.span(), "a jump host is written \"user@host:port\""))
        }
    }

    fn alerts(&self, raw: &Raw) -> Result<(), ConfigError> {
        for value in [&raw.alerts.cpu, &raw.alerts.memory, &raw.alerts.disk]
            .into_iter()
            .flatten()
        {
            if !(1..=100).contains(value.get_ref()) {
                return Err(self.error(value.span(), "a threshold is a percentage, 1 to 100"));
            }
        }
        if let Some(interval) = &raw.alerts.interval
            && self.unit(interval, units::duration)? < LEAST_INTERVAL
        {
            return Err(self.error(
                interval.span(),
                "applications are asked every \"5 s\" at most",
            ));
        }
        Ok(())
    }

    /// Files with secrets that others can read, with the command that mends it.
    fn exposed_files(&self, config: &Config) -> Vec<String> {
        use std::os::unix::fs::PermissionsExt;
        let of = |r: &Repository| [r.password_file.clone(), r.environment_file.clone()];
        let backup = &config.backup;
        let ping = std::iter::once(backup.ping_file.clone());
        let files = backup.repositories.iter().flat_map(of).chain(ping);
        let receivers = config.receivers.files().cloned();
        files
            .flatten()
            .chain(receivers)
            .filter(|file| {
                std::fs::metadata(file).is_ok_and(|m| m.permissions().mode() & 0o077 != 0)
            })
            .map(|file| {
                format!(
                    "{0} holds a secret and others can read it: run `chmod 600 {0}`",
                    file.display()
                )
            })
            .chain(self.exposed_credentials())
            .collect()
    }

    /// A repository's address may carry a user's password.
    fn exposed_credentials(&self) -> Option<String> {
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
            format!(
                "{0} holds a password in backup.repository and others can read it: run `chmod 600 {0}`",
                self.path.display()
            )
        })
    }

    /// `~` is the home folder; other relative paths begin at config.toml's folder.
    pub(super) fn resolve(&self, written: &str) -> PathBuf {
        let home = || directories::BaseDirs::new().map(|d| d.home_dir().to_path_buf());
        match written.strip_prefix("~/") {
            Some(rest) => home().map_or_else(|| PathBuf::from(written), |h| h.join(rest)),
            None => self.folder.join(written),
        }
    }

    pub(super) fn unit<T>(
        &self,
        written: &Spanned<String>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        read(written.get_ref()).map_err(|message| self.error(written.span(), &message))
    }

    pub(super) fn error(&self, span: Range<usize>, message: &str) -> ConfigError {
        ConfigError::at(self.path, self.text, span, message.to_owned())
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
