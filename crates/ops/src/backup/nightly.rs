//! The nightly backup on the manager: backs up everything, forgets old snapshots, checks a part of
//! the data, fills the copies, prunes once a week. The result goes to a report, the journal, and
//! the address in `ping_file`.

use matou_i18n::tr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::app_jobs::{backup_steps, storage_node_job};
use super::context::{BackupContext, find_report_manager};
use super::repo::{self, RepositoryStep};
use super::{anomalies, files};
use crate::FleetContext;
use crate::OpsError;
use crate::repo_work::{CheckData, RepoWork};
use matou_backup::{BackupReport, BackupResult, Restic, SnapshotCounts, read_backup_reports};
use matou_host::Host;
use matou_job::{ChangeKind, Check, Confirm, JobEvent, JobOutcome, Step, StepError};

/// A repository is pruned again after this long.
const PRUNE_INTERVAL: jiff::SignedDuration = jiff::SignedDuration::from_hours(6 * 24 + 12);

/// How long to wait for an application that is being deployed or restored. After that its backup
/// alone fails.
const APP_LOCK_WAIT: Duration = Duration::from_secs(600);

/// How long the address of `ping_file` may take.
const PING_TIMEOUT: Duration = Duration::from_secs(30);

/// Copies apps/ and stacks/ from the storage node if this machine is a manager. The fleet must be
/// opened again afterwards. Returns whether it copied them.
///
/// # Errors
/// One sentence.
pub async fn take_over_fleet_files(fleet: &FleetContext) -> Result<bool, OpsError> {
    if !files::is_manager_copy(&fleet.config) {
        return Ok(false);
    }
    let storage = fleet.nodes.get(&fleet.config.storage.node);
    let storage = storage.ok_or(tr!(
        "the storage node is not among the nodes of config.toml"
    ))?;
    files::fetch_apps_and_stacks(&fleet.config, &storage.host).await?;
    Ok(true)
}

/// Runs the whole night; `events` are told to the caller. The report is written on the manager
/// whatever happens, also when there is no repository to reach.
pub async fn run_nightly_backup(
    cx: &FleetContext,
    events: mpsc::Sender<JobEvent>,
    cancel: CancellationToken,
) -> BackupReport {
    let mut report = BackupReport::new(&cx.config.fleet.name);
    cx.runner.set_lock_wait(APP_LOCK_WAIT);
    let manager = find_report_manager(cx);
    match BackupContext::open(cx).await {
        Err(e) => report.failures.push(e.to_string()),
        Ok(work) => {
            let outcome = run_nightly_job(&work, manager.as_ref(), events, cancel).await;
            record_nightly_counts(&work).await;
            let mut done = work.report().clone();
            done.started = report.started;
            report = done;
            match outcome {
                Ok(JobOutcome::Done { .. }) => {}
                Ok(JobOutcome::Failed { reason }) => report.failures.push(reason.into()),
                Ok(JobOutcome::Cancelled) => report.failures.push(tr!("it was cancelled").into()),
                Err(e) => report.failures.push(e.to_string()),
            }
            if report.failures.is_empty() {
                let stats = repo::query_repository_stats(&work.primary).await;
                report.size = stats.ok().map(|s| s.total_size);
            }
        }
    }
    report.finish();
    if report.result != BackupResult::Failed
        && let Some(file) = &cx.config.backup.ping_file
    {
        report.pinged = Some(send_success_ping(file).await);
    }
    if let Some(manager) = &manager
        && let Err(e) = report.write_to_manager(manager).await
    {
        report
            .failures
            .push(tr!("the report can't be written: {e}"));
        report.result = BackupResult::Failed;
    }
    report
}

async fn run_nightly_job(
    work: &BackupContext,
    manager: Option<&Host>,
    events: mpsc::Sender<JobEvent>,
    cancel: CancellationToken,
) -> Result<JobOutcome, OpsError> {
    let before = match manager {
        Some(manager) => read_backup_reports(manager, 40).await.unwrap_or_default(),
        None => Vec::new(),
    };
    let mut steps = backup_steps(work, &[]).await?;
    let parts = work.fleet.config.backup.check_parts;
    for restic in std::iter::once(&work.primary).chain(&work.copies) {
        let mut todo = Vec::new();
        if restic.name() != work.primary.name() {
            todo.push(RepoWork::Copy);
        }
        if !restic.is_append_only() {
            todo.push(RepoWork::Forget);
            if is_prune_due(&before, restic.name()) {
                todo.push(RepoWork::Prune);
            }
        }
        todo.push(RepoWork::Check {
            data: CheckData::tonights_part(parts),
        });
        let step = |what| {
            let mut repo = RepositoryStep::new(work, restic, what);
            repo.nightly = true;
            Box::new(NightlyRepositoryStep(repo)) as Box<dyn Step>
        };
        steps.extend(todo.into_iter().map(step));
        if restic.is_append_only() {
            steps.push(Box::new(CheckAppendOnlyRepository {
                work: work.clone(),
                restic: restic.clone(),
            }));
        }
    }
    let title = tr!("nightly backup of {}", work.fleet_name());
    let job = storage_node_job(work, title, Confirm::None, steps);
    let runner = &work.fleet.runner;
    let outcome = runner.run(&job, None, events, cancel).await;
    outcome.map_err(OpsError::failed)
}

/// Whether a repository was not pruned for a week.
fn is_prune_due(before: &[BackupReport], name: &str) -> bool {
    let last = before.iter().find(|r| r.pruned.iter().any(|p| p == name));
    last.is_none_or(|r| jiff::Timestamp::now().duration_since(r.started) > PRUNE_INTERVAL)
}

/// Work on a repository that can be planned only after the backups.
struct NightlyRepositoryStep(RepositoryStep);

#[async_trait::async_trait]
impl Step for NightlyRepositoryStep {
    fn name(&self) -> String {
        self.0.name()
    }

    fn timeout(&self) -> Duration {
        self.0.timeout()
    }

    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &matou_job::StepContext) -> Result<Check, StepError> {
        let why = tr!("it is seen when the backups are made");
        Ok(Check::Unknown(why.into()))
    }

    /// Does what there is to do without asking. Decisions that only the operator can take fail the
    /// step.
    async fn apply(&self, cx: &matou_job::StepContext) -> Result<(), StepError> {
        let repo = &self.0;
        let name = repo.restic.name().to_owned();
        let is_held = repo.work.report().held.contains(&name);
        if is_held && repo.what == RepoWork::Prune {
            let why = tr!("nothing is pruned: what is gone could still be brought back");
            cx.out.note(why).await;
            return Ok(());
        }
        let lines = match repo.check(cx).await? {
            Check::Done(_) => return Ok(()),
            Check::Change(lines) => lines,
            Check::Unknown(_) => Vec::new(),
        };
        let open = lines.iter().filter(|l| l.kind == ChangeKind::Decide);
        let open: Vec<&str> = open.map(|l| l.what.as_str()).collect();
        if !open.is_empty() {
            repo.work.report().held.push(name);
            let why = tr!("nothing is forgotten or pruned: {}", open.join("; "));
            return Err(StepError::Failed(why));
        }
        repo.apply(cx).await
    }

    async fn verify(&self, cx: &matou_job::StepContext) -> Result<(), StepError> {
        self.0.verify(cx).await
    }
}

/// Checks an append-only repository, where the nightly backup forgets nothing. Fails if snapshots
/// are gone or dated in the future.
struct CheckAppendOnlyRepository {
    work: BackupContext,
    restic: Restic,
}

#[async_trait::async_trait]
impl Step for CheckAppendOnlyRepository {
    fn name(&self) -> String {
        tr!("look at {}", self.restic.name())
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1800)
    }

    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &matou_job::StepContext) -> Result<Check, StepError> {
        Ok(Check::Unknown(tr!("it is seen when it is filled").into()))
    }

    async fn apply(&self, cx: &matou_job::StepContext) -> Result<(), StepError> {
        let name = self.restic.name();
        let note = tr!(
            "{name} is append-only: nothing is forgotten or pruned there by the fleet's own credentials"
        );
        cx.out.note(&note).await;
        self.work.report().notes.push(note);
        let now = jiff::Timestamp::now();
        let locks = repo::list_repository_locks(&self.restic).await;
        for lock in locks.map_err(super::context::backup_step_error)? {
            if lock.is_stale(now) {
                let note = tr!("{name}: {}: it is left there", lock.describe());
                cx.out.note(&note).await;
                self.work.report().notes.push(note);
            }
        }
        let found = anomalies::find_anomalies(&self.work, &self.restic).await?;
        let open = found.open_questions(name, &[]);
        if open.is_empty() {
            return Ok(());
        }
        self.work.report().held.push(name.to_owned());
        let why: Vec<&str> = open.iter().map(|l| l.what.as_str()).collect();
        Err(StepError::Failed(tr!(
            "{name} does not look as it should: {} (as it is append-only, together with `--with FILE`)",
            why.join("; ")
        )))
    }

    async fn verify(&self, _: &matou_job::StepContext) -> Result<(), StepError> {
        Ok(())
    }
}

/// Adds the number of snapshots to the report, for the next night to compare with. Keeps the last
/// count if snapshots are missing, or can't be counted.
async fn record_nightly_counts(work: &BackupContext) {
    for restic in std::iter::once(&work.primary).chain(&work.copies) {
        let name = restic.name();
        let is_held = work.report().held.iter().any(|h| h == name);
        let now = match is_held {
            true => None,
            false => anomalies::list_own_snapshots(work, restic).await.ok(),
        };
        let counted = match now {
            Some(all) => Some(SnapshotCounts::count_snapshots(
                &all,
                jiff::Timestamp::now(),
            )),
            None => anomalies::read_last_counts(work, name).await.ok().flatten(),
        };
        if let Some(counted) = counted {
            work.report().counted.insert(name.to_owned(), counted);
        }
    }
}

/// Requests the URL in `file` to report success. The URL is a secret and is never shown.
async fn send_success_ping(file: &std::path::Path) -> bool {
    let Ok(url) = tokio::fs::read_to_string(file).await else {
        return false;
    };
    let url = url.trim().to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(PING_TIMEOUT))
            .build()
            .into();
        agent.get(&url).call().is_ok()
    });
    asked.await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_pruned_once_a_week() {
        let report = |days: i64, pruned: &[&str]| {
            let mut report = BackupReport::new("f");
            report.started -= jiff::SignedDuration::from_hours(days * 24);
            report.pruned = pruned.iter().map(|p| (*p).to_owned()).collect();
            report
        };
        let before = [report(1, &[]), report(3, &["main"]), report(8, &["away"])];
        assert!(!is_prune_due(&before, "main"));
        assert!(is_prune_due(&before, "away"));
        assert!(is_prune_due(&[], "main"));
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_is_told_by_false() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ping");
        assert!(!send_success_ping(&file).await);
        std::fs::write(&file, "http://127.0.0.1:9/x\n").unwrap();
        assert!(!send_success_ping(&file).await);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        std::fs::write(
            &file,
            format!("http://{}/ok", listener.local_addr().unwrap()),
        )
        .unwrap();
        let served = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 1024];
            let n = stream.read(&mut buffer).unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .unwrap();
            String::from_utf8_lossy(&buffer[..n]).into_owned()
        });
        assert!(send_success_ping(&file).await);
        assert!(served.join().unwrap().starts_with("GET /ok "));
    }
}
