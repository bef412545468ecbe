//! What matou itself keeps of an application: its file here and on the nodes, kept secrets, dumps,
//! what restores set aside, proofs.

use matou_i18n::tr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::context::EraseContext;
use matou_backup::{FLEET, matou_folder};
use matou_config::StorageDriver;
use matou_history::{FileChange, Reason};
use matou_host::{Command, Host, shell_script};
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::Role;
use matou_stack::AppFile;

/// Where a manager has its copy of the fleet's files.
const MANAGER_FOLDER: &str = "/etc/matou";

/// Prints those of the paths that are there.
const LIST_EXISTING: &str =
    r#"for p; do [ ! -e "$p" ] && [ ! -L "$p" ] || printf '%s\n' "$p"; done"#;

async fn list_existing_paths(host: &Host, paths: &[PathBuf]) -> Result<Vec<String>, StepError> {
    let look = Command::sh(LIST_EXISTING)
        .args(paths.iter().map(|p| p.display().to_string()))
        .sudo()
        .timeout(Duration::from_secs(60))
        .label(tr!("what is there of the application"));
    let text = host.run_ok(&look).await?.stdout_text();
    Ok(text.lines().map(str::to_owned).collect())
}

async fn remove_paths(host: &Host, paths: &[String]) -> Result<(), StepError> {
    let remove = Command::new("rm")
        .args(["-rf", "--one-file-system", "--"])
        .args(paths)
        .sudo()
        .timeout(Duration::from_secs(3600))
        .label(tr!("remove what is there of the application"));
    host.run_ok(&remove).await?;
    Ok(())
}

/// Removes `apps/APP.toml` here, on the storage node and on managers. It goes before the data: the
/// nightly backup leaves out an application that has no file and does not run.
pub(super) struct RemoveAppFiles(pub Arc<EraseContext>);

impl RemoveAppFiles {
    fn local_file(&self) -> Option<PathBuf> {
        let folder = self.0.fleet.config.folder()?;
        let path = AppFile::path(&folder, &self.0.app);
        path.symlink_metadata().is_ok().then_some(path)
    }

    /// Finds the files on nodes, by host; also returns the names of nodes that don't answer.
    async fn find_copies(&self) -> (Vec<(Host, Vec<String>)>, Vec<String>) {
        let (mut found, mut silent) = (Vec::new(), Vec::new());
        let app = &self.0.app;
        let fleet = matou_folder(&self.0.fleet.config).join(FLEET);
        for node in self.0.fleet.nodes.iter() {
            let mut paths = Vec::new();
            if node.config.name == self.0.storage.config.name {
                paths.push(fleet.join("apps").join(format!("{app}.toml")));
                paths.push(fleet.join("stacks").join(format!("app-{app}.yml")));
            }
            if node.config.role == Role::Manager {
                paths.push(
                    PathBuf::from(MANAGER_FOLDER)
                        .join("apps")
                        .join(format!("{app}.toml")),
                );
                paths.push(
                    PathBuf::from(MANAGER_FOLDER)
                        .join("stacks")
                        .join(format!("app-{app}.yml")),
                );
            }
            if paths.is_empty() {
                continue;
            }
            match list_existing_paths(&node.host, &paths).await {
                Ok(list) if list.is_empty() => {}
                Ok(list) => found.push((node.host.clone(), list)),
                Err(_) => silent.push(node.config.name.clone()),
            }
        }
        (found, silent)
    }
}

#[async_trait]
impl Step for RemoveAppFiles {
    fn name(&self) -> String {
        tr!("application file").into()
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let mut lines: Vec<Change> = self
            .local_file()
            .iter()
            .map(|p| Change::remove(format!("{}", p.display())))
            .collect();
        let (found, _) = self.find_copies().await;
        for (host, paths) in found {
            let line = |p: &String| Change::remove(tr!("{p} of {}", host.name()));
            lines.extend(paths.iter().map(line));
        }
        Ok(match lines.is_empty() {
            true => Check::Done(vec![Change::same(tr!("no application file"))]),
            false => Check::Change(lines),
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let file = format!("apps/{}.toml", self.0.app);
        self.0.log_destroyed(&[file]).await?;
        let (found, silent) = self.find_copies().await;
        // Notes on the storage node that it is gone: no other operator's folder brings it back.
        let struck = crate::remove_app_files(&self.0.fleet, &self.0.app).await;
        struck?;
        for (host, paths) in found {
            remove_paths(&host, &paths).await?;
        }
        for node in silent {
            let what = tr!(
                "apps/{}.toml, perhaps, on {node}, which does not answer",
                self.0.app
            );
            self.0
                .note_leftover(cx, what, tr!("until this is run again"))
                .await;
        }
        // Last of all: once it is gone here, it is gone everywhere.
        if let Some(folder) = self.0.fleet.folder() {
            let name = AppFile::name(&self.0.app);
            // Where it can't be read, it may be.
            let known = match folder.keeps_history() {
                true => folder
                    .list_revisions(&[&name], 1)
                    .await
                    .map(|r| !r.is_empty()),
                false => Ok(false),
            };
            if known.unwrap_or(true) || (folder.keeps_history() && self.local_file().is_some()) {
                let what = tr!("{name} in the history of the fleet folder");
                let until = tr!("until that is rewritten, as by `git filter-repo`");
                self.0.note_out_of_reach(cx, what, until).await;
            }
            let reason = Reason {
                title: format!("erase {}", self.0.app),
                lines: Vec::new(),
            };
            let notes = folder.change(&[FileChange::Remove { name }], &reason).await;
            for note in notes.map_err(|e| StepError::failed(e.to_string()))? {
                cx.out.note(note).await;
            }
        }
        Ok(())
    }
}

/// Secrets, dumps, proofs, and what restores set aside.
pub(super) struct RemoveKeptData(pub Arc<EraseContext>);

/// Prints what there is of an application `$2` in matou's folder `$1`, and where Docker keeps volumes;
/// an application's name has no dot, so what begins with `NAME.` is its own.
const LIST_KEPT: &str = shell_script(include_str!("../../scripts/list_kept_data.sh"));

/// Prints what restores of an application keep on a node that is not the storage node.
const LIST_KEPT_RESTORES: &str = shell_script(include_str!("../../scripts/list_kept_restores.sh"));

impl RemoveKeptData {
    async fn list_kept_paths(&self) -> Result<Vec<String>, StepError> {
        let data = matou_folder(&self.0.fleet.config);
        let look = Command::sh(LIST_KEPT)
            .arg(data.display().to_string())
            .arg(&self.0.app)
            .args(self.certificate_copy())
            .sudo()
            .timeout(Duration::from_secs(60))
            .label(tr!("what matou keeps of the application"));
        let text = self.0.storage_host().run_ok(&look).await?.stdout_text();
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Finds what restores set aside on other nodes, beside volumes of their own, by host; also returns the
    /// names of nodes that don't answer.
    async fn find_kept_elsewhere(&self) -> (Vec<(Host, Vec<String>)>, Vec<String>) {
        let (mut found, mut silent) = (Vec::new(), Vec::new());
        let fleet = &self.0.fleet;
        let others = fleet.nodes.iter();
        let others = others.filter(|n| n.config.name != self.0.storage.config.name);
        for node in others.filter(|_| fleet.config.storage.driver == StorageDriver::Local) {
            let look = Command::sh(LIST_KEPT_RESTORES)
                .arg(&self.0.app)
                .sudo()
                .timeout(Duration::from_secs(60))
                .label(tr!("what restores keep of the application"));
            match node.host.run_ok(&look).await {
                Ok(said) => {
                    let paths: Vec<String> =
                        said.stdout_text().lines().map(str::to_owned).collect();
                    found.extend((!paths.is_empty()).then(|| (node.host.clone(), paths)));
                }
                Err(_) => silent.push(node.config.name.clone()),
            }
        }
        (found, silent)
    }

    /// Returns the path of the backup's copy of acme.json, when the application has domains. The
    /// next backup makes that copy again.
    fn certificate_copy(&self) -> Vec<String> {
        let path = matou_folder(&self.0.fleet.config)
            .join(FLEET)
            .join("acme.json");
        match self.0.inventory.domains.is_empty() {
            true => Vec::new(),
            false => vec![path.display().to_string()],
        }
    }
}

#[async_trait]
impl Step for RemoveKeptData {
    fn name(&self) -> String {
        tr!("what matou keeps").into()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(4 * 3600)
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let found = self.list_kept_paths().await?;
        let storage = &self.0.storage.config.name;
        let copy = self.certificate_copy();
        let line = |path: &String| {
            let change = Change::remove(tr!("{path} of {storage}"));
            match copy.contains(path) {
                true => change.with_warning(tr!(
                    "a copy of all certificates; the next backup makes it again"
                )),
                false => change.with_warning(tr!("all that it holds is lost")),
            }
        };
        let mut lines: Vec<Change> = found.iter().map(line).collect();
        let (elsewhere, silent) = self.find_kept_elsewhere().await;
        for (host, paths) in &elsewhere {
            let line = |path: &String| {
                Change::remove(tr!("{path} of {}", host.name()))
                    .with_warning(tr!("all that it holds is lost"))
            };
            lines.extend(paths.iter().map(line));
        }
        let is_nothing = lines.is_empty();
        lines.extend(silent.iter().map(|node| {
            Change::same(tr!("{node} does not answer")).with_warning(tr!(
                "what restores set aside there stays, and is told in the record"
            ))
        }));
        if is_nothing {
            lines.insert(0, Change::same(tr!("matou keeps nothing of it")));
            return Ok(Check::Done(lines));
        }
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let found = self.list_kept_paths().await?;
        let storage = &self.0.storage.config.name;
        let (elsewhere, silent) = self.find_kept_elsewhere().await;
        let mut lines: Vec<String> = found.iter().map(|p| tr!("{p} of {storage}")).collect();
        for (host, paths) in &elsewhere {
            lines.extend(paths.iter().map(|p| tr!("{p} of {}", host.name())));
        }
        self.0.log_destroyed(&lines).await?;
        // The state of a restore lies on the storage node: it goes before what other nodes keep.
        remove_paths(self.0.storage_host(), &found).await?;
        for (host, paths) in &elsewhere {
            remove_paths(host, paths).await?;
        }
        for node in silent {
            let what =
                tr!("what restores set aside of it, perhaps, on {node}, which does not answer");
            self.0
                .note_leftover(cx, what, tr!("until this is run again"))
                .await;
        }
        Ok(())
    }
}
