//! An application that comes from another fleet. Its data is written to the staging folder while it
//! still runs there, updated when it has stopped, and then put in use.

use matou_i18n::tr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::absent::{AbsentVolumes, plan_absent_app_swap};
use super::begin::OpenSwapLog;
use super::exchange::run_or_take_back;
use super::plan::find_app_file;
use super::source::RestoreSource;
use super::staging::StageSnapshot;
use super::swap_steps::plan_staging;
use super::volume_swap::VolumeSwap;
use crate::FleetContext;
use crate::OpsError;
use matou_backup::RestorePhase;
use matou_host::Command;
use matou_job::{ChangeKind, Check, Step, StepContext, StepError};

/// What the staging folder holds. Kept in the file `holds` beside it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StagedContent {
    /// Full id of the snapshot.
    snapshot: String,
    paths: Vec<String>,
}

/// An application, and a snapshot of it from the fleet that it leaves.
pub(crate) struct IncomingApp {
    work: Arc<VolumeSwap>,
    /// None when it has neither data nor secrets.
    stage: Option<StageSnapshot>,
}

impl IncomingApp {
    /// `cx` is of the fleet that it comes to; `source` is read from a node of that fleet.
    ///
    /// # Errors
    /// One sentence: nothing says what it is deployed from, or its stack can't be rendered here.
    pub(crate) async fn load(
        fleet: &FleetContext,
        source: RestoreSource,
    ) -> Result<Self, OpsError> {
        let app = source.app.clone();
        let file = find_app_file(fleet, &source).await?;
        let file = file.ok_or_else(|| {
            tr!("neither the new fleet nor the snapshot has a file apps/{app}.toml, which says what {app} is deployed from")
        })?;
        let places = AbsentVolumes::OnStorageNode;
        let work = plan_absent_app_swap(fleet, source, &app, file, places).await?;
        let (work, stage) = plan_staging(work).await?;
        Ok(Self { work, stage })
    }

    /// Writes the snapshot to the staging folder. If that holds an older snapshot of the
    /// application completely, fetches only the differences.
    ///
    /// # Errors
    /// Those of restic; or set-aside folders of an earlier restore are still kept.
    pub(crate) async fn stage_snapshot(&self, cx: &StepContext) -> Result<(), StepError> {
        let Some(stage) = &self.stage else {
            return Ok(());
        };
        let state = self.work.swap_log.read_state().await?;
        let held = match state.map(|s| s.phase) {
            Some(RestorePhase::Staging) => self.read_staged_content().await?,
            _ => None,
        };
        if let Some(held) = held.filter(|h| h.paths == stage.paths) {
            // While it is updated the staging folder holds no snapshot completely.
            self.remove_staged_content().await?;
            if held.snapshot == stage.source.id || stage.update_from(&held.snapshot, cx).await? {
                return self.write_staged_content(stage).await;
            }
        }
        let begin = OpenSwapLog(self.work.clone());
        if let Check::Change(lines) = begin.check(cx).await?
            && let Some(open) = lines.iter().find(|l| l.kind == ChangeKind::Decide)
        {
            return Err(StepError::failed(open.what.clone()));
        }
        begin.apply(cx).await?;
        stage.check(cx).await?;
        stage.apply(cx).await?;
        self.write_staged_content(stage).await
    }

    /// Deploys it with the data that was written beside; what goes wrong is taken back.
    ///
    /// # Errors
    /// Why it could not be, or does not answer.
    pub(crate) async fn put_in_use(&self, cx: &StepContext) -> Result<(), StepError> {
        self.remove_staged_content().await?;
        run_or_take_back(&self.work, cx).await
    }

    fn content_path(&self) -> PathBuf {
        self.work.folder.join("holds")
    }

    async fn read_staged_content(&self) -> Result<Option<StagedContent>, StepError> {
        let read = Command::sh("[ ! -e \"$1\" ] || cat -- \"$1\"")
            .arg(self.content_path().display().to_string())
            .sudo()
            .timeout(Duration::from_secs(20))
            .label(tr!("which snapshot is there"));
        let text = self.work.swap_log.host.run_ok(&read).await?.stdout_text();
        // A file that can't be parsed counts as none.
        Ok(serde_json::from_str(&text).ok())
    }

    async fn write_staged_content(&self, stage: &StageSnapshot) -> Result<(), StepError> {
        let holds = StagedContent {
            snapshot: stage.source.id.clone(),
            paths: stage.paths.clone(),
        };
        let text = serde_json::to_vec(&holds).unwrap_or_default();
        let path = self.content_path().display().to_string();
        let state = self.work.initial_state(RestorePhase::Staging);
        self.work.swap_log.write_state(&state).await?;
        Ok(self
            .work
            .swap_log
            .host
            .upload_file(&path, &text, 0o600)
            .await?)
    }

    async fn remove_staged_content(&self) -> Result<(), StepError> {
        self.work
            .swap_log
            .remove_paths(&[self.content_path()])
            .await
    }
}
