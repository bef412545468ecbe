//! Updates a staging folder from one snapshot to a newer one, fetching only what differs. This
//! works with every version of restic; its own `--overwrite if-changed` came with 0.17.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::staging::{COUNT_SCRIPT, StageSnapshot};
use matou_backup::listing::{self, escape_include_pattern};
use matou_host::quote_args;
use matou_job::{StepContext, StepError};
use matou_model::{DifferenceKind, EntryKind};

/// Differing paths up to which the difference is fetched: restic compares every file with every
/// pattern. With more of them everything is written anew.
const MAX_DIFFERENCES: usize = 4000;

/// What is done to the folder, by paths of the snapshot.
#[derive(Debug, Default, PartialEq, Eq)]
struct StagingUpdate {
    /// Gone, or in the way of what comes in its place.
    remove: Vec<String>,
    /// Files, and folders with all that is in them.
    fetch: Vec<String>,
    /// Folders that stay and may have another owner or mode.
    attributes: Vec<String>,
}

impl StagingUpdate {
    fn from_differences(differing: Vec<(DifferenceKind, String)>, wanted: &[String]) -> Self {
        let mut work = Self::default();
        let mut whole: BTreeSet<String> = BTreeSet::new();
        for (how, path) in differing {
            let folder = path.ends_with('/');
            let path = path.trim_end_matches('/').to_owned();
            let inside = |folder: &String| Path::new(&path).starts_with(folder);
            // The content of a folder that is fetched or removed goes with the folder.
            let known = Path::new(&path)
                .ancestors()
                .skip(1)
                .any(|a| whole.contains(a.to_string_lossy().as_ref()));
            if known || !wanted.iter().any(inside) {
                continue;
            }
            match how {
                DifferenceKind::Metadata if folder => work.attributes.push(path),
                DifferenceKind::Metadata => work.fetch.push(path),
                DifferenceKind::Removed => {
                    if folder {
                        whole.insert(path.clone());
                    }
                    work.remove.push(path);
                }
                DifferenceKind::Added | DifferenceKind::Modified => {
                    if folder {
                        whole.insert(path.clone());
                    }
                    work.remove.push(path.clone());
                    work.fetch.push(path);
                }
            }
        }
        work
    }

    /// The script of the unit; its arguments are id, folder, options and the paths that are counted.
    fn render_script(&self, attributes: &[(String, String, String)]) -> String {
        let mut text = String::from("id=$1; stage=$2; options=$3; shift 3\n");
        for path in &self.remove {
            let _ = writeln!(
                text,
                "rm -rf --one-file-system -- \"$stage\"{} || exit 1",
                quote_args([path.as_str()])
            );
        }
        if !self.fetch.is_empty() {
            let patterns = self.fetch.iter().map(|p| escape_include_pattern(p));
            let includes: Vec<String> = patterns.map(|p| format!("--include={p}")).collect();
            let _ = writeln!(
                text,
                "restic restore $options --target \"$stage\" \"$id\" {} || exit",
                quote_args(includes.iter().map(String::as_str))
            );
        }
        for (path, owner, mode) in attributes {
            let path = quote_args([path.as_str()]);
            let _ = writeln!(
                text,
                "chown -- {owner} \"$stage\"{path} && chmod -- {mode} \"$stage\"{path} || exit 1"
            );
        }
        text + COUNT_SCRIPT
    }
}

impl StageSnapshot {
    /// Updates the folder, which holds the snapshot `from` completely, to this snapshot. Returns
    /// false, and changes nothing, if there are too many differences.
    ///
    /// # Errors
    /// Those of restic; the folder holds no snapshot completely then.
    pub(crate) async fn update_from(
        &self,
        from: &str,
        cx: &StepContext,
    ) -> Result<bool, StepError> {
        let told = |e: matou_backup::BackupError| StepError::failed(e.to_string());
        let (restic, id) = (&self.source.restic, &self.source.id);
        let differing =
            listing::list_differing_paths(restic, from, id, MAX_DIFFERENCES, &cx.cancel).await;
        let Some(differing) = differing.map_err(told)? else {
            return Ok(false);
        };
        let work = StagingUpdate::from_differences(differing, &self.paths);
        let mut attributes = Vec::new();
        if !work.attributes.is_empty() {
            let paths: Vec<&str> = work.attributes.iter().map(String::as_str).collect();
            let entries = listing::find_entries(restic, id, &paths, &cx.cancel).await;
            for entry in entries.map_err(told)? {
                if entry.kind == EntryKind::Folder {
                    let owner = format!("{}:{}", entry.uid, entry.gid);
                    attributes.push((entry.path, owner, format!("{:03o}", entry.mode)));
                }
            }
        }
        let gone = work.remove.iter().filter(|p| !work.fetch.contains(p));
        let changed = work.fetch.len() + gone.count();
        let app = &self.source.app;
        cx.out
            .note(tr!(
                "{app}: {changed} files and folders changed since the copy"
            ))
            .await;
        let mut args = vec![
            id.clone(),
            self.folder.display().to_string(),
            self.restore_options().await?,
        ];
        args.extend(self.paths.iter().cloned());
        self.run_counted_script(cx, &work.render_script(&attributes), args)
            .await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_fetched() {
        let differing = [
            (DifferenceKind::Metadata, "/d/shop/"),
            (DifferenceKind::Added, "/d/shop/new/"),
            (DifferenceKind::Added, "/d/shop/new/a"),
            (DifferenceKind::Modified, "/d/shop/it's [1].txt"),
            (DifferenceKind::Removed, "/d/shop/old"),
            (DifferenceKind::Metadata, "/d/shop/mode"),
            (DifferenceKind::Modified, "/d/shopping/x"),
            (DifferenceKind::Modified, "/elsewhere/x"),
        ];
        let differing = differing.map(|(how, path)| (how, path.to_owned()));
        let work = StagingUpdate::from_differences(differing.into(), &["/d/shop".to_owned()]);
        assert_eq!(
            work,
            StagingUpdate {
                remove: ["/d/shop/new", "/d/shop/it's [1].txt", "/d/shop/old"]
                    .map(str::to_owned)
                    .into(),
                fetch: ["/d/shop/new", "/d/shop/it's [1].txt", "/d/shop/mode"]
                    .map(str::to_owned)
                    .into(),
                attributes: vec!["/d/shop".into()],
            }
        );
    }

    /// In a real shell, with a restic that says what it was asked for.
    #[test]
    fn the_script_removes_fetches_and_counts() {
        let dir = tempfile::tempdir().unwrap();
        let stage = dir.path().join("staged");
        std::fs::create_dir_all(stage.join("d/shop/$(touch x)")).unwrap();
        for (name, text) in [("a", "aa"), ("b", "b"), ("$(touch x)/c", "c")] {
            std::fs::write(stage.join("d/shop").join(name), text).unwrap();
        }
        let work = StagingUpdate {
            remove: vec!["/d/shop/$(touch x)".into(), "/d/shop/b".into()],
            fetch: vec!["/d/shop/b*".into()],
            attributes: Vec::new(),
        };
        let owner = format!("{}:{}", nix::unistd::geteuid(), nix::unistd::getegid());
        let attributes = [("/d/shop".to_owned(), owner, "750".to_owned())];
        let script = format!(
            "restic() {{ printf '%s\\n' \"$@\" >asked; printf 123 >\"$stage/d/shop/b*\"; }}\n{}",
            work.render_script(&attributes)
        );
        let out = std::process::Command::new("sh")
            .args([
                "-c",
                &script,
                "sh",
                "0123",
                &stage.display().to_string(),
                "",
                "/d/shop",
            ])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stdout), "matou: written 2 5\n");
        let asked = std::fs::read_to_string(dir.path().join("asked")).unwrap();
        assert!(
            asked.ends_with("\n0123\n--include=/d/shop/b\\*\n"),
            "{asked}"
        );
        assert!(!dir.path().join("x").exists());
        let mode = std::fs::metadata(stage.join("d/shop"))
            .unwrap()
            .permissions();
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
            0o750
        );
    }
}
