//! The second pass: one application after another is stopped there and started here.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Fleets;
use super::app::{Moving, Place};
use crate::job::{Change, ChangeKind, Check, Cx, Step, StepError};
use crate::ops::recover::Stuck;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// How long starting an application where it was may take after the job was cancelled.
const GOING_BACK: Duration = Duration::from_secs(300);

pub(super) struct Switch {
    pub apps: Vec<Arc<Moving>>,
    pub fleets: Fleets,
}

impl Switch {
    async fn run(&self, cx: &Cx) -> Result<(), StepError> {
        let findings = &self.fleets.findings;
        for moving in &self.apps {
            let app = &moving.app;
            if cx.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            if let Some(why) = findings.failure(app) {
                cx.out
                    .note(format!("{app}: left where it is ({why})"))
                    .await;
                continue;
            }
            if moving.place().await.map_err(StepError::Failed)? != Place::Old {
                findings.of(app, |a| a.up = true);
                continue;
            }
            match moving.switch(cx).await {
                Ok(took) => {
                    let said = match moving.edge {
                        true => {
                            format!("{app}: runs on both fleets, for what is still on the old one")
                        }
                        false => format!(
                            "{app}: runs on the new fleet; nothing answered for {:.1} s",
                            took.as_secs_f64()
                        ),
                    };
                    cx.out.note(&said).await;
                    findings.of(app, |a| {
                        a.up = true;
                        a.answers.push(said);
                    });
                }
                Err(StepError::Cancelled) => return Err(StepError::Cancelled),
                Err(why) => {
                    cx.out.note(format!("{app}: FAILED: {why}")).await;
                    findings.fail(app, Stuck::Deploy, why.to_string());
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Step for Switch {
    fn name(&self) -> String {
        "switch".into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    fn clean_up(&self) -> Duration {
        GOING_BACK
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let (old, new) = (&self.fleets.old, &self.fleets.new);
        let name = |cx: &crate::ops::Context| {
            let path = cx.config.path.as_ref();
            path.map_or_else(|| cx.config.fleet.name.clone(), |p| p.display().to_string())
        };
        let mut lines = Vec::new();
        for moving in &self.apps {
            let app = &moving.app;
            let left = moving.left().await?.is_some();
            let place = moving.place().await.map_err(StepError::Failed)?;
            lines.push(match place {
                Place::Old if moving.edge => Change::add(format!("{app} on the new fleet")),
                Place::Old | Place::Both if left || place == Place::Old => {
                    Change::modify(app.clone(), name(old), name(new)).warn(
                        "it does not answer while what changed since the copy follows; its volumes on the old servers stay",
                    )
                }
                _ => Change::same(format!("{app} needs no switch")),
            });
        }
        Ok(match lines.iter().all(|l| l.kind == ChangeKind::Same) {
            true => Check::Done(lines),
            false => Check::Change(lines),
        })
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        let work = Self {
            apps: self.apps.clone(),
            fleets: self.fleets.clone(),
        };
        let cx = cx.clone();
        // Goes on when the job's future is dropped: nothing may stay stopped.
        let running = tokio::spawn(async move { work.run(&cx).await });
        running
            .await
            .map_err(|e| StepError::failed(format!("a bug in matou: {e}")))?
    }

    /// Each application was asked; what failed is told in the end.
    async fn verify(&self, _: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}
