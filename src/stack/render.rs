//! From a stack file to the file that `docker stack deploy` gets.

use std::collections::BTreeMap;

use serde_yaml::{Mapping, Value};
use sha2::{Digest, Sha256};

use super::StackError;
use super::catalogue::Stack;
use super::interpolate::{InterpolationError, escape, interpolate};
use crate::config::nearest;

/// Label on each service with the hash of what was deployed.
pub const HASH_LABEL: &str = "org.matou.hash";

/// Compose file version for files that name none: engines before 23 refuse those.
const VERSION: &str = "3.8";

/// Longest name of an application: Swarm's names of 63 characters need room for the service's.
const LONGEST_APP: usize = 40;

/// Keys of a service that `docker stack deploy` refuses.
/// Source: docker/cli, cli/compose/types `ForbiddenProperties`.
const REFUSED: [(&str, &str); 7] = [
    ("extends", "write the service out"),
    ("volume_driver", "name the driver under volumes"),
    ("volumes_from", "name the volume in both services"),
    ("cpu_quota", "use deploy.resources.limits.cpus"),
    ("cpu_shares", "use deploy.resources.limits.cpus"),
    ("mem_limit", "use deploy.resources.limits.memory"),
    ("memswap_limit", "use deploy.resources.limits.memory"),
];

/// Keys whose values are numbers or booleans also when they come from a variable, which is text.
/// Source: docker/cli, cli/compose/loader/interpolate.go.
const TYPED: [&str; 21] = [
    "attachable",
    "disable",
    "external",
    "hard",
    "init",
    "internal",
    "max_attempts",
    "max_failure_ratio",
    "max_replicas_per_node",
    "mode",
    "nocopy",
    "parallelism",
    "pids",
    "published",
    "read_only",
    "replicas",
    "retries",
    "size",
    "soft",
    "target",
    "tty",
];

/// A stack, ready for the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub yaml: String,
    pub services: Vec<RenderedService>,
}

/// One service of a rendered stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedService {
    /// Without the application's name.
    pub name: String,
    pub image: String,
    /// `None` for a global service.
    pub replicas: Option<u64>,
    /// Of everything the file says of the service.
    pub hash: String,
}

pub(super) fn render(
    stack: &Stack,
    app: &str,
    variables: &BTreeMap<String, String>,
) -> Result<Rendered, StackError> {
    check_app_name(app)?;
    check_variables(stack, variables)?;
    let mut value: Value = serde_yaml::from_str(&stack.text)
        .map_err(|e| StackError::Other(format!("{}: {e}", stack.file)))?;
    value
        .apply_merge()
        .map_err(|e| StackError::Other(format!("{}: {e}", stack.file)))?;
    let Value::Mapping(mut file) = value else {
        let message = "a stack file begins with `services:`".to_owned();
        return Err(StackError::near(&stack.file, &stack.text, "", message));
    };
    file.retain(|key, _| !key.as_str().is_some_and(|k| k.starts_with("x-")));
    let lookup = |name: &str| {
        variables.get(name).cloned().or_else(|| {
            let declared = stack.extension.variables.iter().find(|v| v.name == name)?;
            declared.default.clone()
        })
    };
    for (key, value) in &mut file {
        if key.as_str() != Some("version") {
            substitute(value, key.as_str().unwrap_or(""), &lookup)
                .map_err(|e| located(stack, &e))?;
        }
    }
    file.entry("version".into())
        .or_insert_with(|| VERSION.into());
    let services = services(stack, &mut file)?;
    let yaml = serde_yaml::to_string(&file)
        .map_err(|e| StackError::Other(format!("{}: {e}", stack.file)))?;
    Ok(Rendered { yaml, services })
}

fn check_app_name(app: &str) -> Result<(), StackError> {
    let fine = app.len() <= LONGEST_APP
        && app.starts_with(|c: char| c.is_ascii_lowercase())
        && !app.ends_with('-')
        && app
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if fine {
        Ok(())
    } else {
        Err(StackError::Other(format!(
            "{app:?} is no name for an application: use lower-case letters, digits and dashes, a letter first, at most {LONGEST_APP}"
        )))
    }
}

/// A misspelt variable must not be ignored: its default would be deployed.
fn check_variables(stack: &Stack, given: &BTreeMap<String, String>) -> Result<(), StackError> {
    let declared = || stack.extension.variables.iter().map(|v| v.name.as_str());
    for name in given.keys() {
        if !declared().any(|d| d == name) && !mentions(&stack.text, name) {
            let hint = nearest(name, declared())
                .map_or_else(String::new, |near| format!("; did you mean {near}?"));
            return Err(StackError::Other(format!(
                "the stack {} has no variable {name}{hint}",
                stack.name
            )));
        }
    }
    for variable in &stack.extension.variables {
        let missing = variable.required
            && variable.default.is_none()
            && given.get(&variable.name).is_none_or(String::is_empty);
        if missing {
            return Err(StackError::Other(format!(
                "the variable {} is required: {} (add {}=…)",
                variable.name, variable.help, variable.name
            )));
        }
    }
    Ok(())
}

/// Whether `$NAME` or `${NAME` stands in the text.
fn mentions(text: &str, name: &str) -> bool {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split('$').skip(1).any(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        rest.strip_prefix(name)
            .is_some_and(|after| !after.starts_with(part_of_name))
    })
}

fn located(stack: &Stack, error: &InterpolationError) -> StackError {
    let needle = match error {
        InterpolationError::Required { name, .. } => format!("${{{name}"),
        InterpolationError::Invalid(what) => what.clone(),
    };
    StackError::near(&stack.file, &stack.text, &needle, error.to_string())
}

/// Interpolates every string value; keys are left alone, as Docker leaves them.
fn substitute(
    value: &mut Value,
    key: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(), InterpolationError> {
    match value {
        Value::String(text) => {
            let new = interpolate(text, lookup)?;
            if new != *text && TYPED.contains(&key) {
                // The text of a number or boolean; anything else stays text.
                *value = match serde_yaml::from_str(&new) {
                    Ok(typed @ (Value::Number(_) | Value::Bool(_))) => typed,
                    _ => Value::String(escape(&new)),
                };
            } else {
                // Docker interpolates what it gets once more.
                *text = escape(&new);
            }
        }
        Value::Sequence(items) => {
            for item in items {
                substitute(item, key, lookup)?;
            }
        }
        Value::Mapping(map) => {
            for (key, value) in map {
                substitute(value, key.as_str().unwrap_or(""), lookup)?;
            }
        }
        Value::Tagged(tagged) => substitute(&mut tagged.value, key, lookup)?,
        _ => {}
    }
    Ok(())
}

/// Lists the services, and puts the hash label on each.
fn services(stack: &Stack, file: &mut Mapping) -> Result<Vec<RenderedService>, StackError> {
    let near =
        |needle: &str, message: String| StackError::near(&stack.file, &stack.text, needle, message);
    let Some(Value::Mapping(services)) = file.get_mut("services") else {
        return Err(near("", "a stack file has a mapping `services:`".into()));
    };
    let mut found = Vec::new();
    for (name, service) in services {
        let name = name.as_str().unwrap_or_default().to_owned();
        let Value::Mapping(service) = service else {
            return Err(near(&name, format!("the service {name} is empty")));
        };
        for (key, instead) in REFUSED {
            if service.contains_key(key) {
                let message = format!("Docker Swarm refuses `{key}`: {instead}");
                return Err(near(&format!("{key}:"), message));
            }
        }
        let image = match service.get("image").and_then(Value::as_str) {
            Some(image) if !image.is_empty() => image.to_owned(),
            _ => {
                let message =
                    format!("the service {name} has no image: Docker Swarm does not build");
                return Err(near(&name, message));
            }
        };
        let text = serde_yaml::to_string(service)
            .map_err(|e| StackError::Other(format!("{}: {e}", stack.file)))?;
        let digest = Sha256::digest(text);
        let hash: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
        let deploy = service
            .entry("deploy".into())
            .or_insert_with(|| Mapping::new().into());
        if deploy.is_null() {
            *deploy = Mapping::new().into();
        }
        let Value::Mapping(deploy) = deploy else {
            return Err(near("deploy:", format!("`deploy` of {name} is no mapping")));
        };
        let global = deploy.get("mode").and_then(Value::as_str) == Some("global");
        let replicas = deploy.get("replicas").and_then(Value::as_u64).unwrap_or(1);
        add_label(deploy, &hash);
        found.push(RenderedService {
            name,
            image,
            replicas: (!global).then_some(replicas),
            hash,
        });
    }
    Ok(found)
}

/// Labels come as a mapping or as a list.
fn add_label(deploy: &mut Mapping, hash: &str) {
    match deploy.get_mut("labels") {
        Some(Value::Sequence(list)) => list.push(format!("{HASH_LABEL}={hash}").into()),
        Some(Value::Mapping(labels)) => {
            labels.insert(HASH_LABEL.into(), hash.into());
        }
        _ => {
            let labels = Mapping::from_iter([(HASH_LABEL.into(), hash.into())]);
            deploy.insert("labels".into(), labels.into());
        }
    }
}
