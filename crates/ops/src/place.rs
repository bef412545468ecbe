//! An application moved to another node, while visitors see its page.

use matou_i18n::tr;

use crate::deploy;
use crate::job_on_node::build_job_on_node;
use crate::page::{BehindPage, JobPage};
use crate::{FleetContext, OpsError, Request};
use matou_job::{Confirm, Job};
use matou_stack::AppName;

/// Makes the job of `matou place`.
///
/// # Errors
/// No manager answers, and those of a deploy.
pub(super) async fn build_place_job(
    request: &Request,
    app: &AppName,
    fleet: &FleetContext,
) -> Result<Job, OpsError> {
    let manager = fleet.nodes.find_manager().await?;
    let mut steps = deploy::deploy_request_steps(request, manager, fleet).await?;
    let title = format!("place {app}");
    let page = JobPage::where_tasks_stop(app, title, |_| true, manager, fleet).await?;
    if let Some(page) = page {
        let name = tr!("place");
        steps = vec![Box::new(BehindPage { name, page, steps })];
    }
    Ok(build_job_on_node(manager, request, Confirm::Ask, steps))
}
