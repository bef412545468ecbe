//! In which of several containers a shell is opened.

use crossterm::event::{KeyCode, KeyEvent};
use matou_i18n::tr;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{draw_choices, draw_window, move_by_key};
use crate::layout::ScrollLayout;
use crate::msg::Effect;
use crate::overlay::{Overlay, OverlayReply};
use crate::state::App;
use matou_base::text::clean_line;
use matou_ops::ShellTarget;

pub(crate) struct ShellOverlay {
    /// What each is called, and where it leads.
    targets: Vec<(String, ShellTarget)>,
    at: usize,
}

impl ShellOverlay {
    pub(crate) fn new(targets: Vec<(String, ShellTarget)>) -> Self {
        Self { targets, at: 0 }
    }
}

impl Overlay for ShellOverlay {
    fn handle_key(&mut self, _: &mut App, key: KeyEvent) -> OverlayReply {
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => OverlayReply::close(),
            KeyCode::Enter => {
                let mut reply = OverlayReply::close();
                let chosen = self.targets.get(self.at);
                reply.effects = chosen
                    .map(|(_, target)| Effect::Shell(target.clone()))
                    .into_iter()
                    .collect();
                reply
            }
            _ => {
                move_by_key(key, &mut self.at, self.targets.len(), 6);
                OverlayReply::stay()
            }
        }
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let size = (60, self.targets.len() as u16);
        let hint = tr!("Enter opens a shell there · Esc back");
        let area = draw_window(
            app,
            frame,
            screen,
            tr!("A shell in which task?"),
            hint,
            size,
        );
        let lines = self
            .targets
            .iter()
            .map(|(name, _)| Line::raw(app.theme.drawable_text(&clean_line(name))))
            .collect();
        draw_choices(app, frame, area, lines, self.at).into()
    }
}
