//! How disks fill: a straight line through the last hours says when they will be full.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use super::load_history::{LoadHistory, MeanLoad};

/// Points that are kept: six hours, one a minute.
const POINTS: usize = 360;

/// Time between two points, seconds.
const STEP: i64 = 60;

/// Least time that the points must span, seconds.
const LEAST: i64 = 1800;

/// Least r² (coefficient of determination) of the line.
const FIT: f64 = 0.7;

/// What the line of a week is drawn through, hours.
const LONG_HOURS: usize = 7 * 24;

/// Least time that the line of a week must span, hours.
const LONG_LEAST: f64 = 48.0;

/// One node's disk over the last hours.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DiskTrend {
    /// Unix seconds, bytes in use.
    points: VecDeque<(i64, u64)>,
}

/// All nodes' disks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DiskTrends(BTreeMap<String, DiskTrend>);

impl DiskTrends {
    /// Takes a reading of a node; those within a minute of the last are left out.
    pub fn add_reading(&mut self, node: &str, at: Timestamp, used: u64) {
        self.0
            .entry(node.to_owned())
            .or_default()
            .add_point(at.as_second(), used);
    }

    /// Hours until a disk of `total` bytes is full, if it fills steadily.
    pub fn hours_to_full(&self, node: &str, total: u64, now: Timestamp) -> Option<f64> {
        self.0.get(node)?.hours_to_full(total, now.as_second())
    }
}

impl DiskTrend {
    fn add_point(&mut self, at: i64, used: u64) {
        if self.points.back().is_some_and(|(last, _)| at < last + STEP) {
            return;
        }
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back((at, used));
    }

    /// Extends the line of least squares. Returns `None` where the points do not lie on a line, as
    /// when the disk was emptied meanwhile or jumped once.
    fn hours_to_full(&self, total: u64, now: i64) -> Option<f64> {
        let horizon = now - POINTS as i64 * STEP;
        let points: Vec<(f64, f64)> = self
            .points
            .iter()
            .filter(|(at, _)| *at >= horizon)
            .map(|(at, used)| ((at - now) as f64, *used as f64))
            .collect();
        let (first, last) = (points.first()?, points.last()?);
        if last.0 - first.0 < LEAST as f64 {
            return None;
        }
        let growth = fit_growth(&points)?;
        let free = total as f64 - last.1;
        (free >= 0.0).then(|| free / growth / 3600.0)
    }
}

/// Fits the line of least squares, and returns how much it rises. Returns `None` where the points do not lie on a line
/// that rises.
fn fit_growth(points: &[(f64, f64)]) -> Option<f64> {
    let n = points.len() as f64;
    let mean = |value: fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let sum = |value: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(value).sum::<f64>();
    let xx = sum(&|p| (p.0 - x).powi(2));
    let yy = sum(&|p| (p.1 - y).powi(2));
    let xy = sum(&|p| (p.0 - x) * (p.1 - y));
    let is_line = xx > 0.0 && yy > 0.0 && xy > 0.0 && xy * xy / (xx * yy) >= FIT;
    is_line.then(|| xy / xx)
}

/// Days until a node's root file system is full, by the last week: `None` where too little is kept to say,
/// `Some(None)` where it does not fill steadily.
pub(super) fn days_until_full(
    loads: &LoadHistory,
    node: &str,
    now: Timestamp,
) -> Option<Option<f64>> {
    let hours = loads.series(node, now, 3600, LONG_HOURS);
    let of_hour = |(hour, load): (usize, &Option<MeanLoad>)| {
        let load = load.as_ref()?;
        Some((hour as f64, f64::from(load.disk)))
    };
    let points: Vec<(f64, f64)> = hours.iter().enumerate().filter_map(of_hour).collect();
    let (first, last) = (points.first()?, points.last()?);
    if last.0 - first.0 < LONG_LEAST {
        return None;
    }
    let growth = fit_growth(&points);
    Some(growth.map(|percent| (100.0 - last.1).max(0.0) / percent / 24.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn hours(used: impl Fn(u64) -> u64, minutes: u64) -> Option<f64> {
        let mut trend = DiskTrend::default();
        for minute in 0..minutes {
            trend.add_point(minute as i64 * 60, used(minute));
        }
        trend.hours_to_full(100 * GIB, minutes as i64 * 60)
    }

    #[test]
    fn a_disk_that_fills_steadily_is_told_in_time() {
        // 6 GiB an hour, 40 GiB left after two hours.
        let left = hours(|m| 48 * GIB + m * GIB / 10, 120).unwrap();
        assert!((left - 6.68).abs() < 0.1, "{left}");
    }

    #[test]
    fn what_is_no_steady_growth_gives_no_answer() {
        for (name, used) in [
            ("still", (|_| 50 * GIB) as fn(u64) -> u64),
            ("shrinking", |m| 90 * GIB - m * GIB / 10),
            ("a jump that is over", |m| {
                if m < 5 { 20 * GIB } else { 60 * GIB }
            }),
            ("to and fro", |m| 50 * GIB + m % 7 * GIB),
        ] {
            assert_eq!(hours(used, 120), None, "{name}");
        }
        assert_eq!(hours(|m| m * GIB, 29), None, "too short");
    }

    #[test]
    fn old_points_are_forgotten_and_one_a_minute_is_kept() {
        let mut trends = DiskTrends::default();
        for second in 0..60_000 {
            trends.add_reading("n1", Timestamp::from_second(second).unwrap(), 1);
        }
        assert_eq!(trends.0["n1"].points.len(), POINTS);
    }
}
