//! An application's data, saved before an update and put back when that fails.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backup::list_primary_snapshots;
use crate::recover::{RecoveryFindings, run_job_in_step};
use crate::restore::SwapLog;
use crate::{FleetContext, Request, RestoreDestination, RestoreScope};
use matou_backup::RestorePhase;
use matou_host::{Command, Host};
use matou_job::{Change, Job, StepContext, StepError};
use matou_stack::AppName;

/// How long it may take to put the data back.
pub(crate) const GO_BACK_LIMIT: Duration = Duration::from_secs(13 * 3600);

fn short_id(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// How long reading and writing of the mark may take.
const MARK_LIMIT: Duration = Duration::from_secs(30);

/// Writes standard input as the file `$1`, whole or not at all.
const WRITE_MARK: &str = "set -e; umask 077; mkdir -p -- \"$(dirname -- \"$1\")\"; cat >\"$1.new\"; sync -- \"$1.new\"; mv -f -T -- \"$1.new\" \"$1\"";

/// What stands on the storage node (`.matou/updates/APP.json`) from an update's snapshot until it has
/// ended: of one that was cut off, it says where the data of before is.
#[derive(Debug, Serialize, Deserialize)]
struct BegunUpdate {
    /// Id of the snapshot.
    snapshot: String,
    begun: jiff::Timestamp,
}

/// The data of an application that is about to be updated.
pub(crate) struct DataBeforeUpdate {
    pub app: AppName,
    pub fleet: FleetContext,
}

impl DataBeforeUpdate {
    /// Runs a job about the application inside a step of the update.
    pub(crate) async fn run_part(&self, job: Job, cx: &StepContext) -> Result<(), StepError> {
        let findings = RecoveryFindings::default();
        let done = run_job_in_step(job, &self.app, &self.fleet, cx, &findings).await;
        done.map_err(|e| match cx.cancel.is_cancelled() {
            true => StepError::Cancelled,
            false => e.into(),
        })
    }

    async fn list_snapshot_ids(&self) -> Result<BTreeSet<String>, StepError> {
        let listed = list_primary_snapshots(&self.fleet, Some(&self.app)).await;
        let listed = listed.map_err(|e| StepError::failed(e.to_string()))?;
        Ok(listed.into_iter().map(|s| s.snapshot.id).collect())
    }

    /// Backs it up. Returns the id of the snapshot: which is the newest, a wrong clock may hide.
    pub(crate) async fn back_up(&self, cx: &StepContext) -> Result<String, StepError> {
        let before = self.list_snapshot_ids().await?;
        let job = crate::backup::build_running_app_backup(&self.app, &self.fleet).await;
        self.run_part(job?, cx).await?;
        let after = self.list_snapshot_ids().await?;
        let made = after.difference(&before).next().cloned();
        let id = made.ok_or_else(|| {
            StepError::failed("the snapshot that was made is not listed: nothing is updated")
        })?;
        let note = format!(
            "as it is now: `matou restore {} --snapshot {}` puts it back",
            self.app,
            short_id(&id)
        );
        cx.out.note(note).await;
        // The data of before the first of several that are cut off stays the one that is named.
        if self.read_mark().await?.is_none() {
            self.write_mark(&id).await?;
        }
        Ok(id)
    }

    fn mark(&self) -> Result<(&Host, PathBuf), StepError> {
        let storage = self.fleet.find_storage_node()?;
        let folder = matou_backup::matou_folder(&self.fleet.config).join("updates");
        Ok((&storage.host, folder.join(format!("{}.json", self.app))))
    }

    async fn read_mark(&self) -> Result<Option<BegunUpdate>, StepError> {
        let (host, path) = self.mark()?;
        let read = Command::sh("[ ! -s \"$1\" ] || cat -- \"$1\"")
            .arg(path.display().to_string())
            .sudo()
            .timeout(MARK_LIMIT)
            .label("an update that was begun");
        let out = host.run_ok(&read).await?;
        Ok(serde_json::from_slice(&out.stdout).ok())
    }

    async fn write_mark(&self, id: &str) -> Result<(), StepError> {
        let (host, path) = self.mark()?;
        let mark = BegunUpdate {
            snapshot: id.to_owned(),
            begun: jiff::Timestamp::now(),
        };
        let text = serde_json::to_vec(&mark).map_err(|e| StepError::failed(e.to_string()))?;
        let write = Command::sh(WRITE_MARK)
            .arg(path.display().to_string())
            .stdin(text)
            .sudo()
            .timeout(MARK_LIMIT)
            .label("note that an update is begun");
        host.run_ok(&write).await?;
        Ok(())
    }

    /// Notes that the update has ended as it should.
    pub(crate) async fn end(&self) -> Result<(), StepError> {
        let (host, path) = self.mark()?;
        let remove = Command::new("rm")
            .args(["-f", "--"])
            .arg(path.display().to_string())
            .sudo()
            .timeout(MARK_LIMIT)
            .label("note that the update has ended");
        host.run_ok(&remove).await?;
        Ok(())
    }

    /// Notes that the data is what it was before, where that is what the snapshot holds. Of an earlier
    /// update that was cut off, the note stays: that one's data is another.
    pub(crate) async fn end_with_data_of(&self, id: &str, cx: &StepContext) {
        let ended = match self.read_mark().await {
            Ok(Some(mark)) if mark.snapshot == id => self.end().await,
            Ok(_) => Ok(()),
            Err(e) => Err(e),
        };
        if let Err(e) = ended {
            cx.out.note(e.to_string()).await;
        }
    }

    /// Returns, for the plan, what an update that was cut off left: its data may be half updated.
    pub(crate) async fn find_cut_off(&self) -> Result<Option<Change>, StepError> {
        let mark = self.read_mark().await?;
        Ok(mark.map(|mark| {
            let begun = mark.begun.strftime("%Y-%m-%d %H:%M UTC");
            // It was read from a file that may be somebody else's.
            let id: String = mark.snapshot.chars().filter(char::is_ascii_hexdigit).collect();
            Change::same(format!("data of {}", self.app)).with_warning(format!(
                "an update that began {begun} was cut off, and it may be half updated: `matou restore {} --snapshot {}` puts back what was before",
                self.app,
                short_id(&id)
            ))
        }))
    }

    /// Returns what an earlier restore left, without which its data could not be put back.
    pub(crate) async fn find_earlier_restore(&self) -> Result<Option<Change>, StepError> {
        let storage = self.fleet.find_storage_node()?;
        let data = matou_backup::matou_folder(&self.fleet.config);
        let state = SwapLog::new(&storage.host, &data, &self.app)
            .read_state()
            .await?;
        let is_left = state.is_some_and(|s| s.phase == RestorePhase::Restored);
        Ok(is_left.then(|| {
            Change::decide(format!(
                "what an earlier restore of {0} replaced is kept still, and its data could not be put back: `matou restore forget {0}`, or `matou restore undo {0}`",
                self.app
            ))
        }))
    }

    /// Says that the data is put back, and why.
    pub(crate) async fn note_return(&self, id: &str, why: &StepError, cx: &StepContext) {
        let note = format!(
            "{why}: its data of before the update is put back, out of {}",
            short_id(id)
        );
        cx.out.note(note).await;
    }

    /// The error of an update whose images could not be put back, because of `worse`: its data is as the
    /// new images left it.
    pub(crate) fn tell_what_is_left(
        &self,
        id: &str,
        why: &StepError,
        worse: &StepError,
    ) -> StepError {
        StepError::failed(format!(
            "{why}; its images could not be put back: {worse}. Its data is left as it is under them: when that is mended, `matou redeploy {0}`, then `matou restore {0} --snapshot {1}`",
            self.app,
            short_id(id)
        ))
    }

    /// Puts back what a snapshot holds. Returns the error to report: `why`, and what came of it.
    pub(crate) async fn put_back(&self, id: &str, why: StepError, cx: &StepContext) -> StepError {
        let request = Request::Restore {
            app: self.app.clone(),
            snapshot: Some(id.to_owned()),
            what: RestoreScope::App,
            to: RestoreDestination::Place,
        };
        let restored = match crate::restore::build_restore_job(&request, &self.fleet).await {
            Ok(job) => self.run_part(job, cx).await,
            Err(e) => Err(e.into()),
        };
        if restored.is_ok() {
            self.end_with_data_of(id, cx).await;
        }
        match restored {
            Ok(()) if why.is_cancelled() => why,
            Ok(()) => StepError::failed(format!(
                "{why}; its data is as it was before the update; `matou restore forget {}` lets go what the update left",
                self.app
            )),
            Err(worse) => StepError::failed(format!(
                "{why}; and its data could not be put back: {worse}. When that is mended, `matou restore {} --snapshot {}` does it",
                self.app,
                short_id(id)
            )),
        }
    }
}
