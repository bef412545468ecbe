//! Prints logs: of a service over all nodes, or a node's journal.

use matou_i18n::tr;
use std::process::ExitCode;

use clap::Args;
use color_eyre::eyre::Result;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Exit;
use matou_base::text;
use matou_base::text::InvalidInput;
use matou_collect::{LogBatch, LogWindow, explain_missing_log, follow_journal, follow_service};
use matou_host::HostError;
use matou_model::LogLine;
use matou_ops::FleetContext;

/// Lines of the past that are read of each task.
const TAIL: usize = 100;

/// As many with `--since`.
const MAX_TAIL: usize = 10_000;

/// What is held to be put in order, bytes.
const MAX_SORTED_BYTES: usize = 64 << 20;

/// What a line takes beside its text, bytes.
const LINE_COST: usize = 64;

/// Options of both kinds of log.
#[derive(Debug, Args)]
pub(crate) struct LogOptions {
    /// Go on with what comes
    #[arg(long, short)]
    follow: bool,
    /// Lines of the past, of each task [default: 100; with --since 10000]
    #[arg(long, short = 'n')]
    tail: Option<usize>,
    /// Only what was logged since then: 10m, 2h, 2026-11-29, "2026-11-29 14:00" (local time), or with a zone
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Timestamp>,
    /// Print the time of each line
    #[arg(long, short)]
    timestamps: bool,
}

impl LogOptions {
    fn log_window(&self) -> LogWindow {
        LogWindow {
            tail: self.tail.unwrap_or(match self.since {
                Some(_) => MAX_TAIL,
                None => TAIL,
            }),
            follow: self.follow,
            since: self.since,
        }
    }
}

/// Reads a time, or how long ago it was.
///
/// # Errors
/// A sentence with the forms that are read.
fn parse_since(text: &str) -> std::result::Result<Timestamp, InvalidInput> {
    let ago = || {
        let span = text
            .parse::<SignedDuration>()
            .ok()
            .filter(|s| s.is_positive())?;
        Timestamp::now().checked_sub(span).ok()
    };
    let local = || {
        let at = text.parse::<DateTime>().ok()?;
        TimeZone::system().to_timestamp(at).ok()
    };
    let at = text.parse().ok().or_else(local).or_else(ago);
    at.ok_or_else(|| {
        InvalidInput::new(tr!(
            "it must be how long ago (10m, 2h), a day (2026-11-29) or a time (\"2026-11-29 14:00\")"
        ))
    })
}

/// Prints the lines of all tasks in the order in which they were written. What is more than fits comes in
/// the order in which it is read.
async fn print_sorted(
    mut arriving: mpsc::Receiver<LogBatch>,
    options: &LogOptions,
) -> Result<ExitCode> {
    let (mut lines, mut bytes) = (LogBatch::new(), 0_usize);
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    while bytes < MAX_SORTED_BYTES {
        tokio::select! {
            batch = arriving.recv() => match batch {
                None => break,
                Some(batch) => {
                    bytes += batch.iter().map(|l| l.bytes.len() + LINE_COST).sum::<usize>();
                    lines.extend(batch);
                }
            },
            _ = &mut interrupted => return Ok(Exit::Cancelled.into()),
        }
    }
    // A line without a time stays where it is: after what was read before it.
    let mut last = Timestamp::MIN;
    let mut timed: Vec<_> = lines
        .into_iter()
        .map(|line| {
            last = line.at.unwrap_or(last);
            (last, line)
        })
        .collect();
    timed.sort_by_key(|(at, _)| *at);
    let colours = prints_colours();
    for (_, line) in &timed {
        if !print_line(line, options, colours)? {
            return Ok(Exit::Done.into());
        }
    }
    print_log_batches(arriving, options).await
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
    let printing = async {
        match options.follow {
            true => print_log_batches(arriving, options).await,
            false => print_sorted(arriving, options).await,
        }
    };
    let (read, printed) = tokio::join!(reading, printing);
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
        InvalidInput::new(tr!(
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

fn prints_colours() -> bool {
    matou_base::out::is_stdout_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Prints a line; whether somebody reads the output.
fn print_line(line: &LogLine, options: &LogOptions, colours: bool) -> Result<bool> {
    let from = match line.at.filter(|_| options.timestamps) {
        Some(at) => format!("{at:.3} {} | ", line.from),
        None => format!("{} | ", line.from),
    };
    let written = match colours {
        true => {
            matou_base::out::print_coloured(&from, &text::ColouredLine::from_bytes(&line.bytes))
        }
        false => matou_base::outln!("{from}{}", text::clean_log_line(&line.bytes)),
    };
    match written {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        other => Ok(other.map(|()| true)?),
    }
}

/// Prints lines until the log ends, Ctrl-C is pressed, or nobody reads the output.
async fn print_log_batches(
    mut arriving: mpsc::Receiver<LogBatch>,
    options: &LogOptions,
) -> Result<ExitCode> {
    let colours = prints_colours();
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
        for line in &batch {
            if !print_line(line, options, colours)? {
                return Ok(Exit::Done.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_each_form_and_others_are_refused() {
        let now = Timestamp::now().as_second();
        let at = |text: &str| parse_since(text).map(Timestamp::as_second).ok();
        for (text, ago) in [("90s", 90), ("10m", 600), ("2h", 7200), ("1h 30m", 5400)] {
            let found = at(text).unwrap_or_else(|| panic!("{text}"));
            assert!(
                (now - ago..now - ago + 5).contains(&found),
                "{text}: {found}"
            );
        }
        assert_eq!(at("2026-11-29T14:00:00Z"), Some(1_795_960_800));
        assert_eq!(at("2026-11-29 14:00"), at("2026-11-29T14:00:00"));
        assert!(at("2026-11-29").is_some());
        for wrong in ["", "10", "-5m", "yesterday", "2026-13-01"] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}
