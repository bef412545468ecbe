//! The page that a job shows while it stops an application.

use super::edge::EdgeView;
use super::service::{self, WantedPage};
use super::{EDGE_LIMIT, bring_page_up, take_page_away};
use crate::FleetContext;
use matou_docker::Nodes;
use matou_job::{Change, StepContext, StepError};
use matou_model::{AppPage, PageKind, Swarm};

/// What is done about an application's page around the part of a job that stops it.
pub(crate) struct JobPage {
    wanted: WantedPage,
    fleet: FleetContext,
}

impl JobPage {
    /// The page of `app` for the job of that title.
    pub(crate) fn new(app: &str, title: String, fleet: &FleetContext) -> Self {
        Self {
            wanted: WantedPage {
                app: app.to_owned(),
                kind: PageKind::Maintenance,
                job: Some(title),
                html: None,
                allow: fleet.config.page.allow.clone(),
            },
            fleet: fleet.clone(),
        }
    }

    fn nodes(&self) -> &Nodes {
        &self.fleet.nodes
    }

    async fn on_manager(&self, cx: &StepContext) -> Result<StepContext, StepError> {
        Ok(cx.on_node(self.nodes().find_manager().await?))
    }

    /// Whether the job shows one: there is an edge, and a rule that says for what. One that somebody
    /// asked for stays as it is.
    fn is_shown(&self, swarm: &Swarm) -> bool {
        let by_hand = |page: &AppPage| page.job.is_none();
        self.fleet.config.page.automatic
            && swarm.find_edge_service().is_some()
            && !swarm.find_page(&self.wanted.app).is_some_and(by_hand)
            && matches!(
                service::page_stack(&self.wanted, swarm, "", &self.fleet),
                Ok(Some(_))
            )
    }

    /// Returns the line of the plan that tells of the page; `None` where there will be none.
    ///
    /// # Errors
    /// No manager answers.
    pub(crate) async fn plan_line(&self, cx: &StepContext) -> Result<Option<Change>, StepError> {
        let swarm = self.on_manager(cx).await?.query_swarm().await?;
        let app = &self.wanted.app;
        let line = || Change::add(format!("page maintenance (503) instead of {app} meanwhile"));
        Ok(self.is_shown(&swarm).then(line))
    }

    /// Shows it. `None` where there is none to show, or where it can't be shown, which is told: what the
    /// job is for goes before.
    async fn show(&self, cx: &StepContext) -> Result<Option<AppPage>, StepError> {
        let swarm = cx.query_swarm().await?;
        if !self.is_shown(&swarm) {
            return Ok(None);
        }
        let app = &self.wanted.app;
        let image = service::find_server_image(cx, &swarm).await;
        let shown = async {
            let stack = service::page_stack(&self.wanted, &swarm, &image, &self.fleet)?;
            let Some(stack) = stack else {
                return Ok::<_, StepError>(None);
            };
            bring_page_up(&stack, &self.wanted, &self.fleet, cx).await?;
            Ok(cx.query_swarm().await?.find_page(app).cloned())
        };
        match shown.await {
            Ok(page) => Ok(page),
            Err(why) => {
                let calm = cx.without_cancelling();
                if let Err(e) = service::remove_page(&calm, app).await {
                    calm.out.note(e.to_string()).await;
                }
                if why.is_cancelled() {
                    return Err(StepError::Cancelled);
                }
                cx.out
                    .note(format!("no page instead of {app} meanwhile: {why}"))
                    .await;
                Ok(None)
            }
        }
    }

    /// Does `work` while visitors see the page. Afterwards the page is taken away when the application
    /// answers through the edge; it stays, and that is told, where the work failed and it does not.
    ///
    /// # Errors
    /// Those of `work`; no manager answers.
    pub(crate) async fn run<F>(&self, cx: &StepContext, work: F) -> Result<(), StepError>
    where
        F: Future<Output = Result<(), StepError>> + Send,
    {
        let manager = self.on_manager(cx).await?;
        let page = self.show(&manager).await?;
        let done = work.await;
        if let Some(page) = page {
            // Not cancelled with the job.
            let calm = manager.without_cancelling();
            if let Err(why) = self.end(&page, done.is_ok(), &calm).await {
                let app = &self.wanted.app;
                calm.out
                    .note(format!("the page instead of {app} is still there: {why}. `matou page {app} off` takes it away"))
                    .await;
            }
        }
        done
    }

    async fn end(&self, page: &AppPage, well: bool, cx: &StepContext) -> Result<(), StepError> {
        let view = EdgeView::new(&self.fleet, &page.app, &page.domains)?;
        match view.wait_for_app(cx, &page.way_in, EDGE_LIMIT).await {
            // What was asked for is done and was checked: what it answers is its own business.
            Err(StepError::Failed(why)) if well => {
                cx.out
                    .note(format!(
                        "behind the page, {why}; it is taken away all the same"
                    ))
                    .await;
            }
            other => other?,
        }
        take_page_away(page, &self.fleet, cx).await
    }
}
