//! Security updates by themselves, each night; never of Docker, which would stop every task, and
//! never with a reboot: both are jobs of the operator, node after node.
//!
//! Undo: remove /etc/apt/apt.conf.d/52matou-upgrades.

use async_trait::async_trait;

use super::Concern;
use super::at::{At, check};
use super::desired::Desired;
use super::facts::Needs;
use super::run::Run;
use crate::config::{Config, NodeConfig};
use crate::job::{Check, StepError};

/// Later files win over the package's own 50unattended-upgrades.
const SETTINGS: &str = r#"// Kept by `matou provision`.
// Look for updates and install them once a day.
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
APT::Periodic::AutocleanInterval "7";
// An update of the engine stops every task of the node: `matou upgrade` drains it first.
Unattended-Upgrade::Package-Blacklist { "docker"; "containerd"; "runc"; };
// A reboot is the operator's: `matou reboot` drains the node first.
Unattended-Upgrade::Automatic-Reboot "false";
// One package at a time, so that a shutdown meanwhile leaves nothing half done.
Unattended-Upgrade::MinimalSteps "true";
"#;

fn desired() -> Desired {
    Desired::default()
        .packages(["unattended-upgrades"])
        .file("/etc/apt/apt.conf.d/52matou-upgrades", 0o644, SETTINGS)
        .steady_unit("apt-daily.timer")
        .steady_unit("apt-daily-upgrade.timer")
}

/// See the module.
pub struct Upgrades;

#[async_trait]
impl Concern for Upgrades {
    fn name(&self) -> &'static str {
        "upgrades"
    }

    fn needs(&self, _: &NodeConfig, _: &Config) -> Needs {
        desired().needs()
    }

    fn packages(&self, _: &NodeConfig, _: &Config) -> Vec<String> {
        desired().package_names()
    }

    fn check(&self, at: &At<'_>) -> Result<Check, String> {
        Ok(check(desired().compare(at.facts)))
    }

    async fn apply(&self, at: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
        desired().apply(at, run).await
    }
}
