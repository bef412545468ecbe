//! Applies messages to the state. Pure: what needs the outside is returned as an [`Effect`].

use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use jiff::Timestamp;
use matou_i18n::tr;
use tui_input::backend::crossterm::EventHandler;

use super::access::AccessView;
use super::actions;
use super::browser;
use super::call::Choice;
use super::commands;
use super::dashboard::{self, Happening};
use super::follow::ViewOutcome;
use super::jobs::JobWork;
use super::keymap::Action;
use super::log::LogView;
use super::mouse;
use super::msg::{Effect, LogSource, Msg, Ticket};
use super::overlay::{Overlay, OverlayAnswer};
use super::overlays::{HelpOverlay, JobsOverlay, MessageOverlay, QuitOverlay};
use super::pane::{Focus, Pane, Tab};
use super::panes::RowKind;
use super::read_only;
use super::state::{App, ConfigComparison, FollowedAccessLog, FollowedLog};
use super::text_input::insert_text;
use matou_base::text::SafeText;
use matou_collect::AccessNews;
use matou_config::NotifyMethod;
use matou_job::{JobEvent, JobId, JobOutcome, Plan};
use matou_model::{AppRoutes, Datum, Fleet, Update};
use matou_monitor::{Alert, AlertKind, AnswerSample};
use matou_ops::Request;
use matou_provision::audit::NodeAudit;

/// Applies a message to the state. Returns what is to be done outside.
pub fn update(app: &mut App, msg: Msg, now: Timestamp) -> Vec<Effect> {
    app.now = now;
    // Rows of the dashboard come from what was read, and from the time.
    let brings_news = !matches!(
        msg,
        Msg::Terminal(_) | Msg::Log { .. } | Msg::SnapshotRead { .. }
    );
    let asked = matches!(msg, Msg::Terminal(_));
    let mut effects = match msg {
        Msg::Terminal(event) => handle_terminal_event(app, event),
        Msg::Fleet(update) => {
            apply_fleet_update(app, update);
            Vec::new()
        }
        Msg::Planned { ticket, plan } => take_plan(app, ticket, plan),
        Msg::NewerVersions { ticket, found } => {
            answer_overlay(app, ticket, OverlayAnswer::Versions(found))
        }
        Msg::Bans { ticket, found } => {
            let near = match app.selected_row() {
                Some(row) if matches!(row.kind, RowKind::Node(_)) => Some(row.name.clone()),
                _ => None,
            };
            answer_overlay(app, ticket, OverlayAnswer::Bans { found, near })
        }
        Msg::Intrusions {
            ticket,
            found,
            bans,
        } => answer_overlay(app, ticket, OverlayAnswer::Intrusions { found, bans }),
        Msg::LogsFound { ticket, found } => {
            answer_overlay(app, ticket, OverlayAnswer::Records(found))
        }
        Msg::PastJobs { ticket, found } => {
            answer_overlay(app, ticket, OverlayAnswer::PastJobs(found))
        }
        Msg::Compared { plan, audits } => take_comparison(app, plan, audits),
        Msg::Logins(logins) => {
            app.dirty |= app.logins != logins;
            app.logins = logins;
            Vec::new()
        }
        Msg::History(kept) => {
            (app.week, app.trends, app.loads) = (kept.week, kept.trends, kept.loads);
            app.alerts_due = true;
            app.dirty = true;
            Vec::new()
        }
        Msg::JobStarted { id, request } => show_started_job(app, id, request),
        Msg::FoundRunning { request } => {
            app.show_notice(tr!("{} runs on from before", request.title()), false);
            app.jobs.already_running.push(request.clone());
            vec![Effect::WatchJob { request }]
        }
        Msg::CommandStarted { id, call } => {
            let said = tr!("{} began: J shows it", call.description);
            app.jobs.add_started(id, JobWork::Command(call), app.now);
            if app.overlays.is_empty() {
                app.open_overlay(JobsOverlay::for_job(id));
            } else {
                app.show_notice(said, false);
            }
            Vec::new()
        }
        Msg::Job { id, event } => take_job_event(app, id, event),
        Msg::Log { ticket, lines } => {
            if let Some(log) = app.log.as_mut().filter(|l| l.ticket == ticket) {
                log.view.push(lines);
                app.dirty = true;
            }
            Vec::new()
        }
        Msg::Access { ticket, news } => take_access_news(app, ticket, news),
        Msg::LogEnded { ticket, reason } => mark_log_ended(app, ticket, &reason),
        Msg::SnapshotRead {
            ticket,
            answer: seen,
        } => {
            app.dirty |= app.query_cache.take_answer(ticket, seen);
            Vec::new()
        }
        Msg::PasswordRead(password) => vec![Effect::CopyPassword(password)],
        Msg::Notice { text, error } => {
            app.show_notice(text, error);
            Vec::new()
        }
        Msg::Resumed => {
            app.dirty = true;
            vec![Effect::Redraw, Effect::Refresh]
        }
        Msg::Tick => {
            app.ticks += 1;
            app.alerts_due = true;
            app.dirty = true;
            Vec::new()
        }
        Msg::Terminate => vec![Effect::Quit],
    };
    effects.extend(follow_selected_log(app));
    effects.extend(follow_selected_access_log(app));
    effects.extend(announce_alert_changes(app));
    effects.extend(browser::query_shown_content(app));
    if app.board.is_open() && brings_news && app.dirty {
        let sections = dashboard::gather_board(app);
        app.board.replace_sections(sections);
    }
    if app.read_only {
        read_only::refuse_changes(app, &mut effects, asked);
    }
    effects
}

/// Hands an answer to the overlay that asked for it. Nobody waits for it any more when that is closed.
fn answer_overlay(app: &mut App, ticket: Ticket, answer: OverlayAnswer) -> Vec<Effect> {
    let asking = app.overlays.iter_mut().find(|o| o.ticket() == Some(ticket));
    if let Some(overlay) = asking {
        overlay.take_answer(answer);
        app.dirty = true;
        return overlay.next_question().into_iter().collect();
    }
    Vec::new()
}

/// Hands a plan to the overlay that asked for it. Where that was closed after its plan was confirmed,
/// a notice says that the job was not run.
fn take_plan(app: &mut App, ticket: Ticket, plan: Result<Plan, SafeText>) -> Vec<Effect> {
    let sent = app.jobs.sent.iter().position(|(sent, _)| *sent == ticket);
    let sent = sent.map(|at| app.jobs.sent.remove(at));
    // Of those that were confirmed together, none is run after it.
    let current = app.jobs.current.take_if(|(current, _)| *current == ticket);
    let others = match current {
        Some(_) => app.jobs.give_up_queued(),
        None => String::new(),
    };
    let is_open = app.overlays.iter().any(|o| o.ticket() == Some(ticket));
    if let (Some((_, request)), false) = (sent.or(current), is_open) {
        let why = match &plan {
            Ok(_) => tr!("the fleet changed after it was confirmed: look at its plan again"),
            Err(reason) => reason,
        };
        let text = tr!("{} was not run: {why}{others}", request.title());
        app.show_notice(text, true);
    }
    let mut effects = answer_overlay(app, ticket, OverlayAnswer::Plan(plan));
    if is_time_to_leave(app) {
        effects.push(Effect::Quit);
    }
    effects
}

/// Whether the operator waits to leave, and no job runs or is about to.
fn is_time_to_leave(app: &App) -> bool {
    let waits = app.overlays.iter().any(|o| o.waits_to_leave());
    waits && app.jobs.count_running() == 0 && app.jobs.sent.is_empty()
}

/// Takes a comparison of the nodes with config.toml.
fn take_comparison(
    app: &mut App,
    plan: Result<Plan, SafeText>,
    audits: Vec<(String, Result<NodeAudit, SafeText>)>,
) -> Vec<Effect> {
    let same = app
        .comparison
        .as_ref()
        .is_some_and(|c| c.plan == plan && c.audits == audits);
    // When both are the same, only the time of the comparison changes.
    app.dirty |= !same;
    app.comparison = Some(ConfigComparison {
        at: app.now,
        plan,
        audits,
    });
    app.drift = super::panes::drifted_nodes(app);
    app.alerts_due = true;
    Vec::new()
}

/// Opens the output of a job that started, where its plan is still open; else a notice tells it.
fn show_started_job(app: &mut App, id: JobId, request: Request) -> Vec<Effect> {
    app.jobs.sent.retain(|(_, sent)| *sent != request);
    let found = app.jobs.already_running.iter().position(|f| *f == request);
    app.jobs
        .add_started(id, JobWork::Request(request.clone()), app.now);
    app.dirty = true;
    if let Some(at) = found {
        app.jobs.already_running.remove(at);
        return Vec::new();
    }
    let plan = app.overlays.iter().rposition(|o| o.shows_plan_of(&request));
    match plan {
        Some(at) => {
            // What it came from closes with it: a form, the catalogue.
            let from = app.overlays[..at].iter().rposition(|o| !o.leads_to_plan());
            app.overlays.drain(from.map_or(0, |at| at + 1)..=at);
            app.open_overlay(JobsOverlay::for_job(id));
        }
        None if app.overlays.is_empty() => app.open_overlay(JobsOverlay::for_job(id)),
        // Keys are being pressed that are meant for what is open.
        None => app.show_notice(tr!("{} began: J shows it", request.title()), false),
    }
    Vec::new()
}

/// Takes what happened in a job; a notice tells its end.
fn take_job_event(app: &mut App, id: JobId, event: JobEvent) -> Vec<Effect> {
    app.dirty = true;
    let ended = app.jobs.take_event(id, event, app.now).map(|job| {
        let title = job.title();
        let well = matches!(job.outcome, Some(JobOutcome::Done { .. }));
        let ends = (job.request().cloned(), well);
        let said = match &job.outcome {
            Some(JobOutcome::Failed { reason }) => (tr!("{title}: {reason}"), true),
            _ => (tr!("{title}: {}", job.state_word()), false),
        };
        (said, ends)
    });
    // What it changed is read again: snapshots, certificates, services.
    let mut effects = ended.iter().map(|_| Effect::Refresh).collect::<Vec<_>>();
    if let Some(((mut text, mut error), (request, well))) = ended {
        // The next of those that were confirmed together; none after one that failed.
        if app
            .jobs
            .current
            .as_ref()
            .is_some_and(|(_, r)| Some(r) == request.as_ref())
        {
            app.jobs.current = None;
            if !well {
                let others = app.jobs.give_up_queued();
                error |= !others.is_empty();
                text += &others;
            }
            effects.extend(app.jobs.start_next());
        }
        app.show_notice(text, error);
    }
    match app.jobs.count_running() {
        0 if is_time_to_leave(app) => return vec![Effect::Quit],
        // After the last job the nodes are compared again.
        0 => effects.push(Effect::Compare),
        _ => {}
    }
    effects
}

/// Takes requests of the access log that is followed; those of another are dropped.
fn take_access_news(app: &mut App, ticket: Ticket, news: AccessNews) -> Vec<Effect> {
    if let Some(access) = app.access.as_mut().filter(|a| a.ticket == ticket) {
        match news {
            AccessNews::Requests(requests) => access.view.push(requests),
            AccessNews::Note(text) => {
                access
                    .view
                    .set_note(matou_base::text::clean_line(&text).into_owned());
            }
        }
        app.dirty = true;
    }
    Vec::new()
}

/// Shows why the log or access log of this ticket ended.
fn mark_log_ended(app: &mut App, ticket: Ticket, reason: &str) -> Vec<Effect> {
    if let Some(access) = app.access.as_mut().filter(|a| a.ticket == ticket) {
        access
            .view
            .mark_ended(matou_base::text::clean_line(reason).into_owned());
        app.dirty = true;
    }
    if let Some(log) = app.log.as_mut().filter(|l| l.ticket == ticket) {
        log.view
            .mark_ended(matou_base::text::clean_line(reason).into_owned());
        app.dirty = true;
    }
    Vec::new()
}

/// Evaluates alerts when that is due. Alarms for those that began, shows a notice for one that
/// ended, and saves the ledger when it changed.
fn announce_alert_changes(app: &mut App) -> Vec<Effect> {
    let mut effects = Vec::new();
    if app.alerts_due {
        let news = app.evaluate_alerts();
        if let Some(first) = news.began.first() {
            effects.extend(alarm_effect(app, first, news.began.len()));
        }
        // An alert of Alertmanager may have given way to the console's own about the same thing.
        let still = |over: &Alert| {
            over.kind == AlertKind::Told && app.alerts.iter().any(|a| a.target == over.target)
        };
        for over in news.ended.iter().filter(|a| !still(a)) {
            app.board.remember(Happening {
                at: app.now,
                text: tr!("{}: {}", over.what, over.why),
                target: over.target.clone(),
            });
        }
        let mut ended = news.ended.iter();
        let told = ended.find(|a| a.silence.is_none() && !still(a));
        if let Some(over) = told
            && app.notice.is_none()
        {
            app.show_notice(tr!("over: {}: {}", over.what, over.why), false);
        }
    }
    effects.extend(app.alert_engine.take_changes().map(Effect::SaveLedger));
    effects
}

fn alarm_effect(app: &App, first: &Alert, count: usize) -> Option<Effect> {
    let (bell, notify) = (app.thresholds.bell, app.thresholds.notify);
    let more = match count {
        1 => String::new(),
        n => tr!(" (and {} more)", n - 1),
    };
    let text = tr!("{}: {}: {}{more}", app.fleet.name, first.what, first.why);
    (bell || notify != NotifyMethod::Off).then(|| Effect::Alarm {
        text: matou_base::text::clean_line(&text).into_owned(),
        bell,
        notify,
    })
}

/// Applies an update of a collector. Nothing is drawn when its reading equals the one before.
fn apply_fleet_update(app: &mut App, update: Update) {
    let same = repeats_last_reading(&app.fleet, &update.datum);
    let pane = pane_of_datum(&update.datum);
    let measures_nodes = matches!(update.datum, Datum::Metrics { .. });
    record_history(app, &update);
    app.fleet.apply(update);
    if same {
        return;
    }
    if let Some(pane) = pane {
        app.refresh_list(pane);
    }
    // The pane of backups lists applications that were never backed up too.
    if pane == Some(Pane::Services) {
        app.refresh_list(Pane::Backups);
    }
    // By what they use, nodes are sorted anew with each reading.
    if measures_nodes && app.lists[Pane::Nodes.index()].order.is_some() {
        app.refresh_list(Pane::Nodes);
    }
    // Nodes come and go with the swarm.
    if pane == Some(Pane::Services) || app.lists[Pane::Nodes.index()].total != app.fleet.nodes.len()
    {
        app.refresh_list(Pane::Nodes);
    }
    app.alerts_due = true;
    app.dirty = true;
}

/// Returns whether a reading equals the one that the fleet has already.
fn repeats_last_reading(fleet: &Fleet, datum: &Datum) -> bool {
    match datum {
        Datum::Swarm(Ok(new)) => fleet.swarm.value() == Some(new) && fleet.swarm.error().is_none(),
        Datum::Volumes {
            node,
            reading: Ok(new),
        } => fleet
            .find_node(node)
            .is_some_and(|n| n.volumes.value() == Some(new) && n.volumes.error().is_none()),
        Datum::Engine {
            node,
            reading: Ok(new),
        } => fleet
            .find_node(node)
            .is_some_and(|n| n.engine.value() == Some(new) && n.engine.error().is_none()),
        Datum::Snapshots(Ok(new)) => {
            fleet.snapshots.value() == Some(new) && fleet.snapshots.error().is_none()
        }
        Datum::Backups(Ok(new)) => {
            fleet.backups.value() == Some(new) && fleet.backups.error().is_none()
        }
        // The reading of the load comes with it, and has the screen drawn.
        Datum::Disks { .. } => true,
        _ => false,
    }
}

/// Returns the pane that lists what was read; `None` when none does.
fn pane_of_datum(datum: &Datum) -> Option<Pane> {
    match datum {
        Datum::Volumes { .. } | Datum::VolumeSizes(_) => Some(Pane::Volumes),
        Datum::Snapshots(_) | Datum::Backups(_) => Some(Pane::Backups),
        Datum::Certificates(_) | Datum::Domains(_) => Some(Pane::Certificates),
        Datum::Swarm(_) => Some(Pane::Services),
        // A node that is lost is put first.
        Datum::Link { .. } | Datum::Engine { .. } => Some(Pane::Nodes),
        Datum::Metrics { .. }
        | Datum::Disks { .. }
        | Datum::Probes(_)
        | Datum::ExternalAlerts(_)
        | Datum::AppJobs(_) => None,
    }
}

/// Records how full disks are, what applications answered and which tasks failed.
fn record_history(app: &mut App, update: &Update) {
    match &update.datum {
        Datum::Metrics {
            node,
            reading: Ok(m),
        } => {
            app.trends.add_reading(node, update.at, m.disk_used);
            app.loads.add_reading(node, update.at, m);
            for disk in app.fleet.find_node(node).into_iter().flat_map(|n| &n.disks) {
                let place = matou_monitor::disk_trend_key(node, &disk.mount);
                app.trends.add_reading(&place, update.at, disk.used);
            }
        }
        Datum::Swarm(Ok(swarm)) => app.failures.take_swarm(swarm, update.at),
        Datum::Probes(Ok(probes)) => {
            for probe in probes {
                let at = update.at.as_second();
                app.week
                    .add_answer(&probe.domain, at, AnswerSample::of(probe));
            }
        }
        _ => {}
    }
}

fn handle_terminal_event(app: &mut App, event: TerminalEvent) -> Vec<Effect> {
    match event {
        TerminalEvent::Key(key) if key.kind != KeyEventKind::Release => {
            app.dirty = true;
            self::handle_key_event(app, key)
        }
        TerminalEvent::Mouse(mouse) => {
            let keys = mouse::handle_mouse_event(app, mouse).into_iter();
            keys.flat_map(|key| handle_key_event(app, key)).collect()
        }
        TerminalEvent::Paste(text) => {
            app.dirty = true;
            insert_pasted_text(app, &text);
            Vec::new()
        }
        TerminalEvent::Resize(..) => {
            app.dirty = true;
            Vec::new()
        }
        _ => Vec::new(),
    }
}

fn handle_key_event(app: &mut App, key: KeyEvent) -> Vec<Effect> {
    let action = app.keymap.find_action(key);
    // These work everywhere, also while text is typed.
    match action {
        Some(Action::Redraw) => return vec![Effect::Redraw],
        Some(Action::Suspend) => return vec![Effect::Suspend],
        Some(Action::Interrupt) => {
            if app.overlays.pop().is_none() {
                app.open_overlay(QuitOverlay::default());
            }
            return Vec::new();
        }
        _ => {}
    }
    let notice = app.notice.take();
    if let Some(overlay) = app.overlays.pop() {
        return handle_overlay_key(app, overlay, key);
    }
    if app.filtering {
        handle_filter_key(app, key);
        return Vec::new();
    }
    // What is behind the dashboard gets no keys.
    let in_detail = app.focus == Focus::Detail && !app.board.is_open();
    if in_detail && let Some(effects) = handle_followed_key(app, key) {
        return effects;
    }
    if in_detail && app.shown_tab() == Tab::Load && key == KeyCode::Char('t').into() {
        app.load_span = app.load_span.next();
        return Vec::new();
    }
    if in_detail && app.shown_tab() == Tab::Files {
        match browser::handle_files_key(app, key) {
            browser::BrowserOutcome::Handled => return Vec::new(),
            browser::BrowserOutcome::Copy(path) => return vec![Effect::Copy(path)],
            browser::BrowserOutcome::Restore(path) => {
                actions::open_restore(app, Some(path));
                return Vec::new();
            }
            browser::BrowserOutcome::Ignored => {}
        }
    }
    if in_detail
        && key.modifiers.is_empty()
        && let Some(turn) = actions::arrow_turns_tab(app, key.code, action)
    {
        return actions::run_action(app, turn);
    }
    match action {
        // The sentence in the last line is opened before anything else.
        Some(Action::Open) if notice.as_ref().is_some_and(|n| n.error) => {
            let text = notice.map_or_else(String::new, |n| n.text);
            app.open_overlay(MessageOverlay::new(tr!("What happened"), text));
            Vec::new()
        }
        Some(action) => actions::run_action(app, action),
        None => commands::run_key(app, key).unwrap_or_default(),
    }
}

/// Hands a key to an overlay that was taken from the top, and puts it back unless it closes.
fn handle_overlay_key(app: &mut App, mut overlay: Box<dyn Overlay>, key: KeyEvent) -> Vec<Effect> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL) && !overlay.takes_text();
    let code = match key.code {
        // Half a page, before any overlay takes them for the letters.
        KeyCode::Char('d') if control => KeyCode::PageDown,
        KeyCode::Char('u') if control => KeyCode::PageUp,
        KeyCode::Char(_) if control => KeyCode::Null,
        code => code,
    };
    let key = KeyEvent { code, ..key };
    // Letters and digits are the overlay's own, whatever they are elsewhere.
    let is_own = matches!(code, KeyCode::Char(c) if c.is_alphanumeric());
    if overlay.opens_help() && !is_own && app.keymap.find_action(key) == Some(Action::Help) {
        app.overlays.push(overlay);
        app.open_overlay(HelpOverlay::default());
        return Vec::new();
    }
    let reply = overlay.handle_key(app, key);
    if !reply.close {
        // It stays, below the one that it opened.
        app.overlays.push(overlay);
    }
    app.overlays.extend(reply.open);
    let mut effects = reply.effects;
    if reply.close
        && let Some(choice) = reply.choice
    {
        effects.extend(match choice {
            Choice::Action(action) => actions::run_action(app, action),
            Choice::Command(at) => commands::run_command(app, at),
        });
    }
    effects
}

fn handle_filter_key(app: &mut App, key: KeyEvent) {
    match key.code {
        KeyCode::Enter | KeyCode::Down | KeyCode::Up => app.filtering = false,
        KeyCode::Esc => {
            app.filtering = false;
            app.focused_list_mut().filter.reset();
        }
        _ => {
            let event = TerminalEvent::Key(key);
            app.focused_list_mut().filter.handle_event(&event);
        }
    }
    let pane = app.pane;
    app.refresh_list(pane);
}

/// Hands a key to the log or the access log that is shown. Returns `None` when none is, or when it
/// ignores the key.
fn handle_followed_key(app: &mut App, key: KeyEvent) -> Option<Vec<Effect>> {
    let (outcome, name) = match (app.shown_tab(), &mut app.log, &mut app.access) {
        (Tab::Logs, Some(log), _) => {
            let name = match &log.source {
                LogSource::Services { name, .. } => name.clone(),
                LogSource::Journal { node, .. } => format!("{node}-journal"),
            };
            (log.view.handle_key(key), name)
        }
        (Tab::Access, _, Some(access)) => (
            access.view.handle_key(key),
            format!("{}-access", access.routes.name),
        ),
        _ => return None,
    };
    match outcome {
        ViewOutcome::Handled => Some(Vec::new()),
        ViewOutcome::Copy(text) => Some(vec![Effect::Copy(text)]),
        ViewOutcome::Save(text) => Some(vec![save_log_effect(app, &name, text)]),
        ViewOutcome::Ignored => None,
    }
}

/// Returns the effect that saves a text to a file, named after `name` and the time.
fn save_log_effect(app: &App, name: &str, text: String) -> Effect {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = name.replace(|c| !plain(c), "-");
    let path = format!("{name}-{}.log", app.now.strftime("%Y%m%d-%H%M%S")).into();
    Effect::Save { path, text }
}

fn insert_pasted_text(app: &mut App, text: &str) {
    if let Some(mut overlay) = app.overlays.pop() {
        overlay.paste(app, text);
        app.overlays.push(overlay);
    } else if app.filtering {
        insert_text(&mut app.focused_list_mut().filter, text);
        let pane = app.pane;
        app.refresh_list(pane);
    } else if app.focus == Focus::Detail && !app.board.is_open() {
        match (app.shown_tab(), &mut app.log, &mut app.access) {
            (Tab::Logs, Some(log), _) => log.view.paste(text),
            (Tab::Access, _, Some(access)) => access.view.paste(text),
            (Tab::Files, ..) => browser::paste(app, text),
            _ => {}
        }
    }
}

/// Follows the log of the selected row while the tab of logs is shown, and stops any other.
fn follow_selected_log(app: &mut App) -> Vec<Effect> {
    let wanted = (app.shown_tab() == Tab::Logs)
        .then(|| selected_log_source(app))
        .flatten();
    if app.log.as_ref().map(|l| &l.source) == wanted.as_ref() {
        return Vec::new();
    }
    let mut effects: Vec<Effect> = app
        .log
        .take()
        .map(|l| Effect::StopFollowing(l.ticket))
        .into_iter()
        .collect();
    if let Some(source) = wanted {
        let ticket = app.issue_ticket();
        effects.push(Effect::FollowLogs {
            ticket,
            source: source.clone(),
        });
        app.log = Some(FollowedLog {
            ticket,
            source,
            view: LogView::new(app.log_memory, app.zone.clone()),
        });
    }
    effects
}

/// Follows the requests to the selected row while the tab of requests is shown, and stops any
/// others.
fn follow_selected_access_log(app: &mut App) -> Vec<Effect> {
    let wanted = (app.shown_tab() == Tab::Access)
        .then(|| selected_routes(app))
        .flatten();
    if app.access.as_ref().map(|a| &a.routes) == wanted.as_ref() {
        return Vec::new();
    }
    let before = app.access.take().map(|a| Effect::StopFollowing(a.ticket));
    let mut effects: Vec<Effect> = before.into_iter().collect();
    if let Some(routes) = wanted {
        let ticket = app.issue_ticket();
        effects.push(Effect::FollowAccess {
            ticket,
            routes: routes.clone(),
        });
        app.access = Some(FollowedAccessLog {
            ticket,
            routes,
            view: AccessView::new(app.zone.clone()),
        });
    }
    effects
}

/// Returns the routes to the selected row.
fn selected_routes(app: &App) -> Option<AppRoutes> {
    let row = app.selected_row()?;
    let all = app.fleet.swarm.value().map_or(&[][..], |s| &s.services);
    let places = match &row.kind {
        RowKind::App { services } => services.as_slice(),
        RowKind::Service(at) | RowKind::Task { service: at, .. } => std::slice::from_ref(at),
        _ => return None,
    };
    let services: Vec<_> = places.iter().filter_map(|at| all.get(*at)).collect();
    let name = match (&row.kind, services.first()) {
        (RowKind::Task { .. }, Some(service)) => &service.name,
        _ => &row.name,
    };
    AppRoutes::from_services(name, &services)
}

fn selected_log_source(app: &App) -> Option<LogSource> {
    let row = app.selected_row()?;
    let services = app.fleet.swarm.value().map_or(&[][..], |s| &s.services);
    let of = |places: &[usize], name: &str| LogSource::Services {
        ids: places
            .iter()
            .filter_map(|i| services.get(*i))
            .map(|s| s.id.clone())
            .collect(),
        name: name.to_owned(),
    };
    match &row.kind {
        RowKind::Node(node) => Some(LogSource::Journal {
            node: app.fleet.nodes.get(*node)?.name.clone(),
            unit: None,
        }),
        RowKind::App { services } => Some(of(services, &row.name)),
        RowKind::Service(service) | RowKind::Task { service, .. } => {
            let name = services.get(*service)?.name.clone();
            Some(of(&[*service], &name))
        }
        _ => None,
    }
}
