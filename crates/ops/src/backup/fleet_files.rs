//! The operators' files, config.toml, apps/ and stacks/, between this machine and the storage node.

use super::files;
use super::merge::{self, FleetFilesPlan, LocalFleetFiles, StoredFleetFiles};
use crate::{FleetContext, OpsError};
use matou_config::Config;
use matou_stack::AppName;

/// Whether this machine has fleet files to send to the storage node. False without a config.toml,
/// and on a manager, whose files come from the storage node.
pub(super) fn has_local_files(fleet: &FleetContext) -> bool {
    fleet.config.path.is_some() && !files::is_manager_copy(&fleet.config)
}

/// Whether the storage node keeps the operators' files: a manager's night reads them there, to back up, and
/// to know which images they name.
pub(crate) fn keeps_fleet_files(config: &Config) -> bool {
    config.backup.primary_repository().is_some() || config.room.floor.is_some()
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
    let storage = &fleet.find_storage_node()?.host;
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
            merge::push_fleet_files(&fleet.config, &fleet.find_storage_node()?.host, Some(app))
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
    merge::remove_from_fleet_files(&fleet.config, &fleet.find_storage_node()?.host, app).await
}

/// The operators' files on the storage node and those here.
///
/// # Errors
/// One sentence.
pub async fn load_fleet_files(
    fleet: &FleetContext,
) -> Result<(StoredFleetFiles, LocalFleetFiles), OpsError> {
    let there = StoredFleetFiles::load(&fleet.config, &fleet.find_storage_node()?.host).await?;
    Ok((there, LocalFleetFiles::load(&fleet.config)?))
}
