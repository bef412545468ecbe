//! Writing into the fleet folder, and the commit that goes with it.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::HistoryError;
use super::git::Git;
use super::open_secrets::find_open_secrets;
use super::own_writes::{OwnWrites, hash_bytes};
use super::staged::{commit_staged, find_obstacle};
use matou_base::files;
use matou_config::Config;

/// How long another matou that writes into the folder is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(20);

/// What is about to be committed: read again by whoever finds that nobody did.
const PENDING: &str = "matou-pending.json";

/// Held while files are written and committed.
const LOCK: &str = "matou.lock";

/// What a new repository keeps: `git add --all` of the operator's takes no key along.
const IGNORED: &str = "# What this history keeps; keys and passwords, which lie beside it, are not in it.\n/*\n!/.gitignore\n!/README*\n!/config.toml\n!/apps/\n!/stacks/\n*.before\n*.moved\n";

/// Folders below `stacks/` that are looked into.
const MAX_DEPTH: usize = 6;

/// A change of a file of the fleet folder. Names are relative to it, as `apps/shop.toml`. With a history, what the
/// operator has edited in the file, and no commit can take, stays as `NAME.before`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileChange {
    /// Written; what matou has written before is in the new content.
    Write {
        /// The file.
        name: String,
        /// All of it.
        content: Vec<u8>,
        /// Permissions, where no secret stands in it in the open.
        mode: u32,
    },
    /// Written over what it held, by a content from elsewhere: what matou wrote, and no commit has, stays so too.
    Replace {
        /// The file.
        name: String,
        /// All of it.
        content: Vec<u8>,
        /// Permissions, where no secret stands in it in the open.
        mode: u32,
    },
    /// Taken away.
    Remove {
        /// The file.
        name: String,
    },
}

impl FileChange {
    /// Returns the file's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Write { name, .. } | Self::Replace { name, .. } | Self::Remove { name } => name,
        }
    }

    /// Returns what it is to hold; `None` when it is to be gone.
    pub fn content(&self) -> Option<&[u8]> {
        match self {
            Self::Write { content, .. } | Self::Replace { content, .. } => Some(content),
            Self::Remove { .. } => None,
        }
    }

    /// Returns its permissions; those of an application's file when it is to be gone.
    pub fn mode(&self) -> u32 {
        match self {
            Self::Write { mode, .. } | Self::Replace { mode, .. } => *mode,
            Self::Remove { .. } => files::READABLE_MODE,
        }
    }
}

/// Why something changes: the message of its commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// One line.
    pub title: String,
    /// More lines, or none.
    pub lines: Vec<String>,
}

impl Reason {
    fn message(&self) -> String {
        let title = matou_base::text::clean_line(&self.title).into_owned();
        match self.lines.is_empty() {
            true => title,
            false => format!("{title}\n\n{}", self.lines.join("\n")),
        }
    }
}

/// What was about to be committed.
#[derive(Serialize, Deserialize)]
struct Pending {
    reason: Reason,
    /// SHA-256 of what each file is to hold; nothing for one that is to be gone.
    files: BTreeMap<String, Option<String>>,
}

/// How a file stands in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// As in the newest commit, or neither there nor here.
    Committed,
    /// Another one than in the newest commit, or in none.
    Edited,
    /// The same, and the index holds a third version.
    Staged,
    /// A conflict in it is not resolved.
    Conflicted,
    /// Git is told to leave it out.
    Ignored,
}

/// The fleet folder.
#[derive(Debug, Clone)]
pub struct FleetFolder {
    path: PathBuf,
    config_name: String,
    pub(super) git: Option<Git>,
}

/// What everybody else may do with a file.
const OF_OTHERS: u32 = 0o007;

impl FleetFolder {
    /// Returns that of a configuration; `None` without a config.toml.
    pub fn of_config(config: &Config) -> Option<Self> {
        let path = config.folder()?;
        let name = config.path.as_deref().and_then(Path::file_name);
        Some(Self {
            config_name: name.map_or_else(String::new, |n| n.to_string_lossy().into_owned()),
            git: config.fleet.git.then(|| Git::in_folder(&path)),
            path,
        })
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its history is kept.
    pub fn keeps_history(&self) -> bool {
        self.git.is_some()
    }

    /// Returns the name of a file of the folder, relative to it; `None` for one elsewhere.
    pub fn name_of(&self, path: &Path) -> Option<String> {
        let name = path.strip_prefix(&self.path).ok()?;
        Some(name.to_string_lossy().into_owned())
    }

    /// Changes files, and makes a commit of it where the history is kept. Returns sentences for the operator:
    /// what is not in the history, and why. That git fails keeps no file from being written.
    ///
    /// # Errors
    /// A file that can't be written or taken away.
    pub async fn change(
        &self,
        changes: &[FileChange],
        reason: &Reason,
    ) -> Result<Vec<String>, HistoryError> {
        changes.iter().try_for_each(|c| self.check_place(c))?;
        let Some(git) = &self.git else {
            self.write_files(changes)?;
            return Ok(Vec::new());
        };
        let mut notes = Vec::new();
        let prepared = self.prepare(git, changes, reason, &mut notes).await;
        if prepared.is_err()
            && self
                .keep_aside_edited(git, changes, &mut notes)
                .await
                .is_err()
        {
            self.keep_aside(changes, &mut notes)?;
        }
        self.write_files(changes)?;
        self.note_own_writes(changes);
        let recorded = match prepared {
            Ok((lock, None)) => {
                let names: Vec<&str> = changes.iter().map(FileChange::name).collect();
                let recorded = self.commit(git, &names, reason, &mut notes).await;
                let pending = git.own_path(PENDING).await;
                if let (Ok(()), Ok(pending)) = (&recorded, pending) {
                    let _ = std::fs::remove_file(pending);
                }
                drop(lock);
                recorded
            }
            Ok((_lock, Some(why))) => Err(HistoryError::Other(why)),
            Err(e) => Err(e),
        };
        if let Err(e) = recorded {
            notes.push(tr!("what changed is not in the history yet: {e}"));
        }
        Ok(notes)
    }

    /// Commits what an interrupted change has written and not committed. Returns whether there was something.
    ///
    /// # Errors
    /// Git's.
    pub async fn finish_interrupted(&self) -> Result<bool, HistoryError> {
        let Some(git) = &self.git else {
            return Ok(false);
        };
        if !git.is_repository().await? {
            return Ok(false);
        }
        let _lock = self.lock(git).await?;
        self.finish_pending(git).await
    }

    /// Whether an interrupted change has written a file and not committed it.
    ///
    /// # Errors
    /// Git's.
    pub async fn is_interrupted(&self, name: &str) -> Result<bool, HistoryError> {
        let Some(git) = &self.git else {
            return Ok(false);
        };
        if !git.is_repository().await? {
            return Ok(false);
        }
        let found = read_pending(&git.own_path(PENDING).await?);
        let here = self.hash_file(name)?;
        Ok(found.is_some_and(|p| p.files.get(name) == Some(&here)))
    }

    /// Returns those of the files that have edits which are in no commit, sorted.
    ///
    /// # Errors
    /// Git's.
    pub async fn list_edited(&self, names: &[&str]) -> Result<Vec<String>, HistoryError> {
        let Some(git) = &self.git else {
            return Ok(Vec::new());
        };
        if !git.is_repository().await? {
            return Ok(Vec::new());
        }
        let standings = self.find_standings(git, names).await?;
        let edited = standings
            .into_iter()
            .filter(|(_, s)| !matches!(s, Standing::Committed | Standing::Ignored));
        Ok(edited.map(|(name, _)| name).collect())
    }

    /// Makes the repository where there is none, finishes what was interrupted, commits what the operator has
    /// edited in the files that will change, and notes what comes. Also returns why nothing is to be committed
    /// now, where that is so.
    async fn prepare(
        &self,
        git: &Git,
        changes: &[FileChange],
        reason: &Reason,
        notes: &mut Vec<String>,
    ) -> Result<(File, Option<String>), HistoryError> {
        if !git.is_repository().await? {
            self.make_repository(git, notes).await?;
        }
        let lock = self.lock(git).await?;
        let obstacle = find_obstacle(git).await?;
        if obstacle.is_none() {
            self.finish_pending(git).await?;
            let names: Vec<&str> = changes.iter().map(FileChange::name).collect();
            let by_hand = Reason {
                title: tr!("{} as edited by hand", names.join(", ")),
                lines: vec![tr!("Before: {}", reason.title)],
            };
            // What is left out for its secrets is told once, of what is written now.
            self.commit(git, &names, &by_hand, &mut Vec::new()).await?;
        }
        self.keep_aside_edited(git, changes, notes).await?;
        self.note_pending(git, changes, reason).await?;
        Ok((lock, obstacle))
    }

    /// Notes what is about to be committed. What could not be committed since an earlier change goes with it.
    async fn note_pending(
        &self,
        git: &Git,
        changes: &[FileChange],
        reason: &Reason,
    ) -> Result<(), HistoryError> {
        let path = git.own_path(PENDING).await?;
        let mut pending = Pending {
            reason: reason.clone(),
            files: BTreeMap::new(),
        };
        if let Some(earlier) = read_pending(&path) {
            let line = tr!("Before: {}", earlier.reason.title);
            pending.reason.lines.push(line);
            pending.files = earlier.files;
        }
        pending.files.extend(changes.iter().map(|change| {
            let hash = change.content().map(hash_bytes);
            (change.name().to_owned(), hash)
        }));
        let text = serde_json::to_vec(&pending).map_err(|e| HistoryError::Other(e.to_string()))?;
        files::write_atomically(&path, &text, files::PRIVATE_MODE)
            .map_err(HistoryError::of_file(&path))
    }

    /// Makes a repository of the folder, whose first commit holds its files as they are.
    async fn make_repository(
        &self,
        git: &Git,
        notes: &mut Vec<String>,
    ) -> Result<(), HistoryError> {
        git.run(&["-c", "init.defaultBranch=main", "init", "--quiet"], b"")
            .await?;
        let ignored = self.path.join(".gitignore");
        if !ignored.exists() {
            files::write_atomically(&ignored, IGNORED.as_bytes(), files::READABLE_MODE)
                .map_err(HistoryError::of_file(&ignored))?;
        }
        let mut names = vec![".gitignore".to_owned(), self.config_name.clone()];
        self.list_files("apps", 0, &mut names);
        self.list_files("stacks", 0, &mut names);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let reason = Reason {
            title: tr!("The fleet's files as they are").to_owned(),
            lines: Vec::new(),
        };
        self.commit(git, &names, &reason, notes).await
    }

    /// Lists the files below a folder: no links, and none whose name begins with a dot.
    fn list_files(&self, folder: &str, depth: usize, into: &mut Vec<String>) {
        let entries = std::fs::read_dir(self.path.join(folder));
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{folder}/{name}");
            match entry.file_type() {
                _ if name.starts_with('.') => {}
                Ok(kind) if kind.is_file() => into.push(path),
                Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => {
                    self.list_files(&path, depth + 1, into);
                }
                _ => {}
            }
        }
    }

    /// Commits those of the files that changed since the newest commit, as they are now; before that, what is
    /// staged of them and would be lost. Files that git ignores or that hold secrets in the open are left out,
    /// which is told.
    async fn commit(
        &self,
        git: &Git,
        names: &[&str],
        reason: &Reason,
        notes: &mut Vec<String>,
    ) -> Result<(), HistoryError> {
        let (mut wanted, mut staged) = (Vec::new(), Vec::new());
        for (name, standing) in self.find_standings(git, names).await? {
            match standing {
                Standing::Committed => {}
                Standing::Ignored => notes.push(tr!("git ignores {name}: it has no history")),
                Standing::Conflicted => {
                    let why = tr!("git has a conflict in it that is not resolved");
                    notes.push(tr!("{name} is not put into the history: {why}"));
                }
                Standing::Edited | Standing::Staged => match self.why_left_out(&name) {
                    None if standing == Standing::Staged => staged.push(name),
                    None => wanted.push(name),
                    Some(why) => notes.push(tr!("{name} is not put into the history: {why}")),
                },
            }
        }
        if !staged.is_empty() {
            let names: Vec<&str> = staged.iter().map(String::as_str).collect();
            let by_hand = Reason {
                title: tr!("{} as staged by hand", names.join(", ")),
                lines: vec![tr!("Before: {}", reason.title)],
            };
            let refused = commit_staged(git, &names, &by_hand.message()).await?;
            staged.retain(|name| !refused.contains_key(name));
            wanted.append(&mut staged);
            for (name, why) in refused {
                notes.push(tr!("{name} is not put into the history: {why}"));
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let mut add = vec!["add", "--"];
        add.extend(wanted.iter().map(String::as_str));
        git.run(&add, b"").await?;
        let mut commit = git.identity_options().await?;
        let options = [
            "commit",
            "--quiet",
            "--no-verify",
            "--no-gpg-sign",
            "--cleanup=whitespace",
            "--only",
            "--file=-",
            "--",
        ];
        commit.extend(options.map(str::to_owned));
        commit.extend(wanted);
        git.run(&commit, reason.message().as_bytes()).await?;
        Ok(())
    }

    /// Returns why a file has no place in a history; `None` when it has one, or is gone.
    fn why_left_out(&self, name: &str) -> Option<String> {
        let path = self.path.join(name);
        match path.symlink_metadata() {
            Err(_) => return None,
            Ok(found) if !found.is_file() => return Some(tr!("it is no plain file").to_owned()),
            Ok(_) => {}
        }
        let text = match files::read_text(&path, files::MAX_CONFIG_BYTES) {
            Ok(text) => text,
            Err(e) => return Some(e.to_string()),
        };
        let found = find_open_secrets(name, &text);
        (!found.is_empty()).then(|| {
            tr!(
                "it holds in the open what looks like a secret ({})",
                found.join(", ")
            )
        })
    }

    /// Returns how each file stands, by name.
    async fn find_standings(
        &self,
        git: &Git,
        names: &[&str],
    ) -> Result<BTreeMap<String, Standing>, HistoryError> {
        let mut standings: BTreeMap<String, Standing> = names
            .iter()
            .map(|name| ((*name).to_owned(), Standing::Committed))
            .collect();
        if names.is_empty() {
            return Ok(standings);
        }
        let mut status = vec![
            "status",
            "--porcelain=v1",
            "-z",
            "--no-renames",
            "--untracked-files=all",
            "--ignored=matching",
            "--",
        ];
        status.extend(names);
        let prefix = git.run(&["rev-parse", "--show-prefix"], b"").await?;
        let prefix = String::from_utf8_lossy(&prefix);
        let prefix = prefix.trim_end_matches('\n');
        let listed = git.run(&status, b"").await?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        // `XY NAME`, from the top of the repository.
        for entry in listed.split('\0').filter(|entry| entry.len() > 3) {
            let (state, name) = entry.split_at(3);
            let Some(name) = name.strip_prefix(prefix) else {
                continue;
            };
            let standing = find_standing(state);
            if let Some(found) = standings.get_mut(name) {
                *found = standing;
            } else if standing != Standing::Ignored {
                // In a folder that was named.
                standings.insert(name.to_owned(), standing);
            } else {
                // A folder that is ignored as a whole.
                for (known, found) in &mut standings {
                    if known.starts_with(name) && name.ends_with('/') {
                        *found = standing;
                    }
                }
            }
        }
        for (name, standing) in &mut standings {
            if *standing == Standing::Ignored && !self.path.join(name).exists() {
                *standing = Standing::Committed;
            }
        }
        Ok(standings)
    }

    /// Sets aside what would be written over or taken away and is in no commit.
    async fn keep_aside_edited(
        &self,
        git: &Git,
        changes: &[FileChange],
        notes: &mut Vec<String>,
    ) -> Result<(), HistoryError> {
        let names: Vec<&str> = changes.iter().map(FileChange::name).collect();
        let standings = self.find_standings(git, &names).await?;
        let edited = changes.iter().filter(|change| {
            standings
                .get(change.name())
                .is_some_and(|s| *s != Standing::Committed)
        });
        self.keep_aside(&edited.cloned().collect::<Vec<_>>(), notes)
    }

    /// Sets aside what would be written over or taken away: all that the operator has edited since matou wrote it,
    /// and whatever a file from elsewhere goes over. In a folder that is in no repository yet, the latter alone.
    fn keep_aside(
        &self,
        changes: &[FileChange],
        notes: &mut Vec<String>,
    ) -> Result<(), HistoryError> {
        let own = OwnWrites::load_noted(&self.path);
        for change in changes {
            let name = change.name();
            let Ok(old) = std::fs::read(self.path.join(name)) else {
                continue;
            };
            let is_kept = matches!(change, FileChange::Replace { .. })
                || own.as_ref().is_some_and(|own| !own.was_written(name, &old));
            if !is_kept || change.content() == Some(old.as_slice()) {
                continue;
            }
            let before = self.copy_aside(name, &old)?;
            let note = tr!("what {name} held is kept as {before}");
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        Ok(())
    }

    /// Copies what a file holds to the first name beside it that is free or holds the same. Returns that name.
    fn copy_aside(&self, name: &str, content: &[u8]) -> Result<String, HistoryError> {
        let mut number = 1_u32;
        loop {
            let before = match number {
                1 => format!("{name}.before"),
                n => format!("{name}.{n}.before"),
            };
            let path = self.path.join(&before);
            if std::fs::read(&path).is_ok_and(|kept| kept == content) {
                return Ok(before);
            }
            if path.symlink_metadata().is_err() {
                let found = self.path.join(name).metadata();
                let mode = found.map_or(files::PRIVATE_MODE, |m| m.permissions().mode() & 0o777);
                let mode = self.find_mode(name, content, mode);
                files::write_atomically(&path, content, mode)
                    .map_err(HistoryError::of_file(&path))?;
                return Ok(before);
            }
            number += 1;
        }
    }

    /// Notes what matou has written, by which an edit is known the next time. Where that fails, more is kept aside
    /// than must be.
    fn note_own_writes(&self, changes: &[FileChange]) {
        if let Some(mut own) = OwnWrites::load_noted(&self.path) {
            for change in changes {
                own.note_write(change.name(), change.content());
            }
            let _ = own.write_down();
        }
    }

    /// Returns the permissions that a content is written with: what holds a secret in the open is for nobody
    /// else, but for a group to which the file belongs already.
    fn find_mode(&self, name: &str, content: &[u8], wanted: u32) -> u32 {
        if find_open_secrets(name, &String::from_utf8_lossy(content)).is_empty() {
            return wanted;
        }
        let there = self.path.join(name).metadata();
        match there.map(|m| m.permissions().mode() & 0o777) {
            Ok(mode) if mode & OF_OTHERS == 0 => mode,
            _ => wanted & 0o700,
        }
    }

    /// Refuses a file that comes from elsewhere, as a revision's, where a folder on the way to it is a link: it
    /// could lead anywhere.
    fn check_place(&self, change: &FileChange) -> Result<(), HistoryError> {
        let FileChange::Replace { name, .. } = change else {
            return Ok(());
        };
        let plain = Path::new(name)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        let folders = Path::new(name).ancestors().skip(1);
        let is_link = |folder: &Path| self.path.join(folder).is_symlink();
        let link = folders
            .filter(|folder| !folder.as_os_str().is_empty())
            .find(|folder| is_link(folder));
        match (plain, link) {
            (true, None) => Ok(()),
            (false, _) => Err(HistoryError::Other(tr!(
                "{name:?} is no path in the fleet folder"
            ))),
            (true, Some(folder)) => Err(HistoryError::Other(tr!(
                "{} in the fleet folder is a link: {name} is not written through it; put a folder in its place",
                folder.display()
            ))),
        }
    }

    fn write_files(&self, changes: &[FileChange]) -> Result<(), HistoryError> {
        for change in changes {
            let path = self.path.join(change.name());
            let done = match change {
                FileChange::Write { content, mode, .. }
                | FileChange::Replace { content, mode, .. } => {
                    let mode = self.find_mode(change.name(), content, *mode);
                    files::write_atomically(&path, content, mode)
                }
                FileChange::Remove { .. } => match std::fs::remove_file(&path) {
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
                    done => done,
                },
            };
            done.map_err(HistoryError::of_file(&path))?;
        }
        Ok(())
    }

    /// Commits what was written and not committed, when nobody has changed it since.
    async fn finish_pending(&self, git: &Git) -> Result<bool, HistoryError> {
        let path = git.own_path(PENDING).await?;
        let Some(pending) = read_pending(&path) else {
            return Ok(false);
        };
        if find_obstacle(git).await?.is_some() {
            return Ok(false);
        }
        let mut written = Vec::new();
        for (name, hash) in &pending.files {
            if self.hash_file(name)? == *hash {
                written.push(name.as_str());
            }
        }
        self.commit(git, &written, &pending.reason, &mut Vec::new())
            .await?;
        std::fs::remove_file(&path).map_err(HistoryError::of_file(&path))?;
        Ok(!written.is_empty())
    }

    /// Returns the SHA-256 of a file, in hexadecimal; `None` where there is none.
    fn hash_file(&self, name: &str) -> Result<Option<String>, HistoryError> {
        let path = self.path.join(name);
        match std::fs::read(&path) {
            Ok(content) => Ok(Some(hash_bytes(&content))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HistoryError::File { path, error }),
        }
    }

    /// Takes the folder's lock, which ends with the file or the process.
    async fn lock(&self, git: &Git) -> Result<File, HistoryError> {
        let path = git.own_path(LOCK).await?;
        let file = files::open_append(&path).map_err(HistoryError::of_file(&path))?;
        let held = tokio::time::timeout(LOCK_PATIENCE, async {
            loop {
                match file.try_lock() {
                    Ok(()) => return Ok(()),
                    Err(std::fs::TryLockError::WouldBlock) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    Err(std::fs::TryLockError::Error(e)) => return Err(e),
                }
            }
        });
        match held.await {
            Ok(Ok(())) => Ok(file),
            Ok(Err(error)) => Err(HistoryError::File { path, error }),
            Err(_) => Err(HistoryError::Locked(self.path.clone())),
        }
    }
}

fn read_pending(path: &Path) -> Option<Pending> {
    let text = files::read_text(path, files::MAX_CONFIG_BYTES).ok()?;
    serde_json::from_str(&text).ok()
}

/// Takes `XY ` of `git status` for how a file stands: X in the index, Y in the folder.
fn find_standing(state: &str) -> Standing {
    let mut letters = state.chars();
    match (letters.next(), letters.next()) {
        (Some('!'), _) => Standing::Ignored,
        (Some('U'), _) | (_, Some('U')) | (Some('A'), Some('A')) | (Some('D'), Some('D')) => {
            Standing::Conflicted
        }
        (Some('M' | 'A' | 'T'), Some('M' | 'T' | 'D')) => Standing::Staged,
        _ => Standing::Edited,
    }
}
