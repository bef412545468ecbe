//! How the named volumes of a stack reach every node. `[storage] driver` decides; a volume with a
//! driver of its own keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use matou_i18n::tr;
use serde_yaml::{Mapping, Value};

use super::labels::scalar_text;
use super::lint::section_entries;
use matou_config::{StorageConfig, StorageDriver};

/// The volumes of a rendered stack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StackVolumes {
    /// As the engine names them, with the folder on the storage node that holds each, if one does.
    pub named: Vec<(String, Option<PathBuf>)>,
    /// How the engine mounts each volume.
    pub definitions: Vec<VolumeDefinition>,
    /// Of a stack that was adopted: external volumes that its services mount, as the engine names them. The
    /// stack does not make them; unless another application does, they are its data all the same.
    pub outside: Vec<String>,
    /// What was done to the file; a sentence each.
    pub notes: Vec<String>,
}

/// How the engine mounts a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeDefinition {
    /// As the engine names it.
    pub name: String,
    /// `local`, or a plugin.
    pub driver: String,
    /// The driver's.
    pub options: BTreeMap<String, String>,
}

impl VolumeDefinition {
    fn from_volume(name: &str, volume: &Mapping) -> Self {
        let options = volume.get("driver_opts").and_then(Value::as_mapping);
        let options = options.into_iter().flatten();
        // Docker's own interpolation removes these escapes.
        let plain = |v: &Value| scalar_text(v).replace("$$", "$");
        Self {
            name: name.to_owned(),
            driver: volume.get("driver").map_or("local".into(), scalar_text),
            options: options.map(|(k, v)| (scalar_text(k), plain(v))).collect(),
        }
    }

    /// The folder of the server that a volume of the plugin docker-volume-netshare is. Where the plugin
    /// mounts it on a node is an empty folder as long as no container there has the volume.
    pub fn netshare_folder(&self) -> Option<PathBuf> {
        let share = self.options.get("share").filter(|_| self.driver == "nfs")?;
        let (_, path) = share.split_once(':')?;
        let path = Path::new(path.trim_end_matches('/'));
        if !path.starts_with("/") || self.name.contains('/') {
            return None;
        }
        // With `create`, the plugin makes a folder of the volume's name in the share.
        let creates = self.options.get("create").is_some_and(|c| c == "true");
        Some(match creates {
            true => path.join(&self.name),
            false => path.to_owned(),
        })
    }
}

/// Gives the volumes of the file the fleet's driver. Returns how each is mounted.
pub(super) fn render_volumes(
    app: &str,
    compose: &mut Mapping,
    storage: &StorageConfig,
) -> StackVolumes {
    let mut out = StackVolumes::default();
    let Some(Value::Mapping(volumes)) = compose.get_mut("volumes") else {
        return out;
    };
    for (key, value) in volumes {
        let key = key.as_str().unwrap_or_default().to_owned();
        if value.is_null() {
            *value = Mapping::new().into();
        }
        if external_volume_name(&key, value).is_some() {
            continue;
        }
        let Value::Mapping(volume) = value else {
            continue;
        };
        let name = volume
            .get("name")
            .and_then(Value::as_str)
            .map_or_else(|| format!("{app}_{key}"), str::to_owned);
        let folder = match NetshareVolume::parse(volume, &name) {
            Some(share) => share.render_volume(&name, volume, storage, &mut out.notes),
            None if volume.contains_key("driver") || volume.contains_key("driver_opts") => {
                own_driver_folder(volume)
            }
            None => apply_fleet_driver(volume, storage, &name),
        };
        out.definitions
            .push(VolumeDefinition::from_volume(&name, volume));
        out.named.push((name, folder));
    }
    out
}

/// Returns the name of an external volume; `None` for one that the stack makes. Older files write
/// `external: {name: x}`.
pub fn external_volume_name(key: &str, volume: &Value) -> Option<String> {
    let external = volume.get("external")?;
    if *external == Value::Bool(false) {
        return None;
    }
    let name = external.get("name").or_else(|| volume.get("name"));
    Some(name.and_then(Value::as_str).unwrap_or(key).to_owned())
}

/// Lists what services name as the source of a mount: keys of volumes, and paths.
fn list_mount_sources(compose: &Mapping) -> BTreeSet<&str> {
    let services = section_entries(compose, "services");
    let mounts = services.filter_map(|(_, service)| service.get("volumes")?.as_sequence());
    mounts.flatten().filter_map(mount_source).collect()
}

fn mount_source(mount: &Value) -> Option<&str> {
    match mount {
        Value::String(short) => Some(short.split_once(':')?.0),
        long => long.get("source")?.as_str(),
    }
}

/// Lists the volumes of a file that was adopted. They keep the drivers that they have.
pub(super) fn list_volumes(app: &str, compose: &Mapping) -> StackVolumes {
    let mut out = StackVolumes::default();
    let mounted = list_mount_sources(compose);
    for (key, value) in section_entries(compose, "volumes") {
        if let Some(name) = external_volume_name(key, value) {
            // One with a placeholder is another volume for each task.
            if mounted.contains(key) && !name.contains("{{") {
                out.outside.push(name);
            }
            continue;
        }
        let none = Mapping::new();
        let volume = value.as_mapping().unwrap_or(&none);
        let named = volume.get("name").and_then(Value::as_str);
        let name = named.map_or_else(|| format!("{app}_{key}"), str::to_owned);
        let definition = VolumeDefinition::from_volume(&name, volume);
        out.named.push((name, definition.netshare_folder()));
        out.definitions.push(definition);
    }
    out
}

/// Gives a volume the fleet's driver. Returns its folder on the storage node.
fn apply_fleet_driver(
    volume: &mut Mapping,
    storage: &StorageConfig,
    name: &str,
) -> Option<PathBuf> {
    let folder = storage.path.join(name);
    match storage.driver {
        StorageDriver::Local => return None,
        StorageDriver::Nfs => set_nfs_driver(volume, &storage.node, &folder),
        StorageDriver::Shared => set_bind_driver(volume, &folder),
        StorageDriver::Netshare => {
            let share = format!("{}:{}", storage.node, folder.display());
            set_driver(volume, "nfs", [("share", share)]);
        }
    }
    Some(folder)
}

fn set_driver<const N: usize>(volume: &mut Mapping, driver: &str, options: [(&str, String); N]) {
    volume.insert("driver".into(), driver.into());
    let options: Mapping = options
        .into_iter()
        .map(|(k, v)| (k.into(), v.into()))
        .collect();
    volume.insert("driver_opts".into(), options.into());
}

/// Mounts NFS by Docker's local driver. The server is named, as its address may change.
fn set_nfs_driver(volume: &mut Mapping, server: &str, folder: &Path) {
    set_driver(
        volume,
        "local",
        [
            ("type", "nfs".into()),
            ("o", format!("addr={server},rw,hard,nfsvers=4.2")),
            ("device", format!(":{}", folder.display())),
        ],
    );
}

/// A folder that is mounted at the same path on every node.
fn set_bind_driver(volume: &mut Mapping, folder: &Path) {
    set_driver(
        volume,
        "local",
        [
            ("type", "none".into()),
            ("o", "bind".into()),
            ("device", folder.display().to_string()),
        ],
    );
}

/// Returns the folder that a volume's own driver options name.
fn own_driver_folder(volume: &Mapping) -> Option<PathBuf> {
    let device = volume.get("driver_opts")?.get("device")?.as_str()?;
    let path = device.rsplit(':').next()?;
    path.starts_with('/').then(|| PathBuf::from(path))
}

/// A volume of the plugin docker-volume-netshare, as stack files of its time name it.
struct NetshareVolume {
    server: String,
    folder: PathBuf,
}

impl NetshareVolume {
    fn parse(volume: &Mapping, name: &str) -> Option<Self> {
        let definition = VolumeDefinition::from_volume(name, volume);
        let folder = definition.netshare_folder()?;
        let (server, _) = definition.options.get("share")?.split_once(':')?;
        Some(Self {
            server: server.to_owned(),
            folder,
        })
    }

    fn render_volume(
        &self,
        name: &str,
        volume: &mut Mapping,
        storage: &StorageConfig,
        notes: &mut Vec<String>,
    ) -> Option<PathBuf> {
        match storage.driver {
            StorageDriver::Netshare => Some(self.folder.clone()),
            StorageDriver::Nfs => {
                set_nfs_driver(volume, &self.server, &self.folder);
                notes.push(tr!(
                    "the volume {name} leaves the plugin netshare: Docker's own driver serves the same folder {}:{}",
                    self.server,
                    self.folder.display()
                ));
                Some(self.folder.clone())
            }
            StorageDriver::Shared => {
                let folder = storage.path.join(name);
                set_bind_driver(volume, &folder);
                notes.push(tr!(
                    "the volume {name} leaves the plugin netshare: this fleet keeps it in {}",
                    folder.display()
                ));
                Some(folder)
            }
            StorageDriver::Local => {
                volume.remove("driver");
                volume.remove("driver_opts");
                notes.push(tr!(
                    "the volume {name} leaves the plugin netshare: this fleet keeps volumes on their node"
                ));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adopted_stack_has_what_it_mounts_from_outside() {
        let yaml = "services: {web: {volumes: ['kept:/k', 'theirs:/t:ro', {type: volume, source: old, target: /o}, 'each:/e']}}\nvolumes: {kept: {}, theirs: {external: true}, old: {external: {name: older}}, each: {external: true, name: 'each-{{.Task.Slot}}'}, idle: {external: true}, own: {external: false}}";
        let Value::Mapping(mut file) = serde_yaml::from_str(yaml).unwrap() else {
            panic!()
        };
        let names = |volumes: &StackVolumes| {
            let named = volumes.named.iter();
            named.map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let found = list_volumes("shop", &file);
        assert_eq!(names(&found), ["shop_kept", "shop_own"]);
        assert_eq!(found.outside, ["theirs", "older"]);
        // What is outside of any other stack is somebody else's.
        let found = render_volumes(
            "shop",
            &mut file,
            &matou_config::Config::this_machine().storage,
        );
        assert_eq!(names(&found), ["shop_kept", "shop_own"]);
        assert!(found.outside.is_empty());
    }

    /// Its options may be anybody's: only a plain share of the plugin is a folder of the server.
    #[test]
    fn a_netshare_volume_is_a_folder_of_its_share() {
        let folder = |driver: &str, name: &str, options: &[(&str, &str)]| {
            let options = options.iter().map(|(k, v)| ((*k).into(), (*v).into()));
            let volume = VolumeDefinition {
                name: name.into(),
                driver: driver.into(),
                options: options.collect(),
            };
            volume.netshare_folder()
        };
        let share = ("share", "n1:/mnt/data/");
        assert_eq!(
            folder("nfs", "blog_ghost", &[share, ("create", "true")]),
            Some("/mnt/data/blog_ghost".into())
        );
        assert_eq!(folder("nfs", "x", &[share]), Some("/mnt/data".into()));
        assert_eq!(folder("local", "x", &[share]), None);
        assert_eq!(folder("nfs", "x", &[("share", "n1:data")]), None);
        assert_eq!(folder("nfs", "../x", &[share, ("create", "true")]), None);
        assert_eq!(folder("nfs", "x", &[]), None);
    }
}
