//! Text from outside, made safe to show; sizes, ages and widths.
//!
//! Container logs, file names, error messages of servers may hold escape sequences that move the
//! cursor, retitle the window or fill the clipboard. None of them reaches the terminal: text is
//! cleaned where it comes in ([`clean_line`], [`SafeText`]), and once more where it is printed
//! (`out`).

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::ops::Deref;

use jiff::Timestamp;
use matou_i18n::{Text, both, tr};
use serde::{Deserialize, Deserializer, Serialize};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Combining marks that a character may carry: more would draw over the lines around.
const MAX_MARKS: u8 = 6;

/// One line of text without escape sequences, control characters and characters that reorder or
/// hide other text; a newline or tab becomes a space, a carriage return is shown.
pub fn clean_line(text: &str) -> Cow<'_, str> {
    if is_plain_text(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(strip_escape_sequences(text))
}

/// Cleans every line as [`clean_line`] does, and keeps the newlines.
pub fn clean_lines(text: &str) -> String {
    text.lines().map(clean_line).collect::<Vec<_>>().join("\n")
}

/// Returns one line of bytes as text, cleaned as [`clean_line`] does; invalid UTF-8 is replaced.
pub fn clean_bytes(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match is_plain_text(&text) {
        true => text.into_owned(),
        false => strip_escape_sequences(&text),
    }
}

/// Returns one line in which everything is written out that a terminal would obey or hide: `\x1b`,
/// `\r`, `\n`, `\u{202e}`; a tab becomes a space. Unlike [`clean_line`] it leaves nothing out.
pub fn escape_line(text: &str) -> Cow<'_, str> {
    if is_plain_text(text) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut seen = CharFilter::default();
    for c in text.chars() {
        match c {
            '\t' => {
                shown.push(' ');
                seen = CharFilter::default();
            }
            c if seen.keeps_char(c) => shown.push(c),
            c => {
                push_escaped(c, &mut shown);
                seen = CharFilter::default();
            }
        }
    }
    Cow::Owned(shown)
}

/// Escapes every line as [`escape_line`] does. Newlines, with or without a carriage return before
/// them, and tabs stay.
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    if is_plain_text(text) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for whole in text.split_inclusive('\n') {
        let (line, end) = match whole.strip_suffix('\n') {
            Some(line) => (line.strip_suffix('\r').unwrap_or(line), "\n"),
            None => (whole, ""),
        };
        for (i, part) in line.split('\t').enumerate() {
            if i > 0 {
                shown.push('\t');
            }
            shown += &escape_line(part);
        }
        shown += end;
    }
    Cow::Owned(shown)
}

/// Writes as `\uXXXX` what [`escape_line`] escapes: a reader of the JSON gets the same text, and a
/// terminal obeys nothing in it.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    // Its own syntax is ASCII: anything else is inside a string.
    if json.bytes().all(|b| b.is_ascii() && b != 0x7f) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 16);
    let mut seen = CharFilter::default();
    for c in json.chars() {
        if seen.keeps_char(c) || (c.is_ascii() && c != '\u{7f}') {
            safe.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String can't fail.
            let _ = write!(safe, "\\u{unit:04x}");
        }
        seen = CharFilter::default();
    }
    Cow::Owned(safe)
}

/// Returns one line of bytes with its colours: of all escape sequences only SGR (`ESC [ … m`)
/// stays, except the one that conceals text; no control character stays. Text after a carriage
/// return replaces what stood before it, as in a line of progress.
pub fn keep_sgr(bytes: &[u8]) -> String {
    filter_log_line(bytes, true)
}

/// Cleans a line of a log as [`keep_sgr`] does, and drops its colours too.
pub fn clean_log_line(bytes: &[u8]) -> String {
    filter_log_line(bytes, false)
}

fn filter_log_line(bytes: &[u8], colours: bool) -> String {
    // Most lines of most logs have nothing to be taken out.
    if bytes.is_ascii() && !bytes.iter().any(u8::is_ascii_control) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut kept = LogLineFilter::new(bytes.len(), colours);
    vte::Parser::new().advance(&mut kept, bytes);
    kept.text
}

/// A line from outside with the colours that [`keep_sgr`] keeps. They end with the line.
pub struct ColouredLine(String);

impl ColouredLine {
    /// Takes one line of bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(keep_sgr(bytes) + "\x1b[0m")
    }
}

impl fmt::Display for ColouredLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with something that a person wrote: a name, a size, a rule, a file's line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidInput(String);

impl InvalidInput {
    /// Takes the sentence that says what to write instead.
    pub fn new(sentence: impl fmt::Display) -> Self {
        Self(sentence.to_string())
    }
}

impl From<String> for InvalidInput {
    fn from(sentence: String) -> Self {
        Self(sentence)
    }
}

impl From<&str> for InvalidInput {
    fn from(sentence: &str) -> Self {
        Self(sentence.to_owned())
    }
}

/// Text that is safe to show: whatever it was made from was escaped, as by [`escape_lines`].
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SafeText(String);

impl SafeText {
    /// Takes one line; newlines in it are escaped.
    pub fn from_line(text: impl AsRef<str>) -> Self {
        Self(escape_line(text.as_ref()).into_owned())
    }

    /// Takes what a value says, as an error, of one line or several.
    pub fn of(said: impl fmt::Display) -> Self {
        Self::from_lines(said.to_string())
    }

    /// Takes a text of one line or several.
    pub fn from_lines(text: impl AsRef<str>) -> Self {
        Self(escape_lines(text.as_ref()).into_owned())
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SafeText {
    fn from(text: &str) -> Self {
        Self::from_lines(text)
    }
}

impl From<String> for SafeText {
    fn from(text: String) -> Self {
        Self::from_lines(text)
    }
}

impl From<SafeText> for String {
    fn from(shown: SafeText) -> Self {
        shown.0
    }
}

impl Deref for SafeText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl PartialEq<str> for SafeText {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for SafeText {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl<'de> Deserialize<'de> for SafeText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::from)
    }
}

/// Whether there is nothing in it that a terminal obeys or hides.
fn is_plain_text(text: &str) -> bool {
    let mut seen = CharFilter::default();
    text.chars().all(|c| seen.keeps_char(c))
}

/// Whether a character reorders text, or shows nothing and so hides differences
/// (Default_Ignorable_Code_Point of Unicode, and line separators). About joiners and the variation
/// selectors of emoji [`CharFilter`] decides.
fn is_unsafe_char(c: char) -> bool {
    matches!(c,
        '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}'
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0d}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Decides about the next character of a text by those before it.
#[derive(Default)]
struct CharFilter {
    /// The last character that was no mark.
    last: char,
    marks: u8,
}

impl CharFilter {
    /// Whether the next character is shown as it is. Joiners of emoji and of Indic scripts are, and
    /// the selectors of emoji, where there is something to join or select, and some marks a character.
    fn keeps_char(&mut self, c: char) -> bool {
        // What is left out is as if it had not been there.
        if c.is_ascii_control() {
            return false;
        }
        if c.is_ascii() {
            (self.last, self.marks) = (c, 0);
            return true;
        }
        match c {
            c if is_unsafe_char(c) => false,
            '\u{200c}' | '\u{200d}' => {
                let joins = !self.last.is_ascii() && !matches!(self.last, '\u{200c}' | '\u{200d}');
                if joins {
                    self.last = c;
                }
                joins
            }
            '\u{fe0e}' | '\u{fe0f}'
                if self.last.is_ascii() && !matches!(self.last, '0'..='9' | '#' | '*') =>
            {
                false
            }
            c if UnicodeWidthChar::width(c) == Some(0) => {
                self.marks = self.marks.saturating_add(1);
                self.marks <= MAX_MARKS
            }
            c => {
                (self.last, self.marks) = (c, 0);
                true
            }
        }
    }
}

/// Writes a character as Rust would.
fn push_escaped(c: char, into: &mut String) {
    // Writing to a String can't fail.
    let _ = match c {
        '\n' | '\r' => write!(into, "{}", c.escape_default()),
        '\0'..='\u{ff}' => write!(into, "\\x{:02x}", u32::from(c)),
        c => write!(into, "{}", c.escape_unicode()),
    };
}

/// Returns one line without what a terminal obeys or hides. A sequence that does not end must not
/// swallow what follows: only its ESC is taken out, and is shown.
fn strip_escape_sequences(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut seen = CharFilter::default();
    let mut rest = text.trim_end_matches('\r').chars();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => match escape_sequence_length(rest.as_str()) {
                Some(length) => rest = rest.as_str()[length..].chars(),
                None => {
                    push_escaped(c, &mut kept);
                    seen = CharFilter::default();
                }
            },
            '\r' if rest.as_str().starts_with('\n') => {}
            '\r' => {
                push_escaped(c, &mut kept);
                seen = CharFilter::default();
            }
            '\t' | '\n' | '\x0b' | '\x0c' => {
                kept.push(' ');
                seen = CharFilter::default();
            }
            c if seen.keeps_char(c) => kept.push(c),
            _ => {}
        }
    }
    kept
}

/// Length of an escape sequence behind its ESC (ECMA-48, 5.3 to 5.6); `None` when it does not end.
fn escape_sequence_length(after: &str) -> Option<usize> {
    let bytes = after.as_bytes();
    let end = |from: usize, last: std::ops::RangeInclusive<u8>| {
        let skipped = bytes.get(from..)?.iter();
        let at = from + skipped.take_while(|b| (0x20..=0x2f).contains(*b)).count();
        last.contains(bytes.get(at)?).then_some(at + 1)
    };
    match bytes.first()? {
        b'[' => {
            let parameters = bytes[1..].iter().take_while(|b| (0x30..=0x3f).contains(*b));
            end(1 + parameters.count(), 0x40..=0x7e)
        }
        b']' | b'P' | b'X' | b'^' | b'_' => {
            // A string of a command; another ESC ends it as well.
            let at = after.find(['\x07', '\x18', '\x1a', '\x1b', '\u{9c}'])?;
            Some(match bytes[at] {
                0x1b if bytes.get(at + 1) == Some(&b'\\') => at + 2,
                0x1b => at,
                0xc2 => at + 2,
                _ => at + 1,
            })
        }
        // An ESC before a space is more likely one that was cut off.
        b' ' => None,
        _ => end(0, 0x30..=0x7e),
    }
}

/// Collects what a terminal would print.
struct LogLineFilter {
    text: String,
    colours: bool,
    seen: CharFilter,
    /// A carriage return came: what is printed next begins the line anew.
    returned: bool,
}

impl LogLineFilter {
    fn new(size: usize, colours: bool) -> Self {
        Self {
            text: String::with_capacity(size),
            colours,
            seen: CharFilter::default(),
            returned: false,
        }
    }
}

impl vte::Perform for LogLineFilter {
    fn print(&mut self, c: char) {
        if !self.seen.keeps_char(c) {
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
            _ => return,
        }
        self.seen = CharFilter::default();
    }

    fn csi_dispatch(&mut self, params: &vte::Params, intermediates: &[u8], _: bool, action: char) {
        if !self.colours || action != 'm' || !intermediates.is_empty() {
            return;
        }
        let mut groups: Vec<&[u16]> = params.iter().collect();
        let mut at = 0;
        while at < groups.len() {
            match (groups[at], groups.get(at + 1)) {
                // A colour takes the numbers behind it.
                ([38 | 48 | 58], Some([5])) => at += 3,
                ([38 | 48 | 58], Some([2])) => at += 5,
                ([8, ..], _) => {
                    groups.remove(at);
                }
                _ => at += 1,
            }
        }
        if groups.is_empty() {
            return;
        }
        self.text.push_str("\x1b[");
        for (i, group) in groups.into_iter().enumerate() {
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
pub fn display_width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The text cut to `columns`, with `ellipsis` at its end when something was cut.
pub fn truncate_to_width<'a>(text: &'a str, columns: usize, ellipsis: &str) -> Cow<'a, str> {
    // Never wider than its bytes: the usual case needs no counting.
    if text.len() <= columns || display_width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let room = columns.saturating_sub(display_width(ellipsis));
    let mut kept = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        used += display_width(grapheme);
        if used > room {
            break;
        }
        kept.push_str(grapheme);
    }
    if display_width(ellipsis) <= columns {
        kept.push_str(ellipsis);
    }
    Cow::Owned(kept)
}

/// The text cut to `columns` with `ellipsis` in its middle: a title's verb and the end of a path, which
/// is the name of the file, are what tells one from another.
pub fn truncate_middle<'a>(text: &'a str, columns: usize, ellipsis: &str) -> Cow<'a, str> {
    if text.len() <= columns || display_width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let room = columns.saturating_sub(display_width(ellipsis));
    let head = truncate_to_width(text, room / 3, "");
    let mut tail: Vec<&str> = Vec::new();
    let mut used = display_width(&head);
    for grapheme in text.graphemes(true).rev() {
        used += display_width(grapheme);
        if used > room {
            break;
        }
        tail.push(grapheme);
    }
    let tail: String = tail.into_iter().rev().collect();
    match display_width(ellipsis) <= columns {
        true => Cow::Owned(format!("{head}{ellipsis}{tail}")),
        false => Cow::Owned(String::new()),
    }
}

/// The text cut or filled with spaces to exactly `columns`.
pub fn fit_to_width(text: &str, columns: usize, ellipsis: &str) -> String {
    let mut text = truncate_to_width(text, columns, ellipsis).into_owned();
    let missing = columns.saturating_sub(display_width(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// The SHA-256 of some bytes, in hexadecimal digits.
pub fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// A number of bytes for people: `512 B`, `1.5 GiB`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [Text; 5] = [
        both!("KiB"),
        both!("MiB"),
        both!("GiB"),
        both!("TiB"),
        both!("PiB"),
    ];
    if bytes < 1024 {
        return tr!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if size < 10.0 {
        format!("{} {}", format_tenths(size), UNITS[unit])
    } else {
        format!("{size:.0} {}", UNITS[unit])
    }
}

/// A number with one decimal: `1.5`, in French `1,5`.
pub fn format_tenths(number: f64) -> String {
    spoken_number(format!("{number:.1}"))
}

/// A number with two decimals: `0.42`, in French `0,42`.
pub fn format_hundredths(number: f64) -> String {
    spoken_number(format!("{number:.2}"))
}

/// A number with the sign that the language spoken has before decimals.
fn spoken_number(text: String) -> String {
    match matou_i18n::is_french() {
        true => text.replace('.', ","),
        false => text,
    }
}

/// Seconds that clocks may differ by.
const MAX_CLOCK_SKEW: i64 = 600;

/// Formats how long ago a time was, coarse, so that it seldom changes: `now`, `1 min`, `3 h`,
/// `2 d`. A time in the future, by more than clocks may differ, is `in 3 h`.
pub fn format_age(now: Timestamp, then: Timestamp) -> String {
    match now.as_second().saturating_sub(then.as_second()) {
        seconds if seconds < -MAX_CLOCK_SKEW => tr!("in {}", format_seconds(-seconds)),
        seconds => format_seconds(seconds),
    }
}

/// Formats an age for a sentence: `just now`, `3 h ago`, `in 3 h`.
pub fn format_ago(now: Timestamp, then: Timestamp) -> String {
    match now.as_second().saturating_sub(then.as_second()) {
        seconds if seconds < -MAX_CLOCK_SKEW => format_age(now, then),
        ..60 => tr!("just now").to_owned(),
        seconds => tr!("{age} ago", age = format_seconds(seconds)),
    }
}

/// Formats how old something is: `3 h old`, `dated 5 d in the future`; `less than an hour old` does
/// not change while one looks at it.
pub fn format_how_old(now: Timestamp, then: Timestamp) -> String {
    match now.as_second().saturating_sub(then.as_second()) {
        seconds if seconds < -MAX_CLOCK_SKEW => {
            tr!("dated {} in the future", format_seconds(-seconds))
        }
        ..3600 => tr!("less than an hour old").to_owned(),
        seconds => tr!("{} old", format_seconds(seconds)),
    }
}

/// A number of things: `1 volume`, `3 volumes`.
pub fn format_plural(n: usize, one: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n => format!("{n} {one}s"),
    }
}

/// Formats a number of seconds as [`format_age`] does.
pub fn format_seconds(seconds: i64) -> String {
    match seconds {
        ..60 => tr!("now").to_owned(),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => tr!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use crate::payloads::{PAYLOADS, is_safe};
    use proptest::prelude::*;

    use super::*;

    const HOSTILE: &[u8] =
        b"\x1b[2J\x1b]0;title\x07a\x1b]52;c;aGk=\x1b\\b\x1bPq\x1b\\c\x1b_x\x1b\\\x1b[31mred\x1b[0m\x9b1A\r\x1b[5n";

    #[test]
    fn what_is_left_out_does_not_let_through_what_comes_after_it() {
        let marks = "\u{301}".repeat(6);
        let many = format!("e{}", format!("{marks}\u{1}").repeat(3));
        assert_eq!(clean_line(&many), format!("e{marks}"));
        assert_eq!(clean_log_line(many.as_bytes()), format!("e{marks}"));
        // Joiners and selectors behind what can't be joined or selected.
        for (text, wanted) in [
            ("é\t\u{200d}x", "é x"),
            ("é\u{1b}\u{200d}x", "é\\x1bx"),
            ("a\u{200d}\u{fe0f}x", "ax"),
        ] {
            assert_eq!(clean_line(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn no_payload_passes_any_way_of_cleaning() {
        for payload in PAYLOADS {
            for text in [&**payload, &format!("before {payload} after")] {
                let lines = escape_lines(text);
                assert!(is_safe(&lines), "{lines:?}");
                for line in [
                    &*clean_line(text),
                    &clean_bytes(text.as_bytes()),
                    &escape_line(text),
                    &SafeText::from_line(text),
                ] {
                    assert!(is_safe(line) && !line.contains(['\n', '\t']), "{line:?}");
                    // What stands around it is neither erased nor swallowed.
                    assert!(line.contains('a') && line.contains('z'), "{line:?}");
                    if text.starts_with("before") {
                        assert!(
                            line.starts_with("before ") && line.ends_with(" after"),
                            "{line:?}"
                        );
                    }
                }
                let json = serde_json::to_string(&[text]).unwrap();
                let safe = escape_json(&json);
                assert!(is_safe(&safe) && !safe.contains(['\n', '\t']), "{safe:?}");
                let read: Vec<String> = serde_json::from_str(&safe).unwrap();
                assert_eq!(read, [text], "the same text is read from it");
                assert!(is_safe(&clean_log_line(text.as_bytes())));
                let coloured = ColouredLine::from_bytes(text.as_bytes()).to_string();
                assert!(!coloured.contains("\x1b[8m"), "{coloured:?}");
            }
        }
    }

    #[test]
    fn what_is_odd_is_shown_and_the_ordinary_stays() {
        assert_eq!(escape_line("a\x1b]52;c;x\x07"), "a\\x1b]52;c;x\\x07");
        assert_eq!(
            escape_line("a\rb\nc\td\u{9b}\u{202e}"),
            "a\\rb\\nc d\\x9b\\u{202e}"
        );
        assert_eq!(escape_lines("a\r\n\tb\rc\n"), "a\n\tb\\rc\n");
        assert_eq!(clean_line("no such file\rdone"), "no such file\\rdone");
        assert_eq!(clean_line("windows\r\nlines\r"), "windows lines");
        assert_eq!(clean_bytes(b"raw C1 \x9b31m"), "raw C1 \u{fffd}31m");
        // Emoji of several people, with a selector, on a key; scripts that need joiners and marks.
        for text in [
            "👩‍👩‍👧 ❤️ 1️⃣",
            "نمی‌خواهم",
            "क्‍ष",
            "Việt Nam",
            "שָׁלוֹם",
            "한국어",
            "naïve \\x1b",
        ] {
            assert_eq!(clean_line(text), text);
            assert_eq!(escape_line(text), text);
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(escape_json(&json), json);
        }
        assert_eq!(
            escape_json("\"\u{7f}\u{e0041}\""),
            "\"\\u007f\\udb40\\udc41\""
        );
        // Concealing is no colour; the eighth of 256 is one.
        assert_eq!(
            keep_sgr(b"\x1b[1;8mx\x1b[38;5;8my"),
            "\x1b[1mx\x1b[38;5;8my"
        );
        assert_eq!(
            keep_sgr(b"\x1b[8mx\x1b[38;2;8;8;8;8my\x1b[m"),
            "x\x1b[38;2;8;8;8my\x1b[0m"
        );
    }

    #[test]
    fn only_text_is_left_of_hostile_bytes() {
        let text = clean_bytes(HOSTILE);
        assert!(text.starts_with("abcred"), "{text:?}");
        assert!(!text.contains('\x1b') && !text.contains("title"));
        assert_eq!(
            keep_sgr(b"\x1b[1;38:5:9mx\x1b[0K\x1b[?25ly"),
            "\x1b[1;38:5:9mxy"
        );
        assert_eq!(clean_line("a\nb\tc\u{202e}d\u{200b}"), "a b cd");
        assert_eq!(clean_line("ordinary é 日本"), "ordinary é 日本");
        assert_eq!(
            clean_bytes("C1 as UTF-8: \u{9b}31m".as_bytes()),
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
        assert_eq!(truncate_to_width("example.org", 8, "…"), "example…");
        assert_eq!(truncate_to_width("日本語", 5, "…"), "日本…");
        assert_eq!(truncate_to_width("日本語", 4, "…"), "日…");
        assert_eq!(truncate_to_width("ab", 2, "…"), "ab");
        assert_eq!(truncate_to_width("abc", 0, "…"), "");
        let title = "restore /var/www/html/wp-content/uploads/2026/cat.jpg";
        let cut = truncate_middle(title, 24, "…");
        assert_eq!(
            (cut.as_ref(), display_width(&cut)),
            ("restore…ads/2026/cat.jpg", 24)
        );
        assert_eq!(truncate_middle("日本語日本語", 8, "…"), "日…本語");
        assert_eq!(truncate_middle("ab", 2, "…"), "ab");
        assert_eq!(truncate_middle("abc", 0, "…"), "");
        assert_eq!(fit_to_width("日本語", 6, "…"), "日本語");
        assert_eq!(fit_to_width("日本語", 4, "~"), "日~ ");
    }

    #[test]
    fn sizes_and_ages_are_short() {
        assert_eq!(human_bytes(1023), "1023 B");
        assert_eq!(human_bytes(1536), "1.5 KiB");
        assert_eq!(human_bytes(1023 * 1024 * 1024), "1.0 GiB");
        assert_eq!(human_bytes(u64::MAX), "16384 PiB");
        let at = |s| Timestamp::from_second(s).unwrap();
        assert_eq!(format_age(at(59), at(0)), "now");
        assert_eq!(format_age(at(0), at(100)), "now");
        // A clock that is wrong is not hidden.
        assert_eq!(format_age(at(0), at(601)), "in 10 min");
        assert_eq!(format_ago(at(0), at(200_000)), "in 2 d");
        assert_eq!(format_ago(at(200_000), at(0)), "2 d ago");
        assert_eq!(format_how_old(at(0), at(600)), "less than an hour old");
        assert_eq!(
            format_how_old(at(0), at(200_000)),
            "dated 2 d in the future"
        );
        assert_eq!(format_how_old(at(90_000), at(0)), "25 h old");
        assert_eq!(format_age(at(3599), at(0)), "59 min");
        assert_eq!(format_age(at(90_000), at(0)), "25 h");
        assert_eq!(format_age(at(200_000), at(0)), "2 d");
    }

    proptest! {
        #[test]
        fn no_control_character_survives(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!clean_bytes(&bytes).chars().any(char::is_control));
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
        fn what_is_shown_is_safe(text in any::<String>()) {
            prop_assert!(!escape_line(&text).chars().any(char::is_control));
            let once = escape_line(&text);
            prop_assert_eq!(escape_line(&once), &once[..]);
            prop_assert!(!escape_lines(&text).contains('\r'));
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(&escape_json(&json)).unwrap(), text);
        }

        #[test]
        fn fitted_text_has_the_width_asked_for(text in "\\PC{0,30}", columns in 0usize..40) {
            let text = clean_line(&text);
            prop_assert_eq!(display_width(&fit_to_width(&text, columns, "…")), columns);
        }
    }
}
