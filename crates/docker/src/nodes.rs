//! The fleet's nodes with their hosts and engines.

use matou_i18n::tr;
use std::sync::Arc;

use super::{Docker, DockerError};
use matou_config::{NodeConfig, NodeConnection};
use matou_host::{Host, HostOptions};
use matou_model::{Node, NodeLink, Role, Swarm};

/// A configured node, ready to be used.
#[derive(Clone)]
pub struct NodeHandle {
    /// Its part of config.toml.
    pub config: NodeConfig,
    /// Runs commands there.
    pub host: Host,
    /// Its engine.
    pub docker: Docker,
}

impl NodeHandle {
    /// The address SSH connects to; `None` for this machine.
    pub fn ssh_address(&self) -> Option<&str> {
        match &self.config.reach {
            NodeConnection::Local => None,
            NodeConnection::Ssh(options) => Some(&options.address),
        }
    }
}

/// All configured nodes, in the order of config.toml.
#[derive(Clone)]
pub struct Nodes(Arc<Vec<NodeHandle>>);

impl Nodes {
    /// Makes the handles of the nodes; nothing is connected yet.
    pub fn new(nodes: &[NodeConfig], options: impl Fn(&NodeConfig) -> HostOptions) -> Self {
        let handles = nodes.iter().map(|config| {
            let host = Host::new(&config.name, &config.reach, options(config));
            NodeHandle {
                config: config.clone(),
                docker: Docker::new(host.clone()),
                host,
            }
        });
        Self(Arc::new(handles.collect()))
    }

    /// In the order of config.toml.
    pub fn iter(&self) -> impl Iterator<Item = &NodeHandle> {
        self.0.iter()
    }

    /// The node of that name.
    pub fn get(&self, name: &str) -> Option<&NodeHandle> {
        self.iter().find(|n| n.config.name == name)
    }

    /// The model's nodes, of which nothing has been read yet.
    pub fn as_model(&self) -> Vec<Node> {
        self.iter()
            .map(|n| Node {
                name: n.config.name.clone(),
                address: n.host.describe(),
                role: n.config.role,
                configured: true,
                ..Node::default()
            })
            .collect()
    }

    /// Managers, those with a working connection first.
    pub fn configured_managers(&self) -> Vec<&NodeHandle> {
        let mut managers: Vec<_> = self
            .iter()
            .filter(|n| n.config.role == Role::Manager)
            .collect();
        managers.sort_by_key(|n| match *n.host.watch_link().borrow() {
            NodeLink::Up => 0,
            NodeLink::Connecting => 1,
            NodeLink::Down { .. } => 2,
        });
        managers
    }

    /// The first manager whose engine answers as one.
    ///
    /// # Errors
    /// The last manager's reason when none does.
    pub async fn find_manager(&self) -> Result<&NodeHandle, DockerError> {
        let mut last = None;
        for node in self.configured_managers() {
            match node.docker.ping_manager().await {
                Ok(()) => return Ok(node),
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| DockerError::Other {
            node: tr!("the fleet").into(),
            reason: tr!("config.toml names no manager").into(),
        }))
    }

    /// Finds a manager that answers, other than `node`; `node` itself when there is no other. Nodes
    /// that are workers by config.toml are asked last: they may have been promoted.
    ///
    /// # Errors
    /// When no manager answers at all.
    pub async fn find_manager_beside(&self, node: &str) -> Result<&NodeHandle, DockerError> {
        let configured = self.configured_managers();
        let workers = self.iter().filter(|n| n.config.role == Role::Worker);
        for other in configured.into_iter().chain(workers) {
            if other.config.name != node && other.docker.ping_manager().await.is_ok() {
                return Ok(other);
            }
        }
        self.find_manager().await
    }

    /// The fleet's name for a node that the swarm knows by id: matched by host name or address.
    pub fn find_name(&self, swarm: &Swarm, swarm_node_id: &str) -> Option<String> {
        let found = swarm.nodes.iter().find(|n| n.id == swarm_node_id)?;
        self.iter()
            .find(|h| h.config.name == found.hostname || h.ssh_address() == Some(&found.address))
            .map(|h| h.config.name.clone())
    }

    /// Ends every connection.
    pub async fn close(&self) {
        self.iter().for_each(|n| n.docker.close_idle_connections());
        futures_util::future::join_all(self.iter().map(|n| n.host.close())).await;
    }
}
