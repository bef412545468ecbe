//! What takes minutes to make, and is kept from one run to the next: images' root file systems,
//! programs from PyPI.

use std::fs::File;
use std::path::{Path, PathBuf};

/// The file `name` of the cache folder. Where it isn't there, `make` writes it to the path that it is
/// given; a test that wants the same file in that moment waits for it. It is whole or not there.
pub(crate) fn made_once(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let home = std::env::var_os("HOME").expect("a home folder");
    let made = PathBuf::from(home).join(".cache/matou").join(name);
    let beside = |more: &str| made.with_added_extension(more);
    let folder = made.parent().expect("a folder");
    std::fs::create_dir_all(folder).expect("a cache folder");
    let lock = File::create(beside("lock")).expect("a lock's file");
    lock.lock().expect("locked");
    if !made.exists() {
        make(&beside("part"));
        std::fs::rename(beside("part"), &made).expect("it was made");
    }
    made
}
