//! The application's file in the fleet folder.

use std::path::PathBuf;

use async_trait::async_trait;

use crate::FleetContext;
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_stack::AppFile;

/// How often files are pushed again when somebody changed them meanwhile.
const MAX_PUSHES: u32 = 5;

/// Writes `apps/NAME.toml`.
pub(super) struct WriteAppFile {
    pub path: PathBuf,
    pub text: String,
}

#[async_trait]
impl Step for WriteAppFile {
    fn name(&self) -> String {
        "application file".into()
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let name = self.path.display();
        Ok(match tokio::fs::read_to_string(&self.path).await {
            Ok(text) if text == self.text => Check::Done(vec![Change::same(format!("{name}"))]),
            Ok(_) => Check::Change(vec![Change::modify(
                format!("{name}"),
                "as it was",
                "as asked for now",
            )]),
            Err(_) => Check::Change(vec![Change::add(format!("{name}"))]),
        })
    }

    async fn apply(&self, _: &StepContext) -> Result<(), StepError> {
        let failed = |e: std::io::Error| {
            StepError::failed(format!("{} can't be written: {e}", self.path.display()))
        };
        let (path, text) = (self.path.clone(), self.text.clone());
        let write = move || AppFile::write_whole(&path, text.as_bytes());
        let written = tokio::task::spawn_blocking(write).await;
        written
            .map_err(|e| StepError::failed(e.to_string()))?
            .map_err(failed)
    }
}

/// Pushes the application's files to the storage node, where the nightly backup reads them. Files
/// that others changed there stay as they are, and the plan names them.
pub(super) struct PushFleetFiles {
    pub app: String,
    pub fleet: FleetContext,
}

#[async_trait]
impl Step for PushFleetFiles {
    fn name(&self) -> String {
        "files for the nightly backup".into()
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let line = format!(
            "apps/{}.toml and its stack for the nightly backup",
            self.app
        );
        let planned = crate::plan_app_files_push(&self.fleet, &self.app).await;
        let Some(planned) = planned? else {
            return Ok(Check::Done(vec![Change::same(line)]));
        };
        let mut lines = vec![match planned.is_done {
            true => Change::same(line),
            false => Change::add(line),
        }];
        lines.extend(planned.untouched.iter().map(|c| Change::same(c.describe())));
        Ok(match planned.is_done {
            true => Check::Done(lines),
            false => Check::Change(lines),
        })
    }

    async fn apply(&self, _: &StepContext) -> Result<(), StepError> {
        let pushed = crate::push_app_files(&self.fleet, &self.app).await;
        pushed.map_err(StepError::from)
    }

    /// Pushes again when another operator has pushed a config.toml meanwhile.
    async fn verify(&self, cx: &StepContext) -> Result<(), StepError> {
        for _ in 0..MAX_PUSHES {
            if let Check::Done(_) = self.check(cx).await? {
                return Ok(());
            }
            self.apply(cx).await?;
        }
        match self.check(cx).await? {
            Check::Done(_) => Ok(()),
            _ => Err(StepError::failed(
                "the fleet's files change all the time: deploy again when nobody else does",
            )),
        }
    }
}
