//! Values as a compose file writes them.

use serde_yaml::{Mapping, Value};

use crate::interpolate::escape_dollars;

/// A mapping on its way; what is `None` or empty is left out.
#[derive(Debug, Default)]
pub(super) struct Written(pub Mapping);

impl Written {
    pub(super) fn set(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.0.insert(key.into(), value.into());
        }
    }

    pub(super) fn set_list(&mut self, key: &str, list: Vec<String>) {
        self.set(key, (!list.is_empty()).then_some(list));
    }

    pub(super) fn set_map(&mut self, key: &str, entries: Vec<(String, String)>) {
        self.set(key, (!entries.is_empty()).then(|| text_map(entries)));
    }

    /// Sets a mapping that is left out when it is empty.
    pub(super) fn set_some(&mut self, key: &str, inner: Self) {
        self.set(key, (!inner.0.is_empty()).then_some(inner.0));
    }
}

pub(super) fn text_map(entries: Vec<(String, String)>) -> Value {
    let entries = entries.into_iter().map(|(k, v)| (k.into(), v.into()));
    Value::Mapping(entries.collect())
}

/// A duration of Go, from nanoseconds.
pub(super) fn duration(nanos: i64) -> String {
    for (unit, size) in [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)] {
        if nanos % size == 0 {
            return format!("{}{unit}", nanos / size);
        }
    }
    format!("{nanos}ns")
}

/// Cores, from billionths of one.
pub(super) fn cpus(nano: i64) -> String {
    let (whole, rest) = (nano / 1_000_000_000, nano % 1_000_000_000);
    match rest {
        0 => whole.to_string(),
        _ => format!("{whole}.{rest:09}")
            .trim_end_matches('0')
            .to_owned(),
    }
}

/// An amount of memory, from bytes.
pub(super) fn memory(bytes: i64) -> String {
    for (unit, shift) in [("G", 30), ("M", 20), ("K", 10)] {
        if bytes != 0 && bytes % (1 << shift) == 0 {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}b")
}

/// Escapes the dollars of all texts but keys: both matou and the engine's client fill in variables.
pub(super) fn escape_all(value: &mut Value) {
    match value {
        Value::String(text) => *text = escape_dollars(text),
        Value::Sequence(items) => items.iter_mut().for_each(escape_all),
        Value::Mapping(map) => map.values_mut().for_each(escape_all),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_without_loss() {
        assert_eq!(duration(5_000_000_000), "5s");
        assert_eq!(duration(0), "0s");
        assert_eq!(duration(300_000_000), "300ms");
        assert_eq!(duration(1_500_001), "1500001ns");
        assert_eq!(cpus(750_000_000), "0.75");
        assert_eq!(cpus(2_000_000_000), "2");
        assert_eq!(cpus(50_000_001), "0.050000001");
        assert_eq!(memory(64 << 20), "64M");
        assert_eq!(memory(1000), "1000b");
        assert_eq!(memory(3 << 30), "3G");
    }
}
