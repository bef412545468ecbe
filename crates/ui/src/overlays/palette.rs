//! Every action by name, and everything that can be gone to.

use crossterm::event::{Event, KeyCode, KeyEvent};
use matou_i18n::tr;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::places::{FoundSnapshots, Place, PlaceGoal, list_places, search_snapshots};
use super::{FormOverlay, draw_choices, draw_own_window, input_spans, widest};
use crate::call::Choice;
use crate::cut::{draw_line, draw_text};
use crate::keymap::KEY_TABLE;
use crate::layout::ScrollLayout;
use crate::overlay::{Overlay, OverlayReply};
use crate::panes::RowFilter;
use crate::state::App;
use matou_base::text::{clean_line, fit_to_width, truncate_to_width};

/// Lines that are listed at most.
const MOST_LISTED: usize = 200;

/// Columns of a screen on which long names are shown whole.
const WIDE_SCREEN: u16 = 100;

#[derive(Default)]
pub(crate) struct PaletteOverlay {
    input: Input,
    at: usize,
}

/// A line of the palette.
struct Entry {
    name: String,
    /// The keys of an action; of a place the word for what it is.
    keys: String,
    help: String,
    goal: EntryGoal,
}

enum EntryGoal {
    Choice(Choice),
    Place(PlaceGoal),
}

impl Entry {
    fn for_place(place: Place) -> Self {
        Self {
            name: place.name,
            keys: place.kind.to_owned(),
            help: place.about,
            goal: EntryGoal::Place(place.goal),
        }
    }

    fn is_place(&self) -> bool {
        matches!(self.goal, EntryGoal::Place(_))
    }

    /// All that words may be found in. What a place is called, it is found by too: `node ma`.
    fn full_text(&self) -> String {
        match self.is_place() {
            true => format!("{} {} {}", self.keys, self.name, self.help),
            false => format!("{} {}", self.name, self.help),
        }
    }
}

/// What a text finds.
struct FoundEntries {
    /// The best first.
    entries: Vec<Entry>,
    /// What is said of them.
    note: String,
}

/// Every action, then the operator's own commands.
fn list_actions(app: &App) -> Vec<Entry> {
    let actions = KEY_TABLE.iter().map(|b| Entry {
        name: b.name.to_owned(),
        keys: app.keymap.format_keys(b.action),
        help: b.help.to_string(),
        goal: EntryGoal::Choice(Choice::Action(b.action)),
    });
    let own = app
        .command_lines()
        .enumerate()
        .map(|(at, (keys, text))| Entry {
            name: tr!("own command").to_owned(),
            keys,
            help: text.to_owned(),
            goal: EntryGoal::Choice(Choice::Command(at)),
        });
    actions.chain(own).collect()
}

impl PaletteOverlay {
    /// The actions and places, the best first: whose name begins with what was typed, whose name contains it,
    /// whose help does, of equals the actions; only when there is none, those that have its letters in their
    /// order. Without a text all actions.
    fn find_entries(&self, app: &App) -> FoundEntries {
        let typed = self.input.value();
        let mut entries = list_actions(app);
        let mut snapshots = FoundSnapshots::default();
        if !typed.trim().is_empty() {
            entries.extend(list_places(app).into_iter().map(Entry::for_place));
            snapshots = search_snapshots(app, typed);
        }
        let mut words = RowFilter::by_words(typed);
        let mut rank = |e: &Entry| {
            let named = words.score(&e.name);
            let found = named.or_else(|| words.score(&e.full_text()))?;
            let begins = e.name.starts_with(typed);
            Some((begins, named.is_some(), !e.is_place(), found))
        };
        let (mut ranked, mut others) = (Vec::new(), Vec::new());
        for entry in entries {
            match rank(&entry) {
                Some(rank) => ranked.push((rank, entry)),
                None => others.push(entry),
            }
        }
        let listed = snapshots.places.len();
        ranked.extend(snapshots.places.into_iter().map(|place| {
            let begins = place.name.starts_with(typed);
            ((begins, begins, false, 0), Entry::for_place(place))
        }));
        let mut found = sort_entries(ranked);
        if found.is_empty() {
            let mut letters = RowFilter::by_letters(typed);
            let ranked = others.into_iter().filter_map(|e| {
                let score = match e.is_place() {
                    true => letters.score(&e.name),
                    false => letters.score(&e.full_text()),
                };
                Some(((score?, !e.is_place()), e))
            });
            found = sort_entries(ranked.collect());
        }
        let count = found.len();
        let note = if typed.trim().is_empty() {
            tr!("also finds applications, nodes, domains, volumes, snapshots, stacks").to_owned()
        } else if count > MOST_LISTED {
            tr!("the first {MOST_LISTED} of {count}: type more")
        } else if snapshots.count > listed {
            let all = snapshots.count;
            tr!("{listed} of {all} snapshots, the newest: type more")
        } else {
            String::new()
        };
        found.truncate(MOST_LISTED);
        FoundEntries {
            entries: found,
            note,
        }
    }
}

/// Returns the entries, the highest rank first.
fn sort_entries<R: Ord>(mut ranked: Vec<(R, Entry)>) -> Vec<Entry> {
    ranked.sort_by(|(a, _), (b, _)| b.cmp(a));
    ranked.into_iter().map(|(_, e)| e).collect()
}

/// Does what an entry stands for.
fn choose_entry(app: &mut App, entry: Entry) -> OverlayReply {
    match entry.goal {
        EntryGoal::Choice(choice) => OverlayReply {
            choice: Some(choice),
            ..OverlayReply::close()
        },
        EntryGoal::Place(PlaceGoal::Stack(name)) => {
            match app.catalogue.iter().find(|e| e.name == name) {
                Some(stack) => OverlayReply::replace(FormOverlay::for_deploy(stack)),
                None => OverlayReply::close(),
            }
        }
        EntryGoal::Place(PlaceGoal::Row { pane, key, below }) => {
            if !app.go_to_row(pane, &key, below) {
                let name = entry.name;
                app.show_notice(tr!("{name} is in none of the panes"), false);
            }
            OverlayReply::close()
        }
    }
}

/// A line of the list; its name and its keys take so many columns.
fn palette_line(app: &App, entry: &Entry, (names, keys): (usize, usize)) -> Line<'static> {
    let theme = app.theme;
    let shown = |text: &str| theme.drawable_text(&clean_line(text));
    let fit = |text: &str, columns| fit_to_width(&shown(text), columns, theme.ellipsis());
    let key_style = match entry.is_place() {
        true => theme.dim(),
        false => theme.key(),
    };
    Line::from(vec![
        Span::styled(fit(&entry.name, names), theme.title()),
        Span::raw(" "),
        Span::styled(fit(&entry.keys, keys), key_style),
        Span::raw(" "),
        Span::raw(shown(&entry.help)),
    ])
}

impl Overlay for PaletteOverlay {
    fn handle_key(&mut self, app: &mut App, key: KeyEvent) -> OverlayReply {
        match key.code {
            KeyCode::Esc => return OverlayReply::close(),
            KeyCode::Down | KeyCode::Tab => {
                let count = self.find_entries(app).entries.len();
                self.at = (self.at + 1).min(count.saturating_sub(1));
            }
            KeyCode::Up | KeyCode::BackTab => self.at = self.at.saturating_sub(1),
            KeyCode::Enter => {
                let found = self.find_entries(app).entries;
                let at = self.at.min(found.len().saturating_sub(1));
                // Where nothing is found, the text stays, to be mended.
                if let Some(entry) = found.into_iter().nth(at) {
                    return choose_entry(app, entry);
                }
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
        let theme = app.theme;
        let FoundEntries {
            entries: found,
            note,
        } = self.find_entries(app);
        let longest = if screen.width < WIDE_SCREEN { 22 } else { 36 };
        let keys = widest(found.iter().map(|e| e.keys.as_str())).clamp(14, 22);
        let names = widest(found.iter().map(|e| e.name.as_str())).clamp(14, longest);
        // Of all actions, not of those that are found: a box that changes while one types is hard to read.
        let helps: Vec<String> = list_actions(app).into_iter().map(|e| e.help).collect();
        let columns = names + keys + widest(helps.iter().map(String::as_str)) + 4;
        let size = (u16::try_from(columns).unwrap_or(u16::MAX).max(72), 18);
        let hint = tr!("type to find · Enter does it · Esc back");
        let area = draw_own_window(app, frame, screen, tr!("Actions"), hint, size);
        let mut spans = vec![Span::styled(": ", theme.key())];
        let room = usize::from(area.width).saturating_sub(2);
        spans.extend(input_spans(app, &self.input, true, room));
        draw_line(frame.buffer_mut(), area, &Line::from(spans), theme);
        if area.height > 1 {
            let room = usize::from(area.width);
            let note = truncate_to_width(&note, room, theme.ellipsis());
            frame
                .buffer_mut()
                .set_stringn(area.x, area.y + 1, note, room, theme.dim());
        }
        let lines = found.iter().map(|e| palette_line(app, e, (names, keys)));
        let lines = lines.collect();
        let list = Rect {
            y: area.y.saturating_add(2).min(area.bottom()),
            height: area.height.saturating_sub(2),
            ..area
        };
        if found.is_empty() && !list.is_empty() {
            let text = tr!("nothing matches");
            draw_text(frame.buffer_mut(), list, text, theme.dim(), theme);
        }
        let at = self.at.min(found.len().saturating_sub(1));
        draw_choices(app, frame, list, lines, at).into()
    }

    fn takes_text(&self) -> bool {
        true
    }

    fn paste(&mut self, _: &App, text: &str) {
        crate::text_input::insert_text(&mut self.input, text);
        self.at = 0;
    }
}
