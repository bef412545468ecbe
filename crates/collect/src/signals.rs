//! What collectors share: what wakes them, what they are told, and where they report to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};
use tracing::Instrument as _;

use super::in_container::ContainerEndpoint;
use matou_edge::EdgeEndpoints;
use matou_model::{Datum, ExpectedAnswer, Update};

/// A domain that an application claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProbedDomain {
    pub app: String,
    pub service: String,
    pub domain: String,
    /// Whether Traefik asks for a password: then 401 is a good answer.
    pub password: bool,
    /// The name to which Traefik leads whoever asks for it.
    pub redirect_to: Option<String>,
    /// Leads past a page that is there instead of the application.
    pub way_in: Option<String>,
}

/// Returns the answer that an application must give, by the application's name.
pub type AnswerChecks = Arc<dyn Fn(&str) -> ExpectedAnswer + Send + Sync>;

/// What the collectors of certificates and answers need: where to ask, what to expect, how often.
#[derive(Clone)]
pub struct ProbeSettings {
    /// Where https is asked.
    pub edge: EdgeEndpoints,
    /// What each application must answer.
    pub checks: AnswerChecks,
    /// How often every application is asked.
    pub every: Duration,
}

/// Wakes collectors before their next poll, and hands them what the swarm's collector found.
#[derive(Default)]
pub(super) struct CollectorSignals {
    pub swarm: Notify,
    pub nodes: Notify,
    pub certificates: Notify,
    pub probes: Notify,
    /// Domains of all applications, as read last from the swarm; `None` before the first reading.
    pub sites: watch::Sender<Option<Vec<ProbedDomain>>>,
    pub snapshots: Notify,
    /// Where Alertmanager runs, as read last from the swarm.
    pub alertmanager: watch::Sender<Option<ContainerEndpoint>>,
    pub external_alerts: Notify,
}

/// Where collectors report to.
#[derive(Clone)]
pub(super) struct UpdateSender(pub mpsc::Sender<Update>);

impl UpdateSender {
    /// Sends a reading; waits while the channel is full. Returns false when nobody receives.
    pub(super) async fn send(&self, datum: Datum) -> bool {
        let at = Timestamp::now();
        self.0.send(Update { at, datum }).await.is_ok()
    }
}

/// Reads something for a collector, and logs what, how long it took and whether it was read. Why it was
/// not is shown on the screen.
pub(super) async fn log_reading<T, E>(
    name: &'static str,
    node: Option<&str>,
    reading: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let begun = Instant::now();
    let span = tracing::debug_span!("collector", name, node = node.map(tracing::field::debug));
    let read = reading.instrument(span.clone()).await;
    let result = if read.is_ok() { "read" } else { "failed" };
    span.in_scope(|| tracing::debug!(result, ms = begun.elapsed().as_millis()));
    read
}
