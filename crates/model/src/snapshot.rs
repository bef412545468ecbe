//! Snapshots of a restic repository, what they hold, the repository's state, and proofs.

use matou_i18n::tr;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::NightRehearsal;

use matou_base::text::SafeText;

/// Entries of one folder that are kept; of a larger one the rest is only counted.
pub const MAX_LISTED: usize = 10_000;

/// A restic snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Full id: 64 hexadecimal digits.
    pub id: String,
    /// When it was begun, by the clock of the node that made it.
    pub at: Timestamp,
    /// Application, by the tag `app=NAME`; `None` for snapshots of the fleet files and foreign
    /// ones.
    pub app: Option<String>,
    /// The node that made it, as restic names it.
    pub host: String,
    /// The fleet that made it, if it is another one. It is restored only when it is named itself.
    pub other_fleet: Option<String>,
    /// It is dated in the future, because a clock was wrong: it is never the newest.
    pub ahead: bool,
    /// Bytes of all files; restic before 0.17 does not say it.
    pub size: Option<u64>,
    /// Files; as with `size`.
    pub files: Option<u64>,
    /// Bytes that were added to the repository; as with `size`.
    pub added: Option<u64>,
    /// What was backed up.
    pub paths: Vec<String>,
}

impl Snapshot {
    /// Returns the application's name, or the host name when there is none.
    pub fn group_name(&self) -> &str {
        self.app.as_deref().unwrap_or(&self.host)
    }

    /// Returns the group's name, with the fleet when that is another one: `shop of fleet-b`.
    pub fn title(&self) -> String {
        match &self.other_fleet {
            Some(fleet) if *fleet != self.group_name() => {
                tr!("{} of {fleet}", self.group_name())
            }
            _ => self.group_name().to_owned(),
        }
    }

    /// Whether both are of the same application (or host) and the same fleet.
    pub fn is_same_group(&self, other: &Self) -> bool {
        self.app == other.app
            && self.group_name() == other.group_name()
            && self.other_fleet == other.other_fleet
    }

    /// Whether it may count as the newest of its application in this fleet.
    pub fn can_be_newest(&self) -> bool {
        self.other_fleet.is_none() && !self.ahead
    }

    /// The first eight digits, as restic shows it.
    pub fn short_id(&self) -> &str {
        self.id.get(..8).unwrap_or(&self.id)
    }
}

/// Sorts snapshots for lists: by application, the newest first, those dated in the future last;
/// snapshots of other fleets come after all.
pub fn sort_snapshots(snapshots: &mut [Snapshot]) {
    snapshots.sort_by(|a, b| {
        a.other_fleet
            .is_some()
            .cmp(&b.other_fleet.is_some())
            .then_with(|| a.app.is_none().cmp(&b.app.is_none()))
            .then_with(|| a.group_name().cmp(b.group_name()))
            .then_with(|| a.other_fleet.cmp(&b.other_fleet))
            .then_with(|| a.ahead.cmp(&b.ahead))
            .then_with(|| b.at.cmp(&a.at))
            .then_with(|| a.id.cmp(&b.id))
    });
}

/// A lock that somebody holds on a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryLock {
    /// `user@host`.
    pub who: String,
    /// When it was taken, or refreshed last.
    pub since: Timestamp,
    /// Nobody else may write meanwhile.
    pub exclusive: bool,
    /// Its process is gone, or it is older than restic refreshes locks.
    pub stale: bool,
}

/// Writes when a repository was checked, and what came of it, for scripts.
#[expect(clippy::ref_option, reason = "serde calls it so")]
fn write_repository_check<S: serde::Serializer>(
    check: &Option<(Timestamp, Result<SafeText, SafeText>)>,
    to: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Written<'a> {
        at: Timestamp,
        #[serde(serialize_with = "crate::reading::write_outcome_of")]
        result: &'a Result<SafeText, SafeText>,
    }
    let written = check
        .as_ref()
        .map(|(at, result)| Written { at: *at, result });
    written.serialize(to)
}

/// What is known of a repository beside its snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Repository {
    /// Name in config.toml; `main` for the first.
    pub name: String,
    /// As restic names it, without credentials.
    pub location: String,
    /// Version of restic on the storage node.
    pub restic: String,
    /// Who holds it now.
    pub locks: Vec<RepositoryLock>,
    /// Sizes in bytes, oldest first, as they were measured.
    pub growth: Vec<(Timestamp, u64)>,
    /// When its data was last checked, and the result; `Ok` says how much of it was read.
    #[serde(serialize_with = "write_repository_check")]
    pub check: Option<(Timestamp, Result<SafeText, SafeText>)>,
    /// Why it can't be used, when it can't.
    pub problem: Option<String>,
}

/// The schedule of the nightly backup, and how the last run went.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct BackupSchedule {
    /// When it ran last; `None` when it never did.
    pub last: Option<Timestamp>,
    /// What the last run reported, when it was no success.
    pub failed: Option<String>,
    /// When it runs next; `None` when the timer is off.
    pub next: Option<Timestamp>,
    /// A run that should have been and was not.
    pub missed: Option<Timestamp>,
    /// What the reports of past backups tell, the oldest first.
    pub nights: Vec<BackupNight>,
}

/// What `matou verify` found of an application. It is kept in a file beside the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Whose snapshot it was.
    pub app: String,
    /// When it was proved.
    pub at: Timestamp,
    /// Full id of the snapshot that was restored.
    pub snapshot: String,
    /// Files restored and read back.
    pub files: u64,
    /// Of those files.
    pub bytes: u64,
    /// Files that are unchanged since the snapshot, and are the same byte for byte.
    pub same: u64,
    /// Files that were changed, or removed, since the snapshot.
    pub changed: u64,
    /// Tables, or collections, of each dump that was loaded into a throw-away database.
    #[serde(default)]
    pub databases: BTreeMap<String, u64>,
    /// Why it is no proof, when it is none.
    #[serde(default)]
    pub problem: Option<String>,
}

/// What is true of a restore that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RestoreStanding {
    /// A job works on it.
    Running,
    /// It was interrupted: the application is not usable before this is resolved.
    Interrupted,
    /// It is done, and the data from before is kept.
    Kept,
}

/// A restore that runs, was interrupted, or whose old data is still kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnfinishedRestore {
    /// Whose data it is.
    pub app: String,
    /// When it was begun.
    pub at: Timestamp,
    /// What is to be done about it.
    pub standing: RestoreStanding,
    /// Bytes that are set aside, when known.
    pub kept: Option<u64>,
}

/// Everything about backups beside the snapshots themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Backups {
    /// The primary one first.
    pub repositories: Vec<Repository>,
    /// `None` where no timer is installed.
    pub schedule: Option<BackupSchedule>,
    /// By application.
    pub proofs: BTreeMap<String, Proof>,
    /// That are not over yet.
    pub restores: Vec<UnfinishedRestore>,
    /// The last drill that was made on this machine.
    pub drill: Option<Drill>,
    /// What nights found out about patch releases, by application.
    pub rehearsals: Vec<NightRehearsal>,
}

/// A nightly backup, or one by hand, as its report tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BackupNight {
    /// When it began.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: NightOutcome,
}

/// How a backup of all applications ended, worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NightOutcome {
    /// All is in snapshots.
    Done,
    /// Something is missing in them.
    Warning,
    /// An application has no snapshot of it.
    Failed,
}

/// A drill: a recovery on a practice fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// When it began.
    pub at: Timestamp,
    /// From its beginning to the last answer.
    pub took: std::time::Duration,
    /// Applications that answered, and all there were.
    pub up: usize,
    /// See `up`.
    pub all: usize,
    /// Why it failed, when it did.
    pub problem: Option<String>,
}

impl Drill {
    /// Summarizes it: `12 min, all 11 applications answered, 6 d ago`.
    pub fn summary_line(&self, now: Timestamp) -> String {
        let took = matou_base::text::format_seconds(self.took.as_secs() as i64);
        let apps = match (self.up == self.all, &self.problem) {
            (true, None) => tr!("all {} applications answered", self.all),
            _ => tr!("{} of {} applications answered", self.up, self.all),
        };
        format!(
            "{took}, {apps}, {}",
            matou_base::text::format_ago(now, self.at)
        )
    }
}

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A file with content.
    File,
    /// A symbolic link.
    Link,
    /// Sockets, devices, pipes.
    Other,
}

/// A file or folder in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotEntry {
    /// What it is.
    pub kind: EntryKind,
    /// Absolute, as it was backed up; not made safe to show.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// `None` when restic does not say.
    pub modified: Option<Timestamp>,
    /// Permission bits.
    pub mode: u32,
    /// Owner, by number.
    pub uid: u32,
    /// Group, by number.
    pub gid: u32,
}

impl SnapshotEntry {
    /// The last part of its path.
    pub fn name(&self) -> &str {
        let path = self.path.trim_end_matches('/');
        path.rsplit('/').next().unwrap_or(path)
    }
}

/// The entries of a folder in a snapshot, or the result of a search.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SnapshotListing {
    /// Folders first, then by name; at most [`MAX_LISTED`].
    pub entries: Vec<SnapshotEntry>,
    /// How many more there are.
    pub left_out: u64,
}

/// The beginning of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FilePreview {
    /// At most the first 64 KiB.
    pub head: Vec<u8>,
    /// There is more.
    pub cut: bool,
}

/// How a path differs between two snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DifferenceKind {
    /// Only the newer one has it.
    Added,
    /// Only the older one has it.
    Removed,
    /// Its content differs.
    Modified,
    /// Only owner, mode or times differ.
    Metadata,
}

/// What changed from one snapshot to the next.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SnapshotChanges {
    /// The first ones, in restic's order.
    pub paths: Vec<(DifferenceKind, String)>,
    /// Paths that only the newer one has.
    pub added: u64,
    /// Paths that only the older one has.
    pub removed: u64,
    /// Paths whose content differs.
    pub modified: u64,
    /// Bytes of data that only the newer one holds, then those that only the older one holds.
    pub bytes_added: u64,
    /// See `bytes_added`.
    pub bytes_removed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_by_application_with_the_newest_first_and_foreign_ones_last() {
        let snapshot = |id: &str, app: Option<&str>, at| Snapshot {
            id: id.into(),
            at: Timestamp::from_second(at).unwrap(),
            app: app.map(str::to_owned),
            host: "h".into(),
            other_fleet: None,
            ahead: false,
            size: None,
            files: None,
            added: None,
            paths: Vec::new(),
        };
        let mut all = vec![
            snapshot("1", None, 9),
            snapshot("2", Some("shop"), 1),
            snapshot("3", Some("blog"), 1),
            snapshot("4", Some("blog"), 2),
            Snapshot {
                other_fleet: Some("fleet-b".into()),
                ..snapshot("6", Some("blog"), 7)
            },
            Snapshot {
                ahead: true,
                ..snapshot("5", Some("blog"), 99)
            },
        ];
        sort_snapshots(&mut all);
        let ids: Vec<&str> = all.iter().map(|s| s.id.as_str()).collect();
        assert_eq!(ids, ["4", "3", "5", "2", "1", "6"]);
        assert_eq!(all[5].title(), "blog of fleet-b");
        assert!(all[0].is_same_group(&all[2]) && !all[0].is_same_group(&all[5]));
    }
}
