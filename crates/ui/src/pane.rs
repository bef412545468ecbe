//! The lists on the left, the views of the right side, and which of both has the keys.

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
            Self::Nodes => "Nodes",
            Self::Services => "Services",
            Self::Volumes => "Volumes",
            Self::Certificates => "Certificates",
            Self::Backups => "Backups",
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
            Self::Overview => "Overview",
            Self::Tasks => "Tasks",
            Self::Load => "Load",
            Self::Plan => "Plan",
            Self::Storage => "Storage",
            Self::Security => "Security",
            Self::Logs => "Logs",
            Self::Labels => "Labels",
            Self::Access => "Access",
            Self::Files => "Files",
            Self::Changes => "Changes",
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
            Self::Hour => "an hour",
            Self::Day => "a day",
            Self::Week => "a week",
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

    /// How that time is written, for strftime.
    pub(super) fn label_format(self) -> &'static str {
        match self {
            Self::Hour | Self::Day => "%H:%M",
            Self::Week => "%a %d",
        }
    }
}

/// Where keys go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focus {
    List,
    Detail,
}
