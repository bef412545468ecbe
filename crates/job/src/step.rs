//! A step of a job: what is checked, changed and verified on one node.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::context::StepContext;
use matou_base::text::SafeText;
use matou_docker::DockerError;
use matou_host::HostError;

/// How a plan's line reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// `=` as it should be.
    Same,
    /// `+` to be made.
    Add,
    /// `~` to be changed, old → new.
    Modify,
    /// `-` to be removed.
    Remove,
    /// `!` needs a decision: the plan can't be applied before it is taken.
    Decide,
}

impl ChangeKind {
    /// The sign in front of the line.
    pub fn sign(self) -> char {
        match self {
            Self::Same => '=',
            Self::Add => '+',
            Self::Modify => '~',
            Self::Remove => '-',
            Self::Decide => '!',
        }
    }
}

/// One line of a plan; what it says is text that is safe to show, whatever it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Whether something comes, goes, changes or is to be decided.
    pub kind: ChangeKind,
    /// What it is about.
    pub what: SafeText,
    /// The value that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<SafeText>,
    /// The value that will be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<SafeText>,
    /// Why it is dangerous, or what will be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<SafeText>,
    /// For `!`: what the operator types to accept it; a decision without can only be taken by
    /// changing the fleet or config.toml.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<String>,
}

impl Change {
    fn of(kind: ChangeKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: SafeText::from_line(what.into()),
            old: None,
            new: None,
            warning: None,
            accept: None,
        }
    }
    /// `= what`
    pub fn same(what: impl Into<String>) -> Self {
        Self::of(ChangeKind::Same, what)
    }
    /// `+ what`
    pub fn add(what: impl Into<String>) -> Self {
        Self::of(ChangeKind::Add, what)
    }
    /// `~ what: old → new`
    pub fn modify(what: impl Into<String>, old: impl Into<String>, new: impl Into<String>) -> Self {
        Self {
            old: Some(SafeText::from_line(old.into())),
            new: Some(SafeText::from_line(new.into())),
            ..Self::of(ChangeKind::Modify, what)
        }
    }
    /// `- what`
    pub fn remove(what: impl Into<String>) -> Self {
        Self::of(ChangeKind::Remove, what)
    }
    /// `! what`
    pub fn decide(what: impl Into<String>) -> Self {
        Self::of(ChangeKind::Decide, what)
    }
    /// `! what`, which the operator accepts by typing `accept`.
    pub fn ask_to_accept(what: impl Into<String>, accept: impl Into<String>) -> Self {
        Self {
            accept: Some(SafeText::from_line(accept.into()).into()),
            ..Self::of(ChangeKind::Decide, what)
        }
    }
    /// Adds why the line is dangerous.
    pub fn with_warning(mut self, warning: impl Into<String>) -> Self {
        self.warning = Some(SafeText::from_line(warning.into()));
        self
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.sign(), self.what)?;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, ": {old} → {new}")?,
            (None, Some(new)) => write!(f, ": {new}")?,
            (Some(old), None) => write!(f, ": {old}")?,
            (None, None) => {}
        }
        match &self.warning {
            Some(warning) => write!(f, " ({warning})"),
            None => Ok(()),
        }
    }
}

/// What a step found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// Nothing to do; the lines say what was found (`=`).
    Done(Vec<Change>),
    /// What `apply` will change.
    Change(Vec<Change>),
    /// Can't be told before an earlier step has run; says what it waits for.
    Unknown(String),
}

impl Check {
    /// Returns `Done` when no line changes anything, else `Change`.
    pub fn from_changes(lines: Vec<Change>) -> Self {
        match lines.iter().all(|l| l.kind == ChangeKind::Same) {
            true => Self::Done(lines),
            false => Self::Change(lines),
        }
    }
}

/// Why a step failed, for the operator.
#[expect(missing_docs, reason = "its sentences say it")]
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("{0}")]
    Failed(String),
    /// A node or its engine gave no answer; the sentence says which.
    #[error("{0}")]
    Unreachable(String),
    #[error("cancelled")]
    Cancelled,
}

impl From<DockerError> for StepError {
    fn from(error: DockerError) -> Self {
        match error.is_unreachable() {
            true => Self::Unreachable(error.to_string()),
            false => Self::Failed(error.to_string()),
        }
    }
}

impl StepError {
    /// A failure told in one sentence that says what to do.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// Returns whether a node or its engine gave no answer.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Host(e) => e.is_unreachable(),
            Self::Unreachable(_) => true,
            Self::Failed(_) | Self::Cancelled => false,
        }
    }
}

/// One thing that should be so on one node.
#[async_trait]
pub trait Step: Send + Sync {
    /// Short and stable: shown in plans, events and the journal.
    fn name(&self) -> String;

    /// How long check, apply and verify may take, each.
    fn timeout(&self) -> Duration {
        Duration::from_secs(300)
    }

    /// How long a cancelled step may take to end what it started on the node.
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
            Check::Unknown(why) => Err(StepError::Failed(format!("could not be verified: {why}"))),
            Check::Change(left) => Err(StepError::Failed(format!(
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
