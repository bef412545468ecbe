//! What the edge serves for every domain of the applications, asked by handshake.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;

use super::{Reports, Wake};
use crate::docker::{NodeHandle, Nodes};
use crate::edge::{Edge, probe, reason};
use crate::host::Command;
use crate::model::{Certificate, Datum, ServedCertificate, Swarm};

/// How often all domains are looked at.
const POLL: Duration = Duration::from_secs(300);

/// A domain that is not served as it should be is looked at this often: it may be a new one.
const SOON: Duration = Duration::from_secs(15);

/// The first look comes when the first frames are drawn and the nodes are connected.
const FIRST: Duration = Duration::from_secs(2);

/// Handshakes at a time.
const PARALLEL: usize = 16;

pub(super) async fn watch(nodes: Nodes, edge: Edge, reports: Reports, wake: Arc<Wake>) {
    tokio::time::sleep(FIRST).await;
    loop {
        let reading = read(&nodes, &edge).await;
        let well = reading.as_ref().is_ok_and(|certificates| {
            certificates
                .iter()
                .flat_map(|c| &c.nodes)
                .all(|(_, served)| served.as_ref().is_ok_and(|s| s.problem.is_none()))
        });
        if !reports.send(Datum::Certificates(reading)).await {
            return;
        }
        let pause = if well { POLL } else { SOON };
        let _ = tokio::time::timeout(pause, wake.certificates.notified()).await;
    }
}

/// Asks every node that takes https for every domain.
pub async fn read(nodes: &Nodes, edge: &Edge) -> Result<Vec<Certificate>, String> {
    let manager = nodes.manager().await.map_err(|e| e.to_string())?;
    let swarm = manager.docker.swarm().await.map_err(|e| e.to_string())?;
    let mut domains: BTreeMap<String, String> = BTreeMap::new();
    for service in &swarm.services {
        for domain in &service.domains {
            domains
                .entry(domain.clone())
                .or_insert_with(|| service.name.clone());
        }
    }
    let mut asked = Vec::new();
    for (domain, service) in &domains {
        for (node, address) in &edge.nodes {
            asked.push(ask(
                edge.clone(),
                address.clone(),
                domain.clone(),
                service.clone(),
                node.clone(),
            ));
        }
    }
    let mut certificates: BTreeMap<String, Certificate> = BTreeMap::new();
    let mut answers = stream::iter(asked).buffered(PARALLEL);
    while let Some((domain, service, node, served)) = answers.next().await {
        let entry = certificates
            .entry(domain.clone())
            .or_insert_with(|| Certificate {
                domain,
                service,
                nodes: Vec::new(),
            });
        entry.nodes.push((node, served));
    }
    let mut certificates: Vec<Certificate> = certificates.into_values().collect();
    for certificate in &mut certificates {
        // A node that takes no https at all is none of the edge, as long as another one is.
        if certificate.nodes.iter().any(|(_, s)| s.is_ok()) {
            certificate.nodes.retain(|(_, s)| s.is_ok());
        } else {
            certificate.nodes.truncate(1);
        }
    }
    let refused = |c: &Certificate| {
        let problem = |s: &ServedCertificate| s.problem.is_some();
        c.nodes.iter().any(|(_, s)| s.as_ref().is_ok_and(problem))
    };
    if certificates.iter().any(refused) {
        let log = traefik_log(manager, &swarm).await.unwrap_or_default();
        for certificate in certificates.iter_mut().filter(|c| refused(c)) {
            let Some(why) = reason(&log, &certificate.domain) else {
                continue;
            };
            for (_, served) in &mut certificate.nodes {
                if let Ok(served) = served
                    && let Some(problem) = &mut served.problem
                {
                    problem.push_str(": ");
                    problem.push_str(&why);
                }
            }
        }
    }
    Ok(certificates)
}

/// The end of the log of what takes https for the fleet.
async fn traefik_log(manager: &NodeHandle, swarm: &Swarm) -> Option<String> {
    let https = |p: &String| p.starts_with("443:");
    let service = swarm.services.iter().find(|s| s.ports.iter().any(https))?;
    let log = Command::new("docker")
        .args([
            "service",
            "logs",
            "--raw",
            "--no-task-ids",
            "--tail",
            "500",
            "--",
        ])
        .arg(&service.id)
        .sudo()
        .timeout(Duration::from_secs(10));
    let out = manager.host.run_ok(&log).await.ok()?;
    let mut text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&out.stderr));
    Some(text)
}

async fn ask(
    edge: Edge,
    address: String,
    domain: String,
    service: String,
    node: String,
) -> (String, String, String, Result<ServedCertificate, String>) {
    let answer = probe(&address, edge.port, &domain, &edge.roots).await;
    let served = answer.map(|served| ServedCertificate {
        issuer: served.issuer,
        names: served.names,
        not_before: served.not_before,
        not_after: served.not_after,
        problem: served.problem,
        pem: served.pem,
    });
    (domain, service, node, served)
}
