//! Tasks, in tables of nodes and services and one by one.

use ratatui::style::Style;

use super::Page;
use crate::model::{Service, Task};
use crate::text::age;
use crate::ui::state::App;
use crate::ui::theme::Health;

/// How a task is.
pub(super) fn health(task: &Task) -> Health {
    match (task.state.as_str(), task.desired.as_str()) {
        ("running" | "complete", _) => Health::Good,
        ("failed" | "rejected" | "orphaned", _) => Health::Bad,
        ("shutdown" | "remove", _) => Health::Ended,
        _ => Health::Partly,
    }
}

/// `web.1`, or the service's name for a global one.
pub(super) fn name(service: Option<&Service>, task: &Task) -> String {
    let service = service.map_or("?", |s| &s.name);
    match task.slot {
        Some(slot) => format!("{service}.{slot}"),
        None => service.to_owned(),
    }
}

/// One line a task: name, node, state, since, error.
pub(super) fn table(app: &App, tasks: &[&Task], columns: usize) -> Page {
    let theme = app.theme;
    let mut page = Page::new(theme);
    if tasks.is_empty() {
        return page.text("no tasks");
    }
    let dim = theme.dim();
    let name_columns = columns.saturating_sub(50).clamp(16, 32);
    page = page.cells(vec![
        ("task".into(), name_columns, dim),
        ("node".into(), 12, dim),
        ("state".into(), 12, dim),
        ("since".into(), 8, dim),
    ]);
    for task in tasks {
        let service = app
            .fleet
            .swarm
            .value()
            .and_then(|s| s.services.iter().find(|s| s.id == task.service_id));
        let health = health(task);
        page = page.cells(vec![
            (name(service, task), name_columns, Style::new()),
            (
                app.fleet.node_name(&task.node_id).to_owned(),
                12,
                Style::new(),
            ),
            (
                format!("{} {}", theme.glyph(health), task.state),
                12,
                theme.health(health),
            ),
            (
                task.since.map_or_else(String::new, |t| age(app.now, t)),
                8,
                dim,
            ),
        ]);
        if !task.error.is_empty() {
            page = page.wrapped(&format!("  {}", task.error), columns, theme.removed());
        }
    }
    page
}

pub(super) fn detail(app: &App, service: usize, task: usize) -> Page {
    let mut page = Page::new(app.theme);
    let Some(swarm) = app.fleet.swarm.value() else {
        return page;
    };
    let (Some(service), Some(task)) = (swarm.services.get(service), swarm.tasks.get(task)) else {
        return page;
    };
    let health = health(task);
    page = page
        .heading(&name(Some(service), task))
        .blank()
        .styled_field("state", &task.state, app.theme.health(health))
        .field("wanted", &task.desired)
        .field(
            "since",
            &task.since.map_or_else(String::new, |t| age(app.now, t)),
        )
        .field("node", app.fleet.node_name(&task.node_id))
        .field("image", &task.image)
        .field("says", &task.message)
        .field("task", &task.id)
        .field("container", task.container_id.as_deref().unwrap_or(""));
    if !task.error.is_empty() {
        page = page.blank().wrapped(&task.error, 60, app.theme.removed());
    }
    page
}
