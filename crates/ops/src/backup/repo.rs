//! Work on repositories: making, checking, unlocking, forgetting, pruning, copying.

use matou_i18n::tr;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::anomalies::{self, RepositoryAnomalies};
use super::context::{BackupContext, backup_step_error};
use super::repositories;
use super::restic_unit;
use crate::OpsError;
use crate::repo_work::{CheckData, RepoWork};
use matou_backup::{
    BackupError, CheckSummary, ForgetGroup, ForgottenSnapshots, RepositoryAccess, RepositoryStats,
    Restic, ResticSnapshot, collect_forgotten, forget_args, forget_queries,
};
use matou_base::text::human_bytes;
use matou_job::{Change, Check, Report, Step, StepContext, StepError};

/// Longest that checking, pruning or copying may take.
const REPOSITORY_TIMEOUT: Duration = Duration::from_secs(48 * 3600);

/// Snapshots that one call of `forget` or `copy` names.
const IDS_PER_CALL: usize = 500;

/// A step on one repository.
pub(super) struct RepositoryStep {
    pub work: BackupContext,
    pub restic: Restic,
    pub what: RepoWork,
    /// Part of a nightly backup, which counts the snapshots at its end. Otherwise they are counted
    /// at once.
    pub nightly: bool,
    /// Decisions that were taken.
    accept: Vec<String>,
    /// The repository with the fleet's credentials, if `restic` uses other ones.
    fleet_access: Option<Restic>,
    /// Its anomalies, loaded once.
    anomalies: OnceCell<RepositoryAnomalies>,
    /// What would be forgotten, read once: exactly what was shown is removed.
    to_forget: OnceCell<Vec<ForgottenSnapshots>>,
}

/// Explains why the fleet's own credentials can't forget in an append-only repository, and what
/// can.
pub(super) fn explain_append_only(restic: &Restic, what: &RepoWork) -> String {
    let (name, verb) = match what {
        RepoWork::Prune => (restic.name(), "prune"),
        _ => (restic.name(), "forget"),
    };
    tr!(
        "{name} is append-only: what the fleet holds can't delete there, and a thief can't with it; from your machine `matou repo {verb} --repository {name} --with FILE` does, FILE holding NAME=VALUE lines with the credentials that may delete (docs/backups.md)"
    )
}

/// A lock as the repository holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LockFile {
    /// The lock's id; empty where restic does not print it.
    #[serde(default)]
    pub id: String,
    /// When it was made or refreshed last.
    pub time: jiff::Timestamp,
    /// Nobody else may hold one beside it.
    #[serde(default)]
    pub exclusive: bool,
    /// The machine that holds it.
    #[serde(default)]
    pub hostname: String,
    /// The user who holds it.
    #[serde(default)]
    pub username: String,
    /// The process that holds it.
    #[serde(default)]
    pub pid: i64,
}

impl LockFile {
    /// restic refreshes a lock every five minutes; after thirty it is stale.
    pub fn is_stale(&self, now: jiff::Timestamp) -> bool {
        now.duration_since(self.time) > jiff::SignedDuration::from_mins(30)
    }

    pub(super) fn describe(&self) -> String {
        let now = jiff::Timestamp::now();
        matou_base::text::clean_line(&tr!(
            "lock of process {} on {} ({}), {} old{}",
            self.pid,
            self.hostname,
            self.username,
            matou_base::text::format_age(now, self.time),
            match self.is_stale(now) {
                true => tr!(", stale"),
                false => "",
            }
        ))
        .into_owned()
    }
}

/// What is known of a repository, read now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RepositoryState {
    /// As config.toml names it.
    pub name: String,
    /// Without a password.
    pub location: String,
    /// The version that read it.
    pub restic: String,
    /// How many it holds, of all fleets.
    pub snapshots: u64,
    /// Bytes in the repository.
    pub size: u64,
    /// The fleet's credentials can't delete there, says config.toml.
    pub append_only: bool,
    /// The oldest first.
    pub locks: Vec<LockFile>,
}

/// The locks of a repository, the oldest first.
///
/// # Errors
/// [`BackupError`].
pub(super) async fn list_repository_locks(restic: &Restic) -> Result<Vec<LockFile>, BackupError> {
    let ids = restic
        .run(&["list", "locks", "--no-lock"])
        .await?
        .stdout_text();
    let mut found = Vec::new();
    for id in ids.lines().filter(|l| l.len() >= 16) {
        // One that has just gone is none.
        let Ok(out) = restic.run(&["cat", "lock", id, "--no-lock"]).await else {
            continue;
        };
        if let Ok(mut lock) = serde_json::from_slice::<LockFile>(&out.stdout) {
            lock.id = id.to_owned();
            found.push(lock);
        }
    }
    found.sort_by_key(|l| l.time);
    Ok(found)
}

/// Bytes in a repository, and how many snapshots.
///
/// # Errors
/// [`BackupError`].
pub(super) async fn query_repository_stats(
    restic: &Restic,
) -> Result<RepositoryStats, BackupError> {
    let args = ["stats", "--mode", "raw-data", "--json", "--no-lock"];
    let out = restic.run(&args).await?;
    serde_json::from_slice(&out.stdout)
        .map_err(|e| BackupError::Wrong(tr!("what restic counted can't be understood: {e}")))
}

/// Reads the state of a repository.
///
/// # Errors
/// [`BackupError`].
pub(super) async fn query_repository_state(
    restic: &Restic,
) -> Result<RepositoryState, BackupError> {
    let version = restic.check_version().await?;
    let stats = query_repository_stats(restic).await?;
    Ok(RepositoryState {
        name: restic.name().to_owned(),
        location: restic.shown_location().to_owned(),
        restic: version.to_string(),
        snapshots: restic.list_snapshots(&[]).await?.len() as u64,
        size: stats.total_size,
        append_only: restic.is_append_only(),
        locks: list_repository_locks(restic).await?,
    })
}

impl RepositoryStep {
    pub(crate) fn new(work: &BackupContext, restic: &Restic, what: RepoWork) -> Self {
        Self {
            work: work.clone(),
            restic: restic.clone(),
            what,
            nightly: false,
            accept: Vec::new(),
            fleet_access: None,
            anomalies: OnceCell::new(),
            to_forget: OnceCell::new(),
        }
    }

    /// Sets the decisions that the operator has taken.
    pub(crate) fn with_accepted(mut self, accept: &[String]) -> Self {
        self.accept = accept.to_vec();
        self
    }

    /// Sets how the fleet itself reaches this repository.
    pub(crate) fn with_fleet_access(mut self, fleets: Restic) -> Self {
        self.fleet_access = Some(fleets);
        self
    }

    fn is_primary(&self) -> bool {
        self.restic.name() == self.work.primary.name()
    }

    fn describe_repository(&self) -> String {
        format!("{} ({})", self.restic.name(), self.restic.shown_location())
    }

    async fn snapshots_to_forget(&self) -> Result<&Vec<ForgottenSnapshots>, StepError> {
        self.to_forget
            .get_or_try_init(|| self.find_snapshots_to_forget())
            .await
    }

    async fn load_anomalies(&self) -> Result<&RepositoryAnomalies, StepError> {
        let look = || anomalies::find_anomalies(&self.work, &self.restic);
        self.anomalies.get_or_try_init(look).await
    }

    /// Plans what `forget` does: the open questions, else the snapshots that are let go.
    async fn check_forget(&self, place: &str) -> Result<Check, StepError> {
        let mut lines = self.list_open_questions().await?;
        let doomed = match lines.is_empty() {
            true => self.snapshots_to_forget().await?.as_slice(),
            // The policy says nothing useful while snapshots are missing or dated in the
            // future.
            false => &[],
        };
        let settled = lines.is_empty() && !self.load_anomalies().await?.fewer.is_empty();
        lines.extend(doomed.iter().flat_map(self::forget_plan_lines));
        if settled {
            let line = tr!("what is left is what the next night compares with");
            lines.push(Change::add(format!("{place}: {line}")));
        }
        Ok(match lines.is_empty() {
            true => Check::Done(vec![Change::same(tr!("{place}: every snapshot is kept"))]),
            false => Check::Change(lines),
        })
    }

    /// What must be decided before anything is removed.
    async fn list_open_questions(&self) -> Result<Vec<Change>, StepError> {
        if let Some(fleets) = &self.fleet_access {
            repositories::check_same_repository(fleets, &self.restic).await?;
        }
        let found = self.load_anomalies().await?;
        Ok(found.open_questions(self.restic.name(), &self.accept))
    }

    async fn find_snapshots_to_forget(&self) -> Result<Vec<ForgottenSnapshots>, StepError> {
        let all = self
            .restic
            .list_snapshots(&["matou"])
            .await
            .map_err(backup_step_error)?;
        let view = self
            .work
            .snapshot_view(&self.restic, &all)
            .await
            .map_err(backup_step_error)?;
        let found = self.load_anomalies().await?;
        if found.accepts_ahead(self.restic.name(), &self.accept) {
            let own: Vec<ResticSnapshot> = all.into_iter().filter(|s| view.is_ours(s)).collect();
            return select_ahead_snapshots(&own, &found.ahead).map_err(StepError::from);
        }
        let mut doomed = Vec::new();
        for question in forget_queries(&view, &all) {
            let args = forget_args(&question, &self.work.fleet.config.backup.keep);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let out = self.restic.run(&args).await.map_err(backup_step_error)?;
            // No snapshot: nothing is printed.
            let groups = match out.stdout.trim_ascii() {
                b"" => Vec::new(),
                text => serde_json::from_slice::<Option<Vec<ForgetGroup>>>(text)
                    .map_err(|e| {
                        StepError::failed(tr!("what restic would forget can't be understood: {e}"))
                    })?
                    .unwrap_or_default(),
            };
            doomed
                .extend(collect_forgotten(&view, &question.of, groups).map_err(backup_step_error)?);
        }
        Ok(doomed)
    }

    /// Snapshots of this fleet that the copy lacks: a copied one keeps time and tree.
    async fn find_missing_snapshots(&self) -> Result<Vec<ResticSnapshot>, StepError> {
        let (from, to) = tokio::join!(
            self.work.primary.list_snapshots(&["matou"]),
            self.restic.list_snapshots(&["matou"])
        );
        let (from, to) = (
            from.map_err(backup_step_error)?,
            to.map_err(backup_step_error)?,
        );
        let view = self.work.snapshot_view(&self.work.primary, &from);
        let view = view.await.map_err(backup_step_error)?;
        let there = |s: &ResticSnapshot| to.iter().any(|t| t.time == s.time && t.tree == s.tree);
        Ok(from
            .into_iter()
            .filter(|s| view.is_ours(s) && !there(s))
            .collect())
    }

    async fn init_repository(&self, cx: &StepContext) -> Result<(), StepError> {
        let repository = &self.restic;
        let (restic, args): (_, &[&str]) = match self.is_primary() {
            true => (repository.clone(), &["init"]),
            // The copy must cut files into the same chunks, or it would share no data with what is
            // there.
            false => (
                repository.copying_from(&self.work.primary),
                &["init", "--copy-chunker-params"],
            ),
        };
        restic.run(args).await.map_err(backup_step_error)?;
        if self.is_primary() {
            self.work.fleet_id().await.map_err(backup_step_error)?;
        }
        cx.out
            .note(tr!(
                "keep its password in a second place: without it nobody can read the backups"
            ))
            .await;
        Ok(())
    }

    async fn remove_locks(&self, cx: &StepContext, all: bool) -> Result<(), StepError> {
        let args: &[&str] = match all {
            true => &["unlock", "--remove-all"],
            false => &["unlock"],
        };
        self.restic.run(args).await.map_err(backup_step_error)?;
        for left in list_repository_locks(&self.restic)
            .await
            .map_err(backup_step_error)?
        {
            cx.out
                .note(tr!("{} stays: restic takes it for alive", left.describe()))
                .await;
        }
        Ok(())
    }

    async fn forget_snapshots(&self, cx: &StepContext) -> Result<(), StepError> {
        let mut gone = 0;
        let ids: Vec<String> = self
            .snapshots_to_forget()
            .await?
            .iter()
            .flat_map(|f| f.remove.iter().map(|s| s.id.clone()))
            .collect();
        for some in ids.chunks(IDS_PER_CALL) {
            let mut args = vec!["forget".to_owned()];
            args.extend(some.iter().cloned());
            restic_unit::run_restic_exclusively(cx, &self.restic, "forget", &args)
                .await
                .map_err(backup_step_error)?;
            gone += some.len();
        }
        self.work.report().forgotten += gone;
        Ok(())
    }

    /// Checks the repository, and says what restic counted where its version tells.
    async fn check_repository(&self, cx: &StepContext, data: CheckData) -> Result<(), StepError> {
        let version = self
            .restic
            .check_version()
            .await
            .map_err(backup_step_error)?;
        let mut args = data.restic_args(self.restic.is_append_only());
        if version.has_check_summary() {
            args.push("--json".into());
        }
        let ended = restic_unit::run_restic_exclusively(cx, &self.restic, "check", &args)
            .await
            .map_err(backup_step_error)?;
        // Older versions have said it in their own words.
        for said in ended
            .summary
            .and_then(|s| s.check)
            .iter()
            .flat_map(CheckSummary::describe_sound)
        {
            cx.out.note(said).await;
        }
        Ok(())
    }

    async fn prune_repository(&self, cx: &StepContext) -> Result<(), StepError> {
        let before = query_repository_stats(&self.restic)
            .await
            .map_err(backup_step_error)?;
        let args = ["prune".to_owned()];
        restic_unit::run_restic_exclusively(cx, &self.restic, "prune", &args)
            .await
            .map_err(backup_step_error)?;
        let after = query_repository_stats(&self.restic)
            .await
            .map_err(backup_step_error)?;
        cx.out
            .note(format!(
                "{} → {}",
                human_bytes(before.total_size),
                human_bytes(after.total_size)
            ))
            .await;
        let name = self.restic.name().to_owned();
        self.work.report().pruned.push(name);
        Ok(())
    }

    async fn copy_missing_snapshots(&self, cx: &StepContext) -> Result<(), StepError> {
        let lacking = self.find_missing_snapshots().await?;
        let restic = self.restic.copying_from(&self.work.primary);
        let name = format!("matou-copy-{}", self.restic.name());
        for some in lacking.chunks(IDS_PER_CALL) {
            let ids: Vec<String> = some.iter().map(|s| s.id.clone()).collect();
            let body = "restic copy $limits \"$@\"";
            let lasting = restic.detached_unit(&name, RepositoryAccess::Shared, body, ids);
            let ended = restic_unit::run_restic_unit(cx, &restic, &lasting)
                .await
                .map_err(backup_step_error)?;
            if ended.code != 0 {
                let error = restic.error_of_exit(&["copy"], ended.code, &ended.said);
                return Err(backup_step_error(error));
            }
        }
        let left = self.find_missing_snapshots().await?;
        if !left.is_empty() {
            return Err(StepError::failed(tr!(
                "{} snapshots are still not in {}: run `matou repo copy` again",
                left.len(),
                self.describe_repository()
            )));
        }
        let copied = (self.restic.name().to_owned(), lacking.len());
        self.work.report().copied.push(copied);
        Ok(())
    }
}

#[async_trait]
impl Step for RepositoryStep {
    fn name(&self) -> String {
        format!("{} {}", self.what.title_verb(), self.restic.name())
    }

    fn timeout(&self) -> Duration {
        REPOSITORY_TIMEOUT
    }

    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let place = self.describe_repository();
        Ok(match &self.what {
            RepoWork::Init => {
                self.restic
                    .check_version()
                    .await
                    .map_err(backup_step_error)?;
                match self.restic.list_snapshots(&[]).await {
                    Ok(all) => Check::Done(vec![Change::same(tr!(
                        "repository {place}: {} snapshots",
                        all.len()
                    ))]),
                    Err(BackupError::NoRepository { .. }) => {
                        Check::Change(vec![Change::add(tr!("repository {place}"))])
                    }
                    Err(e) => return Err(backup_step_error(e)),
                }
            }
            RepoWork::Check { data } => {
                self.restic
                    .check_version()
                    .await
                    .map_err(backup_step_error)?;
                let line = tr!("{} of {place} are checked", data.describe());
                Check::Change(vec![Change::add(line)])
            }
            RepoWork::Unlock { all } => {
                let locks = list_repository_locks(&self.restic)
                    .await
                    .map_err(backup_step_error)?;
                let line = |lock: &LockFile| {
                    let change = Change::remove(lock.describe());
                    match all {
                        true => change.with_warning(tr!("whoever works there loses what it does")),
                        false => change,
                    }
                };
                match locks.is_empty() {
                    true => Check::Done(vec![Change::same(tr!("no lock in {place}"))]),
                    false => Check::Change(locks.iter().map(line).collect()),
                }
            }
            RepoWork::Forget | RepoWork::Prune if self.restic.is_append_only() => {
                let line = Change::same(explain_append_only(&self.restic, &self.what));
                Check::Done(vec![line])
            }
            RepoWork::Forget => self.check_forget(&place).await?,
            RepoWork::Prune => {
                let line = tr!("{place}: data that no snapshot needs");
                let mut lines = self.list_open_questions().await?;
                // Pruning removes nothing of snapshots dated in the future, so they need no
                // decision.
                lines.retain(|l| l.accept.as_ref().is_none_or(|a| !a.contains(":ahead-")));
                lines.push(Change::remove(line));
                Check::Change(lines)
            }
            RepoWork::Attack => Check::Done(Vec::new()),
            RepoWork::Copy => {
                let lacking = self.find_missing_snapshots().await?;
                match lacking.len() {
                    0 => Check::Done(vec![Change::same(tr!("{place} has every snapshot"))]),
                    n => Check::Change(vec![Change::add(tr!("{n} snapshots in {place}"))]),
                }
            }
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let name = self.restic.name().to_owned();
        match &self.what {
            RepoWork::Init => self.init_repository(cx).await,
            RepoWork::Check { data } => {
                self.check_repository(cx, *data).await?;
                let part = match data {
                    CheckData::Part { part, of } => format!("{part}/{of} of {name}"),
                    CheckData::All => format!("all of {name}"),
                    CheckData::None => format!("the structure of {name}"),
                };
                self.work.report().checked.push(part);
                Ok(())
            }
            RepoWork::Unlock { all } => self.remove_locks(cx, *all).await,
            RepoWork::Forget => self.forget_snapshots(cx).await,
            RepoWork::Prune => self.prune_repository(cx).await,
            RepoWork::Copy => self.copy_missing_snapshots(cx).await,
            // A step of its own.
            RepoWork::Attack => Ok(()),
        }
    }

    async fn verify(&self, cx: &StepContext) -> Result<(), StepError> {
        match &self.what {
            RepoWork::Init => match self.check(cx).await? {
                Check::Done(_) => Ok(()),
                _ => Err(StepError::failed(tr!(
                    "the repository is not there afterwards"
                ))),
            },
            RepoWork::Forget => {
                let there = self
                    .restic
                    .list_snapshots(&["matou"])
                    .await
                    .map_err(backup_step_error)?;
                let view = self
                    .work
                    .snapshot_view(&self.restic, &there)
                    .await
                    .map_err(backup_step_error)?;
                if !self.nightly {
                    let kept = anomalies::keep_snapshot_counts(&self.work, &self.restic).await;
                    kept.map_err(backup_step_error)?;
                }
                for group in self.snapshots_to_forget().await? {
                    if let Some(left) = there
                        .iter()
                        .find(|s| group.remove.iter().any(|r| r.id == s.id))
                    {
                        return Err(StepError::failed(tr!(
                            "restic ended well, and yet snapshot {} of {} is still there: run it again",
                            matou_base::text::clean_line(&left.short_id),
                            group.of
                        )));
                    }
                    let gone = group.remove.first().map(|s| s.app());
                    let of = |s: &&ResticSnapshot| gone.is_none_or(|gone| gone == s.app());
                    if !there.iter().any(|s| view.is_ours(s) && of(&s)) {
                        return Err(StepError::failed(tr!(
                            "no snapshot of {} is left",
                            group.of
                        )));
                    }
                }
                Ok(())
            }
            // The exit code of restic was checked already; a lock that stays was reported.
            _ => Ok(()),
        }
    }
}

/// Selects the snapshots dated in the future for removal. Fails if an application has no other
/// snapshot.
fn select_ahead_snapshots(
    all: &[ResticSnapshot],
    ahead: &[ResticSnapshot],
) -> Result<Vec<ForgottenSnapshots>, OpsError> {
    let of = |s: &ResticSnapshot| s.app().unwrap_or(tr!("the fleet's own files")).to_owned();
    let mut groups: std::collections::BTreeMap<String, Vec<ResticSnapshot>> = Default::default();
    for snapshot in ahead {
        groups
            .entry(of(snapshot))
            .or_default()
            .push(snapshot.clone());
    }
    let mut doomed = Vec::new();
    for (name, remove) in groups {
        let kept = all.iter().filter(|s| of(s) == name).count() - remove.len();
        if kept == 0 {
            return Err(OpsError::failed(tr!(
                "all snapshots of {name} are dated in the future: correct the clock and make a backup of it first"
            )));
        }
        doomed.push(ForgottenSnapshots {
            of: name,
            remove,
            kept,
        });
    }
    Ok(doomed)
}

/// A line for each snapshot that goes, and one for what stays.
fn forget_plan_lines(group: &ForgottenSnapshots) -> Vec<Change> {
    let mut lines: Vec<Change> = group
        .remove
        .iter()
        .map(|s| {
            Change::remove(tr!(
                "snapshot {} of {}, {}",
                matou_base::text::clean_line(&s.short_id),
                group.of,
                s.time.strftime("%F %R UTC")
            ))
        })
        .collect();
    lines.push(Change::same(tr!(
        "{} snapshots of {} are kept",
        group.kept,
        group.of
    )));
    lines
}

/// Checks that restic is installed in a known version, and that the repository opens with its
/// password.
pub(super) struct CheckRepositoryReachable {
    pub work: BackupContext,
    /// Its snapshots are listed; what is wrong with it is told before anything is begun.
    pub lists_snapshots: bool,
}

#[async_trait]
impl Report for CheckRepositoryReachable {
    fn name(&self) -> String {
        tr!("repository").into()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(900)
    }

    async fn report(&self, _: &StepContext) -> Result<Vec<Change>, StepError> {
        let restic = &self.work.primary;
        let listed = async {
            match self.lists_snapshots {
                true => self.work.planned_snapshots().await.map(|_| ()),
                false => Ok(()),
            }
        };
        let (version, listed) = tokio::join!(self.work.restic_version(), listed);
        // If restic is missing or too old, that is the cause of both errors.
        let version = version.map_err(backup_step_error)?;
        listed.map_err(backup_step_error)?;
        Ok(vec![Change::same(tr!(
            "restic {version}, repository {}",
            restic.shown_location()
        ))])
    }
}
