//! What git's index and state have of the operator's: a version of a file that he staged and that is in no commit, and
//! work of his into which nothing is committed.

use matou_i18n::{Text, both, tr};
use std::collections::BTreeMap;
use std::path::Path;

use super::error::HistoryError;
use super::git::Git;
use super::open_secrets::find_open_secrets;

/// An index beside the operator's, from which a commit is made.
const OWN_INDEX: &str = "matou-index";

/// Files in the repository's own folder that are there while something is under way.
const UNDER_WAY: [(&str, Text); 5] = [
    ("MERGE_HEAD", both!("a merge")),
    ("rebase-merge", both!("a rebase")),
    ("rebase-apply", both!("a rebase")),
    ("CHERRY_PICK_HEAD", both!("a cherry-pick")),
    ("REVERT_HEAD", both!("a revert")),
];

/// Returns why nothing is to be committed into the repository now: a commit would become a part of what the operator
/// is doing there, or be on no branch.
pub(super) async fn find_obstacle(git: &Git) -> Result<Option<String>, HistoryError> {
    let own = git.own_folder().await?;
    for (name, what) in UNDER_WAY {
        if own.join(name).exists() {
            return Ok(Some(tr!(
                "{} is under way in its repository: finish or abort it",
                what.get()
            )));
        }
    }
    let branch = git.call(&["symbolic-ref", "--quiet", "HEAD"], b"").await?;
    Ok((branch.code != 0).then(|| {
        tr!("no branch is checked out in its repository (HEAD is detached): check one out")
            .to_owned()
    }))
}

/// Commits what the index holds of some files, and nothing else of it; the index and the files stay as they are.
/// Returns those that must not be in a history, and why.
pub(super) async fn commit_staged(
    git: &Git,
    names: &[&str],
    message: &str,
) -> Result<BTreeMap<String, String>, HistoryError> {
    let (mut entries, mut refused) = (Vec::new(), BTreeMap::new());
    for name in names {
        // `MODE ID STAGE<TAB>NAME<NUL>`, which `update-index --index-info` takes.
        let list = ["ls-files", "--stage", "-z", "--full-name", "--", *name];
        let entry = git.run(&list, b"").await?;
        match find_staged_fault(git, name, &entry).await? {
            Some(why) => {
                refused.insert((*name).to_owned(), why);
            }
            None => entries.extend(entry),
        }
    }
    if !entries.is_empty() {
        let index = std::path::absolute(git.own_path(OWN_INDEX).await?);
        let index = index.map_err(|e| HistoryError::Other(e.to_string()))?;
        let done = commit_entries(git, &index, &entries, message).await;
        let _ = std::fs::remove_file(&index);
        done?;
    }
    Ok(refused)
}

/// Returns why a staged version has no place in a history.
async fn find_staged_fault(
    git: &Git,
    name: &str,
    entry: &[u8],
) -> Result<Option<String>, HistoryError> {
    let entry = String::from_utf8_lossy(entry).into_owned();
    let mut fields = entry.split([' ', '\t']);
    let (mode, id) = (fields.next(), fields.next());
    let (true, Some(id)) = (mode.is_some_and(|m| m.starts_with("100")), id) else {
        return Ok(Some(
            tr!("what is staged of it is no plain file").to_owned(),
        ));
    };
    let content = git.run(&["cat-file", "blob", id], b"").await?;
    let found = find_open_secrets(name, &String::from_utf8_lossy(&content));
    Ok((!found.is_empty()).then(|| {
        tr!(
            "another version of it is staged, which holds in the open what looks like a secret ({})",
            found.join(", ")
        )
    }))
}

async fn commit_entries(
    git: &Git,
    index: &Path,
    entries: &[u8],
    message: &str,
) -> Result<(), HistoryError> {
    let aside = git.with_index(index);
    let head = git
        .call(&["rev-parse", "--verify", "--quiet", "HEAD"], b"")
        .await?;
    // Empty before the first commit.
    let head = head.text().trim().to_owned();
    let from = match head.as_str() {
        "" => "--empty",
        head => head,
    };
    aside.run(&["read-tree", from], b"").await?;
    let update = ["update-index", "-z", "--index-info"];
    aside.run(&update, entries).await?;
    let tree = aside.run(&["write-tree"], b"").await?;
    let mut commit = git.identity_options().await?;
    let tree = String::from_utf8_lossy(&tree).trim().to_owned();
    commit.extend(["commit-tree".to_owned(), tree]);
    if !head.is_empty() {
        commit.extend(["-p".to_owned(), head.clone()]);
    }
    let made = git.run(&commit, message.as_bytes()).await?;
    let made = String::from_utf8_lossy(&made).trim().to_owned();
    git.run(
        &["update-ref", "-m", "commit: matou", "HEAD", &made, &head],
        b"",
    )
    .await?;
    Ok(())
}
