//! Backups: snapshots browsed, restores and proofs asked for.

use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers};
use matou::model::{Datum, EntryKind, SnapshotEntry, SnapshotListing, Update};
use matou::ops::{Request, RestoreDestination, RestoreScope};
use matou::ui::fixture::{self, NOW, THEME};
use matou::ui::msg::{SnapshotAnswer, SnapshotQuery};
use matou::ui::{App, Effect, Msg, update, view};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::{Console, app_name, asked};

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
    let newest = fixture::example_fleet().snapshots.value().expect("read")[0].clone();
    assert_eq!(
        request,
        Request::Restore {
            app: app_name("blog"),
            snapshot: Some(newest.id.clone()),
            what: RestoreScope::App,
            to: RestoreDestination::Place,
        }
    );
    c.press("\u{1b}");
    // Beside, from the pane of services.
    c.press("2Gr\nj\n");
    c.shows("Restore blog beside itself");
    c.press("\tblog2.example.org");
    let (_, request) = asked(&c.press("\n"));
    let Request::Restore {
        to: RestoreDestination::Beside { app, variables },
        ..
    } = request
    else {
        panic!("{request:?}");
    };
    assert_eq!(app.as_str(), "blog-restored");
    assert_eq!(variables["DOMAIN"], "blog2.example.org");
}

#[test]
fn a_file_is_found_in_a_snapshot_and_restored_into_a_folder() {
    let mut c = Console::new();
    c.press("5j\nj]\n/CONF");
    let effects = c.press("\n");
    let [
        Effect::ReadSnapshot {
            ticket,
            query: look,
        },
    ] = &effects[..]
    else {
        panic!("nothing was asked: {effects:?}");
    };
    assert!(matches!(look, SnapshotQuery::Search { text, .. } if text == "CONF"));
    let path = "/mnt/data/blog_web-data/conf.ini";
    let found = SnapshotListing {
        entries: vec![SnapshotEntry {
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
    let (ticket, seen) = (*ticket, Ok(SnapshotAnswer::Entries(found)));
    c.take(Msg::SnapshotRead {
        ticket,
        answer: seen,
    });
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
    assert_eq!(what, RestoreScope::Path { path: path.into() });
    let to_folder = RestoreDestination::Folder {
        path: "/srv/back".into(),
    };
    assert_eq!(to, to_folder);
}

#[test]
fn what_was_read_of_a_snapshot_is_kept_and_an_old_answer_is_none() {
    let mut c = Console::new();
    let effects = c.press("5j\nj]\nj\n");
    let Some(Effect::ReadSnapshot { ticket, .. }) = effects.last() else {
        panic!("nothing was asked: {effects:?}");
    };
    let (ticket, listing) = (*ticket, SnapshotListing::default());
    // Meanwhile another folder is wanted.
    let effects = c.press("\u{1b}j\n");
    let Some(Effect::ReadSnapshot { ticket: other, .. }) = effects.last() else {
        panic!("nothing was asked: {effects:?}");
    };
    let seen = || Ok(SnapshotAnswer::Entries(listing.clone()));
    c.take(Msg::SnapshotRead {
        ticket,
        answer: seen(),
    });
    c.shows("reading");
    let ticket = *other;
    c.take(Msg::SnapshotRead {
        ticket,
        answer: seen(),
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
    let apps = vec![app_name("blog")];
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
    // Of the processor: what else runs here takes none of it.
    let now = || {
        let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
        std::time::Duration::from(nix::time::clock_gettime(clock).expect("a clock"))
    };
    let mut app = fixture::large_example_app();
    let mut terminal = Terminal::new(TestBackend::new(160, 48)).expect("a backend");
    let press = |app: &mut App, c| {
        let key = KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
        update(app, Msg::Terminal(TerminalEvent::Key(key)), NOW);
    };
    press(&mut app, '5');
    let enter = KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE);
    update(&mut app, Msg::Terminal(TerminalEvent::Key(enter)), NOW);
    let begun = now();
    for _ in 0..20 {
        press(&mut app, 'j');
        let mut layout = None;
        terminal
            .draw(|f| layout = Some(view(&app, f)))
            .expect("drawn");
        app.take_layout(layout.expect("a layout"));
    }
    let each = now().saturating_sub(begun) / 20;
    eprintln!(
        "a key and a frame with 10,000 snapshots: {} us",
        each.as_micros()
    );
    // A debug build is given a lot.
    assert!(each < std::time::Duration::from_millis(100), "{each:?}");
    // Reading them anew.
    let snapshots = app_snapshots();
    let begun = now();
    let datum = Datum::Snapshots(Ok(snapshots));
    update(&mut app, Msg::Fleet(Update { at: NOW, datum }), NOW);
    let took = now().saturating_sub(begun);
    eprintln!("10,000 snapshots taken in: {} ms", took.as_millis());
    assert!(took < std::time::Duration::from_millis(800), "{took:?}");
}

/// Another fleet's snapshot is newer, and one of this fleet's is dated in the future.
#[test]
fn what_is_another_fleets_or_from_the_future_is_told_and_not_taken_unseen() {
    let mut c = Console::new();
    let fleet = fixture::example_fleet();
    let mut all = fleet.snapshots.value().expect("read").clone();
    let newest = all[0].clone();
    let later = |id: char, hours| matou::model::Snapshot {
        id: id.to_string().repeat(64),
        at: NOW + jiff::SignedDuration::from_hours(hours),
        ..newest.clone()
    };
    let theirs = matou::model::Snapshot {
        other_fleet: Some("fleet-b".into()),
        ..later('b', -1)
    };
    let wrong = matou::model::Snapshot {
        ahead: true,
        ..later('c', 2000)
    };
    all.extend([theirs.clone(), wrong]);
    let datum = Datum::Snapshots(Ok(all));
    c.take(Msg::Fleet(Update { at: NOW, datum }));
    c.press("5");
    c.shows("blog of fleet-b");
    c.press("j");
    c.shows("dated in the future");
    // Of the application the newest that may be taken.
    c.press("r\n");
    let (_, request) = asked(&c.press("\n"));
    assert!(
        matches!(&request, Request::Restore { snapshot: Some(id), .. } if *id == newest.id),
        "{request:?}"
    );
    c.press("\u{1b}");
    // Of another fleet only what is chosen itself.
    c.press("jjjj");
    c.shows("Made by another fleet, fleet-b");
    assert_eq!(c.press("r"), []);
    c.shows("select an application");
    c.press("\nj");
    c.press("r");
    c.shows("of fleet-b (1 h ago)");
    c.press("\n");
    let (_, request) = asked(&c.press("\n"));
    assert!(
        matches!(&request, Request::Restore { app, snapshot: Some(id), .. } if app == "blog" && *id == theirs.id),
        "{request:?}"
    );
}

/// As many as a repository has after years, in no order.
fn app_snapshots() -> Vec<matou::model::Snapshot> {
    let one = fixture::example_fleet().snapshots.value().expect("read")[0].clone();
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

/// The pane and the alerts have one limit, that of config.toml.
#[test]
fn a_backup_is_late_from_the_hours_of_the_configuration_on() {
    let newest = fixture::example_fleet().snapshots.value().expect("read")[0].clone();
    let row = |hours_old: i64, backup_hours: u32| {
        let mut alerts = matou::config::Config::this_machine().alerts;
        alerts.backup_hours = backup_hours;
        let fleet = fixture::example_fleet();
        let mut c = Console(fixture::example_app_with_alerts(fleet, THEME, alerts));
        let at = NOW - jiff::SignedDuration::from_hours(hours_old);
        let datum = Datum::Snapshots(Ok(vec![matou::model::Snapshot {
            at,
            ..newest.clone()
        }]));
        c.take(Msg::Fleet(Update { at: NOW, datum }));
        c.press("5");
        let screen = c.screen();
        let row = screen
            .lines()
            .find(|l| l.contains("▸ blog") && !l.contains("blog.example.org"));
        row.expect("a row").to_owned()
    };
    assert!(row(40, 36).contains('◐'), "{}", row(40, 36));
    assert!(!row(40, 72).contains('◐'), "{}", row(40, 72));
    assert!(row(80, 72).contains('◐'), "{}", row(80, 72));
    assert!(row(10, 8).contains('◐'), "{}", row(10, 8));
}
