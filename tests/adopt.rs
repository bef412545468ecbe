//! Applications that were deployed by hand are adopted as they run: deploying their files, by matou and
//! by docker's own client, changes no field of a service and replaces no task, and what they mount from outside stays
//! in their backups.

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use matou::lab::LabKind;
use serde_json::Value;
use support::{Fleet, exposure, matou, ok, private, said, until};

/// Of this test alone; `scripts/test.sh` removes it too.
const FLEET: &str = "adopt";

/// Kinds of stacks. What the node's client does not take is left out, and said.
const STACKS: &[(&str, &str)] = &[
    ("every", include_str!("files/adopt/every.yml")),
    ("everywhere", include_str!("files/adopt/everywhere.yml")),
    ("giver", include_str!("files/adopt/giver.yml")),
    ("host", include_str!("files/adopt/host.yml")),
    ("jobs", include_str!("files/adopt/jobs.yml")),
    ("limits", include_str!("files/adopt/limits.yml")),
    ("outside", include_str!("files/adopt/outside.yml")),
    ("taken", include_str!("files/adopt/taken.yml")),
    ("traefik1", include_str!("files/adopt/traefik1.yml")),
    ("traefik2", include_str!("files/adopt/traefik2.yml")),
    ("traefik3", include_str!("files/adopt/traefik3.yml")),
];

/// What is there before: of others, and by other means.
const GROUND: &str = "echo '{\"node-generic-resources\":[\"gpu=64\"]}' >/etc/docker/daemon.json\n\
    systemctl restart docker; until docker node update --label-add zone=a n1 >/dev/null 2>&1; do sleep 0.2; done\n\
    docker tag matou/hello:1.0 mariadb:11; docker volume create old-data; mkdir -p /mnt/data/taken\n\
    docker volume create --opt type=none --opt o=bind --opt device=/mnt/data/taken taken-data\n\
    docker network create --driver overlay proxy\n\
    printf word | docker secret create word_v1 -; printf page | docker config create page_v1 -\n\
    echo page >/tmp/page.txt; echo word >/tmp/word.txt";

/// A single service with flags that a compose file has words for.
const ALONE: &str = "docker service create --detach --name alone --network name=proxy,alias=also \
    --cap-add NET_ADMIN --cap-drop MKNOD --config source=page_v1,target=/page,uid=1000,mode=0400 \
    --constraint node.role==manager --container-label of=container --dns 127.0.0.11 \
    --dns-search example.org --entrypoint /bin/sh --env 'TEXT=it is \"so\" <&> $X' --host extra:10.9.9.9 \
    --hostname '{{.Task.Name}}' --init --label traefik.http.routers.all.rule='Host(`all.example`)' \
    --health-cmd 'test -e /page' --health-interval 4s --limit-cpu 0.75 --limit-memory 64M --limit-pids 100 \
    --log-driver json-file --log-opt max-size=1m --mount type=tmpfs,target=/fleeting,tmpfs-size=1m \
    --mount type=bind,source=/srv,target=/bound,readonly,bind-propagation=rprivate \
    --mount type=volume,source=kept,target=/kept,volume-nocopy,volume-driver=local,volume-opt=type=tmpfs,volume-opt=device=tmpfs \
    --placement-pref spread=node.labels.zone --publish published=8141,target=8080 --replicas-max-per-node 9 \
    --reserve-memory 8M --restart-delay 1s --rollback-parallelism 2 --secret source=word_v1,target=word \
    --stop-grace-period 1s --stop-signal TERM --sysctl net.ipv4.tcp_keepalive_time=600 --tty \
    --ulimit nofile=1024:2048 --update-delay 100ms --user 1000 --workdir /tmp matou/hello:1.0 /start";

/// A single service with a volume that nothing says more of.
const LONE: &str = "docker service create --detach --name lone --mount type=volume,source=lone-data,target=/data \
    --stop-grace-period 1s matou/hello:1.0";

/// Flags that a compose file for a swarm has no words for, with what is told of each.
const UNSPEAKABLE: &[(&str, &str)] = &[
    ("--dns-option timeout:3", "DNSConfig.Options"),
    ("--group 1001", "ContainerSpec.Groups"),
    (
        "--mount type=tmpfs,target=/t,tmpfs-mode=1770",
        "TmpfsOptions.Mode",
    ),
    (
        "--mount type=bind,source=/srv,target=/b,bind-nonrecursive",
        "BindOptions.NonRecursive",
    ),
];

/// Uses what it made itself and what others made.
const KEPT: &str = include_str!("files/adopt/kept.yml");

/// In a secret from outside; nobody sees it.
const WORD: &str = "practice-word-4711-of-kept";

/// What the stack of [`KEPT`] takes from files and from outside. One secret is no text.
const KEPT_GROUND: &str = "cd /tmp; printf 'a\\377\\000\\n\\nb' >kept.key; printf '$X {{.Y}}\\n' >kept.page\n\
    docker network create --driver overlay --attachable --label of=others --subnet 10.77.9.0/24 kept-proxy";

/// Prints digests of what the container of [`KEPT`] has, and how its network is.
const KEPT_CONTENT: &str = "c=$(docker ps -q -f name=kept_app | head -n 1); [ -n \"$c\" ] || exit 1\n\
    for file in /run/secrets/key /run/secrets/outside /page /files/mine; do docker exec $c cat $file | sha256sum; done\n\
    docker network inspect -f '{{(index .IPAM.Config 0).Subnet}} {{.Attachable}} {{.Labels}}' kept-proxy\n\
    docker secret inspect -f '{{.Spec.Labels}}' kept_key; docker config inspect -f '{{.Spec.Labels}}' kept_page";

/// Removes what [`KEPT`] has from others, its data, and what is kept of it on the node. Containers that have just
/// stopped hold it a moment longer.
const KEPT_LOSS: &str = "set -e; if docker secret inspect kept_key >/dev/null 2>&1; then exit 1; fi\n\
    docker secret rm kept_v1; for what in 'network rm kept-proxy' 'volume rm kept_files'; do\n\
    i=0; until docker $what; do i=$((i+1)); [ $i -lt 120 ]; sleep 1; done; done\n\
    rm -r /mnt/data/.matou/secrets/kept";

struct Practice {
    fleet: Fleet,
    config: PathBuf,
}

/// What the engine says each service should be, and the tasks that should run.
type Picture = (BTreeMap<String, Value>, Vec<String>);

impl Practice {
    fn open() -> Self {
        let fleet = Fleet::new(FLEET);
        fleet.wait(fleet.lab.up(1, LabKind::Swarm, &|_| {}));
        let config = fleet.lab.config_path();
        fleet.run("n1", GROUND);
        Self { fleet, config }
    }

    /// Gives a stack to the node's own client.
    fn deploy(&self, name: &str, text: &str, resolve: &str) -> Result<(), String> {
        let line = format!(
            "cd /tmp && cat >{name}.yml <<'END_OF_STACK'\n{text}\nEND_OF_STACK\ndocker stack deploy --resolve-image {resolve} --compose-file {name}.yml {name}"
        );
        let out = self.fleet.try_run("n1", &line);
        out.status.success().then_some(()).ok_or_else(|| said(&out))
    }

    fn picture(&self) -> Picture {
        let text = self
            .fleet
            .run("n1", "docker service ls -q | xargs docker service inspect");
        let found: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        let name = |s: &Value| s["Spec"]["Name"].as_str().unwrap_or_default().to_owned();
        let specs = found.iter().map(|s| (name(s), s["Spec"].clone()));
        let line = "for s in $(docker service ls -q); do docker service ps -q --no-trunc --filter desired-state=running $s; done | sort";
        let tasks = self.fleet.run("n1", line);
        (specs.collect(), tasks.lines().map(str::to_owned).collect())
    }

    fn settled(&self) {
        until(Duration::from_secs(120), || {
            let line = "docker service ls --format '{{.Name}} {{.Mode}} {{.Replicas}}'";
            let text = self.fleet.run("n1", line);
            let waits = |l: &&str| {
                let count = l.split(' ').nth(if l.contains(" job ") { 3 } else { 2 });
                let (is, should) = count
                    .unwrap_or_default()
                    .split_once('/')
                    .unwrap_or_default();
                !l.contains("job") && is != should
            };
            match text.lines().find(waits) {
                None => Ok(()),
                Some(line) => Err(line.to_owned()),
            }
        });
    }
}

fn assert_same(what: &str, was: &Picture, is: &Picture) {
    let names = |picture: &Picture| picture.0.keys().cloned().collect::<Vec<String>>();
    assert_eq!(names(was), names(is), "services, after {what}");
    for (name, spec) in &was.0 {
        assert_eq!(spec, &is.0[name], "{name}, after {what}");
    }
    assert_eq!(was.1, is.1, "tasks, after {what}");
}

#[test]
fn what_was_deployed_by_hand_is_adopted_as_it_runs() {
    let practice = Practice::open();
    let (fleet, config) = (&practice.fleet, &practice.config);
    let mut stacks = Vec::new();
    for (name, text) in STACKS {
        match practice.deploy(name, text, "always") {
            Ok(()) => stacks.push(*name),
            Err(why) => {
                assert_eq!(*name, "jobs", "{why}");
                eprintln!("left out: this client knows no jobs: {why}");
            }
        }
    }
    fleet.run("n1", ALONE);
    fleet.run("n1", LONE);
    for (i, (flags, _)) in UNSPEAKABLE.iter().enumerate() {
        let line = format!("docker service create --detach --name odd{i} {flags} matou/hello:1.0");
        fleet.run("n1", &line);
    }
    practice.settled();
    let was = practice.picture();

    // What can't be said is told, and leaves no file.
    for (i, (_, told)) in UNSPEAKABLE.iter().enumerate() {
        let out = matou(config, &["adopt", &format!("odd{i}"), "--yes"]);
        assert!(
            !out.status.success() && said(&out).contains(told),
            "{}",
            said(&out)
        );
    }
    ok(config, &["adopt", "--all", "--yes"]);
    let folder = config.parent().expect("a folder");
    assert!(!folder.join("apps/odd0.toml").exists());
    let database = std::fs::read_to_string(folder.join("stacks/traefik1.yml")).expect("written");
    assert!(database.contains("engine: mariadb"), "{database}");
    // Existing files are not touched.
    assert!(ok(config, &["adopt", "traefik1", "--yes"]).contains("nothing to do"));
    // What a kill between the two files leaves is taken up.
    let file = folder.join("apps/traefik2.toml");
    let whole = std::fs::read_to_string(&file).expect("written");
    std::fs::remove_file(&file).expect("removed");
    ok(config, &["adopt", "traefik2", "--yes"]);
    assert_eq!(std::fs::read_to_string(&file).expect("written"), whole);
    assert!(!folder.join("stacks/traefik2-adopted.yml").exists());

    for name in stacks.iter().copied().chain(["alone", "lone"]) {
        let told = ok(config, &["diff", name, name]);
        assert!(told.contains("nothing to do"), "{name}: {told}");
        ok(config, &["redeploy", name, "--yes"]);
    }
    assert_same("matou's redeploy", &was, &practice.picture());
    for name in stacks.iter().filter(|name| **name != "jobs") {
        let text = ok(config, &["render", name, name]);
        practice
            .deploy(name, &text, "changed")
            .expect("it takes it");
    }
    std::thread::sleep(Duration::from_secs(5));
    assert_same("docker's deploy", &was, &practice.picture());

    // A change of the file is a change of the stack, and of nothing else.
    let path = folder.join("stacks/traefik2.yml");
    let text = std::fs::read_to_string(&path).expect("written");
    assert!(text.contains("replicas: 2"), "{text}");
    std::fs::write(&path, text.replace("replicas: 2", "replicas: 3")).expect("written");
    let told = ok(config, &["diff", "traefik2", "traefik2"]);
    assert!(told.contains("replicas of traefik2_web"), "{told}");
    ok(config, &["redeploy", "traefik2", "--yes"]);
    let (specs, tasks) = practice.picture();
    assert_eq!(specs["traefik2_web"]["Mode"]["Replicated"]["Replicas"], 3);
    assert!(was.1.iter().all(|task| tasks.contains(task)), "{tasks:?}");
    // A single service can't become one of a stack while it is there.
    let path = folder.join("stacks/alone.yml");
    let text = std::fs::read_to_string(&path).expect("written");
    std::fs::write(&path, text.replace("working_dir: /tmp", "working_dir: /")).expect("written");
    let out = matou(config, &["redeploy", "alone", "--yes"]);
    assert!(
        said(&out).contains("docker service rm alone"),
        "{}",
        said(&out)
    );
    let config = with_repository(&practice.fleet);
    comes_back_with_what_it_did_not_make(&practice, &config);
    what_is_mounted_from_outside_is_saved(&practice.fleet, &config);
}

/// The same fleet with backups.
fn with_repository(fleet: &Fleet) -> PathBuf {
    support::backup::restic(fleet);
    let config = fleet.config(
        "saved.toml",
        "[storage]\nnode = \"n1\"\ndriver = \"local\"\n[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n",
    );
    private(&config.with_file_name("restic-password"), "correct horse\n");
    support::backup::repository(fleet, &config);
    config
}

/// What `docker stack rm` takes with it, and what the stack has from others, is kept by a backup and made again.
fn comes_back_with_what_it_did_not_make(practice: &Practice, config: &PathBuf) {
    let fleet = &practice.fleet;
    fleet.run("n1", KEPT_GROUND);
    fleet.run(
        "n1",
        &format!("printf {WORD} | docker secret create kept_v1 -"),
    );
    practice.deploy("kept", KEPT, "never").expect("it takes it");
    practice.settled();
    fleet.run("n1", "rm /tmp/kept.*");
    let container = "docker exec $(docker ps -q -f name=kept_app) sh -c 'echo mine >/files/mine'";
    fleet.run("n1", container);
    let was = fleet.run("n1", KEPT_CONTENT);
    ok(config, &["adopt", "kept", "--yes"]);

    let watch = exposure::Watch::begin(&[WORD]);
    let told = said(&matou(config, &["remove", "kept", "--dry-run"]));
    for lost in ["secret kept_key", "config kept_page", "no backup keeps"] {
        assert!(told.contains(lost), "{lost}: {told}");
    }
    assert!(!told.contains("kept_v1"), "it is of others: {told}");
    let told = ok(config, &["backup", "kept"]);
    assert!(!told.contains("NOT kept"), "{told}");
    let told = said(&matou(config, &["remove", "kept", "--dry-run"]));
    assert!(told.contains("secret kept_key"), "{told}");
    assert!(!told.contains("no backup keeps"), "{told}");
    // A secret whose service is stopped stays kept.
    fleet.run("n1", "docker service scale kept_app=0");
    let told = ok(config, &["backup", "kept"]);
    assert!(!told.contains("NOT kept"), "{told}");

    ok(config, &["remove", "kept", "--yes"]);
    fleet.run("n1", KEPT_LOSS);
    // Nothing is kept here: the plan of a deploy says what is missing.
    let out = matou(config, &["redeploy", "kept", "--yes"]);
    let told = said(&out);
    assert!(
        !out.status.success() && told.contains("kept-proxy"),
        "{told}"
    );

    ok(config, &["restore", "kept", "--yes"]);
    let mut is = String::new();
    until(Duration::from_secs(60), || {
        let out = fleet.try_run("n1", KEPT_CONTENT);
        is = said(&out);
        out.status.success().then_some(()).ok_or_else(|| is.clone())
    });
    assert_eq!(is, was);
    let told = ok(config, &["diff", "kept", "kept"]);
    assert!(told.contains("nothing to do"), "{told}");
    watch.end(fleet, &["n1"]);
}

/// Before its adoption a backup took all that an application mounts. Adopted, it still does, but for what another
/// one has; and a restore makes it again as it was.
fn what_is_mounted_from_outside_is_saved(fleet: &Fleet, config: &PathBuf) {
    let files = "/var/lib/docker/volumes/lone-data/_data/file /mnt/data/taken/file";
    fleet.run("n1", &format!("echo saved | tee {files}"));
    for app in ["lone", "taken"] {
        let plan = ok(config, &["backup", app, "--dry-run"]);
        let line = format!("snapshot of {app}: 1 volume");
        assert!(plan.contains(&line), "{plan}");
        let of_another = plan.contains("the volume given, which is external");
        assert_eq!(of_another, app == "taken", "{plan}");
        ok(config, &["backup", app]);
        ok(config, &["remove", app, "--yes"]);
    }
    let plan = ok(config, &["erase", "lone", "--dry-run"]);
    assert!(plan.contains("volume lone-data stays"), "{plan}");
    let driver = "docker volume inspect -f '{{.Driver}} {{range $k, $v := .Options}}{{$k}}={{$v}} {{end}}' lone-data taken-data";
    let was = fleet.run("n1", driver);
    until(Duration::from_secs(60), || {
        let line = format!("rm -f {files}; docker volume rm -f lone-data taken-data");
        let out = fleet.try_run("n1", &line);
        out.status.success().then_some(()).ok_or_else(|| said(&out))
    });
    for app in ["lone", "taken"] {
        ok(config, &["restore", app, "--yes"]);
    }
    let back = fleet.run("n1", &format!("cat {files}"));
    assert_eq!(back, "saved\nsaved\n");
    assert_eq!(fleet.run("n1", driver), was);
    let services = fleet.run("n1", "docker service ls --format '{{.Name}} {{.Replicas}}'");
    for line in ["lone_lone 1/1", "taken_app 1/1"] {
        assert!(services.contains(line), "{services}");
    }
    support::fault(
        "adopt",
        "the volumes that adopted applications mount from outside of their stacks are destroyed, one of them with options",
        "they were in the backups, but for one that another application's stack makes; a restore makes them as they were",
    );
}
