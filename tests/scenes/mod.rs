//! What the tests of the screen draw: every pane and overlay, with something on it.
#![allow(dead_code, reason = "each test uses some of it")]

mod jobs;
mod readings;
mod screen;

use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers};
use matou::job::{Change, Check, Confirm, JobOutcome};
use matou::model::{
    Datum, DifferenceKind, EntryKind, FilePreview, Fleet, SnapshotChanges, SnapshotEntry,
    SnapshotListing, Update,
};
use matou::ui::fixture::{self, NOW, THEME};
use matou::ui::msg::{SnapshotAnswer, SnapshotQuery};
use matou::ui::{App, Effect, Msg, Theme, update, view};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

pub(crate) use jobs::*;
pub(crate) use readings::*;
pub(crate) use screen::list_screen_problems;

/// All sizes at which the screens are looked at: the smallest one, a usual terminal, wide ones.
pub(crate) const SIZES: [(u16, u16); 4] = [(40, 12), (80, 24), (120, 40), (200, 60)];

pub(crate) fn key(app: &mut App, code: KeyCode) -> Vec<Effect> {
    let event = KeyEvent::new(code, KeyModifiers::NONE);
    update(app, Msg::Terminal(TerminalEvent::Key(event)), NOW)
}

pub(crate) fn press(app: &mut App, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    for c in keys.chars() {
        let code = match c {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            '\t' => KeyCode::Tab,
            c => KeyCode::Char(c),
        };
        effects.extend(key(app, code));
    }
    effects
}

/// What is drawn; it is the same when it is drawn again, after the layout was taken.
pub(crate) fn buffer(app: &mut App, (width, height): (u16, u16)) -> Buffer {
    let mut draw = || {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a test backend");
        let mut layout = None;
        terminal
            .draw(|f| layout = Some(view(app, f)))
            .expect("drawn");
        app.take_layout(layout.expect("a layout"));
        terminal.backend().buffer().clone()
    };
    let first = draw();
    assert_eq!(first, draw(), "drawn again");
    first
}

pub(crate) fn with_load(theme: Theme, keys: &str) -> App {
    let mut app = on(theme, "1j\n[");
    day_of_load(&mut app);
    press(&mut app, keys);
    app
}

/// The dashboard of the example, of which a day is known.
pub(crate) fn dashboard(theme: Theme, keys: &str) -> App {
    let mut app = on(theme, "");
    answers(&mut app);
    day_of_load(&mut app);
    press(&mut app, "0");
    press(&mut app, keys);
    app
}

pub(crate) fn dashboard_of_nothing(theme: Theme) -> App {
    let node = matou::model::Node {
        name: "master".into(),
        configured: true,
        ..Default::default()
    };
    let mut app = fixture::example_app(Fleet::new("new", vec![node]), theme);
    press(&mut app, "0");
    app
}

/// Scenes of the dashboard.
pub(crate) const DASHBOARD_SCENES: &[Scene] = &[
    ("dashboard", |t| dashboard(t, "")),
    ("dashboard_unread_history", |t| on(t, "0")),
    ("dashboard_applications", |t| dashboard(t, "\t\t")),
    ("dashboard_lately", |t| dashboard(t, "G")),
    ("dashboard_of_nothing", dashboard_of_nothing),
    ("dashboard_large", |t| {
        let mut app = fixture::large_example_app();
        app = match t == THEME {
            true => app,
            false => fixture::example_app(Fleet::new("large", Vec::new()), t),
        };
        press(&mut app, "0");
        app
    }),
];

pub(crate) fn with_checks(theme: Theme, keys: &str) -> App {
    let mut app = on(theme, "1");
    checked(&mut app);
    press(&mut app, keys);
    app
}

pub(crate) fn with_requests(theme: Theme, keys: &str) -> App {
    let mut app = on(theme, "");
    requests(&mut app);
    press(&mut app, keys);
    app
}

pub(crate) type Scene = (&'static str, fn(Theme) -> App);

/// Everything that can be seen.
pub(crate) const SCENES: &[Scene] = &[
    ("services", |t| on(t, "2")),
    ("services_opened", |t| on(t, "2\nj\nj")),
    ("services_marked", |t| on(t, "2g j ")),
    ("services_sorted", |t| on(t, "2ooo")),
    ("batch", |t| {
        let mut app = on(t, "");
        batch(&mut app);
        app
    }),
    ("read_only", |t| {
        let mut app = fixture::example_app_read_only(fixture::example_fleet(), t);
        press(&mut app, "2");
        app
    }),
    ("help_searched", |t| on(t, "?/restore")),
    ("service_labels", |t| on(t, "2\nj]]")),
    ("nodes", |t| on(t, "1")),
    ("node_tasks", |t| on(t, "1j]")),
    ("node_load", |t| on(t, "1\n[")),
    ("node_load_day", |t| with_load(t, "t")),
    ("node_load_week", |t| with_load(t, "tt")),
    ("node_load_unread", |t| on(t, "1\n[t")),
    ("node_lost", |t| on(t, "1jj")),
    ("node_not_compared", |t| on(t, "1]]")),
    ("node_drift", |t| with_checks(t, "")),
    ("node_plan", |t| with_checks(t, "]]")),
    ("node_storage", |t| with_checks(t, "]]]")),
    ("node_security", |t| with_checks(t, "]]]]")),
    ("node_not_looked_at", |t| with_checks(t, "j]]]]")),
    ("volumes", |t| on(t, "3")),
    ("certificates", |t| on(t, "4")),
    ("certificate_orphan", |t| {
        let mut app = fixture::example_app(fixture::example_fleet_with_orphan(), t);
        press(&mut app, "4j");
        app
    }),
    ("certificate_missing", |t| {
        let mut app = fixture::example_app(fixture::example_fleet_with_orphan(), t);
        press(&mut app, "4");
        app
    }),
    ("versions", |t| {
        let mut app = on(t, "");
        versions(&mut app);
        app
    }),
    ("backups", |t| on(t, "5jj")),
    ("filter", |t| on(t, "2/shp")),
    ("zoom", |t| on(t, "2z")),
    ("logs", |t| {
        let mut app = on(t, "");
        logs(&mut app);
        app
    }),
    ("log_search", |t| {
        let mut app = on(t, "");
        logs(&mut app);
        press(&mut app, "/refused\n");
        app
    }),
    ("access", |t| with_requests(t, "")),
    ("access_filter", |t| with_requests(t, "/4xx wp-")),
    ("access_top", |t| with_requests(t, "t")),
    ("access_waiting", |t| on(t, "2A")),
    ("access_nothing", |t| {
        let mut fleet = fixture::example_fleet();
        let mut swarm = fleet.swarm.value().expect("read").clone();
        swarm.services[1].labels.clear();
        let datum = Datum::Swarm(Ok(swarm));
        fleet.apply(Update { at: NOW, datum });
        let mut app = fixture::example_app(fleet, t);
        press(&mut app, "2\njA");
        app
    }),
    ("access_refused", |t| {
        let mut app = on(t, "");
        let effects = press(&mut app, "2A");
        let Some(Effect::FollowAccess { ticket, .. }) = effects.last() else {
            panic!("{effects:?}");
        };
        let reason = "the access log of edge_traefik is not JSON: give it --accesslog.format=json";
        let ticket = *ticket;
        let reason = reason.into();
        update(&mut app, Msg::LogEnded { ticket, reason }, NOW);
        app
    }),
    ("bans", |t| {
        let mut app = on(t, "");
        bans(&mut app);
        app
    }),
    ("bans_asking", |t| on(t, "1f")),
    ("intrusions", |t| {
        let mut app = on(t, "");
        intrusions(&mut app);
        app
    }),
    ("welcome", |t| {
        fixture::example_app_without_config(fixture::example_fleet(), t)
    }),
    ("history", |t| {
        let mut app = on(t, "");
        history(&mut app, Ok(past_jobs()), "j");
        app
    }),
    ("history_job", |t| {
        let mut app = on(t, "");
        history(&mut app, Ok(past_jobs()), "j\n");
        app
    }),
    ("history_none", |t| {
        let mut app = on(t, "");
        history(&mut app, Ok(Vec::new()), "");
        app
    }),
    ("search_typing", |t| on(t, "2Lerror")),
    ("search_asking", |t| on(t, "1L\n")),
    ("search_found", |t| {
        let mut app = on(t, "");
        search(&mut app, "1Lfailed\n", Ok(records()));
        app
    }),
    ("search_whole", |t| {
        let mut app = on(t, "");
        search(&mut app, "1Lfailed\n", Ok(records()));
        press(&mut app, "\n");
        app
    }),
    ("search_refused", |t| {
        let mut app = on(t, "");
        let reason = "no log store runs: `matou deploy logs logs DOMAIN=… USERS=…` makes one of VictoriaLogs";
        search(&mut app, "1L((\n", Err(reason.into()));
        app
    }),
    ("intrusions_other", |t| {
        let mut app = on(t, "");
        intrusions(&mut app);
        press(&mut app, "j");
        app
    }),
    ("help", |t| on(t, "?")),
    ("palette", |t| on(t, ":dra")),
    ("palette_all", |t| on(t, ":")),
    ("catalogue", |t| on(t, "d")),
    ("deploy_form", |t| on(t, "d\n")),
    ("deploy_form_names", |t| {
        on(t, "dghost\n\tblog.example.org\t\t\t\t\t\t\t\tblog.example")
    }),
    ("names_form", |t| on(t, "2jn\ta.example.org, *.b.org")),
    ("scale_form", |t| on(t, "2js")),
    ("node_menu", |t| on(t, "1m")),
    ("alerts", |t| on(t, "a")),
    ("alerts_ignore", |t| on(t, "aji")),
    ("alerts_ignored", |t| on(t, "ai8ia")),
    ("service_answers", |t| {
        let mut app = on(t, "2");
        answers(&mut app);
        app
    }),
    ("jobs_none", |t| on(t, "J")),
    ("jobs_long_step", |t| job_with_long_step(t, "J\n")),
    ("jobs_long_step_line", |t| job_with_long_step(t, "")),
    ("quit_asked", |t| {
        let mut app = on(t, "");
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        update(&mut app, Msg::Terminal(TerminalEvent::Key(interrupt)), NOW);
        app
    }),
    ("plan_changes", |t| {
        let mut app = on(t, "");
        a_plan(&mut app, Ok(plan(Confirm::Ask, changes())));
        app
    }),
    ("plan_long", |t| {
        let mut app = on(t, "");
        a_plan(&mut app, Ok(plan(Confirm::Ask, many_changes())));
        press(&mut app, "j");
        app
    }),
    ("plan_by_name", |t| {
        let mut app = on(t, "");
        a_plan(
            &mut app,
            Ok(plan(Confirm::TypeName("shop".into()), changes())),
        );
        press(&mut app, "sho");
        app
    }),
    ("plan_blocked", |t| {
        let mut app = on(t, "");
        let steps = vec![
            (
                "disk",
                Ok(Check::Change(vec![Change::decide(
                    "/dev/sdb holds a file system",
                )])),
            ),
            ("engine", Err("worker-01: no Docker engine answers".into())),
        ];
        a_plan(&mut app, Ok(plan(Confirm::Ask, steps)));
        app
    }),
    ("plan_decision", |t| {
        let mut app = on(t, "1");
        let effects = press(&mut app, "p");
        let device = "/dev/sdb holds an ext4 file system \"photos\"";
        let lines = vec![
            Change::add("volume group matou over /dev/sdc"),
            Change::ask_to_accept(device, "/dev/sdb").with_warning("all that it holds is lost"),
        ];
        let steps = vec![("storage", Ok(Check::Change(lines)))];
        answer(&mut app, &effects, Ok(plan(Confirm::Ask, steps)));
        press(&mut app, "/dev/s");
        app
    }),
    ("plan_nothing_to_do", |t| {
        let mut app = on(t, "");
        let steps = vec![(
            "stack",
            Ok(Check::Done(vec![Change::same("service shop_web")])),
        )];
        a_plan(&mut app, Ok(plan(Confirm::Ask, steps)));
        app
    }),
    ("plan_refused", |t| {
        let mut app = on(t, "");
        a_plan(&mut app, Err("master: the connection was lost".into()));
        app
    }),
    ("job_running", |t| {
        let mut app = on(t, "");
        job(&mut app, None);
        app
    }),
    ("job_line", |t| {
        let mut app = on(t, "");
        job(&mut app, None);
        press(&mut app, "\u{1b}");
        app
    }),
    ("quit_with_a_job", |t| {
        let mut app = on(t, "");
        job(&mut app, None);
        press(&mut app, "\u{1b}q");
        app
    }),
    ("job_failed", |t| {
        let mut app = on(t, "");
        let reason = "tasks: shop_web does not come up: no such image".into();
        job(&mut app, Some(JobOutcome::Failed { reason }));
        app
    }),
    ("jobs", |t| {
        let mut app = on(t, "");
        job(&mut app, Some(JobOutcome::Done { changed: 1 }));
        press(&mut app, "\u{1b}J");
        app
    }),
    ("error_notice", |t| notice(t, false)),
    ("error_opened", |t| notice(t, true)),
    ("nothing_read_yet", |t| {
        let node = matou::model::Node {
            name: "master".into(),
            configured: true,
            ..Default::default()
        };
        fixture::example_app(Fleet::new("new", vec![node]), t)
    }),
    ("swarm_not_answering", |t| {
        let mut app = on(t, "2");
        let datum = Datum::Swarm(Err("master did not answer within 10 s".into()));
        update(&mut app, Msg::Fleet(Update { at: NOW, datum }), NOW);
        app
    }),
    ("backups_opened", |t| on(t, "5j\njj")),
    ("backups_application", |t| on(t, "5j")),
    ("backups_never", |t| {
        let mut fleet = fixture::example_fleet();
        let datum = Datum::Snapshots(Ok(Vec::new()));
        fleet.apply(Update { at: NOW, datum });
        let mut app = fixture::example_app(fleet, t);
        press(&mut app, "5j");
        app
    }),
    ("backups_unreachable", |t| {
        let mut fleet = Fleet::new("here", Vec::new());
        let reason = "the repository s3:https://s3.example.org/backups does not answer: is it reachable from master?";
        let datum = Datum::Snapshots(Err(reason.into()));
        fleet.apply(Update { at: NOW, datum });
        let mut app = fixture::example_app(fleet, t);
        press(&mut app, "5");
        app
    }),
    ("snapshot_folders", |t| on(t, "5j\nj]\n")),
    ("snapshot_files", |t| {
        let mut app = on(t, "5j\nj]\nj");
        let effects = press(&mut app, "\n");
        looked(&mut app, &effects, SnapshotAnswer::Entries(entries()));
        press(&mut app, "j");
        app
    }),
    ("snapshot_search", |t| on(t, "5j\nj]\n/wp-conf")),
    ("snapshot_file", |t| {
        let mut app = on(t, "5j\nj]\nj");
        let effects = press(&mut app, "\n");
        looked(&mut app, &effects, SnapshotAnswer::Entries(entries()));
        let effects = press(&mut app, "jj\n");
        let head = b"[site]\nname = blog\n\x1b[2J\xff\n".to_vec();
        looked(
            &mut app,
            &effects,
            SnapshotAnswer::Head(FilePreview { head, cut: true }),
        );
        app
    }),
    ("snapshot_changes", |t| {
        let mut app = on(t, "5j\nj]");
        let effects = press(&mut app, "]");
        looked(&mut app, &effects, SnapshotAnswer::Changes(changed()));
        app
    }),
    ("restore_what", |t| on(t, "5j\njr")),
    ("restore_where", |t| on(t, "5j\njr\n")),
    ("restore_beside", |t| on(t, "5j\njr\nj\n")),
    ("no_swarm", |t| {
        let mut fleet = Fleet::new("here", Vec::new());
        let reason = "here is in no swarm yet: make one with `docker swarm init` there";
        let datum = Datum::Swarm(Err(reason.into()));
        fleet.apply(Update { at: NOW, datum });
        fixture::example_app(fleet, t)
    }),
];

/// Answers what was asked of the repository.
pub(crate) fn looked(app: &mut App, effects: &[Effect], seen: SnapshotAnswer) {
    let Some(Effect::ReadSnapshot {
        ticket,
        query: look,
    }) = effects.last()
    else {
        panic!("nothing was asked: {effects:?}");
    };
    let fits = matches!(
        (look, &seen),
        (
            SnapshotQuery::Folder { .. } | SnapshotQuery::Search { .. },
            SnapshotAnswer::Entries(_)
        ) | (SnapshotQuery::File { .. }, SnapshotAnswer::Head(_))
            | (SnapshotQuery::Changes { .. }, SnapshotAnswer::Changes(_))
    );
    assert!(fits, "{look:?}");
    let (ticket, seen) = (*ticket, Ok(seen));
    update(
        app,
        Msg::SnapshotRead {
            ticket,
            answer: seen,
        },
        NOW,
    );
}

pub(crate) fn entries() -> SnapshotListing {
    let entry = |kind, name: &str, size| SnapshotEntry {
        kind,
        path: format!("/mnt/data/blog_db-data/{name}"),
        size,
        modified: Some(NOW),
        mode: 0o644,
        uid: 0,
        gid: 0,
    };
    SnapshotListing {
        entries: vec![
            entry(EntryKind::Folder, "uploads", 0),
            entry(EntryKind::File, "a[1] 日本語.txt", 1_200_000),
            entry(EntryKind::File, "config.ini", 812),
            entry(EntryKind::Link, "current", 0),
            entry(EntryKind::Other, "mysqld.sock", 0),
        ],
        left_out: 990_000,
    }
}

pub(crate) fn changed() -> SnapshotChanges {
    let path = |name: &str| format!("/mnt/data/blog_db-data/{name}");
    SnapshotChanges {
        paths: vec![
            (DifferenceKind::Added, path("uploads/cat.jpg")),
            (DifferenceKind::Removed, path("uploads/dog.jpg")),
            (DifferenceKind::Modified, path("config.ini")),
            (DifferenceKind::Metadata, path("current")),
        ],
        added: 1,
        removed: 1,
        modified: 1204,
        bytes_added: 5_000_000,
        bytes_removed: 1_000,
    }
}

pub(crate) fn on(theme: Theme, keys: &str) -> App {
    let mut app = fixture::example_app(fixture::example_fleet(), theme);
    press(&mut app, keys);
    app
}

pub(crate) fn notice(theme: Theme, opened: bool) -> App {
    let mut app = on(theme, "2");
    let text = "worker-02: `docker stack rm` ended with exit code 1: permission denied";
    let message = Msg::Notice {
        text: text.into(),
        error: true,
    };
    update(&mut app, message, NOW);
    if opened {
        press(&mut app, "\n");
    }
    app
}
