//! What a service requires of its node: memory, processors, a place.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_yaml::{Mapping, Value};

use super::amounts::{parse_go_duration, parse_memory_amount};
use super::labels::scalar_text;
use super::lint::list_references;

/// What one task of a service requires of its node and of the swarm.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceRequirements {
    /// Bytes that the scheduler keeps free for it; 0 for none.
    pub reserved_memory: u64,
    /// Billionths of a processor that the scheduler keeps free for it; 0 for none.
    pub reserved_cpus: u64,
    /// Most bytes it may take; 0 for no limit.
    pub memory_limit: u64,
    /// Conditions on its node, as `node.role == manager`.
    pub constraints: Vec<String>,
    /// External networks, as Swarm knows them.
    pub networks: Vec<String>,
    /// How long it may take to start: what its health check allows before it counts, and the time
    /// until it is given up after that.
    pub start_limit: Duration,
    /// Whether it has a virtual IP address, beside those of its tasks.
    pub virtual_address: bool,
}

pub(super) fn service_requirements(
    service: &Mapping,
    externals: &BTreeMap<String, String>,
) -> ServiceRequirements {
    let deploy = |path: &[&str]| {
        let mut value = service.get("deploy")?;
        for key in path {
            value = value.get(*key)?;
        }
        Some(value)
    };
    let amount = |kind: &str| {
        let value = deploy(&["resources", kind, "memory"]);
        value
            .and_then(|v| parse_memory_amount(&scalar_text(v)))
            .unwrap_or(0)
    };
    let cpus = deploy(&["resources", "reservations", "cpus"]);
    let cpus: f64 = cpus
        .and_then(|c| scalar_text(c).parse().ok())
        .unwrap_or(0.0);
    let constraints = deploy(&["placement", "constraints"]).and_then(Value::as_sequence);
    ServiceRequirements {
        reserved_memory: amount("reservations"),
        reserved_cpus: (cpus.max(0.0) * 1e9) as u64,
        memory_limit: amount("limits"),
        constraints: constraints.into_iter().flatten().map(scalar_text).collect(),
        networks: list_references(service.get("networks"))
            .into_iter()
            .filter_map(|(key, _)| externals.get(key).cloned())
            .collect(),
        start_limit: start_limit(service),
        virtual_address: deploy(&["endpoint_mode"]).and_then(Value::as_str) != Some("dnsrr"),
    }
}

/// Source of the engine's defaults: docs.docker.com/reference/dockerfile, HEALTHCHECK.
fn start_limit(service: &Mapping) -> Duration {
    let check = service.get("healthcheck");
    let value = |key: &str| Some(scalar_text(check?.get(key)?));
    let length = |key: &str, default: u64| {
        let given = value(key).and_then(|v| parse_go_duration(&v));
        given.unwrap_or(Duration::from_secs(default))
    };
    if check.is_none_or(|c| c.get("test").is_none()) {
        return Duration::ZERO;
    }
    let retries = value("retries").and_then(|v| v.parse().ok()).unwrap_or(3);
    let each = length("interval", 30) + length("timeout", 30);
    // What is no number of retries makes no time that overflows.
    length("start_period", 0).saturating_add(each.saturating_mul(retries))
}

/// The constraint of a place: `worker-01` is a node, `disk=ssd` a node label.
pub fn place_constraint(place: &str) -> String {
    match place.split_once('=') {
        Some((label, value)) => format!("node.labels.{label} == {value}"),
        None => format!("node.hostname == {place}"),
    }
}

/// Adds a placement constraint to a service, which replaces one on a host name.
pub(super) fn set_place_constraint(service: &mut Mapping, constraint: &str) {
    if let Some(list) = constraints_mut(service) {
        list.retain(|c| {
            let compact = scalar_text(c).replace(' ', "");
            !compact.starts_with("node.hostname==")
        });
        list.push(constraint.into());
    }
}

/// Adds constraints that a service lacks to those that it has.
pub(super) fn add_constraints(service: &mut Mapping, constraints: &[String]) {
    let Some(list) = constraints_mut(service) else {
        return;
    };
    for constraint in constraints {
        if !list.iter().any(|c| scalar_text(c) == *constraint) {
            list.push(constraint.as_str().into());
        }
    }
}

/// The placement constraints of a service, which are made where there are none.
fn constraints_mut(service: &mut Mapping) -> Option<&mut Vec<Value>> {
    let deploy = child_mapping(service, "deploy");
    let placement = child_mapping(deploy, "placement");
    let list = placement
        .entry("constraints".into())
        .or_insert_with(|| Value::Sequence(Vec::new()));
    if !list.is_sequence() {
        *list = Value::Sequence(Vec::new());
    }
    list.as_sequence_mut()
}

#[expect(clippy::expect_used, reason = "the line before makes it one")]
fn child_mapping<'a>(parent: &'a mut Mapping, key: &str) -> &'a mut Mapping {
    let value = parent
        .entry(key.into())
        .or_insert_with(|| Mapping::new().into());
    if !value.is_mapping() {
        *value = Mapping::new().into();
    }
    value.as_mapping_mut().expect("made a mapping above")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_may_take_as_long_as_its_health_check_allows() {
        let limit = |yaml: &str| {
            let service: Mapping = serde_yaml::from_str(yaml).unwrap();
            start_limit(&service).as_secs()
        };
        assert_eq!(limit("image: a"), 0);
        assert_eq!(limit("healthcheck: {disable: true}"), 0);
        assert_eq!(limit("healthcheck: {test: [CMD, a]}"), 180);
        assert_eq!(
            limit(
                "healthcheck: {test: a, start_period: 1h2m3s, interval: 30s, timeout: 20s, retries: 5}"
            ),
            3723 + 250
        );
        assert_eq!(
            limit("healthcheck: {test: a, start_period: 1.5h}"),
            5400 + 180
        );
        for wrong in ["soon", "-5m", "99999h"] {
            assert_eq!(
                limit(&format!("healthcheck: {{test: a, start_period: {wrong}}}")),
                180
            );
        }
    }

    #[test]
    fn needs_and_places_of_a_service() {
        let mut service: Mapping = serde_yaml::from_str(
            "networks: [front, own]\ndeploy:\n  resources:\n    limits: {memory: 512M}\n    reservations: {memory: 1.5g, cpus: '0.5'}\n  placement:\n    constraints: [node.role == manager, node.hostname == a]\n",
        )
        .unwrap();
        let externals = [("front".to_owned(), "traefik-net".to_owned())].into();
        set_place_constraint(&mut service, &place_constraint("b"));
        assert_eq!(
            service_requirements(&service, &externals),
            ServiceRequirements {
                reserved_memory: 3 << 29,
                reserved_cpus: 500_000_000,
                memory_limit: 512 << 20,
                constraints: vec!["node.role == manager".into(), "node.hostname == b".into()],
                networks: vec!["traefik-net".into()],
                start_limit: Duration::ZERO,
                virtual_address: true,
            }
        );
        let mut bare = Mapping::new();
        set_place_constraint(&mut bare, &place_constraint("disk=ssd"));
        assert_eq!(
            service_requirements(&bare, &externals).constraints,
            ["node.labels.disk == ssd"]
        );
        assert_eq!(parse_memory_amount("lots"), None);
        assert_eq!(parse_memory_amount("2gb"), Some(2 << 30));
    }
}
