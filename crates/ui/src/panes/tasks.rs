//! Tasks, in tables of nodes and services and one by one.

use matou_i18n::tr;
use ratatui::style::Style;

use super::page::DetailPage;
use super::table::Table;
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
pub(crate) fn format_task_name(service: Option<&Service>, task: &Task) -> String {
    let service = service.map_or("?", |s| &s.name);
    match task.slot {
        Some(slot) => format!("{service}.{slot}"),
        None => service.to_owned(),
    }
}

/// One line a task: name, node, state, since, error.
pub(super) fn task_table(app: &App, tasks: &[&Task], columns: usize) -> DetailPage {
    let theme = app.theme;
    let page = DetailPage::new(theme);
    if tasks.is_empty() {
        return page.text(tr!("no tasks"));
    }
    let plain = Style::new();
    let mut table =
        Table::new(theme).heads(&[tr!("task"), tr!("node"), tr!("state"), tr!("since")]);
    for task in tasks {
        let service = app
            .fleet
            .swarm
            .value()
            .and_then(|s| s.services.iter().find(|s| s.id == task.service_id));
        let health = task_health(task);
        let state = format!("{} {}", theme.health_glyph(health), task.state.word());
        let since = task.since.map(|then| format_age(app.now, then));
        table = table.row(vec![
            (format_task_name(service, task), plain),
            (app.fleet.node_name(&task.node_id).to_owned(), plain),
            (state, theme.health_style(health)),
            (since.unwrap_or_default(), theme.dim()),
        ]);
        if let Some(error) = task_error(task) {
            table = table.note(&format!("  {error}"), theme.removed());
        }
    }
    page.table(table, columns)
}

pub(super) fn task_detail(app: &App, service: usize, task: usize, columns: usize) -> DetailPage {
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
        .styled_field(
            tr!("state"),
            task.state.word(),
            app.theme.health_style(health),
        )
        .field(tr!("wanted"), task.desired.word())
        .field(
            tr!("since"),
            &task
                .since
                .map_or_else(String::new, |t| format_age(app.now, t)),
        )
        .field(tr!("node"), app.fleet.node_name(&task.node_id))
        .field(tr!("image"), &task.image)
        .field(tr!("says"), &task.message)
        .field(tr!("task"), &task.id)
        .field(tr!("container"), task.container_id.as_deref().unwrap_or(""));
    if let Some(error) = task_error(task) {
        page = page
            .blank_line()
            .wrapped_text(error, columns, app.theme.removed());
    }
    page
}
