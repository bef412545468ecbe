//! Who is told of alerts while no console is open: a systemd timer on each manager that runs `matou check --tell`. The
//! first manager tells; another one does when those before it have not looked for ten minutes.
//!
//! Undo: `off = ["alerts"]`, `systemctl disable --now matou-alerts.timer`.

use async_trait::async_trait;
use matou_i18n::tr;

use super::Concern;
use super::backup::REMOVE_TIMER_SCRIPT;
use super::desired::{DesiredState, HARDENED, READ_ONLY_SYSTEM};
use super::executor::NodeExecutor;
use super::facts::FactQuery;
use super::node_view::NodeView;
use crate::ProvisionError;
use matou_config::{Config, NodeConfig};
use matou_job::{Change, Check, StepError};
use matou_model::Role;

const SERVICE: &str = "/etc/systemd/system/matou-alerts.service";
const TIMER: &str = "/etc/systemd/system/matou-alerts.timer";
const UNIT: &str = "matou-alerts.timer";

/// As for the metrics, 1 is an answer: something is wrong.
const ALERTS_SERVICE: &str = include_str!("../files/matou-alerts.service");

const ALERTS_TIMER: &str = include_str!("../files/matou-alerts.timer");

/// The concern `alerts`: the timer that tells.
pub(crate) struct AlertsConcern;

/// The managers that come before a node, in the order of config.toml.
pub(super) fn managers_before<'a>(node: &NodeConfig, config: &'a Config) -> Vec<&'a str> {
    let managers = config.nodes.iter().filter(|n| n.role == Role::Manager);
    managers
        .map(|n| n.name.as_str())
        .take_while(|name| *name != node.name)
        .collect()
}

fn desired_alerts_timer(node: &NodeConfig, config: &Config) -> DesiredState {
    // Names of nodes are letters, digits, dots and hyphens.
    let before: String = managers_before(node, config)
        .iter()
        .map(|name| format!(" --unless-told-by {name}"))
        .collect();
    let service = ALERTS_SERVICE.replace(" check --tell", &format!(" check --tell{before}"));
    DesiredState::default()
        .with_file(
            SERVICE,
            0o644,
            format!("{service}{HARDENED}{READ_ONLY_SYSTEM}"),
        )
        .with_file(TIMER, 0o644, ALERTS_TIMER)
        .on_file_change("systemctl daemon-reload")
        .with_unit(UNIT)
}

/// Whether somebody is named whom matou can tell.
fn has_receivers(config: &Config) -> bool {
    let to = &config.receivers;
    to.email.is_some()
        || to.webhook_file.is_some()
        || to.telegram.is_some()
        || to.matrix_file.is_some()
        || to.ntfy.is_some()
        || to.gotify.is_some()
}

#[async_trait]
impl Concern for AlertsConcern {
    fn name(&self) -> &'static str {
        "alerts"
    }

    /// Applies to every manager, when the concern `matou` is on: the timer runs matou there.
    fn applies_to(&self, node: &NodeConfig, config: &Config) -> bool {
        node.role == Role::Manager && !config.provision.off.iter().any(|c| c == "matou")
    }

    fn fact_query(&self, node: &NodeConfig, config: &Config) -> FactQuery {
        desired_alerts_timer(node, config).fact_query()
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let config = at.config();
        if has_receivers(config) {
            return Ok(Check::from_changes(
                desired_alerts_timer(at.node, config).compare(at.facts),
            ));
        }
        let line = match at.facts.file(TIMER).is_some() {
            true => Change::remove(tr!("{UNIT}: [receivers] names nobody")),
            false => Change::same(tr!("nobody is told of alerts: [receivers] names nobody")),
        };
        Ok(Check::from_changes(vec![line]))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        if has_receivers(at.config()) {
            return desired_alerts_timer(at.node, at.config())
                .apply(at, run)
                .await;
        }
        run.run_script(
            tr!("remove the timer"),
            REMOVE_TIMER_SCRIPT,
            [UNIT, TIMER, SERVICE],
        )
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::NodeFacts;
    use super::super::testing::{check_of, config, lines};
    use super::*;

    #[test]
    fn each_manager_waits_for_those_before_it() {
        let text = "[receivers]\nntfy = \"https://ntfy.sh/x\"\n";
        let mut fleet = config(text);
        fleet.nodes[2].role = Role::Manager;
        let unit = |n: usize| {
            let desired = desired_alerts_timer(&fleet.nodes[n], &fleet);
            format!("{desired:?}")
        };
        assert!(unit(0).contains("check --tell\\n"), "{}", unit(0));
        assert!(
            unit(2).contains("check --tell --unless-told-by n1\\n"),
            "{}",
            unit(2)
        );
    }

    #[test]
    fn the_timer_goes_with_the_last_receiver() {
        let none = config("");
        let plan = |facts| lines(&check_of(&AlertsConcern, &none, facts).unwrap()).join("\n");
        let facts = NodeFacts::of(&[]);
        assert_eq!(
            plan(facts.clone()),
            "= nobody is told of alerts: [receivers] names nobody"
        );
        let plan = plan(facts.with_file(TIMER, 0o644, ALERTS_TIMER));
        assert!(plan.starts_with("- matou-alerts.timer"), "{plan}");
    }
}
