//! Nodes that are lost or loaded, and the managers' majority.

use super::{AlertInputs, AlertKind, AlertSeverity, AlertTarget, Finding, Remedy};
use matou_i18n::tr;
use matou_model::{Disk, Metrics, Node, NodeLink, NodeState, Reachability, Role, Swarm};

/// A load must fall this many percent below its limit to be no longer high, so that an alert does
/// not come and go.
const MARGIN: f32 = 5.0;

pub(super) fn add_node_findings(inputs: AlertInputs<'_>, node: &Node, found: &mut Vec<Finding>) {
    let base = |sort: &str, kind, severity, why: String| Finding {
        key: format!("node/{}/{sort}", node.name),
        kind,
        severity,
        what: node.name.clone(),
        why,
        since: None,
        target: AlertTarget::Node(node.name.clone()),
        remedy: Remedy::Shell,
        near: false,
    };
    if let NodeLink::Down { reason, since } = &node.link
        && node.configured
    {
        found.push(Finding {
            since: Some(*since),
            remedy: Remedy::NodeMenu,
            ..base(
                "link",
                AlertKind::Unreachable,
                AlertSeverity::Critical,
                reason.clone(),
            )
        });
    } else if let Some(reason) = node.engine.error() {
        let why = reason.to_owned();
        found.push(base(
            "engine",
            AlertKind::Unreachable,
            AlertSeverity::Critical,
            why,
        ));
    }
    if let Some(seen) = inputs.fleet.find_swarm_node(node)
        && seen.state != NodeState::Ready
    {
        let why = match seen.message.as_str() {
            "" => tr!("the swarm sees it {}", seen.state.word()),
            message => tr!("the swarm sees it {}: {message}", seen.state.word()),
        };
        found.push(Finding {
            remedy: Remedy::NodeMenu,
            ..base("swarm", AlertKind::NodeDown, AlertSeverity::Critical, why)
        });
    }
    add_load_findings(inputs, node, &base, found);
}

fn add_load_findings(
    inputs: AlertInputs<'_>,
    node: &Node,
    base: &dyn Fn(&str, AlertKind, AlertSeverity, String) -> Finding,
    found: &mut Vec<Finding>,
) {
    let Some(m) = node.metrics.value() else {
        return;
    };
    let limits = inputs.limits;
    for (sort, kind, value, limit) in [
        ("CPU", AlertKind::Cpu, m.cpu, limits.cpu),
        (
            "memory",
            AlertKind::Memory,
            m.memory_percent(),
            limits.memory,
        ),
    ] {
        if let Some((near, why)) = find_high_load(node, value, limit) {
            let why = match kind {
                AlertKind::Memory => tr!("memory {why}"),
                _ => format!("{sort} {why}"),
            };
            found.push(Finding {
                near,
                ..base(
                    &sort.to_ascii_lowercase(),
                    kind,
                    AlertSeverity::Warning,
                    why,
                )
            });
        }
    }
    add_disk_findings(inputs, (node, m), base, found);
}

/// Returns whether a load is only near its limit, and the reason; `None` well below it.
fn find_high_load(node: &Node, value: f32, limit: u8) -> Option<(bool, String)> {
    let limit = f32::from(limit);
    let near = value < limit || node.metrics.is_stale();
    let why = tr!("at {value:.0} %; {limit:.0} % is the limit");
    (value >= limit - MARGIN).then_some((near, why))
}

/// Finds disks that are full, or will be.
fn add_disk_findings(
    inputs: AlertInputs<'_>,
    (node, m): (&Node, &Metrics),
    base: &dyn Fn(&str, AlertKind, AlertSeverity, String) -> Finding,
    found: &mut Vec<Finding>,
) {
    let limits = inputs.limits;
    let root = Disk {
        mount: "/".into(),
        used: m.disk_used,
        total: m.disk_total,
    };
    let others = node.disks.iter().filter(|d| d.mount != "/");
    for disk in std::iter::once(&root).chain(others) {
        let (what, sort, place) = match disk.mount.as_str() {
            "/" => (tr!("disk").into(), "disk".to_owned(), node.name.clone()),
            mount => (
                tr!("disk {mount}"),
                format!("disk{mount}"),
                disk_trend_key(&node.name, mount),
            ),
        };
        let full = find_high_load(node, disk.used_percent(), limits.disk);
        let begins = matches!(&full, Some((false, _)));
        if let Some((near, why)) = full {
            let why = format!("{what} {why}");
            found.push(Finding {
                near,
                ..base(&sort, AlertKind::Disk, AlertSeverity::Critical, why)
            });
        }
        let hours = inputs.trends.hours_to_full(&place, disk.total, inputs.now);
        if let Some(hours) = hours
            && !begins
            && hours <= f64::from(limits.disk_full_hours)
        {
            let left = match hours {
                h if h < 1.0 => format!("{:.0} min", h * 60.0),
                h => format!("{h:.0} h"),
            };
            let why = tr!(
                "the {what} will be full in {left}, as it fills now; {:.0} % are in use",
                disk.used_percent()
            );
            let sort = format!("{sort}-trend");
            found.push(base(
                &sort,
                AlertKind::DiskTrend,
                AlertSeverity::Warning,
                why,
            ));
        }
    }
}

/// Returns the key of a node's disk in `DiskTrends`.
pub fn disk_trend_key(node: &str, mount: &str) -> String {
    format!("{node} {mount}")
}

/// Finds whether the managers have lost their majority, or would with the next one that fails.
pub(super) fn add_quorum_finding(swarm: &Swarm, found: &mut Vec<Finding>) {
    let managers = || swarm.nodes.iter().filter(|n| n.role == Role::Manager);
    let all = managers().count();
    let reachable = managers()
        .filter(|n| n.reachability == Reachability::Reachable)
        .count();
    let majority = all / 2 + 1;
    if all < 2 || reachable > majority {
        return;
    }
    let (severity, why) = if reachable < majority {
        (
            AlertSeverity::Critical,
            tr!(
                "{reachable} of {all} managers are reachable, {majority} are needed: the swarm can't be changed"
            ),
        )
    } else if reachable < all {
        (
            AlertSeverity::Critical,
            tr!(
                "{reachable} of {all} managers are reachable: when another one is lost, the swarm can't be changed"
            ),
        )
    } else {
        (
            AlertSeverity::Warning,
            tr!("{all} managers stand the loss of none: make it {}", all + 1),
        )
    };
    // With three of three there is one to spare.
    if reachable == all && all > 2 {
        return;
    }
    let lost = managers().find(|n| n.reachability != Reachability::Reachable);
    let about = lost.or_else(|| managers().next());
    found.push(Finding {
        key: "swarm/quorum".into(),
        kind: AlertKind::Quorum,
        severity,
        what: tr!("quorum").into(),
        why,
        since: None,
        target: about.map_or(AlertTarget::Fleet, |n| {
            AlertTarget::Node(n.hostname.clone())
        }),
        remedy: Remedy::NodeMenu,
        near: false,
    });
}
