//! The clock is kept right: certificates, swarm and backups depend on it.
//!
//! Undo: `systemctl disable --now systemd-timesyncd`.

use async_trait::async_trait;
use matou_i18n::tr;

use super::Concern;
use super::desired::DesiredState;
use super::executor::NodeExecutor;
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig};
use matou_job::{Change, Check, StepError};

/// Other services that set the clock; one that runs is kept.
const OTHER_TIME_SERVICES: [&str; 4] = [
    "chrony.service",
    "chronyd.service",
    "ntpsec.service",
    "ntp.service",
];

fn desired_time_sync() -> DesiredState {
    DesiredState::default()
        .with_packages(["systemd-timesyncd"])
        .with_unit("systemd-timesyncd.service")
}

/// The concern `time`: a service that sets the clock.
pub(crate) struct TimeConcern;

#[async_trait]
impl Concern for TimeConcern {
    fn name(&self) -> &'static str {
        "time"
    }

    fn fact_query(&self, _: &NodeConfig, _: &Config) -> FactQuery {
        desired_time_sync()
            .fact_query()
            .with_units(OTHER_TIME_SERVICES)
    }

    fn required_packages(&self, _: &NodeConfig, _: &Config) -> Vec<String> {
        desired_time_sync().package_names()
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        if at.facts.is_container() {
            let line = tr!("the clock is the host's of this container");
            return Ok(Check::Done(vec![Change::same(line)]));
        }
        if let Some(other) = OTHER_TIME_SERVICES
            .iter()
            .find(|u| at.facts.unit(u).active == "active")
        {
            return Ok(Check::Done(vec![Change::same(tr!("{other} runs"))]));
        }
        Ok(Check::from_changes(desired_time_sync().compare(at.facts)))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        desired_time_sync().apply(at, run).await
    }
}
