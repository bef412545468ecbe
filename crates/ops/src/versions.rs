//! Which newer versions the images of an application have.

use matou_i18n::tr;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use serde::Serialize;

use super::FleetContext;
use crate::self_update::query_own_version;
use crate::{OpsError, OwnVersion};
use jiff::Timestamp;
use matou_base::text::SafeText;
use matou_config::unknown_name;
use matou_model::{NightRehearsal, Service};
use matou_registry as registry;
use matou_registry::{ImageReference, NewerVersion, RegistryError, VersionTag};

use matou_stack::{REHEARSAL_LABEL, ReleaseLine, find_release_line};

/// How many images are asked about at the same time.
const ASKED_AT_ONCE: usize = 8;

/// A service's image, and the newer versions of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceVersions {
    /// Without the application's name.
    pub service: String,
    /// As it runs.
    pub image: String,
    /// Newest first; or why nothing is known of them.
    #[serde(serialize_with = "matou_model::write_outcome")]
    pub newer: Result<Vec<NewerVersion>, SafeText>,
}

impl ServiceVersions {
    /// The service's image with another tag.
    pub fn image_with_tag(&self, tag: &str) -> Option<String> {
        ImageReference::parse(&self.image)
            .ok()
            .map(|r| r.with_tag(tag))
    }
}

/// What an application can be updated to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundVersions {
    /// Of each of its images.
    pub images: Vec<ServiceVersions>,
    /// What it says of itself, where its stack says how it is asked; why it says nothing, otherwise.
    pub own: Option<Result<OwnVersion, SafeText>>,
}

/// Asks the registries for newer versions of what runs of an application, and the application for its
/// own, all at the same time.
///
/// # Errors
/// Those of [`query_newer_versions`].
pub async fn query_app_versions(
    fleet: &FleetContext,
    app: &str,
) -> Result<FoundVersions, OpsError> {
    let (images, own) = tokio::join!(
        query_newer_versions(fleet, app),
        query_own_version(fleet, app)
    );
    Ok(FoundVersions {
        images: images?,
        own: own.map_err(SafeText::of).transpose(),
    })
}

/// Asks the registries for newer versions of what runs of an application, all at the same time.
///
/// # Errors
/// One sentence: no manager answers, or there is no such application.
pub async fn query_newer_versions(
    fleet: &FleetContext,
    app: &str,
) -> Result<Vec<ServiceVersions>, OpsError> {
    let manager = fleet.nodes.find_manager().await?;
    let swarm = manager.docker.query_swarm().await?;
    let services = swarm
        .services
        .iter()
        .filter(|s| s.stack.as_deref().unwrap_or(&s.name) == app);
    let asked = services.map(|service| async {
        let short = service.name.strip_prefix(&format!("{app}_"));
        ServiceVersions {
            service: short.unwrap_or(&service.name).to_owned(),
            image: service.image.clone(),
            newer: query_image_versions(&service.image)
                .await
                .map_err(SafeText::of),
        }
    });
    let all = futures_util::future::join_all(asked).await;
    match all.is_empty() {
        true => {
            let running = swarm.services.iter();
            let names = running.map(|s| s.stack.as_deref().unwrap_or(&s.name));
            Err(unknown_name(tr!("application"), app, names).into())
        }
        false => Ok(all),
    }
}

/// A service that has newer versions, or of whose image nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutdatedService {
    /// The application it is of.
    pub app: String,
    /// The service, its image and the newer versions.
    #[serde(flatten)]
    pub versions: ServiceVersions,
    /// The release line of its image, where its end is known.
    pub line: Option<ReleaseLine>,
    /// What a night found out about the newest patch release of the application's images.
    pub rehearsal: Option<NightRehearsal>,
}

/// Asks the registries for newer versions of all that runs, each image once. Returns the services, by
/// application and name; those that have the newest of their kind as well.
///
/// # Errors
/// No manager answers.
pub async fn query_fleet_versions(fleet: &FleetContext) -> Result<Vec<OutdatedService>, OpsError> {
    let swarm = fleet.query_swarm().await?;
    // A copy that is thrown away is not updated.
    let kept = swarm
        .services
        .iter()
        .filter(|s| !s.labels.contains_key(REHEARSAL_LABEL));
    let services: Vec<&Service> = kept.collect();
    let images: BTreeSet<&str> = services.iter().map(|s| s.image.as_str()).collect();
    let asked = images.into_iter().map(|image| async move {
        let newer = query_image_versions(image).await;
        (image, newer.map_err(SafeText::of))
    });
    let answers: BTreeMap<&str, _> = futures_util::stream::iter(asked)
        .buffer_unordered(ASKED_AT_ONCE)
        .collect()
        .await;
    let now = Timestamp::now();
    let mut nights = read_nights(fleet).await;
    nights.retain(|night| night.is_current(&swarm));
    let mut all: Vec<OutdatedService> = services
        .iter()
        .filter_map(|service| {
            let app = service.stack.as_deref().unwrap_or(&service.name);
            let short = service.name.strip_prefix(&format!("{app}_"));
            Some(OutdatedService {
                app: app.to_owned(),
                versions: ServiceVersions {
                    service: short.unwrap_or(&service.name).to_owned(),
                    image: service.image.clone(),
                    newer: answers.get(service.image.as_str())?.clone(),
                },
                line: find_release_line(&service.image, now),
                rehearsal: nights.iter().find(|night| night.app == app).cloned(),
            })
        })
        .collect();
    all.sort_by(|a, b| (&a.app, &a.versions.service).cmp(&(&b.app, &b.versions.service)));
    Ok(all)
}

/// Reads what nights found out; nothing where that can't be read: versions do not depend on it.
async fn read_nights(fleet: &FleetContext) -> Vec<NightRehearsal> {
    match fleet.find_storage_node() {
        Ok(storage) => matou_collect::read_night_rehearsals(&fleet.config, &storage.host)
            .await
            .unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

async fn query_image_versions(image: &str) -> Result<Vec<NewerVersion>, OpsError> {
    let reference = ImageReference::parse(image).map_err(RegistryError::from)?;
    let tag = &reference.tag;
    let current = VersionTag::parse(tag)
        .ok_or_else(|| tr!("the tag {tag} holds no version: pin the image to one"))?;
    let tags = registry::list_image_tags(image).await?;
    Ok(registry::list_newer_versions(
        &current,
        tags.iter().map(String::as_str),
    ))
}
