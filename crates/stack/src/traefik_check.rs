//! What Traefik would refuse of a stack's labels, or take otherwise than it is meant, told before.
//!
//! Looked at are the labels as they are deployed. Sources: `pkg/provider/docker`, `pkg/provider` and
//! `pkg/server` of <https://github.com/traefik/traefik>, version 3.7.

use std::collections::{BTreeMap, BTreeSet};

use matou_i18n::tr;
use serde_yaml::{Mapping, Value};

use super::edge_labels::{ENTRY_POINTS, EdgeRoutes, rule_key};
use super::line_index::LineIndex;
use super::lint::{LintFinding, LintSeverity, section_entries};
use super::rendered::RenderedService;
use super::traefik_keys::{OptionKind, find_near, find_option, find_value_fault, parse_switch};
use super::traefik_labels::{ENABLE_LABEL, RouteObject, RouteOption, SECTIONS, TraefikLabels};
use super::traefik_regexp::find_regexp_fault;
use super::traefik_rules::{RuleSyntax, parse_rule, shorten};

/// Most findings about labels; more are left out.
const MAX_FINDINGS: usize = 1_000;

/// Longest sentence, bytes: it may hold a value of the file.
const MAX_MESSAGE_BYTES: usize = 2_000;

/// Services that Traefik itself has when its API is off, as it is at the edge.
const INTERNAL_SERVICES: [&str; 4] = ["noop", "ping", "prometheus", "acme-http"];

/// Options that are regular expressions.
const REGEXP_OPTIONS: [&str; 3] = [
    "redirectregex.regex",
    "replacepathregex.regex",
    "stripprefixregex.regex",
];

/// Lines of the labels of all services, taken before the labels are written anew.
#[derive(Debug, Default)]
pub(super) struct LabelPlaces {
    /// By service: the line of all labels, and those of each.
    lines: BTreeMap<String, (usize, BTreeMap<String, usize>)>,
}

impl LabelPlaces {
    /// Looks up the labels of a compose file.
    pub(super) fn of_file(file: &Mapping, places: &LineIndex) -> Self {
        let mut lines = BTreeMap::new();
        for (name, service) in section_entries(file, "services") {
            let path = ["services", name, "deploy", "labels"];
            let line = |key: &str| places.line_of(&[&path[..], &[key]].concat());
            let labels = match service.get("deploy").and_then(|d| d.get("labels")) {
                Some(Value::Mapping(map)) => map
                    .keys()
                    .filter_map(Value::as_str)
                    .map(|key| (key.to_owned(), line(key)))
                    .collect(),
                Some(Value::Sequence(list)) => list
                    .iter()
                    .enumerate()
                    .filter_map(|(at, item)| {
                        let item = item.as_str()?;
                        let key = item.split_once('=').map_or(item, |(key, _)| key);
                        Some((key.to_owned(), line(&at.to_string())))
                    })
                    .collect(),
                _ => BTreeMap::new(),
            };
            lines.insert(name.to_owned(), (places.line_of(&path), labels));
        }
        Self { lines }
    }

    /// Returns the line of a label; of all labels for one that is not in the file.
    fn line_of(&self, service: &str, label: Option<&str>) -> usize {
        let Some((all, each)) = self.lines.get(service) else {
            return 1;
        };
        // A label of Traefik 2 has another name by now.
        let old = |label: &str| label.replacen("traefik.swarm.", "traefik.docker.", 1);
        label
            .and_then(|label| each.get(label).or_else(|| each.get(&old(label))))
            .copied()
            .unwrap_or(*all)
    }
}

/// Checks the labels of rendered services.
pub(super) fn check_routes<'a>(
    routes: &'a EdgeRoutes<'a>,
    services: &'a [RenderedService],
    places: &'a LabelPlaces,
    file: &'a str,
) -> Vec<LintFinding> {
    let mut checker = Checker {
        routes,
        places,
        file,
        found: Vec::new(),
        defined: BTreeMap::new(),
        rules: BTreeMap::new(),
    };
    let read: Vec<(&str, TraefikLabels)> = services
        .iter()
        .map(|s| (s.name.as_str(), TraefikLabels::read(&s.labels)))
        .collect();
    if let Some(own) = &routes.own_traefik {
        let routed = read.iter().find(|(_, l)| l.is_enabled() == Some(true));
        if let Some((service, _)) = routed {
            let message = tr!(
                "{own} is a Traefik of its own, which the labels are left for; matou's edge reads them too: take {own} out, and they are made to fit the edge"
            );
            checker.add(LintSeverity::Warning, service, None, message);
        }
        return checker.found;
    }
    let enabled = || read.iter().filter(|(_, l)| l.is_enabled() == Some(true));
    for (service, labels) in enabled() {
        for object in labels.objects.values() {
            let key = (object.protocol, object.section, object.name.as_str());
            checker
                .defined
                .entry(key)
                .or_default()
                .push((service, object));
        }
    }
    for ((service, labels), rendered) in read.iter().zip(services) {
        checker.check_spelling(service, rendered.labels.keys());
        checker.check_service(service, labels);
    }
    checker.check_twice_defined();
    checker.found.sort_by_key(|f| (f.line, f.severity));
    checker.found.dedup();
    checker.found
}

/// Who defines an object, and what it is there.
type Definitions<'a> = Vec<(&'a str, &'a RouteObject)>;

struct Checker<'a> {
    routes: &'a EdgeRoutes<'a>,
    places: &'a LabelPlaces,
    file: &'a str,
    found: Vec<LintFinding>,
    /// By protocol, section and name.
    defined: BTreeMap<(&'a str, &'a str, &'a str), Definitions<'a>>,
    /// Router of each rule, entry points and priority.
    rules: BTreeMap<String, String>,
}

impl<'a> Checker<'a> {
    /// Whether more findings are left out, and need not be looked for.
    fn is_full(&self) -> bool {
        self.found.len() >= MAX_FINDINGS
    }

    fn add(&mut self, severity: LintSeverity, service: &str, label: Option<&str>, message: String) {
        if self.is_full() {
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
            line: self.places.line_of(service, label),
            message,
        });
    }

    fn add_error(&mut self, service: &str, label: &str, message: String) {
        self.add(LintSeverity::Error, service, Some(label), message);
    }

    fn add_warning(&mut self, service: &str, label: &str, message: String) {
        self.add(LintSeverity::Warning, service, Some(label), message);
    }

    /// Warns of labels that Traefik does not take for its own.
    fn check_spelling<'l>(&mut self, service: &str, labels: impl Iterator<Item = &'l String>) {
        for label in labels {
            if self.is_full() {
                return;
            }
            let mut words = label.split('.');
            let root = words.next().unwrap_or_default();
            let protocol = words.next().unwrap_or_default();
            let is_route = words.next().is_some_and(|w| SECTIONS.contains(&w));
            if root != "traefik" && root.eq_ignore_ascii_case("traefik") {
                let small = format!("traefik{}", &label[root.len()..]);
                self.add_error(
                    service,
                    label,
                    tr!("Traefik drops all labels of {service} for {label}: write {small}"),
                );
            } else if is_route && root == "traefik" {
                if !["http", "tcp", "udp"]
                    .iter()
                    .any(|p| p.eq_ignore_ascii_case(protocol))
                {
                    let near = find_near(protocol, ["http", "tcp", "udp"]);
                    let message = tr!(
                        "Traefik does not read {label}: after `traefik.` stands {}",
                        near.unwrap_or(tr!("http, tcp or udp"))
                    );
                    self.add_warning(service, label, message);
                }
            } else if is_route && find_near(root, ["traefik"]).is_some() && root != "traefik" {
                self.add_warning(
                    service,
                    label,
                    tr!("Traefik does not read {label}: its labels begin with `traefik.`"),
                );
            }
        }
    }

    fn check_service(&mut self, service: &'a str, labels: &'a TraefikLabels) {
        let enabled = match &labels.enable {
            Some(RouteOption { label, value }) => {
                if parse_switch(value).is_none() {
                    let message = tr!(
                        "Traefik drops all labels of {service} for {ENABLE_LABEL}={}: write true or false",
                        shorten(value)
                    );
                    self.add_error(service, label, message);
                }
                parse_switch(value).unwrap_or(false)
            }
            None => {
                if !labels.objects.is_empty() {
                    let message =
                        tr!("the edge reads no label of {service}: add {ENABLE_LABEL}=true");
                    self.add(LintSeverity::Warning, service, None, message);
                }
                false
            }
        };
        if !enabled {
            return;
        }
        for stray in &labels.strays {
            self.check_stray(service, stray);
        }
        for object in labels.objects.values() {
            if self.is_full() {
                return;
            }
            self.check_options(service, object);
            match object.section {
                "routers" => self.check_router(service, object, labels),
                "middlewares" => self.check_middleware(service, object),
                _ => self.check_transport(service, object),
            }
        }
        // What a stray was meant for is not known.
        if labels.strays.is_empty() {
            self.check_ports(service, labels);
        }
    }

    fn check_stray(&mut self, service: &str, RouteOption { label, .. }: &RouteOption) {
        let section = label.split('.').nth(2).unwrap_or_default();
        // Traefik reads these from files alone, and leaves the label out.
        if section.eq_ignore_ascii_case("serverstransports") {
            let message =
                tr!("Traefik reads no {section} from labels, but from files: {label} does nothing");
            self.add_warning(service, label, message);
            return;
        }
        let hint = match find_near(section, SECTIONS) {
            _ if label.contains("..") => {
                tr!("a name in it is empty; give the variable that it comes from a value")
                    .to_owned()
            }
            Some(near) if near != section => tr!("did you mean `{near}`?"),
            _ => tr!("write traefik.http.routers.NAME.OPTION").to_owned(),
        };
        self.add_error(
            service,
            label,
            tr!("Traefik drops all labels of {service} for {label}: {hint}"),
        );
    }

    /// Checks that Traefik knows the options of an object, and takes their values.
    fn check_options(&mut self, service: &str, object: &RouteObject) {
        for (option, RouteOption { label, value }) in &object.options {
            if option.is_empty() || self.is_full() {
                continue;
            }
            match find_option(object.protocol, object.section, option) {
                Err(near) => {
                    let hint = match near {
                        Some(near) => tr!(
                            "did you mean traefik.{}.{}.{}.{near}?",
                            object.protocol,
                            object.section,
                            shorten(&object.name)
                        ),
                        None => tr!("it is no option of {}", object.section),
                    };
                    let message = tr!(
                        "Traefik drops all labels of {service} for {}: {hint}",
                        shorten(label)
                    );
                    self.add_error(service, label, message);
                }
                Ok(kind) => {
                    if let Some(wanted) = find_value_fault(kind, value) {
                        let what = match kind {
                            OptionKind::Port => tr!("Traefik reaches no task of"),
                            _ => tr!("Traefik drops all labels of"),
                        };
                        let message = tr!(
                            "{what} {service} for {}={}: it is {wanted}",
                            shorten(label),
                            shorten(value)
                        );
                        self.add_error(service, label, message);
                    }
                }
            }
        }
    }

    fn check_router(
        &mut self,
        service: &'a str,
        router: &'a RouteObject,
        labels: &'a TraefikLabels,
    ) {
        let name = router.name.as_str();
        self.check_entry_points(service, router);
        if router.protocol != "udp" {
            self.check_rule(service, router);
            self.check_middleware_names(service, router, "middlewares");
            self.check_tls_options(service, router);
        }
        match router.value("service").filter(|s| !s.is_empty()) {
            Some(used) => self.check_service_name(service, router, "service", used),
            None => {
                let services: Vec<&str> = labels
                    .list_objects(router.protocol, "services")
                    .map(|o| o.name.as_str())
                    .take(5)
                    .collect();
                if services.len() > 1 {
                    let message = tr!(
                        "Traefik drops the router {name}: say to which of {} it leads, with {}",
                        shorten(&services.join(", ")),
                        router.label("service")
                    );
                    self.add_error(service, first_label(router), message);
                }
            }
        }
        if let Some(priority) = router.value("priority")
            && priority.parse::<i64>().is_ok_and(|p| p > i64::MAX - 1_000)
        {
            let message = tr!("Traefik drops the router {name}: its priority is too high");
            self.add_error(service, &router.label("priority"), message);
        }
    }

    fn check_entry_points(&mut self, service: &str, router: &RouteObject) {
        let name = &router.name;
        let label = router.label("entrypoints");
        let points = router.list("entrypoints");
        if router.protocol == "udp" {
            let message = tr!(
                "the edge has no entry point for UDP: publish the port of {service} under `ports:` in the place of the router {name}"
            );
            self.add_warning(service, first_label(router), message);
            return;
        }
        for point in &points {
            if !ENTRY_POINTS.contains(point) {
                let message = tr!(
                    "the edge has no entry point {}, which the router {name} names: it has {}; for another port, publish it under `ports:` of {service}",
                    shorten(point),
                    ENTRY_POINTS.join(", ")
                );
                self.add_warning(service, &label, message);
            }
        }
        if points.is_empty() && router.protocol == "tcp" {
            let message = tr!(
                "the router {name} takes connections of all entry points, those of other applications too: write {label}"
            );
            self.add_warning(service, first_label(router), message);
        }
    }

    fn check_rule(&mut self, service: &str, router: &RouteObject) {
        let name = &router.name;
        let Some(rule) = router.value("rule") else {
            let message = match router.protocol {
                "tcp" => tr!("Traefik drops the router {name}, which has no rule"),
                _ => tr!("the router {name} has no rule: is its name misspelt?"),
            };
            self.add_warning(service, first_label(router), message);
            return;
        };
        let is_v2 = router.value("rulesyntax").is_some_and(|s| s == "v2");
        let syntax = match (router.protocol, is_v2) {
            ("tcp", false) => RuleSyntax::Tcp,
            ("tcp", true) => RuleSyntax::TcpV2,
            (_, false) => RuleSyntax::Http,
            (_, true) => RuleSyntax::HttpV2,
        };
        let label = router.label("rule");
        match parse_rule(rule, syntax) {
            Err(fault) => self.add_error(
                service,
                &label,
                tr!(
                    "Traefik refuses the rule {} of the router {name}: {fault}",
                    shorten(rule)
                ),
            ),
            Ok(parsed) => {
                for doubt in parsed.doubts {
                    let message = tr!("the rule of the router {name} matches nothing: {doubt}");
                    self.add_warning(service, &label, message);
                }
                let first = parsed.server_names.first();
                if !router.has_tls() && first.is_some_and(|n| n != "*") {
                    let message = tr!(
                        "Traefik refuses the router {name}: HostSNI with a name needs TLS; add {}=true, or write HostSNI(`*`)",
                        router.label("tls")
                    );
                    self.add_error(service, &label, message);
                }
            }
        }
        let mut points = router.list("entrypoints");
        points.sort_unstable();
        let key = format!(
            "{} {} {} {}",
            router.protocol,
            points.join(","),
            router.value("priority").unwrap_or_default(),
            rule_key(rule)
        );
        if let Some(other) = self.rules.insert(key, name.clone())
            && other != *name
        {
            let message = tr!(
                "the routers {other} and {name} have the same rule {}",
                shorten(rule)
            );
            self.add_error(service, &label, message);
        }
    }

    fn check_tls_options(&mut self, service: &str, router: &RouteObject) {
        let options = router.value("tls.options").unwrap_or_default();
        if router.has_tls() && !["", "default"].contains(&options) {
            let message = tr!(
                "Traefik drops the router {}: TLS options come from files, and the edge has none; take {} out",
                router.name,
                router.label("tls.options")
            );
            self.add_warning(service, &router.label("tls.options"), message);
        }
    }

    /// Checks the names of middlewares in an option that lists them.
    fn check_middleware_names(&mut self, service: &str, user: &RouteObject, option: &str) {
        let label = user.label(option);
        let whose = match user.section {
            "routers" => tr!("router"),
            _ => "middleware",
        };
        for used in user.list(option) {
            if self.is_full() {
                return;
            }
            let (name, provider) = used.split_once('@').unwrap_or((used, "swarm"));
            let shown = shorten(used);
            let message = match provider {
                "swarm"
                    if self
                        .defined
                        .contains_key(&(user.protocol, "middlewares", name)) =>
                {
                    continue;
                }
                "internal" => continue,
                _ if self.is_for_redirect(user, used) => tr!(
                    "Traefik drops the {whose} {}, as nobody defines the middleware {shown}: take it out; the edge sends http on to https by itself",
                    user.name
                ),
                "swarm" => {
                    let names: Vec<&str> = self.list_names(user.protocol, "middlewares");
                    match find_near(name, names) {
                        Some(near) if near != name => tr!(
                            "Traefik drops the {whose} {}: nobody defines the middleware {shown}; did you mean {near}?",
                            user.name
                        ),
                        _ => tr!(
                            "Traefik drops the {whose} {}, unless another application defines the middleware {shown}: this file does not",
                            user.name
                        ),
                    }
                }
                other => tr!(
                    "Traefik drops the {whose} {}: the edge has no provider {}, which {shown} names; write the middleware as labels of {service}",
                    user.name,
                    shorten(other)
                ),
            };
            self.add_warning(service, &label, message);
        }
    }

    /// Whether a router is there only to send requests on to https, by this middleware.
    fn is_for_redirect(&self, user: &RouteObject, used: &str) -> bool {
        user.section == "routers"
            && user.list("entrypoints") == ["web"]
            && self.routes.redirects_to_https(used)
    }

    /// Checks the name of the service that a router or middleware leads to.
    fn check_service_name(&mut self, service: &str, user: &RouteObject, option: &str, used: &str) {
        let (name, provider) = used.split_once('@').unwrap_or((used, "swarm"));
        let shown = shorten(used);
        let message = match provider {
            "swarm"
                if self
                    .defined
                    .contains_key(&(user.protocol, "services", name)) =>
            {
                return;
            }
            "internal" if INTERNAL_SERVICES.contains(&name) => return,
            "internal" => tr!(
                "Traefik drops the router {}: the edge's API and dashboard are off, and {shown} is not there",
                user.name
            ),
            "swarm" => {
                let names: Vec<&str> = self.list_names(user.protocol, "services");
                let hint = match find_near(name, names) {
                    Some(near) if near != name => tr!("did you mean {near}?"),
                    _ => tr!(
                        "write traefik.{}.services.{shown}.loadbalancer.server.port",
                        user.protocol
                    ),
                };
                tr!(
                    "nobody in this file defines the service {shown}, which {} names: {hint}",
                    user.name
                )
            }
            other => tr!(
                "the edge has no provider {}, which the service {shown} of {} names",
                shorten(other),
                user.name
            ),
        };
        self.add_warning(service, &user.label(option), message);
    }

    fn list_names(&self, protocol: &str, section: &str) -> Vec<&'a str> {
        self.defined
            .keys()
            .filter(|(p, s, _)| *p == protocol && *s == section)
            .map(|(_, _, name)| *name)
            .take(100)
            .collect()
    }

    fn check_middleware(&mut self, service: &str, middleware: &RouteObject) {
        let name = &middleware.name;
        let kinds: BTreeSet<&str> = middleware
            .options
            .keys()
            .filter_map(|option| option.split('.').next())
            .filter(|kind| !kind.is_empty())
            .collect();
        if kinds.len() > 1 {
            let kinds = kinds.into_iter().collect::<Vec<_>>().join(tr!(" and "));
            let message = tr!(
                "Traefik refuses the middleware {name}, which is {}: make it several",
                shorten(&kinds)
            );
            self.add_error(service, first_label(middleware), message);
        } else if kinds.is_empty() {
            let message = tr!(
                "the middleware {name} has no kind: write traefik.http.middlewares.{name}.KIND.OPTION"
            );
            self.add_warning(service, first_label(middleware), message);
        } else if kinds.contains("plugin") {
            let message = tr!(
                "the edge has no plugins: Traefik drops the routers with the middleware {name}"
            );
            self.add_warning(service, first_label(middleware), message);
        }
        for option in REGEXP_OPTIONS {
            let expression = middleware.value(option).unwrap_or_default();
            if let Some(fault) = find_regexp_fault(expression) {
                let message = tr!(
                    "Traefik refuses the middleware {name}: the expression {} {fault}",
                    shorten(expression)
                );
                self.add_error(service, &middleware.label(option), message);
            }
        }
        if kinds_is(middleware, "redirectscheme")
            && middleware.value("redirectscheme.scheme").is_none()
        {
            let message = tr!(
                "Traefik refuses the middleware {name}: add {}=https",
                middleware.label("redirectscheme.scheme")
            );
            self.add_error(service, first_label(middleware), message);
        }
        for option in ["basicauth.users", "digestauth.users"] {
            self.check_users(service, middleware, option);
        }
        self.check_middleware_names(service, middleware, "chain.middlewares");
        if let Some(used) = middleware.value("errors.service") {
            self.check_service_name(service, middleware, "errors.service", used);
        }
    }

    /// Checks that each user of a middleware has a whole hash: a single `$` takes what follows it away.
    fn check_users(&mut self, service: &str, middleware: &RouteObject, option: &str) {
        let label = middleware.label(option);
        for user in middleware.list(option) {
            let parts: Vec<&str> = user.splitn(3, ':').collect();
            let hash = parts.last().copied().unwrap_or_default();
            let is_basic = option.starts_with("basic");
            let whole = match is_basic {
                true => hash.starts_with(['$', '{']) && hash.len() > 13,
                false => parts.len() == 3 && hash.len() == 32,
            };
            // One without a colon is what a variable is tried with.
            if !whole && parts.len() > 1 {
                let name = parts.first().copied().unwrap_or_default();
                let message = tr!(
                    "nobody comes in as {} by the middleware {}: its hash is not whole; write each $ of it as $$",
                    shorten(name),
                    middleware.name
                );
                self.add_warning(service, &label, message);
            }
        }
    }

    fn check_transport(&mut self, service: &str, object: &RouteObject) {
        let used = object
            .value("loadbalancer.serverstransport")
            .unwrap_or_default();
        if !used.is_empty() && !used.ends_with("@internal") {
            let label = object.label("loadbalancer.serverstransport");
            let message = tr!(
                "Traefik drops the service {}: a servers transport comes from a file, and the edge has none",
                object.name
            );
            self.add_warning(service, &label, message);
        }
    }

    /// Checks that every service has a port: Swarm tells Traefik none.
    fn check_ports(&mut self, service: &str, labels: &TraefikLabels) {
        let has = |protocol: &str| labels.objects.keys().any(|(p, ..)| *p == protocol);
        let routed = |protocol: &str| {
            labels
                .objects
                .keys()
                .any(|(p, s, _)| *p == protocol && *s != "middlewares")
        };
        for protocol in ["http", "tcp", "udp"] {
            let needed = match protocol {
                "http" => has("http") || !(routed("tcp") || routed("udp")),
                other => routed(other),
            };
            if !needed {
                continue;
            }
            let router = labels.list_objects(protocol, "routers").next();
            let mut services = labels.list_objects(protocol, "services").peekable();
            if services.peek().is_none() {
                let port = |name: &str| {
                    format!("traefik.{protocol}.services.{name}.loadbalancer.server.port")
                };
                match router {
                    Some(router) => {
                        let message = tr!(
                            "the router {} leads to no port: add {}",
                            router.name,
                            port(&router.name)
                        );
                        self.add(LintSeverity::Error, service, None, message);
                    }
                    None => {
                        let message = tr!(
                            "Traefik leaves {service} out: it has {ENABLE_LABEL}=true, and no {}; add it, and a router with a rule",
                            port(service)
                        );
                        self.add(LintSeverity::Warning, service, Some(ENABLE_LABEL), message);
                    }
                }
            } else if router.is_none() && protocol == "http" {
                let message = tr!(
                    "{service} has no router: Traefik makes one for a host that is called like the service; add traefik.http.routers.{service}.rule"
                );
                self.add(LintSeverity::Warning, service, Some(ENABLE_LABEL), message);
            }
            for object in services {
                let has = |option: &str| object.value(option).is_some_and(|v| !v.is_empty());
                if !has("loadbalancer.server.port") && !has("loadbalancer.server.url") {
                    let message = tr!(
                        "Traefik drops all labels of {service}: add {}",
                        object.label("loadbalancer.server.port")
                    );
                    self.add_error(service, first_label(object), message);
                }
            }
        }
    }

    /// Checks objects that several services define: Traefik drops those that differ.
    fn check_twice_defined(&mut self) {
        let twice: Vec<Definitions<'_>> = self
            .defined
            .values()
            .filter(|all| all.len() > 1)
            .cloned()
            .collect();
        for definitions in twice {
            let Some((first_service, first)) = definitions.first() else {
                continue;
            };
            let same = comparable(first);
            for (service, object) in &definitions[1..] {
                if comparable(object) != same {
                    let kind = match object.section {
                        "routers" => tr!("router"),
                        section => section.trim_end_matches('s'),
                    };
                    let message = tr!(
                        "Traefik drops the {kind} {}, which {first_service} and {service} define differently: give each its own name",
                        shorten(&object.name)
                    );
                    self.add_error(service, first_label(object), message);
                }
            }
        }
    }
}

/// Returns what must be equal where an object is defined twice; addresses of servers need not be.
fn comparable(object: &RouteObject) -> BTreeMap<&str, &str> {
    object
        .options
        .iter()
        .filter(|(option, _)| !option.starts_with("loadbalancer.server."))
        .map(|(option, set)| (option.as_str(), set.value.as_str()))
        .collect()
}

fn kinds_is(middleware: &RouteObject, kind: &str) -> bool {
    middleware
        .options
        .keys()
        .any(|option| option.split('.').next() == Some(kind))
}

/// Returns the label of an object that names it best: its rule, or the first there is.
fn first_label(object: &RouteObject) -> &str {
    object
        .options
        .get("rule")
        .or_else(|| object.options.values().next())
        .map_or("", |option| option.label.as_str())
}
