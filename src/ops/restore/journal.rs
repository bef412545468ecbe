//! The state file of an application's restore on the storage node, and the exchange of folders that
//! it describes. Every part can be run again after it was interrupted anywhere.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::backup::{RestoreState, Swap};
use crate::host::{Command, Host};
use crate::job::StepError;

/// Exchanges: the one in use is set aside, the restored one takes its place. `$1` live, `$2` new,
/// `$3` old, and so on. As long as `new` is there it has not taken its place.
const FORWARD: &str = r#"set -e
there() { [ -e "$1" ] || [ -L "$1" ]; }
while [ $# -ge 3 ]; do
    live=$1; new=$2; old=$3; shift 3
    there "$new" || continue
    mkdir -p -m 700 -- "$(dirname "$old")"
    mkdir -p -- "$(dirname "$live")"
    if [ "$(stat -c %d -- "$(dirname "$live")")" != "$(stat -c %d -- "$(dirname "$new")")" ]; then
        echo "$live is on another file system than $new: it can't be exchanged" >&2; exit 1
    fi
    if there "$live"; then
        if there "$old"; then echo "$old is there already: is another restore under way?" >&2; exit 1; fi
        mv -T -- "$live" "$old"
    fi
    mv -T -- "$new" "$live"
done
sync"#;

/// The other way round: the restored one waits again, the one from before is in use.
const BACK: &str = r#"set -e
there() { [ -e "$1" ] || [ -L "$1" ]; }
while [ $# -ge 3 ]; do
    live=$1; new=$2; old=$3; shift 3
    if ! there "$new" && there "$live"; then
        mkdir -p -- "$(dirname "$new")"
        mv -T -- "$live" "$new"
    fi
    if there "$old" && ! there "$live"; then mv -T -- "$old" "$live"; fi
done
sync"#;

/// Where the state of an application's restore is written.
#[derive(Clone)]
pub(crate) struct Journal {
    pub host: Host,
    path: PathBuf,
}

impl Journal {
    /// `data` is matou's own folder on the storage node.
    pub fn new(host: &Host, data: &Path, app: &str) -> Self {
        Self {
            host: host.clone(),
            path: data.join("restores").join(format!("{app}.json")),
        }
    }

    /// What is written; `None` when no restore is under way or kept.
    ///
    /// # Errors
    /// When the node can't be asked, or the file can't be understood.
    pub async fn read(&self) -> Result<Option<RestoreState>, StepError> {
        let read = Command::sh("[ ! -e \"$1\" ] || cat -- \"$1\"")
            .arg(self.path.display().to_string())
            .sudo()
            .timeout(Duration::from_secs(20))
            .label("state of the restore");
        let text = self.host.run_ok(&read).await?.text();
        if text.is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&text).map(Some).map_err(|e| {
            StepError::failed(format!(
                "{} on {} can't be understood ({e}): it tells what a restore set aside; look at the folders beside it",
                self.path.display(),
                self.host.name()
            ))
        })
    }

    /// Writes it, complete or not at all.
    pub async fn write(&self, state: &RestoreState) -> Result<(), StepError> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let make = Command::new("mkdir")
            .args(["-p", "-m", "700", "--"])
            .arg(folder.display().to_string())
            .sudo()
            .timeout(Duration::from_secs(20));
        self.host.run_ok(&make).await?;
        let text = serde_json::to_vec_pretty(state)
            .map_err(|e| StepError::failed(format!("the state can't be written: {e}")))?;
        let path = self.path.display().to_string();
        Ok(self.host.upload(&path, &text, 0o600).await?)
    }

    /// Nothing is under way or kept any more: everything of the restore is removed, the state last.
    pub async fn clear(&self, state: &RestoreState) -> Result<(), StepError> {
        self.remove(std::slice::from_ref(&state.folder)).await?;
        self.remove(std::slice::from_ref(&self.path)).await
    }

    /// Removes files and folders of matou's own.
    pub async fn remove(&self, paths: &[PathBuf]) -> Result<(), StepError> {
        let remove = Command::new("rm")
            .args(["-rf", "--one-file-system", "--"])
            .args(paths.iter().map(|p| p.display().to_string()))
            .sudo()
            .timeout(Duration::from_secs(1800));
        self.host.run_ok(&remove).await?;
        Ok(())
    }

    /// Puts what was restored in place.
    pub async fn forward(&self, swaps: &[Swap]) -> Result<(), StepError> {
        self.exchange(FORWARD, "exchange folders", swaps).await
    }

    /// Puts what was there before in place.
    pub async fn back(&self, swaps: &[Swap]) -> Result<(), StepError> {
        self.exchange(BACK, "exchange folders back", swaps).await
    }

    async fn exchange(&self, script: &str, label: &str, swaps: &[Swap]) -> Result<(), StepError> {
        let paths = swaps
            .iter()
            .flat_map(|s| [&s.live, &s.new, &s.old])
            .map(|p| p.display().to_string());
        let command = Command::sh(script)
            .args(paths)
            .sudo()
            .timeout(Duration::from_secs(120))
            .label(label);
        self.host.run_ok(&command).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn run(script: &str, swaps: &[Swap]) -> bool {
        let paths = swaps.iter().flat_map(|s| [&s.live, &s.new, &s.old]);
        Command::new("sh")
            .arg("-c")
            .arg(script)
            .arg("sh")
            .args(paths)
            .status()
            .unwrap()
            .success()
    }

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path.join("f")).unwrap_or_default()
    }

    fn swap(dir: &Path, n: usize) -> Swap {
        Swap {
            live: dir.join(format!("live {n}")),
            new: dir.join(format!("job/new/{n}")),
            old: dir.join(format!("job/old/{n}")),
        }
    }

    fn make(path: &Path, content: &str) {
        std::fs::create_dir_all(path).unwrap();
        std::fs::write(path.join("f"), content).unwrap();
    }

    /// Whatever of the renames has been done when it is interrupted, running it again ends it, and
    /// running the other way brings everything back.
    #[test]
    fn an_exchange_that_stopped_anywhere_can_be_ended_or_taken_back() {
        for done in 0..=4 {
            for forward in [true, false] {
                let dir = tempfile::tempdir().unwrap();
                let swaps = [swap(dir.path(), 0), swap(dir.path(), 1)];
                for s in &swaps {
                    make(&s.live, "before");
                    make(&s.new, "restored");
                }
                std::fs::create_dir_all(dir.path().join("job/old")).unwrap();
                // The renames in their order, the first of them done.
                let renames: Vec<(&Path, &Path)> = swaps
                    .iter()
                    .flat_map(|s| [(&*s.live, &*s.old), (&*s.new, &*s.live)])
                    .collect();
                for (from, to) in &renames[..done] {
                    std::fs::rename(from, to).unwrap();
                }
                let script = if forward { FORWARD } else { BACK };
                let wanted = if forward { "restored" } else { "before" };
                for _ in 0..2 {
                    assert!(run(script, &swaps));
                    for s in &swaps {
                        assert_eq!(read(&s.live), wanted, "{done} {forward}");
                    }
                }
                // And the other way.
                assert!(run(if forward { BACK } else { FORWARD }, &swaps));
                let other = if forward { "before" } else { "restored" };
                assert_eq!(read(&swaps[1].live), other);
            }
        }
    }

    #[test]
    fn what_was_not_there_before_goes_again() {
        let dir = tempfile::tempdir().unwrap();
        let swaps = [swap(dir.path(), 0)];
        make(&swaps[0].new, "restored");
        assert!(run(FORWARD, &swaps));
        assert_eq!(read(&swaps[0].live), "restored");
        assert!(run(BACK, &swaps) && run(BACK, &swaps));
        assert!(!swaps[0].live.exists() && swaps[0].new.exists());
    }

    #[test]
    fn what_was_set_aside_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let swaps = [swap(dir.path(), 0)];
        make(&swaps[0].live, "in use");
        make(&swaps[0].new, "restored");
        make(&swaps[0].old, "kept");
        assert!(!run(FORWARD, &swaps));
        assert_eq!(read(&swaps[0].live), "in use");
        assert_eq!(read(&swaps[0].old), "kept");
    }
}
