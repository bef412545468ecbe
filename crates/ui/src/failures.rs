//! Tasks that failed, as this console saw them: the engine keeps the last few of each slot, and soon forgets the rest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use matou_model::Swarm;

/// Failures that are kept of a service.
const KEPT_FAILURES: usize = 20;

/// A task that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TaskFailure {
    /// Its id.
    task: String,
    pub at: Timestamp,
    pub why: String,
}

/// What failed, by the ids of services, the oldest first.
#[derive(Debug, Default)]
pub(super) struct FailureLog {
    services: BTreeMap<String, VecDeque<TaskFailure>>,
}

impl FailureLog {
    /// Takes what failed of a reading of the swarm. What is gone from it stays known as long as its service is there.
    pub(super) fn take_swarm(&mut self, swarm: &Swarm, read_at: Timestamp) {
        let known: BTreeSet<&str> = swarm.services.iter().map(|s| s.id.as_str()).collect();
        self.services.retain(|id, _| known.contains(id.as_str()));
        let of_known = |id: &String| known.contains(id.as_str());
        let tasks = swarm.tasks.iter().filter(|t| t.has_failed());
        for task in tasks.filter(|t| of_known(&t.service_id)) {
            let kept = self.services.entry(task.service_id.clone()).or_default();
            if kept.iter().any(|k| k.task == task.id) {
                continue;
            }
            let is_full = kept.len() >= KEPT_FAILURES;
            let at = task.since.unwrap_or(read_at);
            if is_full {
                // One that was dropped before, and that the engine still knows, pushes none out.
                let is_old = kept.front().is_some_and(|oldest| at <= oldest.at);
                if is_old || task.since.is_none() {
                    continue;
                }
                kept.pop_front();
            }
            let place = kept.partition_point(|k| k.at <= at);
            let failure = TaskFailure {
                task: task.id.clone(),
                at,
                why: task.failure_reason().to_owned(),
            };
            kept.insert(place, failure);
        }
    }

    /// The failures of a service that are known, the oldest first.
    pub(super) fn of_service(&self, id: &str) -> Option<&VecDeque<TaskFailure>> {
        self.services.get(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{NOW, example_fleet};
    use jiff::SignedDuration;

    #[test]
    fn what_the_engine_forgets_is_kept_to_a_limit_until_the_service_is_gone() {
        let fleet = example_fleet();
        let mut swarm = fleet.swarm.value().unwrap().clone();
        let failed = swarm.tasks.iter().find(|t| t.has_failed()).unwrap().clone();
        let task = |n: i64| {
            let since = Some(NOW + SignedDuration::from_secs(n));
            let id = format!("t{n}");
            matou_model::Task {
                id,
                since,
                ..failed.clone()
            }
        };
        let mut log = FailureLog::default();
        for n in 0..30 {
            swarm.tasks = vec![task(n)];
            // The same reading twice counts once.
            log.take_swarm(&swarm, NOW);
            log.take_swarm(&swarm, NOW);
        }
        // The engine may know older ones than are kept.
        swarm.tasks = vec![task(0), task(29)];
        log.take_swarm(&swarm, NOW);
        let known = log.of_service(&failed.service_id).unwrap();
        let ids: Vec<&str> = known.iter().map(|k| k.task.as_str()).collect();
        let expected: Vec<String> = (10..30).map(|n| format!("t{n}")).collect();
        assert_eq!(ids, expected);
        assert_eq!(known.back().unwrap().why, failed.error);
        swarm.services.retain(|s| s.id != failed.service_id);
        log.take_swarm(&swarm, NOW);
        assert_eq!(log.of_service(&failed.service_id), None);
    }
}
