//! What is read of a fleet, given to the console.

use jiff::SignedDuration;
use matou::collect::AccessNews;
use matou::job::Confirm;
use matou::model::{
    AccessRecord, Ban, Datum, Intrusion, LogLine, LogRecord, Metrics, NodeBans, NodeIntrusions,
    NodeProblem, NodeProblemKind, Probe, ProbeAnswer, Update,
};
use matou::provision::audit::{MountedFilesystem, NodeAudit, VolumeGroup};
use matou::text::SafeText;
use matou::ui::fixture::NOW;
use matou::ui::msg::Ticket;
use matou::ui::{App, Effect, Msg, update};

use super::{changes, plan, press};

/// The servers were compared with config.toml: drift on the first, an answer from it alone.
pub(crate) fn checked(app: &mut App) {
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
pub(crate) fn answers(app: &mut App) {
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
pub(crate) fn day_of_load(app: &mut App) {
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

pub(crate) fn logs(app: &mut App) {
    let effects = press(app, "2jl");
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
pub(crate) fn requests(app: &mut App) {
    let effects = press(app, "2jA");
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

pub(crate) fn bans(app: &mut App) {
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

pub(crate) fn intrusions(app: &mut App) {
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

pub(crate) fn search(app: &mut App, keys: &str, found: Result<Vec<LogRecord>, SafeText>) {
    let effects = press(app, keys);
    let [Effect::SearchLogs { ticket, .. }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    let ticket = *ticket;
    update(app, Msg::LogsFound { ticket, found }, NOW);
}

pub(crate) fn records() -> Vec<LogRecord> {
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
