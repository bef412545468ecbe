//! Labels of Traefik 1, which Traefik 3 ignores without a word, turned into those of Traefik 3.
//!
//! This file and `traefik1_router` need each other: it migrates a router into what this one returns.
//!
//! Sources: <https://doc.traefik.io/traefik/v1.7/configuration/backends/docker/> for what the old
//! labels mean, <https://doc.traefik.io/traefik/migrate/v1-to-v2/> and
//! <https://doc.traefik.io/traefik/migrate/v2-to-v3/> for what became of them.

use std::collections::{BTreeMap, BTreeSet};

use super::traefik1_router::{Options, RouterMigration, WrittenOption, label_word};
use super::traefik1_rule::migrate_rule;
use super::traefik1_values::{parse_go_bool, unescape_toml};
use matou_base::text::InvalidInput;
use matou_i18n::tr;

/// Labels of a service, by name.
pub type Labels = BTreeMap<String, String>;

/// Names that migrated routers get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouterTarget<'a> {
    /// Name of the router and service.
    pub id: &'a str,
    /// Traefik's certificate resolver.
    pub resolver: &'a str,
    /// Names of services by the backends of Traefik 1, for pages of errors.
    pub backends: &'a Backends,
}

/// Names of services of Traefik 3, by the names of backends of Traefik 1.
pub type Backends = BTreeMap<String, String>;

/// The migrated labels of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MigratedLabels {
    /// For Traefik 3.
    pub labels: Labels,
    /// What has no equivalent in Traefik 3, and what to do about it; a sentence each.
    pub notes: Vec<String>,
    /// The label of Traefik 1 that each new one comes from; none of those that are added.
    pub sources: BTreeMap<String, String>,
}

impl MigratedLabels {
    /// Sets a label. One that the service has of its own stays.
    pub(super) fn set_label(&mut self, label: String, value: String, from: &str) {
        if self.labels.contains_key(&label) && !self.sources.contains_key(&label) {
            return;
        }
        self.sources.insert(label.clone(), from.to_owned());
        self.labels.insert(label, value);
    }

    pub(super) fn add_note(&mut self, note: String) {
        if self.notes.len() < MOST_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// Most notes about one service that are kept.
const MOST_NOTES: usize = 500;

/// Most segments of one service.
const MOST_SEGMENTS: usize = 200;

/// First words after `traefik.` that are options of Traefik 1 outside of segments.
const TRAEFIK1_WORDS: [&str; 9] = [
    "port",
    "portname",
    "portindex",
    "protocol",
    "weight",
    "backend",
    "frontend",
    "domain",
    "tags",
];

/// Options of Traefik 1 in segments. Source: `SegmentPropertiesRegexp` in
/// `provider/label/segment.go` of Traefik 1.7; `backend.…` of a segment is ignored there.
const SEGMENT_WORDS: [&str; 7] = [
    "port",
    "portname",
    "portindex",
    "protocol",
    "weight",
    "backend",
    "frontend",
];

/// Words after `traefik.http.`, `.tcp.`, `.udp.` and `.tls.` since Traefik 2.
const NEWER_WORDS: [&str; 9] = [
    "routers",
    "services",
    "middlewares",
    "serverstransports",
    "stores",
    "options",
    "certificates",
    "models",
    "tls",
];

/// Whether a label is one of Traefik 1.
pub fn is_traefik1_label(label: &str) -> bool {
    split_traefik1_label(label).is_some()
}

/// Returns the segment and the option, in lower case, of a label of Traefik 1.
fn split_traefik1_label(label: &str) -> Option<(&str, String)> {
    let rest = label.strip_prefix("traefik.")?;
    let mut words = rest.split('.').map(str::to_ascii_lowercase);
    let first = words.next()?;
    let second = words.next();
    if ["http", "tcp", "udp", "tls"].contains(&first.as_str())
        && second.is_some_and(|word| NEWER_WORDS.contains(&word.as_str()))
    {
        return None;
    }
    if TRAEFIK1_WORDS.contains(&first.as_str()) {
        return Some(("", rest.to_ascii_lowercase()));
    }
    // The shortest segment counts; it may hold dots.
    for (dot, _) in rest.match_indices('.') {
        let option = rest[dot + 1..].to_ascii_lowercase();
        let (word, more) = match option.split_once('.') {
            Some((word, _)) => (word, true),
            None => (option.as_str(), false),
        };
        if SEGMENT_WORDS.contains(&word) && (word == "frontend") == more
            || word == "backend" && more
        {
            return Some((&rest[..dot], option));
        }
    }
    None
}

/// Migrates a service's labels to Traefik 3. Other labels stay as they are, and those of Traefik 3
/// do even where labels of Traefik 1 say the same.
///
/// # Errors
/// One sentence about a rule that Traefik 1 does not know.
pub fn migrate_labels(
    labels: &Labels,
    target: RouterTarget<'_>,
) -> Result<MigratedLabels, InvalidInput> {
    let mut out = MigratedLabels::default();
    let mut segments: BTreeMap<&str, Options<'_>> = BTreeMap::new();
    let mut moved = Vec::new();
    for (label, value) in labels {
        match label.to_ascii_lowercase().as_str() {
            "traefik.docker.network" => moved.push(("traefik.swarm.network", value, label)),
            "traefik.docker.lbswarm" | "traefik.backend.loadbalancer.swarm" => {
                moved.push(("traefik.swarm.lbswarm", value, label));
            }
            _ => match split_traefik1_label(label) {
                Some((segment, option)) => {
                    let value = unescape_toml(value).into_owned();
                    segments
                        .entry(segment)
                        .or_default()
                        .insert(option, WrittenOption { label, value });
                }
                None => {
                    out.labels.insert(label.clone(), value.clone());
                }
            },
        }
    }
    if !segments.is_empty() {
        drop_unknown_provider_labels(&mut out);
    }
    for (new, value, label) in moved {
        out.set_label(new.to_owned(), value.clone(), label);
    }
    if segments.is_empty() {
        return Ok(out);
    }
    if segments.len() > MOST_SEGMENTS {
        return Err(InvalidInput::new(tr!(
            "it has more than {MOST_SEGMENTS} segments of Traefik 1"
        )));
    }
    let shared = segments.remove("").unwrap_or_default();
    if segments.is_empty() {
        segments.insert("", Options::new());
    }
    for options in segments.values_mut() {
        ignore_segment_backend(options, &mut out);
        // What stands outside of the segments is their default.
        for (name, option) in &shared {
            options
                .entry(name.clone())
                .or_insert_with(|| option.clone());
        }
    }
    migrate_segments(&segments, target, &mut out)?;
    Ok(out)
}

/// Takes out labels of the provider that Traefik 1 ignored, and for which Traefik 3 would leave the
/// service out.
fn drop_unknown_provider_labels(out: &mut MigratedLabels) {
    let known = ["network", "lbswarm", "allownonrunning"];
    let unknown: Vec<String> = out
        .labels
        .keys()
        .filter(|label| {
            let label = label.to_ascii_lowercase();
            ["traefik.docker.", "traefik.swarm."].iter().any(|prefix| {
                let option = label.strip_prefix(prefix);
                option.is_some_and(|option| !known.contains(&option))
            })
        })
        .cloned()
        .collect();
    for label in unknown {
        out.labels.remove(&label);
        out.add_note(tr!(
            "{label} is dropped: Traefik 3 leaves a service out for a label that it does not know"
        ));
    }
}

/// Takes out what Traefik 1 does not read in a segment.
fn ignore_segment_backend(options: &mut Options<'_>, out: &mut MigratedLabels) {
    options.retain(|name, option| {
        let ignored = name.starts_with("backend.");
        if ignored {
            out.add_note(tr!(
                "{} is dropped: Traefik 1 ignored options of backends in segments",
                option.label
            ));
        }
        !ignored
    });
}

fn migrate_segments(
    segments: &BTreeMap<&str, Options<'_>>,
    target: RouterTarget<'_>,
    out: &mut MigratedLabels,
) -> Result<(), InvalidInput> {
    let own = out.labels.clone();
    let own_rules: Vec<&str> = own
        .iter()
        .filter(|(label, _)| {
            let label = label.to_ascii_lowercase();
            label.starts_with("traefik.http.routers.") && label.ends_with(".rule")
        })
        .map(|(_, rule)| rule.as_str())
        .collect();
    let mut taken = BTreeSet::new();
    let mut exposed = false;
    for (segment, options) in segments {
        if is_covered(options, &own_rules)? {
            out.add_note(
                tr!("labels of Traefik 1 are dropped where those of Traefik 3 beside them name the same hosts").to_owned(),
            );
            exposed = true;
            continue;
        }
        let id = free_router_id(target.id, segment, &own, &taken);
        exposed |= ["frontend.rule", "domain"]
            .iter()
            .any(|name| options.get(*name).is_some_and(|o| !o.value.is_empty()));
        RouterMigration::new(&id, target.resolver, target.backends, options, out)
            .migrate_router()?;
        taken.insert(id);
    }
    // Traefik 1 exposes what does not refuse it, the edge what asks for it.
    let enabled = own.get("traefik.enable");
    if exposed && enabled.is_none_or(|value| is_no_truth(value)) {
        out.labels.remove("traefik.enable");
        out.set_label("traefik.enable".to_owned(), "true".to_owned(), "");
    }
    Ok(())
}

/// Whether Traefik 1 takes a value for neither true nor false.
fn is_no_truth(value: &str) -> bool {
    !super::hidden_variables::has_hidden_variable(value) && parse_go_bool(value).is_none()
}

/// Whether rules of Traefik 3 beside them name all hosts of options of Traefik 1.
fn is_covered(options: &Options<'_>, own_rules: &[&str]) -> Result<bool, InvalidInput> {
    if own_rules.is_empty() {
        return Ok(false);
    }
    let Some(rule) = options.get("frontend.rule").filter(|r| !r.value.is_empty()) else {
        return Ok(true);
    };
    let named = |host: &String| {
        own_rules
            .iter()
            .any(|own| own.to_ascii_lowercase().contains(&format!("`{host}`")))
    };
    Ok(migrate_rule(&rule.value)?.hosts.iter().all(named))
}

/// Returns a name that no label of the service has yet.
fn free_router_id(id: &str, segment: &str, own: &Labels, taken: &BTreeSet<String>) -> String {
    let wanted = match segment {
        "" => label_word(id),
        segment => label_word(&format!("{id}-{segment}")),
    };
    let is_free = |id: &str| {
        !taken.contains(id)
            && ["routers", "services", "middlewares"].iter().all(|kind| {
                let start = format!("traefik.http.{kind}.{id}").to_ascii_lowercase();
                !own.keys().any(|label| {
                    let label = label.to_ascii_lowercase();
                    let rest = label.strip_prefix(&start);
                    rest.is_some_and(|rest| rest.starts_with(['.', '-']))
                })
            })
    };
    let mut id = wanted.clone();
    let mut next = 1_usize;
    while !is_free(&id) {
        id = format!("{wanted}-v{next}");
        next += 1;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: RouterTarget<'static> = RouterTarget {
        id: "blog-web",
        resolver: "le",
        backends: &Backends::new(),
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
                "traefik.enable=true",
                "M-allow.ipallowlist.sourcerange=10.0.0.0/8",
                "M-auth.basicauth.users=u:$$apr1$$x",
                "M-connections.inflightreq.amount=10",
                "M-headers.headers.customresponseheaders.X-A=b",
                "M-headers.headers.customresponseheaders.X-C=d",
                "M-headers.headers.stsseconds=31536000",
                "M-limit-slow.ratelimit.average=5",
                "M-limit-slow.ratelimit.sourcecriterion.ipstrategy.depth=0",
                "M-redirect.redirectregex.regex=^a",
                "M-redirect.redirectregex.replacement=b",
                "R.entrypoints=websecure",
                "R.middlewares=blog-web-allow,blog-web-redirect,blog-web-headers,blog-web-auth,blog-web-connections,blog-web-limit-slow",
                "R.priority=5",
                "R.rule=Host(`a.org`)",
                "R.service=blog-web",
                "R.tls.certresolver=le",
                "S.healthcheck.path=/up",
                "S.passhostheader=false",
                "S.server.port=80",
                "S.server.scheme=https",
                "traefik.swarm.network=traefik-net",
            ]
        );
        let told = [
            "traefik.backend.loadbalancer.stickiness.cookieName is dropped",
            "traefik.frontend.errors.lost.backend=pages is dropped",
            "traefik.frontend.headers.SSLHost",
        ];
        for told in told {
            assert!(
                new.notes.iter().any(|n| n.starts_with(told)),
                "{told}: {:?}",
                new.notes
            );
        }
    }

    #[test]
    fn segments_take_what_they_lack_from_outside_of_them() {
        let new = migrated(&[
            ("traefik.frontend.rule", "Host:a.org,www.a.org"),
            ("traefik.port", "80"),
            ("traefik.tags", "public"),
            ("traefik.to.frontend.entryPoints", "http"),
            ("traefik.to.frontend.redirect.entryPoint", "https"),
            ("traefik.web.frontend.entryPoints", "https"),
            (
                "traefik.web.frontend.redirect.regex",
                "^https://www.a.org/(.*)",
            ),
            (
                "traefik.web.frontend.redirect.replacement",
                "https://a.org/$1",
            ),
            ("traefik.a.b.frontend.rule", "Host:b.org"),
            ("traefik.a.b.backend.loadbalancer.stickiness", "true"),
        ]);
        assert_eq!(
            short(&new),
            [
                "traefik.enable=true",
                "M-to-redirect.redirectscheme.scheme=https",
                "M-web-redirect.redirectregex.regex=^https://www.a.org/(.*)",
                "M-web-redirect.redirectregex.replacement=https://a.org/$1",
                "R-a-b.entrypoints=websecure",
                "R-a-b.rule=Host(`b.org`)",
                "R-a-b.service=blog-web-a-b",
                "R-a-b.tls.certresolver=le",
                "R-to.entrypoints=web",
                "R-to.middlewares=blog-web-to-redirect",
                "R-to.rule=(Host(`a.org`) || Host(`www.a.org`))",
                "R-to.service=blog-web-to",
                "R-web.entrypoints=websecure",
                "R-web.middlewares=blog-web-web-redirect",
                "R-web.rule=(Host(`a.org`) || Host(`www.a.org`))",
                "R-web.service=blog-web-web",
                "R-web.tls.certresolver=le",
                "traefik.http.services.blog-web-a-b.loadbalancer.server.port=80",
                "traefik.http.services.blog-web-to.loadbalancer.server.port=80",
                "traefik.http.services.blog-web-web.loadbalancer.server.port=80",
            ]
        );
        assert_eq!(new.notes.len(), 2, "{:?}", new.notes);
    }

    #[test]
    fn labels_of_traefik_3_stay_and_cover_those_of_traefik_1() {
        let own = [
            (
                "traefik.http.routers.blog-web.rule",
                "Host(`A.org`) && PathPrefix(`/`)",
            ),
            (
                "traefik.http.services.blog-web.loadbalancer.server.port",
                "81",
            ),
            ("traefik.swarm.network", "new"),
        ];
        let covered = [
            ("traefik.frontend.rule", "Host:a.org"),
            ("traefik.port", "80"),
            ("traefik.docker.network", "old"),
        ];
        let new = migrated(&[&own[..], &covered[..]].concat());
        let mut wanted: Labels = own
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        wanted.insert("traefik.enable".into(), "true".into());
        assert_eq!(new.labels, wanted);
        assert_eq!(new.notes.len(), 1, "{:?}", new.notes);
        // Another host gets a router with a name that is free.
        let other = [
            ("traefik.frontend.rule", "Host:b.org"),
            ("traefik.port", "80"),
        ];
        let new = migrated(&[&own[..], &other[..]].concat());
        assert_eq!(new.labels["traefik.http.routers.blog-web.rule"], own[0].1);
        assert_eq!(
            new.labels["traefik.http.routers.blog-web-v1.rule"],
            "Host(`b.org`)"
        );
    }

    #[test]
    fn what_is_exposed_and_where_is_told() {
        let enable =
            |labels: &[(&str, &str)]| migrated(labels).labels.get("traefik.enable").cloned();
        let rule = ("traefik.frontend.rule", "Host:a.org");
        assert_eq!(enable(&[rule]).as_deref(), Some("true"));
        assert_eq!(
            enable(&[rule, ("traefik.enable", "false")]).as_deref(),
            Some("false")
        );
        assert_eq!(
            enable(&[rule, ("traefik.enable", "yes")]).as_deref(),
            Some("true")
        );
        assert_eq!(enable(&[("traefik.port", "80")]), None);
        let new = migrated(&[("traefik.port", "80"), ("traefik.domain", "a.org")]);
        assert_eq!(
            new.labels["traefik.http.routers.blog-web.rule"],
            "Host(`blog-web.a.org`)"
        );
        assert_eq!(new.labels["traefik.enable"], "true");
        assert!(new.notes[0].contains("had no rule"), "{:?}", new.notes);
        // A segment may have the name of a protocol.
        let new = migrated(&[
            ("traefik.http.frontend.rule", "Host:a.org"),
            ("traefik.http.port", "80"),
        ]);
        assert_eq!(
            new.labels["traefik.http.routers.blog-web-http.rule"],
            "Host(`a.org`)"
        );
        assert!(!is_traefik1_label(
            "traefik.http.services.port.loadbalancer.server.port"
        ));
    }

    #[test]
    fn entry_points_and_redirects() {
        let rule = ("traefik.frontend.rule", "Host:a.org");
        let to = |points: &str, target: &str| {
            let new = migrated(&[
                rule,
                ("traefik.port", "80"),
                ("traefik.frontend.entryPoints", points),
                ("traefik.frontend.redirect.entryPoint", target),
            ]);
            let get = |label: &str| new.labels.get(label).map_or("", String::as_str).to_owned();
            format!(
                "{} {} {}",
                get("traefik.http.routers.blog-web.entrypoints"),
                get("traefik.http.middlewares.blog-web-redirect.redirectscheme.scheme"),
                new.notes.len()
            )
        };
        for (points, target, wanted) in [
            ("", "https", "websecure https 0"),
            ("http,https", "https", "websecure https 0"),
            ("https", "https", "websecure  0"),
            ("http", "https", "web https 0"),
            ("http", "", "websecure  1"),
            ("https,http", "http", "websecure  1"),
            ("internal", "", "internal  1"),
        ] {
            assert_eq!(to(points, target), wanted, "{points} {target}");
        }
    }

    /// Names of `provider/label/names.go` of Traefik 1.7, with values that it takes.
    const ALL_LABELS: [(&str, &str); 79] = [
        ("backend", "web"),
        ("backend.buffering.maxRequestBodyBytes", "1"),
        ("backend.buffering.maxResponseBodyBytes", "1"),
        ("backend.buffering.memRequestBodyBytes", "1"),
        ("backend.buffering.memResponseBodyBytes", "1"),
        ("backend.buffering.retryExpression", "Attempts() <= 2"),
        (
            "backend.circuitbreaker.expression",
            "NetworkErrorRatio() > 0.5",
        ),
        ("backend.healthcheck.headers", "A:b"),
        ("backend.healthcheck.hostname", "a"),
        ("backend.healthcheck.interval", "10s"),
        ("backend.healthcheck.path", "/"),
        ("backend.healthcheck.port", "1"),
        ("backend.healthcheck.scheme", "http"),
        ("backend.id", "a"),
        ("backend.loadbalancer.method", "drr"),
        ("backend.loadbalancer.stickiness", "true"),
        ("backend.loadbalancer.stickiness.cookieName", "c"),
        ("backend.loadbalancer.stickiness.httpOnly", "true"),
        ("backend.loadbalancer.stickiness.sameSite", "lax"),
        ("backend.loadbalancer.stickiness.secure", "true"),
        ("backend.maxconn.amount", "1"),
        ("backend.maxconn.extractorfunc", "client.ip"),
        ("backend.responseForwarding.flushInterval", "1s"),
        ("frontend.auth.basic", "u:h"),
        ("frontend.auth.basic.removeHeader", "true"),
        ("frontend.auth.basic.usersFile", "/f"),
        ("frontend.auth.digest.removeHeader", "true"),
        ("frontend.auth.digest.users", "u:r:h"),
        ("frontend.auth.digest.usersFile", "/f"),
        ("frontend.auth.forward.address", "http://a"),
        ("frontend.auth.forward.authResponseHeaders", "A"),
        ("frontend.auth.forward.tls.ca", "a"),
        ("frontend.auth.forward.tls.caOptional", "true"),
        ("frontend.auth.forward.tls.cert", "a"),
        ("frontend.auth.forward.tls.insecureSkipVerify", "true"),
        ("frontend.auth.forward.tls.key", "a"),
        ("frontend.auth.forward.trustForwardHeader", "true"),
        ("frontend.auth.headerField", "A"),
        ("frontend.entryPoints", "http,https"),
        ("frontend.errors.a.backend", "a"),
        ("frontend.headers.SSLForceHost", "true"),
        ("frontend.headers.SSLHost", "a"),
        ("frontend.headers.SSLProxyHeaders", "A:b"),
        ("frontend.headers.STSIncludeSubdomains", "true"),
        ("frontend.headers.STSPreload", "true"),
        ("frontend.headers.STSSeconds", "1"),
        ("frontend.headers.allowedHosts", "a"),
        ("frontend.headers.browserXSSFilter", "true"),
        ("frontend.headers.contentSecurityPolicy", "a"),
        ("frontend.headers.contentTypeNosniff", "true"),
        ("frontend.headers.customBrowserXSSValue", "a"),
        ("frontend.headers.customFrameOptionsValue", "a"),
        ("frontend.headers.customRequestHeaders", "A:b"),
        ("frontend.headers.customResponseHeaders", "A:b"),
        ("frontend.headers.forceSTSHeader", "true"),
        ("frontend.headers.frameDeny", "true"),
        ("frontend.headers.hostsProxyHeaders", "A"),
        ("frontend.headers.isDevelopment", "true"),
        ("frontend.headers.publicKey", "a"),
        ("frontend.headers.referrerPolicy", "a"),
        ("frontend.passHostHeader", "false"),
        ("frontend.passTLSCert", "true"),
        ("frontend.passTLSClientCert.infos.issuer.commonName", "true"),
        ("frontend.passTLSClientCert.infos.notAfter", "true"),
        (
            "frontend.passTLSClientCert.infos.subject.serialNumber",
            "true",
        ),
        ("frontend.passTLSClientCert.pem", "true"),
        ("frontend.priority", "1"),
        ("frontend.rateLimit.extractorFunc", "client.ip"),
        ("frontend.rateLimit.rateSet.a.average", "1"),
        ("frontend.rateLimit.rateSet.a.burst", "1"),
        ("frontend.rateLimit.rateSet.a.period", "1s"),
        ("frontend.redirect.entryPoint", "https"),
        ("frontend.redirect.permanent", "true"),
        ("frontend.rule", "Host:a.org"),
        ("frontend.whiteList.sourceRange", "10.0.0.0/8"),
        ("port", "80"),
        ("portIndex", "1"),
        ("protocol", "https"),
        ("tags", "a"),
    ];

    #[test]
    fn every_label_of_traefik_1_7_becomes_something_or_is_told() {
        let labels: Vec<(String, &str)> = ALL_LABELS
            .iter()
            .map(|(name, value)| (format!("traefik.{name}"), *value))
            .collect();
        let borrowed: Vec<(&str, &str)> = labels.iter().map(|(k, v)| (k.as_str(), *v)).collect();
        let new = migrated(&borrowed);
        for (label, _) in &labels {
            // It says how another one is meant.
            let meant = label.ends_with(".SSLForceHost");
            let told = new.notes.iter().any(|note| note.contains(label.as_str()));
            let gone = label.ends_with(".method") && new.notes.iter().any(|n| n.contains("drr"));
            let kept = new.sources.values().any(|source| source == label);
            assert!(meant || told || gone || kept, "{label}: {:#?}", new.notes);
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
