//! A line of a log, before it is shown.

use std::sync::Arc;

use jiff::Timestamp;

/// A raw line of a log: bytes from outside, not yet sanitised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub at: Option<Timestamp>,
    /// Task and node, as `web.1@worker-01`.
    pub from: Arc<str>,
    pub bytes: Vec<u8>,
    pub stderr: bool,
}
