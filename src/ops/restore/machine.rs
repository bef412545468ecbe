//! The states of a restore, and the way from each of them to an end. What it changes it changes through
//! [`Ground`]: the servers, or, in tests, a world in which every step can be the last one.
//!
//! Two rules keep data safe. The state is written before what it tells of is begun, so whoever comes
//! after an interruption knows what may have happened. And nothing is removed but in a phase in which
//! nothing is left to do but to remove: `Clearing`, when no service has run on what was restored and
//! nothing of before is left beside, and `Forgetting`, which the operator confirmed.

use std::path::Path;

use async_trait::async_trait;

use super::swap::{self, Rename, Seen};
use crate::backup::{Phase, RestoreState};
use crate::job::StepError;

/// How many tasks services had, by name.
pub(super) type Replicas = Vec<(String, u64)>;

/// What a restore works on.
#[async_trait]
pub(super) trait Ground: Send + Sync {
    /// Writes the state, whole or not at all.
    async fn write(&self, state: &RestoreState) -> Result<(), StepError>;
    /// Removes the state.
    async fn strike(&self) -> Result<(), StepError>;
    /// Removes the restore's own folder. When `empty_handed`, only if it holds nothing of before.
    async fn remove_folder(
        &self,
        state: &RestoreState,
        empty_handed: bool,
    ) -> Result<(), StepError>;
    /// Gives a restore's folder, where there is one, a name that says `what` it is and when that was.
    async fn set_away(&self, folder: &Path, what: &str) -> Result<(), StepError>;
    /// Whether something of before is kept.
    async fn keeps(&self, state: &RestoreState) -> Result<bool, StepError>;
    /// Ends what may still write the snapshot.
    async fn stop_staging(&self, state: &RestoreState) -> Result<(), StepError>;
    /// What of each swap is there.
    async fn look(&self, state: &RestoreState) -> Result<Vec<Seen>, StepError>;
    /// Carries out renames, one after another; the disk has them afterwards.
    async fn rename(&self, renames: &[Rename]) -> Result<(), StepError>;
    /// What runs now of the application, unless the restore deploys it, and of others that use its
    /// folders.
    async fn running(&self, state: &RestoreState) -> Result<Replicas, StepError>;
    /// Stops every task that uses the folders; removes the application when it was deployed by the
    /// restore.
    async fn stop(&self, state: &RestoreState) -> Result<(), StepError>;
    /// Gives services their tasks; one that is gone is left out, one that does not come up is told.
    async fn give_back(&self, replicas: &Replicas) -> Result<(), StepError>;
    /// Tells the operator.
    async fn tell(&self, note: String);
}

/// What differs between restores: how the application comes up on what was restored.
#[async_trait]
pub(super) trait Rise: Send + Sync {
    fn ground(&self) -> &dyn Ground;
    /// Services go on while a file is exchanged under them.
    fn goes_on(&self) -> bool;
    /// Something runs before everything is loaded.
    fn loads(&self) -> bool;
    /// Makes ready what takes the place of the data in use.
    async fn make_ready(&self) -> Result<(), StepError>;
    /// Starts the databases and loads their dumps.
    async fn load(&self, state: &RestoreState) -> Result<(), StepError>;
    /// Starts everything else.
    async fn start(&self, state: &RestoreState) -> Result<(), StepError>;
    /// Loads what only a running application can load.
    async fn load_late(&self) -> Result<(), StepError>;
    /// Asks the application, as it was asked before.
    async fn ask(&self) -> Result<(), StepError>;
    /// Removes what was written beside and is not needed any more.
    async fn remove_rests(&self) -> Result<(), StepError>;
}

/// Whether a restore in place has to deploy the application: it does not run, or what runs of it goes
/// when an earlier restore is taken back.
pub(in crate::ops) fn has_to_deploy(earlier: Option<&RestoreState>, runs: bool) -> bool {
    let removes = [
        Phase::Restoring,
        Phase::Loading,
        Phase::Started,
        Phase::Undoing,
    ];
    let goes = |s: &RestoreState| s.deployed && removes.contains(&s.phase);
    !runs || earlier.is_some_and(goes)
}

/// Begins a restore: what an earlier one left is brought to an end, or kept under a name that tells
/// what it is. `next` is the new one's state.
///
/// # Errors
/// An earlier one keeps the data of before: that is the operator's to decide.
pub(super) async fn begin(
    ground: &dyn Ground,
    earlier: Option<RestoreState>,
    next: &RestoreState,
) -> Result<(), StepError> {
    if let Some(mut state) = earlier {
        if state.phase == Phase::Restored {
            return Err(StepError::failed(format!(
                "an earlier restore of {0} is not let go: `matou restore undo {0}` or `matou restore forget {0}` first",
                state.app
            )));
        }
        resolve(ground, &mut state).await?;
        if state.phase == Phase::Undone {
            ground.set_away(&state.folder, "undone").await?;
            ground.strike().await?;
        }
    }
    // A folder of which no state tells is not ours to remove.
    ground.set_away(&next.folder, "found").await?;
    ground.write(next).await
}

/// Exchanges the data; answers when the application runs on it, and nothing is left but to write that
/// down. What is written on the storage node tells how far it came when it fails.
async fn restore(rise: &dyn Rise, state: &mut RestoreState) -> Result<(), StepError> {
    let ground = rise.ground();
    state.phase = Phase::Restoring;
    if !rise.goes_on() {
        state.replicas = ground.running(state).await?;
    }
    // What is deployed by the restore is not there yet, and is not to be removed.
    let now = RestoreState {
        deployed: false,
        ..state.clone()
    };
    if state.deployed && ground.running(&now).await? != state.replicas {
        return Err(StepError::failed(format!(
            "{} was deployed meanwhile: restore it again",
            state.app
        )));
    }
    ground.write(state).await?;
    if !rise.goes_on() {
        ground.stop(&now).await?;
    }
    rise.make_ready().await?;
    if rise.goes_on() {
        to(ground, state, Phase::Started).await?;
    }
    put_in_place(ground, state).await?;
    ground
        .tell("the restored folders are in place".to_owned())
        .await;
    if !rise.goes_on() {
        if rise.loads() {
            to(ground, state, Phase::Loading).await?;
            rise.load(state).await?;
            rise.start(state).await?;
            rise.load_late().await?;
            to(ground, state, Phase::Started).await?;
        } else {
            to(ground, state, Phase::Started).await?;
            rise.start(state).await?;
        }
        rise.ask().await?;
    }
    if !ground.keeps(state).await? {
        // Nothing was there before: there is nothing to go back to.
        return clear(ground, state).await;
    }
    rise.remove_rests().await
}

/// How an attempt ended that failed.
#[derive(Debug)]
pub(super) struct TakenBack {
    /// Why it was taken back.
    pub why: StepError,
    /// Services ran on what was restored, so it is kept; or why it could not be taken back.
    pub kept: Result<bool, StepError>,
    /// It was not taken back: all is done, but that this could not be written down.
    pub in_use: bool,
}

/// [`restore`], and the way back when it fails. `calm` is the ground of the way back, which is not
/// cancelled with the job; `written` reads the state that is written.
pub(super) async fn attempt<F>(
    rise: &dyn Rise,
    calm: &dyn Ground,
    state: &mut RestoreState,
    written: impl FnOnce() -> F,
) -> Result<(), TakenBack>
where
    F: Future<Output = Result<Option<RestoreState>, StepError>>,
{
    let why = match restore(rise, state).await {
        // Nothing is kept of what was before.
        Ok(()) if state.phase == Phase::Clearing => return Ok(()),
        Ok(()) => match to(rise.ground(), state, Phase::Restored).await {
            Ok(()) => return Ok(()),
            Err(why @ StepError::Cancelled) => why,
            // What runs and answers is not taken back for want of a note.
            Err(why) => {
                return Err(TakenBack {
                    why,
                    kept: Ok(true),
                    in_use: true,
                });
            }
        },
        Err(why) => why,
    };
    calm.tell(format!("{why}: it is taken back")).await;
    let back = async {
        // What is written tells more than what was meant to be written.
        let begun = state.begun;
        let Some(mut state) = written().await? else {
            return Ok(false);
        };
        if state.begun != begun {
            return Err(StepError::failed(
                "another restore of it was begun meanwhile: what is there is its business",
            ));
        }
        if state.phase == Phase::Staging {
            // Not even the beginning could be written: nothing was changed.
            clear(calm, &mut state).await?;
            return Ok(false);
        }
        resolve(calm, &mut state).await?;
        Ok(state.phase == Phase::Undone)
    };
    let kept = back.await;
    Err(TakenBack {
        why,
        kept,
        in_use: false,
    })
}

async fn to(ground: &dyn Ground, state: &mut RestoreState, phase: Phase) -> Result<(), StepError> {
    let next = RestoreState {
        phase,
        ..state.clone()
    };
    ground.write(&next).await?;
    state.phase = phase;
    Ok(())
}

async fn put_in_place(ground: &dyn Ground, state: &RestoreState) -> Result<(), StepError> {
    let seen = ground.look(state).await?;
    let renames = swap::forward(&state.swaps, &seen).map_err(StepError::Failed)?;
    ground.rename(&renames).await
}

async fn bring_back(ground: &dyn Ground, state: &RestoreState) -> Result<(), StepError> {
    let seen = ground.look(state).await?;
    let aside = jiff::Timestamp::now()
        .strftime("%Y%m%d-%H%M%S.%6f")
        .to_string();
    let renames = swap::back(&state.swaps, &seen, &aside);
    ground.rename(&renames).await
}

/// Ends the restore with nothing kept: what was written beside is removed.
async fn clear(ground: &dyn Ground, state: &mut RestoreState) -> Result<(), StepError> {
    to(ground, state, Phase::Clearing).await?;
    ground.remove_folder(state, true).await?;
    ground.strike().await
}

/// Services that came since the restore was begun get the tasks they have now, all others those that
/// were written down; or, where nothing is stopped, all those they have now.
async fn take_stock(ground: &dyn Ground, state: &mut RestoreState) -> Result<(), StepError> {
    if state.replicas.is_empty() && !state.deployed {
        // A file was exchanged under them.
        return Ok(());
    }
    let now = ground.running(state).await?;
    if state.phase == Phase::Restored {
        state.replicas = now;
        return Ok(());
    }
    for (name, n) in now {
        if !state.replicas.iter().any(|(other, _)| *other == name) {
            state.replicas.push((name, n));
        }
    }
    Ok(())
}

/// Brings a restore that did not come to its end to one: as it was before. What services may have
/// written to is kept.
pub(super) async fn resolve(
    ground: &dyn Ground,
    state: &mut RestoreState,
) -> Result<(), StepError> {
    match state.phase {
        Phase::Staging => {
            ground.stop_staging(state).await?;
            clear(ground, state).await
        }
        Phase::Restoring => take_back(ground, state).await,
        Phase::Loading | Phase::Started | Phase::Undoing => undo(ground, state).await,
        Phase::Clearing => {
            ground.remove_folder(state, true).await?;
            ground.strike().await
        }
        Phase::Forgetting => {
            ground.remove_folder(state, false).await?;
            ground.strike().await
        }
        Phase::Restored | Phase::Undone => Ok(()),
    }
}

/// Nothing ran on what was restored: it goes again.
async fn take_back(ground: &dyn Ground, state: &mut RestoreState) -> Result<(), StepError> {
    take_stock(ground, state).await?;
    ground.write(state).await?;
    ground.stop(state).await?;
    bring_back(ground, state).await?;
    ground.give_back(&state.replicas).await?;
    // Something may have been in use that the restore did not put there: it is kept.
    match ground.keeps(state).await? {
        true => to(ground, state, Phase::Undone).await,
        false => clear(ground, state).await,
    }
}

/// Brings back what a restore set aside; what had been restored is set aside instead.
pub(super) async fn undo(ground: &dyn Ground, state: &mut RestoreState) -> Result<(), StepError> {
    if state.phase != Phase::Undoing {
        take_stock(ground, state).await?;
        to(ground, state, Phase::Undoing).await?;
    }
    ground.stop(state).await?;
    bring_back(ground, state).await?;
    ground.give_back(&state.replicas).await?;
    to(ground, state, Phase::Undone).await
}

/// Whether everything restored has taken its place.
pub(super) async fn is_in_place(
    ground: &dyn Ground,
    state: &RestoreState,
) -> Result<bool, StepError> {
    let seen = ground.look(state).await?;
    Ok(seen.iter().all(|s| !s.new && (s.old || s.mark)))
}

/// Why a restore that was interrupted can't be let go.
pub(super) fn unresolved(app: &str) -> StepError {
    StepError::failed(format!(
        "the restore of {app} was interrupted: `matou restore undo {app}` resolves it first"
    ))
}

/// Lets go what is kept. A restore that was interrupted when everything was in place is ended first.
///
/// # Errors
/// One that was interrupted before: which data is whole can't be told.
pub(super) async fn forget(ground: &dyn Ground, state: &mut RestoreState) -> Result<(), StepError> {
    match state.phase {
        Phase::Clearing => return resolve(ground, state).await,
        Phase::Restored | Phase::Undone | Phase::Forgetting => {}
        Phase::Started if is_in_place(ground, state).await? => {
            ground.give_back(&state.replicas).await?;
            to(ground, state, Phase::Restored).await?;
        }
        _ => return Err(unresolved(&state.app)),
    }
    to(ground, state, Phase::Forgetting).await?;
    ground.remove_folder(state, false).await?;
    ground.strike().await
}
