//! `matou backup`, `matou repo`, `matou snapshots`.

use matou_i18n::{tr, trn};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use color_eyre::eyre::{Result, eyre};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::complete::{Names, complete};
use super::{Exit, job};
use matou_backup::{BackupError, BackupResult, NightlyBackup};
use matou_base::outln;
use matou_base::text::InvalidInput;
use matou_base::text::{clean_line, format_age, format_ago, human_bytes};
use matou_model::Role;
use matou_ops as ops;
use matou_ops::{CheckData, FleetContext, RepoWork, Request};
use matou_stack::AppName;

/// What is done with repositories.
#[derive(Debug, Subcommand)]
pub(crate) enum RepoCommand {
    /// Make the repositories of config.toml that are not there yet
    Init {
        #[command(flatten)]
        which: RepoOptions,
    },
    /// Check the structure of the repositories, and their data as far as asked for
    Check {
        /// Read all data; it takes as long as restoring everything
        #[arg(long)]
        all_data: bool,
        /// Read one part of so many of the data
        #[arg(long, value_name = "PART/OF", value_parser = parse_check_part, conflicts_with = "all_data")]
        part: Option<(u32, u32)>,
        #[command(flatten)]
        which: RepoOptions,
    },
    /// Remove locks that killed runs left behind
    Unlock {
        /// Locks of whoever works there now too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        key: RemovalOptions,
        #[command(flatten)]
        which: RepoOptions,
    },
    /// Forget the snapshots that keep_daily and the like do not keep
    Forget {
        #[command(flatten)]
        key: RemovalOptions,
        #[command(flatten)]
        which: RepoOptions,
    },
    /// Remove data that no snapshot needs any more
    Prune {
        #[command(flatten)]
        key: RemovalOptions,
        #[command(flatten)]
        which: RepoOptions,
    },
    /// Try what a thief would who broke into the fleet: to delete and overwrite a tiny snapshot of
    /// its own. Ends with 1 when a repository that is append_only could be harmed
    Attack {
        #[command(flatten)]
        which: RepoOptions,
    },
    /// Fill the copies from the first repository
    Copy {
        #[command(flatten)]
        which: RepoOptions,
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
pub(crate) struct RemovalOptions {
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
pub(crate) struct RepoOptions {
    /// Only this repository: `main`, or the name of a copy
    #[arg(long, value_name = "NAME", add = complete(Names::Repositories))]
    repository: Option<String>,
    #[command(flatten)]
    options: job::JobOptions,
}

fn parse_check_part(text: &str) -> Result<(u32, u32), InvalidInput> {
    let parts = text.split_once('/').and_then(|(part, of)| {
        let (part, of) = (part.parse().ok()?, of.parse().ok()?);
        (1..=of).contains(&part).then_some((part, of))
    });
    parts.ok_or_else(|| tr!("expected a part of all, as 3/12").into())
}

pub(super) async fn run_repo_command(
    fleet: &FleetContext,
    command: &RepoCommand,
) -> Result<ExitCode> {
    let none = RemovalOptions::default();
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
        RepoCommand::Stats { json } => return print_repository_stats(fleet, *json).await,
    };
    let repository = which.repository.clone().unwrap_or_default();
    let request = Request::Repo {
        what,
        repository,
        with: key.with.clone(),
        accept: key.accept.clone(),
    };
    job::run_request(fleet, request, &which.options).await
}

async fn print_repository_stats(fleet: &FleetContext, json: bool) -> Result<ExitCode> {
    let states = ops::query_repository_states(fleet).await?;
    let schedule = read_nightly_backup(fleet).await;
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
        matou_base::out::print_json_line(
            &serde_json::json!({ "format": matou_base::out::JSON_FORMAT, "repositories": all, "schedule": schedule.ok() }),
        )?;
    } else {
        for (name, state) in &states {
            match state {
                Ok(s) => {
                    outln!(
                        "{}",
                        tr!(
                            "{name:<10} {}: {} snapshots, {}, restic {}{}",
                            s.location,
                            s.snapshots,
                            human_bytes(s.size),
                            s.restic,
                            match s.append_only {
                                true => tr!(", append-only"),
                                false => "",
                            }
                        )
                    )?;
                    for lock in &s.locks {
                        outln!(
                            "{}",
                            tr!(
                                "{:<10} locked by process {} on {}, {} old{}",
                                "",
                                lock.pid,
                                clean_line(&lock.hostname),
                                format_age(now, lock.time),
                                match lock.is_stale(now) {
                                    true => tr!(": stale, `matou repo unlock` removes it"),
                                    false => "",
                                }
                            )
                        )?;
                    }
                }
                Err(e) => {
                    failed = true;
                    matou_base::out::print_hanging(format_args!("{name:<10} {e}"))?;
                }
            }
        }
        match schedule {
            Ok(schedule) => print_nightly_backup(&schedule, now)?,
            Err(e) => matou_base::out::print_hanging(tr!("the timer can't be read: {e}"))?,
        }
    }
    let is_unreachable =
        |state: &Result<_, BackupError>| state.as_ref().is_err_and(BackupError::is_unreachable);
    Ok(match failed {
        true if states.iter().all(|(_, s)| is_unreachable(s)) => Exit::Unreachable.into(),
        true => Exit::Failed.into(),
        false => Exit::Done.into(),
    })
}

async fn read_nightly_backup(fleet: &FleetContext) -> Result<NightlyBackup> {
    let manager = fleet.nodes.iter().find(|n| n.config.role == Role::Manager);
    let manager = manager.ok_or_else(|| eyre!("{}", tr!("config.toml names no manager")))?;
    Ok(NightlyBackup::load(&manager.host).await?)
}

fn print_nightly_backup(schedule: &NightlyBackup, now: Timestamp) -> std::io::Result<()> {
    if !schedule.active {
        outln!(
            "{}",
            tr!("no timer runs: `matou provision --only backup` makes it")
        )?;
    }
    if let Some(last) = &schedule.last {
        matou_base::out::print_hanging(tr!(
            "last night {}: {}",
            format_ago(now, last.started),
            last.summary_line()
        ))?;
        for note in &last.notes {
            outln!("           {}", clean_line(note))?;
        }
    }
    if schedule.missed {
        outln!(
            "{}",
            tr!("a night was MISSED: `matou journal` of the manager, unit matou-backup, tells why")
        )?;
    }
    if schedule.running {
        outln!("{}", tr!("it runs now"))?;
    } else if let Some(next) = schedule.next {
        outln!("{}", tr!("next {}", next.strftime("%F %R UTC")))?;
    }
    Ok(())
}

/// Carries out `matou backup`: applications, or the whole night as the timer runs it.
pub(super) async fn run_backup_command(
    fleet: &FleetContext,
    apps: &[AppName],
    scheduled: bool,
    options: &job::JobOptions,
) -> Result<ExitCode> {
    if scheduled {
        return run_scheduled_backup(fleet, options).await;
    }
    let apps = apps.to_vec();
    job::run_request_at_once(fleet, Request::Backup { apps }, options).await
}

/// Runs the nightly backup, for the timer. Fails when its report says so.
async fn run_scheduled_backup(fleet: &FleetContext, options: &job::JobOptions) -> Result<ExitCode> {
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
            job::show_event(&event, options)?;
        }
        Ok::<_, color_eyre::Report>(())
    };
    let night = async {
        // Before it: they may be what fills the disk.
        if let Err(e) = ops::remove_left_rehearsals(fleet, &events, &cancel).await {
            matou_base::out::note_hanging(tr!(
                "warning: what rehearsals have left is not removed: {e}"
            ));
        }
        ops::run_nightly_backup(fleet, events, cancel.clone()).await
    };
    let (report, printed) = tokio::join!(night, printing);
    printed?;
    match options.wants_json() {
        true => matou_base::out::print_json_line(&report)?,
        false => matou_base::out::print_hanging(format_args!("{}", report.summary_line()))?,
    }
    if fleet.config.updates.rehearse_nightly && report.result != BackupResult::Failed {
        rehearse_patch_releases(fleet, cancel, options).await?;
    }
    stop.abort();
    Ok(match report.result {
        BackupResult::Failed => Exit::Failed.into(),
        BackupResult::Done | BackupResult::Warning => Exit::Done.into(),
    })
}

/// Rehearses newer patch releases and prints what came of them. The night is no worse for it.
async fn rehearse_patch_releases(
    fleet: &FleetContext,
    cancel: CancellationToken,
    options: &job::JobOptions,
) -> Result<()> {
    let (events, mut arriving) = mpsc::channel(256);
    let printing = async {
        while let Some(event) = arriving.recv().await {
            job::show_event(&event, options)?;
        }
        Ok::<_, color_eyre::Report>(())
    };
    let rehearsals = ops::run_nightly_rehearsals(fleet, events, cancel);
    let (found, printed) = tokio::join!(rehearsals, printing);
    printed?;
    let (found, left) = match found {
        Ok(found) => found,
        Err(e) => {
            matou_base::out::note_hanging(tr!("warning: nothing is rehearsed: {e}"));
            return Ok(());
        }
    };
    if options.wants_json() {
        let night = serde_json::json!({ "rehearsals": found, "left": left });
        matou_base::out::print_json_line(&night)?;
        return Ok(());
    }
    let now = Timestamp::now();
    for night in &found {
        let app = clean_line(&night.app);
        matou_base::out::print_hanging(format_args!("{app}: {}", night.describe(now)))?;
    }
    if left > 0 {
        matou_base::out::print_hanging(trn!(
            left,
            "{n} application is left for the next night",
            "{n} applications are left for the next night"
        ))?;
    }
    Ok(())
}

pub(super) async fn run_snapshots_command(
    fleet: &FleetContext,
    app: Option<&str>,
    json: bool,
) -> Result<ExitCode> {
    let all = ops::list_primary_snapshots(fleet, app).await?;
    if json {
        matou_base::out::print_json_line(&all)?;
        return Ok(Exit::Done.into());
    }
    for listed in &all {
        outln!("{}", format_listed_snapshot(listed))?;
    }
    match app {
        _ if !all.is_empty() => {}
        None => outln!("{}", tr!("there is no snapshot yet"))?,
        Some(app) => {
            ops::check_app_was_known(fleet, app).await?;
            outln!("{}", tr!("there is no snapshot of {app} yet"))?;
        }
    }
    Ok(Exit::Done.into())
}

fn format_listed_snapshot(listed: &ops::ListedSnapshot) -> String {
    let s = &listed.snapshot;
    let of = match (s.app(), s.tag_value(tr!("fleet"))) {
        (Some(app), _) => app.to_owned(),
        (_, Some(fleet)) => tr!("the fleet {fleet}"),
        _ if s.tags.is_empty() => s.paths.join(", "),
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
    if s.is_foreign() {
        line = tr!("{}  not made by matou, on {}", line.trim_end(), s.hostname);
    } else if let Some(fleet) = &listed.other_fleet {
        line = tr!("{}  of {fleet}", line.trim_end());
    }
    if listed.ahead {
        line = tr!(
            "{}  dated in the future: a clock was wrong",
            line.trim_end()
        );
    }
    clean_line(&line).trim_end().to_owned()
}
