//! An application runs where its file says: on one node, or on those of a label.

use async_trait::async_trait;
use matou_i18n::tr;
use std::collections::BTreeSet;
use std::sync::Arc;

use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::{Availability, NodeState, Role, Swarm, SwarmNode, TaskState};
use matou_stack::RenderedStack;

pub(super) struct CheckPlacement {
    pub app: String,
    /// Host name of a node, or `LABEL=VALUE`.
    pub place: String,
    pub rendered: Arc<RenderedStack>,
}

impl CheckPlacement {
    /// The nodes that fit.
    fn matching_nodes<'a>(&self, swarm: &'a Swarm) -> Vec<&'a SwarmNode> {
        let fits = |node: &&SwarmNode| match self.place.split_once('=') {
            Some((label, value)) => node.labels.get(label).is_some_and(|v| v == value),
            None => node.hostname == self.place,
        };
        swarm.nodes.iter().filter(fits).collect()
    }

    /// Returns why no task can run on these nodes; `None` when one can.
    fn find_obstacle(&self, nodes: &[&SwarmNode], swarm: &Swarm) -> Option<String> {
        let place = &self.place;
        if nodes.is_empty() {
            let names: Vec<&str> = swarm.nodes.iter().map(|n| n.hostname.as_str()).collect();
            return Some(match place.contains('=') {
                true => tr!(
                    "no node has the label {place}: `labels` of a node in config.toml and `matou provision --only swarm` give it one"
                ),
                false => tr!("the swarm has no node {place}, only {}", names.join(", ")),
            });
        }
        let usable =
            |n: &&&SwarmNode| n.state == NodeState::Ready && n.availability == Availability::Active;
        if nodes.iter().find(usable).is_none() {
            return Some(tr!(
                "{place} takes no tasks now: it is down, paused or drained (`matou activate {place}`)"
            ));
        }
        let workers = nodes.iter().all(|n| n.role == Role::Worker);
        let bound = self.rendered.services.iter().find(|s| {
            let constraints = s.requirements.constraints.iter();
            let compact = constraints.map(|c| c.replace(' ', ""));
            compact.into_iter().any(|c| c == "node.role==manager")
        });
        bound.filter(|_| workers).map(|service| {
            tr!(
                "{}_{} runs on managers alone, and {place} is a worker: `matou promote {place}` first, or leave it where it is",
                self.app, service.name
            )
        })
    }
}

#[async_trait]
impl Step for CheckPlacement {
    fn name(&self) -> String {
        tr!("place").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let swarm = cx.query_swarm().await?;
        let nodes = self.matching_nodes(&swarm);
        if let Some(reason) = self.find_obstacle(&nodes, &swarm) {
            return Err(StepError::failed(reason));
        }
        let name = |id: &str| {
            let node = swarm.nodes.iter().find(|n| n.id == id);
            node.map_or(tr!("another node"), |n| n.hostname.as_str())
        };
        let mut lines = Vec::new();
        let mut left: BTreeSet<&str> = BTreeSet::new();
        for service in &swarm.services {
            if service.stack.as_deref() != Some(&self.app) {
                continue;
            }
            let elsewhere: BTreeSet<&str> = swarm
                .tasks
                .iter()
                .filter(|t| t.service_id == service.id && t.is_to_go_on())
                .filter(|t| t.desired == TaskState::Running || !t.has_ended())
                .filter(|t| !t.node_id.is_empty() && nodes.iter().all(|n| n.id != t.node_id))
                .map(|t| name(&t.node_id))
                .collect();
            if !elsewhere.is_empty() {
                let from: Vec<&str> = elsewhere.iter().copied().collect();
                lines.push(Change::modify(
                    tr!("tasks of {}", service.name),
                    tr!("on {}", from.join(", ")),
                    tr!("on {}", self.place),
                ));
            }
            left.extend(elsewhere);
        }
        if lines.is_empty() {
            let line = Change::same(tr!("{} runs on {}", self.app, self.place));
            return Ok(Check::Done(vec![line]));
        }
        let left: Vec<&str> = left.into_iter().collect();
        // Volumes without a folder on the storage node are where their tasks were.
        for (volume, folder) in &self.rendered.volumes.named {
            if folder.is_none() {
                lines.push(Change::same(tr!("volume {volume}")).with_warning(tr!(
                    "it is local to {} and stays there with its data: the application begins with an empty one on {}; copy it first, or restore a backup afterwards",
                    left.join(", "),
                    self.place
                )));
            }
        }
        for volume in &self.rendered.volumes.outside {
            lines.push(Change::same(tr!("volume {volume}")).with_warning(tr!(
                "it is made outside of the stack: unless its driver has it on every node, it stays where it is, and the application begins with an empty one on {}",
                self.place
            )));
        }
        Ok(Check::Change(lines))
    }

    /// The stack carries the constraint; the engine moves the tasks when it is deployed.
    async fn apply(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }

    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}
