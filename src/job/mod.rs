//! The engine under every operation: check, plan, apply, verify; hosts in parallel.
//!
//! Knows nothing of the screen: the same job runs under the console, the command line and a timer.

mod event;
mod held_locks;
mod journal;
mod lock;
mod plan;
mod runner;
mod step;

pub use crate::host::OutputStream;
pub use event::{EventSink, JobEvent, JobId, JobOutcome};
pub use held_locks::HeldLocks;
pub use journal::{Journal, Redactor};
pub use lock::{
    DEFAULT_LOCK_WAIT as LOCK_PATIENCE, JobLock, LockError, LockName, LockRequest, operator_name,
};
pub use plan::{Confirm, NodePlan, Plan, StagePlan, StepPlan};
pub use runner::{Job, RunError, Runner, Stage, Track};
pub use step::{Change, ChangeKind, Check, Step, StepContext, StepError};
