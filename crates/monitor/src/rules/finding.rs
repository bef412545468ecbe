//! What a rule finds: what is wrong, how bad it is, and for how long it must last to be an alert.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::remedy::{AlertTarget, Remedy};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertSeverity {
    /// It will get worse, or something is less than it should be.
    Warning,
    /// Somebody is not served, or will not be if another thing fails.
    Critical,
}

/// What sort of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertKind {
    /// No manager answers.
    Swarm,
    /// The console can't reach a node, or its engine.
    Unreachable,
    /// The managers do not see a node.
    NodeDown,
    /// Processors of a node are busy.
    Cpu,
    /// Memory of a node is full.
    Memory,
    /// A file system of a node is full.
    Disk,
    /// A file system will be full soon.
    DiskTrend,
    /// The managers are about to lose their majority.
    Quorum,
    /// A service has fewer tasks than it should.
    Replicas,
    /// Tasks of a service fail again and again.
    CrashLoop,
    /// A job of the swarm failed, and nothing tries it again.
    Job,
    /// A scheduled job of an application failed, or did not run.
    AppJob,
    /// A node that the night has cleaned has less free than `[room]` wants.
    Floor,
    /// The volumes of an application take nearly all of its budget, or more.
    Budget,
    /// An alert of Alertmanager that no rule of ours found.
    Told,
    /// Alertmanager does not answer.
    Alertmanager,
    /// No node takes https.
    Edge,
    /// An application does not answer as it should.
    Http,
    /// A page is still there instead of an application, or nobody serves it.
    Page,
    /// A certificate ends soon, or none is served.
    Certificate,
    /// The records of a name are not as they should be, or can't be read.
    Dns,
    /// The software of an application gets no fixes any more.
    EndOfLife,
    /// A night found out that an update of an application would fail.
    Rehearsal,
    /// A node is not what config.toml says.
    Drift,
    /// Backups are old, failed or damaged.
    Backup,
}

impl AlertKind {
    /// Seconds that it must last before it is an alert.
    pub fn hold_seconds(self) -> i64 {
        match self {
            Self::Cpu => 120,
            Self::Memory => 60,
            // Short: a blip of the link, the time between two tasks.
            Self::Swarm | Self::Unreachable | Self::Replicas => 15,
            Self::Alertmanager => 60,
            // Two samples.
            Self::Disk => 5,
            // Asked three times, changing slowly, or from somebody who waited already.
            Self::NodeDown
            | Self::DiskTrend
            | Self::Quorum
            | Self::CrashLoop
            | Self::Job
            | Self::AppJob
            | Self::Floor
            | Self::Budget
            | Self::Told
            | Self::Edge
            | Self::Http
            | Self::Page
            | Self::Certificate
            | Self::Dns
            | Self::EndOfLife
            | Self::Rehearsal
            | Self::Drift
            | Self::Backup => 0,
        }
    }

    /// Whether it is the managers who say so of a node, not the node.
    pub fn is_seen_by_managers(self) -> bool {
        matches!(self, Self::NodeDown | Self::Unreachable | Self::Drift)
    }

    /// Seconds that it must be gone before the alert is over.
    pub fn release_seconds(self) -> i64 {
        match self {
            Self::Cpu | Self::Memory => 60,
            Self::Replicas | Self::NodeDown | Self::Unreachable => 10,
            _ => 0,
        }
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Identity over readings, as `node/worker-01/disk`.
    pub key: String,
    /// The rule that found it.
    pub kind: AlertKind,
    /// How bad it is.
    pub severity: AlertSeverity,
    /// What is concerned: a node, an application, a service, a domain.
    pub what: String,
    /// The reason in one sentence.
    pub why: String,
    /// When it began, where that is known.
    pub since: Option<Timestamp>,
    /// What it is about.
    pub target: AlertTarget,
    /// What leads to the cure.
    pub remedy: Remedy,
    /// Not bad enough to begin an alert, too bad to end one.
    pub near: bool,
}

/// Prefix of the keys of Alertmanager's alerts; their fingerprint follows.
pub const ALERTMANAGER_KEY_PREFIX: &str = "alertmanager/";
