//! `matou repo attack`: what could whoever broke into the fleet do to a repository? It makes a tiny
//! snapshot of its own and attacks that, by restic and by the repository's protocol.

mod protocol;

use matou_i18n::tr;
use std::time::Duration;

use async_trait::async_trait;

use super::context::{BackupContext, backup_step_error};
use super::repo::list_repository_locks;
use matou_backup::{BackupError, Restic, ResticSnapshot};
use matou_job::{Change, Check, Step, StepContext, StepError};

/// The tag of the attack's own snapshot; without the tag `matou` it is no backup of anything.
const ATTACK_TAG: &str = "matou-attack";

const MAKE_MARKER: &str = "printf 'made by matou repo attack, to be deleted by it\\n' | restic backup --quiet --stdin --stdin-filename /matou-attack --host \"$1\" --tag \"$2\"";

/// SIGINT makes restic give its lock back; since 0.17 it would try for a quarter of an hour.
const FORGET_MARKER: &str =
    "credentials; exec timeout -s INT -k 20 40 restic forget \"$@\" </dev/null";

/// How one attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum AttackResult {
    Succeeded,
    /// The file looks deleted, but the repository still has an old version of it.
    OldVersionKept,
    Refused(String),
    /// It did not work, and nobody knows whether it was refused.
    Unclear(String),
}

impl AttackResult {
    fn parse(word: &str, said: &str) -> Self {
        let said = matou_base::text::clean_line(said.trim()).into_owned();
        match word {
            "could" => Self::Succeeded,
            "kept" => Self::OldVersionKept,
            "refused" => Self::Refused(said),
            _ => Self::Unclear(said),
        }
    }

    fn describe(&self) -> String {
        let why = |said: &String| match said.as_str() {
            "" => String::new(),
            said => format!(" ({said})"),
        };
        match self {
            Self::Succeeded => tr!("POSSIBLE").into(),
            Self::OldVersionKept => {
                tr!("hidden, but an old version of it stays and can be brought back").into()
            }
            Self::Refused(said) => tr!("refused{}", why(said)),
            Self::Unclear(said) => tr!("NOT KNOWN{}", why(said)),
        }
    }
}

/// What was tried: words, whether it harms, how it ended.
#[derive(Debug, PartialEq)]
struct AttackAttempt {
    what: String,
    harms: bool,
    ended: AttackResult,
}

/// Parses what the script printed: the attempts, and a file that it changed and could not put back.
fn parse_attack_output(text: &str) -> (Vec<AttackAttempt>, Option<String>) {
    let (mut all, mut damaged) = (Vec::new(), None);
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let (what, word, said) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let (what, harms, ended) = match what {
            "overwrite" => (
                tr!("overwrite a file").into(),
                true,
                AttackResult::parse(word, said),
            ),
            "delete" => (
                tr!("delete a file").into(),
                true,
                AttackResult::parse(word, said),
            ),
            "probe" => {
                let (answer, said) = said.split_once(' ').unwrap_or((said, ""));
                let ended = AttackResult::parse(answer, said);
                match word {
                    "locks" => (tr!("remove locks").into(), false, ended),
                    of => (tr!("delete in {of}/"), true, ended),
                }
            }
            "unread" => {
                let said = format!("{word} {said}");
                let ended =
                    AttackResult::Unclear(matou_base::text::clean_line(said.trim()).into_owned());
                (tr!("overwrite and delete a file").into(), true, ended)
            }
            "damaged" => {
                damaged = Some(word.to_owned());
                continue;
            }
            _ => continue,
        };
        all.push(AttackAttempt { what, harms, ended });
    }
    (all, damaged)
}

/// The attack on one repository.
pub(super) struct AttackRepository {
    work: BackupContext,
    restic: Restic,
}

impl AttackRepository {
    pub(crate) fn new(work: &BackupContext, restic: &Restic) -> Self {
        Self {
            work: work.clone(),
            restic: restic.clone(),
        }
    }

    async fn list_markers(&self) -> Result<Vec<ResticSnapshot>, BackupError> {
        let all = self.restic.list_snapshots(&[ATTACK_TAG]).await?;
        let fleet = self.work.fleet_name();
        Ok(all.into_iter().filter(|s| s.hostname == fleet).collect())
    }

    /// The attack's own snapshot: one that an earlier attack could not delete, or a new one.
    async fn find_or_make_marker(&self) -> Result<ResticSnapshot, StepError> {
        if let Some(there) = self.list_markers().await.map_err(backup_step_error)?.pop() {
            return Ok(there);
        }
        let script = self.restic.script_command(MAKE_MARKER);
        let command = script
            .args([self.work.fleet_name(), ATTACK_TAG])
            .timeout(Duration::from_secs(300))
            .label(tr!("restic backup of the attack's own snapshot"));
        let out = self.restic.host().run(&command).await?;
        if out.code != 0 {
            let said = String::from_utf8_lossy(&out.stderr);
            return Err(backup_step_error(self.restic.error_of_exit(
                &["backup"],
                out.code,
                &said,
            )));
        }
        let made = self.list_markers().await.map_err(backup_step_error)?.pop();
        made.ok_or_else(|| StepError::failed(tr!("the attack's own snapshot is not there")))
    }

    /// Tries to delete the attack's own snapshot with `restic forget`.
    async fn forget_marker(&self, marker: &ResticSnapshot) -> Result<AttackResult, StepError> {
        let command = self.restic.script_command(FORGET_MARKER);
        let command = command
            .arg(marker.id.clone())
            .timeout(Duration::from_secs(120))
            .label(tr!("restic forget of the attack's own snapshot"));
        let out = self.restic.host().run(&command).await?;
        let left = self.list_markers().await.map_err(backup_step_error)?;
        if !left.iter().any(|s| s.id == marker.id) {
            return Ok(AttackResult::Succeeded);
        }
        let said = self
            .restic
            .without_secrets(&String::from_utf8_lossy(&out.stderr));
        Ok(classify_forget_failure(&said, out.code))
    }
}

/// Classifies what restic said when the snapshot is still there after `forget`.
fn classify_forget_failure(said: &str, code: i32) -> AttackResult {
    const REFUSAL_WORDS: [&str; 8] = [
        "403",
        "Forbidden",
        "Access Denied",
        "AccessDenied",
        "permission denied",
        "Permission denied",
        "operation not permitted",
        "read-only file system",
    ];
    let last = |line: &str| matou_base::text::clean_line(line.trim()).into_owned();
    let lines = || said.lines().filter(|l| !l.trim().is_empty());
    match lines().find(|l| REFUSAL_WORDS.iter().any(|w| l.contains(w))) {
        Some(line) => {
            let why = line.rsplit(": ").next().unwrap_or(line);
            AttackResult::Refused(last(why))
        }
        None => {
            let why = lines().next_back().map(last);
            AttackResult::Unclear(why.unwrap_or_else(|| tr!("exit code {code}")))
        }
    }
}

#[async_trait]
impl Step for AttackRepository {
    fn name(&self) -> String {
        tr!("attack {}", self.restic.name())
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1800)
    }

    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        self.restic
            .check_version()
            .await
            .map_err(backup_step_error)?;
        let place = format!("{} ({})", self.restic.name(), self.restic.shown_location());
        let line = match self
            .list_markers()
            .await
            .map_err(backup_step_error)?
            .is_empty()
        {
            true => {
                tr!("a tiny snapshot tagged {ATTACK_TAG} in {place}, which alone is attacked")
            }
            false => {
                tr!("the snapshot tagged {ATTACK_TAG} in {place} is attacked again, nothing else")
            }
        };
        Ok(Check::Change(vec![Change::add(line)]))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let name = self.restic.name();
        let marker = self.find_or_make_marker().await?;
        let path = format!("snapshots/{}", marker.id);
        let none =
            matou_base::text::sha256_hex(format!("{} {name}", jiff::Timestamp::now()).as_bytes());
        let mut all = Vec::new();
        match protocol::attack_command(&self.restic, &path, &none) {
            None => {
                let why = tr!(
                    "overwrite and delete a file: not tried, only restic speaks its protocol here"
                );
                cx.out.note(format!("{name}: {why}")).await;
            }
            Some(command) => {
                let label = tr!("attack the attack's own snapshot");
                let command = command.timeout(Duration::from_secs(600)).label(label);
                let out = self.restic.host().run(&command).await?;
                let (tried, damaged) =
                    parse_attack_output(&self.restic.without_secrets(&out.stdout_text()));
                all.extend(tried);
                if let Some(path) = damaged {
                    let said = tr!(
                        "{name}: the attack's own {path} could be changed and not be put back: remove that file from the repository"
                    );
                    cx.out.note(said).await;
                }
            }
        }
        let kept = all.iter().any(|t| t.ended == AttackResult::OldVersionKept);
        let ended = match kept {
            // It would hide what the next attack needs.
            true => AttackResult::OldVersionKept,
            false => self.forget_marker(&marker).await?,
        };
        let is_gone = ended == AttackResult::Succeeded;
        all.insert(
            0,
            AttackAttempt {
                what: tr!("delete a snapshot (restic forget)").into(),
                harms: true,
                ended,
            },
        );
        for tried in &all {
            let line = format!("{name}: {}: {}", tried.what, tried.ended.describe());
            cx.out.note(line).await;
        }
        for line in [
            tr!(
                "remove data (restic prune): not tried, it would touch more than the attack's own; it deletes files as above"
            ),
            tr!("delete keys and config: not tried on the real ones"),
            tr!(
                "add snapshots, keys and files that are none: possible, whoever backs up can; who has the password reads everything for ever"
            ),
        ] {
            cx.out.note(format!("{name}: {line}")).await;
        }
        let left = match is_gone {
            true => tr!(
                "the attack's own snapshot is gone; its kilobyte of data goes with the next prune of {name}"
            ),
            false => tr!(
                "the attack's own snapshot {} stays, and is used again by the next attack",
                marker.short_id
            ),
        };
        cx.out.note(format!("{name}: {left}")).await;
        if let Ok(locks) = list_repository_locks(&self.restic).await
            && !locks.is_empty()
        {
            let n = locks.len();
            cx.out.note(tr!("{name}: {n} locks are there now")).await;
        }
        judge_attack(name, self.restic.is_append_only(), &all, cx).await
    }

    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}

/// A repository that config.toml calls append-only and could be harmed, or may be, is a failure.
async fn judge_attack(
    name: &str,
    append_only: bool,
    all: &[AttackAttempt],
    cx: &StepContext,
) -> Result<(), StepError> {
    let harms = |ended: fn(&AttackResult) -> bool| -> Vec<&str> {
        let found = all.iter().filter(|t| t.harms && ended(&t.ended));
        found.map(|t| t.what.as_str()).collect()
    };
    let could = harms(|e| *e == AttackResult::Succeeded);
    let unclear = harms(|e| matches!(e, AttackResult::Unclear(_)));
    match (append_only, could.is_empty(), unclear.is_empty()) {
        (true, false, _) => Err(StepError::failed(tr!(
            "{name} is append_only in config.toml, and whoever has the fleet's credentials can {}: its server must refuse that",
            could.join(", ")
        ))),
        (true, true, false) => Err(StepError::failed(tr!(
            "it is not proven that {name} is append-only: {} did not work, and not because it was refused",
            unclear.join(", ")
        ))),
        (true, true, true) => {
            let line = tr!("{name}: what was tried was refused: its snapshots stay");
            cx.out.note(line).await;
            Ok(())
        }
        (false, ..) => {
            let line = tr!(
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
        let (all, damaged) = parse_attack_output(
            "overwrite refused 403\ndelete could\nprobe keys refused 403\nprobe locks could\nnoise\n",
        );
        assert_eq!(all.len(), 4);
        assert_eq!(all[0].ended, AttackResult::Refused("403".into()));
        assert_eq!(all[1].ended, AttackResult::Succeeded);
        assert_eq!(all[2].what, "delete in keys/");
        assert!(all[2].harms && !all[3].harms);
        assert_eq!(damaged, None);
        let (all, damaged) =
            parse_attack_output("unread curl is not installed\ndamaged snapshots/ab\n");
        assert_eq!(
            all[0].ended,
            AttackResult::Unclear("curl is not installed".into())
        );
        assert_eq!(damaged.as_deref(), Some("snapshots/ab"));
    }

    /// Words of restic 0.14 and rclone 1.60.
    #[test]
    fn a_refusal_is_told_from_a_failure() {
        let said = "Remove(<snapshot/0ca377d697>) returned error, retrying after 552.330144ms: blob not removed, server response: 403 Forbidden (403)\n";
        assert_eq!(
            classify_forget_failure(said, 124),
            AttackResult::Refused("403 Forbidden (403)".into())
        );
        let away = "Fatal: unable to open config file: Head \"http://h/config\": dial tcp 127.0.0.1:1: connect: connection refused\n";
        assert!(matches!(
            classify_forget_failure(away, 1),
            AttackResult::Unclear(_)
        ));
        assert_eq!(
            classify_forget_failure("", 1),
            AttackResult::Unclear("exit code 1".into())
        );
    }
}
