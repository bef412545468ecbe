//! Reads the fleet: one set of collectors a node, one for the swarm. Each reports [`Update`]s;
//! nothing here waits for a node that is slow or gone.

// Stricter than Cargo.toml is with tests, benches and examples.
#![cfg_attr(
    not(test),
    deny(
        clippy::disallowed_macros,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

mod access;
mod alertmanager;
mod bans;
mod certificates;
mod error;
mod in_container;
mod intrusions;
mod logs;
mod metrics;
mod node;
mod probes;
mod search;
mod snapshots;
mod swarm;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use matou_config::Config;
use matou_docker::Nodes;
use matou_edge::EdgeEndpoints;
use matou_model::{Datum, Update};

pub use access::{AccessNews, follow_access_log as follow_access};
pub use alertmanager::{read_external_alerts, silence_in_alertmanager};
pub use bans::{read_all_bans, read_bans};
pub use certificates::read_certificates;
pub use error::CollectError;
pub use intrusions::read_intrusions;
pub use logs::{LogBatch, LogWindow, follow_journal, follow_service};
pub use probes::{ExpectedAnswer, list_probe_targets, read_probes};

pub use search::LogStore;

use probes::ProbedDomain;
pub use snapshots::{open_primary_repository as primary_repository, read_backups, read_snapshots};

/// The running collectors. Dropping it stops them.
pub struct Collectors {
    wake: Arc<CollectorSignals>,
    cancel: CancellationToken,
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
struct CollectorSignals {
    swarm: Notify,
    nodes: Notify,
    certificates: Notify,
    probes: Notify,
    /// Domains of all applications, as read last from the swarm; `None` before the first reading.
    sites: watch::Sender<Option<Vec<ProbedDomain>>>,
    snapshots: Notify,
    /// Where Alertmanager runs, as read last from the swarm.
    alertmanager: watch::Sender<Option<in_container::ContainerEndpoint>>,
    external_alerts: Notify,
}

/// Where collectors report to.
#[derive(Clone)]
struct UpdateSender(mpsc::Sender<Update>);

impl UpdateSender {
    /// Sends a reading; waits while the channel is full. Returns false when nobody receives.
    async fn send(&self, datum: Datum) -> bool {
        let at = Timestamp::now();
        self.0.send(Update { at, datum }).await.is_ok()
    }
}

/// Reads something for a collector, and logs what, how long it took and whether it was read. Why it was
/// not is shown on the screen.
async fn log_reading<T, E>(
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

impl Collectors {
    /// Starts the collectors of all nodes and of the swarm; with `outside` those of the edge, with
    /// `config` that of its repository. They send what they read to `updates`.
    pub fn start(
        nodes: &Nodes,
        outside: Option<ProbeSettings>,
        config: Option<Arc<Config>>,
        updates: mpsc::Sender<Update>,
    ) -> Self {
        let collectors = Self {
            wake: Arc::default(),
            cancel: CancellationToken::new(),
        };
        let reports = UpdateSender(updates);
        for handle in nodes.iter() {
            let run = node::watch_node(handle.clone(), reports.clone(), collectors.wake.clone());
            collectors.spawn(run);
        }
        collectors.spawn(swarm::watch_swarm(
            nodes.clone(),
            reports.clone(),
            collectors.wake.clone(),
        ));
        if let Some(outside) = outside {
            let wake = collectors.wake.clone();
            let edge = outside.edge.clone();
            let run = certificates::watch_certificates(
                nodes.clone(),
                edge,
                reports.clone(),
                wake.clone(),
            );
            collectors.spawn(run);
            let probes = probes::watch_probes(outside, reports.clone(), wake.clone());
            collectors.spawn(probes);
            let told = alertmanager::watch_alertmanager(nodes.clone(), reports.clone(), wake);
            collectors.spawn(told);
        }
        if let Some(config) = config {
            let wake = collectors.wake.clone();
            collectors.spawn(snapshots::watch_snapshots(
                config,
                nodes.clone(),
                reports,
                wake,
            ));
        }
        collectors
    }

    fn spawn(&self, run: impl Future<Output = ()> + Send + 'static) {
        let cancel = self.cancel.clone();
        tokio::spawn(async move {
            cancel.run_until_cancelled(run).await;
        });
    }

    /// Reads everything again now.
    pub fn refresh(&self) {
        self.wake.swarm.notify_one();
        self.wake.certificates.notify_one();
        self.wake.probes.notify_one();
        self.wake.snapshots.notify_one();
        self.wake.external_alerts.notify_one();
        self.wake.nodes.notify_waiters();
    }
}

impl Drop for Collectors {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
