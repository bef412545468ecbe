//! Anomalies of a repository that stop forgetting and pruning: snapshots dated in the future, and
//! snapshots that matou did not forget and that are gone.

use matou_i18n::{tr, trn};
use std::time::Duration;

use super::context::{BackupContext, backup_step_error};
use matou_backup::{
    BackupError, Restic, ResticSnapshot, SnapshotCounts, SnapshotLoss, read_backup_reports,
};
use matou_host::{Command, Host};
use matou_job::{Change, StepError};

/// Folder of what was counted after a forget by hand, a file a repository, on the manager.
const COUNTS_FOLDER: &str = "/var/lib/matou/counted";

/// Reports that are looked through for the last count.
const MAX_REPORTS: usize = 40;

/// What is wrong with a repository.
#[derive(Debug, Default)]
pub(super) struct RepositoryAnomalies {
    /// Dated in the future.
    pub ahead: Vec<ResticSnapshot>,
    pub fewer: Vec<SnapshotLoss>,
}

impl RepositoryAnomalies {
    /// What is typed to let the ones dated in the future go.
    fn ahead_word(&self, repository: &str) -> String {
        format!("{repository}:ahead-{}", self.ahead.len())
    }

    /// What is typed to accept that snapshots are gone.
    fn fewer_word(&self, repository: &str) -> String {
        let gone: usize = self.fewer.iter().map(|f| f.before - f.now).sum();
        format!("{repository}:fewer-{gone}")
    }

    /// Whether the operator lets the ones dated in the future go.
    pub(crate) fn accepts_ahead(&self, repository: &str, accept: &[String]) -> bool {
        !self.ahead.is_empty() && accept.contains(&self.ahead_word(repository))
    }

    /// What must be decided before anything is forgotten, and was not.
    pub(crate) fn open_questions(&self, repository: &str, accept: &[String]) -> Vec<Change> {
        let mut lines = Vec::new();
        if let Some(latest) = self.ahead.iter().max_by_key(|s| s.time) {
            let what = tr!(
                "{repository}: {} dated in the future, up to {}: a clock was wrong, or somebody wants the policy to keep them and not the others; look at them first (`matou snapshots`), then `matou repo forget --repository {repository} --accept {}` lets them go",
                trn!(self.ahead.len(), "{n} snapshot is", "{n} snapshots are"),
                latest.time.strftime("%F %R UTC"),
                self.ahead_word(repository)
            );
            lines.push((what, self.ahead_word(repository)));
        }
        if !self.fewer.is_empty() {
            let each: Vec<String> = self.fewer.iter().map(format_snapshot_loss).collect();
            let word = self.fewer_word(repository);
            let what = tr!(
                "{repository}: snapshots are gone since the last night that matou did not forget: {}; find out who removed them (what is not pruned can be brought back: `restic recover`), then `matou repo forget --repository {repository} --accept {word}` goes on with what is left",
                each.join(", ")
            );
            lines.push((what, word));
        }
        let open = lines.into_iter().filter(|(_, word)| !accept.contains(word));
        open.map(|(what, word)| Change::ask_to_accept(what, word))
            .collect()
    }
}

fn format_snapshot_loss(fewer: &SnapshotLoss) -> String {
    let of = match fewer.app.as_str() {
        "" => tr!("the fleet's own files"),
        app => app,
    };
    tr!("{} of {} of {of} left", fewer.now, fewer.before)
}

/// Lists this fleet's snapshots of a repository.
///
/// # Errors
/// Those of [`Restic::list_snapshots`].
pub(super) async fn list_own_snapshots(
    work: &BackupContext,
    restic: &Restic,
) -> Result<Vec<ResticSnapshot>, BackupError> {
    let all = restic.list_snapshots(&["matou"]).await?;
    let view = work.snapshot_view(restic, &all).await?;
    Ok(all.into_iter().filter(|s| view.is_ours(s)).collect())
}

/// Compares a repository with the last count, and finds snapshots dated in the future.
///
/// # Errors
/// The repository, or the manager that keeps the reports, can't be asked.
pub(super) async fn find_anomalies(
    work: &BackupContext,
    restic: &Restic,
) -> Result<RepositoryAnomalies, StepError> {
    let (all, before) = tokio::join!(
        list_own_snapshots(work, restic),
        read_last_counts(work, restic.name())
    );
    let (all, before) = (
        all.map_err(backup_step_error)?,
        before.map_err(backup_step_error)?,
    );
    let view = work
        .snapshot_view(restic, &all)
        .await
        .map_err(backup_step_error)?;
    Ok(RepositoryAnomalies {
        ahead: view.dated_ahead(&all).into_iter().cloned().collect(),
        fewer: before.map(|b| b.find_losses(&all)).unwrap_or_default(),
    })
}

/// What was counted last in a repository: by a night, or after a forget by hand.
///
/// # Errors
/// When the manager can't be asked.
pub(super) async fn read_last_counts(
    work: &BackupContext,
    repository: &str,
) -> Result<Option<SnapshotCounts>, BackupError> {
    let Some(manager) = counts_manager(work) else {
        return Ok(None);
    };
    let read = Command::sh("cat -- \"$1/$2.json\" 2>/dev/null || :")
        .arg(COUNTS_FOLDER)
        .arg(repository)
        .sudo()
        .timeout(Duration::from_secs(30))
        .label(tr!("read what was counted"));
    let (nights, by_hand) = tokio::join!(
        read_backup_reports(&manager, MAX_REPORTS),
        manager.run_ok(&read)
    );
    let night = nights?
        .into_iter()
        .find_map(|mut r| r.counted.remove(repository));
    let by_hand = serde_json::from_str::<SnapshotCounts>(&by_hand?.stdout_text()).ok();
    Ok(night.into_iter().chain(by_hand).max_by_key(|c| c.at))
}

/// Writes down how many snapshots are left after a `forget` by hand. The next nightly backup
/// compares with it.
///
/// # Errors
/// The repository or the manager can't be asked.
pub(super) async fn keep_snapshot_counts(
    work: &BackupContext,
    restic: &Restic,
) -> Result<(), BackupError> {
    let Some(manager) = counts_manager(work) else {
        return Ok(());
    };
    let counted = SnapshotCounts::count_snapshots(
        &list_own_snapshots(work, restic).await?,
        jiff::Timestamp::now(),
    );
    let text = serde_json::to_string(&counted).unwrap_or_default() + "\n";
    let script = "set -e; umask 077; mkdir -p -- \"$1\"; cat >\"$1/$2.new\"; [ \"$(wc -c <\"$1/$2.new\")\" -eq \"$3\" ]; mv -f -- \"$1/$2.new\" \"$1/$2.json\"";
    let write = Command::sh(script)
        .arg(COUNTS_FOLDER)
        .arg(restic.name())
        .arg(text.len().to_string())
        .stdin(text.into_bytes())
        .sudo()
        .timeout(Duration::from_secs(30))
        .label(tr!("keep what was counted"));
    manager.run_ok(&write).await?;
    Ok(())
}

fn counts_manager(work: &BackupContext) -> Option<Host> {
    super::context::find_report_manager(&work.fleet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_about_what_was_seen() {
        let ahead = r#"{"time":"2031-01-01T00:00:00Z","id":"ab"}"#;
        let found = RepositoryAnomalies {
            ahead: vec![serde_json::from_str(ahead).unwrap()],
            fewer: vec![SnapshotLoss {
                app: "shop".into(),
                before: 9,
                now: 2,
            }],
        };
        let lines = found.open_questions("main", &[]);
        assert!(
            lines[0]
                .what
                .contains("1 snapshot is dated in the future, up to 2031-01-01")
        );
        assert!(
            lines[1].what.contains("2 of 9 of shop left"),
            "{}",
            lines[1]
        );
        let accept = ["main:ahead-1".to_owned(), "main:fewer-6".to_owned()];
        let open = found.open_questions("main", &accept);
        assert_eq!(open.len(), 1, "{open:?}");
        assert_eq!(open[0].accept.as_deref(), Some("main:fewer-7"));
        assert!(found.accepts_ahead("main", &accept));
        assert!(!found.accepts_ahead("away", &accept));
        assert!(
            RepositoryAnomalies::default()
                .open_questions("main", &[])
                .is_empty()
        );
    }
}
