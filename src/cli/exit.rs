//! What the exit codes mean.

use std::process::ExitCode;

use color_eyre::eyre::Report;

use crate::own_log::LogError;
use matou_backup::BackupError;
use matou_base::text::InvalidInput;
use matou_collect::CollectError;
use matou_config::ConfigError;
use matou_docker::DockerError;
use matou_edge::EdgeError;
use matou_host::HostError;
use matou_model::{NodeProblem, NodeProblemKind};
use matou_ops::OpsError;
use matou_stack::StackError;

/// Returns the text at the end of `matou --help`.
pub(crate) fn exit_help() -> String {
    let codes = Exit::ALL.map(|exit| format!("{} {}", exit as u8, exit.meaning()));
    format!("Exit codes: {}", codes.join(" · "))
}

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went well.
    Done = 0,
    /// Something failed.
    Failed = 1,
    /// Also clap's own exit code.
    Usage = 2,
    /// A plan needs a confirmation that was not given.
    NotConfirmed = 3,
    /// The fleet gave no answer.
    Unreachable = 4,
    /// 128 + SIGINT, as a shell reports it.
    Cancelled = 130,
    /// 128 + SIGPIPE, as a shell reports it of other programs: `head` has its lines.
    OutputClosed = 141,
}

impl Exit {
    /// All of them, in their order.
    pub const ALL: [Self; 7] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::NotConfirmed,
        Self::Unreachable,
        Self::Cancelled,
        Self::OutputClosed,
    ];

    /// Says what it means.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, or nothing to do",
            Self::Failed => "it failed",
            Self::Usage => "wrong usage or configuration",
            Self::NotConfirmed => "not confirmed (a script passes --yes)",
            Self::Unreachable => "the fleet can't be reached",
            Self::Cancelled => "cancelled",
            Self::OutputClosed => "what reads the output has ended, as `head` does",
        }
    }

    /// Returns the exit code for an error that reached main.
    pub fn of(report: &Report) -> Self {
        let unreachable = report
            .downcast_ref::<OpsError>()
            .is_some_and(OpsError::is_unreachable)
            || report
                .downcast_ref::<CollectError>()
                .is_some_and(CollectError::is_unreachable)
            || report
                .downcast_ref::<EdgeError>()
                .is_some_and(EdgeError::is_unreachable)
            || report
                .downcast_ref::<BackupError>()
                .is_some_and(BackupError::is_unreachable)
            || report
                .downcast_ref::<DockerError>()
                .is_some_and(DockerError::is_unreachable)
            || report
                .downcast_ref::<HostError>()
                .is_some_and(HostError::is_unreachable);
        let bad_filter = matches!(report.downcast_ref(), Some(LogError::Filter(_)));
        let bad_argument = report.downcast_ref::<InvalidInput>().is_some()
            || report
                .downcast_ref::<OpsError>()
                .is_some_and(OpsError::is_usage);
        let bad_argument = bad_argument
            || report
                .downcast_ref::<StackError>()
                .is_some_and(StackError::is_usage)
            || report
                .downcast_ref::<CollectError>()
                .is_some_and(CollectError::is_usage)
            || matches!(report.downcast_ref(), Some(BackupError::Input(_)));
        let bad_config = report.downcast_ref::<ConfigError>().is_some();
        if bad_filter || bad_argument || bad_config {
            Self::Usage
        } else if unreachable {
            Self::Unreachable
        } else {
            Self::Failed
        }
    }
}

impl Exit {
    /// Returns the exit code for what nodes answered: what is absent there is no failure, and the fleet
    /// is out of reach only where no node answered.
    pub fn of_nodes<'a>(problems: impl Iterator<Item = Option<&'a NodeProblem>>) -> Self {
        let kinds: Vec<_> = problems.map(|p| p.map(|p| p.kind)).collect();
        let is_unreachable = |kind: &Option<_>| *kind == Some(NodeProblemKind::Unreachable);
        match kinds.as_slice() {
            all if !all.is_empty() && all.iter().all(is_unreachable) => Self::Unreachable,
            all if all
                .iter()
                .all(|k| matches!(k, None | Some(NodeProblemKind::Absent))) =>
            {
                Self::Done
            }
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
