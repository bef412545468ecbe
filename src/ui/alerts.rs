//! What is not as it should be, from the picture of the fleet.

use jiff::Timestamp;

use super::theme::Health;
use crate::config::AlertsConfig;
use crate::model::{Fleet, Link};

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    pub health: Health,
    /// What is concerned: a node or a service.
    pub what: String,
    /// The reason in one sentence.
    pub why: String,
    pub since: Option<Timestamp>,
    /// Key of the row that shows more, as in the panes.
    pub row: String,
}

/// All alerts, worst first.
pub fn of(fleet: &Fleet, thresholds: &AlertsConfig, now: Timestamp) -> Vec<Alert> {
    let mut alerts = Vec::new();
    if let Some(reason) = fleet.swarm.error() {
        alerts.push(Alert {
            health: Health::Bad,
            what: "swarm".into(),
            why: reason.to_owned(),
            since: fleet.swarm.read_at(),
            row: String::new(),
        });
    }
    for node in &fleet.nodes {
        let mut alert = |health, why: String, since| {
            alerts.push(Alert {
                health,
                what: node.name.clone(),
                why,
                since,
                row: format!("node/{}", node.name),
            });
        };
        if let Link::Down { reason, since } = &node.link
            && node.configured
        {
            alert(Health::Bad, reason.clone(), Some(*since));
        } else if let Some(reason) = node.engine.error() {
            alert(Health::Bad, reason.to_owned(), None);
        }
        if let Some(seen) = fleet.swarm_node(node)
            && seen.state != "ready"
        {
            let why = match seen.message.as_str() {
                "" => format!("the swarm sees it {}", seen.state),
                message => format!("the swarm sees it {}: {message}", seen.state),
            };
            alert(Health::Bad, why, None);
        }
        if let Some(m) = node.metrics.value()
            && !node.metrics.is_stale()
        {
            for (what, value, limit) in [
                ("CPU", m.cpu, thresholds.cpu),
                ("memory", m.memory_percent(), thresholds.memory),
                ("disk", m.disk_percent(), thresholds.disk),
            ] {
                if value >= f32::from(limit) {
                    alert(Health::Partly, format!("{what} at {value:.0} %"), None);
                }
            }
        }
    }
    for service in fleet.swarm.value().into_iter().flat_map(|s| &s.services) {
        if service.running >= service.wanted {
            continue;
        }
        let error = fleet
            .tasks(&service.id)
            .filter(|t| !t.error.is_empty())
            .max_by_key(|t| t.since)
            .map_or_else(String::new, |t| format!(": {}", t.error));
        alerts.push(Alert {
            health: if service.running == 0 {
                Health::Bad
            } else {
                Health::Partly
            },
            what: service.name.clone(),
            why: format!("{} of {} tasks run{error}", service.running, service.wanted),
            since: None,
            row: format!("service/{}", service.id),
        });
    }
    let certificates = fleet.certificates.value().into_iter().flatten();
    for certificate in certificates.filter(|_| !fleet.certificates.is_stale()) {
        let most = thresholds.certificate_days;
        if let Some(problem) = certificate.problem(now, most) {
            alerts.push(Alert {
                health: super::panes::certificate_health(certificate.state(now, most)),
                what: certificate.domain.clone(),
                why: format!("certificate: {problem}"),
                since: None,
                row: format!("certificate/{}", certificate.domain),
            });
        }
    }
    alerts.sort_by_key(|a| std::cmp::Reverse(a.health));
    alerts
}
