//! What every other job asks before it begins: that no restore of the application is half done. A
//! deploy would start it on data that is set aside, a backup would make a half database the newest
//! snapshot.

use async_trait::async_trait;

use super::journal::Journal;
use crate::job::{Check, Cx, Step, StepError};

/// No restore of these applications is half done.
pub(in crate::ops) struct Settled {
    pub journals: Vec<(String, Journal)>,
}

/// Refuses work on an application whose restore is not at an end.
///
/// # Errors
/// One sentence: which restore, and what resolves it; or the storage node can't be asked.
pub(in crate::ops) async fn check_settled(journal: &Journal, app: &str) -> Result<(), StepError> {
    match journal.read().await? {
        Some(state) if state.is_interrupted() => Err(StepError::failed(format!(
            "a restore of {app}, begun {}, is not at its end: wait until it is done, or, when it was interrupted, resolve it with `matou restore undo {app}`",
            state.begun.strftime("%Y-%m-%d %H:%M UTC")
        ))),
        _ => Ok(()),
    }
}

#[async_trait]
impl Step for Settled {
    fn name(&self) -> String {
        "restores".into()
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        for (app, journal) in &self.journals {
            check_settled(journal, app).await?;
        }
        Ok(Check::Done(Vec::new()))
    }

    async fn apply(&self, _: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}
