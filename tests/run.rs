//! `matou run` on a practice fleet of two servers: the task runs on the other one than the manager that is
//! asked. What it prints and how it ends is compared with the engine's own `docker exec` there; what it
//! leaves in the container is looked at with `ps`.
//!
//! One fleet for all of it, in the order below.

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use matou::lab::LabKind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::pty::Pty;
use support::{Fleet, matou, ok, said, until};

const FLEET: &str = "runs";

const SOON: Duration = Duration::from_secs(40);

/// Two services, of which the stack names one for commands.
const SHOP: &str = r"
x-matou:
  title: Shop
  run: web
services:
  web:
    image: matou/hello:1.0
    deploy: {placement: {constraints: [node.hostname == n2]}}
    healthcheck: {disable: true}
  db:
    image: matou/hello:1.0
    healthcheck: {disable: true}
";

struct World {
    fleet: Fleet,
    config: PathBuf,
    container: String,
    begun: Instant,
}

impl World {
    fn open() -> Self {
        let begun = Instant::now();
        let fleet = Fleet::new(FLEET);
        fleet.wait(fleet.lab.up(2, LabKind::Swarm, &|_| {}));
        let config = fleet.config("run.toml", "");
        let folder = config.with_file_name("stacks");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("shop.yml"), SHOP).expect("written");
        let other = SHOP.replace("  run: web\n", "");
        std::fs::write(folder.join("plain.yml"), other).expect("written");
        ok(&config, &["deploy", "shop", "shop", "--yes"]);
        ok(&config, &["deploy", "plain", "plain", "--yes"]);
        ok(&config, &["deploy", "hello", "one", "REPLICAS=1", "--yes"]);
        let find = "docker ps -q --no-trunc --filter label=com.docker.swarm.service.name=shop_web";
        let mut container = String::new();
        until(SOON, || {
            fleet.run("n2", find).trim().clone_into(&mut container);
            let one = container.len() == 64;
            one.then_some(()).ok_or(container.clone())
        });
        Self {
            fleet,
            config,
            container,
            begun,
        }
    }

    fn part(&self, what: &str) {
        eprintln!("{:>5.0} s  {what}", self.begun.elapsed().as_secs_f32());
    }

    /// Runs a command in shop_web with matou.
    fn run(&self, options: &[&str], command: &[&str]) -> Output {
        matou(&self.config, &run_line(options, command))
    }

    /// Runs it with the engine's own client, on the node of the task.
    fn exec(&self, options: &[&str], command: &[&str]) -> Output {
        let mut words = vec!["exec", "docker", "exec"];
        words.extend(options);
        words.push(&self.container);
        words.extend(command);
        self.fleet.try_run("n2", &matou::host::quote_args(words))
    }

    fn assert_as_exec(&self, options: &[&str], command: &[&str]) {
        let ours = self.run(options, command);
        let theirs = self.exec(options, command);
        let of = |out: &Output| {
            let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
            (out.status.code(), text(&out.stdout), text(&out.stderr))
        };
        assert_eq!(of(&ours), of(&theirs), "{options:?} {command:?}");
    }

    /// The processes of the container, as `ps` there lists them, whose line has `mark`.
    fn processes(&self, mark: &str) -> Vec<String> {
        let list = format!("docker exec {} ps -o pid,args", self.container);
        let text = self.fleet.run("n2", &list);
        assert!(text.contains("PID"), "{text}");
        let lines = text.lines().filter(|l| l.contains(mark));
        lines.map(str::to_owned).collect()
    }

    fn wait_until_there(&self, mark: &str, count: usize) {
        until(SOON, || {
            let found = self.processes(mark);
            let there = found.len() == count;
            there.then_some(()).ok_or(format!("{found:?}"))
        });
    }
}

fn run_line<'a>(options: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
    let mut line = vec!["run", "shop"];
    line.extend(options);
    line.push("--");
    line.extend(command);
    line
}

fn begin(config: &Path, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_matou"))
        .arg("--config")
        .arg(config)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started")
}

fn signal(child: &Child, with: Signal) {
    let pid = Pid::from_raw(child.id().try_into().expect("a number"));
    kill(pid, with).expect("sent");
}

#[test]
fn a_command_runs_in_the_container_and_leaves_nothing() {
    let world = World::open();
    as_the_engine_runs_it(&world);
    world.part("as docker exec");
    bytes_pass_unchanged(&world);
    world.part("bytes");
    names_and_refusals(&world);
    world.part("names, refusals");
    nothing_is_left(&world);
    world.part("nothing is left");
    killed_leaves_nothing(&world);
    world.part("killed");
    at_a_terminal(&world);
    world.part("at a terminal");
    is_remembered(&world);
    world.part("journal");
    waits_for_a_restore(&world);
    world.part("locks");
}

fn as_the_engine_runs_it(world: &World) {
    world.assert_as_exec(&[], &["echo", "hello"]);
    let show = "for a; do printf '<%s>' \"$a\"; done; echo $#";
    world.assert_as_exec(
        &[],
        &[
            "sh",
            "-c",
            show,
            "sh",
            "",
            " ",
            "a b",
            "a\nb",
            "'",
            "\"",
            "$HOME",
            "$(id)",
            "`id`",
            "\\",
            "*",
            "é日本",
            "\t",
            "-x",
            "--",
            "\u{1b}[2J",
            "a;b",
            "#",
            "~",
        ],
    );
    for end in ["0", "1", "2", "3", "4", "124", "125", "130", "255"] {
        world.assert_as_exec(
            &[],
            &["sh", "-c", &format!("echo o; echo e >&2; exit {end}")],
        );
    }
    world.assert_as_exec(&[], &["sh", "-c", "kill -9 $$"]);
    world.assert_as_exec(&["--workdir", "/tmp"], &["pwd"]);
    world.assert_as_exec(&["--user", "65534:65533"], &["id"]);
    // Its output is closed long before it ends.
    let closed = world.run(&[], &["sh", "-c", "exec >&- 2>&-; sleep 2; exit 7"]);
    assert_eq!(closed.status.code(), Some(7));
    // What the engine can't start: it is no program, and there is none.
    world.assert_as_exec(&[], &["/etc/passwd"]);
    world.assert_as_exec(&[], &["no-such-program"]);
    assert_eq!(world.run(&[], &["/etc/passwd"]).status.code(), Some(126));
    assert_eq!(world.run(&[], &["nosuch"]).status.code(), Some(127));
    // Without --stdin there is no input.
    world.assert_as_exec(&[], &["cat"]);
    // A value from the operator's environment, which stands on no command line.
    let print = ["sh", "-c", "printf '%s\\n' \"$MATOU_TEST\""];
    let mut line = run_line(&["--env", "MATOU_TEST"], &print);
    line.splice(0..0, ["--config", world.config.to_str().expect("a path")]);
    let out = Command::new(env!("CARGO_BIN_EXE_matou"))
        .args(&line)
        .env("MATOU_TEST", "a 'value'\nof $two lines")
        .output()
        .expect("started");
    assert_eq!(out.stdout, b"a 'value'\nof $two lines\n", "{}", said(&out));
    let out = world.run(&["--env", "MATOU_NO_SUCH"], &["true"]);
    assert_eq!(out.status.code(), Some(125), "{}", said(&out));
    // Beside that, it has what the engine gives it, and the mark.
    let names = |out: Output| {
        let text = String::from_utf8(out.stdout).expect("text");
        let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
        names.retain(|n| !n.starts_with("MATOU_RUN="));
        names.sort();
        names
    };
    assert_eq!(
        names(world.run(&[], &["env"])),
        names(world.exec(&[], &["env"]))
    );
}

/// Three million bytes of every kind, there and back, and both outputs apart.
fn bytes_pass_unchanged(world: &World) {
    let bytes: Vec<u8> = (0..3_000_000_u32)
        .map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).expect("a byte"))
        .collect();
    let line = run_line(&["--stdin"], &["sh", "-c", "tee /dev/stderr"]);
    let mut child = begin(&world.config, &line);
    let mut to = child.stdin.take().expect("piped");
    let writing = std::thread::spawn({
        let bytes = bytes.clone();
        move || to.write_all(&bytes)
    });
    let out = child.wait_with_output().expect("ended");
    writing.join().expect("joined").expect("taken");
    assert!(out.status.success());
    assert!(
        out.stdout == bytes,
        "{} of {}",
        out.stdout.len(),
        bytes.len()
    );
    assert!(out.stderr == bytes, "{}", out.stderr.len());
    // A command that reads no more of its input than it wants.
    let mut child = begin(&world.config, &run_line(&["--stdin"], &["head", "-n", "1"]));
    let mut to = child.stdin.take().expect("piped");
    to.write_all(b"first\nsecond\n").expect("taken");
    let out = child.wait_with_output().expect("ended");
    assert_eq!(out.stdout, b"first\n", "its input has no end yet");
    drop(to);
}

fn names_and_refusals(world: &World) {
    let fails = |args: &[&str], why: &str| {
        let out = matou(&world.config, args);
        let text = said(&out);
        assert_eq!(out.status.code(), Some(125), "{args:?}: {text}");
        assert!(text.contains(why), "{args:?}: {text}");
    };
    // The one that the stack names, the only one, a named one.
    let out = ok(&world.config, &["run", "shop", "--", "hostname"]);
    assert!(world.container.starts_with(out.trim()), "{out}");
    ok(&world.config, &["run", "one", "--", "true"]);
    ok(&world.config, &["run", "plain/db", "--", "true"]);
    fails(&["run", "plain", "--", "true"], "there are db, web");
    fails(
        &["run", "plain/wbe", "--", "true"],
        "no service of plain \"wbe\"; there are db, web",
    );
    fails(&["run", "shp", "--", "true"], "did you mean \"shop\"?");
    fails(
        &["run", "shop", "--user", "nosuchuser", "--", "true"],
        "nosuchuser",
    );
    ok(&world.config, &["scale", "plain_db", "0", "--yes"]);
    // A task that is being stopped can still be entered.
    until(SOON, || {
        let out = matou(&world.config, &["run", "plain/db", "--", "true"]);
        let none =
            out.status.code() == Some(125) && said(&out).contains("no task of plain_db runs");
        none.then_some(()).ok_or(said(&out))
    });
    let out = matou(&world.config, &["--read-only", "run", "shop", "--", "true"]);
    assert_eq!(out.status.code(), Some(2), "{}", said(&out));
    let out = matou(&world.config, &["run", "shop", "true"]);
    assert_eq!(out.status.code(), Some(2), "{}", said(&out));
}

/// A command with a child, one in a session of its own, one without the environment, and one that does not
/// end when it is asked.
const FAMILY: &str = "trap '' TERM; setsid sleep 4711 & env -i sleep 4711 & (trap '' TERM; sleep 4711; sleep 4711) & echo there; sleep 4711; sleep 4711";

fn nothing_is_left(world: &World) {
    let line = |limit: &'static [&'static str]| run_line(limit, &["sh", "-c", FAMILY]);
    for (with, code) in [
        (Signal::SIGINT, 130),
        (Signal::SIGTERM, 143),
        (Signal::SIGHUP, 129),
    ] {
        let child = begin(&world.config, &line(&[]));
        world.wait_until_there("sleep 4711", 6);
        signal(&child, with);
        let out = child.wait_with_output().expect("ended");
        assert_eq!(out.status.code(), Some(code), "{}", said(&out));
        assert_eq!(out.stdout, b"there\n");
        assert_eq!(world.processes("4711"), [""; 0], "{with}");
    }
    let out = matou(&world.config, &line(&["--time-limit", "2s"]));
    assert_eq!(out.status.code(), Some(124), "{}", said(&out));
    assert!(said(&out).contains("longer than --time-limit"));
    assert_eq!(world.processes("4711"), [""; 0]);
    // None goes on with what comes next because another one was ended before it.
    let many = "for i in $(seq 30); do (sleep 4711; echo never) & done; wait; echo never";
    let out = matou(
        &world.config,
        &run_line(&["--time-limit", "2s"], &["sh", "-c", many]),
    );
    assert_eq!(out.status.code(), Some(124), "{}", said(&out));
    assert_eq!(out.stdout, b"", "{}", said(&out));
    assert_eq!(world.processes("4711"), [""; 0]);
    // Who reads the output has gone.
    let mut child = begin(&world.config, &line(&[]));
    world.wait_until_there("sleep 4711", 6);
    drop(child.stdout.take());
    drop(child.stdin.take());
    let talk = begin(
        &world.config,
        &run_line(&[], &["sh", "-c", "while :; do echo 4713; done"]),
    );
    signal(&child, Signal::SIGTERM);
    child.wait().expect("ended");
    let mut talk = talk;
    drop(talk.stdout.take());
    let out = talk.wait_with_output().expect("ended");
    assert_eq!(out.status.code(), Some(141), "{}", said(&out));
    assert_eq!(world.processes("471"), [""; 0]);
    // It asks nobody to end who says himself what is to be ended: the container's own processes stay.
    let still = world.fleet.run(
        "n2",
        &format!(
            "docker inspect -f '{{{{.State.Running}}}}' {}",
            world.container
        ),
    );
    assert_eq!(still.trim(), "true");
}

fn killed_leaves_nothing(world: &World) {
    let mut child = begin(&world.config, &run_line(&[], &["sh", "-c", FAMILY]));
    world.wait_until_there("sleep 4711", 6);
    child.kill().expect("killed");
    child.wait().expect("ended");
    let since = Instant::now();
    world.wait_until_there("4711", 0);
    world.part(&format!("killed: nothing after {:.0?}", since.elapsed()));
    // While it is being started.
    for after in [300, 600, 900, 1200] {
        let mut child = begin(&world.config, &run_line(&[], &["sleep", "4712"]));
        std::thread::sleep(Duration::from_millis(after));
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    // As long as the guard looks for it.
    std::thread::sleep(Duration::from_secs(12));
    world.wait_until_there("4712", 0);
    // No guard stays either.
    until(SOON, || {
        let found = world.fleet.run(
            "n2",
            "ps -e -o args | grep -F MATOU_RUN= | grep -v grep || true",
        );
        found.trim().is_empty().then_some(()).ok_or(found)
    });
    // Who was killed while it held the lock is told to the next one, once.
    ok(&world.config, &run_line(&[], &["true"]));
}

fn at_a_terminal(world: &World) {
    let line = run_line(&[], &["printf", "a\\033]0;x\\007b\\n\\tc\\rd\\n"]);
    let config = world.config.display().to_string();
    let mut args = vec!["--config", &config];
    args.extend(line);
    let program = env!("CARGO_BIN_EXE_matou");
    let mut pty = Pty::start(program, &args, &[], 80, 24);
    assert_eq!(pty.end(SOON), 0);
    pty.wait_for("\\r", SOON);
    let shown = pty.screen();
    assert!(shown.starts_with("a\\x1b]0;x\\x07b\n"), "{shown:?}");
}

fn is_remembered(world: &World) {
    // A journal of its own: other tests write to the operator's.
    let state = tempfile::tempdir().expect("a folder");
    let out = Command::new(env!("CARGO_BIN_EXE_matou"))
        .arg("--config")
        .arg(&world.config)
        .args(run_line(&[], &["sh", "-c", "exit 9", "a-secret-argument"]))
        .env("XDG_STATE_HOME", state.path())
        .output()
        .expect("started");
    assert_eq!(out.status.code(), Some(9), "{}", said(&out));
    let journal =
        std::fs::read_to_string(state.path().join("matou/journal.jsonl")).expect("a journal");
    assert!(!journal.contains("a-secret-argument"), "an argument");
    let last = |record: &str| -> serde_json::Value {
        let wanted = format!("\"record\":\"{record}\"");
        let line = journal.lines().rfind(|l| l.contains(&wanted));
        serde_json::from_str(line.expect("a record")).expect("JSON")
    };
    let (began, ended) = (last("run_started"), last("run_finished"));
    assert!(began["operator"].is_string(), "{began}");
    for record in [&began, &ended] {
        assert_eq!(record["service"], "shop_web", "{record}");
        assert_eq!(record["node"], "n2", "{record}");
        assert_eq!(record["program"], "sh", "{record}");
    }
    assert_eq!(ended["exit"], 9);
}

/// While another job has the application, as a restore does, nothing is run.
fn waits_for_a_restore(world: &World) {
    // The lock as a job holds it, until a file is gone.
    let hold = "mkdir -p -m 700 /run/matou/locks; cd /run/matou/locks; printf 'ana@laptop\\nrestore shop from the newest snapshot\\nnow\\n' >job-test; ln -sfn job-test app-shop; exec 8>>job-test; flock 8; touch /run/held-t; while [ -e /run/held-t ]; do touch job-test; sleep 1; done";
    let mut holding = Command::new(env!("CARGO_BIN_EXE_matou"));
    let mut holding = holding
        .arg("--config")
        .arg(&world.config)
        .args(["shell", "n1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let mut to = holding.stdin.take().expect("piped");
    to.write_all(format!("{hold}\n").as_bytes()).expect("taken");
    drop(to);
    until(SOON, || {
        let look = "[ -e /run/held-t ] && cd /run/matou/locks && ! flock -n app-shop true";
        let out = world.fleet.try_run("n1", look);
        out.status.success().then_some(()).ok_or("no lock".into())
    });
    let out = world.run(&[], &["touch", "/tmp/ran"]);
    assert_eq!(out.status.code(), Some(125), "{}", said(&out));
    assert!(said(&out).contains("restore shop from"), "{}", said(&out));
    let mut waiting = begin(&world.config, &run_line(&["--wait=1"], &["ls", "/tmp/ran"]));
    let mut lines = BufReader::new(waiting.stderr.take().expect("piped")).lines();
    let mut told = lines.next().expect("it waits").expect("text");
    while !told.contains("in use by") {
        told += &lines.next().expect("it waits").expect("text");
    }
    world.fleet.run("n1", "rm /run/held-t");
    let rest: Vec<String> = lines.map(|l| l.expect("text")).collect();
    let ended = waiting.wait().expect("ended");
    // It ran, and there was nothing to list.
    assert!(
        !ended.success() && ended.code() != Some(125),
        "{told} {rest:?}"
    );
    holding.wait().expect("ended");
    // It gives the lock back once the command has begun.
    let mut child = begin(&world.config, &run_line(&[], &["sleep", "4714"]));
    world.wait_until_there("sleep 4714", 1);
    assert!(world.run(&[], &["true"]).status.success());
    signal(&child, Signal::SIGTERM);
    child.wait().expect("ended");
}
