//! Room on the disks: a systemd timer on each manager that runs `matou room --night`. The first manager does it;
//! the others, half an hour later each, do what it has not done.
//!
//! Undo: `off = ["room"]`, `systemctl disable --now matou-room.timer`.

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

const SERVICE: &str = "/etc/systemd/system/matou-room.service";
const TIMER: &str = "/etc/systemd/system/matou-room.timer";
const UNIT: &str = "matou-room.timer";

const ROOM_SERVICE: &str = include_str!("../files/matou-room.service");
const ROOM_TIMER: &str = include_str!("../files/matou-room.timer");

/// When the first manager begins, minutes after midnight, and how much later each other one does.
const BEGIN: usize = 4 * 60 + 15;
const LATER: usize = 30;

/// The operators' apps/ and stacks/ are brought there from the storage node.
const WRITABLE: &str = "ReadWritePaths=/etc/matou\n";

/// The concern `room`: the timer that measures, and cleans.
pub(crate) struct RoomConcern;

fn desired_room_timer(node: &NodeConfig, config: &Config) -> DesiredState {
    let turn = managers_before(node, config).len();
    let service = match turn {
        0 => ROOM_SERVICE.to_owned(),
        _ => ROOM_SERVICE.replace(" --night", " --night --unless-done"),
    };
    let begin = (BEGIN + LATER * turn) % (24 * 60);
    let begin = format!("{:02}:{:02}", begin / 60, begin % 60);
    DesiredState::default()
        .with_file(
            SERVICE,
            0o644,
            format!("{service}{HARDENED}{READ_ONLY_SYSTEM}{WRITABLE}"),
        )
        .with_file(TIMER, 0o644, ROOM_TIMER.replace("04:15", &begin))
        .on_file_change("systemctl daemon-reload")
        .with_unit(UNIT)
}

#[async_trait]
impl Concern for RoomConcern {
    fn name(&self) -> &'static str {
        "room"
    }

    /// Applies to every manager, when the concern `matou` is on: the timer runs matou there.
    fn applies_to(&self, node: &NodeConfig, config: &Config) -> bool {
        node.role == Role::Manager && !config.provision.off.iter().any(|c| c == "matou")
    }

    fn fact_query(&self, node: &NodeConfig, config: &Config) -> FactQuery {
        desired_room_timer(node, config).fact_query()
    }

    fn check(&self, at: &NodeView<'_>) -> Result<Check, ProvisionError> {
        let desired = desired_room_timer(at.node, at.config());
        Ok(Check::from_changes(desired.compare(at.facts)))
    }

    async fn apply(&self, at: &NodeView<'_>, run: &NodeExecutor<'_>) -> Result<(), StepError> {
        desired_room_timer(at.node, at.config())
            .apply(at, run)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::config;
    use super::*;

    #[test]
    fn each_manager_comes_later_and_does_what_is_left() {
        let mut fleet = config("");
        fleet.nodes[2].role = Role::Manager;
        let unit = |n: usize| format!("{:?}", desired_room_timer(&fleet.nodes[n], &fleet));
        assert!(unit(0).contains("room --night\\n"), "{}", unit(0));
        assert!(unit(0).contains("*-*-* 04:15"), "{}", unit(0));
        assert!(
            unit(2).contains("room --night --unless-done\\n"),
            "{}",
            unit(2)
        );
        assert!(unit(2).contains("*-*-* 04:45"), "{}", unit(2));
    }
}
