//! Where matou keeps what it knows of volumes on the storage node.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use matou_config::{Config, NodeConnection};
use matou_stack::VolumeDefinition;

/// matou's own folder on the storage node: `secrets/APP`, `dumps/APP`, `fleet`.
pub fn matou_folder(config: &Config) -> PathBuf {
    config.storage.path.join(".matou")
}

/// A volume and the folder of the storage node that holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeFolder {
    /// As the engine names it.
    pub name: String,
    /// Path on the storage node.
    pub folder: PathBuf,
    /// The node that has it, when that is another one: `folder` is a copy then, which is made anew before
    /// each snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<VolumeElsewhere>,
    /// How it was made, where the application's stack does not say that: it mounts it from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<VolumeDriver>,
}

impl VolumeFolder {
    /// One that the storage node has itself.
    pub fn here(name: &str, folder: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            folder,
            elsewhere: None,
            outside: None,
        }
    }
}

/// How a volume was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeDriver {
    /// `local`, or a plugin.
    pub name: String,
    /// Its options.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

impl VolumeDriver {
    /// What an engine takes for a volume that is named and was never made.
    pub fn plain_local() -> Self {
        Self {
            name: "local".to_owned(),
            options: BTreeMap::new(),
        }
    }

    /// The folder that a volume of netshare, or of the local driver, is another name for. `volume` is its name.
    pub fn shared_folder(&self, volume: &str) -> Option<PathBuf> {
        let definition = VolumeDefinition {
            name: volume.to_owned(),
            driver: self.name.clone(),
            options: self.options.clone(),
        };
        if let Some(folder) = definition.netshare_folder() {
            return Some(folder);
        }
        let device = self.options.get("device")?.rsplit(':').next()?;
        device.starts_with('/').then(|| device.into())
    }

    /// The same, where it is a folder of the storage node: what lies on a server of somebody else, on a disk or on
    /// another node's own disk is none, whatever the storage node has at that path. `is_there`: the storage node has
    /// the volume itself.
    pub fn storage_folder(&self, volume: &str, config: &Config, is_there: bool) -> Option<PathBuf> {
        let folder = self.shared_folder(volume)?;
        if self.name != "local" {
            return Some(folder);
        }
        let option = |name: &str| self.options.get(name).map_or("", String::as_str);
        let is_ours = match option("type") {
            "nfs" | "nfs4" => match option("o").split(',').find_map(|o| o.strip_prefix("addr=")) {
                Some(address) => is_storage_node(address, config),
                None => true,
            },
            "" | "none" | "bind" => is_there || folder.starts_with(&config.storage.path),
            _ => false,
        };
        let is_device = folder.starts_with("/dev") || option("device").starts_with("//");
        (is_ours && !is_device).then_some(folder)
    }
}

/// Whether an address of a volume's options is the storage node's, by one of the names that config.toml has for it.
fn is_storage_node(address: &str, config: &Config) -> bool {
    let storage = config.nodes.iter().find(|n| n.name == config.storage.node);
    storage.is_some_and(|node| {
        let reach = match &node.reach {
            NodeConnection::Ssh(options) => Some(options.address.as_str()),
            NodeConnection::Local => None,
        };
        node.name == address || reach == Some(address) || node.advertise.as_deref() == Some(address)
    })
}

/// Where the data of a volume is that the storage node does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeElsewhere {
    /// As config.toml names it.
    pub node: String,
    /// Path there.
    pub folder: PathBuf,
}

/// Where the storage node has its copy of a volume of another node: `data`, and what it was made of.
pub fn volume_copy_folder(config: &Config, app: &str, node: &str, volume: &str) -> PathBuf {
    let copies = matou_folder(config).join("volumes").join(app);
    copies.join(node).join(volume)
}
