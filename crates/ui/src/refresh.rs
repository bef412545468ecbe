//! What the console makes of what it knows: the rows of its lists, and its alerts.

use std::collections::{BTreeMap, VecDeque};

use super::browser::SnapshotQueryCache;
use super::dashboard::Board;
use super::failures::FailureLog;
use super::jobs::JobList;
use super::layout::Layout;
use super::overlays::WelcomeOverlay;
use super::pane::{Focus, LoadSpan, Pane, Tab};
use super::panes::{pane_rows, sort_rows};
use super::state::{App, AppInit};
use matou_monitor as monitor;
use matou_monitor::{
    AlertChanges, AlertEngine, AlertInputs, AnswerHistory, DiskTrends, LoadHistory,
};

impl App {
    /// The console before anything was read.
    pub fn new(init: AppInit) -> Self {
        let mut app = Self {
            fleet: init.fleet,
            comparison: None,
            catalogue: init.catalogue,
            keymap: init.keymap,
            commands: init.commands,
            config_path: init.config_path,
            theme: init.theme,
            thresholds: init.alerts,
            log_memory: init.log_memory,
            zone: init.zone,
            read_only: init.read_only,
            now: init.now,
            pane: Pane::Services,
            focus: Focus::List,
            tab: Tab::Overview,
            load_span: LoadSpan::default(),
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
            board: Board::default(),
            alerts: Vec::new(),
            alert_engine: AlertEngine::new(init.ledger),
            trends: DiskTrends::default(),
            logins: BTreeMap::new(),
            week: AnswerHistory::default(),
            failures: FailureLog::default(),
            loads: LoadHistory::default(),
            drift: Vec::new(),
            alerts_due: false,
            notices: VecDeque::new(),
            notice: None,
            next_ticket: 0,
            dirty: true,
            ticks: 0,
        };
        if let Some(swarm) = app.fleet.swarm.value() {
            app.failures.take_swarm(swarm, app.now);
        }
        for warning in init.warnings {
            app.show_notice(warning, true);
        }
        if init.welcome {
            app.open_overlay(WelcomeOverlay);
        }
        app.refresh_lists();
        app.evaluate_alerts();
        // The ledger is as it was loaded: there is nothing to save.
        app.alert_engine.take_changes();
        app
    }

    /// Makes the rows of all panes again.
    pub(super) fn refresh_lists(&mut self) {
        for pane in Pane::ALL {
            self.refresh_list(pane);
        }
    }

    pub(super) fn refresh_list(&mut self, pane: Pane) {
        let filter = self.lists[pane.index()].filter.value().to_owned();
        let (mut rows, total) = pane_rows(pane, &self.fleet, &self.opened, &filter);
        let only_problems = self.lists[pane.index()].only_problems;
        let order = self.lists[pane.index()].order;
        let healths = sort_rows(self, &mut rows, only_problems, order);
        let list = &mut self.lists[pane.index()];
        list.replace_rows(rows, total);
        list.healths = healths;
        self.drop_vanished_marks(pane);
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
}
