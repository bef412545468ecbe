//! Keeps what receivers were told, also when the disk is full: that is what they are to be told of, and once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::fcntl::{Flock, FlockArg};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::tell::ToldAlerts;

/// Root's folder in memory, which the managers' timer makes.
pub(super) const ROOT_RUNTIME: &str = "/run/matou";

/// The file whose age says when somebody was told last, for the other managers.
pub const TOLD_MARK: &str = "/run/matou/told";

/// Clocks of managers may differ by this, seconds; what is dated later is of one that was ahead.
const MAX_AHEAD: i64 = 3600;

/// What receivers were told, by their names. Every manager keeps it, so that the one that takes over tells nothing
/// twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToldMemory {
    /// When it was changed last.
    pub at: Timestamp,
    /// What each was told of alerts.
    pub alerts: BTreeMap<String, ToldAlerts>,
    /// When the digest was due that each took last.
    pub digests: BTreeMap<String, Timestamp>,
}

impl ToldMemory {
    /// Takes over what another manager keeps: its alerts, when they are newer, and of each receiver the newest digest.
    pub fn merge(&mut self, other: Self, now: Timestamp) {
        let is_past = |at: Timestamp| at.as_second() <= now.as_second() + MAX_AHEAD;
        if !is_past(self.at) {
            self.at = Timestamp::default();
        }
        if is_past(other.at) && other.at > self.at {
            self.at = other.at;
            self.alerts = other.alerts;
            self.alerts.values_mut().for_each(ToldAlerts::clean);
        }
        self.digests.retain(|_, due| is_past(*due));
        for (receiver, due) in other.digests {
            if is_past(due) {
                let mark = self.digests.entry(receiver).or_insert(due);
                *mark = (*mark).max(due);
            }
        }
    }

    /// Whether both say the same, whenever it was.
    pub fn is_same(&self, other: &Self) -> bool {
        self.alerts == other.alerts && self.digests == other.digests
    }
}

/// A JSON file, and its place in memory when nothing can be written to the disk.
#[derive(Debug, Clone)]
pub(super) struct SparedFile {
    file: PathBuf,
    spare: PathBuf,
}

impl SparedFile {
    /// `STEM.json` in a folder, else `STEM-FLEET.json` in one that the fleets share.
    pub(super) fn new(folder: &Path, spare: &Path, stem: &str, fleet: &str) -> Self {
        Self {
            file: folder.join(format!("{stem}.json")),
            spare: spare.join(format!("{stem}-{fleet}.json")),
        }
    }

    /// Loads what was saved last; `None` when there is nothing that can be read.
    pub(super) fn load<T: DeserializeOwned>(&self) -> Option<T> {
        let newest = match is_newer(&self.spare, &self.file) {
            true => &self.spare,
            false => &self.file,
        };
        let bytes = std::fs::read(newest).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Saves it, whole or not at all.
    ///
    /// # Errors
    /// When neither can be written: why the file can't.
    pub(super) fn save(&self, content: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(content)?;
        let write = |path: &Path| {
            matou_base::files::write_atomically(path, &text, matou_base::files::PRIVATE_MODE)
        };
        let Err(e) = write(&self.file) else {
            return Ok(());
        };
        match self.spare.parent().is_some_and(Path::is_dir) {
            true => write(&self.spare).map_err(|_| e),
            false => Err(e),
        }
    }
}

/// Keeps what was told, in the fleet's folder or in memory.
#[derive(Debug, Clone)]
pub struct ToldStore {
    folder: PathBuf,
    file: SparedFile,
}

fn is_newer(path: &Path, than: &Path) -> bool {
    let changed = |p: &Path| p.metadata().and_then(|m| m.modified()).ok();
    changed(path) > changed(than)
}

impl ToldStore {
    pub(super) fn new(folder: PathBuf, file: SparedFile) -> Self {
        Self { folder, file }
    }

    /// Takes the lock of those who tell, so that two at once don't tell the same. It ends with what is returned; `None`
    /// when another one has it.
    ///
    /// # Errors
    /// When no folder can be written.
    pub fn lock(&self) -> io::Result<Option<Flock<File>>> {
        let open = |path: &Path| matou_base::files::open_append(path);
        let lock = matou_base::files::make_folder(&self.folder)
            .and_then(|()| open(&self.folder.join("telling.lock")))
            .or_else(|e| open(&self.file.spare.with_extension("lock")).map_err(|_| e))?;
        match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, e)) => Err(e.into()),
        }
    }

    /// Loads what was saved last; nothing when there is nothing that can be read.
    pub fn load(&self) -> ToldMemory {
        self.file.load().unwrap_or_default()
    }

    /// Saves it, whole or not at all.
    ///
    /// # Errors
    /// When it can be written nowhere.
    pub fn save(&self, told: &ToldMemory) -> io::Result<()> {
        self.file.save(told)
    }

    /// Tells the other managers that somebody was told, or that there was nothing to tell.
    pub fn mark(&self) {
        // Of who is not root, or on no node, no timer asks.
        let _ = matou_base::files::write_atomically(
            Path::new(TOLD_MARK),
            b"",
            matou_base::files::PRIVATE_MODE,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_kept_in_memory_where_the_disk_takes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (first, spare) = (dir.path().join("state"), dir.path().join("run"));
        std::fs::create_dir(&spare).unwrap();
        let store = |fleet: &str| {
            ToldStore::new(
                first.clone(),
                SparedFile::new(&first, &spare, "told", fleet),
            )
        };
        let (other, store) = (store("other"), store("f"));
        let of = |name: &str| ToldMemory {
            alerts: BTreeMap::from([(name.to_owned(), ToldAlerts::default())]),
            ..ToldMemory::default()
        };
        assert_eq!(store.load(), ToldMemory::default());
        store.save(&of("mail")).unwrap();
        assert_eq!(store.load(), of("mail"));
        assert!(!spare.join("told-f.json").exists());

        // A file stands where the folder should be: root, too, can't write there.
        let away = dir.path().join("away");
        std::fs::rename(&first, &away).unwrap();
        std::fs::write(&first, "").unwrap();
        let lock = store.lock().unwrap();
        assert!(lock.is_some() && store.lock().unwrap().is_none());
        store.save(&of("ntfy")).unwrap();
        assert_eq!(store.load(), of("ntfy"));
        // Of another fleet that the same manager looks at.
        assert_eq!(other.load(), ToldMemory::default());

        // Back again: the newer one counts, until the first is.
        std::fs::remove_file(&first).unwrap();
        std::fs::rename(&away, &first).unwrap();
        assert_eq!(store.load(), of("ntfy"));
        store.save(&of("both")).unwrap();
        assert_eq!(store.load(), of("both"));
        std::fs::remove_dir_all(&spare).unwrap();
        std::fs::remove_dir_all(&first).unwrap();
        std::fs::write(&first, "").unwrap();
        assert!(store.save(&of("mail")).is_err() && store.lock().is_err());
    }

    #[test]
    fn the_newest_memory_counts_and_none_of_the_future() {
        let at = |s: i64| Timestamp::from_second(s).unwrap();
        let memory = |changed: i64, told: &str, digests: &[(&str, i64)]| ToldMemory {
            at: at(changed),
            alerts: BTreeMap::from([(told.to_owned(), ToldAlerts::default())]),
            digests: digests
                .iter()
                .map(|(name, due)| ((*name).to_owned(), at(*due)))
                .collect(),
        };
        let mut own = memory(100, "own", &[("e-mail", 50), ("ntfy", 90)]);
        let now = at(1000);
        own.merge(memory(90, "older", &[("e-mail", 80)]), now);
        assert_eq!(own, memory(100, "own", &[("e-mail", 80), ("ntfy", 90)]));
        own.merge(memory(110, "newer", &[("gotify", 9000)]), now);
        assert_eq!(own, memory(110, "newer", &[("e-mail", 80), ("ntfy", 90)]));
        own.merge(memory(9000, "ahead", &[]), now);
        assert_eq!(own.at, at(110));
        // This one's clock was ahead, and what it kept then keeps nothing back.
        let mut ahead = memory(9000, "ahead", &[("e-mail", 9000)]);
        ahead.merge(memory(110, "newer", &[("e-mail", 80)]), now);
        assert_eq!(ahead, memory(110, "newer", &[("e-mail", 80)]));
    }
}
