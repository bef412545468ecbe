//! A disk that is full while a job writes to it, wherever jobs write: the job says so and is not done,
//! what runs goes on, nothing that was kept is lost, and with room again the same command ends as it
//! should.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use support::{Fleet, matou, ok, private, said, until};

const FLEET: &str = "full";

const SHOP: &str = r#"
version: "3.8"
x-matou:
  title: Shop
  secrets:
    - name: app_key
      help: encrypts what is stored
      length: 40
      keep: true
services:
  web:
    image: matou/hello:1.0
    secrets: [app_key]
    volumes:
      - files:/data
    deploy:
      endpoint_mode: dnsrr
secrets:
  app_key: {}
volumes:
  files: {}
"#;

/// A folder of the node gets a disk of its own, which holds what was there and is full. Made room on
/// again, its content goes back.
struct FullDisk<'a> {
    fleet: &'a Fleet,
    folder: &'static str,
}

impl<'a> FullDisk<'a> {
    fn fill(fleet: &'a Fleet, folder: &'static str, size: &str) -> Self {
        fleet.run(
            "n1",
            &format!(
                "set -e; mkdir -p {folder} /srv/beside; cp -a {folder}/. /srv/beside/; mount -t tmpfs -o mode=700,size={size} none {folder}; \
                 cp -a /srv/beside/. {folder}/; rm -rf /srv/beside; dd if=/dev/zero of={folder}/.ballast bs=4k 2>/dev/null || :; \
                 ! dd if=/dev/zero of={folder}/.more bs=4k count=1 2>/dev/null; rm -f {folder}/.more"
            ),
        );
        Self { fleet, folder }
    }

    /// The ballast goes; what was written on the disk stays there.
    fn make_room(self) {
        let Self { fleet, folder } = self;
        fleet.run(
            "n1",
            &format!(
                "set -e; rm {folder}/.ballast; mkdir /srv/beside; cp -a {folder}/. /srv/beside/; umount {folder}; \
                 find {folder} -mindepth 1 -delete; cp -a /srv/beside/. {folder}/; rm -rf /srv/beside"
            ),
        );
    }
}

struct World {
    fleet: Fleet,
    config: PathBuf,
    begun: Instant,
}

impl World {
    fn open() -> Self {
        let begun = Instant::now();
        let fleet = Fleet::with_shared_data(FLEET, 1);
        let more = "[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n";
        let config = fleet.config("full.toml", more);
        let folder = config.parent().expect("a folder");
        std::fs::create_dir_all(folder.join("stacks")).expect("made");
        std::fs::write(folder.join("stacks/shop.yml"), SHOP).expect("written");
        private(&folder.join("restic-password"), "practice-pass-1f0c");
        support::backup::repository(&fleet, &config);
        Self {
            fleet,
            config,
            begun,
        }
    }

    fn part(&self, what: &str) {
        eprintln!("{:>5.0} s  {what}", self.begun.elapsed().as_secs_f32());
    }

    /// Runs a job that can't be done for want of room: it says that there is none, and not that it is
    /// done.
    fn fails(&self, args: &[&str]) -> String {
        let out = matou(&self.config, args);
        let text = said(&out);
        assert!(!out.status.success(), "{args:?}: {text}");
        assert!(
            text.contains("o space left") || text.contains("no room"),
            "{args:?}: {text}"
        );
        assert!(!text.contains("done in"), "{args:?}: {text}");
        text
    }

    fn snapshots(&self) -> usize {
        let text = ok(&self.config, &["snapshots", "shop", "--json"]);
        text.matches("\"id\"").count()
    }

    /// The key that the application has is the one that is kept.
    fn same_key(&self, app: &str) {
        let script = format!(
            "c=$(docker ps -q -f name={app}_web | head -n 1); [ -n \"$c\" ] && [ \"$(docker exec $c cat /run/secrets/app_key)\" = \"$(cat /mnt/data/.matou/secrets/{app}/app_key.v1)\" ]"
        );
        until(Duration::from_secs(60), || {
            let out = self.fleet.try_run("n1", &script);
            out.status.success().then_some(()).ok_or_else(|| said(&out))
        });
    }
}

#[test]
fn what_a_full_disk_stops_goes_on_with_room() {
    let w = World::open();
    deploys(&w);
    backups(&w);
    exports(&w);
    erased(&w);
    w.part("done");
}

/// No application runs with a key that could not be kept.
fn deploys(w: &World) {
    w.part("deploys");
    ok(&w.config, &["deploy", "shop", "shop", "--yes"]);
    let full = FullDisk::fill(&w.fleet, "/mnt/data/.matou/secrets", "64k");
    w.fails(&["deploy", "shop", "other", "--yes"]);
    let made = w.fleet.run("n1", "docker service ls -q -f name=other; docker secret ls -q -f name=other; ls -A /mnt/data/.matou/secrets/other 2>/dev/null; :");
    assert_eq!(made.trim(), "", "something was made without a kept key");
    w.same_key("shop");
    full.make_room();
    ok(&w.config, &["deploy", "shop", "other", "--yes"]);
    w.same_key("other");

    // Where the night's list is.
    let full = FullDisk::fill(&w.fleet, "/mnt/data/.matou/fleet", "64k");
    let text = said(&matou(&w.config, &["deploy", "shop", "third", "--yes"]));
    assert!(
        text.contains("o space left") && !text.contains("done in"),
        "{text}"
    );
    full.make_room();
    let list = "ls /mnt/data/.matou/fleet/apps";
    let before = w.fleet.run("n1", list);
    assert!(
        before.contains("shop.toml") && before.contains("other.toml"),
        "{before}"
    );
    ok(&w.config, &["deploy", "shop", "third", "--yes"]);
    w.same_key("third");
    assert!(w.fleet.run("n1", list).contains("third.toml"));
    support::fault(
        "full_disk",
        "a disk is full in a deploy: where secrets are kept, where the night's list is",
        "told; nothing runs with a key that is not kept; with room the same command ends it",
    );
}

/// What was saved before stays whole.
fn backups(w: &World) {
    w.part("backups");
    w.fleet.run(
        "n1",
        "dd if=/dev/urandom of=/mnt/data/shop_files/first bs=64k count=1 2>/dev/null",
    );
    ok(&w.config, &["backup", "shop"]);
    assert_eq!(w.snapshots(), 1);
    w.fleet.run(
        "n1",
        "dd if=/dev/urandom of=/mnt/data/shop_files/second bs=1M count=4 2>/dev/null",
    );
    let full = FullDisk::fill(&w.fleet, "/srv/restic", "3m");
    w.fails(&["backup", "shop"]);
    full.make_room();
    assert_eq!(w.snapshots(), 1);
    ok(&w.config, &["backup", "shop"]);
    assert_eq!(w.snapshots(), 2);
    ok(&w.config, &["repo", "check", "--yes"]);
    support::fault(
        "full_disk",
        "the repository's disk is full in a backup",
        "told, and no snapshot; the earlier one stays; with room the next is made, and the repository is whole",
    );
}

/// No half of an archive is left that could be taken for a whole one.
fn exports(w: &World) {
    w.part("exports");
    let small = tempfile::tempdir().expect("a folder");
    let mount = |args: &[&str]| {
        let done = Command::new(args[0]).args(&args[1..]).status();
        assert!(done.expect("it starts").success(), "{args:?}");
    };
    let path = small.path().to_str().expect("a path");
    mount(&["mount", "-t", "tmpfs", "-o", "size=1m", "none", path]);
    let archive = small.path().join("shop.tar");
    let out = matou(
        &w.config,
        &[
            "export",
            "shop",
            "--into",
            &archive.to_string_lossy(),
            "--yes",
        ],
    );
    let left: Vec<_> = std::fs::read_dir(small.path()).expect("read").collect();
    mount(&["umount", path]);
    let text = said(&out);
    assert!(
        !out.status.success() && text.contains("o space left") && !text.contains("done in"),
        "{text}"
    );
    assert!(left.is_empty(), "{left:?}");
    let whole = Path::new(path).join("shop.tar");
    ok(
        &w.config,
        &[
            "export",
            "shop",
            "--into",
            &whole.to_string_lossy(),
            "--yes",
        ],
    );
    assert!(whole.exists());
    support::fault(
        "full_disk",
        "the disk is full in an export",
        "told, and no half of an archive is left",
    );
}

/// Erasing has to write into the repository, and what it does not reach is still there for the next run.
fn erased(w: &World) {
    w.part("erased");
    ok(&w.config, &["backup", "other"]);
    let full = FullDisk::fill(&w.fleet, "/srv/restic", "8m");
    let out = matou(&w.config, &["erase", "shop", "--yes"]);
    let text = said(&out);
    full.make_room();
    // restic frees room by what it removes first; where it could not, that is said.
    if !out.status.success() {
        assert!(text.contains("o space left"), "{text}");
        ok(&w.config, &["erase", "shop", "--yes"]);
    }
    let left = ok(&w.config, &["snapshots", "--json"]);
    assert!(
        !left.contains("app=shop") && left.contains("app=other"),
        "{left}"
    );
    ok(&w.config, &["repo", "check", "--yes"]);
    w.same_key("other");
    support::fault(
        "full_disk",
        "the repository's disk is full in an erasing",
        "it ends, or says so and the same command ends it; others' snapshots stay",
    );
}
