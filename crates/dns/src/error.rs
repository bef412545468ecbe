//! Why records can't be read or changed.

use matou_base::text::clean_line;
use matou_i18n::tr;

/// Longest part of an answer that is shown, characters.
const MAX_SHOWN: usize = 200;

/// Zones that a sentence names at most.
const MAX_ZONES: usize = 10;

/// Why records can't be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "its sentences say it")]
pub enum DnsError {
    /// No connection, or no answer in time.
    #[error("{}", tr!("{server} can't be reached: {reason}"))]
    Unreachable { server: String, reason: String },
    /// It does not take the key or the token.
    #[error("{}", tr!("{server} does not take {what}: {reason}"))]
    Login {
        server: String,
        what: String,
        reason: String,
    },
    #[error(
        "{}", tr!("{server} has no zone {zone}{}, or does not let this key change it: look at zones of [dns], and at what the key may do",
        describe_known(known)
    ))]
    NoZone {
        server: String,
        zone: String,
        /// Those that it has, where it lists them.
        known: Vec<String>,
    },
    /// The server answered that it does not do it.
    #[error("{}", tr!("{server} refuses: {reason}"))]
    Refused { server: String, reason: String },
    /// Somebody was quicker.
    #[error(
        "{}", tr!("a record of {zone} was changed by somebody else meanwhile, and nothing of this change was made: run it again and look at the new plan"
    ))]
    Changed { zone: String },
    #[error("{}", tr!("{server} gave an answer that matou does not understand: {reason}"))]
    Answer { server: String, reason: String },
}

impl DnsError {
    /// Returns whether the server did not answer at all.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    pub(crate) fn unreachable(server: &str, reason: impl std::fmt::Display) -> Self {
        Self::Unreachable {
            server: server.to_owned(),
            reason: shorten(&reason.to_string()),
        }
    }

    pub(crate) fn answer(server: &str, reason: impl std::fmt::Display) -> Self {
        Self::Answer {
            server: server.to_owned(),
            reason: shorten(&reason.to_string()),
        }
    }

    pub(crate) fn refused(server: &str, reason: impl std::fmt::Display) -> Self {
        Self::Refused {
            server: server.to_owned(),
            reason: shorten(&reason.to_string()),
        }
    }
}

/// Names some of the zones that a server has.
fn describe_known(known: &[String]) -> String {
    match known {
        [] => String::new(),
        known => tr!(
            " (it has {}{})",
            known[..known.len().min(MAX_ZONES)].join(", "),
            if known.len() > MAX_ZONES { ", …" } else { "" }
        ),
    }
}

/// Returns what a server said, as one short line that is safe to show.
pub(crate) fn shorten(text: &str) -> String {
    clean_line(text).chars().take(MAX_SHOWN).collect()
}
