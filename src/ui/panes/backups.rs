//! Snapshots, and what is missing for them to be shown.

use ratatui::style::Style;
use ratatui::text::Line;

use super::{Filter, Page, Row, RowKind, list_line};
use crate::model::Fleet;
use crate::text::{age, human_bytes};
use crate::ui::state::App;
use crate::ui::theme::Health;

pub(super) fn rows(fleet: &Fleet, filter: &mut Filter) -> (Vec<Row>, usize) {
    let all = fleet.snapshots.value().map_or(&[][..], Vec::as_slice);
    let rows = all
        .iter()
        .enumerate()
        .filter(|(_, s)| filter.keeps(s.app.as_deref().unwrap_or(&s.host)))
        .map(|(i, s)| Row {
            key: format!("snapshot/{}", s.id),
            name: s.id.clone(),
            kind: RowKind::Snapshot(i),
            depth: 0,
            open: None,
        })
        .collect();
    (rows, all.len())
}

pub(super) fn line(app: &App, at: usize, columns: usize) -> Line<'static> {
    let Some(s) = app.fleet.snapshots.value().and_then(|s| s.get(at)) else {
        return Line::default();
    };
    let size = s.size.map_or_else(String::new, human_bytes);
    let rest = format!("{} {size}", age(app.now, s.at));
    let name = s.app.as_deref().unwrap_or(&s.host);
    let stale = app.fleet.snapshots.is_stale();
    list_line(app, Health::Good, 0, name, &rest, columns, stale)
}

pub(super) fn detail(app: &App, at: usize) -> Page {
    let page = Page::new(app.theme);
    let Some(s) = app.fleet.snapshots.value().and_then(|s| s.get(at)) else {
        return page;
    };
    let page = page
        .heading(s.app.as_deref().unwrap_or(&s.host))
        .blank()
        .field("snapshot", &s.id)
        .field("made", &format!("{} ({})", s.at, age(app.now, s.at)))
        .field("host", &s.host)
        .field("size", &s.size.map_or_else(String::new, human_bytes))
        .blank()
        .heading("Folders");
    s.paths.iter().fold(page, |page, p| page.text(p))
}

pub(super) fn nothing(app: &App) -> Page {
    Page::new(app.theme).wrapped(
        "Snapshots are not read yet: this version checks the [backup] section of config.toml and does not open the repository.",
        60,
        Style::new(),
    )
}
