//! The console as lines: what has the keys is told in numbered lines, one after the other, and keys are
//! written as words. For screen readers, braille and scripts: nothing is drawn over what was said.

use matou_i18n::{Text, both, tr};
use std::io;

use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::keymap::parse_key;
use super::layout::{BrowserLayout, ChoiceRows, Layout, ScrollLayout};
use super::mouse::steps_between;
use super::pane::{Focus, Tab};
use super::panes::RowKind;
use super::state::App;
use super::theme::Theme;
use super::view::{read_cells, view};
use matou_base::outln;
use matou_base::text::{InvalidInput, clean_line, truncate_to_width};

/// Columns and rows of what is told: so many rows that nothing has to be scrolled, and too few columns for two
/// panes beside each other.
const PAGE: (u16, u16) = (99, 400);

/// What `help` tells.
pub const LINEAR_HELP: [Text; 8] = [
    both!("A number selects the line of that number; in a list to choose from it chooses it."),
    both!(
        "One character is the key of that name, as everywhere in the console: ? lists them, : finds actions by name."
    ),
    both!(
        "enter, esc, tab, space, up, down, left, right, pageup, pagedown and ctrl-r are keys too."
    ),
    both!("An empty line tells again what is there."),
    both!("Where text is typed, a line is text; =text is text in any case. Then: enter."),
    both!(
        ".1 to .5 are the panes: nodes, services, volumes, certificates, backups; .0 the dashboard; > and < other tabs."
    ),
    both!(". before a digit is the key: .2 goes to the applications."),
    both!("until TEXT waits until that is told, ten minutes at most; quit leaves."),
];

/// The theme of lines: words in the place of colours and signs.
#[must_use]
pub fn linear_theme() -> Theme {
    Theme {
        ascii: true,
        colour: false,
        light: false,
        shades: false,
    }
}

/// What was told of the console, line by line.
#[derive(Default)]
pub struct LinearScreen {
    /// The page that was told last, and what is new of it.
    page: Vec<String>,
    /// The page is to be told whole.
    asked: bool,
    notice: Option<String>,
}

impl LinearScreen {
    /// The page is told whole at the next time.
    pub fn ask(&mut self) {
        self.asked = true;
    }

    /// Whether the page has this text.
    #[must_use]
    pub fn shows(&self, text: &str) -> bool {
        let notice = self.notice.iter();
        self.page
            .iter()
            .chain(notice)
            .any(|line| line.contains(text))
    }

    /// Tells the page when it was asked for, else what is new in it where news are waited for.
    ///
    /// # Errors
    /// When nobody reads the lines any more.
    pub(super) fn tell(&mut self, app: &mut App) -> io::Result<()> {
        let page = linear_page(app);
        let asked = std::mem::take(&mut self.asked);
        let news = asked || tells_news(app);
        for line in &page {
            if asked || (news && !self.page.contains(line)) {
                outln!("{line}")?;
            }
        }
        self.page = page;
        let notice = take_notice(app).map(|(text, error)| match error {
            true => tr!("error: {text}"),
            false => tr!("notice: {text}"),
        });
        if let Some(text) = notice
            .as_ref()
            .filter(|text| self.notice.as_ref() != Some(*text))
        {
            outln!("{text}")?;
        }
        self.notice = notice;
        Ok(())
    }
}

/// Tells what has the keys.
pub fn linear_page(app: &mut App) -> Vec<String> {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(PAGE.0, PAGE.1));
    let mut layout = Layout::default();
    let Ok(_) = terminal.draw(|frame| layout = view(app, frame));
    app.take_layout(layout);
    if let Some(overlay) = app.overlays.last() {
        // Alone, so that all that is there is its own.
        let Ok(mut alone) = Terminal::new(TestBackend::new(PAGE.0, PAGE.1));
        let mut drawn = Default::default();
        let Ok(_) = alone.draw(|frame| drawn = overlay.draw(app, frame, frame.area()));
        return tell_overlay(alone.backend().buffer(), &drawn);
    }
    let buffer = terminal.backend().buffer();
    let all = buffer.area;
    let mut lines = vec![read_header(buffer, Rect { height: 1, ..all })];
    if app.board.is_open() {
        let body = Rect {
            y: 1,
            height: all.height - 2,
            ..all
        };
        lines.extend(read_rows(buffer, body));
    } else if app.focus == Focus::List {
        lines.push(tr!("{}:", app.pane.title()));
        lines.extend(tell_list(app, buffer));
    } else {
        let tab = app.shown_tab();
        let name = match app.selected_row() {
            Some(row) if matches!(row.kind, RowKind::Snapshot(_)) => {
                tr!("snapshot {}", truncate_to_width(&row.name, 8, ""))
            }
            Some(row) => app.theme.drawable_text(&clean_line(&row.name)),
            None => String::new(),
        };
        lines.push(tr!("{name}, {}:", tab.title()));
        lines.extend(tell_detail(app, buffer, tab));
    }
    let last = Rect {
        y: all.height - 1,
        height: 1,
        ..all
    };
    lines.push(tr!("keys: {}", read_row(buffer, last)));
    lines
}

/// Reads what stands in a row: without the frame around it, and with a comma for each gap.
fn read_row(buffer: &Buffer, row: Rect) -> String {
    let text = read_cells(buffer, row);
    let text = text.trim();
    let framed = |edge: char| {
        text.strip_prefix(edge)
            .and_then(|rest| rest.strip_suffix(edge))
    };
    // Of a frame, what is written into it.
    let text = match (framed('+'), framed('|')) {
        (Some(inner), _) => inner.trim_matches(['-', ' ']),
        (None, Some(inner)) => inner.trim(),
        (None, None) => text,
    };
    let mut told = String::new();
    for part in text
        .split("  ")
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        if !told.is_empty() {
            told.push_str(", ");
        }
        told.push_str(part);
    }
    told
}

/// Reads the line at the top, in which a rule fills the gap.
fn read_header(buffer: &Buffer, row: Rect) -> String {
    let text = read_row(buffer, row);
    let parts = text
        .split("--")
        .map(|part| part.trim_matches(['-', ' ', ',']));
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

/// Lines of an area that say something.
fn read_rows(buffer: &Buffer, area: Rect) -> Vec<String> {
    let rows = (area.y..area.bottom()).map(|y| {
        let row = Rect {
            y,
            height: 1,
            ..area
        };
        read_row(buffer, row)
    });
    rows.filter(|line| !line.is_empty()).collect()
}

fn numbered(at: usize, is_selected: bool, text: &str) -> String {
    let mark = if is_selected { tr!("selected: ") } else { "" };
    format!("{} {mark}{text}", at + 1)
}

/// Says the signs before a row of a pane in words: its health, and whether it is opened.
fn tell_signs(text: &str) -> String {
    let (sign, rest) = text.split_once(' ').unwrap_or((text, ""));
    let health = match sign {
        "*" => tr!("well, "),
        "~" => tr!("partly, "),
        "x" => tr!("down, "),
        "?" => tr!("unknown, "),
        "-" => tr!("ended, "),
        _ => return text.to_owned(),
    };
    let folded = [("> ", tr!("closed, ")), ("v ", tr!("open, "))];
    let found = folded
        .iter()
        .find_map(|(sign, word)| Some((rest.strip_prefix(sign)?, *word)));
    let (rest, fold) = found.unwrap_or((rest, ""));
    format!("{health}{fold}{rest}")
}

fn tell_list(app: &App, buffer: &Buffer) -> Vec<String> {
    let drawn = app.layout.lists[app.pane.index()];
    let list = &app.lists[app.pane.index()];
    let area = drawn.area;
    let inner = Rect {
        x: area.x + 1,
        y: area.y + 1,
        width: area.width.saturating_sub(2),
        height: area.height.saturating_sub(2),
    };
    let rows = read_rows(buffer, inner);
    if list.rows.is_empty() {
        return rows;
    }
    let shown = rows.iter().enumerate();
    shown
        .map(|(y, text)| numbered(drawn.top + y, drawn.top + y == list.at, &tell_signs(text)))
        .collect()
}

fn tell_detail(app: &App, buffer: &Buffer, tab: Tab) -> Vec<String> {
    let area = app.layout.detail;
    let entries = match (tab, app.layout.browser) {
        (Tab::Files, Some(BrowserLayout::Entries(rows))) => Some(rows),
        _ => None,
    };
    tell_rows(buffer, area, entries)
}

/// Tells an area, in which some rows may be a list to choose from.
fn tell_rows(buffer: &Buffer, area: Rect, choices: Option<ChoiceRows>) -> Vec<String> {
    let mut lines = Vec::new();
    for y in area.y..area.bottom() {
        let row = Rect {
            y,
            height: 1,
            ..area
        };
        let text = read_row(buffer, row);
        let place = choices.filter(|c| (c.area.y..c.area.bottom()).contains(&y));
        let place = place.map(|c| (c, c.top + usize::from(y - c.area.y)));
        match place.filter(|(c, at)| *at < c.count) {
            _ if text.is_empty() => {}
            Some((c, at)) => {
                let text = text.trim_start_matches(['>', ' ']);
                lines.push(numbered(at, at == c.at, text));
            }
            None => lines.push(text),
        }
    }
    lines
}

/// Tells an overlay that was drawn alone: its title, its lines, and its keys.
fn tell_overlay(buffer: &Buffer, drawn: &ScrollLayout) -> Vec<String> {
    let all = buffer.area;
    let body = Rect {
        height: all.height - 1,
        ..all
    };
    let mut lines = tell_rows(buffer, body, drawn.choices);
    let last = Rect {
        y: all.height - 1,
        height: 1,
        ..all
    };
    lines.push(tr!("keys: {}", read_row(buffer, last)));
    lines
}

/// The keys that type a text. It is not pasted: what confirms a plan takes nothing that was.
fn typed(text: &str) -> Vec<TerminalEvent> {
    let keys = text.chars().map(|c| KeyEvent::from(KeyCode::Char(c)));
    keys.map(TerminalEvent::Key).collect()
}

/// Takes a line. Returns the events that it stands for.
///
/// # Errors
/// A sentence, where it means nothing here.
pub fn take_line(app: &App, line: &str) -> Result<Vec<TerminalEvent>, InvalidInput> {
    let line = line.trim();
    let key = |key: KeyEvent| TerminalEvent::Key(key);
    if line.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(text) = line.strip_prefix('=').filter(|text| !text.is_empty()) {
        return match app.takes_text() {
            true => Ok(typed(text)),
            false => Err(InvalidInput::new(tr!("no text is typed here now"))),
        };
    }
    if line.chars().count() > 1
        && let Ok(named) = parse_key(&line.to_lowercase())
    {
        return Ok(vec![key(named.into())]);
    }
    if app.takes_text() {
        return Ok(typed(line));
    }
    let literal = line
        .strip_prefix('.')
        .filter(|rest| rest.chars().count() == 1);
    if let Some(named) = literal.and_then(|rest| parse_key(rest).ok()) {
        return Ok(vec![key(named.into())]);
    }
    if let Ok(number) = line.parse::<usize>() {
        return go_to(app, number);
    }
    match parse_key(line) {
        Ok(named) => Ok(vec![key(named.into())]),
        Err(_) => Err(InvalidInput::new(tr!(
            "{line:?} is no key, no number of a line, and no text is typed here: help tells what is"
        ))),
    }
}

/// The keys that lead to the line of a number. Of a list to choose from it is chosen.
fn go_to(app: &App, number: usize) -> Result<Vec<TerminalEvent>, InvalidInput> {
    let choices = app.layout.overlays.last().and_then(|drawn| drawn.choices);
    let in_files = app.focus == Focus::Detail && app.shown_tab() == Tab::Files;
    let list = &app.lists[app.pane.index()];
    let (at, count, enters) = match (choices, app.layout.browser) {
        (Some(rows), _) => (rows.at, rows.count, true),
        _ if !app.overlays.is_empty() || app.board.is_open() => (0, 0, false),
        (None, Some(BrowserLayout::Entries(rows))) if in_files => (rows.at, rows.count, false),
        _ if app.focus == Focus::List => (list.at, list.rows.len(), false),
        _ => (0, 0, false),
    };
    if !(1..=count).contains(&number) {
        return Err(match count {
            0 => InvalidInput::new(tr!("there are no numbered lines here; .1 is the key 1")),
            _ => InvalidInput::new(tr!("there are lines 1 to {count}")),
        });
    }
    let mut keys = steps_between(at, number - 1);
    if enters {
        keys.push(KeyCode::Enter.into());
    }
    Ok(keys.into_iter().map(TerminalEvent::Key).collect())
}

/// How many jobs of this console run.
#[must_use]
pub fn running_jobs(app: &App) -> usize {
    app.jobs.count_running()
}

/// What the console says beside the page.
fn take_notice(app: &App) -> Option<(String, bool)> {
    let notice = app.notice.as_ref()?;
    Some((notice.text.clone(), notice.error))
}

/// Whether what has the keys tells news by itself: an answer that comes, a job's output, a log.
fn tells_news(app: &App) -> bool {
    let follows = matches!(
        app.shown_tab(),
        Tab::Logs | Tab::Access | Tab::Files | Tab::Changes
    );
    !app.overlays.is_empty() || (app.focus == Focus::Detail && follows)
}
