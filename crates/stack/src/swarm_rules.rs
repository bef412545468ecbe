//! What Swarm refuses when a service, secret or config is made, and what it takes and never carries out.
//!
//! Source: moby/swarmkit, manager/controlapi, manager/constraint and template; moby/moby,
//! daemon/cluster/convert; docker/cli, cli/compose/convert.

use std::collections::BTreeSet;

use matou_i18n::tr;
use serde_yaml::{Mapping, Value};

use super::compose_rules::{RuleFindings, text_at, value_at};
use super::compose_values::{parse_duration, parse_size};
use super::extension::SecretSpec;
use super::labels::{labels_from_value, scalar_text};
use super::lint::{list_named_volumes, section_entries};

/// Longest name of a service, with the application's before it.
const LONGEST_SERVICE: usize = 63;

/// Longest name of a secret or config.
const LONGEST_SECRET: usize = 64;

/// Least memory that a task may be limited to, bytes.
const LEAST_MEMORY: f64 = 4_194_304.0;

/// Shortest length of time in a health check, billionths of a second.
const SHORTEST_CHECK: f64 = 1e6;

const MODES: [&str; 4] = ["replicated", "global", "replicated-job", "global-job"];

/// What a placement constraint may ask for, beside labels.
const NODE_KEYS: [&str; 6] = [
    "node.id",
    "node.hostname",
    "node.ip",
    "node.role",
    "node.platform.os",
    "node.platform.arch",
];

/// Databases, by the last part of their images' names: two of one kind on one folder ruin the data.
const DATABASES: [&str; 13] = [
    "couchdb",
    "influxdb",
    "mariadb",
    "mongo",
    "mongodb",
    "mysql",
    "mysql-server",
    "percona",
    "pgvector",
    "postgis",
    "postgres",
    "postgresql",
    "timescaledb",
];

/// Words that a template may begin with, beside what Swarm fills in.
/// Source: pkg.go.dev/text/template, and swarmkit, template/template.go.
const TEMPLATE_WORDS: [&str; 34] = [
    "and", "block", "break", "call", "continue", "define", "else", "end", "eq", "false", "ge",
    "gt", "html", "if", "index", "join", "js", "le", "len", "lt", "ne", "nil", "not", "or",
    "print", "printf", "println", "range", "slice", "template", "true", "urlquery", "with", "",
];

/// What Swarm fills in.
const TEMPLATE_FIELDS: [&str; 11] = [
    ".",
    ".Node.Hostname",
    ".Node.ID",
    ".Node.Platform.Architecture",
    ".Node.Platform.OS",
    ".Service.ID",
    ".Service.Labels",
    ".Service.Name",
    ".Task.ID",
    ".Task.Name",
    ".Task.Slot",
];

/// Checks the names of what is made in the swarm.
pub(super) fn check_names(
    app: &str,
    compose: &Mapping,
    generated: &[SecretSpec],
    out: &mut RuleFindings,
) {
    for (name, _) in section_entries(compose, "services") {
        let whole = format!("{app}_{name}");
        let path = ["services", name];
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !name.chars().all(fits) || !name.ends_with(|c: char| c.is_ascii_alphanumeric()) {
            out.add_error(
                &path,
                tr!("Swarm takes no service of the name `{name}`: it is made of letters, digits, `-` and `_`, and ends in a letter or digit"),
            );
        } else if whole.len() > LONGEST_SERVICE {
            out.add_error(
                &path,
                tr!(
                    "Swarm takes names up to {LONGEST_SERVICE} characters, and {whole} has {}: shorten the service's or the application's",
                    whole.len()
                ),
            );
        }
    }
    for kind in ["secrets", "configs"] {
        for (name, entry) in section_entries(compose, kind) {
            let whole = swarm_name(app, name, entry, kind == "secrets", generated);
            check_secret_name(kind, name, &whole, out);
        }
    }
}

/// Returns the name of a secret or config in the swarm; where it holds a hash, with one of that length.
fn swarm_name(
    app: &str,
    name: &str,
    entry: &Value,
    is_secret: bool,
    generated: &[SecretSpec],
) -> String {
    let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).map(str::to_owned);
    if is_secret && generated.iter().any(|s| s.name == name) {
        return format!("{app}_{name}_v1");
    }
    match entry.get("external") {
        Some(external @ Value::Mapping(_)) => text(external, "name"),
        Some(Value::Bool(true)) => text(entry, "name"),
        _ => Some(format!("{app}_{name}_00000000")),
    }
    .unwrap_or_else(|| name.to_owned())
}

fn check_secret_name(kind: &str, name: &str, whole: &str, out: &mut RuleFindings) {
    let one = kind.trim_end_matches('s');
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let ends = |c: char| c.is_ascii_alphanumeric();
    if !whole.chars().all(fits) || !whole.starts_with(ends) || !whole.ends_with(ends) {
        out.add_error(
            &[kind, name],
            tr!("Swarm takes no {one} of the name `{whole}`: it is made of letters, digits, `-`, `_` and `.`, and begins and ends with a letter or digit"),
        );
    } else if whole.len() > LONGEST_SECRET {
        out.add_error(
            &[kind, name],
            tr!(
                "Swarm takes names of a {one} up to {LONGEST_SECRET} characters, and {whole} has {}: shorten `{name}` or the application's name",
                whole.len()
            ),
        );
    }
}

/// Checks what Swarm makes of a service.
pub(super) fn check_swarm_service(name: &str, service: &Mapping, out: &mut RuleFindings) {
    check_image_name(name, service, out);
    check_mode(name, service, out);
    check_endpoint(name, service, out);
    check_words(name, service, out);
    check_amounts(name, service, out);
    check_placement(name, service, out);
    check_file_targets(name, service, out);
    check_templates(name, service, out);
    check_overlap(name, service, out);
}

fn check_image_name(name: &str, service: &Mapping, out: &mut RuleFindings) {
    let Some(image) = text_at(service, &["image"]).filter(|i| !i.is_empty()) else {
        return;
    };
    if let Some(fault) = find_image_fault(image) {
        out.add_error(
            &["services", name, "image"],
            tr!("Swarm takes no image of the name `{image}`: {fault}"),
        );
    }
}

/// Says why a text is no name of an image.
/// Source: distribution/reference.
fn find_image_fault(image: &str) -> Option<&'static str> {
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    let hex = |d: &str| d.len() >= 32 && d.chars().all(|c| c.is_ascii_hexdigit());
    if digest.is_some_and(|d| !d.split_once(':').is_some_and(|(_, d)| hex(d))) {
        return Some(tr!("what stands behind the @ is no digest"));
    }
    let begin = rest.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match rest[begin..].split_once(':') {
        Some((last, tag)) => (&rest[..begin + last.len()], Some(tag)),
        None => (rest, None),
    };
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let fits = |c: char| word(c) || c == '.' || c == '-';
    match tag {
        Some("") => return Some(tr!("its tag is empty (is a variable without a value?)")),
        Some(tag) if tag.len() > 128 || !tag.starts_with(word) || !tag.chars().all(fits) => {
            return Some(tr!("its tag is none"));
        }
        _ => {}
    }
    let (domain, path) = match path.split_once('/') {
        Some((domain, path)) if is_domain(domain) => (domain, path),
        _ => ("", path),
    };
    let host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if !domain.chars().all(host) {
        return Some(tr!("the registry is no host name"));
    }
    let small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |p: &str| {
        p.starts_with(small)
            && p.ends_with(small)
            && p.chars().all(|c| small(c) || matches!(c, '.' | '_' | '-'))
    };
    if path.chars().any(|c| c.is_ascii_uppercase()) {
        return Some(tr!("it is written in small letters"));
    }
    (!path.split('/').all(part)).then_some(tr!("write it as `registry/name:tag`"))
}

fn is_domain(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.chars().any(|c| c.is_ascii_uppercase())
}

fn check_mode(name: &str, service: &Mapping, out: &mut RuleFindings) {
    let mode = text_at(service, &["deploy", "mode"]).unwrap_or_default();
    if !mode.is_empty() && !MODES.contains(&mode) {
        return out.add_error(
            &["services", name, "deploy", "mode"],
            tr!("Swarm has no mode {mode}: it is {}", MODES.join(", ")),
        );
    }
    let has = |key: &str| value_at(service, &["deploy", key]).is_some_and(|v| !v.is_null());
    if mode.starts_with("global") && has("replicas") {
        out.add_error(
            &["services", name, "deploy", "replicas"],
            tr!("Swarm takes no replicas with `mode: {mode}`: take one of them out"),
        );
    }
    if mode.ends_with("-job") && has("update_config") {
        out.add_error(
            &["services", name, "deploy", "update_config"],
            tr!("Swarm takes no `update_config` with `mode: {mode}`: take it out"),
        );
    }
}

fn check_endpoint(name: &str, service: &Mapping, out: &mut RuleFindings) {
    let mode = text_at(service, &["deploy", "endpoint_mode"]).unwrap_or_default();
    let path = ["services", name, "deploy", "endpoint_mode"];
    let mode = mode.to_ascii_lowercase();
    if !["", "vip", "dnsrr"].contains(&mode.as_str()) {
        out.add_error(
            &path,
            tr!("Swarm has no `endpoint_mode` {mode}: it is vip or dnsrr"),
        );
    }
    let ports = service.get("ports").and_then(Value::as_sequence);
    let mut has_ingress = false;
    for (i, port) in ports.into_iter().flatten().enumerate() {
        let text = |key: &str| port.get(key).and_then(Value::as_str).unwrap_or_default();
        let index = i.to_string();
        let at = |key| ["services", name, "ports", &index, key].map(str::to_owned);
        has_ingress |= !text("mode").eq_ignore_ascii_case("host");
        for (key, known) in [
            ("mode", &["", "ingress", "host"][..]),
            ("protocol", &["", "tcp", "udp", "sctp"][..]),
        ] {
            let word = text(key).to_ascii_lowercase();
            if !known.contains(&word.as_str()) {
                let place = at(key);
                let place: Vec<&str> = place.iter().map(String::as_str).collect();
                out.add_warning(
                    &place,
                    tr!(
                        "Swarm knows no `{key}: {word}` and takes it for {}: write {}",
                        known[1],
                        known[1..].join(tr!(" or "))
                    ),
                );
            }
        }
    }
    if mode == "dnsrr" && has_ingress {
        out.add_error(
            &path,
            tr!("Swarm publishes no ports of a service with `endpoint_mode: dnsrr`, unless they have `mode: host`: take one of them out").into(),
        );
    }
}

/// Checks settings that are one of a few words.
fn check_words(name: &str, service: &Mapping, out: &mut RuleFindings) {
    for (section, key, known) in [
        (
            "restart_policy",
            "condition",
            &["none", "on-failure", "any"][..],
        ),
        (
            "update_config",
            "failure_action",
            &["pause", "continue", "rollback"][..],
        ),
        (
            "rollback_config",
            "failure_action",
            &["pause", "continue", "rollback"][..],
        ),
    ] {
        let word = text_at(service, &["deploy", section, key]).unwrap_or_default();
        if word.is_empty() || known.contains(&word) {
            continue;
        }
        let cure = match word {
            "always" | "unless-stopped" => tr!("write any").to_owned(),
            "no" | "never" => tr!("write none").to_owned(),
            _ => tr!("it is {}", known.join(", ")),
        };
        out.add_error(
            &["services", name, "deploy", section, key],
            tr!("Swarm knows no `{key}: {word}`: {cure}"),
        );
    }
}

fn check_amounts(name: &str, service: &Mapping, out: &mut RuleFindings) {
    for kind in ["limits", "reservations"] {
        let path = ["deploy", "resources", kind, "memory"];
        let memory = text_at(service, &path).and_then(parse_size);
        if memory.is_some_and(|m| (1.0..LEAST_MEMORY).contains(&m)) {
            out.add_error(
                &["services", name, "deploy", "resources", kind, "memory"],
                tr!("Swarm takes no less memory than 4M: is a unit missing, as in `512M`?").into(),
            );
        }
    }
    let time = |path: &[&str]| text_at(service, path).and_then(parse_duration);
    for (section, key) in [
        ("restart_policy", "delay"),
        ("restart_policy", "window"),
        ("update_config", "delay"),
        ("update_config", "monitor"),
    ] {
        if time(&["deploy", section, key]).is_some_and(|t| t < 0.0) {
            out.add_error(
                &["services", name, "deploy", section, key],
                tr!("Swarm takes no negative `{key}`: write 0s or more"),
            );
        }
    }
    let ratio = value_at(service, &["deploy", "update_config", "max_failure_ratio"]);
    if ratio
        .and_then(Value::as_f64)
        .is_some_and(|r| !(0.0..=1.0).contains(&r))
    {
        out.add_error(
            &[
                "services",
                name,
                "deploy",
                "update_config",
                "max_failure_ratio",
            ],
            tr!("Swarm takes a `max_failure_ratio` from 0 to 1").into(),
        );
    }
    for key in ["interval", "timeout", "start_period", "start_interval"] {
        if time(&["healthcheck", key]).is_some_and(|t| t != 0.0 && t < SHORTEST_CHECK) {
            out.add_error(
                &["services", name, "healthcheck", key],
                tr!("Swarm takes no `{key}` under 1ms: write 1s or more"),
            );
        }
    }
}

fn check_placement(name: &str, service: &Mapping, out: &mut RuleFindings) {
    let path = ["deploy", "placement", "constraints"];
    let constraints = value_at(service, &path).and_then(Value::as_sequence);
    for (i, constraint) in constraints.into_iter().flatten().enumerate() {
        let Some(text) = constraint.as_str() else {
            continue;
        };
        if let Some(fault) = find_constraint_fault(&text.replace("$$", "$")) {
            let index = i.to_string();
            out.add_error(
                &[
                    "services",
                    name,
                    "deploy",
                    "placement",
                    "constraints",
                    &index,
                ],
                tr!("Swarm takes no constraint `{text}`: {fault}"),
            );
        }
    }
}

/// Says why a placement constraint is refused, or is fulfilled by no node.
fn find_constraint_fault(text: &str) -> Option<String> {
    let split = text.split_once("==").or_else(|| text.split_once("!="));
    let Some((key, value)) = split else {
        return Some(match text.split_once('=') {
            Some((key, value)) => tr!("write `{} == {}`", key.trim(), value.trim()),
            None => tr!("write it as `node.role == manager`").to_owned(),
        });
    };
    let (key, value) = (key.trim(), value.trim());
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let small = key.to_ascii_lowercase();
    let label = |prefix: &str| small.strip_prefix(prefix).is_some_and(|l| !l.is_empty());
    if !key.chars().all(word) || !key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return Some(tr!("`{key}` is no key"));
    }
    if !NODE_KEYS.contains(&small.as_str()) && !label("node.labels.") && !label("engine.labels.") {
        return Some(tr!(
            "no node has a `{key}`; there are {}, node.labels.… and engine.labels.…",
            NODE_KEYS.join(", ")
        ));
    }
    let fits = |c: char| {
        c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || ":-_.*()?+[]\\^$|/".contains(c)
    };
    if value.is_empty() {
        return Some(tr!("its value is empty (is a variable without a value?)").to_owned());
    }
    if !value.chars().all(fits) {
        return Some(tr!(
            "`{value}` has characters that are not allowed, such as quotes"
        ));
    }
    let role = ["manager", "worker"]
        .iter()
        .any(|r| value.eq_ignore_ascii_case(r));
    (small == "node.role" && !role).then(|| tr!("a node is a manager or a worker").to_owned())
}

/// Checks that no two secrets, and no two configs, stand at one path in the container.
fn check_file_targets(name: &str, service: &Mapping, out: &mut RuleFindings) {
    for kind in ["secrets", "configs"] {
        let mut targets = BTreeSet::new();
        let entries = service.get(kind).and_then(Value::as_sequence);
        for (i, entry) in entries.into_iter().flatten().enumerate() {
            let text = |key: &str| {
                entry
                    .get(key)
                    .and_then(Value::as_str)
                    .filter(|t| !t.is_empty())
            };
            let Some(target) = entry
                .as_str()
                .or_else(|| text("target"))
                .or_else(|| text("source"))
            else {
                continue;
            };
            if !targets.insert(target) {
                let index = i.to_string();
                out.add_error(
                    &["services", name, kind, &index],
                    tr!("Swarm takes one of the {kind} at {target}, and there are two: give one another `target`"),
                );
            }
        }
    }
}

/// Checks the templates in variables and the host name, which Swarm fills in for each task.
fn check_templates(name: &str, service: &Mapping, out: &mut RuleFindings) {
    if let Some(fault) = text_at(service, &["hostname"]).and_then(find_template_fault) {
        out.add_error(&["services", name, "hostname"], fault);
    }
    let environment = service.get("environment");
    if let Some(Value::Sequence(items)) = environment {
        for (i, item) in items.iter().enumerate() {
            let value = item.as_str().and_then(|t| t.split_once('='));
            if let Some(fault) = value.and_then(|(_, v)| find_template_fault(v)) {
                out.add_error(&["services", name, "environment", &i.to_string()], fault);
            }
        }
        return;
    }
    for (key, value) in labels_from_value(environment) {
        if let Some(fault) = find_template_fault(&value) {
            out.add_error(&["services", name, "environment", &key], fault);
        }
    }
}

fn find_template_fault(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let cure = tr!("write `{{{{\"{{{{\"}}}}` for two braces that are meant as such");
        let Some((inside, end)) = after.split_once("}}") else {
            return Some(tr!(
                "Swarm fills in templates, and one is not closed here: {cure}"
            ));
        };
        rest = end;
        let bare = inside.strip_prefix("- ").unwrap_or(inside);
        let bare = bare.strip_suffix(" -").unwrap_or(bare).trim();
        let first = bare.split([' ', '|', '(', ')']).next().unwrap_or_default();
        let is_word = first.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let unknown = match first.starts_with('.') {
            true => !TEMPLATE_FIELDS.iter().any(|f| {
                first == *f
                    || f.starts_with(&format!("{first}."))
                    || first.starts_with(".Service.Labels.")
            }),
            false => is_word && !TEMPLATE_WORDS.contains(&first),
        };
        if unknown || bare.is_empty() {
            let short: String = inside.chars().take(40).collect();
            return Some(tr!(
                "Swarm fills in templates, and knows no `{{{{{short}}}}}`: {cure}"
            ));
        }
    }
    None
}

/// Warns of tasks that would run beside each other and must not.
fn check_overlap(name: &str, service: &Mapping, out: &mut RuleFindings) {
    let order = ["deploy", "update_config", "order"];
    let starts_first = text_at(service, &order) == Some("start-first");
    let order = ["services", name, "deploy", "update_config", "order"];
    let ports = service.get("ports").and_then(Value::as_sequence);
    let host = ports.into_iter().flatten().any(|p| {
        let mode = p.get("mode").and_then(Value::as_str);
        mode == Some("host") && p.get("published").is_some()
    });
    if starts_first && host {
        out.add_warning(
            &order,
            tr!("the new task of {name} waits for a port of the node that the old one has: an update does not end unless another node is free; write `order: stop-first`"),
        );
    }
    let image = service.get("image").map(scalar_text).unwrap_or_default();
    let base = image.split('@').next().unwrap_or_default();
    let base = base.rsplit('/').next().unwrap_or_default();
    let base = base.split(':').next().unwrap_or_default();
    if !DATABASES.contains(&base) || list_named_volumes(service).is_empty() {
        return;
    }
    if starts_first {
        out.add_warning(
            &order,
            tr!("an update starts a second {base} on the volume of the first, which ruins the data: write `order: stop-first`"),
        );
    }
    let replicas = value_at(service, &["deploy", "replicas"]).and_then(Value::as_u64);
    if let Some(replicas) = replicas.filter(|r| *r > 1) {
        out.add_warning(
            &["services", name, "deploy", "replicas"],
            tr!("{replicas} tasks of {base} write to one volume, which ruins the data: write `replicas: 1`"),
        );
    }
}
