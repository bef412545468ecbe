//! What can be deployed.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{FormOverlay, draw_choices, draw_window, move_by_key};
use crate::layout::ScrollLayout;
use crate::overlay::{Overlay, OverlayReply};
use crate::state::App;
use matou_base::text::{clean_line, fit_to_width};

#[derive(Default)]
pub(crate) struct CatalogueOverlay {
    at: usize,
}

impl Overlay for CatalogueOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => OverlayReply::close(),
            KeyCode::Enter => match app.catalogue.get(self.at) {
                Some(entry) => {
                    let mut reply = OverlayReply::stay();
                    reply.open = Some(Box::new(FormOverlay::for_deploy(entry)));
                    reply
                }
                None => OverlayReply::stay(),
            },
            _ => {
                move_by_key(key, &mut self.at, app.catalogue.len(), 10);
                OverlayReply::stay()
            }
        }
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let size = (76, app.catalogue.len().max(3) as u16);
        let hint = "Enter deploys it · Esc back";
        let area = draw_window(app, frame, screen, "Catalogue", hint, size);
        let theme = app.theme;
        let lines = app
            .catalogue
            .iter()
            .map(|entry| {
                let name = fit_to_width(&clean_line(&entry.name), 14, theme.ellipsis());
                Line::from(vec![
                    Span::styled(name, theme.title()),
                    Span::raw(format!(
                        " {}",
                        theme.drawable_text(&clean_line(&entry.description))
                    )),
                ])
            })
            .collect();
        draw_choices(app, frame, area, lines, self.at);
        ScrollLayout::default()
    }

    fn leads_to_plan(&self) -> bool {
        true
    }
}
