//! Processes on the machine matou runs on.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command as Process};

use super::command::Command;

/// Starts the command as the leader of its own process group.
pub(super) fn spawn_local_process(command: &Command) -> std::io::Result<Child> {
    let argv = command.argv(nix::unistd::geteuid().is_root());
    Process::new(argv[0])
        .args(&argv[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Asks the whole process group to end, and kills it when it does not in time.
pub(super) async fn end_local_group(child: &mut Child, grace: Duration) {
    let Some(group) = child.id().and_then(|id| i32::try_from(id).ok()) else {
        return;
    };
    let group = Pid::from_raw(group);
    // It may have ended by itself meanwhile.
    let _ = killpg(group, Signal::SIGTERM);
    let _ = tokio::time::timeout(grace, child.wait()).await;
    // Also what its leader left behind.
    let _ = killpg(group, Signal::SIGKILL);
    let _ = child.wait().await;
}

/// Ends the process group of a command that nobody waits for any more.
pub(super) struct LocalGroupGuard(Option<Pid>);

impl LocalGroupGuard {
    pub(super) fn of(child: &Child) -> Self {
        Self(
            child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .map(Pid::from_raw),
        )
    }

    /// The command has ended.
    pub(super) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for LocalGroupGuard {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}
