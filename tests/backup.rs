//! Backups for real: restic, a PostgreSQL under write load, 20,000 files, every kind of repository,
//! and what goes wrong in the middle.
//!
//! One fleet of two for all of it, in the order below: each part leaves a sound repository.

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use matou::lab::LabKind;
use support::backup::{Listener, postgres, send};
use support::pty::Pty;
use support::s3::S3;
use support::{Fleet, exposure, matou, ok, private, said, until};

const FLEET: &str = "backup";
const PASSWORD: &str = "practice-pass-8c41";
const S3_KEY: &str = "practice-key-57d0";
const REST_KEY: &str = "practice-rest-2b9e";

const SHOP: &str = r#"
version: "3.8"
x-matou:
  title: Shop
  secrets:
    - name: db_password
  backup:
    dumps:
      - service: db
        engine: postgresql
        database: shop
        user: shop
        secret: db_password
        file: /data/dump.sql
    exclude:
      - cache/*
services:
  db:
    image: matou/postgres:15
    secrets:
      - db_password
    volumes:
      - db:/data
    deploy:
      placement:
        constraints:
          - node.role == worker
  web:
    image: matou/hello:1.0
    volumes:
      - files:/files
volumes:
  db:
  files:
secrets:
  db_password:
    external: true
"#;

/// An SQLite database that is written to without end, each time a row into two tables at once. Its
/// rows say in which container they were written.
const NOTES: &str = r#"
version: "3.8"
x-matou:
  title: Notes
  backup:
    dumps:
      - service: web
        engine: sqlite
        database: /notes/notes.db
        file: /notes/copy.db
services:
  web:
    image: matou/postgres:15
    command:
      - sh
      - -c
      - |
        cd /notes; r=$$(cat /etc/hostname)
        sqlite3 notes.db 'pragma journal_mode=wal; create table if not exists a (r text); create table if not exists b (r text)'
        while :; do echo "begin; insert into a values ('$$r'); insert into b values ('$$r'); commit;"; sleep 0.01; done | sqlite3 -cmd '.timeout 9000' notes.db
    volumes:
      - data:/notes
    stop_grace_period: 1s
    deploy:
      placement:
        constraints:
          - node.role == worker
volumes:
  data:
"#;

/// Writes without end, each time a row into two tables at once: equal counts are one state.
const LOAD: &str = "while :; do echo 'begin; insert into a select repeat(md5(random()::text), 20); insert into b values (1); commit;'; sleep 0.05; done | \
    PGPASSWORD=$(cat /run/secrets/db_password) psql -q -U shop shop >/dev/null 2>&1";

struct Shop {
    fleet: Fleet,
    folder: PathBuf,
    config: PathBuf,
    gateway: String,
    begun: Instant,
}

impl Shop {
    /// A fleet of two with the shop on it: the database on n2, the data and restic on n1.
    fn open() -> Self {
        let begun = Instant::now();
        let fleet = Fleet::with_shared_data(FLEET, 2);
        postgres(&fleet, "n2");
        let own = fleet.lab.config_path();
        let folder = own.parent().expect("a folder").to_owned();
        std::fs::create_dir_all(folder.join("stacks")).expect("made");
        std::fs::write(folder.join("stacks/shop.yml"), SHOP).expect("written");
        std::fs::write(folder.join("stacks/notes.yml"), NOTES).expect("written");
        secret(&folder.join("restic-password"), PASSWORD);
        secret(&folder.join("wrong-password"), "another");
        let config = fleet.config("backup.toml", &repository("/srv/restic", ""));
        let address = fleet.address("n1");
        let gateway = format!("{}.1", address.rsplit_once('.').expect("IPv4").0);
        Self {
            fleet,
            folder,
            config,
            gateway,
            begun,
        }
    }

    fn part(&self, what: &str) {
        eprintln!("{:>5.0} s  {what}", self.begun.elapsed().as_secs_f32());
    }

    fn n1(&self, line: &str) -> String {
        self.fleet.run("n1", line)
    }

    /// In the database's container.
    fn db(&self, line: &str) -> String {
        let quoted = line.replace('\'', "'\\''");
        self.fleet.run(
            "n2",
            &format!("docker exec $(docker ps -q -f name=shop_db) sh -c '{quoted}'"),
        )
    }

    fn psql(&self, database: &str, sql: &str) -> String {
        self.db(&format!(
            "PGPASSWORD=$(cat /run/secrets/db_password) psql -q -t -A -U shop {database} -c \"{sql}\""
        ))
    }

    fn backup(&self, config: &PathBuf, app: &str) -> String {
        ok(config, &["backup", app])
    }

    fn fails(&self, config: &PathBuf, args: &[&str], part: &str) -> String {
        let out = matou(config, args);
        let text = said(&out);
        assert_eq!(out.status.code(), Some(1), "{args:?}: {text}");
        assert!(text.contains(part), "{args:?}: {text}");
        text
    }

    fn snapshots(&self, config: &PathBuf) -> Vec<serde_json::Value> {
        let text = ok(config, &["snapshots", "shop", "--json"]);
        serde_json::from_str(&text).expect("JSON")
    }

    /// Restores the newest snapshot with plain restic, and compares it with what is there: every
    /// file's SHA-256, and the dump loaded into another database.
    fn same_as_restored(&self, variables: &str, repository: &str) {
        let sums = |folder: &str| {
            self.n1(&format!(
                "cd {folder} && find . -type f ! -path './cache/*' -print0 | sort -z | xargs -0 sha256sum | sha256sum"
            ))
        };
        let restic = format!(
            "export {variables} RESTIC_PASSWORD={PASSWORD} RESTIC_CACHE_DIR=/var/cache/matou/restic; restic --no-lock -r {repository}"
        );
        self.n1(&format!(
            "rm -rf /srv/out; {restic} restore latest --tag app=shop --target /srv/out >/dev/null"
        ));
        let out = "/srv/out/mnt/data";
        assert_eq!(
            sums("/mnt/data/shop_files"),
            sums(&format!("{out}/shop_files")),
            "{repository}"
        );
        let count = self.n1(&format!("find {out}/shop_files -type f | wc -l"));
        assert_eq!(count.trim(), "20000");
        for kept in [
            ".matou/secrets/shop/db_password.v1",
            ".matou/dumps/shop/shop.toml",
            ".matou/dumps/shop/stack.yml",
            ".matou/dumps/shop/manifest.json",
        ] {
            self.n1(&format!("test -s {out}/{kept}"));
        }
        self.n1("cp /srv/out/mnt/data/shop_db/dump.sql /mnt/data/shop_db/check.sql; chmod 644 /mnt/data/shop_db/check.sql");
        self.psql("postgres", "drop database if exists again");
        self.psql("postgres", "create database again");
        self.db("PGPASSWORD=$(cat /run/secrets/db_password) psql -q -v ON_ERROR_STOP=1 -U shop again -f /data/check.sql");
        let counts = self.psql(
            "again",
            "select (select count(*) from a), (select count(*) from b)",
        );
        let (a, b) = counts.trim().split_once('|').expect("two counts");
        assert_eq!(a, b, "the dump is one state");
        assert!(a.parse::<u64>().expect("a count") > 10, "{counts}");
        self.n1("rm -rf /srv/out /mnt/data/shop_db/check.sql");
    }

    /// Starts a backup that takes long: new data, and a slow line. Comes back when restic has read all and writes; it
    /// is held there until [`Shop::go_on`].
    fn slow(&self, config: &PathBuf) -> Child {
        self.n1("head -c 6000000 /dev/urandom >/mnt/data/shop_files/big");
        let child = self.start(config);
        until(Duration::from_secs(60), || {
            let state = self.n1(
                "systemctl is-active matou-backup-app-shop || :; l=/run/matou/matou-backup-app-shop.log; \
                 if grep -q bytes_done $l; then for p in $(pidof restic); do \
                 if ls -l /proc/$p/fd | grep -q '/data/.*-tmp-'; then kill -STOP $p; echo it is held; fi; done; fi; cat $l",
            );
            match state.starts_with("active") && state.contains("it is held") {
                true => Ok(()),
                false => Err(state),
            }
        });
        child
    }

    /// Lets restic go on that is held.
    fn go_on(&self) {
        self.n1("for p in $(pidof restic); do kill -CONT $p || :; done");
    }

    fn start(&self, config: &PathBuf) -> Child {
        Command::new(env!("CARGO_BIN_EXE_matou"))
            .arg("--config")
            .arg(config)
            .args(["backup", "shop"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("matou starts")
    }

    fn ended(&self, child: Child) -> (Option<i32>, String) {
        let out = child.wait_with_output().expect("it ends");
        (out.status.code(), said(&out))
    }
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

fn repository(location: &str, more: &str) -> String {
    format!("[backup]\nrepository = \"{location}\"\npassword_file = \"restic-password\"\n{more}\n")
}

#[test]
fn backups_of_a_shop_under_load() {
    let shop = Shop::open();
    let config = &shop.config;
    shop.part("the fleet is up");
    shop.fails(config, &["backup", "--all"], "matou repo init");
    let made = support::backup::repository(&shop.fleet, config);
    assert!(made.contains("+ repository main (/srv/restic)"), "{made}");
    assert!(ok(config, &["repo", "init", "--yes"]).contains("nothing to do"));
    let wrong = shop.fleet.config(
        "wrong.toml",
        "[backup]\nrepository = \"/srv/restic\"\npassword_file = \"wrong-password\"",
    );
    shop.fails(&wrong, &["backup", "--all"], "password of the repository");
    let unknown = matou(config, &["backup", "nosuch"]);
    let text = said(&unknown);
    assert_eq!(unknown.status.code(), Some(2), "{text}");
    assert!(
        text.contains("there is no application \"nosuch\""),
        "{text}"
    );

    ok(config, &["deploy", "shop", "shop", "--yes"]);
    shop.n1(
        "cd /mnt/data/shop_files && mkdir cache && echo x >cache/y && i=0 && while [ $i -lt 200 ]; do mkdir d$i; j=0; while [ $j -lt 100 ]; do echo \"$i $j $RANDOM\" >d$i/f$j; j=$((j+1)); done; i=$((i+1)); done",
    );
    until(Duration::from_secs(60), || {
        let out = shop.fleet.try_run("n2", "docker exec $(docker ps -q -f name=shop_db) sh -c 'PGPASSWORD=$(cat /run/secrets/db_password) psql -U shop postgres -c \"select 1\"'");
        match out.status.success() {
            true => Ok(()),
            false => Err(said(&out)),
        }
    });
    shop.psql("postgres", "create database shop");
    shop.psql("shop", "create table a (x text); create table b (y int)");
    shop.fleet.run(
        "n2",
        &format!(
            "docker exec -d $(docker ps -q -f name=shop_db) sh -c '{}'",
            LOAD.replace('\'', "'\\''")
        ),
    );
    vault(&shop);
    shop.part("the shop is deployed, with 20,000 files and write load");

    a_backup_holds_everything_and_shows_no_secret(&shop);
    what_is_not_whole_is_told(&shop);
    every_kind_of_repository(&shop);
    two_at_once_and_a_closed_console(&shop);
    a_snapshot_that_is_not_what_was_written(&shop);
    what_goes_wrong_in_the_middle(&shop);
    what_is_old_is_forgotten(&shop);
    the_night_on_the_manager(&shop);
    a_database_that_is_a_file(&shop);
    a_power_cut(&shop);
    shop.part("done");
}

fn a_backup_holds_everything_and_shows_no_secret(shop: &Shop) {
    let config = &shop.config;
    let password = ok(config, &["secrets", "shop", "show", "db_password"]);
    let watch = exposure::Watch::begin(&[PASSWORD, &password]);
    let json = ok(config, &["backup", "shop", "--json"]);
    assert!(
        json.contains("\"unit\":\"bytes\""),
        "no progress was told: {json}"
    );
    assert!(json.contains("snapshot "), "{json}");
    assert_eq!(shop.snapshots(config).len(), 1);
    let paths = shop.snapshots(config)[0]["paths"].to_string();
    assert!(paths.contains("/mnt/data/.matou/secrets/shop"), "{paths}");

    let all = ok(config, &["backup", "--all"]);
    assert!(all.contains("snapshot of the fleet's own files"), "{all}");
    let fleet = shop.n1("cat /mnt/data/.matou/fleet/apps/shop.toml /mnt/data/.matou/fleet/config.toml; find /mnt/data/.matou/fleet -name '*password*'");
    assert!(
        fleet.contains("stack = \"shop\"") && fleet.contains("/srv/restic"),
        "{fleet}"
    );
    assert!(!fleet.contains("fleet/restic-password"), "{fleet}");

    watch.end(&shop.fleet, &["n1", "n2"]);
    shop.same_as_restored("X=", "/srv/restic");
    shop.part("a backup is whole, and no secret was seen");
}

fn what_is_not_whole_is_told(shop: &Shop) {
    let config = &shop.config;
    let before = shop.snapshots(config).len();
    // A database that does not run can't be dumped: no snapshot, and it is said aloud.
    shop.db("mv /usr/bin/pg_dump /usr/bin/pg_dump.away");
    shop.fails(
        config,
        &["backup", "shop"],
        "shop is NOT backed up: the dump of shop_db failed",
    );
    shop.db("mv /usr/bin/pg_dump.away /usr/bin/pg_dump");
    assert_eq!(shop.snapshots(config).len(), before);
    shop.db("[ -z \"$(find /data -name '*.part')\" ]");

    // A file that can't be read is a warning: there is a snapshot, without it.
    shop.n1("touch /mnt/data/shop_files/bad; mount --bind /proc/1/mem /mnt/data/shop_files/bad");
    let text = shop.backup(config, "shop");
    shop.n1("umount /mnt/data/shop_files/bad; rm /mnt/data/shop_files/bad");
    assert!(
        text.contains("WARNING: 1 files of shop could not be read"),
        "{text}"
    );
    assert!(text.contains("/mnt/data/shop_files/bad: "), "{text}");
    assert_eq!(shop.snapshots(config).len(), before + 1);

    // A folder that is not there is a failure, whatever restic says.
    shop.n1("mv /mnt/data/shop_files /mnt/data/away");
    let text = shop.fails(config, &["backup", "shop"], "shop is NOT backed up");
    shop.n1("mv /mnt/data/away /mnt/data/shop_files");
    assert!(
        text.contains("the folder /mnt/data/shop_files is not there"),
        "{text}"
    );
    shop.part("what is not whole is told");
    support::fault(
        "backup",
        "a database that can not be dumped",
        "told, and no snapshot",
    );
}

/// n1 reaches n2 by SSH as `vault`, as a backup server that the operator has.
fn vault(shop: &Shop) {
    let vault = shop.fleet.address("n2");
    shop.n1("ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519");
    let key = shop.n1("cat /root/.ssh/id_ed25519.pub");
    shop.fleet.run(
        "n2",
        &format!(
            "echo '{}' >>/root/.ssh/authorized_keys; mkdir -p /srv/sftp",
            key.trim()
        ),
    );
    shop.n1(&format!(
        "printf 'Host vault\\n HostName {vault}\\n User root\\n StrictHostKeyChecking accept-new\\n' >/root/.ssh/config"
    ));
}

fn every_kind_of_repository(shop: &Shop) {
    for node in ["n1", "n2"] {
        send(&shop.fleet, node, "/usr/bin/rclone", "/usr/bin/rclone");
    }
    // restic's REST protocol, with a user and a password.
    let vault = shop.fleet.address("n2");
    shop.fleet.run(
        "n2",
        &format!("systemd-run -q --unit=rest -E HOME=/root -E RCLONE_USER=practice -E RCLONE_PASS={REST_KEY} rclone serve restic --addr {vault}:8000 /srv/rest"),
    );
    let rest_location = format!("rest:http://practice:{REST_KEY}@{vault}:8000/matou/");
    let s3 = S3::start(&shop.gateway, 15_900);
    secret(
        &shop.folder.join("s3.env"),
        &format!(
            "AWS_ACCESS_KEY_ID=practice\nAWS_SECRET_ACCESS_KEY={S3_KEY}\nRCLONE_CONFIG_DISK_TYPE=alias\nRCLONE_CONFIG_DISK_REMOTE=/srv/rclone"
        ),
    );
    let environment = "environment_file = \"s3.env\"";
    let variables = format!(
        "AWS_ACCESS_KEY_ID=practice AWS_SECRET_ACCESS_KEY={S3_KEY} RCLONE_CONFIG_DISK_TYPE=alias RCLONE_CONFIG_DISK_REMOTE=/srv/rclone"
    );
    let s3_location = format!("s3:http://{}/matou", s3.address);
    for (name, location) in [
        ("s3.toml", s3_location.as_str()),
        ("sftp.toml", "sftp:vault:/srv/sftp/restic"),
        ("rclone.toml", "rclone:disk:restic"),
        ("rest.toml", rest_location.as_str()),
    ] {
        let config = shop.fleet.config(name, &repository(location, environment));
        let mut told = ok(&config, &["repo", "init", "--yes"]);
        told += &shop.backup(&config, "shop");
        told += &ok(&config, &["repo", "stats"]);
        assert!(
            !told.contains(S3_KEY) && !told.contains(REST_KEY),
            "{location}: {told}"
        );
        shop.same_as_restored(&variables, location);
        shop.part(location);
    }
    let folders = shop.fleet.run("n2", "ls /srv/rest/matou");
    assert!(folders.contains("snapshots"), "{folders}");
    // The servers are gone: that is the reason that is told.
    drop(s3);
    shop.fleet.run("n2", "systemctl stop rest");
    for (name, key) in [("s3.toml", S3_KEY), ("rest.toml", REST_KEY)] {
        let config = shop.folder.join(name);
        let text = shop.fails(&config, &["backup", "shop"], "can't be reached from n1");
        assert!(!text.contains(key), "{name}: {text}");
    }
}

/// What is in the repository is compared with what was written: here the manifest is another when
/// restic has read it already.
fn a_snapshot_that_is_not_what_was_written(shop: &Shop) {
    let slow = shop.folder.join("slow.toml");
    let child = shop.slow(&slow);
    shop.n1("echo >>/mnt/data/.matou/dumps/shop/manifest.json");
    shop.go_on();
    let (code, text) = shop.ended(child);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("can't be read again from the repository"),
        "{text}"
    );
    shop.part("a snapshot that is not what was written");
}

fn two_at_once_and_a_closed_console(shop: &Shop) {
    let slow = shop.fleet.config(
        "slow.toml",
        &repository("/srv/restic", "upload_limit = \"512 KiB\""),
    );
    let first = shop.slow(&slow);
    let mut second = shop.start(&slow);
    let mut told = Vec::new();
    let mut lines = BufReader::new(second.stdout.take().expect("a pipe")).lines();
    while !told
        .iter()
        .any(|l: &String| l.contains("runs already: watching it"))
    {
        told.push(lines.next().expect("it watches").expect("text"));
    }
    shop.go_on();
    told.extend(lines.map(|l| l.expect("text")));
    for child in [second, first] {
        let (code, text) = shop.ended(child);
        assert_eq!(code, Some(0), "{told:?} {text}");
    }

    // matou dies; the backup does not, and a console that is opened finds it.
    let before = shop.snapshots(&shop.config).len();
    let mut child = shop.slow(&slow);
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!(
        shop.n1("systemctl is-active matou-backup-app-shop").trim(),
        "active"
    );
    let path = slow.to_string_lossy();
    let pty = Pty::start(
        env!("CARGO_BIN_EXE_matou"),
        &["--config", &path],
        &[],
        120,
        40,
    );
    pty.wait_for("back up shop", Duration::from_secs(30));
    // It is closed again, and the backup still runs on.
    drop(pty);
    shop.go_on();
    let watched = ok(&slow, &["backup", "shop"]);
    assert!(watched.contains("snapshot "), "{watched}");
    assert!(shop.snapshots(&shop.config).len() > before);
    shop.part("two at once, and a closed console");
    support::fault(
        "backup",
        "two backups at once; the console is closed in one",
        "one waits; the backup ends as it should",
    );
}

fn what_goes_wrong_in_the_middle(shop: &Shop) {
    let slow = shop.folder.join("slow.toml");
    let config = &shop.config;
    let before = shop.snapshots(config).len();
    let child = shop.slow(&slow);
    shop.n1("kill -9 $(pidof restic)");
    let (code, text) = shop.ended(child);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("shop is NOT backed up"), "{text}");

    shop.part("restic was killed");
    // The repository goes away: restic says so, tries again for minutes, and ends when told to.
    let mut child = shop.slow(&slow);
    shop.n1("mv /srv/restic /srv/gone");
    shop.go_on();
    // Its words are waited for where the operator reads them, not in the unit's log.
    let mut told = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    while !told.iter().any(|l: &String| l.contains("no such file")) {
        told.push(lines.next().expect("restic says so").expect("text"));
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("told to end");
    let (code, text) = shop.ended(child);
    // restic 0.14 still tries to give its lock back, for most of a minute; held there. 0.19 has ended.
    let hold = "p=$(pidof restic) && kill -STOP $p && echo held || :";
    let is_held = shop.n1(hold).contains("held");
    shop.n1("rm -rf /srv/restic; mv /srv/gone /srv/restic");
    assert_eq!(code, Some(130), "{told:?} {text}");
    shop.n1("! systemctl is-active --quiet matou-backup-app-shop");
    assert_eq!(shop.snapshots(config).len(), before);
    match is_held {
        true => a_backup_that_still_ends_is_waited_for(shop, before),
        false => assert!(shop.backup(config, "shop").contains("snapshot ")),
    }
    assert_eq!(shop.snapshots(config).len(), before + 1);
    shop.part("the repository was gone");

    // One that can't even be opened is not tried for long.
    shop.n1("cd /srv/restic/keys; for k in *; do mv $k /srv/key-$k; mkdir $k; done");
    let text = shop.fails(
        config,
        &["backup", "shop"],
        "can't be reached from n1: Load(<key/",
    );
    assert!(text.contains("shop is NOT backed up"), "{text}");
    shop.n1("cd /srv/restic/keys; for k in *; do rmdir $k; mv /srv/key-$k $k; done");
    shop.n1("! systemctl is-active --quiet matou-backup-app-shop");
    shop.part("the repository could not be opened");

    // What is left behind stops nobody: a check finds the repository sound.
    shop.n1("rm -f /mnt/data/shop_files/big");
    shop.backup(config, "shop");
    let checked = ok(config, &["repo", "check", "--all-data"]);
    assert!(checked.contains("no errors were found"), "{checked}");
    shop.same_as_restored("X=", "/srv/restic");

    // Packs that the killed runs left are in no index: pruned away.
    ok(config, &["repo", "prune", "--yes"]);
    // One byte of one pack is another: the structure is sound, the data is not.
    let pack = shop.n1("ls -S $(find /srv/restic/data -type f ! -name '*-tmp-*') | head -n 1");
    let pack = pack.trim();
    let flip = format!(
        "cp {pack} /srv/pack; b=$(od -An -tu1 -j100 -N1 {pack}); chmod u+w {pack}; printf \"\\\\$(printf %o $((255 - b)))\" | dd of={pack} bs=1 seek=100 conv=notrunc 2>/dev/null"
    );
    shop.n1(&flip);
    ok(config, &["repo", "check"]);
    // From 0.18 on restic counts, and names the packs; older ones only say that there are errors.
    let counts = !shop.n1("restic version").starts_with("restic 0.14");
    let name = pack.rsplit('/').next().expect("a name");
    let told = match counts {
        true => format!("is damaged: 1 error, broken packs: {}", &name[..10]),
        false => "is damaged: ".into(),
    };
    shop.fails(config, &["repo", "check", "--all-data"], &told);
    shop.n1(&format!("cat /srv/pack >{pack}"));
    ok(config, &["repo", "check", "--all-data"]);
    shop.part("killed, gone, damaged");
    support::fault(
        "backup",
        "restic is killed, the repository is gone, can not be opened, has a flipped byte",
        "told; the next backup, or a repair, ends well",
    );
}

/// Who backs up again waits for it, and begins anew then.
fn a_backup_that_still_ends_is_waited_for(shop: &Shop, before: usize) {
    let config = &shop.config;
    let mut child = shop.start(config);
    let mut told = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    while !told.iter().any(|l: &String| l.contains("it still ends")) {
        told.push(lines.next().expect("it waits").expect("text"));
    }
    assert_eq!(shop.snapshots(config).len(), before);
    shop.go_on();
    told.extend(lines.map(|l| l.expect("text")));
    let (code, text) = shop.ended(child);
    assert_eq!(code, Some(0), "{told:?} {text}");
    let text = told.join("\n");
    assert!(text.contains("snapshot "), "{text}");
    assert!(!text.contains("watching it"), "{text}");
}

fn what_is_old_is_forgotten(shop: &Shop) {
    let config = &shop.config;
    for day in [
        // The oldest one is kept by newer versions of restic, whatever is wanted.
        "2025-06-01 03:00:00",
        "2026-01-01 03:00:00",
        "2026-01-01 04:00:00",
        "2026-01-02 03:00:00",
    ] {
        shop.n1(&format!(
            "RESTIC_PASSWORD={PASSWORD} restic -r /srv/restic backup -q --host {FLEET} --tag app=shop --tag matou --time '{day}' /mnt/data/.matou/dumps/shop"
        ));
    }
    shop.n1(&format!(
        "RESTIC_PASSWORD={PASSWORD} restic -r /srv/restic backup -q --host other --tag app=shop --time '2020-01-01 03:00:00' /etc/hostname"
    ));
    let before = shop.snapshots(config).len();
    let plan = ok(config, &["repo", "forget", "--dry-run"]);
    assert!(plan.contains("of shop, 2026-01-01 03:00 UTC"), "{plan}");
    assert!(plan.contains("snapshots of shop are kept"), "{plan}");
    assert_eq!(shop.snapshots(config).len(), before);
    let removed = plan.matches("- snapshot ").count();
    ok(config, &["repo", "forget", "--yes"]);
    let left = shop.snapshots(config);
    assert_eq!(left.len(), before - removed);
    assert!(
        left.iter().any(|s| s["hostname"] == "other"),
        "another fleet's is left alone"
    );
    assert!(ok(config, &["repo", "forget", "--yes"]).contains("nothing to do"));
    ok(config, &["repo", "prune", "--yes"]);
    ok(config, &["repo", "check"]);
    shop.part("old ones are forgotten");
}

fn the_night_on_the_manager(shop: &Shop) {
    let listener = Listener::start(&shop.gateway);
    secret(
        &shop.folder.join("ping-url"),
        &format!("http://{}/night-5f", listener.address),
    );
    let copy = "[[backup.copies]]\nname = \"away\"\nrepository = \"sftp:vault:/srv/sftp/away\"\npassword_file = \"restic-password\"";
    // A night every ten seconds, so that the timer itself begins it.
    let night = "schedule = \"*:*:0/10\"\nrandom_delay = \"1 s\"\nping_file = \"ping-url\"";
    let config = shop.fleet.config(
        "night.toml",
        &repository("/srv/restic", &format!("{night}\n{copy}")),
    );
    ok(&config, &["repo", "init", "--yes"]);
    shop.n1("printf '# x\\n0 3 * * * root RESTIC_PASSWORD=hunter2 restic backup /data\\n' >/etc/cron.d/backup");
    let plan = ok(
        &config,
        &["provision", "--only", "matou,backup", "--dry-run"],
    );
    assert!(
        plan.contains("--accept n1:/etc/cron.d/backup") && !plan.contains("hunter2"),
        "{plan}"
    );
    let accept = "n1:/etc/cron.d/backup";
    ok(
        &config,
        &[
            "provision",
            "--only",
            "matou,backup,metrics",
            "--yes",
            "--accept",
            accept,
        ],
    );
    assert!(
        shop.n1("cat /etc/cron.d/backup")
            .contains("# taken over by matou: 0 3")
    );
    until(Duration::from_secs(120), || {
        let text = said(&matou(&config, &["repo", "stats"]));
        match text.contains("last night") && !listener.asked().is_empty() {
            true => Ok(()),
            false => {
                Err(text + &shop.n1("journalctl -u matou-backup --no-pager -o cat | tail -n 30"))
            }
        }
    });
    shop.n1("systemctl stop matou-backup.timer");
    until(Duration::from_secs(120), || {
        match shop
            .n1("systemctl is-active matou-backup.service || :")
            .trim()
        {
            "inactive" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
    let report = shop.n1("cat $(ls /var/lib/matou/reports/*.json | head -n 1)");
    let report: serde_json::Value = serde_json::from_str(&report).expect("a report");
    assert_eq!(report["result"], "done", "{report:#}");
    assert_eq!(report["apps"][0]["app"], "shop", "{report:#}");
    assert_eq!(report["apps"][0]["dumps"], 1, "{report:#}");
    assert_eq!(report["copied"][0][0], "away", "{report:#}");
    assert_eq!(
        report["pruned"],
        serde_json::json!(["main", "away"]),
        "{report:#}"
    );
    assert!(
        report["checked"][0]
            .as_str()
            .is_some_and(|c| c.ends_with("/12 of main")),
        "{report:#}"
    );
    assert_eq!(report["pinged"], true, "{report:#}");
    assert!(
        listener.asked()[0].starts_with("GET /night-5f "),
        "{:?}",
        listener.asked()
    );
    let journal = shop.n1("journalctl -u matou-backup --no-pager -o cat");
    assert!(
        journal.contains(&format!("backup of {FLEET} done: 2 of 2 snapshots")),
        "{journal}"
    );
    assert!(
        !journal.contains(PASSWORD) && !journal.contains("night-5f"),
        "{journal}"
    );
    let stats = ok(&config, &["repo", "stats", "--json"]);
    let stats: serde_json::Value = serde_json::from_str(&stats).expect("JSON");
    assert_eq!(stats["repositories"][1]["name"], "away", "{stats:#}");
    assert_eq!(stats["schedule"]["last"]["result"], "done", "{stats:#}");
    assert!(ok(&config, &["repo", "copy"]).contains("nothing to do"));

    // What it knows of the fleet is there for Prometheus.
    shop.n1("systemctl start matou-metrics.service");
    let metrics = shop.n1("cat /var/lib/matou/metrics/matou.prom");
    for name in [
        "matou_check_timestamp_seconds ",
        "matou_backup_last_success_timestamp_seconds{app=\"shop\"}",
    ] {
        assert!(metrics.contains(name), "{metrics}");
    }
    assert!(
        shop.n1("systemctl is-active matou-metrics.timer")
            .starts_with("active")
    );
    shop.n1("systemctl stop matou-metrics.timer");

    // Without a repository in config.toml the timer goes.
    let own = shop.fleet.lab.config_path();
    ok(&own, &["provision", "--only", "backup", "--yes"]);
    shop.n1("[ ! -e /etc/systemd/system/matou-backup.timer ]");
    shop.part("a night on the manager");
}

fn a_database_that_is_a_file(shop: &Shop) {
    let config = &shop.config;
    let container = || {
        let line = "docker ps -q --no-trunc -f name=notes_web";
        shop.fleet.run("n2", line).trim().to_owned()
    };
    let sqlite = |file: &str, sql: &str| {
        let line = format!(
            "docker exec {} sqlite3 -cmd '.timeout 9000' /notes/{file} \"{sql}\"",
            container()
        );
        let out = shop.fleet.try_run("n2", &line);
        match out.status.success() {
            true => Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned()),
            false => Err(said(&out)),
        }
    };
    let count = |file: &str, table: &str| -> Result<u64, String> {
        let rows = sqlite(file, &format!("select count(*) from {table}"))?;
        rows.parse().map_err(|e| format!("{rows}: {e}"))
    };
    let more_than = |least: u64| {
        until(Duration::from_secs(60), || match count("notes.db", "a")? {
            n if n > least => Ok(()),
            n => Err(format!("{n} rows")),
        });
    };
    ok(config, &["deploy", "notes", "notes", "--yes"]);
    more_than(100);
    let first = container();
    shop.backup(config, "notes");
    let rows = count("copy.db", "a").expect("the copy is a database");
    assert_eq!(count("copy.db", "b"), Ok(rows), "the copy is no one state");
    more_than(rows);
    shop.n1("rm -f /mnt/data/notes_data/*");
    ok(config, &["restore", "notes", "--yes"]);
    until(Duration::from_secs(60), || {
        let id = container();
        match !id.is_empty() && id != first && count("notes.db", "a")? > rows {
            true => Ok(()),
            false => Err(format!("{first} {id}")),
        }
    });
    // What the first container wrote until the copy was made, and nothing of later.
    let of_first =
        |table: &str| count("notes.db", &format!("{table} where r = '{}'", &first[..12]));
    assert_eq!((of_first("a"), of_first("b")), (Ok(rows), Ok(rows)));
    let check = sqlite("notes.db", "pragma integrity_check");
    assert_eq!(check.as_deref(), Ok("ok"));
    shop.part("an SQLite database came back as its dump was");
}

fn a_power_cut(shop: &Shop) {
    let slow = shop.folder.join("slow.toml");
    let before = shop.snapshots(&shop.config).len();
    let child = shop.slow(&slow);
    shop.fleet.kill("n1");
    let (code, text) = shop.ended(child);
    assert_eq!(code, Some(1), "{text}");
    shop.fleet
        .wait(shop.fleet.lab.up(2, LabKind::Swarm, &|_| {}));
    until(Duration::from_secs(120), || {
        let out = matou(&shop.config, &["backup", "shop"]);
        match out.status.success() {
            true => Ok(()),
            false => Err(said(&out)),
        }
    });
    assert_eq!(shop.snapshots(&shop.config).len(), before + 1);
    shop.part("a power cut");
    support::fault(
        "backup",
        "the storage node loses its power in a backup",
        "the next backup ends well",
    );
}
