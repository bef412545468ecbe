//! Nodes that were lost and have been replaced by new ones of their name: struck off the swarm's list.

use async_trait::async_trait;

use crate::job::{Change, Check, Cx, Step, StepError};
use crate::model::{Role, Swarm, SwarmNode};
use crate::ops::tasks::{docker_failed, read};

/// The swarm lists no dead node whose name a living one has.
pub(super) struct Replaced;

/// Dead entries beside a living node of the same name.
fn dead(swarm: &Swarm) -> Vec<&SwarmNode> {
    let alive = |name: &str| {
        swarm
            .nodes
            .iter()
            .any(|n| n.hostname == name && n.state == "ready")
    };
    swarm
        .nodes
        .iter()
        .filter(|n| n.state != "ready" && alive(&n.hostname))
        .collect()
}

#[async_trait]
impl Step for Replaced {
    fn name(&self) -> String {
        "replaced nodes".into()
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        if cx.docker.ping_manager().await.is_err() {
            return Ok(Check::Unknown("the swarm is made first".into()));
        }
        let swarm = read(cx).await?;
        let lines: Vec<Change> = dead(&swarm)
            .iter()
            .map(|n| Change::remove(format!("the lost {} from the swarm's list", n.hostname)))
            .collect();
        Ok(match lines.is_empty() {
            true => Check::Done(vec![Change::same("no lost node is listed")]),
            false => Check::Change(lines),
        })
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let swarm = read(cx).await?;
        for node in dead(&swarm) {
            if node.role == Role::Manager {
                let demoted = cx.docker.set_role(&node.id, Role::Worker).await;
                demoted.map_err(docker_failed)?;
            }
            let struck = cx.docker.delete_node(&node.id, true).await;
            struck.map_err(docker_failed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dead_twin_of_a_living_node_goes() {
        let node = |id: &str, name: &str, state: &str| SwarmNode {
            id: id.into(),
            hostname: name.into(),
            state: state.into(),
            ..SwarmNode::default()
        };
        let swarm = Swarm {
            nodes: vec![
                node("1", "n1", "ready"),
                node("2", "n2", "down"),
                node("3", "n2", "ready"),
                node("4", "n3", "down"),
            ],
            ..Swarm::default()
        };
        let ids: Vec<&str> = dead(&swarm).iter().map(|n| n.id.as_str()).collect();
        assert_eq!(ids, ["2"]);
    }
}
