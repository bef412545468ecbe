//! Who belongs to the swarm, and as what: promoting, demoting, leaving, removing a lost node.

use matou_i18n::{tr, trn};
use std::time::Duration;

use async_trait::async_trait;

use super::availability::{NodeTarget, SetAvailability, WaitForEmptyNode};
use matou_docker::Docker;
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::{Availability, NodeState, Reachability, Role, Swarm, SwarmNode};

/// How long a new role may take to be taken up.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often the swarm is looked at meanwhile.
const POLL: Duration = Duration::from_millis(500);

/// How long a node may refuse to leave.
const LEAVE_WAIT: Duration = Duration::from_secs(10);

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
        .filter(|n| n.reachability == Reachability::Reachable)
        .count();
    let name = &node.hostname;
    match managers.len() {
        0 => Some(tr!(
            "{name} is the only manager: promote another node first"
        )),
        left if reachable <= left / 2 => Some(tr!(
            "of the {left} managers that would be left without {name} only {reachable} answer, and the swarm needs more than half: bring one back, or promote another node first"
        )),
        _ => None,
    }
}

impl SetRole {
    /// Compares it with one reading of the swarm.
    fn check_swarm(&self, swarm: &Swarm) -> Result<Check, StepError> {
        let node = self.target.find_node(swarm)?;
        let what = tr!("role of {}", self.target.name);
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
            && let Some(reason) = find_demotion_obstacle(swarm, node)
        {
            return Err(StepError::failed(reason));
        }
        let bears = match (after - 1) / 2 {
            0 => tr!("the swarm survives losing none").to_owned(),
            n => tr!("the swarm survives losing {n}"),
        };
        let even = after % 2 == 0;
        let change = change.with_warning(tr!(
            "{} then; {bears}{}",
            trn!(after, "{n} manager", "{n} managers"),
            if even {
                tr!(": an odd number is better")
            } else {
                ""
            }
        ));
        Ok(Check::Change(vec![change]))
    }
}

#[async_trait]
impl Step for SetRole {
    fn name(&self) -> String {
        tr!("role").into()
    }

    /// Its three waits, one after another.
    fn timeout(&self) -> Duration {
        Duration::from_secs(480)
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        self.check_swarm(&cx.query_swarm().await?)
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let id = self.target.find_node(&cx.query_swarm().await?)?.id.clone();
        cx.docker.set_node_role(&id, self.to).await?;
        let late = || {
            tr!(
                "{} has not taken up its role after {} s: is 2377/tcp open between the nodes?",
                self.target.name,
                PATIENCE.as_secs()
            )
        };
        let wait = cx.wait_at_most(PATIENCE, POLL);
        loop {
            let swarm = cx.query_swarm().await?;
            let node = self.target.find_node(&swarm)?;
            let reachable = node.reachability == Reachability::Reachable;
            if node.role == self.to && reachable == (self.to == Role::Manager) {
                break;
            }
            wait.pause(late).await?;
        }
        // An engine that restarts with its old certificate would take up its old role again.
        let waiting = tr!(
            "waiting for the certificate of a {}",
            swarm_role_name(self.to)
        );
        cx.out.note(waiting).await;
        let wait = cx.wait_at_most(PATIENCE, POLL);
        loop {
            match self.own.query_certified_role().await {
                Ok(Some(role)) if role != self.to => wait.pause(late).await?,
                Ok(_) => break,
                Err(e) => {
                    let name = &self.target.name;
                    cx.out
                        .note(tr!("{name} can't be asked whether it knows: {e}"))
                        .await;
                    break;
                }
            }
        }
        let waiting = tr!("waiting until the swarm takes changes");
        cx.out.note(waiting).await;
        let settled = cx.docker.wait_for_role(&id, self.to, &self.own);
        settled.await.map_err(StepError::from)
    }
}

struct LeaveSwarm;

#[async_trait]
impl Step for LeaveSwarm {
    fn name(&self) -> String {
        tr!("leave").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let engine = cx.docker.query_engine().await?;
        Ok(match engine.swarm_state.is_none() {
            true => Check::Done(vec![Change::same(tr!("in no swarm"))]),
            false => Check::Change(vec![
                Change::remove(tr!("{} from the swarm", cx.node))
                    .with_warning(tr!("volumes that only this node holds stay on it")),
            ]),
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let wait = cx.wait_at_most(LEAVE_WAIT, POLL);
        // A manager that was demoted a moment ago does not know it yet.
        while let Err(refused) = cx.docker.leave_swarm().await {
            if wait.is_over() {
                return Err(refused.into());
            }
            wait.pause(|| refused.to_string()).await?;
        }
        Ok(())
    }
}

struct DeleteSwarmNode {
    target: NodeTarget,
    lost: bool,
}

impl DeleteSwarmNode {
    /// Compares it with one reading of the swarm.
    fn check_swarm(&self, swarm: &Swarm) -> Result<Check, StepError> {
        let name = &self.target.name;
        let Ok(node) = self.target.find_node(swarm) else {
            let gone = Change::same(tr!("the swarm does not list {name}"));
            return Ok(Check::Done(vec![gone]));
        };
        if self.lost && node.state == NodeState::Ready {
            return Err(StepError::failed(tr!(
                "{name} is up: `matou leave {name}` takes it out in order"
            )));
        }
        if self.lost
            && node.role == Role::Manager
            && let Some(reason) = find_demotion_obstacle(swarm, node)
        {
            return Err(StepError::failed(reason));
        }
        Ok(Check::Change(vec![
            Change::remove(tr!("{name} from the swarm's list of nodes"))
                .with_warning(tr!("what only this node held is lost to the fleet")),
        ]))
    }
}

#[async_trait]
impl Step for DeleteSwarmNode {
    fn name(&self) -> String {
        tr!("list of nodes").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        self.check_swarm(&cx.query_swarm().await?)
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let swarm = cx.query_swarm().await?;
        let node = self.target.find_node(&swarm)?;
        if node.role == Role::Manager {
            cx.docker.set_node_role(&node.id, Role::Worker).await?;
        }
        let wait = cx.wait_at_most(MISSED_WAIT, POLL);
        while self
            .target
            .find_node(&cx.query_swarm().await?)
            .is_ok_and(|n| n.state == NodeState::Ready)
        {
            wait.pause(|| tr!("the swarm still sees the node").into())
                .await?;
        }
        cx.docker
            .delete_node(&node.id, true)
            .await
            .map_err(StepError::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm_fixture::{changes, fails, node, swarm};
    use matou_config::NodeConnection;
    use matou_host::{Host, HostOptions};

    fn target(name: &str) -> NodeTarget {
        NodeTarget {
            name: name.into(),
            swarm_id: None,
        }
    }

    fn role(name: &str, to: Role) -> SetRole {
        SetRole {
            target: target(name),
            own: unasked_engine(),
            to,
        }
    }

    /// A check asks no engine.
    fn unasked_engine() -> Docker {
        let options = HostOptions {
            docker_socket: "/nonexistent".into(),
            runtime_dir: "/nonexistent".into(),
            recorder: None,
        };
        Docker::new(Host::new("n9", &NodeConnection::Local, options))
    }

    fn three_managers() -> Swarm {
        let names = ["n1", "n2", "n3"];
        swarm(names.map(|n| node(n, Role::Manager)), [])
    }

    #[tokio::test]
    async fn a_role_tells_what_the_swarm_bears_then() {
        let swarm = three_managers();
        assert_eq!(
            changes(role("n3", Role::Worker).check_swarm(&swarm)),
            [
                "~ role of n3: manager → worker (2 managers then; the swarm survives losing none: an odd number is better)"
            ]
        );
        assert_eq!(
            changes(role("n3", Role::Manager).check_swarm(&swarm)),
            ["= role of n3: manager"]
        );
    }

    #[tokio::test]
    async fn no_manager_is_taken_whose_loss_the_swarm_does_not_bear() {
        let mut swarm = three_managers();
        swarm.nodes[1].reachability = Reachability::Unreachable;
        let refused = fails(role("n3", Role::Worker).check_swarm(&swarm));
        assert!(refused.contains("only 1 answer"), "{refused}");
        // The one that does not answer may go: two of two are left.
        assert!(role("n2", Role::Worker).check_swarm(&swarm).is_ok());
        swarm.nodes.truncate(1);
        let refused = fails(role("n1", Role::Worker).check_swarm(&swarm));
        assert!(refused.contains("the only manager"), "{refused}");
    }

    #[test]
    fn a_lost_node_is_deleted_and_one_that_is_up_is_not() {
        let lost = |name: &str| DeleteSwarmNode {
            target: target(name),
            lost: true,
        };
        let mut swarm = three_managers();
        assert!(fails(lost("n2").check_swarm(&swarm)).contains("n2 is up"));
        swarm.nodes[1].state = NodeState::Down;
        swarm.nodes[1].reachability = Reachability::Unreachable;
        assert_eq!(
            changes(lost("n2").check_swarm(&swarm)),
            ["- n2 from the swarm's list of nodes (what only this node held is lost to the fleet)"]
        );
        assert_eq!(
            changes(lost("n9").check_swarm(&swarm)),
            ["= the swarm does not list n9"]
        );
    }
}
