//! The program's own folders.

use std::path::{Path, PathBuf};

use color_eyre::eyre::{Context as _, Result};
use matou_i18n::tr;

/// Returns `$XDG_STATE_HOME/matou`, and makes it where it is missing. It holds the journal, the
/// program's own log, and saved logs.
///
/// # Errors
/// When there is no home folder, or it can't be made or is not this user's alone.
pub fn ensure_state_dir() -> Result<PathBuf> {
    let state = state_path()?;
    ensure_private_dir(&state)?;
    Ok(state)
}

/// Returns the path of the state folder without making it: a command that only reads works without.
///
/// # Errors
/// When there is no home folder.
pub fn state_path() -> Result<PathBuf> {
    let dirs = directories::BaseDirs::new().ok_or_else(|| {
        color_eyre::eyre::eyre!("{}", tr!("no home folder: set HOME or XDG_STATE_HOME"))
    })?;
    let state = dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir());
    Ok(state.join("matou"))
}

/// Returns `$XDG_CACHE_HOME/matou` without making it: names for completions, and what practice fleets are
/// made of. All of it may be removed.
///
/// # Errors
/// When there is no home folder.
pub fn cache_path() -> Result<PathBuf> {
    let dirs = directories::BaseDirs::new().ok_or_else(|| {
        color_eyre::eyre::eyre!("{}", tr!("no home folder: set HOME or XDG_CACHE_HOME"))
    })?;
    Ok(dirs.cache_dir().join("matou"))
}

/// Makes a folder of mode 0700. One that exists must belong to this user; its mode is corrected,
/// unless it is right already (the disk may be read-only).
pub(super) fn ensure_private_dir(dir: &Path) -> Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let cannot = || tr!("the folder {} can't be made", dir.display());
    if !dir.is_dir() {
        matou_base::files::make_folder(dir).wrap_err_with(cannot)?;
    }
    let found = std::fs::symlink_metadata(dir).wrap_err_with(cannot)?;
    color_eyre::eyre::ensure!(
        found.is_dir() && found.uid() == nix::unistd::getuid().as_raw(),
        "{}",
        tr!(
            "{} belongs to somebody else: remove it, or set XDG_RUNTIME_DIR and XDG_STATE_HOME",
            dir.display()
        )
    );
    if found.permissions().mode() & 0o777 == 0o700 {
        return Ok(());
    }
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).wrap_err_with(cannot)
}
