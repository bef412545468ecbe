//! `matou files`: apps/ and stacks/ here and on the storage node.

use matou_i18n::tr;
use std::process::ExitCode;

use color_eyre::eyre::{Result, eyre};

use super::Exit;
use matou_base::outln;
use matou_ops as ops;
use matou_ops::{AppFilesState, FleetContext};
use matou_stack::AppName;

/// Carries out `matou files`: lists what differs, or copies one application's files here. Ends with
/// 1 when something differs.
pub(super) async fn run_files_command(
    fleet: &FleetContext,
    take: Option<&AppName>,
) -> Result<ExitCode> {
    let (there, here) = ops::load_fleet_files(fleet).await.map_err(|e| eyre!(e))?;
    let Some(app) = take else {
        let mut differs = false;
        for compared in there.compare_with_local(&here) {
            differs |= compared.state != AppFilesState::Same;
            outln!("{}", compared.describe())?;
        }
        return Ok(match differs {
            true => Exit::Failed.into(),
            false => Exit::Done.into(),
        });
    };
    let folder = fleet.folder();
    let folder =
        folder.ok_or_else(|| eyre!("{}", tr!("without config.toml there is no fleet folder")))?;
    let said = there.take_app(app, &folder).await?;
    for line in &said {
        outln!("{line}")?;
    }
    if said.is_empty() {
        outln!("{}", tr!("{app} is here as it is there"))?;
    }
    Ok(Exit::Done.into())
}
