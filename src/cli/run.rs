//! `matou run`: a command in a running container of an application, without a terminal.

use matou_i18n::tr;
use std::io::Read as _;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::{Report, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Exit;
use super::complete::{Names, complete};
use matou_base::errln;
use matou_base::out::{OutputClosed, ProgramOutput, ProgramStream};
use matou_base::text::InvalidInput;
use matou_job::{JobEvent, OutputStream};
use matou_ops as ops;
use matou_ops::{ContainerCommand, FleetContext, RunEnd, RunRequest};

/// Exit code of what kept the command from being run, or from being followed to its end.
const OWN_FAILURE: u8 = 125;

/// Exit code of a command that took longer than it may, as of timeout(1).
const TIMED_OUT: u8 = 124;

/// Pieces of output and input that wait at most.
const WAITING_PIECES: usize = 16;

/// Shown under `matou run --help`.
pub(super) const HELP: &str = "The command's arguments arrive as they are: no shell looks at them. Its output and errors come apart, byte for byte; at a terminal line by line, and made safe. Its environment has MATOU_RUN beside what the container's has, by which what it started is found. ^C, SIGTERM, SIGHUP and --time-limit end it in the container with what it started, but what has left both its session and that variable behind; when matou is killed or the line is lost, its node does so within a minute.

Exit codes: the command's own · 124 it took longer than --time-limit · 125 it was not run, or the line to it was lost · 126 the container can't run the program · 127 it has no such program · 129, 130, 143 ended by SIGHUP, ^C, SIGTERM · 141 what reads the output has ended · 2 wrong usage

Examples:
  matou run blog -- ghost version
  matou run shop/web --user www-data -- php bin/console cache:clear
  matou run cloud --job cron
  matou run shop/db --stdin --time-limit 10m -- sh -c 'psql \"$POSTGRES_DB\"' < orders.sql";

/// Options of `matou run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Name of an application, and of a service of it; without, the one that its stack names, or the only one
    #[arg(value_name = "APP[/SERVICE]", add = complete(Names::Apps))]
    target: TargetName,
    /// Run it as this user of the container: a name, a number, or one of them with :GROUP
    #[arg(long)]
    user: Option<String>,
    /// Begin in this folder of the container
    #[arg(long, value_name = "FOLDER")]
    workdir: Option<String>,
    /// A variable of the environment, with the value that it has here
    #[arg(long = "env", value_name = "NAME", value_parser = parse_variable_name)]
    variables: Vec<String>,
    /// Pass standard input on
    #[arg(long)]
    stdin: bool,
    /// End it when it takes longer: `90s`, `10m`, `2h`
    #[arg(long, value_name = "TIME", value_parser = matou_base::units::parse_human_duration)]
    time_limit: Option<Duration>,
    /// Wait while another one works on the application: so many minutes, as long as it takes without
    /// a number [default: 8 seconds]
    #[arg(long, value_name = "MINUTES", num_args = 0..=1, require_equals = true, default_missing_value = "10080")]
    wait: Option<u64>,
    /// Don't ask the storage node whether somebody works on the application, where it is lost
    #[arg(long)]
    without_lock: bool,
    /// Run this scheduled job of the application now, as its stack says, instead of a command
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = ["command", "user", "workdir", "variables", "stdin", "time_limit"]
    )]
    job: Option<String>,
    /// The program with its arguments
    #[arg(last = true, required_unless_present = "job")]
    command: Vec<String>,
}

/// `APP` or `APP/SERVICE`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TargetName {
    app: String,
    service: Option<String>,
}

impl FromStr for TargetName {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        let (app, service) = match text.split_once('/') {
            Some((app, service)) => (app, Some(service)),
            None => (text, None),
        };
        if app.is_empty() || service.is_some_and(|s| s.is_empty() || s.contains('/')) {
            return Err(InvalidInput::new(tr!(
                "{text:?} is no APP or APP/SERVICE, as blog or blog/web"
            )));
        }
        Ok(Self {
            app: app.to_owned(),
            service: service.map(str::to_owned),
        })
    }
}

fn parse_variable_name(text: &str) -> Result<String, InvalidInput> {
    match text.is_empty() || text.contains('=') {
        true => Err(InvalidInput::new(tr!(
            "a name is wanted: its value is taken from the environment here, so that it stands on no command line"
        ))),
        false => Ok(text.to_owned()),
    }
}

/// Ends with the exit code of what was matou's own failure, which no command has: the exit codes of all
/// other subcommands may be the command's too.
pub(super) fn end_with_own_failure(ended: Result<ExitCode>) -> Result<ExitCode> {
    ended.or_else(|report| match report.chain().any(OutputClosed::is_in) {
        true => Err(report),
        false => {
            report_failure(&report);
            Ok(OWN_FAILURE.into())
        }
    })
}

fn report_failure(report: &Report) {
    match report.downcast_ref::<matou_config::ConfigError>() {
        // It points into a line of the file.
        Some(_) => matou_base::out::note_block(&format!("matou: {report:#}")),
        None => matou_base::out::note_hanging(format_args!("matou: {report:#}")),
    }
}

/// Runs the command and returns its exit code.
pub(super) async fn run_run_command(fleet: &FleetContext, args: &RunArgs) -> Result<ExitCode> {
    if let Some(minutes) = args.wait {
        let wait = Duration::from_secs(minutes.saturating_mul(60));
        fleet.runner.set_lock_wait(wait);
    }
    if args.without_lock {
        fleet.runner.go_without_locks();
    }
    if let Some(name) = &args.job {
        return run_named_job(fleet, &args.target, name).await;
    }
    let env = args.variables.iter().map(|name| read_variable(name));
    let command = ContainerCommand {
        argv: args.command.clone(),
        env: env.collect::<Result<_, _>>()?,
        user: args.user.clone(),
        workdir: args.workdir.clone(),
        stdin: args.stdin,
    };
    let (cancel, mut signalled) = cancel_on_signals()?;
    let preparing = async {
        let service = args.target.service.as_deref();
        let target = ops::find_run_target(fleet, &args.target.app, service).await?;
        let held = hold_app(fleet, &target, &args.command[0], &cancel).await?;
        Ok::<_, Report>(held.map(|held| (target, held)))
    };
    let prepared = cancel.run_until_cancelled(preparing).await;
    let Some((target, held)) = prepared.transpose()?.flatten() else {
        return Ok(signal_exit(&mut signalled));
    };
    let (output, arriving) = mpsc::channel(WAITING_PIECES);
    let request = RunRequest {
        command,
        input: args.stdin.then(read_standard_input),
        output,
        time_limit: args.time_limit,
    };
    let printed = print_output(arriving);
    let end = ops::run_in_container(fleet, &target, request, held, &cancel).await?;
    match end {
        RunEnd::Ended(code) => {
            // Whoever reads the rest of the output may never do.
            let Some(printed) = cancel.run_until_cancelled(printed).await else {
                return Ok(signal_exit(&mut signalled));
            };
            printed.unwrap_or(Ok(()))?;
            Ok(u8::try_from(code).unwrap_or(1).into())
        }
        RunEnd::TimedOut => {
            errln!(
                "{}",
                tr!("matou: the command took longer than --time-limit and was ended")
            );
            Ok(TIMED_OUT.into())
        }
        RunEnd::Cancelled => Ok(signal_exit(&mut signalled)),
        RunEnd::Unheard => match printed.await {
            Ok(Err(why)) => Err(why.into()),
            _ => Ok(Exit::OutputClosed.into()),
        },
    }
}

/// Runs a scheduled job now, and returns its exit code.
async fn run_named_job(fleet: &FleetContext, target: &TargetName, name: &str) -> Result<ExitCode> {
    if target.service.is_some() {
        return Err(
            InvalidInput::new(tr!("a job has its service: name the application alone")).into(),
        );
    }
    let (cancel, mut signalled) = cancel_on_signals()?;
    let (output, arriving) = mpsc::channel(WAITING_PIECES);
    let printed = print_output(arriving);
    let run = ops::run_job_now(fleet, &target.app, name, output, &cancel).await?;
    printed.await.unwrap_or(Ok(()))?;
    Ok(match (run.state, run.exit) {
        (_, Some(code)) => u8::try_from(code).unwrap_or(1).into(),
        (matou_model::JobRunState::TimedOut, None) => {
            errln!(
                "{}",
                tr!("matou: the job took longer than its timeout and was ended")
            );
            TIMED_OUT.into()
        }
        _ if cancel.is_cancelled() => signal_exit(&mut signalled),
        _ => {
            for line in &run.output {
                errln!("matou: {line}");
            }
            OWN_FAILURE.into()
        }
    })
}

fn read_variable(name: &str) -> Result<String, InvalidInput> {
    match std::env::var(name) {
        Ok(value) => Ok(format!("{name}={value}")),
        Err(std::env::VarError::NotPresent) => Err(InvalidInput::new(tr!(
            "--env {name}: there is no such variable in the environment here; export it first"
        ))),
        Err(std::env::VarError::NotUnicode(_)) => Err(InvalidInput::new(tr!(
            "--env {name}: its value is no UTF-8, which the engine does not take"
        ))),
    }
}

/// Takes the application's lock; tells who is waited for.
async fn hold_app(
    fleet: &FleetContext,
    target: &ops::RunTarget,
    program: &str,
    cancel: &CancellationToken,
) -> Result<Option<matou_job::HeldLocks>, ops::OpsError> {
    let (events, mut arriving) = mpsc::channel(16);
    let telling = async {
        while let Some(event) = arriving.recv().await {
            if let JobEvent::Line { text, .. } = event {
                errln!("{text}");
            }
        }
    };
    let holding = async {
        let held = ops::hold_app_for_run(fleet, target, program, &events, cancel).await;
        drop(events);
        held
    };
    tokio::join!(holding, telling).0
}

/// Cancels on the first signal that asks this program to end, and tells its number.
pub(super) fn cancel_on_signals() -> Result<(CancellationToken, oneshot::Receiver<u8>)> {
    let cancel = CancellationToken::new();
    let (tell, signalled) = oneshot::channel();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::spawn({
        let cancel = cancel.clone();
        async move {
            let number = tokio::select! {
                _ = interrupt.recv() => 2,
                _ = terminate.recv() => 15,
                _ = hang_up.recv() => 1,
            };
            let _ = tell.send(number);
            cancel.cancel();
        }
    });
    Ok((cancel, signalled))
}

/// 128 and the number of the signal, as a shell reports it.
fn signal_exit(signalled: &mut oneshot::Receiver<u8>) -> ExitCode {
    let number = signalled.try_recv();
    number.map_or(Exit::Cancelled as u8, |n| 128 + n).into()
}

/// Reads standard input on a thread of its own: it may say nothing for ever.
fn read_standard_input() -> mpsc::Receiver<Vec<u8>> {
    let (input, arriving) = mpsc::channel(WAITING_PIECES);
    std::thread::spawn(move || {
        let mut from = std::io::stdin().lock();
        let mut buffer = vec![0; 32 * 1024];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return,
                Ok(n) if input.blocking_send(buffer[..n].to_vec()).is_ok() => {}
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return,
            }
        }
    });
    arriving
}

/// Prints output on a thread of its own: who reads it may stop, and a signal must still be heard.
fn print_output(
    mut arriving: mpsc::Receiver<(OutputStream, Vec<u8>)>,
) -> oneshot::Receiver<std::io::Result<()>> {
    let (done, printed) = oneshot::channel();
    std::thread::spawn(move || {
        let mut stdout = ProgramOutput::new(ProgramStream::Stdout);
        let mut stderr = ProgramOutput::new(ProgramStream::Stderr);
        let mut print = || {
            while let Some((stream, bytes)) = arriving.blocking_recv() {
                match stream {
                    OutputStream::Stderr => stderr.write(&bytes)?,
                    _ => stdout.write(&bytes)?,
                }
            }
            stdout.finish()?;
            stderr.finish()
        };
        let _ = done.send(print());
    });
    printed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_application_and_perhaps_a_service() {
        let target = |text: &str| text.parse::<TargetName>();
        let name = |app: &str, service: Option<&str>| TargetName {
            app: app.into(),
            service: service.map(Into::into),
        };
        assert_eq!(target("blog"), Ok(name("blog", None)));
        assert_eq!(target("blog/db"), Ok(name("blog", Some("db"))));
        for wrong in ["", "/", "blog/", "/db", "a/b/c"] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_value_does_not_stand_on_the_command_line() {
        assert_eq!(parse_variable_name("TOKEN"), Ok("TOKEN".into()));
        assert!(parse_variable_name("TOKEN=x").is_err());
        assert!(parse_variable_name("").is_err());
    }
}
