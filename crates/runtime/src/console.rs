//! The console's loop.
//!
//! Keys come first: a key press is handled before any log lines and readings that wait.
//! A frame is drawn at most every [`FRAME_INTERVAL`].

use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::{Result, eyre};
use crossterm::event::EventStream;
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::effects::{EffectRunner, LoopControl};
use matou_collect::{Collectors, NameCache};
use matou_model::{Datum, Fleet, Snapshot, Update};
use matou_monitor::MonitorStore;
use matou_ops::FleetContext;
use matou_ui as ui;
use matou_ui::terminal::{ConsoleSignal, Screen};
use matou_ui::{App, AppInit, Msg};

/// Shortest time between two frames: 30 a second are more than a person sees.
const FRAME_INTERVAL: Duration = Duration::from_millis(33);

/// Messages handled before the terminal is asked for keys again.
const MAX_BURST: usize = 64;

/// Messages that may wait in a channel. A sender waits when it is full: nothing is dropped.
const QUEUE_CAPACITY: usize = 256;

/// Makes the console's state, of which nothing has been read yet but what earlier consoles left.
fn open_app(fleet: &FleetContext, store: &MonitorStore, read_only: bool) -> Result<App> {
    let config = &fleet.config;
    let picture = Fleet::new(&config.fleet.name, fleet.nodes.as_model());
    let mut warnings = config.warnings.clone();
    if let Err(e) = matou_config::ensure_state_dir() {
        warnings.push(format!("nothing is remembered: {e:#}"));
    }
    let mut alerts = config.alerts;
    // Without a config.toml there is nothing to compare the nodes with.
    alerts.drift &= config.path.is_some();
    Ok(App::new(AppInit {
        fleet: picture,
        catalogue: fleet.list_offered_stacks(),
        keymap: ui::KeyMap::of_config(config)?,
        commands: config.commands.clone(),
        config_path: config.path.as_ref().map(|p| p.display().to_string()),
        theme: ui::terminal::read_theme(&config.theme),
        alerts,
        ledger: store.load_ledger(),
        log_memory: config.logs.memory,
        zone: jiff::tz::TimeZone::system(),
        warnings,
        read_only,
        welcome: !read_only && is_nothing_there(config),
        now: Timestamp::now(),
    }))
}

/// Whether there is neither a config.toml nor an engine on this machine.
fn is_nothing_there(config: &matou_config::Config) -> bool {
    config.path.is_none() && config.nodes.iter().all(|node| !node.docker_socket.exists())
}

/// Opens the console, one that only looks when it is `read_only`. Returns when the operator leaves it.
///
/// # Errors
/// When the terminal can't be used, or a key or the edge is configured wrongly.
pub async fn run_console(fleet: FleetContext, read_only: bool) -> Result<ExitCode> {
    let (messages, mut arriving) = mpsc::channel::<Msg>(QUEUE_CAPACITY);
    let config = fleet.config.clone();
    let store = MonitorStore::new(&matou_config::state_path()?, &config.fleet.name);
    let mut app = open_app(&fleet, &store, read_only)?;
    let outside = fleet.probe_settings().map_err(|e| eyre!(e))?;
    // Signals are watched before the terminal is taken: one that comes must give it back.
    let mut signals = ui::terminal::watch_signals()?;
    let mut screen = Screen::enter(&config.theme)?;
    // The first frame needs no network.
    screen.draw(&mut app)?;

    let (updates, mut readings) = mpsc::channel(QUEUE_CAPACITY);
    let collectors = Collectors::start(&fleet.nodes, Some(outside), Some(config.clone()), updates);
    let names = NameCache::of_config(&config);
    let recorder = spawn_recorder(&store, names, messages.clone());
    let mut effects = EffectRunner::new(fleet.clone(), collectors, store, messages.clone());
    let mut keys = EventStream::new();
    let mut drawn = Instant::now();
    let mut dirty = false;

    loop {
        let frame_due = drawn + FRAME_INTERVAL;
        let tick_due = app
            .next_tick()
            .map(|wait| Instant::now() + wait.max(FRAME_INTERVAL));
        let mut queue: VecDeque<Msg> = VecDeque::new();
        tokio::select! {
            biased;
            event = keys.next() => match event {
                Some(Ok(event)) => queue.push_back(Msg::Terminal(event)),
                // The terminal is gone.
                Some(Err(_)) | None => queue.push_back(Msg::Terminate),
            },
            Some(signal) = signals.recv() => match signal {
                ConsoleSignal::Terminate => queue.push_back(Msg::Terminate),
                #[cfg(debug_assertions)]
                ConsoleSignal::Panic => panic!("asked to by SIGUSR1"),
            },
            () = tokio::time::sleep_until(frame_due), if dirty => {
                screen.draw(&mut app)?;
                drawn = Instant::now();
                dirty = false;
            }
            Some(message) = arriving.recv() => {
                queue.push_back(message);
                while queue.len() < MAX_BURST && let Ok(message) = arriving.try_recv() {
                    queue.push_back(message);
                }
            }
            Some(update) = readings.recv() => {
                record_reading(&recorder, &update);
                queue.push_back(Msg::Fleet(update));
                while queue.len() < MAX_BURST && let Ok(update) = readings.try_recv() {
                    record_reading(&recorder, &update);
                    queue.push_back(Msg::Fleet(update));
                }
            }
            () = sleep_until_due(tick_due) => queue.push_back(Msg::Tick),
        }
        while let Some(message) = queue.pop_front() {
            for effect in ui::update(&mut app, message, Timestamp::now()) {
                match effects.carry_out(effect, &mut screen, &mut keys).await? {
                    LoopControl::Continue => {}
                    LoopControl::Answer(answer) => queue.push_back(*answer),
                    LoopControl::Restart(arguments) => {
                        screen.leave()?;
                        effects.close().await;
                        return restart(&arguments);
                    }
                    LoopControl::Quit => {
                        screen.leave()?;
                        effects.close().await;
                        return Ok(ExitCode::SUCCESS);
                    }
                }
            }
        }
        dirty |= app.take_dirty();
    }
}

/// Becomes a new console, with these arguments.
fn restart(arguments: &[std::ffi::OsString]) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    matou_config::remove_runtime_dir();
    // Also when its file was replaced since it started.
    let failed = std::process::Command::new("/proc/self/exe")
        .arg0("matou")
        .args(arguments)
        .exec();
    Err(eyre!("the console can't be opened anew: {failed}"))
}

/// Spawns a thread that reads the history, then records readings in it, and names of what runs. Returns the sender of
/// readings.
fn spawn_recorder(
    store: &MonitorStore,
    names: NameCache,
    messages: mpsc::Sender<Msg>,
) -> std::sync::mpsc::SyncSender<Update> {
    let store = store.clone();
    let (readings, arriving) = std::sync::mpsc::sync_channel::<Update>(QUEUE_CAPACITY);
    std::thread::spawn(move || {
        let kept = store.load_history(Timestamp::now());
        let _ = messages.blocking_send(Msg::History(kept));
        let mut recorder = match store.open_recorder() {
            Ok(Some(recorder)) => recorder,
            // Another console writes it.
            Ok(None) => return,
            Err(e) => {
                tracing::warn!("the history is not written: {e}");
                return;
            }
        };
        for update in arriving {
            match &update.datum {
                Datum::Swarm(Ok(swarm)) => names.keep_swarm(swarm),
                Datum::Snapshots(Ok(snapshots)) => keep_snapshot_names(&names, snapshots),
                _ => {}
            }
            if let Err(e) = recorder.record_update(&update) {
                tracing::warn!("the history is not written: {e}");
            }
        }
    });
    readings
}

/// Keeps the names of snapshots of this fleet, for completions.
fn keep_snapshot_names(names: &NameCache, snapshots: &[Snapshot]) {
    let own = snapshots.iter().filter(|s| s.other_fleet.is_none());
    names.keep_snapshots(own.filter_map(|s| Some((&*s.id, s.app.as_deref()?, s.at))));
}

/// Hands a reading to the recorder. It is dropped when the recorder's queue is full.
fn record_reading(recorder: &std::sync::mpsc::SyncSender<Update>, update: &Update) {
    if matches!(
        update.datum,
        Datum::Probes(Ok(_))
            | Datum::Metrics { reading: Ok(_), .. }
            | Datum::Swarm(Ok(_))
            | Datum::Snapshots(Ok(_))
    ) {
        let _ = recorder.try_send(update.clone());
    }
}

async fn sleep_until_due(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
