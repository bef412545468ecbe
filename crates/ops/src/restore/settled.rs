//! Checks, for every other job, that no restore of an application is half done. A deploy would
//! start it on set-aside data, and a backup would make half a database the newest snapshot.

use async_trait::async_trait;
use matou_i18n::tr;

use super::swap_log::SwapLog;
use matou_job::{Change, Report, StepContext, StepError};

/// Checks that no restore of these applications is half done.
pub(crate) struct CheckRestoresSettled {
    pub swap_logs: Vec<(String, SwapLog)>,
}

/// Refuses work on an application whose restore is not at an end.
///
/// # Errors
/// One sentence: which restore, and what resolves it; or the storage node can't be asked.
pub(crate) async fn check_restore_settled(swap_log: &SwapLog, app: &str) -> Result<(), StepError> {
    match swap_log.read_state().await? {
        Some(state) if state.is_interrupted() => Err(StepError::failed(tr!(
            "a restore of {app}, begun {}, is not at its end: wait until it is done, or, when it was interrupted, resolve it with `matou restore undo {app}`",
            state.begun.strftime("%Y-%m-%d %H:%M UTC")
        ))),
        _ => Ok(()),
    }
}

#[async_trait]
impl Report for CheckRestoresSettled {
    fn name(&self) -> String {
        tr!("restores").into()
    }

    async fn report(&self, _: &StepContext) -> Result<Vec<Change>, StepError> {
        for (app, swap_log) in &self.swap_logs {
            check_restore_settled(swap_log, app).await?;
        }
        Ok(Vec::new())
    }
}
