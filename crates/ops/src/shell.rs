//! Shells with a full terminal, on nodes and in containers.

use matou_i18n::tr;
use std::ffi::OsString;

use color_eyre::eyre::{Result, eyre};

use super::FleetContext;
use matou_host::{Command, ShellInput};

/// Where a shell is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShellTarget {
    /// The node itself.
    Node {
        /// The node's name.
        node: String,
    },
    /// A running container of a task.
    Container {
        /// The node that it runs on.
        node: String,
        /// The container's id.
        container: String,
        /// How it is named to the operator.
        label: String,
    },
}

/// Starts the best shell a container has.
const CONTAINER_SHELL: &str =
    "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi";

/// The command on this machine that opens the shell.
///
/// # Errors
/// When the node is unknown or can't be reached.
pub async fn build_shell_command(
    fleet: &FleetContext,
    target: &ShellTarget,
    input: ShellInput,
) -> Result<Vec<OsString>> {
    let (node, command) = match target {
        ShellTarget::Node { node } => (node, None),
        ShellTarget::Container {
            node, container, ..
        } => {
            let command = Command::new("docker")
                .args(["exec", input.docker_flag()])
                .arg(container)
                .args(["sh", "-c", CONTAINER_SHELL])
                .sudo();
            (node, Some(command))
        }
    };
    let handle = fleet.nodes.get(node).ok_or_else(|| {
        eyre!(
            "{}",
            tr!("{node} is not in config.toml: add it to open a shell there")
        )
    })?;
    Ok(handle.host.terminal_argv(command.as_ref(), input).await?)
}

/// The node of that name, or a running container of the service of that name.
///
/// # Errors
/// When there is neither.
pub async fn find_shell_target(fleet: &FleetContext, name: &str) -> Result<ShellTarget> {
    if fleet.nodes.get(name).is_some() {
        return Ok(ShellTarget::Node {
            node: name.to_owned(),
        });
    }
    let service = name;
    let manager = fleet.nodes.find_manager().await?;
    let swarm = manager.docker.query_swarm().await?;
    let found = swarm
        .services
        .iter()
        .find(|s| s.name == service)
        .ok_or_else(|| {
            let nodes = fleet.nodes.iter().map(|n| n.config.name.as_str());
            let services = swarm.services.iter().map(|s| s.name.as_str());
            matou_config::unknown_name(tr!("node or service"), service, nodes.chain(services))
        })?;
    let task = swarm.find_enterable_task(&found.id).ok_or_else(|| {
        eyre!(
            "{}",
            tr!("no task of {service} runs: there is no container to enter")
        )
    })?;
    let node = fleet
        .nodes
        .find_name(&swarm, &task.node_id)
        .ok_or_else(|| {
            eyre!(
                "{}",
                tr!("the node of {service} is not in config.toml: add it")
            )
        })?;
    Ok(ShellTarget::Container {
        node,
        container: task.container_id.clone().unwrap_or_default(),
        label: service.to_owned(),
    })
}
