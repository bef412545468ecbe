//! Draining, pausing and activating a node.

use std::time::Duration;

use async_trait::async_trait;

use super::tasks::{docker_failed, read};
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::model::{Availability, Swarm, SwarmNode};

/// How often a draining node is looked at.
const POLL: Duration = Duration::from_secs(1);

/// The steps that set a node's availability and, when draining, wait until it is empty.
///
/// `swarm_id` is the node's id in the swarm, when its engine could be asked for it; else the node
/// is found by its host name.
pub(super) fn set(node: &str, swarm_id: Option<String>, to: Availability) -> Vec<Box<dyn Step>> {
    let target = Target {
        name: node.to_owned(),
        swarm_id,
    };
    let mut steps: Vec<Box<dyn Step>> = vec![Box::new(SetAvailability {
        target: target.clone(),
        to,
    })];
    if to == Availability::Drain {
        steps.push(Box::new(Emptied { target }));
    }
    steps
}

/// A node of the swarm, by its name in the fleet.
#[derive(Clone)]
pub(super) struct Target {
    pub name: String,
    /// Its id in the swarm, when its engine could be asked for it.
    pub swarm_id: Option<String>,
}

impl Target {
    pub(super) fn find<'a>(&self, swarm: &'a Swarm) -> Result<&'a SwarmNode, StepError> {
        swarm
            .nodes
            .iter()
            .find(|n| match &self.swarm_id {
                Some(id) => n.id == *id,
                None => n.hostname == self.name,
            })
            .ok_or_else(|| {
                StepError::failed(format!(
                    "the swarm knows no node {:?}; `docker node ls` on a manager lists them",
                    self.name
                ))
            })
    }

    /// Names of the tasks that run on the node and can go elsewhere.
    fn tasks(&self, swarm: &Swarm) -> Result<Vec<String>, StepError> {
        let node = self.find(swarm)?;
        let names = swarm
            .tasks
            .iter()
            .filter(|t| t.node_id == node.id && t.state == "running")
            .map(|t| {
                let service = swarm.services.iter().find(|s| s.id == t.service_id);
                let service = service.map_or("a removed service", |s| &s.name);
                match t.slot {
                    Some(slot) => format!("{service}.{slot}"),
                    None => service.to_owned(),
                }
            });
        Ok(names.collect())
    }
}

pub(super) struct SetAvailability {
    pub target: Target,
    pub to: Availability,
}

#[async_trait]
impl Step for SetAvailability {
    fn name(&self) -> String {
        "availability".into()
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        let swarm = read(cx).await?;
        let node = self.target.find(&swarm)?;
        let what = format!("availability of {}", self.target.name);
        if node.availability == self.to {
            let now = format!("{what}: {}", self.to.as_str());
            return Ok(Check::Done(vec![Change::same(now)]));
        }
        let mut change = Change::modify(what, node.availability.as_str(), self.to.as_str());
        let others = swarm.nodes.iter().any(|n| {
            n.id != node.id && n.availability == Availability::Active && n.state == "ready"
        });
        if self.to != Availability::Active && !others {
            change = change.warn("no other node is active: tasks will wait until one is");
        }
        let mut changes = vec![change];
        if self.to == Availability::Drain {
            changes.extend(
                self.target
                    .tasks(&swarm)?
                    .into_iter()
                    .map(|task| Change::modify(task, self.target.name.clone(), "another node")),
            );
        }
        Ok(Check::Change(changes))
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let id = self.target.find(&read(cx).await?)?.id.clone();
        cx.docker
            .set_availability(&id, self.to)
            .await
            .map_err(docker_failed)
    }
}

/// No task runs on the node any more.
pub(super) struct Emptied {
    pub target: Target,
}

#[async_trait]
impl Step for Emptied {
    fn name(&self) -> String {
        "empty".into()
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        let swarm = read(cx).await?;
        let left = self.target.tasks(&swarm)?;
        if self.target.find(&swarm)?.state == "down" {
            let down = format!("{} is down: nothing runs on it", self.target.name);
            return Ok(Check::Done(vec![Change::same(down)]));
        }
        Ok(match left.len() {
            0 => Check::Done(vec![Change::same(format!(
                "no task on {}",
                self.target.name
            ))]),
            n => Check::Change(vec![Change::modify(
                format!("tasks on {}", self.target.name),
                n.to_string(),
                "0",
            )]),
        })
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let mut most = 0;
        loop {
            let left = self.target.tasks(&read(cx).await?)?.len() as u64;
            most = most.max(left);
            cx.out.progress(most - left, most.max(1), "tasks").await;
            if left == 0 {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = cx.cancel.cancelled() => return Err(StepError::Cancelled),
            }
        }
    }
}
