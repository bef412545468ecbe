//! Where commands run: this machine, or a node over one multiplexed SSH connection.

// Stricter than Cargo.toml is with tests, benches and examples.
#![cfg_attr(
    not(test),
    deny(
        clippy::disallowed_macros,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

matou_i18n::catalogue!();

mod awake;
mod command;
mod confined;
mod detached;
mod error;
mod lines;
mod local;
mod script;
mod ssh;
mod whole_file;

use matou_i18n::tr;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use matou_config::{NodeConnection, SshOptions};
use matou_model::NodeLink;

pub use awake::sleep_awake;
pub use command::{Command, quote_args};
pub use confined::ConfinedFolders;
pub use detached::DetachedUnit;
pub use error::HostError;
pub use lines::LONGEST_LINE;
pub use lines::LineCutter;
pub use script::shell_script;
pub use whole_file::{ParentFolder, write_file_command};

use command::CommandInput;
use ssh::{SshConnection, SshSession};

/// Time between asking a command to end and ending it.
const GRACE: Duration = Duration::from_secs(3);

/// Output kept by [`Host::run`], bytes of each stream; more is dropped from the front.
const KEPT_OUTPUT: usize = 8 * 1024 * 1024;

/// Lines of output that an error shows.
const ERROR_LINES: usize = 10;

/// Where a line of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputStream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
    /// Said by matou itself.
    Note,
}

/// Records every command that ran. The text of a command does not contain its input.
pub trait CommandRecorder: Send + Sync {
    /// `result` is the exit code, or why there is none.
    fn record(&self, node: &str, command: &str, took: Duration, result: Result<i32, &HostError>);
}

/// What a shell on a node reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShellInput {
    /// A terminal, which the node gets one for too.
    Terminal,
    /// A file or a pipe: the shell ends where it does.
    Piped,
}

impl ShellInput {
    /// The option of ssh(1).
    fn ssh_flag(self) -> &'static str {
        match self {
            Self::Terminal => "-tt",
            Self::Piped => "-T",
        }
    }

    /// The option of `docker exec`.
    pub fn docker_flag(self) -> &'static str {
        match self {
            Self::Terminal => "-it",
            Self::Piped => "-i",
        }
    }
}

/// What a host needs beside the way it is reached.
#[derive(Clone)]
pub struct HostOptions {
    /// The engine's socket on the node.
    pub docker_socket: PathBuf,
    /// Folder of mode 0700 on this machine, for control sockets and forwarded ones; a short path.
    pub runtime_dir: PathBuf,
    /// Told of every command that ran; `None` where nobody wants to know.
    pub recorder: Option<Arc<dyn CommandRecorder>>,
}

/// What a command printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutput {
    /// The exit code; 128 and the signal's number where a signal ended it.
    pub code: i32,
    /// Standard output, as it came.
    pub stdout: Vec<u8>,
    /// Standard error, as it came.
    pub stderr: Vec<u8>,
}

impl CommandOutput {
    /// Standard output as text, invalid UTF-8 replaced, without the newline at its end.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout)
            .trim_end_matches('\n')
            .to_owned()
    }
}

/// A node that commands run on. Cheap to clone; connects when first used.
#[derive(Clone)]
pub struct Host(Arc<HostInner>);

struct HostInner {
    name: String,
    options: HostOptions,
    reach: Transport,
}

enum Transport {
    /// This machine. The sender is kept so that watching the link never ends.
    Local(watch::Sender<NodeLink>),
    Ssh(Arc<SshConnection>),
}

impl Host {
    /// Makes a host; nothing is connected yet.
    pub fn new(name: &str, reach: &NodeConnection, options: HostOptions) -> Self {
        let reach = match reach {
            NodeConnection::Local => Transport::Local(watch::Sender::new(NodeLink::Up)),
            NodeConnection::Ssh(ssh) => Transport::Ssh(SshConnection::new(
                name,
                ssh.clone(),
                options.runtime_dir.clone(),
                options.docker_socket.clone(),
            )),
        };
        Self(Arc::new(HostInner {
            name: name.to_owned(),
            options,
            reach,
        }))
    }

    /// The node's name in the fleet.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How the node is reached, for people: `root@10.0.0.1:22` or `this machine`.
    pub fn describe(&self) -> String {
        match &self.0.reach {
            Transport::Local(_) => "this machine".into(),
            Transport::Ssh(keeper) => format_ssh_target(keeper.options()),
        }
    }

    /// The state of the connection; starts connecting.
    pub fn watch_link(&self) -> watch::Receiver<NodeLink> {
        match &self.0.reach {
            Transport::Local(link) => link.subscribe(),
            Transport::Ssh(keeper) => keeper.watch_link(),
        }
    }

    /// Returns the same host over a connection of its own, not opened yet. It proves that a changed
    /// firewall or sshd lets a new connection in.
    pub fn with_fresh_connection(&self) -> Self {
        let reach = match &self.0.reach {
            Transport::Local(_) => NodeConnection::Local,
            Transport::Ssh(keeper) => NodeConnection::Ssh(keeper.options().clone()),
        };
        Self::new(&self.0.name, &reach, self.0.options.clone())
    }

    /// Whether it is the machine matou runs on.
    pub fn is_local(&self) -> bool {
        matches!(self.0.reach, Transport::Local(_))
    }

    /// Tries a lost connection again now, instead of after the pause.
    pub fn reconnect(&self) {
        if let Transport::Ssh(keeper) = &self.0.reach {
            keeper.check_now();
        }
    }

    /// Checks that the connection that commands get now still stands; a broken one is replaced.
    ///
    /// # Errors
    /// When it was lost.
    pub async fn check_connection(&self) -> Result<(), HostError> {
        match &self.0.reach {
            Transport::Ssh(keeper) if !keeper.check_standing().await => {
                Err(self.unreachable_error(tr!("the connection was lost").into()))
            }
            _ => Ok(()),
        }
    }

    /// Ends the connection; commands that run on it are lost.
    pub async fn close(&self) {
        if let Transport::Ssh(keeper) = &self.0.reach {
            keeper.close().await;
        }
    }

    /// Runs a command to its end, whatever its exit code.
    ///
    /// # Errors
    /// When it could not be run, took longer than its timeout, or the connection broke.
    pub async fn run(&self, command: &Command) -> Result<CommandOutput, HostError> {
        self.run_keeping(command, KEPT_OUTPUT).await
    }

    /// Runs a command as [`Host::run`] does, and keeps the last `most` bytes of each stream.
    ///
    /// # Errors
    /// Those of [`Host::run`].
    pub async fn run_keeping(
        &self,
        command: &Command,
        most: usize,
    ) -> Result<CommandOutput, HostError> {
        self.run_until(command, most, |_| false).await
    }

    /// Runs a command as [`Host::run_keeping`] does, and ends it as soon as `enough` returns true.
    /// `enough` gets what the command has written to its standard error. The exit code of an ended
    /// command is -1.
    ///
    /// # Errors
    /// Those of [`Host::run`].
    pub async fn run_until(
        &self,
        command: &Command,
        most: usize,
        mut enough: impl FnMut(&[u8]) -> bool,
    ) -> Result<CommandOutput, HostError> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let cut = |kept: &mut Vec<u8>| {
            kept.drain(..kept.len().saturating_sub(most));
        };
        // Now and then: each cut moves what is kept.
        let keep = |kept: &mut Vec<u8>, bytes: &[u8]| {
            kept.extend_from_slice(bytes);
            if kept.len() > 2 * most {
                cut(kept);
            }
        };
        let (chunks, mut arriving) = mpsc::channel::<(OutputStream, Vec<u8>)>(16);
        let end = CancellationToken::new();
        let running = self.execute(command, chunks, &end);
        let keeping = async {
            while let Some((stream, bytes)) = arriving.recv().await {
                match stream {
                    OutputStream::Stderr => {
                        keep(&mut stderr, &bytes);
                        if enough(&stderr) {
                            end.cancel();
                        }
                    }
                    _ => keep(&mut stdout, &bytes),
                }
            }
        };
        let (code, ()) = tokio::join!(running, keeping);
        cut(&mut stdout);
        cut(&mut stderr);
        Ok(CommandOutput {
            code: match code {
                Err(HostError::Cancelled { .. }) if end.is_cancelled() => -1,
                code => code?,
            },
            stdout,
            stderr,
        })
    }

    /// Runs a command that must succeed.
    ///
    /// # Errors
    /// As [`Host::run`]; a non-zero exit code is [`HostError::Failed`] with the last lines of its
    /// output.
    pub async fn run_ok(&self, command: &Command) -> Result<CommandOutput, HostError> {
        self.run_ok_keeping(command, KEPT_OUTPUT).await
    }

    /// Runs a command as [`Host::run_ok`] does, and keeps the last `most` bytes of each stream.
    ///
    /// # Errors
    /// Those of [`Host::run_ok`].
    pub async fn run_ok_keeping(
        &self,
        command: &Command,
        most: usize,
    ) -> Result<CommandOutput, HostError> {
        let output = self.run_keeping(command, most).await?;
        if output.code == 0 {
            return Ok(output);
        }
        let said = if output.stderr.trim_ascii().is_empty() {
            &output.stdout
        } else {
            &output.stderr
        };
        let lines: Vec<String> = said
            .split(|b| *b == b'\n')
            .filter(|l| !l.trim_ascii().is_empty())
            .map(|l| {
                let text = matou_base::text::clean_bytes(&l[..l.len().min(1000)]);
                explain_sudo(&text).unwrap_or(text)
            })
            .collect();
        let last = lines.len().saturating_sub(ERROR_LINES);
        Err(HostError::Failed {
            node: self.0.name.clone(),
            command: command.to_string(),
            code: output.code,
            last_lines: lines[last..].to_vec(),
        })
    }

    /// Runs a command and sends its lines as they come, each at most [`LONGEST_LINE`] bytes.
    /// Cancelling ends the command and everything it started; so does a receiver that goes away.
    ///
    /// # Errors
    /// As [`Host::run`], and [`HostError::Cancelled`].
    pub async fn stream_lines(
        &self,
        command: &Command,
        lines: mpsc::Sender<(OutputStream, Vec<u8>)>,
        cancel: &CancellationToken,
    ) -> Result<i32, HostError> {
        let (chunks, mut arriving) = mpsc::channel::<(OutputStream, Vec<u8>)>(16);
        // When nobody listens any more the command is of no use.
        let unheard = cancel.child_token();
        let running = self.execute(command, chunks, &unheard);
        let cutting = async {
            let (mut stdout, mut stderr) = (LineCutter::default(), LineCutter::default());
            'read: while let Some((stream, bytes)) = arriving.recv().await {
                let cutter = match stream {
                    OutputStream::Stderr => &mut stderr,
                    _ => &mut stdout,
                };
                for line in cutter.push(&bytes) {
                    // A receiver that does not take its lines must not hold up a cancellation.
                    let taken = tokio::select! {
                        biased;
                        sent = lines.send((stream, line)) => sent.is_ok(),
                        () = unheard.cancelled() => false,
                    };
                    if !taken {
                        unheard.cancel();
                        break 'read;
                    }
                }
            }
            for (stream, cutter) in [
                (OutputStream::Stdout, &mut stdout),
                (OutputStream::Stderr, &mut stderr),
            ] {
                if let Some(line) = cutter.finish() {
                    tokio::select! {
                        biased;
                        _ = lines.send((stream, line)) => {}
                        () = unheard.cancelled() => {}
                    }
                }
            }
        };
        tokio::join!(running, cutting).0
    }

    /// Runs a command and sends its output as it comes, in pieces of bounded size, for output that
    /// is no text. Cancelling ends the command and everything it started.
    ///
    /// # Errors
    /// Those of [`Host::run`], and [`HostError::Cancelled`].
    pub async fn stream_bytes(
        &self,
        command: &Command,
        pieces: mpsc::Sender<(OutputStream, Vec<u8>)>,
        cancel: &CancellationToken,
    ) -> Result<i32, HostError> {
        self.execute(command, pieces, cancel).await
    }

    /// Writes a file in one step: readers see the old or the new content, never a part. `mode` is
    /// its permissions, as `0o600`.
    ///
    /// # Errors
    /// As [`Host::run_ok`]; the old file is untouched then.
    pub async fn upload_file(
        &self,
        path: &str,
        content: &[u8],
        mode: u32,
    ) -> Result<(), HostError> {
        let command = write_file_command(path, content.to_vec(), mode, ParentFolder::Required);
        let command = command.label(tr!("write {path}"));
        self.run_ok(&command).await.map(|_| ())
    }

    /// A socket on this machine that reaches the node's engine.
    ///
    /// # Errors
    /// When there is no connection, or the node refuses to forward it.
    pub async fn docker_socket(&self) -> Result<PathBuf, HostError> {
        match &self.0.reach {
            Transport::Local(_) => Ok(self.0.options.docker_socket.clone()),
            Transport::Ssh(keeper) => {
                let unreachable = |reason| self.unreachable_error(reason);
                let connected = keeper.wait_for_session().await.map_err(unreachable)?;
                keeper.docker_socket(&connected).await.map_err(unreachable)
            }
        }
    }

    /// Returns the program on this machine, with its arguments, that hands its standard input to the
    /// node: to a login shell, or to `command`.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn terminal_argv(
        &self,
        command: Option<&Command>,
        input: ShellInput,
    ) -> Result<Vec<OsString>, HostError> {
        match &self.0.reach {
            Transport::Local(_) => Ok(match command {
                Some(command) => command
                    .argv(nix::unistd::geteuid().is_root())
                    .into_iter()
                    .map(OsString::from)
                    .collect(),
                None => vec![std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into())],
            }),
            Transport::Ssh(keeper) => {
                let connected = keeper
                    .wait_for_session()
                    .await
                    .map_err(|reason| self.unreachable_error(reason))?;
                let mut argv: Vec<OsString> =
                    ["ssh", input.ssh_flag(), "-q", "-S"].map(Into::into).into();
                argv.push(connected.session.control_socket().into());
                argv.push("--".into());
                argv.push(keeper.options().address.clone().into());
                if let Some(command) = command {
                    argv.push(quote_args(command.argv(connected.is_root)).into());
                }
                Ok(argv)
            }
        }
    }

    fn unreachable_error(&self, reason: String) -> HostError {
        HostError::Unreachable {
            node: self.0.name.clone(),
            reason,
        }
    }

    /// Runs a command and records it. Bytes of its output go to `chunks`.
    async fn execute(
        &self,
        command: &Command,
        chunks: mpsc::Sender<(OutputStream, Vec<u8>)>,
        cancel: &CancellationToken,
    ) -> Result<i32, HostError> {
        let begun = Instant::now();
        let span = tracing::debug_span!(
            "command",
            node = ?self.0.name,
            program = ?command.program_name(),
            args = command.count_args(),
        );
        let running = async {
            tracing::trace!("begun");
            match &self.0.reach {
                Transport::Local(_) => self.execute_locally(command, chunks, cancel).await,
                Transport::Ssh(keeper) => {
                    self.execute_over_ssh(keeper, command, chunks, cancel).await
                }
            }
        };
        let result = running.instrument(span.clone()).await;
        let ms = begun.elapsed().as_millis();
        span.in_scope(|| match &result {
            Ok(exit) => tracing::debug!(exit, ms, "ended"),
            Err(e) => tracing::debug!(result = e.kind(), ms, "ended"),
        });
        if let Some(recorder) = &self.0.options.recorder {
            let code = result.as_ref().map(|code| *code);
            recorder.record(&self.0.name, &command.to_string(), begun.elapsed(), code);
        }
        result
    }

    async fn execute_locally(
        &self,
        command: &Command,
        chunks: mpsc::Sender<(OutputStream, Vec<u8>)>,
        cancel: &CancellationToken,
    ) -> Result<i32, HostError> {
        let local = |reason: String| HostError::Local {
            node: self.0.name.clone(),
            reason,
        };
        let mut child = local::spawn_local_process(command)
            .map_err(|e| local(tr!("`{command}` can't be started: {e}")))?;
        let guard = local::LocalGroupGuard::of(&child);
        let pipes = Pipes {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
        };
        let pumping = pipes.pump(&command.stdin, chunks);
        let ended = async {
            let (status, ()) = tokio::join!(child.wait(), pumping);
            status
        };
        match self.wait_within_limits(command, cancel, ended).await {
            Ok(Ok(status)) => {
                guard.disarm();
                use std::os::unix::process::ExitStatusExt;
                Ok(status
                    .code()
                    .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
            }
            Ok(Err(e)) => Err(local(format!("`{command}`: {e}"))),
            Err(stopped) => {
                local::end_local_group(&mut child, GRACE).await;
                guard.disarm();
                Err(stopped)
            }
        }
    }

    async fn execute_over_ssh(
        &self,
        keeper: &Arc<SshConnection>,
        command: &Command,
        chunks: mpsc::Sender<(OutputStream, Vec<u8>)>,
        cancel: &CancellationToken,
    ) -> Result<i32, HostError> {
        let connected = keeper
            .wait_for_session()
            .await
            .map_err(|reason| self.unreachable_error(reason))?;
        let opening = self.start_over_ssh(keeper, &connected, command);
        let (_channel, mut child, group, stdout, rest) =
            self.wait_within_limits(command, cancel, opening).await??;
        // Ends the remote command also when this future is dropped.
        let mut guard = RemoteGroupGuard {
            connected: connected.clone(),
            group,
            sudo: command.wants_sudo(),
        };
        if !rest.is_empty() {
            let _ = chunks.send((OutputStream::Stdout, rest)).await;
        }
        let pipes = Pipes {
            stdin: child.stdin().take(),
            stdout,
            stderr: child.stderr().take(),
        };
        let pumping = pipes.pump(&command.stdin, chunks);
        // In this order: the crate leaves the master when it hears of the exit, and the master then
        // drops the output that it has not handed out yet.
        let ended = async {
            pumping.await;
            child.wait().await
        };
        match self.wait_within_limits(command, cancel, ended).await {
            Ok(Ok(status)) => {
                guard.group = None;
                Ok(status.code().unwrap_or(1))
            }
            Ok(Err(e)) => {
                guard.group = None;
                match e {
                    // The crate's word for exit code 127.
                    openssh::Error::Remote(_) => Ok(127),
                    _ => {
                        // The wrapper itself was killed, or the connection broke; the protocol does
                        // not tell which, and a dying master answers for a moment longer.
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        if keeper.is_alive(&connected).await {
                            return Ok(128 + 9);
                        }
                        keeper.mark_lost(&connected);
                        Err(HostError::Lost {
                            node: self.0.name.clone(),
                            command: command.to_string(),
                        })
                    }
                }
            }
            Err(stopped) => {
                if let Some(group) = guard.group.take() {
                    end_remote_group(&connected, group, command.wants_sudo()).await;
                }
                Err(stopped)
            }
        }
    }

    /// Opens a channel and starts the command. Returns its process group and what it has printed
    /// already.
    async fn start_over_ssh<'a>(
        &self,
        keeper: &SshConnection,
        connected: &'a Arc<SshSession>,
        command: &Command,
    ) -> Result<StartedCommand<'a>, HostError> {
        let channel = connected.acquire_channel().await;
        // A line with the process group, to end it by, comes before the output: sshd makes the
        // user's shell the leader of a session, and `exec` keeps its number. The wrapper stays, so
        // that a command killed by a signal has an exit code and a missing one is a lost connection.
        let script = format!("echo {MARK}$$; \"$@\"; exit $?");
        let line = quote_args(
            ["sh", "-c", script.as_str(), "sh"]
                .into_iter()
                .chain(command.argv(connected.is_root)),
        );
        let spawned = connected
            .session
            .raw_command(format!("exec {line}"))
            .stdin(openssh::Stdio::piped())
            .stdout(openssh::Stdio::piped())
            .stderr(openssh::Stdio::piped())
            .spawn()
            .await;
        let mut child = match spawned {
            Ok(child) => child,
            Err(e) => {
                keeper.check_now();
                let reason = tr!("no channel for `{command}`: {e}");
                return Err(self.unreachable_error(reason));
            }
        };
        let mut stdout = child.stdout().take();
        let (group, rest) = match &mut stdout {
            Some(stdout) => read_process_group(stdout).await,
            None => (None, Vec::new()),
        };
        Ok((channel, child, group, stdout, rest))
    }

    /// Waits for `ended`, the command's timeout or the cancellation, whichever is first.
    async fn wait_within_limits<T>(
        &self,
        command: &Command,
        cancel: &CancellationToken,
        ended: impl Future<Output = T>,
    ) -> Result<T, HostError> {
        let limit = command.timeout;
        let timeout = async {
            match limit {
                Some(limit) => sleep_awake(limit).await,
                None => std::future::pending().await,
            }
        };
        let node = || self.0.name.clone();
        tokio::select! {
            value = ended => Ok(value),
            () = cancel.cancelled() => Err(HostError::Cancelled {
                node: node(),
                command: command.to_string(),
            }),
            () = timeout => Err(HostError::Timeout {
                node: node(),
                command: command.to_string(),
                limit: limit.unwrap_or_default(),
            }),
        }
    }
}

fn format_ssh_target(options: &SshOptions) -> String {
    let user = options
        .user
        .as_ref()
        .map_or_else(String::new, |u| format!("{u}@"));
    let port = options.port.map_or_else(String::new, |p| format!(":{p}"));
    format!("{user}{}{port}", options.address)
}

/// sudo's refusals, with what to do.
fn explain_sudo(line: &str) -> Option<String> {
    // The last two are sudo-rs's, as Ubuntu has it since 25.10, and Debian.
    let refusals = [
        "sudo: a password is required",
        "sudo: a terminal is required",
        "sudo: interactive authentication is required",
        "sudo-rs: interactive authentication is required",
    ];
    refusals.iter().any(|refusal| line.contains(refusal))
        .then(|| {
            tr!("{line}: give the user `NOPASSWD: ALL` in a file of /etc/sudoers.d, or connect as root")
        })
}

/// Stands before the number of the process group.
const MARK: &str = "matou-process-group:";

/// A started command: its channel, process group, output and what was read of it.
type StartedCommand<'a> = (
    tokio::sync::SemaphorePermit<'a>,
    openssh::Child<&'a openssh::Session>,
    Option<u32>,
    Option<openssh::ChildStdout>,
    Vec<u8>,
);

/// Reads up to the line with the process group and returns what came behind it. What a talkative
/// shell start-up file printed before that line is dropped.
async fn read_process_group(stdout: &mut (impl AsyncRead + Unpin)) -> (Option<u32>, Vec<u8>) {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let at = read.windows(MARK.len()).position(|w| w == MARK.as_bytes());
        if let Some(at) = at.map(|at| at + MARK.len())
            && let Some(end) = read[at..].iter().position(|b| *b == b'\n')
        {
            let group = std::str::from_utf8(&read[at..at + end]).ok();
            let group = group.and_then(|n| n.parse().ok());
            return (group, read.split_off(at + end + 1));
        }
        match stdout.read(&mut buffer).await {
            Ok(n) if n > 0 && read.len() < LONGEST_LINE => read.extend_from_slice(&buffer[..n]),
            _ => return (None, read),
        }
    }
}

/// Ends a remote command when it is dropped while nobody waits for the command any more.
struct RemoteGroupGuard {
    connected: Arc<SshSession>,
    group: Option<u32>,
    sudo: bool,
}

impl Drop for RemoteGroupGuard {
    fn drop(&mut self) {
        if let (Some(group), Ok(runtime)) = (self.group, tokio::runtime::Handle::try_current()) {
            let (connected, sudo) = (self.connected.clone(), self.sudo);
            // The connection is not closed before the node has heard of it.
            connected.ending.fetch_add(1, Ordering::Relaxed);
            runtime.spawn(async move {
                end_remote_group(&connected, group, sudo).await;
                connected.ending.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }
}

/// Ends a process group on the node, over a channel of its own.
async fn end_remote_group(connected: &SshSession, group: u32, sudo: bool) {
    // No `--` before the group: dash's kill does not know it in this form.
    let script = shell_script(include_str!("../scripts/end_group.sh"));
    let (group, tenths) = (group.to_string(), (GRACE.as_secs() * 10).to_string());
    let mut argv = vec!["sh", "-c", script, "sh", &group, &tenths];
    if sudo && !connected.is_root {
        argv.splice(0..0, ["sudo", "-n", "--"]);
    }
    let mut ending = connected.session.raw_command(quote_args(argv));
    ending
        .stdin(openssh::Stdio::null())
        .stdout(openssh::Stdio::null())
        .stderr(openssh::Stdio::null());
    // A connection that is gone can't be asked; the node's processes then end at their next write.
    let _ = tokio::time::timeout(GRACE * 2, ending.status()).await;
}

/// The three pipes of a process.
struct Pipes<I, O, E> {
    stdin: Option<I>,
    stdout: Option<O>,
    stderr: Option<E>,
}

impl<I, O, E> Pipes<I, O, E>
where
    I: AsyncWrite + Unpin,
    O: AsyncRead + Unpin,
    E: AsyncRead + Unpin,
{
    /// Feeds the input and sends the output to `chunks`, until both outputs end.
    async fn pump(self, input: &CommandInput, chunks: mpsc::Sender<(OutputStream, Vec<u8>)>) {
        let live = input.take_live();
        let lives = live.is_some();
        let feeding = async {
            if let Some(mut stdin) = self.stdin {
                // A command need not read its input to its end.
                let _ = stdin.write_all(input.bytes()).await;
                if let Some(mut live) = live {
                    while let Some(bytes) = live.recv().await
                        && stdin.write_all(&bytes).await.is_ok()
                    {}
                }
                let _ = stdin.shutdown().await;
            }
        };
        let reading = async {
            tokio::join!(
                forward_pipe(self.stdout, OutputStream::Stdout, &chunks),
                forward_pipe(self.stderr, OutputStream::Stderr, &chunks),
            );
        };
        tokio::pin!(reading, feeding);
        if !lives {
            tokio::join!(feeding, reading);
            return;
        }
        tokio::select! {
            // Who has ended needs no more input.
            () = &mut reading => {}
            () = &mut feeding => reading.await,
        }
    }
}

async fn forward_pipe(
    pipe: Option<impl AsyncRead + Unpin>,
    stream: OutputStream,
    chunks: &mpsc::Sender<(OutputStream, Vec<u8>)>,
) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; 16 * 1024];
    // A broken pipe is the end of output; the exit state tells why.
    while let Ok(n) = pipe.read(&mut buffer).await
        && n > 0
    {
        // Nobody listens: read on, so that the command does not block on a full pipe.
        let _ = chunks.send((stream, buffer[..n].to_vec())).await;
    }
}
