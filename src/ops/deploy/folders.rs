//! The folders of volumes on the storage node, and those of nodes that are mounted as they are:
//! neither Docker's NFS driver nor a bind makes them.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use crate::host::{Command, Host};
use crate::job::{Change, Check, Cx, Step, StepError};

/// Makes what is missing of them.
pub(super) struct Folders {
    /// The node that has them.
    pub host: Host,
    pub folders: Vec<PathBuf>,
    /// The stack can do without this node: one that does not answer is only told.
    pub optional: bool,
}

/// Prints those of its arguments that are there.
const LIST: &str = r#"for d; do [ -e "$d" ] && printf '%s\n' "$d"; done; :"#;

const MAKE: &str = r#"set -e; for d; do
[ -e "$d" ] || mkdir -p -m 755 -- "$d" || { echo "$d can't be made" >&2; exit 1; }; done"#;

impl Folders {
    fn command(&self, script: &str) -> Command {
        Command::sh(script)
            .args(self.folders.iter().map(|f| f.display().to_string()))
            .sudo()
            .timeout(Duration::from_secs(30))
            .label("volume folders")
    }
}

#[async_trait]
impl Step for Folders {
    fn name(&self) -> String {
        "folders".into()
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let node = self.host.name();
        let found = match self.host.run_ok(&self.command(LIST)).await {
            Err(e) if self.optional => {
                let line = Change::same(format!("folders on {node}")).warn(e.to_string());
                return Ok(Check::Done(vec![line]));
            }
            found => found?.text(),
        };
        let found: Vec<&str> = found.lines().collect();
        let lines: Vec<Change> = self
            .folders
            .iter()
            .map(|folder| {
                let name = folder.display().to_string();
                match found.contains(&name.as_str()) {
                    true => Change::same(format!("folder {name} on {node}")),
                    false => Change::add(format!("folder {name} on {node}")),
                }
            })
            .collect();
        Ok(super::changed(lines))
    }

    async fn apply(&self, _: &Cx) -> Result<(), StepError> {
        self.host.run_ok(&self.command(MAKE)).await?;
        Ok(())
    }
}
