//! What the console knows and shows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tui_input::Input;

use super::access::AccessView;
use super::browser::{SnapshotBrowser, SnapshotQueryCache};
use super::dashboard::Board;
use super::failures::FailureLog;
use super::jobs::JobList;
use super::keymap::{KeyMap, parse_key};
use super::layout::Layout;
use super::log::LogView;
use super::msg::{LogSource, Ticket};
use super::overlay::Overlay;
use super::pane::{Focus, LoadSpan, Pane, Tab};
use super::panes::{PaneRow, RowKind, SortOrder};
use super::theme::{Health, Theme};
use matou_base::text::SafeText;
use matou_config::{AlertsConfig, CommandConfig};
use matou_job::Plan;
use matou_model::{AppRoutes, Fleet};
use matou_monitor::{
    Alert, AlertEngine, AlertLedger, AnswerHistory, DiskTrends, LoadHistory, NodeDrift,
};
use matou_provision::audit::NodeAudit;
use matou_stack::{AppLogin, CatalogueEntry};

/// Notices kept for the last line.
const MAX_NOTICES: usize = 20;

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
    /// How well each of `rows` is.
    pub healths: Vec<Health>,
    /// Only what is wrong is shown.
    pub only_problems: bool,
    /// How it is sorted by hand; `None`: problems come first.
    pub order: Option<SortOrder>,
    /// Keys of the marked rows, those that are hidden too.
    pub marked: BTreeSet<String>,
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

    /// How well the things of the list are, without what is shown below each, from row `from` on.
    pub(super) fn healths_from(&self, from: usize) -> impl Iterator<Item = Health> {
        let rows = self.rows.iter().zip(&self.healths).skip(from);
        rows.filter(|(row, _)| row.depth == 0)
            .map(|(_, health)| *health)
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
    /// The operator's own commands, whose keys the key map has.
    pub commands: Vec<CommandConfig>,
    /// Path of config.toml, for these.
    pub config_path: Option<String>,
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
    /// It only looks: no job, no shell, no file.
    pub read_only: bool,
    /// The ways to begin are shown first.
    pub welcome: bool,
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
    pub(super) commands: Vec<CommandConfig>,
    pub(super) config_path: Option<String>,
    pub(super) theme: Theme,
    pub(super) thresholds: AlertsConfig,
    pub(super) log_memory: usize,
    pub(super) zone: TimeZone,
    pub(super) read_only: bool,
    pub(super) now: Timestamp,

    pub(super) pane: Pane,
    pub(super) focus: Focus,
    pub(super) tab: Tab,
    /// The time that the charts of a node show.
    pub(super) load_span: LoadSpan,
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
    pub(super) board: Board,
    pub(super) alerts: Vec<Alert>,
    pub(super) alert_engine: AlertEngine,
    /// How disks filled of late.
    pub(super) trends: DiskTrends,
    /// How the operator logs in to applications, by their names.
    pub(super) logins: BTreeMap<String, AppLogin>,
    /// What applications answered of late.
    pub(super) week: AnswerHistory,
    /// Tasks that failed, those that the engine has forgotten too.
    pub(super) failures: FailureLog,
    /// How busy nodes were of late.
    pub(super) loads: LoadHistory,
    /// Names of the nodes that differ from config.toml.
    pub(super) drift: Vec<NodeDrift>,
    /// Something that alerts depend on has changed: they are to be evaluated.
    pub(super) alerts_due: bool,
    pub(super) notices: VecDeque<Notice>,
    pub(super) notice: Option<Notice>,

    pub(super) next_ticket: u64,
    pub(super) dirty: bool,
    pub(super) ticks: u64,
}

impl App {
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

    /// Key and text of each of the operator's own commands, for help and palette.
    pub(super) fn command_lines(&self) -> impl Iterator<Item = (String, &str)> {
        self.commands.iter().map(|command| {
            let key = command.key.as_deref().map(parse_key).and_then(Result::ok);
            let key = key.map_or_else(String::new, |key| key.to_string());
            (key, &*command.description)
        })
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

    /// Whether keys are text now: of a filter, of a search, or of what an overlay asks for.
    pub(super) fn takes_text(&self) -> bool {
        if let Some(overlay) = self.overlays.last() {
            return overlay.takes_text();
        }
        let in_detail = self.focus == Focus::Detail && !self.board.is_open();
        let log = self.log.as_ref().is_some_and(|log| log.view.is_typing());
        let access = self.access.as_ref().is_some_and(|a| a.view.is_typing());
        let browser = self.browser.as_ref().is_some_and(|b| b.is_typing());
        let typed = match self.shown_tab() {
            Tab::Logs => log,
            Tab::Access => access,
            Tab::Files => browser,
            _ => false,
        };
        self.filtering || (in_detail && typed)
    }

    /// Takes what was found out while the state was drawn: where things are, and how far they can
    /// be scrolled.
    pub fn take_layout(&mut self, layout: Layout) {
        for pane in Pane::ALL {
            self.lists[pane.index()].top = layout.lists[pane.index()].top;
        }
        self.detail_top = layout.detail_top;
        if let (Some(log), Some(drawn)) = (&mut self.log, layout.log) {
            log.view.take_layout(drawn);
        }
        if let (Some(access), Some(height)) = (&mut self.access, layout.access_height) {
            access.view.height = height;
        }
        if let (Some(browser), Some(drawn)) = (&mut self.browser, layout.browser) {
            browser.take_layout(drawn);
        }
        for (overlay, drawn) in self.overlays.iter_mut().zip(&layout.overlays) {
            overlay.take_layout(*drawn);
        }
        for drawn in &layout.board {
            self.board.sections[drawn.section as usize].top = drawn.top;
        }
        self.layout = layout;
    }
}
