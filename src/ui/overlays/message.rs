//! A text to read: an error in full.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{Reply, moved, scrolled, window};
use crate::text::clean;
use crate::ui::panes::wrap;
use crate::ui::state::App;

pub(in crate::ui) struct Message {
    title: String,
    text: String,
    top: usize,
    lines: usize,
    height: usize,
}

impl Message {
    pub(in crate::ui) fn new(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            text: text.into(),
            top: 0,
            lines: 0,
            height: 0,
        }
    }

    pub(super) fn key(&mut self, _: &mut App, key: KeyEvent) -> Reply {
        let lines = (self.lines + 1).saturating_sub(self.height);
        if moved(key, &mut self.top, lines, self.height) {
            return Reply::stay();
        }
        match key.code {
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') => Reply::close(),
            _ => Reply::stay(),
        }
    }

    pub(super) fn draw(&mut self, app: &App, frame: &mut Frame, screen: Rect) {
        let columns = usize::from(screen.width).saturating_sub(8).min(90);
        let lines: Vec<Line> = self
            .text
            .lines()
            .flat_map(|l| wrap(&app.theme.text(&clean(l)), columns))
            .map(Line::raw)
            .collect();
        let size = (columns as u16, lines.len() as u16);
        let area = window(app, frame, screen, &self.title, "Esc back", size);
        self.lines = lines.len();
        self.height = area.height.into();
        self.top = scrolled(frame, area, &lines, self.top);
    }
}
