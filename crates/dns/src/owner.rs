//! The TXT record that says which records matou made, and for what.

use std::collections::BTreeSet;

use super::record::{RecordKind, ZoneRecords};

/// Before the name in that of the record.
const PREFIX: &str = "_matou";

/// Begins the text of the record.
const HERITAGE: &str = "heritage=matou";

/// What the record beside a name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// The fleet whose records they are.
    pub fleet: String,
    /// The application that they were made for.
    pub app: String,
    /// Types of the records that were made; others of the name are somebody else's.
    pub kinds: BTreeSet<RecordKind>,
}

/// Returns the name of the record beside a name. That of `*.example.org` begins with another word, as an asterisk
/// means something at the beginning of a name only.
pub fn owner_name(name: &str) -> String {
    match name.strip_prefix("*.") {
        Some(rest) => format!("{PREFIX}-any.{rest}"),
        None => format!("{PREFIX}.{name}"),
    }
}

/// Returns the name that a record of ownership stands beside; `None` where it is none.
pub(crate) fn owned_name(owner: &str) -> Option<String> {
    let rest = owner.strip_prefix(PREFIX)?;
    match rest.strip_prefix("-any.") {
        Some(rest) => Some(format!("*.{rest}")),
        None => rest.strip_prefix('.').map(str::to_owned),
    }
}

impl Ownership {
    /// Reads what is said of a name.
    pub fn find(records: &ZoneRecords, name: &str) -> Option<Self> {
        let texts = records.find(&owner_name(name), RecordKind::Txt)?;
        texts.values.iter().find_map(|text| Self::parse(text))
    }

    /// Parses the text of a record; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        if parts.next() != Some(HERITAGE) {
            return None;
        }
        let (mut fleet, mut app, mut kinds) = (None, None, BTreeSet::new());
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key {
                "fleet" => fleet = Some(value.to_owned()),
                "app" => app = Some(value.to_owned()),
                "types" => kinds = value.split('+').filter_map(RecordKind::from_name).collect(),
                _ => {}
            }
        }
        Some(Self {
            fleet: fleet?,
            app: app?,
            kinds,
        })
    }

    /// Returns the text of the record.
    pub fn render(&self) -> String {
        let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.as_str()).collect();
        format!(
            "{HERITAGE},fleet={},app={},types={}",
            plain_word(&self.fleet),
            plain_word(&self.app),
            kinds.join("+")
        )
    }

    /// Returns whether a fleet of this name made it.
    pub fn is_of(&self, fleet: &str) -> bool {
        self.fleet == plain_word(fleet)
    }
}

/// Returns a name without what would end a part of the text.
pub(crate) fn plain_word(text: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() || "._-".contains(c) {
        true => c,
        false => '-',
    };
    text.chars().map(plain).take(63).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let made = Ownership {
            fleet: "my fleet, \"one\"".into(),
            app: "shop".into(),
            kinds: [RecordKind::A, RecordKind::Aaaa].into(),
        };
        let text = made.render();
        assert_eq!(
            text,
            "heritage=matou,fleet=my-fleet---one-,app=shop,types=A+AAAA"
        );
        let read = Ownership::parse(&text).unwrap();
        assert!(read.is_of("my fleet, \"one\"") && !read.is_of("my"));
        assert_eq!(read.kinds, made.kinds);
        for other in [
            "heritage=external-dns,fleet=a,app=b",
            "v=spf1 -all",
            "heritage=matou",
            "",
        ] {
            assert_eq!(Ownership::parse(other), None, "{other}");
        }
    }

    #[test]
    fn names_of_records_lead_there_and_back() {
        for name in ["shop.example.org", "*.example.org", "example.org"] {
            assert_eq!(owned_name(&owner_name(name)).as_deref(), Some(name));
        }
        assert_eq!(owned_name("_matoux.example.org"), None);
        assert_eq!(owned_name("shop.example.org"), None);
    }
}
