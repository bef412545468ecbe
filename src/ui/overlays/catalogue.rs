//! What can be deployed.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Form, Overlay, Reply, choices, moved, window};
use crate::text::{clean, fit};
use crate::ui::state::App;

#[derive(Default)]
pub(in crate::ui) struct Catalogue {
    at: usize,
}

impl Catalogue {
    pub(super) fn key(&mut self, app: &mut App, key: KeyEvent) -> Reply {
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => Reply::close(),
            KeyCode::Enter => match app.catalogue.get(self.at) {
                Some(entry) => {
                    let mut reply = Reply::stay();
                    reply.open = Some(Overlay::Form(Form::deploy(entry)));
                    reply
                }
                None => Reply::stay(),
            },
            _ => {
                moved(key, &mut self.at, app.catalogue.len(), 10);
                Reply::stay()
            }
        }
    }

    pub(super) fn draw(&mut self, app: &App, frame: &mut Frame, screen: Rect) {
        let size = (76, app.catalogue.len().max(3) as u16);
        let hint = "Enter deploys it · Esc back";
        let area = window(app, frame, screen, "Catalogue", hint, size);
        let theme = app.theme;
        let lines = app
            .catalogue
            .iter()
            .map(|entry| {
                let name = fit(&clean(&entry.name), 14, theme.ellipsis());
                Line::from(vec![
                    Span::styled(name, theme.title()),
                    Span::raw(format!(" {}", theme.text(&clean(&entry.description)))),
                ])
            })
            .collect();
        choices(app, frame, area, lines, self.at);
    }
}
