//! The cutover: one application after another is stopped on the old fleet and started on the new
//! one.

use matou_base::text::format_tenths;
use matou_i18n::tr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::app::{AppLocation, AppMove};
use super::fleets::MoveFleets;
use crate::recover::StuckAt;
use matou_job::{Change, ChangeKind, Check, Step, StepContext, StepError};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// How long starting an application where it was may take after the job was cancelled.
const GO_BACK_WAIT: Duration = Duration::from_secs(300);

pub(super) struct Cutover {
    pub apps: Vec<Arc<AppMove>>,
    pub fleets: MoveFleets,
}

impl Cutover {
    async fn cut_over_apps(&self, cx: &StepContext) -> Result<(), StepError> {
        let findings = &self.fleets.findings;
        for moving in &self.apps {
            let app = &moving.app;
            if cx.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            if let Some(why) = findings.failure_reason(app) {
                cx.out.note(tr!("{app}: left where it is ({why})")).await;
                continue;
            }
            if moving.find_location().await? != AppLocation::Old {
                findings.update_app(app, |a| a.up = true);
                continue;
            }
            match moving.cut_over(cx).await {
                Ok(took) => {
                    let said = match moving.is_edge {
                        true => {
                            tr!("{app}: runs on both fleets, for what is still on the old one")
                        }
                        false => tr!(
                            "{app}: runs on the new fleet; nothing answered for {} s",
                            format_tenths(took.as_secs_f64())
                        ),
                    };
                    cx.out.note(&said).await;
                    findings.update_app(app, |a| {
                        a.up = true;
                        a.answers.push(said);
                    });
                }
                Err(StepError::Cancelled) => return Err(StepError::Cancelled),
                Err(why) => {
                    cx.out.note(tr!("{app}: FAILED: {why}")).await;
                    findings.fail_app(app, StuckAt::Deploy, why.to_string());
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Step for Cutover {
    fn name(&self) -> String {
        tr!("switch").into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    fn clean_up_limit(&self) -> Duration {
        GO_BACK_WAIT
    }

    async fn check(&self, cx: &StepContext) -> Result<Check, StepError> {
        let (old, new) = (&self.fleets.old, &self.fleets.new);
        let name = |fleet: &crate::FleetContext| {
            let path = fleet.config.path.as_ref();
            path.map_or_else(
                || fleet.config.fleet.name.clone(),
                |p| p.display().to_string(),
            )
        };
        let mut lines = Vec::new();
        for moving in &self.apps {
            let app = &moving.app;
            let left = moving.read_interrupted_move().await?.is_some();
            let place = moving.find_location().await?;
            if place == AppLocation::Old && !moving.is_edge {
                lines.extend(moving.page().plan_line(cx).await?);
            }
            lines.push(match place {
                AppLocation::Old if moving.is_edge => Change::add(tr!("{app} on the new fleet")),
                AppLocation::Old | AppLocation::Both if left || place == AppLocation::Old => {
                    Change::modify(app.clone(), name(old), name(new)).with_warning(
                        tr!("it does not answer while what changed since the copy follows; its volumes on the old servers stay"),
                    )
                }
                _ => Change::same(tr!("{app} needs no switch")),
            });
        }
        Ok(match lines.iter().all(|l| l.kind == ChangeKind::Same) {
            true => Check::Done(lines),
            false => Check::Change(lines),
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        let work = Self {
            apps: self.apps.clone(),
            fleets: self.fleets.clone(),
        };
        let (cx, fence) = (cx.clone(), cx.fence.clone());
        // Goes on when the job's future is dropped, under its lock: nothing may stay stopped.
        // Boxed, as all of a switch is more than a thread's stack holds twice.
        let running = tokio::spawn(async move {
            let switch = Box::pin(work.cut_over_apps(&cx));
            fence.run_until_lost(switch).await
        });
        running
            .await
            .map_err(|e| StepError::failed(tr!("a bug in matou: {e}")))??
    }

    /// Has nothing to check: each application was asked; what failed is reported at the end.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}
