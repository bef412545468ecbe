//! What the exit codes mean.

use std::process::ExitCode;

use color_eyre::eyre::Report;

use crate::config::ConfigError;

/// Text at the end of `matou --help`.
pub const HELP: &str = "Exit codes: 0 done, or nothing to do · 1 it failed · 2 wrong usage or \
configuration · 3 not confirmed (a script passes --yes) · 4 the fleet can't be reached · 130 cancelled";

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    /// Also clap's own exit code.
    Usage = 2,
    NotConfirmed = 3,
    Unreachable = 4,
    /// 128 + SIGINT, as a shell reports it.
    Cancelled = 130,
}

impl Exit {
    /// Returns the exit code for an error that reached main.
    pub fn of(report: &Report) -> Self {
        if report.downcast_ref::<ConfigError>().is_some() {
            Self::Usage
        } else {
            Self::Failed
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
