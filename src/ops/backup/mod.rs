//! Backups: of applications and the fleet, and the care of repositories.

mod app;
mod attack;
mod dump;
mod files;
mod guard;
mod merge;
mod night;
mod odd;
mod repo;
mod unit;
mod with;
mod work;

use super::{Context, Request};
use crate::backup::{BackupError, Restic, Snapshot};
use crate::job::{Confirm, Job, Stage, Step, Track};
use crate::stack::check_app_name;

pub use merge::{Mine as FilesHere, Planned as PlannedFiles, Standing, There as FilesThere};
pub use night::{night, take_over};
pub use repo::{CheckData, LockFile, RepoWork, RepositoryState};
pub(crate) use unit::told;

pub(super) use app::own_stack;
pub(super) use dump::make as dump;
pub(super) use unit::{alone, run as run_unit};
use work::Work;

/// What the units of applications' backups begin with; the application's name follows.
pub const UNIT: &str = "matou-backup-app-";

/// The unit of the backup of the fleet's own files.
const FLEET_UNIT: &str = "matou-backup-fleet";

/// Makes the job of a request about backups.
///
/// # Errors
/// One sentence: no repository is configured, its password can't be had, there is no such
/// application or repository.
pub(super) async fn build(request: &Request, cx: &Context) -> Result<Job, String> {
    let work = Work::of(cx).await.map_err(|e| e.to_string())?;
    let (confirm, steps) = match request {
        Request::Backup { apps } => (Confirm::None, backup(&work, apps).await?),
        Request::Repo {
            what,
            repository,
            with: Some(file),
            accept,
        } => return with::job(&work, request.title(), what, repository, file, accept).await,
        Request::Repo {
            what,
            repository,
            with: None,
            accept,
        } => {
            let chosen = chosen(&work, what, repository)?;
            if matches!(what, RepoWork::Forget | RepoWork::Prune)
                && chosen.iter().all(Restic::is_append_only)
            {
                return Err(repo::left_alone(&chosen[0], what));
            }
            let confirm = match what {
                RepoWork::Unlock { all: true } => Confirm::TypeName(chosen[0].name().to_owned()),
                RepoWork::Unlock { .. } | RepoWork::Forget | RepoWork::Prune => Confirm::Ask,
                RepoWork::Init | RepoWork::Attack => Confirm::Ask,
                RepoWork::Check { .. } | RepoWork::Copy => Confirm::None,
            };
            let step = |r: &Restic| -> Box<dyn Step> {
                match what {
                    RepoWork::Attack => Box::new(attack::Attack::new(&work, r)),
                    _ => Box::new(repo::Repo::new(&work, r, what.clone()).accepting(accept)),
                }
            };
            let steps = chosen.iter().map(step).collect();
            (confirm, steps)
        }
        other => return Err(format!("{} is no work on backups", other.title())),
    };
    Ok(job(&work, request.title(), confirm, steps))
}

fn job(work: &Work, title: String, confirm: Confirm, steps: Vec<Box<dyn Step>>) -> Job {
    let stage = Stage {
        title: title.clone(),
        tracks: vec![Track {
            node: work.storage.config.name.clone(),
            host: work.storage.host.clone(),
            docker: work.storage.docker.clone(),
            steps,
        }],
    };
    Job::new(title, confirm, vec![stage])
}

/// A job that backs up one application at once: restic itself tells what is wrong with the
/// repository, and the plan, which nobody waits for, does not tell of the snapshot before.
///
/// # Errors
/// As [`build`].
pub(super) async fn at_once(app: &str, cx: &Context) -> Result<Job, String> {
    let apps = vec![app.to_owned()];
    let title = Request::Backup { apps }.title();
    one(app, cx, title, Part::Alone).await
}

/// The same as a part of a job that holds the application's lock.
///
/// # Errors
/// As [`build`].
pub(super) async fn of_running(app: &str, cx: &Context) -> Result<Job, String> {
    one(app, cx, format!("back up {app}"), Part::Inside).await
}

/// As [`of_running`], for an application of which nothing runs but the services that its dumps need.
///
/// # Errors
/// As [`build`].
pub(super) async fn of_stopped(app: &str, cx: &Context) -> Result<Job, String> {
    one(app, cx, format!("back up {app}, stopped"), Part::Stopped).await
}

/// What a backup of one application is a part of.
#[derive(PartialEq)]
enum Part {
    Alone,
    /// Of a job that holds its lock.
    Inside,
    /// Of a job that holds its lock and has stopped it.
    Stopped,
}

async fn one(app: &str, cx: &Context, title: String, part: Part) -> Result<Job, String> {
    check_app_name(app)?;
    let work = Work::of(cx).await.map_err(|e| e.to_string())?;
    let restic = repo::Reachable {
        work: work.clone(),
        listed: false,
    };
    let step = app::App {
        app: app.to_owned(),
        work: work.clone(),
        locked: part != Part::Alone,
        stopped: part == Part::Stopped,
        compared: false,
    };
    let steps: Vec<Box<dyn Step>> = vec![Box::new(restic), Box::new(step)];
    Ok(job(&work, title, Confirm::None, steps))
}

/// Every repository, the first one first; none when none is configured.
///
/// # Errors
/// A password can't be had.
pub(super) async fn every_repository(cx: &Context) -> Result<Vec<Restic>, BackupError> {
    match Work::of(cx).await {
        Ok(work) => Ok(std::iter::once(work.primary).chain(work.copies).collect()),
        Err(BackupError::NotConfigured) => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

/// Keeps how many snapshots a repository holds now that some were forgotten on purpose: the next night
/// does not take it for a loss.
///
/// # Errors
/// The repository or the manager can't be asked.
pub(super) async fn remember_count(cx: &Context, restic: &Restic) -> Result<(), BackupError> {
    guard::remember(&Work::of(cx).await?, restic).await
}

/// The steps that back up some applications, or all and the fleet's own files.
async fn backup(work: &Work, apps: &[String]) -> Result<Vec<Box<dyn Step>>, String> {
    let mut steps: Vec<Box<dyn Step>> = vec![Box::new(repo::Reachable {
        work: work.clone(),
        listed: true,
    })];
    let found = match apps {
        [] => odd::every(work).await,
        some => {
            for app in some {
                check_app_name(app)?;
            }
            odd::Found {
                apps: some.to_vec(),
                ..odd::Found::default()
            }
        }
    };
    if !found.strays.is_empty() {
        steps.push(Box::new(odd::Strays(found.strays)));
    }
    for app in found.apps {
        steps.push(Box::new(app::App {
            app,
            work: work.clone(),
            locked: false,
            stopped: false,
            compared: true,
        }));
    }
    for (app, why) in found.failed {
        steps.push(Box::new(odd::Failed {
            app,
            why,
            work: work.clone(),
        }));
    }
    if apps.is_empty() {
        steps.push(Box::new(app::Fleet { work: work.clone() }));
    }
    Ok(steps)
}

/// The repositories that a request is about: the named one, all that are checked or made, all
/// copies that are copied to.
fn chosen(work: &Work, what: &RepoWork, name: &str) -> Result<Vec<Restic>, String> {
    let all = || std::iter::once(&work.primary).chain(&work.copies);
    if name.is_empty() {
        let chosen: Vec<Restic> = match what {
            RepoWork::Copy => work.copies.clone(),
            RepoWork::Unlock { .. } => vec![work.primary.clone()],
            _ => all().cloned().collect(),
        };
        return match chosen.is_empty() {
            true => Err("there is no copy: add [[backup.copies]] to config.toml".into()),
            false => Ok(chosen),
        };
    }
    let found = all().find(|r| r.name() == name).cloned();
    let found = found.ok_or_else(|| {
        let names: Vec<&str> = all().map(Restic::name).collect();
        format!("there is no repository {name:?}, only {}", names.join(", "))
    })?;
    if *what == RepoWork::Copy && found.name() == work.primary.name() {
        return Err("the first repository is what is copied from".into());
    }
    Ok(vec![found])
}

/// A repository of config.toml by its name.
///
/// # Errors
/// There is none.
fn located<'a>(work: &'a Work, name: &str) -> Result<&'a crate::config::Repository, String> {
    let found = work.cx.config.backup.repository(name);
    found.ok_or_else(|| format!("there is no repository {name:?}"))
}

/// The state of every repository, read now: name, and the state or why it can't be told.
///
/// # Errors
/// No repository is configured, or a password can't be had.
pub async fn repositories(
    cx: &Context,
) -> Result<Vec<(String, Result<RepositoryState, BackupError>)>, BackupError> {
    let work = Work::of(cx).await?;
    let mut states = Vec::new();
    for restic in std::iter::once(&work.primary).chain(&work.copies) {
        states.push((restic.name().to_owned(), repo::state(restic).await));
    }
    Ok(states)
}

/// A snapshot in a list.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Listed {
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// The fleet that made it, when that is another one.
    pub other_fleet: Option<String>,
    /// It is dated in the future: a clock was wrong.
    pub ahead: bool,
}

/// The snapshots of the first repository, of one application or all, oldest first.
///
/// # Errors
/// [`BackupError`].
pub async fn snapshots(cx: &Context, app: Option<&str>) -> Result<Vec<Listed>, BackupError> {
    let work = Work::of(cx).await?;
    let all = work.primary.snapshots(&[]).await?;
    let view = work.view(&work.primary, &all).await?;
    let wanted = |s: &Snapshot| app.is_none_or(|app| s.app() == Some(app));
    let listed = |snapshot: Snapshot| Listed {
        other_fleet: view.owner(&snapshot).other().map(str::to_owned),
        ahead: view.is_ahead(&snapshot),
        snapshot,
    };
    Ok(all.into_iter().filter(wanted).map(listed).collect())
}

/// Whether there are files of an operator here that are brought to the storage node: not without
/// config.toml, and not on a manager, whose copy is the storage node's.
fn has_files(cx: &Context) -> bool {
    cx.config.path.is_some() && !files::is_managers(&cx.config)
}

/// What bringing the files of an application to the storage node would do; `None` where there is
/// nothing to bring from.
///
/// # Errors
/// One sentence.
pub async fn plan_files(cx: &Context, app: &str) -> Result<Option<PlannedFiles>, String> {
    if !has_files(cx) {
        return Ok(None);
    }
    let storage = super::holds::storage(cx)?;
    merge::plan(&cx.config, storage, Some(app)).await.map(Some)
}

/// Brings an application's file and stack to the storage node, where the manager's nightly backup
/// finds them, with config.toml. What else is there stays as it is.
///
/// # Errors
/// One sentence.
pub async fn push_files(cx: &Context, app: &str) -> Result<(), String> {
    match has_files(cx) {
        true => merge::push(&cx.config, super::holds::storage(cx)?, Some(app)).await,
        false => Ok(()),
    }
}

/// Takes a removed application out of the files on the storage node.
///
/// # Errors
/// One sentence.
pub async fn strike_files(cx: &Context, app: &str) -> Result<(), String> {
    crate::stack::check_app_name(app)?;
    merge::strike(&cx.config, super::holds::storage(cx)?, app).await
}

/// The operators' files on the storage node and those here.
///
/// # Errors
/// One sentence.
pub async fn both_files(cx: &Context) -> Result<(FilesThere, FilesHere), String> {
    let there = FilesThere::read(&cx.config, super::holds::storage(cx)?).await?;
    Ok((there, FilesHere::read(&cx.config)?))
}

/// Backups that run on the storage node now, begun by a console that is gone or by another one:
/// asking for them again watches them to their end.
///
/// # Errors
/// When the storage node can't be asked.
pub async fn running(cx: &Context) -> Result<Vec<Request>, BackupError> {
    if cx.config.backup.primary().is_none() {
        return Ok(Vec::new());
    }
    let Some(storage) = cx.nodes.get(&cx.config.storage.node) else {
        return Ok(Vec::new());
    };
    let units = storage.host.lasting("matou-").await?;
    let known = |unit: &String| -> Option<Request> {
        if let Some(app) = unit.strip_prefix(UNIT) {
            let apps = vec![app.to_owned()];
            return Some(Request::Backup { apps });
        }
        let (what, name) = unit.strip_prefix("matou-")?.split_once('-')?;
        cx.config.backup.repository(name)?;
        let what = match what {
            "check" => RepoWork::Check {
                data: CheckData::None,
            },
            "prune" => RepoWork::Prune,
            "copy" => RepoWork::Copy,
            _ => return None,
        };
        Some(Request::Repo {
            what,
            repository: name.to_owned(),
            with: None,
            accept: Vec::new(),
        })
    };
    Ok(units.iter().filter_map(known).collect())
}
