//! The fleet folder: config.toml, `apps/` and `stacks/`, written whole or not at all and, where config.toml
//! says `[fleet] git = true`, kept in git.
//!
//! Each change through matou is a commit of the files that it changed, and of nothing else. What the
//! operator has edited meanwhile is never part of it: an edit of a file that is about to be written gets a
//! commit of its own before, what is staged of such a file too, and other files, and what is staged of them, stay as
//! they are. An edit that no commit can take is kept beside the file. Nothing is committed while a merge, a rebase or
//! the like is under way, or on no branch.

matou_i18n::catalogue!();

mod command_secrets;
mod error;
mod folder;
mod git;
mod open_secrets;
mod own_writes;
mod revisions;
mod secret_words;
mod staged;

pub use error::HistoryError;
pub use folder::{FileChange, FleetFolder, Reason};
pub use open_secrets::{find_open_secrets, is_secret_value};
pub use revisions::{FolderFile, Revision};
