//! Files of a stack that are written from the fleet: those of the monitoring stack.

use matou_i18n::tr;
use std::collections::BTreeMap;
use std::path::Path;

use secrecy::SecretString;

use crate::FleetContext;
use crate::OpsError;
use matou_collect::list_probe_targets;
use matou_config::ReceiversConfig;
use matou_monitor::{AlertReceivers, EmailReceiver, MonitoringInputs, ProbeTarget, generate};
use matou_stack::RenderedStack;

/// Builds the files for the application `app`, whose own domains are taken from `rendered`.
///
/// # Errors
/// One sentence: no manager answers, or a file of `[receivers]` can't be read.
pub(super) async fn build_monitoring_files(
    cx: &FleetContext,
    app: &str,
    rendered: &RenderedStack,
) -> Result<BTreeMap<String, SecretString>, OpsError> {
    let manager = cx.nodes.find_manager().await?;
    let swarm = manager.docker.query_swarm().await?;
    // The application that is deployed now may not run yet, or run with other domains.
    let mut asked: Vec<ProbeTarget> = list_probe_targets(&swarm, &cx.answer_checks())
        .into_iter()
        .filter(|(other, ..)| other != app)
        // The exporter follows redirects: what it would ask is the main name, which is asked already.
        .filter(|(_, _, wanted)| wanted.redirect_to.is_none())
        .map(|(app, domain, wanted)| ProbeTarget {
            app,
            domain,
            wanted,
        })
        .collect();
    let check = rendered.check.clone().unwrap_or_default();
    let answering = (rendered.domains.iter()).filter(|d| rendered.redirect_of(d).is_none());
    asked.extend(answering.map(|domain| ProbeTarget {
        app: app.to_owned(),
        domain: domain.clone(),
        wanted: check.expected_answer(),
    }));
    asked.sort_by(|a, b| a.domain.cmp(&b.domain));
    let mut nodes: Vec<String> = swarm.nodes.iter().map(|n| n.hostname.clone()).collect();
    nodes.sort();
    let https = |p: &String| p.starts_with("443:");
    let edge = swarm.services.iter().find(|s| s.ports.iter().any(https));
    let config = &cx.config;
    let ca = match &config.edge.ca_file {
        Some(path) => Some(read_configured_file(path)?),
        None => None,
    };
    Ok(generate(&MonitoringInputs {
        app,
        fleet: &config.fleet.name,
        nodes,
        targets: asked,
        edge: edge.map(|s| s.name.clone()),
        limits: config.alerts,
        ca,
        backups: config.backup.primary_repository().is_some(),
        receivers: read_alert_receivers(&config.receivers)?,
    }))
}

/// Reads the files that `[receivers]` names.
///
/// # Errors
/// One of them can't be read.
pub(crate) fn read_alert_receivers(config: &ReceiversConfig) -> Result<AlertReceivers, OpsError> {
    let secret = |path: &Option<std::path::PathBuf>| {
        let read = |p: &std::path::PathBuf| read_configured_file(p).map(SecretString::from);
        path.as_ref().map(read).transpose()
    };
    let email = match &config.email {
        None => None,
        Some(email) => Some(EmailReceiver {
            to: email.to.clone(),
            from: email.from.clone(),
            smtp: email.smtp.clone(),
            user: email.user.clone(),
            password: secret(&email.password_file)?,
        }),
    };
    let telegram = match &config.telegram {
        None => None,
        Some((chat, token)) => Some((*chat, read_configured_file(token)?.into())),
    };
    let ntfy = match &config.ntfy {
        None => None,
        Some(topic) => Some((topic.clone(), secret(&config.ntfy_token_file)?)),
    };
    let gotify = match &config.gotify {
        None => None,
        Some((server, token)) => Some((server.clone(), read_configured_file(token)?.into())),
    };
    Ok(AlertReceivers {
        email,
        gotify,
        quiet: config.quiet.clone(),
        webhook: secret(&config.webhook_file)?,
        telegram,
        matrix: secret(&config.matrix_file)?,
        ntfy,
        deadman: secret(&config.deadman_file)?,
    })
}

fn read_configured_file(path: &Path) -> Result<String, OpsError> {
    std::fs::read_to_string(path)
        .map_err(|e| OpsError::failed(tr!("{} can't be read: {e}", path.display())))
}
