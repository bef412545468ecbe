//! The servers as a restore works on them: its state and folders on the storage node, the services
//! through a manager.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use super::exchange::unit;
use super::journal::Journal;
use super::machine::{Ground, Replicas};
use super::services;
use super::swap::{Rename, Seen};
use super::users::{self, Folders};
use crate::backup::{RestoreState, Swap};
use crate::host::Command;
use crate::job::{Cx, StepError};
use crate::ops::Context;

/// Where an application is restored.
#[derive(Clone)]
pub(super) struct Site {
    pub cx: Context,
    /// The work as seen from a manager.
    pub manager: Cx,
    pub journal: Journal,
}

impl Site {
    /// `cx` is of any node.
    ///
    /// # Errors
    /// When no manager answers.
    pub async fn of(cx: &Context, step: &Cx, journal: &Journal) -> Result<Self, StepError> {
        let manager = cx.nodes.manager().await;
        let manager = manager.map_err(|e| StepError::failed(e.to_string()))?;
        Ok(Self {
            cx: cx.clone(),
            manager: services::on_manager(step, manager),
            journal: journal.clone(),
        })
    }

    /// The applications that services are of.
    pub async fn apps_of(&self, services: &BTreeSet<String>) -> Result<Vec<String>, StepError> {
        let swarm = crate::ops::tasks::read(&self.manager).await?;
        let all = swarm.services.iter();
        Ok(all
            .filter(|s| services.contains(&s.name))
            .map(|s| s.stack.clone().unwrap_or_else(|| s.name.clone()))
            .collect())
    }

    /// Services, of any application, that use the folders.
    pub async fn others(&self, state: &RestoreState) -> Result<BTreeSet<String>, StepError> {
        let folders = Folders {
            volumes: state.volumes.clone(),
            paths: state.swaps.iter().map(|s| s.live.clone()).collect(),
        };
        Ok(users::find(&self.cx, &self.manager, &folders)
            .await?
            .services)
    }
}

#[async_trait]
impl Ground for Site {
    async fn write(&self, state: &RestoreState) -> Result<(), StepError> {
        self.journal.write(state).await
    }

    async fn strike(&self) -> Result<(), StepError> {
        self.journal.strike().await
    }

    async fn remove_folder(
        &self,
        state: &RestoreState,
        empty_handed: bool,
    ) -> Result<(), StepError> {
        self.journal
            .remove_folder(&state.folder, empty_handed)
            .await
    }

    async fn set_away(&self, folder: &Path, what: &str) -> Result<(), StepError> {
        if let Some(to) = self.journal.set_away(folder, what).await? {
            let note = format!("{} is kept as {}", folder.display(), to.display());
            self.tell(note).await;
        }
        Ok(())
    }

    async fn keeps(&self, state: &RestoreState) -> Result<bool, StepError> {
        self.journal.keeps(&state.folder).await
    }

    async fn stop_staging(&self, state: &RestoreState) -> Result<(), StepError> {
        let stop = Command::new("systemctl")
            .args(["stop", "--", &format!("{}.service", unit(&state.app))])
            .sudo()
            .timeout(Duration::from_secs(90));
        self.journal.host.run(&stop).await?;
        Ok(())
    }

    async fn look(&self, state: &RestoreState) -> Result<Vec<Seen>, StepError> {
        self.journal.look(&state.folder, &state.swaps).await
    }

    async fn rename(&self, renames: &[Rename]) -> Result<(), StepError> {
        self.journal.rename(renames).await
    }

    async fn running(&self, state: &RestoreState) -> Result<Replicas, StepError> {
        let others = self.others(state).await?;
        let mut all = services::replicas_with(&self.manager, &state.app, &others).await?;
        if state.deployed {
            let own = services::replicas(&self.manager, &state.app).await?;
            all.retain(|one| !own.contains(one));
        }
        Ok(all)
    }

    async fn stop(&self, state: &RestoreState) -> Result<(), StepError> {
        if state.deployed {
            services::remove(&self.manager, &state.app).await?;
        }
        services::stop_named(&self.manager, &state.replicas).await
    }

    async fn give_back(&self, replicas: &Replicas) -> Result<(), StepError> {
        services::give_back(&self.manager, replicas).await
    }

    async fn tell(&self, note: String) {
        self.manager.out.note(note).await;
    }
}

/// Swaps of a state, for lines of a plan.
pub(super) fn lives(swaps: &[Swap]) -> impl Iterator<Item = String> + '_ {
    swaps.iter().map(|s| s.live.display().to_string())
}
