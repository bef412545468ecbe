//! What all steps of an erasing share.

use matou_i18n::tr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::inventory::EraseInventory;
use crate::FleetContext;
use matou_backup::{Restic, matou_folder};
use matou_docker::NodeHandle;
use matou_host::{Command, Host};
use matou_job::{StepContext, StepError};
use matou_stack::AppName;

/// What could not be destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EraseLeftover {
    pub what: String,
    /// How long it stays, or what ends it.
    pub until: String,
    /// Whether another run may destroy it, or may find that it is gone.
    pub is_for_another_run: bool,
}

/// What all steps share.
pub(super) struct EraseContext {
    pub fleet: FleetContext,
    pub app: AppName,
    pub storage: NodeHandle,
    pub inventory: EraseInventory,
    pub repositories: Vec<Restic>,
    /// What this run could not destroy.
    pub leftovers: Mutex<Vec<EraseLeftover>>,
}

impl EraseContext {
    pub(super) fn lock_leftovers(&self) -> MutexGuard<'_, Vec<EraseLeftover>> {
        self.leftovers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that something stays until this is run again, and notes it for the record.
    pub(super) async fn note_leftover(
        &self,
        cx: &StepContext,
        what: impl Into<String>,
        until: impl Into<String>,
    ) {
        self.note(cx, what.into(), until.into(), true).await;
    }

    /// Tells that something stays of which no run of this job can destroy anything.
    pub(super) async fn note_out_of_reach(
        &self,
        cx: &StepContext,
        what: impl Into<String>,
        until: impl Into<String>,
    ) {
        self.note(cx, what.into(), until.into(), false).await;
    }

    async fn note(&self, cx: &StepContext, what: String, until: String, is_for_another_run: bool) {
        let left = EraseLeftover {
            what,
            until,
            is_for_another_run,
        };
        let line = tr!("NOT destroyed: {}; {}", left.what, left.until);
        cx.out
            .send_line(matou_job::OutputStream::Stderr, line)
            .await;
        let mut all = self.lock_leftovers();
        if !all.contains(&left) {
            all.push(left);
        }
    }

    pub(super) fn storage_host(&self) -> &Host {
        &self.storage.host
    }

    /// Returns the folder of the records, and of the files that an interrupted run leaves.
    pub(super) fn record_folder(&self) -> PathBuf {
        matou_folder(&self.fleet.config).join("erased")
    }

    pub(super) fn inventory_path(&self) -> PathBuf {
        self.record_folder()
            .join(format!("{}.begun.json", self.app))
    }

    /// Returns the path of the list of what was destroyed so far, by all runs.
    pub(super) fn destroyed_log_path(&self) -> PathBuf {
        self.record_folder().join(format!("{}.gone", self.app))
    }

    /// Writes down what is about to be destroyed, so that the record never lacks it.
    pub(super) async fn log_destroyed(&self, lines: &[String]) -> Result<(), StepError> {
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
            .label(tr!("write down what is destroyed"));
        self.storage_host().run_ok(&append).await?;
        Ok(())
    }

    /// Reads the lines that [`EraseContext::log_destroyed`] wrote, each once.
    pub(super) async fn read_destroyed_log(&self) -> Result<Vec<String>, StepError> {
        let read = Command::sh("cat -- \"$1\" 2>/dev/null || :")
            .arg(self.destroyed_log_path().display().to_string())
            .sudo()
            .timeout(std::time::Duration::from_secs(30))
            .label(tr!("what was destroyed"));
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
