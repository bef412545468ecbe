//! What a night's backup did: one JSON file a night on the manager, and when the next one is due.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::BackupError;
use super::snapshot_counts::SnapshotCounts;
use matou_host::{Command, Host, shell_script};

/// Folder of the reports on the manager.
pub const REPORTS_FOLDER: &str = "/var/lib/matou/reports";

/// The timer's name, without `.timer`; its service has the same.
pub const BACKUP_TIMER: &str = "matou-backup";

/// Reports that are kept.
const KEPT_REPORTS: usize = 400;

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupResult {
    /// All is in the snapshot.
    Done,
    /// There is a snapshot, and something is missing in it.
    Warning,
    /// There is no snapshot.
    Failed,
}

/// One application, or the fleet's own files, in a [`BackupReport`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppBackupReport {
    /// Empty for the fleet's own files.
    pub app: String,
    /// How it ended.
    pub result: BackupResult,
    /// As restic named it.
    #[serde(default)]
    pub snapshot: String,
    /// Files looked at.
    #[serde(default)]
    pub files: u64,
    /// Bytes looked at.
    #[serde(default)]
    pub bytes: u64,
    /// Bytes that were new.
    #[serde(default)]
    pub added: u64,
    /// Dumps that were made.
    #[serde(default)]
    pub dumps: usize,
    /// How long it took.
    #[serde(default)]
    pub seconds: f64,
    /// Files that could not be read, or why it failed.
    #[serde(default)]
    pub errors: Vec<String>,
}

/// A night, or a backup of some applications by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackupReport {
    /// The fleet's name.
    pub fleet: String,
    /// By the clock of the machine that matou ran on.
    pub started: Timestamp,
    /// By the same clock.
    pub ended: Timestamp,
    /// The worst of all.
    pub result: BackupResult,
    /// Everything that failed, a sentence each.
    #[serde(default)]
    pub failures: Vec<String>,
    /// In the order in which they were backed up.
    #[serde(default)]
    pub apps: Vec<AppBackupReport>,
    /// Snapshots that were forgotten.
    #[serde(default)]
    pub forgotten: usize,
    /// What of the data was read and checked: `3/12` of `main`.
    #[serde(default)]
    pub checked: Vec<String>,
    /// Repositories that were pruned.
    #[serde(default)]
    pub pruned: Vec<String>,
    /// Repositories that were copied to, with how many snapshots.
    #[serde(default)]
    pub copied: Vec<(String, usize)>,
    /// Repositories where nothing was forgotten or pruned, because what is in them does not look
    /// as it should.
    #[serde(default)]
    pub held: Vec<String>,
    /// What is no failure and yet has to be known, a sentence each: as a repository where nothing
    /// is ever forgotten.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Snapshots of this fleet by repository, for the next night to compare with. Where forgetting
    /// was held back, the older count stays until somebody decides.
    #[serde(default)]
    pub counted: BTreeMap<String, SnapshotCounts>,
    /// Bytes in the repository afterwards.
    #[serde(default)]
    pub size: Option<u64>,
    /// Whether the address of `ping_file` answered; `None` when it was not asked.
    #[serde(default)]
    pub pinged: Option<bool>,
}

impl BackupReport {
    /// Nothing has happened yet.
    pub fn new(fleet: &str) -> Self {
        let now = Timestamp::now();
        Self {
            fleet: fleet.to_owned(),
            started: now,
            ended: now,
            result: BackupResult::Done,
            failures: Vec::new(),
            apps: Vec::new(),
            forgotten: 0,
            checked: Vec::new(),
            pruned: Vec::new(),
            copied: Vec::new(),
            held: Vec::new(),
            notes: Vec::new(),
            counted: BTreeMap::new(),
            size: None,
            pinged: None,
        }
    }

    /// Sets its end, and its result from all that it holds.
    pub fn finish(&mut self) {
        self.ended = Timestamp::now();
        let worst = self.apps.iter().map(|a| a.result).max();
        self.result = worst.unwrap_or(BackupResult::Done);
        if !self.failures.is_empty() {
            self.result = BackupResult::Failed;
        }
    }

    /// One line for the journal.
    pub fn summary_line(&self) -> String {
        let backed = self
            .apps
            .iter()
            .filter(|a| a.result != BackupResult::Failed);
        let (fleet, backed, all) = (&self.fleet, backed.count(), self.apps.len());
        let new = matou_base::text::human_bytes(self.apps.iter().map(|a| a.added).sum());
        let took = self.ended.duration_since(self.started).as_secs();
        let what = match self.result {
            BackupResult::Done => {
                tr!("backup of {fleet} done: {backed} of {all} snapshots, {new} new in {took} s")
            }
            BackupResult::Warning => tr!(
                "backup of {fleet} done, with warnings: {backed} of {all} snapshots, {new} new in {took} s"
            ),
            BackupResult::Failed => {
                tr!("backup of {fleet} FAILED: {backed} of {all} snapshots, {new} new in {took} s")
            }
        };
        let why = match self.failures.as_slice() {
            [] => String::new(),
            some => tr!(": {}", some.join("; ")),
        };
        matou_base::text::clean_line(&format!("{what}{why}")).into_owned()
    }

    /// Writes it into the manager's folder of reports; old ones go.
    ///
    /// # Errors
    /// The node's words.
    pub async fn write_to_manager(&self, manager: &Host) -> std::result::Result<(), BackupError> {
        let name = self.started.strftime("%Y-%m-%dT%H-%M-%SZ.json").to_string();
        let text = serde_json::to_string(self).unwrap_or_default() + "\n";
        let script = shell_script(include_str!("../scripts/write_report.sh"));
        let command = Command::sh(script)
            .arg(REPORTS_FOLDER)
            .arg(name)
            .arg(KEPT_REPORTS.to_string())
            .arg(text.len().to_string())
            .stdin(text.into_bytes())
            .sudo()
            .timeout(Duration::from_secs(30))
            .label(tr!("write the report"));
        manager.run_ok(&command).await?;
        Ok(())
    }
}

/// The newest reports of the manager, newest first, at most `most`. A file that is no report is
/// left out.
///
/// # Errors
/// When the manager can't be asked.
pub async fn read_backup_reports(
    manager: &Host,
    most: usize,
) -> std::result::Result<Vec<BackupReport>, BackupError> {
    let script = "cd -- \"$1\" 2>/dev/null || exit 0; ls -1r | grep '[.]json$' | head -n \"$2\" | while read -r f; do cat -- \"$f\"; done";
    let command = Command::sh(script)
        .arg(REPORTS_FOLDER)
        .arg(most.to_string())
        .sudo()
        .timeout(Duration::from_secs(30))
        .label(tr!("read the reports"));
    let text = manager.run_ok(&command).await?.stdout_text();
    Ok(text
        .lines()
        .filter_map(|l| serde_json::from_str(l).ok())
        .collect())
}

/// The nightly backup of a fleet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NightlyBackup {
    /// The timer is there and waits.
    pub active: bool,
    /// It runs right now.
    pub running: bool,
    /// When the timer begins a run next.
    pub next: Option<Timestamp>,
    /// When the timer began a run last, whatever became of it.
    pub triggered: Option<Timestamp>,
    /// The newest report.
    pub last: Option<BackupReport>,
    /// A night has gone by without a report: the manager was off, or the run died.
    pub missed: bool,
}

/// The longest time between two nightly reports before one counts as missed.
const LATE: jiff::SignedDuration = jiff::SignedDuration::from_hours(36);

impl NightlyBackup {
    /// Reads the timer and the newest report of the manager.
    ///
    /// # Errors
    /// When the manager can't be asked.
    pub async fn load(manager: &Host) -> std::result::Result<Self, BackupError> {
        let script = "systemctl show \"$1.timer\" -p ActiveState -p NextElapseUSecRealtime -p LastTriggerUSec --timestamp=unix 2>/dev/null; \
            systemctl is-active \"$1.service\" || :";
        let command = Command::sh(script)
            .arg(BACKUP_TIMER)
            .sudo()
            .timeout(Duration::from_secs(20))
            .label(tr!("read the timer"));
        let text = manager.run_ok(&command).await?.stdout_text();
        let last = read_backup_reports(manager, 1).await?.into_iter().next();
        Ok(Self::from_timer(&text, last, Timestamp::now()))
    }

    fn from_timer(text: &str, last: Option<BackupReport>, now: Timestamp) -> Self {
        let value = |name: &str| {
            text.lines()
                .find_map(|l| l.strip_prefix(name)?.strip_prefix('='))
                .unwrap_or_default()
        };
        let time = |name: &str| {
            let seconds: i64 = value(name).strip_prefix('@')?.parse().ok()?;
            Timestamp::from_second(seconds).ok().filter(|_| seconds > 0)
        };
        let active = value("ActiveState") == "active";
        let state = text.lines().last().unwrap_or_default();
        let running = matches!(state, "active" | "activating");
        let triggered = time("LastTriggerUSec");
        let newest = last.as_ref().map(|r| r.started);
        // A run that began and told nothing is a miss too.
        let silent = match (triggered, newest) {
            (Some(began), Some(told)) => told < began && !running,
            (Some(_), None) => !running,
            _ => false,
        };
        let late = newest.is_some_and(|n| now.duration_since(n) > LATE);
        Self {
            active,
            running,
            next: time("NextElapseUSecRealtime"),
            triggered,
            last,
            missed: active && (silent || late),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_as_bad_as_its_worst_part() {
        let mut report = BackupReport::new("chaton");
        let app = |result| AppBackupReport {
            app: "blog".into(),
            result,
            snapshot: "ab".into(),
            files: 1,
            bytes: 2,
            added: 2048,
            dumps: 0,
            seconds: 1.0,
            errors: Vec::new(),
        };
        report.apps = vec![app(BackupResult::Done), app(BackupResult::Warning)];
        report.finish();
        assert_eq!(report.result, BackupResult::Warning);
        report.failures.push("shop: no\u{1b}[2J dump".into());
        report.finish();
        assert_eq!(report.result, BackupResult::Failed);
        let line = report.summary_line();
        assert!(
            line.contains("FAILED: 2 of 2 snapshots, 4.0 KiB new"),
            "{line}"
        );
        assert!(!line.contains('\u{1b}'));
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<BackupReport>(&text).unwrap(), report);
    }

    #[test]
    fn a_night_without_a_report_was_missed() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let began: Timestamp = "2026-11-24T03:00:00Z".parse().unwrap();
        let text = |state: &str| {
            format!(
                "ActiveState=active\nNextElapseUSecRealtime=@1795575600\nLastTriggerUSec=@{}\n{state}\n",
                began.as_second()
            )
        };
        let report = |at: &str| {
            let mut report = BackupReport::new("f");
            report.started = at.parse().unwrap();
            Some(report)
        };
        let of = |state: &str, last| NightlyBackup::from_timer(&text(state), last, now);
        let good = of("inactive", report("2026-11-24T03:00:02Z"));
        assert!(good.active && !good.missed && !good.running);
        assert_eq!(good.next.map(|t| t.as_second()), Some(1795575600));
        assert!(of("inactive", report("2026-11-23T03:00:02Z")).missed);
        assert!(!of("activating", report("2026-11-23T03:00:02Z")).missed);
        assert!(of("inactive", None).missed);
        let none = NightlyBackup::from_timer(
            "ActiveState=inactive\nLastTriggerUSec=\ninactive\n",
            None,
            now,
        );
        assert!(!none.active && !none.missed && none.triggered.is_none());
    }
}
