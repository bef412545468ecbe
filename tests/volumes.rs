//! Volumes of Docker's driver `local` on three nodes: each is backed up where it is, in one snapshot, and what
//! can't be is told. Real restic, a fleet of three.

mod support;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use matou::lab::LabKind;
use support::{Fleet, matou, ok, private, said, until};

const FLEET: &str = "vols";

/// The fleet of what a restore deploys.
const DEPLOYED: &str = "vold";

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
    volumes: ['memo:/memo', 'kept:/kept', '/unnamed', 'theirs:/theirs']
    stop_grace_period: 1s
    deploy: {placement: {constraints: [node.hostname == n2]}}
volumes:
  memo:
    driver: local
    driver_opts: {type: tmpfs, device: tmpfs}
  kept:
  theirs: {external: true}
";

/// One volume, on a node that is not the storage node.
const AWAY: &str = r"
services:
  web:
    image: matou/hello:1.0
    volumes: ['files:/srv/files']
    stop_grace_period: 1s
    deploy: {placement: {constraints: [node.labels.files == yes]}}
volumes:
  files:
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
        "[storage]\nnode = \"n1\"\ndriver = \"local\"\n[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n\
         [provision]\ndocker = \"distribution\"\noff = [\"base\", \"names\", \"upgrades\", \"time\", \"files\", \"swap\", \"kernel\", \"sshd\", \
         \"fail2ban\", \"firewall\", \"volumes\", \"matou\", \"restic\", \"backup\", \"metrics\", \"alerts\", \"jobs\"]\n",
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
                 printf x >'new\nline'; mkfifo pipe; truncate -s 20M sparse; chmod 4755 state; sync -f .",
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
            "cd {}; rm -r 'a b' link; echo file >'a b'; echo 2 >state; sync -f .",
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

    ok(&config, &["backup", "many"]);
    put_back(&fleet, &config, &kept);
    killed(&fleet, &config, &kept);
    put_back_where_it_was(&fleet, &config, &kept);
    recovered(&fleet, &config, &kept);

    eprintln!("a volume in memory is named before, and the other is done");
    fleet.run("n2", "docker volume create theirs");
    ok(&config, &["deploy", "memo", "memo", "--yes"]);
    fleet.run("n2", &format!("echo kept >{}/file", place("memo_kept")));
    let text = partly(
        &config,
        "memo",
        "the volume memo_memo on n2: it is in memory",
    );
    assert!(text.contains("it will FAIL in part"), "{text}");
    for part in [
        "/unnamed of web (a volume without a name",
        "/theirs of web (the volume theirs, which is external)",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let copied = fleet.run(
        "n1",
        "cat /mnt/data/.matou/volumes/memo/n2/memo_kept/data/file",
    );
    assert_eq!(copied, "kept\n");

    eprintln!("one node down: its volumes are told, the others are done");
    let whole = newest(&config, "many");
    let before = snapshots(&config, "many").len();
    fleet.run("n2", &format!("echo newest >{}/newest", place("many_vb")));
    fleet.kill("n3");
    let text = partly(&config, "many", "the volume many_vc on n3: ");
    assert!(text.contains("the volume many_all on n3: "), "{text}");
    let all = snapshots(&config, "many");
    assert_eq!(all.len(), before + 1, "{all:?}");
    let tagged = "RESTIC_PASSWORD=a-practice-password restic -r /srv/restic --no-lock snapshots --tag app=many,partial --json";
    let tagged: Vec<serde_json::Value> =
        serde_json::from_str(&fleet.run("n1", tagged)).expect("JSON");
    let ids: Vec<&serde_json::Value> = tagged.iter().map(|s| &s["id"]).collect();
    // This one, and the one whose copy had no room.
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert!(ids.contains(&&all[newest_at(&all)]["id"]), "{ids:?}");
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
    others_are_put_back(&fleet, &config, &kept, &whole);
}

/// What a restore deploys comes up where its volume is, though its stack lets it run elsewhere too; killed then, one
/// undo takes it away. An erasing reaches what a restore set aside on another node.
#[test]
fn what_is_deployed_stays_where_its_volume_is_and_is_erased_there() {
    let fleet = Fleet::new(DEPLOYED);
    fleet.wait(fleet.lab.up(2, LabKind::Swarm, &|_| {}));
    support::backup::restic(&fleet);
    let config = fleet.config(
        "vold.toml",
        "[storage]\nnode = \"n1\"\ndriver = \"local\"\n[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n",
    );
    let folder = config.parent().expect("a folder");
    private(&folder.join("restic-password"), "a-practice-password");
    std::fs::create_dir_all(folder.join("stacks")).expect("a folder");
    std::fs::write(folder.join("stacks/away.yml"), AWAY).expect("written");
    support::backup::repository(&fleet, &config);
    let label = |node: &str, value: &str| {
        fleet.run(
            "n1",
            &format!("docker node update --label-add files={value} {node}"),
        );
    };
    label("n2", "yes");
    ok(&config, &["deploy", "away", "away", "--yes"]);
    let file = place("away_files") + "/file";
    fleet.run("n2", &format!("echo saved >{file}"));
    ok(&config, &["backup", "away"]);
    ok(&config, &["remove", "away", "--yes"]);
    until(Duration::from_secs(60), || {
        let out = fleet.try_run("n2", "docker volume rm away_files");
        match out.status.success() {
            true => Ok(()),
            false => Err(said(&out)),
        }
    });

    eprintln!("killed when it is deployed");
    label("n1", "yes");
    let constraints =
        "docker service inspect away_web -f '{{.Spec.TaskTemplate.Placement.Constraints}}'";
    let restore = begin(&config, &["restore", "away", "--yes"]);
    kill_when(
        &fleet,
        restore,
        "n1",
        &format!("{constraints} | grep node.id=="),
    );
    std::thread::sleep(Duration::from_secs(1));
    ok(&config, &["restore", "undo", "away", "--yes"]);
    let left = "docker service ls -q; docker volume ls -q | grep away || :";
    assert_eq!(fleet.run("n1", left), "");

    eprintln!("restored, and free afterwards");
    ok(&config, &["restore", "away", "--yes"]);
    assert_eq!(fleet.run("n2", &format!("cat {file}")), "saved\n");
    assert_eq!(fleet.run("n1", constraints), "[node.labels.files == yes]\n");
    let tasks = "docker service ps away_web --format '{{.Node}} {{.DesiredState}}'";
    assert_eq!(fleet.run("n1", tasks), "n2 Running\n");
    ok(&config, &["restore", "forget", "away", "--yes"]);

    eprintln!("erased, with what a restore set aside");
    fleet.run("n2", &format!("echo since >{file}"));
    ok(&config, &["restore", "away", "--yes"]);
    let aside = "cat /var/lib/docker/matou-restores/away/old/0-away_files/file";
    assert_eq!(fleet.run("n2", aside), "since\n");
    ok(&config, &["erase", "away", "--yes"]);
    let left = "ls -A /var/lib/docker/matou-restores; docker volume ls -q | grep away || :";
    assert_eq!(fleet.run("n2", left), "");
    support::fault(
        "volumes",
        "the console is killed when a restore has deployed an application whose volume is another node's, and whose stack lets it run anywhere",
        "its task starts on no other node; one undo takes it away, and the next restore leaves it without the constraint, its task unreplaced",
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

/// A volume: its node, its name, its path in a snapshot.
type Kept<'a> = (&'a str, &'a str, String);

fn hashes(fleet: &Fleet, kept: &[Kept<'_>]) -> Vec<String> {
    let all = kept.iter();
    all.map(|(node, volume, _)| hash(fleet, node, &place(volume)))
        .collect()
}

fn newest(config: &PathBuf, app: &str) -> String {
    let all = snapshots(config, app);
    let id = all[newest_at(&all)]["id"].as_str();
    id.expect("an id").to_owned()
}

fn newest_at(all: &[serde_json::Value]) -> usize {
    let times = all.iter().enumerate();
    let last = times.max_by_key(|(_, s)| s["time"].as_str().map(str::to_owned));
    last.expect("a snapshot").0
}

/// All that was there goes; what is written instead is there nowhere else.
fn destroy(fleet: &Fleet, kept: &[Kept<'_>], mark: &str) {
    for (node, volume, _) in kept {
        let line = format!(
            "cd {} && find . -mindepth 1 -delete && echo '{mark} {node}' >since",
            place(volume)
        );
        fleet.run(node, &line);
    }
}

/// Where services may run, as the swarm has it.
fn constraints(fleet: &Fleet) -> String {
    let line = "docker service ls -q --filter label=com.docker.stack.namespace=many \
                | xargs docker service inspect -f '{{.Spec.Name}} {{.Spec.TaskTemplate.Placement.Constraints}}' | sort";
    fleet.run("n1", line)
}

/// How many tasks of each service are to run, those that were replaced not counted.
fn running(fleet: &Fleet) -> String {
    let line = "for s in a b c everywhere; do echo $s $(docker service ps -q -f desired-state=running many_$s | wc -l); done";
    fleet.run("n1", line)
}

fn put_back(fleet: &Fleet, config: &PathBuf, kept: &[Kept<'_>]) {
    eprintln!("volumes of three nodes are put back where they are");
    let saved = hashes(fleet, kept);
    let (free, tasks) = (constraints(fleet), running(fleet));
    let passwd = fleet.run("n2", "stat -c '%a %U %s %Y' /etc /etc/passwd");
    destroy(fleet, kept, "before");
    let destroyed = hashes(fleet, kept);
    let plan = ok(config, &["restore", "many", "--dry-run"]);
    for part in [
        format!("n2:{}", place("many_vb")),
        format!("n3:{}", place("many_all")),
        "of the volume many_vc to n3, beside it".to_owned(),
    ] {
        assert!(plan.contains(&part), "{part}:\n{plan}");
    }
    ok(config, &["restore", "many", "--yes"]);
    assert_eq!(hashes(fleet, kept), saved);
    assert_eq!(constraints(fleet), free);
    assert_eq!(running(fleet), tasks);
    assert_eq!(
        fleet.run("n2", "stat -c '%a %U %s %Y' /etc /etc/passwd"),
        passwd
    );
    // What was there is beside, on its own node.
    for (node, volume, _) in kept {
        let line = format!("cat /var/lib/docker/matou-restores/many/old/*-{volume}/since");
        assert_eq!(fleet.run(node, &line), format!("before {node}\n"));
    }

    eprintln!("undone, restored again, let go");
    ok(config, &["restore", "undo", "many", "--yes"]);
    assert_eq!(hashes(fleet, kept), destroyed);
    assert_eq!(constraints(fleet), free);
    let again = ok(config, &["restore", "undo", "many", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
    ok(config, &["restore", "many", "--yes"]);
    assert_eq!(hashes(fleet, kept), saved);
    ok(config, &["restore", "forget", "many", "--yes"]);
    assert_eq!(hashes(fleet, kept), saved);
    nothing_is_left(fleet);
    support::fault(
        "volumes",
        "volumes of the driver local on three nodes are destroyed, restored, undone, restored again and let go",
        "owners, modes, links and contents are those of the snapshot; what was written since is kept beside on its own node until the forget",
    );

    eprintln!("no room on one of the nodes");
    let beside = "/var/lib/docker/matou-restores";
    let mount = format!("mkdir -p {beside}; mount -t tmpfs -o size=60m none {beside}");
    fleet.run("n3", &mount);
    let out = matou(config, &["restore", "many", "--yes"]);
    assert!(
        !out.status.success() && said(&out).contains("on n3 has "),
        "{}",
        said(&out)
    );
    fleet.run("n3", &format!("umount {beside}"));
    assert_eq!(hashes(fleet, kept), saved);
    nothing_is_left(fleet);
}

fn nothing_is_left(fleet: &Fleet) {
    for node in ["n1", "n2", "n3"] {
        let line = "ls -A /var/lib/docker/matou-restores /mnt/data/.matou/restores 2>/dev/null | grep many || :";
        assert_eq!(fleet.run(node, line), "", "{node}");
    }
}

/// Started in the background; its output goes nowhere.
fn begin(config: &PathBuf, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_matou"))
        .arg("--config")
        .arg(config)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("matou starts")
}

/// Ends it as `kill -9` does, as soon as a shell line on a node succeeds.
fn kill_when(fleet: &Fleet, mut running: Child, node: &str, line: &str) {
    let line =
        format!("until {{ {line}; }} 2>/dev/null; do sleep 0.02; done").replace('\'', r"'\''");
    fleet.run(node, &format!("timeout 120 sh -c '{line}'"));
    running.kill().expect("killed");
    running.wait().expect("ended");
}

/// The console is killed in each step of a restore, the next command is killed too, and then undone.
fn killed(fleet: &Fleet, config: &PathBuf, kept: &[Kept<'_>]) {
    let state = "/mnt/data/.matou/restores/many.json";
    let beside = "/var/lib/docker/matou-restores/many";
    let phase = |name: &str| format!("grep -q '\"{name}\"' {state}");
    let free = constraints(fleet);
    // `make test` tries the one in the middle of an exchange, `make test-long` all.
    let all = std::env::var_os("MATOU_TEST_ALL").is_some();
    let phases = [
        ("staging", "n1", phase("staging")),
        ("sending", "n2", format!("[ -e {beside}/coming ]")),
        ("restoring", "n1", phase("restoring")),
        (
            "exchanged on n1",
            "n1",
            format!("ls {beside}/old/*-many_va"),
        ),
        (
            "exchanged on n3",
            "n3",
            format!("ls {beside}/old/*-many_vc"),
        ),
        ("started", "n1", phase("started")),
    ];
    let tried = phases.into_iter().enumerate();
    for (_, (what, node, line)) in tried.filter(|(turn, _)| all || turn % 6 == 3) {
        eprintln!("killed: {what}");
        destroy(fleet, kept, what);
        let before = hashes(fleet, kept);
        kill_when(
            fleet,
            begin(config, &["restore", "many", "--yes"]),
            node,
            &line,
        );
        let next = format!(
            "[ ! -e {state} ] || grep -qE '\"(undoing|undone|clearing)\"' {state} || [ -e {} ]",
            place("many_va") + "/since"
        );
        // The job lock of the one that was killed is held for a moment.
        std::thread::sleep(Duration::from_secs(1));
        kill_when(
            fleet,
            begin(config, &["restore", "undo", "many", "--yes"]),
            "n1",
            &next,
        );
        until(Duration::from_secs(180), || {
            let out = matou(config, &["restore", "undo", "many", "--yes"]);
            match out.status.success() {
                true => Ok(()),
                false => Err(said(&out)),
            }
        });
        assert_eq!(hashes(fleet, kept), before, "{what}");
        assert_eq!(constraints(fleet), free, "{what}");
    }
    let state = ok(config, &["status"]);
    assert!(!state.contains("0/1"), "{state}");
    ok(config, &["restore", "many", "--yes"]);
    ok(config, &["restore", "forget", "many", "--yes"]);
    nothing_is_left(fleet);
    support::fault(
        "volumes",
        "the console is killed in each step of a restore of three nodes (staging, sending, exchanging on one node and not yet on another, started), then in its undo",
        "one undo leads out: every node has what it had, and no service keeps a constraint",
    );
}

/// An application that was removed with its volumes: each comes back on the node that had it.
fn put_back_where_it_was(fleet: &Fleet, config: &PathBuf, kept: &[Kept<'_>]) {
    eprintln!("removed with its volumes, and restored");
    let saved = hashes(fleet, kept);
    let free = constraints(fleet);
    ok(config, &["remove", "many", "--yes"]);
    for (node, volume, _) in kept {
        let line = format!("docker volume rm {volume}");
        until(Duration::from_secs(60), || {
            let out = fleet.try_run(node, &line);
            match out.status.success() {
                true => Ok(()),
                false => Err(said(&out)),
            }
        });
    }
    ok(config, &["restore", "many", "--yes"]);
    assert_eq!(hashes(fleet, kept), saved);
    assert_eq!(constraints(fleet), free);
    ok(config, &["backup", "many"]);
    same_as_restored(fleet, config, kept);
    support::fault(
        "volumes",
        "an application is removed with its volumes on three nodes, then restored",
        "each volume is made on the node that had it, and its service comes up there",
    );
}

/// A node was made anew, and Swarm started a task there, with an empty volume, before matou looked.
fn recovered(fleet: &Fleet, config: &PathBuf, kept: &[Kept<'_>]) {
    eprintln!("a node with an empty volume is recovered");
    let saved = hashes(fleet, kept);
    let plan = ok(config, &["recover", "--dry-run"]);
    assert!(plan.contains("many: its data is there"), "{plan}");
    fleet.run("n1", "docker service scale -d many_c=0");
    until(Duration::from_secs(60), || {
        let out = fleet.try_run("n3", "docker volume rm many_vc");
        match out.status.success() {
            true => Ok(()),
            false => Err(said(&out)),
        }
    });
    fleet.run("n1", "docker service scale -d many_c=1");
    let empty = format!("[ -d {0} ] && [ -z \"$(ls -A {0})\" ]", place("many_vc"));
    until(Duration::from_secs(60), || {
        match fleet.try_run("n3", &empty).status.success() {
            true => Ok(()),
            false => Err("no volume yet".into()),
        }
    });
    let plan = ok(config, &["recover", "--dry-run"]);
    assert!(plan.contains("data of many, "), "{plan}");
    ok(config, &["recover", "--yes"]);
    assert_eq!(hashes(fleet, kept), saved);
    let plan = ok(config, &["recover", "--dry-run"]);
    assert!(plan.contains("many: its data is there"), "{plan}");
    ok(config, &["restore", "forget", "many", "--yes"]);
    support::fault(
        "volumes",
        "a node is made anew, and Swarm starts a task there with an empty volume before a recovery looks",
        "the volume counts as lost, since it has none of the names that the snapshot has; it is restored, and the next recovery finds it there",
    );
}

/// n3 is down: what it has is told, the others are put back.
fn others_are_put_back(fleet: &Fleet, config: &PathBuf, kept: &[Kept<'_>], whole: &str) {
    eprintln!("one node down: the others are put back");
    let there: Vec<Kept<'_>> = kept.iter().filter(|k| k.0 != "n3").cloned().collect();
    fleet.run("n2", &format!("rm {}/newest", place("many_vb")));
    let saved = hashes(fleet, &there);
    destroy(fleet, &there, "down");
    let text = ok(config, &["restore", "many", "--snapshot", whole, "--yes"]);
    assert!(
        text.contains("the volume many_vc on n3: ") && text.contains("it stays as it is"),
        "{text}"
    );
    assert_eq!(hashes(fleet, &there), saved);
    support::fault(
        "volumes",
        "a node that has volumes of the driver local is down when the application is restored",
        "its volumes are named in the plan and stay as they are; those of the others are restored",
    );
}
