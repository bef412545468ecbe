//! A record of the log store.

use jiff::Timestamp;
use serde::Serialize;

/// What was logged somewhere at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct LogRecord {
    /// `None` when its time can't be read.
    pub at: Option<Timestamp>,
    /// Where it was logged; empty when it does not say.
    pub node: String,
    /// The service, router or program that logged it; empty when it is not known.
    pub app: String,
    /// The message, or what is shown instead of it.
    pub line: String,
    /// Everything else, by name.
    pub fields: Vec<(String, String)>,
}

/// A search in the log store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSearch {
    /// LogsQL; empty: everything.
    pub query: String,
    /// Only what belongs to this application or service.
    pub app: Option<String>,
    /// Only what is newer.
    pub since: Option<Timestamp>,
    /// Records at most: the newest.
    pub limit: usize,
}
