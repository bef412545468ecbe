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
    /// The selected entry of a list and the first visible one.
    Entries { at: usize, top: usize },
    /// The first visible line of a file.
    File { top: usize },
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
}
