//! What a backup of everything covers, and what can't be backed up. Each such item fails on its own
//! and stops no other.

use matou_i18n::tr;
use std::time::Instant;

use async_trait::async_trait;

use super::app::{new_app_report, record_app_result};
use super::context::BackupContext;
use crate::OpsError;
use matou_backup::{list_app_names, list_odd_app_names};
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::Swarm;
use matou_stack::{AppFile, AppName};

/// What is on the fleet.
#[derive(Default)]
pub(super) struct BackupScope {
    /// Applications, sorted.
    pub apps: Vec<AppName>,
    /// Files in apps/ that are no application's.
    pub strays: Vec<String>,
    /// What can't be backed up, and why.
    pub failed: Vec<(String, String)>,
}

/// Everything that has something to back up. When no manager answers, that is what has a file in
/// apps/.
pub(super) async fn find_backup_scope(work: &BackupContext) -> BackupScope {
    let cx = &work.fleet;
    let folder = cx.config.folder();
    let mut found = BackupScope {
        strays: folder.map_or_else(Vec::new, |f| AppFile::list_strays(&f)),
        ..BackupScope::default()
    };
    let swarm = async {
        let manager = cx.nodes.find_manager().await?;
        manager.docker.query_swarm().await.map_err(OpsError::from)
    };
    match swarm.await {
        Ok(swarm) => {
            found.apps = list_app_names(&cx.config, &swarm);
            let why = tr!(
                "no backup can be made under this name: deploy it as a stack that is called by letters, digits, - and _"
            );
            let odd = list_odd_app_names(&swarm).into_iter();
            found.failed = odd.map(|name| (name, why.to_owned())).collect();
        }
        Err(why) => {
            found.apps = list_app_names(&cx.config, &Swarm::default());
            let why = tr!("what runs without a file in apps/ can't be listed: {why}");
            found
                .failed
                .push((tr!("whatever else runs").to_owned(), why));
        }
    }
    found
}

/// Files that were passed over are told.
pub(super) struct ReportStrayFiles(pub Vec<String>);

impl ReportStrayFiles {
    fn describe_stray(name: &str) -> String {
        tr!("{name:?} is no application's file, by its name: passed over")
    }
}

#[async_trait]
impl Step for ReportStrayFiles {
    fn name(&self) -> String {
        tr!("files in apps/").into()
    }

    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let lines = self.0.iter().map(|n| Change::same(Self::describe_stray(n)));
        Ok(Check::Change(lines.collect()))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        for name in &self.0 {
            cx.out.note(Self::describe_stray(name)).await;
        }
        Ok(())
    }

    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}

/// A step that always fails: says that something can't be backed up, and why.
pub(super) struct RefuseAppBackup {
    pub app: String,
    pub why: String,
    pub work: BackupContext,
}

#[async_trait]
impl Step for RefuseAppBackup {
    fn name(&self) -> String {
        tr!("backup {}", matou_base::text::clean_line(&self.app))
    }

    fn is_independent(&self) -> bool {
        true
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let line = Change::add(tr!("snapshot of {:?}", self.app));
        let line = line.with_warning(tr!("it will FAIL: {}", self.why));
        Ok(Check::Change(vec![line]))
    }

    async fn apply(&self, _: &StepContext) -> Result<(), StepError> {
        let report = new_app_report(&format!("{:?}", self.app));
        let result = Err(StepError::failed(self.why.clone()));
        record_app_result(&self.work, report, Instant::now(), result)
    }
}
