//! Starts matou: arguments, error reports, the console or a subcommand.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::disallowed_macros,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

use std::process::ExitCode;

use clap::CommandFactory;
use color_eyre::eyre::Result;
use matou::cli::{Cli, Exit};
use matou::{config, out, own_log, runtime, text, ui};

fn main() -> ExitCode {
    out::install_cli_panic_hook();
    matou::files::tighten_umask();
    matou::files::disable_core_files();
    matou::cli::speak_language();
    matou::cli::answer_shell(Cli::command);
    let cli = match Cli::parse_arguments() {
        Ok(cli) => cli,
        Err(usage) => return report_usage(&usage),
    };
    let started = start_program(cli);
    config::remove_runtime_dir();
    match started {
        Ok(code) => code,
        // Nobody is left to be told.
        Err(report) if report.chain().any(out::OutputClosed::is_in) => Exit::OutputClosed.into(),
        Err(report) => {
            match report.downcast_ref::<config::ConfigError>() {
                // It points into a line of the file.
                Some(_) => out::note_block(&format!("matou: {report:#}")),
                None => out::note_hanging(format_args!("matou: {report:#}")),
            }
            Exit::of(&report).into()
        }
    }
}

/// Reports wrong usage, or prints the help that was asked for. What was typed may be the name of a
/// file from elsewhere: clap does not print it itself when it has odd characters.
fn report_usage(usage: &clap::Error) -> ExitCode {
    let odd = |arg: std::ffi::OsString| {
        let arg = arg.to_string_lossy();
        text::escape_line(&arg) != arg
    };
    if usage.use_stderr() && std::env::args_os().any(odd) {
        out::note_block(usage.render().to_string().trim_end());
        return Exit::Usage.into();
    }
    usage.exit()
}

fn start_program(cli: Cli) -> Result<ExitCode> {
    // Before anything else may fail: the screen has reports of its own.
    if cli.is_console() && !cli.console_mode().linear {
        ui::terminal::check_terminal()?;
        ui::terminal::install_panic_hook()?;
    }
    own_log::start_log(cli.is_console())?;
    // Two threads: the console itself hardly computes, and idle threads cost memory.
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let code = tokio.block_on(async {
        if cli.is_console() {
            runtime::run_console(cli.open_fleet()?, cli.console_mode()).await
        } else {
            cli.run().await
        }
    });
    // A thread that waits for a name server must not hold the operator back.
    tokio.shutdown_background();
    code
}
