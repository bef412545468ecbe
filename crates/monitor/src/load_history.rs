//! A week of the nodes' loads in slots of five minutes: what charts and sparklines are drawn from.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use super::history::LoadSample;
use matou_model::{Metrics, df_percent};

/// Seconds of a slot.
const SLOT: i64 = 300;

/// Slots in a week.
const SLOTS: usize = 7 * 24 * 12;

/// Averages of a time, percent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MeanLoad {
    /// Of all CPUs.
    pub cpu: f32,
    /// In use, caches not counted.
    pub memory: f32,
    /// Of the root file system, the fullest that it was.
    pub disk: f32,
}

/// Sums of what was read in one slot, percent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct LoadSlot {
    count: u32,
    cpu: f32,
    memory: f32,
    disk: f32,
}

impl LoadSlot {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.cpu += other.cpu;
        self.memory += other.memory;
        self.disk = self.disk.max(other.disk);
    }

    fn mean(self) -> Option<MeanLoad> {
        (self.count > 0).then(|| MeanLoad {
            cpu: self.cpu / self.count as f32,
            memory: self.memory / self.count as f32,
            disk: self.disk,
        })
    }
}

/// All nodes' loads of a week.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadHistory(BTreeMap<String, VecDeque<(i64, LoadSlot)>>);

impl LoadHistory {
    /// Takes what was read from a node.
    pub fn add_reading(&mut self, node: &str, at: Timestamp, read: &Metrics) {
        let slot = LoadSlot {
            count: 1,
            cpu: read.cpu,
            memory: read.memory_percent(),
            disk: read.disk_percent(),
        };
        self.add_slot(node, at.as_second(), slot);
    }

    /// Takes what was kept in a file; `at` in Unix seconds.
    pub fn add_sample(&mut self, node: &str, at: i64, kept: LoadSample) {
        let slot = LoadSlot {
            count: 1,
            cpu: f32::from(kept.cpu),
            memory: f32::from(kept.memory),
            disk: df_percent(kept.disk_used.into(), kept.disk_total.into()),
        };
        self.add_slot(node, at, slot);
    }

    fn add_slot(&mut self, node: &str, at: i64, read: LoadSlot) {
        if !self.0.contains_key(node) {
            self.0.insert(node.to_owned(), VecDeque::new());
        }
        let Some(slots) = self.0.get_mut(node) else {
            return;
        };
        let number = at.div_euclid(SLOT);
        // What comes late counts in the newest slot.
        match slots.back_mut() {
            Some((last, slot)) if *last >= number => slot.add(read),
            _ => slots.push_back((number, read)),
        }
        while slots
            .front()
            .is_some_and(|(first, _)| first + SLOTS as i64 <= number)
        {
            slots.pop_front();
        }
    }

    /// The averages of `count` times of `seconds` each until `now`, the oldest first; `None` where nothing was
    /// read. Times shorter than five minutes have gaps.
    pub fn series(
        &self,
        node: &str,
        now: Timestamp,
        seconds: i64,
        count: usize,
    ) -> Vec<Option<MeanLoad>> {
        let mut sums = vec![LoadSlot::default(); count];
        let seconds = seconds.max(1);
        // The slot that is being filled ends later than now.
        let end = (now.as_second().div_euclid(SLOT) + 1) * SLOT;
        for (number, slot) in self.0.get(node).into_iter().flatten().rev() {
            let Ok(back) = usize::try_from((end - 1 - number * SLOT).div_euclid(seconds)) else {
                continue;
            };
            if back >= count {
                break;
            }
            sums[count - 1 - back].add(*slot);
        }
        sums.into_iter().map(LoadSlot::mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cpu: u8) -> LoadSample {
        LoadSample {
            cpu,
            memory: 50,
            disk_used: 30,
            disk_total: 100,
        }
    }

    #[test]
    fn hours_are_averages_and_what_was_not_read_is_no_zero() {
        let mut loads = LoadHistory::default();
        let now = Timestamp::from_second(100 * 3600).unwrap();
        for minute in 0..60 {
            let cpu = if minute < 30 { 10 } else { 30 };
            loads.add_sample("n1", 97 * 3600 + minute * 60, sample(cpu));
        }
        let hours = loads.series("n1", now - jiff::SignedDuration::from_secs(1), 3600, 4);
        let seen: Vec<Option<f32>> = hours.iter().map(|h| h.map(|h| h.cpu)).collect();
        assert_eq!(seen, [None, Some(20.0), None, None]);
        let disk = hours[1].unwrap().disk;
        assert!((disk - 30.0).abs() < 0.01, "{disk}");
        assert!(loads.series("n2", now, 3600, 4).iter().all(Option::is_none));
    }

    #[test]
    fn a_week_is_kept_and_the_one_before_forgotten() {
        let mut loads = LoadHistory::default();
        for slot in 0..3000 {
            loads.add_sample("n1", slot * SLOT, sample(5));
            loads.add_sample("n1", slot * SLOT - 4000, sample(5));
        }
        assert_eq!(loads.0["n1"].len(), SLOTS);
        let now = Timestamp::from_second(3000 * SLOT - 1).unwrap();
        let week = loads.series("n1", now, 3600, 7 * 24);
        assert!(week.iter().all(Option::is_some));
    }
}
