//! Scheduled jobs of applications that failed, or did not run.

use super::{AlertInputs, AlertKind, AlertSeverity, AlertTarget, Finding, Remedy};
use matou_base::text::format_ago;
use matou_i18n::tr;
use matou_model::{AppJob, AppJobRuns, Service};

/// Finds what is wrong with the jobs of a service.
pub(super) fn add_job_findings(
    inputs: AlertInputs<'_>,
    service: &Service,
    found: &mut Vec<Finding>,
) {
    let Some(runs) = inputs.fleet.app_jobs.value() else {
        return;
    };
    for job in service.list_jobs() {
        found.extend(find_problem(runs, service, &job));
    }
}

fn find_problem(runs: &AppJobRuns, service: &Service, job: &AppJob) -> Option<Finding> {
    let (why, since) = match (runs.find_missed(job), runs.find_failed(job)) {
        (Some(missed), _) => (
            tr!(
                "has not run since {}, for which it was due: `journalctl -u matou-jobs` on the managers says why",
                format_ago(runs.at, missed)
            ),
            missed,
        ),
        (None, Some(run)) => {
            let last = run.output.last().map(|l| format!(": {l}"));
            (
                format!("{}{}", run.describe_end(), last.unwrap_or_default()),
                run.begun,
            )
        }
        (None, None) => return None,
    };
    Some(Finding {
        key: format!("app/{}/job/{}", job.app, job.name),
        kind: AlertKind::AppJob,
        severity: AlertSeverity::Warning,
        what: tr!("{}: job {}", job.app, job.name),
        why,
        since: Some(since),
        target: AlertTarget::Service(service.id.clone()),
        remedy: Remedy::Logs,
        near: false,
    })
}
