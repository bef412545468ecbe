//! The console's loop.
//!
//! Keys come first: however many log lines and readings wait, a key press is taken before them,
//! and a frame is drawn at most every [`FRAME`].

use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::{Result, eyre};
use crossterm::event::EventStream;
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::effects::{Effects, Step};
use crate::collect::Collectors;
use crate::model::{Datum, Fleet, Update};
use crate::monitor::Store;
use crate::ops::Context;
use crate::ui::terminal::{Screen, Signal};
use crate::ui::{self, App, Init, Msg};

/// Shortest time between two frames: 30 a second are more than a person sees.
const FRAME: Duration = Duration::from_millis(33);

/// Messages taken in before keys are looked at again.
const BURST: usize = 64;

/// Messages that may wait. Who sends more waits until there is room: nothing is dropped.
const QUEUE: usize = 256;

/// Opens the console and returns when the operator leaves it.
pub async fn run(cx: Context) -> Result<ExitCode> {
    let (messages, mut arriving) = mpsc::channel::<Msg>(QUEUE);
    let config = cx.config.clone();
    let fleet = Fleet::new(&config.fleet.name, cx.nodes.as_model());
    let store = Store::new(&crate::config::state_path()?, &config.fleet.name);
    let mut warnings = config.warnings.clone();
    if let Err(e) = crate::config::state_dir() {
        warnings.push(format!("nothing is remembered: {e:#}"));
    }
    let mut alerts = config.alerts;
    // Without a file there is nothing that servers could differ from.
    alerts.drift &= config.path.is_some();
    let mut app = App::new(Init {
        fleet,
        catalogue: cx.catalogue.list(),
        keymap: ui::KeyMap::with(&config.keys)
            .map_err(|(action, why)| config.key_error(&action, why))?,
        theme: ui::Theme::of(&config.theme),
        alerts,
        ledger: store.ledger(),
        log_memory: config.logs.memory,
        zone: jiff::tz::TimeZone::system(),
        warnings,
        now: Timestamp::now(),
    });
    let outside = cx.outside().map_err(|e| eyre!(e))?;
    // Before the terminal is taken: a signal must not leave it so.
    let mut signals = ui::terminal::signals()?;
    let mut screen = Screen::enter(&config.theme)?;
    // The first frame needs no network.
    screen.draw(|frame| ui::view(&mut app, frame))?;

    let (updates, mut readings) = mpsc::channel(QUEUE);
    let collectors = Collectors::start(&cx.nodes, Some(outside), Some(config.clone()), updates);
    let recorder = record(&store, messages.clone());
    let mut effects = Effects::new(cx.clone(), collectors, store, messages.clone());
    let mut keys = EventStream::new();
    let mut drawn = Instant::now();
    let mut dirty = false;

    loop {
        let frame_due = drawn + FRAME;
        let tick_due = app.next_tick().map(|wait| Instant::now() + wait.max(FRAME));
        let mut queue: VecDeque<Msg> = VecDeque::new();
        tokio::select! {
            biased;
            event = keys.next() => match event {
                Some(Ok(event)) => queue.push_back(Msg::Terminal(event)),
                // The terminal is gone.
                Some(Err(_)) | None => queue.push_back(Msg::Terminate),
            },
            Some(signal) = signals.recv() => match signal {
                Signal::Terminate => queue.push_back(Msg::Terminate),
                #[cfg(debug_assertions)]
                Signal::Panic => panic!("asked to by SIGUSR1"),
            },
            () = tokio::time::sleep_until(frame_due), if dirty => {
                screen.draw(|frame| ui::view(&mut app, frame))?;
                drawn = Instant::now();
                dirty = false;
            }
            Some(message) = arriving.recv() => {
                queue.push_back(message);
                while queue.len() < BURST && let Ok(message) = arriving.try_recv() {
                    queue.push_back(message);
                }
            }
            Some(update) = readings.recv() => {
                keep(&recorder, &update);
                queue.push_back(Msg::Fleet(update));
                while queue.len() < BURST && let Ok(update) = readings.try_recv() {
                    keep(&recorder, &update);
                    queue.push_back(Msg::Fleet(update));
                }
            }
            () = sleep_until(tick_due) => queue.push_back(Msg::Tick),
        }
        while let Some(message) = queue.pop_front() {
            for effect in ui::update(&mut app, message, Timestamp::now()) {
                match effects.carry_out(effect, &mut screen, &mut keys).await? {
                    Step::Continue => {}
                    Step::Answer(answer) => queue.push_back(*answer),
                    Step::Quit => {
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

/// Reads the history, then writes it, on a thread of its own; answers with where readings go.
fn record(store: &Store, messages: mpsc::Sender<Msg>) -> std::sync::mpsc::SyncSender<Update> {
    let store = store.clone();
    let (readings, arriving) = std::sync::mpsc::sync_channel::<Update>(QUEUE);
    std::thread::spawn(move || {
        let (week, trends) = store.history(Timestamp::now());
        let _ = messages.blocking_send(Msg::History { week, trends });
        let mut recorder = match store.record() {
            Ok(Some(recorder)) => recorder,
            // Another console writes it.
            Ok(None) => return,
            Err(e) => {
                tracing::warn!("the history is not written: {e}");
                return;
            }
        };
        for update in arriving {
            if let Err(e) = recorder.take(&update) {
                tracing::warn!("the history is not written: {e}");
            }
        }
    });
    readings
}

/// Hands a reading to the history; one that would have to wait is left out.
fn keep(recorder: &std::sync::mpsc::SyncSender<Update>, update: &Update) {
    if matches!(
        update.datum,
        Datum::Probes(Ok(_)) | Datum::Metrics { reading: Ok(_), .. }
    ) {
        let _ = recorder.try_send(update.clone());
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
