//! `matou check --tell` on a practice fleet: a node is killed, and those of `[receivers]` are told once that it is
//! down, with the applications that ran there alone, and once that it is well again, by a real mail server and by HTTP.

mod support;

use std::collections::BTreeMap;
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
    /// What it has beside the fleet's own configuration.
    more: String,
}

impl Told {
    fn check(&self) -> Output {
        self.check_and("--tell")
    }

    fn check_and(&self, how: &str) -> Output {
        self.check_with(&self.config, &[how], "state")
    }

    fn check_with(&self, config: &Path, how: &[&str], state: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_matou"))
            .arg("--config")
            .arg(config)
            .arg("check")
            .args(how)
            // The authority that signed the mail server's certificate; a memory of its own.
            .env("SSL_CERT_FILE", self.folder.path().join("leaf.pem"))
            .env("XDG_STATE_HOME", self.folder.path().join(state))
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

/// Key and state of each alert in a post to the webhook; none in another one.
fn alerts_of(post: &str) -> Vec<(String, String)> {
    let post: Value = serde_json::from_str(post).expect("JSON");
    let is_of_hook = post["path"]
        .as_str()
        .is_some_and(|p| p.starts_with("/hook/"));
    let body = post["body"].as_str().filter(|_| is_of_hook);
    let body: Value = serde_json::from_str(body.unwrap_or_default()).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let alerts = body["alerts"].as_array().into_iter().flatten();
    alerts
        .map(|a| (text(&a["key"]), text(&a["state"])))
        .collect()
}

/// Applications that run on n2 alone.
const PINNED: [&str; 5] = ["pin1", "pin2", "pin3", "pin4", "pin5"];

/// Starts them, and waits until they run.
fn start_pinned(fleet: &Fleet) {
    for app in PINNED {
        fleet.run(
            "n1",
            &format!(
                "docker service create -d -q --name {app}_web --label com.docker.stack.namespace={app} --no-resolve-image --endpoint-mode dnsrr --constraint node.hostname==n2 matou/hello:1.0"
            ),
        );
    }
    until(Duration::from_secs(120), || {
        let running = fleet.run(
            "n1",
            "docker service ls --filter name=pin --format '{{.Replicas}}'",
        );
        match running.lines().filter(|l| *l == "1/1").count() {
            5 => Ok(()),
            _ => Err(running),
        }
    });
}

/// Whether an alert's key says that n2 is lost: of those, one is told, whichever comes first.
fn is_loss_of_n2(key: &str) -> bool {
    ["node/n2/link", "node/n2/swarm", "node/n2/engine"].contains(&key)
}

/// Whether a line about n2 is of more than its load, as "critical  n2: can't be connected to".
fn is_of_n2(line: &str) -> bool {
    let is_of_load = ["CPU", "memory", "disk"].iter().any(|l| line.contains(l));
    line.contains(" n2: ") && !is_of_load
}

#[test]
fn a_node_that_dies_is_told_once_and_its_return_once() {
    let fleet = Fleet::new("tell");
    fleet.wait(fleet.lab.up(2, LabKind::Swarm, &|_| ()));
    start_pinned(&fleet);
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
        more,
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
    let is_begun = |(key, state): &(String, String)| is_loss_of_n2(key) && state == "begun";
    until(Duration::from_secs(120), || {
        let out = told.check();
        let posts = told.arrived("json");
        let mut new = posts.iter().skip(before.1);
        match new.any(|p| alerts_of(p).iter().any(is_begun)) {
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
    let mut of_hook = hook["alerts"].as_array().expect("alerts").iter();
    let loss = of_hook.find(|a| a["apps"] == serde_json::json!(PINNED));
    let loss = loss.unwrap_or_else(|| panic!("{hook}"));
    assert_eq!(loss["state"], "begun", "{hook}");
    let names = "5 applications are affected: pin1, pin2, pin3, pin4, pin5";
    assert!(
        hook["text"].as_str().is_some_and(|t| t.contains(names)),
        "{hook}"
    );
    // All that follows is found, and nobody is told of it.
    until(Duration::from_secs(120), || {
        let text = said(&told.check());
        let seen = PINNED
            .iter()
            .all(|app| text.contains(&format!("{app}_web: 0 of 1 tasks run")));
        match seen && text.contains("n2: the swarm sees it") {
            true => Ok(()),
            false => Err(text),
        }
    });
    // They last as long as they must to be told.
    std::thread::sleep(Duration::from_secs(20));
    told.check();
    let losses = || {
        let posts = told.arrived("json");
        let keys = posts.iter().skip(before.1).flat_map(|p| alerts_of(p));
        keys.filter(is_begun).count()
    };
    assert_eq!(losses(), 1);

    // Well again, while the mail server is away: the others are told once, the mail comes later.
    drop(mail);
    told.fleet.wait(told.fleet.lab.start_node("n2"));
    // Not of its load: on a busy machine such alerts come and go meanwhile, and what came back in time is not told.
    let of_n2 = |post: &String| {
        let mut alerts = alerts_of(post);
        alerts.retain(|(key, _)| {
            let sort = key
                .strip_prefix("node/n2/")
                .and_then(|k| k.split('/').next());
            sort.is_some_and(|s| !["cpu", "memory", "disk"].contains(&s))
        });
        alerts
    };
    // Each ends for itself, and the engine may be one of them while it starts.
    until(Duration::from_secs(240), || {
        let text = said(&told.check());
        let posts = told.arrived("json");
        let last: BTreeMap<String, String> = posts.iter().flat_map(of_n2).collect();
        let is_over =
            last.keys().any(|key| is_loss_of_n2(key)) && last.values().all(|s| s == "over");
        let mail_waits = text.contains("e-mail was not told");
        match is_over && mail_waits && !text.lines().any(is_of_n2) {
            true => Ok(()),
            false => {
                std::thread::sleep(Duration::from_secs(5));
                Err(format!("{last:?} {text}"))
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
    let mail = start_mail(told.folder.path(), mail_port);
    let endings = || {
        let mails = told.arrived("eml").into_iter();
        let is_of_end = |line: &str| line.starts_with("over  n2: ") && is_of_n2(line);
        let of_mail = mails.filter(|m| m.lines().any(is_of_end));
        let posts = told.arrived("json");
        let ended = |post: &&String| of_n2(post).iter().any(|(_, state)| state == "over");
        (of_mail.count(), posts.iter().filter(ended).count())
    };
    assert_eq!(endings().0, 0);
    let out = told.check();
    let after = endings();
    assert_eq!(after.0, 1, "{}", said(&out));
    told.check();
    assert_eq!(endings(), after);
    // Of no application that it took with it anybody was told, neither that it began nor that it is over.
    let posts = told.arrived("json");
    let keys = posts.iter().flat_map(|p| alerts_of(p));
    let of_apps: Vec<(String, String)> = keys.filter(|(key, _)| key.contains("pin")).collect();
    assert_eq!(of_apps, Vec::new());

    a_domain_that_ends_is_told_once(&told);
    a_digest_arrives_once_at_each_receiver(&told, mail, mail_port);

    // What is kept holds no secret.
    let mut state = Command::new("grep");
    state
        .args(["-r", "-l", "-e", TOKEN, "-e", PASSWORD])
        .arg(told.folder.path().join("state"));
    assert_eq!(state.output().expect("grep").status.code(), Some(1));
}

/// A file in apps/ gives an application a name under a domain that ends in five days, as a real server of RDAP says.
fn a_domain_that_ends_is_told_once(told: &Told) {
    let port = free_port();
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut registry = server("/usr/bin/python3");
    registry.arg(files.join("support/rdap.py"));
    registry.arg(port.to_string());
    registry.arg(files.join("files/rdap/domain.json")).arg("5");
    let registry = start(&mut registry, port);
    let more = format!(
        "{}[dns]\nrdap = \"http://127.0.0.1:{port}/rdap\"\n",
        told.more
    );
    let config = told.fleet.config("rdap.toml", &more);
    let apps = config.with_file_name("apps");
    std::fs::create_dir_all(&apps).expect("a folder");
    let name = "xn--fo-5ja.example";
    let file = format!("stack = \"hello\"\n[domains]\nmain = \"www.{name}\"\n");
    std::fs::write(apps.join("names.toml"), file).expect("written");
    let told_of = || {
        let mails = told.arrived("eml").into_iter();
        let is_of = |m: &String| m.contains(name) && m.contains("CRITICAL");
        mails.filter(is_of).count()
    };
    let first = told.check_with(&config, &["--tell"], "state");
    assert_eq!(told_of(), 1, "{}", said(&first));
    // Known for a day: nobody is asked again, and it goes on.
    drop(registry);
    let again = told.check_with(&config, &["--tell"], "state");
    assert_eq!(told_of(), 1, "{}", said(&again));
    let text = said(&again);
    let found = text.lines().find(|line| line.contains(name));
    assert!(
        found.is_some_and(|l| l.contains("critical") && l.contains("ends in 5 days")),
        "{text}"
    );
    // Where nobody says it, nothing is wrong.
    let other = told.check_with(&config, &[], "elsewhere");
    assert!(!said(&other).contains(name), "{}", said(&other));
    std::fs::remove_file(apps.join("names.toml")).expect("removed");
}

/// By the timer's command, while the mail server is away, and then by that of a manager that takes over.
fn a_digest_arrives_once_at_each_receiver(told: &Told, mail: Running, mail_port: u16) {
    let digests = || {
        let is_digest = |m: &String| m.contains("Subject: tell: the day: no night saved");
        let mails = told.arrived("eml").into_iter().filter(is_digest);
        let posts: Vec<Value> = told
            .arrived("json")
            .iter()
            .map(|p| serde_json::from_str(p).expect("JSON"))
            .filter(|p: &Value| p["body"].as_str().is_some_and(|b| b.contains("nights")))
            .collect();
        (mails.count(), posts)
    };
    // Due since two hours, and the next one is far.
    let due = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(2);
    let more = format!(
        "{}digest = \"daily {} UTC\"\n",
        told.more,
        due.strftime("%H:%M")
    );
    let config = told.fleet.config("digest.toml", &more);

    let shown = told.check_with(&config, &["--digest"], "state");
    let text = said(&shown);
    assert!(
        shown.status.success() && text.contains("tell: the day: no night saved"),
        "{text}"
    );
    assert!(
        text.contains("nights        none saved: [backup] names no repository")
            && text.contains("disks         the fullest is that of n"),
        "{text}"
    );
    assert_eq!(digests(), (0, Vec::new()), "nothing was sent");

    drop(mail);
    let out = told.check_with(&config, &["--tell"], "state");
    let text = said(&out);
    assert!(text.contains("e-mail was not sent the digest: "), "{text}");
    let (mails, posts) = digests();
    assert_eq!((mails, posts.len()), (0, 3), "{text}");
    let post = |path: &str| {
        let found = posts
            .iter()
            .find(|p| p["path"].as_str().is_some_and(|p| p.starts_with(path)));
        found.expect(path)
    };
    assert_eq!(post("/topic")["headers"]["priority"], "low");
    let body = |path: &str| -> Value {
        serde_json::from_str(post(path)["body"].as_str().expect("text")).expect("JSON")
    };
    assert_eq!(body("/gotify/message")["priority"], 2);
    let hook = body("/hook/");
    assert_eq!(hook["digest"]["days"], 1, "{hook}");
    assert_eq!(hook["digest"]["lines"][0]["about"], "alerts", "{hook}");

    // What did not arrive comes with the next run, and nothing comes again: not from a manager that has no memory of
    // its own either.
    let _mail = start_mail(told.folder.path(), mail_port);
    for state in ["state", "state", "another-manager"] {
        let out = told.check_with(&config, &["--tell"], state);
        let (mails, posts) = digests();
        assert_eq!((mails, posts.len()), (1, 3), "{state}: {}", said(&out));
    }
    // By hand it is sent whenever somebody wants it.
    let out = told.check_with(&config, &["--digest", "--tell"], "state");
    assert!(out.status.success(), "{}", said(&out));
    let (mails, posts) = digests();
    assert_eq!((mails, posts.len()), (2, 6));
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
