//! The facts of all nodes, gathered when first asked for and kept until something changed.

use matou_i18n::tr;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::facts::{FactQuery, NodeFacts, random_fact_nonce};
use crate::ProvisionError;
use matou_config::{Config, NodeConfig, NodeConnection};
use matou_docker::{NodeHandle, Nodes};
use matou_host::HostError;

/// A node's facts, or why there are none.
pub(crate) type FactsResult = Result<Arc<NodeFacts>, HostError>;

/// Gathers facts, one round trip a node, and keeps them until they are forgotten.
pub(crate) struct FactCache {
    config: Arc<Config>,
    accepted: BTreeSet<String>,
    cells: BTreeMap<String, FactCacheEntry>,
}

struct FactCacheEntry {
    handle: NodeHandle,
    needs: FactQuery,
    /// Held while facts are gathered, so that two who ask gather them once.
    gathering: tokio::sync::Mutex<()>,
    known: Mutex<Option<FactsResult>>,
}

impl FactCache {
    pub(super) fn new(
        config: Arc<Config>,
        nodes: &Nodes,
        accepted: BTreeSet<String>,
        needs: impl Fn(&NodeConfig) -> FactQuery,
    ) -> Self {
        let cells = nodes
            .iter()
            .map(|handle| {
                let cell = FactCacheEntry {
                    handle: handle.clone(),
                    needs: needs(&handle.config),
                    gathering: tokio::sync::Mutex::default(),
                    known: Mutex::default(),
                };
                (handle.config.name.clone(), cell)
            })
            .collect();
        Self {
            config,
            accepted,
            cells,
        }
    }

    /// Returns the facts of all nodes, and gathers those that are not kept.
    pub(super) async fn gather_facts(&self) -> FleetFacts<'_> {
        let gathering = self
            .cells
            .iter()
            .map(|(name, cell)| async move { (name.as_str(), cell.get_or_gather().await) });
        FleetFacts {
            config: &self.config,
            accepted: &self.accepted,
            facts: futures_util::future::join_all(gathering)
                .await
                .into_iter()
                .collect(),
        }
    }

    pub(super) fn node_handle(&self, node: &str) -> Option<&NodeHandle> {
        self.cells.get(node).map(|c| &c.handle)
    }

    /// Forgets the facts of a node that was changed.
    pub(super) fn forget_node(&self, node: &str) {
        if let Some(cell) = self.cells.get(node) {
            cell.set(None);
        }
    }

    /// Forgets the facts of all nodes.
    pub(super) fn forget_all(&self) {
        for cell in self.cells.values() {
            cell.set(None);
        }
    }
}

impl FactCacheEntry {
    fn set(&self, known: Option<FactsResult>) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    async fn get_or_gather(&self) -> FactsResult {
        let _gathering = self.gathering.lock().await;
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(known) = known {
            return known;
        }
        let nonce = random_fact_nonce();
        let socket = self.handle.config.docker_socket.to_string_lossy();
        let script = self.needs.gather_command(&nonce, &socket);
        let known = match self.handle.host.run_ok(&script).await {
            Ok(output) => Ok(Arc::new(
                self.needs.parse_output(&nonce, &output.stdout_text()),
            )),
            Err(e) => Err(e),
        };
        self.set(Some(known.clone()));
        known
    }
}

/// The fleet at one moment: what was asked for, and what was found.
pub struct FleetFacts<'a> {
    pub config: &'a Config,
    /// What the operator accepted, as `NODE:WHAT`.
    pub accepted: &'a BTreeSet<String>,
    facts: BTreeMap<&'a str, FactsResult>,
}

impl FleetFacts<'_> {
    /// A node's facts.
    ///
    /// # Errors
    /// Why it could not be asked.
    pub fn node_facts(&self, node: &str) -> Result<&NodeFacts, ProvisionError> {
        match self.facts.get(node) {
            Some(Ok(facts)) => Ok(facts),
            Some(Err(e)) => Err(e.clone().into()),
            None => Err(ProvisionError::failed(tr!("no node is named {node}"))),
        }
    }

    /// The address of a node for the fleet's own traffic: what `advertise` says, else that of its
    /// default route, else the address it is configured with.
    ///
    /// # Errors
    /// When none of these is known, with what to write into config.toml.
    pub fn node_address(&self, node: &NodeConfig) -> Result<IpAddr, ProvisionError> {
        if let Some(ip) = node.advertise.as_deref().and_then(|a| a.parse().ok()) {
            return Ok(ip);
        }
        let configured = match &node.reach {
            NodeConnection::Ssh(ssh) => ssh.address.parse::<IpAddr>().ok(),
            NodeConnection::Local => None,
        };
        let facts = match (self.node_facts(&node.name), configured, &node.advertise) {
            (Ok(facts), ..) => facts,
            (Err(_), Some(ip), None) => return Ok(ip),
            (Err(e), ..) => {
                return Err(ProvisionError::failed(tr!(
                    "the address of {0} is not known, because it does not answer ({e}): bring it up, or write advertise = \"ADDRESS\" for {0} into config.toml",
                    node.name
                )));
            }
        };
        let addresses = facts.addresses();
        // The address it is reached by, when it has it itself: no NAT in between.
        if let (Some(ip), None) = (configured, &node.advertise)
            && addresses.iter().any(|a| a.ip == ip)
        {
            return Ok(ip);
        }
        let interface = node
            .advertise
            .clone()
            .or_else(|| facts.default_interface())
            .ok_or_else(|| tr!("{} has no default route: write advertise = \"ADDRESS\" for it into config.toml", node.name))?;
        addresses
            .iter()
            .filter(|a| a.interface == interface)
            .min_by_key(|a| a.ip.is_ipv6())
            .map(|a| a.ip)
            .ok_or_else(|| {
                ProvisionError::failed(tr!(
                    "{} has no address on {interface}, only {}",
                    node.name,
                    addresses
                        .iter()
                        .map(|a| tr!("{} on {}", a.ip, a.interface))
                        .collect::<Vec<_>>()
                        .join(", ")
                ))
            })
    }

    /// Returns the name and address of every node, in the order of config.toml.
    ///
    /// # Errors
    /// As [`FleetFacts::node_address`], of the first node without an address.
    pub fn node_addresses(&self) -> Result<Vec<(&str, IpAddr)>, ProvisionError> {
        self.config
            .nodes
            .iter()
            .map(|n| Ok((n.name.as_str(), self.node_address(n)?)))
            .collect()
    }

    /// The configuration of a node.
    pub fn node_config(&self, name: &str) -> Option<&NodeConfig> {
        self.config.nodes.iter().find(|n| n.name == name)
    }
}

impl<'a> FleetFacts<'a> {
    /// Makes a fleet of given facts, for tests and fuzzing.
    pub(super) fn from_facts(
        config: &'a Config,
        accepted: &'a BTreeSet<String>,
        facts: impl IntoIterator<Item = (&'a str, NodeFacts)>,
    ) -> Self {
        Self {
            config,
            accepted,
            facts: facts
                .into_iter()
                .map(|(name, f)| (name, Ok(Arc::new(f))))
                .collect(),
        }
    }
}
