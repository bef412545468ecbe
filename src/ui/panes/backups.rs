//! Repositories, and snapshots by application, the newest first.

use ratatui::style::Style;
use ratatui::text::Line;

use super::{Filter, Page, Row, RowKind, list_line};
use crate::model::{Backups, Difference, Fleet, Repository, Snapshot};
use crate::text::{age, ago, coarse, human_bytes};
use crate::ui::browser;
use crate::ui::keymap::Action;
use crate::ui::msg::Seen;
use crate::ui::state::{App, Tab};
use crate::ui::theme::Health;

/// Seconds after which the newest snapshot of an application is too old: a night was missed.
const OLD: i64 = 36 * 3600;

/// Bars of a plot.
const BARS: usize = 40;

pub(super) fn rows(fleet: &Fleet, opened: &[String], filter: &mut Filter) -> (Vec<Row>, usize) {
    let mut rows = Vec::new();
    let repositories = fleet.backups.value().map_or(&[][..], |b| &b.repositories);
    for (i, repository) in repositories.iter().enumerate() {
        if filter.keeps(&repository.name) {
            rows.push(Row {
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
            .take_while(|s| s.is_beside(&all[first]))
            .count();
        let name = all[first].title();
        let keeps = filter.keeps(&name);
        saved.push(name);
        if keeps {
            group_rows(all, first, count, opened, &mut rows);
        }
        first += count;
    }
    // What has data and was never saved belongs here too.
    for app in fleet.apps() {
        let has_data = app.services.iter().any(|s| !s.volumes.is_empty());
        if has_data && !saved.iter().any(|s| s == app.name) && filter.keeps(app.name) {
            rows.push(Row {
                key: format!("saved/{}", app.name),
                name: app.name.to_owned(),
                kind: RowKind::Saved { first: 0, count: 0 },
                depth: 0,
                open: None,
            });
        }
    }
    (rows, all.len())
}

fn group_rows(
    all: &[Snapshot],
    first: usize,
    count: usize,
    opened: &[String],
    rows: &mut Vec<Row>,
) {
    let name = all[first].title();
    let key = format!("saved/{name}");
    let open = opened.contains(&key);
    rows.push(Row {
        key,
        name,
        kind: RowKind::Saved { first, count },
        depth: 0,
        open: Some(open),
    });
    if open {
        let places = all.iter().enumerate().skip(first).take(count);
        rows.extend(places.map(|(i, s)| Row {
            key: format!("snapshot/{}", s.id),
            name: s.id.clone(),
            kind: RowKind::Snapshot(i),
            depth: 1,
            open: None,
        }));
    }
}

fn snapshots(app: &App) -> &[Snapshot] {
    app.fleet.snapshots.value().map_or(&[][..], Vec::as_slice)
}

pub(super) fn saved_line(
    app: &App,
    row: &Row,
    first: usize,
    count: usize,
    columns: usize,
) -> Line<'static> {
    let stale = app.fleet.snapshots.is_stale();
    let newest = snapshots(app).get(first).filter(|_| count > 0);
    let Some(newest) = newest else {
        let rest = "no snapshot";
        return list_line(app, Health::Partly, 0, &row.name, rest, columns, stale);
    };
    let late = (app.now - newest.at).as_secs() > OLD || newest.ahead;
    // Another fleet's nights are its own affair.
    let old = late && newest.other_fleet.is_none();
    let backups = app.fleet.backups.value();
    let proven = backups.and_then(|b| b.proofs.get(&row.name));
    let count = match snapshots(app)[first..first + count].iter().any(|s| s.ahead) {
        true => format!("{count}, some in the future"),
        false => count.to_string(),
    };
    let proven = match proven {
        Some(p) if p.problem.is_some() => " proof failed".to_owned(),
        Some(p) => format!(" proven {}", age(app.now, p.at)),
        None => String::new(),
    };
    let health = match proven.ends_with("failed") {
        true => Health::Bad,
        false if old => Health::Partly,
        false => Health::Good,
    };
    let opened = app.theme.opened(row.open == Some(true));
    list_line(
        app,
        health,
        0,
        &format!("{opened} {}", row.name),
        &format!("{count}  {}{proven}", age(app.now, newest.at)),
        columns,
        stale,
    )
}

pub(super) fn line(app: &App, at: usize, columns: usize) -> Line<'static> {
    let Some(s) = snapshots(app).get(at) else {
        return Line::default();
    };
    let size = s.size.map_or_else(String::new, human_bytes);
    let against = match (s.size, browser::before(app, at).and_then(|b| b.size)) {
        (Some(now), Some(then)) => signed(now, then),
        _ => String::new(),
    };
    let name = s.at.strftime("%Y-%m-%d %H:%M").to_string();
    let stale = app.fleet.snapshots.is_stale();
    let (health, rest) = match s.ahead {
        true => (Health::Partly, "in the future".to_owned()),
        false => (Health::Good, format!("{size} {against:>9}")),
    };
    list_line(app, health, 2, &name, rest.trim_end(), columns, stale)
}

/// How much bigger or smaller.
fn signed(now: u64, then: u64) -> String {
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
    let (health, word) = repository_state(repository);
    let size = repository.growth.last().map(|(_, s)| human_bytes(*s));
    let rest = match (word.as_str(), size) {
        ("", Some(size)) => size,
        ("", None) => String::new(),
        (word, _) => word.to_owned(),
    };
    let name = format!("repository {}", repository.name);
    let stale = app.fleet.backups.is_stale();
    list_line(app, health, 0, &name, &rest, columns, stale)
}

fn repository_state(repository: &Repository) -> (Health, String) {
    if repository.problem.is_some() {
        return (Health::Bad, "not usable".into());
    }
    if matches!(&repository.check, Some((_, Err(_)))) {
        return (Health::Bad, "damaged".into());
    }
    match repository.locks.as_slice() {
        [] => (Health::Good, String::new()),
        locks if locks.iter().any(|l| l.stale) => (Health::Partly, "stale lock".into()),
        _ => (Health::Good, "in use".into()),
    }
}

pub(super) fn repository_detail(app: &App, at: usize, columns: usize) -> Page {
    let theme = app.theme;
    let page = Page::new(theme);
    let Some(backups) = app.fleet.backups.value() else {
        return page;
    };
    let Some(repository) = backups.repositories.get(at) else {
        return page;
    };
    let mut page = page
        .heading(&format!("Repository {}", repository.name))
        .blank();
    if let (Some(why), Some(read)) = (app.fleet.backups.error(), app.fleet.backups.read_at()) {
        page = page.stale(why, &age(app.now, read), columns).blank();
    }
    if let Some(problem) = &repository.problem {
        page = page
            .wrapped(problem, columns, theme.health(Health::Bad))
            .blank();
    }
    page = page
        .field("location", &repository.location)
        .field("restic", &repository.restic);
    if let Some((_, size)) = repository.growth.last() {
        page = page.field("size", &human_bytes(*size));
    }
    if let Some(drill) = backups.drill.as_ref().filter(|_| at == 0) {
        page = page.field("last drill", &drill.line(app.now));
    }
    page = match &repository.check {
        Some((at, Ok(what))) => page.field(
            "last check",
            &format!("{}, no errors; {what}", ago(app.now, *at)),
        ),
        Some((at, Err(why))) => {
            let text = format!("{}: {why}", ago(app.now, *at));
            page.styled_field("last check", &text, theme.health(Health::Bad))
        }
        None => page.field("last check", "never: `matou repo check` reads its data"),
    };
    if repository.growth.len() > 1 {
        let sizes: Vec<u64> = repository.growth.iter().map(|(_, s)| *s).collect();
        page = page.field("growth", &plot(app, &sizes)).field(
            "",
            &format!("since {}", repository.growth[0].0.strftime("%Y-%m-%d")),
        );
    }
    page = page.blank().heading("Locks");
    if repository.locks.is_empty() {
        page = page.text("nobody holds one");
    }
    for lock in &repository.locks {
        let kind = match lock.exclusive {
            true => "exclusive",
            false => "shared",
        };
        let text = format!("{}, {kind}, for {}", lock.who, age(app.now, lock.since));
        page = match lock.stale {
            true => page.wrapped(
                &format!("{text}: stale, its process is gone; `matou repo unlock` removes it"),
                columns,
                theme.changed(),
            ),
            false => page.wrapped(&text, columns, Style::new()),
        };
    }
    schedule(app, backups, page)
}

/// Last, next and missed run.
fn schedule(app: &App, backups: &Backups, page: Page) -> Page {
    let theme = app.theme;
    let page = page.blank().heading("Every night");
    let Some(schedule) = &backups.schedule else {
        return page.text("nothing is scheduled: `matou provision` installs the timer");
    };
    let when = |t| format!("{} ({})", stamp(t), ago(app.now, t));
    let page = match (schedule.last, &schedule.failed) {
        (None, _) => page.field("last run", "none yet"),
        (Some(at), None) => page.field("last run", &when(at)),
        (Some(at), Some(why)) => {
            page.field("last run", &when(at))
                .styled_field("", why, theme.health(Health::Bad))
        }
    };
    let page = match schedule.next {
        Some(next) => {
            let left = (next - app.now).as_secs();
            page.field(
                "next run",
                &format!("{} (in {})", stamp(next), coarse(left)),
            )
        }
        None => page.field("next run", "none"),
    };
    match schedule.missed {
        Some(at) => page.styled_field("missed", &when(at), theme.health(Health::Bad)),
        None => page,
    }
}

fn stamp(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// Sizes as bars, from the smallest to the largest that is shown.
fn plot(app: &App, sizes: &[u64]) -> String {
    let sizes = &sizes[sizes.len().saturating_sub(BARS)..];
    let most = sizes.iter().copied().max().unwrap_or(0);
    let least = sizes.iter().copied().min().unwrap_or(0);
    let heights = app.theme.heights();
    let bars: String = sizes
        .iter()
        .map(|s| {
            let span = (most - least).max(1);
            heights[(u128::from(s - least) * 7 / u128::from(span)) as usize]
        })
        .collect();
    format!("{bars}  {} to {}", human_bytes(least), human_bytes(most))
}

pub(super) fn saved_detail(
    app: &App,
    name: &str,
    first: usize,
    count: usize,
    columns: usize,
) -> Page {
    let theme = app.theme;
    let key = |action| app.keymap.key(action).unwrap_or_default();
    let mut page = Page::new(theme).heading(name).blank();
    let backups = app.fleet.backups.value();
    for restore in backups.map_or(&[][..], |b| &b.restores) {
        if restore.app != name {
            continue;
        }
        let text = match restore.interrupted {
            true => format!(
                "A restore was interrupted {}: `matou restore undo {name}` takes the data back to what it was.",
                ago(app.now, restore.at)
            ),
            false => format!(
                "Restored {}; the data from before is kept. `matou restore undo {name}` brings it back, `matou restore forget {name}` lets it go.",
                ago(app.now, restore.at)
            ),
        };
        page = page.wrapped(&text, columns, theme.changed()).blank();
    }
    let of_app = snapshots(app).get(first..first + count).unwrap_or_default();
    let Some(newest) = of_app.first() else {
        let text = format!(
            "NOT BACKED UP: this application has data and no snapshot. {} backs it up.",
            key(Action::Backup)
        );
        return page.wrapped(&text, columns, theme.health(Health::Bad));
    };
    page = page
        .field("snapshots", &count.to_string())
        .field(
            "newest",
            &format!("{} ({})", stamp(newest.at), ago(app.now, newest.at)),
        )
        .field(
            "oldest",
            &of_app
                .iter()
                .map(|s| s.at)
                .min()
                .map_or_else(String::new, stamp),
        )
        .field("size", &newest.size.map_or_else(String::new, human_bytes));
    let mut sizes: Vec<u64> = of_app.iter().take(BARS).filter_map(|s| s.size).collect();
    sizes.reverse();
    if sizes.len() > 1 {
        page = page.field("growth", &plot(app, &sizes));
    }
    page = page.blank();
    let ahead = of_app.iter().filter(|s| s.ahead).count();
    if ahead > 0 {
        let text = format!(
            "{ahead} of them are dated in the future: the storage node's clock was wrong. They are never taken as the newest, and come last in the list."
        );
        page = page.wrapped(&text, columns, theme.changed()).blank();
    }
    if let Some(fleet) = &newest.other_fleet {
        let text = format!(
            "Made by another fleet, {fleet}. It is restored only when one of its snapshots is chosen; nothing here forgets it."
        );
        return page.wrapped(&text, columns, theme.changed());
    }
    page = match backups.and_then(|b| b.proofs.get(name)) {
        None => page.wrapped(
            &format!("Never proven: `matou verify {name}` restores the newest snapshot to a scratch place and compares every file."),
            columns,
            theme.dim(),
        ),
        Some(proof) => {
            let when = format!("{}, from {}", ago(app.now, proof.at), proof.snapshot.get(..8).unwrap_or_default());
            let page = match &proof.problem {
                Some(why) => page
                    .styled_field("proof failed", &when, theme.health(Health::Bad))
                    .wrapped(why, columns, theme.health(Health::Bad)),
                None => page.styled_field("proven", &when, theme.health(Health::Good)),
            };
            let page = page.field(
                "files",
                &format!("{} ({}): {} unchanged and the same, {} changed since", proof.files, human_bytes(proof.bytes), proof.same, proof.changed),
            );
            proof.databases.iter().fold(page, |page, (file, tables)| {
                page.field("database", &format!("{file}: loaded, {tables} tables"))
            })
        }
    };
    page.blank().text(&format!(
        "{} restores it, {} backs it up, Enter lists its snapshots.",
        key(Action::Restore),
        key(Action::Backup)
    ))
}

pub(super) fn detail(app: &App, at: usize, tab: Tab, columns: usize) -> Page {
    let page = Page::new(app.theme);
    let Some(s) = snapshots(app).get(at) else {
        return page;
    };
    if tab == Tab::Changes {
        return changes(app, at, columns);
    }
    let before = browser::before(app, at);
    let mut page = page.heading(&s.title()).blank();
    if let Some(fleet) = &s.other_fleet {
        let text = format!("Made by another fleet: {fleet}.");
        page = page.wrapped(&text, columns, app.theme.changed()).blank();
    }
    if s.ahead {
        let text = "Dated in the future: the storage node's clock was wrong. It is never taken as the newest.";
        page = page.wrapped(text, columns, app.theme.changed()).blank();
    }
    let page = page
        .field("snapshot", s.short())
        .field("made", &format!("{} ({})", stamp(s.at), ago(app.now, s.at)))
        .field("host", &s.host)
        .field("size", &s.size.map_or_else(String::new, human_bytes))
        .field(
            "files",
            &s.files.map_or_else(String::new, |n| n.to_string()),
        )
        .field("new data", &s.added.map_or_else(String::new, human_bytes));
    let page = match before {
        Some(before) => page.field(
            "before",
            &format!("{} of {}", before.short(), stamp(before.at)),
        ),
        None => page.field("before", "none: it is the oldest"),
    };
    let page = page.blank().heading("Folders");
    s.paths.iter().fold(page, |page, p| page.text(p))
}

/// What changed against the snapshot before.
fn changes(app: &App, at: usize, columns: usize) -> Page {
    let theme = app.theme;
    let page = Page::new(theme);
    let Some(before) = browser::before(app, at) else {
        return page.text("It is the oldest of its application: there is nothing before it.");
    };
    let page = page
        .text(&format!(
            "against {} of {}",
            before.short(),
            stamp(before.at)
        ))
        .blank();
    let changes = match browser::changes(app) {
        None => return page.text("reading …"),
        Some(Err(reason)) => return page.wrapped(reason, columns, theme.removed()),
        Some(Ok(Seen::Changes(changes))) => changes,
        Some(Ok(_)) => return page,
    };
    let mut page = page.text(&browser::summary(changes)).blank();
    for (how, path) in &changes.paths {
        let (sign, style) = match how {
            Difference::Added => ("+", theme.added()),
            Difference::Removed => ("-", theme.removed()),
            Difference::Modified => ("~", theme.changed()),
            Difference::Metadata => (".", theme.dim()),
        };
        page = page.cells(vec![(format!("{sign} {path}"), 0, style)]);
    }
    let all = changes.added + changes.removed + changes.modified;
    match all.saturating_sub(changes.paths.len() as u64) {
        0 => page,
        more => page.text(&format!("and {more} more")),
    }
}

/// What the empty pane says.
pub(super) fn nothing(app: &App) -> Page {
    let page = Page::new(app.theme);
    let source = (&app.fleet.snapshots.value(), app.fleet.snapshots.error());
    match source {
        (Some(_), _) => page.wrapped(
            &format!(
                "The repository holds no snapshot yet: {} backs every application up.",
                app.keymap.key(Action::BackupAll).unwrap_or_default()
            ),
            60,
            Style::new(),
        ),
        (None, Some(reason)) => page.wrapped(reason, 60, Style::new()),
        (None, None) => page.text("Nothing was read yet."),
    }
}
