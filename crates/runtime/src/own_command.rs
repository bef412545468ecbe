//! Runs the operator's own commands on this machine: beside the console, or in its terminal. Their arguments go to
//! the program as they are; no shell reads them.

use matou_i18n::tr;
use std::io::BufRead as _;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use color_eyre::eyre::Result;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::keys::Keys;
use matou_base::text::SafeText;
use matou_host::CommandRecorder as _;
use matou_job::{JobEvent, JobId, JobOutcome, OutputStream};
use matou_ops::FleetContext;
use matou_ui::terminal::Screen;
use matou_ui::{CommandCall, Msg};

/// Bytes of one line of output; what is longer goes on in the next one.
const MAX_LINE_BYTES: usize = 8 << 10;

/// How long a command may take to end after it was asked to.
const END_WAIT: Duration = Duration::from_secs(5);

/// Where it runs, in output and journal.
const HERE: &str = "here";

/// Runs a command beside the console. Its output and its end are told as those of a job.
pub(super) async fn run_beside(
    fleet: FleetContext,
    id: JobId,
    call: CommandCall,
    messages: mpsc::Sender<Msg>,
    cancel: CancellationToken,
) {
    let began = Instant::now();
    let started = Msg::CommandStarted {
        id,
        call: call.clone(),
    };
    let _ = messages.send(started).await;
    // A group of its own: what it started ends with it, and the terminal's keys are not its.
    let spawned = Command::new(&call.argv[0])
        .args(&call.argv[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let outcome = match spawned {
        Ok(mut child) => {
            let (out, err) = (child.stdout.take(), child.stderr.take());
            let redactor = fleet.journal.redactor();
            let tell = |stream, text: String| {
                let line = JobEvent::Line {
                    node: HERE.into(),
                    step: String::new(),
                    stream,
                    text: SafeText::of(redactor.redact(&text)),
                };
                messages.send(Msg::Job { id, event: line })
            };
            let output = async {
                let out = forward_lines(out, |text| tell(OutputStream::Stdout, text));
                let err = forward_lines(err, |text| tell(OutputStream::Stderr, text));
                tokio::join!(out, err);
            };
            let whole = async { tokio::join!(child.wait(), output).0 };
            match cancel.run_until_cancelled(whole).await {
                Some(Ok(status)) => {
                    fleet.journal.record(
                        HERE,
                        &call.argv.join(" "),
                        began.elapsed(),
                        Ok(status.code().unwrap_or(-1)),
                    );
                    outcome_of(status)
                }
                Some(Err(e)) => failed(format_args!("{}", tr!("it can't be waited for: {e}"))),
                None => {
                    end_group(&mut child).await;
                    JobOutcome::Cancelled
                }
            }
        }
        Err(e) => failed(format_args!(
            "{}",
            tr!(
                "{} can't be started: {e}; mend its command in config.toml",
                call.argv[0]
            )
        )),
    };
    let event = JobEvent::Finished {
        outcome,
        took: began.elapsed(),
    };
    let _ = messages.send(Msg::Job { id, event }).await;
}

fn failed(why: std::fmt::Arguments<'_>) -> JobOutcome {
    JobOutcome::Failed {
        reason: SafeText::of(why),
    }
}

fn outcome_of(status: ExitStatus) -> JobOutcome {
    match status.success() {
        true => JobOutcome::Done { changed: 1 },
        false => failed(format_args!("{}", tr!("it ended with {status}"))),
    }
}

/// Ends a command and all that it started.
async fn end_group(child: &mut Child) {
    let Some(group) = child.id().and_then(|id| i32::try_from(id).ok()) else {
        return;
    };
    let group = Pid::from_raw(group);
    let _ = killpg(group, Signal::SIGTERM);
    if tokio::time::timeout(END_WAIT, child.wait()).await.is_err() {
        let _ = killpg(group, Signal::SIGKILL);
        let _ = child.wait().await;
    }
}

/// Hands on what a stream says, a line at a time and none longer than [`MAX_LINE_BYTES`].
async fn forward_lines<S, F, T>(stream: Option<S>, tell: F)
where
    S: AsyncRead + Unpin,
    F: Fn(String) -> T,
    T: Future<Output = Result<(), mpsc::error::SendError<Msg>>>,
{
    let Some(stream) = stream else { return };
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await {
            Ok(b'\n') => {}
            Ok(byte) => {
                line.push(byte);
                if line.len() < MAX_LINE_BYTES {
                    continue;
                }
            }
            Err(_) if line.is_empty() => return,
            Err(_) => {}
        }
        let text = String::from_utf8_lossy(&line).into_owned();
        line.clear();
        if tell(text).await.is_err() {
            return;
        }
    }
}

/// Gives the terminal to a command until it ends and Enter was pressed. Returns what the console takes then.
pub(super) async fn run_in_terminal(
    fleet: &FleetContext,
    call: &CommandCall,
    screen: &mut Screen,
    keys: &mut Keys,
) -> Result<Msg> {
    // Ctrl-c ends the command; the console, which has the same terminal, is not to end with it.
    let _interrupts = signal(SignalKind::interrupt())?;
    let _quits = signal(SignalKind::quit())?;
    if !keys.step_back() {
        return Ok(Msg::Notice {
            text: tr!(
                "it wants the whole terminal; run it yourself: {}",
                call.shown_line()
            ),
            error: true,
        });
    }
    screen.leave()?;
    let began = Instant::now();
    let status = Command::new(&call.argv[0])
        .args(&call.argv[1..])
        .status()
        .await;
    let answer = match status {
        Ok(status) => {
            let code = status.code().unwrap_or(-1);
            fleet
                .journal
                .record(HERE, &call.argv.join(" "), began.elapsed(), Ok(code));
            matou_base::out::note_line(format_args!(
                "{}",
                tr!("{status}; Enter goes back to the console")
            ));
            // What it said stays until it is read.
            let read = || std::io::stdin().lock().read_until(b'\n', &mut Vec::new());
            let _ = tokio::task::spawn_blocking(read).await;
            match status.success() {
                true => Msg::Resumed,
                false => Msg::Notice {
                    text: tr!("{}: it ended with {status}", call.description),
                    error: true,
                },
            }
        }
        Err(e) => Msg::Notice {
            text: tr!(
                "{} can't be started: {e}; mend its command in config.toml",
                call.argv[0]
            ),
            error: true,
        },
    };
    screen.enter_again()?;
    Ok(answer)
}
