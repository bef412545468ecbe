//! Labels of services in compose files, which come as a mapping or as a list.

use serde_yaml::{Mapping, Value};

use super::traefik1::{Backends, Labels};
use super::traefik1_router::label_word;

/// Reads labels in either form.
pub(super) fn labels_from_value(value: Option<&Value>) -> Labels {
    match value {
        Some(Value::Mapping(map)) => map
            .iter()
            .filter_map(|(k, v)| Some((k.as_str()?.to_owned(), scalar_text(v))))
            .collect(),
        Some(Value::Sequence(list)) => list
            .iter()
            .filter_map(Value::as_str)
            .map(|item| {
                let (k, v) = item.split_once('=').unwrap_or((item, ""));
                (k.to_owned(), v.to_owned())
            })
            .collect(),
        _ => Labels::new(),
    }
}

/// Returns a scalar as the text that Docker takes it for.
pub(super) fn scalar_text(value: &Value) -> String {
    super::compose_yaml::engine_text(value)
}

/// Returns the labels that Traefik reads: those under `deploy`.
pub(super) fn deploy_labels(service: &Mapping) -> Labels {
    labels_from_value(service.get("deploy").and_then(|d| d.get("labels")))
}

/// Replaces the labels under `deploy`.
pub(super) fn set_deploy_labels(service: &mut Mapping, labels: &Labels) {
    let deploy = service
        .entry("deploy".into())
        .or_insert_with(|| Mapping::new().into());
    if !deploy.is_mapping() {
        *deploy = Mapping::new().into();
    }
    if let Some(deploy) = deploy.as_mapping_mut() {
        let map: Mapping = labels
            .iter()
            .map(|(k, v)| (k.as_str().into(), v.as_str().into()))
            .collect();
        deploy.insert("labels".into(), map.into());
    }
}

/// Returns the backends of an application's services, by which pages of errors find them.
pub(super) fn backends_of_services(services: &Mapping, app: &str) -> Backends {
    let mut backends = Backends::new();
    for (name, service) in services {
        let (Some(name), Some(service)) = (name.as_str(), service.as_mapping()) else {
            continue;
        };
        for (label, backend) in deploy_labels(service) {
            if label.eq_ignore_ascii_case("traefik.backend") {
                backends.insert(backend, label_word(&format!("{app}-{name}")));
            }
        }
    }
    backends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_both_forms() {
        let map: Value = serde_yaml::from_str("{a: 1, b: true, c: x=y, d: }").unwrap();
        let list: Value = serde_yaml::from_str("[a=1, b=true, c=x=y, d]").unwrap();
        assert_eq!(
            labels_from_value(Some(&map)),
            labels_from_value(Some(&list))
        );
    }
}
