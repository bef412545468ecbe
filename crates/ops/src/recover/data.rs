//! The data of applications, put back out of the repository where it is missing.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::findings::{RecoveryFindings, StuckAt};
use super::job_in_step::run_job_in_step;
use super::own_volumes::find_own_volumes;
use crate::OpsError;
use crate::deploy::external_record::{has_kept_externals, uses_externals};
use crate::restore::{SwapLog, build_restore_job, has_to_deploy};
use crate::{FleetContext, Request, RestoreDestination, RestoreScope};
use matou_backup::identity::{StorageIdentity, find_namesakes, keep_fleet_id};
use matou_backup::{BackupError, FleetId, Restic, ResticSnapshot, SnapshotView, matou_folder};
use matou_base::text::format_how_old;
use matou_host::{Command, shell_script};
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_stack::{AppName, RenderedStack};

/// Applications that are restored at the same time.
const PARALLEL: usize = 3;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Prints `there` when all arguments are folders and one of them is not empty, else `nothing`.
/// Folders are put in place one by one: where one is missing, a restore was interrupted.
const CHECK_FILLED: &str = shell_script(include_str!("../../scripts/check_filled.sh"));

/// Restores the data of every application whose data is missing.
pub(super) struct RecoverAppData {
    /// The edge first.
    pub apps: Vec<(AppName, Arc<RenderedStack>)>,
    /// Those that were removed, and when: they stay so.
    pub removed: Vec<(AppName, jiff::civil::Date)>,
    pub fleet: FleetContext,
    pub findings: RecoveryFindings,
    /// The fleet's id, where the repository holds several of its name.
    pub id: Option<FleetId>,
}

/// Whether the data of one application is there.
enum AppDataState {
    /// It has no data, or its data is there.
    Present(&'static str),
    /// It is missing or incomplete, and this snapshot is restored. What is there of it is set
    /// aside.
    Missing(Box<ResticSnapshot>),
    /// It is missing, and no snapshot can be restored; why.
    Lost(String),
}

impl RecoverAppData {
    async fn open_repository(&self, cx: &StepContext) -> Result<Restic, BackupError> {
        let repository = self.fleet.config.backup.primary_repository();
        let repository = repository.ok_or(BackupError::NotConfigured)?;
        Restic::for_repository(&cx.host, repository).await
    }

    /// Whether the data of an application is there; `None`: it has none. `newest` is the snapshot that would be
    /// restored.
    async fn is_data_there(
        &self,
        cx: &StepContext,
        restic: &Restic,
        app: &AppName,
        rendered: &RenderedStack,
        newest: Option<&ResticSnapshot>,
    ) -> Result<Option<bool>, StepError> {
        let (mut folders, mut own) = (Vec::new(), BTreeSet::new());
        for (name, folder) in &rendered.volumes.named {
            match folder {
                Some(folder) => folders.push(folder.display().to_string()),
                None => drop(own.insert(name.clone())),
            }
        }
        // Only a snapshot says which of them are the application's.
        let outside = rendered.volumes.outside.iter().cloned();
        let looked_for: BTreeSet<String> = own.iter().cloned().chain(outside).collect();
        let mut is_there = None;
        if let Some(newest) = newest
            && !looked_for.is_empty()
        {
            is_there = find_own_volumes(&self.fleet, restic, app, &looked_for, newest).await?;
        }
        if is_there.is_none() {
            let place = |name| format!("/var/lib/docker/volumes/{name}/_data");
            folders.extend(own.iter().map(place));
        }
        if is_there == Some(false) || folders.is_empty() {
            return Ok(is_there);
        }
        let look = Command::sh(CHECK_FILLED).args(folders).sudo();
        let out = cx.host.run_ok(&look.label(tr!("look for data"))).await?;
        Ok(Some(out.stdout_text() == "there"))
    }

    /// Loads the fleet's view of the snapshots. Its id is what its storage node says, else what was
    /// asked for, else the only one that a fleet of this name has in the repository: the operator
    /// who recovers it says that it is the same fleet.
    async fn load_view(
        &self,
        restic: &Restic,
        all: &[ResticSnapshot],
    ) -> Result<SnapshotView, StepError> {
        let failed = |e: BackupError| StepError::from(OpsError::from(e));
        let (config, nodes) = (&self.fleet.config, &self.fleet.nodes);
        let mut here = StorageIdentity::load(config, nodes).await.map_err(failed)?;
        if here.id.is_none() {
            here.id.clone_from(&self.id);
        }
        if here.id.is_none() {
            let known = find_namesakes(&config.fleet.name, all);
            here.id = match known.as_slice() {
                [] => None,
                [(id, _)] => Some(id.clone()),
                some => {
                    let ids: Vec<String> = some
                        .iter()
                        .map(|(id, s)| tr!("{id} (newest {})", s.time.strftime("%F %R UTC")))
                        .collect();
                    return Err(StepError::failed(tr!(
                        "the repository holds several fleets of the name {}: {}; recover from nothing with --repository and --fleet ID, into an empty folder",
                        config.fleet.name,
                        ids.join(", ")
                    )));
                }
            };
        }
        let view = here.into_snapshot_view(config, nodes, restic, all).await;
        view.map_err(failed)
    }

    async fn find_data_states(
        &self,
        cx: &StepContext,
        restic: &Restic,
    ) -> Result<Vec<(AppName, AppDataState)>, StepError> {
        let failed = |e: BackupError| StepError::failed(e.to_string());
        let snapshots = restic.list_snapshots(&[]).await.map_err(failed)?;
        let view = self.load_view(restic, &snapshots).await?;
        let mut all = Vec::new();
        for (app, rendered) in &self.apps {
            let candidates = view.candidates(app, &snapshots);
            let newest = candidates.as_ref().ok().map(|ours| ours[0]);
            let is_there = self.is_data_there(cx, restic, app, rendered, newest);
            let is_there = is_there.await?;
            // An interrupted recovery may have put it in place without loading all of it.
            let journal = SwapLog::new(&cx.host, &matou_folder(&self.fleet.config), app);
            let half = has_to_deploy(journal.read_state().await?.as_ref(), true);
            let has_nothing = is_there.is_none() && rendered.secrets.is_empty();
            // What matou did not make for it comes out of its snapshot.
            let folder = format!("/.matou/secrets/{app}");
            let is_kept = newest.is_some_and(|s| s.paths.iter().any(|p| p.ends_with(&folder)));
            let lacks_kept = has_nothing
                && is_kept
                && uses_externals(rendered, &self.fleet)
                && !has_kept_externals(&self.fleet, app).await?;
            let found = match candidates {
                _ if has_nothing && !lacks_kept => AppDataState::Present(tr!("it has no data")),
                _ if is_there == Some(true) && !half => {
                    AppDataState::Present(tr!("its data is there"))
                }
                Ok(ours) => AppDataState::Missing(Box::new(ours[0].clone())),
                Err(why) => AppDataState::Lost(why.sentence(app, restic.shown_location())),
            };
            all.push((app.clone(), found));
        }
        Ok(all)
    }

    /// Restores one application: its data, then its databases out of their dumps, then the rest of
    /// it, as `matou restore` does.
    async fn restore_app(&self, app: &AppName, snapshot: &ResticSnapshot, cx: &StepContext) {
        match self.run_restore(app, snapshot, cx).await {
            Ok(()) => {
                let of = snapshot.time.strftime("%F %T UTC");
                cx.out.note(tr!("{app}: its data of {of} is back")).await;
                let summary = snapshot.summary.as_ref();
                self.findings.update_app(app, |a| {
                    a.snapshot = Some(snapshot.id.clone());
                    a.data_of = Some(snapshot.time);
                    a.bytes = summary.map(|s| s.total_bytes_processed);
                    a.up = true;
                });
            }
            Err(reason) => {
                cx.out.note(tr!("{app}: FAILED: {reason}")).await;
                self.findings
                    .fail_app(app, StuckAt::Restore, reason.to_string());
            }
        }
    }

    async fn run_restore(
        &self,
        app: &AppName,
        snapshot: &ResticSnapshot,
        cx: &StepContext,
    ) -> Result<(), OpsError> {
        let request = Request::Restore {
            app: app.clone(),
            snapshot: Some(snapshot.id.clone()),
            what: RestoreScope::App,
            to: RestoreDestination::Place,
        };
        let job = build_restore_job(&request, &self.fleet).await?;
        run_job_in_step(job, app, &self.fleet, cx, &self.findings).await
    }
}

#[async_trait]
impl Step for RecoverAppData {
    fn name(&self) -> String {
        tr!("restore").into()
    }

    /// A restore inside it is taken back.
    fn clean_up_limit(&self) -> Duration {
        crate::restore::TAKE_BACK_LIMIT + Duration::from_secs(30)
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let restic = self.open_repository(cx).await;
        let restic = restic.map_err(|e| StepError::failed(e.to_string()))?;
        match restic.check_version().await {
            Ok(_) => {}
            Err(BackupError::Missing { .. }) => {
                return Ok(Check::Unknown(self.describe_before_restic()));
            }
            Err(e) => return Err(StepError::failed(e.to_string())),
        }
        let now = Timestamp::now();
        let mut lines = Vec::new();
        for (app, found) in self.find_data_states(cx, &restic).await? {
            lines.push(match found {
                AppDataState::Present(why) => Change::same(format!("{app}: {why}")),
                AppDataState::Missing(snapshot) => {
                    Change::add(tr!("data of {app}, {}", format_how_old(now, snapshot.time)))
                }
                // Told in the end; it stops no other.
                AppDataState::Lost(why) => {
                    Change::same(tr!("{app}: no snapshot that could be taken")).with_warning(tr!(
                        "{why}. It is not deployed: `matou redeploy` begins it anew"
                    ))
                }
            });
        }
        lines.extend(self.removed.iter().map(|(app, day)| {
            Change::same(tr!(
                "{app} was removed on {day} and stays so: `matou redeploy {app}` deploys it again, `matou restore {app}` with its data"
            ))
        }));
        let open = lines.iter().any(|l| l.kind != matou_job::ChangeKind::Same);
        Ok(match open {
            true => Check::Change(lines),
            false => {
                self.note_lost(cx, &restic).await?;
                Check::Done(lines)
            }
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let failed = |e: BackupError| StepError::failed(e.to_string());
        let restic = self.open_repository(cx).await.map_err(failed)?;
        let snapshots = restic.list_snapshots(&[]).await.map_err(failed)?;
        let view = self.load_view(&restic, &snapshots).await?;
        if let Some(id) = &view.identity().id {
            keep_fleet_id(&self.fleet.config, &cx.host, id)
                .await
                .map_err(failed)?;
        }
        let mut missing = Vec::new();
        for (app, found) in self.find_data_states(cx, &restic).await? {
            match found {
                AppDataState::Present(_) => {}
                AppDataState::Missing(snapshot) => missing.push((app, snapshot)),
                AppDataState::Lost(why) => self.findings.fail_app(&app, StuckAt::Restore, why),
            }
        }
        // The biggest first, the edge before all.
        let edge = self.apps.first().map(|(name, _)| name.clone());
        missing.sort_by_key(|(app, s)| {
            let bytes = s.summary.as_ref().map_or(0, |s| s.total_bytes_processed);
            (edge.as_ref() != Some(app), std::cmp::Reverse(bytes))
        });
        let all = missing.len() as u64;
        let done = std::sync::atomic::AtomicU64::new(0);
        stream::iter(missing)
            .map(|(app, snapshot)| {
                let done = &done;
                async move {
                    self.restore_app(&app, &snapshot, cx).await;
                    let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                    cx.out.send_progress(done, all, tr!("applications")).await;
                }
            })
            .buffer_unordered(PARALLEL)
            .collect::<Vec<()>>()
            .await;
        match cx.cancel.is_cancelled() {
            true => Err(StepError::Cancelled),
            false => Ok(()),
        }
    }

    /// Has nothing to check: each restore was verified by itself; what failed is reported at the
    /// end.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}

impl RecoverAppData {
    /// What the plan says where restic is not there yet: also what is left out.
    fn describe_before_restic(&self) -> String {
        let removed: Vec<String> = self
            .removed
            .iter()
            .map(|(app, day)| tr!("{app} (removed on {day})"))
            .collect();
        match removed.is_empty() {
            true => tr!("restic is installed first").to_owned(),
            false => tr!(
                "restic is installed first; these stay removed, `matou redeploy APP` deploys one: {}",
                removed.join(", ")
            ),
        }
    }

    async fn note_lost(&self, cx: &StepContext, restic: &Restic) -> Result<(), StepError> {
        for (app, found) in self.find_data_states(cx, restic).await? {
            if let AppDataState::Lost(why) = found {
                self.findings.fail_app(&app, StuckAt::Restore, why);
            }
        }
        Ok(())
    }
}
