//! The seed's own infrastructure, built by its article's commands, taken over while a client asks: no
//! request is lost, nothing of what runs changes, and every job works on it afterwards.

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use matou::lab::{Lab, LabKind};
use serde_json::Value;
use support::edge::sh;
use support::{Fleet, matou, monitoring, ok, private, said, until};

const HOSTS: [&str; 2] = ["blog.lab.test", "page.lab.test"];
const CRON: &str = "/var/spool/cron/crontabs/root";
const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/files/adopt/seed");

/// Two servers that were set up by hand, as the article says.
struct Seed {
    fleet: Fleet,
    config: PathBuf,
}

/// What a client and the engine see of it.
#[derive(Debug, PartialEq)]
struct Picture {
    /// All that the engine says of each service.
    services: BTreeMap<String, Value>,
    /// The tasks that should run.
    tasks: Vec<String>,
    /// Hashes of files below /mnt/data.
    files: Vec<String>,
    /// Fingerprints of the certificates that are served.
    certificates: Vec<String>,
}

/// What became of a client's requests.
struct Requests {
    answered: usize,
    lost: Vec<String>,
}

impl Seed {
    fn build() -> Self {
        let mut fleet = Fleet::new("seed");
        fleet.lab = Lab::new("seed")
            .expect("a state folder")
            .with_shared_volumes();
        fleet.wait(fleet.lab.up(2, LabKind::Swarm, &|_| {}));
        support::edge::images(&fleet, "n1");
        let (ca, acme) = monitoring::certificates(&HOSTS);
        for node in ["n1", "n2"] {
            monitoring::images(&fleet, node);
            send_folder(&fleet, node);
            monitoring::put(&fleet, node, "/root/seed/acme.json", &acme);
        }
        let step = |node: &str, step: &str| {
            let begun = Instant::now();
            fleet.run(node, &format!("sh /root/seed/build.sh {step}"));
            eprintln!("{node}: {step}: {} ms", begun.elapsed().as_millis());
        };
        for (node, other) in [("n1", "n2"), ("n2", "n1")] {
            for name in ["swap", "engine", "driver", "security"] {
                step(node, name);
            }
            step(node, &format!("nfs {}", fleet.address(other)));
        }
        for name in ["traefik", "apps", "monitoring"] {
            step("n1", name);
        }
        fleet.run("n1", "until [ -d /mnt/data/blog_ghost ]; do sleep 0.2; done; echo '<h1>A post</h1>' >/mnt/data/blog_ghost/index.html");
        step("n1", "restic");
        let beside = |name: &str| fleet.lab.config_path().with_file_name(name);
        std::fs::write(beside("ca.pem"), ca).expect("written");
        private(&beside("restic-password"), "of the old days\n");
        let config = fleet.config(
            "seed.toml",
            "[edge]\nemail = \"contact@example.com\"\nca_file = \"ca.pem\"\n[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n",
        );
        let seed = Self { fleet, config };
        for host in HOSTS {
            seed.answers(host);
        }
        seed.settled();
        seed
    }

    fn run(&self, args: &[&str]) -> String {
        let begun = Instant::now();
        let text = ok(&self.config, args);
        eprintln!("matou {args:?}: {} ms", begun.elapsed().as_millis());
        text
    }

    fn on(&self, line: &str) -> String {
        self.fleet.run("n1", line)
    }

    /// Asks as a browser would that trusts the authority.
    fn ask(&self, address: &str, host: &str) -> Result<String, String> {
        let out = Command::new("curl")
            .args(["-sSf", "--max-time", "10", "--cacert"])
            .arg(self.config.with_file_name("ca.pem"))
            .args(["--resolve", &format!("{host}:443:{address}")])
            .arg(format!("https://{host}/"))
            .output()
            .expect("curl");
        match out.status.success() {
            true => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
            false => Err(said(&out)),
        }
    }

    fn answers(&self, host: &str) {
        let address = self.fleet.address("n1");
        until(Duration::from_secs(60), || {
            self.ask(&address, host).map(drop)
        });
    }

    fn shows_the_post(&self) {
        let address = self.fleet.address("n1");
        until(Duration::from_secs(60), || {
            let page = self.ask(&address, HOSTS[0])?;
            page.contains("A post").then_some(()).ok_or(page)
        });
    }

    fn settled(&self) {
        until(Duration::from_secs(90), || {
            let text = self.on("docker service ls --format '{{.Name}} {{.Replicas}}'");
            let waits = |l: &&str| {
                let count = l.split(' ').nth(1).and_then(|c| c.split_once('/'));
                count.is_none_or(|(is, should)| is != should)
            };
            text.lines()
                .find(waits)
                .map_or(Ok(()), |l| Err(l.to_owned()))
        });
    }

    fn picture(&self) -> Picture {
        let text = self.on("docker service ls -q | xargs docker service inspect");
        let found: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        let name = |s: &Value| s["Spec"]["Name"].as_str().unwrap_or_default().to_owned();
        let lines = |line: &str| -> Vec<String> {
            let text = self.on(line);
            text.lines().map(str::to_owned).collect()
        };
        let address = self.fleet.address("n1");
        let fingerprint = |host: &&str| {
            sh(
                "openssl s_client -connect \"$1:443\" -servername \"$2\" </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256",
                &[&address, host],
            )
        };
        Picture {
            services: found.iter().map(|s| (name(s), s.clone())).collect(),
            tasks: lines(
                "for s in $(docker service ls -q); do docker service ps -q --no-trunc --filter desired-state=running $s; done | sort",
            ),
            // Prometheus writes its own all the time.
            files: lines(
                "cd /mnt/data; find . -path ./.matou -prune -o -path ./monitoring_prometheus -prune -o -type f -print | sort | xargs sha256sum",
            ),
            certificates: HOSTS.iter().map(fingerprint).collect(),
        }
    }

    /// Does `work` while a client asks both sites every 100 ms.
    fn while_asked(&self, work: impl FnOnce()) -> Requests {
        let ends = AtomicBool::new(false);
        let address = self.fleet.address("n1");
        let client = |host: &str| {
            let mut requests = Requests {
                answered: 0,
                lost: Vec::new(),
            };
            while !ends.load(Ordering::Relaxed) {
                let next = Instant::now() + Duration::from_millis(100);
                match self.ask(&address, host) {
                    Ok(_) => requests.answered += 1,
                    Err(why) => requests.lost.push(why),
                }
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            requests
        };
        std::thread::scope(|scope| {
            let clients = HOSTS.map(|host| scope.spawn(move || client(host)));
            // Ends the clients too when `work` panics.
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            ends.store(true, Ordering::Relaxed);
            let done = clients.map(|c| c.join().expect("a client"));
            if let Err(panic) = ended {
                std::panic::resume_unwind(panic);
            }
            let [mut all, other] = done;
            all.answered += other.answered;
            all.lost.extend(other.lost);
            all
        })
    }
}

/// Puts the article's files on a node.
fn send_folder(fleet: &Fleet, node: &str) {
    let folder = fleet.lab.config_path();
    let folder = folder.parent().expect("a folder").display().to_string();
    sh(
        "tar -C \"$3\" -c . | ssh -i \"$1/id_ed25519\" -o UserKnownHostsFile=\"$1/known_hosts\" \"root@$2\" 'mkdir -p /root/seed; tar -C /root/seed --no-same-owner -x'",
        &[&folder, &fleet.address(node), FILES],
    );
}

#[test]
#[ignore = "minutes: make test-long"]
fn the_seeds_infrastructure_is_taken_over() {
    let seed = Seed::build();
    let was = seed.picture();
    let requests = seed.while_asked(|| takes_over(&seed));
    eprintln!(
        "{} requests answered, {} lost",
        requests.answered,
        requests.lost.len()
    );
    assert!(requests.answered > 100, "{}", requests.answered);
    assert!(requests.lost.is_empty(), "{:?}", requests.lost);
    let is = seed.picture();
    for (name, service) in &was.services {
        assert_eq!(service, &is.services[name], "{name}");
    }
    assert_eq!(was, is);
    shows_and_restores_what_cron_made(&seed);
    backs_up_where_the_data_is(&seed);
    comes_back(&seed);
    updates(&seed);
}

/// What an operator does who comes with such servers.
fn takes_over(seed: &Seed) {
    let told = seed.run(&["repo", "init", "--yes"]);
    assert!(told.contains("1 snapshots"), "{told}");
    seed.run(&["adopt", "--all", "--yes"]);
    let folder = seed.config.parent().expect("a folder");
    for app in ["blog", "page", "monitoring", "traefik"] {
        let file = std::fs::read_to_string(folder.join(format!("apps/{app}.toml")));
        let file = file.expect("written");
        let stack = file.trim().trim_start_matches("stack = ").trim_matches('"');
        let told = seed.run(&["diff", stack, app]);
        // What the fleet keeps of it for the night is not there yet.
        let changes = told
            .lines()
            .filter(|l| l.contains(": ~ ") || l.contains(": + "));
        let changes: Vec<&str> = changes.filter(|l| !l.contains("nightly backup")).collect();
        assert!(changes.is_empty(), "{app}: {changes:?}");
        seed.run(&["redeploy", app, "--yes"]);
    }
    plans_little(seed);
    takes_the_cron_line(seed);
}

/// Each change of the servers is told, and what stops containers is told as that.
fn plans_little(seed: &Seed) {
    let plan = seed.run(&["provision", "--dry-run"]);
    let about = |words: &[&str]| {
        let found = plan
            .lines()
            .any(|l| words.iter().all(|word| l.contains(word)));
        assert!(found, "{words:?} is not in\n{plan}");
    };
    about(&[
        "n1: ~ /etc/docker/daemon.json",
        "restarts the engine, and with it",
    ]);
    about(&[
        "n2: ~ /etc/docker/daemon.json",
        "restarts the engine, and with it",
    ]);
    about(&["n1", CRON, "--accept"]);
    assert!(!plan.contains(": ! nfs-server"), "{plan}");
}

/// The line of cron goes into the night: shown, done when accepted, kept aside.
fn takes_the_cron_line(seed: &Seed) {
    let phrase = format!("n1:{CRON}");
    let args = ["provision", "--only", "backup", "--accept", &phrase];
    let plan = seed.run(&[&args[..], &["--dry-run"]].concat());
    assert!(plan.contains("commented out"), "{plan}");
    let line = seed.on(&format!("cat {CRON}"));
    seed.run(&[&args[..], &["--yes"]].concat());
    let now = seed.on(&format!("cat {CRON}"));
    assert_eq!(now, format!("# taken over by matou: {line}"));
    seed.on("systemctl is-active matou-backup.timer");
    let told = seed.run(&[&args[..], &["--dry-run"]].concat());
    assert!(told.contains("nothing to do"), "{told}");
}

/// Snapshots that the cron line made stand beside matou's own, and are restored from by path.
fn shows_and_restores_what_cron_made(seed: &Seed) {
    let listed = seed.run(&["snapshots"]);
    let line = listed
        .lines()
        .find(|l| l.contains("not made by matou, on n1"));
    let line = line.unwrap_or_else(|| panic!("{listed}"));
    assert!(line.contains("/mnt/data  "), "{line}");
    let id = line.split(' ').next().expect("an id");
    let of = ["restore", "blog", "--snapshot", id];
    let out = matou(&seed.config, &[&of[..], &["--yes"]].concat());
    assert!(
        !out.status.success() && said(&out).contains("--path"),
        "{}",
        said(&out)
    );
    // Somewhere else, also what is no volume.
    let acme = "/mnt/data/traefik/acme.json";
    let aside = ["--path", acme, "--into", "/mnt/data/old", "--yes"];
    seed.run(&[&of[..], &aside].concat());
    seed.on(&format!(
        "cmp {acme} /mnt/data/old{acme} || cmp {acme} /mnt/data/old/acme.json"
    ));
    seed.on("rm -r /mnt/data/old");
    // And where it was.
    let page = "/mnt/data/blog_ghost/index.html";
    seed.on(&format!("echo broken >{page}"));
    seed.run(&[&of[..], &["--path", page, "--yes"]].concat());
    seed.shows_the_post();
    seed.run(&["restore", "forget", "blog", "--yes"]);
}

/// On another node, and what is no volume too.
fn backs_up_where_the_data_is(seed: &Seed) {
    let plan = seed.run(&["place", "blog", "n2", "--yes"]);
    assert!(!plan.contains("begins with an empty one"), "{plan}");
    seed.on("[ -z \"$(docker ps -q -f name=blog_web)\" ]");
    seed.shows_the_post();
    seed.run(&["backup", "--all", "--yes"]);
    let listed = |app: &str| {
        let line = format!(
            "export RESTIC_PASSWORD_FILE=/root/.restic; restic -r /srv/restic ls latest --tag app={app}"
        );
        seed.on(&line)
    };
    for (app, file) in [
        ("blog", "/mnt/data/blog_ghost/index.html"),
        ("traefik", "/mnt/data/traefik/acme.json"),
        ("monitoring", "/mnt/data/monitoring_prometheus/"),
    ] {
        let held = listed(app);
        assert!(held.contains(file), "{app}: {held}");
    }
}

/// Broken and restored; removed with its data, and restored.
fn comes_back(seed: &Seed) {
    seed.on("echo broken >/mnt/data/blog_ghost/index.html");
    seed.run(&["restore", "blog", "--yes"]);
    seed.shows_the_post();
    seed.run(&["restore", "forget", "blog", "--yes"]);
    seed.run(&["remove", "blog", "--volume", "blog_ghost", "--yes"]);
    seed.on("[ ! -e /mnt/data/blog_ghost/index.html ]");
    seed.run(&["restore", "blog", "--yes"]);
    seed.shows_the_post();
    seed.run(&["restore", "forget", "blog", "--yes"]);
    let plan = seed.run(&["restore", "traefik", "--dry-run"]);
    let stays = "acme.json, which a service mounts by its path, stays as it is";
    assert!(plan.contains(stays), "{plan}");
}

fn updates(seed: &Seed) {
    let to = ["--service", "web", "--to", "1.1", "--yes"];
    seed.run(&[&["update", "blog"][..], &to].concat());
    let image = "docker service inspect blog_web -f '{{.Spec.TaskTemplate.ContainerSpec.Image}}'";
    assert!(seed.on(image).contains("matou/hello:1.1"));
    seed.shows_the_post();
    let told = seed.run(&["adopt", "--all", "--yes"]);
    assert!(told.contains("nothing to do"), "{told}");
}
