//! Waiting until the tasks of services run, and telling why they don't.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::{Availability, Service, ServiceMode, Swarm, Task, TaskState, UpdateState};

/// How often the tasks are read while waiting.
const POLL: Duration = Duration::from_millis(700);

/// Tasks must run this long before the job believes them.
const STEADY_TIME: Duration = Duration::from_secs(2);

/// A service whose tasks failed this often since the job began will not come up by waiting.
const MAX_FAILURES: usize = 3;

/// A task that can't be placed is given this long: a drained node may come back.
const UNPLACED_WAIT: Duration = Duration::from_secs(20);

/// The engine begins to replace tasks within a moment of the change; after this long it won't.
const REPLACEMENT_WAIT: Duration = Duration::from_secs(30);

/// A rollback replaces tasks too; the job that failed does not leave before it is through, but no later
/// than this.
const ROLLBACK_WAIT: Duration = Duration::from_secs(60);

/// After this long, the job says that it waits for the engine.
const QUIET_WAIT: Duration = Duration::from_secs(3);

/// Which services a job waits for.
#[derive(Debug, Clone)]
pub(super) enum AwaitedServices {
    Stack(String),
    Service(String),
    /// A service that is taken back on purpose: that it was rolled back is no failure.
    RolledBack(String),
}

impl AwaitedServices {
    pub(super) fn find_services<'a>(&self, swarm: &'a Swarm) -> Vec<&'a Service> {
        swarm
            .services
            .iter()
            .filter(|s| match self {
                Self::Stack(stack) => s.stack.as_ref() == Some(stack),
                Self::Service(name) | Self::RolledBack(name) => s.name == *name || s.id == *name,
            })
            .collect()
    }
}

/// Waits until every task of the services runs.
pub(super) struct WaitForTasks {
    pub awaited: AwaitedServices,
    /// How long they may take.
    pub patience: Duration,
}

impl WaitForTasks {
    /// Compares it with one reading of the swarm.
    fn check_swarm(&self, swarm: &Swarm) -> Check {
        let services = self.awaited.find_services(swarm);
        if services.is_empty() {
            return Check::Unknown("the services are not there yet".into());
        }
        let lines = |done: bool| {
            services
                .iter()
                .filter(|s| is_service_up(s, swarm) == done)
                .map(|s| match done {
                    true => Change::same(format!("{}: {} running", s.name, s.running)),
                    false => Change::modify(
                        format!("{} tasks running", s.name),
                        count_current_tasks(s, swarm).to_string(),
                        s.wanted.to_string(),
                    ),
                })
                .collect::<Vec<_>>()
        };
        let waiting = lines(false);
        if waiting.is_empty() {
            Check::Done(lines(true))
        } else {
            Check::Change(waiting)
        }
    }
}

#[async_trait]
impl Step for WaitForTasks {
    fn name(&self) -> String {
        "tasks".into()
    }

    fn timeout(&self) -> Duration {
        self.patience
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        Ok(self.check_swarm(&cx.query_swarm().await?))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        wait_for_tasks(&self.awaited, cx).await
    }
}

/// Returns the tasks that the engine is about to replace. It shows a service's new description
/// before it acts on it. Once it has begun, the service has an update state, and that is trusted
/// instead.
fn tasks_to_be_replaced<'a>(
    service: &'a Service,
    swarm: &'a Swarm,
) -> impl Iterator<Item = &'a Task> {
    let running = |t: &&Task| t.service_id == service.id && t.desired == TaskState::Running;
    let tasks = swarm.tasks.iter().filter(running);
    tasks.filter(|t| t.outdated && service.update.is_none())
}

/// Counts the running tasks that are not about to be replaced.
fn count_current_tasks(service: &Service, swarm: &Swarm) -> u64 {
    let old = tasks_to_be_replaced(service, swarm).filter(|t| t.state == TaskState::Running);
    service.running.saturating_sub(old.count() as u64)
}

/// Whether as many tasks run as are wanted, and no update is under way or about to begin.
fn is_service_up(service: &Service, swarm: &Swarm) -> bool {
    let placed = match service.mode {
        ServiceMode::Replicated(n) => service.wanted >= n,
        // Zero eligible nodes is a valid number for a global service, but not when it is asked
        // for at all: the scheduler has not looked yet, or no node fits.
        ServiceMode::Global => service.wanted > 0,
        ServiceMode::ReplicatedJob(_) | ServiceMode::GlobalJob => true,
    };
    let updating = service
        .update
        .as_ref()
        .is_some_and(|(state, _)| state.is_under_way());
    let moving = swarm.tasks.iter().any(|t| {
        t.service_id == service.id
            && t.desired == TaskState::Running
            && t.state != TaskState::Running
    });
    let waiting = tasks_to_be_replaced(service, swarm).next().is_some();
    placed && !updating && !moving && !waiting && service.running >= service.wanted
}

/// Waits until every task runs, telling each change of a task.
///
/// # Errors
/// The task's own error when a service can't come up; an update that the engine rolled back or
/// paused is a failure too, told when the rollback is through.
async fn wait_for_tasks(whose: &AwaitedServices, cx: &StepContext) -> Result<(), StepError> {
    let mut told: HashMap<String, String> = HashMap::new();
    let mut old: Option<HashSet<String>> = None;
    let mut steady: Option<Instant> = None;
    let mut rolled_back: Option<(Instant, String)> = None;
    let begun = Instant::now();
    loop {
        let swarm = cx.query_swarm().await?;
        let services = whose.find_services(&swarm);
        // What had failed before this job is not its failure.
        let old = old.get_or_insert_with(|| {
            let ended = swarm.tasks.iter().filter(|t| has_task_failed(t));
            ended.map(|t| t.id.clone()).collect()
        });
        let (mut running, mut wanted) = (0, 0);
        for service in &services {
            running += count_current_tasks(service, &swarm).min(service.wanted);
            wanted += service.wanted;
            let waiting = begun.elapsed() > QUIET_WAIT
                && tasks_to_be_replaced(service, &swarm).next().is_some();
            if waiting && told.insert(service.id.clone(), String::new()).is_none() {
                let what = format!(
                    "{}: waiting for the engine to begin replacing its tasks",
                    service.name
                );
                cx.out.note(what).await;
            }
            report_task_states(service, &swarm, old, &mut told, cx).await;
            if !matches!(whose, AwaitedServices::RolledBack(_))
                && let Some(failed) = describe_refused_update(service, &swarm, old)
                && rolled_back.is_none()
            {
                let note = match is_update_stopped(&services) || is_service_up(service, &swarm) {
                    true => failed.clone(),
                    false => format!("{failed}; waiting until its tasks run again"),
                };
                cx.out.note(note).await;
                rolled_back = Some((Instant::now(), failed));
            }
            if rolled_back.is_none() {
                fail_if_hopeless(service, &swarm, old, begun.elapsed())?;
            }
        }
        cx.out.send_progress(running, wanted.max(1), "tasks").await;
        if let Some((since, failed)) = &rolled_back {
            let left = services
                .iter()
                .filter(|s| !is_service_up(s, &swarm))
                .count();
            if left == 0 || is_update_stopped(&services) || since.elapsed() > ROLLBACK_WAIT {
                return Err(StepError::failed(match left {
                    0 => failed.clone(),
                    _ => format!("{failed}; {running} of {wanted} tasks run"),
                }));
            }
        }
        let mut pause = POLL;
        if services.iter().all(|s| is_service_up(s, &swarm)) && !services.is_empty() {
            let since = *steady.get_or_insert_with(Instant::now);
            match STEADY_TIME.checked_sub(since.elapsed()) {
                None | Some(Duration::ZERO) => return Ok(()),
                Some(left) => pause = pause.min(left),
            }
        } else {
            steady = None;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = cx.cancel.cancelled() => return Err(StepError::Cancelled),
        }
    }
}

fn has_task_failed(task: &Task) -> bool {
    matches!(
        task.state,
        TaskState::Failed | TaskState::Rejected | TaskState::Orphaned
    )
}

fn task_name(service: &Service, task: &Task) -> String {
    match task.slot {
        Some(slot) => format!("{}.{slot}", service.name),
        None => service.name.clone(),
    }
}

fn describe_task_node(task: &Task, swarm: &Swarm) -> String {
    swarm
        .nodes
        .iter()
        .find(|n| n.id == task.node_id)
        .map_or_else(String::new, |n| format!(" on {}", n.hostname))
}

/// Reports each state that a task of the service reaches, once.
async fn report_task_states(
    service: &Service,
    swarm: &Swarm,
    old: &HashSet<String>,
    told: &mut HashMap<String, String>,
    cx: &StepContext,
) {
    let tasks = swarm
        .tasks
        .iter()
        .filter(|t| t.service_id == service.id && !old.contains(&t.id));
    for task in tasks {
        if told.get(&task.id).is_some_and(|t| t == task.state.as_str()) {
            continue;
        }
        told.insert(task.id.clone(), task.state.to_string());
        let (name, place) = (task_name(service, task), describe_task_node(task, swarm));
        let reason = match task.error.as_str() {
            "" => String::new(),
            error => format!(": {error}"),
        };
        cx.out
            .note(format!("{name} {}{place}{reason}", task.state))
            .await;
    }
}

/// Returns what the engine says of an update that it did not carry out.
fn describe_refused_update(
    service: &Service,
    swarm: &Swarm,
    old: &HashSet<String>,
) -> Option<String> {
    let (state, message) = service.update.as_ref()?;
    let what = match state {
        UpdateState::Paused => "stopped the update of",
        state if state.is_rollback() => "rolled back",
        _ => return None,
    };
    Some(format!(
        "the engine {what} {}: {message}{}",
        service.name,
        newest_task_error(service, swarm, old).map_or_else(String::new, |e| format!(" ({e})"))
    ))
}

/// Returns whether the engine goes no further by itself.
fn is_update_stopped(services: &[&Service]) -> bool {
    let mut updates = services.iter().filter_map(|s| s.update.as_ref());
    updates.any(|(state, _)| state.is_stopped())
}

/// Fails with the reason why waiting longer is of no use, if there is one.
fn fail_if_hopeless(
    service: &Service,
    swarm: &Swarm,
    old: &HashSet<String>,
    waited: Duration,
) -> Result<(), StepError> {
    let failed = swarm
        .tasks
        .iter()
        .filter(|t| t.service_id == service.id && has_task_failed(t) && !old.contains(&t.id))
        .count();
    if failed >= MAX_FAILURES && service.running < service.wanted {
        let error = newest_task_error(service, swarm, old).unwrap_or_default();
        return Err(StepError::failed(format!(
            "{} does not come up, {failed} tasks failed: {error}; its log may say more (`matou logs {}`)",
            service.name, service.name
        )));
    }
    if waited > REPLACEMENT_WAIT
        && let Some(task) = tasks_to_be_replaced(service, swarm).next()
    {
        let node = swarm.nodes.iter().find(|n| n.id == task.node_id);
        let why = match node.filter(|n| n.availability == Availability::Pause) {
            Some(node) => format!(
                "{0} is paused, which leaves its tasks as they are: `matou activate {0}`, and run this again",
                node.hostname
            ),
            None => {
                "its managers may have no leader, see `matou status`; run this again".to_owned()
            }
        };
        return Err(StepError::failed(format!(
            "the engine does not replace {}{}, which runs as it was before the change: {why}",
            task_name(service, task),
            describe_task_node(task, swarm)
        )));
    }
    let unplaced = swarm.tasks.iter().find(|t| {
        t.service_id == service.id
            && t.desired == TaskState::Running
            && t.state == TaskState::Pending
            && !t.error.is_empty()
    });
    match unplaced {
        Some(task) if waited > UNPLACED_WAIT => Err(StepError::failed(format!(
            "{} can't be placed on any node: {}",
            task_name(service, task),
            task.error
        ))),
        _ => Ok(()),
    }
}

fn newest_task_error(service: &Service, swarm: &Swarm, old: &HashSet<String>) -> Option<String> {
    swarm
        .tasks
        .iter()
        .filter(|t| t.service_id == service.id && has_task_failed(t) && !old.contains(&t.id))
        .max_by_key(|t| t.since)
        .map(|t| {
            let error = if t.error.is_empty() {
                &t.message
            } else {
                &t.error
            };
            format!(
                "{}{}: {error}",
                task_name(service, t),
                describe_task_node(t, swarm)
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm_fixture::{changes, node, service, swarm, task};
    use matou_model::Role;

    /// `blog_web` with one task that runs on `n1`.
    fn blog() -> Swarm {
        let mut swarm = swarm([node("n1", Role::Manager)], [service("blog_web", 1, 1)]);
        swarm.tasks = vec![task("blog_web", 1, "n1", TaskState::Running)];
        swarm
    }

    fn waiting(swarm: &Swarm) -> Vec<String> {
        let step = WaitForTasks {
            awaited: AwaitedServices::Stack("blog".into()),
            patience: Duration::from_secs(1),
        };
        changes(Ok(step.check_swarm(swarm)))
    }

    fn hopeless(swarm: &Swarm, waited: u64) -> Option<String> {
        let waited = Duration::from_secs(waited);
        let judged = fail_if_hopeless(&swarm.services[0], swarm, &HashSet::new(), waited);
        judged.err().map(|e| e.to_string())
    }

    #[test]
    fn tasks_of_before_the_change_do_not_count() {
        let mut swarm = blog();
        assert_eq!(waiting(&swarm), ["= blog_web: 1 running"]);
        swarm.tasks[0].outdated = true;
        assert_eq!(waiting(&swarm), ["~ blog_web tasks running: 0 → 1"]);
        // Once the engine has begun, its own word counts.
        swarm.services[0].update = Some((UpdateState::Updating, String::new()));
        assert_eq!(waiting(&swarm), ["~ blog_web tasks running: 1 → 1"]);
        swarm.services[0].update = Some((UpdateState::Completed, String::new()));
        assert_eq!(waiting(&swarm), ["= blog_web: 1 running"]);
        swarm.services.clear();
        assert_eq!(waiting(&swarm), ["? the services are not there yet"]);
    }

    #[test]
    fn a_global_service_that_no_node_fits_is_not_up() {
        let mut swarm = blog();
        swarm.services[0].mode = ServiceMode::Global;
        (swarm.services[0].wanted, swarm.services[0].running) = (0, 0);
        swarm.tasks.clear();
        assert_eq!(waiting(&swarm), ["~ blog_web tasks running: 0 → 0"]);
    }

    #[test]
    fn waiting_ends_when_it_is_of_no_use() {
        let mut swarm = blog();
        assert_eq!(hopeless(&swarm, 1000), None);
        swarm.services[0].running = 0;
        let failed = |slot| Task {
            error: "task: non-zero exit (7)".into(),
            desired: TaskState::Shutdown,
            ..task("blog_web", slot, "n1", TaskState::Failed)
        };
        swarm.tasks = vec![failed(1), failed(2)];
        assert_eq!(hopeless(&swarm, 1000), None);
        swarm.tasks.push(failed(3));
        let said = hopeless(&swarm, 1).unwrap();
        assert!(said.contains("3 tasks failed") && said.contains("non-zero exit (7)"));
        // What had failed before is not this job's.
        let old = swarm.tasks.iter().map(|t| t.id.clone()).collect();
        let judged = fail_if_hopeless(&swarm.services[0], &swarm, &old, Duration::ZERO);
        assert!(judged.is_ok());
    }

    #[test]
    fn a_paused_node_and_one_that_fits_nowhere_are_told() {
        let mut swarm = blog();
        swarm.tasks[0].outdated = true;
        assert_eq!(hopeless(&swarm, 29), None);
        assert!(hopeless(&swarm, 31).unwrap().contains("no leader"));
        swarm.nodes[0].availability = Availability::Pause;
        assert!(hopeless(&swarm, 31).unwrap().contains("n1 is paused"));
        swarm.tasks = vec![Task {
            error: "no suitable node (insufficient resources on 1 node)".into(),
            ..task("blog_web", 1, "", TaskState::Pending)
        }];
        assert_eq!(hopeless(&swarm, 19), None);
        assert!(hopeless(&swarm, 21).unwrap().contains("no suitable node"));
    }
}
