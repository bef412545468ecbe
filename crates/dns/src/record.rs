//! Zones, and sets of records in them.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

/// A zone that records are made in, by its name: lower case, without the dot at the end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Zone(String);

impl Zone {
    /// Takes a name as people write it.
    pub fn new(name: &str) -> Self {
        Self(plain_name(name))
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Returns whether a name is the zone's own or lies in it.
    pub fn holds(&self, name: &str) -> bool {
        let name = plain_name(name);
        name == self.0
            || name
                .strip_suffix(&self.0)
                .is_some_and(|rest| rest.ends_with('.'))
    }

    /// Returns the zone that a name lies in: the longest of several.
    pub fn find_for<'a>(zones: &'a [Self], name: &str) -> Option<&'a Self> {
        let holding = zones.iter().filter(|zone| zone.holds(name));
        holding.max_by_key(|zone| zone.0.len())
    }

    /// Returns a name as it is written within the zone: empty for the zone's own.
    pub(crate) fn relative_name(&self, name: &str) -> String {
        let rest = name.strip_suffix(&self.0).unwrap_or(name);
        rest.trim_end_matches('.').to_owned()
    }

    /// Returns the whole name of one that is written within the zone.
    pub(crate) fn full_name(&self, relative: &str) -> String {
        match relative {
            "" | "@" => self.0.clone(),
            relative => plain_name(&format!("{relative}.{}", self.0)),
        }
    }

    /// Lists a name and those above it, up to the zone's own.
    pub(crate) fn list_names_above(&self, name: &str) -> Vec<String> {
        let mut names = Vec::new();
        let mut left = name;
        while self.holds(left) {
            names.push(left.to_owned());
            match left.split_once('.') {
                Some((_, above)) => left = above,
                None => break,
            }
        }
        names
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns a name in lower case, without the dot at the end.
pub(crate) fn plain_name(name: &str) -> String {
    name.trim().trim_end_matches('.').to_ascii_lowercase()
}

/// The types of records that matou reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordKind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Who may issue certificates (RFC 8659).
    Caa,
    /// Another name.
    Cname,
    /// Text.
    Txt,
}

impl RecordKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::A, Self::Aaaa, Self::Caa, Self::Cname, Self::Txt];

    /// Returns its name in DNS.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Caa => "CAA",
            Self::Cname => "CNAME",
            Self::Txt => "TXT",
        }
    }

    /// Finds a type by its name in DNS; `None` for one that matou does not read.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// All records of one name and type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordSet {
    /// Whole, in lower case, without the dot at the end.
    pub name: String,
    /// The type of all of them.
    pub kind: RecordKind,
    /// How long others may keep them, seconds.
    pub ttl: u32,
    /// An address, a text without quotes, a name without the dot at the end; CAA as it is written in a zone file.
    pub values: BTreeSet<String>,
}

impl RecordSet {
    /// Makes a set.
    pub fn new(
        name: &str,
        kind: RecordKind,
        ttl: u32,
        values: impl IntoIterator<Item = String>,
    ) -> Self {
        Self {
            name: plain_name(name),
            kind,
            ttl,
            values: values.into_iter().collect(),
        }
    }

    /// Returns the values in one line, as they are shown.
    pub fn shown_values(&self) -> String {
        let values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        values.join(", ")
    }
}

/// What is in a zone.
#[derive(Debug, Clone, Default)]
pub struct ZoneRecords {
    /// The sets of records of those types that matou reads.
    pub sets: Vec<RecordSet>,
    /// Whether these are all of the zone. Else only those of the names that were asked for, and of names above them.
    pub whole: bool,
}

impl ZoneRecords {
    /// Returns a set; `None` where there is none.
    pub fn find(&self, name: &str, kind: RecordKind) -> Option<&RecordSet> {
        self.sets
            .iter()
            .find(|set| set.kind == kind && set.name == name)
    }

    /// Adds a record to its set.
    pub(crate) fn add(&mut self, name: &str, kind: RecordKind, ttl: u32, value: String) {
        let name = plain_name(name);
        let mut sets = self.sets.iter_mut();
        match sets.find(|set| set.kind == kind && set.name == name) {
            Some(set) => {
                set.values.insert(value);
            }
            None => self.sets.push(RecordSet::new(&name, kind, ttl, [value])),
        }
    }
}

/// One set of records that is to be another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordChange {
    /// Whole name.
    pub name: String,
    /// The type.
    pub kind: RecordKind,
    /// What was read; it is only changed while it is still so. `None`: nothing is there.
    pub before: Option<RecordSet>,
    /// What is to be there; `None`: nothing.
    pub after: Option<RecordSet>,
}

impl RecordChange {
    /// Returns whether what was read now is what the change was planned on.
    pub(crate) fn is_still_so(&self, now: &ZoneRecords) -> bool {
        let there = now.find(&self.name, self.kind).map(|set| &set.values);
        there == self.before.as_ref().map(|set| &set.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_lies_in_the_longest_zone() {
        let zones = [Zone::new("Example.org."), Zone::new("shop.example.org")];
        let zone = |name: &str| Zone::find_for(&zones, name).map(Zone::name);
        assert_eq!(zone("example.org"), Some("example.org"));
        assert_eq!(zone("A.example.org."), Some("example.org"));
        assert_eq!(zone("www.shop.example.org"), Some("shop.example.org"));
        assert_eq!(zone("badexample.org"), None);
        assert_eq!(zone("org"), None);
        let zone = &zones[0];
        assert_eq!(zone.relative_name("a.b.example.org"), "a.b");
        assert_eq!(zone.relative_name("example.org"), "");
        assert_eq!(zone.full_name("@"), "example.org");
        assert_eq!(zone.full_name("A.b"), "a.b.example.org");
        assert_eq!(
            zone.list_names_above("a.b.example.org"),
            ["a.b.example.org", "b.example.org", "example.org"]
        );
    }
}
