//! A process on the node that ends a command in a container when nobody waits for it any more: asked to, or
//! because this program or the line to it is gone.

use matou_i18n::tr;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::OpsError;
use matou_host::{Command, Host, shell_script};

const SCRIPT: &str = shell_script(include_str!("../../scripts/guard_command.sh"));

/// How often a sign of life is sent.
const BEAT_PERIOD: Duration = Duration::from_secs(10);

/// Without a sign of life for so long a command is ended.
const SILENCE_LIMIT: Duration = Duration::from_secs(45);

/// Time between asking a command to end and killing it.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// How long the guard may take to be there, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// The name in the environment of the command, and of all that it starts, by which they are found.
const MARK: &str = "MATOU_RUN";

/// Makes the part of the environment that no other command has.
pub(super) fn random_mark() -> String {
    use rand::RngExt as _;
    let number: u64 = rand::rng().random();
    format!("{MARK}={number:016x}")
}

/// A guard that runs on a node.
pub(super) struct CommandGuard {
    node: String,
    input: mpsc::Sender<Vec<u8>>,
    /// What it said last, and whether it has ended.
    state: watch::Receiver<GuardState>,
    beats: JoinHandle<()>,
}

#[derive(Debug, Clone, Default)]
struct GuardState {
    ready: bool,
    said: String,
    ended: bool,
}

impl CommandGuard {
    /// Starts it, before the command.
    ///
    /// # Errors
    /// The node can't be reached, or root can't be had there.
    pub(super) async fn start(host: &Host, container: &str, mark: &str) -> Result<Self, OpsError> {
        let (input, live) = mpsc::channel::<Vec<u8>>(4);
        let command = Command::sh(SCRIPT)
            .args([container, mark])
            .arg(SILENCE_LIMIT.as_secs().to_string())
            .arg(GRACE.as_secs().to_string())
            .live_stdin(live)
            .sudo()
            .label(tr!("watch over a command in a container"));
        let (states, state) = watch::channel(GuardState::default());
        tokio::spawn(run_guard(host.clone(), command, states));
        let beats = tokio::spawn({
            let input = input.clone();
            async move {
                loop {
                    tokio::time::sleep(BEAT_PERIOD).await;
                    if input.send(b"b".to_vec()).await.is_err() {
                        return;
                    }
                }
            }
        });
        let mut guard = Self {
            node: host.name().to_owned(),
            input,
            state,
            beats,
        };
        let there = guard.state.wait_for(|s| s.ready || s.ended);
        let there = tokio::time::timeout(PATIENCE, there).await;
        let state = there.ok().and_then(Result::ok).map(|s| s.clone());
        match state {
            Some(state) if state.ready && !state.ended => Ok(guard),
            state => Err(OpsError::failed(tr!(
                "nothing was run: on {} nobody can watch over the command: {}",
                guard.node,
                state.map_or_else(|| tr!("no answer").to_owned(), |s| s.said)
            ))),
        }
    }

    /// Where its input is sent.
    pub(super) fn sender(&self) -> mpsc::Sender<Vec<u8>> {
        self.input.clone()
    }

    /// Waits until it is gone although nobody told it to end.
    pub(super) async fn wait_for_loss(&self) {
        let mut state = self.state.clone();
        // An error is the end of the task that follows it.
        let _ = state.wait_for(|s| s.ended).await;
    }

    /// The command has ended.
    pub(super) async fn release(self) {
        self.finish("q").await;
    }

    /// Ends the command and all that it started.
    ///
    /// # Errors
    /// Something of it could not be ended, or the node is not reached any more.
    pub(super) async fn end_command(self) -> Result<(), OpsError> {
        let node = self.node.clone();
        match self.finish("k").await {
            Some(state) if state.said.is_empty() => Ok(()),
            Some(state) => Err(OpsError::failed(tr!(
                "on {node} the command was not wholly ended: {}; `matou shell {node}` leads there",
                state.said
            ))),
            None => Err(OpsError::failed(tr!(
                "{node} did not say that the command was ended: it is ended there within a minute"
            ))),
        }
    }

    /// Tells it a last word, and waits until it has gone.
    async fn finish(mut self, word: &str) -> Option<GuardState> {
        self.beats.abort();
        let _ = self.input.send(word.as_bytes().to_vec()).await;
        let gone = self.state.wait_for(|s| s.ended);
        let gone = tokio::time::timeout(PATIENCE, gone).await;
        gone.ok().and_then(Result::ok).map(|s| s.clone())
    }
}

impl Drop for CommandGuard {
    fn drop(&mut self) {
        // Its input ends, and it ends the command.
        self.beats.abort();
    }
}

/// Runs the script to its end and tells what it says.
async fn run_guard(host: Host, command: Command, states: watch::Sender<GuardState>) {
    let (lines, mut arriving) = mpsc::channel(4);
    let never = CancellationToken::new();
    let running = host.stream_lines(&command, lines, &never);
    let telling = async {
        while let Some((_, line)) = arriving.recv().await {
            let line = matou_base::text::clean_bytes(&line);
            states.send_modify(|s| match line.as_str() {
                "ready" => s.ready = true,
                line => line.clone_into(&mut s.said),
            });
        }
    };
    let (result, ()) = tokio::join!(running, telling);
    states.send_modify(|s| {
        if let Err(why) = &result {
            s.said = why.to_string();
        }
        s.ended = true;
    });
}
