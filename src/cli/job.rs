//! Runs a job under the command line: plan, confirmation, events as lines or JSON.

use matou_base::text::format_tenths;
use matou_i18n::tr;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::{Report, Result, eyre};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Exit;
use matou_base::errln;
use matou_base::out::{OutputClosed, WithFormat};
use matou_base::outln;
use matou_collect::CollectError;
use matou_job::{Check, Confirm, Job, JobEvent, JobOutcome, OutputStream, Plan, RunError};
use matou_ops as ops;
use matou_ops::{FleetContext, OpsError, Request};

/// How often a plan is made again because the fleet changed meanwhile.
const MAX_PLANS: u32 = 5;

/// Options of every job.
#[derive(Debug, Args)]
pub(crate) struct JobOptions {
    /// Show the plan and change nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Don't ask for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Print the plan and every event as one JSON object a line
    #[arg(long)]
    json: bool,
    /// Wait while another one works on the application: so many minutes, as long as it takes without
    /// a number [default: 8 seconds]
    #[arg(long, value_name = "MINUTES", num_args = 0..=1, require_equals = true, default_missing_value = "10080")]
    wait: Option<u64>,
    /// Don't take the application's lock, where the storage node that has it is lost: see to it that
    /// nobody else works on the application
    #[arg(long)]
    without_lock: bool,
}

impl JobOptions {
    /// Whether everything is printed as JSON.
    pub(super) fn wants_json(&self) -> bool {
        self.json
    }

    /// Returns the options that ask for no confirmation.
    pub(super) fn confirmed() -> Self {
        Self {
            dry_run: false,
            yes: true,
            ..Self::dry_run()
        }
    }

    /// Returns the options that only show the plan.
    pub(super) fn dry_run() -> Self {
        Self {
            dry_run: true,
            yes: false,
            json: false,
            wait: None,
            without_lock: false,
        }
    }
}

/// What the watcher of a job is told.
pub(super) enum JobNotice<'a> {
    /// The job starts, with this plan.
    Confirmed(&'a Plan),
    Event(&'a JobEvent),
}

/// Plans the request, asks, and runs it.
pub(crate) async fn run_request(
    fleet: &FleetContext,
    request: Request,
    options: &JobOptions,
) -> Result<ExitCode> {
    let build = async |request: &Request| ops::build_job(request, fleet).await;
    let deployed = match &request {
        Request::Deploy { app, .. }
        | Request::Redeploy { app, .. }
        | Request::Revert { app, .. } => Some(app.clone()),
        _ => None,
    };
    let code = run_watched_job(fleet, request, build, options, &mut |_| {}).await?;
    if let Some(app) = deployed
        && code == ExitCode::from(Exit::Done)
        && !options.dry_run
        && !options.json
        && let Ok(Some(login)) = ops::find_app_login(fleet, &app)
    {
        for line in login.describe_lines(&app) {
            outln!("{line}")?;
        }
    }
    Ok(code)
}

/// Runs a request that needs no confirmation. Its plan is not shown, except in a dry run.
pub(crate) async fn run_request_at_once(
    fleet: &FleetContext,
    request: Request,
    options: &JobOptions,
) -> Result<ExitCode> {
    let build = async |request: &Request| match options.dry_run {
        true => ops::build_job(request, fleet).await,
        false => ops::build_job_at_once(request, fleet).await,
    };
    run_watched_job(fleet, request, build, options, &mut |_| {}).await
}

/// Plans, confirms and runs the job that `build` makes of the request. Tells `watch` what happens.
pub(super) async fn run_watched_job(
    fleet: &FleetContext,
    request: Request,
    build: impl AsyncFn(&Request) -> Result<Job, OpsError>,
    options: &JobOptions,
    watch: &mut dyn FnMut(JobNotice<'_>),
) -> Result<ExitCode> {
    let title = request.title();
    let done = watch_job(fleet, request, build, options, watch).await;
    done.map_err(|report| match report.chain().any(OutputClosed::is_in) {
        // What only prints may end there; a job has not come to its end.
        true if !options.dry_run => eyre!(
            "{}", tr!("{title}: nobody reads what it prints any more; `matou status` tells how far it came, the same command goes on"
        )),
        _ => report,
    })
}

async fn watch_job(
    fleet: &FleetContext,
    mut request: Request,
    build: impl AsyncFn(&Request) -> Result<Job, OpsError>,
    options: &JobOptions,
    watch: &mut dyn FnMut(JobNotice<'_>),
) -> Result<ExitCode> {
    if let Some(minutes) = options.wait {
        let wait = Duration::from_secs(minutes.saturating_mul(60));
        fleet.runner.set_lock_wait(wait);
    }
    if options.without_lock {
        fleet.runner.go_without_locks();
    }
    let mut job = match build(&request).await {
        Ok(job) => job,
        Err(e) => return end_not_built(options, e),
    };
    let mut plan = fleet.runner.plan(&job).await;
    let mut again = 0;
    let mut has_waited = false;
    loop {
        show_plan(&plan, options)?;
        if let Some(accepted) = ask_for_decision(&plan, options)?
            && let Some(decisions) = decisions_of_request(&mut request)
        {
            decisions.push(accepted);
            job = match build(&request).await {
                Ok(job) => job,
                Err(e) => return end_not_built(options, e),
            };
            plan = fleet.runner.plan(&job).await;
            continue;
        }
        if let Some(reason) = plan.blocked_reason() {
            // The cause may be another job's, as a restore that is half done: with `--wait`, that
            // job is waited for.
            let can_wait = options.wait.is_some() && !options.dry_run && !job.holds.is_empty();
            if !can_wait || has_waited {
                return match plan.is_unreachable() {
                    true => end_not_built(options, CollectError::Unreachable(reason).into()),
                    false => end_with_failure(options, &reason),
                };
            }
            has_waited = true;
            if let Some(ended) = wait_for_other_jobs(fleet, &job, options).await? {
                return Ok(ended);
            }
            job = match build(&request).await {
                Ok(job) => job,
                Err(e) => return end_not_built(options, e),
            };
            plan = fleet.runner.plan(&job).await;
            continue;
        }
        // Nothing is to be done now. But another job may hold a lock and change that: then this job
        // runs as any other, with the lock.
        let nothing = plan.is_done();
        if options.dry_run || (nothing && job.holds.is_empty()) {
            return Ok(Exit::Done.into());
        }
        if !nothing && !ask_for_confirmation(&plan, options)? {
            return Ok(Exit::NotConfirmed.into());
        }
        let outcome = run_confirmed_job(
            fleet,
            &mut job,
            &plan,
            async || build(&request).await,
            options,
            watch,
        )
        .await?;
        return match outcome {
            Ok(JobOutcome::Done { .. }) => Ok(Exit::Done.into()),
            Ok(JobOutcome::Failed { .. }) => Ok(Exit::Failed.into()),
            Ok(JobOutcome::Cancelled) => Ok(Exit::Cancelled.into()),
            Err(RunError::NotLocked(outcome)) => Ok(lock_failure_exit(&outcome)),
            Err(RunError::NotBuilt(e)) => match e.downcast::<OpsError>() {
                Ok(e) => end_not_built(options, *e),
                Err(e) => end_with_failure(options, &e.to_string()),
            },
            Err(RunError::PlanChanged(_)) if again == MAX_PLANS => end_with_failure(
                options,
                tr!(
                    "the plan was another each time it was made: something changes the fleet now; try again when that has ended"
                ),
            ),
            Err(RunError::PlanChanged(new)) => {
                again += 1;
                errln!(
                    "{}",
                    tr!("the fleet changed since the plan was made; this is the new plan:")
                );
                plan = *new;
                continue;
            }
        };
    }
}

/// Runs a job that was confirmed, with its locks, and prints what happens. It is built again once they
/// are taken: the fleet may have changed while they were waited for.
async fn run_confirmed_job(
    fleet: &FleetContext,
    job: &mut Job,
    plan: &Plan,
    build: impl AsyncFn() -> Result<Job, OpsError>,
    options: &JobOptions,
    watch: &mut dyn FnMut(JobNotice<'_>),
) -> Result<Result<JobOutcome, RunError>> {
    let (events, mut arriving) = mpsc::channel(256);
    let (cancel, stop_on_signal) = cancel_on_ctrl_c();
    let hash = plan.hash();
    let nothing = plan.is_done();
    if !nothing {
        watch(JobNotice::Confirmed(plan));
    }
    let running = async {
        let title = job.title.clone();
        let held = fleet
            .runner
            .take_locks(&job.holds, &title, &events, &cancel)
            .await?;
        if held.holds_any() {
            if nothing && !held.has_sent_events() {
                held.release().await;
                return Ok(JobOutcome::Done { changed: 0 });
            }
            // The fleet may have changed while the lock was waited for.
            *job = match build().await {
                Ok(job) => job,
                Err(why) => return fleet.runner.abandon_job(held, &title, why, &events).await,
            };
        }
        let run = fleet
            .runner
            .run_with_locks(job, held, Some(&hash), events, cancel);
        run.await
    };
    let printing = async {
        while let Some(event) = arriving.recv().await {
            watch(JobNotice::Event(&event));
            show_event(&event, options)?;
        }
        Ok::<_, color_eyre::Report>(())
    };
    let (outcome, printed) = tokio::join!(running, printing);
    stop_on_signal.abort();
    printed?;
    Ok(outcome)
}

/// Waits until no other job holds the locks of this one, then releases them. Returns the exit code
/// when that fails, after printing why.
async fn wait_for_other_jobs(
    fleet: &FleetContext,
    job: &Job,
    options: &JobOptions,
) -> Result<Option<ExitCode>> {
    let (events, mut arriving) = mpsc::channel(256);
    let (cancel, stop_on_signal) = cancel_on_ctrl_c();
    let waiting = async {
        let held = fleet
            .runner
            .take_locks(&job.holds, &job.title, &events, &cancel)
            .await;
        drop(events);
        match held {
            Ok(held) => {
                held.release().await;
                Ok(None)
            }
            Err(RunError::NotLocked(outcome)) => Ok(Some(lock_failure_exit(&outcome))),
            Err(e) => Err(eyre!(e)),
        }
    };
    let printing = async {
        while let Some(event) = arriving.recv().await {
            show_event(&event, options)?;
        }
        Ok::<_, color_eyre::Report>(())
    };
    let (ended, printed) = tokio::join!(waiting, printing);
    stop_on_signal.abort();
    printed?;
    ended
}

/// Returns the exit code of a job that did not get its locks.
fn lock_failure_exit(outcome: &JobOutcome) -> ExitCode {
    match outcome {
        JobOutcome::Cancelled => Exit::Cancelled.into(),
        _ => Exit::Failed.into(),
    }
}

/// Returns a token that Ctrl-C cancels, and the task that listens for it.
pub(super) fn cancel_on_ctrl_c() -> (CancellationToken, JoinHandle<()>) {
    let cancel = CancellationToken::new();
    let listening = tokio::spawn({
        let cancel = cancel.clone();
        async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                cancel.cancel();
            }
        }
    });
    (cancel, listening)
}

/// Returns the list of accepted decisions in a request that has one.
fn decisions_of_request(request: &mut Request) -> Option<&mut Vec<String>> {
    match request {
        Request::Provision { options } => Some(&mut options.accept),
        Request::Repo { accept, .. } => Some(accept),
        _ => None,
    }
}

fn end_with_failure(options: &JobOptions, reason: &str) -> Result<ExitCode> {
    if options.json {
        print_json(&serde_json::json!({ "error": reason }))?;
        return Ok(Exit::Failed.into());
    }
    Err(eyre!("{reason}"))
}

/// Ends with the exit code of what kept the job from being made.
fn end_not_built(options: &JobOptions, error: OpsError) -> Result<ExitCode> {
    match options.json {
        true => end_with_json_error(&error.into()),
        false => Err(error.into()),
    }
}

/// Prints an error as JSON, and ends with its exit code.
pub(super) fn end_with_json_error(error: &Report) -> Result<ExitCode> {
    print_json(&serde_json::json!({ "error": format!("{error:#}") }))?;
    Ok(Exit::of(error).into())
}

fn print_json(value: &impl serde::Serialize) -> Result<()> {
    Ok(matou_base::out::print_json_line(value)?)
}

fn show_plan(plan: &Plan, options: &JobOptions) -> Result<()> {
    if options.json {
        let planned = JobEvent::Planned { plan: plan.clone() };
        return print_json(&WithFormat::new(&planned));
    }
    outln!("{}", plan.title)?;
    for (node, steps) in plan.steps_by_node() {
        let mut said = Vec::new();
        for step in steps {
            match &step.check {
                Ok(Check::Done(lines) | Check::Change(lines)) => {
                    for line in lines {
                        outln!("  {node}: {line}")?;
                    }
                }
                Ok(Check::Unknown(why)) => {
                    matou_base::out::print_hanging(format_args!(
                        "  {node}: … {}: {why}",
                        step.step
                    ))?;
                }
                // A node that does not answer fails every check with the same words: they are
                // printed once.
                Err(why) if said.contains(&why) => {}
                Err(why) => {
                    matou_base::out::print_hanging(format_args!(
                        "  {node}: ! {}: {why}",
                        step.step
                    ))?;
                    said.push(why);
                }
            }
        }
    }
    if plan.is_done() {
        outln!("{}", tr!("nothing to do"))?;
    } else if plan.is_long() {
        // What scrolled away matters for the answer.
        outln!("{}", plan.summary())?;
        for (node, warning) in plan.warnings() {
            matou_base::out::print_hanging(format_args!("  ! {node}: {warning}"))?;
        }
    }
    Ok(())
}

/// Asks at the terminal for a decision that the plan needs. Returns it when it was typed.
fn ask_for_decision(plan: &Plan, options: &JobOptions) -> Result<Option<String>> {
    let asked: Vec<String> = plan
        .open_questions()
        .filter_map(|(_, c)| c.accept.clone())
        .collect();
    if asked.is_empty() || options.yes || options.dry_run || !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    matou_base::out::print_prompt(tr!(
        "Type {} to accept it, or nothing to leave it: ",
        asked.join(tr!(" or "))
    ))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    let answer = answer.trim().to_owned();
    Ok(asked.contains(&answer).then_some(answer))
}

fn ask_for_confirmation(plan: &Plan, options: &JobOptions) -> Result<bool> {
    if options.yes || plan.confirm == Confirm::None {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        errln!(
            "{}",
            tr!("not confirmed: pass --yes to run it without being asked")
        );
        return Ok(false);
    }
    match &plan.confirm {
        Confirm::TypeName(name) => {
            matou_base::out::print_prompt(tr!("Type {name} to go on: "))?;
        }
        _ => matou_base::out::print_prompt(tr!("Go on? [y/N] "))?,
    }
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    let answer = answer.trim();
    Ok(match &plan.confirm {
        Confirm::TypeName(name) => answer == name,
        _ => matou_i18n::is_yes(answer),
    })
}

pub(super) fn show_event(event: &JobEvent, options: &JobOptions) -> Result<()> {
    if options.json {
        return print_json(event);
    }
    match event {
        JobEvent::StepStarted { node, step } => outln!("{node}: {step} …")?,
        JobEvent::Line {
            node, stream, text, ..
        } => match stream {
            OutputStream::Stderr => errln!("{node}:   {text}"),
            OutputStream::Stdout | OutputStream::Note => outln!("{node}:   {text}")?,
        },
        JobEvent::Answered { node, text, .. } => outln!("{node}:   {text}")?,
        JobEvent::StepDone {
            node,
            step,
            changed,
            took,
        } => outln!(
            "{node}: {step} {} ({} s)",
            if *changed { tr!("changed") } else { "ok" },
            format_tenths(took.as_secs_f64())
        )?,
        JobEvent::StepFailed {
            node, step, error, ..
        } => matou_base::out::note_hanging(tr!("{node}: {step} FAILED: {error}")),
        JobEvent::Finished { outcome, took } => match outcome {
            JobOutcome::Done { .. } => {
                outln!("{}", tr!("done in {} s", format_tenths(took.as_secs_f64())))?;
            }
            JobOutcome::Failed { reason } => {
                matou_base::out::note_hanging(tr!("failed: {reason}"));
            }
            JobOutcome::Cancelled => errln!("{}", tr!("cancelled")),
        },
        JobEvent::Planned { .. }
        | JobEvent::Started { .. }
        | JobEvent::Steps { .. }
        | JobEvent::Progress { .. } => {}
    }
    Ok(())
}
