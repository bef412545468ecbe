//! A snapshot, or a part of one, in a folder of the operator's choice. It is written into a folder of
//! matou's own in there, and moved up when it is whole: what fails removes that and nothing else.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use super::stage::Stage;
use crate::host::{Confined, Host};
use crate::job::{Change, Check, Cx, Step, StepError};

/// Where restic writes, in the folder that was chosen.
const PARTIAL: &str = ".matou-partial";

/// Says what the folder `$1` holds: `nothing`, `partial` (what an interrupted one wrote), `something`.
const LOOK: &str = r#"if [ -L "$1" ] || { [ -e "$1" ] && [ ! -d "$1" ]; }; then echo something; exit 0; fi
held=$(ls -A -- "$1" 2>/dev/null | head -n 2)
case $held in '') echo nothing ;; "$2") echo partial ;; *) echo something ;; esac"#;

/// Moves everything out of `$1/$2` into `$1`; nothing is replaced.
const MOVE_UP: &str = r#"set -e; cd -- "$1/$2"
for p in * .[!.]* ..?*; do
    { [ -e "$p" ] || [ -L "$p" ]; } || continue
    if [ -e "../$p" ] || [ -L "../$p" ]; then echo "$1/$p is there already" >&2; exit 1; fi
    mv -T -- "$p" "../$p"
done
cd ..; rmdir -- "$2"; sync"#;

/// The step.
pub(super) struct IntoFolder {
    folder: PathBuf,
    /// Where root follows no link; the folder itself may be made and removed.
    confined: Confined,
    stage: Stage,
}

impl IntoFolder {
    /// `stage` tells what is written, wherever it says.
    pub fn new(folder: &str, stage: Stage) -> Self {
        let folder = PathBuf::from(folder);
        let confined = stage.confined.clone();
        let stage = Stage {
            confined: stage.confined.and([&folder]),
            folder: folder.join(PARTIAL),
            ..stage
        };
        Self {
            folder,
            confined,
            stage,
        }
    }

    async fn held(&self, host: &Host) -> Result<String, StepError> {
        let look = self
            .confined
            .sh(LOOK)
            .arg(self.folder.display().to_string())
            .arg(PARTIAL)
            .timeout(Duration::from_secs(20))
            .label(format!("is {} empty", self.folder.display()));
        let held = host.run_ok(&look).await?.text();
        match held.as_str() {
            "nothing" | "partial" => Ok(held),
            _ => Err(StepError::failed(format!(
                "{} on {} holds something already: choose an empty folder, or one that is not there",
                self.folder.display(),
                host.name()
            ))),
        }
    }
}

#[async_trait]
impl Step for IntoFolder {
    fn name(&self) -> String {
        self.stage.name()
    }

    fn timeout(&self) -> Duration {
        self.stage.timeout()
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        let held = self.held(&cx.host).await?;
        self.stage.check_room(cx).await?;
        let mut lines = Vec::new();
        if held == "partial" {
            lines.push(Change::remove(format!(
                "{}: what an interrupted restore wrote",
                self.stage.folder.display()
            )));
        }
        lines.extend(self.stage.lines_into(&self.folder));
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        // It may have been filled since the plan was made.
        self.held(&cx.host).await?;
        let folder = self.folder.display().to_string();
        let confined = &self.confined;
        let ready = confined.sh(
            "set -e; [ -d \"$1\" ] || { mkdir -p -m 700 -- \"$1\"; echo made; }; rm -rf --one-file-system -- \"$1/$2\"",
        )
        .args([folder.as_str(), PARTIAL])
        .timeout(Duration::from_secs(1800))
        .label(format!("make {folder}"));
        let made = !cx.host.run_ok(&ready).await?.text().is_empty();
        let up = confined
            .sh(MOVE_UP)
            .args([folder.as_str(), PARTIAL])
            .timeout(Duration::from_secs(300))
            .label(format!("put it into {folder}"));
        let written = match self.stage.apply(cx).await {
            Ok(()) => cx.host.run_ok(&up).await.map(drop).map_err(StepError::from),
            Err(why) => Err(why),
        };
        if written.is_err() && made {
            // Empty, or somebody's by now.
            let undo = confined.sh("rmdir -- \"$1\"").arg(&folder);
            let undo = undo.label(format!("remove {folder}"));
            cx.host.run(&undo).await?;
        }
        written
    }

    /// It was counted already.
    async fn verify(&self, _: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}
