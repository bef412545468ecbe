//! A service that is asked inside its own container, because it is reachable from nowhere else
//! without a password.

use std::time::Duration;

use tokio::time::timeout;

use crate::docker::Nodes;
use crate::model::Swarm;

const PATIENCE: Duration = Duration::from_secs(10);

/// Where it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    node: String,
    container: String,
    /// Inside the container.
    pub address: String,
}

/// The first service with the label, if a task of it runs on a node of config.toml. The label holds
/// its address inside its container.
pub(super) fn place(swarm: &Swarm, nodes: &Nodes, label: &str) -> Option<Place> {
    let labelled = |s: &&crate::model::Service| s.labels.contains_key(label);
    let service = swarm.services.iter().find(labelled)?;
    let running = |t: &&crate::model::Task| {
        t.service_id == service.id && t.state == "running" && t.desired == "running"
    };
    let task = swarm.tasks.iter().find(running)?;
    Some(Place {
        node: nodes.name_of(swarm, &task.node_id)?,
        container: task.container_id.clone()?,
        address: service.labels[label].clone(),
    })
}

/// Runs a command in its container; `name` is whom a person would say is asked.
///
/// # Errors
/// One sentence.
pub(super) async fn ask(
    nodes: &Nodes,
    place: &Place,
    name: &str,
    argv: &[&str],
) -> Result<Vec<u8>, String> {
    let node = nodes
        .get(&place.node)
        .ok_or_else(|| format!("{} is not in config.toml: add it", place.node))?;
    match timeout(PATIENCE, node.docker.exec(&place.container, argv)).await {
        Ok(answer) => answer.map_err(|e| e.to_string()),
        Err(_) => Err(format!(
            "{name} did not answer within {} s",
            PATIENCE.as_secs()
        )),
    }
}
