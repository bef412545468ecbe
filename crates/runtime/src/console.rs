//! The console's loop.
//!
//! Keys come first: a key press is handled before any log lines and readings that wait.
//! A frame is drawn at most every [`FRAME_INTERVAL`].

use matou_i18n::{tr, trn};
use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::{Result, eyre};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::domains::watch_domains;
use super::effects::{EffectRunner, LoopControl};
use super::keys::{Given, Keys};
use matou_base::outln;
use matou_collect::{Collectors, NameCache};
use matou_model::{Datum, Fleet, Snapshot, Update};
use matou_monitor::MonitorStore;
use matou_ops::FleetContext;
use matou_ui as ui;
use matou_ui::terminal::{ConsoleSignal, Screen};
use matou_ui::{App, AppInit, Msg};

/// Shortest time between two frames: 30 a second are more than a person sees.
const FRAME_INTERVAL: Duration = Duration::from_millis(33);

/// How long `until` waits.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Messages handled before the terminal is asked for keys again.
const MAX_BURST: usize = 64;

/// Messages that may wait in a channel. A sender waits when it is full: nothing is dropped.
const QUEUE_CAPACITY: usize = 256;

/// Makes the console's state, of which nothing has been read yet but what earlier consoles left.
fn open_app(fleet: &FleetContext, store: &MonitorStore, mode: ConsoleMode) -> Result<App> {
    let read_only = mode.read_only;
    let config = &fleet.config;
    let picture = Fleet::new(&config.fleet.name, fleet.nodes.as_model());
    let mut warnings = config.warnings.clone();
    if let Err(e) = matou_config::ensure_state_dir() {
        warnings.push(tr!("nothing is remembered: {e:#}"));
    }
    let mut alerts = config.alerts;
    // Without a config.toml there is nothing to compare the nodes with.
    alerts.drift &= config.path.is_some();
    let mut app = App::new(AppInit {
        fleet: picture,
        catalogue: fleet.list_offered_stacks(),
        keymap: ui::KeyMap::of_config(config)?,
        commands: config.commands.clone(),
        config_path: config.path.as_ref().map(|p| p.display().to_string()),
        theme: match mode.linear {
            true => ui::linear::linear_theme(),
            false => ui::terminal::read_theme(&config.theme),
        },
        alerts,
        ledger: store.load_ledger(),
        log_memory: config.logs.memory,
        zone: jiff::tz::TimeZone::system(),
        warnings,
        read_only,
        welcome: !read_only && is_nothing_there(config),
        now: Timestamp::now(),
    });
    // Lines begin where a line acts: in a pane.
    if !mode.linear {
        app.begin_with_dashboard();
    }
    Ok(app)
}

/// Whether there is neither a config.toml nor an engine on this machine.
fn is_nothing_there(config: &matou_config::Config) -> bool {
    config.path.is_none() && config.nodes.iter().all(|node| !node.docker_socket.exists())
}

/// How the console is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConsoleMode {
    /// It only looks.
    pub read_only: bool,
    /// It is told in lines, and takes lines.
    pub linear: bool,
}

/// Opens the console. Returns when the operator leaves it.
///
/// # Errors
/// When the terminal can't be used, or a key or the edge is configured wrongly.
pub async fn run_console(fleet: FleetContext, mode: ConsoleMode) -> Result<ExitCode> {
    let (messages, mut arriving) = mpsc::channel::<Msg>(QUEUE_CAPACITY);
    let config = fleet.config.clone();
    let store = MonitorStore::new(&matou_config::state_path()?, &config.fleet.name);
    let mut app = open_app(&fleet, &store, mode)?;
    let outside = fleet.probe_settings().map_err(|e| eyre!(e))?;
    // Signals are watched before the terminal is taken: one that comes must give it back.
    let mut signals = ui::terminal::watch_signals()?;
    let (mut screen, mut keys) = match mode.linear {
        true => (Screen::linear(), Keys::of_lines()),
        false => (Screen::enter(&config.theme)?, Keys::of_terminal()),
    };
    let mut lines = LineReader::default();
    lines.welcome(&mut screen)?;
    // The first frame needs no network.
    screen.draw(&mut app)?;

    let (updates, mut readings) = mpsc::channel(QUEUE_CAPACITY);
    let collectors = Collectors::start(&fleet.nodes, Some(outside), Some(config.clone()), updates);
    let names = NameCache::of_config(&config);
    let recorder = spawn_recorder(&store, names, messages.clone());
    let mut effects = EffectRunner::new(fleet.clone(), collectors, store, messages.clone());
    tokio::spawn(watch_domains(fleet.clone(), messages.clone()));
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
            given = keys.next(), if !lines.waits() => match given {
                Some(Given::Event(event)) => queue.push_back(Msg::Terminal(event)),
                Some(Given::Line(line)) => {
                    queue.extend(lines.take(&line, &mut screen, &app)?);
                    dirty = true;
                }
                // The terminal is gone.
                None => queue.push_back(Msg::Terminate),
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
                lines.look(&screen)?;
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
            () = sleep_until_due(lines.gives_up()) => lines.look(&screen)?,
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

/// What lines mean, where the console takes lines.
#[derive(Default)]
struct LineReader {
    /// The text that has to be told before the next line is taken, and until when.
    awaited: Option<(String, Instant)>,
    /// What the last line did has not been told yet: the next one means what is told then.
    untold: bool,
}

impl LineReader {
    fn welcome(&self, screen: &mut Screen) -> Result<()> {
        if let Screen::Linear(lines) = screen {
            outln!("{}", tr!("matou in lines: help tells how, quit leaves"))?;
            lines.ask();
        }
        Ok(())
    }

    fn waits(&self) -> bool {
        self.untold || self.awaited.is_some()
    }

    fn gives_up(&self) -> Option<Instant> {
        self.awaited.as_ref().map(|(_, until)| *until)
    }

    /// Looks whether what was waited for is there.
    fn look(&mut self, screen: &Screen) -> Result<()> {
        self.untold = false;
        let (Some((text, until)), Screen::Linear(lines)) = (&self.awaited, screen) else {
            return Ok(());
        };
        let is_there = lines.shows(text);
        if !is_there && Instant::now() < *until {
            return Ok(());
        }
        if !is_there {
            outln!(
                "{}",
                tr!(
                    "error: {text:?} was not told in {} minutes",
                    LONGEST_WAIT.as_secs() / 60
                )
            )?;
        }
        self.awaited = None;
        Ok(())
    }

    /// Takes a line. Returns the messages that it stands for.
    fn take(&mut self, line: &str, screen: &mut Screen, app: &App) -> Result<Vec<Msg>> {
        let Screen::Linear(lines) = screen else {
            return Ok(Vec::new());
        };
        self.untold = true;
        if let Some(text) = line.strip_prefix("until ") {
            self.awaited = Some((text.trim().to_owned(), Instant::now() + LONGEST_WAIT));
            return Ok(Vec::new());
        }
        match line {
            "help" => {
                for line in ui::linear::LINEAR_HELP {
                    outln!("{line}")?;
                }
                return Ok(Vec::new());
            }
            "quit" => {
                return match ui::linear::running_jobs(app) {
                    0 => Ok(vec![Msg::Terminate]),
                    n => {
                        let text = trn!(
                            n,
                            "error: {n} job under way: J tells of them; q asks what becomes of them",
                            "error: {n} jobs under way: J tells of them; q asks what becomes of them"
                        );
                        outln!("{text}")?;
                        Ok(Vec::new())
                    }
                };
            }
            _ => {}
        }
        match ui::linear::take_line(app, line) {
            Ok(events) => {
                lines.ask();
                Ok(events.into_iter().map(Msg::Terminal).collect())
            }
            Err(why) => {
                outln!("{}", tr!("error: {why}"))?;
                Ok(Vec::new())
            }
        }
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
    Err(eyre!(
        "{}",
        tr!("the console can't be opened anew: {failed}")
    ))
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
