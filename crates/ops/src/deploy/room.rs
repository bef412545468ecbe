//! Whether a swarm has room for a stack: memory and processors that services reserve, addresses on
//! shared networks, networks of its own. What lacks is told before anything is changed: the engine
//! itself says it only in the log of its daemon, or by tasks that stay pending.

use matou_base::text::format_tenths;
use matou_i18n::tr;
use std::collections::BTreeMap;

use crate::service::refuse_too_many_tasks;
use matou_base::text::human_bytes as size;
use matou_docker::{NodeRoom, SwarmRoom};
use matou_job::{Change, StepError};
use matou_stack::{RenderedService, RenderedStack};

/// Addresses that an update may take beside those of the tasks that run.
const SPARE_ADDRESSES: u64 = 2;

/// Checks memory, processors and networks. Returns a warning for each limit that is near.
///
/// # Errors
/// One sentence: no node has that much, or a network is full.
pub(super) fn check_swarm_room(
    app: &str,
    rendered: &RenderedStack,
    room: &SwarmRoom,
    new: bool,
) -> Result<Vec<Change>, StepError> {
    let mut lines = Vec::new();
    let mut free: Vec<(&NodeRoom, i128, i128)> = room
        .nodes
        .iter()
        .filter(|n| n.is_usable())
        .map(|n| {
            (
                n,
                i128::from(n.memory) - i128::from(n.reserved_memory),
                i128::from(n.cpus) - i128::from(n.reserved_cpus),
            )
        })
        .collect();
    // What the application has reserved already is its own.
    for ((service, node), (memory, cpus)) in &room.by_service {
        if service.starts_with(&format!("{app}_"))
            && let Some(entry) = free.iter_mut().find(|(n, ..)| n.node.id == *node)
        {
            entry.1 += i128::from(*memory);
            entry.2 += i128::from(*cpus);
        }
    }
    for service in &rendered.services {
        let name = format!("{app}_{}", service.name);
        if let Some(replicas) = service.replicas.filter(|_| !service.job) {
            refuse_too_many_tasks(&name, replicas, room.nodes.len())?;
        }
        place_service_tasks(&name, service, &mut free)?;
        let largest = free.iter().map(|(n, ..)| n.memory).max().unwrap_or(0);
        let limit = service.requirements.memory_limit;
        if largest > 0 && limit > largest {
            lines.push(Change::same(tr!("memory of {name}")).with_warning(tr!(
                "it may take {}, and no node has more than {}: it is killed by the kernel before it meets its limit",
                size(limit),
                size(largest)
            )));
        }
    }
    lines.extend(check_network_addresses(app, rendered, room, new)?);
    Ok(lines)
}

/// Puts a service's tasks on the nodes with most room, as the scheduler would.
fn place_service_tasks(
    name: &str,
    service: &RenderedService,
    free: &mut [(&NodeRoom, i128, i128)],
) -> Result<(), StepError> {
    let needs = &service.requirements;
    if needs.reserved_memory == 0 && needs.reserved_cpus == 0 {
        return Ok(());
    }
    let fits = |room: &NodeRoom| {
        needs
            .constraints
            .iter()
            .all(|c| room.node.meets_constraint(c))
    };
    // A global service has one on each node: each must have room for it.
    for _ in 0..service.replicas.unwrap_or(1) {
        let best = free
            .iter_mut()
            .filter(|(node, ..)| fits(node))
            .max_by_key(|(_, memory, _)| *memory);
        let (memory, cpus) = (
            i128::from(needs.reserved_memory),
            i128::from(needs.reserved_cpus),
        );
        match best {
            Some(best) if best.1 >= memory && best.2 >= cpus => {
                best.1 -= memory;
                best.2 -= cpus;
            }
            Some((node, left, left_cpus)) => {
                let left = u64::try_from((*left).max(0)).unwrap_or(0);
                return Err(StepError::failed(tr!(
                    "no node has room for {name}: it reserves {} and {} processors a task, and {}, which has most, has {} and {} left; lower `reservations` or `replicas`, or add a node",
                    size(needs.reserved_memory),
                    format_tenths(needs.reserved_cpus as f64 / 1e9),
                    node.node.hostname,
                    size(left),
                    format_tenths((*left_cpus).max(0) as f64 / 1e9)
                )));
            }
            None => {
                return Err(StepError::failed(tr!(
                    "no node takes {name}: none that is ready and active fits {}",
                    needs.constraints.join(", ")
                )));
            }
        }
    }
    Ok(())
}

/// Checks addresses on shared networks, and subnets for the stack's own networks.
fn check_network_addresses(
    app: &str,
    rendered: &RenderedStack,
    room: &SwarmRoom,
    new: bool,
) -> Result<Vec<Change>, StepError> {
    let mut lines = Vec::new();
    let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
    for service in &rendered.services {
        for network in &service.requirements.networks {
            let tasks = service.replicas.unwrap_or(room.nodes.len() as u64);
            *wanted.entry(network).or_default() +=
                tasks + SPARE_ADDRESSES + u64::from(service.requirements.virtual_address);
        }
    }
    for (name, wanted) in wanted {
        let Some(network) = room.networks.iter().find(|n| n.name == name) else {
            continue;
        };
        // Those of an application that runs are counted among the taken.
        let wanted = if new { wanted } else { SPARE_ADDRESSES };
        let after = network.taken + wanted;
        if network.addresses > 0 && after > network.addresses {
            return Err(StepError::failed(tr!(
                "the network {name} is full: about {} of its {} addresses are taken, and {app} needs {wanted}; tasks would stay in the state new. Remove an application from it, or make it anew with a larger --subnet",
                network.taken,
                network.addresses
            )));
        }
        if network.addresses > 0 && after * 10 > network.addresses * 9 {
            lines.push(Change::same(tr!("network {name}")).with_warning(tr!(
                "about {after} of its {} addresses are taken then: make it anew with a larger --subnet before it is full",
                network.addresses
            )));
        }
    }
    if let Some(subnets) = room.subnets
        && new
    {
        // One more is that of the ingress mesh.
        let taken = room.networks.len() as u64 + 1;
        if taken + rendered.own_networks as u64 > subnets {
            return Err(StepError::failed(tr!(
                "the swarm's address pools hold {subnets} networks, and {taken} are there: {app} would get none; remove an application, or make the swarm anew with larger pools ([provision] address_pools)"
            )));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_docker::NetworkRoom;
    use matou_model::{Role, SwarmNode};
    use matou_stack::ServiceRequirements;

    fn room() -> SwarmRoom {
        let node = |hostname: &str, memory: u64, role| NodeRoom {
            node: SwarmNode {
                id: format!("id-{hostname}"),
                hostname: hostname.into(),
                role,
                state: matou_model::NodeState::Ready,
                ..SwarmNode::default()
            },
            memory: memory << 30,
            cpus: 2_000_000_000,
            ..NodeRoom::default()
        };
        SwarmRoom {
            nodes: vec![node("m", 2, Role::Manager), node("w", 4, Role::Worker)],
            networks: vec![NetworkRoom {
                name: "traefik-net".into(),
                addresses: 253,
                taken: 245,
            }],
            subnets: Some(4),
            by_service: [(("app_web".to_owned(), "id-w".to_owned()), (1 << 30, 0))].into(),
        }
    }

    fn stack(needs: ServiceRequirements, replicas: u64) -> RenderedStack {
        RenderedStack {
            services: vec![RenderedService {
                name: "web".into(),
                image: "x:1".into(),
                replicas: Some(replicas),
                job: false,
                requirements: needs,
                as_adopted: false,
                hash: String::new(),
                labels: Default::default(),
                environment: Default::default(),
            }],
            own_networks: 1,
            ..RenderedStack::default()
        }
    }

    #[test]
    fn reservations_that_no_node_has_are_refused() {
        let reserve = |memory: u64, constraints: &[&str]| ServiceRequirements {
            reserved_memory: memory << 30,
            constraints: constraints.iter().map(|c| (*c).to_owned()).collect(),
            ..ServiceRequirements::default()
        };
        let judged =
            |needs, replicas| check_swarm_room("app", &stack(needs, replicas), &room(), true);
        assert!(judged(reserve(3, &[]), 1).is_ok());
        let error = judged(reserve(3, &[]), 2).unwrap_err().to_string();
        assert!(error.contains("no node has room for app_web"), "{error}");
        let error = judged(reserve(3, &["node.role == manager"]), 1)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("and m, which has most, has 2.0 GiB"),
            "{error}"
        );
        assert!(judged(reserve(1, &["node.hostname==x"]), 1).is_err());
        // What the application holds already is its own: 4 GiB, of which 1 GiB is its.
        let mut full = room();
        full.nodes[1].reserved_memory = 2 << 30;
        assert!(check_swarm_room("app", &stack(reserve(3, &[]), 1), &full, false).is_ok());
        assert!(check_swarm_room("other", &stack(reserve(3, &[]), 1), &full, false).is_err());
    }

    #[test]
    fn limits_above_every_node_and_networks_near_their_end_are_told() {
        let needs = ServiceRequirements {
            memory_limit: 8 << 30,
            networks: vec!["traefik-net".into()],
            virtual_address: true,
            ..ServiceRequirements::default()
        };
        let lines = check_swarm_room("app", &stack(needs.clone(), 1), &room(), true).unwrap();
        let said: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert!(
            said[0].contains("no node has more than 4.0 GiB"),
            "{said:?}"
        );
        assert!(
            said[1].contains("about 249 of its 253 addresses"),
            "{said:?}"
        );
        let error = check_swarm_room("app", &stack(needs.clone(), 9000), &room(), true);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("app_web would have 9000 tasks"), "{error}");
        let error = check_swarm_room("app", &stack(needs, 9), &room(), true).unwrap_err();
        assert!(error.to_string().contains("traefik-net is full"), "{error}");
        let mut small = room();
        small.subnets = Some(2);
        let error = check_swarm_room(
            "app",
            &stack(ServiceRequirements::default(), 1),
            &small,
            true,
        )
        .unwrap_err();
        assert!(error.to_string().contains("hold 2 networks"), "{error}");
    }
}
