//! `matou check`: what the console would alert of, once, for scripts.

use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::{Result, eyre};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;

use super::Exit;
use crate::collect::{Collectors, read_certificates, read_probes, read_told};
use crate::config::state_path;
use crate::model::{Datum, Fleet, Link, Node, Update};
use crate::monitor::{self, Alert, Engine, Facts, Severity, Store};
use crate::ops::Context;
use crate::text::{age, clean};
use crate::{errln, outln};

/// How long the slowest node is waited for.
const PATIENCE: Duration = Duration::from_secs(15);

/// Samples of a node's load: the first one is the average since it booted.
const SAMPLES: usize = 2;

/// How it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    Json,
    /// Prometheus' text format.
    Metrics,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    fleet: &'a str,
    at: Timestamp,
    /// Nothing is wrong that is not ignored.
    well: bool,
    alerts: &'a [Alert],
}

/// Looks at everything once and prints what is wrong.
///
/// # Errors
/// When the authority's file of `[edge]` can't be read, or what is wrong can't be printed.
pub async fn run(cx: &Context, form: Form) -> Result<ExitCode> {
    let store = Store::new(&state_path()?, &cx.config.fleet.name);
    let fleet = read(cx).await?;
    let now = Timestamp::now();
    let (_, trends) = store.history(now);
    let mut engine = Engine::once(store.ledger());
    let findings = monitor::findings(Facts {
        fleet: &fleet,
        limits: &cx.config.alerts,
        trends: &trends,
        drift: &[],
        backups: &monitor::ages(&fleet),
        now,
    });
    engine.look(findings, now);
    let kept = engine.take_changes().map_or(Ok(()), |l| store.keep(&l));
    let alerts = engine.alerts(now);
    let well = alerts.iter().all(|a| a.silence.is_some());
    if form == Form::Metrics {
        crate::out::block(&monitor::exposition::alerts(&alerts, now))?;
        let ages = monitor::ages(&fleet);
        crate::out::block(&monitor::exposition::backups(&ages))?;
        outln!("{}", monitor::exposition::END)?;
    } else if form == Form::Json {
        let report = Report {
            fleet: &fleet.name,
            at: now,
            well,
            alerts: &alerts,
        };
        crate::out::json_pretty(&report)?;
    } else {
        print(&fleet, &alerts, now)?;
    }
    // Remembering is no condition of looking.
    if let Err(e) = kept {
        errln!("warning: since when it is so is not remembered for the next time: {e}");
    }
    Ok(match (fleet.swarm.value(), well) {
        (None, _) => Exit::Unreachable.into(),
        (Some(_), true) => Exit::Done.into(),
        (Some(_), false) => Exit::Failed.into(),
    })
}

fn print(fleet: &Fleet, alerts: &[Alert], now: Timestamp) -> std::io::Result<()> {
    if alerts.is_empty() {
        let answers = fleet.probes.value().map_or(0, Vec::len);
        return outln!(
            "{}: all is as it should be ({} nodes, {answers} domains answer)",
            clean(&fleet.name),
            fleet.nodes.len(),
        );
    }
    for alert in alerts {
        let word = match (alert.severity, alert.silence) {
            (_, Some(_)) => "ignored",
            (Severity::Critical, None) => "critical",
            (Severity::Warning, None) => "warning",
        };
        let since = match alert.since.map(|t| age(now, t)) {
            None => String::new(),
            Some(age) if age == "now" => " (just now)".into(),
            Some(age) => format!(" (since {age})"),
        };
        let (what, why) = (clean(&alert.what), clean(&alert.why));
        outln!("{word:<9} {what}: {why}{since}")?;
    }
    Ok(())
}

/// Reads nodes and swarm as the console does, then asks every domain.
async fn read(cx: &Context) -> Result<Fleet> {
    let outside = cx.outside().map_err(|e| eyre!(e))?;
    let mut fleet = Fleet::new(&cx.config.fleet.name, cx.nodes.as_model());
    let (updates, mut arriving) = mpsc::channel(64);
    let _collectors = Collectors::start(&cx.nodes, None, Some(cx.config.clone()), updates);
    let certificates = read_certificates(&cx.nodes, &outside.edge);
    tokio::pin!(certificates);
    let deadline = tokio::time::sleep(PATIENCE);
    tokio::pin!(deadline);
    let mut served = None;
    // The collectors go on while domains are asked: a node's second sample takes its time.
    let probes = async {
        let manager = cx.nodes.manager().await.map_err(|e| e.to_string())?;
        let swarm = manager.docker.swarm().await.map_err(|e| e.to_string())?;
        let told = read_told(&cx.nodes, &swarm);
        let answers = read_probes(&swarm, &outside.edge, &outside.checks);
        Ok::<_, String>(tokio::join!(answers, told))
    };
    tokio::pin!(probes);
    let mut answers = None;
    loop {
        let saved = cx.config.backup.primary().is_none()
            || fleet.snapshots.value().is_some()
            || fleet.snapshots.error().is_some();
        let complete = saved
            && fleet.nodes.iter().all(is_read)
            && (fleet.swarm.value().is_some() || fleet.swarm.error().is_some());
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
    // Without a swarm that is what is told, not that its applications could not be asked.
    if fleet.swarm.value().is_some() {
        let at = Timestamp::now();
        let (answers, told) = match answers {
            Some(Ok((answers, told))) => (Some(answers), Some(told)),
            Some(Err(reason)) => (Some(Err(reason)), None),
            None => (None, None),
        };
        for datum in [
            served.map(Datum::Certificates),
            answers.map(Datum::Probes),
            told.map(Datum::Told),
        ]
        .into_iter()
        .flatten()
        {
            fleet.apply(Update { at, datum });
        }
    }
    Ok(fleet)
}

fn is_read(node: &Node) -> bool {
    !node.configured
        || matches!(node.link, Link::Down { .. })
        || ((node.engine.value().is_some() || node.engine.error().is_some())
            && (node.history.len() >= SAMPLES || node.metrics.error().is_some()))
}
