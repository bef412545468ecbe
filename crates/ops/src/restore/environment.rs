//! The servers as a restore works on them: its state and folders on the storage node, the services
//! through a manager.

use matou_i18n::tr;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;

use super::folder_users::{self, FolderUsers, SwappedFolders};
use super::pins::{self, VolumeNodes};
use super::renames::{FolderRename, SwapState};
use super::services;
use super::staging::restore_unit_name;
use super::state_machine::{RestoreEnvironment, ServicePins, ServiceReplicas};
use super::swap_log::SwapLog;
use crate::FleetContext;
use matou_backup::{FolderSwap, RestoreState};
use matou_host::Command;
use matou_job::{StepContext, StepError};
use matou_model::{NodeState, Swarm};

/// How long the swarm may take to see that a node is lost, and how often that is looked at.
const VERDICT_LIMIT: Duration = Duration::from_secs(40);
const VERDICT_PAUSE: Duration = Duration::from_secs(2);

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

    /// Returns the constraints that services of the application need which are not there yet. `mounts` are the
    /// volumes of each.
    pub(crate) async fn find_pins_of_mounts(
        &self,
        state: &RestoreState,
        mounts: &BTreeMap<String, Vec<(String, String)>>,
    ) -> Result<ServicePins, StepError> {
        let swarm = self.manager.query_swarm().await?;
        let places = self.volume_nodes(state, &swarm);
        let mut pins = Vec::new();
        for (service, mounts) in mounts {
            let volumes: Vec<String> = mounts.iter().map(|(volume, _)| volume.clone()).collect();
            let wanted = places.constraints(&volumes, &swarm);
            if !wanted.is_empty() {
                pins.push((format!("{}_{service}", state.app), wanted));
            }
        }
        Ok(pins)
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

    /// Returns the swap log's work on another node; on the storage node without one.
    ///
    /// # Errors
    /// The node is not in config.toml.
    fn log_on(&self, node: Option<&str>) -> Result<SwapLog, StepError> {
        let Some(name) = node else {
            return Ok(self.swap_log.clone());
        };
        let found = self.fleet.nodes.get(name).ok_or_else(|| {
            StepError::failed(tr!(
                "{name}, which has volumes of it, is not in config.toml: what it keeps of the restore is there alone"
            ))
        })?;
        Ok(self.swap_log.on_host(&found.host))
    }

    /// The same for what is removed: a node that is no part of the fleet any more has nothing to do.
    fn logs_of_places<'a>(&self, state: &'a RestoreState) -> Vec<(SwapLog, &'a std::path::Path)> {
        let places = state.places().into_iter();
        places
            .filter_map(|(node, folder)| Some((self.log_on(node).ok()?, folder)))
            .collect()
    }

    fn volume_nodes(&self, state: &RestoreState, swarm: &Swarm) -> VolumeNodes {
        let storage = &self.fleet.config.storage.node;
        VolumeNodes::of_state(state, storage, &self.fleet.nodes, swarm)
    }

    /// Services, of any application, that use the folders.
    pub(crate) async fn find_folder_services(
        &self,
        state: &RestoreState,
    ) -> Result<BTreeSet<String>, StepError> {
        Ok(self.find_users(state).await?.services)
    }

    async fn find_users(&self, state: &RestoreState) -> Result<FolderUsers, StepError> {
        let folders = SwappedFolders::of_state(state);
        folder_users::find_folder_users(&self.fleet, &self.manager, &folders).await
    }

    /// Waits until the swarm, too, takes the nodes for lost that do not answer, which it does after a quarter of a
    /// minute: until then nobody can tell which of their services there is nothing to stop of. Returns
    /// the swarm as it is then, or as it is when it keeps them all the same.
    async fn wait_for_verdict(&self, silent: &[String]) -> Result<Swarm, StepError> {
        let wait = self.manager.wait_at_most(VERDICT_LIMIT, VERDICT_PAUSE);
        loop {
            let swarm = self.manager.query_swarm().await?;
            let is_open = swarm.nodes.iter().any(|node| {
                let name = self.fleet.nodes.find_name(&swarm, &node.id);
                node.state == NodeState::Ready && name.is_some_and(|name| silent.contains(&name))
            });
            if !is_open || wait.is_over() {
                return Ok(swarm);
            }
            wait.pause(String::new).await?;
        }
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
        for (log, folder) in self.logs_of_places(state) {
            log.remove_folder(folder, empty_handed).await?;
        }
        Ok(())
    }

    async fn rename_away(&self, state: &RestoreState, what: &str) -> Result<(), StepError> {
        for (log, folder) in self.logs_of_places(state) {
            if let Some(to) = log.rename_away(folder, what).await? {
                let note = tr!(
                    "{} of {} is kept as {}",
                    folder.display(),
                    log.host.name(),
                    to.display()
                );
                self.tell_operator(note).await;
            }
        }
        Ok(())
    }

    async fn keeps_earlier_data(&self, state: &RestoreState) -> Result<bool, StepError> {
        for (node, folder) in state.places() {
            if self.log_on(node)?.keeps_earlier_data(folder).await? {
                return Ok(true);
            }
        }
        Ok(false)
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
        let mut seen = vec![SwapState::default(); state.swaps.len()];
        for (node, folder) in state.places() {
            let all = state.swaps.iter().enumerate();
            let own = all.filter(|(_, s)| s.node.as_deref() == node);
            let (at, swaps): (Vec<usize>, Vec<FolderSwap>) =
                own.map(|(at, s)| (at, s.clone())).unzip();
            let found = self.log_on(node)?.inspect_swaps(folder, &swaps).await?;
            for (at, found) in at.into_iter().zip(found) {
                seen[at] = found;
            }
        }
        Ok(seen)
    }

    async fn apply_renames(
        &self,
        node: Option<&str>,
        renames: &[FolderRename],
    ) -> Result<(), StepError> {
        self.log_on(node)?.apply_renames(renames).await
    }

    async fn query_replicas(&self, state: &RestoreState) -> Result<ServiceReplicas, StepError> {
        let users = self.find_users(state).await?;
        let swarm = self.wait_for_verdict(&users.silent).await?;
        let app = &state.app;
        let mut all = services::query_replicas_with(&self.manager, app, &users.services).await?;
        all.retain(|(name, _)| !services::waits_for_a_lost_node(name, &state.volumes, &swarm));
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
        let lost = |swarm: &Swarm| {
            pins::find_lost_strangers(state, &self.volume_nodes(state, swarm), swarm)
        };
        services::stop_named_services(&self.manager, &state.replicas, &lost).await
    }

    async fn query_pins(&self, state: &RestoreState) -> Result<ServicePins, StepError> {
        let swarm = self.manager.query_swarm().await?;
        let places = self.volume_nodes(state, &swarm);
        let mut pins = pins::find_pins(&self.manager, &places, &swarm).await?;
        if state.deployed {
            let own = services::list_app_services(&swarm, &state.app);
            pins.retain(|(name, _)| !own.iter().any(|s| s.name == *name));
        }
        Ok(pins)
    }

    async fn pin_services(&self, state: &RestoreState) -> Result<(), StepError> {
        pins::set_pins(&self.manager, &state.pins, true).await
    }

    async fn unpin_services(&self, state: &RestoreState) -> Result<(), StepError> {
        pins::set_pins(&self.manager, &state.pins, false).await
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
    let on_node = |s: &FolderSwap| match &s.node {
        Some(node) => format!("{node}:{}", s.live.display()),
        None => s.live.display().to_string(),
    };
    swaps.iter().map(on_node)
}
