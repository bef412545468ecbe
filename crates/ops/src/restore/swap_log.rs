//! The swap log: the state file of an application's restore on the storage node, the folder beside
//! it, and the renames that swap folders. Everything here can be run again after an interruption.

use matou_i18n::tr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::renames::{FolderRename, SwapState, mark_path};
use matou_backup::{FolderSwap, RestorePhase, RestoreState};
use matou_host::{Command, ConfinedFolders, Host, shell_script};
use matou_job::StepError;

/// Prints what exists of each swap, a line each: live, new, old, mark. `$1` is the folder of the
/// restore. If that is missing, its disk is not mounted, and the script fails.
pub(super) const INSPECT_SWAPS: &str = shell_script(include_str!("../../scripts/inspect_swaps.sh"));

/// Renames folders; three arguments for each: what, from, to. Never replaces and never copies:
/// fails if the target exists, or is on another file system or mount.
pub(super) const RENAME_FOLDERS: &str =
    shell_script(include_str!("../../scripts/rename_folders.sh"));

/// Prints a path if the folder `$1` holds set-aside data: anything but empty folders.
pub(super) const FIND_EARLIER_DATA: &str =
    shell_script(include_str!("../../scripts/find_earlier_data.sh"));

/// Removes the folder `$1` of a restore. If `$2` is `empty-handed`, fails if it holds set-aside
/// data.
pub(super) const REMOVE_FOLDER: &str =
    shell_script(include_str!("../../scripts/remove_restore_folder.sh"));

/// How many spare files reserve room for the state, and their least size in bytes. Each allows one
/// write on a full disk.
const SPARE_COUNT: usize = 6;
const SPARE_BYTES: usize = 16 << 10;

/// Writes standard input, `$2` bytes, as the file `$1`, completely or not at all. `$4` spare files
/// of `$3` bytes beside it reserve room: on a full disk the content is written over one of them. If
/// `$5` is `first`, fails without that room: a restore does not begin if its end could not be
/// written down.
pub(super) const WRITE_STATE: &str = shell_script(include_str!("../../scripts/write_state.sh"));

/// Prints folders beside `$1` that earlier restores left, and that nothing else tells of.
const LIST_LEFTOVERS: &str = r#"for p in "$1"~*; do [ ! -d "$p" ] || printf '%s\n' "$p"; done"#;

/// Folder of restores beside the volumes of an engine.
pub(super) const ENGINE_RESTORES: &str = "matou-restores";

/// The swap log of one application.
#[derive(Clone)]
pub(crate) struct SwapLog {
    pub host: Host,
    path: PathBuf,
}

impl SwapLog {
    /// `data` is matou's own folder on the storage node.
    pub(crate) fn new(host: &Host, data: &Path, app: &str) -> Self {
        Self {
            host: host.clone(),
            path: data.join("restores").join(format!("{app}.json")),
        }
    }

    /// The same with the folders of another node. The state stays on the storage node.
    pub(super) fn on_host(&self, host: &Host) -> Self {
        Self {
            host: host.clone(),
            path: self.path.clone(),
        }
    }

    /// Returns the folders in which root follows no link: the data of all applications and, for
    /// volumes of the local driver, Docker's folder.
    pub(crate) fn confined_folders<'a>(
        &self,
        folders: impl IntoIterator<Item = &'a Path>,
    ) -> ConfinedFolders {
        let data = self.path.ancestors().nth(3).unwrap_or(&self.path);
        let engine = |p: &'a Path| {
            p.ancestors()
                .find(|a| a.ends_with(ENGINE_RESTORES))?
                .parent()
        };
        ConfinedFolders::new(data).with_folders(folders.into_iter().filter_map(engine))
    }

    /// Reads the state. `None` if no restore is under way or kept.
    ///
    /// # Errors
    /// The node can't be asked, or the file can't be parsed.
    pub(crate) async fn read_state(&self) -> Result<Option<RestoreState>, StepError> {
        let read = Command::sh("[ ! -e \"$1\" ] || { echo there; cat -- \"$1\"; }")
            .arg(self.path.display().to_string())
            .sudo()
            .timeout(Duration::from_secs(20))
            .label(tr!("state of the restore"));
        let text = self.host.run_ok(&read).await?.stdout_text();
        // An empty file does not mean that there is no restore.
        let Some(text) = text.strip_prefix("there") else {
            return Ok(None);
        };
        serde_json::from_str(text).map(Some).map_err(|e| {
            StepError::failed(tr!(
                "{} on {} can't be understood ({e}): it tells what a restore set aside; look at the folders beside it",
                self.path.display(),
                self.host.name()
            ))
        })
    }

    /// Writes it, complete or not at all; on a full disk too, once the first one was written.
    pub(crate) async fn write_state(&self, state: &RestoreState) -> Result<(), StepError> {
        let text = serde_json::to_vec_pretty(state)
            .map_err(|e| StepError::failed(tr!("the state can't be written: {e}")))?;
        let first = matches!(state.phase, RestorePhase::Staging | RestorePhase::Restoring);
        let write = Command::sh(WRITE_STATE)
            .arg(self.path.display().to_string())
            .arg(text.len().to_string())
            .arg(SPARE_BYTES.max(2 * text.len()).to_string())
            .arg(SPARE_COUNT.to_string())
            .arg(if first { "first" } else { "" })
            .stdin(text)
            .sudo()
            .timeout(Duration::from_secs(60))
            .label(tr!("write {}", self.path.display()));
        self.host.run_ok(&write).await?;
        Ok(())
    }

    /// Removes the state.
    pub(crate) async fn remove_state(&self) -> Result<(), StepError> {
        let mut paths = vec![self.path.clone()];
        paths.extend((1..=SPARE_COUNT).map(|n| {
            let mut spare = self.path.clone().into_os_string();
            spare.push(format!(".spare{n}"));
            PathBuf::from(spare)
        }));
        self.remove_paths(&paths).await
    }

    /// Removes the folder of a restore, which must hold no set-aside data, and its state.
    pub(crate) async fn remove_folder_and_state(
        &self,
        state: &RestoreState,
    ) -> Result<(), StepError> {
        self.remove_folder(&state.folder, true).await?;
        self.remove_state().await
    }

    /// Removes files and folders of matou's own.
    pub(crate) async fn remove_paths(&self, paths: &[PathBuf]) -> Result<(), StepError> {
        let remove = Command::new("rm")
            .args(["-rf", "--one-file-system", "--"])
            .args(paths.iter().map(|p| p.display().to_string()))
            .sudo()
            .timeout(Duration::from_secs(1800));
        self.host.run_ok(&remove).await?;
        Ok(())
    }

    /// Removes the folder of a restore. If `empty_handed`, fails if it holds set-aside data.
    pub(crate) async fn remove_folder(
        &self,
        folder: &Path,
        empty_handed: bool,
    ) -> Result<(), StepError> {
        let how = if empty_handed { "empty-handed" } else { "all" };
        let remove = self
            .confined_folders([folder])
            .sh(REMOVE_FOLDER)
            .arg(folder.display().to_string())
            .arg(how)
            .timeout(Duration::from_secs(1800))
            .label(tr!("remove {}", folder.display()));
        self.host.run_ok(&remove).await?;
        Ok(())
    }

    /// Whether the folder of a restore holds set-aside data.
    pub(crate) async fn keeps_earlier_data(&self, folder: &Path) -> Result<bool, StepError> {
        let look = self
            .confined_folders([folder])
            .sh(FIND_EARLIER_DATA)
            .arg(folder.display().to_string())
            .timeout(Duration::from_secs(120))
            .label(tr!("what is set aside"));
        Ok(!self.host.run_ok(&look).await?.stdout_text().is_empty())
    }

    /// Folders that earlier restores left beside `folder`, with a date in their names.
    pub(crate) async fn list_leftovers(&self, folder: &Path) -> Result<Vec<PathBuf>, StepError> {
        let look = Command::sh(LIST_LEFTOVERS)
            .arg(folder.display().to_string())
            .sudo()
            .timeout(Duration::from_secs(20))
            .label(tr!("what earlier restores left"));
        let text = self.host.run_ok(&look).await?.stdout_text();
        Ok(text.lines().map(PathBuf::from).collect())
    }

    /// Renames the folder of a restore, if it exists, so that another restore can begin. Returns
    /// the new name, which is made of `what` and the time.
    pub(crate) async fn rename_away(
        &self,
        folder: &Path,
        what: &str,
    ) -> Result<Option<PathBuf>, StepError> {
        let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
        let mut to = folder.as_os_str().to_owned();
        to.push(format!("~{what}-{now}"));
        let to = PathBuf::from(to);
        let script = "[ -d \"$1\" ] || exit 0; [ ! -e \"$2\" ] && mv -T -- \"$1\" \"$2\" && echo moved; sync";
        let rename = self
            .confined_folders([folder])
            .sh(script)
            .arg(folder.display().to_string())
            .arg(to.display().to_string())
            .timeout(Duration::from_secs(60))
            .label(tr!("keep {}", folder.display()));
        let moved = self.host.run_ok(&rename).await?.stdout_text();
        Ok((!moved.is_empty()).then_some(to))
    }

    /// Looks at what exists of each swap. `folder` is the folder of the restore.
    pub(super) async fn inspect_swaps(
        &self,
        folder: &Path,
        swaps: &[FolderSwap],
    ) -> Result<Vec<SwapState>, StepError> {
        let look = self
            .confined_folders([folder])
            .sh(INSPECT_SWAPS)
            .args(swap_path_args(folder, swaps))
            .timeout(Duration::from_secs(60))
            .label(tr!("where the folders are"));
        let text = self.host.run_ok(&look).await?.stdout_text();
        parse_swap_states(&text, swaps.len())
            .ok_or_else(|| StepError::failed(tr!("where the folders are can't be told: {text:?}")))
    }

    /// Carries out renames. Root follows no link in the data folder. A volume outside of it is
    /// swapped as a whole, and no container can make a link of a folder above it.
    pub(super) async fn apply_renames(&self, renames: &[FolderRename]) -> Result<(), StepError> {
        let confined = self.confined_folders(renames.iter().flat_map(rename_paths));
        let inside =
            |rename: &FolderRename| rename_paths(rename).iter().all(|p| confined.contains(p));
        for some in renames.chunk_by(|a, b| inside(a) == inside(b)) {
            let command = match inside(&some[0]) {
                true => confined.sh(RENAME_FOLDERS),
                false => Command::sh(RENAME_FOLDERS).sudo(),
            };
            let command = command
                .args(rename_args(some))
                .timeout(Duration::from_secs(120))
                .label(tr!("exchange folders"));
            self.host.run_ok(&command).await?;
        }
        Ok(())
    }
}

pub(super) fn swap_path_args(folder: &Path, swaps: &[FolderSwap]) -> Vec<String> {
    let paths = swaps
        .iter()
        .flat_map(|s| [s.live.clone(), s.new.clone(), s.old.clone(), mark_path(s)]);
    std::iter::once(folder.to_owned())
        .chain(paths)
        .map(|p| p.display().to_string())
        .collect()
}

pub(super) fn parse_swap_states(text: &str, swaps: usize) -> Option<Vec<SwapState>> {
    let line = |line: &str| match line.as_bytes() {
        [live, new, old, mark] => Some(SwapState {
            live: *live == b'1',
            new: *new == b'1',
            old: *old == b'1',
            mark: *mark == b'1',
        }),
        _ => None,
    };
    let seen: Vec<SwapState> = text.lines().map(line).collect::<Option<_>>()?;
    (seen.len() == swaps).then_some(seen)
}

pub(super) fn rename_args(renames: &[FolderRename]) -> Vec<String> {
    let all = renames.iter().flat_map(|rename| match rename {
        FolderRename::SetAside { from, to } => {
            ["keep".into(), from.display().to_string(), path_text(to)]
        }
        FolderRename::Place { from, to } => {
            ["place".into(), from.display().to_string(), path_text(to)]
        }
        FolderRename::Mark(path) => ["mark".into(), String::new(), path_text(path)],
        FolderRename::Unmark(path) => ["unmark".into(), String::new(), path_text(path)],
    });
    all.collect()
}

fn rename_paths(rename: &FolderRename) -> Vec<&Path> {
    match rename {
        FolderRename::SetAside { from, to } | FolderRename::Place { from, to } => vec![from, to],
        FolderRename::Mark(path) | FolderRename::Unmark(path) => vec![path],
    }
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(file: &Path, text: &str, how: &str) -> (bool, String) {
        use std::io::Write;
        use std::process::Stdio;
        let mut shell = std::process::Command::new("sh")
            .args(["-c", WRITE_STATE, "sh"])
            .arg(file)
            .args([text.len(), SPARE_BYTES, SPARE_COUNT].map(|n| n.to_string()))
            .arg(how)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = shell.stdin.take().unwrap().write_all(text.as_bytes());
        let out = shell.wait_with_output().unwrap();
        input.unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        (out.status.success(), said)
    }

    /// A file system that is full, as root alone can make one.
    #[test]
    fn a_state_is_written_on_a_full_disk_once_it_was_begun() {
        let dir = tempfile::tempdir().unwrap();
        let mount = |args: &[&str]| {
            let mut mount = std::process::Command::new(args[0]);
            mount.args(&args[1..]).arg(dir.path());
            mount.output().is_ok_and(|o| o.status.success())
        };
        if !mount(&["mount", "-t", "tmpfs", "-o", "size=256k", "none"]) {
            eprintln!("not tried: nothing can be mounted here");
            return;
        }
        let tried = std::panic::catch_unwind(|| {
            let file = dir.path().join("restores/shop.json");
            let fill = dir.path().join("fill");
            let fill_up = || {
                let line = "head -c 1M /dev/zero >>\"$1\" 2>/dev/null";
                let full = std::process::Command::new("sh")
                    .args(["-c", line, "sh"])
                    .arg(&fill)
                    .status();
                assert!(!full.unwrap().success());
            };
            let now = || std::fs::read_to_string(&file).unwrap();
            assert!(write(&file, "{\"phase\": \"staging\"}\n", "first").0);
            fill_up();
            // Larger than what was there, again and again.
            let long = format!("{{\"phase\": \"restored\", \"x\": {:?}}}", "é".repeat(6000));
            let (done, said) = write(&file, &long, "");
            assert!(done, "{said}");
            assert_eq!(now(), long);
            for text in ["{\"phase\": \"undoing\"}", "{}", "{\"phase\": \"undone\"}"] {
                fill_up();
                let (done, said) = write(&file, text, "");
                assert!(done, "{said}");
                assert_eq!(now(), text);
            }
            // What can't be brought to its end is not begun, and what was written stays.
            for n in 1..=SPARE_COUNT {
                let _ = std::fs::remove_file(format!("{}.spare{n}", file.display()));
            }
            fill_up();
            let (done, said) = write(&file, "{\"phase\": \"staging\"}", "first");
            assert!(!done && said.contains("make room"), "{said}");
            assert_eq!(now(), "{\"phase\": \"undone\"}");
        });
        assert!(mount(&["umount"]));
        tried.unwrap();
    }
}
