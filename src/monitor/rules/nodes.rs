//! Nodes that are lost or loaded, and the managers' majority.

use super::{Facts, Finding, Kind, Severity};
use crate::model::{Disk, Link, Node, Role, Swarm};

/// Below its limit by this many percent, a load is no longer high: it does not come and go.
const MARGIN: f32 = 5.0;

pub(super) fn node(facts: Facts<'_>, node: &Node, found: &mut Vec<Finding>) {
    let base = |sort: &str, kind, severity, why: String| Finding {
        key: format!("node/{}/{sort}", node.name),
        kind,
        severity,
        what: node.name.clone(),
        why,
        since: None,
        row: format!("node/{}", node.name),
        cure: "shell",
        near: false,
    };
    if let Link::Down { reason, since } = &node.link
        && node.configured
    {
        found.push(Finding {
            since: Some(*since),
            cure: "node-menu",
            ..base(
                "link",
                Kind::Unreachable,
                Severity::Critical,
                reason.clone(),
            )
        });
    } else if let Some(reason) = node.engine.error() {
        let why = reason.to_owned();
        found.push(base("engine", Kind::Unreachable, Severity::Critical, why));
    }
    if let Some(seen) = facts.fleet.swarm_node(node)
        && seen.state != "ready"
    {
        let why = match seen.message.as_str() {
            "" => format!("the swarm sees it {}", seen.state),
            message => format!("the swarm sees it {}: {message}", seen.state),
        };
        found.push(Finding {
            cure: "node-menu",
            ..base("swarm", Kind::NodeDown, Severity::Critical, why)
        });
    }
    load(facts, node, &base, found);
}

fn load(
    facts: Facts<'_>,
    node: &Node,
    base: &dyn Fn(&str, Kind, Severity, String) -> Finding,
    found: &mut Vec<Finding>,
) {
    let Some(m) = node.metrics.value() else {
        return;
    };
    let limits = facts.limits;
    let high = |value: f32, limit: u8| {
        let limit = f32::from(limit);
        let near = value < limit || node.metrics.is_stale();
        let why = format!("at {value:.0} %; {limit:.0} % is the limit");
        (value >= limit - MARGIN).then_some((near, why))
    };
    for (sort, kind, value, limit) in [
        ("CPU", Kind::Cpu, m.cpu, limits.cpu),
        ("memory", Kind::Memory, m.memory_percent(), limits.memory),
    ] {
        if let Some((near, why)) = high(value, limit) {
            let why = format!("{sort} {why}");
            found.push(Finding {
                near,
                ..base(&sort.to_ascii_lowercase(), kind, Severity::Warning, why)
            });
        }
    }
    let root = Disk {
        mount: "/".into(),
        used: m.disk_used,
        total: m.disk_total,
    };
    let others = node.disks.iter().filter(|d| d.mount != "/");
    for disk in std::iter::once(&root).chain(others) {
        let (what, sort, place) = match disk.mount.as_str() {
            "/" => ("disk".into(), "disk".to_owned(), node.name.clone()),
            mount => (
                format!("disk {mount}"),
                format!("disk{mount}"),
                place(&node.name, mount),
            ),
        };
        let full = high(disk.percent(), limits.disk);
        let begins = matches!(&full, Some((false, _)));
        if let Some((near, why)) = full {
            let why = format!("{what} {why}");
            found.push(Finding {
                near,
                ..base(&sort, Kind::Disk, Severity::Critical, why)
            });
        }
        let hours = facts.trends.hours_to_full(&place, disk.total, facts.now);
        if let Some(hours) = hours
            && !begins
            && hours <= f64::from(limits.disk_full_hours)
        {
            let left = match hours {
                h if h < 1.0 => format!("{:.0} min", h * 60.0),
                h => format!("{h:.0} h"),
            };
            let why = format!(
                "the {what} will be full in {left}, as it fills now; {:.0} % are in use",
                disk.percent()
            );
            let sort = format!("{sort}-trend");
            found.push(base(&sort, Kind::DiskTrend, Severity::Warning, why));
        }
    }
}

/// The name of a node's disk among the trends.
pub fn place(node: &str, mount: &str) -> String {
    format!("{node} {mount}")
}

/// Managers decide by majority: what is left when another one fails.
pub(super) fn quorum(swarm: &Swarm, found: &mut Vec<Finding>) {
    let managers = || swarm.nodes.iter().filter(|n| n.role == Role::Manager);
    let all = managers().count();
    let reachable = managers().filter(|n| n.reachability == "reachable").count();
    let majority = all / 2 + 1;
    if all < 2 || reachable > majority {
        return;
    }
    let (severity, why) = if reachable < majority {
        (
            Severity::Critical,
            format!(
                "{reachable} of {all} managers are reachable, {majority} are needed: the swarm can't be changed"
            ),
        )
    } else if reachable < all {
        (
            Severity::Critical,
            format!(
                "{reachable} of {all} managers are reachable: when another one is lost, the swarm can't be changed"
            ),
        )
    } else {
        (
            Severity::Warning,
            format!("{all} managers stand the loss of none: make it {}", all + 1),
        )
    };
    // With three of three there is one to spare.
    if reachable == all && all > 2 {
        return;
    }
    let lost = managers().find(|n| n.reachability != "reachable");
    let row = lost.or_else(|| managers().next());
    found.push(Finding {
        key: "swarm/quorum".into(),
        kind: Kind::Quorum,
        severity,
        what: "quorum".into(),
        why,
        since: None,
        row: row.map_or_else(String::new, |n| format!("node/{}", n.hostname)),
        cure: "node-menu",
        near: false,
    });
}
