//! Where sockets of connections are: one folder a process, in a folder that only this user can enter.
//! A process removes its own at its end; what dead ones left is removed by those that come after.

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use color_eyre::eyre::{Result, eyre};
use nix::fcntl::{Flock, FlockArg};

use super::dirs::private_dir;

/// What is younger is left alone: its process may be about to lock it, and an idle master lives a minute.
const YOUNG: Duration = Duration::from_secs(120);

/// Settings of connections that versions before wrote, which name no process.
const OLD: Duration = Duration::from_secs(86_400);

/// Held by the process as long as it lives.
const LOCK: &str = "lock";

/// What has to fit into the folder: a few sockets and settings.
const NEEDED: [u8; 16 << 10] = [0; 16 << 10];

/// This process's folder.
struct Own {
    folder: PathBuf,
    _lock: Flock<File>,
}

static OWN: Mutex<Option<Own>> = Mutex::new(None);

/// This process's folder for sockets; made when it is first asked for. Its path is short, because a
/// Unix socket's is limited to 107 bytes.
///
/// # Errors
/// When it can't be made or written, or belongs to somebody else.
pub fn runtime_dir() -> Result<PathBuf> {
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(own) = own.as_ref().filter(|own| own.folder.is_dir()) {
        return Ok(own.folder.clone());
    }
    let mut why = None;
    for base in places() {
        // One that is somebody else's is told, not gone around.
        let made = match base.exists() || base.parent().is_some_and(Path::is_dir) {
            true => private_dir(&base),
            false => continue,
        };
        let made = made.and_then(|()| {
            sweep(&base);
            Ok(make_own(&base)?)
        });
        match made {
            Ok(made) => return Ok(own.insert(made).folder.clone()),
            Err(e) if is_no_room(&e) => {
                why.get_or_insert(eyre!(
                    "the folder {} can't be written ({e:#}): make room there, or set XDG_RUNTIME_DIR",
                    base.display()
                ));
            }
            Err(e) => return Err(e),
        }
    }
    Err(why.unwrap_or_else(|| eyre!("there is no folder for sockets: set XDG_RUNTIME_DIR")))
}

/// Removes this process's folder; connections are closed.
pub fn leave_runtime_dir() {
    let own = OWN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(own) = own {
        let _ = std::fs::remove_dir_all(&own.folder);
    }
}

/// Where it may be, the best first: a disk that is full or can't be written is not the last word.
fn places() -> Vec<PathBuf> {
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

fn is_no_room(error: &color_eyre::Report) -> bool {
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

fn make_own(base: &Path) -> io::Result<Own> {
    let pid = std::process::id();
    let mut folder = base.join(format!("{pid}-0"));
    // What is there is of a dead process of that number, or of one that sees other processes.
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
        let lock = crate::files::append(&folder.join(LOCK))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| e)?;
        let room = folder.join("room");
        crate::files::write_passing(&room, &NEEDED)?;
        std::fs::remove_file(&room)?;
        Ok(lock)
    };
    match locked() {
        Ok(lock) => Ok(Own {
            folder,
            _lock: lock,
        }),
        Err(e) => {
            let _ = std::fs::remove_dir_all(&folder);
            Err(e)
        }
    }
}

/// Removes what dead processes left: files of our own naming, of ours, that are not young.
fn sweep(base: &Path) {
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let Ok(found) = entry.metadata() else {
            continue;
        };
        let age = found.modified().ok().and_then(|t| t.elapsed().ok());
        let age = age.unwrap_or_default();
        if found.uid() != nix::unistd::getuid().as_raw() || age < YOUNG {
            continue;
        }
        let heard = |path: &Path| sockets.contains(&*path.to_string_lossy());
        let _ = match kind(&name.to_string_lossy()) {
            Some(Kind::Process(pid)) if found.is_dir() => remove_dead(&path, pid),
            Some(Kind::Master) if found.is_dir() && !heard(&path) => std::fs::remove_dir_all(&path),
            Some(Kind::Socket) if !heard(&path) => std::fs::remove_file(&path),
            Some(Kind::Settings) if age > OLD => std::fs::remove_file(&path),
            _ => Ok(()),
        };
    }
}

/// What lies in the folder, by its name; nothing that matou or ssh did not name.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Process(i32),
    /// Of versions before, which had no folders: ssh's own, forwarded engines, settings.
    Master,
    Socket,
    Settings,
}

fn kind(name: &str) -> Option<Kind> {
    let hex = |text: &str| {
        let mut all = text.bytes();
        !text.is_empty() && all.all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    if let Some(rest) = name.strip_prefix(".ssh-connection") {
        let mut all = rest.bytes();
        return all
            .all(|b| b.is_ascii_alphanumeric())
            .then_some(Kind::Master);
    }
    if let Some(rest) = name.strip_suffix(".conf") {
        return (rest.len() == 16 && hex(rest)).then_some(Kind::Settings);
    }
    if let Some(rest) = name.strip_suffix(".sock") {
        let (hash, nonce) = rest.split_once('-')?;
        return (hash.len() == 8 && hex(hash) && hex(nonce)).then_some(Kind::Socket);
    }
    let (pid, n) = name.split_once('-')?;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let is_ours = number(pid) && number(n) && !n.is_empty();
    is_ours.then(|| pid.parse().ok().map(Kind::Process))?
}

/// Removes a process's folder when nobody holds its lock; without a lock the process counts.
fn remove_dead(folder: &Path, pid: i32) -> io::Result<()> {
    let lock = std::fs::OpenOptions::new()
        .read(true)
        .open(folder.join(LOCK));
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
            std::fs::write(at(name).join(LOCK), "").unwrap();
            age(&at(name), hour);
        };
        for name in ["4194303-0", "1-0", "77-1", "notes-1", "4194302-0"] {
            folder(name);
        }
        // Without a lock the process counts: this one lives, the other can't.
        let mine = format!("{}-7", std::process::id());
        folder(&mine);
        for name in [&*mine, "4194302-0"] {
            std::fs::remove_file(at(name).join(LOCK)).unwrap();
            age(&at(name), hour);
        }
        let file = File::open(at("77-1").join(LOCK)).unwrap();
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

        sweep(dir.path());
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
        sweep(dir.path());
        assert!(!there("77-1"));

        let own = make_own(dir.path()).unwrap();
        let other = make_own(dir.path()).unwrap();
        assert_ne!(own.folder, other.folder);
        age(&own.folder, hour);
        sweep(dir.path());
        assert!(own.folder.is_dir());
    }
}
