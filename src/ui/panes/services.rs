//! Applications, opened to their services and tasks.

use ratatui::style::Style;
use ratatui::text::Line;

use super::{Filter, Page, Row, RowKind, list_line, tasks};
use crate::model::{Fleet, Mode, Service, Swarm, Task};
use crate::monitor::Hour;
use crate::text::age;
use crate::ui::keymap::Action;
use crate::ui::state::{App, Tab};
use crate::ui::theme::Health;

/// Ended tasks that are shown of a slot.
const PAST: usize = 1;

pub(super) fn rows(fleet: &Fleet, opened: &[String], filter: &mut Filter) -> (Vec<Row>, usize) {
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
        let kept = filter.keeps(name)
            || services.iter().any(|i| {
                let s = &swarm.services[*i];
                filter.keeps(&s.name) || s.domains.iter().any(|d| filter.keeps(d))
            });
        if !kept {
            continue;
        }
        let key = format!("app/{name}");
        let open = opened.contains(&key);
        rows.push(Row {
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
                service_rows(swarm, i, opened, &mut rows);
            }
        }
    }
    (rows, total)
}

fn service_rows(swarm: &Swarm, at: usize, opened: &[String], rows: &mut Vec<Row>) {
    let service = &swarm.services[at];
    let key = format!("service/{}", service.id);
    let open = opened.contains(&key);
    rows.push(Row {
        key,
        name: service.name.clone(),
        kind: RowKind::Service(at),
        depth: 1,
        open: Some(open),
    });
    if !open {
        return;
    }
    let shown = recent(swarm, &service.id);
    rows.extend(shown.into_iter().map(|(i, task)| Row {
        key: format!("task/{}", task.id),
        name: tasks::name(Some(service), task),
        kind: RowKind::Task {
            service: at,
            task: i,
        },
        depth: 2,
        open: None,
    }));
}

/// Of each slot the tasks that should run and the newest that ended, with their places.
fn recent<'a>(swarm: &'a Swarm, service_id: &str) -> Vec<(usize, &'a Task)> {
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
            if t.desired == "running" || t.state == "running" {
                return true;
            }
            past += 1;
            past <= PAST
        })
        .collect()
}

fn health(running: u64, wanted: u64) -> Health {
    match (running, wanted) {
        (_, 0) => Health::Ended,
        (0, _) => Health::Bad,
        (r, w) if r < w => Health::Partly,
        _ => Health::Good,
    }
}

fn replicas(services: &[&Service]) -> (u64, u64) {
    services
        .iter()
        .fold((0, 0), |(r, w), s| (r + s.running, w + s.wanted))
}

fn find<'a>(app: &'a App, places: &[usize]) -> Vec<&'a Service> {
    let services = app.fleet.swarm.value().map_or(&[][..], |s| &s.services);
    places.iter().filter_map(|i| services.get(*i)).collect()
}

pub(super) fn app_line(app: &App, row: &Row, places: &[usize], columns: usize) -> Line<'static> {
    let services = find(app, places);
    let (running, wanted) = replicas(&services);
    let domain = services.iter().flat_map(|s| &s.domains).next();
    let domain = domain.map_or_else(String::new, |d| format!(" {d}"));
    let opened = app.theme.opened(row.open == Some(true));
    list_line(
        app,
        health(running, wanted),
        0,
        &format!("{opened} {}", row.name),
        &format!("{running}/{wanted}{domain}"),
        columns,
        app.fleet.swarm.is_stale(),
    )
}

pub(super) fn service_line(app: &App, row: &Row, at: usize, columns: usize) -> Line<'static> {
    let Some(s) = find(app, &[at]).pop() else {
        return Line::default();
    };
    let short = s
        .stack
        .as_ref()
        .and_then(|stack| s.name.strip_prefix(stack.as_str()))
        .map_or(s.name.as_str(), |n| n.trim_start_matches('_'));
    let opened = app.theme.opened(row.open == Some(true));
    list_line(
        app,
        health(s.running, s.wanted),
        2,
        &format!("{opened} {short}"),
        &format!("{}/{} {}", s.running, s.wanted, s.image),
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
    let name = tasks::name(Some(service), task);
    let short = name.rsplit('_').next().unwrap_or(&name).to_owned();
    let node = app.fleet.node_name(&task.node_id);
    list_line(
        app,
        tasks::health(task),
        4,
        &short,
        &format!("{} {node}", task.state),
        columns,
        app.fleet.swarm.is_stale(),
    )
}

/// What the empty list says.
pub(super) fn empty(app: &App) -> String {
    match (app.fleet.swarm.value(), app.fleet.swarm.error()) {
        (Some(_), _) => {
            let key = app.keymap.key(Action::Deploy).unwrap_or_default();
            format!("no applications yet: press {key} to deploy one")
        }
        (None, Some(reason)) => reason.to_owned(),
        (None, None) => "reading the swarm …".into(),
    }
}

pub(super) fn app_detail(app: &App, places: &[usize], tab: Tab, columns: usize) -> Page {
    let services = find(app, places);
    let page = Page::new(app.theme);
    match tab {
        Tab::Labels => services.iter().fold(page, |page, s| labels(page, s)),
        _ => overview(app, &services, columns, page),
    }
}

fn overview(app: &App, services: &[&Service], columns: usize, page: Page) -> Page {
    let theme = app.theme;
    let mut page = stale(app, page, columns);
    let domains: Vec<&str> = services
        .iter()
        .flat_map(|s| &s.domains)
        .map(String::as_str)
        .collect();
    if !domains.is_empty() {
        page = page.field("domains", &domains.join(" "));
        page = answers(app, services, columns, page).blank();
    }
    let dim = theme.dim();
    let image_columns = columns.saturating_sub(42).clamp(14, 40);
    page = page.cells(vec![
        ("service".into(), 18, dim),
        ("tasks".into(), 7, dim),
        ("image".into(), image_columns, dim),
        ("updated".into(), 8, dim),
    ]);
    for s in services {
        let health = health(s.running, s.wanted);
        page = page.cells(vec![
            (s.name.clone(), 18, Style::new()),
            (
                format!("{} {}/{}", theme.glyph(health), s.running, s.wanted),
                7,
                theme.health(health),
            ),
            (s.image.clone(), image_columns, Style::new()),
            (
                s.updated_at.map_or_else(String::new, |t| age(app.now, t)),
                8,
                dim,
            ),
        ]);
        page = update_state(app, s, columns, page);
    }
    page = page.blank();
    let swarm = app.fleet.swarm.value();
    let shown: Vec<&Task> = services
        .iter()
        .flat_map(|s| swarm.map_or_else(Vec::new, |w| recent(w, &s.id)))
        .map(|(_, t)| t)
        .collect();
    let mut table = tasks::table(app, &shown, columns);
    page.lines.append(&mut table.lines);
    page
}

/// What the application answered last under each domain, and over the week.
fn answers(app: &App, services: &[&Service], columns: usize, page: Page) -> Page {
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
        let week = app.week.well(&probe.domain);
        let week = week.map_or_else(String::new, |w| match w {
            w if w >= 99.995 => "100 %".into(),
            w => format!("{:.2} %", (w * 100.0).floor() / 100.0),
        });
        let day: String = app
            .week
            .hours(&probe.domain, app.now, 24)
            .into_iter()
            .map(|hour| bar(app, hour))
            .collect();
        let page = page.cells(vec![
            (theme.glyph(health).into(), 1, theme.health(health)),
            (
                probe.domain.clone(),
                columns.saturating_sub(60).clamp(16, 40),
                Style::new(),
            ),
            (text, 15, theme.health(health)),
            (week, 8, theme.dim()),
            (day, 0, theme.key()),
        ]);
        match probe.problem() {
            Some(why) => page.wrapped(&format!("  {why}"), columns, theme.removed()),
            None => page,
        }
    })
}

/// An hour of answers: low where they were quick, `!` where some failed.
fn bar(app: &App, hour: Option<Hour>) -> &'static str {
    match hour {
        None => " ",
        Some(h) if h.failed > 0 => "!",
        Some(h) => {
            // Each step is twice as long, from 20 ms on.
            let steps = (h.millis().unwrap_or(0) as f64 / 20.0).max(1.0).log2() as usize;
            app.theme.heights()[steps.min(7)]
        }
    }
}

/// An update that did not simply succeed is told.
fn update_state(app: &App, s: &Service, columns: usize, page: Page) -> Page {
    match &s.update {
        Some((state, message)) if state != "completed" && !state.is_empty() => {
            let text = format!("  {}: {message}", state.replace('_', " "));
            page.wrapped(&text, columns, app.theme.changed())
        }
        _ => page,
    }
}

fn stale(app: &App, page: Page, columns: usize) -> Page {
    match (app.fleet.swarm.error(), app.fleet.swarm.read_at()) {
        (Some(why), Some(at)) => page.stale(why, &age(app.now, at), columns).blank(),
        _ => page,
    }
}

pub(super) fn service_detail(app: &App, at: usize, tab: Tab, columns: usize) -> Page {
    let page = Page::new(app.theme);
    let Some(s) = find(app, &[at]).pop() else {
        return page;
    };
    if tab == Tab::Labels {
        return labels(page, s);
    }
    let mode = match s.mode {
        Mode::Replicated(n) => format!("{n} replicas"),
        Mode::Global => "once on every node that fits".into(),
        Mode::ReplicatedJob(n) => format!("a job of {n} completions"),
        Mode::GlobalJob => "a job on every node that fits".into(),
    };
    let page = stale(app, page, columns)
        .field("image", &s.image)
        .field("runs", &mode)
        .field("domains", &s.domains.join(" "))
        .field("ports", &s.ports.join(" "))
        .field("volumes", &s.volumes.join(" "))
        .field(
            "created",
            &s.created_at.map_or_else(String::new, |t| age(app.now, t)),
        )
        .blank();
    overview(app, &[s], columns, page)
}

fn labels(page: Page, s: &Service) -> Page {
    let page = page.heading(&s.name);
    if s.labels.is_empty() {
        return page.text("no labels").blank();
    }
    s.labels
        .iter()
        .fold(page, |page, (k, v)| page.text(&format!("{k} = {v}")))
        .blank()
}
