//! What applications answer under their domains, asked at the edge: a real request over TLS, in
//! which DNS plays no part.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::{Checks, Outside, Reports, Wake};
use crate::edge::{Edge, Visitor};
use crate::model::{Answered, Datum, Probe, Swarm};

/// The first look comes when the first frames are drawn and the nodes are connected.
const FIRST: Duration = Duration::from_secs(2);

/// Requests at a time.
const PARALLEL: usize = 32;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// One failed request is no failure: it is asked again after each of these.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// What an application must answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub path: String,
    /// HTTP status codes that are well.
    pub status: Vec<u16>,
}

/// A domain that an application claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    app: String,
    service: String,
    domain: String,
    /// Traefik asks for a password: to be asked for it is well.
    password: bool,
}

/// The domains of all applications, each once.
pub(super) fn sites(swarm: &Swarm) -> Vec<Site> {
    let mut sites: BTreeMap<&str, Site> = BTreeMap::new();
    for service in &swarm.services {
        let password = service.labels.keys().any(|l| {
            let l = l.to_ascii_lowercase();
            l.contains(".basicauth.") || l.contains(".digestauth.") || l.contains(".forwardauth.")
        });
        for domain in &service.domains {
            sites.entry(domain).or_insert_with(|| Site {
                app: service.stack.as_ref().unwrap_or(&service.name).clone(),
                service: service.name.clone(),
                domain: domain.clone(),
                password,
            });
        }
    }
    sites.into_values().collect()
}

/// What is asked of a swarm's applications: name, domain, and what the answer must be.
pub fn targets(swarm: &Swarm, checks: &Checks) -> Vec<(String, String, Wanted)> {
    sites(swarm)
        .into_iter()
        .map(|site| {
            let wanted = wanted(checks, &site);
            (site.app, site.domain, wanted)
        })
        .collect()
}

fn wanted(checks: &Checks, site: &Site) -> Wanted {
    let mut wanted = checks(&site.app);
    if site.password && !wanted.status.contains(&401) {
        wanted.status.push(401);
    }
    wanted
}

pub(super) async fn watch(outside: Outside, reports: Reports, wake: Arc<Wake>) {
    tokio::time::sleep(FIRST).await;
    let mut known = wake.sites.subscribe();
    let visitor = Visitor::default();
    loop {
        let sites = match known.wait_for(Option::is_some).await {
            Ok(sites) => sites.clone().unwrap_or_default(),
            Err(_) => return,
        };
        let begun = Instant::now();
        let reading = round(&outside.edge, &visitor, &outside.checks, sites).await;
        if !reports.send(Datum::Probes(reading)).await {
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

/// Asks every domain of the swarm once, those that fail three times.
///
/// # Errors
/// One sentence, when domains are claimed and no node takes https.
pub async fn read(swarm: &Swarm, edge: &Edge, checks: &Checks) -> Result<Vec<Probe>, String> {
    round(edge, &Visitor::default(), checks, sites(swarm)).await
}

async fn round(
    edge: &Edge,
    visitor: &Visitor,
    checks: &Checks,
    sites: Vec<Site>,
) -> Result<Vec<Probe>, String> {
    if sites.is_empty() {
        return Ok(Vec::new());
    }
    let mut taking = taking(edge).await;
    if taking.is_empty() {
        // It may have been the network's bad moment.
        tokio::time::sleep(AGAIN[1]).await;
        taking = self::taking(edge).await;
    }
    if taking.is_empty() {
        return Err(format!(
            "no node takes https on port {}: {} can't be reached; deploy the stack traefik, or look at its log",
            edge.port,
            match sites.len() {
                1 => "one domain".to_owned(),
                n => format!("{n} domains"),
            }
        ));
    }
    let asked = sites
        .into_iter()
        .map(|site| ask((edge.port, visitor), &taking, wanted(checks, &site), site));
    let mut probes: Vec<Probe> = stream::iter(asked)
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    probes.sort_by(|a, b| a.domain.cmp(&b.domain));
    Ok(probes)
}

/// The nodes on which something takes https.
async fn taking(edge: &Edge) -> Vec<(String, String)> {
    let tried = edge.nodes.iter().map(|(name, address)| async move {
        let connected = timeout(PATIENCE, TcpStream::connect((address.as_str(), edge.port))).await;
        matches!(connected, Ok(Ok(_))).then(|| (name.clone(), address.clone()))
    });
    join_all(tried).await.into_iter().flatten().collect()
}

/// The port of https, and who asks.
type By<'a> = (u16, &'a Visitor);

/// Asks one domain of every node of the edge; what the first answers that is not well, else the
/// slowest.
async fn ask(by: By<'_>, taking: &[(String, String)], wanted: Wanted, site: Site) -> Probe {
    let mut worst: Option<Result<Answered, String>> = None;
    for (node, address) in taking {
        let outcome = insist(by, node, address, &site.domain, &wanted).await;
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
        outcome: worst.unwrap_or_else(|| Err("no node was asked".into())),
    }
}

async fn insist(
    by: By<'_>,
    node: &str,
    address: &str,
    domain: &str,
    wanted: &Wanted,
) -> Result<Answered, String> {
    let mut outcome = once(by, node, address, domain, wanted).await;
    for pause in AGAIN {
        if matches!(&outcome, Ok(a) if a.well) {
            break;
        }
        tokio::time::sleep(pause).await;
        outcome = once(by, node, address, domain, wanted).await;
    }
    outcome
}

async fn once(
    by: By<'_>,
    node: &str,
    address: &str,
    domain: &str,
    wanted: &Wanted,
) -> Result<Answered, String> {
    let (port, visitor) = by;
    let asked = visitor.get(address, port, domain, &wanted.path);
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => Ok(Answered {
            node: node.to_owned(),
            status: answer.status,
            millis: u32::try_from(answer.took.as_millis()).unwrap_or(u32::MAX),
            well: answer.is_well(domain, &wanted.status),
        }),
        Ok(Err(reason)) => Err(reason),
        Err(_) => Err(format!(
            "{domain} did not answer within {} s",
            PATIENCE.as_secs()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mode, Service};

    #[test]
    fn every_domain_is_asked_once_and_passwords_are_expected() {
        let service = |name: &str, stack: Option<&str>, domains: &[&str], label: &str| Service {
            id: name.into(),
            name: name.into(),
            stack: stack.map(str::to_owned),
            image: "x:1".into(),
            mode: Mode::Replicated(1),
            wanted: 1,
            running: 1,
            domains: domains.iter().map(|d| (*d).to_owned()).collect(),
            ports: Vec::new(),
            labels: [(label.to_owned(), "x".to_owned())].into(),
            environment: [].into(),
            volumes: Vec::new(),
            created_at: None,
            updated_at: None,
            update: None,
            version: 1,
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
        let sites = sites(&swarm);
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
