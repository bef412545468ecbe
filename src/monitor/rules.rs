//! What is wrong in the picture of the fleet now. Whether it is believed is the engine's affair.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::backups::{BackupAge, missed, state};
use super::trend::Trends;
use crate::config::AlertsConfig;
use crate::model::{CertificateState, Disk, Fleet, Link, Node, Role, Service, Swarm, Task};

/// Below its limit by this many percent, a load is no longer high: it does not come and go.
const MARGIN: f32 = 5.0;

/// Tasks that failed within this time count as a loop, seconds.
const LOOP_WINDOW: i64 = 600;

/// How many failures of one place are a loop.
const LOOP: usize = 3;

/// An update that goes on is given this long before missing tasks are told, seconds.
const UPDATE: i64 = 600;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It will get worse, or something is less than it should be.
    Warning,
    /// Somebody is not served, or will not be if another thing fails.
    Critical,
}

/// What sort of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// No manager answers.
    Swarm,
    /// The console can't reach a node, or its engine.
    Unreachable,
    /// The managers do not see a node.
    NodeDown,
    Cpu,
    Memory,
    Disk,
    DiskTrend,
    Quorum,
    Replicas,
    CrashLoop,
    /// Alertmanager alerts of it, and nothing of the above.
    Told,
    /// Alertmanager does not answer.
    Alertmanager,
    /// No node takes https.
    Edge,
    /// An application does not answer as it should.
    Http,
    Certificate,
    Drift,
    Backup,
}

impl Kind {
    /// Seconds that it must last before it is an alert.
    pub fn hold(self) -> i64 {
        match self {
            Self::Cpu => 120,
            Self::Memory => 60,
            // Short: a blip of the link, the time between two tasks.
            Self::Swarm | Self::Unreachable | Self::Replicas => 15,
            Self::Alertmanager => 60,
            // Two samples.
            Self::Disk => 5,
            // Asked three times, slow by themselves, or seen by somebody who waited already.
            Self::NodeDown
            | Self::DiskTrend
            | Self::Quorum
            | Self::CrashLoop
            | Self::Told
            | Self::Edge
            | Self::Http
            | Self::Certificate
            | Self::Drift
            | Self::Backup => 0,
        }
    }

    /// Seconds that it must be gone before the alert is over.
    pub fn release(self) -> i64 {
        match self {
            Self::Cpu | Self::Memory => 60,
            Self::Replicas | Self::NodeDown | Self::Unreachable => 10,
            _ => 0,
        }
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Identity over readings, as `node/worker-01/disk`.
    pub key: String,
    pub kind: Kind,
    pub severity: Severity,
    /// What is concerned: a node, an application, a service, a domain.
    pub what: String,
    /// The reason in one sentence.
    pub why: String,
    /// When it began, where that is known.
    pub since: Option<Timestamp>,
    /// Key of the row that shows more, as in the panes.
    pub row: String,
    /// The action that leads to the cure, as in `[keys]`.
    pub cure: &'static str,
    /// Not bad enough to begin an alert, too bad to end one.
    pub near: bool,
}

/// What the keys of Alertmanager's alerts begin with; its own identity follows.
pub const TOLD: &str = "alertmanager/";

/// What is looked at.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    pub fleet: &'a Fleet,
    pub limits: &'a AlertsConfig,
    /// How the nodes' disks fill.
    pub trends: &'a Trends,
    /// Servers that are not what config.toml says.
    pub drift: &'a [String],
    pub backups: &'a [BackupAge],
    pub now: Timestamp,
}

/// All that is wrong now.
pub fn findings(facts: Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    swarm(facts, &mut found);
    for node in &facts.fleet.nodes {
        self::node(facts, node, &mut found);
    }
    if let Some(swarm) = facts.fleet.swarm.value() {
        quorum(swarm, &mut found);
        let mut troubled: HashMap<&str, Vec<&Task>> = HashMap::new();
        for task in &swarm.tasks {
            if !task.error.is_empty() || matches!(task.state.as_str(), "failed" | "rejected") {
                troubled.entry(&task.service_id).or_default().push(task);
            }
        }
        for service in &swarm.services {
            let tasks = troubled.get(service.id.as_str()).map_or(&[][..], |t| t);
            self::service(facts.now, service, tasks, &mut found);
        }
    }
    answers(facts, &mut found);
    certificates(facts, &mut found);
    drift(facts, &mut found);
    told(facts, &mut found);
    found.extend(missed(facts.backups, facts.limits.backup_hours, facts.now));
    if let Some(backups) = facts.fleet.backups.value() {
        found.extend(state(backups));
    }
    found
}

fn swarm(facts: Facts<'_>, found: &mut Vec<Finding>) {
    if let Some(reason) = facts.fleet.swarm.error() {
        found.push(Finding {
            key: "swarm".into(),
            kind: Kind::Swarm,
            severity: Severity::Critical,
            what: "swarm".into(),
            why: reason.to_owned(),
            // What was never read has never been well: there is nothing to wait for.
            since: Some(facts.fleet.swarm.read_at().unwrap_or(Timestamp::UNIX_EPOCH)),
            row: String::new(),
            cure: "provision-all",
            near: false,
        });
    }
}

fn node(facts: Facts<'_>, node: &Node, found: &mut Vec<Finding>) {
    let base = |sort: &str, kind, severity, why: String| Finding {
        key: format!("node/{}/{sort}", node.name),
        kind,
        severity,
        what: node.name.clone(),
        why,
        since: None,
        row: format!("node/{}", node.name),
        cure: "shell",
        near: false,
    };
    if let Link::Down { reason, since } = &node.link
        && node.configured
    {
        found.push(Finding {
            since: Some(*since),
            cure: "node-menu",
            ..base(
                "link",
                Kind::Unreachable,
                Severity::Critical,
                reason.clone(),
            )
        });
    } else if let Some(reason) = node.engine.error() {
        let why = reason.to_owned();
        found.push(base("engine", Kind::Unreachable, Severity::Critical, why));
    }
    if let Some(seen) = facts.fleet.swarm_node(node)
        && seen.state != "ready"
    {
        let why = match seen.message.as_str() {
            "" => format!("the swarm sees it {}", seen.state),
            message => format!("the swarm sees it {}: {message}", seen.state),
        };
        found.push(Finding {
            cure: "node-menu",
            ..base("swarm", Kind::NodeDown, Severity::Critical, why)
        });
    }
    load(facts, node, &base, found);
}

fn load(
    facts: Facts<'_>,
    node: &Node,
    base: &dyn Fn(&str, Kind, Severity, String) -> Finding,
    found: &mut Vec<Finding>,
) {
    let Some(m) = node.metrics.value() else {
        return;
    };
    let limits = facts.limits;
    let high = |value: f32, limit: u8| {
        let limit = f32::from(limit);
        let near = value < limit || node.metrics.is_stale();
        let why = format!("at {value:.0} %; {limit:.0} % is the limit");
        (value >= limit - MARGIN).then_some((near, why))
    };
    for (sort, kind, value, limit) in [
        ("CPU", Kind::Cpu, m.cpu, limits.cpu),
        ("memory", Kind::Memory, m.memory_percent(), limits.memory),
    ] {
        if let Some((near, why)) = high(value, limit) {
            let why = format!("{sort} {why}");
            found.push(Finding {
                near,
                ..base(&sort.to_ascii_lowercase(), kind, Severity::Warning, why)
            });
        }
    }
    let root = Disk {
        mount: "/".into(),
        used: m.disk_used,
        total: m.disk_total,
    };
    let others = node.disks.iter().filter(|d| d.mount != "/");
    for disk in std::iter::once(&root).chain(others) {
        let (what, sort, place) = match disk.mount.as_str() {
            "/" => ("disk".into(), "disk".to_owned(), node.name.clone()),
            mount => (
                format!("disk {mount}"),
                format!("disk{mount}"),
                place(&node.name, mount),
            ),
        };
        let full = high(disk.percent(), limits.disk);
        let begins = matches!(&full, Some((false, _)));
        if let Some((near, why)) = full {
            let why = format!("{what} {why}");
            found.push(Finding {
                near,
                ..base(&sort, Kind::Disk, Severity::Critical, why)
            });
        }
        let hours = facts.trends.hours_to_full(&place, disk.total, facts.now);
        if let Some(hours) = hours
            && !begins
            && hours <= f64::from(limits.disk_full_hours)
        {
            let left = match hours {
                h if h < 1.0 => format!("{:.0} min", h * 60.0),
                h => format!("{h:.0} h"),
            };
            let why = format!(
                "the {what} will be full in {left}, as it fills now; {:.0} % are in use",
                disk.percent()
            );
            let sort = format!("{sort}-trend");
            found.push(base(&sort, Kind::DiskTrend, Severity::Warning, why));
        }
    }
}

/// The name of a node's disk among the trends.
pub fn place(node: &str, mount: &str) -> String {
    format!("{node} {mount}")
}

/// Managers decide by majority: what is left when another one fails.
fn quorum(swarm: &Swarm, found: &mut Vec<Finding>) {
    let managers = || swarm.nodes.iter().filter(|n| n.role == Role::Manager);
    let all = managers().count();
    let reachable = managers().filter(|n| n.reachability == "reachable").count();
    let majority = all / 2 + 1;
    if all < 2 || reachable > majority {
        return;
    }
    let (severity, why) = if reachable < majority {
        (
            Severity::Critical,
            format!(
                "{reachable} of {all} managers are reachable, {majority} are needed: the swarm can't be changed"
            ),
        )
    } else if reachable < all {
        (
            Severity::Critical,
            format!(
                "{reachable} of {all} managers are reachable: when another one is lost, the swarm can't be changed"
            ),
        )
    } else {
        (
            Severity::Warning,
            format!("{all} managers stand the loss of none: make it {}", all + 1),
        )
    };
    // With three of three there is one to spare.
    if reachable == all && all > 2 {
        return;
    }
    let lost = managers().find(|n| n.reachability != "reachable");
    let row = lost.or_else(|| managers().next());
    found.push(Finding {
        key: "swarm/quorum".into(),
        kind: Kind::Quorum,
        severity,
        what: "quorum".into(),
        why,
        since: None,
        row: row.map_or_else(String::new, |n| format!("node/{}", n.hostname)),
        cure: "node-menu",
        near: false,
    });
}

/// A service with those of its tasks that failed or have an error.
fn service(now: Timestamp, service: &Service, tasks: &[&Task], found: &mut Vec<Finding>) {
    let crashes = crashes(tasks, now);
    let missing = service.running < service.wanted;
    let base = |sort: &str, kind, severity, why: String, since| Finding {
        key: format!("service/{}/{sort}", service.name),
        kind,
        severity,
        what: service.name.clone(),
        why,
        since,
        row: format!("service/{}", service.id),
        cure: "logs",
        near: false,
    };
    let severity = match service.running {
        0 if missing => Severity::Critical,
        _ => Severity::Warning,
    };
    if let Some((times, last)) = crashes {
        let minutes = LOOP_WINDOW / 60;
        let why = format!(
            "its tasks failed {times} times in {minutes} min: {}",
            reason(last)
        );
        found.push(base("crashes", Kind::CrashLoop, severity, why, None));
        return;
    }
    let updating = matches!(&service.update, Some((state, _)) if state == "updating" || state == "rollback_started")
        && service
            .updated_at
            .is_some_and(|t| now.as_second() - t.as_second() < UPDATE);
    if !missing || updating {
        return;
    }
    let ended = tasks.iter().filter(|t| !t.error.is_empty());
    let last = ended.max_by_key(|t| t.since);
    let error = last.map_or_else(String::new, |t| format!(": {}", t.error));
    let why = format!("{} of {} tasks run{error}", service.running, service.wanted);
    let since = last.and_then(|t| t.since);
    found.push(base("tasks", Kind::Replicas, severity, why, since));
}

/// How often tasks failed of late, with the newest of them, when that is a loop: three times in
/// one slot (of a global service: on one node).
fn crashes<'a>(tasks: &[&'a Task], now: Timestamp) -> Option<(usize, &'a Task)> {
    let failed: Vec<&Task> = tasks
        .iter()
        .copied()
        .filter(|t| matches!(t.state.as_str(), "failed" | "rejected"))
        .filter(|t| {
            t.since
                .is_some_and(|s| now.as_second() - s.as_second() <= LOOP_WINDOW)
        })
        .collect();
    // Places are compared in pairs: there are few tasks.
    let same = |a: &Task, b: &Task| match (a.slot, b.slot) {
        (Some(a), Some(b)) => a == b,
        _ => a.node_id == b.node_id,
    };
    let worst = failed
        .iter()
        .map(|t| failed.iter().filter(|o| same(t, o)).count())
        .max()?;
    let newest = failed.iter().copied().max_by_key(|t| t.since)?;
    (worst >= LOOP).then_some((failed.len(), newest))
}

fn reason(task: &Task) -> &str {
    match task.error.as_str() {
        "" => &task.message,
        error => error,
    }
}

fn answers(facts: Facts<'_>, found: &mut Vec<Finding>) {
    let probes = &facts.fleet.probes;
    if let Some(reason) = probes.error() {
        found.push(Finding {
            key: "edge".into(),
            kind: Kind::Edge,
            severity: Severity::Critical,
            what: "edge".into(),
            why: reason.to_owned(),
            since: probes.read_at(),
            row: String::new(),
            cure: "deploy",
            near: false,
        });
        // What the applications answer is not known then.
    }
    for probe in probes.value().into_iter().flatten() {
        let Some(why) = probe.problem() else {
            continue;
        };
        found.push(Finding {
            key: format!("app/{}/http/{}", probe.app, probe.domain),
            kind: Kind::Http,
            severity: Severity::Critical,
            what: probe.app.clone(),
            why,
            since: None,
            row: format!("app/{}", probe.app),
            cure: "logs",
            near: probes.is_stale(),
        });
    }
}

/// What Alertmanager alerts of, unless it is found already by looking ourselves.
fn told(facts: Facts<'_>, found: &mut Vec<Finding>) {
    let told = &facts.fleet.told;
    if let Some(reason) = told.error() {
        found.push(Finding {
            key: "alertmanager".into(),
            kind: Kind::Alertmanager,
            severity: Severity::Warning,
            what: "alertmanager".into(),
            why: reason.to_owned(),
            since: told.read_at(),
            row: String::new(),
            cure: "services",
            near: false,
        });
    }
    let own = found.len();
    for alert in told.value().into_iter().flatten() {
        let name = alert.label("alertname");
        let (app, node) = (alert.label("app"), alert.label("instance"));
        let row = match (app, node) {
            ("", "") => String::new(),
            ("", node) => format!("node/{node}"),
            (app, _) => format!("app/{app}"),
        };
        let same = |kinds: &[Kind]| {
            let mut own = found[..own].iter();
            own.any(|f| !f.near && kinds.contains(&f.kind) && f.row == row)
        };
        let known = match name {
            // The first is always on, the second is what `matou check` found.
            "Watchdog" | "MatouAlert" => true,
            "ApplicationDown" => same(&[Kind::Http]),
            "NodeDown" => same(&[Kind::Unreachable, Kind::NodeDown]),
            "NodeCpu" => same(&[Kind::Cpu]),
            "NodeMemory" => same(&[Kind::Memory]),
            "NodeDisk" => same(&[Kind::Disk]),
            "NodeDiskFilling" => same(&[Kind::DiskTrend]),
            "BackupMissed" => same(&[Kind::Backup]),
            _ => false,
        };
        if known {
            continue;
        }
        let why = match alert.summary.as_str() {
            "" => format!("{name} (Prometheus)"),
            summary => format!("{summary} (Prometheus)"),
        };
        found.push(Finding {
            key: format!("{TOLD}{}", alert.fingerprint),
            kind: Kind::Told,
            severity: match alert.label("severity") {
                "critical" => Severity::Critical,
                _ => Severity::Warning,
            },
            what: [app, node, name]
                .into_iter()
                .find(|w| !w.is_empty())
                .unwrap_or("alertmanager")
                .to_owned(),
            why,
            since: alert.since,
            row,
            cure: match app {
                "" => "shell",
                _ => "logs",
            },
            near: told.is_stale(),
        });
    }
}

fn certificates(facts: Facts<'_>, found: &mut Vec<Finding>) {
    let most = facts.limits.certificate_days;
    let certificates = &facts.fleet.certificates;
    for certificate in certificates.value().into_iter().flatten() {
        let Some(problem) = certificate.problem(facts.now, most) else {
            continue;
        };
        found.push(Finding {
            key: format!("certificate/{}", certificate.domain),
            kind: Kind::Certificate,
            severity: match certificate.state(facts.now, most) {
                CertificateState::Late | CertificateState::Good => Severity::Warning,
                CertificateState::Ending | CertificateState::Refused => Severity::Critical,
            },
            what: certificate.domain.clone(),
            why: format!("certificate: {problem}"),
            since: None,
            row: format!("certificate/{}", certificate.domain),
            cure: "certificates",
            near: certificates.is_stale(),
        });
    }
}

fn drift(facts: Facts<'_>, found: &mut Vec<Finding>) {
    let Some(first) = facts.drift.first().filter(|_| facts.limits.drift) else {
        return;
    };
    let why = match facts.drift {
        [one] => format!("{one} is not what config.toml says"),
        some => format!("{} are not what config.toml says", some.join(", ")),
    };
    found.push(Finding {
        key: "drift".into(),
        kind: Kind::Drift,
        severity: Severity::Warning,
        what: "drift".into(),
        why,
        since: None,
        row: format!("node/{first}"),
        cure: "provision-all",
        near: false,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::model::{Answered, Datum, Metrics, Mode, Probe, SwarmNode, Update};

    const NOW: i64 = 1_000_000;

    fn at(ago: i64) -> Timestamp {
        Timestamp::from_second(NOW - ago).unwrap()
    }

    fn node(name: &str) -> Node {
        Node {
            name: name.into(),
            configured: true,
            link: Link::Up,
            ..Node::default()
        }
    }

    fn manager(name: &str, reachability: &str) -> SwarmNode {
        SwarmNode {
            id: format!("id-{name}"),
            hostname: name.into(),
            role: Role::Manager,
            state: "ready".into(),
            reachability: reachability.into(),
            ..SwarmNode::default()
        }
    }

    fn service(running: u64, wanted: u64) -> Service {
        Service {
            id: "s1".into(),
            name: "blog_web".into(),
            stack: Some("blog".into()),
            image: "x:1".into(),
            mode: Mode::Replicated(wanted),
            wanted,
            running,
            domains: vec!["blog.org".into()],
            ports: Vec::new(),
            labels: [].into(),
            environment: [].into(),
            volumes: Vec::new(),
            created_at: None,
            updated_at: Some(at(100)),
            update: None,
            version: 1,
        }
    }

    fn task(slot: u64, state: &str, ago: i64) -> Task {
        Task {
            id: format!("t{slot}-{ago}"),
            service_id: "s1".into(),
            slot: Some(slot),
            node_id: "id-n1".into(),
            state: state.into(),
            desired: "shutdown".into(),
            message: String::new(),
            error: "task: non-zero exit (1)".into(),
            container_id: None,
            image: "x:1".into(),
            since: Some(at(ago)),
        }
    }

    fn fleet(data: Vec<Datum>) -> Fleet {
        let mut fleet = Fleet::new("chaton", vec![node("n1")]);
        for datum in data {
            fleet.apply(Update { at: at(0), datum });
        }
        fleet
    }

    fn swarm(nodes: Vec<SwarmNode>, services: Vec<Service>, tasks: Vec<Task>) -> Datum {
        Datum::Swarm(Ok(Swarm {
            nodes,
            services,
            tasks,
        }))
    }

    fn found(fleet: &Fleet) -> Vec<Finding> {
        findings(Facts {
            fleet,
            limits: &Config::this_machine().alerts,
            trends: &Trends::default(),
            drift: &[],
            backups: &[],
            now: at(0),
        })
    }

    fn kinds(fleet: &Fleet) -> Vec<(Kind, Severity)> {
        let found = found(fleet);
        found.iter().map(|f| (f.kind, f.severity)).collect()
    }

    fn metrics(cpu: f32, disk: u64) -> Datum {
        Datum::Metrics {
            node: "n1".into(),
            reading: Ok(Metrics {
                cpu,
                memory_total: 100,
                disk_used: disk,
                disk_total: 100,
                ..Metrics::default()
            }),
        }
    }

    #[test]
    fn a_load_is_high_at_its_limit_and_near_a_little_below() {
        for (cpu, wanted) in [
            (89.9, None),
            (90.0, Some(true)),
            (94.9, Some(true)),
            (95.0, Some(false)),
        ] {
            let found = found(&fleet(vec![metrics(cpu, 0)]));
            assert_eq!(found.first().map(|f| f.near), wanted, "{cpu}");
        }
        let full = found(&fleet(vec![metrics(0.0, 96)]));
        assert_eq!(full[0].severity, Severity::Critical);
        assert_eq!(full[0].why, "disk at 96 %; 95 % is the limit");
    }

    #[test]
    fn each_disk_is_looked_at_and_the_root_once() {
        let disk = |mount: &str, used| Disk {
            mount: mount.into(),
            used,
            total: 100,
        };
        let disks = vec![disk("/", 96), disk("/mnt/data", 96), disk("/boot", 50)];
        let node = "n1".to_owned();
        let fleet = fleet(vec![Datum::Disks { node, disks }, metrics(0.0, 96)]);
        let found = found(&fleet);
        let keys: Vec<&str> = found.iter().map(|f| f.key.as_str()).collect();
        assert_eq!(keys, ["node/n1/disk", "node/n1/disk/mnt/data"]);
        assert_eq!(found[1].why, "disk /mnt/data at 96 %; 95 % is the limit");
    }

    #[test]
    fn what_is_not_read_any_more_begins_no_alert() {
        let lost = Datum::Link {
            node: "n1".into(),
            link: Link::Down {
                reason: "no route".into(),
                since: at(30),
            },
        };
        let found = found(&fleet(vec![metrics(99.0, 0), lost]));
        assert_eq!(
            (found[0].kind, found[0].since),
            (Kind::Unreachable, Some(at(30)))
        );
        assert!(found[1].kind == Kind::Cpu && found[1].near);
    }

    #[test]
    fn quorum_is_at_risk_before_it_is_lost() {
        let (up, lost) = ("reachable", "unreachable");
        for (managers, wanted) in [
            (vec![up], None),
            (vec![up, up, up], None),
            (vec![up, up, up, up, lost], None),
            (vec![up, up], Some(Severity::Warning)),
            (vec![up, up, lost], Some(Severity::Critical)),
            (vec![up, lost, lost], Some(Severity::Critical)),
            (vec![up, up, up, lost, lost], Some(Severity::Critical)),
        ] {
            let nodes = managers
                .iter()
                .enumerate()
                .map(|(i, r)| manager(&format!("n{i}"), r));
            let fleet = fleet(vec![swarm(nodes.collect(), vec![], vec![])]);
            let found = found(&fleet);
            let quorum = found.iter().find(|f| f.kind == Kind::Quorum);
            assert_eq!(quorum.map(|f| f.severity), wanted, "{managers:?}");
        }
    }

    #[test]
    fn a_service_is_short_or_in_a_loop_and_told_once() {
        let with = |service: Service, tasks| fleet(vec![swarm(vec![], vec![service], tasks)]);
        assert_eq!(kinds(&with(service(2, 2), vec![])), []);
        // Nobody misses what was switched off.
        assert_eq!(kinds(&with(service(0, 0), vec![])), []);
        let short = with(service(1, 2), vec![task(2, "failed", 700)]);
        assert_eq!(kinds(&short), [(Kind::Replicas, Severity::Warning)]);
        assert_eq!(
            found(&short)[0].why,
            "1 of 2 tasks run: task: non-zero exit (1)"
        );
        let failures = |slot| vec![task(slot, "failed", 10), task(slot, "failed", 60)];
        let mut tasks = failures(1);
        // Two of each of two slots are no loop, three of one are, unless they are long ago.
        tasks.extend(failures(2));
        let two = with(service(0, 2), tasks.clone());
        assert_eq!(kinds(&two), [(Kind::Replicas, Severity::Critical)]);
        tasks.push(task(2, "rejected", 601));
        let long = with(service(0, 2), tasks.clone());
        assert_eq!(kinds(&long), [(Kind::Replicas, Severity::Critical)]);
        tasks.push(task(2, "rejected", 600));
        let looping = with(service(0, 2), tasks);
        assert_eq!(kinds(&looping), [(Kind::CrashLoop, Severity::Critical)]);
        // While it is being updated tasks come and go.
        let mut updated = service(1, 2);
        updated.update = Some(("updating".into(), String::new()));
        assert_eq!(kinds(&with(updated.clone(), vec![])), []);
        updated.updated_at = Some(at(700));
        assert_eq!(
            kinds(&with(updated, vec![])),
            [(Kind::Replicas, Severity::Warning)]
        );
    }

    #[test]
    fn answers_are_told_by_application_and_a_silent_edge_once() {
        let probe = |domain: &str, outcome| Probe {
            app: "blog".into(),
            service: "blog_web".into(),
            domain: domain.into(),
            path: "/".into(),
            outcome,
        };
        let answered = |status, well| {
            Ok(Answered {
                node: "n1".into(),
                status,
                millis: 5,
                well,
            })
        };
        let probes = vec![
            probe("a.org", answered(200, true)),
            probe("b.org", answered(503, false)),
            probe("c.org", Err("c.org did not answer within 5 s".into())),
        ];
        let mut fleet = fleet(vec![Datum::Probes(Ok(probes))]);
        let found = found(&fleet);
        assert_eq!(
            found[0].why,
            "https://b.org/ answers 503: the application does not answer Traefik"
        );
        assert_eq!(found[1].key, "app/blog/http/c.org");
        assert_eq!(found.len(), 2);
        fleet.apply(Update {
            at: at(0),
            datum: Datum::Probes(Err("no node takes https".into())),
        });
        let found = self::found(&fleet);
        assert_eq!(found[0].kind, Kind::Edge);
        assert!(found[1..].iter().all(|f| f.near));
    }

    #[test]
    fn alertmanagers_alerts_stand_beside_our_own_and_not_twice() {
        let alert = |name: &str, label: (&str, &str), severity: &str| crate::model::Told {
            fingerprint: name.into(),
            summary: format!("{name} it is"),
            since: Some(at(60)),
            labels: [("alertname", name), label, ("severity", severity)]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        };
        let told = vec![
            alert("Watchdog", ("a", "b"), "none"),
            alert("NodeDisk", ("instance", "n1"), "critical"),
            alert("NodeDisk", ("instance", "n2"), "critical"),
            alert("TargetDown", ("instance", "n1"), "warning"),
        ];
        let mut fleet = fleet(vec![metrics(0.0, 96), Datum::Told(Ok(told))]);
        let found = found(&fleet);
        let seen: Vec<(&str, &str)> = found
            .iter()
            .map(|f| (f.what.as_str(), f.why.as_str()))
            .collect();
        assert_eq!(
            seen[1..],
            [
                ("n2", "NodeDisk it is (Prometheus)"),
                ("n1", "TargetDown it is (Prometheus)")
            ]
        );
        fleet.apply(Update {
            at: at(0),
            datum: Datum::Told(Err("no answer".into())),
        });
        let found = self::found(&fleet);
        assert_eq!(found[1].kind, Kind::Alertmanager);
        assert!(found[2..].iter().all(|f| f.near));
    }

    #[test]
    fn a_disk_that_fills_is_told_before_it_is_full() {
        let mut trends = Trends::default();
        for minute in 0..60 {
            trends.add("n1", at((60 - minute) * 60), 50 + minute as u64 / 4);
        }
        let fleet = fleet(vec![metrics(0.0, 65)]);
        let config = Config::this_machine().alerts;
        let facts = Facts {
            fleet: &fleet,
            limits: &config,
            trends: &trends,
            drift: &["n1".to_owned()],
            backups: &[],
            now: at(0),
        };
        let found = findings(facts);
        assert_eq!(
            found[0].why,
            "the disk will be full in 2 h, as it fills now; 65 % are in use"
        );
        assert_eq!(found[1].why, "n1 is not what config.toml says");
        let mut patient = config;
        (patient.disk_full_hours, patient.drift) = (2, false);
        let limits = &patient;
        assert_eq!(findings(Facts { limits, ..facts }), []);
    }
}
