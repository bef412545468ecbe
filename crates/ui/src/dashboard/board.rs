//! What is on the dashboard, as plain data.

use matou_i18n::{Text, both, tr};
use std::collections::VecDeque;

use jiff::Timestamp;
use ratatui::layout::Rect;

use crate::pane::{Focus, Pane};
use crate::theme::Health;
use matou_monitor::AlertTarget;

/// Ended alerts that are remembered.
const KEPT_HAPPENINGS: usize = 50;

/// What stands where a figure is not known yet.
pub(crate) const NO_FIGURES: Text = both!("no figures yet");

/// A part of the dashboard, in the order in which the selection goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Problems,
    Nodes,
    Apps,
    Nights,
    Certificates,
    Lately,
}

impl Section {
    pub(crate) const ALL: [Self; 6] = [
        Self::Problems,
        Self::Nodes,
        Self::Apps,
        Self::Nights,
        Self::Certificates,
        Self::Lately,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Problems => tr!("Problems"),
            Self::Nodes => tr!("Nodes"),
            Self::Apps => tr!("Applications"),
            Self::Nights => tr!("Nights"),
            Self::Certificates => tr!("Certificates"),
            Self::Lately => tr!("Lately"),
        }
    }
}

/// Where Enter on a row leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Nowhere: the row says all there is.
    Nothing,
    /// The row of a pane.
    Row(AlertTarget),
    /// The cause of an alert, by its key.
    Alert(String),
    /// The list of jobs.
    Jobs,
}

/// What stands in a column of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum CellContent {
    Text(String),
    /// Percent, an hour each; drawn as wide as there is room.
    Sparkline(Vec<Option<f32>>),
    /// A mark a day; `None` where nothing is known. Of too many the newest are drawn.
    Marks(Vec<Option<Health>>),
}

/// A column of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub content: CellContent,
    /// 0: all the room that is left.
    pub columns: usize,
    /// `None`: as plain text.
    pub health: Option<Health>,
}

impl Cell {
    /// A text of a fixed width; left out whole where it has no room.
    pub(crate) fn text(text: impl Into<String>, columns: usize) -> Self {
        Self {
            content: CellContent::Text(text.into()),
            columns,
            health: None,
        }
    }

    /// A text that is cut where there is no room for all of it.
    pub(crate) fn rest(text: impl Into<String>) -> Self {
        Self::text(text, 0)
    }

    pub(crate) fn sparkline(values: Vec<Option<f32>>) -> Self {
        Self {
            content: CellContent::Sparkline(values),
            columns: 0,
            health: None,
        }
    }

    pub(crate) fn with_health(mut self, health: Health) -> Self {
        self.health = Some(health);
        self
    }
}

/// A line of a section.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BoardRow {
    /// Identifies it in its section.
    pub key: String,
    pub health: Health,
    pub name: String,
    /// The most important first: the last ones are left out where there is no room.
    pub cells: Vec<Cell>,
    pub goal: Goal,
}

/// How many of the rows are well, for a title: `2 of 3 well`.
pub(crate) fn well_summary(rows: &[BoardRow]) -> String {
    let well = rows.iter().filter(|r| !r.health.is_problem()).count();
    match rows.len() {
        0 => String::new(),
        all if all == well => tr!("all well").into(),
        all => tr!("{well} of {all} well"),
    }
}

/// The rows of a section.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SectionRows {
    pub rows: Vec<BoardRow>,
    /// What stands there when there are no rows.
    pub note: String,
    /// What is said of it where only its title has room.
    pub summary: String,
    /// First visible row.
    pub top: usize,
}

/// What happened and is over.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Happening {
    pub at: Timestamp,
    pub text: String,
    pub target: AlertTarget,
}

/// Where the dashboard led to, for the way back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Arrival {
    pub pane: Pane,
    /// Of the row.
    pub key: Option<String>,
    pub focus: Focus,
}

/// Where a section was drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DrawnSection {
    pub section: Section,
    /// With its border.
    pub area: Rect,
    /// Where its rows are; empty where only its title has room.
    pub inner: Rect,
    /// First visible row.
    pub top: usize,
}

/// Whether the dashboard is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Visibility {
    #[default]
    Closed,
    Open,
    /// It was left for a pane: Esc leads back to it.
    Left,
}

/// The dashboard's state.
#[derive(Debug, Default)]
pub(crate) struct Board {
    pub visibility: Visibility,
    /// The console began with it, and it was not closed since: who quits on it quits the console.
    pub home: bool,
    /// The operator has selected a row, which stays selected; before, the first one is, whatever it is.
    pub chosen: bool,
    pub arrival: Option<Arrival>,
    /// By the place in [`Section::ALL`].
    pub sections: [SectionRows; 6],
    /// The selected section and row, as places.
    pub at: (usize, usize),
    /// Alerts that are over, the oldest first.
    pub happened: VecDeque<Happening>,
}

impl Board {
    pub(crate) fn is_open(&self) -> bool {
        self.visibility == Visibility::Open
    }

    pub(crate) fn is_left(&self) -> bool {
        self.visibility == Visibility::Left
    }

    pub(crate) fn selected_row(&self) -> Option<&BoardRow> {
        self.sections[self.at.0].rows.get(self.at.1)
    }

    pub(crate) fn remember(&mut self, happening: Happening) {
        if self.happened.len() == KEPT_HAPPENINGS {
            self.happened.pop_front();
        }
        self.happened.push_back(happening);
    }

    /// Takes new rows; what the operator has selected stays selected, or what is near where it was.
    pub(crate) fn replace_sections(&mut self, mut new: [SectionRows; 6]) {
        if !self.chosen {
            self.at = (0, 0);
        }
        let key = self.selected_row().filter(|_| self.chosen);
        let key = key.map(|r| r.key.clone());
        for (new, old) in new.iter_mut().zip(&self.sections) {
            new.top = old.top;
        }
        self.sections = new;
        let rows = &self.sections[self.at.0].rows;
        let found = key.and_then(|key| rows.iter().position(|r| r.key == key));
        self.at.1 = found.unwrap_or_else(|| self.at.1.min(rows.len().saturating_sub(1)));
        if rows.is_empty() {
            self.move_by(1);
        }
        if self.selected_row().is_none() {
            self.move_by(-1);
        }
    }

    /// Moves the selection over the rows of all sections.
    pub(crate) fn move_by(&mut self, by: isize) {
        let before = self.sections[..self.at.0].iter().map(|s| s.rows.len());
        let place = before.sum::<usize>() + self.at.1;
        let all: usize = self.sections.iter().map(|s| s.rows.len()).sum();
        let mut left = place.saturating_add_signed(by).min(all.saturating_sub(1));
        // Of an empty section the next row is the one that follows.
        if self.selected_row().is_none() && by == 1 {
            left = place.min(all.saturating_sub(1));
        }
        for (i, section) in self.sections.iter().enumerate() {
            if left < section.rows.len() {
                self.at = (i, left);
                return;
            }
            left -= section.rows.len();
        }
    }

    /// Selects the first row of the next section that has rows, or of the one before.
    pub(crate) fn turn_section(&mut self, forward: bool) {
        let count = self.sections.len();
        let by = if forward { 1 } else { count - 1 };
        let mut at = self.at.0;
        for _ in 0..count {
            at = (at + by) % count;
            if !self.sections[at].rows.is_empty() {
                self.at = (at, 0);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(names: &[&str]) -> SectionRows {
        let row = |name: &&str| BoardRow {
            key: (*name).to_owned(),
            health: Health::Good,
            name: (*name).to_owned(),
            cells: Vec::new(),
            goal: Goal::Nothing,
        };
        SectionRows {
            rows: names.iter().map(row).collect(),
            ..SectionRows::default()
        }
    }

    fn sections(of: [&[&str]; 6]) -> [SectionRows; 6] {
        of.map(section)
    }

    fn selected(board: &Board) -> &str {
        board.selected_row().map_or("", |r| &r.key)
    }

    #[test]
    fn the_first_row_is_selected_until_the_operator_selects_one() {
        let mut board = Board::default();
        board.replace_sections(Default::default());
        board.replace_sections(sections([&[], &["n1", "n2"], &[], &[], &[], &[]]));
        assert_eq!(selected(&board), "n1");
        board.replace_sections(sections([&["p"], &["n1", "n2"], &[], &[], &[], &[]]));
        assert_eq!(selected(&board), "p");
        board.chosen = true;
        board.replace_sections(sections([&["q", "p"], &["n1", "n2"], &[], &[], &[], &[]]));
        assert_eq!(selected(&board), "p");
    }

    #[test]
    fn the_selection_goes_over_all_sections_and_stays_on_its_row() {
        let mut board = Board::default();
        board.replace_sections(sections([&[], &["n1", "n2"], &["a"], &[], &["c"], &[]]));
        assert_eq!(selected(&board), "n1");
        let mut seen = Vec::new();
        for _ in 0..5 {
            seen.push(selected(&board).to_owned());
            board.move_by(1);
        }
        assert_eq!(seen, ["n1", "n2", "a", "c", "c"]);
        board.turn_section(true);
        assert_eq!(selected(&board), "n1");
        board.turn_section(false);
        assert_eq!(selected(&board), "c");
        board.move_by(isize::MIN);
        board.move_by(1);
        board.chosen = true;
        board.replace_sections(sections([&["p"], &["n0", "n1", "n2"], &[], &[], &[], &[]]));
        assert_eq!(selected(&board), "n2");
        // What was selected is gone, with all of its section.
        board.replace_sections(sections([&["p"], &[], &[], &[], &[], &[]]));
        assert_eq!(selected(&board), "p");
        board.replace_sections(Default::default());
        board.move_by(1);
        assert_eq!(selected(&board), "");
    }
}
