//! Every pane and overlay, drawn at three sizes and compared with the snapshots.

use std::time::Duration;

use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers};
use jiff::SignedDuration;
use matou::collect::AccessNews;
use matou::job::{
    Change, Check, Confirm, JobEvent, JobId, JobOutcome, NodePlan, OutputStream, PastCommand,
    PastJob, Plan, StagePlan, StepPlan,
};
use matou::model::{
    AccessRecord, Ban, Datum, DifferenceKind, EntryKind, FilePreview, Fleet, Intrusion, LogLine,
    LogRecord, Metrics, NodeBans, NodeIntrusions, NodeProblem, NodeProblemKind, Probe, ProbeAnswer,
    SnapshotChanges, SnapshotEntry, SnapshotListing, Update,
};
use matou::ops::{FoundVersions, OwnVersion, Request, ServiceVersions};
use matou::provision::audit::{MountedFilesystem, NodeAudit, VolumeGroup};
use matou::registry::{NewerVersion, VersionStep};
use matou::text::SafeText;
use matou::ui::fixture::{self, NOW, THEME};
use matou::ui::msg::{SnapshotAnswer, SnapshotQuery, Ticket};
use matou::ui::{App, Effect, Msg, Theme, update, view};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

fn key(app: &mut App, code: KeyCode) -> Vec<Effect> {
    let event = KeyEvent::new(code, KeyModifiers::NONE);
    update(app, Msg::Terminal(TerminalEvent::Key(event)), NOW)
}

fn press(app: &mut App, keys: &str) -> Vec<Effect> {
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
fn buffer(app: &mut App, (width, height): (u16, u16)) -> Buffer {
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

fn plan(confirm: Confirm, steps: Vec<(&str, Result<Check, String>)>) -> Plan {
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

fn answer(app: &mut App, effects: &[Effect], plan: Result<Plan, SafeText>) {
    let ticket = effects
        .iter()
        .find_map(|e| match e {
            Effect::Plan { ticket, .. } => Some(*ticket),
            _ => None,
        })
        .expect("a plan was asked for");
    update(app, Msg::Planned { ticket, plan }, NOW);
}

fn a_plan(app: &mut App, plan: Result<Plan, SafeText>) {
    press(app, "2j");
    let effects = press(app, "S");
    let effects = if effects.is_empty() {
        press(app, "\nj\u{1b}x")
    } else {
        effects
    };
    answer(app, &effects, plan);
}

fn changes() -> Vec<(&'static str, Result<Check, String>)> {
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
fn many_changes() -> Vec<(&'static str, Result<Check, String>)> {
    let mut lines: Vec<Change> = (1..=70)
        .map(|n| Change::add(format!("package {n}")))
        .collect();
    lines[2] = Change::modify("engine", "27.5", "28.5").with_warning("the engine restarts");
    lines[60] = Change::remove("rule of the firewall").with_warning("port 8080 is closed");
    vec![("packages", Ok(Check::Change(lines)))]
}

fn job(app: &mut App, outcome: Option<JobOutcome>) {
    let id = JobId(1);
    let request = Request::Restart {
        service: "shop_web".into(),
    };
    update(app, Msg::JobStarted { id, request }, NOW);
    let step = |event| Msg::Job { id, event };
    let (node, name) = ("master".to_owned(), "tasks".to_owned());
    let events = [
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

/// The servers were compared with config.toml: drift on the first, an answer from it alone.
fn checked(app: &mut App) {
    let mut steps = changes();
    steps.push(("firewall", Err("nft does not answer".into())));
    let gib = 1 << 30;
    let audit = NodeAudit {
        upgrades: 12,
        security: 3,
        reboot_required: true,
        refused: 214,
        last_ban: Some("2026-01-15 09:12:44 192.0.2.7".into()),
        listens: vec!["tcp 0.0.0.0:22".into(), "tcp [::]:22".into()],
        seen: Some(("worker-01".into(), vec![22, 80, 443, 2377])),
        devices: vec![
            "/dev/vda 20G disk".into(),
            "/dev/vdb 40G disk LVM2_member".into(),
        ],
        groups: vec![VolumeGroup {
            name: "matou".into(),
            size: 40 * gib,
            free: 4 * gib,
        }],
        spaces: vec![
            MountedFilesystem {
                mount: "/".into(),
                size: 20 * gib,
                used: 5 * gib,
                free: 15 * gib,
            },
            MountedFilesystem {
                mount: "/srv/matou".into(),
                size: 36 * gib,
                used: 35 * gib,
                free: gib,
            },
        ],
    };
    let message = Msg::Compared {
        plan: Ok(plan(Confirm::Ask, steps)),
        audits: vec![
            ("master".into(), Ok(audit)),
            (
                "worker-01".into(),
                Err("worker-01 did not answer within 10 s".into()),
            ),
        ],
    };
    update(app, message, NOW);
}

/// What the applications answered over a day.
fn answers(app: &mut App) {
    for round in 0..24 {
        let at = NOW - SignedDuration::from_hours(23 - round);
        let probe = |app: &str, status: u16, millis: u32| Probe {
            app: app.into(),
            service: format!("{app}_web"),
            domain: format!("{app}.example.org"),
            path: "/".into(),
            outcome: Ok(ProbeAnswer {
                fault: None,
                node: "master".into(),
                status,
                millis,
                well: status == 200,
            }),
        };
        let status = if round == 7 || round == 23 { 503 } else { 200 };
        let probes = vec![
            probe("blog", 200, 84),
            probe("shop", status, 20 + 30 * round as u32),
        ];
        let datum = Datum::Probes(Ok(probes));
        update(app, Msg::Fleet(Update { at, datum }), NOW);
    }
}

/// How busy two of the nodes were over a day, read every five minutes; nothing is known of two of its hours.
fn day_of_load(app: &mut App) {
    for minute in (0..24 * 60)
        .step_by(5)
        .filter(|m| m / 60 != 9 && m / 60 != 10)
    {
        let at = NOW - SignedDuration::from_mins(24 * 60 - 1 - minute);
        for (node, most) in [("master", 60.0), ("worker-01", 98.0)] {
            let reading = Metrics {
                cpu: (minute as f32 / 229.0).sin().abs() * most,
                memory_used: (2 << 30) + ((minute as u64) << 21),
                memory_total: 8 << 30,
                disk_used: 63 << 30,
                disk_total: 100 << 30,
                ..Metrics::default()
            };
            let node = node.into();
            let reading = Ok(reading);
            let datum = Datum::Metrics { node, reading };
            update(app, Msg::Fleet(Update { at, datum }), NOW);
        }
    }
}

fn with_load(theme: Theme, keys: &str) -> App {
    let mut app = on(theme, "1j\n[");
    day_of_load(&mut app);
    press(&mut app, keys);
    app
}

/// The dashboard of the example, of which a day is known.
fn dashboard(theme: Theme, keys: &str) -> App {
    let mut app = on(theme, "");
    answers(&mut app);
    day_of_load(&mut app);
    press(&mut app, "0");
    press(&mut app, keys);
    app
}

fn dashboard_of_nothing(theme: Theme) -> App {
    let node = matou::model::Node {
        name: "master".into(),
        configured: true,
        ..Default::default()
    };
    let mut app = fixture::example_app(Fleet::new("new", vec![node]), theme);
    press(&mut app, "0");
    app
}

/// Scenes of the dashboard: they are drawn on the smallest screen too.
const DASHBOARD_SCENES: &[Scene] = &[
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

fn with_checks(theme: Theme, keys: &str) -> App {
    let mut app = on(theme, "1");
    checked(&mut app);
    press(&mut app, keys);
    app
}

fn logs(app: &mut App) {
    let effects = press(app, "2l");
    let ticket = effects
        .iter()
        .find_map(|e| match e {
            Effect::FollowLogs { ticket, .. } => Some(*ticket),
            _ => None,
        })
        .unwrap_or(Ticket(0));
    let line = |i: usize, text: &str| LogLine {
        at: Some(NOW),
        from: format!("blog_web.{i}@worker-01").into(),
        bytes: text.as_bytes().to_vec(),
        stderr: false,
    };
    let lines = vec![
        line(1, "[info] \x1b[32mready\x1b[0m in 3 s"),
        line(2, "[error] connection refused"),
        line(1, "GET / 200 \x1b]0;owned\x07\x1b[2J"),
    ];
    update(app, Msg::Log { ticket, lines }, NOW);
}

/// Half an hour of requests, some of which failed.
fn requests(app: &mut App) {
    let effects = press(app, "2A");
    let Some(Effect::FollowAccess { ticket, .. }) = effects.last() else {
        panic!("{effects:?}");
    };
    let paths = [
        "/",
        "/2026/11/a-post/?utm_source=feed",
        "/wp-login.php",
        "/assets/built/screen.css?v=8a7c1d2e",
        "/ghost/api/admin/session/日本語",
    ];
    let request = |i: u32| AccessRecord {
        at: NOW - SignedDuration::from_secs(i64::from(29 * 60 - i * i / 3)),
        status: match i % 13 {
            4 => 301,
            7 => 404,
            9 => 401,
            11 if i > 40 => 502,
            _ => 200,
        },
        method: if i % 13 == 9 { "POST" } else { "GET" }.into(),
        host: "blog.example.org".into(),
        path: paths[(i % 5) as usize].into(),
        duration: std::time::Duration::from_micros(u64::from(i * i * i * 17 % 3_000_000 + 400)),
        client: match i % 7 {
            3 => "2001:db8::1:2f:7",
            n if n < 3 => "203.0.113.7",
            _ => "198.51.100.23",
        }
        .into(),
        user: "".into(),
        router: "blog@swarm".into(),
    };
    let ticket = *ticket;
    let news = AccessNews::Requests((0..70).map(request).collect());
    update(app, Msg::Access { ticket, news }, NOW);
}

fn with_requests(theme: Theme, keys: &str) -> App {
    let mut app = on(theme, "");
    requests(&mut app);
    press(&mut app, keys);
    app
}

fn bans(app: &mut App) {
    let effects = press(app, "1jf");
    let [Effect::Bans { ticket }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    let ban = |address: &str, jail: &str, since: i64, left: Option<i64>| Ban {
        jail: jail.into(),
        address: address.into(),
        since: Some(NOW - SignedDuration::from_mins(since)),
        until: left.map(|left| NOW + SignedDuration::from_mins(left)),
    };
    let node = |node: &str, bans, problem: Option<&str>| NodeBans {
        node: node.into(),
        bans,
        problem: problem.map(|p| NodeProblem::new(NodeProblemKind::Failed, p)),
    };
    let found = vec![
        node(
            "master",
            vec![
                ban("203.0.113.7", "sshd", 12, Some(48)),
                ban(
                    "2001:db8:85a3:8d3:1319:8a2e:370:7348",
                    "sshd",
                    3000,
                    Some(7000),
                ),
                ban("198.51.100.23\u{1b}[2J", "traefik-auth", 90, None),
            ],
            None,
        ),
        node(
            "worker-01",
            vec![ban("203.0.113.7", "sshd", 3, Some(57))],
            None,
        ),
        node(
            "worker-02",
            Vec::new(),
            Some("has no fail2ban: `matou provision --only fail2ban` installs it"),
        ),
    ];
    let ticket = *ticket;
    update(app, Msg::Bans { ticket, found }, NOW);
}

fn intrusions(app: &mut App) {
    let effects = press(app, "1I");
    let [Effect::Intrusions { ticket }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    let seen = |minutes: i64, rule: &str, severity, source: &str, detail: Option<&str>| Intrusion {
        at: NOW - SignedDuration::from_mins(minutes),
        signature: rule.into(),
        rule: format!("1:{}", rule.len()),
        category: "Web Application Attack".into(),
        severity,
        source: source.parse().unwrap(),
        target: "10.0.0.1:80".into(),
        detail: detail.map(str::to_owned),
    };
    let node = |node: &str, intrusions, problem: Option<&str>| NodeIntrusions {
        node: node.into(),
        intrusions,
        cut: node == "worker-01",
        problem: problem.map(|p| NodeProblem::new(NodeProblemKind::Failed, p)),
    };
    let path = "GET shop.example.org/../../../../../../../../etc/passwd\u{1b}[2J 404 (curl/7.88.1)";
    let found = vec![
        node(
            "master",
            vec![
                seen(
                    90,
                    "SSH: many connections from one address",
                    2,
                    "2001:db8:85a3:8d3:1319:8a2e:370:7348",
                    None,
                ),
                seen(5, "HTTP: path traversal", 1, "203.0.113.7", Some(path)),
                seen(4, "HTTP: path traversal", 1, "203.0.113.7", None),
            ],
            None,
        ),
        node(
            "worker-01",
            vec![
                seen(3, "HTTP: path traversal", 1, "203.0.113.7", None),
                seen(
                    3000,
                    "HTTP: a scanner's user agent",
                    3,
                    "198.51.100.23",
                    None,
                ),
            ],
            None,
        ),
        node(
            "worker-02",
            Vec::new(),
            Some(
                "has no Suricata: write suricata = \"builtin\" into [provision] of config.toml, then `matou provision --only suricata`",
            ),
        ),
    ];
    let bans = vec![NodeBans {
        node: "master".into(),
        bans: vec![Ban {
            jail: "traefik-auth".into(),
            address: "203.0.113.7".into(),
            since: Some(NOW),
            until: None,
        }],
        problem: None,
    }];
    let ticket = *ticket;
    update(
        app,
        Msg::Intrusions {
            ticket,
            found,
            bans,
        },
        NOW,
    );
}

fn search(app: &mut App, keys: &str, found: Result<Vec<LogRecord>, SafeText>) {
    let effects = press(app, keys);
    let [Effect::SearchLogs { ticket, .. }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    let ticket = *ticket;
    update(app, Msg::LogsFound { ticket, found }, NOW);
}

/// The list of past jobs, with one of each end; keys follow the answer.
fn history(app: &mut App, found: Result<Vec<PastJob>, SafeText>, keys: &str) {
    let effects = press(app, "H");
    let [Effect::ReadPastJobs { ticket }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    let ticket = *ticket;
    update(app, Msg::PastJobs { ticket, found }, NOW);
    press(app, keys);
}

fn past_jobs() -> Vec<PastJob> {
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

fn records() -> Vec<LogRecord> {
    let record = |minutes: i64, node: &str, app: &str, line: &str| LogRecord {
        at: Some(NOW - SignedDuration::from_mins(minutes)),
        node: node.into(),
        app: app.into(),
        line: line.into(),
        fields: vec![
            ("PRIORITY".into(), "6".into()),
            ("SYSLOG_IDENTIFIER".into(), "sshd\u{1b}[2J".into()),
        ],
    };
    vec![
        record(
            70,
            "master",
            "shop_web",
            "connect() failed (111: Connection refused) while connecting to upstream, client: 203.0.113.7, server: shop.example.org",
        ),
        record(7, "worker-01", "blog", "/wp-login.php\u{1b}]0;x\u{7}"),
        record(
            1,
            "worker-02",
            "sshd",
            "Failed password for root from 203.0.113.7 port 45804 ssh2",
        ),
    ]
}

fn versions(app: &mut App) {
    let effects = press(app, "2u");
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
fn batch(app: &mut App) {
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

type Scene = (&'static str, fn(Theme) -> App);

/// Everything that can be seen.
const SCENES: &[Scene] = &[
    ("services", |t| on(t, "2")),
    ("services_opened", |t| on(t, "2j\nj\nj")),
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
    ("service_labels", |t| on(t, "2j\nj]]")),
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
    ("certificates", |t| on(t, "4j")),
    ("certificate_orphan", |t| {
        let mut app = fixture::example_app(fixture::example_fleet_with_orphan(), t);
        press(&mut app, "4jj");
        app
    }),
    ("certificate_missing", |t| {
        let mut app = fixture::example_app(fixture::example_fleet_with_orphan(), t);
        press(&mut app, "4j");
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
        press(&mut app, "2j\njA");
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
    ("catalogue", |t| on(t, "d")),
    ("deploy_form", |t| on(t, "d\n")),
    ("scale_form", |t| on(t, "2s")),
    ("node_menu", |t| on(t, "1m")),
    ("alerts", |t| on(t, "a")),
    ("alerts_ignore", |t| on(t, "aji")),
    ("alerts_ignored", |t| on(t, "ai8ia")),
    ("service_answers", |t| {
        let mut app = on(t, "2j");
        answers(&mut app);
        app
    }),
    ("jobs_none", |t| on(t, "J")),
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
fn looked(app: &mut App, effects: &[Effect], seen: SnapshotAnswer) {
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

fn entries() -> SnapshotListing {
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

fn changed() -> SnapshotChanges {
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

fn on(theme: Theme, keys: &str) -> App {
    let mut app = fixture::example_app(fixture::example_fleet(), theme);
    press(&mut app, keys);
    app
}

fn notice(theme: Theme, opened: bool) -> App {
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

#[test]
fn every_scene_at_every_size() {
    for (name, scene) in SCENES.iter().chain(DASHBOARD_SCENES) {
        for size in SIZES {
            let mut app = scene(THEME);
            let (width, height) = size;
            let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a backend");
            let mut layout = None;
            terminal
                .draw(|f| layout = Some(view(&app, f)))
                .expect("drawn");
            app.take_layout(layout.expect("a layout"));
            insta::assert_snapshot!(format!("{name}_{width}x{height}"), terminal.backend());
        }
    }
}

#[test]
fn the_dashboard_says_something_on_the_smallest_screen() {
    for (name, scene) in DASHBOARD_SCENES {
        let mut app = scene(THEME);
        let mut terminal = Terminal::new(TestBackend::new(40, 12)).expect("a backend");
        terminal
            .draw(|f| {
                view(&app, f);
            })
            .expect("drawn");
        insta::assert_snapshot!(format!("{name}_40x12"), terminal.backend());
        // What is selected is to be seen, wherever it is.
        for _ in 0..30 {
            let drawn = buffer(&mut app, (40, 12));
            let selected = |cell: &ratatui::buffer::Cell| {
                cell.modifier.contains(ratatui::style::Modifier::REVERSED)
            };
            assert!(drawn.content.iter().any(selected), "{name}");
            press(&mut app, "j");
        }
    }
}

/// Finds the boxes of a screen by their corners. Folded ones have a title alone.
fn boxes(buffer: &Buffer) -> Vec<ratatui::layout::Rect> {
    let (width, height) = (buffer.area.width, buffer.area.height);
    let at = |x: u16, y: u16| buffer[(x, y)].symbol();
    let mut found = Vec::new();
    for y in 0..height {
        for x in (0..width).filter(|x| at(*x, y) == "╭") {
            let right = (x..width).find(|r| at(*r, y) == "╮").expect("a corner");
            let bottom = (y + 1..height).find(|b| at(x, *b) != "│");
            let bottom = bottom.expect("an end");
            if bottom > y + 1 {
                found.push(ratatui::layout::Rect::new(
                    x,
                    y,
                    right + 1 - x,
                    bottom + 1 - y,
                ));
            }
        }
    }
    found
}

#[test]
fn no_text_of_the_dashboard_crosses_a_border_and_none_is_cut_without_an_ellipsis() {
    let evil = "日本語\u{202e}evil\u{1b}[2J name".repeat(20);
    let scene = |keys: &str| {
        let mut app = dashboard(THEME, "");
        let mut swarm = fixture::example_fleet()
            .swarm
            .value()
            .expect("read")
            .clone();
        for service in &mut swarm.services {
            service.name = format!("{}{evil}", service.name);
            service.stack = service.stack.as_ref().map(|s| format!("{s}{evil}"));
        }
        for task in &mut swarm.tasks {
            task.error.clone_from(&evil);
        }
        let datum = Datum::Swarm(Ok(swarm));
        update(&mut app, Msg::Fleet(Update { at: NOW, datum }), NOW);
        let datum = Datum::Backups(Err(SafeText::from_line(&evil)));
        update(&mut app, Msg::Fleet(Update { at: NOW, datum }), NOW);
        press(&mut app, keys);
        app
    };
    for keys in ["", "\t", "\t\t", "\t\t\t", "G"] {
        for size in [
            (40, 12),
            (40, 24),
            (80, 24),
            (109, 30),
            (120, 40),
            (160, 48),
            (200, 60),
        ] {
            let drawn = buffer(&mut scene(keys), size);
            let found = boxes(&drawn);
            assert!(!found.is_empty(), "{keys:?} {size:?}");
            for area in found {
                let (right, bottom) = (area.right() - 1, area.bottom() - 1);
                for y in area.y + 1..bottom {
                    assert_eq!(drawn[(right, y)].symbol(), "│", "{keys:?} {size:?} {area}");
                    let line: String = (area.x + 1..right)
                        .map(|x| drawn[(x, y)].symbol())
                        .collect();
                    // A name that has no room says that it goes on.
                    if line.contains("日本") {
                        assert!(line.contains('…'), "{keys:?} {size:?}: {line}");
                    }
                }
                assert_eq!(drawn[(area.x, bottom)].symbol(), "╰", "{keys:?} {size:?}");
                assert_eq!(drawn[(right, bottom)].symbol(), "╯", "{keys:?} {size:?}");
            }
        }
    }
}

#[test]
fn ascii_scenes_hold_nothing_outside_ascii() {
    let theme = Theme {
        ascii: true,
        colour: true,
        light: false,
        shades: true,
    };
    for (name, scene) in SCENES.iter().chain(DASHBOARD_SCENES) {
        for size in SIZES {
            let buffer = buffer(&mut scene(theme), size);
            for cell in &buffer.content {
                assert!(cell.symbol().is_ascii(), "{name}: {:?}", cell.symbol());
            }
        }
    }
}

#[test]
fn colourless_scenes_hold_no_colour() {
    let theme = Theme {
        ascii: false,
        colour: false,
        light: false,
        shades: true,
    };
    for (name, scene) in SCENES.iter().chain(DASHBOARD_SCENES) {
        let buffer = buffer(&mut scene(theme), SIZES[1]);
        for cell in &buffer.content {
            let plain = cell.fg == Color::Reset && cell.bg == Color::Reset;
            assert!(plain, "{name}: {cell:?}");
        }
    }
}

#[test]
fn hostile_names_neither_reach_the_terminal_nor_break_columns() {
    let evil = "\u{1b}[2J\u{1b}]0;x\u{7}evil\n\u{202e}日本語\u{9b}31m".repeat(200);
    let mut fleet = fixture::example_fleet();
    let mut swarm = fleet.swarm.value().expect("read").clone();
    for service in &mut swarm.services {
        service.name.clone_from(&evil);
        service.stack = Some(evil.clone());
        service.image.clone_from(&evil);
        service.domains = vec![evil.clone()];
    }
    for task in &mut swarm.tasks {
        task.error.clone_from(&evil);
        task.state = evil.clone().into();
    }
    for node in &mut swarm.nodes {
        node.hostname = format!("{}{evil}", node.hostname);
        node.message.clone_from(&evil);
        node.state = evil.clone().into();
    }
    let datum = Datum::Swarm(Ok(swarm));
    fleet.apply(Update { at: NOW, datum });
    for keys in [
        "2",
        "2\nj\nj\nj",
        "1jjj",
        "1j]",
        "2]]",
        "a",
        "3",
        "2x",
        "2s",
    ] {
        for size in SIZES {
            let mut app = fixture::example_app(fleet.clone(), THEME);
            press(&mut app, keys);
            let buffer = buffer(&mut app, size);
            for cell in &buffer.content {
                let text = cell.symbol();
                assert!(!text.chars().any(char::is_control), "{keys}: {text:?}");
                assert!(!text.contains('\u{202e}'), "{keys}: {text:?}");
            }
            // The frame's right border stands where it should.
            let right = buffer[(size.0 - 1, 2)].symbol();
            assert!(
                "│╮╯".contains(right) || keys == "a",
                "{keys} {size:?}: {right:?}"
            );
        }
    }
}

#[test]
fn charts_are_filled_where_there_are_shades_and_plain_elsewhere() {
    let drawn = |colour, shades, ascii| {
        let theme = Theme {
            ascii,
            colour,
            light: false,
            shades,
        };
        buffer(&mut with_load(theme, "t"), (120, 40))
    };
    let filled = |b: &Buffer| b.content.iter().any(|c| c.fg == Color::Indexed(24));
    let shows = |b: &Buffer, text: &str| {
        let rows = b.content.chunks(usize::from(b.area.width));
        rows.map(|r| {
            r.iter()
                .map(ratatui::buffer::Cell::symbol)
                .collect::<String>()
        })
        .any(|line| line.contains(text))
    };
    assert!(filled(&drawn(true, true, false)));
    for (colour, shades, ascii) in [
        (true, false, false),
        (false, true, false),
        (false, false, true),
    ] {
        let plain = drawn(colour, shades, ascii);
        assert!(!filled(&plain), "{colour} {shades} {ascii}");
        for text in ["100 %", "  0 %", "12:00", "limit 95 %", "63 % now"] {
            assert!(shows(&plain, text), "{text} {colour} {shades} {ascii}");
        }
        let limit = if ascii {
            "----------"
        } else {
            "┄┄┄┄┄┄┄┄┄┄"
        };
        assert!(shows(&plain, limit), "{colour} {shades} {ascii}");
    }
}

#[test]
fn a_screen_that_is_too_small_says_so() {
    for size in [(20, 5), (39, 24), (80, 9), (1, 1)] {
        let buffer = buffer(&mut on(THEME, ""), size);
        let first: String = (0..size.0).map(|x| buffer[(x, 0)].symbol()).collect();
        assert!(
            "matou needs 40x10".starts_with(first.trim_end()),
            "{first:?}"
        );
    }
}

/// Whatever is shown, the last line says how one goes on: the help, or the keys of what is open.
#[test]
fn every_last_line_leads_on() {
    for (name, scene) in SCENES.iter().chain(DASHBOARD_SCENES) {
        for size in SIZES {
            let buffer = buffer(&mut scene(THEME), size);
            let y = size.1 - 1;
            let last: String = (0..size.0).map(|x| buffer[(x, y)].symbol()).collect();
            let keys = ["? ", "Esc", "back", "Enter", "any other key"];
            assert!(
                keys.iter().any(|key| last.contains(key)),
                "{name} {size:?}: {last:?}"
            );
        }
    }
}
