//! The engine's JSON, taken field by field: what nobody took is told, and never lost.

use serde_json::{Map, Value as Json};

/// An object of the engine's answer. Each field is taken out by what writes it down.
#[derive(Debug, Default)]
pub(super) struct Fields {
    map: Map<String, Json>,
    /// Where it stands, as the engine names it.
    place: String,
}

/// Whether a value says nothing: Go leaves such out, or writes it, without a difference.
fn is_nothing(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(b) => !b,
        Json::Number(n) => n.as_f64() == Some(0.0),
        Json::String(s) => s.is_empty(),
        Json::Array(a) => a.is_empty(),
        Json::Object(o) => o.values().all(is_nothing),
    }
}

impl Fields {
    pub(super) fn new(place: &str, value: &Json) -> Self {
        Self {
            map: value.as_object().cloned().unwrap_or_default(),
            place: place.to_owned(),
        }
    }

    /// Takes a field that `read` understands; what it does not understand stays, and is told.
    fn take<T>(&mut self, key: &str, read: impl Fn(&Json) -> Option<T>) -> Option<T> {
        let found = self.map.get(key).filter(|v| !v.is_null()).and_then(read)?;
        self.map.remove(key);
        Some(found)
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let found = self.take(key, |v| v.as_str().map(str::to_owned));
        found.filter(|text| !text.is_empty())
    }

    pub(super) fn whole(&mut self, key: &str) -> Option<i64> {
        self.take(key, Json::as_i64)
    }

    pub(super) fn ratio(&mut self, key: &str) -> Option<f64> {
        self.take(key, Json::as_f64)
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        self.take(key, Json::as_bool)
    }

    pub(super) fn list(&mut self, key: &str) -> Vec<Json> {
        let found = self.take(key, |v| v.as_array().cloned());
        found.unwrap_or_default()
    }

    /// A list of texts; one with anything else in it stays.
    pub(super) fn texts(&mut self, key: &str) -> Vec<String> {
        let read = |v: &Json| {
            let items = v.as_array()?.iter();
            items.map(|t| t.as_str().map(str::to_owned)).collect()
        };
        self.take(key, read).unwrap_or_default()
    }

    /// A map of texts, in the order of its keys; one with anything else in it stays.
    pub(super) fn map(&mut self, key: &str) -> Vec<(String, String)> {
        let read = |v: &Json| {
            let items = v.as_object()?.iter();
            items
                .map(|(k, t)| Some((k.clone(), t.as_str()?.to_owned())))
                .collect::<Option<Vec<_>>>()
        };
        let mut found = self.take(key, read).unwrap_or_default();
        found.sort();
        found
    }

    /// An object, also an empty one.
    pub(super) fn object(&mut self, key: &str) -> Option<Self> {
        let found = self.take(key, |v| v.is_object().then(|| v.clone()))?;
        Some(Self::new(&format!("{}.{key}", self.place), &found))
    }

    /// Lets a field go that says nothing of what is to be deployed.
    pub(super) fn ignore(&mut self, key: &str) {
        self.map.remove(key);
    }

    /// Whether nothing is left in it.
    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Tells what nobody took.
    pub(super) fn finish(self, faults: &mut Vec<String>) {
        for (key, value) in self.map.iter().filter(|(_, v)| !is_nothing(v)) {
            let shown: String = value.to_string().chars().take(120).collect();
            faults.push(format!("{}.{key} = {shown}", self.place));
        }
    }
}
