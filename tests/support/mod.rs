//! What several end-to-end tests share: the practice fleet, and the binary in a pseudo-terminal.
#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod backup;
pub(crate) mod cached;
pub(crate) mod compose;
pub(crate) mod databases;
pub(crate) mod delayed;
pub(crate) mod edge;
pub(crate) mod exposure;
pub(crate) mod ghost;
pub(crate) mod hosting;
pub(crate) mod monitoring;
pub(crate) mod pty;
pub(crate) mod registry;
pub(crate) mod s3;
pub(crate) mod site;
pub(crate) mod small;
pub(crate) mod software;
pub(crate) mod stranger;
pub(crate) mod visitors;
pub(crate) mod wordpress;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use matou::lab::{Lab, LabKind};
pub(crate) use pty::load::patience;

/// The practice fleet that the end-to-end tests share; `scripts/test.sh` removes it afterwards.
pub(crate) const FLEET: &str = "test";

/// A server beside the fleet. It ends with the thread that starts it, also when that is killed: its
/// ports are free for the next test.
pub(crate) fn server(program: impl AsRef<std::ffi::OsStr>) -> std::process::Command {
    let mut command = std::process::Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// A process that ends with this.
pub(crate) struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server, and waits until it listens on loopback.
pub(crate) fn start(command: &mut std::process::Command, port: u16) -> Running {
    let running = Running(command.spawn().expect("it starts"));
    until(Duration::from_secs(20), || {
        std::net::TcpStream::connect(("127.0.0.1", port))
            .map(drop)
            .map_err(|e| format!("port {port}: {e}"))
    });
    running
}

/// The configuration of the shared fleet of three; made when it is not up.
pub(crate) fn fleet() -> (Lab, PathBuf) {
    let lab = Lab::new(FLEET).expect("a state folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime
        .block_on(lab.up(3, LabKind::Swarm, &|phase| eprintln!("lab: {phase}")))
        .expect("the practice fleet comes up");
    let config = lab.config_path();
    (lab, config)
}

/// Runs the binary on the shared fleet.
pub(crate) fn matou(config: &PathBuf, args: &[&str]) -> Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_matou"))
        .arg("--config")
        .arg(config)
        .args(args)
        .output()
        .expect("matou starts")
}

/// Runs the binary, which must succeed; answers with what it printed.
pub(crate) fn ok(config: &PathBuf, args: &[&str]) -> String {
    let out = matou(config, args);
    let text = said(&out);
    assert!(
        out.status.success(),
        "matou {args:?} ended with {}:\n{text}",
        out.status
    );
    text
}

/// Writes a file that its owner alone may read, as one with a password has to be.
pub(crate) fn private(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("made private");
}

/// Writes a row of the table of faults that were tried: what was done to matou, and what was seen
/// after it. `make faults` puts the rows of all tests together.
pub(crate) fn fault(test: &str, what: &str, outcome: &str) {
    use std::io::Write as _;
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("faults");
    std::fs::create_dir_all(&folder).expect("made");
    let file = folder.join(format!("{test}.md"));
    let clean = |s: &str| s.replace('|', "\\|").replace('\n', " ");
    let row = format!("| {} | {} | `{test}` |\n", clean(what), clean(outcome));
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .expect("opened");
    file.write_all(row.as_bytes()).expect("written");
}

/// Both outputs as text.
pub(crate) fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

/// Waits until `condition` holds; panics with the last reason when it never does. `limit` is what it takes on a
/// machine that does nothing else.
pub(crate) fn until(limit: Duration, mut condition: impl FnMut() -> Result<(), String>) {
    let begun = Instant::now();
    loop {
        match condition() {
            Ok(()) => return,
            Err(reason) if begun.elapsed() > limit * patience() => {
                panic!("after {} s: {reason}", begun.elapsed().as_secs())
            }
            Err(_) => std::thread::sleep(Duration::from_millis(300)),
        }
    }
}

/// What a test holds while it uses the shared fleet alone.
pub(crate) fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    // A test that failed must not fail the others.
    ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A practice fleet of one test alone, removed with it.
pub(crate) struct Fleet {
    pub lab: Lab,
    pub name: String,
    runtime: tokio::runtime::Runtime,
    /// By node; see [`Lab::exec_line`].
    exec_lines: Mutex<BTreeMap<String, Vec<String>>>,
}

impl Fleet {
    /// Nothing is up yet; what an earlier test of the same name left is removed.
    pub(crate) fn new(name: &str) -> Self {
        let fleet = Self {
            lab: Lab::new(name).expect("a state folder"),
            name: name.to_owned(),
            runtime: tokio::runtime::Runtime::new().expect("a runtime"),
            exec_lines: Mutex::default(),
        };
        fleet.wait(fleet.lab.down());
        fleet
    }

    /// A swarm of so many servers that share a folder of data, with the restic that is to be tried.
    pub(crate) fn with_shared_data(name: &str, nodes: usize) -> Self {
        let mut fleet = Self::new(name);
        fleet.lab = Lab::new(name)
            .expect("a state folder")
            .with_shared_volumes();
        fleet.wait(fleet.lab.up(nodes, LabKind::Swarm, &|_| {}));
        backup::restic(&fleet);
        fleet
    }

    pub(crate) fn wait<T>(&self, work: impl Future<Output = color_eyre::Result<T>>) -> T {
        self.runtime
            .block_on(work)
            .expect("the practice fleet does it")
    }

    /// Writes a configuration of the fleet with more tables, beside its own.
    pub(crate) fn config(&self, name: &str, more: &str) -> PathBuf {
        let own = self.lab.config_path();
        let text = std::fs::read_to_string(&own).expect("its configuration");
        let path = own.with_file_name(name);
        std::fs::write(&path, format!("{text}\n{more}")).expect("written");
        path
    }

    /// The beginning of a line that runs a program on a node.
    fn way_into(&self, node: &str) -> Vec<String> {
        let mut ways = self.exec_lines.lock().expect("not poisoned");
        let way = ways.entry(node.to_owned()).or_insert_with(|| {
            self.wait(self.lab.exec_line(node)).unwrap_or_else(|| {
                let matou = env!("CARGO_BIN_EXE_matou");
                let ssh = [matou, "lab", "ssh", "--name", &self.name, node, "--"];
                ssh.map(str::to_owned).to_vec()
            })
        });
        way.clone()
    }

    /// Whether the node lets in who connects: its firewall and its sshd have been passed.
    pub(crate) fn lets_in(&self, node: &str) -> bool {
        // What is dropped would be waited for for two minutes.
        let out = std::process::Command::new("timeout")
            .args(["10", env!("CARGO_BIN_EXE_matou"), "lab", "ssh"])
            .args(["--name", &self.name, node, "--", "true"])
            .stdin(Stdio::null())
            .output();
        out.is_ok_and(|out| out.status.success())
    }

    /// Runs a shell line on a node, beside its sshd and its firewall: that it ran says nothing of them. Answers with
    /// what it printed.
    pub(crate) fn try_run(&self, node: &str, line: &str) -> Output {
        let way = self.way_into(node);
        std::process::Command::new(&way[0])
            .args(&way[1..])
            .args(["sh", "-c", line])
            .stdin(std::process::Stdio::null())
            .output()
            .expect("matou starts")
    }

    /// The same; it must succeed.
    pub(crate) fn run(&self, node: &str, line: &str) -> String {
        let out = self.try_run(node, line);
        let text = said(&out);
        assert!(out.status.success(), "{line:?} on {node}:\n{text}");
        text
    }

    pub(crate) fn address(&self, node: &str) -> String {
        let nodes = self.wait(self.lab.list_nodes());
        let found = nodes.into_iter().find(|n| n.name == node);
        found.expect("the node is there").address
    }

    pub(crate) fn kill(&self, node: &str) {
        self.wait(self.lab.kill_node(node));
    }

    /// Loads the images of the practice applications.
    pub(crate) fn practice_images(&self) {
        let nodes = self.wait(self.lab.list_nodes()).len();
        self.wait(self.lab.up(nodes, LabKind::Swarm, &|_| {}));
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Err(e) = self.runtime.block_on(self.lab.down()) {
            eprintln!("the practice fleet {} is left behind: {e}", self.name);
        }
    }
}
