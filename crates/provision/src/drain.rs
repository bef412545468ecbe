//! Doing something to a node while no task runs on it.

use matou_i18n::tr;
use std::time::Duration;

use super::executor::NodeExecutor;
use super::node_view::NodeView;
use matou_docker::Docker;
use matou_job::StepError;
use matou_model::{Availability, NodeState, SwarmState, TaskState};

/// How long tasks may take to go elsewhere.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(300);

/// How often the node is looked at meanwhile.
const POLL: Duration = Duration::from_secs(1);

/// The name of a manager that answers, the node itself last: it is about to be restarted.
pub(super) fn find_answering_manager(at: &NodeView<'_>) -> Option<String> {
    let names = at.config().nodes.iter().map(|n| &n.name);
    let is_manager = |name: &&String| {
        at.fleet
            .node_facts(name)
            .is_ok_and(|f| f.engine().is_some_and(|e| e.is_manager()))
    };
    names
        .clone()
        .filter(|n| **n != at.node.name)
        .chain(names.filter(|n| **n == at.node.name))
        .find(is_manager)
        .cloned()
}

/// Does the work while the node is drained, and makes it active again, also after a failure. A node
/// that runs no tasks, or whose tasks no other node can take, is not drained.
pub(super) async fn with_drained_node(
    at: &NodeView<'_>,
    run: &NodeExecutor<'_>,
    work: impl AsyncFnOnce() -> Result<(), StepError>,
) -> Result<(), StepError> {
    let engine = at.facts.engine();
    let busy = engine
        .as_ref()
        .filter(|e| e.swarm.local_node_state == SwarmState::Active && e.running_containers > 0);
    let (Some(engine), Some(manager)) = (busy, find_answering_manager(at)) else {
        return work().await;
    };
    let id = engine.swarm.node_id.clone();
    let docker = run
        .survey
        .node_handle(&manager)
        .map(|h| h.docker.clone())
        .ok_or_else(|| StepError::failed(tr!("no node is named {manager}")))?;
    let before = docker.query_swarm().await?;
    let others = before.nodes.iter().any(|n| {
        n.id != id && n.state == NodeState::Ready && n.availability == Availability::Active
    });
    let was = before
        .nodes
        .iter()
        .find(|n| n.id == id)
        .map(|n| n.availability);
    if !others || was != Some(Availability::Active) {
        return work().await;
    }
    run.cx.out.note(tr!("draining the node first")).await;
    docker
        .set_node_availability(&id, Availability::Drain)
        .await?;
    let result = match wait_for_no_tasks(at, run, &docker, &id).await {
        Ok(()) => work().await,
        Err(e) => Err(e),
    };
    // Also after a failure: a node that is left drained is an outage to come.
    run.cx
        .out
        .note(tr!("giving the node back to the scheduler"))
        .await;
    docker
        .set_node_availability(&id, Availability::Active)
        .await?;
    result
}

/// Waits until the manager of `docker` knows of no task that runs on the node `id`.
async fn wait_for_no_tasks(
    at: &NodeView<'_>,
    run: &NodeExecutor<'_>,
    docker: &Docker,
    id: &str,
) -> Result<(), StepError> {
    let wait = run.cx.wait_at_most(DRAIN_TIMEOUT, POLL);
    loop {
        let swarm = docker.query_swarm().await?;
        let mut tasks = swarm.tasks.iter();
        if !tasks.any(|t| t.node_id == id && t.state == TaskState::Running) {
            return Ok(());
        }
        let late = || {
            tr!(
                "tasks still run on {} after {} s of draining: `matou drain {0}` shows which",
                at.node.name,
                DRAIN_TIMEOUT.as_secs()
            )
        };
        wait.pause(late).await?;
    }
}
