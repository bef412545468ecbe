//! Limits that count the time in which this program ran.

use std::time::Duration;

use tokio::time::Instant;

/// How closely it is looked at whether the program was stopped.
const TICK: Duration = Duration::from_secs(1);

/// Waits for a time in which the program runs: who stops it (Ctrl-Z, SIGSTOP) and lets it go on later finds
/// the limits of what it waits for as they were. A sleep of tokio would be over at once then, before the
/// answers are read that came meanwhile. (A machine that is suspended stops tokio's clock too.)
pub async fn sleep_awake(time: Duration) {
    let mut left = time;
    while !left.is_zero() {
        let tick = left.min(TICK);
        let begun = Instant::now();
        tokio::time::sleep(tick).await;
        // On a busy machine ticks are late: that is no time in which it was stopped.
        let passed = begun.elapsed().min(TICK * 2);
        left = left.saturating_sub(passed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_limit_waits_while_the_program_is_stopped() {
        let begun = Instant::now();
        sleep_awake(Duration::from_millis(300)).await;
        assert!(begun.elapsed() >= Duration::from_millis(300));
        // Nothing else runs on this thread meanwhile, as if it were stopped.
        let begun = Instant::now();
        let stopped = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            std::thread::sleep(Duration::from_secs(5));
        };
        tokio::join!(sleep_awake(Duration::from_secs(4)), stopped);
        // Two seconds of the five are taken for lateness.
        assert!(begun.elapsed() >= Duration::from_millis(6_900));
    }
}
