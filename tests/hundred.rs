//! What it costs to watch a hundred applications: the console on a real edge that serves them all.

mod support;

use std::time::Duration;

use matou::lab::{Lab, LabKind};
use support::hosting::World;
use support::pty::Pty;
use support::{Fleet, ok};

const SETTINGS: &str = r#"
[provision]
docker = "distribution"
"#;

/// How long the console is measured, seconds.
const MEASURED: u64 = 120;

/// Seconds of processor time that the console has used, with the processes that it started and every
/// `ssh` of this machine.
fn used(pid: &str) -> f64 {
    let numbers = std::fs::read_dir("/proc").expect("/proc").flatten();
    let processes = numbers.map(|p| p.file_name().to_string_lossy().into_owned());
    let counted = processes.filter(|p| {
        let name = std::fs::read_to_string(format!("/proc/{p}/comm")).unwrap_or_default();
        p == pid || name == "ssh\n"
    });
    let ticks: u64 = counted
        .map(|process| {
            let stat = std::fs::read_to_string(format!("/proc/{process}/stat"));
            let stat = stat.unwrap_or_default();
            let after = stat.rsplit(") ").next().unwrap_or_default();
            // Its own, user and system, and that of children which ended.
            let words = after.split(' ').skip(11).take(4);
            words.map(|w| w.parse().unwrap_or(0)).sum::<u64>()
        })
        .sum();
    ticks as f64 / 100.0
}

/// Fewer sites than 97 and those of every test by `MATOU_TEST_APPLICATIONS`.
/// `cargo test --release --test hundred -- --ignored --nocapture` on a machine that does nothing else.
#[test]
#[ignore = "a measurement: ten minutes"]
fn a_hundred_applications_cost_little() {
    let mut fleet = Fleet::new("hundred");
    fleet.lab = Lab::new("hundred")
        .expect("a state folder")
        .with_shared_volumes();
    let say = |phase: &str| eprintln!("lab: {phase}");
    fleet.wait(fleet.lab.up(2, LabKind::Swarm, &say));
    let world = World::new(fleet, SETTINGS);
    let config = world.deploy();
    // Three sites are there, beside the edge and a database that have none.
    let more = std::env::var("MATOU_TEST_APPLICATIONS").ok();
    let more: u64 = more.map_or(97, |n| n.parse().expect("a number"));
    let names: Vec<String> = (1..=more).map(|n| format!("site{n}")).collect();
    world.fleet.run(
        "n1",
        &format!("cd /mnt/data; for n in $(seq 1 {more}); do mkdir -p site${{n}}_data/0; echo $n >site${{n}}_data/0/0; done"),
    );
    std::thread::scope(|scope| {
        for some in names.chunks(names.len().div_ceil(4)) {
            let config = &config;
            scope.spawn(move || {
                for name in some {
                    let domain = format!("DOMAIN={name}.lab.test");
                    ok(config, &["deploy", "files", name, &domain, "--yes"]);
                }
            });
        }
    });
    let state = tempfile::tempdir().expect("a folder");
    let folder = state.path().display().to_string();
    let file = config.display().to_string();
    let args = ["--config", &file];
    let env = [("XDG_STATE_HOME", folder.as_str())];
    let console = Pty::start(env!("CARGO_BIN_EXE_matou"), &args, &env, 160, 48);
    let pid = console.pid().to_string();
    console.wait_for("site1", Duration::from_secs(60));
    std::thread::sleep(Duration::from_secs(60));
    let before = used(&pid);
    std::thread::sleep(Duration::from_secs(MEASURED));
    let percent = (used(&pid) - before) * 100.0 / MEASURED as f64;
    eprintln!("{}", console.screen());
    eprintln!(
        "{} sites asked, {} applications: {percent:.2} % of a core",
        more + 3,
        more + 5
    );
    // Every one of them was asked, four times a minute.
    let since = format!("{MEASURED}s");
    let asked = ok(&config, &["access", "edge", "--since", &since, "--json"]);
    let asked = asked.matches("/data/0/0").count() as u64;
    assert!(asked > (more + 3) * (MEASURED / 15 - 1), "{asked} requests");
    let most = if cfg!(debug_assertions) { 20.0 } else { 2.0 };
    assert!(percent < most, "{percent} %");
}
