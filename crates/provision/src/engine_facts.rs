//! What a node's engine says of itself and of the swarm.
//! API: <https://docs.docker.com/reference/api/engine/>.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::facts::NodeFacts;
use matou_model::{NodeState, Reachability, SwarmState};

/// An engine that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineFacts {
    pub version: String,
    pub swarm: EngineSwarmFacts,
    pub running_containers: u64,
    pub volume_plugins: Vec<String>,
    pub live_restore: bool,
    /// Nodes of the swarm, when this is a manager.
    pub nodes: Vec<SwarmNodeFacts>,
}

/// What `docker info` says under Swarm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EngineSwarmFacts {
    #[serde(rename = "NodeID")]
    pub node_id: String,
    pub local_node_state: SwarmState,
    /// It is a manager that takes part.
    pub control_available: bool,
    pub error: String,
    pub node_addr: String,
}

/// A node as a manager knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwarmNodeFacts {
    pub id: String,
    pub hostname: String,
    /// `manager` or `worker`, as it should be.
    pub role: String,
    /// `active`, `pause`, `drain`
    pub availability: String,
    pub labels: BTreeMap<String, String>,
    /// `ready`, `down`, …
    pub state: NodeState,
    /// A manager that others reach.
    pub reachable: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawEngineInfo {
    server_version: String,
    #[serde(default)]
    containers_running: u64,
    #[serde(default)]
    swarm: Option<EngineSwarmFacts>,
    #[serde(default)]
    live_restore_enabled: bool,
    #[serde(default)]
    plugins: RawEnginePlugins,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawEnginePlugins {
    volume: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawEngineNode {
    #[serde(rename = "ID")]
    id: String,
    spec: RawEngineNodeSpec,
    #[serde(default)]
    description: RawEngineNodeDescription,
    #[serde(default)]
    status: RawEngineNodeStatus,
    #[serde(default)]
    manager_status: Option<RawEngineManagerStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawEngineNodeSpec {
    role: String,
    availability: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawEngineNodeDescription {
    hostname: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawEngineNodeStatus {
    state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct RawEngineManagerStatus {
    reachability: Reachability,
}

impl NodeFacts {
    /// The engine, when one answers.
    pub fn engine(&self) -> Option<EngineFacts> {
        EngineFacts::from_facts(self)
    }
}

impl EngineFacts {
    /// `None` when no engine answers.
    pub(super) fn from_facts(facts: &NodeFacts) -> Option<Self> {
        let info: RawEngineInfo = facts.parse_json("docker-info").ok()?;
        let nodes: Vec<RawEngineNode> = facts.parse_json("docker-nodes").unwrap_or_default();
        Some(Self {
            version: info.server_version,
            swarm: info.swarm.unwrap_or_default(),
            running_containers: info.containers_running,
            volume_plugins: info.plugins.volume.unwrap_or_default(),
            live_restore: info.live_restore_enabled,
            nodes: nodes
                .into_iter()
                .map(|n| SwarmNodeFacts {
                    id: n.id,
                    hostname: n.description.hostname,
                    role: n.spec.role,
                    availability: n.spec.availability,
                    labels: n.spec.labels.unwrap_or_default(),
                    state: n.status.state.into(),
                    reachable: n
                        .manager_status
                        .is_some_and(|m| m.reachability == Reachability::Reachable),
                })
                .collect(),
        })
    }

    /// `28` of `28.1.2` or `5:28.1.2-1~debian`.
    pub fn major_version(&self) -> Option<u32> {
        self.version.split('.').next()?.parse().ok()
    }

    /// It is a manager that can change the swarm.
    pub fn is_manager(&self) -> bool {
        self.swarm.local_node_state == SwarmState::Active && self.swarm.control_available
    }
}
