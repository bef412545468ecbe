//! What stops a forget beside snapshots that are dated in the future: a sudden fall of their number.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::messages::Snapshot;

/// How many snapshots a repository held at a time, by application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub at: Timestamp,
    /// By application; the fleet's own files under the empty name.
    pub apps: BTreeMap<String, usize>,
}

/// An application that lost snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fewer {
    /// Empty for the fleet's own files.
    pub app: String,
    pub before: usize,
    pub now: usize,
}

impl Counted {
    /// Counts those that are not younger than `at`, so that what is backed up later does not hide
    /// what is lost.
    pub fn count<'a>(snapshots: impl IntoIterator<Item = &'a Snapshot>, at: Timestamp) -> Self {
        let mut apps = BTreeMap::new();
        for snapshot in snapshots.into_iter().filter(|s| s.time <= at) {
            let app = snapshot.app().unwrap_or_default().to_owned();
            *apps.entry(app).or_default() += 1;
        }
        Self { at, apps }
    }

    /// Applications of which more than a quarter of the snapshots that were there is gone.
    pub fn fallen<'a>(&self, snapshots: impl IntoIterator<Item = &'a Snapshot>) -> Vec<Fewer> {
        let now = Self::count(snapshots, self.at).apps;
        let all = self.apps.iter().map(|(app, before)| Fewer {
            app: app.clone(),
            before: *before,
            now: now.get(app).copied().unwrap_or(0),
        });
        all.filter(|f| f.before.saturating_sub(f.now) * 4 > f.before)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(app: &str, time: &str) -> Snapshot {
        let json = format!(r#"{{"time":"{time}","id":"ab","tags":["app={app}","matou"]}}"#);
        serde_json::from_str(&json).unwrap()
    }

    fn days(app: &str, days: std::ops::RangeInclusive<u32>) -> Vec<Snapshot> {
        days.map(|d| snapshot(app, &format!("2026-11-{d:02}T03:00:00Z")))
            .collect()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn more_than_a_quarter_gone_is_a_fall() {
        let before = Counted::count(&days("a", 1..=8), at("2026-11-08T04:00:00Z"));
        assert_eq!(before.apps["a"], 8);
        assert!(before.fallen(&days("a", 1..=8)).is_empty());
        assert!(before.fallen(&days("a", 3..=8)).is_empty());
        let fewer = before.fallen(&days("a", 4..=8));
        assert_eq!((fewer[0].before, fewer[0].now), (8, 5));
        // Nothing left of one is a fall, whatever the others have.
        let few = Counted::count(&days("b", 1..=1), at("2026-11-08T04:00:00Z"));
        assert_eq!(few.fallen(&days("a", 1..=8))[0].app, "b");
    }

    #[test]
    fn what_came_later_hides_no_loss() {
        let mut all = days("a", 1..=4);
        let before = Counted::count(&all, at("2026-11-04T04:00:00Z"));
        all.extend(days("a", 5..=20));
        assert!(before.fallen(&all).is_empty());
        all.drain(..2);
        assert_eq!(before.fallen(&all).len(), 1);
        // One that is new is no loss of one that was not there.
        assert!(before.fallen(&days("a", 1..=20)).is_empty());
        let none = Counted::count(&[], at("2026-11-04T04:00:00Z"));
        assert!(none.fallen(&all).is_empty());
    }
}
