//! A hoster's fleet as a test needs it: five applications behind an edge with certificates, one a
//! database that is written to, one with 20,000 files; a repository on S3; and what the operator keeps.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::databases;
use super::edge::{Authority, deploy_traefik, images};
use super::s3::S3;
use super::{Fleet, ok, said, until};

/// Files of the file store.
const FILES: usize = 20_000;

/// A site whose pages are in a volume; each answers under a name of its own.
pub(crate) const FILES_STACK: &str = r#"
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
pub(crate) const NOTES_STACK: &str = r#"
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

/// The fleet, and what outlives it.
pub(crate) struct World {
    pub fleet: Fleet,
    pub s3: S3,
    authority: Authority,
    settings: &'static str,
    /// Image archives, in the place of a registry.
    pub registry: PathBuf,
    /// Keys and the password: what the operator keeps.
    pub keys: tempfile::TempDir,
    gateway: String,
}

/// Domains of the applications.
const SITES: [&str; 3] = ["files", "photos", "pages"];

fn domain(app: &str) -> String {
    format!("{app}.lab.test")
}

impl World {
    /// On a fleet that is up, with Docker and a swarm; `settings` go into its config.toml.
    pub(crate) fn new(fleet: Fleet, settings: &'static str) -> Self {
        images(&fleet, "n1");
        databases::image(&fleet, "n1");
        let world = Self::with_images(fleet, settings);
        world.save_images();
        world
    }

    /// The same on one whose nodes have the images already.
    pub(crate) fn with_images(fleet: Fleet, settings: &'static str) -> Self {
        let address = fleet.address("n1");
        let gateway = format!("{}.1", address.rsplit_once('.').expect("IPv4").0);
        let s3 = S3::start(&gateway, 15_901);
        let authority = Authority::start(&gateway, &address);
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
        Self {
            registry: keys.path().join("images.tar"),
            settings,
            fleet,
            s3,
            authority,
            keys,
            gateway,
        }
    }

    pub(crate) fn key(&self, name: &str) -> String {
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
                "lab",
                "ssh",
                "--name",
                &self.fleet.name,
                "n1",
                "--",
                "sh",
                "-c",
                &list,
            ])
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(&self.registry).expect("a file"))
            .status()
            .expect("matou starts");
        assert!(saved.success());
        self.fleet.wait(self.fleet.lab.load_images(&self.registry));
    }

    /// What the operator wrote into config.toml beside the nodes.
    pub(crate) fn settings(&self) -> String {
        format!(
            "{}\n[edge]\nca_file = \"{}\"\n[backup]\nrepository = \"{}\"\npassword_file = \"{}\"\nenvironment_file = \"{}\"\n",
            self.settings,
            self.key("root.pem"),
            self.s3.repository("reco"),
            self.key("restic-password"),
            self.key("restic.env"),
        )
    }

    /// The fleet as its operator wrote it, with its applications deployed and filled.
    pub(crate) fn deploy(&self) -> PathBuf {
        let config = self.fleet.config("reco.toml", &self.settings());
        let stacks = config.with_file_name("stacks");
        std::fs::create_dir_all(&stacks).expect("a folder");
        std::fs::write(stacks.join("files.yml"), FILES_STACK).expect("written");
        std::fs::write(stacks.join("notes.yml"), NOTES_STACK).expect("written");
        // What the sites show is there before they are asked.
        self.fleet.run(
            "n1",
            &format!(
                "cd /mnt/data; for s in {}; do mkdir -p ${{s}}_data/0; echo \"the page of $s\" >${{s}}_data/0/0; done; \
                 head -c 24000000 /dev/urandom >photos_data/0/1; cd files_data; for d in $(seq 0 199); do mkdir -p $d; for f in $(seq 0 99); do echo \"file $d $f\" >$d/$f; done; done",
                SITES.join(" ")
            ),
        );
        deploy_traefik(&self.fleet, &config, &self.authority);
        // At the same moment, as scripts do it: none fails another.
        std::thread::scope(|deploys| {
            for site in SITES {
                let (config, name) = (&config, format!("DOMAIN={}", domain(site)));
                deploys.spawn(move || ok(config, &["deploy", "files", site, &name, "--yes"]));
            }
            deploys.spawn(|| ok(&config, &["deploy", "notes", "notes", "--yes"]));
        });
        ok(&config, &["repo", "init", "--yes"]);
        config
    }

    /// What the sites, the certificates, the secrets and the files are.
    pub(crate) fn picture(&self, config: &Path) -> BTreeMap<String, String> {
        self.picture_on(&self.fleet, config)
    }

    pub(crate) fn picture_on(&self, fleet: &Fleet, config: &Path) -> BTreeMap<String, String> {
        let mut picture = BTreeMap::new();
        let address = fleet.address("n1");
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
                    false => {
                        let there = fleet.try_run("n1", "docker node ls; docker ps --all; free -m; uptime; journalctl --unit=docker --since=-10m | grep -i heartbeat | tail -n 5");
                        Err(format!("{}\n{}", said(&out), said(&there)))
                    }
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
        let files = fleet.run(
            "n1",
            "cd /mnt/data/files_data && find . -type f | wc -l && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum",
        );
        assert!(files.starts_with(&format!("{FILES}\n")), "{files}");
        picture.insert("files".into(), files);
        picture
    }

    /// Asks the database.
    fn ask(&self, sql: &str) -> Result<String, String> {
        self.ask_on(&self.fleet, sql)
    }

    pub(crate) fn ask_on(&self, fleet: &Fleet, sql: &str) -> Result<String, String> {
        let line = format!(
            "c=$(docker ps -q --filter label=com.docker.swarm.service.name=notes_db | head -n 1); \
             docker exec \"$c\" sh -c 'PGPASSWORD=$(cat /run/secrets/db_password) psql -h 127.0.0.1 -U notes -d notes -qAtX -c \"$1\"' sh '{sql}'"
        );
        let out = fleet.try_run("n1", &line);
        match out.status.success() {
            true => Ok(said(&out).trim().to_owned()),
            false => Err(said(&out)),
        }
    }

    pub(crate) fn rows(&self) -> u64 {
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
    pub(crate) fn load(&self) -> Load {
        until(Duration::from_secs(120), || {
            self.ask("CREATE TABLE IF NOT EXISTS notes (id int, what text)")
                .map(drop)
        });
        let line = "c=$(docker ps -q --filter label=com.docker.swarm.service.name=notes_db | head -n 1); \
             exec docker exec -i \"$c\" sh -c 'i=0; while sleep 0.01; do i=$((i+1)); echo \"INSERT INTO notes VALUES ($i, $i);\"; done | \
             PGPASSWORD=$(cat /run/secrets/db_password) psql -h 127.0.0.1 -U notes -d notes -qX' >/dev/null 2>&1";
        let child = Command::new(env!("CARGO_BIN_EXE_matou"))
            .args([
                "lab",
                "ssh",
                "--name",
                &self.fleet.name,
                "n1",
                "--",
                "sh",
                "-c",
                line,
            ])
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

    /// `matou recover`, begun in `folder` from nothing but what the operator keeps.
    pub(crate) fn recover_from_nothing(&self, folder: &Path) -> Command {
        let nodes: Vec<String> = ["n1", "n2", "n3"].map(|n| self.fleet.address(n)).into();
        let lab = |name: &str| {
            let path = self.fleet.lab.config_path().with_file_name(name);
            path.display().to_string()
        };
        // What it makes is nobody else's, whatever the umask says.
        let mut command = Command::new("sh");
        command
            .args(["-c", "umask 000; exec \"$0\" \"$@\""])
            .arg(env!("CARGO_BIN_EXE_matou"))
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
            .args(["--settings", &self.own_settings()])
            .stdin(Stdio::null());
        command
    }

    /// What a repository has no say in.
    fn own_settings(&self) -> String {
        let text = format!("[edge]\nca_file = {:?}\n", self.key("root.pem"));
        let path = self.key("settings.toml");
        std::fs::write(&path, text).expect("written");
        path
    }
}

/// Writes rows until it is dropped.
pub(crate) struct Load(Child);

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
