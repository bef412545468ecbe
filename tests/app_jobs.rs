//! Scheduled jobs of an application on a practice fleet of three managers, of which each looks for what is due as
//! its timer does: every minute's job runs once in its minute, while its task moves, while the manager that runs
//! it is killed, and while its node dies. Commands say themselves when they ran, on the task's own node.
//!
//! One fleet for all of it, in the order below.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use matou::lab::LabKind;
use serde_json::Value;
use support::{Fleet, matou, ok, said, until};

const FLEET: &str = "appjobs";

/// A minute's job that takes some seconds, one that fails, one that takes too long, one that is run by hand and
/// prints what nobody should see.
const STACK: &str = r#"
x-matou:
  title: Clock
  secrets:
    - name: token
      length: 24
  jobs:
    - name: tick
      service: web
      command: [sh, -c, 'echo begin; sleep 8; echo end']
      calendar: minutely
      timeout: 30s
    - name: fails
      service: web
      command: [sh, -c, 'printf "\033[31mbroken\033]0;x\007\n"; exit 3']
      calendar: minutely
    - name: slow
      service: web
      command: [sh, -c, 'echo slow; sleep 4720; echo never']
      calendar: 2199-01-01
      timeout: 2s
    - name: secret
      service: web
      command: [sh, -c, 'cat /run/secrets/token; echo; exit 7']
      calendar: 2199-01-01
services:
  web:
    image: matou/hello:1.0
    secrets: [token]
    healthcheck: {disable: true}
    deploy: {placement: {constraints: [node.hostname == n2]}}
secrets:
  token: {}
"#;

/// What a manager's timer does, over and over.
struct Manager {
    stop: Arc<AtomicBool>,
    pid: Arc<std::sync::Mutex<Option<u32>>>,
    thread: Option<JoinHandle<()>>,
}

impl Manager {
    fn start(config: &Path, turn: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let pid: Arc<std::sync::Mutex<Option<u32>>> = Arc::default();
        let thread = std::thread::spawn({
            let (config, stop, pid) = (config.to_owned(), Arc::clone(&stop), Arc::clone(&pid));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut child = begin_look(&config, turn);
                    *pid.lock().expect("a lock") = Some(child.id());
                    let _ = child.wait();
                    *pid.lock().expect("a lock") = None;
                    std::thread::sleep(Duration::from_secs(2));
                }
            }
        });
        Self {
            stop,
            pid,
            thread: Some(thread),
        }
    }

    /// Ends it as a lost manager ends.
    fn kill(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(pid) = *self.pid.lock().expect("a lock") {
            let pid = nix::unistd::Pid::from_raw(pid.try_into().expect("a number"));
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
        if let Some(thread) = self.thread.take() {
            thread.join().expect("joined");
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.kill();
    }
}

fn begin_look(config: &Path, turn: u32) -> Child {
    Command::new(env!("CARGO_BIN_EXE_matou"))
        .arg("--config")
        .arg(config)
        .args(["jobs", "--due", "--turn", &turn.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started")
}

struct World {
    fleet: Fleet,
    config: PathBuf,
    begun: Instant,
}

impl World {
    fn open() -> Self {
        let begun = Instant::now();
        let fleet = Fleet::new(FLEET);
        fleet.wait(fleet.lab.up(3, LabKind::Swarm, &|_| {}));
        let config = fleet.config("jobs.toml", "");
        let folder = config.with_file_name("stacks");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("clock.yml"), STACK).expect("written");
        ok(&config, &["deploy", "clock", "clock", "--yes"]);
        Self {
            fleet,
            config,
            begun,
        }
    }

    fn part(&self, what: &str) {
        eprintln!("{:>5.0} s  {what}", self.begun.elapsed().as_secs_f32());
    }

    fn jobs(&self) -> BTreeMap<String, Value> {
        let out = matou(&self.config, &["jobs", "clock", "--json"]);
        let jobs: Vec<Value> =
            serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(&out)));
        let name = |j: &Value| j["name"].as_str().expect("a name").to_owned();
        jobs.into_iter().map(|j| (name(&j), j)).collect()
    }

    fn runs(&self, job: &str) -> Vec<Value> {
        let jobs = self.jobs();
        jobs[job]["runs"].as_array().expect("runs").clone()
    }

    fn wait_for_done(&self, more: usize, limit: u64) {
        let done = || count(&self.runs("tick"), "done");
        let wanted = done() + more;
        until(Duration::from_secs(limit), || {
            std::thread::sleep(Duration::from_secs(2));
            match done() {
                n if n >= wanted => Ok(()),
                n => Err(format!("{n} of {wanted}: {:?}", self.runs("tick"))),
            }
        });
    }

    /// No time was taken twice, and no run began before another had ended.
    fn assert_once(&self) {
        let runs = self.runs("tick");
        let due: Vec<&str> = runs.iter().filter_map(|r| r["due"].as_str()).collect();
        let mut once = due.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(due, once, "in order, none twice");
    }
}

fn count(runs: &[Value], state: &str) -> usize {
    runs.iter().filter(|r| r["state"] == state).count()
}

#[test]
#[ignore = "minutes: make test-long"]
fn each_time_is_taken_once() {
    let world = World::open();
    world.part("deployed");
    let mut managers: Vec<Manager> = (0..3).map(|n| Manager::start(&world.config, n)).collect();
    by_hand(&world);
    world.part("by hand");
    world.wait_for_done(2, 200);
    let runs = world.runs("tick");
    let minutes: Vec<&str> = runs.iter().filter_map(|r| r["due"].as_str()).collect();
    assert!(minutes.iter().all(|m| m.ends_with(":00Z")), "{minutes:?}");
    assert!(runs.iter().all(|r| r["node"] == "n2"), "{runs:?}");
    assert!(
        runs.iter()
            .all(|r| r["state"] != "done" || r["output"] == serde_json::json!(["begin", "end"])),
        "{runs:?}"
    );
    world.assert_once();
    world.part("two minutes");
    a_failure_is_told(&world);
    world.part("alert");
    killed_manager(&world, &mut managers);
    world.part("killed");
    drop(managers);
    ok(&world.config, &["remove", "clock", "--yes"]);
    let out = matou(&world.config, &["jobs"]);
    assert!(
        said(&out).contains("no application has jobs"),
        "{}",
        said(&out)
    );
    world.part("removed");
}

fn by_hand(world: &World) {
    let out = matou(&world.config, &["run", "clock", "--job", "slow"]);
    assert_eq!(out.status.code(), Some(124), "{}", said(&out));
    let runs = world.runs("slow");
    assert_eq!(runs[0]["state"], "timed-out", "{runs:?}");
    assert_eq!(runs[0]["output"], serde_json::json!(["slow"]));
    let left = world
        .fleet
        .run("n2", "ps -e -o args | grep -c '[s]leep 4720' || true");
    assert_eq!(left.trim(), "0");
    // The secret is what the operator asked for; what is kept has it not.
    let out = matou(&world.config, &["run", "clock", "--job", "secret"]);
    assert_eq!(out.status.code(), Some(7), "{}", said(&out));
    let token = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    assert_eq!(token.len(), 24, "{}", said(&out));
    let listed = said(&matou(&world.config, &["jobs", "clock"]));
    assert!(
        listed.contains("•••") && !listed.contains(&token),
        "{listed}"
    );
    // Where runs are kept, and where they might be. What stands in its place is found in the same way.
    let kept = |word: &str| {
        let look = format!(
            "grep -r -l -F -e {word} /srv /run/matou /var/lib/matou /mnt/data/.matou/jobs 2>/dev/null | grep /jobs/"
        );
        let found = world.fleet.try_run("n1", &look);
        String::from_utf8_lossy(&found.stdout).into_owned()
    };
    assert_eq!(
        kept("•••").trim(),
        "/mnt/data/.matou/jobs/clock/secret.jsonl"
    );
    assert_eq!(kept(&token), "");
    let out = matou(&world.config, &["run", "clock", "--job", "tock"]);
    assert_eq!(out.status.code(), Some(125), "{}", said(&out));
    assert!(said(&out).contains("tick"), "{}", said(&out));
}

fn a_failure_is_told(world: &World) {
    let runs = world.runs("fails");
    let last = runs.iter().rfind(|r| r["state"] == "failed").expect("one");
    assert_eq!(last["exit"], 3);
    let output = last["output"][0].as_str().expect("a line");
    assert!(
        output.contains("broken") && !output.contains('\u{1b}'),
        "{output:?}"
    );
    let alert = |world: &World| {
        let out = matou(&world.config, &["check", "--json"]);
        let report: Value = serde_json::from_slice(&out.stdout).expect("JSON");
        let alerts = report["alerts"].as_array().expect("alerts").clone();
        alerts.into_iter().find(|a| a["what"] == "clock: job fails")
    };
    let told = alert(world).expect("an alert");
    assert!(
        told["why"].as_str().expect("why").contains("exit code 3"),
        "{told}"
    );
    // With a command that works it is over.
    let stack = world.config.with_file_name("stacks").join("clock.yml");
    std::fs::write(&stack, STACK.replace("exit 3", "exit 0")).expect("written");
    ok(&world.config, &["redeploy", "clock", "--yes"]);
    ok(&world.config, &["run", "clock", "--job", "fails"]);
    assert!(alert(world).is_none());
}

/// Who runs a job is killed in it: its node ends the command, and another manager goes on.
fn killed_manager(world: &World, managers: &mut [Manager]) {
    let before = world.runs("tick").len();
    let limit = Duration::from_secs(100);
    until(limit, || {
        let runs = world.runs("tick");
        let last = runs.last().expect("a run");
        match runs.len() > before && last["state"] == "running" {
            true => Ok(()),
            false => Err(format!("{runs:?}")),
        }
    });
    // One of the first two in turn has it; then the task moves.
    managers[..2].iter_mut().for_each(Manager::kill);
    let stack = world.config.with_file_name("stacks").join("clock.yml");
    let moved = STACK
        .replace("hostname == n2", "hostname == n3")
        .replace("exit 3", "exit 0");
    std::fs::write(&stack, moved).expect("written");
    ok(&world.config, &["redeploy", "clock", "--yes"]);
    world.wait_for_done(1, 200);
    let runs = world.runs("tick");
    assert_eq!(runs.last().expect("a run")["node"], "n3", "{runs:?}");
    assert_eq!(count(&runs, "lost"), 1, "{runs:?}");
    world.assert_once();
}
