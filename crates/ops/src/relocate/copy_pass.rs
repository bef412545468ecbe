//! The first pass: everything is copied while it runs.

use matou_i18n::tr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::app::{AppLocation, AppMove};
use super::fleets::MoveFleets;
use crate::recover::StuckAt;
use matou_backup::{FleetId, RestorePhase, identity};
use matou_job::{Change, ChangeKind, Check, Report, Step, StepContext, StepError};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(48 * 3600);

/// Checks that the old fleet answers. Its storage node is locked while the job runs.
pub(super) struct CheckOldFleet(pub MoveFleets);

#[async_trait]
impl Report for CheckOldFleet {
    fn name(&self) -> String {
        tr!("old fleet").into()
    }

    async fn report(&self, _: &StepContext) -> Result<Vec<Change>, StepError> {
        let old = &self.0.old;
        let manager = old.nodes.find_manager().await;
        let manager = manager?;
        Ok(vec![Change::same(tr!(
            "{} of {} answers",
            manager.config.name,
            old.config.fleet.name
        ))])
    }
}

pub(super) struct CopyPass {
    pub apps: Vec<Arc<AppMove>>,
    pub fleets: MoveFleets,
}

#[async_trait]
impl Step for CopyPass {
    fn name(&self) -> String {
        tr!("first pass").into()
    }

    /// A restore inside it is taken back.
    fn clean_up_limit(&self) -> Duration {
        crate::restore::TAKE_BACK_LIMIT + Duration::from_secs(30)
    }

    fn timeout(&self) -> Duration {
        PATIENCE
    }

    async fn check(&self, _: &StepContext) -> Result<Check, StepError> {
        let to = &self.fleets.new_storage.config.name;
        let mut lines = Vec::new();
        for moving in &self.apps {
            let app = &moving.app;
            if let Some(why) = moving.find_obstacle().await? {
                lines.push(Change::decide(why));
                continue;
            }
            let left = moving.read_interrupted_move().await?;
            let place = moving.find_location().await?;
            lines.push(match (place, left.map(|l| l.phase)) {
                (_, Some(RestorePhase::Restored)) => Change::same(tr!("{app} is there")),
                (_, Some(_)) => Change::add(tr!("a copy of {app} on {to}"))
                    .with_warning(tr!("an earlier move was interrupted: it is started where it was first")),
                (AppLocation::Old, None) => Change::add(tr!("a copy of {app} on {to}, while it runs")),
                (AppLocation::New, None) => Change::same(tr!("{app} is there")),
                (AppLocation::Both, None) if moving.is_edge => Change::same(tr!("{app} is there")),
                (AppLocation::Both, None) => Change::decide(tr!(
                    "{app} runs on both fleets: remove the one that is not wanted, `matou remove {app}`"
                )),
                (AppLocation::Nowhere, None) => Change::same(tr!("{app} does not run: left alone")),
            });
        }
        Ok(match lines.iter().all(|l| l.kind == ChangeKind::Same) {
            true => Check::Done(lines),
            false => Check::Change(lines),
        })
    }

    async fn apply(&self, cx: &StepContext) -> Result<(), StepError> {
        // The new fleet lives beside the old one, maybe with its name, but never with its id.
        let (config, id) = (&self.fleets.new.config, FleetId::random());
        let kept = identity::keep_fleet_id(config, &self.fleets.new_storage.host, &id).await;
        kept.map_err(|e| StepError::failed(e.to_string()))?;
        let all = self.apps.len() as u64;
        for (done, moving) in self.apps.iter().enumerate() {
            cx.out
                .send_progress(done as u64, all, tr!("applications"))
                .await;
            let stuck = moving.read_interrupted_move().await?.is_some();
            let place = moving.find_location().await?;
            if place != AppLocation::Old && !stuck {
                continue;
            }
            match moving.copy_running(cx).await {
                Ok(()) => {
                    cx.out.note(tr!("{}: a copy is there", moving.app)).await;
                }
                Err(StepError::Cancelled) => return Err(StepError::Cancelled),
                Err(why) => {
                    cx.out.note(tr!("{}: FAILED: {why}", moving.app)).await;
                    let why = why.to_string();
                    self.fleets
                        .findings
                        .fail_app(&moving.app, StuckAt::Restore, why);
                }
            }
        }
        Ok(())
    }

    /// Has nothing to check: each copy was checked; what failed is reported at the end.
    async fn verify(&self, _: &StepContext) -> Result<(), StepError> {
        Ok(())
    }
}
