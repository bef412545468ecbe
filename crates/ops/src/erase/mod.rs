//! Erasing an application: everything that is known of it is destroyed, in every repository too, and
//! a dated record says what was, what could not be, and until when that stays.
//!
//! What belongs to it is written down on the storage node before anything is destroyed
//! (`.matou/erased/APP.begun.json`), so that the same command goes on after an interruption at any
//! moment: its services, its file and its snapshots may be gone by then.

mod inventory;
mod kept_data;
mod objects;
mod record;
mod repository;
mod volumes;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::remove::RemoveApp;
use super::{FleetContext, Request, backup, build_job_on_node};
use crate::OpsError;
use matou_backup::{Restic, matou_folder};
use matou_docker::NodeHandle;
use matou_host::{Command, Host};
use matou_job::{Confirm, Job, Step, StepContext, StepError};
use matou_stack::AppName;

use inventory::EraseInventory;

/// What could not be destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EraseLeftover {
    what: String,
    /// How long it stays, or what ends it.
    until: String,
}

/// What all steps share.
struct EraseContext {
    fleet: FleetContext,
    app: AppName,
    storage: NodeHandle,
    inventory: EraseInventory,
    repositories: Vec<Restic>,
    /// What this run could not destroy.
    leftovers: Mutex<Vec<EraseLeftover>>,
}

impl EraseContext {
    fn lock_leftovers(&self) -> MutexGuard<'_, Vec<EraseLeftover>> {
        self.leftovers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that something stays, and notes it for the record.
    async fn note_leftover(
        &self,
        cx: &StepContext,
        what: impl Into<String>,
        until: impl Into<String>,
    ) {
        let left = EraseLeftover {
            what: what.into(),
            until: until.into(),
        };
        let line = format!("NOT destroyed: {}; {}", left.what, left.until);
        cx.out
            .send_line(matou_job::OutputStream::Stderr, line)
            .await;
        let mut all = self.lock_leftovers();
        if !all.contains(&left) {
            all.push(left);
        }
    }

    fn storage_host(&self) -> &Host {
        &self.storage.host
    }

    /// Returns the folder of the records, and of the files that an interrupted run leaves.
    fn record_folder(&self) -> PathBuf {
        matou_folder(&self.fleet.config).join("erased")
    }

    fn inventory_path(&self) -> PathBuf {
        self.record_folder()
            .join(format!("{}.begun.json", self.app))
    }

    /// Returns the path of the list of what was destroyed so far, by all runs.
    fn destroyed_log_path(&self) -> PathBuf {
        self.record_folder().join(format!("{}.gone", self.app))
    }

    /// Writes down what is about to be destroyed, so that the record never lacks it.
    async fn log_destroyed(&self, lines: &[String]) -> Result<(), StepError> {
        if lines.is_empty() {
            return Ok(());
        }
        let text = lines
            .iter()
            .map(|l| matou_base::text::clean_line(l).into_owned() + "\n")
            .collect::<String>();
        let append = Command::sh("set -e; umask 077; mkdir -p -m 700 -- \"$(dirname -- \"$1\")\"; cat >>\"$1\"; sync -- \"$1\"")
            .arg(self.destroyed_log_path().display().to_string())
            .stdin(text.into_bytes())
            .sudo()
            .timeout(std::time::Duration::from_secs(30))
            .label("write down what is destroyed");
        self.storage_host().run_ok(&append).await?;
        Ok(())
    }

    /// Reads the lines that [`EraseContext::log_destroyed`] wrote, each once.
    async fn read_destroyed_log(&self) -> Result<Vec<String>, StepError> {
        let read = Command::sh("cat -- \"$1\" 2>/dev/null || :")
            .arg(self.destroyed_log_path().display().to_string())
            .sudo()
            .timeout(std::time::Duration::from_secs(30))
            .label("what was destroyed");
        let text = self.storage_host().run_ok(&read).await?.stdout_text();
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines() {
            if !lines.iter().any(|l| l == line) {
                lines.push(line.to_owned());
            }
        }
        Ok(lines)
    }
}

/// Makes the job of [`Request::Erase`].
///
/// # Errors
/// One sentence: no manager answers, the storage node can't be asked, or something of the
/// application is just being backed up or restored.
pub(super) async fn build_erase_job(app: &AppName, fleet: &FleetContext) -> Result<Job, OpsError> {
    let storage = fleet.nodes.get(&fleet.config.storage.node).cloned();
    let storage = storage.ok_or("the storage node is not among the nodes of config.toml")?;
    let busy = storage.host.list_detached_units("matou-").await;
    let busy = busy?;
    let own = [
        format!("{}{app}", backup::APP_UNIT_PREFIX),
        format!("matou-restore-{app}"),
        format!("matou-verify-{app}"),
    ];
    if let Some(unit) = busy.iter().find(|u| own.contains(u)) {
        return Err(OpsError::failed(format_args!(
            "{unit} works on {app} now: wait until it has ended, or stop it"
        )));
    }
    let manager = fleet.nodes.find_manager().await?;
    let repositories = backup::open_all_repositories(fleet).await;
    let repositories = repositories?;
    let known = EraseInventory::gather(fleet, app, manager, &storage, &repositories).await?;
    let work = Arc::new(EraseContext {
        fleet: fleet.clone(),
        app: app.clone(),
        storage,
        inventory: known,
        repositories,
        leftovers: Mutex::default(),
    });
    let gone = work
        .inventory
        .volumes
        .iter()
        .map(|v| v.name.clone())
        .collect();
    let mut steps: Vec<Box<dyn Step>> = vec![
        Box::new(record::WriteEraseInventory(work.clone())),
        Box::new(RemoveApp {
            app: app.to_string(),
            volumes_removed_later: gone,
        }),
        Box::new(objects::RemoveSwarmObjects(work.clone())),
        Box::new(objects::ForgetCertificates(work.clone())),
        Box::new(kept_data::RemoveAppFiles(work.clone())),
        Box::new(kept_data::RemoveKeptData(work.clone())),
        Box::new(volumes::EraseVolumes(work.clone())),
    ];
    for nth in 0..work.repositories.len() {
        steps.push(Box::new(repository::EraseSnapshots::new(work.clone(), nth)));
    }
    steps.push(Box::new(record::WriteEraseRecord(work.clone())));
    let request = Request::Erase { app: app.clone() };
    let confirm = Confirm::TypeName(app.to_string());
    Ok(build_job_on_node(manager, &request, confirm, steps))
}
