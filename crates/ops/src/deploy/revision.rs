//! An application as a revision of the fleet folder has it: its file, and its stack's.

use matou_i18n::tr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use crate::app_history::find_fleet_folder;
use crate::backup::select_app_files;
use crate::{FleetContext, OpsError};
use matou_base::files::{MAX_CONFIG_BYTES, READABLE_MODE, read_text, write_atomically};
use matou_history::{FileChange, FleetFolder, FolderFile, find_open_secrets};
use matou_job::Change;
use matou_stack::{AppFile, AppName, Catalogue};

/// Characters of a commit's id that are shown.
const SHORT_ID: usize = 10;

/// Its files, and what goes with them.
pub(crate) struct RevisionFiles {
    pub app_file: AppFile,
    /// The stacks of that time.
    pub catalogue: Arc<Catalogue>,
    pub changes: Vec<FileChange>,
    /// For the plan.
    pub notes: Vec<Change>,
    /// The stacks are read from here as long as they are rendered.
    _stacks: tempfile::TempDir,
}

impl RevisionFiles {
    /// Reads the files that an application had at a revision.
    ///
    /// # Errors
    /// No history is kept, there is no such revision, it has no such application, or its files are wrong.
    pub(super) async fn load(
        app: &AppName,
        revision: &str,
        fleet: &FleetContext,
    ) -> Result<Self, OpsError> {
        let folder = find_fleet_folder(fleet)?;
        let commit = folder.resolve_revision(revision).await?;
        let short = &commit[..SHORT_ID.min(commit.len())];
        let all = folder.list_files_at(&commit).await?;
        let files = select_app_files(&all, app);
        let name = AppFile::name(app);
        let Some((_, text)) = files.iter().find(|(n, _)| *n == name) else {
            return Err(OpsError::failed(tr!(
                "{short} has no {name}: `matou history {app}` lists the revisions that have"
            )));
        };
        let text = String::from_utf8_lossy(text);
        let app_file = AppFile::parse(&format!("{short}:{name}"), &text)?;
        if let Some((stack, found)) = find_left_out_stack(&folder, &all, &app_file.stack) {
            return Err(OpsError::failed(tr!(
                "{short} has no {stack}: the history leaves it out as long as it holds in the open what looks like a secret ({found}); put that into a Docker secret, and later revisions have it"
            )));
        }
        let stacks = unpack_stacks(&all)?;
        let catalogue = Catalogue::load_revision(stacks.path(), short);
        let changes = list_changes(&folder, files);
        let notes = describe_neighbours(app, &app_file, &changes, &folder);
        Ok(Self {
            app_file,
            catalogue: Arc::new(catalogue?),
            changes,
            notes,
            _stacks: stacks,
        })
    }
}

/// Returns the name of a stack's file that a revision does not have, and what keeps it out of the history as it is
/// now: a built-in stack of that name is another one.
fn find_left_out_stack(
    folder: &FleetFolder,
    all: &[FolderFile],
    stack: &str,
) -> Option<(String, String)> {
    let names = ["yml", "yaml"].map(|end| format!("stacks/{stack}.{end}"));
    if all.iter().any(|(name, _)| names.contains(name)) {
        return None;
    }
    names.into_iter().find_map(|name| {
        let text = read_text(&folder.path().join(&name), MAX_CONFIG_BYTES).ok()?;
        let found = find_open_secrets(&name, &text).join(", ");
        (!found.is_empty()).then_some((name, found))
    })
}

/// Writes the stacks of a revision into a folder that is gone with what is returned.
fn unpack_stacks(all: &[FolderFile]) -> Result<tempfile::TempDir, OpsError> {
    let failed = |e: std::io::Error| tr!("the revision's files can't be unpacked: {e}");
    let folder = tempfile::tempdir().map_err(failed)?;
    for (name, content) in all {
        let is_inside = std::path::Path::new(name)
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        if is_inside && name.starts_with("stacks/") {
            write_atomically(&folder.path().join(name), content, 0o600).map_err(failed)?;
        }
    }
    Ok(folder)
}

/// What is to be written so that the folder has the files again.
fn list_changes(folder: &FleetFolder, files: Vec<FolderFile>) -> Vec<FileChange> {
    let changes = files.into_iter().map(|(name, content)| {
        let found = folder.path().join(&name).metadata();
        FileChange::Replace {
            mode: found.map_or(READABLE_MODE, |m| m.permissions().mode() & 0o777),
            name,
            content,
        }
    });
    changes.collect()
}

/// Says which other applications the stack's files belong to, too.
fn describe_neighbours(
    app: &AppName,
    file: &AppFile,
    changes: &[FileChange],
    folder: &FleetFolder,
) -> Vec<Change> {
    let is_changed = |change: &&FileChange| {
        let held = std::fs::read(folder.path().join(change.name()));
        change.name().starts_with("stacks/") && held.ok().as_deref() != change.content()
    };
    if changes.iter().find(is_changed).is_none() {
        return Vec::new();
    }
    let mut others = AppFile::list_names(folder.path());
    others.retain(|other| {
        let loaded = AppFile::load(folder.path(), other);
        other != app && loaded.is_ok_and(|f| f.is_some_and(|f| f.stack == file.stack))
    });
    let note = |other: AppName| {
        Change::same(tr!("{other} has the same stack"))
            .with_warning(tr!("its next deploy goes back to these files, too"))
    };
    others.into_iter().map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_config::Config;

    #[test]
    fn a_stack_that_the_history_leaves_out_is_named_with_its_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let node = "[[nodes]]\nname = \"n1\"\nrole = \"manager\"\naddress = \"192.0.2.1\"\n";
        std::fs::write(&path, node).unwrap();
        std::fs::create_dir(dir.path().join("stacks")).unwrap();
        let open = "services: {web: {image: x, environment: {DB_PASSWORD: planted}}}\n";
        std::fs::write(dir.path().join("stacks/shop.yml"), open).unwrap();
        std::fs::write(dir.path().join("stacks/plain.yml"), "services: {}\n").unwrap();
        let folder = FleetFolder::of_config(&Config::load(Some(&path)).unwrap()).unwrap();
        let there = [("stacks/blog.yml".to_owned(), Vec::<u8>::new())];
        let find = |stack: &str| find_left_out_stack(&folder, &there, stack);
        assert_eq!(
            find("shop"),
            Some(("stacks/shop.yml".to_owned(), "DB_PASSWORD".to_owned()))
        );
        assert_eq!(find("plain"), None);
        assert_eq!(find("ghost"), None);
        assert_eq!(find("blog"), None);
    }
}
