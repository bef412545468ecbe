//! What a manager's engine knows of the swarm, and how it is changed.

use matou_i18n::tr;
use serde_json::Value;

use super::outdated::find_outdated_tasks;
use super::raw::RawObjectKind;
use super::{Docker, DockerError, RawSpec, convert};
use matou_model::Swarm;

/// A description of a service, to be read only: it lacks what bollard does not know.
pub type ServiceSpec = bollard::models::ServiceSpec;

/// The registry's login stays as it is, as with `docker service update`.
const SAME_LOGIN: &str = "&registryAuthFrom=spec";

/// Where the number of a service's tasks is; the engine knows it of replicated services and jobs.
const REPLICAS: [&str; 3] = ["Mode", "Replicated", "Replicas"];
const COMPLETIONS: [&str; 3] = ["Mode", "ReplicatedJob", "TotalCompletions"];
const CONCURRENT: [&str; 3] = ["Mode", "ReplicatedJob", "MaxConcurrent"];

/// Writes another number of tasks into a service's description. Returns whether that is a change;
/// `None` for a service that has no number.
fn scale_spec(spec: &mut RawSpec, wanted: u64) -> Option<bool> {
    let number = |spec: &RawSpec, place: &[&str]| spec.get(place).and_then(Value::as_u64);
    if spec.get(&REPLICAS[..2]).is_some() {
        let changes = number(spec, &REPLICAS) != Some(wanted);
        if changes {
            *spec.value_mut(&REPLICAS) = wanted.into();
        }
        return Some(changes);
    }
    spec.get(&COMPLETIONS[..2])?;
    let (total, concurrent) = (number(spec, &COMPLETIONS), number(spec, &CONCURRENT));
    if total.or(concurrent) == Some(wanted) {
        return Some(false);
    }
    // `docker stack deploy` makes both of `replicas`.
    if total.is_none() || total == concurrent {
        *spec.value_mut(&CONCURRENT) = wanted.into();
    }
    *spec.value_mut(&COMPLETIONS) = wanted.into();
    Some(true)
}

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

    /// Sets how many tasks a replicated service runs; of a replicated job: how many completions it
    /// wants, and as many at once where that was all of them. The job begins anew.
    ///
    /// # Errors
    /// What the engine refuses, in its words; when the service is neither.
    pub async fn scale_service(&self, service: &str, replicas: u64) -> Result<(), DockerError> {
        let mut scales = true;
        let change = |spec: &mut RawSpec| match scale_spec(spec, replicas) {
            Some(changed) => changed,
            None => {
                scales = false;
                false
            }
        };
        self.update_service(service, change).await?;
        match scales {
            true => Ok(()),
            false => Err(DockerError::Other {
                node: self.node_name(),
                reason: tr!("{service} is not a replicated service, it can't be scaled"),
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

    /// The descriptions of a service as it is and as it was before its last update, as the engine gives
    /// them; `None` when it was never updated.
    ///
    /// # Errors
    /// What the engine refuses, in its words; that it gives no answer.
    pub async fn query_previous_spec(
        &self,
        service: &str,
    ) -> Result<Option<(Value, Value)>, DockerError> {
        let found = self.read_object(RawObjectKind::Service, service).await?;
        Ok(found.previous.map(|previous| (found.spec, previous)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_writes_the_number_that_the_mode_has() {
        let scaled = |mode: &str| {
            let mut spec = RawSpec::from_text(&format!(r#"{{"Mode":{mode}}}"#));
            let changed = scale_spec(&mut spec, 5);
            (changed, spec.get(&["Mode"]).unwrap().to_string())
        };
        let cases = [
            (
                r#"{"Replicated":{"Replicas":2}}"#,
                Some(true),
                r#"{"Replicated":{"Replicas":5}}"#,
            ),
            (
                r#"{"Replicated":{"Replicas":5}}"#,
                Some(false),
                r#"{"Replicated":{"Replicas":5}}"#,
            ),
            (
                r#"{"ReplicatedJob":{"MaxConcurrent":3,"TotalCompletions":3}}"#,
                Some(true),
                r#"{"ReplicatedJob":{"MaxConcurrent":5,"TotalCompletions":5}}"#,
            ),
            // How many run at once was chosen.
            (
                r#"{"ReplicatedJob":{"MaxConcurrent":1,"TotalCompletions":3}}"#,
                Some(true),
                r#"{"ReplicatedJob":{"MaxConcurrent":1,"TotalCompletions":5}}"#,
            ),
            (r#"{"GlobalJob":{}}"#, None, r#"{"GlobalJob":{}}"#),
            (r#"{"Global":{}}"#, None, r#"{"Global":{}}"#),
        ];
        for (before, changed, after) in cases {
            assert_eq!(scaled(before), (changed, after.to_owned()), "{before}");
        }
    }
}
