//! From a stack file to the file that `docker stack deploy` gets.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_yaml::{Mapping, Value};
use sha2::{Digest, Sha256};

use super::catalogue::Stack;
use super::extension::{HttpCheck, SecretSpec};
use super::files::{self, FileSecret, NeededConfig};
use super::interpolate::{InterpolationError, escape, interpolate};
use super::lint::{Finding, MOST_PORTS, Severity, TOO_MANY_PORTS, lint, published, section, uses};
use super::needs::{self, Needs};
use super::places::Places;
use super::reach;
use super::switches::Switches;
use super::traefik1::Labels;
use super::volumes::{self, Volumes};
use super::{AppFile, StackError, labels, traefik1};
use crate::config::{Config, EdgeConfig, StorageConfig, nearest};

/// Label on each service with the hash of what was deployed.
pub const HASH_LABEL: &str = "org.matou.hash";

/// Compose file version for files that name none: engines before 23 refuse those.
const VERSION: &str = "3.8";

/// Most text of all services together with what they refer to, bytes.
const MOST_HASHED: usize = 64 << 20;

/// Most text in all values together, bytes.
const MOST_TEXT: usize = 8 << 20;

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

/// What a stack is rendered for.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    pub storage: &'a StorageConfig,
    pub edge: &'a EdgeConfig,
    /// The version in use of each generated secret; the first where there is none.
    pub secrets: BTreeMap<String, u32>,
    pub switches: Switches,
    /// Images in the place of those of the file, by service.
    pub images: BTreeMap<String, String>,
    /// Where every service runs, as [`place_constraint`] takes it.
    pub place: Option<String>,
    /// Files that were written from the fleet, by their paths beside the stack file.
    pub files: BTreeMap<String, SecretString>,
}

impl<'a> Target<'a> {
    /// For an application as its file says.
    pub fn of_app(config: &'a Config, file: &AppFile) -> Self {
        Self {
            switches: file.edge.clone(),
            images: file.images.clone(),
            place: file.place.clone(),
            ..Self::of(config)
        }
    }

    /// The fleet of a configuration, for an application that has no secrets yet.
    pub fn of(config: &'a Config) -> Self {
        Self {
            storage: &config.storage,
            edge: &config.edge,
            secrets: BTreeMap::new(),
            switches: Switches::default(),
            images: BTreeMap::new(),
            place: None,
            files: BTreeMap::new(),
        }
    }
}

/// A stack, ready for the engine.
#[derive(Debug, Clone, Default)]
pub struct Rendered {
    pub yaml: String,
    pub services: Vec<RenderedService>,
    /// What is not as it should be.
    pub findings: Vec<Finding>,
    /// What was turned into something else on the way; a sentence each.
    pub notes: Vec<String>,
    pub volumes: Volumes,
    /// Swarm configs and secrets with the content of files.
    pub configs: Vec<NeededConfig>,
    pub file_secrets: Vec<FileSecret>,
    /// Secrets that are made when they are not there.
    pub secrets: Vec<NeededSecret>,
    /// External networks, as Swarm knows them.
    pub networks: Vec<String>,
    /// How many networks the engine makes for the stack.
    pub own_networks: usize,
    /// Folders of the nodes that are mounted as they are; the engine does not make them.
    pub binds: Vec<std::path::PathBuf>,
    /// Host names of all routers.
    pub domains: Vec<String>,
    /// Published ports with their protocols.
    pub ports: Vec<(u64, String)>,
    /// What the application answers when it is well, when it has a domain.
    pub check: Option<HttpCheck>,
}

/// A generated secret that a stack needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededSecret {
    pub spec: SecretSpec,
    pub version: u32,
    /// As Swarm knows it.
    pub swarm_name: String,
}

/// One service of a rendered stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedService {
    /// Without the application's name.
    pub name: String,
    pub image: String,
    /// `None` for a global service.
    pub replicas: Option<u64>,
    /// What it asks of its node.
    pub needs: Needs,
    /// Of everything the file says of the service.
    pub hash: String,
    /// Labels and environment, for comparing.
    pub labels: Labels,
    pub environment: Labels,
}

pub(super) fn render(
    stack: &Stack,
    app: &str,
    variables: &BTreeMap<String, String>,
    target: &Target<'_>,
) -> Result<Rendered, StackError> {
    check_app_name(app)?;
    check_variables(stack, variables)?;
    let mut value: Value = serde_yaml::from_str(&stack.text)
        .map_err(|e| StackError::Other(format!("{}: {e}", stack.file)))?;
    value
        .apply_merge()
        .map_err(|e| StackError::Other(format!("{}: {e}", stack.file)))?;
    reach::untag(&mut value);
    let Value::Mapping(mut file) = value else {
        let message = "a stack file begins with `services:`".to_owned();
        return Err(StackError::near(&stack.file, &stack.text, "", message));
    };
    file.retain(|key, _| !key.as_str().is_some_and(|k| k.starts_with("x-")));
    let lookup = |name: &str| {
        let declared = || {
            let declared = stack.extension.variables.iter().find(|v| v.name == name)?;
            declared.default.clone()
        };
        variables
            .get(name)
            .cloned()
            .or_else(declared)
            .or_else(|| built_in(name, app, target.edge))
    };
    let mut room = MOST_TEXT;
    for (key, value) in &mut file {
        if key.as_str() != Some("version") {
            substitute(value, key.as_str().unwrap_or(""), &lookup, &mut room)
                .map_err(|e| located(stack, &e))?;
        }
    }
    octal_modes(&mut file);
    let places = Places::of(&stack.text);
    let at = |path: &[&str], message: String| StackError::At {
        file: stack.file.clone(),
        line: places.line(path),
        message,
    };
    let mut out = Rendered {
        findings: lint(&stack.file, &places, &file),
        ..Rendered::default()
    };
    let said = |(place, message): reach::Said| {
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        (places.line(&place), message)
    };
    reach::check(&stack.extension, &file, target.storage).map_err(|e| {
        let (line, message) = said(e);
        let file = stack.file.clone();
        StackError::At {
            file,
            line,
            message,
        }
    })?;
    // What comes with matou was looked at.
    if !matches!(stack.folder, files::Folder::BuiltIn(_)) {
        for (line, message) in reach::told(&file, target.storage).into_iter().map(said) {
            out.findings.push(Finding {
                severity: Severity::Warning,
                file: stack.file.clone(),
                line,
                message,
            });
        }
    }
    file.entry("version".into())
        .or_insert_with(|| VERSION.into());
    let carried = files::carry(app, &mut file, &stack.folder, &target.files).map_err(
        |(kind, name, message)| {
            let text = format!("{name} of {kind}: {message}");
            at(&[&kind, &name, "file"], text)
        },
    )?;
    (out.configs, out.file_secrets) = (carried.configs, carried.secrets);
    out.secrets = secrets(stack, app, &mut file, target)
        .map_err(|(name, message)| at(&["secrets", &name], message))?;
    out.volumes = volumes::render(app, &mut file, target.storage);
    out.notes.append(&mut out.volumes.notes);
    out.networks = networks(&file);
    out.own_networks = own_networks(&file);
    out.binds = binds(&file);
    services(stack, app, &mut file, target, &places, &mut out)?;
    out.check =
        (!out.domains.is_empty()).then(|| stack.extension.check.clone().unwrap_or_default());
    out.yaml = serde_yaml::to_string(&file)
        .map_err(|e| StackError::Other(format!("{}: {e}", stack.file)))?;
    Ok(out)
}

/// Variables that every stack has without declaring them.
fn built_in(name: &str, app: &str, edge: &EdgeConfig) -> Option<String> {
    Some(match name {
        "APP" => app.to_owned(),
        // What the edge serves.
        "SCHEME" => "https".to_owned(),
        "RESOLVER" => edge.resolver.clone(),
        "ACME_EMAIL" => edge.email.clone()?,
        _ => return None,
    })
}

/// Names of [`built_in`].
const BUILT_IN: [&str; 4] = ["APP", "SCHEME", "RESOLVER", "ACME_EMAIL"];

/// Gives the secrets that matou makes their names of this application and version.
fn secrets(
    stack: &Stack,
    app: &str,
    file: &mut Mapping,
    target: &Target<'_>,
) -> Result<Vec<NeededSecret>, (String, String)> {
    let mut needed = Vec::new();
    for spec in &stack.extension.secrets {
        let section = file
            .get_mut("secrets")
            .and_then(|s| s.get_mut(spec.name.as_str()));
        let Some(Value::Mapping(entry)) = section else {
            let message = format!(
                "x-matou makes the secret {0}: declare it under `secrets:` as `{0}: {{external: true}}`",
                spec.name
            );
            return Err((spec.name.clone(), message));
        };
        let version = target.secrets.get(&spec.name).copied().unwrap_or(1);
        let swarm_name = format!("{app}_{}_v{version}", spec.name);
        entry.insert("external".into(), true.into());
        entry.insert("name".into(), swarm_name.as_str().into());
        needed.push(NeededSecret {
            spec: spec.clone(),
            version,
            swarm_name,
        });
    }
    Ok(needed)
}

/// External networks, as Swarm knows them.
fn networks(file: &Mapping) -> Vec<String> {
    external_names(file).into_values().collect()
}

/// External networks by their key in the file; `external: {name: x}` is how older files say it.
fn external_names(file: &Mapping) -> BTreeMap<String, String> {
    section(file, "networks")
        .filter_map(|(key, network)| {
            let external = network.get("external")?;
            let named = |v: &Value| v.get("name").and_then(Value::as_str).map(str::to_owned);
            let name = match external {
                Value::Bool(true) => Some(named(network).unwrap_or_else(|| key.to_owned())),
                Value::Mapping(_) => named(external),
                _ => None,
            }?;
            Some((key.to_owned(), name))
        })
        .collect()
}

/// Networks that are made with the stack: those declared, and the one of services that name none.
fn own_networks(file: &Mapping) -> usize {
    let declared = section(file, "networks").count() - external_names(file).len();
    let default = section(file, "services").any(|(_, s)| uses(s.get("networks")).is_empty());
    declared + usize::from(default)
}

/// Absolute paths of nodes that services mount. What has a file's ending is taken for a file.
fn binds(file: &Mapping) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for (_, service) in section(file, "services") {
        let volumes = service.get("volumes").and_then(Value::as_sequence);
        for volume in volumes.into_iter().flatten() {
            let source = match volume {
                Value::String(short) => short.split(':').next(),
                long if long.get("type").and_then(Value::as_str) == Some("bind") => {
                    long.get("source").and_then(Value::as_str)
                }
                _ => None,
            };
            let path = source.filter(|s| s.starts_with('/') && !s.contains(['$', '{']));
            let path = path.map(std::path::PathBuf::from);
            found.extend(path.filter(|p| p.extension().is_none()));
        }
    }
    found.sort();
    found.dedup();
    found
}

fn check_app_name(app: &str) -> Result<(), StackError> {
    super::name::check_new(app).map_err(StackError::Other)
}

/// A misspelt variable must not be ignored: its default would be deployed.
fn check_variables(stack: &Stack, given: &BTreeMap<String, String>) -> Result<(), StackError> {
    let declared = || stack.extension.variables.iter().map(|v| v.name.as_str());
    for name in given.keys() {
        let known = declared().any(|d| d == name) || BUILT_IN.contains(&name.as_str());
        if !known && !mentions(&stack.text, name) {
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
            return Err(StackError::Required {
                name: variable.name.clone(),
                help: variable.help.clone(),
            });
        }
        if let Some(value) = given.get(&variable.name) {
            variable.accepts(value).map_err(StackError::Other)?;
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
        InterpolationError::TooLong | InterpolationError::TooDeep => "$".to_owned(),
    };
    StackError::near(&stack.file, &stack.text, &needle, error.to_string())
}

/// Makes numbers of the permissions of configs and secrets: docker's client reads `0400` as an octal
/// number, and refuses the text that it is for the YAML of today.
fn octal_modes(file: &mut Mapping) {
    let services = file.get_mut("services").and_then(Value::as_mapping_mut);
    for service in services.into_iter().flat_map(|s| s.values_mut()) {
        for kind in ["configs", "secrets"] {
            let entries = service.get_mut(kind).and_then(Value::as_sequence_mut);
            let modes = entries.into_iter().flatten();
            for mode in modes.filter_map(|entry| entry.get_mut("mode")) {
                let octal = mode.as_str().filter(|text| text.starts_with('0'));
                if let Some(bits) = octal.and_then(|text| u32::from_str_radix(text, 8).ok()) {
                    *mode = bits.into();
                }
            }
        }
    }
}

/// Interpolates every string value; keys are left alone, as Docker leaves them.
fn substitute(
    value: &mut Value,
    key: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    room: &mut usize,
) -> Result<(), InterpolationError> {
    match value {
        Value::String(text) => {
            let new = interpolate(text, lookup)?;
            *room = room
                .checked_sub(new.len())
                .ok_or(InterpolationError::TooLong)?;
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
                substitute(item, key, lookup, room)?;
            }
        }
        Value::Mapping(map) => {
            for (key, value) in map {
                substitute(value, key.as_str().unwrap_or(""), lookup, room)?;
            }
        }
        Value::Tagged(tagged) => substitute(&mut tagged.value, key, lookup, room)?,
        _ => {}
    }
    Ok(())
}

/// Lists the services, and gives each the labels that Traefik and matou go by.
fn services(
    stack: &Stack,
    app: &str,
    file: &mut Mapping,
    target: &Target<'_>,
    places: &Places,
    out: &mut Rendered,
) -> Result<(), StackError> {
    // What a service refers to is part of it: a secret of a new version, a config of new content.
    let declared: Vec<(&str, Mapping)> = ["configs", "secrets", "networks"]
        .into_iter()
        .filter_map(|kind| Some((kind, file.get(kind)?.as_mapping()?.clone())))
        .collect();
    let externals = external_names(file);
    let mut hashed = 0;
    let Some(Value::Mapping(services)) = file.get_mut("services") else {
        return Ok(());
    };
    for (name, service) in services {
        let name = name.as_str().unwrap_or_default().to_owned();
        let at = |path: &[&str], message: String| StackError::At {
            file: stack.file.clone(),
            line: places.line(path),
            message,
        };
        let Value::Mapping(service) = service else {
            continue;
        };
        if let Some(image) = target.images.get(&name) {
            service.insert("image".into(), image.as_str().into());
        }
        if let Some(place) = &target.place {
            needs::place(service, &needs::place_constraint(place));
        }
        files::environment(service, &stack.folder)
            .map_err(|message| at(&["services", &name, "env_file"], message))?;
        // Docker interpolates labels once more; they are looked at without its escapes.
        let plain = |labels: Labels| -> Labels {
            labels
                .into_iter()
                .map(|(k, v)| (k, v.replace("$$", "$")))
                .collect()
        };
        let id = format!("{app}-{name}");
        let old = plain(labels::of(service));
        let path = ["services", name.as_str(), "deploy", "labels"];
        let migrated = traefik1::migrate(
            &old,
            traefik1::Target {
                id: &id,
                resolver: &target.edge.resolver,
            },
        )
        .map_err(|message| at(&path, message))?;
        if old.keys().any(|l| traefik1::is_old(l)) {
            out.notes.push(format!(
                "the labels of {name} are of Traefik 1, and are deployed as those of Traefik 3"
            ));
        }
        out.notes.extend(migrated.notes);
        let mut labels = migrated.labels;
        target.switches.apply(app, &mut labels);
        out.domains.extend(crate::model::domains(&labels));
        let escaped = labels.iter().map(|(k, v)| (k.clone(), escape(v))).collect();
        labels::set(service, &escaped);

        let mut text = serde_yaml::to_string(service)
            .map_err(|e| StackError::Other(format!("{}: {e}", stack.file)))?;
        for (kind, section) in &declared {
            for (used, _) in uses(service.get(*kind)) {
                let entry = section.get(used).unwrap_or(&Value::Null);
                text.push_str(&serde_yaml::to_string(entry).unwrap_or_default());
            }
        }
        hashed += text.len();
        if hashed > MOST_HASHED {
            let message = format!("its services refer to more than {} MiB", MOST_HASHED >> 20);
            return Err(at(&["services", &name], message));
        }
        let digest = Sha256::digest(text);
        let hash: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
        let mut stamped = escaped.clone();
        stamped.insert(HASH_LABEL.into(), hash.clone());
        labels::set(service, &stamped);

        let deploy = |key: &str| service.get("deploy").and_then(|d| d.get(key));
        let global = deploy("mode").and_then(Value::as_str) == Some("global");
        let replicas = deploy("replicas").and_then(Value::as_u64).unwrap_or(1);
        let ports = service.get("ports").and_then(Value::as_sequence);
        for port in ports.into_iter().flatten() {
            out.ports.extend(published(port).unwrap_or_default());
            if out.ports.len() > MOST_PORTS {
                return Err(at(&["services", &name, "ports"], TOO_MANY_PORTS.into()));
            }
        }
        out.services.push(RenderedService {
            image: labels::text(service.get("image").unwrap_or(&Value::Null)),
            replicas: (!global).then_some(replicas),
            needs: needs::of(service, &externals),
            hash,
            labels,
            environment: plain(labels::read(service.get("environment"))),
            name,
        });
    }
    out.domains.sort();
    out.domains.dedup();
    Ok(())
}
