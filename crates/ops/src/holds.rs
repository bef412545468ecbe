//! Which applications a request changes: their locks are held while it is carried out, on the storage
//! node, where every console sees them.

use super::restore::{CheckRestoresSettled, SwapLog};
use super::{FleetContext, Request, RestoreDestination};
use crate::OpsError;
use crate::page::LiftPage;
use matou_backup::list_app_names;
use matou_job::{Job, LockRequest, Step};
use matou_stack::AppName;

/// What a request changes of applications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TouchedApps {
    /// None, or those that its own steps lock one after another.
    Nothing,
    Apps(Vec<String>),
    /// The application that a service belongs to.
    AppOfService(String),
    /// The application that takes the fleet's https.
    Edge,
    /// All there are.
    All,
}

impl Request {
    /// Returns the applications whose locks must be held while the request is carried out.
    pub(super) fn touched_apps(&self) -> TouchedApps {
        let one = |app: &AppName| TouchedApps::Apps(vec![app.to_string()]);
        match self {
            Self::Deploy { app, .. }
            | Self::Redeploy { app, .. }
            | Self::Revert { app, .. }
            | Self::Update { app, .. }
            | Self::SelfUpdate { app }
            | Self::Place { app, .. }
            | Self::Budget { app, .. }
            | Self::Rename { app, .. }
            | Self::Switch { app, .. }
            | Self::Page { app, .. }
            | Self::Remove { app, .. }
            | Self::RestoreUndo { app }
            | Self::RestoreForget { app }
            | Self::Export { app, .. }
            | Self::Erase { app } => one(app),
            Self::Restore { app, to, .. } => match to {
                RestoreDestination::Place => one(app),
                // Beside what is in use.
                RestoreDestination::Folder { .. } => TouchedApps::Nothing,
                RestoreDestination::Beside { app: new, .. } => {
                    TouchedApps::Apps(vec![app.to_string(), new.to_string()])
                }
            },
            // The application itself may go on being worked on.
            Self::Rehearse { app, .. } => {
                TouchedApps::Apps(vec![crate::rehearsal::rehearsal_name(app)])
            }
            Self::RestoreAll => TouchedApps::All,
            Self::Rollback { service }
            | Self::Scale { service, .. }
            | Self::Restart { service } => TouchedApps::AppOfService(service.clone()),
            // It only writes files that were not there.
            Self::Adopt { .. } => TouchedApps::Nothing,
            Self::RenewCertificate { .. } => TouchedApps::Edge,
            // Each application while its turn is: the night must not keep all of them for hours.
            Self::Backup { .. } => TouchedApps::Nothing,
            // Their jobs are made elsewhere, and say themselves what they hold.
            Self::Recover | Self::Move { .. } => TouchedApps::Nothing,
            // It reads a snapshot and what is live, and works in a folder of its own; two of it are
            // kept apart by the lock of the storage node.
            Self::Verify { .. } => TouchedApps::Nothing,
            // What a deploy does about its names meanwhile is done only while it is what it was planned on.
            Self::Dns => TouchedApps::Nothing,
            Self::Repo { .. }
            | Self::Provision { .. }
            | Self::Role { .. }
            | Self::Leave { .. }
            | Self::RemoveNode { .. }
            | Self::Reboot { .. }
            | Self::Upgrade { .. }
            | Self::Unban { .. }
            | Self::Clean { .. }
            | Self::Availability { .. } => TouchedApps::Nothing,
        }
    }
}

/// The applications that a request changes, by name.
///
/// # Errors
/// One sentence: no manager answers.
pub(super) async fn list_touched_apps(
    request: &Request,
    fleet: &FleetContext,
) -> Result<Vec<String>, OpsError> {
    Ok(match request.touched_apps() {
        TouchedApps::Nothing => Vec::new(),
        TouchedApps::Apps(apps) => apps,
        more => {
            let manager = fleet.nodes.find_manager().await?;
            let swarm = manager.docker.query_swarm().await?;
            let app = |s: &matou_model::Service| s.stack.clone().unwrap_or_else(|| s.name.clone());
            match more {
                TouchedApps::AppOfService(service) => {
                    let mut services = swarm.services.iter();
                    let found = services.find(|s| s.name == service || s.id == service);
                    found.map(app).into_iter().collect()
                }
                TouchedApps::Edge => matou_edge::find_edge_service(&swarm)
                    .map(app)
                    .into_iter()
                    .collect(),
                _ => list_app_names(&fleet.config, &swarm)
                    .into_iter()
                    .map(String::from)
                    .collect(),
            }
        }
    })
}

/// Those that may have been restored: the label of a stack may hold any text, and is no part of a path
/// then.
fn names_with_restores(apps: &[String]) -> impl Iterator<Item = &String> {
    apps.iter().filter(|app| matou_stack::is_app_name(app))
}

/// Makes a job hold the locks of the applications that its request changes. While a restore of one
/// of them is unfinished, the job fails, unless its request resolves that restore.
///
/// # Errors
/// One sentence: no manager answers, the storage node is none of the fleet.
pub(super) async fn hold_touched_apps(
    job: &mut Job,
    request: &Request,
    fleet: &FleetContext,
) -> Result<(), OpsError> {
    let apps = list_touched_apps(request, fleet).await?;
    if apps.is_empty() {
        return Ok(());
    }
    let host = &fleet.find_storage_node()?.host;
    let resolves = matches!(
        request,
        Request::Restore { .. }
            | Request::RestoreAll
            | Request::RestoreUndo { .. }
            | Request::RestoreForget { .. }
            // What a restore left goes too.
            | Request::Erase { .. }
            // It changes nothing of the application.
            | Request::Page { .. }
    );
    if let Some(track) = job.stages.first_mut().and_then(|s| s.tracks.first_mut())
        && !resolves
        // The states of restores lie beside the locks.
        && !fleet.runner.goes_without_locks()
    {
        let data = matou_backup::matou_folder(&fleet.config);
        let named =
            names_with_restores(&apps).map(|app| (app.clone(), SwapLog::new(host, &data, app)));
        let swap_logs = named.collect();
        track
            .steps
            .insert(0, Box::new(CheckRestoresSettled { swap_logs }));
    }
    add_page_ends(job, request, &apps, fleet).await;
    job.holds = vec![LockRequest::for_apps(host, apps)];
    Ok(())
}

/// Lets the job end with taking away what a job that was killed left of pages, and the page of an
/// application that is removed.
async fn add_page_ends(job: &mut Job, request: &Request, apps: &[String], fleet: &FleetContext) {
    if matches!(request, Request::Page { .. }) {
        return;
    }
    // Without a manager the job fails by itself, or has nothing to do with services.
    let Ok(swarm) = fleet.query_swarm().await else {
        return;
    };
    let app_goes = matches!(request, Request::Remove { .. } | Request::Erase { .. });
    let left = swarm
        .pages
        .iter()
        .filter(|p| apps.contains(&p.app) && (app_goes || p.job.is_some()));
    let apps = left.filter_map(|p| AppName::new(p.app.as_str()).ok());
    if let Some(track) = job.stages.last_mut().and_then(|s| s.tracks.last_mut()) {
        track.steps.extend(apps.map(|app| -> Box<dyn Step> {
            Box::new(LiftPage {
                app,
                fleet: fleet.clone(),
                only_of_jobs: !app_goes,
                app_goes,
            })
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_is_no_name_is_no_part_of_a_path() {
        let apps = ["shop", "../../../etc/shadow", "a/b", "", "my app"].map(String::from);
        assert_eq!(names_with_restores(&apps).collect::<Vec<_>>(), ["shop"]);
    }

    #[test]
    fn a_restore_beside_keeps_both_names() {
        let name = |app: &str| AppName::new(app).unwrap();
        let beside = Request::Restore {
            app: name("shop"),
            snapshot: None,
            what: super::super::RestoreScope::App,
            to: RestoreDestination::Beside {
                app: name("shop2"),
                variables: Default::default(),
            },
        };
        let both = TouchedApps::Apps(vec!["shop".into(), "shop2".into()]);
        assert_eq!(beside.touched_apps(), both);
        let scale = Request::Scale {
            service: "shop_web".into(),
            replicas: 0,
        };
        assert_eq!(
            scale.touched_apps(),
            TouchedApps::AppOfService("shop_web".into())
        );
    }
}
