//! The steps of a swap, which all plans of restores into place share.

use matou_i18n::tr;
use std::path::PathBuf;
use std::sync::Arc;

use super::begin::OpenSwapLog;
use super::exchange::SwapVolumes;
use super::parts::RestorePart;
use super::send::SendVolumes;
use super::services::ServiceHandling;
use super::source::RestoreSource;
use super::staging::{self, StageSnapshot};
use super::swap_log::{self, SwapLog};
use super::volume_swap::VolumeSwap;
use crate::{FleetContext, OpsError};
use matou_backup as backup;
use matou_config::StorageDriver;
use matou_host::{Command, Host};
use matou_job::Step;
use matou_stack::Dump;

pub(super) type RestoreSteps = Vec<Box<dyn Step>>;

/// The stack's shell lines that load dumps which the snapshot holds.
pub(super) fn select_load_hooks(source: &RestoreSource, dumps: &[Dump]) -> Vec<Dump> {
    let held = |d: &&Dump| {
        let manifest = source.manifest.as_ref();
        manifest.is_some_and(|m| {
            let mut all = m.dumps.iter();
            all.any(|m| m.service == d.service && m.file == d.file)
        })
    };
    let own = |d: &&Dump| d.loading_engine().is_none() && d.restore.is_some();
    dumps.iter().filter(own).filter(held).cloned().collect()
}

/// Returns a swap without parts.
pub(super) fn empty_swap(
    cx: &FleetContext,
    app: &str,
    source: RestoreSource,
) -> Result<VolumeSwap, OpsError> {
    let host = cx.find_storage_node()?.host.clone();
    let data = backup::matou_folder(&cx.config);
    Ok(VolumeSwap {
        fleet: cx.clone(),
        app: app.to_owned(),
        swap_log: SwapLog::new(&host, &data, app),
        folder: data.join("restores").join(app),
        source,
        parts: Vec::new(),
        hooks: Vec::new(),
        services: ServiceHandling::KeepRunning,
        volumes_to_create: Vec::new(),
        notes: Vec::new(),
        begun: jiff::Timestamp::now(),
        whole_app: false,
    })
}

/// Returns the steps of a swap.
pub(super) async fn swap_steps(work: VolumeSwap) -> Result<RestoreSteps, OpsError> {
    let (work, stage) = plan_staging(work).await?;
    box_swap_steps(work, stage)
}

/// Puts the steps of a swap in their order.
///
/// # Errors
/// The snapshot holds nothing that is swapped.
pub(super) fn box_swap_steps(
    work: Arc<VolumeSwap>,
    stage: Option<StageSnapshot>,
) -> Result<RestoreSteps, OpsError> {
    let stage = stage.ok_or_else(|| {
        tr!(
            "the snapshot {} holds no volume of {}",
            work.source.describe(),
            work.app
        )
    })?;
    let mut steps: RestoreSteps = vec![Box::new(OpenSwapLog(work.clone())), Box::new(stage)];
    if work.parts.iter().any(|p| p.node.is_some()) {
        steps.push(Box::new(SendVolumes(work.clone())));
    }
    steps.push(Box::new(SwapVolumes(work)));
    Ok(steps)
}

/// Plans what restic writes to the staging folder for a swap. `None` if the snapshot holds nothing
/// that is needed.
pub(super) async fn plan_staging(
    mut work: VolumeSwap,
) -> Result<(Arc<VolumeSwap>, Option<StageSnapshot>), OpsError> {
    // Volumes of the local driver lie in Docker's folder: stage on that file system.
    if work.fleet.config.storage.driver == StorageDriver::Local {
        let here = work.parts.iter().find(|p| p.node.is_none());
        let kept = here.and_then(|p| {
            let volumes = p.live.ancestors().find(|a| a.ends_with("volumes"))?;
            p.live.ends_with("_data").then(|| volumes.parent())?
        });
        if let Some(root) = kept {
            work.folder = root.join(swap_log::ENGINE_RESTORES).join(&work.app);
        }
    }
    let mut paths: Vec<String> = work
        .parts
        .iter()
        .flat_map(RestorePart::snapshot_paths)
        .collect();
    // One without volumes may have secrets, which its deploy needs.
    if work.whole_app {
        paths.extend(work.source.matou_folder("secrets"));
    }
    if paths.is_empty() {
        return Ok((Arc::new(work), None));
    }
    paths.sort();
    paths.dedup();
    let size = work.source.count_at_paths(&paths).await?;
    let stage = StageSnapshot {
        source: work.source.clone(),
        confined: work.confined_folders(),
        unit: staging::restore_unit_name(&work.app),
        folder: work.staging_folder(),
        paths,
        size,
        verify: false,
    };
    Ok((Arc::new(work), Some(stage)))
}

/// Where Docker of a node keeps volumes of the local driver.
pub(super) async fn query_docker_root(host: &Host) -> Result<PathBuf, OpsError> {
    let ask = Command::new("docker")
        .args(["info", "--format", "{{.DockerRootDir}}"])
        .sudo()
        .timeout(std::time::Duration::from_secs(20));
    let text = host.run_ok(&ask).await?.stdout_text();
    match text.starts_with('/') {
        true => Ok(PathBuf::from(text.trim())),
        false => Err(OpsError::failed(tr!(
            "Docker on {} does not tell its folder",
            host.name()
        ))),
    }
}
