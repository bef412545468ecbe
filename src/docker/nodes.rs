//! The fleet's nodes with their hosts and engines.

use std::sync::Arc;

use super::{Docker, DockerError};
use crate::config::{NodeConfig, Reach};
use crate::host::{Host, HostOptions};
use crate::model::{Link, Node, Role, Swarm};

/// A configured node, ready to be used.
#[derive(Clone)]
pub struct NodeHandle {
    pub config: NodeConfig,
    pub host: Host,
    pub docker: Docker,
}

impl NodeHandle {
    /// The address SSH connects to; `None` for this machine.
    pub fn address(&self) -> Option<&str> {
        match &self.config.reach {
            Reach::Local => None,
            Reach::Ssh(options) => Some(&options.address),
        }
    }
}

/// All configured nodes, in the order of config.toml.
#[derive(Clone)]
pub struct Nodes(Arc<Vec<NodeHandle>>);

impl Nodes {
    /// Nothing is connected yet.
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
    pub fn managers(&self) -> Vec<&NodeHandle> {
        let mut managers: Vec<_> = self
            .iter()
            .filter(|n| n.config.role == Role::Manager)
            .collect();
        managers.sort_by_key(|n| match *n.host.watch_link().borrow() {
            Link::Up => 0,
            Link::Connecting => 1,
            Link::Down { .. } => 2,
        });
        managers
    }

    /// The first manager whose engine answers as one.
    ///
    /// # Errors
    /// The last manager's reason when none does.
    pub async fn manager(&self) -> Result<&NodeHandle, DockerError> {
        let mut last = None;
        for node in self.managers() {
            match node.docker.ping_manager().await {
                Ok(()) => return Ok(node),
                Err(e) => last = Some(e),
            }
        }
        Err(last.unwrap_or_else(|| DockerError::Other {
            node: "the fleet".into(),
            reason: "config.toml names no manager".into(),
        }))
    }

    /// A manager that answers and is another node than `node`; `node` itself when there is none.
    /// Nodes that are no managers by config.toml are asked last: they may have become one.
    ///
    /// # Errors
    /// When no manager answers at all.
    pub async fn manager_beside(&self, node: &str) -> Result<&NodeHandle, DockerError> {
        let configured = self.managers();
        let workers = self.iter().filter(|n| n.config.role == Role::Worker);
        for other in configured.into_iter().chain(workers) {
            if other.config.name != node && other.docker.ping_manager().await.is_ok() {
                return Ok(other);
            }
        }
        self.manager().await
    }

    /// The fleet's name for a node that the swarm knows by id: matched by host name or address.
    pub fn name_of(&self, swarm: &Swarm, swarm_node_id: &str) -> Option<String> {
        let found = swarm.nodes.iter().find(|n| n.id == swarm_node_id)?;
        self.iter()
            .find(|h| h.config.name == found.hostname || h.address() == Some(&found.address))
            .map(|h| h.config.name.clone())
    }

    /// Ends every connection.
    pub async fn close(&self) {
        self.iter().for_each(|n| n.docker.rest());
        futures_util::future::join_all(self.iter().map(|n| n.host.close())).await;
    }
}
