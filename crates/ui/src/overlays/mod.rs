//! What lies over the panes: one file an overlay. The topmost gets the keys.

mod alerts;
mod bans;
mod batch;
mod catalogue;
mod command;
mod form;
mod help;
mod history;
mod intrusions;
mod jobs;
mod menu;
mod message;
mod palette;
mod places;
mod plan;
mod quit;
mod restore;
mod search;
mod shell;
mod versions;
mod welcome;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use matou_i18n::{Text, both, tr};
use ratatui::Frame;
use ratatui::layout::{Margin, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear};

use super::layout::{ChoiceRows, ScrollLayout};
use super::state::App;
use matou_base::text::{display_width, truncate_middle, truncate_to_width};

pub(super) use alerts::AlertsOverlay;
pub(super) use bans::BansOverlay;
pub(super) use batch::{BatchWish, open_wishes};
pub(super) use catalogue::CatalogueOverlay;
pub(super) use command::CommandOverlay;
pub(super) use form::FormOverlay;
pub(super) use help::HelpOverlay;
pub(super) use history::HistoryOverlay;
pub(super) use intrusions::IntrusionsOverlay;
pub(super) use jobs::JobsOverlay;
pub(super) use menu::NodeMenuOverlay;
pub(super) use message::MessageOverlay;
pub(super) use palette::PaletteOverlay;
pub(super) use plan::{PlanOverlay, open_plan};
pub(super) use quit::QuitOverlay;
pub(super) use restore::RestoreOverlay;
pub(super) use search::LogSearchOverlay;
pub(super) use shell::ShellOverlay;
pub(super) use versions::VersionsOverlay;
pub(super) use welcome::WelcomeOverlay;

/// Moves in a list or a text by the usual keys. Returns false when the key is none of them.
fn move_by_key(key: KeyEvent, at: &mut usize, len: usize, page: usize) -> bool {
    let last = len.saturating_sub(1);
    let half = (page / 2).max(1);
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    *at = match key.code {
        KeyCode::Char('d') | KeyCode::PageDown if control => *at + half,
        KeyCode::Char('u') | KeyCode::PageUp if control => at.saturating_sub(half),
        _ if control => return false,
        KeyCode::Down | KeyCode::Char('j') => *at + 1,
        KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
        KeyCode::PageDown => *at + half * 2,
        KeyCode::PageUp => at.saturating_sub(half * 2),
        KeyCode::Home | KeyCode::Char('g') => 0,
        KeyCode::End | KeyCode::Char('G') => last,
        _ => return false,
    };
    *at = (*at).min(last);
    true
}

/// Draws a box in the middle of the screen. Returns the area inside it.
fn draw_window(
    app: &App,
    frame: &mut Frame,
    screen: Rect,
    title: &str,
    hint: &str,
    size: (u16, u16),
) -> Rect {
    let width = size.0.saturating_add(4).min(screen.width);
    let height = size.1.saturating_add(2).min(screen.height);
    let area = Rect {
        x: screen.x + (screen.width - width) / 2,
        y: screen.y + (screen.height - height) / 2,
        width,
        height,
    };
    let theme = app.theme;
    let title = theme.drawable_text(&matou_base::text::clean_line(title));
    let room = usize::from(width).saturating_sub(4);
    // Of a path, its end is the file's name.
    let cut = match title.contains('/') {
        true => truncate_middle,
        false => truncate_to_width,
    };
    let title = cut(&title, room, theme.ellipsis()).into_owned();
    let block = Block::bordered()
        .border_set(theme.border())
        .border_style(theme.focus())
        .title(Line::from(Span::styled(
            format!(" {title} "),
            theme.title(),
        )));
    // The keys stand where all keys do, unless that line is covered or says something else.
    let block = match app.notice.is_none() && area.bottom() < screen.bottom() {
        true => {
            draw_hint_line(app, frame, screen, hint);
            block
        }
        false => {
            let hint = theme.drawable_text(&format!(" {hint} "));
            block.title_bottom(Line::from(hint).right_aligned())
        }
    };
    frame.render_widget(Clear, area);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner.inner(Margin::new(1, 0))
}

/// Draws the keys of the topmost overlay into the last line of the screen.
fn draw_hint_line(app: &App, frame: &mut Frame, screen: Rect, hint: &str) {
    let theme = app.theme;
    let line = Rect {
        y: screen.bottom() - 1,
        height: 1,
        ..screen
    };
    let hint = if hint.is_empty() {
        tr!("Esc back")
    } else {
        hint
    };
    let mut spans = vec![Span::raw(" ")];
    for part in hint.split(" · ") {
        let (key, rest) = part.split_once(' ').unwrap_or((part, ""));
        // What is no key is a sentence.
        let is_key = key.chars().count() == 1 || HINT_KEYS.iter().any(|k| k.get() == key);
        let style = match is_key {
            true => theme.key(),
            false => Style::new(),
        };
        spans.push(Span::styled(theme.drawable_text(key), style));
        spans.push(Span::raw(theme.drawable_text(&format!(" {rest}  "))));
    }
    frame.render_widget(Clear, line);
    frame
        .buffer_mut()
        .set_line(line.x, line.y, &Line::from(spans), line.width);
}

/// Names of keys in hints, beside single letters.
const HINT_KEYS: [Text; 5] = [
    both!("Enter"),
    both!("Esc"),
    both!("Space"),
    both!("Tab"),
    both!("Up/Down"),
];

/// Returns the hint about keys, and before it, where not all `lines` are in sight, which of them are. `typing`:
/// letters are no keys now.
fn format_scroll_hint(
    lines: usize,
    (top, page): (usize, usize),
    typing: bool,
    hint: &str,
) -> String {
    if lines <= page {
        return hint.to_owned();
    }
    let first = top.min(lines - page) + 1;
    let keys = if typing { tr!("Up Down") } else { "j k" };
    let last = first + page - 1;
    tr!("{first}-{last} of {lines}, {keys} · {hint}")
}

/// Draws lines from `top` on, limited so that the last page is full.
fn draw_scrolled(frame: &mut Frame, area: Rect, lines: &[Line<'_>], top: usize) -> ScrollLayout {
    let height = usize::from(area.height);
    let top = top.min(lines.len().saturating_sub(height));
    for (y, line) in (area.y..area.bottom()).zip(&lines[top..]) {
        frame.buffer_mut().set_line(area.x, y, line, area.width);
    }
    ScrollLayout {
        lines: lines.len(),
        height,
        top,
        choices: None,
    }
}

/// Returns the columns of the widest text, 0 without any.
fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(display_width).max().unwrap_or(0)
}

/// Draws a list with line `at` selected, scrolled so that it is visible.
fn draw_choices(
    app: &App,
    frame: &mut Frame,
    area: Rect,
    lines: Vec<Line<'_>>,
    at: usize,
) -> ChoiceRows {
    let count = lines.len();
    let height = usize::from(area.height).max(1);
    let top = (at + 1).saturating_sub(height);
    for (y, (i, line)) in (area.y..area.bottom()).zip(lines.into_iter().enumerate().skip(top)) {
        let marker = if i == at {
            app.theme.cursor_glyph()
        } else {
            " "
        };
        let mut spans = vec![Span::raw(format!("{marker} "))];
        spans.extend(line.spans);
        frame
            .buffer_mut()
            .set_line(area.x, y, &Line::from(spans.clone()), area.width);
        if Line::from(spans).width() > usize::from(area.width) && area.width > 0 {
            let end = area.right() - 1;
            frame
                .buffer_mut()
                .set_string(end, y, app.theme.ellipsis(), Style::new());
        }
        if i == at {
            let row = Rect::new(area.x, y, area.width, 1);
            frame.buffer_mut().set_style(row, app.theme.selected());
        }
    }
    ChoiceRows {
        area,
        count,
        top,
        at,
    }
}

/// Returns the text of an input, with a cursor when it has the focus.
fn input_spans(app: &App, input: &tui_input::Input, focused: bool) -> Vec<Span<'static>> {
    let value = app
        .theme
        .drawable_text(&matou_base::text::clean_line(input.value()));
    if !focused {
        return vec![Span::raw(value)];
    }
    let at = value
        .char_indices()
        .nth(input.cursor())
        .map_or(value.len(), |(i, _)| i);
    let (before, after) = value.split_at(at);
    let under = after.chars().next().map_or(" ".into(), |c| c.to_string());
    let rest = after.get(under.len()..).unwrap_or("").to_owned();
    vec![
        Span::raw(before.to_owned()),
        Span::styled(under, app.theme.selected()),
        Span::raw(rest),
    ]
}
