//! What can be told before anything is changed: ports and domains that others have, images that
//! can't be had, memory that no node has, domains that do not lead here.

use matou_i18n::tr;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;

use crate::OpsError;
use matou_config::{Config, DnsAddress};
use matou_dns::Zone;
use matou_docker::{NodeHandle, Nodes};
use matou_host::Command;
use matou_job::{Change, Report, StepContext, StepError};
use matou_model::{Service, Swarm};
use matou_stack::{LintSeverity, RenderedStack};

/// How long DNS and registries may take. Later answers are not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The edge's ports, which every firewall of matou lets in.
const ALWAYS_OPEN: [&str; 3] = ["80/tcp", "443/tcp", "443/udp"];

pub(super) struct PreflightChecks {
    pub app: String,
    pub rendered: Arc<RenderedStack>,
    pub nodes: Nodes,
    /// Of `[provision]`, as `8443/tcp`.
    pub open_ports: Vec<String>,
    /// Of `[dns]`.
    pub dns: OwnDns,
}

/// Names whose records matou makes, and where they lead.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnDns {
    zones: Vec<Zone>,
    addresses: BTreeSet<IpAddr>,
}

impl OwnDns {
    /// Takes what `[dns]` says.
    pub(super) fn of_config(config: &Config) -> Self {
        let dns = config.dns.iter();
        let addresses = dns.clone().flat_map(|dns| &dns.addresses);
        let ip = |address: &DnsAddress| match address {
            DnsAddress::Ip(ip) => Some(*ip),
            DnsAddress::Node(_) => None,
        };
        Self {
            addresses: addresses.filter_map(ip).collect(),
            zones: dns
                .flat_map(|dns| dns.zones.iter().map(|zone| Zone::new(zone)))
                .collect(),
        }
    }
}

#[async_trait]
impl Report for PreflightChecks {
    fn name(&self) -> String {
        tr!("checks").into()
    }

    async fn report(&self, cx: &StepContext) -> Result<Vec<Change>, StepError> {
        let swarm = cx.query_swarm().await?;
        self.check_client(cx).await?;
        self.check_ports(&swarm)?;
        self.check_domains(&swarm)?;
        let warnings = self
            .rendered
            .findings
            .iter()
            .filter(|f| f.severity == LintSeverity::Warning);
        let mut lines: Vec<Change> = warnings
            .map(|f| Change::same(format!("{}:{}", f.file, f.line)).with_warning(&f.message))
            .collect();
        let new = !swarm
            .services
            .iter()
            .any(|s| s.stack.as_deref() == Some(&self.app));
        let (images, names, versions, room, closed) = tokio::join!(
            self.check_images(cx, &swarm),
            self.check_dns(cx),
            super::versions::check_version_changes(&self.app, &self.rendered, &swarm),
            cx.docker.query_room(),
            self.check_firewall(cx),
        );
        lines.extend(closed);
        lines.extend(images);
        lines.extend(names);
        lines.extend(versions?);
        // What can't be read is no reason to stop: the scheduler will tell.
        if let Ok(room) = room {
            lines.extend(super::room::check_swarm_room(
                &self.app,
                &self.rendered,
                &room,
                new,
            )?);
        }
        Ok(lines)
    }
}

/// The first release of docker's command line whose `docker stack deploy` takes services that are jobs;
/// older ones refuse the whole stack ("Unknown mode: replicated-job").
const FIRST_CLIENT_WITH_JOBS: u32 = 23;

/// Returns why a client can't deploy a job; `None` where it can, or says nothing of its version.
fn describe_old_client(version: &str, node: &str, service: &str) -> Option<String> {
    let major: u32 = version.trim().split('.').next()?.parse().ok()?;
    (major < FIRST_CLIENT_WITH_JOBS).then(|| {
        tr!(
            "{service} is a job, and docker's command line on {node} is {}: its `docker stack deploy` knows jobs from {FIRST_CLIENT_WITH_JOBS} on; install a newer one there, as docker-ce-cli of Docker's own repository (the engine may stay), or keep the job in a stack of its own that a newer client deploys",
            matou_base::text::clean_line(version.trim())
        )
    })
}

impl PreflightChecks {
    /// Fails when the stack has a job and the manager's client can't deploy it.
    async fn check_client(&self, cx: &StepContext) -> Result<(), StepError> {
        let Some(job) = self.rendered.services.iter().find(|s| s.job) else {
            return Ok(());
        };
        let ask = Command::new("docker")
            .args(["version", "--format", "{{.Client.Version}}"])
            .sudo()
            .timeout(PATIENCE)
            .label("docker version");
        // Where it does not answer, the deploy will tell.
        let Ok(out) = cx.host.run_ok(&ask).await else {
            return Ok(());
        };
        let version = out.stdout_text();
        match describe_old_client(&version, &cx.node, &job.name) {
            Some(why) => Err(StepError::failed(why)),
            None => Ok(()),
        }
    }

    /// Whether a service is the application's, or is the application: one that was adopted as it was
    /// made, without a stack.
    fn is_own(&self, service: &Service) -> bool {
        let is_single = || self.rendered.adopted.as_ref().is_some_and(|a| a.single);
        match &service.stack {
            Some(stack) => *stack == self.app,
            None => service.name == self.app && is_single(),
        }
    }

    /// Fails when another application publishes one of the stack's ports.
    fn check_ports(&self, swarm: &Swarm) -> Result<(), StepError> {
        for (port, protocol) in &self.rendered.ports {
            let taken = swarm.services.iter().find(|s| {
                !self.is_own(s)
                    && s.ports.iter().any(|p| {
                        p.starts_with(&format!("{port}:")) && p.ends_with(&format!("/{protocol}"))
                    })
            });
            if let Some(other) = taken {
                return Err(StepError::failed(tr!(
                    "port {port}/{protocol} is published by {} already: give this one another port, or none and a domain",
                    other.name
                )));
            }
        }
        Ok(())
    }

    /// Fails when another application has a router with the same rule.
    fn check_domains(&self, swarm: &Swarm) -> Result<(), StepError> {
        // Two routers may share a host when their paths differ.
        let whole = |labels: &matou_stack::Labels| -> BTreeSet<String> {
            let rules = labels
                .iter()
                .filter(|(l, _)| l.starts_with("traefik.http.routers.") && l.ends_with(".rule"));
            rules.map(|(_, rule)| rule.replace(' ', "")).collect()
        };
        let ours: BTreeSet<String> = self
            .rendered
            .services
            .iter()
            .flat_map(|s| whole(&s.labels))
            .collect();
        for other in &swarm.services {
            if self.is_own(other) {
                continue;
            }
            if let Some(why) = super::names::describe_taken_name(&self.rendered, other) {
                return Err(StepError::failed(why));
            }
            if let Some(rule) = whole(&other.labels).intersection(&ours).next() {
                return Err(StepError::failed(tr!(
                    "{} answers for {rule} already: choose another domain, or remove that application",
                    other.name
                )));
            }
        }
        Ok(())
    }

    /// Returns a warning for each published port that the firewall of the nodes drops.
    async fn check_firewall(&self, cx: &StepContext) -> Vec<Change> {
        let open = &self.open_ports;
        let closed: Vec<String> = self
            .rendered
            .ports
            .iter()
            .map(|(port, protocol)| format!("{port}/{protocol}"))
            .filter(|port| !ALWAYS_OPEN.contains(&port.as_str()) && !open.contains(port))
            .collect();
        if closed.is_empty() || !has_firewall(cx).await {
            return Vec::new();
        }
        let warn = |port: &String| {
            Change::same(tr!("port {port}")).with_warning(tr!(
                "the firewall of the nodes drops what comes in there: add \"{port}\" to open_ports of [provision], then `matou provision`"
            ))
        };
        closed.iter().map(warn).collect()
    }

    /// Returns a warning for each image that neither the manager nor its registry has.
    async fn check_images(&self, cx: &StepContext, swarm: &Swarm) -> Vec<Change> {
        let running: BTreeSet<&str> = swarm.services.iter().map(|s| s.image.as_str()).collect();
        let images: BTreeSet<&str> = self
            .rendered
            .services
            .iter()
            .map(|s| s.image.as_str())
            .filter(|i| !running.contains(i))
            .collect();
        let asked =
            images.into_iter().map(|image| async move {
                if cx.docker.has_image(image).await.unwrap_or(false) {
                    return None;
                }
                let reason =
                    match tokio::time::timeout(PATIENCE, cx.docker.check_image_in_registry(image))
                        .await
                    {
                        Ok(Ok(())) => return None,
                        Ok(Err(e)) => e.to_string(),
                        Err(_) => tr!(
                            "its registry did not answer within {} s",
                            PATIENCE.as_secs()
                        ),
                    };
                Some(
                    Change::same(tr!("image {image}"))
                        .with_warning(tr!("it may not be there to be pulled: {reason}")),
                )
            });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// Returns a line for each domain, with a warning when it does not lead to nodes of the fleet alone.
    async fn check_dns(&self, cx: &StepContext) -> Vec<Change> {
        if self.rendered.domains.is_empty() {
            return Vec::new();
        }
        let addresses = self.nodes.iter().filter_map(|n| n.ssh_address());
        let mut ours: BTreeSet<IpAddr> = join_all(addresses.map(resolve_host_name))
            .await
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        ours.extend(&self.dns.addresses);
        let domains = &self.rendered.domains;
        let found = join_all(domains.iter().map(|domain| resolve_host_name(domain))).await;
        let is_strange = |ip: &IpAddr| !ours.contains(ip);
        if found.iter().flatten().flatten().any(is_strange) {
            // config.toml may name a node by its IPv4 address, and the domain its IPv6 address, too.
            let own = self.nodes.iter().map(|node| list_own_addresses(cx, node));
            ours.extend(join_all(own).await.into_iter().flatten());
        }
        let lines = domains.iter().zip(found);
        lines
            .map(|(domain, found)| {
                let is_made = Zone::find_for(&self.dns.zones, domain).is_some();
                match found {
                    // The step that makes its records tells.
                    Err(_) if is_made => Change::same(tr!("domain {domain}")),
                    found => describe_domain(domain, found, &ours),
                }
            })
            .collect()
    }
}

/// Whether the manager has the firewall that `matou provision` makes.
async fn has_firewall(cx: &StepContext) -> bool {
    let command = Command::new("systemctl")
        .args(["is-active", "--quiet", "matou-firewall"])
        .timeout(PATIENCE);
    let out = cx.host.run(&command).await;
    out.is_ok_and(|out| out.code == 0)
}

/// Returns the addresses that a node has on its interfaces; none where it can't be asked.
async fn list_own_addresses(cx: &StepContext, node: &NodeHandle) -> Vec<IpAddr> {
    let command = Command::new("hostname").arg("-I").timeout(PATIENCE);
    let host = cx.on_node(node).host;
    let asked = tokio::time::timeout(PATIENCE, host.run(&command)).await;
    let text = match asked {
        Ok(Ok(out)) => out.stdout_text(),
        _ => String::new(),
    };
    text.split_whitespace()
        .filter_map(|a| a.parse().ok())
        .collect()
}

/// Returns the line of a domain in the plan.
fn describe_domain(
    domain: &str,
    found: Result<BTreeSet<IpAddr>, OpsError>,
    ours: &BTreeSet<IpAddr>,
) -> Change {
    let line = Change::same(tr!("domain {domain}"));
    let found = match found {
        Ok(found) => found,
        Err(reason) => {
            return line.with_warning(tr!(
                "it does not resolve ({reason}): no certificate is issued for it before it does; add an A record"
            ));
        }
    };
    let strange: Vec<&IpAddr> = found.difference(ours).collect();
    let list = strange
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    match strange.first() {
        None => line,
        Some(_) if strange.len() == found.len() => line.with_warning(tr!(
            "it leads to {list}, which is no node of the fleet: no certificate is issued for it before it does"
        )),
        // The authority asks IPv6 first, and half of the visitors do.
        Some(first) => line.with_warning(tr!(
            "it leads to {list} as well, which is no node of the fleet: visitors and the certificate's authority may ask there; mend its {} record",
            if first.is_ipv6() { "AAAA" } else { "A" }
        )),
    }
}

/// Looks up the addresses of a host name. Fails with why it does not resolve.
pub(crate) async fn resolve_host_name(name: &str) -> Result<BTreeSet<IpAddr>, OpsError> {
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok([ip].into());
    }
    let looked_up = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name, 443))).await;
    match looked_up {
        Ok(Ok(found)) => Ok(found.map(|a| a.ip()).collect()),
        Ok(Err(e)) => Err(OpsError::failed(e)),
        Err(_) => Err(OpsError::failed(tr!(
            "no answer within {} s",
            PATIENCE.as_secs()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> BTreeSet<IpAddr> {
        list.iter()
            .map(|a| a.parse().expect("an address"))
            .collect()
    }

    #[test]
    fn a_domain_leads_to_nodes_and_nowhere_else() {
        let ours = addresses(&["192.0.2.1", "2001:db8::1"]);
        let say = |found: &[&str]| {
            let line = describe_domain("a.example", Ok(addresses(found)), &ours);
            line.warning.map(|w| w.to_string()).unwrap_or_default()
        };
        assert_eq!(say(&["192.0.2.1"]), "");
        assert_eq!(say(&["192.0.2.1", "2001:db8::1"]), "");
        let old_server = say(&["192.0.2.1", "2001:db8::9"]);
        assert!(
            old_server.contains("2001:db8::9 as well") && old_server.contains("AAAA record"),
            "{old_server}"
        );
        assert!(say(&["192.0.2.1", "192.0.2.9"]).ends_with("mend its A record"));
        let elsewhere = say(&["198.51.100.1"]);
        assert!(
            elsewhere.contains("198.51.100.1, which is no node"),
            "{elsewhere}"
        );
        let lost = describe_domain("a.example", Err(OpsError::failed("gone")), &ours);
        assert!(
            lost.warning
                .is_some_and(|w| w.to_string().contains("does not resolve (gone)"))
        );
    }

    #[test]
    fn an_old_client_is_told_with_its_cure_before_anything_is_made() {
        let old = |version: &str| describe_old_client(version, "n1", "once");
        let said = old("20.10.24+dfsg1\n").unwrap();
        assert!(said.contains("on n1 is 20.10.24+dfsg1"), "{said}");
        assert!(said.contains("docker-ce-cli"), "{said}");
        assert_eq!(old("23.0.0"), None);
        assert_eq!(old("28.2.2"), None);
        assert_eq!(old("a build of one's own"), None);
    }
}
