//! A step of a job: what is checked, changed and verified on one node.

use matou_i18n::tr;
use std::time::Duration;

use async_trait::async_trait;

use super::check::{Change, Check, StepError};
use super::context::StepContext;

/// One thing that should be so on one node.
#[async_trait]
pub trait Step: Send + Sync {
    /// Short and stable: shown in plans, events and the journal.
    fn name(&self) -> String;

    /// How long check, apply and verify may take, each.
    fn timeout(&self) -> Duration {
        Duration::from_secs(300)
    }

    /// How long a cancelled step may take to end what it started on the node. One whose lock was lost takes
    /// nothing back: it is another's by then.
    fn clean_up_limit(&self) -> Duration {
        Duration::from_secs(8)
    }

    /// Whether the next steps of the node are tried after this one failed; the job fails all the
    /// same.
    fn is_independent(&self) -> bool {
        false
    }

    /// Compares what should be with what is. Changes nothing.
    async fn check(&self, cx: &StepContext) -> Result<Check, StepError>;

    /// Makes it so.
    async fn apply(&self, cx: &StepContext) -> Result<(), StepError>;

    /// Proves that it is so. By default: check finds nothing more to do.
    async fn verify(&self, cx: &StepContext) -> Result<(), StepError> {
        match self.check(cx).await? {
            Check::Done(_) => Ok(()),
            Check::Unknown(why) => Err(StepError::Failed(tr!("could not be verified: {why}"))),
            Check::Change(left) => Err(StepError::Failed(tr!(
                "not as it should be afterwards: {}",
                left.iter()
                    .map(Change::to_string)
                    .collect::<Vec<_>>()
                    .join("; ")
            ))),
        }
    }
}

/// A step that only tells what it found, and fails when that must not be. It never changes anything.
#[async_trait]
pub trait Report: Send + Sync {
    /// As [`Step::name`].
    fn name(&self) -> String;

    /// How long it may take.
    fn timeout(&self) -> Duration {
        Duration::from_secs(300)
    }

    /// Returns a line for each thing that the operator should read.
    ///
    /// # Errors
    /// What keeps the job from being done.
    async fn report(&self, cx: &StepContext) -> Result<Vec<Change>, StepError>;
}

#[async_trait]
impl<T: Report> Step for T {
    fn name(&self) -> String {
        Report::name(self)
    }

    fn timeout(&self) -> Duration {
        Report::timeout(self)
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        Ok(Check::Done(self.report(cx).await?))
    }

    async fn apply(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{JobEvent, JobOutcome};
    use matou_base::payloads::{PAYLOADS, is_safe};

    #[test]
    fn plans_and_events_hold_nothing_that_a_terminal_obeys() {
        for payload in PAYLOADS {
            let changes = [
                Change::same(*payload),
                Change::modify(*payload, *payload, *payload),
                Change::ask_to_accept(*payload, *payload).with_warning(*payload),
            ];
            for change in changes {
                let line = change.to_string();
                assert!(is_safe(&line) && !line.contains(['\n', '\t']), "{line:?}");
                let accept = change.accept.unwrap_or_default();
                assert!(is_safe(&accept), "{accept:?}");
            }
            let failed = JobEvent::Finished {
                outcome: JobOutcome::Failed {
                    reason: (*payload).into(),
                },
                took: Duration::ZERO,
            };
            // As somebody else's matou may have written it.
            let json = serde_json::to_string(&failed).unwrap();
            assert!(is_safe(&json), "{json:?}");
            let raw = serde_json::json!({
                "event": "step_failed", "node": "n1", "step": "x", "error": payload, "took": 0
            });
            let Ok(JobEvent::StepFailed { error, .. }) = serde_json::from_value(raw) else {
                panic!("an event");
            };
            assert!(is_safe(&error), "{error:?}");
        }
    }
}
