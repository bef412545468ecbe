//! What rehearsals that were cut off (a reboot, a lost connection) left of their copies: the next night removes it,
//! since an application may not be rehearsed again for long.

use matou_i18n::tr;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{SUFFIX, clear_copy, rehearsal_name};
use crate::holds::hold_touched_apps;
use crate::job_on_node::build_job_on_node;
use crate::restore::is_claimed;
use crate::{FleetContext, OpsError, Request};
use matou_docker::NodeHandle;
use matou_host::Command;
use matou_job::{
    Change, Check, Confirm, Job, JobEvent, Step, StepContext, StepError, list_busy_apps,
};
use matou_stack::{AppFile, AppName};

/// How long the removal of a copy may take.
const LIMIT: Duration = Duration::from_secs(3600);

/// Prints the names of copies that were begun and not removed: the folder of all applications' data, the end of a
/// copy's name.
const LIST_LEFT: &str = r#"cd -- "$1/.matou/throw-away" 2>/dev/null || exit 0
exec find . -mindepth 1 -maxdepth 1 -type f -name "*$2" -printf '%f\n'"#;

/// Removes what is left of copies that nobody works with. `events` tell of the jobs; one that fails is tried again
/// the next night.
///
/// # Errors
/// One sentence: no manager or not the storage node answers.
pub async fn remove_left_rehearsals(
    fleet: &FleetContext,
    events: &mpsc::Sender<JobEvent>,
    cancel: &CancellationToken,
) -> Result<(), OpsError> {
    // A rehearsal that goes on is known by its lock.
    if fleet.runner.goes_without_locks() {
        return Ok(());
    }
    for app in list_left_copies(fleet).await? {
        if cancel.is_cancelled() {
            break;
        }
        let job = build_job(&app, fleet).await?;
        let running = fleet.runner.run(&job, None, events.clone(), cancel.clone());
        running.await.map_err(OpsError::failed)?;
    }
    Ok(())
}

/// Lists the applications of which a copy is left.
async fn list_left_copies(fleet: &FleetContext) -> Result<Vec<AppName>, OpsError> {
    let storage = &fleet.find_storage_node()?.host;
    let list = Command::sh(LIST_LEFT)
        .arg(fleet.config.storage.path.display().to_string())
        .arg(SUFFIX)
        .sudo()
        .timeout(Duration::from_secs(30))
        .label(tr!("look whether a copy was cut off"));
    let text = storage.run_ok(&list).await?.stdout_text();
    let copies: Vec<String> = text.lines().map(str::to_owned).collect();
    if copies.is_empty() {
        return Ok(Vec::new());
    }
    let busy = list_busy_apps(storage, &copies).await?;
    let left = copies
        .iter()
        .filter(|copy| !busy.contains(copy) && !has_file(fleet, copy));
    let apps = left.filter_map(|copy| AppName::new(copy.strip_suffix(SUFFIX)?).ok());
    Ok(apps.collect())
}

/// Whether an application of that name is the operator's own.
fn has_file(fleet: &FleetContext, name: &str) -> bool {
    let folder = fleet.config.folder();
    folder.is_some_and(|folder| AppFile::path(&folder, name).exists())
}

async fn build_job(app: &AppName, fleet: &FleetContext) -> Result<Job, OpsError> {
    // It holds what a rehearsal holds.
    let request = Request::Rehearse {
        app: app.clone(),
        images: Default::default(),
    };
    let manager = fleet.nodes.find_manager().await?.clone();
    let remove = RemoveLeftCopy {
        fleet: fleet.clone(),
        manager: manager.clone(),
        app: app.clone(),
    };
    let mut job = build_job_on_node(&manager, &request, Confirm::None, vec![Box::new(remove)]);
    job.title = tr!("remove {}", rehearsal_name(app));
    for stage in &mut job.stages {
        stage.title.clone_from(&job.title);
    }
    hold_touched_apps(&mut job, &request, fleet).await?;
    Ok(job)
}

struct RemoveLeftCopy {
    fleet: FleetContext,
    manager: NodeHandle,
    app: AppName,
}

#[async_trait]
impl Step for RemoveLeftCopy {
    fn name(&self) -> String {
        tr!("what a rehearsal left").into()
    }

    fn timeout(&self) -> Duration {
        LIMIT
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let name = rehearsal_name(&self.app);
        // Its rehearsal may have ended before the lock was free.
        if !is_claimed(&self.fleet, &name).await? || has_file(&self.fleet, &name) {
            let line = Change::same(tr!("nothing is left of {name}"));
            return Ok(Check::Done(vec![line]));
        }
        let what = tr!("{name} with its data, which a rehearsal that was cut off has left");
        Ok(Check::Change(vec![Change::remove(what)]))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let manager = cx.on_node(&self.manager);
        clear_copy(&self.fleet, &manager, &self.app).await
    }

    /// What could not be removed is an error of `apply`.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}
