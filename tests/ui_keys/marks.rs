//! Several rows marked, for one action.

use std::time::Duration;

use matou::job::{Confirm, JobEvent, JobId, JobOutcome, Plan};
use matou::model::{Datum, Update};
use matou::ops::{FoundVersions, Request, ServiceVersions};
use matou::registry::{NewerVersion, VersionStep};
use matou::ui::fixture::{NOW, example_fleet};
use matou::ui::msg::Ticket;
use matou::ui::{Effect, Msg};

use crate::{Console, app_name, asked, plan};

/// Both applications marked.
fn both() -> Console {
    let mut c = Console::new();
    c.press("2g j ");
    c.shows("2 Services 2 marked");
    c.shows("●✓▸ blog");
    c
}

fn planned(c: &mut Console, ticket: Ticket, plan: Plan) -> Vec<Effect> {
    let plan = Ok(plan);
    c.take(Msg::Planned { ticket, plan })
}

fn finished(outcome: JobOutcome) -> JobEvent {
    let took = Duration::from_secs(1);
    JobEvent::Finished { outcome, took }
}

fn runs(effects: &[Effect]) -> Vec<Request> {
    let requests = effects.iter().filter_map(|e| match e {
        Effect::Run { request, .. } => Some(request.clone()),
        _ => None,
    });
    requests.collect()
}

fn remove(app: &str) -> Request {
    Request::remove(app_name(app))
}

/// Both marked, `x` pressed, both plans made and confirmed.
fn removing_both() -> (Console, Ticket) {
    let mut c = both();
    let (first, request) = asked(&c.press("x"));
    assert_eq!(request, remove("blog"));
    c.shows("remove blog: reading what is there");
    let by_name = |name: &str| plan(Confirm::TypeName(name.into()), "service");
    // The plans are made one after the other too.
    let (second, request) = asked(&planned(&mut c, first, by_name("blog")));
    assert_eq!(request, remove("shop"));
    // Nothing is confirmed before all are known.
    assert_eq!(c.press("y"), []);
    assert_eq!(planned(&mut c, second, by_name("shop")), []);
    c.shows("remove blog: 1 node: 1 to add");
    c.shows("remove shop: 1 node: 1 to add");
    c.shows("Type remove 2 to go on");
    // What is not in sight is told.
    let low = c.screen_of(80, 10);
    assert!(low.contains("1-6 of 8, Up Down · Enter goes on"), "{low}");
    assert!(low.contains("Type remove 2 to go on"), "{low}");
    assert_eq!(c.press("blog\n"), []);
    c.shows("type \"remove 2\" to go on");
    c.press(&"\u{8}".repeat(4));
    let effects = c.press("remove 2\n");
    assert_eq!(runs(&effects), [remove("blog")]);
    (c, first)
}

#[test]
fn marked_applications_are_removed_one_after_the_other() {
    let (mut c, _) = removing_both();
    c.hides("marked");
    c.shows("Jobs, 1 waiting");
    let id = JobId(1);
    let request = remove("blog");
    c.take(Msg::JobStarted { id, request });
    c.shows("1 running, 1 waiting");
    c.press("\u{1b}q");
    c.shows("A job runs, 1 to come.");
    c.press("\u{1b}");
    let event = finished(JobOutcome::Done { changed: 1 });
    let effects = c.take(Msg::Job { id, event });
    assert_eq!(runs(&effects), [remove("shop")]);
    let id = JobId(2);
    let request = remove("shop");
    c.take(Msg::JobStarted { id, request });
    let event = finished(JobOutcome::Done { changed: 1 });
    assert_eq!(runs(&c.take(Msg::Job { id, event })), []);
    c.shows("remove shop: done");
}

#[test]
fn what_waits_is_given_up_after_a_failure_and_named() {
    for outcome in [
        JobOutcome::Failed {
            reason: "the engine does not answer".into(),
        },
        JobOutcome::Cancelled,
    ] {
        let (mut c, _) = removing_both();
        let id = JobId(1);
        let request = remove("blog");
        c.take(Msg::JobStarted { id, request });
        let event = finished(outcome);
        assert_eq!(runs(&c.take(Msg::Job { id, event })), []);
        c.shows("not run after it: remove shop");
    }
    // The fleet changed after all were confirmed: nothing is run unseen.
    let (mut c, ticket) = removing_both();
    let effects = planned(&mut c, ticket, plan(Confirm::Ask, "another"));
    assert_eq!(runs(&effects), []);
    let screen = c.screen_of(200, 40);
    assert!(screen.contains("remove blog was not run"), "{screen}");
    assert!(screen.contains("not run after it: remove shop"), "{screen}");
}

#[test]
fn jobs_that_take_several_are_one_job() {
    let apps = vec![app_name("blog"), app_name("shop")];
    let backup = asked(&both().press("b")).1;
    assert_eq!(backup, Request::Backup { apps: apps.clone() });
    let verify = asked(&both().press("v")).1;
    assert_eq!(verify, Request::Verify { apps });
    let mut c = Console::new();
    c.press("1g j ");
    let Request::Provision { options } = asked(&c.press("p")).1 else {
        panic!("no provisioning");
    };
    assert_eq!(options.nodes, ["master", "worker-01"]);
}

#[test]
fn services_are_restarted_and_what_is_not_to_be_done_is_left_out() {
    // Of an application all services, each once.
    let mut c = both();
    let mut effects = c.press("S");
    let mut restarted = Vec::new();
    while let [Effect::Plan { ticket, request }] = effects.as_slice() {
        let Request::Restart { service } = request.clone() else {
            panic!("{request:?}");
        };
        let answer = match service.as_str() {
            "shop_db" => Err(matou::text::SafeText::of("it has no task")),
            _ => Ok(plan(Confirm::Ask, "tasks")),
        };
        restarted.push(service);
        let ticket = *ticket;
        effects = c.take(Msg::Planned {
            ticket,
            plan: answer,
        });
    }
    assert_eq!(restarted, ["blog_web", "shop_db", "shop_web"]);
    c.shows("restart shop_db is left out: it has no task");
    c.shows("Run 2 jobs, one after the other? y / n");
    let service = "blog_web".into();
    assert_eq!(runs(&c.press("y")), [Request::Restart { service }]);
}

#[test]
fn nodes_are_drained_by_their_menu_and_what_is_for_one_is_refused() {
    let mut c = Console::new();
    c.press("1g j m");
    c.shows("master, worker-01");
    let (_, request) = asked(&c.press("d"));
    assert_eq!(request.title(), "drain master");
    c.press("\u{1b}");
    c.shows("2 marked");
    let mut c = both();
    assert_eq!(c.press(":erase\n"), []);
    c.shows("erase is for one at a time: Esc takes the marks away");
    // What only shows something is about the selected row.
    assert!(matches!(c.press("l")[..], [Effect::FollowLogs { .. }]));
}

#[test]
fn marked_applications_go_to_their_newest_versions_short_of_another_major() {
    let mut c = both();
    let effects = c.press("u");
    let [Effect::FindNewerVersions { ticket, app }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    assert_eq!(app, "blog");
    let newer = |tag: &str, step| NewerVersion {
        tag: tag.into(),
        step,
    };
    let versions = |newer| FoundVersions {
        images: vec![ServiceVersions {
            service: "web".into(),
            image: "ghost:6.0.4-alpine".into(),
            newer: Ok(newer),
        }],
        own: None,
    };
    let found = vec![
        newer("7.0.0-alpine", VersionStep::Major),
        newer("6.1.0-alpine", VersionStep::Minor),
    ];
    let found = Ok(versions(found));
    let ticket = *ticket;
    let (ticket, request) = asked(&c.take(Msg::NewerVersions { ticket, found }));
    assert_eq!(request.title(), "update blog to ghost:6.1.0-alpine");
    let effects = planned(&mut c, ticket, plan(Confirm::Ask, "image"));
    let [Effect::FindNewerVersions { ticket, .. }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    let found = Ok(versions(vec![newer("10.0.0", VersionStep::Major)]));
    let ticket = *ticket;
    assert_eq!(c.take(Msg::NewerVersions { ticket, found }), []);
    c.shows("update shop is left out: nothing newer of the same major version");
    c.shows("Run 1 job");
}

#[test]
fn marks_survive_a_refresh_and_a_filter_and_go_with_what_is_gone() {
    let swarm = example_fleet().swarm.value().expect("read").clone();
    let read = |c: &mut Console, swarm| {
        let datum = Datum::Swarm(Ok(swarm));
        c.take(Msg::Fleet(Update { at: NOW, datum }));
    };
    let mut c = both();
    c.press("/blog\n");
    c.shows("2 marked");
    // What the filter hides is named too.
    let names = |c: &mut Console| c.press("y");
    assert_eq!(names(&mut c), [Effect::Copy("blog\nshop".into())]);
    c.press("\u{1b}");
    c.shows("2 marked");
    let mut other = swarm.clone();
    other.services[0].running = 0;
    read(&mut c, other.clone());
    c.shows("2 marked");
    other
        .services
        .retain(|s| s.stack.as_deref() != Some("shop"));
    read(&mut c, other);
    c.shows("1 marked");
    read(&mut c, swarm);
    c.shows("1 marked");
    c.press("\u{1b}");
    c.hides("marked");
    // A mark is taken away by the same key.
    c.press("2g ");
    c.shows("1 marked");
    c.press(" ");
    c.hides("marked");
    // A service stays marked in an application that is closed.
    c.press("2g\nj ");
    c.shows("1 marked");
    c.press("\u{1b}");
    c.hides("marked");
}

#[test]
fn volumes_snapshots_and_certificates_are_marked_and_copied() {
    let mut c = Console::new();
    c.press("3g j ");
    c.shows("3 Volumes 2 marked");
    let copied = Effect::Copy("blog_web-data\nold_data".into());
    assert_eq!(c.press("y"), [copied]);
    // Marks are those of their pane.
    c.press("4g j ");
    c.shows("4 Certificates 2 marked");
    let (_, request) = asked(&c.press(":renew\n"));
    let domain = "blog.example.org".into();
    assert_eq!(request, Request::RenewCertificate { domain });
    c.press("\u{1b}5g ");
    c.shows("this line can't be marked");
    c.press("j j ");
    c.shows("5 Backups 2 marked");
    let apps = vec![app_name("blog"), app_name("shop")];
    assert_eq!(asked(&c.press("b")).1, Request::Backup { apps });
}
