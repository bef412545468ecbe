//! The life of a real application, Ghost with MySQL, by the catalogue's stack: it has its owner before
//! anybody sees it, is logged in to as declared, with mail, backed up, destroyed, restored, moved to
//! another node, updated with its tables.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::edge::{Authority, deploy_traefik};
use support::ghost::VERSIONS;
use support::registry::free_port;
use support::stranger::Stranger;
use support::{Fleet, matou, ok, private, said, server, until};

const MAIL_PASSWORD: &str = "mail-s3cret-of-the-fleet";
const HOST: &str = "ghost.lab.test";
const SETUP: &str = "/ghost/api/admin/authentication/setup/";

/// Ghost on a practice fleet of two nodes that share their data.
struct Site {
    fleet: Fleet,
    config: PathBuf,
    mails: tempfile::TempDir,
}

impl Site {
    /// Asks as a browser would that trusts the authority; headers and body.
    fn ask(&self, path: &str, options: &[&str]) -> Result<String, String> {
        let out = Command::new("curl")
            .args(["-sS", "-i", "--max-time", "30", "--cacert"])
            .arg(self.beside("root.pem"))
            .args(options)
            .args([
                "--resolve",
                &format!("{HOST}:443:{}", self.fleet.address("n1")),
            ])
            .arg(format!("https://{HOST}{path}"))
            .output()
            .expect("curl");
        match out.status.success() {
            true => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
            false => Err(said(&out)),
        }
    }

    /// Asks Ghost's interface for programs, as the administration in a browser does: with a session.
    fn call(&self, method: &str, path: &str, body: &Value) -> String {
        let jar = self.beside("cookies").display().to_string();
        let (body, origin) = (body.to_string(), format!("Origin: https://{HOST}"));
        let mut options = vec!["-X", method, "-b", &jar, "-c", &jar, "-H", &origin];
        options.extend(["-H", "Content-Type: application/json", "-d", &body]);
        let path = format!("/ghost/api/admin{path}");
        self.ask(&path, &options).expect("an answer")
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.config.with_file_name(name)
    }

    fn run(&self, args: &[&str]) -> String {
        let begun = Instant::now();
        let text = ok(&self.config, args);
        eprintln!("matou {}: {} s", args[0], begun.elapsed().as_secs());
        text
    }

    fn log_in(&self, password: &str) -> String {
        let login = json!({"username": "ops@lab.test", "password": password});
        self.call("POST", "/session/", &login)
    }

    /// The newest mail whose text has these words.
    fn wait_for_mail(&self, words: &[&str]) -> String {
        let mut found = String::new();
        until(Duration::from_secs(60), || {
            let files = self.mails.path().read_dir().expect("a folder").flatten();
            let texts = files.map(|f| std::fs::read_to_string(f.path()).unwrap_or_default());
            let texts: Vec<String> = texts.map(|t| t.replace("=\r\n", "")).collect();
            let wanted = |t: &&String| words.iter().all(|w| t.contains(w));
            match texts.iter().find(wanted) {
                Some(text) => found.clone_from(text),
                None => return Err(format!("no mail with {words:?} in {texts:?}")),
            }
            Ok(())
        });
        found
    }

    /// The post is there for everybody.
    fn expect_post(&self, when: &str) {
        until(Duration::from_secs(180), || {
            let page = self.ask("/a-post-that-survives/", &[])?;
            match page.starts_with("HTTP/2 200") && page.contains("written by the Admin API") {
                true => Ok(()),
                false => Err(format!("{when}: {page}")),
            }
        });
    }
}

/// A mail server that the fleet reaches, and the folder in which it keeps what it gets.
fn serve_mail(gateway: &str, port: u16, folder: &Path) -> std::process::Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/smtp.py");
    server("/usr/bin/python3")
        .arg(script)
        .args(["--security", "none", "--password", MAIL_PASSWORD])
        .args(["--host", gateway, "--port", &port.to_string(), "--folder"])
        .arg(folder)
        .spawn()
        .expect("python3")
}

#[test]
#[ignore = "some eight minutes, and a gigabyte of images: make test-long"]
fn ghost_lives() {
    let fleet = Fleet::with_shared_data("ghost", 2);
    for node in ["n1", "n2"] {
        support::ghost::images(&fleet, node);
    }
    support::edge::images(&fleet, "n1");
    let address = fleet.address("n1");
    let gateway = format!("{}.1", address.rsplit_once('.').expect("IPv4").0);
    let authority = Authority::start(&gateway, &address);
    let mails = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let mut mail_server = serve_mail(&gateway, port, mails.path());
    let beside = |name: &str| fleet.lab.config_path().with_file_name(name);
    std::fs::write(beside("root.pem"), authority.root_pem()).expect("written");
    private(&beside("mail-password"), &format!("{MAIL_PASSWORD}\n"));
    private(&beside("restic-password"), "correct horse\n");
    let config = fleet.config(
        "ghost.toml",
        &format!(
            "[edge]\nemail = \"ops@example.org\"\nca_file = \"root.pem\"\n[mail]\nserver = \"{gateway}\"\nport = {port}\nsecurity = \"none\"\nuser = \"matou\"\npassword_file = \"mail-password\"\nsender = \"blog@lab.test\"\n[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n"
        ),
    );
    deploy_traefik(&fleet, &config, &authority);
    let site = Site {
        fleet,
        config,
        mails,
    };
    // From before there is anything until the end of all, through restore and move as well.
    let stranger = Stranger::comes(HOST, address, &["/", "/ghost/", SETUP], is_without_owner);
    has_its_owner_before_anybody_comes(&site);
    logs_in_with_a_code_by_mail(&site);
    invites_by_mail(&site);
    let post = json!({"posts": [{"title": "A post that survives", "status": "published",
        "lexical": lexical("written by the Admin API")}]});
    let answer = site.call("POST", "/posts/", &post);
    assert!(answer.starts_with("HTTP/2 201"), "{answer}");
    site.expect_post("written");
    comes_back(&site);
    site.run(&["place", "blog", "n2", "--yes"]);
    site.expect_post("on another node");
    site.fleet
        .run("n2", "[ -n \"$(docker ps -q -f name=blog_web)\" ]");
    rises(&site);
    stranger.finds_nothing();
    let _ = mail_server.kill();
    let _ = mail_server.wait();
}

/// One paragraph, as Ghost's editor keeps it.
fn lexical(text: &str) -> String {
    let text = json!({"type": "extended-text", "version": 1, "text": text, "detail": 0, "format": 0,
        "mode": "normal", "style": ""});
    let paragraph = json!({"type": "paragraph", "version": 1, "children": [text], "direction": "ltr",
        "format": "", "indent": 0});
    json!({"root": {"type": "root", "version": 1, "children": [paragraph], "direction": "ltr",
        "format": "", "indent": 0}})
    .to_string()
}

/// Ghost makes whoever comes first its owner: a stranger never finds it without one.
fn has_its_owner_before_anybody_comes(site: &Site) {
    let image = format!("IMAGE=matou/ghost:{}", VERSIONS[0]);
    let domain = format!("DOMAIN={HOST}");
    let args = [
        "deploy",
        "ghost",
        "blog",
        &domain,
        "ADMIN_EMAIL=ops@lab.test",
        "TITLE=Chatons",
        &image,
        "--yes",
    ];
    let begun = Instant::now();
    let out = matou(&site.config, &args);
    eprintln!("matou deploy: {} s", begun.elapsed().as_secs());
    let text = said(&out);
    assert!(out.status.success(), "{text}");
    assert!(
        text.contains(&format!(
            "log in at https://{HOST}/ghost/ as ops@lab.test\n"
        )) && text.contains("`matou secrets blog show admin_password`"),
        "{text}"
    );
    let answer = site.ask(SETUP, &[]).expect("it answers");
    assert!(answer.contains("\"status\":true"), "{answer}");
    let stranger = json!({"setup": [{"name": "Eve", "email": "eve@example.org",
        "password": "eve-takes-it-all", "blogTitle": "Eve"}]});
    let answer = site.call("POST", "/authentication/setup/", &stranger);
    assert!(answer.starts_with("HTTP/2 403"), "{answer}");
    let page = site.ask("/", &[]).expect("it answers");
    assert!(
        page.starts_with("HTTP/2 200") && page.contains("<title>Chatons</title>"),
        "{page}"
    );
    assert!(
        site.run(&["redeploy", "blog", "--yes"])
            .contains("nothing to do")
    );
}

/// Ghost without an owner, or an answer to the question for one that says nothing of it.
fn is_without_owner(path: &str, answer: &str) -> bool {
    let is_there = answer.starts_with("HTTP/2 200");
    let has_owner = answer.contains("\"status\":true");
    answer.contains("\"status\":false") || (path == SETUP && is_there && !has_owner)
}

/// As the operator was told; after the first log-in, a new device is confirmed by a code that Ghost mails.
fn logs_in_with_a_code_by_mail(site: &Site) {
    let password = site.run(&["secrets", "blog", "show", "admin_password"]);
    let password = password.trim();
    let answer = site.log_in("not-the-password");
    assert!(answer.starts_with("HTTP/2 422"), "{answer}");
    // The first time is free.
    let answer = site.log_in(password);
    assert!(answer.starts_with("HTTP/2 201"), "{answer}");
    std::fs::remove_file(site.beside("cookies")).expect("a file");
    let answer = site.log_in(password);
    assert!(
        answer.starts_with("HTTP/2 403") && answer.contains("2FA_NEW_DEVICE_DETECTED"),
        "{answer}"
    );
    let mail = site.wait_for_mail(&["Envelope-To: ops@lab.test", "verification code"]);
    assert!(mail.contains("Envelope-From: blog@lab.test"), "{mail}");
    let code = regex::Regex::new("[0-9]{6}").expect("a pattern");
    let subject = mail.lines().find(|l| l.starts_with("Subject:"));
    let code = code.find(subject.unwrap_or(&mail)).expect("a code");
    let answer = site.call("PUT", "/session/verify/", &json!({"token": code.as_str()}));
    assert!(answer.starts_with("HTTP/2 200"), "{answer}");
    let answer = site.log_in(password);
    assert!(answer.starts_with("HTTP/2 201"), "{answer}");
    let answer = site.call("GET", "/users/me/", &json!({}));
    assert!(answer.contains("\"email\":\"ops@lab.test\""), "{answer}");
}

/// Somebody is invited: the mail arrives, by the fleet's own server.
fn invites_by_mail(site: &Site) {
    let answer = site.call("GET", "/roles/", &json!({}));
    let body = answer.split_once("\r\n\r\n").expect("a body").1;
    let roles: Value = serde_json::from_str(body).expect("JSON");
    let mut roles = roles["roles"].as_array().expect("roles").iter();
    let editor = roles.find(|r| r["name"] == "Editor").expect("a role");
    let invite = json!({"invites": [{"email": "lea@example.org", "role_id": editor["id"]}]});
    let answer = site.call("POST", "/invites/", &invite);
    assert!(answer.starts_with("HTTP/2 201"), "{answer}");
    site.wait_for_mail(&[
        "Envelope-From: blog@lab.test",
        "Envelope-To: lea@example.org",
        "has invited you to join Chatons",
    ]);
}

/// Backed up, destroyed with its data, restored.
fn comes_back(site: &Site) {
    site.run(&["repo", "init", "--yes"]);
    site.run(&["backup", "blog", "--yes"]);
    let volumes = ["--volume", "blog_db", "--volume", "blog_content"];
    let mut args = vec!["remove", "blog", "--yes"];
    args.extend(volumes);
    site.run(&args);
    assert!(
        !site
            .ask("/", &[])
            .is_ok_and(|a| a.starts_with("HTTP/2 200"))
    );
    site.run(&["restore", "blog", "--yes"]);
    site.expect_post("restored");
    // The session is in the database, too.
    let answer = site.call("GET", "/users/me/", &json!({}));
    assert!(answer.contains("\"email\":\"ops@lab.test\""), "{answer}");
    site.run(&["restore", "forget", "blog", "--yes"]);
}

/// A newer version, with tables of its own.
fn rises(site: &Site) {
    let version = || {
        let answer = site.ask("/ghost/api/admin/site/", &[]).expect("an answer");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        let body: Value = serde_json::from_str(body).expect("JSON");
        body["site"]["version"].as_str().map(str::to_owned)
    };
    assert_eq!(version().as_deref(), Some("6.64"));
    site.run(&[
        "update",
        "blog",
        "--service",
        "web",
        "--to",
        VERSIONS[1],
        "--yes",
    ]);
    assert_eq!(version().as_deref(), Some("6.65"));
    site.expect_post("updated");
}
