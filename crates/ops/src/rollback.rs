//! Taking a service back to what it was before its last update, with every field that this changes.

use matou_i18n::tr;
use serde_json::Value;

use async_trait::async_trait;

use super::deploy::stack::append_entry_changes;
use super::service::{PATIENCE, find_named_service};
use super::tasks::{AwaitedServices, WaitForTasks};
use crate::FleetContext;
use matou_base::text::sha256_hex;
use matou_history::FleetFolder;
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::Service;
use matou_stack::{AppFile, HASH_LABEL, Labels};

/// Counts up whenever tasks are to be replaced; it describes nothing.
const FORCE_UPDATE: &str = "TaskTemplate.ForceUpdate";

/// Returns the steps that take a service back to what it was before its last update, and wait for
/// the tasks.
pub(super) fn rollback_steps(service: &str, fleet: &FleetContext) -> Vec<Box<dyn Step>> {
    let service = service.to_owned();
    vec![
        Box::new(RollBackService {
            service: service.clone(),
            folder: fleet.folder(),
        }),
        Box::new(WaitForTasks {
            awaited: AwaitedServices::RolledBack(service),
            patience: PATIENCE,
            nodes: Some(fleet.nodes.clone()),
        }),
    ]
}

struct RollBackService {
    service: String,
    folder: Option<FleetFolder>,
}

impl RollBackService {
    /// Says that the application's file is not taken back with the service; `None` where there is none.
    fn describe_file(&self, service: &Service) -> Option<Change> {
        let name = AppFile::name(service.stack.as_deref()?);
        let file = self.folder.as_ref()?.path().join(&name);
        file.is_file().then(|| {
            Change::same(tr!("{name} stays as it is"))
                .with_warning(tr!("the next deploy makes the service what it says"))
        })
    }
}

#[async_trait]
impl Step for RollBackService {
    fn name(&self) -> String {
        tr!("rollback").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let swarm = cx.query_swarm().await?;
        let service = find_named_service(&swarm, &self.service)?;
        let name = &service.name;
        let Some((now, before)) = cx.docker.query_previous_spec(&service.id).await? else {
            return Err(StepError::failed(tr!(
                "{name} was never updated: there is nothing to go back to"
            )));
        };
        let mut changes = list_changes(name, &now, &before);
        if service.mode.is_job()
            && let Some(first) = changes.first_mut()
        {
            *first = first
                .clone()
                .with_warning(tr!("the job runs again from its beginning"));
        }
        changes.extend(self.describe_file(service));
        Ok(Check::Change(changes))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        cx.docker
            .roll_back_service(&self.service)
            .await
            .map_err(StepError::from)
    }

    /// Has nothing to check: a service that was rolled back has a previous state again, so that
    /// `check` would want one more rollback. The next step waits for the tasks.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}

/// Lists what a service's description says now and would say again.
fn list_changes(name: &str, now: &Value, before: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    let what = tr!("{name}, as it was before its last update,");
    append_entry_changes(&what, &read_fields(now), &read_fields(before), &mut changes);
    if changes.is_empty() {
        changes.push(Change::modify(
            tr!("tasks of {name}"),
            tr!("as they are"),
            tr!("new ones: its description was the same before its last update"),
        ));
    }
    changes
}

/// Returns what a description says, by names that operators know where there are such. Source: Docker's
/// API, `ServiceSpec`.
fn read_fields(spec: &Value) -> Labels {
    let mut fields = Labels::new();
    add_fields("", spec, &mut fields);
    fields
}

fn add_fields(path: &str, value: &Value, fields: &mut Labels) {
    match (path, value) {
        (FORCE_UPDATE, _) | (_, Value::Null) => {}
        ("TaskTemplate.ContainerSpec.Env", Value::Array(entries)) => {
            for entry in entries.iter().filter_map(Value::as_str) {
                let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
                fields.insert(tr!("environment {name}"), value.to_owned());
            }
        }
        ("TaskTemplate.ContainerSpec.Image", Value::String(image)) => {
            let image = image.split('@').next().unwrap_or(image);
            fields.insert(tr!("image").into(), image.to_owned());
        }
        ("Labels" | "TaskTemplate.ContainerSpec.Labels", Value::Object(labels)) => {
            let of = match path {
                "Labels" => tr!("label"),
                _ => tr!("label of containers"),
            };
            // What Docker and matou add is nobody's choice.
            let own = |key: &str| key.starts_with("com.docker.stack.") || key == HASH_LABEL;
            for (key, value) in labels.iter().filter(|(key, _)| !own(key)) {
                let value = value.as_str().unwrap_or_default();
                fields.insert(format!("{of} {key}"), value.to_owned());
            }
        }
        ("Mode.Replicated.Replicas" | "Mode.ReplicatedJob.TotalCompletions", count) => {
            let what = match path.contains("Job") {
                true => tr!("completions"),
                false => tr!("replicas"),
            };
            fields.insert(what.into(), count.to_string());
        }
        // Options of drivers, and words of a command, may hold a password.
        ("TaskTemplate.ContainerSpec.Mounts", Value::Array(mounts)) => {
            let targets = mounts.iter().filter_map(|m| m.get("Target")?.as_str());
            let targets: Vec<&str> = targets.collect();
            let shown = format!("{} {}", targets.join(", "), fingerprint(value));
            fields.insert(tr!("mounts").into(), shown);
        }
        (
            "TaskTemplate.ContainerSpec.Args"
            | "TaskTemplate.ContainerSpec.Command"
            | "TaskTemplate.ContainerSpec.Healthcheck.Test",
            Value::Array(words),
        ) => {
            let count = matou_i18n::trn!(words.len(), "{n} word", "{n} words");
            fields.insert(path.to_owned(), format!("{count} {}", fingerprint(value)));
        }
        (_, Value::Object(map)) => {
            for (key, value) in map {
                let below = match path {
                    "" => key.clone(),
                    path => format!("{path}.{key}"),
                };
                add_fields(&below, value, fields);
            }
        }
        (_, Value::Array(entries)) => {
            let named = |entry: &Value| {
                let names = ["ConfigName", "SecretName"];
                let name = names.iter().find_map(|n| entry.get(n)?.as_str());
                name.map_or_else(|| entry.to_string(), str::to_owned)
            };
            let entries: Vec<String> = entries.iter().map(named).collect();
            let path = match path {
                "TaskTemplate.ContainerSpec.Configs" => tr!("configs"),
                // Names, no values: a key with another word would be hidden.
                "TaskTemplate.ContainerSpec.Secrets" => tr!("files in /run"),
                path => path,
            };
            fields.insert(path.to_owned(), entries.join(", "));
        }
        (_, Value::String(text)) => drop(fields.insert(path.to_owned(), text.clone())),
        (_, other) => drop(fields.insert(path.to_owned(), other.to_string())),
    }
}

/// What tells two values apart without showing them.
fn fingerprint(value: &Value) -> String {
    let hash = sha256_hex(value.to_string());
    format!("(#{})", hash.get(..8).unwrap_or(&hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(replicas: u64, more: &str) -> Value {
        let text = format!(
            r#"{{"Name":"site_web","Labels":{{"com.docker.stack.namespace":"site"}},"Mode":{{"Replicated":{{"Replicas":{replicas}}}}},
            "TaskTemplate":{{"ForceUpdate":{replicas},"ContainerSpec":{{"Image":"hello:1.0@sha256:0a"{more}}}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn lines(now: &Value, before: &Value) -> Vec<String> {
        let changes = list_changes("site_web", now, before);
        let lead = "site_web, as it was before its last update, ";
        let lines = changes.iter().map(|c| c.to_string().replace(lead, ""));
        lines.collect()
    }

    #[test]
    fn every_field_that_a_rollback_changes_is_told() {
        let (now, before) = (spec(5, ""), spec(3, ""));
        assert_eq!(lines(&now, &before), ["~ replicas: 5 → 3"]);
        let now = spec(
            3,
            r#","Env":["A=1","DB_PASSWORD=x"],"Secrets":[{"SecretID":"1","SecretName":"site_key_v2"}],
            "Healthcheck":{"Interval":1000,"Test":["CMD","true"]},
            "Mounts":[{"Target":"/data","VolumeOptions":{"DriverConfig":{"Options":{"o":"password=hunter2"}}}}],
            "Args":["serve","--password=hunter2"]"#,
        );
        let before = spec(
            3,
            r#","Env":["A=2","DB_PASSWORD=y"],"Secrets":[{"SecretID":"2","SecretName":"site_key_v1"}],
            "Healthcheck":{"Interval":2000,"Test":["CMD","true"]}"#,
        );
        let mut told = lines(&now, &before);
        assert!(
            !told.iter().any(|line| line.contains("hunter2")),
            "{told:?}"
        );
        // What stands behind `#` tells two of them apart.
        for line in &mut told {
            let end = line.find(" (#").unwrap_or(line.len());
            line.truncate(end);
        }
        assert_eq!(
            told,
            [
                "~ TaskTemplate.ContainerSpec.Healthcheck.Interval: 1000 → 2000",
                "~ environment A: 1 → 2",
                "~ environment DB_PASSWORD: (hidden) → (hidden)",
                "~ files in /run: site_key_v2 → site_key_v1",
                "- TaskTemplate.ContainerSpec.Args=2 words",
                "- mounts=/data",
            ]
        );
    }

    #[test]
    fn what_differs_in_nothing_is_said_to() {
        let (now, mut before) = (spec(3, ""), spec(3, ""));
        before["TaskTemplate"]["ForceUpdate"] = 7.into();
        before["TaskTemplate"]["ContainerSpec"]["Image"] = "hello:1.0@sha256:0b".into();
        assert!(lines(&now, &before)[0].contains("its description was the same"));
    }
}
