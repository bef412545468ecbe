//! What all steps of a backup share.

use matou_i18n::tr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::FleetContext;
use matou_backup::{
    BackupError, BackupReport, FleetId, Restic, ResticSnapshot, ResticVersion, SnapshotView,
    identity,
};
use matou_config::RepositoryConfig;
use matou_docker::NodeHandle;
use matou_host::Host;
use matou_job::StepError;

/// One run: its repositories and what it has done so far. Cheap to clone.
#[derive(Clone)]
pub(super) struct BackupContext {
    pub fleet: FleetContext,
    /// Where the data is, and restic runs.
    pub storage: NodeHandle,
    pub primary: Restic,
    /// Filled by `restic copy`.
    pub copies: Vec<Restic>,
    /// The primary repository's snapshots, read once for the plan.
    snapshots: Arc<OnceCell<Vec<ResticSnapshot>>>,
    version: Arc<OnceCell<ResticVersion>>,
    id: Arc<OnceCell<FleetId>>,
    /// What this fleet sees in `snapshots`.
    planned_view: Arc<OnceCell<SnapshotView>>,
    report: Arc<Mutex<BackupReport>>,
}

impl BackupContext {
    /// Reads the secrets of all repositories; nothing is connected yet.
    pub(crate) async fn open(cx: &FleetContext) -> Result<Self, BackupError> {
        let config = &cx.config;
        let storage = cx.nodes.get(&config.storage.node).ok_or_else(|| {
            BackupError::Wrong(tr!(
                "[storage] node = {:?} is not among the nodes of config.toml",
                config.storage.node
            ))
        })?;
        let mut all = Vec::new();
        for repository in &config.backup.repositories {
            all.push(open_restic(cx, storage, repository).await?);
        }
        let mut all = all.into_iter();
        Ok(Self {
            primary: all.next().ok_or(BackupError::NotConfigured)?,
            copies: all.collect(),
            storage: storage.clone(),
            snapshots: Arc::default(),
            version: Arc::default(),
            id: Arc::default(),
            planned_view: Arc::default(),
            report: Arc::new(Mutex::new(BackupReport::new(&config.fleet.name))),
            fleet: cx.clone(),
        })
    }

    /// The fleet's name: restic's `--host` of all its snapshots.
    pub(crate) fn fleet_name(&self) -> &str {
        &self.fleet.config.fleet.name
    }

    /// The snapshots as the plan saw them.
    pub(crate) async fn planned_snapshots(&self) -> Result<&Vec<ResticSnapshot>, BackupError> {
        self.snapshots
            .get_or_try_init(|| self.primary.list_snapshots(&["matou"]))
            .await
    }

    /// Returns what this fleet sees of `all` snapshots of a repository: which are its own, which
    /// are dated in the future.
    ///
    /// # Errors
    /// The storage node or the repository can't be asked.
    pub(crate) async fn snapshot_view(
        &self,
        restic: &Restic,
        all: &[ResticSnapshot],
    ) -> Result<SnapshotView, BackupError> {
        identity::load_snapshot_view(&self.fleet.config, &self.fleet.nodes, restic, all).await
    }

    /// Returns what this fleet sees of [`BackupContext::planned_snapshots`], and these.
    ///
    /// # Errors
    /// Those of [`BackupContext::snapshot_view`].
    pub(crate) async fn planned_view(
        &self,
    ) -> Result<(&SnapshotView, &Vec<ResticSnapshot>), BackupError> {
        let all = self.planned_snapshots().await?;
        let seen = self
            .planned_view
            .get_or_try_init(|| self.snapshot_view(&self.primary, all));
        Ok((seen.await?, all))
    }

    /// The fleet's id, which is in a tag of every snapshot. Where the storage node has none yet, or none
    /// any more, it is taken from the repository, or made.
    ///
    /// # Errors
    /// When the storage node or the repository can't be asked.
    pub(crate) async fn fleet_id(&self) -> Result<&FleetId, BackupError> {
        self.id.get_or_try_init(|| self.make_fleet_id()).await
    }

    async fn make_fleet_id(&self) -> Result<FleetId, BackupError> {
        let (config, nodes) = (&self.fleet.config, &self.fleet.nodes);
        if let Some(id) = identity::StorageIdentity::load(config, nodes).await?.id {
            return Ok(id);
        }
        let all = self.primary.list_snapshots(&["matou"]).await?;
        let swarm = identity::query_swarm_id(nodes).await;
        let found =
            identity::find_lost_fleet_id(self.fleet_name(), &self.primary, &all, &swarm).await?;
        let id = found.unwrap_or_else(FleetId::random);
        identity::keep_fleet_id(config, &self.storage.host, &id).await
    }

    /// restic's version on the storage node, asked once.
    pub(crate) async fn restic_version(&self) -> Result<ResticVersion, BackupError> {
        let asked = self
            .version
            .get_or_try_init(|| self.primary.check_version());
        asked.await.copied()
    }

    /// What was done so far.
    pub(crate) fn report(&self) -> MutexGuard<'_, BackupReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// restic for one repository on the storage node, its secrets known to the journal's redactor.
pub(super) async fn open_restic(
    fleet: &FleetContext,
    storage: &NodeHandle,
    repository: &RepositoryConfig,
) -> Result<Restic, BackupError> {
    let restic = Restic::for_repository(&storage.host, repository).await?;
    for secret in restic.secrets() {
        fleet.journal.redactor().add_secret(secret.clone());
    }
    Ok(restic.with_limits(&fleet.config.backup))
}

/// A failure of restic as a step's.
pub(super) fn backup_step_error(error: BackupError) -> StepError {
    match error {
        BackupError::Cancelled => StepError::Cancelled,
        BackupError::Host(e) => StepError::Host(e),
        other => StepError::failed(other.to_string()),
    }
}

/// The manager that reports are kept on: the first of config.toml, where the timer is.
pub(super) fn find_report_manager(fleet: &FleetContext) -> Option<Host> {
    let first = fleet
        .nodes
        .iter()
        .find(|n| n.config.role == matou_model::Role::Manager);
    first.map(|n| n.host.clone())
}
