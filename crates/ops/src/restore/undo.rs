//! After a restore: the data from before brought back, or let go; one that was interrupted resolved.

use matou_i18n::tr;
use std::path::{Path, PathBuf};
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
        let kept = tr!(
            "what was written since the restore is set aside, and kept until `matou restore forget {app}`"
        );
        let folders = |now: &'static str, then: &'static str| {
            let line = move |live| Change::modify(live, now, then);
            live_paths(&state.swaps).map(line)
        };
        let before = tr!("as it was before the restore");
        match state.phase {
            RestorePhase::Staging | RestorePhase::Clearing => remove_places(
                state,
                tr!("what an interrupted restore wrote; nothing in use is changed"),
            ),
            RestorePhase::Forgetting => {
                remove_places(state, tr!("what was let go; its removal was interrupted"))
            }
            RestorePhase::Restoring => {
                folders(tr!("half restored"), tr!("as it was before")).collect()
            }
            RestorePhase::Loading => folders(tr!("restored, not all of it loaded"), before)
                .map(|line| line.with_warning(kept.clone()))
                .collect(),
            RestorePhase::Started | RestorePhase::Restored | RestorePhase::Undoing => {
                folders(tr!("as restored"), before)
                    .map(|line| line.with_warning(kept.clone()))
                    .collect()
            }
            RestorePhase::Undone => Vec::new(),
        }
    }
}

/// A line for the folder of a restore on each node; `what` is in them.
fn remove_places(state: &RestoreState, what: &str) -> Vec<Change> {
    let places = state.places().into_iter().rev();
    let line = |(node, folder): (Option<&str>, &Path)| {
        let folder = folder.display();
        match node {
            Some(node) => Change::remove(format!("{node}:{folder}: {what}")),
            None => Change::remove(format!("{folder}: {what}")),
        }
    };
    places.map(line).collect()
}

#[async_trait]
impl Step for UndoRestore {
    fn name(&self) -> String {
        tr!("undo").into()
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
            return Ok(Check::Done(vec![Change::same(tr!(
                "nothing is kept of a restore of {app}"
            ))]));
        };
        if state.phase == RestorePhase::Undone {
            return Ok(Check::Done(vec![Change::same(tr!(
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
            lines.push(Change::remove(tr!("services of {app}")));
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
                    tr!("service {name}"),
                    tr!("as it is"),
                    tr!("stopped, then started again"),
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
    /// Where restores of this application have their folder, with the node's swap log.
    pub folders: Vec<(SwapLog, PathBuf)>,
    /// Nodes that do not answer: what they keep of earlier restores stays.
    pub silent: Vec<String>,
}

impl ForgetRestore {
    /// Folders that earlier restores left, and that no state tells of.
    async fn list_leftovers(&self) -> Result<Vec<(SwapLog, PathBuf)>, StepError> {
        let mut left = Vec::new();
        for (log, folder) in &self.folders {
            let found = log.list_leftovers(folder).await?;
            left.extend(found.into_iter().map(|path| (log.clone(), path)));
        }
        Ok(left)
    }
}

#[async_trait]
impl Step for ForgetRestore {
    fn name(&self) -> String {
        tr!("forget").into()
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
        let lost = tr!("it can't be brought back afterwards");
        let mut lines = Vec::new();
        if let Some(state) = &state {
            let what = match state.phase {
                RestorePhase::Staging
                | RestorePhase::Restoring
                | RestorePhase::Loading
                | RestorePhase::Undoing => {
                    return Err(state_machine::unresolved_restore(app));
                }
                RestorePhase::Clearing => tr!("what an interrupted restore wrote"),
                RestorePhase::Forgetting => tr!("what was let go; its removal was interrupted"),
                RestorePhase::Undone => {
                    tr!("what had been restored and was undone, with what was written to it")
                }
                RestorePhase::Started => {
                    let site = ServerEnvironment::connect(&self.fleet, cx, &self.swap_log).await?;
                    if !state_machine::is_in_place(&site, state).await? {
                        return Err(state_machine::unresolved_restore(app));
                    }
                    lines.push(Change::modify(
                        tr!("the restore of {app}, interrupted when everything was in place"),
                        tr!("not ended"),
                        tr!("ended: the restored data stays in use"),
                    ));
                    tr!("the data from before the restore")
                }
                RestorePhase::Restored => tr!("the data from before the restore"),
            };
            let gone = remove_places(state, what).into_iter();
            lines.extend(gone.map(|line| line.with_warning(lost)));
        }
        lines.extend(left.iter().map(|(log, path)| {
            let path = match log.host.name() == self.swap_log.host.name() {
                true => path.display().to_string(),
                false => format!("{}:{}", log.host.name(), path.display()),
            };
            let what = match path.contains("~undone-") {
                true => tr!("what had been restored and was undone, with what was written to it"),
                false => tr!("what a restore had left, and nothing told of"),
            };
            Change::remove(format!("{path}: {what}")).with_warning(lost)
        }));
        let silent = self.silent.iter();
        let silent = silent.map(|node| {
            Change::same(tr!(
                "{node} does not answer: what it keeps of earlier restores stays"
            ))
        });
        Ok(match lines.is_empty() {
            true => {
                let nothing = Change::same(tr!("nothing is kept of a restore of {app}"));
                Check::Done(std::iter::once(nothing).chain(silent).collect())
            }
            false => {
                lines.extend(silent);
                Check::Change(lines)
            }
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        if let Some(mut state) = self.swap_log.read_state().await? {
            let site = ServerEnvironment::connect(&self.fleet, cx, &self.swap_log).await?;
            state_machine::forget_restore(&site, &mut state).await?;
        }
        for (log, path) in self.list_leftovers().await? {
            log.remove_paths(&[path]).await?;
        }
        Ok(())
    }
}
