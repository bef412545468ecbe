//! How one step is run: checked, applied, verified, each within its time.

use matou_i18n::tr;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use matou_host::sleep_awake;
use tokio_util::sync::CancellationToken;

use super::check::{ChangeKind, Check, StepError};
use super::context::StepContext;
use super::step::Step;

/// Runs steps one after another inside a step of a job, as the job would, and none that a decision is
/// open for. They are in the time of that step, which ends them when it is over. The job holds the locks.
///
/// # Errors
/// The first failure; nothing after it is run.
pub async fn run_steps(cx: &StepContext, steps: &[Box<dyn Step>]) -> Result<(), StepError> {
    for step in steps {
        let run = async {
            if must_apply(&step.check(cx).await?)? {
                step.apply(cx).await?;
                step.verify(cx).await?;
            }
            Ok(())
        };
        run.await.map_err(|error| name_step(step.as_ref(), error))?;
    }
    Ok(())
}

/// Puts the step's name before what it failed with: nothing else tells which of several it was.
fn name_step(step: &dyn Step, error: StepError) -> StepError {
    match error {
        StepError::Failed(why) => StepError::Failed(tr!("{}: {why}", step.name())),
        StepError::Unreachable(why) => StepError::Unreachable(tr!("{}: {why}", step.name())),
        // They name the node and the command.
        other @ (StepError::Host(_) | StepError::Cancelled) => other,
    }
}

/// Whether a step has something to apply; fails while a decision is open.
fn must_apply(found: &Check) -> Result<bool, StepError> {
    match found {
        Check::Done(_) => Ok(false),
        Check::Unknown(_) => Ok(true),
        // Found only now that the earlier steps have run: the plan could not ask for it.
        Check::Change(lines) => match lines.iter().find(|c| c.kind == ChangeKind::Decide) {
            Some(open) => Err(StepError::failed(tr!("{open}: decide, then run it again"))),
            None => Ok(true),
        },
    }
}

/// Checks a step, applies it if needed, and verifies it. Returns whether something was changed.
/// Nothing more is done when the job's locks are lost: a machine that slept may wake in the middle of it, and
/// what it looked at may not be so any more.
pub(super) async fn run_step(step: &dyn Step, cx: &StepContext) -> Result<bool, StepError> {
    let cx = &cx.until_step_ends();
    let check = run_under_fence(cx, step.check(cx));
    if !must_apply(&run_bounded(step, &cx.cancel, check).await?)? {
        return Ok(false);
    }
    let apply = run_under_fence(cx, tell_late_failure(cx, step.apply(cx)));
    run_bounded(step, &cx.cancel, apply).await?;
    let verify = run_under_fence(cx, step.verify(cx));
    run_bounded(step, &cx.cancel, verify).await?;
    Ok(true)
}

/// Does a part of a step as long as the job's locks are held.
async fn run_under_fence<T>(
    cx: &StepContext,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let done = cx.fence.run_until_lost(work).await;
    done.unwrap_or_else(|loss| Err(loss.into()))
}

/// Tells why work failed that ended after the job was cancelled: what it began may not be taken back,
/// and the outcome says only that it was cancelled.
async fn tell_late_failure(
    cx: &StepContext,
    work: impl Future<Output = Result<(), StepError>>,
) -> Result<(), StepError> {
    let done = work.await;
    if let Err(error) = &done
        && cx.cancel.is_cancelled()
        && !error.is_cancelled()
    {
        cx.out.note(tr!("after it was cancelled: {error}")).await;
    }
    done
}

/// Bounds a step's work in time, ends it when the job is cancelled, and makes an error of a panic.
///
/// A step that is cancelled, or takes too long, is given time to end what it started on the node before
/// it is dropped. `cancel` is its own: [`StepContext::until_step_ends`].
pub(super) async fn run_bounded<T>(
    step: &dyn Step,
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let (limit, clean_up) = (step.timeout(), step.clean_up_limit());
    let work = AssertUnwindSafe(work).catch_unwind();
    tokio::pin!(work);
    let out_of_patience = async {
        cancel.cancelled().await;
        sleep_awake(clean_up).await;
    };
    tokio::select! {
        done = &mut work => match done {
            Ok(result) if !cancel.is_cancelled() => result,
            Ok(_) => Err(StepError::Cancelled),
            Err(panic) => {
                let what = panic
                    .downcast_ref::<&str>()
                    .map(|s| (*s).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_default();
                Err(StepError::failed(tr!("a bug in matou: {what}")))
            }
        },
        () = sleep_awake(limit) => {
            cancel.cancel();
            let _ = tokio::time::timeout(clean_up, work).await;
            Err(StepError::failed(tr!("not done after {} s", limit.as_secs())))
        }
        () = out_of_patience => Err(StepError::Cancelled),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use matou_docker::Docker;
    use tokio::sync::mpsc;

    use super::*;
    use crate::event::EventSink;
    use crate::held_locks::LockFence;
    use crate::lock::{JobLock, tests as locks};
    use crate::redactor::Redactor;

    /// Sleeps too long in one of its parts, and writes down what it did.
    struct Sleeper {
        lock: Arc<JobLock>,
        sleeps_in: &'static str,
        done: Arc<Mutex<Vec<String>>>,
    }

    impl Sleeper {
        async fn part(&self, name: &str) {
            let write = |what: &str| self.done.lock().unwrap().push(format!("{what} {name}"));
            write("begins");
            if name == self.sleeps_in {
                self.lock.sleep_long();
            }
            tokio::task::yield_now().await;
            write("ends");
        }
    }

    #[async_trait::async_trait]
    impl Step for Sleeper {
        fn name(&self) -> String {
            "sleeper".into()
        }

        async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
            self.part("check").await;
            Ok(Check::Unknown("until it is done".into()))
        }

        async fn apply(&self, _: &StepContext) -> Result<(), StepError> {
            self.part("apply").await;
            Ok(())
        }

        async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
            self.part("verify").await;
            Ok(())
        }
    }

    #[tokio::test]
    async fn no_part_of_a_step_goes_on_after_a_sleep_without_asking_for_the_lock() {
        let parts = ["check", "apply", "verify"];
        for (asleep, sleeps_in) in parts.into_iter().enumerate() {
            let lock = Arc::new(locks::lock());
            let done = Arc::default();
            let step = Sleeper {
                lock: lock.clone(),
                sleeps_in,
                done: Arc::clone(&done),
            };
            let (events, _heard) = mpsc::channel(8);
            let host = locks::host();
            let cx = StepContext {
                node: "n1".into(),
                docker: Docker::new(host.clone()),
                host,
                out: EventSink::new("n1", "sleeper", Redactor::default(), events),
                cancel: CancellationToken::new(),
                fence: LockFence::of(&lock),
            };
            let ended = run_step(&step, &cx).await.unwrap_err();
            assert_eq!(ended.to_string(), lock.loss_reason(), "{sleeps_in}");
            let mut expected = Vec::new();
            for part in &parts[..asleep] {
                expected.extend([format!("begins {part}"), format!("ends {part}")]);
            }
            expected.push(format!("begins {sleeps_in}"));
            assert_eq!(*done.lock().unwrap(), expected);
        }
    }
}
