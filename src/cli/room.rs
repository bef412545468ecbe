//! `matou room`: what fills the disks of the nodes.

use matou_i18n::{tr, trn};
use std::collections::BTreeMap;
use std::process::ExitCode;

use color_eyre::eyre::Result;

use super::{Exit, job};
use matou_base::text::{SafeText, clean_line, human_bytes};
use matou_base::{errln, outln};
use matou_job::{JobEvent, JobOutcome};
use matou_model::{DiskUse, DiskUseKind, FileSystemUse, NodeDiskUse, VolumeSizes};
use matou_ops::{FleetContext, LowNode, OpsError, Request, begin_room_night, end_room_night};

/// Applications that a line names.
const NAMED_APPS: usize = 4;

/// Shown under `matou room --help`.
pub(super) const HELP: &str = "Sizes are what is on the disk, as du and the engine count; free and total are those of df. What takes longer than two minutes to be measured is said to be left out.

What is measured is kept on the storage node, a sample a day for two months: how volumes grow in a week, and when a disk is full, is seen after some days. A timer of the managers measures every night.

Examples:
  matou room
  matou room n2 --json | jq -r '.[].uses[] | select(.bytes > 1000000000) | \"\\(.kind) \\(.name)\"'";

/// Carries out `matou room`: prints what takes room. Fails when a node can't be asked.
pub(super) async fn run_room_command(
    fleet: &FleetContext,
    nodes: &[String],
    json: bool,
) -> Result<ExitCode> {
    let measured = matou_ops::measure_room(fleet, nodes).await?;
    let found = measured.nodes;
    let written = match json {
        true => matou_base::out::print_json_pretty(&found),
        false => {
            let mut lines = found.iter().flat_map(format_node);
            lines.try_for_each(|line| matou_base::outln!("{line}"))
        }
    };
    match written {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => return Err(e.into()),
        _ => {}
    }
    warn_unless_kept(&measured.sizes);
    let problems = found.iter().map(|n| n.problem.as_ref());
    Ok(Exit::of_nodes(problems).into())
}

fn warn_unless_kept(sizes: &Result<VolumeSizes, OpsError>) {
    if let Err(why) = sizes {
        errln!(
            "{}",
            tr!("warning: how volumes grow is not known, and these sizes are not kept: {why}")
        );
    }
}

/// Carries out `matou room --night`: measures all nodes, and cleans those below the floor. Fails when a node can't
/// be asked, or stays below.
pub(super) async fn run_night(fleet: &FleetContext, unless_done: bool) -> Result<ExitCode> {
    let night = begin_room_night(fleet, unless_done).await?;
    let measured = &night.measured;
    for node in &measured.nodes {
        let name = clean_line(&node.node);
        match &node.problem {
            Some(problem) => outln!("{}", tr!("{name}: not measured: {problem}"))?,
            None => outln!("{}", tr!("{name}: measured"))?,
        }
    }
    if measured.nodes.is_empty() {
        outln!("{}", tr!("another manager was done with all nodes"))?;
    }
    warn_unless_kept(&measured.sizes);
    for (node, why) in &night.unread {
        let node = clean_line(node);
        errln!(
            "{}",
            tr!("{node}: what is free there can't be read, so it is not cleaned: {why}")
        );
    }
    for low in &night.low {
        let (free, floor) = (human_bytes(low.before.free), human_bytes(low.floor));
        let node = &low.node;
        outln!(
            "{}",
            tr!("{node}: {free} are free, {floor} are to be: it is cleaned")
        )?;
    }
    let not_cleaned = match night.low.is_empty() {
        true => BTreeMap::new(),
        false => clean_low_nodes(fleet, &night.low).await,
    };
    // What it came to is kept all the same.
    let mut failed = measured.sizes.is_err() || !night.unread.is_empty() || !not_cleaned.is_empty();
    for (node, clean) in end_room_night(fleet, &night, &not_cleaned).await? {
        let freed = human_bytes(clean.after.saturating_sub(clean.before));
        let (after, floor) = (human_bytes(clean.after), human_bytes(clean.floor));
        let is_low = clean.after < clean.floor;
        failed |= is_low;
        match is_low {
            true => outln!(
                "{}",
                tr!("{node}: {freed} freed, {after} are free: STILL BELOW the floor of {floor}")
            )?,
            false => outln!("{}", tr!("{node}: {freed} freed, {after} are free"))?,
        }
    }
    let problems = measured.nodes.iter().map(|n| n.problem.as_ref());
    Ok(match (Exit::of_nodes(problems), failed) {
        (Exit::Done, true) => Exit::Failed.into(),
        (exit, _) => exit.into(),
    })
}

/// Cleans nodes that are low. Returns of each that was not cleaned why.
async fn clean_low_nodes(fleet: &FleetContext, low: &[LowNode]) -> BTreeMap<String, String> {
    let request = Request::Clean {
        nodes: low.iter().map(|low| low.node.clone()).collect(),
        volumes: Vec::new(),
    };
    let build = async |request: &Request| matou_ops::build_job(request, fleet).await;
    let mut failed = BTreeMap::new();
    let mut reason = None;
    let mut watch = |notice: job::JobNotice<'_>| match notice {
        job::JobNotice::Event(JobEvent::StepFailed { node, error, .. }) => {
            failed.insert(node.clone(), error.to_string());
        }
        job::JobNotice::Event(JobEvent::Finished {
            outcome: JobOutcome::Failed { reason: why },
            ..
        }) => reason = Some(why.to_string()),
        _ => {}
    };
    let options = job::JobOptions::confirmed();
    let ran = job::run_watched_job(fleet, request, build, &options, &mut watch).await;
    match ran {
        Ok(code) if code == ExitCode::from(Exit::Done) => BTreeMap::new(),
        Ok(_) => {
            let why = reason.unwrap_or_else(|| tr!("it was cut off").to_owned());
            name_not_cleaned(low, failed, &why)
        }
        Err(why) => {
            errln!("{}", tr!("not cleaned: {why}"));
            name_not_cleaned(low, failed, &why.to_string())
        }
    }
}

/// Says of each node why it was not cleaned: the nodes where that failed, where it came so far, else all.
fn name_not_cleaned(
    low: &[LowNode],
    failed: BTreeMap<String, String>,
    why: &str,
) -> BTreeMap<String, String> {
    match failed.is_empty() {
        true => low
            .iter()
            .map(|low| (low.node.clone(), why.to_owned()))
            .collect(),
        false => failed,
    }
}

fn format_node(node: &NodeDiskUse) -> Vec<String> {
    let name = clean_line(&node.node);
    if let Some(problem) = &node.problem {
        return vec![format!("{name:<12} {}", clean_line(problem.as_str()))];
    }
    let file_systems = node.file_systems.iter();
    file_systems
        .flat_map(|f| format_file_system(&name, f, node))
        .collect()
}

/// A line for the file system, and one for each kind of thing that is on it.
fn format_file_system(name: &str, on: &FileSystemUse, node: &NodeDiskUse) -> Vec<String> {
    let (free, total) = (human_bytes(on.free), human_bytes(on.total));
    let mut first = tr!("{name:<12} {}: {free} free of {total}", on.mount);
    if let Some(days) = on.full_in_days {
        first += &trn!(days, ", full in {n} day", ", full in {n} days");
    }
    let mut lines = vec![first];
    for kind in DiskUseKind::ALL {
        let uses: Vec<&DiskUse> = node.uses_of(kind, &on.mount).collect();
        if uses.is_empty() {
            continue;
        }
        let size: u64 = uses.iter().filter_map(|u| u.bytes).sum();
        let whose = describe_uses(kind, &uses);
        let line = format!("  {:>9}  {:<22} {whose}", human_bytes(size), kind.name());
        lines.push(line.trim_end().to_owned());
    }
    lines.push(tr!("  {:>9}  the rest", human_bytes(on.rest)));
    lines
}

/// Says whose they are, the largest first; else how many they are.
fn describe_uses(kind: DiskUseKind, uses: &[&DiskUse]) -> String {
    let mut by_app: BTreeMap<Option<&SafeText>, u64> = BTreeMap::new();
    for one in uses {
        *by_app.entry(one.app.as_ref()).or_default() += one.bytes.unwrap_or_default();
    }
    let late = uses.iter().filter(|u| u.bytes.is_none()).count();
    let mut said = Vec::new();
    match kind {
        DiskUseKind::ImageInUse | DiskUseKind::ImageForRollback => {
            said.push(trn!(uses.len(), "{n} image", "{n} images"));
        }
        DiskUseKind::ImageUnused => {
            let count = trn!(uses.len(), "{n} image", "{n} images");
            said.push(tr!("{count}: `matou clean` removes them"));
        }
        DiskUseKind::BuildCache => said.push(tr!("`matou clean` removes it").into()),
        _ if by_app.keys().any(Option::is_some) => {
            let mut apps: Vec<_> = by_app.into_iter().filter(|(_, size)| *size > 0).collect();
            apps.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
            let more = apps.len().saturating_sub(NAMED_APPS);
            said.extend(apps.iter().take(NAMED_APPS).map(|(app, size)| {
                let app = app.map_or(tr!("no application"), SafeText::as_str);
                format!("{app} {}", human_bytes(*size))
            }));
            if more > 0 {
                said.push(tr!("{more} more"));
            }
        }
        _ => {}
    }
    let week: i64 = uses.iter().filter_map(|u| u.bytes_a_week).sum();
    if week > 0 {
        let grown = human_bytes(week.unsigned_abs());
        said.push(tr!("{grown} more a week"));
    }
    if late > 0 {
        said.push(tr!("{late} not measured, there was no time"));
    }
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleaning_that_did_not_begin_failed_on_all_nodes() {
        let low = ["n1", "n2"].map(|node| LowNode {
            node: node.into(),
            before: FileSystemUse::default(),
            floor: 20,
        });
        let of = |node: &str, why: &str| (node.to_owned(), why.to_owned());
        let held = name_not_cleaned(&low, BTreeMap::new(), "the lock is held");
        let both: BTreeMap<_, _> =
            [of("n1", "the lock is held"), of("n2", "the lock is held")].into();
        assert_eq!(held, both);
        let one: BTreeMap<_, _> = [of("n2", "no answer")].into();
        assert_eq!(name_not_cleaned(&low, one.clone(), "n2: no answer"), one);
    }

    #[test]
    fn a_node_is_told_by_kind_and_application() {
        let mount = SafeText::from_line("/");
        let one = |kind, name: &str, app: Option<&str>, bytes| DiskUse {
            kind,
            name: SafeText::from_line(name),
            app: app.map(SafeText::from_line),
            bytes,
            mount: mount.clone(),
            bytes_a_week: None,
        };
        let mut node = NodeDiskUse {
            node: "n1".into(),
            file_systems: vec![FileSystemUse {
                mount: mount.clone(),
                total: 100 << 30,
                used: 60 << 30,
                free: 40 << 30,
                rest: 0,
                full_in_days: Some(23),
            }],
            uses: vec![
                one(
                    DiskUseKind::Volume,
                    "blog_data",
                    Some("blog"),
                    Some(2 << 30),
                ),
                one(DiskUseKind::Volume, "blog_db", Some("blog"), Some(1 << 30)),
                one(
                    DiskUseKind::Volume,
                    "shop_data",
                    Some("shop"),
                    Some(5 << 30),
                ),
                one(DiskUseKind::Volume, "huge", None, None),
                one(DiskUseKind::ImageUnused, "ghost:4", None, Some(1 << 30)),
                one(DiskUseKind::Journal, "journal", None, Some(1 << 30)),
            ],
            problem: None,
        };
        node.settle();
        assert_eq!(
            format_node(&node),
            [
                "n1           /: 40 GiB free of 100 GiB, full in 23 days",
                "    8.0 GiB  volumes                shop 5.0 GiB, blog 3.0 GiB, 1 not measured, there was no time",
                "    1.0 GiB  images of nobody       1 image: `matou clean` removes them",
                "    1.0 GiB  journal",
                "     50 GiB  the rest",
            ]
        );
    }
}
