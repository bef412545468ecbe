//! Waiting until the tasks of services run, and telling why they don't.

use matou_i18n::tr;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use jiff::Timestamp;

use matou_docker::Nodes;
use matou_host::Command;
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::{
    Availability, JobProgress, JobState, Service, ServiceMode, Swarm, Task, TaskState, UpdateState,
};

use crate::task_ends::TaskEnds;

/// How often the tasks are read while waiting.
const POLL: Duration = Duration::from_millis(700);

/// Tasks must run this long before the job believes them.
const STEADY_TIME: Duration = Duration::from_secs(2);

/// A service whose tasks failed this often will not come up by waiting. What it needs of its stack has to
/// run first: until then its failures do not count.
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

/// What it says then.
const REPLACEMENT_AWAITED: matou_i18n::Text =
    matou_i18n::both!("waiting for the engine to begin replacing its tasks");

/// A deploy waits this long for jobs of its stack that run: an import may take hours.
const JOB_WAIT_OF_STACK: Duration = Duration::from_secs(120);

/// Who restarts a job, or scales it, waits this long.
const JOB_WAIT: Duration = Duration::from_secs(480);

/// How many of the last lines of a failed job's log are told.
const JOB_LOG_LINES: usize = 5;

/// Which services a job waits for.
#[derive(Debug, Clone)]
pub(super) enum AwaitedServices {
    Stack(String),
    Service(String),
    /// A service that is taken back on purpose: that it was rolled back is no failure.
    RolledBack(String),
}

impl AwaitedServices {
    /// How long jobs among them are waited for while their tasks run. They run on after it.
    fn job_wait(&self) -> Duration {
        match self {
            Self::Stack(_) => JOB_WAIT_OF_STACK,
            Self::Service(_) | Self::RolledBack(_) => JOB_WAIT,
        }
    }

    pub(super) fn find_services<'a>(&self, swarm: &'a Swarm) -> Vec<&'a Service> {
        let matching = |is_awaited: &dyn Fn(&Service) -> bool| -> Vec<&'a Service> {
            let services = swarm.services.iter();
            services.filter(|s| is_awaited(s)).collect()
        };
        match self {
            Self::Stack(stack) => {
                let found = matching(&|s| s.stack.as_ref() == Some(stack));
                match found.is_empty() {
                    // One that was adopted as it was made, without a stack.
                    true => matching(&|s| s.stack.is_none() && s.name == *stack),
                    false => found,
                }
            }
            Self::Service(name) | Self::RolledBack(name) => {
                matching(&|s| s.name == *name || s.id == *name)
            }
        }
    }
}

/// Waits until every task of the services runs.
pub(super) struct WaitForTasks {
    pub awaited: AwaitedServices,
    /// How long they may take.
    pub patience: Duration,
    /// Whose engines are asked why tasks failed; `None` where nobody is.
    pub nodes: Option<Nodes>,
}

impl WaitForTasks {
    /// Compares it with one reading of the swarm. Jobs that have run for `job_wait` may go on.
    fn check_swarm(&self, swarm: &Swarm, now: Timestamp, job_wait: Duration) -> Check {
        let services = self.awaited.find_services(swarm);
        if services.is_empty() {
            return Check::Unknown(tr!("the services are not there yet").into());
        }
        let is_settled = |s: &Service| {
            let runs_on = |job: &JobProgress| {
                let ran = job.began.map_or(0, |t| now.as_second() - t.as_second());
                let ran = Duration::from_secs(u64::try_from(ran).unwrap_or(0));
                is_job_under_way(job) && ran >= job_wait
            };
            is_service_up(s, swarm) || s.job.as_ref().is_some_and(runs_on)
        };
        let lines = |done: bool| {
            services
                .iter()
                .filter(|s| is_settled(s) == done)
                .map(|s| match (done, &s.job) {
                    (true, Some(job)) if job.goes_on() => {
                        Change::same(tr!("job {}: it runs on", s.name))
                    }
                    (true, Some(job)) => Change::same(format!("{}: {job}", s.name)),
                    (false, Some(job)) => Change::modify(
                        tr!("job {}", s.name),
                        job.format_for_plan(),
                        tr!("{0} of {0} done", job.total),
                    ),
                    (true, None) => Change::same(tr!("{}: {} running", s.name, s.running)),
                    (false, None) => Change::modify(
                        tr!("{} tasks running", s.name),
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
        tr!("tasks").into()
    }

    fn timeout(&self) -> Duration {
        self.patience
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let (swarm, limit) = (cx.query_swarm().await?, self.awaited.job_wait());
        Ok(self.check_swarm(&swarm, Timestamp::now(), limit))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        Ok(wait_for_tasks(self, cx).await?)
    }

    /// Jobs that run may go on: they were waited for.
    async fn verify(&self, cx: &StepContext) -> Result<(), StepError> {
        let swarm = cx.query_swarm().await?;
        match self.check_swarm(&swarm, Timestamp::now(), Duration::ZERO) {
            Check::Done(_) => Ok(()),
            Check::Unknown(why) => Err(StepError::failed(why)),
            Check::Change(left) => {
                let left: Vec<String> = left.iter().map(Change::to_string).collect();
                let left = left.join("; ");
                Err(StepError::failed(tr!(
                    "not as it should be afterwards: {left}"
                )))
            }
        }
    }
}

/// Why tasks do not run.
pub(super) enum WaitFailure {
    /// The engine took the service back to what it was before, and says why.
    RolledBack(StepError),
    Other(StepError),
}

impl From<StepError> for WaitFailure {
    fn from(error: StepError) -> Self {
        Self::Other(error)
    }
}

impl From<WaitFailure> for StepError {
    fn from(failure: WaitFailure) -> Self {
        match failure {
            WaitFailure::RolledBack(error) | WaitFailure::Other(error) => error,
        }
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

/// Whether a job has begun, and comes to its end without more of a wait.
fn is_job_under_way(job: &JobProgress) -> bool {
    job.goes_on() && job.failed == 0 && job.running + job.done > 0
}

/// Counts what a service has of what it should have: tasks that run, or of a job those that are done.
fn count_progress(service: &Service, swarm: &Swarm) -> (u64, u64) {
    match &service.job {
        Some(job) => (job.done, job.total),
        None => {
            let running = count_current_tasks(service, swarm);
            (running.min(service.wanted), service.wanted)
        }
    }
}

/// Whether as many tasks run as are wanted, and no update is under way or about to begin. A job is up
/// when it is done.
fn is_service_up(service: &Service, swarm: &Swarm) -> bool {
    if let Some(job) = &service.job {
        return job.state == JobState::Done;
    }
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
pub(super) async fn wait_for_tasks(
    step: &WaitForTasks,
    cx: &StepContext,
) -> Result<(), WaitFailure> {
    let whose = &step.awaited;
    let mut ends = TaskEnds::new(step.nodes.clone());
    let mut excused: Option<HashSet<String>> = None;
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
            let ended = swarm.tasks.iter().filter(|t| t.has_failed());
            ended.map(|t| t.id.clone()).collect()
        });
        let excused = excused.get_or_insert_with(|| old.clone());
        let (running, wanted) = sum_progress(&services, &swarm);
        for service in &services {
            let is_quiet = begun.elapsed() > QUIET_WAIT;
            report_service_state(service, &swarm, old, is_quiet, &mut told, cx).await;
            let failed = list_failed_tasks(service, &swarm, old);
            ends.ask(&failed, &swarm, cx).await;
            if !matches!(whose, AwaitedServices::RolledBack(_))
                && let Some(failed) = describe_refused_update(service, &swarm, old, &ends)
                && rolled_back.is_none()
            {
                let note = match is_update_stopped(&services) || is_service_up(service, &swarm) {
                    true => failed.clone(),
                    false => tr!("{failed}; waiting until its tasks run again"),
                };
                cx.out.note(note).await;
                rolled_back = Some((Instant::now(), failed));
            }
            if let Some(needed) = excuse_failures(service, &swarm, old, excused) {
                let what = tr!("it has failed; that does not count before {needed} runs");
                note_once(&mut told, &service.name, &what, cx).await;
            }
            if rolled_back.is_none() {
                let hope = fail_if_hopeless(service, &swarm, excused, begun.elapsed(), &ends);
                tell_why_hopeless(service, hope, cx).await?;
            }
        }
        cx.out
            .send_progress(running, wanted.max(1), tr!("tasks"))
            .await;
        if let Some((since, failed)) = &rolled_back
            && let Some(failure) =
                end_of_rollback(&services, &swarm, *since, failed, (running, wanted))
        {
            return Err(failure);
        }
        let mut pause = POLL;
        let long_jobs = begun.elapsed() >= whose.job_wait();
        let is_settled = |s: &&Service| is_service_settled(s, &swarm, long_jobs);
        if services.iter().all(is_settled) && !services.is_empty() {
            let since = *steady.get_or_insert_with(Instant::now);
            match STEADY_TIME.checked_sub(since.elapsed()) {
                None | Some(Duration::ZERO) => {
                    tell_jobs_that_run_on(&services, cx).await;
                    return Ok(());
                }
                Some(left) => pause = pause.min(left),
            }
        } else {
            steady = None;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = cx.cancel.cancelled() => return Err(StepError::Cancelled.into()),
        }
    }
}

/// Whether a service is up, or is a job that runs on where `long_jobs` were waited for long enough.
fn is_service_settled(service: &Service, swarm: &Swarm, long_jobs: bool) -> bool {
    let runs_on = || service.job.as_ref().is_some_and(is_job_under_way);
    is_service_up(service, swarm) || (long_jobs && runs_on())
}

/// Tells what the log of a job says that does not come to a good end.
async fn tell_why_hopeless(
    service: &Service,
    hope: Result<(), StepError>,
    cx: &StepContext,
) -> Result<(), StepError> {
    if hope.is_err() {
        tell_end_of_job_log(service, cx).await;
    }
    hope
}

/// Counts what services have of what they should have, as [`count_progress`].
fn sum_progress(services: &[&Service], swarm: &Swarm) -> (u64, u64) {
    let counts = services.iter().map(|s| count_progress(s, swarm));
    counts.fold((0, 0), |(a, b), (has, wants)| (a + has, b + wants))
}

/// Says which jobs were not waited for to their end.
async fn tell_jobs_that_run_on(services: &[&Service], cx: &StepContext) {
    for service in services {
        if let Some(job) = service.job.as_ref().filter(|job| job.goes_on()) {
            let name = &service.name;
            let line = tr!("{name}: {job}; it runs on, `matou status` says how far it is");
            cx.out.note(line).await;
        }
    }
}

/// Says how the log of a job's failed task ends. A log that can't be read is left out.
async fn tell_end_of_job_log(service: &Service, cx: &StepContext) {
    let failure = service.job.as_ref().and_then(|job| job.failure.as_ref());
    let Some(failure) = failure else {
        return;
    };
    let logs = Command::new("docker")
        .args(["service", "logs", "--raw", "--tail"])
        .arg(JOB_LOG_LINES.to_string())
        .arg("--")
        .arg(&failure.task_id)
        .sudo()
        .timeout(Duration::from_secs(20))
        .label(tr!("what its log says"));
    let Ok(out) = cx.host.run(&logs).await else {
        return;
    };
    let text = [out.stdout, out.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    for line in &lines[lines.len().saturating_sub(JOB_LOG_LINES)..] {
        cx.out.note(tr!("log of {}: {line}", service.name)).await;
    }
}

/// Says something of a service, once.
async fn note_once(
    told: &mut HashMap<String, String>,
    service: &str,
    what: &str,
    cx: &StepContext,
) {
    let line = format!("{service}: {what}");
    if told.insert(line.clone(), String::new()).is_none() {
        cx.out.note(line).await;
    }
}

/// Returns why an update that the engine takes back has failed, once that is through, or is waited for no
/// longer; `None` while it goes on.
fn end_of_rollback(
    services: &[&Service],
    swarm: &Swarm,
    since: Instant,
    failed: &str,
    (running, wanted): (u64, u64),
) -> Option<WaitFailure> {
    let left = services.iter().filter(|s| !is_service_up(s, swarm)).count();
    if left > 0 && !is_update_stopped(services) && since.elapsed() <= ROLLBACK_WAIT {
        return None;
    }
    let why = StepError::failed(match left {
        0 => failed.to_owned(),
        _ => tr!("{failed}; {running} of {wanted} tasks run"),
    });
    let is_paused = |s: &&&Service| matches!(&s.update, Some((UpdateState::Paused, _)));
    Some(match services.iter().find(is_paused) {
        Some(_) => WaitFailure::Other(why),
        None => WaitFailure::RolledBack(why),
    })
}

/// Lists the tasks of a service that have failed, but for those in `known`.
/// Returns the tasks of a service that failed and are not `known`, the newest last.
fn list_failed_tasks<'a>(
    service: &Service,
    swarm: &'a Swarm,
    known: &HashSet<String>,
) -> Vec<&'a Task> {
    let tasks = swarm.tasks.iter();
    let mut failed: Vec<&Task> = tasks
        .filter(|t| t.service_id == service.id && t.has_failed() && !known.contains(&t.id))
        .collect();
    failed.sort_by_key(|t| t.since);
    failed
}

/// Excuses what failed of a service while another one of its stack comes up, as databases do: until
/// that one is healthy, its name does not even resolve. Returns the other's name when there was
/// something to excuse. A service that has failed often itself excuses no other, and a database waits for none: what
/// waits for it comes up for as long as it fails.
fn excuse_failures<'a>(
    service: &Service,
    swarm: &'a Swarm,
    old: &HashSet<String>,
    excused: &mut HashSet<String>,
) -> Option<&'a str> {
    let is_rising = |other: &&Service| {
        other.stack.is_some()
            && other.stack == service.stack
            && other.id != service.id
            && other.wanted > 0
            && !other.mode.is_job()
            && !is_service_up(other, swarm)
            && list_failed_tasks(other, swarm, old).len() < MAX_FAILURES
    };
    if matou_stack::is_database_image(&service.image) {
        return None;
    }
    let other = swarm.services.iter().find(is_rising)?;
    let failed = list_failed_tasks(service, swarm, excused);
    let any = !failed.is_empty();
    excused.extend(failed.into_iter().map(|t| t.id.clone()));
    any.then_some(other.name.as_str())
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
        .map_or_else(String::new, |n| tr!(" on {}", n.hostname))
}

/// Reports each state that a task of the service reaches, once; where nothing was heard for a while, that
/// the engine has not begun yet.
async fn report_service_state(
    service: &Service,
    swarm: &Swarm,
    old: &HashSet<String>,
    is_quiet: bool,
    told: &mut HashMap<String, String>,
    cx: &StepContext,
) {
    if is_quiet && tasks_to_be_replaced(service, swarm).next().is_some() {
        note_once(told, &service.name, REPLACEMENT_AWAITED.get(), cx).await;
    }
    report_task_states(service, swarm, old, told, cx).await;
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
    // Tasks of earlier runs of a job stay as they ended.
    let run = service.job.as_ref().map(|job| job.iteration);
    let tasks = tasks.filter(|t| run.is_none_or(|run| t.iteration == run));
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
            .note(format!("{name} {}{place}{reason}", task.state.word()))
            .await;
    }
}

/// Returns what the engine says of an update that it did not carry out.
fn describe_refused_update(
    service: &Service,
    swarm: &Swarm,
    old: &HashSet<String>,
    ends: &TaskEnds,
) -> Option<String> {
    let (state, message) = service.update.as_ref()?;
    let what = match state {
        UpdateState::Paused => tr!("stopped the update of"),
        state if state.is_rollback() => tr!("rolled back"),
        _ => return None,
    };
    Some(tr!(
        "the engine {what} {}: {message}{}",
        service.name,
        newest_task_error(service, swarm, old, ends)
            .map_or_else(String::new, |e| format!(" ({e})"))
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
    ends: &TaskEnds,
) -> Result<(), StepError> {
    if let Some(job) = &service.job
        && let Some(why) = describe_failed_job(service, job, swarm, old)
    {
        return Err(StepError::failed(why));
    }
    let failed = list_failed_tasks(service, swarm, old).len();
    if failed >= MAX_FAILURES && service.lacks_tasks() {
        let error = newest_task_error(service, swarm, old, ends).unwrap_or_default();
        let name = &service.name;
        let id = std::slice::from_ref(&service.id);
        let next = match swarm.explain_no_container(id, Timestamp::now()) {
            None => tr!("its log may say more (`matou logs {name}`)"),
            // What never had a container has no log.
            Some(_) => {
                let app = service.stack.as_ref().unwrap_or(name);
                tr!(
                    "no container of it started, and the swarm goes on trying: mend the cause and `matou redeploy {app}`, or take it away with `matou remove {app}`"
                )
            }
        };
        return Err(StepError::failed(tr!(
            "{name} does not come up, {failed} tasks failed: {error}; {next}"
        )));
    }
    if waited > REPLACEMENT_WAIT
        && let Some(task) = tasks_to_be_replaced(service, swarm).next()
    {
        let node = swarm.nodes.iter().find(|n| n.id == task.node_id);
        let why = match node.filter(|n| n.availability == Availability::Pause) {
            Some(node) => tr!(
                "{0} is paused, which leaves its tasks as they are: `matou activate {0}`, and run this again",
                node.hostname
            ),
            None => tr!("its managers may have no leader, see `matou status`; run this again")
                .to_owned(),
        };
        return Err(StepError::failed(tr!(
            "the engine does not replace {}{}, which runs as it was before the change: {why}",
            task_name(service, task),
            describe_task_node(task, swarm)
        )));
    }
    let unplaced = swarm.tasks.iter().find(|t| {
        t.service_id == service.id
            && t.is_to_go_on()
            && t.state == TaskState::Pending
            && !t.error.is_empty()
    });
    match unplaced {
        Some(task) if waited > UNPLACED_WAIT => Err(StepError::failed(tr!(
            "{} can't be placed on any node: {}",
            task_name(service, task),
            task.error
        ))),
        None if waited > UNPLACED_WAIT && fits_no_node(service) => Err(StepError::failed(tr!(
            "{} runs on every node that fits, and none does: look at its placement constraints and platforms, at the nodes' labels (`matou status`), and whether nodes are drained",
            service.name
        ))),
        _ => Ok(()),
    }
}

/// Whether a service that is to run on every node that fits has no task at all: the engine makes none
/// where no node does.
fn fits_no_node(service: &Service) -> bool {
    match (service.mode, &service.job) {
        (ServiceMode::Global, _) => service.wanted == 0,
        (ServiceMode::GlobalJob, Some(job)) => job.total == 0,
        _ => false,
    }
}

/// Returns why a job does not come to a good end by waiting, if that is so: it ended, or a task of it
/// failed again and again.
fn describe_failed_job(
    service: &Service,
    job: &JobProgress,
    swarm: &Swarm,
    known: &HashSet<String>,
) -> Option<String> {
    let name = &service.name;
    let failure = job.failure.as_ref()?;
    let node = swarm.nodes.iter().find(|n| n.id == failure.node_id);
    let place = node.map_or_else(String::new, |n| tr!(" on {}", n.hostname));
    if job.state == JobState::Failed {
        return Some(tr!(
            "the job {name} failed{place}: {job}; `matou logs {name}` says more, `matou restart {name}` runs it again"
        ));
    }
    let failed = list_failed_tasks(service, swarm, known);
    let of_place = |t: &Task| match t.slot {
        Some(slot) => (Some(slot), String::new()),
        None => (None, t.node_id.clone()),
    };
    let often = |t: &&Task| failed.iter().filter(|o| of_place(o) == of_place(t)).count();
    let worst = failed.iter().map(often).max()?;
    (job.goes_on() && worst >= MAX_FAILURES).then(|| {
        tr!(
            "the job {name} fails again and again{place}: {job}; `matou logs {name}` says more, `matou scale {name} 0` ends a replicated one"
        )
    })
}

fn newest_task_error(
    service: &Service,
    swarm: &Swarm,
    old: &HashSet<String>,
    ends: &TaskEnds,
) -> Option<String> {
    let failed = list_failed_tasks(service, swarm, old);
    // The newest one may not have been asked for.
    let why = failed.iter().rev().find_map(|t| ends.find(t));
    let newest = failed.last()?;
    let name = task_name(service, newest);
    let place = describe_task_node(newest, swarm);
    Some(match why {
        // What the swarm calls complete is told by why alone.
        Some(why) if newest.error.is_empty() => format!("{name}{place}: {why}"),
        Some(why) => format!("{name}{place}: {}: {why}", newest.error),
        None => format!("{name}{place}: {}", newest.failure_reason()),
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
            nodes: None,
        };
        let now = Timestamp::from_second(1_000).unwrap();
        changes(Ok(step.check_swarm(swarm, now, step.awaited.job_wait())))
    }

    fn hopeless(swarm: &Swarm, waited: u64) -> Option<String> {
        let waited = Duration::from_secs(waited);
        let judged = fail_if_hopeless(
            &swarm.services[0],
            swarm,
            &HashSet::new(),
            waited,
            &TaskEnds::new(None),
        );
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
        // The engine has looked, and made no task.
        assert_eq!(hopeless(&swarm, 10), None);
        assert!(hopeless(&swarm, 30).unwrap().contains("none does"));
        swarm.services[0].mode = ServiceMode::GlobalJob;
        let nothing = JobProgress::count(ServiceMode::GlobalJob, None, None, [].into_iter());
        swarm.services[0].take_job_progress(nothing);
        assert!(hopeless(&swarm, 30).unwrap().contains("none does"));
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
        let judged = fail_if_hopeless(
            &swarm.services[0],
            &swarm,
            &old,
            Duration::ZERO,
            &TaskEnds::new(None),
        );
        assert!(judged.is_ok());
    }

    /// `blog_once`, a job of two tasks that began 100 s ago.
    fn job(tasks: [Task; 2]) -> Swarm {
        let mut swarm = blog();
        let mut once = service("blog_once", 0, 0);
        once.mode = ServiceMode::ReplicatedJob(2);
        let began = Timestamp::from_second(900).ok();
        let progress = JobProgress::count(once.mode, None, began, tasks.iter());
        once.take_job_progress(progress);
        swarm.services = vec![once];
        swarm.tasks = tasks.into();
        swarm
    }

    fn job_task(slot: u64, state: TaskState, desired: TaskState) -> Task {
        Task {
            id: format!("{slot}-{state}"),
            desired,
            exit_code: (state == TaskState::Failed).then_some(3),
            ..task("blog_once", slot, "n1", state)
        }
    }

    #[test]
    fn a_job_is_waited_for_until_it_is_done_and_not_for_ever() {
        use TaskState::{Complete, Failed, Running, Shutdown};
        let done = |slot| job_task(slot, Complete, Complete);
        assert_eq!(
            waiting(&job([done(0), done(1)])),
            ["= blog_once: 2 of 2 done"]
        );
        let mut swarm = job([done(0), job_task(1, Running, Complete)]);
        assert_eq!(
            waiting(&swarm),
            ["~ job blog_once: under way → 2 of 2 done"]
        );
        assert_eq!(hopeless(&swarm, 1000), None);
        let job_of = |swarm: &mut Swarm| swarm.services[0].job.take().unwrap();
        let mut long = job_of(&mut swarm);
        long.began = Timestamp::from_second(880).ok();
        swarm.services[0].job = Some(long);
        assert_eq!(waiting(&swarm), ["= job blog_once: it runs on"]);
        let swarm = job([done(0), job_task(1, Failed, Shutdown)]);
        assert_eq!(
            hopeless(&swarm, 0).unwrap(),
            "the job blog_once failed on n1: 1 of 2 done, failed with exit code 3; `matou logs blog_once` says more, `matou restart blog_once` runs it again"
        );
    }

    #[test]
    fn a_job_that_is_tried_again_fails_after_three_failures_of_one_place() {
        use TaskState::{Complete, Failed, Running, Shutdown};
        let mut swarm = job([
            job_task(0, Running, Complete),
            job_task(1, Failed, Shutdown),
        ]);
        let failed = |n: u64, slot| Task {
            id: format!("f{n}"),
            ..job_task(slot, Failed, Shutdown)
        };
        swarm
            .tasks
            .extend([failed(1, 1), failed(2, 0), failed(3, 2)]);
        let mut retried = swarm.services[0].job.take().unwrap();
        retried.failed = 0;
        swarm.services[0].job = Some(retried);
        assert_eq!(hopeless(&swarm, 1000), None);
        swarm.tasks.push(failed(4, 1));
        let said = hopeless(&swarm, 1).unwrap();
        assert!(said.contains("fails again and again on n1"), "{said}");
    }

    #[test]
    fn failures_do_not_count_before_the_database_runs() {
        let mut swarm = blog();
        swarm.services.push(Service {
            running: 0,
            ..service("blog_db", 1, 0)
        });
        swarm.services[0].running = 0;
        let failed = |of: &str, slot| Task {
            desired: TaskState::Shutdown,
            ..task(of, slot, "n1", TaskState::Failed)
        };
        let (old, mut excused) = (HashSet::new(), HashSet::new());
        let mut judge = |swarm: &Swarm| {
            let needed = excuse_failures(&swarm.services[0], swarm, &old, &mut excused);
            let judged = fail_if_hopeless(
                &swarm.services[0],
                swarm,
                &excused,
                Duration::ZERO,
                &TaskEnds::new(None),
            );
            (needed.map(str::to_owned), judged.is_ok())
        };
        swarm.tasks = (1..=5).map(|n| failed("blog_web", n)).collect();
        assert_eq!(judge(&swarm), (Some("blog_db".to_owned()), true));
        // It is told once, and what was excused stays so when the database runs.
        assert_eq!(judge(&swarm), (None, true));
        swarm.services[1].running = 1;
        swarm
            .tasks
            .push(task("blog_db", 1, "n1", TaskState::Running));
        assert_eq!(judge(&swarm), (None, true));
        swarm.tasks.extend((6..=8).map(|n| failed("blog_web", n)));
        assert_eq!(judge(&swarm), (None, false));
        // A database that fails itself excuses nothing.
        swarm.services[1].running = 0;
        swarm.tasks.pop();
        swarm.tasks.extend((1..=3).map(|n| failed("blog_db", n)));
        swarm.tasks.push(failed("blog_web", 9));
        assert_eq!(judge(&swarm), (None, false));
    }

    /// What waits for a database is no reason to go on waiting while the database fails.
    #[test]
    fn a_database_that_fails_is_told_while_others_wait_for_it() {
        let mut swarm = blog();
        swarm.services.push(Service {
            image: "docker.io/library/postgres:17.2-alpine".into(),
            running: 0,
            ..service("blog_db", 1, 0)
        });
        swarm.services[0].running = 0;
        swarm.tasks = (1..=3)
            .map(|slot| Task {
                desired: TaskState::Shutdown,
                ..task("blog_db", slot, "n1", TaskState::Failed)
            })
            .collect();
        let (old, mut excused) = (HashSet::new(), HashSet::new());
        let needed = excuse_failures(&swarm.services[1], &swarm, &old, &mut excused);
        assert_eq!(needed, None);
        assert!(
            fail_if_hopeless(
                &swarm.services[1],
                &swarm,
                &excused,
                Duration::ZERO,
                &TaskEnds::new(None)
            )
            .is_err()
        );
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
