//! Exporting an application to another host, and erasing it, on a practice fleet of one server with
//! a real PostgreSQL and two real repositories.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Fleet, compose, databases, exposure, ok, private, said, until};

/// Of these tests alone; `scripts/test.sh` removes it too.
const FLEET: &str = "era";

/// Stands in files and in the database, and nowhere after an erasing.
const MARKER: &str = "MARKER-7f3a-ERASE-ME";

const SHOP: &str = r"x-matou:
  title: Shop
  description: a database and a site
  secrets:
    - {name: db_password, help: of the database, length: 24}
  backup:
    dumps:
      - {service: db, engine: postgresql, database: shop, user: shop, secret: db_password, file: /var/lib/postgresql/data/matou-dump.sql}
services:
  db:
    image: matou/databases:1
    environment:
      ENGINE: postgresql
      DB_USER: shop
      DB_NAME: shop
      DB_PASSWORD_FILE: /run/secrets/db_password
    secrets: [db_password]
    volumes: ['db:/var/lib/postgresql/data']
    stop_signal: SIGINT
    stop_grace_period: 20s
  web:
    image: matou/hello:1.0
    volumes: ['files:/www', 'common:/common']
    configs: [{source: motd, target: /etc/motd}]
    stop_grace_period: 1s
    deploy:
      labels:
        traefik.http.services.shop.loadbalancer.server.port: '8080'
volumes:
  db:
  files:
  common: {name: common}
configs:
  motd: {file: ./motd}
secrets:
  db_password: {external: true}
";

const OTHER: &str = r"x-matou:
  title: Other
  description: a site
  secrets:
    - {name: own_key, help: its own, length: 24}
services:
  web:
    image: matou/hello:1.0
    secrets: [own_key]
    volumes: ['files:/srv/files', 'common:/common']
    stop_grace_period: 1s
volumes:
  files:
  common: {name: common}
secrets:
  own_key: {external: true}
";

struct Practice {
    fleet: Fleet,
    config: PathBuf,
    begun: Instant,
}

impl Practice {
    fn new() -> Self {
        let begun = Instant::now();
        let fleet = Fleet::with_shared_data(FLEET, 1);
        databases::image(&fleet, "n1");
        compose::image(&fleet, "n1");
        let backup = "[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n\
            [[backup.copies]]\nname = \"offsite\"\nrepository = \"/srv/offsite\"\npassword_file = \"restic-password\"\n";
        let config = fleet.config("erase.toml", backup);
        let folder = config.parent().expect("a folder");
        private(&folder.join("restic-password"), "correct horse\n");
        std::fs::create_dir_all(folder.join("stacks")).expect("a folder");
        for (name, text) in [
            ("shop.yml", SHOP),
            ("other.yml", OTHER),
            ("motd", "hello\n"),
        ] {
            std::fs::write(folder.join("stacks").join(name), text).expect("written");
        }
        let practice = Self {
            fleet,
            config,
            begun,
        };
        support::backup::repository(&practice.fleet, &practice.config);
        practice
    }

    fn ok(&self, args: &[&str]) -> String {
        let text = ok(&self.config, args);
        self.told(&format!("matou {}", args.join(" ")));
        text
    }

    fn told(&self, what: &str) {
        eprintln!("{:6.1} s  {what}", self.begun.elapsed().as_secs_f32());
    }

    fn run(&self, line: &str) -> String {
        self.fleet.run("n1", line).trim().to_owned()
    }

    fn folder(&self) -> &Path {
        self.config.parent().expect("a folder")
    }

    /// Runs restic on the node, on one of the repositories.
    fn restic(&self, repository: &str, args: &str) -> String {
        self.run(&format!(
            "RESTIC_PASSWORD='correct horse' restic -q -r {repository} {args}"
        ))
    }

    /// Ids (or times) of the snapshots of a tag.
    fn snapshots(&self, repository: &str, tag: &str, key: &str) -> Vec<String> {
        let text = self.restic(repository, &format!("snapshots --json --tag {tag}"));
        let all: serde_json::Value = serde_json::from_str(&text).expect("a list");
        let all = all.as_array().cloned().unwrap_or_default();
        let mut found: Vec<String> = all
            .iter()
            .map(|s| {
                s[key]
                    .as_str()
                    .unwrap_or_default()
                    .chars()
                    .take(19)
                    .collect()
            })
            .collect();
        found.sort();
        found
    }

    fn sql(&self, container: &str, sql: &str) -> Result<String, String> {
        let line = format!(
            "c=$({container}); docker exec \"$c\" sh -c \
             'PGPASSWORD=$(cat /run/secrets/db_password) psql -h 127.0.0.1 -U shop -d shop -qAtX -c \"$1\"' sh \"{sql}\""
        );
        let out = self.fleet.try_run("n1", &line);
        match out.status.success() {
            true => Ok(said(&out).trim().to_owned()),
            false => Err(said(&out)),
        }
    }

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

    /// Every snapshot that is left, of both repositories, and everything on the node: nothing of it
    /// holds the text.
    fn is_nowhere(&self, text: &str) {
        let line = format!(
            "set -e; for r in /srv/restic /srv/offsite; do rm -rf /root/all; \
             for s in $(RESTIC_PASSWORD='correct horse' restic -q -r $r snapshots --json | grep -o '\"short_id\":\"[0-9a-f]*' | cut -d'\"' -f4); do \
             RESTIC_PASSWORD='correct horse' restic -q -r $r restore $s --target /root/all/$s >/dev/null 2>&1; done; \
             [ -n \"$(ls /root/all)\" ]; if grep -rqF '{text}' /root/all; then exit 1; fi; done; rm -rf /root/all; \
             if grep -rqF '{text}' /var/lib/docker/volumes /var/lib/docker/containers /mnt/data /etc/matou 2>/dev/null; then exit 1; fi"
        );
        let out = self.fleet.try_run("n1", &line);
        assert!(
            out.status.success(),
            "{text:?} is there still: {}",
            said(&out)
        );
    }
}

#[test]
#[ignore = "minutes on a fleet of its own: make test-long"]
fn an_exported_application_runs_elsewhere_and_an_erased_one_is_nowhere() {
    let p = Practice::new();
    let swarm_db = "docker ps -q --filter label=com.docker.swarm.service.name=shop_db | head -n 1";
    for app in ["other", "shop"] {
        p.ok(&["deploy", app, app, "--yes"]);
    }
    until(Duration::from_secs(120), || {
        p.sql(swarm_db, "CREATE TABLE IF NOT EXISTS orders (what text)")
            .map(drop)
    });
    p.sql(swarm_db, &format!("INSERT INTO orders VALUES ('{MARKER}')"))
        .expect("inserted");
    p.run(&format!(
        "cd /mnt/data/shop_files; echo {MARKER} >marker.html; chown 33:44 marker.html; chmod 640 marker.html; chmod o+r marker.html; \
         ln -s /etc/passwd link; echo other-data >/mnt/data/other_files/x; echo both >/mnt/data/common/shared"
    ));
    let secret = p.run("cat /mnt/data/.matou/secrets/shop/db_password.v1");
    assert_eq!(secret.len(), 24);
    let watch = exposure::Watch::begin(&[&secret]);
    p.ok(&["backup", "--all", "--yes"]);
    p.ok(&["repo", "copy", "--yes"]);

    // Both ways of exporting; one that is cut off leaves nothing that looks whole.
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let mut cut = p.spawn(&["export", "shop", "--into", &at("cut.tar"), "--yes"]);
    std::thread::sleep(Duration::from_millis(1200));
    let _ = cut.kill();
    let _ = cut.wait();
    let plan = p.ok(&["export", "shop", "--into", &at("now.tar"), "--yes"]);
    assert!(plan.contains("passwords in plain text"), "{plan}");
    assert!(
        plan.contains("files of the volume shop_db are left out"),
        "{plan}"
    );
    p.ok(&[
        "export",
        "shop",
        "--snapshot",
        "newest",
        "--into",
        &at("then.tar"),
        "--yes",
    ]);
    let again = support::matou(
        &p.config,
        &["export", "shop", "--into", &at("now.tar"), "--yes"],
    );
    assert!(
        said(&again).contains("is there already"),
        "{}",
        said(&again)
    );
    for name in ["now", "then"] {
        let out = Command::new("sh")
            .args(["-ec", "cd \"$1\"; [ $(stat -c %a $2.tar) = 600 ]; mkdir $2; tar -xpf $2.tar -C $2 --numeric-owner; cd $2/shop; \
                sha256sum --quiet --strict -c SHA256SUMS; [ $(find . -type f | wc -l) = $(($(wc -l <SHA256SUMS) + 1)) ]; \
                stat -c %u:%g:%a volumes/shop_files/marker.html; readlink volumes/shop_files/link; \
                ls volumes/shop_db; cat secrets/db_password; grep -c MARKER dumps/1-db.sql; stat -c %a secrets", "sh", &folder.path().to_string_lossy(), name])
            .output()
            .expect("a shell");
        let wanted = format!("33:44:644\n/etc/passwd\n{secret}1\n700\n");
        assert_eq!(said(&out), wanted, "{name}");
        p.told(&format!("the archive {name}.tar is whole"));
    }

    let others = |repository: &str| p.snapshots(repository, "app=other", "id");
    let (kept, copied) = (others("/srv/restic"), others("/srv/offsite"));
    let fleets = p.snapshots("/srv/restic", "fleet=era", "time");
    assert!(kept.len() == 1 && copied.len() == 1 && fleets.len() == 1);
    assert_eq!(p.snapshots("/srv/offsite", "app=shop", "id").len(), 1);

    // A dry run tells everything, and changes nothing.
    let plan = p.ok(&["erase", "shop", "--dry-run"]);
    for words in [
        "- service shop_db",
        "- secret shop_db_password_v1",
        "- config shop_motd_",
        "- volume shop_files",
        "- folder /mnt/data/shop_db",
        "volume common stays: other has it too",
        "/mnt/data/.matou/secrets/shop",
        "/mnt/data/.matou/dumps/shop",
        "apps/shop.toml",
        "- snapshot",
        "offsite",
        "made anew without them",
    ] {
        assert!(plan.contains(words), "no {words:?} in\n{plan}");
    }
    assert_eq!(p.snapshots("/srv/restic", "app=shop", "id").len(), 1);

    // Killed at several moments.
    for millis in [2500, 5000, 9000] {
        let mut child = p.spawn(&["erase", "shop", "--yes"]);
        std::thread::sleep(Duration::from_millis(millis));
        let _ = child.kill();
        let _ = child.wait();
        p.told(&format!("killed after {millis} ms"));
    }
    // A copy that can't be reached is told, and the rest is done.
    p.run("mv /srv/offsite /srv/away");
    let out = support::matou(&p.config, &["erase", "shop", "--yes"]);
    p.told("erased, without the copy");
    assert!(!out.status.success(), "{}", said(&out));
    let records = || {
        let entries = std::fs::read_dir(p.folder().join("erased")).expect("records");
        let files = entries
            .flatten()
            .map(|e| std::fs::read_to_string(e.path()).expect("text"));
        files.collect::<Vec<String>>().join("\n")
    };
    let record = records();
    assert!(
        record.contains("Could NOT be destroyed:\n- snapshots of shop in offsite"),
        "{record}"
    );
    p.run("mv /srv/away /srv/offsite");
    p.ok(&["erase", "shop", "--yes"]);
    let record = records();
    for words in [
        "Erased: shop of the fleet era",
        "volume shop_files of n1",
        "secret shop_db_password_v1",
        "in offsite",
        "Everything that is known of it was destroyed.",
    ] {
        assert!(record.contains(words), "no {words:?} in\n{record}");
    }
    assert_eq!(p.run("ls /mnt/data/.matou/erased").lines().count(), 1);
    let nothing = p.ok(&["erase", "shop", "--yes"]);
    assert!(nothing.contains("nothing to do"), "{nothing}");

    watch.end(&p.fleet, &["n1"]);
    p.is_nowhere(MARKER);
    p.is_nowhere(&secret);
    p.told("the marker is nowhere");
    let named = p.run("docker secret ls; docker config ls; docker volume ls; docker service ls; docker network ls; find /mnt/data /etc/matou -name '*shop*' 2>/dev/null | grep -v -e /erased/ -e /stacks/ -e /written/ || :");
    assert!(!named.contains("shop"), "{named}");
    // No other operator's folder brings it back.
    let word = p.run("cat /mnt/data/.matou/fleet/written/shop");
    assert!(word.starts_with("removed by"), "{word}");
    for repository in ["/srv/restic", "/srv/offsite"] {
        assert!(p.snapshots(repository, "app=shop", "id").is_empty());
        p.restic(repository, "check");
    }
    assert_eq!(
        (others("/srv/restic"), others("/srv/offsite")),
        (kept, copied)
    );
    // The fleet's own files are there as before, with the others' secrets.
    for repository in ["/srv/restic", "/srv/offsite"] {
        assert_eq!(
            p.snapshots(repository, "fleet=era", "time"),
            fleets,
            "{repository}"
        );
        let list = p.restic(repository, "ls latest --tag fleet=era");
        assert!(
            list.contains("/secrets/other/own_key.v1") && list.contains("/apps/other.toml"),
            "{list}"
        );
    }
    assert_eq!(
        p.run("cat /mnt/data/common/shared /mnt/data/other_files/x"),
        "both\nother-data"
    );
    p.ok(&["backup", "other", "--yes"]);

    // The archive, on a host that knows nothing of matou.
    support::backup::send(&p.fleet, "n1", &at("now.tar"), "/root/now.tar");
    p.run("mkdir /root/moved; tar -xpf /root/now.tar -C /root/moved --numeric-owner");
    let said = compose::run(&p.fleet, "n1", "/root/moved/shop", "sh load.sh 2>&1");
    p.told("started by docker-compose");
    until(Duration::from_secs(60), || {
        let line = "docker run --rm --network host matou/hello:1.0 wget -q -O - http://127.0.0.1:8080/marker.html";
        let out = p.fleet.try_run("n1", line);
        let text = support::said(&out);
        match text.contains(MARKER) {
            true => Ok(()),
            false => Err(format!("{text}\n{said}")),
        }
    });
    let db = "docker ps -q --filter label=com.docker.compose.service=db | head -n 1";
    assert_eq!(p.sql(db, "SELECT what FROM orders").as_deref(), Ok(MARKER));
    let motd = "c=$(docker ps -q --filter label=com.docker.compose.service=web); docker exec $c cat /etc/motd";
    assert_eq!(p.run(motd), "hello");
    // A second start loads nothing again.
    compose::run(
        &p.fleet,
        "n1",
        "/root/moved/shop",
        "sh load.sh 2>&1; docker-compose down 2>&1",
    );
    p.told("done");
    support::fault(
        "erase",
        "erasing is killed at three moments; a copy can not be reached",
        "the same command again ends it; the record says what stays",
    );
}
