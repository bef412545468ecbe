//! Jobs that back up applications.

use super::context::BackupContext;
use super::{app, repo, scope};
use crate::{FleetContext, OpsError, Request};
use matou_i18n::tr;
use matou_job::{Confirm, Job, Stage, Step};
use matou_stack::AppName;

/// Builds a job that backs up one application. Its plan, which nobody waits for, does not say when
/// the last snapshot was made; errors of the repository come from restic itself.
///
/// # Errors
/// Those of [`super::build_backup_job`].
pub(crate) async fn build_app_backup_job(
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
/// Those of [`super::build_backup_job`].
pub(crate) async fn build_running_app_backup(
    app: &str,
    fleet: &FleetContext,
) -> Result<Job, OpsError> {
    build_single_backup_job(app, fleet, tr!("back up {app}"), AppBackupMode::Inside).await
}

/// Builds a job that backs up a stopped application, as a part of a job that holds its lock. Only
/// the services that its dumps need run.
///
/// # Errors
/// Those of [`super::build_backup_job`].
pub(crate) async fn build_stopped_app_backup(
    app: &str,
    fleet: &FleetContext,
) -> Result<Job, OpsError> {
    build_single_backup_job(
        app,
        fleet,
        tr!("back up {app}, stopped"),
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

/// The steps that back up some applications, or all and the fleet's own files.
pub(super) async fn backup_steps(
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

pub(super) fn storage_node_job(
    work: &BackupContext,
    title: String,
    confirm: Confirm,
    steps: Vec<Box<dyn Step>>,
) -> Job {
    let stage = Stage::on_node(title.clone(), &work.storage, steps);
    Job::new(title, confirm, vec![stage])
}
