//! Nodes, services, tasks, volumes, snapshots and the fleet that holds them.

use matou_i18n::{tr, trn};
use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use matou_base::text::format_ago;
use serde::{Deserialize, Serialize};

use super::{
    AppJobRuns, Backups, Certificate, ExternalAlert, JobProgress, JobState, NodeState, Probe,
    Reachability, Reading, RegisteredDomain, Snapshot, SwarmState, TaskState, UpdateState,
    VolumeSizes,
};

/// How many metric samples a node keeps for its charts: an hour, at one every three seconds.
pub const KEPT_SAMPLES: usize = 1200;

/// What a node does in the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It takes part in the swarm's decisions, and runs tasks too.
    Manager,
    /// It runs tasks.
    #[default]
    Worker,
}

/// Whether the scheduler may place tasks on a node (`docker node update --availability`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Availability {
    /// It gets tasks.
    #[default]
    Active,
    /// It keeps its tasks and gets no more.
    Pause,
    /// Its tasks are moved away, and it gets none.
    Drain,
}

impl Availability {
    /// The word the Docker API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pause => "pause",
            Self::Drain => "drain",
        }
    }

    /// The word that people read.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => tr!("active"),
            Self::Pause => tr!("pause"),
            Self::Drain => tr!("drain"),
        }
    }
}

/// The connection between the console and a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum NodeLink {
    /// Not tried yet, or being tried for the first time.
    #[default]
    Connecting,
    /// Commands run.
    Up,
    /// Lost or refused; tried again with back-off.
    Down {
        /// Why, in one sentence.
        reason: String,
        /// When it was lost.
        since: Timestamp,
    },
}

/// What the node's own engine says of itself and its machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct EngineInfo {
    /// Engine version, as `20.10.24`.
    pub version: String,
    /// Highest API version the engine speaks, as `1.41`.
    pub api: String,
    /// Operating system, as `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// Its release, as `6.1.0-18-amd64`.
    pub kernel: String,
    /// As `x86_64`.
    pub architecture: String,
    /// Processors that the engine may use.
    pub cpus: u64,
    /// Bytes.
    pub memory: u64,
    /// Id of this node in its swarm; empty outside a swarm.
    pub swarm_node_id: String,
    /// Whether it is in a swarm.
    pub swarm_state: SwarmState,
}

/// A local disk of a node, by where it is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Disk {
    /// Where it is mounted.
    pub mount: String,
    /// Bytes.
    pub used: u64,
    /// Bytes that are used or can be had.
    pub total: u64,
}

impl Disk {
    /// In use, percent, as df prints it: [`df_percent`].
    pub fn used_percent(&self) -> f32 {
        df_percent(self.used, self.total)
    }
}

/// One sample of a node's load.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Metrics {
    /// Percent of all CPUs, 0 to 100.
    pub cpu: f32,
    /// Bytes in use, caches not counted.
    pub memory_used: u64,
    /// Bytes.
    pub memory_total: u64,
    /// Bytes.
    pub swap_used: u64,
    /// Bytes; 0 without swap.
    pub swap_total: u64,
    /// Bytes of the root file system.
    pub disk_used: u64,
    /// Bytes.
    pub disk_total: u64,
    /// Load averages over 1, 5 and 15 minutes.
    pub load: [f32; 3],
    /// Seconds since boot.
    pub uptime: u64,
    /// Bytes a second over the node's own network interfaces since the sample before.
    pub received: f32,
    /// As `received`, the other way.
    pub sent: f32,
}

impl Metrics {
    /// Memory in use, percent.
    pub fn memory_percent(&self) -> f32 {
        percent_of(self.memory_used, self.memory_total)
    }

    /// Root file system in use, percent, as df prints it: [`df_percent`].
    pub fn disk_percent(&self) -> f32 {
        df_percent(self.disk_used, self.disk_total)
    }
}

/// How much of a file system is in use, percent: of what is used and what is available to everybody
/// together, rounded up to a whole number, as df(1) prints it. Blocks that are reserved for root count
/// as neither.
pub fn df_percent(used: u64, used_and_available: u64) -> f32 {
    percent_of(used, used_and_available).ceil()
}

fn percent_of(part: u64, whole: u64) -> f32 {
    if whole == 0 {
        0.0
    } else {
        (part as f64 * 100.0 / whole as f64) as f32
    }
}

/// A node as the swarm's managers see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SwarmNode {
    /// The swarm's own.
    pub id: String,
    /// By which the swarm names it.
    pub hostname: String,
    /// Whether it is a manager.
    pub role: Role,
    /// Whether it gets tasks.
    pub availability: Availability,
    /// Whether the managers hear of it.
    pub state: NodeState,
    /// The manager's own words about the state, often empty.
    pub message: String,
    /// As the swarm's managers see it.
    pub address: String,
    /// It is the manager that decides now.
    pub leader: bool,
    /// Of managers; an empty word for workers.
    pub reachability: Reachability,
    /// Of its Docker Engine.
    pub engine_version: String,
    /// That `node.labels` of constraints mean.
    pub labels: BTreeMap<String, String>,
}

impl SwarmNode {
    /// Whether the node meets a placement constraint (`node.role==manager`, `node.labels.disk !=
    /// ssd`). Constraints that only the scheduler can judge count as met.
    pub fn meets_constraint(&self, constraint: &str) -> bool {
        let (is, (key, wanted)) = match constraint.split_once("!=") {
            Some(parts) => (false, parts),
            None => match constraint.split_once("==") {
                Some(parts) => (true, parts),
                None => return true,
            },
        };
        let (key, wanted) = (key.trim(), wanted.trim());
        let found = match key {
            "node.id" => &self.id,
            "node.hostname" => &self.hostname,
            "node.role" => match self.role {
                Role::Manager => "manager",
                Role::Worker => "worker",
            },
            _ => match key.strip_prefix("node.labels.") {
                Some(label) => self.labels.get(label).map_or("", String::as_str),
                None => return true,
            },
        };
        found.eq_ignore_ascii_case(wanted) == is
    }
}

/// How many tasks a service should run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "mode", content = "tasks", rename_all = "kebab-case")]
pub enum ServiceMode {
    /// So many tasks.
    Replicated(u64),
    /// One task on every node that fits.
    Global,
    /// Replicated job with the number of completions wanted.
    ReplicatedJob(u64),
    /// One task that ends, on every node that fits.
    GlobalJob,
}

impl Default for ServiceMode {
    /// As the engine's client has it without a mode.
    fn default() -> Self {
        Self::Replicated(1)
    }
}

impl ServiceMode {
    /// Whether its tasks end by themselves.
    pub fn is_job(self) -> bool {
        matches!(self, Self::ReplicatedJob(_) | Self::GlobalJob)
    }
}

/// A swarm service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Service {
    /// The swarm's own.
    pub id: String,
    /// With the stack's name before it.
    pub name: String,
    /// The stack it belongs to (label `com.docker.stack.namespace`); `None` for a loose service.
    pub stack: Option<String>,
    /// Image as deployed, without the digest.
    pub image: String,
    /// How many tasks it should have.
    pub mode: ServiceMode,
    /// Tasks the scheduler wants to run now (for global services: eligible nodes; for jobs: those that
    /// run or are about to).
    pub wanted: u64,
    /// Tasks that run.
    pub running: u64,
    /// How far it is; `None` for a service that is no job.
    pub job: Option<JobProgress>,
    /// Domains from its Traefik router rules.
    pub domains: Vec<String>,
    /// Published ports, as `8080:80/tcp`.
    pub ports: Vec<String>,
    /// Of the service, not of its containers.
    pub labels: BTreeMap<String, String>,
    /// Variables of its containers; they may hold secrets.
    #[serde(skip)]
    pub environment: BTreeMap<String, String>,
    /// Named volumes it mounts.
    pub volumes: Vec<String>,
    /// `None` when the engine does not say.
    pub created_at: Option<Timestamp>,
    /// `None` when the engine does not say.
    pub updated_at: Option<Timestamp>,
    /// State of the last update, with its message. Jobs have none: the engine begins a rollback of one
    /// and never says that it ended.
    pub update: Option<(UpdateState, String)>,
    /// Version index, needed to change it.
    pub version: u64,
}

/// The engine's words for a container whose program was killed by a signal that nobody can refuse.
const KILLED: &str = "task: non-zero exit (137)";

/// A task: one container that a service runs, or ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Task {
    /// The swarm's own.
    pub id: String,
    /// The service it is of.
    pub service_id: String,
    /// Its number in the service; `None` for a global service.
    pub slot: Option<u64>,
    /// Swarm node id; empty while not assigned.
    pub node_id: String,
    /// How far it is.
    pub state: TaskState,
    /// What the engine wants it to do.
    pub desired: TaskState,
    /// The engine's own words about the state.
    pub message: String,
    /// Error of the task or the reason why it is not placed; empty when there is none.
    pub error: String,
    /// `None` as long as it has none.
    pub container_id: Option<String>,
    /// With which its container ended; `None` when it has not, or there was none.
    pub exit_code: Option<i64>,
    /// Its container ended with 0 although its service is to run on, and is restarted whenever that
    /// happens: its program came to its end, or was stopped because its health check failed. The engine
    /// calls that complete.
    pub ended_unasked: bool,
    /// The run of the job it belongs to; `None` for a service that is no job.
    pub iteration: Option<u64>,
    /// What it was made of.
    pub image: String,
    /// The service was changed after the task was made, and the engine has not replaced it yet.
    /// Published ports are not a part of a task's description.
    pub outdated: bool,
    /// When it came into that state; `None` when the engine does not say.
    pub since: Option<Timestamp>,
}

impl Task {
    /// Whether a command can be run in its container.
    pub fn is_enterable(&self) -> bool {
        self.state == TaskState::Running && self.container_id.is_some()
    }

    /// Whether it is to go on (a job's task until it is complete).
    pub fn is_to_go_on(&self) -> bool {
        matches!(self.desired, TaskState::Running | TaskState::Complete)
    }

    /// Whether it ended otherwise than it should.
    pub fn has_failed(&self) -> bool {
        self.ended_unasked
            || matches!(
                self.state,
                TaskState::Failed | TaskState::Rejected | TaskState::Orphaned
            )
    }

    /// Whether it ended, however.
    pub fn has_ended(&self) -> bool {
        self.has_failed()
            || matches!(
                self.state,
                TaskState::Complete | TaskState::Shutdown | TaskState::Remove
            )
    }

    /// Why it failed, in the engine's words where it has some.
    pub fn failure_reason(&self) -> &str {
        match self.error.as_str() {
            "" if self.ended_unasked => {
                tr!(
                    "its container ended with exit code 0: its program came to its end, or its health check failed"
                )
            }
            "" => &self.message,
            KILLED => {
                tr!("task: non-zero exit (137): killed, as by the kernel when memory runs out")
            }
            error => error,
        }
    }
}

/// What a manager sees of the whole swarm.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Swarm {
    /// In the engine's order.
    pub nodes: Vec<SwarmNode>,
    /// Sorted by name.
    pub services: Vec<Service>,
    /// Sorted by service, slot, then newest first.
    pub tasks: Vec<Task>,
    /// Pages that are there instead of applications. Their services and tasks are not among those above.
    pub pages: Vec<crate::AppPage>,
}

impl Swarm {
    /// Returns the service that takes https for the fleet.
    pub fn find_edge_service(&self) -> Option<&Service> {
        let is_https = |port: &String| port.starts_with("443:");
        let mut services = self.services.iter();
        services.find(|s| s.ports.iter().any(is_https))
    }

    /// Returns the task of a service that has a running container, and is not about to be stopped.
    pub fn find_running_task(&self, service_id: &str) -> Option<&Task> {
        self.tasks
            .iter()
            .find(|t| t.service_id == service_id && t.is_enterable() && t.is_to_go_on())
    }

    /// Returns the task of a service whose container can be looked into: one that is about to be
    /// stopped where there is no other.
    pub fn find_enterable_task(&self, service_id: &str) -> Option<&Task> {
        let mut tasks = self.tasks.iter();
        self.find_running_task(service_id)
            .or_else(|| tasks.find(|t| t.service_id == service_id && t.is_enterable()))
    }

    /// Says why services have no output: none of the tasks that the swarm still knows of got a
    /// container. `None` when one has, or when there is no task.
    pub fn explain_no_container(&self, service_ids: &[String], now: Timestamp) -> Option<String> {
        let ours = || {
            self.tasks
                .iter()
                .filter(|t| service_ids.contains(&t.service_id))
        };
        if ours().next().is_none() || ours().any(|t| t.container_id.is_some()) {
            return None;
        }
        let failed: Vec<&Task> = ours().filter(|t| t.has_failed()).collect();
        // A task that waits for a node has an error too.
        let told = ours().filter(|t| !t.error.is_empty());
        let Some(last) = told.max_by_key(|t| t.since) else {
            return Some(tr!("no container has started yet").into());
        };
        let ago = last
            .since
            .map_or_else(String::new, |at| tr!("last {}", format_ago(now, at)));
        let times = match failed.len() {
            0 => ago,
            n => trn!(
                n,
                "failed {n} times that the swarm still knows of, {ago}",
                "failed {n} times that the swarm still knows of, {ago}"
            ),
        };
        Some(tr!("no container has started: {} ({times})", last.error))
    }
}

/// A volume as one node's engine knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// As the engine names it.
    pub name: String,
    /// `local`, or a plugin.
    pub driver: String,
    /// Where it is on the node.
    pub mountpoint: String,
    /// The driver's.
    pub options: BTreeMap<String, String>,
    /// Stack that made it, from its labels.
    pub stack: Option<String>,
    /// Containers on this node that mount it.
    pub users: Vec<String>,
    /// `None` when the engine does not say.
    pub created_at: Option<Timestamp>,
}

/// A server of the fleet: from config.toml, from the swarm, or both.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Node {
    /// Name in config.toml, or host name for a node that only the swarm knows.
    pub name: String,
    /// `user@address:port`, or `this machine`; empty for a node that only the swarm knows.
    pub address: String,
    /// Role in config.toml.
    pub role: Role,
    /// False for a node that the swarm knows and config.toml does not.
    pub configured: bool,
    /// How the console reaches it.
    pub link: NodeLink,
    /// What its engine says.
    pub engine: Reading<EngineInfo>,
    /// Its load now.
    pub metrics: Reading<Metrics>,
    /// As old as `metrics`.
    pub disks: Vec<Disk>,
    /// Oldest first, at most [`KEPT_SAMPLES`].
    #[serde(skip)]
    pub history: VecDeque<Metrics>,
    /// By name.
    pub volumes: Reading<Vec<Volume>>,
}

/// The picture of the fleet.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Fleet {
    /// From config.toml.
    pub name: String,
    /// In the order of config.toml, then nodes that only the swarm knows.
    pub nodes: Vec<Node>,
    /// What a manager sees.
    pub swarm: Reading<Swarm>,
    /// By application, the newest first.
    pub snapshots: Reading<Vec<Snapshot>>,
    /// Repositories, schedule, proofs.
    pub backups: Reading<Backups>,
    /// What is really served.
    pub certificates: Reading<Vec<Certificate>>,
    /// When the domains of applications' names end.
    #[serde(skip)]
    pub domains: Reading<Vec<RegisteredDomain>>,
    /// What applications answer.
    pub probes: Reading<Vec<Probe>>,
    /// What Alertmanager alerts of, where the monitoring stack is deployed.
    pub told: Reading<Vec<ExternalAlert>>,
    /// What is remembered of scheduled jobs of applications.
    #[serde(skip)]
    pub app_jobs: Reading<AppJobRuns>,
    /// How large volumes were when they were measured last, and how disks fill.
    pub sizes: Reading<VolumeSizes>,
}

/// One application: a stack, or a loose service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppServices<'a> {
    /// The stack's, or the service's.
    pub name: &'a str,
    /// By name.
    pub services: Vec<&'a Service>,
}

/// Tasks of some services, counted. Jobs are counted apart: what is done of them does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TaskCount {
    /// Of services that are no jobs: tasks that run.
    pub running: u64,
    /// Of these services: tasks that should.
    pub wanted: u64,
    /// How many services of that sort there are.
    pub services: u64,
    /// Of jobs: tasks that ended well.
    pub done: u64,
    /// Of jobs: tasks that should.
    pub total: u64,
    /// How many jobs there are.
    pub jobs: u64,
    /// How many of the jobs have failed.
    pub failed_jobs: u64,
}

impl TaskCount {
    /// Counts the tasks of some services.
    pub fn of<'a>(services: impl IntoIterator<Item = &'a Service>) -> Self {
        let mut count = Self::default();
        for service in services {
            let Some(job) = &service.job else {
                count.services += 1;
                count.running += service.running;
                count.wanted += service.wanted;
                continue;
            };
            count.jobs += 1;
            count.done += job.done;
            count.total += job.total;
            count.failed_jobs += u64::from(job.state == JobState::Failed);
        }
        count
    }
}

/// The tasks of a job that are done: `3/3 done`, `1/3 failed`.
pub(crate) fn format_done(done: u64, total: u64, failed: bool) -> String {
    match failed {
        true => tr!("{done}/{total} failed"),
        false => tr!("{done}/{total} done"),
    }
}

/// `2/2`, `3/3 done`, `2/2 + 1/3 failed`.
impl std::fmt::Display for TaskCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.services > 0 || self.jobs == 0 {
            write!(f, "{}/{}", self.running, self.wanted)?;
        }
        if self.jobs == 0 {
            return Ok(());
        }
        if self.services > 0 {
            f.write_str(" + ")?;
        }
        f.write_str(&format_done(self.done, self.total, self.failed_jobs > 0))
    }
}

impl Service {
    /// Whether it should run more tasks than it does. Of a job it never is: its tasks end.
    pub fn lacks_tasks(&self) -> bool {
        self.job.is_none() && self.running < self.wanted
    }

    /// Whether it is a job whose last run failed.
    pub fn has_failed_job(&self) -> bool {
        let job = self.job.as_ref();
        job.is_some_and(|job| job.state == JobState::Failed)
    }

    /// Takes the counts of a job's tasks over; those of other services stay.
    pub fn take_job_progress(&mut self, job: Option<JobProgress>) {
        if let Some(job) = &job {
            (self.running, self.wanted) = (job.running, job.running + job.waiting);
            self.update = None;
        }
        self.job = job;
    }
}

impl AppServices<'_> {
    /// The tasks of all its services.
    pub fn count_tasks(&self) -> TaskCount {
        TaskCount::of(self.services.iter().copied())
    }
}

impl Fleet {
    /// A fleet of which nothing has been read yet.
    pub fn new(name: impl Into<String>, nodes: Vec<Node>) -> Self {
        Self {
            name: name.into(),
            nodes,
            ..Self::default()
        }
    }

    /// The node of that name.
    pub fn find_node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|n| n.name == name)
    }

    /// Finds a node in the swarm, by the swarm id of its engine, else by host name.
    pub fn find_swarm_node(&self, node: &Node) -> Option<&SwarmNode> {
        let swarm = self.swarm.value()?;
        let id = node.engine.value().map(|e| e.swarm_node_id.as_str());
        swarm
            .nodes
            .iter()
            .find(|n| id.is_some_and(|id| !id.is_empty() && n.id == id))
            .or_else(|| swarm.nodes.iter().find(|n| n.hostname == node.name))
    }

    /// Returns the fleet's name for a swarm node id, else its host name, else the id.
    pub fn node_name<'a>(&'a self, swarm_id: &'a str) -> &'a str {
        if let Some(n) = self.nodes.iter().find(|n| {
            n.engine
                .value()
                .is_some_and(|e| !swarm_id.is_empty() && e.swarm_node_id == swarm_id)
        }) {
            return &n.name;
        }
        self.swarm
            .value()
            .and_then(|s| s.nodes.iter().find(|n| n.id == swarm_id))
            .map_or(swarm_id, |n| &n.hostname)
    }

    /// Groups the services by stack, sorted by name.
    pub fn list_apps(&self) -> Vec<AppServices<'_>> {
        let mut by_name: BTreeMap<&str, Vec<&Service>> = BTreeMap::new();
        for service in self.swarm.value().into_iter().flat_map(|s| &s.services) {
            let name = service.stack.as_deref().unwrap_or(&service.name);
            by_name.entry(name).or_default().push(service);
        }
        by_name
            .into_iter()
            .map(|(name, services)| AppServices { name, services })
            .collect()
    }

    /// Returns the tasks of a service, the newest of each slot first.
    pub fn tasks_of_service<'a>(&'a self, service_id: &'a str) -> impl Iterator<Item = &'a Task> {
        self.swarm
            .value()
            .into_iter()
            .flat_map(|s| &s.tasks)
            .filter(move |t| t.service_id == service_id)
    }
}
