//! Keys, and what they ask for.

use std::time::Duration;

use crossterm::event::{
    Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent,
    MouseEventKind,
};
use jiff::SignedDuration;
use matou::collect::AccessNews;
use matou::config::{Config, Notify};
use matou::job::{
    Change, Check, Confirm, Event, JobId, NodePlan, Outcome, Plan, StagePlan, StepPlan,
};
use matou::model::{
    Access, Availability, Ban, Datum, Entry, EntryKind, Fleet, Intrusion, Link, Listing, LogRecord,
    NodeBans, NodeIntrusions, Update,
};
use matou::ops::{Request, RestoreTo, RestoreWhat, ServiceVersions, ShellTarget};
use matou::registry::{Newer, Step};
use matou::stack::Switches;
use matou::ui::fixture::{self, NOW, THEME};
use matou::ui::msg::{LogSource, Look, Seen, Ticket};
use matou::ui::{App, Effect, Msg, update, view};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

struct Console(App);

impl Console {
    fn new() -> Self {
        Self::on(fixture::fleet())
    }

    fn on(fleet: Fleet) -> Self {
        let mut console = Self(fixture::app(fleet, THEME));
        // The mouse needs to know where things are.
        console.screen();
        console
    }

    fn key(&mut self, code: KeyCode, modifiers: KeyModifiers) -> Vec<Effect> {
        let event = TerminalEvent::Key(KeyEvent::new(code, modifiers));
        self.take(Msg::Terminal(event))
    }

    fn take(&mut self, msg: Msg) -> Vec<Effect> {
        update(&mut self.0, msg, NOW)
    }

    /// Types; `\n` is Enter, `\u{1b}` Esc, `\u{8}` Backspace, `\t` Tab.
    fn press(&mut self, keys: &str) -> Vec<Effect> {
        keys.chars()
            .flat_map(|c| {
                let code = match c {
                    '\n' => KeyCode::Enter,
                    '\u{1b}' => KeyCode::Esc,
                    '\u{8}' => KeyCode::Backspace,
                    '\t' => KeyCode::Tab,
                    c => KeyCode::Char(c),
                };
                self.key(code, KeyModifiers::NONE)
            })
            .collect()
    }

    fn control(&mut self, c: char) -> Vec<Effect> {
        self.key(KeyCode::Char(c), KeyModifiers::CONTROL)
    }

    fn screen(&mut self) -> String {
        self.screen_of(120, 40)
    }

    fn screen_of(&mut self, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a backend");
        terminal.draw(|f| view(&mut self.0, f)).expect("drawn");
        terminal.backend().to_string()
    }

    #[track_caller]
    fn shows(&mut self, text: &str) {
        let screen = self.screen();
        assert!(screen.contains(text), "{text:?} is not on\n{screen}");
    }

    #[track_caller]
    fn hides(&mut self, text: &str) {
        let screen = self.screen();
        assert!(!screen.contains(text), "{text:?} is on\n{screen}");
    }
}

#[track_caller]
fn asked(effects: &[Effect]) -> (Ticket, Request) {
    match effects {
        [Effect::Plan { ticket, request }] => (*ticket, request.clone()),
        other => panic!("no plan was asked for: {other:?}"),
    }
}

fn plan(confirm: Confirm, what: &str) -> Plan {
    Plan {
        keep_going: false,
        title: "a job".into(),
        confirm,
        stages: vec![StagePlan {
            title: "a job".into(),
            nodes: vec![NodePlan {
                node: "master".into(),
                steps: vec![StepPlan {
                    step: "step".into(),
                    check: Ok(Check::Change(vec![Change::add(what)])),
                }],
            }],
        }],
    }
}

#[test]
fn deploying_goes_from_catalogue_to_form_to_plan_to_job() {
    let mut c = Console::new();
    c.press("d");
    c.shows("Catalogue");
    // The fifth of the catalogue.
    c.press("jjjj\n");
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
    c.press("2s");
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
    c.press("2js");
    c.shows("has several services");
}

#[test]
fn removing_needs_the_whole_name() {
    let mut c = Console::new();
    let (ticket, request) = asked(&c.press("2jx"));
    assert_eq!(request, Request::remove("shop".into()));
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
    let (ticket, _) = asked(&c.press("2jx"));
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
    let (ticket, _) = asked(&c.press("2S"));
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
fn a_node_is_drained_by_menu_and_by_palette() {
    let node = "worker-01".to_owned();
    let drain = Request::Availability {
        node,
        to: Availability::Drain,
    };
    let mut c = Console::new();
    assert_eq!(asked(&c.press("1jmd")).1, drain);
    let mut c = Console::new();
    assert_eq!(asked(&c.press("1j:drain\n")).1, drain);
    let mut c = Console::new();
    c.press("2:drain\n");
    c.shows("select a node first");
}

#[test]
fn provisioning_takes_the_selected_node_or_all() {
    let of = |c: &mut Console, keys: &str| match asked(&c.press(keys)).1 {
        Request::Provision { options } => options.nodes,
        other => panic!("{other:?}"),
    };
    let mut c = Console::new();
    assert_eq!(of(&mut c, "1jp"), ["worker-01"]);
    let mut c = Console::new();
    assert_eq!(of(&mut c, "1jP"), [""; 0]);
    let mut c = Console::new();
    assert_eq!(of(&mut c, "2p"), [""; 0]);
    // The menu's other jobs ask for plans of their own.
    let node = || "worker-01".to_owned();
    for (key, wanted) in [
        ("r", Request::Reboot { node: node() }),
        ("u", Request::Upgrade { node: node() }),
        ("l", Request::Leave { node: node() }),
        ("x", Request::RemoveNode { node: node() }),
    ] {
        let mut c = Console::new();
        assert_eq!(asked(&c.press(&format!("1jm{key}"))).1, wanted);
    }
}

#[test]
fn applications_are_deployed_again_and_services_taken_back() {
    let mut c = Console::new();
    let again = Request::redeploy("shop".into());
    assert_eq!(asked(&c.press("2j:redeploy\n")).1, again);
    let mut c = Console::new();
    let service = "blog_web".to_owned();
    assert_eq!(asked(&c.press("2U")).1, Request::Rollback { service });
    // Of a certificate the chain is copied.
    let mut c = Console::new();
    match c.press("4y").as_slice() {
        [Effect::Copy(text)] => assert!(text.starts_with("-----BEGIN CERTIFICATE-----")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn newer_versions_are_listed_and_chosen() {
    let mut c = Console::new();
    let ticket = match c.press("2ju").as_slice() {
        [Effect::Newer { ticket, app }] if app == "shop" => *ticket,
        other => panic!("{other:?}"),
    };
    c.shows("asking the registries");
    let newer = |tag: &str, step| Newer {
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
            newer: Ok(vec![newer("10.0", Step::Major), newer("9.1", Step::Minor)]),
        },
    ];
    c.take(Msg::Newer {
        ticket,
        found: Ok(found.clone()),
    });
    c.shows("major: read its notes");
    c.shows("can't be reached");
    // A heading is no choice.
    assert_eq!(c.press("j\n"), []);
    let (_, request) = asked(&c.press("jjjj\n"));
    let image = "prestashop/prestashop:9.1".to_owned();
    let wanted = Request::Update {
        app: "shop".into(),
        images: [("web".to_owned(), image)].into(),
    };
    assert_eq!(request, wanted);
    // The first line deploys it again.
    let mut c = Console::new();
    c.press("2ju");
    assert_eq!(asked(&c.press("\n")).1, Request::redeploy("shop".into()));
    // An answer that comes late goes nowhere.
    c.take(Msg::Newer {
        ticket,
        found: Ok(found),
    });
}

#[test]
fn applications_are_placed_switched_and_certificates_renewed() {
    let mut c = Console::new();
    c.press("2:place\n");
    let place = |to: Option<&str>| Request::Place {
        app: "blog".into(),
        to: to.map(str::to_owned),
    };
    assert_eq!(asked(&c.press("worker-01\n")).1, place(Some("worker-01")));
    let mut c = Console::new();
    assert_eq!(asked(&c.press("2:place\nanywhere\n")).1, place(None));
    let to = |apps: &[&str]| Request::Move {
        apps: apps.iter().map(|&a| a.to_owned()).collect(),
        to: "/new/config.toml".into(),
    };
    let mut c = Console::new();
    c.press("2:move\n");
    assert_eq!(asked(&c.press("/new/config.toml\n")).1, to(&["blog"]));
    let mut c = Console::new();
    c.press(":move-all\n");
    assert_eq!(asked(&c.press("/new/config.toml\n")).1, to(&[]));
    let mut c = Console::new();
    c.press("2:switch\n");
    assert_eq!(c.press("yes\n\n\n"), []);
    c.shows("headers are on or off");
    let (_, request) = asked(&c.press("\u{8}\u{8}\u{8}on\n50\n\n"));
    let switches = Switches {
        headers: Some(true),
        rate_limit: Some(50),
        ..Switches::default()
    };
    let app = "blog".to_owned();
    assert_eq!(request, Request::Switch { app, switches });
    let mut c = Console::new();
    let domain = "blog.example.org".to_owned();
    let wanted = Request::RenewCertificate { domain };
    assert_eq!(asked(&c.press("4:renew\n")).1, wanted);
    let mut c = Console::new();
    c.press("2:renew\n");
    c.shows("select a certificate first");
}

#[test]
fn a_decision_is_taken_by_typing_it_and_makes_a_new_plan() {
    let mut c = Console::new();
    let (ticket, _) = asked(&c.press("1p"));
    let mut open = plan(Confirm::Ask, "swap file of 2 GiB");
    let question = Change::ask("/dev/sdb holds data", "/dev/sdb");
    open.stages[0].nodes[0].steps[0].check = Ok(Check::Change(vec![question]));
    c.take(Msg::Planned {
        ticket,
        plan: Ok(open),
    });
    c.shows("/dev/sdb holds data");
    // Something else decides nothing, and neither does y.
    assert_eq!(c.press("/dev/sdc\n"), []);
    c.press("\u{8}");
    let (again, request) = asked(&c.press("b\n"));
    assert_eq!(again, ticket);
    let Request::Provision { options } = &request else {
        panic!("{request:?}");
    };
    assert_eq!(options.accept, ["/dev/sdb"]);
    let plan = plan(Confirm::Ask, "volume group over /dev/sdb");
    let plan_hash = plan.hash();
    c.take(Msg::Planned {
        ticket,
        plan: Ok(plan),
    });
    let run = Effect::Run {
        ticket,
        request,
        plan_hash,
    };
    assert_eq!(c.press("y"), [run]);
}

#[test]
fn the_selection_stays_on_the_same_thing_when_rows_come_and_go() {
    let mut c = Console::new();
    c.press("2j");
    c.shows("● ▸ blog");
    let mut swarm = fixture::fleet().swarm.value().expect("read").clone();
    let mut new = swarm.services[0].clone();
    new.id = "s-aaa".into();
    new.name = "aaa_web".into();
    new.stack = Some("aaa".into());
    swarm.services.insert(0, new);
    let datum = Datum::Swarm(Ok(swarm));
    c.take(Msg::Fleet(Update { at: NOW, datum }));
    assert_eq!(asked(&c.press("x")).1, Request::remove("shop".into()));
}

#[test]
fn a_filter_is_live_and_esc_ends_it() {
    let mut c = Console::new();
    c.press("2/shp");
    c.shows("1 of 2");
    c.hides("1/1 blog");
    c.press("\n");
    c.shows("1 of 2");
    c.press("\u{1b}");
    c.shows("1/1 blog");
}

#[test]
fn a_log_is_followed_while_it_is_seen() {
    let mut c = Console::new();
    let effects = c.press("2l");
    let [Effect::FollowLogs { ticket, source }] = &effects[..] else {
        panic!("{effects:?}");
    };
    let ids = vec!["s-blog-web".to_owned()];
    assert_eq!(
        *source,
        LogSource::Services {
            ids,
            name: "blog".into()
        }
    );
    // Another selection: another log.
    let effects = c.press("\u{1b}j");
    assert_eq!(effects[0], Effect::StopLogs(*ticket));
    assert!(matches!(effects[1], Effect::FollowLogs { .. }));
    // Another tab: none.
    assert!(matches!(c.press("[")[..], [Effect::StopLogs(_)]));
    // A node's journal.
    let effects = c.press("1l");
    let node = "master".to_owned();
    let journal = LogSource::Journal { node, unit: None };
    assert!(matches!(&effects[..], [Effect::FollowLogs { source, .. }] if *source == journal));
    let effects = c.press("o");
    let [Effect::Save { path, .. }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(
        path.to_string_lossy().starts_with("master-journal-"),
        "{path:?}"
    );
}

#[test]
fn requests_are_followed_while_they_are_seen_and_filtered_as_typed() {
    let mut c = Console::new();
    let effects = c.press("2A");
    let [Effect::FollowAccess { ticket, routes }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(
        (&*routes.name, &*routes.hosts),
        ("blog", &["blog.example.org".to_owned()][..])
    );
    let request = |i: i64, status| Access {
        at: NOW - SignedDuration::from_secs(600 - i),
        status,
        method: "GET".into(),
        host: "blog.example.org".into(),
        path: format!("/page-{i}?x=1").into(),
        duration: Duration::from_millis(i as u64 * 10),
        client: "203.0.113.7".into(),
        user: "".into(),
        router: "blog@swarm".into(),
    };
    let ticket = *ticket;
    let send = |c: &mut Console, i: std::ops::Range<i64>| {
        let requests = i.map(|i| request(i, if i == 7 { 503 } else { 200 }));
        let news = AccessNews::Requests(requests.collect());
        c.take(Msg::Access { ticket, news });
    };
    send(&mut c, 0..100);
    c.shows("/page-99?x=1");
    c.shows("100 requests");
    c.shows("1 of 5xx, 1.0 %");
    // The newest are seen, until it is paused.
    send(&mut c, 100..101);
    c.shows("/page-100?x=1");
    c.press(" ");
    send(&mut c, 101..102);
    c.hides("/page-101?x=1");
    c.press("f");
    c.shows("/page-101?x=1");
    c.press("/5xx");
    c.shows("1 of 102 requests, /5xx_");
    c.shows("/page-7?x=1");
    // Typed keys are text: this is no quitting.
    c.press("\u{8}\u{8}\u{8}>1s q");
    c.shows("nothing matches");
    c.press("\n\u{1b}");
    c.shows("102 requests");
    c.press("/>1s\n");
    c.shows("1 of 102 requests");
    let effects = c.press("o");
    let [Effect::Save { path, text }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(
        path.to_string_lossy().starts_with("blog-access-"),
        "{path:?}"
    );
    assert!(
        text.ends_with(" 200 GET blog.example.org/page-101?x=1 1.0 s 203.0.113.7\n"),
        "{text}"
    );
    // Another selection, other requests.
    let effects = c.press("\u{1b}\u{1b}j");
    assert_eq!(effects[0], Effect::StopLogs(ticket));
    assert!(matches!(&effects[1], Effect::FollowAccess { routes, .. } if routes.name == "shop"));
    // By its name too.
    let mut c = Console::new();
    let effects = c.press("2:access\n");
    assert!(matches!(&effects[..], [Effect::FollowAccess { .. }]));
    let mut c = Console::new();
    c.press("1A");
    c.shows("select an application");
}

#[test]
fn the_log_store_is_asked_for_what_was_typed() {
    let mut c = Console::new();
    // `q` is a letter while a query is typed.
    let effects = c.press("2Lq error\n");
    let [Effect::Search { ticket, search }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(search.query, "q error");
    assert!(search.app.is_some() && search.since.is_none());
    let late = *ticket;
    // Tab asks for all; the answer to the first question is late then.
    let effects = c.press("\t");
    let [Effect::Search { ticket, search }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(search.app, None);
    let record = |line: &str| LogRecord {
        at: Some(NOW),
        node: "master".into(),
        app: "shop_web".into(),
        line: line.into(),
        fields: vec![("PRIORITY".into(), "6".into())],
    };
    c.take(Msg::Found {
        ticket: late,
        found: Ok(vec![record("of the first question")]),
    });
    c.shows("asking the log store");
    c.take(Msg::Found {
        ticket: *ticket,
        found: Ok(vec![record("older line"), record("newest line")]),
    });
    c.shows("older line");
    c.press("\n");
    c.shows("PRIORITY: 6");
    c.shows("newest line");
    // Back to the query, which stands there as it was.
    c.press("\u{1b}/s");
    c.shows("/ q errors");
    assert!(matches!(c.press("\n")[..], [Effect::Search { .. }]));
}

#[test]
fn who_was_seen_is_let_in_again_only_when_shut_out() {
    let mut c = Console::new();
    let effects = c.press("I");
    let [Effect::Intrusions { ticket }] = effects[..] else {
        panic!("{effects:?}");
    };
    c.shows("asking the nodes");
    let seen = |source: &str, rule: &str| Intrusion {
        at: NOW,
        signature: format!("signature {rule}"),
        rule: rule.into(),
        category: "Attack".into(),
        severity: 1,
        source: source.parse().unwrap(),
        target: "10.0.0.1:80".into(),
        detail: None,
    };
    let found = vec![NodeIntrusions {
        node: "master".into(),
        intrusions: vec![seen("2001:db8::7", "1:1"), seen("203.0.113.7", "1:2")],
        cut: false,
        problem: None,
    }];
    let ban = Ban {
        jail: "sshd".into(),
        address: "2001:db8::7".into(),
        since: None,
        until: None,
    };
    let bans = vec![NodeBans {
        node: "worker-01".into(),
        bans: vec![ban],
        problem: None,
    }];
    c.take(Msg::Intrusions {
        ticket,
        found,
        bans,
    });
    c.shows("shut out by fail2ban of worker-01 (sshd)");
    assert!(c.press("ju").is_empty());
    let effects = c.press("ku");
    let request = Request::Unban {
        address: "2001:db8::7".into(),
        node: None,
    };
    assert!(
        matches!(&effects[..], [Effect::Plan { request: r, .. }] if *r == request),
        "{effects:?}"
    );
    // The bans themselves are one key away.
    let mut c = Console::new();
    c.press("I");
    assert!(matches!(c.press("f")[..], [Effect::Bans { .. }]));
}

#[test]
fn a_ban_is_chosen_and_lifted_by_a_plan() {
    let mut c = Console::new();
    let effects = c.press("1jf");
    let [Effect::Bans { ticket }] = effects[..] else {
        panic!("{effects:?}");
    };
    let ban = |address: &str| Ban {
        jail: "sshd".into(),
        address: address.into(),
        since: Some(NOW),
        until: None,
    };
    let node = |node: &str, bans| NodeBans {
        node: node.into(),
        bans,
        problem: None,
    };
    let found = vec![
        node("master", vec![ban("203.0.113.7")]),
        node("worker-01", vec![ban("203.0.113.7"), ban("203.0.113.9")]),
    ];
    let message = Msg::Bans {
        ticket,
        found: found.clone(),
    };
    c.take(message);
    // That of the selected node is chosen. Read again: the answer to the first question is late.
    let effects = c.press("r");
    let [Effect::Bans { ticket: again }] = effects[..] else {
        panic!("{effects:?}");
    };
    c.take(Msg::Bans {
        ticket,
        found: found.clone(),
    });
    c.shows("asking the nodes");
    c.take(Msg::Bans {
        ticket: again,
        found,
    });
    let effects = c.press("ju");
    let request = Request::Unban {
        address: "203.0.113.9".into(),
        node: Some("worker-01".into()),
    };
    assert!(
        matches!(&effects[..], [Effect::Plan { request: r, .. }] if *r == request),
        "{effects:?}"
    );
    // Nothing is lifted without the plan being confirmed; a heading is no choice.
    let mut c = Console::new();
    c.press("f");
    assert!(c.press("\n").is_empty());
}

#[test]
fn shells_open_on_nodes_and_in_running_containers() {
    let mut c = Console::new();
    let node = "master".to_owned();
    assert_eq!(c.press("1e"), [Effect::Shell(ShellTarget::Node { node })]);
    let container = Effect::Shell(ShellTarget::Container {
        node: "worker-01".into(),
        container: "c-s-blog-web-1".into(),
        label: "blog".into(),
    });
    assert_eq!(c.press("2e"), [container]);
    assert_eq!(c.press("5e"), []);
    c.shows("no running container");
}

#[test]
fn leaving_asks_while_a_job_runs() {
    let mut c = Console::new();
    assert_eq!(c.press("q"), [Effect::Quit]);
    let id = JobId(1);
    let request = Request::remove("x".into());
    c.take(Msg::JobStarted { id, request });
    c.press("\u{1b}");
    assert_eq!(c.press("q"), []);
    c.shows("A job runs");
    assert_eq!(c.press("c"), [Effect::CancelJob(id)]);
    let took = std::time::Duration::ZERO;
    let finished = Event::Finished {
        outcome: Outcome::Cancelled,
        took,
    };
    assert_eq!(
        c.take(Msg::Job {
            id,
            event: finished
        }),
        [Effect::Quit]
    );
}

#[test]
fn ctrl_c_closes_what_is_open_and_then_asks() {
    let mut c = Console::new();
    c.press("d");
    assert_eq!(c.control('c'), []);
    c.hides("Catalogue");
    assert_eq!(c.control('c'), []);
    c.shows("Leave?");
    assert_eq!(c.press("y"), [Effect::Quit]);
    assert_eq!(c.control('z'), [Effect::Suspend]);
    assert_eq!(c.control('l'), [Effect::Redraw]);
    assert_eq!(c.take(Msg::Terminate), [Effect::Quit]);
    assert_eq!(c.take(Msg::Resumed), [Effect::Redraw, Effect::Refresh]);
}

#[test]
fn a_failure_is_told_where_the_eye_is_and_opened_by_enter() {
    let mut c = Console::new();
    let text =
        "worker-02: `docker stack rm x` ended with exit code 1: permission denied ".repeat(3);
    c.take(Msg::Notice { text, error: true });
    c.shows("(Enter: more)");
    c.press("\n");
    c.shows("What happened");
    c.press("\u{1b}");
    c.hides("(Enter: more)");
}

#[test]
fn the_mouse_selects_rows_tabs_and_turns_lists() {
    let mut c = Console::new();
    let screen = c.screen();
    let row = screen
        .lines()
        .position(|l| l.contains("worker-02"))
        .expect("a row") as u16;
    let mouse = |kind, column, row| {
        let modifiers = KeyModifiers::NONE;
        Msg::Terminal(TerminalEvent::Mouse(MouseEvent {
            kind,
            column,
            row,
            modifiers,
        }))
    };
    c.take(mouse(MouseEventKind::Down(MouseButton::Left), 5, row));
    c.shows("worker-02.example.org port 22 does not answer");
    let top = c.screen();
    let top = top.lines().next().map_or(0, |_| 1);
    let line = c.screen().lines().nth(top).unwrap_or_default().to_owned();
    let tab = line
        .chars()
        .position(|ch| ch == 'T')
        .expect("the Tasks tab") as u16;
    // The test backend prints each line in quotes.
    c.take(mouse(MouseEventKind::Down(MouseButton::Left), tab - 1, 1));
    c.shows("task");
    c.take(mouse(MouseEventKind::ScrollUp, 5, row));
    c.screen();
    assert!(
        matches!(&c.press("e")[..], [Effect::Shell(ShellTarget::Node { node })] if node == "master")
    );
}

#[test]
fn a_reading_that_says_the_same_is_not_drawn() {
    let mut c = Console::new();
    c.0.take_dirty();
    let swarm = fixture::fleet().swarm.value().expect("read").clone();
    let datum = Datum::Swarm(Ok(swarm.clone()));
    c.take(Msg::Fleet(Update { at: NOW, datum }));
    assert!(!c.0.take_dirty());
    let mut other = swarm;
    other.services[0].running = 0;
    let datum = Datum::Swarm(Ok(other));
    c.take(Msg::Fleet(Update { at: NOW, datum }));
    assert!(c.0.take_dirty());
}

#[test]
fn tabs_panes_zoom_and_jobs() {
    let mut c = Console::new();
    c.press("1]");
    c.shows("no tasks");
    c.press("2\t\t\t");
    c.shows("Repository main");
    c.press("z");
    c.shows("5 Backups");
    c.press("z2a\n");
    c.shows("unreachable");
    c.press("J");
    c.shows("No job was started");
}

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
    let [Effect::Remember(ledger)] = &effects[..] else {
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
        let link = Link::Down {
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
    let mut c = Console(fixture::app_with(fixture::fleet(), THEME, config));
    let effects = down(&mut c);
    assert_eq!(alarms(&effects), 1);
    let text = "chaton: worker-01: no route to host";
    assert!(effects.contains(&Effect::Alarm {
        text: text.into(),
        bell: true,
        notify: Notify::Off,
    }));
    assert_eq!(alarms(&down(&mut c)), 0);
    // And that it is over is told.
    let up = Datum::Link {
        node: "worker-01".into(),
        link: Link::Up,
    };
    c.take(Msg::Fleet(Update { at: NOW, datum: up }));
    update(&mut c.0, Msg::Tick, NOW + SignedDuration::from_secs(11));
    c.shows("over: worker-01: no route to host");
}

#[test]
fn restoring_goes_from_what_to_where_to_plan() {
    let mut c = Console::new();
    // The application's newest snapshot is meant where none is selected.
    c.press("5j\nj");
    c.press("r");
    c.shows("what?");
    assert_eq!(c.press("\n"), []);
    c.shows("where to?");
    let (_, request) = asked(&c.press("\n"));
    let newest = fixture::fleet().snapshots.value().expect("read")[0].clone();
    assert_eq!(
        request,
        Request::Restore {
            app: "blog".into(),
            snapshot: Some(newest.id.clone()),
            what: RestoreWhat::App,
            to: RestoreTo::Place,
        }
    );
    c.press("\u{1b}");
    // Beside, from the pane of services.
    c.press("2gr\nj\n");
    c.shows("Restore blog beside itself");
    c.press("\tblog2.example.org");
    let (_, request) = asked(&c.press("\n"));
    let Request::Restore {
        to: RestoreTo::Beside { app, variables },
        ..
    } = request
    else {
        panic!("{request:?}");
    };
    assert_eq!(app, "blog-restored");
    assert_eq!(variables["DOMAIN"], "blog2.example.org");
}

#[test]
fn a_file_is_found_in_a_snapshot_and_restored_into_a_folder() {
    let mut c = Console::new();
    c.press("5j\nj]\n/CONF");
    let effects = c.press("\n");
    let [Effect::Look { ticket, look }] = &effects[..] else {
        panic!("nothing was asked: {effects:?}");
    };
    assert!(matches!(look, Look::Search { text, .. } if text == "CONF"));
    let path = "/mnt/data/blog_web-data/conf.ini";
    let found = Listing {
        entries: vec![Entry {
            kind: EntryKind::File,
            path: path.into(),
            size: 3,
            modified: None,
            mode: 0o644,
            uid: 0,
            gid: 0,
        }],
        left_out: 0,
    };
    let (ticket, seen) = (*ticket, Ok(Seen::Entries(found)));
    c.take(Msg::Looked { ticket, seen });
    c.shows(path);
    c.press("r");
    c.shows("where to?");
    c.press("j\n");
    c.press("relative");
    assert_eq!(c.press("\n"), []);
    c.shows("begins with /");
    c.press("\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}/srv/back");
    let (_, request) = asked(&c.press("\n"));
    let Request::Restore { what, to, .. } = request else {
        panic!("{request:?}");
    };
    assert_eq!(what, RestoreWhat::Path { path: path.into() });
    let to_folder = RestoreTo::Folder {
        path: "/srv/back".into(),
    };
    assert_eq!(to, to_folder);
}

#[test]
fn what_was_read_of_a_snapshot_is_kept_and_an_old_answer_is_none() {
    let mut c = Console::new();
    let effects = c.press("5j\nj]\nj\n");
    let Some(Effect::Look { ticket, .. }) = effects.last() else {
        panic!("nothing was asked: {effects:?}");
    };
    let (ticket, listing) = (*ticket, Listing::default());
    // Meanwhile another folder is wanted.
    let effects = c.press("\u{1b}j\n");
    let Some(Effect::Look { ticket: other, .. }) = effects.last() else {
        panic!("nothing was asked: {effects:?}");
    };
    let seen = || Ok(Seen::Entries(listing.clone()));
    c.take(Msg::Looked {
        ticket,
        seen: seen(),
    });
    c.shows("reading");
    let ticket = *other;
    c.take(Msg::Looked {
        ticket,
        seen: seen(),
    });
    c.shows("an empty folder");
    // Going back and in again asks for nothing.
    assert_eq!(c.press("\u{1b}\n"), []);
    c.shows("an empty folder");
}

#[test]
fn backups_and_proofs_are_asked_for_by_key() {
    let mut c = Console::new();
    let (_, request) = asked(&c.press("5jb"));
    let apps = vec!["blog".to_owned()];
    assert_eq!(request, Request::Backup { apps: apps.clone() });
    c.press("\u{1b}");
    let (_, request) = asked(&c.press("B"));
    assert_eq!(request, Request::Backup { apps: Vec::new() });
    c.press("\u{1b}");
    let (_, request) = asked(&c.press("v"));
    assert_eq!(request, Request::Verify { apps });
}

#[test]
fn ten_thousand_snapshots_are_no_pause() {
    let mut app = fixture::large();
    let mut terminal = Terminal::new(TestBackend::new(160, 48)).expect("a backend");
    let press = |app: &mut App, c| {
        let key = KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
        update(app, Msg::Terminal(TerminalEvent::Key(key)), NOW);
    };
    press(&mut app, '5');
    let enter = KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE);
    update(&mut app, Msg::Terminal(TerminalEvent::Key(enter)), NOW);
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        press(&mut app, 'j');
        terminal.draw(|f| view(&mut app, f)).expect("drawn");
    }
    let each = begun.elapsed() / 20;
    eprintln!(
        "a key and a frame with 10,000 snapshots: {} us",
        each.as_micros()
    );
    // A debug build on a busy machine is given a lot.
    assert!(each < std::time::Duration::from_millis(100), "{each:?}");
    // Reading them anew.
    let snapshots = app_snapshots();
    let begun = std::time::Instant::now();
    let datum = Datum::Snapshots(Ok(snapshots));
    update(&mut app, Msg::Fleet(Update { at: NOW, datum }), NOW);
    let took = begun.elapsed();
    eprintln!("10,000 snapshots taken in: {} ms", took.as_millis());
    assert!(took < std::time::Duration::from_millis(800), "{took:?}");
}

/// As many as a repository has after years, in no order.
fn app_snapshots() -> Vec<matou::model::Snapshot> {
    let one = fixture::fleet().snapshots.value().expect("read")[0].clone();
    (0..10_000u32)
        .map(|i| {
            let mut s = one.clone();
            s.id = format!("{:08x}{i:056x}", i.wrapping_mul(2_654_435_761));
            s.app = Some(format!("app{:02}", i % 50));
            s.at = NOW - jiff::SignedDuration::from_secs(i64::from(i) * 600);
            s
        })
        .collect()
}

fn any_key() -> impl Strategy<Value = TerminalEvent> {
    let code = prop_oneof![
        8 => prop::char::range(' ', '~').prop_map(KeyCode::Char),
        1 => Just(KeyCode::Enter),
        2 => Just(KeyCode::Esc),
        1 => Just(KeyCode::Tab),
        1 => Just(KeyCode::BackTab),
        1 => Just(KeyCode::Backspace),
        1 => Just(KeyCode::Up),
        1 => Just(KeyCode::Down),
        1 => Just(KeyCode::PageDown),
        1 => Just(KeyCode::End),
    ];
    let mouse = (0u16..220, 0u16..70, any::<bool>()).prop_map(|(column, row, click)| {
        let kind = match click {
            true => MouseEventKind::Down(MouseButton::Left),
            false => MouseEventKind::ScrollDown,
        };
        let modifiers = KeyModifiers::NONE;
        TerminalEvent::Mouse(MouseEvent {
            kind,
            column,
            row,
            modifiers,
        })
    });
    let control = prop::char::range('a', 'y')
        .prop_map(|c| TerminalEvent::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL)));
    prop_oneof![
        10 => code.prop_map(|c| TerminalEvent::Key(KeyEvent::new(c, KeyModifiers::NONE))),
        1 => control,
        2 => mouse,
        1 => Just(TerminalEvent::Paste("a\nb\u{1b}c".into())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_keys_at_any_size_do_harm(
        events in prop::collection::vec(any_key(), 1..60),
        sizes in prop::collection::vec((1u16..210, 1u16..70), 1..4),
    ) {
        let mut c = Console::new();
        for (i, event) in events.into_iter().enumerate() {
            for effect in c.take(Msg::Terminal(event)) {
                if let Effect::Plan { ticket, .. } = effect {
                    let plan = Ok(plan(Confirm::TypeName("x".into()), "y"));
                    c.take(Msg::Planned { ticket, plan });
                }
            }
            let (width, height) = sizes[i % sizes.len()];
            c.screen_of(width, height);
        }
    }
}
