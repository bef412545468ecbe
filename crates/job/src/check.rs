//! What a step found, line by line, and why it failed.

use matou_i18n::tr;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::lock::LockError;
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
    /// Whether it is as it should be and nothing is to be said of it: what may be counted instead of shown.
    pub fn is_settled(&self) -> bool {
        self.kind == ChangeKind::Same && self.warning.is_none()
    }
    /// Returns the sign in front of the line: that of its kind, but `!` where nothing is changed and there
    /// is a warning, which would be passed over behind a `=`.
    pub fn line_sign(&self) -> char {
        match self.kind {
            ChangeKind::Same if !self.is_settled() => ChangeKind::Decide.sign(),
            kind => kind.sign(),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.line_sign(), self.what)?;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => f.write_str(&tr!(": {old} → {new}"))?,
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
    #[error("{}", tr!("cancelled"))]
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

impl From<LockError> for StepError {
    fn from(error: LockError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl StepError {
    /// A failure told in one sentence that says what to do.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    /// Returns whether it ended because the job was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(
            self,
            Self::Cancelled | Self::Host(HostError::Cancelled { .. })
        )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_not_passed_over_as_unchanged() {
        let same = Change::same("data of shop");
        assert!(same.is_settled());
        assert_eq!(same.to_string(), "= data of shop");
        let warned = same.with_warning("it is not backed up");
        assert!(!warned.is_settled());
        assert_eq!(warned.to_string(), "! data of shop (it is not backed up)");
        // It asks for nothing: there is nothing to do.
        assert!(matches!(Check::from_changes(vec![warned]), Check::Done(_)));
        let lost = Change::remove("volume shop_db").with_warning("all that it holds is lost");
        assert_eq!(lost.line_sign(), '-');
    }
}
