//! What is wrong, or not as it should be, with a compose file for Swarm: each with its line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use matou_i18n::{Text, both, tr};
use serde_yaml::{Mapping, Value};

use super::image_facts::{KnownImages, compare_with_facts};
use super::labels;
use super::line_index::LineIndex;
use super::traefik1;
use matou_base::text::InvalidInput;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LintSeverity {
    /// It can't be deployed, or not as it is meant.
    Error,
    /// It can be deployed; there is something better.
    Warning,
}

/// Something in a stack file that is wrong, or should be better.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LintFinding {
    /// How bad it is.
    pub severity: LintSeverity,
    /// Path of the stack file.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl fmt::Display for LintFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            LintSeverity::Error => tr!("error"),
            LintSeverity::Warning => tr!("warning"),
        };
        write!(
            f,
            "{}:{}: {severity}: {}",
            self.file, self.line, self.message
        )
    }
}

/// Keys of a service that `docker stack deploy` refuses.
/// Source: docker/cli, cli/compose/types `ForbiddenProperties`.
pub(super) const REFUSED_KEYS: [(&str, Text); 8] = [
    ("extends", both!("write the service out")),
    ("volume_driver", both!("name the driver under volumes")),
    ("volumes_from", both!("name the volume in both services")),
    ("cpu_quota", both!("use deploy.resources.limits.cpus")),
    ("cpu_shares", both!("use deploy.resources.limits.cpus")),
    ("cpuset", both!("use deploy.placement")),
    ("mem_limit", both!("use deploy.resources.limits.memory")),
    ("memswap_limit", both!("use deploy.resources.limits.memory")),
];

/// Keys of a service that Swarm ignores.
/// Source: docker/cli, cli/compose/types `UnsupportedProperties`, `DeprecatedProperties`; and what its
/// schema takes, but no field of its types (`oom_score_adj`, seen with 28.5).
const IGNORED_KEYS: [&str; 20] = [
    "build",
    "cgroup_parent",
    "cgroupns_mode",
    "container_name",
    "depends_on",
    "devices",
    "domainname",
    "expose",
    "external_links",
    "ipc",
    "links",
    "mac_address",
    "network_mode",
    "oom_score_adj",
    "pid",
    "privileged",
    "restart",
    "security_opt",
    "shm_size",
    "userns_mode",
];

/// Most findings of each severity; more are left out.
pub(super) const MAX_FINDINGS: usize = 1_000;

/// Longest sentence, bytes: it may hold a value of the file.
pub(super) const MAX_MESSAGE_BYTES: usize = 2_000;

/// Most ports that a file may publish: those of three protocols.
pub(super) const MOST_PORTS: usize = 3 * 65_535;

/// What is said of a file that publishes more.
pub(super) const TOO_MANY_PORTS: Text = both!("more ports are published than there are");

/// Looks through a compose file whose variables were replaced and whose aliases were merged.
pub(super) fn lint_compose(
    file: &str,
    places: &LineIndex,
    compose: &Mapping,
    known_images: &KnownImages,
) -> Vec<LintFinding> {
    let mut linter = Linter {
        file,
        known_images,
        places,
        declared: ["networks", "secrets", "configs", "volumes"]
            .map(|kind| {
                (
                    kind,
                    section_entries(compose, kind).map(|(n, _)| n).collect(),
                )
            })
            .into(),
        ports: BTreeMap::new(),
        published: 0,
        said: [0; 2],
        found: Vec::new(),
    };
    let services = compose.get("services").and_then(Value::as_mapping);
    for (name, service) in services.into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        // The form of others is told with what is refused.
        if let Value::Mapping(service) = service {
            linter.check_service(name, service);
        }
    }
    if services.is_none_or(Mapping::is_empty) {
        linter.add_error(
            &["services"],
            tr!("a stack file has a mapping `services:`").into(),
        );
    }
    let mut found = linter.found;
    found.sort_by_key(|f| (f.line, f.severity));
    found.dedup();
    found
}

struct Linter<'a> {
    file: &'a str,
    known_images: &'a KnownImages,
    places: &'a LineIndex,
    /// Names at the top, by section.
    declared: BTreeMap<&'static str, BTreeSet<&'a str>>,
    /// Service of each published port and protocol.
    ports: BTreeMap<(u64, String), String>,
    /// How many there are, the same ones too.
    published: usize,
    /// How many findings of each severity there were.
    said: [usize; 2],
    found: Vec<LintFinding>,
}

impl Linter<'_> {
    fn add_finding(&mut self, severity: LintSeverity, path: &[&str], message: String) {
        let said = &mut self.said[severity as usize];
        *said += 1;
        if *said > MAX_FINDINGS {
            return;
        }
        let mut message = message;
        if message.len() > MAX_MESSAGE_BYTES {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
            message.push('…');
        }
        self.found.push(LintFinding {
            severity,
            file: self.file.to_owned(),
            line: self.places.line_of(path),
            message,
        });
    }

    fn add_error(&mut self, path: &[&str], message: String) {
        self.add_finding(LintSeverity::Error, path, message);
    }

    fn add_warning(&mut self, path: &[&str], message: String) {
        self.add_finding(LintSeverity::Warning, path, message);
    }

    fn check_service(&mut self, name: &str, service: &Mapping) {
        for key in service.keys().filter_map(Value::as_str) {
            let path = ["services", name, key];
            if let Some((_, instead)) = REFUSED_KEYS.iter().find(|(k, _)| *k == key) {
                self.add_error(&path, tr!("Docker Swarm refuses `{key}`: {instead}"));
            } else if key == "restart" {
                self.add_warning(
                    &path,
                    tr!("Docker Swarm goes by deploy.restart_policy, not by `restart`").into(),
                );
            } else if key == "tmpfs" {
                self.add_warning(
                    &path,
                    tr!(
                        "Docker Swarm ignores `tmpfs`: write a mount of `type: tmpfs` under volumes"
                    )
                    .into(),
                );
            } else if IGNORED_KEYS.contains(&key) {
                self.add_warning(&path, tr!("Docker Swarm ignores `{key}`"));
            }
        }
        self.check_image(name, service);
        for (key, message) in compare_with_facts(self.known_images, name, service) {
            self.add_warning(&["services", name, key], message);
        }
        self.check_references(name, service);
        self.check_healthcheck(name, service);
        self.check_ports(name, service);
        self.check_deploy(name, service);
        self.check_labels(name, service);
    }

    fn check_image(&mut self, name: &str, service: &Mapping) {
        let path = ["services", name, "image"];
        match service.get("image").and_then(Value::as_str) {
            None | Some("") => self.add_error(
                &path,
                tr!("the service {name} has no image: Docker Swarm does not build"),
            ),
            Some(image) => {
                if let Some(what) = find_unpinned_reason(image) {
                    self.add_warning(
                        &path,
                        tr!("the image {image} {what}: pin a version, so that a redeploy is no surprise"),
                    );
                }
            }
        }
    }

    /// Checks that networks, secrets, configs and volumes of a service are declared at the top.
    fn check_references(&mut self, name: &str, service: &Mapping) {
        for kind in ["networks", "secrets", "configs"] {
            for (used, key) in list_references(service.get(kind)) {
                let implied = kind == "networks" && used == "default";
                if !implied && !self.is_declared(kind, used) {
                    let path = ["services", name, kind, &key];
                    self.add_error(
                        &path,
                        tr!(
                            "{used} is not among the {kind} of the file: declare it under `{kind}:`"
                        ),
                    );
                }
            }
        }
        for (index, source) in list_named_volumes(service) {
            if !self.is_declared("volumes", &source) {
                let path = ["services", name, "volumes", &index];
                self.add_error(
                    &path,
                    tr!("the volume {source} is not declared: add it under `volumes:`"),
                );
            }
        }
    }

    fn is_declared(&self, kind: &str, name: &str) -> bool {
        self.declared.get(kind).is_some_and(|d| d.contains(name))
    }

    fn check_healthcheck(&mut self, name: &str, service: &Mapping) {
        let job = service
            .get("deploy")
            .and_then(|d| d.get("mode"))
            .and_then(Value::as_str)
            .is_some_and(|m| m.ends_with("-job"));
        let disabled = service
            .get("healthcheck")
            .is_some_and(|h| h.get("disable").is_some());
        if service.get("healthcheck").is_none() && !job {
            self.add_warning(
                &["services", name],
                tr!("{name} has no healthcheck: Swarm can't tell when it hangs (or say `healthcheck: {{disable: true}}` where the image can't)"),
            );
        } else if !disabled && !job {
            let test = service.get("healthcheck").and_then(|h| h.get("test"));
            if test.is_none() {
                self.add_warning(
                    &["services", name, "healthcheck"],
                    tr!("the healthcheck of {name} has no test"),
                );
            }
        }
    }

    fn check_ports(&mut self, name: &str, service: &Mapping) {
        let ports = service.get("ports").and_then(Value::as_sequence);
        for (i, port) in ports.into_iter().flatten().enumerate() {
            let index = i.to_string();
            let path = ["services", name, "ports", &index];
            match parse_published_ports(port) {
                Ok(published) => {
                    self.published += published.len();
                    if self.published > MOST_PORTS {
                        self.add_error(&path, TOO_MANY_PORTS.into());
                        return;
                    }
                    let mut taken = None;
                    for port in published {
                        if let Some(other) = self.ports.insert(port.clone(), name.to_owned()) {
                            taken.get_or_insert((other, port));
                        }
                    }
                    // Of a range, the first says enough.
                    if let Some((other, (port, protocol))) = taken {
                        self.add_error(&path, tr!("{other} publishes {port}/{protocol} already"));
                    }
                }
                Err(text) => self.add_error(
                    &path,
                    tr!("`{text}` is no port: write \"8080:80\", and /udp or the like at the end"),
                ),
            }
        }
    }

    fn check_deploy(&mut self, name: &str, service: &Mapping) {
        let deploy = service.get("deploy").and_then(Value::as_mapping);
        let limit = |key: &str| {
            let resources = deploy.and_then(|d| d.get("resources"))?;
            resources.get("limits")?.get(key).filter(|v| !v.is_null())
        };
        for key in ["memory", "cpus"] {
            if limit(key).is_none() {
                self.add_warning(
                    &["services", name, "deploy"],
                    tr!("{name} has no limit of {key}: it can take the whole node (deploy.resources.limits.{key})"),
                );
            }
        }
    }

    fn check_labels(&mut self, name: &str, service: &Mapping) {
        let outside = labels::labels_from_value(service.get("labels"));
        if outside.keys().any(|l| l.starts_with("traefik.")) {
            self.add_warning(
                &["services", name, "labels"],
                tr!("Traefik reads labels of {name} under `deploy:`, not beside it"),
            );
        }
        let labels = labels::deploy_labels(service);
        let path = ["services", name, "deploy", "labels"];
        if let Some(old) = labels.keys().find(|l| traefik1::is_traefik1_label(l)) {
            self.add_warning(
                &path,
                tr!("{old} is a label of Traefik 1, which Traefik 3 ignores: deploying turns it into a new one; `matou migrate` writes the new file"),
            );
        }
    }
}

/// Why an image is not pinned, if it is not.
fn find_unpinned_reason(image: &str) -> Option<&'static str> {
    if image.contains('@') {
        return None;
    }
    match image.rsplit('/').next().and_then(|n| n.split_once(':')) {
        None => Some(tr!("has no tag")),
        Some((_, "latest")) => Some(tr!("is whatever is the latest")),
        Some(_) => None,
    }
}

/// Iterates over the entries of a section at the top of the file.
pub(super) fn section_entries<'a>(
    compose: &'a Mapping,
    name: &str,
) -> impl Iterator<Item = (&'a str, &'a Value)> {
    compose
        .get(name)
        .and_then(Value::as_mapping)
        .into_iter()
        .flatten()
        .filter_map(|(k, v)| Some((k.as_str()?, v)))
}

/// Lists the names in a list or mapping of references, with the key or index of each.
pub(super) fn list_references(value: Option<&Value>) -> Vec<(&str, String)> {
    match value {
        Some(Value::Sequence(items)) => items
            .iter()
            .enumerate()
            .filter_map(|(i, item)| {
                let name = item.as_str().or_else(|| item.get("source")?.as_str())?;
                Some((name, i.to_string()))
            })
            .collect(),
        Some(Value::Mapping(map)) => map
            .keys()
            .filter_map(|k| Some((k.as_str()?, k.as_str()?.to_owned())))
            .collect(),
        _ => Vec::new(),
    }
}

/// Lists the named volumes that a service mounts, with the index of each.
pub(super) fn list_named_volumes(service: &Mapping) -> Vec<(String, String)> {
    let volumes = service.get("volumes").and_then(Value::as_sequence);
    let mut named = Vec::new();
    for (i, volume) in volumes.into_iter().flatten().enumerate() {
        let source = match volume {
            Value::String(short) => match short.split_once(':') {
                Some((source, _)) => source,
                // A path alone is an anonymous volume.
                None => continue,
            },
            long if long
                .get("type")
                .and_then(Value::as_str)
                .is_none_or(|t| t == "volume") =>
            {
                match long.get("source").and_then(Value::as_str) {
                    Some(source) => source,
                    None => continue,
                }
            }
            _ => continue,
        };
        if !source.starts_with(['/', '.', '~', '$', '{']) && !source.is_empty() {
            named.push((i.to_string(), source.to_owned()));
        }
    }
    named
}

/// Parses an entry of `ports`: the published ports, with their protocol; those that the engine
/// chooses are left out. Fails with its text.
/// Source: docker/go-connections, nat/nat.go (`ParsePortSpec`).
pub(super) fn parse_published_ports(port: &Value) -> Result<Vec<(u64, String)>, InvalidInput> {
    match port {
        Value::Mapping(long) => {
            let protocol = long
                .get("protocol")
                .and_then(Value::as_str)
                .unwrap_or("tcp");
            let published = long.get("published").and_then(|p| match p {
                Value::Number(n) => n.as_u64(),
                Value::String(s) => s.parse().ok(),
                _ => None,
            });
            let published = published.filter(|p| *p != 0);
            Ok(published
                .map(|p| (p, protocol.to_ascii_lowercase()))
                .into_iter()
                .collect())
        }
        Value::Number(n) if n.as_u64().is_some_and(|n| n <= 65_535) => Ok(Vec::new()),
        Value::Number(n) => Err(InvalidInput::new(n)),
        Value::String(short) => {
            parse_short_port(short).ok_or_else(|| InvalidInput::new(short.as_str()))
        }
        other => Err(InvalidInput::new(format_args!("{other:?}"))),
    }
}

/// Parses `[ADDRESS:][PUBLISHED:]TARGET[/PROTOCOL]`.
fn parse_short_port(short: &str) -> Option<Vec<(u64, String)>> {
    // Swarm ignores an address, which may have colons.
    let mut parts = short.rsplitn(3, ':');
    let target = parts.next().unwrap_or_default();
    let published = parts.next().unwrap_or_default();
    if let Some(address) = parts.next().filter(|a| !a.is_empty()) {
        let inside = address.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
        let zoned = inside.unwrap_or(address);
        zoned.parse::<std::net::IpAddr>().ok()?;
    }
    let mut target = target.split('/');
    let (ports, protocol) = (target.next()?, target.next().unwrap_or_default());
    let protocol = match protocol {
        "" => "tcp".to_owned(),
        protocol => protocol.to_ascii_lowercase(),
    };
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return None;
    }
    let targets = parse_port_range(ports)?;
    if published.is_empty() {
        return Some(Vec::new());
    }
    let published = parse_port_range(published)?;
    let length = |range: &std::ops::RangeInclusive<u64>| range.end() - range.start();
    if length(&targets) != length(&published) && length(&targets) != 0 {
        return None;
    }
    let chosen = published.filter(|p| *p != 0);
    Some(chosen.map(|p| (p, protocol.clone())).collect())
}

fn parse_port_range(text: &str) -> Option<std::ops::RangeInclusive<u64>> {
    let mut parts = text.split('-');
    let from = parts.next()?;
    let to = parts.next().unwrap_or(from);
    let port = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u64>().ok().filter(|_| digits)
    };
    let (from, to) = (port(from)?, port(to)?);
    (from <= to && to <= 65_535).then_some(from..=to)
}
