//! Scheduled jobs of applications: what a label of a service says, and what is remembered of their runs.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Calendar, Service, Swarm};

/// Begins the label of a service that has a job; the job's name follows.
pub const JOB_LABEL: &str = "org.matou.job.";

/// How late a job may begin before it is missed: who works on the application is waited for.
const LATE: SignedDuration = SignedDuration::from_mins(10);

/// What the label holds, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobLabel {
    /// The program with its arguments.
    pub command: Vec<String>,
    /// When it runs.
    pub calendar: String,
    /// Seconds that it may take.
    pub limit: u64,
    /// The user of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// A scheduled job of an application that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppJob {
    /// The application.
    pub app: String,
    /// Its own name.
    pub name: String,
    /// The service in whose container it runs, as the swarm names it.
    pub service: String,
    /// The program with its arguments.
    pub command: Vec<String>,
    /// The user of the container; that of the image where none is named.
    pub user: Option<String>,
    /// When it runs.
    pub calendar: Calendar,
    /// How long it may take.
    pub limit: Duration,
}

/// Whether it is the name of a job: small letters, digits and hyphens.
pub fn is_job_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 40
        && !name.starts_with('-')
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl Service {
    /// Lists the jobs that its labels name, by name. A label that says nothing sound is passed over.
    pub fn list_jobs(&self) -> Vec<AppJob> {
        let jobs = self.labels.iter().filter_map(|(label, text)| {
            let name = label.strip_prefix(JOB_LABEL).filter(|n| is_job_name(n))?;
            let label: JobLabel = serde_json::from_str(text).ok()?;
            Some(AppJob {
                app: self.stack.clone()?,
                name: name.to_owned(),
                service: self.name.clone(),
                calendar: label.calendar.parse().ok()?,
                limit: Duration::from_secs(label.limit.max(1)),
                user: label.user,
                command: Some(label.command).filter(|c| !c.is_empty())?,
            })
        });
        let mut jobs: Vec<AppJob> = jobs.collect();
        jobs.sort_by(|a, b| a.name.cmp(&b.name));
        jobs
    }
}

impl Swarm {
    /// Lists the jobs of all applications.
    pub fn list_app_jobs(&self) -> Vec<AppJob> {
        let mut jobs: Vec<AppJob> = self.services.iter().flat_map(Service::list_jobs).collect();
        jobs.sort_by(|a, b| (&a.app, &a.name).cmp(&(&b.app, &b.name)));
        jobs
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobRunState {
    /// It is not run: from here on its times count.
    Seen,
    /// It runs, or who ran it is gone.
    Running,
    /// Its exit code is 0.
    Done,
    /// It has another exit code, or could not be run.
    Failed,
    /// It took longer than it may, and was ended.
    TimedOut,
    /// It was ended with its node, or with the manager that ran it.
    Lost,
}

/// One run of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppJobRun {
    /// The time that it is for; `None` of one that the operator asked for.
    pub due: Option<Timestamp>,
    /// When it began, by the storage node's clock, as all times here.
    pub begun: Timestamp,
    /// Who ran it.
    #[serde(default)]
    pub by: String,
    /// The node of its container.
    #[serde(default)]
    pub node: String,
    /// How it ended.
    pub state: JobRunState,
    /// Seconds that it took.
    #[serde(default)]
    pub seconds: Option<u64>,
    /// Its exit code.
    #[serde(default)]
    pub exit: Option<i64>,
    /// The last lines of its output, or why it has none.
    #[serde(default)]
    pub output: Vec<String>,
}

/// What is remembered of all jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AppJobRuns {
    /// The storage node's clock when it was read.
    pub at: Timestamp,
    /// By application and job; the newest last.
    #[serde(skip)]
    pub runs: BTreeMap<(String, String), Vec<AppJobRun>>,
}

impl AppJobRuns {
    /// Takes a line of the file of a job. One that ends a run stands for it from then on.
    pub fn add_line(&mut self, app: &str, job: &str, line: &str) {
        let Ok(run) = serde_json::from_str::<AppJobRun>(line) else {
            return;
        };
        let runs = self.runs.entry((app.to_owned(), job.to_owned()));
        let runs = runs.or_default();
        match runs
            .iter_mut()
            .rfind(|r| r.begun == run.begun && r.due == run.due)
        {
            Some(known) => *known = run,
            None => runs.push(run),
        }
    }

    /// Returns the runs of a job, the newest last.
    pub fn of_job(&self, job: &AppJob) -> &[AppJobRun] {
        let key = (job.app.clone(), job.name.clone());
        self.runs.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Returns the time from which on a job is due: the last that was taken, or when it was first seen.
    pub fn taken_until(&self, job: &AppJob) -> Option<Timestamp> {
        self.of_job(job).iter().filter_map(|r| r.due).max()
    }

    /// Returns the next time of a job that nobody has taken: one that is over, else the next.
    pub fn find_due(&self, job: &AppJob) -> Option<Timestamp> {
        let taken = self.taken_until(job)?;
        let over = job.calendar.last_between(taken, self.at);
        over.or_else(|| job.calendar.next_after(taken))
    }

    /// Returns the time at which a job should have begun long ago and has not.
    pub fn find_missed(&self, job: &AppJob) -> Option<Timestamp> {
        let runs = self.of_job(job);
        if runs.last().is_some_and(|r| r.state == JobRunState::Running) {
            return None;
        }
        let first = job.calendar.next_after(self.taken_until(job)?)?;
        (self.at.duration_since(first) > LATE).then_some(first)
    }

    /// Returns the newest run of a job, when that did not end well.
    pub fn find_failed(&self, job: &AppJob) -> Option<&AppJobRun> {
        let ended = |r: &&AppJobRun| !matches!(r.state, JobRunState::Running | JobRunState::Seen);
        let last = self.of_job(job).iter().rfind(ended)?;
        (last.state != JobRunState::Done).then_some(last)
    }
}

impl AppJobRun {
    /// Says how it ended, in some words.
    pub fn describe_end(&self) -> String {
        match (self.state, self.exit) {
            (JobRunState::Seen, _) => tr!("has not run yet").into(),
            (JobRunState::Running, _) => tr!("runs").into(),
            (JobRunState::Done, _) => tr!("done").into(),
            (JobRunState::Failed, Some(code)) => tr!("failed with exit code {code}"),
            (JobRunState::Failed, None) => tr!("could not be run").into(),
            (JobRunState::TimedOut, _) => tr!("took longer than its limit and was ended").into(),
            (JobRunState::Lost, _) => tr!("was cut off").into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn run(due: i64, state: JobRunState) -> AppJobRun {
        AppJobRun {
            due: Some(at(due)),
            begun: at(due + 1),
            by: String::new(),
            node: "n1".into(),
            state,
            seconds: None,
            exit: None,
            output: Vec::new(),
        }
    }

    fn job() -> AppJob {
        AppJob {
            app: "shop".into(),
            name: "cron".into(),
            service: "shop_web".into(),
            command: vec!["true".into()],
            user: None,
            calendar: "minutely".parse().unwrap(),
            limit: Duration::from_secs(60),
        }
    }

    fn history(now: i64, runs: &[AppJobRun]) -> AppJobRuns {
        let mut history = AppJobRuns {
            at: at(now),
            ..AppJobRuns::default()
        };
        for run in runs {
            history.add_line("shop", "cron", &serde_json::to_string(run).unwrap());
        }
        history
    }

    #[test]
    fn a_time_is_due_until_it_is_taken() {
        let job = job();
        assert_eq!(history(600, &[]).find_due(&job), None);
        let seen = history(630, &[run(610, JobRunState::Seen)]);
        assert_eq!(seen.find_due(&job), Some(at(660)));
        let after = history(661, &[run(610, JobRunState::Seen)]);
        assert_eq!(after.find_due(&job), Some(at(660)));
        let taken = [run(610, JobRunState::Seen), run(660, JobRunState::Running)];
        assert_eq!(history(661, &taken).find_due(&job), Some(at(720)));
        // Of several that were missed, one run is for the newest.
        assert_eq!(history(6031, &taken).find_due(&job), Some(at(6000)));
    }

    #[test]
    fn what_is_wrong_is_the_newest_end_and_a_time_that_nobody_took() {
        let job = job();
        let mut runs = vec![run(60, JobRunState::Running), run(60, JobRunState::Failed)];
        let failed = history(61, &runs);
        assert_eq!(failed.of_job(&job).len(), 1);
        assert!(failed.find_failed(&job).is_some());
        assert_eq!(failed.find_missed(&job), None);
        assert_eq!(history(3600, &runs).find_missed(&job), Some(at(120)));
        runs.push(run(120, JobRunState::Done));
        assert_eq!(history(121, &runs).find_failed(&job), None);
        runs.push(run(180, JobRunState::Running));
        assert_eq!(history(3600, &runs).find_missed(&job), None);
    }

    #[test]
    fn a_label_that_is_not_sound_is_no_job() {
        for name in ["", "-a", "A", "a/b", "a b", "..", &"a".repeat(41)] {
            assert!(!is_job_name(name), "{name:?}");
        }
        assert!(is_job_name("cron-2"));
    }
}
