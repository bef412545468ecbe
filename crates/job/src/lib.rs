//! The engine under every operation: check, plan, apply, verify; hosts in parallel.
//!
//! Knows nothing of the screen: the same job runs under the console, the command line and a timer.

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

mod check;
mod context;
mod event;
mod held_locks;
mod journal;
mod journal_reader;
mod lock;
mod output_tail;
mod past_job;
mod plan;
mod redactor;
mod runner;
mod step;
mod step_run;
mod waiting;

pub use check::{Change, ChangeKind, Check, StepError};
pub use context::{LastLines, StepContext};
pub use event::{EventSink, JobEvent, JobId, JobOutcome};
pub use held_locks::{HeldLocks, LockFence};
pub use journal::Journal;
pub use journal_reader::read_past_jobs;
pub use lock::{
    DEFAULT_LOCK_WAIT as LOCK_PATIENCE, JobLock, LockError, LockName, LockRequest, list_busy_apps,
};
pub use matou_host::OutputStream;
pub use past_job::{PastCommand, PastJob};
pub use plan::{Confirm, NodePlan, Plan, PlanSummary, StagePhase, StagePlan, StepPlan};
pub use redactor::Redactor;
pub use runner::{Job, RunError, Runner, Stage, Track};
pub use step::{Report, Step};
pub use step_run::run_steps;
pub use waiting::Wait;
