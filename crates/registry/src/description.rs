//! What a registry has of an image without its layers: platforms and configuration.
//!
//! Formats: <https://github.com/opencontainers/image-spec>, `image-index.md`, `manifest.md` and
//! `config.md`, and the same of Docker:
//! <https://distribution.github.io/distribution/spec/manifest-v2-2/>.

use matou_i18n::tr;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::client::{RegistryClient, registry_answer_error};
use super::{ImageReference, RegistryError};

/// An image's list of platforms, and one platform's manifest, each as OCI and as Docker name them.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// The platform whose configuration is read where an image has several.
const USUAL_ARCHITECTURE: &str = "amd64";

/// What a registry says of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageDescription {
    /// Architectures that it is built for on Linux, as `amd64` or `arm/v7`, in the registry's order.
    pub architectures: Vec<String>,
    /// How it is started; of `amd64`, where it is built for that.
    pub config: ImageConfig,
}

/// How the containers of an image are started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageConfig {
    /// Its ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// Its CMD.
    pub command: Vec<String>,
    /// Its USER; empty for root.
    pub user: String,
    /// Its WORKDIR; empty for `/`.
    pub workdir: String,
    /// Its EXPOSEd ports, as `80/tcp`.
    pub ports: Vec<String>,
    /// Its VOLUMEs.
    pub volumes: Vec<String>,
}

/// An index of platforms, or one platform's manifest.
#[derive(Deserialize)]
struct Manifest {
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
    variant: Option<String>,
}

impl Platform {
    /// Names the architecture; `None` for other systems, and for what only vouches for an image.
    fn name_architecture(&self) -> Option<String> {
        if self.os != "linux" {
            return None;
        }
        // As Docker does: of arm64 there is one.
        Some(match &self.variant {
            Some(variant) if self.architecture == "arm" => format!("arm/{variant}"),
            _ => self.architecture.clone(),
        })
    }
}

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(flatten)]
    platform: Platform,
    #[serde(default)]
    config: Option<RawConfig>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawConfig {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    user: Option<String>,
    working_dir: Option<String>,
    exposed_ports: Option<Map<String, Value>>,
    volumes: Option<Map<String, Value>>,
}

impl From<RawConfig> for ImageConfig {
    fn from(raw: RawConfig) -> Self {
        let port = |port: String| match port.contains('/') {
            true => port,
            false => format!("{port}/tcp"),
        };
        Self {
            entrypoint: raw.entrypoint.unwrap_or_default(),
            command: raw.cmd.unwrap_or_default(),
            user: raw.user.unwrap_or_default(),
            workdir: raw.working_dir.unwrap_or_default(),
            ports: raw
                .exposed_ports
                .into_iter()
                .flatten()
                .map(|(name, _)| port(name))
                .collect(),
            volumes: raw
                .volumes
                .into_iter()
                .flatten()
                .map(|(path, _)| path)
                .collect(),
        }
    }
}

/// Reads the platforms and the configuration of an image, `name:tag`, in its registry: manifests and
/// configuration, no layers.
///
/// # Errors
/// [`RegistryError`]; an answer whose checksum is not the one that it was asked for by is none.
pub async fn describe_image(image: &str) -> Result<ImageDescription, RegistryError> {
    let reference = ImageReference::parse(image)?;
    let host = reference.host.clone();
    tokio::task::spawn_blocking(move || query_description(&reference))
        .await
        .map_err(|e| RegistryError::Answer {
            host,
            reason: e.to_string(),
        })?
}

fn query_description(image: &ImageReference) -> Result<ImageDescription, RegistryError> {
    let mut client = RegistryClient::new(image);
    let url = format!(
        "{}/v2/{}/manifests/{}",
        image.registry_url(),
        image.repository,
        image.tag
    );
    let answer = client.query_url(&url, MANIFESTS)?;
    let mut manifest: Manifest = read_json(image, &answer.body)?;
    let mut architectures = Vec::new();
    if let Some(all) = manifest.manifests.take() {
        let built: Vec<(String, Descriptor)> = all
            .into_iter()
            .filter_map(|d| Some((d.platform.as_ref()?.name_architecture()?, d)))
            .collect();
        let usual = built.iter().find(|(name, _)| name == USUAL_ARCHITECTURE);
        let (_, chosen) = usual.or_else(|| built.first()).ok_or_else(|| {
            registry_answer_error(image, tr!("the image is built for no Linux machine").into())
        })?;
        manifest = query_by_digest(&mut client, image, "manifests", &chosen.digest)?;
        architectures = built.into_iter().map(|(name, _)| name).collect();
    }
    let config = manifest.config.ok_or_else(|| {
        let reason = tr!("a manifest without a configuration, as of version 1");
        registry_answer_error(image, reason.into())
    })?;
    let file: ConfigFile = query_by_digest(&mut client, image, "blobs", &config.digest)?;
    if architectures.is_empty() {
        architectures.extend(file.platform.name_architecture());
    }
    Ok(ImageDescription {
        architectures,
        config: file.config.unwrap_or_default().into(),
    })
}

/// Reads what a digest names, and checks that it is that.
fn query_by_digest<T: DeserializeOwned>(
    client: &mut RegistryClient<'_>,
    image: &ImageReference,
    kind: &str,
    digest: &str,
) -> Result<T, RegistryError> {
    let hash = digest.strip_prefix("sha256:").filter(|hash| {
        hash.len() == 64
            && hash
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    });
    let hash = hash
        .ok_or_else(|| registry_answer_error(image, tr!("{digest:?} is no checksum of SHA-256")))?;
    let url = format!(
        "{}/v2/{}/{kind}/{digest}",
        image.registry_url(),
        image.repository
    );
    let answer = client.query_url(&url, MANIFESTS)?;
    if matou_base::text::sha256_hex(&answer.body) != hash {
        let reason = tr!("what it sends as {digest} has another checksum");
        return Err(registry_answer_error(image, reason));
    }
    read_json(image, &answer.body)
}

fn read_json<T: DeserializeOwned>(image: &ImageReference, text: &str) -> Result<T, RegistryError> {
    serde_json::from_str(text).map_err(|e| registry_answer_error(image, e.to_string()))
}
