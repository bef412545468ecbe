//! A rehearsed update: the newest snapshot of an application is restored beside it, closed off from
//! everything, and updated there. The report says whether the update would succeed, and what it takes.
//! The application itself is not touched, and nothing of the rehearsal stays but the report.
//!
//! `ask` asks it inside its own network, `logs` reads what its containers wrote, `report` keeps and tells
//! what came of it, `nightly` does it for all patch releases, `left` removes what was cut off.

mod ask;
mod left;
mod logs;
mod nightly;
mod report;

use matou_i18n::tr;
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::deploy::{self, DeployOptions};
use crate::filed_app::FiledApp;
use crate::job_on_node::build_job_on_node;
use crate::restore::{RestoreSource, ThrowAwayCopy, claim_throw_away_name, remove_throw_away_app};
use crate::self_update::query_version_of_copy;
use crate::{FleetContext, OpsError, Request};
use ask::Question;
use logs::ContainerLogs;
use matou_config::StorageDriver;
use matou_docker::NodeHandle;
use matou_job::{Change, Check, Confirm, Job, Report, Step, StepContext, StepError};
use matou_model::{
    NightRehearsal, RehearsalReport, RehearsedImage, RehearsedPart, Service, UPDATE_PART,
};
use matou_stack::{AppFile, AppName, REHEARSAL_LABEL, UpdateSpec};

pub use left::remove_left_rehearsals;
pub use nightly::run_nightly_rehearsals;
pub use report::{list_rehearsal_reports, read_rehearsal_report, rehearsal_lines};

/// End of the name of what is rehearsed.
const SUFFIX: &str = "-rehearsal";

/// How long all may take, a large restore above all.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// How long it may take to remove everything after it was cancelled.
const CLEAN_UP_LIMIT: Duration = Duration::from_secs(900);

/// Returns the name under which an application is rehearsed.
pub(crate) fn rehearsal_name(app: &str) -> String {
    format!("{app}{SUFFIX}")
}

/// Makes the job that rehearses an update. What a night finds out is kept beside what was rehearsed by hand.
///
/// # Errors
/// One sentence: no manager answers, there is no snapshot or no file of the application, or a copy of it
/// can't be closed off.
pub(super) async fn build_rehearsal_job(
    app: &AppName,
    images: &BTreeMap<String, String>,
    is_of_night: bool,
    fleet: &FleetContext,
) -> Result<Job, OpsError> {
    let request = Request::Rehearse {
        app: app.clone(),
        images: images.clone(),
    };
    if fleet.runner.goes_without_locks() {
        return Err(OpsError::failed(tr!(
            "a rehearsal holds its lock: without it, the night would take its copy for one that was cut off, and remove it"
        )));
    }
    let manager = fleet.nodes.find_manager().await?.clone();
    let rehearsal = Rehearsal::plan(app, images, manager.clone(), is_of_night, fleet).await?;
    let steps: Vec<Box<dyn Step>> = vec![Box::new(rehearsal)];
    Ok(build_job_on_node(&manager, &request, Confirm::None, steps))
}

struct Rehearsal {
    fleet: FleetContext,
    manager: NodeHandle,
    app: AppName,
    /// As the copy is called.
    name: String,
    /// The application's own.
    file: AppFile,
    images: Vec<RehearsedImage>,
    copy: ThrowAwayCopy,
    question: Option<Question>,
    /// How the application is asked for its version, where its stack says it.
    update: Option<UpdateSpec>,
    is_of_night: bool,
}

/// What came of a rehearsal so far.
#[derive(Default)]
struct Progress {
    parts: Vec<RehearsedPart>,
    log: Vec<String>,
    /// Tasks of before the update; empty before that.
    old_tasks: HashSet<String>,
    is_updated: bool,
}

impl Rehearsal {
    async fn plan(
        app: &AppName,
        images: &BTreeMap<String, String>,
        manager: NodeHandle,
        is_of_night: bool,
        fleet: &FleetContext,
    ) -> Result<Self, OpsError> {
        let no_file = || {
            OpsError::failed(tr!(
                "{app} has no file in apps/, which would say what a copy of it is made from: `matou adopt {app}` writes it"
            ))
        };
        let folder = fleet.config.folder().ok_or_else(no_file)?;
        let name = rehearsal_name(app);
        if AppFile::path(&folder, &name).exists() {
            return Err(OpsError::failed(tr!(
                "there is an application {name}, which is the name of the copy that is updated: nothing is rehearsed while it is there"
            )));
        }
        let mut file = AppFile::load(&folder, app)?.ok_or_else(no_file)?;
        let filed = FiledApp::load(fleet, app)?;
        let binds = filed.rendered.list_writable_binds()?;
        if let Some(bind) = binds.first() {
            return Err(OpsError::failed(tr!(
                "{app} mounts {bind} by its path, so a copy of it would write to what {app} uses: it can't be rehearsed; with a volume in its place it can"
            )));
        }
        let changes = list_image_changes(&filed, images)?;
        if fleet.config.storage.driver == StorageDriver::Local {
            // There its volumes are made.
            let storage = fleet.config.storage.node.as_str();
            let host = deploy::resolve_place(storage, &manager, fleet).await?;
            file.place = Some(host);
        }
        let source = RestoreSource::load_whole(fleet, app, None).await?;
        let copy = ThrowAwayCopy::plan(fleet, source, &name, file.clone()).await?;
        Ok(Self {
            fleet: fleet.clone(),
            manager,
            app: app.clone(),
            name,
            file,
            images: changes,
            copy,
            question: Question::of_stack(&filed.rendered),
            update: filed.extension.update.filter(|u| u.version.is_some()),
            is_of_night,
        })
    }

    /// Deploys the copy, or some of its services, with the images as they are or the new ones.
    async fn deploy(
        &self,
        manager: &StepContext,
        services: Option<&[String]>,
        with_new: bool,
    ) -> Result<(), StepError> {
        let mut images = self.file.images.clone();
        if with_new {
            let new = self.images.iter();
            images.extend(new.map(|i| (i.service.clone(), i.to.clone())));
        }
        let wanted = DeployOptions {
            kept_comes_back: false,
            stack: Some(&self.file.stack),
            app: &self.name,
            variables: &self.file.variables,
            switches: Default::default(),
            names: Default::default(),
            rotate: &[],
            images: &images,
            place: Some(self.file.place.clone()),
            budget: None,
            revision: None,
            pins: &deploy::NO_PINS,
            why: String::new(),
        };
        let steps = deploy::deploy_rehearsal_steps(
            &wanted,
            &self.manager,
            &self.fleet,
            services,
            &self.app,
        );
        matou_job::run_steps(manager, &steps.await?).await
    }

    async fn query_version(&self) -> Option<String> {
        let update = self.update.as_ref()?;
        let version = query_version_of_copy(&self.fleet, &self.name, update).await;
        version.ok().flatten()
    }

    async fn ask(&self, manager: &StepContext) -> Result<Option<String>, StepError> {
        match &self.question {
            None => Ok(Some(
                tr!("its tasks run; no page of it is known").to_owned(),
            )),
            Some(question) => {
                let answer = question.wait_for_answer(&self.fleet, &self.name, manager);
                Ok(Some(answer.await?))
            }
        }
    }

    /// Restores the copy and updates it. What was done is in `progress`, also when it fails.
    async fn rehearse(
        &self,
        manager: &StepContext,
        progress: &mut Progress,
    ) -> Result<(), StepError> {
        let storage = manager.on_node(self.fleet.find_storage_node()?);
        let part = progress.begin("restore the snapshot beside", manager).await;
        self.copy.put_in_place(&storage).await?;
        part.end(progress, None);

        let databases = self.copy.database_services();
        if !databases.is_empty() {
            let part = progress
                .begin("start databases, load their dumps", manager)
                .await;
            self.deploy(manager, Some(&databases), false).await?;
            self.copy.load_dumps(manager).await?;
            part.end(progress, None);
        }

        let part = progress.begin("start it as it is", manager).await;
        self.deploy(manager, None, false).await?;
        self.copy.run_load_hooks(manager).await?;
        let seen = self.ask(manager).await?;
        part.end(progress, seen);
        let version = self.query_version().await;

        let logs = self.logs();
        progress.old_tasks = logs.list_tasks(manager).await?;
        progress.is_updated = true;
        let part = progress.begin(UPDATE_PART, manager).await;
        self.deploy(manager, None, true).await?;
        part.end(progress, None);

        let part = progress.begin("ask it", manager).await;
        let mut seen = self.ask(manager).await?;
        if let (Some(before), Some(after)) = (version, self.query_version().await) {
            let answer = seen.unwrap_or_default();
            seen = Some(tr!("{answer}; it says that it was {before} and is {after}"));
        }
        part.end(progress, seen);

        let part = progress.begin("read its log", manager).await;
        progress.log = logs.find_new_errors(&progress.old_tasks, manager).await?;
        let seen = match progress.log.len() {
            0 => tr!("no errors that it had not before").to_owned(),
            n => tr!("{n} kinds of errors that it had not before"),
        };
        part.end(progress, Some(seen));
        Ok(())
    }

    fn logs(&self) -> ContainerLogs<'_> {
        ContainerLogs {
            fleet: &self.fleet,
            name: &self.name,
        }
    }

    /// Returns why it failed, with what the log of the container says that failed.
    async fn explain(
        &self,
        why: &StepError,
        progress: &mut Progress,
        manager: &StepContext,
    ) -> String {
        progress.log = self.logs().read_failed(&progress.old_tasks, manager).await;
        let why = match logs::find_reason(&progress.log) {
            Some(line) => format!("{line} ({why})"),
            None => why.to_string(),
        };
        match progress.is_updated {
            true => why,
            false => tr!(
                "its copy does not come up even with the images that run, so nothing is known of the new ones: {why}"
            ),
        }
    }

    async fn keep(&self, report: &RehearsalReport) -> Result<(), StepError> {
        if !self.is_of_night {
            return report::write_report(&self.fleet, report).await;
        }
        // A copy that does not come up with the images that run says nothing of the new ones.
        let is_updated = report.parts.iter().any(|p| p.name == UPDATE_PART);
        let night = NightRehearsal {
            app: report.app.clone(),
            at: report.at,
            images: report.images.clone(),
            report: is_updated.then(|| report.clone()),
            untried: report.failure.clone().filter(|_| !is_updated),
        };
        report::write_night(&self.fleet, &night).await
    }

    fn report(&self, progress: Progress, failure: Option<String>) -> RehearsalReport {
        RehearsalReport {
            app: self.app.to_string(),
            at: Timestamp::now(),
            snapshot: self.copy.source().id.clone(),
            snapshot_at: self.copy.source().at,
            images: self.images.clone(),
            parts: progress.parts,
            log: progress.log,
            failure: failure.map(|why| matou_base::text::clean_lines(&why)),
        }
    }
}

/// Removes what is there of an application's copy. Refuses to remove what is none.
async fn clear_copy(
    fleet: &FleetContext,
    manager: &StepContext,
    app: &AppName,
) -> Result<(), StepError> {
    refuse_stranger(manager, app).await?;
    remove_throw_away_app(fleet, manager, &rehearsal_name(app)).await
}

/// Fails where a service has the name of the copy's, and is not of a rehearsal.
async fn refuse_stranger(manager: &StepContext, app: &AppName) -> Result<(), StepError> {
    let name = rehearsal_name(app);
    let swarm = manager.query_swarm().await?;
    let stranger = swarm.services.iter().find(|s| {
        let of = s.labels.get(REHEARSAL_LABEL).map(String::as_str);
        s.stack.as_deref().unwrap_or(&s.name) == name && of != Some(app.as_str())
    });
    match stranger {
        Some(Service { name: service, .. }) => Err(StepError::failed(tr!(
            "{service} runs under the name of the copy that is updated, and is none: nothing is rehearsed while it is there"
        ))),
        None => Ok(()),
    }
}

/// A part that goes on.
struct OpenPart(String, Instant);

impl Progress {
    async fn begin(&mut self, what: &str, cx: &StepContext) -> OpenPart {
        let shown = report::show_part(what);
        cx.out.note(tr!("rehearsal: {shown}")).await;
        self.parts.push(RehearsedPart {
            name: what.to_owned(),
            seconds: 0,
            seen: None,
        });
        OpenPart(what.to_owned(), Instant::now())
    }
}

impl OpenPart {
    fn end(self, progress: &mut Progress, seen: Option<String>) {
        let mut parts = progress.parts.iter_mut();
        if let Some(part) = parts.rfind(|p| p.name == self.0) {
            part.seconds = self.1.elapsed().as_secs_f64().round() as u64;
            part.seen = seen;
        }
    }
}

/// Lists the images that change, as the services of the application have them.
fn list_image_changes(
    filed: &FiledApp,
    images: &BTreeMap<String, String>,
) -> Result<Vec<RehearsedImage>, OpsError> {
    let mut changes = Vec::new();
    for (service, to) in images {
        let mut services = filed.rendered.services.iter();
        let found = services.find(|s| s.name == *service);
        let found = found.ok_or_else(|| tr!("its stack has no service {service}"))?;
        let step = report::find_version_step(&found.image, to);
        changes.push(RehearsedImage {
            service: service.clone(),
            from: found.image.clone(),
            to: to.clone(),
            step: step.map(|s| s.word().to_owned()),
        });
    }
    Ok(changes)
}

#[async_trait]
impl Step for Rehearsal {
    fn name(&self) -> String {
        tr!("rehearsal").into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    fn clean_up_limit(&self) -> Duration {
        CLEAN_UP_LIMIT
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let storage = cx.on_node(self.fleet.find_storage_node()?);
        let mut lines = self.copy.plan_lines(&storage).await?;
        lines.push(Change::add(tr!(
            "{} beside {}: in a network that leads nowhere, without published ports and routes",
            self.name,
            self.app
        )));
        for image in &self.images {
            let what = match &image.step {
                Some(step) => tr!("image of {}_{} ({step})", self.name, image.service),
                None => tr!("image of {}_{}", self.name, image.service),
            };
            lines.push(Change::modify(what, &image.from, &image.to));
        }
        lines.push(match &self.question {
            Some(question) => Change::same(tr!("asked: {}", question.describe())),
            None => Change::same(tr!(
                "not asked: its stack has no page behind the edge, its tasks have to run"
            )),
        });
        lines.push(Change::remove(tr!(
            "{} with its data, at the end",
            self.name
        )));
        lines.push(Change::same(tr!("{} goes on as it is", self.app)));
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let manager = cx.on_node(&self.manager);
        // What one that was cut off left.
        refuse_stranger(&manager, &self.app).await?;
        claim_throw_away_name(&self.fleet, &manager, &self.name).await?;
        let mut progress = Progress::default();
        let begun = Instant::now();
        let done = self.rehearse(&manager, &mut progress).await;
        let calm = manager.without_cancelling();
        let failure = match &done {
            // Says nothing of the update.
            Err(why) if why.is_cancelled() || why.is_unreachable() => None,
            Err(why) => {
                let known: u64 = progress.parts.iter().map(|p| p.seconds).sum();
                if let Some(part) = progress.parts.last_mut() {
                    part.seconds = begun.elapsed().as_secs().saturating_sub(known);
                }
                Some(self.explain(why, &mut progress, &calm).await)
            }
            Ok(()) => None,
        };
        calm.out.note(tr!("rehearsal: remove it")).await;
        clear_copy(&self.fleet, &calm, &self.app).await?;
        if cx.cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        if failure.is_none() {
            done?;
        }
        let report = self.report(progress, failure);
        self.keep(&report).await?;
        for line in rehearsal_lines(&report) {
            cx.out.note(line).await;
        }
        match report.failure {
            None => Ok(()),
            Some(why) => Err(StepError::failed(tr!(
                "the update of {} would fail: {why}; {} goes on as it is",
                self.app,
                self.app
            ))),
        }
    }

    /// It is removed; there is nothing to look at.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}

/// Says in the plan of an update whether it was rehearsed, and how that ended.
pub(crate) struct LastRehearsal {
    pub app: AppName,
    /// By service.
    pub images: BTreeMap<String, String>,
    pub fleet: FleetContext,
}

#[async_trait]
impl Report for LastRehearsal {
    fn name(&self) -> String {
        tr!("rehearsal").into()
    }

    async fn report(&self, _: &StepContext) -> Result<Vec<Change>, StepError> {
        let what = tr!("the update of {}", self.app);
        let images = self.images.iter().map(|(s, i)| (s.as_str(), i.as_str()));
        // An update does not depend on it.
        let images: Vec<(&str, &str)> = images.collect();
        let last = read_rehearsal_report(&self.fleet, &self.app).await;
        let by_hand = last.ok().flatten().filter(|r| r.is_of(images.clone()));
        let of_night = report::read_night(&self.fleet, &self.app).await;
        let of_night = of_night.and_then(|night| night.report);
        let of_night = of_night.filter(|r| r.is_of(images));
        let newest = by_hand.into_iter().chain(of_night).max_by_key(|r| r.at);
        let line = match newest {
            Some(report) => {
                let told = report::describe_rehearsal(&report, Timestamp::now());
                let line = Change::same(format!("{what}: {told}"));
                match report.is_success() {
                    true => line,
                    false => line.with_warning(tr!("it failed on a copy of this application")),
                }
            }
            None => Change::same(tr!(
                "{what} was not rehearsed: `matou update {} --rehearse` tries it on a copy",
                self.app
            )),
        };
        Ok(vec![line])
    }
}
