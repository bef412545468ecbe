//! What a step works with on its node, and the tools that every step has: running commands, reading
//! the swarm.

use matou_i18n::tr;
use std::collections::VecDeque;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::check::StepError;
use super::event::EventSink;
use super::held_locks::LockFence;
use matou_base::text::clean_bytes;
use matou_docker::{Docker, NodeHandle};
use matou_host::{Command, Host, OutputStream};
use matou_model::Swarm;

/// Lines of an output that the sentence of a failure holds.
const LAST_LINES: usize = 4;

/// What a step works with on its node.
#[derive(Clone)]
pub struct StepContext {
    /// The node's name in the fleet.
    pub node: String,
    /// Runs commands on the node.
    pub host: Host,
    /// The node's engine.
    pub docker: Docker,
    /// Where output lines and progress go.
    pub out: EventSink,
    /// The job was cancelled.
    pub cancel: CancellationToken,
    /// The job's locks; what is spawned works under them too.
    pub fence: LockFence,
}

impl StepContext {
    /// Returns the context of the same step on another node.
    pub fn on_node(&self, node: &NodeHandle) -> Self {
        Self {
            node: node.config.name.clone(),
            host: node.host.clone(),
            docker: node.docker.clone(),
            ..self.clone()
        }
    }

    /// Returns the same context for what must come to its end although the job was cancelled.
    pub fn without_cancelling(&self) -> Self {
        Self {
            cancel: CancellationToken::new(),
            ..self.clone()
        }
    }

    /// Returns the same context with a cancelling of its own, which ends the step alone; the job's ends
    /// it too.
    pub(super) fn until_step_ends(&self) -> Self {
        Self {
            cancel: self.cancel.child_token(),
            ..self.clone()
        }
    }

    /// Reads the whole swarm from the node's engine, which must be a manager's.
    ///
    /// # Errors
    /// What the engine says, or that it gives no answer.
    pub async fn query_swarm(&self) -> Result<Swarm, StepError> {
        Ok(self.docker.query_swarm().await?)
    }

    /// Runs a command on the node, its output streamed to the job.
    ///
    /// # Errors
    /// When it can't be run, is cancelled, or ends with another exit code than 0: its last lines.
    pub async fn stream(&self, command: &Command) -> Result<(), StepError> {
        self.stream_on(&self.host, command).await
    }

    /// Runs a command on any host as [`StepContext::stream`] does.
    ///
    /// # Errors
    /// Those of [`StepContext::stream`].
    pub async fn stream_on(&self, host: &Host, command: &Command) -> Result<(), StepError> {
        let (lines, arriving) = mpsc::channel(64);
        let (ended, last) = tokio::join!(
            host.stream_lines(command, lines, &self.cancel),
            self.forward_lines(arriving)
        );
        check_exit_code(host, &command.to_string(), ended?, &last)
    }

    /// Runs a shell script as root in a detached unit of the node, which a lost connection does not
    /// end. While it runs, running it again only watches it.
    ///
    /// # Errors
    /// Those of [`StepContext::stream`].
    pub async fn run_detached(
        &self,
        unit: &str,
        script: &str,
        args: &[String],
    ) -> Result<(), StepError> {
        let (lines, arriving) = mpsc::channel(64);
        let (ended, last) = tokio::join!(
            self.host
                .run_detached(unit, script, args, lines, &self.cancel),
            self.forward_lines(arriving)
        );
        check_exit_code(&self.host, unit, ended?, &last)
    }

    /// Sends lines to the job as they come, but blank ones. Returns the last.
    async fn forward_lines(
        &self,
        mut arriving: mpsc::Receiver<(OutputStream, Vec<u8>)>,
    ) -> LastLines {
        let mut last = LastLines::new(LAST_LINES);
        while let Some((stream, line)) = arriving.recv().await {
            let text = clean_bytes(&line);
            if text.trim().is_empty() {
                continue;
            }
            self.out.send_line(stream, &text).await;
            last.push(text);
        }
        last
    }
}

fn check_exit_code(host: &Host, what: &str, code: i32, last: &LastLines) -> Result<(), StepError> {
    match code {
        0 => Ok(()),
        code => Err(StepError::failed(tr!(
            "`{what}` on {} ended with exit code {code}: {}",
            host.name(),
            last.join(" / ")
        ))),
    }
}

/// The last lines of an output.
#[derive(Debug)]
pub struct LastLines {
    limit: usize,
    lines: VecDeque<String>,
}

impl LastLines {
    /// Keeps at most `limit` lines.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            lines: VecDeque::with_capacity(limit),
        }
    }

    /// Adds a line; the oldest goes when there are too many.
    pub fn push(&mut self, line: impl Into<String>) {
        if self.lines.len() == self.limit {
            self.lines.pop_front();
        }
        self.lines.push_back(line.into());
    }

    /// Joins them, the oldest first.
    pub fn join(&self, separator: &str) -> String {
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        lines.join(separator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_an_output_are_kept() {
        let mut last = LastLines::new(3);
        assert_eq!(last.join(" / "), "");
        (1..=2).for_each(|n| last.push(n.to_string()));
        assert_eq!(last.join(" / "), "1 / 2");
        (3..=5).for_each(|n| last.push(n.to_string()));
        assert_eq!(last.join(" / "), "3 / 4 / 5");
    }
}
