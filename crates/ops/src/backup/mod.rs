//! Backups: of applications and the fleet, and the care of repositories.

mod anomalies;
mod app;
mod app_jobs;
mod attack;
mod context;
mod dump;
mod files;
mod fleet_files;
mod merge;
mod nightly;
mod operator_key;
mod repo;
mod repositories;
mod restic_unit;
mod scope;
mod unit_names;
mod volume_copy;

use super::{FleetContext, Request};
use crate::OpsError;
use crate::repo_work::{CheckData, RepoWork};
use matou_backup::{BackupError, Restic, ResticSnapshot};
use matou_collect::NameCache;
use matou_i18n::tr;
use matou_job::{Confirm, Job, Step};
use matou_stack::AppName;

pub use fleet_files::{load_fleet_files, plan_app_files_push, push_app_files, remove_app_files};
pub use merge::AppFilesState;
pub use nightly::{run_nightly_backup, take_over_fleet_files};
pub use repo::{LockFile, RepositoryState};
pub use restic_unit::format_restic_progress;
pub use unit_names::APP_UNIT_PREFIX;

pub(super) use app::read_own_stack;
use app_jobs::{backup_steps, storage_node_job};
pub(super) use app_jobs::{
    build_app_backup_job, build_running_app_backup, build_stopped_app_backup,
};
use context::BackupContext;
pub(super) use dump::make_dump as dump;
pub(super) use files::{collect_fleet_files, is_manager_copy};
pub(crate) use fleet_files::keeps_fleet_files;
pub(super) use merge::select_app_files;
use repositories::choose_repositories;
pub(super) use repositories::open_all_repositories;
pub(super) use restic_unit::{run_restic_exclusively, run_restic_unit as run_unit};

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
            return Err(OpsError::failed(tr!(
                "{} is no work on backups",
                other.title()
            )));
        }
    };
    Ok(storage_node_job(&work, request.title(), confirm, steps))
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
    let named = all.iter().filter_map(|s| Some((&*s.id, s.app()?, s.time)));
    NameCache::of_config(&fleet.config).keep_snapshots(named);
    let wanted = |s: &ResticSnapshot| app.is_none_or(|app| s.app() == Some(app));
    let listed = |snapshot: ResticSnapshot| ListedSnapshot {
        other_fleet: view.owner(&snapshot).other_fleet().map(str::to_owned),
        ahead: view.is_ahead(&snapshot),
        snapshot,
    };
    Ok(all.into_iter().filter(wanted).map(listed).collect())
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
