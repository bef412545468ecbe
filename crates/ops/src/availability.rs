//! Draining, pausing and activating a node.

use matou_i18n::tr;
use std::time::Duration;

use async_trait::async_trait;

use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::{Availability, NodeState, ServiceMode, Swarm, SwarmNode, TaskState};

/// How long the tasks of a draining node may take to end.
const EMPTY_WAIT: Duration = Duration::from_secs(300);

/// How often a draining node is looked at.
const POLL: Duration = Duration::from_secs(1);

/// The steps that set a node's availability and, when draining, wait until it is empty.
///
/// `swarm_id` is the node's id in the swarm, when its engine could be asked for it; else the node
/// is found by its host name.
pub(super) fn availability_steps(
    node: &str,
    swarm_id: Option<String>,
    to: Availability,
) -> Vec<Box<dyn Step>> {
    let target = NodeTarget {
        name: node.to_owned(),
        swarm_id,
    };
    let mut steps: Vec<Box<dyn Step>> = vec![Box::new(SetAvailability {
        target: target.clone(),
        to,
    })];
    if to == Availability::Drain {
        steps.push(Box::new(WaitForEmptyNode { target }));
    }
    steps
}

/// A node of the swarm, by its name in the fleet.
#[derive(Clone)]
pub(super) struct NodeTarget {
    pub name: String,
    /// Its id in the swarm, when its engine could be asked for it.
    pub swarm_id: Option<String>,
}

impl NodeTarget {
    pub(super) fn find_node<'a>(&self, swarm: &'a Swarm) -> Result<&'a SwarmNode, StepError> {
        swarm
            .nodes
            .iter()
            .find(|n| match &self.swarm_id {
                Some(id) => n.id == *id,
                None => n.hostname == self.name,
            })
            .ok_or_else(|| {
                StepError::failed(tr!(
                    "the swarm knows no node {:?}; `docker node ls` on a manager lists them",
                    self.name
                ))
            })
    }

    /// Lists the names of the tasks that run on the node.
    fn list_running_tasks(&self, swarm: &Swarm) -> Result<Vec<String>, StepError> {
        let tasks = self.list_tasks_with_mode(swarm)?.into_iter();
        Ok(tasks.map(|(name, _)| name).collect())
    }

    /// Lists the names of the tasks that run on the node, with the modes of their services.
    fn list_tasks_with_mode(
        &self,
        swarm: &Swarm,
    ) -> Result<Vec<(String, Option<ServiceMode>)>, StepError> {
        let node = self.find_node(swarm)?;
        let names = swarm
            .tasks
            .iter()
            .filter(|t| t.node_id == node.id && t.state == TaskState::Running)
            .map(|t| {
                let service = swarm.services.iter().find(|s| s.id == t.service_id);
                let mode = service.map(|s| s.mode);
                let service = service.map_or(tr!("a removed service"), |s| &s.name);
                let name = match t.slot {
                    Some(slot) => format!("{service}.{slot}"),
                    None => service.to_owned(),
                };
                (name, mode)
            });
        Ok(names.collect())
    }
}

pub(super) struct SetAvailability {
    pub target: NodeTarget,
    pub to: Availability,
}

impl SetAvailability {
    /// Compares it with one reading of the swarm.
    fn check_swarm(&self, swarm: &Swarm) -> Result<Check, StepError> {
        let node = self.target.find_node(swarm)?;
        let what = tr!("availability of {}", self.target.name);
        if node.availability == self.to {
            let now = format!("{what}: {}", self.to.as_str());
            return Ok(Check::Done(vec![Change::same(now)]));
        }
        let mut change = Change::modify(what, node.availability.as_str(), self.to.as_str());
        let others = swarm.nodes.iter().any(|n| {
            n.id != node.id && n.availability == Availability::Active && n.state == NodeState::Ready
        });
        if self.to != Availability::Active && !others {
            change =
                change.with_warning(tr!("no other node is active: tasks will wait until one is"));
        }
        let mut changes = vec![change];
        if self.to == Availability::Drain {
            changes.extend(self.target.list_tasks_with_mode(swarm)?.into_iter().map(
                |(task, mode)| {
                    let from = self.target.name.clone();
                    match mode {
                        Some(ServiceMode::ReplicatedJob(_)) => {
                            Change::modify(task, from, tr!("another node, from its beginning"))
                        }
                        Some(ServiceMode::GlobalJob) => Change::modify(task, from, tr!("ended")),
                        _ => Change::modify(task, from, tr!("another node")),
                    }
                },
            ));
        }
        Ok(Check::Change(changes))
    }
}

#[async_trait]
impl Step for SetAvailability {
    fn name(&self) -> String {
        tr!("availability").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        self.check_swarm(&cx.query_swarm().await?)
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let id = self.target.find_node(&cx.query_swarm().await?)?.id.clone();
        cx.docker
            .set_node_availability(&id, self.to)
            .await
            .map_err(StepError::from)
    }
}

/// Waits until no task runs on the node any more.
pub(super) struct WaitForEmptyNode {
    pub target: NodeTarget,
}

impl WaitForEmptyNode {
    /// Compares it with one reading of the swarm.
    fn check_swarm(&self, swarm: &Swarm) -> Result<Check, StepError> {
        let left = self.target.list_running_tasks(swarm)?;
        if self.target.find_node(swarm)?.state == NodeState::Down {
            let down = tr!("{} is down: nothing runs on it", self.target.name);
            return Ok(Check::Done(vec![Change::same(down)]));
        }
        Ok(match left.len() {
            0 => Check::Done(vec![Change::same(tr!("no task on {}", self.target.name))]),
            n => Check::Change(vec![Change::modify(
                tr!("tasks on {}", self.target.name),
                n.to_string(),
                "0",
            )]),
        })
    }
}

#[async_trait]
impl Step for WaitForEmptyNode {
    fn name(&self) -> String {
        tr!("empty").into()
    }

    fn timeout(&self) -> Duration {
        EMPTY_WAIT + Duration::from_secs(30)
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        self.check_swarm(&cx.query_swarm().await?)
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let wait = cx.wait_at_most(EMPTY_WAIT, POLL);
        let mut most = 0;
        loop {
            let swarm = cx.query_swarm().await?;
            let tasks = self.target.list_running_tasks(&swarm)?;
            let left = tasks.len() as u64;
            most = most.max(left);
            cx.out
                .send_progress(most - left, most.max(1), tr!("tasks"))
                .await;
            // A node that goes down meanwhile reports the end of no task.
            if left == 0 || self.target.find_node(&swarm)?.state == NodeState::Down {
                return Ok(());
            }
            let late = || {
                tr!(
                    "tasks still run on {} after {} s: {}",
                    self.target.name,
                    EMPTY_WAIT.as_secs(),
                    tasks.join(", ")
                )
            };
            wait.pause(late).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm_fixture::{changes, fails, node, service, swarm, task};
    use matou_model::Role;

    fn target(name: &str) -> NodeTarget {
        NodeTarget {
            name: name.into(),
            swarm_id: None,
        }
    }

    fn set(name: &str, to: Availability) -> SetAvailability {
        SetAvailability {
            target: target(name),
            to,
        }
    }

    #[test]
    fn draining_tells_where_tasks_go_and_when_they_can_go_nowhere() {
        let mut swarm = swarm(
            [node("n1", Role::Manager), node("n2", Role::Worker)],
            [service("blog_web", 2, 2)],
        );
        swarm.tasks = vec![
            task("blog_web", 1, "n1", TaskState::Running),
            task("blog_web", 2, "n2", TaskState::Running),
            task("gone", 1, "n2", TaskState::Running),
            task("blog_web", 3, "n2", TaskState::Failed),
        ];
        assert_eq!(
            changes(set("n2", Availability::Drain).check_swarm(&swarm)),
            [
                "~ availability of n2: active → drain",
                "~ blog_web.2: n2 → another node",
                "~ a removed service.1: n2 → another node"
            ]
        );
        swarm.nodes[0].state = NodeState::Down;
        assert_eq!(
            changes(set("n2", Availability::Pause).check_swarm(&swarm)),
            [
                "~ availability of n2: active → pause (no other node is active: tasks will wait until one is)"
            ]
        );
        assert_eq!(
            changes(set("n2", Availability::Active).check_swarm(&swarm)),
            ["= availability of n2: active"]
        );
        assert!(fails(set("n3", Availability::Drain).check_swarm(&swarm)).contains("\"n3\""));
    }

    #[test]
    fn a_node_is_empty_without_running_tasks_or_when_it_is_down() {
        let mut swarm = swarm([node("n1", Role::Manager)], []);
        let empty = WaitForEmptyNode {
            target: target("n1"),
        };
        assert_eq!(changes(empty.check_swarm(&swarm)), ["= no task on n1"]);
        swarm.tasks = vec![task("gone", 1, "n1", TaskState::Running)];
        assert_eq!(changes(empty.check_swarm(&swarm)), ["~ tasks on n1: 1 → 0"]);
        swarm.nodes[0].state = NodeState::Down;
        assert_eq!(
            changes(empty.check_swarm(&swarm)),
            ["= n1 is down: nothing runs on it"]
        );
    }
}
