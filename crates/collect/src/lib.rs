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

matou_i18n::catalogue!();

mod access;
mod alertmanager;
mod app_jobs;
mod bans;
mod certificates;
mod disk_use;
mod error;
mod image_names;
mod in_container;
mod intrusions;
mod logs;
mod mail;
mod metrics;
mod name_cache;
mod node;
mod platform;
mod probes;
mod search;
mod signals;
mod snapshots;
mod swarm;
mod volume_sizes;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use matou_config::Config;
use matou_docker::Nodes;
use matou_model::Update;

pub use access::{AccessNews, follow_access_log as follow_access};
pub use alertmanager::{
    LABEL as ALERTMANAGER_LABEL, read_external_alerts, silence_in_alertmanager,
};
pub use bans::{read_all_bans, read_bans};
pub use certificates::read_certificates;
pub use disk_use::{DiskReader, FolderSize, measure_folders, read_engine_file_system};
pub use error::CollectError;
pub use image_names::{ImageNames, ImageUser};
pub use intrusions::read_intrusions;
pub use logs::{LogBatch, LogWindow, explain_missing_log, follow_journal, follow_service};
pub use mail::{
    DkimKey, DkimKeyState, DmarcFinding, DmarcPolicy, MailAddress, MxFinding, NodeMailReach,
    OutgoingMail, SenderDomain, SmtpError, SmtpReply, SmtpStage, SpfEnd, SpfFinding,
    USUAL_SELECTORS, read_mail_reach, read_sender_domain, send_mail,
};
pub use name_cache::{KnownNames, KnownSnapshot, NameCache, is_plain_word};
pub use platform::{Platform, read_platform};
pub use probes::{list_probe_targets, read_probes};
pub use signals::{AnswerChecks, ProbeSettings};
pub use volume_sizes::{read_volume_sizes, volume_sizes_folder};

pub use app_jobs::read_app_jobs;
pub use search::LogStore;

use signals::{CollectorSignals, UpdateSender};
pub use snapshots::{
    open_primary_repository as primary_repository, read_backups, read_night_rehearsals,
    read_snapshots,
};

/// The running collectors. Dropping it stops them.
pub struct Collectors {
    wake: Arc<CollectorSignals>,
    cancel: CancellationToken,
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
            let jobs = app_jobs::watch_app_jobs(config.clone(), nodes.clone(), reports.clone());
            collectors.spawn(jobs);
            let sizes =
                volume_sizes::watch_volume_sizes(config.clone(), nodes.clone(), reports.clone());
            collectors.spawn(sizes);
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
