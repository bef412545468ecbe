//! Which tasks run as their service was described before.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::Value;

use matou_model::SwarmNode;

#[derive(Deserialize)]
struct RawSwarmService {
    #[serde(rename = "ID", default)]
    id: String,
    #[serde(rename = "Spec", default)]
    spec: RawSwarmServiceSpec,
}

#[derive(Default, Deserialize)]
struct RawSwarmServiceSpec {
    #[serde(rename = "TaskTemplate", default)]
    template: RawTaskTemplate,
}

#[derive(Deserialize)]
struct RawSwarmTask {
    #[serde(rename = "ID", default)]
    id: String,
    #[serde(rename = "ServiceID", default)]
    service: String,
    #[serde(rename = "NodeID", default)]
    node: String,
    #[serde(rename = "Spec", default)]
    spec: RawTaskTemplate,
}

/// The part of a task's description whose change makes the engine replace the task. In the engine's
/// own JSON: bollard's type has no health check, and nothing that is newer than bollard.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawTaskTemplate {
    container_spec: Value,
    resources: Value,
    restart_policy: Value,
    force_update: Value,
    networks: Value,
    log_driver: Value,
    placement: RawTaskPlacement,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawTaskPlacement {
    constraints: Vec<String>,
}

/// Ids of the tasks that the engine replaces, from its lists of services and of tasks.
///
/// # Errors
/// When a list is not what it should be.
pub(super) fn find_outdated_tasks(
    services: &[u8],
    tasks: &[u8],
    nodes: &[SwarmNode],
) -> serde_json::Result<HashSet<String>> {
    let services: Vec<RawSwarmService> = serde_json::from_slice(services)?;
    let tasks: Vec<RawSwarmTask> = serde_json::from_slice(tasks)?;
    let templates = services.into_iter().map(|s| (s.id, s.spec.template));
    let templates: HashMap<String, RawTaskTemplate> = templates.collect();
    let outdated = tasks.into_iter().filter(|task| {
        let node = nodes.iter().find(|n| n.id == task.node);
        let template = templates.get(&task.service);
        template.is_some_and(|is| is_task_outdated(&task.spec, is, node))
    });
    Ok(outdated.map(|task| task.id).collect())
}

/// Whether the engine replaces a task described as `was` when its service is described as `is`, by
/// the rules of swarmkit's `IsTaskDirty` (manager/orchestrator/task.go): a changed placement is no
/// reason while the task's node meets its constraints.
fn is_task_outdated(was: &RawTaskTemplate, is: &RawTaskTemplate, node: Option<&SwarmNode>) -> bool {
    if was.container_spec != is.container_spec
        || was.resources != is.resources
        || was.restart_policy != is.restart_policy
        || was.force_update != is.force_update
        || was.networks != is.networks
        || was.log_driver != is.log_driver
    {
        return true;
    }
    let wanted = &is.placement.constraints;
    let misplaced = |node: &SwarmNode| !wanted.iter().all(|c| node.meets_constraint(c));
    *wanted != was.placement.constraints && node.is_some_and(misplaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_outdated_when_the_engine_would_replace_it() {
        // As Docker 20.10 told them: the service says the kind of runtime, its task does not.
        let service = |container: &str, more: &str, constraints: &str| {
            format!(
                r#"[{{"ID":"s1","Spec":{{"Name":"web","TaskTemplate":{{"ContainerSpec":{{"Image":"x:1","Init":false{container}}},
                "ForceUpdate":1,"Runtime":"container"{more},"Placement":{{"Constraints":[{constraints}]}}}}}}}}]"#
            )
        };
        let is_outdated = |service: String| {
            let task = r#"[{"ID":"t1","ServiceID":"s1","NodeID":"n","Spec":{"ContainerSpec":{"Image":"x:1","Init":false},
                "ForceUpdate":1,"Placement":{}},"DesiredState":"running"}]"#;
            let node = SwarmNode {
                id: "n".into(),
                hostname: "b".into(),
                labels: [("disk".to_owned(), "ssd".to_owned())].into(),
                ..SwarmNode::default()
            };
            let found = find_outdated_tasks(service.as_bytes(), task.as_bytes(), &[node]).unwrap();
            found.contains("t1")
        };
        assert!(!is_outdated(service("", "", "")));
        let memory = r#","Resources":{"Limits":{"MemoryBytes":1}}"#;
        assert!(is_outdated(service("", memory, "")));
        // What bollard's type does not know.
        let health = r#","Healthcheck":{"Test":["NONE"]}"#;
        assert!(is_outdated(service(health, "", "")));
        assert!(is_outdated(service(r#","Newer":1"#, "", "")));
        let met = [
            r#""node.role==worker","node.hostname != a""#,
            r#""node.labels.disk == ssd","node.platform.os==linux""#,
        ];
        for constraints in met {
            assert!(!is_outdated(service("", "", constraints)), "{constraints}");
        }
        for constraint in ["node.hostname==a", "node.labels.none==1", "node.id!=n"] {
            let constraint = format!("\"{constraint}\"");
            assert!(is_outdated(service("", "", &constraint)), "{constraint}");
        }
    }
}
