//! The languages in which matou speaks. A message stands in English where it is said, in [`tr!`]; its
//! French is in the catalogue of its crate, `po/fr.po`, in the format of
//! [gettext](https://www.gnu.org/software/gettext/manual/html_node/PO-Files.html), and the compiler puts it
//! beside the English one. `cargo xtask translate` adds new messages to the catalogues and takes those away
//! that nobody says; a test fails while one has no French.
//!
//! What programs read stays as it is: `--json`, the journal's words for kinds, what goes to a shell.

// What the macros write names this crate, here as in others.
extern crate self as matou_i18n;

catalogue!();

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU8, Ordering};

pub use matou_i18n_macros::{both, catalogue, messages, tr, trn};

/// A language of matou.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// The language of the source.
    English,
    /// Out of the catalogues.
    French,
}

impl Language {
    /// Finds the language of a locale as in `LANG`: `fr_FR.UTF-8`; English is that of all others.
    pub fn of_locale(locale: &str) -> Self {
        let language = locale.split(['_', '.', '@']).next().unwrap_or_default();
        match language {
            "fr" => Self::French,
            _ => Self::English,
        }
    }

    /// Finds the language of messages that the environment asks for, as POSIX has it: the first of
    /// `LC_ALL`, `LC_MESSAGES` and `LANG` that is set and not empty. Where characters are not in UTF-8
    /// (`LC_ALL`, `LC_CTYPE`, `LANG`), it is English, which needs no more than ASCII.
    pub fn of_environment() -> Self {
        Self::of_variables(|name| std::env::var(name).ok())
    }

    fn of_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&str; 3]| {
            let values = names.into_iter().filter_map(&variable);
            values.into_iter().find(|value| !value.is_empty())
        };
        let characters = first(["LC_ALL", "LC_CTYPE", "LANG"]).unwrap_or_default();
        let characters = characters.to_ascii_lowercase();
        match first(["LC_ALL", "LC_MESSAGES", "LANG"]) {
            Some(locale) if characters.contains("utf-8") || characters.contains("utf8") => {
                Self::of_locale(&locale)
            }
            _ => Self::English,
        }
    }
}

/// Whether French is spoken; English until [`speak`] says otherwise.
static FRENCH: AtomicU8 = AtomicU8::new(0);

/// Sets the language of everything that the process says from now on.
pub fn speak(language: Language) {
    FRENCH.store(u8::from(language == Language::French), Ordering::Relaxed);
}

/// The language that the process speaks.
pub fn language() -> Language {
    match is_french() {
        true => Language::French,
        false => Language::English,
    }
}

/// Whether the process speaks French.
pub fn is_french() -> bool {
    FRENCH.load(Ordering::Relaxed) != 0
}

/// Chooses between a text and its French; what [`tr!`] becomes.
pub fn choose<'a>(english: &'a str, french: &'a str) -> &'a str {
    match is_french() {
        true => french,
        false => english,
    }
}

/// Whether a number of things takes the singular: one in English, none and one in French.
pub fn is_singular(count: impl TryInto<i128>) -> bool {
    let count = count.try_into().unwrap_or(i128::MAX);
    count == 1 || (count == 0 && is_french())
}

/// Whether an answer typed to a question is a yes: `y` or `yes`, in French `o` or `oui` too.
pub fn is_yes(answer: &str) -> bool {
    let yes: &[&str] = match is_french() {
        true => &["y", "yes", "o", "oui"],
        false => &["y", "yes"],
    };
    yes.iter().any(|word| answer.eq_ignore_ascii_case(word))
}

/// A text of a constant, in both languages; read, it is the one that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    english: &'static str,
    french: &'static str,
}

impl Text {
    /// A text and its French; what [`both!`] becomes.
    pub const fn new(english: &'static str, french: &'static str) -> Self {
        Self { english, french }
    }

    /// The text in the language that is spoken.
    pub fn get(self) -> &'static str {
        choose(self.english, self.french)
    }

    /// The text in English: what documents that are in English quote.
    pub const fn english(self) -> &'static str {
        self.english
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.get()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl From<Text> for &'static str {
    fn from(text: Text) -> Self {
        text.get()
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.get().to_owned()
    }
}

impl From<Text> for Cow<'static, str> {
    fn from(text: Text) -> Self {
        Self::Borrowed(text.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_a_language() {
        let of = |set: &[(&str, &str)]| {
            Language::of_variables(|name| {
                let found = set.iter().find(|(n, _)| *n == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        for french in [
            &[("LANG", "fr_FR.UTF-8")][..],
            &[("LC_ALL", ""), ("LANG", "fr_FR.utf8")],
            &[("LC_MESSAGES", "fr_BE.UTF-8"), ("LANG", "en_GB.UTF-8")],
        ] {
            assert_eq!(of(french), Language::French, "{french:?}");
        }
        for english in [
            &[][..],
            &[("LANG", "fr_FR.ISO-8859-1")],
            &[("LANG", "fr_FR.UTF-8"), ("LC_ALL", "C")],
            &[("LANG", "fr_FR.UTF-8"), ("LC_MESSAGES", "C.UTF-8")],
        ] {
            assert_eq!(of(english), Language::English, "{english:?}");
        }
    }

    const GONE: Text = both!("gone");

    #[derive(Debug, thiserror::Error)]
    enum Failure {
        #[error("{}", tr!("no file {path}: {_1}", path = path.display(), _1 = reason))]
        Missing {
            path: std::path::PathBuf,
            reason: u8,
        },
        #[error("{}", tr!("{name} is on {0:>3}", _0, name = "a"))]
        Place(u8),
    }

    /// Says all kinds of messages.
    fn said() -> Vec<String> {
        let name = "b";
        let failures = [
            Failure::Missing {
                path: "/x".into(),
                reason: 2,
            },
            Failure::Place(7),
        ];
        let mut said = vec![
            tr!("gone").to_owned(),
            GONE.to_string(),
            tr!("never translated {name}"),
            tr!("{name} is on {0:>3}", 1),
            trn!(0, "{n} file in {name}", "{n} files in {name}"),
            trn!(1_usize, "{n} file in {name}", "{n} files in {name}"),
            trn!(2_u64, "{n} file in {name}", "{n} files in {name}"),
        ];
        said.extend(failures.iter().map(ToString::to_string));
        said
    }

    #[test]
    fn messages_are_said_in_the_language_that_is_spoken() {
        let english = said();
        speak(Language::French);
        let french = said();
        speak(Language::English);
        let text = "gone\ngone\nnever translated b\nb is on   1\n0 files in b\n1 file in b\n2 files in b\n\
                    no file /x: 2\na is on   7";
        assert_eq!(english.join("\n"), text);
        let text = "parti\nparti\nnever translated b\nsur   1\u{a0}: b\n0 fichier dans b\n1 fichier dans b\n\
                    2 fichiers dans b\npas de fichier /x (2)\nsur   7\u{a0}: a";
        assert_eq!(french.join("\n"), text);
    }

    #[test]
    fn locales_have_a_language() {
        for french in ["fr", "fr_FR.UTF-8", "fr_BE", "fr@euro", "fr_CH.ISO-8859-1"] {
            assert_eq!(Language::of_locale(french), Language::French, "{french}");
        }
        for english in [
            "",
            "C",
            "C.UTF-8",
            "POSIX",
            "en_GB.UTF-8",
            "frp_FR",
            "fy_NL",
        ] {
            assert_eq!(Language::of_locale(english), Language::English, "{english}");
        }
    }
}
