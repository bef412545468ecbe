//! The states of a restore, and how each of them comes to an end. All changes go through
//! [`RestoreEnvironment`]: the servers or, in tests, a simulation in which every step can be the
//! last one.
//!
//! Two rules keep data safe. First, a state is written before the work that it describes begins, so
//! whoever comes after an interruption knows what may have happened. Second, data is removed only
//! in a phase that does nothing else: `Clearing`, when no service has run on the restored data and
//! nothing is set aside, and `Forgetting`, which the operator confirmed.

use async_trait::async_trait;
use matou_i18n::tr;

use super::renames::{self, FolderRename, SwapState};
use matou_backup::{RestorePhase, RestoreState};
use matou_job::StepError;

/// How many tasks services had, by name.
pub(super) type ServiceReplicas = Vec<(String, u64)>;

/// Constraints of services, by name.
pub(super) type ServicePins = Vec<(String, Vec<String>)>;

/// What a restore works on.
#[async_trait]
pub(super) trait RestoreEnvironment: Send + Sync {
    /// Writes the state, whole or not at all.
    async fn write_state(&self, state: &RestoreState) -> Result<(), StepError>;
    /// Removes the state.
    async fn remove_state(&self) -> Result<(), StepError>;
    /// Removes the folder of the restore. If `empty_handed`, fails if it holds set-aside data.
    async fn remove_folder(
        &self,
        state: &RestoreState,
        empty_handed: bool,
    ) -> Result<(), StepError>;
    /// Renames the folders of a restore that exist. The new names say `what` they are and the time.
    async fn rename_away(&self, state: &RestoreState, what: &str) -> Result<(), StepError>;
    /// Whether the folder of the restore holds set-aside data.
    async fn keeps_earlier_data(&self, state: &RestoreState) -> Result<bool, StepError>;
    /// Ends what may still write the snapshot.
    async fn stop_staging(&self, state: &RestoreState) -> Result<(), StepError>;
    /// Looks at what exists of each swap.
    async fn inspect_swaps(&self, state: &RestoreState) -> Result<Vec<SwapState>, StepError>;
    /// Carries out renames of one node, one after another; the disk has them afterwards.
    async fn apply_renames(
        &self,
        node: Option<&str>,
        renames: &[FolderRename],
    ) -> Result<(), StepError>;
    /// Returns the services that run now: those of the application, unless the restore deploys it,
    /// and those of others that use its folders.
    async fn query_replicas(&self, state: &RestoreState) -> Result<ServiceReplicas, StepError>;
    /// Waits until no job of these services goes on: it can't be stopped and go on afterwards.
    async fn wait_for_jobs(&self, replicas: &ServiceReplicas) -> Result<(), StepError>;
    /// Stops every task that uses the folders; removes the application when it was deployed by the
    /// restore.
    async fn stop_services(&self, state: &RestoreState) -> Result<(), StepError>;
    /// Returns the constraints that keep services where the volumes of the state are; none that they have.
    async fn query_pins(&self, state: &RestoreState) -> Result<ServicePins, StepError>;
    /// Gives stopped services the constraints of the state.
    async fn pin_services(&self, state: &RestoreState) -> Result<(), StepError>;
    /// Takes these constraints away; tasks that run go on.
    async fn unpin_services(&self, state: &RestoreState) -> Result<(), StepError>;
    /// Gives services their tasks; one that is gone is left out, one that does not come up is told.
    async fn give_back_replicas(&self, replicas: &ServiceReplicas) -> Result<(), StepError>;
    /// Tells the operator.
    async fn tell_operator(&self, note: String);
}

/// How an application comes up on the restored data.
#[async_trait]
pub(super) trait BringUp: Send + Sync {
    fn environment(&self) -> &dyn RestoreEnvironment;
    /// Whether services go on running while a file is swapped under them.
    fn keeps_services_running(&self) -> bool;
    /// Whether dumps are loaded, so that services run before all data is there.
    fn loads_dumps(&self) -> bool;
    /// Returns the constraints that keep the services which are going to be deployed where their volumes are;
    /// the deploy gives them.
    async fn find_deploy_pins(&self, state: &RestoreState) -> Result<ServicePins, StepError>;
    /// Prepares the data that is swapped in.
    async fn prepare_new_data(&self) -> Result<(), StepError>;
    /// Starts the databases and loads their dumps.
    async fn load_databases(&self, state: &RestoreState) -> Result<(), StepError>;
    /// Starts everything else.
    async fn start_services(&self, state: &RestoreState) -> Result<(), StepError>;
    /// Loads what only a running application can load.
    async fn run_load_hooks(&self) -> Result<(), StepError>;
    /// Checks that the application answers as it did before.
    async fn check_answers(&self) -> Result<(), StepError>;
    /// Removes what was written beside and is not needed any more.
    async fn remove_staging(&self) -> Result<(), StepError>;
}

/// Whether a restore in place has to deploy the application: it does not run, or what runs of it goes
/// when an earlier restore is taken back.
pub(crate) fn has_to_deploy(earlier: Option<&RestoreState>, runs: bool) -> bool {
    let removes = [
        RestorePhase::Restoring,
        RestorePhase::Loading,
        RestorePhase::Started,
        RestorePhase::Undoing,
    ];
    let goes = |s: &RestoreState| s.deployed && removes.contains(&s.phase);
    !runs || earlier.is_some_and(goes)
}

/// Begins a restore. Ends what an earlier one has left, or keeps it under another name. `next` is
/// the state of the new one.
///
/// # Errors
/// An earlier restore keeps set-aside data: the operator must decide about it.
pub(super) async fn begin_restore(
    ground: &dyn RestoreEnvironment,
    earlier: Option<RestoreState>,
    next: &RestoreState,
) -> Result<(), StepError> {
    if let Some(mut state) = earlier {
        if state.phase == RestorePhase::Restored {
            return Err(StepError::failed(tr!(
                "an earlier restore of {0} is not let go: `matou restore undo {0}` or `matou restore forget {0}` first",
                state.app
            )));
        }
        resolve_restore(ground, &mut state).await?;
        if state.phase == RestorePhase::Undone {
            ground.rename_away(&state, "undone").await?;
            ground.remove_state().await?;
        }
    }
    // A folder of which no state tells is not ours to remove.
    ground.rename_away(next, "found").await?;
    ground.write_state(next).await
}

/// Swaps the data and starts the application on it. Afterwards only the last state is to be
/// written. If it fails, the state on the storage node says how far it came.
async fn swap_and_bring_up(rise: &dyn BringUp, state: &mut RestoreState) -> Result<(), StepError> {
    let ground = rise.environment();
    state.phase = RestorePhase::Restoring;
    if !rise.keeps_services_running() {
        state.replicas = ground.query_replicas(state).await?;
        record_pins(ground, state).await?;
        if state.deployed {
            // Written down before the deploy, so that whoever comes after an interruption takes them away.
            state.pins.extend(rise.find_deploy_pins(state).await?);
        }
    }
    // What the restore is going to deploy must not be removed now.
    let now = RestoreState {
        deployed: false,
        ..state.clone()
    };
    if state.deployed && ground.query_replicas(&now).await? != state.replicas {
        return Err(StepError::failed(tr!(
            "{} was deployed meanwhile: restore it again",
            state.app
        )));
    }
    if !rise.keeps_services_running() {
        // Before anything is changed: one that does not end in time leaves nothing to be taken back.
        ground.wait_for_jobs(&state.replicas).await?;
    }
    ground.write_state(state).await?;
    if !rise.keeps_services_running() {
        ground.stop_services(&now).await?;
        ground.pin_services(state).await?;
    }
    rise.prepare_new_data().await?;
    if rise.keeps_services_running() {
        enter_phase(ground, state, RestorePhase::Started).await?;
    }
    put_in_place(ground, state).await?;
    ground
        .tell_operator(tr!("the restored folders are in place").to_owned())
        .await;
    if !rise.keeps_services_running() {
        if rise.loads_dumps() {
            enter_phase(ground, state, RestorePhase::Loading).await?;
            rise.load_databases(state).await?;
            rise.start_services(state).await?;
            rise.run_load_hooks().await?;
            enter_phase(ground, state, RestorePhase::Started).await?;
        } else {
            enter_phase(ground, state, RestorePhase::Started).await?;
            rise.start_services(state).await?;
        }
        rise.check_answers().await?;
        ground.unpin_services(state).await?;
    }
    if !ground.keeps_earlier_data(state).await? {
        // Nothing was there before: there is nothing to go back to.
        return clear_restore(ground, state).await;
    }
    rise.remove_staging().await
}

/// The result of a restore that failed.
#[derive(Debug)]
pub(super) struct FailedRestore {
    /// Why it was taken back.
    pub why: StepError,
    /// Whether the restored data is kept, because services ran on it; or why it could not be taken
    /// back.
    pub kept: Result<bool, StepError>,
    /// It was not taken back: the application runs on the restored data, but that could not be
    /// written down.
    pub in_use: bool,
}

/// Does [`swap_and_bring_up`], and takes it back if it fails. `calm` is the environment for taking
/// back, which is not cancelled with the job. `written` reads the state from the swap log.
pub(super) async fn attempt_restore<F>(
    rise: &dyn BringUp,
    calm: &dyn RestoreEnvironment,
    state: &mut RestoreState,
    written: impl FnOnce() -> F,
) -> Result<(), FailedRestore>
where
    F: Future<Output = Result<Option<RestoreState>, StepError>>,
{
    let why = match swap_and_bring_up(rise, state).await {
        // Nothing was set aside; the restore has ended already.
        Ok(()) if state.phase == RestorePhase::Clearing => return Ok(()),
        Ok(()) => match enter_phase(rise.environment(), state, RestorePhase::Restored).await {
            Ok(()) => return Ok(()),
            Err(why @ StepError::Cancelled) => why,
            // An application that runs and answers is not taken back because a state can't be
            // written.
            Err(why) => {
                return Err(FailedRestore {
                    why,
                    kept: Ok(true),
                    in_use: true,
                });
            }
        },
        Err(why) => why,
    };
    calm.tell_operator(tr!("{why}: it is taken back")).await;
    let back = async {
        // The state that was written is more certain than the one in memory.
        let begun = state.begun;
        let Some(mut state) = written().await? else {
            return Ok(false);
        };
        if state.begun != begun {
            return Err(StepError::failed(tr!(
                "another restore of it was begun meanwhile: what is there is its business"
            )));
        }
        if state.phase == RestorePhase::Staging {
            // The first state of the swap could not be written, so nothing was changed.
            clear_restore(calm, &mut state).await?;
            return Ok(false);
        }
        resolve_restore(calm, &mut state).await?;
        Ok(state.phase == RestorePhase::Undone)
    };
    let kept = back.await;
    Err(FailedRestore {
        why,
        kept,
        in_use: false,
    })
}

async fn enter_phase(
    ground: &dyn RestoreEnvironment,
    state: &mut RestoreState,
    phase: RestorePhase,
) -> Result<(), StepError> {
    let next = RestoreState {
        phase,
        ..state.clone()
    };
    ground.write_state(&next).await?;
    state.phase = phase;
    Ok(())
}

async fn put_in_place(
    ground: &dyn RestoreEnvironment,
    state: &RestoreState,
) -> Result<(), StepError> {
    let seen = ground.inspect_swaps(state).await?;
    // All of it is planned before the first one is changed.
    let mut planned = Vec::new();
    for (node, swaps, seen) in renames::split_by_node(&state.swaps, &seen) {
        planned.push((node, renames::plan_swap_renames(&swaps, &seen)?));
    }
    for (node, renames) in planned {
        ground.apply_renames(node, &renames).await?;
    }
    Ok(())
}

async fn bring_back(
    ground: &dyn RestoreEnvironment,
    state: &RestoreState,
) -> Result<(), StepError> {
    let seen = ground.inspect_swaps(state).await?;
    let aside = jiff::Timestamp::now()
        .strftime("%Y%m%d-%H%M%S.%6f")
        .to_string();
    for (node, swaps, seen) in renames::split_by_node(&state.swaps, &seen) {
        let renames = renames::plan_undo_renames(&swaps, &seen, &aside);
        ground.apply_renames(node, &renames).await?;
    }
    Ok(())
}

/// Ends the restore with nothing kept: what was written beside is removed.
async fn clear_restore(
    ground: &dyn RestoreEnvironment,
    state: &mut RestoreState,
) -> Result<(), StepError> {
    enter_phase(ground, state, RestorePhase::Clearing).await?;
    ground.remove_folder(state, true).await?;
    ground.remove_state().await
}

/// Adds services that came since the restore began, with the replicas they have now; the others
/// keep those in the state. After a finished restore, takes the present replicas of all.
async fn record_replicas(
    ground: &dyn RestoreEnvironment,
    state: &mut RestoreState,
) -> Result<(), StepError> {
    if state.replicas.is_empty() && !state.deployed {
        // A file was exchanged under them.
        return Ok(());
    }
    let now = ground.query_replicas(state).await?;
    if state.phase == RestorePhase::Restored {
        state.replicas = now;
        state.pins.clear();
        return record_pins(ground, state).await;
    }
    for (name, n) in now {
        if !state.replicas.iter().any(|(other, _)| *other == name) {
            state.replicas.push((name, n));
        }
    }
    record_pins(ground, state).await
}

/// Adds what keeps services where the volumes are; a finished restore has none any more.
async fn record_pins(
    ground: &dyn RestoreEnvironment,
    state: &mut RestoreState,
) -> Result<(), StepError> {
    for (name, pins) in ground.query_pins(state).await? {
        if !state.pins.iter().any(|(other, _)| *other == name) {
            state.pins.push((name, pins));
        }
    }
    Ok(())
}

/// Ends an interrupted restore by going back to the data from before. Keeps restored data that
/// services may have written to.
pub(super) async fn resolve_restore(
    ground: &dyn RestoreEnvironment,
    state: &mut RestoreState,
) -> Result<(), StepError> {
    match state.phase {
        RestorePhase::Staging => {
            ground.stop_staging(state).await?;
            clear_restore(ground, state).await
        }
        RestorePhase::Restoring => take_back(ground, state).await,
        RestorePhase::Loading | RestorePhase::Started | RestorePhase::Undoing => {
            undo_restore(ground, state).await
        }
        RestorePhase::Clearing => {
            ground.remove_folder(state, true).await?;
            ground.remove_state().await
        }
        RestorePhase::Forgetting => {
            ground.remove_folder(state, false).await?;
            ground.remove_state().await
        }
        RestorePhase::Restored | RestorePhase::Undone => Ok(()),
    }
}

/// Takes back a restore on whose data no service has run.
async fn take_back(
    ground: &dyn RestoreEnvironment,
    state: &mut RestoreState,
) -> Result<(), StepError> {
    // A node that does not answer is found before anything is stopped.
    ground.inspect_swaps(state).await?;
    record_replicas(ground, state).await?;
    ground.write_state(state).await?;
    stop_pinned(ground, state).await?;
    bring_back(ground, state).await?;
    ground.give_back_replicas(&state.replicas).await?;
    ground.unpin_services(state).await?;
    // Something may have been in use that the restore did not put there: it is kept.
    match ground.keeps_earlier_data(state).await? {
        true => enter_phase(ground, state, RestorePhase::Undone).await,
        false => clear_restore(ground, state).await,
    }
}

/// Brings back what a restore set aside; what had been restored is set aside instead.
pub(super) async fn undo_restore(
    ground: &dyn RestoreEnvironment,
    state: &mut RestoreState,
) -> Result<(), StepError> {
    ground.inspect_swaps(state).await?;
    if state.phase != RestorePhase::Undoing {
        record_replicas(ground, state).await?;
        ground.wait_for_jobs(&state.replicas).await?;
        enter_phase(ground, state, RestorePhase::Undoing).await?;
    }
    stop_pinned(ground, state).await?;
    bring_back(ground, state).await?;
    ground.give_back_replicas(&state.replicas).await?;
    ground.unpin_services(state).await?;
    enter_phase(ground, state, RestorePhase::Undone).await
}

async fn stop_pinned(
    ground: &dyn RestoreEnvironment,
    state: &RestoreState,
) -> Result<(), StepError> {
    ground.stop_services(state).await?;
    ground.pin_services(state).await
}

/// Whether everything restored has taken its place.
pub(super) async fn is_in_place(
    ground: &dyn RestoreEnvironment,
    state: &RestoreState,
) -> Result<bool, StepError> {
    let seen = ground.inspect_swaps(state).await?;
    Ok(seen.iter().all(|s| !s.new && (s.old || s.mark)))
}

/// Why a restore that was interrupted can't be let go.
pub(super) fn unresolved_restore(app: &str) -> StepError {
    StepError::failed(tr!(
        "the restore of {app} was interrupted: `matou restore undo {app}` resolves it first"
    ))
}

/// Removes the set-aside data. A restore that was interrupted after the swap is ended first.
///
/// # Errors
/// It was interrupted earlier, so which data is complete is not known.
pub(super) async fn forget_restore(
    ground: &dyn RestoreEnvironment,
    state: &mut RestoreState,
) -> Result<(), StepError> {
    match state.phase {
        RestorePhase::Clearing => return resolve_restore(ground, state).await,
        RestorePhase::Restored | RestorePhase::Undone | RestorePhase::Forgetting => {}
        RestorePhase::Started if is_in_place(ground, state).await? => {
            ground.give_back_replicas(&state.replicas).await?;
            ground.unpin_services(state).await?;
            enter_phase(ground, state, RestorePhase::Restored).await?;
        }
        _ => return Err(unresolved_restore(&state.app)),
    }
    enter_phase(ground, state, RestorePhase::Forgetting).await?;
    ground.remove_folder(state, false).await?;
    ground.remove_state().await
}
