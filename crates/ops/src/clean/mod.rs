//! Removes what nobody needs from the disks of nodes: containers that have ended, images that nothing names,
//! what builds keep. A rollback, and every application with a file, keeps its images. Volumes that nothing
//! mounts are told, and removed only by name.

mod needed_images;
mod sort;

use matou_i18n::tr;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{FleetContext, OpsError, Request, known_names};
use matou_base::text::{InvalidInput, human_bytes};
use matou_collect::{DiskReader, ImageNames, measure_folders};
use matou_docker::{DockerError, RawServices};
use matou_job::{
    Change, Check, Confirm, Job, Stage, StagePhase, Step, StepContext, StepError, Track,
};
use matou_model::{EngineContainer, EngineImage, NodeDiskUse, Volume};
use matou_stack::{AppFile, AppName, RenderTarget};

use needed_images::NeededImages;
use sort::{NodeContent, Unneeded, VolumeNames, is_dead, list_mounted_volumes};

/// How long a node may take: images are removed one after the other.
const LIMIT: Duration = Duration::from_secs(3600);

/// Reads what fills the disks of nodes; of all when none is named.
///
/// # Errors
/// One sentence: there is no such node.
pub async fn read_disk_use(
    fleet: &FleetContext,
    nodes: &[String],
) -> Result<Vec<NodeDiskUse>, OpsError> {
    check_nodes(nodes, fleet)?;
    let (mut reader, needed) = tokio::join!(
        DiskReader::open(&fleet.config, &fleet.nodes),
        NeededImages::load(fleet)
    );
    for (image, user) in needed.images {
        reader.add_image(&image, user);
    }
    Ok(reader.read_nodes(nodes).await)
}

fn check_nodes(nodes: &[String], fleet: &FleetContext) -> Result<(), InvalidInput> {
    match nodes.iter().find(|node| fleet.nodes.get(node).is_none()) {
        Some(node) => Err(known_names::unknown_node(node, fleet, None)),
        None => Ok(()),
    }
}

/// Makes the job, with a track for each node. A node that does not answer does not stop the others.
///
/// # Errors
/// One sentence: there is no such node, or a volume is not written as NODE:NAME.
pub(super) fn build_clean_job(
    request: &Request,
    nodes: &[String],
    volumes: &[String],
    fleet: &FleetContext,
) -> Result<Job, OpsError> {
    check_nodes(nodes, fleet)?;
    let by_node = sort_volumes(nodes, volumes, fleet)?;
    let wanted = |name: &String| nodes.is_empty() || nodes.contains(name);
    let nodes = fleet.nodes.iter().filter(|n| wanted(&n.config.name));
    let tracks = nodes.map(|node| {
        let step = CleanNode {
            fleet: fleet.clone(),
            volumes: by_node.get(&node.config.name).cloned().unwrap_or_default(),
            planned: Mutex::default(),
        };
        Track::on_node(node, vec![Box::new(step)])
    });
    let stage = Stage {
        title: request.title(),
        phase: StagePhase::default(),
        tracks: tracks.collect(),
    };
    let confirm = match volumes {
        [] => Confirm::Ask,
        [one] => Confirm::TypeName(one.clone()),
        _ => Confirm::TypeName("volumes".into()),
    };
    let mut job = Job::new(request.title(), confirm, vec![stage]);
    job.keep_going = true;
    Ok(job)
}

/// Sorts what is written as NODE:NAME by node.
fn sort_volumes(
    nodes: &[String],
    volumes: &[String],
    fleet: &FleetContext,
) -> Result<BTreeMap<String, Vec<String>>, InvalidInput> {
    let mut by_node: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for volume in volumes {
        let Some((node, name)) = volume.split_once(':').filter(|(_, name)| !name.is_empty()) else {
            return Err(InvalidInput::new(tr!(
                "{volume:?} is no volume of a node: write NODE:NAME, as the plan names it"
            )));
        };
        check_nodes(&[node.to_owned()], fleet)?;
        if !nodes.is_empty() && !nodes.iter().any(|n| n == node) {
            return Err(InvalidInput::new(tr!(
                "{volume} is on {node}, which is not among the nodes that are named"
            )));
        }
        by_node
            .entry(node.to_owned())
            .or_default()
            .push(name.to_owned());
    }
    Ok(by_node)
}

/// Removes from one node what nobody needs.
struct CleanNode {
    fleet: FleetContext,
    /// Volumes of the node that go.
    volumes: Vec<String>,
    /// Ids of what the last check found: what is found later was shown to nobody.
    planned: Mutex<HashSet<String>>,
}

impl CleanNode {
    /// Reads what the node holds and what the fleet needs.
    async fn read_content(&self, cx: &StepContext) -> Result<NodeContent, StepError> {
        let (disk, volumes) = tokio::try_join!(cx.docker.query_disk(), cx.docker.list_volumes())?;
        let services = self.read_services().await;
        let now = Timestamp::now().as_second();
        let mut kept_containers = BTreeMap::new();
        for container in disk.containers.iter().filter(|c| is_dead(c, now)) {
            if let Some(why) = find_reason_to_keep(container, cx).await? {
                kept_containers.insert(container.id.clone(), why);
            }
        }
        let volume_names = match &services {
            Ok(services) => self.read_volume_names(services),
            Err(why) => Err(OpsError::failed(why)),
        };
        Ok(NodeContent {
            disk,
            kept_containers,
            volumes,
            volume_names,
            names: self.load_needed_names(services).await,
            now,
        })
    }

    fn read_volume_names(&self, services: &RawServices) -> Result<VolumeNames, OpsError> {
        let (mut apps, mut outside) = (Vec::new(), BTreeMap::new());
        if let Some(folder) = self.fleet.config.folder() {
            apps = AppFile::read_names(&folder).map_err(OpsError::failed)?;
            for app in &apps {
                for volume in self.list_outside_volumes(&folder, app)? {
                    outside.insert(volume, app.clone());
                }
            }
        }
        Ok(VolumeNames {
            mounted: list_mounted_volumes(services),
            apps,
            outside,
        })
    }

    /// Lists the volumes that an adopted application mounts from outside of its stack, also while it does not run.
    fn list_outside_volumes(&self, folder: &Path, app: &AppName) -> Result<Vec<String>, OpsError> {
        let (config, catalogue) = (&self.fleet.config, &self.fleet.catalogue);
        // Where a file can't be read, nothing says what it mounts.
        let Some(file) = AppFile::load(folder, app)? else {
            return Ok(Vec::new());
        };
        if catalogue.find_extension(&file.stack)?.adopted.is_none() {
            return Ok(Vec::new());
        }
        let target = RenderTarget::for_app(config, &file);
        let rendered = catalogue.render_stack(&file.stack, app, &file.variables, &target)?;
        Ok(rendered.volumes.outside)
    }

    async fn read_services(&self) -> Result<RawServices, DockerError> {
        let manager = self.fleet.nodes.find_manager().await?;
        manager.docker.list_raw_services().await
    }

    /// What names images; else why that is not known, and no image goes then.
    async fn load_needed_names(
        &self,
        services: Result<RawServices, DockerError>,
    ) -> Result<ImageNames, OpsError> {
        let services = services?;
        let mut names = ImageNames::from_services(&services);
        let needed = NeededImages::load(&self.fleet).await;
        if let Some(trouble) = needed.troubles.into_iter().next() {
            return Err(OpsError::failed(trouble));
        }
        for (image, user) in needed.images {
            names.add(&image, user);
        }
        Ok(names)
    }

    /// The lines about volumes that nothing mounts, and those that were named.
    async fn describe_volumes(
        &self,
        cx: &StepContext,
        content: &NodeContent,
        orphans: &[Volume],
    ) -> Result<Vec<Change>, StepError> {
        let folders: Vec<String> = orphans.iter().map(|v| v.mountpoint.clone()).collect();
        let sizes = match folders.is_empty() {
            true => Vec::new(),
            false => measure_folders(&cx.host, &folders).await?,
        };
        let mut lines = Vec::new();
        for (number, volume) in orphans.iter().enumerate() {
            let size = sizes.iter().find(|s| s.number == number);
            let size = size.and_then(|s| s.bytes).map(human_bytes);
            let size = size.as_deref().unwrap_or(tr!("size not known"));
            let name = &volume.name;
            lines.push(match self.volumes.contains(name) {
                true => Change::remove(tr!("volume {name} ({size})"))
                    .with_warning(tr!("all that it holds is lost")),
                false => Change::same(tr!(
                    "stays: volume {name} ({size}), which nothing mounts: `--volume {}:{name}` removes it",
                    cx.node
                )),
            });
        }
        for name in &self.volumes {
            if orphans.iter().any(|v| v.name == *name) {
                continue;
            }
            match content.volumes.iter().find(|v| v.name == *name) {
                None => lines.push(Change::same(tr!("volume {name} is not there"))),
                Some(volume) => {
                    let user = content.find_volume_user(volume);
                    let why = user.unwrap_or(tr!("its data lies elsewhere").into());
                    return Err(StepError::failed(tr!(
                        "volume {name} of {} is not removed: {why}",
                        cx.node
                    )));
                }
            }
        }
        Ok(lines)
    }

    /// Removes images, one after the other; one that others are made of may go after them.
    async fn remove_images(
        &self,
        cx: &StepContext,
        mut images: Vec<EngineImage>,
    ) -> Result<(), StepError> {
        loop {
            let before = images.len();
            let mut refused = Vec::new();
            for image in images {
                if cx.cancel.is_cancelled() {
                    return Err(StepError::Cancelled);
                }
                // A service may have been given it meanwhile.
                let needed = self.load_needed_names(self.read_services().await).await;
                if let Some(user) = needed?.find_user(&image) {
                    let name = image.display_name();
                    cx.out.note(tr!("image {name} stays: {user}")).await;
                    continue;
                }
                match remove_image(cx, &image).await {
                    Ok(()) => {
                        let name = image.display_name();
                        cx.out.note(tr!("image {name} is removed")).await;
                    }
                    Err(why) if why.is_conflict() => refused.push((image, why)),
                    Err(why) => return Err(why.into()),
                }
            }
            if refused.is_empty() {
                return Ok(());
            }
            if refused.len() == before {
                for (image, why) in refused {
                    let name = image.display_name();
                    cx.out.note(tr!("image {name} stays: {why}")).await;
                }
                return Ok(());
            }
            images = refused.into_iter().map(|(image, _)| image).collect();
        }
    }

    fn take_planned(&self) -> HashSet<String> {
        let planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        planned.clone()
    }
}

/// Says why a container that has ended is not anybody's waste; `None` when it is.
async fn find_reason_to_keep(
    container: &EngineContainer,
    cx: &StepContext,
) -> Result<Option<String>, StepError> {
    if container.service.is_some() {
        return Ok(None);
    }
    if let Some(project) = &container.compose_project {
        return Ok(Some(tr!("docker compose made it, for {project}")));
    }
    match cx.docker.query_restart_policy(&container.id).await {
        Ok(policy) if policy == "no" || policy == "on-failure" => Ok(None),
        Ok(policy) => Ok(Some(tr!(
            "somebody stopped it, and its restart policy is {policy}"
        ))),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Takes what is gone already for removed.
fn allow_gone(removed: Result<(), DockerError>) -> Result<(), DockerError> {
    match removed {
        Err(e) if e.is_not_found() => Ok(()),
        other => other,
    }
}

/// Removes an image by each of its tags, and what is left of it by its id.
async fn remove_image(cx: &StepContext, image: &EngineImage) -> Result<(), DockerError> {
    for tag in &image.tags {
        allow_gone(cx.docker.remove_image(tag).await)?;
    }
    allow_gone(cx.docker.remove_image(&image.id).await)
}

#[async_trait]
impl Step for CleanNode {
    fn name(&self) -> String {
        tr!("clean").into()
    }

    fn timeout(&self) -> Duration {
        LIMIT
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let content = self.read_content(cx).await?;
        let found = content.sort();
        let mut lines = found.describe();
        lines.extend(self.describe_volumes(cx, &content, &found.volumes).await?);
        *self.planned.lock().unwrap_or_else(PoisonError::into_inner) = found.list_ids();
        if lines.is_empty() {
            lines.push(Change::same(tr!("nothing that nobody needs")));
        }
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let planned = self.take_planned();
        let content = self.read_content(cx).await?;
        let Unneeded {
            mut containers,
            mut images,
            build_cache,
            volumes,
            ..
        } = content.sort();
        containers.retain(|c| planned.contains(&c.id));
        images.retain(|i| planned.contains(&i.id));
        for container in containers {
            match allow_gone(cx.docker.remove_ended_container(&container.id).await) {
                Ok(()) => {}
                Err(e) if e.is_conflict() => {
                    let name = &container.name;
                    cx.out.note(tr!("container {name} stays: {e}")).await;
                }
                Err(e) => return Err(e.into()),
            }
        }
        self.remove_images(cx, images).await?;
        if build_cache.is_some() {
            cx.docker.prune_build_cache().await?;
        }
        for volume in &content.volumes {
            if !self.volumes.contains(&volume.name) {
                continue;
            }
            if !volumes.contains(volume) {
                let why = content.find_volume_user(volume).unwrap_or_default();
                let note = tr!("volume {} stays: {why}", volume.name);
                cx.out.note(note).await;
                continue;
            }
            allow_gone(cx.docker.remove_volume(&volume.name).await)?;
            let note = tr!("volume {} of {} is gone", volume.name, cx.node);
            cx.out.note(note).await;
        }
        Ok(())
    }

    /// What came into use meanwhile stays, and is no failure: each was told.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}
