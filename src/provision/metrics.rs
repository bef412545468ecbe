//! What the managers know of the fleet, for the stack monitoring: a systemd timer on the first manager
//! that runs `matou check --metrics` into a file of the node exporter's textfile collector.
//!
//! Undo: `off = ["metrics"]`, `systemctl disable --now matou-metrics.timer`.

use async_trait::async_trait;

use super::Concern;
use super::at::{At, check};
use super::backup::is_first;
use super::desired::Desired;
use super::facts::Needs;
use super::run::Run;
use crate::config::{Config, NodeConfig};
use crate::job::{Check, StepError};

const SERVICE: &str = "/etc/systemd/system/matou-metrics.service";
const TIMER: &str = "/etc/systemd/system/matou-metrics.timer";

/// It ends with 1 when something is wrong, which the file says too; anything above is a failure, and
/// leaves the file as old as it is, of which Prometheus tells.
const RUN: &str = "# Kept by `matou provision`.\n[Unit]\nDescription=matou: what is wrong, for Prometheus\n\
    After=network-online.target docker.service\nWants=network-online.target\n\n\
    [Service]\nType=oneshot\nEnvironment=HOME=/root\nNice=10\nSuccessExitStatus=1\nTimeoutStartSec=110\n\
    ExecStartPre=/usr/bin/install -d -m 755 /var/lib/matou /var/lib/matou/metrics\n\
    ExecStart=/bin/sh -c 'f=/var/lib/matou/metrics/matou; matou --config /etc/matou/config.toml check --metrics >$$f.new; c=$$?; [ $$c -gt 1 ] || mv $$f.new $$f.prom; exit $$c'\n\
    Environment=PATH=/usr/local/bin:/usr/bin:/bin\n";

const EVERY: &str = "# Kept by `matou provision`.\n[Unit]\nDescription=matou: what is wrong, for Prometheus\n\n\
    [Timer]\nOnBootSec=2min\nOnUnitInactiveSec=2min\nAccuracySec=5s\n\n\
    [Install]\nWantedBy=timers.target\n";

fn desired() -> Desired {
    Desired::default()
        .file(SERVICE, 0o644, RUN)
        .file(TIMER, 0o644, EVERY)
        .after("systemctl daemon-reload")
        .unit("matou-metrics.timer")
}

/// See the module.
pub struct Metrics;

#[async_trait]
impl Concern for Metrics {
    fn name(&self) -> &'static str {
        "metrics"
    }

    /// Without matou on the manager nothing could be run.
    fn applies(&self, node: &NodeConfig, config: &Config) -> bool {
        is_first(node, config) && !config.provision.off.iter().any(|c| c == "matou")
    }

    fn needs(&self, _: &NodeConfig, _: &Config) -> Needs {
        desired().needs()
    }

    fn check(&self, at: &At<'_>) -> Result<Check, String> {
        Ok(check(desired().compare(at.facts)))
    }

    async fn apply(&self, at: &At<'_>, run: &Run<'_>) -> Result<(), StepError> {
        desired().apply(at, run).await
    }
}
