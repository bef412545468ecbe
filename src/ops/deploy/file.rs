//! The application's file in the fleet folder.

use std::path::PathBuf;

use async_trait::async_trait;

use crate::job::{Change, Check, Cx, Step, StepError};
use crate::ops::Context;

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
        let folder = self.path.parent().unwrap_or(&self.path);
        tokio::fs::create_dir_all(folder).await.map_err(failed)?;
        // Whole or not at all.
        let new = self.path.with_extension("toml.new");
        tokio::fs::write(&new, &self.text).await.map_err(failed)?;
        tokio::fs::rename(&new, &self.path).await.map_err(failed)
    }
}

/// Brings the fleet's files to the storage node: the nightly backup goes by them.
pub(super) struct ForTheNight {
    pub cx: Context,
}

#[async_trait]
impl Step for ForTheNight {
    fn name(&self) -> String {
        "files for the nightly backup".into()
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let same = crate::ops::files_are_there(&self.cx).await;
        let line = "apps/ and stacks/ for the nightly backup";
        Ok(match same.map_err(StepError::Failed)? {
            true => Check::Done(vec![Change::same(line)]),
            false => Check::Change(vec![Change::add(line)]),
        })
    }

    async fn apply(&self, _: &Cx) -> Result<(), StepError> {
        let pushed = crate::ops::push_files(&self.cx).await;
        pushed.map_err(StepError::Failed)
    }

    /// Another deploy may have written its application's file meanwhile: it goes there too.
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
