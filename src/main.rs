//! Starts matou: arguments, error reports, the console or a subcommand.

use std::process::ExitCode;

use clap::Parser;
use color_eyre::eyre::Result;
use matou::cli::{Cli, Exit};
use matou::{runtime, ui};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(code) => code,
        Err(report) => {
            eprintln!("matou: {report:#}");
            Exit::of(&report).into()
        }
    }
}

fn start(cli: Cli) -> Result<ExitCode> {
    // Two threads: the console itself hardly computes, and idle threads cost memory.
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let code = tokio.block_on(async {
        if cli.is_console() {
            ui::terminal::check_terminal()?;
            ui::terminal::install_panic_hook()?;
            runtime::run(cli.open()?).await
        } else {
            cli.run().await
        }
    });
    // A thread that waits for a name server must not hold the operator back.
    tokio.shutdown_background();
    code
}
