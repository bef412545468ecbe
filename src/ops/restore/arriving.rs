//! An application that comes from another fleet: its data is written beside while it still runs there,
//! brought up to date when it has stopped, and put in use.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::exchange::{Begin, Exchange};
use super::source::Source;
use super::stage::Stage;
use super::{application_file, fresh_work, staged};
use crate::backup::Phase;
use crate::host::Command;
use crate::job::{ChangeKind, Check, Cx, Step, StepError};
use crate::ops::Context;

/// What the folder beside the data holds, in its file `holds`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Holds {
    /// Full id of the snapshot.
    snapshot: String,
    paths: Vec<String>,
}

/// An application, and a snapshot of it from the fleet that it leaves.
pub(in crate::ops) struct Arriving {
    work: Arc<Exchange>,
    /// None when it has neither data nor secrets.
    stage: Option<Stage>,
}

impl Arriving {
    /// `cx` is of the fleet that it comes to; `source` is read from a node of that fleet.
    ///
    /// # Errors
    /// One sentence: nothing says what it is deployed from, or its stack can't be rendered here.
    pub async fn of(cx: &Context, source: Source) -> Result<Self, String> {
        let app = source.app.clone();
        let file = application_file(cx, &source).await?;
        let file = file.ok_or_else(|| {
            format!("neither the new fleet nor the snapshot has a file apps/{app}.toml, which says what {app} is deployed from")
        })?;
        let (work, stage) = staged(fresh_work(cx, source, &app, file).await?).await?;
        Ok(Self { work, stage })
    }

    /// Writes the snapshot beside the data; where an older one of the application is written whole,
    /// only what differs.
    ///
    /// # Errors
    /// What restic says; an earlier restore of the application keeps data that was set aside.
    pub async fn stage(&self, cx: &Cx) -> Result<(), StepError> {
        let Some(stage) = &self.stage else {
            return Ok(());
        };
        let state = self.work.journal.read().await?;
        let held = match state.map(|s| s.phase) {
            Some(Phase::Staging) => self.held().await?,
            _ => None,
        };
        if let Some(held) = held.filter(|h| h.paths == stage.paths) {
            // What is between two snapshots is none.
            self.forget().await?;
            if held.snapshot == stage.source.id || stage.update(&held.snapshot, cx).await? {
                return self.holds(stage).await;
            }
        }
        let begin = Begin(self.work.clone());
        if let Check::Change(lines) = begin.check(cx).await?
            && let Some(open) = lines.iter().find(|l| l.kind == ChangeKind::Decide)
        {
            return Err(StepError::failed(open.what.clone()));
        }
        begin.apply(cx).await?;
        stage.check(cx).await?;
        stage.apply(cx).await?;
        self.holds(stage).await
    }

    /// Deploys it with the data that was written beside; what goes wrong is taken back.
    ///
    /// # Errors
    /// Why it could not be, or does not answer.
    pub async fn put_in_use(&self, cx: &Cx) -> Result<(), StepError> {
        self.forget().await?;
        self.work.run(cx).await
    }

    fn path(&self) -> PathBuf {
        self.work.folder.join("holds")
    }

    async fn held(&self) -> Result<Option<Holds>, StepError> {
        let read = Command::sh("[ ! -e \"$1\" ] || cat -- \"$1\"")
            .arg(self.path().display().to_string())
            .sudo()
            .timeout(Duration::from_secs(20))
            .label("which snapshot is there");
        let text = self.work.journal.host.run_ok(&read).await?.text();
        // One that can't be understood is as good as none.
        Ok(serde_json::from_str(&text).ok())
    }

    async fn holds(&self, stage: &Stage) -> Result<(), StepError> {
        let holds = Holds {
            snapshot: stage.source.id.clone(),
            paths: stage.paths.clone(),
        };
        let text = serde_json::to_vec(&holds).unwrap_or_default();
        let path = self.path().display().to_string();
        let state = self.work.state(Phase::Staging);
        self.work.journal.write(&state).await?;
        Ok(self.work.journal.host.upload(&path, &text, 0o600).await?)
    }

    async fn forget(&self) -> Result<(), StepError> {
        self.work.journal.remove(&[self.path()]).await
    }
}
