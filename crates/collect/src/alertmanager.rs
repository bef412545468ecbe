//! Reads the alerts of the monitoring stack's Alertmanager, and silences them there. It is asked
//! inside its own container, because it is reachable from nowhere else without a password.
//! API: <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::in_container::{ContainerEndpoint, exec_at_endpoint, find_container_endpoint};
use super::signals::{CollectorSignals, UpdateSender, log_reading};
use crate::CollectError;
use matou_base::text::SafeText;
use matou_docker::Nodes;
use matou_model::{Datum, ExternalAlert, Swarm};

/// The label of a service that is an Alertmanager: its address inside its container.
pub const LABEL: &str = "org.matou.alertmanager";

const NAME: &str = "Alertmanager";

const POLL: Duration = Duration::from_secs(15);

pub(super) async fn watch_alertmanager(
    nodes: Nodes,
    reports: UpdateSender,
    wake: Arc<CollectorSignals>,
) {
    let mut known = wake.alertmanager.subscribe();
    let mut was_there = false;
    loop {
        let place = known.borrow_and_update().clone();
        let reading = match &place {
            Some(place) => Some(
                log_reading("alertmanager", None, query_active_alerts(&nodes, place))
                    .await
                    .map_err(SafeText::of),
            ),
            // It was removed: it alerts of nothing any more.
            None => was_there.then(|| Ok(Vec::new())),
        };
        was_there = place.is_some();
        if let Some(reading) = reading
            && !reports.send(Datum::ExternalAlerts(reading)).await
        {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            changed = known.changed() => if changed.is_err() { return },
            () = wake.external_alerts.notified() => {}
        }
    }
}

/// An alert as the API gives it.
#[derive(Deserialize)]
struct RawActiveAlert {
    fingerprint: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(rename = "startsAt")]
    starts_at: Option<String>,
}

fn parse_active_alerts(bytes: &[u8]) -> Result<Vec<ExternalAlert>, CollectError> {
    let active: Vec<RawActiveAlert> = serde_json::from_slice(bytes)
        .map_err(|e| tr!("Alertmanager's answer is not understood: {e}"))?;
    Ok(active
        .into_iter()
        .map(|a| ExternalAlert {
            summary: a.annotations.get("summary").cloned().unwrap_or_default(),
            since: a.starts_at.and_then(|t| t.parse().ok()),
            fingerprint: a.fingerprint,
            labels: a.labels,
        })
        .collect())
}

async fn query_active_alerts(
    nodes: &Nodes,
    place: &ContainerEndpoint,
) -> Result<Vec<ExternalAlert>, CollectError> {
    let url = format!(
        "{}/api/v2/alerts?active=true&silenced=false&inhibited=false",
        place.address
    );
    parse_active_alerts(
        &exec_at_endpoint(nodes, place, NAME, &["wget", "-q", "-O", "-", &url]).await?,
    )
}

/// Reads the active alerts of Alertmanager; none where no Alertmanager runs.
///
/// # Errors
/// One sentence, when it does not answer.
pub async fn read_external_alerts(
    nodes: &Nodes,
    swarm: &Swarm,
) -> Result<Vec<ExternalAlert>, CollectError> {
    match find_container_endpoint(swarm, nodes, LABEL) {
        Some(place) => query_active_alerts(nodes, &place).await,
        None => Ok(Vec::new()),
    }
}

/// Renders the JSON of a silence that matches exactly `labels`.
fn render_silence(labels: &BTreeMap<String, String>, now: Timestamp, until: Timestamp) -> String {
    let matchers: Vec<serde_json::Value> = labels
        .iter()
        .map(|(name, value)| {
            serde_json::json!({"name": name, "value": value, "isRegex": false, "isEqual": true})
        })
        .collect();
    serde_json::json!({
        "matchers": matchers, "startsAt": now.to_string(), "endsAt": until.to_string(),
        "createdBy": "matou", "comment": "ignored in the console",
    })
    .to_string()
}

/// Silences the alert of `labels` in Alertmanager.
///
/// # Errors
/// One sentence: there is no Alertmanager, or it refuses.
pub async fn silence_in_alertmanager(
    nodes: &Nodes,
    labels: &BTreeMap<String, String>,
    until: Timestamp,
) -> Result<(), CollectError> {
    let manager = nodes.find_manager().await?;
    let swarm = manager.docker.query_swarm().await?;
    let place =
        find_container_endpoint(&swarm, nodes, LABEL).ok_or(tr!("Alertmanager does not run"))?;
    let url = format!("{}/api/v2/silences", place.address);
    let body = render_silence(labels, Timestamp::now(), until);
    let header = "Content-Type: application/json";
    let argv = [
        "wget",
        "-q",
        "-O",
        "-",
        "--header",
        header,
        "--post-data",
        &body,
        &url,
    ];
    exec_at_endpoint(nodes, &place, NAME, &argv).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_alertmanager_is_understood() {
        // Alertmanager 0.25, cut down.
        let text = r#"[{"annotations":{"summary":"blog is down"},"endsAt":"2026-11-24T13:25:00.000Z",
            "fingerprint":"a1","receivers":[{"name":"operator"}],"startsAt":"2026-11-24T13:20:00.123Z",
            "status":{"inhibitedBy":[],"silencedBy":[],"state":"active"},
            "labels":{"alertname":"ApplicationDown","app":"blog"}}]"#;
        let told = parse_active_alerts(text.as_bytes()).unwrap();
        assert_eq!(told[0].label("app"), "blog");
        assert_eq!(told[0].since, "2026-11-24T13:20:00.123Z".parse().ok());
        assert!(
            parse_active_alerts(b"<html>")
                .unwrap_err()
                .to_string()
                .contains("not understood")
        );
    }
}
