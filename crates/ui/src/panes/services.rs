//! Applications, opened to their services and tasks.

use ratatui::style::Style;
use ratatui::text::Line;

use super::page::{DetailPage, format_list_line};
use super::row::{PaneRow, RowFilter, RowKind};
use super::tasks;
use crate::keymap::Action;
use crate::pane::Tab;
use crate::state::App;
use crate::theme::Health;
use matou_base::text::{clean_line, format_age, format_plural};
use matou_model::{
    Fleet, JobState, Service, ServiceMode, Swarm, Task, TaskCount, TaskState, UpdateState,
    redirects_from_labels,
};
use matou_monitor::AnswerHour;

/// Ended tasks that are shown of each slot.
const ENDED_TASKS_SHOWN: usize = 1;

pub(super) fn app_rows(
    fleet: &Fleet,
    opened: &[String],
    filter: &mut RowFilter,
) -> (Vec<PaneRow>, usize) {
    let Some(swarm) = fleet.swarm.value() else {
        return (Vec::new(), 0);
    };
    let mut apps: std::collections::BTreeMap<&str, Vec<usize>> = Default::default();
    for (i, service) in swarm.services.iter().enumerate() {
        let name = service.stack.as_deref().unwrap_or(&service.name);
        apps.entry(name).or_default().push(i);
    }
    let total = apps.len();
    let mut rows = Vec::new();
    for (name, services) in apps {
        let kept = filter.matches(name)
            || services.iter().any(|i| {
                let s = &swarm.services[*i];
                filter.matches(&s.name) || s.domains.iter().any(|d| filter.matches(d))
            });
        if !kept {
            continue;
        }
        let key = format!("app/{name}");
        let open = opened.contains(&key);
        rows.push(PaneRow {
            key,
            name: name.to_owned(),
            kind: RowKind::App {
                services: services.clone(),
            },
            depth: 0,
            open: Some(open),
        });
        if open {
            for i in services {
                push_service_rows(swarm, i, opened, &mut rows);
            }
        }
    }
    (rows, total)
}

fn push_service_rows(swarm: &Swarm, at: usize, opened: &[String], rows: &mut Vec<PaneRow>) {
    let service = &swarm.services[at];
    let key = format!("service/{}", service.id);
    let open = opened.contains(&key);
    rows.push(PaneRow {
        key,
        name: service.name.clone(),
        kind: RowKind::Service(at),
        depth: 1,
        open: Some(open),
    });
    if !open {
        return;
    }
    let shown = shown_tasks(swarm, &service.id);
    rows.extend(shown.into_iter().map(|(i, task)| PaneRow {
        key: format!("task/{}", task.id),
        name: tasks::format_task_name(Some(service), task),
        kind: RowKind::Task {
            service: at,
            task: i,
        },
        depth: 2,
        open: None,
    }));
}

/// Returns the tasks of a service that are shown, with their indices: those that run or should run,
/// and the newest of each slot that ended.
fn shown_tasks<'a>(swarm: &'a Swarm, service_id: &str) -> Vec<(usize, &'a Task)> {
    let mut last: Option<(Option<u64>, &str)> = None;
    let mut past = 0;
    let tasks = swarm.tasks.iter().enumerate();
    tasks
        .filter(|(_, t)| t.service_id == service_id)
        .filter(|(_, t)| {
            let place = (t.slot, if t.slot.is_some() { "" } else { &*t.node_id });
            if last != Some(place) {
                last = Some(place);
                past = 0;
            }
            // One that waits to be tried again is wanted `ready`, and must not hide the one that failed. The
            // engine goes on wanting a job's task to be complete when it is.
            if t.desired == TaskState::Running || !t.has_ended() {
                return true;
            }
            past += 1;
            past <= ENDED_TASKS_SHOWN
        })
        .collect()
}

/// How services are together. A job that is done, or under way, is well.
pub(crate) fn count_health(count: TaskCount) -> Health {
    match (count.running, count.wanted) {
        _ if count.failed_jobs > 0 => Health::Bad,
        (_, 0) if count.jobs > 0 && count.done >= count.total => Health::Good,
        (_, 0) if count.jobs > 0 => Health::Partly,
        (_, 0) => Health::Ended,
        (0, _) => Health::Bad,
        (r, w) if r < w => Health::Partly,
        _ => Health::Good,
    }
}

pub(super) fn services_at<'a>(app: &'a App, places: &[usize]) -> Vec<&'a Service> {
    let services = app.fleet.swarm.value().map_or(&[][..], |s| &s.services);
    places.iter().filter_map(|i| services.get(*i)).collect()
}

pub(super) fn services_health(app: &App, places: &[usize]) -> Health {
    let services = app.fleet.swarm.value().map_or(&[][..], |s| &s.services);
    count_health(TaskCount::of(
        places.iter().filter_map(|i| services.get(*i)),
    ))
}

pub(super) fn app_line(
    app: &App,
    row: &PaneRow,
    places: &[usize],
    columns: usize,
) -> Line<'static> {
    let services = services_at(app, places);
    let count = TaskCount::of(services.iter().copied());
    let domain = services.iter().flat_map(|s| &s.domains).next();
    let domain = domain.map_or_else(String::new, |d| format!(" {d}"));
    let opened = app.theme.fold_glyph(row.open == Some(true));
    format_list_line(
        app,
        count_health(count),
        0,
        &format!("{opened} {}", row.name),
        &format!("{count}{domain}"),
        columns,
        app.fleet.swarm.is_stale(),
    )
}

pub(super) fn service_line(app: &App, row: &PaneRow, at: usize, columns: usize) -> Line<'static> {
    let Some(s) = services_at(app, &[at]).pop() else {
        return Line::default();
    };
    let short = s
        .stack
        .as_ref()
        .and_then(|stack| s.name.strip_prefix(stack.as_str()))
        .map_or(s.name.as_str(), |n| n.trim_start_matches('_'));
    let opened = app.theme.fold_glyph(row.open == Some(true));
    let count = TaskCount::of([s]);
    format_list_line(
        app,
        count_health(count),
        2,
        &format!("{opened} {short}"),
        &format!("{count} {}", s.image),
        columns,
        app.fleet.swarm.is_stale(),
    )
}

pub(super) fn task_line(app: &App, service: usize, task: usize, columns: usize) -> Line<'static> {
    let Some(swarm) = app.fleet.swarm.value() else {
        return Line::default();
    };
    let (Some(service), Some(task)) = (swarm.services.get(service), swarm.tasks.get(task)) else {
        return Line::default();
    };
    let name = tasks::format_task_name(Some(service), task);
    let short = name.rsplit('_').next().unwrap_or(&name).to_owned();
    let node = app.fleet.node_name(&task.node_id);
    format_list_line(
        app,
        tasks::task_health(task),
        4,
        &short,
        &format!("{} {node}", task.state),
        columns,
        app.fleet.swarm.is_stale(),
    )
}

/// Says why the list is empty.
pub(super) fn empty_services_text(app: &App) -> String {
    match (app.fleet.swarm.value(), app.fleet.swarm.error()) {
        (Some(_), _) => {
            let key = app.keymap.first_key(Action::Deploy).unwrap_or_default();
            format!("no applications yet: press {key} to deploy one")
        }
        (None, Some(reason)) => reason.to_owned(),
        (None, None) => "reading the swarm …".into(),
    }
}

pub(super) fn app_detail(app: &App, places: &[usize], tab: Tab, columns: usize) -> DetailPage {
    let services = services_at(app, places);
    let page = DetailPage::new(app.theme);
    match tab {
        Tab::Labels => services
            .iter()
            .fold(page, |page, s| add_service_labels(page, s)),
        _ => services_overview(app, &services, columns, page),
    }
}

fn services_overview(
    app: &App,
    services: &[&Service],
    columns: usize,
    page: DetailPage,
) -> DetailPage {
    let theme = app.theme;
    let mut page = add_stale_swarm_note(app, page, columns);
    if services.iter().any(|s| !s.domains.is_empty()) {
        page = add_names(services, page);
        page = add_visitors_page(app, services, columns, page);
        page = add_probe_answers(app, services, columns, page);
        page = add_login(app, services, columns, page).blank_line();
    }
    let dim = theme.dim();
    // `● 3/3 failed` takes more than `● 2/2`.
    let task_columns = match services.iter().any(|s| s.job.is_some()) {
        true => 14,
        false => 7,
    };
    let image_columns = columns.saturating_sub(35 + task_columns).clamp(14, 40);
    page = page.cell_row(vec![
        ("service".into(), 18, dim),
        ("tasks".into(), task_columns, dim),
        ("image".into(), image_columns, dim),
        ("updated".into(), 8, dim),
    ]);
    for s in services {
        let count = TaskCount::of([*s]);
        let health = count_health(count);
        page = page.cell_row(vec![
            (s.name.clone(), 18, Style::new()),
            (
                format!("{} {count}", theme.health_glyph(health)),
                task_columns,
                theme.health_style(health),
            ),
            (s.image.clone(), image_columns, Style::new()),
            (
                s.updated_at
                    .map_or_else(String::new, |t| format_age(app.now, t)),
                8,
                dim,
            ),
        ]);
        page = add_update_state(app, s, columns, page);
        if let Some(job) = s.job.as_ref().filter(|job| job.state != JobState::Done) {
            let style = theme.health_style(health);
            page = page.wrapped_text(&format!("  {job}"), columns, style);
        }
    }
    page = add_scheduled_jobs(app, services, columns, page).blank_line();
    let swarm = app.fleet.swarm.value();
    let shown: Vec<&Task> = services
        .iter()
        .flat_map(|s| swarm.map_or_else(Vec::new, |w| shown_tasks(w, &s.id)))
        .map(|(_, t)| t)
        .collect();
    let mut table = tasks::task_table(app, &shown, columns);
    page.lines.append(&mut table.lines);
    page
}

/// Adds the page that visitors see instead of the application.
fn add_visitors_page(
    app: &App,
    services: &[&Service],
    columns: usize,
    page: DetailPage,
) -> DetailPage {
    let swarm = app.fleet.swarm.value();
    let name = services.first().and_then(|s| s.stack.as_ref());
    match swarm
        .zip(name)
        .and_then(|(swarm, name)| swarm.find_page(name))
    {
        Some(shown) => {
            let text = format!("visitors see the page {}", shown.describe());
            page.wrapped_text(&text, columns, app.theme.health_style(Health::Partly))
        }
        None => page,
    }
}

/// Adds the scheduled jobs of the application: when each runs, and how its newest run ended.
fn add_scheduled_jobs(
    app: &App,
    services: &[&Service],
    columns: usize,
    page: DetailPage,
) -> DetailPage {
    let theme = app.theme;
    let jobs = services.iter().flat_map(|s| s.list_jobs());
    jobs.fold(page, |page, job| {
        let begin = format!("job {} ({})", job.name, job.calendar);
        let Some(runs) = app.fleet.app_jobs.value() else {
            return page.wrapped_text(&begin, columns, theme.dim());
        };
        if let Some(missed) = runs.find_missed(&job) {
            let text = format!("{begin}: missed {}", format_age(runs.at, missed));
            return page.wrapped_text(&text, columns, theme.health_style(Health::Bad));
        }
        let last = runs.of_job(&job).last();
        let (text, health) = match last {
            None => (begin, Health::Good),
            Some(run) => {
                let age = format_age(runs.at, run.begun);
                let health = match runs.find_failed(&job) {
                    Some(_) => Health::Bad,
                    None => Health::Good,
                };
                (format!("{begin}: {} ({age})", run.describe_end()), health)
            }
        };
        let style = match health {
            Health::Good => theme.dim(),
            other => theme.health_style(other),
        };
        let page = page.wrapped_text(&text, columns, style);
        let said = last.filter(|_| health == Health::Bad);
        let lines = said
            .into_iter()
            .flat_map(|run| run.output.iter().rev().take(3).rev());
        lines.fold(page, |page, line| {
            page.wrapped_text(&format!("  {}", clean_line(line)), columns, theme.dim())
        })
    })
}

/// Adds how the operator logs in, as the application's stack says.
fn add_login(app: &App, services: &[&Service], columns: usize, page: DetailPage) -> DetailPage {
    let Some(name) = services.first().and_then(|s| s.stack.as_ref()) else {
        return page;
    };
    let Some(login) = app.logins.get(name) else {
        return page;
    };
    let mut lines = login.describe_lines(name);
    if login.secret.is_some() {
        lines.push("Y copies the password".into());
    }
    lines.iter().fold(page, |page, line| {
        page.wrapped_text(line, columns, app.theme.dim())
    })
}

/// Adds the names under which services answer, the main one first, and those that lead to it.
fn add_names(services: &[&Service], page: DetailPage) -> DetailPage {
    let (mut answers, mut leads) = (Vec::new(), Vec::new());
    for s in services {
        let redirects = redirects_from_labels(&s.labels);
        for domain in &s.domains {
            match redirects.contains_key(domain) {
                true => leads.push(domain.as_str()),
                false => answers.push(domain.as_str()),
            }
        }
    }
    let page = page.field("domains", &answers.join(" "));
    match leads.is_empty() {
        true => page,
        false => page.field("redirects", &leads.join(" ")),
    }
}

/// Adds the last answer of each domain, and the share of good answers over the week.
fn add_probe_answers(
    app: &App,
    services: &[&Service],
    columns: usize,
    page: DetailPage,
) -> DetailPage {
    let theme = app.theme;
    let probes = app.fleet.probes.value().into_iter().flatten();
    let ours = probes.filter(|p| services.iter().any(|s| s.name == p.service));
    ours.fold(page, |page, probe| {
        let (health, text) = match (&probe.outcome, probe.problem()) {
            (Ok(a), None) => (Health::Good, format!("{} in {} ms", a.status, a.millis)),
            (Ok(a), Some(_)) => (Health::Bad, format!("{}", a.status)),
            (Err(_), _) => (Health::Bad, "no answer".into()),
        };
        let health = match app.fleet.probes.is_stale() {
            true => Health::Unknown,
            false => health,
        };
        let week = app.week.percent_well(&probe.domain);
        let week = week.map_or_else(String::new, |w| match w {
            w if w >= 99.995 => "100 %".into(),
            w => format!("{:.2} %", (w * 100.0).floor() / 100.0),
        });
        let day: String = app
            .week
            .hours(&probe.domain, app.now, 24)
            .into_iter()
            .map(|hour| answer_bar(app, hour))
            .collect();
        let page = page.cell_row(vec![
            (
                theme.health_glyph(health).into(),
                1,
                theme.health_style(health),
            ),
            (
                probe.domain.clone(),
                columns.saturating_sub(60).clamp(16, 40),
                Style::new(),
            ),
            (text, 15, theme.health_style(health)),
            (week, 8, theme.dim()),
            (day, 0, theme.key()),
        ]);
        match probe.problem() {
            Some(why) => page.wrapped_text(&format!("  {why}"), columns, theme.removed()),
            None => page,
        }
    })
}

/// Returns the bar of an hour of answers: low for quick ones, `!` when some failed.
fn answer_bar(app: &App, hour: Option<AnswerHour>) -> &'static str {
    match hour {
        None => " ",
        Some(h) if h.failed > 0 => "!",
        Some(h) => {
            // Each bar stands for twice the time of the one below, the lowest for less than 40 ms.
            let steps = (h.average_millis().unwrap_or(0) as f64 / 20.0)
                .max(1.0)
                .log2() as usize;
            app.theme.bar_heights()[steps.min(7)]
        }
    }
}

/// Adds the state of an update that is not simply completed.
fn add_update_state(app: &App, s: &Service, columns: usize, page: DetailPage) -> DetailPage {
    match &s.update {
        Some((state, message))
            if *state != UpdateState::Completed && !state.as_str().is_empty() =>
        {
            let state = state.as_str().replace('_', " ");
            // The engine often says the state once more.
            let text = match message.is_empty() || *message == state {
                true => format!("  {state}"),
                false => format!("  {state}: {message}"),
            };
            page.wrapped_text(&text, columns, app.theme.changed())
        }
        _ => page,
    }
}

fn add_stale_swarm_note(app: &App, page: DetailPage, columns: usize) -> DetailPage {
    match (app.fleet.swarm.error(), app.fleet.swarm.read_at()) {
        (Some(why), Some(at)) => page
            .stale_note(why, &format_age(app.now, at), columns)
            .blank_line(),
        _ => page,
    }
}

pub(super) fn service_detail(app: &App, at: usize, tab: Tab, columns: usize) -> DetailPage {
    let page = DetailPage::new(app.theme);
    let Some(s) = services_at(app, &[at]).pop() else {
        return page;
    };
    if tab == Tab::Labels {
        return add_service_labels(page, s);
    }
    let mode = match s.mode {
        ServiceMode::Replicated(n) => {
            format_plural(usize::try_from(n).unwrap_or(usize::MAX), "replica")
        }
        ServiceMode::Global => "once on every node that fits".into(),
        ServiceMode::ReplicatedJob(n) => format!("a job of {n} completions"),
        ServiceMode::GlobalJob => "a job on every node that fits".into(),
    };
    let page = add_stale_swarm_note(app, page, columns)
        .field("image", &s.image)
        .field("runs", &mode)
        .field("domains", &s.domains.join(" "))
        .field("ports", &s.ports.join(" "))
        .field("volumes", &s.volumes.join(" "))
        .field(
            "created",
            &s.created_at
                .map_or_else(String::new, |t| format_age(app.now, t)),
        )
        .blank_line();
    services_overview(app, &[s], columns, page)
}

fn add_service_labels(page: DetailPage, s: &Service) -> DetailPage {
    let page = page.heading(&s.name);
    if s.labels.is_empty() {
        return page.text("no labels").blank_line();
    }
    s.labels
        .iter()
        .fold(page, |page, (k, v)| page.text(&format!("{k} = {v}")))
        .blank_line()
}
