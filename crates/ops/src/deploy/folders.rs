//! The folders of volumes on the storage node, and those of nodes that are mounted as they are:
//! neither Docker's NFS driver nor a bind makes them.

use matou_i18n::tr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use matou_host::{Command, Host, shell_script};
use matou_job::{Change, Check, Step, StepContext, StepError};

/// Makes those of the folders that are missing.
pub(super) struct EnsureVolumeFolders {
    /// The node that has them.
    pub host: Host,
    pub folders: Vec<PathBuf>,
    /// The stack can do without this node: when it does not answer, the plan only warns.
    pub optional: bool,
}

/// Prints those of its arguments that are there.
const LIST_EXISTING: &str = r#"for d; do [ -e "$d" ] && printf '%s\n' "$d"; done; :"#;

const MAKE_MISSING: &str = shell_script(include_str!("../../scripts/make_volume_folders.sh"));

impl EnsureVolumeFolders {
    fn folder_command(&self, script: &str) -> Command {
        Command::sh(script)
            .args(self.folders.iter().map(|f| f.display().to_string()))
            .sudo()
            .timeout(Duration::from_secs(30))
            .label(tr!("volume folders"))
    }
}

#[async_trait]
impl Step for EnsureVolumeFolders {
    fn name(&self) -> String {
        tr!("folders").into()
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let node = self.host.name();
        let found = match self.host.run_ok(&self.folder_command(LIST_EXISTING)).await {
            Err(e) if self.optional => {
                let line = Change::same(tr!("folders on {node}")).with_warning(e.to_string());
                return Ok(Check::Done(vec![line]));
            }
            found => found?.stdout_text(),
        };
        let found: Vec<&str> = found.lines().collect();
        let lines: Vec<Change> = self
            .folders
            .iter()
            .map(|folder| {
                let name = folder.display().to_string();
                match found.contains(&name.as_str()) {
                    true => Change::same(tr!("folder {name} on {node}")),
                    false => Change::add(tr!("folder {name} on {node}")),
                }
            })
            .collect();
        Ok(Check::from_changes(lines))
    }

    async fn apply(&self, _: &StepContext) -> Result<(), StepError> {
        self.host.run_ok(&self.folder_command(MAKE_MISSING)).await?;
        Ok(())
    }
}
