//! What keys and the mouse do on the dashboard, and the way back to it.

use matou_i18n::tr;
use ratatui::layout::Position;

use super::board::{Arrival, Goal, Section, Visibility};
use super::gather::gather_board;
use crate::keymap::Action;
use crate::overlays::JobsOverlay;
use crate::state::App;
use matou_monitor::AlertKind;

/// Rows that half a page has.
const HALF_PAGE: isize = 8;

/// Carries out an action on the open dashboard. `None`: it is the console's own, and works from here too.
pub(crate) fn run_on_board(app: &mut App, action: Action) -> Option<()> {
    // Of nothing nothing can be chosen.
    let has_rows = app.board.is_open() && app.board.selected_row().is_some();
    if has_rows && selects_a_row(action) {
        app.board.chosen = true;
    }
    match action {
        Action::Dashboard if !app.board.is_open() => reopen(app),
        Action::Dashboard => close(app),
        _ if !app.board.is_open() => return None,
        Action::Quit if app.board.home => return None,
        Action::Back | Action::Quit => close(app),
        Action::Up => app.board.move_by(-1),
        Action::Down => app.board.move_by(1),
        Action::Top => app.board.move_by(isize::MIN),
        Action::Bottom => app.board.move_by(isize::MAX),
        Action::HalfPageUp => app.board.move_by(-HALF_PAGE),
        Action::HalfPageDown => app.board.move_by(HALF_PAGE),
        Action::NextPane | Action::NextTab => app.board.turn_section(true),
        Action::PreviousPane | Action::PreviousTab => app.board.turn_section(false),
        Action::Open => open_selected(app),
        Action::Pane1
        | Action::Pane2
        | Action::Pane3
        | Action::Pane4
        | Action::Pane5
        | Action::Palette
        | Action::Help
        | Action::Jobs
        | Action::History
        | Action::Alerts
        | Action::Bans
        | Action::Intrusions
        | Action::Deploy
        | Action::BackupAll
        | Action::ProvisionAll
        | Action::MoveAll
        | Action::Recover
        | Action::Refresh
        | Action::Measure
        | Action::Suspend
        | Action::Redraw
        | Action::Interrupt => return None,
        // What acts on the selected row of a pane must not act on one that nobody sees.
        _ => {
            let key = app.keymap.first_key(Action::Open).unwrap_or_default();
            let text =
                tr!("not on the dashboard: {key} goes to what is selected, and it works there");
            app.show_notice(text, false);
        }
    }
    Some(())
}

impl App {
    /// Opens the dashboard as what the console begins with, unless a welcome is read first.
    pub fn begin_with_dashboard(&mut self) {
        if self.overlays.is_empty() {
            reopen(self);
            self.board.home = true;
        }
    }
}

fn selects_a_row(action: Action) -> bool {
    matches!(
        action,
        Action::Up
            | Action::Down
            | Action::Top
            | Action::Bottom
            | Action::HalfPageUp
            | Action::HalfPageDown
            | Action::NextPane
            | Action::NextTab
            | Action::PreviousPane
            | Action::PreviousTab
            | Action::Open
    )
}

/// Opens the dashboard, with what is known now.
pub(crate) fn reopen(app: &mut App) {
    app.board.visibility = Visibility::Open;
    app.board.arrival = None;
    let sections = gather_board(app);
    app.board.replace_sections(sections);
}

fn close(app: &mut App) {
    app.board.visibility = Visibility::Closed;
    app.board.home = false;
}

/// Whether the operator still stands where the dashboard led to: Esc goes back at once.
pub(crate) fn is_back_at_arrival(app: &App) -> bool {
    app.board.is_left() && app.board.arrival.as_ref() == Some(&here(app))
}

fn here(app: &App) -> Arrival {
    Arrival {
        pane: app.pane,
        key: app.selected_row().map(|r| r.key.clone()),
        focus: app.focus,
    }
}

/// Goes to where the selected row belongs.
fn open_selected(app: &mut App) {
    let Some(row) = app.board.selected_row() else {
        return;
    };
    let (goal, name) = (row.goal.clone(), row.name.clone());
    let gone = match goal {
        Goal::Nothing => {
            app.show_notice(tr!("this line says all that is known of it"), false);
            return;
        }
        Goal::Jobs => {
            app.open_overlay(JobsOverlay::default());
            return;
        }
        Goal::Row(target) => app.go_to_target(&target),
        Goal::Alert(key) => {
            let Some(alert) = app.alerts.iter().find(|a| a.key == key).cloned() else {
                return;
            };
            if alert.kind == AlertKind::Edge
                && let Some(form) = app.missing_edge_form()
            {
                app.open_overlay(form);
                return;
            }
            app.show_cause(&alert)
        }
    };
    if gone {
        app.board.arrival = Some(here(app));
    } else {
        // The pane that should have it may have been opened already.
        reopen(app);
        app.show_notice(tr!("{name} is in none of the panes"), false);
    }
}

/// Selects what was clicked; a second click opens it.
pub(crate) fn click_row(app: &mut App, at: Position) {
    let drawn = app.layout.board.iter().find(|s| s.area.contains(at));
    let Some(drawn) = drawn.copied() else {
        return;
    };
    let section = place(drawn.section);
    if !drawn.inner.contains(at) {
        if !app.board.sections[section].rows.is_empty() {
            app.board.chosen = true;
            app.board.at = (section, drawn.top);
        }
        return;
    }
    let row = usize::from(at.y - drawn.inner.y) + drawn.top;
    if row < app.board.sections[section].rows.len() {
        let again = app.board.chosen && app.board.at == (section, row);
        app.board.chosen = true;
        app.board.at = (section, row);
        if again {
            open_selected(app);
        }
    }
}

/// Moves the selection within the section below the pointer.
pub(crate) fn turn_wheel(app: &mut App, at: Position, by: isize) {
    let drawn = app.layout.board.iter().find(|s| s.area.contains(at));
    let Some(section) = drawn.map(|s| place(s.section)) else {
        return;
    };
    let from = match app.board.at {
        (selected, row) if selected == section => row,
        _ => 0,
    };
    let rows = app.board.sections[section].rows.len();
    if rows > 0 {
        app.board.chosen = true;
        app.board.at = (section, from.saturating_add_signed(by).min(rows - 1));
    }
}

fn place(section: Section) -> usize {
    section as usize
}
