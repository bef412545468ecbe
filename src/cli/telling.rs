//! `matou check --tell`: who tells, and what each receiver does not know yet.

use matou_i18n::{tr, trn};
use std::time::Duration;

use color_eyre::eyre::{Result, eyre};
use jiff::Timestamp;

use super::digest::{build_digest, send_digest};
use super::look::{Look, is_source_read};
use matou_base::errln;
use matou_base::text::InvalidInput;
use matou_collect::ALERTMANAGER_LABEL;
use matou_config::{DigestInterval, find_nearest_name, state_path};
use matou_host::Command;
use matou_model::Fleet;
use matou_monitor as monitor;
use matou_monitor::{LookedAt, MonitorStore, ToldMemory, ToldStore};
use matou_ops::{FleetContext, TellReceiver, list_tell_receivers};

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
                .map_or_else(String::new, |n| tr!("; did you mean {n:?}?"));
            let message = tr!("there is no node {name:?}{near}");
            return Err(InvalidInput::new(message).into());
        };
        let asked = Command::sh(IS_FRESH)
            .arg(monitor::TOLD_MARK)
            .sudo()
            .timeout(Duration::from_secs(20))
            .label(tr!("whether it tells"));
        if node.host.run_ok(&asked).await.is_ok() {
            // Those after this one wait for it when that one is lost, so that one of them tells and not all.
            monitor_store(cx)?.told_store().mark();
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Where alerts and what was told are kept.
pub(super) fn monitor_store(cx: &FleetContext) -> Result<MonitorStore> {
    Ok(MonitorStore::new(&state_path()?, &cx.config.fleet.name))
}

/// Returns those whom `--tell` is for.
pub(super) fn find_receivers(cx: &FleetContext) -> Result<Vec<TellReceiver>> {
    let receivers = list_tell_receivers(&cx.config)?;
    if receivers.is_empty() {
        return Err(InvalidInput::new(
            tr!("there is nobody to tell: name an address, a topic or a webhook in [receivers] of config.toml; config.example.toml shows how"),
        )
        .into());
    }
    Ok(receivers)
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

/// What was told, kept here and on the other managers.
struct Telling<'a> {
    cx: &'a FleetContext,
    store: &'a ToldStore,
    look: &'a Look,
    memory: ToldMemory,
    /// What the other managers know of it.
    shared: ToldMemory,
}

impl Telling<'_> {
    /// Keeps it on this machine.
    fn keep(&mut self) -> Result<()> {
        if !self.memory.is_same(&self.shared) {
            self.memory.at = Timestamp::now();
        }
        self.store.save(&self.memory).map_err(|e| {
            eyre!(
                "{}",
                tr!("what was told can't be kept, so nothing is told: {e}")
            )
        })
    }

    /// Keeps it on the other managers, when it is not what they know.
    async fn share(&mut self) {
        if !self.memory.is_same(&self.shared) {
            let (cx, fleet) = (self.cx, &self.look.fleet);
            matou_ops::write_told_memory(cx, fleet, &self.memory).await;
            self.shared = self.memory.clone();
        }
    }
}

/// Tells each receiver what it does not know yet, and sends the digest that is due. Returns whether all of them took
/// it.
///
/// # Errors
/// It can't be kept what was told: nothing is told then.
pub(super) async fn tell_all(
    cx: &FleetContext,
    store: &MonitorStore,
    receivers: &[TellReceiver],
    look: &Look,
) -> Result<bool> {
    let store = store.told_store();
    let lock = store.lock().map_err(|e| {
        eyre!(
            "{}",
            tr!("what was told can't be kept, so nothing is told: {e}")
        )
    })?;
    let Some(_lock) = lock else {
        errln!(
            "{}",
            tr!("another `matou check --tell` of this user is at it: nothing is told here")
        );
        return Ok(true);
    };
    let mut memory = store.load();
    for other in matou_ops::read_told_memories(cx, &look.fleet).await {
        memory.merge(other, look.now);
    }
    let mut telling = Telling {
        cx,
        store: &store,
        look,
        shared: memory.clone(),
        memory,
    };
    // Written once before: where nothing can be kept, the same would be told every time.
    telling.keep()?;
    let alerts = tell_alerts(&mut telling, receivers).await?;
    let digest = send_due_digest(&mut telling, receivers).await?;
    telling.share().await;
    Ok(alerts && digest)
}

/// Whether the operator sleeps.
fn is_quiet(telling: &Telling<'_>) -> bool {
    let quiet = telling.cx.config.receivers.quiet.as_ref();
    quiet.is_some_and(|q| q.covers(telling.look.now))
}

/// Tells each receiver of alerts. Returns whether all of them took it.
async fn tell_alerts(telling: &mut Telling<'_>, receivers: &[TellReceiver]) -> Result<bool> {
    let (cx, look) = (telling.cx, telling.look);
    let is_told = is_told_by_monitoring(&look.fleet);
    let receivers: Vec<_> = receivers
        .iter()
        .filter(|r| !(is_told && r.is_known_to_alertmanager()))
        .collect();
    if receivers.is_empty() {
        errln!(
            "{}",
            tr!("the stack monitoring tells the same receivers: nothing is told here")
        );
        telling.store.mark();
        return Ok(true);
    }
    let looked = LookedAt {
        read: &|source| is_source_read(&cx.config, &look.fleet, source),
        quiet: is_quiet(telling),
        lost: &monitor::find_lost_nodes(&look.fleet, &look.alerts, look.now),
    };
    let mut refused = 0;
    for receiver in &receivers {
        let name = receiver.name();
        let before = telling.memory.alerts.get(name).cloned().unwrap_or_default();
        let (message, after) =
            before.take_look(&look.fleet.name, &look.alerts, &looked, Timestamp::now());
        let taken = match &message {
            None => Ok(()),
            Some(message) => receiver.tell(message).await,
        };
        match taken {
            Ok(()) => {
                telling.memory.alerts.insert(name.to_owned(), after);
                // At once: who is told twice because the next one hung trusts it less.
                telling.keep()?;
                if let Some(message) = &message {
                    let news = trn!(message.alerts.len(), "{n} alert", "{n} alerts");
                    errln!("{}", tr!("{name} was told of {news}"));
                    telling.share().await;
                }
            }
            Err(why) => {
                refused += 1;
                errln!("{}", tr!("{name} was not told: {why}"));
            }
        }
    }
    // Where none can be reached from here, another manager may reach them.
    if refused < receivers.len() {
        telling.store.mark();
    }
    Ok(refused == 0)
}

/// When the digest was due that receivers should have by now; `None` where there is none, at night, and while no
/// manager answers, when there is little to tell.
fn find_due(telling: &Telling<'_>) -> Option<(DigestInterval, Timestamp)> {
    let schedule = telling.cx.config.receivers.digest.as_ref()?;
    let is_silent = telling.look.fleet.swarm.value().is_none() || is_quiet(telling);
    (!is_silent).then_some((schedule.interval, schedule.last_due(telling.look.now)?))
}

/// Sends the digest that is due to each receiver that has not taken it, from this manager or another. Returns whether
/// all have taken it now, or none is due.
async fn send_due_digest(telling: &mut Telling<'_>, receivers: &[TellReceiver]) -> Result<bool> {
    let Some((interval, due)) = find_due(telling) else {
        return Ok(true);
    };
    let has_taken = |receiver: &&TellReceiver| {
        let mark = telling.memory.digests.get(receiver.name());
        mark.is_some_and(|taken| *taken >= due)
    };
    let waiting: Vec<_> = receivers.iter().filter(|r| !has_taken(r)).collect();
    if waiting.is_empty() {
        return Ok(true);
    }
    let digest = build_digest(telling.cx, telling.look, interval).await;
    let mut all_took_it = true;
    for receiver in waiting {
        match send_digest(receiver, &digest).await {
            false => all_took_it = false,
            true => {
                let marks = &mut telling.memory.digests;
                marks.insert(receiver.name().to_owned(), due);
                telling.keep()?;
                telling.share().await;
            }
        }
    }
    Ok(all_took_it)
}
