//! The palette: places of each kind are found beside actions, and gone to.

use crossterm::event::{KeyCode, KeyModifiers};
use matou::model::{Datum, Update};
use matou::ops::Request;
use matou::ui::Msg;
use matou::ui::fixture::{self, NOW, THEME};

use crate::{Console, app_name, asked};

#[test]
fn an_application_is_gone_to_by_its_name() {
    let mut c = Console::new();
    c.press("1:shop");
    c.shows("application");
    assert_eq!(c.press("\n"), []);
    c.hides("Actions");
    assert_eq!(asked(&c.press("x")).1, Request::remove(app_name("shop")));
    // From the dashboard too, and where a filter hides it.
    for before in ["0", "2/blog\n"] {
        let mut c = Console::new();
        c.press(before);
        c.press(":shop\n");
        c.hides("Lately");
        c.hides("/blog");
        assert_eq!(asked(&c.press("x")).1, Request::remove(app_name("shop")));
    }
}

#[test]
fn a_node_a_domain_and_a_volume_are_gone_to_by_their_names() {
    for (typed, shown) in [
        ("worker-01", "root@worker-01.example.org"),
        ("node worker-01", "root@worker-01.example.org"),
        ("shop.example", "╭ shop.example.org "),
        ("old_d", "╭ old_data "),
    ] {
        let mut c = Console::new();
        c.press("2:");
        c.press(typed);
        c.press("\n");
        c.shows(shown);
    }
}

/// Without a certificate it belongs to its application.
#[test]
fn a_domain_whose_certificate_was_not_read_leads_to_its_application() {
    let mut c = Console::new();
    let datum = Datum::Certificates(Ok(Vec::new()));
    c.take(Msg::Fleet(Update { at: NOW, datum }));
    c.press("1:shop.example\n");
    assert_eq!(asked(&c.press("x")).1, Request::remove(app_name("shop")));
}

#[test]
fn a_snapshot_is_gone_to_by_its_id_its_application_and_its_day() {
    for typed in [
        "00000006",
        "0000000600",
        "blog 11-17",
        "snapshot blog 2026-11-17",
    ] {
        let mut c = Console::new();
        c.press("2:");
        c.press(typed);
        c.shows("blog 2026-11-17 08:00");
        c.press("\n");
        c.shows("╭ 00000006 ");
    }
    // Of many the newest are listed, and none for a letter.
    let mut c = Console::new();
    c.press(":blog");
    c.shows("20 of 21 snapshots, the newest: type more");
    let mut c = Console::new();
    c.press(":0");
    c.hides("00000006");
}

#[test]
fn a_stack_opens_its_form() {
    let mut c = Console::new();
    c.press(":hello");
    c.shows("stack");
    assert_eq!(c.press("\n"), []);
    c.shows("Deploy Hello");
    let app = fixture::example_app_read_only(fixture::example_fleet(), THEME);
    let mut c = Console(app);
    c.press(":hello\n");
    c.hides("Deploy Hello");
    c.shows("this console is read-only");
}

#[test]
fn an_action_comes_before_a_place_of_the_same_name() {
    let mut swarm = fixture::example_fleet()
        .swarm
        .value()
        .expect("read")
        .clone();
    swarm.services[0].stack = Some("jobs".into());
    let console = || {
        let datum = Datum::Swarm(Ok(swarm.clone()));
        let mut c = Console::new();
        c.take(Msg::Fleet(Update { at: NOW, datum }));
        c
    };
    let mut c = console();
    c.press(":jobs\n");
    c.shows("╭ Jobs ");
    let mut c = console();
    c.press(":jobs");
    c.key(KeyCode::Down, KeyModifiers::NONE);
    assert_eq!(c.press("\n"), []);
    assert_eq!(asked(&c.press("x")).1, Request::remove(app_name("jobs")));
}

#[test]
fn without_a_text_there_are_the_actions_and_what_else_is_found_is_said() {
    let mut c = Console::new();
    c.press(":");
    c.shows("also finds applications, nodes, domains, volumes, snapshots, stacks");
    c.shows("▸ deploy");
    c.press("worker");
    c.hides("also finds");
    // Substrings come before letters in their order, in places as in actions.
    let mut c = Console::new();
    c.press(":wrkr02\n");
    c.shows("root@worker-02.example.org");
}

#[test]
fn the_list_of_a_large_fleet_has_an_end() {
    let mut c = Console(fixture::large_example_app());
    c.press(":app");
    c.shows("the first 200 of ");
    c.press("499\n");
    assert_eq!(asked(&c.press("x")).1, Request::remove(app_name("app499")));
    c.press("\u{1b}:snapshot 2026");
    c.shows("20 of ");
}
