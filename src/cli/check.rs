//! `matou check`: what the console would alert of, once, for scripts.

use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::{Result, eyre};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;

use super::Exit;
use matou_base::errln;
use matou_base::out::WithFormat;
use matou_base::outln;
use matou_base::text::{InvalidInput, SafeText};
use matou_base::text::{clean_line, format_age, format_plural};
use matou_collect::{
    ALERTMANAGER_LABEL, Collectors, NameCache, read_certificates, read_external_alerts, read_probes,
};
use matou_config::{Config, find_nearest_name, state_path};
use matou_host::Command;
use matou_model::{Datum, Fleet, Node, NodeLink, Reading, Update};
use matou_monitor as monitor;
use matou_monitor::{
    Alert, AlertEngine, AlertInputs, AlertSeverity, AlertSource, LookedAt, MonitorStore,
    TellMessage,
};
use matou_ops::{FleetContext, TellReceiver, list_tell_receivers};

/// How long the slowest node is waited for.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Samples of a node's load that are needed: the first one is an average since boot.
const NEEDED_SAMPLES: usize = 2;

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

/// Carries out `matou check`: reads everything once and prints what is wrong.
///
/// # Errors
/// The authority's file of `[edge]` can't be read, or the result can't be printed.
pub(crate) async fn run_check_command(
    cx: &FleetContext,
    form: CheckFormat,
    tell: bool,
) -> Result<ExitCode> {
    let receivers = match tell {
        true => find_receivers(cx)?,
        false => Vec::new(),
    };
    let store = MonitorStore::new(&state_path()?, &cx.config.fleet.name);
    let fleet = read_fleet_and_probes(cx).await?;
    let now = Timestamp::now();
    let trends = store.load_history(now).trends;
    let mut engine = AlertEngine::for_single_look(store.load_ledger());
    let findings = monitor::evaluate_rules(AlertInputs {
        fleet: &fleet,
        limits: &cx.config.alerts,
        trends: &trends,
        drift: &[],
        backups: &monitor::backup_ages(&fleet),
        now,
    });
    engine.take_findings(findings, now);
    let nodes = fleet.nodes.iter().filter(|n| n.configured);
    let nodes = nodes.map(|n| n.name.clone());
    let mut sources = nodes.flat_map(|n| [AlertSource::Load(n.clone()), AlertSource::Engine(n)]);
    let is_read = |source: &AlertSource| is_source_read(&cx.config, &fleet, source);
    if is_read(&AlertSource::Fleet)
        && is_read(&AlertSource::Backups)
        && is_read(&AlertSource::Jobs)
        && sources.all(|s| is_read(&s))
    {
        engine.end_unseen(now);
    }
    let kept = engine
        .take_changes()
        .map_or(Ok(()), |l| store.save_ledger(&l));
    let alerts = engine.alerts(now);
    let well = alerts.iter().all(|a| a.silence.is_some());
    let quiet = &cx.config.receivers.quiet;
    let looked = LookedAt {
        read: &is_read,
        quiet: quiet.as_ref().is_some_and(|q| q.covers(now)),
    };
    let all_told =
        receivers.is_empty() || tell_alerts(&store, &receivers, &fleet, &alerts, &looked).await?;
    if form == CheckFormat::Metrics {
        matou_base::out::print_block(&monitor::exposition::render_alert_metrics(&alerts, now))?;
        let ages = monitor::backup_ages(&fleet);
        matou_base::out::print_block(&monitor::exposition::render_backup_metrics(&ages))?;
        outln!("{}", monitor::exposition::END)?;
    } else if form == CheckFormat::Json {
        let report = CheckReport {
            fleet: &fleet.name,
            at: now,
            well,
            alerts: &alerts,
        };
        matou_base::out::print_json_pretty(&WithFormat::new(&report))?;
    } else {
        print_alerts(&fleet, &alerts, now)?;
        super::status::warn_without_config(cx);
    }
    // A check works also when its memory can't be written.
    if let Err(e) = kept {
        errln!("warning: since when it is so is not remembered for the next time: {e}");
    }
    Ok(match (fleet.swarm.value(), well && all_told) {
        (None, _) => Exit::Unreachable.into(),
        (Some(_), true) => Exit::Done.into(),
        (Some(_), false) => Exit::Failed.into(),
    })
}

/// Whether the file `$1` is not older than ten minutes, and of no time that is yet to come.
const IS_FRESH: &str = "[ -n \"$(find \"$1\" -mmin -10 ! -newermt '+1 minute' 2>/dev/null)\" ]";

/// Returns the first of these nodes whose timer has told within ten minutes.
///
/// # Errors
/// One of them is no node of config.toml.
pub(crate) async fn find_teller<'a>(
    cx: &FleetContext,
    nodes: &'a [String],
) -> Result<Option<&'a str>> {
    let all = || cx.nodes.iter().map(|n| n.config.name.as_str());
    for name in nodes {
        let Some(node) = cx.nodes.iter().find(|n| n.config.name == *name) else {
            let near = find_nearest_name(name, all())
                .map_or_else(String::new, |n| format!("; did you mean {n:?}?"));
            let message = format!("there is no node {name:?}{near}");
            return Err(InvalidInput::new(message).into());
        };
        let asked = Command::sh(IS_FRESH)
            .arg(monitor::TOLD_MARK)
            .sudo()
            .timeout(Duration::from_secs(20))
            .label("whether it tells");
        if node.host.run_ok(&asked).await.is_ok() {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Whether the stack monitoring tells: its Alertmanager is there, and answers.
fn is_told_by_monitoring(fleet: &Fleet) -> bool {
    let services = fleet.swarm.value().map(|s| s.services.as_slice());
    let is_there = services
        .unwrap_or_default()
        .iter()
        .any(|s| s.labels.contains_key(ALERTMANAGER_LABEL));
    is_there && fleet.told.value().is_some() && fleet.told.error().is_none()
}

/// Returns those whom `--tell` is for.
fn find_receivers(cx: &FleetContext) -> Result<Vec<TellReceiver>> {
    let receivers = list_tell_receivers(&cx.config)?;
    if receivers.is_empty() {
        return Err(InvalidInput::new(
            "there is nobody to tell: name an address, a topic or a webhook in [receivers] of config.toml; config.example.toml shows how",
        )
        .into());
    }
    Ok(receivers)
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
                "{}: it took the message; see whether it arrived",
                receiver.name()
            )?,
            Err(why) => {
                all_took_it = false;
                outln!("{}: NOT TOLD: {why}", receiver.name())?;
            }
        }
    }
    Ok(match all_took_it {
        true => Exit::Done.into(),
        false => Exit::Failed.into(),
    })
}

/// Tells each receiver what it does not know yet. Returns whether all of them took it.
async fn tell_alerts(
    store: &MonitorStore,
    receivers: &[TellReceiver],
    fleet: &Fleet,
    alerts: &[Alert],
    looked: &LookedAt<'_>,
) -> Result<bool> {
    let store = store.told_store();
    let is_told = is_told_by_monitoring(fleet);
    let receivers: Vec<_> = receivers
        .iter()
        .filter(|r| !(is_told && r.is_known_to_alertmanager()))
        .collect();
    if receivers.is_empty() {
        errln!("the stack monitoring tells the same receivers: nothing is told here");
        store.mark();
        return Ok(true);
    }
    let kept = |e| eyre!("what was told can't be kept, so nothing is told: {e}");
    let Some(_lock) = store.lock().map_err(kept)? else {
        errln!("another `matou check --tell` of this user is at it: nothing is told here");
        return Ok(true);
    };
    let mut told = store.load();
    // Written once before: where nothing can be kept, the same would be told every time.
    store.save(&told).map_err(kept)?;
    let mut refused = 0;
    for receiver in &receivers {
        let name = receiver.name();
        let before = told.get(name).cloned().unwrap_or_default();
        let (message, after) = before.take_look(&fleet.name, alerts, looked, Timestamp::now());
        let taken = match &message {
            None => Ok(()),
            Some(message) => receiver.tell(message).await,
        };
        match taken {
            Ok(()) => {
                if let Some(message) = &message {
                    let news = format_plural(message.alerts.len(), "alert");
                    errln!("{name} was told of {news}");
                }
                told.insert(name.to_owned(), after);
                // At once: who is told twice because the next one hung trusts it less.
                store.save(&told).map_err(kept)?;
            }
            Err(why) => {
                refused += 1;
                errln!("{name} was not told: {why}");
            }
        }
    }
    // Where none can be reached from here, another manager may reach them.
    if refused < receivers.len() {
        store.mark();
    }
    Ok(refused == 0)
}

fn print_alerts(fleet: &Fleet, alerts: &[Alert], now: Timestamp) -> std::io::Result<()> {
    if alerts.is_empty() {
        let answer = match fleet.probes.value().map_or(0, Vec::len) {
            1 => "1 domain answers".to_owned(),
            n => format!("{n} domains answer"),
        };
        return outln!(
            "{}: all is as it should be ({}; {answer}; whether servers differ from config.toml was not looked at: `matou provision --dry-run`)",
            clean_line(&fleet.name),
            format_plural(fleet.nodes.len(), "node"),
        );
    }
    for alert in alerts {
        let word = match (alert.severity, alert.silence) {
            (_, Some(_)) => "ignored",
            (AlertSeverity::Critical, None) => "critical",
            (AlertSeverity::Warning, None) => "warning",
        };
        let since = match alert.since.map(|t| format_age(now, t)) {
            None => String::new(),
            Some(age) if age == "now" => " (just now)".into(),
            Some(age) => format!(" (for {age})"),
        };
        let (what, why) = (clean_line(&alert.what), clean_line(&alert.why));
        outln!("{word:<9} {what}: {why}{since}")?;
    }
    Ok(())
}

/// Reads nodes and swarm as the console does, then asks every domain.
async fn read_fleet_and_probes(cx: &FleetContext) -> Result<Fleet> {
    let outside = cx.probe_settings().map_err(|e| eyre!(e))?;
    let mut fleet = Fleet::new(&cx.config.fleet.name, cx.nodes.as_model());
    let (updates, mut arriving) = mpsc::channel(64);
    let _collectors = Collectors::start(&cx.nodes, None, Some(cx.config.clone()), updates);
    let certificates = read_certificates(&cx.nodes, &outside.edge);
    tokio::pin!(certificates);
    let deadline = tokio::time::sleep(READ_TIMEOUT);
    tokio::pin!(deadline);
    let mut served = None;
    // The collectors go on while domains are asked: a node's second sample takes its time.
    let probes = async {
        let manager = cx.nodes.find_manager().await.map_err(|e| e.to_string())?;
        let swarm = manager
            .docker
            .query_swarm()
            .await
            .map_err(|e| e.to_string())?;
        let told = read_external_alerts(&cx.nodes, &swarm);
        let answers = read_probes(&swarm, &outside.edge, &outside.checks);
        Ok::<_, String>(tokio::join!(answers, told))
    };
    tokio::pin!(probes);
    let mut answers = None;
    loop {
        let saved = cx.config.backup.primary_repository().is_none()
            || (is_told_of(&fleet.snapshots) && is_told_of(&fleet.backups));
        let complete = saved
            && is_told_of(&fleet.app_jobs)
            && fleet.nodes.iter().all(is_node_read)
            && is_told_of(&fleet.swarm);
        if complete && served.is_some() && answers.is_some() {
            break;
        }
        tokio::select! {
            Some(update) = arriving.recv() => fleet.apply(update),
            reading = &mut certificates, if served.is_none() => served = Some(reading),
            reading = &mut probes, if answers.is_none() => answers = Some(reading),
            () = &mut deadline, if !complete => break,
        }
    }
    if let Some(swarm) = fleet.swarm.value() {
        NameCache::of_config(&cx.config).keep_swarm(swarm);
    }
    // Without a swarm, only that is reported, not that its applications can't be probed.
    if fleet.swarm.value().is_some() {
        let at = Timestamp::now();
        let (answers, told) = match answers {
            Some(Ok((answers, told))) => (Some(answers.map_err(SafeText::of)), Some(told)),
            Some(Err(e)) => (Some(Err(SafeText::of(e))), None),
            None => (None, None),
        };
        for datum in [
            served.map(|read| Datum::Certificates(read.map_err(SafeText::of))),
            answers.map(Datum::Probes),
            told.map(|read| Datum::ExternalAlerts(read.map_err(SafeText::of))),
        ]
        .into_iter()
        .flatten()
        {
            fleet.apply(Update { at, datum });
        }
    }
    Ok(fleet)
}

/// Whether a reading was tried.
fn is_told_of<T>(reading: &Reading<T>) -> bool {
    reading.value().is_some() || reading.error().is_some()
}

/// Whether what alerts come from was read in this look.
fn is_source_read(config: &Config, fleet: &Fleet, source: &AlertSource) -> bool {
    let node = |name: &str| {
        let node = fleet.nodes.iter().find(|n| n.name == name);
        node.filter(|n| n.configured)
    };
    match source {
        AlertSource::Fleet => {
            fleet.swarm.value().is_some()
                && fleet.probes.value().is_some()
                && fleet.certificates.value().is_some()
        }
        AlertSource::Jobs => fleet.app_jobs.value().is_some() && fleet.app_jobs.error().is_none(),
        AlertSource::Backups if config.backup.primary_repository().is_none() => true,
        AlertSource::Backups => {
            let read = fleet.snapshots.value().is_some() && fleet.backups.value().is_some();
            read && fleet.snapshots.error().is_none() && fleet.backups.error().is_none()
        }
        AlertSource::Load(name) => node(name).is_none_or(|n| {
            !matches!(n.link, NodeLink::Down { .. })
                && n.history.len() >= NEEDED_SAMPLES
                && n.metrics.error().is_none()
        }),
        AlertSource::Engine(name) => {
            node(name).is_none_or(|n| !matches!(n.link, NodeLink::Down { .. }) && is_node_read(n))
        }
    }
}

fn is_node_read(node: &Node) -> bool {
    !node.configured
        || matches!(node.link, NodeLink::Down { .. })
        || ((node.engine.value().is_some() || node.engine.error().is_some())
            && (node.history.len() >= NEEDED_SAMPLES || node.metrics.error().is_some()))
}
