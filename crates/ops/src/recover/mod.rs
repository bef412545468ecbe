//! Rebuilding a fleet, or the part of it that was lost: servers, swarm, data, applications. What is
//! there is left as it is, so running it again goes on where it ended.

mod apps;
mod data;
mod findings;
mod isolation;
mod job_in_step;
mod nodes;
mod own_volumes;
mod summary;

pub(super) use job_in_step::run_job_in_step;
pub(super) use summary::CheckAppsBack;

use matou_i18n::tr;
use std::sync::Arc;

use super::FleetContext;
use crate::OpsError;
use matou_backup::FleetId;
use matou_config::NodeConfig;
use matou_docker::NodeHandle;
use matou_job::{Confirm, Job, Stage, StagePhase, Step, Track};
use matou_model::Role;
use matou_provision as provision;
use matou_stack::{AppFile, AppName, RenderTarget, RenderedStack};

pub use findings::{AppResult, RecoveryFindings, StuckAt};

/// How a fleet is rebuilt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebuildOptions {
    /// The fleet's id, from the snapshot that its configuration was taken from.
    pub id: Option<FleetId>,
    /// For a drill: containers open no connection to the world.
    pub isolated: bool,
}

/// What apps/ holds.
#[derive(Default)]
struct FiledApps {
    wanted: Vec<AppToRecover>,
    /// Those that were removed, and when.
    removed: Vec<(AppName, jiff::civil::Date)>,
}

/// An application of apps/, with its rendered stack.
pub(super) struct AppToRecover {
    pub name: AppName,
    pub rendered: Arc<RenderedStack>,
}

impl AppToRecover {
    /// Whether it takes the fleet's https: it comes before the others, with its certificates.
    fn is_edge(&self) -> bool {
        self.rendered.ports.iter().any(|(port, _)| *port == 443)
    }
}

/// Makes the stages that bring data and applications back, the edge with its certificates first.
fn recovery_stages(
    cx: &FleetContext,
    options: &RebuildOptions,
    findings: &RecoveryFindings,
    filed: &FiledApps,
    manager: &NodeHandle,
    storage: &NodeHandle,
) -> Vec<Stage> {
    let mut stages = Vec::new();
    let mut stage = |title: &str, phase, node: &NodeHandle, step: Box<dyn Step>| {
        stages.push(Stage {
            title: title.into(),
            phase,
            tracks: vec![Track::on_node(node, vec![step])],
        });
    };
    stage(
        tr!("replaced nodes"),
        StagePhase::Swarm,
        manager,
        Box::new(nodes::RemoveReplacedNodes {
            nodes: cx.nodes.clone(),
        }),
    );
    let (edge, others): (Vec<&AppToRecover>, Vec<&AppToRecover>) =
        filed.wanted.iter().partition(|w| w.is_edge());
    let names = |list: &[&AppToRecover]| list.iter().map(|w| w.name.clone()).collect::<Vec<_>>();
    stage(
        tr!("data"),
        StagePhase::Restore,
        storage,
        Box::new(data::RecoverAppData {
            // The edge's certificates first, so that no authority is asked for new ones.
            apps: edge
                .iter()
                .chain(&others)
                .map(|w| (w.name.clone(), w.rendered.clone()))
                .collect(),
            removed: filed.removed.clone(),
            fleet: cx.clone(),
            findings: findings.clone(),
            id: options.id.clone(),
        }),
    );
    for (title, phase, list) in [
        (tr!("edge"), StagePhase::Edge, &edge),
        (tr!("applications"), StagePhase::Applications, &others),
    ] {
        if list.is_empty() {
            continue;
        }
        let step = apps::RedeployApps {
            title,
            apps: names(list),
            fleet: cx.clone(),
            findings: findings.clone(),
        };
        stages.push(Stage {
            title: title.into(),
            phase,
            tracks: vec![Track::on_node(manager, vec![Box::new(step)])],
        });
    }
    stages
}

/// Makes the job that rebuilds the fleet of config.toml and apps/ out of its repository.
///
/// # Errors
/// One sentence: no manager, no repository, or no application has a file.
pub async fn build_recovery_job(
    cx: &FleetContext,
    options: &RebuildOptions,
    findings: &RecoveryFindings,
) -> Result<Job, OpsError> {
    let manager = find_node_handle(cx, |n| n.role == Role::Manager)
        .ok_or(tr!("config.toml names no manager"))?
        .clone();
    let storage = find_node_handle(cx, |n| n.name == cx.config.storage.node)
        .unwrap_or(&manager)
        .clone();
    let filed = load_apps_to_recover(cx, findings)?;
    let wanted = &filed.wanted;
    // A worker that is still in the swarm of a manager that is no more belongs to this fleet.
    let accept = cx
        .config
        .nodes
        .iter()
        .map(|n| format!("{}:leave-swarm", n.name));
    let options_of_provision = provision::ProvisionOptions {
        accept: accept.collect(),
        ..provision::ProvisionOptions::default()
    };
    let mut job = provision::provision_job(&cx.config, &cx.nodes, &options_of_provision)?;
    job.title = tr!("recover the fleet").into();
    let apps = wanted.iter().map(|w| w.name.clone());
    job.holds = vec![matou_job::LockRequest::for_apps(&storage.host, apps)];
    job.confirm = Confirm::TypeName(cx.config.fleet.name.clone());
    // Before anything of an application runs: it is deployed with its data.
    if options.isolated {
        job.stages.push(Stage {
            title: tr!("isolation").into(),
            phase: StagePhase::Isolation,
            tracks: cx
                .nodes
                .iter()
                .map(|n| Track::on_node(n, vec![Box::new(isolation::IsolateContainers)]))
                .collect(),
        });
    }
    job.stages.extend(recovery_stages(
        cx, options, findings, &filed, &manager, &storage,
    ));
    let back = CheckAppsBack {
        apps: wanted
            .iter()
            .map(|w| (w.name.to_string(), w.rendered.domains.clone()))
            .collect(),
        fleet: cx.clone(),
        findings: findings.clone(),
    };
    job.stages.push(Stage {
        title: tr!("checks").into(),
        phase: StagePhase::Checks,
        tracks: vec![Track::on_node(&manager, vec![Box::new(back)])],
    });
    Ok(job)
}

fn find_node_handle(
    fleet: &FleetContext,
    fits: impl Fn(&NodeConfig) -> bool,
) -> Option<&NodeHandle> {
    fleet.nodes.iter().find(|n| fits(&n.config))
}

/// Loads the applications of apps/; those that were removed are not rendered. One whose file is wrong is
/// noted in `findings`, to be reported at the end, and stops no other.
fn load_apps_to_recover(
    fleet: &FleetContext,
    findings: &RecoveryFindings,
) -> Result<FiledApps, OpsError> {
    let folder = fleet.config.folder().ok_or(tr!(
        "without config.toml there is nothing to rebuild: pass --repository"
    ))?;
    let names = AppFile::list_names(&folder);
    if names.is_empty() {
        return Err(OpsError::failed(tr!(
            "{} holds no application: pass --repository to take config.toml and apps/ out of the backups",
            folder.join("apps").display()
        )));
    }
    let mut all = FiledApps::default();
    for name in names {
        let loaded = AppFile::load(&folder, &name);
        if let Ok(Some(file)) = &loaded
            && let Some(day) = file.removed
        {
            all.removed.push((name, day));
            continue;
        }
        let rendered = loaded.and_then(|file| {
            let file = file.unwrap_or_default();
            let target = RenderTarget::for_app(&fleet.config, &file);
            fleet
                .catalogue
                .render_stack(&file.stack, &name, &file.variables, &target)
        });
        match rendered {
            Ok(rendered) => {
                findings.update_app(&name, |_| {});
                all.wanted.push(AppToRecover {
                    name,
                    rendered: Arc::new(rendered),
                });
            }
            Err(reason) => findings.fail_app(&name, StuckAt::Deploy, reason.to_string()),
        }
    }
    Ok(all)
}
