//! Scaling and restarting a service.

use std::time::Duration;

use async_trait::async_trait;

use super::tasks::{TasksRun, Whose, docker_failed, read};
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::model::{Mode, Service, Swarm};

/// How long the tasks may take to run.
const PATIENCE: Duration = Duration::from_secs(600);

/// The steps that set a service's number of tasks and wait for them.
pub(super) fn scale(service: &str, replicas: u64) -> Vec<Box<dyn Step>> {
    let service = service.to_owned();
    vec![
        Box::new(Scale {
            service: service.clone(),
            replicas,
        }),
        Box::new(TasksRun {
            whose: Whose::Service(service),
            patience: PATIENCE,
        }),
    ]
}

/// The steps that take a service back to what it was, and wait for the tasks.
pub(super) fn rollback(service: &str) -> Vec<Box<dyn Step>> {
    let service = service.to_owned();
    vec![
        Box::new(Rollback {
            service: service.clone(),
        }),
        Box::new(TasksRun {
            whose: Whose::RolledBack(service),
            patience: PATIENCE,
        }),
    ]
}

/// The steps that replace a service's tasks and wait for the new ones.
pub(super) fn restart(service: &str) -> Vec<Box<dyn Step>> {
    let service = service.to_owned();
    vec![
        Box::new(Restart {
            service: service.clone(),
        }),
        Box::new(TasksRun {
            whose: Whose::Service(service),
            patience: PATIENCE,
        }),
    ]
}

fn find<'a>(swarm: &'a Swarm, name: &str) -> Result<&'a Service, StepError> {
    swarm
        .services
        .iter()
        .find(|s| s.name == name || s.id == name)
        .ok_or_else(|| {
            let near = swarm
                .services
                .iter()
                .map(|s| (strsim::jaro_winkler(&s.name, name), &s.name))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .filter(|(score, _)| *score > 0.7);
            let hint = near.map_or_else(
                || "`matou status` lists them".to_owned(),
                |(_, near)| format!("did you mean {near:?}?"),
            );
            StepError::failed(format!("there is no service {name:?}; {hint}"))
        })
}

struct Scale {
    service: String,
    replicas: u64,
}

#[async_trait]
impl Step for Scale {
    fn name(&self) -> String {
        "replicas".into()
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        let swarm = read(cx).await?;
        let service = find(&swarm, &self.service)?;
        match service.mode {
            Mode::Replicated(now) if now == self.replicas => Ok(Check::Done(vec![Change::same(
                format!("{} replicas of {}", now, service.name),
            )])),
            Mode::Replicated(now) => {
                let change = Change::modify(
                    format!("replicas of {}", service.name),
                    now.to_string(),
                    self.replicas.to_string(),
                );
                Ok(Check::Change(vec![match self.replicas {
                    0 => change.warn("the service stops answering"),
                    _ => change,
                }]))
            }
            _ => Err(StepError::failed(format!(
                "{} is not a replicated service: it runs once on every node that fits, and can't be scaled",
                service.name
            ))),
        }
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        cx.docker
            .scale(&self.service, self.replicas)
            .await
            .map_err(docker_failed)
    }
}

struct Rollback {
    service: String,
}

#[async_trait]
impl Step for Rollback {
    fn name(&self) -> String {
        "rollback".into()
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        let swarm = read(cx).await?;
        let service = find(&swarm, &self.service)?;
        let previous = cx.docker.previous_image(&service.id).await;
        let previous = previous.map_err(docker_failed)?.unwrap_or_default();
        let previous = previous.split('@').next().unwrap_or_default();
        if previous.is_empty() {
            return Err(StepError::failed(format!(
                "{} was never updated: there is nothing to go back to",
                service.name
            )));
        }
        Ok(Check::Change(vec![Change::modify(
            format!("{}, as it was before its last update, image", service.name),
            &service.image,
            previous,
        )]))
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        cx.docker
            .rollback(&self.service)
            .await
            .map_err(docker_failed)
    }

    /// What it went back to has a previous state again; the next step waits for its tasks.
    async fn verify(&self, _: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}

struct Restart {
    service: String,
}

#[async_trait]
impl Step for Restart {
    fn name(&self) -> String {
        "restart".into()
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        let swarm = read(cx).await?;
        let service = find(&swarm, &self.service)?;
        let change = Change::modify(
            format!("tasks of {}", service.name),
            format!("{} running", service.running),
            "replaced by new ones",
        );
        Ok(Check::Change(vec![match service.wanted {
            0 | 1 => change.warn("it does not answer meanwhile, unless it is updated start-first"),
            _ => change,
        }]))
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        cx.docker
            .restart(&self.service)
            .await
            .map_err(docker_failed)
    }

    /// A restart can't be seen from the outside before the tasks are new: the next step waits.
    async fn verify(&self, _cx: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}
