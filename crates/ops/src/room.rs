//! Room on the nodes' disks: what fills them is measured and kept on the storage node, and at night nodes below
//! the floor of `[room]` are cleaned.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use matou_i18n::tr;

use crate::{FleetContext, OpsError, read_disk_use};
use matou_collect::{read_engine_file_system, read_volume_sizes, volume_sizes_folder};
use matou_host::{ParentFolder, write_file_command};
use matou_model::{FileSystemUse, NightClean, NodeDiskUse, NodeSizes, SizeSample, VolumeSizes};

/// Bytes that are kept of a node: with very many volumes fewer days are.
const MAX_KEPT: usize = 400 << 10;

/// A node that a night was done with less than this ago is left out, where that is asked for.
const NIGHT: SignedDuration = SignedDuration::from_hours(12);

/// What was measured.
#[derive(Debug)]
pub struct MeasuredRoom {
    /// A node each, with growth where that is known.
    pub nodes: Vec<NodeDiskUse>,
    /// What is kept of it, or why nothing is.
    pub sizes: Result<VolumeSizes, OpsError>,
}

/// Measures what fills the disks of nodes, of all when none is named, and keeps it for later.
///
/// # Errors
/// One sentence: there is no such node.
pub async fn measure_room(
    fleet: &FleetContext,
    nodes: &[String],
) -> Result<MeasuredRoom, OpsError> {
    let mut nodes = read_disk_use(fleet, nodes).await?;
    let sizes = keep_samples(fleet, &nodes).await;
    if let Ok(sizes) = &sizes {
        for node in &mut nodes {
            add_growth(node, sizes);
        }
    }
    Ok(MeasuredRoom { nodes, sizes })
}

async fn keep_samples(
    fleet: &FleetContext,
    nodes: &[NodeDiskUse],
) -> Result<VolumeSizes, OpsError> {
    let mut sizes = read_volume_sizes(&fleet.config, &fleet.nodes).await?;
    let now = sizes.time();
    for node in nodes.iter().filter(|n| n.problem.is_none()) {
        let kept = sizes.nodes.entry(node.node.clone()).or_default();
        kept.add_sample(SizeSample::new(node, now));
        write_node_sizes(fleet, &node.node, kept).await?;
    }
    Ok(sizes)
}

/// Says of each volume how it grows, and of each file system when it is full.
fn add_growth(node: &mut NodeDiskUse, sizes: &VolumeSizes) {
    let Some(kept) = sizes.nodes.get(&node.node) else {
        return;
    };
    for one in &mut node.uses {
        if one.kind == matou_model::DiskUseKind::Volume {
            let room = kept.find_volume(&one.name);
            one.bytes_a_week = room.and_then(|r| r.week);
        }
    }
    for one in &mut node.file_systems {
        one.full_in_days = kept.days_to_full(&one.mount);
    }
}

/// Writes what is kept of a node.
async fn write_node_sizes(
    fleet: &FleetContext,
    node: &str,
    sizes: &mut NodeSizes,
) -> Result<(), OpsError> {
    let text = loop {
        let text = serde_json::to_vec(sizes).map_err(OpsError::failed)?;
        if text.len() <= MAX_KEPT || sizes.samples.len() <= 1 {
            break text;
        }
        sizes.samples.remove(0);
    };
    let file = volume_sizes_folder(&fleet.config).join(format!("{node}.json"));
    let path = file.display().to_string();
    let write = write_file_command(&path, text, 0o600, ParentFolder::Created)
        .timeout(Duration::from_secs(30))
        .label(tr!("keep the sizes of volumes"));
    fleet.find_storage_node()?.host.run_ok(&write).await?;
    Ok(())
}

/// A node below the floor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LowNode {
    /// Name in config.toml.
    pub node: String,
    /// The file system of its engine, as it was before.
    pub before: FileSystemUse,
    /// Bytes that are to be free.
    pub floor: u64,
}

/// What a night begins with.
#[derive(Debug)]
pub struct RoomNight {
    /// What was measured; of no node when another manager was done with all.
    pub measured: MeasuredRoom,
    /// Nodes that are to be cleaned.
    pub low: Vec<LowNode>,
    /// Why it is not known of nodes that were measured whether they are: this night is not done with them.
    pub unread: BTreeMap<String, OpsError>,
}

/// Begins the night: measures all nodes, and finds those below the floor. With `unless_done` nodes are left out
/// that a night was done with less than twelve hours ago.
///
/// # Errors
/// What is kept can't be read: the storage node does not answer.
pub async fn begin_room_night(
    fleet: &FleetContext,
    unless_done: bool,
) -> Result<RoomNight, OpsError> {
    let sizes = read_volume_sizes(&fleet.config, &fleet.nodes).await?;
    let now = sizes.time();
    let is_due = |name: &String| {
        let night = sizes.nodes.get(name).and_then(|n| n.night);
        !unless_done || night.is_none_or(|night| now.duration_since(night).abs() > NIGHT)
    };
    let names = fleet.nodes.iter().map(|n| n.config.name.clone());
    let due: Vec<String> = names.filter(is_due).collect();
    let measured = match due.is_empty() {
        true => MeasuredRoom {
            nodes: Vec::new(),
            sizes: Ok(sizes),
        },
        false => measure_room(fleet, &due).await?,
    };
    let mut low = Vec::new();
    let mut unread = BTreeMap::new();
    if let Some(floor) = fleet.config.room.floor {
        let answering = measured.nodes.iter().filter(|n| n.problem.is_none());
        for node in answering.filter_map(|n| fleet.nodes.get(&n.node)) {
            let name = node.config.name.clone();
            // One that does not answer any more does not end the night of the others.
            let before = match read_engine_file_system(node).await {
                Ok(before) => before,
                Err(why) => {
                    unread.insert(name, why.into());
                    continue;
                }
            };
            let floor = floor.bytes_of(before.total);
            if before.free < floor {
                low.push(LowNode {
                    node: name,
                    before,
                    floor,
                });
            }
        }
    }
    Ok(RoomNight {
        measured,
        low,
        unread,
    })
}

impl RoomNight {
    /// The nodes that it is done with.
    fn done_nodes(&self) -> impl Iterator<Item = &String> {
        let measured = self.measured.nodes.iter().filter(|n| n.problem.is_none());
        let names = measured.map(|n| &n.node);
        names.filter(move |name| !self.unread.contains_key(*name))
    }
}

/// Ends the night: reads what is free now, and keeps it. Of nodes that were not cleaned `failed` says why. Returns what
/// became of each node that was low.
///
/// # Errors
/// It can't be kept.
pub async fn end_room_night(
    fleet: &FleetContext,
    night: &RoomNight,
    failed: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, NightClean>, OpsError> {
    let mut cleaned = BTreeMap::new();
    let mut sizes = read_volume_sizes(&fleet.config, &fleet.nodes).await?;
    let now = sizes.time();
    for name in night.done_nodes() {
        let kept = sizes.nodes.entry(name.clone()).or_default();
        kept.night = Some(now);
        match night.low.iter().find(|low| low.node == *name) {
            Some(low) => {
                let free = read_free(fleet, low).await;
                let clean = low.outcome(free, failed.get(name), now);
                kept.take_clean(clean.clone());
                cleaned.insert(name.clone(), clean);
            }
            // It is above the floor of now.
            None => kept.clean = None,
        }
        write_node_sizes(fleet, name, kept).await?;
    }
    Ok(cleaned)
}

/// Reads what is free on a node that was low; `None` when config.toml has no such node.
async fn read_free(fleet: &FleetContext, low: &LowNode) -> Option<Result<u64, String>> {
    let node = fleet.nodes.get(&low.node)?;
    let read = read_engine_file_system(node).await;
    Some(read.map(|after| after.free).map_err(|why| why.to_string()))
}

impl LowNode {
    /// What became of it, by what is free now, and why it was not cleaned if it was not.
    fn outcome(
        &self,
        free: Option<Result<u64, String>>,
        failed: Option<&String>,
        now: Timestamp,
    ) -> NightClean {
        let (after, unread) = match free {
            Some(Ok(after)) => (after, None),
            Some(Err(why)) => (self.before.free, Some(why)),
            None => (self.before.free, None),
        };
        NightClean {
            at: now,
            mount: self.before.mount.to_string(),
            floor: self.floor,
            before: self.before.free,
            after,
            problem: failed.cloned().or(unread),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn low(node: &str) -> LowNode {
        LowNode {
            node: node.into(),
            before: FileSystemUse {
                free: 5,
                ..FileSystemUse::default()
            },
            floor: 20,
        }
    }

    #[test]
    fn a_cleaning_that_failed_is_kept_with_its_reason() {
        let held = "another job holds the lock".to_owned();
        let silent = || Some(Err("n1 does not answer".to_owned()));
        for (free, failed, after, problem) in [
            (Some(Ok(30)), None, 30, None),
            (
                Some(Ok(5)),
                Some(&held),
                5,
                Some("another job holds the lock"),
            ),
            (silent(), None, 5, Some("n1 does not answer")),
            (silent(), Some(&held), 5, Some("another job holds the lock")),
            (None, None, 5, None),
        ] {
            let clean = low("n1").outcome(free, failed, Timestamp::UNIX_EPOCH);
            assert_eq!((clean.before, clean.after), (5, after));
            assert_eq!(clean.problem.as_deref(), problem);
        }
    }

    #[test]
    fn the_night_is_not_done_with_a_node_that_stopped_answering() {
        let measured = |node: &str| NodeDiskUse {
            node: node.into(),
            file_systems: Vec::new(),
            uses: Vec::new(),
            problem: None,
        };
        let night = RoomNight {
            measured: MeasuredRoom {
                nodes: vec![measured("n1"), measured("n2"), measured("n3")],
                sizes: Ok(VolumeSizes::default()),
            },
            low: vec![low("n3")],
            unread: [("n2".to_owned(), OpsError::failed("no answer"))].into(),
        };
        let done: Vec<&String> = night.done_nodes().collect();
        assert_eq!(done, ["n1", "n3"]);
    }
}
