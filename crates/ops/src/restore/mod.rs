//! Restores: a file or folder, an application in place or under another name, everything. Also
//! undoing a restore, and proving that one would work.
//!
//! Nothing is overwritten. restic writes to a staging folder on the same file system. Then the
//! services are stopped and the folders are swapped by renames. What was live before is set aside
//! until the operator lets it go. The swap log on the storage node says how far a restore is, so
//! that an interrupted one can be taken back.
//!
//! The path of a restore into place, a file a phase: `source` (which snapshot, and what it holds),
//! `parts` and `plan` (what goes where), `begin` (the swap log is opened), `staging` (restic writes
//! beside), `exchange` (services stop, the folders of `volume_swap` change places), `bring_up` and `database` (services
//! start, dumps are loaded), `undo` (what was set aside comes back, or is let go). `state_machine`
//! holds the order of these, and what an interruption anywhere leads to; `explored` tries them all.

mod absent;
mod begin;
mod bring_up;
mod database;
mod environment;
mod exchange;
#[cfg(test)]
mod explored;
mod folder_users;
mod incoming;
mod into_folder;
mod new_volume;
mod parts;
mod pins;
mod places;
mod plan;
mod proof;
mod renames;
mod send;
pub(crate) mod services;
mod settled;
mod source;
mod staging;
mod staging_update;
mod state_machine;
mod swap_log;
mod swap_steps;
mod throw_away;
mod undo;
mod volume_swap;

use matou_i18n::tr;
use std::path::PathBuf;

use async_trait::async_trait;
use futures_util::future::join_all;

use super::{FleetContext, Request, RestoreScope};
use crate::OpsError;
use matou_backup as backup;
use matou_config::StorageDriver;
use matou_docker::NodeHandle;
use matou_job::{Change, Confirm, Job, Report, Stage as JobStage, Step, StepContext, StepError};

use matou_stack::AppName;

use plan::{restore_in_place_steps, restore_steps};
use swap_steps::query_docker_root;

pub(crate) use database::{
    DatabaseMark, database_data_folder, database_mark_script, portable_load_scripts,
};
pub(crate) use exchange::TAKE_BACK_LIMIT;
pub(crate) use incoming::IncomingApp;
pub(crate) use parts::{find_holding_volume, parse_stack_mounts as mounted};
pub(crate) use plan::find_restore_parts;
pub(crate) use settled::{CheckRestoresSettled, check_restore_settled};
pub(crate) use source::RestoreSource;
pub(crate) use source::list_apps_with_snapshots;
pub(crate) use state_machine::has_to_deploy;
pub(crate) use swap_log::SwapLog;
pub(crate) use throw_away::{
    ThrowAwayCopy, claim_throw_away_name, is_claimed, remove_throw_away_app,
};

/// Applications that have no snapshot: told, and left as they are.
struct AppsWithoutSnapshot(Vec<AppName>);

#[async_trait]
impl Report for AppsWithoutSnapshot {
    fn name(&self) -> String {
        tr!("without a snapshot").into()
    }

    async fn report(&self, _: &StepContext) -> Result<Vec<Change>, StepError> {
        let lines = self.0.iter();
        let line = |app| {
            Change::same(tr!(
                "{app} has no snapshot that is restored unnamed: it is left as it is"
            ))
        };
        Ok(lines.map(line).collect())
    }
}

/// Makes the steps that restore every application, after one that names those without a snapshot.
async fn restore_all_steps(cx: &FleetContext) -> Result<Vec<Box<dyn Step>>, OpsError> {
    let mut steps: Vec<Box<dyn Step>> = Vec::new();
    let mut without = Vec::new();
    let swarm = cx.query_swarm().await?;
    let saved = list_apps_with_snapshots(cx).await?;
    for app in backup::list_app_names(&cx.config, &swarm) {
        match saved.contains(&app) {
            true => {
                let source = RestoreSource::load_whole(cx, &app, None).await?;
                steps.extend(restore_in_place_steps(cx, source).await?);
            }
            false => without.push(app),
        }
    }
    if steps.is_empty() {
        return Err(tr!("there is no application that could be restored").into());
    }
    steps.insert(0, Box::new(AppsWithoutSnapshot(without)));
    Ok(steps)
}

/// Asks every node where its engine keeps volumes.
async fn query_docker_roots<'a>(
    cx: &'a FleetContext,
) -> Vec<(&'a NodeHandle, Result<PathBuf, OpsError>)> {
    let ask = |node: &'a NodeHandle| async move { (node, query_docker_root(&node.host).await) };
    join_all(cx.nodes.iter().map(ask)).await
}

/// Makes the job of a request about restores.
pub(super) async fn build_restore_job(
    request: &Request,
    cx: &FleetContext,
) -> Result<Job, OpsError> {
    let storage = cx.find_storage_node()?;
    let data = backup::matou_folder(&cx.config);
    let (confirm, steps) = match request {
        Request::Restore {
            app,
            snapshot,
            what,
            to,
        } => {
            let source = match what {
                RestoreScope::App => {
                    RestoreSource::load_whole(cx, app, snapshot.as_deref()).await?
                }
                RestoreScope::Path { .. } => {
                    RestoreSource::load(cx, app, snapshot.as_deref()).await?
                }
            };
            restore_steps(cx, source, what, to).await?
        }
        Request::RestoreAll => {
            let steps = restore_all_steps(cx).await?;
            (Confirm::TypeName(cx.config.fleet.name.clone()), steps)
        }
        Request::RestoreUndo { app } => {
            let undo: Box<dyn Step> = Box::new(undo::UndoRestore {
                app: app.to_string(),
                fleet: cx.clone(),
                swap_log: SwapLog::new(&storage.host, &data, app),
            });
            (Confirm::TypeName(app.to_string()), vec![undo])
        }
        Request::RestoreForget { app } => {
            let swap_log = SwapLog::new(&storage.host, &data, app);
            let mut folders = vec![(swap_log.clone(), data.join("restores").join(app))];
            let mut silent = Vec::new();
            if cx.config.storage.driver == StorageDriver::Local {
                for (node, root) in query_docker_roots(cx).await {
                    match root {
                        Ok(root) => {
                            let folder = root.join(swap_log::ENGINE_RESTORES).join(app);
                            folders.push((swap_log.on_host(&node.host), folder));
                        }
                        Err(why) if node.config.name == cx.config.storage.node => return Err(why),
                        Err(_) => silent.push(node.config.name.clone()),
                    }
                }
            }
            let forget: Box<dyn Step> = Box::new(undo::ForgetRestore {
                app: app.to_string(),
                fleet: cx.clone(),
                folders,
                silent,
                swap_log,
            });
            (Confirm::TypeName(app.to_string()), vec![forget])
        }
        Request::Verify { apps } => (Confirm::None, proof::proof_steps(cx, apps).await?),
        _ => return Err(tr!("this is no request about restores").into()),
    };
    let stage = JobStage::on_node(request.title(), storage, steps);
    let mut job = Job::new(request.title(), confirm, vec![stage]);
    job.lock = true;
    Ok(job)
}
