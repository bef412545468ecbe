//! Configs and secrets, with all that is needed to make them again.

use std::collections::{BTreeMap, HashMap};

use bollard::query_parameters::{ListConfigsOptions, ListSecretsOptions};

use super::{Docker, DockerError};
use matou_stack::Labels;

/// A config or a secret, as the swarm has it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SwarmFile {
    /// The swarm's own.
    pub id: String,
    /// Of whoever made it.
    pub labels: Labels,
    /// What fills in templates in its content, for each container.
    pub template_driver: Option<String>,
    /// Whether a plugin has the value, and the swarm none.
    pub is_of_plugin: bool,
    /// Its content in base64; the engine says that of configs alone.
    pub data: Option<String>,
}

fn sort_labels(labels: Option<HashMap<String, String>>) -> Labels {
    labels.unwrap_or_default().into_iter().collect()
}

impl Docker {
    /// All configs by their names, with their contents; this engine must be a manager.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn read_configs(&self) -> Result<BTreeMap<String, SwarmFile>, DockerError> {
        let client = self.bollard_client().await?;
        let found = match client.list_configs(None::<ListConfigsOptions>).await {
            Ok(found) => found,
            Err(e) => return Err(self.error_of_client(e).await),
        };
        let configs = found.into_iter().filter_map(|config| {
            let spec = config.spec?;
            let file = SwarmFile {
                id: config.id?,
                labels: sort_labels(spec.labels),
                template_driver: spec.templating.map(|driver| driver.name),
                is_of_plugin: false,
                data: spec.data,
            };
            Some((spec.name?, file))
        });
        Ok(configs.collect())
    }

    /// All secrets by their names, without their values; this engine must be a manager.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn read_secrets(&self) -> Result<BTreeMap<String, SwarmFile>, DockerError> {
        let client = self.bollard_client().await?;
        let found = match client.list_secrets(None::<ListSecretsOptions>).await {
            Ok(found) => found,
            Err(e) => return Err(self.error_of_client(e).await),
        };
        let secrets = found.into_iter().filter_map(|secret| {
            let spec = secret.spec?;
            let file = SwarmFile {
                id: secret.id?,
                labels: sort_labels(spec.labels),
                template_driver: spec.templating.map(|driver| driver.name),
                is_of_plugin: spec.driver.is_some_and(|driver| !driver.name.is_empty()),
                data: None,
            };
            Some((spec.name?, file))
        });
        Ok(secrets.collect())
    }
}
