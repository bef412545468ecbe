//! Names of an application beside its main one, behind a real Traefik with certificates of a real authority: each
//! answers or leads to the main name once. Then an application that gets another main name, undisturbed and killed
//! in each step.

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use support::edge::{Authority, deploy_traefik, images};
use support::{Fleet, matou, ok, said, until};

/// Asks the edge as a browser would that trusts the authority; headers and body. Redirects are not followed.
fn ask(fleet: &Fleet, url: &str, options: &[&str]) -> Result<String, String> {
    let address = fleet.address("n1");
    let host = url.split('/').nth(2).expect("a host");
    let root = fleet.lab.config_path().with_file_name("root.pem");
    let out = Command::new("curl")
        .args(["-sS", "-i", "--max-time", "20", "--cacert"])
        .arg(root)
        .args(["--resolve", &format!("{host}:443:{address}")])
        .args(options)
        .arg(url)
        .output()
        .expect("curl");
    match out.status.success() {
        true => Ok(String::from_utf8_lossy(&out.stdout).into_owned()),
        false => Err(said(&out)),
    }
}

/// A fleet with an edge, and an authority that it trusts.
fn begin() -> (Fleet, PathBuf, Authority) {
    let fleet = Fleet::with_shared_data("names", 2);
    images(&fleet, "n1");
    let address = fleet.address("n1");
    let gateway = format!("{}.1", address.rsplit_once('.').expect("IPv4").0);
    let authority = Authority::start(&gateway, &address);
    let beside = |name: &str| fleet.lab.config_path().with_file_name(name);
    std::fs::write(beside("root.pem"), authority.root_pem()).expect("written");
    support::private(&beside("restic-password"), "correct horse\n");
    let config = fleet.config(
        "names.toml",
        "[edge]\nemail = \"ops@example.org\"\nca_file = \"root.pem\"\n[backup]\nrepository = \"/srv/restic\"\npassword_file = \"restic-password\"\n",
    );
    deploy_traefik(&fleet, &config, &authority);
    (fleet, config, authority)
}

/// Waits until a name answers with such a first line.
fn answers(fleet: &Fleet, url: &str, wanted: &str) -> String {
    let mut last = String::new();
    until(Duration::from_secs(90), || {
        last = ask(fleet, url, &[])?;
        let first = last.lines().next().unwrap_or_default();
        match first.contains(wanted) {
            true => Ok(()),
            false => Err(format!("{url}: {first}")),
        }
    });
    last
}

fn location(answer: &str) -> &str {
    let line = answer
        .lines()
        .find(|l| l.to_ascii_lowercase().starts_with("location:"));
    line.and_then(|l| l.split_once(": "))
        .map_or("", |(_, to)| to.trim())
}

fn refused(config: &PathBuf, args: &[&str], wanted: &str) {
    let out = matou(config, args);
    let text = said(&out);
    assert!(
        !out.status.success() && text.contains(wanted),
        "{wanted}: {text}"
    );
}

const MAIN: [&str; 6] = [
    "deploy",
    "whoami",
    "shop",
    "DOMAIN=shop.lab.test",
    "IMAGE=matou/hello:1.0",
    "PORT=8080",
];

#[test]
fn every_name_answers_or_leads_to_the_main_one() {
    let (fleet, config, _authority) = begin();
    many_names(&fleet, &config);
    names_of_others(&config);
    edited_file(&fleet, &config);
    ok(&config, &["repo", "init", "--yes"]);
    let steps = renamed(&fleet, &config);
    renamed_though_killed(&fleet, &config, &steps);
}

fn many_names(fleet: &Fleet, config: &PathBuf) {
    let names = [
        "--alias",
        "too.lab.test",
        "--redirect",
        "old.lab.test,older.lab.test",
        "--www",
        "redirect",
        "--yes",
    ];
    let deploy = [&MAIN[..], &names].concat();
    let text = ok(config, &deploy);
    assert!(
        text.contains("= domain old.lab.test") || text.contains("! domain old.lab.test"),
        "{text}"
    );
    for name in ["shop.lab.test", "too.lab.test"] {
        let answer = answers(fleet, &format!("https://{name}/"), " 200");
        assert!(answer.contains("<h1>hello 1.0</h1>"), "{answer}");
    }
    for name in ["old.lab.test", "older.lab.test", "www.shop.lab.test"] {
        let path = "/a/b%20c/?x=1&y=%2F%2Fevil.example&z=$1";
        let answer = answers(fleet, &format!("https://{name}{path}"), " 30");
        assert_eq!(location(&answer), format!("https://shop.lab.test{path}"));
        // For good: Traefik says so with 301 to who reads, and with 308 to all others.
        let status = answer.lines().next().unwrap_or_default();
        assert!(status.contains(" 301"), "{status}");
        let posted = ask(fleet, &format!("https://{name}/x?y=z"), &["--data", "a=b"]);
        let posted = posted.expect("it answers");
        assert!(posted.starts_with("HTTP/2 308"), "{posted}");
        assert_eq!(location(&posted), "https://shop.lab.test/x?y=z");
    }
    let listed = ok(config, &["certificates"]);
    assert_eq!(listed.matches("Pebble Intermediate").count(), 5, "{listed}");
    // Each has one of its own: a name that leads nowhere costs no other its certificate.
    let shown = ok(config, &["certificates", "show", "too.lab.test"]);
    assert!(!shown.contains("old.lab.test"), "{shown}");
    let again = ok(config, &deploy);
    assert!(again.contains("nothing to do"), "{again}");
    let checked = said(&matou(config, &["check"]));
    assert!(!checked.contains("old.lab.test"), "{checked}");
}

/// A name leads to one application; what is no name is none.
fn names_of_others(config: &PathBuf) {
    let deploy = |more: &[&str]| -> Vec<String> {
        let first = ["deploy", "whoami", "other", "IMAGE=matou/hello:1.0"];
        [&first[..], &["PORT=8080"], more, &["--yes"]]
            .concat()
            .iter()
            .map(|a| (*a).to_owned())
            .collect()
    };
    for (more, wanted) in [
        (
            &["DOMAIN=old.lab.test"][..],
            "old.lab.test is a name of shop already",
        ),
        (
            &["DOMAIN=other.lab.test", "--alias", "shop.lab.test"],
            "shop.lab.test is a name of shop already",
        ),
        (
            &["DOMAIN=other.lab.test", "--redirect", "www.shop.lab.test"],
            "answers for www.shop.lab.test already",
        ),
        (
            &[
                "DOMAIN=other.lab.test",
                "--alias",
                "a.test`) || Host(`b.test",
            ],
            "is no host name",
        ),
        (
            &["DOMAIN=other.lab.test", "--alias", "other.lab.test"],
            "own labels answer for",
        ),
        (
            &["DOMAIN=other.lab.test", "--redirect", "*.test"],
            "stands for many names",
        ),
    ] {
        let args = deploy(more);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        refused(config, &args, wanted);
    }
}

/// What the file says is deployed, and what it says no more is gone.
fn edited_file(fleet: &Fleet, config: &PathBuf) {
    let file = config.with_file_name("apps").join("shop.toml");
    let text = std::fs::read_to_string(&file).expect("it is there");
    assert!(text.contains("[domains]"), "{text}");
    let text = text.replace("\"too.lab.test\"", "\"three.lab.test\"");
    std::fs::write(&file, text).expect("written");
    let diff = ok(config, &["diff", "whoami", "shop"]);
    assert!(diff.contains("Host(`three.lab.test`)"), "{diff}");
    ok(
        config,
        &[
            "redeploy",
            "shop",
            "--drop-name",
            "older.lab.test",
            "--www",
            "none",
            "--yes",
        ],
    );
    answers(fleet, "https://three.lab.test/", " 200");
    answers(fleet, "https://old.lab.test/", " 30");
    for gone in ["too.lab.test", "older.lab.test", "www.shop.lab.test"] {
        until(Duration::from_secs(60), || {
            match ask(fleet, &format!("https://{gone}/"), &["--insecure"]) {
                Ok(answer) if answer.starts_with("HTTP/2 404") => Ok(()),
                other => Err(format!("{gone}: {other:?}")),
            }
        });
    }
    assert!(Path::new(&file).exists());
}

/// Keeps its name in its data, as many applications do.
const NOTES: &str = r#"x-matou:
  variables:
    - name: DOMAIN
      type: domain
      required: true
  rename:
    service: web
    command: sed "s|//$OLD_NAME/|//$NEW_NAME/|" /data/site >/data/site.new && mv /data/site.new /data/site && echo site is changed
services:
  web:
    image: matou/hello:1.0
    networks: [traefik-net]
    volumes: ['data:/data']
    healthcheck: {disable: true}
    deploy:
      endpoint_mode: dnsrr
      labels:
        - traefik.enable=true
        - traefik.swarm.network=traefik-net
        - traefik.http.routers.notes.rule=Host(`${DOMAIN}`)
        - traefik.http.routers.notes.entrypoints=websecure
        - traefik.http.routers.notes.tls.certresolver=le
        - traefik.http.services.notes.loadbalancer.server.port=8080
volumes:
  data: {}
networks:
  traefik-net:
    external: true
"#;

fn site_of(config: &PathBuf) -> String {
    ok(config, &["run", "notes", "--", "cat", "/data/site"])
}

/// Ends what asks beside a test, also when that fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks for a page again and again; the differing answers, one after another, each as its first line and where it
/// leads to.
fn ask_until(fleet: &Fleet, url: &str, ended: &AtomicBool) -> Vec<String> {
    let mut seen = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        let answer = match ask(fleet, url, &["--insecure"]) {
            Ok(a) => {
                let first = a.lines().next().unwrap_or_default();
                format!("{} {}", first.trim_end(), location(&a))
            }
            Err(e) => e,
        };
        if seen.last() != Some(&answer) {
            seen.push(answer);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    seen
}

/// The steps of a job that had something to do, out of its events.
fn steps_of(events: &str) -> Vec<String> {
    let events = events.lines().map(serde_json::from_str::<Value>);
    let events = events.map(|e| e.expect("JSON"));
    let changed = events.filter(|e| e["event"] == "step_done" && e["changed"] == true);
    let names = changed.map(|e| e["step"].as_str().expect("a name").to_owned());
    let mut seen = BTreeSet::new();
    names.filter(|n| seen.insert(n.clone())).collect()
}

/// The old name answers until it leads to the new one, and the application's own data is changed. Returns the steps.
fn renamed(fleet: &Fleet, config: &PathBuf) -> Vec<String> {
    let file = config.with_file_name("notes.yml");
    std::fs::write(&file, NOTES).expect("written");
    let file = file.to_string_lossy().into_owned();
    ok(
        config,
        &["deploy", &file, "notes", "DOMAIN=notes.lab.test", "--yes"],
    );
    answers(fleet, "https://notes.lab.test/", " 200");
    let write = "echo https://notes.lab.test/start >/data/site";
    ok(config, &["run", "notes", "--", "sh", "-c", write]);
    for (name, wanted) in [
        ("old.lab.test", "old.lab.test is a name of shop already"),
        ("a b", "a domain"),
        ("a.test`) || Host(`b.test", "a domain"),
    ] {
        refused(config, &["rename", "notes", name, "--yes"], wanted);
    }
    let plan = ok(config, &["rename", "notes", "pages.lab.test", "--dry-run"]);
    for wanted in [
        "a snapshot of notes as it is under notes.lab.test",
        "variables.DOMAIN",
        "domains.redirects",
        "site is changed",
        "Host(`pages.lab.test`)",
    ] {
        assert!(plan.contains(wanted), "{wanted}: {plan}");
    }
    let ended = AtomicBool::new(false);
    let events = std::thread::scope(|scope| {
        let ends = Ends(&ended);
        let url = "https://notes.lab.test/health?y=z";
        let client = scope.spawn(|| ask_until(fleet, url, &ended));
        let rename = ["rename", "notes", "pages.lab.test", "--yes", "--json"];
        let events = ok(config, &rename);
        answers(fleet, "https://pages.lab.test/", " 200");
        answers(fleet, url, " 301");
        drop(ends);
        let seen = client.join().expect("the client");
        eprintln!("domains: the old name answered {seen:?}");
        assert!(
            seen.len() == 2
                && seen[0].starts_with("HTTP/2 200")
                && seen[1].starts_with("HTTP/2 301 https://pages.lab.test/health?y=z"),
            "{seen:?}"
        );
        events
    });
    assert_eq!(site_of(config).trim(), "https://pages.lab.test/start");
    let made = events
        .lines()
        .filter(|l| l.contains("matou restore notes --snapshot"));
    assert_eq!(made.count(), 1, "{events}");
    let again = ok(config, &["rename", "notes", "pages.lab.test", "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
    // The old one leads nowhere on wish.
    ok(
        config,
        &["rename", "notes", "notes.lab.test", "--forget", "--yes"],
    );
    answers(fleet, "https://notes.lab.test/", " 200");
    let text = std::fs::read_to_string(config.with_file_name("apps").join("notes.toml"));
    assert!(!text.expect("it is there").contains("[domains]"));
    let steps = steps_of(&events);
    for wanted in ["snapshot", "application file", "own change"] {
        assert!(steps.iter().any(|s| s == wanted), "{wanted}: {steps:?}");
    }
    steps
}

/// Kills a job (SIGKILL) at an event. False when it ended without that.
fn killed(config: &Path, args: &[&str], is_there: impl Fn(&Value) -> bool) -> bool {
    let mut job = Command::new(env!("CARGO_BIN_EXE_matou"))
        .arg("--config")
        .arg(config)
        .args(args)
        .arg("--json")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("matou starts");
    let out = BufReader::new(job.stdout.take().expect("piped"));
    let (tell, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                break;
            }
        }
    });
    let found = loop {
        match lines.recv_timeout(Duration::from_secs(240)) {
            Ok(line) if serde_json::from_str(&line).is_ok_and(|e| is_there(&e)) => break true,
            Ok(_) => {}
            Err(_) => break false,
        }
    };
    let _ = job.kill();
    let _ = job.wait();
    found
}

/// A rename that is killed, wherever, ends well when it is run again.
fn renamed_though_killed(fleet: &Fleet, config: &PathBuf, steps: &[String]) {
    let app_file = config.with_file_name("apps").join("notes.toml");
    let mut names = ("pages.lab.test", "notes.lab.test");
    // As a step begins, and between the application's own change and the note that it is done.
    let begins = steps.iter().map(|s| ("step_started", s.as_str()));
    for (event, step) in begins.chain([("line", "own change")]) {
        let (new, old) = names;
        let args = ["rename", "notes", new, "--yes"];
        let at = |e: &Value| {
            let said = event == "step_started" || e["text"] == "site is changed";
            e["event"] == event && e["step"] == step && said
        };
        assert!(killed(config, &args, at), "{step}: it was not killed");
        let text = ok(config, &args);
        assert_eq!(site_of(config).trim(), format!("https://{new}/start"));
        let file = std::fs::read_to_string(&app_file).expect("it is there");
        assert!(
            !file.contains("renamed_from") && file.contains(&format!("[\"{old}\"]")),
            "{file}"
        );
        answers(fleet, &format!("https://{new}/"), " 200");
        let answer = answers(fleet, &format!("https://{old}/x"), " 301");
        assert_eq!(location(&answer), format!("https://{new}/x"));
        let last = text.lines().last().unwrap_or_default();
        support::fault(
            "domains",
            &format!("a rename is killed: {event} of {step}"),
            &format!("once more: {last}"),
        );
        names = (old, new);
    }
    let again = ok(config, &["rename", "notes", names.1, "--yes"]);
    assert!(again.contains("nothing to do"), "{again}");
}
