//! What a running job says: the contract between jobs, the console and `--json`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::plan::Plan;

/// Identifies a job within one run of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(pub u64);

/// Where a line of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
    /// Said by matou itself.
    Note,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// Everything is as planned; `changed` counts the steps that changed something.
    Done {
        changed: usize,
    },
    Failed {
        reason: String,
    },
    Cancelled,
}

/// One event of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Planned {
        plan: Plan,
    },
    Started {
        title: String,
    },
    StepStarted {
        node: String,
        step: String,
    },
    /// A line of output, with escape sequences and secrets removed.
    Line {
        node: String,
        step: String,
        stream: Stream,
        text: String,
    },
    /// Work done of a total, in `unit` (`tasks`, `bytes`, …).
    Progress {
        node: String,
        step: String,
        done: u64,
        total: u64,
        unit: String,
    },
    /// The step is as it should be; `changed` tells whether it had to do something.
    StepDone {
        node: String,
        step: String,
        changed: bool,
        #[serde(with = "millis")]
        took: Duration,
    },
    StepFailed {
        node: String,
        step: String,
        error: String,
        #[serde(with = "millis")]
        took: Duration,
    },
    Finished {
        #[serde(flatten)]
        outcome: Outcome,
        #[serde(with = "millis")]
        took: Duration,
    },
}

mod millis {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub fn serialize<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(d.as_millis() as u64)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_millis)
    }
}

/// Where a step sends its lines and progress: bound to one node and step.
#[derive(Clone)]
pub struct EventSink {
    node: String,
    step: String,
    events: mpsc::Sender<Event>,
}
