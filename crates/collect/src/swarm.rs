//! The swarm, as one of its managers sees it.

use matou_i18n::tr;
use std::sync::Arc;
use std::time::Duration;

use super::signals::{CollectorSignals, UpdateSender, log_reading};
use super::{alertmanager, in_container, probes};
use crate::CollectError;
use matou_base::text::SafeText;
use matou_docker::{DockerError, NodeHandle, Nodes};
use matou_model::{Datum, Swarm};

/// Tasks make no events, so they are polled.
const POLL: Duration = Duration::from_secs(5);

/// After an event the next reading comes this soon, and one more after [`SETTLE`].
const DEBOUNCE: Duration = Duration::from_millis(250);

/// A task needs about this long from its container's start to its state in the swarm.
const SETTLE: Duration = Duration::from_secs(1);

/// How long a manager may take before the next one is asked.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn watch_swarm(nodes: Nodes, reports: UpdateSender, wake: Arc<CollectorSignals>) {
    let mut pause = POLL;
    loop {
        let reading = log_reading("swarm", None, query_any_manager(&nodes)).await;
        if let Ok(swarm) = &reading {
            let sites = Some(probes::list_probed_domains(swarm));
            wake.sites.send_if_modified(|known| {
                let changed = *known != sites;
                *known = sites;
                changed
            });
            let place = in_container::find_container_endpoint(swarm, &nodes, alertmanager::LABEL);
            wake.alertmanager.send_if_modified(|known| {
                let changed = *known != place;
                *known = place;
                changed
            });
        }
        if !reports
            .send(Datum::Swarm(reading.map_err(SafeText::of)))
            .await
        {
            return;
        }
        let woken = tokio::time::timeout(pause, wake.swarm.notified()).await;
        pause = if woken.is_ok() {
            tokio::time::sleep(DEBOUNCE).await;
            SETTLE
        } else {
            POLL
        };
    }
}

/// Asks the managers one after another, connected ones first, until one answers.
async fn query_any_manager(nodes: &Nodes) -> Result<Swarm, CollectError> {
    let mut reasons = Vec::new();
    for manager in nodes.configured_managers() {
        match query_manager(manager).await {
            Ok(swarm) => return Ok(swarm),
            Err(reason) => {
                tracing::debug!(manager = ?manager.config.name, "no answer: asks the next manager");
                reasons.push(reason);
            }
        }
    }
    match reasons.len() {
        0 => Err(tr!("config.toml names no manager").into()),
        1 => Err(reasons.remove(0)),
        _ => {
            let all: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            // The swarm is out of reach only where no manager said anything else.
            let told = reasons.iter().find(|e| !e.is_unreachable());
            Err(told.unwrap_or(&reasons[0]).with_sentence(all.join("; ")))
        }
    }
}

async fn query_manager(manager: &NodeHandle) -> Result<Swarm, CollectError> {
    match tokio::time::timeout(PATIENCE, manager.docker.query_swarm()).await {
        Ok(Ok(swarm)) => Ok(swarm),
        Ok(Err(e)) if e.is_not_manager() => Err(explain_not_a_manager(manager, &e).into()),
        Ok(Err(e)) => Err(e.into()),
        Err(_) => Err(CollectError::Unreachable(tr!(
            "{} did not answer within {} s",
            manager.config.name,
            PATIENCE.as_secs()
        ))),
    }
}

fn explain_not_a_manager(manager: &NodeHandle, error: &DockerError) -> String {
    let text = error.to_string();
    let name = &manager.config.name;
    if text.contains("locked") {
        tr!("the swarm is locked: unlock it with `docker swarm unlock` on {name}")
    } else if text.contains("not a swarm manager") && text.contains("join") {
        tr!("{name} is in no swarm yet: make one with `docker swarm init` there")
    } else {
        text
    }
}
