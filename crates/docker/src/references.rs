//! What services refer to: configs, secrets, networks; now, and before their last update.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use bollard::query_parameters::{ListConfigsOptions, ListNetworksOptions, ListSecretsOptions};
use serde_json::Value;

use super::convert::STACK_LABEL;
use super::{Docker, DockerError};
use matou_stack::Labels;

/// What a swarm holds beside services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SwarmObjectKind {
    /// A file that is no secret.
    Config,
    /// A file whose content the engine gives to containers alone.
    Secret,
    /// A network over all nodes.
    Network,
}

impl SwarmObjectKind {
    /// The word of docker's command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Secret => "secret",
            Self::Network => "network",
        }
    }
}

/// A config, secret or network of the swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwarmObject {
    /// What it is.
    pub kind: SwarmObjectKind,
    /// The swarm's own.
    pub id: String,
    /// By which it was made.
    pub name: String,
    /// Of whoever made it.
    pub labels: Labels,
}

impl SwarmObject {
    /// The stack that made it, from its labels.
    pub fn stack(&self) -> Option<&str> {
        self.labels.get(STACK_LABEL).map(String::as_str)
    }
}

impl fmt::Display for SwarmObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}

/// What one description of a service refers to, by id or name.
#[derive(Debug, Default)]
struct SpecReferences(BTreeSet<(SwarmObjectKind, String)>);

impl SpecReferences {
    fn of_spec(spec: &Value) -> Self {
        let mut found = BTreeSet::new();
        let template = &spec["TaskTemplate"];
        let container = &template["ContainerSpec"];
        let (config, secret) = (SwarmObjectKind::Config, SwarmObjectKind::Secret);
        let network = SwarmObjectKind::Network;
        let lists = [
            (config, &container["Configs"], ["ConfigID", "ConfigName"]),
            (secret, &container["Secrets"], ["SecretID", "SecretName"]),
            (network, &template["Networks"], ["Target", "Target"]),
            // Where clients of before 1.29 of the API wrote them.
            (network, &spec["Networks"], ["Target", "Target"]),
        ];
        for (kind, list, keys) in lists {
            for entry in list.as_array().into_iter().flatten() {
                let texts = keys.iter().filter_map(|key| entry[*key].as_str());
                found.extend(texts.map(|text| (kind, text.to_owned())));
            }
        }
        let credentials = &container["Privileges"]["CredentialSpec"]["Config"];
        found.extend(credentials.as_str().map(|id| (config, id.to_owned())));
        Self(found)
    }

    fn has(&self, object: &SwarmObject) -> bool {
        let has = |text: &String| self.0.contains(&(object.kind, text.clone()));
        has(&object.id) || has(&object.name)
    }
}

/// What the services of a swarm refer to.
#[derive(Debug, Default)]
pub struct ObjectReferences {
    /// Stack of the service, what it is, and what it was before its last update.
    services: Vec<(Option<String>, SpecReferences, SpecReferences)>,
}

impl ObjectReferences {
    /// Reads the engine's list of services.
    ///
    /// # Errors
    /// It is no such list.
    pub fn from_services(list: &[u8]) -> serde_json::Result<Self> {
        let services: Vec<Value> = serde_json::from_slice(list)?;
        let references = services.iter().map(|service| {
            let stack = service["Spec"]["Labels"][STACK_LABEL].as_str();
            let now = SpecReferences::of_spec(&service["Spec"]);
            let before = SpecReferences::of_spec(&service["PreviousSpec"]);
            (stack.map(str::to_owned), now, before)
        });
        Ok(Self {
            services: references.collect(),
        })
    }

    /// Whether a service refers to it, those of the stack `without` left aside.
    pub fn is_referred_to_now(&self, object: &SwarmObject, without: Option<&str>) -> bool {
        self.others(without).any(|(_, now, _)| now.has(object))
    }

    /// Whether a service did before its last update, those of the stack `without` left aside.
    pub fn was_referred_to_before(&self, object: &SwarmObject, without: Option<&str>) -> bool {
        self.others(without).any(|(.., before)| before.has(object))
    }

    fn others<'a>(
        &'a self,
        without: Option<&'a str>,
    ) -> impl Iterator<Item = &'a (Option<String>, SpecReferences, SpecReferences)> {
        let services = self.services.iter();
        services.filter(move |(stack, ..)| without.is_none() || stack.as_deref() != without)
    }
}

impl Docker {
    /// What the services refer to; this engine must be a manager.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn list_object_references(&self) -> Result<ObjectReferences, DockerError> {
        let services = self.read_raw("/services").await?;
        self.parse_answer(ObjectReferences::from_services(&services))
    }

    /// All configs, secrets and networks of the swarm; this engine must be a manager.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn list_swarm_objects(&self) -> Result<Vec<SwarmObject>, DockerError> {
        let client = self.bollard_client().await?;
        let of_swarm = ListNetworksOptions {
            filters: Some(HashMap::from([(
                "scope".to_owned(),
                vec!["swarm".to_owned()],
            )])),
        };
        let listed = tokio::try_join!(
            client.list_configs(None::<ListConfigsOptions>),
            client.list_secrets(None::<ListSecretsOptions>),
            client.list_networks(Some(of_swarm)),
        );
        let (configs, secrets, networks) = match listed {
            Ok(listed) => listed,
            Err(e) => return Err(self.error_of_client(e).await),
        };
        let configs = configs.into_iter().map(|c| {
            let spec = c.spec.unwrap_or_default();
            (SwarmObjectKind::Config, c.id, spec.name, spec.labels)
        });
        let secrets = secrets.into_iter().map(|s| {
            let spec = s.spec.unwrap_or_default();
            (SwarmObjectKind::Secret, s.id, spec.name, spec.labels)
        });
        let networks = networks.into_iter();
        let networks = networks.map(|n| (SwarmObjectKind::Network, n.id, n.name, n.labels));
        let all = configs.chain(secrets).chain(networks);
        Ok(all
            .filter_map(|(kind, id, name, labels)| {
                Some(SwarmObject {
                    kind,
                    id: id?,
                    name: name?,
                    labels: labels.unwrap_or_default().into_iter().collect(),
                })
            })
            .collect())
    }
}
