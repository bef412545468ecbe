//! What every operation needs: nodes, catalogue, journal.

use std::path::PathBuf;
use std::sync::Arc;

use color_eyre::eyre::{Context as _, Result};

use crate::config::Config;
use crate::docker::Nodes;
use crate::host::HostOptions;
use crate::job::{Journal, Runner};
use crate::stack::Catalogue;

/// An opened fleet. Cheap to clone; nothing is connected before it is used.
#[derive(Clone)]
pub struct Context {
    pub config: Arc<Config>,
    pub nodes: Nodes,
    pub catalogue: Arc<Catalogue>,
    pub journal: Journal,
    pub runner: Runner,
}

impl Context {
    /// Opens the fleet of `config`: makes the state folder and the private folder for sockets.
    ///
    /// # Errors
    /// When a folder can't be made, or a stack file of the fleet folder is wrong.
    pub fn open(config: Config) -> Result<Self> {
        let state = state_dir()?;
        let runtime = runtime_dir()?;
        let journal = Journal::open(&state.join("journal.jsonl"))
            .wrap_err("the journal of the state folder can't be written")?;
        let nodes = Nodes::new(&config.nodes, |node| HostOptions {
            docker_socket: node.docker_socket.clone(),
            runtime_dir: runtime.clone(),
            recorder: Some(Arc::new(journal.clone())),
        });
        let catalogue = Catalogue::load(config.folder().as_deref())?;
        Ok(Self {
            config: Arc::new(config),
            nodes,
            catalogue: Arc::new(catalogue),
            runner: Runner::new(journal.clone()),
            journal,
        })
    }
}

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
fn runtime_dir() -> Result<PathBuf> {
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
