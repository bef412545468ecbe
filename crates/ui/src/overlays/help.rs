//! Help, made from the key map: the keys of where one is, then all.

use crossterm::event::{Event, KeyCode, KeyEvent};
use matou_i18n::{Text, both, tr};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::{draw_own_window, draw_scrolled, help_key, move_by_key};
use crate::keymap::{Action, ActionGroup, KEY_TABLE};
use crate::layout::ScrollLayout;
use crate::overlay::{Overlay, OverlayReply};
use crate::panes::RowFilter;
use crate::panes::wrap_text;
use crate::state::App;
use crate::view::key_hints;
use matou_base::text::fit_to_width;

/// Keys that are called the same in both languages.
const fn same(keys: &'static str) -> Text {
    Text::new(keys, keys)
}

/// Keys of the log view, which are fixed.
const LOG_KEYS: [(Text, Text); 9] = [
    (same("f  G"), both!("follow")),
    (both!("Space"), both!("pause, go on")),
    (same("w"), both!("wrap long lines")),
    (same("t"), both!("time stamps")),
    (same("/"), both!("search")),
    (same("n  N"), both!("next, previous hit")),
    (
        same("m"),
        both!("only lines that the search matches, and all again"),
    ),
    (same("y"), both!("copy what is on the screen")),
    (same("o"), both!("save the log to a file")),
];

/// Keys of the access log, beside those of the log view.
const ACCESS_KEYS: [(Text, Text); 3] = [
    (
        same("/"),
        both!("filter: 404 5xx /path POST 192.0.2.7 >500ms"),
    ),
    (same("t"), both!("what comes most often")),
    (same("o"), both!("save what the filter keeps")),
];

/// Keys of the dashboard and of a node's charts, beside those of the panes.
const FIGURE_KEYS: [(Text, Text); 3] = [
    (
        both!("Enter"),
        both!("dashboard: go to where the line belongs; Esc comes back"),
    ),
    (both!("Tab"), both!("dashboard: next part")),
    (same("t"), both!("charts of a node: an hour, a day, a week")),
];

/// What the console calls things.
const WORDS: [(Text, Text); 6] = [
    (
        both!("edge"),
        both!("the service that takes https for all applications"),
    ),
    (
        both!("drift"),
        both!("a server is not what config.toml says"),
    ),
    (
        both!("stack"),
        both!("a file that says what an application runs"),
    ),
    (both!("application"), both!("a stack deployed under a name")),
    (
        both!("service"),
        both!("a part of an application: one image, some tasks"),
    ),
    (
        both!("task"),
        both!("one container of a service, on a node"),
    ),
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

/// Adds to a hint that what opened the help closes it.
fn with_own_key(app: &App, hint: &str) -> String {
    match help_key(app) {
        Some(key) => format!("{hint} · {key} {}", tr!("closes it")),
        None => hint.to_owned(),
    }
}

impl HelpOverlay {
    fn list_sections(app: &App) -> Vec<HelpSection> {
        let fixed = |pairs: &[(Text, Text)]| {
            let pairs = pairs.iter();
            pairs
                .map(|(key, help)| (key.to_string(), help.to_string()))
                .collect()
        };
        // No overlay has a key that opens the help: where one is, is a pane, a tab or the dashboard.
        let here = key_hints(app).into_iter();
        let here = here.map(|(key, word)| (key, word.to_owned()));
        let here = (tr!("Here"), here.collect::<Vec<_>>());
        let groups = ActionGroup::ALL.into_iter().map(|group| {
            let bindings = KEY_TABLE.iter().filter(|b| b.group == group);
            let keys = bindings.map(|b| (app.keymap.format_keys(b.action), b.help.to_string()));
            let keys = keys.filter(|(keys, _)| !keys.is_empty());
            (group.title(), keys.collect())
        });
        let text = tr!("Shift and the mouse select text in most terminals");
        let others = [
            (tr!("On the dashboard, in charts"), fixed(&FIGURE_KEYS)),
            (tr!("In a log"), fixed(&LOG_KEYS)),
            (tr!("In an access log"), fixed(&ACCESS_KEYS)),
            (tr!("Words"), fixed(&WORDS)),
            ("", vec![(tr!("Text").to_owned(), text.to_owned())]),
        ];
        let own = app.command_lines().map(|(key, text)| {
            let key = if key.is_empty() { ":".to_owned() } else { key };
            (key, text.to_owned())
        });
        let own = (tr!("Own commands"), own.collect::<Vec<_>>());
        let own = (!own.1.is_empty()).then_some(own);
        std::iter::once(here)
            .chain(groups)
            .chain(own)
            .chain(others)
            .collect()
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
        // Behind the keys, within the window's frame.
        let columns = usize::from(screen.width).saturating_sub(17 + 4).max(12);
        let row = |keys: &str, help: &str| -> Vec<Line<'static>> {
            let wrapped = wrap_text(&theme.drawable_text(help), columns);
            let keys = std::iter::once(theme.drawable_text(keys));
            let keys = keys.chain(std::iter::repeat(String::new()));
            let lines = wrapped.into_iter().zip(keys).map(|(help, keys)| {
                Line::from(vec![
                    Span::styled(fit_to_width(&keys, 16, theme.ellipsis()), theme.key()),
                    Span::raw(format!(" {help}")),
                ])
            });
            lines.collect()
        };
        let lines_of = |sections: Vec<HelpSection>| {
            let mut lines = Vec::new();
            for (heading, entries) in sections {
                lines.extend(row("", ""));
                if !heading.is_empty() {
                    lines.extend(row(heading, ""));
                }
                lines.extend(entries.iter().flat_map(|(keys, help)| row(keys, help)));
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
                tr!("Help /{typed}_"),
                tr!("Enter keeps it · Esc ends the search").to_owned(),
            ),
            (false, true) => (
                tr!("Help").to_owned(),
                with_own_key(app, tr!("/ search · j k scroll · Esc back")),
            ),
            (false, false) => (
                tr!("Help /{typed}"),
                with_own_key(app, tr!("/ search · j k scroll · Esc shows all")),
            ),
        };
        let mut lines = match typed.is_empty() {
            true => all,
            false => lines_of(self.find_sections(app)),
        };
        if lines.is_empty() {
            lines.push(Line::styled(tr!("nothing matches"), theme.dim()));
        }
        let area = draw_own_window(app, frame, screen, &title, &hint, size);
        draw_scrolled(app, frame, area, &lines, self.drawn.top)
    }

    fn take_layout(&mut self, drawn: ScrollLayout) {
        self.drawn = drawn;
    }

    fn takes_text(&self) -> bool {
        self.searching
    }

    fn opens_help(&self) -> bool {
        false
    }

    fn paste(&mut self, _: &App, text: &str) {
        if self.searching {
            crate::text_input::insert_text(&mut self.search, text);
        }
    }
}
