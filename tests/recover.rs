//! A fleet that is lost and comes back out of its repository: all of it, one server, with the console
//! killed on the way; and, when asked for, the drill that proves it, on a repository that is whole and
//! on one that is damaged.

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use matou::lab::{Kind, Lab};
use support::databases;
use support::edge::{Authority, images};
use support::s3::S3;
use support::{Fleet, matou, ok, said, until};

/// Files of the file store.
const FILES: usize = 20_000;

/// A site whose pages are in a volume; each answers under a name of its own.
const FILES_STACK: &str = r#"
version: "3.8"
x-matou:
  title: Files
  variables:
    - {name: DOMAIN, type: domain, required: true}
  check: {path: /data/0/0}
services:
  web:
    image: matou/hello:1.0
    volumes: ['data:/www/data']
    networks: [traefik-net]
    healthcheck: {test: [CMD, wget, -q, -O, /dev/null, 'http://127.0.0.1:8080/health'], interval: 3s, start_period: 3s}
    deploy:
      endpoint_mode: dnsrr
      resources: {limits: {memory: 64M}}
      labels:
        - traefik.enable=true
        - traefik.http.routers.${APP}.rule=Host(`${DOMAIN}`)
        - traefik.http.routers.${APP}.entrypoints=websecure
        - traefik.http.routers.${APP}.tls.certresolver=le
        - traefik.http.services.${APP}.loadbalancer.server.port=8080
volumes:
  data: {}
networks:
  traefik-net: {external: true}
"#;

/// A database, and nothing in front of it.
const NOTES_STACK: &str = r#"
version: "3.8"
x-matou:
  title: Notes
  secrets:
    - {name: db_password, help: of the database, length: 24}
  backup:
    dumps:
      - {service: db, engine: postgresql, database: notes, user: notes, secret: db_password, file: /var/lib/postgresql/data/matou-dump.sql}
services:
  db:
    image: matou/databases:1
    environment:
      ENGINE: postgresql
      DB_USER: notes
      DB_NAME: notes
      DB_PASSWORD_FILE: /run/secrets/db_password
    secrets: [db_password]
    volumes: ['db:/var/lib/postgresql/data']
    stop_signal: SIGINT
    stop_grace_period: 20s
    healthcheck: {disable: true}
    deploy:
      endpoint_mode: dnsrr
      placement: {constraints: [node.hostname == n1]}
volumes:
  db: {}
secrets:
  db_password: {external: true}
"#;

/// What is left to do for provisioning on containers that have their packages.
const SETTINGS: &str = r#"
[provision]
docker = "distribution"
off = ["base", "upgrades", "time", "files", "swap", "kernel", "sshd", "fail2ban", "firewall", "volumes", "matou", "restic"]
"#;

/// The fleet, and what outlives it.
struct World {
    fleet: Fleet,
    s3: S3,
    authority: Authority,
    /// Image archives, in the place of a registry.
    registry: PathBuf,
    /// Keys and the password: what the operator keeps.
    keys: tempfile::TempDir,
    gateway: String,
}

/// Domains of the applications.
const SITES: [&str; 3] = ["files", "photos", "pages"];

fn domain(app: &str) -> String {
    format!("{app}.lab.test")
}

impl World {
    fn new() -> Self {
        let mut fleet = Fleet::new("reco");
        fleet.lab = Lab::new("reco").expect("a state folder").shared();
        fleet.wait(
            fleet
                .lab
                .up(3, Kind::Swarm, &|phase| eprintln!("lab: {phase}")),
        );
        let address = fleet.address("n1");
        let gateway = format!("{}.1", address.rsplit_once('.').expect("IPv4").0);
        let s3 = S3::start(&gateway, 15_901);
        let authority = Authority::start(&gateway, &address);
        images(&fleet, "n1");
        databases::image(&fleet, "n1");
        let keys = tempfile::tempdir().expect("a folder");
        let key = |name: &str, text: &str| {
            let path = keys.path().join(name);
            std::fs::write(&path, text).expect("written");
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(path, private).expect("private");
        };
        key("restic-password", "correct horse battery staple\n");
        key(
            "restic.env",
            "AWS_ACCESS_KEY_ID=operator\nAWS_SECRET_ACCESS_KEY=s3cr3t-key\n",
        );
        key("root.pem", &authority.root_pem());
        let world = Self {
            registry: keys.path().join("images.tar"),
            fleet,
            s3,
            authority,
            keys,
            gateway,
        };
        world.save_images();
        world
    }

    fn key(&self, name: &str) -> String {
        self.keys.path().join(name).display().to_string()
    }

    /// Keeps every image of the fleet, as a registry would.
    fn save_images(&self) {
        let list = format!(
            "docker save matou/hello:1.0 matou/traefik:3.7 matou/proxy:1 {}",
            databases::IMAGE
        );
        let saved = Command::new(env!("CARGO_BIN_EXE_matou"))
            .args([
                "lab", "ssh", "--name", "reco", "n1", "--", "sh", "-c", &list,
            ])
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&self.registry).expect("a file"))
            .status()
            .expect("matou starts");
        assert!(saved.success());
        self.fleet.wait(self.fleet.lab.load(&self.registry));
    }

    /// The fleet as its operator wrote it, with its applications deployed and filled.
    fn deploy(&self) -> PathBuf {
        let more = format!(
            "{SETTINGS}\n[edge]\nca_file = \"{}\"\n[backup]\nrepository = \"{}\"\npassword_file = \"{}\"\nenvironment_file = \"{}\"\n",
            self.key("root.pem"),
            self.s3.repository("reco"),
            self.key("restic-password"),
            self.key("restic.env"),
        );
        let config = self.fleet.config("reco.toml", &more);
        let stacks = config.with_file_name("stacks");
        std::fs::create_dir_all(&stacks).expect("a folder");
        std::fs::write(stacks.join("files.yml"), FILES_STACK).expect("written");
        std::fs::write(stacks.join("notes.yml"), NOTES_STACK).expect("written");
        // What the sites show is there before they are asked.
        self.fleet.run(
            "n1",
            &format!(
                "mkdir -p /mnt/data/edge_data; cd /mnt/data; for s in {}; do mkdir -p ${{s}}_data/0; echo \"the page of $s\" >${{s}}_data/0/0; done; \
                 head -c 24000000 /dev/urandom >photos_data/0/1; cd files_data; for d in $(seq 0 199); do mkdir -p $d; for f in $(seq 0 99); do echo \"file $d $f\" >$d/$f; done; done",
                SITES.join(" ")
            ),
        );
        let pem = self.authority.own_pem();
        self.fleet
            .run("n1", &format!("echo '{pem}' >/mnt/data/edge_data/ca.pem"));
        let server = format!("ACME_SERVER=https://{}:14000/dir", self.gateway);
        ok(
            &config,
            &[
                "deploy",
                "traefik",
                "edge",
                &server,
                "IMAGE=matou/traefik:3.7",
                "PROXY_IMAGE=matou/proxy:1",
                "ACME_CA=/data/ca.pem",
                "--yes",
            ],
        );
        for site in SITES {
            let name = format!("DOMAIN={}", domain(site));
            ok(&config, &["deploy", "files", site, &name, "--yes"]);
        }
        ok(&config, &["deploy", "notes", "notes", "--yes"]);
        ok(&config, &["repo", "init", "--yes"]);
        config
    }

    /// What the sites, the certificates, the secrets and the files are.
    fn picture(&self, config: &Path) -> BTreeMap<String, String> {
        let mut picture = BTreeMap::new();
        let address = self.fleet.address("n1");
        for site in SITES {
            let host = domain(site);
            let url = format!("https://{host}/data/0/0");
            let ask = || {
                let out = Command::new("curl")
                    .args([
                        "-fsS",
                        "--max-time",
                        "10",
                        "--cacert",
                        &self.key("root.pem"),
                    ])
                    .args(["--resolve", &format!("{host}:443:{address}"), &url])
                    .output()
                    .expect("curl");
                match out.status.success() {
                    true => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
                    false => Err(said(&out)),
                }
            };
            until(Duration::from_secs(60), || ask().map(drop));
            picture.insert(url.clone(), ask().expect("it answers"));
            let serial = Command::new("sh")
                .args(["-c", "echo | openssl s_client -connect \"$1:443\" -servername \"$2\" 2>/dev/null | openssl x509 -noout -serial", "sh", &address, &host])
                .output()
                .expect("openssl");
            picture.insert(format!("certificate of {host}"), said(&serial));
        }
        let secret = ok(
            &config.to_path_buf(),
            &["secrets", "notes", "show", "db_password"],
        );
        picture.insert("secret of notes".into(), secret);
        let files = self.fleet.run(
            "n1",
            "cd /mnt/data/files_data && find . -type f | wc -l && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum",
        );
        assert!(files.starts_with(&format!("{FILES}\n")), "{files}");
        picture.insert("files".into(), files);
        picture
    }

    /// Asks the database.
    fn ask(&self, sql: &str) -> Result<String, String> {
        let line = format!(
            "c=$(docker ps -q --filter label=com.docker.swarm.service.name=notes_db | head -n 1); \
             docker exec \"$c\" sh -c 'PGPASSWORD=$(cat /run/secrets/db_password) psql -h 127.0.0.1 -U notes -d notes -qAtX -c \"$1\"' sh '{sql}'"
        );
        let out = self.fleet.try_run("n1", &line);
        match out.status.success() {
            true => Ok(said(&out).trim().to_owned()),
            false => Err(said(&out)),
        }
    }

    fn rows(&self) -> u64 {
        let mut rows = 0;
        until(Duration::from_secs(60), || {
            rows = self
                .ask("SELECT count(*) FROM notes")?
                .parse()
                .map_err(|e| format!("{e}"))?;
            Ok(())
        });
        rows
    }

    /// Rows are written all the time until the answer is dropped.
    fn load(&self) -> Load {
        until(Duration::from_secs(120), || {
            self.ask("CREATE TABLE IF NOT EXISTS notes (id int, what text)")
                .map(drop)
        });
        let line = "c=$(docker ps -q --filter label=com.docker.swarm.service.name=notes_db | head -n 1); \
             exec docker exec -i \"$c\" sh -c 'i=0; while sleep 0.01; do i=$((i+1)); echo \"INSERT INTO notes VALUES ($i, $i);\"; done | \
             PGPASSWORD=$(cat /run/secrets/db_password) psql -h 127.0.0.1 -U notes -d notes -qX' >/dev/null 2>&1";
        let child = Command::new(env!("CARGO_BIN_EXE_matou"))
            .args(["lab", "ssh", "--name", "reco", "n1", "--", "sh", "-c", line])
            .stdin(Stdio::null())
            .spawn()
            .expect("matou starts");
        let load = Load(child);
        until(Duration::from_secs(60), || match self.rows() {
            0..50 => Err("too few rows".into()),
            _ => Ok(()),
        });
        load
    }

    /// The provider deletes servers; fresh ones come in their place.
    fn lose(&self, nodes: &[&str], data: bool) {
        let fleet = &self.fleet;
        if data && nodes.len() < 3 {
            // The folder that all nodes share is the storage node's.
            fleet.run("n2", "rm -rf /mnt/data/* /mnt/data/.matou");
        }
        for node in nodes {
            fleet.wait(fleet.lab.lose_node(node));
        }
        if data && nodes.len() == 3 {
            fleet.wait(fleet.lab.lose_data());
        }
        fleet.wait(fleet.lab.up(3, Kind::Docker, &|_| {}));
        fleet.wait(fleet.lab.load(&self.registry));
    }

    /// `matou recover`, begun in `folder` from nothing but what the operator keeps.
    fn recover_from_nothing(&self, folder: &Path) -> Command {
        let nodes: Vec<String> = ["n1", "n2", "n3"].map(|n| self.fleet.address(n)).into();
        let lab = |name: &str| {
            let path = self.fleet.lab.config_path().with_file_name(name);
            path.display().to_string()
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_matou"));
        command
            .args([
                "recover",
                "--yes",
                "--repository",
                &self.s3.repository("reco"),
            ])
            .args(["--password-file", &self.key("restic-password")])
            .args(["--environment-file", &self.key("restic.env")])
            .args(["--nodes", &nodes.join(","), "--user", "root"])
            .args([
                "--identity",
                &lab("id_ed25519"),
                "--known-hosts",
                &lab("known_hosts"),
            ])
            .args(["--into", &folder.display().to_string()])
            .stdin(Stdio::null());
        command
    }
}

struct Load(Child);

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_fleet_comes_back_out_of_its_repository() {
    let world = World::new();
    let config = world.deploy();
    let before = world.picture(&config);
    let load = world.load();
    let least = world.rows();
    ok(&config, &["backup", "--all", "--yes"]);
    let most = world.rows();
    drop(load);

    let config = everything_is_lost(&world, &before, least..=most);
    a_worker_is_lost(&world, &config, &before);
}

/// Run it with `cargo test --test recover -- --ignored`: ten minutes.
#[test]
#[ignore = "long"]
fn the_manager_or_the_storage_node_is_lost() {
    let world = World::new();
    let config = world.deploy();
    let before = world.picture(&config);
    let load = world.load();
    ok(&config, &["backup", "--all", "--yes"]);
    drop(load);
    the_manager_is_lost_and_the_console_killed(&world, &config, &before);
    the_storage_node_is_lost(&world, &config, &before);
}

/// Run it with `cargo test --test recover -- --ignored`: ten minutes.
#[test]
#[ignore = "long"]
fn a_drill_proves_the_repository_and_tells_what_is_wrong_with_it() {
    let world = World::new();
    let config = world.deploy();
    let load = world.load();
    ok(&config, &["backup", "--all", "--yes"]);
    drop(load);
    drills(&world, &config);
}

fn everything_is_lost(
    world: &World,
    before: &BTreeMap<String, String>,
    rows_then: RangeInclusive<u64>,
) -> PathBuf {
    world.lose(&["n1", "n2", "n3"], true);
    let folder = world.keys.path().join("rebuilt");
    let begun = Instant::now();
    let out = world
        .recover_from_nothing(&folder)
        .output()
        .expect("matou starts");
    let text = said(&out);
    let took = begun.elapsed();
    assert!(out.status.success(), "{text}");
    eprintln!("{}", &text[text.find("# Recovery").unwrap_or(0)..]);
    assert!(took < Duration::from_secs(180), "it took {took:?}:\n{text}");
    assert!(text.contains("- applications: 5 of 5 are back"), "{text}");
    assert!(text.contains("DNS: let files.lab.test lead to"), "{text}");
    assert!(
        !text.contains("s3cr3t-key") && !text.contains("battery"),
        "{text}"
    );
    let config = folder.join("config.toml");
    assert_eq!(&world.picture(&config), before);
    // What the dump saw: a moment of the backup.
    let rows = world.rows();
    assert!(rows_then.contains(&rows), "{rows} rows, not {rows_then:?}");
    // Nothing is left to do.
    let again = ok(&config, &["recover", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
    config
}

fn a_worker_is_lost(world: &World, config: &PathBuf, before: &BTreeMap<String, String>) {
    world.lose(&["n3"], false);
    let text = ok(config, &["recover", "--yes"]);
    assert!(text.contains("the lost n3 from the swarm's list"), "{text}");
    assert!(!text.contains("+ data of"), "{text}");
    let nodes = world
        .fleet
        .run("n1", "docker node ls --format '{{.Hostname}} {{.Status}}'");
    assert_eq!(nodes.matches("Ready").count(), 3, "{nodes}");
    assert!(!nodes.contains("Down"), "{nodes}");
    assert_eq!(&world.picture(config), before);
}

/// Its data lives, the swarm does not; every attempt but the last is killed in another phase.
fn the_manager_is_lost_and_the_console_killed(
    world: &World,
    config: &PathBuf,
    before: &BTreeMap<String, String>,
) {
    world.lose(&["n1"], false);
    for phase in [
        "n1: swarm changed",
        "n2: swarm changed",
        "n1: edge …",
        "files: ",
    ] {
        killed_at(config, phase);
    }
    until(Duration::from_secs(90), || {
        let out = matou(config, &["recover", "--yes"]);
        match said(&out) {
            text if text.contains("another matou works on") => Err(text),
            text => {
                assert!(out.status.success(), "{text}");
                Ok(())
            }
        }
    });
    assert_eq!(&world.picture(config), before);
}

fn the_storage_node_is_lost(world: &World, config: &PathBuf, before: &BTreeMap<String, String>) {
    world.lose(&[], true);
    for phase in ["n1: restore …", "files: its data of"] {
        killed_at(config, phase);
    }
    let mut text = String::new();
    until(Duration::from_secs(90), || {
        let out = matou(config, &["recover", "--yes"]);
        text = said(&out);
        match text.contains("another matou works on") {
            true => Err(text.clone()),
            false => {
                assert!(out.status.success(), "{text}");
                Ok(())
            }
        }
    });
    assert_eq!(&world.picture(config), before);
}

/// Runs a recovery until it says something, and kills it then.
fn killed_at(config: &Path, phase: &str) {
    until(Duration::from_secs(60), || {
        let mut running = Command::new("sh")
            .args(["-c", "exec \"$@\" 2>&1", "sh", env!("CARGO_BIN_EXE_matou")])
            .args(["--config", &config.display().to_string()])
            .args(["recover", "--yes"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("matou starts");
        let output = running.stdout.take().expect("its output");
        let mut seen = String::new();
        let mut reached = false;
        for line in BufReader::new(output).lines() {
            seen += &(line.expect("text") + "\n");
            reached = seen.contains(phase);
            if reached {
                break;
            }
        }
        // It has ended when it never got there.
        let _ = running.kill();
        running.wait().expect("it has ended");
        match reached {
            true => Ok(()),
            // The servers notice after some seconds that the one before is gone.
            false if seen.contains("another matou works on") => Err(seen),
            false => panic!("{phase:?} was never said:\n{seen}"),
        }
    });
}

fn drills(world: &World, config: &PathBuf) {
    let drill = |more: &[&str]| {
        let registry = world.registry.display().to_string();
        let args = ["drill", "--image", &registry];
        matou(config, &[&args[..], more].concat())
    };
    let out = drill(&[]);
    let text = said(&out);
    assert!(out.status.success(), "{text}");
    assert!(text.contains("- applications: 5 of 5 are back"), "{text}");
    let lab = Lab::new("drill").expect("a state folder");
    assert!(
        world.fleet.wait(lab.nodes()).is_empty(),
        "it was left behind"
    );
    let history = ok(config, &["drill", "--history"]);
    assert!(history.contains("all 5 applications answered"), "{history}");

    // An application whose image is gone, a dump that is missing, a damaged pack.
    let folder = config.parent().expect("a folder");
    std::fs::write(
        folder.join("apps/gone.toml"),
        "stack = \"hello\"\n\n[variables]\nIMAGE = \"matou/gone:1\"\n",
    )
    .expect("written");
    ok(config, &["backup", "--all", "--yes"]);
    world.fleet.run(
        "n1",
        &format!(
            "export RESTIC_PASSWORD='correct horse battery staple' AWS_ACCESS_KEY_ID=operator AWS_SECRET_ACCESS_KEY=s3cr3t-key; \
             restic -q -r {} backup --host reco --tag app=notes --tag matou --exclude matou-dump.sql \
             /mnt/data/.matou/dumps/notes /mnt/data/.matou/secrets/notes /mnt/data/notes_db",
            world.s3.repository("reco")
        ),
    );
    world.s3.damage("reco");
    let out = drill(&[]);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("- applications: 3 of 6 are back"), "{text}");
    for (app, why) in [
        ("gone", "matou/gone:1"),
        ("notes", "dump"),
        ("photos", "damaged"),
    ] {
        let line = text
            .lines()
            .find(|l| l.starts_with(&format!("| {app} | no: ")));
        let line = line.unwrap_or_else(|| panic!("{app} is not named:\n{text}"));
        assert!(line.contains(why), "{line}");
    }
}
