//! Makes the dashboard's rows of what the console knows.

use super::apps::gather_apps;
use super::board::{BoardRow, Cell, Goal, NO_FIGURES, Section, SectionRows, well_summary};
use super::lately::gather_events;
use super::nights::gather_nights;
use crate::panes::{certificate_health, node_state};
use crate::state::App;
use crate::theme::Health;
use matou_base::text::{display_width, format_age};
use matou_i18n::{tr, trn};
use matou_model::{CertificateState, Metrics, Node, NodeLink};
use matou_monitor::AlertTarget;

/// Hours of a sparkline.
const HOURS: usize = 24;

/// Returns the rows of all sections.
pub(crate) fn gather_board(app: &App) -> [SectionRows; 6] {
    Section::ALL.map(|section| match section {
        Section::Problems => gather_problems(app),
        Section::Nodes => gather_nodes(app),
        Section::Apps => gather_apps(app),
        Section::Nights => gather_nights(app),
        Section::Certificates => gather_certificates(app),
        Section::Lately => gather_events(app),
    })
}

fn gather_problems(app: &App) -> SectionRows {
    let told = app.alerts.iter().filter(|a| a.silence.is_none());
    let row = |alert: &matou_monitor::Alert| {
        let since = alert
            .since
            .map_or_else(String::new, |t| format_age(app.now, t));
        BoardRow {
            key: alert.key.clone(),
            health: alert.severity.into(),
            name: alert.what.clone(),
            cells: vec![Cell::text(since, 6), Cell::rest(&alert.why)],
            goal: Goal::Alert(alert.key.clone()),
        }
    };
    let rows: Vec<BoardRow> = told.map(row).collect();
    let silenced = app.alerts.len() - rows.len();
    let mut note = match app.fleet.swarm.read_at() {
        None => tr!("the fleet is being read …").to_owned(),
        Some(_) => tr!("all is as it should be").to_owned(),
    };
    if silenced > 0 {
        note += &trn!(silenced, " ({n} ignored)", " ({n} ignored)");
    }
    let summary = match rows.len() {
        0 => note.clone(),
        n => trn!(n, "{n} alert", "{n} alerts"),
    };
    SectionRows {
        rows,
        note,
        summary,
        top: 0,
    }
}

fn gather_nodes(app: &App) -> SectionRows {
    let mut rows: Vec<BoardRow> = app.fleet.nodes.iter().map(|n| node_row(app, n)).collect();
    rows.sort_by_key(|r| std::cmp::Reverse(r.health.is_problem().then_some(r.health)));
    SectionRows {
        summary: well_summary(&rows),
        rows,
        note: tr!("no nodes").into(),
        top: 0,
    }
}

fn node_row(app: &App, node: &Node) -> BoardRow {
    let (state, word) = node_state(&app.fleet, node);
    let limits = &app.thresholds;
    let over = |m: &Metrics| {
        m.cpu >= f32::from(limits.cpu)
            || m.memory_percent() >= f32::from(limits.memory)
            || m.disk_percent() >= f32::from(limits.disk)
    };
    let metrics = node.metrics.value();
    // Figures of a node that does not answer are those of before.
    let health = match metrics {
        Some(m) if state == Health::Good && over(m) => Health::Partly,
        _ => state,
    };
    let mut cells = Vec::new();
    if state != Health::Good {
        let since = match &node.link {
            NodeLink::Down { since, .. } if node.configured => {
                format!("{word}, {}", format_age(app.now, *since))
            }
            _ => word,
        };
        cells.push(Cell::text(since.clone(), display_width(&since)).with_health(state));
    }
    let hours = app.loads.series(&node.name, app.now, 3600, HOURS);
    let known = hours.iter().any(Option::is_some);
    match metrics {
        Some(m) => {
            let value = |name: &str, percent: f32, limit: u8| {
                let cell = Cell::text(format!("{name}{percent:>3.0}%"), display_width(name) + 4);
                match percent >= f32::from(limit) {
                    true => cell.with_health(Health::Bad),
                    false => cell,
                }
            };
            cells.push(value(tr!("cpu "), m.cpu, limits.cpu));
            if known {
                let cpu = hours.iter().map(|h| h.map(|h| h.cpu)).collect();
                cells.push(Cell::sparkline(cpu));
            }
            cells.push(value(tr!("mem "), m.memory_percent(), limits.memory));
            if known {
                let memory = hours.iter().map(|h| h.map(|h| h.memory)).collect();
                cells.push(Cell::sparkline(memory));
            }
            cells.push(value(tr!("disk "), m.disk_percent(), limits.disk));
            if !known {
                cells.push(
                    Cell::rest(tr!("no figures of the day yet")).with_health(Health::Unknown),
                );
            }
        }
        None => cells.push(Cell::rest(NO_FIGURES.get()).with_health(Health::Unknown)),
    }
    BoardRow {
        key: node.name.clone(),
        health,
        name: node.name.clone(),
        cells,
        goal: Goal::Row(AlertTarget::Node(node.name.clone())),
    }
}

fn gather_certificates(app: &App) -> SectionRows {
    let most = app.thresholds.certificate_days;
    let Some(all) = app.fleet.certificates.value() else {
        let note = app.fleet.certificates.error().unwrap_or(NO_FIGURES.get());
        return SectionRows {
            note: note.to_owned(),
            summary: note.to_owned(),
            ..SectionRows::default()
        };
    };
    let mut ranked: Vec<(std::cmp::Reverse<CertificateState>, i64, BoardRow)> = Vec::new();
    for certificate in all {
        let state = certificate.state_at(app.now, most);
        let served = certificate.worst_served(app.now, most);
        let days = served.map(|s| s.days_left(app.now));
        let left = match days {
            _ if certificate.orphan => tr!("orphan").to_owned(),
            None => tr!("not served").to_owned(),
            Some(days) => tr!("{days} d"),
        };
        let health = match certificate.orphan {
            true => Health::Partly,
            false => certificate_health(state),
        };
        let mut cells = vec![Cell::text(left, 10).with_health(health)];
        cells.extend(certificate.problem(app.now, most).map(Cell::rest));
        let row = BoardRow {
            key: certificate.domain.clone(),
            health,
            name: certificate.domain.clone(),
            cells,
            goal: Goal::Row(AlertTarget::Certificate(certificate.domain.clone())),
        };
        ranked.push((std::cmp::Reverse(state), days.unwrap_or(i64::MAX), row));
    }
    ranked.sort_by_key(|(state, days, _)| (*state, *days));
    let first = ranked.iter().map(|(_, days, _)| *days).min();
    let summary = match first {
        None => tr!("none").to_owned(),
        Some(i64::MAX) => tr!("none is served").to_owned(),
        Some(days) => tr!("the first ends in {days} d"),
    };
    SectionRows {
        rows: ranked.into_iter().map(|(.., row)| row).collect(),
        note: tr!("no certificates: no application has a domain").into(),
        summary,
        top: 0,
    }
}
