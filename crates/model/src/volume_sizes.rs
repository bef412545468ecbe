//! How large volumes are and how they grow: what was measured on each node, a sample a day.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::{DiskUseKind, NodeDiskUse, Swarm, Volume};

/// Samples that are kept of a node: two months.
const KEPT_SAMPLES: usize = 60;

/// Samples of later days than a new one that are taken for those of a clock that was ahead; with more of them it is the
/// new one's clock that is wrong.
const MOST_LATER: usize = 2;

/// Seconds of a day, and of a week.
const DAY: i64 = 86_400;
const WEEK: i64 = 7 * DAY;

/// Least seconds between two samples that say how something grows.
const LEAST_SPAN: i64 = 20 * 3600;

/// How far a trend of disks looks back, and what it needs at least: seconds, samples, r².
const TREND_SPAN: i64 = 30 * DAY;
const LEAST_TREND_SPAN: i64 = 2 * DAY;
const LEAST_TREND_SAMPLES: usize = 3;
const TREND_FIT: f64 = 0.7;

/// What is further away than this many days is no news.
const MAX_DAYS: f64 = 365.0;

/// Label of an application's services: how much room its volumes may take, as JSON.
pub const BUDGET_LABEL: &str = "org.matou.budget";

/// How much room the volumes of an application may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskBudget {
    /// Bytes.
    pub bytes: u64,
    /// Whether the storage refuses more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub enforce: bool,
}

impl Swarm {
    /// Lists the budgets that labels of services name, by application. What is no budget is passed over.
    pub fn list_budgets(&self) -> BTreeMap<&str, DiskBudget> {
        let budgets = self.services.iter().filter_map(|service| {
            let budget: DiskBudget =
                serde_json::from_str(service.labels.get(BUDGET_LABEL)?).ok()?;
            let app = service.stack.as_deref()?;
            (budget.bytes > 0).then_some((app, budget))
        });
        budgets.collect()
    }
}

/// A volume, measured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VolumeSize {
    /// The application it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// `None`: there was no time to measure it.
    pub bytes: Option<u64>,
}

/// A file system, as `df` says; bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in FileSystemUse")]
pub struct FileSystemSize {
    pub total: u64,
    pub used: u64,
    pub free: u64,
}

/// What was measured of a node at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeSample {
    /// When.
    pub at: Timestamp,
    /// By name.
    pub volumes: BTreeMap<String, VolumeSize>,
    /// By where it is mounted.
    pub file_systems: BTreeMap<String, FileSystemSize>,
}

impl SizeSample {
    /// Takes what matters of what fills a node's disks.
    pub fn new(node: &NodeDiskUse, at: Timestamp) -> Self {
        let mut volumes: BTreeMap<String, VolumeSize> = BTreeMap::new();
        for one in node.uses.iter().filter(|u| u.kind == DiskUseKind::Volume) {
            let entry = volumes.entry(one.name.to_string()).or_default();
            // A folder of the data folder, and the engine's empty one for it.
            if entry.bytes.is_none() || one.bytes > entry.bytes {
                entry.app = one.app.as_ref().map(ToString::to_string);
                entry.bytes = one.bytes;
            }
        }
        let file_systems = node.file_systems.iter().map(|f| {
            let size = FileSystemSize {
                total: f.total,
                used: f.used,
                free: f.free,
            };
            (f.mount.to_string(), size)
        });
        Self {
            at,
            volumes,
            file_systems: file_systems.collect(),
        }
    }
}

/// What a night did on a node whose disk was below the floor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NightClean {
    /// When it was done.
    pub at: Timestamp,
    /// Where the engine's file system is mounted.
    pub mount: String,
    /// Bytes that were to be free.
    pub floor: u64,
    /// Bytes that were free before.
    pub before: u64,
    /// Bytes that are free after it.
    pub after: u64,
    /// Why it could not be cleaned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What was measured of a node, day after day.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeSizes {
    /// The oldest first, one a day.
    pub samples: Vec<SizeSample>,
    /// When the night was done with the node last.
    pub night: Option<Timestamp>,
    /// The last night that cleaned.
    pub clean: Option<NightClean>,
    /// When the newest sample was made, if it was left out as one of a wrong clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<Timestamp>,
}

impl NodeSizes {
    /// Takes a sample in; it stands for those of its day (UTC). Of it and what seems to come later one was dated by a
    /// wrong clock, and goes: the later ones where they are few, or where the clock has gone on since the day before;
    /// else the new one.
    pub fn add_sample(&mut self, sample: SizeSample) {
        let day = |at: Timestamp| at.as_second().div_euclid(DAY);
        let later = self.samples.iter().filter(|s| day(s.at) > day(sample.at));
        // A night may be left out.
        let goes_on = |at: Timestamp| (1..=2).contains(&(day(sample.at) - day(at)));
        if later.count() > MOST_LATER && !self.left_out.is_some_and(goes_on) {
            self.left_out = Some(sample.at);
            return;
        }
        self.left_out = None;
        self.samples.retain(|s| day(s.at) < day(sample.at));
        self.samples.push(sample);
        let surplus = self.samples.len().saturating_sub(KEPT_SAMPLES);
        self.samples.drain(..surplus);
    }

    /// Keeps what a night did, and what has been free since.
    pub fn take_clean(&mut self, clean: NightClean) {
        let newest = self.samples.last_mut();
        if let Some(size) = newest.and_then(|s| s.file_systems.get_mut(&clean.mount)) {
            let freed = clean.after.saturating_sub(size.free);
            size.used = size.used.saturating_sub(freed);
            size.free = clean.after;
        }
        self.clean = Some(clean);
    }

    /// Returns the last night that cleaned, when less is free than was to be, now too.
    pub fn find_low(&self) -> Option<&NightClean> {
        let clean = self.clean.as_ref()?;
        let newest = self.samples.last()?.file_systems.get(&clean.mount);
        let free = newest.map_or(clean.after, |size| size.free);
        (free < clean.floor).then_some(clean)
    }

    /// How much room a volume takes that the node has itself; `None`: that was never measured.
    pub fn find_volume(&self, name: &str) -> Option<VolumeRoom> {
        // One that is not in the newest sample is gone.
        self.samples.last()?.volumes.get(name)?;
        let measured = self.samples.iter().rev().filter_map(|sample| {
            let bytes = sample.volumes.get(name)?.bytes?;
            Some((sample.at, bytes))
        });
        let measured: Vec<(Timestamp, u64)> = measured.collect();
        let (at, bytes) = *measured.first()?;
        Some(VolumeRoom {
            bytes,
            at,
            week: weekly_growth(&measured),
        })
    }

    /// Days until a file system is full, if it fills as it did lately.
    pub fn days_to_full(&self, mount: &str) -> Option<u32> {
        let newest = self.samples.last()?;
        let of = |sample: &SizeSample| {
            let used = sample.file_systems.get(mount)?.used;
            let ago = sample.at.as_second() - newest.at.as_second();
            (ago >= -TREND_SPAN).then_some((ago as f64 / DAY as f64, used as f64))
        };
        let points: Vec<(f64, f64)> = self.samples.iter().filter_map(of).collect();
        let slope = find_slope(&points)?;
        let days = newest.file_systems.get(mount)?.free as f64 / slope;
        (days <= MAX_DAYS).then_some(days as u32)
    }
}

/// Bytes a week between the newest of measures, which comes first, and the oldest of about a week.
fn weekly_growth(measured: &[(Timestamp, u64)]) -> Option<i64> {
    let (newest, now) = *measured.first()?;
    let age = |at: Timestamp| newest.as_second() - at.as_second();
    let within = |(at, _): &&(Timestamp, u64)| (LEAST_SPAN..=WEEK + DAY).contains(&age(*at));
    let (then, before) = *measured.iter().rfind(within)?;
    let grown = i128::from(now) - i128::from(before);
    i64::try_from(grown * i128::from(WEEK) / i128::from(age(then))).ok()
}

/// The slope of the line of least squares through points from the oldest to the newest; `None` where they lie
/// on none, or it does not rise.
fn find_slope(points: &[(f64, f64)]) -> Option<f64> {
    let (first, last) = (points.first()?, points.last()?);
    let least_span = LEAST_TREND_SPAN as f64 / DAY as f64;
    if points.len() < LEAST_TREND_SAMPLES || last.0 - first.0 < least_span {
        return None;
    }
    let n = points.len() as f64;
    let x = points.iter().map(|p| p.0).sum::<f64>() / n;
    let y = points.iter().map(|p| p.1).sum::<f64>() / n;
    let xx: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let yy: f64 = points.iter().map(|p| (p.1 - y).powi(2)).sum();
    let xy: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let rises = xx > 0.0 && yy > 0.0 && xy > 0.0 && xy * xy / (xx * yy) >= TREND_FIT;
    rises.then_some(xy / xx)
}

/// How much room a volume takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VolumeRoom {
    /// Bytes.
    pub bytes: u64,
    /// When it was measured.
    pub at: Timestamp,
    /// Bytes by which it grows in a week; `None`: it is not known long enough.
    pub week: Option<i64>,
}

/// How much room the volumes of an application take, on all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppRoom {
    /// Bytes.
    pub bytes: u64,
    /// How many volumes were measured.
    pub volumes: usize,
    /// When the first of them was measured.
    pub at: Timestamp,
    /// Bytes by which they grow in a week, those that are known long enough.
    pub week: Option<i64>,
}

/// What was measured on all nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeSizes {
    /// The node that has the data folder.
    pub storage: String,
    /// By name.
    pub nodes: BTreeMap<String, NodeSizes>,
    /// What its clock said when this was read there.
    pub clock: Option<Timestamp>,
}

impl VolumeSizes {
    /// The time by which what is kept is dated: that of the node that keeps it, as clocks of operators' machines may
    /// be wrong.
    pub fn time(&self) -> Timestamp {
        self.clock.unwrap_or_else(Timestamp::now)
    }

    /// How much room a volume of a node takes; `None`: that was never measured. One whose data is elsewhere is
    /// looked for in the data folder.
    pub fn find_volume(&self, node: &str, volume: &Volume) -> Option<VolumeRoom> {
        let of = |node: &str, name: &str| self.nodes.get(node)?.find_volume(name);
        let place = volume.options.get("device").map(String::as_str);
        let is_here = volume.driver == "local" && place.is_none();
        if is_here {
            return of(node, &volume.name);
        }
        let folder = place.and_then(|p| p.trim_end_matches('/').rsplit('/').next());
        of(&self.storage, folder.unwrap_or(&volume.name))
    }

    /// How much room the volumes of an application take; `None`: none was measured.
    pub fn find_app(&self, app: &str) -> Option<AppRoom> {
        let mut rooms = Vec::new();
        for node in self.nodes.values() {
            let newest = node.samples.last();
            let volumes = newest.into_iter().flat_map(|s| &s.volumes);
            let ours = volumes.filter(|(_, v)| v.app.as_deref() == Some(app));
            rooms.extend(ours.filter_map(|(name, _)| node.find_volume(name)));
        }
        Some(AppRoom {
            bytes: rooms.iter().fold(0, |sum, r| r.bytes.saturating_add(sum)),
            volumes: rooms.len(),
            at: rooms.iter().map(|r| r.at).min()?,
            week: rooms
                .iter()
                .filter_map(|r| r.week)
                .reduce(i64::saturating_add),
        })
    }
}

/// A volume for programs.
#[derive(Serialize)]
struct VolumeLine<'a> {
    node: &'a str,
    name: &'a str,
    app: Option<&'a str>,
    bytes: u64,
    bytes_a_week: Option<i64>,
    measured_at: Timestamp,
}

/// A file system for programs.
#[derive(Serialize)]
struct FileSystemLine<'a> {
    node: &'a str,
    mount: &'a str,
    total: u64,
    used: u64,
    free: u64,
    full_in_days: Option<u32>,
    measured_at: Timestamp,
}

impl Serialize for VolumeSizes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (mut volumes, mut file_systems) = (Vec::new(), Vec::new());
        for (node, sizes) in &self.nodes {
            let Some(newest) = sizes.samples.last() else {
                continue;
            };
            for (name, volume) in &newest.volumes {
                let Some(room) = sizes.find_volume(name) else {
                    continue;
                };
                volumes.push(VolumeLine {
                    node,
                    name,
                    app: volume.app.as_deref(),
                    bytes: room.bytes,
                    bytes_a_week: room.week,
                    measured_at: room.at,
                });
            }
            file_systems.extend(
                newest
                    .file_systems
                    .iter()
                    .map(|(mount, size)| FileSystemLine {
                        node,
                        mount,
                        total: size.total,
                        used: size.used,
                        free: size.free,
                        full_in_days: sizes.days_to_full(mount),
                        measured_at: newest.at,
                    }),
            );
        }
        let mut object = to.serialize_struct("VolumeSizes", 2)?;
        object.serialize_field("volumes", &volumes)?;
        object.serialize_field("file_systems", &file_systems)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DiskUse, FileSystemUse};
    use matou_base::text::SafeText;

    const GIB: u64 = 1 << 30;

    fn at(day: i64, hour: i64) -> Timestamp {
        Timestamp::from_second(20_000 * DAY + day * DAY + hour * 3600).unwrap()
    }

    fn sample(day: i64, bytes: Option<u64>, used: u64) -> SizeSample {
        let app = Some("shop".to_owned());
        let size = FileSystemSize {
            total: 100 * GIB,
            used,
            free: (100 * GIB).saturating_sub(used),
        };
        SizeSample {
            at: at(day, 3),
            volumes: [("shop_db".to_owned(), VolumeSize { app, bytes })].into(),
            file_systems: [("/".to_owned(), size)].into(),
        }
    }

    fn sizes(samples: impl IntoIterator<Item = SizeSample>) -> VolumeSizes {
        let mut node = NodeSizes::default();
        for sample in samples {
            node.add_sample(sample);
        }
        VolumeSizes {
            storage: "n1".into(),
            nodes: [("n1".to_owned(), node)].into(),
            ..VolumeSizes::default()
        }
    }

    fn volume(driver: &str, device: Option<&str>) -> Volume {
        Volume {
            name: "shop_db".into(),
            driver: driver.into(),
            mountpoint: String::new(),
            options: device
                .map(|d| ("device".to_owned(), d.to_owned()))
                .into_iter()
                .collect(),
            stack: None,
            users: Vec::new(),
            created_at: None,
        }
    }

    #[test]
    fn growth_is_of_a_week_and_unknown_at_first() {
        let volume = volume("local", None);
        let room = |all: &VolumeSizes| all.find_volume("n1", &volume);
        let week = |all: &VolumeSizes| room(all).and_then(|r| r.week);
        assert_eq!(week(&sizes([sample(0, Some(GIB), 0)])), None);
        // Two days, a gibibyte each.
        let grown = sizes((0..3).map(|d| sample(d, Some(GIB * (1 + d as u64)), 0)));
        assert_eq!(week(&grown), Some(7 * GIB as i64));
        // What was before the week does not count.
        let days = (0..30).map(|d| sample(d, Some(if d < 20 { GIB } else { 2 * GIB }), 0));
        assert_eq!(week(&sizes(days)), Some(0));
        let shrunk = sizes([sample(0, Some(3 * GIB), 0), sample(7, Some(GIB), 0)]);
        assert_eq!(week(&shrunk), Some(-2 * GIB as i64));
        // For want of time the figure of the day before stands, with its age.
        let late = sizes([sample(0, Some(GIB), 0), sample(1, None, 0)]);
        assert_eq!(room(&late).unwrap().at, at(0, 3));
        let mut gone = sample(1, None, 0);
        gone.volumes.clear();
        assert_eq!(room(&sizes([sample(0, Some(GIB), 0), gone])), None);
    }

    #[test]
    fn a_sample_stands_for_its_day_and_two_months_are_kept() {
        let mut node = NodeSizes::default();
        for day in 0..100 {
            node.add_sample(sample(day, Some(1), 0));
            let mut later = sample(day, Some(2), 0);
            later.at = at(day, 20);
            node.add_sample(later);
        }
        assert_eq!(node.samples.len(), KEPT_SAMPLES);
        assert!(
            node.samples
                .iter()
                .all(|s| s.volumes["shop_db"].bytes == Some(2))
        );
        // The clock is set back: what is dated later was wrong.
        node.add_sample(sample(97, Some(1), 0));
        assert_eq!(node.samples.last().unwrap().at, at(97, 3));
        assert_eq!(node.samples.len(), KEPT_SAMPLES - 2);
    }

    #[test]
    fn one_look_at_a_wrong_clock_keeps_the_history() {
        let mut node = NodeSizes::default();
        for day in 0..60 {
            node.add_sample(sample(day, Some(1), 0));
        }
        let newest = |node: &NodeSizes| (node.samples.len(), node.samples.last().unwrap().at);
        for wrong in [-20_000, 10, 56] {
            node.add_sample(sample(wrong, Some(2), 0));
            assert_eq!(newest(&node), (60, at(59, 3)), "{wrong}");
            // Twice on the same day says no more.
            node.add_sample(sample(wrong, Some(2), 0));
            assert_eq!(newest(&node), (60, at(59, 3)), "{wrong}");
            // It is right again.
            node.add_sample(sample(59, Some(1), 0));
            assert_eq!((newest(&node), node.left_out), ((60, at(59, 3)), None));
        }
        // It was ahead for a week: what is dated by the right one is taken on its second day.
        for day in 1000..1007 {
            node.add_sample(sample(day, Some(1), 0));
        }
        assert_eq!(newest(&node), (60, at(1006, 3)));
        node.add_sample(sample(67, Some(1), 0));
        assert_eq!(newest(&node), (60, at(1006, 3)));
        node.add_sample(sample(68, Some(1), 0));
        assert_eq!(newest(&node), (54, at(68, 3)));
    }

    #[test]
    fn a_disk_that_fills_steadily_has_its_days_and_another_none() {
        let days = |used: &dyn Fn(u64) -> u64| {
            let all = sizes((0..10).map(|d| sample(d, None, used(d as u64))));
            all.nodes["n1"].days_to_full("/")
        };
        // 59 GiB at the end, a gibibyte a day.
        assert_eq!(days(&|d| (50 + d) * GIB), Some(41));
        assert_eq!(days(&|_| 50 * GIB), None);
        assert_eq!(days(&|d| (90 - d) * GIB), None);
        assert_eq!(days(&|d| 50 * GIB + d % 2 * GIB), None);
        assert_eq!(days(&|d| 50 * GIB + d), None, "in a thousand years");
        let two = sizes((0..2).map(|d| sample(d, None, d as u64 * GIB)));
        assert_eq!(two.nodes["n1"].days_to_full("/"), None);
    }

    #[test]
    fn what_stays_below_the_floor_is_found_until_a_sample_says_otherwise() {
        let clean = |after: u64| NightClean {
            at: at(0, 4),
            mount: "/".into(),
            floor: 20 * GIB,
            before: 5 * GIB,
            after: after * GIB,
            problem: None,
        };
        let mut node = NodeSizes::default();
        node.add_sample(sample(0, None, 95 * GIB));
        assert_eq!(node.find_low(), None);
        node.take_clean(clean(10));
        assert_eq!(node.samples[0].file_systems["/"].used, 90 * GIB);
        assert!(node.find_low().is_some());
        node.add_sample(sample(1, None, 70 * GIB));
        assert_eq!(node.find_low(), None);
        node.take_clean(clean(30));
        assert_eq!(node.find_low(), None);
    }

    #[test]
    fn a_volume_is_where_its_data_is() {
        let all = sizes([sample(0, Some(GIB), 0)]);
        let found = |node: &str, volume: &Volume| all.find_volume(node, volume).is_some();
        assert!(found("n1", &volume("local", None)));
        assert!(!found("n2", &volume("local", None)));
        assert!(found("n2", &volume("local", Some(":/mnt/data/shop_db"))));
        assert!(!found("n2", &volume("local", Some(":/mnt/data/other"))));
        assert!(found("n2", &volume("nfs", None)));
        let app = all.find_app("shop").unwrap();
        assert_eq!((app.bytes, app.volumes, app.week), (GIB, 1, None));
        assert_eq!(all.find_app("blog"), None);
    }

    #[test]
    fn a_sample_is_made_of_volumes_alone_and_written_for_programs() {
        let one = |kind, name: &str, bytes| DiskUse {
            kind,
            name: SafeText::from_line(name),
            app: Some(SafeText::from_line("shop")),
            bytes,
            mount: SafeText::from_line("/"),
            bytes_a_week: None,
        };
        let node = NodeDiskUse {
            node: "n1".into(),
            file_systems: vec![FileSystemUse {
                mount: SafeText::from_line("/"),
                total: 10,
                used: 4,
                free: 6,
                rest: 0,
                full_in_days: None,
            }],
            uses: vec![
                one(DiskUseKind::Volume, "shop_db", Some(4096)),
                one(DiskUseKind::Volume, "shop_db", Some(9000)),
                one(DiskUseKind::Dumps, "shop", Some(1)),
            ],
            problem: None,
        };
        let all = sizes([SizeSample::new(&node, at(0, 3))]);
        let written = serde_json::to_value(&all).unwrap();
        assert_eq!(written["volumes"].as_array().unwrap().len(), 1);
        assert_eq!(written["volumes"][0]["bytes"], 9000);
        assert_eq!(written["file_systems"][0]["free"], 6);
        // What is kept comes back as it was.
        let kept = serde_json::to_string(&all.nodes["n1"]).unwrap();
        let read: NodeSizes = serde_json::from_str(&kept).unwrap();
        assert_eq!(read, all.nodes["n1"]);
    }
}
