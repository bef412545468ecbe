//! Scheduled jobs of a stack: checked, and carried by a label of the service in whose container they run, so
//! that what runs says itself which jobs it has.

use std::time::Duration;

use matou_base::text::InvalidInput;
use matou_base::units::parse_human_duration;
use matou_i18n::tr;
use matou_model::{Calendar, JOB_LABEL, JobLabel, is_job_name};
use serde::Deserialize;
use serde_yaml::Mapping;

use super::traefik1::Labels;

/// How long a job may take where its stack says nothing.
const DEFAULT_LIMIT: Duration = Duration::from_secs(3600);

/// The longest limit, and the shortest.
const LIMITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(7 * 86_400)];

/// Bytes of a command.
const MOST_COMMAND: usize = 16 << 10;

/// A command that runs in a container of the application again and again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// Its name: small letters, digits and hyphens.
    pub name: String,
    /// The service in whose container it runs.
    pub service: String,
    /// The program with its arguments; no shell looks at them, and no variable is replaced.
    pub command: Vec<String>,
    /// When: a time as OnCalendar of systemd has it, in UTC.
    pub calendar: String,
    /// It is ended when it takes longer: `90s`, `10m`, `2h`; an hour where nothing is said.
    #[serde(default)]
    pub timeout: Option<String>,
    /// The user of the container.
    #[serde(default)]
    pub user: Option<String>,
}

impl JobSpec {
    /// Returns what the label holds.
    fn to_label(&self) -> Result<JobLabel, InvalidInput> {
        let Self { name, calendar, .. } = self;
        let wrong = |why: &str| InvalidInput::new(tr!("job {name:?}: {why}"));
        if !is_job_name(name) {
            return Err(wrong(tr!(
                "a name is at most 40 small letters, digits and hyphens"
            )));
        }
        let length: usize = self.command.iter().map(String::len).sum();
        if self.command.first().is_none_or(String::is_empty) || length > MOST_COMMAND {
            return Err(wrong(tr!(
                "command is a program with its arguments, as [php, cron.php]"
            )));
        }
        calendar
            .parse::<Calendar>()
            .map_err(|e| wrong(&e.to_string()))?;
        let limit = match &self.timeout {
            Some(text) => parse_human_duration(text).map_err(|e| wrong(&e.to_string()))?,
            None => DEFAULT_LIMIT,
        };
        if limit < LIMITS[0] || limit > LIMITS[1] {
            return Err(wrong(tr!("timeout is at least 1s and at most 168h")));
        }
        Ok(JobLabel {
            command: self.command.clone(),
            calendar: calendar.clone(),
            limit: limit.as_secs(),
            user: self.user.clone(),
        })
    }
}

/// Checks the jobs of a stack.
///
/// # Errors
/// One is wrong, has another's name, or is of a service that is not there.
pub(super) fn check_jobs(jobs: &[JobSpec], services: &Mapping) -> Result<(), InvalidInput> {
    for (n, job) in jobs.iter().enumerate() {
        job.to_label()?;
        if jobs[..n].iter().any(|j| j.name == job.name) {
            return Err(InvalidInput::new(tr!("there are two jobs {:?}", job.name)));
        }
        if !services.contains_key(job.service.as_str()) {
            return Err(InvalidInput::new(tr!(
                "job {:?} is of the service {:?}, which the file does not have",
                job.name,
                job.service
            )));
        }
    }
    Ok(())
}

/// Adds the labels of a service's jobs, in the place of any that stand there.
pub(super) fn add_job_labels(jobs: &[JobSpec], service: &str, labels: &mut Labels) {
    labels.retain(|label, _| !label.starts_with(JOB_LABEL));
    for job in jobs.iter().filter(|j| j.service == service) {
        let text = job
            .to_label()
            .ok()
            .and_then(|l| serde_json::to_string(&l).ok());
        if let Some(text) = text {
            labels.insert(format!("{JOB_LABEL}{}", job.name), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(text: &str) -> JobSpec {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn a_label_has_what_a_run_needs() {
        let spec = job(
            "{name: cron, service: web, command: [sh, -c, 'echo $HOME'], calendar: '*:0/5', timeout: 10m}",
        );
        let mut labels = Labels::from([("org.matou.job.old".to_owned(), String::new())]);
        add_job_labels(std::slice::from_ref(&spec), "web", &mut labels);
        let wanted =
            r#"{"command":["sh","-c","echo $HOME"],"calendar":"*:0/5","limit":600}"#.to_owned();
        assert_eq!(
            labels,
            Labels::from([("org.matou.job.cron".to_owned(), wanted)])
        );
        let mut none = Labels::new();
        add_job_labels(&[spec], "db", &mut none);
        assert!(none.is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let services: Mapping = serde_yaml::from_str("{web: {}}").unwrap();
        let why = |text: &str| check_jobs(&[job(text)], &services).map_err(|e| e.to_string());
        let good = "{name: a, service: web, command: [x], calendar: daily}";
        assert_eq!(why(good), Ok(()));
        for (text, part) in [
            (
                "{name: A, service: web, command: [x], calendar: daily}",
                "small letters",
            ),
            (
                "{name: a, service: web, command: [], calendar: daily}",
                "a program",
            ),
            (
                "{name: a, service: web, command: [x], calendar: often}",
                "no time as systemd",
            ),
            (
                "{name: a, service: db, command: [x], calendar: daily}",
                "does not have",
            ),
            (
                "{name: a, service: web, command: [x], calendar: daily, timeout: 200h}",
                "timeout",
            ),
        ] {
            let said = why(text).unwrap_err();
            assert!(said.contains(part), "{text}: {said}");
        }
        let two = check_jobs(&[job(good), job(good)], &services).unwrap_err();
        assert_eq!(two.to_string(), "there are two jobs \"a\"");
    }
}
