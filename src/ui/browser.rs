//! What is in a snapshot: its folders, read when they are opened, a search, the beginning of a file.
//! What was read is kept: a snapshot never changes.

use std::collections::VecDeque;

use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::msg::{Effect, Look, Seen, Ticket};
use super::panes::{RowKind, wrap};
use super::state::{App, Tab};
use crate::model::{Changes, Entry, EntryKind, Listing, Preview, Snapshot};
use crate::text::{clean, fit, human_bytes, truncate};

/// Answers that are kept.
const KEPT: usize = 16;

/// Answers of the repository, and the question that is open.
#[derive(Default)]
pub(super) struct Looks {
    seen: VecDeque<(Look, Result<Seen, String>)>,
    asked: Option<(Ticket, Look)>,
}

impl Looks {
    pub(super) fn get(&self, look: &Look) -> Option<&Result<Seen, String>> {
        self.seen.iter().find(|(l, _)| l == look).map(|(_, s)| s)
    }

    /// Takes an answer; false when nobody waits for it any more.
    pub(super) fn take(&mut self, ticket: Ticket, seen: Result<Seen, String>) -> bool {
        match self.asked.take() {
            Some((asked, look)) if asked == ticket => {
                if self.seen.len() == KEPT {
                    self.seen.pop_front();
                }
                self.seen.push_back((look, seen));
                true
            }
            other => {
                self.asked = other;
                false
            }
        }
    }

    /// A failure is asked for again.
    pub(super) fn forget_failures(&mut self) {
        self.seen.retain(|(_, s)| s.is_ok());
    }
}

/// Where one is in a snapshot.
pub(super) struct Browser {
    /// Full id of the snapshot.
    snapshot: String,
    /// Opened folders, from the outermost; the snapshot's own list of folders is none of them.
    folders: Vec<Folder>,
    /// Place in the snapshot's own list.
    at: usize,
    top: usize,
    /// A search that is typed, or was.
    search: Option<Search>,
    /// A file whose beginning is shown.
    file: Option<(Entry, usize)>,
}

struct Folder {
    path: String,
    at: usize,
    top: usize,
}

struct Search {
    input: Input,
    typing: bool,
    at: usize,
    top: usize,
}

/// What a key did.
pub(super) enum Outcome {
    Handled,
    Copy(String),
    /// The path is to be restored.
    Restore(String),
    Ignored,
}

impl Browser {
    fn new(snapshot: &str) -> Self {
        Self {
            snapshot: snapshot.to_owned(),
            folders: Vec::new(),
            at: 0,
            top: 0,
            search: None,
            file: None,
        }
    }

    /// What has to be read for what is shown; `None` when the snapshot itself says it.
    fn look(&self) -> Option<Look> {
        let snapshot = self.snapshot.clone();
        if let Some((entry, _)) = &self.file {
            let path = entry.path.clone();
            return Some(Look::File { snapshot, path });
        }
        match (&self.search, self.folders.last()) {
            (Some(s), _) if s.typing || s.input.value().is_empty() => None,
            (Some(s), _) => Some(Look::Search {
                snapshot,
                text: s.input.value().to_owned(),
            }),
            (None, Some(folder)) => Some(Look::Folder {
                snapshot,
                path: folder.path.clone(),
            }),
            (None, None) => None,
        }
    }

    /// Place and first visible line of the list that is shown.
    fn place(&mut self) -> (&mut usize, &mut usize) {
        match (&mut self.search, self.folders.last_mut()) {
            (Some(s), _) => (&mut s.at, &mut s.top),
            (None, Some(f)) => (&mut f.at, &mut f.top),
            (None, None) => (&mut self.at, &mut self.top),
        }
    }

    fn title(&self) -> String {
        if let Some((entry, _)) = &self.file {
            return entry.path.clone();
        }
        match (&self.search, self.folders.last()) {
            (Some(s), _) => format!("search: {}", s.input.value()),
            (None, Some(f)) => f.path.clone(),
            (None, None) => "folders of this snapshot".into(),
        }
    }
}

/// The selected snapshot.
pub(super) fn snapshot(app: &App) -> Option<&Snapshot> {
    match app.selected().map(|r| &r.kind) {
        Some(RowKind::Snapshot(at)) => app.fleet.snapshots.value()?.get(*at),
        _ => None,
    }
}

/// The snapshot of the same application before the one at a place of the list.
pub(super) fn before(app: &App, at: usize) -> Option<&Snapshot> {
    let all = app.fleet.snapshots.value()?;
    let next = all.get(at + 1)?;
    next.is_beside(all.get(at)?).then_some(next)
}

/// Asks for what is shown and not read yet.
pub(super) fn follow(app: &mut App) -> Vec<Effect> {
    let tab = app.shown_tab();
    let Some(id) = snapshot(app).map(|s| s.id.clone()) else {
        return Vec::new();
    };
    let look = match tab {
        Tab::Files => {
            let browser = match &mut app.browser {
                Some(browser) if browser.snapshot == id => browser,
                slot => slot.insert(Browser::new(&id)),
            };
            browser.look()
        }
        Tab::Changes => changes_look(app),
        _ => None,
    };
    let Some(look) = look else {
        return Vec::new();
    };
    let asked = app.looks.asked.as_ref().is_some_and(|(_, l)| *l == look);
    if asked || app.looks.get(&look).is_some() {
        return Vec::new();
    }
    let ticket = app.ticket();
    app.looks.asked = Some((ticket, look.clone()));
    vec![Effect::Look { ticket, look }]
}

/// The question whose answer the tab of changes shows.
fn changes_look(app: &App) -> Option<Look> {
    let Some(RowKind::Snapshot(at)) = app.selected().map(|r| &r.kind) else {
        return None;
    };
    let newer = app.fleet.snapshots.value()?.get(*at)?.id.clone();
    let older = before(app, *at)?.id.clone();
    Some(Look::Changes { older, newer })
}

/// What changed against the snapshot before, as far as it was read.
pub(super) fn changes(app: &App) -> Option<&Result<Seen, String>> {
    app.looks.get(&changes_look(app)?)
}

/// Entries that are shown, borrowed from what was read.
enum Shown<'a> {
    Entries(&'a Listing),
    /// The folders of the snapshot itself.
    Roots(Vec<Entry>),
    Waiting,
    Failed(&'a str),
    Nothing,
}

fn roots(snapshot: &Snapshot) -> Vec<Entry> {
    snapshot
        .paths
        .iter()
        .map(|path| Entry {
            kind: EntryKind::Folder,
            path: path.clone(),
            size: 0,
            modified: None,
            mode: 0,
            uid: 0,
            gid: 0,
        })
        .collect()
}

fn shown<'a>(app: &'a App, browser: &Browser) -> Shown<'a> {
    let Some(look) = browser.look() else {
        return match (&browser.search, snapshot(app)) {
            (None, Some(s)) => Shown::Roots(roots(s)),
            _ => Shown::Nothing,
        };
    };
    match app.looks.get(&look) {
        None => Shown::Waiting,
        Some(Ok(Seen::Entries(listing))) => Shown::Entries(listing),
        Some(Ok(_)) => Shown::Nothing,
        Some(Err(reason)) => Shown::Failed(reason),
    }
}

fn entry_at(app: &App, browser: &Browser, at: usize) -> Option<Entry> {
    match shown(app, browser) {
        Shown::Entries(listing) => listing.entries.get(at).cloned(),
        Shown::Roots(roots) => roots.get(at).cloned(),
        _ => None,
    }
}

fn count(app: &App, browser: &Browser) -> usize {
    match shown(app, browser) {
        Shown::Entries(listing) => listing.entries.len(),
        Shown::Roots(roots) => roots.len(),
        _ => 0,
    }
}

/// Handles a key while the files of a snapshot have the focus.
pub(super) fn key(app: &mut App, key: KeyEvent) -> Outcome {
    let Some(mut browser) = app.browser.take() else {
        return Outcome::Ignored;
    };
    let outcome = browser_key(app, &mut browser, key);
    app.browser = Some(browser);
    outcome
}

fn browser_key(app: &mut App, browser: &mut Browser, key: KeyEvent) -> Outcome {
    if let Some(search) = &mut browser.search
        && search.typing
    {
        match key.code {
            KeyCode::Esc => browser.search = None,
            KeyCode::Enter if search.input.value().trim().is_empty() => browser.search = None,
            KeyCode::Enter => {
                search.typing = false;
                app.looks.forget_failures();
            }
            _ => {
                search.input.handle_event(&TerminalEvent::Key(key));
            }
        }
        return Outcome::Handled;
    }
    if let Some((entry, top)) = &mut browser.file {
        let page = usize::from(app.detail_area.height).saturating_sub(2).max(1);
        match key.code {
            KeyCode::Esc | KeyCode::Left | KeyCode::Backspace => browser.file = None,
            KeyCode::Char('r') => return Outcome::Restore(entry.path.clone()),
            KeyCode::Char('y') => return Outcome::Copy(entry.path.clone()),
            KeyCode::Down | KeyCode::Char('j') => *top += 1,
            KeyCode::Up | KeyCode::Char('k') => *top = top.saturating_sub(1),
            KeyCode::PageDown => *top += page,
            KeyCode::PageUp => *top = top.saturating_sub(page),
            KeyCode::Home | KeyCode::Char('g') => *top = 0,
            _ => return Outcome::Ignored,
        }
        return Outcome::Handled;
    }
    let count = count(app, browser);
    let page = usize::from(app.detail_area.height).saturating_sub(2).max(1);
    let at = *browser.place().0;
    let selected = entry_at(app, browser, at);
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let to = match key.code {
        KeyCode::Char('d') if control => at + page / 2,
        KeyCode::Char('u') if control => at.saturating_sub(page / 2),
        _ if control => return Outcome::Ignored,
        KeyCode::Down | KeyCode::Char('j') => at + 1,
        KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
        KeyCode::PageDown => at + page,
        KeyCode::PageUp => at.saturating_sub(page),
        KeyCode::Home | KeyCode::Char('g') => 0,
        KeyCode::End | KeyCode::Char('G') => count,
        KeyCode::Enter | KeyCode::Right => {
            open(app, browser, selected);
            return Outcome::Handled;
        }
        KeyCode::Esc | KeyCode::Left | KeyCode::Backspace => return up(browser),
        KeyCode::Char('/') => {
            browser.search = Some(Search {
                input: Input::default(),
                typing: true,
                at: 0,
                top: 0,
            });
            return Outcome::Handled;
        }
        KeyCode::Char('r') => {
            return selected.map_or(Outcome::Handled, |e| Outcome::Restore(e.path));
        }
        KeyCode::Char('y') => return selected.map_or(Outcome::Handled, |e| Outcome::Copy(e.path)),
        _ => return Outcome::Ignored,
    };
    *browser.place().0 = to.min(count.saturating_sub(1));
    Outcome::Handled
}

fn open(app: &mut App, browser: &mut Browser, selected: Option<Entry>) {
    // What could not be read is read again.
    app.looks.forget_failures();
    match selected {
        Some(entry) if entry.kind == EntryKind::Folder => {
            browser.search = None;
            browser.folders.push(Folder {
                path: entry.path,
                at: 0,
                top: 0,
            });
        }
        Some(entry) if entry.kind == EntryKind::File => browser.file = Some((entry, 0)),
        Some(_) => app.say("only files have a content to be shown", false),
        None => {}
    }
}

fn up(browser: &mut Browser) -> Outcome {
    if browser.search.take().is_some() || browser.folders.pop().is_some() {
        Outcome::Handled
    } else {
        Outcome::Ignored
    }
}

/// Draws the tab.
pub(super) fn draw(app: &mut App, frame: &mut Frame, area: Rect) {
    let Some(mut browser) = app.browser.take() else {
        return;
    };
    app.detail_lines = 0;
    let theme = app.theme;
    let mut title = theme.text(&clean(&browser.title()));
    if browser.search.as_ref().is_some_and(|s| s.typing) {
        title.push('_');
    }
    let title = truncate(&title, area.width.into(), theme.ellipsis()).into_owned();
    let title = Line::styled(title, theme.title());
    frame
        .buffer_mut()
        .set_line(area.x, area.y, &title, area.width);
    let body = Rect {
        y: area.y + 1,
        height: area.height.saturating_sub(1),
        ..area
    };
    if browser.file.is_some() {
        draw_file(app, &mut browser, frame, body);
    } else {
        draw_entries(app, &mut browser, frame, body);
    }
    app.browser = Some(browser);
}

fn say(app: &App, frame: &mut Frame, area: Rect, text: &str, style: Style) {
    let lines = wrap(&app.theme.text(&clean(text)), area.width.into());
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        frame
            .buffer_mut()
            .set_stringn(area.x, y, line, area.width.into(), style);
    }
}

fn draw_entries(app: &App, browser: &mut Browser, frame: &mut Frame, area: Rect) {
    let theme = app.theme;
    let typing = browser.search.as_ref().is_some_and(|s| s.typing);
    let (entries, left_out): (&[Entry], u64) = match &shown(app, browser) {
        Shown::Entries(listing) => (&listing.entries, listing.left_out),
        Shown::Roots(roots) => {
            return draw_lines(app, browser, roots, 0, frame, area);
        }
        Shown::Waiting => return say(app, frame, area, "reading …", theme.dim()),
        Shown::Failed(reason) => return say(app, frame, area, reason, theme.removed()),
        Shown::Nothing => {
            let text = match typing {
                true => "part of a name or path; Enter searches the whole snapshot",
                false => "nothing here",
            };
            return say(app, frame, area, text, theme.dim());
        }
    };
    if entries.is_empty() {
        let text = match browser.search {
            Some(_) => "nothing of that name is in this snapshot",
            None => "an empty folder",
        };
        return say(app, frame, area, text, theme.dim());
    }
    draw_lines(app, browser, entries, left_out, frame, area);
}

fn draw_lines(
    app: &App,
    browser: &mut Browser,
    entries: &[Entry],
    left_out: u64,
    frame: &mut Frame,
    area: Rect,
) {
    let theme = app.theme;
    let whole = browser.search.is_some() || browser.folders.is_empty();
    let more = u16::from(left_out > 0);
    let height = usize::from(area.height.saturating_sub(more)).max(1);
    let (at, top) = browser.place();
    *at = (*at).min(entries.len().saturating_sub(1));
    if *at < *top {
        *top = *at;
    } else if *at >= *top + height {
        *top = *at + 1 - height;
    }
    let (at, top) = (*at, *top);
    let focused = app.focus == super::state::Focus::Detail;
    for (y, (i, entry)) in (area.y..area.bottom().saturating_sub(more))
        .zip(entries.iter().enumerate().skip(top).take(height))
    {
        let line = entry_line(app, entry, whole, area.width.into());
        frame.buffer_mut().set_line(area.x, y, &line, area.width);
        if i == at {
            let row = Rect::new(area.x, y, area.width, 1);
            let style = match focused {
                true => theme.selected(),
                false => theme.marked(),
            };
            frame.buffer_mut().set_style(row, style);
        }
    }
    if left_out > 0 {
        let text = format!("{left_out} more are not listed: / searches all");
        let y = area.bottom().saturating_sub(1);
        frame
            .buffer_mut()
            .set_stringn(area.x, y, text, area.width.into(), theme.changed());
    }
}

fn entry_line(app: &App, entry: &Entry, whole: bool, columns: usize) -> Line<'static> {
    let theme = app.theme;
    let (mark, size) = match entry.kind {
        EntryKind::Folder => ("/", String::new()),
        EntryKind::File => ("", human_bytes(entry.size)),
        EntryKind::Link => ("@", String::new()),
        EntryKind::Other => ("=", String::new()),
    };
    let when = entry
        .modified
        .map_or_else(String::new, |t| t.strftime("%Y-%m-%d %H:%M").to_string());
    let right = match columns {
        60.. => format!(" {size:>9}  {when:>16}"),
        _ => format!(" {size:>9}"),
    };
    let name = match whole {
        true => &entry.path,
        false => entry.name(),
    };
    let name = format!("{}{mark}", theme.text(&clean(name)));
    let room = columns.saturating_sub(right.len());
    let style = match entry.kind {
        EntryKind::Folder => theme.title(),
        _ => Style::new(),
    };
    Line::from(vec![
        Span::styled(fit(&name, room, theme.ellipsis()), style),
        Span::styled(right, theme.dim()),
    ])
}

fn draw_file(app: &App, browser: &mut Browser, frame: &mut Frame, area: Rect) {
    let theme = app.theme;
    let look = browser.look();
    let Some((entry, top)) = &mut browser.file else {
        return;
    };
    let preview = match look.and_then(|l| app.looks.get(&l)) {
        None => return say(app, frame, area, "reading …", theme.dim()),
        Some(Err(reason)) => return say(app, frame, area, reason, theme.removed()),
        Some(Ok(Seen::Head(preview))) => preview,
        Some(Ok(_)) => return,
    };
    if preview.head.contains(&0) {
        let text = format!(
            "{} that are no text; r restores it",
            human_bytes(entry.size)
        );
        return say(app, frame, area, &text, theme.dim());
    }
    let text = String::from_utf8_lossy(&preview.head);
    let lines: Vec<&str> = text.lines().collect();
    let height = usize::from(area.height);
    let note = end_note(preview, entry);
    let total = lines.len() + usize::from(note.is_some());
    *top = (*top).min(total.saturating_sub(height));
    for (y, i) in (area.y..area.bottom()).zip(*top..total) {
        let (line, style) = match lines.get(i) {
            Some(line) => (theme.text(&clean(line)), Style::new()),
            None => (note.clone().unwrap_or_default(), theme.dim()),
        };
        frame
            .buffer_mut()
            .set_stringn(area.x, y, line, area.width.into(), style);
    }
}

fn end_note(preview: &Preview, entry: &Entry) -> Option<String> {
    match (preview.cut, preview.head.is_empty()) {
        (true, _) => Some(format!(
            "the first {} of {}",
            human_bytes(preview.head.len() as u64),
            human_bytes(entry.size)
        )),
        (_, true) => Some("an empty file".into()),
        _ => None,
    }
}

/// One line about what changed.
pub(super) fn summary(changes: &Changes) -> String {
    format!(
        "+{} -{} ~{} files, {} new data",
        changes.added,
        changes.removed,
        changes.modified,
        human_bytes(changes.bytes_added)
    )
}
