//! What a rehearsal came to: kept beside the data, told in lines.

use matou_i18n::tr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{FleetContext, OpsError};
use matou_base::text::format_ago;
use matou_collect::read_night_rehearsals;
use matou_host::{Command, ParentFolder, shell_script, write_file_command};
use matou_job::StepError;
use matou_model::{NightRehearsal, RehearsalReport, UPDATE_PART, format_took};
use matou_registry::{ImageReference, VersionStep, VersionTag};

/// No more than 500 of them, and of each no more than this.
const LIST_REPORTS: &str = shell_script(include_str!("../../scripts/list_reports.sh"));

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
        .label(tr!("the last rehearsal"));
    let out = fleet.find_storage_node()?.host.run_ok(&read).await?;
    // One that can't be understood counts as none: the next one replaces it.
    Ok(serde_json::from_slice(&out.stdout).ok())
}

/// Where what the last night found out about an application is, on the storage node.
fn night_path(fleet: &FleetContext, app: &str) -> PathBuf {
    let data = matou_backup::matou_folder(&fleet.config);
    data.join("rehearsals/nights").join(format!("{app}.json"))
}

/// Reads the reports of the last rehearsals of all applications. Those that can't be understood are left out.
///
/// # Errors
/// The storage node can't be asked.
pub async fn list_rehearsal_reports(
    fleet: &FleetContext,
) -> Result<Vec<RehearsalReport>, OpsError> {
    let folder = matou_backup::matou_folder(&fleet.config).join("rehearsals");
    let read = Command::sh(LIST_REPORTS)
        .arg(folder.display().to_string())
        .sudo()
        .timeout(LIMIT)
        .label(tr!("the last rehearsals"));
    let out = fleet.find_storage_node()?.host.run_ok(&read).await?;
    let texts = out.stdout.split(|byte| *byte == 0);
    let read = texts.filter_map(|text| serde_json::from_slice(text).ok());
    Ok(read.collect())
}

pub(super) async fn write_report(
    fleet: &FleetContext,
    report: &RehearsalReport,
) -> Result<(), StepError> {
    let text = serde_json::to_vec_pretty(report).map_err(|e| StepError::failed(e.to_string()))?;
    write_file(fleet, &report_path(fleet, &report.app), text).await
}

/// Reads what the last night found out about an application; `None` as well where that can't be read.
pub(super) async fn read_night(fleet: &FleetContext, app: &str) -> Option<NightRehearsal> {
    let storage = fleet.find_storage_node().ok()?;
    let all = read_night_rehearsals(&fleet.config, &storage.host).await;
    all.ok()?.into_iter().find(|night| night.app == app)
}

/// Keeps what a night found out; what was rehearsed by hand is kept beside it.
pub(super) async fn write_night(
    fleet: &FleetContext,
    night: &NightRehearsal,
) -> Result<(), StepError> {
    let text = serde_json::to_vec(night).map_err(|e| StepError::failed(e.to_string()))?;
    write_file(fleet, &night_path(fleet, &night.app), text).await
}

async fn write_file(fleet: &FleetContext, path: &Path, text: Vec<u8>) -> Result<(), StepError> {
    let path = path.display().to_string();
    let write = write_file_command(&path, text, 0o600, ParentFolder::Created)
        .timeout(LIMIT)
        .label(tr!("keep the report"));
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
        lines.push(format!(
            "{:>4} s  {}{seen}",
            part.seconds,
            show_part(&part.name)
        ));
    }
    if !report.log.is_empty() {
        lines.push(match report.is_success() {
            true => tr!("errors in the new containers' logs that the old ones had not:").to_owned(),
            false => tr!("the log of what failed ends so:").to_owned(),
        });
        lines.extend(report.log.iter().map(|line| format!("  {line}")));
    }
    let took = format_took(report.total_seconds());
    lines.push(match &report.failure {
        None => tr!("the update would succeed; rehearsed in {took}"),
        Some(why) => tr!("the update would fail: {why}"),
    });
    lines
}

/// Says a part's name, which the report keeps in English, in the language spoken.
pub(super) fn show_part(name: &str) -> &str {
    match name {
        "restore the snapshot beside" => tr!("restore the snapshot beside"),
        "start databases, load their dumps" => tr!("start databases, load their dumps"),
        "start it as it is" => tr!("start it as it is"),
        UPDATE_PART => tr!("update"),
        "ask it" => tr!("ask it"),
        "read its log" => tr!("read its log"),
        other => other,
    }
}

/// Tells in one sentence how a rehearsal ended, for the plan of the update itself.
pub(super) fn describe_rehearsal(report: &RehearsalReport, now: jiff::Timestamp) -> String {
    let ago = format_ago(now, report.at);
    match &report.failure {
        None => {
            let took = format_took(report.update_seconds());
            tr!("rehearsed {ago}: it succeeded, the update itself took {took}")
        }
        Some(why) => tr!("rehearsed {ago}: it failed, {why}"),
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
