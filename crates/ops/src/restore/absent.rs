//! The restore of an application that does not run on this fleet: it is deployed on what is restored. Nothing
//! says where its volumes are but the snapshot, which says where they were.

use matou_i18n::tr;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::new_volume::{NewVolume, OutsideVolumes};
use super::parts::{self, RestorePart};
use super::places::find_former_node;
use super::services::ServiceHandling;
use super::source::RestoreSource;
use super::swap_steps::{
    RestoreSteps, empty_swap, query_docker_root, select_load_hooks, swap_steps,
};
use super::volume_swap::VolumeSwap;
use crate::{FleetContext, OpsError};
use matou_stack::{AppFile, RenderTarget, StackVolumes};

/// Where the volumes of an application are put that are a node's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AbsentVolumes {
    /// All on the storage node: what was on another one is refused.
    OnStorageNode,
    /// On the node that had each.
    WhereTheyWere,
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
) -> Result<RestoreSteps, OpsError> {
    let places = AbsentVolumes::WhereTheyWere;
    swap_steps(plan_absent_app_swap(fleet, source, app, file, places).await?).await
}

/// Plans the restore of an application that does not run on this fleet. It gets the name `app` and
/// is deployed from `file`.
///
/// Its folders are put where this fleet keeps volumes, whatever path they had. Secrets of the
/// snapshot are used where none are kept yet. Dumps are loaded before any other service starts.
///
/// # Errors
/// One sentence: the stack can't be rendered, the snapshot lacks something, a volume can't be made again, or a
/// node that had a volume does not answer.
pub(super) async fn plan_absent_app_swap(
    fleet: &FleetContext,
    source: RestoreSource,
    app: &str,
    file: AppFile,
    places: AbsentVolumes,
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
    // A copy would mount what the application itself has.
    if let Some(name) = rendered
        .volumes
        .outside
        .first()
        .filter(|_| app != source.app)
    {
        return Err(refuse_second_user(name));
    }
    let AbsentFolders {
        folders,
        own,
        outside,
    } = place_volumes(fleet, &source, &rendered.volumes).await?;
    let mounts = parts::parse_stack_mounts(app, &rendered.yaml);
    let (old, new) = (format!("{}_", source.app), format!("{app}_"));
    let renamed = |name: &str| match name.strip_prefix(&old) {
        Some(rest) => format!("{new}{rest}"),
        None => name.to_owned(),
    };
    let (mut parts, mut notes) =
        parts::plan_restore_parts(&source, &dumps, &mounts, &folders, renamed);
    match places {
        AbsentVolumes::OnStorageNode => refuse_volumes_of_other_nodes(&source, &parts, &own)?,
        AbsentVolumes::WhereTheyWere => {
            let (placed, more) = place_where_they_were(fleet, &source, parts, &own).await?;
            parts = placed;
            notes.extend(more);
        }
    }
    let shared = parts.iter().find(|p| !p.volume.starts_with(&new));
    if let Some(part) = shared.filter(|_| app != source.app) {
        return Err(refuse_second_user(&part.volume));
    }
    let hooks = select_load_hooks(&source, &dumps);
    Ok(VolumeSwap {
        volumes_to_create: list_volumes_to_create(&parts, &own, &outside),
        parts,
        hooks,
        notes,
        services: ServiceHandling::Deploy(Box::new(file)),
        whole_app: true,
        ..empty_swap(fleet, app, source)?
    })
}

fn refuse_second_user(volume: &str) -> OpsError {
    OpsError::failed(tr!(
        "the volume {volume} has the same name under every application: it can't be restored beside the running one"
    ))
}

/// Where the volumes of an application that does not run are put.
struct AbsentFolders {
    /// By the volume's name.
    folders: BTreeMap<String, PathBuf>,
    /// Those that are a node's own.
    own: BTreeSet<String>,
    /// Those that the stack does not make.
    outside: OutsideVolumes,
}

/// Finds where volumes are put: in a folder that the stack names, or in that of an engine.
async fn place_volumes(
    fleet: &FleetContext,
    source: &RestoreSource,
    volumes: &StackVolumes,
) -> Result<AbsentFolders, OpsError> {
    let manifest = source.manifest.as_ref();
    let outside = OutsideVolumes::find_drivers(fleet, &volumes.outside, manifest).await;
    if let Some(why) = outside.describe_refused() {
        return Err(OpsError::failed(why));
    }
    let shared = outside.shared.iter();
    let mut folders: BTreeMap<String, PathBuf> = shared
        .map(|(name, (folder, _))| (name.clone(), folder.clone()))
        .collect();
    let mut own: BTreeSet<String> = outside.own.keys().cloned().collect();
    for (name, folder) in &volumes.named {
        match folder {
            Some(folder) => drop(folders.insert(name.clone(), folder.clone())),
            None => drop(own.insert(name.clone())),
        }
    }
    if !own.is_empty() {
        let root = query_docker_root(&fleet.find_storage_node()?.host).await?;
        folders.extend(own.iter().map(|v| (v.clone(), volume_folder(&root, v))));
    }
    Ok(AbsentFolders {
        folders,
        own,
        outside,
    })
}

/// Where an engine keeps a volume of the local driver.
pub(super) fn volume_folder(root: &Path, name: &str) -> PathBuf {
    root.join("volumes").join(name).join("_data")
}

/// The volumes that have to be made: those that are put back, and on the storage node those of which the snapshot
/// has nothing; of those that are made outside of the stack, also what other nodes have to know.
fn list_volumes_to_create(
    parts: &[RestorePart],
    own: &BTreeSet<String>,
    outside: &OutsideVolumes,
) -> Vec<NewVolume> {
    let restored = parts.iter().filter(|p| own.contains(&p.volume));
    let mut create: Vec<_> = restored
        .map(|p| outside.make_own(p.node.clone(), &p.volume))
        .collect();
    let others = own.iter();
    let others = others.filter(|name| !parts.iter().any(|p| p.volume == **name));
    create.extend(others.map(|name| outside.make_own(None, name)));
    create.extend(outside.for_all_nodes());
    create
}

/// Puts the parts of volumes that are a node's own, `own`, on the node that had each. Returns notes too.
///
/// # Errors
/// A node that alone had a volume does not answer.
pub(super) async fn place_where_they_were(
    fleet: &FleetContext,
    source: &RestoreSource,
    parts: Vec<RestorePart>,
    own: &BTreeSet<String>,
) -> Result<(Vec<RestorePart>, Vec<String>), OpsError> {
    let (mut placed, mut notes) = (Vec::new(), Vec::new());
    let storage = &fleet.config.storage.node;
    for part in &parts {
        let had = find_former_node(source.manifest.as_ref(), &part.from);
        let (Some(name), true) = (had, own.contains(&part.volume)) else {
            placed.push(part.clone());
            continue;
        };
        let shown = matou_base::text::clean_line(name);
        let is_only = parts.iter().filter(|p| p.volume == part.volume).count() == 1;
        let Some(node) = fleet.nodes.get(name) else {
            match is_only {
                true => {
                    notes.push(tr!(
                        "the volume {} was on {shown}, which is no node of this fleet: it is put on {storage}, and its service starts there; `matou place {} {storage}` keeps it there",
                        part.volume, source.app
                    ));
                    placed.push(part.clone());
                }
                false => notes.push(tr!(
                    "what {shown}, which is no node of this fleet, had of the volume {} is left out: `matou restore {} --path {} --into FOLDER` takes it out",
                    part.volume, source.app, part.from
                )),
            }
            continue;
        };
        match query_docker_root(&node.host).await {
            Ok(root) => {
                let folder = volume_folder(&root, &part.volume);
                placed.push(RestorePart {
                    node: Some(name.to_owned()),
                    live: folder.clone(),
                    folder,
                    ..part.clone()
                });
            }
            Err(why) if is_only => {
                return Err(OpsError::failed(tr!(
                    "the volume {} was on {shown}, which does not answer ({why}): start that node, or take it out of config.toml, which puts the volume on {storage}",
                    part.volume
                )));
            }
            Err(why) => notes.push(tr!(
                "what {shown} had of the volume {} is left out: {why}",
                part.volume
            )),
        }
    }
    Ok((placed, notes))
}

/// Refuses to put the data of another node's volume into a volume that the storage node would keep to itself:
/// the service starts where it was, and would find nothing.
fn refuse_volumes_of_other_nodes(
    source: &RestoreSource,
    parts: &[RestorePart],
    own: &BTreeSet<String>,
) -> Result<(), OpsError> {
    let mut seen = BTreeSet::new();
    let away = |p: &RestorePart| find_former_node(source.manifest.as_ref(), &p.from).is_some();
    let refused = parts.iter().find(|p| {
        let is_second = !seen.insert(&p.volume);
        is_second || (away(p) && own.contains(&p.volume))
    });
    match refused {
        None => Ok(()),
        Some(part) => Err(OpsError::failed(tr!(
            "the volume {} was on another node than the storage node, and this puts all that is a node's own on one: a restore puts it back where it was, and its files come out by `matou restore {} --path {} --into FOLDER`",
            part.volume,
            source.app,
            part.from
        ))),
    }
}
