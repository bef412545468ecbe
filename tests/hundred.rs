//! What it costs to watch a hundred applications: the console on a real edge that serves them all.

mod support;

use std::time::Duration;

use matou::lab::{Kind, Lab};
use support::hosting::World;
use support::pty::Pty;
use support::{Fleet, ok};

const SETTINGS: &str = r#"
[provision]
docker = "distribution"
"#;

/// How long the console is measured, seconds.
const MEASURED: u64 = 120;

/// Seconds of processor time that a process has used.
fn used(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit(") ").next().unwrap_or_default();
    let mut words = after.split(' ').skip(11);
    let mut ticks = || words.next().and_then(|w| w.parse::<f64>().ok());
    let (user, system) = (ticks().unwrap_or(0.0), ticks().unwrap_or(0.0));
    (user + system) / 100.0
}

/// Fewer applications than 95 and those of every test by `MATOU_TEST_APPLICATIONS`.
/// `cargo test --release --test hundred -- --ignored --nocapture` on a machine that does nothing else.
#[test]
#[ignore = "a measurement: ten minutes"]
fn a_hundred_applications_cost_little() {
    let mut fleet = Fleet::new("hundred");
    fleet.lab = Lab::new("hundred").expect("a state folder").shared();
    let say = |phase: &str| eprintln!("lab: {phase}");
    fleet.wait(fleet.lab.up(2, Kind::Swarm, &say));
    let world = World::new(fleet, SETTINGS);
    let config = world.deploy();
    // The edge and the database are two, and three sites are there.
    let more = std::env::var("MATOU_TEST_APPLICATIONS").ok();
    let more: u64 = more.map_or(95, |n| n.parse().expect("a number"));
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
    eprintln!("{} applications: {percent:.2} % of a core", more + 5);
    // Every one of them was asked, four times a minute.
    let since = format!("{MEASURED}s");
    let asked = ok(&config, &["access", "edge", "--since", &since, "--json"]);
    let asked = asked.matches("/data/0/0").count() as u64;
    assert!(asked > (more + 3) * (MEASURED / 15 - 1), "{asked} requests");
    let most = if cfg!(debug_assertions) { 20.0 } else { 2.0 };
    assert!(percent < most, "{percent} %");
}
