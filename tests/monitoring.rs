//! The monitoring stack's configuration, judged by the programs that read it: promtool, amtool and
//! the blackbox exporter of Debian's packages.

use std::path::Path;
use std::process::Command;

use matou::config::{AlertsConfig, Config, QuietHours};
use matou::model::ExpectedAnswer;
use matou::monitor::{AlertReceivers, EmailReceiver, MonitoringInputs, ProbeTarget, generate};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// Writes the files into a folder; answers with their paths beside the stack file.
fn write(folder: &Path, inputs: &MonitoringInputs<'_>) -> Vec<String> {
    std::fs::create_dir_all(folder.join("monitoring")).expect("a folder");
    let files = generate(inputs);
    for (path, content) in &files {
        std::fs::write(folder.join(path), content.expose_secret()).expect("written");
    }
    files.into_keys().collect()
}

fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|e| panic!("{program} does not start ({e}): run scripts/setup.sh"));
    let text =
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?}:\n{text}");
    text
}

/// A fleet with everything, also what is hostile.
fn everything(limits: AlertsConfig) -> MonitoringInputs<'static> {
    let target = |app: &str, domain: &str, path: &str, status: &[u16]| ProbeTarget {
        app: app.into(),
        domain: domain.into(),
        wanted: ExpectedAnswer {
            path: path.into(),
            status: status.to_vec(),
            ..ExpectedAnswer::default()
        },
    };
    MonitoringInputs {
        app: "mon",
        fleet: "a \"fleet\": {x}",
        nodes: vec!["n1".into(), "n\"2\\".into()],
        targets: vec![
            target("blog", "blog.example.org", "/", &[200]),
            target("shop", "shop.example.org", "/a: b#c", &[200]),
            target("mon", "mon.example.org", "/prometheus/-/healthy", &[401]),
            target("wiki", "wiki.example.org", "/", &[200, 401]),
        ],
        edge: Some("edge_traefik".into()),
        limits,
        ca: Some("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n".into()),
        backups: true,
        receivers: AlertReceivers {
            email: Some(EmailReceiver {
                to: "ops@example.org".into(),
                from: "matou@example.org".into(),
                smtp: "smtp.example.org:587".into(),
                user: Some("matou".into()),
                password: Some("pass: \"word\"\n".to_owned().into()),
            }),
            webhook: Some("https://hooks.example.org/x?token=1".to_owned().into()),
            telegram: Some((-100_123, "1:token".to_owned().into())),
            matrix: Some("https://matrix.example.org/webhook/1".to_owned().into()),
            ntfy: Some((
                "https://ntfy.sh/topic".into(),
                Some("tk_1".to_owned().into()),
            )),
            gotify: Some(("https://gotify.example.org".into(), "A1".to_owned().into())),
            deadman: Some("https://hc-ping.com/1".to_owned().into()),
            quiet: Some(QuietHours::parse("22:00-07:00 Europe/Paris").expect("quiet hours")),
        },
    }
}

/// With MATOU_WRITE_STACKS=1 they are written instead of compared.
#[test]
fn the_files_of_the_stack_are_those_of_an_unknown_fleet() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/stacks"));
    let inputs = MonitoringInputs::for_unknown_fleet(Config::this_machine().alerts);
    if std::env::var_os("MATOU_WRITE_STACKS").is_some() {
        write(root, &inputs);
    }
    for (path, content) in generate(&inputs) {
        let found = std::fs::read_to_string(root.join(&path)).expect("it is there");
        assert_eq!(found, content.expose_secret(), "{path}");
    }
}

#[test]
fn every_program_takes_its_configuration() {
    let limits = Config::this_machine().alerts;
    for inputs in [
        MonitoringInputs::for_unknown_fleet(limits),
        everything(limits),
    ] {
        let dir = tempfile::tempdir().expect("a folder");
        write(dir.path(), &inputs);
        let path = |name: &str| {
            let path = dir.path().join("monitoring").join(name);
            path.to_string_lossy().into_owned()
        };
        // The rules are beside it, and not yet where they will be.
        let text = std::fs::read_to_string(path("prometheus.yml")).expect("written");
        let text = text.replace("/etc/prometheus/rules.yml", &path("rules.yml"));
        std::fs::write(path("prometheus.yml"), text).expect("written");
        let said = run("promtool", &["check", "config", &path("prometheus.yml")]);
        assert!(said.contains("rules found"), "{said}");
        run(
            "promtool",
            &["check", "rules", "--lint=all", &path("rules.yml")],
        );
        let said = run("amtool", &["check-config", &path("alertmanager.yml")]);
        if inputs.receivers.email.is_some() {
            assert!(said.contains("3 receivers"), "{said}");
        }
        let text = std::fs::read_to_string(path("blackbox.yml")).expect("written");
        let text = text.replace("/etc/blackbox/ca.pem", &path("ca.pem"));
        std::fs::write(path("blackbox.yml"), text).expect("written");
        let file = format!("--config.file={}", path("blackbox.yml"));
        run("prometheus-blackbox-exporter", &[&file, "--config.check"]);
    }
}

/// Series that an alert is tried on: what is measured, when it is quiet, and when it fires with
/// which labels and words.
struct Case {
    alert: &'static str,
    /// Seconds between two values.
    step: u32,
    series: &'static [(&'static str, &'static str)],
    quiet: &'static [&'static str],
    fires: Option<(&'static str, &'static str, &'static str)>,
}

const APP: &str =
    r#"probe_success{job="applications",app="blog",domain="b.org",instance="https://b.org/"}"#;
const EXPIRY: &str = r#"probe_ssl_earliest_cert_expiry{job="applications",app="blog",domain="b.org",instance="https://b.org/"}"#;
const UP: &str = r#"up{job="node",instance="n1"}"#;
const IDLE: &str = r#"node_cpu_seconds_total{job="node",instance="n1",mode="idle",cpu="0"}"#;
const MEMORY: (&str, &str) = (
    r#"node_memory_MemTotal_bytes{job="node",instance="n1"}"#,
    "100x40",
);
const AVAILABLE: &str = r#"node_memory_MemAvailable_bytes{job="node",instance="n1"}"#;
const SIZE: (&str, &str) = (
    r#"node_filesystem_size_bytes{job="node",instance="n1",mountpoint="/",fstype="ext4"}"#,
    "100x200",
);
const FREE: &str =
    r#"node_filesystem_free_bytes{job="node",instance="n1",mountpoint="/",fstype="ext4"}"#;
const AVAIL: &str =
    r#"node_filesystem_avail_bytes{job="node",instance="n1",mountpoint="/",fstype="ext4"}"#;
const BACKUP: &str = r#"matou_backup_last_success_timestamp_seconds{app="blog"}"#;
const FOUND: &str =
    r#"matou_alert{kind="replicas",what="blog_web",why="0 of 1 tasks run",level="critical"}"#;

/// Of each alert: it fires, it does not, and what it does at its very limit. Limits of 75 % make
/// figures that floating point holds exactly.
const CASES: &[Case] = &[
    // One failed probe is no alarm, three are; it ends with the first good answer.
    Case {
        alert: "ApplicationDown",
        step: 15,
        series: &[(APP, "1 1 0 0 0 0 1 1")],
        quiet: &["15s", "30s", "45s", "90s"],
        fires: Some((
            "60s",
            r#"{"app":"blog","domain":"b.org","instance":"https://b.org/","job":"applications","severity":"critical"}"#,
            "https://b.org/ does not answer as it should",
        )),
    },
    // 21 days are left at half an hour.
    Case {
        alert: "CertificateEnding",
        step: 15,
        series: &[(EXPIRY, "1816200x200")],
        quiet: &["15m", "30m", "45m"],
        fires: Some((
            "46m",
            r#"{"app":"blog","domain":"b.org","instance":"https://b.org/","job":"applications","severity":"warning"}"#,
            "the certificate of b.org ends in 21 days and was not renewed",
        )),
    },
    Case {
        alert: "NodeDown",
        step: 15,
        series: &[
            (UP, "1x4 0x10"),
            (r#"up{job="node",instance="n2"}"#, "1x20"),
        ],
        quiet: &["60s", "120s"],
        fires: Some((
            "135s",
            r#"{"instance":"n1","severity":"critical"}"#,
            "n1 gives no sign of life",
        )),
    },
    // A node that is gone leaves no series at all.
    Case {
        alert: "NodeDown",
        step: 15,
        series: &[
            (UP, "1x4 stale"),
            (r#"up{job="node",instance="n2"}"#, "1x20"),
        ],
        quiet: &["60s", "120s"],
        fires: Some((
            "135s",
            r#"{"instance":"n1","severity":"critical"}"#,
            "n1 gives no sign of life",
        )),
    },
    Case {
        alert: "NodeCpu",
        step: 15,
        series: &[(IDLE, "0+3.75x40")],
        quiet: &["60s"],
        fires: Some((
            "5m",
            r#"{"instance":"n1","severity":"warning"}"#,
            "CPU of n1 at 75 %",
        )),
    },
    Case {
        alert: "NodeCpu",
        step: 15,
        series: &[(IDLE, "0+3.9x40")],
        quiet: &["5m", "10m"],
        fires: None,
    },
    Case {
        alert: "NodeMemory",
        step: 15,
        series: &[MEMORY, (AVAILABLE, "25x40")],
        quiet: &["45s"],
        fires: Some((
            "60s",
            r#"{"instance":"n1","job":"node","severity":"warning"}"#,
            "memory of n1 at 75 %",
        )),
    },
    Case {
        alert: "NodeMemory",
        step: 15,
        series: &[MEMORY, (AVAILABLE, "26x40")],
        quiet: &["60s", "10m"],
        fires: None,
    },
    // Four are kept for root: 72 of 96 are in use, as df says.
    Case {
        alert: "NodeDisk",
        step: 15,
        series: &[SIZE, (FREE, "28x40"), (AVAIL, "24x40")],
        quiet: &["15s"],
        fires: Some((
            "30s",
            r#"{"instance":"n1","job":"node","mountpoint":"/","fstype":"ext4","severity":"critical"}"#,
            "/ of n1 at 75 %",
        )),
    },
    Case {
        alert: "NodeDisk",
        step: 15,
        series: &[SIZE, (FREE, "26x40"), (AVAIL, "26x40")],
        quiet: &["30s", "10m"],
        fires: None,
    },
    // What is in memory is no disk.
    Case {
        alert: "NodeDisk",
        step: 15,
        series: &[
            (
                r#"node_filesystem_size_bytes{job="node",instance="n1",mountpoint="/run",fstype="tmpfs"}"#,
                "100x40",
            ),
            (
                r#"node_filesystem_free_bytes{job="node",instance="n1",mountpoint="/run",fstype="tmpfs"}"#,
                "0x40",
            ),
            (
                r#"node_filesystem_avail_bytes{job="node",instance="n1",mountpoint="/run",fstype="tmpfs"}"#,
                "0x40",
            ),
        ],
        quiet: &["10m"],
        fires: None,
    },
    // After an hour 36 are left, which the next day takes.
    Case {
        alert: "NodeDiskFilling",
        step: 60,
        series: &[SIZE, (AVAIL, "37.5-0.025x200")],
        quiet: &["50m", "88m"],
        fires: Some((
            "95m",
            r#"{"instance":"n1","job":"node","mountpoint":"/","fstype":"ext4","severity":"warning"}"#,
            "/ of n1 will be full within 24 h, as it fills now",
        )),
    },
    Case {
        alert: "NodeDiskFilling",
        step: 60,
        series: &[SIZE, (AVAIL, "50-0.01x200")],
        quiet: &["60m", "180m"],
        fires: None,
    },
    // The fourth container of a slot in ten minutes, and not the third.
    Case {
        alert: "TaskCrashLoop",
        step: 60,
        series: &[
            (
                r#"container_start_time_seconds{container_label_com_docker_swarm_task_name="blog_web.1.a",container_label_com_docker_swarm_service_name="blog_web"}"#,
                "1 stale",
            ),
            (
                r#"container_start_time_seconds{container_label_com_docker_swarm_task_name="blog_web.1.b",container_label_com_docker_swarm_service_name="blog_web"}"#,
                "_ 2 stale",
            ),
            (
                r#"container_start_time_seconds{container_label_com_docker_swarm_task_name="blog_web.1.c",container_label_com_docker_swarm_service_name="blog_web"}"#,
                "_ _ 3 stale",
            ),
            (
                r#"container_start_time_seconds{container_label_com_docker_swarm_task_name="blog_web.1.d",container_label_com_docker_swarm_service_name="blog_web"}"#,
                "_ _ _ 4x20",
            ),
            (
                r#"container_start_time_seconds{container_label_com_docker_swarm_task_name="blog_web.2.e",container_label_com_docker_swarm_service_name="blog_web"}"#,
                "5x20",
            ),
        ],
        quiet: &["2m", "15m"],
        fires: Some((
            "3m",
            r#"{"service":"blog_web","slot":"blog_web.1","severity":"critical"}"#,
            "blog_web.1 was started 4 times in ten minutes",
        )),
    },
    Case {
        alert: "MatouAlert",
        step: 15,
        series: &[(FOUND, "_ 1 1 1 1 stale")],
        quiet: &["0s", "30s", "75s"],
        fires: Some((
            "45s",
            r#"{"kind":"replicas","what":"blog_web","why":"0 of 1 tasks run","level":"critical","severity":"critical"}"#,
            "blog_web: 0 of 1 tasks run",
        )),
    },
    Case {
        alert: "MatouCheckOld",
        step: 15,
        series: &[("matou_check_timestamp_seconds", "0x100")],
        quiet: &["15m", "16m"],
        fires: Some((
            "17m",
            r#"{"severity":"warning"}"#,
            "matou did not look at the fleet for a quarter of an hour",
        )),
    },
    // An hour is allowed here.
    Case {
        alert: "BackupMissed",
        step: 15,
        series: &[(BACKUP, "0x400")],
        quiet: &["60m", "65m"],
        fires: Some((
            "66m",
            r#"{"app":"blog","severity":"critical"}"#,
            "blog was backed up 1h 6m 0s ago",
        )),
    },
    Case {
        alert: "BackupUnknown",
        step: 15,
        series: &[("other", "0x400")],
        quiet: &["59m"],
        fires: Some((
            "61m",
            r#"{"severity":"critical"}"#,
            "no backup tells when it was made",
        )),
    },
    Case {
        alert: "BackupUnknown",
        step: 15,
        series: &[(BACKUP, "0x400")],
        quiet: &["61m"],
        fires: None,
    },
    Case {
        alert: "TargetDown",
        step: 15,
        series: &[
            (r#"up{job="cadvisor",instance="n1"}"#, "1x4 0x20"),
            (
                r#"up{job="applications",instance="https://b.org/"}"#,
                "0x20",
            ),
        ],
        quiet: &["60s", "180s"],
        fires: Some((
            "195s",
            r#"{"job":"cadvisor","instance":"n1","severity":"warning"}"#,
            "cadvisor of n1 can't be scraped",
        )),
    },
    Case {
        alert: "AlertsNotSent",
        step: 15,
        series: &[(
            r#"alertmanager_notifications_failed_total{job="alertmanager",integration="webhook"}"#,
            "0x20 0+1x60",
        )],
        quiet: &["5m", "9m"],
        fires: Some((
            "13m",
            r#"{"job":"alertmanager","integration":"webhook","severity":"warning"}"#,
            "Alertmanager can't tell anybody by webhook",
        )),
    },
    Case {
        alert: "Watchdog",
        step: 15,
        series: &[("other", "0x4")],
        quiet: &[],
        fires: Some((
            "0s",
            r#"{"severity":"none"}"#,
            "always on: when it is not told any more, the monitoring is down",
        )),
    },
];

fn limits() -> AlertsConfig {
    let mut limits = Config::this_machine().alerts;
    (limits.cpu, limits.memory, limits.disk, limits.backup_hours) = (75, 75, 75, 1);
    limits
}

#[test]
fn every_alert_fires_when_it_should_and_not_before() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut inputs = everything(limits());
    inputs.nodes = vec!["n1".into()];
    write(dir.path(), &inputs);
    let tests: Vec<Value> = CASES.iter().map(test).collect();
    let tests = json!({
        "rule_files": ["rules.yml"], "evaluation_interval": "15s", "tests": tests,
    });
    let path = dir.path().join("monitoring/tests.yml");
    std::fs::write(&path, serde_yaml::to_string(&tests).expect("YAML")).expect("written");
    run("promtool", &["test", "rules", &path.to_string_lossy()]);
    // Every rule is among them.
    let rules = std::fs::read_to_string(dir.path().join("monitoring/rules.yml")).expect("written");
    let rules: Value = serde_yaml::from_str(&rules).expect("YAML");
    for group in rules["groups"].as_array().expect("groups") {
        for rule in group["rules"].as_array().expect("rules") {
            let name = rule["alert"].as_str().expect("a name");
            let fires = CASES.iter().any(|c| c.alert == name && c.fires.is_some());
            assert!(fires, "{name} is never tried");
        }
    }
}

fn test(case: &Case) -> Value {
    let series = case.series.iter();
    let series: Vec<Value> = series
        .map(|(series, values)| json!({"series": series, "values": values}))
        .collect();
    let mut expected: Vec<Value> = case
        .quiet
        .iter()
        .map(|at| json!({"eval_time": at, "alertname": case.alert, "exp_alerts": []}))
        .collect();
    if let Some((at, labels, summary)) = case.fires {
        let labels: Value = serde_json::from_str(labels).expect("labels");
        expected.push(json!({
            "eval_time": at, "alertname": case.alert,
            "exp_alerts": [{"exp_labels": labels, "exp_annotations": {"summary": summary}}],
        }));
    }
    json!({
        "interval": format!("{}s", case.step), "input_series": series, "alert_rule_test": expected,
    })
}

/// Dashboards ask for series that somebody gives: their queries are read by promtool's parser.
#[test]
fn every_query_of_the_dashboards_is_one() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/stacks/monitoring");
    let mut rules = Vec::new();
    for name in ["fleet", "node", "application", "edge", "backups"] {
        let text = std::fs::read_to_string(format!("{folder}/{name}.json")).expect("it is there");
        let dashboard: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(dashboard["uid"], format!("matou-{name}"));
        for panel in dashboard["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().expect("targets") {
                let expr = target["expr"].as_str().expect("a query");
                rules.push(json!({"record": format!("q{}", rules.len()), "expr": expr}));
            }
        }
    }
    assert!(rules.len() > 25);
    let file = json!({"groups": [{"name": "queries", "rules": rules}]});
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("queries.yml");
    std::fs::write(&path, serde_yaml::to_string(&file).expect("YAML")).expect("written");
    run(
        "promtool",
        &["check", "rules", "--lint=none", &path.to_string_lossy()],
    );
}
