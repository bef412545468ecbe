//! What servers of others say, made fit to be shown.

use std::fmt;

use matou_base::text::{SafeText, clean_line, truncate_to_width};
use serde::Serialize;

/// Columns that are shown of a reply or a record.
const SHOWN: usize = 500;

/// Returns one line from outside that is safe to show, and cut where it is long.
pub(super) fn clean_reply(text: &str) -> SafeText {
    let line = clean_line(text);
    SafeText::from_line(truncate_to_width(line.trim(), SHOWN, "…"))
}

/// What a mail server answered, or why it did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SmtpReply {
    /// The code of RFC 5321, section 4.2; `None` when there was no reply, and the text says why.
    pub code: Option<u16>,
    /// The reply with its code; without passwords.
    pub text: SafeText,
}

impl SmtpReply {
    /// Whether the server says that it may do it later (RFC 5321, section 4.2.1).
    pub fn is_transient(&self) -> bool {
        self.code.is_some_and(|code| (400..500).contains(&code))
    }
}

impl fmt::Display for SmtpReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_base::payloads::{PAYLOADS, is_safe};
    use matou_base::text::display_width;

    #[test]
    fn what_a_server_says_is_one_short_safe_line() {
        for payload in PAYLOADS {
            let shown = clean_reply(payload);
            assert!(is_safe(shown.as_str()), "{shown:?}");
            assert!(!shown.as_str().contains('\n'), "{shown:?}");
        }
        let long = clean_reply(&"x".repeat(10_000));
        assert_eq!(display_width(long.as_str()), SHOWN);
    }

    #[test]
    fn only_codes_of_400_and_more_are_for_later() {
        let reply = |code| SmtpReply {
            code,
            text: SafeText::default(),
        };
        assert!(reply(Some(450)).is_transient());
        assert!(!reply(Some(550)).is_transient());
        assert!(!reply(None).is_transient());
    }
}
