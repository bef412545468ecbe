//! Tasks, in tables of nodes and services and one by one.

use ratatui::style::Style;

use super::page::DetailPage;
use crate::state::App;
use crate::theme::Health;
use matou_base::text::format_age;
use matou_model::{Service, Task, TaskState};

/// How a task is.
pub(super) fn task_health(task: &Task) -> Health {
    match task.state {
        _ if task.has_failed() => Health::Bad,
        TaskState::Running | TaskState::Complete => Health::Good,
        TaskState::Shutdown | TaskState::Remove => Health::Ended,
        _ => Health::Partly,
    }
}

/// What is wrong with a task; `None` when the engine says nothing.
fn task_error(task: &Task) -> Option<&str> {
    match task.has_failed() {
        true => Some(task.failure_reason()),
        false => Some(task.error.as_str()),
    }
    .filter(|error| !error.is_empty())
}

/// `web.1`, or the service's name for a global one.
pub(super) fn format_task_name(service: Option<&Service>, task: &Task) -> String {
    let service = service.map_or("?", |s| &s.name);
    match task.slot {
        Some(slot) => format!("{service}.{slot}"),
        None => service.to_owned(),
    }
}

/// One line a task: name, node, state, since, error.
pub(super) fn task_table(app: &App, tasks: &[&Task], columns: usize) -> DetailPage {
    let theme = app.theme;
    let mut page = DetailPage::new(theme);
    if tasks.is_empty() {
        return page.text("no tasks");
    }
    let dim = theme.dim();
    let name_columns = columns.saturating_sub(50).clamp(16, 32);
    page = page.cell_row(vec![
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
        let health = task_health(task);
        page = page.cell_row(vec![
            (format_task_name(service, task), name_columns, Style::new()),
            (
                app.fleet.node_name(&task.node_id).to_owned(),
                12,
                Style::new(),
            ),
            (
                format!("{} {}", theme.health_glyph(health), task.state),
                12,
                theme.health_style(health),
            ),
            (
                task.since
                    .map_or_else(String::new, |t| format_age(app.now, t)),
                8,
                dim,
            ),
        ]);
        if let Some(error) = task_error(task) {
            page = page.wrapped_text(&format!("  {error}"), columns, theme.removed());
        }
    }
    page
}

pub(super) fn task_detail(app: &App, service: usize, task: usize) -> DetailPage {
    let mut page = DetailPage::new(app.theme);
    let Some(swarm) = app.fleet.swarm.value() else {
        return page;
    };
    let (Some(service), Some(task)) = (swarm.services.get(service), swarm.tasks.get(task)) else {
        return page;
    };
    let health = task_health(task);
    page = page
        .heading(&format_task_name(Some(service), task))
        .blank_line()
        .styled_field("state", task.state.as_str(), app.theme.health_style(health))
        .field("wanted", task.desired.as_str())
        .field(
            "since",
            &task
                .since
                .map_or_else(String::new, |t| format_age(app.now, t)),
        )
        .field("node", app.fleet.node_name(&task.node_id))
        .field("image", &task.image)
        .field("says", &task.message)
        .field("task", &task.id)
        .field("container", task.container_id.as_deref().unwrap_or(""));
    if let Some(error) = task_error(task) {
        page = page
            .blank_line()
            .wrapped_text(error, 60, app.theme.removed());
    }
    page
}
