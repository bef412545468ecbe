//! Nodes that the night could not bring above the floor of `[room]`, and applications near the end of their
//! budgets.

use super::{AlertInputs, AlertKind, AlertSeverity, AlertTarget, Finding, Remedy};
use matou_base::text::{format_ago, human_bytes};
use matou_i18n::tr;
use matou_model::{AppRoom, DiskBudget, NightClean};

/// Percent of a budget from which on it is told.
const WARNING: u128 = 80;

/// Percent from which on it is critical.
const CRITICAL: u128 = 100;

pub(super) fn add_room_findings(inputs: AlertInputs<'_>, found: &mut Vec<Finding>) {
    let Some(sizes) = inputs.fleet.sizes.value() else {
        return;
    };
    for (node, kept) in &sizes.nodes {
        found.extend(kept.find_low().map(|clean| low_finding(node, clean)));
    }
    let swarm = inputs.fleet.swarm.value();
    for (app, budget) in swarm.iter().flat_map(|s| s.list_budgets()) {
        if let Some(room) = sizes.find_app(app) {
            found.extend(budget_finding(inputs, app, budget, room));
        }
    }
}

fn low_finding(node: &str, clean: &NightClean) -> Finding {
    let (after, floor) = (human_bytes(clean.after), human_bytes(clean.floor));
    let why = match &clean.problem {
        None => tr!(
            "{} of {}: after the nightly cleaning {after} are free, {floor} are to be: `matou room {node}` tells what fills it",
            tr!("disk"),
            clean.mount
        ),
        Some(problem) => tr!("the nightly cleaning failed: {problem}"),
    };
    Finding {
        key: format!("node/{node}/floor"),
        kind: AlertKind::Floor,
        severity: AlertSeverity::Warning,
        what: node.to_owned(),
        why,
        since: Some(clean.at),
        target: AlertTarget::Node(node.to_owned()),
        remedy: Remedy::Shell,
        near: false,
    }
}

fn budget_finding(
    inputs: AlertInputs<'_>,
    app: &str,
    budget: DiskBudget,
    room: AppRoom,
) -> Option<Finding> {
    let percent = u128::from(room.bytes) * 100 / u128::from(budget.bytes.max(1));
    let severity = match percent {
        ..WARNING => return None,
        WARNING..CRITICAL => AlertSeverity::Warning,
        _ => AlertSeverity::Critical,
    };
    let (bytes, all) = (human_bytes(room.bytes), human_bytes(budget.bytes));
    let measured = format_ago(inputs.now, room.at);
    let why = match budget.enforce {
        true => tr!(
            "its volumes take {bytes}, {percent} % of its budget of {all} (measured {measured}); where the storage enforces it, writing fails at all of it: `matou budget {app} SIZE` gives it more"
        ),
        false => tr!(
            "its volumes take {bytes}, {percent} % of its budget of {all} (measured {measured}): `matou budget {app} SIZE` gives it more"
        ),
    };
    Some(Finding {
        key: format!("app/{app}/budget"),
        kind: AlertKind::Budget,
        severity,
        what: app.to_owned(),
        why,
        since: None,
        target: AlertTarget::App(app.to_owned()),
        remedy: Remedy::Services,
        near: false,
    })
}
