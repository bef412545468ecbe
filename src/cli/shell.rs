//! `matou shell`: hands the terminal to a shell on a node or in a container.

use std::process::ExitCode;

use color_eyre::eyre::{Context as _, Result};

use crate::ops::{self, Context};

/// Opens the shell and answers with its exit code.
pub async fn run(cx: &Context, name: &str) -> Result<ExitCode> {
    let target = ops::shell_target(cx, name).await?;
    let argv = ops::shell_command(cx, &target).await?;
    let status = tokio::process::Command::new(&argv[0])
        .args(&argv[1..])
        .status()
        .await
        .wrap_err("ssh can't be started: is openssh-client installed?")?;
    let code = status.code().and_then(|c| u8::try_from(c).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}
