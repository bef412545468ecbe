//! After a restore: the data from before brought back, or let go; one that was interrupted resolved.

use std::time::Duration;

use async_trait::async_trait;

use super::exchange::{take_back, unit};
use super::journal::Journal;
use super::services;
use crate::backup::{Phase, RestoreState};
use crate::docker::Nodes;
use crate::host::Command;
use crate::job::{Change, Check, Cx, Step, StepError};

/// Brings a restore that was interrupted to one of its ends. `cx` is of a manager.
pub(super) async fn resolve(
    cx: &Cx,
    journal: &Journal,
    state: &RestoreState,
) -> Result<(), StepError> {
    match state.phase {
        Phase::Staging => {
            // The unit may still write.
            let stop = Command::new("systemctl")
                .args(["stop", "--", &format!("{}.service", unit(&state.app))])
                .sudo()
                .timeout(Duration::from_secs(90));
            journal.host.run(&stop).await?;
            journal.clear(state).await
        }
        Phase::Restoring => take_back(cx, journal, state).await,
        Phase::Undoing => undo(cx, journal, state).await,
        Phase::Restored | Phase::Undone => Ok(()),
    }
}

/// Brings back what a restore set aside; what had been restored is set aside instead.
async fn undo(cx: &Cx, journal: &Journal, state: &RestoreState) -> Result<(), StepError> {
    let mut state = state.clone();
    state.phase = Phase::Undoing;
    journal.write(&state).await?;
    if state.deployed {
        services::remove(cx, &state.app).await?;
    } else if !state.replicas.is_empty() {
        services::stop(cx, &state.app).await?;
    }
    journal.back(&state.swaps).await?;
    services::give_back(cx, &state.replicas).await?;
    state.phase = Phase::Undone;
    journal.write(&state).await
}

/// `matou restore undo`.
pub(crate) struct Undo {
    pub app: String,
    pub nodes: Nodes,
    pub journal: Journal,
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

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let app = &self.app;
        let Some(state) = self.journal.read().await? else {
            return Ok(Check::Done(vec![Change::same(format!(
                "nothing is kept of a restore of {app}"
            ))]));
        };
        let folders = state.swaps.iter().map(|s| s.live.display().to_string());
        let mut lines: Vec<Change> = match state.phase {
            Phase::Undone => {
                return Ok(Check::Done(vec![Change::same(format!(
                    "{app} has its data from before the restore"
                ))]));
            }
            Phase::Staging => vec![Change::remove(format!(
                "{}: what an interrupted restore wrote; nothing in use was changed",
                state.folder.display()
            ))],
            Phase::Restoring => folders
                .map(|f| Change::modify(f, "half restored", "as it was before"))
                .collect(),
            Phase::Restored | Phase::Undoing => folders
                .map(|f| {
                    Change::modify(f, "as restored", "as it was before the restore").warn(format!(
                        "what was written since the restore is set aside, and kept until `matou restore forget {app}`"
                    ))
                })
                .collect(),
        };
        if state.deployed && state.phase != Phase::Staging {
            lines.push(Change::remove(format!("services of {app}")));
        }
        for (name, _) in &state.replicas {
            lines.push(Change::modify(
                format!("service {name}"),
                "as it is",
                "stopped, then started again",
            ));
        }
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let Some(state) = self.journal.read().await? else {
            return Ok(());
        };
        let manager = self.nodes.manager().await;
        let manager = manager.map_err(|e| StepError::failed(e.to_string()))?;
        let cx = services::on_manager(cx, manager);
        match state.phase {
            Phase::Restored => undo(&cx, &self.journal, &state).await,
            _ => resolve(&cx, &self.journal, &state).await,
        }
    }
}

/// `matou restore forget`.
pub(crate) struct Forget {
    pub app: String,
    pub journal: Journal,
}

#[async_trait]
impl Step for Forget {
    fn name(&self) -> String {
        "forget".into()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1800)
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let app = &self.app;
        let Some(state) = self.journal.read().await? else {
            return Ok(Check::Done(vec![Change::same(format!(
                "nothing is kept of a restore of {app}"
            ))]));
        };
        if state.is_interrupted() {
            return Err(StepError::failed(format!(
                "the restore of {app} was interrupted: `matou restore undo {app}` resolves it first"
            )));
        }
        let what = match state.phase {
            Phase::Undone => "what had been restored, and was undone",
            _ => "the data from before the restore",
        };
        Ok(Check::Change(vec![
            Change::remove(format!("{}: {what}", state.folder.display()))
                .warn("it can't be brought back afterwards"),
        ]))
    }

    async fn apply(&self, _: &Cx) -> Result<(), StepError> {
        match self.journal.read().await? {
            Some(state) => self.journal.clear(&state).await,
            None => Ok(()),
        }
    }
}
