//! Scheduled jobs of applications: a systemd timer on each manager that runs `matou jobs --due`. Which manager
//! runs a job is decided by a lock on the storage node.
//!
//! Undo: `off = ["jobs"]`, `systemctl disable --now matou-jobs.timer`.

use async_trait::async_trait;

use super::Concern;
use super::alerts::managers_before;
use super::desired::{DesiredState, HARDENED, READ_ONLY_SYSTEM};
use super::executor::NodeExecutor;
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig};
use matou_job::{Check, StepError};
use matou_model::Role;

const SERVICE: &str = "/etc/systemd/system/matou-jobs.service";
const TIMER: &str = "/etc/systemd/system/matou-jobs.timer";
const UNIT: &str = "matou-jobs.timer";

const JOBS_SERVICE: &str = include_str!("../files/matou-jobs.service");
const JOBS_TIMER: &str = include_str!("../files/matou-jobs.timer");

/// The concern `jobs`: the timer that runs what is due.
pub(crate) struct AppJobsConcern;

fn desired_jobs_timer(node: &NodeConfig, config: &Config) -> DesiredState {
    let turn = managers_before(node, config).len();
    let service = JOBS_SERVICE.replace("--turn 0", &format!("--turn {turn}"));
    DesiredState::default()
        .with_file(
            SERVICE,
            0o644,
            format!("{service}{HARDENED}{READ_ONLY_SYSTEM}"),
        )
        .with_file(TIMER, 0o644, JOBS_TIMER)
        .on_file_change("systemctl daemon-reload")
        .with_unit(UNIT)
}

#[async_trait]
impl Concern for AppJobsConcern {
    fn name(&self) -> &'static str {
        "jobs"
    }

    /// Applies to every manager, when the concern `matou` is on: the timer runs matou there.
    fn applies_to(&self, node: &NodeConfig, config: &Config) -> bool {
        node.role == Role::Manager && !config.provision.off.iter().any(|c| c == "matou")
    }

    fn fact_query(&self, node: &NodeConfig, config: &Config) -> FactQuery {
        desired_jobs_timer(node, config).fact_query()
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let desired = desired_jobs_timer(at.node, at.config());
        Ok(Check::from_changes(desired.compare(at.facts)))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        desired_jobs_timer(at.node, at.config())
            .apply(at, run)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::config;
    use super::*;

    #[test]
    fn each_manager_has_its_turn() {
        let mut fleet = config("");
        fleet.nodes[2].role = Role::Manager;
        let unit = |n: usize| format!("{:?}", desired_jobs_timer(&fleet.nodes[n], &fleet));
        assert!(unit(0).contains("jobs --due --turn 0"), "{}", unit(0));
        assert!(unit(2).contains("jobs --due --turn 1"), "{}", unit(2));
    }
}
