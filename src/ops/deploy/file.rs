//! The application's file in the fleet folder.

use std::path::PathBuf;

use async_trait::async_trait;

use crate::job::{Change, Check, Cx, Step, StepError};
use crate::ops::Context;
use crate::stack::AppFile;

/// How often files are brought again that changed meanwhile.
const AGAIN: u32 = 5;

/// Writes `apps/NAME.toml`.
pub(super) struct WriteFile {
    pub path: PathBuf,
    pub text: String,
}

#[async_trait]
impl Step for WriteFile {
    fn name(&self) -> String {
        "application file".into()
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
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

    async fn apply(&self, _: &Cx) -> Result<(), StepError> {
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

/// Brings the application's files to the storage node: the nightly backup goes by them. What others
/// have there stays as it is, and is told.
pub(super) struct ForTheNight {
    pub app: String,
    pub cx: Context,
}

#[async_trait]
impl Step for ForTheNight {
    fn name(&self) -> String {
        "files for the nightly backup".into()
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let line = format!(
            "apps/{}.toml and its stack for the nightly backup",
            self.app
        );
        let planned = crate::ops::plan_files(&self.cx, &self.app).await;
        let Some(planned) = planned.map_err(StepError::Failed)? else {
            return Ok(Check::Done(vec![Change::same(line)]));
        };
        let mut lines = vec![match planned.is_done {
            true => Change::same(line),
            false => Change::add(line),
        }];
        lines.extend(planned.left.iter().map(|c| Change::same(c.line())));
        Ok(match planned.is_done {
            true => Check::Done(lines),
            false => Check::Change(lines),
        })
    }

    async fn apply(&self, _: &Cx) -> Result<(), StepError> {
        let pushed = crate::ops::push_files(&self.cx, &self.app).await;
        pushed.map_err(StepError::Failed)
    }

    /// Another one may have brought its config.toml meanwhile.
    async fn verify(&self, cx: &Cx) -> Result<(), StepError> {
        for _ in 0..AGAIN {
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
