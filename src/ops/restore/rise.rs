//! How an application comes up on what was restored: databases first, their dumps loaded, then the rest.

use async_trait::async_trait;

use super::exchange::{Exchange, Services, run_steps};
use super::machine::{Ground, Replicas, Rise};
use super::services::{self, Answer};
use super::site::Site;
use crate::backup::RestoreState;
use crate::docker::NodeHandle;
use crate::job::{Cx, StepError};
use crate::ops::deploy;

/// An exchange that is carried out on the servers.
pub(super) struct Rising<'a> {
    work: &'a Exchange,
    pub site: Site,
    /// Checks of the applications that are stopped meanwhile, and whether they were met before.
    answers: Vec<(Answer, bool)>,
}

impl<'a> Rising<'a> {
    /// Asks the applications while they still run on the data of before.
    pub async fn of(work: &'a Exchange, cx: &Cx) -> Result<Self, StepError> {
        let site = Site::of(&work.cx, cx, &work.journal).await?;
        let mut asked = Vec::new();
        match work.services {
            // A deploy asks by itself.
            Services::Deploy(_) => {}
            Services::GoOn | Services::Stop => asked.push(work.app.clone()),
        }
        if !matches!(work.services, Services::GoOn) {
            let state = work.state(crate::backup::Phase::Restoring);
            asked.extend(site.apps_of(&site.others(&state).await?).await?);
        }
        asked.sort();
        asked.dedup();
        let mut answers = Vec::new();
        for app in asked {
            let answer = Answer::of(&app, &work.cx).await?;
            let before = answer.now(&site.manager).await;
            answers.push((answer, before));
        }
        Ok(Self {
            work,
            site,
            answers,
        })
    }

    fn manager(&self) -> &Cx {
        &self.site.manager
    }

    async fn handle(&self) -> Result<NodeHandle, StepError> {
        let manager = self.work.cx.nodes.manager().await;
        let manager = manager.map_err(|e| StepError::failed(e.to_string()))?;
        Ok(manager.clone())
    }

    /// Databases of the application, and everything else that was stopped.
    fn parted(&self, state: &RestoreState) -> (Replicas, Replicas) {
        let databases = self.work.databases();
        let first = |(name, _): &(String, u64)| {
            let mut all = databases.iter();
            all.any(|short| *name == format!("{}_{short}", self.work.app))
        };
        state.replicas.iter().cloned().partition(first)
    }
}

#[async_trait]
impl Rise for Rising<'_> {
    fn ground(&self) -> &dyn Ground {
        &self.site
    }

    fn goes_on(&self) -> bool {
        matches!(self.work.services, Services::GoOn)
    }

    fn loads(&self) -> bool {
        !self.work.databases().is_empty() || !self.work.hooks.is_empty()
    }

    async fn make_ready(&self) -> Result<(), StepError> {
        self.work.make_ready().await
    }

    async fn load(&self, state: &RestoreState) -> Result<(), StepError> {
        let databases = self.work.databases();
        if let Services::Deploy(file) = &self.work.services {
            if databases.is_empty() {
                return Ok(());
            }
            let wanted = self.work.wanted(file);
            let handle = self.handle().await?;
            let steps = deploy::some(&wanted, &handle, &self.work.cx, &databases).await;
            run_steps(self.manager(), steps.map_err(StepError::failed)?).await?;
        } else {
            services::start(self.manager(), &self.parted(state).0).await?;
        }
        self.work.load(self.manager(), &self.work.cx.nodes).await
    }

    async fn start(&self, state: &RestoreState) -> Result<(), StepError> {
        if let Services::Deploy(file) = &self.work.services {
            let wanted = self.work.wanted(file);
            let steps = deploy::steps(&wanted, &self.handle().await?, &self.work.cx).await;
            run_steps(self.manager(), steps.map_err(StepError::failed)?).await?;
        }
        services::start(self.manager(), &self.parted(state).1).await
    }

    async fn load_late(&self) -> Result<(), StepError> {
        let nodes = &self.work.cx.nodes;
        self.work.hooks(self.manager(), nodes).await
    }

    async fn ask(&self) -> Result<(), StepError> {
        for (answer, before) in &self.answers {
            answer.after(self.manager(), *before).await?;
        }
        Ok(())
    }

    async fn remove_rests(&self) -> Result<(), StepError> {
        let rests = [self.work.staged(), self.work.folder.join("fresh")];
        self.work.journal.remove(&rests).await
    }
}
