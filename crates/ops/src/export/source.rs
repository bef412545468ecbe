//! Where the bytes of an archive come from.

use matou_host::{Command, shell_script};

/// Prints a file of a volume: a regular one, reached through no link.
pub(super) const READ_PLAIN_FILE: &str =
    shell_script(include_str!("../../scripts/print_plain_file.sh"));

/// Where bytes come from.
pub(super) enum ExportSource {
    /// A command on the storage node.
    Node(Command),
    /// Arguments of restic.
    Snapshot(Vec<String>),
}
