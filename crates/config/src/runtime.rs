//! Folders for the sockets of connections: one for each process, in a folder that only this user
//! can enter. A process removes its own folder when it ends. What killed processes left is removed
//! by later ones.

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use color_eyre::eyre::{Result, eyre};
use matou_i18n::tr;
use nix::fcntl::{Flock, FlockArg};

use super::dirs::ensure_private_dir;

/// Younger entries are left alone: the process may not have locked its folder yet, and an idle SSH
/// master lives for a minute.
const MIN_LEFTOVER_AGE: Duration = Duration::from_secs(120);

/// Age at which connection settings that earlier versions left are removed: they name no process.
const MIN_SETTINGS_AGE: Duration = Duration::from_secs(86_400);

/// Held by the process as long as it lives.
const LOCK_NAME: &str = "lock";

/// Written once to test that the folder has room for a few sockets and settings.
const NEEDED_ROOM: [u8; 16 << 10] = [0; 16 << 10];

/// This process's folder.
struct ProcessFolder {
    folder: PathBuf,
    _lock: Flock<File>,
}

static PROCESS_FOLDER: Mutex<Option<ProcessFolder>> = Mutex::new(None);

/// Returns this process's folder for sockets, and makes it on the first call. Its path is short,
/// because the path of a Unix socket is limited to 107 bytes.
///
/// # Errors
/// When it can't be made or written, or belongs to somebody else.
pub fn ensure_runtime_dir() -> Result<PathBuf> {
    let mut own = PROCESS_FOLDER
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(own) = own.as_ref().filter(|own| own.folder.is_dir()) {
        return Ok(own.folder.clone());
    }
    let mut why = None;
    for base in runtime_dir_candidates() {
        // A folder that belongs to somebody else is an error: no other place is tried then.
        let made = match base.exists() || base.parent().is_some_and(Path::is_dir) {
            true => ensure_private_dir(&base),
            false => continue,
        };
        let made = made.and_then(|()| {
            sweep_runtime_dir(&base);
            Ok(make_process_folder(&base)?)
        });
        match made {
            Ok(made) => return Ok(own.insert(made).folder.clone()),
            Err(e) if is_write_failure(&e) => {
                why.get_or_insert(eyre!(
                    "{}", tr!("the folder {} can't be written ({e:#}): make room there, or set XDG_RUNTIME_DIR",
                    base.display()
                )));
            }
            Err(e) => return Err(e),
        }
    }
    Err(why.unwrap_or_else(|| {
        eyre!(
            "{}",
            tr!("there is no folder for sockets: set XDG_RUNTIME_DIR")
        )
    }))
}

/// Removes this process's folder, which closes its connections.
pub fn remove_runtime_dir() {
    let own = PROCESS_FOLDER
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(own) = own {
        let _ = std::fs::remove_dir_all(&own.folder);
    }
}

/// Returns the folders to try, the best first: the disk of one may be full or read-only.
fn runtime_dir_candidates() -> Vec<PathBuf> {
    let uid = nix::unistd::getuid();
    let own = format!("matou-{uid}");
    let given = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|dir| dir.is_dir() && dir.as_os_str().len() < 40)
        .map_or_else(|| std::env::temp_dir().join(&own), |dir| dir.join("matou"));
    let mut places = vec![given];
    for other in [
        PathBuf::from(format!("/run/user/{uid}/matou")),
        PathBuf::from("/run").join(&own),
        PathBuf::from("/dev/shm").join(&own),
    ] {
        if !places.contains(&other) {
            places.push(other);
        }
    }
    places
}

fn is_write_failure(error: &color_eyre::Report) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let kinds = [
        StorageFull,
        QuotaExceeded,
        ReadOnlyFilesystem,
        PermissionDenied,
    ];
    kind.is_some_and(|kind| kinds.contains(&kind))
}

fn make_process_folder(base: &Path) -> io::Result<ProcessFolder> {
    let pid = std::process::id();
    let mut folder = base.join(format!("{pid}-0"));
    // An existing folder belongs to a dead process of the same number, or to one in another PID
    // namespace.
    for n in 1..1000 {
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                folder = base.join(format!("{pid}-{n}"));
            }
            other => {
                other?;
                break;
            }
        }
    }
    let locked = || -> io::Result<Flock<File>> {
        let lock = matou_base::files::open_append(&folder.join(LOCK_NAME))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| e)?;
        let room = folder.join("room");
        matou_base::files::write_transient_file(&room, &NEEDED_ROOM)?;
        std::fs::remove_file(&room)?;
        Ok(lock)
    };
    match locked() {
        Ok(lock) => Ok(ProcessFolder {
            folder,
            _lock: lock,
        }),
        Err(e) => {
            let _ = std::fs::remove_dir_all(&folder);
            Err(e)
        }
    }
}

/// Removes old entries that dead processes left. Only this user's, and only with names that matou
/// or ssh gives.
fn sweep_runtime_dir(base: &Path) {
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let Ok(found) = entry.metadata() else {
            continue;
        };
        let age = found.modified().ok().and_then(|t| t.elapsed().ok());
        let age = age.unwrap_or_default();
        if found.uid() != nix::unistd::getuid().as_raw() || age < MIN_LEFTOVER_AGE {
            continue;
        }
        let heard = |path: &Path| sockets.contains(&*path.to_string_lossy());
        let _ = match runtime_entry_kind(&name.to_string_lossy()) {
            Some(RuntimeEntryKind::Process(pid)) if found.is_dir() => {
                remove_dead_folder(&path, pid)
            }
            Some(RuntimeEntryKind::Master) if found.is_dir() && !heard(&path) => {
                std::fs::remove_dir_all(&path)
            }
            Some(RuntimeEntryKind::Socket) if !heard(&path) => std::fs::remove_file(&path),
            Some(RuntimeEntryKind::Settings) if age > MIN_SETTINGS_AGE => {
                std::fs::remove_file(&path)
            }
            _ => Ok(()),
        };
    }
}

/// Kinds of entries, known by the names that matou or ssh gives.
#[derive(Debug, PartialEq, Eq)]
enum RuntimeEntryKind {
    Process(i32),
    /// Left by earlier versions, which had no folders: ssh's own sockets, forwarded engines,
    /// settings.
    Master,
    Socket,
    Settings,
}

fn runtime_entry_kind(name: &str) -> Option<RuntimeEntryKind> {
    let hex = |text: &str| {
        let mut all = text.bytes();
        !text.is_empty() && all.all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    if let Some(rest) = name.strip_prefix(".ssh-connection") {
        let mut all = rest.bytes();
        return all
            .all(|b| b.is_ascii_alphanumeric())
            .then_some(RuntimeEntryKind::Master);
    }
    if let Some(rest) = name.strip_suffix(".conf") {
        return (rest.len() == 16 && hex(rest)).then_some(RuntimeEntryKind::Settings);
    }
    if let Some(rest) = name.strip_suffix(".sock") {
        let (hash, nonce) = rest.split_once('-')?;
        return (hash.len() == 8 && hex(hash) && hex(nonce)).then_some(RuntimeEntryKind::Socket);
    }
    let (pid, n) = name.split_once('-')?;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let is_ours = number(pid) && number(n) && !n.is_empty();
    is_ours.then(|| pid.parse().ok().map(RuntimeEntryKind::Process))?
}

/// Removes the folder of a process when nobody holds its lock. Without a lock file, a process of
/// that number must be gone.
fn remove_dead_folder(folder: &Path, pid: i32) -> io::Result<()> {
    let lock = std::fs::OpenOptions::new()
        .read(true)
        .open(folder.join(LOCK_NAME));
    let _held = match lock {
        Ok(lock) => match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
            Ok(held) => Some(held),
            Err(_) => return Ok(()),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let lives = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None);
            if !matches!(lives, Err(nix::errno::Errno::ESRCH)) {
                return Ok(());
            }
            None
        }
        Err(e) => return Err(e),
    };
    std::fs::remove_dir_all(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes it look as if nothing had happened in it for a while.
    fn age(path: &Path, by: Duration) {
        let at = std::time::SystemTime::now() - by;
        File::open(path).unwrap().set_modified(at).unwrap();
    }

    #[test]
    fn what_the_dead_left_goes_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let there = |name: &str| at(name).exists();
        let (hour, week) = (Duration::from_secs(3600), Duration::from_secs(7 * 86_400));
        let folder = |name: &str| {
            std::fs::create_dir_all(at(name).join(".ssh-connectionAbCdEf")).unwrap();
            std::fs::write(at(name).join("0123456789abcdef.conf"), "x").unwrap();
            std::fs::write(at(name).join(LOCK_NAME), "").unwrap();
            age(&at(name), hour);
        };
        for name in ["4194303-0", "1-0", "77-1", "notes-1", "4194302-0"] {
            folder(name);
        }
        // Without a lock the process counts: this one lives, the other can't.
        let mine = format!("{}-7", std::process::id());
        folder(&mine);
        for name in [&*mine, "4194302-0"] {
            std::fs::remove_file(at(name).join(LOCK_NAME)).unwrap();
            age(&at(name), hour);
        }
        let file = File::open(at("77-1").join(LOCK_NAME)).unwrap();
        let held = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
        std::fs::create_dir(at(".ssh-connectionXyz123")).unwrap();
        age(&at(".ssh-connectionXyz123"), hour);
        for (name, by) in [
            ("0123456789abcdef.conf", week),
            ("fedcba9876543210.conf", hour),
            ("01234567-6444a.sock", hour),
            ("config.toml", week),
            ("mine.conf", week),
        ] {
            std::fs::write(at(name), "x").unwrap();
            age(&at(name), by);
        }
        // One that is in use, though it is old.
        let _heard = std::os::unix::net::UnixListener::bind(at("89abcdef-1.sock")).unwrap();
        folder("99999-0");
        age(&at("99999-0"), Duration::from_secs(5));

        sweep_runtime_dir(dir.path());
        for name in [
            "4194303-0",
            "1-0",
            "4194302-0",
            ".ssh-connectionXyz123",
            "0123456789abcdef.conf",
            "01234567-6444a.sock",
        ] {
            assert!(!there(name), "{name} is there");
        }
        for name in [
            "77-1",
            &*mine,
            "notes-1",
            "fedcba9876543210.conf",
            "config.toml",
            "mine.conf",
            "89abcdef-1.sock",
            "99999-0",
        ] {
            assert!(there(name), "{name} is gone");
        }
        drop(held);
        sweep_runtime_dir(dir.path());
        assert!(!there("77-1"));

        let own = make_process_folder(dir.path()).unwrap();
        let other = make_process_folder(dir.path()).unwrap();
        assert_ne!(own.folder, other.folder);
        age(&own.folder, hour);
        sweep_runtime_dir(dir.path());
        assert!(own.folder.is_dir());
    }
}
