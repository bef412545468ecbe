//! What goes wrong with the fleet folder.

use matou_i18n::tr;
use std::path::PathBuf;

use matou_base::text::SafeText;

/// Why a file of the fleet folder, or its history, can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A file can't be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
    /// Git is not installed, or can't be started.
    #[error("{}", tr!("git can't be started: {_0}; install it, or take `git = true` out of [fleet]"))]
    NoGit(std::io::Error),
    /// Git ended with a failure.
    #[error("{}", tr!("`git {command}` failed (exit code {code}): {said}"))]
    Git {
        /// Its arguments.
        command: String,
        /// -1 when a signal ended it.
        code: i32,
        /// Its last lines.
        said: SafeText,
    },
    /// Git did not end in time.
    #[error("{}", tr!("`git {_0}` did not end within {_1} s"))]
    TimedOut(String, u64),
    /// Another matou writes into the folder.
    #[error("{}", tr!("another matou is writing into {}", _0.display()))]
    Locked(PathBuf),
    /// One sentence.
    #[error("{0}")]
    Other(String),
}

impl HistoryError {
    /// Returns what makes the system's error one of this file.
    pub(crate) fn of_file(path: &std::path::Path) -> impl Fn(std::io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File {
            path: path.clone(),
            error,
        }
    }
}
