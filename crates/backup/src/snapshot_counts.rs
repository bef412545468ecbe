//! Counts snapshots by application. A sudden fall of their number stops a forget, as snapshots that
//! are dated in the future do.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::messages::ResticSnapshot;

/// How many snapshots a repository held at a time, by application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotCounts {
    /// When they were counted.
    pub at: Timestamp,
    /// By application; the fleet's own files under the empty name.
    pub apps: BTreeMap<String, usize>,
}

/// An application that lost snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotLoss {
    /// Empty for the fleet's own files.
    pub app: String,
    /// How many it had.
    pub before: usize,
    /// How many are left.
    pub now: usize,
}

impl SnapshotCounts {
    /// Counts the snapshots up to `at`: later ones would hide that older ones are lost.
    pub fn count_snapshots<'a>(
        snapshots: impl IntoIterator<Item = &'a ResticSnapshot>,
        at: Timestamp,
    ) -> Self {
        let mut apps = BTreeMap::new();
        for snapshot in snapshots.into_iter().filter(|s| s.time <= at) {
            let app = snapshot.app().unwrap_or_default().to_owned();
            *apps.entry(app).or_default() += 1;
        }
        Self { at, apps }
    }

    /// Finds the applications that have lost more than a quarter of these snapshots.
    pub fn find_losses<'a>(
        &self,
        snapshots: impl IntoIterator<Item = &'a ResticSnapshot>,
    ) -> Vec<SnapshotLoss> {
        let now = Self::count_snapshots(snapshots, self.at).apps;
        let all = self.apps.iter().map(|(app, before)| SnapshotLoss {
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

    fn snapshot(app: &str, time: &str) -> ResticSnapshot {
        let json = format!(r#"{{"time":"{time}","id":"ab","tags":["app={app}","matou"]}}"#);
        serde_json::from_str(&json).unwrap()
    }

    fn days(app: &str, days: std::ops::RangeInclusive<u32>) -> Vec<ResticSnapshot> {
        days.map(|d| snapshot(app, &format!("2026-11-{d:02}T03:00:00Z")))
            .collect()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn more_than_a_quarter_gone_is_a_fall() {
        let before = SnapshotCounts::count_snapshots(&days("a", 1..=8), at("2026-11-08T04:00:00Z"));
        assert_eq!(before.apps["a"], 8);
        assert!(before.find_losses(&days("a", 1..=8)).is_empty());
        assert!(before.find_losses(&days("a", 3..=8)).is_empty());
        let fewer = before.find_losses(&days("a", 4..=8));
        assert_eq!((fewer[0].before, fewer[0].now), (8, 5));
        // Nothing left of one is a fall, whatever the others have.
        let few = SnapshotCounts::count_snapshots(&days("b", 1..=1), at("2026-11-08T04:00:00Z"));
        assert_eq!(few.find_losses(&days("a", 1..=8))[0].app, "b");
    }

    #[test]
    fn what_came_later_hides_no_loss() {
        let mut all = days("a", 1..=4);
        let before = SnapshotCounts::count_snapshots(&all, at("2026-11-04T04:00:00Z"));
        all.extend(days("a", 5..=20));
        assert!(before.find_losses(&all).is_empty());
        all.drain(..2);
        assert_eq!(before.find_losses(&all).len(), 1);
        // One that is new is no loss of one that was not there.
        assert!(before.find_losses(&days("a", 1..=20)).is_empty());
        let none = SnapshotCounts::count_snapshots(&[], at("2026-11-04T04:00:00Z"));
        assert!(none.find_losses(&all).is_empty());
    }
}
