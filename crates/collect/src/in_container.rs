//! A service that is asked inside its own container, because it is reachable from nowhere else
//! without a password.

use matou_i18n::tr;
use std::time::Duration;

use tokio::time::timeout;

use crate::CollectError;
use matou_docker::Nodes;
use matou_model::Swarm;

const PATIENCE: Duration = Duration::from_secs(10);

/// The container of such a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContainerEndpoint {
    node: String,
    container: String,
    /// The service's URL inside its container.
    pub address: String,
}

/// Finds the first service with `label`, if a task of it runs on a node of config.toml. The label's
/// value is the service's URL inside its container.
pub(super) fn find_container_endpoint(
    swarm: &Swarm,
    nodes: &Nodes,
    label: &str,
) -> Option<ContainerEndpoint> {
    let labelled = |s: &&matou_model::Service| s.labels.contains_key(label);
    let service = swarm.services.iter().find(labelled)?;
    let task = swarm.find_running_task(&service.id)?;
    Some(ContainerEndpoint {
        node: nodes.find_name(swarm, &task.node_id)?,
        container: task.container_id.clone()?,
        address: service.labels[label].clone(),
    })
}

/// Runs a command in the service's container and returns its output. `name` is used in errors.
///
/// # Errors
/// One sentence.
pub(super) async fn exec_at_endpoint(
    nodes: &Nodes,
    place: &ContainerEndpoint,
    name: &str,
    argv: &[&str],
) -> Result<Vec<u8>, CollectError> {
    let node = nodes
        .get(&place.node)
        .ok_or_else(|| tr!("{} is not in config.toml: add it", place.node))?;
    match timeout(
        PATIENCE,
        node.docker.exec_in_container(&place.container, argv),
    )
    .await
    {
        Ok(answer) => answer.map_err(CollectError::from),
        Err(_) => Err(CollectError::failed(tr!(
            "{name} did not answer within {} s",
            PATIENCE.as_secs()
        ))),
    }
}
