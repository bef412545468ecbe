//! Whether a repository looks as it should before anything is forgotten or pruned there.

use std::time::Duration;

use super::work::{Work, failed};
use crate::backup::{BackupError, Counted, Fewer, Restic, Snapshot, reports};
use crate::host::{Command, Host};
use crate::job::{Change, StepError};

/// Folder of what was counted after a forget by hand, a file a repository, on the manager.
const COUNTED: &str = "/var/lib/matou/counted";

/// Reports that are looked through for the last count.
const LOOKED: usize = 40;

/// What is not as it should be.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Dated in the future.
    pub ahead: Vec<Snapshot>,
    pub fewer: Vec<Fewer>,
}

impl Found {
    /// What is typed to let the ones dated in the future go.
    fn ahead_word(&self, repository: &str) -> String {
        format!("{repository}:ahead-{}", self.ahead.len())
    }

    /// What is typed to accept that snapshots are gone.
    fn fewer_word(&self, repository: &str) -> String {
        let gone: usize = self.fewer.iter().map(|f| f.before - f.now).sum();
        format!("{repository}:fewer-{gone}")
    }

    /// Whether the operator lets the ones dated in the future go.
    pub fn lets_ahead_go(&self, repository: &str, accept: &[String]) -> bool {
        !self.ahead.is_empty() && accept.contains(&self.ahead_word(repository))
    }

    /// What must be decided before anything is forgotten, and was not.
    pub fn questions(&self, repository: &str, accept: &[String]) -> Vec<Change> {
        let mut lines = Vec::new();
        if let Some(latest) = self.ahead.iter().max_by_key(|s| s.time) {
            let what = format!(
                "{repository}: {} dated in the future, up to {}: a clock was wrong, or somebody wants the policy to keep them and not the others; look at them first (`matou snapshots`), then `matou repo forget --repository {repository} --accept {}` lets them go",
                snapshots(self.ahead.len(), "is", "are"),
                latest.time.strftime("%F %R UTC"),
                self.ahead_word(repository)
            );
            lines.push((what, self.ahead_word(repository)));
        }
        if !self.fewer.is_empty() {
            let each: Vec<String> = self.fewer.iter().map(words).collect();
            let word = self.fewer_word(repository);
            let what = format!(
                "{repository}: snapshots are gone since the last night that matou did not forget: {}; find out who removed them (what is not pruned can be brought back: `restic recover`), then `matou repo forget --repository {repository} --accept {word}` goes on with what is left",
                each.join(", ")
            );
            lines.push((what, word));
        }
        let open = lines.into_iter().filter(|(_, word)| !accept.contains(word));
        open.map(|(what, word)| Change::ask(what, word)).collect()
    }
}

fn snapshots(n: usize, is: &str, are: &str) -> String {
    match n {
        1 => format!("1 snapshot {is}"),
        n => format!("{n} snapshots {are}"),
    }
}

fn words(fewer: &Fewer) -> String {
    let of = match fewer.app.as_str() {
        "" => "the fleet's own files",
        app => app,
    };
    format!("{} of {} of {of} left", fewer.now, fewer.before)
}

/// This fleet's snapshots of a repository.
///
/// # Errors
/// As [`Restic::snapshots`].
pub(super) async fn own(work: &Work, restic: &Restic) -> Result<Vec<Snapshot>, BackupError> {
    let all = restic.snapshots(&["matou"]).await?;
    let view = work.view(restic, &all).await?;
    Ok(all.into_iter().filter(|s| view.is_ours(s)).collect())
}

/// Looks at a repository as it is now.
///
/// # Errors
/// The repository, or the manager that keeps the reports, can't be asked.
pub(super) async fn look(work: &Work, restic: &Restic) -> Result<Found, StepError> {
    let (all, before) = tokio::join!(own(work, restic), last(work, restic.name()));
    let (all, before) = (all.map_err(failed)?, before.map_err(failed)?);
    let view = work.view(restic, &all).await.map_err(failed)?;
    Ok(Found {
        ahead: view.ahead(&all).into_iter().cloned().collect(),
        fewer: before.map(|b| b.fallen(&all)).unwrap_or_default(),
    })
}

/// What was counted last in a repository: by a night, or after a forget by hand.
///
/// # Errors
/// When the manager can't be asked.
pub(super) async fn last(work: &Work, repository: &str) -> Result<Option<Counted>, BackupError> {
    let Some(manager) = manager(work) else {
        return Ok(None);
    };
    let read = Command::sh("cat -- \"$1/$2.json\" 2>/dev/null || :")
        .arg(COUNTED)
        .arg(repository)
        .sudo()
        .timeout(Duration::from_secs(30))
        .label("read what was counted");
    let (nights, by_hand) = tokio::join!(reports(&manager, LOOKED), manager.run_ok(&read));
    let night = nights?
        .into_iter()
        .find_map(|mut r| r.counted.remove(repository));
    let by_hand = serde_json::from_str::<Counted>(&by_hand?.text()).ok();
    Ok(night.into_iter().chain(by_hand).max_by_key(|c| c.at))
}

/// Keeps what is there after the operator forgot by hand: the next night compares with it.
///
/// # Errors
/// The repository or the manager can't be asked.
pub(super) async fn remember(work: &Work, restic: &Restic) -> Result<(), BackupError> {
    let Some(manager) = manager(work) else {
        return Ok(());
    };
    let counted = Counted::count(&own(work, restic).await?, jiff::Timestamp::now());
    let text = serde_json::to_string(&counted).unwrap_or_default() + "\n";
    let script = "set -e; umask 077; mkdir -p -- \"$1\"; cat >\"$1/$2.new\"; [ \"$(wc -c <\"$1/$2.new\")\" -eq \"$3\" ]; mv -f -- \"$1/$2.new\" \"$1/$2.json\"";
    let write = Command::sh(script)
        .arg(COUNTED)
        .arg(restic.name())
        .arg(text.len().to_string())
        .stdin(text.into_bytes())
        .sudo()
        .timeout(Duration::from_secs(30))
        .label("keep what was counted");
    manager.run_ok(&write).await?;
    Ok(())
}

fn manager(work: &Work) -> Option<Host> {
    super::night::manager(&work.cx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_about_what_was_seen() {
        let ahead = r#"{"time":"2031-01-01T00:00:00Z","id":"ab"}"#;
        let found = Found {
            ahead: vec![serde_json::from_str(ahead).unwrap()],
            fewer: vec![Fewer {
                app: "shop".into(),
                before: 9,
                now: 2,
            }],
        };
        let lines = found.questions("main", &[]);
        assert!(
            lines[0]
                .what
                .contains("1 snapshot is dated in the future, up to 2031-01-01")
        );
        assert!(
            lines[1].what.contains("2 of 9 of shop left"),
            "{}",
            lines[1]
        );
        let accept = ["main:ahead-1".to_owned(), "main:fewer-6".to_owned()];
        let open = found.questions("main", &accept);
        assert_eq!(open.len(), 1, "{open:?}");
        assert_eq!(open[0].accept.as_deref(), Some("main:fewer-7"));
        assert!(found.lets_ahead_go("main", &accept));
        assert!(!found.lets_ahead_go("away", &accept));
        assert!(Found::default().questions("main", &[]).is_empty());
    }
}
