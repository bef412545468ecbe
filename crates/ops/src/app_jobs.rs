//! Scheduled jobs of applications. Which there are is what labels of services say; when one ran last is on the
//! storage node. Each manager runs what is due: under the job's lock it writes down which time it takes
//! before the command begins, so that no time is taken twice, whoever is killed and whatever clocks say.
//! Times are those of the storage node's clock.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::run::{
    RunEnd, RunRequest, RunTarget, find_run_target, hold_app_for_run, run_in_container,
};
use crate::{FleetContext, OpsError};
use matou_base::text::{InvalidInput, clean_bytes};
use matou_collect::read_app_jobs;
use matou_config::unknown_name;
use matou_docker::ContainerCommand;
use matou_host::{Command, OutputStream, shell_script};
use matou_job::{HeldLocks, JobLock, LockError, LockName, LockRequest};
use matou_model::{AppJob, AppJobRun, AppJobRuns, JobRunState};

const NOTE: &str = shell_script(include_str!("../scripts/note_job_run.sh"));

/// How far ahead a look goes: until the next one, which a timer begins within a minute.
const AHEAD: i64 = 75;

/// Time between two looks while something runs.
const LOOK_PERIOD: Duration = Duration::from_secs(60);

/// What each manager waits longer than the one before it, so that one usually finds the time taken.
const TURN: Duration = Duration::from_secs(4);

/// How long a job that can't begin is tried again; the next look goes on with it.
const TRY_AGAIN: Duration = Duration::from_secs(45);

/// Time between two attempts.
const PAUSE: Duration = Duration::from_secs(5);

/// Until then the command of somebody who fell silent is ended on its node, with the time that this takes.
const OTHERS_END: Duration = Duration::from_secs(55);

/// Lines of output that are kept of a run, and their length in bytes.
const KEPT_LINES: usize = 12;
const KEPT_LENGTH: usize = 300;

/// Output that is held to find its last lines, bytes.
const KEPT_OUTPUT: usize = 16 << 10;

/// What is known of a job.
#[derive(Debug, Clone)]
pub struct KnownJob {
    /// The job.
    pub job: AppJob,
    /// When it runs next, or should have.
    pub due: Option<Timestamp>,
    /// The time at which it should have begun long ago.
    pub missed: Option<Timestamp>,
    /// Its runs, the newest last.
    pub runs: Vec<AppJobRun>,
}

/// Reads the jobs of an application, or of all, with their runs.
///
/// # Errors
/// There is no such application; no manager answers, or the storage node does not.
pub async fn read_known_jobs(
    fleet: &FleetContext,
    app: Option<&str>,
) -> Result<Vec<KnownJob>, OpsError> {
    let swarm = fleet.query_swarm().await?;
    if let Some(app) = app {
        let apps = || swarm.services.iter().filter_map(|s| s.stack.as_deref());
        if !apps().any(|a| a == app) {
            return Err(unknown_name(tr!("application"), app, apps()).into());
        }
    }
    let mut jobs = swarm.list_app_jobs();
    jobs.retain(|j| app.is_none_or(|app| j.app == app));
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let runs = read_app_jobs(&fleet.config, &fleet.nodes).await?;
    let known = jobs.into_iter().map(|job| KnownJob {
        due: runs.find_due(&job),
        missed: runs.find_missed(&job),
        runs: runs.of_job(&job).to_vec(),
        job,
    });
    Ok(known.collect())
}

/// Runs what is due and what falls due until the next look; goes on to look while something runs. `turn` is
/// the number of managers before this one. `tell` gets a sentence for each run, and for what can't be run.
///
/// # Errors
/// No manager answers, or the storage node does not.
pub async fn run_due_jobs(
    fleet: &FleetContext,
    turn: u32,
    cancel: &CancellationToken,
    tell: &dyn Fn(String),
) -> Result<(), OpsError> {
    let mut running = FuturesUnordered::new();
    let mut busy = BTreeSet::new();
    loop {
        let look = Instant::now();
        match find_due_jobs(fleet).await {
            Ok(due) => {
                for (job, due, wait) in due {
                    let key = (job.app.clone(), job.name.clone());
                    if busy.insert(key.clone()) {
                        running.push(async move {
                            tokio::select! {
                                () = tokio::time::sleep(wait + TURN * turn) => {}
                                () = cancel.cancelled() => return (key, None),
                            }
                            let ran = run_due_job(fleet, &job, due, cancel).await;
                            (key, Some(ran))
                        });
                    }
                }
            }
            Err(why) if running.is_empty() => return Err(why),
            Err(why) => tell(why.to_string()),
        }
        let mut ended = Vec::new();
        loop {
            tokio::select! {
                next = running.next() => match next {
                    Some((key, ran)) => {
                        let (app, name) = &key;
                        match ran {
                            Some(Ok(Some(run))) => {
                                tell(format!("{app}: {name}: {}", run.describe_end()));
                            }
                            Some(Err(why)) => tell(tr!("{app}: {name}: not run: {why}")),
                            Some(Ok(None)) | None => {}
                        }
                        ended.push(key);
                    }
                    None => return Ok(()),
                },
                () = tokio::time::sleep_until(look + LOOK_PERIOD) => break,
            }
        }
        for key in ended {
            busy.remove(&key);
        }
    }
}

/// Finds the jobs that are due soon, with the time to wait for each.
async fn find_due_jobs(
    fleet: &FleetContext,
) -> Result<Vec<(AppJob, Timestamp, Duration)>, OpsError> {
    let jobs = fleet.query_swarm().await?.list_app_jobs();
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let runs = read_app_jobs(&fleet.config, &fleet.nodes).await?;
    let mut found = Vec::new();
    for job in jobs {
        let due = match runs.find_due(&job) {
            Some(due) => Some(due),
            None if runs.taken_until(&job).is_none() => {
                let seen = new_run(Some(runs.at), runs.at, JobRunState::Seen);
                note_run(fleet, &job, &seen).await?;
                job.calendar.next_after(runs.at)
            }
            None => None,
        };
        let Some(due) = due else {
            continue;
        };
        let ahead = due.as_second() - runs.at.as_second();
        if ahead <= AHEAD {
            let wait = Duration::from_secs(u64::try_from(ahead).unwrap_or_default());
            found.push((job, due, wait));
        }
    }
    Ok(found)
}

/// Runs a job for a time, when nobody else does. Tries again while it can't begin.
async fn run_due_job(
    fleet: &FleetContext,
    job: &AppJob,
    due: Timestamp,
    cancel: &CancellationToken,
) -> Result<Option<AppJobRun>, OpsError> {
    let until = Instant::now() + TRY_AGAIN;
    loop {
        match run_job(fleet, job, Some(due), None, cancel).await {
            Err(_) if Instant::now() < until && !cancel.is_cancelled() => {
                tokio::time::sleep(PAUSE).await;
            }
            end => return end,
        }
    }
}

/// Runs a job of an application now. Its output goes to `output` too.
///
/// # Errors
/// There is no such job; it runs already; it can't be run.
pub async fn run_job_now(
    fleet: &FleetContext,
    app: &str,
    name: &str,
    output: mpsc::Sender<(OutputStream, Vec<u8>)>,
    cancel: &CancellationToken,
) -> Result<AppJobRun, OpsError> {
    let known = read_known_jobs(fleet, Some(app)).await?;
    let found = known.iter().find(|k| k.job.name == name);
    let Some(found) = found else {
        let names = known.iter().map(|k| k.job.name.as_str());
        return Err(unknown_name(&tr!("job of {app}"), name, names).into());
    };
    let ran = run_job(fleet, &found.job, None, Some(output), cancel).await?;
    ran.ok_or_else(|| InvalidInput::new(tr!("{app}: {name} runs already")).into())
}

fn new_run(due: Option<Timestamp>, begun: Timestamp, state: JobRunState) -> AppJobRun {
    AppJobRun {
        due,
        begun,
        by: matou_base::operator::operator_name(),
        node: String::new(),
        state,
        seconds: None,
        exit: None,
        output: Vec::new(),
    }
}

/// Adds a line to what is remembered of a job.
async fn note_run(fleet: &FleetContext, job: &AppJob, run: &AppJobRun) -> Result<(), OpsError> {
    let mut line = serde_json::to_vec(run).map_err(OpsError::failed)?;
    line.push(b'\n');
    if !matou_stack::is_app_name(&job.app) {
        return Err(OpsError::failed(tr!(
            "{} is no name that matou gives an application",
            job.app
        )));
    }
    let folder = matou_backup::matou_folder(&fleet.config).join("jobs");
    let note = Command::sh(NOTE)
        .arg(folder.display().to_string())
        .args([&job.app, &job.name])
        .stdin(line)
        .sudo()
        .timeout(Duration::from_secs(30))
        .label(tr!("remember the run of a job"));
    fleet.find_storage_node()?.host.run_ok(&note).await?;
    Ok(())
}

/// Takes the lock of a job; `None` while somebody else has it.
async fn lock_job(fleet: &FleetContext, job: &AppJob) -> Result<Option<JobLock>, OpsError> {
    let wanted = LockRequest {
        host: fleet.find_storage_node()?.host.clone(),
        names: vec![LockName::App(format!("{}/job/{}", job.app, job.name))],
    };
    let title = tr!("job {} of {}", job.name, job.app);
    let (told, _) = mpsc::channel(1);
    match JobLock::take(&wanted, &title, Duration::ZERO, &told).await {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Busy(_)) => Ok(None),
        Err(why) => Err(OpsError::failed(why)),
    }
}

/// Runs a job under its lock; `None` when somebody else does or has, or the job is another one now.
async fn run_job(
    fleet: &FleetContext,
    job: &AppJob,
    due: Option<Timestamp>,
    copy: Option<mpsc::Sender<(OutputStream, Vec<u8>)>>,
    cancel: &CancellationToken,
) -> Result<Option<AppJobRun>, OpsError> {
    let Some(lock) = lock_job(fleet, job).await? else {
        return Ok(None);
    };
    let ran = run_locked_job(fleet, job, due, copy, &lock, cancel).await;
    lock.release().await;
    ran
}

async fn run_locked_job(
    fleet: &FleetContext,
    job: &AppJob,
    due: Option<Timestamp>,
    copy: Option<mpsc::Sender<(OutputStream, Vec<u8>)>>,
    lock: &JobLock,
    cancel: &CancellationToken,
) -> Result<Option<AppJobRun>, OpsError> {
    let Some(runs) = settle_runs(fleet, job, due, cancel).await? else {
        return Ok(None);
    };
    let swarm = fleet.query_swarm().await?;
    if !swarm.list_app_jobs().contains(job) {
        // It was changed or removed since the look.
        return Ok(None);
    }
    let target = find_run_target(fleet, &job.app, Some(&job.service)).await?;
    let secrets = add_secrets(fleet, &job.app).await;
    let (events, mut told) = mpsc::channel(16);
    let draining = tokio::spawn(async move { while told.recv().await.is_some() {} });
    let held = hold_app_for_run(fleet, &target, &job.command[0], &events, cancel).await;
    drop(events);
    let _ = draining.await;
    let Some(held) = held? else {
        return Ok(None);
    };
    let mut run = new_run(due, runs.at, JobRunState::Running);
    run.node.clone_from(&target.node);
    if lock.is_lost() {
        held.release().await;
        return Err(OpsError::failed(lock.loss_reason()));
    }
    if let Err(why) = note_run(fleet, job, &run).await {
        held.release().await;
        return Err(why);
    }
    let begun = Instant::now();
    let cancel = cancel.child_token();
    let command = run_to_end(fleet, job, (&target, held), copy, &cancel);
    tokio::pin!(command);
    let (end, lines) = match lock.run_until_lost(command.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => {
            cancel.cancel();
            command.await
        }
    };
    run.seconds = Some(begun.elapsed().as_secs());
    (run.state, run.exit) = match &end {
        Ok(RunEnd::Ended(0)) => (JobRunState::Done, Some(0)),
        Ok(RunEnd::Ended(code)) => (JobRunState::Failed, Some(*code)),
        Ok(RunEnd::TimedOut) => (JobRunState::TimedOut, None),
        Ok(RunEnd::Cancelled | RunEnd::Unheard) | Err(_) => (JobRunState::Lost, None),
    };
    run.output = match secrets {
        Ok(()) => redact_lines(fleet, lines),
        Err(why) => vec![tr!(
            "its output is not kept, as the secrets that may stand in it can't be read: {why}"
        )],
    };
    if let Err(why) = end {
        run.output.push(clean_bytes(why.to_string().as_bytes()));
    }
    note_run(fleet, job, &run).await?;
    Ok(Some(run))
}

/// Reads what is remembered under the lock, and ends what somebody left who is gone. `None` when the time is
/// taken.
async fn settle_runs(
    fleet: &FleetContext,
    job: &AppJob,
    due: Option<Timestamp>,
    cancel: &CancellationToken,
) -> Result<Option<AppJobRuns>, OpsError> {
    let mut runs = read_app_jobs(&fleet.config, &fleet.nodes).await?;
    if let Some(due) = due {
        if runs.taken_until(job).is_some_and(|taken| taken >= due) {
            return Ok(None);
        }
        if runs.at < due {
            return Err(OpsError::failed(tr!(
                "its time, {due}, has not come by the storage node's clock"
            )));
        }
    }
    let last = runs.of_job(job).last();
    let left = last.filter(|r| r.state == JobRunState::Running).cloned();
    if let Some(mut left) = left {
        // Its node may still be about to end the command.
        let waited = tokio::time::sleep(OTHERS_END);
        if cancel.run_until_cancelled(waited).await.is_none() {
            return Ok(None);
        }
        left.state = JobRunState::Lost;
        left.output = vec![tr!("{} was gone before it ended", left.by)];
        note_run(fleet, job, &left).await?;
        runs = read_app_jobs(&fleet.config, &fleet.nodes).await?;
    }
    Ok(Some(runs))
}

/// Runs the command; returns its end, and the last lines that it printed.
async fn run_to_end(
    fleet: &FleetContext,
    job: &AppJob,
    (target, held): (&RunTarget, HeldLocks),
    copy: Option<mpsc::Sender<(OutputStream, Vec<u8>)>>,
    cancel: &CancellationToken,
) -> (Result<RunEnd, OpsError>, Vec<String>) {
    let (output, mut arriving) = mpsc::channel::<(OutputStream, Vec<u8>)>(16);
    let request = RunRequest {
        command: ContainerCommand {
            argv: job.command.clone(),
            env: Vec::new(),
            user: job.user.clone(),
            workdir: None,
            stdin: false,
        },
        input: None,
        output,
        time_limit: Some(job.limit),
    };
    let keeping = async {
        let (mut kept, mut cut) = (Vec::new(), false);
        while let Some((stream, bytes)) = arriving.recv().await {
            kept.extend_from_slice(&bytes);
            if kept.len() > 2 * KEPT_OUTPUT {
                kept.drain(..kept.len() - KEPT_OUTPUT);
                cut = true;
            }
            if let Some(copy) = &copy {
                let _ = copy.send((stream, bytes)).await;
            }
        }
        // Half a line may begin with half a secret, which nobody would find.
        if cut {
            let first = kept.iter().position(|b| *b == b'\n');
            kept.drain(..first.unwrap_or(kept.len()));
        }
        kept
    };
    let running = run_in_container(fleet, target, request, held, cancel);
    let (end, kept) = tokio::join!(running, keeping);
    (end, last_lines(&kept))
}

/// The last lines of output, made safe, not yet cut off.
fn last_lines(output: &[u8]) -> Vec<String> {
    let lines = output.split(|b| *b == b'\n').map(clean_bytes);
    let lines: Vec<String> = lines.filter(|l| !l.trim().is_empty()).collect();
    let begin = lines.len().saturating_sub(KEPT_LINES);
    lines[begin..].to_vec()
}

/// Has the secrets of an application removed from what is kept.
async fn add_secrets(fleet: &FleetContext, app: &str) -> Result<(), OpsError> {
    for name in crate::read_secret_versions(fleet, app).await?.keys() {
        let secret = crate::read_secret(fleet, app, name).await?;
        fleet.journal.redactor().add_secret(secret);
    }
    Ok(())
}

fn redact_lines(fleet: &FleetContext, lines: Vec<String>) -> Vec<String> {
    let redactor = fleet.journal.redactor();
    let cut = |line: String| {
        let line = redactor.redact(&line);
        match line.char_indices().nth(KEPT_LENGTH) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    };
    lines.into_iter().map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_without_escape_sequences() {
        let mut output = Vec::new();
        for n in 0..40 {
            output.extend_from_slice(format!("line {n}\n\n").as_bytes());
        }
        output.extend_from_slice(b"\x1b[31mred\x1b]0;title\x07 end\r\n");
        let lines = last_lines(&output);
        assert_eq!(lines.len(), KEPT_LINES);
        assert_eq!(lines[0], "line 29");
        let last = lines.last().unwrap();
        assert!(last.contains("red") && !last.contains('\x1b') && !last.contains('\x07'));
        assert!(last_lines(b"").is_empty());
    }
}
