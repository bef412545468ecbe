//! `matou backup`, `matou repo`, `matou snapshots`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use color_eyre::eyre::{Result, eyre};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Exit, job};
use crate::backup::{Ending, Schedule};
use crate::model::Role;
use crate::ops::{self, CheckData, Context, RepoWork, Request};
use crate::outln;
use crate::text::{age, ago, clean, human_bytes};

/// What is done with repositories.
#[derive(Debug, Subcommand)]
pub enum RepoCommand {
    /// Make the repositories of config.toml that are not there yet
    Init {
        #[command(flatten)]
        which: Which,
    },
    /// Check the structure of the repositories, and their data as far as asked for
    Check {
        /// Read all data; it takes as long as restoring everything
        #[arg(long)]
        all_data: bool,
        /// Read one part of so many of the data
        #[arg(long, value_name = "PART/OF", value_parser = part, conflicts_with = "all_data")]
        part: Option<(u32, u32)>,
        #[command(flatten)]
        which: Which,
    },
    /// Remove locks that killed runs left behind
    Unlock {
        /// Locks of whoever works there now too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        key: Key,
        #[command(flatten)]
        which: Which,
    },
    /// Forget the snapshots that keep_daily and its kin do not keep
    Forget {
        #[command(flatten)]
        key: Key,
        #[command(flatten)]
        which: Which,
    },
    /// Remove data that no snapshot needs any more
    Prune {
        #[command(flatten)]
        key: Key,
        #[command(flatten)]
        which: Which,
    },
    /// Try what a thief would who broke into the fleet: to delete and overwrite a tiny snapshot of
    /// its own. Ends with 1 when a repository that is append_only could be harmed
    Attack {
        #[command(flatten)]
        which: Which,
    },
    /// Fill the copies from the first repository
    Copy {
        #[command(flatten)]
        which: Which,
    },
    /// Print size, snapshots and locks of the repositories, and the last and the next night
    Stats {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What lets something be removed that is not removed else.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct Key {
    /// Run restic on this machine, with the NAME=VALUE lines of FILE beside the repository's own or
    /// in their place: credentials that may delete, and RESTIC_REPOSITORY when they go another way.
    /// No server sees them
    #[arg(long, value_name = "FILE", requires = "repository")]
    with: Option<PathBuf>,
    /// Take a decision that the plan asks for (`!`), by the name it gives
    #[arg(long, value_name = "DECISION")]
    accept: Vec<String>,
}

/// Which repository, and how.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Only this repository: `main`, or the name of a copy
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,
    #[command(flatten)]
    options: job::Options,
}

fn part(text: &str) -> Result<(u32, u32), String> {
    let parts = text.split_once('/').and_then(|(part, of)| {
        let (part, of) = (part.parse().ok()?, of.parse().ok()?);
        (1..=of).contains(&part).then_some((part, of))
    });
    parts.ok_or_else(|| "expected a part of all, as 3/12".into())
}

pub(super) async fn repo(cx: &Context, command: &RepoCommand) -> Result<ExitCode> {
    let none = Key::default();
    let (what, which, key) = match command {
        RepoCommand::Init { which } => (RepoWork::Init, which, &none),
        RepoCommand::Check {
            all_data,
            part,
            which,
        } => {
            let data = match (all_data, part) {
                (true, _) => CheckData::All,
                (_, Some((part, of))) => CheckData::Part {
                    part: *part,
                    of: *of,
                },
                _ => CheckData::None,
            };
            (RepoWork::Check { data }, which, &none)
        }
        RepoCommand::Unlock { all, key, which } => (RepoWork::Unlock { all: *all }, which, key),
        RepoCommand::Forget { key, which } => (RepoWork::Forget, which, key),
        RepoCommand::Prune { key, which } => (RepoWork::Prune, which, key),
        RepoCommand::Attack { which } => (RepoWork::Attack, which, &none),
        RepoCommand::Copy { which } => (RepoWork::Copy, which, &none),
        RepoCommand::Stats { json } => return stats(cx, *json).await,
    };
    let repository = which.repository.clone().unwrap_or_default();
    let request = Request::Repo {
        what,
        repository,
        with: key.with.clone(),
        accept: key.accept.clone(),
    };
    job::run(cx, request, &which.options).await
}

async fn stats(cx: &Context, json: bool) -> Result<ExitCode> {
    let states = ops::repositories(cx).await?;
    let schedule = schedule(cx).await;
    let mut failed = false;
    let now = Timestamp::now();
    if json {
        let all: Vec<serde_json::Value> = states
            .iter()
            .map(|(name, state)| match state {
                Ok(state) => serde_json::json!(state),
                Err(e) => serde_json::json!({ "name": name, "error": e.to_string() }),
            })
            .collect();
        failed = states.iter().any(|(_, s)| s.is_err());
        let schedule = schedule.map_err(|e| e.to_string());
        crate::out::json(&serde_json::json!({ "repositories": all, "schedule": schedule.ok() }))?;
    } else {
        for (name, state) in &states {
            match state {
                Ok(s) => {
                    outln!(
                        "{name:<10} {}: {} snapshots, {}, restic {}{}",
                        s.location,
                        s.snapshots,
                        human_bytes(s.size),
                        s.restic,
                        match s.append_only {
                            true => ", append-only",
                            false => "",
                        }
                    )?;
                    for lock in &s.locks {
                        outln!(
                            "{:<10} locked by process {} on {}, {} old{}",
                            "",
                            lock.pid,
                            clean(&lock.hostname),
                            age(now, lock.time),
                            match lock.is_stale(now) {
                                true => ": stale, `matou repo unlock` removes it",
                                false => "",
                            }
                        )?;
                    }
                }
                Err(e) => {
                    failed = true;
                    crate::out::hanging(format_args!("{name:<10} {e}"))?;
                }
            }
        }
        match schedule {
            Ok(schedule) => print_schedule(&schedule, now)?,
            Err(e) => crate::out::hanging(format_args!("the timer can't be read: {e}"))?,
        }
    }
    Ok(match failed {
        true => Exit::Failed.into(),
        false => Exit::Done.into(),
    })
}

async fn schedule(cx: &Context) -> Result<Schedule> {
    let manager = cx.nodes.iter().find(|n| n.config.role == Role::Manager);
    let manager = manager.ok_or_else(|| eyre!("config.toml names no manager"))?;
    Ok(Schedule::read(&manager.host).await?)
}

fn print_schedule(schedule: &Schedule, now: Timestamp) -> std::io::Result<()> {
    if !schedule.active {
        outln!("no timer runs: `matou provision --only backup` makes it")?;
    }
    if let Some(last) = &schedule.last {
        crate::out::hanging(format_args!(
            "last night {}: {}",
            ago(now, last.started),
            last.line()
        ))?;
        for note in &last.notes {
            outln!("           {}", clean(note))?;
        }
    }
    if schedule.missed {
        outln!("a night was MISSED: `matou journal` of the manager, unit matou-backup, tells why")?;
    }
    if schedule.running {
        outln!("it runs now")?;
    } else if let Some(next) = schedule.next {
        outln!("next {}", next.strftime("%F %R UTC"))?;
    }
    Ok(())
}

/// The nightly run, by the timer: its result is the report's.
pub(super) async fn scheduled(cx: &Context) -> Result<ExitCode> {
    let (events, mut arriving) = mpsc::channel(256);
    let cancel = CancellationToken::new();
    let stop = tokio::spawn({
        let cancel = cancel.clone();
        async move {
            let terminate =
                tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
            let Ok(mut terminate) = terminate else { return };
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            cancel.cancel();
        }
    });
    let printing = async {
        while let Some(event) = arriving.recv().await {
            job::show_event(&event, &job::Options::dry_run())?;
        }
        Ok::<_, color_eyre::Report>(())
    };
    let (report, printed) = tokio::join!(ops::night(cx, events, cancel), printing);
    stop.abort();
    printed?;
    crate::out::hanging(format_args!("{}", report.line()))?;
    Ok(match report.result {
        Ending::Failed => Exit::Failed.into(),
        Ending::Done | Ending::Warning => Exit::Done.into(),
    })
}

pub(super) async fn snapshots(cx: &Context, app: Option<&str>, json: bool) -> Result<ExitCode> {
    let all = ops::snapshots(cx, app).await?;
    if json {
        crate::out::json(&all)?;
        return Ok(Exit::Done.into());
    }
    for listed in &all {
        outln!("{}", line(listed))?;
    }
    if all.is_empty() {
        outln!("there is no snapshot yet")?;
    }
    Ok(Exit::Done.into())
}

fn line(listed: &ops::Listed) -> String {
    let s = &listed.snapshot;
    let of = match (s.app(), s.tag("fleet")) {
        (Some(app), _) => app.to_owned(),
        (_, Some(fleet)) => format!("the fleet {fleet}"),
        _ => format!("{} ({})", s.paths.join(", "), s.tags.join(", ")),
    };
    let size = s
        .summary
        .as_ref()
        .map_or_else(String::new, |s| human_bytes(s.total_bytes_processed));
    let mut line = format!(
        "{:<9} {}  {of:<24} {size}",
        s.short_id,
        s.time.strftime("%F %R UTC")
    );
    if let Some(fleet) = &listed.other_fleet {
        line = format!("{}  of {fleet}", line.trim_end());
    }
    if listed.ahead {
        line = format!(
            "{}  dated in the future: a clock was wrong",
            line.trim_end()
        );
    }
    clean(&line).trim_end().to_owned()
}
