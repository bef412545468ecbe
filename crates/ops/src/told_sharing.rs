//! What receivers were told, as a file on every manager: the one that takes over knows it, and the one that comes back.

use std::time::Duration;

use futures_util::future::join_all;
use matou_i18n::tr;

use crate::FleetContext;
use matou_docker::NodeHandle;
use matou_host::{Command, ParentFolder, write_file_command};
use matou_model::{Fleet, NodeLink, Role};
use matou_monitor::ToldMemory;

/// Where it is on a manager.
const FILE: &str = "/var/lib/matou/told.json";

/// No more of it is read than this.
const READ: &str = "[ ! -s \"$1\" ] || head -c 1048576 -- \"$1\"";

const LIMIT: Duration = Duration::from_secs(15);

/// The managers that were reached in this look: the others are not waited for again.
fn list_managers<'a>(context: &'a FleetContext, seen: &Fleet) -> Vec<&'a NodeHandle> {
    let is_up = |name: &str| {
        let node = seen.nodes.iter().find(|n| n.name == name);
        node.is_some_and(|n| matches!(n.link, NodeLink::Up))
    };
    let managers = context.nodes.iter();
    managers
        .filter(|n| n.config.role == Role::Manager && is_up(&n.config.name))
        .collect()
}

/// Reads what the managers keep that were reached in a look. What can't be read is left out.
pub async fn read_told_memories(context: &FleetContext, seen: &Fleet) -> Vec<ToldMemory> {
    let read = |node: &NodeHandle| {
        let host = node.host.clone();
        async move {
            let command = Command::sh(READ).arg(FILE).sudo().timeout(LIMIT);
            let command = command.label(tr!("what receivers were told"));
            let out = host.run_ok(&command).await.ok()?;
            serde_json::from_slice(&out.stdout).ok()
        }
    };
    let managers = list_managers(context, seen).into_iter();
    let all = join_all(managers.map(read)).await;
    all.into_iter().flatten().collect()
}

/// Writes it on the managers that were reached in a look; one that takes nothing keeps what it had.
pub async fn write_told_memory(context: &FleetContext, seen: &Fleet, told: &ToldMemory) {
    let Ok(text) = serde_json::to_vec(told) else {
        return;
    };
    let write = |node: &NodeHandle| {
        let host = node.host.clone();
        let command = write_file_command(FILE, text.clone(), 0o600, ParentFolder::Created)
            .timeout(LIMIT)
            .label(tr!("keep what receivers were told"));
        async move {
            if let Err(e) = host.run_ok(&command).await {
                tracing::debug!("{e}");
            }
        }
    };
    let managers = list_managers(context, seen).into_iter();
    join_all(managers.map(write)).await;
}
