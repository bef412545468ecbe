//! Asks registries when a domain's registration ends: RDAP (RFC 9082, 9083), by the servers that IANA lists (RFC 9224).
//! What they answer comes from outside: it is bounded in size, time and redirects, and taken for what it says only of
//! the name that was asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Where IANA lists the registries' servers.
const BOOTSTRAP: &str = "https://data.iana.org/rdap/dns.json";

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// Bytes that one answer may have; IANA's list has a hundred thousand.
const LARGEST: u64 = 2 << 20;

/// A registry may lead to a registrar's server, and that to its new address.
const MAX_REDIRECTS: u32 = 3;

/// The registries' servers, by the end of the names that they know: `org`.
pub(crate) type RdapServers = BTreeMap<String, String>;

/// What a server says of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RdapAnswer {
    /// Somebody registered it.
    Registered {
        /// Its last second; some registries do not say it.
        expires: Option<Timestamp>,
        /// It is about to be given up.
        lapsing: bool,
    },
    /// It is no registered domain.
    NotRegistered,
    /// It can't be found out.
    Failed(RdapTrouble),
}

/// Why nothing can be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RdapTrouble {
    /// IANA lists no server for the end of the name.
    NoServer,
    /// No connection, or no answer in time.
    Unreachable,
    /// It wants fewer requests.
    TooMany,
    /// It does not answer that.
    Refused(u16),
    /// It answered what is no RDAP, too much of it, or of another name.
    Wrong,
}

impl RdapTrouble {
    /// Whether the same server would say the same of the next name.
    pub(crate) fn is_of_server(self) -> bool {
        matches!(self, Self::Unreachable | Self::TooMany)
    }
}

/// Asks servers.
pub(crate) struct RdapClient {
    agent: ureq::Agent,
}

impl RdapClient {
    /// Asks over https alone, unless the operator named a server that is asked otherwise.
    pub(crate) fn new(https_only: bool) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(MAX_REDIRECTS)
            .https_only(https_only)
            .user_agent("matou")
            .build()
            .into();
        Self { agent }
    }

    fn get(&self, url: &str) -> Result<(u16, String), RdapTrouble> {
        let asked = self
            .agent
            .get(url)
            .header("Accept", "application/rdap+json");
        let classify = |e: ureq::Error| match e {
            ureq::Error::TooManyRedirects
            | ureq::Error::RedirectFailed
            | ureq::Error::BodyExceedsLimit(_)
            | ureq::Error::RequireHttpsOnly(_) => RdapTrouble::Wrong,
            // A text that is none.
            ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => RdapTrouble::Wrong,
            _ => RdapTrouble::Unreachable,
        };
        let mut answer = asked.call().map_err(classify)?;
        let status = answer.status().as_u16();
        if !(200..300).contains(&status) {
            return Ok((status, String::new()));
        }
        let read = answer.body_mut().with_config().limit(LARGEST);
        Ok((status, read.read_to_string().map_err(classify)?))
    }

    /// Reads IANA's list.
    pub(crate) fn read_servers(&self) -> Result<RdapServers, RdapTrouble> {
        match self.get(BOOTSTRAP)? {
            (200, body) => parse_servers(&body).ok_or(RdapTrouble::Wrong),
            (status, _) => Err(RdapTrouble::Refused(status)),
        }
    }

    /// Asks a server about a name of letters, digits, hyphens and dots.
    pub(crate) fn ask_domain(&self, server: &str, name: &str) -> RdapAnswer {
        let url = format!("{}/domain/{name}", server.trim_end_matches('/'));
        match self.get(&url) {
            Ok((200..=299, body)) => {
                parse_domain(&body, name).unwrap_or(RdapAnswer::Failed(RdapTrouble::Wrong))
            }
            // 400 is what some say of a name that nobody can register.
            Ok((400 | 404, _)) => RdapAnswer::NotRegistered,
            Ok((429, _)) => RdapAnswer::Failed(RdapTrouble::TooMany),
            Ok((500..=599, _)) => RdapAnswer::Failed(RdapTrouble::Unreachable),
            Ok((status, _)) => RdapAnswer::Failed(RdapTrouble::Refused(status)),
            Err(trouble) => RdapAnswer::Failed(trouble),
        }
    }
}

/// Finds the server for a name: that of the longest end which the list has (RFC 9224, section 4).
pub(crate) fn find_server<'a>(servers: &'a RdapServers, name: &str) -> Option<&'a str> {
    let mut rest = name;
    loop {
        if let Some(server) = servers.get(rest) {
            return Some(server);
        }
        rest = rest.split_once('.')?.1;
    }
}

/// Reads IANA's list; of several addresses the first of https.
fn parse_servers(body: &str) -> Option<RdapServers> {
    #[derive(Deserialize)]
    struct List {
        services: Vec<(Vec<String>, Vec<String>)>,
    }
    let list: List = serde_json::from_str(body).ok()?;
    let mut servers = RdapServers::new();
    for (ends, urls) in list.services {
        let Some(url) = urls.into_iter().find(|u| u.starts_with("https://")) else {
            continue;
        };
        for end in ends {
            servers.insert(end.to_ascii_lowercase(), url.clone());
        }
    }
    (!servers.is_empty()).then_some(servers)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDomain {
    object_class_name: String,
    ldh_name: String,
    #[serde(default)]
    events: Vec<RawEvent>,
    #[serde(default)]
    status: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEvent {
    event_action: String,
    #[serde(default)]
    event_date: String,
}

/// Reads an answer about `name`; `None` for what is none.
pub(crate) fn parse_domain(body: &str, name: &str) -> Option<RdapAnswer> {
    let raw: RawDomain = serde_json::from_str(body).ok()?;
    let answered = raw.ldh_name.trim_end_matches('.');
    if raw.object_class_name != "domain" || !answered.eq_ignore_ascii_case(name) {
        return None;
    }
    let mut ends = raw
        .events
        .iter()
        .filter(|e| e.event_action == "expiration")
        .filter_map(|e| parse_date(&e.event_date));
    // Written with a space (RFC 8056), and as EPP does.
    let is_lapsing = |s: &String| {
        let plain: String = s.chars().filter(char::is_ascii_alphabetic).collect();
        let plain = plain.to_ascii_lowercase();
        matches!(plain.as_str(), "redemptionperiod" | "pendingdelete")
    };
    Some(RdapAnswer::Registered {
        expires: ends.next(),
        lapsing: raw.status.iter().any(is_lapsing),
    })
}

/// Reads a time as RFC 3339 has it; some registries leave out the zone, or the time.
fn parse_date(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let civil = text.parse::<DateTime>().ok()?;
    TimeZone::UTC.to_timestamp(civil).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of RFC 9083, section 5.3.
    const EXAMPLE: &str = include_str!("../../../tests/files/rdap/domain.json");

    #[test]
    fn the_example_of_the_rfc_says_when_it_ends() {
        let expected = RdapAnswer::Registered {
            expires: Some("2016-12-31T23:59:59Z".parse().unwrap()),
            lapsing: false,
        };
        assert_eq!(
            parse_domain(EXAMPLE, "xn--fo-5ja.example"),
            Some(expected.clone())
        );
        let capitals = EXAMPLE.replace("xn--fo-5ja.example", "XN--FO-5JA.EXAMPLE.");
        assert_eq!(
            parse_domain(&capitals, "xn--fo-5ja.example"),
            Some(expected)
        );
        // Who asks for one name and is told of another knows nothing of the first.
        assert_eq!(parse_domain(EXAMPLE, "other.example"), None);
        let lapsing = EXAMPLE.replace("\"locked\"", "\"redemption period\"");
        assert!(matches!(
            parse_domain(&lapsing, "xn--fo-5ja.example"),
            Some(RdapAnswer::Registered { lapsing: true, .. })
        ));
    }

    #[test]
    fn dates_without_a_zone_or_a_time_are_read() {
        for (text, expected) in [
            ("2030-05-01T12:00:00Z", Some("2030-05-01T12:00:00Z")),
            ("2030-05-01T14:00:00+02:00", Some("2030-05-01T12:00:00Z")),
            ("2030-05-01T12:00:00", Some("2030-05-01T12:00:00Z")),
            ("2030-05-01", Some("2030-05-01T00:00:00Z")),
            ("in May", None),
            ("", None),
            ("99999999-01-01", None),
        ] {
            let read = parse_date(text).map(|at| at.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn the_server_of_the_longest_end_is_asked() {
        let list = r#"{"version": "1.0", "services": [
            [["net", "COM"], ["http://registry.example.com/", "https://registry.example.com/myrdap/"]],
            [["org", "mytld"], ["https://example.org/"]],
            [["co.mytld"], ["https://co.example.org/"]],
            [["old"], ["http://only.example.org/"]]]}"#;
        let servers = parse_servers(list).unwrap();
        for (name, expected) in [
            ("shop.com", Some("https://registry.example.com/myrdap/")),
            ("a.b.mytld", Some("https://example.org/")),
            ("shop.co.mytld", Some("https://co.example.org/")),
            ("shop.old", None),
            ("shop.nowhere", None),
        ] {
            assert_eq!(find_server(&servers, name), expected, "{name}");
        }
        for wrong in [
            "",
            "{}",
            "[]",
            r#"{"services": []}"#,
            r#"{"services": [[["a"]]]}"#,
        ] {
            assert_eq!(parse_servers(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_answered_is_read_or_refused(body in ".{0,200}", date in ".{0,40}") {
            let _ = parse_domain(&body, "example.org");
            let _ = parse_servers(&body);
            let _ = parse_date(&date);
        }
    }
}
