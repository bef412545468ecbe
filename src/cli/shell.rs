//! `matou shell`: hands the terminal, or what is piped in, to a shell on a node or in a container.

use matou_i18n::tr;
use std::io::IsTerminal;
use std::process::ExitCode;

use color_eyre::eyre::{Context as _, Result};

use matou_host::ShellInput;
use matou_ops as ops;
use matou_ops::FleetContext;

/// Opens the shell and returns its exit code.
pub(crate) async fn run_shell_command(fleet: &FleetContext, name: &str) -> Result<ExitCode> {
    let target = ops::find_shell_target(fleet, name).await?;
    let input = match std::io::stdin().is_terminal() {
        true => ShellInput::Terminal,
        false => ShellInput::Piped,
    };
    let argv = ops::build_shell_command(fleet, &target, input).await?;
    let status = tokio::process::Command::new(&argv[0])
        .args(&argv[1..])
        .status()
        .await
        .wrap_err(tr!("ssh can't be started: is openssh-client installed?"))?;
    let code = status.code().and_then(|c| u8::try_from(c).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}
