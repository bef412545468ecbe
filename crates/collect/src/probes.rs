//! What applications answer under their domains, asked at the edge: a real request over TLS, in
//! which DNS plays no part.

use matou_i18n::{tr, trn};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::signals::{
    AnswerChecks, CollectorSignals, ProbeSettings, ProbedDomain, UpdateSender, log_reading,
};
use crate::CollectError;
use matou_base::text::SafeText;
use matou_edge::{EdgeEndpoints, HttpsClient};
use matou_model::{Datum, ExpectedAnswer, Probe, ProbeAnswer, Swarm, redirects_from_labels};

/// The first look comes when the first frames are drawn and the nodes are connected.
const FIRST: Duration = Duration::from_secs(2);

/// Requests at a time.
const PARALLEL: usize = 32;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pauses before a failed request is sent again; only the last failure counts.
const RETRY_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// The domains of all applications, each once.
pub(super) fn list_probed_domains(swarm: &Swarm) -> Vec<ProbedDomain> {
    let mut sites: BTreeMap<&str, ProbedDomain> = BTreeMap::new();
    for service in &swarm.services {
        let password = service.labels.keys().any(|l| {
            let l = l.to_ascii_lowercase();
            l.contains(".basicauth.") || l.contains(".digestauth.") || l.contains(".forwardauth.")
        });
        let redirects = redirects_from_labels(&service.labels);
        for domain in &service.domains {
            sites.entry(domain).or_insert_with(|| ProbedDomain {
                app: service.stack.as_ref().unwrap_or(&service.name).clone(),
                service: service.name.clone(),
                domain: domain.clone(),
                password,
                redirect_to: redirects.get(domain).cloned(),
                way_in: swarm.find_way_in(domain),
            });
        }
    }
    sites.into_values().collect()
}

/// Returns the application, the domain and the expected answer of each domain of a swarm.
pub fn list_probe_targets(
    swarm: &Swarm,
    checks: &AnswerChecks,
) -> Vec<(String, String, ExpectedAnswer)> {
    list_probed_domains(swarm)
        .into_iter()
        .map(|site| {
            let mut wanted = expected_answer(checks, &site);
            // Who asks by what is written down from this must not be led past a page of today.
            wanted.way_in = None;
            (site.app, site.domain, wanted)
        })
        .collect()
}

fn expected_answer(checks: &AnswerChecks, site: &ProbedDomain) -> ExpectedAnswer {
    let mut wanted = checks(&site.app);
    if let Some(main) = &site.redirect_to {
        return ExpectedAnswer::redirect(&wanted.path, main);
    }
    if site.password && !wanted.status.contains(&401) {
        wanted.status.push(401);
    }
    wanted.way_in.clone_from(&site.way_in);
    wanted
}

pub(super) async fn watch_probes(
    outside: ProbeSettings,
    reports: UpdateSender,
    wake: Arc<CollectorSignals>,
) {
    tokio::time::sleep(FIRST).await;
    let mut known = wake.sites.subscribe();
    let client = HttpsClient::default();
    loop {
        let sites = match known.wait_for(Option::is_some).await {
            Ok(sites) => sites.clone().unwrap_or_default(),
            Err(_) => return,
        };
        let begun = Instant::now();
        let reading = probe_domains(&outside.edge, &client, &outside.checks, sites);
        let reading = log_reading("probes", None, reading).await;
        if !reports
            .send(Datum::Probes(reading.map_err(SafeText::of)))
            .await
        {
            return;
        }
        let pause = outside.every.saturating_sub(begun.elapsed());
        let woken = async {
            tokio::select! {
                () = wake.probes.notified() => {}
                // A domain came or went.
                _ = known.changed() => {}
            }
        };
        let _ = timeout(pause.max(Duration::from_secs(1)), woken).await;
    }
}

/// Asks every domain of the swarm; one that fails is asked three times.
///
/// # Errors
/// One sentence, when domains are claimed and no node takes https.
pub async fn read_probes(
    swarm: &Swarm,
    edge: &EdgeEndpoints,
    checks: &AnswerChecks,
) -> Result<Vec<Probe>, CollectError> {
    probe_domains(
        edge,
        &HttpsClient::default(),
        checks,
        list_probed_domains(swarm),
    )
    .await
}

async fn probe_domains(
    edge: &EdgeEndpoints,
    client: &HttpsClient,
    checks: &AnswerChecks,
    sites: Vec<ProbedDomain>,
) -> Result<Vec<Probe>, CollectError> {
    if sites.is_empty() {
        return Ok(Vec::new());
    }
    let mut taking = find_https_nodes(edge).await;
    if taking.is_empty() {
        // Tried once more: the network may have failed for a moment.
        tracing::debug!("no node takes https: tries again");
        tokio::time::sleep(RETRY_PAUSES[1]).await;
        taking = self::find_https_nodes(edge).await;
    }
    if taking.is_empty() {
        return Err(CollectError::failed(trn!(
            sites.len(),
            "no node takes https on port {port}: one domain can't be reached; deploy the stack traefik, or look at its log",
            "no node takes https on port {port}: {n} domains can't be reached; deploy the stack traefik, or look at its log",
            port = edge.port
        )));
    }
    let asked = sites.into_iter().map(|site| {
        probe_domain(
            (edge.port, client),
            &taking,
            expected_answer(checks, &site),
            site,
        )
    });
    let mut probes: Vec<Probe> = stream::iter(asked)
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    probes.sort_by(|a, b| a.domain.cmp(&b.domain));
    Ok(probes)
}

/// Finds the nodes on which something takes https; returns their names and addresses.
async fn find_https_nodes(edge: &EdgeEndpoints) -> Vec<(String, String)> {
    let tried = edge.nodes.iter().map(|(name, address)| async move {
        let connected = timeout(PATIENCE, TcpStream::connect((address.as_str(), edge.port))).await;
        matches!(connected, Ok(Ok(_))).then(|| (name.clone(), address.clone()))
    });
    join_all(tried).await.into_iter().flatten().collect()
}

/// The port of https, and the client that asks.
type ProbeClient<'a> = (u16, &'a HttpsClient);

/// Asks the nodes of the edge for one domain, until one gives a bad answer. Returns that answer, or
/// else the slowest.
async fn probe_domain(
    client: ProbeClient<'_>,
    nodes: &[(String, String)],
    wanted: ExpectedAnswer,
    site: ProbedDomain,
) -> Probe {
    let mut worst: Option<Result<ProbeAnswer, SafeText>> = None;
    for (node, address) in nodes {
        let outcome = probe_with_retries(client, node, address, &site.domain, &wanted)
            .await
            .map_err(SafeText::of);
        let well = matches!(&outcome, Ok(a) if a.well);
        let slower = match (&worst, &outcome) {
            (Some(Ok(before)), Ok(now)) => now.millis > before.millis,
            _ => true,
        };
        if !well || slower {
            worst = Some(outcome);
        }
        if !well {
            break;
        }
    }
    Probe {
        app: site.app,
        service: site.service,
        domain: site.domain,
        path: wanted.path,
        outcome: worst.unwrap_or_else(|| Err(tr!("no node was asked").into())),
    }
}

async fn probe_with_retries(
    client: ProbeClient<'_>,
    node: &str,
    address: &str,
    domain: &str,
    wanted: &ExpectedAnswer,
) -> Result<ProbeAnswer, CollectError> {
    let mut outcome = probe_once(client, node, address, domain, wanted).await;
    for pause in RETRY_PAUSES {
        if matches!(&outcome, Ok(a) if a.well) {
            break;
        }
        tracing::debug!(?domain, node = ?node, "no good answer: tries again");
        tokio::time::sleep(pause).await;
        outcome = probe_once(client, node, address, domain, wanted).await;
    }
    outcome
}

async fn probe_once(
    client: ProbeClient<'_>,
    node: &str,
    address: &str,
    domain: &str,
    wanted: &ExpectedAnswer,
) -> Result<ProbeAnswer, CollectError> {
    let (port, client) = client;
    let asked = client.get(address, port, domain, wanted);
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => Ok(ProbeAnswer {
            node: node.to_owned(),
            status: answer.status,
            millis: u32::try_from(answer.took.as_millis()).unwrap_or(u32::MAX),
            well: answer.is_well(domain, wanted),
            fault: answer.fault,
        }),
        Ok(Err(reason)) => Err(reason.into()),
        Err(_) => Err(CollectError::failed(tr!(
            "{domain} did not answer within {} s",
            PATIENCE.as_secs()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_model::Service;

    #[test]
    fn every_domain_is_asked_once_and_passwords_are_expected() {
        let service = |name: &str, stack: Option<&str>, domains: &[&str], label: &str| Service {
            id: name.into(),
            name: name.into(),
            stack: stack.map(str::to_owned),
            image: "x:1".into(),
            wanted: 1,
            running: 1,
            domains: domains.iter().map(|d| (*d).to_owned()).collect(),
            labels: [(label.to_owned(), "x".to_owned())].into(),
            ..Service::default()
        };
        let swarm = Swarm {
            services: vec![
                service(
                    "blog_web",
                    Some("blog"),
                    &["b.org", "a.org"],
                    "traefik.enable",
                ),
                service("blog_api", Some("blog"), &["a.org"], "traefik.enable"),
                service(
                    "own",
                    None,
                    &["c.org"],
                    "traefik.http.middlewares.x.basicAuth.users",
                ),
            ],
            ..Swarm::default()
        };
        let sites = list_probed_domains(&swarm);
        let seen: Vec<(&str, &str, bool)> = sites
            .iter()
            .map(|s| (s.domain.as_str(), s.app.as_str(), s.password))
            .collect();
        assert_eq!(
            seen,
            [
                ("a.org", "blog", false),
                ("b.org", "blog", false),
                ("c.org", "own", true)
            ]
        );
    }
}
