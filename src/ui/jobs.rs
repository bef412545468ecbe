//! Jobs as the console shows them: steps, last lines, progress.

use std::collections::VecDeque;

use jiff::Timestamp;

use crate::job::{Event, JobId, Outcome, Stream};
use crate::ops::Request;
use crate::text::human_bytes;

/// Lines of output kept of a job.
const LINES: usize = 2000;

/// Ended jobs kept.
const PAST: usize = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepState {
    Running,
    Done { changed: bool },
    Failed,
}

#[derive(Debug)]
pub(super) struct StepView {
    pub node: String,
    pub step: String,
    pub state: StepState,
}

/// A job that was started from this console.
#[derive(Debug)]
pub(super) struct JobView {
    pub id: JobId,
    pub request: Request,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    pub outcome: Option<Outcome>,
    pub steps: Vec<StepView>,
    pub lines: VecDeque<(Stream, String)>,
    /// Done and total of the newest progress, and both in words.
    pub progress: Option<(u64, u64, String)>,
}

impl JobView {
    /// Seconds that it runs, or ran.
    pub(super) fn seconds(&self, now: Timestamp) -> i64 {
        self.ended.unwrap_or(now).as_second() - self.started.as_second()
    }

    /// One word about its state.
    pub(super) fn word(&self) -> &'static str {
        match &self.outcome {
            None => "running",
            Some(Outcome::Done { changed: 0 }) => "nothing to do",
            Some(Outcome::Done { .. }) => "done",
            Some(Outcome::Failed { .. }) => "failed",
            Some(Outcome::Cancelled) => "cancelled",
        }
    }

    fn line(&mut self, stream: Stream, text: String) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back((stream, text));
    }

    fn step_ended(&mut self, node: &str, step: &str, state: StepState) {
        let running = self
            .steps
            .iter_mut()
            .rev()
            .find(|s| s.node == node && s.step == step);
        if let Some(found) = running {
            found.state = state;
        }
        self.progress = None;
    }

    fn take(&mut self, event: Event, now: Timestamp) {
        match event {
            Event::Planned { .. } | Event::Started { .. } => {}
            Event::StepStarted { node, step } => self.steps.push(StepView {
                node,
                step,
                state: StepState::Running,
            }),
            Event::Line {
                node, stream, text, ..
            } => self.line(stream, format!("{node}  {text}")),
            Event::Progress {
                done,
                total,
                unit,
                detail,
                ..
            } => {
                let mut said = match unit.as_str() {
                    "bytes" => format!("{} of {}", human_bytes(done), human_bytes(total)),
                    _ => format!("{done} of {total} {unit}"),
                };
                if !detail.is_empty() {
                    said += &format!(", {detail}");
                }
                self.progress = Some((done, total, said));
            }
            Event::StepDone {
                node,
                step,
                changed,
                ..
            } => self.step_ended(&node, &step, StepState::Done { changed }),
            Event::StepFailed {
                node, step, error, ..
            } => {
                for line in error.lines() {
                    self.line(Stream::Stderr, format!("{node}  {line}"));
                }
                self.step_ended(&node, &step, StepState::Failed);
            }
            Event::Finished { outcome, .. } => {
                self.ended = Some(now);
                self.outcome = Some(outcome);
                self.progress = None;
            }
        }
    }
}

/// All jobs of this console, newest first.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    pub all: VecDeque<JobView>,
    /// Asked for because they run already: they do not open the list.
    pub found: Vec<Request>,
}

impl Jobs {
    pub(super) fn running(&self) -> usize {
        self.all.iter().filter(|j| j.outcome.is_none()).count()
    }

    /// The newest job that runs.
    pub(super) fn current(&self) -> Option<&JobView> {
        self.all.iter().find(|j| j.outcome.is_none())
    }

    pub(super) fn get(&self, id: JobId) -> Option<&JobView> {
        self.all.iter().find(|j| j.id == id)
    }

    pub(super) fn start(&mut self, id: JobId, request: Request, now: Timestamp) {
        while self.all.len() >= PAST
            && let Some(at) = self.all.iter().rposition(|j| j.outcome.is_some())
        {
            self.all.remove(at);
        }
        self.all.push_front(JobView {
            id,
            request,
            started: now,
            ended: None,
            outcome: None,
            steps: Vec::new(),
            lines: VecDeque::new(),
            progress: None,
        });
    }

    /// Takes an event; answers with the outcome when it ended the job.
    pub(super) fn take(&mut self, id: JobId, event: Event, now: Timestamp) -> Option<&JobView> {
        let job = self.all.iter_mut().find(|j| j.id == id)?;
        let ends = matches!(event, Event::Finished { .. });
        job.take(event, now);
        ends.then_some(&*job)
    }
}
