//! Names that nobody knows: told before anything is planned, in one way whatever the request is.

use matou_i18n::tr;
use std::collections::BTreeSet;

use super::restore::{SwapLog, list_apps_with_snapshots};
use super::{FleetContext, OpsError, Request};
use matou_backup::matou_folder;
use matou_base::text::InvalidInput;
use matou_config::{find_nearest_name, unknown_name};
use matou_model::Swarm;
use matou_stack::{AppFile, AppName};

/// Names of nodes: those of config.toml, and of the swarm.
pub(crate) fn unknown_node<'a>(
    given: &str,
    fleet: &'a FleetContext,
    swarm: Option<&'a Swarm>,
) -> InvalidInput {
    let named = fleet.nodes.iter().map(|n| n.config.name.as_str());
    let joined = swarm.into_iter().flat_map(|s| &s.nodes);
    let joined = joined.map(|n| n.hostname.as_str());
    unknown_name(tr!("node"), given, named.chain(joined))
}

/// Names of applications, from all that may know one.
#[derive(Default)]
struct KnownApps(BTreeSet<String>);

impl KnownApps {
    fn of_files(fleet: &FleetContext) -> Self {
        let folder = fleet.config.folder();
        let names = folder.map_or_else(Vec::new, |f| AppFile::list_names(&f));
        Self(names.into_iter().map(String::from).collect())
    }

    fn add_running(&mut self, swarm: &Swarm) {
        let name = |s: &matou_model::Service| s.stack.clone().unwrap_or_else(|| s.name.clone());
        self.0.extend(swarm.services.iter().map(name));
    }

    fn check(&self, app: &str) -> Result<(), InvalidInput> {
        match self.0.contains(app) {
            true => Ok(()),
            false => Err(unknown_name(
                tr!("application"),
                app,
                self.0.iter().map(String::as_str),
            )),
        }
    }
}

/// Checks that an application has a file in apps/, or that something of that name runs.
///
/// # Errors
/// One sentence with the nearest name: there is no such application; or no manager answers.
pub async fn check_app_is_known(fleet: &FleetContext, app: &str) -> Result<(), OpsError> {
    let mut known = KnownApps::of_files(fleet);
    if known.check(app).is_err() {
        let manager = fleet.nodes.find_manager().await?;
        known.add_running(&manager.docker.query_swarm().await?);
    }
    Ok(known.check(app)?)
}

/// Checks as [`check_app_is_known`] does, and takes an application that only has snapshots for known.
///
/// # Errors
/// The same; or the repository can't be read.
pub async fn check_app_was_known(fleet: &FleetContext, app: &str) -> Result<(), OpsError> {
    let mut known = KnownApps::of_files(fleet);
    if known.check(app).is_ok() {
        return Ok(());
    }
    let saved = list_apps_with_snapshots(fleet).await?;
    known.0.extend(saved.into_iter().map(String::from));
    if known.check(app).is_err() {
        let manager = fleet.nodes.find_manager().await?;
        known.add_running(&manager.docker.query_swarm().await?);
    }
    Ok(known.check(app)?)
}

/// Checks the names in a request, except those that its job looks up itself.
///
/// # Errors
/// One sentence with the nearest name: [`OpsError::is_usage`]; or no manager answers.
pub(super) async fn check_request_names(
    request: &Request,
    fleet: &FleetContext,
) -> Result<(), OpsError> {
    match request {
        Request::Redeploy { app, .. }
        | Request::Update { app, .. }
        | Request::Rehearse { app, .. }
        | Request::SelfUpdate { app }
        | Request::Switch { app, .. }
        | Request::Rename { app, .. }
        | Request::Export {
            app,
            snapshot: None,
            ..
        } => check_app_is_known(fleet, app).await,
        Request::Page { app, kind, .. } => check_page_app(app, kind.is_some(), fleet).await,
        // Volumes of an application that is removed already have its name.
        Request::Remove { app, volumes } if volumes.is_empty() => check_removable(app, fleet).await,
        Request::Budget { app, .. } => check_app_is_known(fleet, app).await,
        Request::Place { app, to } => {
            check_app_is_known(fleet, app).await?;
            match to {
                Some(to) if !to.contains('=') => check_node(to, fleet).await,
                _ => Ok(()),
            }
        }
        Request::Adopt { apps, .. } | Request::Backup { apps } => {
            for app in apps {
                check_app_is_known(fleet, app).await?;
            }
            Ok(())
        }
        Request::Restore { app, .. } | Request::Export { app, .. } => {
            check_app_was_known(fleet, app).await
        }
        Request::RestoreUndo { app } | Request::RestoreForget { app } => {
            check_restored(app, fleet).await
        }
        Request::Verify { apps } => {
            for app in apps {
                check_app_was_known(fleet, app).await?;
            }
            Ok(())
        }
        Request::Rollback { service }
        | Request::Scale { service, .. }
        | Request::Restart { service } => {
            let swarm = fleet.nodes.find_manager().await?.docker.query_swarm();
            let swarm = swarm.await?;
            let known = |s: &matou_model::Service| s.name == *service || s.id == *service;
            match swarm.services.iter().any(known) {
                true => Ok(()),
                false => {
                    let names = swarm.services.iter().map(|s| s.name.as_str());
                    Err(unknown_name(tr!("service"), service, names).into())
                }
            }
        }
        Request::Role { node, .. }
        | Request::Leave { node }
        | Request::Reboot { node }
        | Request::Upgrade { node } => match fleet.nodes.get(node) {
            Some(_) => Ok(()),
            None => Err(unknown_node(node, fleet, None).into()),
        },
        Request::RemoveNode { node } | Request::Availability { node, .. } => {
            check_node(node, fleet).await
        }
        _ => Ok(()),
    }
}

/// Checks that there is an application that a page can be shown for; one that is taken away may be left of
/// an application that was moved.
async fn check_page_app(app: &AppName, shows: bool, fleet: &FleetContext) -> Result<(), OpsError> {
    match check_app_is_known(fleet, app).await {
        Err(unknown) if unknown.is_usage() && !shows => {
            match fleet.query_swarm().await?.find_page(app) {
                Some(_) => Ok(()),
                None => Err(unknown),
            }
        }
        other => other,
    }
}

/// Checks that a node is one of config.toml or of the swarm.
async fn check_node(node: &str, fleet: &FleetContext) -> Result<(), OpsError> {
    if fleet.nodes.get(node).is_some() {
        return Ok(());
    }
    let swarm = fleet.nodes.find_manager_beside(node).await?;
    let swarm = swarm.docker.query_swarm().await?;
    match swarm.nodes.iter().any(|n| n.hostname == node) {
        true => Ok(()),
        false => Err(unknown_node(node, fleet, Some(&swarm)).into()),
    }
}

/// Checks that there is an application, or that something is kept of a restore of one that is gone.
async fn check_restored(app: &AppName, fleet: &FleetContext) -> Result<(), OpsError> {
    let unknown = match check_app_is_known(fleet, app).await {
        Err(unknown) if unknown.is_usage() => unknown,
        known => return known,
    };
    let storage = fleet.find_storage_node()?;
    let kept = SwapLog::new(&storage.host, &matou_folder(&fleet.config), app);
    match kept.read_state().await? {
        Some(_) => Ok(()),
        None => Err(unknown),
    }
}

/// Checks that there is something of an application that can be removed: also the networks that an
/// interrupted removal left, and the file on the storage node.
async fn check_removable(app: &AppName, fleet: &FleetContext) -> Result<(), OpsError> {
    let unknown = match check_app_is_known(fleet, app).await {
        Err(unknown) if unknown.is_usage() => unknown,
        known => return known,
    };
    let manager = fleet.nodes.find_manager().await?;
    if !manager.docker.list_stack_networks(app).await?.is_empty() {
        return Ok(());
    }
    if fleet.config.backup.primary_repository().is_some()
        && super::load_fleet_files(fleet).await?.0.has_app(app)
    {
        return Ok(());
    }
    // What was removed already is done; a slip of the pen is not.
    let mut known = KnownApps::of_files(fleet);
    known.add_running(&manager.docker.query_swarm().await?);
    match find_nearest_name(app, known.0.iter().map(String::as_str)) {
        Some(_) => Err(unknown),
        None => Ok(()),
    }
}
