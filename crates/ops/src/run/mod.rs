//! A command in a running container of an application: found, started by the engine of its node, and
//! watched over there, so that nothing of it stays when nobody waits for it any more.

mod guard;
mod target;

use matou_i18n::tr;
use std::time::{Duration, Instant};

use futures_util::{Stream, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::restore::{SwapLog, check_restore_settled};
use crate::{FleetContext, OpsError};
use guard::CommandGuard;
use matou_docker::{ContainerCommand, Docker, NodeHandle, StartedExec};
use matou_host::OutputStream;
use matou_job::{HeldLocks, JobEvent, JobOutcome, LockRequest, RunError};

pub use target::{RunTarget, find_run_target};

/// How often the engine is asked how far a command is.
const ASK_PERIOD: Duration = Duration::from_millis(100);

/// How long the output of a command that was ended is still taken.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// What is run, and who gets what it prints.
pub struct RunRequest {
    /// The command.
    pub command: ContainerCommand,
    /// What it reads; its input ends when the sender is dropped.
    pub input: Option<mpsc::Receiver<Vec<u8>>>,
    /// What it prints. A receiver that goes away ends the command.
    pub output: mpsc::Sender<(OutputStream, Vec<u8>)>,
    /// It is ended when it takes longer.
    pub time_limit: Option<Duration>,
}

/// How a command came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// By itself, with this exit code; 126 and 127 are the engine's where it could not be started.
    Ended(i64),
    /// It took longer than it may, and was ended.
    TimedOut,
    /// It was cancelled, and ended.
    Cancelled,
    /// Nobody takes its output any more, and it was ended.
    Unheard,
}

/// Takes the application's lock, which refuses while another job holds it, and looks whether a restore of
/// it is half done. The lock is to be given back when the command has begun: what comes later ends the
/// container, and the command with it.
///
/// # Errors
/// Who works on the application; which restore is not at its end.
pub async fn hold_app_for_run(
    fleet: &FleetContext,
    target: &RunTarget,
    program: &str,
    events: &mpsc::Sender<JobEvent>,
    cancel: &CancellationToken,
) -> Result<Option<HeldLocks>, OpsError> {
    let host = &fleet.find_storage_node()?.host;
    let title = tr!("run {program} in {}", target.service);
    let holds = [LockRequest::for_apps(host, [&target.app])];
    let held = match fleet
        .runner
        .take_locks(&holds, &title, events, cancel)
        .await
    {
        Ok(held) => held,
        Err(RunError::NotLocked(JobOutcome::Cancelled)) => return Ok(None),
        Err(RunError::NotLocked(JobOutcome::Failed { reason })) => {
            return Err(OpsError::failed(reason));
        }
        Err(e) => return Err(OpsError::failed(e)),
    };
    // The states of restores lie beside the locks, by the names of applications.
    if !fleet.runner.goes_without_locks() && matou_stack::is_app_name(&target.app) {
        let data = matou_backup::matou_folder(&fleet.config);
        let swap_log = SwapLog::new(host, &data, &target.app);
        if let Err(why) = check_restore_settled(&swap_log, &target.app).await {
            held.release().await;
            return Err(why.into());
        }
    }
    Ok(Some(held))
}

/// Runs a command to its end, which is remembered in the journal. `held` is given back once it has begun.
///
/// # Errors
/// It could not be started, or the connection was lost while it ran: its node ends it then.
pub async fn run_in_container(
    fleet: &FleetContext,
    target: &RunTarget,
    request: RunRequest,
    held: HeldLocks,
    cancel: &CancellationToken,
) -> Result<RunEnd, OpsError> {
    let program = request.command.argv.first().cloned().unwrap_or_default();
    let begun = Instant::now();
    let journal = &fleet.journal;
    journal.record_run_started(&target.node, &target.service, &program);
    let end = start_and_wait(fleet, target, request, held, cancel).await;
    let (exit, error) = match &end {
        Ok(RunEnd::Ended(code)) => (Some(*code), None),
        Ok(RunEnd::TimedOut) => (None, Some(tr!("it took longer than it may").to_owned())),
        Ok(RunEnd::Cancelled) => (None, Some(tr!("cancelled").to_owned())),
        Ok(RunEnd::Unheard) => (None, Some(tr!("nobody took its output").to_owned())),
        Err(why) => (None, Some(why.to_string())),
    };
    let took = begun.elapsed();
    journal.record_run_finished(&target.node, &target.service, &program, took, exit, error);
    end
}

/// Starts a command with its guard, under a lock that is still held.
async fn start_command(
    node: &NodeHandle,
    target: &RunTarget,
    mut command: ContainerCommand,
    held: &HeldLocks,
) -> Result<(CommandGuard, StartedExec), OpsError> {
    let mark = guard::random_mark();
    command.env.push(mark.clone());
    let guard = CommandGuard::start(&node.host, &target.container, &mark).await?;
    let starting = node.docker.start_in_container(&target.container, command);
    let started = match held.fence().run_until_lost(starting).await {
        Ok(started) => started.map_err(OpsError::from),
        Err(loss) => Err(OpsError::failed(loss)),
    };
    match started {
        Ok(started) => Ok((guard, started)),
        Err(why) => {
            // The engine may have begun it all the same.
            guard.end_command().await?;
            Err(why)
        }
    }
}

async fn start_and_wait(
    fleet: &FleetContext,
    target: &RunTarget,
    request: RunRequest,
    held: HeldLocks,
    cancel: &CancellationToken,
) -> Result<RunEnd, OpsError> {
    let node = fleet.nodes.get(&target.node);
    let node = node.ok_or_else(|| tr!("{} is not in config.toml: add it", target.node))?;
    let (guard, started) = start_command(node, target, request.command, &held).await?;
    held.release().await;
    let mut running = RunningCommand {
        docker: &node.docker,
        id: started.id.clone(),
    };
    let limit = async {
        match request.time_limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let StartedExec { output, input, .. } = started;
    let mut output = output;
    let feeding = feed_command(input, request.input);
    tokio::pin!(feeding);
    let sender = guard.sender();
    let stopped = {
        let following = running.follow(&mut output, &request.output, &sender);
        tokio::pin!(following);
        let waiting = async {
            tokio::select! {
                end = &mut following => end,
                // Its input may end before it does.
                () = &mut feeding => following.await,
            }
        };
        tokio::select! {
            end = waiting => match end {
                Ok(Some(code)) => {
                    guard.release().await;
                    return Ok(RunEnd::Ended(code));
                }
                Ok(None) => Ok(RunEnd::Unheard),
                Err(why) => Err(why),
            },
            () = cancel.cancelled() => Ok(RunEnd::Cancelled),
            () = limit => Ok(RunEnd::TimedOut),
            () = guard.wait_for_loss() => Err(OpsError::failed(tr!("the connection to {} was lost while the command ran: it is ended there within a minute",
                target.node
            ))),
        }
    };
    // What it says when it is asked to end is still told.
    let last = async {
        let draining = forward_output(&mut output, &request.output);
        let _ = tokio::time::timeout(LAST_OUTPUT + guard::GRACE, draining).await;
    };
    let (ended, ()) = tokio::join!(guard.end_command(), last);
    let stopped = stopped?;
    ended?;
    Ok(stopped)
}

/// A command that the engine has started.
struct RunningCommand<'a> {
    docker: &'a Docker,
    id: String,
}

impl RunningCommand<'_> {
    /// Hands its output on until it has ended, and tells the guard its process. Returns its exit code, or
    /// `None` when nobody takes its output.
    async fn follow(
        &mut self,
        output: &mut (impl Stream<Item = Result<(OutputStream, Vec<u8>), String>> + Unpin),
        to: &mpsc::Sender<(OutputStream, Vec<u8>)>,
        guard: &mpsc::Sender<Vec<u8>>,
    ) -> Result<Option<i64>, OpsError> {
        let telling = async {
            loop {
                let state = self.docker.query_exec(&self.id).await;
                if let Ok(state) = state {
                    if let Some(pid) = state.pid {
                        let _ = guard.send(format!("p{pid:010}").into_bytes()).await;
                        return;
                    }
                    if state.code.is_some() && !state.running {
                        return;
                    }
                }
                tokio::time::sleep(ASK_PERIOD).await;
            }
        };
        let forwarding = forward_output(output, to);
        tokio::pin!(telling, forwarding);
        let heard = tokio::select! {
            heard = &mut forwarding => heard?,
            () = &mut telling => forwarding.await?,
        };
        if !heard {
            return Ok(None);
        }
        // It may have closed its output and go on.
        loop {
            let state = self.docker.query_exec(&self.id).await?;
            if let (false, Some(code)) = (state.running, state.code) {
                return Ok(Some(code));
            }
            tokio::time::sleep(ASK_PERIOD).await;
        }
    }
}

/// Hands output on until it ends. Returns whether it was taken.
async fn forward_output(
    output: &mut (impl Stream<Item = Result<(OutputStream, Vec<u8>), String>> + Unpin),
    to: &mpsc::Sender<(OutputStream, Vec<u8>)>,
) -> Result<bool, OpsError> {
    loop {
        let piece = tokio::select! {
            piece = output.next() => piece,
            // Also while it prints nothing.
            () = to.closed() => return Ok(false),
        };
        let Some(piece) = piece else {
            return Ok(true);
        };
        let piece = piece.map_err(|e| tr!("the output of the command was cut off: {e}"))?;
        if to.send(piece).await.is_err() {
            return Ok(false);
        }
    }
}

/// Hands input to the command until it ends, or the command takes no more.
async fn feed_command(
    mut to: impl tokio::io::AsyncWrite + Unpin,
    from: Option<mpsc::Receiver<Vec<u8>>>,
) {
    let Some(mut from) = from else {
        return;
    };
    while let Some(bytes) = from.recv().await {
        if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
