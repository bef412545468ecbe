//! Registered domains of applications' names, and when their registration ends.

use jiff::Timestamp;
use matou_base::text::SafeText;
use serde::{Deserialize, Serialize};

/// A domain that somebody registered, under which applications have names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegisteredDomain {
    /// Its name, as `example.org`; where its registry does not answer, the name that it was asked for.
    pub name: String,
    /// The applications that have names under it.
    pub apps: Vec<String>,
    /// When its registration ends, or why nobody says.
    #[serde(serialize_with = "crate::reading::write_outcome")]
    pub expiry: Result<DomainExpiry, SafeText>,
}

/// When a registration ends, as its registry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainExpiry {
    /// Its last second.
    pub at: Timestamp,
    /// It was not renewed, and is about to be given up.
    pub lapsing: bool,
    /// Its registry knew it, and does not any more: the rest is what it said last.
    #[serde(default)]
    pub gone: bool,
    /// When the registry said so.
    pub read: Timestamp,
}

impl RegisteredDomain {
    /// The domain that a name was registered under.
    pub fn find_of_name<'a>(all: &'a [Self], name: &str) -> Option<&'a Self> {
        let above = all.iter().filter(|d| is_under(name, &d.name));
        above.max_by_key(|d| d.name.len())
    }

    /// Whether it is the domain of that name, or one above or below it.
    pub fn is_in_line_with(&self, name: &str) -> bool {
        is_under(name, &self.name) || is_under(&self.name, name)
    }
}

/// Whether a name is a domain's own, or lies below it.
fn is_under(name: &str, domain: &str) -> bool {
    let rest = name.strip_suffix(domain);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

impl DomainExpiry {
    /// Whole days until it ends; negative when it has.
    pub fn days_left(&self, now: Timestamp) -> i64 {
        (self.at.as_second() - now.as_second()).div_euclid(86_400)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_earlier_versions_kept_is_read() {
        let kept = r#"{"at":"2030-01-01T00:00:00Z","lapsing":true,"read":"2029-01-01T00:00:00Z"}"#;
        let read: DomainExpiry = serde_json::from_str(kept).unwrap();
        assert!(read.lapsing && !read.gone);
    }

    #[test]
    fn a_name_belongs_to_the_longest_domain_that_it_ends_in() {
        let domain = |name: &str| RegisteredDomain {
            name: name.into(),
            apps: Vec::new(),
            expiry: Err("nobody says".into()),
        };
        let all = [domain("co.uk"), domain("shop.co.uk"), domain("example.org")];
        let found = |name| RegisteredDomain::find_of_name(&all, name).map(|d| d.name.as_str());
        assert_eq!(found("www.shop.co.uk"), Some("shop.co.uk"));
        assert_eq!(found("example.org"), Some("example.org"));
        assert_eq!(found("notexample.org"), None);
        assert_eq!(found("example.com"), None);
    }
}
