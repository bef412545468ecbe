//! Opens a shell on a node or in a container, with a full terminal.

use std::ffi::OsString;
use std::process::ExitCode;

use color_eyre::eyre::{Context as _, Result, eyre};

use crate::host::Command;
use crate::ops::Context;
use crate::ui::msg::ShellTarget;

/// Starts the best shell a container has.
const CONTAINER_SHELL: &str =
    "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi";

/// The command on this machine that opens the shell.
///
/// # Errors
/// When the node is unknown or can't be reached.
pub async fn shell_command(cx: &Context, target: &ShellTarget) -> Result<Vec<OsString>> {
    let (node, command) = match target {
        ShellTarget::Node { node } => (node, None),
        ShellTarget::Container {
            node, container, ..
        } => {
            let command = Command::new("docker")
                .args(["exec", "-it"])
                .arg(container)
                .args(["sh", "-c", CONTAINER_SHELL])
                .sudo();
            (node, Some(command))
        }
    };
    let handle = cx
        .nodes
        .get(node)
        .ok_or_else(|| eyre!("{node} is not in config.toml: add it to open a shell there"))?;
    Ok(handle.host.interactive(command.as_ref()).await?)
}

/// `matou shell TARGET`
pub async fn run(cx: &Context, target: &str) -> Result<ExitCode> {
    let target = if cx.nodes.get(target).is_some() {
        ShellTarget::Node {
            node: target.to_owned(),
        }
    } else {
        container_of(cx, target).await?
    };
    let argv = shell_command(cx, &target).await?;
    let status = tokio::process::Command::new(&argv[0])
        .args(&argv[1..])
        .status()
        .await
        .wrap_err("ssh can't be started: is openssh-client installed?")?;
    let code = status.code().and_then(|c| u8::try_from(c).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// A running container of the service of that name.
async fn container_of(cx: &Context, service: &str) -> Result<ShellTarget> {
    let manager = cx.nodes.manager().await?;
    let swarm = manager.docker.swarm().await?;
    let found = swarm
        .services
        .iter()
        .find(|s| s.name == service)
        .ok_or_else(|| {
            eyre!("there is no node and no service {service:?}; `matou status` lists both")
        })?;
    let task = swarm
        .tasks
        .iter()
        .find(|t| t.service_id == found.id && t.state == "running" && t.container_id.is_some())
        .ok_or_else(|| eyre!("no task of {service} runs: there is no container to enter"))?;
    let node = cx
        .nodes
        .name_of(&swarm, &task.node_id)
        .ok_or_else(|| eyre!("the node of {service} is not in config.toml: add it"))?;
    Ok(ShellTarget::Container {
        node,
        container: task.container_id.clone().unwrap_or_default(),
        label: service.to_owned(),
    })
}
