//! What provisioning and an audit say of a node.

use super::page::DetailPage;
use super::page::format_since;
use crate::keymap::Action;
use crate::state::App;
use crate::theme::Health;
use matou_base::text::human_bytes;
use matou_job::{ChangeKind, Check, StepPlan};
use matou_model::Node;
use matou_provision::audit::NodeAudit;

/// The steps of a node's plan.
fn node_plan_steps<'a>(app: &'a App, node: &str) -> Option<Vec<&'a StepPlan>> {
    let plan = app.comparison.as_ref()?.plan.as_ref().ok()?;
    let found = plan
        .steps_by_node()
        .into_iter()
        .find(|(name, _)| *name == node);
    found.map(|(_, steps)| steps)
}

/// Counts the lines of a node's plan by their sign, as in `12 = 1 ~`.
pub(super) fn format_drift(app: &App, node: &str) -> Option<String> {
    let steps = node_plan_steps(app, node)?;
    let mut counts = [0; 6];
    for step in steps {
        match &step.check {
            Ok(Check::Done(lines) | Check::Change(lines)) => {
                for line in lines {
                    counts[match line.kind {
                        ChangeKind::Same => 0,
                        ChangeKind::Add => 1,
                        ChangeKind::Modify => 2,
                        ChangeKind::Remove => 3,
                        ChangeKind::Decide => 4,
                    }] += 1;
                }
            }
            Ok(Check::Unknown(_)) => counts[5] += 1,
            Err(_) => counts[4] += 1,
        }
    }
    let words: Vec<String> = counts
        .into_iter()
        .zip([
            "as wanted",
            "to add",
            "to change",
            "to remove",
            "to decide",
            "not known yet",
        ])
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    Some(words.join(", "))
}

/// Returns whether a node is known to differ from config.toml.
pub(super) fn differs_from_config(app: &App, node: &str) -> bool {
    let steps = node_plan_steps(app, node).unwrap_or_default();
    steps
        .iter()
        .any(|s| matches!(&s.check, Ok(Check::Change(lines)) if lines.iter().any(|l| l.kind != ChangeKind::Same)))
}

pub(super) fn node_plan_detail(
    app: &App,
    node: &Node,
    columns: usize,
    page: DetailPage,
) -> DetailPage {
    let theme = app.theme;
    let Some(checked) = &app.comparison else {
        return page.text(COMPARING);
    };
    if let Err(why) = &checked.plan {
        return page.wrapped_text(why, columns, theme.removed());
    }
    let Some(steps) = node_plan_steps(app, &node.name) else {
        return page.text("config.toml does not name this node: there is nothing to compare.");
    };
    let mut page = page
        .field("compared", &format_since(app, checked.at))
        .field(
            "in short",
            &format_drift(app, &node.name).unwrap_or_default(),
        )
        .text("p makes it so.");
    let mut last = "";
    for step in steps {
        if step.step != last {
            page = page.blank_line().heading(&step.step);
            last = &step.step;
        }
        page = match &step.check {
            Ok(Check::Done(lines) | Check::Change(lines)) => {
                lines.iter().fold(page, |page, line| {
                    let style = match line.kind {
                        ChangeKind::Same => theme.dim(),
                        ChangeKind::Add => theme.added(),
                        ChangeKind::Modify => theme.changed(),
                        ChangeKind::Remove | ChangeKind::Decide => theme.removed(),
                    };
                    page.wrapped_text(&line.to_string(), columns, style)
                })
            }
            Ok(Check::Unknown(why)) => page.wrapped_text(&format!("? {why}"), columns, theme.dim()),
            Err(why) => page.wrapped_text(&format!("! {why}"), columns, theme.removed()),
        };
    }
    page
}

const COMPARING: &str = "Comparing the servers with config.toml.";

/// Finds the node's audit. Returns a page that says why there is none as error.
fn find_node_audit<'a>(
    app: &'a App,
    node: &Node,
    columns: usize,
    page: DetailPage,
) -> Result<(&'a NodeAudit, DetailPage), DetailPage> {
    let Some(checked) = &app.comparison else {
        return Err(page.text(COMPARING));
    };
    match checked.audits.iter().find(|(name, _)| *name == node.name) {
        Some((_, Ok(audit))) => Ok((
            audit,
            page.field("looked at", &format_since(app, checked.at)),
        )),
        Some((_, Err(why))) => Err(page.wrapped_text(why, columns, app.theme.removed())),
        None => Err(page.text("config.toml does not name this node: it can't be looked at.")),
    }
}

pub(super) fn node_storage_detail(
    app: &App,
    node: &Node,
    columns: usize,
    page: DetailPage,
) -> DetailPage {
    let (audit, page) = match find_node_audit(app, node, columns, page) {
        Ok(found) => found,
        Err(page) => return page,
    };
    let theme = app.theme;
    let plain = ratatui::style::Style::new();
    let mut page = page.blank_line().heading("File systems");
    for space in &audit.spaces {
        let percent = space.used_percent();
        let health = match percent {
            p if p >= u64::from(app.thresholds.disk) => Health::Bad,
            p if p + 10 >= u64::from(app.thresholds.disk) => Health::Partly,
            _ => Health::Good,
        };
        page = page.cell_row(vec![
            (space.mount.clone(), 26, plain),
            (format!("{percent} %"), 6, theme.health_style(health)),
            (
                format!(
                    "{} of {} free",
                    human_bytes(space.free),
                    human_bytes(space.size)
                ),
                0,
                theme.dim(),
            ),
        ]);
    }
    if !audit.groups.is_empty() {
        page = page.blank_line().heading("Volume groups");
    }
    for group in &audit.groups {
        let free = format!(
            "{} of {} not used yet",
            human_bytes(group.free),
            human_bytes(group.size)
        );
        page = page.cell_row(vec![
            (group.name.clone(), 26, plain),
            (free, 0, theme.dim()),
        ]);
    }
    page = page.blank_line().heading("Devices");
    for device in &audit.devices {
        page = page.cell_row(vec![(device.clone(), 0, plain)]);
    }
    page.blank_line().wrapped_text(
        "To grow: add a device to [storage] devices in config.toml, then press p.",
        columns,
        theme.dim(),
    )
}

pub(super) fn node_security_detail(
    app: &App,
    node: &Node,
    columns: usize,
    page: DetailPage,
) -> DetailPage {
    let (audit, page) = match find_node_audit(app, node, columns, page) {
        Ok(found) => found,
        Err(page) => return page,
    };
    let theme = app.theme;
    let upgrades = match (audit.upgrades, audit.security) {
        (0, _) => ("none".to_owned(), Health::Good),
        (n, 0) => (format!("{n}"), Health::Partly),
        (n, s) => (
            format!("{n}, {s} of them mend security faults"),
            Health::Bad,
        ),
    };
    let reboot = match audit.reboot_required {
        true => ("needed: m r", Health::Partly),
        false => ("not needed", Health::Good),
    };
    let mut page = page
        .styled_field("upgrades", &upgrades.0, theme.health_style(upgrades.1))
        .styled_field("reboot", reboot.0, theme.health_style(reboot.1))
        .field(
            "refused",
            &format!("{} log-ins in the last day", audit.refused),
        )
        .field(
            "last ban",
            audit.last_ban.as_deref().unwrap_or("none within a week"),
        );
    if let Some(key) = app.keymap.first_key(Action::Bans) {
        page = page.field(
            "bans",
            &format!("{key} lists them, and lets an address in again"),
        );
    }
    if let Some(key) = app.keymap.first_key(Action::Intrusions) {
        page = page.field("intrusions", &format!("{key} lists what Suricata saw"));
    }
    if let Some((from, ports)) = &audit.seen {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        page = page.field(
            "open ports",
            &format!("{} (tcp, seen from {from})", ports.join(", ")),
        );
    }
    page = page.blank_line().heading("What listens for other machines");
    for listens in &audit.listens {
        page = page.cell_row(vec![(listens.clone(), 0, ratatui::style::Style::new())]);
    }
    page
}
