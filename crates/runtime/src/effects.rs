//! Carries out the effects that `update` asks for.

use matou_i18n::tr;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use color_eyre::eyre::{Context as _, Result};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use secrecy::ExposeSecret as _;
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::keys::Keys;
use super::own_command;
use matou_base::text::SafeText;
use matou_collect::{
    AccessNews, CollectError, Collectors, LogBatch, LogStore, LogWindow, follow_access,
    follow_journal, follow_service, read_all_bans, read_intrusions, silence_in_alertmanager,
};
use matou_config::CommandRun;
use matou_job::{JobEvent, JobId, Plan, RunError, read_past_jobs};
use matou_model::{AppRoutes, Datum, LogSearch, NodeLink, Update};
use matou_monitor::{AlertLedger, MonitorStore};
use matou_ops as ops;
use matou_ops::{FleetContext, Request, ShellInput, ShellTarget};
use matou_ui::CommandCall;
use matou_ui::msg::{
    Beginning, Effect, LogSource, Msg, Password, SnapshotAnswer, SnapshotQuery, Ticket,
};
use matou_ui::terminal::Screen;

/// Past lines that a log view opens with, of each task.
const LOG_TAIL_LINES: usize = 1000;

/// Past requests that an access log opens with.
const ACCESS_TAIL_REQUESTS: usize = 5000;

/// Pause between two comparisons of the nodes with config.toml. Each comparison costs a node a
/// second or two of work.
const COMPARE_INTERVAL: Duration = Duration::from_secs(900);

/// How long a job waits for the lock of an application or a node.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(24 * 3600);

/// Waits until a node is back that was lost.
async fn wait_for_return(links: Vec<watch::Receiver<NodeLink>>) {
    let waiting = links.into_iter().map(|mut link| async move {
        let lost = |l: &NodeLink| matches!(l, NodeLink::Down { .. });
        let is_back = link.wait_for(lost).await.is_ok()
            && link.wait_for(|l| *l == NodeLink::Up).await.is_ok();
        if !is_back {
            // Nobody watches it any more.
            std::future::pending::<()>().await;
        }
    });
    let mut waiting: FuturesUnordered<_> = waiting.collect();
    if waiting.next().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Compares the nodes with config.toml from time to time; at once when `now` is notified, and when a
/// node is back.
async fn compare_periodically(fleet: FleetContext, messages: mpsc::Sender<Msg>, now: Arc<Notify>) {
    // The collectors' first readings go before.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let links = || fleet.nodes.iter().map(|n| n.host.watch_link()).collect();
    loop {
        let options = matou_provision::ProvisionOptions::default();
        let plan = match ops::build_job(&Request::Provision { options }, &fleet).await {
            Ok(job) => Ok(fleet.runner.plan(&job).await),
            Err(e) => Err(SafeText::of(e)),
        };
        let audits = matou_provision::audit::audit_nodes(&fleet.config, &fleet.nodes).await;
        if messages.send(Msg::Compared { plan, audits }).await.is_err() {
            return;
        }
        tokio::select! {
            () = now.notified() => {}
            () = wait_for_return(links()) => {}
            () = tokio::time::sleep(COMPARE_INTERVAL) => {}
        }
    }
}

/// Reads how the operator logs in to applications. Files are read, and stacks rendered, beside the loop.
async fn tell_logins(fleet: FleetContext, messages: mpsc::Sender<Msg>) {
    let read = tokio::task::spawn_blocking(move || ops::list_app_logins(&fleet)).await;
    if let Ok(logins) = read {
        let _ = messages.send(Msg::Logins(logins)).await;
    }
}

/// Finds jobs that an earlier console began and that still run, and has them watched.
async fn find_running_jobs(fleet: FleetContext, messages: mpsc::Sender<Msg>) {
    // Other parts of the screen show that the storage node does not answer.
    for request in ops::list_running_backups(&fleet).await.unwrap_or_default() {
        if messages.send(Msg::FoundRunning { request }).await.is_err() {
            return;
        }
    }
}

/// Carries out effects. Long ones run beside the loop and send their results as messages.
pub(super) struct EffectRunner {
    fleet: FleetContext,
    collectors: Collectors,
    store: MonitorStore,
    messages: mpsc::Sender<Msg>,
    /// How each job is cancelled, and whether it goes on when the console is closed.
    jobs: HashMap<JobId, (CancellationToken, bool)>,
    logs: HashMap<Ticket, CancellationToken>,
    /// Cancels the reading of a snapshot that is under way.
    snapshot_read: Option<CancellationToken>,
    next_job: u64,
    /// Notified to compare the nodes with config.toml now.
    compare_now: Arc<Notify>,
    /// Held while volumes are measured.
    measuring: Arc<Mutex<()>>,
}

/// What the loop does after an effect.
pub(super) enum LoopControl {
    Continue,
    /// Handles this message at once.
    Answer(Box<Msg>),
    /// Becomes a new console with these arguments.
    Restart(Vec<std::ffi::OsString>),
    Quit,
}

impl EffectRunner {
    pub(super) fn new(
        cx: FleetContext,
        collectors: Collectors,
        store: MonitorStore,
        messages: mpsc::Sender<Msg>,
    ) -> Self {
        // The operator sees a job that waits for another, and can cancel it.
        cx.runner.set_lock_wait(MAX_LOCK_WAIT);
        let check = Arc::new(Notify::new());
        tokio::spawn(compare_periodically(
            cx.clone(),
            messages.clone(),
            check.clone(),
        ));
        tokio::spawn(find_running_jobs(cx.clone(), messages.clone()));
        tokio::spawn(tell_logins(cx.clone(), messages.clone()));
        Self {
            fleet: cx,
            compare_now: check,
            measuring: Arc::default(),
            collectors,
            store,
            messages,
            jobs: HashMap::new(),
            logs: HashMap::new(),
            snapshot_read: None,
            next_job: 0,
        }
    }

    pub(super) async fn carry_out(
        &mut self,
        effect: Effect,
        screen: &mut Screen,
        keys: &mut Keys,
    ) -> Result<LoopControl> {
        match effect {
            Effect::Quit => return Ok(LoopControl::Quit),
            Effect::Suspend => {
                screen.suspend()?;
                return Ok(LoopControl::Answer(Box::new(Msg::Resumed)));
            }
            Effect::Redraw => screen.clear()?,
            Effect::Refresh => {
                self.collectors.refresh();
                self.compare_now.notify_one();
            }
            Effect::Compare => self.compare_now.notify_one(),
            Effect::Measure => self.spawn_measuring(),
            Effect::FindNewerVersions { ticket, app } => self.spawn_version_query(ticket, app),
            Effect::Bans { ticket } => self.spawn_bans_read(ticket),
            Effect::Intrusions { ticket } => self.spawn_intrusions_read(ticket),
            Effect::SearchLogs { ticket, search } => self.spawn_log_search(ticket, search),
            Effect::ReadPastJobs { ticket } => self.spawn_past_jobs_read(ticket),
            Effect::Plan { ticket, request } => self.spawn_plan(ticket, request),
            Effect::Run {
                ticket,
                request,
                plan_hash,
            } => self.spawn_job(request, Some((ticket, plan_hash))),
            Effect::WatchJob { request } => self.spawn_job(request, None),
            Effect::CancelJob(id) => {
                if let Some((cancel, _)) = self.jobs.get(&id) {
                    cancel.cancel();
                }
            }
            Effect::FollowLogs { ticket, source } => self.spawn_log_follower(ticket, source),
            Effect::FollowAccess { ticket, routes } => self.spawn_access_follower(ticket, routes),
            Effect::StopFollowing(ticket) => {
                if let Some(cancel) = self.logs.remove(&ticket) {
                    cancel.cancel();
                }
            }
            Effect::ReadSnapshot {
                ticket,
                query: look,
            } => self.spawn_snapshot_read(ticket, look),
            Effect::Shell(target) => return self.run_shell(target, screen, keys).await,
            Effect::RunCommand(call) => match call.run {
                CommandRun::Background => self.spawn_command(call),
                CommandRun::Terminal => {
                    let answer = own_command::run_in_terminal(&self.fleet, &call, screen, keys);
                    return Ok(LoopControl::Answer(Box::new(answer.await?)));
                }
            },
            Effect::Begin(beginning) => return self.begin(beginning, screen, keys).await,
            Effect::Alarm { text, bell, notify } => screen.ring_alarm(&text, bell, notify)?,
            Effect::SilenceInAlertmanager { labels, until } => self.spawn_silence(labels, until),
            Effect::SaveLedger(ledger) => self.spawn_ledger_save(ledger),
            Effect::Copy(text) => {
                let answer = match screen.copy_text(&text) {
                    Ok(()) => notice_message(tr!("copied"), false),
                    Err(e) => notice_message(tr!("not copied: {e}"), true),
                };
                return Ok(LoopControl::Answer(Box::new(answer)));
            }
            Effect::ReadPassword { app, secret } => self.spawn_password_read(app, secret),
            Effect::CopyPassword(Password(password)) => {
                let answer = match screen.copy_text(password.expose_secret()) {
                    Ok(()) => notice_message(tr!("the password is copied"), false),
                    Err(e) => notice_message(tr!("not copied: {e}"), true),
                };
                return Ok(LoopControl::Answer(Box::new(answer)));
            }
            Effect::Save { path, text } => self.spawn_save(path, text),
        }
        Ok(LoopControl::Continue)
    }

    /// Asks the registries for newer versions of an application.
    fn spawn_version_query(&self, ticket: Ticket, app: String) {
        let (fleet, messages) = (self.fleet.clone(), self.messages.clone());
        tokio::spawn(async move {
            let found = ops::query_app_versions(&fleet, &app).await;
            let found = found.map_err(SafeText::of);
            let _ = messages.send(Msg::NewerVersions { ticket, found }).await;
        });
    }

    /// Reads the password of an application, to be copied.
    fn spawn_password_read(&self, app: String, secret: String) {
        let (fleet, messages) = (self.fleet.clone(), self.messages.clone());
        tokio::spawn(async move {
            let answer = match ops::read_secret(&fleet, &app, &secret).await {
                Ok(password) => Msg::PasswordRead(Password(password)),
                Err(e) => notice_message(tr!("not copied: {e}"), true),
            };
            let _ = messages.send(answer).await;
        });
    }

    /// Measures what fills the disks of all nodes, and tells how large volumes are; nothing while that is under way.
    fn spawn_measuring(&self) {
        let Ok(alone) = self.measuring.clone().try_lock_owned() else {
            return;
        };
        let (fleet, messages) = (self.fleet.clone(), self.messages.clone());
        tokio::spawn(async move {
            let measured = ops::measure_room(&fleet, &[]).await;
            let sizes = measured.and_then(|measured| measured.sizes);
            let answer = match &sizes {
                Ok(_) => notice_message(tr!("the volumes are measured"), false),
                Err(why) => notice_message(tr!("not measured: {why}"), true),
            };
            if let Ok(sizes) = sizes {
                let update = Update {
                    at: Timestamp::now(),
                    datum: Datum::VolumeSizes(Ok(sizes)),
                };
                let _ = messages.send(Msg::Fleet(update)).await;
            }
            drop(alone);
            let _ = messages.send(answer).await;
        });
    }

    /// Reads the bans of all nodes.
    fn spawn_bans_read(&self, ticket: Ticket) {
        let (nodes, messages) = (self.fleet.nodes.clone(), self.messages.clone());
        tokio::spawn(async move {
            let found = read_all_bans(&nodes).await;
            let _ = messages.send(Msg::Bans { ticket, found }).await;
        });
    }

    /// Reads the intrusions that all nodes saw, and whom they have banned.
    fn spawn_intrusions_read(&self, ticket: Ticket) {
        let (nodes, messages) = (self.fleet.nodes.clone(), self.messages.clone());
        tokio::spawn(async move {
            let (found, bans) = tokio::join!(read_intrusions(&nodes), read_all_bans(&nodes));
            let message = Msg::Intrusions {
                ticket,
                found,
                bans,
            };
            let _ = messages.send(message).await;
        });
    }

    /// Searches the log store.
    fn spawn_log_search(&self, ticket: Ticket, search: LogSearch) {
        let (nodes, messages) = (self.fleet.nodes.clone(), self.messages.clone());
        tokio::spawn(async move {
            let found = match LogStore::find(&nodes, search.app.as_deref()).await {
                Ok(store) => store.search(&search).await,
                Err(reason) => Err(reason),
            };
            let _ = messages
                .send(Msg::LogsFound {
                    ticket,
                    found: found.map_err(SafeText::of),
                })
                .await;
        });
    }

    /// Runs what makes a first config.toml in the terminal. When that went well, the console opens anew with it.
    async fn begin(
        &self,
        beginning: Beginning,
        screen: &mut Screen,
        keys: &mut Keys,
    ) -> Result<LoopControl> {
        let (arguments, then) = match beginning {
            Beginning::NameServers => (vec!["init"], Vec::new()),
            Beginning::PracticeFleet => {
                let path = matou_config::state_path()?.join("lab/practice/config.toml");
                let arguments = vec!["lab", "up", "--name", "practice"];
                (arguments, vec!["--config".into(), path.into_os_string()])
            }
        };
        // Its file may have been replaced since it started.
        let program = std::env::current_exe()?;
        let program = match program.exists() {
            true => program.display().to_string(),
            false => "/proc/self/exe".to_owned(),
        };
        let arguments = arguments.into_iter().map(str::to_owned);
        let call = CommandCall {
            description: tr!("the beginning").into(),
            argv: std::iter::once(program).chain(arguments).collect(),
            run: CommandRun::Terminal,
        };
        match own_command::run_in_terminal(&self.fleet, &call, screen, keys).await? {
            Msg::Resumed => Ok(LoopControl::Restart(then)),
            failed => Ok(LoopControl::Answer(Box::new(failed))),
        }
    }

    /// Reads which jobs ran from this machine.
    fn spawn_past_jobs_read(&self, ticket: Ticket) {
        let (journal, messages) = (self.fleet.journal.path(), self.messages.clone());
        tokio::spawn(async move {
            let read = tokio::task::spawn_blocking(move || {
                let found = read_past_jobs(&journal);
                found.map_err(|e| SafeText::of(format!("{}: {e}", journal.display())))
            });
            if let Ok(found) = read.await {
                let _ = messages.send(Msg::PastJobs { ticket, found }).await;
            }
        });
    }

    /// Silences an alert in Alertmanager.
    fn spawn_silence(&self, labels: BTreeMap<String, String>, until: Timestamp) {
        let (nodes, messages) = (self.fleet.nodes.clone(), self.messages.clone());
        tokio::spawn(async move {
            let answer = match silence_in_alertmanager(&nodes, &labels, until).await {
                Ok(()) => notice_message(tr!("Alertmanager tells nobody of it meanwhile"), false),
                Err(e) => notice_message(tr!("not silenced in Alertmanager: {e}"), true),
            };
            let _ = messages.send(answer).await;
        });
    }

    /// Keeps what was said about alerts.
    fn spawn_ledger_save(&self, ledger: AlertLedger) {
        let (store, messages) = (self.store.clone(), self.messages.clone());
        tokio::task::spawn_blocking(move || {
            if let Err(e) = store.save_ledger(&ledger) {
                let text = tr!("what is said about alerts is not kept: {e}");
                let _ = messages.blocking_send(notice_message(text, true));
            }
        });
    }

    /// Writes a new file.
    fn spawn_save(&self, path: PathBuf, text: String) {
        let messages = self.messages.clone();
        tokio::spawn(async move {
            let answer = match write_new_file(&path, &text).await {
                Ok(path) => notice_message(tr!("saved to {path}"), false),
                Err(e) => notice_message(tr!("{} not saved: {e}", path.display()), true),
            };
            // The console is being left.
            let _ = messages.send(answer).await;
        });
    }

    fn spawn_plan(&self, ticket: Ticket, request: Request) {
        let (fleet, messages) = (self.fleet.clone(), self.messages.clone());
        tokio::spawn(async move {
            let plan = match ops::build_job(&request, &fleet).await {
                Ok(job) => Ok(fleet.runner.plan(&job).await),
                Err(e) => Err(SafeText::of(e)),
            };
            let _ = messages.send(Msg::Planned { ticket, plan }).await;
        });
    }

    fn spawn_job(&mut self, request: Request, confirmed: Option<(Ticket, String)>) {
        self.next_job += 1;
        let id = JobId(self.next_job);
        let cancel = CancellationToken::new();
        self.jobs
            .insert(id, (cancel.clone(), request.outlives_console()));
        let (fleet, messages) = (self.fleet.clone(), self.messages.clone());
        tokio::spawn(async move {
            // The view of the plan says why it is not carried out, or shows a new plan.
            let ticket = confirmed.as_ref().map(|(ticket, _)| *ticket);
            let answer = |plan: Result<Plan, SafeText>| match (ticket, plan) {
                (Some(ticket), plan) => Some(Msg::Planned { ticket, plan }),
                (None, Err(reason)) => Some(Msg::Notice {
                    text: tr!("{}: {reason}", request.title()),
                    error: true,
                }),
                (None, Ok(_)) => None,
            };
            let job = match ops::build_job(&request, &fleet).await {
                Ok(job) => job,
                Err(reason) => {
                    if let Some(msg) = answer(Err(SafeText::of(reason))) {
                        let _ = messages.send(msg).await;
                    }
                    return;
                }
            };
            let (events, mut arriving) = mpsc::channel::<JobEvent>(256);
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
                let held = fleet
                    .runner
                    .take_locks(&job.holds, &title, &events, &cancel)
                    .await?;
                let mut job = job;
                // After waiting for a lock the fleet may differ from what the job was built for.
                if held.holds_any() {
                    job = match ops::build_job(&request, &fleet).await {
                        Ok(job) => job,
                        Err(why) => {
                            return fleet.runner.abandon_job(held, &title, why, &events).await;
                        }
                    };
                }
                let hash = confirmed.as_ref().map(|(_, hash)| hash.as_str());
                fleet
                    .runner
                    .run_with_locks(&job, held, hash, events, cancel)
                    .await
            };
            let (outcome, ()) = tokio::join!(running, forward);
            // A deploy writes the application's file, and how one logs in is said by it.
            tell_logins(fleet.clone(), messages.clone()).await;
            let plan = match outcome {
                Err(RunError::PlanChanged(plan)) => Ok(*plan),
                Err(RunError::NotBuilt(reason)) => Err(SafeText::of(reason)),
                Ok(_) | Err(RunError::NotLocked(_)) => return,
            };
            if let Some(msg) = answer(plan) {
                let _ = messages.send(msg).await;
            }
        });
    }

    /// Runs a command of the operator beside the console; leaving ends it.
    fn spawn_command(&mut self, call: CommandCall) {
        self.next_job += 1;
        let id = JobId(self.next_job);
        let cancel = CancellationToken::new();
        self.jobs.insert(id, (cancel.clone(), false));
        let (fleet, messages) = (self.fleet.clone(), self.messages.clone());
        tokio::spawn(own_command::run_beside(fleet, id, call, messages, cancel));
    }

    /// Begins to read something of a snapshot, and cancels the reading before.
    fn spawn_snapshot_read(&mut self, ticket: Ticket, look: SnapshotQuery) {
        let cancel = CancellationToken::new();
        if let Some(before) = self.snapshot_read.replace(cancel.clone()) {
            before.cancel();
        }
        let (fleet, messages) = (self.fleet.clone(), self.messages.clone());
        tokio::spawn(async move {
            let seen = read_snapshot_answer(&fleet, &look, &cancel).await;
            if !cancel.is_cancelled() {
                let _ = messages
                    .send(Msg::SnapshotRead {
                        ticket,
                        answer: seen,
                    })
                    .await;
            }
        });
    }

    fn spawn_log_follower(&mut self, ticket: Ticket, source: LogSource) {
        let cancel = CancellationToken::new();
        self.logs.insert(ticket, cancel.clone());
        let (fleet, messages) = (self.fleet.clone(), self.messages.clone());
        tokio::spawn(async move {
            let (out, mut arriving) = mpsc::channel::<LogBatch>(8);
            let window = LogWindow {
                tail: LOG_TAIL_LINES,
                follow: true,
                since: None,
            };
            let reading = async {
                match source {
                    LogSource::Services { ids, .. } => {
                        let each = ids
                            .iter()
                            .map(|id| follow_service(&fleet.nodes, id, window, out.clone()));
                        let ended = futures_util::future::join_all(each).await;
                        drop(out);
                        ended.into_iter().collect::<Result<(), _>>()
                    }
                    LogSource::Journal { node, unit } => match fleet.nodes.get(&node) {
                        Some(handle) => {
                            follow_journal(handle, unit.as_deref(), window, out, &cancel)
                                .await
                                .map_err(CollectError::from)
                        }
                        None => Err(CollectError::failed(tr!(
                            "{node} is not in config.toml: add it"
                        ))),
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
                let reason = ended
                    .err()
                    .map_or_else(|| tr!("the log ended").into(), |e| e.to_string());
                let _ = messages.send(Msg::LogEnded { ticket, reason }).await;
            }
        });
    }

    fn spawn_access_follower(&mut self, ticket: Ticket, routes: AppRoutes) {
        let cancel = CancellationToken::new();
        self.logs.insert(ticket, cancel.clone());
        let (fleet, messages) = (self.fleet.clone(), self.messages.clone());
        tokio::spawn(async move {
            let (out, mut arriving) = mpsc::channel::<AccessNews>(8);
            let window = LogWindow {
                tail: ACCESS_TAIL_REQUESTS,
                follow: true,
                since: None,
            };
            let reading = follow_access(&fleet.nodes, &routes, window, out, &cancel);
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
                let reason = ended
                    .err()
                    .map_or_else(|| tr!("the log ended").into(), |e| e.to_string());
                let _ = messages.send(Msg::LogEnded { ticket, reason }).await;
            }
        });
    }

    /// Gives the terminal to a shell until it ends.
    async fn run_shell(
        &self,
        target: ShellTarget,
        screen: &mut Screen,
        keys: &mut Keys,
    ) -> Result<LoopControl> {
        let (ShellTarget::Node { node } | ShellTarget::Container { node, .. }) = &target;
        let link = self.fleet.nodes.get(node).map(|n| n.host.watch_link());
        if let Some(link) = link
            && *link.borrow() != NodeLink::Up
        {
            // Waiting for the connection would freeze the screen.
            let text = tr!("{node} is not connected: no shell can be opened there now");
            return Ok(LoopControl::Answer(Box::new(notice_message(text, true))));
        }
        let argv = match ops::build_shell_command(&self.fleet, &target, ShellInput::Terminal).await
        {
            Ok(argv) => argv,
            Err(e) => {
                return Ok(LoopControl::Answer(Box::new(notice_message(
                    e.to_string(),
                    true,
                ))));
            }
        };
        if !keys.step_back() {
            let text = tr!("a shell wants the whole terminal: `matou shell` opens it").to_owned();
            return Ok(LoopControl::Answer(Box::new(notice_message(text, true))));
        }
        screen.leave()?;
        let place = match &target {
            ShellTarget::Node { node } => node.clone(),
            ShellTarget::Container { node, label, .. } => tr!("{label} on {node}"),
        };
        let place = SafeText::from_line(place);
        // Nothing is lost where it can't be written.
        let _ = matou_base::outln!("{}", tr!("{place}: `exit` comes back to matou"));
        let status = tokio::process::Command::new(&argv[0])
            .args(&argv[1..])
            .status()
            .await;
        screen.enter_again()?;
        Ok(LoopControl::Answer(Box::new(match status {
            Ok(_) => Msg::Resumed,
            Err(e) => notice_message(tr!("the shell can't be started: {e}"), true),
        })))
    }

    /// Cancels everything but jobs that outlive the console, and closes the connections.
    pub(super) async fn close(self) {
        let jobs = self.jobs.values();
        let ended = jobs.filter(|(_, lasts)| !lasts).map(|(cancel, _)| cancel);
        let looking = self.snapshot_read.iter();
        for cancel in self.logs.values().chain(ended).chain(looking) {
            cancel.cancel();
        }
        drop(self.collectors);
        self.fleet.nodes.close().await;
    }
}

/// Reads the answer to a query about a snapshot from the repository.
async fn read_snapshot_answer(
    fleet: &FleetContext,
    look: &SnapshotQuery,
    cancel: &CancellationToken,
) -> Result<SnapshotAnswer, SafeText> {
    use matou_backup::listing;
    let restic = matou_collect::primary_repository(&fleet.config, &fleet.nodes);
    let restic = restic.await.map_err(SafeText::of)?;
    let read = match look {
        SnapshotQuery::Folder { snapshot, path } => {
            listing::list_snapshot_folder(&restic, snapshot, path, cancel)
                .await
                .map(SnapshotAnswer::Entries)
        }
        SnapshotQuery::Search { snapshot, text } => {
            listing::search_snapshot(&restic, snapshot, text, cancel)
                .await
                .map(SnapshotAnswer::Entries)
        }
        SnapshotQuery::File { snapshot, path } => {
            listing::preview_file(&restic, snapshot, path, cancel)
                .await
                .map(SnapshotAnswer::Head)
        }
        SnapshotQuery::Changes { older, newer } => {
            listing::diff_snapshots(&restic, older, newer, cancel)
                .await
                .map(SnapshotAnswer::Changes)
        }
    };
    read.map_err(SafeText::of)
}

fn notice_message(text: impl Into<String>, error: bool) -> Msg {
    Msg::Notice {
        text: text.into(),
        error,
    }
}

/// Writes a new file of mode 0600; an existing one is not overwritten.
async fn write_new_file(path: &Path, text: &str) -> Result<String> {
    let mut file = tokio::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .await
        .wrap_err(tr!(
            "a file of that name exists, or the folder can't be written"
        ))?;
    tokio::io::AsyncWriteExt::write_all(&mut file, text.as_bytes()).await?;
    // Where it is, also for who does not know in which folder the console was opened.
    let path = std::path::absolute(path)?;
    Ok(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_that_is_back_is_noticed() {
        let down = NodeLink::Down {
            reason: "no route".into(),
            since: Timestamp::UNIX_EPOCH,
        };
        let (up, lost) = (
            watch::Sender::new(NodeLink::Up),
            watch::Sender::new(NodeLink::Connecting),
        );
        let links = vec![up.subscribe(), lost.subscribe()];
        let mut waiting = std::pin::pin!(wait_for_return(links));
        let soon = Duration::from_millis(50);
        assert!(tokio::time::timeout(soon, &mut waiting).await.is_err());
        lost.send_replace(down);
        assert!(tokio::time::timeout(soon, &mut waiting).await.is_err());
        lost.send_replace(NodeLink::Up);
        let noticed = tokio::time::timeout(Duration::from_secs(5), waiting);
        assert!(noticed.await.is_ok());
    }
}
