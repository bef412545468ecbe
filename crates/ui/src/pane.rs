//! The lists on the left, the views of the right side, and which of both has the keys.

use crate::words::weekday;
use matou_i18n::tr;

/// One of the lists on the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    /// The servers.
    Nodes,
    /// Applications, their services, and the tasks of these.
    Services,
    /// Volumes of all nodes.
    Volumes,
    /// Certificates of the edge.
    Certificates,
    /// Snapshots in the repository.
    Backups,
}

impl Pane {
    /// From top to bottom.
    pub const ALL: [Self; 5] = [
        Self::Nodes,
        Self::Services,
        Self::Volumes,
        Self::Certificates,
        Self::Backups,
    ];

    /// Returns what stands in its border.
    pub fn title(self) -> &'static str {
        match self {
            Self::Nodes => tr!("Nodes"),
            Self::Services => tr!("Services"),
            Self::Volumes => tr!("Volumes"),
            Self::Certificates => tr!("Certificates"),
            Self::Backups => tr!("Backups"),
        }
    }

    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// A view of the selected thing, on the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Tasks,
    Load,
    Plan,
    Storage,
    Security,
    Logs,
    Labels,
    Access,
    Files,
    Changes,
}

impl Tab {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Overview => tr!("Overview"),
            Self::Tasks => tr!("Tasks"),
            Self::Load => tr!("Load"),
            Self::Plan => tr!("Plan"),
            Self::Storage => tr!("Storage"),
            Self::Security => tr!("Security"),
            Self::Logs => tr!("Logs"),
            Self::Labels => tr!("Labels"),
            Self::Access => tr!("Access"),
            Self::Files => tr!("Files"),
            Self::Changes => tr!("Changes"),
        }
    }
}

/// The time that charts of a node's load show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum LoadSpan {
    #[default]
    Hour,
    Day,
    Week,
}

impl LoadSpan {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Hour => Self::Day,
            Self::Day => Self::Week,
            Self::Week => Self::Hour,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Hour => tr!("an hour"),
            Self::Day => tr!("a day"),
            Self::Week => tr!("a week"),
        }
    }

    pub(super) fn seconds(self) -> i64 {
        match self {
            Self::Hour => 3600,
            Self::Day => 86_400,
            Self::Week => 7 * 86_400,
        }
    }

    /// A time stands below the chart whenever the clock shows a multiple of so many hours.
    pub(super) fn label_hours(self) -> i8 {
        match self {
            Self::Hour => 1,
            Self::Day => 3,
            Self::Week => 24,
        }
    }

    /// How that time is written.
    pub(super) fn label(self, at: &jiff::ZonedDateTime) -> String {
        match self {
            Self::Hour | Self::Day => at.strftime("%H:%M").to_string(),
            Self::Week => format!("{} {}", weekday(at), at.strftime("%d")),
        }
    }
}

/// Where keys go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focus {
    List,
    Detail,
}
