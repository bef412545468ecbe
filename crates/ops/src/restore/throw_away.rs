//! A copy of an application out of a snapshot, under another name, that is thrown away afterwards. No
//! swap log is kept of it: what is left of one that was cut off is removed as a whole.

use matou_i18n::tr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::absent::{AbsentVolumes, plan_absent_app_swap};
use super::renames::plan_swap_renames;
use super::source::RestoreSource;
use super::staging::{StageSnapshot, restore_unit_name};
use super::swap_log::{ENGINE_RESTORES, SwapLog};
use super::swap_steps::{plan_staging, query_docker_root};
use super::volume_swap::VolumeSwap;
use crate::leftovers::{LeftoverScope, RemoveLeftovers};
use crate::remove::RemoveApp;
use crate::{FleetContext, OpsError};
use matou_backup as backup;
use matou_config::StorageDriver;
use matou_host::{Command, shell_script};
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_stack::AppFile;

/// Removes the folders of a throw-away application: the data folder, its name, more folders.
const REMOVE_FOLDERS: &str = shell_script(include_str!("../../scripts/remove_throw_away.sh"));

/// Claims a name: the data folder, the name.
const CLAIM_NAME: &str = shell_script(include_str!("../../scripts/claim_throw_away.sh"));

/// Exit code of [`CLAIM_NAME`] when something has the name.
const TAKEN: i32 = 3;

/// Prints the volumes of a stack.
const LIST_VOLUMES: &str = r#"docker volume ls -q --filter "label=com.docker.stack.namespace=$1""#;

/// Removes the volumes of a stack on one node.
const REMOVE_VOLUMES: &str = shell_script(include_str!("../../scripts/remove_stack_volumes.sh"));
const REMOVE_SECRETS: &str =
    shell_script(include_str!("../../scripts/remove_throw_away_secrets.sh"));

/// Ends a unit, if there is one.
const END_UNIT: &str = r#"systemctl stop -- "$1.service" 2>/dev/null || :"#;

/// A copy of an application that is going to be made.
pub(crate) struct ThrowAwayCopy {
    work: Arc<VolumeSwap>,
    stage: StageSnapshot,
}

impl ThrowAwayCopy {
    /// Plans a copy that gets the name `name` and is deployed from `file`.
    ///
    /// # Errors
    /// One sentence: the stack can't be rendered, the snapshot lacks something, or a volume of the
    /// application has the same name under every application.
    pub(crate) async fn plan(
        fleet: &FleetContext,
        source: RestoreSource,
        name: &str,
        file: AppFile,
    ) -> Result<Self, OpsError> {
        let shown = source.describe();
        let places = AbsentVolumes::OnStorageNode;
        let work = plan_absent_app_swap(fleet, source, name, file, places).await?;
        let (work, stage) = plan_staging(work).await?;
        let stage = stage.ok_or_else(|| tr!("the snapshot {shown} holds no data"))?;
        Ok(Self { work, stage })
    }

    /// The snapshot that it is made of.
    pub(crate) fn source(&self) -> &RestoreSource {
        &self.work.source
    }

    /// Returns lines of the plan: what is written where, and notes about what is left out.
    ///
    /// # Errors
    /// There is no room for it.
    pub(crate) async fn plan_lines(&self, cx: &StepContext) -> Result<Vec<Change>, StepError> {
        let mut lines = match self.stage.check(cx).await? {
            Check::Done(lines) | Check::Change(lines) => lines,
            Check::Unknown(why) => vec![Change::same(why)],
        };
        lines.extend(self.work.notes.iter().map(Change::same));
        Ok(lines)
    }

    /// Writes the snapshot beside, and makes it the data of the copy. `cx` is on the storage node.
    ///
    /// # Errors
    /// Those of restic; or a folder of that name is there already.
    pub(crate) async fn put_in_place(&self, cx: &StepContext) -> Result<(), StepError> {
        self.stage.check_room(cx).await?;
        self.stage.apply(cx).await?;
        self.work.prepare_new_data().await?;
        let swaps = self.work.folder_swaps();
        let log = &self.work.swap_log;
        let seen = log.inspect_swaps(&self.work.folder, &swaps).await?;
        let renames = plan_swap_renames(&swaps, &seen)?;
        log.apply_renames(&renames).await
    }

    /// Services whose dumps are loaded, without the application's name.
    pub(crate) fn database_services(&self) -> Vec<String> {
        self.work.database_services()
    }

    /// Loads every dump into its database, which runs. `manager` is on a manager.
    ///
    /// # Errors
    /// A database does not come up, or takes no dump.
    pub(crate) async fn load_dumps(&self, manager: &StepContext) -> Result<(), StepError> {
        self.work.load_dumps(manager, &self.work.fleet.nodes).await
    }

    /// Runs the stack's own lines that load a dump, in containers that run.
    ///
    /// # Errors
    /// A line fails.
    pub(crate) async fn run_load_hooks(&self, manager: &StepContext) -> Result<(), StepError> {
        self.work
            .run_load_hooks(manager, &self.work.fleet.nodes)
            .await
    }
}

/// Makes a name free for a throw-away application: what a run that was cut off left under it is removed. What has
/// the name and was made by none is somebody's own application, and stays. `manager` is on a manager.
///
/// # Errors
/// The name is somebody's, or something could not be removed.
pub(crate) async fn claim_throw_away_name(
    fleet: &FleetContext,
    manager: &StepContext,
    name: &str,
) -> Result<(), StepError> {
    let taken = |what: &str| {
        StepError::failed(tr!(
            "{what} has the name of the copy that would be made and thrown away, {name}, and was made by none: nothing is done while it is there"
        ))
    };
    if !is_claimed(fleet, name).await? {
        let storage = &fleet.find_storage_node()?.host;
        let data = fleet.config.storage.path.display().to_string();
        if let Some(what) = find_object_of_name(fleet, manager, name).await? {
            return Err(taken(&what));
        }
        let log = SwapLog::new(storage, &backup::matou_folder(&fleet.config), name);
        let claim = log
            .confined_folders([])
            .sh(CLAIM_NAME)
            .args([&*data, name])
            .timeout(Duration::from_secs(60))
            .label(tr!("claim the name of a copy"));
        let claimed = storage.run(&claim).await?;
        match claimed.code {
            0 => {}
            TAKEN => return Err(taken(&claimed.stdout_text())),
            _ => {
                let said = String::from_utf8_lossy(&claimed.stderr);
                return Err(StepError::failed(tr!(
                    "the name of a copy can't be claimed on {}: {}",
                    storage.name(),
                    said.trim()
                )));
            }
        }
    }
    remove_copy(fleet, manager, name).await
}

/// Whether a throw-away application has that name now, or had it when it was cut off.
///
/// # Errors
/// The storage node can't be asked.
pub(crate) async fn is_claimed(fleet: &FleetContext, name: &str) -> Result<bool, StepError> {
    let look = Command::sh(r#"[ ! -e "$1/.matou/throw-away/$2" ] || echo claimed"#)
        .arg(fleet.config.storage.path.display().to_string())
        .arg(name)
        .sudo()
        .timeout(Duration::from_secs(60))
        .label(tr!("look whether a copy was cut off"));
    let found = fleet.find_storage_node()?.host.run_ok(&look).await?;
    Ok(!found.stdout.is_empty())
}

/// Returns a service or a volume that has a name, in words.
async fn find_object_of_name(
    fleet: &FleetContext,
    manager: &StepContext,
    name: &str,
) -> Result<Option<String>, StepError> {
    let swarm = manager.query_swarm().await?;
    let mut services = swarm.services.iter();
    let service = services.find(|s| s.stack.as_deref().unwrap_or(&s.name) == name);
    if let Some(service) = service {
        return Ok(Some(tr!("the service {}", service.name)));
    }
    for node in fleet.nodes.iter() {
        let list = Command::sh(LIST_VOLUMES)
            .arg(name)
            .sudo()
            .timeout(Duration::from_secs(60))
            .label(tr!("look for volumes of the name"));
        let found = node.host.run_ok(&list).await?.stdout_text();
        if let Some(volume) = found.lines().next() {
            let node = &node.config.name;
            return Ok(Some(tr!("the volume {volume} of {node}")));
        }
    }
    Ok(None)
}

/// Removes a throw-away application with everything that was made for it, also by a run that was cut
/// off: services, networks, secrets, volumes, folders. `manager` is on a manager.
///
/// # Errors
/// Something could not be removed; the next run tries again.
pub(crate) async fn remove_throw_away_app(
    fleet: &FleetContext,
    manager: &StepContext,
    name: &str,
) -> Result<(), StepError> {
    remove_copy(fleet, manager, name).await?;
    // Last: what is left of a run that was cut off is known by it.
    let storage = &fleet.find_storage_node()?.host;
    let log = SwapLog::new(storage, &backup::matou_folder(&fleet.config), name);
    let let_go = log
        .confined_folders([])
        .sh(r#"rm -f -- "$1/.matou/throw-away/$2""#)
        .arg(fleet.config.storage.path.display().to_string())
        .arg(name)
        .timeout(Duration::from_secs(60))
        .label(tr!("let the name of a copy go"));
    storage.run_ok(&let_go).await?;
    Ok(())
}

/// Removes all but the claim.
async fn remove_copy(
    fleet: &FleetContext,
    manager: &StepContext,
    name: &str,
) -> Result<(), StepError> {
    let storage = &fleet.find_storage_node()?.host;
    // One that was cut off may still be written.
    let end = Command::sh(END_UNIT)
        .arg(restore_unit_name(name))
        .sudo()
        .timeout(Duration::from_secs(120))
        .label(tr!("end what writes a throw-away copy"));
    storage.run_ok(&end).await?;
    let steps: [Box<dyn Step>; 2] = [
        Box::new(RemoveApp {
            app: name.to_owned(),
            volumes_removed_later: Vec::new(),
            file_stays: false,
            kept: None,
        }),
        Box::new(RemoveLeftovers {
            app: name.to_owned(),
            scope: LeftoverScope::Removed,
        }),
    ];
    matou_job::run_steps(manager, &steps).await?;
    // Those that were made at random are nobody's leftovers otherwise: an application keeps them. So are those that
    // a backup kept.
    let secrets = Command::sh(REMOVE_SECRETS)
        .arg(name)
        .sudo()
        .timeout(Duration::from_secs(60))
        .label(tr!("throw-away secrets"));
    manager.host.run_ok(&secrets).await?;
    for node in fleet.nodes.iter() {
        // A container that has just stopped holds its volume a moment longer.
        let volumes = Command::sh(REMOVE_VOLUMES)
            .arg(name)
            .sudo()
            .timeout(Duration::from_secs(120))
            .label(tr!("throw-away volumes"));
        node.host.run_ok(&volumes).await?;
    }
    let mut more: Vec<PathBuf> = Vec::new();
    if fleet.config.storage.driver == StorageDriver::Local {
        more.push(
            query_docker_root(storage)
                .await?
                .join(ENGINE_RESTORES)
                .join(name),
        );
    }
    let log = SwapLog::new(storage, &backup::matou_folder(&fleet.config), name);
    let remove = log
        .confined_folders(more.iter().map(PathBuf::as_path))
        .sh(REMOVE_FOLDERS)
        .arg(fleet.config.storage.path.display().to_string())
        .arg(name)
        .args(more.iter().map(|p| p.display().to_string()))
        .timeout(Duration::from_secs(1800))
        .label(tr!("throw-away folders"));
    storage.run_ok(&remove).await?;
    Ok(())
}
