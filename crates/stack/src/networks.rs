//! The networks of a compose file.

use std::collections::BTreeMap;

use serde_yaml::{Mapping, Value};

use super::lint::{list_references, section_entries};

/// External networks, as Swarm knows them.
pub(super) fn list_external_networks(file: &Mapping) -> Vec<String> {
    external_networks_by_key(file).into_values().collect()
}

/// Returns the external networks by their key in the file. Older files write `external: {name: x}`.
pub(super) fn external_networks_by_key(file: &Mapping) -> BTreeMap<String, String> {
    section_entries(file, "networks")
        .filter_map(|(key, network)| {
            let external = network.get("external")?;
            let named = |v: &Value| v.get("name").and_then(Value::as_str).map(str::to_owned);
            let name = match external {
                Value::Bool(true) => Some(named(network).unwrap_or_else(|| key.to_owned())),
                Value::Mapping(_) => named(external),
                _ => None,
            }?;
            Some((key.to_owned(), name))
        })
        .collect()
}

/// Counts the networks that are made with the stack: those declared, and the default network when a
/// service names none.
pub(super) fn count_own_networks(file: &Mapping) -> usize {
    let declared = section_entries(file, "networks").count() - external_networks_by_key(file).len();
    let default = section_entries(file, "services")
        .any(|(_, s)| list_references(s.get("networks")).is_empty());
    declared + usize::from(default)
}
