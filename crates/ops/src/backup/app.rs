//! One application's backup: its dumps, its manifest, one snapshot, and the proof that the snapshot
//! is in the repository.

use matou_i18n::{tr, trn};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;

use super::context::{BackupContext, backup_step_error};
use super::{dump, files, merge, restic_unit, volume_copy};
use crate::OpsError;
use crate::deploy::external_keep::ExternalKeeping;
use crate::restore::{SwapLog, check_restore_settled};
use matou_backup::{
    AppBackupReport, AppStorage, BackupError, BackupResult, FLEET, FleetId, INCOMPLETE, MANIFEST,
    Manifest, PARTIAL_TAG, RepositoryAccess, Restic, ResticSummary, UnreachedVolume, identity,
    matou_folder,
};
use matou_base::text::human_bytes;
use matou_host::{Command, ConfinedFolders, DetachedUnit, shell_script};
use matou_job::{Change, Check, JobLock, LockRequest, Step, StepContext, StepError};
use matou_model::{Swarm, TaskState};
use matou_stack::{AppFile, RenderTarget};

/// How long one application may take: the first backup of a large one over a slow line.
const BACKUP_TIMEOUT: Duration = Duration::from_secs(48 * 3600);

/// Exit code of [`BACKUP_SCRIPT`] when a folder is not there.
const EXIT_MISSING_FOLDER: i32 = 74;

/// Exit code of [`BACKUP_SCRIPT`] when the snapshot could not be read again.
const EXIT_UNREADABLE: i32 = 76;

/// Backs up, then proves the snapshot: reads its manifest `$1` back from the repository and
/// compares it with the one on the disk. That shows that the snapshot, the index, its trees and a
/// part of its data are there.
///
/// Checks first that every folder exists: restic 0.14 skips a missing one and still succeeds.
const BACKUP_SCRIPT: &str = shell_script(include_str!("../../scripts/back_up_app.sh"));

/// The unit of an application's backup.
pub(super) fn app_backup_unit(app: &str) -> String {
    format!("{}{app}", super::unit_names::APP_UNIT_PREFIX)
}

/// Makes a snapshot of one application.
pub(super) struct BackUpApp {
    pub app: String,
    pub work: BackupContext,
    /// It is a part of a job that holds the application's lock.
    pub already_locked: bool,
    /// Nothing of the application runs but its database servers, so files of SQLite are consistent
    /// without a dump.
    pub stopped: bool,
    /// The plan says when the last snapshot was made. False where nobody reads the plan.
    pub tells_last_snapshot: bool,
}

/// Makes the snapshot of the fleet's own files.
pub(super) struct BackUpFleet {
    pub work: BackupContext,
}

/// A snapshot that is to be made.
struct BackupSource {
    /// Empty for the fleet.
    app: String,
    unit: String,
    tag: String,
    paths: Vec<PathBuf>,
    exclude: Vec<String>,
    one_file_system: bool,
    /// Volumes are left out.
    is_partial: bool,
    /// Read again from the repository: what it holds must be what was written.
    manifest: PathBuf,
    /// Folders in which root follows no link while the snapshot is made.
    confined: ConfinedFolders,
}

impl BackupSource {
    /// Returns the arguments of [`BACKUP_SCRIPT`].
    fn restic_args(&self, fleet: &str, id: &FleetId) -> Vec<String> {
        let manifest = self.manifest.display().to_string();
        let id = id.tag();
        let tags = [
            "--tag", &self.tag, "--tag", "matou", "--tag", &id, "--host", fleet,
        ];
        let mut args: Vec<String> = std::iter::once(manifest.as_str())
            .chain(tags)
            .map(str::to_owned)
            .collect();
        if self.is_partial {
            args.extend(["--tag", PARTIAL_TAG].map(str::to_owned));
        }
        if self.one_file_system {
            args.push("--one-file-system".into());
        }
        for pattern in &self.exclude {
            args.extend(["--exclude".to_owned(), pattern.clone()]);
        }
        args.push("--".into());
        args.extend(self.paths.iter().map(|p| p.display().to_string()));
        args
    }
}

/// What is done of a backup.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BackupPart {
    /// All of it.
    Whole,
    /// One that runs is watched to its end, and none is begun.
    Watch,
}

impl BackUpApp {
    async fn load_app_storage(&self) -> Result<AppStorage, BackupError> {
        let cx = &self.work.fleet;
        AppStorage::load_everywhere(&self.app, &cx.config, &cx.nodes, &cx.catalogue).await
    }

    /// Returns when the last snapshot was made. `None` if the plan does not say it, or it is not
    /// known.
    async fn last_snapshot_time(&self) -> Option<Timestamp> {
        if !self.tells_last_snapshot {
            return None;
        }
        let (view, all) = self.work.planned_view().await.ok()?;
        let last = view.candidates(&self.app, all).ok()?;
        last.first().map(|s| s.time)
    }

    fn backup_source(
        &self,
        layout: &AppStorage,
        binds: Vec<PathBuf>,
        secrets: bool,
    ) -> BackupSource {
        let mut paths: Vec<PathBuf> = layout.volumes.iter().map(|v| v.folder.clone()).collect();
        paths.extend(binds);
        if secrets {
            paths.push(layout.secrets.clone());
        }
        paths.push(layout.dumps.clone());
        BackupSource {
            app: self.app.clone(),
            unit: app_backup_unit(&self.app),
            tag: format!("app={}", self.app),
            paths,
            exclude: layout.spec.exclude.clone(),
            one_file_system: layout.spec.one_file_system,
            is_partial: !layout.left_out.is_empty(),
            manifest: layout.dumps.join(MANIFEST),
            confined: layout.confined_folders(&self.work.fleet.config),
        }
    }

    /// Takes the application's lock, then does [`BackUpApp::back_up`]: nothing is deployed or
    /// restored meanwhile.
    async fn back_up_with_lock(
        &self,
        cx: &StepContext,
        report: &mut AppBackupReport,
    ) -> Result<(), StepError> {
        // A backup that runs already is watched; whoever began it holds the lock, or was killed.
        if is_unit_running(&self.work, &app_backup_unit(&self.app)).await?
            && self.back_up(cx, report, BackupPart::Watch).await?
        {
            return Ok(());
        }
        let hold = LockRequest::for_apps(&self.work.storage.host, [self.app.clone()]);
        let (told, mut lines) = tokio::sync::mpsc::channel::<String>(4);
        let wait = self.work.fleet.runner.lock_wait();
        let title = tr!("back up {}", self.app);
        let taking = async move { JobLock::take(&hold, &title, wait, &told).await };
        let telling = async {
            while let Some(line) = lines.recv().await {
                cx.out.note(line).await;
            }
        };
        let taken = async { tokio::join!(taking, telling).0 };
        let taken = cx.cancel.run_until_cancelled(taken).await;
        let lock = taken.ok_or(StepError::Cancelled)?;
        let lock = lock.map_err(|e| StepError::failed(e.to_string()))?;
        let backing_up = Box::pin(self.back_up(cx, report, BackupPart::Whole));
        let result = lock.run_until_lost(backing_up).await;
        lock.release().await;
        result??;
        Ok(())
    }

    /// Dumps, manifest, snapshot. Returns whether it was done: there may be nothing to watch any more.
    async fn back_up(
        &self,
        cx: &StepContext,
        report: &mut AppBackupReport,
        part: BackupPart,
    ) -> Result<bool, StepError> {
        // One that is stopped for a move has no other state than that.
        if !self.stopped {
            let data = matou_folder(&self.work.fleet.config);
            let journal = SwapLog::new(&self.work.storage.host, &data, &self.app);
            check_restore_settled(&journal, &self.app).await?;
        }
        let mut layout = self.load_app_storage().await.map_err(backup_step_error)?;
        let unit = app_backup_unit(&self.app);
        let running = is_unit_running(&self.work, &unit).await?;
        if part == BackupPart::Watch && !running {
            return Ok(false);
        }
        let binds = self.find_binds(&layout, cx).await?;
        let missed = self.find_missed_dumps(&layout).await?;
        if running {
            cx.out
                .note(tr!("the backup of {} runs already: watching it", self.app))
                .await;
        } else {
            self.write_dumps_and_manifest(cx, &mut layout, &missed, report)
                .await?;
            self.keep_externals(cx, &layout).await;
        }
        let secrets = folder_exists(&self.work, &layout.secrets).await?;
        let source = self.backup_source(&layout, binds, secrets);
        make_snapshot(&self.work, cx, &source, running, report).await?;
        if !layout.left_out.is_empty() {
            return Err(StepError::failed(tr!(
                "the snapshot {} holds all but this: {}",
                report.snapshot,
                UnreachedVolume::describe_all(&layout.left_out)
            )));
        }
        match missed.as_slice() {
            [] => Ok(true),
            some => Err(StepError::failed(tr!(
                "the snapshot {} holds its volumes as they are and no dump of {}, which earlier ones had: there is no apps/{}.toml any more; bring it back (`matou files`), or deploy it again",
                report.snapshot,
                some.join(", "),
                self.app
            ))),
        }
    }

    /// Returns lines of the plan about what the application uses and matou did not make.
    async fn plan_externals(&self, layout: &AppStorage) -> Vec<Change> {
        let Some(file) = &layout.file else {
            return Vec::new();
        };
        match ExternalKeeping::find_all(&self.app, file, &self.work.fleet).await {
            Ok(found) => found.plan_lines(),
            Err(why) => {
                let what = tr!("what {} uses and matou did not make", self.app);
                vec![Change::same(what).with_warning(why.to_string())]
            }
        }
    }

    /// Keeps what the application uses and matou did not make. What can't be kept is told: its data is backed up all the
    /// same.
    async fn keep_externals(&self, cx: &StepContext, layout: &AppStorage) {
        let Some(file) = &layout.file else { return };
        let not_kept = match ExternalKeeping::find_all(&self.app, file, &self.work.fleet).await {
            Ok(found) => found.keep_all().await,
            Err(why) => {
                let what = tr!("what {} uses and matou did not make", self.app);
                vec![format!("{what}: {why}")]
            }
        };
        for why in not_kept {
            let stream = matou_job::OutputStream::Stderr;
            cx.out.send_line(stream, tr!("WARNING: {why}")).await;
        }
    }

    /// Returns what is there of the data that services mount by its path.
    async fn find_binds(
        &self,
        layout: &AppStorage,
        cx: &StepContext,
    ) -> Result<Vec<PathBuf>, StepError> {
        let mut found = Vec::new();
        for path in &layout.binds {
            let shown = path.display().to_string();
            let resolve = Command::new("realpath").args(["-e", "--", shown.as_str()]);
            let resolve = resolve.sudo().timeout(Duration::from_secs(20));
            let out = self.work.storage.host.run(&resolve).await?;
            let real = out.stdout_text();
            match out.code {
                0 if real.trim_end_matches('\n') == shown => found.push(path.clone()),
                // A container that has one of the folders may lead it anywhere.
                0 => {
                    return Err(StepError::failed(tr!(
                        "{shown} leads elsewhere by a link, and is not followed: mount the place itself"
                    )));
                }
                _ => {
                    let node = &layout.node;
                    let note = tr!("{shown} is not on {node}: it is in no snapshot");
                    cx.out.note(note).await;
                }
            }
        }
        Ok(found)
    }

    /// Returns the services whose dumps the last manifest lists, if the application has no
    /// application file any more. Without that file no dump can be made.
    async fn find_missed_dumps(&self, layout: &AppStorage) -> Result<Vec<String>, StepError> {
        if layout.file.is_some() {
            return Ok(Vec::new());
        }
        let manifest = layout.dumps.join(MANIFEST);
        let read = Command::sh("[ ! -f \"$1\" ] || cat -- \"$1\"")
            .arg(manifest.display().to_string())
            .sudo()
            .timeout(Duration::from_secs(20))
            .label(tr!("read {}", manifest.display()));
        let text = self.work.storage.host.run_ok(&read).await?.stdout_text();
        let Ok(last) = serde_json::from_str::<Manifest>(&text) else {
            return Ok(Vec::new());
        };
        let mut missed = last.missed;
        missed.extend(last.dumps.into_iter().map(|d| d.service));
        missed.sort();
        missed.dedup();
        Ok(missed)
    }

    /// Makes the dumps and writes down what the snapshot will hold.
    async fn write_dumps_and_manifest(
        &self,
        cx: &StepContext,
        layout: &mut AppStorage,
        missed: &[String],
        report: &mut AppBackupReport,
    ) -> Result<(), StepError> {
        let nodes = &self.work.fleet.nodes;
        let swarm = query_swarm_for_backup(&self.work).await?;
        let mut dumps = Vec::new();
        for dump in &layout.spec.dumps {
            if self.stopped && !dump.needs_service() {
                continue;
            }
            let made =
                dump::make_dump(dump, layout, &swarm, &self.work.fleet.config, nodes, cx).await;
            if cx.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            dumps.push(made?);
        }
        report.dumps = dumps.len();
        volume_copy::bring_volumes(&self.work, layout, cx).await?;
        let config = &self.work.fleet.config;
        dump::check_brought_dumps(layout, config, &dumps, nodes).await?;
        if layout.file.is_none() {
            cx.out
                .note(tr!(
                    "{0} has no apps/{0}.toml: its volumes are backed up as they are, without dumps",
                    self.app
                ))
                .await;
        }
        let (stack, mut kept) = self.collect_stack_files(layout)?;
        let manifest = Manifest {
            app: self.app.clone(),
            fleet: self.work.fleet_name().to_owned(),
            time: Timestamp::now(),
            volumes: layout.volumes.clone(),
            left_out: layout.left_out.iter().map(|l| l.why.clone()).collect(),
            dumps,
            images: list_running_images(&self.app, &swarm),
            missed: missed.to_vec(),
            stack,
        };
        let text = serde_json::to_string_pretty(&manifest).unwrap_or_default() + "\n";
        kept.push((MANIFEST.to_owned(), text.into_bytes()));
        files::replace_folder_files(&self.work.storage.host, &layout.dumps, &kept, &[])
            .await
            .map_err(StepError::from)
    }

    /// The hash of the rendered stack, and the files that make the application.
    fn collect_stack_files(
        &self,
        layout: &AppStorage,
    ) -> Result<(String, Vec<files::PackedFile>), OpsError> {
        let Some(file) = &layout.file else {
            return Ok((String::new(), Vec::new()));
        };
        let cx = &self.work.fleet;
        let target = RenderTarget {
            edge_settings: file.edge.clone(),
            ..RenderTarget::for_fleet(&cx.config)
        };
        let rendered =
            cx.catalogue
                .render_stack(&file.stack, &self.app, &file.variables, &target)?;
        let hash = matou_base::text::sha256_hex(&rendered.yaml);
        let mut kept = vec![(format!("{}.toml", self.app), file.to_toml().into_bytes())];
        if let Some(text) = read_own_stack(file, cx.config.folder().as_deref())? {
            kept.push(("stack.yml".into(), text));
        }
        Ok((hash, kept))
    }
}

/// The stack file of an application, when it is none of those that are built in.
pub(crate) fn read_own_stack(
    file: &AppFile,
    folder: Option<&std::path::Path>,
) -> Result<Option<Vec<u8>>, OpsError> {
    let path = match (files::is_compose_path(&file.stack), folder) {
        (true, _) => PathBuf::from(&file.stack),
        (false, Some(folder)) => {
            let stacks = folder.join("stacks");
            let named = |end: &str| stacks.join(format!("{}.{end}", file.stack));
            match [named("yml"), named("yaml")]
                .into_iter()
                .find(|p| p.exists())
            {
                Some(path) => path,
                None => return Ok(None),
            }
        }
        (false, None) => return Ok(None),
    };
    let text = std::fs::read(&path);
    text.map(Some)
        .map_err(|e| OpsError::failed(tr!("{} can't be read: {e}", path.display())))
}

/// Services and the images their tasks run.
fn list_running_images(app: &str, swarm: &Swarm) -> Vec<(String, String)> {
    let mut images = BTreeMap::new();
    for service in &swarm.services {
        if service.stack.as_deref().unwrap_or(&service.name) != app {
            continue;
        }
        let task = swarm
            .tasks
            .iter()
            .find(|t| t.service_id == service.id && t.state == TaskState::Running);
        let image = task.map_or(&service.image, |t| &t.image);
        images.insert(service.name.clone(), image.clone());
    }
    images.into_iter().collect()
}

async fn query_swarm_for_backup(work: &BackupContext) -> Result<Swarm, StepError> {
    let manager = work.fleet.nodes.find_manager().await?;
    Ok(manager.docker.query_swarm().await?)
}

/// Whether the unit runs, begun by a console that is gone.
async fn is_unit_running(work: &BackupContext, unit: &str) -> Result<bool, StepError> {
    let units = work.storage.host.list_detached_units(unit).await?;
    Ok(units.iter().any(|u| u == unit))
}

async fn folder_exists(work: &BackupContext, folder: &std::path::Path) -> Result<bool, StepError> {
    let test = Command::new("test")
        .arg("-d")
        .arg(folder.display().to_string())
        .sudo()
        .timeout(Duration::from_secs(20));
    Ok(work.storage.host.run(&test).await?.code == 0)
}

/// Checks that restic, and the script around it, did not fail.
fn check_snapshot_was_made(
    restic: &Restic,
    ended: &restic_unit::ResticOutcome,
) -> Result<(), StepError> {
    if ended.code == EXIT_MISSING_FOLDER {
        return Err(StepError::failed(tr!(
            "{}; is the disk mounted?",
            ended.said
        )));
    }
    if ended.code == EXIT_UNREADABLE {
        let why = restic.error_of_exit(&["dump"], 1, &ended.said);
        return Err(unreadable_snapshot(
            &ended.summary.clone().unwrap_or_default(),
            &why.to_string(),
        ));
    }
    if ended.code != 0 && ended.code != INCOMPLETE {
        let error = restic.error_of_exit(&["backup"], ended.code, &ended.said);
        return Err(StepError::failed(error.to_string()));
    }
    if let Some(skipped) = ended.skipped.first() {
        return Err(StepError::failed(tr!(
            "restic left a folder out: {skipped}"
        )));
    }
    Ok(())
}

/// Runs restic and checks the result: the exit code, the summary, that nothing was skipped, and
/// that the manifest was read back ([`BACKUP_SCRIPT`]). When `begun`, watches the unit that runs
/// already.
async fn make_snapshot(
    work: &BackupContext,
    cx: &StepContext,
    source: &BackupSource,
    begun: bool,
    report: &mut AppBackupReport,
) -> Result<(), StepError> {
    let restic = &work.primary;
    let what = match source.app.as_str() {
        "" => tr!("the fleet's own files").to_owned(),
        app => app.to_owned(),
    };
    let id = work.fleet_id().await.map_err(backup_step_error)?;
    let args = source.restic_args(work.fleet_name(), id);
    let lasting = DetachedUnit {
        begun,
        ..source.confined.confine_unit(restic.detached_unit(
            &source.unit,
            RepositoryAccess::Shared,
            BACKUP_SCRIPT,
            args,
        ))
    };
    let ended = restic_unit::run_backup_unit(cx, restic, &lasting)
        .await
        .map_err(backup_step_error)?;
    if cx.cancel.is_cancelled() {
        return Err(StepError::Cancelled);
    }
    check_snapshot_was_made(restic, &ended)?;
    let summary = ended
        .summary
        .filter(|s| !s.snapshot_id.is_empty())
        .ok_or_else(|| StepError::failed(tr!("restic told no snapshot")))?;
    fill_report(report, &summary);
    if ended.reread_snapshot.as_ref() != Some(&summary.snapshot_id) {
        return Err(unreadable_snapshot(&summary, tr!("nobody tried it")));
    }
    if ended.code == INCOMPLETE || ended.failed_files > 0 {
        report.result = BackupResult::Warning;
        report.errors = ended.errors;
        cx.out
            .send_line(
                matou_job::OutputStream::Stderr,
                tr!(
                    "WARNING: {} files of {what} could not be read and are not in the snapshot {}",
                    ended.failed_files.max(1),
                    summary.snapshot_id
                ),
            )
            .await;
    } else {
        report.result = BackupResult::Done;
    }
    cx.out
        .note(tr!(
            "snapshot {} of {what}: {} files, {}, {} of it new",
            matou_base::text::clean_line(&summary.snapshot_id),
            summary.total_files_processed,
            human_bytes(summary.total_bytes_processed),
            human_bytes(summary.data_added)
        ))
        .await;
    Ok(())
}

fn fill_report(report: &mut AppBackupReport, summary: &ResticSummary) {
    report.snapshot.clone_from(&summary.snapshot_id);
    report.files = summary.total_files_processed;
    report.bytes = summary.total_bytes_processed;
    report.added = summary.data_added;
}

fn unreadable_snapshot(summary: &ResticSummary, why: &str) -> StepError {
    StepError::failed(tr!(
        "the snapshot {} can't be read again from the repository: {why}",
        matou_base::text::clean_line(&summary.snapshot_id)
    ))
}

pub(super) fn new_app_report(app: &str) -> AppBackupReport {
    AppBackupReport {
        app: app.to_owned(),
        result: BackupResult::Failed,
        snapshot: String::new(),
        files: 0,
        bytes: 0,
        added: 0,
        dumps: 0,
        seconds: 0.0,
        errors: Vec::new(),
    }
}

/// Adds the result of one item to the report of the run, and returns it.
pub(super) fn record_app_result(
    work: &BackupContext,
    mut report: AppBackupReport,
    begun: Instant,
    result: Result<(), StepError>,
) -> Result<(), StepError> {
    report.seconds = begun.elapsed().as_secs_f64();
    let what = match report.app.as_str() {
        "" => tr!("the fleet's own files are"),
        app => &tr!("{app} is"),
    };
    let result = result.map_err(|e| match e {
        StepError::Cancelled => e,
        other => StepError::failed(tr!("{what} NOT backed up: {other}")),
    });
    if let Err(e) = &result {
        report.result = BackupResult::Failed;
        report.errors = vec![work.fleet.journal.redactor().redact(&e.to_string())];
    }
    work.report().apps.push(report);
    result
}

#[async_trait]
impl Step for BackUpApp {
    fn name(&self) -> String {
        tr!("backup {}", self.app)
    }

    fn timeout(&self) -> Duration {
        BACKUP_TIMEOUT
    }

    /// The others are backed up all the same.
    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let (mut unsaved, mut of_others) = (Vec::new(), Vec::new());
        let line = match self.load_app_storage().await {
            Err(why) => Change::add(tr!("snapshot of {}", self.app))
                .with_warning(tr!("it will FAIL: {why}")),
            Ok(layout) => {
                of_others = self.plan_externals(&layout).await;
                let dumps = match layout.spec.dumps.as_slice() {
                    [] => String::new(),
                    some => {
                        let names: Vec<&str> = some.iter().map(|d| d.service.as_str()).collect();
                        tr!(", dump of {}", names.join(", "))
                    }
                };
                let volumes = trn!(layout.volumes.len(), "{n} volume", "{n} volumes");
                let from = volume_copy::describe_places(&layout);
                let binds = layout.binds.iter().map(|p| format!(", {}", p.display()));
                let binds: String = binds.collect();
                let what = tr!("snapshot of {}: {volumes}{from}{binds}{dumps}", self.app);
                let line = match self.last_snapshot_time().await {
                    Some(last) => {
                        Change::modify(what, last.strftime("%F %R UTC").to_string(), tr!("now"))
                    }
                    None => Change::add(what),
                };
                unsaved = layout.unsaved;
                match layout.left_out.is_empty() {
                    true => line,
                    false => line.with_warning(tr!(
                        "it will FAIL in part, and hold all but this: {}",
                        UnreachedVolume::describe_all(&layout.left_out)
                    )),
                }
            }
        };
        let not_saved = (!unsaved.is_empty())
            .then(|| Change::same(tr!("not backed up of {}: {}", self.app, unsaved.join("; "))));
        let more = not_saved.into_iter().chain(of_others);
        Ok(Check::Change([line].into_iter().chain(more).collect()))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let (begun, mut report) = (Instant::now(), new_app_report(&self.app));
        let result = match self.already_locked {
            true => {
                let whole = self.back_up(cx, &mut report, BackupPart::Whole);
                whole.await.map(drop)
            }
            false => self.back_up_with_lock(cx, &mut report).await,
        };
        record_app_result(&self.work, report, begun, result)
    }

    /// Proven by [`make_snapshot`].
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}

impl BackUpFleet {
    async fn back_up(
        &self,
        cx: &StepContext,
        report: &mut AppBackupReport,
    ) -> Result<(), StepError> {
        let work = &self.work;
        let config = &work.fleet.config;
        let (host, folder) = (&work.storage.host, matou_folder(config).join(FLEET));
        let manifest = folder.join(MANIFEST);
        if super::fleet_files::has_local_files(&work.fleet) {
            let left = merge::plan_fleet_files_push(config, host, None).await;
            for other in left?.untouched {
                cx.out.note(other.describe()).await;
            }
            let pushed = merge::push_fleet_files(config, host, None).await;
            pushed?;
        }
        // The id lies among the files that are backed up.
        let id = work.fleet_id().await.map_err(backup_step_error)?;
        let swarm = identity::query_swarm_id(&work.fleet.nodes).await;
        let text = serde_json::json!({
            "fleet": config.fleet.name, "id": id.to_string(), "swarm": swarm, "time": Timestamp::now(),
        });
        let certificates = self.find_certificate_stores().await;
        // Certificate stores lie in volumes of Traefik: root follows no link there either.
        let volumes = certificates.iter().filter_map(|p| p.parent());
        let command = matou_backup::confined_data_folder(config)
            .with_folders(volumes)
            .sh(files::GATHER_FLEET_FILES)
            .arg(folder.display().to_string())
            .args(certificates.iter().map(|p| p.display().to_string()))
            .stdin(format!("{text}\n").into_bytes())
            .timeout(Duration::from_secs(60))
            .label(tr!("gather the fleet's own files"));
        host.run_ok(&command).await?;
        let source = BackupSource {
            app: String::new(),
            unit: super::unit_names::FLEET_UNIT.into(),
            tag: format!("fleet={}", config.fleet.name),
            paths: vec![folder, matou_folder(config).join("secrets")],
            exclude: Vec::new(),
            one_file_system: false,
            is_partial: false,
            manifest,
            confined: matou_backup::confined_data_folder(config),
        };
        make_snapshot(work, cx, &source, false, report).await
    }

    /// Where Traefik's acme.json may be.
    async fn find_certificate_stores(&self) -> Vec<PathBuf> {
        let cx = &self.work.fleet;
        let Some(folder) = cx.config.folder() else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for app in AppFile::list_names(&folder) {
            let traefik = AppFile::load(&folder, &app)
                .ok()
                .flatten()
                .is_some_and(|f| f.stack.contains("traefik"));
            if !traefik {
                continue;
            }
            if let Ok(layout) = AppStorage::load(&app, &cx.config, &cx.nodes, &cx.catalogue).await {
                found.extend(layout.volumes.iter().map(|v| v.folder.join("acme.json")));
            }
        }
        found
    }
}

#[async_trait]
impl Step for BackUpFleet {
    fn name(&self) -> String {
        tr!("backup of the fleet").into()
    }

    fn timeout(&self) -> Duration {
        BACKUP_TIMEOUT
    }

    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let line = tr!("snapshot of the fleet's own files: configuration, secrets, certificates");
        Ok(Check::Change(vec![Change::add(line)]))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let (begun, mut report) = (Instant::now(), new_app_report(""));
        let result = self.back_up(cx, &mut report).await;
        record_app_result(&self.work, report, begun, result)
    }

    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}
