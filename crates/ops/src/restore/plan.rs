//! What a restore is to do: which parts of the snapshot go where, and what happens to the services.
//! One function for each kind: into a folder, a whole application in place, one that does not run
//! here, a file or folder in place. Each returns the steps that carry it out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::begin::OpenSwapLog;
use super::exchange::SwapVolumes;
use super::parts::{self, PartKind, RestorePart};
use super::services::ServiceHandling;
use super::source::RestoreSource;
use super::staging::StageSnapshot;
use super::swap_log::{self, SwapLog};
use super::volume_swap::VolumeSwap;
use super::{into_folder, services, staging, state_machine};
use crate::{FleetContext, OpsError, RestoreDestination, RestoreScope};
use matou_backup as backup;
use matou_backup::AppStorage;
use matou_config::StorageDriver;
use matou_host::{Command, Host};
use matou_job::{Confirm, Step};
use matou_stack::{AppFile, Dump, RenderTarget};

pub(super) type RestoreSteps = Vec<Box<dyn Step>>;

/// Returns the steps of one restore, and what its confirmation asks for.
pub(super) async fn restore_steps(
    fleet: &FleetContext,
    source: RestoreSource,
    what: &RestoreScope,
    to: &RestoreDestination,
) -> Result<(Confirm, RestoreSteps), OpsError> {
    let app = source.app.clone();
    match (what, to) {
        (_, RestoreDestination::Folder { path }) => {
            let paths = match what {
                RestoreScope::App => source.paths.clone(),
                RestoreScope::Path { path } => vec![path.clone()],
            };
            let steps = restore_into_folder_steps(fleet, source, paths, path).await?;
            Ok((Confirm::Ask, steps))
        }
        (RestoreScope::App, RestoreDestination::Place) => Ok((
            Confirm::TypeName(app),
            restore_in_place_steps(fleet, source).await?,
        )),
        (RestoreScope::Path { path }, RestoreDestination::Place) => {
            let steps = restore_path_steps(fleet, source, path).await?;
            Ok((Confirm::TypeName(app), steps))
        }
        (RestoreScope::App, RestoreDestination::Beside { app: to, variables }) => {
            let running = fleet.query_swarm().await?;
            if **to == *app || !services::list_app_services(&running, to).is_empty() {
                return Err(OpsError::failed(format_args!(
                    "there is an application {to} already: choose another name"
                )));
            }
            let file = find_app_file(fleet, &source).await?;
            let mut file = file.ok_or_else(|| {
                format!("neither this fleet nor the snapshot has a file apps/{app}.toml, which would say what {to} is deployed from")
            })?;
            file.variables.extend(variables.clone());
            let steps = restore_absent_app_steps(fleet, source, to, file).await?;
            Ok((Confirm::Ask, steps))
        }
        (RestoreScope::Path { .. }, RestoreDestination::Beside { .. }) => {
            Err("only a whole application can be restored beside itself".into())
        }
    }
}

/// The application's file here, else as it was backed up.
pub(super) async fn find_app_file(
    fleet: &FleetContext,
    source: &RestoreSource,
) -> Result<Option<AppFile>, OpsError> {
    let here = match fleet.config.folder() {
        Some(folder) => AppFile::load(&folder, &source.app)?,
        None => None,
    };
    match here {
        Some(file) => Ok(Some(file)),
        None => source.read_app_file().await,
    }
}

/// A file or folder, or everything, into a folder that is empty or not there.
async fn restore_into_folder_steps(
    fleet: &FleetContext,
    source: RestoreSource,
    paths: Vec<String>,
    folder: &str,
) -> Result<RestoreSteps, OpsError> {
    let plain = folder.starts_with('/')
        && Path::new(folder).components().count() > 1
        && !folder.split('/').any(|part| part == "..");
    if !plain {
        return Err(OpsError::failed(format_args!(
            "{folder:?} is no folder to restore into: give a whole path that begins with /"
        )));
    }
    let size = source.count_at_paths(&paths).await?;
    // The folder may lie in a volume, where containers can make links.
    let mut confined = backup::confined_data_folder(&fleet.config);
    if fleet.config.storage.driver == StorageDriver::Local {
        confined = confined.with_folders([query_docker_root(&fleet.find_storage_node()?.host)
            .await?
            .join("volumes")]);
    }
    let stage = StageSnapshot {
        unit: format!("{}-folder", staging::restore_unit_name(&source.app)),
        confined,
        folder: PathBuf::from(folder),
        paths,
        size,
        source,
        verify: false,
    };
    Ok(vec![Box::new(into_folder::RestoreIntoFolder::new(
        folder, stage,
    ))])
}

/// An application where it was: its services are stopped meanwhile, or, when none is there, it is
/// deployed again.
pub(super) async fn restore_in_place_steps(
    fleet: &FleetContext,
    source: RestoreSource,
) -> Result<RestoreSteps, OpsError> {
    let running = fleet.query_swarm().await?;
    let runs = !services::list_app_services(&running, &source.app).is_empty();
    let journal = SwapLog::new(
        &fleet.find_storage_node()?.host,
        &backup::matou_folder(&fleet.config),
        &source.app,
    );
    let earlier = journal.read_state().await?;
    if state_machine::has_to_deploy(earlier.as_ref(), runs) {
        let file = find_app_file(fleet, &source).await?;
        let file = file.ok_or_else(|| {
            format!(
                "{0} does not run, and neither this fleet nor the snapshot has a file apps/{0}.toml that says what it is deployed from: restore it into a folder",
                source.app
            )
        })?;
        let app = source.app.clone();
        return restore_absent_app_steps(fleet, source, &app, file).await;
    }
    let app = source.app.clone();
    let (parts, notes, dumps) = plan_parts_in_place(fleet, &source).await?;
    let hooks = select_load_hooks(&source, &dumps);
    let work = VolumeSwap {
        parts,
        hooks,
        notes,
        services: ServiceHandling::Stop,
        volumes_to_create: Vec::new(),
        whole_app: true,
        ..empty_swap(fleet, &app, source)?
    };
    swap_steps(work).await
}

/// Plans what of a snapshot goes where an application runs, with notes for the plan. Returns the dumps
/// of its stack too.
async fn plan_parts_in_place(
    fleet: &FleetContext,
    source: &RestoreSource,
) -> Result<(Vec<RestorePart>, Vec<String>, Vec<Dump>), OpsError> {
    let layout = AppStorage::load(&source.app, &fleet.config, &fleet.nodes, &fleet.catalogue).await;
    let layout = layout?;
    let volumes = layout.volumes.into_iter();
    let folders: BTreeMap<String, PathBuf> = volumes.map(|v| (v.name, v.folder)).collect();
    let mounts = match &layout.file {
        Some(file) => render_app_mounts(fleet, &source.app, file)?,
        None => BTreeMap::new(),
    };
    let dumps = layout.spec.dumps;
    let (parts, notes) = parts::plan_restore_parts(source, &dumps, &mounts, &folders, |n| n.into());
    refuse_one_name_twice(source, &parts)?;
    Ok((parts, notes, dumps))
}

/// Returns the steps that restore an application which does not run on this fleet.
///
/// # Errors
/// Those of [`plan_absent_app_swap`]; or the snapshot holds nothing of it.
pub(super) async fn restore_absent_app_steps(
    fleet: &FleetContext,
    source: RestoreSource,
    app: &str,
    file: AppFile,
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    swap_steps(plan_absent_app_swap(fleet, source, app, file).await?).await
}

/// Plans the restore of an application that does not run on this fleet. It gets the name `app` and
/// is deployed from `file`.
///
/// Its folders are put where this fleet keeps volumes, whatever path they had. Secrets of the
/// snapshot are used where none are kept yet. Dumps are loaded before any other service starts.
///
/// # Errors
/// One sentence: the stack can't be rendered, the snapshot lacks something.
pub(super) async fn plan_absent_app_swap(
    fleet: &FleetContext,
    source: RestoreSource,
    app: &str,
    file: AppFile,
) -> Result<VolumeSwap, OpsError> {
    let told = |e: matou_stack::StackError| e.to_string();
    let target = RenderTarget::for_app(&fleet.config, &file);
    let rendered = fleet
        .catalogue
        .render_stack(&file.stack, app, &file.variables, &target)
        .map_err(told)?;
    let dumps = fleet
        .catalogue
        .find_extension(&file.stack)
        .map_err(told)?
        .backup
        .dumps;
    let mut folders = BTreeMap::new();
    let mut create = Vec::new();
    let mut root = None;
    for (name, folder) in &rendered.volumes.named {
        let folder = match folder {
            Some(folder) => folder.clone(),
            None => {
                if root.is_none() {
                    root = Some(query_docker_root(&fleet.find_storage_node()?.host).await?);
                }
                create.push(name.clone());
                let root = root.clone().unwrap_or_default();
                root.join("volumes").join(name).join("_data")
            }
        };
        folders.insert(name.clone(), folder);
    }
    let mounts = parts::parse_stack_mounts(app, &rendered.yaml);
    let (old, new) = (format!("{}_", source.app), format!("{app}_"));
    let renamed = |name: &str| match name.strip_prefix(&old) {
        Some(rest) => format!("{new}{rest}"),
        None => name.to_owned(),
    };
    let (parts, notes) = parts::plan_restore_parts(&source, &dumps, &mounts, &folders, renamed);
    refuse_volumes_of_other_nodes(&source, &parts, &create)?;
    let shared = parts.iter().find(|p| !p.volume.starts_with(&new));
    if let Some(part) = shared.filter(|_| app != source.app) {
        return Err(OpsError::failed(format_args!(
            "the volume {} has the same name under every application: it can't be restored beside the running one",
            part.volume
        )));
    }
    let hooks = select_load_hooks(&source, &dumps);
    Ok(VolumeSwap {
        parts,
        hooks,
        notes,
        services: ServiceHandling::Deploy(Box::new(file)),
        volumes_to_create: create,
        whole_app: true,
        ..empty_swap(fleet, app, source)?
    })
}

/// Refuses to put the data of another node's volume into a volume that the storage node would keep to itself:
/// the service starts where it was, and would find nothing.
fn refuse_volumes_of_other_nodes(
    source: &RestoreSource,
    parts: &[RestorePart],
    create: &[String],
) -> Result<(), OpsError> {
    refuse_one_name_twice(source, parts)?;
    let volumes = source.manifest.iter().flat_map(|m| &m.volumes);
    let away = volumes.filter_map(|v| Some((v, v.elsewhere.as_ref()?)));
    for (volume, at) in away {
        let from = volume.folder.display().to_string();
        let part = parts.iter().find(|p| p.from == from);
        if part.is_some_and(|p| create.contains(&p.volume)) {
            return Err(OpsError::failed(format_args!(
                "the volume {} was on {}, and nothing is put back there yet. Its files come out by `matou restore {} --path {from} --into FOLDER`; with a [storage] driver that all nodes share it is restored",
                volume.name, at.node, source.app
            )));
        }
    }
    Ok(())
}

/// Refuses a snapshot that holds what several nodes had of one volume: only one could be put in its place.
fn refuse_one_name_twice(source: &RestoreSource, parts: &[RestorePart]) -> Result<(), OpsError> {
    let mut seen = BTreeSet::new();
    match parts.iter().find(|p| !seen.insert(&p.volume)) {
        None => Ok(()),
        Some(part) => Err(OpsError::failed(format_args!(
            "the snapshot holds what several nodes had of the volume {}: take out what is wanted, as `matou restore {} --path {} --into FOLDER`",
            part.volume, source.app, part.from
        ))),
    }
}

/// A file or folder where it was.
async fn restore_path_steps(
    fleet: &FleetContext,
    source: RestoreSource,
    path: &str,
) -> Result<RestoreSteps, OpsError> {
    let app = source.app.clone();
    let (parts, ..) = plan_parts_in_place(fleet, &source).await?;
    let part = parts
        .into_iter()
        .find(|p| Path::new(path).starts_with(&p.from));
    let part =
        part.ok_or_else(|| format!("{path} is in no volume of {app}: restore it into a folder"))?;
    let whole = path.trim_end_matches('/') == part.from;
    let (part, services) = match &part.kind {
        _ if whole => (part, ServiceHandling::Stop),
        PartKind::Database(_) => {
            return Err(OpsError::failed(format_args!(
                "{path} is among the files of a database, which are of no use one by one: restore the application, or into a folder"
            )));
        }
        PartKind::Files(_) => {
            let rest = Path::new(path).strip_prefix(&part.from);
            let rest = rest.map_err(OpsError::failed)?.to_owned();
            let part = RestorePart {
                live: part.live.join(rest),
                from: path.to_owned(),
                kind: PartKind::Files(Vec::new()),
                ..part
            };
            (part, ServiceHandling::KeepRunning)
        }
    };
    let work = VolumeSwap {
        parts: vec![part],
        services,
        ..empty_swap(fleet, &app, source)?
    };
    let (work, stage) = plan_staging(work).await?;
    // Outside of the data folder, the folders above it can't be confined together with the folder
    // of the restore.
    let closed = work.confined_folders().contains(&work.parts[0].live);
    if matches!(work.services, ServiceHandling::KeepRunning) && !closed {
        return Err(OpsError::failed(format_args!(
            "{path} is in a volume that lies outside of {}: restore it into a folder, and copy it from there",
            fleet.config.storage.path.display()
        )));
    }
    box_swap_steps(work, stage)
}

/// The stack's shell lines that load dumps which the snapshot holds.
fn select_load_hooks(source: &RestoreSource, dumps: &[Dump]) -> Vec<Dump> {
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

/// Returns where each service of an application mounts its volumes, as its stack says.
pub(super) fn render_app_mounts(
    fleet: &FleetContext,
    app: &str,
    file: &AppFile,
) -> Result<BTreeMap<String, Vec<(String, String)>>, OpsError> {
    let target = RenderTarget::for_app(&fleet.config, file);
    let rendered = fleet
        .catalogue
        .render_stack(&file.stack, app, &file.variables, &target)?;
    Ok(parts::parse_stack_mounts(app, &rendered.yaml))
}

/// Returns a swap without parts.
fn empty_swap(cx: &FleetContext, app: &str, source: RestoreSource) -> Result<VolumeSwap, OpsError> {
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
async fn swap_steps(work: VolumeSwap) -> Result<RestoreSteps, OpsError> {
    let (work, stage) = plan_staging(work).await?;
    box_swap_steps(work, stage)
}

fn box_swap_steps(
    work: Arc<VolumeSwap>,
    stage: Option<StageSnapshot>,
) -> Result<RestoreSteps, OpsError> {
    let stage = stage.ok_or_else(|| {
        format!(
            "the snapshot {} holds no volume of {}",
            work.source.describe(),
            work.app
        )
    })?;
    Ok(vec![
        Box::new(OpenSwapLog(work.clone())),
        Box::new(stage),
        Box::new(SwapVolumes(work)),
    ])
}

/// Plans what restic writes to the staging folder for a swap. `None` if the snapshot holds nothing
/// that is needed.
pub(super) async fn plan_staging(
    mut work: VolumeSwap,
) -> Result<(Arc<VolumeSwap>, Option<StageSnapshot>), OpsError> {
    // Volumes of the local driver lie in Docker's folder: stage on that file system.
    if work.fleet.config.storage.driver == StorageDriver::Local {
        let kept = work.parts.first().and_then(|p| {
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
        false => Err(OpsError::failed(format_args!(
            "Docker on {} does not tell its folder",
            host.name()
        ))),
    }
}
