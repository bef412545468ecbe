//! From the API's types to the model's.

use std::collections::{BTreeMap, HashMap, HashSet};

use bollard::models::{
    ContainerSummary, EndpointPortConfigProtocolEnum, MountType, Node, NodeSpecAvailabilityEnum,
    NodeSpecRoleEnum, Service, SystemInfo, SystemVersion, Task,
    TaskSpecRestartPolicyConditionEnum as Condition, VolumeListResponse,
};
use jiff::Timestamp;

use matou_model as model;
use matou_model::{
    Availability, EngineInfo, Role, ServiceMode, Swarm, SwarmNode, TaskState, Volume,
};

/// The label `docker stack deploy` puts on what it makes.
pub(super) const STACK_LABEL: &str = "com.docker.stack.namespace";

/// The innermost reason of an error: what hyper and bollard wrap around it says nothing.
pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    matou_base::text::clean_line(&cause.to_string()).into_owned()
}

pub(super) fn convert_engine(info: SystemInfo, version: SystemVersion) -> EngineInfo {
    let swarm = info.swarm.unwrap_or_default();
    EngineInfo {
        version: version.version.unwrap_or_default(),
        api: version.api_version.unwrap_or_default(),
        os: info.operating_system.unwrap_or_default(),
        kernel: info.kernel_version.unwrap_or_default(),
        architecture: info.architecture.unwrap_or_default(),
        cpus: unsigned_or_zero(info.ncpu),
        memory: unsigned_or_zero(info.mem_total),
        swarm_node_id: swarm.node_id.unwrap_or_default(),
        swarm_state: swarm
            .local_node_state
            .map(|s| s.to_string())
            .unwrap_or_default()
            .into(),
    }
}

pub(super) fn convert_volumes(
    list: VolumeListResponse,
    containers: &[ContainerSummary],
) -> Vec<Volume> {
    let mut users: HashMap<&str, Vec<String>> = HashMap::new();
    for container in containers {
        let name = container
            .names
            .iter()
            .flatten()
            .next()
            .map_or("", |n| n.trim_start_matches('/'));
        for mount in container.mounts.iter().flatten() {
            if mount.typ.as_deref() == Some("volume")
                && let Some(volume) = &mount.name
            {
                users.entry(volume).or_default().push(name.to_owned());
            }
        }
    }
    let mut volumes: Vec<Volume> = list
        .volumes
        .unwrap_or_default()
        .into_iter()
        .map(|v| Volume {
            users: users.remove(v.name.as_str()).unwrap_or_default(),
            stack: v.labels.get(STACK_LABEL).cloned(),
            created_at: parse_engine_time(v.created_at.as_deref()),
            options: v.options.into_iter().collect(),
            name: v.name,
            driver: v.driver,
            mountpoint: v.mountpoint,
        })
        .collect();
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    volumes
}

/// Converts the lists of a manager. `outdated` are ids of tasks that run as their service was
/// described before.
pub(super) fn convert_swarm(
    mut nodes: Vec<SwarmNode>,
    services: Vec<Service>,
    tasks: Vec<Task>,
    outdated: &HashSet<String>,
) -> Swarm {
    nodes.sort_by(|a, b| a.hostname.cmp(&b.hostname));
    let mut tasks: Vec<model::Task> = tasks.into_iter().map(convert_task).collect();
    for task in &mut tasks {
        task.outdated = outdated.contains(&task.id);
    }
    let mut services: Vec<model::Service> = services
        .into_iter()
        .map(|service| count_service_tasks(service, &mut tasks))
        .collect();
    services.sort_by(|a, b| a.name.cmp(&b.name));
    let pages = model::take_pages(&mut services, &mut tasks);
    tasks.sort_by(|a, b| {
        (&a.service_id, a.slot)
            .cmp(&(&b.service_id, b.slot))
            .then(b.since.cmp(&a.since))
            .then(a.id.cmp(&b.id))
    });
    Swarm {
        nodes,
        services,
        tasks,
        pages,
    }
}

/// Converts a service and counts its tasks. Where it is a replicated job, its tasks get their slots:
/// they begin with 0, which the engine leaves out.
fn count_service_tasks(service: Service, tasks: &mut [model::Task]) -> model::Service {
    let job = service.job_status.clone().unwrap_or_default();
    let mut service = convert_service(service);
    if !service.mode.is_job() {
        // The engine also counts tasks that an update has replaced while they are stopping.
        let wanted =
            |t: &&model::Task| t.desired == TaskState::Running && t.state == TaskState::Running;
        let own = tasks.iter().filter(|t| t.service_id == service.id);
        service.running = own.filter(wanted).count() as u64;
        return service;
    }
    if matches!(service.mode, ServiceMode::ReplicatedJob(_)) {
        for task in tasks.iter_mut().filter(|t| t.service_id == service.id) {
            task.slot = task.slot.or(Some(0));
        }
    }
    // The first run is number 0, which the engine leaves out.
    let iteration = job.job_iteration.map(|v| v.index.unwrap_or(0));
    let began = parse_engine_time(job.last_execution.as_deref());
    let own = tasks.iter().filter(|t| t.service_id == service.id);
    let progress = model::JobProgress::count(service.mode, iteration, began, own);
    service.take_job_progress(progress);
    service
}

pub(super) fn convert_node(n: Node) -> SwarmNode {
    let spec = n.spec.unwrap_or_default();
    let description = n.description.unwrap_or_default();
    let status = n.status.unwrap_or_default();
    let manager = n.manager_status.unwrap_or_default();
    SwarmNode {
        id: n.id.unwrap_or_default(),
        hostname: description.hostname.unwrap_or_default(),
        role: match spec.role {
            Some(NodeSpecRoleEnum::MANAGER) => Role::Manager,
            _ => Role::Worker,
        },
        availability: match spec.availability {
            Some(NodeSpecAvailabilityEnum::DRAIN) => Availability::Drain,
            Some(NodeSpecAvailabilityEnum::PAUSE) => Availability::Pause,
            _ => Availability::Active,
        },
        state: status
            .state
            .map(|s| s.to_string())
            .unwrap_or_default()
            .into(),
        message: status.message.unwrap_or_default(),
        address: status.addr.unwrap_or_default(),
        leader: manager.leader.unwrap_or(false),
        reachability: manager
            .reachability
            .map(|r| r.to_string())
            .unwrap_or_default()
            .into(),
        engine_version: description
            .engine
            .and_then(|e| e.engine_version)
            .unwrap_or_default(),
        labels: sort_labels(spec.labels),
    }
}

fn convert_service(s: Service) -> model::Service {
    let spec = s.spec.unwrap_or_default();
    let labels = sort_labels(spec.labels);
    let container = spec.task_template.and_then(|t| t.container_spec);
    let mode = spec.mode.unwrap_or_default();
    let mode = if let Some(job) = mode.replicated_job {
        // Without a total, it is as many as run at once.
        ServiceMode::ReplicatedJob(unsigned_or_zero(
            job.total_completions.or(job.max_concurrent),
        ))
    } else if mode.global_job.is_some() {
        ServiceMode::GlobalJob
    } else if mode.global.is_some() {
        ServiceMode::Global
    } else {
        ServiceMode::Replicated(unsigned_or_zero(mode.replicated.and_then(|r| r.replicas)))
    };
    let status = s.service_status.unwrap_or_default();
    let environment = container
        .iter()
        .flat_map(|c| c.env.iter().flatten())
        .map(|line| line.split_once('=').unwrap_or((line, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let volumes = container
        .iter()
        .flat_map(|c| c.mounts.iter().flatten())
        .filter(|m| m.typ == Some(MountType::VOLUME))
        .filter_map(|m| m.source.clone())
        .collect();
    let ports = s
        .endpoint
        .and_then(|e| e.spec)
        .and_then(|e| e.ports)
        .unwrap_or_default()
        .into_iter()
        .map(|p| {
            let protocol = p.protocol.unwrap_or(EndpointPortConfigProtocolEnum::TCP);
            let target = p.target_port.unwrap_or(0);
            let published = p.published_port.unwrap_or(0);
            format!("{published}:{target}/{protocol}")
        })
        .collect();
    model::Service {
        id: s.id.unwrap_or_default(),
        name: spec.name.unwrap_or_default(),
        stack: labels.get(STACK_LABEL).cloned(),
        image: container
            .and_then(|c| c.image)
            .map(strip_digest)
            .unwrap_or_default(),
        mode,
        wanted: status.desired_tasks.unwrap_or(0),
        running: status.running_tasks.unwrap_or(0),
        job: None,
        domains: matou_model::domains_from_labels(&labels),
        ports,
        labels,
        environment,
        volumes,
        created_at: parse_engine_time(s.created_at.as_deref()),
        updated_at: parse_engine_time(s.updated_at.as_deref()),
        update: s.update_status.map(|u| {
            (
                u.state.map(|s| s.to_string()).unwrap_or_default().into(),
                u.message.unwrap_or_default(),
            )
        }),
        version: s.version.and_then(|v| v.index).unwrap_or(0),
    }
}

fn convert_task(t: Task) -> model::Task {
    let status = t.status.unwrap_or_default();
    let container = status.container_status;
    let exit_code = container.as_ref().and_then(|c| c.exit_code);
    let restart = t.spec.as_ref().and_then(|s| s.restart_policy.as_ref());
    let is_restarted_always = restart
        .and_then(|r| r.condition)
        .is_none_or(|c| matches!(c, Condition::EMPTY | Condition::ANY));
    let mut task = model::Task {
        id: t.id.unwrap_or_default(),
        service_id: t.service_id.unwrap_or_default(),
        slot: t.slot.filter(|s| *s > 0).map(|s| s as u64),
        node_id: t.node_id.unwrap_or_default(),
        state: status
            .state
            .map(|s| s.to_string())
            .unwrap_or_default()
            .into(),
        desired: t
            .desired_state
            .map(|s| s.to_string())
            .unwrap_or_default()
            .into(),
        message: status.message.unwrap_or_default(),
        error: status.err.unwrap_or_default(),
        exit_code: None,
        ended_unasked: false,
        container_id: container
            .and_then(|c| c.container_id)
            .filter(|id| !id.is_empty()),
        // The first run is number 0, which the engine leaves out.
        iteration: t.job_iteration.map(|v| v.index.unwrap_or(0)),
        image: t
            .spec
            .and_then(|s| s.container_spec)
            .and_then(|c| c.image)
            .map(strip_digest)
            .unwrap_or_default(),
        outdated: false,
        since: parse_engine_time(status.timestamp.as_deref()),
    };
    // The engine says 0 of a container that runs, and of one that was never made.
    let ran = task.has_ended() && task.container_id.is_some();
    task.exit_code = exit_code.filter(|_| ran);
    // What is stopped on purpose is shut down.
    task.ended_unasked =
        is_restarted_always && task.iteration.is_none() && task.state == TaskState::Complete;
    task
}

/// `ghost:6@sha256:…` → `ghost:6`.
fn strip_digest(image: String) -> String {
    match image.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => image,
    }
}

fn sort_labels(map: Option<HashMap<String, String>>) -> BTreeMap<String, String> {
    map.unwrap_or_default().into_iter().collect()
}

fn unsigned_or_zero(n: Option<i64>) -> u64 {
    n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}

fn parse_engine_time(text: Option<&str>) -> Option<Timestamp> {
    text.and_then(|t| t.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_are_being_replaced_do_not_count() {
        let service: Service = serde_json::from_str(
            r#"{"ID":"s1","Spec":{"Name":"web","Mode":{"Replicated":{"Replicas":1}}},
            "ServiceStatus":{"RunningTasks":2,"DesiredTasks":1}}"#,
        )
        .unwrap();
        let task = |desired: &str| -> Task {
            serde_json::from_str(&format!(
                r#"{{"ServiceID":"s1","Slot":1,"Status":{{"State":"running"}},"DesiredState":"{desired}"}}"#
            ))
            .unwrap()
        };
        let tasks = vec![task("running"), task("shutdown")];
        let swarm = super::convert_swarm(Vec::new(), vec![service], tasks, &HashSet::new());
        assert_eq!(
            (swarm.services[0].running, swarm.services[0].wanted),
            (1, 1)
        );
    }

    #[test]
    fn a_job_is_counted_by_its_last_run() {
        // As Docker 20.10 tells it: no `Slot` for slot 0, no `Index` in the first run.
        let service = |iteration: &str| -> Service {
            serde_json::from_str(&format!(
                r#"{{"ID":"s1","Spec":{{"Name":"once","Mode":{{"ReplicatedJob":{{"MaxConcurrent":2,"TotalCompletions":2}}}}}},
                "UpdateStatus":{{"State":"rollback_started","Message":"manually requested rollback"}},
                "ServiceStatus":{{"RunningTasks":0,"DesiredTasks":2,"CompletedTasks":1}},
                "JobStatus":{{"JobIteration":{{{iteration}}},"LastExecution":"2026-11-23T14:00:33.1Z"}}}}"#
            ))
            .unwrap()
        };
        let tasks: Vec<Task> = serde_json::from_str(
            r#"[{"ID":"t1","ServiceID":"s1","JobIteration":{},"DesiredState":"complete",
                "Status":{"State":"complete","ContainerStatus":{"ContainerID":"c1","PID":0,"ExitCode":0}}},
            {"ID":"t2","ServiceID":"s1","Slot":1,"JobIteration":{},"DesiredState":"shutdown",
                "Status":{"State":"failed","Err":"task: non-zero exit (3)","ContainerStatus":{"ContainerID":"c2","PID":0,"ExitCode":3}}}]"#,
        )
        .unwrap();
        let count = |iteration| {
            let services = vec![service(iteration)];
            let none = HashSet::new();
            let swarm = super::convert_swarm(Vec::new(), services, tasks.clone(), &none);
            let service = swarm.services[0].clone();
            assert_eq!(
                (service.running, service.wanted, service.update),
                (0, 0, None)
            );
            let slots: Vec<_> = swarm.tasks.iter().map(|t| t.slot).collect();
            assert_eq!(slots, [Some(0), Some(1)]);
            service.job.unwrap()
        };
        let first = count("");
        assert_eq!(first.to_string(), "1 of 2 done, failed with exit code 3");
        assert_eq!(first.iteration, Some(0));
        assert_eq!(
            count(r#""Index":1"#).to_string(),
            "0 of 2 done, none running yet"
        );
    }

    #[test]
    fn an_answer_of_an_old_engine_is_understood() {
        // Docker 20.10, cut down: no ServiceStatus, a negative slot, a time of zero.
        let task: Task = serde_json::from_str(
            r#"{"ID":"t1","ServiceID":"s1","NodeID":"n1","Status":{"Timestamp":"2026-11-23T14:00:33.1Z",
            "State":"rejected","Message":"preparing","Err":"No such image: x","ContainerStatus":{"ContainerID":"","PID":0,"ExitCode":0}},
            "DesiredState":"shutdown"}"#,
        )
        .unwrap();
        let task = super::convert_task(task);
        assert_eq!(task.state, TaskState::Rejected);
        assert_eq!(task.error, "No such image: x");
        assert_eq!(task.container_id, None);
        assert_eq!(task.slot, None);
    }
}
