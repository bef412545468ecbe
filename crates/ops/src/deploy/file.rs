//! The application's file in the fleet folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use crate::FleetContext;
use crate::tasks::{WaitFailure, WaitForTasks, wait_for_tasks};
use matou_host::Command;
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_stack::{AppFile, KnownTrouble};

/// How often files are pushed again when somebody changed them meanwhile.
const MAX_PUSHES: u32 = 5;

/// Writes `apps/NAME.toml`.
pub(crate) struct WriteAppFile {
    pub path: PathBuf,
    pub text: String,
}

#[async_trait]
impl Step for WriteAppFile {
    fn name(&self) -> String {
        "application file".into()
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let name = self.path.display();
        Ok(match tokio::fs::read_to_string(&self.path).await {
            Ok(text) if text == self.text => Check::Done(vec![Change::same(format!("{name}"))]),
            Ok(_) => Check::Change(vec![Change::modify(
                format!("{name}"),
                "as it was",
                "as asked for now",
            )]),
            Err(_) => Check::Change(vec![Change::add(format!("{name}"))]),
        })
    }

    async fn apply(&self, _: &StepContext) -> Result<(), StepError> {
        let failed = |e: std::io::Error| {
            StepError::failed(format!("{} can't be written: {e}", self.path.display()))
        };
        let (path, text) = (self.path.clone(), self.text.clone());
        let write = move || AppFile::write_whole(&path, text.as_bytes());
        let written = tokio::task::spawn_blocking(write).await;
        written
            .map_err(|e| StepError::failed(e.to_string()))?
            .map_err(failed)
    }
}

/// The application's file as it was before the deploy.
pub(crate) struct EarlierFile {
    path: PathBuf,
    text: String,
    app: String,
    fleet: FleetContext,
}

impl EarlierFile {
    /// Reads it; `None` when there is none that can be read.
    pub(super) fn read(path: &Path, app: &str, fleet: &FleetContext) -> Option<Self> {
        let limit = matou_base::files::MAX_CONFIG_BYTES;
        Some(Self {
            path: path.to_owned(),
            text: matou_base::files::read_text(path, limit).ok()?,
            app: app.to_owned(),
            fleet: fleet.clone(),
        })
    }

    /// Reads that of an application; `None` when there is none that can be read.
    pub(crate) fn load(app: &str, fleet: &FleetContext) -> Option<Self> {
        let folder = fleet.config.folder()?;
        Self::read(&AppFile::path(&folder, app), app, fleet)
    }

    /// Puts it back, here and on the storage node.
    pub(crate) async fn put_back(&self) -> Result<(), StepError> {
        let (path, text) = (self.path.clone(), self.text.clone());
        let write = move || AppFile::write_whole(&path, text.as_bytes());
        let written = tokio::task::spawn_blocking(write).await;
        let failed = |e: &dyn std::fmt::Display| {
            StepError::failed(format!("{} can't be written: {e}", self.path.display()))
        };
        written.map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
        if self.fleet.config.backup.primary_repository().is_some() {
            crate::push_app_files(&self.fleet, &self.app).await?;
        }
        Ok(())
    }
}

/// Waits for the tasks of an application whose file is written already. When the engine takes an
/// update back, the file is what it was too.
pub(super) struct WaitForStack {
    pub app: String,
    pub tasks: WaitForTasks,
    pub troubles: Vec<KnownTrouble>,
    pub earlier: Option<EarlierFile>,
}

/// Lines of a service's log that are looked through for a known trouble.
const LOG_LINES: u32 = 200;

impl WaitForStack {
    /// Says what is left of a deploy that failed, and how to go back; `None` for a first one.
    fn describe_way_back(&self) -> Option<String> {
        self.earlier.as_ref()?;
        Some(format!(
            "What was updated stays so, and apps/{app}.toml says the new: `matou rollback {app}_SERVICE` takes a service back to what it was, `matou redeploy {app}` tries again",
            app = self.app
        ))
    }

    /// Looks for known troubles in the logs of services. Returns the cure of the first that is there.
    async fn find_cure(&self, cx: &StepContext) -> Option<String> {
        for trouble in &self.troubles {
            let logs = Command::new("docker")
                .args(["service", "logs", "--raw", "--tail"])
                .arg(LOG_LINES.to_string())
                .arg("--")
                .arg(format!("{}_{}", self.app, trouble.service))
                .sudo()
                .timeout(Duration::from_secs(20))
                .label("what its log says");
            let Ok(out) = cx.host.run(&logs).await else {
                continue;
            };
            let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(&trouble.log);
            if said(&out.stdout) || said(&out.stderr) {
                return Some(trouble.cure.replace("APP", &self.app));
            }
        }
        None
    }
}

#[async_trait]
impl Step for WaitForStack {
    fn name(&self) -> String {
        self.tasks.name()
    }

    fn timeout(&self) -> Duration {
        self.tasks.timeout()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        self.tasks.check(cx).await
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let failure = match wait_for_tasks(&self.tasks.awaited, cx).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        let (WaitFailure::RolledBack(why), Some(earlier)) = (&failure, &self.earlier) else {
            let failure = StepError::from(failure);
            if failure.is_cancelled() {
                return Err(failure);
            }
            let cure = self.find_cure(cx).await;
            let more = cure.or_else(|| self.describe_way_back());
            return Err(match more {
                Some(more) => StepError::failed(format!("{failure}. {more}")),
                None => failure,
            });
        };
        let name = earlier.path.display();
        Err(StepError::failed(match earlier.put_back().await {
            Ok(()) => format!("{why}; {name} is what it was before, too"),
            Err(e) => format!("{why}; {name} could not be made what it was before: {e}"),
        }))
    }

    async fn verify(&self, cx: &StepContext) -> Result<(), StepError> {
        self.tasks.verify(cx).await
    }
}

/// Pushes the application's files to the storage node, where the nightly backup reads them. Files
/// that others changed there stay as they are, and the plan names them.
pub(crate) struct PushFleetFiles {
    pub app: String,
    pub fleet: FleetContext,
}

#[async_trait]
impl Step for PushFleetFiles {
    fn name(&self) -> String {
        "files for the nightly backup".into()
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let line = format!(
            "apps/{}.toml and its stack for the nightly backup",
            self.app
        );
        let planned = crate::plan_app_files_push(&self.fleet, &self.app).await;
        let Some(planned) = planned? else {
            return Ok(Check::Done(vec![Change::same(line)]));
        };
        let mut lines = vec![match planned.is_done {
            true => Change::same(line),
            false => Change::add(line),
        }];
        lines.extend(planned.untouched.iter().map(|c| Change::same(c.describe())));
        Ok(match planned.is_done {
            true => Check::Done(lines),
            false => Check::Change(lines),
        })
    }

    async fn apply(&self, _: &StepContext) -> Result<(), StepError> {
        let pushed = crate::push_app_files(&self.fleet, &self.app).await;
        pushed.map_err(StepError::from)
    }

    /// Pushes again when another operator has pushed a config.toml meanwhile.
    async fn verify(&self, cx: &StepContext) -> Result<(), StepError> {
        for _ in 0..MAX_PUSHES {
            if let Check::Done(_) = self.check(cx).await? {
                return Ok(());
            }
            self.apply(cx).await?;
        }
        match self.check(cx).await? {
            Check::Done(_) => Ok(()),
            _ => Err(StepError::failed(
                "the fleet's files change all the time: deploy again when nobody else does",
            )),
        }
    }
}
