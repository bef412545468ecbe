//! Swarms for the tests of checks that need one reading of it and nothing else.

use matou_job::{Change, Check, StepError};
use matou_model::{
    Availability, NodeState, Reachability, Role, Service, ServiceMode, Swarm, SwarmNode, Task,
    TaskState,
};

/// A ready, active node; its id is its name.
pub(crate) fn node(name: &str, role: Role) -> SwarmNode {
    SwarmNode {
        id: name.into(),
        hostname: name.into(),
        role,
        availability: Availability::Active,
        state: NodeState::Ready,
        reachability: match role {
            Role::Manager => Reachability::Reachable,
            Role::Worker => Reachability::default(),
        },
        ..SwarmNode::default()
    }
}

/// A replicated service; its id is its name, its stack what stands before `_`.
pub(crate) fn service(name: &str, wanted: u64, running: u64) -> Service {
    Service {
        id: name.into(),
        name: name.into(),
        stack: name.split_once('_').map(|(stack, _)| stack.to_owned()),
        image: "ghost:6".into(),
        mode: ServiceMode::Replicated(wanted),
        wanted,
        running,
        ..Service::default()
    }
}

/// A task that is to run, in that state.
pub(crate) fn task(service: &str, slot: u64, node: &str, state: TaskState) -> Task {
    Task {
        id: format!("{service}.{slot}"),
        service_id: service.into(),
        slot: Some(slot),
        node_id: node.into(),
        state,
        desired: TaskState::Running,
        message: String::new(),
        error: String::new(),
        container_id: Some(format!("c-{service}-{slot}")),
        image: "ghost:6".into(),
        outdated: false,
        exit_code: None,
        ended_unasked: false,
        iteration: None,
        since: None,
    }
}

pub(crate) fn swarm(
    nodes: impl IntoIterator<Item = SwarmNode>,
    services: impl IntoIterator<Item = Service>,
) -> Swarm {
    Swarm {
        nodes: nodes.into_iter().collect(),
        services: services.into_iter().collect(),
        tasks: Vec::new(),
        pages: Vec::new(),
    }
}

/// The lines of a check that came to its end; panics on one that did not.
pub(crate) fn changes(check: Result<Check, StepError>) -> Vec<String> {
    match check.unwrap() {
        Check::Done(lines) | Check::Change(lines) => lines.iter().map(Change::to_string).collect(),
        Check::Unknown(why) => vec![format!("? {why}")],
    }
}

/// The sentence of a check that failed; panics on one that did not.
pub(crate) fn fails(check: Result<Check, StepError>) -> String {
    check.unwrap_err().to_string()
}
