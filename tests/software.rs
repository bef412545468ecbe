//! Programs of the catalogue, out of package registries, live by the catalogue's stacks: deployed by its line, closed
//! to strangers, logged in to as declared, written to, backed up, destroyed, restored with what was written.
//!
//! `make test` runs Mumble, which needs no edge. The sites, behind Traefik, take minutes and a gigabyte of images:
//! `make test-long` runs them.

mod support;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{Fleet, matou, ok, private, said, until};

/// A practice fleet of one node with a repository for backups.
struct Host {
    fleet: Fleet,
    config: PathBuf,
}

impl Host {
    fn new(name: &str, settings: &str) -> Self {
        let fleet = Fleet::with_shared_data(name, 1);
        let password = fleet.lab.config_path().with_file_name("restic-password");
        private(&password, "correct horse\n");
        let settings = format!(
            "{settings}\n[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n"
        );
        let config = fleet.config("software.toml", &settings);
        ok(&config, &["repo", "init", "--yes"]);
        Self { fleet, config }
    }

    fn run(&self, args: &[&str]) -> String {
        ok(&self.config, args)
    }

    /// A secret that a stack made.
    fn secret(&self, app: &str, name: &str) -> String {
        let shown = self.run(&["secrets", app, "show", name]);
        shown.trim().to_owned()
    }

    /// Every container of an application is healthy by the check of its stack.
    fn expect_healthy(&self, app: &str) {
        until(Duration::from_secs(120), || {
            let line = format!(
                "docker ps -q -f label=com.docker.stack.namespace={app} | xargs docker inspect -f '{{{{.Name}}}} {{{{.State.Health.Status}}}}'"
            );
            let listed = said(&self.fleet.try_run("n1", &line));
            let healthy = listed.lines().all(|l| l.ends_with(" healthy"));
            match healthy && listed.contains(app) {
                true => Ok(()),
                false => Err(listed),
            }
        });
    }

    /// Backed up, destroyed with its data, restored.
    fn goes_and_comes_back(&self, app: &str, volumes: &[&str]) {
        self.run(&["backup", app, "--yes"]);
        let volumes: Vec<String> = volumes.iter().map(|v| format!("{app}_{v}")).collect();
        let mut args = vec!["remove", app, "--yes"];
        for volume in &volumes {
            args.extend(["--volume", volume]);
        }
        self.run(&args);
        for volume in &volumes {
            let gone = format!("[ ! -e /mnt/data/{volume} ]");
            self.fleet.run("n1", &gone);
        }
        self.run(&["restore", app, "--yes"]);
        self.run(&["restore", "forget", app, "--yes"]);
    }
}

/// What a client of Mumble sees, or why it is turned away. The server shuts an address out that connects more than
/// ten times in two minutes.
fn mumble(
    host: &Host,
    user: &str,
    password: &str,
    channel: Option<&str>,
) -> Result<String, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/mumble.py");
    let mut client = Command::new("python3")
        .args([script, &host.fleet.address("n1"), "64738", user])
        .args(channel)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut stdin = client.stdin.take().expect("an input");
    stdin.write_all(password.as_bytes()).expect("written");
    drop(stdin);
    let out = client.wait_with_output().expect("it ends");
    match out.status.success() {
        true => Ok(said(&out)),
        false => Err(said(&out)),
    }
}

#[test]
fn mumble_lives() {
    let host = Host::new("soft", "");
    support::software::mumble(&host.fleet, "n1");
    let text = host.run(&[
        "deploy",
        "mumble",
        "talk",
        "NAME=Chatons, and more",
        "--yes",
    ]);
    assert!(
        text.contains("log in as SuperUser\n")
            && text.contains("`matou secrets talk show superuser_password`"),
        "{text}"
    );
    host.expect_healthy("talk");
    // Nobody comes in without a password, or as the administrator with another.
    let password = host.secret("talk", "superuser_password");
    let refused = mumble(&host, "lea", "", None).unwrap_err();
    assert!(refused.contains("rejected 4"), "{refused}");
    let refused = mumble(&host, "SuperUser", "another", None).unwrap_err();
    assert!(refused.contains("rejected 3"), "{refused}");
    let before = mumble(&host, "lea", &host.secret("talk", "server_password"), None);
    let before = before.expect("it lets people in");
    assert!(before.contains("channel Chatons, and more\n"), "{before}");
    let written = mumble(&host, "SuperUser", &password, Some("Survivors"));
    assert!(written.expect("a channel").contains("channel Survivors\n"));
    host.goes_and_comes_back("talk", &["data"]);
    host.expect_healthy("talk");
    let after = mumble(&host, "SuperUser", &password, None).expect("it lets people in");
    assert!(after.contains("channel Survivors\n"), "{after}");
    // Clients warn of a server with another certificate.
    assert_eq!(after.lines().next(), before.lines().next());
    // By the same file again nothing changes.
    let again = said(&matou(&host.config, &["redeploy", "talk", "--yes"]));
    assert!(again.contains("nothing to do"), "{again}");
}
