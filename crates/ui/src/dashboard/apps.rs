//! The applications on the dashboard.

use matou_i18n::tr;
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::board::{BoardRow, Cell, Goal, NO_FIGURES, SectionRows, well_summary};
use crate::panes::{count_health, empty_services_text};
use crate::state::App;
use crate::theme::Health;
use matou_base::text::{display_width, format_age, format_hundredths};
use matou_model::{Probe, Service, TaskCount};
use matou_monitor::AlertTarget;

/// Lists the applications, those with problems first.
pub(super) fn gather_apps(app: &App) -> SectionRows {
    let Some(swarm) = app.fleet.swarm.value() else {
        let note = app
            .fleet
            .swarm
            .error()
            .unwrap_or(NO_FIGURES.get())
            .to_owned();
        return SectionRows {
            summary: note.clone(),
            note,
            ..SectionRows::default()
        };
    };
    let mut by_app: BTreeMap<&str, Vec<&Service>> = BTreeMap::new();
    for service in &swarm.services {
        let name = service.stack.as_deref().unwrap_or(&service.name);
        by_app.entry(name).or_default().push(service);
    }
    let mut probes: HashMap<&str, Vec<&Probe>> = HashMap::new();
    for probe in app.fleet.probes.value().into_iter().flatten() {
        probes.entry(&probe.service).or_default().push(probe);
    }
    let newest = newest_snapshots(app);
    let mut rows: Vec<BoardRow> = by_app
        .into_iter()
        .map(|(name, services)| {
            let asked: Vec<&Probe> = services
                .iter()
                .filter_map(|s| probes.get(s.name.as_str()))
                .flatten()
                .copied()
                .collect();
            app_row(app, name, &services, &asked, newest.as_ref())
        })
        .collect();
    rows.sort_by_key(|r| std::cmp::Reverse(r.health.is_problem().then_some(r.health)));
    SectionRows {
        summary: well_summary(&rows),
        rows,
        note: empty_services_text(app),
        top: 0,
    }
}

/// When each application was backed up last; `None` while snapshots were not read.
fn newest_snapshots(app: &App) -> Option<HashMap<&str, Timestamp>> {
    let mut newest: HashMap<&str, Timestamp> = HashMap::new();
    for snapshot in app.fleet.snapshots.value()? {
        if let (Some(name), true) = (snapshot.app.as_deref(), snapshot.can_be_newest()) {
            let at = newest.entry(name).or_insert(snapshot.at);
            *at = (*at).max(snapshot.at);
        }
    }
    Some(newest)
}

fn app_row(
    app: &App,
    name: &str,
    services: &[&Service],
    probes: &[&Probe],
    newest: Option<&HashMap<&str, Timestamp>>,
) -> BoardRow {
    // An application whose database runs is down when its web server is.
    let worst = services.iter().map(|s| count_health(TaskCount::of([*s])));
    let mut health = worst.max().unwrap_or(Health::Unknown);
    let count = TaskCount::of(services.iter().copied()).to_string();
    let answer = answer_cell(app, services, probes);
    if answer.health == Some(Health::Bad) {
        health = Health::Bad;
    }
    let mut cells = vec![
        Cell::text(count.clone(), display_width(&count).max(5)),
        answer,
    ];
    cells.extend(share_cell(app, probes));
    cells.push(backup_cell(app, name, services, newest));
    cells.push(proof_cell(app, name, services));
    cells.extend(requests_cell(app, name));
    BoardRow {
        key: name.to_owned(),
        health,
        name: name.to_owned(),
        cells,
        goal: Goal::Row(AlertTarget::App(name.to_owned())),
    }
}

/// The slowest of the last answers, or the one that is not well.
fn answer_cell(app: &App, services: &[&Service], probes: &[&Probe]) -> Cell {
    const COLUMNS: usize = NO_FIGURES.english().len();
    let unknown = |text: &str| Cell::text(text, COLUMNS).with_health(Health::Unknown);
    if services.iter().all(|s| s.domains.is_empty()) {
        return unknown(tr!("no domain"));
    }
    let bad = probes.iter().find(|p| p.problem().is_some());
    let (text, health) = match bad.map(|p| &p.outcome) {
        Some(Ok(answer)) => (tr!("answers {}", answer.status), Health::Bad),
        Some(Err(_)) => (tr!("no answer").to_owned(), Health::Bad),
        None => {
            let millis = probes.iter().filter_map(|p| p.outcome.as_ref().ok());
            match millis.map(|a| a.millis).max() {
                None => return unknown(NO_FIGURES.get()),
                Some(millis) => (format!("{millis} ms"), Health::Good),
            }
        }
    };
    match app.fleet.probes.is_stale() {
        true => unknown(&text),
        false => Cell::text(text, COLUMNS).with_health(health),
    }
}

/// The share of good answers of the week, of the domain that has the least.
fn share_cell(app: &App, probes: &[&Probe]) -> Option<Cell> {
    let shares = probes
        .iter()
        .filter_map(|p| app.week.percent_well(&p.domain));
    let least = shares.min_by(f64::total_cmp)?;
    let text = match least {
        w if w >= 99.995 => tr!("100% good").to_owned(),
        w => tr!("{}% good", format_hundredths((w * 100.0).floor() / 100.0)),
    };
    Some(Cell::text(text, 11))
}

fn holds_data(services: &[&Service]) -> bool {
    services.iter().any(|s| !s.volumes.is_empty())
}

fn backup_cell(
    app: &App,
    name: &str,
    services: &[&Service],
    newest: Option<&HashMap<&str, Timestamp>>,
) -> Cell {
    const COLUMNS: usize = 14;
    let found = newest.map(|newest| newest.get(name));
    match found {
        Some(Some(at)) => {
            let old = app.now.as_second() - at.as_second();
            let late = old > i64::from(app.thresholds.backup_hours) * 3600;
            let cell = Cell::text(tr!("backup {}", format_age(app.now, *at)), COLUMNS);
            match late {
                true => cell.with_health(Health::Partly),
                false => cell,
            }
        }
        _ if !holds_data(services) => {
            Cell::text(tr!("no data"), COLUMNS).with_health(Health::Unknown)
        }
        Some(None) => Cell::text(tr!("no backup"), COLUMNS).with_health(Health::Partly),
        None => Cell::text(tr!("backup unread"), COLUMNS).with_health(Health::Unknown),
    }
}

fn proof_cell(app: &App, name: &str, services: &[&Service]) -> Cell {
    const COLUMNS: usize = 13;
    let backups = app.fleet.backups.value();
    match backups.map(|b| b.proofs.get(name)) {
        Some(Some(proof)) if proof.problem.is_some() => {
            Cell::text(tr!("proof failed"), COLUMNS).with_health(Health::Bad)
        }
        Some(Some(proof)) => Cell::text(tr!("proof {}", format_age(app.now, proof.at)), COLUMNS),
        _ if !holds_data(services) => Cell::text("", COLUMNS),
        Some(None) => Cell::text(tr!("no proof"), COLUMNS).with_health(Health::Unknown),
        None => Cell::text(tr!("proof unread"), COLUMNS).with_health(Health::Unknown),
    }
}

/// Requests in the last whole minute, while the application's access log is followed.
fn requests_cell(app: &App, name: &str) -> Option<Cell> {
    let access = app.access.as_ref().filter(|a| a.routes.name == name)?;
    let minutes = access.view.minutes_until(app.now);
    let last = minutes.iter().rev().nth(1).copied().flatten()?;
    Some(Cell::text(tr!("{} req/min", last.requests), 12))
}
