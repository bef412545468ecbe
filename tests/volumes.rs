//! Volumes of Docker's driver `local` on three nodes: each is backed up where it is, in one snapshot, and what
//! can't be is told. Real restic, a fleet of three.

mod support;

use std::path::PathBuf;

use matou::lab::LabKind;
use support::{Fleet, matou, ok, private, said};

const FLEET: &str = "vols";

const STACK: &str = r"
x-matou:
  title: Many
  backup:
    dumps:
      - service: b
        command: cat /srv/files/state
        file: /srv/files/dump
services:
  a:
    image: matou/hello:1.0
    volumes: ['va:/srv/files']
    stop_grace_period: 1s
    deploy: {placement: {constraints: [node.hostname == n1]}}
  b:
    image: matou/hello:1.0
    volumes: ['vb:/srv/files']
    stop_grace_period: 1s
    deploy: {placement: {constraints: [node.hostname == n2]}}
  c:
    image: matou/hello:1.0
    volumes: ['vc:/srv/files']
    stop_grace_period: 1s
    deploy: {placement: {constraints: [node.hostname == n3]}}
  everywhere:
    image: matou/hello:1.0
    volumes: ['all:/srv/files']
    stop_grace_period: 1s
    deploy: {mode: global}
volumes:
  va:
  vb:
  vc:
  all:
";

/// A volume in memory beside one that lasts.
const MEMO: &str = r"
services:
  web:
    image: matou/hello:1.0
    volumes: ['memo:/memo', 'kept:/kept']
    stop_grace_period: 1s
    deploy: {placement: {constraints: [node.hostname == n2]}}
volumes:
  memo:
    driver: local
    driver_opts: {type: tmpfs, device: tmpfs}
  kept:
";

/// Where Docker has a volume.
fn place(volume: &str) -> String {
    format!("/var/lib/docker/volumes/{volume}/_data")
}

/// Everything that is in a folder: names, kinds, owners, modes, links, contents.
fn hash(fleet: &Fleet, node: &str, folder: &str) -> String {
    let line = format!(
        "cd {folder} && {{ find . ! -name dump -printf '%y %m %U %G %n %l %p\\0' | sort -z; find . -type f ! -name dump -print0 | sort -z | xargs -0 sha256sum -z; }} | sha256sum"
    );
    fleet.run(node, &line)
}

fn snapshots(config: &PathBuf, app: &str) -> Vec<serde_json::Value> {
    let text = ok(config, &["snapshots", app, "--json"]);
    serde_json::from_str(&text).expect("JSON")
}

fn partly(config: &PathBuf, app: &str, part: &str) -> String {
    let out = matou(config, &["backup", app]);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(
        text.contains(part) && text.contains("holds all but this"),
        "{text}"
    );
    text
}

#[test]
fn volumes_are_backed_up_where_they_are() {
    let fleet = Fleet::new(FLEET);
    fleet.wait(fleet.lab.up(3, LabKind::Swarm, &|_| {}));
    support::backup::restic(&fleet);
    let config = fleet.config(
        "vols.toml",
        "[storage]\nnode = \"n1\"\ndriver = \"local\"\n[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n",
    );
    let folder = config.parent().expect("a folder");
    private(&folder.join("restic-password"), "a-practice-password");
    std::fs::create_dir_all(folder.join("stacks")).expect("a folder");
    std::fs::write(folder.join("stacks/many.yml"), STACK).expect("written");
    std::fs::write(folder.join("stacks/memo.yml"), MEMO).expect("written");
    support::backup::repository(&fleet, &config);
    ok(&config, &["deploy", "many", "many", "--yes"]);
    let kept = [
        ("n1", "many_va", place("many_va")),
        ("n2", "many_vb", copy("n2", "many_vb")),
        ("n3", "many_vc", copy("n3", "many_vc")),
        ("n1", "many_all", place("many_all")),
        ("n2", "many_all", copy("n2", "many_all")),
        ("n3", "many_all", copy("n3", "many_all")),
    ];
    for (node, volume, _) in &kept {
        fleet.run(
            node,
            &format!(
                "cd {}; mkdir -p 'a b/\u{e9}'; echo {node} >'a b/\u{e9}/-rf'; ln -s /etc/passwd link; ln -s /etc escape; \
                 head -c 3000000 /dev/urandom >big; chown 33:33 big; chmod 640 big; ln big hard; echo {node} >state; \
                 printf x >'new\nline'; mkfifo pipe; truncate -s 20M sparse; chmod 4755 state",
                place(volume)
            ),
        );
    }

    // What changed within two seconds before it was listed is brought once more the next time.
    std::thread::sleep(std::time::Duration::from_secs(3));
    eprintln!("the first snapshot, of three nodes");
    let text = ok(&config, &["backup", "many"]);
    assert!(text.contains("(of n2, n3 too)"), "{text}");
    same_as_restored(&fleet, &config, &kept);
    ok(&config, &["verify", "many"]);

    eprintln!("only what changed is brought, and what went goes from the copy");
    fleet.run(
        "n2",
        &format!(
            "cd {}; rm -r 'a b' link; echo file >'a b'; echo 2 >state",
            place("many_vb")
        ),
    );
    let text = ok(&config, &["backup", "many"]);
    let line = text.lines().find(|l| l.contains("volume many_vb of n2: "));
    let line = line.unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains(" KiB brought"), "{line}");
    same_as_restored(&fleet, &config, &kept);

    eprintln!("a container that exchanges a folder for a link meanwhile");
    fleet.run(
        "n2",
        &format!(
            "systemd-run --quiet --unit race --working-directory={} sh -c 'while :; do mkdir -p x; echo inside >x/shadow; touch x; mv -T x y; ln -s /etc x; rm x; rm -r y; done'",
            place("many_vb")
        ),
    );
    for _ in 0..3 {
        ok(&config, &["backup", "many"]);
        let stolen = format!(
            "grep -rl root: {} --include=shadow || :",
            copy("n2", "many_vb")
        );
        assert_eq!(fleet.run("n1", &stolen), "");
    }
    fleet.run(
        "n2",
        &format!("systemctl stop race; cd {}; rm -rf x y", place("many_vb")),
    );

    eprintln!("a copy that has no room is told, and the others are done");
    fleet.run(
        "n1",
        &format!(
            "mkdir -p {0}; mount -t tmpfs -o size=50m none {0}",
            copy("n3", "many_vc")
        ),
    );
    partly(&config, "many", "has no room for its copy");
    fleet.run("n1", &format!("umount {}", copy("n3", "many_vc")));

    eprintln!("what is put back only where it was is not put elsewhere");
    let out = matou(&config, &["restore", "many", "--yes"]);
    assert!(said(&out).contains("lies on n2"), "{}", said(&out));
    ok(&config, &["remove", "many", "--yes"]);
    let out = matou(&config, &["restore", "many", "--yes"]);
    assert!(!out.status.success(), "{}", said(&out));
    assert!(said(&out).contains("several nodes had"), "{}", said(&out));
    ok(&config, &["deploy", "many", "many", "--yes"]);

    eprintln!("a volume in memory is named before, and the other is done");
    ok(&config, &["deploy", "memo", "memo", "--yes"]);
    fleet.run("n2", &format!("echo kept >{}/file", place("memo_kept")));
    let text = partly(
        &config,
        "memo",
        "the volume memo_memo on n2: it is in memory",
    );
    assert!(text.contains("it will FAIL in part"), "{text}");
    let copied = fleet.run(
        "n1",
        "cat /mnt/data/.matou/volumes/memo/n2/memo_kept/data/file",
    );
    assert_eq!(copied, "kept\n");

    eprintln!("one node down: its volumes are told, the others are done");
    let before = snapshots(&config, "many").len();
    fleet.run("n2", &format!("echo newest >{}/newest", place("many_vb")));
    fleet.kill("n3");
    let text = partly(&config, "many", "the volume many_vc on n3: ");
    assert!(text.contains("the volume many_all on n3: "), "{text}");
    let all = snapshots(&config, "many");
    assert_eq!(all.len(), before + 1, "{all:?}");
    same_as_restored(
        &fleet,
        &config,
        &[kept[0].clone(), kept[1].clone(), kept[4].clone()],
    );
    support::fault(
        "volumes",
        "a node that has volumes of the driver local is down when an application of three nodes is backed up",
        "its volumes are named in the plan and in the error; the snapshot holds the others, and says what it lacks",
    );
}

/// The storage node's copy of a volume of another node.
fn copy(node: &str, volume: &str) -> String {
    format!("/mnt/data/.matou/volumes/many/{node}/{volume}/data")
}

/// What the newest snapshot gives back is what the nodes have.
fn same_as_restored(fleet: &Fleet, config: &PathBuf, kept: &[(&str, &str, String)]) {
    fleet.run("n1", "rm -rf /srv/out");
    ok(config, &["restore", "many", "--into", "/srv/out", "--yes"]);
    for (node, volume, at) in kept {
        let there = hash(fleet, node, &place(volume));
        let back = hash(fleet, "n1", &format!("/srv/out{at}"));
        assert_eq!(there, back, "{volume} of {node}");
    }
}
