//! Backups: of applications and the fleet, and the care of repositories.

mod anomalies;
mod app;
mod attack;
mod context;
mod dump;
mod files;
mod merge;
mod nightly;
mod operator_key;
mod repo;
mod restic_unit;
mod scope;

use super::{FleetContext, Request};
use crate::OpsError;
use matou_backup::{BackupError, Restic, ResticSnapshot};
use matou_base::text::InvalidInput;
use matou_job::{Confirm, Job, Stage, Step};
use matou_stack::AppName;

pub use merge::AppFilesState;
pub use nightly::{run_nightly_backup, take_over_fleet_files};
pub use repo::{CheckData, LockFile, RepoWork, RepositoryState};
pub use restic_unit::format_restic_progress;

pub(super) use app::read_own_stack;
use context::BackupContext;
pub(super) use dump::make_dump as dump;
use merge::{FleetFilesPlan, LocalFleetFiles, StoredFleetFiles};
pub(super) use restic_unit::{run_restic_exclusively, run_restic_unit as run_unit};

/// What the units of applications' backups begin with; the application's name follows.
pub const APP_UNIT_PREFIX: &str = "matou-backup-app-";

/// The unit of the backup of the fleet's own files.
const FLEET_UNIT: &str = "matou-backup-fleet";

/// Makes the job of a request about backups.
///
/// # Errors
/// One sentence: no repository is configured, its password can't be had, there is no such
/// application or repository.
pub(super) async fn build_backup_job(
    request: &Request,
    fleet: &FleetContext,
) -> Result<Job, OpsError> {
    let work = BackupContext::open(fleet).await?;
    let (confirm, steps) = match request {
        Request::Backup { apps } => (Confirm::None, backup_steps(&work, apps).await?),
        Request::Repo {
            what,
            repository,
            with: Some(file),
            accept,
        } => {
            return operator_key::build_operator_key_job(
                &work,
                request.title(),
                what,
                repository,
                file,
                accept,
            )
            .await;
        }
        Request::Repo {
            what,
            repository,
            with: None,
            accept,
        } => {
            let chosen = choose_repositories(&work, what, repository)?;
            if matches!(what, RepoWork::Forget | RepoWork::Prune)
                && chosen.iter().all(Restic::is_append_only)
            {
                return Err(OpsError::Failed(repo::explain_append_only(
                    &chosen[0], what,
                )));
            }
            let confirm = match what {
                RepoWork::Unlock { all: true } => Confirm::TypeName(chosen[0].name().to_owned()),
                RepoWork::Unlock { .. } | RepoWork::Forget | RepoWork::Prune => Confirm::Ask,
                RepoWork::Init | RepoWork::Attack => Confirm::Ask,
                RepoWork::Check { .. } | RepoWork::Copy => Confirm::None,
            };
            let step = |r: &Restic| -> Box<dyn Step> {
                match what {
                    RepoWork::Attack => Box::new(attack::AttackRepository::new(&work, r)),
                    _ => Box::new(
                        repo::RepositoryStep::new(&work, r, what.clone()).with_accepted(accept),
                    ),
                }
            };
            let steps = chosen.iter().map(step).collect();
            (confirm, steps)
        }
        other => {
            return Err(OpsError::failed(format_args!(
                "{} is no work on backups",
                other.title()
            )));
        }
    };
    Ok(storage_node_job(&work, request.title(), confirm, steps))
}

fn storage_node_job(
    work: &BackupContext,
    title: String,
    confirm: Confirm,
    steps: Vec<Box<dyn Step>>,
) -> Job {
    let stage = Stage::on_node(title.clone(), &work.storage, steps);
    Job::new(title, confirm, vec![stage])
}

/// Builds a job that backs up one application. Its plan, which nobody waits for, does not say when
/// the last snapshot was made; errors of the repository come from restic itself.
///
/// # Errors
/// Those of [`build_backup_job`].
pub(super) async fn build_app_backup_job(
    app: &AppName,
    fleet: &FleetContext,
) -> Result<Job, OpsError> {
    let apps = vec![app.clone()];
    let title = Request::Backup { apps }.title();
    build_single_backup_job(app, fleet, title, AppBackupMode::Alone).await
}

/// Builds a job that backs up one application, as a part of a job that holds its lock.
///
/// # Errors
/// Those of [`build_backup_job`].
pub(super) async fn build_running_app_backup(
    app: &str,
    fleet: &FleetContext,
) -> Result<Job, OpsError> {
    build_single_backup_job(app, fleet, format!("back up {app}"), AppBackupMode::Inside).await
}

/// Builds a job that backs up a stopped application, as a part of a job that holds its lock. Only
/// the services that its dumps need run.
///
/// # Errors
/// Those of [`build_backup_job`].
pub(super) async fn build_stopped_app_backup(
    app: &str,
    fleet: &FleetContext,
) -> Result<Job, OpsError> {
    build_single_backup_job(
        app,
        fleet,
        format!("back up {app}, stopped"),
        AppBackupMode::Stopped,
    )
    .await
}

/// What job the backup of one application belongs to.
#[derive(PartialEq)]
enum AppBackupMode {
    Alone,
    /// To a job that holds the application's lock.
    Inside,
    /// To a job that holds the application's lock and has stopped it.
    Stopped,
}

async fn build_single_backup_job(
    app: &str,
    fleet: &FleetContext,
    title: String,
    part: AppBackupMode,
) -> Result<Job, OpsError> {
    let work = BackupContext::open(fleet).await?;
    let restic = repo::CheckRepositoryReachable {
        work: work.clone(),
        lists_snapshots: false,
    };
    let step = app::BackUpApp {
        app: app.to_owned(),
        work: work.clone(),
        already_locked: part != AppBackupMode::Alone,
        stopped: part == AppBackupMode::Stopped,
        tells_last_snapshot: false,
    };
    let steps: Vec<Box<dyn Step>> = vec![Box::new(restic), Box::new(step)];
    Ok(storage_node_job(&work, title, Confirm::None, steps))
}

/// Every repository, the first one first; none when none is configured.
///
/// # Errors
/// A password can't be had.
pub(super) async fn open_all_repositories(
    fleet: &FleetContext,
) -> Result<Vec<Restic>, BackupError> {
    match BackupContext::open(fleet).await {
        Ok(work) => Ok(std::iter::once(work.primary).chain(work.copies).collect()),
        Err(BackupError::NotConfigured) => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

/// Writes down how many snapshots a repository holds after some were forgotten on purpose, so that
/// the next nightly backup does not report a loss.
///
/// # Errors
/// The repository or the manager can't be asked.
pub(super) async fn record_snapshot_counts(
    fleet: &FleetContext,
    restic: &Restic,
) -> Result<(), BackupError> {
    anomalies::keep_snapshot_counts(&BackupContext::open(fleet).await?, restic).await
}

/// The steps that back up some applications, or all and the fleet's own files.
async fn backup_steps(
    work: &BackupContext,
    apps: &[AppName],
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    let mut steps: Vec<Box<dyn Step>> = vec![Box::new(repo::CheckRepositoryReachable {
        work: work.clone(),
        lists_snapshots: true,
    })];
    let found = match apps {
        [] => scope::find_backup_scope(work).await,
        some => scope::BackupScope {
            apps: some.to_vec(),
            ..scope::BackupScope::default()
        },
    };
    if !found.strays.is_empty() {
        steps.push(Box::new(scope::ReportStrayFiles(found.strays)));
    }
    for app in found.apps {
        steps.push(Box::new(app::BackUpApp {
            app: app.into(),
            work: work.clone(),
            already_locked: false,
            stopped: false,
            tells_last_snapshot: true,
        }));
    }
    for (app, why) in found.failed {
        steps.push(Box::new(scope::RefuseAppBackup {
            app,
            why,
            work: work.clone(),
        }));
    }
    if apps.is_empty() {
        steps.push(Box::new(app::BackUpFleet { work: work.clone() }));
    }
    Ok(steps)
}

/// Returns the repositories that a request is about: the named one. Without a name: all, for `copy`
/// all copies, for `unlock` the primary one.
fn choose_repositories(
    work: &BackupContext,
    what: &RepoWork,
    name: &str,
) -> Result<Vec<Restic>, OpsError> {
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
        InvalidInput::new(format_args!(
            "there is no repository {name:?}, only {}",
            names.join(", ")
        ))
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
fn find_configured_repository<'a>(
    work: &'a BackupContext,
    name: &str,
) -> Result<&'a matou_config::RepositoryConfig, OpsError> {
    let found = work.fleet.config.backup.find_repository(name);
    let found =
        found.ok_or_else(|| InvalidInput::new(format_args!("there is no repository {name:?}")));
    Ok(found?)
}

/// The state of every repository, read now: name, and the state or why it can't be told.
///
/// # Errors
/// No repository is configured, or a password can't be had.
pub async fn query_repository_states(
    fleet: &FleetContext,
) -> Result<Vec<(String, Result<RepositoryState, BackupError>)>, BackupError> {
    let work = BackupContext::open(fleet).await?;
    let mut states = Vec::new();
    for restic in std::iter::once(&work.primary).chain(&work.copies) {
        states.push((
            restic.name().to_owned(),
            repo::query_repository_state(restic).await,
        ));
    }
    Ok(states)
}

/// A snapshot in a list.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ListedSnapshot {
    /// As restic lists it.
    #[serde(flatten)]
    pub snapshot: ResticSnapshot,
    /// The fleet that made it, when that is another one.
    pub other_fleet: Option<String>,
    /// It is dated in the future: a clock was wrong.
    pub ahead: bool,
}

/// The snapshots of the first repository, of one application or all, oldest first.
///
/// # Errors
/// [`BackupError`].
pub async fn list_primary_snapshots(
    fleet: &FleetContext,
    app: Option<&str>,
) -> Result<Vec<ListedSnapshot>, BackupError> {
    let work = BackupContext::open(fleet).await?;
    let all = work.primary.list_snapshots(&[]).await?;
    let view = work.snapshot_view(&work.primary, &all).await?;
    let wanted = |s: &ResticSnapshot| app.is_none_or(|app| s.app() == Some(app));
    let listed = |snapshot: ResticSnapshot| ListedSnapshot {
        other_fleet: view.owner(&snapshot).other_fleet().map(str::to_owned),
        ahead: view.is_ahead(&snapshot),
        snapshot,
    };
    Ok(all.into_iter().filter(wanted).map(listed).collect())
}

/// Whether this machine has fleet files to send to the storage node. False without a config.toml,
/// and on a manager, whose files come from the storage node.
fn has_local_files(fleet: &FleetContext) -> bool {
    fleet.config.path.is_some() && !files::is_manager_copy(&fleet.config)
}

/// What bringing the files of an application to the storage node would do; `None` where there is
/// nothing to bring from.
///
/// # Errors
/// One sentence.
pub async fn plan_app_files_push(
    fleet: &FleetContext,
    app: &str,
) -> Result<Option<FleetFilesPlan>, OpsError> {
    if !has_local_files(fleet) {
        return Ok(None);
    }
    let storage = super::holds::find_storage_host(fleet)?;
    merge::plan_fleet_files_push(&fleet.config, storage, Some(app))
        .await
        .map(Some)
}

/// Brings an application's file and stack to the storage node, where the manager's nightly backup
/// finds them, with config.toml. What else is there stays as it is.
///
/// # Errors
/// One sentence.
pub async fn push_app_files(fleet: &FleetContext, app: &str) -> Result<(), OpsError> {
    match has_local_files(fleet) {
        true => {
            merge::push_fleet_files(
                &fleet.config,
                super::holds::find_storage_host(fleet)?,
                Some(app),
            )
            .await
        }
        false => Ok(()),
    }
}

/// Takes a removed application out of the files on the storage node.
///
/// # Errors
/// One sentence.
pub async fn remove_app_files(fleet: &FleetContext, app: &AppName) -> Result<(), OpsError> {
    merge::remove_from_fleet_files(&fleet.config, super::holds::find_storage_host(fleet)?, app)
        .await
}

/// The operators' files on the storage node and those here.
///
/// # Errors
/// One sentence.
pub async fn load_fleet_files(
    fleet: &FleetContext,
) -> Result<(StoredFleetFiles, LocalFleetFiles), OpsError> {
    let there =
        StoredFleetFiles::load(&fleet.config, super::holds::find_storage_host(fleet)?).await?;
    Ok((there, LocalFleetFiles::load(&fleet.config)?))
}

/// Lists the requests whose units run on the storage node now, begun by another console or one that
/// has ended. Making such a request again watches its unit to the end.
///
/// # Errors
/// The storage node can't be asked.
pub async fn list_running_backups(fleet: &FleetContext) -> Result<Vec<Request>, BackupError> {
    if fleet.config.backup.primary_repository().is_none() {
        return Ok(Vec::new());
    }
    let Some(storage) = fleet.nodes.get(&fleet.config.storage.node) else {
        return Ok(Vec::new());
    };
    let units = storage.host.list_detached_units("matou-").await?;
    let known = |unit: &String| -> Option<Request> {
        if let Some(app) = unit.strip_prefix(APP_UNIT_PREFIX) {
            let apps = vec![AppName::new(app).ok()?];
            return Some(Request::Backup { apps });
        }
        let (what, name) = unit.strip_prefix("matou-")?.split_once('-')?;
        fleet.config.backup.find_repository(name)?;
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
