//! The program's own folders.

use std::path::PathBuf;

use color_eyre::eyre::{Context as _, Result};

/// `$XDG_STATE_HOME/matou`: the journal, the program's own log, saved logs.
///
/// # Errors
/// When there is no home folder, or it can't be written.
pub fn state_dir() -> Result<PathBuf> {
    let dirs = directories::BaseDirs::new()
        .ok_or_else(|| color_eyre::eyre::eyre!("no home folder: set HOME or XDG_STATE_HOME"))?;
    let state = dirs
        .state_dir()
        .unwrap_or_else(|| dirs.data_local_dir())
        .join("matou");
    private_dir(&state)?;
    Ok(state)
}

/// A folder for sockets that only this user can enter. Its path is short, because a Unix socket's
/// is limited to 107 bytes.
///
/// # Errors
/// When it can't be made, or belongs to somebody else.
pub fn runtime_dir() -> Result<PathBuf> {
    let uid = nix::unistd::getuid();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|dir| dir.is_dir() && dir.as_os_str().len() < 40)
        .map_or_else(
            || std::env::temp_dir().join(format!("matou-{uid}")),
            |dir| dir.join("matou"),
        );
    private_dir(&runtime)?;
    Ok(runtime)
}

/// Makes a folder of mode 0700, or checks that an existing one is ours.
fn private_dir(dir: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
    let cannot = || format!("the folder {} can't be made", dir.display());
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .wrap_err_with(cannot)?;
    let found = std::fs::symlink_metadata(dir).wrap_err_with(cannot)?;
    color_eyre::eyre::ensure!(
        found.is_dir() && found.uid() == nix::unistd::getuid().as_raw(),
        "{} belongs to somebody else: remove it, or set XDG_RUNTIME_DIR and XDG_STATE_HOME",
        dir.display()
    );
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).wrap_err_with(cannot)
}
