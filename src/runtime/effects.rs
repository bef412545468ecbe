//! What `update` asks for, done.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use color_eyre::eyre::{Context as _, Result};
use crossterm::event::EventStream;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::collect::{
    AccessNews, Collectors, LogBatch, LogStore, Window, follow_access, follow_journal,
    follow_service, read_all_bans, read_intrusions, silence_there,
};
use crate::job::{Event, JobId, RunError};
use crate::model::{Link, Routes};
use crate::monitor::Store;
use crate::ops::{self, Context, Request, ShellTarget};
use crate::ui::msg::{Effect, LogSource, Look, Msg, Seen, Ticket};
use crate::ui::terminal::Screen;

/// Lines of the past that a log view opens with, of each task.
const TAIL: usize = 1000;

/// Requests of the past that an access log opens with.
const REQUESTS: usize = 5000;

/// How often the servers are compared with config.toml while nothing asks for it. It costs each of
/// them a second or two of work.
const COMPARE: Duration = Duration::from_secs(900);

/// How long a job waits for the lock of an application.
const WAIT: Duration = Duration::from_secs(24 * 3600);

/// Compares the servers with config.toml, now and then.
async fn compare(cx: Context, messages: mpsc::Sender<Msg>, now: Arc<Notify>) {
    // The first look at the fleet comes first.
    tokio::time::sleep(Duration::from_secs(3)).await;
    loop {
        let options = crate::provision::Options::default();
        let plan = match ops::build(&Request::Provision { options }, &cx).await {
            Ok(job) => Ok(cx.runner.plan(&job).await),
            Err(reason) => Err(reason),
        };
        let audits = crate::provision::audit::all(&cx.config, &cx.nodes).await;
        if messages.send(Msg::Checked { plan, audits }).await.is_err() {
            return;
        }
        tokio::select! {
            () = now.notified() => {}
            () = tokio::time::sleep(COMPARE) => {}
        }
    }
}

/// Asks for the jobs again that run on from an earlier console: that watches them.
async fn find_again(cx: Context, messages: mpsc::Sender<Msg>) {
    // A storage node that does not answer has other signs.
    for request in ops::running(&cx).await.unwrap_or_default() {
        if messages.send(Msg::FoundRunning { request }).await.is_err() {
            return;
        }
    }
}

/// Carries out effects; long ones run beside the loop and answer with messages.
pub(super) struct Effects {
    cx: Context,
    collectors: Collectors,
    store: Store,
    messages: mpsc::Sender<Msg>,
    /// The jobs, and whether each goes on when the console is closed.
    jobs: HashMap<JobId, (CancellationToken, bool)>,
    logs: HashMap<Ticket, CancellationToken>,
    /// What is read of the repository.
    look: Option<CancellationToken>,
    next_job: u64,
    /// Asks for the servers to be compared with config.toml now.
    check: Arc<Notify>,
}

/// What the loop does next.
pub(super) enum Step {
    Continue,
    /// A message that the effect answers at once.
    Answer(Box<Msg>),
    Quit,
}

impl Effects {
    pub(super) fn new(
        cx: Context,
        collectors: Collectors,
        store: Store,
        messages: mpsc::Sender<Msg>,
    ) -> Self {
        // A job that waits for another is seen to, and can be cancelled.
        cx.runner.set_wait(WAIT);
        let check = Arc::new(Notify::new());
        tokio::spawn(compare(cx.clone(), messages.clone(), check.clone()));
        tokio::spawn(find_again(cx.clone(), messages.clone()));
        Self {
            cx,
            check,
            collectors,
            store,
            messages,
            jobs: HashMap::new(),
            logs: HashMap::new(),
            look: None,
            next_job: 0,
        }
    }

    pub(super) async fn carry_out(
        &mut self,
        effect: Effect,
        screen: &mut Screen,
        keys: &mut EventStream,
    ) -> Result<Step> {
        match effect {
            Effect::Quit => return Ok(Step::Quit),
            Effect::Suspend => {
                screen.suspend()?;
                return Ok(Step::Answer(Box::new(Msg::Resumed)));
            }
            Effect::Redraw => screen.clear()?,
            Effect::Refresh => self.collectors.refresh(),
            Effect::Check => self.check.notify_one(),
            Effect::Newer { ticket, app } => {
                let (cx, messages) = (self.cx.clone(), self.messages.clone());
                tokio::spawn(async move {
                    let found = ops::newer(&cx, &app).await;
                    let _ = messages.send(Msg::Newer { ticket, found }).await;
                });
            }
            Effect::Bans { ticket } => {
                let (nodes, messages) = (self.cx.nodes.clone(), self.messages.clone());
                tokio::spawn(async move {
                    let found = read_all_bans(&nodes).await;
                    let _ = messages.send(Msg::Bans { ticket, found }).await;
                });
            }
            Effect::Intrusions { ticket } => {
                let (nodes, messages) = (self.cx.nodes.clone(), self.messages.clone());
                tokio::spawn(async move {
                    let (found, bans) =
                        tokio::join!(read_intrusions(&nodes), read_all_bans(&nodes));
                    let message = Msg::Intrusions {
                        ticket,
                        found,
                        bans,
                    };
                    let _ = messages.send(message).await;
                });
            }
            Effect::Search { ticket, search } => {
                let (nodes, messages) = (self.cx.nodes.clone(), self.messages.clone());
                tokio::spawn(async move {
                    let found = match LogStore::find(&nodes, search.app.as_deref()).await {
                        Ok(store) => store.search(&search).await,
                        Err(reason) => Err(reason),
                    };
                    let _ = messages.send(Msg::Found { ticket, found }).await;
                });
            }
            Effect::Plan { ticket, request } => self.plan(ticket, request),
            Effect::Run {
                ticket,
                request,
                plan_hash,
            } => self.run(ticket, request, Some(plan_hash)),
            Effect::Watch { request } => self.run(Ticket(0), request, None),
            Effect::CancelJob(id) => {
                if let Some((cancel, _)) = self.jobs.get(&id) {
                    cancel.cancel();
                }
            }
            Effect::FollowLogs { ticket, source } => self.follow(ticket, source),
            Effect::FollowAccess { ticket, routes } => self.access(ticket, routes),
            Effect::StopLogs(ticket) => {
                if let Some(cancel) = self.logs.remove(&ticket) {
                    cancel.cancel();
                }
            }
            Effect::Look { ticket, look } => self.look(ticket, look),
            Effect::Shell(target) => return self.shell(target, screen, keys).await,
            Effect::Alarm { text, bell, notify } => screen.alarm(&text, bell, notify)?,
            Effect::SilenceThere { labels, until } => {
                let (nodes, messages) = (self.cx.nodes.clone(), self.messages.clone());
                tokio::spawn(async move {
                    let answer = match silence_there(&nodes, &labels, until).await {
                        Ok(()) => notice("Alertmanager tells nobody of it meanwhile", false),
                        Err(e) => notice(format!("not silenced in Alertmanager: {e}"), true),
                    };
                    let _ = messages.send(answer).await;
                });
            }
            Effect::Remember(ledger) => {
                let (store, messages) = (self.store.clone(), self.messages.clone());
                tokio::task::spawn_blocking(move || {
                    if let Err(e) = store.keep(&ledger) {
                        let text = format!("what is said about alerts is not kept: {e}");
                        let _ = messages.blocking_send(notice(text, true));
                    }
                });
            }
            Effect::Copy(text) => {
                let answer = match screen.copy(&text) {
                    Ok(()) => notice("copied", false),
                    Err(e) => notice(format!("not copied: {e}"), true),
                };
                return Ok(Step::Answer(Box::new(answer)));
            }
            Effect::Save { path, text } => {
                let messages = self.messages.clone();
                tokio::spawn(async move {
                    let answer = match save(&path, &text).await {
                        Ok(path) => notice(format!("saved to {path}"), false),
                        Err(e) => notice(format!("{} not saved: {e}", path.display()), true),
                    };
                    // The console is being left.
                    let _ = messages.send(answer).await;
                });
            }
        }
        Ok(Step::Continue)
    }

    fn plan(&self, ticket: Ticket, request: Request) {
        let (cx, messages) = (self.cx.clone(), self.messages.clone());
        tokio::spawn(async move {
            let plan = match ops::build(&request, &cx).await {
                Ok(job) => Ok(cx.runner.plan(&job).await),
                Err(reason) => Err(reason),
            };
            let _ = messages.send(Msg::Planned { ticket, plan }).await;
        });
    }

    fn run(&mut self, ticket: Ticket, request: Request, plan_hash: Option<String>) {
        self.next_job += 1;
        let id = JobId(self.next_job);
        let cancel = CancellationToken::new();
        self.jobs.insert(id, (cancel.clone(), request.lasts()));
        let (cx, messages) = (self.cx.clone(), self.messages.clone());
        tokio::spawn(async move {
            let job = match ops::build(&request, &cx).await {
                Ok(job) => job,
                Err(reason) => {
                    let plan = Err(reason);
                    let _ = messages.send(Msg::Planned { ticket, plan }).await;
                    return;
                }
            };
            let (events, mut arriving) = mpsc::channel::<Event>(256);
            let forward = async {
                let mut started = false;
                while let Some(event) = arriving.recv().await {
                    if !std::mem::replace(&mut started, true) {
                        let request = request.clone();
                        let _ = messages.send(Msg::JobStarted { id, request }).await;
                    }
                    let _ = messages.send(Msg::Job { id, event }).await;
                }
            };
            let running = async {
                let title = request.title();
                let held = cx.runner.hold(&job.holds, &title, &events, &cancel).await?;
                let mut job = job;
                // What it was made from may be another by now.
                if held.is_any() {
                    job = match ops::build(&request, &cx).await {
                        Ok(job) => job,
                        Err(why) => return cx.runner.give_up(held, &title, why, &events).await,
                    };
                }
                let hash = plan_hash.as_deref();
                cx.runner.run_held(&job, held, hash, events, cancel).await
            };
            let (outcome, ()) = tokio::join!(running, forward);
            let plan = match outcome {
                Err(RunError::PlanChanged(plan)) => Ok(*plan),
                Err(RunError::NotBuilt(reason)) => Err(reason),
                Ok(_) | Err(RunError::NotLocked(_)) => return,
            };
            let _ = messages.send(Msg::Planned { ticket, plan }).await;
        });
    }

    /// Reads something of the repository; what was asked before is wanted no more.
    fn look(&mut self, ticket: Ticket, look: Look) {
        let cancel = CancellationToken::new();
        if let Some(before) = self.look.replace(cancel.clone()) {
            before.cancel();
        }
        let (cx, messages) = (self.cx.clone(), self.messages.clone());
        tokio::spawn(async move {
            let seen = seen(&cx, &look, &cancel).await;
            if !cancel.is_cancelled() {
                let _ = messages.send(Msg::Looked { ticket, seen }).await;
            }
        });
    }

    fn follow(&mut self, ticket: Ticket, source: LogSource) {
        let cancel = CancellationToken::new();
        self.logs.insert(ticket, cancel.clone());
        let (cx, messages) = (self.cx.clone(), self.messages.clone());
        tokio::spawn(async move {
            let (out, mut arriving) = mpsc::channel::<LogBatch>(8);
            let window = Window {
                tail: TAIL,
                follow: true,
            };
            let reading = async {
                match source {
                    LogSource::Services { ids, .. } => {
                        let each = ids
                            .iter()
                            .map(|id| follow_service(&cx.nodes, id, window, out.clone()));
                        let ended = futures_util::future::join_all(each).await;
                        drop(out);
                        ended.into_iter().collect()
                    }
                    LogSource::Journal { node, unit } => match cx.nodes.get(&node) {
                        Some(handle) => {
                            follow_journal(handle, unit.as_deref(), window, out, &cancel)
                                .await
                                .map_err(|e| e.to_string())
                        }
                        None => Err(format!("{node} is not in config.toml: add it")),
                    },
                }
            };
            let forwarding = async {
                while let Some(lines) = arriving.recv().await {
                    if messages.send(Msg::Log { ticket, lines }).await.is_err() {
                        return;
                    }
                }
            };
            let both = async { tokio::join!(reading, forwarding).0 };
            if let Some(ended) = cancel.run_until_cancelled(both).await {
                let reason = ended.err().unwrap_or_else(|| "the log ended".into());
                let _ = messages.send(Msg::LogEnded { ticket, reason }).await;
            }
        });
    }

    fn access(&mut self, ticket: Ticket, routes: Routes) {
        let cancel = CancellationToken::new();
        self.logs.insert(ticket, cancel.clone());
        let (cx, messages) = (self.cx.clone(), self.messages.clone());
        tokio::spawn(async move {
            let (out, mut arriving) = mpsc::channel::<AccessNews>(8);
            let window = Window {
                tail: REQUESTS,
                follow: true,
            };
            let reading = follow_access(&cx.nodes, &routes, window, out, &cancel);
            let forwarding = async {
                while let Some(news) = arriving.recv().await {
                    let message = Msg::Access { ticket, news };
                    if messages.send(message).await.is_err() {
                        return;
                    }
                }
            };
            let both = async { tokio::join!(reading, forwarding).0 };
            if let Some(ended) = cancel.run_until_cancelled(both).await {
                let reason = ended.err().unwrap_or_else(|| "the log ended".into());
                let _ = messages.send(Msg::LogEnded { ticket, reason }).await;
            }
        });
    }

    /// The console steps aside until the shell ends.
    async fn shell(
        &self,
        target: ShellTarget,
        screen: &mut Screen,
        keys: &mut EventStream,
    ) -> Result<Step> {
        let (ShellTarget::Node { node } | ShellTarget::Container { node, .. }) = &target;
        let link = self.cx.nodes.get(node).map(|n| n.host.watch_link());
        if let Some(link) = link
            && *link.borrow() != Link::Up
        {
            // Waiting for the connection would freeze the screen.
            let text = format!("{node} is not connected: no shell can be opened there now");
            return Ok(Step::Answer(Box::new(notice(text, true))));
        }
        let argv = match ops::shell_command(&self.cx, &target).await {
            Ok(argv) => argv,
            Err(e) => return Ok(Step::Answer(Box::new(notice(e.to_string(), true)))),
        };
        // The stream's reader must not take keys that belong to the shell.
        *keys = EventStream::new();
        screen.leave()?;
        let status = tokio::process::Command::new(&argv[0])
            .args(&argv[1..])
            .status()
            .await;
        screen.enter_again()?;
        Ok(Step::Answer(Box::new(match status {
            Ok(_) => Msg::Resumed,
            Err(e) => notice(format!("the shell can't be started: {e}"), true),
        })))
    }

    /// Cancels what runs and closes the connections.
    pub(super) async fn close(self) {
        let jobs = self.jobs.values();
        let ended = jobs.filter(|(_, lasts)| !lasts).map(|(cancel, _)| cancel);
        let looking = self.look.iter();
        for cancel in self.logs.values().chain(ended).chain(looking) {
            cancel.cancel();
        }
        drop(self.collectors);
        self.cx.nodes.close().await;
    }
}

/// Reads what a view of a snapshot wants.
async fn seen(cx: &Context, look: &Look, cancel: &CancellationToken) -> Result<Seen, String> {
    use crate::backup::listing;
    let restic = crate::collect::primary_repository(&cx.config, &cx.nodes);
    let restic = restic.await.map_err(|e| e.to_string())?;
    let read = match look {
        Look::Folder { snapshot, path } => listing::folder(&restic, snapshot, path, cancel)
            .await
            .map(Seen::Entries),
        Look::Search { snapshot, text } => listing::search(&restic, snapshot, text, cancel)
            .await
            .map(Seen::Entries),
        Look::File { snapshot, path } => listing::head(&restic, snapshot, path, cancel)
            .await
            .map(Seen::Head),
        Look::Changes { older, newer } => listing::changes(&restic, older, newer, cancel)
            .await
            .map(Seen::Changes),
    };
    read.map_err(|e| e.to_string())
}

fn notice(text: impl Into<String>, error: bool) -> Msg {
    Msg::Notice {
        text: text.into(),
        error,
    }
}

/// Writes a new file of mode 0600; an existing one is not overwritten.
async fn save(path: &Path, text: &str) -> Result<String> {
    let mut file = tokio::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .await
        .wrap_err("a file of that name exists, or the folder can't be written")?;
    tokio::io::AsyncWriteExt::write_all(&mut file, text.as_bytes()).await?;
    Ok(path.display().to_string())
}
