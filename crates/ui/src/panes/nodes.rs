//! The nodes.

use matou_i18n::{choose, tr};
use ratatui::text::Span;

use super::page::{DetailPage, format_list_line, format_since};
use super::row::{PaneRow, RowFilter, RowKind};
use super::{node_checks, tasks};
use crate::pane::Tab;
use crate::state::App;
use crate::theme::Health;
use matou_base::text::{format_age, format_hundredths, format_seconds, human_bytes};
use matou_model::{
    Availability, Fleet, Metrics, Node, NodeLink, NodeState, Role, SwarmState, TaskState,
};

pub(super) fn node_rows(fleet: &Fleet, filter: &mut RowFilter) -> (Vec<PaneRow>, usize) {
    let rows = fleet
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, n)| filter.matches(&n.name))
        .map(|(i, n)| PaneRow {
            key: format!("node/{}", n.name),
            name: n.name.clone(),
            kind: RowKind::Node(i),
            depth: 0,
            open: None,
        })
        .collect();
    (rows, fleet.nodes.len())
}

/// Returns the health of a node, and a word for it.
pub(crate) fn node_state(fleet: &Fleet, node: &Node) -> (Health, String) {
    let seen = fleet.find_swarm_node(node);
    if node.configured {
        match &node.link {
            NodeLink::Connecting => return (Health::Unknown, tr!("connecting").into()),
            NodeLink::Down { .. } => return (Health::Bad, tr!("unreachable").into()),
            NodeLink::Up if node.engine.error().is_some() => {
                return (Health::Bad, tr!("no Docker").into());
            }
            NodeLink::Up => {}
        }
    }
    match seen {
        Some(s) if s.state != NodeState::Ready => (Health::Bad, s.state.word().to_owned()),
        Some(s) if s.availability != Availability::Active => {
            (Health::Partly, s.availability.word().into())
        }
        Some(_) => (Health::Good, tr!("ready").into()),
        None => match node.engine.value() {
            Some(engine) if engine.swarm_state == SwarmState::Inactive => {
                (Health::Partly, tr!("no swarm").into())
            }
            Some(_) => (Health::Good, tr!("ready").into()),
            None => (Health::Unknown, tr!("not read yet").into()),
        },
    }
}

pub(super) fn node_line(app: &App, at: usize, columns: usize) -> ratatui::text::Line<'static> {
    let Some(node) = app.fleet.nodes.get(at) else {
        return Default::default();
    };
    let (health, word) = node_state(&app.fleet, node);
    let leader = app.fleet.find_swarm_node(node).is_some_and(|s| s.leader);
    let star = if leader {
        app.theme.leader_glyph()
    } else {
        " "
    };
    let rest = match node.metrics.value() {
        _ if health != Health::Good => format!("{star} {word}"),
        Some(m) => {
            // Beside a name of eleven columns.
            let (cpu, memory, disk) = match columns {
                0..34 => ("c", tr!("mem"), "d"),
                34..42 => (tr!("cpu"), tr!("mem"), "d"),
                42..48 => (tr!("cpu"), tr!("mem"), tr!("disk ").trim_end()),
                _ => (tr!("cpu "), tr!("mem "), tr!("disk ")),
            };
            format!(
                "{star} {cpu}{:3.0}% {memory}{:3.0}% {disk}{:3.0}%",
                m.cpu,
                m.memory_percent(),
                m.disk_percent()
            )
        }
        None => format!("{star} {word}"),
    };
    let stale = node.metrics.is_stale();
    format_list_line(app, health, 0, &node.name, &rest, columns, stale)
}

pub(super) fn node_detail(app: &App, at: usize, tab: Tab, columns: usize) -> DetailPage {
    let page = DetailPage::new(app.theme);
    let Some(node) = app.fleet.nodes.get(at) else {
        return page;
    };
    match tab {
        Tab::Tasks => node_tasks_detail(app, node, columns),
        Tab::Plan => node_checks::node_plan_detail(app, node, columns, page),
        Tab::Storage => node_checks::node_storage_detail(app, node, columns, page),
        Tab::Security => node_checks::node_security_detail(app, node, columns, page),
        _ => node_overview(app, node, columns, page),
    }
}

fn node_tasks_detail(app: &App, node: &Node, columns: usize) -> DetailPage {
    let id = app.fleet.find_swarm_node(node).map(|s| s.id.as_str());
    let swarm = app.fleet.swarm.value();
    let here: Vec<_> = swarm
        .into_iter()
        .flat_map(|s| &s.tasks)
        .filter(|t| Some(t.node_id.as_str()) == id && !id.unwrap_or("").is_empty())
        .filter(|t| t.desired == TaskState::Running || t.state == TaskState::Running)
        .collect();
    tasks::task_table(app, &here, columns)
}

fn node_overview(app: &App, node: &Node, columns: usize, page: DetailPage) -> DetailPage {
    let theme = app.theme;
    let (health, word) = node_state(&app.fleet, node);
    let mut page = page
        .push_spans(vec![
            Span::styled(theme.health_glyph(health), theme.health_style(health)),
            Span::raw(format!(" {}", matou_base::text::clean_line(&node.name))),
            Span::styled(
                format!("  {}", matou_base::text::clean_line(&word)),
                theme.health_style(health),
            ),
        ])
        .blank_line();
    if let NodeLink::Down { reason, since } = &node.link
        && node.configured
    {
        page = page
            .wrapped_text(reason, columns, theme.removed())
            .field(choose("since", "hors ligne"), &format_since(app, *since))
            .blank_line();
    } else if let Some(reason) = node.engine.error() {
        page = page
            .wrapped_text(reason, columns, theme.removed())
            .blank_line();
    }
    if !node.configured {
        let why = tr!(
            "The swarm knows this node, config.toml does not: add it there to see its load, its logs and its shell."
        );
        page = page
            .wrapped_text(why, columns, theme.changed())
            .blank_line();
    }
    page = page.field(tr!("address"), &node.address);
    if let Some(drift) = node_checks::format_drift(app, &node.name) {
        page = page.field(tr!("plan"), &drift);
    }
    if let Some(seen) = app.fleet.find_swarm_node(node) {
        let role = match (seen.role, seen.leader) {
            (Role::Manager, true) => tr!("manager, leader").to_owned(),
            (Role::Manager, false) => tr!("manager, {}", seen.reachability.word()),
            (Role::Worker, _) => tr!("worker").into(),
        };
        let labels: Vec<String> = seen
            .labels
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        page = page
            .field(
                tr!("swarm"),
                &format!("{}, {}", seen.state.word(), seen.availability.word()),
            )
            .field(tr!("role"), &role)
            .field(tr!("swarm address"), &seen.address)
            .field(tr!("labels"), &labels.join(" "));
    }
    if let Some(e) = node.engine.value() {
        page = page
            .field(tr!("engine"), &tr!("Docker {}, API {}", e.version, e.api))
            .field(tr!("system"), &format!("{}, {}", e.os, e.architecture))
            .field(tr!("kernel"), &e.kernel)
            .field(
                tr!("machine"),
                &tr!("{} CPUs, {}", e.cpus, human_bytes(e.memory)),
            );
        if e.swarm_state == SwarmState::Inactive {
            let how = tr!("In no swarm: p makes one of the nodes of config.toml.");
            page = page.wrapped_text(how, columns, theme.changed());
        }
    }
    match node.metrics.value() {
        Some(m) => add_node_load(app, node, m, columns, page),
        None => page,
    }
}

fn add_node_load(
    app: &App,
    node: &Node,
    m: &Metrics,
    columns: usize,
    page: DetailPage,
) -> DetailPage {
    let mut page = page.blank_line();
    if let (Some(why), Some(at)) = (node.metrics.error(), node.metrics.read_at()) {
        page = page
            .stale_note(why, &format_age(app.now, at), columns)
            .blank_line();
    }
    let used = |used, total| tr!("{} of {}", human_bytes(used), human_bytes(total));
    let room = columns.saturating_sub(40).clamp(10, 60);
    let history = |value: fn(&Metrics) -> f32| {
        let skip = node.history.len().saturating_sub(room);
        let values: Vec<f32> = node.history.iter().skip(skip).map(value).collect();
        percent_sparkline(app, &values)
    };
    let swap = match m.swap_total {
        0 => tr!("none").into(),
        total => used(m.swap_used, total),
    };
    let thresholds = &app.thresholds;
    let rows = [
        (
            tr!("CPU"),
            thresholds.cpu,
            m.cpu,
            format!("{:.0} %", m.cpu),
            history(|m| m.cpu),
        ),
        (
            tr!("memory"),
            thresholds.memory,
            m.memory_percent(),
            used(m.memory_used, m.memory_total),
            history(Metrics::memory_percent),
        ),
        (
            tr!("disk"),
            thresholds.disk,
            m.disk_percent(),
            used(m.disk_used, m.disk_total),
            history(Metrics::disk_percent),
        ),
    ];
    for (name, limit, percent, text, history) in rows {
        let health = match percent {
            p if p >= f32::from(limit) => Health::Bad,
            p if p >= f32::from(limit) - 10.0 => Health::Partly,
            _ => Health::Good,
        };
        page = page.cell_row(vec![
            (name.into(), 13, app.theme.dim()),
            (text, 22, app.theme.health_style(health)),
            (history, 0, app.theme.key()),
        ]);
    }
    let loads = m.load.map(|load| format_hundredths(f64::from(load)));
    page.field(tr!("swap"), &swap)
        .field(tr!("load"), &loads.join(" "))
        .field(
            tr!("up for"),
            &match m.uptime {
                ..60 => tr!("less than a minute").to_owned(),
                uptime => format_seconds(uptime as i64),
            },
        )
}

/// Returns a line of bars, one for each value of 0 to 100.
fn percent_sparkline(app: &App, percents: &[f32]) -> String {
    let heights = app.theme.bar_heights();
    percents
        .iter()
        .map(|p| heights[((p / 100.0 * 8.0) as usize).min(7)])
        .collect()
}
