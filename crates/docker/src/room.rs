//! How much room a swarm has left: memory and processors of its nodes, addresses of its networks.

use std::collections::HashMap;

use bollard::models::{EndpointSpecModeEnum, Network, ServiceSpec, Task};
use bollard::query_parameters::{
    ListNetworksOptions, ListNodesOptions, ListServicesOptions, ListTasksOptions,
};

use super::{Docker, DockerError, convert};
use matou_model::{Availability, NodeState, SwarmNode};

/// A node's resources, as the scheduler counts them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeRoom {
    /// As the managers see it.
    pub node: SwarmNode,
    /// Bytes.
    pub memory: u64,
    /// Billionths of a processor.
    pub cpus: u64,
    /// What tasks have reserved: bytes, and billionths of a processor.
    pub reserved_memory: u64,
    /// Billionths of a processor.
    pub reserved_cpus: u64,
}

impl NodeRoom {
    /// It is ready and takes tasks.
    pub fn is_usable(&self) -> bool {
        self.node.state == NodeState::Ready && self.node.availability == Availability::Active
    }
}

/// An overlay network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkRoom {
    /// As the engine names it.
    pub name: String,
    /// Addresses that tasks, services and nodes may have.
    pub addresses: u64,
    /// About how many of them are taken.
    pub taken: u64,
}

/// The room of a swarm.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SwarmRoom {
    /// In the engine's order.
    pub nodes: Vec<NodeRoom>,
    /// Overlay networks.
    pub networks: Vec<NetworkRoom>,
    /// Networks that the swarm's address pools have room for; `None` when the engine does not say.
    pub subnets: Option<u64>,
    /// What running services have reserved, memory and processors, by service name and node id: it
    /// becomes free when they are replaced.
    pub by_service: HashMap<(String, String), (u64, u64)>,
}

impl SwarmRoom {
    /// Adds what tasks have reserved. Returns how many run, by the service's id.
    fn add_tasks<'t>(
        &mut self,
        tasks: &'t [Task],
        specs: &HashMap<String, ServiceSpec>,
    ) -> HashMap<&'t str, u64> {
        let mut running: HashMap<&str, u64> = HashMap::new();
        for task in tasks {
            let wanted = task.desired_state.as_ref().map(ToString::to_string);
            let (Some(service), Some("running")) = (&task.service_id, wanted.as_deref()) else {
                continue;
            };
            *running.entry(service).or_default() += 1;
            let Some(spec) = specs.get(service) else {
                continue;
            };
            let (memory, cpus) = service_reservation(spec);
            let node = task.node_id.clone().unwrap_or_default();
            if let Some(node) = self.nodes.iter_mut().find(|n| n.node.id == node) {
                node.reserved_memory += memory;
                node.reserved_cpus += cpus;
            }
            let name = spec.name.clone().unwrap_or_default();
            let entry = self.by_service.entry((name, node)).or_default();
            entry.0 += memory;
            entry.1 += cpus;
        }
        running
    }
}

/// Counts the addresses of an overlay network. Each of `nodes` takes one.
fn network_room(
    network: Network,
    nodes: u64,
    specs: &HashMap<String, ServiceSpec>,
    running: &HashMap<&str, u64>,
) -> NetworkRoom {
    let id = network.id.clone().unwrap_or_default();
    let name = network.name.unwrap_or_default();
    let users = specs.iter().filter(|(_, spec)| {
        let attached = spec.task_template.iter().flat_map(|t| &t.networks);
        let mut attached = attached.chain(&spec.networks).flatten();
        attached.any(|n| n.target.as_ref() == Some(&id) || n.target.as_ref() == Some(&name))
    });
    // Each node that has tasks on the network takes one more.
    let taken = users.fold(nodes, |sum, (id, spec)| {
        let tasks = running.get(id.as_str()).copied().unwrap_or(0);
        sum + tasks + u64::from(has_virtual_address(spec))
    });
    let subnets = network.ipam.and_then(|i| i.config).unwrap_or_default();
    let addresses = subnets
        .iter()
        .filter_map(|c| parse_prefix_length(c.subnet.as_deref()?))
        .map(|prefix| (1_u64 << (32 - prefix)).saturating_sub(3))
        .sum();
    NetworkRoom {
        name,
        addresses,
        taken,
    }
}

impl Docker {
    /// Reads how much room there is; this engine must be a manager.
    ///
    /// # Errors
    /// What the engine refuses, in its words; that it gives no answer.
    pub async fn query_room(&self) -> Result<SwarmRoom, DockerError> {
        let client = self.bollard_client().await?;
        let read = tokio::try_join!(
            client.list_nodes(None::<ListNodesOptions>),
            client.list_services(None::<ListServicesOptions>),
            client.list_tasks(None::<ListTasksOptions>),
            client.list_networks(None::<ListNetworksOptions>),
            client.inspect_swarm(),
        );
        let (nodes, services, tasks, networks, swarm) = match read {
            Ok(read) => read,
            Err(e) => return Err(self.error_of_client(e).await),
        };
        let mut room = SwarmRoom {
            subnets: count_subnets(
                &swarm.default_addr_pool.unwrap_or_default(),
                swarm.subnet_size,
            ),
            ..SwarmRoom::default()
        };
        for node in nodes {
            let resources = node.description.as_ref().and_then(|d| d.resources.clone());
            let resources = resources.unwrap_or_default();
            room.nodes.push(NodeRoom {
                node: convert::convert_node(node),
                memory: positive_or_zero(resources.memory_bytes),
                cpus: positive_or_zero(resources.nano_cpus),
                ..NodeRoom::default()
            });
        }
        let specs: HashMap<String, ServiceSpec> = services
            .into_iter()
            .filter_map(|s| Some((s.id?, s.spec?)))
            .collect();
        let running = room.add_tasks(&tasks, &specs);
        let count = room.nodes.len() as u64;
        for network in networks {
            if network.driver.as_deref() != Some("overlay") || network.ingress == Some(true) {
                continue;
            }
            room.networks
                .push(network_room(network, count, &specs, &running));
        }
        Ok(room)
    }
}

fn positive_or_zero(number: Option<i64>) -> u64 {
    number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}

fn service_reservation(spec: &ServiceSpec) -> (u64, u64) {
    let resources = spec
        .task_template
        .as_ref()
        .and_then(|t| t.resources.as_ref());
    let reserved = resources.and_then(|r| r.reservations.as_ref());
    reserved.map_or((0, 0), |r| {
        (
            positive_or_zero(r.memory_bytes),
            positive_or_zero(r.nano_cpus),
        )
    })
}

fn has_virtual_address(spec: &ServiceSpec) -> bool {
    let mode = spec.endpoint_spec.as_ref().and_then(|e| e.mode);
    mode != Some(EndpointSpecModeEnum::DNSRR)
}

/// The prefix length of an IPv4 network.
fn parse_prefix_length(subnet: &str) -> Option<u32> {
    let (address, prefix) = subnet.split_once('/')?;
    address.parse::<std::net::Ipv4Addr>().ok()?;
    prefix.parse().ok().filter(|p| *p <= 32)
}

/// How many networks of `size` the pools hold.
fn count_subnets(pools: &[String], size: Option<u32>) -> Option<u64> {
    let size = size.filter(|s| (1..=32).contains(s))?;
    let each = pools
        .iter()
        .filter_map(|p| parse_prefix_length(p))
        .map(|p| 1_u64 << size.saturating_sub(p).min(32));
    Some(each.sum()).filter(|n| *n > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_hold_so_many_networks() {
        assert_eq!(
            count_subnets(&["10.0.0.0/8".into()], Some(24)),
            Some(65_536)
        );
        assert_eq!(count_subnets(&["10.240.0.0/28".into()], Some(29)), Some(2));
        assert_eq!(count_subnets(&[], Some(24)), None);
        assert_eq!(parse_prefix_length("fd00::/64"), None);
        assert_eq!(parse_prefix_length("10.0.0.0/24"), Some(24));
    }
}
