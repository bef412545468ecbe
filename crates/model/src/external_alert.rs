//! What Alertmanager alerts of.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

/// An alert of Alertmanager that is active and not silenced there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExternalAlert {
    /// Alertmanager's own identity of it.
    pub fingerprint: String,
    pub summary: String,
    pub since: Option<Timestamp>,
    pub labels: BTreeMap<String, String>,
}

impl ExternalAlert {
    /// The value of a label, empty where there is none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}
