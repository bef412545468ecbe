//! Which domains a service answers for, as its labels tell Traefik.

use std::collections::BTreeMap;

use super::{AccessRecord, Service};

/// Label of a service with the names, beside its main one, under which its application answers; commas between.
pub const ALIASES_LABEL: &str = "org.matou.aliases";

/// Label with the names that lead to the main one; commas between.
pub const REDIRECTS_LABEL: &str = "org.matou.redirects";

/// Label with the main name, where there are others.
pub const MAIN_NAME_LABEL: &str = "org.matou.main-name";

/// Returns the names of a label, in lower case.
fn labelled_names<'a>(
    labels: &'a BTreeMap<String, String>,
    label: &str,
) -> impl Iterator<Item = String> + 'a {
    let names = labels.get(label).map(String::as_str).unwrap_or_default();
    let names = names.split(',').map(|n| n.trim().to_ascii_lowercase());
    names.filter(|n| !n.is_empty())
}

/// Returns the names that labels lead to another, each with that one.
pub fn redirects_from_labels(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let Some(main) = labels.get(MAIN_NAME_LABEL) else {
        return BTreeMap::new();
    };
    labelled_names(labels, REDIRECTS_LABEL)
        .map(|name| (name, main.to_ascii_lowercase()))
        .collect()
}

/// Returns the names beside its main one that a service has by its labels.
pub fn extra_names_from_labels(labels: &BTreeMap<String, String>) -> Vec<String> {
    labelled_names(labels, ALIASES_LABEL)
        .chain(labelled_names(labels, REDIRECTS_LABEL))
        .collect()
}

/// Returns the domains in ``Host(`…`)`` of Traefik's router rules (v2 and later), or in `Host:…`
/// (v1); in lower case, sorted but for the main name, which comes first.
pub fn domains_from_labels(labels: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    for (label, value) in labels {
        let label = label.to_ascii_lowercase();
        if label.starts_with("traefik.http.routers.") && label.ends_with(".rule") {
            found.extend(parse_rule_hosts(value));
        } else if label.starts_with("traefik.") && label.ends_with("frontend.rule") {
            for part in value.split(';') {
                if let Some(hosts) = part.trim().strip_prefix("Host:") {
                    found.extend(hosts.split(',').map(|d| d.trim().to_ascii_lowercase()));
                }
            }
        }
    }
    found.retain(|d| !d.is_empty());
    found.sort();
    found.dedup();
    let main = labels.get(MAIN_NAME_LABEL);
    let main = main.and_then(|m| found.iter().position(|d| d.eq_ignore_ascii_case(m)));
    if let Some(at) = main {
        found[..=at].rotate_right(1);
    }
    found
}

/// Returns the names in ``Host(`a`, `b`)`` of a rule. `HostRegexp` and `!Host` name none.
pub fn parse_rule_hosts(rule: &str) -> Vec<String> {
    const OPEN: &str = "Host(";
    let mut hosts = Vec::new();
    let mut from = 0;
    while let Some(at) = rule[from..].find(OPEN).map(|at| from + at) {
        from = at + OPEN.len();
        let before = rule[..at].chars().next_back();
        if before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '!') {
            continue;
        }
        let inside = rule[from..].split(')').next().unwrap_or_default();
        // Skips what was searched: a label may hold a hundred thousand that are never closed.
        from += inside.len();
        let mut pieces = inside.split(['`', '"', '\'']);
        // Every second piece stands between quotes.
        while let (Some(_), Some(name)) = (pieces.next(), pieces.next()) {
            hosts.push(name.trim().to_ascii_lowercase());
        }
    }
    hosts
}

/// The routers and host names by which requests belong to an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRoutes {
    /// The application, or the service.
    pub name: String,
    /// Names of its routers, without their provider, in lower case.
    pub routers: Vec<String>,
    /// Host names of its routers, in lower case.
    pub hosts: Vec<String>,
    /// It is the edge itself: all requests belong to it.
    pub all: bool,
}

impl AppRoutes {
    /// Makes the routes of these services. `None` when they have none and are not the edge.
    pub fn from_services(name: &str, services: &[&Service]) -> Option<Self> {
        let mut routers: Vec<String> = Vec::new();
        for service in services {
            let before = routers.len();
            for label in service.labels.keys() {
                let label = label.to_ascii_lowercase();
                let rest = label.strip_prefix("traefik.http.routers.");
                if let Some((router, _)) = rest.and_then(|r| r.split_once('.')) {
                    routers.push(router.to_owned());
                }
            }
            let enabled = service.labels.get("traefik.enable").map(String::as_str) == Some("true");
            if enabled && routers.len() == before {
                // Traefik names the one that it makes by itself after the service.
                let named = service.name.to_ascii_lowercase();
                routers.push(named.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
            }
        }
        routers.sort();
        routers.dedup();
        let mut hosts: Vec<String> = services.iter().flat_map(|s| s.domains.clone()).collect();
        hosts.sort();
        hosts.dedup();
        let all = services
            .iter()
            .any(|s| s.ports.iter().any(|p| p.starts_with("443:")));
        (all || !routers.is_empty() || !hosts.is_empty()).then(|| Self {
            name: name.to_owned(),
            routers,
            hosts,
            all,
        })
    }

    /// Whether a request belongs to these routes: by the router that took it, or, when none did, by
    /// its host name.
    pub fn owns_record(&self, access: &AccessRecord) -> bool {
        let is = |list: &[String], text: &str| list.iter().any(|l| l.eq_ignore_ascii_case(text));
        match access.router.split('@').next() {
            _ if self.all => true,
            None | Some("") => is(&self.hosts, &access.host),
            Some(router) => is(&self.routers, router),
        }
    }

    /// Returns texts for a coarse search in Traefik's access log: a line that belongs to these
    /// routes holds at least one of them, ignoring case. A path can't hold them, as its quotes are
    /// escaped.
    pub fn log_markers(&self) -> Vec<String> {
        if self.all {
            return vec!["\"RequestMethod\":".into()];
        }
        let routers = self
            .routers
            .iter()
            .map(|r| format!("\"RouterName\":\"{r}@"));
        let hosts = self
            .hosts
            .iter()
            .map(|h| format!("\"RequestHost\":\"{h}\""));
        routers.chain(hosts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_come_from_router_rules_of_every_traefik() {
        let labels = [
            (
                "traefik.http.routers.a.rule",
                "Host(`a.org`) || Host(`www.a.org`, `B.org`)",
            ),
            ("traefik.http.routers.a.entrypoints", "Host(`no.org`)"),
            ("traefik.frontend.rule", "Host:c.org, d.org;PathPrefix:/x"),
        ];
        let mut labels = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert_eq!(
            domains_from_labels(&labels),
            ["a.org", "b.org", "c.org", "d.org", "www.a.org"]
        );
        labels.insert(MAIN_NAME_LABEL.to_owned(), "c.org".to_owned());
        assert_eq!(
            domains_from_labels(&labels),
            ["c.org", "a.org", "b.org", "d.org", "www.a.org"]
        );
    }

    #[test]
    fn hosts_of_rules() {
        for (rule, wanted) in [
            ("Host(`a.org`)", &["a.org"][..]),
            (
                "(Host(`A.org`) || Host(\"b.org\")) && PathPrefix(`/x`)",
                &["a.org", "b.org"],
            ),
            ("HostRegexp(`a`) || !Host(`c.org`)", &[]),
            ("Host(", &[]),
            ("Host(`a.org` Host(`b.org`)", &["a.org", "b.org"]),
        ] {
            assert_eq!(parse_rule_hosts(rule), wanted, "{rule}");
        }
    }

    #[test]
    fn requests_belong_to_the_application_whose_router_took_them() {
        let service = |labels: &[(&str, &str)], ports: &[&str]| Service {
            id: "s".into(),
            name: "blog_web".into(),
            stack: Some("blog".into()),
            image: "ghost:6".into(),
            wanted: 1,
            running: 1,
            domains: vec!["a.org".into()],
            ports: ports.iter().map(|p| (*p).to_owned()).collect(),
            labels: labels
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            ..Service::default()
        };
        let access = |router: &str, host: &str| AccessRecord {
            at: jiff::Timestamp::UNIX_EPOCH,
            status: 200,
            method: "GET".into(),
            host: host.into(),
            path: "/".into(),
            duration: std::time::Duration::ZERO,
            client: "".into(),
            user: "".into(),
            router: router.into(),
        };
        let named = service(&[("traefik.http.routers.Blog.rule", "Host(`a.org`)")], &[]);
        let routes = AppRoutes::from_services("blog", &[&named]).unwrap();
        assert!(routes.owns_record(&access("blog@swarm", "a.org")));
        assert!(routes.owns_record(&access("", "A.org")));
        // Another application behind the same name.
        assert!(!routes.owns_record(&access("shop@swarm", "a.org")));
        assert!(!routes.owns_record(&access("", "b.org")));
        assert_eq!(
            routes.log_markers(),
            ["\"RouterName\":\"blog@", "\"RequestHost\":\"a.org\""]
        );
        let unnamed = service(&[("traefik.enable", "true")], &[]);
        assert_eq!(
            AppRoutes::from_services("b", &[&unnamed]).unwrap().routers,
            ["blog-web"]
        );
        let edge = service(&[], &["443:443/tcp"]);
        assert!(
            AppRoutes::from_services("edge", &[&edge])
                .unwrap()
                .owns_record(&access("x@swarm", "y"))
        );
        let mut none = service(&[], &[]);
        none.domains.clear();
        assert_eq!(AppRoutes::from_services("db", &[&none]), None);
    }
}
