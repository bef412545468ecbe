//! What a file declares beside its services: each once, whichever of them use it.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use serde_yaml::{Mapping, Value};

/// The sections of a file beside its services, by section and key.
#[derive(Debug, Default)]
pub(super) struct SharedObjects {
    /// The engine's networks, by id.
    pub networks: BTreeMap<String, Json>,
    sections: BTreeMap<&'static str, BTreeMap<String, Mapping>>,
    /// What the file holds by reference only; a sentence each.
    pub notes: Vec<String>,
}

impl SharedObjects {
    /// `networks` is what `GET /networks` answers.
    pub(super) fn new(networks: &[Json]) -> Self {
        let by_id = |n: &Json| Some((n.get("Id")?.as_str()?.to_owned(), n.clone()));
        Self {
            networks: networks.iter().filter_map(by_id).collect(),
            ..Self::default()
        }
    }

    /// Declares something that the engine knows by `name`. Returns its key: another one, where the
    /// first choice is something else's.
    pub(super) fn declare(
        &mut self,
        section: &'static str,
        key: &str,
        name: &str,
        entry: Mapping,
    ) -> String {
        let known = self.sections.entry(section).or_default();
        let mut nth = 1;
        let mut entry = entry;
        loop {
            let free = match nth {
                1 => key.to_owned(),
                nth => {
                    entry.insert("name".into(), name.into());
                    format!("{key}-{nth}")
                }
            };
            match known.get(&free) {
                Some(other) if *other != entry => nth += 1,
                Some(_) => return free,
                None => {
                    known.insert(free.clone(), entry);
                    return free;
                }
            }
        }
    }

    /// Whether the engine's volume is declared otherwise than so.
    pub(super) fn contradicts_volume(&self, app: &str, name: &str, entry: &Mapping) -> bool {
        let known = self.sections.get("volumes").into_iter().flatten();
        known
            .filter(
                |(key, volume)| match volume.get("name").and_then(Value::as_str) {
                    Some(named) => named == name,
                    None => format!("{app}_{key}") == name,
                },
            )
            .any(|(_, volume)| volume != entry)
    }

    /// Returns a section for the file; `None` where nothing is in it.
    pub(super) fn section(&self, name: &str) -> Option<Value> {
        let entries = self.sections.get(name)?.iter();
        let entries = entries.map(|(k, v)| (k.as_str().into(), v.clone().into()));
        Some(Value::Mapping(entries.collect()))
    }

    pub(super) fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }
}
