//! What all views of lines that keep coming share, a log, an access log, a job's output: whether the
//! end is followed, how far it was scrolled, and the query that is typed into them.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use matou_i18n::tr;
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::text_input::insert_text;

/// Lines of which the oldest may go. A line keeps its number; its place among those that are there
/// changes.
pub(super) trait NumberedLines {
    /// How many there are.
    fn count(&self) -> usize;

    /// Returns the number of the line at a place; at the end that of the next one to come.
    fn number_at(&self, place: usize) -> u64;

    /// Returns the place of the line of that number, or of the next one that is there.
    fn place_of(&self, number: u64) -> usize;
}

/// What a key did in a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ViewOutcome {
    /// It was a key of the view, which needs nothing more.
    Handled,
    /// This text is to be copied to the clipboard.
    Copy(String),
    /// This text is to be saved to a file.
    Save(String),
    /// Not a key of the view.
    Ignored,
}

/// Whether the end is followed, or else from where on lines are shown.
#[derive(Default)]
pub(super) struct Following {
    /// Number of the first visible line; `None`: the end is followed.
    paused_at: Option<u64>,
}

impl Following {
    pub(super) fn is_paused(&self) -> bool {
        self.paused_at.is_some()
    }

    /// The word for a status line.
    pub(super) fn word(&self) -> &'static str {
        match self.paused_at {
            None => tr!("following"),
            Some(_) => tr!("paused"),
        }
    }

    pub(super) fn follow(&mut self) {
        self.paused_at = None;
    }

    pub(super) fn pause_at(&mut self, number: u64) {
        self.paused_at = Some(number);
    }

    /// Returns the place of the first of `height` visible lines.
    pub(super) fn top(&self, lines: &impl NumberedLines, height: usize) -> usize {
        match self.paused_at {
            None => lines.count().saturating_sub(height),
            Some(number) => lines.place_of(number),
        }
    }

    /// Scrolls by lines, which ends following; at the end it begins again. `top` is the place of the
    /// first visible line.
    pub(super) fn scroll_by(
        &mut self,
        lines: &impl NumberedLines,
        top: usize,
        height: usize,
        by: isize,
    ) {
        let last = lines.count().saturating_sub(height);
        if by < 0 && top == 0 && !self.is_paused() {
            // All is visible: there is nothing to scroll up to.
            return;
        }
        let to = top.saturating_add_signed(by);
        match by > 0 && to >= last {
            true => self.follow(),
            false => self.pause_at(lines.number_at(to)),
        }
    }

    /// Takes a key that moves or follows, as [`Self::scroll_by`]. Returns false when the key is none of
    /// them.
    pub(super) fn handle_key(
        &mut self,
        lines: &impl NumberedLines,
        top: usize,
        height: usize,
        key: KeyEvent,
    ) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let half = (height / 2).max(1) as isize;
        let by = match key.code {
            KeyCode::Char('d') | KeyCode::PageDown if control => half,
            KeyCode::Char('u') | KeyCode::PageUp if control => -half,
            _ if control => return false,
            KeyCode::Char('f' | 'G') | KeyCode::End => {
                self.follow();
                return true;
            }
            KeyCode::Char(' ') if self.is_paused() => {
                self.follow();
                return true;
            }
            KeyCode::Char(' ') => 0,
            KeyCode::Char('j') | KeyCode::Down => 1,
            KeyCode::Char('k') | KeyCode::Up => -1,
            KeyCode::PageDown => half * 2,
            KeyCode::PageUp => -half * 2,
            KeyCode::Char('g') | KeyCode::Home => isize::MIN,
            _ => return false,
        };
        self.scroll_by(lines, top, height, by);
        true
    }
}

/// A query that is typed after `/`.
#[derive(Default)]
pub(super) struct Query {
    input: Input,
    typing: bool,
}

/// What a key did to a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueryOutcome {
    /// Its text is another now.
    Changed,
    /// It was entered: keys go to the view again.
    Entered,
    /// It was a key of the query.
    Handled,
    /// Not a key of the query.
    Ignored,
}

impl Query {
    pub(super) fn text(&self) -> &str {
        self.input.value()
    }

    pub(super) fn is_typing(&self) -> bool {
        self.typing
    }

    /// The query for a status line; `None` while there is none.
    pub(super) fn status(&self) -> Option<String> {
        let caret = if self.typing { "_" } else { "" };
        let shown = self.typing || !self.text().is_empty();
        shown.then(|| format!("/{}{caret}", self.text()))
    }

    /// Removes the text.
    pub(super) fn clear(&mut self) {
        self.input.reset();
    }

    /// Takes a key: `/` begins to type, Esc ends and clears.
    pub(super) fn handle_key(&mut self, key: KeyEvent) -> QueryOutcome {
        match (self.typing, key.code) {
            (true, KeyCode::Enter) => {
                self.typing = false;
                QueryOutcome::Entered
            }
            (_, KeyCode::Esc) if self.typing || !self.text().is_empty() => {
                self.typing = false;
                self.clear();
                QueryOutcome::Changed
            }
            (true, _) => match self.input.handle_event(&Event::Key(key)) {
                Some(change) if change.value => QueryOutcome::Changed,
                _ => QueryOutcome::Handled,
            },
            (false, KeyCode::Char('/')) if !key.modifiers.contains(KeyModifiers::CONTROL) => {
                self.typing = true;
                QueryOutcome::Handled
            }
            (false, _) => QueryOutcome::Ignored,
        }
    }

    /// Takes pasted text. Returns false while nothing is typed.
    pub(super) fn paste(&mut self, text: &str) -> bool {
        if self.typing {
            insert_text(&mut self.input, text);
        }
        self.typing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines numbered from the first one on.
    struct Lines {
        first: u64,
        count: usize,
    }

    impl NumberedLines for Lines {
        fn count(&self) -> usize {
            self.count
        }

        fn number_at(&self, place: usize) -> u64 {
            self.first + place as u64
        }

        fn place_of(&self, number: u64) -> usize {
            number.saturating_sub(self.first) as usize
        }
    }

    #[test]
    fn what_is_paused_stays_when_old_lines_go_and_follows_again_at_the_end() {
        let mut lines = Lines {
            first: 0,
            count: 100,
        };
        let mut following = Following::default();
        let press = |following: &mut Following, lines: &Lines, code| {
            let top = following.top(lines, 10);
            assert!(following.handle_key(lines, top, 10, KeyEvent::from(code)));
            following.top(lines, 10)
        };
        assert_eq!(following.top(&lines, 10), 90);
        assert_eq!(press(&mut following, &lines, KeyCode::PageUp), 80);
        lines.first = 50;
        assert_eq!(following.top(&lines, 10), 30, "the same line");
        lines.first = 95;
        assert_eq!(following.top(&lines, 10), 0, "the oldest that is left");
        assert_eq!(press(&mut following, &lines, KeyCode::End), 90);
        assert_eq!(following.word(), "following");
        assert_eq!(press(&mut following, &lines, KeyCode::Char(' ')), 90);
        assert_eq!(following.word(), "paused");
        press(&mut following, &lines, KeyCode::Char('k'));
        press(&mut following, &lines, KeyCode::Char('j'));
        assert_eq!(following.word(), "following");
        assert_eq!(press(&mut following, &lines, KeyCode::Char('g')), 0);
        assert!(following.is_paused());
    }

    #[test]
    fn a_query_is_typed_pasted_entered_and_cleared() {
        let mut query = Query::default();
        let press = |query: &mut Query, code| query.handle_key(KeyEvent::from(code));
        assert_eq!(press(&mut query, KeyCode::Char('x')), QueryOutcome::Ignored);
        assert!(!query.paste("no"));
        press(&mut query, KeyCode::Char('/'));
        assert_eq!(press(&mut query, KeyCode::Char('x')), QueryOutcome::Changed);
        assert!(query.paste(" y\u{1b}[2J\n"));
        assert_eq!(query.status().as_deref(), Some("/xy_"));
        assert_eq!(press(&mut query, KeyCode::Enter), QueryOutcome::Entered);
        assert_eq!(query.status().as_deref(), Some("/xy"));
        assert_eq!(press(&mut query, KeyCode::Esc), QueryOutcome::Changed);
        assert_eq!(query.status(), None);
        assert_eq!(press(&mut query, KeyCode::Esc), QueryOutcome::Ignored);
    }
}
