//! What is known of the files in a snapshot, and where one looks.

use matou_i18n::tr;
use std::collections::VecDeque;

use tui_input::Input;

use crate::layout::BrowserLayout;
use crate::msg::{SnapshotAnswer, SnapshotQuery, Ticket};
use matou_base::text::SafeText;
use matou_model::SnapshotEntry;

/// Answers that are kept; the oldest go first.
const MAX_CACHED_ANSWERS: usize = 16;

/// Answers about snapshots, and the query that is under way.
#[derive(Default)]
pub(crate) struct SnapshotQueryCache {
    pub(super) answers: VecDeque<(SnapshotQuery, Result<SnapshotAnswer, SafeText>)>,
    pub(super) asked: Option<(Ticket, SnapshotQuery)>,
}

impl SnapshotQueryCache {
    pub(crate) fn get(&self, look: &SnapshotQuery) -> Option<&Result<SnapshotAnswer, SafeText>> {
        self.answers.iter().find(|(l, _)| l == look).map(|(_, s)| s)
    }

    /// Keeps an answer. Returns false when its query is not the one under way.
    pub(crate) fn take_answer(
        &mut self,
        ticket: Ticket,
        seen: Result<SnapshotAnswer, SafeText>,
    ) -> bool {
        match self.asked.take() {
            Some((asked, look)) if asked == ticket => {
                if self.answers.len() == MAX_CACHED_ANSWERS {
                    self.answers.pop_front();
                }
                self.answers.push_back((look, seen));
                true
            }
            other => {
                self.asked = other;
                false
            }
        }
    }

    /// Drops failures, so that their queries are asked again.
    pub(crate) fn forget_failures(&mut self) {
        self.answers.retain(|(_, s)| s.is_ok());
    }
}

/// The place in a snapshot that is shown.
pub(crate) struct SnapshotBrowser {
    /// Full id of the snapshot.
    pub(super) snapshot: String,
    /// Opened folders, the outermost first; empty while the snapshot's own folders are listed.
    pub(super) folders: Vec<OpenedFolder>,
    /// Index of the selected row in the list of the snapshot's own folders.
    pub(super) at: usize,
    pub(super) top: usize,
    /// The search that is typed, or whose hits are shown.
    pub(super) search: Option<SnapshotSearch>,
    /// The file whose beginning is shown, and its first visible line.
    pub(super) file: Option<(SnapshotEntry, usize)>,
}

pub(super) struct OpenedFolder {
    pub(super) path: String,
    pub(super) at: usize,
    pub(super) top: usize,
}

pub(super) struct SnapshotSearch {
    pub(super) input: Input,
    pub(super) typing: bool,
    pub(super) at: usize,
    pub(super) top: usize,
}

impl SnapshotBrowser {
    pub(super) fn new(snapshot: &str) -> Self {
        Self {
            snapshot: snapshot.to_owned(),
            folders: Vec::new(),
            at: 0,
            top: 0,
            search: None,
            file: None,
        }
    }

    /// Whether a search is typed.
    pub(crate) fn is_typing(&self) -> bool {
        self.search.as_ref().is_some_and(|search| search.typing)
    }

    /// Returns the query for what is shown; `None` when nothing has to be read.
    pub(super) fn needed_query(&self) -> Option<SnapshotQuery> {
        let snapshot = self.snapshot.clone();
        if let Some((entry, _)) = &self.file {
            let path = entry.path.clone();
            return Some(SnapshotQuery::File { snapshot, path });
        }
        match (&self.search, self.folders.last()) {
            (Some(s), _) if s.typing || s.input.value().is_empty() => None,
            (Some(s), _) => Some(SnapshotQuery::Search {
                snapshot,
                text: s.input.value().to_owned(),
            }),
            (None, Some(folder)) => Some(SnapshotQuery::Folder {
                snapshot,
                path: folder.path.clone(),
            }),
            (None, None) => None,
        }
    }

    /// Returns the selected and the first visible line of the list that is shown.
    pub(super) fn list_position_mut(&mut self) -> (&mut usize, &mut usize) {
        match (&mut self.search, self.folders.last_mut()) {
            (Some(s), _) => (&mut s.at, &mut s.top),
            (None, Some(f)) => (&mut f.at, &mut f.top),
            (None, None) => (&mut self.at, &mut self.top),
        }
    }

    /// The same, to be read.
    pub(super) fn list_position(&self) -> (usize, usize) {
        match (&self.search, self.folders.last()) {
            (Some(s), _) => (s.at, s.top),
            (None, Some(f)) => (f.at, f.top),
            (None, None) => (self.at, self.top),
        }
    }

    /// Takes what was visible of it.
    pub(crate) fn take_layout(&mut self, drawn: BrowserLayout) {
        match (drawn, &mut self.file) {
            (BrowserLayout::File { top }, Some((_, shown))) => *shown = top,
            (BrowserLayout::Entries(rows), None) => {
                let (selected, first) = self.list_position_mut();
                (*selected, *first) = (rows.at, rows.top);
            }
            _ => {}
        }
    }

    pub(super) fn title(&self) -> String {
        if let Some((entry, _)) = &self.file {
            return entry.path.clone();
        }
        match (&self.search, self.folders.last()) {
            (Some(s), _) => tr!("search: {}", s.input.value()),
            (None, Some(f)) => f.path.clone(),
            (None, None) => tr!("folders of this snapshot").into(),
        }
    }
}
