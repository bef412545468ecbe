//! Labels of Traefik 1, which Traefik 3 ignores without a word, turned into those of Traefik 3.
//!
//! Sources: <https://doc.traefik.io/traefik/v1.7/configuration/backends/docker/> for what the old
//! labels mean, <https://doc.traefik.io/traefik/migrate/v1-to-v2/> and
//! <https://doc.traefik.io/traefik/migrate/v2-to-v3/> for what became of them.

use std::collections::BTreeMap;

use super::rule1::rule;

/// Labels of a service, by name.
pub type Labels = BTreeMap<String, String>;

/// Where migrated routers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// Name of the router and service; no dots.
    pub id: &'a str,
    /// Traefik's certificate resolver.
    pub resolver: &'a str,
}

/// What became of a service's labels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Migrated {
    pub labels: Labels,
    /// What has no equal, and what to do about it; a sentence each.
    pub notes: Vec<String>,
}

/// First words after `traefik.` that only Traefik 1 knows.
const OLD: [&str; 7] = [
    "port", "protocol", "weight", "backend", "frontend", "domain", "tags",
];

/// First words that are no segment of Traefik 1.
const NEW: [&str; 7] = ["enable", "http", "tcp", "udp", "tls", "docker", "swarm"];

/// Whether a label is one of Traefik 1.
pub fn is_old(label: &str) -> bool {
    let Some(rest) = label.strip_prefix("traefik.") else {
        return false;
    };
    let mut words = rest.split('.');
    let first = words.next().unwrap_or_default();
    if NEW.contains(&first) {
        return false;
    }
    OLD.contains(&first) || words.next().is_some_and(|second| OLD.contains(&second))
}

/// Turns a service's labels into those of Traefik 3; labels of others stay as they are.
///
/// # Errors
/// A rule that is none of Traefik 1, in one sentence.
pub fn migrate(labels: &Labels, target: Target<'_>) -> Result<Migrated, String> {
    let mut out = Migrated::default();
    let mut segments: BTreeMap<&str, BTreeMap<String, &str>> = BTreeMap::new();
    for (label, value) in labels {
        match label.strip_prefix("traefik.") {
            Some(_) if label == "traefik.docker.network" => {
                out.set("traefik.swarm.network", value);
            }
            Some("docker.lbswarm" | "backend.loadbalancer.swarm") => {
                out.set("traefik.swarm.lbswarm", value);
            }
            Some(rest) if is_old(label) => {
                let (first, after) = rest.split_once('.').unwrap_or((rest, ""));
                let (segment, key) = match OLD.contains(&first) {
                    true => ("", rest),
                    false => (first, after),
                };
                // Names of options are compared without regard to case.
                segments
                    .entry(segment)
                    .or_default()
                    .insert(lowered(key), value);
            }
            _ => out.set(label, value),
        }
    }
    let shared = segments.get("").cloned().unwrap_or_default();
    let routed = |keys: &BTreeMap<String, &str>| {
        keys.contains_key("port") || keys.contains_key("frontend.rule")
    };
    let segmented = segments
        .iter()
        .any(|(s, keys)| !s.is_empty() && routed(keys));
    for (segment, keys) in &segments {
        // With segments, what stands outside them is their default.
        if segment.is_empty() && segmented && !keys.contains_key("frontend.rule") {
            continue;
        }
        let mut all = shared.clone();
        if segment.is_empty() || !segmented {
            all = keys.clone();
        } else {
            all.extend(keys.iter().map(|(k, v)| (k.clone(), *v)));
        }
        let id = match *segment {
            "" => target.id.to_owned(),
            segment => format!("{}-{segment}", target.id),
        };
        Part {
            id: &id,
            resolver: target.resolver,
            middlewares: Vec::new(),
            out: &mut out,
        }
        .migrate(&all)?;
    }
    Ok(out)
}

/// Options are compared in lower case; names that the user chose (of headers, rate sets, pages)
/// keep theirs.
fn lowered(key: &str) -> String {
    key.to_ascii_lowercase()
}

impl Migrated {
    fn set(&mut self, label: impl Into<String>, value: impl Into<String>) {
        self.labels.insert(label.into(), value.into());
    }
    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

/// One router with its service.
struct Part<'a> {
    id: &'a str,
    resolver: &'a str,
    middlewares: Vec<String>,
    out: &'a mut Migrated,
}

impl Part<'_> {
    fn router(&mut self, key: &str, value: impl Into<String>) {
        let label = format!("traefik.http.routers.{}.{key}", self.id);
        self.out.set(label, value);
    }

    fn service(&mut self, key: &str, value: impl Into<String>) {
        let label = format!("traefik.http.services.{}.loadbalancer.{key}", self.id);
        self.out.set(label, value);
    }

    /// Sets an option of the middleware `ID-NAME`, and has the router use it.
    fn middleware(&mut self, name: &str, key: &str, value: impl Into<String>) {
        let name = format!("{}-{name}", self.id);
        self.out
            .set(format!("traefik.http.middlewares.{name}.{key}"), value);
        if !self.middlewares.contains(&name) {
            self.middlewares.push(name);
        }
    }

    fn migrate(mut self, keys: &BTreeMap<String, &str>) -> Result<(), String> {
        let mut entry_points = vec!["websecure".to_owned()];
        for (key, value) in keys {
            let (key, value) = (key.as_str(), *value);
            match key {
                "port" => self.service("server.port", value),
                "protocol" => self.service("server.scheme", value),
                "frontend.rule" => {
                    let rule = rule(value)?;
                    self.router("rule", rule.rule);
                    for (name, key, value) in rule.middlewares {
                        self.middleware(name, key, value);
                    }
                }
                "frontend.entrypoints" => {
                    entry_points = value.split(',').map(|e| entry_point(e.trim())).collect();
                    // The redirect of the entry point itself answers http.
                    if entry_points.iter().any(|e| e == "websecure") {
                        entry_points.retain(|e| e != "web");
                    }
                }
                "frontend.priority" => self.router("priority", value),
                "frontend.passhostheader" => self.service("passhostheader", value),
                "backend.responseforwarding.flushinterval" => {
                    self.service("responseforwarding.flushinterval", value);
                }
                "backend.circuitbreaker.expression" | "backend.circuitbreaker" => {
                    self.middleware("breaker", "circuitbreaker.expression", value);
                }
                "backend.maxconn.amount" => {
                    self.middleware("connections", "inflightreq.amount", value);
                }
                "backend.maxconn.extractorfunc" => self.extractor(value),
                "frontend.auth.basic" | "frontend.auth.basic.users" => {
                    self.middleware("auth", "basicauth.users", value);
                }
                "frontend.auth.headerfield" => {
                    let kind = ["basic", "digest"]
                        .into_iter()
                        .find(|k| keys.keys().any(|o| o.starts_with(&format!("frontend.auth.{k}"))))
                        .unwrap_or("basic");
                    self.middleware("auth", &format!("{kind}auth.headerfield"), value);
                }
                "frontend.redirect.entrypoint" => {
                    let scheme = if entry_point(value) == "websecure" { "https" } else { "http" };
                    self.middleware("redirect", "redirectscheme.scheme", scheme);
                    if keys.get("frontend.redirect.permanent").is_some_and(|v| *v == "true") {
                        self.middleware("redirect", "redirectscheme.permanent", "true");
                    }
                }
                "frontend.redirect.permanent" if keys.contains_key("frontend.redirect.entrypoint") => {}
                "frontend.whitelist.sourcerange" | "frontend.whitelistsourcerange" => {
                    self.middleware("allow", "ipallowlist.sourcerange", value);
                }
                "frontend.whitelist.usexforwardedfor" => {
                    if value == "true" {
                        self.middleware("allow", "ipallowlist.ipstrategy.depth", "1");
                    }
                }
                "frontend.passtlsclientcert.pem" | "frontend.passtlscert" => {
                    self.middleware("clientcert", "passtlsclientcert.pem", value);
                }
                "weight" => self.out.note(format!(
                    "the weight {value} of {} has no label in Traefik 3: weights belong to a weighted service in a file",
                    self.id
                )),
                "domain" | "tags" | "backend" => self.out.note(format!(
                    "traefik.{key} is dropped: {}",
                    match key {
                        "domain" => "the rule names the domain",
                        "tags" => "constraints belong to Traefik's own options",
                        _ => "the service is named by its router",
                    }
                )),
                "backend.loadbalancer.method" => {
                    if !value.eq_ignore_ascii_case("wrr") {
                        self.out.note(format!(
                            "the load balancing {value} is gone: Traefik 3 takes turns"
                        ));
                    }
                }
                "backend.loadbalancer.sticky" | "backend.loadbalancer.stickiness" => {
                    if value == "true" {
                        self.service("sticky.cookie", "true");
                    }
                }
                _ => self.prefixed(key, value, keys),
            }
        }
        if !keys.contains_key("frontend.rule") {
            self.out.note(format!(
                "{} has no rule: Traefik 1 made one from its name and domain; write traefik.http.routers.{}.rule",
                self.id, self.id
            ));
        }
        self.router("entrypoints", entry_points.join(","));
        if entry_points.iter().any(|e| e == "websecure") {
            let resolver = self.resolver;
            self.router("tls.certresolver", resolver);
        }
        self.router("service", self.id.to_owned());
        if !self.middlewares.is_empty() {
            let names = self.middlewares.join(",");
            self.router("middlewares", names);
        }
        Ok(())
    }

    /// Families of options that share a beginning.
    fn prefixed(&mut self, key: &str, value: &str, keys: &BTreeMap<String, &str>) {
        let after = |prefix: &str| key.strip_prefix(prefix);
        if let Some(option) = after("backend.healthcheck.") {
            self.service(&format!("healthcheck.{option}"), value);
        } else if let Some(option) = after("backend.loadbalancer.stickiness.") {
            let option = match option {
                "cookiename" => "name",
                option => option,
            };
            self.service(&format!("sticky.cookie.{option}"), value);
        } else if let Some(option) = after("backend.buffering.") {
            self.middleware("buffering", &format!("buffering.{option}"), value);
        } else if let Some(option) = after("frontend.auth.basic.") {
            self.middleware("auth", &format!("basicauth.{option}"), value);
        } else if let Some(option) = after("frontend.auth.digest.") {
            self.middleware("auth", &format!("digestauth.{option}"), value);
        } else if let Some(option) = after("frontend.auth.forward.") {
            self.middleware("auth", &format!("forwardauth.{option}"), value);
        } else if let Some(option) = after("frontend.redirect.") {
            self.middleware("redirect", &format!("redirectregex.{option}"), value);
        } else if let Some(option) = after("frontend.passtlsclientcert.infos.") {
            self.middleware(
                "clientcert",
                &format!("passtlsclientcert.info.{option}"),
                value,
            );
        } else if let Some(rest) = after("frontend.ratelimit.rateset.") {
            let (set, option) = rest.split_once('.').unwrap_or((rest, ""));
            self.middleware(
                &format!("limit-{set}"),
                &format!("ratelimit.{option}"),
                value,
            );
        } else if after("frontend.ratelimit.extractorfunc").is_some() {
            let sets: Vec<String> = keys
                .keys()
                .filter_map(|k| k.strip_prefix("frontend.ratelimit.rateset."))
                .filter_map(|k| Some(k.split_once('.')?.0.to_owned()))
                .collect();
            for set in sets {
                if let Some(criterion) = criterion(value) {
                    let key = format!("ratelimit.sourcecriterion.{}", criterion.0);
                    self.middleware(&format!("limit-{set}"), &key, criterion.1);
                }
            }
        } else if let Some(rest) = after("frontend.errors.") {
            let (page, option) = rest.split_once('.').unwrap_or((rest, ""));
            let option = match option {
                "backend" => "service",
                option => option,
            };
            self.middleware(
                &format!("errors-{page}"),
                &format!("errors.{option}"),
                value,
            );
        } else if let Some(option) = after("frontend.headers.") {
            self.header(option, value);
        } else {
            self.out.note(format!(
                "traefik.{key} has no equal in Traefik 3, and is dropped"
            ));
        }
    }

    fn header(&mut self, option: &str, value: &str) {
        match option {
            "customrequestheaders" | "customresponseheaders" => {
                for (name, value) in value.split("||").filter_map(|h| h.split_once(':')) {
                    let key = format!("headers.{option}.{}", name.trim());
                    self.middleware("headers", &key, value.trim());
                }
            }
            "sslproxyheaders" => {
                for (name, value) in value.split("||").filter_map(|h| h.split_once(':')) {
                    let key = format!("headers.sslproxyheaders.{}", name.trim());
                    self.middleware("headers", &key, value.trim());
                }
            }
            // Both redirect to https for good or for now.
            "sslredirect" | "ssltemporaryredirect" => {
                if value == "true" {
                    self.middleware("https", "redirectscheme.scheme", "https");
                    let permanent = (option == "sslredirect").to_string();
                    self.middleware("https", "redirectscheme.permanent", permanent);
                }
            }
            "sslhost" | "sslforcehost" => self.out.note(format!(
                "headers.{option} is gone: redirect to the other host by a redirectregex middleware"
            )),
            "allowedhosts"
            | "hostsproxyheaders"
            | "isdevelopment"
            | "stsseconds"
            | "stsincludesubdomains"
            | "stspreload"
            | "forcestsheader"
            | "framedeny"
            | "customframeoptionsvalue"
            | "contenttypenosniff"
            | "browserxssfilter"
            | "custombrowserxssvalue"
            | "contentsecuritypolicy"
            | "publickey"
            | "referrerpolicy" => {
                self.middleware("headers", &format!("headers.{option}"), value);
            }
            _ => self.out.note(format!(
                "headers.{option} has no equal in Traefik 3, and is dropped"
            )),
        }
    }

    fn extractor(&mut self, value: &str) {
        match criterion(value) {
            Some((key, value)) => {
                let key = format!("inflightreq.sourcecriterion.{key}");
                self.middleware("connections", &key, value);
            }
            None => self.out.note(format!(
                "the extractor {value} has no equal in Traefik 3: requests are told apart by address"
            )),
        }
    }
}

/// How requests are told apart.
fn criterion(extractor: &str) -> Option<(String, String)> {
    match extractor.to_ascii_lowercase().as_str() {
        "client.ip" => Some(("ipstrategy.depth".into(), "0".into())),
        "request.host" => Some(("requesthost".into(), "true".into())),
        other => other
            .strip_prefix("request.header.")
            .map(|name| ("requestheadername".into(), name.to_owned())),
    }
}

/// The entry points of the edge stack.
fn entry_point(old: &str) -> String {
    match old {
        "http" => "web".into(),
        "https" => "websecure".into(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Target<'static> = Target {
        id: "blog-web",
        resolver: "le",
    };

    fn migrated(labels: &[(&str, &str)]) -> Migrated {
        let labels = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        migrate(&labels, TARGET).unwrap()
    }

    /// Labels of the router `blog-web`, shortened: R, S and M stand for their beginnings.
    fn short(migrated: &Migrated) -> Vec<String> {
        migrated
            .labels
            .iter()
            .map(|(k, v)| {
                let k = k
                    .replace("traefik.http.routers.blog-web", "R")
                    .replace("traefik.http.services.blog-web.loadbalancer", "S")
                    .replace("traefik.http.middlewares.blog-web", "M");
                format!("{k}={v}")
            })
            .collect()
    }

    #[test]
    fn the_ghost_of_2019() {
        let new = migrated(&[
            ("traefik.port", "2368"),
            ("traefik.frontend.rule", "Host:blog.example.org"),
            ("traefik.enable", "true"),
        ]);
        assert_eq!(
            short(&new),
            [
                "traefik.enable=true",
                "R.entrypoints=websecure",
                "R.rule=Host(`blog.example.org`)",
                "R.service=blog-web",
                "R.tls.certresolver=le",
                "S.server.port=2368",
            ]
        );
        assert!(new.notes.is_empty());
        assert_eq!(migrate(&new.labels, TARGET).unwrap().labels, new.labels);
    }

    #[test]
    fn middlewares_of_every_kind() {
        let new = migrated(&[
            ("traefik.port", "80"),
            ("traefik.protocol", "https"),
            ("traefik.frontend.rule", "Host:a.org"),
            ("traefik.frontend.entryPoints", "http,https"),
            ("traefik.frontend.priority", "5"),
            ("traefik.frontend.passHostHeader", "false"),
            ("traefik.frontend.auth.basic.users", "u:$$apr1$$x"),
            ("traefik.frontend.redirect.regex", "^a"),
            ("traefik.frontend.redirect.replacement", "b"),
            ("traefik.frontend.whiteList.sourceRange", "10.0.0.0/8"),
            ("traefik.frontend.rateLimit.rateSet.slow.average", "5"),
            ("traefik.frontend.rateLimit.extractorFunc", "client.ip"),
            ("traefik.frontend.errors.lost.backend", "pages"),
            (
                "traefik.frontend.headers.customResponseHeaders",
                "X-A:b||X-C: d",
            ),
            ("traefik.frontend.headers.STSSeconds", "31536000"),
            ("traefik.frontend.headers.SSLHost", "b.org"),
            ("traefik.backend.loadbalancer.stickiness.cookieName", "c"),
            ("traefik.backend.healthcheck.path", "/up"),
            ("traefik.backend.maxconn.amount", "10"),
            ("traefik.docker.network", "traefik-net"),
            ("com.example.other", "kept"),
        ]);
        assert_eq!(
            short(&new),
            [
                "com.example.other=kept",
                "M-allow.ipallowlist.sourcerange=10.0.0.0/8",
                "M-auth.basicauth.users=u:$$apr1$$x",
                "M-connections.inflightreq.amount=10",
                "M-errors-lost.errors.service=pages",
                "M-headers.headers.customresponseheaders.X-A=b",
                "M-headers.headers.customresponseheaders.X-C=d",
                "M-headers.headers.stsseconds=31536000",
                "M-limit-slow.ratelimit.average=5",
                "M-limit-slow.ratelimit.sourcecriterion.ipstrategy.depth=0",
                "M-redirect.redirectregex.regex=^a",
                "M-redirect.redirectregex.replacement=b",
                "R.entrypoints=websecure",
                "R.middlewares=blog-web-connections,blog-web-auth,blog-web-errors-lost,blog-web-headers,blog-web-limit-slow,blog-web-redirect,blog-web-allow",
                "R.priority=5",
                "R.rule=Host(`a.org`)",
                "R.service=blog-web",
                "R.tls.certresolver=le",
                "S.healthcheck.path=/up",
                "S.passhostheader=false",
                "S.server.port=80",
                "S.server.scheme=https",
                "S.sticky.cookie.name=c",
                "traefik.swarm.network=traefik-net",
            ]
        );
        assert_eq!(new.notes.len(), 1, "{:?}", new.notes);
    }

    #[test]
    fn segments_become_routers_of_their_own() {
        let new = migrated(&[
            ("traefik.frontend.rule", "Host:a.org"),
            ("traefik.port", "80"),
            ("traefik.api.frontend.rule", "Host:api.a.org"),
            ("traefik.api.port", "81"),
        ]);
        let short = short(&new);
        for wanted in [
            "R.rule=Host(`a.org`)",
            "S.server.port=80",
            "R-api.rule=Host(`api.a.org`)",
            "traefik.http.services.blog-web-api.loadbalancer.server.port=81",
        ] {
            assert!(short.iter().any(|l| l == wanted), "{wanted}: {short:#?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics_and_nothing_old_stays(
            keys in proptest::collection::vec("traefik(\\.(frontend|rule|port|headers|x|auth|basic|backend|Rule)){0,4}", 0..6),
            value in "[A-Za-z:;,{}()$`|/.^*+\\\\]{0,30}",
        ) {
            let labels: Labels = keys.into_iter().map(|k| (k, value.clone())).collect();
            if let Ok(new) = migrate(&labels, TARGET) {
                assert!(new.labels.keys().all(|k| !is_old(k)), "{new:?}");
                // What was migrated is not migrated again.
                assert_eq!(migrate(&new.labels, TARGET).unwrap().labels, new.labels);
            }
        }
    }
}
