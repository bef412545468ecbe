//! Nodes that were lost and have been replaced by new ones of their name: struck off the swarm's list.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::future::join_all;

use crate::docker::Nodes;
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::model::{Role, Swarm, SwarmNode};
use crate::ops::tasks::{docker_failed, read};

/// The swarm lists no node whose server is another one now.
pub(super) struct Replaced {
    pub nodes: Nodes,
}

/// Entries under the name of a server that knows itself by another id, or is in no swarm yet.
fn dead<'a>(swarm: &'a Swarm, ids: &BTreeMap<String, String>) -> Vec<&'a SwarmNode> {
    let replaced = |n: &&SwarmNode| ids.get(&n.hostname).is_some_and(|id| *id != n.id);
    swarm.nodes.iter().filter(replaced).collect()
}

impl Replaced {
    /// The id that each server that answers has in its swarm; empty in none.
    async fn ids(&self) -> BTreeMap<String, String> {
        let asked = self.nodes.iter().map(|n| async move {
            let engine = n.docker.engine().await.ok()?;
            Some((n.config.name.clone(), engine.swarm_node_id))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
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
        let (swarm, ids) = (read(cx).await?, self.ids().await);
        let lines: Vec<Change> = dead(&swarm, &ids)
            .iter()
            .map(|n| Change::remove(format!("the lost {} from the swarm's list", n.hostname)))
            .collect();
        Ok(match lines.is_empty() {
            true => Check::Done(vec![Change::same("no lost node is listed")]),
            false => Check::Change(lines),
        })
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let (swarm, ids) = (read(cx).await?, self.ids().await);
        for node in dead(&swarm, &ids) {
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
    fn only_entries_of_servers_that_are_others_now_go() {
        let node = |id: &str, name: &str| SwarmNode {
            id: id.into(),
            hostname: name.into(),
            ..SwarmNode::default()
        };
        let swarm = Swarm {
            nodes: vec![
                node("1", "n1"),
                node("2", "n2"),
                node("3", "n2"),
                node("4", "n3"),
                node("5", "n4"),
            ],
            ..Swarm::default()
        };
        let ids = [("n1", "1"), ("n2", "3"), ("n4", "")];
        let ids = ids.map(|(name, id)| (name.to_owned(), id.to_owned()));
        // n3 does not answer: nothing is known of it.
        let found: Vec<&str> = dead(&swarm, &ids.into())
            .iter()
            .map(|n| n.id.as_str())
            .collect();
        assert_eq!(found, ["2", "5"]);
    }
}
