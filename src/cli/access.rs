//! `matou access`: the requests to an application, as the edge logs them.

use matou_i18n::tr;
use std::collections::{BTreeMap, VecDeque};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::{Result, eyre};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Exit;
use matou_base::errln;
use matou_base::outln;
use matou_base::text::InvalidInput;
use matou_base::units::{format_short_duration, parse_human_duration};
use matou_collect::{AccessNews, LogWindow, follow_access};
use matou_model::{AccessFilter, AccessRecord, AppRoutes, count_most_frequent};
use matou_ops::FleetContext;

pub(crate) const HELP: &str = "The last 10,000 requests are looked at. Without --since the newest 100 of them that fit are printed, with --follow those that come.";

/// Requests that are read of the past.
const MAX_READ: usize = 10_000;

/// Requests that are printed without `--since`.
const DEFAULT_SHOWN: usize = 100;

/// How many paths and addresses `--top` prints.
const TOP_COUNT: usize = 10;

#[derive(Debug, Args)]
pub(crate) struct AccessOptions {
    /// Only those of the last so many minutes or hours, as 10m or 2h
    #[arg(long, value_parser = parse_human_duration, value_name = "DURATION")]
    since: Option<Duration>,
    /// Only this status, or class of statuses: 404, 5xx; may be given several times
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<String>,
    /// Only paths that hold this
    #[arg(long, value_name = "TEXT")]
    path: Option<String>,
    /// Only what took longer, as 500ms
    #[arg(long, value_parser = parse_human_duration, value_name = "DURATION")]
    slow: Option<Duration>,
    /// Go on with what comes
    #[arg(long, short, conflicts_with = "top")]
    follow: bool,
    /// Print JSON: one request a line
    #[arg(long)]
    json: bool,
    /// Count instead: answers, and the paths and addresses that come most often
    #[arg(long)]
    top: bool,
}

impl AccessOptions {
    /// Whether everything is printed as JSON.
    pub(super) fn wants_json(&self) -> bool {
        self.json
    }

    fn build_filter(&self) -> Result<AccessFilter> {
        let mut filter = AccessFilter::default();
        for status in &self.status {
            filter
                .or_status(status)
                .map_err(|e| InvalidInput::new(format_args!("--status: {e}")))?;
        }
        if let Some(path) = &self.path {
            filter.and_path(path);
        }
        if let Some(slow) = self.slow {
            filter.and_slower(slow);
        }
        Ok(filter)
    }
}

/// What `--top --json` prints.
#[derive(Serialize)]
struct AccessCounts<'a> {
    requests: usize,
    /// By the first digit of the status.
    answers: BTreeMap<&'a str, usize>,
    slowest_micros: u64,
    paths: Vec<NamedCount<'a>>,
    addresses: Vec<NamedCount<'a>>,
}

#[derive(Serialize)]
struct NamedCount<'a> {
    name: &'a str,
    requests: usize,
}

/// Returns the most frequent texts.
fn most_frequent_counts<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<NamedCount<'a>> {
    let most = count_most_frequent(texts, TOP_COUNT).into_iter();
    most.map(|(name, requests)| NamedCount { name, requests })
        .collect()
}

/// Carries out `matou access`: prints the requests that match the options.
///
/// # Errors
/// The options are wrong, there is no such application, no router leads to it, or the log can't be
/// read.
pub(crate) async fn run_access_command(
    fleet: &FleetContext,
    app: &str,
    options: &AccessOptions,
) -> Result<ExitCode> {
    let filter = options.build_filter()?;
    let routes = find_app_routes(fleet, app).await?;
    let ago = |s| Timestamp::now().checked_sub(s).unwrap_or(Timestamp::MIN);
    let since = options.since.map(ago);
    let window = LogWindow {
        tail: if options.follow && since.is_none() {
            0
        } else {
            MAX_READ
        },
        follow: options.follow,
        since: None,
    };
    let cancel = CancellationToken::new();
    let (out, mut arriving) = mpsc::channel(16);
    let reading = follow_access(&fleet.nodes, &routes, window, out, &cancel);
    let wanted = |a: &AccessRecord| since.is_none_or(|s| a.at >= s) && filter.matches_record(a);
    if options.follow {
        let printing = async {
            let printed = print_followed_requests(&mut arriving, wanted, options.json).await;
            // A closed receiver ends the reading, and what it began on the nodes.
            arriving.close();
            while arriving.recv().await.is_some() {}
            printed
        };
        let (read, printed) = tokio::join!(reading, printing);
        read?;
        return printed;
    }
    let gathering = async {
        let mut all = VecDeque::new();
        while let Some(news) = arriving.recv().await {
            match news {
                AccessNews::Requests(requests) => all.extend(requests.into_iter().filter(wanted)),
                AccessNews::Note(text) => errln!("{text}"),
            }
        }
        all
    };
    let (read, mut all) = tokio::join!(reading, gathering);
    read?;
    // Those of several nodes are told in the order of their times.
    all.make_contiguous().sort_by_key(|a| a.at);
    if !options.top && since.is_none() {
        all.drain(..all.len().saturating_sub(DEFAULT_SHOWN));
    }
    let all = all.make_contiguous();
    let written = match options.top {
        true => print_request_counts(all, options.json),
        false => all.iter().try_for_each(|a| print_request(a, options.json)),
    };
    ignore_closed_pipe(written)
}

/// Finds the routes to an application or a service.
async fn find_app_routes(fleet: &FleetContext, app: &str) -> Result<AppRoutes> {
    let manager = fleet.nodes.find_manager().await?;
    let swarm = manager.docker.query_swarm().await?;
    let named: Vec<_> = swarm
        .services
        .iter()
        .filter(|s| s.stack.as_deref() == Some(app) || s.name == app)
        .collect();
    if named.is_empty() {
        let services = swarm.services.iter();
        let names = services.flat_map(|s| s.stack.as_deref().into_iter().chain([s.name.as_str()]));
        return Err(matou_config::unknown_name(tr!("application or service"), app, names).into());
    }
    AppRoutes::from_services(app, &named).ok_or_else(|| {
        eyre!("{}", tr!("no router of the edge leads to {app}: it has no domain, so nothing is logged for it"))
    })
}

/// Prints requests until the log ends, Ctrl-C is pressed, or nobody reads the output.
async fn print_followed_requests(
    arriving: &mut mpsc::Receiver<AccessNews>,
    wanted: impl Fn(&AccessRecord) -> bool,
    json: bool,
) -> Result<ExitCode> {
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let news = tokio::select! {
            news = arriving.recv() => news,
            _ = &mut interrupted => return Ok(Exit::Cancelled.into()),
        };
        match news {
            None => return Ok(Exit::Done.into()),
            Some(AccessNews::Note(text)) => errln!("{text}"),
            Some(AccessNews::Requests(requests)) => {
                let mut fit = requests.iter().filter(|a| wanted(a));
                if let Err(e) = fit.try_for_each(|a| print_request(a, json)) {
                    return ignore_closed_pipe(Err(e));
                }
            }
        }
    }
}

fn print_request(access: &AccessRecord, json: bool) -> std::io::Result<()> {
    match json {
        true => matou_base::out::print_json_line(access),
        false => outln!("{}", access.to_line()),
    }
}

fn print_request_counts(all: &[AccessRecord], json: bool) -> std::io::Result<()> {
    let class = |digit: u16| all.iter().filter(|a| a.status / 100 == digit).count();
    let slowest = all.iter().map(|a| a.duration).max().unwrap_or_default();
    let counted = AccessCounts {
        requests: all.len(),
        answers: [
            ("2xx", class(2)),
            ("3xx", class(3)),
            ("4xx", class(4)),
            ("5xx", class(5)),
        ]
        .into(),
        slowest_micros: u64::try_from(slowest.as_micros()).unwrap_or(u64::MAX),
        paths: most_frequent_counts(all.iter().map(AccessRecord::path_without_query)),
        addresses: most_frequent_counts(all.iter().map(|a| &*a.client)),
    };
    if json {
        return matou_base::out::print_json_pretty(&counted);
    }
    let answers = counted.answers.iter();
    let answers: Vec<_> = answers.map(|(class, n)| format!("{n} {class}")).collect();
    outln!(
        "{}",
        tr!(
            "{} requests: {}; the slowest took {}",
            counted.requests,
            answers.join(", "),
            format_short_duration(slowest)
        )
    )?;
    for (title, list) in [
        (tr!("paths"), counted.paths),
        (tr!("addresses"), counted.addresses),
    ] {
        outln!("{title}")?;
        for NamedCount { name, requests } in list {
            outln!("{requests:>7} {name}")?;
        }
    }
    Ok(())
}

/// Takes a closed pipe for success.
fn ignore_closed_pipe(written: std::io::Result<()>) -> Result<ExitCode> {
    match written {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(Exit::Done.into()),
    }
}
