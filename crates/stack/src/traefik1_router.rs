//! Options of one frontend and backend of Traefik 1, turned into a router, its service and its
//! middlewares.
//!
//! Every label of Traefik 1.7 (`provider/label/names.go`), without `traefik.` and the segment:
//!
//! | label | becomes |
//! | --- | --- |
//! | `enable` | `traefik.enable`, which is added where it is missing |
//! | `port`, `protocol`, `weight` | `server.port`, `server.scheme`, `server.weight` of the service |
//! | `domain` | the rule, where there is none; else nothing |
//! | `tags`, `portName`, `portIndex`, `backend.id` | dropped, and told |
//! | `backend` | dropped: a service has its router's name; pages for errors find it |
//! | `docker.network`, `backend.loadbalancer.swarm` | `traefik.swarm.network`, `traefik.swarm.lbswarm` |
//! | `backend.healthcheck.*` | `healthcheck.*` of the service; nothing without a path |
//! | `backend.loadbalancer.stickiness`, `….cookieName`, `….secure`, `….httpOnly`, `….sameSite`, `….sticky` | `sticky.cookie` of the service |
//! | `backend.loadbalancer.method` | dropped, and told unless it is `wrr` |
//! | `backend.responseForwarding.flushInterval` | the same of the service |
//! | `backend.circuitbreaker.expression`, `backend.buffering.*` | middlewares of these names |
//! | `backend.maxconn.amount`, `….extractorfunc` | the middleware `inflightreq` |
//! | `frontend.rule`, `frontend.priority`, `frontend.entryPoints` | the same of the router |
//! | `frontend.passHostHeader` | the same of the service |
//! | `frontend.passTLSCert` | dropped, and told |
//! | `frontend.passTLSClientCert.*` | the middleware `passtlsclientcert` |
//! | `frontend.auth.basic`, `….digest`, `….forward`, `….headerField` | the middleware of the first of these that is there |
//! | `frontend.auth.forward.tls.caOptional` | dropped, and told |
//! | `frontend.whiteList.sourceRange`, `frontend.whitelistSourceRange` | the middleware `ipallowlist` |
//! | `frontend.whiteList.useXForwardedFor` | its `ipstrategy.depth` 1, and told |
//! | `frontend.redirect.entryPoint`, `….regex` | the middleware `redirectscheme` or `redirectregex` |
//! | `frontend.errors.*.*` | a middleware `errors` each; dropped and told where no service of the file has that backend |
//! | `frontend.rateLimit.*` | a middleware `ratelimit` a set; nothing without an extractor |
//! | `frontend.headers.SSLRedirect`, `….SSLTemporaryRedirect` | the middleware `redirectscheme` |
//! | `frontend.headers.SSLForceHost` with `….SSLHost` | the middleware `redirectregex` |
//! | `frontend.headers.*` | the middleware `headers` |
//!
//! This file and `traefik1` need each other: what it writes into is what `traefik1` returns.
//!
//! A rule that Traefik 1 does not know is refused. The order of middlewares is that of
//! `server/server_middlewares.go` (buildMiddlewares), `server/server_loadbalancer.go`
//! (buildBalancerMiddlewares) and `server/server_configuration.go` (buildMatcherMiddlewares).

use std::collections::{BTreeMap, BTreeSet};

use super::traefik1::MigratedLabels;
use super::traefik1_rule::{MigratedRule, Stage, migrate_rule};
use super::traefik1_values::{
    CheckedValue, ValueKind, check_value, parse_go_bool, split_header_map, split_list,
};
use matou_base::text::InvalidInput;
use matou_i18n::tr;

/// An option as it is written.
#[derive(Debug, Clone)]
pub(super) struct WrittenOption<'a> {
    /// The whole label.
    pub label: &'a str,
    pub value: String,
}

/// Options of a segment by their names in lower case, without `traefik.` and the segment.
pub(super) type Options<'a> = BTreeMap<String, WrittenOption<'a>>;

/// A label of Traefik 1, what its value is, and the option of Traefik 3.
type SameOption = (&'static str, ValueKind, &'static str);

const SERVICE_OPTIONS: [SameOption; 5] = [
    ("port", ValueKind::Number, "server.port"),
    ("protocol", ValueKind::Text, "server.scheme"),
    ("weight", ValueKind::Number, "server.weight"),
    (
        "frontend.passhostheader",
        ValueKind::Truth,
        "passhostheader",
    ),
    (
        "backend.responseforwarding.flushinterval",
        ValueKind::Duration,
        "responseforwarding.flushinterval",
    ),
];

const HEALTH_OPTIONS: [(&str, ValueKind); 5] = [
    ("path", ValueKind::Text),
    ("scheme", ValueKind::Text),
    ("port", ValueKind::Number),
    ("interval", ValueKind::Duration),
    ("hostname", ValueKind::Text),
];

const BUFFERING_OPTIONS: [(&str, ValueKind); 5] = [
    ("maxrequestbodybytes", ValueKind::Number),
    ("memrequestbodybytes", ValueKind::Number),
    ("maxresponsebodybytes", ValueKind::Number),
    ("memresponsebodybytes", ValueKind::Number),
    ("retryexpression", ValueKind::Text),
];

const HEADER_OPTIONS: [(&str, ValueKind); 15] = [
    ("allowedhosts", ValueKind::List),
    ("hostsproxyheaders", ValueKind::List),
    ("stsseconds", ValueKind::Number),
    ("stsincludesubdomains", ValueKind::Switch),
    ("stspreload", ValueKind::Switch),
    ("forcestsheader", ValueKind::Switch),
    ("framedeny", ValueKind::Switch),
    ("customframeoptionsvalue", ValueKind::Text),
    ("contenttypenosniff", ValueKind::Switch),
    ("browserxssfilter", ValueKind::Switch),
    ("custombrowserxssvalue", ValueKind::Text),
    ("contentsecuritypolicy", ValueKind::Text),
    ("publickey", ValueKind::Text),
    ("referrerpolicy", ValueKind::Text),
    ("isdevelopment", ValueKind::Switch),
];

const HEADER_MAPS: [&str; 3] = [
    "customrequestheaders",
    "customresponseheaders",
    "sslproxyheaders",
];

/// Parts of a certificate's subject or issuer.
const CERTIFICATE_NAMES: [&str; 7] = [
    "commonname",
    "country",
    "domaincomponent",
    "locality",
    "organization",
    "province",
    "serialnumber",
];

const AUTH_OPTIONS: [(&str, &[(&str, ValueKind)]); 3] = [
    (
        "basic",
        &[
            ("users", ValueKind::List),
            ("usersfile", ValueKind::Text),
            ("removeheader", ValueKind::Switch),
        ],
    ),
    (
        "digest",
        &[
            ("users", ValueKind::List),
            ("usersfile", ValueKind::Text),
            ("removeheader", ValueKind::Switch),
        ],
    ),
    (
        "forward",
        &[
            ("address", ValueKind::Text),
            ("authresponseheaders", ValueKind::List),
            ("trustforwardheader", ValueKind::Switch),
            ("tls.ca", ValueKind::Text),
            ("tls.cert", ValueKind::Text),
            ("tls.key", ValueKind::Text),
            ("tls.insecureskipverify", ValueKind::Switch),
        ],
    ),
];

/// The migration of one router and its service.
pub(super) struct RouterMigration<'a> {
    /// Name of the router and service.
    pub id: &'a str,
    pub resolver: &'a str,
    /// Services by the backends of Traefik 1.
    pub backends: &'a BTreeMap<String, String>,
    pub options: &'a Options<'a>,
    pub out: &'a mut MigratedLabels,
    /// Options that were looked at.
    used: BTreeSet<String>,
    middlewares: BTreeSet<(Stage, String)>,
    has_service: bool,
}

impl<'a> RouterMigration<'a> {
    pub(super) fn new(
        id: &'a str,
        resolver: &'a str,
        backends: &'a BTreeMap<String, String>,
        options: &'a Options<'a>,
        out: &'a mut MigratedLabels,
    ) -> Self {
        Self {
            id,
            resolver,
            backends,
            options,
            out,
            used: BTreeSet::new(),
            middlewares: BTreeSet::new(),
            has_service: false,
        }
    }

    /// Migrates all options. Without a rule there is a service, but no router.
    pub(super) fn migrate_router(mut self) -> Result<(), InvalidInput> {
        let rule = match self.take_option("frontend.rule") {
            Some(rule) => Some((migrate_rule(&rule.value)?, rule.label)),
            None => self.default_rule()?,
        };
        self.migrate_service();
        self.migrate_errors();
        self.migrate_allow_list();
        let entry_points = self.migrate_entry_points();
        self.migrate_headers();
        self.migrate_client_certificate();
        self.migrate_auth();
        self.migrate_backend_limits();
        self.migrate_rate_limit();
        if let Some((rule, label)) = rule {
            self.finish_router(rule, label, &entry_points);
        }
        self.tell_what_is_dropped();
        Ok(())
    }

    fn finish_router(&mut self, rule: MigratedRule, label: &str, entry_points: &[String]) {
        for modifier in rule.middlewares {
            self.set_middleware_option(
                modifier.stage,
                modifier.name,
                modifier.option,
                modifier.value,
                label,
            );
        }
        for note in rule.notes {
            self.out.add_note(note);
        }
        self.set_router_option("rule", rule.rule, label);
        if let Some(priority) = self.take_checked("frontend.priority", ValueKind::Number)
            // Traefik 1 takes what is not above 0 for none.
            && !priority.value.starts_with('-')
        {
            self.set_router_option("priority", priority.value, priority.label);
        }
        let from = self
            .options
            .get("frontend.entrypoints")
            .map_or("", |o| o.label);
        self.set_router_option("entrypoints", entry_points.join(","), from);
        if entry_points.iter().any(|e| e == "websecure") {
            self.set_router_option("tls.certresolver", self.resolver.to_owned(), "");
        }
        if self.has_service {
            self.set_router_option("service", self.id.to_owned(), "");
        }
        let names: Vec<&str> = self.middlewares.iter().map(|(_, n)| n.as_str()).collect();
        if !names.is_empty() {
            let names = names.join(",");
            self.set_router_option("middlewares", names, "");
        }
    }

    /// Returns the rule that Traefik 1 makes from the service's name and `traefik.domain`.
    fn default_rule(&mut self) -> Result<Option<(MigratedRule, &'a str)>, InvalidInput> {
        let Some(domain) = self.take_option("domain") else {
            self.out.add_note(tr!(
                "{0} has no rule: Traefik 1 made one from its name and a domain of its own options; write traefik.http.routers.{0}.rule",
                self.id
            ));
            return Ok(None);
        };
        let host = format!("{}.{}", self.id.replace('_', "-"), domain.value);
        self.out.add_note(tr!(
            "{} had no rule: Traefik 1 made Host:{host} from its name and traefik.domain, and so it is now",
            self.id
        ));
        Ok(Some((migrate_rule(&format!("Host:{host}"))?, domain.label)))
    }

    /// Takes an option that has a value.
    fn take_option(&mut self, name: &str) -> Option<WrittenOption<'a>> {
        let option = self.options.get(name)?;
        self.used.insert(name.to_owned());
        (!option.value.is_empty()).then(|| option.clone())
    }

    /// Takes an option that has a value of this kind, other than the default.
    fn take_checked(&mut self, name: &str, kind: ValueKind) -> Option<WrittenOption<'a>> {
        let option = self.take_option(name)?;
        match check_value(kind, &option.value) {
            CheckedValue::Value(value) => Some(WrittenOption {
                label: option.label,
                value,
            }),
            CheckedValue::Default => None,
            CheckedValue::Invalid => {
                self.out.add_note(tr!(
                    "{}={} is dropped: Traefik 1 ignored that value",
                    option.label,
                    option.value
                ));
                None
            }
        }
    }

    fn is_on(&mut self, name: &str) -> bool {
        self.take_checked(name, ValueKind::Switch).is_some()
    }

    fn set_router_option(&mut self, key: &str, value: String, from: &str) {
        let label = format!("traefik.http.routers.{}.{key}", self.id);
        self.out.set_label(label, value, from);
    }

    fn set_service_option(&mut self, key: &str, value: String, from: &str) {
        let label = format!("traefik.http.services.{}.loadbalancer.{key}", self.id);
        self.has_service = true;
        self.out.set_label(label, value, from);
    }

    /// Sets an option of the middleware `ID-NAME`, and has the router use it.
    fn set_middleware_option(
        &mut self,
        stage: Stage,
        name: &str,
        key: &str,
        value: String,
        from: &str,
    ) {
        let name = format!("{}-{}", self.id, label_word(name));
        self.out.set_label(
            format!("traefik.http.middlewares.{name}.{key}"),
            value,
            from,
        );
        self.middlewares.insert((stage, name));
    }

    fn migrate_service(&mut self) {
        for (old, kind, new) in SERVICE_OPTIONS {
            if let Some(option) = self.take_checked(old, kind) {
                self.set_service_option(new, option.value, option.label);
            }
        }
        self.migrate_health_check();
        self.migrate_stickiness();
        if let Some(method) = self.take_option("backend.loadbalancer.method")
            && !method.value.eq_ignore_ascii_case("wrr")
        {
            self.out.add_note(tr!(
                "the load balancing {} is gone: Traefik 3 takes turns",
                method.value
            ));
        }
        let port = self.options.get("port");
        if port.is_none_or(|p| check_value(ValueKind::Number, &p.value) == CheckedValue::Invalid) {
            self.out.add_note(tr!(
                "{0} has no port, without which a swarm's Traefik leaves it out: write traefik.http.services.{0}.loadbalancer.server.port",
                self.id
            ));
        }
    }

    fn migrate_health_check(&mut self) {
        let prefix = "backend.healthcheck.";
        let path = self.options.get("backend.healthcheck.path");
        if path.is_none_or(|path| path.value.is_empty()) {
            self.drop_family(prefix, tr!("Traefik 1 checked nothing without a path"));
            return;
        }
        for (name, kind) in HEALTH_OPTIONS {
            if let Some(option) = self.take_checked(&format!("{prefix}{name}"), kind) {
                self.set_service_option(&format!("healthcheck.{name}"), option.value, option.label);
            }
        }
        if let Some(headers) = self.take_option("backend.healthcheck.headers") {
            for (name, value) in self.header_pairs(&headers) {
                let key = format!("healthcheck.headers.{name}");
                self.set_service_option(&key, value, headers.label);
            }
        }
    }

    fn migrate_stickiness(&mut self) {
        let prefix = "backend.loadbalancer.stickiness";
        let old = self.take_checked("backend.loadbalancer.sticky", ValueKind::Switch);
        let Some(on) = self.take_checked(prefix, ValueKind::Switch) else {
            if let Some(old) = old {
                self.set_service_option("sticky.cookie", "true".into(), old.label);
                let name = "_TRAEFIK_BACKEND".to_owned();
                self.set_service_option("sticky.cookie.name", name, old.label);
            }
            self.drop_family(
                "backend.loadbalancer.stickiness.",
                tr!("Traefik 1 ignored it without backend.loadbalancer.stickiness=true"),
            );
            return;
        };
        self.set_service_option("sticky.cookie", "true".into(), on.label);
        for (old, kind, new) in [
            ("cookiename", ValueKind::Text, "name"),
            ("secure", ValueKind::Switch, "secure"),
            ("httponly", ValueKind::Switch, "httponly"),
            ("samesite", ValueKind::Text, "samesite"),
        ] {
            if let Some(option) = self.take_checked(&format!("{prefix}.{old}"), kind) {
                let key = format!("sticky.cookie.{new}");
                self.set_service_option(&key, option.value, option.label);
            }
        }
    }

    fn migrate_errors(&mut self) {
        for page in self.list_names("frontend.errors.") {
            let key = |option: &str| format!("frontend.errors.{page}.{option}");
            let backend = self.take_option(&key("backend"));
            let (status, query) = (
                self.take_checked(&key("status"), ValueKind::List),
                self.take_option(&key("query")),
            );
            let Some(backend) = backend else {
                continue;
            };
            let Some(service) = self.backends.get(&backend.value).cloned() else {
                self.out.add_note(tr!(
                    "{}={} is dropped: no service of this file has that backend; write a middleware errors with the service that has the pages",
                    backend.label, backend.value
                ));
                continue;
            };
            let name = format!("errors-{page}");
            let mut set = |key: &str, option: WrittenOption<'_>| {
                self.set_middleware_option(Stage::Errors, &name, key, option.value, option.label);
            };
            if let Some(status) = status {
                set("errors.status", status);
            }
            if let Some(query) = query {
                set("errors.query", query);
            }
            let service = WrittenOption {
                label: backend.label,
                value: service,
            };
            set("errors.service", service);
        }
    }

    fn migrate_allow_list(&mut self) {
        let ranges = self.take_checked("frontend.whitelist.sourcerange", ValueKind::List);
        let old = self.take_checked("frontend.whitelistsourcerange", ValueKind::List);
        let forwarded = self.is_on("frontend.whitelist.usexforwardedfor");
        let trusted = ranges.is_some() && forwarded;
        let Some(ranges) = ranges.or(old) else {
            return;
        };
        self.set_middleware_option(
            Stage::AllowList,
            "allow",
            "ipallowlist.sourcerange",
            ranges.value,
            ranges.label,
        );
        if trusted {
            self.set_middleware_option(
                Stage::AllowList,
                "allow",
                "ipallowlist.ipstrategy.depth",
                "1".into(),
                ranges.label,
            );
            self.out.add_note(tr!(
                "{} looked at every address of X-Forwarded-For; now it is the last one, as of one proxy before the edge",
                ranges.label
            ));
        }
    }

    /// Returns the entry points of the router, and migrates the redirect, which depends on them.
    fn migrate_entry_points(&mut self) -> Vec<String> {
        let written = self.take_option("frontend.entrypoints");
        let old: Vec<&str> = match &written {
            Some(written) => split_list(&written.value),
            None => Vec::new(),
        };
        let redirected = self.migrate_redirect(&old);
        let mut new: Vec<String> = old.iter().map(|e| new_entry_point(e)).collect();
        for strange in new
            .iter()
            .filter(|e| !["web", "websecure"].contains(&e.as_str()))
        {
            self.out.add_note(tr!(
                "{} is for the entry point {strange}, which the edge does not have: write websecure, or add it there",
                self.id
            ));
        }
        // The redirect of the entry point itself answers http.
        if new.iter().any(|e| e == "websecure") {
            new.retain(|e| e != "web");
        } else if new == ["web"] && !redirected {
            self.out.add_note(tr!(
                "{} was there for http alone: the edge sends http on to https, and answers there",
                self.id
            ));
            new.clear();
        }
        if new.is_empty() {
            new.push("websecure".to_owned());
        }
        new
    }

    /// Returns whether there is a redirect. Traefik 1 does not redirect to the entry point where the
    /// request is.
    fn migrate_redirect(&mut self, entry_points: &[&str]) -> bool {
        let permanent = self.is_on("frontend.redirect.permanent");
        let target = self.take_option("frontend.redirect.entrypoint");
        let regex = self.take_option("frontend.redirect.regex");
        let replacement = self.take_option("frontend.redirect.replacement");
        let kind = if let Some(target) = target {
            if !entry_points.is_empty() && entry_points.iter().all(|e| *e == target.value) {
                return false;
            }
            let new = new_entry_point(&target.value);
            let scheme = match new.as_str() {
                "websecure" => "https",
                "web" if entry_points.iter().all(|e| *e == "http") && !entry_points.is_empty() => {
                    "http"
                }
                _ => {
                    self.out.add_note(tr!(
                        "{}={} is dropped: the edge answers on https",
                        target.label,
                        target.value
                    ));
                    return false;
                }
            };
            self.set_redirect("redirectscheme.scheme", scheme, target.label);
            "redirectscheme"
        } else if let (Some(regex), Some(replacement)) = (regex, replacement) {
            self.set_redirect("redirectregex.regex", &regex.value, regex.label);
            self.set_redirect(
                "redirectregex.replacement",
                &replacement.value,
                replacement.label,
            );
            "redirectregex"
        } else {
            return false;
        };
        if permanent {
            let from = self.options["frontend.redirect.permanent"].label;
            self.set_redirect(&format!("{kind}.permanent"), "true", from);
        }
        true
    }

    fn set_redirect(&mut self, key: &str, value: &str, from: &str) {
        self.set_middleware_option(Stage::Redirect, "redirect", key, value.to_owned(), from);
    }

    fn migrate_headers(&mut self) {
        for (name, kind) in HEADER_OPTIONS {
            if let Some(option) = self.take_checked(&format!("frontend.headers.{name}"), kind) {
                let key = format!("headers.{name}");
                self.set_middleware_option(
                    Stage::Headers,
                    "headers",
                    &key,
                    option.value,
                    option.label,
                );
            }
        }
        for name in HEADER_MAPS {
            let Some(option) = self.take_option(&format!("frontend.headers.{name}")) else {
                continue;
            };
            for (header, value) in self.header_pairs(&option) {
                let key = format!("headers.{name}.{header}");
                self.set_middleware_option(Stage::Headers, "headers", &key, value, option.label);
            }
        }
        self.migrate_secure_redirect();
    }

    fn migrate_secure_redirect(&mut self) {
        let temporary = self.is_on("frontend.headers.ssltemporaryredirect");
        let redirect = self.take_checked("frontend.headers.sslredirect", ValueKind::Switch);
        let forced = self.is_on("frontend.headers.sslforcehost");
        let host = self.take_option("frontend.headers.sslhost");
        let permanent = (!temporary).to_string();
        let stage = Stage::SecureRedirect;
        match (redirect, host) {
            // A request for the host itself stays where it is.
            (_, Some(host)) if forced => {
                for (key, value) in [
                    ("regex", "^https?://[^/]+(.*)$".to_owned()),
                    ("replacement", format!("https://{}${{1}}", host.value)),
                    ("permanent", permanent),
                ] {
                    let key = format!("redirectregex.{key}");
                    self.set_middleware_option(stage, "https", &key, value, host.label);
                }
            }
            (Some(redirect), _) => {
                let from = redirect.label;
                let scheme = "https".to_owned();
                self.set_middleware_option(stage, "https", "redirectscheme.scheme", scheme, from);
                let key = "redirectscheme.permanent";
                self.set_middleware_option(stage, "https", key, permanent, from);
            }
            (None, Some(host)) => self.out.add_note(tr!(
                "{} is dropped: Traefik 1 ignored it without SSLRedirect or SSLForceHost",
                host.label
            )),
            (None, None) => {}
        }
    }

    fn migrate_client_certificate(&mut self) {
        let prefix = "frontend.passtlsclientcert.";
        let mut names: Vec<String> = ["pem", "infos.notafter", "infos.notbefore", "infos.sans"]
            .map(str::to_owned)
            .into();
        for whose in ["subject", "issuer"] {
            names.extend(CERTIFICATE_NAMES.map(|name| format!("infos.{whose}.{name}")));
        }
        for name in names {
            let Some(option) = self.take_checked(&format!("{prefix}{name}"), ValueKind::Switch)
            else {
                continue;
            };
            let key = format!("passtlsclientcert.{}", name.replace("infos.", "info."));
            self.set_middleware_option(
                Stage::ClientCertificate,
                "clientcert",
                &key,
                option.value,
                option.label,
            );
        }
    }

    /// Of several kinds of authentication Traefik 1 takes the first.
    fn migrate_auth(&mut self) {
        let kind = AUTH_OPTIONS.iter().find(|(kind, _)| {
            let prefix = format!("frontend.auth.{kind}");
            let mut options = self.options.iter();
            options.any(|(name, o)| name.starts_with(&prefix) && !o.value.is_empty())
        });
        let Some((kind, options)) = kind else {
            self.drop_family("frontend.auth.", tr!("it says of no authentication"));
            return;
        };
        let middleware = format!("{kind}auth");
        let mut found = Vec::new();
        for (name, value_kind) in *options {
            // `frontend.auth.basic` is the older form, and comes first.
            let older = (*kind == "basic" && *name == "users")
                .then(|| self.take_checked("frontend.auth.basic", *value_kind));
            let option = self.take_checked(&format!("frontend.auth.{kind}.{name}"), *value_kind);
            if let Some(option) = older.flatten().or(option) {
                found.push(((*name).to_owned(), option));
            }
        }
        if let Some(field) = self.take_option("frontend.auth.headerfield") {
            found.push(("headerfield".to_owned(), field));
        }
        for (name, option) in found {
            if name == "usersfile" || name.starts_with("tls.c") || name == "tls.key" {
                self.out.add_note(tr!(
                    "{} names a file of Traefik's container: the edge must have it",
                    option.label
                ));
            }
            self.set_middleware_option(
                Stage::Auth,
                "auth",
                &format!("{middleware}.{name}"),
                option.value,
                option.label,
            );
        }
        // Without a user nobody gets in, as it was.
        let name = format!("{}-auth", self.id);
        if !self.middlewares.contains(&(Stage::Auth, name)) {
            let from = self
                .options
                .iter()
                .find(|(name, _)| name.starts_with(&format!("frontend.auth.{kind}")))
                .map_or("", |(_, option)| option.label);
            let key = format!("{middleware}.realm");
            self.set_middleware_option(Stage::Auth, "auth", &key, "traefik".into(), from);
        }
        self.drop_family(
            "frontend.auth.",
            tr!("Traefik 3 knows no such option, or Traefik 1 took another kind"),
        );
    }

    fn migrate_backend_limits(&mut self) {
        for name in [
            "backend.circuitbreaker.expression",
            "backend.circuitbreaker",
        ] {
            if let Some(option) = self.take_option(name) {
                self.set_middleware_option(
                    Stage::CircuitBreaker,
                    "breaker",
                    "circuitbreaker.expression",
                    option.value,
                    option.label,
                );
                break;
            }
        }
        for (name, kind) in BUFFERING_OPTIONS {
            if let Some(option) = self.take_checked(&format!("backend.buffering.{name}"), kind) {
                self.set_middleware_option(
                    Stage::Buffering,
                    "buffering",
                    &format!("buffering.{name}"),
                    option.value,
                    option.label,
                );
            }
        }
        let extractor = self.take_option("backend.maxconn.extractorfunc");
        let Some(amount) = self.take_checked("backend.maxconn.amount", ValueKind::Number) else {
            return;
        };
        self.set_middleware_option(
            Stage::Connections,
            "connections",
            "inflightreq.amount",
            amount.value,
            amount.label,
        );
        if let Some(extractor) = extractor {
            self.set_source_criterion(Stage::Connections, "connections", "inflightreq", &extractor);
        }
    }

    fn migrate_rate_limit(&mut self) {
        let Some(extractor) = self.take_option("frontend.ratelimit.extractorfunc") else {
            self.drop_family(
                "frontend.ratelimit.",
                tr!("Traefik 1 limited nothing without frontend.rateLimit.extractorFunc"),
            );
            return;
        };
        for set in self.list_names("frontend.ratelimit.rateset.") {
            let name = format!("limit-{set}");
            for (option, kind) in [
                ("average", ValueKind::Number),
                ("period", ValueKind::Duration),
                ("burst", ValueKind::Number),
            ] {
                let key = format!("frontend.ratelimit.rateset.{set}.{option}");
                if let Some(found) = self.take_checked(&key, kind) {
                    let key = format!("ratelimit.{option}");
                    self.set_middleware_option(
                        Stage::RateLimit,
                        &name,
                        &key,
                        found.value,
                        found.label,
                    );
                }
            }
            self.set_source_criterion(Stage::RateLimit, &name, "ratelimit", &extractor);
        }
    }

    /// Sets by what requests are told apart.
    fn set_source_criterion(
        &mut self,
        stage: Stage,
        name: &str,
        kind: &str,
        extractor: &WrittenOption<'_>,
    ) {
        let header = "request.header.";
        let (key, value) = match extractor.value.to_ascii_lowercase().as_str() {
            "client.ip" => ("ipstrategy.depth", "0".to_owned()),
            "request.host" => ("requesthost", "true".to_owned()),
            other if other.starts_with(header) => (
                "requestheadername",
                extractor.value[header.len()..].to_owned(),
            ),
            _ => {
                self.out.add_note(tr!(
                    "{}={} is dropped: Traefik 1 knew client.ip, request.host and request.header.NAME",
                    extractor.label, extractor.value
                ));
                return;
            }
        };
        let key = format!("{kind}.sourcecriterion.{key}");
        self.set_middleware_option(stage, name, &key, value, extractor.label);
    }

    /// Returns the headers of an option whose names can stand in a label.
    fn header_pairs(&mut self, option: &WrittenOption<'_>) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for (name, value) in split_header_map(&option.value) {
            let good = |c: char| !c.is_whitespace() && !".[]=".contains(c);
            if name.is_empty() || !name.chars().all(good) {
                self.out.add_note(tr!(
                    "{}: the header `{name}` can't stand in a label, and is dropped",
                    option.label
                ));
                continue;
            }
            pairs.push((name.to_owned(), value.to_owned()));
        }
        if pairs.is_empty() {
            self.out.add_note(tr!(
                "{}={} is dropped: it is no NAME:VALUE",
                option.label,
                option.value
            ));
        }
        pairs
    }

    /// Returns the names that the user chose, of pages or rate sets, behind a prefix.
    fn list_names(&self, prefix: &str) -> BTreeSet<String> {
        let names = self.options.keys().filter_map(|k| k.strip_prefix(prefix));
        names
            .filter_map(|rest| Some(rest.split_once('.')?.0.to_owned()))
            .collect()
    }

    /// Tells of the options with a prefix that nothing used.
    fn drop_family(&mut self, prefix: &str, reason: &str) {
        for (name, option) in self.options {
            if name.starts_with(prefix) && !self.used.contains(name) {
                self.used.insert(name.clone());
                if !option.value.is_empty() && parse_go_bool(&option.value) != Some(false) {
                    self.out
                        .add_note(tr!("{} is dropped: {reason}", option.label));
                }
            }
        }
    }

    fn tell_what_is_dropped(&mut self) {
        for (name, option) in self.options {
            if self.used.contains(name) || option.value.is_empty() {
                continue;
            }
            let reason = match name.as_str() {
                // Said where there is no rule, and needless where there is one.
                "domain" => continue,
                "backend" | "backend.id" => tr!("the service is named by its router"),
                "tags" => tr!("constraints belong to Traefik's own options"),
                "portname" | "portindex" => tr!("Docker's labels have port alone"),
                "frontend.passtlscert" if parse_go_bool(&option.value) != Some(true) => continue,
                "frontend.passtlscert" => {
                    tr!(
                        "a client certificate for the service belongs to a servers transport in a file"
                    )
                }
                _ => tr!("it has no equal in Traefik 3"),
            };
            self.out
                .add_note(tr!("{} is dropped: {reason}", option.label));
        }
    }
}

/// Returns a text as a word of a label: letters, digits, `-` and `_`; variables stay.
pub(super) fn label_word(text: &str) -> String {
    let good = |c: char| c.is_alphanumeric() || "-_".contains(c) || !c.is_ascii();
    text.chars()
        .map(|c| if good(c) { c } else { '-' })
        .collect()
}

/// Returns the edge stack's name of an entry point of Traefik 1.
fn new_entry_point(old: &str) -> String {
    match old {
        "http" => "web".into(),
        "https" => "websecure".into(),
        other => other.to_owned(),
    }
}
