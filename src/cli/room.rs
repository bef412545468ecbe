//! `matou room`: what fills the disks of the nodes.

use std::collections::BTreeMap;
use std::process::ExitCode;

use color_eyre::eyre::Result;

use super::Exit;
use matou_base::text::{SafeText, clean_line, format_plural, human_bytes};
use matou_model::{DiskUse, DiskUseKind, FileSystemUse, NodeDiskUse};
use matou_ops::FleetContext;

/// Applications that a line names.
const NAMED_APPS: usize = 4;

/// Shown under `matou room --help`.
pub(super) const HELP: &str = "Sizes are what is on the disk, as du and the engine count; free and total are those of df. What takes longer than two minutes to be measured is said to be left out.

Examples:
  matou room
  matou room n2 --json | jq -r '.[].uses[] | select(.bytes > 1000000000) | \"\\(.kind) \\(.name)\"'";

/// Carries out `matou room`: prints what takes room. Fails when a node can't be asked.
pub(super) async fn run_room_command(
    fleet: &FleetContext,
    nodes: &[String],
    json: bool,
) -> Result<ExitCode> {
    let found = matou_ops::read_disk_use(fleet, nodes).await?;
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
    let problems = found.iter().map(|n| n.problem.as_ref());
    Ok(Exit::of_nodes(problems).into())
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
    let mut lines = vec![format!("{name:<12} {}: {free} free of {total}", on.mount)];
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
    lines.push(format!("  {:>9}  the rest", human_bytes(on.rest)));
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
            said.push(format_plural(uses.len(), "image"));
        }
        DiskUseKind::ImageUnused => {
            let count = format_plural(uses.len(), "image");
            said.push(format!("{count}: `matou clean` removes them"));
        }
        DiskUseKind::BuildCache => said.push("`matou clean` removes it".into()),
        _ if by_app.keys().any(Option::is_some) => {
            let mut apps: Vec<_> = by_app.into_iter().filter(|(_, size)| *size > 0).collect();
            apps.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
            let more = apps.len().saturating_sub(NAMED_APPS);
            said.extend(apps.iter().take(NAMED_APPS).map(|(app, size)| {
                let app = app.map_or("no application", SafeText::as_str);
                format!("{app} {}", human_bytes(*size))
            }));
            if more > 0 {
                said.push(format!("{more} more"));
            }
        }
        _ => {}
    }
    if late > 0 {
        said.push(format!("{late} not measured, there was no time"));
    }
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_told_by_kind_and_application() {
        let mount = SafeText::from_line("/");
        let one = |kind, name: &str, app: Option<&str>, bytes| DiskUse {
            kind,
            name: SafeText::from_line(name),
            app: app.map(SafeText::from_line),
            bytes,
            mount: mount.clone(),
        };
        let mut node = NodeDiskUse {
            node: "n1".into(),
            file_systems: vec![FileSystemUse {
                mount: mount.clone(),
                total: 100 << 30,
                used: 60 << 30,
                free: 40 << 30,
                rest: 0,
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
                "n1           /: 40 GiB free of 100 GiB",
                "    8.0 GiB  volumes                shop 5.0 GiB, blog 3.0 GiB, 1 not measured, there was no time",
                "    1.0 GiB  images of nobody       1 image: `matou clean` removes them",
                "    1.0 GiB  journal",
                "     50 GiB  the rest",
            ]
        );
    }
}
