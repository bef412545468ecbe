//! What fills the disks of a practice fleet of two, beside what the engine's own client and `du` say; and
//! what cleaning takes away, and leaves.

mod support;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use matou::lab::LabKind;
use serde_json::Value;
use support::{Fleet, matou, ok, said, until};

const FLEET: &str = "room";

const SITE: &str = r"
x-matou: {title: Site}
services:
  web:
    image: matou/hello:VERSION
    volumes: [data:/data]
    healthcheck: {disable: true}
    stop_grace_period: 1s
    deploy: {placement: {constraints: [node.hostname == n1]}}
volumes:
  data: {}
";

/// Builds an image with BuildKit, twice in a row with another tag.
const BUILD: &str = r"set -e; mkdir -p /root/build; cd /root/build
printf 'FROM matou/hello:1.0\nCOPY f /f\n' >Dockerfile; head -c 300000 /dev/urandom >f
tar c Dockerfile f | curl -sf -X POST -H 'Content-Type: application/x-tar' --data-binary @- --unix-socket /run/docker.sock 'http://d/build?version=2&t=waste:1' >/dev/null
docker image inspect waste:1 >/dev/null";

/// What the variable RESTIC_CACHE_DIR is set to on nodes.
const RESTIC_CACHE: &str = "/var/cache/matou/restic";

struct Practice {
    fleet: Fleet,
    config: PathBuf,
    begun: Instant,
}

impl Practice {
    fn new() -> Self {
        let begun = Instant::now();
        let fleet = Fleet::new(FLEET);
        fleet.wait(fleet.lab.up(2, LabKind::Swarm, &|_| {}));
        let config = fleet.config("room.toml", "");
        Self {
            fleet,
            config,
            begun,
        }
    }

    fn part(&self, what: &str) {
        eprintln!("{:6.1} s  {what}", self.begun.elapsed().as_secs_f32());
    }

    fn ok(&self, args: &[&str]) -> String {
        ok(&self.config, args)
    }

    fn n1(&self, line: &str) -> String {
        self.fleet.run("n1", line).trim().to_owned()
    }

    fn deploy(&self, version: &str) {
        let folder = self.config.with_file_name("stacks");
        std::fs::create_dir_all(&folder).expect("a folder");
        let stack = SITE.replace("VERSION", version);
        std::fs::write(folder.join("site.yml"), stack).expect("written");
        self.ok(&["deploy", "site", "site", "--yes"]);
    }

    /// What `matou room` says of n1.
    fn room(&self) -> Value {
        let printed = self.ok(&["room", "n1", "--json"]);
        let nodes: Value = serde_json::from_str(&printed).expect("JSON");
        nodes[0].clone()
    }

    fn has_image(&self, node: &str, image: &str) -> bool {
        let line = format!("docker image inspect {image}");
        self.fleet.try_run(node, &line).status.success()
    }

    /// Bytes that the engine's own client says one kind of thing takes.
    fn engine_size(&self, kind: &str) -> f64 {
        let format = "{{.Type}}={{.Size}}";
        let text = self.n1(&format!("docker system df --format '{format}'"));
        let lead = format!("{kind}=");
        let size = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(&lead));
        parse_size(size.expect("a kind of thing"))
    }
}

/// As Docker's client prints sizes: `1.985MB`.
fn parse_size(text: &str) -> f64 {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let scale = match &text[digits.len()..] {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        other => panic!("{other}"),
    };
    digits.parse::<f64>().expect("a number") * scale
}

fn uses<'a>(room: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let uses = room["uses"].as_array().expect("a list").iter();
    uses.filter(move |one| one["kind"] == kind)
}

fn sum(room: &Value, kinds: &[&str]) -> f64 {
    let uses = kinds.iter().flat_map(|kind| uses(room, kind));
    uses.map(|one| one["bytes"].as_f64().expect("measured"))
        .sum()
}

fn find<'a>(room: &'a Value, kind: &'a str, name: &str) -> &'a Value {
    let found = uses(room, kind).find(|one| one["name"].as_str().is_some_and(|n| n.contains(name)));
    found.unwrap_or_else(|| panic!("no {kind} {name} in {room:#}"))
}

#[test]
fn what_fills_a_disk_is_told_and_what_nobody_needs_goes() {
    let practice = Practice::new();
    practice.part("a fleet of two");
    practice.deploy("1.0");
    fill(&practice);
    practice.part("filled");
    figures_are_those_of_the_engine_and_du(&practice);
    practice.part("figures");
    the_night_cleans_below_the_floor_alone(&practice);
    practice.part("nights");
    what_is_needed_stays(&practice);
    practice.part("cleaned");
    a_rollback_still_works(&practice);
    practice.part("rolled back");
    what_comes_into_use_meanwhile_stays(&practice);
    practice.part("raced");
    a_node_that_is_down_is_told(&practice);
    practice.part("node down");
}

fn fill(practice: &Practice) {
    practice.n1(BUILD);
    practice.n1("docker tag waste:1 waste:2");
    // A container of nobody that ended, one that somebody stopped, one that runs.
    practice.n1("docker run --name ended matou/hello:1.0 sh -c 'head -c 50000 /dev/zero >/y; seq 100000' >/dev/null");
    practice.n1("docker run -d --name stopped --restart unless-stopped matou/hello:1.0 sh -c 'sleep 1d'; docker stop -t0 stopped");
    // As `docker import` makes them: an image of a restore, one that is used.
    practice.n1("cd /root; echo x >x; for name in kept used; do echo $name >>x; tar c x | docker import - $name:1; done");
    practice.n1("docker create --name uses used:1 /x");
    practice.n1("docker volume create orphan; docker run --rm -v orphan:/v matou/hello:1.0 sh -c 'head -c 900000 /dev/urandom >/v/x'");
    // The data folder, with what a container might call its files.
    practice.n1(
        "set -e; cd /mnt/data; mkdir -p site_files .matou/dumps/site .matou/restores/site 'odd
name' other
        head -c 950000 /dev/urandom >site_files/x; ln -s /usr site_files/link; ln -s /usr linked
        head -c 200000 /dev/urandom >.matou/dumps/site/d.sql; head -c 400000 /dev/urandom >.matou/restores/site/x
        head -c 100000 /dev/urandom >'odd
name'/x",
    );
    // What restic keeps of a repository, where matou has it keep that.
    practice.n1(&format!(
        "set -e; mkdir -p {RESTIC_CACHE}/5f0c/index/5f; cd {RESTIC_CACHE}/5f0c; echo 1 >version; head -c 3000000 /dev/urandom >index/5f/x"
    ));
    let manifest = r#"{"app":"site","fleet":"room","time":"2026-11-24T10:00:00Z","volumes":[],"images":[["site_web","kept:1"]]}"#;
    let state = r#"{"app":"site","phase":"restored","begun":"2026-11-24T10:00:00Z","snapshot":"00","snapshot_at":"2026-11-24T10:00:00Z","folder":"/mnt/data/.matou/restores/site","swaps":[],"replicas":[]}"#;
    practice.n1(&format!(
        "cd /mnt/data/.matou; echo '{manifest}' >dumps/site/manifest.json; echo '{state}' >restores/site.json; sync"
    ));
}

fn figures_are_those_of_the_engine_and_du(practice: &Practice) {
    let room = practice.room();
    let images = [
        "image_in_use",
        "image_for_rollback",
        "image_unused",
        "image_shared",
    ];
    for (kind, ours) in [
        ("Images", sum(&room, &images)),
        ("Containers", sum(&room, &["container"])),
        ("Build Cache", sum(&room, &["build_cache"])),
    ] {
        let engine = practice.engine_size(kind);
        let apart = (engine - ours).abs() / engine.max(1.0);
        assert!(apart < 0.01 && engine > 0.0, "{kind}: {engine} {ours}");
    }
    assert_eq!(find(&room, "container", "ended")["bytes"], 50_000);
    let du = |path: &str| {
        let kib = practice.n1(&format!("du -skx {path} | head -1 | cut -f1"));
        kib.parse::<u64>().expect("a number") * 1024
    };
    for (kind, name, path, app) in [
        (
            "volume",
            "orphan",
            "/var/lib/docker/volumes/orphan",
            Value::Null,
        ),
        (
            "volume",
            "site_data",
            "/var/lib/docker/volumes/site_data",
            "site".into(),
        ),
        (
            "volume",
            "site_files",
            "/mnt/data/site_files",
            "site".into(),
        ),
        (
            "dumps",
            "site",
            "/mnt/data/.matou/dumps/site",
            "site".into(),
        ),
        (
            "set_aside",
            "site",
            "/mnt/data/.matou/restores/site",
            "site".into(),
        ),
        // Of all repositories, and so of no application.
        ("restic_cache", "restic's cache", RESTIC_CACHE, Value::Null),
    ] {
        let sizes: Vec<_> = uses(&room, kind).filter(|u| u["name"] == name).collect();
        assert_eq!(sizes.len(), 1, "{kind} {name}: {room:#}");
        assert_eq!(sizes[0]["bytes"], du(path), "{kind} {name}");
        assert_eq!(sizes[0]["app"], app, "{kind} {name}");
    }
    let cache = &find(&room, "restic_cache", "")["bytes"];
    let size = cache.as_u64().expect("measured");
    assert!((3_000_000..3_200_000).contains(&size), "{size}");
    // What has an odd name is one of others; what a link leads to is nobody's.
    assert_eq!(
        find(&room, "volume", "others")["bytes"],
        du("'/mnt/data/odd\nname'")
    );
    assert!(!room.to_string().contains("linked"), "{room:#}");
    let id = practice.n1("docker inspect -f '{{.Id}}' ended");
    let log = format!("/var/lib/docker/containers/{id}/{id}-json.log");
    assert_eq!(find(&room, "container_log", "ended")["bytes"], du(&log));
    let log = find(&room, "container_log", "site_web");
    assert_eq!(log["app"], "site");
    let df = practice.n1("df -Pk /var/lib/docker | tail -1");
    let total = df.split_whitespace().nth(1).expect("a total");
    let total = total.parse::<u64>().expect("a number") * 1024;
    let systems = room["file_systems"].as_array().expect("a list");
    let engine = systems.iter().find(|f| f["mount"] == "/var/lib/docker");
    assert_eq!(engine.expect("its file system")["total"], total);
    let text = practice.ok(&["room"]);
    for told in ["volumes ", "build cache ", "n2 ", "free of", "the rest"] {
        assert!(text.contains(told), "{told}:\n{text}");
    }
}

/// What is kept of a node on the storage node.
fn kept(practice: &Practice, node: &str) -> Value {
    let text = practice.n1(&format!("cat /mnt/data/.matou/sizes/{node}.json"));
    serde_json::from_str(&text).expect("JSON")
}

/// What the nights do: above the floor they measure, below it they clean, once, and what is not reached is an alert.
fn the_night_cleans_below_the_floor_alone(practice: &Practice) {
    let with_floor = |floor: &str| {
        let more = format!("[room]\nfloor = \"{floor}\"\n");
        practice.fleet.config(
            &format!("floor-{}.toml", floor.trim_end_matches('%')),
            &more,
        )
    };
    let (low, high) = (with_floor("1%"), with_floor("90%"));
    // Nobody names this image before it is deployed.
    practice.n1("docker create --name holds matou/hello:1.1");
    // The figures of the day before, of a volume that was smaller.
    let mut before = kept(practice, "n1");
    let sample = &mut before["samples"][0];
    let site = sample["volumes"]["site_files"]["bytes"]
        .as_u64()
        .expect("measured");
    sample["volumes"]["site_files"]["bytes"] = (site - 100_000).into();
    let at: jiff::Timestamp = sample["at"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time");
    let day_before = at - jiff::SignedDuration::from_hours(24);
    sample["at"] = day_before.to_string().into();
    practice.n1(&format!(
        "cat >/mnt/data/.matou/sizes/n1.json <<'E'\n{before}\nE"
    ));

    let told = ok(&low, &["room", "--night"]);
    assert!(
        told.contains("n1: measured") && told.contains("n2: measured"),
        "{told}"
    );
    assert!(!told.contains("cleaned"), "{told}");
    assert!(practice.has_image("n1", "waste:1"));
    let sizes = kept(practice, "n1");
    assert_eq!(
        sizes["samples"].as_array().expect("a list").len(),
        2,
        "{sizes}"
    );
    assert!(
        sizes["night"].is_string() && sizes["clean"].is_null(),
        "{sizes}"
    );
    let done = ok(&low, &["room", "--night", "--unless-done"]);
    assert!(
        done.contains("another manager was done with all nodes"),
        "{done}"
    );

    // What grew by a hundred kilobytes in a day does seven times that in a week.
    let room = practice.room();
    let week = find(&room, "volume", "site_files")["bytes_a_week"]
        .as_i64()
        .expect("known");
    assert!((650_000..=750_000).contains(&week), "{week}");
    let status = practice.ok(&["status", "--json"]);
    let status: Value = serde_json::from_str(&status).expect("JSON");
    let volumes = status["sizes"]["value"]["volumes"]
        .as_array()
        .expect("a list");
    let ours = volumes
        .iter()
        .find(|v| v["name"] == "site_files")
        .expect("the volume");
    assert_eq!(
        (ours["node"].as_str(), ours["app"].as_str()),
        (Some("n1"), Some("site"))
    );
    assert_eq!(ours["bytes"].as_u64(), Some(site), "{ours}");

    let out = matou(&high, &["room", "--night"]);
    let told = said(&out);
    assert_eq!(out.status.code(), Some(1), "{told}");
    for line in [
        "n1: - container ended, which has ended",
        "n1: - image waste:1, waste:2 (",
        "n1: = stays: container stopped: somebody stopped it",
        "STILL BELOW the floor",
    ] {
        assert!(told.contains(line), "{line}:\n{told}");
    }
    assert!(!practice.has_image("n1", "waste:1"));
    for image in ["matou/hello:1.0", "kept:1", "used:1"] {
        assert!(practice.has_image("n1", image), "{image}");
    }
    assert!(practice.n1("docker volume ls -q").contains("orphan"));
    let checked = said(&matou(&high, &["check"]));
    assert!(checked.contains("n1: disk of /"), "{checked}");
    assert!(checked.contains("after the nightly cleaning"), "{checked}");
    let images = practice.n1("docker image ls -aq | sort");
    let again = said(&matou(&high, &["room", "--night"]));
    assert!(again.contains("nothing to do"), "{again}");
    assert_eq!(practice.n1("docker image ls -aq | sort"), images);
    // With another floor it is over.
    ok(&low, &["room", "--night"]);
    let checked = said(&matou(&low, &["check"]));
    assert!(!checked.contains("nightly cleaning"), "{checked}");
    a_budget_is_told(practice);
    practice.n1("docker rm holds");
    // What was cleaned is there again for what comes now.
    practice.n1(BUILD);
    practice.n1("docker tag waste:1 waste:2; docker run --name ended matou/hello:1.0 true");
}

/// A budget of which most is taken is an alert, and no task is replaced for it.
fn a_budget_is_told(practice: &Practice) {
    let tasks = practice.n1("docker service ps -q site_web | sort");
    let plan = practice.ok(&["budget", "site", "1MB", "--enforce", "--dry-run"]);
    assert!(plan.contains("org.matou.budget"), "{plan}");
    practice.ok(&["budget", "site", "1MB", "--yes"]);
    assert_eq!(practice.n1("docker service ps -q site_web | sort"), tasks);
    let checked = said(&matou(&practice.config, &["check"]));
    assert!(checked.contains("of its budget of"), "{checked}");
    let again = practice.ok(&["budget", "site", "1MB", "--yes"]);
    assert!(again.ends_with("nothing to do\n"), "{again}");
    practice.ok(&["budget", "site", "none", "--yes"]);
    let checked = said(&matou(&practice.config, &["check"]));
    assert!(!checked.contains("of its budget of"), "{checked}");
    let wrong = matou(&practice.config, &["budget", "site", "much", "--yes"]);
    assert!(!wrong.status.success(), "{}", said(&wrong));
}

fn what_is_needed_stays(practice: &Practice) {
    practice.deploy("1.1");
    let dead = "docker ps -aq --filter status=exited --filter label=com.docker.swarm.task.id";
    until(Duration::from_secs(60), || {
        let found = practice.n1(dead);
        (!found.is_empty()).then_some(()).ok_or(found)
    });
    let before = practice.n1("docker system df -v");
    let plan = practice.ok(&["clean", "--dry-run"]);
    assert_eq!(practice.n1("docker ps -aq | wc -l"), "5", "{before}");
    for told in [
        "n1: - container ended, which has ended",
        "n1: - container site_web.1.",
        "n1: - image waste:1, waste:2 (",
        "n1: - build cache: ",
        "n1: = stays: container stopped: somebody stopped it",
        "a rollback of site_web needs it",
        "undoing the restore of site may need it",
        "n1: = stays: image used:1 (",
        "`--volume n1:orphan` removes it",
    ] {
        assert!(plan.contains(told), "{told}:\n{plan}");
    }
    practice.ok(&["clean", "--yes"]);
    for image in ["matou/hello:1.0", "matou/hello:1.1", "kept:1", "used:1"] {
        assert!(practice.has_image("n1", image), "{image}");
    }
    for image in ["waste:1", "waste:2"] {
        assert!(!practice.has_image("n1", image), "{image}");
    }
    let names = practice.n1("docker ps -a --format '{{.Names}}' | sed 's/[.].*//' | sort | xargs");
    assert_eq!(names, "site_web stopped uses");
    assert!(practice.engine_size("Build Cache") < 1.0);
    assert!(practice.n1("docker volume ls -q").contains("orphan"));
    let again = practice.ok(&["clean", "--yes"]);
    assert!(again.ends_with("nothing to do\n"), "{again}");
    // What is mounted does not go, not even by name.
    let out = matou(
        &practice.config,
        &["clean", "--volume", "n1:site_data", "--yes"],
    );
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    practice.n1("docker volume inspect site_data");
    practice.ok(&["clean", "n1", "--volume", "n1:orphan", "--yes"]);
    assert!(!practice.n1("docker volume ls -q").contains("orphan"));
    let again = practice.ok(&["clean", "n1", "--volume", "n1:orphan", "--yes"]);
    assert!(again.contains("volume orphan is not there"), "{again}");
}

fn a_rollback_still_works(practice: &Practice) {
    practice.ok(&["rollback", "site_web", "--yes"]);
    let image = "{{.Spec.TaskTemplate.ContainerSpec.Image}}";
    let image = practice.n1(&format!("docker service inspect -f '{image}' site_web"));
    assert!(image.starts_with("matou/hello:1.0"), "{image}");
    let running = "docker ps --filter ancestor=matou/hello:1.0 --format '{{.Names}}'";
    until(Duration::from_secs(60), || {
        let found = practice.n1(running);
        found.contains("site_web").then_some(()).ok_or(found)
    });
}

/// A container is made of the last of many images while the first are being removed.
fn what_comes_into_use_meanwhile_stays(practice: &Practice) {
    practice.n1(
        "cd /root; for i in $(seq 100 180); do echo $i >x; tar c x | docker import - many:$i; done",
    );
    let mut cleaning = Command::new(env!("CARGO_BIN_EXE_matou"))
        .arg("--config")
        .arg(&practice.config)
        .args(["clean", "n1", "--yes"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("matou starts");
    let lines = BufReader::new(cleaning.stdout.take().expect("its output")).lines();
    let mut told = Vec::new();
    for line in lines {
        let line = line.expect("a line");
        if line.contains("is removed") && !told.iter().any(|t: &String| t.contains("is removed")) {
            practice.n1("docker create --name late many:180 /x");
        }
        told.push(line);
    }
    let ended = cleaning.wait().expect("it ends");
    let told = told.join("\n");
    assert!(ended.success(), "{told}");
    assert!(told.contains("image many:180 stays: "), "{told}");
    assert!(practice.has_image("n1", "many:180"));
    assert!(!practice.has_image("n1", "many:100"));
    assert!(!practice.has_image("n1", "many:179"));
}

fn a_node_that_is_down_is_told(practice: &Practice) {
    practice.fleet.kill("n2");
    practice.n1("docker tag kept:1 more:1; docker run --name over matou/hello:1.0 true");
    let out = matou(&practice.config, &["room"]);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(
        text.contains("n1  ") && text.contains("images in use"),
        "{text}"
    );
    let n2 = text.lines().find(|line| line.starts_with("n2 "));
    assert!(n2.is_some_and(|line| !line.contains("free of")), "{text}");
    let out = matou(&practice.config, &["clean", "--yes"]);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("n1: - container over"), "{text}");
    assert!(text.contains("n2: "), "{text}");
    let left = practice.n1("docker ps -a --format '{{.Names}}'");
    assert!(!left.contains("over"), "{left}");
}
