//! Asks before the console is left while jobs run.

use crossterm::event::{KeyCode, KeyEvent};
use matou_i18n::tr;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{draw_scrolled, draw_window};
use crate::keymap::{is_yes, yes_key};
use crate::layout::ScrollLayout;
use crate::msg::Effect;
use crate::overlay::{Overlay, OverlayReply};
use crate::state::App;

#[derive(Default)]
pub(crate) struct QuitOverlay {
    /// Leave as soon as the jobs have ended.
    pub waiting: bool,
}

impl Overlay for QuitOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        match key.code {
            KeyCode::Esc | KeyCode::Char('n' | 'q') => OverlayReply::close(),
            code if (code == KeyCode::Enter || is_yes(code)) && app.jobs.count_running() == 0 => {
                OverlayReply::close().with_effect(Effect::Quit)
            }
            // The last job has just ended.
            KeyCode::Char('w' | 'c') if app.jobs.count_running() == 0 => {
                OverlayReply::close().with_effect(Effect::Quit)
            }
            KeyCode::Char('w') => {
                self.waiting = true;
                OverlayReply::stay()
            }
            KeyCode::Char('c') => {
                self.waiting = true;
                let running = app.jobs.all.iter().filter(|j| j.outcome.is_none());
                let mut reply = OverlayReply::stay();
                reply.effects = running.map(|j| Effect::CancelJob(j.id)).collect();
                reply
            }
            _ => OverlayReply::stay(),
        }
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let theme = app.theme;
        let key = |key: &'static str, text: &'static str| {
            Line::from(vec![Span::styled(key, theme.key()), Span::raw(text)])
        };
        let waits = match app.jobs.queued.len() {
            0 => String::new(),
            n => tr!(", {n} to come"),
        };
        let lines = match app.jobs.count_running() {
            0 => {
                let keys = [
                    key(yes_key(), tr!("  leave the console")),
                    key("n", tr!("  stay")),
                ];
                let sent = Line::raw(tr!("A job was confirmed, and begins."));
                let told = (!app.jobs.sent.is_empty()).then(|| [sent, Line::default()]);
                told.into_iter().flatten().chain(keys).collect()
            }
            n => vec![
                Line::raw(match (n, self.waiting) {
                    (1, false) => tr!("A job runs{waits}."),
                    (n, false) => tr!("{n} jobs run{waits}."),
                    (_, true) => theme.drawable_text(tr!("leaving when the jobs have ended …")),
                }),
                Line::default(),
                key("w", tr!("  wait for the end, then leave")),
                key("c", tr!("  cancel, then leave")),
                key(tr!("Esc"), tr!("  stay")),
            ],
        };
        let size = (40, lines.len() as u16);
        let area = draw_window(app, frame, screen, tr!("Leave?"), "", size);
        draw_scrolled(app, frame, area, &lines, 0);
        ScrollLayout::default()
    }

    fn waits_to_leave(&self) -> bool {
        self.waiting
    }
}
