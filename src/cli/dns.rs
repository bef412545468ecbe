//! `matou dns`: what DNS says of the applications' names.

use matou_i18n::{tr, trn};
use std::process::ExitCode;

use color_eyre::eyre::Result;

use super::{Exit, job};
use matou_base::outln;
use matou_base::text::{clean_line, display_width, fit_to_width};
use matou_dns::{NameRecord, Owner, RecordSet, RecordVerdict};
use matou_monitor::{AlertKind, AlertSeverity, AlertTarget, Finding, Remedy};
use matou_ops::{FleetContext, NameInDns, Request};

/// Columns that a name takes at most.
const MAX_COLUMNS: usize = 40;

/// Whose a name is that no application has any more.
const NOBODY: &str = "nobody";

/// Shown under `matou dns --help`.
pub(super) const HELP: &str = "The table [dns] of config.toml says who has the zones. Only records that matou made are changed or removed; a TXT record beside each, _matou.NAME, says so. Deploying, renaming and removing an application does the same for its own names.
Exit code 1: something is not as it should be.

Examples:
  matou dns
  matou dns --apply --dry-run
  matou dns --json | jq -r '.[] | select(.warnings != []) | .name'";

/// Carries out `matou dns`: prints what is there and what should be, or mends it. Printing fails when something is
/// not as it should be.
pub(super) async fn run_dns_command(
    fleet: &FleetContext,
    apply: bool,
    options: &job::JobOptions,
) -> Result<ExitCode> {
    if apply {
        return job::run_request(fleet, Request::Dns, options).await;
    }
    let all = matou_ops::list_names_in_dns(fleet).await?;
    match options.wants_json() {
        true => matou_base::out::print_json_pretty(&all)?,
        false => {
            let widths = find_widths(&all);
            for line in all.iter().flat_map(|name| format_name(name, widths)) {
                outln!("{line}")?;
            }
            outln!("{}", format_summary(&all))?;
        }
    }
    Ok(match all.iter().all(NameInDns::is_right) {
        true => Exit::Done.into(),
        false => Exit::Failed.into(),
    })
}

/// Finds names whose records are not as they should be, for `matou check`; none without `[dns]`.
pub(super) async fn find_dns_findings(fleet: &FleetContext) -> Vec<Finding> {
    if fleet.config.dns.is_none() {
        return Vec::new();
    }
    match matou_ops::list_names_in_dns(fleet).await {
        Ok(names) => names.iter().filter_map(describe_finding).collect(),
        // That no manager answers is told already.
        Err(e) if e.is_unreachable() => Vec::new(),
        Err(e) => vec![build_finding(
            "dns",
            "dns",
            e.to_string(),
            AlertTarget::Fleet,
        )],
    }
}

fn describe_finding(name: &NameInDns) -> Option<Finding> {
    if name.is_right() {
        return None;
    }
    let open = name.records.iter().find(|r| is_to_do(r));
    let why = match (name.warnings.first(), open) {
        (_, Some(record)) => tr!(
            "its record is not as it should be, {}: `matou dns --apply` mends it",
            format_record(record)
        ),
        (Some(warning), None) => warning.clone(),
        (None, None) => return None,
    };
    let target = match &name.app {
        Some(app) => AlertTarget::App(app.clone()),
        None => AlertTarget::Fleet,
    };
    Some(build_finding(
        &format!("dns/{}", name.name),
        &name.name,
        why,
        target,
    ))
}

fn build_finding(key: &str, what: &str, why: String, target: AlertTarget) -> Finding {
    Finding {
        key: key.to_owned(),
        kind: AlertKind::Dns,
        severity: AlertSeverity::Warning,
        what: what.to_owned(),
        why,
        since: None,
        target,
        remedy: Remedy::Services,
        near: false,
    }
}

/// Whether something is to be made, changed or removed.
fn is_to_do(record: &NameRecord) -> bool {
    matches!(
        record.verdict,
        RecordVerdict::Make | RecordVerdict::Change | RecordVerdict::Remove
    )
}

fn format_name(name: &NameInDns, widths: (usize, usize)) -> Vec<String> {
    let app = name.app.as_deref().unwrap_or(NOBODY);
    let cells = [(name.name.as_str(), widths.0), (app, widths.1)];
    let head: String = cells
        .iter()
        .map(|(text, width)| fit_to_width(&clean_line(text), *width, "…") + "  ")
        .collect();
    let mut lines = Vec::new();
    if name.zone.is_none() {
        lines.push(tr!("{head}in no zone of [dns]"));
    }
    for (at, record) in name.records.iter().enumerate() {
        let head = match at {
            0 => head.clone(),
            _ => " ".repeat(widths.0 + widths.1 + 4),
        };
        lines.push(format!("{head}{}", format_record(record)));
    }
    let warnings = name.warnings.iter();
    lines.extend(warnings.map(|warning| format!("  ! {}", clean_line(warning))));
    lines
}

/// Returns the columns that names and applications take.
fn find_widths(all: &[NameInDns]) -> (usize, usize) {
    let names = all.iter().map(|n| display_width(&n.name));
    let apps = all
        .iter()
        .map(|n| display_width(n.app.as_deref().unwrap_or(NOBODY)));
    (
        names.max().unwrap_or(0).min(MAX_COLUMNS),
        apps.max().unwrap_or(0).min(MAX_COLUMNS),
    )
}

fn format_record(record: &NameRecord) -> String {
    let values = |set: &Option<RecordSet>| {
        let set = set.as_ref();
        set.map(|s| clean_line(&s.shown_values()).into_owned())
            .unwrap_or_else(|| tr!("none").into())
    };
    let owner = match &record.owner {
        Owner::Nobody => "",
        Owner::Matou { .. } => tr!(", matou's"),
        Owner::OtherFleet { .. } => tr!(", of another fleet"),
        Owner::Stranger => tr!(", not matou's"),
    };
    let ttl = record.there.as_ref().map(|set| format!(" ({} s)", set.ttl));
    let there = format!(
        "{:<4} {}{}{owner}",
        record.kind.as_str(),
        values(&record.there),
        ttl.unwrap_or_default()
    );
    match record.verdict {
        RecordVerdict::Right | RecordVerdict::Left => there,
        RecordVerdict::Remove => tr!("{there}: to be removed"),
        RecordVerdict::Make | RecordVerdict::Change => {
            tr!("{there}: to be {}", values(&record.wanted))
        }
        RecordVerdict::Foreign => tr!("{there}: should be {}", values(&record.wanted)),
    }
}

fn format_summary(all: &[NameInDns]) -> String {
    let open = |name: &&NameInDns| name.records.iter().any(is_to_do);
    let names = trn!(all.len(), "{n} name", "{n} names");
    match all.iter().filter(open).count() {
        0 => tr!("{names}: nothing to do"),
        count => {
            tr!("{names}, {count} to be changed: `matou dns --apply` shows how and does it")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_dns::RecordKind;

    #[test]
    fn a_line_says_what_is_there_and_what_should_be() {
        let set = |value: &str| {
            let values = [value.to_owned()];
            Some(RecordSet::new(
                "shop.example.org",
                RecordKind::A,
                300,
                values,
            ))
        };
        let record = |there, wanted, owner, verdict| NameRecord {
            kind: RecordKind::A,
            there,
            wanted,
            owner,
            verdict,
        };
        let app = || "shop".to_owned();
        let name = NameInDns {
            name: "shop.example.org".into(),
            app: Some(app()),
            zone: Some("example.org".into()),
            records: vec![record(
                set("192.0.2.9"),
                set("192.0.2.1"),
                Owner::Matou { app: app() },
                RecordVerdict::Change,
            )],
            warnings: vec!["CAA\u{1b}[31m of it".into()],
        };
        assert_eq!(
            format_name(&name, find_widths(std::slice::from_ref(&name))),
            [
                "shop.example.org  shop  A    192.0.2.9 (300 s), matou's: to be 192.0.2.1",
                "  ! CAA of it"
            ]
        );
        assert!(!name.is_right());
        let finding = describe_finding(&name).unwrap();
        assert!(finding.why.ends_with("`matou dns --apply` mends it"));
        assert!(format_summary(&[name]).contains("1 name, 1 to be changed"));
        let new = record(None, set("192.0.2.1"), Owner::Nobody, RecordVerdict::Make);
        assert_eq!(format_record(&new), "A    none: to be 192.0.2.1");
    }
}
