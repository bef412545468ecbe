//! What names lead to: the addresses that `[dns]` says, else those of the nodes that take https.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::deploy::resolve_host_name;
use crate::{FleetContext, OpsError};
use matou_config::{DnsAddress, DnsConfig};
use matou_docker::NodeHandle;
use matou_model::{ServiceMode, Swarm};

/// Returns the addresses.
///
/// # Errors
/// One sentence: a node's address is not known, or is none that the world reaches.
pub(super) async fn find_edge_addresses(
    dns: &DnsConfig,
    fleet: &FleetContext,
) -> Result<BTreeSet<IpAddr>, OpsError> {
    let mut found = BTreeSet::new();
    if dns.addresses.is_empty() {
        let swarm = fleet.query_swarm().await.unwrap_or_default();
        for node in list_edge_nodes(fleet, &swarm) {
            let addresses = resolve_node(node).await?;
            if let Some(hidden) = addresses.iter().find(|a| !is_public(a)) {
                return Err(OpsError::failed(tr!(
                    "what names are to lead to is not known, as {} has the address {hidden}, which the world does not reach: add addresses = [\"…\"] to [dns], with the public ones",
                    node.config.name
                )));
            }
            found.extend(addresses);
        }
        return Ok(found);
    }
    for address in &dns.addresses {
        match address {
            DnsAddress::Ip(ip) => drop(found.insert(*ip)),
            DnsAddress::Node(name) => match fleet.nodes.get(name) {
                Some(node) => found.extend(resolve_node(node).await?),
                None => {
                    return Err(OpsError::failed(tr!(
                        "{name} of addresses in [dns] is no node of config.toml any more"
                    )));
                }
            },
        }
    }
    Ok(found)
}

/// Lists the nodes that take https: those that Traefik has a task on where it is a global service. A port of
/// another service is open on every node.
fn list_edge_nodes<'a>(fleet: &'a FleetContext, swarm: &Swarm) -> Vec<&'a NodeHandle> {
    let edge = swarm.find_edge_service();
    let global = edge.filter(|service| service.mode == ServiceMode::Global);
    let nodes = fleet.nodes.iter();
    let Some(edge) = global else {
        return nodes.collect();
    };
    let tasks = swarm.tasks.iter().filter(|t| t.service_id == edge.id);
    let names: BTreeSet<String> = tasks
        .filter_map(|task| fleet.nodes.find_name(swarm, &task.node_id))
        .collect();
    nodes.filter(|n| names.contains(&n.config.name)).collect()
}

async fn resolve_node(node: &NodeHandle) -> Result<BTreeSet<IpAddr>, OpsError> {
    let name = &node.config.name;
    let Some(address) = node.ssh_address() else {
        return Err(OpsError::failed(tr!(
            "what names are to lead to is not known, as {name} is this machine: add addresses = [\"…\"] to [dns], with its public ones"
        )));
    };
    let found = resolve_host_name(address).await;
    found.map_err(|e| {
        OpsError::failed(tr!(
            "the address {address} of {name}, which names are to lead to, does not resolve: {e}"
        ))
    })
}

/// Whether the world may reach an address.
fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast()
                // RFC 6598, behind the NAT of a provider.
                || (a == 100 && (64..128).contains(&b)))
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unique_local()
                || ip.is_unicast_link_local())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_inner_networks_are_not_published() {
        for (address, public) in [
            ("203.0.113.5", true),
            ("10.0.0.1", false),
            ("172.20.0.1", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("2001:db8::1", true),
            ("fd00::1", false),
            ("fe80::1", false),
        ] {
            assert_eq!(is_public(&address.parse().unwrap()), public, "{address}");
        }
    }
}
