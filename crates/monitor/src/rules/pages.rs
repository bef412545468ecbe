//! Pages that are still there instead of applications, and those that nobody serves.

use jiff::SignedDuration;
use matou_i18n::tr;

use super::{AlertInputs, AlertKind, AlertSeverity, AlertTarget, Finding, Remedy};
use matou_model::{AppPage, PageKind};

/// A job that shows a page longer than this is long, or was killed.
const JOB_LIMIT: SignedDuration = SignedDuration::from_mins(30);

/// Maintenance that somebody asked for and that lasts longer is forgotten, perhaps. A site that is
/// suspended may stay so.
const MAINTENANCE_LIMIT: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn add_page_findings(inputs: AlertInputs<'_>, page: &AppPage, found: &mut Vec<Finding>) {
    let Some((severity, why)) = find_problem(inputs, page) else {
        return;
    };
    found.push(Finding {
        key: format!("app/{}/page", page.app),
        kind: AlertKind::Page,
        severity,
        what: page.app.clone(),
        why,
        since: page.since,
        target: AlertTarget::App(page.app.clone()),
        remedy: Remedy::Services,
        near: false,
    });
}

fn find_problem(inputs: AlertInputs<'_>, page: &AppPage) -> Option<(AlertSeverity, String)> {
    let app = &page.app;
    if page.running == 0 && !page.trouble.is_empty() {
        let why = tr!("nobody serves its page: {}", page.trouble);
        return Some((AlertSeverity::Critical, why));
    }
    let age = inputs.now.duration_since(page.since?);
    let end = tr!("`matou page {app} off` takes it away");
    let why = match (&page.job, page.kind) {
        (Some(_), _) if age > JOB_LIMIT => {
            tr!(
                "visitors see the page {}; when that job has ended, {end}",
                page.describe()
            )
        }
        (None, PageKind::Maintenance) if age > MAINTENANCE_LIMIT => {
            tr!("visitors see the page {}: {end}", page.describe())
        }
        _ => return None,
    };
    Some((AlertSeverity::Warning, why))
}
