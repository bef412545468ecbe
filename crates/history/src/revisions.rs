//! Reading the history: which commits changed files, and what files held.

use matou_i18n::tr;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::error::HistoryError;
use super::folder::FleetFolder;
use super::git::Git;
use matou_base::files::MAX_CONFIG_BYTES;
use matou_base::text::SafeText;

/// Most that the files of one revision may hold together, bytes.
const MAX_REVISION_BYTES: u64 = 32 << 20;

/// Separates the fields of a commit.
const FIELD: char = '\u{1f}';

/// What is asked of each commit: id, seconds, author, title, the lines below it.
const FORMAT: &str = "--format=%H%x1f%ct%x1f%an <%ae>%x1f%s%x1f%b";

/// A commit of the fleet folder.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Revision {
    /// Its id, whole.
    pub id: String,
    /// When it was committed.
    pub at: Timestamp,
    /// `Name <address>`.
    pub author: SafeText,
    /// First line of its message.
    pub title: SafeText,
    /// The lines below.
    pub text: SafeText,
}

/// A file of a revision: its name, relative to the folder, and what it held.
pub type FolderFile = (String, Vec<u8>);

impl FleetFolder {
    fn history(&self) -> Result<&Git, HistoryError> {
        self.git.as_ref().ok_or_else(|| {
            HistoryError::Other(
                tr!("no history is kept: `git = true` under [fleet] of config.toml does that")
                    .to_owned(),
            )
        })
    }

    /// Returns the newest commits, at most so many, that changed one of the files or folders; all commits
    /// of the folder when none is named. None are there before the first change.
    ///
    /// # Errors
    /// No history is kept, or git's.
    pub async fn list_revisions(
        &self,
        names: &[&str],
        most: usize,
    ) -> Result<Vec<Revision>, HistoryError> {
        let git = self.history()?;
        if !git.is_repository().await? || !has_commit(git).await? {
            return Ok(Vec::new());
        }
        let most = format!("--max-count={most}");
        let mut log = vec!["log", "-z", FORMAT, &most, "--"];
        match names.is_empty() {
            true => log.push("."),
            false => log.extend(names),
        }
        let text = git.run(&log, b"").await?;
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(text.split('\0').filter_map(parse_commit).collect())
    }

    /// Returns the id of the commit that a revision names: an id or its beginning, `HEAD~2`, a branch or tag.
    ///
    /// # Errors
    /// No history is kept, there is no such commit, or git's.
    pub async fn resolve_revision(&self, revision: &str) -> Result<String, HistoryError> {
        let git = self.history()?;
        let commit = format!("{revision}^{{commit}}");
        let mut arguments = vec!["rev-parse", "--verify", "--quiet", "--end-of-options"];
        arguments.push(&commit);
        let found = git.call(&arguments, b"").await?;
        match found.code {
            0 => Ok(found.text().trim().to_owned()),
            _ => Err(HistoryError::Other(tr!(
                "{revision:?} is no revision of {}: `matou history` lists them",
                self.path().display()
            ))),
        }
    }

    /// Returns the files of a commit below `apps/` and `stacks/`, sorted. Links are left out.
    ///
    /// # Errors
    /// No history is kept, there is no such commit, its files are too large, or git's.
    pub async fn list_files_at(&self, commit: &str) -> Result<Vec<FolderFile>, HistoryError> {
        let git = self.history()?;
        let list = ["ls-tree", "-r", "-l", "-z", commit, "--", "apps", "stacks"];
        let listed = git.run(&list, b"").await?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let mut blobs = Vec::new();
        let mut sum = 0;
        for entry in listed.split('\0').filter(|entry| !entry.is_empty()) {
            // `MODE TYPE ID SIZE<TAB>NAME`
            let Some((head, name)) = entry.split_once('\t') else {
                continue;
            };
            let fields: Vec<&str> = head.split_ascii_whitespace().collect();
            let [mode, "blob", id, size] = fields[..] else {
                continue;
            };
            let size: u64 = size.parse().unwrap_or(u64::MAX);
            if !mode.starts_with("100") || size > MAX_CONFIG_BYTES {
                continue;
            }
            sum += size;
            blobs.push((name.to_owned(), id.to_owned()));
        }
        if sum > MAX_REVISION_BYTES {
            return Err(HistoryError::Other(tr!(
                "apps/ and stacks/ of {commit} hold more than {}",
                matou_base::text::human_bytes(MAX_REVISION_BYTES)
            )));
        }
        let ids: String = blobs.iter().map(|(_, id)| format!("{id}\n")).collect();
        let contents = git.run(&["cat-file", "--batch"], ids.as_bytes()).await?;
        let contents = split_batch(&contents);
        let files = blobs.into_iter().filter_map(|(name, id)| {
            let content = contents.get(&id)?;
            Some((name, content.clone()))
        });
        let mut files: Vec<FolderFile> = files.collect();
        files.sort();
        Ok(files)
    }
}

async fn has_commit(git: &Git) -> Result<bool, HistoryError> {
    let found = git.call(&["rev-parse", "--verify", "--quiet", "HEAD"], b"");
    Ok(found.await?.code == 0)
}

fn parse_commit(text: &str) -> Option<Revision> {
    let mut fields = text.splitn(5, FIELD);
    let id = fields.next()?.trim().to_owned();
    let at = Timestamp::from_second(fields.next()?.parse().ok()?).ok()?;
    Some(Revision {
        id,
        at,
        author: SafeText::from_line(fields.next()?),
        title: SafeText::from_line(fields.next()?),
        text: SafeText::from_lines(fields.next()?.trim_end()),
    })
}

/// Takes apart what `git cat-file --batch` prints: `ID blob SIZE<LF>CONTENT<LF>` for each.
fn split_batch(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        let mut fields = head.split(' ');
        let id = fields.next().unwrap_or_default().to_owned();
        let size = fields.nth(1).and_then(|size| size.parse().ok());
        let Some(size) = size.filter(|size: &usize| rest.len() > end + 1 + size) else {
            break;
        };
        let content = &rest[end + 1..end + 1 + size];
        found.insert(id, content.to_vec());
        rest = &rest[end + 2 + size..];
    }
    found
}
