//! The exchange of folders of a restore, from the stopping of the services to the answer of the
//! application. On a failure everything is taken back: first the folders, then the replicas.

use matou_i18n::tr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::bring_up::ServerBringUp;
use super::state_machine::{self, FailedRestore};
use super::volume_swap::VolumeSwap;
use crate::update_mark::UpdateMark;
use matou_backup::RestorePhase;
use matou_job::{Check, Step, StepContext, StepError};

/// How long everything may take, loading a large dump above all.
const SWAP_TIMEOUT: Duration = Duration::from_secs(12 * 3600);

/// How long taking back may take after the job was cancelled.
pub(crate) const TAKE_BACK_LIMIT: Duration = Duration::from_secs(1800);

/// Does everything, and takes it back if it fails.
pub(super) async fn run_or_take_back(work: &VolumeSwap, cx: &StepContext) -> Result<(), StepError> {
    let rising = ServerBringUp::open(work, cx).await?;
    let mut state = work.initial_state(RestorePhase::Restoring);
    // Taking back is not cancelled with the job.
    let mut calm = rising.site.clone();
    calm.manager.cancel = tokio_util::sync::CancellationToken::new();
    let written = || work.swap_log.read_state();
    let done = state_machine::attempt_restore(&rising, &calm, &mut state, written).await;
    let app = &work.app;
    let Err(FailedRestore { why, kept, in_use }) = done else {
        if work.whole_app
            && let Ok(mark) = UpdateMark::of_app(&work.fleet, app)
        {
            mark.remove_for(&work.source.id, cx).await;
        }
        if state.phase == RestorePhase::Restored {
            cx.out
                .note(tr!(
                    "what was there before is kept: `matou restore undo {app}` brings it back, `matou restore forget {app}` lets it go"
                ))
                .await;
        }
        return Ok(());
    };
    if in_use {
        return Err(StepError::failed(tr!(
            "{app} runs on the restored data, but that it is done could not be written down ({why}). When that is mended, `matou restore forget {app}` ends it, and lets go what was there before; `matou restore undo {app}` takes it back"
        )));
    }
    if matches!(kept, Ok(true)) {
        cx.out
            .note(tr!(
                "services ran on what was restored, so it is kept, with what they wrote: `matou restore forget {app}` lets it go"
            ))
            .await;
    }
    match kept {
        Ok(_) if matches!(why, StepError::Cancelled) => Err(why),
        Ok(_) => Err(StepError::failed(tr!(
            "{why}; it was taken back: {app} is as it was"
        ))),
        Err(worse) => Err(StepError::failed(tr!(
            "{why}; and it could not be taken back: {worse}. When that is mended, `matou restore undo {app}` does it"
        ))),
    }
}

/// The step that swaps the volumes of an application.
pub(crate) struct SwapVolumes(pub Arc<VolumeSwap>);

#[async_trait]
impl Step for SwapVolumes {
    fn name(&self) -> String {
        tr!("exchange").into()
    }

    fn timeout(&self) -> Duration {
        SWAP_TIMEOUT
    }

    fn clean_up_limit(&self) -> Duration {
        TAKE_BACK_LIMIT
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        Ok(Check::Change(self.0.plan_lines(cx).await?))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let (work, cx, fence) = (self.0.clone(), cx.clone(), cx.fence.clone());
        // Goes on when the job's future is dropped, under its lock.
        let running = tokio::spawn(async move {
            let exchange = async {
                match work.job_page() {
                    Some(page) => page.run(&cx, run_or_take_back(&work, &cx)).await,
                    None => run_or_take_back(&work, &cx).await,
                }
            };
            fence.run_until_lost(Box::pin(exchange)).await
        });
        running
            .await
            .map_err(|e| StepError::failed(tr!("a bug in matou: {e}")))??
    }

    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        match self.0.swap_log.read_state().await? {
            Some(state) if state.is_interrupted() => Err(StepError::failed(tr!(
                "the restore did not come to its end"
            ))),
            _ => Ok(()),
        }
    }
}
