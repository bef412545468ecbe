//! What is done about records, as lines of a plan.

use super::ZonePlan;
use matou_dns::{NamePlan, NameRecord, Owner, RecordKind, RecordSet, RecordVerdict};
use matou_i18n::tr;
use matou_job::Change;

/// Returns the lines of all zones. A zone that can't be read has one, with why.
pub(super) fn describe_plans(plans: &[ZonePlan]) -> Vec<Change> {
    let mut lines = Vec::new();
    for plan in plans {
        match &plan.names {
            Ok(names) => lines.extend(names.iter().flat_map(describe_name)),
            Err(e) => lines.push(Change::same(format!("dns {}", plan.zone)).with_warning(tr!(
                "{e}; its records stay as they are: `matou dns --apply` mends them later"
            ))),
        }
    }
    lines
}

fn describe_name(plan: &NamePlan) -> Vec<Change> {
    let mut lines: Vec<Change> = Vec::new();
    for record in &plan.records {
        lines.push(describe_record(&plan.name, record));
    }
    // The record that says whose the others are.
    for change in plan.changes.iter().filter(|c| c.kind == RecordKind::Txt) {
        let what = |set: &RecordSet| format!("dns {} TXT {}", set.name, set.shown_values());
        lines.push(match (&change.before, &change.after) {
            (_, None) => Change::remove(format!("dns {} TXT", change.name)),
            (None, Some(after)) => Change::add(what(after)),
            (Some(before), Some(after)) => Change::modify(
                format!("dns {} TXT", change.name),
                before.shown_values(),
                after.shown_values(),
            ),
        });
    }
    let warned = plan.warnings.iter();
    lines.extend(
        warned.map(|warning| Change::same(format!("dns {}", plan.name)).with_warning(warning)),
    );
    lines
}

fn describe_record(name: &str, record: &NameRecord) -> Change {
    let kind = record.kind;
    let values = |set: &Option<RecordSet>| {
        let set = set.as_ref();
        set.map(RecordSet::shown_values).unwrap_or_default()
    };
    let full = |set: &Option<RecordSet>| match set {
        Some(set) => format!("{} ({} s)", set.shown_values(), set.ttl),
        None => String::new(),
    };
    match record.verdict {
        RecordVerdict::Right => {
            Change::same(format!("dns {name} {kind} {}", values(&record.there)))
        }
        RecordVerdict::Make => Change::add(format!("dns {name} {kind} {}", full(&record.wanted))),
        RecordVerdict::Change => Change::modify(
            format!("dns {name} {kind}"),
            full(&record.there),
            full(&record.wanted),
        ),
        RecordVerdict::Remove => {
            Change::remove(format!("dns {name} {kind} {}", values(&record.there)))
        }
        RecordVerdict::Left => Change::same(tr!(
            "dns {name} {kind} {} stays: matou did not make it",
            values(&record.there)
        )),
        RecordVerdict::Foreign => {
            Change::same(format!("dns {name} {kind} {}", values(&record.there)))
                .with_warning(describe_foreign(name, record))
        }
    }
}

/// Returns why a record stays that is not as it should be, and what to do.
pub(super) fn describe_foreign(name: &str, record: &NameRecord) -> String {
    let there = record.there.as_ref();
    let kind = there.map_or(record.kind, |set| set.kind);
    let values = there.map(RecordSet::shown_values).unwrap_or_default();
    match (&record.owner, there) {
        (Owner::OtherFleet { fleet, app }, Some(_)) => tr!(
            "{name} leads to {values} by a record that matou made for {app} of the fleet {fleet}: `matou dns` there, or delete it with its TXT record"
        ),
        (Owner::OtherFleet { fleet, app }, None) => tr!(
            "{name} is kept for {app} of the fleet {fleet} by the TXT record of matou beside it: delete that if the name is yours now"
        ),
        _ => match (kind, &record.wanted) {
            (RecordKind::Cname, _) => tr!(
                "{name} is another name for {values} by a record that matou did not make: change it yourself or delete it"
            ),
            (_, Some(_)) => tr!(
                "{name} points to {values} by a record that matou did not make: change it yourself or delete it"
            ),
            (_, None) => tr!(
                "{name} points to {values} as well, by an {kind} record that matou did not make: visitors and the certificate's authority may ask there"
            ),
        },
    }
}
