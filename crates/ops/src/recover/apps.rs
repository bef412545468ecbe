//! Applications deployed from their files, several at a time; one that fails stops no other.

use matou_i18n::tr;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};

use super::findings::{RecoveryFindings, StuckAt};
use super::job_in_step::run_job_in_step;
use crate::OpsError;
use crate::deploy::build_deploy_job;
use crate::{FleetContext, Request};
use matou_job::{Change, Check, Step, StepContext, StepError};
use matou_stack::AppName;

/// Applications that are deployed at the same time.
const PARALLEL: usize = 4;

/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Deploys the applications of a list from their files, and waits until they answer.
pub(super) struct RedeployApps {
    /// What the list is called: `edge`, `applications`.
    pub title: &'static str,
    pub apps: Vec<AppName>,
    pub fleet: FleetContext,
    pub findings: RecoveryFindings,
}

impl RedeployApps {
    /// Deploys one application from its file.
    async fn deploy_app(&self, app: &AppName, cx: &StepContext) -> Result<(), OpsError> {
        let request = Request::redeploy(app.clone());
        let job = build_deploy_job(&request, &self.fleet).await?;
        run_job_in_step(job, app, &self.fleet, cx, &self.findings).await
    }

    /// Deploys one application unless its data is missing, and notes how that went.
    async fn bring_app_back(&self, app: &AppName, cx: &StepContext) {
        if let Some(reason) = self.findings.failure_reason(app) {
            let note = tr!("{app}: left alone, its data is not there ({reason})");
            cx.out.note(note).await;
            return;
        }
        match self.deploy_app(app, cx).await {
            Ok(()) => {
                self.findings.update_app(app, |a| a.up = true);
                cx.out.note(tr!("{app}: runs and answers")).await;
            }
            Err(reason) => {
                cx.out.note(tr!("{app}: FAILED: {reason}")).await;
                self.findings
                    .fail_app(app, StuckAt::Deploy, reason.to_string());
            }
        }
    }
}

#[async_trait]
impl Step for RedeployApps {
    fn name(&self) -> String {
        self.title.into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        if cx.docker.ping_manager().await.is_err() {
            return Ok(Check::Unknown(tr!(
                "deployed when the swarm is there: {}",
                self.apps.join(", ")
            )));
        }
        let planned = stream::iter(self.apps.clone()).map(|app| async move {
            let runs = Change::same(tr!("{app} runs as its file says"));
            let job = match build_deploy_job(&Request::redeploy(app.clone()), &self.fleet).await {
                Ok(job) => job,
                Err(e) => {
                    return Change::add(tr!("application {app}")).with_warning(e.to_string());
                }
            };
            let plan = self.fleet.runner.plan(&job).await;
            match plan.is_done() {
                true => runs,
                false => {
                    let changes = plan.changes();
                    let first = changes
                        .filter(|c| c.kind != matou_job::ChangeKind::Same)
                        .map(Change::to_string)
                        .next();
                    let change = Change::add(tr!("application {app}"));
                    match first.or_else(|| plan.blocked_reason()) {
                        Some(what) => change.with_warning(what),
                        None => change,
                    }
                }
            }
        });
        let lines: Vec<Change> = planned.buffered(PARALLEL).collect().await;
        // An application whose data could not be restored is reported at the end.
        let open = lines.iter().zip(&self.apps).any(|(line, app)| {
            line.kind != matou_job::ChangeKind::Same && self.findings.failure_reason(app).is_none()
        });
        Ok(match open {
            true => Check::Change(lines),
            false => {
                for (line, app) in lines.iter().zip(&self.apps) {
                    let same = line.kind == matou_job::ChangeKind::Same;
                    self.findings.update_app(app, |a| a.up = same);
                }
                Check::Done(lines)
            }
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        stream::iter(self.apps.clone())
            .map(|app| async move { self.bring_app_back(&app, cx).await })
            .buffer_unordered(PARALLEL)
            .collect::<Vec<()>>()
            .await;
        match cx.cancel.is_cancelled() {
            true => Err(StepError::Cancelled),
            false => Ok(()),
        }
    }

    /// Has nothing to check: each deploy was verified by itself; what failed is reported at the
    /// end.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}
