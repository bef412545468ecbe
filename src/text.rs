//! Text from outside, made safe to show; sizes, ages and widths.
//!
//! Container logs, file names, error messages of servers may hold escape sequences that move the
//! cursor, retitle the window or fill the clipboard. Nothing of that reaches the terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// One line of text without escape sequences, control characters and characters that reorder or
/// hide other text; a newline or tab becomes a space.
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| c >= ' ' && !is_unsafe(c)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(plain(text.as_bytes()))
}

/// As [`clean`], but newlines stay.
pub fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n")
}

/// One line of bytes as text, made safe as by [`clean`]; invalid UTF-8 is replaced.
pub fn plain(bytes: &[u8]) -> String {
    let mut kept = Keeper::new(bytes.len(), false);
    vte::Parser::new().advance(&mut kept, bytes);
    kept.text
}

/// One line of bytes with its colours: of all escape sequences only SGR (`ESC [ … m`) stays, of
/// control characters none. Text after a carriage return replaces what stood before it.
pub fn keep_sgr(bytes: &[u8]) -> String {
    // Most lines of most logs have nothing to be taken out.
    if bytes.is_ascii() && !bytes.iter().any(u8::is_ascii_control) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut kept = Keeper::new(bytes.len(), true);
    vte::Parser::new().advance(&mut kept, bytes);
    kept.text
}

/// Controls that a terminal obeys, marks that reorder text, and characters without width that hide
/// differences. Joiners of emoji and of Indic scripts stay.
fn is_unsafe(c: char) -> bool {
    matches!(c,
        '\u{7f}'..='\u{9f}'
        | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// Collects what a terminal would print.
struct Keeper {
    text: String,
    colours: bool,
    /// A carriage return came: what is printed next begins the line anew.
    returned: bool,
}

impl Keeper {
    fn new(size: usize, colours: bool) -> Self {
        Self {
            text: String::with_capacity(size),
            colours,
            returned: false,
        }
    }
}

impl vte::Perform for Keeper {
    fn print(&mut self, c: char) {
        if is_unsafe(c) {
            return;
        }
        if std::mem::take(&mut self.returned) {
            self.text.clear();
        }
        self.text.push(c);
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\t' if self.colours => self.text.push_str("    "),
            b'\t' | b'\n' | 0x0b | 0x0c => self.text.push(' '),
            b'\r' => self.returned = true,
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &vte::Params, intermediates: &[u8], _: bool, action: char) {
        if !self.colours || action != 'm' || !intermediates.is_empty() {
            return;
        }
        self.text.push_str("\x1b[");
        for (i, group) in params.iter().enumerate() {
            if i > 0 {
                self.text.push(';');
            }
            for (j, number) in group.iter().enumerate() {
                let colon = if j > 0 { ":" } else { "" };
                // Writing to a String can't fail.
                let _ = write!(self.text, "{colon}{number}");
            }
        }
        self.text.push('m');
    }
}

/// Columns that the text takes on the screen.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The text cut to `columns`, with `ellipsis` at its end when something was cut.
pub fn truncate<'a>(text: &'a str, columns: usize, ellipsis: &str) -> Cow<'a, str> {
    // Never wider than its bytes: the usual case needs no counting.
    if text.len() <= columns || width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let room = columns.saturating_sub(width(ellipsis));
    let mut kept = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        used += width(grapheme);
        if used > room {
            break;
        }
        kept.push_str(grapheme);
    }
    if width(ellipsis) <= columns {
        kept.push_str(ellipsis);
    }
    Cow::Owned(kept)
}

/// The text cut or filled with spaces to exactly `columns`.
pub fn fit(text: &str, columns: usize, ellipsis: &str) -> String {
    let mut text = truncate(text, columns, ellipsis).into_owned();
    let missing = columns.saturating_sub(width(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// The SHA-256 of some bytes, in hexadecimal digits.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// A number of bytes for people: `512 B`, `1.5 GiB`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if size < 10.0 {
        format!("{size:.1} {}", UNITS[unit])
    } else {
        format!("{size:.0} {}", UNITS[unit])
    }
}

/// Seconds that clocks may differ by.
const SKEW: i64 = 600;

/// How long ago, coarse, so that it seldom changes: `now`, `1 min`, `3 h`, `2 d`; of a time that is to
/// come, by more than clocks differ, `in 3 h`.
pub fn age(now: Timestamp, then: Timestamp) -> String {
    match now.as_second().saturating_sub(then.as_second()) {
        seconds if seconds < -SKEW => format!("in {}", coarse(-seconds)),
        seconds => coarse(seconds),
    }
}

/// The same for a sentence: `just now`, `3 h ago`, `in 3 h`.
pub fn ago(now: Timestamp, then: Timestamp) -> String {
    match age(now, then).as_str() {
        "now" => "just now".into(),
        ahead if ahead.starts_with("in ") => ahead.to_owned(),
        age => format!("{age} ago"),
    }
}

/// The same of what has an age: `3 h old`, `dated 5 d in the future`; `less than an hour old` does not
/// change while it is looked at.
pub fn old(now: Timestamp, then: Timestamp) -> String {
    match now.as_second().saturating_sub(then.as_second()) {
        seconds if seconds < -SKEW => format!("dated {} in the future", coarse(-seconds)),
        ..3600 => "less than an hour old".to_owned(),
        seconds => format!("{} old", coarse(seconds)),
    }
}

/// A number of things: `1 volume`, `3 volumes`.
pub fn plural(n: usize, one: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n => format!("{n} {one}s"),
    }
}

/// A number of seconds as [`age`] shows it.
pub fn coarse(seconds: i64) -> String {
    match seconds {
        ..60 => "now".into(),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOSTILE: &[u8] =
        b"\x1b[2J\x1b]0;title\x07a\x1b]52;c;aGk=\x1b\\b\x1bPq\x1b\\c\x1b_x\x1b\\\x1b[31mred\x1b[0m\x9b1A\r\x1b[5n";

    #[test]
    fn only_text_is_left_of_hostile_bytes() {
        let text = plain(HOSTILE);
        assert!(text.starts_with("abcred"), "{text:?}");
        assert!(!text.contains('\x1b') && !text.contains("title"));
        assert_eq!(
            keep_sgr(b"\x1b[1;38:5:9mx\x1b[0K\x1b[?25ly"),
            "\x1b[1;38:5:9mxy"
        );
        assert_eq!(clean("a\nb\tc\u{202e}d\u{200b}"), "a b cd");
        assert_eq!(clean("ordinary é 日本"), "ordinary é 日本");
        assert_eq!(
            plain("C1 as UTF-8: \u{9b}31m".as_bytes()),
            "C1 as UTF-8: 31m"
        );
    }

    #[test]
    fn a_progress_line_shows_its_last_state() {
        assert_eq!(keep_sgr(b" 10%\r 50%\r100%"), "100%");
        assert_eq!(keep_sgr(b"windows line\r"), "windows line");
    }

    #[test]
    fn text_is_cut_by_columns_and_never_inside_a_character() {
        assert_eq!(truncate("example.org", 8, "…"), "example…");
        assert_eq!(truncate("日本語", 5, "…"), "日本…");
        assert_eq!(truncate("日本語", 4, "…"), "日…");
        assert_eq!(truncate("ab", 2, "…"), "ab");
        assert_eq!(truncate("abc", 0, "…"), "");
        assert_eq!(fit("日本語", 6, "…"), "日本語");
        assert_eq!(fit("日本語", 4, "~"), "日~ ");
    }

    #[test]
    fn sizes_and_ages_are_short() {
        assert_eq!(human_bytes(1023), "1023 B");
        assert_eq!(human_bytes(1536), "1.5 KiB");
        assert_eq!(human_bytes(1023 * 1024 * 1024), "1.0 GiB");
        assert_eq!(human_bytes(u64::MAX), "16384 PiB");
        let at = |s| Timestamp::from_second(s).unwrap();
        assert_eq!(age(at(59), at(0)), "now");
        assert_eq!(age(at(0), at(100)), "now");
        // A clock that is wrong is not hidden.
        assert_eq!(age(at(0), at(601)), "in 10 min");
        assert_eq!(ago(at(0), at(200_000)), "in 2 d");
        assert_eq!(ago(at(200_000), at(0)), "2 d ago");
        assert_eq!(old(at(0), at(600)), "less than an hour old");
        assert_eq!(old(at(0), at(200_000)), "dated 2 d in the future");
        assert_eq!(old(at(90_000), at(0)), "25 h old");
        assert_eq!(age(at(3599), at(0)), "59 min");
        assert_eq!(age(at(90_000), at(0)), "25 h");
        assert_eq!(age(at(200_000), at(0)), "2 d");
    }

    proptest! {
        #[test]
        fn no_control_character_survives(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!plain(&bytes).chars().any(char::is_control));
            let kept = keep_sgr(&bytes);
            // Without the colour sequences nothing is left that a terminal obeys.
            let mut rest = kept.as_str();
            while let Some(at) = rest.find('\x1b') {
                prop_assert!(!rest[..at].chars().any(char::is_control));
                let sequence = &rest[at..];
                let end = sequence.find('m');
                prop_assert!(sequence.starts_with("\x1b[") && end.is_some());
                let end = end.unwrap();
                prop_assert!(sequence[2..end].chars().all(|c| c.is_ascii_digit() || ";:".contains(c)));
                rest = &sequence[end + 1..];
            }
            prop_assert!(!rest.chars().any(char::is_control));
        }

        #[test]
        fn fitted_text_has_the_width_asked_for(text in "\\PC{0,30}", columns in 0usize..40) {
            let text = clean(&text);
            prop_assert_eq!(width(&fit(&text, columns, "…")), columns);
        }
    }
}
