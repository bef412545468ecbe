//! `matou move`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;

use super::{job, recover};
use crate::ops::{Context, Request, moves, recover::Findings};
use crate::recover::Kind;

#[derive(Debug, Args)]
pub struct MoveArgs {
    /// Names of applications; all of them, and the servers provisioned first, without
    apps: Vec<String>,
    /// The config.toml of the other fleet
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    job: job::Options,
}

/// Moves applications to another fleet.
pub(super) async fn run(cx: &Context, args: &MoveArgs) -> Result<ExitCode> {
    let findings = Findings::default();
    let to = std::path::absolute(&args.to)?;
    let request = Request::Move {
        apps: args.apps.clone(),
        to: to.display().to_string(),
    };
    let build = async |_: &Request| moves::job(cx, &args.apps, &to, &findings).await;
    recover::reported(cx, Kind::Move, request, build, &findings, &args.job).await
}
