//! After a restore: the data from before brought back, or let go; one that was interrupted resolved.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use super::journal::Journal;
use super::machine;
use super::site::{Site, lives};
use crate::backup::{Phase, RestoreState};
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::ops::Context;

/// `matou restore undo`.
pub(crate) struct Undo {
    pub app: String,
    pub cx: Context,
    pub journal: Journal,
}

impl Undo {
    fn lines(&self, state: &RestoreState) -> Vec<Change> {
        let app = &self.app;
        let kept = format!(
            "what was written since the restore is set aside, and kept until `matou restore forget {app}`"
        );
        let folders = |now: &'static str, then: &'static str| {
            let line = move |live| Change::modify(live, now, then);
            lives(&state.swaps).map(line)
        };
        let before = "as it was before the restore";
        match state.phase {
            Phase::Staging | Phase::Clearing => vec![Change::remove(format!(
                "{}: what an interrupted restore wrote; nothing in use is changed",
                state.folder.display()
            ))],
            Phase::Forgetting => vec![Change::remove(format!(
                "{}: what was let go; its removal was interrupted",
                state.folder.display()
            ))],
            Phase::Restoring => folders("half restored", "as it was before").collect(),
            Phase::Loading => folders("restored, not all of it loaded", before)
                .map(|line| line.warn(kept.clone()))
                .collect(),
            Phase::Started | Phase::Restored | Phase::Undoing => folders("as restored", before)
                .map(|line| line.warn(kept.clone()))
                .collect(),
            Phase::Undone => Vec::new(),
        }
    }
}

#[async_trait]
impl Step for Undo {
    fn name(&self) -> String {
        "undo".into()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1800)
    }

    fn clean_up(&self) -> Duration {
        Duration::from_secs(120)
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        let app = &self.app;
        let Some(state) = self.journal.read().await? else {
            return Ok(Check::Done(vec![Change::same(format!(
                "nothing is kept of a restore of {app}"
            ))]));
        };
        if state.phase == Phase::Undone {
            return Ok(Check::Done(vec![Change::same(format!(
                "{app} has its data from before the restore"
            ))]));
        }
        let mut lines = self.lines(&state);
        let only_removes = matches!(
            state.phase,
            Phase::Staging | Phase::Clearing | Phase::Forgetting
        );
        if only_removes {
            return Ok(Check::Change(lines));
        }
        if state.deployed {
            lines.push(Change::remove(format!("services of {app}")));
        }
        if state.deployed || !state.replicas.is_empty() {
            let site = Site::of(&self.cx, cx, &self.journal).await?;
            let mut names: Vec<String> = state.replicas.iter().map(|(n, _)| n.clone()).collect();
            let now = machine::Ground::running(&site, &state).await?;
            names.extend(now.into_iter().map(|(name, _)| name));
            names.sort();
            names.dedup();
            lines.extend(names.into_iter().map(|name| {
                Change::modify(
                    format!("service {name}"),
                    "as it is",
                    "stopped, then started again",
                )
            }));
        }
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let Some(mut state) = self.journal.read().await? else {
            return Ok(());
        };
        let site = Site::of(&self.cx, cx, &self.journal).await?;
        match state.phase {
            Phase::Restored => machine::undo(&site, &mut state).await,
            _ => machine::resolve(&site, &mut state).await,
        }
    }
}

/// `matou restore forget`.
pub(crate) struct Forget {
    pub app: String,
    pub cx: Context,
    pub journal: Journal,
    /// Where restores of this application have their folder.
    pub folders: Vec<PathBuf>,
}

impl Forget {
    /// Folders that earlier restores left, and that no state tells of.
    async fn left(&self) -> Result<Vec<PathBuf>, StepError> {
        let mut left = Vec::new();
        for folder in &self.folders {
            left.extend(self.journal.left(folder).await?);
        }
        Ok(left)
    }
}

#[async_trait]
impl Step for Forget {
    fn name(&self) -> String {
        "forget".into()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1800)
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        let app = &self.app;
        let (state, left) = (self.journal.read().await?, self.left().await?);
        let lost = "it can't be brought back afterwards";
        let mut lines = Vec::new();
        if let Some(state) = &state {
            let folder = state.folder.display();
            let what = match state.phase {
                Phase::Staging | Phase::Restoring | Phase::Loading | Phase::Undoing => {
                    return Err(machine::unresolved(app));
                }
                Phase::Clearing => "what an interrupted restore wrote",
                Phase::Forgetting => "what was let go; its removal was interrupted",
                Phase::Undone => {
                    "what had been restored and was undone, with what was written to it"
                }
                Phase::Started => {
                    let site = Site::of(&self.cx, cx, &self.journal).await?;
                    if !machine::is_in_place(&site, state).await? {
                        return Err(machine::unresolved(app));
                    }
                    lines.push(Change::modify(
                        format!("the restore of {app}, interrupted when everything was in place"),
                        "not ended",
                        "ended: the restored data stays in use",
                    ));
                    "the data from before the restore"
                }
                Phase::Restored => "the data from before the restore",
            };
            lines.push(Change::remove(format!("{folder}: {what}")).warn(lost));
        }
        lines.extend(left.iter().map(|path| {
            let path = path.display().to_string();
            let what = match path.contains("~undone-") {
                true => "what had been restored and was undone, with what was written to it",
                false => "what a restore had left, and nothing told of",
            };
            Change::remove(format!("{path}: {what}")).warn(lost)
        }));
        Ok(match lines.is_empty() {
            true => Check::Done(vec![Change::same(format!(
                "nothing is kept of a restore of {app}"
            ))]),
            false => Check::Change(lines),
        })
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        if let Some(mut state) = self.journal.read().await? {
            let site = Site::of(&self.cx, cx, &self.journal).await?;
            machine::forget(&site, &mut state).await?;
        }
        self.journal.remove(&self.left().await?).await
    }
}
