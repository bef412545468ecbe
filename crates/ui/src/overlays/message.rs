//! A text to read: an error in full.

use crossterm::event::{KeyCode, KeyEvent};
use matou_i18n::tr;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{draw_scrolled, draw_window, format_scroll_hint, move_by_key};
use crate::layout::ScrollLayout;
use crate::overlay::{Overlay, OverlayReply};
use crate::panes::wrap_text;
use crate::state::App;
use matou_base::text::clean_line;

pub(crate) struct MessageOverlay {
    title: String,
    text: String,
    /// What was visible when it was drawn last.
    pub(super) drawn: ScrollLayout,
}

impl MessageOverlay {
    pub(crate) fn new(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            text: text.into(),
            drawn: ScrollLayout::default(),
        }
    }
}

impl Overlay for MessageOverlay {
    fn handle_key(&mut self, _: &mut App, key: KeyEvent) -> OverlayReply {
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
        let columns = usize::from(screen.width).saturating_sub(8).min(90);
        let lines: Vec<Line> = self
            .text
            .lines()
            .flat_map(|l| wrap_text(&app.theme.drawable_text(&clean_line(l)), columns))
            .map(Line::raw)
            .collect();
        let size = (columns as u16, lines.len() as u16);
        let page = usize::from(screen.height).saturating_sub(2).max(1);
        let seen = (self.drawn.top, page);
        let hint = format_scroll_hint(lines.len(), seen, false, tr!("Esc back"));
        let area = draw_window(app, frame, screen, &self.title, &hint, size);
        draw_scrolled(app, frame, area, &lines, self.drawn.top)
    }

    fn take_layout(&mut self, drawn: ScrollLayout) {
        self.drawn = drawn;
    }
}
