//! After a restore: the data from before brought back, or let go; one that was interrupted resolved.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use super::environment::{ServerEnvironment, live_paths};
use super::state_machine;
use super::swap_log::SwapLog;
use crate::FleetContext;
use crate::page::JobPage;
use matou_backup::{RestorePhase, RestoreState};
use matou_job::{Change, Check, Step, StepContext, StepError};

/// `matou restore undo`.
pub(crate) struct UndoRestore {
    pub app: String,
    pub fleet: FleetContext,
    pub swap_log: SwapLog,
}

impl UndoRestore {
    /// The page that visitors see while the application is stopped.
    fn job_page(&self) -> JobPage {
        let title = format!("undo the restore of {}", self.app);
        JobPage::new(&self.app, title, &self.fleet)
    }

    fn plan_lines(&self, state: &RestoreState) -> Vec<Change> {
        let app = &self.app;
        let kept = format!(
            "what was written since the restore is set aside, and kept until `matou restore forget {app}`"
        );
        let folders = |now: &'static str, then: &'static str| {
            let line = move |live| Change::modify(live, now, then);
            live_paths(&state.swaps).map(line)
        };
        let before = "as it was before the restore";
        match state.phase {
            RestorePhase::Staging | RestorePhase::Clearing => vec![Change::remove(format!(
                "{}: what an interrupted restore wrote; nothing in use is changed",
                state.folder.display()
            ))],
            RestorePhase::Forgetting => vec![Change::remove(format!(
                "{}: what was let go; its removal was interrupted",
                state.folder.display()
            ))],
            RestorePhase::Restoring => folders("half restored", "as it was before").collect(),
            RestorePhase::Loading => folders("restored, not all of it loaded", before)
                .map(|line| line.with_warning(kept.clone()))
                .collect(),
            RestorePhase::Started | RestorePhase::Restored | RestorePhase::Undoing => {
                folders("as restored", before)
                    .map(|line| line.with_warning(kept.clone()))
                    .collect()
            }
            RestorePhase::Undone => Vec::new(),
        }
    }
}

#[async_trait]
impl Step for UndoRestore {
    fn name(&self) -> String {
        "undo".into()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1800)
    }

    fn clean_up_limit(&self) -> Duration {
        super::TAKE_BACK_LIMIT
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let app = &self.app;
        let Some(state) = self.swap_log.read_state().await? else {
            return Ok(Check::Done(vec![Change::same(format!(
                "nothing is kept of a restore of {app}"
            ))]));
        };
        if state.phase == RestorePhase::Undone {
            return Ok(Check::Done(vec![Change::same(format!(
                "{app} has its data from before the restore"
            ))]));
        }
        let mut lines = self.plan_lines(&state);
        let only_removes = matches!(
            state.phase,
            RestorePhase::Staging | RestorePhase::Clearing | RestorePhase::Forgetting
        );
        if only_removes {
            return Ok(Check::Change(lines));
        }
        if state.deployed {
            lines.push(Change::remove(format!("services of {app}")));
        }
        if state.deployed || !state.replicas.is_empty() {
            let site = ServerEnvironment::connect(&self.fleet, cx, &self.swap_log).await?;
            let mut names: Vec<String> = state.replicas.iter().map(|(n, _)| n.clone()).collect();
            let now = state_machine::RestoreEnvironment::query_replicas(&site, &state).await?;
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
            lines.extend(self.job_page().plan_line(cx).await?);
        }
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let Some(mut state) = self.swap_log.read_state().await? else {
            return Ok(());
        };
        let site = ServerEnvironment::connect(&self.fleet, cx, &self.swap_log).await?;
        let stops = state.deployed || !state.replicas.is_empty();
        let work = async {
            match state.phase {
                RestorePhase::Restored => state_machine::undo_restore(&site, &mut state).await,
                _ => state_machine::resolve_restore(&site, &mut state).await,
            }
        };
        match stops {
            true => self.job_page().run(cx, work).await,
            false => work.await,
        }
    }
}

/// `matou restore forget`.
pub(crate) struct ForgetRestore {
    pub app: String,
    pub fleet: FleetContext,
    pub swap_log: SwapLog,
    /// Where restores of this application have their folder.
    pub folders: Vec<PathBuf>,
}

impl ForgetRestore {
    /// Folders that earlier restores left, and that no state tells of.
    async fn list_leftovers(&self) -> Result<Vec<PathBuf>, StepError> {
        let mut left = Vec::new();
        for folder in &self.folders {
            left.extend(self.swap_log.list_leftovers(folder).await?);
        }
        Ok(left)
    }
}

#[async_trait]
impl Step for ForgetRestore {
    fn name(&self) -> String {
        "forget".into()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1800)
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let app = &self.app;
        let (state, left) = (
            self.swap_log.read_state().await?,
            self.list_leftovers().await?,
        );
        let lost = "it can't be brought back afterwards";
        let mut lines = Vec::new();
        if let Some(state) = &state {
            let folder = state.folder.display();
            let what = match state.phase {
                RestorePhase::Staging
                | RestorePhase::Restoring
                | RestorePhase::Loading
                | RestorePhase::Undoing => {
                    return Err(state_machine::unresolved_restore(app));
                }
                RestorePhase::Clearing => "what an interrupted restore wrote",
                RestorePhase::Forgetting => "what was let go; its removal was interrupted",
                RestorePhase::Undone => {
                    "what had been restored and was undone, with what was written to it"
                }
                RestorePhase::Started => {
                    let site = ServerEnvironment::connect(&self.fleet, cx, &self.swap_log).await?;
                    if !state_machine::is_in_place(&site, state).await? {
                        return Err(state_machine::unresolved_restore(app));
                    }
                    lines.push(Change::modify(
                        format!("the restore of {app}, interrupted when everything was in place"),
                        "not ended",
                        "ended: the restored data stays in use",
                    ));
                    "the data from before the restore"
                }
                RestorePhase::Restored => "the data from before the restore",
            };
            lines.push(Change::remove(format!("{folder}: {what}")).with_warning(lost));
        }
        lines.extend(left.iter().map(|path| {
            let path = path.display().to_string();
            let what = match path.contains("~undone-") {
                true => "what had been restored and was undone, with what was written to it",
                false => "what a restore had left, and nothing told of",
            };
            Change::remove(format!("{path}: {what}")).with_warning(lost)
        }));
        Ok(match lines.is_empty() {
            true => Check::Done(vec![Change::same(format!(
                "nothing is kept of a restore of {app}"
            ))]),
            false => Check::Change(lines),
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        if let Some(mut state) = self.swap_log.read_state().await? {
            let site = ServerEnvironment::connect(&self.fleet, cx, &self.swap_log).await?;
            state_machine::forget_restore(&site, &mut state).await?;
        }
        self.swap_log
            .remove_paths(&self.list_leftovers().await?)
            .await
    }
}
