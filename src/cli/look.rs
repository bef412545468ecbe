//! What `matou check` looks at: nodes and swarm as the console reads them, what domains answer, when they end; and what
//! is wrong with it.

use std::time::Duration;

use color_eyre::eyre::{Result, eyre};
use jiff::Timestamp;
use tokio::sync::mpsc;

use matou_base::text::SafeText;
use matou_collect::{Collectors, NameCache, read_certificates, read_external_alerts, read_probes};
use matou_config::Config;
use matou_model::{Datum, Fleet, Node, NodeLink, Reading, RegisteredDomain, Update};
use matou_monitor as monitor;
use matou_monitor::{Alert, AlertEngine, AlertInputs, AlertSource, LoadHistory, MonitorStore};
use matou_ops::FleetContext;

/// How long the slowest node is waited for.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// Samples of a node's load that are needed: the first one is an average since boot.
const NEEDED_SAMPLES: usize = 2;

/// All that one look found.
pub(super) struct Look {
    pub(super) fleet: Fleet,
    pub(super) alerts: Vec<Alert>,
    pub(super) loads: LoadHistory,
    pub(super) now: Timestamp,
    /// Whether it is remembered since when it is so.
    pub(super) kept: std::io::Result<()>,
}

/// Reads everything once, and finds what is wrong. With `is_watching` loads are kept, for how disks fill.
pub(super) async fn take_look(
    cx: &FleetContext,
    store: &MonitorStore,
    is_watching: bool,
) -> Result<Look> {
    let mut fleet = read_fleet_and_probes(cx).await?;
    if let Some(swarm) = fleet.swarm.value() {
        let read = matou_ops::read_registered_domains(cx, swarm).await;
        let datum = Datum::Domains(read.map_err(SafeText::of));
        let at = Timestamp::now();
        fleet.apply(Update { at, datum });
    }
    let now = Timestamp::now();
    if is_watching {
        keep_loads(store, &fleet, now);
    }
    let history = store.load_history(now);
    let mut engine = AlertEngine::for_single_look(store.load_ledger());
    let mut findings = monitor::evaluate_rules(AlertInputs {
        fleet: &fleet,
        limits: &cx.config.alerts,
        trends: &history.trends,
        drift: &[],
        backups: &monitor::backup_ages(&fleet),
        now,
    });
    findings.extend(super::dns::find_dns_findings(cx).await);
    engine.take_findings(findings, now);
    let nodes = fleet
        .nodes
        .iter()
        .filter(|n| n.configured)
        .map(|n| n.name.clone());
    let mut sources = nodes.flat_map(|n| [AlertSource::Load(n.clone()), AlertSource::Engine(n)]);
    let is_read = |source: &AlertSource| is_source_read(&cx.config, &fleet, source);
    if is_read(&AlertSource::Fleet)
        && is_read(&AlertSource::Backups)
        && is_read(&AlertSource::Jobs)
        && is_read(&AlertSource::Sizes)
        && sources.all(|s| is_read(&s))
    {
        // A registry that never answers keeps back what is told of its own domains alone.
        engine.end_unseen(now, |key| {
            AlertSource::of_key(key).is_none_or(|source| is_read(&source))
        });
    }
    let kept = engine
        .take_changes()
        .map_or(Ok(()), |l| store.save_ledger(&l));
    Ok(Look {
        alerts: engine.alerts(now),
        loads: history.loads,
        fleet,
        now,
        kept,
    })
}

/// Keeps the nodes' loads, as an open console does: how disks fill is seen where nobody looks. A full disk keeps
/// nothing.
fn keep_loads(store: &MonitorStore, fleet: &Fleet, now: Timestamp) {
    let Ok(Some(mut recorder)) = store.open_recorder() else {
        return;
    };
    for node in fleet.nodes.iter().filter(|n| n.metrics.error().is_none()) {
        let Some(metrics) = node.metrics.value() else {
            continue;
        };
        let datum = Datum::Metrics {
            node: node.name.clone(),
            reading: Ok(*metrics),
        };
        let _ = recorder.record_update(&Update { at: now, datum });
    }
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
            && is_told_of(&fleet.sizes)
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
pub(super) fn is_source_read(config: &Config, fleet: &Fleet, source: &AlertSource) -> bool {
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
        AlertSource::Sizes => fleet.sizes.value().is_some() && fleet.sizes.error().is_none(),
        AlertSource::Backups if config.backup.primary_repository().is_none() => true,
        AlertSource::Backups => {
            let read = fleet.snapshots.value().is_some() && fleet.backups.value().is_some();
            read && fleet.snapshots.error().is_none() && fleet.backups.error().is_none()
        }
        AlertSource::Domain(name) => is_domain_read(fleet, name),
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

/// Whether it is known when a domain ends, or no application has a name under it any more.
fn is_domain_read(fleet: &Fleet, name: &str) -> bool {
    let domains = &fleet.domains;
    let Some(all) = domains.value().filter(|_| domains.error().is_none()) else {
        return false;
    };
    // Where nobody was asked yet, or does not answer, the list has another part of the same name.
    let is_unknown = |d: &RegisteredDomain| d.expiry.is_err() && d.is_in_line_with(name);
    !all.iter().any(is_unknown)
}

fn is_node_read(node: &Node) -> bool {
    !node.configured
        || matches!(node.link, NodeLink::Down { .. })
        || ((node.engine.value().is_some() || node.engine.error().is_some())
            && (node.history.len() >= NEEDED_SAMPLES || node.metrics.error().is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use matou_model::DomainExpiry;

    fn domain(name: &str, is_known: bool) -> RegisteredDomain {
        let expiry = DomainExpiry {
            at: Timestamp::UNIX_EPOCH,
            lapsing: false,
            gone: false,
            read: Timestamp::UNIX_EPOCH,
        };
        RegisteredDomain {
            name: name.into(),
            apps: vec!["shop".into()],
            expiry: match is_known {
                true => Ok(expiry),
                false => Err("its registry does not answer".into()),
            },
        }
    }

    fn is_read(read: Option<Result<Vec<RegisteredDomain>, SafeText>>, name: &str) -> bool {
        let mut fleet = Fleet::new("chaton", Vec::new());
        if let Some(read) = read {
            let at = Timestamp::UNIX_EPOCH;
            let datum = Datum::Domains(read);
            fleet.apply(Update { at, datum });
        }
        let source = AlertSource::Domain(name.to_owned());
        is_source_read(&Config::this_machine(), &fleet, &source)
    }

    #[test]
    fn a_domain_is_read_when_its_end_is_known_or_no_application_has_it() {
        let name = "shop.co.uk";
        assert!(!is_read(None, name));
        assert!(!is_read(Some(Err("apps/ can't be read".into())), name));
        assert!(is_read(Some(Ok(Vec::new())), name));
        for (listed, is_known, expected) in [
            ("shop.co.uk", true, true),
            ("shop.co.uk", false, false),
            // Nothing is kept: what is asked for first is shorter, and what nobody knows is the whole name.
            ("co.uk", false, false),
            ("www.shop.co.uk", false, false),
            ("othershop.co.uk", false, true),
            ("example.org", false, true),
        ] {
            let read = Some(Ok(vec![domain(listed, is_known)]));
            assert_eq!(is_read(read, name), expected, "{listed} {is_known}");
        }
    }
}
