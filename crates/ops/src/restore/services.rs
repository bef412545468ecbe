//! An application's services: stopped, started again with the replicas they had, asked whether they
//! answer.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::tasks::{AwaitedServices, WaitForTasks};
use crate::{FleetContext, deploy};
use matou_job::{Check, Step, StepContext, StepError};
use matou_model::{NodeState, Service, ServiceMode, Swarm, Task, TaskState};
use matou_stack::AppFile;

/// What happens to the application's services during a swap.
#[derive(Clone)]
pub(crate) enum ServiceHandling {
    /// They go on running: a single file is swapped under them.
    KeepRunning,
    /// They are stopped, and started again.
    Stop,
    /// There are none yet: the application is deployed from this file.
    Deploy(Box<AppFile>),
}

const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How long tasks may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(180);

/// How long they may take to run again.
const START_LIMIT: Duration = Duration::from_secs(900);

/// How long they are waited for after something was taken back.
const GIVE_BACK_LIMIT: Duration = Duration::from_secs(90);

/// No node fulfils it: how a global service is stopped.
const STOPPED_CONSTRAINT: &str = "node.labels.org.matou.stopped==yes";

/// Stands for the replicas of a global service.
const GLOBAL_REPLICAS: u64 = u64::MAX;

/// Stands for the tasks of a swarm job, which are neither stopped nor started.
const JOB_REPLICAS: u64 = u64::MAX - 1;

/// The services of an application.
pub(crate) fn list_app_services<'a>(swarm: &'a Swarm, app: &str) -> Vec<&'a Service> {
    let own = |s: &&Service| s.stack.as_deref().unwrap_or(&s.name) == app;
    swarm.services.iter().filter(own).collect()
}

/// How many tasks each service of an application should run.
pub(crate) async fn query_app_replicas(
    cx: &StepContext,
    app: &str,
) -> Result<Vec<(String, u64)>, StepError> {
    let swarm = cx.query_swarm().await?;
    Ok(list_app_services(&swarm, app)
        .into_iter()
        .map(wanted_replicas)
        .collect())
}

/// Queries how many tasks each service of an application, and each named service, should run.
pub(super) async fn query_replicas_with(
    cx: &StepContext,
    app: &str,
    named: &BTreeSet<String>,
) -> Result<Vec<(String, u64)>, StepError> {
    let swarm = cx.query_swarm().await?;
    let own = |s: &&Service| s.stack.as_deref().unwrap_or(&s.name) == app;
    let all = swarm.services.iter();
    Ok(all
        .filter(|s| own(s) || named.contains(&s.name))
        .map(wanted_replicas)
        .collect())
}

fn wanted_replicas(service: &Service) -> (String, u64) {
    let n = match service.mode {
        ServiceMode::Replicated(n) => n,
        ServiceMode::Global => GLOBAL_REPLICAS,
        ServiceMode::ReplicatedJob(_) | ServiceMode::GlobalJob => JOB_REPLICAS,
    };
    (service.name.clone(), n)
}

/// How many tasks that is, in words.
pub(super) fn format_replicas(replicas: u64) -> String {
    match replicas {
        GLOBAL_REPLICAS => tr!("one task a node").to_owned(),
        JOB_REPLICAS => tr!("a job").to_owned(),
        n => tr!("{n} running"),
    }
}

/// Whether these tasks are stopped and started.
pub(super) fn can_be_stopped(replicas: u64) -> bool {
    replicas != JOB_REPLICAS
}

async fn set_service_running(
    cx: &StepContext,
    name: &str,
    replicas: u64,
    running: bool,
) -> Result<(), StepError> {
    let done = match replicas {
        JOB_REPLICAS => Ok(()),
        GLOBAL_REPLICAS => {
            cx.docker
                .update_service(name, |spec| {
                    let constraints = spec.list_mut(&["TaskTemplate", "Placement", "Constraints"]);
                    let stopped = constraints.iter().any(|c| c == STOPPED_CONSTRAINT);
                    match running {
                        true => constraints.retain(|c| c != STOPPED_CONSTRAINT),
                        false if !stopped => constraints.push(STOPPED_CONSTRAINT.into()),
                        false => {}
                    }
                    stopped == running
                })
                .await
        }
        n => {
            cx.docker
                .scale_service(name, if running { n } else { 0 })
                .await
        }
    };
    match done {
        // Removed meanwhile: there is nothing to stop or start.
        Err(e) if e.is_not_found() => Ok(()),
        other => other.map_err(StepError::from),
    }
}

/// Stops every task of an application and waits until they are gone.
pub(crate) async fn stop_app(cx: &StepContext, app: &str) -> Result<(), StepError> {
    stop_app_except(cx, app, &[]).await
}

/// Waits until no job of these services goes on: it would write while the data is exchanged, it can't be
/// stopped and go on afterwards, and a database that is stopped under it makes it fail.
async fn wait_for_jobs_to_end(
    cx: &StepContext,
    which: impl Fn(&Service) -> bool,
) -> Result<(), StepError> {
    let wait = cx.wait_at_most(STOP_LIMIT, POLL_INTERVAL);
    let mut told = false;
    loop {
        let swarm = cx.query_swarm().await?;
        let mut services = swarm.services.iter().filter(|s| which(s));
        // One that no node fits writes nothing.
        let going_on = |s: &Service| {
            let job = s.job.clone()?;
            (job.goes_on() && job.running + job.waiting > 0).then_some(job)
        };
        let Some((name, job)) = services.find_map(|s| Some((s.name.clone(), going_on(s)?))) else {
            return Ok(());
        };
        if !std::mem::replace(&mut told, true) {
            let line = tr!("waiting for the job {name}: {job}");
            cx.out.note(line).await;
        }
        let late = || {
            tr!(
                "the job {name} is not done after {} s: {job}; try again when it is, or end it with `docker service rm {name}`: the next deploy runs it anew",
                STOP_LIMIT.as_secs()
            )
        };
        wait.pause(late).await?;
    }
}

/// Stops every task of an application but those of the services in `keep`, and waits until they are
/// gone.
pub(crate) async fn stop_app_except(
    cx: &StepContext,
    app: &str,
    keep: &[String],
) -> Result<(), StepError> {
    let own = |s: &Service| s.stack.as_deref().unwrap_or(&s.name) == app;
    let is_stopped = |s: &Service| own(s) && !keep.contains(&s.name);
    wait_for_jobs_to_end(cx, is_stopped).await?;
    for (name, n) in query_app_replicas(cx, app).await? {
        if !keep.contains(&name) {
            set_service_running(cx, &name, n, false).await?;
        }
    }
    wait_for_tasks_to_stop(cx, is_stopped, &|_| BTreeSet::new()).await
}

/// Waits until no job of the services that are named goes on.
pub(super) async fn wait_for_named_jobs(
    cx: &StepContext,
    replicas: &[(String, u64)],
) -> Result<(), StepError> {
    let is_named = |s: &Service| replicas.iter().any(|(name, _)| *name == s.name);
    wait_for_jobs_to_end(cx, is_named).await
}

/// Finds nodes, by the swarm's id, whose tasks are not waited for.
pub(super) type FindLostNodes<'a> = &'a (dyn Fn(&Swarm) -> BTreeSet<String> + Send + Sync);

/// Stops every task of the services that are named, and waits until they are gone; those on nodes that `lost`
/// finds are not waited for.
pub(super) async fn stop_named_services(
    cx: &StepContext,
    replicas: &[(String, u64)],
    lost: FindLostNodes<'_>,
) -> Result<(), StepError> {
    let is_named = |s: &Service| replicas.iter().any(|(name, _)| *name == s.name);
    // One may have begun since its end was waited for.
    wait_for_named_jobs(cx, replicas).await?;
    for (name, n) in replicas {
        set_service_running(cx, name, *n, false).await?;
    }
    wait_for_tasks_to_stop(cx, is_named, lost).await
}

/// Returns whether a task may have a container that writes: it has one, which counts also when its node is
/// lost, of which nobody knows; or a node that answers was given it, which tells of the container a moment
/// after that runs.
fn may_write(task: &Task, swarm: &Swarm) -> bool {
    let has_container = task.container_id.is_some() || task.state == TaskState::Running;
    let node = swarm.nodes.iter().find(|n| n.id == task.node_id);
    let is_coming = node.is_some_and(|n| n.state == NodeState::Ready);
    match task.state {
        TaskState::Orphaned => has_container,
        _ => !task.has_ended() && (has_container || is_coming),
    }
}

/// Whether nothing of what is exchanged is a service's, and its tasks can be on a lost node alone: there is
/// nothing to stop, and nothing would come up.
pub(super) fn waits_for_a_lost_node(name: &str, exchanged: &[String], swarm: &Swarm) -> bool {
    let Some(service) = swarm.services.iter().find(|s| s.name == name) else {
        return false;
    };
    if service.volumes.is_empty() || service.volumes.iter().any(|v| exchanged.contains(v)) {
        return false;
    }
    let is_lost = |id: &str| {
        let node = swarm.nodes.iter().find(|n| n.id == id);
        node.is_none_or(|n| n.state != NodeState::Ready)
    };
    let mut tasks = swarm.tasks.iter().filter(|t| t.service_id == service.id);
    let was_lost = tasks
        .clone()
        .any(|t| !t.node_id.is_empty() && is_lost(&t.node_id));
    was_lost && tasks.all(|t| t.node_id.is_empty() || t.has_ended() || is_lost(&t.node_id))
}

/// Waits until no task of these services runs.
async fn wait_for_tasks_to_stop(
    cx: &StepContext,
    which: impl Fn(&Service) -> bool,
    lost: FindLostNodes<'_>,
) -> Result<(), StepError> {
    let wait = cx.wait_at_most(STOP_LIMIT, POLL_INTERVAL);
    loop {
        let swarm = cx.query_swarm().await?;
        let lost = lost(&swarm);
        let services: Vec<&Service> = swarm.services.iter().filter(|s| which(s)).collect();
        let ids: Vec<&str> = services.iter().map(|s| s.id.as_str()).collect();
        let mut left = swarm
            .tasks
            .iter()
            .filter(|t| ids.contains(&t.service_id.as_str()) && may_write(t, &swarm))
            .filter(|t| !lost.contains(&t.node_id));
        let Some(task) = left.next() else {
            return Ok(());
        };
        let late = || {
            let node = swarm.nodes.iter().find(|n| n.id == task.node_id);
            let of = services.iter().find(|s| s.id == task.service_id);
            tr!(
                "a task of {} on {} has not stopped after {} s: is that node reachable?",
                of.map_or(tr!("a service"), |s| s.name.as_str()),
                node.map_or(tr!("a node"), |n| n.hostname.as_str()),
                STOP_LIMIT.as_secs()
            )
        };
        wait.pause(late).await?;
    }
}

/// Gives services their replicas back and waits for their tasks.
pub(crate) async fn start_services(
    cx: &StepContext,
    replicas: &[(String, u64)],
) -> Result<(), StepError> {
    for (name, n) in replicas {
        set_service_running(cx, name, *n, true).await?;
    }
    for (name, n) in replicas {
        // A service with no replicas needs no tasks, and a job ends by itself.
        if matches!(*n, 0 | JOB_REPLICAS) {
            continue;
        }
        let run = WaitForTasks {
            awaited: AwaitedServices::Service(name.clone()),
            patience: START_LIMIT,
            nodes: None,
        };
        tokio::time::timeout(START_LIMIT, run.apply(cx))
            .await
            .map_err(|_| StepError::failed(tr!("the tasks of {name} do not come up")))??;
    }
    Ok(())
}

/// Gives services their replicas back after a restore was taken back. Tasks that do not come up are
/// reported and are no failure: the data is as it was.
pub(crate) async fn give_back_replicas(
    cx: &StepContext,
    replicas: &[(String, u64)],
) -> Result<(), StepError> {
    for (name, n) in replicas {
        set_service_running(cx, name, *n, true).await?;
    }
    for (name, n) in replicas
        .iter()
        .filter(|(_, n)| !matches!(*n, 0 | JOB_REPLICAS))
    {
        let one = [(name.clone(), *n)];
        let up = tokio::time::timeout(GIVE_BACK_LIMIT, start_services(cx, &one)).await;
        let why = match up {
            Ok(Ok(())) => continue,
            Ok(Err(e)) => e.to_string(),
            Err(_) => tr!("its tasks do not run after {} s", GIVE_BACK_LIMIT.as_secs()),
        };
        cx.out
            .note(tr!("{name} has its replicas back: {why}"))
            .await;
    }
    Ok(())
}

/// Removes what was deployed of an application.
pub(crate) async fn remove_deployed_app(cx: &StepContext, app: &str) -> Result<(), StepError> {
    let swarm = cx.query_swarm().await?;
    if list_app_services(&swarm, app).is_empty() {
        return Ok(());
    }
    crate::remove::remove_stack(cx, app).await?;
    // The services are gone, so their ids from before tell which tasks are left.
    let ids: Vec<String> = list_app_services(&swarm, app)
        .iter()
        .map(|s| s.id.clone())
        .collect();
    let wait = cx.wait_at_most(STOP_LIMIT, POLL_INTERVAL);
    loop {
        let swarm = cx.query_swarm().await?;
        let left =
            |t: &matou_model::Task| ids.contains(&t.service_id) && t.state == TaskState::Running;
        if list_app_services(&swarm, app).is_empty() && !swarm.tasks.iter().any(left) {
            return Ok(());
        }
        wait.pause(|| tr!("{app} is not gone after {} s", STOP_LIMIT.as_secs()))
            .await?;
    }
}

/// Whether an application answers as its check says.
pub(crate) struct AppAnswer(Option<Box<dyn Step>>);

impl AppAnswer {
    /// The check of an application's stack, when it has a domain and one.
    pub(crate) async fn load(app: &str, fleet: &FleetContext) -> Result<Self, StepError> {
        let variables = Default::default();
        let wanted = deploy::DeployOptions {
            kept_comes_back: false,
            stack: None,
            app,
            variables: &variables,
            names: Default::default(),
            switches: Default::default(),
            rotate: &[],
            images: &deploy::NO_NEW_IMAGES,
            place: None,
            budget: None,
            revision: None,
            pins: &deploy::NO_PINS,
            why: String::new(),
        };
        let Ok(file) = deploy::merge_app_file(&wanted, fleet) else {
            return Ok(Self(None));
        };
        let rendered = deploy::render_app_stack(&wanted, &file, fleet).await;
        let rendered = rendered?;
        let step = deploy::answer_step(&rendered, fleet)?;
        Ok(Self(step))
    }

    /// Whether it answers now.
    pub(crate) async fn answers_now(&self, cx: &StepContext) -> bool {
        match &self.0 {
            Some(step) => matches!(step.check(cx).await, Ok(Check::Done(_))),
            None => false,
        }
    }

    /// Waits for the answer after a restore. If the application did not answer before either, a
    /// missing answer is only reported: the restored data may be all there is.
    pub(crate) async fn wait_after_restore(
        &self,
        cx: &StepContext,
        before: bool,
    ) -> Result<(), StepError> {
        let Some(step) = &self.0 else {
            return Ok(());
        };
        match step.apply(cx).await {
            Err(StepError::Failed(why) | StepError::Unreachable(why)) if !before => {
                cx.out
                    .note(tr!(
                        "{why}; it did not answer before either, so the restored data stays"
                    ))
                    .await;
                Ok(())
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm_fixture::{node, swarm, task};
    use matou_model::Role;

    #[test]
    fn a_task_whose_container_is_not_told_yet_is_waited_for() {
        let mut lost = node("lost", Role::Worker);
        lost.state = NodeState::Down;
        let swarm = swarm([node("n1", Role::Manager), lost], []);
        for (node, container, state, may) in [
            ("n1", false, TaskState::Running, true),
            ("n1", false, TaskState::Starting, true),
            ("n1", false, TaskState::Preparing, true),
            ("n1", false, TaskState::Assigned, true),
            ("n1", true, TaskState::Shutdown, false),
            ("n1", true, TaskState::Failed, false),
            ("", false, TaskState::Pending, false),
            ("lost", true, TaskState::Running, true),
            ("lost", true, TaskState::Orphaned, true),
            ("lost", false, TaskState::Preparing, false),
            // The swarm knows its node no more.
            ("gone", true, TaskState::Orphaned, true),
            ("gone", false, TaskState::Orphaned, false),
            ("gone", false, TaskState::Assigned, false),
        ] {
            let mut task = task("shop_db", 1, node, state);
            if !container {
                task.container_id = None;
            }
            assert_eq!(may_write(&task, &swarm), may, "{task:?}");
        }
    }
}
