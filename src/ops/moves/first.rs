//! The first pass: everything is copied while it runs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Fleets;
use super::app::{Moving, Place};
use crate::backup::{FleetId, Phase, identity};
use crate::job::{Change, ChangeKind, Check, Cx, Step, StepError};
use crate::ops::recover::Stuck;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(48 * 3600);

/// The old fleet answers; its storage node is locked while the job runs.
pub(super) struct Reachable(pub Fleets);

#[async_trait]
impl Step for Reachable {
    fn name(&self) -> String {
        "old fleet".into()
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let old = &self.0.old;
        let manager = old.nodes.manager().await;
        let manager = manager.map_err(|e| StepError::failed(e.to_string()))?;
        Ok(Check::Done(vec![Change::same(format!(
            "{} of {} answers",
            manager.config.name, old.config.fleet.name
        ))]))
    }

    async fn apply(&self, _: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}

pub(super) struct First {
    pub apps: Vec<Arc<Moving>>,
    pub fleets: Fleets,
}

#[async_trait]
impl Step for First {
    fn name(&self) -> String {
        "first pass".into()
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    async fn check(&self, _: &Cx) -> Result<Check, StepError> {
        let to = &self.fleets.new_storage.config.name;
        let mut lines = Vec::new();
        for moving in &self.apps {
            let app = &moving.app;
            if let Some(why) = moving.hindrance().await? {
                lines.push(Change::decide(why));
                continue;
            }
            let left = moving.left().await?;
            let place = moving.place().await.map_err(StepError::Failed)?;
            lines.push(match (place, left.map(|l| l.phase)) {
                (_, Some(Phase::Restored)) => Change::same(format!("{app} is there")),
                (_, Some(_)) => Change::add(format!("a copy of {app} on {to}"))
                    .warn("an earlier move was interrupted: it is started where it was first"),
                (Place::Old, None) => Change::add(format!("a copy of {app} on {to}, while it runs")),
                (Place::New, None) => Change::same(format!("{app} is there")),
                (Place::Both, None) if moving.edge => Change::same(format!("{app} is there")),
                (Place::Both, None) => Change::decide(format!(
                    "{app} runs on both fleets: remove the one that is not wanted, `matou remove {app}`"
                )),
                (Place::Nowhere, None) => Change::same(format!("{app} does not run: left alone")),
            });
        }
        Ok(match lines.iter().all(|l| l.kind == ChangeKind::Same) {
            true => Check::Done(lines),
            false => Check::Change(lines),
        })
    }

    async fn apply(&self, cx: &Cx) -> Result<(), StepError> {
        // It lives beside the old one, perhaps under its name: never with its id.
        let (config, id) = (&self.fleets.new.config, FleetId::random());
        let kept = identity::keep(config, &self.fleets.new_storage.host, &id).await;
        kept.map_err(|e| StepError::failed(e.to_string()))?;
        let all = self.apps.len() as u64;
        for (done, moving) in self.apps.iter().enumerate() {
            cx.out.progress(done as u64, all, "applications").await;
            let stuck = moving.left().await?.is_some();
            let place = moving.place().await.map_err(StepError::Failed)?;
            if place != Place::Old && !stuck {
                continue;
            }
            match moving.copy(cx).await {
                Ok(()) => {
                    cx.out
                        .note(format!("{}: a copy is there", moving.app))
                        .await;
                }
                Err(StepError::Cancelled) => return Err(StepError::Cancelled),
                Err(why) => {
                    cx.out.note(format!("{}: FAILED: {why}", moving.app)).await;
                    let why = why.to_string();
                    self.fleets.findings.fail(&moving.app, Stuck::Restore, why);
                }
            }
        }
        Ok(())
    }

    /// Each copy was counted; what failed is told in the end.
    async fn verify(&self, _: &Cx) -> Result<(), StepError> {
        Ok(())
    }
}
