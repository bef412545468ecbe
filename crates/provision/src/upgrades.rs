//! Security updates by themselves, each night; never of Docker, which would stop every task, and
//! never with a reboot: both are jobs of the operator, node after node.
//!
//! Undo: remove /etc/apt/apt.conf.d/52matou-upgrades.

use async_trait::async_trait;

use super::Concern;
use super::desired::DesiredState;
use super::executor::NodeExecutor;
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig};
use matou_job::{Check, StepError};

/// Later files win over the package's own 50unattended-upgrades.
const SETTINGS: &str = include_str!("../files/unattended-upgrades.conf");

fn desired_upgrade_settings() -> DesiredState {
    DesiredState::default()
        .with_packages(["unattended-upgrades"])
        .with_file("/etc/apt/apt.conf.d/52matou-upgrades", 0o644, SETTINGS)
        .with_steady_unit("apt-daily.timer")
        .with_steady_unit("apt-daily-upgrade.timer")
}

/// The concern `upgrades`: security updates each night.
pub(crate) struct UpgradesConcern;

#[async_trait]
impl Concern for UpgradesConcern {
    fn name(&self) -> &'static str {
        "upgrades"
    }

    fn fact_query(&self, _: &NodeConfig, _: &Config) -> FactQuery {
        desired_upgrade_settings().fact_query()
    }

    fn required_packages(&self, _: &NodeConfig, _: &Config) -> Vec<String> {
        desired_upgrade_settings().package_names()
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        Ok(Check::from_changes(
            desired_upgrade_settings().compare(at.facts),
        ))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        desired_upgrade_settings().apply(at, run).await
    }
}
