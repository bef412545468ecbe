//! Which operation makes the job of a request.

use matou_job::{Confirm, Job};

use crate::job_on_node::build_job_on_node;
use crate::{
    FleetContext, OpsError, Request, adopt, availability, backup, clean, deploy, dns,
    edge_settings, erase, export, holds, image_update, known_names, node, page, place, recover,
    rehearsal, relocate, remove, rename, renew, restore, rollback, self_update, service, unban,
};

/// Makes the job that carries out `request`. Reads what it must from the fleet and changes
/// nothing.
///
/// # Errors
/// One sentence: no manager answers, the request names something that does not exist, or a stack
/// file is wrong.
pub async fn build_job(request: &Request, fleet: &FleetContext) -> Result<Job, OpsError> {
    known_names::check_request_names(request, fleet).await?;
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
        Request::Deploy { .. }
        | Request::Redeploy { .. }
        | Request::Revert { .. }
        | Request::Budget { .. } => {
            return deploy::build_deploy_job(request, fleet).await;
        }
        Request::Place { app, .. } => return place::build_place_job(request, app, fleet).await,
        Request::Update { app, images } => {
            return image_update::build_image_update_job(app, images, fleet).await;
        }
        Request::Page { .. } => return page::build_page_job(request, fleet).await,
        Request::Rehearse { app, images } => {
            return rehearsal::build_rehearsal_job(app, images, false, fleet).await;
        }
        Request::Remove { app, volumes } => {
            return remove::build_removal_job(app, volumes, fleet).await;
        }
        // It is about servers, not about their swarm.
        Request::Unban { address, node } => {
            return unban::build_unban_job(request, address, node.as_deref(), fleet);
        }
        Request::Clean { nodes, volumes } => {
            return clean::build_clean_job(request, nodes, volumes, fleet);
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
        Request::Switch { app, switches } => (
            Confirm::Ask,
            edge_settings::edge_settings_steps(app, switches, manager, fleet).await?,
        ),
        Request::Rename { app, name, forget } => (
            Confirm::Ask,
            rename::rename_steps(app, name, *forget, manager, fleet).await?,
        ),
        Request::Adopt { apps, routes } => {
            (Confirm::Ask, adopt::adoption_steps(apps, *routes, fleet)?)
        }
        Request::Dns => {
            let fleet = fleet.clone();
            let step: Box<dyn matou_job::Step> = Box::new(dns::MendNames { fleet });
            (Confirm::Ask, vec![step])
        }
        Request::RenewCertificate { domain } => (
            Confirm::TypeName(domain.clone()),
            renew::renewal_steps(domain, fleet)?,
        ),
        Request::Rollback { service } => (Confirm::Ask, rollback::rollback_steps(service, fleet)),
        Request::Scale { service, replicas } => {
            let swarm = manager.docker.query_swarm().await?;
            let steps = service::scale_steps(service, *replicas, &swarm, fleet)?;
            (Confirm::Ask, steps)
        }
        Request::Restart { service } => (Confirm::Ask, service::restart_steps(service, fleet)),
        Request::SelfUpdate { app } => (Confirm::Ask, self_update::self_update_steps(app, fleet)?),
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
            known_names::check_request_names(request, fleet).await?;
            backup::build_app_backup_job(&apps[0], fleet).await
        }
        other => build_job(other, fleet).await,
    }
}
