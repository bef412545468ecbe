//! Reads DMARC (RFC 7489): what receivers are to do with mail of a domain that is not proven to be its.

use matou_base::text::SafeText;
use matou_i18n::tr;
use serde::Serialize;

use super::reply::clean_reply;

/// What DNS says of a domain's DMARC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DmarcFinding {
    /// There is one record.
    Found {
        /// Where it is: `_dmarc.` and the domain, or the one above it.
        name: String,
        /// The record.
        record: SafeText,
        /// What it asks for the domain.
        policy: DmarcPolicy,
    },
    /// There is none, neither at the domain nor above it.
    Missing,
    /// There are several, of which receivers take none (RFC 7489, section 6.6.3).
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

/// What receivers are asked to do with mail that is not proven (RFC 7489, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DmarcPolicy {
    /// Nothing but to report.
    None,
    /// To distrust it.
    Quarantine,
    /// To refuse it.
    Reject,
    /// The record says none of these.
    Invalid,
}

impl DmarcFinding {
    /// Takes the TXT records of `name`; `inherited` where that stands above the sender's domain.
    pub(super) fn of_texts(name: &str, texts: &[String], inherited: bool) -> Self {
        let records: Vec<&String> = texts.iter().filter(|t| is_dmarc_record(t)).collect();
        match records.as_slice() {
            [] => Self::Missing,
            [one] => Self::Found {
                name: name.to_owned(),
                record: clean_reply(one),
                policy: find_dmarc_policy(one, inherited),
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
                    "no DMARC, which large receivers want: add a TXT record v=DMARC1; p=none at _dmarc of the domain"
                )
            }
            Self::Several { .. } => {
                tr!(
                    "several DMARC records, of which receivers take none (RFC 7489, 6.6.3): keep one"
                )
            }
            Self::Found {
                policy: DmarcPolicy::Invalid,
                ..
            } => tr!("DMARC without a policy: give it p=none, p=quarantine or p=reject"),
            Self::Found { .. } => return None,
            Self::Unknown { reason } => return Some(tr!("DMARC is not known: {reason}")),
        };
        Some(text.to_owned())
    }
}

/// Returns the tags of a record of DMARC or DKIM (RFC 6376, section 3.2).
pub(super) fn list_record_tags(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let tags = text.split(';').filter_map(|tag| tag.split_once('='));
    tags.map(|(name, value)| (name.trim(), value.trim()))
}

fn is_dmarc_record(text: &str) -> bool {
    list_record_tags(text).next() == Some(("v", "DMARC1"))
}

/// Below the domain that a record is for, `sp` comes before `p`.
fn find_dmarc_policy(record: &str, inherited: bool) -> DmarcPolicy {
    let find = |wanted: &str| {
        list_record_tags(record)
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.to_ascii_lowercase())
    };
    let below = find("sp").filter(|_| inherited);
    match below.or_else(|| find("p")).as_deref() {
        Some("none") => DmarcPolicy::None,
        Some("quarantine") => DmarcPolicy::Quarantine,
        Some("reject") => DmarcPolicy::Reject,
        _ => DmarcPolicy::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_policy(record: &str, inherited: bool) -> DmarcPolicy {
        match DmarcFinding::of_texts("_dmarc.example.org", &[record.to_owned()], inherited) {
            DmarcFinding::Found { policy, .. } => policy,
            other => panic!("{record}: {other:?}"),
        }
    }

    #[test]
    fn policies_are_read_for_the_domain_and_below_it() {
        let record = "v=DMARC1; p=Reject; sp = quarantine; rua=mailto:a@example.org";
        assert_eq!(read_policy(record, false), DmarcPolicy::Reject);
        assert_eq!(read_policy(record, true), DmarcPolicy::Quarantine);
        assert_eq!(read_policy("v=DMARC1;p=none", true), DmarcPolicy::None);
        assert_eq!(read_policy("v=DMARC1;", false), DmarcPolicy::Invalid);
        assert_eq!(read_policy("v = DMARC1; p=x", false), DmarcPolicy::Invalid);
    }

    #[test]
    fn what_is_no_record_is_left_out_and_several_are_told() {
        let read = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|t| (*t).to_owned()).collect();
            DmarcFinding::of_texts("_dmarc.example.org", &texts, false)
        };
        assert_eq!(read(&["p=none; v=DMARC1", "x"]), DmarcFinding::Missing);
        assert!(matches!(
            read(&["v=DMARC1; p=none", "v=DMARC1; p=reject"]),
            DmarcFinding::Several { .. }
        ));
        assert_eq!(read(&["v=DMARC1; p=none"]).find_warning(), None);
        assert!(read(&[]).find_warning().is_some());
    }
}
