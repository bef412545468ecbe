//! Errors of config.toml that point at the place, as a compiler does.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use matou_base::text::InvalidInput;
use matou_i18n::{Text, both, tr};

/// What is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file; for a missing one, its name.
    pub path: PathBuf,
    /// Where in the file; `None` when the file can't be read.
    pub place: Option<FilePosition>,
    /// What is wrong and what to do, in a sentence.
    pub message: String,
}

/// A place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePosition {
    /// From 1.
    pub line: usize,
    /// Characters, from 1.
    pub column: usize,
    /// The whole line.
    pub text: String,
    /// Characters that are wrong, at least one.
    pub length: usize,
}

/// Half of what is shown of a long line, characters.
const HALF_SHOWN: usize = 80;

/// Longest sentence that is shown of what a parser says, bytes: it may hold what it read.
const MAX_MESSAGE_BYTES: usize = 1024;

/// serde's words for numbers, and those that are shown.
const NUMBER_WORDS: [(&str, &str); 3] = [
    ("expected u8", "expected a whole number up to 255"),
    ("expected u16", "expected a whole number up to 65535"),
    ("expected u32", "expected a whole number"),
];

/// How serde's messages begin, in the languages of matou.
const SERDE_BEGINNINGS: [Text; 6] = [
    both!("unknown field "),
    both!("unknown variant "),
    both!("missing field "),
    both!("duplicate key "),
    both!("invalid type: "),
    both!("invalid value: "),
];

/// What stands between a thing of the wrong kind and the right one there; the longer first.
const SERDE_EXPECTATIONS: [Text; 4] = [
    both!(", expected one of "),
    both!(", expected a whole number up to "),
    both!(", expected a whole number"),
    both!(", expected "),
];

/// Puts what serde says around names and values into the language that is spoken.
fn translate_serde(message: String) -> String {
    let found = SERDE_BEGINNINGS
        .iter()
        .find_map(|b| Some((b, message.strip_prefix(b.english())?)));
    let Some((beginning, rest)) = found else {
        return message;
    };
    let expectation = SERDE_EXPECTATIONS
        .iter()
        .find_map(|e| Some((e, rest.split_once(e.english())?)));
    match expectation {
        Some((between, (thing, wanted))) => format!("{beginning}{thing}{between}{wanted}"),
        None => format!("{beginning}{rest}"),
    }
}

impl ConfigError {
    pub(super) fn at_span(path: &Path, text: &str, span: Range<usize>, message: String) -> Self {
        // The file may be another one by now.
        let start = text.floor_char_boundary(span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        let end = text.floor_char_boundary(span.end.clamp(start, line_end.max(start)));
        Self {
            path: path.to_owned(),
            place: Some(FilePosition {
                line: text[..start].matches('\n').count() + 1,
                column: text[line_start..start].chars().count() + 1,
                text: text[line_start..line_end].to_owned(),
                length: text[start..end].chars().count().max(1),
            }),
            message,
        }
    }

    /// Makes an error of serde's message, with the nearest right name added.
    pub(super) fn from_toml(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let said = error.message().trim();
        let mut message = said[..said.floor_char_boundary(MAX_MESSAGE_BYTES)].replace('\n', ", ");
        for (rust, people) in NUMBER_WORDS {
            message = message.replace(rust, people);
        }
        let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let near = match names.as_slice() {
            [wrong, allowed @ ..] if message.starts_with("unknown ") => {
                find_nearest_name(wrong, allowed.iter().copied()).map(str::to_owned)
            }
            _ => None,
        };
        message = translate_serde(message);
        if let Some(near) = near {
            message = tr!("{message}; did you mean `{near}`?");
        }
        Self::at_span(path, text, error.span().unwrap_or(0..0), message)
    }
}

/// Returns the candidate most similar to `wrong`, if one is similar enough.
pub fn find_nearest_name<'a>(
    wrong: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|c| (strsim::jaro_winkler(wrong, c), c))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// Most names that [`unknown_name`] lists.
const LISTED_NAMES: usize = 12;

/// Returns the error about a name that nobody knows: what it should name, the nearest one that exists,
/// or those that there are. `kind` is what is named, in a word: `service`.
pub fn unknown_name<'a>(
    kind: &str,
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> InvalidInput {
    let known: BTreeSet<&str> = known.into_iter().collect();
    let listed: Vec<&str> = known.iter().copied().take(LISTED_NAMES).collect();
    let hint = match (find_nearest_name(given, known.iter().copied()), known.len()) {
        (Some(near), _) => tr!("did you mean {near:?}?"),
        (None, 0) => tr!("there is none yet").to_owned(),
        (None, 1) => tr!("there is {}", listed[0]),
        (None, n) if n > LISTED_NAMES => {
            tr!(
                "there are {} and {} more",
                listed.join(", "),
                n - LISTED_NAMES
            )
        }
        (None, _) => tr!("there are {}", listed.join(", ")),
    };
    InvalidInput::new(tr!("there is no {kind} {given:?}; {hint}"))
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(place) = &self.place else {
            return write!(f, "{}: {}", self.path.display(), self.message);
        };
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(
            f,
            "{}:{}:{}: {}",
            self.path.display(),
            place.line,
            place.column,
            self.message
        )?;
        // Of a long line, what is around the place.
        let before = place.column - 1;
        let from = match before {
            0..HALF_SHOWN => 0,
            far => far - HALF_SHOWN / 2,
        };
        let text: String = place.text.chars().skip(from).take(2 * HALF_SHOWN).collect();
        let room = 2 * HALF_SHOWN - (before - from);
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", matou_base::text::clean_line(&text))?;
        write!(
            f,
            "{margin} | {}{}",
            " ".repeat(before - from),
            "^".repeat(place.length.min(room))
        )
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn an_unknown_name_is_answered_with_what_there_is() {
        let said = |given: &str, known: &[&str]| {
            unknown_name("service", given, known.iter().copied()).to_string()
        };
        assert_eq!(
            said("a", &[]),
            "there is no service \"a\"; there is none yet"
        );
        assert_eq!(
            said("a", &["web"]),
            "there is no service \"a\"; there is web"
        );
        assert_eq!(
            said("site_wbe", &["site_db", "site_web"]),
            "there is no service \"site_wbe\"; did you mean \"site_web\"?"
        );
        let many: Vec<String> = (10..30).map(|n| format!("x{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(said("?", &many).ends_with("x20, x21 and 8 more"));
        assert!(!said("\x1b[2J", &[]).contains('\x1b'));
    }

    #[test]
    fn of_a_long_line_what_is_around_the_place_is_shown() {
        let parsed = |text: &str| Config::parse(text, std::path::Path::new("/f/config.toml"));
        let long = format!("x = [{} y]", "1, ".repeat(100_000));
        let error = parsed(&long).unwrap_err().to_string();
        assert!(error.len() < 1000, "{} bytes", error.len());
        let last = error.lines().last().unwrap();
        let shown = error.lines().nth(2).unwrap();
        assert!(shown[last.find('^').unwrap()..].starts_with('y'), "{error}");
        let unknown = parsed(&format!("{} = 1", "k".repeat(100_000))).unwrap_err();
        assert!(unknown.to_string().len() < 2000);
    }
}
