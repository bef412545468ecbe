//! What a manager's engine knows of the swarm, and how it is changed.

use bollard::models::ServiceSpecModeReplicated;
use bollard::query_parameters::{
    ListNodesOptions, ListServicesOptions, ListTasksOptions, UpdateServiceOptions,
};

use super::{Docker, DockerError, convert};
use crate::model::Swarm;

/// The engine's own description of a service.
pub type ServiceSpec = bollard::models::ServiceSpec;

/// How often a change is tried again on a fresh description when somebody else was faster.
const SEQUENCE_RETRIES: usize = 5;

/// How often it is when the managers have no leader: an election takes a few seconds.
const LEADER_RETRIES: usize = 15;

/// Whether a change that failed is worth another try now; waits where time mends it.
pub(super) async fn again(error: &DockerError, tries: &mut usize) -> bool {
    *tries += 1;
    if error.is_without_leader() && *tries <= LEADER_RETRIES {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        return true;
    }
    error.is_out_of_sequence() && *tries <= SEQUENCE_RETRIES
}

impl Docker {
    /// Whether this engine answers as a manager of a swarm.
    pub async fn ping_manager(&self) -> Result<(), DockerError> {
        // The first client may be one of a connection that was lost and is there again.
        let mut again = true;
        loop {
            let client = self.client().await?;
            let Err(e) = client.inspect_swarm().await else {
                return Ok(());
            };
            match self.failed(e).await {
                DockerError::NoEngine { .. } if std::mem::take(&mut again) => {}
                error => return Err(error),
            }
        }
    }

    /// Nodes, services and tasks.
    pub async fn swarm(&self) -> Result<Swarm, DockerError> {
        let client = self.client().await?;
        let services = ListServicesOptions {
            status: Some(true),
            ..Default::default()
        };
        let read = tokio::try_join!(
            client.list_nodes(None::<ListNodesOptions>),
            client.list_services(Some(services)),
            client.list_tasks(None::<ListTasksOptions>),
        );
        match read {
            Ok((nodes, services, tasks)) => Ok(convert::swarm(nodes, services, tasks)),
            Err(e) => Err(self.failed(e).await),
        }
    }

    /// Reads a service's description, lets `change` alter it, and writes it back; once more on a
    /// fresh one when somebody else changed it meanwhile, or the managers had no leader. `change`
    /// answers false for "nothing to do".
    ///
    /// # Errors
    /// The engine's words; [`DockerError::is_not_found`] when there is no such service.
    pub async fn update_service(
        &self,
        name: &str,
        change: impl Fn(&mut ServiceSpec) -> bool,
    ) -> Result<(), DockerError> {
        let mut tries = 0;
        loop {
            let client = self.client().await?;
            let service = match client.inspect_service(name, None).await {
                Ok(service) => service,
                Err(e) => {
                    let error = self.failed(e).await;
                    match again(&error, &mut tries).await {
                        true => continue,
                        false => return Err(error),
                    }
                }
            };
            let mut spec = service.spec.unwrap_or_default();
            if !change(&mut spec) {
                return Ok(());
            }
            let options = UpdateServiceOptions {
                version: service.version.and_then(|v| v.index).unwrap_or(0) as i32,
                ..Default::default()
            };
            let Err(e) = client.update_service(name, spec, options, None).await else {
                return Ok(());
            };
            let error = self.failed(e).await;
            if !again(&error, &mut tries).await {
                return Err(error);
            }
        }
    }

    /// A service's description, in the engine's own words.
    ///
    /// # Errors
    /// The engine's words; [`DockerError::is_not_found`] when there is no such service.
    pub async fn service_spec(&self, name: &str) -> Result<ServiceSpec, DockerError> {
        let client = self.client().await?;
        match client.inspect_service(name, None).await {
            Ok(service) => Ok(service.spec.unwrap_or_default()),
            Err(e) => Err(self.failed(e).await),
        }
    }

    /// Sets how many tasks a replicated service runs.
    pub async fn scale(&self, service: &str, replicas: u64) -> Result<(), DockerError> {
        self.update_service(service, |spec| {
            let Some(mode) = spec.mode.as_mut() else {
                return false;
            };
            let wanted = Some(replicas as i64);
            if mode.replicated.as_ref().map(|r| r.replicas) == Some(wanted) {
                return false;
            }
            mode.replicated = Some(ServiceSpecModeReplicated { replicas: wanted });
            true
        })
        .await
    }

    /// Replaces every task of a service, by its update policy.
    pub async fn restart(&self, service: &str) -> Result<(), DockerError> {
        self.update_service(service, |spec| {
            let Some(template) = spec.task_template.as_mut() else {
                return false;
            };
            template.force_update = Some(template.force_update.unwrap_or(0) + 1);
            true
        })
        .await
    }

    /// Takes a service back to its previous description.
    pub async fn rollback(&self, service: &str) -> Result<(), DockerError> {
        let client = self.client().await?;
        let found = match client.inspect_service(service, None).await {
            Ok(found) => found,
            Err(e) => return Err(self.failed(e).await),
        };
        let options = UpdateServiceOptions {
            version: found.version.and_then(|v| v.index).unwrap_or(0) as i32,
            rollback: Some("previous".into()),
            ..Default::default()
        };
        let spec = found.spec.unwrap_or_default();
        match client.update_service(service, spec, options, None).await {
            Ok(_) => Ok(()),
            Err(e) => Err(self.failed(e).await),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &str) -> DockerError {
        DockerError::Api {
            node: "n1".into(),
            status: 500,
            message: message.into(),
        }
    }

    /// The first are an engine's own words, when another manager was restarted.
    #[tokio::test]
    async fn a_change_is_tried_again_where_that_helps() {
        let led = said(
            "rpc error: code = Unknown desc = raft: failed to process the request: node lost leader status",
        );
        let mut tries = LEADER_RETRIES - 1;
        assert!(again(&led, &mut tries).await);
        assert!(!again(&led, &mut tries).await);
        let faster = said("rpc error: code = Unknown desc = update out of sequence");
        let mut tries = 0;
        while again(&faster, &mut tries).await {}
        assert_eq!(tries, SEQUENCE_RETRIES + 1);
        assert!(!again(&said("no such image"), &mut 0).await);
    }
}
