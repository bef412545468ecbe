//! `matou status`: the picture of the fleet once, as text or JSON.

use matou_i18n::tr;
use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::Result;
use tokio::sync::mpsc;

use super::Exit;
use jiff::Timestamp;
use matou_base::out::WithFormat;
use matou_base::outln;
use matou_base::text::{SafeText, clean_line, human_bytes};
use matou_collect::{Collectors, NameCache, read_volume_sizes};
use matou_model::{Datum, Fleet, Node, NodeLink, Service, TaskCount, Update};
use matou_ops::FleetContext;

/// How long the slowest node is waited for.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Carries out `matou status`: reads every node once and prints the fleet.
pub(crate) async fn run_status_command(cx: &FleetContext, json: bool) -> Result<ExitCode> {
    let fleet = match json {
        true => {
            let (mut fleet, sizes) = tokio::join!(read_fleet_once(cx), read_sizes(cx));
            fleet.apply(sizes);
            fleet
        }
        false => read_fleet_once(cx).await,
    };
    if json {
        matou_base::out::print_json_pretty(&WithFormat::new(&fleet))?;
    } else {
        print_fleet(&fleet)?;
        warn_without_config(cx);
    }
    Ok(match fleet.swarm.value() {
        Some(_) => Exit::Done.into(),
        None => Exit::Unreachable.into(),
    })
}

/// Says that no config.toml was found, where this machine alone was looked at.
pub(super) fn warn_without_config(cx: &FleetContext) {
    if cx.config.path.is_none() {
        matou_base::errln!(
            "{}",
            tr!(
                "no config.toml was found: this machine alone is the fleet. `--config FILE` names one, `matou init` writes one"
            )
        );
    }
}

/// Reads every node and the swarm once; waits for the slowest as long as [`READ_TIMEOUT`].
pub(super) async fn read_fleet_once(cx: &FleetContext) -> Fleet {
    let mut fleet = Fleet::new(&cx.config.fleet.name, cx.nodes.as_model());
    let (updates, mut arriving) = mpsc::channel(64);
    let _collectors = Collectors::start(&cx.nodes, None, None, updates);
    let deadline = tokio::time::sleep(READ_TIMEOUT);
    tokio::pin!(deadline);
    while !is_fleet_read(&fleet) {
        tokio::select! {
            update = arriving.recv() => match update {
                Some(update) => fleet.apply(update),
                None => break,
            },
            () = &mut deadline => break,
        }
    }
    if let Some(swarm) = fleet.swarm.value() {
        NameCache::of_config(&cx.config).keep_swarm(swarm);
    }
    fleet
}

/// Reads what is kept of the sizes of volumes; that they were never measured is no error.
async fn read_sizes(cx: &FleetContext) -> Update {
    let reading = read_volume_sizes(&cx.config, &cx.nodes);
    let reading = tokio::time::timeout(READ_TIMEOUT, reading).await;
    let reading = match reading {
        Ok(read) => read.map_err(SafeText::of),
        Err(_) => Err(SafeText::of(tr!("the storage node did not answer in time"))),
    };
    Update {
        at: Timestamp::now(),
        datum: Datum::VolumeSizes(reading),
    }
}

fn is_fleet_read(fleet: &Fleet) -> bool {
    let read = |n: &Node| {
        !n.configured
            || matches!(n.link, NodeLink::Down { .. })
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

fn print_fleet(fleet: &Fleet) -> std::io::Result<()> {
    outln!("{}", fleet.name)?;
    outln!("")?;
    outln!(
        "{}",
        tr!(
            "{:<14} {:<12} {:<8} {:<6} {:>4} {:>4} {:>5}  ENGINE",
            tr!("NODE"),
            tr!("STATE"),
            tr!("ROLE"),
            tr!("AVAIL"),
            "MEM",
            tr!("DISK"),
            tr!("LOAD")
        )
    )?;
    for node in &fleet.nodes {
        print_node_status(fleet, node)?;
    }
    outln!("")?;
    let Some(swarm) = fleet.swarm.value() else {
        let reason = fleet
            .swarm
            .error()
            .unwrap_or(tr!("no manager answered in time"));
        return outln!("{}", tr!("swarm: not read: {}", clean_line(reason)));
    };
    let count = |service| TaskCount::of([service]).to_string();
    let widest = swarm.services.iter().map(|s| count(s).len()).max();
    let columns = widest.unwrap_or_default().max(7);
    outln!(
        "{:<20} {:>columns$}  {:<28} {:<24}",
        "SERVICE",
        tr!("TASKS"),
        "IMAGE",
        tr!("DOMAIN")
    )?;
    for service in &swarm.services {
        print_service(fleet, service, columns)?;
    }
    for page in &swarm.pages {
        outln!(
            "{}",
            tr!(
                "{}: visitors see the page {}",
                clean_line(&page.app),
                clean_line(&page.describe())
            )
        )?;
        if !page.trouble.is_empty() && page.running == 0 {
            outln!("  {}", clean_line(&page.trouble))?;
        }
    }
    if swarm.services.is_empty() {
        outln!(
            "{}",
            tr!("none yet: `matou deploy hello site` deploys a first one")
        )?;
    }
    Ok(())
}

/// Prints a service, and what its tasks fail of.
fn print_service(fleet: &Fleet, service: &Service, columns: usize) -> std::io::Result<()> {
    outln!(
        "{:<20} {:>columns$}  {:<28} {}",
        clean_line(&service.name),
        TaskCount::of([service]).to_string(),
        clean_line(&service.image),
        clean_line(&service.domains.join(" "))
    )?;
    if let Some(job) = service
        .job
        .as_ref()
        .filter(|job| job.goes_on() || job.failed > 0)
    {
        outln!("  {}", clean_line(&job.to_string()))?;
    }
    if service.lacks_tasks() {
        let error = fleet
            .tasks_of_service(&service.id)
            .filter(|t| t.has_failed() || !t.error.is_empty())
            .max_by_key(|t| t.since);
        if let Some(task) = error {
            outln!("  {}", clean_line(task.failure_reason()))?;
        }
    }
    Ok(())
}

/// Whether the node may well be in the swarm, which only managers can tell, and none did.
fn is_of_unread_swarm(fleet: &Fleet, node: &Node) -> bool {
    let engine = node.engine.value();
    fleet.swarm.value().is_none() && engine.is_none_or(|e| !e.swarm_node_id.is_empty())
}

fn print_node_status(fleet: &Fleet, node: &Node) -> std::io::Result<()> {
    let swarm = fleet.find_swarm_node(node);
    let state = match (&node.link, swarm) {
        (NodeLink::Down { .. }, _) if node.configured => tr!("unreachable"),
        (_, Some(s)) => s.state.word(),
        // Of another manager's swarm, or of the one that can't be read now.
        (NodeLink::Up, None) if is_of_unread_swarm(fleet, node) => tr!("unknown"),
        (NodeLink::Up, None) => tr!("no swarm"),
        (_, None) => tr!("unknown"),
    };
    let role = match swarm {
        Some(s) if s.leader => "leader",
        Some(s) if s.role == matou_model::Role::Manager => "manager",
        Some(_) => "worker",
        None => "-",
    };
    let percent = |p: f32| format!("{p:.0}%");
    let metrics = node.metrics.value();
    outln!(
        "{:<14} {:<12} {:<8} {:<6} {:>4} {:>4} {:>5}  {}",
        clean_line(&node.name),
        clean_line(state),
        role,
        swarm.map_or("-", |s| s.availability.word()),
        metrics.map_or("?".into(), |m| percent(m.memory_percent())),
        metrics.map_or("?".into(), |m| percent(m.disk_percent())),
        metrics.map_or("?".into(), |m| format!("{:.2}", m.load[0])),
        node.engine.value().map_or_else(String::new, |e| format!(
            "Docker {}, {} CPU, {}",
            clean_line(&e.version),
            e.cpus,
            human_bytes(e.memory)
        )),
    )?;
    let reason = match &node.link {
        NodeLink::Down { reason, .. } => Some(reason.as_str()),
        _ => node.engine.error().or(node.metrics.error()),
    };
    match reason {
        Some(reason) => outln!("  {}", clean_line(reason)),
        None => Ok(()),
    }
}
