//! Which images something names, and what names them: services as they are and as they were before their
//! last update, files of applications.

use matou_i18n::tr;
use std::collections::HashSet;

use serde_json::Value;

use matou_docker::RawServices;
use matou_model::EngineImage;
use matou_registry::ImageReference;

/// What names an image, the strongest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageUser {
    /// A service, by its name.
    Service(String),
    /// A service before its last update: a rollback needs it.
    Rollback(String),
    /// The file of an application, which deploys it again.
    AppFile(String),
    /// What is kept of an application's restore, which can be undone.
    Restore(String),
}

impl std::fmt::Display for ImageUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Service(name) => write!(f, "{}", tr!("service {name} names it")),
            Self::Rollback(name) => write!(f, "{}", tr!("a rollback of {name} needs it")),
            Self::AppFile(app) => write!(f, "{}", tr!("apps/{app}.toml names it")),
            Self::Restore(app) => write!(f, "{}", tr!("undoing the restore of {app} may need it")),
        }
    }
}

/// The names of images that are needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageNames(Vec<(ImageName, ImageUser)>);

/// How an image is named, made alike: of the ways a name can be written there is one left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ImageName {
    /// Host, repository and tag.
    tag: Option<String>,
    /// As `sha256:…`.
    digest: Option<String>,
}

impl ImageName {
    fn parse(text: &str) -> Self {
        // An id alone is no name of a repository.
        if text.starts_with("sha256:") {
            return Self {
                tag: None,
                digest: Some(text.to_owned()),
            };
        }
        let digest = text.split_once('@').map(|(_, digest)| digest.to_owned());
        let parsed = ImageReference::parse(text).ok();
        let tag = parsed.map(|r| format!("{}/{}:{}", r.host, r.repository, r.tag));
        Self { tag, digest }
    }
}

impl ImageNames {
    /// Reads the names in all services, those of before their last update too.
    pub fn from_services(raw: &RawServices) -> Self {
        let mut names = Self::default();
        for service in &raw.services {
            let image = |spec: &Value| {
                let image = spec
                    .pointer("/TaskTemplate/ContainerSpec/Image")?
                    .as_str()?;
                Some(image.to_owned())
            };
            let name = service["Spec"]["Name"].as_str().unwrap_or_default();
            let now = image(&service["Spec"]);
            let before = image(&service["PreviousSpec"]);
            for (image, user) in [
                (now, ImageUser::Service(name.to_owned())),
                (before, ImageUser::Rollback(name.to_owned())),
            ] {
                if let Some(image) = image {
                    names.add(&image, user.clone());
                }
            }
        }
        names
    }

    /// Adds an image that something names.
    pub fn add(&mut self, image: &str, user: ImageUser) {
        self.0.push((ImageName::parse(image), user));
    }

    /// Returns what names an image, the strongest of them; `None` when nothing does. A name with tag and
    /// digest is that of an image with either: rather one too many stays.
    pub fn find_user(&self, image: &EngineImage) -> Option<&ImageUser> {
        let tags: HashSet<String> = image
            .tags
            .iter()
            .filter_map(|tag| ImageName::parse(tag).tag)
            .collect();
        let digests: HashSet<&str> = image
            .digests
            .iter()
            .filter_map(|digest| Some(digest.split_once('@')?.1))
            .chain([image.id.as_str()])
            .collect();
        let names = self.0.iter().filter(|(name, _)| {
            let by_tag = name.tag.as_ref().is_some_and(|tag| tags.contains(tag));
            let digest = name.digest.as_deref();
            by_tag || digest.is_some_and(|digest| digests.contains(digest))
        });
        names.map(|(_, user)| user).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str, tags: &[&str], digests: &[&str]) -> EngineImage {
        let own = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        EngineImage {
            id: format!("sha256:{id}"),
            tags: own(tags),
            digests: own(digests),
            ..Default::default()
        }
    }

    #[test]
    fn what_a_rollback_or_a_file_names_is_needed() {
        let spec = |image: &str| {
            format!(
                r#"{{"Name":"blog_web","TaskTemplate":{{"ContainerSpec":{{"Image":"{image}"}}}}}}"#
            )
        };
        let service = format!(
            r#"{{"Spec":{},"PreviousSpec":{}}}"#,
            spec("ghost:6@sha256:66"),
            spec("docker.io/library/ghost:5@sha256:55")
        );
        let raw = RawServices {
            services: vec![serde_json::from_str(&service).unwrap()],
            networks: Vec::new(),
        };
        let mut names = ImageNames::from_services(&raw);
        names.add(
            "registry.example.org:5000/shop",
            ImageUser::AppFile("shop".into()),
        );
        names.add("ghost:6", ImageUser::AppFile("blog".into()));
        names.add("not an image", ImageUser::AppFile("odd".into()));
        let user = |image: &EngineImage| names.find_user(image).map(ToString::to_string);
        let service = Some("service blog_web names it".to_owned());
        let rollback = Some("a rollback of blog_web needs it".to_owned());
        // By its digest alone, as an engine has it that pulled it for a task.
        assert_eq!(user(&image("1", &[], &["ghost@sha256:66"])), service);
        assert_eq!(user(&image("1", &["ghost:6"], &[])), service);
        assert_eq!(user(&image("2", &[], &["ghost@sha256:55"])), rollback);
        assert_eq!(user(&image("2", &["ghost:5"], &[])), rollback);
        // An engine with containerd's store has the digest as the id.
        assert_eq!(user(&image("55", &[], &[])), rollback);
        let shop = image("3", &["registry.example.org:5000/shop:latest"], &[]);
        assert_eq!(user(&shop), Some("apps/shop.toml names it".into()));
        for other in [
            image("4", &["ghost:4"], &["ghost@sha256:44"]),
            image("5", &["registry.example.org:5000/shop:2"], &[]),
            image("6", &["shop:latest"], &[]),
            image("7", &[], &[]),
        ] {
            assert_eq!(user(&other), None, "{other:?}");
        }
    }
}
