//! A value with its age. A value that can't be refreshed stays, with the reason.

use jiff::Timestamp;
use matou_base::text::SafeText;
use serde::Serialize;

/// The newest value that was read, when that was, and the error of the last attempt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reading<T> {
    value: Option<T>,
    /// When `value` was read.
    read_at: Option<Timestamp>,
    /// Why the newest attempt failed; `None` when it succeeded.
    error: Option<SafeText>,
}

impl<T> Default for Reading<T> {
    fn default() -> Self {
        Self {
            value: None,
            read_at: None,
            error: None,
        }
    }
}

impl<T> Reading<T> {
    /// Records what a collector read at `at`. A value replaces the old one; an error keeps the old
    /// one and marks it as stale.
    pub fn record(&mut self, reading: Result<T, SafeText>, at: Timestamp) {
        match reading {
            Ok(value) => {
                self.value = Some(value);
                self.read_at = Some(at);
                self.error = None;
            }
            Err(reason) => self.error = Some(reason),
        }
    }

    /// The newest value, however old.
    pub fn value(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// Why the newest attempt to refresh failed.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// When the value was read.
    pub fn read_at(&self) -> Option<Timestamp> {
        self.read_at
    }

    /// True when there is a value that could not be refreshed.
    pub fn is_stale(&self) -> bool {
        self.value.is_some() && self.error.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_reading_keeps_the_value_and_its_time() {
        let (t1, t2) = (
            Timestamp::from_second(10).unwrap(),
            Timestamp::from_second(20).unwrap(),
        );
        let mut source = Reading::default();
        source.record(Ok(1), t1);
        source.record(Err("no route to host".into()), t2);
        assert_eq!(source.value(), Some(&1));
        assert_eq!(source.read_at(), Some(t1));
        assert_eq!(source.error(), Some("no route to host"));
        assert!(source.is_stale());
        source.record(Ok(2), t2);
        assert!(!source.is_stale());
        assert_eq!(source.read_at(), Some(t2));
    }
}
