//! `matou intrusions`: what Suricata of each node saw.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::Result;
use jiff::Timestamp;
use serde::Serialize;

use super::Exit;
use crate::collect::read_intrusions;
use crate::errln;
use crate::model::{IntrusionGroup, NodeIntrusions, grouped};
use crate::ops::Context;
use crate::text::{age, clean};
use crate::units::duration;

#[derive(Debug, Args)]
pub struct Options {
    /// Only those of the last so many minutes or hours, as 10m or 2h
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    since: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// As `--json` prints it.
#[derive(Serialize)]
struct Report {
    intrusions: Vec<IntrusionGroup>,
    nodes: Vec<NodeReport>,
}

#[derive(Serialize)]
struct NodeReport {
    node: String,
    /// Older alerts are left out.
    cut: bool,
    problem: Option<String>,
}

/// Lists them, the newest first. A node that can't be asked makes it fail; one without Suricata does
/// not.
pub(super) async fn run(cx: &Context, options: &Options) -> Result<ExitCode> {
    let nodes = read_intrusions(&cx.nodes).await;
    let now = Timestamp::now();
    let ago = |s| now.checked_sub(s).unwrap_or(Timestamp::MIN);
    let groups = grouped(&nodes, options.since.map(ago));
    let written = match options.json {
        true => {
            let nodes = nodes.iter().map(|n| NodeReport {
                node: n.node.clone(),
                cut: n.cut,
                problem: n.problem.clone(),
            });
            let report = Report {
                nodes: nodes.collect(),
                intrusions: groups,
            };
            crate::out::json_pretty(&report)
        }
        false => {
            if groups.is_empty() && nodes.iter().any(|n| n.problem.is_none()) {
                errln!("nothing was seen");
            }
            said(&nodes);
            groups
                .iter()
                .try_for_each(|g| crate::outln!("{}", line(g, now)))
        }
    };
    match written {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => return Err(e.into()),
        _ => {}
    }
    let mut problems = nodes.iter().filter_map(|n| n.problem.as_deref());
    Ok(match problems.any(|p| !p.starts_with("has no Suricata")) {
        true => Exit::Failed.into(),
        false => Exit::Done.into(),
    })
}

/// What is to be known of the nodes.
fn said(nodes: &[NodeIntrusions]) {
    for node in nodes {
        let name = clean(&node.node);
        if let Some(problem) = &node.problem {
            crate::out::note_hanging(format_args!("{name}: {}", clean(problem)));
        }
        if node.cut {
            errln!("{name}: older alerts are left out");
        }
    }
}

fn line(group: &IntrusionGroup, now: Timestamp) -> String {
    let last = age(now, group.last);
    let (count, severity, source) = (group.count, group.severity, group.source);
    let nodes = group.nodes.join(",");
    let detail = group.detail.as_deref().unwrap_or("");
    let text = format!(
        "{last:<7} {count:>5}  {severity}  {source:<22} {:<36} {nodes:<12} {detail}",
        group.signature
    );
    clean(text.trim_end()).into_owned()
}
