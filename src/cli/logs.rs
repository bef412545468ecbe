//! Prints logs: of a service over all nodes, or a node's journal.

use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Exit;
use matou_base::text;
use matou_base::text::InvalidInput;
use matou_collect::{LogBatch, LogWindow, explain_missing_log, follow_journal, follow_service};
use matou_host::HostError;
use matou_ops::FleetContext;

/// Options of both kinds of log.
#[derive(Debug, Args)]
pub(crate) struct LogOptions {
    /// Go on with what comes
    #[arg(long, short)]
    follow: bool,
    /// Lines of the past, of each task
    #[arg(long, short = 'n', default_value_t = 100)]
    tail: usize,
    /// Print the time of each line
    #[arg(long, short)]
    timestamps: bool,
}

impl LogOptions {
    fn log_window(&self) -> LogWindow {
        LogWindow {
            tail: self.tail,
            follow: self.follow,
        }
    }
}

/// Carries out `matou logs SERVICE`.
pub(crate) async fn run_logs_command(
    fleet: &FleetContext,
    service: &str,
    options: &LogOptions,
) -> Result<ExitCode> {
    // Following goes on: what waits for an image may come up yet.
    if let Some(why) = explain_missing_log(&fleet.nodes, service).await? {
        matou_base::errln!("{}", text::clean_line(&why));
    }
    let (out, arriving) = mpsc::channel(16);
    let reading = follow_service(&fleet.nodes, service, options.log_window(), out);
    let (read, printed) = tokio::join!(reading, print_log_batches(arriving, options));
    read?;
    printed
}

/// Carries out `matou journal NODE [UNIT]`.
pub(crate) async fn run_journal_command(
    fleet: &FleetContext,
    node: &str,
    unit: Option<&str>,
    options: &LogOptions,
) -> Result<ExitCode> {
    let handle = fleet.nodes.get(node).ok_or_else(|| {
        let names: Vec<_> = fleet.nodes.iter().map(|n| n.config.name.as_str()).collect();
        InvalidInput::new(format_args!(
            "there is no node {node:?} in config.toml, only {}",
            names.join(", ")
        ))
    })?;
    let cancel = CancellationToken::new();
    let (out, arriving) = mpsc::channel(16);
    let reading = follow_journal(handle, unit, options.log_window(), out, &cancel);
    let printing = async {
        let printed = print_log_batches(arriving, options).await;
        // Ends the command on the node now, not when it prints its next line.
        cancel.cancel();
        printed
    };
    let (read, printed) = tokio::join!(reading, printing);
    match read {
        Err(HostError::Cancelled { .. }) => {}
        other => other?,
    }
    printed
}

/// Prints lines until the log ends, Ctrl-C is pressed, or nobody reads the output.
async fn print_log_batches(
    mut arriving: mpsc::Receiver<LogBatch>,
    options: &LogOptions,
) -> Result<ExitCode> {
    let colours = matou_base::out::is_stdout_terminal() && std::env::var_os("NO_COLOR").is_none();
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let batch = tokio::select! {
            batch = arriving.recv() => batch,
            _ = &mut interrupted => return Ok(Exit::Cancelled.into()),
        };
        let Some(batch) = batch else {
            return Ok(Exit::Done.into());
        };
        for line in batch {
            let from = match line.at.filter(|_| options.timestamps) {
                Some(at) => format!("{at:.3} {} | ", line.from),
                None => format!("{} | ", line.from),
            };
            let written = match colours {
                true => matou_base::out::print_coloured(
                    &from,
                    &text::ColouredLine::from_bytes(&line.bytes),
                ),
                false => matou_base::outln!("{from}{}", text::clean_log_line(&line.bytes)),
            };
            match written {
                Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => {
                    return Ok(Exit::Done.into());
                }
                other => other?,
            }
        }
    }
}
