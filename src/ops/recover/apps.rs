//! Applications deployed from their files, several at a time; one that fails stops no other.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};

use super::findings::{Findings, Stuck};
use super::run;
use crate::job::{Change, Check, Cx, Step, StepError};
use crate::ops::{Context, Request, build};

/// Applications that are deployed at the same time.
const PARALLEL: usize = 4;

/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Every application of the list runs as its file says, and answers.
pub(super) struct Deployed {
    /// What the list is called: `edge`, `applications`.
    pub title: &'static str,
    pub apps: Vec<String>,
    pub cx: Context,
    pub findings: Findings,
}

impl Deployed {
    /// Deploys one application from its file.
    async fn deploy(&self, app: &str, cx: &Cx) -> Result<(), String> {
        let request = Request::redeploy(app.to_owned());
        run(&request, app, &self.cx, cx, &self.findings).await
    }

    /// Deploys it, and says how that went.
    async fn bring_back(&self, app: &str, cx: &Cx) {
        if let Some(reason) = self.findings.failure(app) {
            let note = format!("{app}: left alone, its data is not there ({reason})");
            cx.out.note(note).await;
            return;
        }
        match self.deploy(app, cx).await {
            Ok(()) => {
                self.findings.of(app, |a| a.up = true);
                cx.out.note(format!("{app}: runs and answers")).await;
            }
            Err(reason) => {
                cx.out.note(format!("{app}: FAILED: {reason}")).await;
                self.findings.fail(app, Stuck::Deploy, reason);
            }
        }
    }
}

#[async_trait]
impl Step for Deployed {
    fn name(&self) -> String {
        self.title.into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    async fn check(&self, cx: &Cx) -> Result<Check, StepError> {
        if cx.docker.ping_manager().await.is_err() {
            return Ok(Check::Unknown(format!(
                "deployed when the swarm is there: {}",
                self.apps.join(", ")
            )));
        }
        let planned = stream::iter(self.apps.clone()).map(|app| async move {
            let runs = Change::same(format!("{app} runs as its file says"));
            let job = match build(&Request::redeploy(app.clone()), &self.cx).await {
                Ok(job) => job,
                Err(reason) => return Change::add(format!("application {app}")).warn(reason),
            };
            let plan = self.cx.runner.plan(&job).await;
            match plan.is_done() {
                true => runs,
                false => {
                    let changes = plan.changes();
                    let first = changes
                        .filter(|c| c.kind != crate::job::ChangeKind::Same)
                        .map(Change::to_string)
                        .next();
                    let change = Change::add(format!("application {app}"));
                    match first.or_else(|| plan.blocked()) {
                        Some(what) => change.warn(what),
                        None => change,
                    }
                }
            }
        });
        let lines: Vec<Change> = planned.buffered(PARALLEL).collect().await;
        // One whose data was not put back is told in the end.
        let open = lines.iter().zip(&self.apps).any(|(line, app)| {
            line.kind != crate::job::ChangeKind::Same && self.findings.failure(app).is_none()
        });
        Ok(match open {
            true => Check::Change(lines),
            false => {
                for (line, app) in lines.iter().zip(&self.apps) {
                    let same = line.kind == crate::job::ChangeKind::Same;
                    self.findings.of(app, |a| a.up = same);
                }
                Check::Done(lines)
            }
        })
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        stream::iter(self.apps.clone())
            .map(|app| async move { self.bring_back(&app, cx).await })
            .buffer_unordered(PARALLEL)
            .collect::<Vec<()>>()
            .await;
        match cx.cancel.is_cancelled() {
            true => Err(StepError::Cancelled),
            false => Ok(()),
        }
    }

    /// Each deploy was verified by itself; what failed is told in the end.
    async fn verify(&self, _: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}
