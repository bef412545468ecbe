//! Which failed changes are worth another try.

use super::DockerError;

/// How often a change is tried again on a fresh description when somebody else was faster.
const SEQUENCE_RETRIES: usize = 20;

/// How much longer is waited before each of them than before the last: somebody may change the same all the time.
const SEQUENCE_WAIT: std::time::Duration = std::time::Duration::from_millis(5);

/// How often a change is tried again while the managers have no leader: an election takes a few
/// seconds.
const LEADER_RETRIES: usize = 15;

/// Returns whether a failed change is worth another try; waits a second for a leader where there is
/// none, a moment where somebody else was faster.
pub(super) async fn wait_for_retry(error: &DockerError, tries: &mut usize) -> bool {
    *tries += 1;
    if error.is_without_leader() && *tries <= LEADER_RETRIES {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        return true;
    }
    let again = error.is_out_of_sequence() && *tries <= SEQUENCE_RETRIES;
    if again {
        tokio::time::sleep(SEQUENCE_WAIT * u32::try_from(*tries).unwrap_or(1)).await;
    }
    again
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &str) -> DockerError {
        DockerError::Api {
            node: "n1".into(),
            status: 500,
            message: message.into(),
        }
    }

    /// The first are an engine's own words, when another manager was restarted.
    #[tokio::test]
    async fn a_change_is_tried_again_where_that_helps() {
        let led = said(
            "rpc error: code = Unknown desc = raft: failed to process the request: node lost leader status",
        );
        let mut tries = LEADER_RETRIES - 1;
        assert!(wait_for_retry(&led, &mut tries).await);
        assert!(!wait_for_retry(&led, &mut tries).await);
        let faster = said("rpc error: code = Unknown desc = update out of sequence");
        let mut tries = 0;
        while wait_for_retry(&faster, &mut tries).await {}
        assert_eq!(tries, SEQUENCE_RETRIES + 1);
        assert!(!wait_for_retry(&said("no such image"), &mut 0).await);
    }
}
