//! Nodes, services, tasks, volumes, snapshots and the fleet that holds them.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Backups, Certificate, ExternalAlert, NodeState, Probe, Reading, Snapshot, TaskState};

/// How many metric samples a node keeps for its charts: an hour, at one every three seconds.
pub const KEPT_SAMPLES: usize = 1200;

/// What a node does in the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Manager,
    #[default]
    Worker,
}

/// Whether the scheduler may place tasks on a node (`docker node update --availability`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Availability {
    #[default]
    Active,
    Pause,
    Drain,
}

impl Availability {
    /// The word the Docker API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pause => "pause",
            Self::Drain => "drain",
        }
    }
}

/// The connection between the console and a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum NodeLink {
    /// Not tried yet, or being tried for the first time.
    #[default]
    Connecting,
    Up,
    /// Lost or refused; tried again with back-off.
    Down {
        reason: String,
        since: Timestamp,
    },
}

/// What the node's own engine says of itself and its machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct EngineInfo {
    /// Engine version, as `20.10.24`.
    pub version: String,
    /// Highest API version the engine speaks, as `1.41`.
    pub api: String,
    /// Operating system, as `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    pub kernel: String,
    pub architecture: String,
    pub cpus: u64,
    /// Bytes.
    pub memory: u64,
    /// Id of this node in its swarm; empty outside a swarm.
    pub swarm_node_id: String,
    /// `active`, `inactive`, `pending`, `locked`, `error`.
    pub swarm_state: String,
}

/// A local disk of a node, by where it is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Disk {
    pub mount: String,
    /// Bytes.
    pub used: u64,
    /// Bytes that are used or can be had.
    pub total: u64,
}

impl Disk {
    /// In use, percent.
    pub fn used_percent(&self) -> f32 {
        percent_of(self.used, self.total)
    }
}

/// One sample of a node's load.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Metrics {
    /// Percent of all CPUs, 0 to 100.
    pub cpu: f32,
    /// Bytes in use, caches not counted.
    pub memory_used: u64,
    pub memory_total: u64,
    pub swap_used: u64,
    pub swap_total: u64,
    /// Bytes of the root file system.
    pub disk_used: u64,
    pub disk_total: u64,
    /// Load averages over 1, 5 and 15 minutes.
    pub load: [f32; 3],
    /// Seconds since boot.
    pub uptime: u64,
    /// Bytes a second over the node's own network interfaces since the sample before.
    pub received: f32,
    pub sent: f32,
}

impl Metrics {
    /// Memory in use, percent.
    pub fn memory_percent(&self) -> f32 {
        percent_of(self.memory_used, self.memory_total)
    }

    /// Root file system in use, percent.
    pub fn disk_percent(&self) -> f32 {
        percent_of(self.disk_used, self.disk_total)
    }
}

fn percent_of(part: u64, whole: u64) -> f32 {
    if whole == 0 {
        0.0
    } else {
        (part as f64 * 100.0 / whole as f64) as f32
    }
}

/// A node as the swarm's managers see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SwarmNode {
    pub id: String,
    pub hostname: String,
    pub role: Role,
    pub availability: Availability,
    pub state: NodeState,
    /// The manager's own words about the state, often empty.
    pub message: String,
    pub address: String,
    pub leader: bool,
    /// For managers: `reachable` or `unreachable`; empty for workers.
    pub reachability: String,
    pub engine_version: String,
    pub labels: BTreeMap<String, String>,
}

impl SwarmNode {
    /// Whether the node meets a placement constraint (`node.role==manager`, `node.labels.disk !=
    /// ssd`). Constraints that only the scheduler can judge count as met.
    pub fn meets_constraint(&self, constraint: &str) -> bool {
        let (is, (key, wanted)) = match constraint.split_once("!=") {
            Some(parts) => (false, parts),
            None => match constraint.split_once("==") {
                Some(parts) => (true, parts),
                None => return true,
            },
        };
        let (key, wanted) = (key.trim(), wanted.trim());
        let found = match key {
            "node.id" => &self.id,
            "node.hostname" => &self.hostname,
            "node.role" => match self.role {
                Role::Manager => "manager",
                Role::Worker => "worker",
            },
            _ => match key.strip_prefix("node.labels.") {
                Some(label) => self.labels.get(label).map_or("", String::as_str),
                None => return true,
            },
        };
        found.eq_ignore_ascii_case(wanted) == is
    }
}

/// How many tasks a service should run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "mode", content = "tasks", rename_all = "kebab-case")]
pub enum ServiceMode {
    Replicated(u64),
    Global,
    /// Replicated job with the number of completions wanted.
    ReplicatedJob(u64),
    GlobalJob,
}

/// A swarm service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    pub id: String,
    pub name: String,
    /// The stack it belongs to (label `com.docker.stack.namespace`); `None` for a loose service.
    pub stack: Option<String>,
    /// Image as deployed, without the digest.
    pub image: String,
    pub mode: ServiceMode,
    /// Tasks the scheduler wants to run now (for global services: eligible nodes).
    pub wanted: u64,
    /// Tasks that run.
    pub running: u64,
    /// Domains from its Traefik router rules.
    pub domains: Vec<String>,
    /// Published ports, as `8080:80/tcp`.
    pub ports: Vec<String>,
    pub labels: BTreeMap<String, String>,
    /// Variables of its containers; they may hold secrets.
    #[serde(skip)]
    pub environment: BTreeMap<String, String>,
    /// Named volumes it mounts.
    pub volumes: Vec<String>,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
    /// State of the last update, as `completed`, `paused`, `rollback_completed`; with its message.
    pub update: Option<(String, String)>,
    /// Version index, needed to change it.
    pub version: u64,
}

/// A task: one container that a service runs, or ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Task {
    pub id: String,
    pub service_id: String,
    pub slot: Option<u64>,
    /// Swarm node id; empty while not assigned.
    pub node_id: String,
    pub state: TaskState,
    /// What the engine wants it to do.
    pub desired: TaskState,
    pub message: String,
    /// Error of the task or the reason why it is not placed; empty when there is none.
    pub error: String,
    pub container_id: Option<String>,
    pub image: String,
    /// The service was changed after the task was made, and the engine has not replaced it yet.
    /// Published ports are not a part of a task's description.
    pub outdated: bool,
    pub since: Option<Timestamp>,
}

/// What a manager sees of the whole swarm.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Swarm {
    pub nodes: Vec<SwarmNode>,
    /// Sorted by name.
    pub services: Vec<Service>,
    /// Sorted by service, slot, then newest first.
    pub tasks: Vec<Task>,
}

/// A volume as one node's engine knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Volume {
    pub name: String,
    pub driver: String,
    pub mountpoint: String,
    pub options: BTreeMap<String, String>,
    /// Stack that made it, from its labels.
    pub stack: Option<String>,
    /// Containers on this node that mount it.
    pub users: Vec<String>,
    pub created_at: Option<Timestamp>,
}

/// A server of the fleet: from config.toml, from the swarm, or both.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Node {
    /// Name in config.toml, or host name for a node that only the swarm knows.
    pub name: String,
    /// `user@address:port`, or `this machine`; empty for a node that only the swarm knows.
    pub address: String,
    /// Role in config.toml.
    pub role: Role,
    /// False for a node that the swarm knows and config.toml does not.
    pub configured: bool,
    pub link: NodeLink,
    pub engine: Reading<EngineInfo>,
    pub metrics: Reading<Metrics>,
    /// As old as `metrics`.
    pub disks: Vec<Disk>,
    /// Oldest first, at most [`KEPT_SAMPLES`].
    #[serde(skip)]
    pub history: VecDeque<Metrics>,
    pub volumes: Reading<Vec<Volume>>,
}

/// The picture of the fleet.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Fleet {
    pub name: String,
    /// In the order of config.toml, then nodes that only the swarm knows.
    pub nodes: Vec<Node>,
    pub swarm: Reading<Swarm>,
    /// By application, the newest first.
    pub snapshots: Reading<Vec<Snapshot>>,
    pub backups: Reading<Backups>,
    pub certificates: Reading<Vec<Certificate>>,
    /// What applications answer.
    pub probes: Reading<Vec<Probe>>,
    /// What Alertmanager alerts of, where the monitoring stack is deployed.
    pub told: Reading<Vec<ExternalAlert>>,
}

/// One application: a stack, or a loose service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppServices<'a> {
    pub name: &'a str,
    pub services: Vec<&'a Service>,
}

impl AppServices<'_> {
    /// Tasks running and wanted, over all services.
    pub fn count_tasks(&self) -> (u64, u64) {
        self.services
            .iter()
            .fold((0, 0), |(r, w), s| (r + s.running, w + s.wanted))
    }
}

impl Fleet {
    /// A fleet of which nothing has been read yet.
    pub fn new(name: impl Into<String>, nodes: Vec<Node>) -> Self {
        Self {
            name: name.into(),
            nodes,
            ..Self::default()
        }
    }

    /// The node of that name.
    pub fn find_node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|n| n.name == name)
    }

    /// Finds a node in the swarm, by the swarm id of its engine, else by host name.
    pub fn find_swarm_node(&self, node: &Node) -> Option<&SwarmNode> {
        let swarm = self.swarm.value()?;
        let id = node.engine.value().map(|e| e.swarm_node_id.as_str());
        swarm
            .nodes
            .iter()
            .find(|n| id.is_some_and(|id| !id.is_empty() && n.id == id))
            .or_else(|| swarm.nodes.iter().find(|n| n.hostname == node.name))
    }

    /// Returns the fleet's name for a swarm node id, else its host name, else the id.
    pub fn node_name<'a>(&'a self, swarm_id: &'a str) -> &'a str {
        if let Some(n) = self.nodes.iter().find(|n| {
            n.engine
                .value()
                .is_some_and(|e| !swarm_id.is_empty() && e.swarm_node_id == swarm_id)
        }) {
            return &n.name;
        }
        self.swarm
            .value()
            .and_then(|s| s.nodes.iter().find(|n| n.id == swarm_id))
            .map_or(swarm_id, |n| &n.hostname)
    }

    /// Groups the services by stack, sorted by name.
    pub fn list_apps(&self) -> Vec<AppServices<'_>> {
        let mut by_name: BTreeMap<&str, Vec<&Service>> = BTreeMap::new();
        for service in self.swarm.value().into_iter().flat_map(|s| &s.services) {
            let name = service.stack.as_deref().unwrap_or(&service.name);
            by_name.entry(name).or_default().push(service);
        }
        by_name
            .into_iter()
            .map(|(name, services)| AppServices { name, services })
            .collect()
    }

    /// Returns the tasks of a service, the newest of each slot first.
    pub fn tasks_of_service<'a>(&'a self, service_id: &'a str) -> impl Iterator<Item = &'a Task> {
        self.swarm
            .value()
            .into_iter()
            .flat_map(|s| &s.tasks)
            .filter(move |t| t.service_id == service_id)
    }
}
