//! What Alertmanager alerts of.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

/// An alert of Alertmanager that is active and not silenced there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExternalAlert {
    /// Alertmanager's own identity of it.
    pub fingerprint: String,
    /// Its annotation `summary`; empty without one.
    pub summary: String,
    /// `None` when Alertmanager does not say.
    pub since: Option<Timestamp>,
    /// As Prometheus has them, `alertname` among them.
    pub labels: BTreeMap<String, String>,
}

impl ExternalAlert {
    /// The value of a label, empty where there is none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}
