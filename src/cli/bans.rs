//! `matou bans`: what fail2ban of each node shuts out.

use matou_i18n::tr;
use std::process::ExitCode;

use color_eyre::eyre::Result;
use jiff::Timestamp;

use super::Exit;
use matou_base::text::{clean_line, format_age};
use matou_collect::read_all_bans;
use matou_model::{Ban, NodeBans};
use matou_ops::FleetContext;

/// Carries out `matou bans`: prints them. Fails when a node can't be asked; a node without fail2ban
/// is no failure.
pub(super) async fn run_bans_command(fleet: &FleetContext, json: bool) -> Result<ExitCode> {
    let nodes = read_all_bans(&fleet.nodes).await;
    let written = match json {
        true => matou_base::out::print_json_pretty(&nodes),
        false => {
            let mut lines = nodes
                .iter()
                .flat_map(|n| format_node_bans(n, Timestamp::now()));
            lines.try_for_each(|line| matou_base::outln!("{line}"))
        }
    };
    match written {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => return Err(e.into()),
        _ => {}
    }
    let problems = nodes.iter().map(|n| n.problem.as_ref());
    Ok(Exit::of_nodes(problems).into())
}

fn format_node_bans(node: &NodeBans, now: Timestamp) -> Vec<String> {
    let name = clean_line(&node.node);
    match &node.problem {
        Some(problem) => return vec![format!("{name:<12} {}", clean_line(problem.as_str()))],
        None if node.bans.is_empty() => return vec![tr!("{name:<12} nobody is banned")],
        None => {}
    }
    let line = |ban: &Ban| {
        let since = ban.since.map_or("?".to_owned(), |t| format_age(now, t));
        let until = ban.until.map_or(tr!("for good").to_owned(), |t| {
            tr!("until {}", t.strftime("%Y-%m-%d %H:%M UTC"))
        });
        let (address, jail) = (&ban.address, &ban.jail);
        tr!("{name:<12} {address:<39} {jail:<14} since {since}, {until}")
    };
    node.bans.iter().map(line).collect()
}
