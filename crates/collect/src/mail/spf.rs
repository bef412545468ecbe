//! Reads SPF (RFC 7208): who may send mail of a domain.

use matou_base::text::SafeText;
use matou_i18n::tr;
use serde::Serialize;

use super::reply::clean_reply;

/// What DNS says of a domain's SPF.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SpfFinding {
    /// There is one record.
    Found {
        /// The record.
        record: SafeText,
        /// What it says of all other servers.
        end: SpfEnd,
    },
    /// There is none.
    Missing,
    /// There are several, which receivers take for a mistake: a permerror (RFC 7208, section 4.5).
    Several {
        /// All of them.
        records: Vec<SafeText>,
    },
    /// DNS did not answer.
    Unknown {
        /// Why.
        reason: SafeText,
    },
}

/// What a record says of servers that nothing before in it names (RFC 7208, sections 4.6.2 and 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SpfEnd {
    /// `+all`: they may send too.
    Pass,
    /// `-all`: they may not.
    Fail,
    /// `~all`: they probably may not.
    Softfail,
    /// `?all`: nothing is said.
    Neutral,
    /// `redirect=`: the record of another domain says it (section 6.1).
    Redirect,
    /// Neither `all` nor `redirect=`, which is as neutral (section 4.7).
    Open,
}

impl SpfFinding {
    /// Takes the TXT records of a domain.
    pub(super) fn of_texts(texts: &[String]) -> Self {
        let records: Vec<&String> = texts.iter().filter(|t| is_spf_record(t)).collect();
        match records.as_slice() {
            [] => Self::Missing,
            [one] => Self::Found {
                record: clean_reply(one),
                end: find_spf_end(one),
            },
            many => Self::Several {
                records: many.iter().map(|r| clean_reply(r)).collect(),
            },
        }
    }

    /// Returns what is not as it should be, in a sentence that says what to do.
    pub fn find_warning(&self) -> Option<String> {
        let text = match self {
            Self::Missing => {
                tr!(
                    "no SPF: receivers can't tell who may send its mail; add a TXT record v=spf1 as the mail server's provider says"
                )
            }
            Self::Several { .. } => {
                tr!(
                    "several SPF records, which receivers take for a mistake (RFC 7208, 4.5): make one of them"
                )
            }
            Self::Found { end, .. } => match end {
                SpfEnd::Pass => {
                    tr!("SPF ends in +all: anybody may send its mail; end it in ~all or -all")
                }
                SpfEnd::Neutral => {
                    tr!(
                        "SPF ends in ?all: it says nothing of other servers; end it in ~all or -all"
                    )
                }
                SpfEnd::Open => {
                    tr!("SPF has no end: it says nothing of other servers; end it in ~all or -all")
                }
                SpfEnd::Fail | SpfEnd::Softfail | SpfEnd::Redirect => return None,
            },
            Self::Unknown { reason } => return Some(tr!("SPF is not known: {reason}")),
        };
        Some(text.to_owned())
    }
}

/// Whether a TXT record is one of SPF: the version stands alone or before a space (RFC 7208, section 4.5).
fn is_spf_record(text: &str) -> bool {
    let version = text.split(' ').next().unwrap_or_default();
    version.eq_ignore_ascii_case("v=spf1")
}

fn find_spf_end(record: &str) -> SpfEnd {
    let terms: Vec<String> = record
        .split(' ')
        .skip(1)
        .map(str::to_ascii_lowercase)
        .collect();
    // Whatever comes behind the first `all` is ignored, and so is `redirect=` (section 5.1).
    let all = terms.iter().find_map(|term| match term.as_str() {
        "all" | "+all" => Some(SpfEnd::Pass),
        "-all" => Some(SpfEnd::Fail),
        "~all" => Some(SpfEnd::Softfail),
        "?all" => Some(SpfEnd::Neutral),
        _ => None,
    });
    let redirects = terms.iter().any(|term| term.starts_with("redirect="));
    all.unwrap_or(match redirects {
        true => SpfEnd::Redirect,
        false => SpfEnd::Open,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_end(record: &str) -> SpfEnd {
        match SpfFinding::of_texts(&[record.to_owned()]) {
            SpfFinding::Found { end, .. } => end,
            other => panic!("{record}: {other:?}"),
        }
    }

    #[test]
    fn what_is_said_of_other_servers_is_read() {
        for (record, end) in [
            ("v=spf1 mx -all", SpfEnd::Fail),
            ("V=SPF1 include:_spf.example.org ~ALL", SpfEnd::Softfail),
            ("v=spf1 all", SpfEnd::Pass),
            ("v=spf1 ?all -all", SpfEnd::Neutral),
            ("v=spf1 redirect=_spf.example.org", SpfEnd::Redirect),
            ("v=spf1 redirect=_spf.example.org -all", SpfEnd::Fail),
            ("v=spf1", SpfEnd::Open),
            ("v=spf1 include:all.example.org", SpfEnd::Open),
        ] {
            assert_eq!(read_end(record), end, "{record}");
        }
    }

    #[test]
    fn none_and_several_are_told_from_one() {
        let read = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|t| (*t).to_owned()).collect();
            SpfFinding::of_texts(&texts)
        };
        assert_eq!(read(&[]), SpfFinding::Missing);
        assert_eq!(read(&["v=spf10 -all", "a v=spf1"]), SpfFinding::Missing);
        let several = read(&["v=spf1 -all", "x", "v=spf1 mx -all"]);
        assert!(matches!(&several, SpfFinding::Several { records } if records.len() == 2));
        assert!(several.find_warning().is_some());
        assert_eq!(read(&["v=spf1 -all"]).find_warning(), None);
        assert!(read(&["v=spf1 +all"]).find_warning().is_some());
    }
}
