//! The log store, searched: a real VictoriaLogs in the swarm, into which real journals are sent by
//! systemd-journal-upload. Its program can't be had from the distribution, so this wants to be told
//! where it is: `MATOU_TEST_VICTORIALOGS=/path/to/victoria-logs cargo test --test search -- --ignored`

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use matou::lab::Kind;
use support::edge::{import, sh};
use support::pty::Pty;
use support::{Fleet, matou, ok, said, until};

/// VictoriaLogs and busybox, as its image holds both.
const ROOT: &str = r#"r=$1/root; mkdir -p $r/bin $r/logs; install -d -m 1777 $r/tmp
cp "$2" $r/bin/victoria-logs; cp "$(command -v busybox)" $r/bin/busybox
for f in $r/bin/*; do
  for l in $(ldd "$f" 2>/dev/null | grep -o '/[^ ]*'); do mkdir -p "$r$(dirname $l)"; cp -Ln "$l" "$r$l"; done
done
for a in sh wget; do ln -s busybox $r/bin/$a; done
tar -C $r -cf $1/logs.tar ."#;

fn store(fleet: &Fleet, program: &str) {
    let dir = tempfile::tempdir().expect("a folder");
    sh(ROOT, &[&dir.path().to_string_lossy(), program]);
    let tar = dir.path().join("logs.tar");
    import(fleet, "n1", &tar, "matou/victoria-logs:1", "ENV PATH=/bin");
    // The service of stacks/logs.yml: its collector's image can't be had here.
    fleet.run(
        "n1",
        "docker service create -q --name logs_victorialogs --constraint node.role==manager \
         --label org.matou.victorialogs=http://127.0.0.1:9428 --publish mode=host,published=9428,target=9428 \
         matou/victoria-logs:1 victoria-logs -storageDataPath=/logs -httpListenAddr=:9428",
    );
    let ready = "until curl -sf http://127.0.0.1:9428/health; do sleep 0.3; done";
    fleet.run("n1", ready);
}

/// Journals go there by themselves; containers' output and the edge's log as Fluent Bit would send
/// them.
fn senders(fleet: &Fleet) {
    let address = fleet.address("n1");
    fleet.run(
        "n2",
        "apt-get update -q >/dev/null; DEBIAN_FRONTEND=noninteractive apt-get install -yq systemd-journal-remote >/dev/null 2>&1; command -v /lib/systemd/systemd-journal-upload",
    );
    let upload = format!(
        "systemd-run --quiet --unit=upload /lib/systemd/systemd-journal-upload --url=http://{address}:9428/insert/journald --save-state=/run/upload"
    );
    fleet.run("n2", &upload);
    fleet.run(
        "n1",
        "docker service create -q --name site_web --label com.docker.stack.namespace=site --constraint node.role==manager \
         --entrypoint sh matou/hello:1.0 -c 'while :; do echo tick of the site; sleep 1; done'; sleep 3",
    );
    let ship = r#"cd /var/lib/docker/containers; for f in $PWD/*/*-json.log; do
        sed "s#^{#{\"file\":\"$f\",\"source\":\"container\",\"node\":\"n1\",#" "$f"
        done | curl -sf -H 'Content-Type: application/stream+json' --data-binary @- 'http://127.0.0.1:9428/insert/jsonline?_stream_fields=node,source&_msg_field=log&_time_field=time'
        printf '{"time":"%s","node":"n1","source":"access","RouterName":"%s@swarm","log":"/wp-login.php","DownstreamStatus":404}\n' $(date -u +%FT%TZ) site $(date -u +%FT%TZ) siteline |
        curl -sf -H 'Content-Type: application/stream+json' --data-binary @- 'http://127.0.0.1:9428/insert/jsonline?_stream_fields=node,source&_msg_field=log&_time_field=time'"#;
    fleet.run("n1", ship);
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
#[ignore = "MATOU_TEST_VICTORIALOGS names the program"]
fn every_log_is_found() {
    let program = std::env::var("MATOU_TEST_VICTORIALOGS").expect("MATOU_TEST_VICTORIALOGS");
    let fleet = Fleet::new("sur");
    fleet.wait(
        fleet
            .lab
            .up(2, Kind::Swarm, &|phase| eprintln!("lab: {phase}")),
    );
    let config = fleet.lab.config_path();
    let none = matou(&config, &["search", "needle"]);
    assert_eq!(none.status.code(), Some(1), "{}", said(&none));
    assert!(
        said(&none).contains("no log store runs: `matou deploy logs"),
        "{}",
        said(&none)
    );
    store(&fleet, &program);
    senders(&fleet);

    // A line of syslog on another node, with an escape sequence in it.
    fleet.run("n2", "printf 'needle \\033[2Jone\\n' | logger -t practice");
    until(Duration::from_secs(30), || {
        let records = found(&config, &["needle"]);
        let [record] = &records[..] else {
            return Err(format!("{records:?}"));
        };
        let all = (&record["node"], &record["app"], &record["line"]);
        assert_eq!(all.0, "n2", "{record}");
        assert_eq!(all.1, "practice", "{record}");
        assert_eq!(all.2, "needle one", "{record}");
        Ok(())
    });
    eprintln!("{}", ok(&config, &["search", "needle"]));

    // What an application's containers printed, and requests to it: nothing of others.
    let records = found(&config, &["--app", "site"]);
    assert!(records.len() > 2, "{records:?}");
    assert!(
        records
            .iter()
            .any(|r| r["app"] == "site_web" && r["line"] == "tick of the site"),
        "{records:?}"
    );
    let requests: Vec<_> = records
        .iter()
        .filter(|r| r["line"] == "/wp-login.php")
        .collect();
    assert_eq!(requests.len(), 1, "{records:?}");
    assert!(
        records
            .iter()
            .all(|r| r["app"] == "site_web" || r["app"] == "site")
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
    assert!(next().ends_with("needle one"));
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
