//! What a manager's engine knows of the swarm, and how it is changed.

use serde_json::Value;

use super::outdated::find_outdated_tasks;
use super::raw::RawObjectKind;
use super::{Docker, DockerError, RawSpec, convert};
use matou_model::Swarm;

/// A description of a service, to be read only: it lacks what bollard does not know.
pub type ServiceSpec = bollard::models::ServiceSpec;

/// The registry's login stays as it is, as with `docker service update`.
const SAME_LOGIN: &str = "&registryAuthFrom=spec";

/// Where the number of a service's tasks is; the engine knows it of replicated services.
const REPLICATED: [&str; 2] = ["Mode", "Replicated"];

impl Docker {
    /// Whether this engine answers as a manager of a swarm.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn ping_manager(&self) -> Result<(), DockerError> {
        // The first client may be one of a connection that was lost and is there again.
        let mut again = true;
        loop {
            match self.read_raw("/swarm").await {
                Ok(_) => return Ok(()),
                Err(DockerError::NoEngine { .. } | DockerError::Host(_))
                    if std::mem::take(&mut again) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Nodes, services and tasks.
    ///
    /// # Errors
    /// When the engine can't be asked, or refuses.
    pub async fn query_swarm(&self) -> Result<Swarm, DockerError> {
        let (nodes, services, tasks) = tokio::try_join!(
            self.read_raw("/nodes"),
            self.read_raw("/services?status=true"),
            self.read_raw("/tasks"),
        )?;
        let nodes: Vec<bollard::models::Node> =
            self.parse_answer(serde_json::from_slice(&nodes))?;
        let nodes: Vec<_> = nodes.into_iter().map(convert::convert_node).collect();
        let outdated = self.parse_answer(find_outdated_tasks(&services, &tasks, &nodes))?;
        let services = self.parse_answer(serde_json::from_slice(&services))?;
        let tasks = self.parse_answer(serde_json::from_slice(&tasks))?;
        Ok(convert::convert_swarm(nodes, services, tasks, &outdated))
    }

    /// Reads a service's description, lets `change` alter it, and writes it back; the rest stays as
    /// the engine said it. Tries again on a fresh description when somebody else changed it
    /// meanwhile, or the managers had no leader. `change` returns false for "nothing to do".
    ///
    /// # Errors
    /// What the engine refuses, in its words; [`DockerError::is_not_found`] when there is no such service.
    pub async fn update_service(
        &self,
        name: &str,
        change: impl FnMut(&mut RawSpec) -> bool,
    ) -> Result<(), DockerError> {
        self.update_object(RawObjectKind::Service, name, SAME_LOGIN, change)
            .await
    }

    /// A service's description, to be read.
    ///
    /// # Errors
    /// What the engine refuses, in its words; [`DockerError::is_not_found`] when there is no such service.
    pub async fn query_service_spec(&self, name: &str) -> Result<ServiceSpec, DockerError> {
        let client = self.bollard_client().await?;
        match client.inspect_service(name, None).await {
            Ok(service) => Ok(service.spec.unwrap_or_default()),
            Err(e) => Err(self.error_of_client(e).await),
        }
    }

    /// Sets how many tasks a replicated service runs.
    ///
    /// # Errors
    /// What the engine refuses, in its words; when the service is not a replicated one.
    pub async fn scale_service(&self, service: &str, replicas: u64) -> Result<(), DockerError> {
        let mut scales = true;
        let change = |spec: &mut RawSpec| {
            scales = spec.get(&REPLICATED).is_some();
            let place = [&REPLICATED[..], &["Replicas"]].concat();
            if !scales || spec.get(&place).and_then(Value::as_u64) == Some(replicas) {
                return false;
            }
            *spec.value_mut(&place) = replicas.into();
            true
        };
        self.update_service(service, change).await?;
        match scales {
            true => Ok(()),
            false => Err(DockerError::Other {
                node: self.node_name(),
                reason: format!("{service} is not a replicated service, it can't be scaled"),
            }),
        }
    }

    /// Replaces every task of a service, by its update policy.
    ///
    /// # Errors
    /// What the engine refuses, in its words; that it gives no answer.
    pub async fn restart_service(&self, service: &str) -> Result<(), DockerError> {
        self.update_service(service, |spec| {
            let place = ["TaskTemplate", "ForceUpdate"];
            let before = spec.get(&place).and_then(Value::as_u64).unwrap_or(0);
            *spec.value_mut(&place) = before.wrapping_add(1).into();
            true
        })
        .await
    }

    /// The image that a service had before its last update; `None` when it was never updated.
    ///
    /// # Errors
    /// What the engine refuses, in its words; that it gives no answer.
    pub async fn query_previous_image(&self, service: &str) -> Result<Option<String>, DockerError> {
        let found = self.read_object(RawObjectKind::Service, service).await?;
        let image = found.previous.as_ref().map(|spec| {
            let image = &spec["TaskTemplate"]["ContainerSpec"]["Image"];
            image.as_str().unwrap_or_default().to_owned()
        });
        Ok(image)
    }

    /// Takes a service back to its previous description. Not tried again: a second rollback would
    /// undo the first.
    ///
    /// # Errors
    /// What the engine refuses, in its words; that it gives no answer.
    pub async fn roll_back_service(&self, service: &str) -> Result<(), DockerError> {
        let query = format!("{SAME_LOGIN}&rollback=previous");
        self.update_object_once(RawObjectKind::Service, service, &query, &mut |_| true)
            .await
    }
}
