//! Removing an application: its services and networks go, its volumes stay.

use matou_i18n::tr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::deploy::external_record::is_kept;
use super::deploy::secrets::SecretStore;
use super::deploy::{WriteAppFiles, file_change};
use super::dns::{DropNames, list_file_names};
use super::job_on_node::build_job_on_node;
use super::leftovers::{LeftoverScope, RemoveLeftovers};
use super::{FleetContext, Request};
use crate::OpsError;
use matou_docker::{NodeHandle, Nodes, SwarmObjectKind};
use matou_host::{Command, shell_script};
use matou_job::{Change, Check, Confirm, Job, Step, StepContext, StepError};
use matou_model::{Service, Swarm, TaskState};
use matou_stack::{AppFile, AppName};

/// How often the swarm is looked at while tasks stop.
const POLL: Duration = Duration::from_millis(700);

/// How long a network may be listed after it was removed.
const NETWORK_WAIT: Duration = Duration::from_secs(15);

/// How long services, tasks and networks may take to go, together.
const REMOVAL_WAIT: Duration = Duration::from_secs(300);

/// How long `docker stack rm` may take.
const STACK_REMOVAL_LIMIT: Duration = Duration::from_secs(120);

/// Makes the job that removes an application.
///
/// # Errors
/// No manager answers, or a volume is not the application's.
pub(super) async fn build_removal_job(
    app: &AppName,
    volumes: &[String],
    fleet: &FleetContext,
) -> Result<Job, OpsError> {
    let manager = fleet.nodes.find_manager().await?;
    let request = Request::Remove {
        app: app.clone(),
        volumes: volumes.to_vec(),
    };
    let steps = remove_steps(app, volumes, fleet).await?;
    let confirm = Confirm::TypeName(app.to_string());
    Ok(build_job_on_node(manager, &request, confirm, steps))
}

/// The steps that remove a stack, or a loose service of that name, and volumes of it.
async fn remove_steps(
    app: &AppName,
    volumes: &[String],
    fleet: &FleetContext,
) -> Result<Vec<Box<dyn Step>>, OpsError> {
    if let Some(other) = volumes.iter().find(|v| {
        !v.starts_with(&format!("{app}_"))
            || !v
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    }) {
        return Err(OpsError::failed(tr!(
            "{other} is no volume of {app}: those begin with {app}_"
        )));
    }
    let folder = fleet.config.folder();
    let has_file = folder.is_some_and(|f| AppFile::path(&f, app).exists());
    let mut steps: Vec<Box<dyn Step>> = vec![Box::new(RemoveApp {
        app: app.to_string(),
        volumes_removed_later: volumes.to_vec(),
        file_stays: has_file,
        kept: SecretStore::open(fleet, app).ok(),
    })];
    if !volumes.is_empty() {
        let storage = &fleet.config.storage;
        steps.push(Box::new(RemoveVolumes {
            volumes: volumes.to_vec(),
            nodes: fleet.nodes.clone(),
            storage: storage.node.clone(),
            path: storage.path.clone(),
        }));
    }
    steps.extend(drop_names_step(app, fleet).await?);
    if let Some(folder) = fleet.folder()
        && let Some(mut file) = AppFile::load(folder.path(), app)?
    {
        let today = || {
            jiff::tz::TimeZone::UTC
                .to_datetime(jiff::Timestamp::now())
                .date()
        };
        file.removed.get_or_insert_with(today);
        steps.push(Box::new(WriteAppFiles {
            folder,
            changes: vec![file_change(app, &file)],
            notes: Vec::new(),
            why: tr!("remove {app}"),
        }));
    }
    steps.push(Box::new(RemoveLeftovers {
        app: app.to_string(),
        scope: LeftoverScope::Removed,
    }));
    if fleet.config.backup.primary_repository().is_some() {
        steps.push(Box::new(RemoveFleetFiles {
            app: app.clone(),
            fleet: fleet.clone(),
        }));
    }
    Ok(steps)
}

/// Returns the step that removes the records which matou made of an application's names; `None` without `[dns]`.
///
/// # Errors
/// The application's file can't be read.
pub(super) async fn drop_names_step(
    app: &AppName,
    fleet: &FleetContext,
) -> Result<Option<Box<dyn Step>>, OpsError> {
    let file = match fleet.config.folder() {
        Some(folder) => AppFile::load(&folder, app)?,
        None => None,
    };
    let names = file.as_ref().map(list_file_names).unwrap_or_default();
    let step = DropNames::new(app, &[], names, fleet).await;
    Ok(step.map(|step| -> Box<dyn Step> { Box::new(step) }))
}

/// Removes the application's file from the storage node, where the nightly backup reads it. The
/// file in apps/ here stays.
struct RemoveFleetFiles {
    app: AppName,
    fleet: FleetContext,
}

#[async_trait]
impl Step for RemoveFleetFiles {
    fn name(&self) -> String {
        tr!("files for the nightly backup").into()
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let (there, _) = super::load_fleet_files(&self.fleet).await?;
        let line = tr!("apps/{}.toml on the storage node", self.app);
        Ok(match there.has_app(&self.app) {
            true => Check::Change(vec![
                Change::remove(line).with_warning(tr!("its volumes are not backed up any more")),
            ]),
            false => Check::Done(vec![Change::same(tr!("{line} is not there"))]),
        })
    }

    async fn apply(&self, _: &StepContext) -> Result<(), StepError> {
        let struck = super::remove_app_files(&self.fleet, &self.app).await;
        struck.map_err(StepError::from)
    }
}

/// Volumes with all that they hold, from every node and the storage node.
struct RemoveVolumes {
    volumes: Vec<String>,
    nodes: Nodes,
    storage: String,
    path: PathBuf,
}

impl RemoveVolumes {
    /// Where each volume is: by node, and as a folder of the storage node.
    async fn locate_volumes(&self) -> Result<(Vec<(NodeHandle, String)>, Vec<String>), StepError> {
        let mut on_nodes = Vec::new();
        for node in self.nodes.iter() {
            let volumes = node.docker.list_volumes().await?;
            for volume in volumes {
                if self.volumes.contains(&volume.name) {
                    on_nodes.push((node.clone(), volume.name));
                }
            }
        }
        let mut folders = Vec::new();
        if let Some(node) = self.nodes.get(&self.storage) {
            let list = Command::sh(r#"for d; do [ -d "$d" ] && printf '%s\n' "$d"; done; :"#)
                .args(self.volumes.iter().map(|v| self.volume_folder(v)))
                .sudo()
                .timeout(Duration::from_secs(30))
                .label(tr!("volume folders"));
            let out = node.host.run_ok(&list).await?.stdout_text();
            folders.extend(out.lines().map(str::to_owned));
        }
        Ok((on_nodes, folders))
    }

    fn volume_folder(&self, volume: &str) -> String {
        self.path.join(volume).display().to_string()
    }
}

#[async_trait]
impl Step for RemoveVolumes {
    fn name(&self) -> String {
        tr!("volumes").into()
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let (on_nodes, folders) = self.locate_volumes().await?;
        let lost = tr!("all that it holds is lost");
        let mut lines: Vec<Change> = on_nodes
            .iter()
            .map(|(node, name)| {
                Change::remove(tr!("volume {name} of {}", node.config.name)).with_warning(lost)
            })
            .collect();
        lines.extend(folders.iter().map(|folder| {
            Change::remove(tr!("folder {folder} of {}", self.storage)).with_warning(lost)
        }));
        Ok(match lines.is_empty() {
            true => Check::Done(vec![Change::same(tr!("the volumes are not there"))]),
            false => Check::Change(lines),
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let (on_nodes, folders) = self.locate_volumes().await?;
        for (node, name) in on_nodes {
            // A container that has just stopped may hold it a moment longer.
            let remove = Command::sh(
                "i=0; until docker volume rm -- \"$1\"; do i=$((i+1)); [ $i -lt 15 ] || exit 1; sleep 1; done",
            )
            .arg(&name)
            .sudo()
            .timeout(Duration::from_secs(60))
            .label(format!("docker volume rm {name}"));
            node.host.run_ok(&remove).await?;
            cx.out
                .note(tr!("{name} of {} is gone", node.config.name))
                .await;
        }
        if let Some(node) = self.nodes.get(&self.storage) {
            for folder in folders {
                let remove = Command::new("rm")
                    .args(["-rf", "--one-file-system", "--"])
                    .arg(&folder)
                    .sudo();
                node.host.run_ok(&remove).await?;
                cx.out.note(tr!("{folder} is gone")).await;
            }
        }
        Ok(())
    }
}

/// Removes the stack `$1`, and what is left of it again.
const REMOVE_STACK: &str = shell_script(include_str!("../scripts/remove_stack.sh"));

/// Removes a stack's services, networks, secrets and configs; its tasks may still be stopping then.
pub(super) async fn remove_stack(cx: &StepContext, name: &str) -> Result<(), StepError> {
    let remove = Command::sh(REMOVE_STACK)
        .arg(name)
        .sudo()
        .timeout(STACK_REMOVAL_LIMIT)
        .label(format!("docker stack rm {name}"));
    cx.stream(&remove).await
}

/// Removes services, networks, and what `docker stack rm` knows of a stack.
pub(super) struct RemoveApp {
    pub app: String,
    /// Volumes that a later step removes.
    pub volumes_removed_later: Vec<String>,
    /// It has a file in apps/ that nothing removes.
    pub file_stays: bool,
    /// Where backups keep what its stack made: the plan says what is lost. `None` where that is no matter.
    pub kept: Option<SecretStore>,
}

impl RemoveApp {
    fn app_services<'a>(&self, swarm: &'a Swarm) -> Vec<&'a Service> {
        swarm
            .services
            .iter()
            .filter(|s| s.stack.as_deref().unwrap_or(&s.name) == self.app)
            .collect()
    }

    /// The lines about what stays here.
    fn describe_file(&self) -> impl Iterator<Item = Change> {
        let line = tr!(
            "apps/{0}.toml stays: `matou redeploy {0}` deploys it again",
            self.app
        );
        self.file_stays.then(|| Change::same(line)).into_iter()
    }

    /// The lines about configs and secrets that the stack made, and that go with it.
    async fn describe_stack_files(&self, cx: &StepContext) -> Result<Vec<Change>, StepError> {
        let Some(store) = &self.kept else {
            return Ok(Vec::new());
        };
        let mut lines = Vec::new();
        for object in cx.docker.list_swarm_objects().await? {
            if object.kind == SwarmObjectKind::Network || object.stack() != Some(self.app.as_str())
            {
                continue;
            }
            let line = Change::remove(object.to_string());
            let app = &self.app;
            lines.push(match (is_kept(store, &object).await, self.file_stays) {
                (Ok(true), _) => line,
                (Ok(false), true) => line.with_warning(tr!(
                    "no backup keeps what is in it, and it is LOST: `matou backup {app}` first, while it runs"
                )),
                (Ok(false), false) => line.with_warning(tr!(
                    "no backup keeps what is in it, and it is LOST: `matou adopt {app}` and `matou backup {app}` first, while it runs"
                )),
                (Err(why), _) => line.with_warning(tr!(
                    "whether a backup keeps what is in it can't be told: {why}"
                )),
            });
        }
        Ok(lines)
    }

    async fn query_networks(&self, cx: &StepContext) -> Result<Vec<String>, StepError> {
        cx.docker
            .list_stack_networks(&self.app)
            .await
            .map_err(StepError::from)
    }
}

#[async_trait]
impl Step for RemoveApp {
    fn name(&self) -> String {
        tr!("remove").into()
    }

    fn timeout(&self) -> Duration {
        STACK_REMOVAL_LIMIT + REMOVAL_WAIT + Duration::from_secs(30)
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let swarm = cx.query_swarm().await?;
        let services = self.app_services(&swarm);
        if services.is_empty() {
            // A removal that was cut short leaves them.
            let networks = self.query_networks(cx).await?;
            let left = |n| Change::remove(tr!("network {n}"));
            return Ok(match networks.is_empty() {
                true => {
                    let gone = Change::same(tr!("{} is not there", self.app));
                    let lines = std::iter::once(gone).chain(self.describe_file());
                    Check::Done(lines.collect())
                }
                false => Check::Change(networks.iter().map(left).collect()),
            });
        }
        let mut changes: Vec<Change> = services
            .iter()
            .map(|s| {
                Change::remove(tr!("service {} ({})", s.name, s.image)).with_warning(
                    match (s.running, &s.job) {
                        (_, Some(job)) if !job.goes_on() => tr!("a job, {job}"),
                        (_, Some(_)) => tr!("a job that is under way").to_owned(),
                        (n, None) => matou_i18n::trn!(n, "{n} task stops", "{n} tasks stop"),
                    },
                )
            })
            .collect();
        let mut volumes: Vec<&String> = services.iter().flat_map(|s| &s.volumes).collect();
        volumes.sort();
        volumes.dedup();
        volumes.retain(|v| !self.volumes_removed_later.contains(v));
        changes.extend(
            volumes
                .iter()
                .map(|v| Change::same(tr!("volume {v} stays, with its data"))),
        );
        changes.extend(self.describe_stack_files(cx).await?);
        changes.extend(self.describe_file());
        Ok(Check::Change(changes))
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let swarm = cx.query_swarm().await?;
        let services = self.app_services(&swarm);
        let ids: Vec<String> = services.iter().map(|s| s.id.clone()).collect();
        match services.first() {
            Some(s) if s.stack.is_none() => {
                let command = Command::new("docker")
                    .args(["service", "rm", "--"])
                    .arg(&self.app)
                    .sudo();
                cx.stream(&command).await?;
            }
            None if self.query_networks(cx).await?.is_empty() => return Ok(()),
            _ => remove_stack(cx, &self.app).await?,
        }
        // The command returns before the tasks have stopped; a new deploy would meet their
        // networks and ports.
        let begun = Instant::now();
        let wait = cx.wait_at_most(REMOVAL_WAIT, POLL);
        loop {
            let swarm = cx.query_swarm().await?;
            let left = swarm
                .tasks
                .iter()
                .filter(|t| ids.contains(&t.service_id) && t.state == TaskState::Running)
                .count();
            // The engine lists a network for a moment after it was removed.
            if left == 0
                && self.app_services(&swarm).is_empty()
                && (self.query_networks(cx).await?.is_empty() || begun.elapsed() > NETWORK_WAIT)
            {
                return Ok(());
            }
            let late = || {
                tr!(
                    "{} is not gone after {} s, {} still run: is every node reachable?",
                    self.app,
                    REMOVAL_WAIT.as_secs(),
                    matou_i18n::trn!(left, "{n} task", "{n} tasks")
                )
            };
            wait.pause(late).await?;
        }
    }
}
