//! States of the fleet as they may be given away: each field is named here. No value of a variable or a label
//! is among them.

use serde::Serialize;

use matou_base::text::SafeText;
use matou_model::{Disk, EngineInfo, Fleet, Metrics, Node, NodeLink, Service, Task};

/// What is told of the fleet.
#[derive(Serialize)]
pub(super) struct FleetStates<'a> {
    nodes: Vec<NodeState<'a>>,
    /// Why no manager answered.
    swarm_error: Option<&'a str>,
    services: Vec<ServiceState<'a>>,
    tasks: Vec<TaskStateLine<'a>>,
}

#[derive(Serialize)]
struct NodeState<'a> {
    name: &'a str,
    configured: bool,
    role: matou_model::Role,
    /// `up`, or why it is down.
    link: String,
    engine: Option<&'a EngineInfo>,
    engine_error: Option<&'a str>,
    metrics: Option<&'a Metrics>,
    disks: &'a [Disk],
    volumes: Option<usize>,
    /// As the swarm has it.
    swarm_state: Option<String>,
    availability: Option<&'a str>,
    leader: bool,
}

#[derive(Serialize)]
struct ServiceState<'a> {
    name: &'a str,
    image: &'a str,
    mode: &'a matou_model::ServiceMode,
    wanted: u64,
    running: u64,
    domains: &'a [String],
    ports: &'a [String],
    volumes: &'a [String],
    /// Names without values.
    labels: Vec<&'a str>,
    /// Names without values.
    environment: Vec<&'a str>,
    update: Option<String>,
}

#[derive(Serialize)]
struct TaskStateLine<'a> {
    service: &'a str,
    slot: Option<u64>,
    node: Option<&'a str>,
    state: String,
    desired: String,
    image: &'a str,
    message: &'a str,
    error: &'a str,
    exit_code: Option<i64>,
    since: Option<jiff::Timestamp>,
}

impl<'a> FleetStates<'a> {
    /// Picks what is told.
    pub(super) fn of(fleet: &'a Fleet) -> Self {
        let swarm = fleet.swarm.value();
        let services = swarm.map(|s| &*s.services).unwrap_or_default();
        let tasks = swarm.map(|s| &*s.tasks).unwrap_or_default();
        Self {
            nodes: fleet.nodes.iter().map(|n| node_state(fleet, n)).collect(),
            swarm_error: fleet.swarm.error(),
            services: services.iter().map(service_state).collect(),
            tasks: tasks.iter().map(|task| task_state(fleet, task)).collect(),
        }
    }
}

fn node_state<'a>(fleet: &'a Fleet, node: &'a Node) -> NodeState<'a> {
    let swarm = fleet.find_swarm_node(node);
    NodeState {
        name: &node.name,
        configured: node.configured,
        role: node.role,
        link: match &node.link {
            NodeLink::Up => "up".to_owned(),
            NodeLink::Connecting => "connecting".to_owned(),
            NodeLink::Down { reason, .. } => SafeText::from_line(reason.as_str()).to_string(),
        },
        engine: node.engine.value(),
        engine_error: node.engine.error(),
        metrics: node.metrics.value(),
        disks: &node.disks,
        volumes: node.volumes.value().map(Vec::len),
        swarm_state: swarm.map(|s| s.state.as_str().to_owned()),
        availability: swarm.map(|s| s.availability.as_str()),
        leader: swarm.is_some_and(|s| s.leader),
    }
}

fn service_state(service: &Service) -> ServiceState<'_> {
    ServiceState {
        name: &service.name,
        image: &service.image,
        mode: &service.mode,
        wanted: service.wanted,
        running: service.running,
        domains: &service.domains,
        ports: &service.ports,
        volumes: &service.volumes,
        labels: service.labels.keys().map(String::as_str).collect(),
        environment: service.environment.keys().map(String::as_str).collect(),
        update: service
            .update
            .as_ref()
            .map(|(state, message)| format!("{state:?}: {message}")),
    }
}

fn task_state<'a>(fleet: &'a Fleet, task: &'a Task) -> TaskStateLine<'a> {
    let swarm = fleet.swarm.value();
    let service = swarm.and_then(|s| s.services.iter().find(|s| s.id == task.service_id));
    let node = swarm.and_then(|s| s.nodes.iter().find(|n| n.id == task.node_id));
    TaskStateLine {
        service: service.map_or("", |s| s.name.as_str()),
        slot: task.slot,
        node: node.map(|n| n.hostname.as_str()),
        state: format!("{:?}", task.state),
        desired: format!("{:?}", task.desired),
        image: &task.image,
        message: &task.message,
        error: &task.error,
        exit_code: task.exit_code,
        since: task.since,
    }
}
