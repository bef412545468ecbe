//! Configs, secrets and networks that a stack uses and that matou did not make: how they are kept beside the
//! application's own secrets, so that they can be made again where the swarm has lost them.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretBox};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::secrets::{APP_LABEL, SecretStore};
use crate::{FleetContext, OpsError};
use matou_docker::{SwarmFile, SwarmObject, SwarmObjectKind};
use matou_host::Command;
use matou_stack::{Labels, RenderedStack};

/// Label of what `docker stack deploy` made: the stack.
pub(super) const STACK_LABEL: &str = "com.docker.stack.namespace";

/// What is between the name of something and its kind in the name of its file. The rest of the folder is
/// `NAME.vN`.
const FILE_MARK: &str = ".external-";

/// Networks of every engine or swarm, which nobody makes.
const PREDEFINED: [&str; 5] = ["bridge", "host", "ingress", "none", "docker_gwbridge"];

/// Options that the engine gives a network itself.
const OWN_OPTION: &str = "com.docker.network.driver.overlay.vxlanid_list";

/// Something that a stack uses and that matou did not make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct External {
    pub kind: SwarmObjectKind,
    pub name: String,
}

impl fmt::Display for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}

impl External {
    fn new(kind: SwarmObjectKind, name: &str) -> Self {
        let name = name.to_owned();
        Self { kind, name }
    }

    /// Lists what a stack uses and matou does not make. `edge` is the network of the edge, which it makes.
    pub(super) fn list_all(rendered: &RenderedStack, edge: &str) -> Vec<Self> {
        let mut all = Self::list_files(rendered);
        let networks = rendered.networks.iter().map(String::as_str);
        let networks = networks.filter(|name| *name != edge && !PREDEFINED.contains(name));
        all.extend(networks.map(|name| Self::new(SwarmObjectKind::Network, name)));
        all
    }

    /// Lists the configs and secrets among them.
    pub(super) fn list_files(rendered: &RenderedStack) -> Vec<Self> {
        let configs = rendered.external_configs.iter();
        let configs = configs.map(|name| Self::new(SwarmObjectKind::Config, name));
        let secrets = rendered.external_secrets.iter();
        let secrets = secrets.map(|name| Self::new(SwarmObjectKind::Secret, name));
        configs.chain(secrets).collect()
    }

    /// The network of a name.
    pub(super) fn network(name: &str) -> Self {
        Self::new(SwarmObjectKind::Network, name)
    }

    /// The name of the file that it is kept in; `None` for a name that is none for a file.
    pub(super) fn file_name(&self) -> Option<String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let begins_well = self.name.starts_with(|c: char| c.is_ascii_alphanumeric());
        let fits = begins_well && self.name.len() <= 200 && self.name.chars().all(is_plain);
        fits.then(|| format!("{}{FILE_MARK}{}", self.name, self.kind.as_str()))
    }

    /// Returns what is kept of it. `files` is what the store lists.
    ///
    /// # Errors
    /// It can't be read.
    pub(super) async fn read_kept(
        &self,
        store: &SecretStore,
        files: &BTreeMap<String, bool>,
    ) -> Result<Option<KeptExternal>, OpsError> {
        let file = self.file_name();
        let Some(file) = file.filter(|file| files.get(file) == Some(&true)) else {
            return Ok(None);
        };
        let content = store.read_file(&file).await?;
        Ok(KeptExternal::from_bytes(content.expose_secret()))
    }
}

/// What is known of a config, secret or network beside its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ExternalHead {
    /// The application that it is kept for.
    pub app: String,
    /// The swarm's own when it was kept. Under the same id it is the same.
    pub id: String,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// What fills in templates in the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_driver: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<ExternalNetwork>,
}

/// How a network is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ExternalNetwork {
    pub driver: String,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    #[serde(default)]
    pub attachable: bool,
    #[serde(default)]
    pub internal: bool,
    #[serde(default)]
    pub ipv6: bool,
    #[serde(default)]
    pub pools: Vec<AddressPool>,
}

/// Addresses of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AddressPool {
    pub subnet: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
}

impl ExternalHead {
    /// Describes a config or secret of the swarm.
    pub(super) fn of_file(app: &str, found: &SwarmFile) -> Self {
        Self {
            app: app.to_owned(),
            id: found.id.clone(),
            labels: found.labels.clone(),
            template_driver: found.template_driver.clone(),
            network: None,
        }
    }

    /// Describes a network, as `GET /networks` says it. `None` for one that is a node's own.
    pub(super) fn of_network(app: &str, found: &Json) -> Option<Self> {
        let text = |value: &Json, key: &str| {
            let text = value.get(key).and_then(Json::as_str);
            text.filter(|t| !t.is_empty()).map(str::to_owned)
        };
        let flag = |key: &str| found.get(key).and_then(Json::as_bool).unwrap_or(false);
        let map = |key: &str| -> BTreeMap<String, String> {
            let map = found.get(key).and_then(Json::as_object);
            let pairs = map.into_iter().flatten();
            pairs
                .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
                .collect()
        };
        if text(found, "Scope").as_deref() != Some("swarm") {
            return None;
        }
        let mut options = map("Options");
        options.remove(OWN_OPTION);
        let pools = found.pointer("/IPAM/Config").and_then(Json::as_array);
        let pools = pools.into_iter().flatten().filter_map(|pool| {
            Some(AddressPool {
                subnet: text(pool, "Subnet")?,
                gateway: text(pool, "Gateway"),
                range: text(pool, "IPRange"),
            })
        });
        Some(Self {
            app: app.to_owned(),
            id: text(found, "Id")?,
            labels: map("Labels"),
            template_driver: None,
            network: Some(ExternalNetwork {
                driver: text(found, "Driver")?,
                options,
                attachable: flag("Attachable"),
                internal: flag("Internal"),
                ipv6: flag("EnableIPv6"),
                pools: pools.collect(),
            }),
        })
    }

    /// The labels that it gets where it is made again for `app`. Under another name than the one that it was
    /// kept for, it goes with the copy.
    fn labels_for(&self, app: &str) -> Labels {
        let mut labels = self.labels.clone();
        if self.app != app {
            labels.remove(STACK_LABEL);
            labels.insert(APP_LABEL.to_owned(), app.to_owned());
        }
        labels
    }

    /// The command that makes the config or secret, without its name.
    pub(super) fn file_command(&self, kind: SwarmObjectKind, app: &str) -> Command {
        let mut create = Command::new("docker").args([kind.as_str(), "create"]);
        for (key, value) in self.labels_for(app) {
            create = create.arg("--label").arg(format!("{key}={value}"));
        }
        if let Some(driver) = &self.template_driver {
            create = create.arg("--template-driver").arg(driver);
        }
        create
    }

    /// The command that makes the network, with its addresses or with those that the engine chooses; `None` where it
    /// is no network.
    pub(super) fn network_command(
        &self,
        name: &str,
        app: &str,
        with_addresses: bool,
    ) -> Option<Command> {
        let network = self.network.as_ref()?;
        let mut create = Command::new("docker").args(["network", "create", "--driver"]);
        create = create.arg(&network.driver);
        for (flag, is_set) in [
            ("--attachable", network.attachable),
            ("--internal", network.internal),
            ("--ipv6", network.ipv6),
        ] {
            create = create.args(is_set.then_some(flag));
        }
        for (key, value) in &network.options {
            create = create.arg("--opt").arg(format!("{key}={value}"));
        }
        for (key, value) in self.labels_for(app) {
            create = create.arg("--label").arg(format!("{key}={value}"));
        }
        for pool in network.pools.iter().filter(|_| with_addresses) {
            create = create.arg("--subnet").arg(&pool.subnet);
            for (flag, value) in [("--gateway", &pool.gateway), ("--ip-range", &pool.range)] {
                if let Some(value) = value {
                    create = create.arg(flag).arg(value);
                }
            }
        }
        Some(create.args(["--", name]).sudo())
    }
}

/// What is kept of a config, secret or network.
pub(super) struct KeptExternal {
    pub head: ExternalHead,
    /// Nothing of a network.
    pub content: SecretBox<Vec<u8>>,
}

impl KeptExternal {
    pub(super) fn new(head: ExternalHead, content: Vec<u8>) -> Self {
        let content = SecretBox::new(Box::new(content));
        Self { head, content }
    }

    /// Writes it as a file: a line of JSON, and the content as it is.
    pub(super) fn to_bytes(&self) -> SecretBox<Vec<u8>> {
        let mut bytes = serde_json::to_vec(&self.head).unwrap_or_default();
        bytes.push(b'\n');
        bytes.reserve_exact(self.content.expose_secret().len());
        bytes.extend_from_slice(self.content.expose_secret());
        SecretBox::new(Box::new(bytes))
    }

    /// Reads what [`KeptExternal::to_bytes`] wrote; `None` for anything else.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|b| *b == b'\n')?;
        let head = serde_json::from_slice(&bytes[..end]).ok()?;
        Some(Self::new(head, bytes[end + 1..].to_vec()))
    }
}

/// Whether anything is kept of what an application uses and matou did not make.
///
/// # Errors
/// The storage node can't be asked.
pub(crate) async fn has_kept_externals(fleet: &FleetContext, app: &str) -> Result<bool, OpsError> {
    let files = SecretStore::open(fleet, app)?.list_files().await?;
    let mut filled = files.iter().filter(|(_, is_filled)| **is_filled);
    Ok(filled.any(|(file, _)| file.contains(FILE_MARK)))
}

/// Whether a stack uses something that matou does not make.
pub(crate) fn uses_externals(rendered: &RenderedStack, fleet: &FleetContext) -> bool {
    !External::list_all(rendered, &fleet.config.edge.network).is_empty()
}

/// Whether what is kept for an application is this config or secret, as it is.
///
/// # Errors
/// The storage node can't be asked.
pub(crate) async fn is_kept(store: &SecretStore, object: &SwarmObject) -> Result<bool, OpsError> {
    let external = External::new(object.kind, &object.name);
    let kept = external
        .read_kept(store, &store.list_files().await?)
        .await?;
    Ok(kept.is_some_and(|kept| kept.head.id == object.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret_head() -> ExternalHead {
        ExternalHead {
            app: "shop".into(),
            id: "s1".into(),
            labels: [(STACK_LABEL.to_owned(), "shop".to_owned())].into(),
            ..ExternalHead::default()
        }
    }

    #[test]
    fn a_content_is_kept_byte_by_byte() {
        let content = b"\n\xff{}\0\n".to_vec();
        let kept = KeptExternal::new(secret_head(), content.clone());
        let read = KeptExternal::from_bytes(kept.to_bytes().expose_secret()).unwrap();
        assert_eq!(read.head, secret_head());
        assert_eq!(*read.content.expose_secret(), content);
        assert!(KeptExternal::from_bytes(b"no head").is_none());
        assert!(KeptExternal::from_bytes(b"no head\nx").is_none());
    }

    #[test]
    fn a_file_is_named_by_what_it_holds_and_goes_for_no_secret_of_matou() {
        let file = |kind, name: &str| External::new(kind, name).file_name();
        assert_eq!(
            file(SwarmObjectKind::Secret, "word.v1").as_deref(),
            Some("word.v1.external-secret")
        );
        assert_eq!(
            file(SwarmObjectKind::Network, "a_b-c").as_deref(),
            Some("a_b-c.external-network")
        );
        for name in ["../x", "", ".x", "a/b", "a b", "é"] {
            assert_eq!(file(SwarmObjectKind::Network, name), None, "{name}");
        }
        let name = file(SwarmObjectKind::Config, "x.v2").unwrap();
        let version = name.rsplit_once(".v").unwrap().1.parse::<u32>();
        assert!(version.is_err());
    }

    #[test]
    fn a_copy_under_another_name_marks_what_it_makes_as_its_own() {
        let head = secret_head();
        let same = head.file_command(SwarmObjectKind::Secret, "shop");
        assert!(same.to_string().contains("com.docker.stack.namespace=shop"));
        let copy = head.file_command(SwarmObjectKind::Secret, "shop2");
        let copy = copy.to_string();
        assert!(copy.contains("org.matou.app=shop2") && !copy.contains(STACK_LABEL));
    }

    #[test]
    fn a_network_is_made_as_it_was() {
        let found = serde_json::json!({
            "Name": "proxy", "Id": "n1", "Scope": "swarm", "Driver": "overlay", "EnableIPv6": false,
            "IPAM": {"Driver": "default", "Options": null, "Config": [
                {"Subnet": "10.77.0.0/24", "IPRange": "", "Gateway": "10.77.0.1"}]},
            "Internal": false, "Attachable": true, "Ingress": false, "Labels": null,
            "Options": {"com.docker.network.driver.overlay.vxlanid_list": "4097", "encrypted": ""},
        });
        let head = ExternalHead::of_network("shop", &found).unwrap();
        let made = |with| head.network_command("proxy", "shop", with).unwrap();
        let line = made(true).to_string().replace('\'', "");
        let end = "docker network create --driver overlay --attachable --opt encrypted= --subnet 10.77.0.0/24 --gateway 10.77.0.1 -- proxy";
        assert!(line.contains(end), "{line}");
        assert!(!made(false).to_string().contains("10.77"));
        let of_node =
            serde_json::json!({"Name": "x", "Id": "1", "Scope": "local", "Driver": "bridge"});
        assert_eq!(ExternalHead::of_network("shop", &of_node), None);
        assert!(secret_head().network_command("x", "shop", true).is_none());
    }
}
