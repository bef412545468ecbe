//! Measures what matou needs for a snapshot of a million files and for a repository of ten thousand
//! snapshots, both made for real, and prints the table of docs/performance.md. Needs root, three
//! gigabytes and ten minutes: it makes a practice fleet of its own and removes it.
//!
//! With the path of a config.toml: on that practice fleet, which has both from a run before.

#[path = "../tests/support/pty.rs"]
#[allow(dead_code, reason = "it uses a part of it")]
mod pty;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use color_eyre::eyre::{Result, ensure, eyre};
use matou::lab::{Lab, LabKind};
use pty::Pty;

const MATOU: &str = "target/release/matou";
const FLEET: &str = "listing";
const LONG: Duration = Duration::from_secs(120);
const PASSWORD: &str = "practice";

const STACK: &str = "version: \"3.8\"\nservices:\n  web:\n    image: matou/hello:1.0\n    volumes: ['files:/files']\nvolumes:\n  files:\n";

/// 900 folders of a thousand files, and one of a hundred thousand.
const TREE: &str = r#"cd /mnt/data/store_files; exec perl -e '
sub file { open(my $f, ">", $_[0]) or die; print $f $_[1] % 1000, "\n"; close $f }
for my $i (0..899) { my $d = sprintf("a%02d", $i / 30); mkdir $d; $d .= "/b" . $i % 30; mkdir $d; file("$d/f$_", $_) for 0..999 }
mkdir "wide"; file("wide/w$_", $_) for 0..99999'"#;

/// Fifty thousand of them become others.
const OTHERS: &str = r#"cd /mnt/data/store_files; exec perl -e '
for my $i (0..49) { for my $j (0..999) { open(my $f, ">>", sprintf("a%02d/b%d/f%d", $i / 30, $i % 30, $j)) or die; print $f "x"; close $f } }'"#;

/// Ten applications of one snapshot each, then ten times twice as many: a tag makes a snapshot of
/// each a second one, and the first is put back.
const MANY: &str = r#"export RESTIC_PASSWORD=practice RESTIC_CACHE_DIR=/root/many RESTIC_REPOSITORY=/srv/many
rm -rf /srv/many /srv/kept; restic init -q; mkdir /srv/kept
for i in 0 1 2 3 4 5 6 7 8 9; do
    restic backup -q --host listing --tag app=app$i --tag matou --time "2026-01-0$((i % 9 + 1)) 03:0$i:00" /etc/hostname
done
for i in 0 1 2 3 4 5 6 7 8 9; do
    cp -n /srv/many/snapshots/* /srv/kept/
    restic tag -q --add t$i
    cp -n /srv/kept/* /srv/many/snapshots/
done
ls /srv/many/snapshots | wc -l"#;

fn main() -> Result<()> {
    println!("| what | measured |\n| --- | --- |");
    if let Some(config) = std::env::args().nth(1) {
        return measured(Path::new(&config));
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let lab = Lab::new(FLEET)?.with_shared_volumes();
    let result = runtime
        .block_on(lab.up(1, LabKind::Swarm, &|phase| eprintln!("lab: {phase}")))
        .and_then(|()| prepare(&lab.config_path()))
        .and_then(|()| measured(&lab.config_path()));
    runtime.block_on(lab.down())?;
    result
}

fn prepare(config: &Path) -> Result<()> {
    let folder = config.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder.join("stacks"))?;
    std::fs::write(folder.join("stacks/store.yml"), STACK)?;
    let password = folder.join("restic-password");
    std::fs::write(&password, PASSWORD)?;
    std::fs::set_permissions(&password, Permissions::from_mode(0o600))?;
    let own = std::fs::read_to_string(config)?;
    for (path, repository) in [(config, "/srv/restic"), (&many(config), "/srv/many")] {
        let backup = format!(
            "\n[backup]\nrepository = \"{repository}\"\npassword_file = \"restic-password\"\n"
        );
        std::fs::write(path, own.clone() + &backup)?;
    }
    matou(config, &["deploy", "store", "store", "--yes"])?;
    node(config, TREE)?;
    matou(config, &["repo", "init", "--yes"])?;
    matou(config, &["backup", "store"])?;
    node(config, OTHERS)?;
    matou(config, &["backup", "store"])?;
    eprintln!("snapshots: {}", node(config, MANY)?);
    Ok(())
}

/// The same fleet, with the repository of many snapshots.
fn many(config: &Path) -> PathBuf {
    config.with_file_name("many.toml")
}

fn measured(config: &Path) -> Result<()> {
    ten_thousand_snapshots(&many(config))?;
    a_million_files(config)
}

fn a_million_files(config: &Path) -> Result<()> {
    let restic = "RESTIC_PASSWORD=practice RESTIC_CACHE_DIR=/var/cache/matou/restic restic -r /srv/restic --no-lock";
    let begun = Instant::now();
    let lines = node(config, &format!("{restic} ls --json latest | wc -l"))?;
    row(
        &format!("plain `restic ls` of the snapshot on its node, {lines} lines"),
        begun,
        None,
    );
    let begun = Instant::now();
    let mut child = Command::new(MATOU)
        .arg("--config")
        .arg(config)
        .args(["restore", "store", "--dry-run"])
        .stdout(Stdio::null())
        .spawn()?;
    let mut peak = 0.0;
    while child.try_wait()?.is_none() {
        // One that has ended and is not waited for has no memory any more.
        peak = resident(child.id(), "VmHWM").unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(5));
    }
    ensure!(child.wait()?.success(), "the plan of a restore failed");
    row(
        "`matou restore store --dry-run`: every file counted",
        begun,
        Some(peak),
    );

    let mut pty = console(config);
    to_an_application(&mut pty);
    std::thread::sleep(Duration::from_secs(3));
    println!(
        "| the console before | {:.0} MiB resident |",
        resident(pty.pid(), "VmRSS")?
    );
    pty.send("\r");
    pty.wait_for("▾ store", LONG);
    pty.send("j]\r");
    pty.wait_for("folders of this snapshot", LONG);
    step(&mut pty, "the snapshot's top folder", "j\r", " a00/")?;
    step(&mut pty, "a folder of 30 folders in it", "\r", " b0/")?;
    step(&mut pty, "a folder of 1,000 files in that", "\r", " f0 ")?;
    step(&mut pty, "back: what was read is kept", "\x1b", " b0/")?;
    step(&mut pty, "back once more", "\x1b", " a00/")?;
    step(
        &mut pty,
        "a folder of 100,000 files",
        "G\r",
        "90000 more are not listed",
    )?;
    step(
        &mut pty,
        "a search that fits every file",
        "/store\r",
        "9999",
    )?;
    step(&mut pty, "out of it", "\x1b", "90000 more")?;
    step(&mut pty, "one up", "\x1b", " a00/")?;
    step(&mut pty, "and one more", "\x1b", "folders of this snapshot")?;
    pty.send("\x1b");
    std::thread::sleep(Duration::from_millis(200));
    step(
        &mut pty,
        "50,001 files that differ from the snapshot before",
        "]",
        "~50001 files, ",
    )
}

/// Presses keys, and says how long it took until the screen shows a text.
fn step(pty: &mut Pty, what: &str, keys: &str, shows: &str) -> Result<()> {
    let begun = Instant::now();
    pty.send(keys);
    pty.wait_for(shows, LONG);
    let peak = resident(pty.pid(), "VmHWM")?;
    row(&format!("console: {what}"), begun, Some(peak));
    // Esc and a key right behind it would be Alt and that key.
    std::thread::sleep(Duration::from_millis(200));
    Ok(())
}

/// Goes to the last application of the pane, as soon as there is one.
fn to_an_application(pty: &mut Pty) {
    pty.send("5");
    let end = Instant::now() + LONG;
    while !pty.screen().contains("Enter lists its snapshots") && Instant::now() < end {
        pty.send("G");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Says, in seconds of the clock, when the call of restic that lists snapshots had ended.
const WHEN_IT_ANSWERED: &str = r"until pgrep -f '[r]estic snapshots' >/dev/null; do sleep 0.005; done
while pgrep -f '[r]estic snapshots' >/dev/null; do sleep 0.002; done; date +%s.%N";

fn ten_thousand_snapshots(config: &Path) -> Result<()> {
    let begun = Instant::now();
    let restic = "RESTIC_PASSWORD=practice RESTIC_CACHE_DIR=/var/cache/matou/restic restic -r /srv/many --no-lock snapshots --json";
    let bytes = node(config, &format!("{restic} | wc -c"))?;
    row(
        &format!("plain `restic snapshots --json` on its node, {bytes} bytes"),
        begun,
        None,
    );
    let of = config.to_owned();
    let answered = std::thread::spawn(move || node(&of, WHEN_IT_ANSWERED));
    std::thread::sleep(Duration::from_millis(500));
    let mut pty = console(config);
    pty.send("5");
    pty.wait_for("10240 ", LONG);
    let shown = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let answered = answered.join().expect("no panic")?.parse::<f64>()?;
    println!(
        "| console: all of them shown after restic had answered | {:.2} s, peak of {:.0} MiB resident |",
        shown - answered,
        resident(pty.pid(), "VmHWM")?
    );
    std::thread::sleep(Duration::from_secs(1));
    let what = "an application of 1,024 opened";
    step(&mut pty, what, "Gk\r", "▾ app9")
}

fn row(what: &str, begun: Instant, peak: Option<f64>) {
    let took = begun.elapsed().as_secs_f64();
    let peak = peak.map_or_else(String::new, |p| format!(", peak of {p:.0} MiB resident"));
    println!("| {what} | {took:.2} s{peak} |");
}

fn console(config: &Path) -> Pty {
    let config = config.to_string_lossy();
    Pty::start(MATOU, &["--config", &config], &[], 160, 48)
}

fn matou(config: &Path, args: &[&str]) -> Result<()> {
    let out = Command::new(MATOU)
        .arg("--config")
        .arg(config)
        .args(args)
        .output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "matou {args:?}: {said}");
    Ok(())
}

/// Runs a script on the fleet's node.
fn node(config: &Path, script: &str) -> Result<String> {
    let folder = config.parent().unwrap_or(Path::new("."));
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let out = Command::new(MATOU)
        .args([
            "lab", "ssh", "--name", &name, "n1", "--", "sh", "-ec", script,
        ])
        .output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{script}: {said}");
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

/// A line of the process's memory in /proc, MiB.
fn resident(pid: u32, line: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let found = status.lines().find_map(|l| l.strip_prefix(line));
    let found = found.ok_or_else(|| eyre!("process {pid} has no {line}"))?;
    let kib = found.trim_start_matches(':').trim();
    Ok(kib.trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
