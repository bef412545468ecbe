//! Names of what a swarm holds beside services: networks, secrets, configs; and images.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::query_parameters::{ListConfigsOptions, ListNetworksOptions, ListSecretsOptions};

use super::{Docker, DockerError};
use matou_stack::Labels;

/// Services and what they are attached to, in the engine's own JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawServices {
    /// As `GET /services` says them.
    pub services: Vec<serde_json::Value>,
    /// As `GET /networks` says them.
    pub networks: Vec<serde_json::Value>,
}

/// Ids of the networks that services are attached to, each once.
fn list_attached_networks(services: &[serde_json::Value]) -> BTreeSet<String> {
    let attached = |s: &serde_json::Value| {
        let list = s.pointer("/Spec/TaskTemplate/Networks")?.as_array()?;
        let ids = list.iter().filter_map(|n| n.get("Target")?.as_str());
        let is_id = |id: &&str| id.bytes().all(|b| b.is_ascii_alphanumeric());
        Some(ids.filter(is_id).map(str::to_owned).collect::<Vec<_>>())
    };
    services.iter().filter_map(attached).flatten().collect()
}

impl Docker {
    /// Names of all networks.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn list_networks(&self) -> Result<Vec<String>, DockerError> {
        let client = self.bollard_client().await?;
        match client.list_networks(None::<ListNetworksOptions>).await {
            Ok(found) => Ok(found.into_iter().filter_map(|n| n.name).collect()),
            Err(e) => Err(self.error_of_client(e).await),
        }
    }

    /// Names of the networks that `docker stack deploy` made for a stack.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn list_stack_networks(&self, stack: &str) -> Result<Vec<String>, DockerError> {
        let client = self.bollard_client().await?;
        let label = format!("com.docker.stack.namespace={stack}");
        let options = ListNetworksOptions {
            filters: Some(HashMap::from([("label".to_owned(), vec![label])])),
        };
        match client.list_networks(Some(options)).await {
            Ok(found) => Ok(found.into_iter().filter_map(|n| n.name).collect()),
            Err(e) => Err(self.error_of_client(e).await),
        }
    }

    /// Names and labels of all secrets; this engine must be a manager.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn list_secrets(&self) -> Result<BTreeMap<String, Labels>, DockerError> {
        let client = self.bollard_client().await?;
        let found = match client.list_secrets(None::<ListSecretsOptions>).await {
            Ok(found) => found,
            Err(e) => return Err(self.error_of_client(e).await),
        };
        let specs = found.into_iter().filter_map(|s| s.spec);
        Ok(specs
            .filter_map(|s| Some((s.name?, s.labels.unwrap_or_default().into_iter().collect())))
            .collect())
    }

    /// Labels of all configs, by their names; this engine must be a manager.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn list_configs(&self) -> Result<BTreeMap<String, Labels>, DockerError> {
        let client = self.bollard_client().await?;
        let found = match client.list_configs(None::<ListConfigsOptions>).await {
            Ok(found) => found,
            Err(e) => return Err(self.error_of_client(e).await),
        };
        let specs = found.into_iter().filter_map(|c| c.spec);
        Ok(specs
            .filter_map(|s| Some((s.name?, s.labels.unwrap_or_default().into_iter().collect())))
            .collect())
    }

    /// All services and networks as the engine says them, in its own JSON; it must be a manager.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn list_raw_services(&self) -> Result<RawServices, DockerError> {
        let services = self.read_raw("/services").await?;
        let networks = self.read_raw("/networks").await?;
        let services: Vec<serde_json::Value> =
            self.parse_answer(serde_json::from_slice(&services))?;
        let mut networks: Vec<serde_json::Value> =
            self.parse_answer(serde_json::from_slice(&networks))?;
        // The swarm's `host` and `bridge` are in no list.
        for id in list_attached_networks(&services) {
            if networks.iter().all(|n| n["Id"].as_str() != Some(&id)) {
                let found = self.read_raw(&format!("/networks/{id}")).await?;
                networks.push(self.parse_answer(serde_json::from_slice(&found))?);
            }
        }
        Ok(RawServices { services, networks })
    }

    /// Whether this engine holds an image already.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn has_image(&self, image: &str) -> Result<bool, DockerError> {
        let client = self.bollard_client().await?;
        match client.inspect_image(image).await {
            Ok(_) => Ok(true),
            Err(e) => match self.error_of_client(e).await {
                e if e.is_not_found() => Ok(false),
                e => Err(e),
            },
        }
    }

    /// Checks that the image's registry has it, through this engine, as it would pull it.
    ///
    /// # Errors
    /// The registry's or the engine's words.
    pub async fn check_image_in_registry(&self, image: &str) -> Result<(), DockerError> {
        let client = self.bollard_client().await?;
        match client.inspect_registry_image(image, None).await {
            Ok(_) => Ok(()),
            Err(e) => Err(self.error_of_client(e).await),
        }
    }
}
