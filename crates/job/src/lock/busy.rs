//! Which applications are being worked on now, for whoever only looks.

use std::time::Duration;

use matou_host::{Command, Host, HostError, shell_script};
use matou_i18n::tr;

use super::name::LockName;
use super::request::{FOLDER, SILENCE_LIMIT};

const SCRIPT: &str = shell_script(include_str!("../../scripts/list_busy.sh"));

/// Returns those of `apps` that a job holds the lock of on `host`, whoever runs it. A holder that gives no sign of
/// life any more does not count.
///
/// # Errors
/// The host can't be asked.
pub async fn list_busy_apps(host: &Host, apps: &[String]) -> Result<Vec<String>, HostError> {
    let files: Vec<String> = apps
        .iter()
        .map(|app| LockName::App(app.clone()).file_name())
        .collect();
    let command = Command::sh(SCRIPT)
        .arg(FOLDER)
        .arg(SILENCE_LIMIT.as_secs().to_string())
        .args(&files)
        .sudo()
        .timeout(Duration::from_secs(30))
        .label(tr!("who works on it"));
    let out = host.run_ok(&command).await?.stdout_text();
    let is_held = |file: &String| out.lines().any(|line| line == file);
    let busy = apps.iter().zip(&files).filter(|(_, file)| is_held(file));
    Ok(busy.map(|(app, _)| app.clone()).collect())
}
