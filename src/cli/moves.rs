//! `matou move`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::complete::{Names, complete};
use super::{job, recover};
use matou_ops::{FleetContext, Request, recover::RecoveryFindings, relocate};
use matou_recover::RecoveryKind;
use matou_stack::AppName;

#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// Names of applications; all of them, and the servers provisioned first, without
    #[arg(add = complete(Names::Apps))]
    apps: Vec<AppName>,
    /// The config.toml of the other fleet
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    job: job::JobOptions,
}

/// Carries out `matou move`: moves applications to another fleet.
pub(super) async fn run_move_command(fleet: &FleetContext, args: &MoveArgs) -> Result<ExitCode> {
    let findings = RecoveryFindings::default();
    let to = std::path::absolute(&args.to)?;
    let request = Request::Move {
        apps: args.apps.clone(),
        to: to.display().to_string(),
    };
    let build =
        async |_: &Request| relocate::build_move_job(fleet, &args.apps, &to, &findings).await;
    recover::run_reported_job(
        fleet,
        RecoveryKind::Move,
        request,
        build,
        &findings,
        &args.job,
    )
    .await
}
