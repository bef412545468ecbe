//! Applications: deployed, scaled, removed, updated.

use jiff::SignedDuration;
use matou::job::{Change, Check, Confirm, JobEvent, JobId, JobOutcome};
use matou::model::{Datum, JobProgress, PageKind, ServiceMode, TaskState, Update};
use matou::ops::{FoundVersions, OwnVersion, Request, ServiceVersions};
use matou::registry::{NewerVersion, VersionStep};
use matou::stack::{AppLogin, EdgeSettings};
use matou::ui::fixture::{NOW, example_fleet};
use matou::ui::msg::Password;
use matou::ui::{Effect, Msg, update};

use crossterm::event::{KeyCode, KeyModifiers};

use crate::{Console, app_name, asked, plan};

#[test]
fn deploying_goes_from_catalogue_to_form_to_plan_to_job() {
    let mut c = Console::new();
    c.press("d");
    c.shows("Catalogue");
    let catalogue = matou::stack::Catalogue::load(None).expect("a catalogue");
    let mut entries = catalogue.list_entries().into_iter();
    let at = entries.position(|e| e.name == "hello").expect("hello");
    for _ in 0..at {
        c.key(KeyCode::Down, KeyModifiers::NONE);
    }
    c.press("\n");
    c.shows("Deploy Hello");
    // A required name that is empty is told.
    c.press("\u{8}\u{8}\u{8}\u{8}\u{8}");
    assert_eq!(c.press("\n\n\n"), []);
    c.shows("name is required");
    c.press("site\t\u{8}3\n");
    let (ticket, request) = asked(&c.press("\n"));
    let Request::Deploy {
        stack,
        app,
        variables,
        ..
    } = &request
    else {
        panic!("{request:?}");
    };
    assert_eq!((stack.as_str(), app.as_str()), ("hello", "site"));
    // What was left at its default is the stack file's business.
    assert_eq!(variables.len(), 1);
    assert_eq!(variables["REPLICAS"], "3");
    c.shows("reading what is there …");
    update(&mut c.0, Msg::Tick, NOW + SignedDuration::from_secs(7));
    c.shows("reading what is there, for 7 s …");
    // Nothing can be confirmed before there is a plan.
    assert_eq!(c.press("y"), []);
    let first = plan(Confirm::Ask, "service site_web");
    c.take(Msg::Planned {
        ticket,
        plan: Ok(first.clone()),
    });
    c.shows("+ service site_web");
    let run = |hash: String| Effect::Run {
        ticket,
        request: request.clone(),
        plan_hash: hash,
    };
    assert_eq!(c.press("y"), [run(first.hash())]);
    // Pressed twice, it runs once.
    assert_eq!(c.press("y"), []);
    // The fleet changed: the new plan is shown and asked for again.
    let second = plan(Confirm::Ask, "service site_web, differently");
    c.take(Msg::Planned {
        ticket,
        plan: Ok(second.clone()),
    });
    c.shows("The fleet changed meanwhile");
    assert_eq!(c.press("y"), [run(second.hash())]);
    c.take(Msg::JobStarted {
        id: JobId(1),
        request,
    });
    c.hides("Catalogue");
    c.shows("deploy hello as site");
}

#[test]
fn scaling_takes_a_number() {
    let mut c = Console::new();
    c.press("2js");
    c.shows("Scale blog_web");
    assert_eq!(c.press("\u{8}x\n"), []);
    c.shows("whole number");
    let (_, request) = asked(&c.press("\u{8}4\n"));
    let service = "blog_web".to_owned();
    assert_eq!(
        request,
        Request::Scale {
            service,
            replicas: 4
        }
    );
    // An application of several services says what to do.
    let mut c = Console::new();
    c.press("2s");
    c.shows("has several services");
}

/// The example fleet with its service `blog_web` made a job, of which one task is done.
fn console_with_job(mode: ServiceMode) -> Console {
    let mut fleet = example_fleet();
    let mut swarm = fleet.swarm.value().expect("a swarm").clone();
    let blog = &mut swarm.services[0];
    let mut tasks = swarm.tasks.iter_mut();
    let task = tasks.find(|t| t.service_id == blog.id).expect("a task");
    (task.state, task.desired) = (TaskState::Complete, TaskState::Complete);
    blog.mode = mode;
    let progress = JobProgress::count(mode, None, None, std::iter::once(&*task));
    blog.take_job_progress(progress);
    let datum = Datum::Swarm(Ok(swarm));
    fleet.apply(Update { at: NOW, datum });
    Console::on(fleet)
}

#[test]
fn a_job_that_is_done_says_so_and_is_scaled_by_its_completions() {
    let mut c = console_with_job(ServiceMode::ReplicatedJob(1));
    c.press("2/blog\n");
    c.shows("1/1 done");
    c.press("s");
    c.shows("Scale blog_web");
    let mut c = console_with_job(ServiceMode::ReplicatedJob(2));
    c.press("2/blog\n");
    c.shows("1/2 done");
    c.shows("1 of 2 done, none running yet");
    let mut c = console_with_job(ServiceMode::GlobalJob);
    c.press("2/blog\ns");
    c.shows("a global job runs once on every node that fits");
    let (_, request) = asked(&c.press("S"));
    let service = "blog_web".to_owned();
    assert_eq!(request, Request::Restart { service });
}

#[test]
fn removing_needs_the_whole_name() {
    let mut c = Console::new();
    let (ticket, request) = asked(&c.press("2x"));
    assert_eq!(request, Request::remove(app_name("shop")));
    let plan = plan(Confirm::TypeName("shop".into()), "gone");
    c.take(Msg::Planned {
        ticket,
        plan: Ok(plan.clone()),
    });
    assert_eq!(c.press("\n"), []);
    assert_eq!(c.press("shpo\n"), []);
    let effects = c.press("\u{8}\u{8}op\n");
    assert!(matches!(&effects[..], [Effect::Run { plan_hash, .. }] if *plan_hash == plan.hash()));
    // Esc at any time leaves everything as it is.
    let mut c = Console::new();
    let (ticket, _) = asked(&c.press("2x"));
    c.take(Msg::Planned {
        ticket,
        plan: Ok(plan),
    });
    c.press("shop\u{1b}");
    c.hides("Type shop");
}

#[test]
fn a_plan_that_can_not_be_applied_can_not_be_confirmed() {
    let mut c = Console::new();
    let (ticket, _) = asked(&c.press("2jS"));
    let mut blocked = plan(Confirm::Ask, "x");
    blocked.stages[0].nodes[0].steps[0].check =
        Ok(Check::Change(vec![Change::decide("whose disk?")]));
    c.take(Msg::Planned {
        ticket,
        plan: Ok(blocked),
    });
    c.shows("This can't be done: ! whose disk?");
    assert_eq!(c.press("y\n"), []);
}

#[test]
fn applications_are_deployed_again_and_services_taken_back() {
    let mut c = Console::new();
    let again = Request::redeploy(app_name("shop"));
    assert_eq!(asked(&c.press("2:redeploy\n")).1, again);
    let mut c = Console::new();
    let adopted = Request::adopt(vec![app_name("shop")]);
    assert_eq!(asked(&c.press("2t")).1, adopted);
    let mut c = Console::new();
    let service = "blog_web".to_owned();
    assert_eq!(asked(&c.press("2jU")).1, Request::Rollback { service });
    // Of a certificate the chain is copied.
    let mut c = Console::new();
    match c.press("4jy").as_slice() {
        [Effect::Copy(text)] => assert!(text.starts_with("-----BEGIN CERTIFICATE-----")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn newer_versions_are_listed_and_chosen() {
    let mut c = Console::new();
    let ticket = match c.press("2u").as_slice() {
        [Effect::FindNewerVersions { ticket, app }] if app == "shop" => *ticket,
        other => panic!("{other:?}"),
    };
    c.shows("asking the registries");
    let newer = |tag: &str, step| NewerVersion {
        tag: tag.into(),
        step,
    };
    let found = vec![
        ServiceVersions {
            service: "db".into(),
            image: "mariadb:11.4".into(),
            newer: Err("the registry docker.io can't be reached: no route".into()),
        },
        ServiceVersions {
            service: "web".into(),
            image: "prestashop/prestashop:9.0".into(),
            newer: Ok(vec![
                newer("10.0", VersionStep::Major),
                newer("9.1", VersionStep::Minor),
            ]),
        },
    ];
    let found = |own| FoundVersions {
        images: found.clone(),
        own,
    };
    c.take(Msg::NewerVersions {
        ticket,
        found: Ok(found(None)),
    });
    c.shows("major: read its notes");
    c.shows("can't be reached");
    // A heading is no choice.
    assert_eq!(c.press("j\n"), []);
    let (_, request) = asked(&c.press("jjjj\n"));
    let image = "prestashop/prestashop:9.1".to_owned();
    let wanted = Request::Update {
        app: app_name("shop"),
        images: [("web".to_owned(), image)].into(),
    };
    assert_eq!(request, wanted);
    // The first line deploys it again.
    let mut c = Console::new();
    c.press("2u");
    assert_eq!(asked(&c.press("\n")).1, Request::redeploy(app_name("shop")));
    // An answer that comes late goes nowhere.
    c.take(Msg::NewerVersions {
        ticket,
        found: Ok(found(None)),
    });
    // One whose code is in its volume.
    let mut c = Console::new();
    let ticket = match c.press("2u").as_slice() {
        [Effect::FindNewerVersions { ticket, .. }] => *ticket,
        other => panic!("{other:?}"),
    };
    let own = OwnVersion {
        version: "5.4.1".into(),
        how: "it fetches its code".into(),
        updates_itself: true,
    };
    c.take(Msg::NewerVersions {
        ticket,
        found: Ok(found(Some(Ok(own)))),
    });
    c.shows("it says itself that it is 5.4.1");
    let app = app_name("shop");
    assert_eq!(asked(&c.press("j\n")).1, Request::SelfUpdate { app });
}

#[test]
fn a_password_goes_to_the_clipboard_and_is_shown_nowhere() {
    let mut c = Console::new();
    assert_eq!(c.press("2Y"), []);
    c.shows("made no password");
    let login = AppLogin {
        secret: Some("admin_password".into()),
        ..AppLogin::default()
    };
    c.take(Msg::Logins([("shop".to_owned(), login)].into()));
    c.shows("Y copies the password");
    let (app, secret) = ("shop".to_owned(), "admin_password".to_owned());
    assert_eq!(c.press("Y"), [Effect::ReadPassword { app, secret }]);
    let password = Password("s3cret-of-the-shop".to_owned().into());
    let message = Msg::PasswordRead(password.clone());
    assert!(!format!("{message:?}").contains("s3cret"));
    assert_eq!(c.take(message), [Effect::CopyPassword(password)]);
}

#[test]
fn applications_are_placed_switched_and_certificates_renewed() {
    let mut c = Console::new();
    c.press("2j:place\n");
    let place = |to: Option<&str>| Request::Place {
        app: app_name("blog"),
        to: to.map(str::to_owned),
    };
    assert_eq!(asked(&c.press("worker-01\n")).1, place(Some("worker-01")));
    let mut c = Console::new();
    assert_eq!(asked(&c.press("2j:place\nanywhere\n")).1, place(None));
    let to = |apps: &[&str]| Request::Move {
        apps: apps.iter().copied().map(app_name).collect(),
        to: "/new/config.toml".into(),
    };
    let mut c = Console::new();
    c.press("2j:move\n");
    assert_eq!(asked(&c.press("/new/config.toml\n")).1, to(&["blog"]));
    let mut c = Console::new();
    c.press(":move-all\n");
    assert_eq!(asked(&c.press("/new/config.toml\n")).1, to(&[]));
    let mut c = Console::new();
    c.press("2j:switch\n");
    assert_eq!(c.press("yes\n\n\n"), []);
    c.shows("headers are on or off");
    let (_, request) = asked(&c.press("\u{8}\u{8}\u{8}on\n50\n\n"));
    let switches = EdgeSettings {
        headers: Some(true),
        rate_limit: Some(50),
        ..EdgeSettings::default()
    };
    let app = app_name("blog");
    assert_eq!(request, Request::Switch { app, switches });
    let page = |kind| Request::Page {
        app: app_name("blog"),
        kind,
        html: None,
        allow: Vec::new(),
    };
    let mut c = Console::new();
    c.press("2j:page\n");
    assert_eq!(c.press("on\n"), []);
    c.shows("page is maintenance, suspended or off");
    let (_, request) = asked(&c.press("\u{8}\u{8}suspended\n"));
    assert_eq!(request, page(Some(PageKind::Suspended)));
    let mut c = Console::new();
    assert_eq!(asked(&c.press("2j:page\noff\n")).1, page(None));
    let mut c = Console::new();
    let domain = "blog.example.org".to_owned();
    let wanted = Request::RenewCertificate { domain };
    assert_eq!(asked(&c.press("4j:renew\n")).1, wanted);
    let mut c = Console::new();
    c.press("2:renew\n");
    c.shows("select a certificate first");
}

#[test]
fn the_catalogue_is_searched_by_name_kind_and_words() {
    let mut c = Console::new();
    c.press("d");
    c.shows("Catalogue ");
    // What is typed into the search moves and closes nothing.
    c.press("/jq");
    c.shows("nothing matches; Esc ends the search");
    c.press("\u{8}\u{8}newsletters");
    c.shows("/newsletters_");
    c.shows("listmonk");
    c.hides("nextcloud");
    c.press("\u{1b}/monitoring");
    c.shows("logs");
    c.press("\u{1b}");
    c.shows("nextcloud");
    // A letter begins the search, and Enter opens what is selected.
    c.press("hello\n");
    c.shows("Deploy Hello");
    c.press("\u{1b}");
    c.shows("/hello");
    c.press("\u{1b}\u{1b}");
    c.hides("Catalogue");
}

#[test]
fn an_application_says_how_one_logs_in() {
    let mut c = Console::new();
    let login = AppLogin {
        url: "https://blog.example.org/ghost/".into(),
        user: "admin@example.org".into(),
        secret: Some("admin_password".into()),
        is_guarded: true,
        ..AppLogin::default()
    };
    c.take(Msg::Logins([("blog".to_owned(), login)].into()));
    c.press("2j");
    c.shows("log in at https://blog.example.org/ghost/ as admin@example.org");
    c.shows("matou secrets blog show admin_password");
    c.shows("matou secrets blog show guard_password");
    // That of one application is not shown with another.
    c.press("k");
    c.hides("log in at");
}

#[test]
fn a_form_checks_a_value_when_its_field_is_left() {
    let mut c = Console::new();
    c.press("dcryptpad\n");
    c.shows("Deploy");
    // The name is well, the domain is not.
    c.press("\tnot a domain\t");
    c.shows("is wrong: it must be a domain, as");
    c.press(&"\u{8}".repeat(12));
    c.press("pad.example.org\t");
    c.hides("is wrong");
}

#[test]
fn the_form_of_a_job_that_failed_is_opened_again_with_its_values() {
    let mut c = Console::new();
    let request = Request::Deploy {
        stack: "hello".into(),
        app: app_name("site"),
        variables: [("REPLICAS".to_owned(), "7".to_owned())].into(),
        names: Default::default(),
    };
    let id = JobId(1);
    c.take(Msg::JobStarted { id, request });
    let event = JobEvent::Finished {
        outcome: JobOutcome::Failed {
            reason: "no".into(),
        },
        took: std::time::Duration::ZERO,
    };
    c.take(Msg::Job { id, event });
    c.press("\u{1b}JE");
    c.shows("Deploy Hello");
    c.shows("site");
    c.shows("7");
}

/// The example's swarm, with these tasks of the second slot of shop_web: each an error, and minutes ago.
fn swarm_with_failures(failed: &[(&str, i64)]) -> Msg {
    let mut swarm = example_fleet().swarm.value().expect("a swarm").clone();
    let at = swarm.tasks.iter().position(|t| t.has_failed());
    let at = at.expect("a task that failed");
    let old = swarm.tasks.remove(at);
    for (place, (error, minutes)) in failed.iter().enumerate() {
        let mut task = old.clone();
        task.id = format!("t-{error}");
        task.error = (*error).into();
        task.since = Some(NOW - SignedDuration::from_mins(*minutes));
        swarm.tasks.insert(at + place, task);
    }
    let datum = Datum::Swarm(Ok(swarm));
    Msg::Fleet(Update { at: NOW, datum })
}

#[test]
fn the_last_failure_stays_known_when_the_swarm_forgets_it() {
    let mut c = Console::new();
    c.press("2/shop\n");
    c.shows("failed once, 2026-11-23 12:00 (2 h ago): task: non-zero exit (1)");
    c.take(swarm_with_failures(&[("the new one", 10)]));
    c.shows("failed 2 times since 2026-11-23 12:00, last 2026-11-23 13:50");
    // Read again it counts once.
    c.take(swarm_with_failures(&[("the new one", 10)]));
    c.shows("failed 2 times since");
    c.take(swarm_with_failures(&[]));
    c.shows("failed 2 times since 2026-11-23 12:00, last 2026-11-23 13:50");
    c.shows("the new one");
    // Another service's are not its own.
    c.press("\u{1b}/blog\n");
    c.hides("failed");
}

#[test]
fn the_overview_has_five_tasks_of_a_slot_and_the_list_the_newest_that_failed() {
    let failed: Vec<(String, i64)> = (1..=6).map(|n| (format!("reason{n}"), n)).collect();
    let failed: Vec<(&str, i64)> = failed.iter().map(|(e, n)| (e.as_str(), *n)).collect();
    let mut c = Console::new();
    c.take(swarm_with_failures(&failed));
    c.press("2/shop\n");
    for n in 1..=5 {
        c.shows(&format!("reason{n}"));
    }
    c.hides("reason6");
    // Opened to its tasks: one of the first slot, one of the second.
    c.press("\njj\n");
    let screen = c.screen();
    assert_eq!(screen.matches("○ web.2").count(), 1, "{screen}");
}
