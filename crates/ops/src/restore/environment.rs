//! The servers as a restore works on them: its state and folders on the storage node, the services
//! through a manager.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use super::folder_users::{self, SwappedFolders};
use super::renames::{FolderRename, SwapState};
use super::services;
use super::staging::restore_unit_name;
use super::state_machine::{RestoreEnvironment, ServiceReplicas};
use super::swap_log::SwapLog;
use crate::FleetContext;
use matou_backup::{FolderSwap, RestoreState};
use matou_host::Command;
use matou_job::{StepContext, StepError};

/// A restore on the servers of a fleet.
#[derive(Clone)]
pub(super) struct ServerEnvironment {
    pub fleet: FleetContext,
    /// The work as seen from a manager.
    pub manager: StepContext,
    pub swap_log: SwapLog,
}

impl ServerEnvironment {
    /// Connects to a manager. `step` is the context of a step on any node.
    ///
    /// # Errors
    /// No manager answers.
    pub(crate) async fn connect(
        cx: &FleetContext,
        step: &StepContext,
        swap_log: &SwapLog,
    ) -> Result<Self, StepError> {
        let manager = cx.nodes.find_manager().await;
        let manager = manager?;
        Ok(Self {
            fleet: cx.clone(),
            manager: step.on_node(manager),
            swap_log: swap_log.clone(),
        })
    }

    /// Returns the applications that the named services belong to.
    pub(crate) async fn apps_of_services(
        &self,
        services: &BTreeSet<String>,
    ) -> Result<Vec<String>, StepError> {
        let swarm = self.manager.query_swarm().await?;
        let all = swarm.services.iter();
        Ok(all
            .filter(|s| services.contains(&s.name))
            .map(|s| s.stack.clone().unwrap_or_else(|| s.name.clone()))
            .collect())
    }

    /// Services, of any application, that use the folders.
    pub(crate) async fn find_folder_services(
        &self,
        state: &RestoreState,
    ) -> Result<BTreeSet<String>, StepError> {
        let folders = SwappedFolders {
            volumes: state.volumes.clone(),
            paths: state.swaps.iter().map(|s| s.live.clone()).collect(),
        };
        Ok(
            folder_users::find_folder_users(&self.fleet, &self.manager, &folders)
                .await?
                .services,
        )
    }
}

#[async_trait]
impl RestoreEnvironment for ServerEnvironment {
    async fn write_state(&self, state: &RestoreState) -> Result<(), StepError> {
        self.swap_log.write_state(state).await
    }

    async fn remove_state(&self) -> Result<(), StepError> {
        self.swap_log.remove_state().await
    }

    async fn remove_folder(
        &self,
        state: &RestoreState,
        empty_handed: bool,
    ) -> Result<(), StepError> {
        self.swap_log
            .remove_folder(&state.folder, empty_handed)
            .await
    }

    async fn rename_away(&self, folder: &Path, what: &str) -> Result<(), StepError> {
        if let Some(to) = self.swap_log.rename_away(folder, what).await? {
            let note = format!("{} is kept as {}", folder.display(), to.display());
            self.tell_operator(note).await;
        }
        Ok(())
    }

    async fn keeps_earlier_data(&self, state: &RestoreState) -> Result<bool, StepError> {
        self.swap_log.keeps_earlier_data(&state.folder).await
    }

    async fn stop_staging(&self, state: &RestoreState) -> Result<(), StepError> {
        let stop = Command::new("systemctl")
            .args([
                "stop",
                "--",
                &format!("{}.service", restore_unit_name(&state.app)),
            ])
            .sudo()
            .timeout(Duration::from_secs(90));
        self.swap_log.host.run(&stop).await?;
        Ok(())
    }

    async fn inspect_swaps(&self, state: &RestoreState) -> Result<Vec<SwapState>, StepError> {
        self.swap_log
            .inspect_swaps(&state.folder, &state.swaps)
            .await
    }

    async fn apply_renames(&self, renames: &[FolderRename]) -> Result<(), StepError> {
        self.swap_log.apply_renames(renames).await
    }

    async fn query_replicas(&self, state: &RestoreState) -> Result<ServiceReplicas, StepError> {
        let others = self.find_folder_services(state).await?;
        let mut all = services::query_replicas_with(&self.manager, &state.app, &others).await?;
        if state.deployed {
            let own = services::query_app_replicas(&self.manager, &state.app).await?;
            all.retain(|one| !own.contains(one));
        }
        Ok(all)
    }

    async fn wait_for_jobs(&self, replicas: &ServiceReplicas) -> Result<(), StepError> {
        services::wait_for_named_jobs(&self.manager, replicas).await
    }

    async fn stop_services(&self, state: &RestoreState) -> Result<(), StepError> {
        if state.deployed {
            services::remove_deployed_app(&self.manager, &state.app).await?;
        }
        services::stop_named_services(&self.manager, &state.replicas).await
    }

    async fn give_back_replicas(&self, replicas: &ServiceReplicas) -> Result<(), StepError> {
        services::give_back_replicas(&self.manager, replicas).await
    }

    async fn tell_operator(&self, note: String) {
        self.manager.out.note(note).await;
    }
}

/// Returns the live folders of swaps, for lines of a plan.
pub(super) fn live_paths(swaps: &[FolderSwap]) -> impl Iterator<Item = String> + '_ {
    swaps.iter().map(|s| s.live.display().to_string())
}
