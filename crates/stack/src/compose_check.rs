//! Checks a compose file against its form: unknown keys at every depth, and values of a wrong kind.

use std::collections::HashSet;

use matou_i18n::tr;
use serde_yaml::{Mapping, Number, Value};

use super::compose_schema::{Digits, Entries, FILE, Format, NEWEST, Others, Shape, Unique};
use super::compose_values;
use super::labels::scalar_text;
use super::lint::{MAX_FINDINGS, REFUSED_KEYS};
use super::safety::LocatedMessage;
use matou_base::text::escape_line;
use matou_config::find_nearest_name;

/// Most keys that are listed where one is unknown.
const FEW_KEYS: usize = 8;

/// Longest part of a value that a message repeats, characters.
const LONGEST_SHOWN: usize = 40;

/// What to write in place of keys that only `docker compose` knows, by what has them.
const COMPOSE_ONLY: [(&str, &str, &str); 43] = [
    ("a stack file", "include", ""),
    ("a stack file", "models", ""),
    ("a service", "annotations", ""),
    ("a service", "attach", ""),
    ("a service", "blkio_config", ""),
    ("a service", "cpu_count", "deploy.resources.limits.cpus"),
    ("a service", "cpu_percent", "deploy.resources.limits.cpus"),
    ("a service", "cpu_period", "deploy.resources.limits.cpus"),
    ("a service", "cpus", "deploy.resources.limits.cpus"),
    ("a service", "develop", ""),
    ("a service", "device_cgroup_rules", ""),
    ("a service", "dns_opt", ""),
    (
        "a service",
        "gpus",
        "deploy.resources.reservations.generic_resources",
    ),
    ("a service", "group_add", "`user: \"uid:gid\"`"),
    ("a service", "label_file", "labels"),
    (
        "a service",
        "mem_reservation",
        "deploy.resources.reservations.memory",
    ),
    ("a service", "mem_swappiness", ""),
    ("a service", "oom_kill_disable", ""),
    ("a service", "pids_limit", "deploy.resources.limits.pids"),
    (
        "a service",
        "platform",
        "a constraint on node.platform.arch",
    ),
    ("a service", "post_start", ""),
    ("a service", "pre_stop", ""),
    ("a service", "profiles", ""),
    ("a service", "provider", ""),
    ("a service", "pull_policy", ""),
    ("a service", "runtime", ""),
    ("a service", "scale", "deploy.replicas"),
    ("a service", "storage_opt", ""),
    ("a service", "uts", ""),
    ("a network of a service", "gw_priority", ""),
    ("a network of a service", "interface_name", ""),
    ("a network of a service", "link_local_ips", ""),
    ("a network of a service", "mac_address", ""),
    ("a network of a service", "priority", ""),
    ("a network", "enable_ipv4", ""),
    ("a network", "enable_ipv6", ""),
    ("`ipam.config`", "aux_addresses", ""),
    ("`ipam.config`", "gateway", ""),
    ("`ipam.config`", "ip_range", ""),
    ("a port", "app_protocol", ""),
    ("a port", "host_ip", ""),
    ("a port", "name", ""),
    ("`reservations`", "devices", "generic_resources"),
];

/// Checks a compose file whose variables were replaced: the place of each thing that `docker stack
/// deploy` refuses, and what to write instead.
pub(super) fn check_compose_form(compose: &Mapping) -> Vec<LocatedMessage> {
    let mut checker = Checker {
        version: NEWEST,
        path: Vec::new(),
        found: Vec::new(),
    };
    checker.read_version(compose);
    checker.check_entries(compose, &FILE);
    checker.found
}

struct Checker {
    /// What stands after `3.` in the file's version.
    version: u8,
    path: Vec<String>,
    found: Vec<LocatedMessage>,
}

impl Checker {
    fn add_message(&mut self, message: String) {
        if self.found.len() <= MAX_FINDINGS {
            self.found.push((self.path.clone(), message));
        }
    }

    fn add_message_at(&mut self, key: &str, message: String) {
        self.path.push(key.to_owned());
        self.add_message(message);
        self.path.pop();
    }

    fn read_version(&mut self, compose: &Mapping) {
        let stated = match compose.get("version") {
            Some(Value::String(text)) => text.as_str(),
            // A number is told as a wrong kind.
            _ => return,
        };
        if matches!(stated, "" | "3") {
            return;
        }
        let minor = stated.strip_prefix("3.");
        let minor = minor.filter(|m| !m.starts_with('0') || *m == "0");
        match minor.and_then(|m| m.parse().ok()).filter(|m| *m <= NEWEST) {
            Some(minor) => self.version = minor,
            None => self.add_message_at(
                "version",
                tr!(
                    "`docker stack deploy` reads no files of version {}: write `version: \"3.{NEWEST}\"`, or leave it out",
                    shorten_value(stated)
                ),
            ),
        }
    }

    fn check_entries(&mut self, map: &Mapping, entries: &Entries) {
        for (key, value) in map {
            let Value::String(name) = key else {
                let shown = shorten_value(&scalar_text(key));
                self.add_message(tr!(
                    "a key is a text, and {shown} is none: write it in quotes"
                ));
                continue;
            };
            self.path.push(name.clone());
            self.check_entry(name, value, entries);
            self.path.pop();
        }
        for name in entries.required {
            if !map.contains_key(*name) {
                self.add_message(tr!("{} needs `{name}`", name_owner(entries.owner)));
            }
        }
    }

    fn check_entry(&mut self, name: &str, value: &Value, entries: &Entries) {
        if let Some(key) = entries.keys.iter().find(|k| k.name == name) {
            if key.since <= self.version {
                return self.check_value(value, key.shape);
            }
            let extension =
                matches!(entries.others, Others::Extensions(first) if self.version >= first);
            if extension && name.starts_with("x-") {
                return;
            }
            return self.add_message(tr!(
                "version 3.{} of the format has no `{name}` in {}: write `version: \"3.{NEWEST}\"` at the top",
                self.version, name_owner(entries.owner)
            ));
        }
        let identifier = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let is_identifier = !name.is_empty() && name.chars().all(identifier);
        match entries.others {
            Others::Ignored => {}
            Others::RefusedBefore(first) if self.version >= first => {}
            Others::Extensions(first) if self.version >= first && name.starts_with("x-") => {}
            Others::Named(shape) if !name.is_empty() => self.check_value(value, shape),
            Others::Identifiers(shape) | Others::LooseIdentifiers(shape) if is_identifier => {
                self.check_value(value, shape);
            }
            Others::LooseIdentifiers(_) => {}
            Others::SmallLetters(shape) => {
                if name.chars().all(|c| c.is_ascii_lowercase()) {
                    self.check_value(value, shape);
                }
            }
            Others::Named(_) | Others::Identifiers(_) => self.add_message(tr!(
                "`{}` is no name in {}: it is made of letters, digits, `.`, `_` and `-`",
                shorten_value(name),
                name_owner(entries.owner)
            )),
            Others::Refused | Others::RefusedBefore(_) | Others::Extensions(_) => {
                self.refuse_key(name, entries);
            }
        }
    }

    fn refuse_key(&mut self, name: &str, entries: &Entries) {
        let owner = entries.owner;
        // They have a finding of their own.
        if owner == "a service" && REFUSED_KEYS.iter().any(|(k, _)| *k == name) {
            return;
        }
        let shown = shorten_value(name);
        let known = || entries.keys.iter().filter(|k| k.since <= self.version);
        let compose_only = COMPOSE_ONLY
            .iter()
            .find(|(o, k, _)| *o == owner && *k == name);
        let hint = match (owner, name, compose_only) {
            ("a stack file", "name", _) => {
                tr!("take it out, the application is named when it is deployed").to_owned()
            }
            ("a secret" | "a config", "content" | "environment", _) => {
                tr!("give it a file, or `external: true`").to_owned()
            }
            (_, _, Some((_, _, ""))) => {
                tr!("only `docker compose` knows it, take it out").to_owned()
            }
            (_, _, Some((_, _, instead))) => {
                let instead = match *instead {
                    "a constraint on node.platform.arch" => {
                        tr!("a constraint on node.platform.arch")
                    }
                    key => key,
                };
                tr!("only `docker compose` knows it, use {instead}")
            }
            _ => match find_nearest_name(&shown, known().map(|k| k.name)) {
                Some(near) => tr!("did you mean `{near}`?"),
                None if known().count() <= FEW_KEYS => {
                    let names: Vec<&str> = known().map(|k| k.name).collect();
                    tr!("it has {}", names.join(", "))
                }
                None => tr!("take it out, or indent it as what it belongs to").to_owned(),
            },
        };
        let owner = name_owner(owner);
        self.add_message(tr!("{owner} has no `{shown}`: {hint}"));
    }

    fn check_value(&mut self, value: &Value, shape: &Shape) {
        if self.found.len() > MAX_FINDINGS {
            return;
        }
        match value {
            Value::Null if shape.empty => {}
            Value::Bool(_) if shape.flag => {}
            Value::Number(number) => match shape.number {
                Some(digits) => self.check_number(number, digits),
                None => self.refuse_value(value, shape),
            },
            Value::String(text) => self.check_text(value, text, shape),
            Value::Sequence(items) => match shape.list {
                Some(list) => {
                    self.check_items(items, list.item);
                    let unique = match list.unique {
                        Unique::No => false,
                        Unique::Yes => true,
                        Unique::Before(version) => self.version < version,
                    };
                    if unique {
                        self.check_unique(items);
                    }
                }
                None => self.refuse_value(value, shape),
            },
            Value::Mapping(map) => match shape.map.filter(|m| m.since <= self.version) {
                Some(entries) => self.check_entries(map, entries),
                None => self.refuse_value(value, shape),
            },
            _ => self.refuse_value(value, shape),
        }
    }

    fn check_items(&mut self, items: &[Value], item: &Shape) {
        for (i, value) in items.iter().enumerate() {
            self.path.push(i.to_string());
            self.check_value(value, item);
            self.path.pop();
        }
    }

    fn check_unique(&mut self, items: &[Value]) {
        let mut seen = HashSet::new();
        for (i, value) in items.iter().enumerate() {
            if !seen.insert(value) {
                let place = self.describe_place();
                let message = tr!("the same item stands in {place} twice: take one out");
                self.add_message_at(&i.to_string(), message);
            }
        }
    }

    fn check_number(&mut self, number: &Number, digits: Digits) {
        let value = number.as_f64().unwrap_or_default();
        let whole = value.fract() == 0.0;
        let fault = match digits {
            Digits::Any if value.is_finite() => return,
            Digits::Any => tr!("a number"),
            Digits::NotNegative if value >= 0.0 => return,
            Digits::Whole if whole => return,
            Digits::WholeNotNegative if whole && value >= 0.0 => return,
            Digits::Integer if !number.is_f64() => return,
            Digits::Port if !number.is_f64() && (0.0..=65_535.0).contains(&value) => return,
            Digits::NotNegative => tr!("a number from 0 on"),
            Digits::Whole | Digits::Integer => tr!("a whole number"),
            Digits::WholeNotNegative => tr!("a whole number from 0 on"),
            Digits::Port => tr!("a port up to 65535"),
        };
        let place = self.describe_place();
        self.add_message(tr!("{place} is {fault}, and {number} is none"));
    }

    fn check_text(&mut self, value: &Value, text: &str, shape: &Shape) {
        let Some(format) = shape.text else {
            return self.refuse_value(value, shape);
        };
        let place = self.describe_place();
        // What was interpolated is escaped once more.
        let text = text.replace("$$", "$");
        let shown = shorten_value(&text);
        if text.is_empty() && !matches!(format, Format::Free | Format::Command) {
            return self.add_message(tr!(
                "{place} is empty: give it a value (is a variable without one?)"
            ));
        }
        let fault = match format {
            Format::Free => None,
            Format::Duration => compose_values::parse_duration(&text).is_none().then(|| {
                tr!("{place} is a length of time as `10s`, `1m30s` or `24h`, and \"{shown}\" is none")
            }),
            Format::Size => compose_values::parse_size(&text).is_none().then(|| {
                tr!("{place} is an amount as `512M` or `1G`, and \"{shown}\" is none")
            }),
            Format::Order => (!["start-first", "stop-first"].contains(&text.as_str())).then(|| {
                tr!("{place} is `start-first` or `stop-first`, and \"{shown}\" is none of them")
            }),
            Format::Command => compose_values::find_command_fault(&text)
                .map(|fault| tr!("{place} can't be split into words: {fault}")),
            Format::Mount => compose_values::parse_short_mount(&text).err().map(|fault| {
                tr!("\"{shown}\" is no mount, {fault}: write `name:/path` or `/folder:/path:ro`")
            }),
            Format::Port => compose_values::find_port_fault(&text)
                .map(|fault| tr!("`{shown}` is no port, {fault}: write \"8080:80\" in quotes")),
        };
        if let Some(fault) = fault {
            self.add_message(fault);
        }
    }

    /// Names the value at the current path.
    fn describe_place(&self) -> String {
        let last = self.path.last().map_or("", String::as_str);
        let is_index = last.chars().all(|c| c.is_ascii_digit());
        match self.path.len().checked_sub(2).map(|i| &self.path[i]) {
            Some(list) if is_index => tr!("an item of `{}`", shorten_value(list)),
            _ => format!("`{}`", shorten_value(last)),
        }
    }

    fn refuse_value(&mut self, value: &Value, shape: &Shape) {
        let place = self.describe_place();
        let wanted = describe_wanted(shape, self.version);
        let found = describe_found(value);
        let key = match place.starts_with('`') {
            true => format!("{}: ", self.path.last().map_or("", String::as_str)),
            false => "- ".to_owned(),
        };
        let cure = write_cure(value, shape, &shorten_value(&key));
        self.add_message(tr!("{place} is {wanted}, not {found}: {cure}"));
    }
}

/// Returns the name of what a mapping is, in the language spoken; keys stay what they are.
fn name_owner(owner: &'static str) -> &'static str {
    match owner {
        "it" => tr!("it"),
        "a stack file" => tr!("a stack file"),
        "a service" => tr!("a service"),
        "a network of a service" => tr!("a network of a service"),
        "a port" => tr!("a port"),
        "a limit" => tr!("a limit"),
        "a mount" => tr!("a mount"),
        "a generic resource" => tr!("a generic resource"),
        "a preference" => tr!("a preference"),
        "a network" => tr!("a network"),
        "a volume" => tr!("a volume"),
        "a secret" => tr!("a secret"),
        "a config" => tr!("a config"),
        key => key,
    }
}

fn describe_wanted(shape: &Shape, version: u8) -> String {
    let mut forms = Vec::new();
    if let Some(format) = shape.text {
        forms.push(match format {
            Format::Duration => tr!("a length of time"),
            Format::Size => tr!("an amount, as a text"),
            Format::Free | Format::Port | Format::Mount | Format::Command | Format::Order => {
                tr!("a text")
            }
        });
    }
    if let Some(digits) = shape.number {
        forms.push(match digits {
            Digits::Any | Digits::NotNegative => tr!("a number"),
            Digits::Whole | Digits::WholeNotNegative | Digits::Integer | Digits::Port => {
                tr!("a whole number")
            }
        });
    }
    if shape.flag {
        forms.push(tr!("true or false"));
    }
    if shape.list.is_some() {
        forms.push(tr!("a list"));
    }
    if shape.map.is_some_and(|m| m.since <= version) {
        forms.push(tr!("a mapping"));
    }
    match forms.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, before)) => tr!("{} or {last}", before.join(", ")),
        None => tr!("nothing").to_owned(),
    }
}

fn describe_found(value: &Value) -> String {
    match value {
        Value::Null => tr!("empty").to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => tr!("the number {number}"),
        Value::String(text) => tr!("the text \"{}\"", shorten_value(text)),
        Value::Sequence(_) => tr!("a list").to_owned(),
        Value::Mapping(_) | Value::Tagged(_) => tr!("a mapping").to_owned(),
    }
}

/// Says what to write instead of a value of the wrong kind; `key` is what stands before it.
fn write_cure(value: &Value, shape: &Shape, key: &str) -> String {
    match value {
        Value::Null => tr!("give it a value, or take it out").to_owned(),
        Value::Bool(_) | Value::Number(_) if shape.text == Some(Format::Duration) => {
            tr!("write `{key}{}s`", scalar_text(value))
        }
        Value::Number(_) if shape.text == Some(Format::Size) => {
            tr!("write it with its unit, as `{key}512M`")
        }
        Value::Bool(_) | Value::Number(_) if shape.text.is_some() => {
            tr!("write `{key}\"{}\"`, in quotes", scalar_text(value))
        }
        Value::String(text) if shape.number.is_some() && text.trim().parse::<f64>().is_ok() => {
            tr!("write `{key}{}`, without quotes", text.trim())
        }
        Value::String(text) if shape.flag => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "y" | "on" | "1" => tr!("write `{key}true`, without quotes"),
            "false" | "no" | "n" | "off" | "0" => tr!("write `{key}false`, without quotes"),
            _ => tr!("write `{key}true` or `{key}false`"),
        },
        Value::String(text) if text.is_empty() => {
            tr!("give it a value: is a variable without one?").to_owned()
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) if shape.list.is_some() => {
            tr!("write `{key}[{}]`", shorten_value(&scalar_text(value)))
        }
        Value::Mapping(map) if shape.list.is_some() => {
            let names: Vec<String> = map.keys().take(5).map(scalar_text).collect();
            tr!("write `{key}[{}]`", shorten_value(&names.join(", ")))
        }
        Value::Mapping(map) if shape.text.is_some() && map.len() == 1 => {
            let pair = map.iter().next();
            let (name, text) = pair
                .map(|(k, v)| (scalar_text(k), scalar_text(v)))
                .unwrap_or_default();
            tr!(
                "write `{key}{}={}`",
                shorten_value(&name),
                shorten_value(&text)
            )
        }
        _ => tr!("write it so").to_owned(),
    }
}

fn shorten_value(text: &str) -> String {
    let mut short: String = text.chars().take(LONGEST_SHOWN).collect();
    let is_cut = short.len() < text.len();
    short = short.replace("$$", "$");
    if is_cut {
        short.push('…');
    }
    escape_line(&short).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_text(text: &str) -> Vec<LocatedMessage> {
        let compose: Mapping = serde_yaml::from_str(text).unwrap();
        check_compose_form(&compose)
    }

    #[test]
    fn each_message_says_what_to_write() {
        for (place, wanted) in [
            (
                "deploy: {replicas: '2'}",
                "write `replicas: 2`, without quotes",
            ),
            (
                "deploy: {resources: {limits: {cpus: 0.5}}}",
                "write `cpus: \"0.5\"`, in quotes",
            ),
            ("deploy: {update_config: {delay: 10}}", "write `delay: 10s`"),
            (
                "environment: {DEBUG: true}",
                "write `DEBUG: \"true\"`, in quotes",
            ),
            ("environment: [FOO: bar]", "write `- FOO=bar`"),
            (
                "depends_on: {db: {condition: x}}",
                "write `depends_on: [db]`",
            ),
            (
                "dns_search: {}",
                "`dns_search` is a text or a list, not a mapping",
            ),
            ("cap_add: CHOWN", "write `cap_add: [CHOWN]`"),
            ("tty: 'yes'", "write `tty: true`, without quotes"),
            (
                "scale: 2",
                "only `docker compose` knows it, use deploy.replicas",
            ),
            ("healthcheck: {tset: a}", "did you mean `test`?"),
            ("logging: {file: a}", "it has driver, options"),
        ] {
            let found = check_text(&format!("services: {{w: {{image: a, {place}}}}}"));
            assert!(
                found.iter().any(|(_, m)| m.contains(wanted)),
                "{wanted}: {found:?}"
            );
            assert_eq!(found.len(), 1, "{found:?}");
        }
    }

    #[test]
    fn a_file_of_nothing_but_faults_is_given_up() {
        let mut text = "services:\n".to_owned();
        for i in 0..5_000 {
            text.push_str(&format!("  s{i}: {{i: 1}}\n"));
        }
        assert_eq!(check_text(&text).len(), MAX_FINDINGS + 1);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[a-c:\\-\\[\\]{}'0-9._$ ]{0,30}", key in "services|networks|volumes|secrets|configs|version") {
            if let Ok(compose) = serde_yaml::from_str::<Mapping>(&format!("{key}: {text}")) {
                check_compose_form(&compose);
            }
            let inside = format!("services: {{w: {{{text}}}}}");
            if let Ok(compose) = serde_yaml::from_str::<Mapping>(&inside) {
                check_compose_form(&compose);
            }
        }
    }
}
