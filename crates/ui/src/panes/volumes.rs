//! The volumes of every node.

use matou_i18n::{tr, trn};
use ratatui::text::Line;

use super::page::{DetailPage, format_list_line};
use super::row::{PaneRow, RowFilter, RowKind};
use crate::keymap::Action;
use crate::state::App;
use crate::theme::Health;
use matou_base::text::{format_age, format_ago, human_bytes};
use matou_model::{Fleet, Node, Volume, VolumeRoom};

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

/// From so many columns on a list says how volumes grow.
const WIDE: usize = 56;

/// How much room a volume takes, as it was measured last.
pub(super) fn find_room(app: &App, node: &Node, volume: &Volume) -> Option<VolumeRoom> {
    let sizes = app.fleet.sizes.value()?;
    sizes.find_volume(&node.name, volume)
}

/// Says how something grows.
pub(super) fn format_growth(week: i64) -> String {
    let size = human_bytes(week.unsigned_abs());
    match week {
        0 => tr!("steady").into(),
        1.. => tr!("+{size} a week"),
        _ => tr!("-{size} a week"),
    }
}

/// Adds how large the volume is, how it grows, and what is left of its disk.
fn add_room(app: &App, node: &Node, volume: &Volume, page: DetailPage) -> DetailPage {
    let key = app.keymap.first_key(Action::Measure).unwrap_or_default();
    let Some(room) = find_room(app, node, volume) else {
        let text = tr!("not measured yet: {key} measures now, a timer every night");
        return page.field(tr!("size"), &text);
    };
    let (size, measured) = (human_bytes(room.bytes), format_ago(app.now, room.at));
    let page = page
        .field(tr!("size"), &tr!("{size}, measured {measured}"))
        .field(
            tr!("growth"),
            &room.week.map_or_else(String::new, format_growth),
        );
    match describe_disk(app, node, volume) {
        Some(disk) => page.field(tr!("disk"), &disk),
        None => page,
    }
}

/// Says what was free of the file system that a volume is on, and when it is full.
fn describe_disk(app: &App, node: &Node, volume: &Volume) -> Option<String> {
    let sizes = app.fleet.sizes.value()?;
    let (host, path) = match volume.options.get("device") {
        Some(device) => (&sizes.storage, device.rsplit(':').next()?),
        None => (&node.name, volume.mountpoint.as_str()),
    };
    let kept = sizes.nodes.get(host)?;
    let systems = kept.samples.last()?.file_systems.iter();
    let holds = |mount: &str| std::path::Path::new(path).starts_with(mount);
    let (mount, size) = systems
        .filter(|(mount, _)| holds(mount))
        .max_by_key(|(mount, _)| mount.len())?;
    let (free, total) = (human_bytes(size.free), human_bytes(size.total));
    let text = tr!("{free} free of {total}");
    Some(match kept.days_to_full(mount) {
        Some(days) => trn!(days, "{text}, full in {n} day", "{text}, full in {n} days"),
        None => text,
    })
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
    let rest = match find_room(app, node, volume) {
        Some(room) => {
            let size = human_bytes(room.bytes);
            let grows = room.week.filter(|_| columns >= WIDE).map(format_growth);
            format!("{} {size} {}", grows.unwrap_or_default(), node.name)
        }
        None => format!("{} {}", volume.driver, node.name),
    };
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
        .field(tr!("node"), &node.name)
        .field(tr!("application"), volume.stack.as_deref().unwrap_or(""))
        .field(tr!("driver"), &volume.driver)
        .field(tr!("folder"), &volume.mountpoint)
        .field(
            tr!("made"),
            &volume
                .created_at
                .map_or_else(String::new, |t| format_age(app.now, t)),
        );
    page = add_room(app, node, volume, page);
    for (key, value) in &volume.options {
        page = page.field(key, value);
    }
    page = page.blank_line();
    if volume.users.is_empty() {
        return page.text(tr!("No container on this node mounts it."));
    }
    page = page.heading(tr!("Mounted by"));
    volume.users.iter().fold(page, |page, user| page.text(user))
}
