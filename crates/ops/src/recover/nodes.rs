//! Nodes that were lost and have been replaced by new ones of their name: struck off the swarm's list.

use matou_i18n::tr;
use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::future::join_all;

use matou_docker::Nodes;
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::{Role, Swarm, SwarmNode};

/// Removes nodes from the swarm's list whose server was replaced by another one.
pub(super) struct RemoveReplacedNodes {
    pub nodes: Nodes,
}

/// Finds nodes of the swarm whose server of that name has another id, or is in no swarm yet.
fn find_replaced_nodes<'a>(swarm: &'a Swarm, ids: &BTreeMap<String, String>) -> Vec<&'a SwarmNode> {
    let replaced = |n: &&SwarmNode| ids.get(&n.hostname).is_some_and(|id| *id != n.id);
    swarm.nodes.iter().filter(replaced).collect()
}

impl RemoveReplacedNodes {
    /// Asks each server for its id in the swarm, which is empty when it is in none. Servers that do
    /// not answer are left out.
    async fn query_swarm_ids(&self) -> BTreeMap<String, String> {
        let asked = self.nodes.iter().map(|n| async move {
            let engine = n.docker.query_engine().await.ok()?;
            Some((n.config.name.clone(), engine.swarm_node_id))
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}

#[async_trait]
impl Step for RemoveReplacedNodes {
    fn name(&self) -> String {
        tr!("replaced nodes").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        if cx.docker.ping_manager().await.is_err() {
            return Ok(Check::Unknown(tr!("the swarm is made first").into()));
        }
        let (swarm, ids) = (cx.query_swarm().await?, self.query_swarm_ids().await);
        let lines: Vec<Change> = find_replaced_nodes(&swarm, &ids)
            .iter()
            .map(|n| Change::remove(tr!("the lost {} from the swarm's list", n.hostname)))
            .collect();
        Ok(match lines.is_empty() {
            true => Check::Done(vec![Change::same(tr!("no lost node is listed"))]),
            false => Check::Change(lines),
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let (swarm, ids) = (cx.query_swarm().await?, self.query_swarm_ids().await);
        for node in find_replaced_nodes(&swarm, &ids) {
            if node.role == Role::Manager {
                let demoted = cx.docker.set_node_role(&node.id, Role::Worker).await;
                demoted?;
            }
            let struck = cx.docker.delete_node(&node.id, true).await;
            struck?;
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
        let found: Vec<&str> = find_replaced_nodes(&swarm, &ids.into())
            .iter()
            .map(|n| n.id.as_str())
            .collect();
        assert_eq!(found, ["2", "5"]);
    }
}
