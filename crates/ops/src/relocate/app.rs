//! One application that is moved: where it runs, its copy, the cutover.

use matou_i18n::tr;
use std::time::{Duration, Instant};

use super::fleets::MoveFleets;
use crate::OpsError;
use crate::page::JobPage;
use crate::recover::{RecoveryFindings, run_job_in_step};
use crate::restore::services;
use crate::restore::{IncomingApp, RestoreSource, SwapLog};
use crate::{FleetContext, remove};
use matou_backup as backup;
use matou_backup::{AppStorage, Restic, RestorePhase, RestoreState};
use matou_history::{FileChange, FleetFolder, Reason};
use matou_job::{Job, StepContext, StepError};
use matou_stack::{AppFile, AppName};

/// Where an application runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AppLocation {
    Old,
    New,
    Both,
    Nowhere,
}

pub(super) struct AppMove {
    pub app: AppName,
    /// It takes https for its fleet. It stays on the old one too, for what still runs there.
    pub is_edge: bool,
    fleets: MoveFleets,
    /// On the old storage node: which services were stopped and may have to be started again.
    swap_log: SwapLog,
}

impl AppMove {
    pub(crate) fn new(fleets: &MoveFleets, app: &AppName, edge: bool) -> Self {
        let data = backup::matou_folder(&fleets.old.config);
        Self {
            app: app.clone(),
            is_edge: edge,
            fleets: fleets.clone(),
            swap_log: SwapLog::new(&fleets.old_storage.host, &data, app),
        }
    }

    /// Finds where it runs now.
    pub(crate) async fn find_location(&self) -> Result<AppLocation, OpsError> {
        let runs = async |cx: &FleetContext| -> Result<bool, OpsError> {
            let manager = cx.nodes.find_manager().await?;
            let swarm = manager.docker.query_swarm().await?;
            Ok(!services::list_app_services(&swarm, &self.app).is_empty())
        };
        let old = runs(&self.fleets.old).await?;
        // Servers that are not provisioned run nothing.
        let new = runs(&self.fleets.new).await.unwrap_or(false);
        Ok(match (old, new) {
            (true, false) => AppLocation::Old,
            (false, true) => AppLocation::New,
            (true, true) => AppLocation::Both,
            (false, false) => AppLocation::Nowhere,
        })
    }

    /// Reads the state that an interrupted move left on the old fleet.
    pub(crate) async fn read_interrupted_move(&self) -> Result<Option<RestoreState>, StepError> {
        let state = self.swap_log.read_state().await?;
        Ok(state.filter(|s| s.swaps.is_empty()))
    }

    /// Returns what prevents the move: data that an earlier restore keeps on the old fleet.
    pub(crate) async fn find_obstacle(&self) -> Result<Option<String>, StepError> {
        let state = self.swap_log.read_state().await?;
        let app = &self.app;
        Ok(state.filter(|s| !s.swaps.is_empty()).map(|_| {
            tr!("a restore of {app} keeps data on the old fleet: `matou restore undo {app}` brings it back, `matou restore forget {app}` lets it go; then move it")
        }))
    }

    /// The page that visitors of the old fleet see while it is stopped.
    pub(super) fn page(&self) -> JobPage {
        JobPage::new(&self.app, format!("move {}", self.app), &self.fleets.old)
    }

    fn findings(&self) -> &RecoveryFindings {
        &self.fleets.findings
    }

    async fn run_job(
        &self,
        job: Job,
        fleet: &FleetContext,
        step: &StepContext,
    ) -> Result<(), StepError> {
        let done = run_job_in_step(job, &self.app, fleet, step, self.findings()).await;
        done.map_err(|e| match step.cancel.is_cancelled() {
            true => StepError::Cancelled,
            false => e.into(),
        })
    }

    async fn old_manager_context(&self, cx: &StepContext) -> Result<StepContext, StepError> {
        let manager = self.fleets.old.nodes.find_manager().await;
        let manager = manager?;
        Ok(cx.on_node(manager))
    }

    /// Loads its newest snapshot, read from the new storage node, to be restored there.
    async fn load_incoming(&self) -> Result<IncomingApp, StepError> {
        let fleets = &self.fleets;
        let restic = Restic::for_repository(&fleets.new_storage.host, &fleets.repository).await;
        let restic = restic.map_err(|e| StepError::failed(e.to_string()))?;
        for secret in restic.secrets() {
            fleets.new.journal.redactor().add_secret(secret.clone());
        }
        let source = RestoreSource::load_whole_from(&fleets.old, restic, &self.app, None).await;
        let source = source?;
        self.findings().update_app(&self.app, |a| {
            a.snapshot = Some(source.id.clone());
            a.data_of = Some(source.at);
        });
        let arriving = IncomingApp::load(&fleets.new, source).await;
        arriving.map_err(StepError::from)
    }

    /// Copies it while it runs. What an interrupted move stopped is started first.
    pub(crate) async fn copy_running(&self, cx: &StepContext) -> Result<(), StepError> {
        if let Some(state) = self.read_interrupted_move().await? {
            // It may have arrived without that being written down.
            if state.phase == RestorePhase::Restored || self.has_arrived().await? {
                self.leave_old_fleet(&state, cx).await?;
                return self.page().end_left(cx, Some(&self.fleets.new)).await;
            }
            self.resolve_interrupted(&state, cx).await?;
            self.page().end_left(cx, None).await?;
        }
        let job = crate::backup::build_running_app_backup(&self.app, &self.fleets.old).await;
        self.run_job(job?, &self.fleets.old, cx).await?;
        self.load_incoming().await?.stage_snapshot(cx).await
    }

    /// Whether it was put in use on the new fleet to the end.
    async fn has_arrived(&self) -> Result<bool, StepError> {
        let fleets = &self.fleets;
        let data = backup::matou_folder(&fleets.new.config);
        let there = SwapLog::new(&fleets.new_storage.host, &data, &self.app);
        let half = there
            .read_state()
            .await?
            .is_some_and(|s| s.is_interrupted());
        let place = self.find_location().await?;
        Ok(!half && matches!(place, AppLocation::New | AppLocation::Both))
    }

    /// Brings an interrupted move to one of its ends: the application runs on the old fleet, or on
    /// the new one alone.
    async fn resolve_interrupted(
        &self,
        state: &RestoreState,
        cx: &StepContext,
    ) -> Result<(), StepError> {
        match state.phase {
            RestorePhase::Restored => self.leave_old_fleet(state, cx).await,
            _ => {
                services::give_back_replicas(&self.old_manager_context(cx).await?, &state.replicas)
                    .await?;
                self.swap_log.remove_folder_and_state(state).await
            }
        }
    }

    /// Stops it on the old fleet, brings the copy up to date, and starts it on the new fleet. When
    /// something fails, starts it on the old fleet again. Returns how long it did not answer.
    pub(crate) async fn cut_over(&self, cx: &StepContext) -> Result<Duration, StepError> {
        if self.is_edge {
            let begun = Instant::now();
            self.load_incoming().await?.put_in_use(cx).await?;
            return Ok(begun.elapsed());
        }
        // On the heap: two jobs are inside it, and a thread's stack is small.
        let switched = Box::pin(self.switch_fleets(cx));
        let page = self.page();
        Box::pin(page.run_until_moved(cx, &self.fleets.new, switched)).await
    }

    /// Moves what changed since the copy, stopped. Returns how long nothing ran.
    async fn switch_fleets(&self, cx: &StepContext) -> Result<Duration, StepError> {
        let old = self.old_manager_context(cx).await?;
        let replicas = services::query_app_replicas(&old, &self.app).await?;
        let mut state = self.initial_state(replicas);
        self.swap_log.write_state(&state).await?;
        let begun = Instant::now();
        let took = match self.stop_and_transfer(&old, cx).await {
            Ok(()) => begun.elapsed(),
            Err(why) => return Err(self.go_back(&state, why, cx).await),
        };
        state.phase = RestorePhase::Restored;
        self.swap_log.write_state(&state).await?;
        self.leave_old_fleet(&state, cx).await.map_err(|why| {
            StepError::failed(tr!(
                "it runs on the new fleet, and what is left of it on the old one is not removed yet: {why}"
            ))
        })?;
        Ok(took)
    }

    async fn stop_and_transfer(
        &self,
        old: &StepContext,
        cx: &StepContext,
    ) -> Result<(), StepError> {
        let of = &self.fleets.old;
        let layout = AppStorage::load(&self.app, &of.config, &of.nodes, &of.catalogue).await;
        let layout = layout.map_err(|e| StepError::failed(e.to_string()))?;
        let dumps = layout.spec.dumps.iter().filter(|d| d.needs_service());
        let databases: Vec<String> = dumps
            .map(|d| format!("{}_{}", self.app, d.service))
            .collect();
        services::stop_app_except(old, &self.app, &databases).await?;
        let job = crate::backup::build_stopped_app_backup(&self.app, of).await;
        self.run_job(job?, of, cx).await?;
        services::stop_app(old, &self.app).await?;
        let arriving = self.load_incoming().await?;
        arriving.stage_snapshot(cx).await?;
        arriving.put_in_use(cx).await
    }

    /// Starts it again where it was. Returns the error to report: `why`, and what came of it.
    async fn go_back(&self, state: &RestoreState, why: StepError, cx: &StepContext) -> StepError {
        let note = tr!("{}: {why}: it is started where it was", self.app);
        cx.out.note(note).await;
        // Not cancelled with the job.
        let calm = cx.without_cancelling();
        match self.resolve_interrupted(state, &calm).await {
            Ok(()) if matches!(why, StepError::Cancelled) => why,
            Ok(()) => StepError::failed(tr!("{why}; it runs where it was")),
            Err(worse) => StepError::failed(tr!(
                "{why}; and it could not be started where it was: {worse}. When that is mended, `matou restore undo {}` with the old config.toml does it",
                self.app
            )),
        }
    }

    /// Removes its services from the old fleet when it answers on the new one. Volumes, and
    /// secrets that were made at random, stay.
    async fn leave_old_fleet(
        &self,
        state: &RestoreState,
        cx: &StepContext,
    ) -> Result<(), StepError> {
        let old = &self.fleets.old;
        let state = &RestoreState {
            phase: RestorePhase::Restored,
            ..state.clone()
        };
        self.swap_log.write_state(state).await?;
        let job = remove::build_removal_job(&self.app, &[], old).await;
        self.run_job(job?, old, cx).await?;
        let (from, to) = (old.folder(), self.fleets.new.config.folder());
        if let Some(folder) = from.filter(|f| to.as_deref() != Some(f.path())) {
            self.set_file_aside(&folder, cx).await?;
        }
        self.swap_log.remove_folder_and_state(state).await
    }

    /// Sets the application's file of the old fleet aside, by which its nightly backup goes.
    async fn set_file_aside(
        &self,
        folder: &FleetFolder,
        cx: &StepContext,
    ) -> Result<(), StepError> {
        let name = AppFile::name(&self.app);
        let file = folder.path().join(&name);
        let failed = |e: &dyn std::fmt::Display| {
            StepError::failed(tr!("{} can't be set aside: {e}", file.display()))
        };
        match tokio::fs::copy(&file, file.with_extension("toml.moved")).await {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(failed(&e)),
            Ok(_) => {}
        }
        let reason = Reason {
            title: tr!("{} was moved to another fleet", self.app),
            lines: Vec::new(),
        };
        let notes = folder.change(&[FileChange::Remove { name }], &reason).await;
        for note in notes.map_err(|e| failed(&e))? {
            cx.out.note(note).await;
        }
        Ok(())
    }

    fn initial_state(&self, replicas: Vec<(String, u64)>) -> RestoreState {
        let now = jiff::Timestamp::now();
        let data = backup::matou_folder(&self.fleets.old.config);
        RestoreState {
            app: self.app.to_string(),
            phase: RestorePhase::Restoring,
            begun: now,
            snapshot: String::new(),
            snapshot_at: now,
            folder: data.join("restores").join(&self.app),
            swaps: Vec::new(),
            volumes: Vec::new(),
            replicas,
            deployed: false,
            pins: Vec::new(),
        }
    }
}
