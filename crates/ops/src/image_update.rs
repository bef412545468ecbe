//! Newer images for an application. The engine takes an image back that does not come up, but not what it
//! wrote: where the stack keeps its code in a volume or has a database, images and data go back together.

use matou_i18n::tr;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;

use crate::data_before_update::{DataBeforeUpdate, GO_BACK_LIMIT};
use crate::deploy::{self, EarlierFiles};
use crate::job_on_node::build_job_on_node;
use crate::page::{BehindPage, JobPage, check_steps};
use crate::rehearsal::LastRehearsal;
use crate::{FleetContext, OpsError, Request};
use matou_docker::NodeHandle;
use matou_job::{Change, Check, Confirm, Job, Report, Step, StepContext, StepError};
use matou_model::{Service, Swarm, Task, TaskState};
use matou_stack::{AppFile, AppName};

/// How long a backup and the update may take.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// How many seconds a task of a new image is waited for to end.
const ENDING_TRIES: u32 = 60;

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
    let is_replaced = |name: &str| {
        images
            .keys()
            .any(|service| name == format!("{app}_{service}"))
    };
    let title = format!("update {app}");
    let page = JobPage::where_tasks_stop(app, title, is_replaced, manager, fleet).await?;
    let has_repository = fleet.config.backup.primary_repository().is_some();
    let changes_data = changes_data(app, fleet)?;
    if changes_data && has_repository {
        // What puts data back shows no page of its own: the update's stands meanwhile.
        let inner = match page {
            Some(_) => fleet.without_automatic_pages(),
            None => fleet.clone(),
        };
        steps = vec![Box::new(ImageUpdate {
            data: DataBeforeUpdate {
                app: app.clone(),
                fleet: inner,
            },
            images: images.clone(),
            manager: manager.clone(),
            page,
            steps,
        })];
    } else {
        if let Some(page) = page {
            let name = tr!("update");
            steps = vec![Box::new(BehindPage { name, page, steps })];
        }
        if changes_data {
            steps.insert(0, Box::new(NothingToGoBackTo(app.clone())));
        }
    }
    if has_repository {
        steps.insert(
            0,
            Box::new(LastRehearsal {
                app: app.clone(),
                images: images.clone(),
                fleet: fleet.clone(),
            }),
        );
    }
    Ok(build_job_on_node(manager, &request, Confirm::Ask, steps))
}

/// Whether a newer image may change data of an application for good, so that the image of before can't read
/// it any more: its code is in a volume, as its stack says how it is updated; or it has a database, whose
/// tables follow the code and whose files follow the server.
fn changes_data(app: &AppName, fleet: &FleetContext) -> Result<bool, OpsError> {
    let Some(folder) = fleet.config.folder() else {
        return Ok(false);
    };
    let Some(file) = AppFile::load(&folder, app)? else {
        return Ok(false);
    };
    let extension = fleet.catalogue.find_extension(&file.stack)?;
    Ok(extension.update.is_some() || !extension.backup.dumps.is_empty())
}

/// Without a repository, data can't go back: told in the plan.
struct NothingToGoBackTo(AppName);

#[async_trait]
impl Report for NothingToGoBackTo {
    fn name(&self) -> String {
        tr!("data before the update").into()
    }

    async fn report(&self, _: &StepContext) -> Result<Vec<Change>, StepError> {
        Ok(vec![
            Change::same(tr!("data of {}", self.0)).with_warning(
                tr!("the new image may change it for good, and config.toml has no [backup]: when the update fails, the image goes back and the data does not"),
            ),
        ])
    }
}

struct ImageUpdate {
    data: DataBeforeUpdate,
    images: BTreeMap<String, String>,
    manager: NodeHandle,
    /// What visitors see meanwhile.
    page: Option<JobPage>,
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

    /// Lists the new images as the swarm is read: without digests.
    fn list_new_images(&self) -> impl Iterator<Item = &str> {
        let images = self.images.values();
        images.map(|image| image.split('@').next().unwrap_or(image))
    }

    /// Returns the tasks of the application that have run one of the new images, or do.
    fn list_tasks_of_new_images(&self, swarm: &Swarm) -> HashSet<String> {
        let ours: HashSet<&str> = self.list_services(swarm).map(|s| s.id.as_str()).collect();
        let images: HashSet<&str> = self.list_new_images().collect();
        let has_run = |t: &Task| {
            t.container_id.is_some()
                && !matches!(t.state, TaskState::Rejected | TaskState::Orphaned)
        };
        swarm
            .tasks
            .iter()
            .filter(|t| ours.contains(t.service_id.as_str()) && images.contains(t.image.as_str()))
            .filter(|t| has_run(t))
            .map(|t| t.id.clone())
            .collect()
    }

    /// Whether a container of a new image has run since `before`; taken for true when nobody can say.
    async fn has_new_image_run(&self, before: &HashSet<String>, cx: &StepContext) -> bool {
        match cx.query_swarm().await {
            Ok(swarm) => {
                let rolled_back = self.list_services(&swarm).any(|s| {
                    let state = s.update.as_ref().map(|(state, _)| state);
                    state.is_some_and(|state| state.is_rollback())
                });
                let known = self.list_tasks_of_new_images(&swarm);
                // Swarm forgets tasks, and what was rolled back may have run.
                !known.is_subset(before) || (rolled_back && !self.has_new_task(&swarm))
            }
            Err(_) => true,
        }
    }

    fn list_services<'a>(&'a self, swarm: &'a Swarm) -> impl Iterator<Item = &'a Service> {
        let ours = |s: &&Service| s.stack.as_deref() == Some(self.data.app.as_str());
        swarm.services.iter().filter(ours)
    }

    /// Whether there is a task of a new image, whatever became of it.
    fn has_new_task(&self, swarm: &Swarm) -> bool {
        let ours: HashSet<&str> = self.list_services(swarm).map(|s| s.id.as_str()).collect();
        let images: HashSet<&str> = self.list_new_images().collect();
        let mut tasks = swarm.tasks.iter();
        tasks.any(|t| ours.contains(t.service_id.as_str()) && images.contains(t.image.as_str()))
    }

    /// Makes the services again what the application's file said before, without waiting for their
    /// tasks, where one of them was given a new image.
    async fn deploy_earlier(
        &self,
        earlier: &EarlierFiles,
        cx: &StepContext,
    ) -> Result<(), StepError> {
        // The file here is written before it is pushed to the storage node.
        let filed = earlier.put_back().await;
        let swarm = cx.query_swarm().await?;
        let images: HashSet<&str> = self.list_new_images().collect();
        let mut services = self.list_services(&swarm);
        if services.any(|s| images.contains(s.image.as_str())) {
            let step = deploy::build_stack_step(&self.data.app, &self.data.fleet).await?;
            matou_job::run_steps(cx, &[step]).await?;
        }
        filed
    }

    /// Waits until no task of a new image is on its way: it could begin to write.
    async fn wait_for_new_tasks_to_end(&self, cx: &StepContext) {
        let images: HashSet<&str> = self.list_new_images().collect();
        for _ in 0..ENDING_TRIES {
            let Ok(swarm) = cx.query_swarm().await else {
                return;
            };
            let ours: HashSet<&str> = self.list_services(&swarm).map(|s| s.id.as_str()).collect();
            let is_on_its_way = |t: &&Task| {
                let ended = matches!(
                    t.state,
                    TaskState::Failed
                        | TaskState::Rejected
                        | TaskState::Orphaned
                        | TaskState::Shutdown
                        | TaskState::Complete
                        | TaskState::Remove
                        | TaskState::Pending
                );
                ours.contains(t.service_id.as_str()) && images.contains(t.image.as_str()) && !ended
            };
            if !swarm.tasks.iter().any(|t| is_on_its_way(&t)) {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Puts the images back, and the data where a new image has run. Returns the error to report.
    async fn go_back(
        &self,
        id: &str,
        earlier: Option<&EarlierFiles>,
        before: &HashSet<String>,
        why: StepError,
        cx: &StepContext,
    ) -> StepError {
        // Not cancelled with the job.
        let cx = &cx.without_cancelling();
        let mut has_run = self.has_new_image_run(before, cx).await;
        if let Some(earlier) = earlier
            && let Err(worse) = self.deploy_earlier(earlier, cx).await
        {
            // The new images would write into data that is put back under them.
            return self.data.tell_what_is_left(id, &why, &worse);
        }
        if !has_run {
            // One that was on its way may have come up meanwhile.
            self.wait_for_new_tasks_to_end(cx).await;
            has_run = self.has_new_image_run(before, cx).await;
        }
        if has_run {
            self.data.note_return(id, &why, cx).await;
            return self.data.put_back(id, why, cx).await;
        }
        let note = tr!("no container of a new image has run: its data was not touched");
        cx.out.note(note).await;
        self.data.end_untouched(id, cx).await;
        why
    }
}

#[async_trait]
impl Step for ImageUpdate {
    fn name(&self) -> String {
        tr!("update").into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    /// Its images and data are put back.
    fn clean_up_limit(&self) -> Duration {
        GO_BACK_LIMIT
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let (mut lines, is_done) = check_steps(&self.steps, cx).await?;
        let cut_off = self.data.find_cut_off().await?;
        if is_done && cut_off.is_none() {
            return Ok(Check::Done(lines));
        }
        if let Some(open) = self.data.find_earlier_restore().await? {
            return Ok(Check::Change(vec![open]));
        }
        let saved = Change::add(tr!(
            "a snapshot of {}, out of which its data is put back when the update fails; what comes in meanwhile is kept aside then",
            self.data.app
        ));
        if let Some(page) = &self.page {
            lines.splice(0..0, page.plan_line(cx).await?);
        }
        lines.insert(0, saved);
        lines.splice(0..0, cut_off);
        Ok(Check::Change(lines))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let before = self.list_tasks_of_new_images(&cx.query_swarm().await?);
        let earlier = EarlierFiles::load(&self.data.app, &self.data.fleet);
        let id = self.data.back_up(cx).await?;
        let request = self.request();
        let steps = deploy::deploy_request_steps(&request, &self.manager, &self.data.fleet).await?;
        let job = build_job_on_node(&self.manager, &request, Confirm::None, steps);
        let work = async {
            let Err(why) = self.data.run_part(job, cx).await else {
                self.data.end(cx).await;
                return Ok(());
            };
            Err(self.go_back(&id, earlier.as_ref(), &before, why, cx).await)
        };
        match &self.page {
            Some(page) => page.run(cx, work).await,
            None => work.await,
        }
    }

    /// Each step of the deploy was verified when it ran.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}
