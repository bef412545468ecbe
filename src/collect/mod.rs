//! Reads the fleet: one set of collectors a node, one for the swarm. Each reports [`Update`]s;
//! nothing here waits for a node that is slow or gone.

mod certificates;
mod logs;
mod metrics;
mod node;
mod snapshots;
mod swarm;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::docker::Nodes;
use crate::edge::Edge;
use crate::model::{Datum, Update};

pub use certificates::read as read_certificates;
pub use logs::{LogBatch, Window, follow_journal, follow_service};
pub use snapshots::{
    primary as primary_repository, read as read_snapshots, read_state as read_backups,
};

/// The running collectors. Dropping it stops them.
pub struct Collectors {
    wake: Arc<Wake>,
    cancel: CancellationToken,
}

/// Asks collectors to read now instead of at the next poll.
#[derive(Default)]
struct Wake {
    swarm: Notify,
    nodes: Notify,
    certificates: Notify,
    snapshots: Notify,
}

/// Where collectors report to.
#[derive(Clone)]
struct Reports(mpsc::Sender<Update>);

impl Reports {
    /// Waits for room; false when nobody listens any more.
    async fn send(&self, datum: Datum) -> bool {
        let at = Timestamp::now();
        self.0.send(Update { at, datum }).await.is_ok()
    }
}

impl Collectors {
    /// Starts reading all nodes, what `edge` serves, and the repository of `config`; what is read
    /// arrives at `updates`.
    pub fn start(
        nodes: &Nodes,
        edge: Option<Edge>,
        config: Option<Arc<Config>>,
        updates: mpsc::Sender<Update>,
    ) -> Self {
        let collectors = Self {
            wake: Arc::default(),
            cancel: CancellationToken::new(),
        };
        let reports = Reports(updates);
        for handle in nodes.iter() {
            let run = node::watch(handle.clone(), reports.clone(), collectors.wake.clone());
            collectors.spawn(run);
        }
        collectors.spawn(swarm::watch(
            nodes.clone(),
            reports.clone(),
            collectors.wake.clone(),
        ));
        if let Some(edge) = edge {
            let wake = collectors.wake.clone();
            let reports = reports.clone();
            collectors.spawn(certificates::watch(nodes.clone(), edge, reports, wake));
        }
        if let Some(config) = config {
            let wake = collectors.wake.clone();
            collectors.spawn(snapshots::watch(config, nodes.clone(), reports, wake));
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
        self.wake.snapshots.notify_one();
        self.wake.nodes.notify_waiters();
    }
}

impl Drop for Collectors {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
