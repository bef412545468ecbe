//! What is known of images, beside a real registry that has them, and real containers that run them.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use serde_json::{Value, json};
use support::registry::{Registry, free_port};
use support::{Fleet, databases, matou, ok, said, until};

/// Facts about an image of the operator's own.
fn facts(image: &str, tag: &str, lines: &str) -> String {
    format!(
        "[[image]]\nname = \"{image}\"\ntag = \"{tag}\"\nread_from = [\"own\"]\nread_on = 2026-11-28\n{lines}\n"
    )
}

#[test]
fn facts_are_held_against_what_a_real_registry_has() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path();
    let registry = Registry::start(folder, free_port(), "");
    let host = format!("127.0.0.1:{}", registry.port);
    let shop = json!({"Entrypoint": ["/entry"], "Cmd": ["serve", "-p", "80"], "User": "0",
        "WorkingDir": "/", "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Volumes": {"/data": {}}});
    registry.push_image("team/shop", &["1"], "arm64 amd64", &shop);
    let odd =
        json!({"Entrypoint": ["/other"], "Cmd": null, "User": "nobody", "WorkingDir": "/app"});
    registry.push_image("team/odd", &["1"], "amd64", &odd);

    let stacks = folder.join("stacks");
    std::fs::create_dir(&stacks).expect("made");
    let known = "entrypoint = [\"/entry\"]\ncommand = [\"serve\", \"-p\", \"80\"]\nports = [\"53/udp\", \"80/tcp\"]\nvolumes = [\"/data\"]\narchitectures = [\"amd64\", \"arm64\"]\n";
    let mut text = String::new();
    for name in ["shop", "odd", "lost"] {
        text += &facts(&format!("{host}/team/{name}"), "1", known);
    }
    std::fs::write(stacks.join("images.toml"), text).expect("written");
    let stack = |name: &str, images: &[&str]| {
        let services: String = images
            .iter()
            .enumerate()
            .map(|(i, image)| format!("  s{i}: {{image: '{host}/team/{image}:1'}}\n"))
            .collect();
        let text = format!("services:\n{services}");
        std::fs::write(stacks.join(format!("{name}.yml")), text).expect("written");
    };
    stack("shop", &["shop"]);
    stack("all", &["shop", "odd", "lost", "new"]);
    let config = folder.join("config.toml");
    std::fs::write(&config, "[[nodes]]\nname = \"n1\"\nrole = \"manager\"\n").expect("written");
    let run = |args: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_matou"))
            .arg("--config")
            .arg(&config)
            .args(["catalogue", "facts"])
            .args(args)
            .env("XDG_STATE_HOME", folder.join("state"))
            .output()
            .expect("matou starts");
        (out.status.code(), said(&out))
    };
    let (code, said) = run(&["shop", "--check"]);
    assert_eq!(
        (code, said.trim()),
        (Some(0), format!("{host}/team/shop:1: as known").as_str())
    );
    let (code, said) = run(&["all", "--check"]);
    let at = |line: &str| line.replace("HOST", &host);
    assert_eq!(code, Some(1), "{said}");
    for line in [
        "HOST/team/shop:1: as known\n",
        "HOST/team/new:1: nothing is known of it\n",
        "HOST/team/odd:1: entrypoint is [\"/other\"] in its registry, not [\"/entry\"]\n",
        "HOST/team/odd:1: command is [] in its registry, not [\"serve\", \"-p\", \"80\"]\n",
        "HOST/team/odd:1: user is \"nobody\" in its registry, not \"\"\n",
        "HOST/team/odd:1: workdir is \"/app\" in its registry, not \"/\"\n",
        "HOST/team/odd:1: volumes is {} in its registry, not {\"/data\"}\n",
        "HOST/team/odd:1: architectures is {\"amd64\"} in its registry, not {\"amd64\", \"arm64\"}\n",
        "HOST/team/lost:1: the registry HOST has no repository team/lost",
    ] {
        assert!(said.contains(&at(line)), "{line}\n{said}");
    }
    let (_, said) = run(&["all", "--check", "--json"]);
    let checks: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(checks.as_array().expect("a list").len(), 4);
    let (code, said) = run(&["all"]);
    assert!(
        code == Some(0) && said.contains("  entrypoint   /entry\n"),
        "{said}"
    );

    // What a registry sends is what was asked for.
    let blobs = sha_folders(&folder.join("data"));
    for file in blobs {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if text.contains("\"architecture\":\"amd64\"") {
            std::fs::write(&file, text.replace("/entry", "/evil!")).expect("written");
        }
    }
    let (code, said) = run(&["shop", "--check"]);
    assert!(code == Some(1) && !said.contains("/evil!"), "{said}");
}

/// The files in which a registry keeps what it got.
fn sha_folders(data: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in data.read_dir().expect("a folder").flatten() {
        match entry.path() {
            folder if folder.is_dir() => found.extend(sha_folders(&folder)),
            file if file.ends_with("data") => found.push(file),
            _ => {}
        }
    }
    found
}

/// A tunnel by which a node reaches a registry of this machine under the address that this machine has
/// it at.
struct Tunnel(Child);

impl Tunnel {
    fn open(fleet: &Fleet, node: &str, port: u16) -> Self {
        let config = fleet.lab.config_path();
        let beside = |name: &str| config.with_file_name(name).display().to_string();
        let forward = format!("127.0.0.1:{port}:127.0.0.1:{port}");
        let ssh = support::server("ssh")
            .args(["-N", "-o", "ExitOnForwardFailure=yes", "-R", &forward])
            .args(["-i", &beside("id_ed25519"), "-o"])
            .arg(format!("UserKnownHostsFile={}", beside("known_hosts")))
            .arg(format!("root@{}", fleet.address(node)))
            .spawn()
            .expect("ssh");
        let tunnel = Self(ssh);
        until(std::time::Duration::from_secs(20), || {
            let asked = format!("bash -c '</dev/tcp/127.0.0.1/{port}'");
            let out = fleet.try_run(node, &asked);
            out.status.success().then_some(()).ok_or_else(|| said(&out))
        });
        tunnel
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A site with files, and notes in a real PostgreSQL.
const SHOP: &str = r"
x-matou:
  variables:
    - {name: IMAGE, default: HOST/shop:1.0.0}
  secrets:
    - {name: db_password, length: 24, keep: true}
  backup:
    dumps:
      - {service: db, engine: postgresql, database: notes, user: notes, secret: db_password, file: /var/lib/postgresql/data/matou-dump.sql}
services:
  web:
    image: ${IMAGE:-HOST/shop:1.0.0}
    volumes: ['files:/www/data']
    healthcheck: {test: [CMD, wget, -q, -O, /dev/null, 'http://127.0.0.1:8080/health'], interval: 3s, start_period: 3s}
  db:
    image: HOST/databases:1
    environment: {ENGINE: postgresql, DB_USER: notes, DB_NAME: notes, DB_PASSWORD_FILE: /run/secrets/db_password}
    secrets: [db_password]
    volumes: ['db:/var/lib/postgresql/data']
    stop_signal: SIGINT
    healthcheck: {disable: true}
    deploy: {endpoint_mode: dnsrr}
volumes:
  files: {}
  db: {}
secrets:
  db_password: {external: true}
";

/// An application whose code is in its volume.
const OWN_CODE: &str = r"
x-matou:
  variables:
    - {name: TO, default: '2.0'}
  update:
    how: it fetches its code itself
    service: web
    command: ID
    version: cat /www/data/version
services:
  web:
    image: matou/hello:1.0
    entrypoint: [sh, -c, '[ -e /www/data/version ] || echo 1.0 >/www/data/version; exec /start']
    volumes: ['code:/www/data']
    healthcheck: {test: [CMD, wget, -q, -O, /dev/null, 'http://127.0.0.1:8080/health'], interval: 3s, start_period: 3s}
volumes:
  code: {}
";

/// Its version rises; an update that fails half-way, or is interrupted, leaves its data as it was.
fn updates_itself(fleet: &Fleet, config: &PathBuf) {
    let file = config.with_file_name("own.yml");
    let stack = |command: &str| {
        std::fs::write(&file, OWN_CODE.replace("ID", command)).expect("written");
    };
    let version = || {
        fleet
            .run("n1", "cat /mnt/data/own_code/version")
            .trim()
            .to_owned()
    };
    stack("echo 2.0 >/www/data/version; echo fetched");
    ok(config, &["deploy", &file.to_string_lossy(), "own", "--yes"]);
    let listed = said(&matou(config, &["update", "own"]));
    assert!(
        listed.contains("own says itself that it is 1.0\n  it fetches its code itself: `matou update own --itself`"),
        "{listed}"
    );
    let plan = ok(config, &["update", "own", "--itself", "--dry-run"]);
    assert!(
        plan.contains("own") && plan.contains("1.0") && version() == "1.0",
        "{plan}"
    );
    let text = ok(config, &["update", "own", "--itself", "--yes"]);
    assert!(
        text.contains("fetched") && text.contains("own was 1.0 and is 2.0"),
        "{text}"
    );
    assert_eq!(version(), "2.0");

    stack("echo half >/www/data/version; rm -f /www/data/kept; exit 3");
    fleet.run("n1", "echo kept >/mnt/data/own_code/kept");
    let out = matou(config, &["update", "own", "--itself", "--yes"]);
    let text = said(&out);
    assert!(
        !out.status.success()
            && text.contains("ended with exit code 3")
            && text.contains("as it is now: `matou restore own --snapshot ")
            && text.contains("its data is as it was before the update"),
        "{text}"
    );
    assert_eq!(version(), "2.0");
    fleet.run("n1", "[ -e /mnt/data/own_code/kept ]");

    // What the failed one left stands in the way of putting data back.
    let plan = said(&matou(config, &["update", "own", "--itself", "--yes"]));
    assert!(plan.contains("`matou restore forget own`"), "{plan}");
    assert_eq!(version(), "2.0");
    ok(config, &["restore", "forget", "own", "--yes"]);

    // Interrupted while it works.
    stack("echo half >/www/data/version; sleep 600");
    let mut running = begin(config, &["update", "own", "--itself", "--yes"]);
    running.comes_to("half", &version);
    let ended = Command::new("kill")
        .args(["-INT", &running.child.id().to_string()])
        .status();
    assert!(ended.expect("kill").success());
    assert_eq!(running.child.wait().expect("it ends").code(), Some(130));
    assert_eq!(version(), "2.0");
    ok(config, &["restore", "forget", "own", "--yes"]);

    cut_off(fleet, config, &stack, &version);
    ok(config, &["erase", "own", "--yes"]);
}

/// Starts a command in the background; what it says is kept beside `config`.
fn begin(config: &Path, args: &[&str]) -> Begun {
    let log = config.with_file_name("begun.log");
    let file = std::fs::File::create(&log).expect("made");
    let child = Command::new(env!("CARGO_BIN_EXE_matou"))
        .arg("--config")
        .arg(config)
        .args(args)
        .stdout(file.try_clone().expect("one more"))
        .stderr(file)
        .spawn()
        .expect("matou starts");
    Begun { child, log }
}

/// A command that runs, and the file that has what it said of its work.
struct Begun {
    child: Child,
    log: PathBuf,
}

impl Begun {
    /// Waits until `version` is `at` while the command runs.
    fn comes_to(&mut self, at: &str, version: &dyn Fn() -> String) {
        until(std::time::Duration::from_secs(300), || {
            let now = version();
            if now.trim() == at {
                return Ok(());
            }
            let log = || std::fs::read_to_string(&self.log).unwrap_or_default();
            if let Some(status) = self.child.try_wait().expect("asked") {
                panic!("{status} before {at}: {now}\n{}", log());
            }
            Err(format!("{now}\n{}", log()))
        });
    }
}

/// matou is killed while the application works on itself, twice: the snapshot of before is named until an
/// update has ended, or its data is back.
fn cut_off(fleet: &Fleet, config: &PathBuf, stack: &dyn Fn(&str), version: &dyn Fn() -> String) {
    let update = ["update", "own", "--itself", "--yes"];
    let killed_at = |at: &str| {
        stack(&format!("echo {at} >/www/data/version; sleep 600"));
        let mut running = begin(config, &update);
        running.comes_to(at, version);
        running.child.kill().expect("killed");
        running.child.wait().expect("it ends");
    };
    killed_at("once");
    let told = |plan: &str| {
        let line = plan.lines().find(|l| l.contains("was cut off"));
        let line = line.unwrap_or_else(|| panic!("{plan}"));
        let id = line
            .split("--snapshot ")
            .nth(1)
            .and_then(|l| l.split('`').next());
        id.expect("a snapshot").to_owned()
    };
    let dry = ["update", "own", "--itself", "--dry-run"];
    let before = told(&ok(config, &dry));
    killed_at("twice");
    // Still that of before the first one.
    assert_eq!(told(&ok(config, &dry)), before);
    ok(config, &["restore", "own", "--snapshot", &before, "--yes"]);
    assert_eq!(version(), "2.0");
    let marks = fleet.run("n1", "ls /mnt/data/.matou/updates");
    assert_eq!(marks.trim(), "", "what is back is told as half updated");
    ok(config, &["restore", "forget", "own", "--yes"]);
    stack("echo 3.0 >/www/data/version");
    let text = ok(config, &update);
    assert!(text.contains("own was 2.0 and is 3.0"), "{text}");
    let plan = ok(config, &dry);
    assert!(!plan.contains("was cut off"), "{plan}");
    let marks = fleet.run("n1", "ls /mnt/data/.matou/updates");
    assert_eq!(marks.trim(), "");
    support::fault(
        "images",
        "matou is killed while an application updates itself, twice",
        "the next plan names the snapshot of before the first; restored, and updated in the end",
    );
}

/// An application whose image writes its code into its volume when it starts. Where it is slow, so is its
/// health check, so that a test sees it at work.
const COPIED_CODE: &str = r"
x-matou:
  variables:
    - {name: IMAGE, default: HOST/shop:1.0.0}
  update:
    how: a newer image writes its code into the volume
    service: web
    version: cat /www/data/version
services:
  web:
    image: ${IMAGE:-HOST/shop:1.0.0}
    entrypoint: [sh, -ec, 'cd /www/data; v=$$(cat /version); [ $$v = 1.0 ] || { echo half >version; rm -f kept; [ ! -e slow ] || sleep 600; [ -e good ]; }; echo $$v >version; exec /start']
    volumes: ['code:/www/data']
    healthcheck: {test: '[ ! -e /www/data/slow ] || sleep 20; wget -q -O /dev/null http://127.0.0.1:8080/health', interval: 3s, start_period: 3s}
    deploy: {update_config: {order: stop-first, failure_action: ACTION, monitor: 5s}}
volumes:
  code: {}
";

/// When a newer image fails, is interrupted or can't run, image, file and data are what they were before;
/// the data is not touched where no container of the newer image has run.
fn goes_back_whole(fleet: &Fleet, config: &PathBuf, host: &str) {
    let file = config.with_file_name("copied.yml");
    let stack = |action: &str| {
        let text = COPIED_CODE.replace("HOST", host).replace("ACTION", action);
        std::fs::write(&file, text).expect("written");
    };
    let version = || fleet.run("n1", "cat /mnt/data/copied_code/version");
    let expect_earlier = |when: &str| {
        assert_eq!(version().trim(), "1.0", "{when}");
        fleet.run("n1", "[ -e /mnt/data/copied_code/kept ]");
        until(std::time::Duration::from_secs(120), || {
            let runs = fleet.run(
                "n1",
                "docker ps --no-trunc --format '{{.Image}}' -f name=copied_web",
            );
            let earlier = runs.contains("shop:1.0.0");
            earlier.then_some(()).ok_or(format!("{when}: {runs}"))
        });
        let filed = config.with_file_name("apps").join("copied.toml");
        let filed = std::fs::read_to_string(filed).expect("a file");
        assert!(!filed.contains("shop:1."), "{when}: {filed}");
    };
    stack("rollback");
    ok(
        config,
        &["deploy", &file.to_string_lossy(), "copied", "--yes"],
    );
    fleet.run("n1", "echo kept >/mnt/data/copied_code/kept");
    let plan = ok(config, &["update", "copied", "--to", "1.1.0", "--dry-run"]);
    assert!(plan.contains("a snapshot of copied"), "{plan}");
    expect_earlier("planned");

    // By the engine, and by matou where the engine only stops.
    for action in ["rollback", "pause"] {
        stack(action);
        ok(config, &["redeploy", "copied", "--yes"]);
        let text = said(&matou(
            config,
            &["update", "copied", "--to", "1.1.0", "--yes"],
        ));
        assert!(
            text.contains("its data is as it was before the update"),
            "{action}: {text}"
        );
        expect_earlier(action);
        ok(config, &["restore", "forget", "copied", "--yes"]);
    }

    let text = said(&matou(
        config,
        &["update", "copied", "--to", "1.2.0", "--yes"],
    ));
    assert!(text.contains("its data was not touched"), "{text}");
    until(std::time::Duration::from_secs(60), || {
        let runs = fleet.run("n1", "docker ps -q -f name=copied_web -f health=healthy");
        (!runs.trim().is_empty()).then_some(()).ok_or(runs)
    });
    expect_earlier("for another machine");

    fleet.run("n1", "touch /mnt/data/copied_code/slow");
    let mut running = begin(config, &["update", "copied", "--to", "1.1.0", "--yes"]);
    running.comes_to("half", &version);
    let ended = Command::new("kill")
        .args(["-INT", &running.child.id().to_string()])
        .status();
    assert!(ended.expect("kill").success());
    assert_eq!(running.child.wait().expect("it ends").code(), Some(130));
    expect_earlier("interrupted");
    ok(config, &["restore", "forget", "copied", "--yes"]);

    fleet.run("n1", "cd /mnt/data/copied_code; rm slow; touch good");
    ok(config, &["update", "copied", "--to", "1.1.0", "--yes"]);
    assert_eq!(version().trim(), "1.1");
    ok(config, &["erase", "copied", "--yes"]);
}

/// Two services that each add their version to the volume when they start. A newer image of the second one ends as soon
/// as that of the first one has written.
const PAIR: &str = r"
x-matou:
  update:
    how: newer images write into the volume
    service: front
    version: tail -n 1 /www/data/front
services:
  front:
    image: HOST/front:1.0.0
    entrypoint: [sh, -ec, 'cat /version >>/www/data/front; exec /start']
    volumes: ['data:/www/data']
    healthcheck: {test: [CMD, wget, -q, -O, /dev/null, 'http://127.0.0.1:8080/health'], interval: 2s, start_period: 2s}
    stop_grace_period: 1s
    deploy: {update_config: {order: stop-first, failure_action: rollback, monitor: 5s}}
  back:
    image: HOST/back:1.0.0
    entrypoint: [sh, -ec, 'cat /version >>/www/data/back; [ $$(cat /version) = 1.0 ] || { until grep -q 1.1 /www/data/front; do sleep 1; done; exit 3; }; exec /start']
    volumes: ['data:/www/data']
    healthcheck: {test: [CMD, wget, -q, -O, /dev/null, 'http://127.0.0.1:8080/health'], interval: 2s, start_period: 60s}
    stop_grace_period: 1s
    deploy: {update_config: {order: stop-first, failure_action: rollback, monitor: 5s}}
volumes:
  data: {}
";

/// One update gives two services newer images, of which one comes up and the other does not: both go back, with what
/// they have written.
fn go_back_together(fleet: &Fleet, config: &PathBuf, host: &str) {
    let begun = std::time::Instant::now();
    let file = config.with_file_name("pair.yml");
    std::fs::write(&file, PAIR.replace("HOST", host)).expect("written");
    ok(
        config,
        &["deploy", &file.to_string_lossy(), "pair", "--yes"],
    );
    let written = || {
        let list = "cd /mnt/data/pair_data; for f in front back kept; do sort -u $f; done";
        fleet.run("n1", list)
    };
    fleet.run("n1", "echo kept >/mnt/data/pair_data/kept");
    assert_eq!(written(), "1.0\n1.0\nkept\n");
    let out = matou(config, &["update", "pair", "--to", "newest", "--yes"]);
    let text = said(&out);
    assert!(
        !out.status.success() && text.contains("its data is as it was before the update"),
        "{text}"
    );
    // Both had run with the newer one: what they wrote is kept aside.
    let aside = fleet.run(
        "n1",
        "grep -r -l -x -F 1.1 /mnt/data --include=front --include=back",
    );
    assert!(
        aside.contains("/front\n") && aside.contains("/back\n"),
        "{aside}\n{text}"
    );
    assert_eq!(written(), "1.0\n1.0\nkept\n");
    let specs = fleet.run(
        "n1",
        "docker service inspect -f '{{.Spec.TaskTemplate.ContainerSpec.Image}}' pair_front pair_back",
    );
    assert!(
        specs.contains("/front:1.0.0")
            && specs.contains("/back:1.0.0")
            && !specs.contains(":1.1.0"),
        "{specs}\n{text}"
    );
    until(std::time::Duration::from_secs(60), || {
        let list = "docker ps --no-trunc --format '{{.Image}}' -f name=pair_ -f health=healthy";
        let runs = fleet.run("n1", list);
        let earlier = runs.contains("/front:1.0.0")
            && runs.contains("/back:1.0.0")
            && !runs.contains(":1.1.0");
        earlier.then_some(()).ok_or(runs)
    });
    let filed = config.with_file_name("apps").join("pair.toml");
    let filed = std::fs::read_to_string(filed).expect("a file");
    assert!(!filed.contains(":1.1.0"), "{filed}");
    ok(config, &["restore", "forget", "pair", "--yes"]);
    ok(config, &["erase", "pair", "--yes"]);
    eprintln!("two images go back: {} s", begun.elapsed().as_secs());
}

#[test]
fn a_stack_is_tried_with_what_a_registry_has() {
    let fleet = Fleet::with_shared_data("try", 1);
    databases::image(&fleet, "n1");
    let dir = tempfile::tempdir().expect("a folder");
    let registry = Registry::start(dir.path(), free_port(), "");
    let host = format!("127.0.0.1:{}", registry.port);
    let _tunnel = Tunnel::open(&fleet, "n1", registry.port);
    for (from, to) in [
        ("matou/hello:1.0", "shop:1.0.0"),
        ("matou/hello:1.1", "shop:1.1.0"),
        (databases::IMAGE, "databases:1"),
        ("matou/hello:1.0", "front:1.0.0"),
        ("matou/hello:1.1", "front:1.1.0"),
        ("matou/hello:1.0", "back:1.0.0"),
        ("matou/hello:1.1", "back:1.1.0"),
    ] {
        let push = format!("docker tag {from} {host}/{to} && docker push -q {host}/{to}");
        fleet.run("n1", &push);
    }
    // What is pulled comes from the registry.
    fleet.run(
        "n1",
        &format!("docker rmi {host}/shop:1.0.0 {host}/shop:1.1.0 {host}/databases:1"),
    );

    let config = fleet.config(
        "try.toml",
        "[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n",
    );
    support::private(&config.with_file_name("restic-password"), "correct horse\n");
    ok(&config, &["repo", "init", "--yes"]);
    let stacks = config.with_file_name("stacks");
    std::fs::create_dir_all(&stacks).expect("made");
    std::fs::write(stacks.join("shop.yml"), SHOP.replace("HOST", &host)).expect("written");
    let image = format!("{host}/shop");
    let database = facts(
        &format!("{host}/databases"),
        "1",
        "entrypoint = [\"/begin\"]\ncommand = []\narchitectures = [\"amd64\"]\nprograms = [\"sh\", \"psql\", \"/begin\"]\nprocess = \"postgres\"\n",
    );
    let known = |lines: &str| {
        let all = facts(&image, "1.0.0", lines) + &database;
        std::fs::write(stacks.join("images.toml"), all).expect("written");
    };
    let reports = dir.path().join("reports");
    let into = reports.display().to_string();
    let run = || {
        let out = matou(&config, &["catalogue", "try", "shop", "--into", &into]);
        let text = std::fs::read_to_string(reports.join("shop.json")).expect("a report");
        let report: Value = serde_json::from_str(&text).expect("JSON");
        (out.status.code(), said(&out), report)
    };
    let outcome = |report: &Value, step: &str| {
        let steps = report["steps"].as_array().expect("steps").clone();
        let found = steps.into_iter().find(|s| s["name"] == step);
        let found = found.unwrap_or_else(|| panic!("no {step}: {report:#}"));
        let text = |key: &str| found[key].as_str().expect("a text").to_owned();
        (text("outcome"), text("said"))
    };

    // What is known is wrong: an entrypoint, a program, a process, a platform.
    known(
        "entrypoint = [\"/entry.sh\"]\ncommand = [\"/start\"]\narchitectures = [\"amd64\", \"arm64\"]\nprograms = [\"sh\", \"wget\", \"curl\", \"/start\", \"/stop\"]\nprocess = \"nginx\"\n",
    );
    let (code, text, report) = run();
    assert_eq!(code, Some(1), "{text}");
    let (failed, why) = outcome(&report, "facts");
    assert!(
        failed == "failed"
            && why.contains("entrypoint is [], not [\"/entry.sh\"]")
            && why.contains("architectures is {\"amd64\"}, not {\"amd64\", \"arm64\"}")
            && !why.contains("databases"),
        "{why}"
    );
    let (failed, why) = outcome(&report, "programs");
    let wrong = [
        "has no program curl",
        "has no program /stop",
        "runs no process nginx",
    ];
    let all = wrong.map(|w| format!("{image}:1.0.0 {w}"));
    assert!(failed == "failed" && why == all.join("; "), "{why}");
    for step in [
        "deploy", "write", "back up", "destroy", "restore", "look", "update", "erase",
    ] {
        assert_eq!(outcome(&report, step).0, "passed", "{step}: {text}");
    }

    // It is right.
    known(
        "entrypoint = []\ncommand = [\"/start\"]\narchitectures = [\"amd64\"]\nprograms = [\"sh\", \"wget\", \"/start\"]\nprocess = \"httpd\"\n",
    );
    let (code, text, report) = run();
    assert_eq!(code, Some(0), "{text}");
    let written = "a file in try-shop_files, a row in the database of db";
    assert_eq!(outcome(&report, "write").1, written);
    let page = std::fs::read_to_string(reports.join("shop.md")).expect("a report");
    assert!(
        page.contains("Nothing failed.")
            && page.contains("| look | passed |")
            && page.contains("what was written is there"),
        "{page}"
    );
    // Nothing is left of it, in the swarm and in the repository.
    let left = fleet.run(
        "n1",
        "docker service ls -q; docker volume ls -q; docker secret ls -q",
    );
    assert_eq!(left.trim(), "");
    assert!(!ok(&config, &["snapshots"]).contains("try-shop"));

    updates_itself(&fleet, &config);
    let foreign = json!({"Entrypoint": ["/start"], "Cmd": null, "User": "", "WorkingDir": "/"});
    registry.push_image("shop", &["1.2.0"], "arm64 s390x", &foreign);
    goes_back_whole(&fleet, &config, &host);
    go_back_together(&fleet, &config, &host);

    // A fleet that somebody relies on is left alone.
    let copy = dir.path().join("config.toml");
    std::fs::copy(&config, &copy).expect("copied");
    let out = matou(&copy, &["catalogue", "try", "shop"]);
    let text = said(&out);
    assert!(
        !out.status.success() && text.contains("no configuration of a practice fleet"),
        "{text}"
    );
    let out = matou(&config, &["catalogue", "try", "shop", "--set", "IMAGINE=1"]);
    assert!(
        said(&out).contains("no stack that is tried has a variable IMAGINE"),
        "{}",
        said(&out)
    );
}
