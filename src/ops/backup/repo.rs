//! Work on repositories: making, checking, unlocking, forgetting, pruning, copying.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::guard::{self, Found};
use super::unit;
use super::with;
use super::work::{Work, failed};
use crate::backup::{
    BackupError, ForgetGroup, Forgotten, Guard, Restic, Snapshot, Stats, forget_args, forgotten,
    questions,
};
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::text::human_bytes;

/// Longest that checking, pruning or copying may take.
const PATIENCE: Duration = Duration::from_secs(48 * 3600);

/// Snapshots that one call of `forget` or `copy` names.
const AT_ONCE: usize = 500;

/// What is done with a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
pub enum RepoWork {
    /// Makes it where there is none.
    Init,
    /// Checks its structure, and reads a part of its data.
    Check { data: CheckData },
    /// Removes stale locks; all of them when that is asked for.
    Unlock { all: bool },
    /// Forgets the snapshots that the policy does not keep.
    Forget,
    /// Removes data that no snapshot needs.
    Prune,
    /// Copies what it lacks from the first repository.
    Copy,
    /// Tries what a thief would who has what the fleet has.
    Attack,
}

/// What of the data is read by a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckData {
    /// Nothing but indexes and trees.
    None,
    /// One part of so many.
    Part {
        part: u32,
        of: u32,
    },
    All,
}

impl CheckData {
    /// Tonight's part.
    pub fn tonight(parts: u32) -> Self {
        let parts = parts.max(1);
        let day = jiff::Timestamp::now().as_second().div_euclid(86_400);
        let part = u32::try_from(day.rem_euclid(i64::from(parts))).unwrap_or(0) + 1;
        Self::Part { part, of: parts }
    }

    /// Where nothing is ever deleted a check needs no lock, and may not be able to take its own
    /// away again.
    fn args(self, append_only: bool) -> Vec<String> {
        let mut args = vec!["check".to_owned()];
        if append_only {
            args.push("--no-lock".into());
        }
        match self {
            Self::None => {}
            Self::Part { part, of } => args.push(format!("--read-data-subset={part}/{of}")),
            Self::All => args.push("--read-data".into()),
        }
        args
    }

    fn words(self) -> String {
        match self {
            Self::None => "indexes and trees".into(),
            Self::Part { part, of } => {
                format!("indexes, trees and part {part} of {of} of the data")
            }
            Self::All => "indexes, trees and all data".into(),
        }
    }
}

impl RepoWork {
    /// As in a title.
    pub(in crate::ops) fn words(&self) -> &'static str {
        match self {
            Self::Init => "make",
            Self::Check { .. } => "check",
            Self::Unlock { .. } => "unlock",
            Self::Forget => "forget old snapshots in",
            Self::Prune => "prune",
            Self::Copy => "copy to",
            Self::Attack => "attack",
        }
    }
}

/// A step on one repository.
pub(super) struct Repo {
    pub work: Work,
    pub restic: Restic,
    pub what: RepoWork,
    /// It counts what is left at the end of the night, by hand at once.
    pub nightly: bool,
    /// Decisions that were taken.
    accept: Vec<String>,
    /// The repository by the fleet's way, where `restic` goes another.
    fleets: Option<Restic>,
    /// Whether it looks as it should, read once.
    found: OnceCell<Found>,
    /// What would be forgotten, read once: exactly what was shown is removed.
    doomed: OnceCell<Vec<Forgotten>>,
}

/// Why the fleet's own credentials forget nothing in an append-only repository, and what does.
pub(super) fn left_alone(restic: &Restic, what: &RepoWork) -> String {
    let (name, verb) = match what {
        RepoWork::Prune => (restic.name(), "prune"),
        _ => (restic.name(), "forget"),
    };
    format!(
        "{name} is append-only: what the fleet holds can't delete there, and a thief can't with it; from your machine `matou repo {verb} --repository {name} --with FILE` does, FILE holding NAME=VALUE lines with the credentials that may delete (docs/backups.md)"
    )
}

/// A lock as the repository holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LockFile {
    #[serde(default)]
    pub id: String,
    pub time: jiff::Timestamp,
    #[serde(default)]
    pub exclusive: bool,
    #[serde(default)]
    pub hostname: String,
    #[serde(default)]
    pub username: String,
    #[serde(default)]
    pub pid: i64,
}

impl LockFile {
    /// restic refreshes a lock every five minutes; after thirty it is stale.
    pub fn is_stale(&self, now: jiff::Timestamp) -> bool {
        now.duration_since(self.time) > jiff::SignedDuration::from_mins(30)
    }

    pub(super) fn words(&self) -> String {
        let now = jiff::Timestamp::now();
        crate::text::clean(&format!(
            "lock of process {} on {} ({}), {} old{}",
            self.pid,
            self.hostname,
            self.username,
            crate::text::age(now, self.time),
            match self.is_stale(now) {
                true => ", stale",
                false => "",
            }
        ))
        .into_owned()
    }
}

/// What is known of a repository, read now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RepositoryState {
    pub name: String,
    /// Without a password.
    pub location: String,
    pub restic: String,
    pub snapshots: u64,
    /// Bytes in the repository.
    pub size: u64,
    /// The fleet's credentials can't delete there, says config.toml.
    pub append_only: bool,
    pub locks: Vec<LockFile>,
}

/// The locks of a repository, the oldest first.
///
/// # Errors
/// [`BackupError`].
pub(super) async fn locks(restic: &Restic) -> Result<Vec<LockFile>, BackupError> {
    let ids = restic.run(&["list", "locks", "--no-lock"]).await?.text();
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
pub(super) async fn size(restic: &Restic) -> Result<Stats, BackupError> {
    let args = ["stats", "--mode", "raw-data", "--json", "--no-lock"];
    let out = restic.run(&args).await?;
    serde_json::from_slice(&out.stdout)
        .map_err(|e| BackupError::Wrong(format!("what restic counted can't be understood: {e}")))
}

/// Reads the state of a repository.
///
/// # Errors
/// [`BackupError`].
pub(super) async fn state(restic: &Restic) -> Result<RepositoryState, BackupError> {
    let version = restic.version().await?;
    let stats = size(restic).await?;
    Ok(RepositoryState {
        name: restic.name().to_owned(),
        location: restic.shown().to_owned(),
        restic: version.to_string(),
        snapshots: restic.snapshots(&[]).await?.len() as u64,
        size: stats.total_size,
        append_only: restic.is_append_only(),
        locks: locks(restic).await?,
    })
}

impl Repo {
    pub fn new(work: &Work, restic: &Restic, what: RepoWork) -> Self {
        Self {
            work: work.clone(),
            restic: restic.clone(),
            what,
            nightly: false,
            accept: Vec::new(),
            fleets: None,
            found: OnceCell::new(),
            doomed: OnceCell::new(),
        }
    }

    /// With decisions that were taken.
    pub fn accepting(mut self, accept: &[String]) -> Self {
        self.accept = accept.to_vec();
        self
    }

    /// Of a repository that the fleet reaches as `fleets`.
    pub fn with_fleets(mut self, fleets: Restic) -> Self {
        self.fleets = Some(fleets);
        self
    }

    fn is_primary(&self) -> bool {
        self.restic.name() == self.work.primary.name()
    }

    fn place(&self) -> String {
        format!("{} ({})", self.restic.name(), self.restic.shown())
    }

    async fn doomed(&self) -> Result<&Vec<Forgotten>, StepError> {
        self.doomed.get_or_try_init(|| self.judge()).await
    }

    async fn found(&self) -> Result<&Found, StepError> {
        let look = || guard::look(&self.work, &self.restic);
        self.found.get_or_try_init(look).await
    }

    /// What must be decided before anything is removed.
    async fn open(&self) -> Result<Vec<Change>, StepError> {
        if let Some(fleets) = &self.fleets {
            with::is_the_same(fleets, &self.restic).await?;
        }
        let found = self.found().await?;
        Ok(found.questions(self.restic.name(), &self.accept))
    }

    async fn judge(&self) -> Result<Vec<Forgotten>, StepError> {
        let all = self.restic.snapshots(&["matou"]).await.map_err(failed)?;
        let view = self.work.view(&self.restic, &all).await.map_err(failed)?;
        let found = self.found().await?;
        if found.lets_ahead_go(self.restic.name(), &self.accept) {
            let own: Vec<Snapshot> = all.into_iter().filter(|s| view.is_ours(s)).collect();
            return only(&own, &found.ahead).map_err(StepError::Failed);
        }
        let mut doomed = Vec::new();
        for question in questions(&view, &all) {
            let args = forget_args(&question, &self.work.cx.config.backup.keep);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let out = self.restic.run(&args).await.map_err(failed)?;
            // No snapshot: nothing is printed.
            let groups = match out.stdout.trim_ascii() {
                b"" => Vec::new(),
                text => serde_json::from_slice::<Option<Vec<ForgetGroup>>>(text)
                    .map_err(|e| {
                        StepError::failed(format!(
                            "what restic would forget can't be understood: {e}"
                        ))
                    })?
                    .unwrap_or_default(),
            };
            doomed.extend(forgotten(&view, &question.of, groups).map_err(StepError::Failed)?);
        }
        Ok(doomed)
    }

    /// Snapshots of this fleet that the copy lacks: a copied one keeps time and tree.
    async fn lacking(&self) -> Result<Vec<Snapshot>, StepError> {
        let (from, to) = tokio::join!(
            self.work.primary.snapshots(&["matou"]),
            self.restic.snapshots(&["matou"])
        );
        let (from, to) = (from.map_err(failed)?, to.map_err(failed)?);
        let view = self.work.view(&self.work.primary, &from);
        let view = view.await.map_err(failed)?;
        let there = |s: &Snapshot| to.iter().any(|t| t.time == s.time && t.tree == s.tree);
        Ok(from
            .into_iter()
            .filter(|s| view.is_ours(s) && !there(s))
            .collect())
    }

    async fn init(&self, cx: &Cx) -> Result<(), StepError> {
        let repository = &self.restic;
        let (restic, args): (_, &[&str]) = match self.is_primary() {
            true => (repository.clone(), &["init"]),
            // The same cuts, or nothing of a copy would be shared with what is there.
            false => (
                repository.copying_from(&self.work.primary),
                &["init", "--copy-chunker-params"],
            ),
        };
        restic.run(args).await.map_err(failed)?;
        if self.is_primary() {
            self.work.id().await.map_err(failed)?;
        }
        cx.out
            .note("keep its password in a second place: without it nobody can read the backups")
            .await;
        Ok(())
    }

    async fn unlock(&self, cx: &Cx, all: bool) -> Result<(), StepError> {
        let args: &[&str] = match all {
            true => &["unlock", "--remove-all"],
            false => &["unlock"],
        };
        self.restic.run(args).await.map_err(failed)?;
        for left in locks(&self.restic).await.map_err(failed)? {
            cx.out
                .note(format!("{} stays: restic takes it for alive", left.words()))
                .await;
        }
        Ok(())
    }

    async fn forget(&self, cx: &Cx) -> Result<(), StepError> {
        let mut gone = 0;
        let ids: Vec<String> = self
            .doomed()
            .await?
            .iter()
            .flat_map(|f| f.remove.iter().map(|s| s.id.clone()))
            .collect();
        for some in ids.chunks(AT_ONCE) {
            let mut args = vec!["forget".to_owned()];
            args.extend(some.iter().cloned());
            unit::alone(cx, &self.restic, "forget", &args)
                .await
                .map_err(failed)?;
            gone += some.len();
        }
        self.work.report().forgotten += gone;
        Ok(())
    }

    async fn prune(&self, cx: &Cx) -> Result<(), StepError> {
        let before = size(&self.restic).await.map_err(failed)?;
        let args = ["prune".to_owned()];
        unit::alone(cx, &self.restic, "prune", &args)
            .await
            .map_err(failed)?;
        let after = size(&self.restic).await.map_err(failed)?;
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

    async fn copy(&self, cx: &Cx) -> Result<(), StepError> {
        let lacking = self.lacking().await?;
        let restic = self.restic.copying_from(&self.work.primary);
        let name = format!("matou-copy-{}", self.restic.name());
        for some in lacking.chunks(AT_ONCE) {
            let ids: Vec<String> = some.iter().map(|s| s.id.clone()).collect();
            let body = "restic copy $limits \"$@\"";
            let lasting = restic.lasting(&name, Guard::Shared, body, ids);
            let ended = unit::run(cx, &restic, &lasting).await.map_err(failed)?;
            if ended.code != 0 {
                let error = restic.error(&["copy"], ended.code, &ended.said);
                return Err(failed(error));
            }
        }
        let left = self.lacking().await?;
        if !left.is_empty() {
            return Err(StepError::failed(format!(
                "{} snapshots are still not in {}: run `matou repo copy` again",
                left.len(),
                self.place()
            )));
        }
        let copied = (self.restic.name().to_owned(), lacking.len());
        self.work.report().copied.push(copied);
        Ok(())
    }
}

#[async_trait]
impl Step for Repo {
    fn name(&self) -> String {
        format!("{} {}", self.what.words(), self.restic.name())
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let place = self.place();
        Ok(match &self.what {
            RepoWork::Init => {
                self.restic.version().await.map_err(failed)?;
                match self.restic.snapshots(&[]).await {
                    Ok(all) => Check::Done(vec![Change::same(format!(
                        "repository {place}: {} snapshots",
                        all.len()
                    ))]),
                    Err(BackupError::NoRepository { .. }) => {
                        Check::Change(vec![Change::add(format!("repository {place}"))])
                    }
                    Err(e) => return Err(failed(e)),
                }
            }
            RepoWork::Check { data } => {
                self.restic.version().await.map_err(failed)?;
                let line = format!("{} of {place} are checked", data.words());
                Check::Change(vec![Change::add(line)])
            }
            RepoWork::Unlock { all } => {
                let locks = locks(&self.restic).await.map_err(failed)?;
                let line = |lock: &LockFile| {
                    let change = Change::remove(lock.words());
                    match all {
                        true => change.warn("whoever works there loses what it does"),
                        false => change,
                    }
                };
                match locks.is_empty() {
                    true => Check::Done(vec![Change::same(format!("no lock in {place}"))]),
                    false => Check::Change(locks.iter().map(line).collect()),
                }
            }
            RepoWork::Forget | RepoWork::Prune if self.restic.is_append_only() => {
                let line = Change::same(left_alone(&self.restic, &self.what));
                Check::Done(vec![line])
            }
            RepoWork::Forget => {
                let mut lines = self.open().await?;
                let doomed = match lines.is_empty() {
                    true => self.doomed().await?.as_slice(),
                    // What the policy says of such a repository is of no use.
                    false => &[],
                };
                let settled = lines.is_empty() && !self.found().await?.fewer.is_empty();
                lines.extend(doomed.iter().flat_map(self::lines));
                if settled {
                    let line = "what is left is what the next night compares with";
                    lines.push(Change::add(format!("{place}: {line}")));
                }
                match lines.is_empty() {
                    true => Check::Done(vec![Change::same(format!(
                        "{place}: every snapshot is kept"
                    ))]),
                    false => Check::Change(lines),
                }
            }
            RepoWork::Prune => {
                let line = format!("{place}: data that no snapshot needs");
                let mut lines = self.open().await?;
                // What is dated ahead loses nothing by it.
                lines.retain(|l| l.accept.as_ref().is_none_or(|a| !a.contains(":ahead-")));
                lines.push(Change::remove(line));
                Check::Change(lines)
            }
            RepoWork::Attack => Check::Done(Vec::new()),
            RepoWork::Copy => {
                let lacking = self.lacking().await?;
                match lacking.len() {
                    0 => Check::Done(vec![Change::same(format!("{place} has every snapshot"))]),
                    n => Check::Change(vec![Change::add(format!("{n} snapshots in {place}"))]),
                }
            }
        })
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let name = self.restic.name().to_owned();
        match &self.what {
            RepoWork::Init => self.init(cx).await,
            RepoWork::Check { data } => {
                let ended = unit::alone(
                    cx,
                    &self.restic,
                    "check",
                    &data.args(self.restic.is_append_only()),
                )
                .await;
                ended.map_err(failed)?;
                let part = match data {
                    CheckData::Part { part, of } => format!("{part}/{of} of {name}"),
                    CheckData::All => format!("all of {name}"),
                    CheckData::None => format!("the structure of {name}"),
                };
                self.work.report().checked.push(part);
                Ok(())
            }
            RepoWork::Unlock { all } => self.unlock(cx, *all).await,
            RepoWork::Forget => self.forget(cx).await,
            RepoWork::Prune => self.prune(cx).await,
            RepoWork::Copy => self.copy(cx).await,
            // A step of its own.
            RepoWork::Attack => Ok(()),
        }
    }

    async fn verify(&self, cx: &Cx) -> Result<(), StepError> {
        match &self.what {
            RepoWork::Init => match self.check(cx).await? {
                Check::Done(_) => Ok(()),
                _ => Err(StepError::failed("the repository is not there afterwards")),
            },
            RepoWork::Forget => {
                let there = self.restic.snapshots(&["matou"]).await.map_err(failed)?;
                let view = self.work.view(&self.restic, &there).await.map_err(failed)?;
                if !self.nightly {
                    let kept = guard::remember(&self.work, &self.restic).await;
                    kept.map_err(failed)?;
                }
                for group in self.doomed().await? {
                    let of = |s: &&Snapshot| s.app().unwrap_or("the fleet's own files") == group.of;
                    if !there.iter().any(|s| view.is_ours(s) && of(&s)) {
                        return Err(StepError::failed(format!(
                            "no snapshot of {} is left",
                            group.of
                        )));
                    }
                }
                Ok(())
            }
            // Their own exit codes tell; a lock that stays was told.
            _ => Ok(()),
        }
    }
}

/// The snapshots dated in the future alone, where others of the same application are left.
fn only(all: &[Snapshot], ahead: &[Snapshot]) -> Result<Vec<Forgotten>, String> {
    let of = |s: &Snapshot| s.app().unwrap_or("the fleet's own files").to_owned();
    let mut groups: std::collections::BTreeMap<String, Vec<Snapshot>> = Default::default();
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
            return Err(format!(
                "all snapshots of {name} are dated in the future: correct the clock and make a backup of it first"
            ));
        }
        doomed.push(Forgotten {
            of: name,
            remove,
            kept,
        });
    }
    Ok(doomed)
}

/// A line for each snapshot that goes, and one for what stays.
fn lines(group: &Forgotten) -> Vec<Change> {
    let mut lines: Vec<Change> = group
        .remove
        .iter()
        .map(|s| {
            Change::remove(format!(
                "snapshot {} of {}, {}",
                crate::text::clean(&s.short_id),
                group.of,
                s.time.strftime("%F %R UTC")
            ))
        })
        .collect();
    lines.push(Change::same(format!(
        "{} snapshots of {} are kept",
        group.kept, group.of
    )));
    lines
}

/// A restic that is known; and the repository answers, with the right password.
pub(super) struct Reachable {
    pub work: Work,
    /// Its snapshots are listed; what is wrong with it is told before anything is begun.
    pub listed: bool,
}

#[async_trait]
impl Step for Reachable {
    fn name(&self) -> String {
        "repository".into()
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(900)
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let restic = &self.work.primary;
        let listed = async {
            match self.listed {
                true => self.work.snapshots().await.map(|_| ()),
                false => Ok(()),
            }
        };
        let (version, listed) = tokio::join!(self.work.version(), listed);
        // A restic that is missing or too old is why the other failed.
        let version = version.map_err(failed)?;
        listed.map_err(failed)?;
        Ok(Check::Done(vec![Change::same(format!(
            "restic {version}, repository {}",
            restic.shown()
        ))]))
    }

    async fn apply(&self, _: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}
