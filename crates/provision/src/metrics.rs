//! What the managers know of the fleet, for the stack monitoring: a systemd timer on the first manager
//! that runs `matou check --metrics` into a file of the node exporter's textfile collector.
//!
//! Undo: `off = ["metrics"]`, `systemctl disable --now matou-metrics.timer`.

use async_trait::async_trait;

use super::Concern;
use super::backup::runs_fleet_timers;
use super::desired::{DesiredState, HARDENED, READ_ONLY_SYSTEM};
use super::executor::NodeExecutor;
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig};
use matou_job::{Check, StepError};

const SERVICE: &str = "/etc/systemd/system/matou-metrics.service";
const TIMER: &str = "/etc/systemd/system/matou-metrics.timer";

/// `matou check` ends with 1 when something is wrong, which the file says too; a higher code is a
/// failure. After a failure, or when the last line is missing because the disk is full, the old
/// file stays, and Prometheus alerts to its age.
const METRICS_SERVICE: &str = include_str!("../files/matou-metrics.service");

const METRICS_TIMER: &str = include_str!("../files/matou-metrics.timer");

fn desired_metrics_timer() -> DesiredState {
    DesiredState::default()
        .with_file(
            SERVICE,
            0o644,
            format!("{METRICS_SERVICE}{HARDENED}{READ_ONLY_SYSTEM}"),
        )
        .with_file(TIMER, 0o644, METRICS_TIMER)
        .on_file_change("systemctl daemon-reload")
        .with_unit("matou-metrics.timer")
}

/// The concern `metrics`: the timer that writes metrics for Prometheus.
pub(crate) struct MetricsConcern;

#[async_trait]
impl Concern for MetricsConcern {
    fn name(&self) -> &'static str {
        "metrics"
    }

    /// Applies to the first manager, when the concern `matou` is on: the timer runs matou there.
    fn applies_to(&self, node: &NodeConfig, config: &Config) -> bool {
        runs_fleet_timers(node, config) && !config.provision.off.iter().any(|c| c == "matou")
    }

    fn fact_query(&self, _: &NodeConfig, _: &Config) -> FactQuery {
        desired_metrics_timer().fact_query()
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        Ok(Check::from_changes(
            desired_metrics_timer().compare(at.facts),
        ))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        desired_metrics_timer().apply(at, run).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shell line as systemd hands it on, in a folder of the test, with a program in matou's place.
    fn run(folder: &std::path::Path, program: &str) -> Option<i32> {
        let line = METRICS_SERVICE
            .lines()
            .find(|l| l.starts_with("ExecStart="))
            .unwrap();
        let line = line.strip_prefix("ExecStart=/bin/sh -c '").unwrap();
        let line = line.strip_suffix('\'').unwrap().replace("$$", "$");
        let here = folder.display().to_string();
        let line = line.replace("/var/lib/matou/metrics", &here);
        let shell = std::process::Command::new("/bin/sh")
            .args(["-c", &format!("matou() {{ {program}; }}; {line}")])
            .stderr(std::process::Stdio::null())
            .status();
        shell.unwrap().code()
    }

    #[test]
    fn only_output_that_is_whole_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (taken, new) = (dir.path().join("matou.prom"), dir.path().join("matou.new"));
        let now = || std::fs::read_to_string(&taken).unwrap();
        assert_eq!(
            run(dir.path(), "printf 'a 1\\n# EOF\\n'; return 1"),
            Some(1)
        );
        assert_eq!(now(), "a 1\n# EOF\n");
        // Nothing; a part, though it says that all is told; a failure.
        for (program, code) in [
            ("return 1", 74),
            (":", 74),
            ("echo b 2; return 1", 74),
            ("printf 'b 2\\n# EOF\\n'; return 4", 4),
        ] {
            assert_eq!(run(dir.path(), program), Some(code), "{program}");
            assert_eq!(now(), "a 1\n# EOF\n", "{program}");
            assert!(!new.exists());
        }
        assert_eq!(run(dir.path(), "printf 'c 3\\n# EOF\\n'"), Some(0));
        assert_eq!(now(), "c 3\n# EOF\n");
        assert!(METRICS_SERVICE.contains(matou_monitor::exposition::END));
    }
}
