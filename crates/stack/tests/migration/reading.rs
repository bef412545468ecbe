//! What labels of Traefik 1 say, read as Traefik 1.7 reads them, and what Traefik 3 says of its own
//! routers. Written from the sources of Traefik 1.7, without matou's code:
//! `provider/label/segment.go`, `provider/label/partial.go`, `provider/docker/config.go`,
//! `templates/docker.tmpl`, `rules/rules.go`, `server/server_middlewares.go`,
//! `server/server_loadbalancer.go`, `server/server_configuration.go`.
//!
//! One thing is read otherwise: names of labels are compared without regard to case, where
//! Traefik 1 ignores a label that is written `entrypoints` for `entryPoints`.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;

pub(crate) type Labels = BTreeMap<String, String>;

/// What a router asks of requests, and what they pass, the outermost middleware first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Frontend {
    pub(crate) matchers: BTreeSet<String>,
    pub(crate) middlewares: Vec<String>,
}

/// Reads the frontends of a service. Fails with why Traefik 1 has none.
pub(crate) fn read_frontends(
    service: &str,
    labels: &Labels,
    backends: &BTreeSet<String>,
) -> Result<Vec<Frontend>, String> {
    let newer = Regex::new(r"^traefik\.(http|tcp|udp)\.(routers|services|middlewares)\.").unwrap();
    let property = Regex::new(
        r"^traefik\.(.+?)\.(port|portindex|portname|weight|protocol|backend|frontend\.(.+))$",
    )
    .unwrap();
    let mut segments: BTreeMap<String, Labels> = BTreeMap::new();
    let mut shared = Labels::new();
    for (name, value) in labels {
        let name = name.to_ascii_lowercase();
        if !name.starts_with("traefik.") || newer.is_match(&name) {
            continue;
        }
        let value = toml_string(value)?;
        let outside = name.starts_with("traefik.frontend.") || name.starts_with("traefik.backend.");
        match property.captures(&name).filter(|_| !outside) {
            Some(found) => {
                let segment = segments.entry(found[1].to_owned()).or_default();
                segment.insert(found[2].to_owned(), value);
            }
            None => {
                shared.insert(name["traefik.".len()..].to_owned(), value);
            }
        }
    }
    if shared
        .get("enable")
        .is_some_and(|v| ["false", "False", "FALSE", "0", "f", "F"].contains(&v.as_str()))
    {
        return Err("it is not enabled".into());
    }
    if segments.is_empty() {
        segments.insert(String::new(), Labels::new());
    }
    let mut frontends = Vec::new();
    for options in segments.values_mut() {
        for (name, value) in &shared {
            options.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let options = V1Options(options, backends);
        if options
            .get("port")
            .is_none_or(|port| port.parse::<u32>().is_err())
        {
            return Err("it has no port".into());
        }
        frontends.push(options.read_frontend(service)?);
    }
    frontends.sort();
    Ok(frontends)
}

/// The template of the provider is a TOML file, in which a value stands between quotes.
fn toml_string(value: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | '"')) => out.push(c),
                Some('t') => out.push('\t'),
                _ => return Err("a backslash that TOML refuses".into()),
            },
            '"' => return Err("a quote that TOML refuses".into()),
            c => out.push(c),
        }
    }
    Ok(out)
}

/// Options of a segment, and the backends that there are.
struct V1Options<'a>(&'a Labels, &'a BTreeSet<String>);

impl V1Options<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }
    fn on(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|v| ["1", "t", "T", "true", "TRUE", "True"].contains(&v))
    }
    fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok().filter(|n| *n != 0)
    }
    fn list(&self, name: &str) -> Option<String> {
        let items: Vec<&str> = self
            .get(name)?
            .split(',')
            .map(str::trim)
            .filter(|i| !i.is_empty())
            .collect();
        (!items.is_empty()).then(|| items.join(","))
    }
    fn has_prefix(&self, prefix: &str) -> bool {
        self.0
            .iter()
            .any(|(name, value)| name.starts_with(prefix) && !value.is_empty())
    }
    fn names(&self, prefix: &str) -> BTreeSet<String> {
        self.0
            .keys()
            .filter_map(|name| Some(name.strip_prefix(prefix)?.split_once('.')?.0.to_owned()))
            .collect()
    }

    fn read_frontend(&self, service: &str) -> Result<Frontend, String> {
        let rule = match (self.get("frontend.rule"), self.get("domain")) {
            (Some(rule), _) => rule.to_owned(),
            (None, Some(domain)) => format!("Host:{}.{domain}", service.replace('_', "-")),
            (None, None) => return Err("it has neither rule nor domain".into()),
        };
        if self.0.keys().any(|name| name.ends_with(".usersfile")) {
            return Err("it wants a file of Traefik's container".into());
        }
        let mut middlewares = Vec::new();
        let matchers = read_rule(&rule, &mut middlewares)?;
        self.read_middlewares(&mut middlewares);
        Ok(Frontend {
            matchers,
            middlewares,
        })
    }

    fn read_middlewares(&self, out: &mut Vec<String>) {
        // Pages of a backend that is not there are left out.
        for page in self.names("frontend.errors.") {
            let key = |option: &str| format!("frontend.errors.{page}.{option}");
            if self
                .get(&key("backend"))
                .is_some_and(|backend| self.1.contains(backend.trim_start_matches("backend-")))
            {
                out.push(format!(
                    "errors {}",
                    self.get(&key("query")).unwrap_or_default()
                ));
            }
        }
        let range = self
            .list("frontend.whitelist.sourcerange")
            .or_else(|| self.list("frontend.whitelistsourcerange"));
        out.extend(range.map(|range| format!("ipAllowList {range}")));
        out.extend(self.read_redirect());
        out.extend(self.read_headers());
        if self.on("frontend.headers.sslforcehost")
            && self.get("frontend.headers.sslhost").is_some()
        {
            let host = self.get("frontend.headers.sslhost").unwrap();
            out.push(format!(
                "redirectRegex ^https?://[^/]+(.*)$ https://{host}${{1}}"
            ));
        } else if self.on("frontend.headers.sslredirect") {
            out.push("redirectScheme https".into());
        }
        if self.has_prefix("frontend.passtlsclientcert.") {
            out.push("passTLSClientCert".into());
        }
        out.extend(self.read_auth());
        out.extend(
            self.get("backend.circuitbreaker.expression")
                .map(|e| format!("circuitBreaker {e}")),
        );
        if self.has_prefix("backend.buffering") {
            out.push("buffering".into());
        }
        if let Some(amount) = self.number("backend.maxconn.amount") {
            out.push(format!("inFlightReq {amount}"));
        }
        if self.get("frontend.ratelimit.extractorfunc").is_some() {
            for set in self.names("frontend.ratelimit.rateset.") {
                let average = self.number(&format!("frontend.ratelimit.rateset.{set}.average"));
                out.push(format!("rateLimit {}", average.unwrap_or_default()));
            }
        }
    }

    fn read_redirect(&self) -> Option<String> {
        let points = self
            .list("frontend.entrypoints")
            .unwrap_or("http,https".into());
        if let Some(target) = self.get("frontend.redirect.entrypoint") {
            let elsewhere = points.split(',').any(|point| point != target);
            return elsewhere.then(|| format!("redirectScheme {target}"));
        }
        let (regex, replacement) = (
            self.get("frontend.redirect.regex")?,
            self.get("frontend.redirect.replacement")?,
        );
        Some(format!("redirectRegex {regex} {replacement}"))
    }

    fn read_headers(&self) -> Option<String> {
        let mut found = BTreeSet::new();
        let prefix = "frontend.headers.";
        for (name, value) in self.0 {
            let Some(name) = name.strip_prefix(prefix).filter(|_| !value.is_empty()) else {
                continue;
            };
            match name {
                "customrequestheaders" | "customresponseheaders" | "sslproxyheaders" => {
                    for pair in value.split("||") {
                        if let Some((header, value)) = pair.split_once(':') {
                            let header = header.trim().to_ascii_lowercase();
                            found.insert(format!("{name}.{header}={}", value.trim()));
                        }
                    }
                }
                "stsseconds" => found.extend(
                    self.number("frontend.headers.stsseconds")
                        .map(|n| format!("{name}={n}")),
                ),
                "allowedhosts" | "hostsproxyheaders" => {
                    found.extend(
                        self.list(&format!("{prefix}{name}"))
                            .map(|list| format!("{name}={list}")),
                    );
                }
                "customframeoptionsvalue"
                | "custombrowserxssvalue"
                | "contentsecuritypolicy"
                | "publickey"
                | "referrerpolicy" => {
                    found.insert(format!("{name}={value}"));
                }
                "stsincludesubdomains"
                | "stspreload"
                | "forcestsheader"
                | "framedeny"
                | "contenttypenosniff"
                | "browserxssfilter"
                | "isdevelopment"
                    if self.on(&format!("{prefix}{name}")) =>
                {
                    found.insert(format!("{name}=true"));
                }
                _ => {}
            }
        }
        (!found.is_empty()).then(|| {
            format!(
                "headers {}",
                found.into_iter().collect::<Vec<_>>().join(" ")
            )
        })
    }

    fn read_auth(&self) -> Option<String> {
        let users = |kind: &str| self.list(&format!("frontend.auth.{kind}.users"));
        if self.has_prefix("frontend.auth.basic") {
            let users = self.list("frontend.auth.basic").or_else(|| users("basic"));
            return Some(
                format!("basicAuth {}", users.unwrap_or_default())
                    .trim_end()
                    .to_owned(),
            );
        }
        if self.has_prefix("frontend.auth.digest") {
            let users = users("digest").unwrap_or_default();
            return Some(format!("digestAuth {users}").trim_end().to_owned());
        }
        self.has_prefix("frontend.auth.forward").then(|| {
            let address = self.get("frontend.auth.forward.address");
            format!("forwardAuth {}", address.unwrap_or_default())
                .trim_end()
                .to_owned()
        })
    }
}

/// Reads a rule as `parseRules` does, and its modifiers in the order of `buildMatcherMiddlewares`.
fn read_rule(rule: &str, middlewares: &mut Vec<String>) -> Result<BTreeSet<String>, String> {
    let mut matchers = BTreeSet::new();
    let mut modifiers: BTreeMap<usize, String> = BTreeMap::new();
    for part in rule.split(';').filter(|part| !part.is_empty()) {
        let (name, arguments) = part
            .split_once(':')
            .ok_or("a part of the rule has no value")?;
        let mut arguments: Vec<&str> = arguments
            .split(',')
            .map(str::trim)
            .filter(|a| !a.is_empty())
            .collect();
        if arguments.is_empty() {
            return Err("a part of the rule has no value".into());
        }
        let name = name.trim();
        let whole = !name.contains("Prefix");
        if name.starts_with("Path") && arguments.iter().any(|a| !a.starts_with('/')) {
            return Err("a path without a slash, which matches nothing".into());
        }
        let strips = name.contains("Strip");
        if strips {
            arguments.sort_by_key(|a| std::cmp::Reverse(a.len()));
        }
        let last = arguments[arguments.len() - 1];
        match name {
            "Host" => matchers.extend(
                arguments
                    .iter()
                    .map(|a| format!("Host {}", a.to_lowercase())),
            ),
            "HostRegexp" => {
                for argument in arguments {
                    matchers.insert(format!(
                        "HostRegexp {}",
                        template_pattern(argument, "[^.]+", true)?
                    ));
                }
            }
            "Path"
            | "PathPrefix"
            | "PathStrip"
            | "PathPrefixStrip"
            | "PathStripRegex"
            | "PathPrefixStripRegex" => {
                let regex = name.ends_with("Regex");
                for argument in &arguments {
                    matchers.insert(match (regex || argument.contains('{'), whole) {
                        (true, _) => {
                            format!("PathRegexp {}", template_pattern(argument, "[^/]+", whole)?)
                        }
                        (false, true) => format!("Path {argument}"),
                        (false, false) => format!("PathPrefix {argument}"),
                    });
                }
                if strips && !regex && arguments.iter().any(|a| a.contains('{')) {
                    return Err("a template that is stripped as a text, which answers 404".into());
                }
                if strips && regex {
                    let patterns: Result<Vec<_>, _> = arguments
                        .iter()
                        .map(|a| template_pattern(a, "[^/]+", false))
                        .collect();
                    modifiers.insert(0, format!("stripPrefixRegex {}", patterns?.join(",")));
                } else if strips {
                    modifiers.insert(1, format!("stripPrefix {}", arguments.join(",")));
                }
            }
            "AddPrefix" => {
                modifiers.insert(2, format!("addPrefix {last}"));
            }
            "ReplacePathRegex" => {
                if last.split(' ').count() != 2 {
                    return Err("a replacement that is not two words".into());
                }
                modifiers.insert(3, format!("replacePathRegex {last}"));
            }
            "ReplacePath" => {
                modifiers.insert(4, format!("replacePath {last}"));
            }
            "Method" => matchers.extend(
                arguments
                    .iter()
                    .map(|a| format!("Method {}", a.to_uppercase())),
            ),
            "Headers" | "HeadersRegexp" => {
                for pair in arguments.chunks(2) {
                    let [key, value] = pair else {
                        return Err("a header without a value".into());
                    };
                    matchers.insert(format!(
                        "{} {key} {value}",
                        name.replacen("Headers", "Header", 1)
                    ));
                }
            }
            "Query" => {
                for argument in arguments {
                    let (key, value) = argument.split_once('=').ok_or("a query without a value")?;
                    matchers.insert(format!("Query {key} {value}"));
                }
            }
            _ => return Err(format!("an unknown matcher {name}")),
        }
    }
    if matchers.is_empty() {
        matchers.insert("PathPrefix /".into());
    }
    middlewares.extend(modifiers.into_values());
    Ok(matchers)
}

/// Turns a template of gorilla/mux into the pattern that it compares with, without its names.
fn template_pattern(template: &str, any: &str, whole: bool) -> Result<String, String> {
    let mut out = String::from("^");
    let mut rest = template;
    loop {
        let (text, after) = rest.split_once('{').unwrap_or((rest, ""));
        for c in text.chars() {
            if r"\.+*?()|[]{}^$".contains(c) {
                out.push('\\');
            }
            out.push(c);
        }
        if text.len() == rest.len() {
            break;
        }
        let mut depth = 1;
        let end = after.find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0
        });
        let end = end.ok_or("a template without an end")?;
        let pattern = after[..end]
            .split_once(':')
            .map_or(any, |(_, pattern)| pattern);
        match pattern.contains('|') {
            true => out.push_str(&format!("(?:{pattern})")),
            false => out.push_str(pattern),
        }
        rest = &after[end + 1..];
    }
    if whole {
        out.push('$');
    }
    Ok(out)
}

/// Reads a router of Traefik 3 from its API. Fails with the router's errors.
pub(crate) fn read_router(
    router: &Value,
    middlewares: &BTreeMap<String, Value>,
) -> Result<Frontend, String> {
    if router["status"] != "enabled" {
        return Err(format!("{}: {}", router["name"], router["error"]));
    }
    let matcher = Regex::new(r#"(\w+)\(((?:`[^`]*`|"(?:\\.|[^"])*"|, )*)\)"#).unwrap();
    let rule = router["rule"].as_str().unwrap_or_default();
    let mut matchers = BTreeSet::new();
    for found in matcher.captures_iter(rule) {
        let arguments = found[2].replace("`, `", " ").replace('`', "");
        matchers.insert(format!("{} {}", &found[1], unescape_needless(&arguments)));
    }
    let mut passed = Vec::new();
    for name in router["middlewares"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        let full = if name.contains('@') {
            name.to_owned()
        } else {
            format!("{name}@swarm")
        };
        let found = middlewares
            .get(&full)
            .ok_or_else(|| format!("no middleware {name}"))?;
        if found["status"] != "enabled" {
            return Err(format!("{name}: {}", found["error"]));
        }
        passed.push(read_middleware(found));
    }
    Ok(Frontend {
        matchers,
        middlewares: passed,
    })
}

/// Takes away backslashes before characters that are special to Rust's expressions alone.
fn unescape_needless(pattern: &str) -> String {
    Regex::new(r"\\([-#&~ ])")
        .unwrap()
        .replace_all(pattern, "$1")
        .into_owned()
}

fn read_middleware(middleware: &Value) -> String {
    let kinds = [
        ("stripPrefixRegex", &["regex"][..]),
        ("stripPrefix", &["prefixes"]),
        ("addPrefix", &["prefix"]),
        ("replacePathRegex", &["regex", "replacement"]),
        ("replacePath", &["path"]),
        ("errors", &["query"]),
        ("ipAllowList", &["sourceRange"]),
        ("redirectScheme", &["scheme"]),
        ("redirectRegex", &["regex", "replacement"]),
        ("passTLSClientCert", &[]),
        ("basicAuth", &["users"]),
        ("digestAuth", &["users"]),
        ("forwardAuth", &["address"]),
        ("circuitBreaker", &["expression"]),
        ("buffering", &[]),
        ("inFlightReq", &["amount"]),
        ("rateLimit", &["average"]),
    ];
    for (kind, keys) in kinds {
        let Some(found) = middleware.get(kind) else {
            continue;
        };
        let values: Vec<String> = keys.iter().map(|key| value_text(&found[*key])).collect();
        return unescape_needless(format!("{kind} {}", values.join(" ")).trim_end());
    }
    let mut found = BTreeSet::new();
    for (key, value) in middleware["headers"].as_object().into_iter().flatten() {
        let key = key.to_ascii_lowercase();
        match value.as_object() {
            Some(map) => {
                for (header, value) in map {
                    let header = header.to_ascii_lowercase();
                    found.insert(format!("{key}.{header}={}", value_text(value)));
                }
            }
            None => {
                found.insert(format!("{key}={}", value_text(value)));
            }
        }
    }
    format!(
        "headers {}",
        found.into_iter().collect::<Vec<_>>().join(" ")
    )
}

fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(value_text).collect::<Vec<_>>().join(","),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Reads the frontends of a Traefik 1 from its API (`/api/providers/docker`), as texts.
pub(crate) fn read_provider(answer: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for frontend in answer["frontends"]
        .as_object()
        .into_iter()
        .flat_map(|f| f.values())
    {
        let mut middlewares = Vec::new();
        let rule = frontend["routes"]
            .as_object()
            .into_iter()
            .flat_map(|r| r.values())
            .next();
        let rule = rule
            .and_then(|rule| rule["rule"].as_str())
            .unwrap_or_default();
        let matchers = match read_rule(rule, &mut middlewares) {
            Ok(matchers) => matchers,
            Err(reason) => BTreeSet::from([reason]),
        };
        let labels = labels_of_frontend(frontend, &answer["backends"]);
        let backends = answer["backends"]
            .as_object()
            .into_iter()
            .flat_map(|b| b.keys());
        let backends = backends
            .map(|name| name.trim_start_matches("backend-").to_owned())
            .collect();
        V1Options(&labels, &backends).read_middlewares(&mut middlewares);
        found.insert(format!(
            "{:?}",
            Frontend {
                matchers,
                middlewares
            }
        ));
    }
    found
}

/// Writes a frontend of Traefik 1 as labels again.
fn labels_of_frontend(frontend: &Value, backends: &Value) -> Labels {
    let mut labels = Labels::new();
    for (key, value) in frontend.as_object().into_iter().flatten() {
        flatten_value(
            &format!("frontend.{}", key.to_ascii_lowercase()),
            value,
            &mut labels,
        );
    }
    let backend = &backends[frontend["backend"].as_str().unwrap_or_default()];
    for (key, value) in backend.as_object().into_iter().flatten() {
        flatten_value(
            &format!("backend.{}", key.to_ascii_lowercase()),
            value,
            &mut labels,
        );
    }
    labels
}

fn flatten_value(name: &str, value: &Value, labels: &mut Labels) {
    match value {
        Value::Object(map)
            if [
                "headers.customrequestheaders",
                "headers.customresponseheaders",
                "headers.sslproxyheaders",
            ]
            .iter()
            .any(|n| name.ends_with(n)) =>
        {
            let pairs: Vec<String> = map
                .iter()
                .map(|(k, v)| format!("{k}:{}", value_text(v)))
                .collect();
            labels.insert(name.to_owned(), pairs.join("||"));
        }
        Value::Object(map) => {
            if map.is_empty() && (name.ends_with("auth.basic") || name.ends_with("auth.digest")) {
                labels.insert(format!("{name}.set"), "true".into());
            }
            for (key, value) in map {
                flatten_value(
                    &format!("{name}.{}", key.to_ascii_lowercase()),
                    value,
                    labels,
                );
            }
        }
        other => {
            labels.insert(name.to_owned(), value_text(other));
        }
    }
}
