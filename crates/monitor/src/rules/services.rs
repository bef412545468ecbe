//! Services that lack tasks, or whose tasks fail again and again.

use jiff::Timestamp;
use matou_i18n::tr;

use super::{AlertKind, AlertSeverity, AlertTarget, Finding, Remedy};
use matou_model::{JobProgress, JobState, Service, Task, TaskState};

/// Tasks that failed within this time count as a loop, seconds.
const LOOP_WINDOW: i64 = 600;

/// How many failures of one place are a loop.
const LOOP: usize = 3;

/// How long tasks may be missing while a service is updated, seconds.
const UPDATE: i64 = 600;

/// Checks a service; `tasks` are those of its tasks that failed or have an error.
pub(super) fn add_service_findings(
    now: Timestamp,
    service: &Service,
    tasks: &[&Task],
    found: &mut Vec<Finding>,
) {
    if let Some(job) = &service.job {
        found.extend(find_job_problem(now, service, job, tasks));
        return;
    }
    let crashes = find_crash_loop(tasks, now);
    let missing = service.lacks_tasks();
    let base = |sort: &str, kind, severity, why: String, since| {
        service_finding(service, sort, kind, severity, (why, since))
    };
    let severity = match service.running {
        0 if missing => AlertSeverity::Critical,
        _ => AlertSeverity::Warning,
    };
    if let Some((times, last)) = crashes {
        let minutes = LOOP_WINDOW / 60;
        let why = tr!(
            "its tasks failed {times} times in {minutes} min: {}",
            last.failure_reason()
        );
        found.push(base("crashes", AlertKind::CrashLoop, severity, why, None));
        return;
    }
    let updating = service
        .update
        .as_ref()
        .is_some_and(|(state, _)| state.is_under_way())
        && service
            .updated_at
            .is_some_and(|t| now.as_second() - t.as_second() < UPDATE);
    if !missing || updating {
        return;
    }
    let ended = tasks.iter().filter(|t| !t.failure_reason().is_empty());
    let last = ended.max_by_key(|t| t.since);
    let error = last.map_or_else(String::new, |t| tr!(": {}", t.failure_reason()));
    let why = tr!("{} of {} tasks run{error}", service.running, service.wanted);
    let since = last.and_then(|t| t.since);
    found.push(base("tasks", AlertKind::Replicas, severity, why, since));
}

fn service_finding(
    service: &Service,
    sort: &str,
    kind: AlertKind,
    severity: AlertSeverity,
    (why, since): (String, Option<Timestamp>),
) -> Finding {
    Finding {
        key: format!("service/{}/{sort}", service.name),
        kind,
        severity,
        what: service.name.clone(),
        why,
        since,
        target: AlertTarget::Service(service.id.clone()),
        remedy: Remedy::Logs,
        near: false,
    }
}

/// Checks a job: one that is done, or under way, is well.
fn find_job_problem(
    now: Timestamp,
    service: &Service,
    job: &JobProgress,
    tasks: &[&Task],
) -> Option<Finding> {
    let find = |sort, kind, severity, why: String, since| {
        Some(service_finding(service, sort, kind, severity, (why, since)))
    };
    let critical = AlertSeverity::Critical;
    let told = job.failure.as_ref().and_then(|f| f.at);
    let of_run: Vec<&Task> = tasks
        .iter()
        .copied()
        .filter(|t| t.iteration == job.iteration)
        .collect();
    match job.state {
        JobState::Done => None,
        JobState::Failed => find("job", AlertKind::Job, critical, job.to_string(), told),
        JobState::Running | JobState::Waiting if job.failed > 0 => {
            find("job", AlertKind::Job, critical, job.to_string(), told)
        }
        JobState::Running | JobState::Waiting => {
            if find_crash_loop(&of_run, now).is_some() {
                return find(
                    "crashes",
                    AlertKind::CrashLoop,
                    critical,
                    job.to_string(),
                    None,
                );
            }
            let mut unplaced = of_run.iter().filter(|t| t.is_to_go_on() && !t.has_ended());
            let task = unplaced.find(|t| !t.error.is_empty())?;
            let why = format!("{job}: {}", task.error);
            find(
                "tasks",
                AlertKind::Replicas,
                AlertSeverity::Warning,
                why,
                task.since,
            )
        }
    }
}

/// Returns how many tasks failed of late, and the newest of them, if three failed in one slot (of a
/// global service: on one node).
fn find_crash_loop<'a>(tasks: &[&'a Task], now: Timestamp) -> Option<(usize, &'a Task)> {
    let failed: Vec<&Task> = tasks
        .iter()
        .copied()
        .filter(|t| t.has_failed() && t.state != TaskState::Orphaned)
        .filter(|t| {
            t.since
                .is_some_and(|s| now.as_second() - s.as_second() <= LOOP_WINDOW)
        })
        .collect();
    // Places are compared in pairs: there are few tasks.
    let same = |a: &Task, b: &Task| match (a.slot, b.slot) {
        (Some(a), Some(b)) => a == b,
        _ => a.node_id == b.node_id,
    };
    let worst = failed
        .iter()
        .map(|t| failed.iter().filter(|o| same(t, o)).count())
        .max()?;
    let newest = failed.iter().copied().max_by_key(|t| t.since)?;
    (worst >= LOOP).then_some((failed.len(), newest))
}
