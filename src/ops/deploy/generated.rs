//! Files of a stack that are written from the fleet: those of the monitoring stack.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::SecretString;

use crate::collect::targets;
use crate::config::ReceiversConfig;
use crate::monitor::{Email, Inputs, ProbeTarget, Receivers, generate};
use crate::ops::Context;
use crate::stack::Rendered;

/// The files, for an application whose own domains are those of `rendered`.
///
/// # Errors
/// One sentence: no manager answers, or a file of `[receivers]` can't be read.
pub(super) async fn files(
    cx: &Context,
    app: &str,
    rendered: &Rendered,
) -> Result<BTreeMap<String, SecretString>, String> {
    let manager = cx.nodes.manager().await.map_err(|e| e.to_string())?;
    let swarm = manager.docker.swarm().await.map_err(|e| e.to_string())?;
    // What is deployed now may not be there yet, or be another one.
    let mut asked: Vec<ProbeTarget> = targets(&swarm, &cx.checks())
        .into_iter()
        .filter(|(other, ..)| other != app)
        .map(|(app, domain, wanted)| ProbeTarget {
            app,
            domain,
            path: wanted.path,
            status: wanted.status,
        })
        .collect();
    let check = rendered.check.clone().unwrap_or_default();
    asked.extend(rendered.domains.iter().map(|domain| ProbeTarget {
        app: app.to_owned(),
        domain: domain.clone(),
        path: check.path.clone(),
        status: check.status.clone(),
    }));
    asked.sort_by(|a, b| a.domain.cmp(&b.domain));
    let mut nodes: Vec<String> = swarm.nodes.iter().map(|n| n.hostname.clone()).collect();
    nodes.sort();
    let https = |p: &String| p.starts_with("443:");
    let edge = swarm.services.iter().find(|s| s.ports.iter().any(https));
    let config = &cx.config;
    let ca = match &config.edge.ca_file {
        Some(path) => Some(read(path)?),
        None => None,
    };
    Ok(generate(&Inputs {
        app,
        fleet: &config.fleet.name,
        nodes,
        targets: asked,
        edge: edge.map(|s| s.name.clone()),
        limits: config.alerts,
        ca,
        backups: config.backup.primary().is_some(),
        receivers: receivers(&config.receivers)?,
    }))
}

fn receivers(config: &ReceiversConfig) -> Result<Receivers, String> {
    let secret = |path: &Option<std::path::PathBuf>| {
        let read = |p: &std::path::PathBuf| read(p).map(SecretString::from);
        path.as_ref().map(read).transpose()
    };
    let email = match &config.email {
        None => None,
        Some(email) => Some(Email {
            to: email.to.clone(),
            from: email.from.clone(),
            smtp: email.smtp.clone(),
            user: email.user.clone(),
            password: secret(&email.password_file)?,
        }),
    };
    let telegram = match &config.telegram {
        None => None,
        Some((chat, token)) => Some((*chat, read(token)?.into())),
    };
    let ntfy = match &config.ntfy {
        None => None,
        Some(topic) => Some((topic.clone(), secret(&config.ntfy_token_file)?)),
    };
    Ok(Receivers {
        email,
        webhook: secret(&config.webhook_file)?,
        telegram,
        matrix: secret(&config.matrix_file)?,
        ntfy,
        deadman: secret(&config.deadman_file)?,
    })
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{} can't be read: {e}", path.display()))
}
