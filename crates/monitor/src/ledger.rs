//! What the operator said about alerts, and since when they are seen; kept in the state folder.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An alert that was not seen for this long begins anew when it comes back, seconds.
const GAP: i64 = 3600;

/// How old the last time may be that an alert was seen when it is there all the time, seconds: as often as it is written
/// down, and two looks.
const JUST: i64 = 900;

/// An acknowledgement is forgotten when its alert was not seen for this long, seconds. It outlasts
/// a weekend, but does not hide the same alert a year later.
const WEEK: i64 = 7 * 86_400;

/// How long the operator ignores an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// When the silence ends; `None` is an acknowledgement, which ends with the alert.
    pub until: Option<Timestamp>,
}

/// Since when an alert is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenAlert {
    pub since: Timestamp,
    pub last: Timestamp,
}

/// What is kept about alerts, by their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertLedger {
    /// Alerts that the operator ignores.
    pub silences: BTreeMap<String, Silence>,
    /// Since when alerts have been seen.
    pub seen: BTreeMap<String, SeenAlert>,
}

impl AlertLedger {
    /// Returns since when an alert has been seen, if it was last seen within the hour.
    pub fn seen_since(&self, key: &str, now: Timestamp) -> Option<Timestamp> {
        let seen = self.seen.get(key)?;
        (now.as_second() - seen.last.as_second() <= GAP).then_some(seen.since)
    }

    /// Whether an alert was seen in one of the last looks.
    pub(super) fn was_just_seen(&self, key: &str, now: Timestamp) -> bool {
        let seen = self.seen.get(key);
        seen.is_some_and(|s| (now.as_second() - s.last.as_second()).abs() <= JUST)
    }

    /// Returns the silence of an alert, if it has not ended.
    pub fn active_silence(&self, key: &str, now: Timestamp) -> Option<Silence> {
        let silence = self.silences.get(key)?;
        silence.until.is_none_or(|t| t > now).then_some(*silence)
    }

    /// Forgets silences that are over, and alerts that were not seen for long.
    pub(super) fn drop_old_entries(&mut self, now: Timestamp) {
        let silences = &mut self.silences;
        self.seen.retain(|key, seen| {
            let age = now.as_second() - seen.last.as_second();
            age <= GAP || (age <= WEEK && silences.contains_key(key))
        });
        let seen = &self.seen;
        silences.retain(|key, s| match s.until {
            Some(until) => until > now,
            None => seen.contains_key(key),
        });
    }
}
