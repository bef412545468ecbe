//! Constraints that keep services where their volumes are while a restore goes on: a scheduler starts a task
//! on any node that fits, and there the engine makes an empty volume of the same name.

use std::collections::{BTreeMap, BTreeSet};

use super::state_machine::ServicePins;
use matou_backup::RestoreState;
use matou_docker::Nodes;
use matou_job::{StepContext, StepError};
use matou_model::{NodeState, Swarm};

/// Where the constraints of a service are.
const CONSTRAINTS: [&str; 3] = ["TaskTemplate", "Placement", "Constraints"];

/// The nodes, by the swarm's id, that have volumes which are a node's own.
pub(super) struct VolumeNodes(BTreeMap<String, BTreeSet<String>>);

impl VolumeNodes {
    /// Reads from a state which volumes are exchanged on which nodes. `storage` is the storage node.
    pub(super) fn of_state(
        state: &RestoreState,
        storage: &str,
        nodes: &Nodes,
        swarm: &Swarm,
    ) -> Self {
        let mut ids: BTreeMap<String, String> = BTreeMap::new();
        for node in &swarm.nodes {
            if let Some(name) = nodes.find_name(swarm, &node.id) {
                ids.insert(name, node.id.clone());
            }
        }
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (swap, volume) in state.swaps.iter().zip(&state.volumes) {
            // Everywhere else the volume is another name for a folder that all nodes have.
            if !swap.live.ends_with(format!("volumes/{volume}/_data")) {
                continue;
            }
            let node = swap.node.as_deref().unwrap_or(storage);
            let id = ids.get(node).cloned();
            found.entry(volume.clone()).or_default().extend(id);
        }
        Self(found)
    }

    /// All nodes that have one of them.
    fn all(&self) -> BTreeSet<&String> {
        self.0.values().flatten().collect()
    }

    /// Returns the constraints that keep a service with these volumes on the nodes that have all of them;
    /// none when it may be anywhere.
    pub(super) fn constraints(&self, volumes: &[String], swarm: &Swarm) -> Vec<String> {
        let held = volumes.iter().filter_map(|v| self.0.get(v)).cloned();
        let allowed = held.reduce(|all, more| &all & &more).unwrap_or_default();
        match allowed.iter().next() {
            None => Vec::new(),
            Some(one) if allowed.len() == 1 => vec![format!("node.id=={one}")],
            Some(_) => {
                let others = swarm.nodes.iter().filter(|n| !allowed.contains(&n.id));
                others.map(|n| format!("node.id!={}", n.id)).collect()
            }
        }
    }
}

/// Finds the constraints that services lack which mount the volumes of a restore.
pub(super) async fn find_pins(
    cx: &StepContext,
    places: &VolumeNodes,
    swarm: &Swarm,
) -> Result<ServicePins, StepError> {
    let mut pins = Vec::new();
    for service in &swarm.services {
        let wanted = places.constraints(&service.volumes, swarm);
        if wanted.is_empty() {
            continue;
        }
        let spec = cx.docker.query_service_spec(&service.name).await?;
        let has = spec.task_template.and_then(|t| t.placement?.constraints);
        let has: Vec<String> = has.into_iter().flatten().map(|c| compact(&c)).collect();
        let lacks: Vec<String> = wanted.into_iter().filter(|c| !has.contains(c)).collect();
        if !lacks.is_empty() {
            pins.push((service.name.clone(), lacks));
        }
    }
    Ok(pins)
}

fn compact(constraint: &str) -> String {
    constraint.replace(' ', "")
}

/// Gives services constraints that they lack, or takes them away. A task on a node that fits goes on: the
/// engine replaces none for a constraint that it fulfils.
pub(super) async fn set_pins(
    cx: &StepContext,
    pins: &ServicePins,
    pinned: bool,
) -> Result<(), StepError> {
    for (service, constraints) in pins {
        let change = |spec: &mut matou_docker::RawSpec| {
            let list = spec.list_mut(&CONSTRAINTS);
            let before = list.len();
            match pinned {
                true => {
                    for one in constraints {
                        if !list.iter().any(|c| c == one.as_str()) {
                            list.push(one.as_str().into());
                        }
                    }
                }
                false => list.retain(|c| !constraints.iter().any(|one| c == one.as_str())),
            }
            list.len() != before
        };
        match cx.docker.update_service(service, change).await {
            // Removed meanwhile.
            Err(e) if e.is_not_found() => {}
            other => other?,
        }
    }
    Ok(())
}

/// Returns the nodes, by the swarm's id, that are lost and have nothing of what is exchanged: what may still
/// run there writes into volumes of its own. None when a folder is exchanged that nodes share.
pub(super) fn find_lost_strangers(
    state: &RestoreState,
    places: &VolumeNodes,
    swarm: &Swarm,
) -> BTreeSet<String> {
    let own = |(swap, volume): (&matou_backup::FolderSwap, &String)| {
        swap.live.ends_with(format!("volumes/{volume}/_data"))
    };
    if !state.swaps.iter().zip(&state.volumes).all(own) {
        return BTreeSet::new();
    }
    let concerned = places.all();
    let lost = swarm.nodes.iter();
    let lost = lost.filter(|n| n.state != NodeState::Ready && !concerned.contains(&n.id));
    lost.map(|n| n.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm_fixture::{node, swarm};
    use matou_model::Role;

    #[test]
    fn a_service_stays_where_all_its_volumes_are() {
        let swarm = swarm(["n1", "n2", "n3"].map(|n| node(n, Role::Manager)), []);
        let set = |nodes: &[&str]| nodes.iter().map(|n| (*n).to_owned()).collect();
        let places = VolumeNodes(
            [
                ("one".to_owned(), set(&["n2"])),
                ("two".to_owned(), set(&["n2", "n3"])),
                ("all".to_owned(), set(&["n1", "n2", "n3"])),
            ]
            .into(),
        );
        for (volumes, expected) in [
            (&["one"][..], &["node.id==n2"][..]),
            (&["two"], &["node.id!=n1"]),
            (&["one", "two"], &["node.id==n2"]),
            (&["two", "all"], &["node.id!=n1"]),
            (&["all"], &[]),
            (&["shared"], &[]),
        ] {
            let volumes: Vec<String> = volumes.iter().map(|v| (*v).to_owned()).collect();
            assert_eq!(
                places.constraints(&volumes, &swarm),
                expected,
                "{volumes:?}"
            );
        }
    }
}
