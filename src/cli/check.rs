//! `matou check`: what the console would alert of, once, for scripts.

use matou_i18n::{tr, trn};
use std::process::ExitCode;

use color_eyre::eyre::Result;
use jiff::Timestamp;
use serde::Serialize;

use super::look::take_look;
use super::telling::{find_receivers, monitor_store, tell_all};
use super::{Exit, digest};
use matou_base::errln;
use matou_base::out::WithFormat;
use matou_base::outln;
use matou_base::text::{clean_line, format_age, format_seconds};
use matou_config::DigestInterval;
use matou_model::Fleet;
use matou_monitor as monitor;
use matou_monitor::{Alert, AlertSeverity, TellMessage};
use matou_ops::{FleetContext, TellReceiver};

/// How it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckFormat {
    Text,
    Json,
    /// Prometheus' text format.
    Metrics,
}

impl CheckFormat {
    /// Returns the format that the flags ask for.
    pub(crate) fn of_flags(json: bool, metrics: bool) -> Self {
        match (json, metrics) {
            (true, _) => Self::Json,
            (_, true) => Self::Metrics,
            _ => Self::Text,
        }
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct CheckReport<'a> {
    fleet: &'a str,
    at: Timestamp,
    /// No alert that is not silenced.
    well: bool,
    alerts: &'a [Alert],
}

/// Those whom `--tell` is for, when it was given.
fn find_receivers_if(tell: bool, cx: &FleetContext) -> Result<Vec<TellReceiver>> {
    match tell {
        true => find_receivers(cx),
        false => Ok(Vec::new()),
    }
}

/// Carries out `matou check`: reads everything once and prints what is wrong.
///
/// # Errors
/// The authority's file of `[edge]` can't be read, or the result can't be printed.
pub(crate) async fn run_check_command(
    cx: &FleetContext,
    form: CheckFormat,
    tell: bool,
) -> Result<ExitCode> {
    let receivers = find_receivers_if(tell, cx)?;
    let store = monitor_store(cx)?;
    let look = take_look(cx, &store, tell).await?;
    let (fleet, alerts, now) = (&look.fleet, &look.alerts, look.now);
    let well = alerts.iter().all(|a| a.silence.is_some());
    let all_told = receivers.is_empty() || tell_all(cx, &store, &receivers, &look).await?;
    print_found(cx, fleet, form, alerts, now)?;
    // A check works also when its memory can't be written.
    if let Err(e) = &look.kept {
        errln!(
            "{}",
            tr!("warning: since when it is so is not remembered for the next time: {e}")
        );
    }
    Ok(match (fleet.swarm.value(), well && all_told) {
        (None, _) => Exit::Unreachable.into(),
        (Some(_), true) => Exit::Done.into(),
        (Some(_), false) => Exit::Failed.into(),
    })
}

/// Carries out `matou check --digest`: prints the digest as it would be sent now, and with `tell` sends it, whether
/// one is due or not.
///
/// # Errors
/// With `tell` there is no receiver, or a file of `[receivers]` can't be read; or it can't be printed.
pub(super) async fn run_digest_command(
    cx: &FleetContext,
    form: CheckFormat,
    tell: bool,
) -> Result<ExitCode> {
    let receivers = find_receivers_if(tell, cx)?;
    let store = monitor_store(cx)?;
    let look = take_look(cx, &store, false).await?;
    let schedule = cx.config.receivers.digest.as_ref();
    let interval = schedule.map_or(DigestInterval::Weekly, |s| s.interval);
    let made = digest::build_digest(cx, &look, interval).await;
    match form {
        CheckFormat::Json => matou_base::out::print_json_pretty(&WithFormat::new(&made))?,
        _ => {
            outln!("{}", made.title)?;
            matou_base::out::print_block(&made.text())?;
        }
    }
    let mut all_took_it = true;
    for receiver in &receivers {
        all_took_it &= digest::send_digest(receiver, &made).await;
    }
    Ok(match (look.fleet.swarm.value(), all_took_it) {
        (None, _) => Exit::Unreachable.into(),
        (Some(_), true) => Exit::Done.into(),
        (Some(_), false) => Exit::Failed.into(),
    })
}

/// Prints what was found, in the form that was asked for.
fn print_found(
    cx: &FleetContext,
    fleet: &Fleet,
    form: CheckFormat,
    alerts: &[Alert],
    now: Timestamp,
) -> std::io::Result<()> {
    match form {
        CheckFormat::Metrics => {
            matou_base::out::print_block(&monitor::exposition::render_alert_metrics(alerts, now))?;
            let ages = monitor::backup_ages(fleet);
            matou_base::out::print_block(&monitor::exposition::render_backup_metrics(&ages))?;
            outln!("{}", monitor::exposition::END)?;
        }
        CheckFormat::Json => {
            let report = CheckReport {
                fleet: &fleet.name,
                at: now,
                well: alerts.iter().all(|a| a.silence.is_some()),
                alerts,
            };
            matou_base::out::print_json_pretty(&WithFormat::new(&report))?;
        }
        CheckFormat::Text => {
            print_alerts(fleet, alerts, now)?;
            super::status::warn_without_config(cx);
        }
    }
    Ok(())
}

/// Carries out `matou check --try-receivers`: sends each receiver a message, and says who took it.
///
/// # Errors
/// There is no receiver, a file of `[receivers]` can't be read, or the result can't be printed.
pub(crate) async fn try_receivers(cx: &FleetContext) -> Result<ExitCode> {
    let message = TellMessage::trial(&cx.config.fleet.name, Timestamp::now());
    let mut all_took_it = true;
    for receiver in find_receivers(cx)? {
        match receiver.tell(&message).await {
            Ok(()) => outln!(
                "{}",
                tr!(
                    "{}: it took the message; see whether it arrived",
                    receiver.name()
                )
            )?,
            Err(why) => {
                all_took_it = false;
                outln!("{}", tr!("{}: NOT TOLD: {why}", receiver.name()))?;
            }
        }
    }
    Ok(match all_took_it {
        true => Exit::Done.into(),
        false => Exit::Failed.into(),
    })
}

fn print_alerts(fleet: &Fleet, alerts: &[Alert], now: Timestamp) -> std::io::Result<()> {
    if alerts.is_empty() {
        let answer = trn!(
            fleet.probes.value().map_or(0, Vec::len),
            "{n} domain answers",
            "{n} domains answer"
        );
        return outln!(
            "{}",
            tr!(
                "{}: all is as it should be ({}; {answer}; whether servers differ from config.toml was not looked at: `matou provision --dry-run`)",
                clean_line(&fleet.name),
                trn!(fleet.nodes.len(), "{n} node", "{n} nodes")
            )
        );
    }
    for alert in alerts {
        let word = match (alert.severity, alert.silence) {
            (_, Some(_)) => tr!("ignored"),
            (AlertSeverity::Critical, None) => tr!("critical"),
            (AlertSeverity::Warning, None) => tr!("warning"),
        };
        let since = match alert.since.map(|t| format_age(now, t)) {
            None => String::new(),
            Some(age) if age == format_seconds(0) => tr!(" (just now)").into(),
            Some(age) => tr!(" (for {age})"),
        };
        let (what, why) = (clean_line(&alert.what), clean_line(&alert.why));
        outln!("{word:<9} {what}: {why}{since}")?;
    }
    Ok(())
}
