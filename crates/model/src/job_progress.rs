//! How far a job of the swarm is: a service whose tasks end by themselves (`replicated-job`,
//! `global-job`).

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::{ServiceMode, Task, TaskState};

/// What has become of the last run of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// No task of it runs yet, or none at the moment.
    #[default]
    Waiting,
    /// Tasks of it run.
    Running,
    /// As many tasks ended well as are wanted.
    Done,
    /// Tasks failed, and the engine starts no other in their place.
    Failed,
}

/// The newest failure of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobFailure {
    /// The task that failed.
    pub task_id: String,
    /// Swarm node id; empty when it was never placed.
    pub node_id: String,
    /// With which its container ended; `None` when it never started one.
    pub exit_code: Option<i64>,
    /// The engine's own words.
    pub error: String,
    /// `None` when the engine does not say.
    pub at: Option<Timestamp>,
}

impl fmt::Display for JobFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exit_code {
            Some(code) if code != 0 => write!(f, "{}", tr!("exit code {code}")),
            _ => f.write_str(&self.error),
        }
    }
}

/// How far the last run of a job is. A job runs once more with each change of its service; only tasks of
/// the last run count (`Service.JobStatus.JobIteration` of the engine's API).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct JobProgress {
    /// What has become of it.
    pub state: JobState,
    /// Completions wanted; of a global job: nodes that have a task of it.
    pub total: u64,
    /// Tasks that ended well.
    pub done: u64,
    /// Tasks that run now.
    pub running: u64,
    /// Tasks that are to run and do not yet.
    pub waiting: u64,
    /// Tasks that failed, and in whose place no other was started.
    pub failed: u64,
    /// How many tasks failed in all, those included in whose place another one was started.
    pub failures: u64,
    /// The newest of them.
    pub failure: Option<JobFailure>,
    /// Number of the run; `None` when the engine does not say.
    pub iteration: Option<u64>,
    /// When the run began; `None` when the engine does not say.
    pub began: Option<Timestamp>,
}

/// What has become of one place of a job: of a slot, or of a node of a global one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum JobPlace {
    Failed,
    Waiting,
    Running,
    Done,
}

impl JobPlace {
    /// What a task says of its place; `None` when it says nothing: it was taken away.
    fn of_task(task: &Task) -> Option<Self> {
        match task.state {
            TaskState::Complete => Some(Self::Done),
            // Until the engine decides whether it starts another one in its place.
            _ if task.has_failed() && task.is_to_go_on() => Some(Self::Waiting),
            _ if task.has_failed() => Some(Self::Failed),
            TaskState::Running if task.is_to_go_on() => Some(Self::Running),
            TaskState::Running | TaskState::Shutdown | TaskState::Remove => None,
            _ if task.is_to_go_on() || task.desired == TaskState::Ready => Some(Self::Waiting),
            _ => None,
        }
    }
}

impl JobProgress {
    /// Counts the tasks of a job's last run. `tasks` are those of its service, also of earlier runs.
    /// Returns `None` for a service that is no job.
    pub fn count<'a>(
        mode: ServiceMode,
        iteration: Option<u64>,
        began: Option<Timestamp>,
        tasks: impl Iterator<Item = &'a Task>,
    ) -> Option<Self> {
        let wanted = match mode {
            ServiceMode::ReplicatedJob(wanted) => Some(wanted),
            ServiceMode::GlobalJob => None,
            ServiceMode::Replicated(_) | ServiceMode::Global => return None,
        };
        let mut places: BTreeMap<(Option<u64>, &str), JobPlace> = BTreeMap::new();
        let mut failed: Vec<&Task> = Vec::new();
        for task in tasks.filter(|t| t.iteration == iteration) {
            if task.has_failed() {
                failed.push(task);
            }
            if let Some(now) = JobPlace::of_task(task) {
                // A task that was never placed has no node yet, and may be one of several.
                let node = match task.slot {
                    Some(_) => "",
                    None if task.node_id.is_empty() => &task.id,
                    None => &task.node_id,
                };
                let best = places.entry((task.slot, node)).or_insert(now);
                *best = now.max(*best);
            }
        }
        let count = |what| places.values().filter(|p| **p == what).count() as u64;
        let (done, running) = (count(JobPlace::Done), count(JobPlace::Running));
        let (waiting, failed_places) = (count(JobPlace::Waiting), count(JobPlace::Failed));
        let total = wanted.unwrap_or(places.len() as u64);
        let state = match (running, waiting) {
            // A global job without a task has no node yet.
            _ if done >= total && (wanted.is_some() || total > 0) => JobState::Done,
            (1.., _) => JobState::Running,
            (0, 1..) => JobState::Waiting,
            (0, 0) if failed_places > 0 => JobState::Failed,
            (0, 0) => JobState::Waiting,
        };
        let newest = failed.iter().max_by_key(|t| t.since);
        Some(Self {
            state,
            total,
            done,
            running,
            waiting,
            failed: failed_places,
            failures: failed.len() as u64,
            failure: newest.map(|t| JobFailure {
                task_id: t.id.clone(),
                node_id: t.node_id.clone(),
                exit_code: t.exit_code,
                error: t.failure_reason().to_owned(),
                at: t.since,
            }),
            iteration,
            began,
        })
    }

    /// Whether it comes to an end by itself, and has not yet.
    pub fn goes_on(&self) -> bool {
        matches!(self.state, JobState::Running | JobState::Waiting)
    }

    /// Returns it for a plan: what changes from one second to the next is left out, because a plan that
    /// is another one when it is carried out is refused.
    pub fn format_for_plan(&self) -> String {
        match self.goes_on() {
            true => tr!("under way").to_owned(),
            false => self.to_string(),
        }
    }

    /// Returns it in a few characters: `3/3 done`, `1/3 failed`.
    pub fn format_short(&self) -> String {
        let failed = self.state == JobState::Failed;
        crate::fleet::format_done(self.done, self.total, failed)
    }
}

impl fmt::Display for JobProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", tr!("{} of {} done", self.done, self.total))?;
        match self.state {
            JobState::Done => return Ok(()),
            JobState::Running => write!(f, "{}", tr!(", {} running", self.running))?,
            JobState::Waiting => f.write_str(tr!(", none running yet"))?,
            JobState::Failed => {}
        }
        let Some(failure) = &self.failure else {
            return Ok(());
        };
        match (self.failed, self.failures) {
            (1.., _) if self.state == JobState::Failed => {
                write!(f, "{}", tr!(", failed with {failure}"))
            }
            (n @ 1.., _) => write!(f, "{}", tr!(", {n} failed, the last with {failure}")),
            (_, 1) => write!(
                f,
                "{}",
                tr!(", failed once with {failure} and is tried again")
            ),
            (_, n) => write!(
                f,
                "{}",
                tr!(", failed {n} times, last with {failure}, and is tried again")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(slot: u64, state: TaskState, desired: TaskState) -> Task {
        Task {
            id: format!("t{slot}-{state}-{desired}"),
            service_id: "s".into(),
            slot: Some(slot),
            node_id: "n1".into(),
            state,
            desired,
            message: String::new(),
            error: String::new(),
            container_id: None,
            exit_code: None,
            ended_unasked: false,
            iteration: Some(2),
            image: "x:1".into(),
            outdated: false,
            since: None,
        }
    }

    fn failed(slot: u64, at: i64, desired: TaskState) -> Task {
        Task {
            id: format!("t{slot}-{at}"),
            exit_code: Some(3),
            error: "task: non-zero exit (3)".into(),
            since: Timestamp::from_second(at).ok(),
            ..task(slot, TaskState::Failed, desired)
        }
    }

    fn count(mode: ServiceMode, tasks: &[Task]) -> JobProgress {
        JobProgress::count(mode, Some(2), None, tasks.iter()).expect("a job")
    }

    fn of_three(tasks: &[Task]) -> (JobState, String) {
        let progress = count(ServiceMode::ReplicatedJob(3), tasks);
        (progress.state, progress.to_string())
    }

    #[test]
    fn only_tasks_of_the_last_run_count() {
        use TaskState::{Complete, Pending, Ready, Running};
        let done = |slot| task(slot, Complete, Complete);
        let earlier = |task| Task {
            iteration: Some(1),
            ..task
        };
        let mut tasks: Vec<Task> = (0..3).map(|n| earlier(done(n))).collect();
        tasks.push(earlier(failed(1, 5, TaskState::Shutdown)));
        let waits = (
            JobState::Waiting,
            "0 of 3 done, none running yet".to_owned(),
        );
        assert_eq!(of_three(&tasks), waits);
        tasks.push(task(0, Pending, Complete));
        assert_eq!(of_three(&tasks), waits);
        tasks.extend([task(1, Running, Complete), done(2)]);
        assert_eq!(
            of_three(&tasks),
            (JobState::Running, "1 of 3 done, 1 running".to_owned())
        );
        // A task of the run before, or one that is taken away, does not run for this one.
        let taken = task(1, Running, TaskState::Remove);
        assert_eq!(of_three(&[taken]), waits);
        assert_eq!(of_three(&[task(1, Ready, Ready)]), waits);
        let all: Vec<Task> = (0..3).map(done).collect();
        assert_eq!(of_three(&all), (JobState::Done, "3 of 3 done".to_owned()));
        assert_eq!(
            count(ServiceMode::ReplicatedJob(3), &all).format_short(),
            "3/3 done"
        );
    }

    #[test]
    fn a_failure_is_told_with_its_exit_code_and_whether_it_is_tried_again() {
        use TaskState::{Complete, Ready, Running, Shutdown};
        let end = [
            task(0, Complete, Complete),
            failed(1, 10, Shutdown),
            task(2, Complete, Complete),
        ];
        assert_eq!(
            of_three(&end),
            (
                JobState::Failed,
                "2 of 3 done, failed with exit code 3".to_owned()
            )
        );
        assert_eq!(
            count(ServiceMode::ReplicatedJob(3), &end).format_short(),
            "2/3 failed"
        );
        // The engine has not decided yet.
        assert_eq!(of_three(&[failed(1, 10, Complete)]).0, JobState::Waiting);
        let again = [failed(1, 10, Shutdown), task(1, Ready, Ready)];
        assert_eq!(
            of_three(&again),
            (
                JobState::Waiting,
                "0 of 3 done, none running yet, failed once with exit code 3 and is tried again"
                    .to_owned()
            )
        );
        let twice = [
            failed(1, 10, Shutdown),
            failed(1, 20, Shutdown),
            task(1, Running, Complete),
        ];
        assert_eq!(
            of_three(&twice).1,
            "0 of 3 done, 1 running, failed 2 times, last with exit code 3, and is tried again"
        );
        // What failed and came right in the end is done.
        let mended = [failed(0, 10, Shutdown), task(0, Complete, Complete)];
        let progress = count(ServiceMode::ReplicatedJob(1), &mended);
        assert_eq!((progress.state, progress.failures), (JobState::Done, 1));
        assert_eq!(progress.to_string(), "1 of 1 done");
        // Without a container the engine's words are all there is.
        let rejected = Task {
            exit_code: None,
            error: "No such image: x:1".into(),
            ..task(0, TaskState::Rejected, Shutdown)
        };
        let progress = count(ServiceMode::ReplicatedJob(1), &[rejected]);
        assert_eq!(
            progress.to_string(),
            "0 of 1 done, failed with No such image: x:1"
        );
    }

    #[test]
    fn a_global_job_wants_as_many_as_it_has_nodes() {
        use TaskState::{Complete, Running, Shutdown};
        let on = |node: &str, task: Task| Task {
            slot: None,
            node_id: node.into(),
            ..task
        };
        let progress = |tasks: &[Task]| count(ServiceMode::GlobalJob, tasks);
        assert_eq!(progress(&[]).state, JobState::Waiting);
        let mut tasks = vec![
            on("n1", task(0, Complete, Complete)),
            on("n2", task(0, Running, Complete)),
            // Its node is drained.
            on("n3", task(0, Shutdown, Shutdown)),
        ];
        assert_eq!(progress(&tasks).to_string(), "1 of 2 done, 1 running");
        tasks[1].state = Complete;
        assert_eq!(progress(&tasks).state, JobState::Done);
        tasks[1] = on("n2", failed(0, 9, Shutdown));
        assert_eq!(
            progress(&tasks).to_string(),
            "1 of 2 done, failed with exit code 3"
        );
    }

    #[test]
    fn a_job_of_nothing_is_done_and_a_service_is_no_job() {
        assert_eq!(
            count(ServiceMode::ReplicatedJob(0), &[]).state,
            JobState::Done
        );
        let none = std::iter::empty();
        assert_eq!(
            JobProgress::count(ServiceMode::Global, None, None, none),
            None
        );
    }
}
