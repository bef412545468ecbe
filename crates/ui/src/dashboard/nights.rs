//! The nights of a month on the dashboard: what the reports of backups say, and where there is none, snapshots.

use matou_i18n::{tr, trn};
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp, ToSpan};

use super::board::{BoardRow, Cell, CellContent, Goal, NO_FIGURES, SectionRows};
use crate::state::App;
use crate::theme::Health;
use crate::words::weekday;
use matou_base::text::{format_ago, human_bytes};
use matou_model::{Backups, NightOutcome};
use matou_monitor::AlertTarget;

/// Days that are shown.
const DAYS: usize = 30;

/// Returns the marks of the month, the schedule, the repositories and the last drill.
pub(super) fn gather_nights(app: &App) -> SectionRows {
    let backups = app.fleet.backups.value();
    let marks = month_marks(app);
    let mut rows = Vec::new();
    if marks.iter().any(Option::is_some) {
        rows.push(marks_row(app, marks));
    }
    if let Some(backups) = backups {
        rows.extend(schedule_row(app, backups));
        rows.extend(repository_rows(app, backups));
        rows.extend(backups.drill.as_ref().map(|drill| BoardRow {
            key: "drill".into(),
            health: match (&drill.problem, drill.up == drill.all) {
                (None, true) => Health::Good,
                _ => Health::Bad,
            },
            name: tr!("last drill").into(),
            cells: vec![Cell::rest(drill.summary_line(app.now))],
            goal: Goal::Nothing,
        }));
    }
    // Why there are none is told with the snapshots too: no repository, as one.
    let error = app.fleet.backups.error();
    let note = match (backups, error.or(app.fleet.snapshots.error())) {
        (_, Some(why)) => why.to_owned(),
        (None, None) => NO_FIGURES.get().to_owned(),
        (Some(_), None) => tr!("no backup has been made yet").to_owned(),
    };
    let newest = app.fleet.snapshots.value().and_then(|all| {
        let ours = all.iter().filter(|s| s.can_be_newest());
        ours.map(|s| s.at).max()
    });
    let summary = match newest {
        Some(at) => tr!("the last backup {}", format_ago(app.now, at)),
        None => note.clone(),
    };
    SectionRows {
        rows,
        note,
        summary,
        top: 0,
    }
}

/// The repository that backups go to first.
fn repository_goal(app: &App) -> Goal {
    let first = app
        .fleet
        .backups
        .value()
        .and_then(|b| b.repositories.first());
    match first {
        Some(first) => Goal::Row(AlertTarget::Repository(first.name.clone())),
        None => Goal::Nothing,
    }
}

fn marks_row(app: &App, marks: Vec<Option<Health>>) -> BoardRow {
    let count = |of: Health| marks.iter().filter(|m| **m == Some(of)).count();
    let (good, partly, bad) = (
        count(Health::Good),
        count(Health::Partly),
        count(Health::Bad),
    );
    let mut said = vec![trn!(good, "{n} whole", "{n} whole")];
    if partly > 0 {
        said.push(trn!(partly, "{n} in part", "{n} in part"));
    }
    if bad > 0 {
        said.push(trn!(bad, "{n} failed", "{n} failed"));
    }
    let newest = marks.iter().rev().find_map(|m| *m);
    let marks = Cell {
        content: CellContent::Marks(marks),
        columns: 0,
        health: None,
    };
    BoardRow {
        key: "month".into(),
        health: newest.unwrap_or(Health::Unknown),
        name: tr!("a month").into(),
        cells: vec![marks, Cell::rest(said.join(", "))],
        goal: repository_goal(app),
    }
}

fn schedule_row(app: &App, backups: &Backups) -> Option<BoardRow> {
    let schedule = backups.schedule.as_ref()?;
    let ran = match schedule.last {
        Some(at) => format_ago(app.now, at),
        None => tr!("none yet").to_owned(),
    };
    let next = match schedule.next {
        Some(at) if at > app.now => {
            let at = at.to_zoned_datetime(app.zone.clone());
            tr!("next {} {}", weekday(&at), at.strftime("%H:%M"))
        }
        Some(_) => tr!("the next is due").to_owned(),
        None => tr!("the timer is off").to_owned(),
    };
    let (health, text) = match (&schedule.failed, schedule.missed, schedule.next) {
        (Some(why), ..) => (Health::Bad, tr!("{ran}: {why}")),
        (None, Some(_), _) => (Health::Partly, tr!("{ran}, one was missed, {next}")),
        (None, None, None) => (Health::Partly, format!("{ran}, {next}")),
        (None, None, Some(_)) => (Health::Good, format!("{ran}, {next}")),
    };
    Some(BoardRow {
        key: "schedule".into(),
        health,
        name: tr!("last night").into(),
        cells: vec![Cell::rest(text)],
        goal: repository_goal(app),
    })
}

fn repository_rows(app: &App, backups: &Backups) -> Vec<BoardRow> {
    let row = |repository: &matou_model::Repository| {
        let size = match repository.growth.last() {
            Some((_, bytes)) => human_bytes(*bytes),
            None => tr!("size not known yet").to_owned(),
        };
        let check = match &repository.check {
            Some((at, Ok(_))) => tr!("checked {}", format_ago(app.now, *at)),
            Some((_, Err(why))) => tr!("check failed: {why}"),
            None => tr!("not checked yet").to_owned(),
        };
        let failed = matches!(&repository.check, Some((_, Err(_))));
        let (health, text) = match &repository.problem {
            Some(why) => (Health::Bad, why.clone()),
            None if failed => (Health::Bad, check),
            None => (Health::Good, format!("{size}, {check}")),
        };
        BoardRow {
            key: format!("repository/{}", repository.name),
            health,
            name: repository.name.clone(),
            cells: vec![Cell::rest(text)],
            goal: Goal::Row(AlertTarget::Repository(repository.name.clone())),
        }
    };
    backups.repositories.iter().map(row).collect()
}

/// A mark for each of the last days, today's the last; `None` where nothing is known.
fn month_marks(app: &App) -> Vec<Option<Health>> {
    let begins = day_begins(app);
    let Some(first) = begins.first().copied() else {
        return Vec::new();
    };
    // Its place among the days; `None` before the first.
    let day_of = |at: Timestamp| begins.partition_point(|b| *b <= at).checked_sub(1);
    let mut marks: Vec<Option<Health>> = vec![None; begins.len()];
    let schedule = app.fleet.backups.value().and_then(|b| b.schedule.as_ref());
    for night in schedule.map_or(&[][..], |s| &s.nights) {
        let health = match night.outcome {
            NightOutcome::Done => Health::Good,
            NightOutcome::Warning => Health::Partly,
            NightOutcome::Failed => Health::Bad,
        };
        if let Some(day) = day_of(night.at) {
            marks[day] = marks[day].max(Some(health));
        }
    }
    let mut saved: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for snapshot in app.fleet.snapshots.value().into_iter().flatten() {
        if snapshot.at < first || !snapshot.can_be_newest() {
            continue;
        }
        if let (Some(name), Some(day)) = (snapshot.app.as_deref(), day_of(snapshot.at))
            && marks[day].is_none()
        {
            saved.entry(day).or_default().insert(name);
        }
    }
    let with_data = apps_with_data(app);
    for (day, saved) in saved {
        let end = begins[day] + SignedDuration::from_hours(24);
        let mut wanted = with_data
            .iter()
            .filter(|(_, made)| made.is_none_or(|m| m < end));
        let whole = wanted.all(|(name, _)| saved.contains(name));
        marks[day] = Some(if whole { Health::Good } else { Health::Partly });
    }
    marks
}

/// When each of the last days began here, the oldest first.
fn day_begins(app: &App) -> Vec<Timestamp> {
    let today = app.now.to_zoned_datetime(app.zone.clone()).start_of_day();
    let back = |days: usize| {
        let day = today
            .as_ref()
            .ok()?
            .checked_sub((days as i64).days())
            .ok()?;
        Some(day.timestamp())
    };
    (0..DAYS).rev().filter_map(back).collect()
}

/// Names of applications that have volumes, with the time at which the first of their services was made.
fn apps_with_data(app: &App) -> BTreeMap<&str, Option<Timestamp>> {
    let mut found: BTreeMap<&str, Option<Timestamp>> = BTreeMap::new();
    for service in app.fleet.swarm.value().map_or(&[][..], |s| &s.services) {
        if !service.volumes.is_empty() {
            let name = service.stack.as_deref().unwrap_or(&service.name);
            let made = found.entry(name).or_insert(service.created_at);
            *made = (*made).min(service.created_at);
        }
    }
    found
}
