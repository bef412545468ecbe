//! The engine's own client, which needs no engine for this.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_yaml::Value;

/// Asks the client what it makes of a compose file in a folder, with these variables and no others.
/// `None` without a client, or with one before 25, which has no `stack config`.
pub(crate) fn ask_client(
    file: &str,
    folder: &Path,
    variables: &[(String, String)],
) -> Option<Result<Value, String>> {
    let mut client = Command::new("docker")
        .args(["stack", "config", "--compose-file", "-"])
        .current_dir(folder)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs(variables.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = client.stdin.take().unwrap();
    let file = file.to_owned();
    // A client that knows no `stack config` ends without reading.
    let writer = std::thread::spawn(move || drop(stdin.write_all(file.as_bytes())));
    let out = client.wait_with_output().unwrap();
    writer.join().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    if said.contains("unknown flag: --compose-file") {
        return None;
    }
    Some(match out.status.success() {
        true => Ok(serde_yaml::from_slice(&out.stdout).unwrap()),
        false => Err(said),
    })
}
