//! Help, made from the key map.

use crossterm::event::{Event, KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::{draw_scrolled, draw_window, move_by_key};
use crate::keymap::{Action, ActionGroup, KEY_TABLE};
use crate::layout::ScrollLayout;
use crate::overlay::{Overlay, OverlayReply};
use crate::panes::RowFilter;
use crate::state::App;
use matou_base::text::fit_to_width;

/// Keys of the log view, which are fixed.
const LOG_KEYS: [(&str, &str); 8] = [
    ("f  G", "follow"),
    ("Space", "pause, go on"),
    ("w", "wrap long lines"),
    ("t", "time stamps"),
    ("/", "search"),
    ("n  N", "next, previous hit"),
    ("y", "copy what is on the screen"),
    ("o", "save the log to a file"),
];

/// Keys of the access log, beside those of the log view.
const ACCESS_KEYS: [(&str, &str); 3] = [
    ("/", "filter: 404 5xx /path POST 192.0.2.7 >500ms"),
    ("t", "what comes most often"),
    ("o", "save what the filter keeps"),
];

/// Keys of the dashboard and of a node's charts, beside those of the panes.
const FIGURE_KEYS: [(&str, &str); 3] = [
    (
        "Enter",
        "dashboard: go to where the line belongs; Esc comes back",
    ),
    ("Tab", "dashboard: next part"),
    ("t", "charts of a node: an hour, a day, a week"),
];

/// What the console calls things.
const WORDS: [(&str, &str); 6] = [
    ("edge", "the service that takes https for all applications"),
    ("drift", "a server is not what config.toml says"),
    ("stack", "a file that says what an application runs"),
    ("application", "a stack deployed under a name"),
    ("service", "a part of an application: one image, some tasks"),
    ("task", "one container of a service, on a node"),
];

#[derive(Default)]
pub(crate) struct HelpOverlay {
    /// What lines are to contain.
    search: Input,
    /// It is being typed.
    searching: bool,
    /// What was visible when it was drawn last.
    pub(super) drawn: ScrollLayout,
}

/// A heading, and the keys or words below it with what each means.
type HelpSection = (&'static str, Vec<(String, String)>);

impl HelpOverlay {
    fn list_sections(app: &App) -> Vec<HelpSection> {
        let fixed = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(key, help)| ((*key).to_owned(), (*help).to_owned()))
                .collect()
        };
        let groups = ActionGroup::ALL.into_iter().map(|group| {
            let bindings = KEY_TABLE.iter().filter(|b| b.group == group);
            let keys = bindings.map(|b| (app.keymap.format_keys(b.action), b.help.to_owned()));
            let keys = keys.filter(|(keys, _)| !keys.is_empty());
            (group.title(), keys.collect())
        });
        let text = "Shift and the mouse select text in most terminals";
        let others = [
            ("On the dashboard, in charts", fixed(&FIGURE_KEYS)),
            ("In a log", fixed(&LOG_KEYS)),
            ("In an access log", fixed(&ACCESS_KEYS)),
            ("Words", fixed(&WORDS)),
            ("", vec![("Text".to_owned(), text.to_owned())]),
        ];
        let own = app.command_lines().map(|(key, text)| {
            let key = if key.is_empty() { ":".to_owned() } else { key };
            (key, text.to_owned())
        });
        let own = ("Own commands", own.collect::<Vec<_>>());
        let own = (!own.1.is_empty()).then_some(own);
        groups.chain(own).chain(others).collect()
    }

    /// The sections with what contains the words that are searched for.
    fn find_sections(&self, app: &App) -> Vec<HelpSection> {
        let mut words = RowFilter::by_words(self.search.value());
        let mut sections = Self::list_sections(app);
        for (_, entries) in &mut sections {
            entries.retain(|(keys, help)| words.score(&format!("{keys} {help}")).is_some());
        }
        sections.retain(|(_, entries)| !entries.is_empty());
        sections
    }

    fn take_search_key(&mut self, key: KeyEvent) {
        match key.code {
            KeyCode::Esc => {
                self.searching = false;
                self.search.reset();
            }
            KeyCode::Enter | KeyCode::Down | KeyCode::Up => self.searching = false,
            _ => {
                self.search.handle_event(&Event::Key(key));
            }
        }
        self.drawn.top = 0;
    }
}

impl Overlay for HelpOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        if self.searching {
            self.take_search_key(key);
            return OverlayReply::stay();
        }
        // What opened it closes it.
        if app.keymap.find_action(key) == Some(Action::Help) {
            return OverlayReply::close();
        }
        let lines = (self.drawn.lines + 1).saturating_sub(self.drawn.height);
        if move_by_key(key, &mut self.drawn.top, lines, self.drawn.height) {
            return OverlayReply::stay();
        }
        match key.code {
            KeyCode::Char('/') => self.searching = true,
            KeyCode::Esc if !self.search.value().is_empty() => self.search.reset(),
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') => return OverlayReply::close(),
            _ => {}
        }
        OverlayReply::stay()
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let theme = app.theme;
        let row = |keys: &str, help: &str| {
            Line::from(vec![
                Span::styled(
                    fit_to_width(&theme.drawable_text(keys), 16, theme.ellipsis()),
                    theme.key(),
                ),
                Span::raw(format!(" {}", theme.drawable_text(help))),
            ])
        };
        let lines_of = |sections: Vec<HelpSection>| {
            let mut lines = Vec::new();
            for (heading, entries) in sections {
                lines.push(row("", ""));
                if !heading.is_empty() {
                    lines.push(row(heading, ""));
                }
                lines.extend(entries.iter().map(|(keys, help)| row(keys, help)));
            }
            lines
        };
        // The window keeps its size while something is searched for.
        let all = lines_of(Self::list_sections(app));
        let widest = all.iter().map(Line::width).max().unwrap_or(0);
        let size = (widest as u16, all.len() as u16);
        let typed = matou_base::text::clean_line(self.search.value());
        let (title, hint) = match (self.searching, typed.is_empty()) {
            (true, _) => (
                format!("Help /{typed}_"),
                "Enter keeps it · Esc ends the search",
            ),
            (false, true) => ("Help".to_owned(), "/ search · j k scroll · Esc back"),
            (false, false) => (
                format!("Help /{typed}"),
                "/ search · j k scroll · Esc shows all",
            ),
        };
        let mut lines = match typed.is_empty() {
            true => all,
            false => lines_of(self.find_sections(app)),
        };
        if lines.is_empty() {
            lines.push(Line::styled("nothing matches", theme.dim()));
        }
        let area = draw_window(app, frame, screen, &title, hint, size);
        draw_scrolled(frame, area, &lines, self.drawn.top)
    }

    fn take_layout(&mut self, drawn: ScrollLayout) {
        self.drawn = drawn;
    }

    fn takes_text(&self) -> bool {
        self.searching
    }

    fn paste(&mut self, _: &App, text: &str) {
        if self.searching {
            crate::text_input::insert_text(&mut self.search, text);
        }
    }
}
