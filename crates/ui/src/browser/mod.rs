//! Shows what is in a snapshot: its folders, a search, the beginning of a file. Each is read when
//! it is opened, and kept, as a snapshot never changes.

mod contents;

use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers};
use matou_i18n::tr;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use contents::{OpenedFolder, SnapshotSearch};
pub(super) use contents::{SnapshotBrowser, SnapshotQueryCache};

use super::cut::{draw_line, draw_text, row_at};
use super::layout::{BrowserLayout, ChoiceRows};
use super::msg::{Effect, SnapshotAnswer, SnapshotQuery};
use super::pane::Tab;
use super::panes::{RowKind, wrap_text};
use super::state::App;
use super::text_input::insert_text;
use matou_base::text::SafeText;
use matou_base::text::{clean_line, fit_to_width, human_bytes, truncate_to_width};
use matou_model::{
    EntryKind, FilePreview, Snapshot, SnapshotChanges, SnapshotEntry, SnapshotListing,
};

/// What a key did.
pub(super) enum BrowserOutcome {
    Handled,
    Copy(String),
    /// The path is to be restored.
    Restore(String),
    Ignored,
}

/// The selected snapshot.
pub(super) fn selected_snapshot(app: &App) -> Option<&Snapshot> {
    match app.selected_row().map(|r| &r.kind) {
        Some(RowKind::Snapshot(at)) => app.fleet.snapshots.value()?.get(*at),
        _ => None,
    }
}

/// Returns the snapshot of the same application before the one at index `at`.
pub(super) fn previous_snapshot(app: &App, at: usize) -> Option<&Snapshot> {
    let all = app.fleet.snapshots.value()?;
    let next = all.get(at + 1)?;
    next.is_same_group(all.get(at)?).then_some(next)
}

/// Asks for what is shown, unless it was read or asked for already.
pub(super) fn query_shown_content(app: &mut App) -> Vec<Effect> {
    let tab = app.shown_tab();
    let Some(id) = selected_snapshot(app).map(|s| s.id.clone()) else {
        return Vec::new();
    };
    let look = match tab {
        Tab::Files => {
            let browser = match &mut app.browser {
                Some(browser) if browser.snapshot == id => browser,
                slot => slot.insert(SnapshotBrowser::new(&id)),
            };
            browser.needed_query()
        }
        Tab::Changes => changes_query(app),
        _ => None,
    };
    let Some(look) = look else {
        return Vec::new();
    };
    let asked = app
        .query_cache
        .asked
        .as_ref()
        .is_some_and(|(_, l)| *l == look);
    if asked || app.query_cache.get(&look).is_some() {
        return Vec::new();
    }
    let ticket = app.issue_ticket();
    app.query_cache.asked = Some((ticket, look.clone()));
    vec![Effect::ReadSnapshot {
        ticket,
        query: look,
    }]
}

/// Returns the query of the tab of changes: the selected snapshot against the one before.
fn changes_query(app: &App) -> Option<SnapshotQuery> {
    let Some(RowKind::Snapshot(at)) = app.selected_row().map(|r| &r.kind) else {
        return None;
    };
    let newer = app.fleet.snapshots.value()?.get(*at)?.id.clone();
    let older = previous_snapshot(app, *at)?.id.clone();
    Some(SnapshotQuery::Changes { older, newer })
}

/// Returns what changed since the snapshot before; `None` until it was read.
pub(super) fn cached_changes(app: &App) -> Option<&Result<SnapshotAnswer, SafeText>> {
    app.query_cache.get(&changes_query(app)?)
}

/// What the browser shows now, borrowed from what was read.
enum BrowserContent<'a> {
    Entries(&'a SnapshotListing),
    /// The folders of the snapshot itself.
    Roots(Vec<SnapshotEntry>),
    Waiting,
    Failed(&'a str),
    Nothing,
}

fn snapshot_roots(snapshot: &Snapshot) -> Vec<SnapshotEntry> {
    snapshot
        .paths
        .iter()
        .map(|path| SnapshotEntry {
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

fn browser_content<'a>(app: &'a App, browser: &SnapshotBrowser) -> BrowserContent<'a> {
    let Some(look) = browser.needed_query() else {
        return match (&browser.search, selected_snapshot(app)) {
            (None, Some(s)) => BrowserContent::Roots(snapshot_roots(s)),
            _ => BrowserContent::Nothing,
        };
    };
    match app.query_cache.get(&look) {
        None => BrowserContent::Waiting,
        Some(Ok(SnapshotAnswer::Entries(listing))) => BrowserContent::Entries(listing),
        Some(Ok(_)) => BrowserContent::Nothing,
        Some(Err(reason)) => BrowserContent::Failed(reason),
    }
}

fn browser_entry_at(app: &App, browser: &SnapshotBrowser, at: usize) -> Option<SnapshotEntry> {
    match browser_content(app, browser) {
        BrowserContent::Entries(listing) => listing.entries.get(at).cloned(),
        BrowserContent::Roots(roots) => roots.get(at).cloned(),
        _ => None,
    }
}

fn count_browser_entries(app: &App, browser: &SnapshotBrowser) -> usize {
    match browser_content(app, browser) {
        BrowserContent::Entries(listing) => listing.entries.len(),
        BrowserContent::Roots(roots) => roots.len(),
        _ => 0,
    }
}

/// Handles a key while the files of a snapshot have the focus.
pub(super) fn handle_files_key(app: &mut App, key: KeyEvent) -> BrowserOutcome {
    let Some(mut browser) = app.browser.take() else {
        return BrowserOutcome::Ignored;
    };
    let outcome = handle_browser_key(app, &mut browser, key);
    app.browser = Some(browser);
    outcome
}

/// Takes pasted text into the search that is typed.
pub(super) fn paste(app: &mut App, text: &str) {
    let search = app.browser.as_mut().and_then(|b| b.search.as_mut());
    if let Some(search) = search.filter(|s| s.typing) {
        insert_text(&mut search.input, text);
    }
}

fn handle_browser_key(
    app: &mut App,
    browser: &mut SnapshotBrowser,
    key: KeyEvent,
) -> BrowserOutcome {
    if let Some(search) = &mut browser.search
        && search.typing
    {
        match key.code {
            KeyCode::Esc => browser.search = None,
            KeyCode::Enter if search.input.value().trim().is_empty() => browser.search = None,
            KeyCode::Enter => {
                search.typing = false;
                app.query_cache.forget_failures();
            }
            _ => {
                search.input.handle_event(&TerminalEvent::Key(key));
            }
        }
        return BrowserOutcome::Handled;
    }
    if let Some((entry, top)) = &mut browser.file {
        let page = usize::from(app.layout.detail.height)
            .saturating_sub(2)
            .max(1);
        match key.code {
            KeyCode::Esc | KeyCode::Left | KeyCode::Backspace => browser.file = None,
            KeyCode::Char('r') => return BrowserOutcome::Restore(entry.path.clone()),
            KeyCode::Char('y') => return BrowserOutcome::Copy(entry.path.clone()),
            KeyCode::Down | KeyCode::Char('j') => *top += 1,
            KeyCode::Up | KeyCode::Char('k') => *top = top.saturating_sub(1),
            KeyCode::PageDown => *top += page,
            KeyCode::PageUp => *top = top.saturating_sub(page),
            KeyCode::Home | KeyCode::Char('g') => *top = 0,
            _ => return BrowserOutcome::Ignored,
        }
        return BrowserOutcome::Handled;
    }
    let count = count_browser_entries(app, browser);
    let page = usize::from(app.layout.detail.height)
        .saturating_sub(2)
        .max(1);
    let at = *browser.list_position_mut().0;
    let selected = browser_entry_at(app, browser, at);
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let to = match key.code {
        KeyCode::Char('d') if control => at + page / 2,
        KeyCode::Char('u') if control => at.saturating_sub(page / 2),
        _ if control => return BrowserOutcome::Ignored,
        KeyCode::Down | KeyCode::Char('j') => at + 1,
        KeyCode::Up | KeyCode::Char('k') => at.saturating_sub(1),
        KeyCode::PageDown => at + page,
        KeyCode::PageUp => at.saturating_sub(page),
        KeyCode::Home | KeyCode::Char('g') => 0,
        KeyCode::End | KeyCode::Char('G') => count,
        KeyCode::Enter | KeyCode::Right => {
            open_browser_entry(app, browser, selected);
            return BrowserOutcome::Handled;
        }
        KeyCode::Esc | KeyCode::Left | KeyCode::Backspace => return leave_browser_folder(browser),
        KeyCode::Char('/') => {
            browser.search = Some(SnapshotSearch {
                input: Input::default(),
                typing: true,
                at: 0,
                top: 0,
            });
            return BrowserOutcome::Handled;
        }
        KeyCode::Char('r') => {
            return selected.map_or(BrowserOutcome::Handled, |e| BrowserOutcome::Restore(e.path));
        }
        KeyCode::Char('y') => {
            return selected.map_or(BrowserOutcome::Handled, |e| BrowserOutcome::Copy(e.path));
        }
        _ => return BrowserOutcome::Ignored,
    };
    *browser.list_position_mut().0 = to.min(count.saturating_sub(1));
    BrowserOutcome::Handled
}

fn open_browser_entry(
    app: &mut App,
    browser: &mut SnapshotBrowser,
    selected: Option<SnapshotEntry>,
) {
    // A folder or file whose reading failed is read again.
    app.query_cache.forget_failures();
    match selected {
        Some(entry) if entry.kind == EntryKind::Folder => {
            browser.search = None;
            browser.folders.push(OpenedFolder {
                path: entry.path,
                at: 0,
                top: 0,
            });
        }
        Some(entry) if entry.kind == EntryKind::File => browser.file = Some((entry, 0)),
        Some(_) => app.show_notice(tr!("only files have a content to be shown"), false),
        None => {}
    }
}

fn leave_browser_folder(browser: &mut SnapshotBrowser) -> BrowserOutcome {
    if browser.search.take().is_some() || browser.folders.pop().is_some() {
        BrowserOutcome::Handled
    } else {
        BrowserOutcome::Ignored
    }
}

/// Draws the tab. Returns what is visible of a list, or of a file.
pub(super) fn draw_browser(app: &App, frame: &mut Frame, area: Rect) -> Option<BrowserLayout> {
    let browser = app.browser.as_ref()?;
    let theme = app.theme;
    let mut title = theme.drawable_text(&clean_line(&browser.title()));
    if browser.search.as_ref().is_some_and(|s| s.typing) {
        title.push('_');
    }
    let title = truncate_to_width(&title, area.width.into(), theme.ellipsis()).into_owned();
    let title = Line::styled(title, theme.title());
    draw_line(frame.buffer_mut(), area, &title, theme);
    let body = Rect {
        y: area.y + 1,
        height: area.height.saturating_sub(1),
        ..area
    };
    match &browser.file {
        Some((entry, top)) => draw_file_preview(app, browser, entry, *top, frame, body),
        None => draw_browser_entries(app, browser, frame, body),
    }
}

/// Draws a sentence in the place of a list or a file.
fn draw_browser_text(
    app: &App,
    frame: &mut Frame,
    area: Rect,
    text: &str,
    style: Style,
) -> Option<BrowserLayout> {
    let lines = wrap_text(
        &app.theme.drawable_text(&clean_line(text)),
        area.width.into(),
    );
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        draw_text(frame.buffer_mut(), row_at(area, y), &line, style, app.theme);
    }
    None
}

fn draw_browser_entries(
    app: &App,
    browser: &SnapshotBrowser,
    frame: &mut Frame,
    area: Rect,
) -> Option<BrowserLayout> {
    let theme = app.theme;
    let typing = browser.search.as_ref().is_some_and(|s| s.typing);
    let (entries, left_out): (&[SnapshotEntry], u64) = match &browser_content(app, browser) {
        BrowserContent::Entries(listing) => (&listing.entries, listing.left_out),
        BrowserContent::Roots(roots) => {
            return draw_entry_list(app, browser, roots, 0, frame, area);
        }
        BrowserContent::Waiting => {
            return draw_browser_text(app, frame, area, tr!("reading …"), theme.dim());
        }
        BrowserContent::Failed(reason) => {
            return draw_browser_text(app, frame, area, reason, theme.removed());
        }
        BrowserContent::Nothing => {
            let text = match typing {
                true => tr!("part of a name or path; Enter searches the whole snapshot"),
                false => tr!("nothing here"),
            };
            return draw_browser_text(app, frame, area, text, theme.dim());
        }
    };
    if entries.is_empty() {
        let text = match browser.search {
            Some(_) => tr!("nothing of that name is in this snapshot"),
            None => tr!("an empty folder"),
        };
        return draw_browser_text(app, frame, area, text, theme.dim());
    }
    draw_entry_list(app, browser, entries, left_out, frame, area)
}

fn draw_entry_list(
    app: &App,
    browser: &SnapshotBrowser,
    entries: &[SnapshotEntry],
    left_out: u64,
    frame: &mut Frame,
    area: Rect,
) -> Option<BrowserLayout> {
    let theme = app.theme;
    let whole = browser.search.is_some() || browser.folders.is_empty();
    let more = u16::from(left_out > 0);
    let height = usize::from(area.height.saturating_sub(more)).max(1);
    let (at, top) = browser.list_position();
    let at = at.min(entries.len().saturating_sub(1));
    let top = if at < top {
        at
    } else if at >= top + height {
        at + 1 - height
    } else {
        top
    };
    let focused = app.focus == super::pane::Focus::Detail;
    for (y, (i, entry)) in (area.y..area.bottom().saturating_sub(more))
        .zip(entries.iter().enumerate().skip(top).take(height))
    {
        let line = entry_line(app, entry, whole, area.width.into());
        let place = row_at(area, y);
        draw_line(frame.buffer_mut(), place, &line, theme);
        if i == at {
            let style = match focused {
                true => theme.selected(),
                false => theme.marked(),
            };
            frame.buffer_mut().set_style(place, style);
        }
    }
    if left_out > 0 {
        let text = tr!("{left_out} more are not listed: / searches all");
        let place = row_at(area, area.bottom().saturating_sub(1));
        draw_text(frame.buffer_mut(), place, &text, theme.changed(), theme);
    }
    Some(BrowserLayout::Entries(ChoiceRows {
        area: Rect {
            height: area.height.saturating_sub(more),
            ..area
        },
        count: entries.len(),
        top,
        at,
    }))
}

fn entry_line(app: &App, entry: &SnapshotEntry, whole: bool, columns: usize) -> Line<'static> {
    let theme = app.theme;
    let (mark, size) = match entry.kind {
        EntryKind::Folder => ("/", String::new()),
        EntryKind::File => ("", human_bytes(entry.size)),
        EntryKind::Link => ("@", String::new()),
        EntryKind::Other => ("=", String::new()),
    };
    let when = entry.modified.map_or_else(String::new, |t| {
        let local = t.to_zoned_datetime(app.zone.clone());
        local.strftime("%Y-%m-%d %H:%M").to_string()
    });
    let right = match columns {
        60.. => format!(" {size:>9}  {when:>16}"),
        _ => format!(" {size:>9}"),
    };
    let name = match whole {
        true => &entry.path,
        false => entry.name(),
    };
    let name = format!("{}{mark}", theme.drawable_text(&clean_line(name)));
    let room = columns.saturating_sub(right.len());
    let style = match entry.kind {
        EntryKind::Folder => theme.title(),
        _ => Style::new(),
    };
    Line::from(vec![
        Span::styled(fit_to_width(&name, room, theme.ellipsis()), style),
        Span::styled(right, theme.dim()),
    ])
}

/// Draws the beginning of a file, from line `top` on.
fn draw_file_preview(
    app: &App,
    browser: &SnapshotBrowser,
    entry: &SnapshotEntry,
    top: usize,
    frame: &mut Frame,
    area: Rect,
) -> Option<BrowserLayout> {
    let theme = app.theme;
    let look = browser.needed_query();
    let preview = match look.and_then(|l| app.query_cache.get(&l)) {
        None => return draw_browser_text(app, frame, area, tr!("reading …"), theme.dim()),
        Some(Err(reason)) => return draw_browser_text(app, frame, area, reason, theme.removed()),
        Some(Ok(SnapshotAnswer::Head(preview))) => preview,
        Some(Ok(_)) => return None,
    };
    if preview.head.contains(&0) {
        let text = tr!(
            "{} that are no text; r restores it",
            human_bytes(entry.size)
        );
        return draw_browser_text(app, frame, area, &text, theme.dim());
    }
    let text = String::from_utf8_lossy(&preview.head);
    let lines: Vec<&str> = text.lines().collect();
    let height = usize::from(area.height);
    let note = preview_end_note(preview, entry);
    let total = lines.len() + usize::from(note.is_some());
    let top = top.min(total.saturating_sub(height));
    for (y, i) in (area.y..area.bottom()).zip(top..total) {
        let (line, style) = match lines.get(i) {
            Some(line) => (theme.drawable_text(&clean_line(line)), Style::new()),
            None => (note.clone().unwrap_or_default(), theme.dim()),
        };
        draw_text(frame.buffer_mut(), row_at(area, y), &line, style, theme);
    }
    Some(BrowserLayout::File { top })
}

fn preview_end_note(preview: &FilePreview, entry: &SnapshotEntry) -> Option<String> {
    match (preview.cut, preview.head.is_empty()) {
        (true, _) => Some(tr!(
            "the first {} of {}",
            human_bytes(preview.head.len() as u64),
            human_bytes(entry.size)
        )),
        (_, true) => Some(tr!("an empty file").into()),
        _ => None,
    }
}

/// Formats the counts of changes as one line.
pub(super) fn format_snapshot_changes(changes: &SnapshotChanges) -> String {
    tr!(
        "+{} -{} ~{} files, {} new data",
        changes.added,
        changes.removed,
        changes.modified,
        human_bytes(changes.bytes_added)
    )
}
