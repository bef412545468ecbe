//! The facts of all nodes, gathered when first asked for and kept until something changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::facts::{Facts, Needs, nonce};
use crate::config::{Config, NodeConfig, Reach};
use crate::docker::{NodeHandle, Nodes};

/// A node's facts, or why there are none.
pub type Known = Result<Arc<Facts>, String>;

/// Gathers facts, one round trip a node.
pub struct Survey {
    config: Arc<Config>,
    accepted: BTreeSet<String>,
    cells: BTreeMap<String, Cell>,
}

struct Cell {
    handle: NodeHandle,
    needs: Needs,
    /// Held while it is gathered, so that it is gathered once.
    gathering: tokio::sync::Mutex<()>,
    known: Mutex<Option<Known>>,
}

impl Survey {
    pub(super) fn new(
        config: Arc<Config>,
        nodes: &Nodes,
        accepted: BTreeSet<String>,
        needs: impl Fn(&NodeConfig) -> Needs,
    ) -> Self {
        let cells = nodes
            .iter()
            .map(|handle| {
                let cell = Cell {
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

    /// The fleet as it is now, as far as it is known.
    pub(super) async fn picture(&self) -> Picture<'_> {
        let gathering = self
            .cells
            .iter()
            .map(|(name, cell)| async move { (name.as_str(), cell.get().await) });
        Picture {
            config: &self.config,
            accepted: &self.accepted,
            facts: futures_util::future::join_all(gathering)
                .await
                .into_iter()
                .collect(),
        }
    }

    pub(super) fn handle(&self, node: &str) -> Option<&NodeHandle> {
        self.cells.get(node).map(|c| &c.handle)
    }

    /// Something changed on the node.
    pub(super) fn forget(&self, node: &str) {
        if let Some(cell) = self.cells.get(node) {
            cell.set(None);
        }
    }

    /// Something changed everywhere.
    pub(super) fn forget_all(&self) {
        for cell in self.cells.values() {
            cell.set(None);
        }
    }
}

impl Cell {
    fn set(&self, known: Option<Known>) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    async fn get(&self) -> Known {
        let _gathering = self.gathering.lock().await;
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(known) = known {
            return known;
        }
        let nonce = nonce();
        let socket = self.handle.config.docker_socket.to_string_lossy();
        let script = self.needs.script(&nonce, &socket);
        let known = match self.handle.host.run_ok(&script).await {
            Ok(output) => Ok(Arc::new(self.needs.parse(&nonce, &output.text()))),
            Err(e) => Err(e.to_string()),
        };
        self.set(Some(known.clone()));
        known
    }
}

/// The fleet at one moment: what was asked for, and what was found.
pub struct Picture<'a> {
    pub config: &'a Config,
    /// What the operator accepted of what was asked.
    pub accepted: &'a BTreeSet<String>,
    facts: BTreeMap<&'a str, Known>,
}

impl Picture<'_> {
    /// A node's facts.
    ///
    /// # Errors
    /// Why it could not be asked.
    pub fn facts(&self, node: &str) -> Result<&Facts, String> {
        match self.facts.get(node) {
            Some(Ok(facts)) => Ok(facts),
            Some(Err(e)) => Err(e.clone()),
            None => Err(format!("no node is named {node}")),
        }
    }

    /// The address of a node for the fleet's own traffic: what `advertise` says, else that of its
    /// default route, else the address it is configured with.
    ///
    /// # Errors
    /// When none of these is known, with what to write into config.toml.
    pub fn address(&self, node: &NodeConfig) -> Result<IpAddr, String> {
        if let Some(ip) = node.advertise.as_deref().and_then(|a| a.parse().ok()) {
            return Ok(ip);
        }
        let configured = match &node.reach {
            Reach::Ssh(ssh) => ssh.address.parse::<IpAddr>().ok(),
            Reach::Local => None,
        };
        let facts = match (self.facts(&node.name), configured, &node.advertise) {
            (Ok(facts), ..) => facts,
            (Err(_), Some(ip), None) => return Ok(ip),
            (Err(e), ..) => {
                return Err(format!(
                    "the address of {0} is not known, because it does not answer ({e}): bring it up, or write advertise = \"ADDRESS\" for {0} into config.toml",
                    node.name
                ));
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
            .ok_or_else(|| format!("{} has no default route: write advertise = \"ADDRESS\" for it into config.toml", node.name))?;
        addresses
            .iter()
            .filter(|a| a.interface == interface)
            .min_by_key(|a| a.ip.is_ipv6())
            .map(|a| a.ip)
            .ok_or_else(|| {
                format!(
                    "{} has no address on {interface}, only {}",
                    node.name,
                    addresses
                        .iter()
                        .map(|a| format!("{} on {}", a.ip, a.interface))
                        .collect::<Vec<_>>()
                        .join(", ")
                )
            })
    }

    /// Name and address of every node, in the order of config.toml.
    ///
    /// # Errors
    /// As [`Picture::address`].
    pub fn addresses(&self) -> Result<Vec<(&str, IpAddr)>, String> {
        self.config
            .nodes
            .iter()
            .map(|n| Ok((n.name.as_str(), self.address(n)?)))
            .collect()
    }

    /// The configuration of a node.
    pub fn node(&self, name: &str) -> Option<&NodeConfig> {
        self.config.nodes.iter().find(|n| n.name == name)
    }
}

impl<'a> Picture<'a> {
    /// A fleet that was not asked: of tests.
    pub(super) fn of(
        config: &'a Config,
        accepted: &'a BTreeSet<String>,
        facts: impl IntoIterator<Item = (&'a str, Facts)>,
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
