//! An application's data, saved before an update and put back when that fails.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::backup::list_primary_snapshots;
use crate::recover::{RecoveryFindings, run_job_in_step};
use crate::restore::SwapLog;
use crate::update_mark::UpdateMark;
use crate::{FleetContext, Request, RestoreDestination, RestoreScope};
use matou_backup::RestorePhase;
use matou_job::{Change, Job, StepContext, StepError};
use matou_stack::AppName;

/// How long it may take to put the data back.
pub(crate) const GO_BACK_LIMIT: Duration = Duration::from_secs(13 * 3600);

fn short_id(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
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
            StepError::failed(tr!(
                "the snapshot that was made is not listed: nothing is updated"
            ))
        })?;
        let note = tr!(
            "as it is now: `matou restore {} --snapshot {}` puts it back",
            self.app,
            short_id(&id)
        );
        cx.out.note(note).await;
        self.mark()?.set(&id).await?;
        Ok(id)
    }

    fn mark(&self) -> Result<UpdateMark<'_>, StepError> {
        UpdateMark::of_app(&self.fleet, &self.app)
    }

    /// Notes that the update has ended as it should.
    pub(crate) async fn end(&self, cx: &StepContext) {
        if let Ok(mark) = self.mark() {
            mark.remove(cx).await;
        }
    }

    /// Notes that the data is still what the snapshot holds.
    pub(crate) async fn end_untouched(&self, id: &str, cx: &StepContext) {
        if let Ok(mark) = self.mark() {
            mark.remove_for(id, cx).await;
        }
    }

    /// Returns, for the plan, what an update that was cut off left: its data may be half updated.
    pub(crate) async fn find_cut_off(&self) -> Result<Option<Change>, StepError> {
        let mark = self.mark()?.read().await?;
        Ok(mark.map(|mark| {
            let begun = mark.begun.strftime("%Y-%m-%d %H:%M UTC");
            // It was read from a file that may be somebody else's.
            let id: String = mark.snapshot.chars().filter(char::is_ascii_hexdigit).collect();
            Change::same(tr!("data of {}", self.app)).with_warning(tr!(
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
            Change::decide(tr!(
                "what an earlier restore of {0} replaced is kept still, and its data could not be put back: `matou restore forget {0}`, or `matou restore undo {0}`",
                self.app
            ))
        }))
    }

    /// Says that the data is put back, and why.
    pub(crate) async fn note_return(&self, id: &str, why: &StepError, cx: &StepContext) {
        let note = tr!(
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
        StepError::failed(tr!(
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
        match restored {
            Ok(()) if why.is_cancelled() => why,
            Ok(()) => StepError::failed(tr!(
                "{why}; its data is as it was before the update. What came in since, and what the update left, is kept aside: `matou restore undo {0}` brings it back, `matou restore forget {0}` lets it go",
                self.app
            )),
            Err(worse) => StepError::failed(tr!(
                "{why}; and its data could not be put back: {worse}. When that is mended, `matou restore {} --snapshot {}` does it",
                self.app,
                short_id(id)
            )),
        }
    }
}
