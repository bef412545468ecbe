//! The page that a job shows while it stops an application.

use std::collections::BTreeSet;
use std::net::IpAddr;

use futures_util::future::join_all;

use super::edge::EdgeView;
use super::service::{self, WantedPage};
use super::{EDGE_LIMIT, bring_page_up, take_page_away};
use crate::deploy::resolve_host_name;
use crate::restore::services::list_app_services;
use crate::{FleetContext, OpsError};
use matou_docker::{NodeHandle, Nodes};
use matou_i18n::tr;
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

    /// The page of a job that replaces the tasks of an application's services, those whose name
    /// `is_replaced`; `None` where all of them start new tasks before they stop old ones.
    ///
    /// # Errors
    /// The manager does not answer.
    pub(crate) async fn where_tasks_stop(
        app: &str,
        title: String,
        is_replaced: impl Fn(&str) -> bool,
        manager: &NodeHandle,
        fleet: &FleetContext,
    ) -> Result<Option<Self>, OpsError> {
        let swarm = manager.docker.query_swarm().await?;
        let mut stops = false;
        for service in list_app_services(&swarm, app) {
            if is_replaced(&service.name) {
                let spec = manager.docker.query_service_spec(&service.id).await?;
                let order = spec.update_config.and_then(|u| u.order);
                stops |= order.is_none_or(|order| order.to_string() != "start-first");
            }
        }
        Ok(stops.then(|| Self::new(app, title, fleet)))
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
        let line = || Change::add(tr!("page maintenance (503) instead of {app} meanwhile"));
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
                    .note(tr!("no page instead of {app} meanwhile: {why}"))
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
            let ended = self.end(&page, done.is_ok(), &calm).await;
            self.tell_if_still_there(ended, &calm).await;
        }
        done
    }

    /// Does `work`, which moves the application to the fleet `to`, while visitors see the page. Afterwards the
    /// page goes where all names lead to that fleet; else it stays for those who still come here. Where the
    /// work failed it ends as in [`JobPage::run`].
    ///
    /// # Errors
    /// Those of `work`; no manager answers.
    pub(crate) async fn run_until_moved<F, T>(
        &self,
        cx: &StepContext,
        to: &FleetContext,
        work: F,
    ) -> Result<T, StepError>
    where
        F: Future<Output = Result<T, StepError>> + Send,
        T: Send,
    {
        let manager = self.on_manager(cx).await?;
        let page = self.show(&manager).await?;
        let done = work.await;
        if let Some(page) = page {
            // Not cancelled with the job.
            let calm = manager.without_cancelling();
            let ended = match done {
                Ok(_) => self.leave(&page, to, &calm).await,
                Err(_) => self.end(&page, false, &calm).await,
            };
            self.tell_if_still_there(ended, &calm).await;
        }
        done
    }

    /// Ends what a move that was killed left of the page: the application answers on the fleet `moved_to`, or,
    /// without that, here.
    ///
    /// # Errors
    /// No manager answers.
    pub(crate) async fn end_left(
        &self,
        cx: &StepContext,
        moved_to: Option<&FleetContext>,
    ) -> Result<(), StepError> {
        let manager = self.on_manager(cx).await?;
        let swarm = manager.query_swarm().await?;
        let page = swarm.find_page(&self.wanted.app);
        let Some(page) = page.filter(|p| p.job.is_some()) else {
            return Ok(());
        };
        let ended = match moved_to {
            Some(to) => self.leave(page, to, &manager).await,
            None => self.end(page, true, &manager).await,
        };
        match ended {
            Err(why) if why.is_cancelled() => Err(why),
            ended => {
                self.tell_if_still_there(ended, &manager).await;
                Ok(())
            }
        }
    }

    async fn tell_if_still_there(&self, ended: Result<(), StepError>, cx: &StepContext) {
        if let Err(why) = ended {
            let app = &self.wanted.app;
            cx.out
                .note(tr!("the page instead of {app} is still there: {why}. `matou page {app} off` takes it away"))
                .await;
        }
    }

    /// Ends the page of an application that answers on another fleet. Without it, who is still led here would
    /// meet an error.
    async fn leave(
        &self,
        page: &AppPage,
        to: &FleetContext,
        cx: &StepContext,
    ) -> Result<(), StepError> {
        let app = &self.wanted.app;
        let view = EdgeView::new(to, app, &page.domains)?;
        if let Err(why) = view.wait_for_app(cx, &page.way_in, EDGE_LIMIT).await {
            let note = tr!("on the new fleet, {why}");
            cx.out.note(note).await;
        } else if lead_to(to, &page.domains).await {
            return take_page_away(page, &self.fleet, cx).await;
        }
        service::keep_page(cx, page).await?;
        let domains = page.domains.join(", ");
        cx.out
            .note(tr!("who is still led to the old servers for {domains} sees the page there; `matou page {app} off` with the old config.toml takes it away"))
            .await;
        Ok(())
    }

    async fn end(&self, page: &AppPage, well: bool, cx: &StepContext) -> Result<(), StepError> {
        let view = EdgeView::new(&self.fleet, &page.app, &page.domains)?;
        match view.wait_for_app(cx, &page.way_in, EDGE_LIMIT).await {
            // What was asked for is done and was checked: what it answers is its own business.
            Err(StepError::Failed(why)) if well => {
                cx.out
                    .note(tr!("behind the page, {why}; it is taken away all the same"))
                    .await;
            }
            other => other?,
        }
        take_page_away(page, &self.fleet, cx).await
    }
}

/// Whether all names lead to nodes of a fleet, and nowhere else.
async fn lead_to(fleet: &FleetContext, domains: &[String]) -> bool {
    let addresses = fleet.nodes.iter().filter_map(|n| n.ssh_address());
    let ours: BTreeSet<IpAddr> = join_all(addresses.map(resolve_host_name))
        .await
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    let found = join_all(domains.iter().map(|domain| resolve_host_name(domain))).await;
    found
        .iter()
        .all(|found| matches!(found, Ok(found) if !found.is_empty() && found.is_subset(&ours)))
}
