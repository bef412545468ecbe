//! `matou jobs`: scheduled jobs of applications, and what became of them; for the managers' timer it runs them.

use matou_i18n::tr;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;
use jiff::Timestamp;
use serde::Serialize;

use super::Exit;
use super::complete::{Names, complete};
use matou_base::out::print_hanging;
use matou_base::outln;
use matou_base::text::clean_line;
use matou_base::units::format_short_duration;
use matou_model::{AppJobRun, JobRunState};
use matou_ops::{FleetContext, KnownJob};

/// Runs that are printed of a job.
const SHOWN_RUNS: usize = 5;

/// Shown under `matou jobs --help`.
pub(super) const HELP: &str = "A stack names its jobs under `jobs:` of x-matou: name, service, command, calendar (as systemd has it, in UTC), timeout, user. They take effect when the application is deployed, and go with it. Managers run them in the service's own container, each time once, and never two of a job at a time; `matou run APP --job NAME` runs one now.

Exit codes: 1 when the newest run of a job failed, or one did not run for which it was time.

Examples:
  matou jobs
  matou jobs cloud --json | jq -r '.[].runs[-1].state'";

/// Options of `matou jobs`.
#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    /// Name of an application; all without
    #[arg(add = complete(Names::Apps))]
    app: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Run what is due until the next look: for a timer
    #[arg(long, conflicts_with_all = ["app", "json"])]
    due: bool,
    /// How many managers run jobs before this one does
    #[arg(long, value_name = "NUMBER", requires = "due", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..20))]
    turn: u32,
}

/// What `--json` prints of a job.
#[derive(Serialize)]
struct JobReport<'a> {
    app: &'a str,
    name: &'a str,
    service: &'a str,
    command: &'a [String],
    calendar: String,
    timeout_seconds: u64,
    next: Option<Timestamp>,
    missed: Option<Timestamp>,
    runs: Vec<&'a AppJobRun>,
}

/// Carries out `matou jobs`.
pub(super) async fn run_jobs_command(fleet: &FleetContext, args: &JobsArgs) -> Result<ExitCode> {
    if args.due {
        let (cancel, _signalled) = super::run::cancel_on_signals()?;
        let tell = |line: String| matou_base::errln!("{}", clean_line(&line));
        matou_ops::run_due_jobs(fleet, args.turn, &cancel, &tell).await?;
        return Ok(Exit::Done.into());
    }
    let known = matou_ops::read_known_jobs(fleet, args.app.as_deref()).await?;
    if args.json {
        let reports: Vec<JobReport<'_>> = known.iter().map(report_job).collect();
        matou_base::out::print_json_pretty(&reports)?;
    } else if known.is_empty() {
        outln!(
            "{}",
            tr!("no application has jobs: a stack names them under `jobs:` of x-matou")
        )?;
    } else {
        for job in &known {
            print_job(job)?;
        }
    }
    Ok(match known.iter().all(is_well) {
        true => Exit::Done.into(),
        false => Exit::Failed.into(),
    })
}

fn is_ended(run: &AppJobRun) -> bool {
    !matches!(run.state, JobRunState::Seen | JobRunState::Running)
}

fn is_well(known: &KnownJob) -> bool {
    let last = known.runs.iter().rfind(|r| is_ended(r));
    known.missed.is_none() && last.is_none_or(|r| r.state == JobRunState::Done)
}

fn list_runs(known: &KnownJob) -> impl Iterator<Item = &AppJobRun> {
    known.runs.iter().filter(|r| r.state != JobRunState::Seen)
}

fn report_job(known: &KnownJob) -> JobReport<'_> {
    let job = &known.job;
    JobReport {
        app: &job.app,
        name: &job.name,
        service: &job.service,
        command: &job.command,
        calendar: job.calendar.to_string(),
        timeout_seconds: job.limit.as_secs(),
        next: known.due,
        missed: known.missed,
        runs: list_runs(known).collect(),
    }
}

fn print_job(known: &KnownJob) -> std::io::Result<()> {
    let job = &known.job;
    let next = match (known.missed, known.due) {
        (Some(missed), _) => tr!("missed at {missed}"),
        (None, Some(due)) => tr!("next at {due}"),
        (None, None) => {
            tr!("no manager has looked for its next time: `matou provision` gives them the timer")
                .into()
        }
    };
    print_hanging(tr!(
        "{} {}: {} in {}, at most {}; {next}",
        clean_line(&job.app),
        job.name,
        clean_line(&job.calendar.to_string()),
        clean_line(&job.service),
        format_short_duration(job.limit)
    ))?;
    let runs: Vec<&AppJobRun> = list_runs(known).collect();
    let shown = &runs[runs.len().saturating_sub(SHOWN_RUNS)..];
    for (n, run) in shown.iter().enumerate() {
        let took = run.seconds.map_or_else(String::new, |s| format!(", {s} s"));
        outln!(
            "{}",
            tr!(
                "  {}  {}{took} on {}",
                run.begun,
                run.describe_end(),
                clean_line(&run.node)
            )
        )?;
        // What it printed helps where it failed, and of the newest.
        if run.state != JobRunState::Done || n + 1 == shown.len() {
            for line in &run.output {
                outln!("      {}", clean_line(line))?;
            }
        }
    }
    Ok(())
}
