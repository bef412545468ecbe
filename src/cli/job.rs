//! Runs a job under the command line: plan, confirmation, events as lines or JSON.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::{Result, eyre};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Exit;
use crate::job::{Check, Confirm, Event, Job, Outcome, Plan, RunError, Stream};
use crate::ops::{self, Context, Request};
use crate::{errln, outln};

/// How often a plan is made again because the fleet changed meanwhile.
const PLANS: u32 = 5;

/// Options of every job.
#[derive(Debug, Args)]
pub struct Options {
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

impl Options {
    /// Whether everything is printed as JSON.
    pub(super) fn wants_json(&self) -> bool {
        self.json
    }

    /// The plan alone.
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

/// What whoever watches a job is told.
pub(super) enum Watched<'a> {
    /// The job starts, with this plan.
    Confirmed(&'a Plan),
    Event(&'a Event),
}

/// Plans the request, asks, and runs it.
pub async fn run(cx: &Context, request: Request, options: &Options) -> Result<ExitCode> {
    let build = async |request: &Request| ops::build(request, cx).await;
    run_watched(cx, request, build, options, &mut |_| {}).await
}

/// The same for a request that needs no confirmation: nobody waits for its plan, but in a dry run.
pub async fn run_at_once(cx: &Context, request: Request, options: &Options) -> Result<ExitCode> {
    let build = async |request: &Request| match options.dry_run {
        true => ops::build(request, cx).await,
        false => ops::build_at_once(request, cx).await,
    };
    run_watched(cx, request, build, options, &mut |_| {}).await
}

/// The same for a job that `build` makes; `watch` is told what happens.
pub(super) async fn run_watched(
    cx: &Context,
    mut request: Request,
    build: impl AsyncFn(&Request) -> Result<Job, String>,
    options: &Options,
    watch: &mut dyn FnMut(Watched<'_>),
) -> Result<ExitCode> {
    if let Some(minutes) = options.wait {
        let wait = Duration::from_secs(minutes.saturating_mul(60));
        cx.runner.set_wait(wait);
    }
    if options.without_lock {
        cx.runner.go_without_locks();
    }
    let mut job = match build(&request).await {
        Ok(job) => job,
        Err(reason) => return fail(options, &reason),
    };
    let mut plan = cx.runner.plan(&job).await;
    let mut again = 0;
    let mut has_waited = false;
    loop {
        show_plan(&plan, options)?;
        if let Some(accepted) = decided(&plan, options)?
            && let Some(decisions) = decisions(&mut request)
        {
            decisions.push(accepted);
            job = match build(&request).await {
                Ok(job) => job,
                Err(reason) => return fail(options, &reason),
            };
            plan = cx.runner.plan(&job).await;
            continue;
        }
        if let Some(reason) = plan.blocked() {
            // It may be what another one is at, a restore that is half done: that one is waited for.
            let can_wait = options.wait.is_some() && !options.dry_run && !job.holds.is_empty();
            if !can_wait || has_waited {
                return fail(options, &reason);
            }
            has_waited = true;
            if let Some(ended) = wait_for_others(cx, &job, options).await? {
                return Ok(ended);
            }
            job = match build(&request).await {
                Ok(job) => job,
                Err(reason) => return fail(options, &reason),
            };
            plan = cx.runner.plan(&job).await;
            continue;
        }
        // It is so, but while another one works there it may not stay so: then it is carried out as
        // any other, with the lock.
        let nothing = plan.is_done();
        if options.dry_run || (nothing && job.holds.is_empty()) {
            return Ok(Exit::Done.into());
        }
        if !nothing && !confirmed(&plan, options)? {
            return Ok(Exit::NotConfirmed.into());
        }
        let (events, mut arriving) = mpsc::channel(256);
        let (cancel, stop_on_signal) = cancelled_by_signal();
        let hash = plan.hash();
        if !nothing {
            watch(Watched::Confirmed(&plan));
        }
        let running = async {
            let title = job.title.clone();
            let held = cx.runner.hold(&job.holds, &title, &events, &cancel).await?;
            if held.is_any() {
                if nothing && !held.has_told() {
                    held.release().await;
                    return Ok(Outcome::Done { changed: 0 });
                }
                // What it was made from may be another by now.
                job = match build(&request).await {
                    Ok(job) => job,
                    Err(why) => return cx.runner.give_up(held, &title, why, &events).await,
                };
            }
            let run = cx.runner.run_held(&job, held, Some(&hash), events, cancel);
            run.await
        };
        let printing = async {
            while let Some(event) = arriving.recv().await {
                watch(Watched::Event(&event));
                show_event(&event, options)?;
            }
            Ok::<_, color_eyre::Report>(())
        };
        let (outcome, printed) = tokio::join!(running, printing);
        stop_on_signal.abort();
        printed?;
        return match outcome {
            Ok(Outcome::Done { .. }) => Ok(Exit::Done.into()),
            Ok(Outcome::Failed { .. }) => Ok(Exit::Failed.into()),
            Ok(Outcome::Cancelled) => Ok(Exit::Cancelled.into()),
            Err(RunError::NotLocked(outcome)) => Ok(not_locked(&outcome)),
            Err(RunError::NotBuilt(reason)) => fail(options, &reason),
            Err(RunError::PlanChanged(_)) if again == PLANS => fail(
                options,
                "the plan was another each time it was made: something changes the fleet now; try again when that has ended",
            ),
            Err(RunError::PlanChanged(new)) => {
                again += 1;
                errln!("the fleet changed since the plan was made; this is the new plan:");
                plan = *new;
                continue;
            }
        };
    }
}

/// Waits until nobody works on what the job is about; nothing is held afterwards. Answers with how
/// the program ends when that does not come to pass, which was told then.
async fn wait_for_others(cx: &Context, job: &Job, options: &Options) -> Result<Option<ExitCode>> {
    let (events, mut arriving) = mpsc::channel(256);
    let (cancel, stop_on_signal) = cancelled_by_signal();
    let waiting = async {
        let held = cx
            .runner
            .hold(&job.holds, &job.title, &events, &cancel)
            .await;
        drop(events);
        match held {
            Ok(held) => {
                held.release().await;
                Ok(None)
            }
            Err(RunError::NotLocked(outcome)) => Ok(Some(not_locked(&outcome))),
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

/// How the program ends when it did not get its locks.
fn not_locked(outcome: &Outcome) -> ExitCode {
    match outcome {
        Outcome::Cancelled => Exit::Cancelled.into(),
        _ => Exit::Failed.into(),
    }
}

/// A token that Ctrl-C cancels, and what listens for it.
fn cancelled_by_signal() -> (CancellationToken, JoinHandle<()>) {
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

/// Where a request keeps the decisions that were taken.
fn decisions(request: &mut Request) -> Option<&mut Vec<String>> {
    match request {
        Request::Provision { options } => Some(&mut options.accept),
        Request::Repo { accept, .. } => Some(accept),
        _ => None,
    }
}

fn fail(options: &Options, reason: &str) -> Result<ExitCode> {
    if options.json {
        print_json(&serde_json::json!({ "error": reason }))?;
        return Ok(Exit::Failed.into());
    }
    Err(eyre!("{reason}"))
}

fn print_json(value: &impl serde::Serialize) -> Result<()> {
    Ok(crate::out::json(value)?)
}

fn show_plan(plan: &Plan, options: &Options) -> Result<()> {
    if options.json {
        return print_json(&Event::Planned { plan: plan.clone() });
    }
    outln!("{}", plan.title)?;
    for (node, steps) in plan.by_node() {
        let mut said = Vec::new();
        for step in steps {
            match &step.check {
                Ok(Check::Done(lines) | Check::Change(lines)) => {
                    for line in lines {
                        outln!("  {node}: {line}")?;
                    }
                }
                Ok(Check::Unknown(why)) => {
                    crate::out::hanging(format_args!("  {node}: … {}: {why}", step.step))?;
                }
                // A node that does not answer fails every check in the same words.
                Err(why) if said.contains(&why) => {}
                Err(why) => {
                    crate::out::hanging(format_args!("  {node}: ! {}: {why}", step.step))?;
                    said.push(why);
                }
            }
        }
    }
    if plan.is_done() {
        outln!("nothing to do")?;
    }
    Ok(())
}

/// A decision that is typed at the terminal, of those the plan asks for.
fn decided(plan: &Plan, options: &Options) -> Result<Option<String>> {
    let asked: Vec<String> = plan
        .questions()
        .filter_map(|(_, c)| c.accept.clone())
        .collect();
    if asked.is_empty() || options.yes || options.dry_run || !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    crate::out::prompt(format_args!(
        "Type {} to accept it, or nothing to leave it: ",
        asked.join(" or ")
    ))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    let answer = answer.trim().to_owned();
    Ok(asked.contains(&answer).then_some(answer))
}

fn confirmed(plan: &Plan, options: &Options) -> Result<bool> {
    if options.yes || plan.confirm == Confirm::None {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        errln!("not confirmed: pass --yes to run it without being asked");
        return Ok(false);
    }
    match &plan.confirm {
        Confirm::TypeName(name) => {
            crate::out::prompt(format_args!("Type {name} to go on: "))?;
        }
        _ => crate::out::prompt(format_args!("Go on? [y/N] "))?,
    }
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    let answer = answer.trim();
    Ok(match &plan.confirm {
        Confirm::TypeName(name) => answer == name,
        _ => answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"),
    })
}

pub(super) fn show_event(event: &Event, options: &Options) -> Result<()> {
    if options.json {
        return print_json(event);
    }
    match event {
        Event::StepStarted { node, step } => outln!("{node}: {step} …")?,
        Event::Line {
            node, stream, text, ..
        } => match stream {
            Stream::Stderr => errln!("{node}:   {text}"),
            Stream::Stdout | Stream::Note => outln!("{node}:   {text}")?,
        },
        Event::StepDone {
            node,
            step,
            changed,
            took,
        } => outln!(
            "{node}: {step} {} ({:.1} s)",
            if *changed { "changed" } else { "ok" },
            took.as_secs_f32()
        )?,
        Event::StepFailed {
            node, step, error, ..
        } => crate::out::note_hanging(format_args!("{node}: {step} FAILED: {error}")),
        Event::Finished { outcome, took } => match outcome {
            Outcome::Done { .. } => outln!("done in {:.1} s", took.as_secs_f32())?,
            Outcome::Failed { reason } => {
                crate::out::note_hanging(format_args!("failed: {reason}"))
            }
            Outcome::Cancelled => errln!("cancelled"),
        },
        Event::Planned { .. } | Event::Started { .. } | Event::Progress { .. } => {}
    }
    Ok(())
}
