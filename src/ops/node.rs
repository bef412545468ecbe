//! Jobs on one node that need a manager beside it.

use super::availability::{Emptied, Target};
use super::{Context, Request, membership, reboot};
use crate::config::StorageDriver;
use crate::docker::NodeHandle;
use crate::job::{Confirm, Job, Stage, Step, Track};

/// The node's id in its swarm, when its engine can be asked for it.
pub(super) async fn swarm_id(node: &str, cx: &Context) -> Option<String> {
    let engine = cx.nodes.get(node)?.docker.engine().await.ok()?;
    Some(engine.swarm_node_id).filter(|id| !id.is_empty())
}

/// Makes the job of such a request.
///
/// # Errors
/// One sentence: there is no such node, no manager, or it must not be done.
pub(super) async fn build(request: &Request, node: &str, cx: &Context) -> Result<Job, String> {
    let found = |name: &str| {
        cx.nodes.get(name).ok_or_else(|| {
            let names: Vec<&str> = cx.nodes.iter().map(|n| n.config.name.as_str()).collect();
            format!("no node is named {name:?}, only {}", names.join(", "))
        })
    };
    let manager = async || {
        let manager = cx.nodes.manager_beside(node).await;
        manager.map_err(|e| e.to_string())
    };
    let target = Target {
        name: node.to_owned(),
        swarm_id: swarm_id(node, cx).await,
    };
    let ask = |stages| Job::new(request.title(), Confirm::Ask, stages);
    let typed = |stages| {
        let confirm = Confirm::TypeName(node.to_owned());
        Job::new(request.title(), confirm, stages)
    };
    Ok(match request {
        Request::Role { to, .. } => {
            let steps = membership::set_role(target, found(node)?.docker.clone(), *to);
            ask(vec![stage("role", manager().await?, steps)])
        }
        Request::Leave { .. } => {
            keeps_no_data(node, cx)?;
            let (handle, manager) = (found(node)?, manager().await?);
            if target.swarm_id.is_none() {
                return Err(format!(
                    "{node} is in no swarm, or does not answer: `matou remove-node {node}` strikes off a node that is lost"
                ));
            }
            typed(vec![
                stage(
                    "empty",
                    manager,
                    membership::before_leaving(target.clone(), handle.docker.clone()),
                ),
                stage("leave", handle, membership::leave()),
                stage("list", manager, membership::strike_off(target, false)),
            ])
        }
        Request::RemoveNode { .. } => {
            keeps_no_data(node, cx)?;
            let steps = membership::strike_off(target, true);
            typed(vec![stage("list", manager().await?, steps)])
        }
        Request::Reboot { .. } => {
            let handle = found(node)?;
            let mut stages = vec![stage(
                "reboot",
                handle,
                vec![Box::<reboot::Reboot>::default()],
            )];
            if target.swarm_id.is_some() {
                drained(&mut stages, manager().await?, target);
            }
            ask(stages)
        }
        Request::Upgrade { .. } => {
            let handle = found(node)?;
            let pending = reboot::simulate(&handle.host).await?;
            let mut stages = vec![stage("upgrade", handle, vec![Box::new(reboot::Upgrade)])];
            let disturbs = pending.iter().any(|(name, ..)| reboot::disturbs(name));
            if disturbs && target.swarm_id.is_some() {
                drained(&mut stages, manager().await?, target);
            }
            ask(stages)
        }
        _ => return Err("not a job on one node".into()),
    })
}

/// Drains before what is there, and gives back after it.
fn drained(stages: &mut Vec<Stage>, manager: &NodeHandle, target: Target) {
    let lend = reboot::Lend {
        target: target.clone(),
    };
    // A node that could not be drained keeps its tasks: they stop with it.
    let mut before: Vec<Box<dyn Step>> = vec![Box::new(lend)];
    before.push(Box::new(EmptiedIfDrained(target.clone())));
    let after = reboot::GiveBack { target };
    stages.insert(0, stage("drain", manager, before));
    stages.push(stage("give back", manager, vec![Box::new(after)]));
}

/// Waits for an empty node when it was drained.
struct EmptiedIfDrained(Target);

#[async_trait::async_trait]
impl Step for EmptiedIfDrained {
    fn name(&self) -> String {
        "empty".into()
    }

    async fn check(&self, cx: &crate::job::Cx) -> Result<crate::job::Check, crate::job::StepError> {
        let swarm = super::tasks::read(cx).await?;
        let node = self.0.find(&swarm)?;
        if node.availability == crate::model::Availability::Active {
            // In the plan: before the node was drained. In the job: it can't be.
            let same = crate::job::Change::same(format!("tasks on {}", self.0.name));
            return Ok(crate::job::Check::Done(vec![same]));
        }
        Emptied {
            target: self.0.clone(),
        }
        .check(cx)
        .await
    }

    async fn apply(&self, cx: &crate::job::Cx) -> Result<(), crate::job::StepError> {
        Emptied {
            target: self.0.clone(),
        }
        .apply(cx)
        .await
    }
}

/// The node that holds the fleet's data is not taken out.
fn keeps_no_data(node: &str, cx: &Context) -> Result<(), String> {
    let storage = &cx.config.storage;
    if storage.node == node && storage.driver != StorageDriver::Local {
        return Err(format!(
            "{node} holds the fleet's data at {}: move it first, and name another [storage] node in config.toml",
            storage.path.display()
        ));
    }
    Ok(())
}

fn stage(title: &str, node: &NodeHandle, steps: Vec<Box<dyn Step>>) -> Stage {
    Stage {
        title: title.to_owned(),
        tracks: vec![Track {
            node: node.config.name.clone(),
            host: node.host.clone(),
            docker: node.docker.clone(),
            steps,
        }],
    }
}
