//! The first step of a restore into place: what an earlier one left is ended, and the swap log says
//! that this one has begun.

use matou_i18n::tr;
use std::sync::Arc;

use async_trait::async_trait;

use super::environment::ServerEnvironment;
use super::state_machine;
use super::volume_swap::VolumeSwap;
use matou_backup::{RestorePhase, RestoreState};
use matou_job::{Change, Check, Step, StepContext, StepError};

/// Ends what an earlier restore left, then writes the first state into the swap log. The snapshot
/// is written only after that.
pub(crate) struct OpenSwapLog(pub Arc<VolumeSwap>);

#[async_trait]
impl Step for OpenSwapLog {
    fn name(&self) -> String {
        tr!("begin").into()
    }

    /// Says what an earlier restore has left.
    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let app = &self.0.app;
        let kept = |state: &RestoreState| {
            Change::decide(tr!(
                "the data that a restore {} set aside is still kept: `matou restore undo {app}` brings it back, `matou restore forget {app}` lets it go; then restore again",
                state.begun.strftime(tr!("at %Y-%m-%d %H:%M UTC"))
            ))
        };
        Ok(match self.0.swap_log.read_state().await? {
            None => Check::Change(Vec::new()),
            Some(state) => Check::Change(vec![match state.phase {
                RestorePhase::Restored => kept(&state),
                RestorePhase::Undone => Change::modify(
                    tr!("what a restore of {app} had put in place, and was undone"),
                    tr!("kept"),
                    tr!("kept beside, until `matou restore forget {app}`"),
                ),
                RestorePhase::Loading | RestorePhase::Started => Change::modify(
                    tr!("the restore of {app} that was interrupted when its services ran on it"),
                    tr!("half done"),
                    tr!(
                        "taken back first; what they wrote is kept beside, until `matou restore forget {app}`"
                    ),
                ),
                _ => Change::modify(
                    tr!("the restore of {app} that was interrupted"),
                    tr!("half done"),
                    tr!("taken back first"),
                ),
            }]),
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let work = &self.0;
        let site = ServerEnvironment::connect(&work.fleet, cx, &work.swap_log).await?;
        let earlier = work.swap_log.read_state().await?;
        state_machine::begin_restore(&site, earlier, &work.initial_state(RestorePhase::Staging))
            .await
    }

    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}
