//! A fleet that is watched: by the console, by `matou check`, and by real Prometheus, Alertmanager
//! and exporters that tell a webhook.

mod support;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use matou::lab::LabKind;
use support::monitoring::{Told, certificates, put};
use support::pty::Pty;
use support::{Fleet, edge, matou, monitoring, said, until};

/// What the stack files name is replaced by what can be had here.
const IMAGES: [&str; 7] = [
    "PROMETHEUS_IMAGE=matou/prometheus:1",
    "ALERTMANAGER_IMAGE=matou/alertmanager:1",
    "NODE_IMAGE=matou/node-exporter:1",
    "BLACKBOX_IMAGE=matou/blackbox-exporter:1",
    "PROXY_IMAGE=matou/proxy:1",
    "CADVISOR_IMAGE=matou/cadvisor:1",
    "GRAFANA=0",
];

/// A small disk on the node, where the machine has loop devices.
fn small_disk(fleet: &Fleet) -> bool {
    let script = "set -e; modprobe loop 2>/dev/null || :\n\
        [ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237\n\
        for i in $(seq 0 31); do [ -e /dev/loop$i ] || mknod /dev/loop$i b 7 $i; done\n\
        mkdir -p /small; truncate -s 24M /root/small.img; mke2fs -q -F -t ext4 -m 0 /root/small.img; mount -o loop /root/small.img /small";
    let made = fleet.try_run("n1", script);
    if !made.status.success() {
        eprintln!("no small disk, a limit is lowered instead: {}", said(&made));
    }
    made.status.success()
}

struct Watched {
    fleet: Fleet,
    config: PathBuf,
    told: Told,
    disk: bool,
    state: tempfile::TempDir,
}

impl Watched {
    /// A node with an edge and an application, and the monitoring stack behind the edge.
    fn up() -> Self {
        let fleet = Fleet::new("mon");
        let say = |phase: &str| eprintln!("lab: {phase}");
        fleet.wait(fleet.lab.up(1, LabKind::Swarm, &say));
        edge::images(&fleet, "n1");
        monitoring::images(&fleet, "n1");
        let disk = small_disk(&fleet);
        let address = fleet.address("n1");
        let gateway = format!("{}.1", address.rsplit_once('.').expect("IPv4").0);
        let told = Told::listen(&gateway);
        let (ca, store) = certificates(&["blog.lab.test", "mon.lab.test"]);
        let beside = |name: &str| fleet.lab.config_path().with_file_name(name);
        std::fs::write(beside("ca.pem"), ca).expect("written");
        std::fs::write(beside("webhook"), &told.url).expect("written");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(beside("webhook"), private).expect("set");
        let config = fleet.config(
            "mon.toml",
            "[storage]\ndriver = \"local\"\n[edge]\nemail = \"ops@example.org\"\nca_file = \"ca.pem\"\n\
             [alerts]\ncpu = 100\nmemory = 100\n[receivers]\nwebhook_file = \"webhook\"\n",
        );
        fleet.run("n1", "docker volume create edge_data");
        let acme = "/var/lib/docker/volumes/edge_data/_data/acme.json";
        put(&fleet, "n1", acme, &store);
        let watched = Self {
            fleet,
            config,
            told,
            disk,
            state: tempfile::tempdir().expect("a folder"),
        };
        let images = ["IMAGE=matou/traefik:3.7", "PROXY_IMAGE=matou/proxy:1"];
        watched.deploy(&["traefik", "edge"], &images);
        let blog = ["DOMAIN=blog.lab.test", "IMAGE=matou/hello:1.0", "PORT=8080"];
        watched.deploy(&["whoami", "blog"], &blog);
        watched
    }

    fn deploy(&self, what: &[&str], variables: &[&str]) -> String {
        let args = [&["deploy"], what, variables, &["--yes"]].concat();
        let out = matou(&self.config, &args);
        let text = said(&out);
        if !out.status.success() {
            let logs =
                "for s in $(docker service ls -q); do docker service logs --tail 5 $s 2>&1; done";
            panic!("{text}\n{}", said(&self.fleet.try_run("n1", logs)));
        }
        text
    }

    fn monitoring(&self) -> String {
        let users = "USERS=ops:$apr1$abc$dHXBb2LfCVUMH4tIrSCSn1";
        let own = ["DOMAIN=mon.lab.test", users];
        self.deploy(&["monitoring", "mon"], &[&own[..], &IMAGES].concat())
    }

    /// What `matou check` says.
    fn check(&self) -> String {
        said(&self.look(&["check"]))
    }

    /// Runs matou with a state of its own.
    fn look(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_matou"))
            .arg("--config")
            .arg(&self.config)
            .args(args)
            .env("XDG_STATE_HOME", self.state.path())
            .output()
            .expect("matou starts")
    }

    fn fill(&self) {
        let fill = "set -- $(df -P -k /small | tail -n 1); total=$(($3 + $4)); \
            dd if=/dev/zero of=/small/fill bs=1k count=$((total * 96 / 100 - $3 + 16)) 2>&1; sync; df -P -k /small";
        eprintln!("{}", self.fleet.run("n1", fill));
    }
}

#[test]
fn what_fails_is_told_at_once_and_that_it_is_over_too() {
    let watched = Watched::up();
    let text = watched.monitoring();
    assert!(text.contains("+ config mon_prometheus_"), "{text}");
    assert!(
        !text.contains(&watched.told.url),
        "a secret is shown: {text}"
    );
    assert!(watched.monitoring().contains("nothing to do"));
    // The name leads to the edge, as it would in DNS.
    let address = watched.fleet.address("n1");
    let host = format!(
        "docker service update -q --host-add blog.lab.test:{address} --host-add mon.lab.test:{address} mon_blackbox"
    );
    watched.fleet.run("n1", &host);
    until(Duration::from_secs(60), || {
        let text = watched.check();
        // The fleet's own name is "mon" too.
        let named = ["blog", "mon", "/small"].iter().any(|n| text.contains(n));
        let quiet = !named || text.contains("all is as it should be");
        quiet.then_some(()).ok_or(text)
    });
    prometheus_sees_all(&watched);

    let state = tempfile::tempdir().expect("a folder");
    let path = state.path().to_string_lossy().into_owned();
    let config = watched.config.to_string_lossy().into_owned();
    let program = env!("CARGO_BIN_EXE_matou");
    let env = [("XDG_STATE_HOME", path.as_str())];
    let mut console = Pty::start(program, &["--config", &config], &env, 120, 40);
    console.wait_for("1/1 nodes", Duration::from_secs(30));
    // The dashboard behind them would say what was over lately.
    console.send("1a");
    console.wait_for("Alerts", Duration::from_secs(10));

    let begun = Instant::now();
    watched
        .fleet
        .run("n1", "docker service scale -d blog_web=0");
    if watched.disk {
        watched.fill();
    }
    until(Duration::from_secs(30), || {
        let text = watched.check();
        let blog = text.contains("critical  blog: https://blog.lab.test/health answers");
        let disk = !watched.disk || text.contains("critical  n1: disk /small at 97 %");
        (blog && disk).then_some(()).ok_or(text)
    });
    eprintln!("matou check knows after {} s", begun.elapsed().as_secs());
    console.wait_for("https://blog.lab.test", Duration::from_secs(30));
    eprintln!("the console knows after {} s", begun.elapsed().as_secs());
    let out = watched.look(&["check", "--json"]);
    assert_eq!(out.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let alerts = report["alerts"].as_array().expect("alerts");
    assert!(
        alerts
            .iter()
            .any(|a| a["kind"] == "http" && a["cure"] == "logs")
    );
    let patience = Duration::from_secs(180);
    let both = |status: &str| {
        let blog = watched.told.of("ApplicationDown", ("app", "blog"), status);
        let disk = match watched.disk {
            true => watched
                .told
                .of("NodeDisk", ("mountpoint", "/small"), status),
            false => Ok(()),
        };
        blog.and(disk)
    };
    until(patience, || both("firing"));
    eprintln!("the webhook knows after {} s", begun.elapsed().as_secs());
    silenced(&watched);

    let begun = Instant::now();
    watched.fleet.run(
        "n1",
        "rm -f /small/fill; docker service scale -d blog_web=2",
    );
    // What is over is said in the last line, until a key is pressed.
    console.wait(Duration::from_secs(60), "no alert of blog", |screen| {
        let said = |line: &str| line.trim_start().starts_with("over: ");
        let mut lines = screen.lines().filter(|l| !said(l));
        !lines.any(|l| l.contains("https://blog.lab.test"))
    });
    leave(&mut console);
    until(Duration::from_secs(60), || {
        let text = watched.check();
        let quiet = !text.contains("blog") && !text.contains("/small");
        quiet.then_some(()).ok_or(text)
    });
    until(patience, || both("resolved"));
    eprintln!(
        "all know that it is over after {} s",
        begun.elapsed().as_secs()
    );
    if !watched.disk {
        lower_limit(&watched);
    }
}

/// Closes the list of alerts, then the console.
fn leave(console: &mut Pty) {
    console.send("\x1b");
    console.wait_gone("Enter goes there", Duration::from_secs(10));
    console.send("q");
    assert_eq!(console.end(Duration::from_secs(10)), 0);
}

/// What Alertmanager alerts of stands beside our own, and is silenced there by a key.
fn silenced(watched: &Watched) {
    let state = tempfile::tempdir().expect("a folder");
    let path = state.path().to_string_lossy().into_owned();
    let config = watched.config.to_string_lossy().into_owned();
    let program = env!("CARGO_BIN_EXE_matou");
    let why = "cadvisor of n1 can't be scraped (Prometheus)";
    until(Duration::from_secs(240), || {
        let text = watched.check();
        text.contains(why).then_some(()).ok_or(text)
    });
    let env = [("XDG_STATE_HOME", path.as_str())];
    let mut console = Pty::start(program, &["--config", &config], &env, 160, 48);
    console.wait_for("1/1 nodes", Duration::from_secs(30));
    console.send("a");
    console.wait_for("cadvisor of n1", Duration::from_secs(60));
    // The critical ones come first.
    let selected = |screen: &str| {
        let mut lines = screen.lines();
        lines.any(|line| line.contains('▸') && line.contains("cadvisor of n1"))
    };
    // Ages and loads change by themselves.
    let fixed = |screen: &str| screen.replace(|c: char| c.is_ascii_digit(), "");
    for _ in 0..10 {
        let before = console.screen();
        if selected(&before) {
            break;
        }
        console.send("j");
        let end = Instant::now() + Duration::from_secs(5);
        while fixed(&console.screen()) == fixed(&before) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(selected(&console.screen()), "{}", console.screen());
    console.send("i1");
    console.wait_for("Alertmanager tells nobody of it", Duration::from_secs(20));
    leave(&mut console);
    until(Duration::from_secs(30), || {
        let text = watched.check();
        (!text.contains(why)).then_some(()).ok_or(text)
    });
}

/// Every exporter is scraped, every domain asked; rules are taken.
fn prometheus_sees_all(watched: &Watched) {
    let ask = |path: &str| {
        let line = format!(
            "docker exec $(docker ps -q -f name=mon_prometheus) wget -q -O - 'http://127.0.0.1:9090/prometheus/api/v1/{path}'"
        );
        let out = watched.fleet.try_run("n1", &line);
        serde_json::from_slice::<serde_json::Value>(&out.stdout).map_err(|_| said(&out))
    };
    until(Duration::from_secs(90), || {
        let answer = ask("targets?state=active")?;
        let targets = answer["data"]["activeTargets"].as_array();
        let up: Vec<&str> = targets
            .into_iter()
            .flatten()
            .filter(|t| t["health"] == "up")
            .filter_map(|t| t["labels"]["job"].as_str())
            .collect();
        let missing = ["alertmanager", "blackbox", "edge", "node", "applications"]
            .iter()
            .find(|job| !up.contains(job));
        missing.map_or(Ok(()), |job| Err(format!("{job} is not up: {answer}")))
    });
    until(Duration::from_secs(60), || {
        let answer = ask("query?query=probe_success")?;
        let results = answer["data"]["result"].as_array();
        let well = results
            .into_iter()
            .flatten()
            .filter(|r| r["value"][1] == "1")
            .count();
        (well == 2).then_some(()).ok_or(answer.to_string())
    });
}

/// Without loop devices: the disk is over its limit when that is low enough. That the limit rolls
/// out is a change of Swarm configs.
fn lower_limit(watched: &Watched) {
    let text = std::fs::read_to_string(&watched.config).expect("its configuration");
    let low = text.replace("cpu = 100\n", "cpu = 100\ndisk = 1\n");
    std::fs::write(&watched.config, low).expect("written");
    assert!(watched.monitoring().contains("+ config mon_rules_"));
    assert!(watched.check().contains("disk"));
    let of = |status| watched.told.of("NodeDisk", ("instance", "n1"), status);
    until(Duration::from_secs(180), || of("firing"));
    std::fs::write(&watched.config, text).expect("written");
    watched.monitoring();
    until(Duration::from_secs(180), || of("resolved"));
}
