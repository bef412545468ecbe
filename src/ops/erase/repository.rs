//! Snapshots of an application in one repository, and what the fleet's own snapshots hold of it.
//!
//! The fleet's snapshots hold every application's secrets. They are made anew without this one's:
//! restored, thinned, and saved again under the same paths, time, host and tags, in a mount namespace
//! of their own; restic before 0.15 has no `rewrite`. Copies get them from the first repository.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::Work;
use super::known::{is_fleets, is_own};
use crate::backup::{BackupError, Guard, Restic, Snapshot, View, data, identity};
use crate::config::Retention;
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::ops::backup::{alone, remember_count, run_unit};
use crate::text::plural;

/// How long one repository may take: pruning reads and writes much.
const PATIENCE: Duration = Duration::from_secs(48 * 3600);

/// Snapshots that one call names.
const AT_ONCE: usize = 500;

/// Makes the snapshot `$1` of time `$2` and host `$3` anew without the application `$5`, by way of the
/// folder `$4`; `$6` tags follow, then its paths.
const REMAKE: &str = r#"id=$1 time=$2 host=$3 stage=$4 app=$5 n=$6; shift 6
rm -rf -- "$stage"; mkdir -p -m 700 -- "$stage" || exit 1
tags=; i=0
while [ $i -lt "$n" ]; do case $1 in *[!a-zA-Z0-9=_.-]*) echo "an odd tag" >&2; exit 1 ;; esac; tags="$tags --tag $1"; shift; i=$((i + 1)); done
restic restore --target "$stage" "$id" >&2 || exit
for p; do
    [ -d "$stage$p" ] || continue
    rm -rf -- "$stage$p/$app" "$stage$p/apps/$app.toml" "$stage$p/stacks/app-$app.yml"
done
inside='set -e; stage=$1 time=$2 host=$3 tags=$4; shift 4
for p; do
    [ -d "$p" ] || { echo "$p is not there any more" >&2; exit 1; }
    mkdir -p -- "$stage$p"; mount --bind -- "$stage$p" "$p"
done
TZ=UTC exec restic backup $limits --time "$time" --host "$host" $tags -- "$@"'
export limits
(credentials; exec unshare -m sh -c "$inside" sh "$stage" "$time" "$host" "$tags" "$@") >&2; c=$?
rm -rf -- "$stage"; exit $c"#;

/// A snapshot list and what of the fleet's holds something of the application.
#[derive(Debug, Clone, Default)]
struct Found {
    own: Vec<Snapshot>,
    holding: Vec<Snapshot>,
}

/// One repository.
pub(super) struct Snapshots {
    work: Arc<Work>,
    nth: usize,
    /// As the plan saw it.
    shown: OnceCell<Result<Found, String>>,
}

#[derive(serde::Deserialize)]
struct Hit {
    #[serde(default)]
    snapshot: String,
}

/// The longest that the policy keeps a snapshot after it was made, days.
fn longest(keep: &Retention) -> i64 {
    let spans = [
        i64::from(keep.within_days),
        i64::from(keep.daily),
        i64::from(keep.weekly) * 7,
        i64::from(keep.monthly) * 31,
        i64::from(keep.yearly) * 366,
    ];
    spans.into_iter().max().unwrap_or_default()
}

impl Snapshots {
    pub fn new(work: Arc<Work>, nth: usize) -> Self {
        Self {
            work,
            nth,
            shown: OnceCell::new(),
        }
    }

    fn restic(&self) -> &Restic {
        &self.work.repositories[self.nth]
    }

    fn is_first(&self) -> bool {
        self.nth == 0
    }

    fn place(&self) -> String {
        format!("{} ({})", self.restic().name(), self.restic().shown())
    }

    /// Written down when the repository was pruned, so that a run that was killed before prunes.
    fn pruned(&self) -> String {
        format!("data of these snapshots in {}", self.place())
    }

    /// What this fleet sees in a repository.
    async fn view(&self, restic: &Restic, all: &[Snapshot]) -> Result<View, BackupError> {
        let cx = &self.work.cx;
        identity::view(&cx.config, &cx.nodes, restic, all).await
    }

    /// The snapshots of the fleet's own files in a repository, but for some.
    async fn fleets(
        &self,
        restic: &Restic,
        but: &[Snapshot],
    ) -> Result<Vec<Snapshot>, BackupError> {
        let all = restic.snapshots(&[]).await?;
        let view = self.view(restic, &all).await?;
        let held = |s: &Snapshot| but.iter().any(|h| h.id == s.id);
        let fleets = all.into_iter().filter(|s| is_fleets(s, &view) && !held(s));
        Ok(fleets.collect())
    }

    async fn found(&self) -> Result<Found, BackupError> {
        let fleet = &self.work.cx.config.fleet.name;
        let all = self.restic().snapshots(&[]).await?;
        let view = self.view(self.restic(), &all).await?;
        let own = all.iter().filter(|s| is_own(s, &view, &self.work.app));
        let own = own.cloned().collect();
        let fleets: Vec<&Snapshot> = all.iter().filter(|s| is_fleets(s, &view)).collect();
        if fleets.is_empty() {
            return Ok(Found {
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
        let hits: Vec<Hit> = match out.stdout.trim_ascii() {
            b"" => Vec::new(),
            text => serde_json::from_slice(text).map_err(|e| {
                BackupError::Wrong(format!("what restic found can't be understood: {e}"))
            })?,
        };
        let holds = |s: &&&Snapshot| hits.iter().any(|h| h.snapshot == s.id);
        let holding = fleets.iter().filter(holds).map(|s| (*s).clone()).collect();
        Ok(Found { own, holding })
    }

    async fn forget(&self, cx: &Cx, all: &[Snapshot]) -> Result<(), BackupError> {
        for some in all.chunks(AT_ONCE) {
            let mut args = vec!["forget".to_owned()];
            args.extend(some.iter().map(|s| s.id.clone()));
            // Another unit's work is not taken for this one's.
            alone(cx, self.restic(), "erase-forget", &args).await?;
        }
        Ok(())
    }

    /// Makes one of the fleet's snapshots anew, unless an interrupted run has.
    async fn remake(&self, cx: &Cx, old: &Snapshot, left: &[Snapshot]) -> Result<(), BackupError> {
        let second = |s: &Snapshot| s.time.as_second();
        if left.iter().any(|s| second(s) == second(old)) {
            return Ok(());
        }
        let stage = data(&self.work.cx.config).join("erased");
        let stage = stage.join(format!("{}.stage", self.work.app));
        let mut args = vec![
            old.id.clone(),
            old.time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            old.hostname.clone(),
            stage.display().to_string(),
            self.work.app.clone(),
            old.tags.len().to_string(),
        ];
        args.extend(old.tags.iter().cloned());
        args.extend(old.paths.iter().cloned());
        let unit = format!("matou-remake-{}", self.restic().name());
        let lasting = self.restic().lasting(&unit, Guard::Shared, REMAKE, args);
        let ended = run_unit(cx, self.restic(), &lasting).await?;
        match ended.code {
            0 => Ok(()),
            code => Err(self.restic().error(&["backup"], code, &ended.said)),
        }
    }

    /// The fleet's snapshots without the application: made anew in the first repository, copied from
    /// there to the others; only then are the old ones forgotten.
    async fn thin(&self, cx: &Cx, holding: &[Snapshot]) -> Result<(), BackupError> {
        let left = self.fleets(self.restic(), holding).await?;
        if self.is_first() {
            for old in holding {
                self.remake(cx, old, &left).await?;
            }
        } else {
            let first = &self.work.repositories[0];
            let there = Self::new(self.work.clone(), 0).found().await?;
            if !there.holding.is_empty() {
                return Err(BackupError::Wrong(format!(
                    "those in {} could not be made anew",
                    first.name()
                )));
            }
            let from = self.fleets(first, &[]).await?;
            let lacking = |s: &&Snapshot| {
                let mut all = left.iter();
                !all.any(|l| l.time == s.time && l.tree == s.tree)
            };
            let ids: Vec<String> = from.iter().filter(lacking).map(|s| s.id.clone()).collect();
            let restic = self.restic().copying_from(first);
            let unit = format!("matou-copy-{}", self.restic().name());
            for some in ids.chunks(AT_ONCE) {
                let body = "restic copy $limits \"$@\"";
                let lasting = restic.lasting(&unit, Guard::Shared, body, some.to_vec());
                let ended = run_unit(cx, &restic, &lasting).await?;
                if ended.code != 0 {
                    return Err(restic.error(&["copy"], ended.code, &ended.said));
                }
            }
        }
        // Nothing is forgotten whose successor is not there.
        let now = self.fleets(self.restic(), holding).await?;
        let second = |s: &Snapshot| s.time.as_second();
        let has = |old: &Snapshot| now.iter().any(|s| second(s) == second(old));
        if let Some(old) = holding.iter().find(|old| !has(old)) {
            return Err(BackupError::Wrong(format!(
                "the one of {} was not made anew: run this again",
                old.time.strftime("%F %R UTC")
            )));
        }
        self.forget(cx, holding).await
    }

    /// Everything; what could not be destroyed is noted.
    async fn destroy(&self, cx: &Cx) -> Result<(), StepError> {
        let work = &self.work;
        let app = &work.app;
        let again = "until this is run again and can do it";
        let found = match self.found().await {
            Ok(found) => found,
            Err(e) => {
                let why = e.to_string();
                let what = format!("snapshots of {app} in {}: {why}", self.place());
                work.leaves(cx, what, again).await;
                return Err(failed(e));
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
            let what = format!(
                "{} of {app}, and {} of the fleet's own files with its secrets, in {}, which is append-only",
                plural(ids.len(), "snapshot"),
                plural(found.holding.len(), "snapshot"),
                self.place()
            );
            let until = format!(
                "until you forget them with a key that is not on the fleet (`matou repo forget --repository {} --with FILE`)",
                self.restic().name()
            );
            work.leaves(cx, what, until).await;
            return Err(StepError::failed(format!(
                "{} is append-only: its snapshots of {app} stay, see the record",
                self.place()
            )));
        }
        let mut told = Vec::new();
        if !ids.is_empty() {
            told.push(format!(
                "{} in {}: {}",
                plural(ids.len(), "snapshot"),
                self.place(),
                ids.join(" ")
            ));
        }
        if !found.holding.is_empty() {
            told.push(format!(
                "its secrets and its file in {} of the fleet's own files in {}, made anew without them",
                plural(found.holding.len(), "snapshot"),
                self.place()
            ));
        }
        work.destroys(&told).await?;
        let mut problem = None;
        if let Err(e) = self.forget(cx, &found.own).await {
            let what = format!("snapshots {} in {}: {e}", ids.join(" "), self.place());
            work.leaves(cx, what, again).await;
            problem = Some(e);
        }
        if !found.holding.is_empty()
            && let Err(e) = self.thin(cx, &found.holding).await
        {
            let newest = found.holding.iter().map(|s| s.time).max();
            let days = jiff::SignedDuration::from_hours(24 * longest(&work.cx.config.backup.keep));
            let end = newest.and_then(|n| n.checked_add(days).ok());
            let end = end.map_or_else(
                || again.to_owned(),
                |end| format!("{again}, or until {} by the retention", end.strftime("%F")),
            );
            let what = format!(
                "secrets and file of {app} in {} of the fleet's own files in {}: {e}",
                plural(found.holding.len(), "snapshot"),
                self.place()
            );
            work.leaves(cx, what, end).await;
            problem.get_or_insert(e);
        }
        // Also what a run that was killed has forgotten and not pruned; not a percent is left in
        // packs that others use.
        let prune = ["prune", "--max-unused", "0"].map(str::to_owned);
        match alone(cx, self.restic(), "erase-prune", &prune).await {
            Ok(_) => {
                work.destroys(&[self.pruned()]).await?;
                let kept = remember_count(&work.cx, self.restic()).await;
                kept.map_err(failed)?;
            }
            Err(e) => {
                let what = format!("data of forgotten snapshots in {}: {e}", self.place());
                work.leaves(cx, what, again).await;
                problem.get_or_insert(e);
            }
        }
        match problem {
            Some(e) => Err(failed(e)),
            None => Ok(()),
        }
    }
}

fn failed(error: BackupError) -> StepError {
    match error {
        BackupError::Cancelled => StepError::Cancelled,
        BackupError::Host(e) => StepError::Host(e),
        other => StepError::failed(other.to_string()),
    }
}

#[async_trait]
impl Step for Snapshots {
    fn name(&self) -> String {
        format!("snapshots in {}", self.restic().name())
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    /// The other repositories are cleaned all the same, and the record is written.
    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let shown = self
            .shown
            .get_or_init(|| async { self.found().await.map_err(|e| e.to_string()) });
        let place = self.place();
        let found = match shown.await {
            Ok(found) => found,
            Err(why) => {
                let line = Change::same(format!("snapshots in {place} stay"))
                    .warn(format!("it can't be cleaned now: {why}"));
                return Ok(Check::Change(vec![line]));
            }
        };
        if self.restic().is_append_only() && !(found.own.is_empty() && found.holding.is_empty()) {
            let line = Change::same(format!("snapshots in {place} stay"))
                .warn("it is append-only: forgetting there takes a key that is not on the fleet");
            return Ok(Check::Change(vec![line]));
        }
        let mut lines: Vec<Change> = found
            .own
            .iter()
            .map(|s| {
                let id = s.id.get(..8).unwrap_or(&s.id);
                let at = s.time.strftime("%F %R UTC");
                Change::remove(format!("snapshot {id} of {at} in {place}"))
            })
            .collect();
        if !found.holding.is_empty() {
            lines.push(Change::modify(
                format!(
                    "{} of the fleet's own files in {place}",
                    plural(found.holding.len(), "snapshot")
                ),
                "with its secrets and its file",
                "made anew without them, under new ids",
            ));
        }
        let begun = self.work.known.resumed;
        let done = begun && self.work.destroyed().await?.contains(&self.pruned());
        if !lines.is_empty() || (begun && !done) {
            lines.push(Change::remove(format!(
                "data in {place} that no snapshot needs"
            )));
        }
        Ok(match lines.is_empty() {
            true => Check::Done(vec![Change::same(format!("no snapshot in {place}"))]),
            false => Check::Change(lines),
        })
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        self.destroy(cx).await
    }

    /// Looked for anew: a backup may have been made meanwhile.
    async fn verify(&self, _: &Cx) -> Result<(), StepError> {
        let found = self.found().await.map_err(failed)?;
        match found.own.is_empty() && found.holding.is_empty() {
            true => Ok(()),
            false => Err(StepError::failed(format!(
                "snapshots of it are in {} again: run this once more",
                self.place()
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
            .args(["-n", "-c", REMAKE])
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
        assert_eq!(longest(&keep), 3 * 366);
        assert_eq!(longest(&Retention { yearly: 0, ..keep }), 12 * 31);
    }
}
