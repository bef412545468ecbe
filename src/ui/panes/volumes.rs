//! The volumes of every node.

use ratatui::text::Line;

use super::{Filter, Page, Row, RowKind, list_line};
use crate::model::{Fleet, Volume};
use crate::text::age;
use crate::ui::state::App;
use crate::ui::theme::Health;

pub(super) fn rows(fleet: &Fleet, filter: &mut Filter) -> (Vec<Row>, usize) {
    let mut rows = Vec::new();
    let mut total = 0;
    for (n, node) in fleet.nodes.iter().enumerate() {
        for (v, volume) in node.volumes.value().into_iter().flatten().enumerate() {
            total += 1;
            if filter.keeps(&volume.name) {
                rows.push(Row {
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

fn find(app: &App, node: usize, volume: usize) -> Option<(&crate::model::Node, &Volume)> {
    let node = app.fleet.nodes.get(node)?;
    Some((node, node.volumes.value()?.get(volume)?))
}

pub(super) fn line(app: &App, node: usize, volume: usize, columns: usize) -> Line<'static> {
    let Some((node, volume)) = find(app, node, volume) else {
        return Line::default();
    };
    // A volume that nothing mounts is not wrong, but worth a look.
    let health = match volume.users.len() {
        0 => Health::Ended,
        _ => Health::Good,
    };
    let rest = format!("{} {}", volume.driver, node.name);
    let stale = node.volumes.is_stale();
    list_line(app, health, 0, &volume.name, &rest, columns, stale)
}

pub(super) fn detail(app: &App, node: usize, volume: usize) -> Page {
    let mut page = Page::new(app.theme);
    let Some((node, volume)) = find(app, node, volume) else {
        return page;
    };
    page = page.heading(&volume.name).blank();
    if let (Some(why), Some(at)) = (node.volumes.error(), node.volumes.read_at()) {
        page = page.stale(why, &age(app.now, at), 60).blank();
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
                .map_or_else(String::new, |t| age(app.now, t)),
        );
    for (key, value) in &volume.options {
        page = page.field(key, value);
    }
    page = page.blank();
    if volume.users.is_empty() {
        return page.text("No container on this node mounts it.");
    }
    page = page.heading("Mounted by");
    volume.users.iter().fold(page, |page, user| page.text(user))
}
