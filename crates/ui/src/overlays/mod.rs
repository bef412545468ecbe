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

use super::cut::{draw_line, row_at};
use super::keymap::Action;
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

/// Draws a box in the middle of the screen, of which letters are keys: the one of the help works in it. Returns the
/// area inside it.
fn draw_window(
    app: &App,
    frame: &mut Frame,
    screen: Rect,
    title: &str,
    hint: &str,
    size: (u16, u16),
) -> Rect {
    let hint = add_help_hint(app, hint, false);
    draw_own_window(app, frame, screen, title, &hint, size)
}

/// Draws a box as [`draw_window`] does, with its own keys alone.
fn draw_own_window(
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
            let parts = fit_hints(app, hint, display_width(HINT_SEPARATOR), room);
            let hint = theme.drawable_text(&format!(" {} ", parts.join(HINT_SEPARATOR)));
            block.title_bottom(Line::from(hint).right_aligned())
        }
    };
    frame.render_widget(Clear, area);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner.inner(Margin::new(1, 0))
}

/// Stands between the parts of a hint.
const HINT_SEPARATOR: &str = " · ";

/// The key that opens the help above an overlay: none of the letters and digits, which are the overlay's.
pub(super) fn help_key(app: &App) -> Option<String> {
    let keys = app.keymap.format_keys(Action::Help);
    let mut keys = keys.split(' ');
    let free = keys.find(|key| {
        let mut letters = key.chars();
        !matches!((letters.next(), letters.next()), (Some(c), None) if c.is_alphanumeric())
    });
    free.filter(|key| !key.is_empty()).map(str::to_owned)
}

/// Returns a hint with the key of the help at its end. `typing`: letters are no keys now, nor is that one.
fn add_help_hint(app: &App, hint: &str, typing: bool) -> String {
    let hint = match hint {
        "" => tr!("Esc back"),
        hint => hint,
    };
    match help_key(app).filter(|_| !typing) {
        Some(key) => format!("{hint}{HINT_SEPARATOR}{key} {}", tr!("help")),
        None => hint.to_owned(),
    }
}

/// Returns the parts of a hint that have room in so many columns, with `gap` columns between two. The last ones are
/// worth least, but the way back and the help stay.
fn fit_hints(app: &App, hint: &str, gap: usize, room: usize) -> Vec<String> {
    let help = help_key(app);
    let first_word = |part: &str| part.split(' ').next().unwrap_or_default().to_owned();
    let is_help = |part: &str| help.as_deref() == Some(&*first_word(part));
    let stays = |part: &str| is_help(part) || first_word(part) == tr!("Esc");
    let width = |parts: &[String]| {
        let columns: usize = parts.iter().map(|part| display_width(part)).sum();
        columns + gap * parts.len().saturating_sub(1)
    };
    let mut parts: Vec<String> = hint.split(HINT_SEPARATOR).map(str::to_owned).collect();
    while width(&parts) > room
        && let Some(at) = parts.iter().rposition(|part| !stays(part))
    {
        parts.remove(at);
    }
    // The key of the help is known without its word; the way back then has what is left.
    if width(&parts) > room
        && let Some(part) = parts.iter_mut().find(|part| is_help(part))
    {
        *part = first_word(part);
    }
    let over = width(&parts).saturating_sub(room);
    if let (1.., Some(part)) = (over, parts.iter_mut().find(|part| !is_help(part))) {
        let columns = display_width(part).saturating_sub(over);
        *part = truncate_to_width(part, columns, app.theme.ellipsis()).into_owned();
    }
    parts
}

/// Draws the keys of the topmost overlay into the last line of the screen.
fn draw_hint_line(app: &App, frame: &mut Frame, screen: Rect, hint: &str) {
    let theme = app.theme;
    let line = row_at(screen, screen.bottom() - 1);
    let mut spans = vec![Span::raw(" ")];
    for part in fit_hints(app, hint, 2, usize::from(line.width).saturating_sub(2)) {
        let (key, rest) = part.split_once(' ').unwrap_or((part.as_str(), ""));
        // What is no key is a sentence.
        let is_key = key.chars().count() == 1 || HINT_KEYS.iter().any(|k| k.get() == key);
        let style = match is_key {
            true => theme.key(),
            false => Style::new(),
        };
        spans.push(Span::styled(theme.drawable_text(key), style));
        let rest = match rest {
            "" => "  ".to_owned(),
            rest => format!(" {rest}  "),
        };
        spans.push(Span::raw(theme.drawable_text(&rest)));
    }
    frame.render_widget(Clear, line);
    draw_line(frame.buffer_mut(), line, &Line::from(spans), theme);
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
fn draw_scrolled(
    app: &App,
    frame: &mut Frame,
    area: Rect,
    lines: &[Line<'_>],
    top: usize,
) -> ScrollLayout {
    let height = usize::from(area.height);
    let top = top.min(lines.len().saturating_sub(height));
    for (y, line) in (area.y..area.bottom()).zip(&lines[top..]) {
        draw_line(frame.buffer_mut(), row_at(area, y), line, app.theme);
    }
    ScrollLayout {
        lines: lines.len(),
        height,
        top,
        choices: None,
    }
}

/// Draws the lines that have room. Where some have none, the last one drawn ends with an ellipsis.
fn draw_cut_lines(app: &App, frame: &mut Frame, area: Rect, lines: &[Line<'_>]) {
    let height = usize::from(area.height);
    draw_scrolled(app, frame, area, &lines[..height.min(lines.len())], 0);
    if height > 0 && lines.len() > height {
        let mut last = lines[height - 1].clone();
        last.push_span(Span::raw(format!(" {}", app.theme.ellipsis())));
        let place = row_at(area, area.bottom() - 1);
        draw_line(frame.buffer_mut(), place, &last, app.theme);
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
        let place = row_at(area, y);
        draw_line(frame.buffer_mut(), place, &Line::from(spans), app.theme);
        if i == at {
            frame.buffer_mut().set_style(place, app.theme.selected());
        }
    }
    ChoiceRows {
        area,
        count,
        top,
        at,
    }
}

/// What is asked, and behind it what is typed; below it where there is no room beside it.
fn prompt_lines(
    app: &App,
    asked: Vec<Span<'static>>,
    input: &tui_input::Input,
    columns: usize,
) -> Vec<Line<'static>> {
    let used: usize = asked.iter().map(Span::width).sum();
    let beside = columns.saturating_sub(used);
    // The cursor stands behind the text.
    if display_width(input.value()) < beside {
        let spans = asked
            .into_iter()
            .chain(input_spans(app, input, true, beside));
        return vec![Line::from(spans.collect::<Vec<_>>())];
    }
    let mut lines = match used <= columns {
        true => vec![Line::from(asked)],
        false => {
            let text: String = asked.iter().map(|span| span.content.as_ref()).collect();
            let wrapped = crate::panes::wrap_text(&text, columns).into_iter();
            wrapped.map(Line::raw).collect()
        }
    };
    lines.push(Line::from(input_spans(app, input, true, columns)));
    lines
}

/// Returns the text of an input for so many columns, with a cursor when it has the focus: the cursor stays in sight,
/// of a text that is too long the beginning goes.
fn input_spans(
    app: &App,
    input: &tui_input::Input,
    focused: bool,
    room: usize,
) -> Vec<Span<'static>> {
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
    let over = (display_width(before) + display_width(&under)).saturating_sub(room);
    let before = match over {
        0 => before.to_owned(),
        over => {
            let ellipsis = app.theme.ellipsis();
            let gone = over + display_width(ellipsis);
            let mut columns = 0;
            let end = before.char_indices().find(|(_, c)| {
                let is_over = columns >= gone;
                columns += display_width(c.encode_utf8(&mut [0; 4]));
                is_over
            });
            let end = end.map_or(before.len(), |(at, _)| at);
            format!("{ellipsis}{}", &before[end..])
        }
    };
    vec![
        Span::raw(before),
        Span::styled(under, app.theme.selected()),
        Span::raw(rest),
    ]
}
