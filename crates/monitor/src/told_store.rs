//! Keeps what receivers were told, also when the disk is full: that is what they are to be told of, and once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::tell::ToldAlerts;

/// Root's folder in memory, which the managers' timer makes.
pub(super) const ROOT_RUNTIME: &str = "/run/matou";

/// The file whose age says when somebody was told last, for the other managers.
pub const TOLD_MARK: &str = "/run/matou/told";

/// What each receiver was told, by its name.
type ToldByReceiver = BTreeMap<String, ToldAlerts>;

/// Files in the first folder, or in the second one when nothing can be written there.
#[derive(Debug, Clone)]
pub struct ToldStore {
    folders: [PathBuf; 2],
}

fn is_newer(path: &Path, than: &Path) -> bool {
    let changed = |p: &Path| p.metadata().and_then(|m| m.modified()).ok();
    changed(path) > changed(than)
}

impl ToldStore {
    pub(super) fn new(folders: [PathBuf; 2]) -> Self {
        Self { folders }
    }

    fn files(&self) -> [PathBuf; 2] {
        self.folders.each_ref().map(|f| f.join("told.json"))
    }

    /// Takes the lock of those who tell, so that two at once don't tell the same. It ends with what is returned; `None`
    /// when another one has it.
    ///
    /// # Errors
    /// When no folder can be written.
    pub fn lock(&self) -> io::Result<Option<Flock<File>>> {
        let [first, spare] = &self.folders;
        let open = |folder: &Path| matou_base::files::open_append(&folder.join("telling.lock"));
        let lock = matou_base::files::make_folder(first)
            .and_then(|()| open(first))
            .or_else(|e| open(spare).map_err(|_| e))?;
        match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, e)) => Err(e.into()),
        }
    }

    /// Loads what was saved last; nothing when there is nothing that can be read.
    pub fn load(&self) -> ToldByReceiver {
        let [first, spare] = &self.files();
        let newest = match is_newer(spare, first) {
            true => spare,
            false => first,
        };
        std::fs::read(newest)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Saves it, whole or not at all.
    ///
    /// # Errors
    /// When no folder can be written.
    pub fn save(&self, told: &ToldByReceiver) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(told)?;
        let write = |path: &Path| {
            matou_base::files::write_atomically(path, &text, matou_base::files::PRIVATE_MODE)
        };
        let [first, spare] = &self.files();
        let Err(e) = write(first) else {
            return Ok(());
        };
        match self.folders[1].is_dir() {
            true => write(spare).map_err(|_| e),
            false => Err(e),
        }
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
        let store = ToldStore::new([first.clone(), spare.clone()]);
        let of = |name: &str| ToldByReceiver::from([(name.to_owned(), ToldAlerts::default())]);
        assert_eq!(store.load(), ToldByReceiver::default());
        store.save(&of("mail")).unwrap();
        assert_eq!(store.load(), of("mail"));
        assert!(!spare.join("told.json").exists());

        // A file stands where the folder should be: root, too, can't write there.
        let away = dir.path().join("away");
        std::fs::rename(&first, &away).unwrap();
        std::fs::write(&first, "").unwrap();
        let lock = store.lock().unwrap();
        assert!(lock.is_some() && store.lock().unwrap().is_none());
        store.save(&of("ntfy")).unwrap();
        assert_eq!(store.load(), of("ntfy"));

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
}
