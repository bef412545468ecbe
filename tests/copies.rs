//! Copies that a thief can't delete, for real: a copy behind `rclone serve restic --append-only`,
//! several nights, and whoever has what the fleet has tries to destroy it.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::s3::S3;
use support::{Fleet, matou, ok, private, said, until};

const FLEET: &str = "cop";
const PASSWORD: &str = "practice-pass-c0p1";
const REST_KEY: &str = "practice-rest-c0p2";
/// May delete; it must be nowhere on the fleet.
const OPERATOR_KEY: &str = "practice-operator-c0p3";

const SHOP: &str = r#"
version: "3.8"
services:
  web:
    image: matou/hello:1.0
    volumes:
      - files:/files
volumes:
  files:
"#;

/// rclone as a REST server of restic, on this machine.
struct Rest(Child);

impl Rest {
    fn start(address: &str, folder: &Path, key: &str, more: &[&str]) -> Self {
        let child = Command::new("rclone")
            .args(["serve", "restic", "--addr", address])
            .args(more)
            .arg(folder)
            .env("RCLONE_USER", "practice")
            .env("RCLONE_PASS", key)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("rclone starts");
        until(Duration::from_secs(30), || {
            let connected = std::net::TcpStream::connect(address);
            connected.map(drop).map_err(|e| e.to_string())
        });
        Self(child)
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        // It has ended, or ends now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Cop {
    fleet: Fleet,
    folder: PathBuf,
    config: PathBuf,
    gateway: String,
    /// The copy's files, out of the fleet's reach.
    vault: tempfile::TempDir,
    away: String,
    begun: Instant,
    _server: Rest,
    _operators: Rest,
}

fn secret(path: &Path, text: &str) {
    private(
        path,
        &format!(
            "{text}
"
        ),
    );
}

impl Cop {
    fn open() -> Self {
        let begun = Instant::now();
        let fleet = Fleet::with_shared_data(FLEET, 1);
        let folder = fleet.lab.config_path();
        let folder = folder.parent().expect("a folder").to_owned();
        std::fs::create_dir_all(folder.join("stacks")).expect("made");
        std::fs::write(folder.join("stacks/shop.yml"), SHOP).expect("written");
        secret(&folder.join("restic-password"), PASSWORD);
        let address = fleet.address("n1");
        let gateway = format!("{}.1", address.rsplit_once('.').expect("IPv4").0);
        let vault = tempfile::tempdir().expect("a folder");
        let served = format!("{gateway}:15910");
        let server = Rest::start(&served, vault.path(), REST_KEY, &["--append-only"]);
        let operators = Rest::start("127.0.0.1:15911", vault.path(), OPERATOR_KEY, &[]);
        secret(
            &folder.join("operator.env"),
            &format!("RESTIC_REPOSITORY=rest:http://practice:{OPERATOR_KEY}@127.0.0.1:15911/copy/"),
        );
        let away = format!("rest:http://practice:{REST_KEY}@{served}/copy/");
        let config = fleet.config(
            "copies.toml",
            &format!(
                "[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\ncheck_parts = 1\n\
                 [[backup.copies]]\nname = \"away\"\nrepository = \"{away}\"\npassword_file = \"restic-password\"\nappend_only = true\n"
            ),
        );
        Self {
            fleet,
            folder,
            config,
            gateway,
            vault,
            away,
            begun,
            _server: server,
            _operators: operators,
        }
    }

    fn part(&self, what: &str) {
        eprintln!("{:>5.0} s  {what}", self.begun.elapsed().as_secs_f32());
    }

    fn n1(&self, line: &str) -> String {
        self.fleet.run("n1", line)
    }

    /// restic by hand on the node, as whoever broke into it has it.
    fn restic(&self, repository: &str, line: &str) -> String {
        self.n1(&format!(
            "export RESTIC_PASSWORD={PASSWORD} RESTIC_REPOSITORY='{repository}'; {line}"
        ))
    }

    fn fails(&self, args: &[&str], part: &str) -> String {
        fails(&self.config, args, part)
    }

    /// Changes the data, runs a night, and keeps what the data was.
    fn night(&self, n: u32) -> (Option<i32>, serde_json::Value) {
        self.n1(&format!(
            "head -c 200000 /dev/urandom >/mnt/data/shop_files/new; echo night {n} >/mnt/data/shop_files/n{n}; \
             mkdir -p /srv/truth; cp -a /mnt/data/shop_files /srv/truth/{n}"
        ));
        let out = matou(&self.config, &["backup", "--all", "--scheduled"]);
        self.part(&format!(
            "night {n}: {}",
            said(&out).lines().last().unwrap_or("")
        ));
        let report =
            self.n1("cat /var/lib/matou/reports/$(ls -1 /var/lib/matou/reports | tail -n 1)");
        let report = serde_json::from_str(&report).expect("a report");
        (out.status.code(), report)
    }

    fn green(&self, n: u32) -> serde_json::Value {
        let (code, report) = self.night(n);
        assert_eq!(code, Some(0), "{report:#}");
        assert_eq!(report["result"], "done", "{report:#}");
        report
    }

    /// Ids and times of the shop's snapshots, oldest first.
    fn snapshots(&self, repository: &str, tag: &str) -> Vec<(String, String)> {
        let text = self.restic(
            repository,
            &format!("restic snapshots --json --no-lock --tag {tag}"),
        );
        let read: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
        let text = |v: &serde_json::Value| v.as_str().expect("text").to_owned();
        let mut all: Vec<_> = read
            .iter()
            .map(|s| (text(&s["time"]), text(&s["id"])))
            .collect();
        all.sort();
        all
    }

    /// Every snapshot of the shop in the copy holds what the shop held then, byte by byte.
    fn copy_is_whole(&self, nights: &[&str]) {
        let all = self.snapshots(&self.away, "app=shop");
        assert_eq!(all.len(), nights.len(), "{all:?}");
        for ((time, id), night) in all.iter().zip(nights) {
            self.restic(
                &self.away,
                &format!(
                    "rm -rf /srv/out; restic --no-lock restore {id} --target /srv/out >/dev/null && diff -r /srv/truth/{night} /srv/out/mnt/data/shop_files || {{ echo {time}; exit 1; }}"
                ),
            );
        }
    }
}

fn fails(config: &PathBuf, args: &[&str], part: &str) -> String {
    let out = matou(config, args);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{args:?}: {text}");
    assert!(text.contains(part), "{args:?}: {text}");
    text
}

#[test]
#[ignore = "nine nights take six minutes: make test-long"]
fn a_thief_deletes_no_append_only_copy() {
    let cop = Cop::open();
    support::backup::repository(&cop.fleet, &cop.config);
    ok(&cop.config, &["deploy", "shop", "shop", "--yes"]);
    cop.part("the fleet is up");
    nights_are_green_and_forget_in_the_first_alone(&cop);
    a_thief_tries(&cop);
    the_attack_tells_the_truth(&cop);
    a_key_that_is_not_on_the_fleet_forgets(&cop);
    what_does_not_look_right_is_not_forgotten(&cop);
    buckets(&cop);
    cop.part("done");
}

fn nights_are_green_and_forget_in_the_first_alone(cop: &Cop) {
    // Two of one day long ago: the policy keeps one. Neither is the oldest of all, which restic 0.17 and
    // newer keep besides.
    cop.n1("echo old >/mnt/data/shop_files/old; mkdir -p /srv/truth; cp -a /mnt/data/shop_files /srv/truth/old");
    for time in [
        "2026-01-01 04:00:00",
        "2026-01-02 03:00:00",
        "2026-01-02 04:00:00",
    ] {
        cop.restic(
            "/srv/restic",
            &format!("restic backup -q --host {FLEET} --tag app=shop --tag matou --time '{time}' /mnt/data/shop_files"),
        );
    }
    ok(&cop.config, &["repo", "copy"]);
    let first = cop.green(1);
    assert!(first["forgotten"].as_u64() > Some(0), "{first:#}");
    assert_eq!(first["pruned"], serde_json::json!(["main"]), "{first:#}");
    assert_eq!(
        first["checked"],
        serde_json::json!(["1/1 of main", "1/1 of away"]),
        "{first:#}"
    );
    let note = first["notes"][0].as_str().expect("a note");
    assert!(
        note.starts_with("away is append-only: nothing is forgotten"),
        "{note}"
    );
    assert_eq!(first["counted"]["away"]["apps"]["shop"], 4, "{first:#}");
    // A stale lock in the way of nobody is told, and stays.
    let lock = cop.restic(
        &cop.away,
        "restic list locks --no-lock >/dev/null; (restic backup -q --stdin --tag lock </dev/zero >/dev/null 2>&1 & echo $! >/tmp/pid); \
         until [ \"$(restic list locks --no-lock)\" ]; do sleep 0.2; done; kill -9 $(cat /tmp/pid); restic list locks --no-lock",
    );
    cop.green(2);
    let there = cop.restic(&cop.away, "restic list locks --no-lock");
    assert_eq!(lock.trim(), there.trim(), "a lock was removed");
    cop.green(3);
    let stats = ok(&cop.config, &["repo", "stats"]);
    assert!(stats.contains("append-only"), "{stats}");
    cop.copy_is_whole(&["old", "old", "old", "1", "2", "3"]);
    cop.part("three green nights");
}

/// With all that is on the fleet: restic, and the server's own protocol.
fn a_thief_tries(cop: &Cop) {
    let ids: Vec<String> = cop
        .snapshots(&cop.away, "matou")
        .into_iter()
        .map(|s| s.1)
        .collect();
    // The lock of before would be in its way.
    cop.restic(&cop.away, "restic unlock --remove-all");
    let base = cop.away.trim_start_matches("rest:");
    cop.restic(
        &cop.away,
        &format!(
            "! timeout -s INT 20 restic forget --prune {} >/dev/null 2>&1",
            ids.join(" ")
        ),
    );
    cop.restic(&cop.away, "! timeout -s INT 20 restic key remove $(ls /nowhere 2>/dev/null; restic list keys --no-lock | head -n 1) >/dev/null 2>&1");
    let codes = cop.restic(
        &cop.away,
        &format!(
            "for kind in snapshots index keys packs; do where=$kind; [ $kind != packs ] || where=data; \
               for id in $(restic list $kind --no-lock); do echo $where/$id; done; done | (cat; echo config) | \
             while read -r path; do for how in '-X DELETE' '-X POST --data-binary other' '-X PUT --data-binary other'; do \
               curl -s -o /dev/null -w '%{{http_code}}\\n' $how '{base}'$path; done; done | sort -u"
        ),
    );
    assert_eq!(codes.trim(), "403\n405", "deleted or overwritten");
    cop.copy_is_whole(&["old", "old", "old", "1", "2", "3"]);
    // Locks may go, or no backup would end well.
    cop.restic(&cop.away, "restic unlock --remove-all");
    let checked = ok(
        &cop.config,
        &["repo", "check", "--repository", "away", "--all-data"],
    );
    assert!(checked.contains("no errors were found"), "{checked}");
    cop.part("a thief tried");
    support::fault(
        "copies",
        "a thief with the credentials of a manager at an append-only copy",
        "every snapshot stays restorable",
    );
}

fn the_attack_tells_the_truth(cop: &Cop) {
    let before = cop.snapshots("/srv/restic", "matou");
    for again in [false, true] {
        let told = ok(&cop.config, &["repo", "attack", "--yes"]);
        for line in [
            "main: delete a snapshot (restic forget): POSSIBLE",
            "main: overwrite a file: POSSIBLE",
            "main: delete a file: POSSIBLE",
            "main is not append-only",
            "away: delete a snapshot (restic forget): refused (403",
            "away: overwrite a file: refused (403)",
            "away: delete a file: refused (403)",
            "away: delete in data/: refused (403)",
            "away: delete in keys/: refused (403)",
            "away: remove locks: POSSIBLE",
            "away: what was tried was refused",
        ] {
            assert!(told.contains(line), "{again}: {line}\n{told}");
        }
        assert!(!told.contains(REST_KEY), "{told}");
    }
    // Nothing is left where it could be deleted; once where it can't.
    assert_eq!(cop.snapshots("/srv/restic", "matou-attack").len(), 0);
    assert_eq!(cop.snapshots(&cop.away, "matou-attack").len(), 1);
    assert_eq!(cop.snapshots("/srv/restic", "matou"), before);
    for repository in ["/srv/restic", &cop.away] {
        let sound = cop.restic(repository, "restic check --read-data 2>&1");
        assert!(sound.contains("no errors were found"), "{sound}");
    }
    // A folder of the node is what config.toml calls append-only: that is not so.
    let lying = cop.fleet.config(
        "lying.toml",
        "[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\nappend_only = true\n",
    );
    fails(
        &lying,
        &["repo", "attack", "--yes"],
        "main is append_only in config.toml, and whoever has the fleet's credentials can delete a snapshot",
    );
    cop.part("the attack told the truth");
}

fn a_key_that_is_not_on_the_fleet_forgets(cop: &Cop) {
    for what in ["forget", "prune"] {
        cop.fails(
            &["repo", what, "--repository", "away", "--yes"],
            &format!("matou repo {what} --repository away --with FILE"),
        );
    }
    let key = cop.folder.join("operator.env").display().to_string();
    let with = |what| {
        vec![
            "repo",
            what,
            "--repository",
            "away",
            "--yes",
            "--with",
            &key,
        ]
    };
    // Another repository, a file others read, a file that goes to the servers.
    let other = cop.folder.join("other.env");
    secret(
        &other,
        &format!(
            "RESTIC_REPOSITORY={}",
            cop.vault.path().join("other").display()
        ),
    );
    let out = Command::new("restic")
        .args([
            "init",
            "-r",
            &cop.vault.path().join("other").display().to_string(),
        ])
        .env("RESTIC_PASSWORD", PASSWORD)
        .output()
        .expect("restic starts");
    assert!(out.status.success(), "{}", said(&out));
    let other = other.display().to_string();
    cop.fails(
        &[
            "repo",
            "forget",
            "--repository",
            "away",
            "--yes",
            "--with",
            &other,
        ],
        "is another repository than",
    );
    let open = cop.folder.join("open.env");
    std::fs::write(&open, "A=1\n").expect("written");
    let open = open.display().to_string();
    cop.fails(
        &[
            "repo",
            "forget",
            "--repository",
            "away",
            "--yes",
            "--with",
            &open,
        ],
        "chmod 600",
    );
    let told = ok(&cop.config, &with("forget"));
    assert!(told.contains("of shop, 2026-01-02 03:00 UTC"), "{told}");
    let told = told + &ok(&cop.config, &with("prune"));
    let told = told + &ok(&cop.config, &with("unlock"));
    assert!(!told.contains(OPERATOR_KEY), "{told}");
    assert!(ok(&cop.config, &with("forget")).contains("nothing to do"));
    cop.copy_is_whole(&["old", "old", "1", "2", "3"]);
    let leaks = cop.n1(&format!(
        "grep -rlF '{OPERATOR_KEY}' /run/matou /etc /var/lib/matou /var/log /root /tmp /mnt/data /var/cache/matou 2>/dev/null; \
         journalctl --no-pager -o cat | grep -cF '{OPERATOR_KEY}' || :"
    ));
    assert_eq!(leaks.trim(), "0", "the key is on the fleet");
    // The night after is as green as before.
    cop.green(4);
    cop.copy_is_whole(&["old", "old", "1", "2", "3", "4"]);
    cop.part("the operator's key forgot");
}

fn what_does_not_look_right_is_not_forgotten(cop: &Cop) {
    let key = cop.folder.join("operator.env").display().to_string();
    cop.restic(
        "/srv/restic",
        &format!("restic backup -q --host {FLEET} --tag app=shop --tag matou --time '2031-01-02 03:00:00' /mnt/data/shop_files"),
    );
    cop.n1("cp -a /mnt/data/shop_files /srv/truth/ahead");
    let (code, report) = cop.night(5);
    let why = report["failures"].to_string();
    assert_eq!(code, Some(1), "{why}");
    assert!(
        why.contains("main: 1 snapshot is dated in the future, up to 2031-01-02"),
        "{why}"
    );
    assert!(why.contains("--accept main:ahead-1"), "{why}");
    assert!(
        why.contains("away: 1 snapshot is dated in the future"),
        "{why}"
    );
    // Everything else was done.
    assert_eq!(report["apps"][0]["result"], "done", "{report:#}");
    assert_eq!(report["copied"][0][0], "away", "{report:#}");
    cop.fails(
        &["repo", "forget", "--repository", "main", "--yes"],
        "dated in the future",
    );
    let accept = [
        "repo",
        "forget",
        "--repository",
        "main",
        "--yes",
        "--accept",
        "main:ahead-1",
    ];
    let told = ok(&cop.config, &accept);
    assert!(told.contains("of shop, 2031-01-02 03:00 UTC"), "{told}");
    ok(
        &cop.config,
        &[
            "repo",
            "forget",
            "--repository",
            "away",
            "--yes",
            "--with",
            &key,
            "--accept",
            "away:ahead-1",
        ],
    );
    cop.green(6);

    // Somebody deletes most of what there is of the shop in the first repository.
    let all = cop.snapshots("/srv/restic", "app=shop");
    let most: Vec<&str> = all[1..].iter().map(|s| s.1.as_str()).collect();
    cop.restic(
        "/srv/restic",
        &format!("restic forget {} >/dev/null", most.join(" ")),
    );
    for n in [7, 8] {
        let (code, report) = cop.night(n);
        let why = report["failures"].to_string();
        assert_eq!(code, Some(1), "{why}");
        let left = format!("1 of {} of shop left", all.len());
        assert!(why.contains(&left), "night {n}: {left}: {why}");
        assert_eq!(report["forgotten"], 0, "{report:#}");
    }
    cop.fails(
        &["repo", "prune", "--repository", "main", "--yes"],
        "snapshots are gone",
    );
    let word = format!("main:fewer-{}", all.len() - 1);
    let accept = [
        "repo",
        "forget",
        "--repository",
        "main",
        "--yes",
        "--accept",
        &word,
    ];
    ok(&cop.config, &accept);
    cop.green(9);
    cop.copy_is_whole(&["old", "old", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    cop.part("what did not look right was not forgotten");
    support::fault(
        "copies",
        "snapshots from the future, a sudden fall of their number",
        "nothing is forgotten until somebody has looked",
    );
}

/// An S3 bucket as it comes, and one with object lock.
fn buckets(cop: &Cop) {
    let s3 = S3::start(&cop.gateway, 15_912);
    secret(
        &cop.folder.join("s3.env"),
        "AWS_ACCESS_KEY_ID=practice\nAWS_SECRET_ACCESS_KEY=practice-key-57d0",
    );
    s3.locked_bucket("locked");
    let config = |bucket: &str| {
        let config = cop.fleet.config(
            &format!("{bucket}.toml"),
            &format!(
                "[backup]\nrepository = \"{}/restic\"\npassword_file = \"restic-password\"\nenvironment_file = \"s3.env\"\nappend_only = true\n",
                s3.repository(bucket)
            ),
        );
        ok(&config, &["repo", "init", "--yes"]);
        config
    };
    let plain = config("plain");
    let told = fails(
        &plain,
        &["repo", "attack", "--yes"],
        "can delete a snapshot",
    );
    assert!(told.contains("main: overwrite a file: POSSIBLE"), "{told}");
    let locked = config("locked");
    for _ in 0..2 {
        let told = matou(&locked, &["repo", "attack", "--yes"]);
        let told = said(&told);
        assert!(
            told.contains("main: delete a file: hidden, but an old version of it stays"),
            "{told}"
        );
    }
    cop.part("buckets");
}
