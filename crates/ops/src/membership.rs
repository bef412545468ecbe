//! Who belongs to the swarm, and as what: promoting, demoting, leaving, removing a lost node.

use std::time::Duration;

use async_trait::async_trait;

use super::availability::{NodeTarget, SetAvailability, WaitForEmptyNode};
use super::tasks::{docker_failed, query_swarm};
use matou_docker::Docker;
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::{Availability, NodeState, Role, Swarm, SwarmNode};

/// How long a new role may take to be taken up.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long it may take until a node that left is missed: three heartbeats, each of 60 s at most.
const MISSED_WAIT: Duration = Duration::from_secs(200);

/// The steps, on a manager, that give a node a role; `own` is the node's engine.
pub(super) fn set_role_steps(target: NodeTarget, own: Docker, to: Role) -> Vec<Box<dyn Step>> {
    vec![Box::new(SetRole { target, own, to })]
}

/// The steps, on another manager, that empty a node which is to leave.
pub(super) fn before_leaving_steps(target: NodeTarget, own: Docker) -> Vec<Box<dyn Step>> {
    vec![
        Box::new(SetAvailability {
            target: target.clone(),
            to: Availability::Drain,
        }),
        Box::new(WaitForEmptyNode {
            target: target.clone(),
        }),
        Box::new(SetRole {
            target,
            own,
            to: Role::Worker,
        }),
    ]
}

/// The step, on the node itself, with which it leaves.
pub(super) fn leave_steps() -> Vec<Box<dyn Step>> {
    vec![Box::new(LeaveSwarm)]
}

/// Returns the step, on another manager, that deletes a node from the swarm's list; `lost`: it is
/// down for good and could not leave by itself.
pub(super) fn delete_node_steps(target: NodeTarget, lost: bool) -> Vec<Box<dyn Step>> {
    vec![Box::new(DeleteSwarmNode { target, lost })]
}

struct SetRole {
    target: NodeTarget,
    own: Docker,
    to: Role,
}

fn swarm_role_name(role: Role) -> &'static str {
    match role {
        Role::Manager => "manager",
        Role::Worker => "worker",
    }
}

/// Returns why a manager can't become a worker, `None` when it can: more than half of the managers
/// that are left must answer.
fn find_demotion_obstacle(swarm: &Swarm, node: &SwarmNode) -> Option<String> {
    let managers: Vec<&SwarmNode> = swarm
        .nodes
        .iter()
        .filter(|n| n.role == Role::Manager && n.id != node.id)
        .collect();
    let reachable = managers
        .iter()
        .filter(|n| n.reachability == "reachable")
        .count();
    let name = &node.hostname;
    match managers.len() {
        0 => Some(format!(
            "{name} is the only manager: promote another node first"
        )),
        left if reachable <= left / 2 => Some(format!(
            "of the {left} managers that would be left without {name} only {reachable} answer, and the swarm needs more than half: bring one back, or promote another node first"
        )),
        _ => None,
    }
}

#[async_trait]
impl Step for SetRole {
    fn name(&self) -> String {
        "role".into()
    }

    /// Its three waits, one after another.
    fn timeout(&self) -> Duration {
        Duration::from_secs(480)
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let swarm = query_swarm(cx).await?;
        let node = self.target.find_node(&swarm)?;
        let what = format!("role of {}", self.target.name);
        if node.role == self.to {
            let same = Change::same(format!("{what}: {}", swarm_role_name(self.to)));
            return Ok(Check::Done(vec![same]));
        }
        let change = Change::modify(what, swarm_role_name(node.role), swarm_role_name(self.to));
        let managers = swarm
            .nodes
            .iter()
            .filter(|n| n.role == Role::Manager)
            .count();
        let after = match self.to {
            Role::Manager => managers + 1,
            Role::Worker => managers - 1,
        };
        if self.to == Role::Worker
            && let Some(reason) = find_demotion_obstacle(&swarm, node)
        {
            return Err(StepError::failed(reason));
        }
        let bears = (after - 1) / 2;
        let even = after % 2 == 0;
        let change = change.with_warning(format!(
            "{} then; the swarm bears the loss of {bears}{}",
            matou_base::text::format_plural(after, "manager"),
            if even {
                ": an odd number is better"
            } else {
                ""
            }
        ));
        Ok(Check::Change(vec![change]))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let id = self.target.find_node(&query_swarm(cx).await?)?.id.clone();
        cx.docker
            .set_node_role(&id, self.to)
            .await
            .map_err(docker_failed)?;
        let taken_up = async {
            loop {
                let swarm = query_swarm(cx).await?;
                let node = self.target.find_node(&swarm)?;
                let reachable = node.reachability == "reachable";
                if node.role == self.to && reachable == (self.to == Role::Manager) {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        let late = |_| {
            Err(StepError::failed(format!(
                "{} has not taken up its role after {} s: is 2377/tcp open between the nodes?",
                self.target.name,
                PATIENCE.as_secs()
            )))
        };
        tokio::time::timeout(PATIENCE, taken_up)
            .await
            .unwrap_or_else(late)?;
        // An engine that restarts with its old certificate would take up its old role again.
        let waiting = format!(
            "waiting for the certificate of a {}",
            swarm_role_name(self.to)
        );
        cx.out.note(waiting).await;
        let certified = async {
            loop {
                match self.own.query_certified_role().await {
                    Ok(Some(role)) if role != self.to => {}
                    Ok(_) => return Ok(()),
                    Err(e) => {
                        let name = &self.target.name;
                        cx.out
                            .note(format!("{name} can't be asked whether it knows: {e}"))
                            .await;
                        return Ok(());
                    }
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::time::timeout(PATIENCE, certified)
            .await
            .unwrap_or_else(late)?;
        let waiting = "waiting until the swarm takes changes";
        cx.out.note(waiting).await;
        let settled = cx.docker.wait_for_role(&id, self.to, &self.own);
        settled.await.map_err(docker_failed)
    }
}

struct LeaveSwarm;

#[async_trait]
impl Step for LeaveSwarm {
    fn name(&self) -> String {
        "leave".into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let engine = cx.docker.query_engine().await.map_err(docker_failed)?;
        Ok(match engine.swarm_state.as_str() {
            "inactive" | "" => Check::Done(vec![Change::same("in no swarm")]),
            _ => Check::Change(vec![
                Change::remove(format!("{} from the swarm", cx.node))
                    .with_warning("volumes that only this node holds stay on it"),
            ]),
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let mut last = None;
        // A manager that was demoted a moment ago does not know it yet.
        for _ in 0..20 {
            match cx.docker.leave_swarm().await {
                Ok(()) => return Ok(()),
                Err(e) => last = Some(e),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Err(last.map_or_else(|| StepError::failed("it does not leave"), docker_failed))
    }
}

struct DeleteSwarmNode {
    target: NodeTarget,
    lost: bool,
}

#[async_trait]
impl Step for DeleteSwarmNode {
    fn name(&self) -> String {
        "list of nodes".into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let swarm = query_swarm(cx).await?;
        let name = &self.target.name;
        let Ok(node) = self.target.find_node(&swarm) else {
            let gone = Change::same(format!("the swarm does not list {name}"));
            return Ok(Check::Done(vec![gone]));
        };
        if self.lost && node.state == NodeState::Ready {
            return Err(StepError::failed(format!(
                "{name} is up: `matou leave {name}` takes it out in order"
            )));
        }
        if self.lost
            && node.role == Role::Manager
            && let Some(reason) = find_demotion_obstacle(&swarm, node)
        {
            return Err(StepError::failed(reason));
        }
        Ok(Check::Change(vec![
            Change::remove(format!("{name} from the swarm's list of nodes"))
                .with_warning("what only this node held is lost to the fleet"),
        ]))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let swarm = query_swarm(cx).await?;
        let node = self.target.find_node(&swarm)?;
        if node.role == Role::Manager {
            cx.docker
                .set_node_role(&node.id, Role::Worker)
                .await
                .map_err(docker_failed)?;
        }
        let noticed = async {
            while self
                .target
                .find_node(&query_swarm(cx).await?)
                .is_ok_and(|n| n.state == NodeState::Ready)
            {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Ok::<(), StepError>(())
        };
        tokio::time::timeout(MISSED_WAIT, noticed)
            .await
            .map_err(|_| StepError::failed("the swarm still sees the node"))??;
        cx.docker
            .delete_node(&node.id, true)
            .await
            .map_err(docker_failed)
    }
}
