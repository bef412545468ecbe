//! Erasing an application: everything that is known of it is destroyed, in every repository too, and
//! a dated record says what was, what could not be, and until when that stays.
//!
//! What belongs to it is written down on the storage node before anything is destroyed
//! (`.matou/erased/APP.begun.json`), so that the same command goes on after an interruption at any
//! moment: its services, its file and its snapshots may be gone by then.

mod context;
mod inventory;
mod kept_data;
mod objects;
mod record;
mod repository;
mod volumes;

use matou_i18n::tr;
use std::sync::{Arc, Mutex};

use super::deploy::secrets::read_secret_versions;
use super::job_on_node::build_job_on_node;
use super::remove::RemoveApp;
use super::{FleetContext, Request, backup, check_app_is_known, check_app_was_known};
use crate::OpsError;
use matou_job::{Confirm, Job, Step};
use matou_stack::AppName;

use context::EraseContext;
use inventory::EraseInventory;

/// Makes the job of [`Request::Erase`].
///
/// # Errors
/// One sentence: no manager answers, the storage node can't be asked, or something of the
/// application is just being backed up or restored.
pub(super) async fn build_erase_job(app: &AppName, fleet: &FleetContext) -> Result<Job, OpsError> {
    let storage = fleet.find_storage_node()?.clone();
    let busy = storage.host.list_detached_units("matou-").await;
    let busy = busy?;
    let own = [
        format!("{}{app}", backup::APP_UNIT_PREFIX),
        format!("matou-restore-{app}"),
        format!("matou-verify-{app}"),
    ];
    if let Some(unit) = busy.iter().find(|u| own.contains(u)) {
        return Err(OpsError::failed(tr!(
            "{unit} works on {app} now: wait until it has ended, or stop it"
        )));
    }
    let manager = fleet.nodes.find_manager().await?;
    let repositories = backup::open_all_repositories(fleet).await;
    let repositories = repositories?;
    let known = EraseInventory::gather(fleet, app, manager, &storage, &repositories).await?;
    if known.volumes.is_empty()
        && !known.resumed
        && read_secret_versions(fleet, app).await?.is_empty()
        && !record::has_record(fleet, app, &storage).await?
    {
        match repositories.is_empty() {
            true => check_app_is_known(fleet, app).await?,
            false => check_app_was_known(fleet, app).await?,
        }
    }
    let work = Arc::new(EraseContext {
        fleet: fleet.clone(),
        app: app.clone(),
        storage,
        inventory: known,
        repositories,
        leftovers: Mutex::default(),
    });
    let gone = work
        .inventory
        .volumes
        .iter()
        .map(|v| v.name.clone())
        .collect();
    let dropped = crate::remove::drop_names_step(app, fleet).await?;
    let mut steps: Vec<Box<dyn Step>> = vec![
        Box::new(record::WriteEraseInventory(work.clone())),
        Box::new(RemoveApp {
            app: app.to_string(),
            volumes_removed_later: gone,
            file_stays: false,
            kept: None,
        }),
        Box::new(objects::RemoveSwarmObjects(work.clone())),
        Box::new(objects::ForgetCertificates(work.clone())),
        Box::new(kept_data::RemoveAppFiles(work.clone())),
        Box::new(kept_data::RemoveKeptData(work.clone())),
        Box::new(volumes::EraseVolumes(work.clone())),
    ];
    steps.extend(dropped);
    for nth in 0..work.repositories.len() {
        steps.push(Box::new(repository::EraseSnapshots::new(work.clone(), nth)));
    }
    steps.push(Box::new(record::WriteEraseRecord(work.clone())));
    let request = Request::Erase { app: app.clone() };
    let confirm = Confirm::TypeName(app.to_string());
    Ok(build_job_on_node(manager, &request, confirm, steps))
}
