//! A job about one application as a part of a step.

use matou_i18n::tr;
use tokio::sync::mpsc;

use super::findings::RecoveryFindings;
use crate::{FleetContext, OpsError};
use matou_job::{Job, JobEvent, JobOutcome, StepContext};

/// Runs a job about one application inside a step of another job, which holds the locks of all
/// nodes.
pub(crate) async fn run_job_in_step(
    mut job: Job,
    app: &str,
    fleet: &FleetContext,
    step: &StepContext,
    findings: &RecoveryFindings,
) -> Result<(), OpsError> {
    job = job.into_part();
    let (events, mut arriving) = mpsc::channel(64);
    let running = fleet.runner.run(&job, None, events, step.cancel.clone());
    let listening = async {
        while let Some(event) = arriving.recv().await {
            match event {
                JobEvent::Line { stream, text, .. } => {
                    step.out.send_line(stream, format!("{app}: {text}")).await;
                }
                JobEvent::Answered { domain, text, .. } => {
                    findings.update_app(app, |a| a.answers.push(text.to_string()));
                    step.out
                        .send_answer(&domain, &format!("{app}: {text}"))
                        .await;
                }
                _ => {}
            }
        }
    };
    let (outcome, ()) = tokio::join!(running, listening);
    match outcome.map_err(OpsError::failed)? {
        JobOutcome::Done { .. } => Ok(()),
        JobOutcome::Failed { reason } => Err(OpsError::failed(reason)),
        JobOutcome::Cancelled => Err(tr!("cancelled").into()),
    }
}
