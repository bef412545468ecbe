//! Removing an application: its services and networks go, its volumes stay.

use std::time::Duration;

use async_trait::async_trait;

use super::tasks::read;
use crate::host::Command;
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::model::{Service, Swarm};

/// How often the swarm is looked at while tasks stop.
const POLL: Duration = Duration::from_millis(700);

/// The steps that remove a stack, or a loose service of that name.
pub(super) fn steps(app: &str) -> Vec<Box<dyn Step>> {
    vec![Box::new(Remove {
        app: app.to_owned(),
    })]
}

struct Remove {
    app: String,
}

impl Remove {
    fn services<'a>(&self, swarm: &'a Swarm) -> Vec<&'a Service> {
        swarm
            .services
            .iter()
            .filter(|s| s.stack.as_deref().unwrap_or(&s.name) == self.app)
            .collect()
    }
}

#[async_trait]
impl Step for Remove {
    fn name(&self) -> String {
        "remove".into()
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        let swarm = read(cx).await?;
        let services = self.services(&swarm);
        if services.is_empty() {
            let gone = format!("{} is not there", self.app);
            return Ok(Check::Done(vec![Change::same(gone)]));
        }
        let mut changes: Vec<Change> = services
            .iter()
            .map(|s| {
                Change::remove(format!("service {} ({})", s.name, s.image)).warn(match s.running {
                    1 => "1 task stops".to_owned(),
                    n => format!("{n} tasks stop"),
                })
            })
            .collect();
        let mut volumes: Vec<&String> = services.iter().flat_map(|s| &s.volumes).collect();
        volumes.sort();
        volumes.dedup();
        changes.extend(
            volumes
                .iter()
                .map(|v| Change::same(format!("volume {v} stays, with its data"))),
        );
        Ok(Check::Change(changes))
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let swarm = read(cx).await?;
        let services = self.services(&swarm);
        let ids: Vec<String> = services.iter().map(|s| s.id.clone()).collect();
        let kind = match services.first() {
            None => return Ok(()),
            Some(s) if s.stack.is_some() => "stack",
            Some(_) => "service",
        };
        let command = Command::new("docker")
            .args([kind, "rm", "--"])
            .arg(&self.app)
            .sudo();
        super::run_streamed(cx, &command).await?;
        // The command returns before the tasks have stopped; a new deploy would meet their
        // networks and ports.
        loop {
            let swarm = read(cx).await?;
            let left = swarm
                .tasks
                .iter()
                .filter(|t| ids.contains(&t.service_id) && t.state == "running")
                .count();
            if left == 0 && self.services(&swarm).is_empty() {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = cx.cancel.cancelled() => return Err(StepError::Cancelled),
            }
        }
    }
}
