//! Jobs as the console shows them: steps, last lines, progress.

use matou_i18n::tr;
use std::collections::VecDeque;

use jiff::Timestamp;

use super::call::CommandCall;
use super::msg::{Effect, Ticket};
use matou_base::text::human_bytes;
use matou_job::{JobEvent, JobId, JobOutcome, OutputStream};
use matou_ops::Request;

/// Lines of output kept of a job.
const MAX_OUTPUT_LINES: usize = 2000;

/// Ended jobs kept.
const MAX_ENDED_JOBS: usize = 50;

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

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JobWork {
    Request(Request),
    /// A command of the operator.
    Command(CommandCall),
}

/// A job that was started from this console.
#[derive(Debug)]
pub(super) struct JobView {
    pub id: JobId,
    pub work: JobWork,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    pub outcome: Option<JobOutcome>,
    pub steps: Vec<StepView>,
    /// How many there are, once that is known.
    pub step_count: Option<usize>,
    pub lines: VecDeque<(OutputStream, String)>,
    /// Done and total of the newest progress, and a text that says both.
    pub progress: Option<(u64, u64, String)>,
}

impl JobView {
    /// What it is, in a few words.
    pub(super) fn title(&self) -> String {
        match &self.work {
            JobWork::Request(request) => request.title(),
            JobWork::Command(call) => call.description.clone(),
        }
    }

    /// The request, unless it is a command of the operator.
    pub(super) fn request(&self) -> Option<&Request> {
        match &self.work {
            JobWork::Request(request) => Some(request),
            JobWork::Command(_) => None,
        }
    }

    /// Returns for how many seconds the job runs, or ran.
    pub(super) fn elapsed_seconds(&self, now: Timestamp) -> i64 {
        self.ended.unwrap_or(now).as_second() - self.started.as_second()
    }

    /// At which of its steps it is, and how many there are, while it runs and has several.
    pub(super) fn step_place(&self) -> Option<(usize, usize)> {
        let count = self.step_count.filter(|count| *count > 1)?;
        let begun = self.steps.len();
        let running = self.outcome.is_none() && begun > 0;
        running.then(|| (begun.min(count), count))
    }

    /// `step 7 of 24` while it runs and has several.
    pub(super) fn step_text(&self) -> Option<String> {
        let (at, count) = self.step_place()?;
        Some(tr!("step {} of {count}", at))
    }

    /// One word about its state.
    pub(super) fn state_word(&self) -> &'static str {
        match &self.outcome {
            None => tr!("running"),
            Some(JobOutcome::Done { changed: 0 }) => tr!("nothing to do"),
            Some(JobOutcome::Done { .. }) => tr!("done"),
            Some(JobOutcome::Failed { .. }) => tr!("failed"),
            Some(JobOutcome::Cancelled) => tr!("cancelled"),
        }
    }

    fn push_line(&mut self, stream: OutputStream, text: String) {
        if self.lines.len() == MAX_OUTPUT_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back((stream, text));
    }

    fn end_step(&mut self, node: &str, step: &str, state: StepState) {
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

    fn take_event(&mut self, event: JobEvent, now: Timestamp) {
        match event {
            JobEvent::Planned { .. } | JobEvent::Started { .. } => {}
            JobEvent::Steps { count } => self.step_count = Some(count),
            JobEvent::StepStarted { node, step } => self.steps.push(StepView {
                node,
                step,
                state: StepState::Running,
            }),
            JobEvent::Line {
                node, stream, text, ..
            } => self.push_line(stream, format!("{node}  {text}")),
            JobEvent::Answered { node, text, .. } => {
                self.push_line(OutputStream::Note, format!("{node}  {text}"));
            }
            JobEvent::Progress {
                done,
                total,
                unit,
                detail,
                ..
            } => {
                let mut said = match unit.as_str() {
                    "bytes" => tr!("{} of {}", human_bytes(done), human_bytes(total)),
                    _ => tr!("{done} of {total} {unit}"),
                };
                if !detail.is_empty() {
                    said += &format!(", {detail}");
                }
                self.progress = Some((done, total, said));
            }
            JobEvent::StepDone {
                node,
                step,
                changed,
                ..
            } => self.end_step(&node, &step, StepState::Done { changed }),
            JobEvent::StepFailed {
                node, step, error, ..
            } => {
                for line in error.lines() {
                    self.push_line(OutputStream::Stderr, format!("{node}  {line}"));
                }
                self.end_step(&node, &step, StepState::Failed);
            }
            JobEvent::Finished { outcome, .. } => {
                self.ended = Some(now);
                self.outcome = Some(outcome);
                self.progress = None;
            }
        }
    }
}

/// A confirmed request that waits for the one before it.
#[derive(Debug)]
pub(super) struct QueuedRun {
    /// That of its plan.
    pub ticket: Ticket,
    pub request: Request,
    pub plan_hash: String,
}

/// All jobs of this console, newest first.
#[derive(Debug, Default)]
pub(super) struct JobList {
    pub all: VecDeque<JobView>,
    /// Requests of jobs that ran before this console was opened. Their start does not open the list
    /// of jobs.
    pub already_running: Vec<Request>,
    /// Requests whose plan was confirmed, and that have not begun.
    pub sent: Vec<(Ticket, Request)>,
    /// Confirmed together with [`JobList::current`]: they run after it, one after the other.
    pub queued: VecDeque<QueuedRun>,
    /// Which of those that were confirmed together was started last, until it ends.
    pub current: Option<(Ticket, Request)>,
}

impl JobList {
    pub(super) fn count_running(&self) -> usize {
        self.all.iter().filter(|j| j.outcome.is_none()).count()
    }

    /// Starts the next of those that were confirmed together, unless one of them runs.
    pub(super) fn start_next(&mut self) -> Option<Effect> {
        if self.current.is_some() {
            return None;
        }
        let next = self.queued.pop_front()?;
        self.current = Some((next.ticket, next.request.clone()));
        self.sent.push((next.ticket, next.request.clone()));
        Some(Effect::Run {
            ticket: next.ticket,
            request: next.request,
            plan_hash: next.plan_hash,
        })
    }

    /// Gives up those that wait. Returns their titles, for a sentence; empty when none does.
    pub(super) fn give_up_queued(&mut self) -> String {
        self.current = None;
        let titles: Vec<String> = self.queued.drain(..).map(|q| q.request.title()).collect();
        match titles.as_slice() {
            [] => String::new(),
            some => tr!("; not run after it: {}", some.join(", ")),
        }
    }

    /// The newest job that runs.
    pub(super) fn newest_running(&self) -> Option<&JobView> {
        self.all.iter().find(|j| j.outcome.is_none())
    }

    pub(super) fn get(&self, id: JobId) -> Option<&JobView> {
        self.all.iter().find(|j| j.id == id)
    }

    pub(super) fn add_started(&mut self, id: JobId, work: JobWork, now: Timestamp) {
        while self.all.len() >= MAX_ENDED_JOBS
            && let Some(at) = self.all.iter().rposition(|j| j.outcome.is_some())
        {
            self.all.remove(at);
        }
        self.all.push_front(JobView {
            id,
            work,
            started: now,
            ended: None,
            outcome: None,
            steps: Vec::new(),
            step_count: None,
            lines: VecDeque::new(),
            progress: None,
        });
    }

    /// Applies an event to its job. Returns the job when the event ended it.
    pub(super) fn take_event(
        &mut self,
        id: JobId,
        event: JobEvent,
        now: Timestamp,
    ) -> Option<&JobView> {
        let job = self.all.iter_mut().find(|j| j.id == id)?;
        let ends = matches!(event, JobEvent::Finished { .. });
        job.take_event(event, now);
        ends.then_some(&*job)
    }
}
