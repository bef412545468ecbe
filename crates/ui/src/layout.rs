//! What is where on the screen, as it was drawn: for the mouse, and for keys that move by pages.

use ratatui::layout::Rect;

use super::dashboard::DrawnSection;
use super::pane::Tab;

/// What [`crate::view()`] found out while it drew. [`crate::App::take_layout`] takes it back.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// By [`crate::pane::Pane::index`].
    pub(super) lists: [ListLayout; 5],
    /// Inside the border of the right side; empty where it is not shown.
    pub(super) detail: Rect,
    /// Lines that the detail has, and the first visible one.
    pub(super) detail_lines: usize,
    pub(super) detail_top: usize,
    pub(super) tabs: Vec<(Rect, Tab)>,
    pub(super) log: Option<LogLayout>,
    /// Rows for requests of the access log.
    pub(super) access_height: Option<usize>,
    pub(super) browser: Option<BrowserLayout>,
    /// Sections of the dashboard; empty where it is not shown.
    pub(super) board: Vec<DrawnSection>,
    /// Where alerts are counted.
    pub(super) alerts: Rect,
    pub(super) last_line: LastLine,
    /// One for each overlay, the lowest first.
    pub(super) overlays: Vec<ScrollLayout>,
}

/// Where a pane's list was drawn.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ListLayout {
    /// With its border; empty where it is not shown.
    pub area: Rect,
    /// First visible row.
    pub top: usize,
}

/// What was visible of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLayout {
    /// Rows.
    pub(super) height: usize,
    /// Numbers of the first visible line, and of the first one below.
    pub(super) visible: (u64, u64),
}

/// What was visible of a snapshot's files.
#[derive(Debug, Clone, Copy)]
pub(super) enum BrowserLayout {
    /// A list, as a list to choose from.
    Entries(ChoiceRows),
    /// The first visible line of a file.
    File { top: usize },
}

/// The line of keys, as it is on the screen.
#[derive(Debug, Clone, Default)]
pub(super) struct LastLine {
    pub area: Rect,
    pub text: String,
}

/// Rows of a list to choose from.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChoiceRows {
    pub area: Rect,
    pub count: usize,
    /// The first visible one.
    pub top: usize,
    /// The selected one.
    pub at: usize,
}

/// What was visible of something that scrolls.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ScrollLayout {
    /// All there are.
    pub lines: usize,
    /// Rows for them.
    pub height: usize,
    /// The first visible one; in a list the selected one.
    pub top: usize,
    /// Of a list to choose from.
    pub choices: Option<ChoiceRows>,
}

impl From<ChoiceRows> for ScrollLayout {
    fn from(rows: ChoiceRows) -> Self {
        Self {
            choices: Some(rows),
            ..Self::default()
        }
    }
}
