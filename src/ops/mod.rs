//! The operations: turns a [`Request`] into a [`Job`]; one file an operation.

mod availability;
mod context;
mod deploy;
mod remove;
mod request;
mod service;
mod shell;
mod tasks;

use tokio::sync::mpsc;

use crate::docker::NodeHandle;
use crate::host::Command;
use crate::job::{Confirm, Cx, Job, Stage, Step, StepError, Stream, Track};

pub use context::Context;
pub use request::Request;
pub use shell::{ShellTarget, shell_command, shell_target};

/// Makes the job that carries out `request`. Reads what it must from the fleet and changes
/// nothing.
///
/// # Errors
/// One sentence: no manager answers, the request names something that does not exist, or a stack
/// file is wrong.
pub async fn build(request: &Request, cx: &Context) -> Result<Job, String> {
    // A blank fleet has no manager yet.
    if let Request::Provision { options } = request {
        return crate::provision::job(&cx.config, &cx.nodes, options);
    }
    let manager = cx.nodes.manager().await.map_err(|e| e.to_string())?;
    let (confirm, steps) = match request {
        Request::Deploy {
            stack,
            app,
            variables,
        } => (Confirm::Ask, deploy::steps(stack, app, variables, cx)?),
        Request::Remove { app } => (Confirm::TypeName(app.clone()), remove::steps(app)),
        Request::Scale { service, replicas } => (Confirm::Ask, service::scale(service, *replicas)),
        Request::Restart { service } => (Confirm::Ask, service::restart(service)),
        Request::Provision { .. } => unreachable!("built above"),
        Request::Availability { node, to } => {
            let handle = cx.nodes.get(node);
            let id = match handle {
                Some(handle) => handle.docker.engine().await.ok().map(|e| e.swarm_node_id),
                None => None,
            };
            let id = id.filter(|id| !id.is_empty());
            (Confirm::Ask, availability::set(node, id, *to))
        }
    };
    Ok(on(manager, request, confirm, steps))
}

/// A job of one stage on one node.
fn on(node: &NodeHandle, request: &Request, confirm: Confirm, steps: Vec<Box<dyn Step>>) -> Job {
    let stage = Stage {
        title: request.title(),
        tracks: vec![Track {
            node: node.config.name.clone(),
            host: node.host.clone(),
            docker: node.docker.clone(),
            steps,
        }],
    };
    Job::new(request.title(), confirm, vec![stage])
}

/// Runs a command on the step's node, its output streamed to the job; a non-zero exit code is the
/// step's failure.
async fn run_streamed(cx: &Cx, command: &Command) -> Result<(), StepError> {
    let (lines, mut arriving) = mpsc::channel::<(Stream, Vec<u8>)>(64);
    let forward = async {
        let mut last = Vec::new();
        while let Some((stream, line)) = arriving.recv().await {
            let text = crate::text::plain(&line);
            cx.out.line(stream, text.clone()).await;
            if last.len() == 3 {
                last.remove(0);
            }
            last.push(text);
        }
        last
    };
    let (ended, last) = tokio::join!(cx.host.stream(command, lines, &cx.cancel), forward);
    match ended? {
        0 => Ok(()),
        code => Err(StepError::failed(format!(
            "`{command}` on {} ended with exit code {code}: {}",
            cx.node,
            last.join(" / ")
        ))),
    }
}
