//! Restoring: a file or folder, an application in place or beside itself, everything; undoing it;
//! proving that it can be done.
//!
//! Nothing is overwritten. restic writes beside the data, on the same file system; then the folders
//! are exchanged by renames while the services are stopped; what was there before is kept until it
//! is let go. A file on the storage node tells how far it came, so that what was interrupted can be
//! taken back.

mod arriving;
mod database;
mod exchange;
#[cfg(test)]
mod explored;
mod into_folder;
mod journal;
mod machine;
mod parts;
mod rise;
pub(in crate::ops) mod services;
mod settled;
mod site;
mod source;
mod stage;
mod swap;
mod undo;
mod update;
mod users;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{Context, Request, RestoreTo, RestoreWhat};
use crate::backup::{self, Layout};
use crate::config::StorageDriver;
use crate::docker::NodeHandle;
use crate::host::{Command, Host, Stream};
use crate::job::{Change, Check, Confirm, Cx, Job, Stage as JobStage, Step, StepError, Track};
use crate::model::Swarm;
use crate::stack::{AppFile, Dump, Target, check_app_name as check_name};

use exchange::{Begin, Exchange, ExchangeStep, Services};
use parts::{Part, PartKind};
use stage::Stage;

pub(in crate::ops) use arriving::Arriving;
pub(in crate::ops) use database::{data_folder, shell};
pub(in crate::ops) use journal::Journal;
pub(in crate::ops) use machine::has_to_deploy;
pub(in crate::ops) use parts::{held, mounts as mounted};
pub(in crate::ops) use settled::{Settled, check_settled};
pub(crate) use source::Source;

/// Names of the applications that have snapshots of this fleet, made when the clock was right.
async fn saved(cx: &Context) -> Result<BTreeSet<String>, String> {
    let all = crate::collect::read_snapshots(&cx.config, &cx.nodes).await?;
    let sound = all.into_iter().filter(|s| s.is_sound());
    Ok(sound.filter_map(|s| s.app).collect())
}

/// Applications that have no snapshot: told, and left as they are.
struct Without(Vec<String>);

#[async_trait]
impl Step for Without {
    fn name(&self) -> String {
        "without a snapshot".into()
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let lines = self.0.iter();
        let line = |app| {
            Change::same(format!(
                "{app} has no snapshot that is restored unnamed: it is left as it is"
            ))
        };
        Ok(Check::Done(lines.map(line).collect()))
    }

    async fn apply(&self, _: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}

/// Makes the job of a request about restores.
pub(super) async fn build(request: &Request, cx: &Context) -> Result<Job, String> {
    let storage = storage(cx)?;
    let data = backup::data(&cx.config);
    let (confirm, steps) = match request {
        Request::Restore {
            app,
            snapshot,
            what,
            to,
        } => {
            check_name(app)?;
            let source = match what {
                RestoreWhat::App => Source::whole(cx, app, snapshot.as_deref()).await?,
                RestoreWhat::Path { .. } => Source::of(cx, app, snapshot.as_deref()).await?,
            };
            restore(cx, source, what, to).await?
        }
        Request::RestoreAll => {
            let mut steps = Vec::new();
            let mut without = Vec::new();
            let swarm = swarm(cx).await?;
            let saved = saved(cx).await?;
            for app in backup::names(&cx.config, &swarm) {
                match saved.contains(&app) {
                    true => {
                        let source = Source::whole(cx, &app, None).await?;
                        steps.extend(in_place(cx, source).await?);
                    }
                    false => without.push(app),
                }
            }
            if steps.is_empty() {
                return Err("there is no application that could be restored".into());
            }
            steps.insert(0, Box::new(Without(without)));
            (Confirm::TypeName(cx.config.fleet.name.clone()), steps)
        }
        Request::RestoreUndo { app } => {
            check_name(app)?;
            let undo: Box<dyn Step> = Box::new(undo::Undo {
                app: app.clone(),
                cx: cx.clone(),
                journal: Journal::new(&storage.host, &data, app),
            });
            (Confirm::TypeName(app.clone()), vec![undo])
        }
        Request::RestoreForget { app } => {
            check_name(app)?;
            let mut folders = vec![data.join("restores").join(app)];
            if cx.config.storage.driver == StorageDriver::Local {
                let root = docker_root(&storage.host).await?;
                folders.push(root.join(journal::ENGINES).join(app));
            }
            let forget: Box<dyn Step> = Box::new(undo::Forget {
                app: app.clone(),
                cx: cx.clone(),
                folders,
                journal: Journal::new(&storage.host, &data, app),
            });
            (Confirm::TypeName(app.clone()), vec![forget])
        }
        Request::Verify { apps } => (Confirm::None, verify::steps(cx, apps).await?),
        _ => return Err("this is no request about restores".into()),
    };
    let stage = JobStage {
        title: request.title(),
        tracks: vec![Track {
            node: storage.config.name.clone(),
            host: storage.host.clone(),
            docker: storage.docker.clone(),
            steps,
        }],
    };
    let mut job = Job::new(request.title(), confirm, vec![stage]);
    job.lock = true;
    Ok(job)
}

fn storage(cx: &Context) -> Result<NodeHandle, String> {
    let name = &cx.config.storage.node;
    let node = cx.nodes.get(name).cloned();
    node.ok_or_else(|| format!("[storage] node = {name:?} is not among the nodes of config.toml"))
}

async fn swarm(cx: &Context) -> Result<Swarm, String> {
    let manager = cx.nodes.manager().await.map_err(|e| e.to_string())?;
    manager.docker.swarm().await.map_err(|e| e.to_string())
}

type Steps = Vec<Box<dyn Step>>;

async fn restore(
    cx: &Context,
    source: Source,
    what: &RestoreWhat,
    to: &RestoreTo,
) -> Result<(Confirm, Steps), String> {
    let app = source.app.clone();
    match (what, to) {
        (_, RestoreTo::Folder { path }) => {
            let paths = match what {
                RestoreWhat::App => source.paths.clone(),
                RestoreWhat::Path { path } => vec![path.clone()],
            };
            let steps = into_folder(cx, source, paths, path).await?;
            Ok((Confirm::Ask, steps))
        }
        (RestoreWhat::App, RestoreTo::Place) => {
            Ok((Confirm::TypeName(app), in_place(cx, source).await?))
        }
        (RestoreWhat::Path { path }, RestoreTo::Place) => {
            let steps = path_in_place(cx, source, path).await?;
            Ok((Confirm::TypeName(app), steps))
        }
        (RestoreWhat::App, RestoreTo::Beside { app: to, variables }) => {
            check_name(to)?;
            let running = swarm(cx).await?;
            if *to == app || !services::of(&running, to).is_empty() {
                return Err(format!(
                    "there is an application {to} already: choose another name"
                ));
            }
            let file = application_file(cx, &source).await?;
            let mut file = file.ok_or_else(|| {
                format!("neither this fleet nor the snapshot has a file apps/{app}.toml, which would say what {to} is deployed from")
            })?;
            file.variables.extend(variables.clone());
            let steps = fresh(cx, source, to, file).await?;
            Ok((Confirm::Ask, steps))
        }
        (RestoreWhat::Path { .. }, RestoreTo::Beside { .. }) => {
            Err("only a whole application can be restored beside itself".into())
        }
    }
}

/// The application's file here, else as it was backed up.
async fn application_file(cx: &Context, source: &Source) -> Result<Option<AppFile>, String> {
    let here = match cx.config.folder() {
        Some(folder) => AppFile::load(&folder, &source.app).map_err(|e| e.to_string())?,
        None => None,
    };
    match here {
        Some(file) => Ok(Some(file)),
        None => source.file().await,
    }
}

/// A file or folder, or everything, into a folder that is empty or not there.
async fn into_folder(
    cx: &Context,
    source: Source,
    paths: Vec<String>,
    folder: &str,
) -> Result<Steps, String> {
    let plain = folder.starts_with('/')
        && Path::new(folder).components().count() > 1
        && !folder.split('/').any(|part| part == "..");
    if !plain {
        return Err(format!(
            "{folder:?} is no folder to restore into: give a whole path that begins with /"
        ));
    }
    let size = source.size(&paths).await?;
    // It may lie in a volume.
    let mut confined = backup::confined(&cx.config);
    if cx.config.storage.driver == StorageDriver::Local {
        confined = confined.and([docker_root(&storage(cx)?.host).await?.join("volumes")]);
    }
    let stage = Stage {
        unit: format!("{}-folder", exchange::unit(&source.app)),
        confined,
        folder: PathBuf::from(folder),
        paths,
        size,
        source,
        verify: false,
    };
    Ok(vec![Box::new(into_folder::IntoFolder::new(folder, stage))])
}

/// An application where it was: its services are stopped meanwhile, or, when none is there, it is
/// deployed again.
async fn in_place(cx: &Context, source: Source) -> Result<Steps, String> {
    let running = swarm(cx).await?;
    let runs = !services::of(&running, &source.app).is_empty();
    let journal = Journal::new(&storage(cx)?.host, &backup::data(&cx.config), &source.app);
    let earlier = journal.read().await.map_err(|e| e.to_string())?;
    if machine::has_to_deploy(earlier.as_ref(), runs) {
        let file = application_file(cx, &source).await?;
        let file = file.ok_or_else(|| {
            format!(
                "{0} does not run, and neither this fleet nor the snapshot has a file apps/{0}.toml that says what it is deployed from: restore it into a folder",
                source.app
            )
        })?;
        let app = source.app.clone();
        return fresh(cx, source, &app, file).await;
    }
    let layout = Layout::of(&source.app, &cx.config, &cx.nodes, &cx.catalogue).await;
    let layout = layout.map_err(|e| e.to_string())?;
    let folders: BTreeMap<String, PathBuf> = layout
        .volumes
        .iter()
        .map(|v| (v.name.clone(), v.folder.clone()))
        .collect();
    let mounts = match &layout.file {
        Some(file) => mounts(cx, &source.app, file)?,
        None => BTreeMap::new(),
    };
    let app = source.app.clone();
    let (parts, notes) = parts::parts(&source, &layout.spec.dumps, &mounts, &folders, |n| n.into());
    let hooks = hooks(&source, &layout.spec.dumps);
    let work = Exchange {
        parts,
        hooks,
        notes,
        services: Services::Stop,
        create: Vec::new(),
        whole: true,
        ..empty(cx, &app, source)?
    };
    steps(work).await
}

/// The steps that put an application in place which does not run on this fleet.
///
/// # Errors
/// As [`fresh_work`]; the snapshot holds nothing of it.
pub(crate) async fn fresh(
    cx: &Context,
    source: Source,
    app: &str,
    file: AppFile,
) -> Result<Vec<Box<dyn Step>>, String> {
    steps(fresh_work(cx, source, app, file).await?).await
}

/// An application that does not run on this fleet: its volumes, secrets and databases put in place
/// under the name `app`, and it is deployed from `file`.
///
/// What a rebuilt fleet needs: the folders are put where this fleet keeps them, whatever path they
/// had; secrets of the snapshot are taken over where none are kept yet; dumps are loaded before
/// any other service starts.
///
/// # Errors
/// One sentence: the stack can't be rendered, the snapshot lacks something.
async fn fresh_work(
    cx: &Context,
    source: Source,
    app: &str,
    file: AppFile,
) -> Result<Exchange, String> {
    let told = |e: crate::stack::StackError| e.to_string();
    let target = Target::of_app(&cx.config, &file);
    let rendered = cx
        .catalogue
        .render(&file.stack, app, &file.variables, &target)
        .map_err(told)?;
    let dumps = cx
        .catalogue
        .extension(&file.stack)
        .map_err(told)?
        .backup
        .dumps;
    let mut folders = BTreeMap::new();
    let mut create = Vec::new();
    let mut root = None;
    for (name, folder) in &rendered.volumes.named {
        let folder = match folder {
            Some(folder) => folder.clone(),
            None => {
                if root.is_none() {
                    root = Some(docker_root(&storage(cx)?.host).await?);
                }
                create.push(name.clone());
                let root = root.clone().unwrap_or_default();
                root.join("volumes").join(name).join("_data")
            }
        };
        folders.insert(name.clone(), folder);
    }
    let mounts = parts::mounts(app, &rendered.yaml);
    let (old, new) = (format!("{}_", source.app), format!("{app}_"));
    let renamed = |name: &str| match name.strip_prefix(&old) {
        Some(rest) => format!("{new}{rest}"),
        None => name.to_owned(),
    };
    let (parts, notes) = parts::parts(&source, &dumps, &mounts, &folders, renamed);
    let shared = parts.iter().find(|p| !p.volume.starts_with(&new));
    if let Some(part) = shared.filter(|_| app != source.app) {
        return Err(format!(
            "the volume {} has the same name under every application: it can't be restored beside the running one",
            part.volume
        ));
    }
    let hooks = hooks(&source, &dumps);
    Ok(Exchange {
        parts,
        hooks,
        notes,
        services: Services::Deploy(file),
        create,
        whole: true,
        ..empty(cx, app, source)?
    })
}

/// A file or folder where it was.
async fn path_in_place(cx: &Context, source: Source, path: &str) -> Result<Steps, String> {
    let app = source.app.clone();
    let layout = Layout::of(&app, &cx.config, &cx.nodes, &cx.catalogue).await;
    let layout = layout.map_err(|e| e.to_string())?;
    let folders: BTreeMap<String, PathBuf> = layout
        .volumes
        .iter()
        .map(|v| (v.name.clone(), v.folder.clone()))
        .collect();
    let mounts = match &layout.file {
        Some(file) => mounts(cx, &app, file)?,
        None => BTreeMap::new(),
    };
    let (parts, _) = parts::parts(&source, &layout.spec.dumps, &mounts, &folders, |n| n.into());
    let part = parts
        .into_iter()
        .find(|p| exchange::within(Path::new(path), Path::new(&p.from)));
    let part =
        part.ok_or_else(|| format!("{path} is in no volume of {app}: restore it into a folder"))?;
    let whole = path.trim_end_matches('/') == part.from;
    let (part, services) = match &part.kind {
        _ if whole => (part, Services::Stop),
        PartKind::Database(_) => {
            return Err(format!(
                "{path} is among the files of a database, which are of no use one by one: restore the application, or into a folder"
            ));
        }
        PartKind::Files(_) => {
            let rest = Path::new(path).strip_prefix(&part.from);
            let rest = rest.map_err(|e| e.to_string())?.to_owned();
            let part = Part {
                live: part.live.join(rest),
                from: path.to_owned(),
                kind: PartKind::Files(Vec::new()),
                ..part
            };
            (part, Services::GoOn)
        }
    };
    let work = Exchange {
        parts: vec![part],
        services,
        ..empty(cx, &app, source)?
    };
    let (work, stage) = staged(work).await?;
    // Elsewhere the folders above it can't be closed together with those that it is exchanged with.
    let closed = work.confined().holds(&work.parts[0].live);
    if matches!(work.services, Services::GoOn) && !closed {
        return Err(format!(
            "{path} is in a volume that lies outside of {}: restore it into a folder, and copy it from there",
            cx.config.storage.path.display()
        ));
    }
    boxed(work, stage)
}

/// The stack's shell lines that load dumps which the snapshot holds.
fn hooks(source: &Source, dumps: &[Dump]) -> Vec<Dump> {
    let held = |d: &&Dump| {
        let manifest = source.manifest.as_ref();
        manifest.is_some_and(|m| {
            let mut all = m.dumps.iter();
            all.any(|m| m.service == d.service && m.file == d.file)
        })
    };
    let own = |d: &&Dump| (d.engine.is_none() || d.command.is_some()) && d.restore.is_some();
    dumps.iter().filter(own).filter(held).cloned().collect()
}

fn mounts(
    cx: &Context,
    app: &str,
    file: &AppFile,
) -> Result<BTreeMap<String, Vec<(String, String)>>, String> {
    let target = Target::of_app(&cx.config, file);
    let rendered = cx
        .catalogue
        .render(&file.stack, app, &file.variables, &target)
        .map_err(|e| e.to_string())?;
    Ok(parts::mounts(app, &rendered.yaml))
}

/// An exchange of nothing.
fn empty(cx: &Context, app: &str, source: Source) -> Result<Exchange, String> {
    let host = storage(cx)?.host;
    let data = backup::data(&cx.config);
    Ok(Exchange {
        cx: cx.clone(),
        app: app.to_owned(),
        journal: Journal::new(&host, &data, app),
        folder: data.join("restores").join(app),
        source,
        parts: Vec::new(),
        hooks: Vec::new(),
        services: Services::GoOn,
        create: Vec::new(),
        notes: Vec::new(),
        begun: jiff::Timestamp::now(),
        whole: false,
    })
}

/// The steps of an exchange.
async fn steps(work: Exchange) -> Result<Steps, String> {
    let (work, stage) = staged(work).await?;
    boxed(work, stage)
}

fn boxed(work: Arc<Exchange>, stage: Option<Stage>) -> Result<Steps, String> {
    let stage = stage.ok_or_else(|| {
        format!(
            "the snapshot {} holds no volume of {}",
            work.source.shown(),
            work.app
        )
    })?;
    Ok(vec![
        Box::new(Begin(work.clone())),
        Box::new(stage),
        Box::new(ExchangeStep(work)),
    ])
}

/// An exchange, and what is written beside the data before it; `None` when the snapshot holds nothing
/// that is needed.
async fn staged(mut work: Exchange) -> Result<(Arc<Exchange>, Option<Stage>), String> {
    // Beside volumes of the local driver, which lie where Docker keeps them: on their file system.
    if work.cx.config.storage.driver == StorageDriver::Local {
        let kept = work.parts.first().and_then(|p| {
            let volumes = p.live.ancestors().find(|a| a.ends_with("volumes"))?;
            p.live.ends_with("_data").then(|| volumes.parent())?
        });
        if let Some(root) = kept {
            work.folder = root.join(journal::ENGINES).join(&work.app);
        }
    }
    let mut paths: Vec<String> = work.parts.iter().flat_map(Part::paths).collect();
    // One without volumes may have secrets, which its deploy needs.
    if work.whole {
        paths.extend(work.source.own("secrets"));
    }
    if paths.is_empty() {
        return Ok((Arc::new(work), None));
    }
    paths.sort();
    paths.dedup();
    let size = work.source.size(&paths).await?;
    let stage = Stage {
        source: work.source.clone(),
        confined: work.confined(),
        unit: exchange::unit(&work.app),
        folder: work.staged(),
        paths,
        size,
        verify: false,
    };
    Ok((Arc::new(work), Some(stage)))
}

/// Where Docker of a node keeps volumes of the local driver.
async fn docker_root(host: &Host) -> Result<PathBuf, String> {
    let ask = Command::new("docker")
        .args(["info", "--format", "{{.DockerRootDir}}"])
        .sudo()
        .timeout(std::time::Duration::from_secs(20));
    let text = host.run_ok(&ask).await.map_err(|e| e.to_string())?.text();
    match text.starts_with('/') {
        true => Ok(PathBuf::from(text.trim())),
        false => Err(format!(
            "Docker on {} does not tell its folder",
            host.name()
        )),
    }
}

/// Runs a command on another node than the step's, its output streamed to the job.
async fn streamed(cx: &Cx, host: &Host, command: &Command) -> Result<(), StepError> {
    let (lines, arriving) = mpsc::channel::<(Stream, Vec<u8>)>(64);
    let (ended, last) = tokio::join!(
        host.stream(command, lines, &cx.cancel),
        super::forward(cx, arriving)
    );
    match ended? {
        0 => Ok(()),
        code => Err(StepError::failed(format!(
            "`{command}` on {} ended with exit code {code}: {}",
            host.name(),
            last.join(" / ")
        ))),
    }
}
