//! An address that fail2ban of a node shuts out.

use matou_i18n::tr;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

use crate::NodeProblem;
use matou_base::text::InvalidInput;

/// A ban of one jail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ban {
    /// What it was caught by, as `sshd`.
    pub jail: String,
    /// An address, or a network as `203.0.113.0/24`.
    pub address: String,
    /// `None` when fail2ban does not say.
    pub since: Option<Timestamp>,
    /// `None`: for good.
    pub until: Option<Timestamp>,
}

/// The bans of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeBans {
    /// Name in config.toml.
    pub node: String,
    /// In the order of their jails; the newest of each first.
    pub bans: Vec<Ban>,
    /// Why the bans can't be read, with what to do.
    pub problem: Option<NodeProblem>,
}

/// Normalizes an address or a network, so that two of them can be compared.
///
/// # Errors
/// It is neither; says what is allowed.
pub fn normalize_network(text: &str) -> Result<String, InvalidInput> {
    let wrong = || {
        InvalidInput::new(tr!(
            "{text:?} is no address: write 203.0.113.7, 2001:db8::7 or 203.0.113.0/24"
        ))
    };
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    Ok(match length {
        None => address.to_string(),
        Some(length) => match length.parse::<u8>() {
            Ok(length) if length <= most => format!("{address}/{length}"),
            _ => return Err(wrong()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_in_one_way() {
        for (text, wanted) in [
            ("203.0.113.7", Some("203.0.113.7")),
            ("2001:DB8:0::7", Some("2001:db8::7")),
            ("203.0.113.0/24", Some("203.0.113.0/24")),
            ("203.0.113.0/33", None),
            ("203.0.113", None),
            ("--all", None),
            ("", None),
        ] {
            assert_eq!(normalize_network(text).ok().as_deref(), wanted, "{text}");
        }
    }
}
