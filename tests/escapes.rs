//! Whoever has a node, the swarm's API or a container's log writes nothing into the operator's
//! terminal: no byte that a terminal obeys, nothing that reorders or hides text, whatever is asked.
//!
//! One fleet of one node. `MATOU_ESCAPES` names another binary to try: one from before this was so fails.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use support::Fleet;

const FLEET: &str = "esc";

/// The clipboard (OSC 52), and what else a terminal obeys or hides: C1, bidi, fillers, tags, conceal.
const EVIL: &str = r"\033]52;c;UFdO\007\033[2J\033[8m\302\23331m\342\200\256\342\200\213\302\255\330\234\343\205\244\363\240\201\201\rX\033]0;";

const SHOP: &str = r#"
version: "3.8"
x-matou:
  title: Shop
  variables:
    - {name: DOMAIN, type: domain, default: shop.example}
services:
  web:
    image: matou/hello:1.0
    volumes: ['files:/data']
    deploy:
      endpoint_mode: dnsrr
volumes:
  files: {}
"#;

fn binary() -> String {
    std::env::var("MATOU_ESCAPES").unwrap_or_else(|_| env!("CARGO_BIN_EXE_matou").to_owned())
}

fn run(config: &Path, args: &[&str]) -> Output {
    Command::new(binary())
        .arg("--config")
        .arg(config)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("matou starts")
}

/// What a terminal would obey or hide in some bytes; newlines and tabs are neither.
fn forbidden(bytes: &[u8]) -> Option<String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Some("bytes that are no UTF-8: a terminal may take them for C1".into());
    };
    let mut marks = 0;
    let found = text.chars().find(|c| {
        marks = match c {
            '\u{300}'..='\u{36f}' => marks + 1,
            _ => 0,
        };
        marks > 6
            || (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c,
                '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
                | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
    })?;
    let line = text.lines().find(|l| l.contains(found)).unwrap_or(text);
    Some(format!("{found:?} in {line:?}"))
}

struct World {
    fleet: Fleet,
    config: PathBuf,
    begun: Instant,
    /// What came out that should not.
    wrong: Vec<String>,
}

impl World {
    fn open() -> Self {
        let begun = Instant::now();
        let fleet = Fleet::with_shared_data(FLEET, 1);
        let config = fleet.config("escapes.toml", "");
        let stacks = config.with_file_name("stacks");
        std::fs::create_dir_all(&stacks).expect("made");
        std::fs::write(stacks.join("shop.yml"), SHOP).expect("written");
        Self {
            fleet,
            config,
            begun,
            wrong: Vec::new(),
        }
    }

    fn part(&self, what: &str) {
        eprintln!("{:>5.0} s  {what}", self.begun.elapsed().as_secs_f32());
    }

    /// Runs a shell line on the node in which `$e` is the payload.
    fn evil(&self, line: &str) {
        let line = format!("e=$(printf '{EVIL}'); {line}");
        self.fleet.run("n1", &line);
    }

    /// What matou prints, which may fail for reasons of its own.
    fn look(&mut self, args: &[&str]) -> String {
        let config = self.config.clone();
        self.look_with(&config, args)
    }

    fn look_with(&mut self, config: &Path, args: &[&str]) -> String {
        let out = run(config, args);
        for (name, bytes) in [("stdout", &out.stdout), ("stderr", &out.stderr)] {
            if let Some(what) = forbidden(bytes) {
                self.wrong.push(format!("{args:?} on {name}: {what}"));
            }
        }
        String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()
    }
}

#[test]
#[ignore = "two minutes: every command"]
fn a_hostile_fleet_and_every_command_that_reads() {
    let mut w = World::open();
    support::ok(&w.config, &["deploy", "shop", "shop", "--yes"]);
    w.part("deployed");
    make_hostile(&w);
    w.part("hostile");
    plans(&mut w);
    w.part("plans");
    lists(&mut w);
    w.part("lists");
    arguments(&mut w);
    jobs(&mut w);
    w.part("jobs");
    assert!(w.wrong.is_empty(), "{}", w.wrong.join("\n"));
}

fn make_hostile(w: &World) {
    w.evil("docker service update -q -d --label-add \"k$e=x$e\" shop_web; docker node update --label-add \"k$e=v$e\" $(docker node ls -q)");
    w.evil("docker volume create --label \"k$e=v$e\" odd; docker volume create -d local -o type=none -o device=\"/mnt/$e\" -o o=bind odd2");
    w.evil("docker service create -q -d --name evil --no-resolve-image --endpoint-mode dnsrr --label traefik.enable=true --label \"traefik.http.routers.x.rule=Host(\\`a$e.example\\`)\" --container-label \"k$e=v$e\" matou/hello:1.0");
    w.evil("docker service create -q -d --name stacked --no-resolve-image --endpoint-mode dnsrr --label \"com.docker.stack.namespace=my$e\" matou/hello:1.0");
    // A task that can't start says why, with what it was to run.
    w.evil("docker service create -q -d --name broken --no-resolve-image --restart-condition none --endpoint-mode dnsrr --entrypoint \"/no/such$e\" matou/hello:1.0");
    w.evil("docker service create -q -d --name loud --no-resolve-image --endpoint-mode dnsrr --entrypoint sh matou/hello:1.0 -c \"while :; do echo \\\"out $e\\\"; sleep 1; done\"");
    w.evil("logger -t \"tag$e\" \"said $e\" || echo \"said $e\" | systemd-cat -t odd");
    // A node that was broken into says what it likes of its sshd.
    w.fleet.run("n1", &format!("mkdir -p /usr/local/sbin; cat >/usr/local/sbin/sshd <<'S'\n#!/bin/sh\n[ \"$1\" = -T ] && {{ printf 'port 22\\npasswordauthentication yes{EVIL}\\n'; exit 0; }}\nexec /usr/sbin/sshd \"$@\"\nS\nchmod +x /usr/local/sbin/sshd"));
    std::thread::sleep(Duration::from_secs(3));
}

/// The three of the finding, and their JSON.
fn plans(w: &mut World) {
    let plan = w.look(&["redeploy", "shop", "--dry-run"]);
    // It is shown, not left out: the operator sees that something is odd.
    assert!(
        plan.contains("- label of shop_web k\\x1b]52;c;UFdO"),
        "{plan}"
    );
    assert!(plan.contains("=x\\x1b]52;c;UFdO"), "{plan}");
    w.look(&["redeploy", "shop", "--dry-run", "--json"]);
    w.look(&["diff", "shop", "shop"]);
    let plan = w.look(&["provision", "--dry-run", "--only", "sshd"]);
    assert!(
        plan.contains("passwordauthentication: yes\\x1b]52"),
        "{plan}"
    );
    w.look(&["provision", "--dry-run", "--only", "sshd", "--json"]);
    w.look(&[
        "provision",
        "--dry-run",
        "--only",
        "swarm,docker,volumes,names",
    ]);
    let list = w.look(&["certificates"]);
    assert!(list.contains("example"), "{list}");
    w.look(&["certificates", "--json"]);
    for args in [
        &["remove", "shop", "--volumes", "files", "--dry-run"][..],
        &["scale", "evil", "2", "--dry-run"],
        &["restart", "broken", "--dry-run"],
        &["drain", "n1", "--dry-run"],
        &["place", "shop", "n1", "--dry-run"],
        &["erase", "shop", "--dry-run"],
        &["export", "shop", "--into", "/tmp/none", "--dry-run"],
        &["backup", "--all", "--dry-run"],
        &["reboot", "n1", "--dry-run"],
    ] {
        w.look(args);
    }
}

fn lists(w: &mut World) {
    let status = w.look(&["status"]);
    assert!(
        status.contains("shop_web") && status.contains("evil"),
        "{status}"
    );
    let json = w.look(&["status", "--json"]);
    let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    // Nothing is lost: who reads the JSON gets what the engine said.
    assert!(read.to_string().contains("\u{202e}"), "{json}");
    let logs = w.look(&["logs", "loud"]);
    assert!(logs.contains('X'), "{logs}");
    for args in [
        &["check"][..],
        &["check", "--json"],
        &["check", "--metrics"],
        &["logs", "loud", "--timestamps", "--tail", "3"],
        &["logs", "broken"],
        &["journal", "n1", "--tail", "200"],
        &["access", "evil"],
        &["update", "shop"],
        &["update", "shop", "--json"],
        &["secrets", "shop"],
        &["files"],
        &["lint"],
        &["catalogue"],
        &["render", "shop", "shop"],
        &["repo", "stats"],
        &["snapshots"],
        &["bans"],
        &["bans", "--json"],
        &["intrusions"],
        &["intrusions", "--json"],
        &["search", "x"],
        &["drill", "--history"],
        &["config"],
        &["completions", "bash"],
    ] {
        w.look(args);
    }
}

/// What is typed, as `matou lint *` does where somebody else made the files.
fn arguments(w: &mut World) {
    let evil = "x\u{1b}]52;c;UFdO\u{7}\u{202e}\u{9b}2J\rY\nmatou: done";
    for args in [
        &[evil][..],
        &["status", evil],
        &["lint", evil],
        &["lint", "--json", evil],
        &["render", evil, "a"],
        &["migrate", evil],
        &["logs", evil],
        &["journal", evil],
        &["access", evil],
        &["shell", evil],
        &["certificates", "show", evil],
        &["deploy", "shop", evil, "--dry-run"],
        &["scale", evil, "1", "--dry-run"],
        &["search", evil],
        &["lab", "status", "--name", evil],
        &["provision", "--dry-run", "--only", evil],
    ] {
        w.look(args);
    }
    let wrong = w.config.with_file_name("wrong.toml");
    std::fs::write(
        &wrong,
        format!("[fleet]\nname = \"a\u{202e}b\"\n# {evil}\nodd\u{1b}]0;x = 1\n"),
    )
    .expect("written");
    w.look_with(&wrong, &["config"]);
    w.look_with(&w.config.with_file_name(evil), &["config"]);
}

/// Events of a job that runs and fails, as text and as JSON, and the journal that is kept of it.
fn jobs(w: &mut World) {
    w.look(&["scale", "evil", "2", "--yes"]);
    w.look(&["deploy", "shop", "shop", "--yes", "--json"]);
    let journal = matou::config::ensure_state_dir()
        .expect("a state folder")
        .join("journal.jsonl");
    let kept = std::fs::read(&journal).expect("a journal");
    // Only what this test wrote: the file may be an old one.
    let from = kept.len().saturating_sub(200_000);
    let from = from + kept[from..].iter().position(|b| *b == b'\n').unwrap_or(0);
    if let Some(what) = forbidden(&kept[from..]) {
        w.wrong.push(format!("the journal: {what}"));
    }
}
