//! Figures in Prometheus' text format, for the node exporter's textfile collector.
//! Source: prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4.

use jiff::Timestamp;

use super::{Alert, BackupAge, Severity};
use crate::text::clean;

/// The last line of `matou check --metrics`, by which whoever takes it up sees that it is whole; a
/// comment to Prometheus.
pub const END: &str = "# EOF";

/// A label's value: backslash, quote and newline are escaped.
fn label(text: &str) -> String {
    clean(text).replace('\\', "\\\\").replace('"', "\\\"")
}

/// Alerts that are not ignored, and when it was looked.
pub fn alerts(alerts: &[Alert], now: Timestamp) -> String {
    let mut out = String::from(
        "# HELP matou_alert What matou finds not to be as it should be.\n# TYPE matou_alert gauge\n",
    );
    for alert in alerts.iter().filter(|a| a.silence.is_none()) {
        let kind = serde_json::to_value(alert.kind).unwrap_or_default();
        let level = match alert.severity {
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        };
        out += &format!(
            "matou_alert{{kind=\"{}\",what=\"{}\",why=\"{}\",level=\"{level}\"}} 1\n",
            kind.as_str().unwrap_or_default(),
            label(&alert.what),
            label(&alert.why)
        );
    }
    out += "# HELP matou_check_timestamp_seconds When matou looked at the fleet.\n# TYPE matou_check_timestamp_seconds gauge\n";
    out += &format!("matou_check_timestamp_seconds {}\n", now.as_second());
    out
}

/// When each application was backed up last.
pub fn backups(ages: &[BackupAge]) -> String {
    let mut out = String::from(
        "# HELP matou_backup_last_success_timestamp_seconds When the newest snapshot was made.\n\
         # TYPE matou_backup_last_success_timestamp_seconds gauge\n",
    );
    for age in ages {
        // What was never backed up is as old as can be.
        let at = age.newest.map_or(0, Timestamp::as_second);
        let app = label(&age.app);
        out += &format!("matou_backup_last_success_timestamp_seconds{{app=\"{app}\"}} {at}\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::Kind;

    #[test]
    fn hostile_text_stays_inside_its_label() {
        let alert = Alert {
            key: "k".into(),
            kind: Kind::CrashLoop,
            severity: Severity::Critical,
            what: "a\"} 1\nb".into(),
            why: "c\\".into(),
            since: None,
            row: String::new(),
            cure: "logs",
            silence: None,
        };
        let text = alerts(&[alert], Timestamp::UNIX_EPOCH);
        assert!(
            text.contains(
                "matou_alert{kind=\"crash-loop\",what=\"a\\\"} 1 b\",why=\"c\\\\\",level=\"critical\"} 1\n"
            ),
            "{text}"
        );
        assert!(text.ends_with("matou_check_timestamp_seconds 0\n"));
    }
}
