//! `matou status`: the picture of the fleet once, as text or JSON.

use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::Result;
use tokio::sync::mpsc;

use super::Exit;
use crate::collect::Collectors;
use crate::model::{Fleet, Link, Node};
use crate::ops::Context;
use crate::outln;
use crate::text::{clean, human_bytes};

/// How long the slowest node is waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// Reads every node once and prints what was found.
pub async fn run(cx: &Context, json: bool) -> Result<ExitCode> {
    let fleet = read(cx).await;
    if json {
        crate::out::json_pretty(&fleet)?;
    } else {
        print(&fleet)?;
    }
    Ok(match fleet.swarm.value() {
        Some(_) => Exit::Done.into(),
        None => Exit::Unreachable.into(),
    })
}

async fn read(cx: &Context) -> Fleet {
    let mut fleet = Fleet::new(&cx.config.fleet.name, cx.nodes.as_model());
    let (updates, mut arriving) = mpsc::channel(64);
    let _collectors = Collectors::start(&cx.nodes, None, None, updates);
    let deadline = tokio::time::sleep(PATIENCE);
    tokio::pin!(deadline);
    while !is_complete(&fleet) {
        tokio::select! {
            update = arriving.recv() => match update {
                Some(update) => fleet.apply(update),
                None => break,
            },
            () = &mut deadline => break,
        }
    }
    fleet
}

fn is_complete(fleet: &Fleet) -> bool {
    let read = |n: &Node| {
        !n.configured
            || matches!(n.link, Link::Down { .. })
            || (n
                .engine
                .read_at()
                .or(n.engine.error().map(|_| Default::default()))
                .is_some()
                && (n.metrics.value().is_some() || n.metrics.error().is_some())
                && (n.volumes.value().is_some() || n.volumes.error().is_some()))
    };
    (fleet.swarm.value().is_some() || fleet.swarm.error().is_some()) && fleet.nodes.iter().all(read)
}

fn print(fleet: &Fleet) -> std::io::Result<()> {
    outln!("{}", fleet.name)?;
    outln!("")?;
    outln!(
        "{:<14} {:<12} {:<8} {:<6} {:>4} {:>4} {:>5}  ENGINE",
        "NODE",
        "STATE",
        "ROLE",
        "AVAIL",
        "MEM",
        "DISK",
        "LOAD"
    )?;
    for node in &fleet.nodes {
        print_node(fleet, node)?;
    }
    outln!("")?;
    let Some(swarm) = fleet.swarm.value() else {
        let reason = fleet.swarm.error().unwrap_or("no manager answered in time");
        return outln!("swarm: not read: {}", clean(reason));
    };
    outln!(
        "{:<20} {:>7}  {:<28} {:<24}",
        "SERVICE",
        "TASKS",
        "IMAGE",
        "DOMAIN"
    )?;
    for service in &swarm.services {
        outln!(
            "{:<20} {:>7}  {:<28} {}",
            clean(&service.name),
            format!("{}/{}", service.running, service.wanted),
            clean(&service.image),
            clean(&service.domains.join(" "))
        )?;
        if service.running < service.wanted {
            let error = fleet
                .tasks(&service.id)
                .filter(|t| !t.error.is_empty())
                .max_by_key(|t| t.since);
            if let Some(task) = error {
                outln!("  {}", clean(&task.error))?;
            }
        }
    }
    if swarm.services.is_empty() {
        outln!("none yet: `matou deploy hello site` deploys a first one")?;
    }
    Ok(())
}

fn print_node(fleet: &Fleet, node: &Node) -> std::io::Result<()> {
    let swarm = fleet.swarm_node(node);
    let state = match (&node.link, swarm) {
        (Link::Down { .. }, _) if node.configured => "unreachable",
        (_, Some(s)) => &s.state,
        (Link::Up, None) => "no swarm",
        (_, None) => "unknown",
    };
    let role = match swarm {
        Some(s) if s.leader => "leader",
        Some(s) if s.role == crate::model::Role::Manager => "manager",
        Some(_) => "worker",
        None => "-",
    };
    let percent = |p: f32| format!("{p:.0}%");
    let metrics = node.metrics.value();
    outln!(
        "{:<14} {:<12} {:<8} {:<6} {:>4} {:>4} {:>5}  {}",
        clean(&node.name),
        clean(state),
        role,
        swarm.map_or("-", |s| s.availability.as_str()),
        metrics.map_or("?".into(), |m| percent(m.memory_percent())),
        metrics.map_or("?".into(), |m| percent(m.disk_percent())),
        metrics.map_or("?".into(), |m| format!("{:.2}", m.load[0])),
        node.engine.value().map_or_else(String::new, |e| format!(
            "Docker {}, {} CPU, {}",
            clean(&e.version),
            e.cpus,
            human_bytes(e.memory)
        )),
    )?;
    let reason = match &node.link {
        Link::Down { reason, .. } => Some(reason.as_str()),
        _ => node.engine.error().or(node.metrics.error()),
    };
    match reason {
        Some(reason) => outln!("  {}", clean(reason)),
        None => Ok(()),
    }
}
