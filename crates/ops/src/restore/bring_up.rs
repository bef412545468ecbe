//! How an application comes up on what was restored: databases first, their dumps loaded, then the rest.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::environment::ServerEnvironment;
use super::parts::render_app_mounts;
use super::services::{self, AppAnswer, ServiceHandling};
use super::state_machine::{BringUp, RestoreEnvironment, ServicePins, ServiceReplicas};
use super::volume_swap::VolumeSwap;
use crate::deploy;
use matou_backup::RestoreState;
use matou_docker::NodeHandle;
use matou_job::{StepContext, StepError};

/// Brings an application up on the servers.
pub(super) struct ServerBringUp<'a> {
    work: &'a VolumeSwap,
    pub site: ServerEnvironment,
    /// Checks of the applications that are stopped meanwhile, and whether each answered before.
    answers: Vec<(AppAnswer, bool)>,
}

impl<'a> ServerBringUp<'a> {
    /// Connects to a manager and asks the applications while they still run on the old data.
    pub(crate) async fn open(work: &'a VolumeSwap, cx: &StepContext) -> Result<Self, StepError> {
        let site = ServerEnvironment::connect(&work.fleet, cx, &work.swap_log).await?;
        let mut asked = Vec::new();
        match work.services {
            // A deploy asks by itself.
            ServiceHandling::Deploy(_) => {}
            ServiceHandling::KeepRunning | ServiceHandling::Stop => asked.push(work.app.clone()),
        }
        if !matches!(work.services, ServiceHandling::KeepRunning) {
            let state = work.initial_state(matou_backup::RestorePhase::Restoring);
            asked.extend(
                site.apps_of_services(&site.find_folder_services(&state).await?)
                    .await?,
            );
        }
        asked.sort();
        asked.dedup();
        let mut answers = Vec::new();
        for app in asked {
            let answer = AppAnswer::load(&app, &work.fleet).await?;
            let before = answer.answers_now(&site.manager).await;
            answers.push((answer, before));
        }
        Ok(Self {
            work,
            site,
            answers,
        })
    }

    fn manager_context(&self) -> &StepContext {
        &self.site.manager
    }

    async fn manager_node(&self) -> Result<NodeHandle, StepError> {
        let manager = self.work.fleet.nodes.find_manager().await;
        let manager = manager?;
        Ok(manager.clone())
    }

    /// The pins of the application's services, by the name that its stack has for them.
    fn pins_by_service(&self, state: &RestoreState) -> BTreeMap<String, Vec<String>> {
        let own = format!("{}_", self.work.app);
        let pins = state.pins.iter();
        pins.filter_map(|(name, pins)| Some((name.strip_prefix(&own)?.to_owned(), pins.clone())))
            .collect()
    }

    /// Databases of the application, and everything else that was stopped.
    fn split_replicas(&self, state: &RestoreState) -> (ServiceReplicas, ServiceReplicas) {
        let databases = self.work.database_services();
        let first = |(name, _): &(String, u64)| {
            let mut all = databases.iter();
            all.any(|short| *name == format!("{}_{short}", self.work.app))
        };
        state.replicas.iter().cloned().partition(first)
    }
}

#[async_trait]
impl BringUp for ServerBringUp<'_> {
    fn environment(&self) -> &dyn RestoreEnvironment {
        &self.site
    }

    fn keeps_services_running(&self) -> bool {
        matches!(self.work.services, ServiceHandling::KeepRunning)
    }

    fn loads_dumps(&self) -> bool {
        !self.work.database_services().is_empty() || !self.work.hooks.is_empty()
    }

    async fn find_deploy_pins(&self, state: &RestoreState) -> Result<ServicePins, StepError> {
        let ServiceHandling::Deploy(file) = &self.work.services else {
            return Ok(Vec::new());
        };
        let mounts = render_app_mounts(&self.work.fleet, &self.work.app, file)?;
        self.site.find_pins_of_mounts(state, &mounts).await
    }

    async fn prepare_new_data(&self) -> Result<(), StepError> {
        self.work.prepare_new_data().await
    }

    async fn load_databases(&self, state: &RestoreState) -> Result<(), StepError> {
        let databases = self.work.database_services();
        if let ServiceHandling::Deploy(file) = &self.work.services {
            if databases.is_empty() {
                return Ok(());
            }
            let pins = self.pins_by_service(state);
            let wanted = self.work.deploy_options(file, &pins);
            let handle = self.manager_node().await?;
            let steps =
                deploy::deploy_subset_steps(&wanted, &handle, &self.work.fleet, &databases).await;
            matou_job::run_steps(self.manager_context(), &steps?).await?;
        } else {
            services::start_services(self.manager_context(), &self.split_replicas(state).0).await?;
        }
        self.work
            .load_dumps(self.manager_context(), &self.work.fleet.nodes)
            .await
    }

    async fn start_services(&self, state: &RestoreState) -> Result<(), StepError> {
        if let ServiceHandling::Deploy(file) = &self.work.services {
            let pins = self.pins_by_service(state);
            let wanted = self.work.deploy_options(file, &pins);
            let steps =
                deploy::deploy_steps(&wanted, &self.manager_node().await?, &self.work.fleet).await;
            matou_job::run_steps(self.manager_context(), &steps?).await?;
        }
        services::start_services(self.manager_context(), &self.split_replicas(state).1).await
    }

    async fn run_load_hooks(&self) -> Result<(), StepError> {
        let nodes = &self.work.fleet.nodes;
        self.work
            .run_load_hooks(self.manager_context(), nodes)
            .await
    }

    async fn check_answers(&self) -> Result<(), StepError> {
        for (answer, before) in &self.answers {
            answer
                .wait_after_restore(self.manager_context(), *before)
                .await?;
        }
        Ok(())
    }

    async fn remove_staging(&self) -> Result<(), StepError> {
        self.work.remove_staging().await
    }
}
