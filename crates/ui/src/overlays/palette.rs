//! Every action by name.

use crossterm::event::{Event, KeyCode, KeyEvent};
use matou_i18n::tr;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::{draw_choices, draw_own_window, input_spans, widest};
use crate::call::Choice;
use crate::cut::{draw_line, draw_text};
use crate::keymap::KEY_TABLE;
use crate::layout::ScrollLayout;
use crate::overlay::{Overlay, OverlayReply};
use crate::panes::RowFilter;
use crate::state::App;
use matou_base::text::fit_to_width;

#[derive(Default)]
pub(crate) struct PaletteOverlay {
    input: Input,
    at: usize,
}

/// A line of the palette.
struct Entry {
    name: String,
    keys: String,
    help: String,
    choice: Choice,
}

/// Every action, then the operator's own commands.
fn list_entries(app: &App) -> Vec<Entry> {
    let actions = KEY_TABLE.iter().map(|b| Entry {
        name: b.name.to_owned(),
        keys: app.keymap.format_keys(b.action),
        help: b.help.to_string(),
        choice: Choice::Action(b.action),
    });
    let own = app
        .command_lines()
        .enumerate()
        .map(|(at, (keys, text))| Entry {
            name: tr!("own command").to_owned(),
            keys,
            help: text.to_owned(),
            choice: Choice::Command(at),
        });
    actions.chain(own).collect()
}

impl PaletteOverlay {
    /// The actions, the best first: whose name begins with what was typed, whose name contains it, whose
    /// help does; only when there is none, those that have its letters in their order.
    fn find_entries(&self, app: &App) -> Vec<Entry> {
        let typed = self.input.value();
        let mut words = RowFilter::by_words(typed);
        let mut rank = |e: &Entry| {
            let named = words.score(&e.name);
            let found = named.or_else(|| words.score(&format!("{} {}", e.name, e.help)))?;
            Some((e.name.starts_with(typed), named.is_some(), found))
        };
        let found = sort_entries(app, &mut rank);
        if !found.is_empty() {
            return found;
        }
        let mut letters = RowFilter::by_letters(typed);
        sort_entries(app, &mut |e| {
            letters.score(&format!("{} {}", e.name, e.help))
        })
    }
}

/// Returns the entries that have a rank, the highest first.
fn sort_entries<R: Ord>(app: &App, rank: &mut dyn FnMut(&Entry) -> Option<R>) -> Vec<Entry> {
    let ranked = list_entries(app).into_iter();
    let mut found: Vec<(R, Entry)> = ranked.filter_map(|e| Some((rank(&e)?, e))).collect();
    found.sort_by(|(a, _), (b, _)| b.cmp(a));
    found.into_iter().map(|(_, e)| e).collect()
}

impl Overlay for PaletteOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        let found = self.find_entries(app);
        match key.code {
            KeyCode::Esc => return OverlayReply::close(),
            KeyCode::Down | KeyCode::Tab => {
                self.at = (self.at + 1).min(found.len().saturating_sub(1));
            }
            KeyCode::Up | KeyCode::BackTab => self.at = self.at.saturating_sub(1),
            // Nothing is found: the text stays, to be mended.
            KeyCode::Enter if found.is_empty() => {}
            KeyCode::Enter => {
                let mut reply = OverlayReply::close();
                reply.choice = found.get(self.at).map(|e| e.choice);
                return reply;
            }
            _ => {
                if self.input.handle_event(&Event::Key(key)).is_some() {
                    self.at = 0;
                }
            }
        }
        OverlayReply::stay()
    }

    fn draw(&self, app: &App, frame: &mut Frame, screen: Rect) -> ScrollLayout {
        let found = self.find_entries(app);
        let keys = widest(found.iter().map(|e| e.keys.as_str())).clamp(14, 22);
        let names = widest(found.iter().map(|e| e.name.as_str())).clamp(14, 22);
        // Of all actions, not of those that are found: a box that changes while one types is hard to read.
        let helps: Vec<String> = list_entries(app).into_iter().map(|e| e.help).collect();
        let columns = names + keys + widest(helps.iter().map(String::as_str)) + 4;
        let size = (u16::try_from(columns).unwrap_or(u16::MAX).max(72), 18);
        let hint = tr!("type to find · Enter does it · Esc back");
        let area = draw_own_window(app, frame, screen, tr!("Actions"), hint, size);
        let mut spans = vec![Span::styled(": ", app.theme.key())];
        let room = usize::from(area.width).saturating_sub(2);
        spans.extend(input_spans(app, &self.input, true, room));
        let theme = app.theme;
        draw_line(frame.buffer_mut(), area, &Line::from(spans), theme);
        let lines = found
            .iter()
            .map(|e| {
                Line::from(vec![
                    Span::styled(
                        fit_to_width(&e.name, names, theme.ellipsis()),
                        theme.title(),
                    ),
                    Span::raw(" "),
                    Span::styled(
                        fit_to_width(&theme.drawable_text(&e.keys), keys, theme.ellipsis()),
                        theme.key(),
                    ),
                    Span::raw(" "),
                    Span::raw(theme.drawable_text(&e.help)),
                ])
            })
            .collect();
        let list = Rect {
            y: area.y.saturating_add(2).min(area.bottom()),
            height: area.height.saturating_sub(2),
            ..area
        };
        if found.is_empty() && !list.is_empty() {
            let text = tr!("nothing matches");
            draw_text(frame.buffer_mut(), list, text, theme.dim(), theme);
        }
        draw_choices(app, frame, list, lines, self.at).into()
    }

    fn takes_text(&self) -> bool {
        true
    }

    fn paste(&mut self, _: &App, text: &str) {
        crate::text_input::insert_text(&mut self.input, text);
        self.at = 0;
    }
}
