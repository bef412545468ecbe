//! Small files on hosts, written whole or not at all.

use crate::{Command, shell_script};

const WRITE: &str = shell_script(include_str!("../scripts/write_file.sh"));

/// What becomes of the folder above a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentFolder {
    /// It has to be there.
    Required,
    /// It is made, for root alone.
    Created,
}

/// Returns the command that writes a file in one step, as root: readers see the old or the new content, never a
/// part, also when the connection is cut. `mode` is its permissions, as `0o600`.
pub fn write_file_command(
    path: &str,
    content: Vec<u8>,
    mode: u32,
    folder: ParentFolder,
) -> Command {
    let write = Command::sh(WRITE)
        .arg(path)
        .arg(format!("{mode:o}"))
        .arg(content.len().to_string())
        .stdin(content)
        .sudo();
    match folder {
        ParentFolder::Required => write,
        ParentFolder::Created => write.arg("create"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_incomplete_leaves_the_old_file() {
        use std::io::Write;
        use std::process::Stdio;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("made/a b.json");
        let write = |text: &str, length: usize| {
            let mut shell = std::process::Command::new("sh")
                .args(["-c", WRITE, "sh"])
                .arg(&file)
                .args(["600", &length.to_string(), "create"])
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let input = shell.stdin.take().unwrap().write_all(text.as_bytes());
            let out = shell.wait_with_output().unwrap();
            input.unwrap();
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            (out.status.success(), said)
        };
        let incomplete = (false, "it arrived incomplete\n".to_owned());
        assert_eq!(write("ol", 3), incomplete);
        assert!(!file.exists());
        assert_eq!(write("old", 3), (true, String::new()));
        assert_eq!(write("", 3), incomplete);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
        assert_eq!(write("", 0), (true, String::new()));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "");
        // Nothing else is left beside it.
        let beside = file.parent().unwrap().read_dir().unwrap();
        assert_eq!(beside.count(), 1);
    }
}
