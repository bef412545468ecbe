//! Restores a snapshot, or a part of it, into a folder of the operator's choice. restic writes into
//! a subfolder of matou's own; when that is complete, its content is moved up. A failure removes
//! the subfolder and nothing else.

use matou_i18n::tr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use super::staging::StageSnapshot;
use matou_host::{ConfinedFolders, Host, shell_script};
use matou_job::{Change, Check, Step, StepContext, StepError};

/// Where restic writes, in the folder that was chosen.
const PARTIAL_FOLDER: &str = ".matou-partial";

/// Says what the folder `$1` holds: `nothing`, `partial` (what an interrupted one wrote), `something`.
const INSPECT_FOLDER: &str = shell_script(include_str!("../../scripts/inspect_folder.sh"));

/// Moves everything out of `$1/$2` into `$1`; nothing is replaced.
const MOVE_UP: &str = shell_script(include_str!("../../scripts/move_up.sh"));

/// The step that restores into a folder.
pub(super) struct RestoreIntoFolder {
    folder: PathBuf,
    /// Folders in which root follows no link; the chosen folder itself may be made and removed.
    confined: ConfinedFolders,
    stage: StageSnapshot,
}

impl RestoreIntoFolder {
    /// Uses the paths and source of `stage`, but replaces its folder.
    pub(crate) fn new(folder: &str, stage: StageSnapshot) -> Self {
        let folder = PathBuf::from(folder);
        let confined = stage.confined.clone();
        let stage = StageSnapshot {
            confined: stage.confined.with_folders([&folder]),
            folder: folder.join(PARTIAL_FOLDER),
            ..stage
        };
        Self {
            folder,
            confined,
            stage,
        }
    }

    async fn check_folder(&self, host: &Host) -> Result<String, StepError> {
        let look = self
            .confined
            .sh(INSPECT_FOLDER)
            .arg(self.folder.display().to_string())
            .arg(PARTIAL_FOLDER)
            .timeout(Duration::from_secs(20))
            .label(tr!("is {} empty", self.folder.display()));
        let held = host.run_ok(&look).await?.stdout_text();
        match held.as_str() {
            "nothing" | "partial" => Ok(held),
            _ => Err(StepError::failed(tr!(
                "{} on {} holds something already: choose an empty folder, or one that is not there",
                self.folder.display(),
                host.name()
            ))),
        }
    }
}

#[async_trait]
impl Step for RestoreIntoFolder {
    fn name(&self) -> String {
        self.stage.name()
    }

    fn timeout(&self) -> Duration {
        self.stage.timeout()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let held = self.check_folder(&cx.host).await?;
        self.stage.check_room(cx).await?;
        let mut lines = Vec::new();
        if held == "partial" {
            lines.push(Change::remove(tr!(
                "{}: what an interrupted restore wrote",
                self.stage.folder.display()
            )));
        }
        lines.extend(self.stage.plan_lines_into(&self.folder));
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        // It may have been filled since the plan was made.
        self.check_folder(&cx.host).await?;
        let folder = self.folder.display().to_string();
        let confined = &self.confined;
        let ready = confined.sh(
            "set -e; [ -d \"$1\" ] || { mkdir -p -m 700 -- \"$1\"; echo made; }; rm -rf --one-file-system -- \"$1/$2\"",
        )
        .args([folder.as_str(), PARTIAL_FOLDER])
        .timeout(Duration::from_secs(1800))
        .label(tr!("make {folder}"));
        let made = !cx.host.run_ok(&ready).await?.stdout_text().is_empty();
        let up = confined
            .sh(MOVE_UP)
            .args([folder.as_str(), PARTIAL_FOLDER])
            .timeout(Duration::from_secs(300))
            .label(tr!("put it into {folder}"));
        let written = match self.stage.apply(cx).await {
            Ok(()) => cx.host.run_ok(&up).await.map(drop).map_err(StepError::from),
            Err(why) => Err(why),
        };
        if written.is_err() && made {
            // Fails harmlessly if somebody has put something there.
            let undo = confined.sh("rmdir -- \"$1\"").arg(&folder);
            let undo = undo.label(tr!("remove {folder}"));
            cx.host.run(&undo).await?;
        }
        written
    }

    /// It was counted already.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}
