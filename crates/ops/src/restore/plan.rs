//! What a restore is to do: which parts of the snapshot go where, and what happens to the services.
//! One function for each kind: into a folder, a whole application in place, one that does not run
//! here, a file or folder in place. Each returns the steps that carry it out.

use matou_i18n::tr;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::absent::{place_where_they_were, restore_absent_app_steps, volume_folder};
use super::new_volume::{NewVolume, OutsideVolumes, find_replaced};
use super::parts::{self, PartKind, RestorePart, render_app_mounts};
use super::places::place_parts;
use super::services::ServiceHandling;
use super::source::RestoreSource;
use super::staging::StageSnapshot;
use super::swap_log::SwapLog;
use super::swap_steps::{
    RestoreSteps, box_swap_steps, empty_swap, plan_staging, query_docker_root, select_load_hooks,
    swap_steps,
};
use super::volume_swap::VolumeSwap;
use super::{into_folder, services, staging, state_machine};
use crate::{FleetContext, OpsError, RestoreDestination, RestoreScope};
use matou_backup as backup;
use matou_backup::{AppStorage, VolumeFolder};
use matou_config::StorageDriver;
use matou_job::Confirm;
use matou_stack::{AppFile, Dump};

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
                return Err(OpsError::failed(tr!(
                    "there is an application {to} already: choose another name"
                )));
            }
            let file = find_app_file(fleet, &source).await?;
            let mut file = file.ok_or_else(|| {
                tr!("neither this fleet nor the snapshot has a file apps/{app}.toml, which would say what {to} is deployed from")
            })?;
            file.variables.extend(variables.clone());
            let steps = restore_absent_app_steps(fleet, source, to, file).await?;
            Ok((Confirm::Ask, steps))
        }
        (RestoreScope::Path { .. }, RestoreDestination::Beside { .. }) => {
            Err(tr!("only a whole application can be restored beside itself").into())
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
        return Err(OpsError::failed(tr!(
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
            tr!(
                "{0} does not run, and neither this fleet nor the snapshot has a file apps/{0}.toml that says what it is deployed from: restore it into a folder",
                source.app
            )
        })?;
        let app = source.app.clone();
        return restore_absent_app_steps(fleet, source, &app, file).await;
    }
    let app = source.app.clone();
    let planned = plan_parts_in_place(fleet, &source).await?;
    if let Some(why) = planned.obstacle {
        return Err(OpsError::failed(why));
    }
    let hooks = select_load_hooks(&source, &planned.dumps);
    let work = VolumeSwap {
        parts: planned.parts,
        hooks,
        notes: planned.notes,
        services: ServiceHandling::Stop,
        volumes_to_create: planned.create,
        whole_app: true,
        ..empty_swap(fleet, &app, source)?
    };
    swap_steps(work).await
}

/// What of a snapshot goes where an application runs.
struct PartsInPlace {
    parts: Vec<RestorePart>,
    /// Lines of the plan.
    notes: Vec<String>,
    /// Dumps of its stack.
    dumps: Vec<Dump>,
    /// Volumes that are on no node any more.
    create: Vec<NewVolume>,
    /// Why not all of it can be put back.
    obstacle: Option<String>,
}

async fn plan_parts_in_place(
    fleet: &FleetContext,
    source: &RestoreSource,
) -> Result<PartsInPlace, OpsError> {
    let (config, nodes) = (&fleet.config, &fleet.nodes);
    let layout = AppStorage::load_for_restore(&source.app, config, nodes, &fleet.catalogue).await;
    let layout = layout?;
    let (lost_outside, lost): (Vec<String>, Vec<String>) = layout
        .nowhere
        .into_iter()
        .partition(|name| layout.outside.contains(name));
    let mut lost: BTreeSet<String> = lost.into_iter().collect();
    let manifest = source.manifest.as_ref();
    let outside = OutsideVolumes::find_drivers(fleet, &lost_outside, manifest).await;
    lost.extend(outside.own.keys().cloned());
    let replaced = find_replaced(&layout.volumes, manifest);
    let mut volumes = layout.volumes;
    let shared = outside.shared.iter();
    volumes.extend(shared.map(|(name, (folder, _))| VolumeFolder::here(name, folder.clone())));
    let mut folders: BTreeMap<String, PathBuf> = volumes
        .iter()
        .map(|v| (v.name.clone(), v.folder.clone()))
        .collect();
    if !lost.is_empty() {
        let root = query_docker_root(&fleet.find_storage_node()?.host).await?;
        folders.extend(lost.iter().map(|v| (v.clone(), volume_folder(&root, v))));
    }
    let mounts = match &layout.file {
        Some(file) => render_app_mounts(fleet, &source.app, file)?,
        None => BTreeMap::new(),
    };
    let dumps = layout.spec.dumps;
    let (parts, mut notes) =
        parts::plan_restore_parts(source, &dumps, &mounts, &folders, |n| n.into());
    let (gone, parts): (Vec<_>, Vec<_>) = parts.into_iter().partition(|p| lost.contains(&p.volume));
    let (mut parts, more) = place_parts(parts, manifest, &volumes, &layout.left_out);
    notes.extend(more);
    let (gone, more) = place_where_they_were(fleet, source, gone, &lost).await?;
    notes.extend(more);
    let create = gone.iter();
    let create = create.map(|p| outside.make_own(p.node.clone(), &p.volume));
    let create = create.chain(outside.for_all_nodes()).collect();
    parts.retain(|p| !replaced.contains_key(&p.volume));
    notes.extend(replaced.values().cloned());
    parts.extend(gone);
    let refused = outside.describe_refused();
    Ok(PartsInPlace {
        parts,
        notes,
        dumps,
        create,
        obstacle: refused.or_else(|| replaced.into_values().next()),
    })
}

/// Finds where a restore in place would put what a snapshot holds.
///
/// # Errors
/// A manager, or the storage node, does not answer.
pub(crate) async fn find_restore_parts(
    fleet: &FleetContext,
    source: &RestoreSource,
) -> Result<Vec<RestorePart>, OpsError> {
    Ok(plan_parts_in_place(fleet, source).await?.parts)
}

/// A file or folder where it was.
async fn restore_path_steps(
    fleet: &FleetContext,
    source: RestoreSource,
    path: &str,
) -> Result<RestoreSteps, OpsError> {
    let app = source.app.clone();
    let planned = plan_parts_in_place(fleet, &source).await?;
    let part = planned
        .parts
        .into_iter()
        .find(|p| Path::new(path).starts_with(&p.from));
    let part =
        part.ok_or_else(|| tr!("{path} is in no volume of {app}: restore it into a folder"))?;
    let whole = path.trim_end_matches('/') == part.from;
    let (part, services) = match &part.kind {
        _ if whole => (part, ServiceHandling::Stop),
        PartKind::Database(_) => {
            return Err(OpsError::failed(tr!(
                "{path} is among the files of a database, which are of no use one by one: restore the application, or into a folder"
            )));
        }
        PartKind::Files(_) => {
            if let Some(node) = &part.node {
                return Err(OpsError::failed(tr!(
                    "{path} is in a volume of {node}: restore the whole volume (--path {}), or into a folder, and copy it from there",
                    part.from
                )));
            }
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
    let create = planned.create.into_iter();
    let create =
        create.filter(|new| new.name == part.volume && (new.node == part.node || new.is_shared()));
    let work = VolumeSwap {
        volumes_to_create: create.collect(),
        parts: vec![part],
        services,
        ..empty_swap(fleet, &app, source)?
    };
    let (work, stage) = plan_staging(work).await?;
    // Outside of the data folder, the folders above it can't be confined together with the folder
    // of the restore.
    let closed = work.confined_folders().contains(&work.parts[0].live);
    if matches!(work.services, ServiceHandling::KeepRunning) && !closed {
        return Err(OpsError::failed(tr!(
            "{path} is in a volume that lies outside of {}: restore it into a folder, and copy it from there",
            fleet.config.storage.path.display()
        )));
    }
    box_swap_steps(work, stage)
}
