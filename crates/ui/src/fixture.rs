//! Fleets for tests and benchmarks: the same on every machine and at every time.

use jiff::{SignedDuration, Timestamp};

use super::{App, AppInit, KeyMap, Msg, Theme};
use matou_config::{AlertsConfig, Config, ConfigError};
use matou_model::{
    Availability, BackupNight, BackupSchedule, Backups, Certificate, ChainLink, Datum,
    DomainExpiry, Drill, EngineInfo, FileSystemSize, Fleet, Metrics, NightOutcome, Node, NodeLink,
    NodeSizes, Proof, Reachability, RegisteredDomain, Repository, RepositoryLock, RestoreStanding,
    Role, ServedCertificate, Service, ServiceMode, SizeSample, Snapshot, StoredCertificate, Swarm,
    SwarmNode, SwarmState, Task, UnfinishedRestore, Update, Volume, VolumeSize, VolumeSizes,
};
use matou_stack::{Catalogue, CatalogueEntry};

/// The time at which the console of the fixtures stands.
pub const NOW: Timestamp = Timestamp::constant(1_795_442_400, 0);

fn seconds_ago(seconds: i64) -> Timestamp {
    NOW - SignedDuration::from_secs(seconds)
}

fn example_alerts_config() -> AlertsConfig {
    Config::this_machine().alerts
}

/// Returns the console of a fleet.
pub fn example_app(fleet: Fleet, theme: Theme) -> App {
    example_app_with_alerts(fleet, theme, example_alerts_config())
}

/// Returns the console of a fleet that only looks.
pub fn example_app_read_only(fleet: Fleet, theme: Theme) -> App {
    App::new(AppInit {
        read_only: true,
        ..example_init(fleet, theme, example_alerts_config())
    })
}

/// Returns the console of a fleet on a machine in this time zone.
pub fn example_app_in_zone(fleet: Fleet, theme: Theme, zone: jiff::tz::TimeZone) -> App {
    App::new(AppInit {
        zone,
        ..example_init(fleet, theme, example_alerts_config())
    })
}

/// Returns the console where there is no config.toml.
pub fn example_app_without_config(fleet: Fleet, theme: Theme) -> App {
    App::new(AppInit {
        welcome: true,
        ..example_init(fleet, theme, example_alerts_config())
    })
}

/// Returns the console of a fleet with these tables `[[commands]]` of /fleet/config.toml.
///
/// # Errors
/// What is wrong with them, or with their keys.
pub fn example_app_with_commands(
    fleet: Fleet,
    theme: Theme,
    commands: &str,
    read_only: bool,
) -> Result<App, ConfigError> {
    let path = std::path::Path::new("/fleet/config.toml");
    let text = format!("[[nodes]]\nname = \"m\"\nrole = \"manager\"\n{commands}");
    let config = Config::parse(&text, path)?;
    Ok(App::new(AppInit {
        keymap: KeyMap::of_config(&config)?,
        commands: config.commands,
        config_path: Some(path.display().to_string()),
        read_only,
        ..example_init(fleet, theme, example_alerts_config())
    }))
}

/// Returns the console of a fleet, with these limits and notifications of alerts.
pub fn example_app_with_alerts(fleet: Fleet, theme: Theme, alerts: AlertsConfig) -> App {
    App::new(example_init(fleet, theme, alerts))
}

fn example_init(fleet: Fleet, theme: Theme, alerts: AlertsConfig) -> AppInit {
    AppInit {
        fleet,
        catalogue: example_catalogue(),
        keymap: KeyMap::default(),
        commands: Vec::new(),
        config_path: None,
        theme,
        alerts,
        ledger: Default::default(),
        log_memory: 1 << 20,
        zone: jiff::tz::TimeZone::UTC,
        warnings: Vec::new(),
        read_only: false,
        welcome: false,
        now: NOW,
    }
}

/// The colours and characters of most terminals.
pub const THEME: Theme = Theme {
    ascii: false,
    colour: true,
    light: false,
    shades: true,
};

fn example_catalogue() -> Vec<CatalogueEntry> {
    Catalogue::load(None).map_or_else(|_| Vec::new(), |c| c.list_entries())
}

fn example_node(name: &str, role: Role, load: Metrics) -> Node {
    let mut node = Node {
        name: name.into(),
        address: format!("root@{name}.example.org"),
        role,
        configured: true,
        link: NodeLink::Up,
        ..Node::default()
    };
    let engine = EngineInfo {
        version: "29.1.3".into(),
        api: "1.52".into(),
        os: "Debian GNU/Linux 13 (trixie)".into(),
        kernel: "6.12.48+deb13-amd64".into(),
        architecture: "x86_64".into(),
        cpus: 4,
        memory: 8 << 30,
        swarm_node_id: format!("id-{name}"),
        swarm_state: SwarmState::Active,
    };
    node.engine.record(Ok(engine), NOW);
    node.metrics.record(Ok(load), NOW);
    node.history = (0..60)
        .map(|i| Metrics {
            cpu: (i * 7 % 100) as f32,
            received: (i * i * 100) as f32,
            ..load
        })
        .collect();
    node
}

fn example_metrics(cpu: f32, memory: u64, disk: u64) -> Metrics {
    Metrics {
        cpu,
        memory_used: (8 << 30) / 100 * memory,
        memory_total: 8 << 30,
        swap_used: 0,
        swap_total: 2 << 30,
        disk_used: (100 << 30) / 100 * disk,
        disk_total: 100 << 30,
        load: [0.42, 0.31, 0.2],
        uptime: 3_000_000,
        received: 120_000.0,
        sent: 40_000.0,
    }
}

fn example_swarm_node(name: &str, role: Role) -> SwarmNode {
    SwarmNode {
        id: format!("id-{name}"),
        hostname: name.into(),
        role,
        state: matou_model::NodeState::Ready,
        address: "10.0.0.1".into(),
        leader: role == Role::Manager,
        reachability: Reachability::Reachable,
        engine_version: "29.1.3".into(),
        ..SwarmNode::default()
    }
}

fn example_service(stack: &str, name: &str, image: &str, running: u64, wanted: u64) -> Service {
    Service {
        id: format!("s-{stack}-{name}"),
        name: format!("{stack}_{name}"),
        stack: Some(stack.into()),
        image: image.into(),
        mode: ServiceMode::Replicated(wanted),
        wanted,
        running,
        job: None,
        domains: match name {
            "web" => vec![format!("{stack}.example.org")],
            _ => Vec::new(),
        },
        ports: Vec::new(),
        labels: [("traefik.enable".to_owned(), "true".to_owned())].into(),
        environment: [].into(),
        volumes: vec![format!("{stack}_{name}-data")],
        created_at: Some(seconds_ago(400_000)),
        updated_at: Some(seconds_ago(200_000)),
        update: None,
        version: 7,
    }
}

fn example_task(service: &Service, slot: u64, node: &str, state: &str, error: &str) -> Task {
    Task {
        id: format!("t-{}-{slot}-{state}", service.id),
        service_id: service.id.clone(),
        slot: Some(slot),
        node_id: format!("id-{node}"),
        state: state.to_owned().into(),
        desired: match state {
            "failed" => matou_model::TaskState::Shutdown,
            _ => matou_model::TaskState::Running,
        },
        message: "started".into(),
        error: error.into(),
        container_id: Some(format!("c-{}-{slot}", service.id)),
        image: service.image.clone(),
        outdated: false,
        exit_code: None,
        ended_unasked: false,
        iteration: None,
        since: Some(seconds_ago(7200)),
    }
}

/// Returns a fleet of three nodes in which everything is to be seen: a node that is lost, a service
/// that is short of a task, volumes, certificates, snapshots.
pub fn example_fleet() -> Fleet {
    let nodes = vec![
        example_node("master", Role::Manager, example_metrics(12.0, 41, 63)),
        example_node("worker-01", Role::Worker, example_metrics(3.0, 22, 18)),
        example_node("worker-02", Role::Worker, example_metrics(44.0, 80, 97)),
    ];
    let mut fleet = Fleet::new("chaton", nodes);
    let blog = example_service("blog", "web", "ghost:6.0.4-alpine", 1, 1);
    let shop = example_service("shop", "web", "prestashop/prestashop:9.0", 1, 2);
    let db = example_service("shop", "db", "mariadb:11.4", 1, 1);
    let tasks = vec![
        example_task(&blog, 1, "worker-01", "running", ""),
        example_task(&db, 1, "worker-02", "running", ""),
        example_task(&shop, 1, "worker-01", "running", ""),
        example_task(&shop, 2, "worker-02", "failed", "task: non-zero exit (1)"),
    ];
    let mut swarm = Swarm {
        nodes: vec![
            example_swarm_node("master", Role::Manager),
            example_swarm_node("worker-01", Role::Worker),
            example_swarm_node("worker-02", Role::Worker),
        ],
        services: vec![blog, db, shop],
        tasks,
        pages: Vec::new(),
    };
    swarm.nodes[1].availability = Availability::Drain;
    let mut apply = |datum| fleet.apply(Update { at: NOW, datum });
    apply(Datum::Swarm(Ok(swarm)));
    apply(Datum::Volumes {
        node: "worker-01".into(),
        reading: Ok(vec![
            example_volume("blog_web-data", "blog", &["blog_web.1"]),
            example_volume("old_data", "old", &[]),
        ]),
    });
    apply(Datum::Domains(Ok(example_domains())));
    apply(Datum::VolumeSizes(Ok(example_sizes())));
    apply(Datum::Snapshots(Ok((0..41)
        .map(example_snapshot)
        .collect())));
    apply(Datum::Backups(Ok(example_backups())));
    apply(Datum::Certificates(Ok(vec![
        example_certificate("blog.example.org", 60),
        example_certificate("shop.example.org", 12),
    ])));
    apply(Datum::Link {
        node: "worker-02".into(),
        link: NodeLink::Down {
            reason: "worker-02.example.org port 22 does not answer: is the server up?".into(),
            since: seconds_ago(600),
        },
    });
    fleet
}

fn example_volume(name: &str, stack: &str, users: &[&str]) -> Volume {
    Volume {
        name: name.into(),
        driver: "local".into(),
        mountpoint: format!("/var/lib/docker/volumes/{name}/_data"),
        options: [("type".to_owned(), "nfs".to_owned())].into(),
        stack: Some(stack.into()),
        users: users.iter().map(|u| (*u).to_owned()).collect(),
        created_at: Some(seconds_ago(300_000)),
    }
}

/// A week of nights: one volume grows, the other does not.
fn example_domains() -> Vec<RegisteredDomain> {
    let expiry = DomainExpiry {
        at: seconds_ago(-211 * 86_400),
        lapsing: false,
        gone: false,
        read: seconds_ago(3 * 3600),
    };
    vec![RegisteredDomain {
        name: "example.org".into(),
        apps: vec!["blog".into(), "shop".into()],
        expiry: Ok(expiry),
    }]
}

fn example_sizes() -> VolumeSizes {
    let mut node = NodeSizes::default();
    for day in 0..8_u64 {
        let volume = |app: &str, mebibytes: u64| VolumeSize {
            app: Some(app.into()),
            bytes: Some(mebibytes << 20),
        };
        let used = (40 + day) << 30;
        let disk = FileSystemSize {
            total: 100 << 30,
            used,
            free: (100 << 30) - used,
        };
        node.add_sample(SizeSample {
            at: seconds_ago((7 - day as i64) * 86_400 + 30_000),
            volumes: [
                ("blog_web-data".to_owned(), volume("blog", 1200 + 30 * day)),
                ("old_data".to_owned(), volume("old", 512)),
            ]
            .into(),
            file_systems: [("/".to_owned(), disk)].into(),
        });
    }
    VolumeSizes {
        storage: "master".into(),
        nodes: [("worker-01".to_owned(), node)].into(),
        ..VolumeSizes::default()
    }
}

fn example_snapshot(i: u32) -> Snapshot {
    Snapshot {
        id: format!("{i:08x}{:056x}", 7),
        at: seconds_ago(21_600 + i64::from(i) * 86_400),
        app: Some(if i.is_multiple_of(2) { "blog" } else { "shop" }.into()),
        host: "master".into(),
        other_fleet: None,
        ahead: false,
        size: Some(1_900_000_000 - u64::from(i % 1000) * 1_000_000),
        files: Some(20_000),
        added: Some(3_000_000),
        paths: vec![
            "/mnt/data/.matou/dumps/blog".into(),
            "/mnt/data/blog_db-data".into(),
            "/mnt/data/blog_web-data".into(),
        ],
    }
}

fn example_backups() -> Backups {
    let proof = Proof {
        app: "blog".into(),
        at: seconds_ago(3 * 86_400),
        snapshot: format!("{:08x}{:056x}", 6, 7),
        files: 20_000,
        bytes: 1_900_000_000,
        same: 19_950,
        changed: 50,
        databases: [("blog_db.sql".to_owned(), 71)].into(),
        problem: None,
    };
    Backups {
        rehearsals: Vec::new(),
        drill: Some(Drill {
            at: seconds_ago(6 * 86_400),
            took: std::time::Duration::from_secs(722),
            up: 11,
            all: 11,
            problem: None,
        }),
        repositories: vec![Repository {
            name: "main".into(),
            location: "s3:https://s3.example.org/backups".into(),
            restic: "0.18.0".into(),
            locks: vec![RepositoryLock {
                who: "root@master".into(),
                since: seconds_ago(9000),
                exclusive: false,
                stale: true,
            }],
            growth: (0..30)
                .map(|i: i64| {
                    (
                        seconds_ago((30 - i) * 86_400),
                        (40 << 30) + (i * i * 10_000_000) as u64,
                    )
                })
                .collect(),
            check: Some((seconds_ago(5 * 86_400), Ok("1/12 of its data read".into()))),
            problem: None,
        }],
        schedule: Some(BackupSchedule {
            last: Some(seconds_ago(21_600)),
            failed: None,
            next: Some(seconds_ago(-64_800)),
            missed: None,
            // Reports of ten nights: one is whole in part, one failed.
            nights: (0..10)
                .map(|i| BackupNight {
                    at: seconds_ago(21_600 + (9 - i) * 86_400),
                    outcome: match i {
                        4 => NightOutcome::Warning,
                        6 => NightOutcome::Failed,
                        _ => NightOutcome::Done,
                    },
                })
                .collect(),
        }),
        proofs: [("blog".to_owned(), proof)].into(),
        restores: vec![UnfinishedRestore {
            app: "shop".into(),
            at: seconds_ago(7200),
            standing: RestoreStanding::Kept,
            kept: Some(900_000_000),
        }],
    }
}

fn example_certificate(domain: &str, days: i64) -> Certificate {
    let served = ServedCertificate {
        issuer: "Let's Encrypt R13".into(),
        names: vec![domain.into()],
        not_before: seconds_ago((90 - days) * 86_400 - 3600),
        not_after: seconds_ago(-days * 86_400 - 3600),
        problem: None,
        pem: "-----BEGIN CERTIFICATE-----\n".into(),
        chain: vec![
            example_chain_link(domain, "R13", days, "EC 256"),
            example_chain_link("R13", "ISRG Root X1", 500, "RSA 2048"),
        ],
    };
    Certificate {
        domain: domain.into(),
        service: format!("{}_web", domain.split('.').next().unwrap_or_default()),
        nodes: vec![("master".into(), Ok(served))],
        stored: Some(vec![StoredCertificate {
            resolver: "le".into(),
            not_after: Some(seconds_ago(-days * 86_400 - 3600)),
        }]),
        orphan: false,
    }
}

fn example_chain_link(subject: &str, issuer: &str, days: i64, key: &str) -> ChainLink {
    ChainLink {
        subject: subject.into(),
        issuer: issuer.into(),
        not_after: seconds_ago(-days * 86_400 - 3600),
        serial: "05:4f:9b:21".into(),
        key: key.into(),
    }
}

/// Returns the example fleet with one certificate that is stored though no router asks for it, and
/// one that a router asks for and that is not stored.
pub fn example_fleet_with_orphan() -> Fleet {
    let mut fleet = example_fleet();
    let mut all = fleet.certificates.value().cloned().unwrap_or_default();
    all[1].stored = Some(Vec::new());
    let mut orphan = example_certificate("old.example.org", 30);
    orphan.service = String::new();
    orphan.nodes = Vec::new();
    orphan.orphan = true;
    all.push(orphan);
    fleet.apply(Update {
        at: NOW,
        datum: Datum::Certificates(Ok(all)),
    });
    fleet
}

/// Returns the console of the largest fleet that is supported: 20 nodes, 500 services, 2,000 tasks,
/// 10,000 snapshots, every application opened.
pub fn large_example_app() -> App {
    let nodes = (0..20)
        .map(|i| {
            example_node(
                &format!("node-{i:02}"),
                Role::Worker,
                example_metrics(i as f32, 40, 50),
            )
        })
        .collect();
    let mut fleet = Fleet::new("large", nodes);
    let snapshots = (0..10_000).map(example_snapshot).collect();
    fleet.apply(Update {
        at: NOW,
        datum: Datum::Snapshots(Ok(snapshots)),
    });
    let mut app = example_app(fleet, THEME);
    app.opened = (0..500).map(|i| format!("app/app{i:03}")).collect();
    super::update(&mut app, large_example_swarm(), NOW);
    app
}

/// A reading of the large fleet's swarm.
pub fn large_example_swarm() -> Msg {
    let services: Vec<Service> = (0..500)
        .map(|i| example_service(&format!("app{i:03}"), "web", "nginx:1.30", 4, 4))
        .collect();
    let tasks = services
        .iter()
        .flat_map(|s| {
            (1..=4).map(|slot| example_task(s, slot, &format!("node-{slot:02}"), "running", ""))
        })
        .collect();
    let nodes = (0..20)
        .map(|i| example_swarm_node(&format!("node-{i:02}"), Role::Worker))
        .collect();
    let swarm = Swarm {
        nodes,
        services,
        tasks,
        pages: Vec::new(),
    };
    Msg::Fleet(Update {
        at: NOW,
        datum: Datum::Swarm(Ok(swarm)),
    })
}
