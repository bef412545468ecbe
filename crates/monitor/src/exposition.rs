//! Figures in Prometheus' text format, for the node exporter's textfile collector.
//! Source: prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4.

use jiff::Timestamp;

use super::{Alert, AlertSeverity, BackupAge};
use matou_base::text::clean_line;

/// The last line of `matou check --metrics`: who reads the output knows by it that it is complete.
/// To Prometheus it is a comment.
pub const END: &str = "# EOF";

/// Cleans a label's value, and escapes backslash and quote in it.
fn escape_label_value(text: &str) -> String {
    clean_line(text).replace('\\', "\\\\").replace('"', "\\\"")
}

/// Renders the alerts that are not ignored, and the time of the check.
pub fn render_alert_metrics(alerts: &[Alert], now: Timestamp) -> String {
    let mut out = String::from(
        "# HELP matou_alert What matou finds not to be as it should be.\n# TYPE matou_alert gauge\n",
    );
    for alert in alerts.iter().filter(|a| a.silence.is_none()) {
        let kind = serde_json::to_value(alert.kind).unwrap_or_default();
        let level = match alert.severity {
            AlertSeverity::Warning => "warning",
            AlertSeverity::Critical => "critical",
        };
        out += &format!(
            "matou_alert{{kind=\"{}\",what=\"{}\",why=\"{}\",level=\"{level}\"}} 1\n",
            kind.as_str().unwrap_or_default(),
            escape_label_value(&alert.what),
            escape_label_value(&alert.why)
        );
    }
    out += "# HELP matou_check_timestamp_seconds When matou looked at the fleet.\n# TYPE matou_check_timestamp_seconds gauge\n";
    out += &format!("matou_check_timestamp_seconds {}\n", now.as_second());
    out
}

/// Renders when each application was backed up last.
pub fn render_backup_metrics(ages: &[BackupAge]) -> String {
    let mut out = String::from(
        "# HELP matou_backup_last_success_timestamp_seconds When the newest snapshot was made.\n\
         # TYPE matou_backup_last_success_timestamp_seconds gauge\n",
    );
    for age in ages {
        // What was never backed up is as old as can be.
        let at = age.newest.map_or(0, Timestamp::as_second);
        let app = escape_label_value(&age.app);
        out += &format!("matou_backup_last_success_timestamp_seconds{{app=\"{app}\"}} {at}\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AlertKind, AlertTarget, Remedy};

    #[test]
    fn hostile_text_stays_inside_its_label() {
        let alert = Alert {
            key: "k".into(),
            kind: AlertKind::CrashLoop,
            severity: AlertSeverity::Critical,
            what: "a\"} 1\nb".into(),
            why: "c\\".into(),
            since: None,
            target: AlertTarget::Fleet,
            remedy: Remedy::Logs,
            silence: None,
        };
        let text = render_alert_metrics(&[alert], Timestamp::UNIX_EPOCH);
        assert!(
            text.contains(
                "matou_alert{kind=\"crash-loop\",what=\"a\\\"} 1 b\",why=\"c\\\\\",level=\"critical\"} 1\n"
            ),
            "{text}"
        );
        assert!(text.ends_with("matou_check_timestamp_seconds 0\n"));
    }
}
