//! Labels of services in compose files, which come as a mapping or as a list.

use serde_yaml::{Mapping, Value};

use super::traefik1::Labels;

/// Labels, whichever form they have.
pub(super) fn read(value: Option<&Value>) -> Labels {
    match value {
        Some(Value::Mapping(map)) => map
            .iter()
            .filter_map(|(k, v)| Some((k.as_str()?.to_owned(), text(v))))
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

/// A scalar as Docker takes it for text.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Null => String::new(),
        other => serde_yaml::to_string(other)
            .unwrap_or_default()
            .trim_end()
            .to_owned(),
    }
}

/// The labels that Traefik reads: those under `deploy`.
pub(super) fn of(service: &Mapping) -> Labels {
    read(service.get("deploy").and_then(|d| d.get("labels")))
}

/// Puts labels in the place of those a service has.
pub(super) fn set(service: &mut Mapping, labels: &Labels) {
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

/// `NAME`, `OPTION` of `traefik.http.routers.NAME.OPTION`.
pub(super) fn router(label: &str) -> Option<(&str, &str)> {
    label
        .strip_prefix("traefik.http.routers.")
        .and_then(|rest| rest.split_once('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_both_forms() {
        let map: Value = serde_yaml::from_str("{a: 1, b: true, c: x=y, d: }").unwrap();
        let list: Value = serde_yaml::from_str("[a=1, b=true, c=x=y, d]").unwrap();
        assert_eq!(read(Some(&map)), read(Some(&list)));
    }
}
