//! What services mount that no backup of the application takes: volumes without a name, volumes that are none
//! of the stack's, memory.

use std::collections::BTreeSet;

use matou_i18n::tr;
use serde_yaml::{Mapping, Value};

use super::lint::section_entries;
use super::subset::read_rendered;
use super::volumes::external_volume_name;
use super::{RenderedStack, StackError};

impl RenderedStack {
    /// Lists what services mount that no backup takes, a sentence each. `saved` are external volumes that one
    /// takes all the same.
    ///
    /// # Errors
    /// When what was rendered is no compose file.
    pub fn list_unsaved_mounts(&self, saved: &BTreeSet<String>) -> Result<Vec<String>, StackError> {
        let file = read_rendered(&self.yaml)?;
        let mut all = Vec::new();
        for (service, value) in section_entries(&file, "services") {
            let Some(spec) = value.as_mapping() else {
                continue;
            };
            let mounts = spec.get("volumes").and_then(Value::as_sequence);
            for mount in mounts.into_iter().flatten() {
                all.extend(describe_unsaved(&file, service, mount, saved));
            }
            let memory = match spec.get("tmpfs") {
                Some(Value::String(one)) => vec![one.as_str()],
                Some(Value::Sequence(some)) => some.iter().filter_map(Value::as_str).collect(),
                _ => Vec::new(),
            };
            let path = |mount: &str| mount.split(':').next().unwrap_or(mount).to_owned();
            let memory = memory.into_iter();
            all.extend(memory.map(|m| tr!("{} of {service} (in memory)", path(m))));
        }
        all.sort();
        all.dedup();
        Ok(all)
    }
}

/// Says what a mount is that no backup takes; nothing of one that has a volume of the stack or of `saved`, or a
/// path.
fn describe_unsaved(
    file: &Mapping,
    service: &str,
    mount: &Value,
    saved: &BTreeSet<String>,
) -> Option<String> {
    let (source, target) = match mount {
        Value::String(short) => match short.split_once(':') {
            Some((source, rest)) => (Some(source), rest.split(':').next()?),
            None => (None, short.as_str()),
        },
        long => {
            let text = |key: &str| long.get(key).and_then(Value::as_str);
            match text("type") {
                Some("tmpfs") => {
                    return Some(tr!("{} of {service} (in memory)", text("target")?));
                }
                None | Some("volume") => (text("source"), text("target")?),
                Some(_) => return None,
            }
        }
    };
    match source.filter(|s| !s.is_empty()) {
        None => Some(tr!(
            "{target} of {service} (a volume without a name, which is lost with its task)"
        )),
        Some(source) if source.starts_with(['/', '.', '~']) => None,
        Some(source) => {
            let volume = file.get("volumes")?.get(source)?;
            let name = external_volume_name(source, volume)?;
            (!saved.contains(&name))
                .then(|| tr!("{target} of {service} (the volume {name}, which is external)"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_backup_takes_is_named() {
        let yaml = "services:\n  web:\n    image: x\n    tmpfs: /run:size=1m\n    volumes: ['kept:/kept', '/var/cache', 'theirs:/theirs:ro', '/etc:/etc:ro', {type: tmpfs, target: /mem}, {type: volume, target: /long}, {type: volume, source: old, target: /old}]\nvolumes:\n  kept:\n  theirs: {external: true, name: shared}\n  old: {external: {name: older}}\n";
        let Value::Mapping(file) = serde_yaml::from_str(yaml).unwrap() else {
            panic!()
        };
        let mounts = file["services"]["web"]["volumes"].as_sequence().unwrap();
        let unsaved = |saved: &BTreeSet<String>| -> Vec<String> {
            let mounts = mounts.iter();
            mounts
                .filter_map(|mount| describe_unsaved(&file, "web", mount, saved))
                .collect()
        };
        let found = unsaved(&BTreeSet::new());
        let of_an_adopted_one = unsaved(&["shared".to_owned(), "older".to_owned()].into());
        assert_eq!(of_an_adopted_one, [&found[..1], &found[2..4]].concat());
        assert_eq!(
            found,
            [
                "/var/cache of web (a volume without a name, which is lost with its task)",
                "/theirs of web (the volume shared, which is external)",
                "/mem of web (in memory)",
                "/long of web (a volume without a name, which is lost with its task)",
                "/old of web (the volume older, which is external)",
            ]
        );
    }
}
