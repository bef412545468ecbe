//! Finds what is wrong in the picture of the fleet now. The engine decides which of it is an alert.

mod alertmanager;
mod app_jobs;
mod edge;
mod finding;
mod inputs;
mod nodes;
mod pages;
mod remedy;
mod room;
mod services;
mod updates;

use matou_i18n::{tr, trn};
use std::collections::HashMap;

use jiff::Timestamp;

use super::backups::{find_backup_problems, find_future_snapshots, find_missed_backups};
use super::domains::find_expiring_domains;
use matou_model::Task;

pub use finding::{ALERTMANAGER_KEY_PREFIX, AlertKind, AlertSeverity, Finding};
pub use inputs::{AlertInputs, NodeDrift};
pub use nodes::disk_trend_key;
pub use remedy::{AlertTarget, Remedy};

/// Applies all rules. Returns all that is wrong now.
pub fn evaluate_rules(inputs: AlertInputs<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    add_swarm_finding(inputs, &mut found);
    for node in &inputs.fleet.nodes {
        nodes::add_node_findings(inputs, node, &mut found);
    }
    if let Some(swarm) = inputs.fleet.swarm.value() {
        nodes::add_quorum_finding(swarm, &mut found);
        let mut troubled: HashMap<&str, Vec<&Task>> = HashMap::new();
        for task in &swarm.tasks {
            if !task.error.is_empty() || task.has_failed() {
                troubled.entry(&task.service_id).or_default().push(task);
            }
        }
        for service in &swarm.services {
            let tasks = troubled.get(service.id.as_str()).map_or(&[][..], |t| t);
            services::add_service_findings(inputs.now, service, tasks, &mut found);
            app_jobs::add_job_findings(inputs, service, &mut found);
        }
    }
    for page in inputs.fleet.swarm.value().iter().flat_map(|s| &s.pages) {
        pages::add_page_findings(inputs, page, &mut found);
    }
    updates::add_end_findings(inputs, &mut found);
    updates::add_rehearsal_findings(inputs, &mut found);
    room::add_room_findings(inputs, &mut found);
    edge::add_answer_findings(inputs, &mut found);
    edge::add_certificate_findings(inputs, &mut found);
    let domains = inputs.fleet.domains.value().map_or(&[][..], Vec::as_slice);
    let certificates = inputs.fleet.certificates.value();
    let certificates = certificates.map_or(&[][..], Vec::as_slice);
    found.extend(find_expiring_domains(domains, certificates, inputs.now));
    add_drift_finding(inputs, &mut found);
    alertmanager::add_external_findings(inputs, &mut found);
    found.extend(find_missed_backups(
        inputs.backups,
        inputs.limits.backup_hours,
        inputs.now,
    ));
    found.extend(find_future_snapshots(inputs.fleet));
    if let Some(backups) = inputs.fleet.backups.value() {
        found.extend(find_backup_problems(backups));
    }
    found
}

fn add_swarm_finding(inputs: AlertInputs<'_>, found: &mut Vec<Finding>) {
    if let Some(reason) = inputs.fleet.swarm.error() {
        found.push(Finding {
            key: "swarm".into(),
            kind: AlertKind::Swarm,
            severity: AlertSeverity::Critical,
            what: tr!("swarm").into(),
            why: reason.to_owned(),
            // A swarm that was never read is an alert at once: there is nothing to wait for.
            since: Some(
                inputs
                    .fleet
                    .swarm
                    .read_at()
                    .unwrap_or(Timestamp::UNIX_EPOCH),
            ),
            target: AlertTarget::Fleet,
            remedy: Remedy::ProvisionAll,
            near: false,
        });
    }
}

fn add_drift_finding(inputs: AlertInputs<'_>, found: &mut Vec<Finding>) {
    let Some(first) = inputs.drift.first().filter(|_| inputs.limits.drift) else {
        return;
    };
    let why = match inputs.drift {
        [NodeDrift { node, differences }] => trn!(
            *differences,
            "{node} is not what config.toml says: {n} difference",
            "{node} is not what config.toml says: {n} differences"
        ),
        some => {
            let each = some
                .iter()
                .map(|d| format!("{} ({})", d.node, d.differences));
            let all: usize = some.iter().map(|d| d.differences).sum();
            tr!(
                "{} are not what config.toml says: {all} differences",
                each.collect::<Vec<_>>().join(", ")
            )
        }
    };
    found.push(Finding {
        key: "drift".into(),
        kind: AlertKind::Drift,
        severity: AlertSeverity::Warning,
        what: tr!("drift").into(),
        why,
        since: None,
        target: AlertTarget::Node(first.node.clone()),
        remedy: Remedy::ProvisionAll,
        near: false,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trend::DiskTrends;
    use matou_config::Config;
    use matou_model::{
        AppPage, Datum, Disk, Fleet, JobProgress, Metrics, Node, NodeLink, PageKind, Probe,
        ProbeAnswer, Reachability, Role, Service, ServiceMode, Swarm, SwarmNode, TaskState, Update,
        UpdateState,
    };

    const NOW: i64 = 1_000_000;

    fn at(ago: i64) -> Timestamp {
        Timestamp::from_second(NOW - ago).unwrap()
    }

    fn node(name: &str) -> Node {
        Node {
            name: name.into(),
            configured: true,
            link: NodeLink::Up,
            ..Node::default()
        }
    }

    fn manager(name: &str, reachability: Reachability) -> SwarmNode {
        SwarmNode {
            id: format!("id-{name}"),
            hostname: name.into(),
            role: Role::Manager,
            state: matou_model::NodeState::Ready,
            reachability,
            ..SwarmNode::default()
        }
    }

    fn service(running: u64, wanted: u64) -> Service {
        Service {
            id: "s1".into(),
            name: "blog_web".into(),
            stack: Some("blog".into()),
            image: "x:1".into(),
            mode: ServiceMode::Replicated(wanted),
            wanted,
            running,
            domains: vec!["blog.org".into()],
            updated_at: Some(at(100)),
            ..Service::default()
        }
    }

    fn task(slot: u64, state: &str, ago: i64) -> Task {
        Task {
            id: format!("t{slot}-{ago}"),
            service_id: "s1".into(),
            slot: Some(slot),
            node_id: "id-n1".into(),
            state: state.to_owned().into(),
            desired: TaskState::Shutdown,
            message: String::new(),
            error: "task: non-zero exit (1)".into(),
            container_id: None,
            image: "x:1".into(),
            outdated: false,
            exit_code: None,
            ended_unasked: false,
            iteration: None,
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
            pages: Vec::new(),
        }))
    }

    fn found(fleet: &Fleet) -> Vec<Finding> {
        evaluate_rules(AlertInputs {
            fleet,
            limits: &Config::this_machine().alerts,
            trends: &DiskTrends::default(),
            drift: &[],
            backups: &[],
            now: at(0),
        })
    }

    fn kinds(fleet: &Fleet) -> Vec<(AlertKind, AlertSeverity)> {
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
        assert_eq!(full[0].severity, AlertSeverity::Critical);
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
    fn a_page_is_told_when_a_job_left_it_or_somebody_forgot_it_or_nobody_serves_it() {
        let (minute, hour) = (60, 3600);
        for (kind, job, ago, running, wanted) in [
            (
                PageKind::Maintenance,
                Some("restore blog"),
                29 * minute,
                1,
                None,
            ),
            (
                PageKind::Maintenance,
                Some("restore blog"),
                31 * minute,
                1,
                Some(AlertSeverity::Warning),
            ),
            (PageKind::Maintenance, None, 23 * hour, 1, None),
            (
                PageKind::Maintenance,
                None,
                25 * hour,
                1,
                Some(AlertSeverity::Warning),
            ),
            (PageKind::Suspended, None, 900 * hour, 1, None),
            (
                PageKind::Suspended,
                None,
                minute,
                0,
                Some(AlertSeverity::Critical),
            ),
        ] {
            let page = AppPage {
                app: "blog".into(),
                kind,
                job: job.map(str::to_owned),
                since: Some(at(ago)),
                domains: vec!["blog.org".into()],
                shown: true,
                running,
                trouble: if running == 0 { "No such image" } else { "" }.into(),
                way_in: String::new(),
                content: String::new(),
                service: "s2".into(),
            };
            let swarm = Swarm {
                pages: vec![page],
                ..Swarm::default()
            };
            let found = found(&fleet(vec![Datum::Swarm(Ok(swarm))]));
            let mut pages = found.iter().filter(|f| f.kind == AlertKind::Page);
            assert_eq!(pages.next().map(|f| f.severity), wanted, "{kind:?} {ago}");
        }
    }

    #[test]
    fn a_budget_is_told_at_four_fifths_and_a_floor_that_is_not_reached() {
        use matou_model::{
            BUDGET_LABEL, FileSystemSize, NightClean, NodeSizes, SizeSample, VolumeSize,
            VolumeSizes,
        };
        let mut blog = service(2, 2);
        let label = r#"{"bytes":1000}"#.to_owned();
        blog.labels.insert(BUDGET_LABEL.into(), label);
        let of = |bytes: u64, free: u64| {
            let size = VolumeSize {
                app: Some("blog".into()),
                bytes: Some(bytes),
            };
            let disk = FileSystemSize {
                total: 100,
                used: 100 - free,
                free,
            };
            let mut node = NodeSizes::default();
            node.add_sample(SizeSample {
                at: at(60),
                volumes: [("blog_db".to_owned(), size)].into(),
                file_systems: [("/".to_owned(), disk)].into(),
            });
            node.clean = Some(NightClean {
                at: at(60),
                mount: "/".into(),
                floor: 20,
                before: 5,
                after: 10,
                problem: None,
            });
            let sizes = VolumeSizes {
                storage: "n1".into(),
                nodes: [("n1".to_owned(), node)].into(),
                ..VolumeSizes::default()
            };
            let swarm = swarm(vec![], vec![blog.clone()], vec![]);
            kinds(&fleet(vec![swarm, Datum::VolumeSizes(Ok(sizes))]))
        };
        let budget = |severity| (AlertKind::Budget, severity);
        assert_eq!(of(799, 20), []);
        assert_eq!(of(800, 20), [budget(AlertSeverity::Warning)]);
        assert_eq!(of(1000, 20), [budget(AlertSeverity::Critical)]);
        assert_eq!(of(1, 19), [(AlertKind::Floor, AlertSeverity::Warning)]);
    }

    #[test]
    fn what_is_not_read_any_more_begins_no_alert() {
        let lost = Datum::Link {
            node: "n1".into(),
            link: NodeLink::Down {
                reason: "no route".into(),
                since: at(30),
            },
        };
        let found = found(&fleet(vec![metrics(99.0, 0), lost]));
        assert_eq!(
            (found[0].kind, found[0].since),
            (AlertKind::Unreachable, Some(at(30)))
        );
        assert!(found[1].kind == AlertKind::Cpu && found[1].near);
    }

    #[test]
    fn quorum_is_at_risk_before_it_is_lost() {
        let (up, lost) = (&Reachability::Reachable, &Reachability::Unreachable);
        for (managers, wanted) in [
            (vec![up], None),
            (vec![up, up, up], None),
            (vec![up, up, up, up, lost], None),
            (vec![up, up], Some(AlertSeverity::Warning)),
            (vec![up, up, lost], Some(AlertSeverity::Critical)),
            (vec![up, lost, lost], Some(AlertSeverity::Critical)),
            (vec![up, up, up, lost, lost], Some(AlertSeverity::Critical)),
        ] {
            let nodes = managers
                .iter()
                .enumerate()
                .map(|(i, r)| manager(&format!("n{i}"), (*r).clone()));
            let fleet = fleet(vec![swarm(nodes.collect(), vec![], vec![])]);
            let found = found(&fleet);
            let quorum = found.iter().find(|f| f.kind == AlertKind::Quorum);
            assert_eq!(quorum.map(|f| f.severity), wanted, "{managers:?}");
        }
    }

    /// A job of two tasks, with what is found wrong of it.
    fn job_findings(tasks: Vec<Task>) -> Vec<(AlertKind, AlertSeverity, String)> {
        let mut job = service(0, 0);
        job.mode = ServiceMode::ReplicatedJob(2);
        let progress = JobProgress::count(job.mode, Some(1), None, tasks.iter());
        job.take_job_progress(progress);
        let found = found(&fleet(vec![swarm(vec![], vec![job], tasks)]));
        let found = found.into_iter().map(|f| (f.kind, f.severity, f.why));
        found.collect()
    }

    #[test]
    fn a_job_that_is_done_or_under_way_is_well_and_a_failed_one_is_told_with_its_code() {
        let of = |slot, state: &str, desired, iteration| Task {
            desired,
            iteration: Some(iteration),
            exit_code: (state == "failed").then_some(3),
            error: String::new(),
            ..task(slot, state, 10)
        };
        let (complete, shutdown) = (TaskState::Complete, TaskState::Shutdown);
        let done = |slot| of(slot, "complete", complete.clone(), 1);
        let failed = |slot, run| of(slot, "failed", shutdown.clone(), run);
        assert_eq!(job_findings(vec![done(0), done(1)]), []);
        let running = of(1, "running", complete.clone(), 1);
        assert_eq!(job_findings(vec![done(0), running.clone()]), []);
        // A run that failed is over when the job runs again.
        let earlier = (0..3).map(|_| failed(0, 0));
        let again = earlier.chain([done(0), done(1)]);
        assert_eq!(job_findings(again.collect()), []);
        let critical = AlertSeverity::Critical;
        let why = "1 of 2 done, failed with exit code 3".to_owned();
        assert_eq!(
            job_findings(vec![done(0), failed(1, 1)]),
            [(AlertKind::Job, critical, why)]
        );
        let retried = (0..3).map(|_| failed(1, 1)).chain([done(0), running]);
        let found = job_findings(retried.collect());
        assert_eq!((found[0].0, found.len()), (AlertKind::CrashLoop, 1));
        let unplaced = Task {
            error: "no suitable node (1 node not available)".into(),
            ..of(1, "pending", complete.clone(), 1)
        };
        let found = job_findings(vec![done(0), unplaced]);
        assert_eq!(found[0].1, AlertSeverity::Warning);
        assert!(found[0].2.ends_with("(1 node not available)"), "{found:?}");
    }

    #[test]
    fn a_service_is_short_or_in_a_loop_and_told_once() {
        let with = |service: Service, tasks| fleet(vec![swarm(vec![], vec![service], tasks)]);
        assert_eq!(kinds(&with(service(2, 2), vec![])), []);
        // Nobody misses what was switched off.
        assert_eq!(kinds(&with(service(0, 0), vec![])), []);
        let short = with(service(1, 2), vec![task(2, "failed", 700)]);
        assert_eq!(
            kinds(&short),
            [(AlertKind::Replicas, AlertSeverity::Warning)]
        );
        assert_eq!(
            found(&short)[0].why,
            "1 of 2 tasks run: task: non-zero exit (1)"
        );
        let failures = |slot| vec![task(slot, "failed", 10), task(slot, "failed", 60)];
        let mut tasks = failures(1);
        // Two of each of two slots are no loop, three of one are, unless they are long ago.
        tasks.extend(failures(2));
        let two = with(service(0, 2), tasks.clone());
        assert_eq!(
            kinds(&two),
            [(AlertKind::Replicas, AlertSeverity::Critical)]
        );
        tasks.push(task(2, "rejected", 601));
        let long = with(service(0, 2), tasks.clone());
        assert_eq!(
            kinds(&long),
            [(AlertKind::Replicas, AlertSeverity::Critical)]
        );
        tasks.push(task(2, "rejected", 600));
        let looping = with(service(0, 2), tasks);
        assert_eq!(
            kinds(&looping),
            [(AlertKind::CrashLoop, AlertSeverity::Critical)]
        );
        // While it is being updated tasks come and go.
        let mut updated = service(1, 2);
        updated.update = Some((UpdateState::Updating, String::new()));
        assert_eq!(kinds(&with(updated.clone(), vec![])), []);
        updated.updated_at = Some(at(700));
        assert_eq!(
            kinds(&with(updated, vec![])),
            [(AlertKind::Replicas, AlertSeverity::Warning)]
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
            Ok(ProbeAnswer {
                node: "n1".into(),
                status,
                millis: 5,
                well,
                fault: None,
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
        assert_eq!(found[0].kind, AlertKind::Edge);
        assert!(found[1..].iter().all(|f| f.near));
    }

    #[test]
    fn alertmanagers_alerts_stand_beside_our_own_and_not_twice() {
        let alert = |name: &str, label: (&str, &str), severity: &str| matou_model::ExternalAlert {
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
        let mut fleet = fleet(vec![metrics(0.0, 96), Datum::ExternalAlerts(Ok(told))]);
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
            datum: Datum::ExternalAlerts(Err("no answer".into())),
        });
        let found = self::found(&fleet);
        assert_eq!(found[1].kind, AlertKind::Alertmanager);
        assert!(found[2..].iter().all(|f| f.near));
    }

    #[test]
    fn a_disk_that_fills_is_told_before_it_is_full() {
        let mut trends = DiskTrends::default();
        for minute in 0..60 {
            trends.add_reading("n1", at((60 - minute) * 60), 50 + minute as u64 / 4);
        }
        let fleet = fleet(vec![metrics(0.0, 65)]);
        let config = Config::this_machine().alerts;
        let facts = AlertInputs {
            fleet: &fleet,
            limits: &config,
            trends: &trends,
            drift: &[NodeDrift {
                node: "n1".into(),
                differences: 1,
            }],
            backups: &[],
            now: at(0),
        };
        let found = evaluate_rules(facts);
        assert_eq!(
            found[0].why,
            "the disk will be full in 2 h, as it fills now; 65 % are in use"
        );
        assert_eq!(
            found[1].why,
            "n1 is not what config.toml says: 1 difference"
        );
        let both = [("n1", 3), ("n2", 2)].map(|(node, differences)| NodeDrift {
            node: node.into(),
            differences,
        });
        let found = evaluate_rules(AlertInputs {
            drift: &both,
            ..facts
        });
        assert_eq!(
            found[1].why,
            "n1 (3), n2 (2) are not what config.toml says: 5 differences"
        );
        let mut patient = config;
        (patient.disk_full_hours, patient.drift) = (2, false);
        let limits = &patient;
        assert_eq!(evaluate_rules(AlertInputs { limits, ..facts }), []);
    }
}
