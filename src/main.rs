//! Starts matou: arguments, error reports, the console or a subcommand.

use std::process::ExitCode;

use clap::Parser;
use color_eyre::eyre::Result;
use matou::cli::{Cli, Exit};
use matou::{config, runtime, ui};

fn main() -> ExitCode {
    matou::files::tighten_umask();
    let started = start(Cli::parse());
    config::leave_runtime_dir();
    match started {
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
            write_log_file();
            runtime::run(cli.open()?).await
        } else {
            cli.run().await
        }
    });
    // A thread that waits for a name server must not hold the operator back.
    tokio.shutdown_background();
    code
}

/// The program's own log: the screen belongs to the console, which opens without one too.
fn write_log_file() {
    let opened = config::state_dir()
        .ok()
        .and_then(|state| matou::files::append(&state.join("matou.log")).ok());
    let Some(file) = opened else {
        return;
    };
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .with_writer(std::sync::Mutex::new(file))
        .init();
}
