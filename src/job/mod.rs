//! The engine under every operation: check, plan, apply, verify; hosts in parallel.
//!
//! Knows nothing of the screen: the same job runs under the console, the command line and a timer.

mod event;
mod held;
mod journal;
mod lock;
mod plan;
mod runner;
mod step;

pub use crate::host::Stream;
pub use event::{Event, EventSink, JobId, Outcome};
pub use held::Held;
pub use journal::{Journal, Redactor};
pub use lock::{Hold, Lock, LockError, LockName, PATIENCE as LOCK_PATIENCE, myself};
pub use plan::{Confirm, NodePlan, Plan, StagePlan, StepPlan};
pub use runner::{Job, RunError, Runner, Stage, Track};
pub use step::{Change, ChangeKind, Check, Cx, Step, StepError};
