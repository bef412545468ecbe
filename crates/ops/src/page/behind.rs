//! Steps that are carried out while visitors see a page.

use std::time::Duration;

use async_trait::async_trait;

use super::JobPage;
use matou_job::{Change, Check, Step, StepContext, StepError};

/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// How long taking the page away may take after the job was cancelled.
const CLEAN_UP_LIMIT: Duration = Duration::from_secs(180);

/// All steps of a job that stops an application, while visitors see its page.
pub(crate) struct BehindPage {
    /// The name of the step that holds the others.
    pub name: &'static str,
    pub page: JobPage,
    pub steps: Vec<Box<dyn Step>>,
}

/// Checks all steps: the lines of their plan, and whether there is nothing to do.
///
/// # Errors
/// That of the first step that can't be checked.
pub(crate) async fn check_steps(
    steps: &[Box<dyn Step>],
    cx: &StepContext,
) -> Result<(Vec<Change>, bool), StepError> {
    let mut lines = Vec::new();
    let mut is_done = true;
    for step in steps {
        match step.check(cx).await? {
            Check::Done(found) => lines.extend(found),
            Check::Change(found) => {
                is_done = false;
                lines.extend(found);
            }
            Check::Unknown(why) => {
                is_done = false;
                lines.push(Change::same(format!("{}: {why}", step.name())));
            }
        }
    }
    Ok((lines, is_done))
}

#[async_trait]
impl Step for BehindPage {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    /// The page is taken away.
    fn clean_up_limit(&self) -> Duration {
        CLEAN_UP_LIMIT
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let (mut lines, is_done) = check_steps(&self.steps, cx).await?;
        if is_done {
            return Ok(Check::Done(lines));
        }
        lines.splice(0..0, self.page.plan_line(cx).await?);
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        self.page
            .run(cx, matou_job::run_steps(cx, &self.steps))
            .await
    }

    /// Each step was verified when it ran.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}
