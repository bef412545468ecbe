//! A line of a log, before it is shown.

use std::sync::Arc;

use jiff::Timestamp;

/// A raw line of a log: bytes from outside, not yet sanitised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written; `None` when its time can't be read.
    pub at: Option<Timestamp>,
    /// Task and node, as `web.1@worker-01`.
    pub from: Arc<str>,
    /// As it came, without its end.
    pub bytes: Vec<u8>,
    /// It was written to standard error.
    pub stderr: bool,
}
