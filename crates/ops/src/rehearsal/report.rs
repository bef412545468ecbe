//! What a rehearsal came to: kept beside the data, told in lines.

use std::path::PathBuf;
use std::time::Duration;

use crate::{FleetContext, OpsError};
use matou_base::text::{format_ago, format_seconds};
use matou_host::Command;
use matou_job::StepError;
use matou_model::RehearsalReport;
use matou_registry::{ImageReference, VersionStep, VersionTag};

/// The name of the part in which the images are replaced.
pub(super) const UPDATE_PART: &str = "update";

const LIMIT: Duration = Duration::from_secs(30);

/// Where the report of an application's last rehearsal is, on the storage node.
fn report_path(fleet: &FleetContext, app: &str) -> PathBuf {
    let data = matou_backup::matou_folder(&fleet.config);
    data.join("rehearsals").join(format!("{app}.json"))
}

/// Reads the report of an application's last rehearsal; `None` when there was none.
///
/// # Errors
/// The storage node can't be asked.
pub async fn read_rehearsal_report(
    fleet: &FleetContext,
    app: &str,
) -> Result<Option<RehearsalReport>, OpsError> {
    let read = Command::sh("[ ! -s \"$1\" ] || cat -- \"$1\"")
        .arg(report_path(fleet, app).display().to_string())
        .sudo()
        .timeout(LIMIT)
        .label("the last rehearsal");
    let out = fleet.find_storage_node()?.host.run_ok(&read).await?;
    // One that can't be understood counts as none: the next one replaces it.
    Ok(serde_json::from_slice(&out.stdout).ok())
}

pub(super) async fn write_report(
    fleet: &FleetContext,
    report: &RehearsalReport,
) -> Result<(), StepError> {
    let text = serde_json::to_vec_pretty(report).map_err(|e| StepError::failed(e.to_string()))?;
    let path = report_path(fleet, &report.app);
    let write = crate::update_mark::write_whole_file(&path)
        .stdin(text)
        .sudo()
        .timeout(LIMIT)
        .label("keep the report");
    fleet.find_storage_node()?.host.run_ok(&write).await?;
    Ok(())
}

/// Returns what an update from one image to another is, where both tags hold versions.
pub(super) fn find_version_step(from: &str, to: &str) -> Option<VersionStep> {
    let tag = |image: &str| {
        let reference = ImageReference::parse(image).ok()?;
        VersionTag::parse(&reference.tag)
    };
    Some(VersionStep::between(&tag(from)?, &tag(to)?))
}

/// Tells a report in lines.
pub fn rehearsal_lines(report: &RehearsalReport) -> Vec<String> {
    let mut lines = Vec::new();
    for image in &report.images {
        let step = image
            .step
            .as_deref()
            .map_or(String::new(), |s| format!(" ({s})"));
        lines.push(format!(
            "{}: {} → {}{step}",
            image.service, image.from, image.to
        ));
    }
    for part in &report.parts {
        let seen = part
            .seen
            .as_deref()
            .map_or(String::new(), |s| format!(": {s}"));
        lines.push(format!("{:>4} s  {}{seen}", part.seconds, part.name));
    }
    if !report.log.is_empty() {
        lines.push(match report.is_success() {
            true => "errors in the new containers' logs that the old ones had not:".to_owned(),
            false => "the log of what failed ends so:".to_owned(),
        });
        lines.extend(report.log.iter().map(|line| format!("  {line}")));
    }
    let took = format_seconds(i64::try_from(report.total_seconds()).unwrap_or(i64::MAX));
    lines.push(match &report.failure {
        None => format!("the update would succeed; rehearsed in {took}"),
        Some(why) => format!("the update would fail: {why}"),
    });
    lines
}

/// Tells in one sentence how a rehearsal ended, for the plan of the update itself.
pub(super) fn describe_rehearsal(report: &RehearsalReport, now: jiff::Timestamp) -> String {
    let ago = format_ago(now, report.at);
    match &report.failure {
        None => {
            let part = report.parts.iter().find(|p| p.name == UPDATE_PART);
            let took = part.map_or(0, |p| p.seconds);
            let took = format_seconds(i64::try_from(took).unwrap_or(i64::MAX));
            format!("rehearsed {ago}: it succeeded, the update itself took {took}")
        }
        Some(why) => format!("rehearsed {ago}: it failed, {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_between_images_are_named_where_tags_tell() {
        let step = |from, to| find_version_step(from, to).map(VersionStep::word);
        assert_eq!(step("postgres:15.4", "postgres:17.2"), Some("major"));
        assert_eq!(step("mariadb:11.4.2", "mariadb:11.8.1"), Some("minor"));
        assert_eq!(step("a/b:1.2.3", "a/b:1.2.4"), Some("patch"));
        assert_eq!(step("a/b:latest", "a/b:1.2.4"), None);
    }
}
