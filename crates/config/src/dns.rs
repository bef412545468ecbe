//! Checks the table `[dns]`: who has the zones, and what names lead to.

use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;

use matou_i18n::tr;
use toml::Spanned;

use super::ConfigError;
use super::load::ConfigChecker;
use super::raw::{RawDnsConfig, RawDnsKeyAlgorithm, RawDnsProvider};
use super::types::{
    DnsAddress, DnsConfig, DnsKeyAlgorithm, DnsProviderConfig, NodeConfig, RdapConfig,
};

/// Seconds that others may keep a record, where nothing is said.
const DEFAULT_TTL: u32 = 300;

/// The longest time that makes sense, seconds: a week.
const MAX_TTL: u32 = 7 * 24 * 3600;

/// The port of name servers.
const PORT: u16 = 53;

impl ConfigChecker<'_> {
    pub(super) fn check_dns(
        &self,
        raw: Option<Spanned<RawDnsConfig>>,
        fleet: Option<&str>,
        nodes: &[NodeConfig],
    ) -> Result<Option<DnsConfig>, ConfigError> {
        let Some(raw) = raw else { return Ok(None) };
        let (place, raw) = (raw.span(), raw.into_inner());
        if raw.rdap.is_some() && raw.provider.is_none() && raw.zones.is_empty() {
            // The table only says who is asked when domains expire.
            return Ok(None);
        }
        if fleet.is_none() {
            let message = tr!(
                "a fleet knows its records by its name: add name = \"…\" to [fleet], one that no other fleet has which makes records in these zones"
            );
            return Err(self.error_at(place, message));
        }
        if raw.zones.is_empty() {
            let message = tr!(
                "names lie in zones: add zones = [\"example.org\"], those in which records may be made"
            );
            return Err(self.error_at(place, message));
        }
        let zones = raw.zones.iter().map(|zone| self.check_zone(zone));
        let zones = zones.collect::<Result<Vec<String>, _>>()?;
        let addresses = raw.addresses.iter();
        let addresses = addresses.map(|written| self.check_dns_address(written, nodes));
        let addresses = addresses.collect::<Result<Vec<_>, _>>()?;
        if let Some(ttl) = &raw.ttl
            && !(1..=MAX_TTL).contains(ttl.get_ref())
        {
            let message = tr!("a record is kept for 1 to 604800 seconds, a week");
            return Err(self.error_at(ttl.span(), message));
        }
        Ok(Some(DnsConfig {
            zones,
            addresses,
            ttl: raw.ttl.as_ref().map_or(DEFAULT_TTL, |ttl| *ttl.get_ref()),
            predecessor: None,
            provider: self.check_dns_provider(raw, place)?,
        }))
    }

    /// Reads who is asked when domains expire: `rdap = "none"`, or the address of a server.
    pub(super) fn check_rdap(
        &self,
        raw: Option<&Spanned<RawDnsConfig>>,
    ) -> Result<RdapConfig, ConfigError> {
        let Some(written) = raw.and_then(|raw| raw.get_ref().rdap.as_ref()) else {
            return Ok(RdapConfig::Registries);
        };
        if written.get_ref() == "none" {
            return Ok(RdapConfig::Off);
        }
        self.check_url(written)?;
        let url = written.get_ref().trim_end_matches('/').to_owned();
        Ok(RdapConfig::Server(url))
    }

    fn check_zone(&self, written: &Spanned<String>) -> Result<String, ConfigError> {
        let zone = written.get_ref().trim_end_matches('.').to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        match zone.len() <= 253 && zone.contains('.') && zone.split('.').all(is_label) {
            true => Ok(zone),
            false => Err(self.error_at(
                written.span(),
                tr!("a zone is written as its name, as \"example.org\""),
            )),
        }
    }

    fn check_dns_address(
        &self,
        written: &Spanned<String>,
        nodes: &[NodeConfig],
    ) -> Result<DnsAddress, ConfigError> {
        let text = written.get_ref();
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(DnsAddress::Ip(ip));
        }
        match nodes.iter().any(|node| node.name == *text) {
            true => Ok(DnsAddress::Node(text.clone())),
            false => Err(self.error_at(
                written.span(),
                tr!(
                    "names lead to addresses: write an IPv4 or IPv6 address, or the name of a node"
                ),
            )),
        }
    }

    fn check_dns_provider(
        &self,
        raw: RawDnsConfig,
        place: Range<usize>,
    ) -> Result<DnsProviderConfig, ConfigError> {
        let needs = |what: &str| self.error_at(place.clone(), what);
        let file = |written: &Option<String>, missing: &str| -> Result<PathBuf, ConfigError> {
            let written = written.as_ref().ok_or_else(|| needs(missing))?;
            Ok(self.resolve_path(written))
        };
        let endpoint = raw.endpoint.as_ref().map(|url| self.check_endpoint(url));
        let endpoint = endpoint.transpose()?;
        let token = tr!("the provider asks for a token: add token_file = \"a file with it\"");
        Ok(match raw.provider {
            None => {
                return Err(needs(tr!(
                    "who has the zones? add provider = \"rfc2136\", \"gandi\", \"scaleway\" or \"ovh\""
                )));
            }
            Some(RawDnsProvider::Rfc2136) => {
                let server = raw.server.as_ref().ok_or_else(|| {
                    needs(tr!("updates go to a name server: add server = \"ns1.example.org:53\", the primary of the zones"))
                })?;
                let key = raw.key_name.as_ref().ok_or_else(|| {
                    needs(tr!("updates are signed: add key_name = \"matou\", a key that the name server knows"))
                })?;
                DnsProviderConfig::NameServer {
                    server: self.check_name_server(server)?,
                    key_name: self.check_key_name(key)?,
                    key_algorithm: match raw.key_algorithm {
                        RawDnsKeyAlgorithm::HmacSha256 => DnsKeyAlgorithm::HmacSha256,
                        RawDnsKeyAlgorithm::HmacSha512 => DnsKeyAlgorithm::HmacSha512,
                    },
                    key_file: file(
                        &raw.key_file,
                        tr!(
                            "updates are signed: add key_file = \"a file with the key, in base64\""
                        ),
                    )?,
                }
            }
            Some(RawDnsProvider::Gandi) => DnsProviderConfig::Gandi {
                token_file: file(&raw.token_file, token)?,
                endpoint,
            },
            Some(RawDnsProvider::Scaleway) => DnsProviderConfig::Scaleway {
                token_file: file(&raw.token_file, token)?,
                endpoint,
            },
            Some(RawDnsProvider::Ovh) => {
                let keys = tr!(
                    "OVH asks for application_key, application_secret_file and consumer_key_file: https://eu.api.ovh.com/createToken makes them"
                );
                let application = raw.application_key.ok_or_else(|| needs(keys))?;
                DnsProviderConfig::Ovh {
                    application_key: self.check_application_key(&application)?,
                    application_secret_file: file(&raw.application_secret_file, keys)?,
                    consumer_key_file: file(&raw.consumer_key_file, keys)?,
                    endpoint,
                }
            }
        })
    }

    /// Checks `host`, `host:port`, an address, or `[address]:port`.
    fn check_name_server(&self, written: &Spanned<String>) -> Result<String, ConfigError> {
        let text = written.get_ref();
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(std::net::SocketAddr::new(ip, PORT).to_string());
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse::<u16>().ok()),
            None => (text.as_str(), Some(PORT)),
        };
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let is_host = match bare {
            Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
            }
        };
        match port {
            Some(port) if is_host => Ok(format!("{host}:{port}")),
            _ => Err(self.error_at(
                written.span(),
                tr!("a name server is written \"host\" or \"host:port\""),
            )),
        }
    }

    fn check_key_name(&self, written: &Spanned<String>) -> Result<String, ConfigError> {
        let name = written.get_ref();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        match (1..=253).contains(&name.len()) && name.bytes().all(plain) {
            true => Ok(name.clone()),
            false => Err(self.error_at(
                written.span(),
                tr!("the name of a key has letters, digits, dots and dashes"),
            )),
        }
    }

    fn check_application_key(&self, written: &Spanned<String>) -> Result<String, ConfigError> {
        let key = written.get_ref();
        match !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric()) {
            true => Ok(key.clone()),
            false => Err(self.error_at(
                written.span(),
                tr!("an application key has letters and digits; its secret goes into application_secret_file"),
            )),
        }
    }

    /// Checks the address of an API: what is secret goes there, so https, but on this machine itself.
    fn check_endpoint(&self, written: &Spanned<String>) -> Result<String, ConfigError> {
        self.check_url(written)?;
        let url = written.get_ref();
        let is_here = ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"]
            .iter()
            .any(|start| url.starts_with(start));
        match url.starts_with("https://") || is_here {
            true => Ok(url.trim_end_matches('/').to_owned()),
            false => Err(self.error_at(
                written.span(),
                tr!("a token goes there: write an address that begins with https://"),
            )),
        }
    }
}
