//! Waiting until something is so, which a loop looks at again and again.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::check::StepError;
use super::context::StepContext;

/// The pauses between the looks of a loop that waits for something, and their limit:
///
/// ```ignore
/// let wait = cx.wait_at_most(LIMIT, POLL);
/// while !is_so().await? {
///     wait.pause(|| format!("it is not so after {} s", LIMIT.as_secs())).await?;
/// }
/// ```
#[derive(Debug)]
pub struct Wait {
    end: Instant,
    every: Duration,
    cancel: CancellationToken,
}

impl StepContext {
    /// Begins to wait: with looks `every` so often, for at most `limit`. A look that hangs is ended
    /// by the limit of the step alone.
    pub fn wait_at_most(&self, limit: Duration, every: Duration) -> Wait {
        Wait {
            end: Instant::now() + limit,
            every,
            cancel: self.cancel.clone(),
        }
    }
}

impl Wait {
    /// Returns whether the time is over: the last look was the last.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// Pauses until the next look; the last one is at the limit.
    ///
    /// # Errors
    /// The sentence of `late` when the time is over; [`StepError::Cancelled`], at once when the job
    /// is cancelled.
    pub fn pause(
        &self,
        late: impl FnOnce() -> String,
    ) -> impl Future<Output = Result<(), StepError>> + Send {
        let over = self.is_over().then(late);
        let next = self.end.min(Instant::now() + self.every);
        async move {
            if let Some(sentence) = over {
                return Err(StepError::Failed(sentence));
            }
            let paused = self
                .cancel
                .run_until_cancelled(tokio::time::sleep_until(next));
            paused.await.ok_or(StepError::Cancelled)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(700);
    const LIMIT: Duration = Duration::from_secs(10);

    fn begin() -> (Wait, Instant) {
        let wait = Wait {
            end: Instant::now() + LIMIT,
            every: EVERY,
            cancel: CancellationToken::new(),
        };
        (wait, Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_so_at_the_third_look_takes_two_pauses() {
        let (wait, begun) = begin();
        for _ in 1..3 {
            wait.pause(|| "late".into()).await.unwrap();
        }
        assert_eq!(begun.elapsed(), EVERY * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_looked_at_once_more_at_the_limit() {
        let (wait, begun) = begin();
        let mut looks = 1;
        let error = loop {
            match wait.pause(|| format!("late after look {looks}")).await {
                Ok(()) => looks += 1,
                Err(e) => break e,
            }
        };
        assert_eq!(error.to_string(), "late after look 16");
        assert_eq!(begun.elapsed(), LIMIT);
        assert!(wait.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_job_waits_no_longer() {
        let (wait, begun) = begin();
        wait.cancel.cancel();
        let cancelled = wait.pause(|| "late".into()).await;
        assert!(matches!(cancelled, Err(StepError::Cancelled)));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
