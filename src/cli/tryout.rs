//! `matou catalogue try`: stacks with their images, from the deploy to the restore, on a practice fleet.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr, bail};
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Exit, job, variables};
use matou_base::outln;
use matou_base::text::{SafeText, format_seconds};
use matou_job::{JobEvent, JobOutcome};
use matou_ops::{
    FleetContext, ImageCheckOutcome, LoginTrial, Request, RestoreDestination, RestoreScope,
    TrialMark, check_image_facts, find_lost_marks, find_missing_programs, query_newer_versions,
    try_login, write_trial_marks,
};
use matou_registry::VersionStep;
use matou_stack::{AppFile, AppName, RenderTarget, VariableKind};

/// Shown under `matou catalogue try --help`.
pub(super) const TRY_HELP: &str = "Each stack is deployed as try-STACK, its programs are looked for, its log-in is followed, words are written into its volumes and databases; it is backed up, destroyed, restored, the words are looked for, it goes to the newest versions, and is erased. STACK.md and STACK.json say what came of it.\nIt works on practice fleets alone: `matou lab up --name try` makes one, with config.toml; add [backup] there, say `matou repo init`, and deploy traefik for the log-in.";

/// What is tried.
#[derive(Debug, Args)]
pub(crate) struct TryArgs {
    /// Stacks of the catalogue, or paths of compose files
    #[arg(required = true)]
    stacks: Vec<String>,
    /// A variable of the stacks; those that they require get a value without
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = variables::parse_variable)]
    variables: Vec<(String, String)>,
    /// The folder that the reports are written into
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    into: PathBuf,
}

/// What came of a stack.
#[derive(Debug, Serialize)]
struct TryReport {
    stack: String,
    app: AppName,
    images: Vec<String>,
    begun: Timestamp,
    steps: Vec<TryStep>,
}

#[derive(Debug, Serialize)]
struct TryStep {
    name: &'static str,
    seconds: u64,
    #[serde(flatten)]
    outcome: TryOutcome,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "said")]
enum TryOutcome {
    Passed(SafeText),
    Failed(SafeText),
    Skipped(SafeText),
}

impl TryOutcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
        }
    }

    fn said(&self) -> &SafeText {
        match self {
            Self::Passed(said) | Self::Failed(said) | Self::Skipped(said) => said,
        }
    }

    /// Passed when nothing is wrong.
    fn of_findings(wrong: &[String], fine: &str) -> Self {
        match wrong {
            [] => Self::Passed(SafeText::from_line(fine)),
            wrong => Self::Failed(SafeText::from_line(wrong.join("; "))),
        }
    }
}

/// Carries out `matou catalogue try`. Fails when a step of a stack does.
pub(super) async fn run_try_command(fleet: &FleetContext, args: &TryArgs) -> Result<ExitCode> {
    if !fleet.config.is_practice_fleet() {
        bail!(
            "{}",
            tr!(
                "{} is no configuration of a practice fleet, and what is tried is destroyed: `matou lab up --name try` makes a fleet, and says where its config.toml is",
                fleet
                    .config
                    .path
                    .as_deref()
                    .unwrap_or(Path::new("this machine"))
                    .display()
            )
        );
    }
    for (name, _) in &args.variables {
        let declares = |stack: &String| -> Result<bool> {
            let variables = fleet.catalogue.find_extension(stack)?.variables;
            Ok(variables.iter().any(|v| v.name == *name))
        };
        let declared: Result<Vec<bool>> = args.stacks.iter().map(declares).collect();
        if !declared?.contains(&true) {
            bail!("{}", tr!("no stack that is tried has a variable {name}"));
        }
    }
    std::fs::create_dir_all(&args.into)
        .wrap_err_with(|| format!("{} can't be made", args.into.display()))?;
    let (cancel, listening) = job::cancel_on_ctrl_c();
    let mut failed = false;
    for stack in &args.stacks {
        let trial = Trial::begin(fleet, stack, &args.variables, &cancel)?;
        let report = trial.run().await?;
        failed |= report.has_failed();
        report.write(&args.into)?;
        if cancel.is_cancelled() {
            break;
        }
    }
    listening.abort();
    Ok(match failed {
        _ if cancel.is_cancelled() => Exit::Cancelled.into(),
        true => Exit::Failed.into(),
        false => Exit::Done.into(),
    })
}

/// A stack that is tried.
struct Trial<'a> {
    fleet: &'a FleetContext,
    variables: BTreeMap<String, String>,
    volumes: Vec<String>,
    cancel: CancellationToken,
    report: TryReport,
}

impl<'a> Trial<'a> {
    fn begin(
        fleet: &'a FleetContext,
        stack: &str,
        given: &[(String, String)],
        cancel: &CancellationToken,
    ) -> Result<Self> {
        let stem = Path::new(stack).file_stem().unwrap_or_default();
        let name = stem.to_string_lossy();
        let app = AppName::new(format!("try-{name}"))?;
        let extension = fleet.catalogue.find_extension(stack)?;
        let mut variables = extension.sample_values();
        for domain in extension
            .variables
            .iter()
            .filter(|v| v.kind == VariableKind::Domain && v.required)
        {
            let name = domain.name.to_lowercase().replace('_', "-");
            variables.insert(domain.name.clone(), format!("{name}.{app}.test"));
        }
        for (name, value) in given {
            let is_its_own = extension.variables.iter().any(|v| v.name == *name);
            if is_its_own {
                variables.insert(name.clone(), value.clone());
            }
        }
        let target = RenderTarget::for_fleet(&fleet.config);
        let rendered = fleet
            .catalogue
            .render_stack(stack, &app, &variables, &target)?;
        let mut images: Vec<String> = rendered.services.into_iter().map(|s| s.image).collect();
        images.sort();
        images.dedup();
        Ok(Self {
            fleet,
            variables,
            cancel: cancel.clone(),
            volumes: rendered.volumes.named.into_iter().map(|v| v.0).collect(),
            report: TryReport {
                stack: stack.to_owned(),
                app,
                images,
                begun: Timestamp::now(),
                steps: Vec::new(),
            },
        })
    }

    async fn run(mut self) -> Result<TryReport> {
        let app = self.report.app.clone();
        let erase = Request::Erase { app: app.clone() };
        let is_left = self
            .fleet
            .config
            .folder()
            .is_some_and(|f| AppFile::list_names(&f).contains(&app));
        if is_left && !self.run_job("clear away", erase.clone()).await? {
            return Ok(self.report);
        }
        self.check_facts().await?;
        let deploy = Request::Deploy {
            stack: self.report.stack.clone(),
            app: app.clone(),
            variables: self.variables.clone(),
            names: Default::default(),
        };
        if self.run_job("deploy", deploy).await? {
            self.try_deployed().await?;
        }
        // Also when it was cancelled: nothing is left of it.
        self.run_job("erase", erase).await?;
        Ok(self.report)
    }

    /// Tries what was deployed, until it is cancelled.
    async fn try_deployed(&mut self) -> Result<()> {
        self.look_for_programs().await?;
        if !self.cancel.is_cancelled() {
            self.log_in().await?;
        }
        if !self.cancel.is_cancelled() {
            self.back_up_and_restore().await?;
        }
        if !self.cancel.is_cancelled() {
            self.update().await?;
        }
        Ok(())
    }

    /// Keeps what came of a step, and says it; returns whether it has not failed.
    fn end_step(
        &mut self,
        name: &'static str,
        begun: Instant,
        outcome: TryOutcome,
    ) -> Result<bool> {
        let seconds = begun.elapsed().as_secs();
        matou_base::out::print_hanging(format_args!(
            "== {} {name}: {}, {} s: {}",
            self.report.app,
            outcome.word(),
            seconds,
            outcome.said()
        ))?;
        let fine = !matches!(outcome, TryOutcome::Failed(_));
        self.report.steps.push(TryStep {
            name,
            seconds,
            outcome,
        });
        Ok(fine)
    }

    async fn run_job(&mut self, name: &'static str, request: Request) -> Result<bool> {
        let begun = Instant::now();
        let mut reason = SafeText::default();
        let mut watch = |notice: job::JobNotice<'_>| {
            if let job::JobNotice::Event(JobEvent::Finished {
                outcome: JobOutcome::Failed { reason: why },
                ..
            }) = notice
            {
                reason = why.clone();
            }
        };
        let title = request.title();
        let build = async |request: &Request| matou_ops::build_job(request, self.fleet).await;
        let options = job::JobOptions::confirmed();
        let ended = job::run_watched_job(self.fleet, request, build, &options, &mut watch).await;
        let outcome = match ended {
            Ok(code) if code == Exit::Done.into() => TryOutcome::Passed(SafeText::of(title)),
            Ok(code) if code == Exit::Cancelled.into() => {
                TryOutcome::Failed(SafeText::from_line("cancelled"))
            }
            Ok(_) => TryOutcome::Failed(reason),
            Err(e) => TryOutcome::Failed(SafeText::of(e)),
        };
        self.end_step(name, begun, outcome)
    }

    /// Compares what is known of the images with their registries.
    async fn check_facts(&mut self) -> Result<bool> {
        let begun = Instant::now();
        let known = self.fleet.catalogue.known_images();
        let mut wrong = Vec::new();
        let mut unknown = Vec::new();
        for check in check_image_facts(known, &self.report.images).await {
            let image = check.image;
            match check.outcome {
                ImageCheckOutcome::Same => {}
                ImageCheckOutcome::Unknown => unknown.push(image),
                ImageCheckOutcome::Unanswered { reason } => {
                    wrong.push(format!("{image}: {reason}"));
                }
                ImageCheckOutcome::Different { differences } => wrong.extend(
                    differences
                        .iter()
                        .map(|d| format!("{image}: {} is {}, not {}", d.key, d.found, d.known)),
                ),
            }
        }
        let fine = match unknown.is_empty() {
            true => "the images are as known".to_owned(),
            false => format!("nothing is known of {}", unknown.join(", ")),
        };
        self.end_step("facts", begun, TryOutcome::of_findings(&wrong, &fine))
    }

    async fn look_for_programs(&mut self) -> Result<bool> {
        let begun = Instant::now();
        let outcome = match find_missing_programs(self.fleet, &self.report.app).await {
            Ok(missing) => TryOutcome::of_findings(&missing, "all that are known are there"),
            Err(e) => TryOutcome::Failed(SafeText::of(e)),
        };
        self.end_step("programs", begun, outcome)
    }

    async fn log_in(&mut self) -> Result<bool> {
        let begun = Instant::now();
        let outcome = match try_login(self.fleet, &self.report.app).await {
            Ok(LoginTrial::Taken { how }) => TryOutcome::Passed(SafeText::of(how)),
            Ok(LoginTrial::PageOnly { how }) => TryOutcome::Skipped(SafeText::of(format_args!(
                "{how}; the stack does not say how its log-in can be tried"
            ))),
            Ok(LoginTrial::NotDeclared) => {
                TryOutcome::Skipped(SafeText::from_line("the stack declares no log-in"))
            }
            Err(e) => TryOutcome::Failed(SafeText::of(e)),
        };
        self.end_step("log in", begun, outcome)
    }

    async fn back_up_and_restore(&mut self) -> Result<bool> {
        let app = self.report.app.clone();
        let begun = Instant::now();
        let marks = match write_trial_marks(self.fleet, &app).await {
            Ok(marks) if marks.is_empty() => {
                let outcome = TryOutcome::Skipped(SafeText::from_line("it keeps nothing"));
                return self.end_step("write", begun, outcome);
            }
            Ok(marks) => marks,
            Err(e) => {
                let outcome = TryOutcome::Failed(SafeText::of(e));
                return self.end_step("write", begun, outcome);
            }
        };
        let places: Vec<String> = marks.iter().map(TrialMark::to_string).collect();
        let outcome = TryOutcome::Passed(SafeText::from_line(places.join(", ")));
        self.end_step("write", begun, outcome)?;
        let backup = Request::Backup {
            apps: vec![app.clone()],
        };
        let destroy = Request::Remove {
            app: app.clone(),
            volumes: self.volumes.clone(),
        };
        let restore = Request::Restore {
            app: app.clone(),
            snapshot: None,
            what: RestoreScope::App,
            to: RestoreDestination::Place,
        };
        for (name, request) in [
            ("back up", backup),
            ("destroy", destroy),
            ("restore", restore),
        ] {
            if self.cancel.is_cancelled() || !self.run_job(name, request).await? {
                return Ok(false);
            }
        }
        self.look_for_marks(&marks).await
    }

    async fn look_for_marks(&mut self, marks: &[TrialMark]) -> Result<bool> {
        let begun = Instant::now();
        let outcome = match find_lost_marks(self.fleet, &self.report.app, marks).await {
            Ok(lost) => TryOutcome::of_findings(&lost, "what was written is there"),
            Err(e) => TryOutcome::Failed(SafeText::of(e)),
        };
        self.end_step("look", begun, outcome)
    }

    /// Goes to the newest versions of the same major versions.
    async fn update(&mut self) -> Result<bool> {
        let begun = Instant::now();
        let app = self.report.app.clone();
        let mut images = BTreeMap::new();
        match query_newer_versions(self.fleet, &app).await {
            Err(e) => {
                let outcome = TryOutcome::Failed(SafeText::of(e));
                return self.end_step("update", begun, outcome);
            }
            Ok(all) => {
                for service in all {
                    let newer = service.newer.iter().flatten();
                    let newest = newer.clone().find(|n| n.step != VersionStep::Major);
                    if let Some(image) = newest.and_then(|n| service.image_with_tag(&n.tag)) {
                        images.insert(service.service.clone(), image);
                    }
                }
            }
        }
        if images.is_empty() {
            let none =
                SafeText::from_line("no registry lists a newer version of the same major one");
            return self.end_step("update", begun, TryOutcome::Skipped(none));
        }
        self.run_job("update", Request::Update { app, images })
            .await
    }
}

impl TryReport {
    fn has_failed(&self) -> bool {
        let failed = |s: &TryStep| matches!(s.outcome, TryOutcome::Failed(_));
        self.steps.iter().any(failed)
    }

    /// Writes it for people and for programs.
    fn write(&self, folder: &Path) -> Result<()> {
        let name = self.app.trim_start_matches("try-");
        let json = serde_json::to_string_pretty(self)?;
        for (ending, text) in [("json", json), ("md", self.to_markdown())] {
            let path = folder.join(format!("{name}.{ending}"));
            matou_base::files::write_atomically(&path, text.as_bytes(), 0o644)
                .wrap_err_with(|| format!("{} can't be written", path.display()))?;
            outln!("{}", path.display())?;
        }
        Ok(())
    }

    fn to_markdown(&self) -> String {
        let verdict = match self.has_failed() {
            true => "It failed.",
            false => "Nothing failed.",
        };
        let mut text = format!(
            "# {}, tried on {}\n\n{verdict} matou {}, images: {}.\n\n| step | outcome | took | what |\n| --- | --- | --- | --- |\n",
            self.stack,
            self.begun.strftime("%F"),
            env!("CARGO_PKG_VERSION"),
            self.images.join(", ")
        );
        for step in &self.steps {
            let took = format_seconds(i64::try_from(step.seconds).unwrap_or(i64::MAX));
            let said = step.outcome.said().as_str();
            let said = said.replace('|', "\\|").replace('\n', " ");
            text.push_str(&format!(
                "| {} | {} | {took} | {said} |\n",
                step.name,
                step.outcome.word()
            ));
        }
        text
    }
}
