//! Edge settings of an application: security headers, a password, a limit of requests. Each is a
//! middleware of Traefik that the application's routers use.

use serde::{Deserialize, Serialize};

use super::traefik_labels::{RouteObject, TraefikLabels};
use super::traefik1::Labels;

/// The edge settings of one application. What is `None` stays as the stack file has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "struct Switches", deny_unknown_fields, default)]
pub struct EdgeSettings {
    /// HSTS and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<bool>,
    /// Lines of htpasswd, `NAME:HASH`; an empty list switches it off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<Vec<String>>,
    /// Requests a second and address; 0 switches it off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<u32>,
}

/// Headers that every site behind https can have.
const SECURITY_HEADERS: [(&str, &str); 5] = [
    ("stsseconds", "31536000"),
    ("contenttypenosniff", "true"),
    ("referrerpolicy", "strict-origin-when-cross-origin"),
    ("customframeoptionsvalue", "SAMEORIGIN"),
    (
        "customresponseheaders.Permissions-Policy",
        "interest-cohort=()",
    ),
];

/// Returns the routers of HTTP that have a rule. Traefik reads names of options in any case.
fn list_routers(labels: &Labels) -> Vec<RouteObject> {
    let read = TraefikLabels::read(labels);
    let routers = read.list_objects("http", "routers");
    routers
        .filter(|r| r.value("rule").is_some())
        .cloned()
        .collect()
}

/// Whether labels make a router of HTTP, which edge settings can apply to.
pub fn has_http_router(labels: &Labels) -> bool {
    !list_routers(labels).is_empty()
}

impl EdgeSettings {
    /// Applies the settings to a service's labels. `app` is the application's name.
    pub fn apply_to_labels(&self, app: &str, labels: &mut Labels) {
        let routers = list_routers(labels);
        if routers.is_empty() {
            return;
        }
        let mut set = |name: &str, options: Option<Vec<(String, String)>>| {
            let middleware = format!("{app}-{name}");
            let prefix = format!("traefik.http.middlewares.{middleware}.");
            let lower = prefix.to_ascii_lowercase();
            labels.retain(|label, _| !label.to_ascii_lowercase().starts_with(&lower));
            for (key, value) in options.iter().flatten() {
                labels.insert(format!("{prefix}{key}"), value.clone());
            }
            for router in &routers {
                let key = router.label("middlewares");
                let mut used: Vec<String> = labels
                    .get(&key)
                    .map(|v| v.split(',').map(|m| m.trim().to_owned()).collect())
                    .unwrap_or_default();
                used.retain(|m| !m.is_empty() && *m != middleware);
                if options.is_some() {
                    used.push(middleware.clone());
                }
                match used.is_empty() {
                    true => labels.remove(&key),
                    false => labels.insert(key, used.join(",")),
                };
            }
        };
        let owned = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        if let Some(on) = self.headers {
            let options = SECURITY_HEADERS.map(|(k, v)| owned(&format!("headers.{k}"), v));
            set("headers", on.then(|| options.to_vec()));
        }
        if let Some(users) = &self.basic_auth {
            let options = vec![
                owned("basicauth.users", &users.join(",")),
                // The application does not see the password.
                owned("basicauth.removeheader", "true"),
            ];
            set("auth", (!users.is_empty()).then_some(options));
        }
        if let Some(limit) = self.rate_limit {
            let options = vec![
                owned("ratelimit.average", &limit.to_string()),
                owned("ratelimit.burst", &(limit.saturating_mul(2)).to_string()),
            ];
            set("limit", (limit > 0).then_some(options));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn options_in_any_case_are_the_same() {
        let mut now = labels(&[
            ("traefik.http.Routers.a.Rule", "Host(`a.org`)"),
            ("traefik.http.routers.a.Middlewares", "allow"),
            ("traefik.http.middlewares.App-auth.basicAuth.users", "old:x"),
        ]);
        assert!(has_http_router(&now));
        let on = EdgeSettings {
            basic_auth: Some(vec!["u:$apr1$x".into()]),
            ..EdgeSettings::default()
        };
        on.apply_to_labels("app", &mut now);
        assert_eq!(now["traefik.http.routers.a.Middlewares"], "allow,app-auth");
        assert!(!now.contains_key("traefik.http.routers.a.middlewares"));
        assert!(!now.values().any(|v| v == "old:x"), "{now:?}");
        assert!(!has_http_router(&labels(&[(
            "traefik.http.routers.a.tls",
            "true"
        )])));
    }

    #[test]
    fn switches_come_and_go_and_leave_the_rest() {
        let before = labels(&[
            ("traefik.http.routers.a.rule", "Host(`a.org`)"),
            ("traefik.http.routers.a.middlewares", "own"),
            ("traefik.http.middlewares.own.compress", "true"),
        ]);
        let mut now = before.clone();
        let on = EdgeSettings {
            headers: Some(true),
            basic_auth: Some(vec!["u:$apr1$x".into()]),
            rate_limit: Some(50),
        };
        on.apply_to_labels("a", &mut now);
        on.apply_to_labels("a", &mut now);
        assert_eq!(
            now["traefik.http.routers.a.middlewares"],
            "own,a-headers,a-auth,a-limit"
        );
        assert_eq!(
            now["traefik.http.middlewares.a-limit.ratelimit.burst"],
            "100"
        );
        let off = EdgeSettings {
            headers: Some(false),
            basic_auth: Some(Vec::new()),
            rate_limit: Some(0),
        };
        off.apply_to_labels("a", &mut now);
        assert_eq!(now, before);
        EdgeSettings::default().apply_to_labels("a", &mut now);
        assert_eq!(now, before);
    }
}
