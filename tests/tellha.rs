//! Three managers with the timers that provisioning gives them: the first one is killed. Another one tells of that, once,
//! and of its return, once; the third one tells nothing, and neither does the one that comes back.

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use matou::lab::LabKind;
use serde_json::Value;
use support::registry::free_port;
use support::{Fleet, ok, private, server, until};

/// What a receiver was told.
struct Receiver {
    folder: PathBuf,
}

impl Receiver {
    /// The lines of all messages, in their order, as `state key`.
    fn lines(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).expect("a folder");
        let mut files: Vec<PathBuf> = entries
            .map(|e| e.expect("an entry").path())
            .filter(|p| p.extension().is_some_and(|e| e == "json"))
            .collect();
        files.sort_by_key(|p| {
            let stem = p.file_stem().expect("a name").to_string_lossy();
            stem.parse::<u32>().expect("a number")
        });
        let read = |path: &PathBuf| -> Value {
            let post = std::fs::read(path).expect("a file");
            let post: Value = serde_json::from_slice(&post).expect("JSON");
            serde_json::from_str(post["body"].as_str().expect("text")).expect("JSON")
        };
        let mut lines = Vec::new();
        for message in files.iter().map(read) {
            for alert in message["alerts"].as_array().into_iter().flatten() {
                let word = |name: &str| alert[name].as_str().expect("text").to_owned();
                lines.push(format!("{} {}", word("state"), word("key")));
            }
        }
        lines
    }

    fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|l| *l == line).count()
    }

    /// How often the loss of n1 was told in that state.
    fn count_losses(&self, state: &str) -> usize {
        let lines = LOST.iter().map(|key| self.count(&format!("{state} {key}")));
        lines.sum()
    }
}

/// What the timers' service said on a node that answers.
fn journal(fleet: &Fleet, node: &str) -> String {
    let line = "journalctl -u matou-alerts.service --no-pager | tail -n 40";
    let out = fleet.try_run(node, line);
    format!("{node}: {}", String::from_utf8_lossy(&out.stdout))
}

/// That n1 is lost, of which one alert is told: whichever comes first.
const LOST: [&str; 2] = ["node/n1/swarm", "node/n1/link"];

#[test]
#[ignore = "minutes: make test-long"]
fn another_manager_tells_of_the_first_one_once_and_of_its_return() {
    let fleet = Fleet::new("tellha");
    fleet.wait(fleet.lab.up(3, LabKind::Swarm, &|_| ()));
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let address = fleet.address("n1");
    let gateway = format!("{}.1", address.rsplit_once('.').expect("IPv4").0);
    let port = free_port();
    let mut recorder = server("/usr/bin/python3");
    recorder.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/recorder.py"));
    recorder.arg(port.to_string()).arg(here).arg(&gateway);
    let mut recorder = recorder.spawn().expect("it starts");
    let hook = here.join("hook");
    private(&hook, &format!("http://{gateway}:{port}/hook\n"));
    let more = format!(
        "[alerts]\ncpu = 100\nmemory = 100\ndisk = 100\n[receivers]\nwebhook_file = \"{}\"\ndigest = \"daily {} UTC\"\n",
        hook.display(),
        // Due since two hours, and the next one is far.
        (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(2)).strftime("%H:%M")
    );
    fleet.run("n1", "docker node promote n2 n3");
    let config = fleet.config("tellha.toml", &more);
    let text = std::fs::read_to_string(&config).expect("its configuration");
    let managers = text.replace("role = \"worker\"", "role = \"manager\"");
    std::fs::write(&config, managers).expect("written");
    ok(&config, &["provision", "--only", "matou,alerts", "--yes"]);
    let nodes = ["n1", "n2", "n3"];
    for node in nodes {
        // As the timer is, but every quarter of a minute and not every two. An empty key takes all of them back.
        fleet.run(
            node,
            "mkdir -p /etc/systemd/system/matou-alerts.timer.d && printf '[Timer]\\nOnBootSec=\\nOnBootSec=20s\\nOnUnitInactiveSec=15s\\nAccuracySec=1s\\n' >/etc/systemd/system/matou-alerts.timer.d/test.conf && systemctl daemon-reload && systemctl restart matou-alerts.timer && systemctl start --no-block matou-alerts.service",
        );
    }
    let receiver = Receiver {
        folder: here.to_owned(),
    };

    // The first one tells, and those after it know that.
    until(Duration::from_secs(180), || {
        let told = |node: &str| {
            let out = fleet.try_run(node, "find /run/matou/told -mmin -2 | grep told");
            out.status.success()
        };
        match nodes.iter().all(|n| told(n)) && journal(&fleet, "n2").contains("n1 tells") {
            true => Ok(()),
            false => Err(nodes.map(|n| journal(&fleet, n)).join("\n")),
        }
    });
    assert_eq!(receiver.count_losses("begun"), 0);

    let killed = Instant::now();
    fleet.kill("n1");
    until(Duration::from_secs(300), || {
        match receiver.count_losses("begun") {
            0 => Err(["n2", "n3"].map(|n| journal(&fleet, n)).join("\n")),
            _ => Ok(()),
        }
    });
    eprintln!("told after {} s", killed.elapsed().as_secs());
    // Several looks of both.
    std::thread::sleep(Duration::from_secs(90));
    assert_eq!(receiver.count_losses("begun"), 1, "{:#?}", receiver.lines());
    assert!(
        journal(&fleet, "n3").contains("n2 tells"),
        "{}",
        journal(&fleet, "n3")
    );

    fleet.wait(fleet.lab.start_node("n1"));
    let back = Instant::now();
    until(Duration::from_secs(300), || {
        match receiver.count_losses("over") {
            0 => Err(nodes.map(|n| journal(&fleet, n)).join("\n")),
            _ => Ok(()),
        }
    });
    eprintln!("its return was told after {} s", back.elapsed().as_secs());
    // The first one tells again, and knows what the second one told.
    until(Duration::from_secs(420), || {
        let last = fleet.run("n2", "journalctl -u matou-alerts.service --no-pager -o cat | grep tells | tail -n 1; find /run/matou/told -mmin -1");
        match last.contains("n1 tells") {
            true => Ok(()),
            false => Err(journal(&fleet, "n1")),
        }
    });
    std::thread::sleep(Duration::from_secs(60));
    let lines = receiver.lines();
    for state in ["begun", "over"] {
        assert_eq!(receiver.count_losses(state), 1, "{state}: {lines:#?}");
    }
    // Of no alert anybody was told twice that it began.
    for line in lines.iter().filter(|l| l.starts_with("begun ")) {
        let begun = receiver.count(line);
        let over = receiver.count(&line.replace("begun ", "over "));
        assert!(begun <= over + 1, "{line}: {lines:#?}");
    }
    // One digest, whoever sent it.
    let entries = std::fs::read_dir(here).expect("a folder");
    let texts = entries.filter_map(|e| std::fs::read_to_string(e.ok()?.path()).ok());
    assert_eq!(texts.filter(|t| t.contains("the day: ")).count(), 1);
    let _ = recorder.kill();
    let _ = recorder.wait();
}
