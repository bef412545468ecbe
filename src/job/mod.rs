//! The engine under every operation: check, plan, apply, verify; hosts in parallel.
//!
//! Knows nothing of the screen: the same job runs under the console, the command line and a timer.

mod event;
mod plan;
mod step;

pub use event::{Event, EventSink, JobId, Outcome, Stream};
pub use plan::{Confirm, NodePlan, Plan, StagePlan, StepPlan};
pub use step::{Change, ChangeKind, Check, Cx, Step, StepError};
