//! How a concern changes a node: scripts, packages, files, and changes with a rollback guard.

use matou_i18n::tr;
use std::time::Duration;

use super::fact_cache::FactCache;
use matou_host::{Command, HostError, shell_script};
use matou_job::{StepContext, StepError};

/// Seconds after which the node takes back a change that was not confirmed.
const ROLLBACK: u64 = 30;

/// Installs the packages that come as arguments; the first argument is how long to wait for a
/// package manager that is in use, seconds.
const INSTALL_SCRIPT: &str = shell_script(include_str!("../scripts/install_packages.sh"));

/// Arms the rollback guard `$1`: the node runs the script of standard input, with the arguments
/// after `$2`, in `$2` seconds. A change of an earlier run that was not confirmed is taken back
/// first.
const ARM_SCRIPT: &str = shell_script(include_str!("../scripts/arm_rollback.sh"));

/// Confirms a change: disarms the rollback guard `$1`, unless it has run, then runs the script of
/// standard input with the other arguments. When that fails, the change is taken back.
const CONFIRM_SCRIPT: &str = shell_script(include_str!("../scripts/confirm_change.sh"));

/// The exit code of [`CONFIRM_SCRIPT`] when the change can't be kept.
const NOT_KEPT: i32 = 76;

/// Shell functions for scripts: `for_now` mounts a new file over another, `for_good` puts it in its
/// place. A mount is not on the disk: after a reset the old file is read.
pub(super) const TENTATIVE_FILE_FUNCTIONS: &str =
    shell_script(include_str!("../scripts/lib_tentative_files.sh"));

/// The parts of a change that could lock the operator out, as shell scripts.
pub(super) struct GuardedChange {
    /// Makes the change, in a way that does not outlast a reset.
    pub change: &'static str,
    /// Takes it back; must do no harm when nothing was changed.
    pub restore: &'static str,
    /// Makes the change last.
    pub keep: &'static str,
}

/// Changes the node that a step works on.
pub struct NodeExecutor<'a> {
    pub cx: &'a StepContext,
    pub(super) survey: &'a FactCache,
    pub(super) apt_wait: Duration,
}

impl NodeExecutor<'_> {
    /// Runs a shell script as root, its output streamed to the job. What it needs from outside
    /// comes as `$1`, `$2`, …
    ///
    /// # Errors
    /// When it can't be run or ends with another exit code than 0, with its last lines.
    pub async fn run_script<S: Into<String>>(
        &self,
        label: &str,
        script: &str,
        args: impl IntoIterator<Item = S>,
    ) -> Result<(), StepError> {
        let command = Command::sh(script).args(args).sudo().label(label);
        self.cx.stream(&command).await
    }

    /// Runs a command on another node of the fleet. Returns what it printed.
    ///
    /// # Errors
    /// When there is no such node, or as [`NodeExecutor::run_script`].
    pub async fn run_on_node(&self, node: &str, command: &Command) -> Result<String, StepError> {
        let handle = self
            .survey
            .node_handle(node)
            .ok_or_else(|| StepError::failed(tr!("no node is named {node}")))?;
        Ok(handle.host.run_ok(command).await?.stdout_text())
    }

    /// Runs a shell script as root in a detached unit, which a lost connection does not end. While
    /// it runs, running it again only watches it.
    ///
    /// # Errors
    /// As [`NodeExecutor::run_script`].
    pub async fn run_detached(
        &self,
        unit: &str,
        script: &str,
        args: &[String],
    ) -> Result<(), StepError> {
        let unit = format!("matou-{unit}");
        self.cx.run_detached(&unit, script, args).await
    }

    /// Installs packages of the configured repositories.
    ///
    /// # Errors
    /// Who uses the package manager, or its own last lines.
    pub async fn install_packages<S: Into<String>>(
        &self,
        packages: impl IntoIterator<Item = S>,
    ) -> Result<(), StepError> {
        let mut args = vec![self.apt_wait.as_secs().to_string()];
        args.extend(packages.into_iter().map(Into::into));
        self.run_detached("apt", INSTALL_SCRIPT, &args).await
    }

    /// Writes a file in one step, and makes its folder when that is missing.
    ///
    /// # Errors
    /// As [`upload_file`](matou_host::Host::upload_file); the old file is untouched then.
    pub async fn write_file(&self, path: &str, content: &str, mode: u32) -> Result<(), StepError> {
        if let Some((folder, _)) = path.rsplit_once('/')
            && !folder.is_empty()
        {
            let mkdir = Command::new("mkdir").args(["-p", "--", folder]).sudo();
            self.cx.host.run_ok(&mkdir).await?;
        }
        self.cx
            .host
            .upload_file(path, content.as_bytes(), mode)
            .await?;
        self.cx.out.note(tr!("wrote {path}")).await;
        Ok(())
    }

    /// Makes a change that could lock the operator out: the node itself runs `restore` unless the
    /// change is confirmed over a fresh connection. What `change` does must be nowhere that a boot
    /// reads: a reset before the confirmation ends in what was before. `keep` makes it last; the
    /// node runs it to its end once it is confirmed, also when nobody waits for it any more.
    ///
    /// # Errors
    /// As [`NodeExecutor::run_script`]. When no fresh connection works, after the node has taken
    /// the change back.
    pub(super) async fn run_guarded(
        &self,
        name: &str,
        scripts: &GuardedChange,
        args: &[String],
    ) -> Result<(), StepError> {
        let unit = format!("matou-rollback-{name}");
        let command = Command::sh(ARM_SCRIPT)
            .args([unit.clone(), ROLLBACK.to_string()])
            .args(args.iter().cloned())
            .stdin(format!("{TENTATIVE_FILE_FUNCTIONS}{}", scripts.restore).into_bytes())
            .sudo()
            .label(tr!("arm {unit}"));
        // The node's own time begins no later than this.
        let armed = tokio::time::Instant::now();
        self.cx.host.run_ok(&command).await?;
        let note = tr!(
            "the node takes this back by itself in {ROLLBACK} s unless a new connection works, and if it is reset before"
        );
        self.cx.out.note(note).await;
        let command = Command::sh(format!("{TENTATIVE_FILE_FUNCTIONS}{}", scripts.change))
            .args(args.iter().cloned())
            .sudo()
            .timeout(Duration::from_secs(ROLLBACK / 2))
            .label(tr!("change {name}"));
        let changed = self.cx.stream(&command).await;
        if let Err(e) = changed {
            // Take it back now, when the node still listens.
            let now = Command::sh("systemctl start \"$1.service\"")
                .arg(&unit)
                .sudo()
                .timeout(Duration::from_secs(20));
            let _ = self.cx.host.run(&now).await;
            return Err(e);
        }
        let confirm = || {
            Command::sh(CONFIRM_SCRIPT)
                .arg(&unit)
                .args(args.iter().cloned())
                .stdin(format!("{TENTATIVE_FILE_FUNCTIONS}{}", scripts.keep).into_bytes())
                .sudo()
                .timeout(Duration::from_secs(2 * ROLLBACK))
                .label(tr!("confirm {name}"))
        };
        // A reloading sshd refuses connections for a moment, and a slow line takes its time: try until the time is
        // nearly over. One that comes too late is refused by the node.
        let end = armed + Duration::from_secs(ROLLBACK - 5);
        let reason = loop {
            let fresh = self.cx.host.with_fresh_connection();
            let confirmed = fresh.run_ok(&confirm()).await;
            fresh.close().await;
            let reason = match confirmed {
                Ok(_) => {
                    self.cx
                        .out
                        .note(tr!("a new connection works: confirmed"))
                        .await;
                    return Ok(());
                }
                Err(HostError::Failed {
                    code: NOT_KEPT,
                    last_lines,
                    ..
                }) => {
                    return Err(StepError::failed(tr!(
                        "the change of {name} works, but could not be kept, and {} has taken it back: {}",
                        self.cx.node,
                        last_lines.join(" / ")
                    )));
                }
                Err(e) => e.to_string(),
            };
            if tokio::time::Instant::now() >= end {
                break reason;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        self.cx
            .out
            .note(tr!(
                "no new connection ({reason}): waiting for the node to take it back"
            ))
            .await;
        let asking = async {
            let done = Command::sh("cat \"/run/matou/$1.done\"")
                .arg(&unit)
                .sudo()
                .timeout(Duration::from_secs(5));
            loop {
                tokio::time::sleep(Duration::from_secs(2)).await;
                self.cx.host.reconnect();
                if let Ok(output) = self.cx.host.run_ok(&done).await {
                    break output.stdout_text();
                }
            }
        };
        let taken_back = tokio::time::timeout(Duration::from_secs(ROLLBACK * 4), asking).await;
        Err(StepError::failed(match taken_back {
            Ok(code) if code == "0" => tr!(
                "the change of {name} would have locked you out ({reason}): {} has taken it back by itself",
                self.cx.node
            ),
            Ok(code) => tr!(
                "the change of {name} locks you out ({reason}), and taking it back ended with exit code {code}: reset {}, which ends it, then look at /run/matou/{unit}.sh",
                self.cx.node
            ),
            Err(_) => tr!(
                "{} does not answer since {name} was changed ({reason}), and should have taken it back by now: reset it, which ends the change",
                self.cx.node
            ),
        }))
    }

    /// Forgets the facts of all nodes, for a step that changed more than its own node.
    pub fn forget_all(&self) {
        self.survey.forget_all();
    }
}
