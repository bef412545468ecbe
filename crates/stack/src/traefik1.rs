//! Labels of Traefik 1, which Traefik 3 ignores without a word, turned into those of Traefik 3.
//!
//! Sources: <https://doc.traefik.io/traefik/v1.7/configuration/backends/docker/> for what the old
//! labels mean, <https://doc.traefik.io/traefik/migrate/v1-to-v2/> and
//! <https://doc.traefik.io/traefik/migrate/v2-to-v3/> for what became of them.

use std::collections::BTreeMap;

use super::traefik1_rule::migrate_rule;
use matou_base::text::InvalidInput;

/// Labels of a service, by name.
pub type Labels = BTreeMap<String, String>;

/// Names that migrated routers get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouterTarget<'a> {
    /// Name of the router and service; no dots.
    pub id: &'a str,
    /// Traefik's certificate resolver.
    pub resolver: &'a str,
}

/// The migrated labels of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MigratedLabels {
    /// For Traefik 3.
    pub labels: Labels,
    /// What has no equivalent in Traefik 3, and what to do about it; a sentence each.
    pub notes: Vec<String>,
}

/// First words after `traefik.` that only Traefik 1 knows.
const TRAEFIK1_WORDS: [&str; 7] = [
    "port", "protocol", "weight", "backend", "frontend", "domain", "tags",
];

/// First words after `traefik.` that are never the name of a segment of Traefik 1.
const NEWER_WORDS: [&str; 7] = ["enable", "http", "tcp", "udp", "tls", "docker", "swarm"];

/// Whether a label is one of Traefik 1.
pub fn is_traefik1_label(label: &str) -> bool {
    let Some(rest) = label.strip_prefix("traefik.") else {
        return false;
    };
    let mut words = rest.split('.');
    let first = words.next().unwrap_or_default();
    if NEWER_WORDS.contains(&first) {
        return false;
    }
    TRAEFIK1_WORDS.contains(&first)
        || words
            .next()
            .is_some_and(|second| TRAEFIK1_WORDS.contains(&second))
}

/// Migrates a service's labels to Traefik 3. Other labels stay as they are.
///
/// # Errors
/// One sentence about a rule that Traefik 1 does not know.
pub fn migrate_labels(
    labels: &Labels,
    target: RouterTarget<'_>,
) -> Result<MigratedLabels, InvalidInput> {
    let mut out = MigratedLabels::default();
    let mut segments: BTreeMap<&str, BTreeMap<String, &str>> = BTreeMap::new();
    for (label, value) in labels {
        match label.strip_prefix("traefik.") {
            Some(_) if label == "traefik.docker.network" => {
                out.set_label("traefik.swarm.network", value);
            }
            Some("docker.lbswarm" | "backend.loadbalancer.swarm") => {
                out.set_label("traefik.swarm.lbswarm", value);
            }
            Some(rest) if is_traefik1_label(label) => {
                let (first, after) = rest.split_once('.').unwrap_or((rest, ""));
                let (segment, key) = match TRAEFIK1_WORDS.contains(&first) {
                    true => ("", rest),
                    false => (first, after),
                };
                // Names of options are compared without regard to case.
                segments
                    .entry(segment)
                    .or_default()
                    .insert(lowercase_option(key), value);
            }
            _ => out.set_label(label, value),
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
        // Where there are segments, options outside of them are their defaults.
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
        RouterMigration {
            id: &id,
            resolver: target.resolver,
            middlewares: Vec::new(),
            out: &mut out,
        }
        .migrate_router(&all)?;
    }
    Ok(out)
}

/// Options are compared in lower case; names that the user chose (of headers, rate sets, pages)
/// keep theirs.
fn lowercase_option(key: &str) -> String {
    key.to_ascii_lowercase()
}

impl MigratedLabels {
    fn set_label(&mut self, label: impl Into<String>, value: impl Into<String>) {
        self.labels.insert(label.into(), value.into());
    }
    fn add_note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

/// The migration of one router and its service.
struct RouterMigration<'a> {
    id: &'a str,
    resolver: &'a str,
    middlewares: Vec<String>,
    out: &'a mut MigratedLabels,
}

impl RouterMigration<'_> {
    fn set_router_option(&mut self, key: &str, value: impl Into<String>) {
        let label = format!("traefik.http.routers.{}.{key}", self.id);
        self.out.set_label(label, value);
    }

    fn set_service_option(&mut self, key: &str, value: impl Into<String>) {
        let label = format!("traefik.http.services.{}.loadbalancer.{key}", self.id);
        self.out.set_label(label, value);
    }

    /// Sets an option of the middleware `ID-NAME`, and has the router use it.
    fn set_middleware_option(&mut self, name: &str, key: &str, value: impl Into<String>) {
        let name = format!("{}-{name}", self.id);
        self.out
            .set_label(format!("traefik.http.middlewares.{name}.{key}"), value);
        if !self.middlewares.contains(&name) {
            self.middlewares.push(name);
        }
    }

    fn migrate_router(mut self, keys: &BTreeMap<String, &str>) -> Result<(), InvalidInput> {
        let mut entry_points = vec!["websecure".to_owned()];
        for (key, value) in keys {
            let (key, value) = (key.as_str(), *value);
            match key {
                "port" => self.set_service_option("server.port", value),
                "protocol" => self.set_service_option("server.scheme", value),
                "frontend.rule" => {
                    let rule = migrate_rule(value)?;
                    self.set_router_option("rule", rule.rule);
                    for (name, key, value) in rule.middlewares {
                        self.set_middleware_option(name, key, value);
                    }
                }
                "frontend.entrypoints" => {
                    entry_points = value.split(',').map(|e| migrate_entry_point(e.trim())).collect();
                    // The redirect of the entry point itself answers http.
                    if entry_points.iter().any(|e| e == "websecure") {
                        entry_points.retain(|e| e != "web");
                    }
                }
                "frontend.priority" => self.set_router_option("priority", value),
                "frontend.passhostheader" => self.set_service_option("passhostheader", value),
                "backend.responseforwarding.flushinterval" => {
                    self.set_service_option("responseforwarding.flushinterval", value);
                }
                "backend.circuitbreaker.expression" | "backend.circuitbreaker" => {
                    self.set_middleware_option("breaker", "circuitbreaker.expression", value);
                }
                "backend.maxconn.amount" => {
                    self.set_middleware_option("connections", "inflightreq.amount", value);
                }
                "backend.maxconn.extractorfunc" => self.migrate_extractor(value),
                "frontend.auth.basic" | "frontend.auth.basic.users" => {
                    self.set_middleware_option("auth", "basicauth.users", value);
                }
                "frontend.auth.headerfield" => {
                    let kind = ["basic", "digest"]
                        .into_iter()
                        .find(|k| keys.keys().any(|o| o.starts_with(&format!("frontend.auth.{k}"))))
                        .unwrap_or("basic");
                    self.set_middleware_option("auth", &format!("{kind}auth.headerfield"), value);
                }
                "frontend.redirect.entrypoint" => {
                    let scheme = if migrate_entry_point(value) == "websecure" { "https" } else { "http" };
                    self.set_middleware_option("redirect", "redirectscheme.scheme", scheme);
                    if keys.get("frontend.redirect.permanent").is_some_and(|v| *v == "true") {
                        self.set_middleware_option("redirect", "redirectscheme.permanent", "true");
                    }
                }
                "frontend.redirect.permanent" if keys.contains_key("frontend.redirect.entrypoint") => {}
                "frontend.whitelist.sourcerange" | "frontend.whitelistsourcerange" => {
                    self.set_middleware_option("allow", "ipallowlist.sourcerange", value);
                }
                "frontend.whitelist.usexforwardedfor" => {
                    if value == "true" {
                        self.set_middleware_option("allow", "ipallowlist.ipstrategy.depth", "1");
                    }
                }
                "frontend.passtlsclientcert.pem" | "frontend.passtlscert" => {
                    self.set_middleware_option("clientcert", "passtlsclientcert.pem", value);
                }
                "weight" => self.out.add_note(format!(
                    "the weight {value} of {} has no label in Traefik 3: weights belong to a weighted service in a file",
                    self.id
                )),
                "domain" | "tags" | "backend" => self.out.add_note(format!(
                    "traefik.{key} is dropped: {}",
                    match key {
                        "domain" => "the rule names the domain",
                        "tags" => "constraints belong to Traefik's own options",
                        _ => "the service is named by its router",
                    }
                )),
                "backend.loadbalancer.method" => {
                    if !value.eq_ignore_ascii_case("wrr") {
                        self.out.add_note(format!(
                            "the load balancing {value} is gone: Traefik 3 takes turns"
                        ));
                    }
                }
                "backend.loadbalancer.sticky" | "backend.loadbalancer.stickiness" => {
                    if value == "true" {
                        self.set_service_option("sticky.cookie", "true");
                    }
                }
                _ => self.migrate_prefixed_option(key, value, keys),
            }
        }
        if !keys.contains_key("frontend.rule") {
            self.out.add_note(format!(
                "{} has no rule: Traefik 1 made one from its name and domain; write traefik.http.routers.{}.rule",
                self.id, self.id
            ));
        }
        self.set_router_option("entrypoints", entry_points.join(","));
        if entry_points.iter().any(|e| e == "websecure") {
            let resolver = self.resolver;
            self.set_router_option("tls.certresolver", resolver);
        }
        self.set_router_option("service", self.id.to_owned());
        if !self.middlewares.is_empty() {
            let names = self.middlewares.join(",");
            self.set_router_option("middlewares", names);
        }
        Ok(())
    }

    /// Migrates options that belong to a family with a common prefix.
    fn migrate_prefixed_option(&mut self, key: &str, value: &str, keys: &BTreeMap<String, &str>) {
        let after = |prefix: &str| key.strip_prefix(prefix);
        if let Some(option) = after("backend.healthcheck.") {
            self.set_service_option(&format!("healthcheck.{option}"), value);
        } else if let Some(option) = after("backend.loadbalancer.stickiness.") {
            let option = match option {
                "cookiename" => "name",
                option => option,
            };
            self.set_service_option(&format!("sticky.cookie.{option}"), value);
        } else if let Some(option) = after("backend.buffering.") {
            self.set_middleware_option("buffering", &format!("buffering.{option}"), value);
        } else if let Some(option) = after("frontend.auth.basic.") {
            self.set_middleware_option("auth", &format!("basicauth.{option}"), value);
        } else if let Some(option) = after("frontend.auth.digest.") {
            self.set_middleware_option("auth", &format!("digestauth.{option}"), value);
        } else if let Some(option) = after("frontend.auth.forward.") {
            self.set_middleware_option("auth", &format!("forwardauth.{option}"), value);
        } else if let Some(option) = after("frontend.redirect.") {
            self.set_middleware_option("redirect", &format!("redirectregex.{option}"), value);
        } else if let Some(option) = after("frontend.passtlsclientcert.infos.") {
            self.set_middleware_option(
                "clientcert",
                &format!("passtlsclientcert.info.{option}"),
                value,
            );
        } else if let Some(rest) = after("frontend.ratelimit.rateset.") {
            let (set, option) = rest.split_once('.').unwrap_or((rest, ""));
            self.set_middleware_option(
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
                if let Some(criterion) = source_criterion(value) {
                    let key = format!("ratelimit.sourcecriterion.{}", criterion.0);
                    self.set_middleware_option(&format!("limit-{set}"), &key, criterion.1);
                }
            }
        } else if let Some(rest) = after("frontend.errors.") {
            let (page, option) = rest.split_once('.').unwrap_or((rest, ""));
            let option = match option {
                "backend" => "service",
                option => option,
            };
            self.set_middleware_option(
                &format!("errors-{page}"),
                &format!("errors.{option}"),
                value,
            );
        } else if let Some(option) = after("frontend.headers.") {
            self.migrate_header(option, value);
        } else {
            self.out.add_note(format!(
                "traefik.{key} has no equal in Traefik 3, and is dropped"
            ));
        }
    }

    fn migrate_header(&mut self, option: &str, value: &str) {
        match option {
            "customrequestheaders" | "customresponseheaders" => {
                for (name, value) in value.split("||").filter_map(|h| h.split_once(':')) {
                    let key = format!("headers.{option}.{}", name.trim());
                    self.set_middleware_option("headers", &key, value.trim());
                }
            }
            "sslproxyheaders" => {
                for (name, value) in value.split("||").filter_map(|h| h.split_once(':')) {
                    let key = format!("headers.sslproxyheaders.{}", name.trim());
                    self.set_middleware_option("headers", &key, value.trim());
                }
            }
            // Both redirect to https for good or for now.
            "sslredirect" | "ssltemporaryredirect" => {
                if value == "true" {
                    self.set_middleware_option("https", "redirectscheme.scheme", "https");
                    let permanent = (option == "sslredirect").to_string();
                    self.set_middleware_option("https", "redirectscheme.permanent", permanent);
                }
            }
            "sslhost" | "sslforcehost" => self.out.add_note(format!(
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
                self.set_middleware_option("headers", &format!("headers.{option}"), value);
            }
            _ => self.out.add_note(format!(
                "headers.{option} has no equal in Traefik 3, and is dropped"
            )),
        }
    }

    fn migrate_extractor(&mut self, value: &str) {
        match source_criterion(value) {
            Some((key, value)) => {
                let key = format!("inflightreq.sourcecriterion.{key}");
                self.set_middleware_option("connections", &key, value);
            }
            None => self.out.add_note(format!(
                "the extractor {value} has no equal in Traefik 3: requests are told apart by address"
            )),
        }
    }
}

/// Returns the option and value of the source criterion by which requests are told apart.
fn source_criterion(extractor: &str) -> Option<(String, String)> {
    match extractor.to_ascii_lowercase().as_str() {
        "client.ip" => Some(("ipstrategy.depth".into(), "0".into())),
        "request.host" => Some(("requesthost".into(), "true".into())),
        other => other
            .strip_prefix("request.header.")
            .map(|name| ("requestheadername".into(), name.to_owned())),
    }
}

/// Returns the edge stack's name of an entry point of Traefik 1.
fn migrate_entry_point(old: &str) -> String {
    match old {
        "http" => "web".into(),
        "https" => "websecure".into(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: RouterTarget<'static> = RouterTarget {
        id: "blog-web",
        resolver: "le",
    };

    fn migrated(labels: &[(&str, &str)]) -> MigratedLabels {
        let labels = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        migrate_labels(&labels, TARGET).unwrap()
    }

    /// Labels of the router `blog-web`, shortened: R, S and M stand for their beginnings.
    fn short(migrated: &MigratedLabels) -> Vec<String> {
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
        assert_eq!(
            migrate_labels(&new.labels, TARGET).unwrap().labels,
            new.labels
        );
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
            if let Ok(new) = migrate_labels(&labels, TARGET) {
                assert!(new.labels.keys().all(|k| !is_traefik1_label(k)), "{new:?}");
                // What was migrated is not migrated again.
                assert_eq!(migrate_labels(&new.labels, TARGET).unwrap().labels, new.labels);
            }
        }
    }
}
