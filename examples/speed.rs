//! Measures the release binary in a pseudo-terminal and prints the table of docs/performance.md.
//! Needs root: it makes a practice fleet of its own and removes it.

#[path = "../tests/support/pty.rs"]
#[allow(dead_code, reason = "it uses a part of it")]
mod pty;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use color_eyre::eyre::{Result, ensure};
use matou::lab::{Lab, LabKind};
use pty::Pty;

const MATOU: &str = "target/release/matou";
const SOON: Duration = Duration::from_secs(20);
const IDLE: Duration = Duration::from_secs(30);

/// Each task prints so many lines and then sleeps: bounded, whatever happens to this program.
const FLOOD: &str = r#"
services:
  web:
    image: matou/hello:1.0
    command: ["sh", "-c", "sleep 8; yes '10.0.0.7 - - GET /page/1 HTTP/1.1 200 5124' | head -n 400000; sleep 600"]
    healthcheck: {disable: true}
    logging: {driver: json-file, options: {max-size: 20m, max-file: "2"}}
    deploy: {replicas: 3, endpoint_mode: dnsrr}
"#;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    println!("| what | measured |\n| --- | --- |");
    first_frame()?;
    let lab = Lab::new("speed")?;
    let measured = runtime
        .block_on(lab.up(3, LabKind::Swarm, &|phase| eprintln!("lab: {phase}")))
        .and_then(|()| on_a_fleet(&lab.config_path()));
    runtime.block_on(lab.down())?;
    measured
}

fn console(config: &Path) -> Pty {
    Pty::start(
        MATOU,
        &["--config", &config.to_string_lossy()],
        &[],
        160,
        48,
    )
}

/// Twenty nodes that take the connection and never answer.
fn first_frame() -> Result<()> {
    let mute = TcpListener::bind("127.0.0.1:0")?;
    let port = mute.local_addr()?.port();
    let dir = tempfile::tempdir()?;
    let config = dir.path().join("config.toml");
    let nodes: String = (0..20)
        .map(|i| {
            format!("[[nodes]]\nname = \"n{i}\"\naddress = \"127.0.0.1\"\nport = {port}\nrole = \"manager\"\n")
        })
        .collect();
    std::fs::write(&config, nodes)?;
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..10 {
        let begun = Instant::now();
        let mut pty = console(&config);
        pty.wait_for("Nodes", SOON);
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
        pty.send("q");
        ensure!(pty.end(SOON) == 0, "the console ended with an error");
    }
    times.sort_by(f64::total_cmp);
    println!(
        "| start to first frame, 20 nodes that never answer | median {:.0} ms, worst of ten {:.0} ms |",
        times[5], times[9]
    );
    Ok(())
}

fn on_a_fleet(config: &Path) -> Result<()> {
    deploys(config)?;
    idle(config)?;
    flood(config)
}

/// Deploys measured of each kind.
const DEPLOYS: usize = 5;

/// The same file through the engine's own client, over SSH to a manager, and through matou. The
/// client of this fleet's engine does not wait for tasks, so both are timed until the stack is
/// accepted; what matou does afterwards is what the client leaves out.
fn deploys(config: &Path) -> Result<()> {
    let rendered = std::process::Command::new(MATOU)
        .arg("--config")
        .arg(config)
        .args(["render", "hello", "plain", "REPLICAS=1"])
        .output()?;
    ensure!(rendered.status.success(), "not rendered");
    let (mut plain, mut through, mut again) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..DEPLOYS {
        let begun = Instant::now();
        on_manager(
            config,
            &["stack", "deploy", "--compose-file", "-", "plain"],
            &rendered.stdout,
        )?;
        plain.push(begun.elapsed().as_secs_f64());
        on_manager(config, &["stack", "rm", "plain"], &[])?;
        let deploy = ["deploy", "hello", "timed", "REPLICAS=1", "--yes", "--json"];
        through.push(until_the_stack(config, &deploy)?);
        let begun = Instant::now();
        matou(config, &deploy)?;
        again.push(begun.elapsed().as_secs_f64());
        matou(config, &["remove", "timed", "--yes"])?;
    }
    for times in [&mut plain, &mut through, &mut again] {
        times.sort_by(f64::total_cmp);
    }
    let middle = DEPLOYS / 2;
    println!(
        "| `docker stack deploy` over SSH, until it returns | median {:.2} s, worst of five {:.2} s |",
        plain[middle],
        plain[DEPLOYS - 1]
    );
    println!(
        "| `matou deploy` of the same, checks included, until the stack is deployed | median {:.2} s, worst of five {:.2} s |",
        through[middle],
        through[DEPLOYS - 1]
    );
    println!(
        "| what matou costs over it | {:.2} s |",
        through[middle] - plain[middle]
    );
    println!(
        "| `matou deploy` of what runs already | median {:.2} s |",
        again[middle]
    );
    Ok(())
}

fn matou(config: &Path, args: &[&str]) -> Result<()> {
    let out = std::process::Command::new(MATOU)
        .arg("--config")
        .arg(config)
        .args(args)
        .output()?;
    ensure!(
        out.status.success(),
        "matou {args:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}

/// Seconds from the start of the program until its step `stack` is done.
fn until_the_stack(config: &Path, args: &[&str]) -> Result<f64> {
    let begun = Instant::now();
    let mut child = std::process::Command::new(MATOU)
        .arg("--config")
        .arg(config)
        .args(args)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut took = None;
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines() {
            let event: serde_json::Value = serde_json::from_str(&line?)?;
            if event["event"] == "step_done" && event["step"] == "stack" {
                took = Some(begun.elapsed().as_secs_f64());
            }
        }
    }
    ensure!(child.wait()?.success(), "matou {args:?} failed");
    took.ok_or_else(|| color_eyre::eyre::eyre!("the stack was not deployed"))
}

/// Docker's client on the first manager, over a connection of its own.
fn on_manager(config: &Path, args: &[&str], stdin: &[u8]) -> Result<()> {
    let folder = config.parent().unwrap_or(Path::new("."));
    let text = std::fs::read_to_string(config)?;
    let address = text
        .lines()
        .find_map(|l| l.strip_prefix("address = "))
        .unwrap_or_default()
        .trim_matches('"')
        .to_owned();
    let mut child = std::process::Command::new("ssh")
        .arg("-i")
        .arg(folder.join("id_ed25519"))
        .arg("-o")
        .arg(format!(
            "UserKnownHostsFile={}",
            folder.join("known_hosts").display()
        ))
        .arg(format!("root@{address}"))
        .arg("docker")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(stdin)?;
    }
    let out = child.wait_with_output()?;
    ensure!(
        out.status.success(),
        "docker {args:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}

fn idle(config: &Path) -> Result<()> {
    let mut pty = console(config);
    pty.wait_for("3/3 nodes", SOON);
    std::thread::sleep(Duration::from_secs(5));
    let (before, bytes) = (cpu_seconds(pty.pid())?, pty.bytes());
    std::thread::sleep(IDLE);
    let used = cpu_seconds(pty.pid())? - before;
    let written = pty.bytes() - bytes;
    println!(
        "| idle on three live nodes | {:.2} % of a core, {} bytes/s to the terminal (the nodes' load changes), {:.0} MiB resident |",
        used * 100.0 / IDLE.as_secs_f64(),
        written / IDLE.as_secs(),
        resident(pty.pid())? / 1024.0
    );
    pty.send("q");
    pty.end(SOON);
    Ok(())
}

/// Three tasks that print as fast as their engines take it, while keys are pressed.
fn flood(config: &Path) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let stack = dir.path().join("flood.yml");
    std::fs::write(&stack, FLOOD)?;
    let deployed = std::process::Command::new(MATOU)
        .arg("--config")
        .arg(config)
        .args(["deploy", &stack.to_string_lossy(), "flood", "--yes"])
        .output()?;
    ensure!(
        deployed.status.success(),
        "not deployed: {}",
        String::from_utf8_lossy(&deployed.stderr)
    );
    let mut pty = console(config);
    pty.wait_for("flood", SOON);
    pty.send("2l");
    pty.wait_for("GET /page/1", SOON);
    let begun = Instant::now();
    let first = lines(&pty.screen());
    let mut latencies = Vec::new();
    while begun.elapsed() < Duration::from_secs(8) {
        let pressed = Instant::now();
        pty.send("?");
        wait(&pty, true);
        latencies.push(pressed.elapsed().as_secs_f64() * 1000.0);
        pty.send("\x1b");
        wait(&pty, false);
        std::thread::sleep(Duration::from_millis(50));
    }
    let rate = (lines(&pty.screen()).saturating_sub(first)) as f64 / begun.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    println!(
        "| a key during a flood of log lines ({rate:.0} lines/s came from three engines on the same two cores) | median {:.0} ms, worst of {} {:.0} ms |",
        latencies[latencies.len() / 2],
        latencies.len(),
        latencies[latencies.len() - 1]
    );
    println!(
        "| resident after the flood | {:.0} MiB |",
        resident(pty.pid())? / 1024.0
    );
    pty.send("\x1b");
    std::thread::sleep(Duration::from_millis(100));
    pty.send("q");
    pty.end(SOON);
    Ok(())
}

fn wait(pty: &Pty, open: bool) {
    let end = Instant::now() + SOON;
    while pty.screen().contains("j k scroll") != open && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The number of lines that the log view says it holds, and has dropped.
fn lines(screen: &str) -> u64 {
    let number = |before: &str| {
        let at = screen.find(before)?;
        screen[..at]
            .rsplit([' ', ','])
            .find(|w| !w.is_empty())?
            .parse::<u64>()
            .ok()
    };
    number(" lines").unwrap_or(0) + number(" older dropped").unwrap_or(0)
}

/// User and system time of the process, seconds (proc_pid_stat(5)).
fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}

/// Resident memory, KiB.
fn resident(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    Ok(line.unwrap_or("0").trim().trim_end_matches(" kB").parse()?)
}
