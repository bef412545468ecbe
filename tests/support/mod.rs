//! What several end-to-end tests share: the practice fleet, and the binary in a pseudo-terminal.
#![allow(dead_code)]

pub mod pty;

use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use matou::lab::{Kind, Lab};

/// The practice fleet that the end-to-end tests share; `scripts/test.sh` removes it afterwards.
pub const FLEET: &str = "test";

/// The configuration of the shared fleet of three; made when it is not up.
pub fn fleet() -> (Lab, PathBuf) {
    let lab = Lab::new(FLEET).expect("a state folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime
        .block_on(lab.up(3, Kind::Swarm, &|phase| eprintln!("lab: {phase}")))
        .expect("the practice fleet comes up");
    let config = lab.config_path();
    (lab, config)
}

/// Runs the binary on the shared fleet.
pub fn matou(config: &PathBuf, args: &[&str]) -> Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_matou"))
        .arg("--config")
        .arg(config)
        .args(args)
        .output()
        .expect("matou starts")
}

/// Runs the binary, which must succeed; answers with what it printed.
pub fn ok(config: &PathBuf, args: &[&str]) -> String {
    let out = matou(config, args);
    let text = said(&out);
    assert!(
        out.status.success(),
        "matou {args:?} ended with {}:\n{text}",
        out.status
    );
    text
}

/// Both outputs as text.
pub fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

/// Waits until `condition` holds; panics with the last reason when it never does.
pub fn until(limit: Duration, mut condition: impl FnMut() -> Result<(), String>) {
    let end = Instant::now() + limit;
    loop {
        match condition() {
            Ok(()) => return,
            Err(reason) if Instant::now() > end => panic!("after {} s: {reason}", limit.as_secs()),
            Err(_) => std::thread::sleep(Duration::from_millis(300)),
        }
    }
}

/// What a test holds while it uses the shared fleet alone.
pub fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    // A test that failed must not fail the others.
    ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
