//! What matou writes on the operator's machine. Each file and folder has a mode of its own, whatever
//! the umask is: 0600 where there may be secrets, locations or names of customers, 0700 for folders,
//! 0644 for the files of applications.

use matou_i18n::tr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Only its owner reads it.
pub const PRIVATE_MODE: u32 = 0o600;

/// Everybody may read it, its owner alone writes it.
pub const READABLE_MODE: u32 = 0o644;

/// Largest file of the fleet's configuration, bytes.
pub const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Reads a text that is no larger than `most` bytes. It may be a pipe, as `<(…)` of a shell, and a device
/// without an end.
///
/// # Errors
/// When it can't be read, or is larger.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let mut text = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut text)?;
    if text.len() as u64 > most {
        let message = tr!("it is larger than {}", crate::text::human_bytes(most));
        return Err(io::Error::other(message));
    }
    String::from_utf8(text).map_err(|_| io::Error::other(tr!("it is no text (UTF-8)")))
}

/// Tightens the umask so that others can't write: programs that this one starts make files too.
pub fn tighten_umask() {
    use nix::sys::stat::{Mode, umask};
    let others_write = Mode::S_IWGRP | Mode::S_IWOTH;
    let old = umask(others_write);
    umask(old | others_write);
}

/// Turns core files off, here and in programs that this one starts: memory holds secrets.
pub fn disable_core_files() {
    use nix::sys::resource::{Resource, setrlimit};
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
}

/// Makes a folder of mode 0700, and all that is missing above it. An existing folder stays as it
/// is.
///
/// # Errors
/// When it can't be made.
pub fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file whole or not at all, whatever happens to the machine. Makes its folder.
///
/// # Errors
/// When the folder can't be made, or the file can't be written.
pub fn write_atomically(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    make_folder(folder)?;
    let mut new = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    new.write_all(content)?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|e| e.error)?;
    File::open(folder)?.sync_all()
}

/// Writes a file that only this process needs, without waiting for the disk.
///
/// # Errors
/// When it can't be written.
pub fn write_transient_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(PRIVATE_MODE)
        .open(path)?;
    file.write_all(content)
}

/// Opens a file of mode 0600 to write at its end; it is made when it is not there.
///
/// # Errors
/// When it can't be opened.
pub fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .mode(PRIVATE_MODE)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "four").unwrap();
        assert_eq!(read_text(&path, 4).unwrap(), "four");
        assert!(read_text(&path, 3).is_err());
        let endless = read_text(Path::new("/dev/zero"), MAX_CONFIG_BYTES).unwrap_err();
        assert_eq!(endless.to_string(), "it is larger than 1.0 MiB");
    }

    #[test]
    fn modes_are_those_that_were_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mode = |name: &str| at(name).metadata().unwrap().permissions().mode() & 0o777;
        write_atomically(&at("a/b/secret"), b"x", PRIVATE_MODE).unwrap();
        write_atomically(&at("a/app.toml"), b"x", READABLE_MODE).unwrap();
        open_append(&at("a/log")).unwrap();
        assert_eq!(mode("a/b"), 0o700);
        assert_eq!(mode("a/b/secret"), 0o600);
        assert_eq!(mode("a/app.toml") & !0o644, 0);
        assert_eq!(mode("a/log"), 0o600);
        // One that was open to all is not any more.
        std::fs::set_permissions(at("a/b/secret"), std::fs::Permissions::from_mode(0o666)).unwrap();
        write_atomically(&at("a/b/secret"), b"y", PRIVATE_MODE).unwrap();
        assert_eq!(mode("a/b/secret"), 0o600);
    }
}
