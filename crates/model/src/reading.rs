//! A value with its age. A value that can't be refreshed stays, with the reason.

use jiff::Timestamp;
use matou_base::text::SafeText;
use serde::{Serialize, Serializer};

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

/// A value, or why there is none, as it stands in JSON: `{"value": …}` or `{"error": "…"}`.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum WrittenOutcome<'a, T> {
    Value(&'a T),
    Error(&'a SafeText),
}

impl<'a, T> WrittenOutcome<'a, T> {
    fn of(outcome: &'a Result<T, SafeText>) -> Self {
        match outcome {
            Ok(value) => Self::Value(value),
            Err(why) => Self::Error(why),
        }
    }
}

/// Writes a value, or why there is none, for scripts: `{"value": …}` or `{"error": "…"}`.
///
/// # Errors
/// The serializer's.
pub fn write_outcome<T: Serialize, S: Serializer>(
    outcome: &Result<T, SafeText>,
    to: S,
) -> Result<S::Ok, S::Error> {
    WrittenOutcome::of(outcome).serialize(to)
}

/// As [`write_outcome`], where a field is borrowed.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(crate) fn write_outcome_of<T: Serialize, S: Serializer>(
    outcome: &&Result<T, SafeText>,
    to: S,
) -> Result<S::Ok, S::Error> {
    write_outcome(outcome, to)
}

/// Writes what each node answered: the node's name beside what [`write_outcome`] writes.
///
/// # Errors
/// The serializer's.
pub fn write_node_outcomes<T: Serialize, S: Serializer>(
    outcomes: &[(String, Result<T, SafeText>)],
    to: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Written<'a, T> {
        node: &'a str,
        #[serde(flatten)]
        outcome: WrittenOutcome<'a, T>,
    }
    to.collect_seq(outcomes.iter().map(|(node, outcome)| Written {
        node,
        outcome: WrittenOutcome::of(outcome),
    }))
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
