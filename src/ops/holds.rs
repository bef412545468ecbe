//! Which applications a request changes: their locks are held while it is carried out, on the storage
//! node, where every console sees them.

use super::restore::{Journal, Settled};
use super::{Context, Request, RestoreTo};
use crate::backup::names;
use crate::host::Host;
use crate::job::{Hold, Job};

/// What a request changes of applications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Touched {
    /// Nothing of any, or what its own steps lock one after another.
    Nothing,
    Apps(Vec<String>),
    /// The one that a service belongs to.
    AppOf(String),
    /// The one that takes the fleet's https.
    Edge,
    /// All there are.
    Every,
}

impl Request {
    /// The applications that are to be nobody else's while this is carried out.
    pub(super) fn touches(&self) -> Touched {
        let one = |app: &String| Touched::Apps(vec![app.clone()]);
        match self {
            Self::Deploy { app, .. }
            | Self::Redeploy { app, .. }
            | Self::Update { app, .. }
            | Self::Place { app, .. }
            | Self::Switch { app, .. }
            | Self::Remove { app, .. }
            | Self::RestoreUndo { app }
            | Self::RestoreForget { app }
            | Self::Export { app, .. }
            | Self::Erase { app } => one(app),
            Self::Restore { app, to, .. } => match to {
                RestoreTo::Place => one(app),
                // Beside what is in use.
                RestoreTo::Folder { .. } => Touched::Nothing,
                RestoreTo::Beside { app: new, .. } => Touched::Apps(vec![app.clone(), new.clone()]),
            },
            Self::RestoreAll => Touched::Every,
            Self::Rollback { service }
            | Self::Scale { service, .. }
            | Self::Restart { service } => Touched::AppOf(service.clone()),
            Self::RenewCertificate { .. } => Touched::Edge,
            // Each application while its turn is: the night must not keep all of them for hours.
            Self::Backup { .. } => Touched::Nothing,
            // Their jobs are made elsewhere, and say themselves what they hold.
            Self::Recover | Self::Move { .. } => Touched::Nothing,
            // It reads a snapshot and what is live, and works in a folder of its own; two of it are
            // kept apart by the lock of the storage node.
            Self::Verify { .. } => Touched::Nothing,
            Self::Repo { .. }
            | Self::Provision { .. }
            | Self::Role { .. }
            | Self::Leave { .. }
            | Self::RemoveNode { .. }
            | Self::Reboot { .. }
            | Self::Upgrade { .. }
            | Self::Unban { .. }
            | Self::Availability { .. } => Touched::Nothing,
        }
    }
}

/// The applications that a request changes, by name.
///
/// # Errors
/// One sentence: no manager answers.
pub(super) async fn apps(request: &Request, cx: &Context) -> Result<Vec<String>, String> {
    Ok(match request.touches() {
        Touched::Nothing => Vec::new(),
        Touched::Apps(apps) => apps,
        more => {
            let manager = cx.nodes.manager().await.map_err(|e| e.to_string())?;
            let swarm = manager.docker.swarm().await.map_err(|e| e.to_string())?;
            let app = |s: &crate::model::Service| s.stack.clone().unwrap_or_else(|| s.name.clone());
            match more {
                Touched::AppOf(service) => {
                    let mut services = swarm.services.iter();
                    let found = services.find(|s| s.name == service || s.id == service);
                    found.map(app).into_iter().collect()
                }
                Touched::Edge => crate::edge::traefik(&swarm).map(app).into_iter().collect(),
                _ => names(&cx.config, &swarm),
            }
        }
    })
}

/// Makes a job hold the locks of the applications that its request changes; a restore of one that is
/// not at its end stands in the way of everything but what resolves it.
///
/// # Errors
/// One sentence: no manager answers, the storage node is none of the fleet.
pub(super) async fn guard(job: &mut Job, request: &Request, cx: &Context) -> Result<(), String> {
    let apps = apps(request, cx).await?;
    if apps.is_empty() {
        return Ok(());
    }
    let host = storage(cx)?;
    let resolves = matches!(
        request,
        Request::Restore { .. }
            | Request::RestoreAll
            | Request::RestoreUndo { .. }
            | Request::RestoreForget { .. }
            // What a restore left goes too.
            | Request::Erase { .. }
    );
    if let Some(track) = job.stages.first_mut().and_then(|s| s.tracks.first_mut())
        && !resolves
        // Where locks are, states of restores are.
        && !cx.runner.goes_without_locks()
    {
        let data = crate::backup::data(&cx.config);
        let journal = |app: &String| (app.clone(), Journal::new(host, &data, app));
        let journals = apps.iter().map(journal).collect();
        track.steps.insert(0, Box::new(Settled { journals }));
    }
    job.holds = vec![Hold::of_apps(host, apps)];
    Ok(())
}

/// Where locks are.
pub(super) fn storage(cx: &Context) -> Result<&Host, String> {
    let name = &cx.config.storage.node;
    let node = cx.nodes.get(name);
    let node = node.ok_or_else(|| {
        format!("[storage] node = {name:?} is not among the nodes of config.toml")
    })?;
    Ok(&node.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_beside_keeps_both_names() {
        let beside = Request::Restore {
            app: "shop".into(),
            snapshot: None,
            what: super::super::RestoreWhat::App,
            to: RestoreTo::Beside {
                app: "shop2".into(),
                variables: Default::default(),
            },
        };
        let both = Touched::Apps(vec!["shop".into(), "shop2".into()]);
        assert_eq!(beside.touches(), both);
        let scale = Request::Scale {
            service: "shop_web".into(),
            replicas: 0,
        };
        assert_eq!(scale.touches(), Touched::AppOf("shop_web".into()));
    }
}
