//! Alerts of Alertmanager.

use super::{
    ALERTMANAGER_KEY_PREFIX, AlertInputs, AlertKind, AlertSeverity, AlertTarget, Finding, Remedy,
};
use matou_i18n::tr;

/// Adds Alertmanager's alerts, but for those that our own rules found already.
pub(super) fn add_external_findings(inputs: AlertInputs<'_>, found: &mut Vec<Finding>) {
    let told = &inputs.fleet.told;
    if let Some(reason) = told.error() {
        found.push(Finding {
            key: "alertmanager".into(),
            kind: AlertKind::Alertmanager,
            severity: AlertSeverity::Warning,
            what: tr!("alertmanager").into(),
            why: reason.to_owned(),
            since: told.read_at(),
            target: AlertTarget::Fleet,
            remedy: Remedy::Services,
            near: false,
        });
    }
    let own = found.len();
    for alert in told.value().into_iter().flatten() {
        let name = alert.label("alertname");
        let (app, node) = (alert.label("app"), alert.label("instance"));
        let target = match (app, node) {
            ("", "") => AlertTarget::Fleet,
            ("", node) => AlertTarget::Node(node.to_owned()),
            (app, _) => AlertTarget::App(app.to_owned()),
        };
        let same = |kinds: &[AlertKind]| {
            let mut own = found[..own].iter();
            own.any(|f| !f.near && kinds.contains(&f.kind) && f.target == target)
        };
        let known = match name {
            // The first is always on, the second is what `matou check` found.
            "Watchdog" | "MatouAlert" => true,
            "ApplicationDown" => same(&[AlertKind::Http]),
            "NodeDown" => same(&[AlertKind::Unreachable, AlertKind::NodeDown]),
            "NodeCpu" => same(&[AlertKind::Cpu]),
            "NodeMemory" => same(&[AlertKind::Memory]),
            "NodeDisk" => same(&[AlertKind::Disk]),
            "NodeDiskFilling" => same(&[AlertKind::DiskTrend]),
            "BackupMissed" => same(&[AlertKind::Backup]),
            _ => false,
        };
        if known {
            continue;
        }
        let why = match alert.summary.as_str() {
            "" => format!("{name} (Prometheus)"),
            summary => format!("{summary} (Prometheus)"),
        };
        found.push(Finding {
            key: format!("{ALERTMANAGER_KEY_PREFIX}{}", alert.fingerprint),
            kind: AlertKind::Told,
            severity: match alert.label("severity") {
                "critical" => AlertSeverity::Critical,
                _ => AlertSeverity::Warning,
            },
            what: [app, node, name]
                .into_iter()
                .find(|w| !w.is_empty())
                .unwrap_or("alertmanager")
                .to_owned(),
            why,
            since: alert.since,
            target,
            remedy: match app {
                "" => Remedy::Shell,
                _ => Remedy::Logs,
            },
            near: told.is_stale(),
        });
    }
}
