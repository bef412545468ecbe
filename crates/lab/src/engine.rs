//! The Docker engine under a practice fleet: this machine's, or a private one.

use matou_i18n::tr;
use std::fs::TryLockError;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use color_eyre::eyre::{Context as _, Result, bail};

use matou_config::ensure_state_dir;
use matou_host::{Command, Host, shell_script};

/// Seconds a private engine may take to answer.
const START_SECONDS: u64 = 60;

/// An engine that answers.
pub(super) struct LabEngine {
    here: Host,
    /// The private engine's folder; `None` for the machine's own engine.
    private: Option<PathBuf>,
}

impl LabEngine {
    /// The machine's engine, or a private one that was started before.
    pub(super) async fn find_running(here: &Host) -> Option<Self> {
        let private = ensure_state_dir().ok().map(|d| d.join("engine"));
        // A private engine that runs holds practice fleets: it comes first.
        for private in [private, None] {
            if private
                .as_ref()
                .is_some_and(|d| !d.join("docker.sock").exists())
            {
                continue;
            }
            let engine = Self {
                here: here.clone(),
                private,
            };
            if engine
                .run_docker(&["version", "--format", "{{.Server.Version}}"])
                .await
                .is_ok()
            {
                return Some(engine);
            }
        }
        None
    }

    /// Takes the lock of the engine. It is held while an engine is found or started and gets its
    /// first containers, and while one is ended: another program may be about to use or to end it.
    /// Dropping the file gives it back. Calls `say` when it has to wait.
    pub(super) async fn lock_engine(say: &dyn Fn(&str)) -> Result<std::fs::File> {
        let dir = ensure_state_dir()?;
        std::fs::create_dir_all(&dir)?;
        let file = matou_base::files::open_append(&dir.join("engine.lock"))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                say(tr!(
                    "another practice fleet is being made or removed: waiting for it"
                ));
            }
            Err(TryLockError::Error(e)) => return Err(e.into()),
        }
        let taking = move || file.lock().map(|()| file);
        Ok(tokio::task::spawn_blocking(taking).await??)
    }

    /// Returns whether a private engine left containers on the disk.
    pub(super) fn has_data() -> bool {
        ensure_state_dir().is_ok_and(|d| d.join("engine/data/containers").exists())
    }

    /// Starts a private engine.
    pub(super) async fn start_private(here: &Host) -> Result<Self> {
        let dir = ensure_state_dir()?.join("engine");
        matou_base::files::make_folder(&dir)?;
        let log = std::fs::File::create(dir.join("log"))?;
        let path = |name: &str| dir.join(name).display().to_string();
        // Its own bridge would take the address of the machine's engine: practice fleets have
        // networks of their own.
        let mut dockerd = std::process::Command::new("dockerd");
        dockerd
            .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
            .args(["--host", &format!("unix://{}", path("docker.sock"))])
            .args(["--pidfile", &path("pid"), "--bridge", "none"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        std::os::unix::process::CommandExt::process_group(&mut dockerd, 0);
        let mut child = dockerd.spawn().wrap_err(tr!(
            "dockerd can't be started: run `apt-get install -y docker.io`"
        ))?;
        let engine = Self {
            here: here.clone(),
            private: Some(dir.clone()),
        };
        for _ in 0..START_SECONDS * 5 {
            if engine
                .run_docker(&["version", "--format", "{{.Server.Version}}"])
                .await
                .is_ok()
            {
                return Ok(engine);
            }
            if let Some(status) = child.try_wait()? {
                bail!(
                    "{}",
                    tr!(
                        "dockerd ended with {status}:\n{}",
                        read_log_tail(&dir.join("log"))
                    )
                );
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // We started it, and it is of no use.
        child.kill()?;
        bail!(
            "{}",
            tr!(
                "dockerd did not answer within {START_SECONDS} s:\n{}",
                read_log_tail(&dir.join("log"))
            )
        )
    }

    /// Returns a command of the engine's client, without arguments.
    pub(super) fn docker_command(&self) -> Command {
        match &self.private {
            Some(dir) => Command::new("docker")
                .arg("-H")
                .arg(format!("unix://{}", dir.join("docker.sock").display())),
            None => Command::new("docker"),
        }
    }

    /// Returns the beginning of a line that runs a program as root in one of its containers.
    pub(super) fn exec_line(&self, container: &str) -> Vec<String> {
        let mut line = vec!["docker".to_owned()];
        if let Some(dir) = &self.private {
            let socket = dir.join("docker.sock").display().to_string();
            line.extend(["-H".to_owned(), format!("unix://{socket}")]);
        }
        let exec = [
            "exec",
            "--workdir",
            "/root",
            "--env",
            "LANG=C.UTF-8",
            container,
        ];
        line.extend(exec.map(str::to_owned));
        line
    }

    pub(super) fn host(&self) -> &Host {
        &self.here
    }

    /// Runs `docker ARGS`. Returns its output.
    pub(super) async fn run_docker(&self, args: &[&str]) -> Result<String> {
        let command = self.docker_command().args(args.iter().copied());
        Ok(self.here.run_ok(&command).await?.stdout_text())
    }

    /// Runs a script by `sh` inside a container. It is passed on standard input, so that its text
    /// is on no command line. Returns its output.
    pub(super) async fn run_script_inside(
        &self,
        container: &str,
        script: &str,
        args: &[&str],
    ) -> Result<String> {
        let command = self
            .docker_command()
            .args(["exec", "-i", container, "sh", "-s", "--"])
            .args(args.iter().copied())
            .stdin(script.as_bytes().to_vec())
            .label(tr!("set up {container}"));
        Ok(self.here.run_ok(&command).await?.stdout_text())
    }

    /// Ends a private engine that holds no container any more, and removes its data.
    pub(super) async fn stop_if_unused(&self) -> Result<()> {
        let Some(dir) = &self.private else {
            return Ok(());
        };
        if !self.run_docker(&["ps", "-aq"]).await?.is_empty() {
            return Ok(());
        }
        let script = shell_script(include_str!("../scripts/stop_engine.sh"));
        let stop = Command::sh(script)
            .arg(dir.to_string_lossy())
            .label(tr!("stop the private engine"));
        self.here.run_ok(&stop).await?;
        Ok(())
    }
}

fn read_log_tail(log: &std::path::Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    matou_base::text::clean_lines(&lines[lines.len().saturating_sub(5)..].join("\n"))
}
