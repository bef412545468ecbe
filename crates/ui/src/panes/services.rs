//! Applications, opened to their services and tasks.

use matou_i18n::{tr, trn};
use ratatui::style::Style;
use ratatui::text::Line;

use super::backups::format_minute;
use super::page::{DetailPage, format_list_line};
use super::row::{PaneRow, RowFilter, RowKind};
use super::table::Table;
use super::tasks;
use super::volumes::format_growth;
use crate::keymap::Action;
use crate::pane::Tab;
use crate::state::App;
use crate::theme::Health;
use crate::words;
use matou_base::text::{clean_line, format_age, format_ago, format_hundredths, human_bytes};
use matou_model::{
    DiskBudget, Fleet, JobState, Service, ServiceMode, Swarm, Task, TaskCount, TaskState,
    UpdateState, redirects_from_labels,
};
use matou_monitor::AnswerHour;
use matou_stack::find_release_line;

/// Ended tasks that the list shows of each slot.
const ENDED_TASKS_SHOWN: usize = 1;

/// Tasks of each slot that the Overview shows: as many as the engine keeps, where nobody told it otherwise.
const TASKS_SHOWN: usize = 5;

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
    let shown = shown_tasks(swarm, &service.id, 0);
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
/// the newest of each slot that ended, and the newest `of_slot`, whatever they do.
fn shown_tasks<'a>(swarm: &'a Swarm, service_id: &str, of_slot: usize) -> Vec<(usize, &'a Task)> {
    let mut last: Option<(Option<u64>, &str)> = None;
    let (mut past, mut seen) = (0, 0);
    let tasks = swarm.tasks.iter().enumerate();
    tasks
        .filter(|(_, t)| t.service_id == service_id)
        .filter(|(_, t)| {
            let place = (t.slot, if t.slot.is_some() { "" } else { &*t.node_id });
            if last != Some(place) {
                last = Some(place);
                (past, seen) = (0, 0);
            }
            seen += 1;
            // One that waits to be tried again is wanted `ready`, and must not hide the one that failed. The
            // engine goes on wanting a job's task to be complete when it is.
            if t.desired == TaskState::Running || !t.has_ended() {
                return true;
            }
            past += 1;
            past <= ENDED_TASKS_SHOWN || seen <= of_slot
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
        &format!("{} {node}", task.state.word()),
        columns,
        app.fleet.swarm.is_stale(),
    )
}

/// Says why the list is empty.
pub(crate) fn empty_services_text(app: &App) -> String {
    match (app.fleet.swarm.value(), app.fleet.swarm.error()) {
        (Some(_), _) => {
            let key = app.keymap.first_key(Action::Deploy).unwrap_or_default();
            tr!("no applications yet: press {key} to deploy one")
        }
        (None, Some(reason)) => reason.to_owned(),
        (None, None) => tr!("reading the swarm …").into(),
    }
}

pub(super) fn app_detail(app: &App, places: &[usize], tab: Tab, columns: usize) -> DetailPage {
    let services = services_at(app, places);
    let page = DetailPage::new(app.theme);
    match tab {
        Tab::Labels => services
            .iter()
            .fold(page, |page, s| add_service_labels(page, s)),
        _ => services_overview(app, &services, columns, add_room(app, &services, page)),
    }
}

/// Adds how much room the application's volumes take, and its budget.
fn add_room(app: &App, services: &[&Service], page: DetailPage) -> DetailPage {
    let name = services.first().and_then(|s| s.stack.as_deref());
    let (Some(name), Some(sizes)) = (name, app.fleet.sizes.value()) else {
        return page;
    };
    let Some(room) = sizes.find_app(name) else {
        return page;
    };
    let count = trn!(room.volumes, "{n} volume", "{n} volumes");
    let (size, measured) = (human_bytes(room.bytes), format_ago(app.now, room.at));
    let mut text = tr!("{size} in {count}, measured {measured}");
    if let Some(week) = room.week {
        text = format!("{text}, {}", format_growth(week));
    }
    let page = page.field(tr!("room"), &text);
    let budgets = app.fleet.swarm.value().map(|swarm| swarm.list_budgets());
    match budgets.and_then(|all| all.get(name).copied()) {
        Some(budget) => page.field(tr!("budget"), &describe_budget(budget, room.bytes)),
        None => page,
    }
}

fn describe_budget(budget: DiskBudget, taken: u64) -> String {
    let all = human_bytes(budget.bytes);
    let percent = u128::from(taken) * 100 / u128::from(budget.bytes.max(1));
    match budget.enforce {
        true => tr!("{all}, {percent} % taken; the storage refuses more"),
        false => tr!("{all}, {percent} % taken"),
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
    let plain = Style::new();
    let mut table =
        Table::new(theme).heads(&[tr!("service"), tr!("tasks"), tr!("image"), tr!("updated")]);
    for s in services {
        let count = TaskCount::of([*s]);
        let style = theme.health_style(count_health(count));
        let updated = s.updated_at.map(|then| format_age(app.now, then));
        table = table.row(vec![
            (s.name.clone(), plain),
            (
                format!("{} {count}", theme.health_glyph(count_health(count))),
                style,
            ),
            (s.image.clone(), plain),
            (updated.unwrap_or_default(), theme.dim()),
        ]);
        if let Some(state) = format_update_state(s) {
            table = table.note(&format!("  {state}"), theme.changed());
        }
        if let Some(job) = s.job.as_ref().filter(|job| job.state != JobState::Done) {
            table = table.note(&format!("  {job}"), style);
        }
        if let Some(failures) = describe_failures(app, s) {
            let weight = match count_health(count) {
                Health::Good => theme.dim(),
                _ => theme.removed(),
            };
            table = table.note(&format!("  {failures}"), weight);
        }
    }
    page = page.table(table, columns);
    page = add_ends_and_rehearsals(app, services, columns, page);
    page = add_scheduled_jobs(app, services, columns, page).blank_line();
    let swarm = app.fleet.swarm.value();
    let shown: Vec<&Task> = services
        .iter()
        .flat_map(|s| swarm.map_or_else(Vec::new, |w| shown_tasks(w, &s.id, TASKS_SHOWN)))
        .map(|(_, t)| t)
        .collect();
    let mut table = tasks::task_table(app, &shown, columns);
    page.lines.append(&mut table.lines);
    page
}

/// Says when a task of a service failed last and why, and how often that is known to have happened.
fn describe_failures(app: &App, service: &Service) -> Option<String> {
    let known = app.failures.of_service(&service.id)?;
    let (first, last) = (known.front()?, known.back()?);
    let (at, ago) = (format_minute(app, last.at), format_ago(app.now, last.at));
    let (since, why) = (format_minute(app, first.at), &last.why);
    Some(match known.len() {
        1 => tr!("failed once, {at} ({ago}): {why}"),
        n => tr!("failed {n} times since {since}, last {at} ({ago}): {why}"),
    })
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
            let text = tr!("visitors see the page {}", shown.describe());
            page.wrapped_text(&text, columns, app.theme.health_style(Health::Partly))
        }
        None => page,
    }
}

/// Adds release lines that get no fixes any more, and what the last night found out about an update.
fn add_ends_and_rehearsals(
    app: &App,
    services: &[&Service],
    columns: usize,
    mut page: DetailPage,
) -> DetailPage {
    let theme = app.theme;
    let lines = services.iter();
    let lines = lines.filter_map(|s| find_release_line(&s.image, app.now));
    let mut ended: Vec<String> = lines.filter(|l| l.is_over).map(|l| l.describe()).collect();
    ended.dedup();
    for line in ended {
        page = page.wrapped_text(&line, columns, theme.health_style(Health::Partly));
    }
    let (Some(swarm), Some(backups)) = (app.fleet.swarm.value(), app.fleet.backups.value()) else {
        return page;
    };
    let names: Vec<&str> = services.iter().filter_map(|s| s.stack.as_deref()).collect();
    let nights = backups.rehearsals.iter();
    let nights = nights.filter(|night| names.contains(&night.app.as_str()));
    nights
        .filter(|night| night.is_current(swarm))
        .fold(page, |page, night| {
            let style = match night.failure() {
                Some(_) => theme.health_style(Health::Bad),
                None => theme.dim(),
            };
            page.wrapped_text(&night.describe(app.now), columns, style)
        })
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
        let begin = tr!("job {} ({})", job.name, job.calendar);
        let Some(runs) = app.fleet.app_jobs.value() else {
            return page.wrapped_text(&begin, columns, theme.dim());
        };
        if let Some(missed) = runs.find_missed(&job) {
            let text = tr!("{begin}: missed {}", format_age(runs.at, missed));
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
                (tr!("{begin}: {} ({age})", run.describe_end()), health)
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
        lines.push(tr!("Y copies the password").into());
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
    let page = page.field(tr!("domains"), &answers.join(" "));
    match leads.is_empty() {
        true => page,
        false => page.field(tr!("redirects"), &leads.join(" ")),
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
    let table = ours.fold(Table::new(theme), |table, probe| {
        let (health, text) = match (&probe.outcome, probe.problem()) {
            (Ok(a), None) => (Health::Good, tr!("{} in {} ms", a.status, a.millis)),
            (Ok(a), Some(_)) => (Health::Bad, format!("{}", a.status)),
            (Err(_), _) => (Health::Bad, tr!("no answer").into()),
        };
        let health = match app.fleet.probes.is_stale() {
            true => Health::Unknown,
            false => health,
        };
        let week = app.week.percent_well(&probe.domain);
        let week = week.map_or_else(String::new, |w| match w {
            w if w >= 99.995 => "100 %".into(),
            w => format!("{} %", format_hundredths((w * 100.0).floor() / 100.0)),
        });
        let day: String = app
            .week
            .hours(&probe.domain, app.now, 24)
            .into_iter()
            .map(|hour| answer_bar(app, hour))
            .collect();
        let name = format!("{} {}", theme.health_glyph(health), probe.domain);
        let style = theme.health_style(health);
        let table = table.row(vec![
            (name, style),
            (text, style),
            (week, theme.dim()),
            (day, theme.key()),
        ]);
        match probe.problem() {
            Some(why) => table.note(&format!("  {why}"), theme.removed()),
            None => table,
        }
    });
    page.table(table, columns)
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
/// What the engine says of an update that is not complete.
fn format_update_state(s: &Service) -> Option<String> {
    let (state, message) = s.update.as_ref()?;
    if *state == UpdateState::Completed || state.as_str().is_empty() {
        return None;
    }
    let said = state.as_str().replace('_', " ");
    let state = words::update_state(state);
    // The engine often says the state once more.
    match message.is_empty() || *message == said {
        true => Some(state),
        false => Some(tr!("{state}: {message}")),
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
            trn!(n, "{n} replica", "{n} replicas")
        }
        ServiceMode::Global => tr!("once on every node that fits").into(),
        ServiceMode::ReplicatedJob(n) => tr!("a job of {n} completions"),
        ServiceMode::GlobalJob => tr!("a job on every node that fits").into(),
    };
    let page = add_stale_swarm_note(app, page, columns)
        .field(tr!("image"), &s.image)
        .field(tr!("runs"), &mode)
        .field(tr!("domains"), &s.domains.join(" "))
        .field(tr!("ports"), &s.ports.join(" "))
        .field(tr!("volumes"), &s.volumes.join(" "))
        .field(
            tr!("created"),
            &s.created_at
                .map_or_else(String::new, |t| format_age(app.now, t)),
        )
        .blank_line();
    services_overview(app, &[s], columns, page)
}

fn add_service_labels(page: DetailPage, s: &Service) -> DetailPage {
    let page = page.heading(&s.name);
    if s.labels.is_empty() {
        return page.text(tr!("no labels")).blank_line();
    }
    s.labels
        .iter()
        .fold(page, |page, (k, v)| page.text(&format!("{k} = {v}")))
        .blank_line()
}
