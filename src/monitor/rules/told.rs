//! What Alertmanager tells.

use super::{Facts, Finding, Kind, Severity, TOLD};

/// What Alertmanager alerts of, unless it is found already by looking ourselves.
pub(super) fn told(facts: Facts<'_>, found: &mut Vec<Finding>) {
    let told = &facts.fleet.told;
    if let Some(reason) = told.error() {
        found.push(Finding {
            key: "alertmanager".into(),
            kind: Kind::Alertmanager,
            severity: Severity::Warning,
            what: "alertmanager".into(),
            why: reason.to_owned(),
            since: told.read_at(),
            row: String::new(),
            cure: "services",
            near: false,
        });
    }
    let own = found.len();
    for alert in told.value().into_iter().flatten() {
        let name = alert.label("alertname");
        let (app, node) = (alert.label("app"), alert.label("instance"));
        let row = match (app, node) {
            ("", "") => String::new(),
            ("", node) => format!("node/{node}"),
            (app, _) => format!("app/{app}"),
        };
        let same = |kinds: &[Kind]| {
            let mut own = found[..own].iter();
            own.any(|f| !f.near && kinds.contains(&f.kind) && f.row == row)
        };
        let known = match name {
            // The first is always on, the second is what `matou check` found.
            "Watchdog" | "MatouAlert" => true,
            "ApplicationDown" => same(&[Kind::Http]),
            "NodeDown" => same(&[Kind::Unreachable, Kind::NodeDown]),
            "NodeCpu" => same(&[Kind::Cpu]),
            "NodeMemory" => same(&[Kind::Memory]),
            "NodeDisk" => same(&[Kind::Disk]),
            "NodeDiskFilling" => same(&[Kind::DiskTrend]),
            "BackupMissed" => same(&[Kind::Backup]),
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
            key: format!("{TOLD}{}", alert.fingerprint),
            kind: Kind::Told,
            severity: match alert.label("severity") {
                "critical" => Severity::Critical,
                _ => Severity::Warning,
            },
            what: [app, node, name]
                .into_iter()
                .find(|w| !w.is_empty())
                .unwrap_or("alertmanager")
                .to_owned(),
            why,
            since: alert.since,
            row,
            cure: match app {
                "" => "shell",
                _ => "logs",
            },
            near: told.is_stale(),
        });
    }
}
