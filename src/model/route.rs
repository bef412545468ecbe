//! Which domains a service answers for, as its labels tell Traefik.

use std::collections::BTreeMap;

/// Domains named by ``Host(`…`)`` in Traefik's router rules (v2 and later), or by `Host:…` in v1;
/// in lower case, sorted.
pub fn domains(labels: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    for (label, value) in labels {
        let label = label.to_ascii_lowercase();
        if label.starts_with("traefik.http.routers.") && label.ends_with(".rule") {
            found.extend(hosts(value));
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
    found
}

/// The names in ``Host(`a`, `b`)`` of a rule; `HostRegexp` names none, and neither does `!Host`.
pub fn hosts(rule: &str) -> Vec<String> {
    let mut hosts = Vec::new();
    for (at, _) in rule.match_indices("Host(") {
        let before = rule[..at].chars().next_back();
        if before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '!') {
            continue;
        }
        let inside = rule[at + "Host(".len()..]
            .split(')')
            .next()
            .unwrap_or_default();
        let mut pieces = inside.split(['`', '"', '\'']);
        // Every second piece stands between quotes.
        while let (Some(_), Some(name)) = (pieces.next(), pieces.next()) {
            hosts.push(name.trim().to_ascii_lowercase());
        }
    }
    hosts
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
        let labels = labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert_eq!(
            domains(&labels),
            ["a.org", "b.org", "c.org", "d.org", "www.a.org"]
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
        ] {
            assert_eq!(hosts(rule), wanted, "{rule}");
        }
    }
}
