//! The container in which a service runs.

use matou_i18n::tr;
use std::time::Duration;

use crate::OpsError;
use matou_docker::{NodeHandle, Nodes};
use matou_host::Command;
use matou_model::Swarm;

/// A container that runs, and its node.
pub(crate) struct RunningContainer<'a> {
    pub node: &'a NodeHandle,
    pub id: String,
    /// Volumes and where they are mounted.
    pub mounts: Vec<(String, String)>,
    /// Those that the container may not write to.
    pub read_only: Vec<String>,
}

/// Finds the container of a service, named with its application, that can be entered.
///
/// # Errors
/// One sentence, which says what is missed without it: `so` ends it.
pub(crate) async fn find_running_container<'a>(
    service: &str,
    swarm: &Swarm,
    nodes: &'a Nodes,
    so: &str,
) -> Result<RunningContainer<'a>, OpsError> {
    let found = swarm
        .services
        .iter()
        .find(|s| s.name == service)
        .ok_or_else(|| tr!("the service {service} is not deployed, so {so}"))?;
    let task = swarm.find_enterable_task(&found.id).ok_or_else(|| {
        tr!("no task of {service} runs, so {so}: start it (`matou scale {service} 1`)")
    })?;
    let node = nodes
        .find_name(swarm, &task.node_id)
        .and_then(|n| nodes.get(&n))
        .ok_or_else(|| tr!("{service} runs on a node that is not in config.toml: add it"))?;
    let id = task.container_id.clone().unwrap_or_default();
    let format = "{{range .Mounts}}{{if eq .Type \"volume\"}}{{.Name}}\t{{.Destination}}\t{{.RW}}\n{{end}}{{end}}";
    let inspect = Command::new("docker")
        .args(["inspect", "--format", format, "--", &id])
        .sudo()
        .timeout(Duration::from_secs(20));
    let out = node.host.run_ok(&inspect).await?;
    let (mut mounts, mut read_only) = (Vec::new(), Vec::new());
    for line in out.stdout_text().lines() {
        if let [volume, at, writable] = line.split('\t').collect::<Vec<_>>()[..] {
            mounts.push((volume.to_owned(), at.to_owned()));
            if writable == "false" {
                read_only.push(volume.to_owned());
            }
        }
    }
    Ok(RunningContainer {
        node,
        id,
        mounts,
        read_only,
    })
}
