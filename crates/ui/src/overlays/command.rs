//! Asks before a command of the operator runs.

use crossterm::event::{KeyCode, KeyEvent};
use matou_i18n::tr;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::{draw_scrolled, draw_window};
use crate::call::CommandCall;
use crate::keymap::is_yes;
use crate::layout::ScrollLayout;
use crate::msg::Effect;
use crate::overlay::{Overlay, OverlayReply};
use crate::panes::wrap_text;
use crate::state::App;
use matou_base::text::clean_line;
use matou_config::CommandRun;

pub(crate) struct CommandOverlay {
    call: CommandCall,
}

impl CommandOverlay {
    pub(crate) fn new(call: CommandCall) -> Self {
        Self { call }
    }
}

impl Overlay for CommandOverlay {
    fn handle_key(&mut self, _: &mut App, key: KeyEvent) -> OverlayReply {
        match key.code {
            code if is_yes(code) => {
                OverlayReply::close().with_effect(Effect::RunCommand(self.call.clone()))
            }
            KeyCode::Esc | KeyCode::Char('n' | 'q') => OverlayReply::close(),
            _ => OverlayReply::stay(),
        }
    }

    fn asks(&self) -> bool {
        true
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let theme = app.theme;
        let columns = usize::from(screen.width).saturating_sub(8).min(76);
        let wrap = |text: &str| wrap_text(&theme.drawable_text(&clean_line(text)), columns);
        let wrapped = wrap(&self.call.shown_line());
        // The question stays in sight below a long one.
        let room = usize::from(screen.height).saturating_sub(8).max(1);
        let hidden = wrapped.len().saturating_sub(room);
        let mut lines: Vec<Line> = wrapped.into_iter().take(room).map(Line::raw).collect();
        if hidden > 0 {
            let text = theme.drawable_text(&tr!("… {hidden} more lines"));
            lines.push(Line::styled(text, theme.dim()));
        }
        let place = match self.call.run {
            CommandRun::Background => tr!("Run it on this machine? y / n"),
            CommandRun::Terminal => tr!("Run it in this terminal? y / n"),
        };
        lines.extend([Line::default(), Line::styled(place, theme.focus())]);
        let size = (columns as u16, lines.len() as u16);
        let title = &self.call.description;
        let area = draw_window(app, frame, screen, title, tr!("y runs it · n back"), size);
        draw_scrolled(app, frame, area, &lines, 0)
    }

    fn leads_to_plan(&self) -> bool {
        // A read-only console closes it.
        true
    }
}
