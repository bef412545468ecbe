//! Programs and processes that images are said to have.

use matou_i18n::tr;
use std::time::Duration;

use crate::filed_app::FiledApp;
use crate::running_container::find_running_container;
use crate::{FleetContext, OpsError};
use matou_host::{Command, shell_script};

const FIND: &str = shell_script(include_str!("../../scripts/find_missing_programs.sh"));

/// Most characters of a process's name, as the kernel has it.
const COMM: usize = 15;

/// Looks into the running containers of an application for the programs and the main process that
/// their images are known to have, and returns what is missing, a sentence each.
///
/// # Errors
/// When the application can't be asked.
pub async fn find_missing_programs(
    fleet: &FleetContext,
    app: &str,
) -> Result<Vec<String>, OpsError> {
    let filed = FiledApp::load(fleet, app)?;
    let swarm = fleet.query_swarm().await?;
    let mut missing = Vec::new();
    for service in &filed.rendered.services {
        let Some(facts) = fleet.catalogue.known_images().find_facts(&service.image) else {
            continue;
        };
        let name = format!("{app}_{}", service.name);
        // A job that has ended, say.
        let runs = swarm.services.iter().find(|s| s.name == name);
        if runs.is_none_or(|s| swarm.find_enterable_task(&s.id).is_none()) {
            continue;
        }
        let container =
            find_running_container(&name, &swarm, &fleet.nodes, tr!("it can't be looked into"))
                .await?;
        let look = Command::sh(FIND)
            .arg(&container.id)
            .args(facts.programs.clone())
            .sudo()
            .timeout(Duration::from_secs(30))
            .label(tr!("programs of {name}"));
        let out = container.node.host.run_ok(&look).await?;
        let text = out.stdout_text();
        let image = &service.image;
        for line in text.lines() {
            if let Some(program) = line.strip_prefix("missing ") {
                missing.push(tr!("{image} has no program {program}"));
            }
        }
        let process: String = facts.process.chars().take(COMM).collect();
        let mut running = text.lines().filter_map(|l| l.strip_prefix("process "));
        if !process.is_empty() && !running.any(|name| name == process) {
            missing.push(tr!("{image} runs no process {process}"));
        }
    }
    Ok(missing)
}
