//! One multiplexed SSH connection a node, kept up in the background.
//!
//! What the crate does not do, and this module has to: dropping a remote child does not end the
//! remote process; a broken master is not replaced; the builder's jump hosts ignore its other
//! options (so a configuration file is generated instead).

use matou_i18n::tr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use jiff::Timestamp;
use openssh::{ControlPersist, ForwardType, Session, SessionBuilder, Socket, Stdio};
use tokio::net::UnixListener;
use tokio::sync::{Notify, OnceCell, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::error::{explain_ssh, is_unknown_host_key};
use matou_config::{KnownHosts, SshOptions};
use matou_model::NodeLink;

/// Channels in use at once: sshd allows ten by default, the rest is for the operator.
const CHANNELS: usize = 8;

/// How many of these are for connections to the engine, when each needs a channel of its own (not
/// root).
const DIALLED: usize = 5;

/// How often a standing connection is looked at. The master itself notices a dead network after
/// three missed keep-alives.
const CHECK: Duration = Duration::from_secs(2);

/// How long the master, a process of this machine, may take to answer. A stopped one never does,
/// and one of a busy machine takes seconds.
const MASTER_PATIENCE: Duration = Duration::from_secs(10);

/// Seconds an idle master outlives a console that was killed.
const PERSIST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(59);

/// A connection that stands.
pub(super) struct SshSession {
    pub session: Session,
    /// The user is root there: no sudo needed.
    pub is_root: bool,
    channels: Semaphore,
    /// Places for connections to the engine that need a channel each.
    dialled: Semaphore,
    docker: OnceCell<PathBuf>,
    /// How many commands on the node are being ended.
    pub(super) ending: AtomicUsize,
    /// Ended with the connection.
    alive: CancellationToken,
}

impl SshSession {
    /// A place for one more channel.
    pub(super) async fn acquire_channel(&self) -> tokio::sync::SemaphorePermit<'_> {
        #[expect(clippy::expect_used, reason = "the semaphore is never closed")]
        let channel = self.channels.acquire().await.expect("it is open");
        channel
    }
}

impl Drop for SshSession {
    fn drop(&mut self) {
        self.alive.cancel();
    }
}

type ConnectionState = (NodeLink, Option<Arc<SshSession>>);

fn is_same_session((_, current): &ConnectionState, connected: &Arc<SshSession>) -> bool {
    current.as_ref().is_some_and(|c| Arc::ptr_eq(c, connected))
}

/// Keeps one node's connection.
pub(super) struct SshConnection {
    node: String,
    options: SshOptions,
    runtime_dir: PathBuf,
    docker_socket: PathBuf,
    state: watch::Sender<ConnectionState>,
    link: watch::Sender<NodeLink>,
    /// Somebody noticed that the connection is broken, or wants it tried again now.
    look: Notify,
    stop: CancellationToken,
    started: std::sync::Once,
}

impl SshConnection {
    pub(super) fn new(
        node: &str,
        options: SshOptions,
        runtime_dir: PathBuf,
        docker_socket: PathBuf,
    ) -> Arc<Self> {
        Arc::new(Self {
            node: node.to_owned(),
            options,
            runtime_dir,
            docker_socket,
            state: watch::Sender::new((NodeLink::Connecting, None)),
            link: watch::Sender::new(NodeLink::Connecting),
            look: Notify::new(),
            stop: CancellationToken::new(),
            started: std::sync::Once::new(),
        })
    }

    pub(super) fn options(&self) -> &SshOptions {
        &self.options
    }

    /// The state of the connection; starts connecting.
    pub(super) fn watch_link(self: &Arc<Self>) -> watch::Receiver<NodeLink> {
        self.ensure_started();
        self.link.subscribe()
    }

    fn ensure_started(self: &Arc<Self>) {
        self.started.call_once(|| {
            let keeper = self.clone();
            tokio::spawn(async move {
                let stop = keeper.stop.clone();
                stop.run_until_cancelled(keeper.keep_connected()).await;
                keeper.set_state(NodeLink::Connecting, None);
            });
        });
    }

    /// The connection, when there is one; waits for the first attempt, also after a loss.
    ///
    /// # Errors
    /// The reason why there is none, a whole sentence.
    pub(super) async fn wait_for_session(self: &Arc<Self>) -> Result<Arc<SshSession>, String> {
        self.ensure_started();
        let mut state = self.state.subscribe();
        let waiting = state.wait_for(|(link, _)| !matches!(link, NodeLink::Connecting));
        let settled = tokio::time::timeout(self.attempt_limit(), waiting).await;
        let state = match settled {
            Ok(Ok(state)) => state.clone(),
            _ => return Err(self.no_answer_reason()),
        };
        match state {
            (_, Some(connected)) => Ok(connected),
            (NodeLink::Down { reason, .. }, None) => Err(reason),
            (_, None) => Err(self.no_answer_reason()),
        }
    }

    /// Looks at the connection now; a broken one is replaced, a waiting retry comes at once.
    pub(super) fn check_now(&self) {
        self.look.notify_one();
    }

    /// Marks a connection that was seen to be broken: whoever asks from now on waits for another.
    pub(super) fn mark_lost(&self, broken: &Arc<SshSession>) {
        let was_it = self.state.send_if_modified(|state| {
            let is_it = is_same_session(state, broken);
            if is_it {
                *state = (NodeLink::Connecting, None);
            }
            is_it
        });
        if was_it {
            self.publish_link(NodeLink::Connecting);
        }
        self.check_now();
    }

    /// Returns whether there is a connection whose master answers. A broken one is marked as such.
    pub(super) async fn check_standing(&self) -> bool {
        let Some(current) = self.state.borrow().1.clone() else {
            return false;
        };
        let stands = self.is_alive(&current).await;
        if !stands {
            self.mark_lost(&current);
        }
        stands
    }

    /// Whether this connection is the one that others get.
    fn is_current(&self, connected: &Arc<SshSession>) -> bool {
        is_same_session(&self.state.borrow(), connected)
    }

    /// Whether the connection still stands, asked of the master.
    pub(super) async fn is_alive(&self, connected: &SshSession) -> bool {
        let alive = tokio::time::timeout(MASTER_PATIENCE, connected.session.check()).await;
        matches!(alive, Ok(Ok(())))
    }

    pub(super) async fn close(&self) {
        self.stop.cancel();
        let _ = std::fs::remove_file(self.ssh_config_path());
        let connected = self.state.send_replace((NodeLink::Connecting, None)).1;
        if let Some(connected) = connected {
            if let Some(path) = connected.docker.get() {
                let _ = std::fs::remove_file(path);
            }
            connected.alive.cancel();
            // The last holder ends the master: wait for the task above and commands to let go.
            for n in 0..300 {
                let is_ending = connected.ending.load(Ordering::Relaxed) > 0;
                if Arc::strong_count(&connected) == 1 || (n >= 50 && !is_ending) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // Telling the master to end blocks, though not for long.
            let ended = tokio::task::spawn_blocking(move || drop(connected));
            let _ = tokio::time::timeout(Duration::from_secs(1), ended).await;
        }
    }

    /// Longest time one attempt may take: the crate's own limit covers each hop by itself.
    fn attempt_limit(&self) -> Duration {
        self.options.connect_timeout * if self.options.jump.is_some() { 2 } else { 1 }
            + Duration::from_secs(1)
    }

    fn no_answer_reason(&self) -> String {
        tr!(
            "{} did not answer within {} s: is the server up?",
            self.options.address,
            self.attempt_limit().as_secs()
        )
    }

    fn set_state(&self, link: NodeLink, connected: Option<Arc<SshSession>>) {
        self.state.send_replace((link.clone(), connected));
        self.publish_link(link);
    }

    fn publish_link(&self, link: NodeLink) {
        self.link.send_if_modified(|old| {
            let changed = *old != link;
            *old = link;
            changed
        });
    }

    /// Connects, watches, and connects again with growing pauses.
    async fn keep_connected(&self) {
        let pauses = backon::ExponentialBuilder::default()
            .with_min_delay(Duration::from_secs(1))
            .with_max_delay(Duration::from_secs(30))
            .with_jitter()
            .without_max_times();
        let mut pause = pauses.build();
        let mut down_since: Option<Timestamp> = None;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let span = self.make_connect_span(attempt);
            let begun = Instant::now();
            let connected = self.connect().instrument(span.clone()).await;
            let ms = begun.elapsed().as_millis();
            span.in_scope(|| match &connected {
                Ok(session) => tracing::debug!(result = "connected", root = session.is_root, ms),
                Err(reason) => tracing::debug!(result = "failed", ?reason, ms),
            });
            match connected {
                Ok(connected) => {
                    attempt = 0;
                    pause = pauses.build();
                    let connected = Arc::new(connected);
                    self.set_state(NodeLink::Up, Some(connected.clone()));
                    self.wait_until_broken(&connected).await;
                    tracing::debug!(node = ?self.node, "the connection is broken");
                    connected.alive.cancel();
                    down_since = Some(Timestamp::now());
                    self.set_state(NodeLink::Connecting, None);
                    // Dropping a session talks to its master, which may hang.
                    tokio::task::spawn_blocking(move || drop(connected));
                }
                Err(reason) => {
                    let since = *down_since.get_or_insert_with(Timestamp::now);
                    self.set_state(NodeLink::Down { reason, since }, None);
                    let wait = pause.next().unwrap_or(Duration::from_secs(30));
                    tracing::debug!(node = ?self.node, ms = wait.as_millis(), "waits to connect again");
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.look.notified() => {}
                    }
                }
            }
        }
    }

    async fn wait_until_broken(&self, connected: &Arc<SshSession>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(CHECK) => {}
                () = self.look.notified() => {}
            }
            // Who saw it broken has taken it away already: it would be nobody's.
            if !self.is_current(connected) || !self.is_alive(connected).await {
                return;
            }
        }
    }

    /// Returns the span of an attempt to connect. `attempt` counts since the last connection.
    fn make_connect_span(&self, attempt: u32) -> tracing::Span {
        let options = &self.options;
        tracing::debug_span!(
            "connect",
            node = ?self.node,
            host = ?options.address,
            port = options.port,
            user = options.user.as_ref().map(tracing::field::debug),
            attempt,
        )
    }

    async fn connect(&self) -> Result<SshSession, String> {
        let options = &self.options;
        // ssh would take them for options or settings of their own.
        let values = [
            Some(&options.address),
            options.user.as_ref(),
            options.jump.as_ref(),
        ];
        if let Some(bad) = values.into_iter().flatten().find(|v| {
            v.starts_with('-') || v.contains(|c: char| c.is_whitespace() || c.is_control())
        }) {
            return Err(tr!(
                "\"{}\" is no host name or user: correct it in config.toml",
                matou_base::text::clean_line(bad)
            ));
        }
        let config = self
            .write_ssh_config()
            .map_err(|e| tr!("{} can't be written: {e}", self.runtime_dir.display()))?;
        let mut builder = SessionBuilder::default();
        builder
            .control_directory(&self.runtime_dir)
            .config_file(config)
            .connect_timeout(options.connect_timeout)
            .control_persist(ControlPersist::IdleFor(PERSIST))
            .known_hosts_check(match options.known_hosts {
                KnownHosts::Strict => openssh::KnownHosts::Strict,
                KnownHosts::AcceptNew => openssh::KnownHosts::Add,
            });
        if let Some(user) = &options.user {
            builder.user(user.clone());
        }
        if let Some(port) = options.port {
            builder.port(port);
        }
        if let Some(identity) = &options.identity {
            builder.keyfile(identity);
        }
        let connecting = builder.connect_mux(&options.address);
        let session = match tokio::time::timeout(self.attempt_limit(), connecting).await {
            Ok(Ok(session)) => session,
            Ok(Err(e)) => {
                let mut reason = self.explain_error(&e);
                if is_unknown_host_key(&output_of_ssh(&e)) && options.jump.is_none() {
                    reason += &self.scan_host_keys().await;
                }
                return Err(reason);
            }
            Err(_) => return Err(self.no_answer_reason()),
        };
        // Asking costs two round trips before anything else can be done.
        let is_root = match options.user.as_deref() {
            Some("root") => true,
            _ => match tokio::time::timeout(self.attempt_limit(), query_user_is_root(&session))
                .await
            {
                Ok(Ok(is_root)) => is_root,
                Ok(Err(e)) => return Err(self.explain_error(&e)),
                Err(_) => return Err(self.no_answer_reason()),
            },
        };
        Ok(SshSession {
            session,
            is_root,
            channels: Semaphore::new(if is_root {
                CHANNELS
            } else {
                CHANNELS - DIALLED
            }),
            dialled: Semaphore::new(DIALLED),
            docker: OnceCell::new(),
            ending: AtomicUsize::new(0),
            alive: CancellationToken::new(),
        })
    }

    /// Returns the fingerprints that the server shows now, for a comparison; empty when it can't be
    /// asked.
    async fn scan_host_keys(&self) -> String {
        let script = "ssh-keyscan -T 3 -p \"$1\" -- \"$2\" 2>/dev/null | ssh-keygen -lf -";
        let asking = tokio::process::Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(self.options.port.unwrap_or(22).to_string())
            .arg(&self.options.address)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .output();
        let Ok(Ok(out)) = tokio::time::timeout(self.attempt_limit(), asking).await else {
            return String::new();
        };
        // `256 SHA256:… host (ED25519)`
        let text = matou_base::text::clean_bytes(&out.stdout);
        let prints: Vec<&str> = text
            .split_whitespace()
            .filter(|w| w.starts_with("SHA256:"))
            .collect();
        if prints.is_empty() {
            return String::new();
        }
        tr!(". It shows {}", prints.join(", "))
    }

    fn explain_error(&self, error: &openssh::Error) -> String {
        match error {
            openssh::Error::Connect(e) if e.kind() == std::io::ErrorKind::NotFound => {
                tr!("ssh can't be started: install openssh-client on this machine").into()
            }
            other => explain_ssh(&output_of_ssh(other), &self.options),
        }
    }

    /// Writes the settings that options of ssh can't express, or do not hand on to a jump host.
    fn write_ssh_config(&self) -> std::io::Result<PathBuf> {
        let options = &self.options;
        let mut text = String::from("# made by matou for one node; do not edit\n");
        if let Some(jump) = &options.jump {
            text += &format!("Host {}\n  ProxyJump {jump}\n", options.address);
        }
        text += &format!(
            "Host *\n  BatchMode yes\n  ServerAliveInterval {}\n  ServerAliveCountMax 3\n  ConnectTimeout {}\n  StreamLocalBindUnlink yes\n",
            options.keep_alive.as_secs().max(1),
            options.connect_timeout.as_secs().max(1),
        );
        text += match options.known_hosts {
            KnownHosts::Strict => "  StrictHostKeyChecking yes\n",
            KnownHosts::AcceptNew => "  StrictHostKeyChecking accept-new\n",
        };
        if let Some(file) = &options.known_hosts_file {
            text += &format!("  UserKnownHostsFile {}\n", quote_ssh_config_path(file));
        }
        if let (Some(identity), Some(_)) = (&options.identity, &options.jump) {
            text += &format!("  IdentityFile {}\n", quote_ssh_config_path(identity));
        }
        match &options.config_file {
            // ssh refuses to include a file that others can write; this one means none.
            Some(file) if file == Path::new("/dev/null") => {}
            Some(file) => text += &format!("  Include {}\n", quote_ssh_config_path(file)),
            None => text += "  Include ~/.ssh/config\n  Include /etc/ssh/ssh_config\n",
        }
        let path = self.ssh_config_path();
        matou_base::files::write_transient_file(&path, text.as_bytes())?;
        Ok(path)
    }

    fn ssh_config_path(&self) -> PathBuf {
        self.runtime_dir.join(format!("{}.conf", self.short_name()))
    }

    /// A name for files that differs for each node and process: consoles share the folder.
    fn short_name(&self) -> String {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hash = DefaultHasher::new();
        let o = &self.options;
        (
            &self.node,
            &o.address,
            o.port,
            &o.user,
            &o.jump,
            &o.identity,
            std::process::id(),
        )
            .hash(&mut hash);
        format!("{:016x}", hash.finish())
    }

    /// A socket on this machine that reaches the node's engine for as long as the connection
    /// stands.
    pub(super) async fn docker_socket(
        &self,
        connected: &Arc<SshSession>,
    ) -> Result<PathBuf, String> {
        let made = connected.docker.get_or_try_init(|| async {
            // A new name for each connection: what talks to the old one must notice.
            let nonce = Timestamp::now().as_microsecond();
            let path = self
                .runtime_dir
                .join(format!("{}-{nonce:x}.sock", &self.short_name()[..8]));
            if connected.is_root {
                self.forward_docker_socket(connected, &path).await?;
            } else {
                self.dial_stdio(connected, &path)?;
            }
            // sshd opens the node's socket only when the first client comes: a forward that was
            // accepted says nothing about the engine.
            if let Err(e) = check_engine_answers(&path).await {
                if connected.is_root {
                    let (local, remote) = self.forwarded_sockets(&path);
                    let closing =
                        connected.session.close_port_forward(ForwardType::Local, local, remote);
                    let _ = closing.await;
                }
                let _ = std::fs::remove_file(&path);
                return Err(tr!(
                    "the Docker engine does not answer on {} there ({e}): is it running (`systemctl status docker`), and may sshd forward sockets (AllowStreamLocalForwarding)?",
                    self.docker_socket.display()
                ));
            }
            Ok::<_, String>(path)
        });
        made.await.cloned()
    }

    fn forwarded_sockets<'a>(&'a self, local: &'a Path) -> (Socket<'a>, Socket<'a>) {
        let unix = |path: &'a Path| Socket::UnixSocket { path: path.into() };
        (unix(local), unix(&self.docker_socket))
    }

    /// The engine's socket, forwarded by sshd.
    async fn forward_docker_socket(
        &self,
        connected: &SshSession,
        path: &Path,
    ) -> Result<(), String> {
        let (local, remote) = self.forwarded_sockets(path);
        let forwarded = connected
            .session
            .request_port_forward(ForwardType::Local, local, remote);
        let refused = |why: String| {
            tr!(
                "the Docker socket can't be forwarded: {why}; sshd needs AllowStreamLocalForwarding yes"
            )
        };
        forwarded.await.map_err(|e| refused(e.to_string()))
    }

    /// Makes a socket for an engine whose own may only be opened by root: each connection is
    /// carried by `docker system dial-stdio` under sudo.
    fn dial_stdio(&self, connected: &Arc<SshSession>, path: &Path) -> Result<(), String> {
        use std::os::unix::fs::PermissionsExt;
        let listener = UnixListener::bind(path)
            .and_then(|l| {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
                Ok(l)
            })
            .map_err(|e| tr!("{} can't be made: {e}", path.display()))?;
        let engine = format!("unix://{}", self.docker_socket.display());
        let alive = connected.alive.clone();
        let connected = Arc::downgrade(connected);
        let path = path.to_owned();
        tokio::spawn(async move {
            let accepting = async {
                while let Ok((mut local, _)) = listener.accept().await {
                    let Some(connected) = connected.upgrade() else {
                        return;
                    };
                    let engine = engine.clone();
                    tokio::spawn(async move {
                        // The semaphore is never closed.
                        let Ok(_channel) = connected.dialled.acquire().await else {
                            return;
                        };
                        let args = ["-n", "--", "docker", "-H", &engine, "system", "dial-stdio"];
                        let child = connected
                            .session
                            .command("sudo")
                            .args(args)
                            .stdin(Stdio::piped())
                            .stdout(Stdio::piped())
                            .stderr(Stdio::null())
                            .spawn()
                            .await;
                        // When it can't be opened, the client sees a closed connection.
                        let Ok(mut child) = child else { return };
                        let (input, output) = (child.stdin().take(), child.stdout().take());
                        if let (Some(input), Some(output)) = (input, output) {
                            copy_both_ways(&mut local, input, output).await;
                        }
                    });
                }
            };
            alive.run_until_cancelled(accepting).await;
            let _ = std::fs::remove_file(&path);
        });
        Ok(())
    }
}

/// Copies both ways until the remote side ends. Its input is dropped when the local side ends:
/// shutting a pipe down does not close it, and the remote process would stay for ever.
async fn copy_both_ways(
    local: &mut tokio::net::UnixStream,
    mut input: openssh::ChildStdin,
    mut output: openssh::ChildStdout,
) {
    use tokio::io::AsyncWriteExt;
    let (mut reader, mut writer) = local.split();
    let there = async move {
        let _ = tokio::io::copy(&mut reader, &mut input).await;
    };
    let back = async {
        let _ = tokio::io::copy(&mut output, &mut writer).await;
        let _ = writer.shutdown().await;
    };
    tokio::join!(there, back);
}

/// A path for ssh_config.
fn quote_ssh_config_path(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('"', "\\\""))
}

/// Checks that an HTTP server answers behind the socket.
async fn check_engine_answers(path: &Path) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let asking = async {
        let mut stream = tokio::net::UnixStream::connect(path).await?;
        stream
            .write_all(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
            .await?;
        let mut first = [0; 5];
        stream.read_exact(&mut first).await?;
        if &first == b"HTTP/" {
            Ok(())
        } else {
            Err(std::io::Error::other(tr!(
                "something else than Docker answers"
            )))
        }
    };
    let limit = Duration::from_secs(5);
    match tokio::time::timeout(limit, asking).await {
        Ok(Err(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err(std::io::Error::other(tr!("connection closed")))
        }
        Ok(answer) => answer,
        Err(_) => Err(std::io::Error::other(tr!("no answer within 5 s"))),
    }
}

async fn query_user_is_root(session: &Session) -> Result<bool, openssh::Error> {
    use tokio::io::AsyncReadExt;
    let mut child = session
        .command("id")
        .arg("-u")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .await?;
    let mut said = Vec::new();
    if let Some(mut stdout) = child.stdout().take() {
        // To its end before waiting, as for every command: output is lost otherwise.
        let reading = stdout.read_to_end(&mut said).await;
        reading.map_err(openssh::Error::ChildIo)?;
    }
    child.wait().await?;
    // The last word: a shell's start-up file may have printed before.
    Ok(said.split(u8::is_ascii_whitespace).rfind(|w| !w.is_empty()) == Some(b"0".as_slice()))
}

/// Returns what ssh wrote, which the errors of connecting have as their source.
fn output_of_ssh(error: &openssh::Error) -> String {
    match error {
        openssh::Error::Connect(e) | openssh::Error::Master(e) => e.to_string(),
        other => other.to_string(),
    }
}
