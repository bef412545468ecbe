//! The operations: turns a [`Request`] into a [`Job`]; one file an operation.

// Stricter than Cargo.toml is with tests, benches and examples.
#![cfg_attr(
    not(test),
    deny(
        clippy::disallowed_macros,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

mod availability;
mod backup;
mod context;
mod deploy;
mod edge_settings;
mod erase;
mod error;
mod export;
mod holds;
mod membership;
mod node;
mod reboot;
pub mod recover;
pub mod relocate;
mod remove;
mod renew;
mod request;
pub(crate) mod restore;
mod service;
mod shell;
#[cfg(test)]
mod swarm_fixture;
mod tasks;
mod unban;
mod versions;

use matou_docker::NodeHandle;
use matou_job::{Confirm, Job, Stage, Step};

pub use backup::format_restic_progress;
pub use backup::{
    APP_UNIT_PREFIX as BACKUP_UNIT, AppFilesState, CheckData, ListedSnapshot, LockFile, RepoWork,
    RepositoryState, list_primary_snapshots, list_running_backups, load_fleet_files,
    plan_app_files_push, push_app_files, query_repository_states, remove_app_files,
    run_nightly_backup, take_over_fleet_files,
};
pub use context::FleetContext;
pub use error::OpsError;
pub use request::{Request, RestoreDestination, RestoreScope};
pub use shell::{ShellTarget, build_shell_command, find_shell_target};
pub use versions::{ServiceVersions, query_newer_versions};

/// Makes the job that carries out `request`. Reads what it must from the fleet and changes
/// nothing.
///
/// # Errors
/// One sentence: no manager answers, the request names something that does not exist, or a stack
/// file is wrong.
pub async fn build_job(request: &Request, fleet: &FleetContext) -> Result<Job, OpsError> {
    let mut job = dispatch_request(request, fleet).await?;
    if job.holds.is_empty() {
        holds::hold_touched_apps(&mut job, request, fleet).await?;
    }
    Ok(job)
}

async fn dispatch_request(request: &Request, fleet: &FleetContext) -> Result<Job, OpsError> {
    match request {
        // A blank fleet has no manager yet.
        Request::Provision { options } => {
            return Ok(matou_provision::provision_job(
                &fleet.config,
                &fleet.nodes,
                options,
            )?);
        }
        Request::Backup { .. } | Request::Repo { .. } => {
            return backup::build_backup_job(request, fleet).await;
        }
        Request::Role { node, .. }
        | Request::Leave { node }
        | Request::RemoveNode { node }
        | Request::Reboot { node }
        | Request::Upgrade { node } => return node::build_node_job(request, node, fleet).await,
        Request::Restore { .. }
        | Request::RestoreAll
        | Request::RestoreUndo { .. }
        | Request::RestoreForget { .. }
        | Request::Verify { .. } => return restore::build_restore_job(request, fleet).await,
        Request::Export { .. } => return export::build_export_job(request, fleet).await,
        Request::Erase { app } => return erase::build_erase_job(app, fleet).await,
        // It is about servers, not about their swarm.
        Request::Unban { address, node } => {
            return unban::build_unban_job(request, address, node.as_deref(), fleet);
        }
        Request::Recover => {
            let (options, findings) = Default::default();
            return recover::build_recovery_job(fleet, &options, &findings).await;
        }
        Request::Move { apps, to } => {
            return relocate::build_move_job(fleet, apps, to.as_ref(), &Default::default()).await;
        }
        _ => {}
    }
    let manager = fleet.nodes.find_manager().await?;
    let (confirm, steps) = match request {
        Request::Deploy { .. }
        | Request::Redeploy { .. }
        | Request::Update { .. }
        | Request::Place { .. } => (
            Confirm::Ask,
            deploy::deploy_request_steps(request, manager, fleet).await?,
        ),
        Request::Switch { app, switches } => (
            Confirm::Ask,
            edge_settings::edge_settings_steps(app, switches, manager, fleet).await?,
        ),
        Request::RenewCertificate { domain } => (
            Confirm::TypeName(domain.clone()),
            renew::renewal_steps(domain, fleet)?,
        ),
        Request::Rollback { service } => (Confirm::Ask, service::rollback_steps(service)),
        Request::Remove { app, volumes } => (
            Confirm::TypeName(app.to_string()),
            remove::remove_steps(app, volumes, fleet)?,
        ),
        Request::Scale { service, replicas } => {
            (Confirm::Ask, service::scale_steps(service, *replicas))
        }
        Request::Restart { service } => (Confirm::Ask, service::restart_steps(service)),
        Request::Availability { node, to } => {
            let id = node::query_swarm_node_id(node, fleet).await;
            (
                Confirm::Ask,
                availability::availability_steps(node, id, *to),
            )
        }
        _ => unreachable!("built above"),
    };
    Ok(build_job_on_node(manager, request, confirm, steps))
}

/// Makes the job that carries out `request`, for a caller that shows no plan: what would only be
/// shown there is not read from the fleet.
///
/// # Errors
/// One sentence, for the same reasons as [`build_job`].
pub async fn build_job_at_once(request: &Request, fleet: &FleetContext) -> Result<Job, OpsError> {
    match request {
        Request::Backup { apps } if apps.len() == 1 => {
            backup::build_app_backup_job(&apps[0], fleet).await
        }
        other => build_job(other, fleet).await,
    }
}

/// A job of one stage on one node.
fn build_job_on_node(
    node: &NodeHandle,
    request: &Request,
    confirm: Confirm,
    steps: Vec<Box<dyn Step>>,
) -> Job {
    let stage = Stage::on_node(request.title(), node, steps);
    Job::new(request.title(), confirm, vec![stage])
}

/// The newest version of each secret that is kept for an application.
///
/// # Errors
/// One sentence, when the storage node can't be asked.
pub async fn read_secret_versions(
    fleet: &FleetContext,
    app: &str,
) -> Result<std::collections::BTreeMap<String, u32>, OpsError> {
    deploy::secrets::SecretStore::open(fleet, app)?
        .newest_versions()
        .await
}

/// The value of a secret of an application.
///
/// # Errors
/// One sentence: there is none of that name, or the storage node can't be asked.
pub async fn read_secret(
    fleet: &FleetContext,
    app: &str,
    name: &str,
) -> Result<secrecy::SecretString, OpsError> {
    let store = deploy::secrets::SecretStore::open(fleet, app)?;
    let versions = store.newest_versions().await?;
    let version = versions.get(name).ok_or_else(|| {
        let names: Vec<&str> = versions.keys().map(String::as_str).collect();
        match names.as_slice() {
            [] => format!("no secret of {app} is kept"),
            some => format!("{app} has no secret {name:?}: it has {}", some.join(", ")),
        }
    })?;
    store.read_value(name, *version).await
}
