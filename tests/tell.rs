//! `matou check --tell` on a practice fleet: a node is killed, and those of `[receivers]` are told once that it is
//! down, and once that it is well again, by a real mail server and by HTTP.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use matou::lab::LabKind;
use serde_json::Value;
use support::registry::free_port;
use support::{Fleet, Running, private, said, server, start, until};

const PASSWORD: &str = "corr3ct-h0rse";
const TOKEN: &str = "tk_n0body-s33s";

fn openssl(folder: &Path, args: &[&str]) {
    let out = Command::new("openssl")
        .args(args)
        .current_dir(folder)
        .output()
        .expect("openssl");
    assert!(out.status.success(), "{}", said(&out));
}

struct Told {
    fleet: Fleet,
    folder: tempfile::TempDir,
    config: PathBuf,
}

impl Told {
    fn check(&self) -> Output {
        self.check_and("--tell")
    }

    fn check_and(&self, how: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_matou"))
            .arg("--config")
            .arg(&self.config)
            .args(["check", how])
            // The authority that signed the mail server's certificate; a memory of its own.
            .env("SSL_CERT_FILE", self.folder.path().join("leaf.pem"))
            .env("XDG_STATE_HOME", self.folder.path().join("state"))
            .env("HOME", self.folder.path())
            .output()
            .expect("matou starts")
    }

    /// What arrived, in the order in which it did.
    fn arrived(&self, ending: &str) -> Vec<String> {
        let folder = self.folder.path().join("mails");
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
            .expect("a folder")
            .map(|e| e.expect("an entry").path())
            .filter(|p| p.extension().is_some_and(|e| e == ending))
            .collect();
        files.sort_by_key(|p| {
            let stem = p.file_stem().expect("a name").to_string_lossy();
            stem.parse::<u32>().expect("a number")
        });
        files
            .iter()
            .map(|p| std::fs::read_to_string(p).expect("text"))
            .collect()
    }
}

fn start_mail(folder: &Path, port: u16) -> Running {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/smtp.py");
    let mut command = server("/usr/bin/python3");
    command.arg(script);
    command.args(["--security", "starttls", "--password", PASSWORD]);
    command.args(["--port", &port.to_string()]);
    command.arg("--folder").arg(folder.join("mails"));
    command.arg("--certificate").arg(folder.join("leaf.pem"));
    command.arg("--key").arg(folder.join("leaf.key"));
    start(&mut command, port)
}

#[test]
fn a_node_that_dies_is_told_once_and_its_return_once() {
    let fleet = Fleet::new("tell");
    fleet.wait(fleet.lab.up(2, LabKind::Swarm, &|_| ()));
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    std::fs::create_dir(here.join("mails")).expect("made");
    openssl(
        here,
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-keyout",
            "leaf.key",
            "-out",
            "leaf.pem",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ],
    );
    let (mail_port, web_port) = (free_port(), free_port());
    let mut recorder = server("/usr/bin/python3");
    recorder.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/recorder.py"));
    recorder.arg(web_port.to_string()).arg(here.join("mails"));
    let _recorder = start(&mut recorder, web_port);
    private(&here.join("password"), &format!("{PASSWORD}\n"));
    private(&here.join("token"), &format!("{TOKEN}\n"));
    private(
        &here.join("hook"),
        &format!("http://127.0.0.1:{web_port}/hook/{TOKEN}\n"),
    );
    let path = |name: &str| here.join(name).display().to_string();
    let more = format!(
        "[alerts]\ncpu = 100\nmemory = 100\ndisk = 100\n[receivers]\nemail = \"ops@example.net\"\nsmtp = \"localhost:{mail_port}\"\nsmtp_from = \"matou@example.org\"\nsmtp_user = \"matou\"\n\
         smtp_password_file = \"{}\"\nntfy = \"http://127.0.0.1:{web_port}/topic\"\nntfy_token_file = \"{}\"\nwebhook_file = \"{}\"\n\
         gotify = \"http://127.0.0.1:{web_port}/gotify/\"\ngotify_token_file = \"{}\"\n",
        path("password"),
        path("token"),
        path("hook"),
        path("token"),
    );
    let config = fleet.config("tell.toml", &more);
    let told = Told {
        fleet,
        folder,
        config,
    };

    // All is well, or was wrong before: from here on nothing is told twice.
    let mail = start_mail(told.folder.path(), mail_port);
    let first = told.check();
    let before = (told.arrived("eml").len(), told.arrived("json").len());
    let again = told.check();
    assert_eq!(
        before,
        (told.arrived("eml").len(), told.arrived("json").len()),
        "{} {}",
        said(&first),
        said(&again)
    );

    // A trial reaches each of them, and is no alert to any.
    let out = told.check_and("--try-receivers");
    let text = said(&out);
    assert!(
        out.status.success() && text.contains("e-mail: it took the message"),
        "{text}"
    );
    let mails = told.arrived("eml");
    assert!(
        mails
            .last()
            .is_some_and(|m| m.contains("Subject: tell: trial:")),
        "{mails:?}"
    );
    let posts = told.arrived("json");
    let trials = posts.iter().filter(|p| p.contains("nothing is")).count();
    assert_eq!((trials, posts.len()), (3, before.1 + 3), "{posts:#?}");

    told.fleet.kill("n2");
    // The managers say so after some heartbeats.
    until(Duration::from_secs(120), || {
        let out = told.check();
        let mails = told.arrived("eml");
        let last = mails.last().cloned().unwrap_or_default();
        match mails.len() > before.0 && last.contains("n2") {
            true => Ok(()),
            false => Err(said(&out)),
        }
    });
    let mails = told.arrived("eml");
    let mail_text = mails.last().expect("a mail");
    assert!(
        mail_text.contains("Envelope-To: ops@example.net")
            && mail_text.contains("Subject: tell: n2")
            && mail_text.contains("CRITICAL"),
        "{mail_text}"
    );
    let posts = told.arrived("json");
    let post = |path: &str| -> Value {
        let found = posts
            .iter()
            .rev()
            .map(|p| serde_json::from_str::<Value>(p).expect("JSON"));
        found
            .into_iter()
            .find(|p| p["path"].as_str().is_some_and(|p| p.starts_with(path)))
            .expect(path)
    };
    let ntfy = post("/topic");
    assert_eq!(ntfy["headers"]["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(ntfy["headers"]["priority"], "urgent");
    assert!(
        ntfy["body"].as_str().is_some_and(|b| b.contains("n2")),
        "{ntfy}"
    );
    let gotify = post("/gotify/message");
    assert_eq!(gotify["headers"]["x-gotify-key"], TOKEN);
    let body = gotify["body"].as_str().expect("text");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["priority"], 8, "{body}");
    let hook: Value =
        serde_json::from_str(post("/hook/")["body"].as_str().expect("text")).expect("JSON");
    assert_eq!(hook["alerts"][0]["state"], "begun", "{hook}");

    // Well again, while the mail server is away: the others are told once, the mail comes later.
    drop(mail);
    told.fleet.wait(told.fleet.lab.start_node("n2"));
    // Of that node: on a busy machine alerts of the load come and go meanwhile.
    let has_ended = |post: &String| {
        let post: Value = serde_json::from_str(post).expect("JSON");
        let body = post["body"].as_str().unwrap_or_default();
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let mut alerts = body["alerts"].as_array().into_iter().flatten();
        alerts.any(|a| a["state"] == "over" && a["what"] == "n2")
    };
    until(Duration::from_secs(240), || {
        let out = told.check();
        match told.arrived("json").iter().any(has_ended) {
            true => Ok(()),
            false => {
                std::thread::sleep(Duration::from_secs(5));
                Err(said(&out))
            }
        }
    });
    let out = told.check();
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(
        text.contains("e-mail was not told: the server can't be connected to"),
        "{text}"
    );
    assert!(!text.contains(TOKEN) && !text.contains(PASSWORD), "{text}");
    let _mail = start_mail(told.folder.path(), mail_port);
    let endings = || {
        let mails = told.arrived("eml").into_iter();
        let of_mail = mails.filter(|m| m.contains("over  n2"));
        let posts = told.arrived("json");
        (
            of_mail.count(),
            posts.iter().filter(|p| has_ended(p)).count(),
        )
    };
    assert_eq!(endings().0, 0);
    let out = told.check();
    let after = endings();
    assert_eq!(after.0, 1, "{}", said(&out));
    told.check();
    assert_eq!(endings(), after);

    // What is kept holds no secret.
    let mut state = Command::new("grep");
    state
        .args(["-r", "-l", "-e", TOKEN, "-e", PASSWORD])
        .arg(told.folder.path().join("state"));
    assert_eq!(state.output().expect("grep").status.code(), Some(1));
}

#[test]
fn without_receivers_it_says_whom_to_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "[[nodes]]\nname = \"n1\"\nrole = \"manager\"\n").expect("written");
    for how in ["--tell", "--try-receivers"] {
        let out = support::matou(&config, &["check", how]);
        let text = said(&out);
        assert_eq!(out.status.code(), Some(2), "{text}");
        assert!(text.contains("[receivers]"), "{text}");
    }
}
