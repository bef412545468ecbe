//! An application that updates itself: its code is in a volume, where a newer image does not reach it.

use matou_i18n::tr;
use matou_stack::translate_stack_text;
use std::time::Duration;

use async_trait::async_trait;

use crate::data_before_update::{DataBeforeUpdate, GO_BACK_LIMIT};
use crate::deploy::answer_step;
use crate::filed_app::FiledApp;
use crate::running_container::{RunningContainer, find_running_container};
use crate::{FleetContext, OpsError};
use matou_base::text::clean_line;
use matou_host::Command;
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_stack::{AppName, RenderedStack, UpdateSpec};

/// How long a backup and the update may take.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// How long the application may work on its own update.
const COMMAND_LIMIT: Duration = Duration::from_secs(3600);

/// How long its version may be waited for.
const VERSION_LIMIT: Duration = Duration::from_secs(60);

/// Most characters of a version.
const MOST_VERSION: usize = 60;

/// The version that an application names itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnVersion {
    /// In the application's words.
    pub version: String,
    /// How it is updated, in a sentence.
    pub how: String,
    /// It has a command for it.
    pub updates_itself: bool,
}

/// Returns the version that an application names itself; `None` where its stack does not say how it is
/// asked, or it has no file.
///
/// # Errors
/// One sentence: the application does not run, or does not answer.
pub async fn query_own_version(
    fleet: &FleetContext,
    app: &str,
) -> Result<Option<OwnVersion>, OpsError> {
    let Ok(filed) = FiledApp::load(fleet, app) else {
        return Ok(None);
    };
    let Some(update) = filed.extension.update else {
        return Ok(None);
    };
    let container = find_container(fleet, app, &update).await?;
    let version = query_version_in(&container, &update).await?;
    Ok(version.map(|version| OwnVersion {
        version,
        updates_itself: update.command.is_some(),
        how: translate_stack_text(&update.how).to_owned(),
    }))
}

/// Returns the version that a copy of an application, which has another name, names itself.
///
/// # Errors
/// One sentence: it does not run, or does not answer.
pub(crate) async fn query_version_of_copy(
    fleet: &FleetContext,
    name: &str,
    update: &UpdateSpec,
) -> Result<Option<String>, OpsError> {
    let container = find_container(fleet, name, update).await?;
    query_version_in(&container, update).await
}

async fn find_container<'a>(
    fleet: &'a FleetContext,
    app: &str,
    update: &UpdateSpec,
) -> Result<RunningContainer<'a>, OpsError> {
    let swarm = fleet.query_swarm().await?;
    let service = format!("{app}_{}", update.service);
    find_running_container(&service, &swarm, &fleet.nodes, tr!("it can't be asked")).await
}

async fn query_version_in(
    container: &RunningContainer<'_>,
    update: &UpdateSpec,
) -> Result<Option<String>, OpsError> {
    let Some(line) = &update.version else {
        return Ok(None);
    };
    let command = Command::new("docker")
        .args(["exec", &container.id, "sh", "-c", line])
        .sudo()
        .timeout(VERSION_LIMIT)
        .label(tr!("the application's version"));
    let out = container.node.host.run_ok(&command).await?;
    let text = out.stdout_text();
    let first = text.lines().map(str::trim).find(|line| !line.is_empty());
    Ok(first.map(|line| clean_line(line).chars().take(MOST_VERSION).collect()))
}

/// Returns the steps with which an application updates itself.
///
/// # Errors
/// One sentence: it has no file, or its stack does not say how it does that.
pub(super) fn self_update_steps(
    app: &AppName,
    fleet: &FleetContext,
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    let filed = FiledApp::load(fleet, app)?;
    let update = filed.extension.update.unwrap_or_default();
    let Some(command) = update.command.clone() else {
        let how = match update.how.as_str() {
            "" => tr!("a newer image updates it").to_owned(),
            how => translate_stack_text(how).to_owned(),
        };
        return Err(OpsError::failed(tr!(
            "{app} has no command that updates it: {how}; `matou update {app}` lists newer images"
        )));
    };
    if fleet.config.backup.primary_repository().is_none() {
        return Err(OpsError::failed(tr!(
            "{app} is backed up before it updates itself, and config.toml has no [backup]: without a snapshot its data could not be put back"
        )));
    }
    Ok(vec![Box::new(SelfUpdate {
        data: DataBeforeUpdate {
            app: app.clone(),
            fleet: fleet.clone(),
        },
        command,
        update,
        rendered: filed.rendered,
    })])
}

struct SelfUpdate {
    data: DataBeforeUpdate,
    command: String,
    update: UpdateSpec,
    rendered: RenderedStack,
}

impl SelfUpdate {
    async fn query_version(&self) -> Result<String, OpsError> {
        let container = find_container(&self.data.fleet, &self.data.app, &self.update).await?;
        let version = query_version_in(&container, &self.update).await?;
        Ok(version.unwrap_or_else(|| tr!("as it is").into()))
    }

    /// Runs its own command, and waits until it answers as it should. Returns its version.
    async fn run_update(&self, cx: &StepContext) -> Result<String, StepError> {
        let container = find_container(&self.data.fleet, &self.data.app, &self.update).await?;
        let command = Command::new("docker")
            .args(["exec", &container.id, "sh", "-c", &self.command])
            .sudo()
            .timeout(COMMAND_LIMIT)
            .label(tr!("the update of {}", self.data.app));
        cx.on_node(container.node).stream(&command).await?;
        let answers: Vec<Box<dyn Step>> = answer_step(&self.rendered, &self.data.fleet)?
            .into_iter()
            .collect();
        matou_job::run_steps(cx, &answers).await?;
        // It answers for itself, too.
        Ok(self.query_version().await?)
    }

    /// Ends the task: its update would go on in it, though nobody waits for it any more.
    async fn end_task(&self) {
        let Ok(container) = find_container(&self.data.fleet, &self.data.app, &self.update).await
        else {
            return;
        };
        let kill = Command::new("docker")
            .args(["kill", "--", &container.id])
            .sudo()
            .timeout(VERSION_LIMIT);
        let _ = container.node.host.run(&kill).await;
    }

    /// Puts its data back. Returns the error to report.
    async fn go_back(&self, id: &str, why: StepError, cx: &StepContext) -> StepError {
        self.data.note_return(id, &why, cx).await;
        self.end_task().await;
        // Not cancelled with the job.
        self.data.put_back(id, why, &cx.without_cancelling()).await
    }
}

#[async_trait]
impl Step for SelfUpdate {
    fn name(&self) -> String {
        tr!("update").into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    /// Its data is put back.
    fn clean_up_limit(&self) -> Duration {
        GO_BACK_LIMIT
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        if let Some(open) = self.data.find_earlier_restore().await? {
            return Ok(Check::Change(vec![open]));
        }
        let version = self.query_version().await?;
        let backup = Change::add(tr!("a snapshot of {}", self.data.app));
        let update = Change::modify(
            self.data.app.as_str(),
            version,
            tr!("the newest that it finds itself; when that fails, its data is put back"),
        );
        let cut_off = self.data.find_cut_off().await?;
        Ok(Check::Change(
            cut_off.into_iter().chain([backup, update]).collect(),
        ))
    }

    /// Whether there is a newer version, only the application knows.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let before = self.query_version().await?;
        let id = self.data.back_up(cx).await?;
        let after = match self.run_update(cx).await {
            Ok(after) => after,
            Err(why) => return Err(self.go_back(&id, why, cx).await),
        };
        self.data.end(cx).await;
        let text = match after == before {
            true => tr!("{} is {after}, as before", self.data.app),
            false => tr!("{} was {before} and is {after}", self.data.app),
        };
        cx.out.note(text).await;
        if cx.cancel.is_cancelled() {
            cx.out
                .note(tr!("it was updated before that was cancelled"))
                .await;
        }
        Ok(())
    }
}
