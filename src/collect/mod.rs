//! Reads the fleet: one set of collectors a node, one for the swarm. Each reports [`Update`]s;
//! nothing here waits for a node that is slow or gone.

mod access;
mod alertmanager;
mod bans;
mod certificates;
mod inside;
mod intrusions;
mod logs;
mod metrics;
mod node;
mod probes;
mod search;
mod snapshots;
mod swarm;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::docker::Nodes;
use crate::edge::Edge;
use crate::model::{Datum, Update};

pub use access::{AccessNews, follow as follow_access};
pub use alertmanager::{read_told, silence_there};
pub use bans::{read as read_bans, read_all as read_all_bans};
pub use certificates::read as read_certificates;
pub use intrusions::read_all as read_intrusions;
pub use logs::{LogBatch, Window, follow_journal, follow_service};
pub use probes::{Wanted, read as read_probes, targets};

pub use search::LogStore;

use probes::Site;
pub use snapshots::{
    primary as primary_repository, read as read_snapshots, read_state as read_backups,
};

/// The running collectors. Dropping it stops them.
pub struct Collectors {
    wake: Arc<Wake>,
    cancel: CancellationToken,
}

/// What an application's answer must be; given its name.
pub type Checks = Arc<dyn Fn(&str) -> Wanted + Send + Sync>;

/// What is asked of the fleet from outside: certificates and answers.
#[derive(Clone)]
pub struct Outside {
    pub edge: Edge,
    pub checks: Checks,
    /// How often every application is asked.
    pub every: Duration,
}

/// Asks collectors to read now instead of at the next poll.
#[derive(Default)]
struct Wake {
    swarm: Notify,
    nodes: Notify,
    certificates: Notify,
    probes: Notify,
    /// The domains that applications claim, as the swarm said last; `None` before it did.
    sites: watch::Sender<Option<Vec<Site>>>,
    snapshots: Notify,
    /// Where Alertmanager runs, as the swarm said last.
    alertmanager: watch::Sender<Option<inside::Place>>,
    told: Notify,
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
    /// Starts reading all nodes, what the edge serves, and the repository of `config`; what is read
    /// arrives at `updates`.
    pub fn start(
        nodes: &Nodes,
        outside: Option<Outside>,
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
        if let Some(outside) = outside {
            let wake = collectors.wake.clone();
            let edge = outside.edge.clone();
            let run = certificates::watch(nodes.clone(), edge, reports.clone(), wake.clone());
            collectors.spawn(run);
            let probes = probes::watch(outside, reports.clone(), wake.clone());
            collectors.spawn(probes);
            let told = alertmanager::watch(nodes.clone(), reports.clone(), wake);
            collectors.spawn(told);
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
        self.wake.probes.notify_one();
        self.wake.snapshots.notify_one();
        self.wake.told.notify_one();
        self.wake.nodes.notify_waiters();
    }
}

impl Drop for Collectors {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
