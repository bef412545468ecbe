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
    backups(fleet, &mut alerts);
    alerts.sort_by_key(|a| std::cmp::Reverse(a.health));
    alerts
}

/// Repositories that can't be used, restores that were interrupted, proofs that failed, nights that
/// were missed.
fn backups(fleet: &Fleet, alerts: &mut Vec<Alert>) {
    let mut alert = |health, what: &str, why: String, since, row: String| {
        alerts.push(Alert {
            health,
            what: what.to_owned(),
            why,
            since,
            row,
        });
    };
    let Some(backups) = fleet.backups.value() else {
        return;
    };
    for repository in &backups.repositories {
        let row = format!("repository/{}", repository.name);
        let what = format!("repository {}", repository.name);
        if let Some(problem) = &repository.problem {
            alert(Health::Bad, &what, problem.clone(), None, row.clone());
        }
        if let Some((at, Err(why))) = &repository.check {
            alert(Health::Bad, &what, why.clone(), Some(*at), row);
        }
    }
    for restore in backups.restores.iter().filter(|r| r.interrupted) {
        let app = &restore.app;
        let why = format!("a restore was interrupted: `matou restore undo {app}` resolves it");
        let row = format!("saved/{app}");
        alert(Health::Bad, app, why, Some(restore.at), row);
    }
    for proof in backups.proofs.values() {
        if let Some(problem) = &proof.problem {
            let row = format!("saved/{}", proof.app);
            let why = format!("its snapshot is no proof: {problem}");
            alert(Health::Bad, &proof.app, why, Some(proof.at), row);
        }
    }
    if let Some(schedule) = &backups.schedule {
        let row = format!(
            "repository/{}",
            backups.repositories.first().map_or("main", |r| &r.name)
        );
        if let Some(at) = schedule.missed {
            let why = "the nightly run was missed".to_owned();
            alert(Health::Bad, "backup", why, Some(at), row.clone());
        }
        if let Some(why) = &schedule.failed {
            alert(Health::Bad, "backup", why.clone(), schedule.last, row);
        }
    }
}
