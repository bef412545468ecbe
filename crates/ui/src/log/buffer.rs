//! Lines of a log within a bound of memory: when it is full, the oldest go and are counted.

use matou_i18n::tr;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use regex::Regex;

use crate::follow::NumberedLines;
use matou_base::text;
use matou_model::LogLine;

/// Longest text kept of a line, bytes.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// What a line takes beside its text.
const ENTRY_OVERHEAD: usize = std::mem::size_of::<LogEntry>();

/// A line that is safe to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    pub at: Option<Timestamp>,
    pub from: Arc<str>,
    /// May hold colours (SGR), no other escape sequence and no control character.
    pub text: Box<str>,
    pub stderr: bool,
}

impl LogEntry {
    /// The text without colours.
    pub fn plain_text(&self) -> Cow<'_, str> {
        text::clean_line(&self.text)
    }
}

/// A log's lines, each with a number that stays when older lines are dropped.
pub struct LogBuffer {
    entries: VecDeque<LogEntry>,
    /// Number of the first line that is kept.
    first: u64,
    bytes: usize,
    limit: usize,
    pattern: Option<Regex>,
    /// Numbers of the lines that match, ascending.
    hits: VecDeque<u64>,
}

impl LogBuffer {
    /// Keeps at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            first: 0,
            bytes: 0,
            limit,
            pattern: None,
            hits: VecDeque::new(),
        }
    }

    /// Adds a line as it came.
    pub fn push(&mut self, line: LogLine) {
        let mut text = text::keep_sgr(&line.bytes);
        if text.len() > MAX_LINE_BYTES {
            let cut = text.floor_char_boundary(MAX_LINE_BYTES);
            let rest = text.len() - cut;
            text.truncate(cut);
            text.push_str("\x1b[0m");
            text.push_str(&tr!(" [{rest} more bytes]"));
        }
        let entry = LogEntry {
            at: line.at,
            from: line.from,
            text: text.into_boxed_str(),
            stderr: line.stderr,
        };
        self.bytes += entry.text.len() + ENTRY_OVERHEAD;
        if self
            .pattern
            .as_ref()
            .is_some_and(|p| p.is_match(&entry.plain_text()))
        {
            self.hits.push_back(self.next_number());
        }
        self.entries.push_back(entry);
        while self.bytes > self.limit && self.entries.len() > 1 {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(old) = self.entries.pop_front() {
            self.bytes -= old.text.len() + ENTRY_OVERHEAD;
            if self.hits.front() == Some(&self.first) {
                self.hits.pop_front();
            }
            self.first += 1;
        }
    }

    /// Returns the number of the oldest line that is kept, which is how many were dropped.
    pub fn first_number(&self) -> u64 {
        self.first
    }

    /// Number of the next line to come.
    pub fn next_number(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Returns the number of lines that are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether no line is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The line of that number, when it is still kept.
    pub fn get(&self, number: u64) -> Option<&LogEntry> {
        let at = number.checked_sub(self.first)?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    /// Searches for `text` in the lines that are kept and in those to come. Case counts only when
    /// `text` has a capital. An empty text ends the search.
    pub fn search(&mut self, text: &str) {
        self.hits.clear();
        self.pattern = if text.is_empty() {
            None
        } else {
            let any_case = !text.chars().any(char::is_uppercase);
            // An escaped text is always a valid pattern; a huge one is refused and finds nothing.
            regex::RegexBuilder::new(&regex::escape(text))
                .case_insensitive(any_case)
                .build()
                .ok()
        };
        if let Some(pattern) = &self.pattern {
            let numbered = (self.first..).zip(&self.entries);
            self.hits = numbered
                .filter(|(_, e)| pattern.is_match(&e.plain_text()))
                .map(|(n, _)| n)
                .collect();
        }
    }

    /// Returns what is searched for; `None` while nothing is.
    pub fn pattern(&self) -> Option<&Regex> {
        self.pattern.as_ref()
    }

    /// Numbers of the lines that match the search.
    pub fn hits(&self) -> &VecDeque<u64> {
        &self.hits
    }
}

impl NumberedLines for LogBuffer {
    fn count(&self) -> usize {
        self.entries.len()
    }

    fn number_at(&self, place: usize) -> u64 {
        self.first + place as u64
    }

    fn place_of(&self, number: u64) -> usize {
        let place = number.saturating_sub(self.first);
        usize::try_from(place).map_or(self.entries.len(), |p| p.min(self.entries.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> LogLine {
        LogLine {
            at: None,
            from: "web.1@n1".into(),
            bytes: text.as_bytes().to_vec(),
            stderr: false,
        }
    }

    #[test]
    fn memory_is_bounded_and_numbers_stay() {
        let mut buffer = LogBuffer::new(64 * 1024);
        buffer.search("7");
        for i in 0..10_000 {
            buffer.push(line(&format!("line {i}")));
        }
        assert!(buffer.bytes <= 64 * 1024);
        assert_eq!(buffer.next_number(), 10_000);
        assert!(buffer.first_number() > 0);
        let first = buffer.first_number();
        assert_eq!(&*buffer.get(first).unwrap().text, format!("line {first}"));
        assert_eq!(buffer.get(first - 1), None);
        let expected = (first..10_000)
            .filter(|n| n.to_string().contains('7'))
            .count();
        assert_eq!(buffer.hits().len(), expected);
    }

    #[test]
    fn a_line_of_ten_megabytes_is_cut() {
        let mut buffer = LogBuffer::new(1 << 20);
        buffer.push(line(&"é".repeat(5 << 20)));
        assert!(buffer.get(0).unwrap().text.len() < MAX_LINE_BYTES + 64);
        assert!(buffer.get(0).unwrap().text.ends_with("more bytes]"));
    }

    #[test]
    fn a_search_finds_text_across_colours_and_any_case() {
        let mut buffer = LogBuffer::new(1 << 20);
        buffer.push(line("an \x1b[31mEr\x1b[0mror"));
        buffer.push(line("all is (well)"));
        buffer.search("error");
        assert_eq!(buffer.hits(), &[0]);
        buffer.search("(well)");
        assert_eq!(buffer.hits(), &[1]);
        buffer.search("Well");
        assert!(buffer.hits().is_empty());
    }
}
