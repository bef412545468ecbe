//! The configuration of the monitoring stack, made from the fleet: what Prometheus scrapes and
//! alerts of, what the blackbox exporter takes for an answer, whom Alertmanager tells.
//!
//! Formats: prometheus.io/docs/prometheus/latest/configuration (configuration, recording_rules),
//! prometheus.io/docs/alerting/latest/configuration, github.com/prometheus/blackbox_exporter
//! (CONFIGURATION.md). JSON is YAML too, but people read these files: they are written as YAML.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use matou_config::{AlertsConfig, QuietHours};
use matou_model::ExpectedAnswer;

/// File systems that are no disks, and what containers mount.
const DISKS: &str = r#"fstype!~"tmpfs|ramfs|overlay|squashfs|nsfs|fuse.*|nfs.*",mountpoint!~"/(run|boot/efi|var/lib/docker/.+)(/.*)?""#;

/// An address that the blackbox exporter asks, and which answers are well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeTarget {
    /// The application that claims it.
    pub app: String,
    /// Asked by https.
    pub domain: String,
    /// What it must answer.
    pub wanted: ExpectedAnswer,
}

/// Whom Alertmanager tells. Addresses that hold a token, and passwords, are secrets.
#[derive(Debug, Clone, Default)]
pub struct AlertReceivers {
    /// Mail.
    pub email: Option<EmailReceiver>,
    /// Address that alerts are posted to.
    pub webhook: Option<SecretString>,
    /// Chat id and the bot's token.
    pub telegram: Option<(i64, SecretString)>,
    /// A webhook of a Matrix bot, as matrix-hookshot makes them.
    pub matrix: Option<SecretString>,
    /// Topic's address, and an access token for one that is not public.
    pub ntfy: Option<(String, Option<SecretString>)>,
    /// Address of a Gotify server, and an application's token; Alertmanager can't tell there.
    pub gotify: Option<(String, SecretString)>,
    /// Address that is called every few minutes while the monitoring itself works.
    pub deadman: Option<SecretString>,
    /// When only what is critical is told.
    pub quiet: Option<QuietHours>,
}

/// How mail is sent.
#[derive(Debug, Clone)]
pub struct EmailReceiver {
    /// Address that gets it.
    pub to: String,
    /// Address that it comes from.
    pub from: String,
    /// `host:port`; STARTTLS is required.
    pub smtp: String,
    /// Name to log in with; `None`: no log-in.
    pub user: Option<String>,
    /// Password of that name.
    pub password: Option<SecretString>,
}

/// What the configuration is made of.
#[derive(Debug, Clone)]
pub struct MonitoringInputs<'a> {
    /// The name that the stack is deployed under.
    pub app: &'a str,
    /// The fleet's name.
    pub fleet: &'a str,
    /// Host names of all nodes.
    pub nodes: Vec<String>,
    /// What is asked whether it answers.
    pub targets: Vec<ProbeTarget>,
    /// The service that takes https for the fleet.
    pub edge: Option<String>,
    /// From where on it is too much.
    pub limits: AlertsConfig,
    /// An authority of one's own that certificates may come from, PEM.
    pub ca: Option<String>,
    /// Whether backups are made: their metric must be there then.
    pub backups: bool,
    /// Whom Alertmanager tells.
    pub receivers: AlertReceivers,
}

impl MonitoringInputs<'_> {
    /// Inputs for a fleet of which nothing is known: they make what the stack file holds by itself.
    pub fn for_unknown_fleet(limits: AlertsConfig) -> Self {
        Self {
            app: "monitoring",
            fleet: "fleet",
            nodes: Vec::new(),
            targets: Vec::new(),
            edge: None,
            limits,
            ca: None,
            backups: false,
            receivers: AlertReceivers::default(),
        }
    }
}

/// Renders the files of the stack that depend on the fleet, by their paths beside the stack file.
pub fn render_monitoring_files(inputs: &MonitoringInputs<'_>) -> BTreeMap<String, SecretString> {
    let yaml = |what: &str, value: &Value| -> SecretString {
        let text = serde_yaml::to_string(value).unwrap_or_default();
        format!("# {what} Written by matou from the fleet.\n{text}").into()
    };
    let ca = inputs.ca.clone();
    let ca = ca.unwrap_or_else(|| "# No authority of one's own.\n".into());
    [
        (
            "prometheus.yml",
            yaml("What is scraped.", &build_prometheus_config(inputs)),
        ),
        (
            "rules.yml",
            yaml("What is alerted of.", &build_alert_rules(inputs)),
        ),
        (
            "blackbox.yml",
            yaml("What is an answer.", &build_blackbox_config(inputs)),
        ),
        (
            "alertmanager.yml",
            yaml("Who is told.", &build_alertmanager_config(inputs)),
        ),
        ("ca.pem", ca.into()),
    ]
    .into_iter()
    .map(|(name, content)| (format!("monitoring/{name}"), content))
    .collect()
}

/// What a blackbox module accepts: the expected answer, whatever its path.
fn accepted_answer(wanted: &ExpectedAnswer) -> ExpectedAnswer {
    ExpectedAnswer {
        path: String::new(),
        ..wanted.clone()
    }
}

/// Names the blackbox modules after the codes that they accept, as `http_200_401`; those that look
/// at the text are numbered.
fn name_blackbox_modules(inputs: &MonitoringInputs<'_>) -> BTreeMap<ExpectedAnswer, String> {
    let plain = ExpectedAnswer {
        status: vec![200],
        ..ExpectedAnswer::default()
    };
    let mut accepted: BTreeSet<ExpectedAnswer> = [plain].into();
    accepted.extend(inputs.targets.iter().map(|t| accepted_answer(&t.wanted)));
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let named = accepted.into_iter().map(|answer| {
        let codes: Vec<String> = answer.status.iter().map(ToString::to_string).collect();
        let mut name = format!("http_{}", codes.join("_"));
        if answer.needs_text() {
            let number = numbers.entry(name.clone()).or_default();
            *number += 1;
            name = format!("{name}_text_{number}");
        }
        (answer, name)
    });
    named.collect()
}

fn build_prometheus_config(inputs: &MonitoringInputs<'_>) -> Value {
    let app = inputs.app;
    // Discovery gives one target for each network of a task: only that of one network is kept.
    let tasks = |service: &str, port: u16| {
        json!({
            "job_name": service,
            "dockerswarm_sd_configs": [{
                "host": "tcp://proxy:2375", "role": "tasks", "port": port, "refresh_interval": "15s",
            }],
            "relabel_configs": [
                {"source_labels": ["__meta_dockerswarm_service_name"], "regex": format!("{app}_{service}"), "action": "keep"},
                {"source_labels": ["__meta_dockerswarm_task_desired_state"], "regex": "running", "action": "keep"},
                {"source_labels": ["__meta_dockerswarm_network_name"], "regex": format!("{app}_internal"), "action": "keep"},
                {"source_labels": ["__meta_dockerswarm_node_hostname"], "target_label": "instance"},
            ],
        })
    };
    let one = |job: &str, target: &str, path: &str| {
        json!({
            "job_name": job, "metrics_path": path,
            "static_configs": [{"targets": [target]}],
        })
    };
    let mut node = tasks("node-exporter", 9100);
    node["job_name"] = "node".into();
    let mut jobs = vec![
        one("prometheus", "127.0.0.1:9090", "/prometheus/metrics"),
        one("alertmanager", "alertmanager:9093", "/alertmanager/metrics"),
        one("blackbox", "blackbox:9115", "/metrics"),
        node,
        tasks("cadvisor", 8080),
    ];
    if let Some(edge) = &inputs.edge {
        jobs.push(json!({
            "job_name": "edge",
            "dns_sd_configs": [{"names": [format!("tasks.{edge}")], "type": "A", "port": 8082, "refresh_interval": "15s"}],
        }));
    }
    for (accepted, module) in name_blackbox_modules(inputs) {
        let fits = |t: &&ProbeTarget| accepted_answer(&t.wanted) == accepted;
        let targets: Vec<Value> = (inputs.targets.iter().filter(fits))
            .map(|t| {
                json!({
                    "targets": [format!("https://{}{}", t.domain, t.wanted.path)],
                    "labels": {"app": t.app, "domain": t.domain},
                })
            })
            .collect();
        if targets.is_empty() {
            continue;
        }
        jobs.push(json!({
            "job_name": format!("applications_{module}"),
            "metrics_path": "/probe",
            "params": {"module": [module]},
            "static_configs": targets,
            "relabel_configs": [
                {"target_label": "job", "replacement": "applications"},
                {"source_labels": ["__address__"], "target_label": "__param_target"},
                {"source_labels": ["__param_target"], "target_label": "instance"},
                {"target_label": "__address__", "replacement": "blackbox:9115"},
            ],
        }));
    }
    json!({
        "global": {
            "scrape_interval": "15s", "evaluation_interval": "15s",
            "external_labels": {"fleet": inputs.fleet},
        },
        "alerting": {"alertmanagers": [{
            "path_prefix": "/alertmanager",
            "static_configs": [{"targets": ["alertmanager:9093"]}],
        }]},
        "rule_files": ["/etc/prometheus/rules.yml"],
        "scrape_configs": jobs,
    })
}

fn build_blackbox_config(inputs: &MonitoringInputs<'_>) -> Value {
    let tls = match inputs.ca {
        // It takes the place of the public ones.
        Some(_) => json!({"ca_file": "/etc/blackbox/ca.pem"}),
        None => json!({}),
    };
    let modules: serde_json::Map<String, Value> = name_blackbox_modules(inputs)
        .into_iter()
        .map(|(accepted, name)| {
            let mut http = json!({
                "valid_status_codes": accepted.status, "fail_if_not_ssl": true,
                "preferred_ip_protocol": "ip4", "tls_config": tls,
            });
            // Who is asked for a password sees no text.
            let shut = accepted.status.contains(&401);
            for (key, texts) in [
                ("fail_if_body_not_matches_regexp", &accepted.contains),
                ("fail_if_body_matches_regexp", &accepted.lacks),
            ] {
                if !texts.is_empty() && !shut {
                    let quoted = texts.iter().map(|t| regex::escape(t));
                    http[key] = quoted.collect::<Vec<_>>().into();
                }
            }
            (
                name,
                json!({"prober": "http", "timeout": "10s", "http": http}),
            )
        })
        .collect();
    json!({"modules": modules})
}

fn build_alert_rule(name: &str, expr: &str, lasts: &str, severity: &str, summary: &str) -> Value {
    json!({
        "alert": name, "expr": expr, "for": lasts,
        "labels": {"severity": severity},
        "annotations": {"summary": summary},
    })
}

/// Alert rules; the names are those that docs/monitoring.md explains.
fn build_alert_rules(inputs: &MonitoringInputs<'_>) -> Value {
    let AlertsConfig {
        cpu,
        memory,
        disk,
        certificate_days,
        disk_full_hours,
        backup_hours,
        ..
    } = inputs.limits;
    let applications = vec![
        build_alert_rule(
            "ApplicationDown",
            r#"probe_success{job="applications"} == 0"#,
            "30s",
            "critical",
            "{{ $labels.instance }} does not answer as it should",
        ),
        build_alert_rule(
            "CertificateEnding",
            &format!(
                r#"(probe_ssl_earliest_cert_expiry{{job="applications"}} - time()) / 86400 < {certificate_days}"#
            ),
            "15m",
            "warning",
            "the certificate of {{ $labels.domain }} ends in {{ $value | printf \"%.0f\" }} days and was not renewed",
        ),
    ];
    let mut nodes: Vec<Value> = inputs
        .nodes
        .iter()
        .map(|node| {
            // It stands in an expression and in a template; labels of series are not known there.
            let name = node.replace(['\\', '"', '{', '}'], "");
            let mut rule = build_alert_rule(
                "NodeDown",
                &format!(r#"absent(up{{job="node",instance="{name}"}} == 1)"#),
                "1m",
                "critical",
                &format!("{name} gives no sign of life"),
            );
            rule["labels"]["instance"] = name.into();
            rule
        })
        .collect();
    if nodes.is_empty() {
        nodes.push(build_alert_rule(
            "NodeDown",
            r#"up{job="node"} == 0"#,
            "1m",
            "critical",
            "{{ $labels.instance }} gives no sign of life",
        ));
    }
    nodes.extend([
        build_alert_rule(
            "NodeCpu",
            &format!(
                r#"100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{{job="node",mode="idle"}}[2m]))) >= {cpu}"#
            ),
            "2m",
            "warning",
            "CPU of {{ $labels.instance }} at {{ $value | printf \"%.0f\" }} %",
        ),
        build_alert_rule(
            "NodeMemory",
            &format!(
                r#"100 * (1 - node_memory_MemAvailable_bytes{{job="node"}} / node_memory_MemTotal_bytes{{job="node"}}) >= {memory}"#
            ),
            "1m",
            "warning",
            "memory of {{ $labels.instance }} at {{ $value | printf \"%.0f\" }} %",
        ),
        build_alert_rule(
            "NodeDisk",
            // As df counts: what is kept for root is neither used nor to be had.
            &format!(
                "100 * (node_filesystem_size_bytes{{job=\"node\",{DISKS}}} - node_filesystem_free_bytes{{job=\"node\",{DISKS}}}) \
                 / (node_filesystem_size_bytes{{job=\"node\",{DISKS}}} - node_filesystem_free_bytes{{job=\"node\",{DISKS}}} + node_filesystem_avail_bytes{{job=\"node\",{DISKS}}}) >= {disk}"
            ),
            "30s",
            "critical",
            "{{ $labels.mountpoint }} of {{ $labels.instance }} at {{ $value | printf \"%.0f\" }} %",
        ),
        build_alert_rule(
            "NodeDiskFilling",
            &format!(
                "predict_linear(node_filesystem_avail_bytes{{job=\"node\",{DISKS}}}[6h], {}) <= 0 \
                 and node_filesystem_avail_bytes{{job=\"node\",{DISKS}}} < 0.6 * node_filesystem_size_bytes{{job=\"node\",{DISKS}}}",
                u64::from(disk_full_hours) * 3600
            ),
            "30m",
            "warning",
            &format!(
                "{{{{ $labels.mountpoint }}}} of {{{{ $labels.instance }}}} will be full within {disk_full_hours} h, as it fills now"
            ),
        ),
    ]);
    let swarm = vec![
        build_alert_rule(
            "TaskCrashLoop",
            r#"count by (service, slot) (label_replace(label_replace(last_over_time(container_start_time_seconds{container_label_com_docker_swarm_task_name!=""}[10m]), "slot", "$1", "container_label_com_docker_swarm_task_name", "(.*)[.][^.]+"), "service", "$1", "container_label_com_docker_swarm_service_name", "(.+)")) >= 4"#,
            "0s",
            "critical",
            "{{ $labels.slot }} was started {{ $value }} times in ten minutes",
        ),
        // What `matou check --metrics` found: replicas, quorum, drift, certificates, …
        json!({
            "alert": "MatouAlert",
            "expr": "max by (kind, what, why, level) (matou_alert) == 1",
            "for": "30s",
            "labels": {"severity": "{{ $labels.level }}"},
            "annotations": {"summary": "{{ $labels.what }}: {{ $labels.why }}"},
        }),
        build_alert_rule(
            "MatouCheckOld",
            "time() - max(matou_check_timestamp_seconds) > 900",
            "1m",
            "warning",
            "matou did not look at the fleet for a quarter of an hour",
        ),
    ];
    let mut backups = vec![build_alert_rule(
        "BackupMissed",
        &format!(
            "time() - max by (app) (matou_backup_last_success_timestamp_seconds) > {}",
            u64::from(backup_hours) * 3600
        ),
        "5m",
        "critical",
        "{{ $labels.app }} was backed up {{ $value | humanizeDuration }} ago",
    )];
    if inputs.backups {
        backups.push(build_alert_rule(
            "BackupUnknown",
            "absent(matou_backup_last_success_timestamp_seconds)",
            "1h",
            "critical",
            "no backup tells when it was made",
        ));
    }
    let own = vec![
        build_alert_rule(
            "TargetDown",
            r#"up{job!~"node|applications"} == 0"#,
            "2m",
            "warning",
            "{{ $labels.job }} of {{ $labels.instance }} can't be scraped",
        ),
        build_alert_rule(
            "AlertsNotSent",
            "rate(alertmanager_notifications_failed_total[5m]) > 0",
            "5m",
            "warning",
            "Alertmanager can't tell anybody by {{ $labels.integration }}",
        ),
        build_alert_rule(
            "Watchdog",
            "vector(1)",
            "0s",
            "none",
            "always on: when it is not told any more, the monitoring is down",
        ),
    ];
    let group = |name: &str, rules: Vec<Value>| json!({"name": name, "rules": rules});
    json!({"groups": [
        group("applications", applications),
        group("nodes", nodes),
        group("swarm", swarm),
        group("backups", backups),
        group("monitoring", own),
    ]})
}

/// A span over midnight is two for Alertmanager.
fn list_quiet_times(quiet: &QuietHours) -> Value {
    let (from, until) = (quiet.from.strftime("%H:%M"), quiet.until.strftime("%H:%M"));
    let span = |from: String, until: String| json!({"start_time": from, "end_time": until});
    let mut spans = match quiet.from < quiet.until {
        true => vec![span(from.to_string(), until.to_string())],
        false => vec![
            span(from.to_string(), "24:00".to_owned()),
            span("00:00".to_owned(), until.to_string()),
        ],
    };
    // Until midnight: Alertmanager takes no span of nothing.
    spans.retain(|s| s["start_time"] != s["end_time"]);
    json!({"times": spans, "location": quiet.zone.iana_name()})
}

fn build_alertmanager_config(inputs: &MonitoringInputs<'_>) -> Value {
    let to = &inputs.receivers;
    let secret = |s: &SecretString| s.expose_secret().trim().to_owned();
    let mut ops = json!({"name": "operator"});
    if let Some(mail) = &to.email {
        let mut config = json!({
            "to": mail.to, "from": mail.from, "smarthost": mail.smtp,
            "send_resolved": true, "require_tls": true,
        });
        if let (Some(user), Some(password)) = (&mail.user, &mail.password) {
            config["auth_username"] = user.as_str().into();
            config["auth_password"] = secret(password).into();
        }
        ops["email_configs"] = json!([config]);
    }
    let mut hooks = Vec::new();
    for url in [&to.webhook, &to.matrix].into_iter().flatten() {
        hooks.push(json!({"url": secret(url), "send_resolved": true}));
    }
    if let Some((topic, token)) = &to.ntfy {
        // ntfy makes a message of Alertmanager's JSON by a template of its own.
        let and = if topic.contains('?') { '&' } else { '?' };
        let mut hook =
            json!({"url": format!("{topic}{and}template=alertmanager"), "send_resolved": true});
        if let Some(token) = token {
            hook["http_config"] =
                json!({"authorization": {"type": "Bearer", "credentials": secret(token)}});
        }
        hooks.push(hook);
    }
    if !hooks.is_empty() {
        ops["webhook_configs"] = hooks.into();
    }
    if let Some((chat, token)) = &to.telegram {
        ops["telegram_configs"] = json!([{
            "bot_token": secret(token), "chat_id": chat, "parse_mode": "", "send_resolved": true,
        }]);
    }
    let mut receivers = vec![ops, json!({"name": "nobody"})];
    let mut watchdog = json!({"matchers": ["alertname = \"Watchdog\""], "receiver": "nobody"});
    if let Some(url) = &to.deadman {
        receivers.push(json!({
            "name": "deadman",
            "webhook_configs": [{"url": secret(url), "send_resolved": false}],
        }));
        watchdog["receiver"] = "deadman".into();
        watchdog["group_wait"] = "0s".into();
        watchdog["group_interval"] = "1m".into();
        watchdog["repeat_interval"] = "4m".into();
    }
    let mut routes = vec![watchdog];
    let mut intervals = Vec::new();
    if let Some(quiet) = &to.quiet {
        routes.push(json!({
            "matchers": ["severity != \"critical\""], "receiver": "operator",
            "mute_time_intervals": ["quiet"],
        }));
        intervals.push(json!({"name": "quiet", "time_intervals": [list_quiet_times(quiet)]}));
    }
    let mut config = json!({
        "route": {
            "receiver": "operator",
            "group_by": ["alertname", "instance", "app"],
            "group_wait": "10s", "group_interval": "30s", "repeat_interval": "12h",
            "routes": routes,
        },
        // A node that is lost takes its figures with it: one message is enough.
        "inhibit_rules": [{
            "source_matchers": ["alertname = \"NodeDown\""],
            "target_matchers": ["severity = \"warning\""],
            "equal": ["instance"],
        }],
        "receivers": receivers,
    });
    if !intervals.is_empty() {
        config["time_intervals"] = intervals.into();
    }
    config
}
