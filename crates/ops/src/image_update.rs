//! Newer images for an application whose stack keeps its code in a volume. The engine takes an image
//! back that does not come up, but not what it wrote: image and data go back together.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;

use crate::data_before_update::{DataBeforeUpdate, GO_BACK_LIMIT};
use crate::deploy::{self, EarlierFile};
use crate::job_on_node::build_job_on_node;
use crate::{FleetContext, OpsError, Request};
use matou_docker::NodeHandle;
use matou_job::{Change, Check, Confirm, Job, Report, Step, StepContext, StepError};
use matou_model::{Swarm, Task, TaskState};
use matou_stack::{AppFile, AppName};

/// How long a backup and the update may take.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// Makes the job that gives services of an application newer images.
///
/// # Errors
/// No manager answers, and those of a deploy.
pub(super) async fn build_image_update_job(
    app: &AppName,
    images: &BTreeMap<String, String>,
    fleet: &FleetContext,
) -> Result<Job, OpsError> {
    let request = Request::Update {
        app: app.clone(),
        images: images.clone(),
    };
    let manager = fleet.nodes.find_manager().await?;
    let mut steps = deploy::deploy_request_steps(&request, manager, fleet).await?;
    if keeps_code_in_volume(app, fleet)? {
        if fleet.config.backup.primary_repository().is_some() {
            steps = vec![Box::new(ImageUpdate {
                data: DataBeforeUpdate {
                    app: app.clone(),
                    fleet: fleet.clone(),
                },
                images: images.clone(),
                manager: manager.clone(),
                steps,
            })];
        } else {
            steps.insert(0, Box::new(NothingToGoBackTo(app.clone())));
        }
    }
    Ok(build_job_on_node(manager, &request, Confirm::Ask, steps))
}

/// Whether the stack of an application says how it is updated, as its code is in a volume.
fn keeps_code_in_volume(app: &AppName, fleet: &FleetContext) -> Result<bool, OpsError> {
    let Some(folder) = fleet.config.folder() else {
        return Ok(false);
    };
    let Some(file) = AppFile::load(&folder, app)? else {
        return Ok(false);
    };
    let extension = fleet.catalogue.find_extension(&file.stack)?;
    Ok(extension.update.is_some())
}

/// Without a repository, data can't go back: told in the plan.
struct NothingToGoBackTo(AppName);

#[async_trait]
impl Report for NothingToGoBackTo {
    fn name(&self) -> String {
        "data before the update".into()
    }

    async fn report(&self, _: &StepContext) -> Result<Vec<Change>, StepError> {
        Ok(vec![
            Change::same(format!("data of {}", self.0)).with_warning(
                "the new image writes its code into a volume, and config.toml has no [backup]: when the update fails, the image goes back and the data does not",
            ),
        ])
    }
}

struct ImageUpdate {
    data: DataBeforeUpdate,
    images: BTreeMap<String, String>,
    manager: NodeHandle,
    /// Of the deploy.
    steps: Vec<Box<dyn Step>>,
}

impl ImageUpdate {
    fn request(&self) -> Request {
        Request::Update {
            app: self.data.app.clone(),
            images: self.images.clone(),
        }
    }

    /// Returns the tasks of the application that have run one of the new images, or do.
    fn list_tasks_of_new_images(&self, swarm: &Swarm) -> HashSet<String> {
        let ours = swarm
            .services
            .iter()
            .filter(|s| s.stack.as_deref() == Some(self.data.app.as_str()))
            .map(|s| s.id.as_str())
            .collect::<HashSet<_>>();
        let images: HashSet<&String> = self.images.values().collect();
        let has_run = |t: &Task| {
            t.container_id.is_some()
                && !matches!(t.state, TaskState::Rejected | TaskState::Orphaned)
        };
        swarm
            .tasks
            .iter()
            .filter(|t| ours.contains(t.service_id.as_str()) && images.contains(&t.image))
            .filter(|t| has_run(t))
            .map(|t| t.id.clone())
            .collect()
    }

    /// Whether a container of a new image has run since `before`; taken for true when nobody can say.
    async fn has_new_image_run(&self, before: &HashSet<String>, cx: &StepContext) -> bool {
        match cx.query_swarm().await {
            Ok(swarm) => !self.list_tasks_of_new_images(&swarm).is_subset(before),
            Err(_) => true,
        }
    }

    /// Deploys what the application's file said before, without waiting for its tasks.
    async fn deploy_earlier(
        &self,
        earlier: &EarlierFile,
        cx: &StepContext,
    ) -> Result<(), StepError> {
        earlier.put_back().await?;
        let app = &self.data.app;
        let step = deploy::build_stack_step(app, &self.data.fleet).await?;
        matou_job::run_steps(cx, &[step]).await
    }

    /// Puts the images back, and the data where a new image has run. Returns the error to report.
    async fn go_back(
        &self,
        id: &str,
        earlier: Option<&EarlierFile>,
        has_run: bool,
        why: StepError,
        cx: &StepContext,
    ) -> StepError {
        // Not cancelled with the job.
        let cx = &cx.without_cancelling();
        if has_run {
            self.data.note_return(id, &why, cx).await;
        }
        let mut why = why;
        if let Some(earlier) = earlier
            && let Err(worse) = self.deploy_earlier(earlier, cx).await
        {
            why = StepError::failed(format!("{why}; its images could not be put back: {worse}"));
        }
        if has_run {
            return self.data.put_back(id, why, cx).await;
        }
        let note = "no container of a new image has run: its data was not touched";
        cx.out.note(note).await;
        why
    }
}

#[async_trait]
impl Step for ImageUpdate {
    fn name(&self) -> String {
        "update".into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    /// Its images and data are put back.
    fn clean_up_limit(&self) -> Duration {
        GO_BACK_LIMIT
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let mut lines = Vec::new();
        let mut is_done = true;
        for step in &self.steps {
            match step.check(cx).await? {
                Check::Done(found) => lines.extend(found),
                Check::Change(found) => {
                    is_done = false;
                    lines.extend(found);
                }
                Check::Unknown(why) => {
                    is_done = false;
                    lines.push(Change::same(format!("{}: {why}", step.name())));
                }
            }
        }
        if is_done {
            return Ok(Check::Done(lines));
        }
        if let Some(open) = self.data.find_earlier_restore().await? {
            return Ok(Check::Change(vec![open]));
        }
        let saved = Change::add(format!(
            "a snapshot of {}, out of which its data is put back when the update fails",
            self.data.app
        ));
        lines.insert(0, saved);
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let before = self.list_tasks_of_new_images(&cx.query_swarm().await?);
        let earlier = EarlierFile::load(&self.data.app, &self.data.fleet);
        let id = self.data.back_up(cx).await?;
        let request = self.request();
        let steps = deploy::deploy_request_steps(&request, &self.manager, &self.data.fleet).await?;
        let job = build_job_on_node(&self.manager, &request, Confirm::None, steps);
        let Err(why) = self.data.run_part(job, cx).await else {
            return Ok(());
        };
        let has_run = self.has_new_image_run(&before, cx).await;
        Err(self.go_back(&id, earlier.as_ref(), has_run, why, cx).await)
    }

    /// Each step of the deploy was verified when it ran.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}
