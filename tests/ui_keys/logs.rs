//! Logs, requests, and the log store.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use matou::collect::AccessNews;
use matou::model::{AccessRecord, Intrusion, LogRecord, NodeIntrusions};
use matou::ui::fixture::{self, NOW, THEME};
use matou::ui::msg::LogSource;
use matou::ui::{Effect, Msg};

use crate::Console;

#[test]
fn a_log_is_followed_while_it_is_seen() {
    let mut c = Console::new();
    let effects = c.press("2jl");
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
    let effects = c.press("\u{1b}k");
    assert_eq!(effects[0], Effect::StopFollowing(*ticket));
    assert!(matches!(effects[1], Effect::FollowLogs { .. }));
    // Another tab: none.
    assert!(matches!(c.press("[")[..], [Effect::StopFollowing(_)]));
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
    let effects = c.press("2jA");
    let [Effect::FollowAccess { ticket, routes }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(
        (&*routes.name, &*routes.hosts),
        ("blog", &["blog.example.org".to_owned()][..])
    );
    let request = |i: i64, status| AccessRecord {
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
    let effects = c.press("\u{1b}\u{1b}k");
    assert_eq!(effects[0], Effect::StopFollowing(ticket));
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
    let [Effect::SearchLogs { ticket, search }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(search.query, "q error");
    assert!(search.app.is_some() && search.since.is_none());
    let late = *ticket;
    // Tab asks for all; the answer to the first question is late then.
    let effects = c.press("\t");
    let [Effect::SearchLogs { ticket, search }] = &effects[..] else {
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
    c.take(Msg::LogsFound {
        ticket: late,
        found: Ok(vec![record("of the first question")]),
    });
    c.shows("asking the log store");
    c.take(Msg::LogsFound {
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
    assert!(matches!(c.press("\n")[..], [Effect::SearchLogs { .. }]));
}

#[test]
fn times_of_records_and_of_intrusions_are_in_the_zone_of_the_screen_and_say_it() {
    let zone = TimeZone::get("Europe/Paris").expect("a zone");
    let fleet = fixture::example_fleet();
    let mut c = Console(fixture::example_app_in_zone(fleet, THEME, zone));
    let effects = c.press("1Lq\n");
    let [Effect::SearchLogs { ticket, .. }] = effects[..] else {
        panic!("{effects:?}");
    };
    let record = LogRecord {
        at: Some(NOW + SignedDuration::from_millis(250)),
        node: "master".into(),
        app: "shop_web".into(),
        line: "a line".into(),
        fields: Vec::new(),
    };
    c.take(Msg::LogsFound {
        ticket,
        found: Ok(vec![record]),
    });
    c.shows("11-23 15:00:00");
    c.press("\n");
    c.shows("time: 2026-11-23 15:00:00.25 CET");
    let effects = c.press("\u{1b}\u{1b}I");
    let [Effect::Intrusions { ticket }] = effects[..] else {
        panic!("{effects:?}");
    };
    let seen = Intrusion {
        at: NOW,
        signature: "signature".into(),
        rule: "1:1".into(),
        category: "Attack".into(),
        severity: 1,
        source: "203.0.113.7".parse().expect("an address"),
        target: "10.0.0.1:80".into(),
        detail: None,
    };
    let found = vec![NodeIntrusions {
        node: "master".into(),
        intrusions: vec![seen],
        cut: false,
        problem: None,
    }];
    let bans = Vec::new();
    c.take(Msg::Intrusions {
        ticket,
        found,
        bans,
    });
    c.shows("first 2026-11-23 15:00:00 CET, last 2026-11-23 15:00:00 CET");
}
