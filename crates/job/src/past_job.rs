//! Jobs as the journal remembers them: those of other consoles and of the command line too.

use std::time::Duration;

use jiff::Timestamp;

use super::event::JobOutcome;
use matou_base::text::SafeText;

/// A job that the journal tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastJob {
    /// What it was, in a few words.
    pub title: SafeText,
    /// Who began it.
    pub operator: SafeText,
    /// When.
    pub began: Timestamp,
    /// How long it took; `None`: no end of it is known.
    pub took: Option<Duration>,
    /// How it ended; `None` as above.
    pub outcome: Option<JobOutcome>,
    /// The last lines of its output.
    pub output: Vec<SafeText>,
    /// What ran on the nodes meanwhile, the oldest first.
    pub commands: Vec<PastCommand>,
}

/// A command that the journal tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastCommand {
    /// When it ended.
    pub at: Timestamp,
    /// Where it ran.
    pub node: SafeText,
    /// The command, secrets removed.
    pub command: SafeText,
    /// How long it took.
    pub took: Duration,
    /// Its exit code, or why there is none.
    pub result: Result<i32, SafeText>,
}
