//! Lists sorted by hand.

use matou_i18n::tr;
use std::cmp::Ordering;

use super::row::{PaneRow, RowKind};
use super::{certificates, services, volumes};
use crate::pane::Pane;
use crate::state::App;
use matou_model::{NodeLink, TaskCount};

/// What a list can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SortColumn {
    Name,
    Node,
    Cpu,
    Memory,
    Disk,
    Tasks,
    Updated,
    Age,
    DaysLeft,
    Snapshots,
    Size,
}

impl SortColumn {
    /// Those of a pane, in the order in which the key goes through them.
    fn of_pane(pane: Pane) -> &'static [Self] {
        match pane {
            Pane::Nodes => &[Self::Name, Self::Cpu, Self::Memory, Self::Disk],
            Pane::Services => &[Self::Name, Self::Tasks, Self::Updated],
            Pane::Volumes => &[Self::Name, Self::Node, Self::Age, Self::Size],
            Pane::Certificates => &[Self::Name, Self::DaysLeft],
            Pane::Backups => &[Self::Name, Self::Age, Self::Snapshots, Self::Size],
        }
    }

    /// Returns the word in the title.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Name => tr!("name"),
            Self::Node => tr!("node"),
            Self::Cpu => tr!("cpu"),
            Self::Memory => tr!("memory"),
            Self::Disk => tr!("disk"),
            Self::Tasks => tr!("tasks"),
            Self::Updated => tr!("updated"),
            Self::Age => tr!("age"),
            Self::DaysLeft => tr!("days left"),
            Self::Snapshots => tr!("snapshots"),
            Self::Size => tr!("size"),
        }
    }

    /// Of a measure the largest is looked for.
    fn begins_with_largest(self) -> bool {
        matches!(
            self,
            Self::Cpu | Self::Memory | Self::Disk | Self::Tasks | Self::Snapshots | Self::Size
        )
    }
}

/// How a list is sorted by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SortOrder {
    pub column: SortColumn,
    /// The largest comes first.
    pub descending: bool,
}

impl SortOrder {
    /// The order after this one; after the last column none, with problems first again.
    pub(crate) fn after(order: Option<Self>, pane: Pane) -> Option<Self> {
        let columns = SortColumn::of_pane(pane);
        let next = match order {
            None => 0,
            Some(order) => 1 + columns.iter().position(|c| *c == order.column)?,
        };
        let column = *columns.get(next)?;
        let descending = column.begins_with_largest();
        Some(Self { column, descending })
    }

    /// The same column the other way round.
    pub(crate) fn reversed(self) -> Self {
        let descending = !self.descending;
        Self { descending, ..self }
    }

    /// Compares two rows. What has no value comes last either way; repositories stay before the snapshots.
    pub(super) fn compare(self, app: &App, a: &PaneRow, b: &PaneRow) -> Ordering {
        let below = |row: &PaneRow| !matches!(row.kind, RowKind::Repository(_));
        let (left, right) = (value(app, a, self.column), value(app, b, self.column));
        let values = match (&left, &right) {
            (Some(left), Some(right)) if self.descending => right.cmp(left),
            (Some(left), Some(right)) => left.cmp(right),
            _ => left.is_none().cmp(&right.is_none()),
        };
        below(a).cmp(&below(b)).then(values)
    }
}

/// What rows are compared by. Times are those that have passed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SortValue {
    Text(String),
    Number(i64),
}

fn value(app: &App, row: &PaneRow, column: SortColumn) -> Option<SortValue> {
    let fleet = &app.fleet;
    let number = match (&row.kind, column) {
        (_, SortColumn::Name) => return Some(SortValue::Text(row.name.to_lowercase())),
        (RowKind::Volume { node, .. }, SortColumn::Node) => {
            return Some(SortValue::Text(fleet.nodes.get(*node)?.name.clone()));
        }
        (RowKind::Node(at), column) => {
            // Of one that is lost nothing is known now.
            let node = fleet.nodes.get(*at)?;
            let load = node.metrics.value().filter(|_| node.link == NodeLink::Up)?;
            let per_mille = |used: u64, total: u64| used.saturating_mul(1000) / total.max(1);
            match column {
                SortColumn::Cpu => (load.cpu * 10.0) as i64,
                SortColumn::Memory => per_mille(load.memory_used, load.memory_total) as i64,
                SortColumn::Disk => per_mille(load.disk_used, load.disk_total) as i64,
                _ => return None,
            }
        }
        (RowKind::App { services: places }, column) => {
            let services = services::services_at(app, places);
            match column {
                SortColumn::Tasks => TaskCount::of(services).running as i64,
                SortColumn::Updated => {
                    let newest = services.iter().filter_map(|s| s.updated_at).max()?;
                    seconds_since(app, newest)
                }
                _ => return None,
            }
        }
        (RowKind::Volume { node, volume }, SortColumn::Age) => {
            let volumes = fleet.nodes.get(*node)?.volumes.value()?;
            seconds_since(app, volumes.get(*volume)?.created_at?)
        }
        (RowKind::Volume { node, volume }, SortColumn::Size) => {
            let node = fleet.nodes.get(*node)?;
            let volume = node.volumes.value()?.get(*volume)?;
            volumes::find_room(app, node, volume)?.bytes as i64
        }
        (RowKind::Certificate(at), SortColumn::DaysLeft) => certificates::seconds_left(app, *at)?,
        (RowKind::SnapshotGroup { first, count }, column) => {
            let newest = fleet.snapshots.value()?.get(*first).filter(|_| *count > 0);
            match column {
                SortColumn::Age => seconds_since(app, newest?.at),
                SortColumn::Snapshots => *count as i64,
                SortColumn::Size => newest?.size? as i64,
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(SortValue::Number(number))
}

fn seconds_since(app: &App, then: jiff::Timestamp) -> i64 {
    app.now.as_second() - then.as_second()
}
