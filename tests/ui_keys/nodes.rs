//! Nodes: provisioned, drained, entered, and whom they shut out.

use matou::job::{Change, Check, Confirm};
use matou::model::{Availability, Ban, Intrusion, NodeBans, NodeIntrusions};
use matou::ops::{Request, ShellTarget};
use matou::ui::fixture::NOW;
use matou::ui::{Effect, Msg};

use crate::{Console, asked, plan};

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
fn a_decision_is_taken_by_typing_it_and_makes_a_new_plan() {
    let mut c = Console::new();
    let (ticket, _) = asked(&c.press("1p"));
    let mut open = plan(Confirm::Ask, "swap file of 2 GiB");
    let question = Change::ask_to_accept("/dev/sdb holds data", "/dev/sdb");
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
        label: "blog_web.1".into(),
    });
    assert_eq!(c.press("2je"), [container]);
    assert_eq!(c.press("5e"), []);
    c.shows("no running container");
    // Of several tasks one is chosen.
    assert_eq!(c.press("2ke"), []);
    c.shows("A shell in which task?");
    let opened = c.press("j\n");
    assert!(
        matches!(&opened[..], [Effect::Shell(ShellTarget::Container { label, .. })] if label.starts_with("shop_")),
        "{opened:?}"
    );
    c.hides("A shell in which task?");
}
