//! Plans, jobs and what is remembered of them, given to the console.

use jiff::SignedDuration;
use matou::job::{
    Change, Check, Confirm, JobEvent, JobId, JobOutcome, NodePlan, OutputStream, PastCommand,
    PastJob, Plan, StagePlan, StepPlan,
};
use matou::ops::{FoundVersions, OwnVersion, Request, ServiceVersions};
use matou::registry::{NewerVersion, VersionStep};
use matou::text::SafeText;
use matou::ui::fixture::NOW;
use matou::ui::{App, Effect, Msg, Theme, update};
use std::time::Duration;

use super::{on, press};

pub(crate) fn plan(confirm: Confirm, steps: Vec<(&str, Result<Check, String>)>) -> Plan {
    let steps = steps
        .into_iter()
        .map(|(step, check)| StepPlan {
            step: step.into(),
            check: check.map_err(Into::into),
            unreachable: false,
        })
        .collect();
    Plan {
        keep_going: false,
        title: "a job".into(),
        confirm,
        stages: vec![StagePlan {
            title: "a stage".into(),
            phase: matou::job::StagePhase::default(),
            nodes: vec![NodePlan {
                node: "master".into(),
                steps,
            }],
        }],
    }
}

pub(crate) fn answer(app: &mut App, effects: &[Effect], plan: Result<Plan, SafeText>) {
    let ticket = effects
        .iter()
        .find_map(|e| match e {
            Effect::Plan { ticket, .. } => Some(*ticket),
            _ => None,
        })
        .expect("a plan was asked for");
    update(app, Msg::Planned { ticket, plan }, NOW);
}

pub(crate) fn a_plan(app: &mut App, plan: Result<Plan, SafeText>) {
    press(app, "2");
    let effects = press(app, "S");
    let effects = if effects.is_empty() {
        press(app, "\nj\u{1b}x")
    } else {
        effects
    };
    answer(app, &effects, plan);
}

pub(crate) fn changes() -> Vec<(&'static str, Result<Check, String>)> {
    vec![
        (
            "stack",
            Ok(Check::Change(vec![
                Change::same("service shop_db (mariadb:11.4)"),
                Change::add("service shop_cache (redis:8)"),
                Change::modify("image of shop_web", "prestashop:8", "prestashop:9"),
                Change::remove("service shop_old").with_warning("1 tasks stop"),
            ])),
        ),
        (
            "tasks",
            Ok(Check::Unknown("the services are not there yet".into())),
        ),
    ]
}

/// More than any screen of the tests shows.
pub(crate) fn many_changes() -> Vec<(&'static str, Result<Check, String>)> {
    let mut lines: Vec<Change> = (1..=70)
        .map(|n| Change::add(format!("package {n}")))
        .collect();
    lines[2] = Change::modify("engine", "27.5", "28.5").with_warning("the engine restarts");
    lines[60] = Change::remove("rule of the firewall").with_warning("port 8080 is closed");
    vec![("packages", Ok(Check::Change(lines)))]
}

pub(crate) fn job(app: &mut App, outcome: Option<JobOutcome>) {
    let id = JobId(1);
    let request = Request::Restart {
        service: "shop_web".into(),
    };
    update(app, Msg::JobStarted { id, request }, NOW);
    let step = |event| Msg::Job { id, event };
    let (node, name) = ("master".to_owned(), "tasks".to_owned());
    let events = [
        JobEvent::Steps { count: 3 },
        JobEvent::StepStarted {
            node: node.clone(),
            step: name.clone(),
        },
        JobEvent::Line {
            node: node.clone(),
            step: name.clone(),
            stream: OutputStream::Note,
            text: "shop_web.1 starting on worker-01".into(),
        },
        JobEvent::Progress {
            node: node.clone(),
            step: name.clone(),
            done: 1,
            total: 2,
            unit: "tasks".into(),
            detail: String::new().into(),
        },
    ];
    for event in events {
        update(app, step(event), NOW);
    }
    if let Some(outcome) = outcome {
        let took = std::time::Duration::from_secs(3);
        let error = "shop_web does not come up: no such image".to_owned();
        let failed = JobEvent::StepFailed {
            node,
            step: name,
            error: error.into(),
            took,
        };
        update(app, step(failed), NOW);
        update(app, step(JobEvent::Finished { outcome, took }), NOW);
    }
}

/// A job whose title and step are long, as in French.
pub(crate) fn job_with_long_step(theme: Theme, keys: &str) -> App {
    let mut app = on(theme, "");
    let id = JobId(1);
    let request = Request::Deploy {
        stack: "nextcloud".into(),
        app: "nuage-de-boulangerie".parse().expect("a name"),
        variables: Default::default(),
        names: Default::default(),
    };
    update(&mut app, Msg::JobStarted { id, request }, NOW);
    let (node, step) = (
        "worker-01".to_owned(),
        "répertoires des volumes partagés".to_owned(),
    );
    let events = [
        JobEvent::Steps { count: 24 },
        JobEvent::StepStarted {
            node: node.clone(),
            step: step.clone(),
        },
        JobEvent::Progress {
            node,
            step,
            done: 3,
            total: 10,
            unit: "files".into(),
            detail: String::new().into(),
        },
    ];
    for event in events {
        update(&mut app, Msg::Job { id, event }, NOW);
    }
    press(&mut app, "\u{1b}");
    press(&mut app, keys);
    app
}

/// The list of past jobs, with one of each end; keys follow the answer.
pub(crate) fn history(app: &mut App, found: Result<Vec<PastJob>, SafeText>, keys: &str) {
    let effects = press(app, "H");
    let [Effect::ReadPastJobs { ticket }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    let ticket = *ticket;
    update(app, Msg::PastJobs { ticket, found }, NOW);
    press(app, keys);
}

pub(crate) fn past_jobs() -> Vec<PastJob> {
    let job = |hours: i64, title: &str, seconds: Option<u64>, outcome| PastJob {
        title: title.into(),
        operator: "marie".into(),
        began: NOW - SignedDuration::from_hours(hours),
        took: seconds.map(Duration::from_secs),
        outcome,
        output: Vec::new(),
        commands: Vec::new(),
    };
    let command = |command: &str, result| PastCommand {
        at: NOW - SignedDuration::from_hours(2),
        node: "master".into(),
        command: command.into(),
        took: Duration::from_millis(420),
        result,
    };
    let mut failed = job(
        2,
        "deploy ghost",
        Some(94),
        Some(JobOutcome::Failed {
            reason: "ghost_blog: No such image: ghost:6".into(),
        }),
    );
    failed.output = vec![
        "master: ghost: Creating network ghost_default".into(),
        "master: ghost: service ghost_blog could not be created".into(),
    ];
    failed.commands = vec![
        command("docker stack deploy --prune -c - ghost", Ok(1)),
        command(
            "docker stack ps ghost",
            Err("the connection was lost".into()),
        ),
        command("true", Ok(0)),
    ];
    let done = JobOutcome::Done { changed: 3 };
    vec![
        job(1, "back up everything", None, None),
        failed,
        job(5, "provision", Some(722), Some(done)),
        job(30, "restore shop", Some(12), Some(JobOutcome::Cancelled)),
        job(
            49,
            "provision",
            Some(3),
            Some(JobOutcome::Done { changed: 0 }),
        ),
    ]
}

pub(crate) fn versions(app: &mut App) {
    let effects = press(app, "2ju");
    let [Effect::FindNewerVersions { ticket, .. }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    let newer = |tag: &str, step| NewerVersion {
        tag: tag.into(),
        step,
    };
    let of = |service: &str, image: &str, newer| ServiceVersions {
        service: service.into(),
        image: image.into(),
        newer,
    };
    let found = vec![
        of(
            "web",
            "ghost:6.0.4-alpine",
            Ok(vec![
                newer("7.0.1-alpine", VersionStep::Major),
                newer("6.2.0-alpine", VersionStep::Minor),
                newer("6.0.9-alpine", VersionStep::Patch),
            ]),
        ),
        of("db", "mysql:8.4", Ok(Vec::new())),
        of(
            "cron",
            "example.org/cron:latest",
            Err("the tag latest holds no version: pin the image to one".into()),
        ),
    ];
    let message = Msg::NewerVersions {
        ticket: *ticket,
        found: Ok(FoundVersions {
            images: found,
            own: Some(Ok(OwnVersion {
                version: "6.0.4".into(),
                how: "by its own command".into(),
                updates_itself: true,
            })),
        }),
    };
    update(app, message, NOW);
    press(app, "jjjjj");
}

/// Both applications marked and about to be removed; of one, nothing can be said.
pub(crate) fn batch(app: &mut App) {
    let effects = press(app, "2g j x");
    let by_name = Confirm::TypeName("blog".into());
    let ticket = effects.iter().find_map(|e| match e {
        Effect::Plan { ticket, .. } => Some(*ticket),
        _ => None,
    });
    let message = Msg::Planned {
        ticket: ticket.expect("a plan was asked for"),
        plan: Ok(plan(by_name, changes())),
    };
    let effects = update(app, message, NOW);
    let reason =
        SafeText::of("its services are not of matou: remove them with `docker service rm`");
    answer(app, &effects, Err(reason));
}
