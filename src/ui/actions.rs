//! What each action does.

use super::browser;
use super::keymap::Action;
use super::msg::Effect;
use super::overlays::{
    Alerts, Bans, Catalogue, Form, Help, Intrusions, JobsView, Menu, Overlay, Palette, PlanView,
    Quit, Restore, Search, Versions,
};
use super::panes::RowKind;
use super::state::{App, Focus, Pane, Tab};
use crate::model::{Availability, Mode, Role, Service, Task};
use crate::ops::{Request, ShellTarget};
use crate::provision::Options;

/// Carries an action out.
pub(super) fn run(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Pane1 => go(app, Pane::Nodes),
        Action::Pane2 => go(app, Pane::Services),
        Action::Pane3 => go(app, Pane::Volumes),
        Action::Pane4 => go(app, Pane::Certificates),
        Action::Pane5 => go(app, Pane::Backups),
        Action::NextPane => go(app, neighbour(app.pane, 1)),
        Action::PreviousPane => go(app, neighbour(app.pane, 4)),
        Action::NextTab => turn_tab(app, true),
        Action::PreviousTab => turn_tab(app, false),
        Action::Open => open(app),
        Action::Back => back(app),
        Action::Up => step(app, -1),
        Action::Down => step(app, 1),
        Action::Top => step(app, isize::MIN),
        Action::Bottom => step(app, isize::MAX),
        Action::HalfPageUp => step(app, -half_page(app)),
        Action::HalfPageDown => step(app, half_page(app)),
        Action::Filter => {
            app.focus = Focus::List;
            app.filtering = true;
        }
        Action::Zoom => app.zoom = !app.zoom,
        Action::Palette => app.overlays.push(Overlay::Palette(Palette::default())),
        Action::Help => app.overlays.push(Overlay::Help(Help::default())),
        Action::Jobs => app.overlays.push(Overlay::Jobs(JobsView::default())),
        Action::Alerts => app.overlays.push(Overlay::Alerts(Alerts::default())),
        Action::Bans => {
            let (view, effect) = Bans::ask(app);
            app.overlays.push(Overlay::Bans(view));
            return vec![effect];
        }
        Action::Search => {
            let search = Search::of(application(app));
            app.overlays.push(Overlay::Search(search));
        }
        Action::Intrusions => {
            let (view, effect) = Intrusions::ask(app);
            app.overlays.push(Overlay::Intrusions(view));
            return vec![effect];
        }
        Action::Deploy => app.overlays.push(Overlay::Catalogue(Catalogue::default())),
        Action::Scale => return scale(app),
        Action::Restart => return restart(app),
        Action::Update => return newer(app),
        Action::Place => return form(app, Form::place),
        Action::Switch => return form(app, Form::switch),
        Action::Move => return form(app, |app| Form::move_to(vec![app.to_owned()])),
        Action::MoveAll => {
            app.overlays.push(Overlay::Form(Form::move_to(Vec::new())));
        }
        Action::RenewCertificate => return renew(app),
        Action::Redeploy => return on_application(app, Request::redeploy),
        Action::Rollback => return rollback(app),
        Action::Remove => return on_application(app, Request::remove),
        Action::Export => return on_application(app, Request::export),
        Action::Erase => return on_application(app, |app| Request::Erase { app }),
        Action::Backup => {
            return on_application(app, |app| Request::Backup { apps: vec![app] });
        }
        Action::BackupAll => return plan(app, Request::Backup { apps: Vec::new() }),
        Action::Restore => restore(app, None),
        Action::Recover => return plan(app, Request::Recover),
        Action::RestoreUndo => return on_application(app, |app| Request::RestoreUndo { app }),
        Action::RestoreForget => {
            return on_application(app, |app| Request::RestoreForget { app });
        }
        Action::Verify => {
            return on_application(app, |app| Request::Verify { apps: vec![app] });
        }
        Action::Provision => return provision(app, true),
        Action::ProvisionAll => return provision(app, false),
        Action::NodeMenu => {
            if let Some(node) = node(app) {
                app.overlays.push(Overlay::Menu(Menu::of(&node)));
            }
        }
        Action::Promote => {
            return on_node(app, |node| Request::Role {
                node,
                to: Role::Manager,
            });
        }
        Action::Demote => {
            return on_node(app, |node| Request::Role {
                node,
                to: Role::Worker,
            });
        }
        Action::Leave => return on_node(app, |node| Request::Leave { node }),
        Action::RemoveNode => return on_node(app, |node| Request::RemoveNode { node }),
        Action::Reboot => return on_node(app, |node| Request::Reboot { node }),
        Action::Upgrade => return on_node(app, |node| Request::Upgrade { node }),
        Action::Drain => return availability(app, Availability::Drain),
        Action::Activate => return availability(app, Availability::Active),
        Action::Pause => return availability(app, Availability::Pause),
        Action::Logs => {
            if app.tabs().contains(&Tab::Logs) {
                app.tab = Tab::Logs;
                app.focus = Focus::Detail;
            } else {
                app.say("select a service or a node to see its log", false);
            }
        }
        Action::Access => {
            if app.tabs().contains(&Tab::Access) {
                app.tab = Tab::Access;
                app.focus = Focus::Detail;
            } else {
                app.say("select an application to see its requests (pane 2)", false);
            }
        }
        Action::Shell => return shell(app),
        Action::Copy => {
            // Of a certificate its chain is what is wanted elsewhere.
            let pem = |at: usize| {
                let certificates = app.fleet.certificates.value()?;
                let served = certificates.get(at)?.nodes.iter();
                let mut served = served.filter_map(|(_, s)| s.as_ref().ok());
                served.next().map(|s| s.pem.clone())
            };
            return app
                .selected()
                .map(|r| match r.kind {
                    RowKind::Certificate(at) => pem(at).unwrap_or_else(|| r.name.clone()),
                    _ => r.name.clone(),
                })
                .map(Effect::Copy)
                .into_iter()
                .collect();
        }
        Action::Refresh => return vec![Effect::Refresh],
        Action::Suspend => return vec![Effect::Suspend],
        Action::Redraw => return vec![Effect::Redraw],
        Action::Interrupt => app.overlays.push(Overlay::Quit(Quit::default())),
        Action::Quit => return quit(app),
    }
    Vec::new()
}

fn go(app: &mut App, pane: Pane) {
    app.pane = pane;
    app.focus = Focus::List;
    app.detail_top = 0;
}

fn neighbour(pane: Pane, by: usize) -> Pane {
    Pane::ALL[(pane.index() + by) % Pane::ALL.len()]
}

fn turn_tab(app: &mut App, forward: bool) {
    let tabs = app.tabs();
    let at = tabs.iter().position(|t| *t == app.shown_tab()).unwrap_or(0);
    let by = if forward { 1 } else { tabs.len() - 1 };
    app.tab = tabs[(at + by) % tabs.len()];
    app.detail_top = 0;
}

fn half_page(app: &App) -> isize {
    let area = match app.focus {
        Focus::List => app.list().area,
        Focus::Detail => app.detail_area,
    };
    (isize::try_from(area.height).unwrap_or(0) / 2).max(1)
}

fn step(app: &mut App, by: isize) {
    match app.focus {
        Focus::List => {
            app.list_mut().move_by(by);
            app.detail_top = 0;
        }
        Focus::Detail => scroll_detail(app, by),
    }
}

/// Scrolls the right side.
pub(super) fn scroll_detail(app: &mut App, by: isize) {
    if app.shown_tab() == Tab::Logs
        && let Some(log) = &mut app.log
    {
        log.view.scroll(by as i64);
        return;
    }
    if app.shown_tab() == Tab::Access
        && let Some(access) = &mut app.access
    {
        access.view.scroll(by);
        return;
    }
    let last = app
        .detail_lines
        .saturating_sub(usize::from(app.detail_area.height));
    app.detail_top = app.detail_top.saturating_add_signed(by).min(last);
}

/// Opens a row's children first, then goes to the right side.
fn open(app: &mut App) {
    if app.focus == Focus::Detail {
        return;
    }
    match app.selected().map(|r| r.open) {
        Some(Some(false)) => toggle(app),
        Some(_) => app.focus = Focus::Detail,
        None => {}
    }
}

/// Shows or hides the children of the selected row.
pub(super) fn toggle(app: &mut App) {
    let Some(key) = app
        .selected()
        .filter(|r| r.open.is_some())
        .map(|r| r.key.clone())
    else {
        return;
    };
    match app.opened.iter().position(|k| *k == key) {
        Some(at) => {
            app.opened.remove(at);
        }
        None => app.opened.push(key),
    }
    let pane = app.pane;
    app.refresh_list(pane);
}

/// Goes back by one; does nothing where there is nothing to go back from.
fn back(app: &mut App) {
    went_back(app);
}

/// Whether there was something to go back from.
fn went_back(app: &mut App) -> bool {
    if app.focus == Focus::Detail {
        app.focus = Focus::List;
    } else if !app.list().filter.value().is_empty() {
        app.list_mut().filter.reset();
        let pane = app.pane;
        app.refresh_list(pane);
    } else if app.zoom {
        app.zoom = false;
    } else if app.selected().is_some_and(|r| r.open == Some(true)) {
        toggle(app);
    } else if let Some(depth) = app.selected().map(|r| r.depth).filter(|d| *d > 0) {
        let list = app.list_mut();
        let parent = list.rows[..list.at].iter().rposition(|r| r.depth < depth);
        list.select(parent.unwrap_or(0));
    } else {
        return false;
    }
    true
}

fn quit(app: &mut App) -> Vec<Effect> {
    if app.focus == Focus::Detail || app.zoom || !app.list().filter.value().is_empty() {
        went_back(app);
        return Vec::new();
    }
    if app.jobs.running() == 0 {
        return vec![Effect::Quit];
    }
    app.overlays.push(Overlay::Quit(Quit::default()));
    Vec::new()
}

/// The service that is selected, or the only one of the selected application.
fn service(app: &mut App) -> Option<Service> {
    let place = match app.selected().map(|r| &r.kind) {
        Some(RowKind::Service(at) | RowKind::Task { service: at, .. }) => Some(*at),
        Some(RowKind::App { services }) if services.len() == 1 => services.first().copied(),
        Some(RowKind::App { .. }) => {
            app.say(
                "this application has several services: open it with Enter and select one",
                false,
            );
            return None;
        }
        _ => None,
    };
    let swarm = app.fleet.swarm.value();
    let found = place.and_then(|at| swarm?.services.get(at)).cloned();
    if found.is_none() {
        app.say("select a service first (pane 2)", false);
    }
    found
}

fn plan(app: &mut App, request: Request) -> Vec<Effect> {
    let (view, effect) = PlanView::ask(app, request);
    app.overlays.push(Overlay::Plan(view));
    vec![effect]
}

fn scale(app: &mut App) -> Vec<Effect> {
    if let Some(service) = service(app) {
        match service.mode {
            Mode::Replicated(now) => {
                let form = Form::scale(&service.name, now);
                app.overlays.push(Overlay::Form(form));
            }
            _ => app.say(
                "a global service runs once on every node that fits: it can't be scaled",
                false,
            ),
        }
    }
    Vec::new()
}

fn restart(app: &mut App) -> Vec<Effect> {
    match service(app) {
        Some(service) => plan(
            app,
            Request::Restart {
                service: service.name,
            },
        ),
        None => Vec::new(),
    }
}

fn rollback(app: &mut App) -> Vec<Effect> {
    match service(app) {
        Some(service) => plan(
            app,
            Request::Rollback {
                service: service.name,
            },
        ),
        None => Vec::new(),
    }
}

/// Asks for a plan about the selected application.
fn on_application(app: &mut App, request: fn(String) -> Request) -> Vec<Effect> {
    match application(app) {
        Some(name) => plan(app, request(name)),
        None => {
            app.say("select an application first (pane 2, or 5)", false);
            Vec::new()
        }
    }
}

/// Lists newer versions of the selected application.
fn newer(app: &mut App) -> Vec<Effect> {
    match application(app) {
        Some(name) => {
            let (view, effect) = Versions::ask(app, name);
            app.overlays.push(Overlay::Versions(view));
            vec![effect]
        }
        None => {
            app.say("select an application first (pane 2)", false);
            Vec::new()
        }
    }
}

/// Opens a form about the selected application.
fn form(app: &mut App, of: fn(&str) -> Form) -> Vec<Effect> {
    match application(app) {
        Some(name) => app.overlays.push(Overlay::Form(of(&name))),
        None => app.say("select an application first (pane 2)", false),
    }
    Vec::new()
}

/// Has the selected certificate issued anew.
fn renew(app: &mut App) -> Vec<Effect> {
    let domain = app.selected().and_then(|row| match &row.kind {
        RowKind::Certificate(_) => Some(row.name.clone()),
        _ => None,
    });
    match domain {
        Some(domain) => plan(app, Request::RenewCertificate { domain }),
        None => {
            app.say("select a certificate first (pane 4)", false);
            Vec::new()
        }
    }
}

/// Asks what of the selected application or snapshot is restored, and where to; `path` is a file
/// or folder of it that was chosen already.
pub(super) fn restore(app: &mut App, path: Option<String>) {
    let chosen = match application(app) {
        Some(_) if browser::snapshot(app).is_some() => browser::snapshot(app),
        Some(name) => {
            let all = app.fleet.snapshots.value().map_or(&[][..], Vec::as_slice);
            // The newest comes first.
            all.iter()
                .find(|s| s.app.as_ref() == Some(&name) && s.is_sound())
        }
        None => {
            let text = "select an application or one of its snapshots first (pane 2, or 5)";
            app.say(text, false);
            return;
        }
    };
    match chosen.cloned() {
        Some(snapshot) => {
            let view = Restore::of(app, &snapshot, path);
            app.overlays.push(Overlay::Restore(view));
        }
        None => app.say("there is no snapshot of this application that could be taken unseen: choose one in pane 5", true),
    }
}

/// The application of the selected row.
fn application(app: &App) -> Option<String> {
    let services = app.fleet.swarm.value().map_or(&[][..], |s| &s.services);
    app.selected().and_then(|row| match &row.kind {
        RowKind::App { .. } => Some(row.name.clone()),
        RowKind::Saved { first, count } => {
            let snapshot = app.fleet.snapshots.value().and_then(|s| s.get(*first));
            match (count, snapshot) {
                (0, _) => Some(row.name.clone()),
                // Of another fleet's only what is chosen itself.
                (_, snapshot) => snapshot.filter(|s| s.other_fleet.is_none())?.app.clone(),
            }
        }
        RowKind::Snapshot(at) => app.fleet.snapshots.value()?.get(*at)?.app.clone(),
        RowKind::Service(at) | RowKind::Task { service: at, .. } => {
            let service = services.get(*at)?;
            Some(
                service
                    .stack
                    .clone()
                    .unwrap_or_else(|| service.name.clone()),
            )
        }
        _ => None,
    })
}

/// The selected node.
fn node(app: &mut App) -> Option<String> {
    let name = app.selected().and_then(|row| match &row.kind {
        RowKind::Node(_) => Some(row.name.clone()),
        _ => None,
    });
    if name.is_none() {
        app.say("select a node first (pane 1)", false);
    }
    name
}

fn availability(app: &mut App, to: Availability) -> Vec<Effect> {
    on_node(app, |node| Request::Availability { node, to })
}

/// A job on the selected node.
fn on_node(app: &mut App, request: impl Fn(String) -> Request) -> Vec<Effect> {
    match node(app) {
        Some(node) => plan(app, request(node)),
        None => Vec::new(),
    }
}

/// The selected node made what config.toml says, or all of them.
fn provision(app: &mut App, selected: bool) -> Vec<Effect> {
    let nodes = app
        .selected()
        .filter(|row| selected && matches!(row.kind, RowKind::Node(_)))
        .map(|row| row.name.clone());
    let options = Options {
        nodes: nodes.into_iter().collect(),
        ..Options::default()
    };
    plan(app, Request::Provision { options })
}

fn shell(app: &mut App) -> Vec<Effect> {
    let Some(row) = app.selected() else {
        return Vec::new();
    };
    let swarm = app.fleet.swarm.value();
    let running = |id: &str| {
        swarm?
            .tasks
            .iter()
            .find(|t| t.service_id == id && t.state == "running" && t.container_id.is_some())
    };
    let service = |at: usize| swarm?.services.get(at);
    let task: Option<&Task> = match &row.kind {
        RowKind::Node(_) => {
            return vec![Effect::Shell(ShellTarget::Node {
                node: row.name.clone(),
            })];
        }
        RowKind::Task { task, .. } => swarm
            .and_then(|s| s.tasks.get(*task))
            .filter(|t| t.state == "running"),
        RowKind::Service(at) => service(*at).and_then(|s| running(&s.id)),
        RowKind::App { services } => services
            .iter()
            .filter_map(|at| service(*at))
            .find_map(|s| running(&s.id)),
        _ => None,
    };
    let target = task.and_then(|t| {
        Some(ShellTarget::Container {
            node: app.fleet.node_name(&t.node_id).to_owned(),
            container: t.container_id.clone()?,
            label: row.name.clone(),
        })
    });
    match target {
        Some(target) => vec![Effect::Shell(target)],
        None => {
            app.say("no running container here to open a shell in", false);
            Vec::new()
        }
    }
}

impl App {
    /// Selects a row by its key, in whatever pane it is.
    pub(super) fn go_to(&mut self, key: &str) {
        let pane = match key.split('/').next() {
            Some("node") => Pane::Nodes,
            Some("service" | "app" | "task") => Pane::Services,
            Some("volume") => Pane::Volumes,
            Some("certificate") => Pane::Certificates,
            Some("repository" | "saved" | "snapshot") => Pane::Backups,
            _ => return,
        };
        go(self, pane);
        self.list_mut().filter.reset();
        if let Some(id) = key.strip_prefix("service/") {
            let services = self.fleet.swarm.value().map_or(&[][..], |s| &s.services);
            if let Some(service) = services.iter().find(|s| s.id == id) {
                let app = service.stack.as_ref().unwrap_or(&service.name);
                let app = format!("app/{app}");
                if !self.opened.contains(&app) {
                    self.opened.push(app);
                }
            }
        }
        self.refresh_list(pane);
        let list = self.list_mut();
        if let Some(at) = list.rows.iter().position(|r| r.key == key) {
            list.select(at);
        }
    }
}
