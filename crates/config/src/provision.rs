//! Checks the tables `[storage]`, `[provision]` and `[scaleway]`, and the swarm's keys of nodes.

use std::net::IpAddr;

use matou_i18n::tr;
use toml::Spanned;

use super::load::ConfigChecker;
use super::types::*;
use super::{ConfigError, raw};
use matou_base::units;
use matou_model::Availability;

/// Docker's own apt repository, and the key that signs it.
/// Source: <https://docs.docker.com/engine/install/debian/>.
const DOCKER_REPOSITORY: &str = "https://download.docker.com/linux";
const DOCKER_KEY: &str = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88";
const DOCKER_MAJOR: u32 = 28;

const SCALEWAY_URL: &str = "https://api.scaleway.com";

impl ConfigChecker<'_> {
    pub(super) fn check_storage(
        &self,
        raw: raw::RawStorageConfig,
        nodes: &[NodeConfig],
        first_manager: String,
    ) -> Result<StorageConfig, ConfigError> {
        for node in raw.node.iter().chain(&raw.gluster) {
            self.check_node_name(node, nodes)?;
        }
        if raw.gluster.len() == 1 {
            return Err(self.error_at(
                raw.gluster[0].span(),
                tr!("a distributed store needs at least two nodes: name them all, or none when something else mounts the path"),
            ));
        }
        let path = match raw.path {
            Some(path) => {
                self.check_plain_path(&path)?;
                path.into_inner()
            }
            None => "/mnt/data".into(),
        };
        for device in &raw.devices {
            self.check_plain_path(device)?;
        }
        let netshare = self.check_download(
            raw.netshare_url.as_ref(),
            raw.netshare_sha256.as_ref(),
            "netshare",
        )?;
        Ok(StorageConfig {
            driver: match raw.driver {
                raw::RawStorageDriver::Nfs => StorageDriver::Nfs,
                raw::RawStorageDriver::Netshare => StorageDriver::Netshare,
                raw::RawStorageDriver::Shared => StorageDriver::Shared,
                raw::RawStorageDriver::Local => StorageDriver::Local,
            },
            node: raw.node.map_or(first_manager, Spanned::into_inner),
            path: path.into(),
            devices: raw
                .devices
                .into_iter()
                .map(|d| d.into_inner().into())
                .collect(),
            filesystem: match raw.filesystem {
                raw::RawFilesystem::Ext4 => Filesystem::Ext4,
                raw::RawFilesystem::Xfs => Filesystem::Xfs,
            },
            gluster: raw.gluster.into_iter().map(Spanned::into_inner).collect(),
            netshare,
        })
    }

    pub(super) fn check_provision(
        &self,
        raw: raw::RawProvisionConfig,
    ) -> Result<ProvisionConfig, ConfigError> {
        for name in &raw.off {
            if !CONCERNS.contains(&name.get_ref().as_str()) {
                let near = super::find_nearest_name(name.get_ref(), CONCERNS)
                    .map_or_else(String::new, |n| tr!("; did you mean {n:?}?"));
                return Err(self.error_at(
                    name.span(),
                    &tr!(
                        "there is no concern {:?}, only {}{near}",
                        name.get_ref(),
                        CONCERNS.join(", ")
                    ),
                ));
            }
        }
        for package in &raw.packages {
            let fine = package.get_ref().len() > 1
                && package
                    .get_ref()
                    .starts_with(|c: char| c.is_ascii_alphanumeric())
                && package
                    .get_ref()
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c));
            if !fine {
                return Err(self.error_at(
                    package.span(),
                    tr!("a package's name has lower-case letters, digits and + - . only"),
                ));
            }
        }
        for network in raw.address_pools.iter().chain(&raw.ssh_from) {
            if !is_network(network.get_ref()) {
                return Err(self.error_at(
                    network.span(),
                    tr!("write an address (\"203.0.113.7\") or a network (\"203.0.113.0/24\")"),
                ));
            }
        }
        for port in &raw.open_ports {
            let fine = port.get_ref().split_once('/').is_some_and(|(n, kind)| {
                n.parse::<u16>().is_ok_and(|n| n > 0) && matches!(kind, "tcp" | "udp")
            });
            if !fine {
                return Err(self.error_at(
                    port.span(),
                    tr!("write a port as \"8443/tcp\" or \"53/udp\""),
                ));
            }
        }
        if let Some(swappiness) = &raw.swappiness
            && *swappiness.get_ref() > 100
        {
            return Err(self.error_at(swappiness.span(), tr!("swappiness is 0 to 100")));
        }
        let docker_key = match raw.docker_key {
            None => DOCKER_KEY.to_owned(),
            Some(key) => {
                let plain = key.get_ref().replace(' ', "").to_ascii_uppercase();
                if plain.len() != 40 || !plain.chars().all(|c| c.is_ascii_hexdigit()) {
                    return Err(self.error_at(
                        key.span(),
                        tr!("a key's fingerprint has 40 hexadecimal digits (`gpg --show-keys FILE` prints it)"),
                    ));
                }
                plain
            }
        };
        let docker_repository = match raw.docker_repository {
            None => DOCKER_REPOSITORY.to_owned(),
            Some(url) => {
                self.check_url(&url)?;
                url.into_inner().trim_end_matches('/').to_owned()
            }
        };
        let swap = match &raw.swap {
            None => 2 << 30,
            Some(size) if size.get_ref().trim() == "0" => 0,
            Some(size) => self.parse_unit(size, units::parse_human_size)? as u64,
        };
        let apt_wait = match &raw.apt_wait {
            None => std::time::Duration::from_secs(300),
            Some(time) => self.parse_unit(time, units::parse_human_duration)?,
        };
        let heartbeat = match &raw.heartbeat {
            None => std::time::Duration::from_secs(15),
            Some(time) => {
                let period = self.parse_unit(time, units::parse_human_duration)?;
                let seconds = period.as_secs_f64();
                if !(1.0..=60.0).contains(&seconds) {
                    return Err(self.error_at(time.span(), tr!("heartbeat is 1 s to 60 s")));
                }
                period
            }
        };
        let plain =
            |list: Vec<Spanned<String>>| list.into_iter().map(Spanned::into_inner).collect();
        Ok(ProvisionConfig {
            off: plain(raw.off),
            packages: plain(raw.packages),
            programs: raw.programs.map(|p| self.resolve_path(&p)),
            apt_wait,
            docker: match raw.docker {
                raw::RawDockerSource::Docker => DockerSource::Docker,
                raw::RawDockerSource::Distribution => DockerSource::Distribution,
            },
            docker_major: raw.docker_major.unwrap_or(DOCKER_MAJOR),
            docker_repository,
            docker_key,
            address_pools: plain(raw.address_pools),
            autolock: raw.autolock,
            heartbeat,
            swap,
            swappiness: raw.swappiness.map_or(10, Spanned::into_inner),
            restic: self.check_download(
                raw.restic_url.as_ref(),
                raw.restic_sha256.as_ref(),
                "restic",
            )?,
            ssh_from: plain(raw.ssh_from),
            open_ports: plain(raw.open_ports),
            suricata: match raw.suricata {
                raw::RawSuricataRules::Off => SuricataRules::Off,
                raw::RawSuricataRules::BuiltIn => SuricataRules::BuiltIn,
                raw::RawSuricataRules::Update => SuricataRules::Update,
            },
        })
    }

    pub(super) fn check_scaleway(
        &self,
        raw: Option<raw::RawScalewayConfig>,
    ) -> Result<Option<ScalewayConfig>, ConfigError> {
        let Some(raw) = raw else { return Ok(None) };
        for id in [&raw.zone, &raw.security_group] {
            let fine = !id.get_ref().is_empty()
                && id
                    .get_ref()
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-');
            if !fine {
                return Err(self.error_at(
                    id.span(),
                    tr!("write a zone as \"fr-par-1\" and a security group by its id, as the console's address shows it"),
                ));
            }
        }
        let url = match raw.url {
            None => SCALEWAY_URL.to_owned(),
            Some(url) => {
                self.check_url(&url)?;
                url.into_inner().trim_end_matches('/').to_owned()
            }
        };
        Ok(Some(ScalewayConfig {
            zone: raw.zone.into_inner(),
            security_group: raw.security_group.into_inner(),
            token_file: self.resolve_path(&raw.token_file),
            url,
        }))
    }

    /// Checks an advertise address: an IP address, or the name of a network interface.
    pub(super) fn check_advertise(
        &self,
        written: Option<Spanned<String>>,
    ) -> Result<Option<String>, ConfigError> {
        let Some(written) = written else {
            return Ok(None);
        };
        let text = written.get_ref();
        // IFNAMSIZ is 16 with the NUL at the end.
        let interface = (1..16).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.@".contains(c));
        if text.parse::<IpAddr>().is_err() && !interface {
            return Err(self.error_at(
                written.span(),
                tr!("advertise is an IP address of the node (\"10.0.0.11\") or one of its network interfaces (\"eth1\")"),
            ));
        }
        Ok(Some(written.into_inner()))
    }

    fn check_node_name(
        &self,
        node: &Spanned<String>,
        nodes: &[NodeConfig],
    ) -> Result<(), ConfigError> {
        let names = || nodes.iter().map(|n| n.name.as_str());
        if names().any(|n| n == node.get_ref()) {
            return Ok(());
        }
        let near = super::find_nearest_name(node.get_ref(), names())
            .map_or_else(String::new, |n| tr!("; did you mean {n:?}?"));
        let all = names().collect::<Vec<_>>().join(", ");
        Err(self.error_at(
            node.span(),
            &tr!("no node is named {:?}, only {all}{near}", node.get_ref()),
        ))
    }

    /// Checks that a path can stand in fstab, exports and compose files unquoted.
    fn check_plain_path(&self, path: &Spanned<String>) -> Result<(), ConfigError> {
        let text = path.get_ref();
        let fine = text.len() > 1
            && text.starts_with('/')
            && !text.ends_with('/')
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "/-_.:+".contains(c))
            && !text.split('/').any(|part| part == "..");
        if fine {
            return Ok(());
        }
        Err(self.error_at(
            path.span(),
            tr!("write a whole path from /, of letters, digits and - _ . : +"),
        ))
    }

    pub(super) fn check_url(&self, url: &Spanned<String>) -> Result<(), ConfigError> {
        let text = url.get_ref();
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        let fine = rest.is_some_and(|r| !r.is_empty())
            && text
                .chars()
                .all(|c| c.is_ascii_graphic() && !"'\"\\`$".contains(c));
        if fine {
            return Ok(());
        }
        Err(self.error_at(
            url.span(),
            tr!("write an address that begins with https://"),
        ))
    }

    fn check_download(
        &self,
        url: Option<&Spanned<String>>,
        sha256: Option<&Spanned<String>>,
        what: &str,
    ) -> Result<Option<Download>, ConfigError> {
        let (url, sha256) = match (url, sha256) {
            (None, None) => return Ok(None),
            (Some(url), Some(sha256)) => (url, sha256),
            (Some(url), None) => {
                return Err(self.error_at(
                    url.span(),
                    &tr!("a download is known by its content: add {what}_sha256 = \"…\""),
                ));
            }
            (None, Some(sha256)) => {
                return Err(self.error_at(
                    sha256.span(),
                    &tr!("there is nothing to compare it with: add {what}_url = \"…\""),
                ));
            }
        };
        self.check_url(url)?;
        let hex = sha256.get_ref().to_ascii_lowercase();
        if hex.len() != 64 || !hex.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(self.error_at(
                sha256.span(),
                tr!("a SHA-256 has 64 hexadecimal digits (`sha256sum FILE` prints it)"),
            ));
        }
        Ok(Some(Download {
            url: url.get_ref().clone(),
            sha256: hex,
        }))
    }
}

impl From<raw::RawAvailability> for Availability {
    fn from(written: raw::RawAvailability) -> Self {
        match written {
            raw::RawAvailability::Active => Self::Active,
            raw::RawAvailability::Pause => Self::Pause,
            raw::RawAvailability::Drain => Self::Drain,
        }
    }
}

/// Whether it is an address or a network: `203.0.113.7`, `203.0.113.0/24`, or the same of IPv6.
fn is_network(text: &str) -> bool {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    address.parse::<IpAddr>().is_ok_and(|ip| {
        let most = if ip.is_ipv4() { 32 } else { 128 };
        bits.is_none_or(|b| b.parse::<u8>().is_ok_and(|b| b <= most))
    })
}
