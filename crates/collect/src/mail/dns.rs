//! Asks DNS what receivers ask about the domain that mail comes from.

use matou_i18n::tr;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};
use matou_base::text::SafeText;
use serde::Serialize;

use super::dkim::{DkimKey, DkimKeyState, USUAL_SELECTORS};
use super::dmarc::DmarcFinding;
use super::reply::clean_reply;
use super::spf::SpfFinding;

/// How long a server of DNS may take for one try of one question. There are two.
const TRY_PATIENCE: Duration = Duration::from_secs(4);

/// How long one question may take, all tries of it.
const QUESTION_PATIENCE: Duration = Duration::from_secs(15);

/// Mail servers of a domain that are told.
const MAX_MX: usize = 20;

/// What DNS says of the domain that mail comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SenderDomain {
    /// The part of the sender behind the @.
    pub domain: String,
    /// Who may send its mail (RFC 7208).
    pub spf: SpfFinding,
    /// What receivers are to do with other mail (RFC 7489).
    pub dmarc: DmarcFinding,
    /// The keys that were asked for; of the usual ones, those that are there (RFC 6376).
    pub dkim: Vec<DkimKey>,
    /// Whether the selectors were named: otherwise a key may be there under a name that was not tried.
    pub selectors_named: bool,
    /// Where its own mail goes, and what comes back undelivered.
    pub mx: MxFinding,
}

/// Where mail to a domain goes (RFC 5321, section 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum MxFinding {
    /// To these servers.
    Found {
        /// Those that are preferred first.
        servers: Vec<SafeText>,
    },
    /// Nowhere: the domain takes no mail (RFC 7505).
    Refuses,
    /// There is no record.
    Missing,
    /// DNS did not answer.
    Unknown {
        /// Why.
        reason: SafeText,
    },
}

impl MxFinding {
    /// Returns what is not as it should be, in a sentence that says what to do.
    pub fn find_warning(&self) -> Option<String> {
        match self {
            Self::Found { .. } => None,
            Self::Refuses => Some(
                tr!("its MX says that it takes no mail: nobody learns of mail that comes back").into(),
            ),
            Self::Missing => Some(
                tr!("no MX: nobody learns of mail that comes back, and receivers may distrust the sender; add one").into(),
            ),
            Self::Unknown { reason } => Some(tr!("MX is not known: {reason}")),
        }
    }
}

impl SenderDomain {
    /// Returns what is not as it should be, each in a sentence that says what to do.
    pub fn list_warnings(&self) -> Vec<String> {
        let of_records = [
            self.spf.find_warning(),
            self.dmarc.find_warning(),
            self.mx.find_warning(),
            self.warn_of_keys(),
        ];
        let unknown = self.dkim.iter().filter_map(|key| match &key.state {
            DkimKeyState::Unknown { reason } => Some(tr!(
                "the key {} of DKIM is not known: {reason}",
                key.selector
            )),
            DkimKeyState::Revoked => Some(tr!("the key {} of DKIM was taken back", key.selector)),
            DkimKeyState::Missing => Some(tr!(
                "there is no key {} of DKIM at {}._domainkey.{}",
                key.selector,
                key.selector,
                self.domain
            )),
            DkimKeyState::Found => None,
        });
        of_records.into_iter().flatten().chain(unknown).collect()
    }

    fn warn_of_keys(&self) -> Option<String> {
        (self.dkim.is_empty() && !self.selectors_named).then(|| {
            tr!("DKIM: none of the usual selectors has a key, which says little; name yours with --selector")
                .to_owned()
        })
    }
}

/// Asks DNS about a domain: the server of this machine's resolv.conf, or another. `selectors` are the names of keys of
/// DKIM; without any the usual ones are tried. What can't be asked is told as unknown.
pub async fn read_sender_domain(
    domain: &str,
    selectors: &[String],
    server: Option<SocketAddr>,
) -> SenderDomain {
    let questions = DnsQuestions::open_resolver(server);
    let (spf, dmarc, dkim, mx) = tokio::join!(
        questions.find_spf(domain),
        questions.find_dmarc(domain),
        questions.find_dkim(domain, selectors),
        questions.find_mx(domain),
    );
    SenderDomain {
        domain: domain.to_owned(),
        spf,
        dmarc,
        dkim,
        selectors_named: !selectors.is_empty(),
        mx,
    }
}

/// Why there is no answer to a question.
#[derive(Debug, Clone, thiserror::Error)]
enum DnsQueryError {
    #[error("{}", tr!("no server of DNS can be asked: {_0}"))]
    NoServer(NetError),
    #[error("{0}")]
    Failed(NetError),
    #[error("{}", tr!("DNS did not answer within {} s", QUESTION_PATIENCE.as_secs()))]
    Late,
}

impl DnsQueryError {
    fn to_reason(&self) -> SafeText {
        clean_reply(&self.to_string())
    }
}

/// A resolver, or why there is none.
struct DnsQuestions(Result<TokioResolver, DnsQueryError>);

impl DnsQuestions {
    fn open_resolver(server: Option<SocketAddr>) -> Self {
        Self(build_resolver(server).map_err(DnsQueryError::NoServer))
    }

    /// Returns the data of a name's records of one type; none where there are none.
    async fn query_records(
        &self,
        name: &str,
        kind: RecordType,
    ) -> Result<Vec<RData>, DnsQueryError> {
        let resolver = self.0.as_ref().map_err(Clone::clone)?;
        // With a dot at the end: the names of resolv.conf's `search` are not tried.
        let asking = resolver.lookup(format!("{name}."), kind);
        let answer = tokio::time::timeout(QUESTION_PATIENCE, asking).await;
        match answer.map_err(|_| DnsQueryError::Late)? {
            Ok(found) => Ok(found.answers().iter().map(|r| r.data.clone()).collect()),
            Err(e) if says_there_is_none(&e) => Ok(Vec::new()),
            Err(e) => Err(DnsQueryError::Failed(e)),
        }
    }

    /// Returns the TXT records of a name. The strings of a record belong together without spaces (RFC 7208, 3.3).
    async fn query_texts(&self, name: &str) -> Result<Vec<String>, DnsQueryError> {
        let records = self.query_records(name, RecordType::TXT).await?;
        let texts = records.iter().filter_map(|data| match data {
            RData::TXT(text) => Some(text.txt_data.concat()),
            _ => None,
        });
        Ok(texts
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect())
    }

    async fn find_spf(&self, domain: &str) -> SpfFinding {
        match self.query_texts(domain).await {
            Ok(texts) => SpfFinding::of_texts(&texts),
            Err(e) => SpfFinding::Unknown {
                reason: e.to_reason(),
            },
        }
    }

    /// Where the domain has no record, that of its organisation counts (RFC 7489, section 6.6.3), taken to be the last
    /// two labels: the list of public suffixes is not at hand.
    async fn find_dmarc(&self, domain: &str) -> DmarcFinding {
        let own = self.find_dmarc_at(domain, false).await;
        match (&own, find_parent_domain(domain)) {
            (DmarcFinding::Missing, Some(parent)) => self.find_dmarc_at(parent, true).await,
            _ => own,
        }
    }

    async fn find_dmarc_at(&self, domain: &str, inherited: bool) -> DmarcFinding {
        let name = format!("_dmarc.{domain}");
        match self.query_texts(&name).await {
            Ok(texts) => DmarcFinding::of_texts(&name, &texts, inherited),
            Err(e) => DmarcFinding::Unknown {
                reason: e.to_reason(),
            },
        }
    }

    async fn find_dkim(&self, domain: &str, selectors: &[String]) -> Vec<DkimKey> {
        if !selectors.is_empty() {
            let asking = selectors.iter().map(|s| self.find_dkim_key(domain, s));
            return futures_util::future::join_all(asking).await;
        }
        let asking = USUAL_SELECTORS.map(|s| self.find_dkim_key(domain, s));
        let mut keys = futures_util::future::join_all(asking).await;
        let unknown = keys
            .iter()
            .find(|key| matches!(key.state, DkimKeyState::Unknown { .. }))
            .cloned();
        keys.retain(|key| matches!(key.state, DkimKeyState::Found));
        match unknown {
            // One stands for all: DNS does not answer.
            Some(unknown) if keys.is_empty() => vec![unknown],
            _ => keys,
        }
    }

    async fn find_dkim_key(&self, domain: &str, selector: &str) -> DkimKey {
        let name = format!("{selector}._domainkey.{domain}");
        let state = match self.query_texts(&name).await {
            Ok(texts) => DkimKeyState::of_texts(&texts),
            Err(e) => DkimKeyState::Unknown {
                reason: e.to_reason(),
            },
        };
        let selector = selector.to_owned();
        DkimKey { selector, state }
    }

    async fn find_mx(&self, domain: &str) -> MxFinding {
        let records = match self.query_records(domain, RecordType::MX).await {
            Ok(records) => records,
            Err(e) => {
                return MxFinding::Unknown {
                    reason: e.to_reason(),
                };
            }
        };
        let mut servers = Vec::new();
        for data in &records {
            if let RData::MX(mx) = data {
                if mx.exchange.is_root() {
                    return MxFinding::Refuses;
                }
                servers.push((mx.preference, mx.exchange.to_string()));
            }
        }
        servers.sort();
        let shown = servers.iter().take(MAX_MX);
        let shown = shown.map(|(_, name)| clean_reply(name.trim_end_matches('.')));
        match servers.is_empty() {
            true => MxFinding::Missing,
            false => MxFinding::Found {
                servers: shown.collect(),
            },
        }
    }
}

fn build_resolver(server: Option<SocketAddr>) -> Result<TokioResolver, NetError> {
    let mut builder = match server {
        None => TokioResolver::builder_tokio()?,
        Some(address) => {
            let mut name_server = NameServerConfig::udp_and_tcp(address.ip());
            for connection in &mut name_server.connections {
                connection.port = address.port();
            }
            let config = ResolverConfig::from_name_servers(vec![name_server]);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let options = builder.options_mut();
    options.timeout = TRY_PATIENCE;
    options.attempts = 1;
    options.use_hosts_file = ResolveHosts::Never;
    builder.build()
}

/// Whether DNS answered, and that there are no such records: not where it failed to find out.
fn says_there_is_none(error: &NetError) -> bool {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => matches!(
            none.response_code,
            ResponseCode::NoError | ResponseCode::NXDomain
        ),
        _ => false,
    }
}

/// Returns the last two labels of a domain that has more.
fn find_parent_domain(domain: &str) -> Option<&str> {
    let (at, _) = domain.rmatch_indices('.').nth(1)?;
    Some(&domain[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_organisation_is_the_last_two_labels() {
        assert_eq!(find_parent_domain("a.b.example.org"), Some("example.org"));
        assert_eq!(find_parent_domain("b.example.org"), Some("example.org"));
        assert_eq!(find_parent_domain("example.org"), None);
        assert_eq!(find_parent_domain("localhost"), None);
    }

    #[test]
    fn what_is_missing_is_warned_of() {
        let nothing = SenderDomain {
            domain: "example.org".into(),
            spf: SpfFinding::Missing,
            dmarc: DmarcFinding::Missing,
            dkim: Vec::new(),
            selectors_named: false,
            mx: MxFinding::Missing,
        };
        assert_eq!(nothing.list_warnings().len(), 4);
        let named = SenderDomain {
            selectors_named: true,
            dkim: vec![DkimKey {
                selector: "s1".into(),
                state: DkimKeyState::Missing,
            }],
            ..nothing
        };
        let warnings = named.list_warnings();
        assert_eq!(warnings.len(), 4);
        assert!(warnings[3].contains("s1._domainkey.example.org"));
    }
}
