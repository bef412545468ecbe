//! Rebuilding a fleet, or the part of it that was lost: servers, swarm, data, applications. What is
//! there is left as it is, so running it again goes on where it ended.

mod apps;
mod data;
mod findings;
mod isolation;
mod nodes;
mod summary;

pub(super) use summary::Back;

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Context, Request, build};
use crate::backup::FleetId;
use crate::config::NodeConfig;
use crate::docker::NodeHandle;
use crate::job::{Confirm, Cx, Event, Job, Outcome, Stage, Step, Track};
use crate::model::Role;
use crate::provision;
use crate::stack::{AppFile, Rendered, Target};

pub use findings::{AppResult, Findings, Stuck};

/// How a fleet is rebuilt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The fleet's id, as the snapshot says that its configuration is from.
    pub id: Option<FleetId>,
    /// Containers open no connection to the world: a drill.
    pub isolated: bool,
}

/// An application as its file says.
pub(super) struct Wanted {
    pub name: String,
    pub rendered: Arc<Rendered>,
}

impl Wanted {
    /// Whether it takes the fleet's https: it comes before the others, with its certificates.
    fn is_edge(&self) -> bool {
        self.rendered.ports.iter().any(|(port, _)| *port == 443)
    }
}

/// The job that makes the fleet of config.toml and apps/ again out of its repository.
///
/// # Errors
/// One sentence: no manager, no repository, or no application has a file.
pub async fn job(cx: &Context, options: &Options, findings: &Findings) -> Result<Job, String> {
    let manager = handle(cx, |n| n.role == Role::Manager)
        .ok_or("config.toml names no manager")?
        .clone();
    let storage = handle(cx, |n| n.name == cx.config.storage.node)
        .unwrap_or(&manager)
        .clone();
    let wanted = wanted(cx, findings)?;
    // A worker that is still in the swarm of a manager that is no more belongs to this fleet.
    let accept = cx
        .config
        .nodes
        .iter()
        .map(|n| format!("{}:leave-swarm", n.name));
    let options_of_provision = provision::Options {
        accept: accept.collect(),
        ..provision::Options::default()
    };
    let mut job = provision::job(&cx.config, &cx.nodes, &options_of_provision)?;
    job.title = "recover the fleet".into();
    let apps = wanted.iter().map(|w| w.name.clone());
    job.holds = vec![crate::job::Hold::of_apps(&storage.host, apps)];
    job.confirm = Confirm::TypeName(cx.config.fleet.name.clone());
    // Before anything of an application runs: it is deployed with its data.
    if options.isolated {
        job.stages.push(Stage {
            title: "isolation".into(),
            tracks: cx
                .nodes
                .iter()
                .map(|n| on(n, Box::new(isolation::Isolated)))
                .collect(),
        });
    }
    let mut stage = |title: &str, node: &NodeHandle, step: Box<dyn Step>| {
        job.stages.push(Stage {
            title: title.into(),
            tracks: vec![on(node, step)],
        });
    };
    stage(
        "replaced nodes",
        &manager,
        Box::new(nodes::Replaced {
            nodes: cx.nodes.clone(),
        }),
    );
    let (edge, others): (Vec<&Wanted>, Vec<&Wanted>) = wanted.iter().partition(|w| w.is_edge());
    let names = |list: &[&Wanted]| list.iter().map(|w| w.name.clone()).collect::<Vec<_>>();
    stage(
        "data",
        &storage,
        Box::new(data::PutBack {
            // The edge's certificates first, so that no authority is asked for new ones.
            apps: edge
                .iter()
                .chain(&others)
                .map(|w| (w.name.clone(), w.rendered.clone()))
                .collect(),
            cx: cx.clone(),
            findings: findings.clone(),
            id: options.id.clone(),
        }),
    );
    for (title, list) in [("edge", &edge), ("applications", &others)] {
        if list.is_empty() {
            continue;
        }
        let step = apps::Deployed {
            title,
            apps: names(list),
            cx: cx.clone(),
            findings: findings.clone(),
        };
        job.stages.push(Stage {
            title: title.into(),
            tracks: vec![on(&manager, Box::new(step))],
        });
    }
    let back = Back {
        apps: wanted
            .iter()
            .map(|w| (w.name.clone(), w.rendered.domains.clone()))
            .collect(),
        nodes: cx.nodes.clone(),
        findings: findings.clone(),
    };
    job.stages.push(Stage {
        title: "checks".into(),
        tracks: vec![on(&manager, Box::new(back))],
    });
    Ok(job)
}

/// Carries out a request about one application as a part of a step; what it says goes to the job,
/// with the application's name before it.
async fn run(
    request: &Request,
    app: &str,
    cx: &Context,
    step: &Cx,
    findings: &Findings,
) -> Result<(), String> {
    let job = build(request, cx).await?;
    part(job, app, cx, step, findings).await
}

/// Runs a job about one application as a part of a step of another job, which holds the locks of all
/// nodes.
pub(super) async fn part(
    mut job: Job,
    app: &str,
    cx: &Context,
    step: &Cx,
    findings: &Findings,
) -> Result<(), String> {
    job = job.inside();
    let (events, mut arriving) = mpsc::channel(64);
    let running = cx.runner.run(&job, None, events, step.cancel.clone());
    let listening = async {
        while let Some(event) = arriving.recv().await {
            let Event::Line {
                stream,
                text,
                step: of,
                ..
            } = event
            else {
                continue;
            };
            if of == "answer" && text.contains(" answers ") {
                findings.of(app, |a| a.answers.push(text.to_string()));
            }
            step.out.line(stream, format!("{app}: {text}")).await;
        }
    };
    let (outcome, ()) = tokio::join!(running, listening);
    match outcome.map_err(|e| e.to_string())? {
        Outcome::Done { .. } => Ok(()),
        Outcome::Failed { reason } => Err(reason.into()),
        Outcome::Cancelled => Err("cancelled".into()),
    }
}

fn handle(cx: &Context, fits: impl Fn(&NodeConfig) -> bool) -> Option<&NodeHandle> {
    cx.nodes.iter().find(|n| fits(&n.config))
}

fn on(node: &NodeHandle, step: Box<dyn Step>) -> Track {
    Track {
        node: node.config.name.clone(),
        host: node.host.clone(),
        docker: node.docker.clone(),
        steps: vec![step],
    }
}

/// The applications of apps/; one whose file is wrong is told in the end and stops no other.
fn wanted(cx: &Context, findings: &Findings) -> Result<Vec<Wanted>, String> {
    let folder = cx
        .config
        .folder()
        .ok_or("without config.toml there is nothing to rebuild: pass --repository")?;
    let names = AppFile::list(&folder);
    if names.is_empty() {
        return Err(format!(
            "{} holds no application: pass --repository to take config.toml and apps/ out of the backups",
            folder.join("apps").display()
        ));
    }
    let mut all = Vec::new();
    for name in names {
        let rendered = AppFile::load(&folder, &name).and_then(|file| {
            let file = file.unwrap_or_default();
            let target = Target::of_app(&cx.config, &file);
            cx.catalogue
                .render(&file.stack, &name, &file.variables, &target)
        });
        match rendered {
            Ok(rendered) => {
                findings.of(&name, |_| {});
                all.push(Wanted {
                    name,
                    rendered: Arc::new(rendered),
                });
            }
            Err(reason) => findings.fail(&name, Stuck::Deploy, reason.to_string()),
        }
    }
    Ok(all)
}
