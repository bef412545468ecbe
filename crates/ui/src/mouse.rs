//! What the mouse means: it selects, turns, and stands for the keys that are written on the screen.

use crossterm::event::{KeyCode, KeyEvent, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use super::actions;
use super::dashboard;
use super::keymap::{Action, is_yes, parse_key, written_key};
use super::pane::{Focus, Pane};
use super::state::App;

/// Rows that a turn of the wheel scrolls.
const WHEEL_ROWS: isize = 3;

/// Takes an event of the mouse. Returns the keys that it stands for.
pub(super) fn handle_mouse_event(app: &mut App, mouse: MouseEvent) -> Vec<KeyEvent> {
    let by = match mouse.kind {
        MouseEventKind::ScrollUp => Some(-WHEEL_ROWS),
        MouseEventKind::ScrollDown => Some(WHEEL_ROWS),
        MouseEventKind::Down(MouseButton::Left) => None,
        _ => return Vec::new(),
    };
    app.dirty = true;
    let at = Position::new(mouse.column, mouse.row);
    if by.is_none() && app.layout.last_line.area.contains(at) {
        return click_last_line(app, at.x);
    }
    if !app.overlays.is_empty() {
        return match by {
            Some(by) => steps(by),
            None => click_choice(app, at),
        };
    }
    if by.is_none() && app.layout.alerts.contains(at) {
        return key_of(app, Action::Alerts).into_iter().collect();
    }
    if app.board.is_open() {
        match by {
            Some(by) => dashboard::turn_wheel(app, at, by),
            None => dashboard::click_row(app, at),
        }
        return Vec::new();
    }
    let pane = Pane::ALL
        .into_iter()
        .find(|p| app.layout.lists[p.index()].area.contains(at));
    match (by, pane) {
        (Some(by), Some(pane)) => app.lists[pane.index()].move_by(by),
        (Some(by), None) => actions::scroll_detail(app, by),
        (None, Some(pane)) => click_list_row(app, pane, at),
        (None, None) => {
            let tab = app.layout.tabs.iter().find(|(area, _)| area.contains(at));
            if let Some((_, tab)) = tab {
                app.tab = *tab;
                app.detail_top = 0;
            }
            if app.layout.detail.contains(at) {
                app.focus = Focus::Detail;
            }
        }
    }
    Vec::new()
}

fn steps(by: isize) -> Vec<KeyEvent> {
    let code = if by < 0 { KeyCode::Up } else { KeyCode::Down };
    vec![KeyEvent::from(code); by.unsigned_abs()]
}

/// The keys that lead from one line of a list to another.
pub(super) fn steps_between(from: usize, to: usize) -> Vec<KeyEvent> {
    steps(to.cast_signed() - from.cast_signed())
}

fn key_of(app: &App, action: Action) -> Option<KeyEvent> {
    parse_shown_key(&app.keymap.first_key(action)?)
}

/// Parses a key as it is shown: `Enter`, `Ctrl-x`, `d`.
fn parse_shown_key(word: &str) -> Option<KeyEvent> {
    let name = match word.chars().count() {
        1 => word.to_owned(),
        _ => {
            // Of `Ctrl-X` the letter stays as it is.
            let (head, letter) = word.rsplit_once('-').unwrap_or((word, ""));
            match letter.chars().count() {
                1 => format!("{}-{letter}", head.to_lowercase()),
                _ => word.to_lowercase(),
            }
        }
    };
    parse_key(&written_key(&name)).ok().map(KeyEvent::from)
}

/// A click on a key, or on what stands behind it. What confirms a plan is typed.
fn click_last_line(app: &App, column: u16) -> Vec<KeyEvent> {
    let key = find_key_at(&app.layout.last_line.text, usize::from(column));
    if let Some(notice) = &app.notice {
        // Its words are no keys; the one for the help stands behind them.
        let help = key.filter(|key| app.keymap.find_action(*key) == Some(Action::Help));
        let opens = notice.error && app.overlays.is_empty();
        let opens = opens.then(|| KeyEvent::from(KeyCode::Enter));
        return help.or(opens).into_iter().collect();
    }
    let asks = app.overlays.last().is_some_and(|o| o.asks());
    let key = key.filter(|key| !(asks && (key.code == KeyCode::Enter || is_yes(key.code))));
    key.into_iter().collect()
}

/// Finds the key that is meant by a click into a line of keys: ` d deploy  / filter   a J : ?`.
fn find_key_at(line: &str, column: usize) -> Option<KeyEvent> {
    use matou_base::text::display_width;
    let mut start = 0;
    for part in line.split("  ") {
        let end = start + display_width(part);
        if (start..end).contains(&column) {
            let mut at = start;
            let words: Vec<(usize, &str)> = part
                .split(' ')
                .map(|word| {
                    let begins = at;
                    at += display_width(word) + 1;
                    (begins, word)
                })
                .filter(|(_, word)| !word.is_empty())
                .collect();
            // Keys without words are clicked one by one.
            let only_keys = words.iter().all(|(_, w)| parse_shown_key(w).is_some());
            let word = match only_keys {
                true => words.iter().rev().find(|(begins, _)| *begins <= column),
                false => words.first(),
            };
            return parse_shown_key(word?.1);
        }
        start = end + 2;
    }
    None
}

/// A click on a line of an overlay's list goes there; on the selected one it is Enter.
fn click_choice(app: &App, at: Position) -> Vec<KeyEvent> {
    let Some(rows) = app.layout.overlays.last().and_then(|drawn| drawn.choices) else {
        return Vec::new();
    };
    if !rows.area.contains(at) {
        return Vec::new();
    }
    let row = rows.top + usize::from(at.y - rows.area.y);
    match row.cmp(&rows.at) {
        _ if row >= rows.count => Vec::new(),
        std::cmp::Ordering::Equal => vec![KeyCode::Enter.into()],
        _ => steps_between(rows.at, row),
    }
}

fn click_list_row(app: &mut App, pane: Pane, at: Position) {
    app.pane = pane;
    app.focus = Focus::List;
    app.detail_top = 0;
    let area = app.layout.lists[pane.index()].area;
    let list = &mut app.lists[pane.index()];
    // The first line of the area is the title.
    let row = usize::from(at.y.saturating_sub(area.y + 1)) + list.top;
    if at.y > area.y && row < list.rows.len() {
        let again = list.at == row;
        list.select_row(row);
        if again {
            actions::toggle_selected(app);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_means_the_key_before_the_word() {
        let line = " d deploy  / filter  Space mark  Ctrl-r read again    a J : ?";
        let key = |text: &str| {
            let at = line.find(text).unwrap();
            find_key_at(line, at).map(|k| (k.code, k.modifiers.bits()))
        };
        assert_eq!(key("deploy"), Some((KeyCode::Char('d'), 0)));
        assert_eq!(key("d deploy"), Some((KeyCode::Char('d'), 0)));
        assert_eq!(key("filter"), Some((KeyCode::Char('/'), 0)));
        assert_eq!(key("mark"), Some((KeyCode::Char(' '), 0)));
        assert_eq!(key("read").map(|k| k.0), Some(KeyCode::Char('r')));
        assert_eq!(key("J"), Some((KeyCode::Char('J'), 0)));
        assert_eq!(key("?"), Some((KeyCode::Char('?'), 0)));
        assert_eq!(find_key_at("1-9 of 20, j k  Esc back", 2), None);
    }
}
