//! The mark of an update that has begun: it stands on the storage node (`.matou/updates/APP.json`) from the
//! snapshot of before until the update has ended, or its data is back. Of one that was cut off it says
//! where the data of before is.

use matou_i18n::tr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::FleetContext;
use matou_host::{Command, Host, ParentFolder, write_file_command};
use matou_job::{StepContext, StepError};

const LIMIT: Duration = Duration::from_secs(30);

/// An update that was begun.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BegunUpdate {
    /// Id of the snapshot of before.
    pub snapshot: String,
    pub begun: jiff::Timestamp,
}

/// Where an application's mark is.
pub(crate) struct UpdateMark<'a> {
    host: &'a Host,
    path: PathBuf,
}

impl<'a> UpdateMark<'a> {
    /// Returns where the mark of `app` is or would be.
    ///
    /// # Errors
    /// There is no storage node.
    pub(crate) fn of_app(fleet: &'a FleetContext, app: &str) -> Result<Self, StepError> {
        let folder = matou_backup::matou_folder(&fleet.config).join("updates");
        Ok(Self {
            host: &fleet.find_storage_node()?.host,
            path: folder.join(format!("{app}.json")),
        })
    }

    fn command(&self, command: Command, label: &str) -> Command {
        let command = command.arg(self.path.display().to_string());
        command.sudo().timeout(LIMIT).label(label)
    }

    /// Reads it; `None` when no update is under way or was cut off.
    pub(crate) async fn read(&self) -> Result<Option<BegunUpdate>, StepError> {
        let read = Command::sh("[ ! -s \"$1\" ] || cat -- \"$1\"");
        let read = self.command(read, tr!("an update that was begun"));
        let out = self.host.run_ok(&read).await?;
        Ok(serde_json::from_slice(&out.stdout).ok())
    }

    /// Writes it, unless one stands there: of several updates that are cut off, the data of before the
    /// first is what counts.
    pub(crate) async fn set(&self, snapshot: &str) -> Result<(), StepError> {
        if self.read().await?.is_some() {
            return Ok(());
        }
        let mark = BegunUpdate {
            snapshot: snapshot.to_owned(),
            begun: jiff::Timestamp::now(),
        };
        let text = serde_json::to_vec(&mark).map_err(|e| StepError::failed(e.to_string()))?;
        let path = self.path.display().to_string();
        let write = write_file_command(&path, text, 0o600, ParentFolder::Created)
            .timeout(LIMIT)
            .label(tr!("note that an update is begun"));
        self.host.run_ok(&write).await?;
        Ok(())
    }

    /// Removes it. What can't be done is told and is no failure of what has ended well: the next plan
    /// says that an update was cut off.
    pub(crate) async fn remove(&self, cx: &StepContext) {
        let remove = Command::new("rm").args(["-f", "--"]);
        let remove = self.command(remove, tr!("note that the update has ended"));
        if let Err(e) = self.host.run_ok(&remove).await {
            cx.out.note(e.to_string()).await;
        }
    }

    /// Removes it where the data is that of this snapshot again. The mark of an earlier update that was
    /// cut off stays: that one's data is another.
    pub(crate) async fn remove_for(&self, snapshot: &str, cx: &StepContext) {
        match self.read().await {
            Ok(Some(mark)) if mark.snapshot == snapshot => self.remove(cx).await,
            Ok(_) => {}
            Err(e) => cx.out.note(e.to_string()).await,
        }
    }
}
