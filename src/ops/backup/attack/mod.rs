//! `matou repo attack`: what could whoever broke into the fleet do to a repository? It makes a tiny
//! snapshot of its own and attacks that, by restic and by the repository's protocol.

mod way;

use std::time::Duration;

use async_trait::async_trait;

use super::repo::locks;
use super::work::{Work, failed};
use crate::backup::{BackupError, Restic, Snapshot};
use crate::job::{Change, Check, Cx, Step, StepError};

/// The tag of the attack's own snapshot; without the tag `matou` it is no backup of anything.
const TAG: &str = "matou-attack";

const MARK: &str = "printf 'made by matou repo attack, to be deleted by it\\n' | restic backup --quiet --stdin --stdin-filename /matou-attack --host \"$1\" --tag \"$2\"";

/// SIGINT makes restic give its lock back; since 0.17 it would try for a quarter of an hour.
const FORGET: &str = "credentials; exec timeout -s INT -k 20 40 restic forget \"$@\" </dev/null";

/// How one attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ended {
    Could,
    /// It looks gone, and an old version of it stays.
    Kept,
    Refused(String),
    /// It did not work, and nobody knows whether it was refused.
    Unclear(String),
}

impl Ended {
    fn read(word: &str, said: &str) -> Self {
        let said = crate::text::clean(said.trim()).into_owned();
        match word {
            "could" => Self::Could,
            "kept" => Self::Kept,
            "refused" => Self::Refused(said),
            _ => Self::Unclear(said),
        }
    }

    fn words(&self) -> String {
        let why = |said: &String| match said.as_str() {
            "" => String::new(),
            said => format!(" ({said})"),
        };
        match self {
            Self::Could => "POSSIBLE".into(),
            Self::Kept => "hidden, but an old version of it stays and can be brought back".into(),
            Self::Refused(said) => format!("refused{}", why(said)),
            Self::Unclear(said) => format!("NOT KNOWN{}", why(said)),
        }
    }
}

/// What was tried: words, whether it harms, how it ended.
#[derive(Debug, PartialEq)]
struct Tried {
    what: String,
    harms: bool,
    ended: Ended,
}

/// What the script told; the second is what it could not put back.
fn read(text: &str) -> (Vec<Tried>, Option<String>) {
    let (mut all, mut damaged) = (Vec::new(), None);
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let (what, word, said) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let (what, harms, ended) = match what {
            "overwrite" => ("overwrite a file".into(), true, Ended::read(word, said)),
            "delete" => ("delete a file".into(), true, Ended::read(word, said)),
            "probe" => {
                let (answer, said) = said.split_once(' ').unwrap_or((said, ""));
                let ended = Ended::read(answer, said);
                match word {
                    "locks" => ("remove locks".into(), false, ended),
                    of => (format!("delete in {of}/"), true, ended),
                }
            }
            "unread" => {
                let said = format!("{word} {said}");
                let ended = Ended::Unclear(crate::text::clean(said.trim()).into_owned());
                ("overwrite and delete a file".into(), true, ended)
            }
            "damaged" => {
                damaged = Some(word.to_owned());
                continue;
            }
            _ => continue,
        };
        all.push(Tried { what, harms, ended });
    }
    (all, damaged)
}

/// The attack on one repository.
pub(super) struct Attack {
    work: Work,
    restic: Restic,
}

impl Attack {
    pub fn new(work: &Work, restic: &Restic) -> Self {
        Self {
            work: work.clone(),
            restic: restic.clone(),
        }
    }

    async fn markers(&self) -> Result<Vec<Snapshot>, BackupError> {
        let all = self.restic.snapshots(&[TAG]).await?;
        let fleet = self.work.fleet();
        Ok(all.into_iter().filter(|s| s.hostname == fleet).collect())
    }

    /// The attack's own snapshot: one that an earlier attack could not delete, or a new one.
    async fn marker(&self) -> Result<Snapshot, StepError> {
        if let Some(there) = self.markers().await.map_err(failed)?.pop() {
            return Ok(there);
        }
        let script = self.restic.script(MARK);
        let command = script
            .args([self.work.fleet(), TAG])
            .timeout(Duration::from_secs(300))
            .label("restic backup of the attack's own snapshot");
        let out = self.restic.host().run(&command).await?;
        if out.code != 0 {
            let said = String::from_utf8_lossy(&out.stderr);
            return Err(failed(self.restic.error(&["backup"], out.code, &said)));
        }
        let made = self.markers().await.map_err(failed)?.pop();
        made.ok_or_else(|| StepError::failed("the attack's own snapshot is not there"))
    }

    /// restic's own way: `forget`.
    async fn forget(&self, marker: &Snapshot) -> Result<Ended, StepError> {
        let command = self.restic.script(FORGET);
        let command = command
            .arg(marker.id.clone())
            .timeout(Duration::from_secs(120))
            .label("restic forget of the attack's own snapshot");
        let out = self.restic.host().run(&command).await?;
        let left = self.markers().await.map_err(failed)?;
        if !left.iter().any(|s| s.id == marker.id) {
            return Ok(Ended::Could);
        }
        let said = self
            .restic
            .without_secrets(&String::from_utf8_lossy(&out.stderr));
        Ok(refusal(&said, out.code))
    }
}

/// What restic's words say of a snapshot that is still there.
fn refusal(said: &str, code: i32) -> Ended {
    const REFUSED: [&str; 8] = [
        "403",
        "Forbidden",
        "Access Denied",
        "AccessDenied",
        "permission denied",
        "Permission denied",
        "operation not permitted",
        "read-only file system",
    ];
    let last = |line: &str| crate::text::clean(line.trim()).into_owned();
    let lines = || said.lines().filter(|l| !l.trim().is_empty());
    match lines().find(|l| REFUSED.iter().any(|w| l.contains(w))) {
        Some(line) => {
            let why = line.rsplit(": ").next().unwrap_or(line);
            Ended::Refused(last(why))
        }
        None => {
            let why = lines().next_back().map(last);
            Ended::Unclear(why.unwrap_or_else(|| format!("exit code {code}")))
        }
    }
}

#[async_trait]
impl Step for Attack {
    fn name(&self) -> String {
        format!("attack {}", self.restic.name())
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1800)
    }

    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        self.restic.version().await.map_err(failed)?;
        let place = format!("{} ({})", self.restic.name(), self.restic.shown());
        let line = match self.markers().await.map_err(failed)?.is_empty() {
            true => format!("a tiny snapshot tagged {TAG} in {place}, which alone is attacked"),
            false => {
                format!("the snapshot tagged {TAG} in {place} is attacked again, nothing else")
            }
        };
        Ok(Check::Change(vec![Change::add(line)]))
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let name = self.restic.name();
        let marker = self.marker().await?;
        let path = format!("snapshots/{}", marker.id);
        let none = crate::text::sha256(format!("{} {name}", jiff::Timestamp::now()).as_bytes());
        let mut all = Vec::new();
        match way::command(&self.restic, &path, &none) {
            None => {
                let why =
                    "overwrite and delete a file: not tried, only restic speaks its protocol here";
                cx.out.note(format!("{name}: {why}")).await;
            }
            Some(command) => {
                let label = "attack the attack's own snapshot";
                let command = command.timeout(Duration::from_secs(600)).label(label);
                let out = self.restic.host().run(&command).await?;
                let (tried, damaged) = read(&self.restic.without_secrets(&out.text()));
                all.extend(tried);
                if let Some(path) = damaged {
                    let said = format!(
                        "{name}: the attack's own {path} could be changed and not be put back: remove that file from the repository"
                    );
                    cx.out.note(said).await;
                }
            }
        }
        let kept = all.iter().any(|t| t.ended == Ended::Kept);
        let ended = match kept {
            // It would hide what the next attack needs.
            true => Ended::Kept,
            false => self.forget(&marker).await?,
        };
        let is_gone = ended == Ended::Could;
        all.insert(
            0,
            Tried {
                what: "delete a snapshot (restic forget)".into(),
                harms: true,
                ended,
            },
        );
        for tried in &all {
            let line = format!("{name}: {}: {}", tried.what, tried.ended.words());
            cx.out.note(line).await;
        }
        for line in [
            "remove data (restic prune): not tried, it would touch more than the attack's own; it deletes files as above",
            "delete keys and config: not tried on the real ones",
            "add snapshots, keys and files that are none: possible, whoever backs up can; who has the password reads everything for ever",
        ] {
            cx.out.note(format!("{name}: {line}")).await;
        }
        let left = match is_gone {
            true => format!(
                "the attack's own snapshot is gone; its kilobyte of data goes with the next prune of {name}"
            ),
            false => format!(
                "the attack's own snapshot {} stays, and is used again by the next attack",
                marker.short_id
            ),
        };
        cx.out.note(format!("{name}: {left}")).await;
        if let Ok(locks) = locks(&self.restic).await
            && !locks.is_empty()
        {
            let n = locks.len();
            cx.out
                .note(format!("{name}: {n} locks are there now"))
                .await;
        }
        judge(name, self.restic.is_append_only(), &all, cx).await
    }

    async fn verify(&self, _: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}

/// A repository that config.toml calls append-only and could be harmed, or may be, is a failure.
async fn judge(name: &str, append_only: bool, all: &[Tried], cx: &Cx) -> Result<(), StepError> {
    let harms = |ended: fn(&Ended) -> bool| -> Vec<&str> {
        let found = all.iter().filter(|t| t.harms && ended(&t.ended));
        found.map(|t| t.what.as_str()).collect()
    };
    let could = harms(|e| *e == Ended::Could);
    let unclear = harms(|e| matches!(e, Ended::Unclear(_)));
    match (append_only, could.is_empty(), unclear.is_empty()) {
        (true, false, _) => Err(StepError::failed(format!(
            "{name} is append_only in config.toml, and whoever has the fleet's credentials can {}: its server must refuse that",
            could.join(", ")
        ))),
        (true, true, false) => Err(StepError::failed(format!(
            "it is not proven that {name} is append-only: {} did not work, and not because it was refused",
            unclear.join(", ")
        ))),
        (true, true, true) => {
            let line = format!("{name}: what was tried was refused: its snapshots stay");
            cx.out.note(line).await;
            Ok(())
        }
        (false, ..) => {
            let line = format!(
                "{name} is not append-only: whoever breaks into the fleet can delete it; a copy on a server that refuses that can't be deleted (docs/backups.md)"
            );
            cx.out.note(line).await;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_tells_is_read() {
        let (all, damaged) = read(
            "overwrite refused 403\ndelete could\nprobe keys refused 403\nprobe locks could\nnoise\n",
        );
        assert_eq!(all.len(), 4);
        assert_eq!(all[0].ended, Ended::Refused("403".into()));
        assert_eq!(all[1].ended, Ended::Could);
        assert_eq!(all[2].what, "delete in keys/");
        assert!(all[2].harms && !all[3].harms);
        assert_eq!(damaged, None);
        let (all, damaged) = read("unread curl is not installed\ndamaged snapshots/ab\n");
        assert_eq!(all[0].ended, Ended::Unclear("curl is not installed".into()));
        assert_eq!(damaged.as_deref(), Some("snapshots/ab"));
    }

    /// Words of restic 0.14 and rclone 1.60.
    #[test]
    fn a_refusal_is_told_from_a_failure() {
        let said = "Remove(<snapshot/0ca377d697>) returned error, retrying after 552.330144ms: blob not removed, server response: 403 Forbidden (403)\n";
        assert_eq!(
            refusal(said, 124),
            Ended::Refused("403 Forbidden (403)".into())
        );
        let away = "Fatal: unable to open config file: Head \"http://h/config\": dial tcp 127.0.0.1:1: connect: connection refused\n";
        assert!(matches!(refusal(away, 1), Ended::Unclear(_)));
        assert_eq!(refusal("", 1), Ended::Unclear("exit code 1".into()));
    }
}
