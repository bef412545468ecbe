//! The lists on the left and what is shown of a selected row on the right; one file a pane.

mod backups;
mod certificates;
mod charts;
mod load_span;
mod node_checks;
mod nodes;
mod page;
mod row;
mod services;
mod sort;
mod table;
mod tasks;
mod volumes;

pub(super) use backups::format_minute;
pub(super) use certificates::certificate_health;
pub(super) use charts::draw_load_charts as charts;
use matou_i18n::tr;
pub(super) use nodes::node_state;
use page::DetailPage;
pub(super) use page::wrap_text;
pub(super) use row::{PaneRow, RowFilter, RowKind};
pub(super) use services::{count_health, empty_services_text};
pub(super) use sort::SortOrder;
pub(super) use tasks::format_task_name;

use ratatui::text::Line;

use super::pane::{Pane, Tab};
use super::state::App;
use super::theme::Health;
use matou_model::{Fleet, UpdateState};
use matou_monitor::NodeDrift;

/// Returns the rows of a pane that match the filter, and how many things there are without it. What only has
/// the filter's letters counts when nothing contains its words.
pub(super) fn pane_rows(
    pane: Pane,
    fleet: &Fleet,
    opened: &[String],
    filter: &str,
) -> (Vec<PaneRow>, usize) {
    let rows = |mut filter: RowFilter| match pane {
        Pane::Nodes => nodes::node_rows(fleet, &mut filter),
        Pane::Services => services::app_rows(fleet, opened, &mut filter),
        Pane::Volumes => volumes::volume_rows(fleet, &mut filter),
        Pane::Certificates => certificates::certificate_rows(fleet, &mut filter),
        Pane::Backups => backups::backup_rows(fleet, opened, &mut filter),
    };
    let found = rows(RowFilter::by_words(filter));
    match found.0.is_empty() && !filter.is_empty() {
        true => rows(RowFilter::by_letters(filter)),
        false => found,
    }
}

/// How well what a row stands for is.
pub(super) fn row_health(app: &App, row: &PaneRow) -> Health {
    let fleet = &app.fleet;
    match &row.kind {
        RowKind::Node(node) => fleet
            .nodes
            .get(*node)
            .map_or(Health::Unknown, |node| nodes::node_state(fleet, node).0),
        RowKind::App { services } => services::services_health(app, services),
        RowKind::Service(service) => services::services_health(app, &[*service]),
        RowKind::Task { task, .. } => {
            let tasks = fleet.swarm.value().map_or(&[][..], |s| &s.tasks);
            tasks.get(*task).map_or(Health::Unknown, tasks::task_health)
        }
        // One that nothing uses is not wrong.
        RowKind::Volume { .. } => Health::Good,
        RowKind::Certificate(at) => certificates::row_health(app, *at),
        RowKind::Repository(at) => backups::repository_row_health(app, *at),
        RowKind::SnapshotGroup { first, count } => {
            backups::snapshot_group_health(app, &row.name, *first, *count)
        }
        RowKind::Snapshot(_) => Health::Good,
    }
}

/// Returns the name of what a row belongs to.
pub(super) fn row_app(app: &App, row: &PaneRow) -> Option<String> {
    let services = app.fleet.swarm.value().map_or(&[][..], |s| &s.services);
    match &row.kind {
        RowKind::App { .. } => Some(row.name.clone()),
        RowKind::SnapshotGroup { first, count } => {
            let snapshot = app.fleet.snapshots.value().and_then(|s| s.get(*first));
            match (count, snapshot) {
                (0, _) => Some(row.name.clone()),
                // Of another fleet only a snapshot that is selected itself counts.
                (_, snapshot) => snapshot.filter(|s| s.other_fleet.is_none())?.app.clone(),
            }
        }
        RowKind::Snapshot(at) => app.fleet.snapshots.value()?.get(*at)?.app.clone(),
        RowKind::Service(at) | RowKind::Task { service: at, .. } => {
            let service = services.get(*at)?;
            Some(
                service
                    .stack
                    .clone()
                    .unwrap_or_else(|| service.name.clone()),
            )
        }
        _ => None,
    }
}

/// Puts what is down first, then what is only partly well, each with what is shown below it; the order is kept
/// otherwise. With `only_problems` both are left and nothing else. An `order` that was asked for is the only one.
/// Returns how well each of the rows is.
pub(super) fn sort_rows(
    app: &App,
    rows: &mut Vec<PaneRow>,
    only_problems: bool,
    order: Option<SortOrder>,
) -> Vec<Health> {
    let mut blocks: Vec<(Health, Vec<(PaneRow, Health)>)> = Vec::new();
    for row in rows.drain(..) {
        let health = row_health(app, &row);
        match blocks.last_mut() {
            Some((_, block)) if row.depth > 0 => block.push((row, health)),
            _ => blocks.push((worst_health(app, &row), vec![(row, health)])),
        }
    }
    if only_problems {
        blocks.retain(|(worst, _)| worst.is_problem());
    }
    match order {
        None => blocks.sort_by_key(|(worst, block)| match block.first() {
            Some((row, _)) if keeps_place(app, row, *worst) => 2,
            _ if *worst == Health::Bad => 0,
            _ if *worst == Health::Partly => 1,
            _ => 2,
        }),
        Some(order) => blocks.sort_by(|(_, a), (_, b)| match (a.first(), b.first()) {
            (Some((a, _)), Some((b, _))) => order.compare(app, a, b),
            _ => std::cmp::Ordering::Equal,
        }),
    }
    let all = blocks.into_iter().flat_map(|(_, block)| block);
    let (sorted, healths) = all.unzip();
    *rows = sorted;
    healths
}

/// Whether a row stays where it is, however it is. Nodes are few, and known by their places, on the screen and by the
/// numbers of their lines (`matou --linear`). An update makes an application partly well for a moment, and rows would
/// jump.
fn keeps_place(app: &App, row: &PaneRow, worst: Health) -> bool {
    match &row.kind {
        RowKind::Node(_) => true,
        RowKind::App { services } if worst == Health::Partly => {
            let services = services::services_at(app, services);
            let updates = services.iter().filter_map(|s| s.update.as_ref());
            let mut states = updates.map(|(state, _)| state);
            states.any(UpdateState::is_under_way)
        }
        _ => false,
    }
}

/// How the worst of a row is: an application whose database runs is down when its web server is.
fn worst_health(app: &App, row: &PaneRow) -> Health {
    match &row.kind {
        RowKind::App { services } => services
            .iter()
            .map(|at| services::services_health(app, &[*at]))
            .max()
            .unwrap_or(Health::Unknown),
        _ => row_health(app, row),
    }
}

/// Formats a row for its list, `columns` wide.
pub(super) fn row_line(app: &App, row: &PaneRow, columns: usize) -> Line<'static> {
    match &row.kind {
        RowKind::Node(node) => nodes::node_line(app, *node, columns),
        RowKind::App { services } => services::app_line(app, row, services, columns),
        RowKind::Service(service) => services::service_line(app, row, *service, columns),
        RowKind::Task { service, task } => services::task_line(app, *service, *task, columns),
        RowKind::Volume { node, volume } => volumes::volume_line(app, *node, *volume, columns),
        RowKind::Certificate(at) => certificates::certificate_line(app, *at, columns),
        RowKind::Repository(at) => backups::repository_line(app, *at, columns),
        RowKind::SnapshotGroup { first, count } => {
            backups::snapshot_group_line(app, row, *first, *count, columns)
        }
        RowKind::Snapshot(at) => backups::snapshot_line(app, *at, columns),
    }
}

/// Returns the nodes that differ from config.toml, and in how much.
pub(super) fn drifted_nodes(app: &App) -> Vec<NodeDrift> {
    let nodes = app.fleet.nodes.iter().filter(|n| n.configured);
    nodes
        .map(|n| NodeDrift {
            node: n.name.clone(),
            differences: node_checks::count_differences(app, &n.name),
        })
        .filter(|drift| drift.differences > 0)
        .collect()
}

/// Says why a list is empty, or which key fills it.
pub(super) fn empty_pane_text(app: &App, pane: Pane) -> String {
    if app.lists[pane.index()].only_problems {
        return tr!("nothing here is wrong; Esc shows all").into();
    }
    if !app.lists[pane.index()].filter.value().is_empty() {
        return tr!("nothing matches; Esc ends the filter").into();
    }
    match pane {
        Pane::Nodes => tr!("no nodes").into(),
        Pane::Services => services::empty_services_text(app),
        Pane::Volumes => tr!("no volumes yet: applications make them").into(),
        Pane::Certificates => tr!("none read yet").into(),
        Pane::Backups => match app.fleet.snapshots.error() {
            Some(why) => why.to_owned(),
            None => tr!("no snapshots read yet").into(),
        },
    }
}

/// Returns the lines about the selected row, `columns` wide.
pub(super) fn selected_detail(app: &App, tab: Tab, columns: usize) -> Vec<Line<'static>> {
    let name = app.selected_row().map_or("", |r| &r.name);
    let page = match app.selected_row().map(|r| &r.kind) {
        Some(RowKind::Node(node)) => nodes::node_detail(app, *node, tab, columns),
        Some(RowKind::App { services }) => services::app_detail(app, services, tab, columns),
        Some(RowKind::Service(service)) => services::service_detail(app, *service, tab, columns),
        Some(RowKind::Task { service, task }) => tasks::task_detail(app, *service, *task, columns),
        Some(RowKind::Volume { node, volume }) => volumes::volume_detail(app, *node, *volume),
        Some(RowKind::Certificate(at)) => certificates::certificate_detail(app, *at, columns),
        Some(RowKind::Repository(at)) => backups::repository_detail(app, *at, columns),
        Some(RowKind::SnapshotGroup { first, count }) => {
            backups::snapshot_group_detail(app, name, *first, *count, columns)
        }
        Some(RowKind::Snapshot(at)) => backups::snapshot_detail(app, *at, tab, columns),
        None => match app.pane {
            Pane::Certificates => certificates::empty_certificates_detail(app, columns),
            Pane::Backups => backups::empty_backups_detail(app, columns),
            pane => DetailPage::new(app.theme).wrapped_text(
                &empty_pane_text(app, pane),
                columns,
                ratatui::style::Style::new(),
            ),
        },
    };
    page.into_lines(columns)
}
