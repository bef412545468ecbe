//! Scheduled jobs of an application on a practice fleet of three servers. Three programs look for what is due as the
//! timers of managers do: every minute's job runs once, while its task moves, while who runs it is killed, while its
//! node dies, and while clocks are wrong by an hour. What ran is what the command itself wrote into a volume.
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

use jiff::Timestamp;
use serde_json::Value;
use support::cached::made_once;
use support::edge::sh;
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
      command: [sh, /tick]
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
    configs: [{source: tick, target: /tick}]
    volumes: ['trace:/trace']
    healthcheck: {disable: true}
    deploy: {placement: {constraints: [node.hostname == n2]}}
configs:
  tick: {file: ./tick}
volumes:
  trace: {}
secrets:
  token: {}
"#;

/// Says each second that it runs, under a name of its own: what is killed is seen to have ended too.
const TICK: &str = r#"#!/bin/sh
id=$(cat /proc/sys/kernel/random/uuid)
say() { echo "$id $(date +%s) $1" >>/trace/tick; }
say begin; echo "begin $id"
for second in 1 2 3 4 5 6 7 8; do sleep 1; say beat; done
say end; echo end
"#;

/// The folder of the volume, which all nodes share.
const TRACE: &str = "/mnt/data/clock_trace/tick";

/// A clock that is wrong: Debian's libfaketime, and by how much.
type WrongClock = (PathBuf, &'static str);

/// What a manager's timer does, over and over.
struct Manager {
    stop: Arc<AtomicBool>,
    pid: Arc<std::sync::Mutex<Option<u32>>>,
    thread: Option<JoinHandle<()>>,
}

impl Manager {
    fn start(config: &Path, turn: u32, clock: Option<WrongClock>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let pid: Arc<std::sync::Mutex<Option<u32>>> = Arc::default();
        let thread = std::thread::spawn({
            let (config, stop, pid) = (config.to_owned(), Arc::clone(&stop), Arc::clone(&pid));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut child = begin_look(&config, turn, clock.as_ref());
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

fn begin_look(config: &Path, turn: u32, clock: Option<&WrongClock>) -> Child {
    let mut look = Command::new(env!("CARGO_BIN_EXE_matou"));
    if let Some((library, by)) = clock {
        // What it waits for takes as long as ever.
        look.env("LD_PRELOAD", library)
            .env("FAKETIME", by)
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
    look.arg("--config")
        .arg(config)
        .args(["jobs", "--due", "--turn", &turn.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started")
}

/// A run as its command wrote it down.
#[derive(Debug)]
struct Trace {
    id: String,
    /// When it began, seconds since 1970. No container's clock is changed.
    begun: i64,
    /// Whether it came to its end.
    ended: bool,
}

struct World {
    fleet: Fleet,
    config: PathBuf,
    begun: Instant,
}

impl World {
    fn open() -> Self {
        let begun = Instant::now();
        let fleet = Fleet::with_shared_data(FLEET, 3);
        let config = fleet.config("jobs.toml", "");
        let folder = config.with_file_name("stacks");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("clock.yml"), STACK).expect("written");
        std::fs::write(folder.join("tick"), TICK).expect("written");
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

    /// What the commands wrote down, in the order in which they did. A line of a run after one of another would
    /// say that both were at work.
    fn traces(&self) -> Vec<Trace> {
        let text = self.fleet.run("n1", &format!("cat {TRACE}"));
        let mut found: Vec<Trace> = Vec::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [id, second, what] = words[..] else {
                panic!("{line:?} in\n{text}");
            };
            if what == "begin" {
                found.push(Trace {
                    id: id.to_owned(),
                    begun: second.parse().expect("a number"),
                    ended: false,
                });
                continue;
            }
            let last = found.last_mut().filter(|last| last.id == id);
            let last = last.unwrap_or_else(|| panic!("two at a time: {line:?} in\n{text}"));
            assert!(!last.ended, "{line:?} in\n{text}");
            last.ended = what == "end";
        }
        found
    }

    /// Waits for one more command that is at work; returns what it calls itself.
    fn wait_for_running(&self) -> String {
        let before = self.traces().len();
        let mut running = None;
        until(Duration::from_secs(150), || {
            let mut traces = self.traces();
            let more = traces.len() > before;
            running = traces.pop().filter(|last| more && !last.ended);
            let told = || format!("{traces:?} {:?}", self.runs("tick"));
            running.is_some().then_some(()).ok_or_else(told)
        });
        running.expect("it was waited for").id
    }

    /// A command that was cut off never came to its end.
    fn assert_cut(&self, id: &str) {
        let traces = self.traces();
        let found: Vec<&Trace> = traces.iter().filter(|t| t.id == id).collect();
        assert!(found.len() == 1 && !found[0].ended, "{id}: {traces:#?}");
    }

    /// What is remembered and what the commands wrote down are the same: no time was taken twice; what is said to
    /// be done was done, once and whole; what else ran was cut off, and is remembered as one run.
    fn assert_once(&self) {
        let before = self.runs("tick");
        let traces = self.traces();
        let runs = self.runs("tick");
        let due: Vec<&str> = runs.iter().filter_map(|r| r["due"].as_str()).collect();
        let mut once = due.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(due, once, "in order, none twice");
        for done in before.iter().filter(|r| r["state"] == "done") {
            let id = id_of(done).unwrap_or_else(|| panic!("{done}"));
            let found: Vec<&Trace> = traces.iter().filter(|t| t.id == id).collect();
            assert!(found.len() == 1 && found[0].ended, "{done}: {traces:#?}");
        }
        let known: Vec<&str> = runs.iter().filter_map(id_of).collect();
        let is_known = |t: &&Trace| known.contains(&t.id.as_str());
        // The oldest are not remembered for ever.
        let traces = traces.iter().skip_while(|t| !is_known(t));
        let others: Vec<&Trace> = traces.filter(|t| !is_known(t)).collect();
        // Of those nobody heard what they call themselves.
        let unheard = runs.iter().filter(|r| id_of(r).is_none()).count();
        assert!(others.len() <= unheard, "{others:#?} {runs:#?}");
        assert!(!known.is_empty(), "{runs:#?}");
    }

    /// None began before its time. Where clocks are right.
    fn assert_in_time(&self) {
        let traces = self.traces();
        let mut seen = 0;
        for run in self.runs("tick") {
            let id = id_of(&run);
            let Some(trace) = traces.iter().find(|t| Some(t.id.as_str()) == id) else {
                continue;
            };
            let second = |key: &str| {
                let time: Timestamp = run[key].as_str()?.parse().expect("a time");
                Some(time.as_second())
            };
            let begun = second("begun").expect("it began");
            assert!(second("due") <= Some(begun), "{run}");
            // The time is noted before the command begins, which takes as long as the machine needs.
            let late = trace.begun - begun;
            assert!((0..120).contains(&late), "{late}: {run} {trace:?}");
            seen += 1;
        }
        assert!(seen > 0, "{traces:#?}");
    }

    /// Writes the stack with another place for its task, and deploys it.
    fn place(&self, constraint: &str) {
        let stack = self.config.with_file_name("stacks").join("clock.yml");
        let moved = STACK
            .replace("node.hostname == n2", constraint)
            .replace("exit 3", "exit 0");
        std::fs::write(&stack, moved).expect("written");
        ok(&self.config, &["redeploy", "clock", "--yes"]);
    }

    /// Runs a line on n1 as matou does, in a session of sshd.
    fn ssh(&self, line: &str) -> String {
        let folder = self.config.parent().expect("a folder");
        let out = Command::new("ssh")
            .arg("-i")
            .arg(folder.join("id_ed25519"))
            .arg("-o")
            .arg(format!(
                "UserKnownHostsFile={}",
                folder.join("known_hosts").display()
            ))
            .arg(format!("root@{}", self.fleet.address("n1")))
            .arg(line)
            .output()
            .expect("ssh");
        assert!(out.status.success(), "{line}: {}", said(&out));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Sets the clock of n1, which keeps the jobs' times: every program that a session begins there from now on has
    /// it. The machine's own clock, which all containers share, stays, and so does that of sshd itself.
    fn set_clock(&self, by: &str) {
        self.fleet.run("n1", &format!("echo {by} >/etc/faketimerc"));
        let there = self.ssh("date +%s");
        let there: i64 = there.trim().parse().expect("a number");
        let shift = there - Timestamp::now().as_second();
        let wanted = match by {
            "+1h" => 3600,
            "-1h" => -3600,
            _ => 0,
        };
        assert!((shift - wanted).abs() < 30, "{by}: {shift} s");
    }

    /// Nothing runs for more than two minutes.
    fn assert_silent(&self) {
        // What runs may end, and what has the time of before may begin.
        std::thread::sleep(Duration::from_secs(70));
        let before = self.traces().len();
        std::thread::sleep(Duration::from_secs(130));
        let traces = self.traces();
        assert_eq!(traces.len(), before, "{traces:#?}");
    }
}

/// What the command of a run calls itself, where somebody heard it.
fn id_of(run: &Value) -> Option<&str> {
    run["output"][0].as_str()?.strip_prefix("begin ")
}

fn count(runs: &[Value], state: &str) -> usize {
    runs.iter().filter(|r| r["state"] == state).count()
}

#[test]
#[ignore = "minutes: make test-long"]
fn each_time_is_taken_once() {
    let world = World::open();
    world.part("deployed");
    let mut managers: Vec<Manager> = (0..3)
        .map(|n| Manager::start(&world.config, n, None))
        .collect();
    by_hand(&world);
    world.part("by hand");
    world.wait_for_done(2, 200);
    let runs = world.runs("tick");
    let minutes: Vec<&str> = runs.iter().filter_map(|r| r["due"].as_str()).collect();
    assert!(minutes.iter().all(|m| m.ends_with(":00Z")), "{minutes:?}");
    assert!(runs.iter().all(|r| r["node"] == "n2"), "{runs:?}");
    assert!(
        runs.iter()
            .all(|r| r["state"] != "done" || (id_of(r).is_some() && r["output"][1] == "end")),
        "{runs:?}"
    );
    world.assert_once();
    world.assert_in_time();
    world.part("two minutes");
    a_failure_is_told(&world);
    world.part("alert");
    killed_manager(&world, &mut managers);
    world.part("killed");
    // All three again.
    for (n, manager) in (0..).zip(&mut managers) {
        manager.kill();
        *manager = Manager::start(&world.config, n, None);
    }
    killed_node(&world);
    world.part("its node died");
    drop(managers);
    wrong_clocks(&world);
    world.part("wrong clocks");
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
    let cut = world.wait_for_running();
    // One of the first two in turn has it; then the task moves.
    managers[..2].iter_mut().for_each(Manager::kill);
    world.place("node.hostname == n3");
    world.wait_for_done(1, 200);
    let runs = world.runs("tick");
    assert_eq!(runs.last().expect("a run")["node"], "n3", "{runs:?}");
    assert_eq!(count(&runs, "lost"), 1, "{runs:?}");
    world.assert_cut(&cut);
    world.assert_once();
    world.assert_in_time();
}

/// The node of the task dies in a run: that run is cut off and not repeated, and the next ones are elsewhere.
fn killed_node(world: &World) {
    // n1 keeps what is remembered.
    world.place("node.hostname != n1");
    world.wait_for_done(1, 200);
    let cut = world.wait_for_running();
    let runs = world.runs("tick");
    let run = runs.last().expect("a run");
    assert_eq!(run["state"], "running", "{runs:?}");
    let node = run["node"].as_str().expect("a node");
    world.fleet.kill(node);
    // The swarm makes another task when it has missed the node for a while.
    world.wait_for_done(2, 400);
    let runs = world.runs("tick");
    let same = runs.iter().find(|r| r["due"] == run["due"]);
    let same = same.expect("it is remembered");
    assert_eq!(same["state"], "lost", "{runs:?}");
    let done = runs.iter().rfind(|r| r["state"] == "done").expect("one");
    assert_ne!(done["node"], node, "{runs:?}");
    world.assert_cut(&cut);
    world.assert_once();
    // It comes back, and goes on with nothing.
    world.fleet.wait(world.fleet.lab.start_node(node));
    let state = format!("docker node inspect -f '{{{{.Status.State}}}}' {node}");
    until(Duration::from_secs(120), || {
        let state = world.fleet.run("n1", &state);
        (state.trim() == "ready").then_some(()).ok_or(state)
    });
    world.wait_for_done(2, 250);
    world.assert_cut(&cut);
    world.assert_once();
    world.assert_in_time();
}

/// Debian's libfaketime, out of its package: nothing is installed on this machine.
fn fake_clock() -> PathBuf {
    made_once("libfaketimeMT.so.1", |part| {
        let folder = tempfile::tempdir().expect("a folder");
        let take = r#"cd "$1"; apt-get download -qq libfaketime
            dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards '*/libfaketimeMT.so.1'
            mv "$(find . -name libfaketimeMT.so.1)" "$2""#;
        let (from, to) = (folder.path().to_string_lossy(), part.to_string_lossy());
        sh(take, &[&from, &to]);
    })
}

/// Clocks go wrong by an hour, and are set right: that of n1, which keeps the jobs' times, backward and forward, while
/// those of all who look for what is due are wrong all the time. What was run is not run again.
fn wrong_clocks(world: &World) {
    let library = fake_clock();
    let folder = world.config.parent().expect("a folder");
    sh(
        "ssh -i \"$1/id_ed25519\" -o UserKnownHostsFile=\"$1/known_hosts\" \"root@$2\" \
         'cat >/usr/local/lib/libfaketimeMT.so.1 && chmod 755 /usr/local/lib/libfaketimeMT.so.1 && echo +0 >/etc/faketimerc' <\"$3\"",
        &[
            &folder.to_string_lossy(),
            &world.fleet.address("n1"),
            &library.to_string_lossy(),
        ],
    );
    world.fleet.run(
        "n1",
        "echo 'SetEnv LD_PRELOAD=/usr/local/lib/libfaketimeMT.so.1' >/etc/ssh/sshd_config.d/00-clock.conf; systemctl reload ssh",
    );
    world.set_clock("+0");
    let wrong = ["+1h", "-1h", "+1h"];
    let managers: Vec<Manager> = (0..)
        .zip(wrong)
        .map(|(n, by)| Manager::start(&world.config, n, Some((library.clone(), by))))
        .collect();
    world.wait_for_running();
    // Who holds the job's lock says since when, by a clock of its own.
    let since = world.fleet.run(
        "n1",
        "grep -h -A 1 -F 'job tick of clock' /run/matou/locks/job-* | grep UTC",
    );
    for line in since.lines() {
        let since = line.trim_end_matches(" UTC").replace(' ', "T") + "Z";
        let since: Timestamp = since.parse().expect("a time");
        let shift = since.as_second() - Timestamp::now().as_second();
        assert!((3000..4200).contains(&shift.abs()), "{line}");
    }
    world.wait_for_done(1, 200);
    world.assert_once();
    world.part("clocks of managers");

    // Its times were taken already.
    world.set_clock("-1h");
    world.assert_silent();
    world.assert_once();
    world.set_clock("+0");
    world.wait_for_done(2, 250);
    world.assert_once();
    world.part("backward and right");

    // Of those that were skipped, one run is for the newest.
    let before = world.traces().len();
    world.set_clock("+1h");
    world.wait_for_done(2, 300);
    let more = world.traces().len() - before;
    assert!(more < 30, "{more} runs for an hour that was skipped");
    world.assert_once();
    world.set_clock("+0");
    world.assert_silent();
    world.assert_once();
    world.part("forward and right");
    drop(managers);
    let right = "rm /etc/ssh/sshd_config.d/00-clock.conf /etc/faketimerc; systemctl reload ssh";
    world.fleet.run("n1", right);
}
