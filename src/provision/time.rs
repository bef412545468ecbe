//! The clock is kept right: certificates, swarm and backups depend on it.
//!
//! Undo: `systemctl disable --now systemd-timesyncd`.

use async_trait::async_trait;

use super::Concern;
use super::at::{At, check};
use super::desired::Desired;
use super::facts::Needs;
use super::run::Run;
use crate::config::{Config, NodeConfig};
use crate::job::{Change, Check, StepError};

/// Services that do the same; one that runs is kept.
const OTHERS: [&str; 4] = [
    "chrony.service",
    "chronyd.service",
    "ntpsec.service",
    "ntp.service",
];

fn desired() -> Desired {
    Desired::default()
        .packages(["systemd-timesyncd"])
        .unit("systemd-timesyncd.service")
}

/// See the module.
pub struct Time;

#[async_trait]
impl Concern for Time {
    fn name(&self) -> &'static str {
        "time"
    }

    fn needs(&self, _: &NodeConfig, _: &Config) -> Needs {
        desired().needs().units(OTHERS)
    }

    fn packages(&self, _: &NodeConfig, _: &Config) -> Vec<String> {
        desired().package_names()
    }

    fn check(&self, at: &At<'_>) -> Result<Check, String> {
        if at.facts.is_container() {
            let line = "the clock is the host's of this container";
            return Ok(Check::Done(vec![Change::same(line)]));
        }
        if let Some(other) = OTHERS.iter().find(|u| at.facts.unit(u).active == "active") {
            return Ok(Check::Done(vec![Change::same(format!("{other} runs"))]));
        }
        Ok(check(desired().compare(at.facts)))
    }

    async fn apply(&self, at: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
        desired().apply(at, run).await
    }
}
