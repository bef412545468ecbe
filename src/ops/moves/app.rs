//! One application on its way: where it runs, its copy, the switch.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Fleets, build};
use crate::backup::{self, Layout, Phase, Restic, RestoreState};
use crate::job::{Cx, Job, StepError};
use crate::ops::recover::{Findings, part};
use crate::ops::restore::services;
use crate::ops::restore::{Arriving, Journal, Source};
use crate::ops::{Context, Request};

/// Where an application runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Old,
    New,
    Both,
    Nowhere,
}

pub(super) struct Moving {
    pub app: String,
    /// It takes https for its fleet: the old one stays, for what is still there.
    pub edge: bool,
    fleets: Fleets,
    /// On the old storage node: its services are stopped, and may have to be started again.
    journal: Journal,
}

impl Moving {
    pub fn new(fleets: &Fleets, app: &str, edge: bool) -> Self {
        let data = backup::data(&fleets.old.config);
        Self {
            app: app.to_owned(),
            edge,
            fleets: fleets.clone(),
            journal: Journal::new(&fleets.old_storage.host, &data, app),
        }
    }

    /// Where it runs now.
    pub async fn place(&self) -> Result<Place, String> {
        let runs = async |cx: &Context| -> Result<bool, String> {
            let manager = cx.nodes.manager().await.map_err(|e| e.to_string())?;
            let swarm = manager.docker.swarm().await.map_err(|e| e.to_string())?;
            Ok(!services::of(&swarm, &self.app).is_empty())
        };
        let old = runs(&self.fleets.old).await?;
        // Servers that are not provisioned run nothing.
        let new = runs(&self.fleets.new).await.unwrap_or(false);
        Ok(match (old, new) {
            (true, false) => Place::Old,
            (false, true) => Place::New,
            (true, true) => Place::Both,
            (false, false) => Place::Nowhere,
        })
    }

    /// What a move that was interrupted left on the old fleet.
    pub async fn left(&self) -> Result<Option<RestoreState>, StepError> {
        let state = self.journal.read().await?;
        Ok(state.filter(|s| s.swaps.is_empty()))
    }

    /// What hinders: data that an earlier restore keeps on the old fleet.
    pub async fn hindrance(&self) -> Result<Option<String>, StepError> {
        let state = self.journal.read().await?;
        let app = &self.app;
        Ok(state.filter(|s| !s.swaps.is_empty()).map(|_| {
            format!("a restore of {app} keeps data on the old fleet: `matou restore undo {app}` brings it back, `matou restore forget {app}` lets it go; then move it")
        }))
    }

    fn findings(&self) -> &Findings {
        &self.fleets.findings
    }

    async fn part(&self, job: Job, cx: &Context, step: &Cx) -> Result<(), StepError> {
        let done = part(job, &self.app, cx, step, self.findings()).await;
        done.map_err(|why| match step.cancel.is_cancelled() {
            true => StepError::Cancelled,
            false => StepError::Failed(why),
        })
    }

    async fn manager(&self, cx: &Cx) -> Result<Cx, StepError> {
        let manager = self.fleets.old.nodes.manager().await;
        let manager = manager.map_err(|e| StepError::failed(e.to_string()))?;
        Ok(services::on_manager(cx, manager))
    }

    /// Its newest snapshot, read from the new storage node.
    async fn newest(&self) -> Result<Arriving, StepError> {
        let fleets = &self.fleets;
        let restic = Restic::of(&fleets.new_storage.host, &fleets.repository).await;
        let restic = restic.map_err(|e| StepError::failed(e.to_string()))?;
        for secret in restic.secrets() {
            fleets.new.journal.redactor().add(secret.clone());
        }
        let source = Source::whole_in(&fleets.old, restic, &self.app, None).await;
        let source = source.map_err(StepError::Failed)?;
        self.findings().of(&self.app, |a| {
            a.snapshot = Some(source.id.clone());
            a.data_of = Some(source.at);
        });
        let arriving = Arriving::of(&fleets.new, source).await;
        arriving.map_err(StepError::Failed)
    }

    /// Copies it while it runs. What an interrupted move stopped is started first.
    pub async fn copy(&self, cx: &Cx) -> Result<(), StepError> {
        if let Some(state) = self.left().await? {
            // It may have arrived, and the word of it not.
            if state.phase == Phase::Restored || self.has_arrived().await? {
                return self.leave(&state, cx).await;
            }
            self.resolve(&state, cx).await?;
        }
        let job = crate::ops::backup::of_running(&self.app, &self.fleets.old).await;
        self.part(job.map_err(StepError::Failed)?, &self.fleets.old, cx)
            .await?;
        self.newest().await?.stage(cx).await
    }

    /// Whether it was put in use on the new fleet to the end.
    async fn has_arrived(&self) -> Result<bool, StepError> {
        let fleets = &self.fleets;
        let data = backup::data(&fleets.new.config);
        let there = Journal::new(&fleets.new_storage.host, &data, &self.app);
        let half = there.read().await?.is_some_and(|s| s.is_interrupted());
        let place = self.place().await.map_err(StepError::Failed)?;
        Ok(!half && matches!(place, Place::New | Place::Both))
    }

    /// An interrupted move brought to one of its ends: it runs on the old fleet, or on the new one
    /// alone.
    async fn resolve(&self, state: &RestoreState, cx: &Cx) -> Result<(), StepError> {
        match state.phase {
            Phase::Restored => self.leave(state, cx).await,
            _ => {
                services::give_back(&self.manager(cx).await?, &state.replicas).await?;
                self.journal.clear(state).await
            }
        }
    }

    /// Stopped there, brought up to date, started here; what goes wrong starts it there again.
    /// Answers how long nothing answered.
    pub async fn switch(&self, cx: &Cx) -> Result<Duration, StepError> {
        if self.edge {
            let begun = Instant::now();
            self.newest().await?.put_in_use(cx).await?;
            return Ok(begun.elapsed());
        }
        let old = self.manager(cx).await?;
        let replicas = services::replicas(&old, &self.app).await?;
        let mut state = self.state(replicas);
        self.journal.write(&state).await?;
        let begun = Instant::now();
        let took = match self.carry(&old, cx).await {
            Ok(()) => begun.elapsed(),
            Err(why) => return Err(self.back(&state, why, cx).await),
        };
        state.phase = Phase::Restored;
        self.journal.write(&state).await?;
        self.leave(&state, cx).await.map_err(|why| {
            StepError::failed(format!(
                "it runs on the new fleet, and what is left of it on the old one is not removed yet: {why}"
            ))
        })?;
        Ok(took)
    }

    async fn carry(&self, old: &Cx, cx: &Cx) -> Result<(), StepError> {
        let of = &self.fleets.old;
        let layout = Layout::of(&self.app, &of.config, &of.nodes, &of.catalogue).await;
        let layout = layout.map_err(|e| StepError::failed(e.to_string()))?;
        let dumps = layout.spec.dumps.iter().filter(|d| d.needs_service());
        let databases: Vec<String> = dumps
            .map(|d| format!("{}_{}", self.app, d.service))
            .collect();
        services::stop_but(old, &self.app, &databases).await?;
        let job = crate::ops::backup::of_stopped(&self.app, of).await;
        self.part(job.map_err(StepError::Failed)?, of, cx).await?;
        services::stop(old, &self.app).await?;
        let arriving = self.newest().await?;
        arriving.stage(cx).await?;
        arriving.put_in_use(cx).await
    }

    /// Starts it again where it was; answers with why.
    async fn back(&self, state: &RestoreState, why: StepError, cx: &Cx) -> StepError {
        let note = format!("{}: {why}: it is started where it was", self.app);
        cx.out.note(note).await;
        // Not cancelled with the job.
        let calm = Cx {
            cancel: CancellationToken::new(),
            ..cx.clone()
        };
        match self.resolve(state, &calm).await {
            Ok(()) if matches!(why, StepError::Cancelled) => why,
            Ok(()) => StepError::failed(format!("{why}; it runs where it was")),
            Err(worse) => StepError::failed(format!(
                "{why}; and it could not be started where it was: {worse}. When that is mended, `matou restore undo {}` with the old config.toml does it",
                self.app
            )),
        }
    }

    /// It answers on the new fleet: its services on the old one go, volumes and secrets stay.
    async fn leave(&self, state: &RestoreState, cx: &Cx) -> Result<(), StepError> {
        let old = &self.fleets.old;
        let state = &RestoreState {
            phase: Phase::Restored,
            ..state.clone()
        };
        self.journal.write(state).await?;
        let job = build(&Request::remove(self.app.clone()), old).await;
        self.part(job.map_err(StepError::Failed)?, old, cx).await?;
        let (from, to) = (old.config.folder(), self.fleets.new.config.folder());
        if let Some(folder) = from.filter(|f| to.as_ref() != Some(f)) {
            // The old fleet's nightly backup goes by it.
            let file = folder.join("apps").join(format!("{}.toml", self.app));
            let aside = file.with_extension("toml.moved");
            match tokio::fs::rename(&file, &aside).await {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    let why = format!("{} can't be set aside: {e}", file.display());
                    return Err(StepError::failed(why));
                }
                _ => {}
            }
        }
        self.journal.clear(state).await
    }

    fn state(&self, replicas: Vec<(String, u64)>) -> RestoreState {
        let now = jiff::Timestamp::now();
        let data = backup::data(&self.fleets.old.config);
        RestoreState {
            app: self.app.clone(),
            phase: Phase::Restoring,
            begun: now,
            snapshot: String::new(),
            snapshot_at: now,
            folder: data.join("restores").join(&self.app),
            swaps: Vec::new(),
            volumes: Vec::new(),
            replicas,
            deployed: false,
        }
    }
}
