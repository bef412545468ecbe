//! Deploying a stack as an application, through `docker stack deploy` on a manager.
//!
//! The engine's own client is the reference for what a compose file means; the rendered file
//! travels on its standard input. Each service carries a label with the hash of what was
//! deployed, so that deploying the same again changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::context::Context;
use super::tasks::{TasksRun, Whose, read};
use crate::host::Command;
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::model::{Mode, Service};
use crate::stack::Rendered;

/// How long pulling images and starting tasks may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// The steps that deploy a stack and wait until its tasks run.
pub(super) fn steps(
    stack: &str,
    app: &str,
    variables: &BTreeMap<String, String>,
    cx: &Context,
) -> Result<Vec<Box<dyn Step>>, String> {
    let rendered = cx
        .catalogue
        .render(stack, app, variables)
        .map_err(|e| e.to_string())?;
    Ok(vec![
        Box::new(DeployStack {
            app: app.to_owned(),
            rendered,
        }),
        Box::new(TasksRun {
            whose: Whose::Stack(app.to_owned()),
            patience: PATIENCE,
        }),
    ])
}

struct DeployStack {
    app: String,
    rendered: Rendered,
}

#[async_trait]
impl Step for DeployStack {
    fn name(&self) -> String {
        "stack".into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        let swarm = read(cx).await?;
        let running: Vec<&Service> = swarm
            .services
            .iter()
            .filter(|s| s.stack.as_deref() == Some(&self.app))
            .collect();
        let mut same = Vec::new();
        let mut changes = Vec::new();
        for wanted in &self.rendered.services {
            let name = format!("{}_{}", self.app, wanted.name);
            match running.iter().find(|s| s.name == name) {
                None => changes.push(Change::add(format!("service {name} ({})", wanted.image))),
                Some(found) => {
                    let differences = differences(found, wanted, &name);
                    if differences.is_empty() {
                        same.push(Change::same(format!("service {name} ({})", wanted.image)));
                    }
                    changes.extend(differences);
                }
            }
        }
        for found in &running {
            let short = found.name.strip_prefix(&format!("{}_", self.app));
            if !self
                .rendered
                .services
                .iter()
                .any(|s| Some(s.name.as_str()) == short)
            {
                changes.push(
                    Change::remove(format!("service {}", found.name))
                        .warn("the stack file has it no more; its volumes stay"),
                );
            }
        }
        Ok(if changes.is_empty() {
            Check::Done(same)
        } else {
            same.extend(changes);
            Check::Change(same)
        })
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let command = Command::new("docker")
            .args(["stack", "deploy", "--prune", "--with-registry-auth"])
            .args(["--compose-file", "-", "--"])
            .arg(&self.app)
            .stdin(self.rendered.yaml.clone().into_bytes())
            .sudo();
        super::run_streamed(cx, &command).await
    }
}

/// What deploying would change on a running service.
fn differences(found: &Service, wanted: &crate::stack::RenderedService, name: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    if found.image != wanted.image {
        changes.push(Change::modify(
            format!("image of {name}"),
            &found.image,
            &wanted.image,
        ));
    }
    if let (Mode::Replicated(now), Some(wanted)) = (found.mode, wanted.replicas)
        && now != wanted
    {
        changes.push(Change::modify(
            format!("replicas of {name}"),
            now.to_string(),
            wanted.to_string(),
        ));
    }
    if changes.is_empty() && found.labels.get(crate::stack::HASH_LABEL) != Some(&wanted.hash) {
        changes.push(Change::modify(
            format!("configuration of {name}"),
            "another version",
            "the stack file's",
        ));
    }
    changes
}
