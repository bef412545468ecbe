//! What each action does.

use crossterm::event::KeyCode;
use matou_i18n::tr;

use super::browser;
use super::dashboard;
use super::keymap::Action;
use super::marks;
use super::msg::Effect;
use super::overlays::{
    AlertsOverlay, BansOverlay, CatalogueOverlay, FormOverlay, HelpOverlay, HistoryOverlay,
    IntrusionsOverlay, JobsOverlay, LogSearchOverlay, NodeMenuOverlay, PaletteOverlay, QuitOverlay,
    RestoreOverlay, ShellOverlay, VersionsOverlay, open_plan,
};
use super::pane::{Focus, Pane, Tab};
use super::panes::{RowKind, SortOrder, format_task_name, row_app};
use super::state::App;
use matou_model::{Availability, Role, Service, ServiceMode, Task};
use matou_monitor::{Alert, AlertKind, AlertTarget};
use matou_ops::{Request, ShellTarget};
use matou_provision::ProvisionOptions;
use matou_stack::AppName;

/// The stack of the catalogue that takes https for the fleet.
const EDGE_STACK: &str = "traefik";

/// Carries an action out.
pub(super) fn run_action(app: &mut App, action: Action) -> Vec<Effect> {
    if dashboard::run_on_board(app, action).is_some() {
        return Vec::new();
    }
    if let Some(effects) = marks::run_on_marked(app, action) {
        return effects;
    }
    match action {
        // Carried out before.
        Action::Dashboard => {}
        Action::Pane1 => focus_pane(app, Pane::Nodes),
        Action::Pane2 => focus_pane(app, Pane::Services),
        Action::Pane3 => focus_pane(app, Pane::Volumes),
        Action::Pane4 => focus_pane(app, Pane::Certificates),
        Action::Pane5 => focus_pane(app, Pane::Backups),
        Action::NextPane => focus_pane(app, pane_after(app.pane, 1)),
        Action::PreviousPane => focus_pane(app, pane_after(app.pane, Pane::ALL.len() - 1)),
        Action::NextTab => turn_tab(app, true),
        Action::PreviousTab => turn_tab(app, false),
        Action::Open => open_selected(app),
        Action::Back => go_back(app),
        Action::Up => move_or_scroll(app, -1),
        Action::Down => move_or_scroll(app, 1),
        Action::Top => move_or_scroll(app, isize::MIN),
        Action::Bottom => move_or_scroll(app, isize::MAX),
        Action::HalfPageUp => move_or_scroll(app, -half_page_rows(app)),
        Action::HalfPageDown => move_or_scroll(app, half_page_rows(app)),
        Action::Filter => {
            app.focus = Focus::List;
            app.filtering = true;
        }
        Action::Problems => {
            let list = app.focused_list_mut();
            list.only_problems = !list.only_problems;
            let pane = app.pane;
            app.refresh_list(pane);
        }
        Action::Mark => app.toggle_mark(),
        Action::Sort => {
            let pane = app.pane;
            let list = app.focused_list_mut();
            list.order = SortOrder::after(list.order, pane);
            app.refresh_list(pane);
        }
        Action::SortReverse => reverse_order(app),
        Action::Zoom => app.zoom = !app.zoom,
        Action::Palette => app.open_overlay(PaletteOverlay::default()),
        Action::Help => app.open_overlay(HelpOverlay::default()),
        Action::Jobs => app.open_overlay(JobsOverlay::default()),
        Action::Alerts => app.open_overlay(AlertsOverlay::default()),
        Action::Bans => {
            let (view, effect) = BansOverlay::open(app);
            app.open_overlay(view);
            return vec![effect];
        }
        Action::Search => {
            let search = LogSearchOverlay::for_app(selected_app(app));
            app.open_overlay(search);
        }
        Action::Intrusions => {
            let (view, effect) = IntrusionsOverlay::open(app);
            app.open_overlay(view);
            return vec![effect];
        }
        Action::History => {
            let (view, effect) = HistoryOverlay::open(app);
            app.open_overlay(view);
            return vec![effect];
        }
        Action::Deploy => app.open_overlay(CatalogueOverlay::default()),
        Action::Scale => return open_scale_form(app),
        Action::Restart => return open_restart_plan(app),
        Action::Update => return open_newer_versions(app),
        Action::Place => return open_app_form(app, FormOverlay::for_placement),
        Action::Switch => return open_app_form(app, FormOverlay::for_edge_settings),
        Action::Page => return open_app_form(app, FormOverlay::for_page),
        Action::Names => return open_names_form(app),
        Action::Move => {
            return open_app_form(app, |app| FormOverlay::for_move(vec![app]));
        }
        Action::MoveAll => {
            app.open_overlay(FormOverlay::for_move(Vec::new()));
        }
        Action::RenewCertificate => return open_renewal_plan(app),
        Action::Redeploy => return open_app_plan(app, Request::redeploy),
        Action::Adopt => return open_app_plan(app, |app| Request::adopt(vec![app])),
        Action::Rollback => return open_rollback_plan(app),
        Action::Remove => return open_app_plan(app, Request::remove),
        Action::Export => return open_app_plan(app, Request::export),
        Action::Erase => return open_app_plan(app, |app| Request::Erase { app }),
        Action::Backup => {
            return open_app_plan(app, |app| Request::Backup { apps: vec![app] });
        }
        Action::BackupAll => return open_plan(app, Request::Backup { apps: Vec::new() }),
        Action::Restore => open_restore(app, None),
        Action::Recover => return open_plan(app, Request::Recover),
        Action::RestoreUndo => return open_app_plan(app, |app| Request::RestoreUndo { app }),
        Action::RestoreForget => {
            return open_app_plan(app, |app| Request::RestoreForget { app });
        }
        Action::Verify => {
            return open_app_plan(app, |app| Request::Verify { apps: vec![app] });
        }
        Action::Provision => return open_provision_plan(app, true),
        Action::ProvisionAll => return open_provision_plan(app, false),
        Action::NodeMenu => {
            if let Some(node) = selected_node(app) {
                app.open_overlay(NodeMenuOverlay::for_nodes(vec![node]));
            }
        }
        Action::Promote => {
            return open_node_plan(app, |node| Request::Role {
                node,
                to: Role::Manager,
            });
        }
        Action::Demote => {
            return open_node_plan(app, |node| Request::Role {
                node,
                to: Role::Worker,
            });
        }
        Action::Leave => return open_node_plan(app, |node| Request::Leave { node }),
        Action::RemoveNode => return open_node_plan(app, |node| Request::RemoveNode { node }),
        Action::Reboot => return open_node_plan(app, |node| Request::Reboot { node }),
        Action::Upgrade => return open_node_plan(app, |node| Request::Upgrade { node }),
        Action::Drain => return open_availability_plan(app, Availability::Drain),
        Action::Activate => return open_availability_plan(app, Availability::Active),
        Action::Pause => return open_availability_plan(app, Availability::Pause),
        Action::Logs => {
            if app.tabs().contains(&Tab::Logs) {
                app.tab = Tab::Logs;
                app.focus = Focus::Detail;
            } else {
                app.show_notice(tr!("select a service or a node to see its log"), false);
            }
        }
        Action::Access => {
            if app.tabs().contains(&Tab::Access) {
                app.tab = Tab::Access;
                app.focus = Focus::Detail;
            } else {
                app.show_notice(
                    tr!("select an application to see its requests (pane 2)"),
                    false,
                );
            }
        }
        Action::Shell => return open_shell(app),
        Action::Copy => {
            // Of a certificate the whole chain is copied, as PEM.
            let pem = |at: usize| {
                let certificates = app.fleet.certificates.value()?;
                let served = certificates.get(at)?.nodes.iter();
                let mut served = served.filter_map(|(_, s)| s.as_ref().ok());
                served.next().map(|s| s.pem.clone())
            };
            return app
                .selected_row()
                .map(|r| match r.kind {
                    RowKind::Certificate(at) => pem(at).unwrap_or_else(|| r.name.clone()),
                    _ => r.name.clone(),
                })
                .map(Effect::Copy)
                .into_iter()
                .collect();
        }
        Action::CopyPassword => return copy_password(app),
        Action::Refresh => return vec![Effect::Refresh],
        Action::Measure => {
            app.show_notice(tr!("measuring the volumes of all nodes …"), false);
            return vec![Effect::Measure];
        }
        Action::Suspend => return vec![Effect::Suspend],
        Action::Redraw => return vec![Effect::Redraw],
        Action::Interrupt => app.open_overlay(QuitOverlay::default()),
        Action::Quit => return go_back_or_quit(app),
    }
    Vec::new()
}

/// Asks for the password with which the operator logs in to the selected application.
fn copy_password(app: &mut App) -> Vec<Effect> {
    let Some(name) = selected_app(app) else {
        app.show_notice(tr!("select an application first (pane 2)"), false);
        return Vec::new();
    };
    let login = app.logins.get(&name);
    match login.and_then(|login| login.secret.clone()) {
        Some(secret) => vec![Effect::ReadPassword { app: name, secret }],
        None => {
            let text = tr!("the stack of {name} made no password to log in with");
            app.show_notice(text, false);
            Vec::new()
        }
    }
}

fn focus_pane(app: &mut App, pane: Pane) {
    if app.board.is_open() {
        app.board.visibility = dashboard::Visibility::Left;
    }
    app.pane = pane;
    app.focus = Focus::List;
    app.detail_top = 0;
}

/// Turns the order of a list round that is sorted by hand.
fn reverse_order(app: &mut App) {
    match app.focused_list().order {
        Some(order) => {
            app.focused_list_mut().order = Some(order.reversed());
            let pane = app.pane;
            app.refresh_list(pane);
        }
        None => {
            let key = app.keymap.first_key(Action::Sort).unwrap_or_default();
            let text = tr!("what is down comes first here: {key} sorts by a column");
            app.show_notice(text, false);
        }
    }
}

fn pane_after(pane: Pane, by: usize) -> Pane {
    Pane::ALL[(pane.index() + by) % Pane::ALL.len()]
}

fn turn_tab(app: &mut App, forward: bool) {
    let tabs = app.tabs();
    let at = tabs.iter().position(|t| *t == app.shown_tab()).unwrap_or(0);
    let by = if forward { 1 } else { tabs.len() - 1 };
    app.tab = tabs[(at + by) % tabs.len()];
    app.detail_top = 0;
}

/// On the right side the arrows go from tab to tab; from the first one back to the list. `None`: the key is
/// none of them, or there is no further tab.
pub(super) fn arrow_turns_tab(app: &App, key: KeyCode, action: Option<Action>) -> Option<Action> {
    let tabs = app.tabs();
    let at = tabs.iter().position(|t| *t == app.shown_tab()).unwrap_or(0);
    match (key, action) {
        (KeyCode::Right, Some(Action::Open)) if at + 1 < tabs.len() => Some(Action::NextTab),
        (KeyCode::Left, Some(Action::Back)) if at > 0 => Some(Action::PreviousTab),
        _ => None,
    }
}

fn half_page_rows(app: &App) -> isize {
    let area = match app.focus {
        Focus::List => app.layout.lists[app.pane.index()].area,
        Focus::Detail => app.layout.detail,
    };
    (isize::try_from(area.height).unwrap_or(0) / 2).max(1)
}

fn move_or_scroll(app: &mut App, by: isize) {
    match app.focus {
        Focus::List => {
            app.focused_list_mut().move_by(by);
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
        log.view.scroll_by(by);
        return;
    }
    if app.shown_tab() == Tab::Access
        && let Some(access) = &mut app.access
    {
        access.view.scroll_by(by);
        return;
    }
    let last = app
        .layout
        .detail_lines
        .saturating_sub(usize::from(app.layout.detail.height));
    app.detail_top = app.detail_top.saturating_add_signed(by).min(last);
}

/// Shows a row's children; when it has none or they are shown, focuses the right side.
fn open_selected(app: &mut App) {
    if app.focus == Focus::Detail {
        return;
    }
    match app.selected_row().map(|r| r.open) {
        Some(Some(false)) => toggle_selected(app),
        Some(_) => app.focus = Focus::Detail,
        None => {}
    }
}

/// Shows or hides the children of the selected row.
pub(super) fn toggle_selected(app: &mut App) {
    let Some(key) = app
        .selected_row()
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

/// Goes one step back, if there is one.
fn go_back(app: &mut App) {
    try_go_back(app);
}

/// Goes one step back. Returns false when there is none.
fn try_go_back(app: &mut App) -> bool {
    if dashboard::is_back_at_arrival(app) {
        dashboard::reopen(app);
    } else if app.focus == Focus::Detail {
        app.focus = Focus::List;
    } else if !app.focused_list().filter.value().is_empty() {
        app.focused_list_mut().filter.reset();
        let pane = app.pane;
        app.refresh_list(pane);
    } else if app.focused_list().only_problems {
        app.focused_list_mut().only_problems = false;
        let pane = app.pane;
        app.refresh_list(pane);
    } else if app.clear_marks() {
        // Nothing else is left for this key.
    } else if app.zoom {
        app.zoom = false;
    } else if app.selected_row().is_some_and(|r| r.open == Some(true)) {
        toggle_selected(app);
    } else if let Some(depth) = app.selected_row().map(|r| r.depth).filter(|d| *d > 0) {
        let list = app.focused_list_mut();
        let parent = list.rows[..list.at].iter().rposition(|r| r.depth < depth);
        list.select_row(parent.unwrap_or(0));
    } else if app.board.is_left() {
        dashboard::reopen(app);
    } else {
        return false;
    }
    true
}

fn go_back_or_quit(app: &mut App) -> Vec<Effect> {
    let filtered =
        app.focused_list().only_problems || !app.focused_list().filter.value().is_empty();
    let filtered = filtered || !app.focused_list().marked.is_empty();
    let leads_back = app.focus == Focus::Detail || app.zoom || filtered;
    if leads_back && !app.board.is_open() {
        try_go_back(app);
        return Vec::new();
    }
    if app.jobs.count_running() == 0 && app.jobs.sent.is_empty() {
        return vec![Effect::Quit];
    }
    app.open_overlay(QuitOverlay::default());
    Vec::new()
}

/// Returns the selected service, or the only one of the selected application; else shows a notice.
fn selected_service(app: &mut App) -> Option<Service> {
    let place = match app.selected_row().map(|r| &r.kind) {
        Some(RowKind::Service(at) | RowKind::Task { service: at, .. }) => Some(*at),
        Some(RowKind::App { services }) if services.len() == 1 => services.first().copied(),
        Some(RowKind::App { .. }) => {
            app.show_notice(
                tr!("this application has several services: open it with Enter and select one"),
                false,
            );
            return None;
        }
        _ => None,
    };
    let swarm = app.fleet.swarm.value();
    let found = place.and_then(|at| swarm?.services.get(at)).cloned();
    if found.is_none() {
        app.show_notice(tr!("select a service first (pane 2)"), false);
    }
    found
}

fn open_scale_form(app: &mut App) -> Vec<Effect> {
    if let Some(service) = selected_service(app) {
        match service.mode {
            ServiceMode::Replicated(now) | ServiceMode::ReplicatedJob(now) => {
                let form = FormOverlay::for_scale(&service, now);
                app.open_overlay(form);
            }
            ServiceMode::GlobalJob => app.show_notice(
                tr!("a global job runs once on every node that fits: it can't be scaled, but restarted"),
                false,
            ),
            ServiceMode::Global => app.show_notice(
                tr!("a global service runs once on every node that fits: it can't be scaled"),
                false,
            ),
        }
    }
    Vec::new()
}

fn open_restart_plan(app: &mut App) -> Vec<Effect> {
    match selected_service(app) {
        Some(service) => open_plan(
            app,
            Request::Restart {
                service: service.name,
            },
        ),
        None => Vec::new(),
    }
}

fn open_rollback_plan(app: &mut App) -> Vec<Effect> {
    match selected_service(app) {
        Some(service) => open_plan(
            app,
            Request::Rollback {
                service: service.name,
            },
        ),
        None => Vec::new(),
    }
}

/// Opens the plan of a request about the selected application.
fn open_app_plan(app: &mut App, request: fn(AppName) -> Request) -> Vec<Effect> {
    match take_selected_app(app, tr!("select an application first (pane 2, or 5)")) {
        Some(name) => open_plan(app, request(name)),
        None => Vec::new(),
    }
}

/// Opens the list of newer versions of the selected application.
fn open_newer_versions(app: &mut App) -> Vec<Effect> {
    match take_selected_app(app, tr!("select an application first (pane 2)")) {
        Some(name) => {
            let (view, effect) = VersionsOverlay::open(app, name);
            app.open_overlay(view);
            vec![effect]
        }
        None => Vec::new(),
    }
}

/// Opens a form about the selected application.
fn open_app_form(app: &mut App, of: fn(AppName) -> FormOverlay) -> Vec<Effect> {
    if let Some(name) = take_selected_app(app, tr!("select an application first (pane 2)")) {
        app.open_overlay(of(name));
    }
    Vec::new()
}

/// Opens the form of the names of the selected application.
fn open_names_form(app: &mut App) -> Vec<Effect> {
    if let Some(name) = take_selected_app(app, tr!("select an application first (pane 2)")) {
        let form = FormOverlay::for_names(app, name);
        app.open_overlay(form);
    }
    Vec::new()
}

/// Opens the plan that has the selected certificate issued anew.
fn open_renewal_plan(app: &mut App) -> Vec<Effect> {
    let domain = app.selected_row().and_then(|row| match &row.kind {
        RowKind::Certificate(_) => Some(row.name.clone()),
        _ => None,
    });
    match domain {
        Some(domain) => open_plan(app, Request::RenewCertificate { domain }),
        None => {
            app.show_notice(tr!("select a certificate first (pane 4)"), false);
            Vec::new()
        }
    }
}

/// Opens the choice of what is restored of the selected application or snapshot, and where to.
/// `path` is a file or folder of it that is chosen already.
pub(super) fn open_restore(app: &mut App, path: Option<String>) {
    let chosen = match selected_app(app) {
        Some(_) if browser::selected_snapshot(app).is_some() => browser::selected_snapshot(app),
        Some(name) => {
            let all = app.fleet.snapshots.value().map_or(&[][..], Vec::as_slice);
            // The newest comes first.
            all.iter()
                .find(|s| s.app.as_ref() == Some(&name) && s.can_be_newest())
        }
        None => {
            let text = tr!("select an application or one of its snapshots first (pane 2, or 5)");
            app.show_notice(text, false);
            return;
        }
    };
    match chosen.cloned() {
        Some(snapshot) => match AppName::new(snapshot.group_name()) {
            Ok(name) => {
                let view = RestoreOverlay::for_snapshot(app, name, &snapshot, path);
                app.open_overlay(view);
            }
            Err(e) => app.show_notice(e.to_string(), true),
        },
        None => app.show_notice(tr!("there is no snapshot of this application that could be taken unseen: choose one in pane 5"), true),
    }
}

/// Returns the application that the selected row belongs to. Else shows a notice: that `first` one
/// is to be selected, or that what is selected can't be an application's name.
fn take_selected_app(app: &mut App, first: &str) -> Option<AppName> {
    match selected_app(app).map(AppName::new) {
        Some(Ok(name)) => Some(name),
        Some(Err(e)) => {
            app.show_notice(e.to_string(), true);
            None
        }
        None => {
            app.show_notice(first, false);
            None
        }
    }
}

/// Returns the name of what the selected row belongs to: an application, or a stack of any name.
fn selected_app(app: &App) -> Option<String> {
    row_app(app, app.selected_row()?)
}

/// Returns the selected node; else shows a notice.
fn selected_node(app: &mut App) -> Option<String> {
    let name = app.selected_row().and_then(|row| match &row.kind {
        RowKind::Node(_) => Some(row.name.clone()),
        _ => None,
    });
    if name.is_none() {
        app.show_notice(tr!("select a node first (pane 1)"), false);
    }
    name
}

fn open_availability_plan(app: &mut App, to: Availability) -> Vec<Effect> {
    open_node_plan(app, |node| Request::Availability { node, to })
}

/// Opens the plan of a request about the selected node.
fn open_node_plan(app: &mut App, request: impl Fn(String) -> Request) -> Vec<Effect> {
    match selected_node(app) {
        Some(node) => open_plan(app, request(node)),
        None => Vec::new(),
    }
}

/// Opens the plan of provisioning: of the selected node when `selected` is true, else of all.
fn open_provision_plan(app: &mut App, selected: bool) -> Vec<Effect> {
    let nodes = app
        .selected_row()
        .filter(|row| selected && matches!(row.kind, RowKind::Node(_)))
        .map(|row| row.name.clone());
    let options = ProvisionOptions {
        nodes: nodes.into_iter().collect(),
        ..ProvisionOptions::default()
    };
    open_plan(app, Request::Provision { options })
}

fn open_shell(app: &mut App) -> Vec<Effect> {
    let Some(row) = app.selected_row() else {
        return Vec::new();
    };
    if let RowKind::Node(_) = row.kind {
        let node = row.name.clone();
        return vec![Effect::Shell(ShellTarget::Node { node })];
    }
    let mut targets = list_shell_targets(app, &row.kind);
    match targets.len() {
        0 => {
            app.show_notice(tr!("no running container here to open a shell in"), false);
            Vec::new()
        }
        1 => vec![Effect::Shell(targets.remove(0).1)],
        _ => {
            app.open_overlay(ShellOverlay::new(targets));
            Vec::new()
        }
    }
}

/// Lists the containers of a row in which a shell can be opened, with the names of their tasks.
fn list_shell_targets(app: &App, row: &RowKind) -> Vec<(String, ShellTarget)> {
    let Some(swarm) = app.fleet.swarm.value() else {
        return Vec::new();
    };
    let of_services = |places: &[usize]| {
        let services = places.iter().filter_map(|at| swarm.services.get(*at));
        let tasks = services.flat_map(|service| {
            let own = swarm.tasks.iter().filter(|t| t.service_id == service.id);
            own.map(move |task| (service, task))
        });
        tasks.collect::<Vec<_>>()
    };
    let tasks = match row {
        RowKind::Task { service, task } => {
            let pair = swarm.services.get(*service).zip(swarm.tasks.get(*task));
            pair.into_iter().collect()
        }
        RowKind::Service(at) => of_services(&[*at]),
        RowKind::App { services } => of_services(services),
        _ => Vec::new(),
    };
    // Those that go on before those that are being replaced.
    let (going, ending): (Vec<_>, Vec<_>) = tasks
        .into_iter()
        .filter(|(_, task)| task.is_enterable())
        .partition(|(_, task)| task.is_to_go_on());
    let shown = if going.is_empty() { ending } else { going };
    let target = |(service, task): (&Service, &Task)| {
        let label = format_task_name(Some(service), task);
        let node = app.fleet.node_name(&task.node_id).to_owned();
        let container = task.container_id.clone()?;
        let text = tr!("{label} on {node}");
        let target = ShellTarget::Container {
            node,
            container,
            label,
        };
        Some((text, target))
    };
    shown.into_iter().filter_map(target).collect()
}

/// Returns the tab that shows the cause of an alert of this kind.
fn tab_of_alert(kind: AlertKind) -> Tab {
    match kind {
        AlertKind::Drift => Tab::Plan,
        AlertKind::Disk | AlertKind::DiskTrend | AlertKind::Floor => Tab::Storage,
        AlertKind::Cpu | AlertKind::Memory => Tab::Load,
        AlertKind::Swarm
        | AlertKind::Unreachable
        | AlertKind::NodeDown
        | AlertKind::Quorum
        | AlertKind::Replicas
        | AlertKind::CrashLoop
        | AlertKind::Job
        | AlertKind::AppJob
        | AlertKind::Budget
        | AlertKind::Told
        | AlertKind::Alertmanager
        | AlertKind::Edge
        | AlertKind::Http
        | AlertKind::Page
        | AlertKind::Certificate
        | AlertKind::Dns
        | AlertKind::EndOfLife
        | AlertKind::Rehearsal
        | AlertKind::Backup => Tab::Overview,
    }
}

impl App {
    /// Shows the cause of an alert: its row, and the tab that tells it. Of an edge that is there: its
    /// service. Returns false where no pane has it.
    pub(super) fn show_cause(&mut self, alert: &Alert) -> bool {
        if !self.go_to_target(&alert.target) {
            return false;
        }
        self.tab = tab_of_alert(alert.kind);
        self.detail_top = 0;
        self.focus = Focus::Detail;
        true
    }

    /// The form that deploys what takes https for the fleet, where the catalogue has it and no service does.
    pub(super) fn missing_edge_form(&self) -> Option<FormOverlay> {
        let swarm = self.fleet.swarm.value();
        let edge = swarm.and_then(|swarm| swarm.find_edge_service());
        let entry = self.catalogue.iter().find(|e| e.name == EDGE_STACK)?;
        edge.is_none().then(|| FormOverlay::for_deploy(entry))
    }

    /// Goes to the row that shows what an alert is about. Returns false where there is none.
    pub(super) fn go_to_target(&mut self, target: &AlertTarget) -> bool {
        let (pane, key) = match target {
            AlertTarget::Fleet => return false,
            AlertTarget::Node(name) => (Pane::Nodes, format!("node/{name}")),
            AlertTarget::App(name) => (Pane::Services, format!("app/{name}")),
            AlertTarget::Service(id) => (Pane::Services, format!("service/{id}")),
            AlertTarget::Certificate(domain) => {
                (Pane::Certificates, format!("certificate/{domain}"))
            }
            AlertTarget::Repository(name) => (Pane::Backups, format!("repository/{name}")),
            AlertTarget::Snapshots(app) => (Pane::Backups, format!("saved/{app}")),
        };
        let below = match target {
            AlertTarget::Service(id) => {
                let services = self.fleet.swarm.value().map_or(&[][..], |s| &s.services);
                let service = services.iter().find(|s| s.id == *id);
                service.map(|s| format!("app/{}", s.stack.as_ref().unwrap_or(&s.name)))
            }
            _ => None,
        };
        self.go_to_row(pane, &key, below)
    }

    /// Goes to the row of a key; `below` is the key of the row that is opened for it. Returns false where there
    /// is none.
    pub(super) fn go_to_row(&mut self, pane: Pane, key: &str, below: Option<String>) -> bool {
        focus_pane(self, pane);
        self.focused_list_mut().filter.reset();
        self.focused_list_mut().only_problems = false;
        if let Some(parent) = below.filter(|parent| !self.opened.contains(parent)) {
            self.opened.push(parent);
        }
        self.refresh_list(pane);
        let list = self.focused_list_mut();
        let at = list.rows.iter().position(|r| r.key == key);
        if let Some(at) = at {
            list.select_row(at);
        }
        at.is_some()
    }
}
