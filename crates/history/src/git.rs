//! Git itself, called in a folder. Nothing of it asks questions, opens an editor or signs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use backon::{ConstantBuilder, Retryable};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::error::HistoryError;
use matou_base::text::SafeText;

/// A hook of the operator's may push.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How long another git that is at work is waited for, seconds: its lock says that it is.
const LOCK_TRIES: usize = 5;

/// Lines of what git said that a failure shows.
const LAST_LINES: usize = 4;

/// What leads git to another repository than that of the folder.
const FOREIGN_VARIABLES: [&str; 7] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

/// Git in a folder.
#[derive(Debug, Clone)]
pub(super) struct Git {
    folder: PathBuf,
    /// In the place of the repository's.
    index: Option<PathBuf>,
}

/// How git ended.
pub(super) struct GitOutput {
    pub code: i32,
    pub stdout: Vec<u8>,
    stderr: Vec<u8>,
    command: String,
}

impl GitOutput {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    fn into_failure(self) -> HistoryError {
        let said = String::from_utf8_lossy(&self.stderr);
        let lines: Vec<&str> = said.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        HistoryError::Git {
            command: self.command,
            code: self.code,
            said: SafeText::from_lines(last.join("\n")),
        }
    }
}

impl Git {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            index: None,
        }
    }

    /// Returns git with another index than the operator's; the path is absolute.
    pub(super) fn with_index(&self, index: &Path) -> Self {
        Self {
            folder: self.folder.clone(),
            index: Some(index.to_owned()),
        }
    }

    /// Returns the options by which a commit has an author, where the operator has not told git who he is.
    pub(super) async fn identity_options(&self) -> Result<Vec<String>, HistoryError> {
        if self.call(&["var", "GIT_COMMITTER_IDENT"], b"").await?.code == 0 {
            return Ok(Vec::new());
        }
        let who = matou_base::operator::operator_name();
        let name = who.split('@').next().unwrap_or_default().to_owned();
        let options = ["-c".into(), format!("user.name={name}")];
        let address = ["-c".into(), format!("user.email={who}")];
        Ok(options.into_iter().chain(address).collect())
    }

    /// Runs git, whatever it ends with.
    pub(super) async fn call<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        input: &[u8],
    ) -> Result<GitOutput, HistoryError> {
        let shown: Vec<_> = arguments
            .iter()
            .map(|a| a.as_ref().to_string_lossy().into_owned())
            .collect();
        let mut command = Command::new("git");
        command
            // File names are file names, with `*` or `:(top)` in them.
            .args(["--literal-pathspecs", "--no-pager", "-C"])
            .arg(&self.folder)
            .args(arguments)
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for name in FOREIGN_VARIABLES {
            command.env_remove(name);
        }
        if let Some(index) = &self.index {
            command.env("GIT_INDEX_FILE", index);
        }
        let mut child = command.spawn().map_err(HistoryError::NoGit)?;
        let mut stdin = child.stdin.take();
        let feed = async move {
            if let Some(stdin) = &mut stdin {
                // Git that ends before it has read all says why.
                let _ = stdin.write_all(input).await;
            }
        };
        let ended = tokio::time::timeout(TIMEOUT, async {
            let ((), output) = tokio::join!(feed, child.wait_with_output());
            output
        });
        let shown = shown.join(" ");
        let Ok(output) = ended.await else {
            return Err(HistoryError::TimedOut(shown, TIMEOUT.as_secs()));
        };
        let output = output.map_err(HistoryError::NoGit)?;
        Ok(GitOutput {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: output.stderr,
            command: shown,
        })
    }

    /// Runs git, which is to end with 0. Another one that is at work in the repository is waited for.
    pub(super) async fn run<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        input: &[u8],
    ) -> Result<Vec<u8>, HistoryError> {
        let once = async || {
            let output = self.call(arguments, input).await?;
            match output.code {
                0 => Ok(output.stdout),
                _ => Err(output.into_failure()),
            }
        };
        let pauses = ConstantBuilder::default()
            .with_delay(Duration::from_secs(1))
            .with_max_times(LOCK_TRIES);
        once.retry(pauses)
            .when(|e| matches!(e, HistoryError::Git { said, .. } if said.as_str().contains(".lock': File exists")))
            .await
    }

    /// Returns where the repository keeps a file of its own, as `.git/NAME`.
    pub(super) async fn own_path(&self, name: &str) -> Result<PathBuf, HistoryError> {
        let path = self.run(&["rev-parse", "--git-path", name], b"").await?;
        let path = String::from_utf8_lossy(&path);
        Ok(self.folder.join(path.trim_end_matches('\n')))
    }

    /// Returns where the repository keeps what is of this work tree alone.
    pub(super) async fn own_folder(&self) -> Result<PathBuf, HistoryError> {
        let path = self.run(&["rev-parse", "--git-dir"], b"").await?;
        let path = String::from_utf8_lossy(&path);
        Ok(self.folder.join(path.trim_end_matches('\n')))
    }

    /// Whether the folder is in a repository with a work tree.
    pub(super) async fn is_repository(&self) -> Result<bool, HistoryError> {
        let found = self
            .call(&["rev-parse", "--is-inside-work-tree"], b"")
            .await?;
        if found.code != 0
            && !String::from_utf8_lossy(&found.stderr).contains("not a git repository")
        {
            // As of another owner: git says how it is allowed.
            return Err(found.into_failure());
        }
        Ok(found.code == 0 && found.text().trim() == "true")
    }
}
