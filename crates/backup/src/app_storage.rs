//! What belongs to an application: the folders of its volumes on the storage node, its secrets, its
//! dumps.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::BackupError;
use super::volume_folder::{VolumeFolder, matou_folder};
use super::volume_places::VolumePlaces;
use matou_config::Config;
use matou_docker::{NodeHandle, Nodes};
use matou_host::ConfinedFolders;
use matou_model::Swarm;
use matou_stack::{
    AppFile, AppName, BackupSpec, Catalogue, REHEARSAL_LABEL, RenderTarget, is_app_name,
};

/// Name of the manifest in an application's dumps folder.
pub const MANIFEST: &str = "manifest.json";

/// Folder of the fleet's own files, below [`matou_folder`]; also the tag of their snapshots.
pub const FLEET: &str = "fleet";

/// Where root follows no link on the storage node: the data of all applications, and matou's own.
pub fn confined_data_folder(config: &Config) -> ConfinedFolders {
    ConfinedFolders::new(&config.storage.path)
}

/// A volume, or what a node has of one, that no backup reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreachedVolume {
    /// Its name.
    pub volume: String,
    /// Why, a sentence.
    pub why: String,
}

impl UnreachedVolume {
    /// Says of all of them why, one behind another.
    pub fn describe_all(all: &[Self]) -> String {
        let why: Vec<&str> = all.iter().map(|left| left.why.as_str()).collect();
        why.join("; ")
    }
}

/// What belongs to one application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppStorage {
    /// The application's name.
    pub app: String,
    /// The storage node, where restic runs.
    pub node: String,
    /// Those that a backup takes.
    pub volumes: Vec<VolumeFolder>,
    /// Volumes, or what a node has of one, that no backup reaches.
    pub left_out: Vec<UnreachedVolume>,
    /// Volumes that are on no node, while all answer; none where that is an error.
    pub nowhere: Vec<String>,
    /// Volumes of it that its stack does not make, of an application that was adopted.
    pub outside: BTreeSet<String>,
    /// What its services mount that no backup takes, a sentence each.
    pub unsaved: Vec<String>,
    /// Files and folders of the data that its services mount by their paths; they may not be there.
    pub binds: Vec<PathBuf>,
    /// Folder of its secrets; it may not be there.
    pub secrets: PathBuf,
    /// Folder of its manifest and a copy of its file.
    pub dumps: PathBuf,
    /// Dumps and exclusions, from its stack.
    pub spec: BackupSpec,
    /// What it is made from; `None` when it was deployed by something else than matou.
    pub file: Option<AppFile>,
}

/// What a file, or else what runs, says of an application's data.
#[derive(Default)]
struct KnownData {
    /// Volumes, and the folder of the storage node that holds each, where that is known.
    volumes: Vec<(String, Option<PathBuf>)>,
    /// Those of them that its stack does not make.
    outside: BTreeSet<String>,
    unsaved: Vec<String>,
    bind_sources: Vec<PathBuf>,
    spec: BackupSpec,
    /// Where volumes are, when that was asked already.
    places: Option<VolumePlaces>,
}

/// `manifest.json` in an application's dumps folder: what a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The application's name.
    pub app: String,
    /// The fleet's name: restic's host.
    pub fleet: String,
    /// When it was written, just before the snapshot.
    pub time: Timestamp,
    /// Those that are in the snapshot.
    pub volumes: Vec<VolumeFolder>,
    /// What of its volumes is not in the snapshot, and why; a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Dumps of its databases.
    #[serde(default)]
    pub dumps: Vec<ManifestDump>,
    /// Service and image, with its digest where it is known.
    #[serde(default)]
    pub images: Vec<(String, String)>,
    /// Services that earlier snapshots had dumps of, while the application has no file any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<String>,
    /// SHA-256 of the rendered stack; empty without a file.
    #[serde(default)]
    pub stack: String,
}

/// A dump that a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestDump {
    /// The service's name, without the application's.
    pub service: String,
    /// `mariadb`, `mysql`, `postgresql`, `mongodb`, `sqlite`, `command`.
    pub engine: String,
    /// All databases when there is none.
    #[serde(default)]
    pub database: Option<String>,
    /// Path in the container.
    pub file: String,
    /// Path of that file on the storage node.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
}

/// Lists the applications of a fleet: those with a file in apps/, and those that run and have
/// volumes. Sorted. Names that can't be an application's are left out: [`list_odd_app_names`] has
/// them.
pub fn list_app_names(config: &Config, swarm: &Swarm) -> Vec<AppName> {
    let mut names = config
        .folder()
        .map_or_else(Vec::new, |f| AppFile::list_names(&f));
    names.extend(stacks_with_volumes(swarm).filter_map(|name| AppName::new(name).ok()));
    names.sort();
    names.dedup();
    names
}

/// Lists stacks that run and have volumes, but whose names can't be a part of paths and tags: none
/// of them is backed up, and that has to be shown. Sorted.
pub fn list_odd_app_names(swarm: &Swarm) -> Vec<String> {
    let mut names: Vec<String> = stacks_with_volumes(swarm)
        .filter(|n| !is_app_name(n))
        .collect();
    names.sort();
    names.dedup();
    names
}

fn stacks_with_volumes(swarm: &Swarm) -> impl Iterator<Item = String> {
    let services = swarm.services.iter().filter(|s| !s.volumes.is_empty());
    // A copy that is thrown away is nobody's data.
    let services = services.filter(|s| !s.labels.contains_key(REHEARSAL_LABEL));
    services.map(|s| s.stack.clone().unwrap_or_else(|| s.name.clone()))
}

impl AppStorage {
    /// Loads what belongs to `app`, as [`AppStorage::load_everywhere`] does, for work on the storage node
    /// alone.
    ///
    /// # Errors
    /// Those of [`AppStorage::load_everywhere`]; and a volume of it lies where the storage node does not
    /// see it.
    pub async fn load(
        app: &str,
        config: &Config,
        nodes: &Nodes,
        catalogue: &Catalogue,
    ) -> Result<Self, BackupError> {
        let all = Self::load_everywhere(app, config, nodes, catalogue).await?;
        if let Some(UnreachedVolume { why, .. }) = all.left_out.first() {
            return Err(BackupError::Wrong(tr!("{app} can't be reached: {why}")));
        }
        let away = all
            .volumes
            .iter()
            .find_map(|v| Some((v, v.elsewhere.as_ref()?)));
        match away {
            None => Ok(all),
            Some((volume, at)) => Err(BackupError::Wrong(tr!(
                "the volume {} of {app} lies on {}, and this is done with volumes of {} alone. It is backed up, and its files come out of a snapshot by `matou restore {app} --path {} --into FOLDER`",
                volume.name,
                at.node,
                config.storage.node,
                volume.folder.display()
            ))),
        }
    }

    /// Loads what belongs to `app`, by its file in apps/, or, without one, by its running services, with the
    /// volumes of all nodes.
    ///
    /// # Errors
    /// [`BackupError::Wrong`]: there is no such application, or a volume of it is nowhere.
    pub async fn load_everywhere(
        app: &str,
        config: &Config,
        nodes: &Nodes,
        catalogue: &Catalogue,
    ) -> Result<Self, BackupError> {
        let all = Self::load_for_restore(app, config, nodes, catalogue).await?;
        match all.nowhere.first() {
            None => Ok(all),
            Some(name) => Err(BackupError::Wrong(tr!(
                "the volume {name} of {app} is on no node: deploy {app} first (`matou redeploy {app}`)"
            ))),
        }
    }

    /// The same where a volume may be lost: those that are nowhere are named.
    ///
    /// # Errors
    /// [`BackupError::Wrong`]: there is no such application.
    pub async fn load_for_restore(
        app: &str,
        config: &Config,
        nodes: &Nodes,
        catalogue: &Catalogue,
    ) -> Result<Self, BackupError> {
        let wrong = |e: String| BackupError::Wrong(e);
        backup_storage_node(config, nodes)?;
        let file = match config.folder() {
            Some(folder) => AppFile::load(&folder, app).map_err(|e| wrong(e.to_string()))?,
            None => None,
        };
        let known = match &file {
            Some(file) => KnownData::load_from_file(app, file, config, nodes, catalogue).await?,
            None => KnownData {
                volumes: list_running_volumes(app, nodes).await?,
                ..KnownData::default()
            },
        };
        let (mut volumes, mut left_out, mut nowhere) = (Vec::new(), Vec::new(), Vec::new());
        let mut places = known.places;
        for (name, folder) in known.volumes {
            if let Some(folder) = folder {
                volumes.push(VolumeFolder::here(&name, folder));
                continue;
            }
            if places.is_none() {
                places = Some(VolumePlaces::query(nodes).await?);
            }
            if let Some(places) = &places {
                let mut placed = places.place(app, &name, config);
                if known.outside.contains(&name) {
                    places.note_drivers(&mut placed.folders, &config.storage.node);
                }
                volumes.extend(placed.folders);
                let left = placed.left_out.into_iter();
                left_out.extend(left.map(|why| UnreachedVolume {
                    volume: name.clone(),
                    why,
                }));
                nowhere.extend(placed.is_nowhere.then_some(name));
            }
        }
        let data = matou_folder(config);
        Ok(Self {
            app: app.to_owned(),
            node: config.storage.node.clone(),
            binds: select_bound_data(known.bind_sources, config, &volumes),
            volumes,
            left_out,
            nowhere,
            outside: known.outside,
            unsaved: known.unsaved,
            secrets: data.join("secrets").join(app),
            dumps: data.join("dumps").join(app),
            spec: known.spec,
            file,
        })
    }

    /// The folders in which root follows no link while it reads this application's data.
    pub fn confined_folders(&self, config: &Config) -> ConfinedFolders {
        confined_data_folder(config).with_folders(self.volumes.iter().map(|v| &v.folder))
    }

    /// Where a path of a service's container is on the storage node, when one of its volumes holds
    /// it; `mounts` are the container's volumes and where they are mounted, `node` is where it runs.
    pub fn path_on_storage(
        &self,
        mounts: &[(String, String)],
        node: &str,
        path: &str,
    ) -> Option<PathBuf> {
        let (volume, rest) = mounts
            .iter()
            .filter_map(|(volume, at)| Some((volume, Path::new(path).strip_prefix(at).ok()?)))
            .min_by_key(|(_, rest)| rest.components().count())?;
        let plain = rest
            .components()
            .all(|c| matches!(c, std::path::Component::Normal(_)));
        let of = |node| {
            let mut volumes = self.volumes.iter();
            volumes.find(|v| v.name == *volume && v.elsewhere.as_ref().map(|e| &*e.node) == node)
        };
        let folder = &of(Some(node)).or_else(|| of(None))?.folder;
        plain.then(|| folder.join(rest))
    }
}

impl KnownData {
    async fn load_from_file(
        app: &str,
        file: &AppFile,
        config: &Config,
        nodes: &Nodes,
        catalogue: &Catalogue,
    ) -> Result<Self, BackupError> {
        let wrong = |e: matou_stack::StackError| BackupError::Wrong(e.to_string());
        let target = RenderTarget::for_app(config, file);
        let rendered = catalogue
            .render_stack(&file.stack, app, &file.variables, &target)
            .map_err(wrong)?;
        let extension = catalogue.find_extension(&file.stack).map_err(wrong)?;
        let (mut outside, mut places) = (BTreeSet::new(), None);
        if !rendered.volumes.outside.is_empty() {
            let asked = VolumePlaces::query(nodes).await?;
            outside = rendered.volumes.outside.iter().cloned().collect();
            leave_to_others(&mut outside, app, &asked, config, catalogue);
            places = Some(asked);
        }
        let unsaved = rendered.list_unsaved_mounts(&outside).map_err(wrong)?;
        let mut volumes = rendered.volumes.named;
        volumes.extend(outside.iter().map(|name| (name.clone(), None)));
        Ok(Self {
            volumes,
            outside,
            unsaved,
            bind_sources: rendered.bind_sources,
            spec: extension.backup,
            places,
        })
    }
}

/// Takes out of the volumes that an adopted application mounts from outside those which are in another one's
/// backup: its file says that it makes them; or it has no file, has made them and mounts them.
fn leave_to_others(
    outside: &mut BTreeSet<String>,
    app: &str,
    places: &VolumePlaces,
    config: &Config,
    catalogue: &Catalogue,
) {
    let folder = config.folder();
    for name in folder.iter().flat_map(|f| AppFile::list_names(f)) {
        if *name != *app {
            for volume in list_volumes_of_file(&name, config, catalogue).unwrap_or_default() {
                outside.remove(&volume);
            }
        }
    }
    let has_file = |other: &str| {
        let path = folder.as_ref().map(|f| AppFile::path(f, other));
        path.is_some_and(|p| p.exists())
    };
    outside.retain(|volume| {
        let maker = places.find_maker(app, volume);
        !maker.is_some_and(|other| is_app_name(other) && !has_file(other))
    });
}

/// Lists the volumes that a file says an application makes; `None` when that can't be told: its own backup tells why.
fn list_volumes_of_file(app: &str, config: &Config, catalogue: &Catalogue) -> Option<Vec<String>> {
    let file = AppFile::load(&config.folder()?, app).ok()??;
    let target = RenderTarget::for_app(config, &file);
    let rendered = catalogue.render_stack(&file.stack, app, &file.variables, &target);
    let named = rendered.ok()?.volumes.named.into_iter();
    Some(named.map(|(name, _)| name).collect())
}

/// The storage node.
///
/// # Errors
/// When config.toml has none of that name.
pub(super) fn backup_storage_node<'a>(
    config: &Config,
    nodes: &'a Nodes,
) -> Result<&'a NodeHandle, BackupError> {
    nodes.get(&config.storage.node).ok_or_else(|| {
        BackupError::Wrong(tr!(
            "[storage] node = {:?} is not among the nodes of config.toml",
            config.storage.node
        ))
    })
}

/// Selects what lies in the data and is no volume's. What is elsewhere on a node is the node's.
fn select_bound_data(
    sources: Vec<PathBuf>,
    config: &Config,
    volumes: &[VolumeFolder],
) -> Vec<PathBuf> {
    let data = &config.storage.path;
    let is_plain = |p: &Path| {
        let mut parts = p.components();
        !parts.any(|c| matches!(c, std::path::Component::ParentDir))
    };
    let is_data = |p: &PathBuf| {
        p != data
            && p.starts_with(data)
            && is_plain(p)
            && !p.starts_with(matou_folder(config))
            && !volumes.iter().any(|v| p.starts_with(&v.folder))
    };
    sources.into_iter().filter(is_data).collect()
}

/// Volumes of the running services of an application that has no file.
async fn list_running_volumes(
    app: &str,
    nodes: &Nodes,
) -> Result<Vec<(String, Option<PathBuf>)>, BackupError> {
    let failed = |e: matou_docker::DockerError| BackupError::Wrong(e.to_string());
    let manager = nodes.find_manager().await.map_err(failed)?;
    let swarm = manager.docker.query_swarm().await.map_err(failed)?;
    let services = swarm
        .services
        .iter()
        .filter(|s| s.stack.as_deref().unwrap_or(&s.name) == app);
    let mut volumes: Vec<String> = Vec::new();
    let mut any = false;
    for service in services {
        any = true;
        volumes.extend(service.volumes.iter().cloned());
    }
    if !any {
        let running = swarm.services.iter();
        let running = running.map(|s| s.stack.as_deref().unwrap_or(&s.name));
        return Err(matou_config::unknown_name(tr!("application"), app, running).into());
    }
    volumes.sort();
    volumes.dedup();
    Ok(volumes.into_iter().map(|v| (v, None)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::volume_folder::VolumeElsewhere;
    use super::*;
    use matou_model::Service;

    #[test]
    fn an_odd_name_is_told_and_stops_no_other() {
        let service = |name: &str, stack: Option<&str>| Service {
            id: name.into(),
            name: name.into(),
            stack: stack.map(str::to_owned),
            image: "x".into(),
            wanted: 1,
            running: 1,
            volumes: vec![format!("{name}_data")],
            ..Service::default()
        };
        let swarm = Swarm {
            services: vec![
                service("shop_web", Some("shop")),
                service("odd", Some("my app")),
                service("odd2", Some("../../etc")),
                service("loose", None),
            ],
            ..Swarm::default()
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, "[[nodes]]\nname = \"n1\"\nrole = \"manager\"\n").unwrap();
        std::fs::create_dir(dir.path().join("apps")).unwrap();
        for name in ["blog.toml", "._blog.toml", "a b.toml"] {
            std::fs::write(dir.path().join("apps").join(name), "").unwrap();
        }
        let config = Config::read_file(&path).unwrap();
        let names = list_app_names(&config, &swarm);
        assert_eq!(
            names.iter().map(AppName::as_str).collect::<Vec<_>>(),
            ["blog", "loose", "shop"]
        );
        assert_eq!(list_odd_app_names(&swarm), ["../../etc", "my app"]);
    }

    #[test]
    fn what_is_bound_of_the_data_is_data() {
        let mut config = Config::this_machine();
        config.storage.path = "/mnt/data".into();
        let sources = [
            "/mnt/data",
            "/mnt/data/traefik/acme.json",
            "/mnt/data/blog_db/x",
            "/mnt/data/.matou/secrets",
            "/mnt/data/a/../.matou",
            "/mnt/database",
            "/var/run/docker.sock",
        ];
        let volumes = [VolumeFolder::here("blog_db", "/mnt/data/blog_db".into())];
        let sources = sources.map(PathBuf::from).to_vec();
        assert_eq!(
            select_bound_data(sources, &config, &volumes),
            [PathBuf::from("/mnt/data/traefik/acme.json")]
        );
    }

    #[test]
    fn a_path_of_a_container_is_found_in_its_volume() {
        let layout = AppStorage {
            app: "blog".into(),
            node: "n1".into(),
            volumes: vec![
                VolumeFolder::here("blog_db", "/mnt/data/blog_db".into()),
                VolumeFolder {
                    elsewhere: Some(VolumeElsewhere {
                        node: "n2".into(),
                        folder: "/v/blog_db/_data".into(),
                    }),
                    ..VolumeFolder::here("blog_db", "/copy".into())
                },
            ],
            left_out: Vec::new(),
            nowhere: Vec::new(),
            outside: BTreeSet::new(),
            unsaved: Vec::new(),
            binds: Vec::new(),
            secrets: "/mnt/data/.matou/secrets/blog".into(),
            dumps: "/mnt/data/.matou/dumps/blog".into(),
            spec: BackupSpec::default(),
            file: None,
        };
        let mounts = [("blog_db".to_owned(), "/var/lib/mysql".to_owned())];
        let at = |path| layout.path_on_storage(&mounts, "n1", path);
        let on_n2 = layout.path_on_storage(&mounts, "n2", "/var/lib/mysql/x");
        assert_eq!(on_n2, Some("/copy/x".into()));
        assert_eq!(
            at("/var/lib/mysql/matou-dump.sql"),
            Some("/mnt/data/blog_db/matou-dump.sql".into())
        );
        assert_eq!(at("/var/lib/mysql/../../etc/passwd"), None);
        assert_eq!(at("/tmp/x"), None);
    }
}
