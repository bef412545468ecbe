//! What the console knows and shows.

use std::collections::VecDeque;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tui_input::Input;

use super::access::AccessView;
use super::browser::{SnapshotBrowser, SnapshotQueryCache};
use super::jobs::JobList;
use super::keymap::KeyMap;
use super::layout::Layout;
use super::log::LogView;
use super::msg::{LogSource, Ticket};
use super::overlays::Overlay;
use super::panes::{PaneRow, RowKind, pane_rows};
use super::theme::Theme;
use matou_base::text::SafeText;
use matou_config::AlertsConfig;
use matou_job::Plan;
use matou_model::{AppRoutes, Fleet};
use matou_monitor as monitor;
use matou_monitor::{
    Alert, AlertChanges, AlertEngine, AlertInputs, AlertLedger, AnswerHistory, DiskTrends,
};
use matou_provision::audit::NodeAudit;
use matou_stack::CatalogueEntry;

/// Notices kept for the last line.
const MAX_NOTICES: usize = 20;

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

/// Where keys go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Focus {
    List,
    Detail,
}

/// The state of one pane's list.
#[derive(Debug, Default)]
pub(super) struct PaneList {
    /// The rows that the filter keeps.
    pub rows: Vec<PaneRow>,
    /// Number of things without the filter; the title shows it.
    pub total: usize,
    /// Key of the selected row: the selection stays on it when rows change.
    pub selected: Option<String>,
    /// Index of the selected row in `rows`.
    pub at: usize,
    /// First visible row.
    pub top: usize,
    pub filter: Input,
}

impl PaneList {
    pub(super) fn selected_row(&self) -> Option<&PaneRow> {
        self.rows.get(self.at)
    }

    pub(super) fn select_row(&mut self, at: usize) {
        self.at = at.min(self.rows.len().saturating_sub(1));
        self.selected = self.rows.get(self.at).map(|r| r.key.clone());
    }

    pub(super) fn move_by(&mut self, by: isize) {
        self.select_row(self.at.saturating_add_signed(by));
    }

    /// Takes new rows; the selection stays on the same thing, or near where it was.
    pub(super) fn replace_rows(&mut self, rows: Vec<PaneRow>, total: usize) {
        self.rows = rows;
        self.total = total;
        let found = self
            .selected
            .as_ref()
            .and_then(|key| self.rows.iter().position(|r| r.key == *key));
        match found {
            Some(at) => self.at = at,
            None => self.select_row(self.at),
        }
    }

    /// Returns the first of `height` visible rows, so that the selection is among them.
    pub(super) fn visible_top(&self, height: usize) -> usize {
        let top = if self.at < self.top {
            self.at
        } else if height > 0 && self.at >= self.top + height {
            self.at + 1 - height
        } else {
            self.top
        };
        top.min(self.rows.len().saturating_sub(height))
    }
}

/// A log that is followed.
pub(super) struct FollowedLog {
    pub ticket: Ticket,
    pub source: LogSource,
    pub view: LogView,
}

/// An access log that is followed.
pub(super) struct FollowedAccessLog {
    pub ticket: Ticket,
    pub routes: AppRoutes,
    pub view: AccessView,
}

/// The result of the last comparison of the nodes with config.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConfigComparison {
    pub at: Timestamp,
    pub plan: Result<Plan, SafeText>,
    pub audits: Vec<(String, Result<NodeAudit, SafeText>)>,
}

/// A sentence that the last line shows instead of key hints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub text: String,
    pub error: bool,
}

/// What the console starts with.
pub struct AppInit {
    /// The picture so far; collectors fill it later.
    pub fleet: Fleet,
    /// What can be deployed.
    pub catalogue: Vec<CatalogueEntry>,
    /// The keys, those of `[keys]` among them.
    pub keymap: KeyMap,
    /// What it is drawn with.
    pub theme: Theme,
    /// Limits from which alerts are told, and how.
    pub alerts: AlertsConfig,
    /// What earlier consoles remembered of alerts.
    pub ledger: AlertLedger,
    /// Bytes of log lines that a log view keeps.
    pub log_memory: usize,
    /// Time zone of the times of day on the screen.
    pub zone: TimeZone,
    /// Sentences about what went wrong before the console opened; each is shown as a notice.
    pub warnings: Vec<String>,
    /// The time at which the console opens.
    pub now: Timestamp,
}

/// The console's state.
pub struct App {
    pub(super) fleet: Fleet,
    /// The nodes compared with config.toml; `None` before the first comparison.
    pub(super) comparison: Option<ConfigComparison>,
    pub(super) catalogue: Vec<CatalogueEntry>,
    pub(super) keymap: KeyMap,
    pub(super) theme: Theme,
    pub(super) thresholds: AlertsConfig,
    pub(super) log_memory: usize,
    pub(super) zone: TimeZone,
    pub(super) now: Timestamp,

    pub(super) pane: Pane,
    pub(super) focus: Focus,
    pub(super) tab: Tab,
    pub(super) zoom: bool,
    pub(super) lists: [PaneList; 5],
    /// Keys of the rows whose children are shown: applications, services, groups of snapshots.
    pub(super) opened: Vec<String>,
    /// The filter of the focused list is being typed.
    pub(super) filtering: bool,
    /// The first visible line of the detail.
    pub(super) detail_top: usize,
    /// What is where, as drawn last.
    pub(super) layout: Layout,

    pub(super) overlays: Vec<Box<dyn Overlay>>,
    pub(super) log: Option<FollowedLog>,
    pub(super) access: Option<FollowedAccessLog>,
    /// What is in the selected snapshot.
    pub(super) browser: Option<SnapshotBrowser>,
    pub(super) query_cache: SnapshotQueryCache,
    pub(super) jobs: JobList,
    pub(super) alerts: Vec<Alert>,
    pub(super) alert_engine: AlertEngine,
    /// How disks filled of late.
    pub(super) trends: DiskTrends,
    /// What applications answered of late.
    pub(super) week: AnswerHistory,
    /// Names of the nodes that differ from config.toml.
    pub(super) drift: Vec<String>,
    /// Something that alerts depend on has changed: they are to be evaluated.
    pub(super) alerts_due: bool,
    pub(super) notices: VecDeque<Notice>,
    pub(super) notice: Option<Notice>,

    pub(super) next_ticket: u64,
    pub(super) dirty: bool,
    pub(super) ticks: u64,
}

impl App {
    /// The console before anything was read.
    pub fn new(init: AppInit) -> Self {
        let mut app = Self {
            fleet: init.fleet,
            comparison: None,
            catalogue: init.catalogue,
            keymap: init.keymap,
            theme: init.theme,
            thresholds: init.alerts,
            log_memory: init.log_memory,
            zone: init.zone,
            now: init.now,
            pane: Pane::Services,
            focus: Focus::List,
            tab: Tab::Overview,
            zoom: false,
            lists: Default::default(),
            opened: Vec::new(),
            filtering: false,
            detail_top: 0,
            layout: Layout::default(),
            overlays: Vec::new(),
            log: None,
            access: None,
            browser: None,
            query_cache: SnapshotQueryCache::default(),
            jobs: JobList::default(),
            alerts: Vec::new(),
            alert_engine: AlertEngine::new(init.ledger),
            trends: DiskTrends::default(),
            week: AnswerHistory::default(),
            drift: Vec::new(),
            alerts_due: false,
            notices: VecDeque::new(),
            notice: None,
            next_ticket: 0,
            dirty: true,
            ticks: 0,
        };
        for warning in init.warnings {
            app.show_notice(warning, true);
        }
        app.refresh_lists();
        app.evaluate_alerts();
        // The ledger is as it was loaded: there is nothing to save.
        app.alert_engine.take_changes();
        app
    }

    /// Returns whether something visible changed since the last call.
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    /// Returns the time until the screen changes by itself, as a spinner turns or an age grows.
    /// `None`: never.
    pub fn next_tick(&self) -> Option<std::time::Duration> {
        if self.jobs.count_running() > 0 {
            return Some(std::time::Duration::from_millis(250));
        }
        if self.alert_engine.is_waiting() {
            return Some(std::time::Duration::from_secs(5));
        }
        // Ages are shown in minutes at the finest.
        Some(std::time::Duration::from_secs(30))
    }

    pub(super) fn focused_list(&self) -> &PaneList {
        &self.lists[self.pane.index()]
    }

    pub(super) fn focused_list_mut(&mut self) -> &mut PaneList {
        &mut self.lists[self.pane.index()]
    }

    /// The selected row of the focused pane.
    pub(super) fn selected_row(&self) -> Option<&PaneRow> {
        self.focused_list().selected_row()
    }

    /// Opens an overlay above all others.
    pub(super) fn open_overlay(&mut self, overlay: impl Overlay + 'static) {
        self.overlays.push(Box::new(overlay));
    }

    pub(super) fn issue_ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// Shows a sentence in the last line until the next key.
    pub(super) fn show_notice(&mut self, text: impl AsRef<str>, error: bool) {
        let notice = Notice {
            text: matou_base::text::clean_line(text.as_ref()).into_owned(),
            error,
        };
        if self.notices.len() == MAX_NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back(notice.clone());
        self.notice = Some(notice);
        self.dirty = true;
    }

    /// Makes the rows of all panes again.
    pub(super) fn refresh_lists(&mut self) {
        for pane in Pane::ALL {
            self.refresh_list(pane);
        }
    }

    /// Evaluates the alerts. Returns which began and which ended.
    pub(super) fn evaluate_alerts(&mut self) -> AlertChanges {
        self.alerts_due = false;
        let findings = monitor::evaluate_rules(AlertInputs {
            fleet: &self.fleet,
            limits: &self.thresholds,
            trends: &self.trends,
            drift: &self.drift,
            backups: &monitor::backup_ages(&self.fleet),
            now: self.now,
        });
        let news = self.alert_engine.take_findings(findings, self.now);
        self.alerts = self.alert_engine.alerts(self.now);
        news
    }

    pub(super) fn refresh_list(&mut self, pane: Pane) {
        let filter = self.lists[pane.index()].filter.value().to_owned();
        let (rows, total) = pane_rows(pane, &self.fleet, &self.opened, &filter);
        self.lists[pane.index()].replace_rows(rows, total);
    }

    /// The tabs of what is selected.
    pub(super) fn tabs(&self) -> &'static [Tab] {
        match self.pane {
            Pane::Nodes => &[
                Tab::Overview,
                Tab::Tasks,
                Tab::Plan,
                Tab::Storage,
                Tab::Security,
                Tab::Logs,
                Tab::Load,
            ],
            Pane::Services => &[Tab::Overview, Tab::Logs, Tab::Labels, Tab::Access],
            Pane::Backups
                if matches!(
                    self.selected_row().map(|r| &r.kind),
                    Some(RowKind::Snapshot(_))
                ) =>
            {
                &[Tab::Overview, Tab::Files, Tab::Changes]
            }
            Pane::Volumes | Pane::Certificates | Pane::Backups => &[Tab::Overview],
        }
    }

    /// Returns the chosen tab where the selected row has it, else the overview.
    pub(super) fn shown_tab(&self) -> Tab {
        if self.tabs().contains(&self.tab) {
            self.tab
        } else {
            Tab::Overview
        }
    }
}
