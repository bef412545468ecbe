//! Reads DKIM (RFC 6376): the keys that a domain's mail is signed with.

use matou_base::text::SafeText;
use serde::Serialize;

use super::dmarc::list_record_tags;

/// Names that providers and mail servers give their keys. DNS can't be asked which there are.
pub const USUAL_SELECTORS: [&str; 18] = [
    "default",
    "dkim",
    "mail",
    "smtp",
    "key1",
    "k1",
    "k2",
    "k3",
    "s1",
    "s2",
    "selector1",
    "selector2",
    "google",
    "mx",
    "fm1",
    "protonmail",
    "mandrill",
    "brevo1",
];

/// One key of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DkimKey {
    /// Its name: it is at `SELECTOR._domainkey.DOMAIN`.
    pub selector: String,
    /// What is there.
    #[serde(flatten)]
    pub state: DkimKeyState,
}

/// What DNS says of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DkimKeyState {
    /// There is a key.
    Found,
    /// It was taken back: `p=` is empty (RFC 6376, section 3.6.1).
    Revoked,
    /// There is no key of that name.
    Missing,
    /// DNS did not answer.
    Unknown {
        /// Why.
        reason: SafeText,
    },
}

impl DkimKeyState {
    /// Takes the TXT records of a selector. A text without `p=` is no key.
    pub(super) fn of_texts(texts: &[String]) -> Self {
        let mut keys = texts.iter().filter_map(|text| {
            let (_, key) = list_record_tags(text).find(|(name, _)| *name == "p")?;
            Some(key)
        });
        match keys.next() {
            None => Self::Missing,
            Some("") => Self::Revoked,
            Some(_) => Self::Found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_has_a_key() {
        for (text, state) in [
            ("v=DKIM1; k=rsa; p=MIIBIjANBg==", DkimKeyState::Found),
            ("p=MIIBIjANBg", DkimKeyState::Found),
            ("v=DKIM1; p=", DkimKeyState::Revoked),
            ("v=spf1 -all", DkimKeyState::Missing),
            ("", DkimKeyState::Missing),
        ] {
            assert_eq!(DkimKeyState::of_texts(&[text.to_owned()]), state, "{text}");
        }
        assert_eq!(DkimKeyState::of_texts(&[]), DkimKeyState::Missing);
    }
}
