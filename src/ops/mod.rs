//! The operations: turns a [`Request`] into a [`Job`]; one file an operation.

mod availability;
mod backup;
mod context;
mod deploy;
mod erase;
mod export;
mod holds;
mod membership;
pub mod moves;
mod node;
mod reboot;
pub mod recover;
mod remove;
mod renew;
mod request;
pub(crate) mod restore;
mod service;
mod shell;
mod switch;
mod tasks;
mod unban;
mod versions;

use tokio::sync::mpsc;

use crate::docker::NodeHandle;
use crate::host::Command;
use crate::job::{Confirm, Cx, Job, Stage, Step, StepError, Stream, Track};

pub(crate) use backup::told;
pub use backup::{
    CheckData, Listed, LockFile, RepoWork, RepositoryState, Standing, UNIT as BACKUP_UNIT,
    both_files, night, plan_files, push_files, repositories, running, snapshots, strike_files,
    take_over,
};
pub use context::Context;
pub use request::{Request, RestoreTo, RestoreWhat};
pub use shell::{ShellTarget, shell_command, shell_target};
pub use versions::{ServiceVersions, newer};

/// Makes the job that carries out `request`. Reads what it must from the fleet and changes
/// nothing.
///
/// # Errors
/// One sentence: no manager answers, the request names something that does not exist, or a stack
/// file is wrong.
pub async fn build(request: &Request, cx: &Context) -> Result<Job, String> {
    let mut job = make(request, cx).await?;
    if job.holds.is_empty() {
        holds::guard(&mut job, request, cx).await?;
    }
    Ok(job)
}

async fn make(request: &Request, cx: &Context) -> Result<Job, String> {
    match request {
        // A blank fleet has no manager yet.
        Request::Provision { options } => {
            return crate::provision::job(&cx.config, &cx.nodes, options);
        }
        Request::Backup { .. } | Request::Repo { .. } => return backup::build(request, cx).await,
        Request::Role { node, .. }
        | Request::Leave { node }
        | Request::RemoveNode { node }
        | Request::Reboot { node }
        | Request::Upgrade { node } => return node::build(request, node, cx).await,
        Request::Restore { .. }
        | Request::RestoreAll
        | Request::RestoreUndo { .. }
        | Request::RestoreForget { .. }
        | Request::Verify { .. } => return restore::build(request, cx).await,
        Request::Export { .. } => return export::build(request, cx).await,
        Request::Erase { app } => return erase::build(app, cx).await,
        // It is about servers, not about their swarm.
        Request::Unban { address, node } => {
            return unban::build(request, address, node.as_deref(), cx);
        }
        Request::Recover => {
            let (options, findings) = Default::default();
            return recover::job(cx, &options, &findings).await;
        }
        Request::Move { apps, to } => {
            return moves::job(cx, apps, to.as_ref(), &Default::default()).await;
        }
        _ => {}
    }
    let manager = cx.nodes.manager().await.map_err(|e| e.to_string())?;
    let (confirm, steps) = match request {
        Request::Deploy { .. }
        | Request::Redeploy { .. }
        | Request::Update { .. }
        | Request::Place { .. } => (Confirm::Ask, deploy::of(request, manager, cx).await?),
        Request::Switch { app, switches } => (
            Confirm::Ask,
            switch::steps(app, switches, manager, cx).await?,
        ),
        Request::RenewCertificate { domain } => {
            (Confirm::TypeName(domain.clone()), renew::steps(domain, cx)?)
        }
        Request::Rollback { service } => (Confirm::Ask, service::rollback(service)),
        Request::Remove { app, volumes } => (
            Confirm::TypeName(app.clone()),
            remove::steps(app, volumes, cx)?,
        ),
        Request::Scale { service, replicas } => (Confirm::Ask, service::scale(service, *replicas)),
        Request::Restart { service } => (Confirm::Ask, service::restart(service)),
        Request::Availability { node, to } => {
            let id = node::swarm_id(node, cx).await;
            (Confirm::Ask, availability::set(node, id, *to))
        }
        Request::Backup { .. } => return Err("not there yet".into()),
        _ => unreachable!("built above"),
    };
    Ok(on(manager, request, confirm, steps))
}

/// [`build`] of a request whose plan nobody waits for: what the plan only tells is not read.
///
/// # Errors
/// As [`build`].
pub async fn build_at_once(request: &Request, cx: &Context) -> Result<Job, String> {
    match request {
        Request::Backup { apps } if apps.len() == 1 => backup::at_once(&apps[0], cx).await,
        other => build(other, cx).await,
    }
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

/// Runs a shell script as root in a unit of the step's node that a lost connection does not end.
async fn run_lasting(cx: &Cx, unit: &str, script: &str) -> Result<(), StepError> {
    let (lines, arriving) = mpsc::channel::<(Stream, Vec<u8>)>(64);
    let (ended, last) = tokio::join!(
        cx.host.last(unit, script, &[], lines, &cx.cancel),
        forward(cx, arriving)
    );
    judge(cx, unit, ended?, &last)
}

/// Runs a command on the step's node, its output streamed to the job; a non-zero exit code is the
/// step's failure.
async fn run_streamed(cx: &Cx, command: &Command) -> Result<(), StepError> {
    let (lines, arriving) = mpsc::channel::<(Stream, Vec<u8>)>(64);
    let (ended, last) = tokio::join!(
        cx.host.stream(command, lines, &cx.cancel),
        forward(cx, arriving)
    );
    judge(cx, &command.to_string(), ended?, &last)
}

/// Sends lines to the job as they come; answers with the last ones.
async fn forward(cx: &Cx, mut arriving: mpsc::Receiver<(Stream, Vec<u8>)>) -> Vec<String> {
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
}

fn judge(cx: &Cx, what: &str, code: i32, last: &[String]) -> Result<(), StepError> {
    match code {
        0 => Ok(()),
        code => Err(StepError::failed(format!(
            "`{what}` on {} ended with exit code {code}: {}",
            cx.node,
            last.join(" / ")
        ))),
    }
}

/// The newest version of each secret that is kept for an application.
///
/// # Errors
/// One sentence, when the storage node can't be asked.
pub async fn secret_versions(
    cx: &Context,
    app: &str,
) -> Result<std::collections::BTreeMap<String, u32>, String> {
    deploy::secrets::Store::of(cx, app)?.versions().await
}

/// The value of a secret of an application.
///
/// # Errors
/// One sentence: there is none of that name, or the storage node can't be asked.
pub async fn secret(cx: &Context, app: &str, name: &str) -> Result<secrecy::SecretString, String> {
    let store = deploy::secrets::Store::of(cx, app)?;
    let versions = store.versions().await?;
    let version = versions.get(name).ok_or_else(|| {
        let names: Vec<&str> = versions.keys().map(String::as_str).collect();
        match names.as_slice() {
            [] => format!("no secret of {app} is kept"),
            some => format!("{app} has no secret {name:?}: it has {}", some.join(", ")),
        }
    })?;
    store.read(name, *version).await
}
