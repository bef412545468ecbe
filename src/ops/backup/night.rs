//! The night on the manager: everything backed up, old snapshots forgotten, a part of the data
//! checked, copies filled, once a week pruned; told by a report, the journal, and an address that
//! waits for it.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::repo::{self, CheckData, Repo, RepoWork};
use super::work::Work;
use super::{backup, files, guard, job};
use crate::backup::{Counted, Ending, Report, Restic, reports};
use crate::host::Host;
use crate::job::{ChangeKind, Check, Confirm, Event, Outcome, Step, StepError};
use crate::ops::Context;

/// A repository is pruned again after this long.
const PRUNED: jiff::SignedDuration = jiff::SignedDuration::from_hours(6 * 24 + 12);

/// How long an application is waited for that somebody deploys or restores at night; then it alone
/// has failed.
const WAIT: Duration = Duration::from_secs(600);

/// How long the address of `ping_file` may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// On a manager, takes over apps/ and stacks/ as the operator's machine left them on the storage
/// node; the context must be opened again afterwards. Elsewhere it does nothing. Answers whether it
/// did.
///
/// # Errors
/// One sentence.
pub async fn take_over(cx: &Context) -> Result<bool, String> {
    if !files::is_managers(&cx.config) {
        return Ok(false);
    }
    let storage = cx.nodes.get(&cx.config.storage.node);
    let storage = storage.ok_or("the storage node is not among the nodes of config.toml")?;
    files::fetch(&cx.config, &storage.host).await?;
    Ok(true)
}

/// Runs the whole night; `events` are told to the caller. The report is written on the manager
/// whatever happens, also when there is no repository to reach.
pub async fn night(cx: &Context, events: mpsc::Sender<Event>, cancel: CancellationToken) -> Report {
    let mut report = Report::new(&cx.config.fleet.name);
    cx.runner.set_wait(WAIT);
    let manager = manager(cx);
    match Work::of(cx).await {
        Err(e) => report.failures.push(e.to_string()),
        Ok(work) => {
            let outcome = run(&work, manager.as_ref(), events, cancel).await;
            count(&work).await;
            let mut done = work.report().clone();
            done.started = report.started;
            report = done;
            match outcome {
                Ok(Outcome::Done { .. }) => {}
                Ok(Outcome::Failed { reason }) => report.failures.push(reason.into()),
                Ok(Outcome::Cancelled) => report.failures.push("it was cancelled".into()),
                Err(reason) => report.failures.push(reason),
            }
            if report.failures.is_empty() {
                let stats = repo::size(&work.primary).await;
                report.size = stats.ok().map(|s| s.total_size);
            }
        }
    }
    report.finish();
    if report.result != Ending::Failed
        && let Some(file) = &cx.config.backup.ping_file
    {
        report.pinged = Some(ping(file).await);
    }
    if let Some(manager) = &manager
        && let Err(e) = report.write(manager).await
    {
        report
            .failures
            .push(format!("the report can't be written: {e}"));
        report.result = Ending::Failed;
    }
    report
}

/// The manager that reports are kept on: the first of config.toml, where the timer is.
pub(super) fn manager(cx: &Context) -> Option<Host> {
    let first = cx
        .nodes
        .iter()
        .find(|n| n.config.role == crate::model::Role::Manager);
    first.map(|n| n.host.clone())
}

async fn run(
    work: &Work,
    manager: Option<&Host>,
    events: mpsc::Sender<Event>,
    cancel: CancellationToken,
) -> Result<Outcome, String> {
    let before = match manager {
        Some(manager) => reports(manager, 40).await.unwrap_or_default(),
        None => Vec::new(),
    };
    let mut steps = backup(work, &[]).await?;
    let parts = work.cx.config.backup.check_parts;
    for restic in std::iter::once(&work.primary).chain(&work.copies) {
        let mut todo = Vec::new();
        if restic.name() != work.primary.name() {
            todo.push(RepoWork::Copy);
        }
        if !restic.is_append_only() {
            todo.push(RepoWork::Forget);
            if is_due(&before, restic.name()) {
                todo.push(RepoWork::Prune);
            }
        }
        todo.push(RepoWork::Check {
            data: CheckData::tonight(parts),
        });
        let step = |what| {
            let mut repo = Repo::new(work, restic, what);
            repo.nightly = true;
            Box::new(Later(repo)) as Box<dyn Step>
        };
        steps.extend(todo.into_iter().map(step));
        if restic.is_append_only() {
            steps.push(Box::new(LeftAlone {
                work: work.clone(),
                restic: restic.clone(),
            }));
        }
    }
    let title = format!("nightly backup of {}", work.fleet());
    let job = job(work, title, Confirm::None, steps);
    let runner = &work.cx.runner;
    let outcome = runner.run(&job, None, events, cancel).await;
    outcome.map_err(|e| e.to_string())
}

/// Whether a repository was not pruned for a week.
fn is_due(before: &[Report], name: &str) -> bool {
    let last = before.iter().find(|r| r.pruned.iter().any(|p| p == name));
    last.is_none_or(|r| jiff::Timestamp::now().duration_since(r.started) > PRUNED)
}

/// What can be told only when the backups before it are made.
struct Later(Repo);

#[async_trait::async_trait]
impl Step for Later {
    fn name(&self) -> String {
        self.0.name()
    }

    fn timeout(&self) -> Duration {
        self.0.timeout()
    }

    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &crate::job::Cx) -> Result<Check, StepError> {
        let why = "it is seen when the backups are made";
        Ok(Check::Unknown(why.into()))
    }

    /// Nobody is asked at night: what there is to do is done.
    async fn apply(&self, cx: &crate::job::Cx) -> Result<(), StepError> {
        let repo = &self.0;
        let name = repo.restic.name().to_owned();
        let is_held = repo.work.report().held.contains(&name);
        if is_held && repo.what == RepoWork::Prune {
            let why = "nothing is pruned: what is gone could still be brought back";
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
            let why = format!("nothing is forgotten or pruned: {}", open.join("; "));
            return Err(StepError::Failed(why));
        }
        repo.apply(cx).await
    }

    async fn verify(&self, cx: &crate::job::Cx) -> Result<(), StepError> {
        self.0.verify(cx).await
    }
}

/// Tells of a repository where the night forgets nothing. That is as it should be; what is not
/// would be snapshots that are gone there all the same.
struct LeftAlone {
    work: Work,
    restic: Restic,
}

#[async_trait::async_trait]
impl Step for LeftAlone {
    fn name(&self) -> String {
        format!("look at {}", self.restic.name())
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1800)
    }

    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &crate::job::Cx) -> Result<Check, StepError> {
        Ok(Check::Unknown("it is seen when it is filled".into()))
    }

    async fn apply(&self, cx: &crate::job::Cx) -> Result<(), StepError> {
        let name = self.restic.name();
        let note = format!(
            "{name} is append-only: nothing is forgotten or pruned there by the fleet's own credentials"
        );
        cx.out.note(&note).await;
        self.work.report().notes.push(note);
        let now = jiff::Timestamp::now();
        let locks = repo::locks(&self.restic).await;
        for lock in locks.map_err(super::work::failed)? {
            if lock.is_stale(now) {
                let note = format!("{name}: {}: it is left there", lock.words());
                cx.out.note(&note).await;
                self.work.report().notes.push(note);
            }
        }
        let found = guard::look(&self.work, &self.restic).await?;
        let open = found.questions(name, &[]);
        if open.is_empty() {
            return Ok(());
        }
        self.work.report().held.push(name.to_owned());
        let why: Vec<&str> = open.iter().map(|l| l.what.as_str()).collect();
        Err(StepError::Failed(format!(
            "{name} does not look as it should: {} (as it is append-only, together with `--with FILE`)",
            why.join("; ")
        )))
    }

    async fn verify(&self, _: &crate::job::Cx) -> Result<(), StepError> {
        Ok(())
    }
}

/// Puts into the report how many snapshots there are, for the next night. Where they fell, or can't
/// be counted, what was counted before stays what is compared with.
async fn count(work: &Work) {
    for restic in std::iter::once(&work.primary).chain(&work.copies) {
        let name = restic.name();
        let is_held = work.report().held.iter().any(|h| h == name);
        let now = match is_held {
            true => None,
            false => guard::own(work, restic).await.ok(),
        };
        let counted = match now {
            Some(all) => Some(Counted::count(&all, jiff::Timestamp::now())),
            None => guard::last(work, name).await.ok().flatten(),
        };
        if let Some(counted) = counted {
            work.report().counted.insert(name.to_owned(), counted);
        }
    }
}

/// Tells the address that the night was good. It is a secret: nothing of it is told.
async fn ping(file: &std::path::Path) -> bool {
    let Ok(url) = tokio::fs::read_to_string(file).await else {
        return false;
    };
    let url = url.trim().to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
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
            let mut report = Report::new("f");
            report.started -= jiff::SignedDuration::from_hours(days * 24);
            report.pruned = pruned.iter().map(|p| (*p).to_owned()).collect();
            report
        };
        let before = [report(1, &[]), report(3, &["main"]), report(8, &["away"])];
        assert!(!is_due(&before, "main"));
        assert!(is_due(&before, "away"));
        assert!(is_due(&[], "main"));
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_is_told_by_false() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ping");
        assert!(!ping(&file).await);
        std::fs::write(&file, "http://127.0.0.1:9/x\n").unwrap();
        assert!(!ping(&file).await);
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
        assert!(ping(&file).await);
        assert!(served.join().unwrap().starts_with("GET /ok "));
    }
}
