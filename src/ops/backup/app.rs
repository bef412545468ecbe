//! One application's backup: its dumps, its manifest, one snapshot, and the proof that the snapshot
//! is in the repository.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;

use super::work::{Work, failed};
use super::{dump, files, merge, unit};
use crate::backup::{
    AppReport, BackupError, Ending, FLEET, FleetId, Guard, Layout, MANIFEST, Manifest, RAN_WITHOUT,
    Summary, data, identity,
};
use crate::host::{Command, Confined, Lasting};
use crate::job::{Change, Check, Cx, Hold, Lock, Step, StepError};
use crate::model::Swarm;
use crate::ops::restore::{Journal, check_settled};
use crate::stack::{AppFile, Target};
use crate::text::human_bytes;

/// How long one application may take: the first backup of a large one over a slow line.
const PATIENCE: Duration = Duration::from_secs(48 * 3600);

/// Exit code of [`BODY`] when a folder is not there.
const MISSING: i32 = 74;

/// Exit code of [`BODY`] when the snapshot could not be read again.
const UNREAD: i32 = 76;

/// Backs up, then reads the manifest `$1` of the new snapshot again from the repository and compares
/// it with the one on the disk: the snapshot, the index, its trees and a part of its data are really
/// there.
///
/// Every folder is looked at first: 0.14 passes over one that is not there, and ends well.
const BODY: &str = r#"m=$1; shift; n=; for p; do
    [ -z "$n" ] || [ ! -L "$p" ] || { echo "the folder $p is a link, of which nothing but itself would be backed up: mount there what it leads to (mount --bind)" >&2; exit 74; }
    [ -z "$n" ] || [ -d "$p" ] || { echo "the folder $p is not there" >&2; exit 74; }
    [ "$p" != -- ] || n=1
done
restic backup --json $limits "$@"; c=$?
case $c in 0|3) ;; *) exit $c ;; esac
id=$(tail -c 65536 "${0%.sh}.log" | sed -n 's/^{"message_type":"summary",.*"snapshot_id":"\([0-9a-f]*\)".*/\1/p' | tail -n 1)
[ -n "$id" ] || exit $c
r=${0%.sh}.read
restic dump --no-lock -- "$id" "$m" >"$r" && cmp -- "$r" "$m"; e=$?
rm -f -- "$r"
[ $e = 0 ] || exit 76
echo "{\"message_type\":\"matou_read\",\"snapshot_id\":\"$id\"}"
exit $c"#;

/// The unit of an application's backup.
pub(super) fn unit_name(app: &str) -> String {
    format!("{}{app}", super::UNIT)
}

/// Makes a snapshot of one application.
pub(super) struct App {
    pub app: String,
    pub work: Work,
    /// It is a part of a job that holds the application's lock.
    pub locked: bool,
    /// Nothing of it runs but its database servers: the files of SQLite are of one moment by
    /// themselves.
    pub stopped: bool,
    /// The plan tells when its last snapshot was made: somebody reads it before it is run.
    pub compared: bool,
}

/// Makes the snapshot of the fleet's own files.
pub(super) struct Fleet {
    pub work: Work,
}

/// A snapshot that is to be made.
struct Source {
    /// Empty for the fleet.
    app: String,
    unit: String,
    tag: String,
    paths: Vec<PathBuf>,
    exclude: Vec<String>,
    one_file_system: bool,
    /// Read again from the repository: what it holds must be what was written.
    manifest: PathBuf,
    /// Where root follows no link meanwhile.
    confined: Confined,
}

impl Source {
    /// Arguments of [`BODY`].
    fn args(&self, fleet: &str, id: &FleetId) -> Vec<String> {
        let manifest = self.manifest.display().to_string();
        let id = id.tag();
        let tags = [
            "--tag", &self.tag, "--tag", "matou", "--tag", &id, "--host", fleet,
        ];
        let mut args: Vec<String> = std::iter::once(manifest.as_str())
            .chain(tags)
            .map(str::to_owned)
            .collect();
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

impl App {
    async fn layout(&self) -> Result<Layout, BackupError> {
        let cx = &self.work.cx;
        Layout::of(&self.app, &cx.config, &cx.nodes, &cx.catalogue).await
    }

    /// When its last snapshot was made, as far as that is asked and can be told.
    async fn last(&self) -> Option<Timestamp> {
        if !self.compared {
            return None;
        }
        let (view, all) = self.work.seen().await.ok()?;
        let last = view.candidates(&self.app, all).ok()?;
        last.first().map(|s| s.time)
    }

    fn source(&self, layout: &Layout, secrets: bool) -> Source {
        let mut paths: Vec<PathBuf> = layout.volumes.iter().map(|v| v.folder.clone()).collect();
        if secrets {
            paths.push(layout.secrets.clone());
        }
        paths.push(layout.dumps.clone());
        Source {
            app: self.app.clone(),
            unit: unit_name(&self.app),
            tag: format!("app={}", self.app),
            paths,
            exclude: layout.spec.exclude.clone(),
            one_file_system: layout.spec.one_file_system,
            manifest: layout.dumps.join(MANIFEST),
            confined: layout.confined(&self.work.cx.config),
        }
    }

    /// [`App::back_up`] with the application's lock: what is deployed or restored just now is no
    /// state to keep.
    async fn back_up_alone(&self, cx: &Cx, report: &mut AppReport) -> Result<(), StepError> {
        // One that runs already is watched, beside the one who holds the lock for it.
        if is_running(&self.work, &unit_name(&self.app)).await? {
            return self.back_up(cx, report).await;
        }
        let hold = Hold::of_apps(&self.work.storage.host, [self.app.clone()]);
        let (told, mut lines) = tokio::sync::mpsc::channel::<String>(4);
        let wait = self.work.cx.runner.wait();
        let title = format!("back up {}", self.app);
        let taking = async move { Lock::take(&hold, &title, wait, &told).await };
        let telling = async {
            while let Some(line) = lines.recv().await {
                cx.out.note(line).await;
            }
        };
        let taken = async { tokio::join!(taking, telling).0 };
        let taken = cx.cancel.run_until_cancelled(taken).await;
        let lock = taken.ok_or(StepError::Cancelled)?;
        let lock = lock.map_err(|e| StepError::failed(e.to_string()))?;
        let result = tokio::select! {
            result = self.back_up(cx, report) => result,
            () = lock.lost().cancelled() => Err(StepError::failed(lock.loss())),
        };
        lock.release().await;
        result
    }

    /// Dumps, manifest, snapshot.
    async fn back_up(&self, cx: &Cx, report: &mut AppReport) -> Result<(), StepError> {
        // One that is stopped for a move has no other state than that.
        if !self.stopped {
            let data = data(&self.work.cx.config);
            let journal = Journal::new(&self.work.storage.host, &data, &self.app);
            check_settled(&journal, &self.app).await?;
        }
        let layout = self.layout().await.map_err(failed)?;
        let unit = unit_name(&self.app);
        let (running, secrets) = tokio::try_join!(
            is_running(&self.work, &unit),
            exists(&self.work, &layout.secrets)
        )?;
        let source = self.source(&layout, secrets);
        let missed = self.missed(&layout).await?;
        if running {
            cx.out
                .note(format!(
                    "the backup of {} runs already: watching it",
                    self.app
                ))
                .await;
        } else {
            self.prepare(cx, &layout, &missed, report).await?;
        }
        snapshot(&self.work, cx, &source, running, report).await?;
        match missed.as_slice() {
            [] => Ok(()),
            some => Err(StepError::failed(format!(
                "the snapshot {} holds its volumes as they are and no dump of {}, which earlier ones had: there is no apps/{}.toml any more; bring it back (`matou files`), or deploy it again",
                report.snapshot,
                some.join(", "),
                self.app
            ))),
        }
    }

    /// Services of an application without a file that its earlier backups had dumps of: the manifest
    /// of the last one tells.
    async fn missed(&self, layout: &Layout) -> Result<Vec<String>, StepError> {
        if layout.file.is_some() {
            return Ok(Vec::new());
        }
        let manifest = layout.dumps.join(MANIFEST);
        let read = Command::sh("[ ! -f \"$1\" ] || cat -- \"$1\"")
            .arg(manifest.display().to_string())
            .sudo()
            .timeout(Duration::from_secs(20))
            .label(format!("read {}", manifest.display()));
        let text = self.work.storage.host.run_ok(&read).await?.text();
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
    async fn prepare(
        &self,
        cx: &Cx,
        layout: &Layout,
        missed: &[String],
        report: &mut AppReport,
    ) -> Result<(), StepError> {
        let nodes = &self.work.cx.nodes;
        let swarm = swarm(&self.work).await?;
        let mut dumps = Vec::new();
        for dump in &layout.spec.dumps {
            if self.stopped && !dump.needs_service() {
                continue;
            }
            let made = dump::make(dump, layout, &swarm, &self.work.cx.config, nodes, cx).await;
            if cx.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            dumps.push(made.map_err(StepError::Failed)?);
        }
        report.dumps = dumps.len();
        if layout.file.is_none() {
            cx.out
                .note(format!(
                    "{0} has no apps/{0}.toml: its volumes are backed up as they are, without dumps",
                    self.app
                ))
                .await;
        }
        let (stack, mut kept) = self.stack(layout).map_err(StepError::Failed)?;
        let manifest = Manifest {
            app: self.app.clone(),
            fleet: self.work.fleet().to_owned(),
            time: Timestamp::now(),
            volumes: layout.volumes.clone(),
            dumps,
            images: images(&self.app, &swarm),
            missed: missed.to_vec(),
            stack,
        };
        let text = serde_json::to_string_pretty(&manifest).unwrap_or_default() + "\n";
        kept.push((MANIFEST.to_owned(), text.into_bytes()));
        files::put(&self.work.storage.host, &layout.dumps, &kept, &[])
            .await
            .map_err(StepError::Failed)
    }

    /// The hash of the rendered stack, and the files that make the application.
    fn stack(&self, layout: &Layout) -> Result<(String, Vec<files::File>), String> {
        let Some(file) = &layout.file else {
            return Ok((String::new(), Vec::new()));
        };
        let cx = &self.work.cx;
        let target = Target {
            switches: file.edge.clone(),
            ..Target::of(&cx.config)
        };
        let rendered = cx
            .catalogue
            .render(&file.stack, &self.app, &file.variables, &target)
            .map_err(|e| e.to_string())?;
        let hash = crate::text::sha256(&rendered.yaml);
        let mut kept = vec![(format!("{}.toml", self.app), file.text().into_bytes())];
        if let Some(text) = own_stack(file, cx.config.folder().as_deref())? {
            kept.push(("stack.yml".into(), text));
        }
        Ok((hash, kept))
    }
}

/// The stack file of an application, when it is none of those that are built in.
pub(in crate::ops) fn own_stack(
    file: &AppFile,
    folder: Option<&std::path::Path>,
) -> Result<Option<Vec<u8>>, String> {
    let path = match (files::is_path(&file.stack), folder) {
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
        .map_err(|e| format!("{} can't be read: {e}", path.display()))
}

/// Services and the images their tasks run.
fn images(app: &str, swarm: &Swarm) -> Vec<(String, String)> {
    let mut images = BTreeMap::new();
    for service in &swarm.services {
        if service.stack.as_deref().unwrap_or(&service.name) != app {
            continue;
        }
        let task = swarm
            .tasks
            .iter()
            .find(|t| t.service_id == service.id && t.state == "running");
        let image = task.map_or(&service.image, |t| &t.image);
        images.insert(service.name.clone(), image.clone());
    }
    images.into_iter().collect()
}

async fn swarm(work: &Work) -> Result<Swarm, StepError> {
    let failed = |e: crate::docker::DockerError| StepError::failed(e.to_string());
    let manager = work.cx.nodes.manager().await.map_err(failed)?;
    manager.docker.swarm().await.map_err(failed)
}

/// Whether the unit runs, begun by a console that is gone.
async fn is_running(work: &Work, unit: &str) -> Result<bool, StepError> {
    let units = work.storage.host.lasting(unit).await?;
    Ok(units.iter().any(|u| u == unit))
}

async fn exists(work: &Work, folder: &std::path::Path) -> Result<bool, StepError> {
    let test = Command::new("test")
        .arg("-d")
        .arg(folder.display().to_string())
        .sudo()
        .timeout(Duration::from_secs(20));
    Ok(work.storage.host.run(&test).await?.code == 0)
}

/// Runs restic and judges: exit code, summary, nothing skipped, and the manifest read again from
/// the repository and found to be the one on the disk ([`BODY`]). One that has `begun` is watched.
async fn snapshot(
    work: &Work,
    cx: &Cx,
    source: &Source,
    begun: bool,
    report: &mut AppReport,
) -> Result<(), StepError> {
    let restic = &work.primary;
    let what = match source.app.as_str() {
        "" => "the fleet's own files".to_owned(),
        app => app.to_owned(),
    };
    let id = work.id().await.map_err(failed)?;
    let args = source.args(work.fleet(), id);
    let lasting = Lasting {
        begun,
        ..source
            .confined
            .unit(restic.lasting(&source.unit, Guard::Shared, BODY, args))
    };
    let ended = unit::back_up(cx, restic, &lasting).await.map_err(failed)?;
    if cx.cancel.is_cancelled() {
        return Err(StepError::Cancelled);
    }
    if ended.code == MISSING {
        return Err(StepError::failed(format!(
            "{}; is the disk mounted?",
            ended.said
        )));
    }
    if ended.code == UNREAD {
        let why = restic.error(&["dump"], 1, &ended.said);
        return Err(unread(&ended.summary.unwrap_or_default(), &why.to_string()));
    }
    if ended.code != 0 && ended.code != RAN_WITHOUT {
        let error = restic.error(&["backup"], ended.code, &ended.said);
        return Err(StepError::failed(error.to_string()));
    }
    if let Some(skipped) = ended.skipped.first() {
        return Err(StepError::failed(format!(
            "restic left a folder out: {skipped}"
        )));
    }
    let summary = ended
        .summary
        .filter(|s| !s.snapshot_id.is_empty())
        .ok_or_else(|| StepError::failed("restic told no snapshot"))?;
    fill(report, &summary);
    if ended.read.as_ref() != Some(&summary.snapshot_id) {
        return Err(unread(&summary, "nobody tried it"));
    }
    if ended.code == RAN_WITHOUT || ended.failed_files > 0 {
        report.result = Ending::Warning;
        report.errors = ended.errors;
        cx.out
            .line(
                crate::job::Stream::Stderr,
                format!(
                    "WARNING: {} files of {what} could not be read and are not in the snapshot {}",
                    ended.failed_files.max(1),
                    summary.snapshot_id
                ),
            )
            .await;
    } else {
        report.result = Ending::Done;
    }
    cx.out
        .note(format!(
            "snapshot {} of {what}: {} files, {}, {} of it new",
            crate::text::clean(&summary.snapshot_id),
            summary.total_files_processed,
            human_bytes(summary.total_bytes_processed),
            human_bytes(summary.data_added)
        ))
        .await;
    Ok(())
}

fn fill(report: &mut AppReport, summary: &Summary) {
    report.snapshot.clone_from(&summary.snapshot_id);
    report.files = summary.total_files_processed;
    report.bytes = summary.total_bytes_processed;
    report.added = summary.data_added;
}

fn unread(summary: &Summary, why: &str) -> StepError {
    StepError::failed(format!(
        "the snapshot {} can't be read again from the repository: {why}",
        crate::text::clean(&summary.snapshot_id)
    ))
}

pub(super) fn report(app: &str) -> AppReport {
    AppReport {
        app: app.to_owned(),
        result: Ending::Failed,
        snapshot: String::new(),
        files: 0,
        bytes: 0,
        added: 0,
        dumps: 0,
        seconds: 0.0,
        errors: Vec::new(),
    }
}

/// Puts how it went into the report of the run.
pub(super) fn told(
    work: &Work,
    mut report: AppReport,
    begun: Instant,
    result: Result<(), StepError>,
) -> Result<(), StepError> {
    report.seconds = begun.elapsed().as_secs_f64();
    let what = match report.app.as_str() {
        "" => "the fleet's own files are",
        app => &format!("{app} is"),
    };
    let result = result.map_err(|e| match e {
        StepError::Cancelled => e,
        other => StepError::failed(format!("{what} NOT backed up: {other}")),
    });
    if let Err(e) = &result {
        report.result = Ending::Failed;
        report.errors = vec![work.cx.journal.redactor().redact(&e.to_string())];
    }
    work.report().apps.push(report);
    result
}

#[async_trait]
impl Step for App {
    fn name(&self) -> String {
        format!("backup {}", self.app)
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    /// The others are backed up all the same.
    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let line = match self.layout().await {
            Err(why) => Change::add(format!("snapshot of {}", self.app))
                .warn(format!("it will FAIL: {why}")),
            Ok(layout) => {
                let dumps = match layout.spec.dumps.as_slice() {
                    [] => String::new(),
                    some => {
                        let names: Vec<&str> = some.iter().map(|d| d.service.as_str()).collect();
                        format!(", dump of {}", names.join(", "))
                    }
                };
                let volumes = crate::text::plural(layout.volumes.len(), "volume");
                let what = format!("snapshot of {}: {volumes}{dumps}", self.app);
                match self.last().await {
                    Some(last) => {
                        Change::modify(what, last.strftime("%F %R UTC").to_string(), "now")
                    }
                    None => Change::add(what),
                }
            }
        };
        Ok(Check::Change(vec![line]))
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let (begun, mut report) = (Instant::now(), report(&self.app));
        let result = match self.locked {
            true => self.back_up(cx, &mut report).await,
            false => self.back_up_alone(cx, &mut report).await,
        };
        told(&self.work, report, begun, result)
    }

    /// Proven by [`snapshot`].
    async fn verify(&self, _: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}

impl Fleet {
    async fn back_up(&self, cx: &Cx, report: &mut AppReport) -> Result<(), StepError> {
        let work = &self.work;
        let config = &work.cx.config;
        let (host, folder) = (&work.storage.host, data(config).join(FLEET));
        let manifest = folder.join(MANIFEST);
        if super::has_files(&work.cx) {
            let left = merge::plan(config, host, None).await;
            for other in left.map_err(StepError::Failed)?.left {
                cx.out.note(other.line()).await;
            }
            let pushed = merge::push(config, host, None).await;
            pushed.map_err(StepError::Failed)?;
        }
        // The id lies among the files that are backed up.
        let id = work.id().await.map_err(failed)?;
        let swarm = identity::swarm(&work.cx.nodes).await;
        let text = serde_json::json!({
            "fleet": config.fleet.name, "id": id.to_string(), "swarm": swarm, "time": Timestamp::now(),
        });
        let certificates = self.certificates().await;
        // Where certificates are kept is known by Traefik's volumes alone.
        let volumes = certificates.iter().filter_map(|p| p.parent());
        let command = crate::backup::confined(config)
            .and(volumes)
            .sh(files::GATHER)
            .arg(folder.display().to_string())
            .args(certificates.iter().map(|p| p.display().to_string()))
            .stdin(format!("{text}\n").into_bytes())
            .timeout(Duration::from_secs(60))
            .label("gather the fleet's own files");
        host.run_ok(&command).await?;
        let source = Source {
            app: String::new(),
            unit: super::FLEET_UNIT.into(),
            tag: format!("fleet={}", config.fleet.name),
            paths: vec![folder, data(config).join("secrets")],
            exclude: Vec::new(),
            one_file_system: false,
            manifest,
            confined: crate::backup::confined(config),
        };
        snapshot(work, cx, &source, false, report).await
    }

    /// Where Traefik's acme.json may be.
    async fn certificates(&self) -> Vec<PathBuf> {
        let cx = &self.work.cx;
        let Some(folder) = cx.config.folder() else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for app in AppFile::list(&folder) {
            let traefik = AppFile::load(&folder, &app)
                .ok()
                .flatten()
                .is_some_and(|f| f.stack.contains("traefik"));
            if !traefik {
                continue;
            }
            if let Ok(layout) = Layout::of(&app, &cx.config, &cx.nodes, &cx.catalogue).await {
                found.extend(layout.volumes.iter().map(|v| v.folder.join("acme.json")));
            }
        }
        found
    }
}

#[async_trait]
impl Step for Fleet {
    fn name(&self) -> String {
        "backup of the fleet".into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let line = "snapshot of the fleet's own files: configuration, secrets, certificates";
        Ok(Check::Change(vec![Change::add(line)]))
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let (begun, mut report) = (Instant::now(), report(""));
        let result = self.back_up(cx, &mut report).await;
        told(&self.work, report, begun, result)
    }

    async fn verify(&self, _: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}
