//! Restoring on a practice fleet of two servers with shared storage: real PostgreSQL and MariaDB
//! under write load, 20,000 files, a real restic. Nothing here is quiesced but by the dump.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use matou::lab::LabKind;
use support::{Fleet, databases, exposure, matou, ok, private, said, until};

/// Of these tests alone; `scripts/test.sh` removes them too.
const FLEET: &str = "res";
const LOCAL: &str = "reslocal";

/// The database runs on the node that does not hold the data, the files on both.
const SHOP: &str = r"x-matou:
  title: Shop
  description: a database and many files
  variables:
    - {name: ENGINE, help: the database, default: postgresql}
    - {name: DATA, help: its folder, default: /var/lib/postgresql/data}
    - {name: NOTE, help: nothing, default: none}
  secrets:
    - {name: db_password, help: of the database, length: 24}
  backup:
    dumps:
      - {service: db, engine: @ENGINE@, database: shop, user: shop, secret: db_password, file: @DATA@/matou-dump.sql}
services:
  db:
    image: matou/databases:1
    environment:
      ENGINE: ${ENGINE}
      DB_USER: shop
      DB_NAME: shop
      DB_PASSWORD_FILE: /run/secrets/db_password
    secrets: [db_password]
    volumes: ['db:${DATA}']
    stop_signal: @SIGNAL@
    stop_grace_period: 20s
    deploy: {placement: {constraints: [node.hostname == n2]}}
  files:
    image: matou/hello:1.0
    environment: {NOTE: '${NOTE}'}
    volumes: ['files:/srv/files']
    stop_grace_period: 1s
volumes:
  db:
  files:
secrets:
  db_password: {external: true}
";

struct Practice {
    fleet: Fleet,
    config: PathBuf,
}

impl Practice {
    fn new() -> Self {
        let fleet = Fleet::with_shared_data(FLEET, 2);
        databases::image(&fleet, "n2");
        let backup =
            "[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n";
        let config = fleet.config("restore.toml", backup);
        let folder = config.parent().expect("a folder");
        password(folder);
        std::fs::create_dir_all(folder.join("stacks")).expect("a folder");
        for (name, engine, data) in [
            ("shop", "postgresql", "/var/lib/postgresql/data"),
            ("store", "mariadb", "/var/lib/mysql"),
        ] {
            let text = SHOP.replace("@ENGINE@", engine).replace("@DATA@", data);
            let signal = if name == "shop" { "SIGINT" } else { "SIGTERM" };
            let text = text.replace("@SIGNAL@", signal);
            let text = text.replace("default: postgresql", &format!("default: {engine}"));
            let text = text.replace(
                "default: /var/lib/postgresql/data",
                &format!("default: {data}"),
            );
            std::fs::write(folder.join(format!("stacks/{name}.yml")), text).expect("written");
        }
        let practice = Self { fleet, config };
        support::backup::repository(&practice.fleet, &practice.config);
        practice
    }

    fn matou(&self, args: &[&str]) -> Output {
        support::matou(&self.config, args)
    }

    fn ok(&self, args: &[&str]) -> String {
        let begun = std::time::Instant::now();
        let text = ok(&self.config, args);
        told(begun, &format!("matou {}", args.join(" ")));
        text
    }

    /// Asks the database of an application, in its container.
    fn ask(&self, app: &str, sql: &str) -> Result<String, String> {
        let client = match app.starts_with("store") {
            true => {
                "MYSQL_PWD=$(cat /run/secrets/db_password) mariadb -h 127.0.0.1 -u shop -N -B shop -e"
            }
            false => {
                "PGPASSWORD=$(cat /run/secrets/db_password) psql -h 127.0.0.1 -U shop -d shop -qAtX -c"
            }
        };
        let line = format!(
            "c=$(docker ps -q --filter label=com.docker.swarm.service.name={app}_db | head -n 1); \
             docker exec \"$c\" sh -c '{client} \"$1\"' sh '{sql}'"
        );
        let out = self.fleet.try_run("n2", &line);
        match out.status.success() {
            true => Ok(said(&out).trim().to_owned()),
            false => Err(said(&out)),
        }
    }

    fn rows(&self, app: &str) -> u64 {
        let text = self.ask(app, "SELECT count(*) FROM orders");
        let text = text.expect("the database answers");
        text.parse().expect("a number")
    }

    /// Deploys an application, gives it a table and files.
    fn make(&self, app: &str, files: u32) {
        self.ok(&["deploy", app, app, "--yes"]);
        until(Duration::from_secs(120), || {
            self.ask(app, "CREATE TABLE orders (id int, what varchar(200))")
                .map(drop)
        });
        self.fleet.run(
            "n1",
            &format!(
                "cd /mnt/data/{app}_files; awk 'BEGIN {{ for (i = 0; i < {files}; i++) {{ d = \"d\" int(i / 500); \
                 if (i % 500 == 0) {{ system(\"mkdir -p \" d) }}; f = d \"/f\" i; print \"content of \" i >f; close(f) }} }}'; \
                 echo odd >'d0/a[1]*.txt'; ln -s f1 d0/link; chown -R 33:33 ."
            ),
        );
    }

    /// Rows are written all the time until the answer is dropped.
    fn load(&self, app: &str) -> Load {
        let insert = match app {
            "store" => {
                "MYSQL_PWD=$(cat /run/secrets/db_password) mariadb -h 127.0.0.1 -u shop shop"
            }
            _ => "PGPASSWORD=$(cat /run/secrets/db_password) psql -h 127.0.0.1 -U shop -d shop -qX",
        };
        let line = format!(
            "c=$(docker ps -q --filter label=com.docker.swarm.service.name={app}_db | head -n 1); \
             exec docker exec -i \"$c\" sh -c 'i=0; while :; do i=$((i+1)); echo \"INSERT INTO orders VALUES ($i, $i);\"; done | {insert}' >/dev/null 2>&1"
        );
        let child = Command::new(env!("CARGO_BIN_EXE_matou"))
            .args(["lab", "ssh", "--name", FLEET, "n2", "--", "sh", "-c", &line])
            .stdin(Stdio::null())
            .spawn()
            .expect("matou starts");
        Load(child)
    }

    /// Backs an application up; answers with how many rows the dump holds.
    fn back_up(&self, app: &str) -> u64 {
        self.ok(&["backup", app, "--yes"]);
        let count = match app {
            "store" => "grep -o \"([0-9]*,'[0-9]*')\" $f | wc -l",
            _ => "sed -n '/^COPY public.orders/,/^[.\\\\]/p' $f | grep -c '^[0-9]'",
        };
        let line = format!("f=/mnt/data/{app}_db/matou-dump.sql; {count}");
        let rows = self.fleet.run("n1", &line);
        rows.trim().parse().expect("a number")
    }

    fn files(&self, folder: &str) -> String {
        hash(&self.fleet, folder)
    }

    /// Started in the background; its output goes nowhere.
    fn spawn(&self, args: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_matou"))
            .arg("--config")
            .arg(&self.config)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("matou starts")
    }

    /// Waits until a shell line on the storage node succeeds; there, so that what lasts a few tenths of a
    /// second is seen too.
    fn wait_on_storage(&self, line: &str) {
        let line =
            format!("until {{ {line}; }} 2>/dev/null; do sleep 0.02; done").replace('\'', r"'\''");
        self.fleet.run("n1", &format!("timeout 120 sh -c '{line}'"));
    }
}

/// Writes the repository's password.
fn password(folder: &Path) {
    private(&folder.join("restic-password"), "restore-pass-5d2e\n");
}

/// One hash of every file's name, owner, time and content in a folder of the storage node.
fn hash(fleet: &Fleet, folder: &str) -> String {
    fleet.run(
        "n1",
        &format!(
            "cd {folder} && {{ find . -printf '%y %m %U:%G %p %l\\n'; find . -type f -printf '%T@ %p\\n'; \
             find . -type f -print0 | sort -z | xargs -0 cat; }} | LC_ALL=C sort | sha256sum"
        ),
    )
}

/// Says how long everything before took.
fn told(begun: std::time::Instant, what: &str) {
    eprintln!("{:>6.1} s: {what}", begun.elapsed().as_secs_f32());
}

struct Load(Child);

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_was_lost_comes_back_and_what_was_interrupted_is_never_between() {
    let begun = std::time::Instant::now();
    let p = Practice::new();
    told(begun, "a fleet");
    let mut watch = exposure::Watch::begin(&["restore-pass-5d2e"]);
    p.make("shop", 20_000);
    watch.also(&p.ok(&["secrets", "shop", "show", "db_password"]));
    told(begun, "a shop with 20,000 files");
    let files = p.files("/mnt/data/shop_files");
    let load = p.load("shop");
    until(Duration::from_secs(60), || match p.rows("shop") {
        0..300 => Err("too few rows".into()),
        _ => Ok(()),
    });
    let rows = p.back_up("shop");
    assert!(
        rows > 0 && p.rows("shop") > rows,
        "nothing was written meanwhile"
    );

    told(begun, "a snapshot");
    // Everything is lost while it is written to.
    p.fleet
        .run("n1", "rm -rf /mnt/data/shop_db /mnt/data/shop_files");
    let plan = p.ok(&["restore", "shop", "--dry-run"]);
    assert!(
        plan.contains("/mnt/data/shop_db: made anew, its dump loaded"),
        "{plan}"
    );
    assert!(plan.contains("less than an hour old"), "{plan}");
    let text = p.ok(&["restore", "shop", "--yes"]);
    drop(load);
    assert!(text.contains("as many as the snapshot holds"), "{text}");
    assert_eq!(p.rows("shop"), rows, "another point than the dump's");
    assert_eq!(p.files("/mnt/data/shop_files"), files);
    // There was nothing that could be kept.
    let left = p
        .fleet
        .run("n1", "find /mnt/data/.matou/restores -mindepth 1");
    assert_eq!(left, "");

    told(begun, "restored");
    // The rest is as true of a thousand.
    p.fleet
        .run("n1", "cd /mnt/data/shop_files && rm -rf d[2-9] d[1-3][0-9]");
    let rows = p.back_up("shop");
    let files = p.files("/mnt/data/shop_files");
    undone(&p, rows);
    told(begun, "undone");
    interrupted(&p);
    told(begun, "interrupted");
    power_cut(&p);
    told(begun, "power cut");
    one_file(&p);
    told(begun, "one file");
    beside(&p, rows, &files);
    told(begun, "beside");
    no_room(&p);
    told(begun, "no room");
    proven(&p);
    told(begun, "proven");
    mariadb(&p);
    told(begun, "the other database");
    everything(&p);
    told(begun, "everything");
    shared_volume(&p);
    told(begun, "a shared volume");
    watch.end(&p.fleet, &["n1", "n2"]);
    exposure::modes(&p.fleet, &["n1", "n2"]);
    exposure::own_modes();
    told(begun, "no secret was seen");
}

/// What was written since comes back by an undo, and goes by a forget.
fn undone(p: &Practice, rows: u64) {
    p.ask("shop", "INSERT INTO orders VALUES (0, 0)")
        .expect("inserted");
    p.fleet.run("n1", "echo since >/mnt/data/shop_files/since");
    p.ok(&["restore", "shop", "--yes"]);
    assert_eq!(p.rows("shop"), rows);
    p.fleet.run("n1", "[ ! -e /mnt/data/shop_files/since ]");
    // What a restore replaced is not lost by the next one.
    let out = p.matou(&["restore", "shop", "--yes"]);
    assert!(
        !out.status.success() && said(&out).contains("forget shop"),
        "{}",
        said(&out)
    );
    p.ok(&["restore", "undo", "shop", "--yes"]);
    assert_eq!(p.rows("shop"), rows + 1);
    p.fleet.run("n1", "[ -e /mnt/data/shop_files/since ]");
    let again = p.ok(&["restore", "undo", "shop", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
    p.ok(&["restore", "forget", "shop", "--yes"]);
    assert_eq!(p.rows("shop"), rows + 1);
    support::fault(
        "restore",
        "a restore is taken back, then forgotten",
        "what the application wrote since comes back; it goes with a forget alone",
    );
}

/// matou is killed while the services are stopped and the folders exchanged.
fn interrupted(p: &Practice) {
    let before = p.rows("shop");
    let mut running = p.spawn(&["restore", "shop", "--yes"]);
    p.wait_on_storage("grep -qE 'restoring|loading' /mnt/data/.matou/restores/shop.json && [ -e /mnt/data/.matou/restores/shop/old/0-shop_db ]");
    running.kill().expect("killed");
    running.wait().expect("ended");
    let plan = p.ok(&["restore", "undo", "shop", "--dry-run"]);
    let half = plan.contains("half restored") || plan.contains("not all of it loaded");
    assert!(half, "{plan}");
    // The lock of the one that was killed is gone a moment later.
    until(Duration::from_secs(60), || {
        let out = p.matou(&["restore", "undo", "shop", "--yes"]);
        match out.status.success() {
            true => Ok(()),
            false => Err(said(&out)),
        }
    });
    assert_eq!(p.rows("shop"), before);
    p.fleet.run("n1", "[ -e /mnt/data/shop_files/since ]");
    let status = p.ok(&["status"]);
    assert!(!status.contains("0/1"), "{status}");
    // And cancelled by the operator: it takes itself back.
    let mut running = p.spawn(&["restore", "shop", "--yes"]);
    p.wait_on_storage("[ -e /mnt/data/.matou/restores/shop/old/0-shop_db ]");
    let pid = running.id().to_string();
    Command::new("kill")
        .args(["-INT", &pid])
        .status()
        .expect("kill");
    let status = running.wait().expect("ended");
    assert_eq!(status.code(), Some(130));
    // What ran on the restored data already is kept.
    p.fleet.run(
        "n1",
        "[ ! -e /mnt/data/.matou/restores/shop.json ] || grep undone /mnt/data/.matou/restores/shop.json",
    );
    assert_eq!(p.rows("shop"), before);
    p.ok(&["restore", "forget", "shop", "--yes"]);
    p.fleet
        .run("n1", "[ -z \"$(ls -A /mnt/data/.matou/restores)\" ]");
    // In every other phase, and at every step of each: crates/ops/src/restore/explored.rs.
    for phase in ["restoring", "loading", "started"] {
        interrupted_twice(p, phase);
    }
    backup_while_loading(p);
    support::fault(
        "restore",
        "matou is killed in a restore (phases restoring, loading, started), then in its undo",
        "one undo leads out; the data in use comes back, what was written to the restored one is kept",
    );
}

/// A backup is asked for while the dump is just being loaded: half a database never becomes the newest
/// snapshot.
fn backup_while_loading(p: &Practice) {
    let snapshots = || p.ok(&["snapshots", "shop", "--json"]);
    let (before, rows) = (snapshots(), p.rows("shop"));
    let mut running = p.spawn(&["restore", "shop", "--yes"]);
    p.wait_on_storage("grep -q '\"loading\"' /mnt/data/.matou/restores/shop.json");
    let pid = running.id().to_string();
    let signal = |name: &str| {
        let done = Command::new("kill").args([name, &pid]).status();
        assert!(done.expect("kill").success());
    };
    signal("-STOP");
    let out = p.matou(&["backup", "shop"]);
    let text = said(&out);
    signal("-CONT");
    assert!(
        !out.status.success() && text.contains("shop is in use by ") && !text.contains("done in"),
        "{text}"
    );
    assert_eq!(running.wait().expect("ended").code(), Some(0));
    assert_eq!(snapshots(), before);
    p.ok(&["restore", "undo", "shop", "--yes"]);
    assert_eq!(p.rows("shop"), rows);
    p.ok(&["restore", "forget", "shop", "--yes"]);
    support::fault(
        "restore",
        "a backup is asked for while a restore loads the dump",
        "refused, or it waits; no snapshot of half a database",
    );
}

/// A restore is killed in one of its phases, the undo of it too, then undone again: the data in use
/// comes back whole, and what was written to the restored one is kept.
fn interrupted_twice(p: &Practice, phase: &str) {
    let mark = format!("only copy {phase}");
    p.fleet
        .run("n1", &format!("echo '{mark}' >/mnt/data/shop_files/since"));
    let before = p.rows("shop");
    let state = "/mnt/data/.matou/restores/shop.json";
    let mut running = p.spawn(&["restore", "shop", "--yes"]);
    p.wait_on_storage(&format!("grep -q '\"{phase}\"' {state}"));
    running.kill().expect("killed");
    running.wait().expect("ended");
    // What the application writes to the restored data meanwhile is the only copy of that.
    let has_run = phase == "started";
    if has_run {
        p.fleet
            .run("n1", "echo order >/mnt/data/shop_files/meanwhile");
    }
    let mut running = p.spawn(&["restore", "undo", "shop", "--yes"]);
    p.wait_on_storage(&format!(
        "[ ! -e {state} ] || grep -qE '\"(undoing|undone|clearing)\"' {state} || [ -e /mnt/data/shop_files/since ]"
    ));
    running.kill().expect("killed");
    running.wait().expect("ended");
    until(Duration::from_secs(120), || {
        let out = p.matou(&["restore", "undo", "shop", "--yes"]);
        match out.status.success() {
            true => Ok(()),
            false => Err(said(&out)),
        }
    });
    let live = p.fleet.run("n1", "cat /mnt/data/shop_files/since");
    assert_eq!(live.trim(), mark, "{phase}");
    assert_eq!(p.rows("shop"), before, "{phase}");
    if has_run {
        let kept = p
            .fleet
            .run("n1", "grep -r order /mnt/data/.matou/restores/shop");
        assert!(kept.contains("meanwhile"), "{phase}: {kept}");
        // Other jobs go on when it is at its end.
        let plan = p.ok(&["restore", "forget", "shop", "--dry-run"]);
        assert!(plan.contains("with what was written to it"), "{plan}");
    }
    p.ok(&["restore", "forget", "shop", "--yes"]);
    let live = p.fleet.run("n1", "cat /mnt/data/shop_files/since");
    assert_eq!(live.trim(), mark, "{phase}");
    let status = p.ok(&["status"]);
    assert!(!status.contains("0/1"), "{phase}: {status}");
}

/// A volume that two applications mount: both stop, both find what is restored. And a service that came
/// after the restore goes on after its undo.
fn shared_volume(p: &Practice) {
    let folder = p.config.parent().expect("a folder").join("stacks");
    let stack = |more: &str| {
        let service = "image: matou/hello:1.0\n    volumes: ['common:/srv/files']\n    stop_grace_period: 1s\n";
        let more = if more.is_empty() {
            String::new()
        } else {
            format!("  {more}:\n    {service}")
        };
        format!("services:\n  web:\n    {service}{more}volumes:\n  common: {{name: common}}\n")
    };
    for app in ["sha", "shb"] {
        std::fs::write(folder.join(format!("{app}.yml")), stack("")).expect("written");
        p.ok(&["deploy", app, app, "--yes"]);
    }
    let live = "/mnt/data/common";
    p.fleet.run("n1", &format!("echo a >{live}/a"));
    p.ok(&["backup", "sha", "--yes"]);
    p.fleet.run("n1", &format!("echo since >{live}/since"));
    // A container that is no service's can't be stopped here.
    let stray = "docker run -d --name stray -v common:/x matou/hello:1.0";
    p.fleet.run("n2", stray);
    let out = p.matou(&["restore", "sha", "--yes"]);
    let text = said(&out);
    assert!(
        !out.status.success() && text.contains("container stray on n2"),
        "{text}"
    );
    p.fleet.run("n2", "docker rm -f stray");
    let plan = p.ok(&["restore", "sha", "--dry-run"]);
    assert!(
        plan.contains("service shb_web") && plan.contains("none of sha"),
        "{plan}"
    );
    p.ok(&["restore", "sha", "--yes"]);
    let write = |app: &str| {
        let line = format!(
            "for c in $(docker ps -q --filter label=com.docker.swarm.service.name={app}_web); do docker exec $c sh -c 'echo order >/srv/files/{app}'; done"
        );
        for node in ["n1", "n2"] {
            p.fleet.run(node, &line);
        }
    };
    write("shb");
    p.fleet
        .run("n1", &format!("[ -e {live}/shb ] && [ ! -e {live}/since ]"));
    // One more service comes, then the undo.
    std::fs::write(folder.join("sha.yml"), stack("worker")).expect("written");
    p.ok(&["redeploy", "sha", "--yes"]);
    p.ok(&["restore", "undo", "sha", "--yes"]);
    let status = p.ok(&["status"]);
    assert!(!status.contains("0/0"), "{status}");
    write("shb");
    p.fleet
        .run("n1", &format!("[ -e {live}/since ] && [ -e {live}/shb ]"));
    p.fleet
        .run("n1", "grep -r order /mnt/data/.matou/restores/sha");
    p.ok(&["restore", "forget", "sha", "--yes"]);
    for app in ["sha", "shb"] {
        p.ok(&["remove", app, "--yes"]);
    }
    support::fault(
        "restore",
        "two applications share a volume; a container that is no service uses it",
        "both stop and find what is restored; the plan asks to stop the container",
    );
}

/// The storage node loses its power in the middle.
fn power_cut(p: &Practice) {
    let before = p.rows("shop");
    let mut running = p.spawn(&["restore", "shop", "--yes"]);
    p.wait_on_storage("[ -e /mnt/data/.matou/restores/shop/old/0-shop_db ]");
    p.fleet.kill("n1");
    running.kill().expect("killed");
    running.wait().expect("ended");
    p.fleet.wait(p.fleet.lab.start_node("n1"));
    until(Duration::from_secs(120), || {
        let out = p.matou(&["status"]);
        match out.status.success() {
            true => Ok(()),
            false => Err(said(&out)),
        }
    });
    // The same command again takes it back first, then restores.
    let text = p.ok(&["restore", "shop", "--yes"]);
    assert!(text.contains("taken back first"), "{text}");
    assert!(p.rows("shop") < before);
    p.ok(&["restore", "forget", "shop", "--yes"]);
    support::fault(
        "restore",
        "the storage node loses its power in a restore",
        "the same command again takes it back first",
    );
}

/// One file with every character of a pattern in its name, in place and into a folder.
fn one_file(p: &Practice) {
    let path = "/mnt/data/shop_files/d0/a[1]*.txt";
    let task = "docker ps -q --filter label=com.docker.swarm.service.name=shop_db";
    let before = p.fleet.run("n2", task);
    p.fleet.run("n1", &format!("echo changed >'{path}'"));
    p.ok(&["restore", "shop", "--path", path, "--yes"]);
    let content = p
        .fleet
        .run("n1", &format!("cat '{path}'; stat -c %u '{path}'"));
    assert_eq!(content, "odd\n33\n");
    p.ok(&["restore", "undo", "shop", "--yes"]);
    assert_eq!(p.fleet.run("n1", &format!("cat '{path}'")), "changed\n");
    p.ok(&["restore", "forget", "shop", "--yes"]);
    assert_eq!(
        p.fleet.run("n2", task),
        before,
        "the database was restarted"
    );
    p.ok(&[
        "restore",
        "shop",
        "--path",
        path,
        "--into",
        "/srv/back",
        "--yes",
    ]);
    let content = p.fleet.run(
        "n1",
        &format!("cd /srv/back; find . -type f; cat './{path}'"),
    );
    assert_eq!(content, format!(".{path}\nodd\n"));
    // Not over what is there, and nothing that is not in the snapshot.
    let out = p.matou(&[
        "restore",
        "shop",
        "--path",
        path,
        "--into",
        "/srv/back",
        "--yes",
    ]);
    assert!(
        said(&out).contains("holds something already"),
        "{}",
        said(&out)
    );
    let missing = "/mnt/data/shop_files/d0/a1.txt";
    let out = p.matou(&[
        "restore", "shop", "--path", missing, "--into", "/srv/b", "--yes",
    ]);
    assert!(
        said(&out).contains("is not in the snapshot"),
        "{}",
        said(&out)
    );
    let inside = "/mnt/data/shop_db/PG_VERSION";
    let out = p.matou(&["restore", "shop", "--path", inside, "--yes"]);
    assert!(said(&out).contains("files of a database"), "{}", said(&out));
}

/// The application as it was, under another name, beside the running one.
fn beside(p: &Practice, rows: u64, files: &str) {
    let before = p.rows("shop");
    p.ok(&["restore", "shop", "--as", "shop2", "NOTE=second", "--yes"]);
    assert_eq!(p.rows("shop2"), rows);
    assert_eq!(p.files("/mnt/data/shop2_files"), files);
    assert_eq!(p.rows("shop"), before);
    let secret = |app: &str| {
        p.fleet.run(
            "n1",
            &format!("cat /mnt/data/.matou/secrets/{app}/db_password.v1"),
        )
    };
    assert_eq!(secret("shop2"), secret("shop"));
    let out = p.matou(&["restore", "shop", "--as", "shop2", "--yes"]);
    assert!(said(&out).contains("already"), "{}", said(&out));
    p.ok(&[
        "remove",
        "shop2",
        "--volume",
        "shop2_db",
        "--volume",
        "shop2_files",
        "--yes",
    ]);
    p.ok(&["restore", "forget", "shop2", "--yes"]);
}

/// A disk that is too small, seen before, and one that has no room for so many files, seen only when
/// they are written.
fn no_room(p: &Practice) {
    p.fleet.run(
        "n1",
        "mkdir -p /srv/small /srv/few; mount -t tmpfs -o size=2m none /srv/small; mount -t tmpfs -o size=500m,nr_inodes=500 none /srv/few",
    );
    let out = p.matou(&["restore", "shop", "--into", "/srv/small/x", "--yes"]);
    let text = said(&out);
    assert!(
        !out.status.success() && text.contains("are needed: make room first"),
        "{text}"
    );
    let folder = "/mnt/data/shop_files";
    let out = p.matou(&[
        "restore",
        "shop",
        "--path",
        folder,
        "--into",
        "/srv/few/x",
        "--yes",
    ]);
    let text = said(&out);
    assert!(
        !out.status.success() && text.contains("no room is left"),
        "{text}"
    );
    // Wrong files are not left behind.
    p.fleet
        .run("n1", "[ ! -e /srv/few/x ]; umount /srv/small /srv/few");
    support::fault(
        "restore",
        "the disk is full before, and while, a restore writes",
        "nothing in use is changed",
    );
}

/// A proof counts, and a file that differs without anybody having changed it is none.
fn proven(p: &Practice) {
    let text = p.ok(&["verify", "shop"]);
    assert!(
        text.contains("db matou-dump.sql: loaded, 1 tables"),
        "{text}"
    );
    let proof = |p: &Practice| -> serde_json::Value {
        let text = p.fleet.run("n1", "cat /mnt/data/.matou/proofs/shop.json");
        serde_json::from_str(&text).expect("a proof")
    };
    let good = proof(p);
    assert_eq!(good["problem"], serde_json::Value::Null);
    assert!(good["same"].as_u64() >= Some(999), "{good}");
    let left = p.fleet.run(
        "n1",
        "ls -A /mnt/data/.matou/proofs; docker stack ls --format '{{.Name}}'; docker secret ls --format '{{.Name}}'; ls /mnt/data",
    );
    assert!(
        !left.contains("-proof") && !left.contains("scratch"),
        "{left}"
    );
    p.fleet.run(
        "n1",
        "cd /mnt/data/shop_files/d1; t=$(stat -c %y f600); printf 'Content of 600\\n' >f600; touch -d \"$t\" f600",
    );
    let out = p.matou(&["verify", "shop"]);
    assert!(!out.status.success(), "{}", said(&out));
    let bad = proof(p);
    let problem = bad["problem"].as_str().unwrap_or_default();
    assert!(problem.contains("shop_files/./d1/f600"), "{problem}");
}

/// The other database, of an application that is gone altogether.
fn mariadb(p: &Practice) {
    p.make("store", 100);
    let load = p.load("store");
    until(Duration::from_secs(60), || match p.rows("store") {
        0..300 => Err("too few rows".into()),
        _ => Ok(()),
    });
    let rows = p.back_up("store");
    drop(load);
    // An application that is gone altogether is deployed again from its file.
    p.ok(&[
        "remove",
        "store",
        "--volume",
        "store_db",
        "--volume",
        "store_files",
        "--yes",
    ]);
    p.ok(&["restore", "store", "--yes"]);
    assert_eq!(p.rows("store"), rows);
    p.fleet.run("n1", "[ -e /mnt/data/store_files/d0/f42 ]");
}

/// All applications at once: what was lost and what was changed.
fn everything(p: &Practice) {
    let rows = (p.rows("shop"), p.back_up("store"));
    p.back_up("shop");
    let files = p.files("/mnt/data/shop_files");
    p.ok(&["restore", "forget", "shop", "--yes"]);
    p.ok(&["restore", "forget", "store", "--yes"]);
    p.fleet.run(
        "n1",
        "rm -r /mnt/data/shop_files/d0; echo no >/mnt/data/store_files/d0/f42",
    );
    p.ask("store", "DELETE FROM orders").expect("deleted");
    let text = p.ok(&["restore", "--all", "--yes"]);
    assert!(text.contains("shop") && text.contains("store"), "{text}");
    assert_eq!((p.rows("shop"), p.rows("store")), rows);
    assert_eq!(p.files("/mnt/data/shop_files"), files);
    let content = p.fleet.run("n1", "cat /mnt/data/store_files/d0/f42");
    assert_eq!(content, "content of 42\n");
}

/// Volumes of the driver `local` lie where Docker keeps them: what is restored is written beside them,
/// and a volume that is gone is made again.
#[test]
fn a_volume_of_the_local_driver_comes_back() {
    let fleet = Fleet::new(LOCAL);
    fleet.wait(fleet.lab.up(1, LabKind::Swarm, &|_| {}));
    support::backup::restic(&fleet);
    let config = fleet.config(
        "local.toml",
        "[storage]\nnode = \"n1\"\ndriver = \"local\"\n[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n",
    );
    let folder = config.parent().expect("a folder");
    password(folder);
    std::fs::create_dir_all(folder.join("stacks")).expect("a folder");
    let stack = "services:\n  web:\n    image: matou/hello:1.0\n    volumes: ['files:/srv/files']\n    stop_grace_period: 1s\nvolumes:\n  files:\n";
    std::fs::write(folder.join("stacks/plain.yml"), stack).expect("written");
    support::backup::repository(&fleet, &config);
    ok(&config, &["deploy", "plain", "plain", "--yes"]);
    let place = || {
        let line = "docker volume inspect --format '{{.Mountpoint}}' plain_files";
        fleet.run("n1", line).trim().to_owned()
    };
    let data = place();
    fleet.run(
        "n1",
        &format!(
            "cd {data}; mkdir -p 'a b/\u{e9}'; echo one >'a b/\u{e9}/-rf'; ln -s nowhere link; \
             head -c 3000000 /dev/urandom >big; chown 33:33 big; chmod 640 big"
        ),
    );
    let before = hash(&fleet, &data);
    ok(&config, &["backup", "plain"]);

    fleet.run("n1", &format!("rm -rf {data}/*; echo later >{data}/later"));
    let lost = hash(&fleet, &data);
    ok(&config, &["restore", "plain", "--yes"]);
    assert_eq!(hash(&fleet, &data), before);
    // The container that runs now has them, not the one of before.
    let seen = "cd /proc/$(docker inspect --format '{{.State.Pid}}' $(docker ps -q --filter label=com.docker.swarm.service.name=plain_web))/root/srv/files; cat 'a b/\u{e9}/-rf'; ls";
    let seen = fleet.run("n1", seen);
    assert!(
        seen.starts_with("one\n") && !seen.contains("later"),
        "{seen}"
    );
    ok(&config, &["restore", "undo", "plain", "--yes"]);
    assert_eq!(hash(&fleet, &data), lost);
    // What was restored is kept then, in case undoing was the mistake.
    ok(&config, &["restore", "forget", "plain", "--yes"]);
    full_at_the_end(&fleet, &config);
    assert_eq!(hash(&fleet, &data), lost);

    ok(
        &config,
        &["remove", "plain", "--volume", "plain_files", "--yes"],
    );
    let gone = fleet.try_run("n1", "docker volume inspect plain_files");
    assert!(!gone.status.success(), "{}", said(&gone));
    // Its file stays, and says so: a recovery does not bring back what somebody took away.
    let plan = said(&matou(&config, &["recover", "--dry-run"]));
    assert!(
        plan.contains("plain was removed on 20") && !plan.contains("application plain"),
        "{plan}"
    );
    ok(&config, &["restore", "plain", "--yes"]);
    assert_eq!(hash(&fleet, &place()), before);
    let file = std::fs::read_to_string(config.with_file_name("apps").join("plain.toml"));
    let file = file.expect("its file");
    assert!(!file.contains("removed"), "{file}");
    ok(&config, &["restore", "forget", "plain", "--yes"]);
    fleet.run("n1", "[ -z \"$(ls -A /var/lib/docker/matou-restores)\" ]");
}

/// Where the state of a restore is there is no room left when all is done but to write that down: it is
/// written all the same, and so is that it is undone. Where there was none before, nothing is begun.
fn full_at_the_end(fleet: &Fleet, config: &PathBuf) {
    let states = "/mnt/data/.matou/restores";
    let fill = "head -c 1M /dev/zero >>fill";
    fleet.run(
        "n1",
        &format!(
            "mkdir -p {states}; mount -t tmpfs -o size=200k none {states}; cd {states}; \
             systemd-run --quiet --working-directory={states} sh -c 'until grep -q started plain.json; do sleep 0.02; done; {fill}'"
        ),
    );
    let text = ok(config, &["restore", "plain", "--yes"]);
    let full = |phase: &str| {
        let line = format!(
            "cd {states}; ! {fill} 2>/dev/null; grep -q '\"phase\": \"{phase}\"' plain.json"
        );
        let out = fleet.try_run("n1", &line);
        assert!(out.status.success(), "{phase}: {}\n{text}", said(&out));
    };
    full("restored");
    ok(config, &["restore", "undo", "plain", "--yes"]);
    full("undone");
    ok(config, &["restore", "forget", "plain", "--yes"]);
    fleet.try_run("n1", &format!("cd {states}; {fill}"));
    let out = matou(config, &["restore", "plain", "--yes"]);
    let text = said(&out);
    assert!(
        text.contains("for the state of a restore: make room"),
        "{text}"
    );
    fleet.run("n1", &format!("umount {states}"));
}
