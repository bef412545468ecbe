//! What the edge serves for every domain of the applications, asked by handshake.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;

use super::signals::{CollectorSignals, UpdateSender, log_reading};
use crate::CollectError;
use matou_base::text::SafeText;
use matou_docker::{NodeHandle, Nodes};
use matou_edge as edge;
use matou_edge::{AcmeFile, AcmeStore, EdgeEndpoints, find_acme_failure, query_certificate};
use matou_model::{Certificate, Datum, ServedCertificate, StoredCertificate, Swarm};

/// How often all domains are looked at.
const POLL: Duration = Duration::from_secs(300);

/// How often instead, while a domain is not served as it should be: it may be a new one.
const SOON: Duration = Duration::from_secs(15);

/// The first look comes when the first frames are drawn and the nodes are connected.
const FIRST: Duration = Duration::from_secs(2);

/// Handshakes at a time.
const PARALLEL: usize = 16;

pub(super) async fn watch_certificates(
    nodes: Nodes,
    edge: EdgeEndpoints,
    reports: UpdateSender,
    wake: Arc<CollectorSignals>,
) {
    tokio::time::sleep(FIRST).await;
    let mut sites = wake.sites.subscribe();
    loop {
        let reading = read_certificates(&nodes, &edge);
        let reading = log_reading("certificates", None, reading).await;
        let well = reading.as_ref().is_ok_and(|certificates| {
            certificates
                .iter()
                .filter(|c| !c.orphan)
                .flat_map(|c| &c.nodes)
                .all(|(_, served)| served.as_ref().is_ok_and(|s| s.problem.is_none()))
        });
        if !reports
            .send(Datum::Certificates(reading.map_err(SafeText::of)))
            .await
        {
            return;
        }
        let pause = if well { POLL } else { SOON };
        let woken = async {
            tokio::select! {
                () = wake.certificates.notified() => {}
                // A domain came or went.
                Ok(()) = sites.changed() => {}
            }
        };
        let _ = tokio::time::timeout(pause, woken).await;
    }
}

/// Asks every node for the certificate of every domain; adds what Traefik's log and acme.json say.
///
/// # Errors
/// One sentence, when no manager answers.
pub async fn read_certificates(
    nodes: &Nodes,
    edge: &EdgeEndpoints,
) -> Result<Vec<Certificate>, CollectError> {
    let manager = nodes.find_manager().await?;
    let swarm = manager.docker.query_swarm().await?;
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
            asked.push(query_domain_certificate(
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
                stored: None,
                orphan: false,
            });
        entry.nodes.push((node, served));
    }
    let mut certificates: Vec<Certificate> = certificates.into_values().collect();
    for certificate in &mut certificates {
        // A node that takes no https does not belong to the edge, as long as another one takes it.
        if certificate.nodes.iter().any(|(_, s)| s.is_ok()) {
            certificate.nodes.retain(|(_, s)| s.is_ok());
        } else {
            certificate.nodes.truncate(1);
        }
    }
    explain_refusals(&mut certificates, manager, &swarm).await;
    // When acme.json can't be read, what is served is returned all the same.
    if let Ok(file) = AcmeFile::find(nodes, &edge.storage, manager, &swarm).await
        && let Ok(store) = file.read().await
    {
        add_stored_certificates(&mut certificates, &store);
    }
    Ok(certificates)
}

/// Adds what Traefik's log says to the problems of certificates that browsers refuse.
async fn explain_refusals(certificates: &mut [Certificate], manager: &NodeHandle, swarm: &Swarm) {
    let refused = |c: &Certificate| {
        let problem = |s: &ServedCertificate| s.problem.is_some();
        c.nodes.iter().any(|(_, s)| s.as_ref().is_ok_and(problem))
    };
    if !certificates.iter().any(refused) {
        return;
    }
    let log = edge::read_edge_log(manager, swarm)
        .await
        .unwrap_or_default();
    for certificate in certificates.iter_mut().filter(|c| refused(c)) {
        let Some(why) = find_acme_failure(&log, &certificate.domain) else {
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

/// Adds to each domain what acme.json holds for it; appends the certificates that no domain uses.
fn add_stored_certificates(certificates: &mut Vec<Certificate>, store: &AcmeStore) {
    let by_name = edge::acme_certificates_by_name(store);
    let stored = |names: &[&str]| -> Vec<StoredCertificate> {
        let found = names.iter().filter_map(|n| by_name.get(n)).flatten();
        found
            .map(|s| StoredCertificate {
                resolver: s.resolver.clone(),
                not_after: s.not_after,
            })
            .collect()
    };
    for certificate in certificates.iter_mut() {
        let domain = certificate.domain.clone();
        let parent = domain.split_once('.').map(|(_, p)| format!("*.{p}"));
        let mut names = vec![domain.as_str()];
        names.extend(parent.as_deref());
        certificate.stored = Some(stored(&names));
    }
    let asked: BTreeSet<String> = certificates.iter().map(|c| c.domain.clone()).collect();
    // A certificate is used when one of its names is. Whether a wildcard is used is not known.
    let orphans = store.certificates.iter().filter(|s| {
        let wild = s.names.iter().any(|n| n.starts_with('*'));
        !wild && s.names.iter().all(|n| !asked.contains(n))
    });
    let names: BTreeSet<&String> = orphans.filter_map(|s| s.names.first()).collect();
    for name in names {
        certificates.push(Certificate {
            domain: name.clone(),
            service: String::new(),
            nodes: Vec::new(),
            stored: Some(stored(&[name])),
            orphan: true,
        });
    }
}

async fn query_domain_certificate(
    edge: EdgeEndpoints,
    address: String,
    domain: String,
    service: String,
    node: String,
) -> (String, String, String, Result<ServedCertificate, SafeText>) {
    let answer = query_certificate(&address, edge.port, &domain, &edge.roots).await;
    let served = answer
        .map_err(SafeText::of)
        .map(|served| ServedCertificate {
            issuer: served.issuer,
            names: served.names,
            not_before: served.not_before,
            not_after: served.not_after,
            problem: served.problem,
            chain: edge::parse_certificate_chain(&served.pem),
            pem: served.pem,
        });
    (domain, service, node, served)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn changed_domains_are_looked_at_at_once() {
        let (updates, mut arriving) = mpsc::channel(4);
        let wake = Arc::new(CollectorSignals::default());
        let edge = EdgeEndpoints::load(&matou_config::Config::this_machine(), &no_nodes()).unwrap();
        let watching = watch_certificates(no_nodes(), edge, UpdateSender(updates), wake.clone());
        let watching = tokio::spawn(watching);
        arriving.recv().await.unwrap();
        wake.sites.send_replace(Some(Vec::new()));
        let soon = tokio::time::timeout(SOON / 2, arriving.recv()).await;
        assert!(soon.is_ok(), "the domains changed, and nothing was read");
        watching.abort();
    }

    fn no_nodes() -> Nodes {
        Nodes::new(&[], |_| unreachable!("there is no node"))
    }

    #[test]
    fn what_is_stored_stands_beside_what_is_asked_for() {
        let store = AcmeStore::parse(
            r#"{"le":{"Certificates":[
            {"domain":{"main":"a.org","sans":["www.a.org"]},"certificate":"","key":""},
            {"domain":{"main":"*.b.org"},"certificate":"","key":""},
            {"domain":{"main":"old.org"},"certificate":"","key":""}]}}"#,
        )
        .unwrap();
        let asked = |domain: &str| Certificate {
            domain: domain.into(),
            service: "s".into(),
            nodes: Vec::new(),
            stored: None,
            orphan: false,
        };
        let mut all = vec![asked("www.a.org"), asked("x.b.org"), asked("new.org")];
        add_stored_certificates(&mut all, &store);
        let stored: Vec<usize> = all
            .iter()
            .map(|c| c.stored.as_ref().unwrap().len())
            .collect();
        assert_eq!(stored, [1, 1, 0, 1]);
        assert_eq!(all[3].domain, "old.org");
        assert!(all[3].orphan && !all[2].orphan);
    }
}
