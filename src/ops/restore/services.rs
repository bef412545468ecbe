//! An application's services: stopped, started again with the replicas they had, asked whether they
//! answer.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::docker::NodeHandle;
use crate::job::{Check, Cx, Step, StepError};
use crate::model::{Mode, Service, Swarm};
use crate::ops::tasks::{TasksRun, Whose, docker_failed, read};
use crate::ops::{Context, deploy};

const POLL: Duration = Duration::from_millis(500);

/// How long tasks may take to stop.
const STOPPING: Duration = Duration::from_secs(180);

/// How long they may take to run again.
const STARTING: Duration = Duration::from_secs(900);

/// How long they are waited for after something was taken back.
const GIVING_BACK: Duration = Duration::from_secs(90);

/// No node fulfils it: how a global service is stopped.
const NOWHERE: &str = "node.labels.org.matou.stopped==yes";

/// Stands for the replicas of a global service.
const GLOBAL: u64 = u64::MAX;

/// Stands for the tasks of a job: they are waited for, and neither stopped nor started.
const JOB: u64 = u64::MAX - 1;

/// The same work seen from a manager.
pub(in crate::ops) fn on_manager(cx: &Cx, manager: &NodeHandle) -> Cx {
    Cx {
        node: manager.config.name.clone(),
        host: manager.host.clone(),
        docker: manager.docker.clone(),
        ..cx.clone()
    }
}

/// The services of an application.
pub(in crate::ops) fn of<'a>(swarm: &'a Swarm, app: &str) -> Vec<&'a Service> {
    let own = |s: &&Service| s.stack.as_deref().unwrap_or(&s.name) == app;
    swarm.services.iter().filter(own).collect()
}

/// How many tasks each service of an application should run.
pub(in crate::ops) async fn replicas(cx: &Cx, app: &str) -> Result<Vec<(String, u64)>, StepError> {
    let swarm = read(cx).await?;
    Ok(of(&swarm, app).into_iter().map(wanted).collect())
}

/// The same of an application and of services that are named.
pub(super) async fn replicas_with(
    cx: &Cx,
    app: &str,
    named: &BTreeSet<String>,
) -> Result<Vec<(String, u64)>, StepError> {
    let swarm = read(cx).await?;
    let own = |s: &&Service| s.stack.as_deref().unwrap_or(&s.name) == app;
    let all = swarm.services.iter();
    Ok(all
        .filter(|s| own(s) || named.contains(&s.name))
        .map(wanted)
        .collect())
}

fn wanted(service: &Service) -> (String, u64) {
    let n = match service.mode {
        Mode::Replicated(n) => n,
        Mode::Global => GLOBAL,
        Mode::ReplicatedJob(_) | Mode::GlobalJob => JOB,
    };
    (service.name.clone(), n)
}

/// How many tasks that is, in words.
pub(super) fn shown(replicas: u64) -> String {
    match replicas {
        GLOBAL => "one task a node".to_owned(),
        JOB => "a job".to_owned(),
        n => format!("{n} running"),
    }
}

/// Whether these tasks are stopped and started.
pub(super) fn is_stopped(replicas: u64) -> bool {
    replicas != JOB
}

async fn set(cx: &Cx, name: &str, replicas: u64, running: bool) -> Result<(), StepError> {
    let done = match replicas {
        JOB => Ok(()),
        GLOBAL => {
            cx.docker
                .update_service(name, |spec| {
                    let constraints = spec.list(&["TaskTemplate", "Placement", "Constraints"]);
                    let stopped = constraints.iter().any(|c| c == NOWHERE);
                    match running {
                        true => constraints.retain(|c| c != NOWHERE),
                        false if !stopped => constraints.push(NOWHERE.into()),
                        false => {}
                    }
                    stopped == running
                })
                .await
        }
        n => cx.docker.scale(name, if running { n } else { 0 }).await,
    };
    match done {
        // Removed meanwhile: there is nothing to stop or start.
        Err(e) if e.is_not_found() => Ok(()),
        other => other.map_err(docker_failed),
    }
}

/// Stops every task of an application and waits until they are gone.
pub(in crate::ops) async fn stop(cx: &Cx, app: &str) -> Result<(), StepError> {
    stop_but(cx, app, &[]).await
}

/// The same, but for the services that are named.
pub(in crate::ops) async fn stop_but(cx: &Cx, app: &str, keep: &[String]) -> Result<(), StepError> {
    for (name, n) in replicas(cx, app).await? {
        if !keep.contains(&name) {
            set(cx, &name, n, false).await?;
        }
    }
    let own = |s: &Service| s.stack.as_deref().unwrap_or(&s.name) == app;
    gone(cx, |s| own(s) && !keep.contains(&s.name)).await
}

/// Stops every task of the services that are named, and waits until they are gone.
pub(super) async fn stop_named(cx: &Cx, replicas: &[(String, u64)]) -> Result<(), StepError> {
    for (name, n) in replicas {
        set(cx, name, *n, false).await?;
    }
    gone(cx, |s| replicas.iter().any(|(name, _)| *name == s.name)).await
}

/// Waits until no task of these services runs.
async fn gone(cx: &Cx, which: impl Fn(&Service) -> bool) -> Result<(), StepError> {
    let begun = Instant::now();
    loop {
        let swarm = read(cx).await?;
        let services: Vec<&Service> = swarm.services.iter().filter(|s| which(s)).collect();
        let ids: Vec<&str> = services.iter().map(|s| s.id.as_str()).collect();
        let ended = ["shutdown", "complete", "failed", "rejected", "remove"];
        let left: Vec<_> = swarm
            .tasks
            .iter()
            .filter(|t| ids.contains(&t.service_id.as_str()) && !ended.contains(&&*t.state))
            .filter(|t| t.container_id.is_some() || t.state == "running")
            .collect();
        let Some(task) = left.first() else {
            return Ok(());
        };
        if begun.elapsed() > STOPPING {
            let node = swarm.nodes.iter().find(|n| n.id == task.node_id);
            let node = node.map_or("a node", |n| n.hostname.as_str());
            let of = services.iter().find(|s| s.id == task.service_id);
            let of = of.map_or("a service", |s| s.name.as_str());
            return Err(StepError::failed(format!(
                "a task of {of} on {node} has not stopped after {} s: is that node reachable?",
                STOPPING.as_secs()
            )));
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = cx.cancel.cancelled() => return Err(StepError::Cancelled),
        }
    }
}

/// Gives services their replicas back and waits for their tasks.
pub(in crate::ops) async fn start(cx: &Cx, replicas: &[(String, u64)]) -> Result<(), StepError> {
    for (name, n) in replicas {
        set(cx, name, *n, true).await?;
    }
    for (name, n) in replicas {
        // A service that had none is well without, and a job ends by itself.
        if matches!(*n, 0 | JOB) {
            continue;
        }
        let run = TasksRun {
            whose: Whose::Service(name.clone()),
            patience: STARTING,
        };
        tokio::time::timeout(STARTING, run.apply(cx))
            .await
            .map_err(|_| StepError::failed(format!("the tasks of {name} do not come up")))??;
    }
    Ok(())
}

/// The same after something was taken back: whether the tasks come up is told, and is no failure; the
/// data is as it was, however that is.
pub(in crate::ops) async fn give_back(
    cx: &Cx,
    replicas: &[(String, u64)],
) -> Result<(), StepError> {
    for (name, n) in replicas {
        set(cx, name, *n, true).await?;
    }
    for (name, n) in replicas.iter().filter(|(_, n)| !matches!(*n, 0 | JOB)) {
        let one = [(name.clone(), *n)];
        let up = tokio::time::timeout(GIVING_BACK, start(cx, &one)).await;
        let why = match up {
            Ok(Ok(())) => continue,
            Ok(Err(e)) => e.to_string(),
            Err(_) => format!("its tasks do not run after {} s", GIVING_BACK.as_secs()),
        };
        cx.out
            .note(format!("{name} has its replicas back: {why}"))
            .await;
    }
    Ok(())
}

/// Removes what was deployed of an application.
pub(in crate::ops) async fn remove(cx: &Cx, app: &str) -> Result<(), StepError> {
    let swarm = read(cx).await?;
    if of(&swarm, app).is_empty() {
        return Ok(());
    }
    crate::ops::remove::stack(cx, app).await?;
    // Its tasks are known by their services, which are gone: their containers tell.
    let ids: Vec<String> = of(&swarm, app).iter().map(|s| s.id.clone()).collect();
    let begun = Instant::now();
    while begun.elapsed() < STOPPING {
        let swarm = read(cx).await?;
        let left = |t: &crate::model::Task| ids.contains(&t.service_id) && t.state == "running";
        if of(&swarm, app).is_empty() && !swarm.tasks.iter().any(left) {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
    Err(StepError::failed(format!(
        "{app} is not gone after {} s",
        STOPPING.as_secs()
    )))
}

/// Whether an application answers as its check says.
pub(in crate::ops) struct Answer(Option<Box<dyn Step>>);

impl Answer {
    /// The check of an application's stack, when it has a domain and one.
    pub async fn of(app: &str, cx: &Context) -> Result<Self, StepError> {
        let variables = Default::default();
        let wanted = deploy::Wanted {
            stack: None,
            app,
            variables: &variables,
            switches: Default::default(),
            rotate: &[],
            images: &deploy::SAME_IMAGES,
            place: None,
        };
        let Ok(file) = deploy::app_file(&wanted, cx) else {
            return Ok(Self(None));
        };
        let rendered = deploy::rendered(&wanted, &file, cx).await;
        let rendered = rendered.map_err(StepError::failed)?;
        let step = deploy::answers(&rendered, cx).map_err(StepError::failed)?;
        Ok(Self(step))
    }

    /// Whether it answers now.
    pub async fn now(&self, cx: &Cx) -> bool {
        match &self.0 {
            Some(step) => matches!(step.check(cx).await, Ok(Check::Done(_))),
            None => false,
        }
    }

    /// Waits for the answer after a restore. What did not answer before is not taken back because
    /// it does not answer now: what was restored may be all there is.
    pub async fn after(&self, cx: &Cx, before: bool) -> Result<(), StepError> {
        let Some(step) = &self.0 else {
            return Ok(());
        };
        match step.apply(cx).await {
            Err(StepError::Failed(why)) if !before => {
                cx.out
                    .note(format!(
                        "{why}; it did not answer before either, so the restored data stays"
                    ))
                    .await;
                Ok(())
            }
            other => other,
        }
    }
}
