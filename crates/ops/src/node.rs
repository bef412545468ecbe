//! Jobs on one node that need a manager beside it.

use super::availability::{NodeTarget, WaitForEmptyNode};
use super::{FleetContext, Request, known_names, membership, reboot};
use crate::OpsError;
use matou_config::StorageDriver;
use matou_docker::NodeHandle;
use matou_i18n::tr;
use matou_job::{Confirm, Job, Stage, Step};

/// Asks a node's engine for its id in the swarm; `None` when it does not answer or is in no swarm.
pub(super) async fn query_swarm_node_id(node: &str, fleet: &FleetContext) -> Option<String> {
    let engine = fleet.nodes.get(node)?.docker.query_engine().await.ok()?;
    Some(engine.swarm_node_id).filter(|id| !id.is_empty())
}

/// Makes the job of a request about one node.
///
/// # Errors
/// One sentence: there is no such node, no manager, or it must not be done.
pub(super) async fn build_node_job(
    request: &Request,
    node: &str,
    fleet: &FleetContext,
) -> Result<Job, OpsError> {
    let found = |name: &str| {
        let found = fleet.nodes.get(name);
        found.ok_or_else(|| known_names::unknown_node(name, fleet, None))
    };
    let manager = async || {
        let manager = fleet.nodes.find_manager_beside(node).await;
        manager.map_err(OpsError::from)
    };
    let target = NodeTarget {
        name: node.to_owned(),
        swarm_id: query_swarm_node_id(node, fleet).await,
    };
    let ask = |stages| Job::new(request.title(), Confirm::Ask, stages);
    let typed = |stages| {
        let confirm = Confirm::TypeName(node.to_owned());
        Job::new(request.title(), confirm, stages)
    };
    Ok(match request {
        Request::Role { to, .. } => {
            let steps = membership::set_role_steps(target, found(node)?.docker.clone(), *to);
            ask(vec![Stage::on_node(tr!("role"), manager().await?, steps)])
        }
        Request::Leave { .. } => {
            check_holds_no_data(node, fleet)?;
            let (handle, manager) = (found(node)?, manager().await?);
            if target.swarm_id.is_none() {
                return Err(OpsError::failed(tr!(
                    "{node} is in no swarm, or does not answer: `matou remove-node {node}` removes a node that is lost for good"
                )));
            }
            typed(leave_stages(target, manager, handle))
        }
        Request::RemoveNode { .. } => {
            check_holds_no_data(node, fleet)?;
            let steps = membership::delete_node_steps(target, true);
            typed(vec![Stage::on_node(tr!("list"), manager().await?, steps)])
        }
        Request::Reboot { .. } => {
            let handle = found(node)?;
            let mut stages = vec![Stage::on_node(
                tr!("reboot"),
                handle,
                vec![Box::new(reboot::RebootNode::new(target.swarm_id.is_some()))],
            )];
            if target.swarm_id.is_some() {
                add_drain_stages(&mut stages, manager().await?, target);
            }
            ask(stages)
        }
        Request::Upgrade { .. } => {
            let handle = found(node)?;
            let (mut stages, disturbs) = upgrade_stages(handle).await?;
            if disturbs && target.swarm_id.is_some() {
                add_drain_stages(&mut stages, manager().await?, target);
            }
            ask(stages)
        }
        _ => return Err(tr!("not a job on one node").into()),
    })
}

/// Makes the stages by which a node leaves the swarm.
fn leave_stages(target: NodeTarget, manager: &NodeHandle, handle: &NodeHandle) -> Vec<Stage> {
    vec![
        Stage::on_node(
            tr!("empty"),
            manager,
            membership::before_leaving_steps(target.clone(), handle.docker.clone()),
        ),
        Stage::on_node(tr!("leave"), handle, membership::leave_steps()),
        Stage::on_node(
            tr!("list"),
            manager,
            membership::delete_node_steps(target, false),
        ),
    ]
}

/// Makes the stages that upgrade packages. Returns them, and whether that disturbs what runs there.
async fn upgrade_stages(handle: &NodeHandle) -> Result<(Vec<Stage>, bool), OpsError> {
    let pending = reboot::query_pending_upgrades(&handle.host).await?;
    let stages = vec![Stage::on_node(
        tr!("upgrade"),
        handle,
        vec![Box::new(reboot::UpgradePackages)],
    )];
    let disturbs = pending
        .iter()
        .any(|(name, ..)| reboot::is_disturbing_package(name));
    Ok((stages, disturbs))
}

/// Adds a stage before the others that drains the node, and one after them that restores its
/// availability.
fn add_drain_stages(stages: &mut Vec<Stage>, manager: &NodeHandle, target: NodeTarget) {
    let lend = reboot::DrainForNow {
        target: target.clone(),
    };
    // A node that could not be drained keeps its tasks: they stop with it.
    let mut before: Vec<Box<dyn Step>> = vec![Box::new(lend)];
    before.push(Box::new(WaitForDrainedNode(target.clone())));
    let after = reboot::RestoreAvailability { target };
    stages.insert(0, Stage::on_node(tr!("drain"), manager, before));
    stages.push(Stage::on_node(
        tr!("give back"),
        manager,
        vec![Box::new(after)],
    ));
}

/// Waits until the node is empty, if it was drained.
struct WaitForDrainedNode(NodeTarget);

#[async_trait::async_trait]
impl Step for WaitForDrainedNode {
    fn name(&self) -> String {
        tr!("empty").into()
    }

    fn timeout(&self) -> std::time::Duration {
        let wait = WaitForEmptyNode {
            target: self.0.clone(),
        };
        wait.timeout()
    }

    async fn check(
        &self,
        cx: &matou_job::StepContext,
    ) -> Result<matou_job::Check, matou_job::StepError> {
        let swarm = cx.query_swarm().await?;
        let node = self.0.find_node(&swarm)?;
        if node.availability == matou_model::Availability::Active {
            // In the plan: before the node was drained. In the job: it can't be.
            let same = matou_job::Change::same(tr!("{} is emptied first", self.0.name));
            return Ok(matou_job::Check::Done(vec![same]));
        }
        WaitForEmptyNode {
            target: self.0.clone(),
        }
        .check(cx)
        .await
    }

    async fn apply(&self, cx: &matou_job::StepContext) -> Result<(), matou_job::StepError> {
        let wait = WaitForEmptyNode {
            target: self.0.clone(),
        };
        let done = wait.apply(cx).await;
        if done.is_err() {
            reboot::tell_stays_drained(cx, &self.0.name).await;
        }
        done
    }
}

/// Fails for the node that holds the fleet's data: it is not taken out.
fn check_holds_no_data(node: &str, fleet: &FleetContext) -> Result<(), OpsError> {
    let storage = &fleet.config.storage;
    if storage.node == node && storage.driver != StorageDriver::Local {
        return Err(OpsError::failed(tr!(
            "{node} holds the fleet's data at {}: move it first, and name another [storage] node in config.toml",
            storage.path.display()
        )));
    }
    Ok(())
}
