//! Doing something to a node while no task runs on it.

use std::time::Duration;

use super::executor::NodeExecutor;
use super::node_view::NodeView;
use matou_docker::DockerError;
use matou_job::StepError;
use matou_model::{Availability, NodeState, TaskState};

/// How long tasks may take to go elsewhere.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(300);

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
        .filter(|e| e.swarm.local_node_state == "active" && e.running_containers > 0);
    let (Some(engine), Some(manager)) = (busy, find_answering_manager(at)) else {
        return work().await;
    };
    let failed = |e: DockerError| StepError::from(e);
    let id = engine.swarm.node_id.clone();
    let docker = run
        .survey
        .node_handle(&manager)
        .map(|h| h.docker.clone())
        .ok_or_else(|| StepError::failed(format!("no node is named {manager}")))?;
    let before = docker.query_swarm().await.map_err(failed)?;
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
    run.cx.out.note("draining the node first").await;
    docker
        .set_node_availability(&id, Availability::Drain)
        .await
        .map_err(failed)?;
    let emptied = async {
        loop {
            let swarm = docker.query_swarm().await.map_err(failed)?;
            let left = swarm
                .tasks
                .iter()
                .filter(|t| t.node_id == id && t.state == TaskState::Running)
                .count();
            if left == 0 {
                return Ok::<(), StepError>(());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let result = match tokio::time::timeout(DRAIN_TIMEOUT, emptied).await {
        Ok(Ok(())) => work().await,
        Ok(Err(e)) => Err(e),
        Err(_) => Err(StepError::failed(format!(
            "tasks still run on {} after {} s of draining: `matou drain {0}` shows which",
            at.node.name,
            DRAIN_TIMEOUT.as_secs()
        ))),
    };
    // Also after a failure: a node that is left drained is an outage to come.
    run.cx
        .out
        .note("giving the node back to the scheduler")
        .await;
    docker
        .set_node_availability(&id, Availability::Active)
        .await
        .map_err(failed)?;
    result
}
