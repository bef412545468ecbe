//! What happened of late: alerts, jobs, backups, proofs, changes of services, tasks that failed.

use jiff::{SignedDuration, Timestamp};
use matou_i18n::tr;

use super::board::{BoardRow, Cell, Goal, SectionRows};
use crate::state::App;
use crate::theme::Health;
use crate::words::weekday;
use matou_job::JobOutcome;
use matou_model::NightOutcome;
use matou_monitor::AlertTarget;

/// Events that are listed.
const MOST_EVENTS: usize = 60;

/// Hours after which an event is left out.
const HOURS: i64 = 7 * 24;

struct Event {
    at: Timestamp,
    health: Health,
    text: String,
    goal: Goal,
}

/// Lists the events of a week, the newest first.
pub(super) fn gather_events(app: &App) -> SectionRows {
    let first = app.now - SignedDuration::from_hours(HOURS);
    let mut events = Vec::new();
    add_alerts(app, &mut events);
    add_jobs(app, &mut events);
    add_backups(app, &mut events);
    add_services(app, &mut events);
    events.retain(|e| e.at >= first && e.at <= app.now);
    events.sort_by_key(|e| std::cmp::Reverse(e.at));
    events.truncate(MOST_EVENTS);
    let rows: Vec<BoardRow> = events
        .into_iter()
        .map(|event| BoardRow {
            key: format!("{}/{}", event.at, event.text),
            health: event.health,
            name: clock_time(app, event.at),
            cells: vec![Cell::rest(event.text)],
            goal: event.goal,
        })
        .collect();
    let note = tr!("nothing that is known of").to_owned();
    let summary = rows.first().map_or_else(
        || note.clone(),
        |row| match row.cells.first().map(|c| &c.content) {
            Some(super::board::CellContent::Text(text)) => format!("{} {text}", row.name),
            _ => row.name.clone(),
        },
    );
    SectionRows {
        rows,
        note,
        summary,
        top: 0,
    }
}

/// `14:02`, of another day `Sat 14:02`.
fn clock_time(app: &App, at: Timestamp) -> String {
    let (at, now) = (
        at.to_zoned_datetime(app.zone.clone()),
        app.now.to_zoned_datetime(app.zone.clone()),
    );
    match at.date() == now.date() {
        true => at.strftime("%H:%M").to_string(),
        false => format!("{} {}", weekday(&at), at.strftime("%H:%M")),
    }
}

fn add_alerts(app: &App, events: &mut Vec<Event>) {
    events.extend(app.alerts.iter().filter_map(|alert| {
        Some(Event {
            at: alert.since?,
            health: alert.severity.into(),
            text: tr!("{}: {}", alert.what, alert.why),
            goal: Goal::Alert(alert.key.clone()),
        })
    }));
    events.extend(app.board.happened.iter().map(|over| Event {
        at: over.at,
        health: Health::Good,
        text: tr!("over: {}", over.text),
        goal: match &over.target {
            AlertTarget::Fleet => Goal::Nothing,
            target => Goal::Row(target.clone()),
        },
    }));
}

fn add_jobs(app: &App, events: &mut Vec<Event>) {
    events.extend(app.jobs.all.iter().map(|job| Event {
        at: job.ended.unwrap_or(job.started),
        health: match &job.outcome {
            None => Health::Unknown,
            Some(JobOutcome::Done { .. }) => Health::Good,
            Some(JobOutcome::Cancelled) => Health::Ended,
            Some(JobOutcome::Failed { .. }) => Health::Bad,
        },
        text: tr!("{}: {}", job.title(), job.state_word()),
        goal: Goal::Jobs,
    }));
}

fn add_backups(app: &App, events: &mut Vec<Event>) {
    let Some(backups) = app.fleet.backups.value() else {
        return;
    };
    let repository = backups.repositories.first();
    let goal = repository.map_or(Goal::Nothing, |r| {
        Goal::Row(AlertTarget::Repository(r.name.clone()))
    });
    let nights = backups.schedule.as_ref().map_or(&[][..], |s| &s.nights);
    events.extend(nights.iter().map(|night| {
        let (health, text) = match night.outcome {
            NightOutcome::Done => (Health::Good, tr!("backup done")),
            NightOutcome::Warning => (Health::Partly, tr!("backup done in part")),
            NightOutcome::Failed => (Health::Bad, tr!("backup failed")),
        };
        Event {
            at: night.at,
            health,
            text: text.to_owned(),
            goal: goal.clone(),
        }
    }));
    events.extend(backups.proofs.values().map(|proof| Event {
        at: proof.at,
        health: match proof.problem {
            None => Health::Good,
            Some(_) => Health::Bad,
        },
        text: match &proof.problem {
            None => tr!("{}: its restore was proved", proof.app),
            Some(why) => tr!("{}: its restore was not proved: {why}", proof.app),
        },
        goal: Goal::Row(AlertTarget::Snapshots(proof.app.clone())),
    }));
    events.extend(backups.drill.iter().map(|drill| Event {
        at: drill.at,
        health: match &drill.problem {
            None => Health::Good,
            Some(_) => Health::Bad,
        },
        text: tr!("drill: {} of {} applications answered", drill.up, drill.all),
        goal: Goal::Nothing,
    }));
}

fn add_services(app: &App, events: &mut Vec<Event>) {
    let Some(swarm) = app.fleet.swarm.value() else {
        return;
    };
    let first = app.now - SignedDuration::from_hours(HOURS);
    events.extend(swarm.services.iter().filter_map(|service| {
        let at = service.updated_at.or(service.created_at)?;
        let word = match service.created_at == Some(at) {
            true => tr!("made"),
            false => tr!("changed"),
        };
        (at >= first).then(|| Event {
            at,
            health: Health::Ended,
            text: tr!("{}: {}", service.name, word),
            goal: Goal::Row(AlertTarget::Service(service.id.clone())),
        })
    }));
    for task in swarm.tasks.iter().filter(|t| t.has_failed()) {
        let service = swarm.services.iter().find(|s| s.id == task.service_id);
        let (Some(at), Some(service)) = (task.since.filter(|t| *t >= first), service) else {
            continue;
        };
        events.push(Event {
            at,
            health: Health::Bad,
            text: tr!("{}: a task failed: {}", service.name, task.failure_reason()),
            goal: Goal::Row(AlertTarget::Service(service.id.clone())),
        });
    }
}
