//! Labels that were written for another Traefik 2 or 3 are made to fit matou's edge (stacks/traefik.yml):
//! its entry points, its certificate resolvers, its network, its provider.

use std::collections::{BTreeMap, BTreeSet};

use matou_config::EdgeConfig;
use matou_i18n::tr;
use serde_yaml::{Mapping, Value};

use super::labels::deploy_labels;
use super::lint::{list_references, section_entries};
use super::networks::external_networks_by_key;
use super::traefik_labels::{ENABLE_LABEL, RouteObject, TraefikLabels};
use super::traefik_rules::{RuleSyntax, parse_rule};
use super::traefik1::{Labels, is_traefik1_label};

/// The edge's entry point for https.
const HTTPS: &str = "websecure";

/// The edge's entry point for http, which sends every request on to https.
const HTTP: &str = "web";

/// All entry points of the edge.
pub(super) const ENTRY_POINTS: [&str; 3] = [HTTP, HTTPS, "metrics"];

/// The edge's resolver for trying, beside the one that config.toml names.
const STAGING_RESOLVER: &str = "staging";

/// What entry points for https are usually called.
const HTTPS_NAMES: [&str; 14] = [
    "https",
    "websecure",
    "web-secure",
    "web_secure",
    "websecured",
    "secure",
    "web-tls",
    "websecure-tls",
    "tls",
    "ssl",
    "web-ssl",
    "webssl",
    "https-web",
    "443",
];

/// What entry points for http are usually called.
const HTTP_NAMES: [&str; 6] = ["http", "web", "insecure", "web-insecure", "http-web", "80"];

/// Words in the names of networks between a Traefik and its applications.
const EDGE_NETWORK_WORDS: [&str; 7] = [
    "traefik", "proxy", "public", "ingress", "frontend", "gateway", "web",
];

/// Most names or changes that a note lists.
const MOST_LISTED: usize = 20;

/// What a file as a whole says of its routes.
#[derive(Debug)]
pub(super) struct EdgeRoutes<'a> {
    pub edge: &'a EdgeConfig,
    /// The service that is a Traefik of its own, for which the file's labels are meant then.
    pub own_traefik: Option<String>,
    /// Rules that are answered on https.
    https_rules: BTreeSet<String>,
    /// Middlewares of the file, with whether they send requests on to https.
    redirects: BTreeMap<String, bool>,
}

impl<'a> EdgeRoutes<'a> {
    /// Looks through a compose file.
    pub(super) fn of_file(file: &Mapping, edge: &'a EdgeConfig) -> Self {
        let mut out = Self {
            edge,
            own_traefik: find_own_traefik(file),
            https_rules: BTreeSet::new(),
            redirects: BTreeMap::new(),
        };
        for (_, service) in section_entries(file, "services") {
            let Some(service) = service.as_mapping() else {
                continue;
            };
            let labels = TraefikLabels::read(&deploy_labels(service));
            for router in labels.list_objects("http", "routers") {
                let points = router.list("entrypoints");
                let https = |p: &&str| map_entry_point(p) == Some(HTTPS);
                if points.is_empty() || points.iter().any(https) {
                    out.https_rules.extend(router.value("rule").map(rule_key));
                }
            }
            for middleware in labels.list_objects("http", "middlewares") {
                // One that names a host (apex to www) is more than that.
                let regexp = middleware.value("redirectregex.replacement");
                let redirects = middleware.value("redirectscheme.scheme") == Some("https")
                    || regexp.is_some_and(|to| to.starts_with("https://$"));
                out.redirects.insert(middleware.name.clone(), redirects);
            }
        }
        out
    }

    /// Makes a service's labels fit the edge. Returns what was changed, in one sentence.
    pub(super) fn fit_labels(&self, service: &str, labels: &mut Labels) -> Option<String> {
        if self.own_traefik.is_some() {
            return None;
        }
        let read = TraefikLabels::read(labels);
        if read.is_enabled() == Some(false) {
            return None;
        }
        let mut fitting = Fitting {
            labels,
            changes: Vec::new(),
            secured: Vec::new(),
        };
        fitting.fit_provider_labels(&self.edge.network);
        let routed = read.list_routers().any(|r| r.value("rule").is_some());
        if read.enable.is_none() && routed {
            fitting.set(ENABLE_LABEL.to_owned(), "true");
            fitting.say(tr!("{ENABLE_LABEL}=true is added"));
        }
        for object in read.objects.values() {
            fitting.fit_references(object);
            if object.section == "routers" && object.protocol != "udp" {
                self.fit_router(object, &mut fitting);
            }
        }
        let secured = std::mem::take(&mut fitting.secured).join(", ");
        if !secured.is_empty() {
            let resolver = &self.edge.resolver;
            fitting.say(tr!("https, with certificates of {resolver}, for {secured}"));
        }
        let changes = fitting.changes.join("; ");
        (!changes.is_empty())
            .then(|| tr!("the labels of {service} are made to fit the edge: {changes}"))
    }

    /// Marks rules that Traefik 2 takes, and 3 refuses or takes otherwise, as those of Traefik 2. Returns
    /// what was changed, in one sentence.
    ///
    /// Source: <https://doc.traefik.io/traefik/migrate/v2-to-v3-details/>, "Router Rule Matchers".
    pub(super) fn mark_older_rules(&self, service: &str, labels: &mut Labels) -> Option<String> {
        if self.own_traefik.is_some() {
            return None;
        }
        let read = TraefikLabels::read(labels);
        let mut marked = Vec::new();
        for router in read.list_routers().filter(|r| has_older_rule(r)) {
            labels.insert(router.label("rulesyntax"), "v2".to_owned());
            marked.push(router.name.clone());
        }
        let names = list_first(&marked, ", ");
        (!marked.is_empty()).then(|| {
            tr!("{service}: rules of Traefik 2 are marked as such (ruleSyntax=v2), which later versions may not take: {names}")
        })
    }

    fn fit_router(&self, router: &RouteObject, fitting: &mut Fitting<'_>) {
        let given = router.list("entrypoints");
        let mut points: Vec<&str> = Vec::new();
        for point in &given {
            let mapped = map_entry_point(point).unwrap_or(point);
            if mapped != *point {
                fitting.say(tr!("the entry point {point} is {mapped}"));
            }
            if !points.contains(&mapped) {
                points.push(mapped);
            }
        }
        if router.protocol == "http" && self.is_meant_for_https(router, &points) {
            let fits = router.has_tls()
                && router.value("tls.certresolver").is_some()
                && points == given
                && (points.is_empty() || points.contains(&HTTPS));
            if !fits {
                if points.is_empty() && !router.has_tls() {
                    points.push(HTTPS);
                }
                if points.contains(&HTTP) {
                    // The edge itself sends http on to https.
                    points.retain(|p| ![HTTP, HTTPS].contains(p));
                    points.push(HTTPS);
                }
            }
            self.fit_tls(router, fitting);
        } else if router.has_tls() {
            self.fit_resolver(router, fitting);
        }
        if points != given {
            fitting.set(router.label("entrypoints"), &points.join(","));
        }
    }

    /// Whether a router's requests come on https: by its entry points, by the default, or as it is on
    /// http alone, where the edge takes no request.
    fn is_meant_for_https(&self, router: &RouteObject, points: &[&str]) -> bool {
        if points.is_empty() || points.contains(&HTTPS) {
            return true;
        }
        points.contains(&HTTP)
            && !router
                .list("middlewares")
                .iter()
                .any(|name| self.redirects_to_https(name))
            && !router
                .value("rule")
                .is_some_and(|rule| self.https_rules.contains(&rule_key(rule)))
    }

    /// Whether a middleware sends requests on to https. One that is not in the file is known by its name.
    pub(super) fn redirects_to_https(&self, name: &str) -> bool {
        let name = name.split('@').next().unwrap_or_default();
        let small = name.to_ascii_lowercase();
        let by_name = || small.contains("redirect") || small.contains("https");
        self.redirects.get(name).copied().unwrap_or_else(by_name)
    }

    fn fit_tls(&self, router: &RouteObject, fitting: &mut Fitting<'_>) {
        let had = router.has_tls();
        if !had {
            fitting.set(router.label("tls"), "true");
        }
        match router.value("tls.certresolver") {
            Some(_) => self.fit_resolver(router, fitting),
            None => {
                fitting.set(router.label("tls.certresolver"), &self.edge.resolver);
                fitting.say_wildcards(router);
            }
        }
        if !had || router.value("tls.certresolver").is_none() {
            fitting.secured.push(router.name.clone());
        }
    }

    fn fit_resolver(&self, router: &RouteObject, fitting: &mut Fitting<'_>) {
        let ours = self.edge.resolver.as_str();
        let Some(given) = router.value("tls.certresolver") else {
            return;
        };
        if [ours, STAGING_RESOLVER].contains(&given) {
            return;
        }
        fitting.set(router.label("tls.certresolver"), ours);
        fitting.say(tr!("the resolver {given} is {ours}"));
        fitting.say_wildcards(router);
    }
}

/// Labels on their way.
struct Fitting<'a> {
    labels: &'a mut Labels,
    /// What was changed, each once.
    changes: Vec<String>,
    /// Routers that got TLS, or a resolver.
    secured: Vec<String>,
}

impl Fitting<'_> {
    fn set(&mut self, label: String, value: &str) {
        self.labels.insert(label, value.to_owned());
    }

    fn say(&mut self, change: String) {
        if self.changes.len() <= MOST_LISTED && !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }

    /// Says which names of a router want another challenge than that of HTTP.
    fn say_wildcards(&mut self, router: &RouteObject) {
        let options = router.options.iter();
        let domains = options.filter(|(o, _)| o.starts_with("tls.domains["));
        for (_, domain) in domains.filter(|(_, d)| d.value.contains('*')) {
            self.say(tr!(
                "a certificate for {} needs an edge with CHALLENGE=dnschallenge.provider=NAME",
                domain.value
            ));
        }
    }

    /// Renames `traefik.docker.*`, and names the edge's network.
    fn fit_provider_labels(&mut self, network: &str) {
        let old: Vec<String> = self
            .labels
            .keys()
            .filter(|l| l.to_ascii_lowercase().starts_with("traefik.docker."))
            .cloned()
            .collect();
        for label in old {
            let value = self.labels.remove(&label).unwrap_or_default();
            let option = label["traefik.docker.".len()..].to_ascii_lowercase();
            self.labels
                .entry(format!("traefik.swarm.{option}"))
                .or_insert(value);
            self.say(tr!("{label} is traefik.swarm.{option}"));
        }
        let named = self
            .labels
            .iter_mut()
            .find(|(label, _)| label.eq_ignore_ascii_case("traefik.swarm.network"));
        if let Some((_, value)) = named
            && value != network
        {
            let change = tr!("the network {value} is {network}");
            network.clone_into(value);
            self.say(change);
        }
    }

    /// Writes the provider `docker` as `swarm` in references to others.
    fn fit_references(&mut self, object: &RouteObject) {
        for option in [
            "middlewares",
            "service",
            "chain.middlewares",
            "errors.service",
        ] {
            let names = object.list(option);
            if !names.iter().any(|name| name.ends_with("@docker")) {
                continue;
            }
            let mapped: Vec<String> = names
                .iter()
                .map(|name| match name.strip_suffix("@docker") {
                    Some(name) => format!("{name}@swarm"),
                    None => (*name).to_owned(),
                })
                .collect();
            self.set(object.label(option), &mapped.join(","));
            self.say(tr!("the provider docker is swarm").to_owned());
        }
    }
}

/// Joins the first of a list, and says where more are left out.
fn list_first(list: &[String], between: &str) -> String {
    let first: Vec<&str> = list.iter().take(MOST_LISTED).map(String::as_str).collect();
    match list.len() > MOST_LISTED {
        true => tr!("{}{between}and more", first.join(between)),
        false => first.join(between),
    }
}

/// Whether a router's rule is one that Traefik 2 takes, and Traefik 3 does not take for the same.
fn has_older_rule(router: &RouteObject) -> bool {
    let (newer, older) = match router.protocol {
        "http" => (RuleSyntax::Http, RuleSyntax::HttpV2),
        "tcp" => (RuleSyntax::Tcp, RuleSyntax::TcpV2),
        _ => return false,
    };
    let takes = |rule: &str, syntax: RuleSyntax| {
        parse_rule(rule, syntax).is_ok_and(|parsed| parsed.doubts.is_empty())
    };
    let rule = router.value("rule");
    let unmarked = rule.filter(|_| router.value("rulesyntax").is_none());
    unmarked.is_some_and(|rule| !takes(rule, newer) && takes(rule, older))
}

/// Returns the edge's name of an entry point; `None` where it has none of the kind.
fn map_entry_point(name: &str) -> Option<&'static str> {
    if let Some(same) = ENTRY_POINTS.iter().find(|known| **known == name) {
        return Some(same);
    }
    let is = |known: &&str| known.eq_ignore_ascii_case(name);
    if HTTPS_NAMES.iter().any(&is) {
        return Some(HTTPS);
    }
    HTTP_NAMES.iter().any(is).then_some(HTTP)
}

/// Returns a rule in a form in which equal ones compare equal.
pub(super) fn rule_key(rule: &str) -> String {
    rule.replace('"', "`")
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect()
}

/// Finds a service whose image is Traefik's.
fn find_own_traefik(file: &Mapping) -> Option<String> {
    let mut services = section_entries(file, "services");
    let is_traefik = |service: &Value| {
        let image = service.get("image").and_then(Value::as_str)?;
        let name = image.rsplit('/').next()?;
        Some(name.split([':', '@']).next()? == "traefik")
    };
    services
        .find(|(_, service)| is_traefik(service) == Some(true))
        .map(|(name, _)| name.to_owned())
}

/// Brings the services that the edge is to reach into its network. Returns what was changed, a sentence
/// each. The file's own external network for its Traefik becomes the edge's; a service that has none
/// gets the edge's beside its own.
pub(super) fn attach_edge_network(file: &mut Mapping, edge: &EdgeConfig) -> Vec<String> {
    if find_own_traefik(file).is_some() {
        return Vec::new();
    }
    let externals = external_networks_by_key(file);
    let mut ours = externals
        .iter()
        .find(|(_, name)| **name == edge.network)
        .map(|(key, _)| key.clone());
    let mut renamed: BTreeMap<String, String> = BTreeMap::new();
    let mut attached: Vec<String> = Vec::new();
    for (service, value) in section_entries(file, "services") {
        let Some(wanted) = value.as_mapping().and_then(wanted_network) else {
            continue;
        };
        let mut keys: Vec<&str> = list_references(value.get("networks"))
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        if keys.is_empty() {
            keys.push("default");
        }
        if keys
            .iter()
            .any(|key| renamed.contains_key(*key) || externals.get(*key) == Some(&edge.network))
        {
            continue;
        }
        let foreign = keys
            .iter()
            .filter_map(|key| Some((*key, externals.get(*key)?)));
        match choose_foreign_network(foreign, &wanted) {
            // Two keys for one network would give it to a service twice.
            Some((key, name)) if ours.is_none() => {
                renamed.insert(key.to_owned(), name.to_owned());
            }
            _ => attached.push(service.to_owned()),
        }
    }
    let mut notes = Vec::new();
    for (key, name) in renamed {
        set_external_network(file, &key, &edge.network);
        notes.push(tr!(
            "the external network {name} is taken for the edge's, {}: the edge is in no other",
            edge.network
        ));
        ours = ours.or(Some(key));
    }
    if !attached.is_empty() {
        let taken = |key: &str| file.get("networks").is_some_and(|n| n.get(key).is_some());
        let key = ours.unwrap_or_else(|| match taken(&edge.network) {
            // A network of the file's own has the name.
            true => format!("{}-of-edge", edge.network),
            false => edge.network.clone(),
        });
        set_external_network(file, &key, &edge.network);
        for service in &attached {
            add_network(file, service, &key);
        }
        notes.push(tr!(
            "{} joined the edge's network {}: the edge could not reach it otherwise",
            list_first(&attached, ", "),
            edge.network
        ));
    }
    notes
}

/// Returns the network by which a service wants to be reached, empty where it names none; `None` for a
/// service that has no routes.
fn wanted_network(service: &Mapping) -> Option<String> {
    let labels = deploy_labels(service);
    let read = TraefikLabels::read(&labels);
    let is_routed = match read.is_enabled() {
        Some(enabled) => enabled,
        None => read.list_routers().next().is_some() || labels.keys().any(|l| is_traefik1_label(l)),
    };
    let is_network = |label: &str| {
        ["traefik.docker.network", "traefik.swarm.network"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(label))
    };
    let named = labels.into_iter().find(|(label, _)| is_network(label));
    is_routed.then(|| named.map_or_else(String::new, |(_, name)| name))
}

/// Chooses among a service's external networks, by key and name, the one that is meant for its Traefik.
fn choose_foreign_network<'a>(
    networks: impl Iterator<Item = (&'a str, &'a String)>,
    wanted: &str,
) -> Option<(&'a str, &'a String)> {
    // These are the engine's own.
    let own = ["host", "bridge", "none", "ingress"];
    let networks: Vec<_> = networks
        .filter(|(_, name)| !own.contains(&name.as_str()))
        .collect();
    let named = networks
        .iter()
        .find(|(key, name)| *key == wanted || *name == wanted);
    let usual = || {
        networks.iter().find(|(key, name)| {
            let has = |text: &str| {
                let text = text.to_ascii_lowercase();
                EDGE_NETWORK_WORDS.iter().any(|word| text.contains(word))
            };
            has(key) || has(name)
        })
    };
    named.or_else(usual).copied()
}

fn set_external_network(file: &mut Mapping, key: &str, name: &str) {
    let networks = file
        .entry("networks".into())
        .or_insert_with(|| Mapping::new().into());
    if !networks.is_mapping() {
        *networks = Mapping::new().into();
    }
    if let Some(networks) = networks.as_mapping_mut() {
        let mut entry = Mapping::new();
        entry.insert("external".into(), true.into());
        if key != name {
            entry.insert("name".into(), name.into());
        }
        networks.insert(key.into(), entry.into());
    }
}

fn add_network(file: &mut Mapping, service: &str, key: &str) {
    let service = file.get_mut("services").and_then(|s| s.get_mut(service));
    let Some(Value::Mapping(service)) = service else {
        return;
    };
    match service.get_mut("networks") {
        Some(Value::Sequence(list)) if !list.is_empty() => list.push(key.into()),
        Some(Value::Mapping(map)) if !map.is_empty() => {
            map.insert(key.into(), Value::Null);
        }
        // Without one, a service has the default network, which its neighbours know it in.
        _ => {
            let both = Value::Sequence(vec!["default".into(), key.into()]);
            service.insert("networks".into(), both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge() -> EdgeConfig {
        EdgeConfig {
            email: None,
            network: "traefik-net".into(),
            resolver: "le".into(),
            ca_file: None,
        }
    }

    /// Fits the labels of the service `web`, each in a line. Returns those that changed, and the note.
    fn fitted(lines: &str) -> (Vec<String>, Option<String>) {
        let labels: Labels = lines
            .lines()
            .filter_map(|l| l.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        let list: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let file = serde_yaml::to_value(BTreeMap::from([(
            "services",
            BTreeMap::from([(
                "web",
                BTreeMap::from([("deploy", BTreeMap::from([("labels", &list)]))]),
            )]),
        )]));
        let file = file.unwrap().as_mapping().unwrap().clone();
        let edge = edge();
        let mut now = labels.clone();
        let note = EdgeRoutes::of_file(&file, &edge).fit_labels("web", &mut now);
        // What fits is not changed again.
        let mut again = now.clone();
        assert_eq!(
            EdgeRoutes::of_file(&file, &edge).fit_labels("web", &mut again),
            None
        );
        let changed = now.iter().filter(|(k, v)| labels.get(*k) != Some(v));
        (changed.map(|(k, v)| format!("{k}={v}")).collect(), note)
    }

    #[test]
    fn labels_get_what_they_lack() {
        let (changed, note) = fitted(
            "traefik.enable=true\ntraefik.http.routers.a.rule=Host(`a.org`)\ntraefik.http.routers.a.service=b@docker",
        );
        assert_eq!(
            changed,
            [
                "traefik.http.routers.a.entrypoints=websecure",
                "traefik.http.routers.a.service=b@swarm",
                "traefik.http.routers.a.tls=true",
                "traefik.http.routers.a.tls.certresolver=le",
            ]
        );
        assert_eq!(
            note.unwrap(),
            "the labels of web are made to fit the edge: the provider docker is swarm; https, with certificates of le, for a"
        );
        let (changed, note) = fitted(
            "traefik.docker.network=proxy\ntraefik.http.routers.a.entryPoints=http,https\ntraefik.http.routers.a.rule=Host(`a.org`)\ntraefik.http.routers.a.tls.certResolver=myresolver\ntraefik.http.routers.a.tls.domains[0].main=*.a.org",
        );
        assert_eq!(
            changed,
            [
                "traefik.enable=true",
                "traefik.http.routers.a.entryPoints=websecure",
                "traefik.http.routers.a.tls.certResolver=le",
                "traefik.swarm.network=traefik-net",
            ]
        );
        let note = note.unwrap();
        for wanted in [
            "myresolver is le",
            "*.a.org needs an edge with CHALLENGE",
            "proxy is traefik-net",
        ] {
            assert!(note.contains(wanted), "{note}");
        }
    }

    #[test]
    fn labels_that_fit_stay() {
        for lines in [
            "traefik.enable=false\ntraefik.http.routers.a.rule=Host(`a.org`)",
            "traefik.enable=true\ntraefik.http.routers.a.rule=Host(`a.org`)\ntraefik.http.routers.a.tls.certresolver=staging",
            "traefik.enable=true\ntraefik.http.routers.a.rule=Host(`a.org`)\ntraefik.http.routers.a.entrypoints=web,websecure\ntraefik.http.routers.a.tls.certresolver=le",
            "traefik.enable=true\ntraefik.http.routers.a.rule=Host(`a.org`)\ntraefik.http.routers.a.entrypoints=web\ntraefik.http.routers.a.middlewares=to-https@file",
            "traefik.enable=true\ntraefik.http.routers.a.rule=Host(`a.org`)\ntraefik.http.routers.a.entrypoints=mqtt",
        ] {
            assert_eq!(fitted(lines), (Vec::new(), None), "{lines}");
        }
    }

    #[test]
    fn a_redirect_is_left_and_what_is_on_http_alone_moves() {
        let one = "traefik.enable=true\ntraefik.http.routers.a.rule=Host(`a.org`)\ntraefik.http.routers.a.entrypoints=web\ntraefik.http.routers.a.middlewares=m\n";
        let (changed, _) = fitted(&format!(
            "{one}traefik.http.middlewares.m.redirectscheme.scheme=https"
        ));
        assert_eq!(changed, Vec::<String>::new());
        // A redirect of paths, whatever its name.
        let (changed, _) = fitted(
            &format!("{one}traefik.http.middlewares.m.redirectregex.replacement=/x")
                .replace("=m\n", "=redirect\n")
                .replace(".m.", ".redirect."),
        );
        assert_eq!(changed.len(), 3, "{changed:?}");
    }

    /// Rules as Traefik's guide to its third version has them, with and without a change.
    #[test]
    fn rules_of_traefik_2_are_marked() {
        let edge = edge();
        let routes = EdgeRoutes::of_file(&Mapping::new(), &edge);
        for (protocol, rule, is_older) in [
            ("http", "Host(`a.org`) && PathPrefix(`/x`)", false),
            ("http", "HostRegexp(`^[a-z]+\\.a\\.org$`)", false),
            ("http", "Header(`A`, `b`)", false),
            ("http", "Host(`a.org`, `b.org`)", true),
            ("http", "HostRegexp(`{sub:[a-z]+}.a.org`)", true),
            ("http", "Host(`a.org`) && Headers(`A`, `b`)", true),
            ("http", "HeadersRegexp(`A`, `b.*`)", true),
            ("http", "Path(`/{id:[0-9]+}`)", true),
            ("http", "PathPrefix(`/a`, `/b`)", true),
            ("tcp", "HostSNI(`*`)", false),
            ("tcp", "HostSNI(`a.org`, `b.org`)", true),
            // Neither takes it: what is wrong is told elsewhere.
            ("http", "Hots(`a.org`)", false),
        ] {
            let rule_label = format!("traefik.{protocol}.routers.a.rule");
            let mut labels = Labels::from([(rule_label, rule.to_owned())]);
            let before = labels.clone();
            let note = routes.mark_older_rules("web", &mut labels);
            assert_eq!(note.is_some(), is_older, "{rule}");
            let mark = labels.remove(&format!("traefik.{protocol}.routers.a.rulesyntax"));
            assert_eq!(mark.as_deref(), is_older.then_some("v2"), "{rule}");
            assert_eq!(labels, before, "{rule}");
            let rule_syntax = format!("traefik.{protocol}.routers.a.ruleSyntax");
            labels.insert(rule_syntax, "v3".to_owned());
            let note = routes.mark_older_rules("web", &mut labels);
            assert_eq!(note, None, "{rule}");
        }
    }

    #[test]
    fn networks_lead_to_the_edge() {
        for (file, networks, services) in [
            // The file's own network for its Traefik is taken for the edge's.
            (
                "services: {a: {networks: [p], deploy: {labels: [traefik.enable=true]}}}\nnetworks: {p: {external: true, name: traefik-public}}",
                "p: {external: true, name: traefik-net}",
                "[p]",
            ),
            // One that is for something else stays.
            (
                "services: {a: {networks: {db: {aliases: [x]}}, deploy: {labels: [traefik.enable=true]}}}\nnetworks: {db: {external: true}}",
                "db: {external: true}\ntraefik-net: {external: true}",
                "{db: {aliases: [x]}, traefik-net: null}",
            ),
            (
                "services: {a: {deploy: {labels: {traefik.http.routers.a.rule: x}}}}",
                "traefik-net: {external: true}",
                "[default, traefik-net]",
            ),
            (
                "services: {a: {networks: [traefik-net], deploy: {labels: [traefik.enable=true]}}}\nnetworks: {traefik-net: {driver: overlay}}",
                "traefik-net: {driver: overlay}\ntraefik-net-of-edge: {external: true, name: traefik-net}",
                "[traefik-net, traefik-net-of-edge]",
            ),
        ] {
            let mut now: Mapping = serde_yaml::from_str(file).unwrap();
            let notes = attach_edge_network(&mut now, &edge());
            assert_eq!(notes.len(), 1, "{notes:?}");
            let wanted: Value = serde_yaml::from_str(networks).unwrap();
            assert_eq!(now["networks"], wanted, "{file}");
            let wanted: Value = serde_yaml::from_str(services).unwrap();
            assert_eq!(now["services"]["a"]["networks"], wanted, "{file}");
            assert_eq!(attach_edge_network(&mut now, &edge()), Vec::<String>::new());
        }
    }

    #[test]
    fn what_has_no_routes_or_a_traefik_of_its_own_is_left() {
        for text in [
            "services: {a: {networks: [p], deploy: {labels: [traefik.enable=false]}}}\nnetworks: {p: {external: true}}",
            "services: {a: {networks: [proxy], deploy: {labels: [traefik.enable=true]}}, t: {image: 'docker.io/library/traefik:v2'}}\nnetworks: {proxy: {external: true}}",
        ] {
            let before: Mapping = serde_yaml::from_str(text).unwrap();
            let mut now = before.clone();
            assert_eq!(attach_edge_network(&mut now, &edge()), Vec::<String>::new());
            assert_eq!(now, before);
        }
    }
}
