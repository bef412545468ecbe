//! What the containers of a rehearsal wrote: lines that tell of errors, and how those ended that failed.

use matou_i18n::tr;
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use crate::FleetContext;
use matou_base::text::clean_line;
use matou_host::Command;
use matou_job::{StepContext, StepError};
use matou_model::Task;

/// Lines that are read of each container, the last ones.
const READ_LINES: usize = 500;

/// Lines of a container that failed which are told.
const LAST_LINES: usize = 8;

/// Most lines that are told of all containers.
pub(super) const TOLD_LINES: usize = 20;

/// Most characters of a line.
const LINE_LENGTH: usize = 300;

const READ_LIMIT: Duration = Duration::from_secs(30);

/// Words of which one is in a line that tells of an error, in lower case.
const ERROR_WORDS: [&str; 7] = [
    "error",
    "fatal",
    "panic",
    "critical",
    "exception",
    "traceback",
    "corrupt",
];

/// The containers of a copy, and which of them were there at a time.
pub(super) struct ContainerLogs<'a> {
    pub fleet: &'a FleetContext,
    /// The copy's name.
    pub name: &'a str,
}

/// A task with a container, and the service that it is of.
struct LoggedTask {
    service: String,
    task: Task,
}

impl ContainerLogs<'_> {
    /// Returns the ids of all tasks that there are.
    pub(super) async fn list_tasks(&self, cx: &StepContext) -> Result<HashSet<String>, StepError> {
        let tasks = self.list_logged_tasks(cx).await?;
        Ok(tasks.into_iter().map(|t| t.task.id).collect())
    }

    async fn list_logged_tasks(&self, cx: &StepContext) -> Result<Vec<LoggedTask>, StepError> {
        let swarm = cx.query_swarm().await?;
        let mut found = Vec::new();
        for service in &swarm.services {
            if service.stack.as_deref() != Some(self.name) {
                continue;
            }
            let prefix = format!("{}_", self.name);
            let short = service.name.strip_prefix(&prefix).unwrap_or(&service.name);
            let tasks = swarm.tasks.iter().filter(|t| t.service_id == service.id);
            let tasks = tasks.filter(|t| t.container_id.is_some());
            found.extend(tasks.map(|task| LoggedTask {
                service: short.to_owned(),
                task: task.clone(),
            }));
        }
        Ok(found)
    }

    /// Returns the lines with errors that containers of tasks wrote which are not in `old`, but for those
    /// that the others wrote as well. A log that can't be read is left out.
    ///
    /// # Errors
    /// The swarm can't be read.
    pub(super) async fn find_new_errors(
        &self,
        old: &HashSet<String>,
        cx: &StepContext,
    ) -> Result<Vec<String>, StepError> {
        let tasks = self.list_logged_tasks(cx).await?;
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for logged in &tasks {
            let lines = self.read_log(logged, cx).await;
            let errors = lines.into_iter().filter(|line| tells_of_error(line));
            let errors = errors.map(|line| (logged.service.clone(), line));
            match old.contains(&logged.task.id) {
                true => before.extend(errors),
                false => after.extend(errors),
            }
        }
        Ok(select_new_lines(&before, after))
    }

    /// Returns the last lines of the container that failed last, of tasks that are not in `old`.
    pub(super) async fn read_failed(&self, old: &HashSet<String>, cx: &StepContext) -> Vec<String> {
        let Ok(tasks) = self.list_logged_tasks(cx).await else {
            return Vec::new();
        };
        let failed = tasks
            .iter()
            .filter(|t| t.task.has_failed() && !old.contains(&t.task.id));
        let Some(last) = failed.max_by_key(|t| t.task.since) else {
            return Vec::new();
        };
        let lines = self.read_log(last, cx).await;
        let from = lines.len().saturating_sub(LAST_LINES);
        let lines = lines[from..].iter();
        lines
            .map(|line| format!("{}: {line}", last.service))
            .collect()
    }

    async fn read_log(&self, logged: &LoggedTask, cx: &StepContext) -> Vec<String> {
        let Ok(swarm) = cx.query_swarm().await else {
            return Vec::new();
        };
        let node = self.fleet.nodes.find_name(&swarm, &logged.task.node_id);
        let node = node.and_then(|n| self.fleet.nodes.get(&n));
        let (Some(node), Some(id)) = (node, &logged.task.container_id) else {
            return Vec::new();
        };
        let read = Command::new("docker")
            .args(["logs", "--tail", &READ_LINES.to_string(), "--", id])
            .sudo()
            .timeout(READ_LIMIT)
            .label(tr!("log of {}", logged.service));
        let Ok(out) = node.host.run(&read).await else {
            return Vec::new();
        };
        let text = [out.stdout, out.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().map(|line| {
            let line: String = clean_line(line).chars().take(LINE_LENGTH).collect();
            line.trim().to_owned()
        });
        lines.filter(|line| !line.is_empty()).collect()
    }
}

/// The line of a log's end that says most of why a program ended: the first that tells of an error.
pub(super) fn find_reason(lines: &[String]) -> Option<&String> {
    lines
        .iter()
        .find(|line| tells_of_error(line))
        .or(lines.last())
}

fn tells_of_error(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ERROR_WORDS.iter().any(|word| line.contains(word))
}

/// A line without what is another one in each run: numbers of processes, times, addresses.
fn form_of(line: &str) -> String {
    let mut form = String::new();
    for c in line.chars() {
        match c {
            '0'..='9' if form.ends_with('#') => {}
            '0'..='9' => form.push('#'),
            other => form.push(other),
        }
    }
    form
}

/// Selects the lines whose form is not among those of before, each form once.
fn select_new_lines(before: &[(String, String)], after: Vec<(String, String)>) -> Vec<String> {
    let mut seen: BTreeSet<(String, String)> = before
        .iter()
        .map(|(service, line)| (service.clone(), form_of(line)))
        .collect();
    let mut new = Vec::new();
    for (service, line) in after {
        if seen.insert((service.clone(), form_of(&line))) && new.len() < TOLD_LINES {
            new.push(format!("{service}: {line}"));
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_that_are_new_are_told_and_each_once() {
        let line = |text: &str| ("db".to_owned(), text.to_owned());
        let before = [line("2026-11-29 10:00:01 ERROR 12: no such table")];
        let after = vec![
            line("2026-11-30 11:30:59 ERROR 7: no such table"),
            line("ERROR 8: wrong version"),
            line("ERROR 9: wrong version"),
        ];
        assert_eq!(
            select_new_lines(&before, after),
            ["db: ERROR 8: wrong version"]
        );
    }

    #[test]
    fn the_reason_is_the_line_with_the_error() {
        let lines = [
            "starting",
            "FATAL:  files are incompatible",
            "DETAIL:  made by 15",
        ];
        let lines: Vec<String> = lines.map(String::from).into();
        assert_eq!(find_reason(&lines), Some(&lines[1]));
        assert_eq!(find_reason(&lines[2..]), Some(&lines[2]));
        assert_eq!(find_reason(&[]), None);
    }
}
