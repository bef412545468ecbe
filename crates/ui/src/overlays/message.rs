//! A text to read: an error in full.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{OverlayReply, draw_scrolled, draw_window, move_by_key};
use crate::panes::wrap_text;
use crate::state::App;
use matou_base::text::clean_line;

pub(crate) struct MessageOverlay {
    title: String,
    text: String,
    top: usize,
    lines: usize,
    height: usize,
}

impl MessageOverlay {
    pub(crate) fn new(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            text: text.into(),
            top: 0,
            lines: 0,
            height: 0,
        }
    }

    pub(super) fn handle_key(&mut self, _: &mut App, key: KeyEvent) -> OverlayReply {
        let lines = (self.lines + 1).saturating_sub(self.height);
        if move_by_key(key, &mut self.top, lines, self.height) {
            return OverlayReply::stay();
        }
        match key.code {
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') => OverlayReply::close(),
            _ => OverlayReply::stay(),
        }
    }

    pub(super) fn draw(&mut self, app: &App, frame: &mut Frame, screen: Rect) {
        let columns = usize::from(screen.width).saturating_sub(8).min(90);
        let lines: Vec<Line> = self
            .text
            .lines()
            .flat_map(|l| wrap_text(&app.theme.drawable_text(&clean_line(l)), columns))
            .map(Line::raw)
            .collect();
        let size = (columns as u16, lines.len() as u16);
        let area = draw_window(app, frame, screen, &self.title, "Esc back", size);
        self.lines = lines.len();
        self.height = area.height.into();
        self.top = draw_scrolled(frame, area, &lines, self.top);
    }
}
