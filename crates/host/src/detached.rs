//! Work that must not die with a lost connection: a transient systemd unit on the node. Its output
//! is watched from here, and it is found again by its name.

use std::time::Duration;

use secrecy::{SecretBox, SecretString};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Command, Host, HostError, OutputStream, shell_script};

/// Starts the unit, or finds it running, and prints what it prints until it has ended; ends with
/// its exit code. The unit's script comes on standard input; it may hold secrets, so it lies in a
/// folder of root's own in memory, and is gone as soon as it runs. `$2` are the unit's properties,
/// `$3` is `begun` when it must not be started, its arguments come after them.
///
/// A signal ends the unit's command, not the shells around it: the exit code is written first. One
/// that was stopped may take a minute to end (restic gives its lock back): its name is free then.
const WATCH: &str = shell_script(include_str!("../scripts/watch_unit.sh"));

/// Longest that a cancelled unit may take to clean up behind itself.
const STOPPING: Duration = Duration::from_secs(30);

/// Work for [`Host::run_detached_unit`].
pub struct DetachedUnit {
    /// The unit's name, without `.service`.
    pub unit: String,
    /// A shell script, run as root with `args`.
    pub script: SecretString,
    /// The script's `$1` and so on; anybody on the node can read them.
    pub args: Vec<String>,
    /// systemd's properties of the unit, as `KillSignal=SIGINT`; without spaces.
    pub properties: Vec<String>,
    /// The unit was started before: it is watched, and not started again. When it has ended
    /// meanwhile, its result is returned.
    pub begun: bool,
}

impl Host {
    /// Runs a shell script as root, as the unit `unit` of the node. It goes on when the connection
    /// or this program ends; calling this again with the same name goes on watching it. Lines come
    /// as from [`Host::stream_lines`]; cancelling stops the unit.
    ///
    /// # Errors
    /// Those of [`Host::stream_lines`].
    pub async fn run_detached(
        &self,
        unit: &str,
        script: &str,
        args: &[String],
        lines: mpsc::Sender<(OutputStream, Vec<u8>)>,
        cancel: &CancellationToken,
    ) -> Result<i32, HostError> {
        let work = DetachedUnit {
            unit: unit.to_owned(),
            script: script.to_owned().into(),
            args: args.to_vec(),
            properties: Vec::new(),
            begun: false,
        };
        self.run_detached_unit(&work, lines, cancel).await
    }

    /// Runs a unit as [`Host::run_detached`] does; its script may hold secrets, and it may have
    /// properties.
    ///
    /// # Errors
    /// Those of [`Host::stream_lines`].
    pub async fn run_detached_unit(
        &self,
        work: &DetachedUnit,
        lines: mpsc::Sender<(OutputStream, Vec<u8>)>,
        cancel: &CancellationToken,
    ) -> Result<i32, HostError> {
        use secrecy::ExposeSecret;
        let script = work.script.expose_secret().as_bytes().to_vec();
        let command = Command::sh(WATCH)
            .arg(&work.unit)
            .arg(work.properties.join(" "))
            .arg(if work.begun { "begun" } else { "" })
            .args(work.args.iter().cloned())
            .secret_stdin(SecretBox::new(Box::new(script)))
            .sudo()
            .label(&work.unit);
        let ended = self.stream_lines(&command, lines, cancel).await;
        if cancel.is_cancelled() {
            let stop = Command::new("systemctl")
                .args(["stop", "--", &format!("{}.service", work.unit)])
                .sudo()
                .timeout(STOPPING);
            // It was cancelled: whether it can still be told is of no matter to the caller.
            let _ = self.run(&stop).await;
        }
        ended
    }

    /// Lists the units of [`Host::run_detached`] that run now and whose names begin with `prefix`.
    /// A unit that was stopped and is still ending is left out.
    ///
    /// # Errors
    /// Those of [`Host::run_ok`].
    pub async fn list_detached_units(&self, prefix: &str) -> Result<Vec<String>, HostError> {
        let list = Command::new("systemctl")
            .args([
                "list-units",
                "--plain",
                "--no-legend",
                "--state=active,activating",
            ])
            .arg(format!("{prefix}*.service"))
            .timeout(Duration::from_secs(20));
        let text = self.run_ok(&list).await?.stdout_text();
        let name = |line: &str| {
            let unit = line.split_whitespace().next()?;
            Some(unit.strip_suffix(".service")?.to_owned())
        };
        Ok(text.lines().filter_map(name).collect())
    }
}
