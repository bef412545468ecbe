//! `matou intrusions`: what Suricata of each node saw.

use matou_i18n::tr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::Result;
use jiff::Timestamp;
use serde::Serialize;

use super::Exit;
use matou_base::errln;
use matou_base::text::{clean_line, format_age};
use matou_base::units::parse_human_duration;
use matou_collect::read_intrusions;
use matou_model::{IntrusionGroup, NodeIntrusions, NodeProblem, group_intrusions};
use matou_ops::FleetContext;

#[derive(Debug, Args)]
pub(crate) struct IntrusionOptions {
    /// Only those of the last so many minutes or hours, as 10m or 2h
    #[arg(long, value_parser = parse_human_duration, value_name = "DURATION")]
    since: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl IntrusionOptions {
    /// Whether JSON is printed.
    pub(super) fn wants_json(&self) -> bool {
        self.json
    }
}

/// As `--json` prints it.
#[derive(Serialize)]
struct IntrusionReport {
    intrusions: Vec<IntrusionGroup>,
    nodes: Vec<NodeIntrusionReport>,
}

#[derive(Serialize)]
struct NodeIntrusionReport {
    node: String,
    /// Older alerts are left out.
    cut: bool,
    problem: Option<NodeProblem>,
}

/// Carries out `matou intrusions`: prints the alerts, the newest first. Fails when a node can't be
/// asked; a node without Suricata is no failure.
pub(super) async fn run_intrusions_command(
    fleet: &FleetContext,
    options: &IntrusionOptions,
) -> Result<ExitCode> {
    let nodes = read_intrusions(&fleet.nodes).await;
    let now = Timestamp::now();
    let ago = |s| now.checked_sub(s).unwrap_or(Timestamp::MIN);
    let groups = group_intrusions(&nodes, options.since.map(ago));
    let written = match options.json {
        true => {
            let nodes = nodes.iter().map(|n| NodeIntrusionReport {
                node: n.node.clone(),
                cut: n.cut,
                problem: n.problem.clone(),
            });
            let report = IntrusionReport {
                nodes: nodes.collect(),
                intrusions: groups,
            };
            matou_base::out::print_json_pretty(&matou_base::out::WithFormat::new(&report))
        }
        false => {
            if groups.is_empty() && nodes.iter().any(|n| n.problem.is_none()) {
                errln!("{}", tr!("nothing was seen"));
            }
            print_node_problems(&nodes);
            groups
                .iter()
                .try_for_each(|g| matou_base::outln!("{}", format_intrusion_group(g, now)))
        }
    };
    match written {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => return Err(e.into()),
        _ => {}
    }
    let problems = nodes.iter().map(|n| n.problem.as_ref());
    Ok(Exit::of_nodes(problems).into())
}

/// Prints the problems of nodes, and where alerts are left out.
fn print_node_problems(nodes: &[NodeIntrusions]) {
    for node in nodes {
        let name = clean_line(&node.node);
        if let Some(problem) = &node.problem {
            matou_base::out::note_hanging(format_args!("{name}: {}", clean_line(problem.as_str())));
        }
        if node.cut {
            errln!("{}", tr!("{name}: older alerts are left out"));
        }
    }
}

fn format_intrusion_group(group: &IntrusionGroup, now: Timestamp) -> String {
    let last = format_age(now, group.last);
    let (count, severity, source) = (group.count, group.severity, group.source);
    let nodes = group.nodes.join(",");
    let detail = group.detail.as_deref().unwrap_or("");
    let text = format!(
        "{last:<7} {count:>5}  {severity}  {source:<22} {:<36} {nodes:<12} {detail}",
        group.signature
    );
    clean_line(text.trim_end()).into_owned()
}
