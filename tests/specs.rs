//! What matou writes differs from what it read in what was asked, and in nothing else: the whole JSON
//! of services that have every flag of `docker service create`, of a stack with every key, of a node
//! and of the swarm, before and after each operation, beside docker's own client that does the same to
//! a twin. Nothing here knows the engine's version: its flags are those of its `--help`.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use matou::config::Config;
use matou::docker::Docker;
use matou::host::{Host, HostOptions};
use matou::model::Role;
use serde_json::{Value, json};
use support::{Fleet, ok, until};

/// Of this test alone; `scripts/test.sh` removes it too.
const FLEET: &str = "spec";

/// Flags that every service here has. A flag that the engine's client does not have is left out.
const EACH: &[(&str, &str)] = &[
    ("cap-add", "NET_ADMIN"),
    ("cap-drop", "MKNOD"),
    (
        "config",
        "source=page,target=/page,uid=1000,gid=1000,mode=0400",
    ),
    ("constraint", "node.role==manager"),
    ("container-label", "of=container"),
    ("detach", ""),
    ("dns", "127.0.0.11"),
    ("dns-option", "timeout:3"),
    ("dns-search", "example.org"),
    ("entrypoint", "/bin/sh"),
    ("env", "TEXT=it's \"so\" <&> é"),
    ("env-file", "/tmp/envfile"),
    ("generic-resource", "gpu=1"),
    ("group", "1001"),
    ("host", "extra:10.9.9.9"),
    ("hostname", "{{.Task.Name}}"),
    ("init", ""),
    ("isolation", "default"),
    ("label", "traefik.http.routers.all.rule=Host(`all.example`)"),
    ("label", "traefik.http.routers.all.middlewares=own"),
    ("limit-cpu", "0.75"),
    ("limit-memory", "64M"),
    ("limit-pids", "100"),
    ("log-driver", "json-file"),
    ("log-opt", "max-size=1m"),
    ("memory-swap", "128M"),
    ("memory-swappiness", "10"),
    (
        "mount",
        "type=tmpfs,target=/fleeting,tmpfs-size=1m,tmpfs-mode=1777",
    ),
    (
        "mount",
        "type=bind,source=/srv,target=/bound,readonly,bind-propagation=rprivate",
    ),
    (
        "mount",
        "type=volume,source=kept-@,target=/kept,volume-nocopy,volume-label=of=volume,\
         volume-driver=local,volume-opt=type=tmpfs,volume-opt=device=tmpfs",
    ),
    ("network", "name=inner,alias=also,driver-opt=key=value"),
    ("no-resolve-image", ""),
    ("oom-score-adj", "100"),
    ("quiet", ""),
    ("read-only", ""),
    ("reserve-cpu", "0.05"),
    ("reserve-memory", "8M"),
    ("restart-condition", "any"),
    ("restart-delay", "1s"),
    ("rollback-delay", "100ms"),
    ("rollback-failure-action", "continue"),
    ("rollback-max-failure-ratio", "0.3"),
    ("rollback-monitor", "300ms"),
    ("rollback-parallelism", "2"),
    (
        "secret",
        "source=word,target=word,uid=1000,gid=1000,mode=0400",
    ),
    ("stop-grace-period", "1s"),
    ("stop-signal", "TERM"),
    ("sysctl", "net.ipv4.tcp_keepalive_time=600"),
    ("tty", ""),
    ("ulimit", "nofile=1024:2048"),
    ("update-delay", "100ms"),
    ("update-failure-action", "continue"),
    ("update-max-failure-ratio", "0.1"),
    ("update-monitor", "300ms"),
    ("update-parallelism", "2"),
    ("user", "1000"),
    ("with-registry-auth", ""),
    ("workdir", "/tmp"),
];

/// What asks whether a container is well.
const HEALTH: &[(&str, &str)] = &[
    ("health-cmd", "test -e /page"),
    ("health-interval", "4s"),
    ("health-retries", "5"),
    ("health-start-interval", "1s"),
    ("health-start-period", "30s"),
    ("health-timeout", "30s"),
];

/// A kind of service: flags that it has beside those of each.
const REPLICATED: &[(&str, &str)] = &[
    ("endpoint-mode", "vip"),
    ("mode", "replicated"),
    ("placement-pref", "spread=node.labels.zone"),
    (
        "publish",
        "published=@PORT@,target=8080,mode=ingress,protocol=tcp",
    ),
    ("replicas", "1"),
    ("replicas-max-per-node", "9"),
    ("restart-max-attempts", "9"),
    ("restart-window", "10s"),
    ("rollback-order", "start-first"),
    ("update-order", "start-first"),
];
const GLOBAL: &[(&str, &str)] = &[
    ("endpoint-mode", "dnsrr"),
    ("mode", "global"),
    ("no-healthcheck", ""),
    (
        "publish",
        "published=@PORT@,target=8080,mode=host,protocol=tcp",
    ),
    ("rollback-order", "stop-first"),
    ("update-order", "stop-first"),
];
/// It runs nowhere: Linux starts no container with such a description.
const PARKED: &[(&str, &str)] = &[
    ("credential-spec", "config://credentials"),
    ("mode", "replicated"),
    ("replicas", "0"),
];
const JOB: &[(&str, &str)] = &[
    ("max-concurrent", "1"),
    ("mode", "replicated-job"),
    ("replicas", "1"),
];

/// Flags of each that a job can't have.
const NOT_OF_JOBS: &[&str] = &["rollback-", "update-", "restart-condition"];

/// Flags of `docker service create` that no service here has, with the reason.
const UNUSED: &[(&str, &str)] = &[
    ("help", "it makes no service"),
    ("name", "every one has it, by other means"),
];

/// What is there for all of them.
const GROUND: &str = "echo '{\"node-generic-resources\":[\"gpu=64\"]}' >/etc/docker/daemon.json\n\
    systemctl restart docker; until docker node update --label-add zone=a n1 >/dev/null 2>&1; do sleep 0.2; done\n\
    printf word | docker secret create word - >/dev/null; printf page | docker config create page - >/dev/null\n\
    printf '{}' | docker config create credentials - >/dev/null\n\
    docker network create --driver overlay inner >/dev/null; echo FROM_FILE=yes >/tmp/envfile";

/// A stack with every key, and what stands beside it.
const STACK: &str = include_str!("files/every-key.yml");

/// What the engine changes by itself when something is written; a job runs once more.
const ITS_OWN: [&str; 5] = [
    "/Version",
    "/UpdatedAt",
    "/UpdateStatus",
    "/PreviousSpec",
    "/JobStatus",
];

/// Where two values differ: the place, what was there, what is.
type Changes = Vec<(String, Value, Value)>;

fn compare(place: &str, was: &Value, is: &Value, changes: &mut Changes) {
    match (was, is) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                // As RFC 6901 has it: labels are full of slashes and dots.
                let key_place = key.replace('~', "~0").replace('/', "~1");
                let place = format!("{place}/{key_place}");
                compare(&place, &was[key], &is[key], changes);
            }
        }
        _ if was == is => {}
        _ => changes.push((place.to_owned(), was.clone(), is.clone())),
    }
}

/// What differs but for what the engine changes by itself.
fn changes(was: &Value, is: &Value, its_own: &[&str]) -> Changes {
    let mut all = Changes::new();
    compare("", was, is, &mut all);
    all.retain(|(place, ..)| !its_own.iter().any(|own| place.starts_with(own)));
    all
}

/// The same with another name in the place of the service's.
fn without_name(changes: Changes, name: &str) -> Changes {
    let text = serde_json::to_string(&changes).expect("JSON");
    serde_json::from_str(&text.replace(name, "@")).expect("JSON")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

struct Practice {
    fleet: Fleet,
    config: PathBuf,
    /// The same as a user who is not root: the engine is reached through sudo.
    sudo: PathBuf,
    begun: Instant,
}

/// A service and its twin.
#[derive(Clone)]
struct Twins {
    mine: String,
    theirs: String,
    config: PathBuf,
}

impl Practice {
    fn open() -> Self {
        let begun = Instant::now();
        let fleet = Fleet::with_shared_data(FLEET, 2);
        let backup =
            "[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n";
        let config = fleet.config("specs.toml", backup);
        let folder = config.parent().expect("a folder");
        let text = std::fs::read_to_string(&config).expect("it was written");
        let sudo = folder.join("sudo.toml");
        let other = text.replace("user = \"root\"", "user = \"ops\"");
        assert_ne!(text, other);
        std::fs::write(&sudo, other).expect("written");
        let password = folder.join("restic-password");
        std::fs::write(&password, "correct horse\n").expect("written");
        let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&password, own).expect("its own");
        std::fs::create_dir_all(folder.join("stacks")).expect("a folder");
        for (name, text) in [
            ("every.yml", STACK),
            ("page.txt", "a page\n"),
            ("word.txt", "a word\n"),
            ("every.env", "FROM_FILE=so\n"),
        ] {
            std::fs::write(folder.join("stacks").join(name), text).expect("written");
        }
        fleet.run("n1", GROUND);
        let practice = Self {
            fleet,
            config,
            sudo,
            begun,
        };
        practice.told("the fleet is there");
        practice
    }

    fn told(&self, what: &str) {
        eprintln!("{:>5.1} s  {what}", self.begun.elapsed().as_secs_f32());
    }

    /// What the engine says something is.
    fn inspect(&self, kind: &str, name: &str) -> Value {
        let text = self
            .fleet
            .run("n1", &format!("docker {kind} inspect {name}"));
        let found: Value = serde_json::from_str(&text).expect("JSON");
        found[0].clone()
    }

    /// Ids of the tasks that should run.
    fn tasks(&self, service: &str) -> BTreeSet<String> {
        let line = format!(
            "docker service ps --quiet --no-trunc --filter desired-state=running {service}"
        );
        let text = self.fleet.run("n1", &line);
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until as many tasks run as should, and no update is under way.
    fn settled(&self, service: &str) {
        until(Duration::from_secs(60), || {
            let state = &self.inspect("service", service)["UpdateStatus"]["State"];
            if state == "updating" || state == "rollback_started" {
                return Err(format!("{service}: {state}"));
            }
            let line = format!(
                "docker service ls --filter name={service} --format '{{{{.Replicas}}}}'; \
                 docker service ps --filter desired-state=running --format '{{{{.CurrentState}}}} {{{{.Error}}}}' {service}"
            );
            let text = self.fleet.run("n1", &line);
            let (count, tasks) = text.split_once('\n').unwrap_or((&text, ""));
            let count = count.split(' ').next().unwrap_or_default();
            let all = count.split_once('/').is_some_and(|(a, b)| a == b);
            match all && tasks.lines().all(|t| t.starts_with("Running")) {
                true => Ok(()),
                false => Err(format!("{service}: {text}")),
            }
        });
    }

    /// The flags of `docker service create` that this engine's client has.
    fn flags(&self) -> BTreeSet<String> {
        let help = self.fleet.run("n1", "docker service create --help");
        let words = help.lines().filter_map(|line| {
            let line = line.trim_start();
            let long = match line.split_once(", --") {
                Some((short, long)) if short.starts_with('-') => long,
                _ => line.strip_prefix("--")?,
            };
            // A wrapped line may begin with another flag's name: `--replicas)`.
            let end = |c: char| !(c.is_ascii_lowercase() || c == '-');
            long.split(end).next().map(str::to_owned)
        });
        let flags: BTreeSet<String> = words.collect();
        assert!(flags.len() > 60, "{flags:?}");
        flags
    }

    /// Makes a service and its twin with all of those flags that the client has.
    fn twins(
        &self,
        kind: &str,
        port: u16,
        has: &BTreeSet<String>,
        flags: &[&[(&str, &str)]],
    ) -> Twins {
        let job = kind == "job";
        let make = |name: &str, port: u16| {
            let mut line = format!("docker service create --name {name}");
            let flags = flags.iter().copied().flatten();
            for (flag, value) in flags.filter(|(flag, _)| has.contains(*flag)) {
                if job && NOT_OF_JOBS.iter().any(|not| flag.starts_with(not)) {
                    continue;
                }
                let value = value.replace('@', "\u{1}");
                let value = value.replace("\u{1}PORT\u{1}", &port.to_string());
                let value = value.replace('\u{1}', name);
                line += &match value.is_empty() {
                    true => format!(" --{flag}"),
                    false => format!(" --{flag} {}", quoted(&value)),
                };
            }
            line += match job {
                true => " matou/hello:1.0 -c 'exit 0'",
                false => " matou/hello:1.0 /start",
            };
            self.fleet.run("n1", &line);
            name.to_owned()
        };
        Twins {
            mine: make(&format!("{kind}-mine"), port),
            theirs: make(&format!("{kind}-twin"), port + 1),
            config: self.config.clone(),
        }
    }

    /// Lets matou do something to one and docker's own client to the other: the whole JSON differs in
    /// the same places, and in those that were asked; what they were is what they can go back to; as
    /// many tasks are the same as before.
    fn both(
        &self,
        twins: &Twins,
        matou: &[&str],
        docker: &str,
        asked: &[&str],
        all_tasks_stay: bool,
    ) {
        let Twins { mine, theirs, .. } = twins;
        let job = mine.starts_with("job");
        let was = [mine, theirs].map(|name| (self.inspect("service", name), self.tasks(name)));
        let mut args = matou.to_vec();
        args.insert(1, mine);
        args.push("--yes");
        ok(&twins.config, &args);
        let docker = docker.replace('@', theirs);
        self.fleet.run("n1", &docker);
        let is = [mine, theirs].map(|name| {
            if !job {
                self.settled(name);
            }
            (self.inspect("service", name), self.tasks(name))
        });
        let [by_matou, by_docker] = [0, 1].map(|i| {
            let (was, is) = (&was[i].0, &is[i].0);
            without_name(changes(was, is, &ITS_OWN), [mine, theirs][i])
        });
        let places: Vec<&str> = by_matou.iter().map(|(place, ..)| place.as_str()).collect();
        assert_eq!(places, asked, "matou {args:?}: {by_matou:#?}");
        assert_eq!(by_matou, by_docker, "matou {args:?} and {docker}");
        // Of a job that is, the engine tells defaults too; of one that was, it does not.
        for (i, by) in ["matou", "docker"].iter().enumerate().filter(|_| !job) {
            let (was, is) = (&was[i].0["Spec"], &is[i].0["PreviousSpec"]);
            assert_eq!(was, is, "what there was before, by {by}: {args:?}");
        }
        if !job {
            let kept = [0, 1].map(|i| was[i].1.intersection(&is[i].1).count());
            // Of fewer, the others go.
            let expected = match all_tasks_stay {
                true => was[0].1.len().min(is[0].1.len()),
                false => 0,
            };
            assert_eq!(kept, [expected; 2], "tasks that stayed: {args:?}");
        }
        self.told(&format!("matou {}", args.join(" ")));
    }

    /// Labels of the edge come and go; a rollback takes them back.
    fn labels(&self, twins: &Twins, back: bool) {
        let average = "/Spec/Labels/traefik.http.middlewares.@-limit.ratelimit.average".to_owned();
        let burst = average.replace("average", "burst");
        let used = "/Spec/Labels/traefik.http.routers.all.middlewares";
        let before = self.inspect("service", &twins.mine)["Spec"]["Labels"].clone();
        let preview = self.inspect("service", &twins.theirs)["Spec"]["Labels"].clone();
        assert_eq!(before, preview);
        self.both(
            twins,
            &["switch", "--rate-limit", "7"],
            "docker service update --detach \
             --label-add traefik.http.middlewares.@-limit.ratelimit.average=7 \
             --label-add traefik.http.middlewares.@-limit.ratelimit.burst=14 \
             --label-add traefik.http.routers.all.middlewares=own,@-limit @",
            &[&average, &burst, used],
            true,
        );
        if back {
            self.both(
                twins,
                &["rollback"],
                "docker service rollback --detach @",
                &[&average, &burst, used],
                true,
            );
        }
    }

    fn restart(&self, twins: &Twins) {
        self.both(
            twins,
            &["restart"],
            "docker service update --detach --force @",
            &["/Spec/TaskTemplate/ForceUpdate"],
            false,
        );
    }

    fn scale(&self, twins: &Twins, to: &str) {
        self.both(
            twins,
            &["scale", to],
            &format!("docker service scale --detach @={to}"),
            &["/Spec/Mode/Replicated/Replicas"],
            true,
        );
    }

    /// An application with every key of a stack file is stopped, restored, started.
    fn restored(&self) {
        let config = &self.config;
        support::backup::repository(&self.fleet, config);
        ok(config, &["deploy", "every", "every", "--yes"]);
        ok(config, &["backup", "every", "--yes"]);
        let names = ["every_copies", "every_everywhere", "every_bound"];
        let was = names.map(|name| (self.inspect("service", name), self.tasks(name)));
        used_keys(&was.each_ref().map(|(service, _)| service.clone()));
        ok(config, &["restore", "every", "--yes"]);
        for (name, (was, tasks)) in names.iter().zip(was) {
            let is = self.inspect("service", name);
            let differ = changes(&was, &is, &ITS_OWN);
            assert_eq!(differ, [], "{name} after a restore");
            let kept = tasks.intersection(&self.tasks(name)).count();
            assert_eq!(kept, 0, "{name} was not stopped");
        }
        self.told("a stack with every key was restored");
    }

    /// What matou sets of nodes and of the swarm, beside what docker's own client does.
    fn nodes(&self) {
        self.fleet
            .run("n1", "docker node update --label-add own=kept n2");
        let own = ["/Version", "/UpdatedAt", "/Status", "/ManagerStatus"];
        let read = || self.inspect("node", "n2");
        let docker = |line: &str| drop(self.fleet.run("n1", line));
        let by = |work: &dyn Fn()| {
            let was = read();
            work();
            changes(&was, &read(), &own)
        };
        let (manager, runtime) = self.manager();
        let id = read()["ID"].as_str().expect("an id").to_owned();
        let drain = |to: &str| drop(ok(&self.config, &[to, "n2", "--yes"]));
        let ways: [(&dyn Fn(), &str, &str); 4] = [
            (
                &|| drain("drain"),
                "docker node update --availability drain n2",
                "/Spec/Availability",
            ),
            (
                &|| drain("activate"),
                "docker node update --availability active n2",
                "/Spec/Availability",
            ),
            (
                &|| {
                    let labels = BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]);
                    let set = manager.set_node_labels(&id, &labels);
                    runtime.block_on(set).expect("it is set");
                },
                "docker node update --label-add disk=ssd n2",
                "/Spec/Labels/disk",
            ),
            (
                &|| {
                    let change = |spec: &mut matou::docker::RawSpec| {
                        spec.map_mut(&["Labels"]).remove("disk");
                    };
                    let set = manager.update_node(&id, change);
                    runtime.block_on(set).expect("it is set");
                },
                "docker node update --label-rm disk n2",
                "/Spec/Labels/disk",
            ),
        ];
        // Each leads back to where the next begins, once by matou and once by docker.
        let by_matou: Vec<Changes> = ways.iter().map(|(mine, ..)| by(mine)).collect();
        let by_docker: Vec<Changes> = ways
            .iter()
            .map(|(_, line, _)| by(&|| docker(line)))
            .collect();
        assert_eq!(by_matou, by_docker);
        let places = by_matou.iter().map(|c| match &c[..] {
            [(place, ..)] => place.as_str(),
            _ => panic!("{c:?}"),
        });
        let asked: Vec<&str> = ways.iter().map(|(.., place)| *place).collect();
        assert_eq!(places.collect::<Vec<_>>(), asked);
        self.told("drained, activated, labelled");
        self.role(&manager, &runtime, &id);
        self.swarm(&manager, &runtime);
    }

    fn role(&self, manager: &Docker, runtime: &tokio::runtime::Runtime, id: &str) {
        let was = self.inspect("node", "n2")["Spec"].clone();
        let promote = manager.set_node_role(id, Role::Manager);
        runtime.block_on(promote).expect("it is promoted");
        let is = self.inspect("node", "n2")["Spec"].clone();
        let role = |is: &Value| changes(&was, is, &[]);
        let promoted = vec![("/Role".to_owned(), json!("worker"), json!("manager"))];
        assert_eq!(role(&is), promoted);
        until(Duration::from_secs(60), || {
            let node = self.inspect("node", "n2");
            match node["ManagerStatus"]["Reachability"] == "reachable" {
                true => Ok(()),
                false => Err(format!("{node}")),
            }
        });
        let demote = manager.set_node_role(id, Role::Worker);
        runtime.block_on(demote).expect("it is demoted");
        assert_eq!(role(&self.inspect("node", "n2")["Spec"]), []);
        self.told("promoted, demoted");
    }

    fn manager(&self) -> (Docker, tokio::runtime::Runtime) {
        let config = Config::load(Some(&self.config)).expect("the fleet's configuration");
        let options = HostOptions {
            docker_socket: "/var/run/docker.sock".into(),
            runtime_dir: matou::config::ensure_runtime_dir().expect("a folder"),
            recorder: None,
        };
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let docker = {
            let _inside = runtime.enter();
            Docker::new(Host::new("n1", &config.nodes[0].reach, options))
        };
        (docker, runtime)
    }

    /// The swarm's own settings, some of which neither matou nor docker's client can set.
    fn swarm(&self, manager: &Docker, runtime: &tokio::runtime::Runtime) {
        let api = "curl -sS --fail-with-body --unix-socket /var/run/docker.sock http://docker";
        let read = || -> Value {
            let text = self.fleet.run("n1", &format!("{api}/swarm"));
            serde_json::from_str(&text).expect("JSON")
        };
        let own = ["/Version", "/UpdatedAt"];
        let mut swarm = read();
        let spec = &mut swarm["Spec"];
        spec["Labels"] = json!({"of": "swarm"});
        spec["TaskDefaults"] =
            json!({"LogDriver": {"Name": "json-file", "Options": {"max-size": "2m"}}});
        spec["Orchestration"]["TaskHistoryRetentionLimit"] = json!(7);
        spec["Raft"]["SnapshotInterval"] = json!(9_007_199_254_740_993_u64);
        let line = format!(
            "{api}/swarm/update?version={} -H 'Content-Type: application/json' --data-binary {}",
            swarm["Version"]["Index"],
            quoted(&swarm["Spec"].to_string())
        );
        self.fleet.run("n1", &line);
        let was = read();
        let set = manager.configure_swarm(false, Duration::from_secs(7));
        runtime.block_on(set).expect("it is set");
        let by_matou = changes(&was, &read(), &own);
        let docker = |every: u32| {
            let was = read();
            let line = format!("docker swarm update --dispatcher-heartbeat {every}s");
            self.fleet.run("n1", &line);
            changes(&was, &read(), &own)
        };
        docker(5);
        let places = by_matou.iter().map(|(place, ..)| place.as_str());
        let places: Vec<&str> = places.collect();
        assert_eq!(places, ["/Spec/Dispatcher/HeartbeatPeriod"]);
        assert_eq!(by_matou, docker(7));
        self.told("the swarm's own settings");
    }
}

/// The stack has all it should: an engine that ignored a key would make the comparison say nothing.
fn used_keys(services: &[Value]) {
    let text = serde_json::to_string(services).expect("JSON");
    for key in [
        "Aliases",
        "Args",
        "CapabilityAdd",
        "CapabilityDrop",
        "Command",
        "Configs",
        "Constraints",
        "DNSConfig",
        "Dir",
        "Env",
        "GenericResources",
        "Healthcheck",
        "Hosts",
        "Hostname",
        "Init",
        "Isolation",
        "LogDriver",
        "MaxReplicas",
        "Mounts",
        "OpenStdin",
        "Pids",
        "Ports",
        "Preferences",
        "ReadOnly",
        "RestartPolicy",
        "RollbackConfig",
        "Secrets",
        "StopGracePeriod",
        "StopSignal",
        "Sysctls",
        "TTY",
        "TmpfsOptions",
        "Ulimits",
        "UpdateConfig",
        "User",
        "VolumeOptions",
    ] {
        assert!(
            text.contains(&format!("\"{key}\":")),
            "{key} is not set: {text}"
        );
    }
}

#[test]
fn what_is_written_differs_in_what_was_asked() {
    let practice = Practice::open();
    let practice = &practice;
    let has = practice.flags();
    let tables = [EACH, HEALTH, REPLICATED, GLOBAL, PARKED, JOB, UNUSED];
    let known: BTreeSet<&str> = tables
        .iter()
        .copied()
        .flatten()
        .map(|(flag, _)| *flag)
        .collect();
    let unknown: Vec<&String> = has.iter().filter(|f| !known.contains(f.as_str())).collect();
    assert!(
        unknown.is_empty(),
        "flags that no service here has: {unknown:?}"
    );

    let replicated = practice.twins("copies", 8101, &has, &[EACH, HEALTH, REPLICATED]);
    let mut global = practice.twins("global", 8103, &has, &[EACH, GLOBAL]);
    global.config = practice.sudo.clone();
    let parked = practice.twins("parked", 0, &has, &[EACH, HEALTH, PARKED]);
    let job = practice.twins("job", 0, &has, &[EACH, HEALTH, JOB]);
    for twins in [&replicated, &global, &parked] {
        practice.settled(&twins.mine);
        practice.settled(&twins.theirs);
    }
    practice.told("the services run");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            practice.scale(&replicated, "2");
            practice.restart(&replicated);
            practice.labels(&replicated, true);
            practice.scale(&replicated, "1");
        });
        scope.spawn(|| {
            practice.restart(&global);
            practice.labels(&global, true);
        });
        scope.spawn(|| {
            practice.restart(&parked);
            practice.labels(&parked, true);
            practice.labels(&job, false);
        });
        scope.spawn(|| practice.restored());
    });
    practice.nodes();
}
