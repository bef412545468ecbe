//! What is not as it should be.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Reply, choices, moved, window};
use crate::text::{age, clean, fit};
use crate::ui::panes::wrap;
use crate::ui::state::App;

#[derive(Default)]
pub(in crate::ui) struct Alerts {
    at: usize,
}

impl Alerts {
    pub(super) fn key(&mut self, app: &mut App, key: KeyEvent) -> Reply {
        match key.code {
            KeyCode::Esc | KeyCode::Char('q' | 'a') => Reply::close(),
            KeyCode::Enter => {
                let row = app.alerts.get(self.at).map(|a| a.row.clone());
                if let Some(row) = row {
                    app.go_to(&row);
                }
                Reply::close()
            }
            _ => {
                moved(key, &mut self.at, app.alerts.len(), 10);
                Reply::stay()
            }
        }
    }

    pub(super) fn draw(&mut self, app: &App, frame: &mut Frame, screen: Rect) {
        let theme = app.theme;
        self.at = self.at.min(app.alerts.len().saturating_sub(1));
        let columns = usize::from(screen.width).saturating_sub(8).min(100);
        let selected = app.alerts.get(self.at);
        let reason = selected.map_or_else(Vec::new, |a| wrap(&theme.text(&clean(&a.why)), columns));
        let height = app.alerts.len().max(1) + reason.len() + 1;
        let size = (columns as u16, height as u16);
        let hint = "Enter goes there · Esc back";
        let area = window(app, frame, screen, "Alerts", hint, size);
        if app.alerts.is_empty() {
            let text = "All is as it should be.";
            frame
                .buffer_mut()
                .set_line(area.x, area.y, &Line::raw(text), area.width);
            return;
        }
        let lines = app
            .alerts
            .iter()
            .map(|a| {
                let since = a.since.map_or_else(String::new, |t| age(app.now, t));
                Line::from(vec![
                    Span::styled(theme.glyph(a.health), theme.health(a.health)),
                    Span::styled(
                        format!(
                            " {} ",
                            fit(&theme.text(&clean(&a.what)), 16, theme.ellipsis())
                        ),
                        theme.title(),
                    ),
                    Span::styled(format!("{} ", fit(&since, 7, "")), theme.dim()),
                    Span::raw(theme.text(&clean(&a.why))),
                ])
            })
            .collect();
        // The selected one is told in full below.
        let room = area.height.saturating_sub(reason.len() as u16 + 1);
        let list = Rect {
            height: room,
            ..area
        };
        choices(app, frame, list, lines, self.at);
        let lines: Vec<Line> = reason.into_iter().map(Line::raw).collect();
        let below = Rect {
            y: (area.y + room + 1).min(area.bottom()),
            height: area.height.saturating_sub(room + 1),
            ..area
        };
        super::scrolled(frame, below, &lines, 0);
    }
}
