//! The networks of a compose file, and what else it uses from outside.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::{Mapping, Value};

use super::lint::{list_references, section_entries};

/// External networks, as Swarm knows them.
pub(super) fn list_external_networks(file: &Mapping) -> Vec<String> {
    external_networks_by_key(file).into_values().collect()
}

/// Returns the external networks by their key in the file.
pub(super) fn external_networks_by_key(file: &Mapping) -> BTreeMap<String, String> {
    externals_by_key(file, "networks")
}

/// Returns what a section has from outside the stack, by its key in the file. Older files write
/// `external: {name: x}`.
fn externals_by_key(file: &Mapping, section: &str) -> BTreeMap<String, String> {
    section_entries(file, section)
        .filter_map(|(key, entry)| {
            let external = entry.get("external")?;
            let named = |v: &Value| v.get("name").and_then(Value::as_str).map(str::to_owned);
            let name = match external {
                Value::Bool(true) => Some(named(entry).unwrap_or_else(|| key.to_owned())),
                Value::Mapping(_) => named(external),
                _ => None,
            }?;
            Some((key.to_owned(), name))
        })
        .collect()
}

/// Lists the `configs` or `secrets` from outside the stack that services use, as Swarm knows them. Sorted.
pub(super) fn list_external_files(file: &Mapping, section: &str) -> Vec<String> {
    let mut used = BTreeSet::new();
    for (_, service) in section_entries(file, "services") {
        let references = list_references(service.get(section)).into_iter();
        used.extend(references.map(|(key, _)| key.to_owned()));
        let credentials = service.get("credential_spec").and_then(|c| c.get("config"));
        let credentials = credentials.filter(|_| section == "configs");
        used.extend(credentials.and_then(Value::as_str).map(str::to_owned));
    }
    let declared = externals_by_key(file, section).into_iter();
    let names = declared.filter(|(key, _)| used.contains(key));
    // Dollars are doubled for the engine's client.
    let names: BTreeSet<String> = names.map(|(_, name)| name.replace("$$", "$")).collect();
    names.into_iter().collect()
}

/// Counts the networks that are made with the stack: those declared, and the default network when a
/// service names none.
pub(super) fn count_own_networks(file: &Mapping) -> usize {
    let declared = section_entries(file, "networks").count() - external_networks_by_key(file).len();
    let default = section_entries(file, "services")
        .any(|(_, s)| list_references(s.get("networks")).is_empty());
    declared + usize::from(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_counts_where_a_service_uses_it() {
        let text = "
services:
  a: {secrets: [one, {source: two, target: x}], configs: [{source: c}], credential_spec: {config: d}}
  b: {secrets: [own]}
secrets:
  one: {external: true}
  two: {external: true, name: two_v1}
  own: {file: ./own}
  idle: {external: true}
configs:
  c: {external: {name: c_v1}}
  d: {external: true}
";
        let file: Mapping = serde_yaml::from_str(text).unwrap();
        assert_eq!(list_external_files(&file, "secrets"), ["one", "two_v1"]);
        assert_eq!(list_external_files(&file, "configs"), ["c_v1", "d"]);
    }
}
