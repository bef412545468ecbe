//! The stack logs as it is deployed: Fluent Bit on every node brings the journals, the containers'
//! output and the edge's access log to VictoriaLogs, which is searched. Neither program can be had
//! from the distribution, so this wants to be told where they are:
//! `MATOU_TEST_VICTORIALOGS=/path/to/victoria-logs MATOU_TEST_FLUENTBIT=/path/to/fluent-bit \
//! MATOU_TEST_PARSERS=/path/to/parsers.conf cargo test --test search -- --ignored`
//! (parsers.conf lies beside Fluent Bit's sources, in conf/).

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use matou::lab::LabKind;
use support::edge::{import, sh};
use support::monitoring::{certificates, put};
use support::pty::Pty;
use support::{Fleet, edge, matou, ok, said, until};

/// A program with the libraries it needs and busybox, as a root file system.
const ROOT: &str = r#"r=$1/root; mkdir -p $r/bin "$r$(dirname "$3")"; install -d -m 1777 $r/tmp
cp "$2" "$r$3"; cp "$(command -v busybox)" $r/bin/busybox
for f in "$r$3" $r/bin/busybox; do
  for l in $(ldd "$f" 2>/dev/null | grep -o '/[^ ]*'); do mkdir -p "$r$(dirname $l)"; cp -Ln "$l" "$r$l"; done
done
for a in sh wget; do ln -s busybox $r/bin/$a; done
[ -z "$4" ] || { mkdir -p "$r$(dirname "$5")"; cp "$4" "$r$5"; }
tar -C $r -cf $1/root.tar ."#;

fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} names no file"))
}

/// The images of stacks/logs.yml, with the programs where the published ones have them.
fn images(fleet: &Fleet) {
    let image = |nodes: &[&str], name: &str, program: &str, at: &str, file: [&str; 2]| {
        let dir = tempfile::tempdir().expect("a folder");
        sh(
            ROOT,
            &[&dir.path().to_string_lossy(), program, at, file[0], file[1]],
        );
        let entry = format!("ENTRYPOINT [\"{at}\"]");
        for node in nodes {
            import(fleet, node, &dir.path().join("root.tar"), name, &entry);
        }
    };
    let store = given("MATOU_TEST_VICTORIALOGS");
    image(
        &["n1", "n2"],
        "matou/victoria-logs:1",
        &store,
        "/victoria-logs-prod",
        ["", ""],
    );
    let collector = given("MATOU_TEST_FLUENTBIT");
    image(
        &["n1", "n2"],
        "matou/fluent-bit:1",
        &collector,
        "/fluent-bit/bin/fluent-bit",
        [&given("MATOU_TEST_PARSERS"), "/fluent-bit/etc/parsers.conf"],
    );
}

/// The edge, the logs and a site, as an operator deploys them.
fn deploy(fleet: &Fleet, config: &PathBuf, store: &str) {
    let deploy = |what: &[&str]| ok(config, &[&["deploy"], what, &["--yes"]].concat());
    fleet.run("n1", "docker volume create edge_data");
    put(
        fleet,
        "n1",
        "/var/lib/docker/volumes/edge_data/_data/acme.json",
        store,
    );
    deploy(&[
        "traefik",
        "edge",
        "IMAGE=matou/traefik:3.7",
        "PROXY_IMAGE=matou/proxy:1",
    ]);
    deploy(&[
        "logs",
        "logs",
        "DOMAIN=logs.lab.test",
        "USERS=ops:$apr1$abc$dHXBb2LfCVUMH4tIrSCSn1",
        "IMAGE=matou/victoria-logs:1",
        "COLLECTOR_IMAGE=matou/fluent-bit:1",
    ]);
    deploy(&[
        "whoami",
        "site",
        "DOMAIN=site.lab.test",
        "IMAGE=matou/hello:1.0",
        "PORT=8080",
    ]);
    fleet.run(
        "n1",
        "docker service create -q --name tick_web --label com.docker.stack.namespace=tick --constraint node.role==worker \
         --entrypoint sh matou/hello:1.0 -c 'while :; do echo tick of the site; sleep 1; done'",
    );
}

fn found(config: &PathBuf, args: &[&str]) -> Vec<serde_json::Value> {
    let args = [&["search", "--json"], args].concat();
    let text = ok(config, &args);
    let lines = text.lines();
    lines
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect()
}

#[test]
#[ignore = "MATOU_TEST_VICTORIALOGS and others name the programs"]
fn every_log_is_found() {
    let fleet = Fleet::new("sur");
    fleet.wait(
        fleet
            .lab
            .up(2, LabKind::Swarm, &|phase| eprintln!("lab: {phase}")),
    );
    let (ca, store) = certificates(&["site.lab.test", "logs.lab.test"]);
    let config = fleet.config(
        "sur.toml",
        "[storage]\ndriver = \"local\"\n[edge]\nemail = \"ops@example.org\"\nca_file = \"ca.pem\"\n",
    );
    std::fs::write(config.with_file_name("ca.pem"), ca).expect("written");
    let none = matou(&config, &["search", "needle"]);
    assert_eq!(none.status.code(), Some(1), "{}", said(&none));
    assert!(
        said(&none).contains("no log store runs: `matou deploy logs"),
        "{}",
        said(&none)
    );
    edge::images(&fleet, "n1");
    images(&fleet);
    deploy(&fleet, &config, &store);
    let one = |what: &str, is: &dyn Fn(&serde_json::Value) -> bool| {
        until(Duration::from_secs(60), || {
            let records = found(&config, &[what]);
            match &records[..] {
                [record] if is(record) => Ok(()),
                _ => {
                    let log =
                        fleet.try_run("n1", "docker service logs --tail 20 logs_collector 2>&1");
                    Err(format!("{what}: {records:?}\n{}", said(&log)))
                }
            }
        });
    };

    // A line of syslog on every node, with an escape sequence in it.
    for node in ["n1", "n2"] {
        let log = format!("printf 'needle \\033[2Jof {node}\\n' | logger -t practice");
        fleet.run(node, &log);
        let line = format!("needle of {node}");
        one(&format!("needle {node}"), &|r| {
            r["node"] == node && r["app"] == "practice" && r["line"] == *line
        });
    }
    eprintln!("{}", ok(&config, &["search", "needle"]));

    // Requests that came in, by Traefik's own log.
    let ask = format!(
        "curl -sk -o /dev/null --resolve site.lab.test:443:{0} https://site.lab.test/wp-login.php; \
         curl -sk -o /dev/null --resolve nobody.lab.test:443:{0} https://nobody.lab.test/.env",
        fleet.address("n1")
    );
    sh(&ask, &[]);
    one("\"wp-login.php\" source:access", &|r| {
        r["node"] == "n1" && r["app"] == "site" && r["line"] == "/wp-login.php"
    });
    one("\"env\" source:access", &|r| r["line"] == "/.env");

    // What Suricata would have seen, as it writes it.
    let event = r#"{"timestamp":"TIME","event_type":"alert","src_ip":"203.0.113.9","alert":{"signature":"ET SCAN practice","severity":2}}"#;
    fleet.run("n2", &format!("mkdir -p /var/log/suricata; echo '{event}' | sed \"s/TIME/$(date -u +%FT%T.%6N+0000)/\" >>/var/log/suricata/eve.json"));
    one("practice source:suricata", &|r| {
        r["node"] == "n2" && r["line"] == "ET SCAN practice"
    });

    // What an application's containers printed, and requests to it: nothing of others.
    let records = found(&config, &["--app", "tick"]);
    assert!(records.len() > 2, "{records:?}");
    assert!(
        records.iter().all(|r| r["app"] == "tick_web"
            && r["line"] == "tick of the site"
            && r["node"] == "n2"),
        "{records:?}"
    );
    let records = found(&config, &["--app", "site"]);
    let requests = records.iter().filter(|r| r["line"] == "/wp-login.php");
    assert_eq!(requests.count(), 1, "{records:?}");
    assert!(
        records
            .iter()
            .all(|r| r["app"] == "site_web" || r["app"] == "site" || r["app"] == "site_whoami"),
        "{records:?}"
    );
    // The newest, and the oldest of them first.
    let newest = found(&config, &["tick", "--limit", "2"]);
    assert_eq!(newest.len(), 2, "{newest:?}");
    assert!(newest[0]["at"].as_str() < newest[1]["at"].as_str());
    assert_eq!(newest[1], *found(&config, &["tick"]).last().expect("one"));
    let counted = ok(&config, &["search", "tick | stats count() as ticks"]);
    assert!(counted.trim().starts_with("ticks="), "{counted}");
    std::thread::sleep(Duration::from_secs(2));
    assert!(found(&config, &["needle", "--since", "1s"]).is_empty());

    let wrong = matou(&config, &["search", "(("]);
    let text = said(&wrong);
    assert_eq!(wrong.status.code(), Some(1), "{text}");
    assert!(text.contains("does not understand"), "{text}");
    let wrong = matou(&config, &["search", "x", "--app", "nobody"]);
    assert!(said(&wrong).contains("there is no application \"nobody\""));

    followed(&fleet, &config);
    in_the_console(&config);
}

/// What comes is printed, once.
fn followed(fleet: &Fleet, config: &Path) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_matou"))
        .arg("--config")
        .arg(config)
        .args(["search", "needle", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("matou starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let (out, arriving) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|l| out.send(l)));
    let next = || {
        arriving
            .recv_timeout(Duration::from_secs(30))
            .expect("a line")
    };
    assert!(next().ends_with("needle of n1"));
    assert!(next().ends_with("needle of n2"));
    fleet.run("n2", "logger -t practice needle two");
    assert!(next().ends_with("n2 practice needle two"));
    fleet.run("n2", "logger -t practice needle three");
    assert!(next().ends_with("n2 practice needle three"));
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

fn in_the_console(config: &Path) {
    let config = config.to_string_lossy().into_owned();
    let program = env!("CARGO_BIN_EXE_matou");
    let mut console = Pty::start(program, &["--config", &config], &[], 120, 40);
    console.wait_for("2/2 nodes", Duration::from_secs(30));
    console.send("1L");
    console.wait_for("Search all logs", Duration::from_secs(10));
    console.send("needle\r");
    console.wait_for("practice", Duration::from_secs(20));
    console.wait_for("needle three", Duration::from_secs(10));
    eprintln!("{}", console.screen());
    console.send("\r");
    console.wait_for("SYSLOG_IDENTIFIER: practice", Duration::from_secs(10));
    eprintln!("{}", console.screen());
    console.send("\x1b");
    console.wait_gone("SYSLOG_IDENTIFIER", Duration::from_secs(10));
    console.send("\x1b");
    console.wait_gone("Search all logs", Duration::from_secs(10));
    console.send("q");
    assert_eq!(console.end(Duration::from_secs(10)), 0);
}
