//! Provisioning: from a blank server to a hardened node of the swarm.
//!
//! A [`Concern`] is one thing that should be so on a node, in a file of its own: it says which
//! facts it needs, compares them with config.toml, and makes a difference go away. Facts are
//! gathered in one round trip a node; checks read them and nothing else, so a plan is cheap and a
//! second run changes nothing.

// Stricter than Cargo.toml is with tests, benches and examples.
#![cfg_attr(
    not(test),
    deny(
        clippy::disallowed_macros,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

matou_i18n::catalogue!();

mod alerts;
mod app_jobs;
pub mod audit;
mod backup;
mod base;
mod concern;
mod desired;
mod docker;
mod drain;
mod engine;
mod engine_facts;
mod error;
mod executor;
mod fact_cache;
mod facts;
mod fail2ban;
mod files;
mod firewall;
pub mod fuzzed;
mod gluster;
mod kernel;
mod matou;
mod metrics;
mod names;
mod nfs;
mod nfs_exports;
mod node_view;
mod program;
mod reached_ports;
mod restic;
mod room;
mod scaleway;
mod sshd;
mod storage;
mod suricata;
mod swap;
mod swarm;
#[cfg(test)]
mod testing;
mod time;
mod upgrades;
mod volumes;

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use matou_base::text::InvalidInput;
use matou_config as config;
use matou_config::{CONCERNS, Config, NodeConfig, find_nearest_name};
use matou_docker::{NodeHandle, Nodes};
use matou_job::{Check, Confirm, Job, Stage, StagePhase, Step, StepContext, StepError, Track};
use matou_model::Role;

pub use concern::Concern;
pub use error::ProvisionError;
use executor::NodeExecutor;
use fact_cache::{FactCache, FleetFacts};
pub use facts::{FactQuery, NodeFacts};
pub use node_view::NodeView;

/// How long a step may take: packages over a slow line.
const STEP_TIMEOUT: Duration = Duration::from_secs(3600);

/// Which part of provisioning is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProvisionOptions {
    /// These concerns only; all when empty.
    pub only: Vec<String>,
    /// Not these.
    pub skip: Vec<String>,
    /// These nodes only; all when empty.
    pub nodes: Vec<String>,
    /// Decisions that were taken: what the plan asked to be typed.
    pub accept: Vec<String>,
}

/// In which order a stage works on the nodes.
enum StageOrder {
    /// On every node in parallel.
    Everywhere,
    /// On one node after the other.
    OneByOne,
    /// On the first manager, then on the others.
    ManagerFirst,
}

/// Which stage of provisioning it is, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StageName {
    Servers,
    Engines,
    Storage,
    /// sshd and what keeps strangers out.
    Doors,
    Swarm,
    DistributedStore,
    Volumes,
    Matou,
    Access,
    NightlyBackup,
    Metrics,
}

impl StageName {
    /// The title in a plan.
    fn title(self) -> &'static str {
        match self {
            Self::Servers => tr!("servers"),
            Self::Engines => tr!("engines"),
            Self::Storage => tr!("storage"),
            Self::Doors => tr!("doors"),
            Self::Swarm => tr!("swarm"),
            Self::DistributedStore => tr!("distributed store"),
            Self::Volumes => tr!("volumes"),
            Self::Matou => tr!("matou"),
            Self::Access => tr!("access"),
            Self::NightlyBackup => tr!("nightly backup"),
            Self::Metrics => tr!("metrics"),
        }
    }

    /// The part of a recovery that it belongs to.
    fn phase(self) -> StagePhase {
        match self {
            Self::Servers | Self::Engines | Self::Doors => StagePhase::Provision,
            Self::Storage | Self::DistributedStore | Self::Volumes => StagePhase::Storage,
            Self::Swarm => StagePhase::Swarm,
            Self::Matou | Self::Access | Self::NightlyBackup | Self::Metrics => {
                StagePhase::ConsoleAndTimers
            }
        }
    }
}

/// A stage of provisioning: its name, the order of its nodes, its concerns.
type ProvisionStage = (StageName, StageOrder, Vec<Arc<dyn Concern>>);

/// Returns the stages in their order: storage before its clients, sshd and firewall before the
/// swarm.
fn provision_stages() -> Vec<ProvisionStage> {
    use StageOrder::{Everywhere, ManagerFirst, OneByOne};
    vec![
        (
            StageName::Servers,
            Everywhere,
            vec![
                Arc::new(base::BaseConcern),
                Arc::new(names::NamesConcern),
                Arc::new(time::TimeConcern),
                Arc::new(upgrades::UpgradesConcern),
                Arc::new(files::FilesConcern),
                Arc::new(swap::SwapConcern),
                Arc::new(kernel::KernelConcern),
                Arc::new(restic::ResticConcern),
                Arc::new(docker::DockerConcern),
            ],
        ),
        (
            StageName::Engines,
            OneByOne,
            vec![Arc::new(engine::EngineConcern)],
        ),
        (
            StageName::Storage,
            Everywhere,
            vec![
                Arc::new(storage::StorageConcern),
                Arc::new(nfs::NfsServerConcern),
                Arc::new(gluster::GlusterServersConcern),
            ],
        ),
        (
            StageName::Doors,
            Everywhere,
            vec![
                Arc::new(sshd::SshdConcern),
                Arc::new(fail2ban::Fail2banConcern),
                Arc::new(firewall::FirewallConcern),
                Arc::new(suricata::SuricataConcern),
            ],
        ),
        (
            StageName::Swarm,
            ManagerFirst,
            vec![Arc::new(swarm::SwarmConcern)],
        ),
        (
            StageName::DistributedStore,
            Everywhere,
            vec![Arc::new(gluster::GlusterVolumeConcern)],
        ),
        (
            StageName::Volumes,
            Everywhere,
            vec![
                Arc::new(gluster::GlusterMountConcern),
                Arc::new(nfs::NfsClientConcern),
                Arc::new(volumes::VolumesConcern),
            ],
        ),
        (
            StageName::Matou,
            Everywhere,
            vec![Arc::new(matou::MatouConcern)],
        ),
        (
            StageName::Access,
            Everywhere,
            vec![Arc::new(matou::ManagerAccessConcern)],
        ),
        (
            StageName::NightlyBackup,
            Everywhere,
            vec![Arc::new(backup::BackupConcern)],
        ),
        (
            StageName::Metrics,
            Everywhere,
            vec![
                Arc::new(metrics::MetricsConcern),
                Arc::new(alerts::AlertsConcern),
                Arc::new(app_jobs::AppJobsConcern),
                Arc::new(room::RoomConcern),
            ],
        ),
    ]
}

/// Checks that concerns and nodes that were asked for are there.
fn check_provision_options(
    config: &Config,
    options: &ProvisionOptions,
) -> Result<(), ProvisionError> {
    for name in options.only.iter().chain(&options.skip) {
        check_known_name(tr!("concern"), name, CONCERNS.into_iter())?;
    }
    for name in &options.nodes {
        check_known_name(
            tr!("node"),
            name,
            config.nodes.iter().map(|n| n.name.as_str()),
        )?;
    }
    if options.only.iter().any(|name| name == "suricata")
        && config.provision.suricata == config::SuricataRules::Off
    {
        return Err(tr!(
            "suricata is off: write suricata = \"builtin\" into [provision] of config.toml"
        )
        .into());
    }
    Ok(())
}

/// The facts of a node that its concerns ask for. Also of concerns that are left out: others read
/// their facts.
fn needed_facts(stages: &[ProvisionStage], node: &NodeConfig, config: &Config) -> FactQuery {
    stages
        .iter()
        .flat_map(|(_, _, concerns)| concerns)
        .filter(|c| c.applies_to(node, config))
        .fold(FactQuery::default(), |all, c| {
            all.merge(c.fact_query(node, config))
        })
}

/// Makes the track of a node, a step for each concern; `None` without any.
fn concern_track<'c>(
    handle: &NodeHandle,
    concerns: impl Iterator<Item = &'c Arc<dyn Concern>>,
    packages: &Arc<[String]>,
    config: &Config,
    survey: &Arc<FactCache>,
) -> Option<Track> {
    let steps: Vec<Box<dyn Step>> = concerns
        .map(|concern| {
            Box::new(ConcernStep {
                concern: concern.clone(),
                survey: survey.clone(),
                apt_wait: config.provision.apt_wait,
                packages: packages.clone(),
            }) as Box<dyn Step>
        })
        .collect();
    (!steps.is_empty()).then(|| Track::on_node(handle, steps))
}

/// The job that makes the fleet what config.toml says.
///
/// # Errors
/// One sentence: a concern or a node that does not exist.
pub fn provision_job(
    config: &Arc<Config>,
    nodes: &Nodes,
    options: &ProvisionOptions,
) -> Result<Job, ProvisionError> {
    check_provision_options(config, options)?;
    let stages = provision_stages();
    let wanted = |concern: &dyn Concern, node: &NodeConfig| {
        let name = concern.name().to_owned();
        !config.provision.off.contains(&name)
            && !options.skip.contains(&name)
            && (options.only.is_empty() || options.only.contains(&name))
            && concern.applies_to(node, config)
    };
    let needs = |node: &NodeConfig| needed_facts(&stages, node, config);
    let accepted: BTreeSet<String> = options.accept.iter().cloned().collect();
    let survey = Arc::new(FactCache::new(config.clone(), nodes, accepted, needs));
    let packages = |node: &NodeConfig| -> Arc<[String]> {
        let all: BTreeSet<String> = stages
            .iter()
            .flat_map(|(_, _, concerns)| concerns)
            .filter(|c| wanted(c.as_ref(), node))
            .flat_map(|c| c.required_packages(node, config))
            .collect();
        all.into_iter().collect()
    };
    let first_manager = config.nodes.iter().find(|n| n.role == Role::Manager);
    let mut job_stages = Vec::new();
    for (name, place, concerns) in &stages {
        // The provider's doors are opened before those of the nodes are closed.
        if *name == StageName::Doors {
            job_stages.extend(provider_stage(config, nodes, options, &survey));
        }
        let tracks = nodes
            .iter()
            .filter(|n| options.nodes.is_empty() || options.nodes.contains(&n.config.name))
            .filter_map(|handle| {
                let wanted = concerns
                    .iter()
                    .filter(|c| wanted(c.as_ref(), &handle.config));
                concern_track(handle, wanted, &packages(&handle.config), config, &survey)
            });
        let mut stage = |tracks: Vec<Track>| {
            if !tracks.is_empty() {
                job_stages.push(Stage {
                    title: name.title().to_owned(),
                    phase: name.phase(),
                    tracks,
                });
            }
        };
        match place {
            StageOrder::Everywhere => stage(tracks.collect()),
            StageOrder::OneByOne => tracks.for_each(|t| stage(vec![t])),
            StageOrder::ManagerFirst => {
                let (first, others) =
                    tracks.partition(|t| first_manager.is_some_and(|m| m.name == t.node));
                stage(first);
                stage(others);
            }
        }
    }
    if job_stages.is_empty() {
        return Err(
            tr!("nothing is left to do: look at --only, --skip and [provision] off").into(),
        );
    }
    let mut job = Job::new(provision_title(options), Confirm::Ask, job_stages);
    job.keep_going = true;
    job.lock = true;
    job.forget = Some(Box::new(move || survey.forget_all()));
    Ok(job)
}

/// Builds the stage of the provider's firewall: one step for the whole fleet, on the first
/// manager's track. Returns `None` when config.toml has no `[scaleway]`, and when it is not asked
/// for.
fn provider_stage(
    config: &Arc<Config>,
    nodes: &Nodes,
    options: &ProvisionOptions,
    survey: &Arc<FactCache>,
) -> Option<Stage> {
    let name = "scaleway".to_owned();
    let scaleway = config.scaleway.clone()?;
    let manager = config.nodes.iter().find(|n| n.role == Role::Manager)?;
    let wanted = !config.provision.off.contains(&name)
        && !options.skip.contains(&name)
        && (options.only.is_empty() || options.only.contains(&name))
        && (options.nodes.is_empty() || options.nodes.contains(&manager.name));
    let handle = nodes.get(&manager.name).filter(|_| wanted)?;
    let step = scaleway::SecurityGroupStep {
        config: config.clone(),
        scaleway,
        survey: survey.clone(),
    };
    Some(Stage {
        title: tr!("provider").into(),
        phase: StagePhase::Provision,
        tracks: vec![Track::on_node(handle, vec![Box::new(step)])],
    })
}

/// Returns the title of the job, as the list of jobs shows it.
pub fn provision_title(options: &ProvisionOptions) -> String {
    let nodes = match options.nodes.as_slice() {
        [] => tr!("the fleet").to_owned(),
        nodes => nodes.join(", "),
    };
    match options.only.as_slice() {
        [] => tr!("provision {nodes}"),
        only => tr!("provision {nodes}: {}", only.join(", ")),
    }
}

fn check_known_name<'a>(
    what: &str,
    name: &str,
    all: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), InvalidInput> {
    if all.clone().any(|n| n == name) {
        return Ok(());
    }
    let near = find_nearest_name(name, all.clone())
        .map_or_else(String::new, |n| tr!("; did you mean {n:?}?"));
    let all = all.collect::<Vec<_>>().join(", ");
    Err(InvalidInput::new(tr!(
        "there is no {what} {name:?}, only {all}{near}"
    )))
}

/// A concern on a node, as a step of a job.
struct ConcernStep {
    concern: Arc<dyn Concern>,
    survey: Arc<FactCache>,
    apt_wait: Duration,
    packages: Arc<[String]>,
}

impl ConcernStep {
    fn node_view<'a>(
        &'a self,
        picture: &'a FleetFacts<'a>,
        node: &str,
    ) -> Result<NodeView<'a>, StepError> {
        let facts = picture.node_facts(node)?;
        let node = picture
            .node_config(node)
            .ok_or_else(|| StepError::failed(tr!("no node is named {node}")))?;
        Ok(NodeView {
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
        STEP_TIMEOUT
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let picture = self.survey.gather_facts().await;
        let at = self.node_view(&picture, &cx.node)?;
        self.concern.check(&at).map_err(StepError::from)
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let picture = self.survey.gather_facts().await;
        let at = self.node_view(&picture, &cx.node)?;
        let run = NodeExecutor {
            cx,
            survey: &self.survey,
            apt_wait: self.apt_wait,
        };
        let applied = self.concern.apply(&at, &run).await;
        self.survey.forget_node(&cx.node);
        applied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_concern_can_be_named_in_its_order() {
        let mut names: Vec<&str> = Vec::new();
        for (stage, _, concerns) in provision_stages() {
            let provider = (stage == StageName::Doors).then_some("scaleway");
            for name in provider
                .into_iter()
                .chain(concerns.iter().map(|c| c.name()))
            {
                // Some are worked through in parts, before and after others.
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        assert_eq!(names, CONCERNS);
    }
}
