//! The data of applications, put back out of the repository where it is missing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::findings::{Findings, Stuck};
use super::run;
use crate::backup::identity::{Here, keep, namesakes};
use crate::backup::{BackupError, FleetId, Restic, Snapshot, View, data};
use crate::host::Command;
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::ops::restore::{Journal, has_to_deploy};
use crate::ops::{Context, Request, RestoreTo, RestoreWhat};
use crate::stack::Rendered;
use crate::text::old;

/// Applications that are restored at the same time.
const PARALLEL: usize = 3;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Says whether all arguments are folders, and one of them has something in it. Folders are put in place
/// one by one: where one is missing, a restore was interrupted.
const FILLED: &str = r#"f=; m=; for d in "$@"; do if [ ! -d "$d" ]; then m=x; elif [ -n "$(ls -A -- "$d" | head -n 1)" ]; then f=1; fi; done
case $f$m in 1) echo there;; *) echo nothing;; esac"#;

/// The data of every application is where it belongs.
pub(super) struct PutBack {
    /// In the order of their weight: what comes first is put back first.
    pub apps: Vec<(String, Arc<Rendered>)>,
    pub cx: Context,
    pub findings: Findings,
    /// The fleet's id, where the repository holds several of its name.
    pub id: Option<FleetId>,
}

/// What there is of one application.
enum Found {
    /// It has no data, or its data is there.
    There(&'static str),
    /// What is there of it is kept beside what is put back.
    Missing(Box<Snapshot>),
    /// It has data and no snapshot that could be taken; why.
    Lost(String),
}

impl PutBack {
    async fn restic(&self, cx: &Cx) -> Result<Restic, BackupError> {
        let repository = self.cx.config.backup.primary();
        let repository = repository.ok_or(BackupError::NotConfigured)?;
        Restic::of(&cx.host, repository).await
    }

    /// Folders of an application's data; of a volume of the local driver, its place in the engine.
    fn folders(&self, rendered: &Rendered) -> Vec<String> {
        let named = rendered.volumes.named.iter();
        named
            .map(|(name, folder)| match folder {
                Some(folder) => folder.display().to_string(),
                None => format!("/var/lib/docker/volumes/{name}/_data"),
            })
            .collect()
    }

    /// The fleet's id: what its storage node says, else what was asked for, else the only one that a
    /// fleet of this name has in the repository. Who recovers says that it is the same fleet.
    async fn view(&self, restic: &Restic, all: &[Snapshot]) -> Result<View, StepError> {
        let failed = |e: BackupError| StepError::failed(e.to_string());
        let (config, nodes) = (&self.cx.config, &self.cx.nodes);
        let mut here = Here::read(config, nodes).await.map_err(failed)?;
        if here.id.is_none() {
            here.id.clone_from(&self.id);
        }
        if here.id.is_none() {
            let known = namesakes(&config.fleet.name, all);
            here.id = match known.as_slice() {
                [] => None,
                [(id, _)] => Some(id.clone()),
                some => {
                    let ids: Vec<String> = some
                        .iter()
                        .map(|(id, s)| format!("{id} (newest {})", s.time.strftime("%F %R UTC")))
                        .collect();
                    return Err(StepError::failed(format!(
                        "the repository holds several fleets of the name {}: {}; recover from nothing with --repository and --fleet ID, into an empty folder",
                        config.fleet.name,
                        ids.join(", ")
                    )));
                }
            };
        }
        let view = here.view(config, nodes, restic, all).await;
        view.map_err(failed)
    }

    async fn look(&self, cx: &Cx, restic: &Restic) -> Result<Vec<(String, Found)>, StepError> {
        let failed = |e: BackupError| StepError::failed(e.to_string());
        let snapshots = restic.snapshots(&[]).await.map_err(failed)?;
        let view = self.view(restic, &snapshots).await?;
        let mut all = Vec::new();
        for (app, rendered) in &self.apps {
            let folders = self.folders(rendered);
            let look = Command::sh(FILLED).args(folders.clone()).sudo();
            let out = cx.host.run_ok(&look.label("look for data")).await?;
            let state = out.text();
            // In place, and perhaps not loaded to its end, by a recovery that was interrupted.
            let journal = Journal::new(&cx.host, &data(&self.cx.config), app);
            let half = has_to_deploy(journal.read().await?.as_ref(), true);
            let found = match view.candidates(app, &snapshots) {
                _ if folders.is_empty() && rendered.secrets.is_empty() => {
                    Found::There("it has no data")
                }
                _ if !folders.is_empty() && state == "there" && !half => {
                    Found::There("its data is there")
                }
                Ok(ours) => Found::Missing(Box::new(ours[0].clone())),
                Err(why) => Found::Lost(why.sentence(app, restic.shown())),
            };
            all.push((app.clone(), found));
        }
        Ok(all)
    }

    /// Restores one application: its data, then its databases out of their dumps, then the rest of
    /// it, as `matou restore` does.
    async fn put_back(&self, app: &str, snapshot: &Snapshot, cx: &Cx) {
        match self.restore(app, snapshot, cx).await {
            Ok(()) => {
                let of = snapshot.time.strftime("%F %T UTC");
                cx.out
                    .note(format!("{app}: its data of {of} is back"))
                    .await;
                let summary = snapshot.summary.as_ref();
                self.findings.of(app, |a| {
                    a.snapshot = Some(snapshot.id.clone());
                    a.data_of = Some(snapshot.time);
                    a.bytes = summary.map(|s| s.total_bytes_processed);
                    a.up = true;
                });
            }
            Err(reason) => {
                cx.out.note(format!("{app}: FAILED: {reason}")).await;
                self.findings.fail(app, Stuck::Restore, reason);
            }
        }
    }

    async fn restore(&self, app: &str, snapshot: &Snapshot, cx: &Cx) -> Result<(), String> {
        let request = Request::Restore {
            app: app.to_owned(),
            snapshot: Some(snapshot.id.clone()),
            what: RestoreWhat::App,
            to: RestoreTo::Place,
        };
        run(&request, app, &self.cx, cx, &self.findings).await
    }
}

#[async_trait]
impl Step for PutBack {
    fn name(&self) -> String {
        "restore".into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        let restic = self.restic(cx).await;
        let restic = restic.map_err(|e| StepError::failed(e.to_string()))?;
        match restic.version().await {
            Ok(_) => {}
            Err(BackupError::Missing { .. }) => {
                return Ok(Check::Unknown("restic is installed first".into()));
            }
            Err(e) => return Err(StepError::failed(e.to_string())),
        }
        let now = Timestamp::now();
        let mut lines = Vec::new();
        for (app, found) in self.look(cx, &restic).await? {
            lines.push(match found {
                Found::There(why) => Change::same(format!("{app}: {why}")),
                Found::Missing(snapshot) => {
                    Change::add(format!("data of {app}, {}", old(now, snapshot.time)))
                }
                // Told in the end; it stops no other.
                Found::Lost(why) => Change::same(format!("{app}: no snapshot that could be taken"))
                    .warn(format!(
                        "{why}. It is not deployed: `matou redeploy` begins it anew"
                    )),
            });
        }
        let open = lines.iter().any(|l| l.kind != crate::job::ChangeKind::Same);
        Ok(match open {
            true => Check::Change(lines),
            false => {
                self.note_lost(cx, &restic).await?;
                Check::Done(lines)
            }
        })
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let failed = |e: BackupError| StepError::failed(e.to_string());
        let restic = self.restic(cx).await.map_err(failed)?;
        let snapshots = restic.snapshots(&[]).await.map_err(failed)?;
        let view = self.view(&restic, &snapshots).await?;
        if let Some(id) = &view.identity().id {
            keep(&self.cx.config, &cx.host, id).await.map_err(failed)?;
        }
        let mut missing = Vec::new();
        for (app, found) in self.look(cx, &restic).await? {
            match found {
                Found::There(_) => {}
                Found::Missing(snapshot) => missing.push((app, snapshot)),
                Found::Lost(why) => self.findings.fail(&app, Stuck::Restore, why),
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
                    self.put_back(&app, &snapshot, cx).await;
                    let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                    cx.out.progress(done, all, "applications").await;
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

    /// Every application was verified by itself; what failed is told in the end.
    async fn verify(&self, _: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}

impl PutBack {
    async fn note_lost(&self, cx: &Cx, restic: &Restic) -> Result<(), StepError> {
        for (app, found) in self.look(cx, restic).await? {
            if let Found::Lost(why) = found {
                self.findings.fail(&app, Stuck::Restore, why);
            }
        }
        Ok(())
    }
}
