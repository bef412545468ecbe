//! Applications that do not answer, and certificates that end.

use super::{Facts, Finding, Kind, Severity};
use crate::model::CertificateState;

pub(super) fn answers(facts: Facts<'_>, found: &mut Vec<Finding>) {
    let probes = &facts.fleet.probes;
    if let Some(reason) = probes.error() {
        found.push(Finding {
            key: "edge".into(),
            kind: Kind::Edge,
            severity: Severity::Critical,
            what: "edge".into(),
            why: reason.to_owned(),
            since: probes.read_at(),
            row: String::new(),
            cure: "deploy",
            near: false,
        });
        // What the applications answer is not known then.
    }
    for probe in probes.value().into_iter().flatten() {
        let Some(why) = probe.problem() else {
            continue;
        };
        found.push(Finding {
            key: format!("app/{}/http/{}", probe.app, probe.domain),
            kind: Kind::Http,
            severity: Severity::Critical,
            what: probe.app.clone(),
            why,
            since: None,
            row: format!("app/{}", probe.app),
            cure: "logs",
            near: probes.is_stale(),
        });
    }
}

pub(super) fn certificates(facts: Facts<'_>, found: &mut Vec<Finding>) {
    let most = facts.limits.certificate_days;
    let certificates = &facts.fleet.certificates;
    for certificate in certificates.value().into_iter().flatten() {
        let Some(problem) = certificate.problem(facts.now, most) else {
            continue;
        };
        found.push(Finding {
            key: format!("certificate/{}", certificate.domain),
            kind: Kind::Certificate,
            severity: match certificate.state(facts.now, most) {
                CertificateState::Late | CertificateState::Good => Severity::Warning,
                CertificateState::Ending | CertificateState::Refused => Severity::Critical,
            },
            what: certificate.domain.clone(),
            why: format!("certificate: {problem}"),
            since: None,
            row: format!("certificate/{}", certificate.domain),
            cure: "certificates",
            near: certificates.is_stale(),
        });
    }
}
