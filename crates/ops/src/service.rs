//! Scaling and restarting a service.

use matou_i18n::tr;
use std::time::Duration;

use async_trait::async_trait;

use super::deploy::{PushFleetFiles, WriteAppFiles, file_change};
use super::tasks::{AwaitedServices, WaitForTasks};
use crate::{FleetContext, OpsError};
use matou_config::unknown_name;
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_model::{Service, ServiceMode, Swarm};
use matou_stack::{AppFile, Catalogue, KeptReplicas};

/// How long the tasks may take to run.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// The steps that set a service's number of tasks and wait for them. Where the application's file can
/// say the number, it does from then on, as after a deploy; else the plan says that the next deploy
/// goes back.
///
/// # Errors
/// One sentence: the application's file is wrong.
pub(super) fn scale_steps(
    service: &str,
    replicas: u64,
    swarm: &Swarm,
    fleet: &FleetContext,
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    let folder = fleet.folder();
    let found = swarm
        .services
        .iter()
        .find(|s| s.name == service || s.id == service);
    let filed = match (&folder, found.and_then(split_service_name)) {
        (Some(folder), Some((app, short))) => AppFile::load(folder.path(), app)?
            .map(|file| (folder.clone(), app.to_owned(), short, file)),
        _ => None,
    };
    let service = service.to_owned();
    let mut scale = ScaleService {
        service: service.clone(),
        replicas,
        next_deploy: None,
    };
    let mut steps: Vec<Box<dyn Step>> = Vec::new();
    if let Some((folder, app, short, file)) = filed {
        match file_replicas(file, short, replicas, &fleet.catalogue) {
            FiledReplicas::Written(file) => {
                steps.push(Box::new(WriteAppFiles {
                    folder,
                    changes: vec![file_change(&app, &file)],
                    notes: Vec::new(),
                    why: tr!("scale {service} to {replicas}"),
                }));
                if fleet.config.backup.primary_repository().is_some() {
                    let fleet = fleet.clone();
                    steps.push(Box::new(PushFleetFiles { app, fleet }));
                }
            }
            FiledReplicas::NextDeploy(why) => scale.next_deploy = Some(why),
        }
    }
    steps.insert(0, Box::new(scale));
    steps.push(Box::new(WaitForTasks {
        awaited: AwaitedServices::Service(service),
        patience: PATIENCE,
        nodes: Some(fleet.nodes.clone()),
    }));
    Ok(steps)
}

/// Returns the application of a service, and the name of the service in its stack.
fn split_service_name(service: &Service) -> Option<(&str, &str)> {
    let app = service.stack.as_deref()?;
    let short = service.name.strip_prefix(app)?.strip_prefix('_')?;
    matou_stack::is_app_name(app).then_some((app, short))
}

/// What an application's file says of a service's number of tasks.
enum FiledReplicas {
    /// The file with the new number.
    Written(Box<AppFile>),
    /// It can't say the number; this is what the next deploy does.
    NextDeploy(String),
}

fn file_replicas(
    mut file: AppFile,
    service: &str,
    replicas: u64,
    catalogue: &Catalogue,
) -> FiledReplicas {
    match catalogue.find_kept_replicas(&file.stack, service) {
        Ok(KeptReplicas::Variable(name)) => {
            file.variables.insert(name, replicas.to_string());
            FiledReplicas::Written(Box::new(file))
        }
        Ok(KeptReplicas::Written(number)) if number == replicas.to_string() => {
            FiledReplicas::NextDeploy(String::new())
        }
        Ok(KeptReplicas::Written(number)) => FiledReplicas::NextDeploy(tr!(
            "the stack {} says {number}: the next deploy goes back to it",
            file.stack
        )),
        // A deploy says what is wrong with the stack; scaling goes without it.
        Err(_) => FiledReplicas::NextDeploy(
            tr!("it is not written into the application's file: the next deploy may go back")
                .into(),
        ),
    }
}

/// The steps that replace a service's tasks and wait for the new ones.
pub(super) fn restart_steps(service: &str, fleet: &FleetContext) -> Vec<Box<dyn Step>> {
    let service = service.to_owned();
    vec![
        Box::new(RestartService {
            service: service.clone(),
        }),
        Box::new(WaitForTasks {
            awaited: AwaitedServices::Service(service),
            patience: PATIENCE,
            nodes: Some(fleet.nodes.clone()),
        }),
    ]
}

/// How many tasks of one service a node may come to on the average. Whoever asks for more has a digit
/// too many, and the swarm makes all of them: nodes run out of memory, processes and addresses.
const MOST_TASKS_PER_NODE: u64 = 100;

/// Refuses a number of tasks that no fleet of this size is meant for.
///
/// # Errors
/// One sentence with the most that is taken.
pub(super) fn refuse_too_many_tasks(
    service: &str,
    replicas: u64,
    nodes: usize,
) -> Result<(), StepError> {
    let most = MOST_TASKS_PER_NODE * (nodes as u64).max(1);
    match replicas > most {
        true => Err(StepError::failed(tr!(
            "{service} would have {replicas} tasks; on {} matou makes {most} of one service at most. Give a lower number",
            matou_i18n::trn!(nodes, "{n} node", "{n} nodes")
        ))),
        false => Ok(()),
    }
}

pub(super) fn find_named_service<'a>(
    swarm: &'a Swarm,
    name: &str,
) -> Result<&'a Service, StepError> {
    swarm
        .services
        .iter()
        .find(|s| s.name == name || s.id == name)
        .ok_or_else(|| {
            let known = swarm.services.iter().map(|s| s.name.as_str());
            StepError::failed(unknown_name(tr!("service"), name, known).to_string())
        })
}

struct ScaleService {
    service: String,
    replicas: u64,
    /// What the next deploy makes of the number, where the application's file can't say it.
    next_deploy: Option<String>,
}

impl ScaleService {
    /// Compares it with one reading of the swarm.
    fn check_swarm(&self, swarm: &Swarm) -> Result<Check, StepError> {
        let service = find_named_service(swarm, &self.service)?;
        match service.mode {
            ServiceMode::Replicated(now) if now == self.replicas => {
                Ok(Check::Done(vec![Change::same(matou_i18n::trn!(
                    now,
                    "{n} replica of {}",
                    "{n} replicas of {}",
                    service.name
                ))]))
            }
            ServiceMode::Replicated(now) => {
                if self.replicas > now {
                    refuse_too_many_tasks(&service.name, self.replicas, swarm.nodes.len())?;
                }
                let change = Change::modify(
                    tr!("replicas of {}", service.name),
                    now.to_string(),
                    self.replicas.to_string(),
                );
                let stops = (self.replicas == 0).then_some(tr!("the service stops answering"));
                let next = self.next_deploy.as_deref().filter(|why| !why.is_empty());
                let warnings: Vec<&str> = stops.into_iter().chain(next).collect();
                Ok(Check::Change(vec![match warnings.is_empty() {
                    true => change,
                    false => change.with_warning(warnings.join("; ")),
                }]))
            }
            ServiceMode::ReplicatedJob(now) if now == self.replicas => {
                Ok(Check::Done(vec![Change::same(tr!(
                    "{now} completions of the job {}",
                    service.name
                ))]))
            }
            ServiceMode::ReplicatedJob(now) => {
                let change = Change::modify(
                    tr!("completions of the job {}", service.name),
                    now.to_string(),
                    self.replicas.to_string(),
                );
                Ok(Check::Change(vec![match self.replicas {
                    0 => change
                        .with_warning(tr!("what runs of it is ended, and nothing more is done")),
                    _ => change.with_warning(tr!("the job runs again from its beginning")),
                }]))
            }
            ServiceMode::Global | ServiceMode::GlobalJob => Err(StepError::failed(tr!(
                "{} is not a replicated service: it runs once on every node that fits, and can't be scaled; constraints in its stack file say which nodes fit{}",
                service.name,
                match service.mode.is_job() {
                    true => tr!(", and `matou restart` runs the job again"),
                    false => "",
                }
            ))),
        }
    }
}

#[async_trait]
impl Step for ScaleService {
    fn name(&self) -> String {
        tr!("replicas").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        self.check_swarm(&cx.query_swarm().await?)
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        cx.docker
            .scale_service(&self.service, self.replicas)
            .await
            .map_err(StepError::from)
    }
}

struct RestartService {
    service: String,
}

impl RestartService {
    /// Compares it with one reading of the swarm.
    fn check_swarm(&self, swarm: &Swarm) -> Result<Check, StepError> {
        let service = find_named_service(swarm, &self.service)?;
        if let Some(job) = &service.job {
            let change = Change::modify(
                tr!("job {}", service.name),
                job.format_for_plan(),
                tr!("runs again from its beginning"),
            );
            return Ok(Check::Change(vec![match job.goes_on() {
                true => change.with_warning(tr!("what runs of it is ended")),
                false => change,
            }]));
        }
        let change = Change::modify(
            tr!("tasks of {}", service.name),
            tr!("{} running", service.running),
            tr!("replaced by new ones"),
        );
        Ok(Check::Change(vec![match service.wanted {
            0 | 1 => change.with_warning(tr!(
                "it does not answer meanwhile, unless it is updated start-first"
            )),
            _ => change,
        }]))
    }
}

#[async_trait]
impl Step for RestartService {
    fn name(&self) -> String {
        tr!("restart").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        self.check_swarm(&cx.query_swarm().await?)
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        cx.docker
            .restart_service(&self.service)
            .await
            .map_err(StepError::from)
    }

    /// Has nothing to check: the next step waits for the new tasks.
    async fn verify(&self, _cx: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm_fixture::{changes, fails, service, swarm};
    use matou_model::JobProgress;

    fn scale(name: &str, replicas: u64) -> ScaleService {
        ScaleService {
            service: name.into(),
            replicas,
            next_deploy: None,
        }
    }

    #[test]
    fn scaling_says_what_the_next_deploy_does() {
        let catalogue = Catalogue::load(None).unwrap();
        let catalogue = catalogue
            .with_stack(
                "fixed",
                "services:\n  web: {image: 'a:1', deploy: {replicas: 2}}\n  db: {image: 'b:1'}\n",
            )
            .unwrap();
        let file = |stack: &str| AppFile {
            stack: stack.into(),
            variables: [("REPLICAS".to_owned(), "2".to_owned())].into(),
            ..AppFile::default()
        };
        let told =
            |stack: &str, service: &str| match file_replicas(file(stack), service, 4, &catalogue) {
                FiledReplicas::Written(file) => file.to_toml(),
                FiledReplicas::NextDeploy(why) => why,
            };
        assert!(told("hello", "web").contains("REPLICAS = \"4\""));
        assert_eq!(
            told("fixed", "web"),
            "the stack fixed says 2: the next deploy goes back to it"
        );
        assert!(told("fixed", "db").contains("says 1:"));
        assert!(told("nowhere", "web").contains("may go back"));
        let swarm = swarm([], [service("blog_web", 2, 2)]);
        let mut step = scale("blog_web", 0);
        step.next_deploy = Some(told("fixed", "web"));
        assert_eq!(
            changes(step.check_swarm(&swarm)),
            [
                "~ replicas of blog_web: 2 → 0 (the service stops answering; the stack fixed says 2: the next deploy goes back to it)"
            ]
        );
    }

    #[test]
    fn scaling_says_what_it_changes_and_what_stops() {
        let mut edge = service("traefik", 3, 3);
        edge.mode = ServiceMode::Global;
        let swarm = swarm([], [service("blog_web", 2, 2), edge]);
        assert_eq!(
            changes(scale("blog_web", 2).check_swarm(&swarm)),
            ["= 2 replicas of blog_web"]
        );
        let alone = crate::swarm_fixture::swarm([], [service("blog_db", 1, 1)]);
        assert_eq!(
            changes(scale("blog_db", 1).check_swarm(&alone)),
            ["= 1 replica of blog_db"]
        );
        assert_eq!(
            changes(scale("blog_web", 3).check_swarm(&swarm)),
            ["~ replicas of blog_web: 2 → 3"]
        );
        assert_eq!(
            changes(scale("blog_web", 0).check_swarm(&swarm)),
            ["~ replicas of blog_web: 2 → 0 (the service stops answering)"]
        );
        assert!(fails(scale("traefik", 1).check_swarm(&swarm)).contains("is not a replicated"));
        let many = fails(scale("blog_web", 2000).check_swarm(&swarm));
        assert!(many.contains("would have 2000 tasks"), "{many}");
        assert_eq!(
            fails(scale("blog_wbe", 1).check_swarm(&swarm)),
            "there is no service \"blog_wbe\"; did you mean \"blog_web\"?"
        );
    }

    #[test]
    fn a_job_is_scaled_by_its_completions_and_runs_again() {
        let mut once = service("blog_once", 3, 0);
        once.mode = ServiceMode::ReplicatedJob(3);
        let mut each = service("blog_each", 3, 0);
        each.mode = ServiceMode::GlobalJob;
        for job in [&mut once, &mut each] {
            let none = std::iter::empty();
            job.take_job_progress(JobProgress::count(job.mode, None, None, none));
        }
        let swarm = swarm([], [once, each]);
        assert_eq!(
            changes(scale("blog_once", 3).check_swarm(&swarm)),
            ["= 3 completions of the job blog_once"]
        );
        assert_eq!(
            changes(scale("blog_once", 5).check_swarm(&swarm)),
            ["~ completions of the job blog_once: 3 → 5 (the job runs again from its beginning)"]
        );
        let said = fails(scale("blog_each", 1).check_swarm(&swarm));
        assert!(
            said.contains("`matou restart` runs the job again"),
            "{said}"
        );
        let restart = RestartService {
            service: "blog_once".into(),
        };
        assert_eq!(
            changes(restart.check_swarm(&swarm)),
            [
                "~ job blog_once: under way → runs again from its beginning (what runs of it is ended)"
            ]
        );
    }

    #[test]
    fn restarting_one_task_warns_of_a_gap() {
        let swarm = swarm([], [service("blog_web", 1, 1), service("blog_db", 2, 1)]);
        let restart = |name: &str| RestartService {
            service: name.into(),
        };
        assert_eq!(
            changes(restart("blog_web").check_swarm(&swarm)),
            [
                "~ tasks of blog_web: 1 running → replaced by new ones (it does not answer meanwhile, unless it is updated start-first)"
            ]
        );
        assert_eq!(
            changes(restart("blog_db").check_swarm(&swarm)),
            ["~ tasks of blog_db: 1 running → replaced by new ones"]
        );
    }
}
