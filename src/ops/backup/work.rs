//! What all steps of a backup share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::backup::{BackupError, FleetId, Report, Restic, Snapshot, Version, View, identity};
use crate::config::Repository;
use crate::docker::NodeHandle;
use crate::job::StepError;
use crate::ops::Context;

/// One run: its repositories and what it has done so far. Cheap to clone.
#[derive(Clone)]
pub(super) struct Work {
    pub cx: Context,
    /// Where the data is, and restic runs.
    pub storage: NodeHandle,
    pub primary: Restic,
    /// Filled by `restic copy`.
    pub copies: Vec<Restic>,
    /// The primary repository's snapshots, read once for the plan.
    snapshots: Arc<OnceCell<Vec<Snapshot>>>,
    version: Arc<OnceCell<Version>>,
    id: Arc<OnceCell<FleetId>>,
    /// What this fleet sees in `snapshots`.
    seen: Arc<OnceCell<View>>,
    report: Arc<Mutex<Report>>,
}

impl Work {
    /// Reads the secrets of all repositories; nothing is connected yet.
    pub async fn of(cx: &Context) -> Result<Self, BackupError> {
        let config = &cx.config;
        let storage = cx.nodes.get(&config.storage.node).ok_or_else(|| {
            BackupError::Wrong(format!(
                "[storage] node = {:?} is not among the nodes of config.toml",
                config.storage.node
            ))
        })?;
        let mut all = Vec::new();
        for repository in &config.backup.repositories {
            all.push(restic(cx, storage, repository).await?);
        }
        let mut all = all.into_iter();
        Ok(Self {
            primary: all.next().ok_or(BackupError::NotConfigured)?,
            copies: all.collect(),
            storage: storage.clone(),
            snapshots: Arc::default(),
            version: Arc::default(),
            id: Arc::default(),
            seen: Arc::default(),
            report: Arc::new(Mutex::new(Report::new(&config.fleet.name))),
            cx: cx.clone(),
        })
    }

    /// The fleet's name: restic's `--host` of all its snapshots.
    pub fn fleet(&self) -> &str {
        &self.cx.config.fleet.name
    }

    /// The snapshots as the plan saw them.
    pub async fn snapshots(&self) -> Result<&Vec<Snapshot>, BackupError> {
        self.snapshots
            .get_or_try_init(|| self.primary.snapshots(&["matou"]))
            .await
    }

    /// What this fleet sees in a repository of which all snapshots are given.
    ///
    /// # Errors
    /// When the storage node or the repository can't be asked.
    pub async fn view(&self, restic: &Restic, all: &[Snapshot]) -> Result<View, BackupError> {
        identity::view(&self.cx.config, &self.cx.nodes, restic, all).await
    }

    /// The same of the snapshots as the plan saw them.
    ///
    /// # Errors
    /// As [`Work::view`].
    pub async fn seen(&self) -> Result<(&View, &Vec<Snapshot>), BackupError> {
        let all = self.snapshots().await?;
        let seen = self.seen.get_or_try_init(|| self.view(&self.primary, all));
        Ok((seen.await?, all))
    }

    /// The fleet's id, which is in a tag of every snapshot. Where the storage node has none yet, or none
    /// any more, it is taken from the repository, or made.
    ///
    /// # Errors
    /// When the storage node or the repository can't be asked.
    pub async fn id(&self) -> Result<&FleetId, BackupError> {
        self.id.get_or_try_init(|| self.make_id()).await
    }

    async fn make_id(&self) -> Result<FleetId, BackupError> {
        let (config, nodes) = (&self.cx.config, &self.cx.nodes);
        if let Some(id) = identity::Here::read(config, nodes).await?.id {
            return Ok(id);
        }
        let all = self.primary.snapshots(&["matou"]).await?;
        let swarm = identity::swarm(nodes).await;
        let found = identity::found(self.fleet(), &self.primary, &all, &swarm).await?;
        let id = found.unwrap_or_else(FleetId::random);
        identity::keep(config, &self.storage.host, &id).await
    }

    /// restic's version on the storage node, asked once.
    pub async fn version(&self) -> Result<Version, BackupError> {
        let asked = self.version.get_or_try_init(|| self.primary.version());
        asked.await.copied()
    }

    /// What was done so far.
    pub fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// restic for one repository on the storage node, its secrets known to the journal's redactor.
pub(super) async fn restic(
    cx: &Context,
    storage: &NodeHandle,
    repository: &Repository,
) -> Result<Restic, BackupError> {
    let restic = Restic::of(&storage.host, repository).await?;
    for secret in restic.secrets() {
        cx.journal.redactor().add(secret.clone());
    }
    Ok(restic.limited(&cx.config.backup))
}

/// A failure of restic as a step's.
pub(super) fn failed(error: BackupError) -> StepError {
    match error {
        BackupError::Cancelled => StepError::Cancelled,
        BackupError::Host(e) => StepError::Host(e),
        other => StepError::failed(other.to_string()),
    }
}
