//! Help, made from the key map.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{draw_scrolled, draw_window, move_by_key};
use crate::keymap::{Action, ActionGroup, KEY_TABLE};
use crate::layout::ScrollLayout;
use crate::overlay::{Overlay, OverlayReply};
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
    /// What was visible when it was drawn last.
    pub(super) drawn: ScrollLayout,
}

impl Overlay for HelpOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        // What opened it closes it.
        if app.keymap.find_action(key) == Some(Action::Help) {
            return OverlayReply::close();
        }
        let lines = (self.drawn.lines + 1).saturating_sub(self.drawn.height);
        if move_by_key(key, &mut self.drawn.top, lines, self.drawn.height) {
            return OverlayReply::stay();
        }
        match key.code {
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') => OverlayReply::close(),
            _ => OverlayReply::stay(),
        }
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let theme = app.theme;
        let mut lines = Vec::new();
        let mut entry = |keys: &str, help: &str| {
            lines.push(Line::from(vec![
                Span::styled(
                    fit_to_width(&theme.drawable_text(keys), 16, theme.ellipsis()),
                    theme.key(),
                ),
                Span::raw(format!(" {}", theme.drawable_text(help))),
            ]));
        };
        for group in ActionGroup::ALL {
            entry("", "");
            entry(group.title(), "");
            for binding in KEY_TABLE.iter().filter(|b| b.group == group) {
                let keys = app.keymap.format_keys(binding.action);
                if !keys.is_empty() {
                    entry(&keys, binding.help);
                }
            }
        }
        entry("", "");
        entry("In a log", "");
        for (keys, help) in LOG_KEYS {
            entry(keys, help);
        }
        entry("", "");
        entry("In an access log", "");
        for (keys, help) in ACCESS_KEYS {
            entry(keys, help);
        }
        entry("", "");
        entry("Words", "");
        for (word, meaning) in WORDS {
            entry(word, meaning);
        }
        entry("", "");
        entry("Text", "Shift and the mouse select text in most terminals");
        let widest = lines.iter().map(Line::width).max().unwrap_or(0);
        let size = (widest as u16, lines.len() as u16);
        let area = draw_window(app, frame, screen, "Help", "j k scroll · Esc back", size);
        draw_scrolled(frame, area, &lines, self.drawn.top)
    }

    fn take_layout(&mut self, drawn: ScrollLayout) {
        self.drawn = drawn;
    }
}
