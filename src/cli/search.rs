//! `matou search`: the log store of the stack logs.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::Result;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::Exit;
use super::complete::{Names, complete};
use matou_base::text::clean_line;
use matou_base::units::parse_human_duration;
use matou_collect::LogStore;
use matou_model::{LogRecord, LogSearch};
use matou_ops::FleetContext;

/// Records that may be asked for.
const MOST: i64 = 5000;

#[derive(Debug, Args)]
pub(crate) struct SearchOptions {
    /// LogsQL, as `error`, `"connection refused" node:n2`; everything when left out
    #[arg(default_value = "*")]
    query: String,
    /// Only what an application or a service logged, and requests to it
    #[arg(long, value_name = "APP", add = complete(Names::AppsAndServices))]
    app: Option<String>,
    /// Only those of the last so many minutes or hours, as 10m or 2h
    #[arg(long, value_parser = parse_human_duration, value_name = "DURATION")]
    since: Option<Duration>,
    /// Records at most: the newest
    #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=MOST))]
    limit: u16,
    /// Go on with what comes
    #[arg(long, short)]
    follow: bool,
    /// Print JSON: one record a line
    #[arg(long)]
    json: bool,
}

impl SearchOptions {
    /// Whether everything is printed as JSON.
    pub(super) fn wants_json(&self) -> bool {
        self.json
    }
}

/// Carries out `matou search`: prints what is found, oldest first.
///
/// # Errors
/// There is no log store, it does not answer, or it refuses the query.
pub(super) async fn run_search_command(
    fleet: &FleetContext,
    options: &SearchOptions,
) -> Result<ExitCode> {
    let store = LogStore::find(&fleet.nodes, options.app.as_deref()).await;
    let store = store?;
    let ago = |s| Timestamp::now().checked_sub(s).unwrap_or(Timestamp::MIN);
    let search = LogSearch {
        query: options.query.clone(),
        app: options.app.clone(),
        since: options.since.map(ago),
        limit: usize::from(options.limit),
    };
    if !options.follow {
        let found = store.search(&search).await?;
        print_log_records(&found, options.json)?;
        return Ok(Exit::Done.into());
    }
    let (out, mut arriving) = mpsc::channel(4);
    let following = store.follow(search, out);
    let printing = async {
        while let Some(found) = arriving.recv().await {
            if !print_log_records(&found, options.json)? {
                break;
            }
        }
        Ok(Exit::Done.into())
    };
    tokio::pin!(following);
    tokio::select! {
        printed = printing => printed,
        ended = &mut following => Ok(ended.map(|()| Exit::Done.into())?),
        _ = tokio::signal::ctrl_c() => Ok(Exit::Cancelled.into()),
    }
}

/// Prints records. Returns false when nobody reads the output.
fn print_log_records(found: &[LogRecord], json: bool) -> Result<bool> {
    let written = found.iter().try_for_each(|record| match json {
        true => matou_base::out::print_json_line(record),
        false => matou_base::outln!("{}", format_log_record(record)),
    });
    match written {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn format_log_record(record: &LogRecord) -> String {
    let at = record.at.map_or_else(String::new, |t| {
        t.strftime("%Y-%m-%d %H:%M:%S ").to_string()
    });
    let of = [&record.node, &record.app];
    let of: Vec<&str> = of
        .into_iter()
        .filter(|s| !s.is_empty())
        .map(|s| &**s)
        .collect();
    clean_line(&format!("{at}{} {}", of.join(" "), record.line)).into_owned()
}
