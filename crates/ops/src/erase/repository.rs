//! Snapshots of an application in one repository, and what the fleet's own snapshots hold of it.
//!
//! The fleet's snapshots hold every application's secrets. They are made anew without this one's:
//! restored, thinned, and saved again under the same paths, time, host and tags, in a mount namespace
//! of their own; restic before 0.15 has no `rewrite`. Copies get them from the first repository.

use matou_i18n::{tr, trn};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::context::EraseContext;
use super::inventory::{is_app_snapshot, is_fleet_files_snapshot};
use crate::OpsError;
use crate::backup::{record_snapshot_counts, run_restic_exclusively, run_unit};
use matou_backup::{
    BackupError, RepositoryAccess, Restic, ResticSnapshot, SnapshotView, identity, matou_folder,
};
use matou_config::Retention;
use matou_host::shell_script;
use matou_job::{Change, Check, Step, StepContext, StepError};

/// How long one repository may take: pruning reads and writes much.
const PATIENCE: Duration = Duration::from_secs(48 * 3600);

/// Most snapshots that one call of restic names.
const IDS_PER_CALL: usize = 500;

/// Makes the snapshot `$1` of time `$2` and host `$3` anew without the application `$5`, by way of the
/// folder `$4`; `$6` tags follow, then its paths.
const REMAKE_SNAPSHOT: &str = shell_script(include_str!("../../scripts/remake_snapshot.sh"));

/// The application's own snapshots, and those of the fleet's files that hold something of it.
#[derive(Debug, Clone, Default)]
struct AppSnapshots {
    own: Vec<ResticSnapshot>,
    holding: Vec<ResticSnapshot>,
}

/// Erases the application from one repository.
pub(super) struct EraseSnapshots {
    work: Arc<EraseContext>,
    nth: usize,
    /// What the plan found.
    planned: OnceCell<Result<AppSnapshots, OpsError>>,
}

#[derive(serde::Deserialize)]
struct ResticFindHit {
    #[serde(default)]
    snapshot: String,
}

/// Returns the longest time that the retention keeps a snapshot, in days.
fn longest_retention_days(keep: &Retention) -> i64 {
    let spans = [
        i64::from(keep.within_days),
        i64::from(keep.daily),
        i64::from(keep.weekly) * 7,
        i64::from(keep.monthly) * 31,
        i64::from(keep.yearly) * 366,
    ];
    spans.into_iter().max().unwrap_or_default()
}

impl EraseSnapshots {
    pub(crate) fn new(work: Arc<EraseContext>, nth: usize) -> Self {
        Self {
            work,
            nth,
            planned: OnceCell::new(),
        }
    }

    fn restic(&self) -> &Restic {
        &self.work.repositories[self.nth]
    }

    fn is_first(&self) -> bool {
        self.nth == 0
    }

    fn describe_repository(&self) -> String {
        format!(
            "{} ({})",
            self.restic().name(),
            self.restic().shown_location()
        )
    }

    /// Returns the line that is written down once the repository is pruned. When it is missing
    /// after a run was killed, the next run prunes.
    fn pruned_line(&self) -> String {
        tr!("data of these snapshots in {}", self.describe_repository())
    }

    /// Loads the fleet's view of a repository: which snapshots are its own.
    async fn load_view(
        &self,
        restic: &Restic,
        all: &[ResticSnapshot],
    ) -> Result<SnapshotView, BackupError> {
        let cx = &self.work.fleet;
        identity::load_snapshot_view(&cx.config, &cx.nodes, restic, all).await
    }

    /// Lists the snapshots of the fleet's own files in a repository, without those in `but`.
    async fn list_fleet_snapshots(
        &self,
        restic: &Restic,
        but: &[ResticSnapshot],
    ) -> Result<Vec<ResticSnapshot>, BackupError> {
        let all = restic.list_snapshots(&[]).await?;
        let view = self.load_view(restic, &all).await?;
        let held = |s: &ResticSnapshot| but.iter().any(|h| h.id == s.id);
        let fleets = all
            .into_iter()
            .filter(|s| is_fleet_files_snapshot(s, &view) && !held(s));
        Ok(fleets.collect())
    }

    async fn find_snapshots(&self) -> Result<AppSnapshots, BackupError> {
        let fleet = &self.work.fleet.config.fleet.name;
        let all = self.restic().list_snapshots(&[]).await?;
        let view = self.load_view(self.restic(), &all).await?;
        let own = all
            .iter()
            .filter(|s| is_app_snapshot(s, &view, &self.work.app));
        let own = own.cloned().collect();
        let fleets: Vec<&ResticSnapshot> = all
            .iter()
            .filter(|s| is_fleet_files_snapshot(s, &view))
            .collect();
        if fleets.is_empty() {
            return Ok(AppSnapshots {
                own,
                holding: Vec::new(),
            });
        }
        let app = &self.work.app;
        let tag = format!("fleet={fleet}");
        let patterns = [
            format!(".matou/secrets/{app}"),
            format!(".matou/fleet/apps/{app}.toml"),
            format!(".matou/fleet/stacks/app-{app}.yml"),
        ];
        let mut args = vec![
            "find",
            "--json",
            "--no-lock",
            "--host",
            fleet,
            "--tag",
            &tag,
        ];
        args.extend(patterns.iter().map(String::as_str));
        let out = self.restic().run(&args).await?;
        let hits: Vec<ResticFindHit> = match out.stdout.trim_ascii() {
            b"" => Vec::new(),
            text => serde_json::from_slice(text).map_err(|e| {
                BackupError::Wrong(tr!("what restic found can't be understood: {e}"))
            })?,
        };
        let holds = |s: &&&ResticSnapshot| hits.iter().any(|h| h.snapshot == s.id);
        let holding = fleets.iter().filter(holds).map(|s| (*s).clone()).collect();
        Ok(AppSnapshots { own, holding })
    }

    async fn forget_snapshots(
        &self,
        cx: &StepContext,
        all: &[ResticSnapshot],
    ) -> Result<(), BackupError> {
        for some in all.chunks(IDS_PER_CALL) {
            let mut args = vec!["forget".to_owned()];
            args.extend(some.iter().map(|s| s.id.clone()));
            // Under a unit name of its own, so that the work of another unit is not taken for it.
            run_restic_exclusively(cx, self.restic(), "erase-forget", &args).await?;
        }
        Ok(())
    }

    /// Makes one of the fleet's snapshots anew without the application, unless an interrupted run
    /// did.
    async fn remake_snapshot(
        &self,
        cx: &StepContext,
        old: &ResticSnapshot,
        left: &[ResticSnapshot],
    ) -> Result<(), BackupError> {
        let second = |s: &ResticSnapshot| s.time.as_second();
        if left.iter().any(|s| second(s) == second(old)) {
            return Ok(());
        }
        let stage = matou_folder(&self.work.fleet.config).join("erased");
        let stage = stage.join(format!("{}.stage", self.work.app));
        let mut args = vec![
            old.id.clone(),
            old.time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            old.hostname.clone(),
            stage.display().to_string(),
            self.work.app.to_string(),
            old.tags.len().to_string(),
        ];
        args.extend(old.tags.iter().cloned());
        args.extend(old.paths.iter().cloned());
        let unit = format!("matou-remake-{}", self.restic().name());
        let lasting =
            self.restic()
                .detached_unit(&unit, RepositoryAccess::Shared, REMAKE_SNAPSHOT, args);
        let ended = run_unit(cx, self.restic(), &lasting).await?;
        match ended.code {
            0 => Ok(()),
            code => Err(self.restic().error_of_exit(&["backup"], code, &ended.said)),
        }
    }

    /// Replaces the fleet's snapshots by ones without the application: made anew in the first
    /// repository, copied from there to the others. Only then are the old ones forgotten.
    async fn thin_fleet_snapshots(
        &self,
        cx: &StepContext,
        holding: &[ResticSnapshot],
    ) -> Result<(), BackupError> {
        let left = self.list_fleet_snapshots(self.restic(), holding).await?;
        if self.is_first() {
            for old in holding {
                self.remake_snapshot(cx, old, &left).await?;
            }
        } else {
            let first = &self.work.repositories[0];
            let there = Self::new(self.work.clone(), 0).find_snapshots().await?;
            if !there.holding.is_empty() {
                return Err(BackupError::Wrong(tr!(
                    "those in {} could not be made anew",
                    first.name()
                )));
            }
            let from = self.list_fleet_snapshots(first, &[]).await?;
            let lacking = |s: &&ResticSnapshot| {
                let mut all = left.iter();
                !all.any(|l| l.time == s.time && l.tree == s.tree)
            };
            let ids: Vec<String> = from.iter().filter(lacking).map(|s| s.id.clone()).collect();
            let restic = self.restic().copying_from(first);
            let unit = format!("matou-copy-{}", self.restic().name());
            for some in ids.chunks(IDS_PER_CALL) {
                let body = "restic copy $limits \"$@\"";
                let lasting =
                    restic.detached_unit(&unit, RepositoryAccess::Shared, body, some.to_vec());
                let ended = run_unit(cx, &restic, &lasting).await?;
                if ended.code != 0 {
                    return Err(restic.error_of_exit(&["copy"], ended.code, &ended.said));
                }
            }
        }
        // Nothing is forgotten whose successor is not there.
        let now = self.list_fleet_snapshots(self.restic(), holding).await?;
        let second = |s: &ResticSnapshot| s.time.as_second();
        let has = |old: &ResticSnapshot| now.iter().any(|s| second(s) == second(old));
        if let Some(old) = holding.iter().find(|old| !has(old)) {
            return Err(BackupError::Wrong(tr!(
                "the one of {} was not made anew: run this again",
                old.time.strftime("%F %R UTC")
            )));
        }
        self.forget_snapshots(cx, holding).await
    }

    /// Erases everything in this repository, and notes what could not be destroyed.
    async fn erase_from_repository(&self, cx: &StepContext) -> Result<(), StepError> {
        let work = &self.work;
        let app = &work.app;
        let again = tr!("until this is run again and can do it");
        let found = match self.find_snapshots().await {
            Ok(found) => found,
            Err(e) => {
                let why = e.to_string();
                let what = tr!(
                    "snapshots of {app} in {}: {why}",
                    self.describe_repository()
                );
                work.note_leftover(cx, what, again).await;
                return Err(erase_failed(e));
            }
        };
        let ids: Vec<&str> = found
            .own
            .iter()
            .map(|s| s.id.get(..8).unwrap_or(&s.id))
            .collect();
        if self.restic().is_append_only() {
            if ids.is_empty() && found.holding.is_empty() {
                return Ok(());
            }
            let what = tr!(
                "{} of {app}, and {} of the fleet's own files with its secrets, in {}, which is append-only",
                trn!(ids.len(), "{n} snapshot", "{n} snapshots"),
                trn!(found.holding.len(), "{n} snapshot", "{n} snapshots"),
                self.describe_repository()
            );
            let until = tr!(
                "until you forget them with a key that is not on the fleet (`matou repo forget --repository {} --with FILE`)",
                self.restic().name()
            );
            work.note_leftover(cx, what, until).await;
            return Err(StepError::failed(tr!(
                "{} is append-only: its snapshots of {app} stay, see the record",
                self.describe_repository()
            )));
        }
        let mut told = Vec::new();
        if !ids.is_empty() {
            told.push(tr!(
                "{} in {}: {}",
                trn!(ids.len(), "{n} snapshot", "{n} snapshots"),
                self.describe_repository(),
                ids.join(" ")
            ));
        }
        if !found.holding.is_empty() {
            told.push(tr!(
                "its secrets and its file in {} of the fleet's own files in {}, made anew without them",
                trn!(found.holding.len(), "{n} snapshot", "{n} snapshots"),
                self.describe_repository()
            ));
        }
        work.log_destroyed(&told).await?;
        let mut problem = None;
        if let Err(e) = self.forget_snapshots(cx, &found.own).await {
            let what = tr!(
                "snapshots {} in {}: {e}",
                ids.join(" "),
                self.describe_repository()
            );
            work.note_leftover(cx, what, again).await;
            problem = Some(e);
        }
        if !found.holding.is_empty()
            && let Err(e) = self.thin_fleet_snapshots(cx, &found.holding).await
        {
            let newest = found.holding.iter().map(|s| s.time).max();
            let days = jiff::SignedDuration::from_hours(
                24 * longest_retention_days(&work.fleet.config.backup.keep),
            );
            let end = newest.and_then(|n| n.checked_add(days).ok());
            let end = end.map_or_else(
                || again.to_owned(),
                |end| tr!("{again}, or until {} by the retention", end.strftime("%F")),
            );
            let what = tr!(
                "secrets and file of {app} in {} of the fleet's own files in {}: {e}",
                trn!(found.holding.len(), "{n} snapshot", "{n} snapshots"),
                self.describe_repository()
            );
            work.note_leftover(cx, what, end).await;
            problem.get_or_insert(e);
        }
        // Also for what a killed run has forgotten and not pruned. `--max-unused 0`: nothing of it
        // may stay in packs that other snapshots use.
        let prune = ["prune", "--max-unused", "0"].map(str::to_owned);
        match run_restic_exclusively(cx, self.restic(), "erase-prune", &prune).await {
            Ok(_) => {
                work.log_destroyed(&[self.pruned_line()]).await?;
                let kept = record_snapshot_counts(&work.fleet, self.restic()).await;
                kept.map_err(erase_failed)?;
            }
            Err(e) => {
                let what = tr!(
                    "data of forgotten snapshots in {}: {e}",
                    self.describe_repository()
                );
                work.note_leftover(cx, what, again).await;
                problem.get_or_insert(e);
            }
        }
        match problem {
            Some(e) => Err(erase_failed(e)),
            None => Ok(()),
        }
    }
}

fn erase_failed(error: BackupError) -> StepError {
    match error {
        BackupError::Cancelled => StepError::Cancelled,
        BackupError::Host(e) => StepError::Host(e),
        other => StepError::failed(other.to_string()),
    }
}

#[async_trait]
impl Step for EraseSnapshots {
    fn name(&self) -> String {
        tr!("snapshots in {}", self.restic().name())
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    /// A failure here stops neither the other repositories nor the record.
    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let shown = self
            .planned
            .get_or_init(|| async { self.find_snapshots().await.map_err(OpsError::from) });
        let place = self.describe_repository();
        let found = match shown.await {
            Ok(found) => found,
            Err(why) => {
                let line = Change::same(tr!("snapshots in {place} stay"))
                    .with_warning(tr!("it can't be cleaned now: {why}"));
                return Ok(Check::Change(vec![line]));
            }
        };
        if self.restic().is_append_only() && !(found.own.is_empty() && found.holding.is_empty()) {
            let line = Change::same(tr!("snapshots in {place} stay")).with_warning(tr!(
                "it is append-only: forgetting there takes a key that is not on the fleet"
            ));
            return Ok(Check::Change(vec![line]));
        }
        let mut lines: Vec<Change> = found
            .own
            .iter()
            .map(|s| {
                let id = s.id.get(..8).unwrap_or(&s.id);
                let at = s.time.strftime("%F %R UTC");
                Change::remove(tr!("snapshot {id} of {at} in {place}"))
            })
            .collect();
        if !found.holding.is_empty() {
            lines.push(Change::modify(
                tr!(
                    "{} of the fleet's own files in {place}",
                    trn!(found.holding.len(), "{n} snapshot", "{n} snapshots")
                ),
                tr!("with its secrets and its file"),
                tr!("made anew without them, under new ids"),
            ));
        }
        let begun = self.work.inventory.resumed;
        let done = begun
            && self
                .work
                .read_destroyed_log()
                .await?
                .contains(&self.pruned_line());
        if !lines.is_empty() || (begun && !done) {
            lines.push(Change::remove(tr!(
                "data in {place} that no snapshot needs"
            )));
        }
        Ok(match lines.is_empty() {
            true => Check::Done(vec![Change::same(tr!("no snapshot in {place}"))]),
            false => Check::Change(lines),
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        self.erase_from_repository(cx).await
    }

    /// Looked for anew: a backup may have been made meanwhile.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        let found = self.find_snapshots().await.map_err(erase_failed)?;
        match found.own.is_empty() && found.holding.is_empty() {
            true => Ok(()),
            false => Err(StepError::failed(tr!(
                "snapshots of it are in {} again: run this once more",
                self.describe_repository()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_one_that_shells_take_and_the_longest_span_counts() {
        let out = std::process::Command::new("sh")
            .args(["-n", "-c", REMAKE_SNAPSHOT])
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
        let keep = Retention {
            daily: 7,
            weekly: 5,
            monthly: 12,
            yearly: 3,
            within_days: 2,
        };
        assert_eq!(longest_retention_days(&keep), 3 * 366);
        assert_eq!(
            longest_retention_days(&Retention { yearly: 0, ..keep }),
            12 * 31
        );
    }
}
