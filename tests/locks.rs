//! Two operators on one fleet, each with a folder of their own: jobs on one application exclude each
//! other, a lock of the dead is taken, what one deploys stays on the night's list whatever the other
//! has, and one odd name stops nobody.
//!
//! One fleet of one node for all of it, in the order below.

mod support;

use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Fleet, matou, ok, private, said, until};

const FLEET: &str = "lock";

const SHOP: &str = r#"
version: "3.8"
x-matou:
  title: Shop
services:
  web:
    image: matou/hello:1.0
    volumes:
      - files:/data
    deploy:
      endpoint_mode: dnsrr
    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/health"]
      interval: 6s
      timeout: 20s
      retries: 3
volumes:
  files: {}
"#;

const VAULT: &str = r#"
version: "3.8"
x-matou:
  title: An application with a key
  secrets:
    - name: app_key
      help: encrypts what is stored
      length: 40
      keep: true
services:
  web:
    image: matou/hello:1.0
    secrets: [app_key]
    deploy:
      endpoint_mode: dnsrr
secrets:
  app_key: {}
"#;

struct World {
    fleet: Fleet,
    /// Two operators.
    a: PathBuf,
    b: PathBuf,
    begun: Instant,
}

impl World {
    fn open() -> Self {
        let begun = Instant::now();
        let fleet = Fleet::with_shared_data(FLEET, 1);
        let lab = fleet.lab.config_path();
        let lab = lab.parent().expect("a folder").to_owned();
        let more = "[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n";
        let text = std::fs::read_to_string(lab.join("config.toml")).expect("its configuration");
        let operator = |name: &str| {
            let folder = lab.join(name);
            std::fs::create_dir_all(folder.join("stacks")).expect("made");
            for file in ["id_ed25519", "known_hosts"] {
                std::fs::copy(lab.join(file), folder.join(file)).expect("copied");
            }
            std::fs::write(folder.join("stacks/shop.yml"), SHOP).expect("written");
            std::fs::write(folder.join("stacks/vault.yml"), VAULT).expect("written");
            private(&folder.join("restic-password"), "practice-pass-1f0c");
            std::fs::write(folder.join("config.toml"), format!("{text}\n{more}")).expect("written");
            folder.join("config.toml")
        };
        let (a, b) = (operator("ana"), operator("bob"));
        support::backup::repository(&fleet, &a);
        Self { fleet, a, b, begun }
    }

    fn part(&self, what: &str) {
        eprintln!("{:>5.0} s  {what}", self.begun.elapsed().as_secs_f32());
    }

    fn n1(&self, line: &str) -> String {
        self.fleet.run("n1", line).trim().to_owned()
    }

    /// Waits until the lock of an application is held.
    fn locked(&self, app: &str) {
        let look = format!("f=/run/matou/locks/app-{app}; [ -e $f ] && ! flock -n $f true");
        until(Duration::from_secs(30), || {
            let out = self.fleet.try_run("n1", &look);
            out.status.success().then_some(()).ok_or("no lock".into())
        });
    }

    fn replicas(&self) -> String {
        self.n1("docker service inspect -f '{{.Spec.Mode.Replicated.Replicas}}' shop_web")
    }
}

fn begin(config: &Path, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_matou"))
        .arg("--config")
        .arg(config)
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("matou starts")
}

fn end(child: Child) -> (bool, String) {
    let out: Output = child.wait_with_output().expect("it ends");
    (out.status.success(), said(&out))
}

/// Reads until a line has this. Returns what was read, and what is left.
fn read_until(child: &mut Child, part: &str) -> (String, Lines<BufReader<ChildStdout>>) {
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut told = String::new();
    while !told.contains(part) {
        let line = lines.next().unwrap_or_else(|| panic!("{part}: {told}"));
        told += &line.expect("text");
        told.push('\n');
    }
    (told, lines)
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).expect("a process");
    kill(Pid::from_raw(pid), signal).expect("it is there");
}

#[test]
fn two_operators() {
    let w = World::open();
    deploys_at_once(&w);
    ok(&w.a, &["deploy", "shop", "shop", "--yes"]);
    the_second_is_told(&w);
    a_killed_holder(&w);
    a_sleeping_holder(&w);
    a_stale_folder(&w);
    odd_names(&w);
    all_others_wait(&w);
    during_a_restore(&w);
}

/// The value that is kept is the one in use, whoever was first.
fn deploys_at_once(w: &World) {
    w.part("two deploys at once");
    for round in 0..4 {
        let app = format!("vault{round}");
        let args = ["deploy", "vault", &app, "--yes", "--wait"];
        let (a, b) = (begin(&w.a, &args), begin(&w.b, &args));
        let (a, b) = (end(a), end(b));
        assert!(a.0 && b.0, "{}\n{}", a.1, b.1);
        let kept = w.n1(&format!("cat /mnt/data/.matou/secrets/{app}/app_key.v1"));
        let find = format!("docker ps -q --filter name={app}_web | head -n 1");
        let used = w.n1(&format!("docker exec $({find}) cat /run/secrets/{app}_app_key_v1 || docker exec $({find}) cat /run/secrets/app_key"));
        assert!(used.contains(&kept) && kept.len() == 40, "{used}\n{kept}");
        let again = ok(&w.a, &["deploy", "vault", &app, "--yes"]);
        assert!(
            again.contains("nothing to do") && !again.contains("ANOTHER"),
            "{again}"
        );
    }
    // What is kept is compared with what is used.
    w.n1("printf %s another-value-of-forty-characters-or-more >/mnt/data/.matou/secrets/vault0/app_key.v1");
    let plan = ok(&w.a, &["deploy", "vault", "vault0", "--dry-run"]);
    assert!(plan.contains("ANOTHER VALUE IS KEPT"), "{plan}");
    support::fault(
        "locks",
        "two operators deploy at once",
        "the secret that is kept is the one in use",
    );
}

/// Who comes second is told by whom, for what and since when, and never that it is done.
fn the_second_is_told(w: &World) {
    w.part("the second is told");
    let first = begin(&w.a, &["scale", "shop_web", "2", "--yes"]);
    w.locked("shop");
    let begun = Instant::now();
    signal(&first, Signal::SIGSTOP);
    let second = matou(&w.b, &["scale", "shop_web", "3", "--yes"]);
    let text = said(&second);
    assert_eq!(second.status.code(), Some(1), "{text}");
    assert!(
        text.contains("shop is in use by ") && text.contains("(scale shop_web to 2, since "),
        "{text}"
    );
    assert!(
        text.contains("nothing was done") && !text.contains("done in"),
        "{text}"
    );
    let limit = Duration::from_secs(25) * support::patience();
    assert!(begun.elapsed() < limit, "{text}");
    // Another application is nobody's.
    assert!(ok(&w.b, &["scale", "vault1_web", "1", "--yes"]).contains("nothing to do"));
    signal(&first, Signal::SIGCONT);
    let (done, text) = end(first);
    assert!(done, "{text}");
    assert_eq!(w.replicas(), "2");
    // Nothing is left of it.
    assert_eq!(
        w.n1("ls /run/matou/locks; stat -c %a /run/matou/locks"),
        "700"
    );
    support::fault(
        "locks",
        "a job on an application that another works on",
        "told who, what, since when; nothing was done",
    );
}

fn a_killed_holder(w: &World) {
    w.part("a killed holder");
    let mut first = begin(&w.a, &["scale", "shop_web", "4", "--yes"]);
    w.locked("shop");
    first.kill().expect("killed");
    let text = ok(&w.b, &["scale", "shop_web", "2", "--yes"]);
    // Not because it was silent for long.
    let taken = text.split_once("has been silent for ");
    let silent = taken.and_then(|(_, rest)| rest.split_once(" s: it is taken"));
    let silent = silent.and_then(|(seconds, _)| seconds.parse::<u32>().ok());
    assert!(silent.is_some_and(|seconds| seconds < 45), "{text}");
    let _ = first.wait();
    support::fault(
        "locks",
        "the holder of a lock is killed",
        "the next one takes it and says so",
    );
}

/// A laptop that sleeps has lost its lock, and stops when it wakes.
fn a_sleeping_holder(w: &World) {
    w.part("a sleeping holder");
    ok(&w.a, &["scale", "shop_web", "1", "--yes"]);
    let first = begin(&w.a, &["scale", "shop_web", "3", "--yes"]);
    w.locked("shop");
    signal(&first, Signal::SIGSTOP);
    let begun = Instant::now();
    let text = ok(&w.b, &["scale", "shop_web", "2", "--yes", "--wait=3"]);
    assert!(begun.elapsed() > Duration::from_secs(30), "{text}");
    assert!(
        text.contains("it is taken") && text.contains("(scale shop_web to 3"),
        "{text}"
    );
    signal(&first, Signal::SIGCONT);
    let (done, text) = end(first);
    assert!(
        !done && text.contains("the lock of shop was lost"),
        "{text}"
    );
    assert_eq!(w.replicas(), "2");
    support::fault(
        "locks",
        "the machine of a holder sleeps, another takes the lock",
        "the sleeper changes nothing more when it wakes, and takes nothing back; it goes on where nobody took it",
    );
}

/// A folder that lacks another's newest application does not strike it off the night.
fn a_stale_folder(w: &World) {
    w.part("a stale folder");
    let apps = || w.n1("ls /mnt/data/.matou/fleet/apps | grep -v vault");
    assert_eq!(apps(), "shop.toml");
    let plan = ok(&w.b, &["deploy", "vault", "other", "--yes"]);
    assert!(
        plan.contains("shop is another one") || plan.contains("shop is on the storage node alone"),
        "{plan}"
    );
    assert_eq!(apps(), "other.toml\nshop.toml");
    let list = said(&matou(&w.a, &["files"]));
    assert!(
        list.contains("other is on the storage node alone (written by "),
        "{list}"
    );
    ok(&w.a, &["backup", "--all"]);
    assert_eq!(apps(), "other.toml\nshop.toml");
    ok(&w.a, &["files", "--take", "other"]);
    let folder = w.a.parent().expect("a folder");
    assert!(folder.join("apps/other.toml").exists());
    // Only who removes it takes it away.
    ok(&w.b, &["remove", "other", "--yes"]);
    assert_eq!(apps(), "shop.toml");
    let text = ok(&w.a, &["backup", "shop", "--dry-run"]);
    assert!(text.contains("snapshot of shop"), "{text}");
    std::fs::remove_file(folder.join("apps/other.toml")).expect("removed");
    support::fault(
        "locks",
        "an operator's folder lacks another's application",
        "it stays in the list of the night",
    );
}

/// One odd name is one failed item, or is told, and stops no other.
fn odd_names(w: &World) {
    w.part("odd names");
    let folder = w.a.parent().expect("a folder").join("apps");
    for stray in ["._shop.toml", "shop copy.toml"] {
        std::fs::copy(folder.join("shop.toml"), folder.join(stray)).expect("copied");
    }
    let text = ok(&w.a, &["backup", "--all"]);
    assert!(
        text.contains("snapshot") && text.contains("._shop.toml"),
        "{text}"
    );
    w.n1("docker service create -d -q --name odd --label com.docker.stack.namespace='my app' --endpoint-mode dnsrr --mount type=volume,source=odd,target=/data matou/hello:1.0");
    for args in [
        &["backup", "--all"][..],
        &["backup", "--all", "--scheduled"],
    ] {
        let out = matou(&w.a, args);
        let text = said(&out);
        assert_eq!(out.status.code(), Some(1), "{text}");
        assert!(
            text.contains("snapshot") && text.contains("of shop:"),
            "{text}"
        );
        assert!(
            text.contains("my app") && text.contains("NOT backed up"),
            "{text}"
        );
    }
    w.n1("docker service rm odd");
    for stray in ["._shop.toml", "shop copy.toml"] {
        std::fs::remove_file(folder.join(stray)).expect("removed");
    }
    let text = ok(&w.a, &["backup", "--all", "--scheduled", "--json"]);
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    let report = lines.last().expect("the report");
    assert_eq!(report["result"], "done", "{report}");
    assert!(report["apps"].to_string().contains("shop"), "{report}");
    support::fault(
        "locks",
        "stray files in apps/, odd labels of stacks",
        "one failed item at most",
    );
}

/// Whatever else changes an application, or reads it as a whole, is told of who works on it, and does
/// nothing: not one kind of job goes on beside another one.
fn all_others_wait(w: &World) {
    w.part("all others wait");
    ok(&w.b, &["files", "--take", "shop"]);
    let archive = w.a.with_file_name("shop.tar");
    let archive = archive.to_str().expect("a path");
    let others: [&[&str]; 12] = [
        &["redeploy", "shop", "--headers", "off", "--yes"],
        &["update", "shop", "--to", "1.1", "--service", "web", "--yes"],
        &["restart", "shop_web", "--yes"],
        &["rollback", "shop_web", "--yes"],
        &["place", "shop", "n1", "--yes"],
        &["switch", "shop", "--headers", "off", "--yes"],
        &["backup", "shop", "--yes"],
        &["restore", "shop", "--yes"],
        &["restore", "shop", "--path", "/mnt/data/shop_files", "--yes"],
        &["export", "shop", "--into", archive, "--yes"],
        &["remove", "shop", "--yes"],
        &["erase", "shop", "--yes"],
    ];
    // The lock as a job holds it that is heard and never ends.
    w.n1(
        "systemd-run --quiet --unit=holder sh -c 'mkdir -p -m 700 /run/matou/locks; cd /run/matou/locks; \
         printf \"ana@laptop\\nscale shop_web to 3\\nnow\\n\" >job-test; ln -sfn job-test app-shop; \
         exec 8>>job-test; flock 8; while :; do touch job-test; sleep 2; done'",
    );
    w.locked("shop");
    for some in others.chunks(4) {
        let before = w.n1(
            "docker service inspect shop_web; ls /mnt/data/.matou/restores; docker volume ls -q",
        );
        let running: Vec<Child> = some.iter().map(|args| begin(&w.b, args)).collect();
        for (args, child) in some.iter().zip(running) {
            let (done, text) = end(child);
            assert!(
                !done && text.contains("shop is in use by ") && text.contains("(scale shop_web to"),
                "{args:?}: {text}"
            );
            assert!(!text.contains("done in"), "{args:?}: {text}");
        }
        let after = w.n1(
            "docker service inspect shop_web; ls /mnt/data/.matou/restores; docker volume ls -q",
        );
        assert_eq!(after, before, "{some:?}");
    }
    w.n1("systemctl stop holder; rm -f /run/matou/locks/app-shop /run/matou/locks/job-test");
    assert!(!Path::new(archive).exists());
    support::fault(
        "locks",
        "redeploy, update, restart, rollback, place, switch, backup, restore, export, remove, erase while another job works on the application",
        "each told who, what, since when; nothing was done",
    );
}

/// No scale, deploy or backup comes between the renames of a restore.
fn during_a_restore(w: &World) {
    w.part("during a restore");
    ok(&w.a, &["scale", "shop_web", "1", "--yes"]);
    let restore = begin(&w.a, &["restore", "shop", "--yes"]);
    w.locked("shop");
    let scale = begin(&w.b, &["scale", "shop_web", "2", "--yes", "--wait"]);
    let deploy = begin(
        &w.b,
        &["redeploy", "shop", "--headers", "off", "--yes", "--wait"],
    );
    let undo = begin(&w.b, &["restore", "undo", "shop", "--yes"]);
    let backup = matou(&w.b, &["backup", "shop"]);
    let text = said(&backup);
    let (undone, told) = end(undo);
    assert!(!undone, "{told}");
    let (restored, told) = end(restore);
    assert!(restored, "{told}");
    let (deployed, told) = end(deploy);
    assert!(
        deployed && told.contains("shop is in use by") && told.contains("restore shop"),
        "{told}"
    );
    let (scaled, told) = end(scale);
    assert!(
        scaled && told.contains("shop is in use by") && told.contains("restore shop"),
        "{told}"
    );
    // It waited until the restore was done, or it did nothing and says so.
    assert!(text.contains("shop is in use by"), "{text}");
    assert_ne!(
        backup.status.success(),
        text.contains("NOT backed up"),
        "{text}"
    );
    let live = w.n1("stat -c %i /mnt/data/shop_files");
    let inside = w.n1("for c in $(docker ps -q --filter name=shop_web); do docker exec $c stat -c %i /data; done | sort -u");
    assert_eq!(inside, live);
    ok(&w.a, &["restore", "forget", "shop", "--yes"]);

    // One that is planned while the restore is half done waits for it as well. restic writes the
    // snapshot only when it may.
    w.n1(
        "touch /run/held; r=$(command -v restic); mv \"$r\" \"$r.real\"; \
         printf '#!/bin/sh\\ncase \" $* \" in *\" restore \"*) while [ -e /run/held ]; do sleep 0.2; done;; esac\\nexec %s \"$@\"\\n' \"$r.real\" >\"$r\"; \
         chmod 755 \"$r\"",
    );
    let half_restored = || {
        let restore = begin(&w.a, &["restore", "shop", "--yes"]);
        until(Duration::from_secs(60), || {
            let begun = w
                .fleet
                .try_run("n1", "[ -e /mnt/data/.matou/restores/shop.json ]");
            let begun = begun.status.success();
            begun.then_some(()).ok_or("it has not begun".into())
        });
        restore
    };
    let interrupted = "shop: a restore was interrupted";
    let restore = half_restored();
    let out = matou(&w.b, &["check"]);
    let checked = said(&out);
    let looked = matches!(out.status.code(), Some(0 | 1));
    assert!(looked && !checked.contains(interrupted), "{checked}");
    let refused = said(&matou(&w.b, &["scale", "shop_web", "3", "--yes"]));
    assert!(refused.contains("is not at its end"), "{refused}");
    let mut scale = begin(&w.b, &["scale", "shop_web", "3", "--yes", "--wait"]);
    let (mut told, lines) = read_until(&mut scale, "shop is in use by");
    w.n1("rm /run/held");
    let (restored, text) = end(restore);
    assert!(restored, "{text}");
    for line in lines {
        told += &line.expect("text");
    }
    let (scaled, text) = end(scale);
    told += &text;
    assert!(
        scaled && told.contains("is not at its end") && told.contains("shop is in use by"),
        "{told}"
    );
    assert_eq!(w.replicas().trim(), "3");
    ok(&w.a, &["restore", "forget", "shop", "--yes"]);

    // Who sleeps, and finds when he wakes that nobody worked there, goes on.
    w.n1("touch /run/held");
    let restore = half_restored();
    signal(&restore, Signal::SIGSTOP);
    std::thread::sleep(Duration::from_secs(50));
    w.n1("rm /run/held");
    signal(&restore, Signal::SIGCONT);
    let (restored, told) = end(restore);
    assert!(restored, "{told}");
    ok(&w.a, &["restore", "forget", "shop", "--yes"]);

    // Who finds that somebody did takes nothing back, and goes no step further.
    w.n1("touch /run/held");
    let restore = half_restored();
    signal(&restore, Signal::SIGSTOP);
    let undone = ok(&w.b, &["restore", "undo", "shop", "--yes", "--wait=3"]);
    assert!(undone.contains("it is taken"), "{undone}");
    ok(&w.b, &["scale", "shop_web", "2", "--yes"]);
    let look = "docker service inspect shop_web; ls -la /mnt/data/.matou/restores; \
                cat /mnt/data/.matou/restores/*.json; stat -c %i /mnt/data/shop_files";
    let before = w.n1(look);
    w.n1("rm /run/held");
    signal(&restore, Signal::SIGCONT);
    let (restored, told) = end(restore);
    assert!(
        !restored && told.contains("the lock of shop was lost"),
        "{told}"
    );
    assert_eq!(w.n1(look), before);

    // One that nobody works on any more is told.
    w.n1("touch /run/held");
    let restore = half_restored();
    signal(&restore, Signal::SIGKILL);
    end(restore);
    until(Duration::from_secs(60), || {
        let checked = said(&matou(&w.b, &["check"]));
        let told = checked.contains(interrupted);
        told.then_some(()).ok_or(checked)
    });
    w.n1("rm /run/held; r=$(command -v restic); mv \"$r.real\" \"$r\"");
    ok(&w.a, &["restore", "undo", "shop", "--yes"]);
    support::fault(
        "locks",
        "a scale, a backup, a deploy during a restore, or while one is half done",
        "refused, or they wait; never \"done\"",
    );
}
