//! A row of a list, and the filter of a list.

use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

/// What a row stands for, as indices into the lists of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RowKind {
    Node(usize),
    App {
        services: Vec<usize>,
    },
    Service(usize),
    Task {
        service: usize,
        task: usize,
    },
    Volume {
        node: usize,
        volume: usize,
    },
    Certificate(usize),
    Repository(usize),
    /// The snapshots of an application: the index of the newest, and how many.
    SnapshotGroup {
        first: usize,
        count: usize,
    },
    Snapshot(usize),
}

/// A row of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PaneRow {
    /// Identifies the row; stays the same when the list is refreshed.
    pub key: String,
    /// The name that is copied, and that jobs get.
    pub name: String,
    pub kind: RowKind,
    pub depth: u16,
    /// Whether its children are shown; `None` when it can have none.
    pub open: Option<bool>,
}

/// The filter of a list.
pub(crate) struct RowFilter {
    pattern: Option<Pattern>,
    matcher: Matcher,
    buffer: Vec<char>,
}

impl RowFilter {
    /// What contains each word as it was typed.
    pub(crate) fn by_words(text: &str) -> Self {
        let (case, accents) = (CaseMatching::Smart, Normalization::Smart);
        Self::of(text, |t| {
            Pattern::new(t, case, accents, AtomKind::Substring)
        })
    }

    /// What has the letters of each word in their order: where [`RowFilter::by_words`] finds nothing.
    pub(crate) fn by_letters(text: &str) -> Self {
        Self::of(text, |t| {
            Pattern::parse(t, CaseMatching::Smart, Normalization::Smart)
        })
    }

    fn of(text: &str, pattern: impl FnOnce(&str) -> Pattern) -> Self {
        Self {
            pattern: (!text.is_empty()).then(|| pattern(text)),
            matcher: Matcher::new(Config::DEFAULT),
            buffer: Vec::new(),
        }
    }

    /// How well the text matches; `None`: not at all.
    pub(crate) fn score(&mut self, text: &str) -> Option<u32> {
        match &self.pattern {
            None => Some(0),
            Some(pattern) => {
                pattern.score(Utf32Str::new(text, &mut self.buffer), &mut self.matcher)
            }
        }
    }

    pub(super) fn matches(&mut self, text: &str) -> bool {
        self.score(text).is_some()
    }
}
