//! What of a node's disk nobody needs, decided from what was read of it.

use matou_i18n::{tr, trn};
use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::OpsError;
use matou_base::text::human_bytes;
use matou_collect::{ImageNames, ImageUser};
use matou_docker::RawServices;
use matou_job::Change;
use matou_model::{EngineContainer, EngineDisk, EngineImage, Volume};
use matou_stack::AppName;

/// Seconds after which a container that was made and never started is forgotten by whoever made it.
const START_TIME: i64 = 3600;

/// What was read of a node.
pub(super) struct NodeContent {
    pub disk: EngineDisk,
    /// Why a container that has ended is not removed, by its id.
    pub kept_containers: BTreeMap<String, String>,
    pub volumes: Vec<Volume>,
    /// Images that are needed; `Err` says why that is not known.
    pub names: Result<ImageNames, OpsError>,
    /// Volumes that are needed; `Err` says why that is not known.
    pub volume_names: Result<VolumeNames, OpsError>,
    /// Seconds since 1970.
    pub now: i64,
}

/// What names volumes.
#[derive(Debug, Default)]
pub(super) struct VolumeNames {
    /// Volumes that services mount, or did before their last update, as the specification names them.
    pub mounted: BTreeSet<String>,
    /// Applications with a file.
    pub apps: Vec<AppName>,
    /// Volumes that adopted applications mount from outside of their stacks, and whose each is.
    pub outside: BTreeMap<String, AppName>,
}

/// What nobody needs, and what stays with a reason that is worth a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unneeded {
    pub containers: Vec<EngineContainer>,
    pub images: Vec<EngineImage>,
    /// Number and bytes of what builds keep.
    pub build_cache: Option<(usize, u64)>,
    /// Volumes that nothing mounts.
    pub volumes: Vec<Volume>,
    pub stays: Vec<String>,
}

/// Whether a container has ended, or was never started.
pub(super) fn is_dead(container: &EngineContainer, now: i64) -> bool {
    match container.state.as_str() {
        "exited" | "dead" => true,
        "created" => now.saturating_sub(container.created_at) > START_TIME,
        _ => false,
    }
}

/// Lists the volumes that services mount, as they are and as they were before their last update.
pub(super) fn list_mounted_volumes(raw: &RawServices) -> BTreeSet<String> {
    let specs = raw
        .services
        .iter()
        .flat_map(|s| [&s["Spec"], &s["PreviousSpec"]]);
    let mounts = specs.filter_map(|spec| {
        let mounts = spec.pointer("/TaskTemplate/ContainerSpec/Mounts")?;
        mounts.as_array()
    });
    let volumes = mounts
        .flatten()
        .filter(|m| m["Type"].as_str() == Some("volume"));
    let names = volumes.filter_map(|m| m["Source"].as_str());
    names.map(str::to_owned).collect()
}

/// Whether a name is one that a specification may stand for, in which the engine fills in `{{.Task.Slot}}` and the
/// like (docs.docker.com/reference/cli/docker/service/create, "Create services using templates").
fn is_named_by(source: &str, name: &str) -> bool {
    let Some((head, rest)) = source.split_once("{{") else {
        return source == name;
    };
    let Some(mut name) = name.strip_prefix(head) else {
        return false;
    };
    // What follows each placeholder, in this order; whatever a placeholder becomes.
    let mut pieces = Vec::new();
    for piece in rest.split("{{") {
        let is_value = |p: &str| p.trim().starts_with('.') || p.trim().starts_with("index ");
        match piece.split_once("}}") {
            Some((placeholder, after)) if is_value(placeholder) => pieces.push(after),
            // Conditions and the like: any of the text may be left out.
            _ => return true,
        }
    }
    let tail = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match name.find(piece) {
            Some(at) => name = &name[at + piece.len()..],
            None => return false,
        }
    }
    name.ends_with(tail)
}

/// Whether the volume's data is in the engine's own folder, and not where its options say.
fn is_kept_by_engine(volume: &Volume) -> bool {
    volume.driver == "local" && !volume.options.contains_key("device")
}

impl NodeContent {
    /// Decides what nobody needs.
    pub(super) fn sort(&self) -> Unneeded {
        let mut found = Unneeded::default();
        for container in self.disk.containers.iter().filter(|c| is_dead(c, self.now)) {
            match self.kept_containers.get(&container.id) {
                None => found.containers.push(container.clone()),
                Some(why) => found.stays.push(tr!("container {}: {why}", container.name)),
            }
        }
        found.containers.sort_by(|a, b| a.name.cmp(&b.name));
        self.sort_images(&mut found);
        let cache = self.disk.build_cache.iter().filter(|entry| !entry.in_use);
        let sizes: Vec<u64> = cache.map(|e| if e.shared { 0 } else { e.size }).collect();
        found.build_cache = (!sizes.is_empty()).then(|| (sizes.len(), sizes.iter().sum()));
        if let Err(why) = &self.volume_names {
            found.stays.push(tr!(
                "all volumes: which of them are needed is not known: {why}"
            ));
        }
        let orphans = self
            .volumes
            .iter()
            .filter(|volume| is_kept_by_engine(volume) && self.find_volume_user(volume).is_none());
        found.volumes = orphans.cloned().collect();
        found
    }

    fn sort_images(&self, found: &mut Unneeded) {
        let going: HashSet<&str> = found.containers.iter().map(|c| c.id.as_str()).collect();
        let names = match &self.names {
            Ok(names) => names,
            Err(why) => {
                found.stays.push(tr!("all images: {why}"));
                return;
            }
        };
        let mut images: Vec<&EngineImage> = self.disk.images.iter().collect();
        images.sort_by_key(|image| (std::cmp::Reverse(image.own_size()), image.display_name()));
        for image in images {
            let mut containers = self.disk.containers.iter();
            let user =
                containers.find(|c| c.image_id == image.id && !going.contains(c.id.as_str()));
            let why = match (names.find_user(image), user) {
                // What runs as it should is no news.
                (Some(ImageUser::Service(_)), _) => continue,
                (_, Some(container)) if container.service.is_some() => continue,
                (Some(why), _) => why.to_string(),
                (None, Some(container)) => tr!("container {} uses it", container.name),
                (None, None) => {
                    found.images.push(image.clone());
                    continue;
                }
            };
            let size = human_bytes(image.own_size());
            let name = image.display_name();
            found.stays.push(tr!("image {name} ({size}): {why}"));
        }
    }

    /// Says what needs a volume; `None` when nothing does.
    pub(super) fn find_volume_user(&self, volume: &Volume) -> Option<String> {
        let of_app = |app: &&AppName| {
            let rest = volume.name.strip_prefix(app.as_str());
            rest.is_some_and(|rest| rest.starts_with('_'))
        };
        if let Some(container) = volume.users.first() {
            return Some(tr!("container {container} mounts it"));
        }
        let names = match &self.volume_names {
            Ok(names) => names,
            Err(why) => return Some(tr!("which volumes are needed is not known: {why}")),
        };
        let mut mounted = names.mounted.iter();
        if mounted.any(|source| is_named_by(source, &volume.name)) {
            return Some(tr!("a service mounts it, or did before its last update").into());
        }
        if let Some(app) = names.outside.get(&volume.name) {
            return Some(tr!(
                "it is of {app}, which has a file in apps/ and mounts it"
            ));
        }
        let app = names.apps.iter().find(of_app)?;
        Some(tr!(
            "it is of {app}, which has a file in apps/: `matou remove {app} --volume {}` removes it",
            volume.name
        ))
    }
}

impl Unneeded {
    /// Returns the lines of what goes and what stays, but of volumes.
    pub(super) fn describe(&self) -> Vec<Change> {
        let containers = self.containers.iter().map(|c| {
            let size = human_bytes(c.written);
            let name = &c.name;
            Change::remove(tr!(
                "container {name}, which has ended, with its log ({size})"
            ))
        });
        let images = self.images.iter().map(|image| {
            let (name, size) = (image.display_name(), human_bytes(image.own_size()));
            Change::remove(tr!("image {name} ({size})"))
        });
        let cache = self.build_cache.map(|(count, size)| {
            let parts = trn!(count, "{n} part", "{n} parts");
            Change::remove(tr!("build cache: {parts} ({})", human_bytes(size)))
        });
        let stays = self
            .stays
            .iter()
            .map(|line| Change::same(tr!("stays: {line}")));
        containers.chain(images).chain(cache).chain(stays).collect()
    }

    /// Returns the ids of what goes.
    pub(super) fn list_ids(&self) -> HashSet<String> {
        let containers = self.containers.iter().map(|c| c.id.clone());
        containers
            .chain(self.images.iter().map(|i| i.id.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    impl Default for NodeContent {
        fn default() -> Self {
            Self {
                disk: EngineDisk::default(),
                kept_containers: BTreeMap::new(),
                volumes: Vec::new(),
                names: Ok(ImageNames::default()),
                volume_names: Ok(VolumeNames::default()),
                now: 0,
            }
        }
    }

    fn container(id: &str, image: &str, state: &str) -> EngineContainer {
        EngineContainer {
            id: id.into(),
            name: format!("c-{id}"),
            image_id: format!("sha256:{image}"),
            state: state.into(),
            ..Default::default()
        }
    }

    fn image(id: &str, tag: &str, size: u64) -> EngineImage {
        EngineImage {
            id: format!("sha256:{id}"),
            tags: (!tag.is_empty())
                .then(|| tag.to_owned())
                .into_iter()
                .collect(),
            size,
            ..Default::default()
        }
    }

    fn content() -> NodeContent {
        let mut names = ImageNames::default();
        for (image, user) in [
            ("blog:3", ImageUser::Service("blog_web".into())),
            ("blog:2", ImageUser::Rollback("blog_web".into())),
            ("shop:1", ImageUser::AppFile("shop".into())),
        ] {
            names.add(image, user);
        }
        NodeContent {
            disk: EngineDisk {
                images: vec![
                    image("3", "blog:3", 30),
                    image("2", "blog:2", 20),
                    image("1", "blog:1", 10),
                    image("s", "shop:1", 40),
                    image("d", "", 50),
                    image("r", "tool:1", 60),
                    image("n", "new:1", 70),
                ],
                containers: vec![
                    container("run", "r", "running"),
                    container("old", "1", "exited"),
                    container("kept", "d", "exited"),
                    container("new", "n", "created"),
                ],
                ..Default::default()
            },
            kept_containers: [("kept".to_owned(), "somebody stopped it".to_owned())].into(),
            names: Ok(names),
            ..NodeContent::default()
        }
    }

    #[test]
    fn what_anything_needs_stays_and_the_plan_says_why() {
        let mut content = content();
        let lines = |content: &NodeContent| -> Vec<String> {
            let lines = content.sort().describe();
            lines.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            lines(&content),
            [
                "- container c-old, which has ended, with its log (0 B)",
                // Only the container that goes used it.
                "- image blog:1 (10 B)",
                "= stays: container c-kept: somebody stopped it",
                "= stays: image new:1 (70 B): container c-new uses it",
                "= stays: image tool:1 (60 B): container c-run uses it",
                "= stays: image image without a name (d) (50 B): container c-kept uses it",
                "= stays: image shop:1 (40 B): apps/shop.toml names it",
                "= stays: image blog:2 (20 B): a rollback of blog_web needs it",
            ]
        );
        // Made long ago and never started.
        content.now = START_TIME + 1;
        assert!(lines(&content).contains(&"- image new:1 (70 B)".to_owned()));
        content.names = Err(OpsError::failed("no manager answers"));
        let lines = lines(&content);
        assert!(!lines.iter().any(|l| l.starts_with("- image")), "{lines:?}");
        assert!(lines.contains(&"= stays: all images: no manager answers".to_owned()));
    }

    #[test]
    fn a_volume_is_an_orphan_when_nothing_names_it() {
        let volume = |name: &str, users: &[&str]| Volume {
            name: name.into(),
            driver: "local".into(),
            users: users.iter().map(|&u| u.to_owned()).collect(),
            mountpoint: String::new(),
            options: BTreeMap::new(),
            stack: None,
            created_at: None,
        };
        let mut elsewhere = volume("nfs", &[]);
        elsewhere
            .options
            .insert("device".into(), ":/srv/nfs".into());
        let services = r#"[{"Spec":{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"Type":"volume","Source":"now"},{"Type":"volume","Source":"slot-{{.Task.Slot}}"},{"Type":"bind","Source":"/x"}]}}},
            "PreviousSpec":{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"Type":"volume","Source":"before"}]}}}}]"#;
        let raw = RawServices {
            services: serde_json::from_str::<Vec<Value>>(services).unwrap(),
            networks: Vec::new(),
        };
        let mut content = NodeContent {
            volumes: vec![
                volume("now", &[]),
                volume("slot-1", &[]),
                volume("before", &[]),
                volume("run", &["c"]),
                volume("shop_data", &[]),
                volume("shopping", &[]),
                volume("adopted", &[]),
                elsewhere,
            ],
            volume_names: Ok(VolumeNames {
                mounted: list_mounted_volumes(&raw),
                apps: vec![AppName::new("shop").unwrap()],
                outside: [("adopted".to_owned(), AppName::new("blog").unwrap())].into(),
            }),
            ..NodeContent::default()
        };
        let orphans: Vec<String> = content.sort().volumes.into_iter().map(|v| v.name).collect();
        assert_eq!(orphans, ["shopping"]);

        // Without a manager, or without apps/, nobody knows.
        content.volume_names = Err(OpsError::failed("no manager answers"));
        let found = content.sort();
        assert!(found.volumes.is_empty());
        assert_eq!(
            found.stays,
            ["all volumes: which of them are needed is not known: no manager answers"]
        );
        let why = content.find_volume_user(&volume("shopping", &[])).unwrap();
        assert!(why.ends_with("no manager answers"), "{why}");
    }

    #[test]
    fn a_template_names_whatever_the_engine_may_make_of_it() {
        for (source, name, expected) in [
            ("data", "data", true),
            ("data", "data-1", false),
            ("data-{{.Task.Slot}}", "data-12", true),
            ("data-{{.Task.Slot}}", "date-1", false),
            ("{{.Node.Hostname}}-x-{{.Task.Slot}}-y", "n1-x-3-y", true),
            ("{{.Node.Hostname}}-x-{{.Task.Slot}}-y", "n1-x-3-z", false),
            ("{{.Node.Hostname}}-x-{{.Task.Slot}}-y", "n1-3-y", false),
            (r#"{{index .Service.Labels "a"}}-x"#, "shop-x", true),
            (r#"{{index .Service.Labels "a"}}-x"#, "shop-y", false),
            ("a{{.Task.Name", "ab", true),
            (r#"v{{if eq .Task.Slot "1"}}a{{else}}b{{end}}"#, "va", true),
            (r#"v{{if eq .Task.Slot "1"}}a{{else}}b{{end}}"#, "w", false),
        ] {
            assert_eq!(is_named_by(source, name), expected, "{source} {name}");
        }
    }

    #[test]
    fn what_a_build_needs_now_is_not_counted() {
        use matou_model::BuildCacheEntry;
        let entry = |in_use, shared| BuildCacheEntry {
            id: "x".into(),
            size: 10,
            in_use,
            shared,
        };
        let mut content = content();
        content.disk.build_cache = vec![entry(true, false)];
        assert_eq!(content.sort().build_cache, None);
        content
            .disk
            .build_cache
            .extend([entry(false, false), entry(false, true)]);
        assert_eq!(content.sort().build_cache, Some((2, 10)));
    }
}
