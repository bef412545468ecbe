//! Takes a message into the state. Pure: what needs the outside is answered as an [`Effect`].

use crossterm::event::{
    Event as TerminalEvent, KeyCode, KeyEvent, KeyEventKind, MouseButton, MouseEvent,
    MouseEventKind,
};
use jiff::Timestamp;
use ratatui::layout::Position;
use tui_input::backend::crossterm::EventHandler;

use super::access::{AccessOutcome, AccessView};
use super::actions;
use super::browser;
use super::keymap::Action;
use super::log::{LogOutcome, LogView};
use super::msg::{Effect, LogSource, Msg};
use super::overlays::{JobsView, Message, Overlay, Quit};
use super::panes::RowKind;
use super::state::{App, Checked, Focus, OpenAccess, OpenLog, Pane, Tab};
use crate::collect::AccessNews;
use crate::config::Notify;
use crate::job::Outcome;
use crate::model::{Datum, Routes, Update};
use crate::monitor::{Alert, Kind, Sample};

/// Rows that one turn of the wheel moves.
const WHEEL: isize = 3;

/// Takes a message; answers with what is to be done outside.
pub fn update(app: &mut App, msg: Msg, now: Timestamp) -> Vec<Effect> {
    app.now = now;
    let mut effects = match msg {
        Msg::Terminal(event) => terminal(app, event),
        Msg::Fleet(update) => {
            fleet(app, update);
            Vec::new()
        }
        Msg::Planned { ticket, plan } => {
            let view = app.overlays.iter_mut().find_map(|o| match o {
                Overlay::Plan(view) if view.ticket == ticket => Some(view),
                _ => None,
            });
            // Without a view nobody waits for it any more.
            if let Some(view) = view {
                view.take(plan);
                app.dirty = true;
            }
            Vec::new()
        }
        Msg::Newer { ticket, found } => {
            let view = app.overlays.iter_mut().find_map(|o| match o {
                Overlay::Versions(view) if view.ticket == ticket => Some(view),
                _ => None,
            });
            if let Some(view) = view {
                view.take(found);
                app.dirty = true;
            }
            Vec::new()
        }
        Msg::Bans { ticket, found } => {
            let near = match app.selected().map(|r| &r.kind) {
                Some(RowKind::Node(_)) => app.selected().map(|r| r.name.clone()),
                _ => None,
            };
            let view = app.overlays.iter_mut().find_map(|o| match o {
                Overlay::Bans(view) if view.ticket == ticket => Some(view),
                _ => None,
            });
            if let Some(view) = view {
                view.take(found, near.as_deref());
                app.dirty = true;
            }
            Vec::new()
        }
        Msg::Intrusions {
            ticket,
            found,
            bans,
        } => {
            let view = app.overlays.iter_mut().find_map(|o| match o {
                Overlay::Intrusions(view) if view.ticket == ticket => Some(view),
                _ => None,
            });
            if let Some(view) = view {
                view.take(&found, bans);
                app.dirty = true;
            }
            Vec::new()
        }
        Msg::Found { ticket, found } => {
            let view = app.overlays.iter_mut().find_map(|o| match o {
                Overlay::Search(view) if view.ticket == ticket => Some(view),
                _ => None,
            });
            if let Some(view) = view {
                view.take(found);
                app.dirty = true;
            }
            Vec::new()
        }
        Msg::Checked { plan, audits } => {
            let same = app
                .checked
                .as_ref()
                .is_some_and(|c| c.plan == plan && c.audits == audits);
            // Only its age differs then.
            app.dirty |= !same;
            app.checked = Some(Checked {
                at: now,
                plan,
                audits,
            });
            app.drift = super::panes::drifted(app);
            app.to_look = true;
            Vec::new()
        }
        Msg::History { week, trends } => {
            (app.week, app.trends) = (week, trends);
            app.to_look = true;
            app.dirty = true;
            Vec::new()
        }
        Msg::JobStarted { id, request } => {
            // The plan and the form it came from have done their work; its output takes over.
            app.overlays.retain(|o| match o {
                Overlay::Plan(view) => *view.request() != request,
                Overlay::Form(_) | Overlay::Catalogue(_) | Overlay::Restore(_) => false,
                _ => true,
            });
            let found = app.jobs.found.iter().position(|f| *f == request);
            app.jobs.start(id, request, now);
            match found {
                Some(at) => drop(app.jobs.found.remove(at)),
                None => app.overlays.push(Overlay::Jobs(JobsView::of(id))),
            }
            app.dirty = true;
            Vec::new()
        }
        Msg::FoundRunning { request } => {
            app.say(format!("{} runs on from before", request.title()), false);
            app.jobs.found.push(request.clone());
            vec![Effect::Watch { request }]
        }
        Msg::Job { id, event } => {
            app.dirty = true;
            let ended = app.jobs.take(id, event, now).map(|job| {
                let title = job.request.title();
                match &job.outcome {
                    Some(Outcome::Failed { reason }) => (format!("{title}: {reason}"), true),
                    _ => (format!("{title}: {}", job.word()), false),
                }
            });
            if let Some((text, error)) = ended {
                app.say(text, error);
            }
            let leaving = app
                .overlays
                .iter()
                .any(|o| matches!(o, Overlay::Quit(Quit { waiting: true })));
            match app.jobs.running() {
                0 if leaving => vec![Effect::Quit],
                // What a job changed is compared again.
                0 => vec![Effect::Check],
                _ => Vec::new(),
            }
        }
        Msg::Log { ticket, lines } => {
            if let Some(log) = app.log.as_mut().filter(|l| l.ticket == ticket) {
                log.view.push(lines);
                app.dirty = true;
            }
            Vec::new()
        }
        Msg::Access { ticket, news } => {
            if let Some(access) = app.access.as_mut().filter(|a| a.ticket == ticket) {
                match news {
                    AccessNews::Requests(requests) => access.view.push(requests),
                    AccessNews::Note(text) => {
                        access.view.note(crate::text::clean(&text).into_owned());
                    }
                }
                app.dirty = true;
            }
            Vec::new()
        }
        Msg::LogEnded { ticket, reason } => {
            if let Some(access) = app.access.as_mut().filter(|a| a.ticket == ticket) {
                access.view.end(crate::text::clean(&reason).into_owned());
                app.dirty = true;
            }
            if let Some(log) = app.log.as_mut().filter(|l| l.ticket == ticket) {
                log.view.end(crate::text::clean(&reason).into_owned());
                app.dirty = true;
            }
            Vec::new()
        }
        Msg::Looked { ticket, seen } => {
            app.dirty |= app.looks.take(ticket, seen);
            Vec::new()
        }
        Msg::Notice { text, error } => {
            app.say(text, error);
            Vec::new()
        }
        Msg::Resumed => {
            app.dirty = true;
            vec![Effect::Redraw, Effect::Refresh]
        }
        Msg::Tick => {
            app.ticks += 1;
            app.to_look = true;
            app.dirty = true;
            Vec::new()
        }
        Msg::Terminate => vec![Effect::Quit],
    };
    effects.extend(follow_selection(app));
    effects.extend(follow_access(app));
    effects.extend(watch(app));
    effects.extend(browser::follow(app));
    effects
}

/// What began is told, what is over too, and what was said about alerts is kept.
fn watch(app: &mut App) -> Vec<Effect> {
    let mut effects = Vec::new();
    if app.to_look {
        let news = app.look();
        if let Some(first) = news.began.first() {
            effects.extend(alarm(app, first, news.began.len()));
        }
        // What Alertmanager told of may have been found by looking ourselves meanwhile.
        let still =
            |over: &Alert| over.kind == Kind::Told && app.alerts.iter().any(|a| a.row == over.row);
        let mut ended = news.ended.iter();
        let told = ended.find(|a| a.silence.is_none() && !still(a));
        if let Some(over) = told
            && app.notice.is_none()
        {
            app.say(format!("over: {}: {}", over.what, over.why), false);
        }
    }
    effects.extend(app.engine.take_changes().map(Effect::Remember));
    effects
}

fn alarm(app: &App, first: &Alert, count: usize) -> Option<Effect> {
    let (bell, notify) = (app.thresholds.bell, app.thresholds.notify);
    let more = match count {
        1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    let text = format!("{}: {}: {}{more}", app.fleet.name, first.what, first.why);
    (bell || notify != Notify::Off).then(|| Effect::Alarm {
        text: crate::text::clean(&text).into_owned(),
        bell,
        notify,
    })
}

/// Takes a reading; what reads the same as before is not drawn again.
fn fleet(app: &mut App, update: Update) {
    let same = match &update.datum {
        Datum::Swarm(Ok(new)) => {
            app.fleet.swarm.value() == Some(new) && app.fleet.swarm.error().is_none()
        }
        Datum::Volumes {
            node,
            reading: Ok(new),
        } => app
            .fleet
            .node(node)
            .is_some_and(|n| n.volumes.value() == Some(new) && n.volumes.error().is_none()),
        Datum::Engine {
            node,
            reading: Ok(new),
        } => app
            .fleet
            .node(node)
            .is_some_and(|n| n.engine.value() == Some(new) && n.engine.error().is_none()),
        Datum::Snapshots(Ok(new)) => {
            app.fleet.snapshots.value() == Some(new) && app.fleet.snapshots.error().is_none()
        }
        Datum::Backups(Ok(new)) => {
            app.fleet.backups.value() == Some(new) && app.fleet.backups.error().is_none()
        }
        // The load comes with it, and is drawn.
        Datum::Disks { .. } => true,
        _ => false,
    };
    let pane = match &update.datum {
        Datum::Volumes { .. } => Some(Pane::Volumes),
        Datum::Snapshots(_) | Datum::Backups(_) => Some(Pane::Backups),
        Datum::Certificates(_) => Some(Pane::Certificates),
        Datum::Swarm(_) => Some(Pane::Services),
        Datum::Link { .. }
        | Datum::Engine { .. }
        | Datum::Metrics { .. }
        | Datum::Disks { .. }
        | Datum::Probes(_)
        | Datum::Told(_) => None,
    };
    match &update.datum {
        Datum::Metrics {
            node,
            reading: Ok(m),
        } => {
            app.trends.add(node, update.at, m.disk_used);
            for disk in app.fleet.node(node).into_iter().flat_map(|n| &n.disks) {
                let place = crate::monitor::place(node, &disk.mount);
                app.trends.add(&place, update.at, disk.used);
            }
        }
        Datum::Probes(Ok(probes)) => {
            for probe in probes {
                let at = update.at.as_second();
                app.week.add(&probe.domain, at, Sample::of(probe));
            }
        }
        _ => {}
    }
    app.fleet.apply(update);
    if same {
        return;
    }
    if let Some(pane) = pane {
        app.refresh_list(pane);
    }
    // An application that was never backed up is listed too.
    if pane == Some(Pane::Services) {
        app.refresh_list(Pane::Backups);
    }
    // Nodes come and go with the swarm.
    if pane == Some(Pane::Services) || app.lists[0].total != app.fleet.nodes.len() {
        app.refresh_list(Pane::Nodes);
    }
    app.to_look = true;
    app.dirty = true;
}

fn terminal(app: &mut App, event: TerminalEvent) -> Vec<Effect> {
    match event {
        TerminalEvent::Key(key) if key.kind != KeyEventKind::Release => {
            app.dirty = true;
            self::key(app, key)
        }
        TerminalEvent::Mouse(mouse) => {
            self::mouse(app, mouse);
            Vec::new()
        }
        TerminalEvent::Paste(text) => {
            app.dirty = true;
            paste(app, &text);
            Vec::new()
        }
        TerminalEvent::Resize(..) => {
            app.dirty = true;
            Vec::new()
        }
        _ => Vec::new(),
    }
}

fn key(app: &mut App, key: KeyEvent) -> Vec<Effect> {
    let action = app.keymap.action(key);
    // These work everywhere, also while text is typed.
    match action {
        Some(Action::Redraw) => return vec![Effect::Redraw],
        Some(Action::Suspend) => return vec![Effect::Suspend],
        Some(Action::Interrupt) => {
            if app.overlays.pop().is_none() {
                app.overlays.push(Overlay::Quit(Quit::default()));
            }
            return Vec::new();
        }
        _ => {}
    }
    let notice = app.notice.take();
    if let Some(mut overlay) = app.overlays.pop() {
        return overlay_key(app, &mut overlay, key).map_or_else(
            |effects| effects,
            |effects| {
                // It stays, under what it opened.
                let at = app.overlays.len() - usize::from(effects.1);
                app.overlays.insert(at, overlay);
                effects.0
            },
        );
    }
    if app.filtering {
        filter_key(app, key);
        return Vec::new();
    }
    if app.focus == Focus::Detail
        && app.shown_tab() == Tab::Logs
        && let Some(effects) = log_key(app, key)
    {
        return effects;
    }
    if app.focus == Focus::Detail
        && app.shown_tab() == Tab::Access
        && let Some(effects) = access_key(app, key)
    {
        return effects;
    }
    if app.focus == Focus::Detail && app.shown_tab() == Tab::Files {
        match browser::key(app, key) {
            browser::Outcome::Handled => return Vec::new(),
            browser::Outcome::Copy(path) => return vec![Effect::Copy(path)],
            browser::Outcome::Restore(path) => {
                actions::restore(app, Some(path));
                return Vec::new();
            }
            browser::Outcome::Ignored => {}
        }
    }
    match action {
        // The sentence in the last line is opened before anything else.
        Some(Action::Open) if notice.as_ref().is_some_and(|n| n.error) => {
            let text = notice.map_or_else(String::new, |n| n.text);
            app.overlays
                .push(Overlay::Message(Message::new("What happened", text)));
            Vec::new()
        }
        Some(action) => actions::run(app, action),
        None => Vec::new(),
    }
}

/// `Ok` when the overlay stays, with whether it opened another; `Err` when it is closed.
#[allow(clippy::result_large_err)]
fn overlay_key(
    app: &mut App,
    overlay: &mut Overlay,
    key: KeyEvent,
) -> Result<(Vec<Effect>, bool), Vec<Effect>> {
    let reply = overlay.key(app, key);
    let opened = reply.open.is_some();
    app.overlays.extend(reply.open);
    let mut effects = reply.effects;
    if !reply.close {
        return Ok((effects, opened));
    }
    if let Some(action) = reply.action {
        effects.extend(actions::run(app, action));
    }
    Err(effects)
}

fn filter_key(app: &mut App, key: KeyEvent) {
    match key.code {
        KeyCode::Enter | KeyCode::Down | KeyCode::Up => app.filtering = false,
        KeyCode::Esc => {
            app.filtering = false;
            app.list_mut().filter.reset();
        }
        _ => {
            let event = TerminalEvent::Key(key);
            app.list_mut().filter.handle_event(&event);
        }
    }
    let pane = app.pane;
    app.refresh_list(pane);
}

/// `None` when the log view has no use for the key.
fn log_key(app: &mut App, key: KeyEvent) -> Option<Vec<Effect>> {
    let log = app.log.as_mut()?;
    match log.view.key(key) {
        LogOutcome::Handled => Some(Vec::new()),
        LogOutcome::Copy(text) => Some(vec![Effect::Copy(text)]),
        LogOutcome::Save(text) => {
            let name = match &log.source {
                LogSource::Services { name, .. } => name.clone(),
                LogSource::Journal { node, .. } => format!("{node}-journal"),
            };
            Some(vec![save(app, &name, text)])
        }
        LogOutcome::Ignored => None,
    }
}

/// `None` when the access log has no use for the key.
fn access_key(app: &mut App, key: KeyEvent) -> Option<Vec<Effect>> {
    let access = app.access.as_mut()?;
    match access.view.key(key) {
        AccessOutcome::Handled => Some(Vec::new()),
        AccessOutcome::Copy(text) => Some(vec![Effect::Copy(text)]),
        AccessOutcome::Save(text) => {
            let name = format!("{}-access", access.routes.name);
            Some(vec![save(app, &name, text)])
        }
        AccessOutcome::Ignored => None,
    }
}

/// A file named after what it is of, and the time.
fn save(app: &App, name: &str, text: String) -> Effect {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = name.replace(|c| !plain(c), "-");
    let path = format!("{name}-{}.log", app.now.strftime("%Y%m%d-%H%M%S")).into();
    Effect::Save { path, text }
}

fn paste(app: &mut App, text: &str) {
    match app.overlays.last_mut() {
        Some(Overlay::Form(form)) => form.paste(text),
        Some(_) => {}
        None if app.filtering => {
            for c in crate::text::clean(text.trim()).chars() {
                let insert = tui_input::InputRequest::InsertChar(c);
                app.list_mut().filter.handle(insert);
            }
            let pane = app.pane;
            app.refresh_list(pane);
        }
        None => {}
    }
}

fn mouse(app: &mut App, mouse: MouseEvent) {
    let by = match mouse.kind {
        MouseEventKind::ScrollUp => Some(-WHEEL),
        MouseEventKind::ScrollDown => Some(WHEEL),
        MouseEventKind::Down(MouseButton::Left) => None,
        _ => return,
    };
    app.dirty = true;
    if let Some(mut overlay) = app.overlays.pop() {
        if let Some(by) = by {
            overlay.wheel(app, by);
        }
        app.overlays.push(overlay);
        return;
    }
    let at = Position::new(mouse.column, mouse.row);
    let pane = Pane::ALL
        .into_iter()
        .find(|p| app.lists[p.index()].area.contains(at));
    match (by, pane) {
        (Some(by), Some(pane)) => app.lists[pane.index()].move_by(by),
        (Some(by), None) => actions::scroll_detail(app, by),
        (None, Some(pane)) => click(app, pane, at),
        (None, None) => {
            let tab = app.tab_areas.iter().find(|(area, _)| area.contains(at));
            if let Some((_, tab)) = tab {
                app.tab = *tab;
                app.detail_top = 0;
            }
            if app.detail_area.contains(at) {
                app.focus = Focus::Detail;
            }
        }
    }
}

fn click(app: &mut App, pane: Pane, at: Position) {
    app.pane = pane;
    app.focus = Focus::List;
    app.detail_top = 0;
    let list = &mut app.lists[pane.index()];
    // The first line of the area is the title.
    let row = usize::from(at.y.saturating_sub(list.area.y + 1)) + list.top;
    if at.y > list.area.y && row < list.rows.len() {
        let again = list.at == row;
        list.select(row);
        if again {
            actions::toggle(app);
        }
    }
}

/// While the log tab is shown, the log of what is selected is followed, and no other.
fn follow_selection(app: &mut App) -> Vec<Effect> {
    let wanted = (app.shown_tab() == Tab::Logs)
        .then(|| source(app))
        .flatten();
    if app.log.as_ref().map(|l| &l.source) == wanted.as_ref() {
        return Vec::new();
    }
    let mut effects: Vec<Effect> = app
        .log
        .take()
        .map(|l| Effect::StopLogs(l.ticket))
        .into_iter()
        .collect();
    if let Some(source) = wanted {
        let ticket = app.ticket();
        effects.push(Effect::FollowLogs {
            ticket,
            source: source.clone(),
        });
        app.log = Some(OpenLog {
            ticket,
            source,
            view: LogView::new(app.log_memory),
        });
    }
    effects
}

/// While the tab is shown, the requests to what is selected are followed, and no others.
fn follow_access(app: &mut App) -> Vec<Effect> {
    let wanted = (app.shown_tab() == Tab::Access)
        .then(|| routes(app))
        .flatten();
    if app.access.as_ref().map(|a| &a.routes) == wanted.as_ref() {
        return Vec::new();
    }
    let before = app.access.take().map(|a| Effect::StopLogs(a.ticket));
    let mut effects: Vec<Effect> = before.into_iter().collect();
    if let Some(routes) = wanted {
        let ticket = app.ticket();
        effects.push(Effect::FollowAccess {
            ticket,
            routes: routes.clone(),
        });
        app.access = Some(OpenAccess {
            ticket,
            routes,
            view: AccessView::new(app.zone.clone()),
        });
    }
    effects
}

/// The routes to what is selected.
fn routes(app: &App) -> Option<Routes> {
    let row = app.selected()?;
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
    Routes::of(name, &services)
}

fn source(app: &App) -> Option<LogSource> {
    let row = app.selected()?;
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
