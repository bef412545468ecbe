//! What an engine keeps on its node's disk, and letting go of it. Nothing is ever removed by force: what
//! is in use by then, the engine refuses.

use matou_i18n::tr;
use std::collections::HashMap;
use std::time::Duration;

use hyper::Method;
use serde::Deserialize;

use super::convert::STACK_LABEL;
use super::{Docker, DockerError};
use matou_model::{BuildCacheEntry, EngineContainer, EngineDisk, EngineImage};

/// How long the engine may count: it walks through what containers wrote.
const COUNT_LIMIT: Duration = Duration::from_secs(120);

/// How long one removal may take.
const REMOVAL_LIMIT: Duration = Duration::from_secs(120);

/// What an old engine calls an image without a tag or digest.
const NO_NAME: &str = "<none>";

/// Label of a task's container: the service's name.
const SERVICE_LABEL: &str = "com.docker.swarm.service.name";

/// Label that docker compose gives.
const COMPOSE_LABEL: &str = "com.docker.compose.project";

/// `GET /system/df`. Version 1.52 of the API has its lists in objects of their own; before it, they stand
/// beside each other.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawDisk {
    layers_size: Option<i64>,
    images: Option<Vec<RawImage>>,
    containers: Option<Vec<RawContainer>>,
    build_cache: Option<Vec<RawCacheEntry>>,
    image_usage: Option<RawUsage<RawImage>>,
    container_usage: Option<RawUsage<RawContainer>>,
    build_cache_usage: Option<RawUsage<RawCacheEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawUsage<T> {
    total_size: Option<i64>,
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawImage {
    id: String,
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
    size: i64,
    shared_size: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawContainer {
    id: String,
    names: Option<Vec<String>>,
    #[serde(rename = "ImageID")]
    image_id: String,
    created: i64,
    size_rw: i64,
    labels: Option<HashMap<String, String>>,
    state: String,
    mounts: Option<Vec<RawMount>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawMount {
    r#type: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawCacheEntry {
    #[serde(rename = "ID")]
    id: String,
    size: i64,
    in_use: bool,
    shared: bool,
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

impl From<RawImage> for EngineImage {
    fn from(raw: RawImage) -> Self {
        let named = |list: Option<Vec<String>>| -> Vec<String> {
            let list = list.unwrap_or_default().into_iter();
            list.filter(|name| !name.contains(NO_NAME)).collect()
        };
        Self {
            id: raw.id,
            tags: named(raw.repo_tags),
            digests: named(raw.repo_digests),
            size: unsigned(raw.size),
            shared: unsigned(raw.shared_size),
        }
    }
}

impl From<RawContainer> for EngineContainer {
    fn from(raw: RawContainer) -> Self {
        let mut labels = raw.labels.unwrap_or_default();
        let names = raw.names.unwrap_or_default();
        let name = names.first().map_or("", |n| n.trim_start_matches('/'));
        let mounts = raw.mounts.unwrap_or_default().into_iter();
        Self {
            name: name.to_owned(),
            id: raw.id,
            image_id: raw.image_id,
            state: raw.state,
            created_at: raw.created,
            written: unsigned(raw.size_rw),
            stack: labels.remove(STACK_LABEL),
            service: labels.remove(SERVICE_LABEL),
            compose_project: labels.remove(COMPOSE_LABEL),
            volumes: mounts
                .filter(|m| m.r#type == "volume")
                .map(|m| m.name)
                .collect(),
        }
    }
}

impl From<RawCacheEntry> for BuildCacheEntry {
    fn from(raw: RawCacheEntry) -> Self {
        Self {
            id: raw.id,
            size: unsigned(raw.size),
            in_use: raw.in_use,
            shared: raw.shared,
        }
    }
}

fn parse_disk(body: &[u8]) -> serde_json::Result<EngineDisk> {
    fn list<R, T: From<R>>(usage: Option<RawUsage<R>>, old: Option<Vec<R>>) -> Vec<T> {
        let items = usage.map(|u| u.items).or(old).unwrap_or_default();
        items.into_iter().map(T::from).collect()
    }
    let raw: RawDisk = serde_json::from_slice(body)?;
    let size = raw.image_usage.as_ref().and_then(|u| u.total_size);
    Ok(EngineDisk {
        images_size: unsigned(size.or(raw.layers_size).unwrap_or_default()),
        images: list(raw.image_usage, raw.images),
        containers: list(raw.container_usage, raw.containers),
        build_cache: list(raw.build_cache_usage, raw.build_cache),
    })
}

/// Whether a text is a name or id of an image, and nothing that changes the path of a request.
fn is_image_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b);
    !name.is_empty() && name.bytes().all(plain) && !name.split('/').any(|p| p == ".." || p == ".")
}

impl Docker {
    /// What the engine keeps on its disk, but volumes.
    ///
    /// # Errors
    /// When the engine can't be asked, refuses, or is not done in two minutes.
    pub async fn query_disk(&self) -> Result<EngineDisk, DockerError> {
        let what = "/system/df?type=image&type=container&type=build-cache&verbose=true";
        let body = self.request_slowly(Method::GET, what, COUNT_LIMIT).await?;
        self.parse_answer(parse_disk(&body))
    }

    /// The folder in which the engine keeps everything.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn query_root_folder(&self) -> Result<String, DockerError> {
        #[derive(Deserialize)]
        struct Info {
            #[serde(rename = "DockerRootDir")]
            root: String,
        }
        let body = self.read_raw("/info").await?;
        Ok(self
            .parse_answer(serde_json::from_slice::<Info>(&body))?
            .root)
    }

    /// When the engine starts a container again by itself: `no`, `always`, `on-failure`,
    /// `unless-stopped`.
    ///
    /// # Errors
    /// When the engine can't be asked, or there is no such container.
    pub async fn query_restart_policy(&self, container: &str) -> Result<String, DockerError> {
        let client = self.bollard_client().await?;
        let found = match client.inspect_container(container, None).await {
            Ok(found) => found,
            Err(e) => return Err(self.error_of_client(e).await),
        };
        let policy = found.host_config.and_then(|h| h.restart_policy);
        let name = policy.and_then(|p| p.name).map(|n| n.to_string());
        Ok(name.filter(|n| !n.is_empty()).unwrap_or("no".into()))
    }

    /// Removes a container that has ended; its volumes stay.
    ///
    /// # Errors
    /// What the engine says: it runs ([`DockerError::is_conflict`]), or it is gone
    /// ([`DockerError::is_not_found`]).
    pub async fn remove_ended_container(&self, id: &str) -> Result<(), DockerError> {
        let id: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
        let path = format!("/containers/{id}?force=false&v=false");
        self.request_slowly(Method::DELETE, &path, REMOVAL_LIMIT)
            .await
            .map(drop)
    }

    /// Removes a name of an image, and the image with its last name; or an image by its id. What it was
    /// made from stays, also without a name: a service may name it by its id.
    ///
    /// # Errors
    /// What the engine says: a container uses it ([`DockerError::is_conflict`]), or it is gone
    /// ([`DockerError::is_not_found`]).
    pub async fn remove_image(&self, image: &str) -> Result<(), DockerError> {
        if !is_image_name(image) {
            return Err(DockerError::Other {
                node: self.node_name(),
                reason: tr!("{image:?} is no name of an image"),
            });
        }
        let path = format!("/images/{image}?force=false&noprune=true");
        self.request_slowly(Method::DELETE, &path, REMOVAL_LIMIT)
            .await
            .map(drop)
    }

    /// Removes a volume with all that it holds.
    ///
    /// # Errors
    /// What the engine says: a container uses it ([`DockerError::is_conflict`]), or it is gone
    /// ([`DockerError::is_not_found`]).
    pub async fn remove_volume(&self, name: &str) -> Result<(), DockerError> {
        let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
        let path = format!("/volumes/{name}?force=false");
        self.request_slowly(Method::DELETE, &path, REMOVAL_LIMIT)
            .await
            .map(drop)
    }

    /// Removes what builds keep for later ones, but what a build needs now.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn prune_build_cache(&self) -> Result<(), DockerError> {
        self.request_slowly(Method::POST, "/build/prune?all=true", REMOVAL_LIMIT)
            .await
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_answer_are_read() {
        let image = r#"{"Containers":0,"Created":1,"Id":"sha256:d5","Labels":null,"ParentId":"","RepoDigests":["<none>@<none>"],"RepoTags":["hello:1.1"],"SharedSize":4,"Size":10}"#;
        let container = r#"{"Id":"25","Names":["/t1"],"Image":"hello:1.1","ImageID":"sha256:d5","Created":7,"SizeRw":5000,"SizeRootFs":9,"Labels":{"com.docker.stack.namespace":"site","com.docker.swarm.service.name":"site_web"},"State":"exited","Mounts":[{"Type":"volume","Name":"vol1"},{"Type":"bind","Source":"/x"}]}"#;
        let cache =
            r#"{"ID":"c1","Type":"regular","InUse":false,"Shared":true,"Size":12,"UsageCount":1}"#;
        let before = format!(
            r#"{{"LayersSize":10,"Images":[{image}],"Containers":[{container}],"Volumes":null,"BuildCache":[{cache}]}}"#
        );
        let since = format!(
            r#"{{"ImageUsage":{{"ActiveCount":0,"TotalSize":10,"Items":[{image}]}},"ContainerUsage":{{"Items":[{container}]}},"BuildCacheUsage":{{"Items":[{cache}]}}}}"#
        );
        let read = parse_disk(before.as_bytes()).unwrap();
        assert_eq!(read, parse_disk(since.as_bytes()).unwrap());
        assert_eq!((read.images_size, read.images[0].own_size()), (10, 6));
        assert_eq!(read.images[0].digests, Vec::<String>::new());
        let container = &read.containers[0];
        assert_eq!((container.name.as_str(), container.written), ("t1", 5000));
        assert_eq!(container.stack.as_deref(), Some("site"));
        assert_eq!(container.volumes, ["vol1"]);
        assert!(read.build_cache[0].shared);
        let nothing = parse_disk(b"{\"Images\":null}").unwrap();
        assert_eq!(nothing, EngineDisk::default());
    }

    #[test]
    fn a_name_of_an_image_is_no_path() {
        for name in ["ghost:6", "a.b:5000/c/d@sha256:0a", "sha256:0a"] {
            assert!(is_image_name(name), "{name}");
        }
        for name in ["", "../containers/x", "a/../b", "a?force=true", "a b"] {
            assert!(!is_image_name(name), "{name}");
        }
    }
}
