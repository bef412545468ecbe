//! The night on the manager: everything backed up, old snapshots forgotten, a part of the data
//! checked, copies filled, once a week pruned; told by a report, the journal, and an address that
//! waits for it.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::repo::{self, CheckData, Repo, RepoWork};
use super::work::Work;
use super::{backup, files, job};
use crate::backup::{Ending, Report, reports};
use crate::host::Host;
use crate::job::{Confirm, Event, Outcome, Step};
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
    let manager = manager(cx).await;
    match Work::of(cx).await {
        Err(e) => report.failures.push(e.to_string()),
        Ok(work) => {
            let outcome = run(&work, manager.as_ref(), events, cancel).await;
            let mut done = work.report().clone();
            done.started = report.started;
            report = done;
            match outcome {
                Ok(Outcome::Done { .. }) => {}
                Ok(Outcome::Failed { reason }) => report.failures.push(reason),
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
async fn manager(cx: &Context) -> Option<Host> {
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
        todo.push(RepoWork::Forget);
        if is_due(&before, restic.name()) {
            todo.push(RepoWork::Prune);
        }
        todo.push(RepoWork::Check {
            data: CheckData::tonight(parts),
        });
        let step = |what| Box::new(Later(Repo::new(work, restic, what))) as Box<dyn Step>;
        steps.extend(todo.into_iter().map(step));
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

    async fn check(&self, _: &crate::job::Cx) -> Result<crate::job::Check, crate::job::StepError> {
        let why = "it is seen when the backups are made";
        Ok(crate::job::Check::Unknown(why.into()))
    }

    /// Nobody is asked at night: what there is to do is done.
    async fn apply(&self, cx: &crate::job::Cx) -> Result<(), crate::job::StepError> {
        match self.0.check(cx).await? {
            crate::job::Check::Done(_) => Ok(()),
            _ => self.0.apply(cx).await,
        }
    }

    async fn verify(&self, cx: &crate::job::Cx) -> Result<(), crate::job::StepError> {
        self.0.verify(cx).await
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
