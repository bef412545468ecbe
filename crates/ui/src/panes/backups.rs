//! Repositories, and snapshots by application, the newest first.

use matou_i18n::{choose, tr};
use ratatui::style::Style;
use ratatui::text::Line;

use super::page::{DetailPage, format_list_line};
use super::row::{PaneRow, RowFilter, RowKind};
use crate::browser;
use crate::keymap::Action;
use crate::msg::SnapshotAnswer;
use crate::pane::Tab;
use crate::state::App;
use crate::theme::Health;
use matou_base::text::{format_age, format_ago, format_seconds, human_bytes};
use matou_model::{Backups, DifferenceKind, Fleet, Repository, RestoreStanding, Snapshot};

/// Bars of a plot.
const PLOT_BARS: usize = 40;

pub(super) fn backup_rows(
    fleet: &Fleet,
    opened: &[String],
    filter: &mut RowFilter,
) -> (Vec<PaneRow>, usize) {
    let mut rows = Vec::new();
    let repositories = fleet.backups.value().map_or(&[][..], |b| &b.repositories);
    for (i, repository) in repositories.iter().enumerate() {
        if filter.matches(&repository.name) {
            rows.push(PaneRow {
                key: format!("repository/{}", repository.name),
                name: repository.name.clone(),
                kind: RowKind::Repository(i),
                depth: 0,
                open: None,
            });
        }
    }
    let Some(all) = fleet.snapshots.value() else {
        return (rows, 0);
    };
    let mut first = 0;
    let mut saved = Vec::new();
    while first < all.len() {
        let count = all[first..]
            .iter()
            .take_while(|s| s.is_same_group(&all[first]))
            .count();
        let name = all[first].title();
        let keeps = filter.matches(&name);
        saved.push(name);
        if keeps {
            push_snapshot_rows(all, first, count, opened, &mut rows);
        }
        first += count;
    }
    // Applications that have data and no snapshot are listed too.
    for app in fleet.list_apps() {
        let has_data = app.services.iter().any(|s| !s.volumes.is_empty());
        if has_data && !saved.iter().any(|s| s == app.name) && filter.matches(app.name) {
            rows.push(PaneRow {
                key: format!("saved/{}", app.name),
                name: app.name.to_owned(),
                kind: RowKind::SnapshotGroup { first: 0, count: 0 },
                depth: 0,
                open: None,
            });
        }
    }
    (rows, all.len())
}

fn push_snapshot_rows(
    all: &[Snapshot],
    first: usize,
    count: usize,
    opened: &[String],
    rows: &mut Vec<PaneRow>,
) {
    let name = all[first].title();
    let key = format!("saved/{name}");
    let open = opened.contains(&key);
    rows.push(PaneRow {
        key,
        name,
        kind: RowKind::SnapshotGroup { first, count },
        depth: 0,
        open: Some(open),
    });
    if open {
        let places = all.iter().enumerate().skip(first).take(count);
        rows.extend(places.map(|(i, s)| PaneRow {
            key: format!("snapshot/{}", s.id),
            name: s.id.clone(),
            kind: RowKind::Snapshot(i),
            depth: 1,
            open: None,
        }));
    }
}

fn known_snapshots(app: &App) -> &[Snapshot] {
    app.fleet.snapshots.value().map_or(&[][..], Vec::as_slice)
}

pub(super) fn repository_row_health(app: &App, at: usize) -> Health {
    let backups = app.fleet.backups.value();
    backups
        .and_then(|b| b.repositories.get(at))
        .map_or(Health::Unknown, |r| repository_health(r).0)
}

/// How the snapshots of an application are: none, too old, refuted by a proof.
pub(super) fn snapshot_group_health(app: &App, name: &str, first: usize, count: usize) -> Health {
    let Some(newest) = known_snapshots(app).get(first).filter(|_| count > 0) else {
        return Health::Partly;
    };
    let allowed = i64::from(app.thresholds.backup_hours) * 3600;
    let late = (app.now - newest.at).as_secs() > allowed || newest.ahead;
    // Missed backups of another fleet are not judged here.
    let old = late && newest.other_fleet.is_none();
    let backups = app.fleet.backups.value();
    let proof = backups.and_then(|b| b.proofs.get(name));
    match proof.is_some_and(|p| p.problem.is_some()) {
        true => Health::Bad,
        false if old => Health::Partly,
        false => Health::Good,
    }
}

pub(super) fn snapshot_group_line(
    app: &App,
    row: &PaneRow,
    first: usize,
    count: usize,
    columns: usize,
) -> Line<'static> {
    let stale = app.fleet.snapshots.is_stale();
    let health = snapshot_group_health(app, &row.name, first, count);
    let newest = known_snapshots(app).get(first).filter(|_| count > 0);
    let Some(newest) = newest else {
        let rest = tr!("no snapshot");
        return format_list_line(app, Health::Partly, 0, &row.name, rest, columns, stale);
    };
    let backups = app.fleet.backups.value();
    let proven = backups.and_then(|b| b.proofs.get(&row.name));
    let count = match known_snapshots(app)[first..first + count]
        .iter()
        .any(|s| s.ahead)
    {
        true => tr!("{count}, some in the future"),
        false => count.to_string(),
    };
    let refuted = proven.is_some_and(|p| p.problem.is_some());
    let proven = match proven {
        Some(_) if refuted => tr!(" proof failed").to_owned(),
        Some(p) => tr!(" proven {}", format_age(app.now, p.at)),
        None => String::new(),
    };
    let opened = app.theme.fold_glyph(row.open == Some(true));
    format_list_line(
        app,
        health,
        0,
        &format!("{opened} {}", row.name),
        &format!("{count}  {}{proven}", format_age(app.now, newest.at)),
        columns,
        stale,
    )
}

pub(super) fn snapshot_line(app: &App, at: usize, columns: usize) -> Line<'static> {
    let Some(s) = known_snapshots(app).get(at) else {
        return Line::default();
    };
    let size = s.size.map_or_else(String::new, human_bytes);
    let against = match (
        s.size,
        browser::previous_snapshot(app, at).and_then(|b| b.size),
    ) {
        (Some(now), Some(then)) => format_size_change(now, then),
        _ => String::new(),
    };
    let name = format_minute(app, s.at);
    let stale = app.fleet.snapshots.is_stale();
    let (health, rest) = match s.ahead {
        true => (Health::Partly, tr!("in the future").to_owned()),
        false => (Health::Good, format!("{size} {against:>9}")),
    };
    format_list_line(app, health, 2, &name, rest.trim_end(), columns, stale)
}

/// Formats by how much a size grew or shrank.
fn format_size_change(now: u64, then: u64) -> String {
    match now.cmp(&then) {
        std::cmp::Ordering::Equal => "=".into(),
        std::cmp::Ordering::Greater => format!("+{}", human_bytes(now - then)),
        std::cmp::Ordering::Less => format!("-{}", human_bytes(then - now)),
    }
}

pub(super) fn repository_line(app: &App, at: usize, columns: usize) -> Line<'static> {
    let backups = app.fleet.backups.value();
    let Some(repository) = backups.and_then(|b| b.repositories.get(at)) else {
        return Line::default();
    };
    let (health, word) = repository_health(repository);
    let size = repository.growth.last().map(|(_, s)| human_bytes(*s));
    let rest = match (word.as_str(), size) {
        ("", Some(size)) => size,
        ("", None) => String::new(),
        (word, _) => word.to_owned(),
    };
    let name = tr!("repository {}", repository.name);
    let stale = app.fleet.backups.is_stale();
    format_list_line(app, health, 0, &name, &rest, columns, stale)
}

fn repository_health(repository: &Repository) -> (Health, String) {
    if repository.problem.is_some() {
        return (Health::Bad, tr!("not usable").into());
    }
    if matches!(&repository.check, Some((_, Err(_)))) {
        return (Health::Bad, tr!("damaged").into());
    }
    match repository.locks.as_slice() {
        [] => (Health::Good, String::new()),
        locks if locks.iter().any(|l| l.stale) => (Health::Partly, tr!("stale lock").into()),
        _ => (Health::Good, tr!("in use").into()),
    }
}

pub(super) fn repository_detail(app: &App, at: usize, columns: usize) -> DetailPage {
    let theme = app.theme;
    let page = DetailPage::new(theme);
    let Some(backups) = app.fleet.backups.value() else {
        return page;
    };
    let Some(repository) = backups.repositories.get(at) else {
        return page;
    };
    let mut page = page
        .heading(&tr!("Repository {}", repository.name))
        .blank_line();
    if let (Some(why), Some(read)) = (app.fleet.backups.error(), app.fleet.backups.read_at()) {
        page = page
            .stale_note(why, &format_age(app.now, read), columns)
            .blank_line();
    }
    if let Some(problem) = &repository.problem {
        page = page
            .wrapped_text(problem, columns, theme.health_style(Health::Bad))
            .blank_line();
    }
    page = page
        .field(tr!("location"), &repository.location)
        .field(tr!("restic"), &repository.restic);
    if let Some((_, size)) = repository.growth.last() {
        page = page.field(tr!("size"), &human_bytes(*size));
    }
    if let Some(drill) = backups.drill.as_ref().filter(|_| at == 0) {
        page = page.field(tr!("last drill"), &drill.summary_line(app.now));
    }
    page = match &repository.check {
        Some((at, Ok(what))) => page.field(
            tr!("last check"),
            &tr!("{}, no errors; {what}", format_ago(app.now, *at)),
        ),
        Some((at, Err(why))) => {
            let text = tr!("{}: {why}", format_ago(app.now, *at));
            page.styled_field(tr!("last check"), &text, theme.health_style(Health::Bad))
        }
        None => page.field(
            tr!("last check"),
            tr!("never: `matou repo check` reads its data"),
        ),
    };
    if repository.growth.len() > 1 {
        let sizes: Vec<u64> = repository.growth.iter().map(|(_, s)| *s).collect();
        page = page.field(tr!("growth"), &plot_sizes(app, &sizes)).field(
            "",
            &tr!("since {}", repository.growth[0].0.strftime("%Y-%m-%d")),
        );
    }
    page = page.blank_line().heading(tr!("Locks"));
    if repository.locks.is_empty() {
        page = page.text(tr!("nobody holds one"));
    }
    for lock in &repository.locks {
        let kind = match lock.exclusive {
            true => tr!("exclusive"),
            false => tr!("shared"),
        };
        let text = tr!(
            "{}, {kind}, for {}",
            lock.who,
            format_age(app.now, lock.since)
        );
        page = match lock.stale {
            true => page.wrapped_text(
                &tr!("{text}: stale, its process is gone; `matou repo unlock` removes it"),
                columns,
                theme.changed(),
            ),
            false => page.wrapped_text(&text, columns, Style::new()),
        };
    }
    add_backup_schedule(app, backups, page)
}

/// Adds the last, the next and a missed run of the nightly backup.
fn add_backup_schedule(app: &App, backups: &Backups, page: DetailPage) -> DetailPage {
    let theme = app.theme;
    let page = page.blank_line().heading(tr!("Nightly backup"));
    let Some(schedule) = &backups.schedule else {
        return page.text(tr!(
            "nothing is scheduled: `matou provision` installs the timer"
        ));
    };
    let when = |t| format!("{} ({})", format_minute(app, t), format_ago(app.now, t));
    let page = match (schedule.last, &schedule.failed) {
        (None, _) => page.field(tr!("last run"), tr!("none yet")),
        (Some(at), None) => page.field(tr!("last run"), &when(at)),
        (Some(at), Some(why)) => page.field(tr!("last run"), &when(at)).styled_field(
            "",
            why,
            theme.health_style(Health::Bad),
        ),
    };
    let page = match schedule.next {
        Some(next) => {
            let left = (next - app.now).as_secs();
            page.field(
                tr!("next run"),
                &tr!("{} (in {})", format_minute(app, next), format_seconds(left)),
            )
        }
        None => page.field(tr!("next run"), choose("none", "aucune")),
    };
    match schedule.missed {
        Some(at) => page.styled_field(tr!("missed"), &when(at), theme.health_style(Health::Bad)),
        None => page,
    }
}

/// Formats a moment as the clock of the operator's machine shows it.
pub(crate) fn format_minute(app: &App, at: jiff::Timestamp) -> String {
    let there = at.to_zoned_datetime(app.zone.clone());
    there.strftime("%Y-%m-%d %H:%M").to_string()
}

/// Plots sizes as bars between the smallest and the largest of them.
fn plot_sizes(app: &App, sizes: &[u64]) -> String {
    let sizes = &sizes[sizes.len().saturating_sub(PLOT_BARS)..];
    let most = sizes.iter().copied().max().unwrap_or(0);
    let least = sizes.iter().copied().min().unwrap_or(0);
    let heights = app.theme.bar_heights();
    let bars: String = sizes
        .iter()
        .map(|s| {
            let span = (most - least).max(1);
            heights[(u128::from(s - least) * 7 / u128::from(span)) as usize]
        })
        .collect();
    tr!("{bars}  {} to {}", human_bytes(least), human_bytes(most))
}

/// Adds the restores of an application that are not over.
fn add_unfinished_restores(
    mut page: DetailPage,
    app: &App,
    name: &str,
    columns: usize,
) -> DetailPage {
    let theme = app.theme;
    let backups = app.fleet.backups.value();
    for restore in backups.map_or(&[][..], |b| &b.restores) {
        if restore.app != name {
            continue;
        }
        let text = match restore.standing {
            RestoreStanding::Running => tr!(
                "A restore runs; it began {}.",
                format_ago(app.now, restore.at)
            ),
            RestoreStanding::Interrupted => tr!(
                "A restore was interrupted {}: `matou restore undo {name}` takes the data back to what it was.",
                format_ago(app.now, restore.at)
            ),
            RestoreStanding::Kept => tr!(
                "Restored {}; the data from before is kept. `matou restore undo {name}` brings it back, `matou restore forget {name}` lets it go.",
                format_ago(app.now, restore.at)
            ),
        };
        page = page
            .wrapped_text(&text, columns, theme.changed())
            .blank_line();
    }
    page
}

/// Adds what `matou verify` found of an application.
fn add_proof(page: DetailPage, app: &App, name: &str, columns: usize) -> DetailPage {
    let theme = app.theme;
    let backups = app.fleet.backups.value();
    match backups.and_then(|b| b.proofs.get(name)) {
        None => page.wrapped_text(
            &tr!("Never proven: `matou verify {name}` restores the newest snapshot to a scratch place and compares every file."),
            columns,
            theme.dim(),
        ),
        Some(proof) => {
            let when = tr!("{}, from {}", format_ago(app.now, proof.at), proof.snapshot.get(..8).unwrap_or_default());
            let page = match &proof.problem {
                Some(why) => page
                    .styled_field(tr!("proof failed"), &when, theme.health_style(Health::Bad))
                    .wrapped_text(why, columns, theme.health_style(Health::Bad)),
                None => page.styled_field(tr!("proven"), &when, theme.health_style(Health::Good)),
            };
            let page = page.field(
                tr!("files"),
                &tr!("{} ({}): {} unchanged and the same, {} changed since", proof.files, human_bytes(proof.bytes), proof.same, proof.changed),
            );
            proof.databases.iter().fold(page, |page, (file, tables)| {
                page.field(tr!("database"), &tr!("{file}: loaded, {tables} tables"))
            })
        }
    }
}

pub(super) fn snapshot_group_detail(
    app: &App,
    name: &str,
    first: usize,
    count: usize,
    columns: usize,
) -> DetailPage {
    let theme = app.theme;
    let key = |action| app.keymap.first_key(action).unwrap_or_default();
    let mut page = DetailPage::new(theme).heading(name).blank_line();
    page = add_unfinished_restores(page, app, name, columns);
    let of_app = known_snapshots(app)
        .get(first..first + count)
        .unwrap_or_default();
    let Some(newest) = of_app.first() else {
        let all = known_snapshots(app);
        let text = match all.iter().any(|s| s.app.as_deref() == Some(name)) {
            true => tr!(
                "NOT BACKED UP: the snapshots of this name are another fleet's. {} backs it up.",
                key(Action::Backup)
            ),
            false => tr!(
                "NOT BACKED UP: this application has data and no snapshot. {} backs it up.",
                key(Action::Backup)
            ),
        };
        return page.wrapped_text(&text, columns, theme.health_style(Health::Bad));
    };
    page = page
        .field(tr!("snapshots"), &count.to_string())
        .field(
            tr!("newest"),
            &format!(
                "{} ({})",
                format_minute(app, newest.at),
                format_ago(app.now, newest.at)
            ),
        )
        .field(
            tr!("oldest"),
            &of_app
                .iter()
                .map(|s| s.at)
                .min()
                .map_or_else(String::new, |at| format_minute(app, at)),
        )
        .field(
            tr!("size"),
            &newest.size.map_or_else(String::new, human_bytes),
        );
    let mut sizes: Vec<u64> = of_app
        .iter()
        .take(PLOT_BARS)
        .filter_map(|s| s.size)
        .collect();
    sizes.reverse();
    if sizes.len() > 1 {
        page = page.field(tr!("growth"), &plot_sizes(app, &sizes));
    }
    page = page.blank_line();
    let ahead = of_app.iter().filter(|s| s.ahead).count();
    if ahead > 0 {
        let text = tr!(
            "{ahead} of them are dated in the future: the storage node's clock was wrong. They are never taken as the newest, and come last in the list."
        );
        page = page
            .wrapped_text(&text, columns, theme.changed())
            .blank_line();
    }
    if let Some(fleet) = &newest.other_fleet {
        let text = tr!(
            "Made by another fleet, {fleet}. It is restored only when one of its snapshots is chosen; nothing here forgets it."
        );
        return page.wrapped_text(&text, columns, theme.changed());
    }
    page = add_proof(page, app, name, columns);
    page.blank_line().text(&tr!(
        "{} restores it, {} backs it up, Enter lists its snapshots.",
        key(Action::Restore),
        key(Action::Backup)
    ))
}

pub(super) fn snapshot_detail(app: &App, at: usize, tab: Tab, columns: usize) -> DetailPage {
    let page = DetailPage::new(app.theme);
    let Some(s) = known_snapshots(app).get(at) else {
        return page;
    };
    if tab == Tab::Changes {
        return snapshot_changes_detail(app, at, columns);
    }
    let before = browser::previous_snapshot(app, at);
    let mut page = page.heading(&s.title()).blank_line();
    if let Some(fleet) = &s.other_fleet {
        let text = tr!("Made by another fleet: {fleet}.");
        page = page
            .wrapped_text(&text, columns, app.theme.changed())
            .blank_line();
    }
    if s.ahead {
        let text = tr!(
            "Dated in the future: the storage node's clock was wrong. It is never taken as the newest."
        );
        page = page
            .wrapped_text(text, columns, app.theme.changed())
            .blank_line();
    }
    let page = page
        .field(tr!("snapshot"), s.short_id())
        .field(
            tr!("made"),
            &format!(
                "{} ({})",
                format_minute(app, s.at),
                format_ago(app.now, s.at)
            ),
        )
        .field(tr!("host"), &s.host)
        .field(tr!("size"), &s.size.map_or_else(String::new, human_bytes))
        .field(
            tr!("files"),
            &s.files.map_or_else(String::new, |n| n.to_string()),
        )
        .field(
            tr!("new data"),
            &s.added.map_or_else(String::new, human_bytes),
        );
    let page = match before {
        Some(before) => page.field(
            tr!("before"),
            &tr!(
                "{id} of {minute}",
                id = before.short_id(),
                minute = format_minute(app, before.at)
            ),
        ),
        None => page.field(tr!("before"), tr!("none: it is the oldest")),
    };
    let page = page.blank_line().heading(tr!("Folders"));
    s.paths.iter().fold(page, |page, p| page.text(p))
}

/// Returns what changed since the snapshot before.
fn snapshot_changes_detail(app: &App, at: usize, columns: usize) -> DetailPage {
    let theme = app.theme;
    let page = DetailPage::new(theme);
    let Some(before) = browser::previous_snapshot(app, at) else {
        return page.text(tr!(
            "It is the oldest of its application: there is nothing before it."
        ));
    };
    let page = page
        .text(&tr!(
            "against {} of {}",
            before.short_id(),
            format_minute(app, before.at)
        ))
        .blank_line();
    let changes = match browser::cached_changes(app) {
        None => return page.text(tr!("reading …")),
        Some(Err(reason)) => return page.wrapped_text(reason, columns, theme.removed()),
        Some(Ok(SnapshotAnswer::Changes(changes))) => changes,
        Some(Ok(_)) => return page,
    };
    let mut page = page
        .text(&browser::format_snapshot_changes(changes))
        .blank_line();
    for (how, path) in &changes.paths {
        let (sign, style) = match how {
            DifferenceKind::Added => ("+", theme.added()),
            DifferenceKind::Removed => ("-", theme.removed()),
            DifferenceKind::Modified => ("~", theme.changed()),
            DifferenceKind::Metadata => (".", theme.dim()),
        };
        page = page.cell_row(vec![(format!("{sign} {path}"), 0, style)]);
    }
    let all = changes.added + changes.removed + changes.modified;
    match all.saturating_sub(changes.paths.len() as u64) {
        0 => page,
        more => page.text(&tr!("and {more} more")),
    }
}

/// Says why the pane is empty.
pub(super) fn empty_backups_detail(app: &App, columns: usize) -> DetailPage {
    let page = DetailPage::new(app.theme);
    let source = (&app.fleet.snapshots.value(), app.fleet.snapshots.error());
    match source {
        (Some(_), _) => page.wrapped_text(
            &tr!(
                "The repository holds no snapshot yet: {} backs every application up.",
                app.keymap.first_key(Action::BackupAll).unwrap_or_default()
            ),
            columns,
            Style::new(),
        ),
        (None, Some(reason)) => page.wrapped_text(reason, columns, Style::new()),
        (None, None) => page.text(tr!("Nothing was read yet.")),
    }
}
