//! A page instead of an application: `matou page`, and by itself while a job stops it.
//!
//! Why it is made as it is. A page must stand exactly when there is nothing else: the application's tasks
//! are stopped, and Traefik has dropped its routers (it makes them of tasks that run); perhaps one
//! of three managers is gone, perhaps the matou that put the page there. So:
//!
//! - **A service of its own**, not labels on the application's: those would show in `matou diff`, the next
//!   deploy would wipe them, and they vanish with its last task. One for each application, not one for
//!   the fleet: a page that comes or goes replaces no task that serves another's, and two
//!   jobs never write to the same description.
//! - **Its labels are all there is to know**: which page, which job it is for, since when. They are in the
//!   managers' store, so any matou on any manager finds them, and nothing has to be kept in step with
//!   them. Traefik's file provider would need a file on each manager that the edge may move to, a
//!   mount that edges of others lack, and somebody to remove it.
//! - **Routers with the application's own rules, entry points and TLS**, above every other priority. The
//!   certificates are those that Traefik holds for these names; the challenge for new ones goes before
//!   every router.
//! - **HAProxy out of the proxy beside the edge**, by the digest that runs there: the catalogue's edge
//!   needs that image anyway, so it is on the edge's own node when a registry is not to be had. It can
//!   set status and Retry-After, which busybox's httpd can't, and needs no right, no disk and no name
//!   service. Traefik itself serves no text.
//! - **A way in**: a word in a header, which the rules leave out, beside the operator's addresses. Through
//!   it matou asks the application behind the page, and takes the page away only when the edge has led to
//!   it for longer than it takes to read the swarm. The word opens nothing but the view past the page.
//! - **Taken away in two steps**: the edge is told first, and the server goes when nobody is led to it.
//!
//! A page that stands for a job which is gone was left by a matou that was killed. Jobs of an application
//! hold its lock, so the next one knows that it is alone, and ends with taking the page away.

mod behind;
mod content;
mod edge;
mod job_page;
mod service;

use matou_i18n::tr;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use crate::job_on_node::build_job_on_node;
use crate::{FleetContext, OpsError, Request};
pub(crate) use behind::{BehindPage, check_steps};
use edge::EdgeView;
pub(crate) use job_page::JobPage;
use matou_job::{Change, Check, Confirm, Job, Step, StepContext, StepError};
use matou_model::{AppPage, PageKind, Swarm};
use matou_stack::AppName;
use service::{PageStack, WantedPage};

/// How long the edge may take until visitors see what was changed.
const EDGE_LIMIT: Duration = Duration::from_secs(60);

/// How long the server of a page may take to start: its image may have to be pulled.
const START_LIMIT: Duration = Duration::from_secs(90);

const POLL: Duration = Duration::from_millis(500);

/// Makes the job of `matou page`.
///
/// # Errors
/// No manager answers; the operator's page can't be read.
pub(super) async fn build_page_job(
    request: &Request,
    fleet: &FleetContext,
) -> Result<Job, OpsError> {
    let Request::Page {
        app,
        kind,
        html,
        allow,
    } = request
    else {
        return Err(tr!("this is no request for a page").into());
    };
    let manager = fleet.nodes.find_manager().await?;
    let step: Box<dyn Step> = match kind {
        Some(kind) => Box::new(ShowPage {
            wanted: WantedPage {
                app: app.to_string(),
                kind: *kind,
                job: None,
                html: html.as_deref().map(read_own_page).transpose()?,
                allow: merge_allowed(&fleet.config.page.allow, allow)?,
            },
            fleet: fleet.clone(),
        }),
        None => Box::new(LiftPage {
            app: app.clone(),
            fleet: fleet.clone(),
            only_of_jobs: false,
            app_goes: false,
        }),
    };
    Ok(build_job_on_node(
        manager,
        request,
        Confirm::Ask,
        vec![step],
    ))
}

/// Reads the operator's page.
fn read_own_page(path: &Path) -> Result<String, OpsError> {
    let text = matou_base::files::read_text(path, content::MAX_HTML_BYTES);
    text.map_err(|e| OpsError::failed(tr!("the page {} can't be read: {e}", path.display())))
}

/// The addresses that see the application, each once.
fn merge_allowed(config: &[String], more: &[String]) -> Result<Vec<String>, OpsError> {
    let mut all = config.to_vec();
    for network in more {
        let network = matou_model::normalize_network(network)?;
        if !all.contains(&network) {
            all.push(network);
        }
    }
    Ok(all)
}

/// Waits until the page's server runs, and visitors see it.
async fn bring_page_up(
    stack: &PageStack,
    wanted: &WantedPage,
    fleet: &FleetContext,
    cx: &StepContext,
) -> Result<(), StepError> {
    stack.deploy(cx).await?;
    let wait = cx.wait_at_most(START_LIMIT, POLL);
    loop {
        let swarm = cx.query_swarm().await?;
        let page = swarm.find_page(&wanted.app);
        if page.is_some_and(|p| p.running > 0) {
            break;
        }
        let trouble = page.map(|p| p.trouble.clone()).unwrap_or_default();
        let late = || {
            tr!(
                "the page's server ({}) does not run after {} s: {trouble}",
                stack.image,
                START_LIMIT.as_secs()
            )
        };
        wait.pause(late).await?;
    }
    let view = EdgeView::new(fleet, &wanted.app, &stack.domains)?;
    view.wait_for_page(cx, wanted.kind.as_str(), EDGE_LIMIT)
        .await?;
    let domains = stack.domains.join(", ");
    let kind = wanted.kind;
    cx.out
        .note(tr!(
            "{domains}: visitors see the page {} ({})",
            kind.as_str(),
            kind.status()
        ))
        .await;
    Ok(())
}

/// Takes a page away; visitors see the application afterwards, or whatever the edge says without it.
async fn take_page_away(
    page: &AppPage,
    fleet: &FleetContext,
    cx: &StepContext,
) -> Result<(), StepError> {
    service::hide_page(cx, page).await?;
    let view = EdgeView::new(fleet, &page.app, &page.domains)?;
    let gone = view.wait_for_no_page(cx, EDGE_LIMIT).await;
    if let Err(StepError::Failed(why)) = &gone {
        cx.out
            .note(tr!("the edge does not say that the page is gone ({why}); its server is removed all the same"))
            .await;
    }
    service::remove_page(cx, &page.app).await?;
    cx.out
        .note(tr!("the page of {} is taken away", page.app))
        .await;
    Ok(())
}

/// Shows a page instead of an application.
struct ShowPage {
    wanted: WantedPage,
    fleet: FleetContext,
}

impl ShowPage {
    async fn stack(&self, swarm: &Swarm, cx: &StepContext) -> Result<PageStack, StepError> {
        let image = service::find_server_image(cx, swarm).await;
        let stack = service::page_stack(&self.wanted, swarm, &image, &self.fleet)?;
        let app = &self.wanted.app;
        stack.ok_or_else(|| {
            StepError::failed(tr!(
                "{app} has no router of Traefik 3 with a rule of its own: nobody would see a page; `matou migrate FILE` rewrites labels of Traefik 1"
            ))
        })
    }
}

#[async_trait]
impl Step for ShowPage {
    fn name(&self) -> String {
        tr!("page").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let swarm = cx.query_swarm().await?;
        if swarm.find_edge_service().is_none() {
            return Err(StepError::failed(tr!(
                "nothing takes https for the fleet, so nobody would see a page: deploy the stack traefik"
            )));
        }
        let stack = self.stack(&swarm, cx).await?;
        let (app, kind) = (&self.wanted.app, self.wanted.kind);
        let found = swarm.find_page(app);
        let what = tr!("page of {app}");
        Ok(match found {
            Some(page) if page.content == stack.content && page.shown && page.running > 0 => {
                Check::Done(vec![Change::same(format!("{what}: {}", page.describe()))])
            }
            Some(page) => Check::Change(vec![Change::modify(what, page.describe(), kind.word())]),
            None => {
                let domains = stack.domains.join(", ");
                let line = Change::add(tr!(
                    "page {} ({}) instead of {domains}",
                    kind.as_str(),
                    kind.status()
                ));
                let mut lines = vec![line.with_warning(match kind {
                    PageKind::Maintenance => {
                        tr!("visitors are asked to come back; the application goes on running")
                    }
                    PageKind::Suspended => {
                        tr!("visitors are told that it is closed; the application goes on running")
                    }
                })];
                lines.extend(
                    self.wanted
                        .allow
                        .iter()
                        .map(|network| Change::same(tr!("{network} sees the application"))),
                );
                Check::Change(lines)
            }
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let swarm = cx.query_swarm().await?;
        let stack = self.stack(&swarm, cx).await?;
        let up = bring_page_up(&stack, &self.wanted, &self.fleet, cx).await;
        if up.is_err() && swarm.find_page(&self.wanted.app).is_none() {
            // One that nobody sees, or not everybody, is no page.
            let calm = cx.without_cancelling();
            if let Err(e) = service::remove_page(&calm, &self.wanted.app).await {
                calm.out.note(e.to_string()).await;
            }
        }
        up
    }

    fn clean_up_limit(&self) -> Duration {
        Duration::from_secs(120)
    }
}

/// Takes the page of an application away.
pub(crate) struct LiftPage {
    pub app: AppName,
    pub fleet: FleetContext,
    /// What somebody asked for stays.
    pub only_of_jobs: bool,
    /// The application is removed: nothing is waited for.
    pub app_goes: bool,
}

impl LiftPage {
    /// The context on a manager, and the page.
    async fn find(&self, cx: &StepContext) -> Result<(StepContext, Option<AppPage>), StepError> {
        let manager = self.fleet.nodes.find_manager().await?;
        let cx = cx.on_node(manager);
        let swarm = cx.query_swarm().await?;
        let page = swarm.find_page(&self.app);
        let page = page.filter(|p| p.job.is_some() || !self.only_of_jobs);
        Ok((cx, page.cloned()))
    }
}

#[async_trait]
impl Step for LiftPage {
    fn name(&self) -> String {
        tr!("page").into()
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let app = &self.app;
        let (_, page) = self.find(cx).await?;
        Ok(match page {
            None => Check::Done(vec![Change::same(tr!("no page instead of {app}"))]),
            Some(page) => {
                let line = Change::remove(tr!("page of {app}: {}", page.describe()));
                Check::Change(vec![match page.job {
                    // The lock of the application is held: that job does not run.
                    Some(_) if self.only_of_jobs => line
                        .with_warning(tr!("left by a matou that was ended before it took it away")),
                    _ => line,
                }])
            }
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let (cx, page) = self.find(cx).await?;
        let Some(page) = page else {
            return Ok(());
        };
        if self.only_of_jobs && !self.app_goes {
            let view = EdgeView::new(&self.fleet, &self.app, &page.domains)?;
            let answers = view.wait_for_app(&cx, &page.way_in, EDGE_LIMIT).await;
            answers.map_err(|why| match why {
                StepError::Failed(why) => StepError::failed(tr!(
                    "{why}, so the page stays, which a job left: `matou page {} off` takes it away",
                    self.app
                )),
                other => other,
            })?;
        }
        take_page_away(&page, &self.fleet, &cx).await
    }
}
