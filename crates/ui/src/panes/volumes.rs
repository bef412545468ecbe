//! The volumes of every node.

use ratatui::text::Line;

use super::page::{DetailPage, format_list_line};
use super::row::{PaneRow, RowFilter, RowKind};
use crate::state::App;
use crate::theme::Health;
use matou_base::text::format_age;
use matou_model::{Fleet, Volume};

pub(super) fn volume_rows(fleet: &Fleet, filter: &mut RowFilter) -> (Vec<PaneRow>, usize) {
    let mut rows = Vec::new();
    let mut total = 0;
    for (n, node) in fleet.nodes.iter().enumerate() {
        for (v, volume) in node.volumes.value().into_iter().flatten().enumerate() {
            total += 1;
            if filter.matches(&volume.name) {
                rows.push(PaneRow {
                    key: format!("volume/{}/{}", volume.name, node.name),
                    name: volume.name.clone(),
                    kind: RowKind::Volume { node: n, volume: v },
                    depth: 0,
                    open: None,
                });
            }
        }
    }
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    (rows, total)
}

fn volume_at(app: &App, node: usize, volume: usize) -> Option<(&matou_model::Node, &Volume)> {
    let node = app.fleet.nodes.get(node)?;
    Some((node, node.volumes.value()?.get(volume)?))
}

pub(super) fn volume_line(app: &App, node: usize, volume: usize, columns: usize) -> Line<'static> {
    let Some((node, volume)) = volume_at(app, node, volume) else {
        return Line::default();
    };
    // A volume that nothing mounts is not wrong, but worth a look.
    let health = match volume.users.len() {
        0 => Health::Ended,
        _ => Health::Good,
    };
    let rest = format!("{} {}", volume.driver, node.name);
    let stale = node.volumes.is_stale();
    format_list_line(app, health, 0, &volume.name, &rest, columns, stale)
}

pub(super) fn volume_detail(app: &App, node: usize, volume: usize) -> DetailPage {
    let mut page = DetailPage::new(app.theme);
    let Some((node, volume)) = volume_at(app, node, volume) else {
        return page;
    };
    page = page.heading(&volume.name).blank_line();
    if let (Some(why), Some(at)) = (node.volumes.error(), node.volumes.read_at()) {
        page = page
            .stale_note(why, &format_age(app.now, at), 60)
            .blank_line();
    }
    page = page
        .field("node", &node.name)
        .field("application", volume.stack.as_deref().unwrap_or(""))
        .field("driver", &volume.driver)
        .field("folder", &volume.mountpoint)
        .field(
            "made",
            &volume
                .created_at
                .map_or_else(String::new, |t| format_age(app.now, t)),
        );
    for (key, value) in &volume.options {
        page = page.field(key, value);
    }
    page = page.blank_line();
    if volume.users.is_empty() {
        return page.text("No container on this node mounts it.");
    }
    page = page.heading("Mounted by");
    volume.users.iter().fold(page, |page, user| page.text(user))
}
