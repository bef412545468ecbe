//! Provisioning: from a blank server to a hardened node of the swarm.
//!
//! A [`Concern`] is one thing that should be so on a node, in a file of its own: it says which
//! facts it needs, compares them with config.toml, and makes a difference go away. Facts are
//! gathered in one round trip a node; checks read them and nothing else, so a plan is cheap and a
//! second run changes nothing.

mod at;
pub mod audit;
mod backup;
mod base;
mod desired;
mod docker;
mod drain;
mod engine;
mod engine_facts;
mod facts;
mod fail2ban;
mod files;
mod firewall;
pub(crate) mod fuzzed;
mod gluster;
mod kernel;
mod matou;
mod metrics;
mod names;
mod nfs;
mod restic;
mod run;
mod scaleway;
mod sshd;
mod storage;
mod suricata;
mod survey;
mod swap;
mod swarm;
#[cfg(test)]
mod testing;
mod time;
mod upgrades;
mod volumes;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::config::{self, CONCERNS, Config, NodeConfig, nearest};
use crate::docker::Nodes;
use crate::job::{Check, Confirm, Cx, Job, Stage, Step, StepError, Track};
use crate::model::Role;

pub use at::At;
pub use facts::{Facts, Needs};
use run::Run;
use survey::{Picture, Survey};

/// How long a step may take: packages over a slow line.
const PATIENCE: Duration = Duration::from_secs(3600);

/// One thing that should be so on a node.
#[async_trait]
pub trait Concern: Send + Sync {
    /// As config.toml and `--only` name it; one of [`CONCERNS`].
    fn name(&self) -> &'static str;

    /// Whether it is anything to this node, by config.toml alone.
    fn applies(&self, node: &NodeConfig, config: &Config) -> bool {
        let _ = (node, config);
        true
    }

    /// The facts that `check` reads.
    fn needs(&self, node: &NodeConfig, config: &Config) -> Needs;

    /// Packages of the distribution that it needs on this node, when that is known beforehand:
    /// all concerns' are installed in one go.
    fn packages(&self, node: &NodeConfig, config: &Config) -> Vec<String> {
        let _ = (node, config);
        Vec::new()
    }

    /// Compares what should be with what is.
    ///
    /// # Errors
    /// Why it can't be told or can't be done, with what to do.
    fn check(&self, at: &At<'_>) -> Result<Check, String>;

    /// Makes it so. Called only when `check` found a difference; everything it does may have been
    /// done in part before.
    ///
    /// # Errors
    /// What failed.
    async fn apply(&self, at: &At<'_>, run: &Run<'_>) -> Result<(), StepError>;
}

/// Which part of provisioning is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Options {
    /// These concerns only; all when empty.
    pub only: Vec<String>,
    /// Not these.
    pub skip: Vec<String>,
    /// These nodes only; all when empty.
    pub nodes: Vec<String>,
    /// Decisions that were taken: what the plan asked to be typed.
    pub accept: Vec<String>,
}

/// What runs where, in order. Within a stage nodes are worked on in parallel.
enum Where {
    /// On every node in parallel.
    Everywhere,
    /// On one node after the other.
    OneByOne,
    /// On the first manager, then on the others.
    ManagerFirst,
}

/// A part of the way: its name, where it runs, what is compared.
type Phase = (&'static str, Where, Vec<Arc<dyn Concern>>);

/// The order: storage before its clients, doors before those who come in by them.
fn stages() -> Vec<Phase> {
    use Where::*;
    vec![
        (
            "servers",
            Everywhere,
            vec![
                Arc::new(base::Base),
                Arc::new(names::Names),
                Arc::new(time::Time),
                Arc::new(upgrades::Upgrades),
                Arc::new(files::Files),
                Arc::new(swap::Swap),
                Arc::new(kernel::Kernel),
                Arc::new(restic::Restic),
                Arc::new(docker::Docker),
            ],
        ),
        ("engines", OneByOne, vec![Arc::new(engine::EngineConfig)]),
        (
            "storage",
            Everywhere,
            vec![
                Arc::new(storage::Storage),
                Arc::new(nfs::Server),
                Arc::new(gluster::Servers),
            ],
        ),
        (
            "doors",
            Everywhere,
            vec![
                Arc::new(sshd::Sshd),
                Arc::new(fail2ban::Fail2ban),
                Arc::new(firewall::Firewall),
                Arc::new(suricata::Suricata),
            ],
        ),
        ("swarm", ManagerFirst, vec![Arc::new(swarm::Membership)]),
        (
            "distributed store",
            Everywhere,
            vec![Arc::new(gluster::Volume)],
        ),
        (
            "volumes",
            Everywhere,
            vec![
                Arc::new(gluster::Mount),
                Arc::new(nfs::Client),
                Arc::new(volumes::Volumes),
            ],
        ),
        ("matou", Everywhere, vec![Arc::new(matou::Matou)]),
        ("access", Everywhere, vec![Arc::new(matou::Access)]),
        ("nightly backup", Everywhere, vec![Arc::new(backup::Backup)]),
        ("metrics", Everywhere, vec![Arc::new(metrics::Metrics)]),
    ]
}

/// The job that makes the fleet what config.toml says.
///
/// # Errors
/// One sentence: a concern or a node that does not exist.
pub fn job(config: &Arc<Config>, nodes: &Nodes, options: &Options) -> Result<Job, String> {
    for name in options.only.iter().chain(&options.skip) {
        known("concern", name, CONCERNS.into_iter())?;
    }
    for name in &options.nodes {
        known("node", name, config.nodes.iter().map(|n| n.name.as_str()))?;
    }
    if options.only.iter().any(|name| name == "suricata")
        && config.provision.suricata == config::SuricataRules::Off
    {
        return Err(
            "suricata is off: write suricata = \"builtin\" into [provision] of config.toml".into(),
        );
    }
    let stages = stages();
    let wanted = |concern: &dyn Concern, node: &NodeConfig| {
        let name = concern.name().to_owned();
        !config.provision.off.contains(&name)
            && !options.skip.contains(&name)
            && (options.only.is_empty() || options.only.contains(&name))
            && concern.applies(node, config)
    };
    let needs = |node: &NodeConfig| {
        stages
            .iter()
            .flat_map(|(_, _, concerns)| concerns)
            // Also of concerns that are left out: others read their facts.
            .filter(|c| c.applies(node, config))
            .fold(Needs::default(), |all, c| all.and(c.needs(node, config)))
    };
    let accepted: BTreeSet<String> = options.accept.iter().cloned().collect();
    let survey = Arc::new(Survey::new(config.clone(), nodes, accepted, needs));
    let packages = |node: &NodeConfig| -> Arc<[String]> {
        let all: BTreeSet<String> = stages
            .iter()
            .flat_map(|(_, _, concerns)| concerns)
            .filter(|c| wanted(c.as_ref(), node))
            .flat_map(|c| c.packages(node, config))
            .collect();
        all.into_iter().collect()
    };
    let first_manager = config.nodes.iter().find(|n| n.role == Role::Manager);
    let mut job_stages = Vec::new();
    for (title, place, concerns) in &stages {
        // The provider's doors are opened before those of the nodes are closed.
        if *title == "doors" {
            job_stages.extend(provider(config, nodes, options, &survey));
        }
        let tracks = nodes
            .iter()
            .filter(|n| options.nodes.is_empty() || options.nodes.contains(&n.config.name))
            .filter_map(|handle| {
                let packages = packages(&handle.config);
                let steps: Vec<Box<dyn Step>> = concerns
                    .iter()
                    .filter(|c| wanted(c.as_ref(), &handle.config))
                    .map(|concern| {
                        Box::new(ConcernStep {
                            concern: concern.clone(),
                            survey: survey.clone(),
                            apt_wait: config.provision.apt_wait,
                            packages: packages.clone(),
                        }) as Box<dyn Step>
                    })
                    .collect();
                (!steps.is_empty()).then(|| Track {
                    node: handle.config.name.clone(),
                    host: handle.host.clone(),
                    docker: handle.docker.clone(),
                    steps,
                })
            });
        let mut stage = |tracks: Vec<Track>| {
            if !tracks.is_empty() {
                let title = (*title).to_owned();
                job_stages.push(Stage { title, tracks });
            }
        };
        match place {
            Where::Everywhere => stage(tracks.collect()),
            Where::OneByOne => tracks.for_each(|t| stage(vec![t])),
            Where::ManagerFirst => {
                let (first, others) =
                    tracks.partition(|t| first_manager.is_some_and(|m| m.name == t.node));
                stage(first);
                stage(others);
            }
        }
    }
    if job_stages.is_empty() {
        return Err("nothing is left to do: look at --only, --skip and [provision] off".into());
    }
    let mut job = Job::new(title(options), Confirm::Ask, job_stages);
    job.keep_going = true;
    job.lock = true;
    job.forget = Some(Box::new(move || survey.forget_all()));
    Ok(job)
}

/// The provider's own firewall: one step for the whole fleet, shown with the first manager.
fn provider(
    config: &Arc<Config>,
    nodes: &Nodes,
    options: &Options,
    survey: &Arc<Survey>,
) -> Option<Stage> {
    let name = "scaleway".to_owned();
    let scaleway = config.scaleway.clone()?;
    let manager = config.nodes.iter().find(|n| n.role == Role::Manager)?;
    let wanted = !config.provision.off.contains(&name)
        && !options.skip.contains(&name)
        && (options.only.is_empty() || options.only.contains(&name))
        && (options.nodes.is_empty() || options.nodes.contains(&manager.name));
    let handle = nodes.get(&manager.name).filter(|_| wanted)?;
    let step = scaleway::SecurityGroup {
        config: config.clone(),
        scaleway,
        survey: survey.clone(),
    };
    Some(Stage {
        title: "provider".into(),
        tracks: vec![Track {
            node: manager.name.clone(),
            host: handle.host.clone(),
            docker: handle.docker.clone(),
            steps: vec![Box::new(step)],
        }],
    })
}

/// As shown in the list of jobs.
pub fn title(options: &Options) -> String {
    let nodes = match options.nodes.as_slice() {
        [] => "the fleet".to_owned(),
        nodes => nodes.join(", "),
    };
    match options.only.as_slice() {
        [] => format!("provision {nodes}"),
        only => format!("provision {nodes}: {}", only.join(", ")),
    }
}

fn known<'a>(
    what: &str,
    name: &str,
    all: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), String> {
    if all.clone().any(|n| n == name) {
        return Ok(());
    }
    let near =
        nearest(name, all.clone()).map_or_else(String::new, |n| format!("; did you mean {n:?}?"));
    let all = all.collect::<Vec<_>>().join(", ");
    Err(format!("there is no {what} {name:?}, only {all}{near}"))
}

/// A concern on a node, as a step of a job.
struct ConcernStep {
    concern: Arc<dyn Concern>,
    survey: Arc<Survey>,
    apt_wait: Duration,
    packages: Arc<[String]>,
}

impl ConcernStep {
    fn at<'a>(&'a self, picture: &'a Picture<'a>, node: &str) -> Result<At<'a>, StepError> {
        let facts = picture.facts(node).map_err(StepError::Failed)?;
        let node = picture
            .node(node)
            .ok_or_else(|| StepError::failed(format!("no node is named {node}")))?;
        Ok(At {
            node,
            facts,
            fleet: picture,
            packages: &self.packages,
        })
    }
}

#[async_trait]
impl Step for ConcernStep {
    fn name(&self) -> String {
        self.concern.name().to_owned()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        let picture = self.survey.picture().await;
        let at = self.at(&picture, &cx.node)?;
        self.concern.check(&at).map_err(StepError::Failed)
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let picture = self.survey.picture().await;
        let at = self.at(&picture, &cx.node)?;
        let run = Run {
            cx,
            survey: &self.survey,
            apt_wait: self.apt_wait,
        };
        let applied = self.concern.apply(&at, &run).await;
        self.survey.forget(&cx.node);
        applied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_concern_can_be_named() {
        let names: BTreeSet<&str> = stages()
            .iter()
            .flat_map(|(_, _, c)| c.iter().map(|c| c.name()))
            .chain(["scaleway"])
            .collect();
        assert_eq!(names, BTreeSet::from(CONCERNS));
    }
}
