//! Alerts: ignored, cured, rung for.

use jiff::SignedDuration;
use matou::config::{Config, NotifyMethod};
use matou::job::{Change, Check, Confirm, StepPlan};
use matou::model::{Datum, ExternalAlert, NodeLink, Update};
use matou::ui::fixture::{self, NOW, THEME};
use matou::ui::msg::LogSource;
use matou::ui::{Effect, Msg, update};

use crate::Console;

#[test]
fn an_alert_is_ignored_for_a_time_and_kept_so() {
    let mut c = Console::new();
    c.shows("3 alerts");
    c.press("a");
    assert_eq!(c.press("i"), []);
    c.shows("a until it is over");
    // Any other key leaves things as they are.
    assert_eq!(c.press("z"), []);
    c.shows("3 alerts");
    let effects = c.press("i8");
    let [Effect::SaveLedger(ledger)] = &effects[..] else {
        panic!("{effects:?}");
    };
    let until = ledger.silences.values().next().and_then(|s| s.until);
    assert_eq!(until, Some(NOW + SignedDuration::from_hours(8)));
    c.shows("2 alerts");
    c.shows("(ignored)");
    // It is the last one now.
    c.press("Giu");
    c.shows("3 alerts");
}

#[test]
fn the_key_of_the_cure_goes_there_and_does_it() {
    let mut c = Console::new();
    c.press("ajj");
    c.shows("l its log");
    let effects = c.press("l");
    let Some(Effect::FollowLogs { source, .. }) = effects.first() else {
        panic!("{effects:?}");
    };
    assert!(matches!(source, LogSource::Services { name, .. } if name == "shop_web"));
}

#[test]
fn an_alert_that_begins_rings_once_where_it_is_wanted() {
    let down = |c: &mut Console| {
        let link = NodeLink::Down {
            reason: "no route to host".into(),
            since: NOW - SignedDuration::from_mins(5),
        };
        let datum = Datum::Link {
            node: "worker-01".into(),
            link,
        };
        c.take(Msg::Fleet(Update { at: NOW, datum }))
    };
    let alarms = |effects: &[Effect]| {
        effects
            .iter()
            .filter(|e| matches!(e, Effect::Alarm { .. }))
            .count()
    };
    let mut quiet = Console::new();
    assert_eq!(alarms(&down(&mut quiet)), 0);
    let mut config = Config::this_machine().alerts;
    config.bell = true;
    let mut c = Console(fixture::example_app_with_alerts(
        fixture::example_fleet(),
        THEME,
        config,
    ));
    let effects = down(&mut c);
    assert_eq!(alarms(&effects), 1);
    let text = "chaton: worker-01: no route to host";
    assert!(effects.contains(&Effect::Alarm {
        text: text.into(),
        bell: true,
        notify: NotifyMethod::Off,
    }));
    assert_eq!(alarms(&down(&mut c)), 0);
    // And that it is over is told.
    let up = Datum::Link {
        node: "worker-01".into(),
        link: NodeLink::Up,
    };
    c.take(Msg::Fleet(Update { at: NOW, datum: up }));
    update(&mut c.0, Msg::Tick, NOW + SignedDuration::from_secs(11));
    c.shows("over: worker-01: no route to host");
}

/// Alerts come and go while the operator is asked.
#[test]
fn the_alert_that_was_selected_is_ignored_and_no_other() {
    let silenced = |effects: &[Effect]| match effects {
        [Effect::SaveLedger(ledger)] => ledger.silences.keys().cloned().collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let mut c = Console::new();
    let alone = silenced(&c.press("aGiw"));
    let mut c = Console::new();
    c.press("aGi");
    for node in ["master", "worker-01"] {
        let link = NodeLink::Down {
            reason: "no route to host".into(),
            since: NOW - SignedDuration::from_mins(5),
        };
        let node = node.into();
        let datum = Datum::Link { node, link };
        c.take(Msg::Fleet(Update { at: NOW, datum }));
    }
    assert_eq!(silenced(&c.press("w")), alone);
}

/// An alert of somebody's own rule says neither node nor application.
#[test]
fn a_remedy_acts_on_no_row_but_the_one_of_its_alert() {
    let mut c = Console::new();
    let alert = ExternalAlert {
        fingerprint: "f".into(),
        summary: "the queue is long".into(),
        since: Some(NOW),
        labels: [("alertname".to_owned(), "Queue".to_owned())].into(),
    };
    let datum = Datum::ExternalAlerts(Ok(vec![alert]));
    c.take(Msg::Fleet(Update { at: NOW, datum }));
    c.press("1a");
    let mut places = 0;
    while !c.screen().contains("e a shell there") {
        c.press("j");
        places += 1;
        assert!(places < 10, "{}", c.screen());
    }
    assert_eq!(c.press("e"), []);
    c.shows("is in none of the panes");
}

/// Moves to the alert of this name and kind of cure, and presses Enter.
fn open_alert(c: &mut Console, what: &str) -> Vec<Effect> {
    c.press("a");
    for _ in 0..20 {
        let screen = c.screen();
        if screen.lines().any(|l| l.contains("▸ ") && l.contains(what)) {
            return c.press("\n");
        }
        c.press("j");
    }
    panic!("no alert of {what}: {}", c.screen());
}

/// The tab that was used last has nothing to say of it.
#[test]
fn enter_on_an_alert_opens_the_tab_that_shows_its_cause() {
    let mut c = Console::new();
    c.press("2]]");
    open_alert(&mut c, "shop_web");
    c.shows("non-zero exit");
    c.shows("updated");
    // The disk of a node is full.
    open_alert(&mut c, "worker-02");
    c.shows("Storage");
    let storage = c.screen();
    assert!(!storage.contains("updated"), "{storage}");
}

/// The list of what differs is one key away, and its differences come first.
#[test]
fn drift_says_in_how_much_and_leads_to_the_list() {
    let mut c = Console::new();
    let same = (1..=40).map(|n| Change::same(format!("package {n}")));
    let warned = Change::same("Debian 14").with_warning("it was not tested on that");
    let differing = ["port 22", "port 80", "port 443"].map(Change::add);
    let step = |step: &str, check: Check| StepPlan {
        step: step.into(),
        check: Ok(check),
        unreachable: false,
    };
    let mut plan = crate::plan(Confirm::Ask, "nothing");
    plan.stages[0].nodes[0].steps = vec![
        step("packages", Check::Done(same.collect())),
        step("base", Check::Done(vec![warned])),
        step("firewall", Check::Change(differing.into())),
    ];
    let audits = Vec::new();
    c.take(Msg::Compared {
        plan: Ok(plan),
        audits,
    });
    open_alert(&mut c, "drift");
    let small = c.screen_of(80, 24);
    assert!(small.contains("+ port 22"), "{small}");
    let screen = c.screen_of(80, 60);
    let at = |text: &str| screen.find(text);
    assert!(at("+ port 443") < at("! Debian 14"), "{screen}");
    assert!(at("! Debian 14") < at("package 1"), "{screen}");
    c.shows("41 as wanted, 3 to add");
    c.press("a");
    c.shows("master is not what config.toml says: 3 differences");
}

fn without_edge(c: &mut Console) {
    let reason = "nothing takes https for the fleet".to_owned();
    let datum = Datum::Probes(Err(reason.into()));
    c.take(Msg::Fleet(Update { at: NOW, datum }));
}

#[test]
fn the_alert_of_the_edge_leads_to_its_form() {
    for key in ["\n", "d"] {
        let mut c = Console::new();
        without_edge(&mut c);
        c.press("a");
        while !c.screen().contains("d deploy the edge") {
            c.press("j");
        }
        c.press(key);
        c.shows("Deploy Traefik");
    }
}

#[test]
fn the_alert_of_an_edge_that_is_there_leads_to_its_service() {
    let mut fleet = fixture::example_fleet();
    let mut swarm = fleet.swarm.value().cloned().expect("a swarm");
    swarm.services[0].ports = vec!["443:443/tcp".into()];
    let datum = Datum::Swarm(Ok(swarm));
    fleet.apply(Update { at: NOW, datum });
    let mut c = Console::on(fleet);
    without_edge(&mut c);
    open_alert(&mut c, "edge");
    c.shows("blog_web ─ Overview");
    c.hides("Deploy Traefik");
}

#[test]
fn the_log_of_what_never_ran_says_why() {
    let mut fleet = fixture::example_fleet();
    let mut swarm = fleet.swarm.value().cloned().expect("a swarm");
    let id = swarm.services[0].id.clone();
    for task in swarm.tasks.iter_mut().filter(|t| t.service_id == id) {
        task.container_id = None;
        task.state = matou::model::TaskState::Rejected;
        task.error = "No such image: ghost:6".into();
    }
    let datum = Datum::Swarm(Ok(swarm));
    fleet.apply(Update { at: NOW, datum });
    let mut c = Console::on(fleet);
    c.press("2jl");
    c.shows("no container has started: No such image: ghost:6");
    c.hides("waiting for lines");
}
