//! Applications that do not answer, and certificates that end.

use super::{AlertInputs, AlertKind, AlertSeverity, AlertTarget, Finding, Remedy};
use matou_i18n::tr;
use matou_model::CertificateState;

pub(super) fn add_answer_findings(inputs: AlertInputs<'_>, found: &mut Vec<Finding>) {
    let probes = &inputs.fleet.probes;
    if let Some(reason) = probes.error() {
        // Where there is an edge that does not run, its service says why.
        let swarm = inputs.fleet.swarm.value();
        let edge = swarm.and_then(|s| s.find_edge_service());
        let (target, remedy) = match edge {
            Some(edge) => (AlertTarget::Service(edge.id.clone()), Remedy::Logs),
            None => (AlertTarget::Fleet, Remedy::Deploy),
        };
        found.push(Finding {
            key: "edge".into(),
            kind: AlertKind::Edge,
            severity: AlertSeverity::Critical,
            what: tr!("edge").into(),
            why: reason.to_owned(),
            since: probes.read_at(),
            target,
            remedy,
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
            kind: AlertKind::Http,
            severity: AlertSeverity::Critical,
            what: probe.app.clone(),
            why,
            since: None,
            target: AlertTarget::App(probe.app.clone()),
            remedy: Remedy::Logs,
            near: probes.is_stale(),
        });
    }
}

pub(super) fn add_certificate_findings(inputs: AlertInputs<'_>, found: &mut Vec<Finding>) {
    let most = inputs.limits.certificate_days;
    let certificates = &inputs.fleet.certificates;
    for certificate in certificates.value().into_iter().flatten() {
        let Some(problem) = certificate.problem(inputs.now, most) else {
            continue;
        };
        found.push(Finding {
            key: format!("certificate/{}", certificate.domain),
            kind: AlertKind::Certificate,
            severity: match certificate.state_at(inputs.now, most) {
                CertificateState::Late | CertificateState::Good => AlertSeverity::Warning,
                CertificateState::Ending | CertificateState::Refused => AlertSeverity::Critical,
            },
            what: certificate.domain.clone(),
            why: tr!("certificate: {problem}"),
            since: None,
            target: AlertTarget::Certificate(certificate.domain.clone()),
            remedy: Remedy::Certificates,
            near: certificates.is_stale(),
        });
    }
}
