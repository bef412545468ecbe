//! Applications on a practice fleet of one node, asked through its edge, or from within their network.

use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::time::Duration;

use super::edge::{Authority, deploy_traefik};
use super::{Fleet, ok, private, said, until};

const MAIL_PASSWORD: &str = "mail-s3cret-of-the-fleet";

/// A mail server that the fleet reaches, until this is dropped.
pub(crate) struct Mails {
    server: Child,
    folder: tempfile::TempDir,
}

impl Mails {
    /// The first mail whose text has these words.
    pub(crate) fn wait_for(&self, words: &[&str]) -> String {
        let mut found = String::new();
        until(Duration::from_secs(60), || {
            let files = self.folder.path().read_dir().expect("a folder").flatten();
            let texts = files.map(|f| std::fs::read_to_string(f.path()).unwrap_or_default());
            let texts: Vec<String> = texts.map(|t| t.replace("=\r\n", "")).collect();
            let wanted = |t: &&String| words.iter().all(|w| t.contains(w));
            let text = texts.iter().find(wanted);
            found.clone_from(text.ok_or_else(|| format!("no mail with {words:?} in {texts:?}"))?);
            Ok(())
        });
        found
    }
}

impl Drop for Mails {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A practice fleet of one node with a repository for backups.
pub(crate) struct Host {
    pub fleet: Fleet,
    pub config: PathBuf,
    /// Where certificates come from, on a fleet with an edge.
    authority: Option<Authority>,
}

impl Host {
    pub(crate) fn new(name: &str, settings: &str) -> Self {
        Self::on(Fleet::with_shared_data(name, 1), settings)
    }

    fn on(fleet: Fleet, settings: &str) -> Self {
        let password = fleet.lab.config_path().with_file_name("restic-password");
        private(&password, "correct horse\n");
        let settings = format!(
            "{settings}\n[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n"
        );
        let config = fleet.config("software.toml", &settings);
        ok(&config, &["repo", "init", "--yes"]);
        Self {
            fleet,
            config,
            authority: None,
        }
    }

    /// The same with Traefik, an authority that issues its certificates, and a mail server, which keeps what it gets in a
    /// folder.
    pub(crate) fn with_edge(name: &str) -> (Self, Mails) {
        let fleet = Fleet::with_shared_data(name, 1);
        super::edge::images(&fleet, "n1");
        let address = fleet.address("n1");
        let gateway = format!("{}.1", address.rsplit_once('.').expect("IPv4").0);
        let folder = tempfile::tempdir().expect("a folder");
        let port = super::registry::free_port();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/smtp.py");
        let server = super::server("/usr/bin/python3")
            .args([script, "--security", "none", "--password", MAIL_PASSWORD])
            .args(["--host", &gateway, "--port", &port.to_string(), "--folder"])
            .arg(folder.path())
            .spawn()
            .expect("python3");
        let file = fleet.lab.config_path().with_file_name("mail-password");
        private(&file, &format!("{MAIL_PASSWORD}\n"));
        let authority = Authority::start(&gateway, &address);
        let root = fleet.lab.config_path().with_file_name("root.pem");
        std::fs::write(root, authority.root_pem()).expect("written");
        let settings = format!(
            "[edge]\nemail = \"ops@example.org\"\nca_file = \"root.pem\"\n[mail]\nserver = \"{gateway}\"\nport = {port}\nsecurity = \"none\"\nuser = \"matou\"\npassword_file = \"mail-password\"\nsender = \"mail@lab.test\"\n"
        );
        let host = Self::on(fleet, &settings);
        deploy_traefik(&host.fleet, &host.config, &authority);
        let authority = Some(authority);
        (Self { authority, ..host }, Mails { server, folder })
    }

    pub(crate) fn run(&self, args: &[&str]) -> String {
        ok(&self.config, args)
    }

    /// A secret that a stack made.
    pub(crate) fn secret(&self, app: &str, name: &str) -> String {
        let shown = self.run(&["secrets", app, "show", name]);
        shown.trim().to_owned()
    }

    /// Every container of an application is healthy by the check of its stack.
    pub(crate) fn expect_healthy(&self, app: &str) {
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
    pub(crate) fn goes_and_comes_back(&self, app: &str, volumes: &[&str]) {
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

/// Sites are asked as a browser does, where there is an edge; as Traefik asks them otherwise: over the network that they
/// share, at their task, with the name that a browser wanted. This kernel may have no virtual addresses, so that it is
/// the task's name.
pub(crate) struct Site<'a> {
    pub host: &'a Host,
    pub app: &'a str,
    pub service: &'a str,
    pub port: u16,
}

impl Site<'_> {
    /// Headers and body of an answer.
    pub(crate) fn ask(&self, path: &str, options: &[&str]) -> Result<String, String> {
        let out = match self.host.authority {
            Some(_) => self.ask_the_edge(path, options),
            None => self.ask_the_task(path, options),
        };
        match out.status.success() {
            true => Ok(String::from_utf8_lossy(&out.stdout).replace('\r', "")),
            false => Err(said(&out)),
        }
    }

    fn ask_the_edge(&self, path: &str, options: &[&str]) -> Output {
        let domain = format!("{}.lab.test", self.app);
        let address = self.host.fleet.address("n1");
        Command::new("curl")
            .args(["-sS", "-i", "--http1.1", "--max-time", "30", "--cacert"])
            .arg(self.host.config.with_file_name("root.pem"))
            .args(["--resolve", &format!("{domain}:443:{address}")])
            .args(options)
            .arg(format!("https://{domain}{path}"))
            .output()
            .expect("curl")
    }

    fn ask_the_task(&self, path: &str, options: &[&str]) -> Output {
        let Self {
            app, service, port, ..
        } = self;
        let domain = format!("Host: {app}.lab.test");
        let url = format!("http://tasks.{app}_{service}:{port}{path}");
        let url = url.as_str();
        let fixed = [
            "-sS",
            "-i",
            "--max-time",
            "30",
            "-H",
            &domain,
            "-H",
            "X-Forwarded-Proto: https",
        ];
        let args = fixed.iter().chain(options).chain([&url]);
        let quoted: Vec<String> = args
            .map(|a| format!("'{}'", a.replace('\'', "'\\''")))
            .collect();
        let line = format!(
            "docker exec $(docker ps -q -f label=visitor) curl {}",
            quoted.join(" ")
        );
        self.host.fleet.try_run("n1", &line)
    }

    pub(crate) fn answer(&self, path: &str, options: &[&str]) -> String {
        self.ask(path, options).expect("an answer")
    }

    /// Its page, as soon as it is there, has these words.
    pub(crate) fn expect(&self, path: &str, options: &[&str], words: &str) -> String {
        let mut found = String::new();
        until(Duration::from_secs(60), || {
            found = self.ask(path, options)?;
            match found.contains(words) {
                true => Ok(()),
                false => Err(format!("{path} without {words}: {found}")),
            }
        });
        found
    }
}

/// What stands between two texts.
pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.1.split_once(after).map_or(rest.1, |(found, _)| found)
}

/// The cookies that an answer sets, as a browser sends them back. Some go over TLS only, which ends at the edge.
pub(crate) fn cookies(answer: &str) -> String {
    let set = answer
        .lines()
        .filter_map(|l| l.strip_prefix("Set-Cookie: "));
    let pairs = set.map(|c| c.split(';').next().unwrap_or_default());
    let kept: Vec<&str> = pairs.filter(|c| !c.ends_with("=-del-")).collect();
    format!("Cookie: {}", kept.join("; "))
}
