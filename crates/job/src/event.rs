//! What a running job says: the contract between jobs, the console and `--json`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::plan::Plan;
use super::redactor::Redactor;
use matou_base::text::SafeText;
use matou_host::OutputStream;

/// Identifies a job within one run of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(pub u64);

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum JobOutcome {
    /// Everything is as planned; `changed` counts the steps that changed something.
    Done {
        /// Steps that changed something.
        changed: usize,
    },
    /// A step failed, or a lock could not be taken.
    Failed {
        /// The first failure, in a sentence.
        reason: SafeText,
    },
    /// The operator ended it.
    Cancelled,
}

/// One event of a job. What steps and servers say is [`SafeText`]: safe to show, wherever it is
/// shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum JobEvent {
    /// The plan was made.
    Planned {
        /// What will be done.
        plan: Plan,
    },
    /// Locks are held: steps will follow.
    Started {
        /// What the job is, in a few words.
        title: SafeText,
    },
    /// The work begins.
    Steps {
        /// Of all nodes and stages.
        count: usize,
    },
    /// A step works.
    StepStarted {
        /// The node's name.
        node: String,
        /// The step's name in the plan.
        step: String,
    },
    /// A line of output, with escape sequences and secrets removed.
    Line {
        /// The node's name.
        node: String,
        /// The step's name in the plan.
        step: String,
        /// Where it comes from.
        stream: OutputStream,
        /// Without its end of line.
        text: SafeText,
    },
    /// An application answers under a domain, as the check of its stack says.
    Answered {
        /// The node's name.
        node: String,
        /// The step's name in the plan.
        step: String,
        /// The domain that was asked.
        domain: String,
        /// The answer in a sentence.
        text: SafeText,
    },
    /// Work done of a total, in `unit` (`tasks`, `bytes`, …).
    Progress {
        /// The node's name.
        node: String,
        /// The step's name in the plan.
        step: String,
        /// Never more than `total`.
        done: u64,
        /// What there is to do.
        total: u64,
        /// What is counted.
        unit: String,
        /// More than the numbers say, as `40 MiB/s, 2 min left`.
        #[serde(default, skip_serializing_if = "SafeText::is_empty")]
        detail: SafeText,
    },
    /// The step is as it should be; `changed` tells whether it had to do something.
    StepDone {
        /// The node's name.
        node: String,
        /// The step's name in the plan.
        step: String,
        /// It was not as it should be before.
        changed: bool,
        /// Milliseconds in JSON.
        #[serde(with = "millis")]
        took: Duration,
    },
    /// The step failed: the rest of its track is left out.
    StepFailed {
        /// The node's name.
        node: String,
        /// The step's name in the plan.
        step: String,
        /// Why, in a sentence.
        error: SafeText,
        /// Milliseconds in JSON.
        #[serde(with = "millis")]
        took: Duration,
    },
    /// The last event of a job.
    Finished {
        /// How it ended.
        #[serde(flatten)]
        outcome: JobOutcome,
        /// Milliseconds in JSON.
        #[serde(with = "millis")]
        took: Duration,
    },
}

mod millis {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(crate) fn serialize<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(d.as_millis() as u64)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_millis)
    }
}

/// Where a step sends its lines and progress: bound to one node and step. What is sent is made
/// safe to show: no escape sequences, no secrets.
#[derive(Clone)]
pub struct EventSink {
    node: String,
    step: String,
    redactor: Redactor,
    events: mpsc::Sender<JobEvent>,
}

impl EventSink {
    pub(super) fn new(
        node: &str,
        step: &str,
        redactor: Redactor,
        events: mpsc::Sender<JobEvent>,
    ) -> Self {
        Self {
            node: node.to_owned(),
            step: step.to_owned(),
            redactor,
            events,
        }
    }

    /// A line of a command's output.
    pub async fn send_line(&self, stream: OutputStream, text: impl AsRef<str>) {
        let text = self.make_safe(text.as_ref());
        let (node, step) = (self.node.clone(), self.step.clone());
        self.send_event(JobEvent::Line {
            node,
            step,
            stream,
            text,
        })
        .await;
    }

    /// That an application answers under a domain, and how.
    pub async fn send_answer(&self, domain: &str, text: &str) {
        let event = JobEvent::Answered {
            node: self.node.clone(),
            step: self.step.clone(),
            domain: domain.to_owned(),
            text: self.make_safe(text),
        };
        self.send_event(event).await;
    }

    fn make_safe(&self, text: &str) -> SafeText {
        SafeText::from_line(self.redactor.redact(&matou_base::text::clean_line(text)))
    }

    /// Something matou itself has to say.
    pub async fn note(&self, text: impl AsRef<str>) {
        self.send_line(OutputStream::Note, text).await;
    }

    /// Work done of a total.
    pub async fn send_progress(&self, done: u64, total: u64, unit: &str) {
        self.send_detailed_progress(done, total, unit, "").await;
    }

    /// Work done of a total, with more than the numbers say.
    pub async fn send_detailed_progress(&self, done: u64, total: u64, unit: &str, detail: &str) {
        let detail = self.make_safe(detail);
        let (node, step) = (self.node.clone(), self.step.clone());
        self.send_event(JobEvent::Progress {
            node,
            step,
            done,
            total,
            unit: unit.to_owned(),
            detail,
        })
        .await;
    }

    async fn send_event(&self, event: JobEvent) {
        send_job_event(&self.events, event).await;
    }
}

pub(super) async fn send_job_event(events: &mpsc::Sender<JobEvent>, event: JobEvent) {
    // A job goes on when nobody looks any more.
    let _ = events.send(event).await;
}
