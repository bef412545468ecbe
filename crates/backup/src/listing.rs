//! What is in a snapshot: folders one at a time, a search, the beginning of a file, what differs
//! between two. Everything is read line by line and bounded: a snapshot of a million files fills
//! no memory.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::path::Path;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::error::BackupError;
use super::messages::{DiffChange, DiffStatistics, LsNode};
use super::restic::Restic;
use matou_host::{HostError, OutputStream};
use matou_model::{
    DifferenceKind, EntryKind, FilePreview, MAX_LISTED, SnapshotChanges, SnapshotEntry,
    SnapshotListing,
};

/// Paths that a search shows.
const FOUND: usize = 1000;

/// Differing paths that are kept.
const DIFFERING: usize = 2000;

/// Bytes of a file that are shown.
const HEAD: usize = 64 << 10;

/// Lines of an error that are kept.
const SAID: usize = 60;

/// How many files there are, and how many bytes they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileTotals {
    /// Number of files.
    pub files: u64,
    /// Sum of their sizes.
    pub bytes: u64,
}

impl FileTotals {
    fn add_node(&mut self, node: &CountedNode<'_>) {
        if node.kind == "file" {
            self.files += 1;
            self.bytes += node.size;
        }
    }
}

impl std::iter::Sum for FileTotals {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            files: a.files + b.files,
            bytes: a.bytes + b.bytes,
        })
    }
}

/// What [`for_each_line`] does after a line.
enum ReadOn {
    More,
    /// Enough was read: the command is ended.
    Enough,
}

/// Runs a call of restic and hands each line of its output to `take`, until that has read enough.
async fn for_each_line(
    restic: &Restic,
    args: &[&str],
    cancel: &CancellationToken,
    mut take: impl FnMut(&[u8]) -> ReadOn,
) -> Result<(), BackupError> {
    let (lines, mut arriving) = mpsc::channel::<(OutputStream, Vec<u8>)>(256);
    let enough = cancel.child_token();
    let reading = async {
        let mut said: Vec<String> = Vec::new();
        while let Some((stream, line)) = arriving.recv().await {
            match stream {
                OutputStream::Stderr => {
                    if said.len() == SAID {
                        said.remove(0);
                    }
                    said.push(String::from_utf8_lossy(&line).into_owned());
                }
                _ => {
                    if let ReadOn::Enough = take(&line) {
                        enough.cancel();
                        break;
                    }
                }
            }
        }
        said.join("\n")
    };
    let (code, said) = tokio::join!(restic.stream_lines(args, lines, &enough), reading);
    match code {
        // What was wanted has been read.
        _ if enough.is_cancelled() && !cancel.is_cancelled() => Ok(()),
        // 0.14 tells some failures with 0.
        Ok(0) if !said.contains("no matching ID found") => Ok(()),
        Ok(code) => Err(restic.error_of_exit(args, code.max(1), &said)),
        Err(e) => Err(e),
    }
}

/// One node of `ls --json`; `None` for its first line.
fn parse_ls_node(line: &[u8]) -> Option<LsNode> {
    serde_json::from_slice(line).ok()
}

fn entry_from_node(node: LsNode) -> SnapshotEntry {
    let kind = match node.kind.as_str() {
        "dir" => EntryKind::Folder,
        "file" => EntryKind::File,
        "symlink" => EntryKind::Link,
        _ => EntryKind::Other,
    };
    SnapshotEntry {
        kind,
        path: node.path,
        size: node.size,
        modified: node.mtime,
        mode: node.mode & 0o777,
        uid: node.uid,
        gid: node.gid,
    }
}

/// The entries of one folder of a snapshot.
///
/// # Errors
/// Why restic could not list it; [`BackupError::NothingThere`] when there is no such folder.
pub async fn list_snapshot_folder(
    restic: &Restic,
    snapshot: &str,
    path: &str,
    cancel: &CancellationToken,
) -> Result<SnapshotListing, BackupError> {
    let mut listing = SnapshotListing::default();
    let mut there = false;
    let args = ["ls", "--json", "--no-lock", snapshot, path];
    for_each_line(restic, &args, cancel, |line| {
        if listing.entries.len() < MAX_LISTED {
            match parse_ls_node(line) {
                // The folder itself comes first.
                Some(node) if node.path == path => there = true,
                Some(node) => listing.entries.push(entry_from_node(node)),
                None => {}
            }
        } else {
            listing.left_out += 1;
        }
        ReadOn::More
    })
    .await?;
    if !there && listing.entries.is_empty() {
        return Err(BackupError::NothingThere(tr!(
            "{path} is not in the snapshot {}",
            snapshot.get(..8).unwrap_or(snapshot)
        )));
    }
    sort_entries(&mut listing.entries);
    Ok(listing)
}

/// Folders first, then by name.
fn sort_entries(entries: &mut [SnapshotEntry]) {
    entries.sort_by(|a, b| {
        let folder = |e: &SnapshotEntry| e.kind != EntryKind::Folder;
        folder(a).cmp(&folder(b)).then_with(|| a.path.cmp(&b.path))
    });
}

/// Everything whose path holds `text`, whatever the case.
///
/// # Errors
/// Why restic could not list the snapshot.
pub async fn search_snapshot(
    restic: &Restic,
    snapshot: &str,
    text: &str,
    cancel: &CancellationToken,
) -> Result<SnapshotListing, BackupError> {
    let wanted = text.trim().to_lowercase();
    let mut listing = SnapshotListing::default();
    let args = ["ls", "--json", "--no-lock", snapshot];
    for_each_line(restic, &args, cancel, |line| {
        let Some(node) = parse_ls_node(line) else {
            return ReadOn::More;
        };
        if node.path.to_lowercase().contains(&wanted) {
            match listing.entries.len() < FOUND {
                true => listing.entries.push(entry_from_node(node)),
                false => listing.left_out += 1,
            }
        }
        ReadOn::More
    })
    .await?;
    Ok(listing)
}

/// The fields of a node that counting needs: a million nodes have to be read quickly.
#[derive(serde::Deserialize)]
struct CountedNode<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    path: std::borrow::Cow<'a, str>,
    #[serde(default)]
    size: u64,
}

/// Counts files and bytes at paths of a snapshot, with all that is below them.
///
/// # Errors
/// Why restic could not list them; [`BackupError::NothingThere`] when one of them is not there.
pub async fn count_files_at(
    restic: &Restic,
    snapshot: &str,
    paths: &[&str],
    cancel: &CancellationToken,
) -> Result<FileTotals, BackupError> {
    let mut size = FileTotals::default();
    let mut missing: Vec<&str> = paths.to_vec();
    let mut args = vec!["ls", "--json", "--no-lock", "--recursive", snapshot];
    args.extend(paths);
    for_each_line(restic, &args, cancel, |line| {
        if let Ok(node) = serde_json::from_slice::<CountedNode<'_>>(line) {
            missing.retain(|path| *path != node.path);
            size.add_node(&node);
        }
        ReadOn::More
    })
    .await?;
    match missing.first() {
        None => Ok(size),
        Some(path) => Err(BackupError::NothingThere(tr!(
            "{path} is not in the snapshot {}",
            snapshot.get(..8).unwrap_or(snapshot)
        ))),
    }
}

/// Counts files and bytes at each of these paths of a snapshot. None may lie in another; paths that
/// are not there are left out.
///
/// # Errors
/// Why restic could not list them.
pub async fn count_files_by_path(
    restic: &Restic,
    snapshot: &str,
    paths: &[String],
    cancel: &CancellationToken,
) -> Result<BTreeMap<String, FileTotals>, BackupError> {
    let mut found: Vec<Option<FileTotals>> = vec![None; paths.len()];
    let mut args = vec!["ls", "--json", "--no-lock", "--recursive", snapshot];
    args.extend(paths.iter().map(String::as_str));
    for_each_line(restic, &args, cancel, |line| {
        if let Ok(node) = serde_json::from_slice::<CountedNode<'_>>(line) {
            let at = Path::new(&*node.path);
            let holds = |path: &String| at.starts_with(path);
            if let Some(size) = paths.iter().position(holds).map(|n| &mut found[n]) {
                size.get_or_insert_default().add_node(&node);
            }
        }
        ReadOn::More
    })
    .await?;
    let found = paths.iter().cloned().zip(found);
    Ok(found.filter_map(|(p, size)| Some((p, size?))).collect())
}

/// The beginning of a file.
///
/// # Errors
/// Why restic could not read it.
pub async fn preview_file(
    restic: &Restic,
    snapshot: &str,
    path: &str,
    cancel: &CancellationToken,
) -> Result<FilePreview, BackupError> {
    let mut preview = FilePreview::default();
    let args = ["dump", "--no-lock", snapshot, path];
    for_each_line(restic, &args, cancel, |line| {
        preview.head.extend_from_slice(line);
        preview.head.push(b'\n');
        if preview.head.len() > HEAD {
            preview.head.truncate(HEAD);
            preview.cut = true;
            return ReadOn::Enough;
        }
        ReadOn::More
    })
    .await?;
    Ok(preview)
}

/// The whole of a small file; `None` when the snapshot has no such file.
///
/// # Errors
/// Why restic could not read it.
pub async fn read_small_file(
    restic: &Restic,
    snapshot: &str,
    path: &str,
) -> Result<Option<Vec<u8>>, BackupError> {
    match restic.run(&["dump", "--no-lock", snapshot, path]).await {
        Ok(out) => Ok(Some(out.stdout)),
        Err(BackupError::NothingThere(_)) => Ok(None),
        Err(e) if e.to_string().contains("not found in snapshot") => Ok(None),
        Err(e) => Err(e),
    }
}

/// How two snapshots differ.
///
/// # Errors
/// Why restic could not compare them.
pub async fn diff_snapshots(
    restic: &Restic,
    older: &str,
    newer: &str,
    cancel: &CancellationToken,
) -> Result<SnapshotChanges, BackupError> {
    let mut changes = SnapshotChanges::default();
    let args = ["diff", "--json", "--no-lock", "--metadata", older, newer];
    for_each_line(restic, &args, cancel, |line| {
        add_diff_line(&mut changes, line);
        ReadOn::More
    })
    .await?;
    Ok(changes)
}

/// Lists paths that differ between two snapshots; those of folders end in a slash. Returns `None`
/// when there are more than `most`.
///
/// # Errors
/// Why restic could not compare them.
pub async fn list_differing_paths(
    restic: &Restic,
    older: &str,
    newer: &str,
    most: usize,
    cancel: &CancellationToken,
) -> Result<Option<Vec<(DifferenceKind, String)>>, BackupError> {
    let mut paths = Vec::new();
    let args = ["diff", "--json", "--no-lock", "--metadata", older, newer];
    for_each_line(restic, &args, cancel, |line| {
        if let Ok(change) = serde_json::from_slice::<DiffChange>(line) {
            paths.push((difference_kind(&change), change.path));
        }
        match paths.len() > most {
            true => ReadOn::Enough,
            false => ReadOn::More,
        }
    })
    .await?;
    Ok((paths.len() <= most).then_some(paths))
}

/// Finds the entries of a snapshot that have these paths.
///
/// # Errors
/// Why restic could not list it.
pub async fn find_entries(
    restic: &Restic,
    snapshot: &str,
    paths: &[&str],
    cancel: &CancellationToken,
) -> Result<Vec<SnapshotEntry>, BackupError> {
    let mut found = Vec::new();
    let args = ["ls", "--json", "--no-lock", snapshot];
    for_each_line(restic, &args, cancel, |line| {
        if let Some(node) = parse_ls_node(line)
            && paths.contains(&node.path.as_str())
        {
            found.push(entry_from_node(node));
        }
        ReadOn::More
    })
    .await?;
    Ok(found)
}

fn difference_kind(change: &DiffChange) -> DifferenceKind {
    match change.modifier.chars().next() {
        Some('+') => DifferenceKind::Added,
        Some('-') => DifferenceKind::Removed,
        Some('M' | 'T') => DifferenceKind::Modified,
        _ => DifferenceKind::Metadata,
    }
}

fn add_diff_line(changes: &mut SnapshotChanges, line: &[u8]) {
    if let Ok(change) = serde_json::from_slice::<DiffChange>(line) {
        let how = difference_kind(&change);
        // Folders are told with a slash at their end; they count as what is in them.
        if !change.path.ends_with('/') {
            match how {
                DifferenceKind::Added => changes.added += 1,
                DifferenceKind::Removed => changes.removed += 1,
                DifferenceKind::Modified => changes.modified += 1,
                DifferenceKind::Metadata => {}
            }
        }
        if changes.paths.len() < DIFFERING {
            changes.paths.push((how, change.path));
        }
    } else if let Ok(all) = serde_json::from_slice::<DiffStatistics>(line) {
        changes.bytes_added = all.added.bytes;
        changes.bytes_removed = all.removed.bytes;
    }
}

/// Escapes a path so that restic's `--include` takes it literally: `[`, `*`, `?` and `\` are its
/// pattern characters (Go's path/filepath.Match), and `$` begins a variable.
pub fn escape_include_pattern(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 4);
    for c in path.chars() {
        if matches!(c, '[' | ']' | '*' | '?' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Whether an error only says that the call was ended because nobody wants it any more.
pub fn is_cancelled(error: &BackupError) -> bool {
    matches!(error, BackupError::Host(HostError::Cancelled { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_changes_of_restic_0_14_are_read() {
        let line = br#"{"name":"a[1].txt","type":"file","path":"/d/a[1].txt","uid":999,"gid":998,"size":2,"mode":420,"permissions":"-rw-r--r--","mtime":"2026-11-24T12:30:10.15Z","struct_type":"node"}"#;
        let read = entry_from_node(parse_ls_node(line).unwrap());
        assert_eq!((read.kind, read.size), (EntryKind::File, 2));
        assert_eq!((read.mode, read.uid, read.name()), (0o644, 999, "a[1].txt"));
        // A folder of Go's mode, with the directory bit set.
        let line =
            br#"{"name":"d","type":"dir","path":"/d","mode":2147484141,"struct_type":"node"}"#;
        assert_eq!(entry_from_node(parse_ls_node(line).unwrap()).mode, 0o755);
        assert!(parse_ls_node(br#"{"time":"x","struct_type":"snapshot"}"#).is_none());
        let mut changes = SnapshotChanges::default();
        for line in [
            &br#"{"message_type":"change","path":"/d/b/","modifier":"+"}"#[..],
            br#"{"message_type":"change","path":"/d/a","modifier":"-"}"#,
            br#"{"message_type":"change","path":"/d/f1","modifier":"M"}"#,
            br#"{"message_type":"change","path":"/d/f2","modifier":"U"}"#,
            br#"{"message_type":"statistics","changed_files":1,"added":{"files":1,"bytes":2057},"removed":{"files":1,"bytes":2054}}"#,
            b"no json",
        ] {
            add_diff_line(&mut changes, line);
        }
        assert_eq!(
            (changes.added, changes.removed, changes.modified),
            (0, 1, 1)
        );
        assert_eq!((changes.bytes_added, changes.bytes_removed), (2057, 2054));
        assert_eq!(changes.paths.len(), 4);
        assert_eq!(changes.paths[3].0, DifferenceKind::Metadata);
    }

    #[test]
    fn patterns_are_taken_literally() {
        assert_eq!(escape_include_pattern("/d/a[1]*?\\x"), r"/d/a\[1\]\*\?\\x");
        assert_eq!(escape_include_pattern("/d/日本 x"), "/d/日本 x");
    }
}
