//! What collectors report, and how it changes the picture.

use jiff::Timestamp;

use super::{
    AppJobRuns, Backups, Certificate, Disk, EngineInfo, ExternalAlert, Fleet, KEPT_SAMPLES,
    Metrics, Node, NodeLink, Probe, RegisteredDomain, Role, Snapshot, Swarm, Volume, VolumeSizes,
    sort_snapshots,
};
use matou_base::text::SafeText;

/// One message of a collector to the picture of the fleet.
#[derive(Debug, Clone)]
pub struct Update {
    /// When it was read.
    pub at: Timestamp,
    /// What was read.
    pub datum: Datum,
}

/// What was read. An `Err` holds the reason in one sentence.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "node is the name in config.toml, everywhere")]
pub enum Datum {
    /// Whether a node is reached.
    Link { node: String, link: NodeLink },
    /// What a node's engine says.
    Engine {
        node: String,
        reading: Result<EngineInfo, SafeText>,
    },
    /// A sample of a node's load.
    Metrics {
        node: String,
        reading: Result<Metrics, SafeText>,
    },
    /// The local disks of a node.
    Disks { node: String, disks: Vec<Disk> },
    /// The volumes of a node.
    Volumes {
        node: String,
        reading: Result<Vec<Volume>, SafeText>,
    },
    /// What a manager sees.
    Swarm(Result<Swarm, SafeText>),
    /// The snapshots of the primary repository.
    Snapshots(Result<Vec<Snapshot>, SafeText>),
    /// Repositories, schedule, proofs.
    Backups(Result<Backups, SafeText>),
    /// What the edge serves.
    Certificates(Result<Vec<Certificate>, SafeText>),
    /// When the domains of applications' names end.
    Domains(Result<Vec<RegisteredDomain>, SafeText>),
    /// What applications answer.
    Probes(Result<Vec<Probe>, SafeText>),
    /// What Alertmanager alerts of.
    ExternalAlerts(Result<Vec<ExternalAlert>, SafeText>),
    /// What is remembered of scheduled jobs of applications.
    AppJobs(Result<AppJobRuns, SafeText>),
    /// How large volumes were when they were measured last.
    VolumeSizes(Result<VolumeSizes, SafeText>),
}

impl Fleet {
    /// Takes a reading into the picture. Readings of unknown nodes are ignored.
    pub fn apply(&mut self, update: Update) {
        let at = update.at;
        match update.datum {
            Datum::Link { node, link } => {
                if let Some(n) = self.node_mut(&node) {
                    // What is read over the connection is stale as soon as the connection is lost.
                    if let NodeLink::Down { reason, .. } = &link {
                        let reason = SafeText::from(reason.as_str());
                        n.engine.record(Err(reason.clone()), at);
                        n.metrics.record(Err(reason.clone()), at);
                        n.volumes.record(Err(reason), at);
                    }
                    // Keep the moment of the first loss over further failed attempts.
                    if let (NodeLink::Down { reason: old, .. }, NodeLink::Down { reason, .. }) =
                        (&mut n.link, &link)
                    {
                        old.clone_from(reason);
                    } else {
                        n.link = link;
                    }
                }
            }
            Datum::Engine { node, reading } => {
                if let Some(n) = self.node_mut(&node) {
                    n.engine.record(reading, at);
                }
            }
            Datum::Metrics { node, reading } => {
                if let Some(n) = self.node_mut(&node) {
                    if let Ok(metrics) = &reading {
                        if n.history.len() == KEPT_SAMPLES {
                            n.history.pop_front();
                        }
                        n.history.push_back(*metrics);
                    }
                    n.metrics.record(reading, at);
                }
            }
            Datum::Disks { node, disks } => {
                if let Some(n) = self.node_mut(&node) {
                    n.disks = disks;
                }
            }
            Datum::Volumes { node, reading } => {
                if let Some(n) = self.node_mut(&node) {
                    n.volumes.record(reading, at);
                }
            }
            Datum::Swarm(reading) => {
                self.swarm.record(reading, at);
                self.adopt_swarm_nodes();
            }
            Datum::Snapshots(mut reading) => {
                if let Ok(snapshots) = &mut reading {
                    sort_snapshots(snapshots);
                }
                self.snapshots.record(reading, at);
            }
            Datum::Backups(reading) => self.backups.record(reading, at),
            Datum::Certificates(reading) => self.certificates.record(reading, at),
            Datum::Domains(reading) => self.domains.record(reading, at),
            Datum::Probes(reading) => self.probes.record(reading, at),
            Datum::ExternalAlerts(reading) => self.told.record(reading, at),
            Datum::AppJobs(reading) => self.app_jobs.record(reading, at),
            Datum::VolumeSizes(reading) => self.sizes.record(reading, at),
        }
    }

    fn node_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|n| n.name == name)
    }

    /// Lists nodes that the swarm knows and config.toml does not, and drops those that left.
    fn adopt_swarm_nodes(&mut self) {
        let Some(swarm) = self.swarm.value() else {
            return;
        };
        let matched: Vec<String> = self
            .nodes
            .iter()
            .filter(|n| n.configured)
            .filter_map(|n| self.find_swarm_node(n).map(|s| s.id.clone()))
            .collect();
        let strangers: Vec<(String, Role)> = swarm
            .nodes
            .iter()
            .filter(|s| !matched.contains(&s.id))
            .map(|s| (s.hostname.clone(), s.role))
            .collect();
        self.nodes
            .retain(|n| n.configured || strangers.iter().any(|(name, _)| *name == n.name));
        for (name, role) in strangers {
            if self.find_node(&name).is_none() {
                self.nodes.push(Node {
                    name,
                    role,
                    ..Node::default()
                });
            }
        }
    }
}
