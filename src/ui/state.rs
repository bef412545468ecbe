//! What the console knows and shows.

use std::collections::VecDeque;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::layout::Rect;
use tui_input::Input;

use super::access::AccessView;
use super::browser::{Browser, Looks};
use super::jobs::Jobs;
use super::keymap::KeyMap;
use super::log::LogView;
use super::msg::{LogSource, Ticket};
use super::overlays::Overlay;
use super::panes::{Row, RowKind, rows};
use super::theme::Theme;
use crate::config::AlertsConfig;
use crate::job::Plan;
use crate::model::{Fleet, Routes};
use crate::monitor::{self, Alert, Engine, Facts, Ledger, News, Trends, Week};
use crate::provision::audit::Audit;
use crate::stack::CatalogueEntry;

/// Notices kept for the last line.
const NOTICES: usize = 20;

/// A list on the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    Nodes,
    Services,
    Volumes,
    Certificates,
    Backups,
}

impl Pane {
    pub const ALL: [Self; 5] = [
        Self::Nodes,
        Self::Services,
        Self::Volumes,
        Self::Certificates,
        Self::Backups,
    ];

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
pub enum Tab {
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
    pub fn title(self) -> &'static str {
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
pub enum Focus {
    List,
    Detail,
}

/// The state of one pane's list.
#[derive(Debug, Default)]
pub(super) struct List {
    /// After the filter.
    pub rows: Vec<Row>,
    /// Before the filter: what the title counts.
    pub total: usize,
    /// Identity of the selected row: a refresh does not move it.
    pub selected: Option<String>,
    /// Its place among `rows`.
    pub at: usize,
    /// First visible row.
    pub top: usize,
    pub filter: Input,
    /// Where it was drawn last, for the mouse.
    pub area: Rect,
}

impl List {
    pub(super) fn row(&self) -> Option<&Row> {
        self.rows.get(self.at)
    }

    pub(super) fn select(&mut self, at: usize) {
        self.at = at.min(self.rows.len().saturating_sub(1));
        self.selected = self.rows.get(self.at).map(|r| r.key.clone());
    }

    pub(super) fn move_by(&mut self, by: isize) {
        self.select(self.at.saturating_add_signed(by));
    }

    /// Takes new rows; the selection stays on the same thing, or near where it was.
    pub(super) fn replace(&mut self, rows: Vec<Row>, total: usize) {
        self.rows = rows;
        self.total = total;
        let found = self
            .selected
            .as_ref()
            .and_then(|key| self.rows.iter().position(|r| r.key == *key));
        match found {
            Some(at) => self.at = at,
            None => self.select(self.at),
        }
    }

    /// Scrolls so that the selection is among `height` visible rows.
    pub(super) fn scroll_into_view(&mut self, height: usize) {
        if self.at < self.top {
            self.top = self.at;
        } else if height > 0 && self.at >= self.top + height {
            self.top = self.at + 1 - height;
        }
        self.top = self.top.min(self.rows.len().saturating_sub(height));
    }
}

/// A log that is followed.
pub(super) struct OpenLog {
    pub ticket: Ticket,
    pub source: LogSource,
    pub view: LogView,
}

/// An access log that is followed.
pub(super) struct OpenAccess {
    pub ticket: Ticket,
    pub routes: Routes,
    pub view: AccessView,
}

/// The servers compared with config.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checked {
    pub at: Timestamp,
    pub plan: Result<Plan, String>,
    pub audits: Vec<(String, Result<Audit, String>)>,
}

/// What the last line says instead of key hints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub text: String,
    pub error: bool,
}

/// What the console starts with.
pub struct Init {
    pub fleet: Fleet,
    pub catalogue: Vec<CatalogueEntry>,
    pub keymap: KeyMap,
    pub theme: Theme,
    pub alerts: AlertsConfig,
    /// What was said about alerts before.
    pub ledger: Ledger,
    /// Bytes of log lines that a log view keeps.
    pub log_memory: usize,
    /// Times of day are shown in it.
    pub zone: TimeZone,
    pub warnings: Vec<String>,
    pub now: Timestamp,
}

/// The console's state.
pub struct App {
    pub(super) fleet: Fleet,
    /// What provisioning would change; `None` before it was compared.
    pub(super) checked: Option<Checked>,
    pub(super) catalogue: Vec<CatalogueEntry>,
    pub(super) keymap: KeyMap,
    pub(super) theme: Theme,
    pub(super) thresholds: AlertsConfig,
    pub(super) log_memory: usize,
    pub(super) zone: TimeZone,
    pub(super) now: Timestamp,
    pub(super) size: (u16, u16),

    pub(super) pane: Pane,
    pub(super) focus: Focus,
    pub(super) tab: Tab,
    pub(super) zoom: bool,
    pub(super) lists: [List; 5],
    /// Applications whose services are shown, services whose tasks are shown.
    pub(super) opened: Vec<String>,
    /// The filter of the focused list is being typed.
    pub(super) filtering: bool,
    pub(super) detail_top: usize,
    /// Lines of the detail that was drawn last, and where.
    pub(super) detail_lines: usize,
    pub(super) detail_area: Rect,
    pub(super) tab_areas: Vec<(Rect, Tab)>,

    pub(super) overlays: Vec<Overlay>,
    pub(super) log: Option<OpenLog>,
    pub(super) access: Option<OpenAccess>,
    /// What is in the selected snapshot.
    pub(super) browser: Option<Browser>,
    pub(super) looks: Looks,
    pub(super) jobs: Jobs,
    pub(super) alerts: Vec<Alert>,
    pub(super) engine: Engine,
    /// How disks filled of late.
    pub(super) trends: Trends,
    /// What applications answered of late.
    pub(super) week: Week,
    /// Servers that differ from config.toml.
    pub(super) drift: Vec<String>,
    /// Something that alerts depend on changed.
    pub(super) to_look: bool,
    pub(super) notices: VecDeque<Notice>,
    pub(super) notice: Option<Notice>,

    pub(super) next_ticket: u64,
    pub(super) dirty: bool,
    pub(super) ticks: u64,
}

impl App {
    /// The console before anything was read.
    pub fn new(init: Init) -> Self {
        let mut app = Self {
            fleet: init.fleet,
            checked: None,
            catalogue: init.catalogue,
            keymap: init.keymap,
            theme: init.theme,
            thresholds: init.alerts,
            log_memory: init.log_memory,
            zone: init.zone,
            now: init.now,
            size: (0, 0),
            pane: Pane::Services,
            focus: Focus::List,
            tab: Tab::Overview,
            zoom: false,
            lists: Default::default(),
            opened: Vec::new(),
            filtering: false,
            detail_top: 0,
            detail_lines: 0,
            detail_area: Rect::default(),
            tab_areas: Vec::new(),
            overlays: Vec::new(),
            log: None,
            access: None,
            browser: None,
            looks: Looks::default(),
            jobs: Jobs::default(),
            alerts: Vec::new(),
            engine: Engine::new(init.ledger),
            trends: Trends::default(),
            week: Week::default(),
            drift: Vec::new(),
            to_look: false,
            notices: VecDeque::new(),
            notice: None,
            next_ticket: 0,
            dirty: true,
            ticks: 0,
        };
        for warning in init.warnings {
            app.say(warning, true);
        }
        app.refresh_lists();
        app.look();
        // Nothing was said yet.
        app.engine.take_changes();
        app
    }

    /// Whether something visible changed since this was asked last.
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    /// When the screen changes by itself: a spinner turns, an age grows. `None`: never.
    pub fn next_tick(&self) -> Option<std::time::Duration> {
        if self.jobs.running() > 0 {
            return Some(std::time::Duration::from_millis(250));
        }
        if self.engine.is_waiting() {
            return Some(std::time::Duration::from_secs(5));
        }
        // Ages are shown in minutes at the finest.
        Some(std::time::Duration::from_secs(30))
    }

    pub(super) fn list(&self) -> &List {
        &self.lists[self.pane.index()]
    }

    pub(super) fn list_mut(&mut self) -> &mut List {
        &mut self.lists[self.pane.index()]
    }

    /// The selected row of the focused pane.
    pub(super) fn selected(&self) -> Option<&Row> {
        self.list().row()
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// Shows a sentence in the last line until the next key.
    pub(super) fn say(&mut self, text: impl AsRef<str>, error: bool) {
        let notice = Notice {
            text: crate::text::clean(text.as_ref()).into_owned(),
            error,
        };
        if self.notices.len() == NOTICES {
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

    /// Finds what is not as it should be now.
    pub(super) fn look(&mut self) -> News {
        self.to_look = false;
        let findings = monitor::findings(Facts {
            fleet: &self.fleet,
            limits: &self.thresholds,
            trends: &self.trends,
            drift: &self.drift,
            backups: &monitor::ages(&self.fleet),
            now: self.now,
        });
        let news = self.engine.look(findings, self.now);
        self.alerts = self.engine.alerts(self.now);
        news
    }

    pub(super) fn refresh_list(&mut self, pane: Pane) {
        let filter = self.lists[pane.index()].filter.value().to_owned();
        let (rows, total) = rows(pane, &self.fleet, &self.opened, &filter);
        self.lists[pane.index()].replace(rows, total);
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
                if matches!(self.selected().map(|r| &r.kind), Some(RowKind::Snapshot(_))) =>
            {
                &[Tab::Overview, Tab::Files, Tab::Changes]
            }
            Pane::Volumes | Pane::Certificates | Pane::Backups => &[Tab::Overview],
        }
    }

    /// The tab that is shown: the chosen one, where what is selected has it.
    pub(super) fn shown_tab(&self) -> Tab {
        if self.tabs().contains(&self.tab) {
            self.tab
        } else {
            Tab::Overview
        }
    }

    /// Two columns, when there is room for both.
    pub(super) fn is_wide(&self) -> bool {
        self.size.0 >= 100 && !self.zoom
    }
}
