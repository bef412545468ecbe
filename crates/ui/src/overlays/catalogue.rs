//! What can be deployed.

use crossterm::event::{KeyCode, KeyEvent};
use matou_i18n::tr;
use matou_stack::translate_stack_text;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{FormOverlay, add_help_hint, draw_choices, draw_own_window, move_by_key};
use crate::cut::draw_text;
use crate::follow::{Query, QueryOutcome};
use crate::layout::ScrollLayout;
use crate::overlay::{Overlay, OverlayReply};
use crate::state::App;
use matou_base::text::{clean_line, fit_to_width, truncate_to_width};
use matou_stack::CatalogueEntry;

/// Columns of a name, and of a category.
const NAME_COLUMNS: usize = 14;
const CATEGORY_COLUMNS: usize = 10;

#[derive(Default)]
pub(crate) struct CatalogueOverlay {
    /// Among those that the query keeps.
    at: usize,
    query: Query,
}

impl CatalogueOverlay {
    /// Lists what has every word of the query, in the order of the catalogue.
    fn list_found<'a>(&self, app: &'a App) -> Vec<&'a CatalogueEntry> {
        let wanted = self.query.text().to_lowercase();
        let entries = app.catalogue.iter();
        entries
            .filter(|e| {
                let category = translate_stack_text(e.category.as_str());
                let text = format!("{} {} {category} {}", e.name, e.title, e.description);
                let text = text.to_lowercase();
                wanted.split_whitespace().all(|word| text.contains(word))
            })
            .collect()
    }
}

impl Overlay for CatalogueOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        match self.query.handle_key(key) {
            QueryOutcome::Changed => self.at = 0,
            QueryOutcome::Entered => return self.open_form(app),
            QueryOutcome::Handled => {
                let arrow = matches!(key.code, KeyCode::Up | KeyCode::Down);
                if arrow {
                    return self.handle_list_key(app, key);
                }
            }
            QueryOutcome::Ignored => return self.handle_list_key(app, key),
        }
        OverlayReply::stay()
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let found = self.list_found(app);
        // As large as it is without a query: it does not jump while one is typed.
        let size = (76, app.catalogue.len().max(3) as u16);
        let hint = tr!("type to find · Enter opens its form · Esc back");
        let title = match self.query.status() {
            Some(query) => tr!(
                "Catalogue {} of {} {query}",
                found.len(),
                app.catalogue.len()
            ),
            None => tr!("Catalogue {}", app.catalogue.len()),
        };
        let hint = add_help_hint(app, hint, self.takes_text());
        let area = draw_own_window(app, frame, screen, &title, &hint, size);
        let theme = app.theme;
        let lines = found
            .iter()
            .map(|entry| {
                let name = fit_to_width(&clean_line(&entry.name), NAME_COLUMNS, theme.ellipsis());
                let category = fit_to_width(
                    translate_stack_text(entry.category.as_str()),
                    CATEGORY_COLUMNS,
                    theme.ellipsis(),
                );
                let text = theme.drawable_text(&clean_line(&entry.description));
                let room =
                    usize::from(area.width).saturating_sub(NAME_COLUMNS + CATEGORY_COLUMNS + 4);
                let text = truncate_to_width(&text, room, theme.ellipsis());
                Line::from(vec![
                    Span::styled(name, theme.title()),
                    Span::styled(format!(" {category}"), theme.dim()),
                    Span::raw(format!(" {text}")),
                ])
            })
            .collect::<Vec<_>>();
        if lines.is_empty() {
            let text = tr!("nothing matches; Esc ends the search");
            draw_text(frame.buffer_mut(), area, text, theme.dim(), theme);
        }
        draw_choices(app, frame, area, lines, self.at).into()
    }

    fn takes_text(&self) -> bool {
        self.query.is_typing()
    }

    fn paste(&mut self, _: &App, text: &str) {
        if self.query.paste(text) {
            self.at = 0;
        }
    }

    fn leads_to_plan(&self) -> bool {
        true
    }
}

impl CatalogueOverlay {
    /// Opens the form of the selected entry.
    fn open_form(&self, app: &App) -> OverlayReply {
        let mut reply = OverlayReply::stay();
        if let Some(entry) = self.list_found(app).get(self.at) {
            reply.open = Some(Box::new(FormOverlay::for_deploy(entry)));
        }
        reply
    }

    /// Takes a key that is not typed into the query.
    fn handle_list_key(&mut self, app: &App, key: KeyEvent) -> OverlayReply {
        let found = self.list_found(app);
        match key.code {
            KeyCode::Esc => OverlayReply::close(),
            KeyCode::Enter => self.open_form(app),
            // A letter begins the search.
            KeyCode::Char(_) => {
                self.query.handle_key(KeyEvent::from(KeyCode::Char('/')));
                self.query.handle_key(key);
                self.at = 0;
                OverlayReply::stay()
            }
            _ => {
                move_by_key(key, &mut self.at, found.len(), 10);
                OverlayReply::stay()
            }
        }
    }
}
