//! Why tasks failed, where only the engine of their node knows.

use matou_i18n::tr;
use std::collections::HashMap;
use std::time::Duration;

use matou_base::text::human_bytes;
use matou_docker::{ContainerEnd, Nodes};
use matou_job::StepContext;
use matou_model::{Swarm, Task};

/// How long an engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Of so many tasks of a service it is asked; more say the same.
const MOST_ASKED: usize = 3;

/// What engines said of ended containers, by the task's id.
pub(super) struct TaskEnds {
    /// `None` where nobody is asked.
    nodes: Option<Nodes>,
    why: HashMap<String, Option<String>>,
}

impl TaskEnds {
    pub(super) fn new(nodes: Option<Nodes>) -> Self {
        Self {
            nodes,
            why: HashMap::new(),
        }
    }

    /// Asks the engines of these failed tasks, each task once. An engine that does not answer, and a
    /// container that is gone, are left out.
    pub(super) async fn ask(&mut self, failed: &[&Task], swarm: &Swarm, cx: &StepContext) {
        let Some(nodes) = &self.nodes else {
            return;
        };
        for task in &failed[failed.len().saturating_sub(MOST_ASKED)..] {
            let Some(id) = &task.container_id else {
                continue;
            };
            if self.why.contains_key(&task.id) {
                continue;
            }
            let node = nodes.find_name(swarm, &task.node_id);
            let node = node.and_then(|name| nodes.get(&name));
            let why = match node {
                None => None,
                Some(node) => {
                    let asked = node.docker.query_container_end(id);
                    let end = tokio::select! {
                        end = tokio::time::timeout(PATIENCE, asked) => end,
                        () = cx.cancel.cancelled() => return,
                    };
                    end.ok().and_then(Result::ok).and_then(|e| describe_end(&e))
                }
            };
            self.why.insert(task.id.clone(), why);
        }
    }

    /// Returns what a task's engine said of its end, if it said something.
    pub(super) fn find(&self, task: &Task) -> Option<&str> {
        self.why.get(&task.id)?.as_deref()
    }
}

/// Says why a container ended; `None` where the engine knows no more than the swarm.
fn describe_end(end: &ContainerEnd) -> Option<String> {
    if end.out_of_memory {
        return Some(match end.memory_limit {
            Some(limit) => tr!(
                "it was killed when it had used all of the {} of memory that it may (`deploy.resources.limits.memory`)",
                human_bytes(limit)
            ),
            None => tr!("it was killed when its node had no memory left").to_owned(),
        });
    }
    let health = end.health.as_ref()?;
    let said = match health.said.as_str() {
        "" => String::new(),
        said => format!(": {said}"),
    };
    let code = match health.exit_code {
        -1 => tr!("the last one took too long or could not be started").to_owned(),
        code => tr!("the last one with exit code {code}"),
    };
    Some(tr!(
        "its health check failed {} times in a row, {code}{said}",
        health.times
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_docker::FailedHealth;

    #[test]
    fn an_end_is_told_with_its_limit_or_the_words_of_the_health_check() {
        let end = |out_of_memory, memory_limit| ContainerEnd {
            out_of_memory,
            memory_limit,
            health: None,
        };
        let told = |end: &ContainerEnd| describe_end(end).unwrap_or_default();
        assert!(
            told(&end(true, Some(64 << 20))).contains("all of the 64"),
            "{}",
            told(&end(true, Some(64 << 20)))
        );
        assert!(told(&end(true, None)).contains("its node had no memory left"));
        assert_eq!(describe_end(&end(false, Some(1))), None);
        let sick = |exit_code, said: &str| ContainerEnd {
            health: Some(FailedHealth {
                times: 3,
                exit_code,
                said: said.into(),
            }),
            ..ContainerEnd::default()
        };
        assert_eq!(
            told(&sick(1, "404")),
            "its health check failed 3 times in a row, the last one with exit code 1: 404"
        );
        assert!(told(&sick(-1, "")).ends_with("took too long or could not be started"));
    }
}
