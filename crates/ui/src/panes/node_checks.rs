//! What provisioning and an audit say of a node.

use super::page::DetailPage;
use super::page::format_since;
use super::table::Table;
use crate::keymap::Action;
use crate::state::App;
use crate::theme::Health;
use matou_base::text::human_bytes;
use matou_i18n::{Text, both, choose, tr};
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
            tr!("as wanted"),
            tr!("to add"),
            tr!("to change"),
            tr!("to remove"),
            tr!("to decide"),
            tr!("not known yet"),
        ])
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    Some(words.join(", "))
}

/// How many lines of a step are to be carried out.
fn count_step_differences(step: &StepPlan) -> usize {
    match &step.check {
        Ok(Check::Change(lines)) => lines.iter().filter(|l| l.kind != ChangeKind::Same).count(),
        _ => 0,
    }
}

/// Whether a line of a step that has nothing to do warns of something.
fn has_warning(step: &StepPlan) -> bool {
    match &step.check {
        Ok(Check::Done(lines)) => lines.iter().any(|line| line.warning.is_some()),
        _ => false,
    }
}

/// Counts in how much a node is known to differ from config.toml.
pub(super) fn count_differences(app: &App, node: &str) -> usize {
    let steps = node_plan_steps(app, node).unwrap_or_default();
    steps.into_iter().map(count_step_differences).sum()
}

pub(super) fn node_plan_detail(
    app: &App,
    node: &Node,
    columns: usize,
    page: DetailPage,
) -> DetailPage {
    let theme = app.theme;
    let Some(checked) = &app.comparison else {
        return page.text(&COMPARING);
    };
    if let Err(why) = &checked.plan {
        return page.wrapped_text(why, columns, theme.removed());
    }
    let Some(mut steps) = node_plan_steps(app, &node.name) else {
        return page.text(tr!(
            "config.toml does not name this node: there is nothing to compare."
        ));
    };
    // What differs is looked for, and what is warned of; what is as wanted may be many lines.
    steps.sort_by_key(|step| (count_step_differences(step) == 0, !has_warning(step)));
    let mut page = page
        .field(tr!("compared"), &format_since(app, checked.at))
        .field(
            tr!("in short"),
            &format_drift(app, &node.name).unwrap_or_default(),
        )
        .text(tr!("p makes it so."));
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
                        ChangeKind::Same if line.is_settled() => theme.dim(),
                        ChangeKind::Add => theme.added(),
                        ChangeKind::Modify | ChangeKind::Same => theme.changed(),
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

const COMPARING: Text = both!("Comparing the servers with config.toml.");

/// Finds the node's audit. Returns a page that says why there is none as error.
fn find_node_audit<'a>(
    app: &'a App,
    node: &Node,
    columns: usize,
    page: DetailPage,
) -> Result<(&'a NodeAudit, DetailPage), DetailPage> {
    let Some(checked) = &app.comparison else {
        return Err(page.text(&COMPARING));
    };
    match checked.audits.iter().find(|(name, _)| *name == node.name) {
        Some((_, Ok(audit))) => Ok((
            audit,
            page.field(tr!("looked at"), &format_since(app, checked.at)),
        )),
        Some((_, Err(why))) => Err(page.wrapped_text(why, columns, app.theme.removed())),
        None => Err(page.text(tr!(
            "config.toml does not name this node: it can't be looked at."
        ))),
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
    let mut table = Table::new(theme);
    for space in &audit.spaces {
        let percent = space.used_percent();
        let health = match percent {
            p if p >= u64::from(app.thresholds.disk) => Health::Bad,
            p if p + 10 >= u64::from(app.thresholds.disk) => Health::Partly,
            _ => Health::Good,
        };
        let (free, size) = (human_bytes(space.free), human_bytes(space.size));
        table = table.row(vec![
            (space.mount.clone(), plain),
            (format!("{percent:3} %"), theme.health_style(health)),
            (tr!("{free} of {size} free"), theme.dim()),
        ]);
    }
    let mut page = page.blank_line().heading(tr!("File systems"));
    page = page.table(table, columns);
    if !audit.groups.is_empty() {
        page = page.blank_line().heading(tr!("Volume groups"));
    }
    for group in &audit.groups {
        let free = tr!(
            "{} of {} not used yet",
            human_bytes(group.free),
            human_bytes(group.size)
        );
        page = page.cell_row(vec![
            (group.name.clone(), 26, plain),
            (free, 0, theme.dim()),
        ]);
    }
    page = page.blank_line().heading(tr!("Devices"));
    for device in &audit.devices {
        page = page.cell_row(vec![(device.clone(), 0, plain)]);
    }
    page.blank_line().wrapped_text(
        tr!("To grow: add a device to [storage] devices in config.toml, then press p."),
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
        (0, _) => (choose("none", "aucune").to_owned(), Health::Good),
        (n, 0) => (format!("{n}"), Health::Partly),
        (n, s) => (tr!("{n}, {s} of them mend security faults"), Health::Bad),
    };
    let reboot = match audit.reboot_required {
        true => (tr!("needed: m r"), Health::Partly),
        false => (tr!("not needed"), Health::Good),
    };
    let mut page = page
        .styled_field(tr!("upgrades"), &upgrades.0, theme.health_style(upgrades.1))
        .styled_field(tr!("reboot"), reboot.0, theme.health_style(reboot.1))
        .field(
            tr!("refused"),
            &tr!("{} log-ins in the last day", audit.refused),
        )
        .field(
            tr!("last ban"),
            audit
                .last_ban
                .as_deref()
                .unwrap_or(tr!("none within a week")),
        );
    if let Some(key) = app.keymap.first_key(Action::Bans) {
        page = page.field(
            tr!("bans"),
            &tr!("{key} lists them, and lets an address in again"),
        );
    }
    if let Some(key) = app.keymap.first_key(Action::Intrusions) {
        page = page.field(tr!("intrusions"), &tr!("{key} lists what Suricata saw"));
    }
    if let Some((from, ports)) = &audit.seen {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        page = page.field(
            tr!("open ports"),
            &tr!("{} (tcp, seen from {from})", ports.join(", ")),
        );
    }
    page = page
        .blank_line()
        .heading(tr!("What listens for other machines"));
    for listens in &audit.listens {
        page = page.cell_row(vec![(listens.clone(), 0, ratatui::style::Style::new())]);
    }
    page
}
